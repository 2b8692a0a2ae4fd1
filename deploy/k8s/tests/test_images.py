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

from edugraph_common.runtime.messaging.users import permissions, user_name
from edugraph_common.runtime.shared_state.redis_users import SERVICES, line_of, redis_user

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
        [Path(sys.executable).parent / "hadolint", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("path", DOCKERFILES, ids=name)
def test_a_dockerfile_keeps_the_rules(path):
    final = path.read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER \d+:0$", final, re.MULTILINE), (
        "a numeric user, of the group that any id belongs to"
    )
    assert re.search(r'^CMD \["', final, re.MULTILINE), (
        "no shell between the container and its process"
    )
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
    installs = re.findall(r"^RUN (/uv/bin/uv sync [^\\\n]*)", text, re.MULTILINE)
    assert len(installs) == 2
    assert all(command.rstrip().endswith(" ${EXTRAS}") for command in installs)


@pytest.mark.parametrize(
    "registry", ["", "https://registry.example.org", "registry.example.org/", "-x"]
)
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
    caddyfile = (ROOT / "deploy" / "k8s" / "files" / "Caddyfile").read_text()
    for service, port in (("gateway", "8080"), ("insights", "8081")):
        assert f"{{${service.upper()}_ADDRESS:{service}:{port}}}" in caddyfile


def test_importers_of_compose_start_when_the_graph_is_prepared():
    """Out: `prepare` in depends_on of the importer."""
    services = compose()["services"]
    assert services["prepare"]["command"] == ["python", "-m", "edugraph_importer.prepare"]
    assert services["prepare"]["depends_on"] == {"neo4j": {"condition": "service_healthy"}}
    for name, its in services.items():
        if any("edugraph_importer.worker" in part for part in its.get("command", ())):
            assert its["depends_on"]["prepare"] == {
                "condition": "service_completed_successfully"
            }, name
            assert its["image"] == services["prepare"]["image"], name


def test_nothing_listens_beyond_this_machine_by_default():
    for its in compose()["services"].values():
        for port in its.get("ports", []):
            assert port.startswith("${BIND:-127.0.0.1}:")


# The services of our packages that read or write the graph; Neo4j Community has one user for all.
OF_THE_GRAPH = {"importer", "insights"}
OPERATOR = "operator"


def our_services():
    """Return the services of compose.yaml that run our code, by name."""
    return {
        name: its
        for name, its in compose()["services"].items()
        if its["image"].startswith("edugraph/")
    }


def package_of(service):
    """Return whose code a service of compose runs: it is read from its command, or else from its image."""
    command = " ".join(service.get("command", []))
    if command.startswith("edugraph topology"):
        return OPERATOR
    if command == "edugraph-digest":
        return "insights"
    found = re.search(r"--app=edugraph_(\w+)\.worker|-m edugraph_(\w+)\.|^edugraph-(\w+)", command)
    if found:
        return next(name for name in found.groups() if name)
    assert command == "", f"a command of an unknown package: {command}"
    package = service["image"].removeprefix("edugraph/").partition(":")[0]
    return "monitor" if package == "flower" else package


def login_of(service, variable):
    """Return user and password of an address as compose.yaml writes them, or None without the address."""
    address = service.get("environment", {}).get(variable)
    if not address:
        return None
    return address.partition("://")[2].rpartition("@")[0]


def test_packages_of_compose_are_told_by_their_commands():
    packages = {name: package_of(its) for name, its in our_services().items()}
    assert packages["splits"] == packages["findings"] == packages["importer"] == "importer"
    assert {packages["gateway"], packages["webhooks"], packages["flower"]} == {
        "gateway",
        "webhooks",
        "monitor",
    }
    assert packages["topology"] == OPERATOR


@pytest.mark.parametrize("variable", ["EDUGRAPH_BROKER_URL", "EDUGRAPH_BROKER_MANAGEMENT_URL"])
def test_each_service_of_compose_is_its_packages_user_of_the_broker(variable):
    """Out: the broker's address of a service, or the user in it."""
    made = our_services()["topology"]["environment"]["EDUGRAPH_BROKER_USERS"]
    for name, its in our_services().items():
        package = package_of(its)
        login = login_of(its, variable)
        if package == OPERATOR:
            assert login.startswith("edugraph:${RABBITMQ_PASSWORD"), name
        elif login is not None:
            password = f"RABBITMQ_{package.upper()}_PASSWORD"
            assert login == f"{user_name('edugraph', package)}:${{{password}}}", name
            assert f'"{package}": "${{{password}' in made, name


