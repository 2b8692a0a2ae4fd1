"""Dockerfiles and compose.yaml, as far as they can be judged without running them."""

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from rendered_chart import USERS, user_lines

from edugraph_common.messaging.users import user_name
from edugraph_common.platform.redis_users import SERVICES, line_of, redis_user

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))
SERVERS = {"rabbitmq", "redis", "neo4j", "prometheus", "grafana"}
# The chart's environment has no service installed. This module of the analyzer needs no more than the contracts.
sys.path += [str(ROOT / "deploy" / "compose"), str(ROOT / "services" / "analyzer" / "src")]
from make_env import filled  # noqa: E402

from edugraph_analyzer.models_file import ModelsFile, read_models_file  # noqa: E402


def name(path):
    return path.parent.name


@pytest.mark.parametrize("path", DOCKERFILES, ids=name)
def test_hadolint_is_silent(path):
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", path], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("path", DOCKERFILES, ids=name)
def test_a_dockerfile_keeps_the_rules(path):
    final = path.read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER \d+:0$", final, re.MULTILINE), "a numeric user, of the group that any id belongs to"
    assert re.search(r'^CMD \["', final, re.MULTILINE), "no shell between the container and its process"
    assert "HEALTHCHECK" in final
    assert "org.opencontainers.image.version" in final
    assert 'org.opencontainers.image.licenses="Apache-2.0"' in final
    assert path.read_text().count("FROM ${BASE}") == 2


@pytest.mark.parametrize("service", ["gateway", "importer", "analyzer"])
def test_an_image_has_what_the_chart_may_turn_on(service):
    """s3:// as blobs.url, and EDUGRAPH_TRACING. That they load is tried by `make isolation` and `make images-test`."""
    text = (ROOT / "services" / service / "Dockerfile").read_text()
    (default,) = re.findall(r'^ARG EXTRAS="(.*)"$', text, re.MULTILINE)
    extras = set(default.replace("--extra", "").split())
    project = tomllib.loads((ROOT / "services" / service / "pyproject.toml").read_text())["project"]
    assert {"s3", "tracing"} <= extras <= set(project["optional-dependencies"])
    installs = re.findall(r"^RUN /uv/bin/uv sync .*$", text, re.MULTILINE)
    assert len(installs) == 2
    assert all(line.endswith(" ${EXTRAS}") for line in installs)


@pytest.mark.parametrize("registry", ["", "https://registry.example.org", "registry.example.org/", "-x"])
def test_a_push_to_no_registry_is_refused_before_anything_is_built(registry):
    command = [sys.executable, ROOT / "deploy" / "images" / "build.py", f"--push={registry}"]
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "REGISTRY=registry.example.org/school" in done.stderr
    assert done.stdout == ""


def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_our_services_have_no_rights():
    for service, its in compose()["services"].items():
        if service not in SERVERS:
            assert its["read_only"] is True, service
            assert its["cap_drop"] == ["ALL"], service
            assert its["security_opt"] == ["no-new-privileges:true"], service


def test_the_proxy_of_compose_is_the_only_door():
    """Out: the ports of the proxy, or ports of gateway or insights beside it."""
    services = compose()["services"]
    assert not {"ports"} & {*services["gateway"], *services["insights"]}
    assert any(port.endswith(":8080") for port in services["proxy"]["ports"])
    caddyfile = (ROOT / "deploy" / "compose" / "Caddyfile").read_text()
    for service, port in (("gateway", "8080"), ("insights", "8081")):
        assert f"{{${service.upper()}_ADDRESS:{service}:{port}}}" in caddyfile


def test_nothing_listens_beyond_this_machine_by_default():
    for its in compose()["services"].values():
        for port in its.get("ports", []):
            assert port.startswith("${BIND:-127.0.0.1}:")


