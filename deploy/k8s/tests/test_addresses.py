"""Whatever address is configured, the pods that use it reach it through the chart's own policies, and no others do.

A value or a setting that names an address needs a row in ROWS.
"""

import json
import re
from typing import NamedTuple

import pytest
import yaml
from enforced import NAMESPACE, Network, Outside, Pod, component
from rendered_chart import CHART, containers, variables

DOORS = {"gateway", "insights"}
IMPORTERS = {"importer", "splits", "findings"}
WORKERS = {*IMPORTERS, "analyzer"}
COMPONENTS = (
    *DOORS,
    *WORKERS,
    "flower",
    "webhooks",
    "prepare",
    "backup",
    "digest",
    "rabbitmq",
    "redis",
    "neo4j",
    "test",
)
FEWEST_ADDRESSES = 11
FEWEST_OF_ONE_POD = 8  # in examples/small.yaml, whose services share one pod
SOMEWHERE = Outside("203.0.113.7")


class Way(NamedTuple):
    """Who reaches `target` at `port` with these settings, and nobody without them."""

    settings: tuple[str, ...]
    who: set[str]
    port: int
    target: Outside | Pod = SOMEWHERE


class See(NamedTuple):
    """What the chart makes this setting from."""

    row: str


def in_namespace(name: str) -> Pod:
    """Return a pod that somebody else runs in the same cluster."""
    return Pod({"app.kubernetes.io/name": "other"}, name)


def env(owner: str, name: str, value: str) -> str:
    return f"{owner}.env={json.dumps([{'name': name, 'value': value}])}"


def everywhere(name: str, value: str) -> tuple[str, ...]:
    return tuple(env(owner, name, value) for owner in ("gateway", "insights", "workerDefaults"))


def model_file(*urls: str) -> str:
    endpoints = [
        f'[[endpoints]]\nname = "{n}"\nbase_url = "{url}"\nkeys_from = ["K"]\n'
        for n, url in enumerate(urls)
    ]
    return f"analyzer.model.file={json.dumps(''.join(endpoints))}"


def server(name: str, more: str = "") -> tuple[str, ...]:
    external = {"existingSecret": "theirs", **json.loads(f"{{{more}}}")}
    return f"{name}.enabled=false", f"{name}.external={json.dumps(external)}"


def login(issuer: str) -> tuple[str, ...]:
    redirect = "https://edugraph.example.org/ui/callback"
    told = {"issuer": issuer, "existingSecret": "login", "redirectUrl": redirect}
    return (f"login={json.dumps(told)}",)


def webhooks(url: str) -> tuple[str, ...]:
    return (f"webhooks={json.dumps({'url': url, 'existingSecret': 'hook'})}",)


def backups(url: str, *secrets: str) -> tuple[str, ...]:
    told = {"enabled": True, "url": url} | dict.fromkeys(secrets, "keys")
    return tuple(f"backups.{name}={json.dumps(value)}" for name, value in told.items())


DIGEST = (
    "digest.enabled=true",
    'digest.existingSecret="mail"',
    'digest.pageUrl="https://a.example/ui/"',
    'digest.from="no-reply@a.example"',
)
BACKED_UP = ('blobs.url="s3://bucket/edugraph"', 'blobs.credentialsSecret="keys"')
GRAPH = {*IMPORTERS, "insights", "prepare"}
BROKER = {"gateway", "flower", "prepare", "webhooks", *WORKERS}
STORE = {"gateway", *WORKERS}
METADATA = Outside("169.254.169.254")

