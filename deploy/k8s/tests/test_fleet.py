"""The fleet of deploy/fleet: each school is rendered, and no two schools share a name of anything that holds data."""

import itertools
import re
import subprocess
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from enforced import Network, Pod
from rendered_chart import APIS, CHART, containers

from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.shared_state.redis_users import SERVICES, redis_user
from tools.helm import program

FLEET = CHART.parent / "fleet"
DOCS = CHART.parents[1] / "docs"
SET_FILE = FLEET / "applicationset.yaml"
NAMES = sorted(path.parent.name for path in FLEET.glob("schools/*/school.yaml"))
# Argo CD makes names of namespaces, hosts and buckets from a school's name.
SCHOOL_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")
KINDS = {
    "application",
    "namespace",
    "virtual host",
    "queue",
    "user of RabbitMQ",
    "key prefix",
    "user of Redis",
    "Secret",
    "entry of the store",
    "role of the store",
    "blobs",
    "backups",
    "host",
    "release label",
}


def helm_template(*arguments):
    done = subprocess.run(
        [str(program("4")), "template", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def parameters(name):
    """Return what the git generator of Argo CD gives to the template."""
    path = FLEET / "schools" / name / "school.yaml"
    school = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {**school, "path": {"basename": name, "path": f"schools/{name}"}}


def application(name, set_text, folder):
    """Return the Application that Argo CD makes. Helm has the same template functions as Argo CD."""
    template = yaml.safe_load(set_text)["spec"]["template"]
    helm = template["spec"]["sources"][1]["helm"]
    inline = helm.pop("values")
    maker = folder / "maker"
    (maker / "templates").mkdir(parents=True, exist_ok=True)
    (maker / "Chart.yaml").write_text("{apiVersion: v2, name: maker, version: 0.0.0}")
    (maker / "values.yaml").write_text(yaml.safe_dump(parameters(name)))
    # The values are a text in the template. They would not survive a second pass through YAML.
    texts = {"application": yaml.safe_dump(template), "values": inline}
    made = {}
    for part, text in texts.items():
        (maker / "templates" / "part.yaml").write_text(
            f"{{{{ with .Values }}}}\n{rooted(text)}{{{{ end }}}}\n"
        )
        made[part] = yaml.safe_load(helm_template("maker", maker))
    made["application"]["values"] = made["values"]
    return made["application"]


def rooted(text):
    """Return the template with `$` as the parameters of a school, which are the values of the chart here."""
    return text.replace("$.", "$.Values.")


def rendered(name, folder, set_text=None):
    """Return the Application of a school and the objects that the chart makes for it."""
    text = set_text or SET_FILE.read_text(encoding="utf-8")
    made = application(name, text, folder)
    helm = made["spec"]["sources"][1]["helm"]
    files = [FLEET / file.removeprefix("$fleet/") for file in helm["valueFiles"]]
    inline = folder / "inline.yaml"
    inline.write_text(yaml.safe_dump(made["values"]))
    arguments = []
    for file in [*files, inline]:
        if file.exists():
            arguments += ["--values", file]
    for api in APIS:
        arguments += ["--api-versions", api]
    text = helm_template(helm["releaseName"], CHART, *arguments)
    return made, [each for each in yaml.safe_load_all(text) if each]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return {name: rendered(name, tmp_path_factory.mktemp(name)) for name in NAMES}


def pod_specs(objects):
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec and "spec" in spec["template"]:
            yield spec["template"]["spec"]


def secrets_read(objects):
    """Yield the name and the key of each Secret that a pod reads; no key where it reads all of them."""
    for spec in pod_specs(objects):
        for container in containers(spec):
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    yield reference["name"], reference["key"]
            for source in container.get("envFrom", []):
                if "secretRef" in source:
                    yield source["secretRef"]["name"], None


def of_kind(objects, kind):
    return [each for each in objects if each["kind"] == kind]


def claims(made, objects):
    """Yield a kind and a name for whatever belongs to one school only."""
    namespace = made["spec"]["destination"]["namespace"]
    yield "application", made["metadata"]["name"]
    yield "namespace", namespace
    for secret, _ in secrets_read(objects):
        yield "Secret", f"{namespace}/{secret}"
    yield from claims_of_settings(objects)
    yield from claims_of_backups(objects)
    yield from claims_of_secrets(objects)
    for ingress in of_kind(objects, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            yield "host", rule["host"]
    yield from claims_of_monitors(objects)


def claims_of_settings(objects):
    for each in of_kind(objects, "ConfigMap"):
        if not each["metadata"]["name"].endswith("-settings"):
            continue
        prefix = each["data"]["EDUGRAPH_REDIS_KEY_PREFIX"]
        yield "key prefix", prefix
        for service in SERVICES:
            yield "user of Redis", redis_user(service, prefix)
        yield "blobs", each["data"]["EDUGRAPH_BLOB_URL"]


def claims_of_backups(objects):
    for spec in pod_specs(of_kind(objects, "CronJob")):
        for argument in spec["containers"][0].get("args", []):
            if argument.startswith("--to="):
                yield "backups", argument.removeprefix("--to=")


def claims_of_secrets(objects):
    for store in of_kind(objects, "SecretStore"):
        yield "role of the store", store["spec"]["provider"]["vault"]["auth"]["kubernetes"]["role"]
    for external in of_kind(objects, "ExternalSecret"):
        for source in external["spec"]["dataFrom"]:
            yield "entry of the store", source["extract"]["key"]
        texts = external["spec"].get("target", {}).get("template", {}).get("data", {})
        for key, text in texts.items():
            address = urlsplit(text)
            yield "user of RabbitMQ", address.username
            if key == "broker-url":
                vhost = unquote(address.path.removeprefix("/"))
                yield "virtual host", vhost
                for queue in QUEUES:
                    yield "queue", f"{vhost}/{queue}"


def claims_of_monitors(objects):
    for monitor in of_kind(objects, "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            for relabeling in endpoint.get("relabelings", []):
                if relabeling["targetLabel"] == "release":
                    yield "release label", relabeling["replacement"]


def shared(schools):
    """Return the kinds of names that two of these schools have in common."""
    found = set()
    for (made, objects), (other_made, other_objects) in itertools.combinations(schools, 2):
        ours = set(claims(made, objects))
        theirs = set(claims(other_made, other_objects))
        found |= {kind for kind, _ in ours & theirs}
    return found


def test_no_two_schools_share_a_name(fleet):
    assert len(fleet) == 3
    for school in fleet.values():
        assert {kind for kind, _ in claims(*school)} == KINDS
    assert shared(fleet.values()) == set()


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ('keyPrefix: "{{ .path.basename }}:"', 'keyPrefix: "a:"', {"key prefix", "user of Redis"}),
        ("5671/{{ .path.basename }}", "5671/a", {"virtual host", "queue"}),
        ("edugraph-schools/{{ .path.basename }}/blobs", "edugraph-schools/blobs", {"blobs"}),
        ("edugraph-backups/{{ .path.basename }}", "edugraph-backups", {"backups"}),
        ("host: {{ .path.basename }}.", "host: a.", {"host"}),
        ("namespace: edugraph-{{ .path.basename }}", "namespace: a", {"namespace", "Secret"}),
        ("key: {{ $.path.basename }}/{{ . }}", "key: {{ . }}", {"entry of the store"}),
        ("role: edugraph-{{ .path.basename }}", "role: edugraph", {"role of the store"}),
        ("://{{ .path.basename }}:{{", "://a:{{", {"user of RabbitMQ"}),
        ('releaseName: "{{ .path.basename }}"', "releaseName: edugraph", {"release label"}),
    ],
)
def test_a_name_that_is_shared_is_found(tmp_path, before, after, kinds):
    """The check above finds each name that does not come from the school."""
    text = SET_FILE.read_text(encoding="utf-8")
    assert before in text
    changed = text.replace(before, after)
    pair = []
    for name in NAMES[:2]:
        folder = tmp_path / name
        folder.mkdir()
        pair.append(rendered(name, folder, changed))
    assert shared(pair) == kinds


def test_no_name_begins_with_the_name_of_another_school(fleet):
    """Permissions of Redis and of buckets are by the beginning of a name."""
    for name in NAMES:
        assert SCHOOL_NAME.fullmatch(name)
    beginnings = []
    for school in fleet.values():
        of_school = set()
        for kind, value in claims(*school):
            if kind in {"key prefix", "blobs", "backups"}:
                of_school.add(value if kind == "key prefix" else f"{value}/")
        beginnings.append(of_school)
    for ours, theirs in itertools.permutations(beginnings, 2):
        for one, other in itertools.product(ours, theirs):
            assert not one.startswith(other)


def test_a_file_of_a_school_does_not_change_its_names():
    """Out: `values` of the ApplicationSet in a file, which Argo CD reads before the school's own."""
    helm = yaml.safe_load(SET_FILE.read_text(encoding="utf-8"))["spec"]["template"]["spec"][
        "sources"
    ][1]["helm"]
    for file in (
        FLEET / "values.yaml",
        *FLEET.glob("sizes/*.yaml"),
        *FLEET.glob("schools/*/values.yaml"),
    ):
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert "keyPrefix" not in given.get("redis", {})
        assert "vhost" not in given.get("rabbitmq", {})
        assert "extraObjects" not in given
    assert "keyPrefix" in helm["values"]
    assert "parameters" not in helm


def test_pods_read_only_secrets_that_their_namespace_has(fleet):
    pages = [DOCS / "several-schools.md", DOCS / "several-schools.zh-CN.md"]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    for _, objects in fleet.values():
        made = {
            each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "ExternalSecret")
        }
        for name, key in secrets_read(objects):
            assert name in made
            if key is None:
                continue
            template = made[name].get("target", {}).get("template", {}).get("data")
            if template:
                assert key in template
                continue
            # The step that adds a school puts these keys into the store.
            assert all(key in text for text in texts), f"{name} needs {key}"


def test_the_canary_comes_first_and_the_others_one_by_one(fleet):
    spec = yaml.safe_load(SET_FILE.read_text(encoding="utf-8"))["spec"]
    steps = spec["strategy"]["rollingSync"]["steps"]
    schools_of_step = []
    for step in steps:
        (expression,) = step["matchExpressions"]
        matching = [
            name
            for name, (made, _) in fleet.items()
            if made["metadata"]["labels"][expression["key"]] in expression["values"]
        ]
        schools_of_step.append(matching)
    first, others = schools_of_step
    assert len(first) == 1
    assert sorted([*first, *others]) == NAMES
    assert steps[1]["maxUpdate"] == 1
    # Autosync would not wait for the step.
    assert "automated" not in spec["template"]["spec"]["syncPolicy"]
    assert spec["syncPolicy"]["preserveResourcesOnDeletion"] is True


def test_each_school_has_a_graph_of_its_own_that_others_do_not_reach(fleet):
    for _, objects in fleet.values():
        (graph,) = [
            each
            for each in of_kind(objects, "StatefulSet")
            if each["metadata"]["labels"]["app.kubernetes.io/component"] == "neo4j"
        ]
        labels = graph["spec"]["template"]["metadata"]["labels"]
        # The one pod of a small school has the labels of its gateway.
        readers = []
        for component in ("gateway", "insights"):
            readers.append(Pod({**labels, "app.kubernetes.io/component": component}))
        network = Network(objects)
        assert any(network.connects(reader, Pod(labels), 7687) for reader in readers)
        for reader in readers:
            assert not network.connects(Pod(reader.labels, "edugraph-other"), Pod(labels), 7687)
            assert not network.leaves(reader, Pod(labels, "edugraph-other"), 7687)


def test_one_school_brings_the_dashboards(fleet):
    """Grafana refuses a second dashboard with the same id."""
    bringing = []
    for name, (_, objects) in fleet.items():
        if any("-dashboard-" in each["metadata"]["name"] for each in of_kind(objects, "ConfigMap")):
            bringing.append(name)
    assert len(bringing) == 1


def test_the_project_allows_the_namespaces_of_schools_only(fleet):
    project = yaml.safe_load((FLEET / "project.yaml").read_text(encoding="utf-8"))
    (destination,) = project["spec"]["destinations"]
    assert destination["namespace"] == "edugraph-*"
    for made, _ in fleet.values():
        assert made["spec"]["project"] == project["metadata"]["name"]
        assert made["spec"]["destination"]["namespace"].startswith("edugraph-")
        for source in made["spec"]["sources"]:
            assert source["repoURL"] in project["spec"]["sourceRepos"]