def test_each_service_of_compose_has_a_broker_user_of_its_own():
    services = compose()["services"]
    given = {name: (its.get("environment") or {}).get("EDUGRAPH_BROKER_URL", "") for name, its in services.items()}
    users = {name: re.search(r"//([a-z-]+):\$\{(\w+)", url).groups() for name, url in given.items() if url}
    assert users.pop("topology") == ("edugraph", "RABBITMQ_PASSWORD")
    as_whom = {"splits": "importer", "findings": "importer", "flower": "monitor"}
    for name, (user, password) in users.items():
        service = as_whom.get(name, name)
        assert (user, password) == (user_name("edugraph", service), f"RABBITMQ_{service.upper()}_PASSWORD")
        assert f'"{service}": "${{{password}' in services["topology"]["environment"]["EDUGRAPH_BROKER_USERS"]
    assert len(users) == 7


def test_each_service_of_compose_has_a_redis_user_of_its_own():
    """Who needs no Redis has its address only. Out: any EDUGRAPH_REDIS_URL of a service."""
    services = compose()["services"]
    given = {name: (its.get("environment") or {}).get("EDUGRAPH_REDIS_URL") for name, its in services.items()}
    logins = {name: url.removeprefix("redis://").rpartition("@")[0] for name, url in given.items() if url}
    as_whom = {name: name for name in SERVICES} | {"findings": "importer"}
    assert logins == {
        name: f"{redis_user(as_whom[name])}:${{REDIS_{as_whom[name].upper()}_PASSWORD}}" if name in as_whom else ""
        for name in logins
    }
    assert set(as_whom) < set(logins)


def test_redis_of_compose_starts_with_all_users(tmp_path):
    redis = compose()["services"]["redis"]
    assert "./deploy/k8s/files/redis-users.conf:/etc/edugraph/redis-users.conf:ro" in redis["volumes"]
    script = redis["command"][-1].replace("$$", "$").replace("/etc/edugraph/redis-users.conf", str(USERS))
    assert user_lines(script, tmp_path, set(redis["environment"])) == {
        line_of(service, hashlib.sha256(f"p&/${service}".encode()).hexdigest()) for service in SERVICES
    }


def test_the_analyzer_of_compose_reads_the_file_of_models_that_is_mounted():
    analyzer = compose()["services"]["analyzer"]
    path = analyzer["environment"]["EDUGRAPH_MODELS_FILE"]
    (mount,) = [each for each in analyzer["volumes"] if each.endswith(f":{path}:ro")]
    default = mount.removeprefix("${MODELS_FILE:-").partition("}")[0]
    assert read_models_file(ROOT / default, {}) == ModelsFile()
    shown = "\n".join(
        line.removeprefix("# ") for line in (ROOT / default).read_text().splitlines()[2:] if line.startswith("# ")
    )
    keys = {name: "k" for name in analyzer["environment"] if name.startswith("MODEL_KEY_")}
    assert ModelsFile.model_validate(tomllib.loads(shown)).endpoints[0].keys_from == tuple(sorted(keys))[:2]


def test_no_password_has_a_default():
    text = (ROOT / "compose.yaml").read_text()
    assert re.findall(r"\$\{[A-Z0-9_]*(?:PASSWORD|BOOTSTRAP_KEY):-[^}]*\}", text) == []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if re.match(r"[A-Z0-9_]*(PASSWORD|KEY)=", line):
            assert line.endswith("="), line


def test_env_is_random_and_whole():
    lines = (ROOT / ".env.example").read_text().splitlines()
    first, second = ([filled(line) for line in lines] for _ in range(2))
    secret = [
        n
        for n, line in enumerate(lines)
        if re.match(r"([A-Z0-9_]*PASSWORD|PRIVACY_SECRET|EDUGRAPH_BOOTSTRAP_KEY)=", line)
    ]
    assert len(secret) == 16
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        assert (one != other) == (number in secret), one
    values = [first[number].split("=")[1] for number in secret]
    assert min(map(len, values)) >= 32
    # An address holds them: no character may need quoting.
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", value) for value in values)


def test_a_given_value_is_kept():
    assert filled("REDIS_PASSWORD=mine") == "REDIS_PASSWORD=mine"
    assert filled("OPENAI_API_KEY=") == "OPENAI_API_KEY="