# Values by their path, and settings by their variable -> the ways that they open, or why there is none.
ROWS: dict[str, list[Way] | See | str] = {
    "login.issuer": [
        Way(login("https://id.example.org/realms/school"), DOORS, 443),
        Way(login("https://id.example.org:8443/realms/school"), DOORS, 8443),
        Way(login("https://10.20.0.7:8443"), DOORS, 8443, Outside("10.20.0.7")),
        Way(login("https://keycloak.identity.svc:8443/realms/a"), DOORS, 8443, in_namespace("identity")),
        Way(login("https://keycloak.identity.svc.cluster.local"), DOORS, 443, in_namespace("identity")),
        Way(login("https://keycloak.identity"), DOORS, 443, in_namespace("identity")),
        Way(login("https://keycloak:8443"), DOORS, 8443, in_namespace(NAMESPACE)),
        Way((*login("https://id.example.org"), "networkPolicy.issuerPorts=[8444]"), DOORS, 8444),
    ],
    "login.redirectUrl": "a browser goes there, and no pod",
    "monitoring.rules.runbookUrl": "a person opens it from an alert, and no pod",
    "backups.existingClaim": "a claim has no address",
    "backups.url": [
        Way(backups("s3://backups/school"), {"backup"}, 443),
        Way(backups("s3://backups/school", "credentialsSecret"), {"backup"}, 443),
        Way(backups("s3://backups/school"), {"backup"}, 80, METADATA),
        Way((*backups("s3://backups/school"), "networkPolicy.blobsPorts=[9000]"), {"backup"}, 9000),
        Way((*backups("s3://b/a"), *BACKED_UP), {"backup", *STORE}, 443),
    ],
    "blobs.url": [
        Way(('blobs.url="s3://bucket/edugraph"', 'blobs.credentialsSecret="keys"'), STORE, 443),
        Way(('blobs.url="s3://bucket"',), STORE, 80, METADATA),
        Way(('blobs.url="s3://bucket"',), STORE, 80, Outside("169.254.170.23")),
        Way(('blobs.url="gs://bucket"',), STORE, 988, Outside("169.254.169.252")),
        Way(('blobs.url="s3://bucket"', "networkPolicy.blobsPorts=[9000]"), STORE, 9000),
        Way(('blobs.url="s3://bucket"', "networkPolicy.blobsPorts=[9000]"), STORE, 443),
        Way(('blobs.url="sftp://files.example.org/a"',), STORE, 22),
        Way(('blobs.url="http://files.storage.svc:8000/a"',), STORE, 8000, in_namespace("storage")),
    ],
    "blobs.volume.accessMode": "a volume, which the kubelet mounts",
    "blobs.endpoint": [
        Way(('blobs.url="s3://bucket"', 'blobs.endpoint="https://s3.example.org:9000"'), STORE, 9000),
        Way(
            ('blobs.url="s3://bucket"', 'blobs.endpoint="http://minio.storage.svc:9000"'),
            STORE,
            9000,
            in_namespace("storage"),
        ),
    ],
    "blobs.credentialsSecret": [Way(('blobs.url="s3://bucket"', 'blobs.credentialsSecret="keys"'), STORE, 443)],
    "analyzer.model.existingSecret": [Way(('analyzer.model.existingSecret="model"',), {"analyzer"}, 443)],
    "analyzer.model.keysSecret": [Way(('analyzer.model.keysSecret="keys"',), {"analyzer"}, 443)],
    "analyzer.model.baseUrl": [
        Way(('analyzer.model.baseUrl="https://m.example.org:8443/v1"',), {"analyzer"}, 8443),
        Way(('analyzer.model.baseUrl="http://ollama:11434/v1"',), {"analyzer"}, 11434, in_namespace(NAMESPACE)),
        Way(('analyzer.model.baseUrl="http://vllm.models.svc/v1"',), {"analyzer"}, 80, in_namespace("models")),
        Way(
            ('analyzer.model.baseUrl="http://vllm.models.svc/v1"', "networkPolicy.providerPorts=[8000]"),
            {"analyzer"},
            8000,
            in_namespace("models"),
        ),
    ],
    "analyzer.model.file": [
        Way((model_file("https://one.example.org/v1"), 'analyzer.model.keysSecret="keys"'), {"analyzer"}, 443),
        Way((model_file("https://one.example.org/v1", "http://10.20.0.7:8000/v1"),), {"analyzer"}, 8000),
        Way((model_file("http://a:1/v1", "http://b.models.svc:2"),), {"analyzer"}, 2, in_namespace("models")),
        Way(('analyzer.model.file="[[endpoints]]\\nname=\'one\'\\nkeys_from=[\'K\']"',), {"analyzer"}, 443),
        Way(('analyzer.model.file="[models.a]"', 'analyzer.model.keysSecret="keys"'), {"analyzer"}, 443),
    ],
    "webhooks.url": [
        Way(webhooks("https://a.example.org/in"), {"webhooks"}, 443),
        Way(webhooks("http://portal.school.svc.cluster.local:8000/in"), {"webhooks"}, 8000, in_namespace("school")),
    ],
    "digest.pageUrl": "a person opens it from a mail, and no pod",
    "digest.existingSecret": [Way(DIGEST, {"digest"}, 587)],
    "digest.port": [Way((*DIGEST, "digest.port=465"), {"digest"}, 465)],
    "webhooks.existingSecret": "the secret that signs",
    "rabbitmq.vhost": "a name within the broker",
    "rabbitmq.external.existingSecret": [Way(server("rabbitmq"), BROKER, 5672)],
    "rabbitmq.external.port": [Way(server("rabbitmq", '"port": 5671'), BROKER, 5671)],
    "rabbitmq.external.urlKey": "a key of that Secret",
    "rabbitmq.external.managementUrlKey": "a key of that Secret",
    "rabbitmq.external.managementPort": [Way(server("rabbitmq", '"managementPort": 15671'), BROKER, 15671)],
    "redis.external.existingSecret": [
        Way(server("redis"), {*DOORS, *WORKERS, "flower", "prepare"}, 6379),
        # Pods of an operator in the same cluster.
        Way(server("redis"), {*DOORS, *WORKERS, "flower", "prepare"}, 6379, in_namespace("data")),
    ],
    "redis.external.port": [Way(server("redis", '"port": 6380'), {*DOORS, *WORKERS, "flower", "prepare"}, 6380)],
    "redis.external.urlKey": "a key of that Secret",
    "redis.external.urlKeys": "keys of that Secret",
    "neo4j.external.uri": [
        Way(server("neo4j", '"uri": "neo4j+s://graph.example.org"'), GRAPH, 7687),
        Way(server("neo4j", '"uri": "bolt://graph.example.org:7688"'), GRAPH, 7688),
        Way(server("neo4j", '"uri": "neo4j://graph.data.svc.cluster.local:7687"'), GRAPH, 7687, in_namespace("data")),
    ],
    "neo4j.external.port": [Way(server("neo4j", '"uri": "neo4j+s://graph.example.org", "port": 7689'), GRAPH, 7689)],
    "gateway.ingress.host": "a name for callers",
    "gateway.httpRoute.hostnames": "names for callers",
    "images.registry": "the kubelet pulls images",
    "images.serverRegistry": "the kubelet pulls images",
    # --- settings
    "EDUGRAPH_BROKER_URL": See("rabbitmq.external.existingSecret"),
    "EDUGRAPH_BROKER_MANAGEMENT_URL": See("rabbitmq.external.existingSecret"),
    "EDUGRAPH_REDIS_URL": See("redis.external.existingSecret"),
    "EDUGRAPH_BLOB_URL": See("blobs.url"),
    "EDUGRAPH_NEO4J_URI": See("neo4j.external.uri"),
    "EDUGRAPH_IMPORTS_FROM": [
        Way(everywhere("EDUGRAPH_IMPORTS_FROM", "https://exports.example.org/2026/"), {*DOORS, *WORKERS}, 443),
        Way(
            (env("gateway", "EDUGRAPH_IMPORTS_FROM", "s3://a/b/ http://files.lms.svc:8000/x/"),),
            {"gateway"},
            8000,
            in_namespace("lms"),
        ),
        Way((env("workers.splits", "EDUGRAPH_IMPORTS_FROM", "s3://exports/2026/"),), {"splits"}, 443),
        Way((env("workers.splits", "EDUGRAPH_IMPORTS_FROM", "s3://exports/2026/"),), {"splits"}, 80, METADATA),
    ],
    "EDUGRAPH_PLATFORM_PREFIXES": "names of platforms, which nobody calls",
    "EDUGRAPH_XAPI_ORIGINS": "pages in browsers, which nobody calls",
    "EDUGRAPH_METRICS_HOST": "where a pod listens",
    "EDUGRAPH_HOST": "where a pod listens",
    "EDUGRAPH_INSIGHTS_HOST": "where a pod listens",
    "EDUGRAPH_TRACING": [
        Way(
            everywhere("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.tracing.svc:4318"),
            {*DOORS, *WORKERS},
            4318,
            in_namespace("tracing"),
        ),
        Way((env("gateway", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t.example.org:4318/v1"),), {"gateway"}, 4318),
        Way((env("gateway", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://$(NODE_IP):4318"),), {"gateway"}, 4318),
    ],
    "EDUGRAPH_OPENAI_BASE_URL": [
        Way((env("workers.analyzer", "OPENAI_BASE_URL", "http://ollama:11434/v1"),), {"analyzer"}, 11434, in_namespace(NAMESPACE)),
        Way((env("workers.analyzer", "EDUGRAPH_OPENAI_API_KEY", "x"),), {"analyzer"}, 443),
    ],
    "EDUGRAPH_OPENAI_API_KEY": See("analyzer.model.existingSecret"),
    "EDUGRAPH_MODELS_FILE": See("analyzer.model.file"),
    "EDUGRAPH_OIDC_ISSUER": [Way((env("gateway", "EDUGRAPH_OIDC_ISSUER", "https://id.example.org:8443"),), {"gateway"}, 8443)],
    "EDUGRAPH_LTI_PLATFORMS": [
        Way((env("insights", "EDUGRAPH_LTI_PLATFORMS", json.dumps({"lms": {"issuer": "https://lms.example.org", "keys_url": "https://lms.example.org:8444/keys"}})),), {"insights"}, 8444),
    ],
    "EDUGRAPH_LTI_LAUNCH_URL": "a browser goes there, and no pod",
    "EDUGRAPH_WEBHOOK_URL": See("webhooks.url"),
    "EDUGRAPH_WEBHOOK_TIMEOUT_SECONDS": "a time",
    "EDUGRAPH_OIDC_EMAIL_CLAIM": "a name in a token",
    "EDUGRAPH_DIGEST_PAGE_URL": "a person opens it from a mail, and no pod",
    "EDUGRAPH_SMTP_URL": See("digest.existingSecret"),
    "EDUGRAPH_SMTP_FROM": "the sender of a mail",
    "EDUGRAPH_DIGEST_CHATS": "test_digest.py: the command to the port of chats",
    "digest.chatsPort": "test_digest.py: the command to the port of chats",
    "EDUGRAPH_OIDC_REDIRECT_URL": "a browser goes there, and no pod",
    "EDUGRAPH_URL": "in a pod of the gateway it is that pod",
    "EDUGRAPH_INSIGHTS_URL": "test_network.py: gateway to insights",
}  # fmt: skip

NAMES_AN_ADDRESS = re.compile(
    r"ur[il]|endpoint|issuer|host|registry|address|port$|server|proxy|domain|dsn|broker|collector",
    re.IGNORECASE,
)
SPEAKS_OF_ONE = re.compile(r"://|\burls?\b|endpoint|\baddress(es)?\b|otlp", re.IGNORECASE)


def values_with_addresses() -> set[str]:
    """Return the values whose name, comment or pattern in the schema speaks of an address."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    comments = _comments((CHART / "values.yaml").read_text(encoding="utf-8"))
    found = set()
    for path, rules in _leaves(schema, schema, ""):
        key = path.rsplit(".", 1)[-1]
        speaks = SPEAKS_OF_ONE.search(comments.get(path, "")) or "://" in json.dumps(rules)
        if NAMES_AN_ADDRESS.search(key) or speaks:
            found.add(path)
    return found


def _leaves(schema, root, path):
    """Yield each value that has no values below it, with its part of the schema."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    for key, rules in schema.get("properties", {}).items():
        below = f"{path}.{key}".removeprefix(".")
        if "$ref" in rules or "properties" in rules:
            yield from _leaves(rules, root, below)
        else:
            yield below, rules


def _comments(text):
    """Return the comment above each value of values.yaml."""
    comments = {}
    above = ""
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            above += stripped
            continue
        key = re.match(r"( *)([A-Za-z0-9]+):", line)
        if key:
            depth = len(key[1])
            parents = [parent for parent in parents if parent[0] < depth]
            parents.append((depth, key[2]))
            comments[".".join(name for _, name in parents)] = above
        above = ""
    return comments


def settings_with_addresses() -> set[str]:
    """Return such variables of docs/configuration.md, which is made from the classes of settings."""
    page = (CHART.parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z0-9_]+)`.*? \| .*? \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 80
    found = set()
    for name, meaning in rows:
        if re.search(r"_(UR[IL]|ISSUER|ENDPOINT|HOST|ADDRESS|FROM)$", name) or SPEAKS_OF_ONE.search(
            meaning
        ):
            found.add(name)
    return found


# They say who may speak with whom, and where a Service listens.
OF_POLICIES = re.compile(r"networkPolicy\..*|.*\.service\.port")


def test_each_value_and_setting_that_names_an_address_has_a_row():
    """Out: any row; then add a value such as `mirror.url` to the schema."""
    values = {path for path in values_with_addresses() if not OF_POLICIES.fullmatch(path)}
    needed = values | settings_with_addresses()
    assert needed - set(ROWS) == set()
    for ways in ROWS.values():
        assert not isinstance(ways, See) or isinstance(ROWS[ways.row], list)


def _cases():
    for row, ways in ROWS.items():
        if isinstance(ways, list):
            for number, way in enumerate(ways):
                yield pytest.param(way, id=f"{row}-{number}")


@pytest.mark.parametrize("way", list(_cases()))
def test_who_has_an_address_reaches_it_and_nobody_else(chart, way):
    """Out: any part of _addresses.tpl."""
    for settings, expected in ((way.settings, way.who), ((), set())):
        network = Network(chart.render(*settings))
        there = {
            who for who in COMPONENTS if network.connects(component(who), way.target, way.port)
        }
        assert there == expected, settings


def test_a_service_of_the_cluster_opens_nothing_outside_and_none_of_our_servers(chart):
    """Out: the peers of the part beside the namespace, or NotIn."""
    network = Network(
        chart.render(
            'analyzer.model.baseUrl="http://ollama:7687/v1"', *login("https://k.id.svc:7687")
        )
    )
    assert network.connects(component("analyzer"), in_namespace(NAMESPACE), 7687)
    for who in ("analyzer", "gateway"):
        assert not network.leaves(component(who), SOMEWHERE, 7687)
        assert not network.leaves(component(who), component("neo4j"), 7687)


URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://(?:[^\s\"'/@]*@)?([^\s\"':/;]+)(?::(\d+))?")
USUAL_PORTS = {"http": 80, "https": 443, "neo4j+s": 7687, "s3": 443}
# Settings that all pods have, and some do not use.
NOT_USED_BY = {
    "EDUGRAPH_BLOB_URL": {"insights", "digest", "flower", "webhooks", "prepare", "test"},
    "EDUGRAPH_REDIS_URL": {"prepare", "webhooks", "backup"},
    "EDUGRAPH_OIDC_REDIRECT_URL": {"insights"},  # a browser goes there
    "EDUGRAPH_DIGEST_PAGE_URL": {"insights", "digest"},  # a person opens it from a mail
}


def _addresses(objects, pods):
    """Yield the component, host and port of each address that a rendered pod has in a variable or a file."""
    maps = {
        each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"
    }
    for name, spec in pods(objects).items():
        owner = re.sub(r"^\w+/edugraph-", "", name)
        owner = re.sub(r"^(prepare|test|backup)-.*", r"\1", owner)
        if name.startswith("StatefulSet/"):
            continue  # servers call nobody
        for container in containers(spec):
            texts = {
                each: variable.get("value", "") for each, variable in variables(container).items()
            }
            for source in container.get("envFrom", ()):
                texts |= maps.get(source.get("configMapRef", {}).get("name"), {})
            for volume in spec.get("volumes", ()):
                texts |= maps.get(volume.get("configMap", {}).get("name"), {})
            for variable, text in texts.items():
                if variable in NOT_USED_BY and owner in NOT_USED_BY[variable]:
                    continue
                for scheme, host, port in URL.findall(text):
                    yield owner, host, int(port or USUAL_PORTS[scheme])


def test_each_address_of_a_rendered_pod_can_be_reached(chart, example, pods):
    objects = chart.render(example=example)
    network = Network(objects)
    services = {
        each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "Service"
    }
    # Within the networks that production.yaml names, and in the namespace that everything.yaml does.
    places = {
        "graph.example.org": Outside("10.20.0.7"),
        "collector.tracing.svc": in_namespace("tracing"),
    }
    tried = set()
    for owner, host, port in _addresses(objects, pods):
        if host == "127.0.0.1":
            continue
        target, target_port = places.get(host, SOMEWHERE), port
        if host in services:
            target = Pod(services[host]["selector"])
            (target_port,) = [
                _at_pod(objects, host, each)
                for each in services[host]["ports"]
                if each["port"] == port
            ]
        assert network.connects(component(owner), target, target_port), (owner, host, port)
        tried.add((owner, host))
    fewest = FEWEST_ADDRESSES
    if example == "small":
        fewest = FEWEST_OF_ONE_POD
    assert len(tried) >= fewest


def _at_pod(objects, service, port):
    """Return the number of the port at the pods of a Service."""
    wanted = port.get("targetPort", port["port"])
    if isinstance(wanted, int):
        return wanted
    for item in objects:
        if item["kind"] in ("Deployment", "StatefulSet") and item["metadata"]["name"] == service:
            for container in item["spec"]["template"]["spec"]["containers"]:
                for each in container["ports"]:
                    if each["name"] == wanted:
                        return each["containerPort"]
    raise AssertionError(f"{service} has no port {wanted}")


def test_the_page_of_values_is_read_as_yaml_reads_it():
    """The comments above are looked up by path, so that a path that nobody reads would hide a value."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    paths = _comments((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert "login.issuer" in paths
    for path in ("login.issuer", "neo4j.external.uri", "analyzer.model.file"):
        value = values
        for key in path.split("."):
            value = value[key]
        assert path in paths