def test_each_service_of_compose_is_its_packages_user_of_redis():
    """Out: the address of `splits`. A package without a user never connects, and its address has no user."""
    for name, its in our_services().items():
        package = package_of(its)
        login = login_of(its, "EDUGRAPH_REDIS_URL")
        if package not in SERVICES:
            assert not login, name
        elif login is not None:
            assert login == f"{redis_user(package)}:${{REDIS_{package.upper()}_PASSWORD}}", name


def test_each_service_of_compose_that_stays_has_the_addresses_of_its_package():
    """Jobs that run once need some of them only. Out: any address of a worker, of the gateway or of insights."""
    for name, its in our_services().items():
        if its["restart"] != "unless-stopped":
            continue
        package = package_of(its)
        if package in permissions():
            assert login_of(its, "EDUGRAPH_BROKER_URL"), name
        if package in SERVICES:
            assert login_of(its, "EDUGRAPH_REDIS_URL"), name
        if package in OF_THE_GRAPH:
            assert its["environment"]["EDUGRAPH_NEO4J_PASSWORD"].startswith("${NEO4J_PASSWORD"), (
                name
            )
        else:
            assert "EDUGRAPH_NEO4J_PASSWORD" not in its["environment"], name


def test_no_address_with_a_login_is_shared_by_all_services_of_compose():
    """What a service does not say must be missing, so that it does not start: it must not be somebody else's."""
    shared = compose()["x-environment"]
    assert not {
        name for name in shared if name.endswith(("REDIS_URL", "BROKER_URL", "MANAGEMENT_URL"))
    }


def test_redis_of_compose_starts_with_all_users(tmp_path):
    redis = compose()["services"]["redis"]
    assert (
        "./deploy/k8s/files/redis-users.conf:/etc/edugraph/redis-users.conf:ro" in redis["volumes"]
    )
    script = (
        redis["command"][-1]
        .replace("$$", "$")
        .replace("/etc/edugraph/redis-users.conf", str(USERS))
    )
    assert user_lines(script, tmp_path, set(redis["environment"])) == {
        line_of(service, hashlib.sha256(f"p&/${service}".encode()).hexdigest())
        for service in SERVICES
    }


def test_the_analyzer_of_compose_reads_the_file_of_models_that_is_mounted():
    analyzer = compose()["services"]["analyzer"]
    path = analyzer["environment"]["EDUGRAPH_MODELS_FILE"]
    (mount,) = [each for each in analyzer["volumes"] if each.endswith(f":{path}:ro")]
    default = mount.removeprefix("${MODELS_FILE:-").partition("}")[0]
    assert read_models_file(ROOT / default, {}) == ModelsFile()
    shown = "\n".join(
        line.removeprefix("# ")
        for line in (ROOT / default).read_text().splitlines()[2:]
        if line.startswith("# ")
    )
    keys = {name: "k" for name in analyzer["environment"] if name.startswith("MODEL_KEY_")}
    assert (
        ModelsFile.model_validate(tomllib.loads(shown)).endpoints[0].keys_from
        == tuple(sorted(keys))[:2]
    )


def test_no_password_has_a_default():
    text = (ROOT / "compose.yaml").read_text()
    assert re.findall(r"\$\{[A-Z0-9_]*(?:PASSWORD|BOOTSTRAP_KEY):-[^}]*\}", text) == []
    for line in (ROOT / ".env.example").read_text().splitlines():
        if re.match(r"[A-Z0-9_]*(PASSWORD|KEY)=", line):
            assert line.endswith("="), line


def test_podman_compose_understands_every_value_of_env():
    """Docker Compose knows `${A:+B}` and a value within a value; podman-compose hands on what is left of them."""
    understood = re.compile(r"\$\{[A-Z0-9_]+(:[-?][^${}]*)?\}")
    for name in ("compose.yaml", "deploy/compose/trial_files.yaml"):
        rest = understood.sub("", (ROOT / name).read_text())
        assert "${" not in rest, name


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
