"""What all pods promise: restricted, stoppable without loss, probed by what they really do."""

import hashlib
import json
import re

import pytest
import yaml
from rendered_chart import CHART, Chart, containers, user_lines, variables

from edugraph_common.runtime.messaging.users import permissions, user_name
from edugraph_common.runtime.shared_state.redis_users import SERVICES, line_of, redis_user

CAPABILITIES = {"drop": ["ALL"]}
# The restricted level allows this one. The program in Caddy's image is not started without it.
PROXY = {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}


def test_restricted_pod_security(chart, example, pods):
    """The rules of the restricted level, https://kubernetes.io/docs/concepts/security/pod-security-standards/."""
    for name, spec in pods(chart.render(example=example)).items():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= {
                "configMap",
                "emptyDir",
                "secret",
                "persistentVolumeClaim",
            }, name
        for container in containers(spec):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            may_bind = container["name"] == "proxy"
            assert security["capabilities"] == (PROXY if may_bind else CAPABILITIES), name
            assert "privileged" not in security, name
            assert not [port for port in container.get("ports", []) if "hostPort" in port], name


def test_only_insights_knows_the_client_by_which_people_sign_in(chart, pods):
    """Both doors take the issuer's tokens. Without an issuer nothing of it is set."""
    at_issuer = {
        "issuer": "https://id.example",
        "existingSecret": "id",
        "redirectUrl": "https://a.example/ui/callback",
    }
    set_by = {
        name.split("-")[1]: {
            each: entry
            for each, entry in variables(spec["containers"][0]).items()
            if "OIDC" in each
        }
        for name, spec in pods(chart.render(f"login={json.dumps(at_issuer)}")).items()
    }
    client = {f"EDUGRAPH_OIDC_{name}" for name in ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URL")}
    shared = {"EDUGRAPH_OIDC_ISSUER", "EDUGRAPH_OIDC_AUDIENCE"}
    assert {name: set(found) for name, found in set_by.items() if found} == {
        "gateway": shared,
        "insights": shared | client,
    }
    secret = set_by["insights"]["EDUGRAPH_OIDC_CLIENT_SECRET"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "id", "key": "client-secret"}
    assert not [
        name
        for spec in pods(chart.render()).values()
        for name in variables(spec["containers"][0])
        if "OIDC" in name
    ]


def test_any_user_id(chart, pods):
    for spec in pods(
        chart.render("podSecurity.runAsUser=1234567", "podSecurity.fsGroup=7654321")
    ).values():
        assert spec["securityContext"]["runAsUser"] == 1234567
        assert spec["securityContext"]["fsGroup"] == 7654321


def test_no_user_id_where_the_cluster_gives_one(chart, pods):
    for spec in pods(
        chart.render("podSecurity.runAsUser=null", "podSecurity.fsGroup=null")
    ).values():
        assert not {"runAsUser", "fsGroup"} & set(spec["securityContext"])


def test_no_pod_has_a_token(chart, example, pods):
    for name, spec in pods(chart.render(example=example)).items():
        assert spec["automountServiceAccountToken"] is False, name


def test_memory_is_limited_and_cpu_is_not(chart, example, pods):
    for name, spec in pods(chart.render(example=example)).items():
        for container in containers(spec):
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
            assert set(container["resources"]["limits"]) == {"memory"}, name


def test_images_are_pinned(chart, example, pods):
    for spec in pods(chart.render(example=example)).values():
        for container in containers(spec):
            assert re.fullmatch(r"[^@]+(@sha256:[0-9a-f]{64}|:[^:/@]+)", container["image"])
            assert not container["image"].endswith(":latest")


def test_image_names(chart, pods):
    def image(*settings):
        gateway = pods(chart.render(*settings))["Deployment/edugraph-gateway"]
        return gateway["containers"][0]["image"]

    digest = "sha256:" + "a" * 64
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert image() == f"edugraph/gateway:{version}"
    assert image('images.registry="r.example/x"') == f"r.example/x/edugraph/gateway:{version}"
    assert (
        image('images.registry="r.example"', 'gateway.image.repository="own.io/g"')
        == f"own.io/g:{version}"
    )
    assert image('images.tag="2"') == "edugraph/gateway:2"
    assert image('images.tag="2"', 'gateway.image.tag="3"') == "edugraph/gateway:3"
    assert (
        image('gateway.image.tag="3"', f'gateway.image.digest="{digest}"')
        == f"edugraph/gateway@{digest}"
    )


OURS = (
    "gateway",
    "insights",
    "importer",
    "analyzer",
    "flower",
    "webhooks",
    "prepare",
    "splits",
    "findings",
    "test",
)


@pytest.mark.parametrize(
    ("limit", "maxmemory"),
    [
        ("512Mi", 402_653_184),
        ("2Gi", 1_610_612_736),
        ("1.5Gi", 1_207_959_552),
        ("1G", 750_000_000),
        ("600000k", 450_000_000),
        (1073741824, 805_306_368),
    ],
)
def test_redis_keeps_below_three_quarters_of_its_limit_and_evicts_nothing(
    chart, pods, limit, maxmemory
):
    """Out: maxmemory in servers/redis.yaml; the kernel would then end Redis again and again."""
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": limit}}
    settings = f"redis.resources={json.dumps(resources)}"
    (container,) = pods(chart.render(settings))["StatefulSet/edugraph-redis"]["containers"]
    assert f"'maxmemory {maxmemory}' 'maxmemory-policy noeviction'" in container["command"][-1]


def test_compose_has_the_same_share():
    compose = yaml.safe_load((CHART.parents[1] / "compose.yaml").read_text(encoding="utf-8"))
    redis = compose["services"]["redis"]
    assert redis["mem_limit"] == "512m"
    assert "'maxmemory 384mb' 'maxmemory-policy noeviction'" in redis["command"][-1]


SERVERS = ("rabbitmq", "redis", "neo4j")


@pytest.mark.parametrize(
    ("setting", "moved"),
    [('images.registry="r.example/x"', OURS), ('images.serverRegistry="r.example/x"', SERVERS)],
)
def test_our_images_and_those_of_the_servers_have_a_registry_each(chart, pods, setting, moved):
    """`make images-push` fills ours with our images alone: one registry for all would leave the servers without."""
    hook = 'webhooks={"url":"https://a.example/in","existingSecret":"hook"}'
    before, after = pods(chart.render(hook)), pods(chart.render(hook, setting))
    checked = set()
    for name, spec in after.items():
        if name.startswith("Job/"):  # named for what its pods are
            (was,) = [old for other, old in before.items() if other.startswith("Job/")]
        else:
            was = before[name]
        component = name.split("-")[1]
        checked.add(component)
        prefix = "r.example/x/" if component in moved else ""
        assert [c["image"] for c in containers(spec)] == [
            prefix + c["image"] for c in containers(was)
        ], name
    assert checked == {*OURS, *SERVERS}


def test_writable_places_are_volumes(chart, example, pods):
    for name, spec in pods(chart.render(example=example)).items():
        for container in containers(spec):
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]], name


WORKERS = ("importer", "splits", "findings", "analyzer")


@pytest.mark.parametrize("group", WORKERS)
def test_workers_end_without_loss(chart, pods, group):
    spec = pods(chart.render())[f"Deployment/edugraph-{group}"]
    (container,) = spec["containers"]
    grace = int(variables(container)["EDUGRAPH_SHUTDOWN_GRACE"]["value"])
    assert spec["terminationGracePeriodSeconds"] >= grace + 15
    assert container["command"][0] == "celery"  # no shell in between: signals arrive


@pytest.mark.parametrize("group", WORKERS)
def test_workers_are_probed_by_their_files(chart, pods, group):
    (container,) = pods(chart.render())[f"Deployment/edugraph-{group}"]["containers"]
    folder = variables(container)["EDUGRAPH_HEALTH_DIR"]["value"]
    live, ready = (
        container["livenessProbe"]["exec"]["command"],
        container["readinessProbe"]["exec"]["command"],
    )
    assert f"{folder}/alive" in live[-1]
    assert f"{folder}/ready" in ready[-1]
    assert folder in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert "celery" not in str(live) + str(ready)


def test_what_is_called_is_probed(chart, pods):
    for name, spec in pods(chart.render()).items():
        for container in spec["containers"]:
            if container.get("ports"):
                assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name


@pytest.mark.parametrize("door", ["gateway", "insights"])
def test_a_door_leaves_its_service_first(chart, pods, door):
    spec = pods(chart.render())[f"Deployment/edugraph-{door}"]
    sleep = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] >= sleep + 30


@pytest.mark.parametrize(
    "setting",
    ['blobs.volume.accessMode="ReadWriteOnce"', 'blobs.volume.accessMode="ReadWriteMany"'],
)
def test_rollouts_never_go_below_what_is_wanted(chart, setting):
    """But the one gateway of a ReadWriteOnce volume must end first: another one might stand where the volume is not."""
    for item in chart.render(setting):
        if item["kind"] != "Deployment" or item["metadata"]["name"] == "edugraph-flower":
            continue
        if item["metadata"]["name"] == "edugraph-gateway" and "ReadWriteOnce" in setting:
            assert item["spec"]["strategy"] == {"type": "Recreate"}
        else:
            assert item["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_groups_take_what_they_do_not_say_from_the_defaults(chart, find):
    objects = chart.render("workerDefaults.concurrency=7", 'workers.importer={"replicas":3}')
    importer = find(objects, "Deployment", "edugraph-importer")
    assert importer["spec"]["replicas"] == 3
    command = importer["spec"]["template"]["spec"]["containers"][0]["command"]
    assert "--concurrency=7" in command
    assert "--queues=data_import,live_records" in command
    analyzer = find(objects, "Deployment", "edugraph-analyzer")
    assert "--concurrency=4" in analyzer["spec"]["template"]["spec"]["containers"][0]["command"]


@pytest.mark.parametrize("scaler", ["hpa", "keda"])
def test_replicas_belong_to_the_scaler(chart, find, scaler):
    assert find(chart.render(), "Deployment", "edugraph-importer")["spec"]["replicas"] == 1
    objects = chart.render(f"workerDefaults.autoscaling.{scaler}.enabled=true")
    assert "replicas" not in find(objects, "Deployment", "edugraph-importer")["spec"]


def test_one_trigger_for_each_queue(chart, find):
    queues = 'workers.importer.queues=["data_import","graph_findings"]'
    objects = chart.render("workerDefaults.autoscaling.keda.enabled=true", queues)
    triggers = find(objects, "ScaledObject", "edugraph-importer")["spec"]["triggers"]
    assert [t["metadata"]["queueName"] for t in triggers] == ["data_import", "graph_findings"]
    for trigger in triggers:
        assert trigger["metadata"]["protocol"] == "http"
        assert trigger["metadata"]["excludeUnacknowledged"] == "false"


SHARED = ('blobs.volume.accessMode="ReadWriteMany"', 'blobs.url="s3://b/x"')


def test_pods_of_one_volume_stay_together(chart, pods):
    """Workers follow the gateway and not each other, since a scheduler does not look again when a pod is gone."""
    rendered = pods(chart.render('workers.late={"service":"importer","queues":["data_import"]}'))
    gateway = rendered["Deployment/edugraph-gateway"]["affinity"]["podAffinity"]
    assert set(gateway) == {"preferredDuringSchedulingIgnoredDuringExecution"}
    for group in (*WORKERS, "late"):
        affinity = rendered[f"Deployment/edugraph-{group}"]["affinity"]["podAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
        assert term["topologyKey"] == "kubernetes.io/hostname"
    for setting in SHARED:
        for name, spec in pods(chart.render(setting)).items():
            assert "podAffinity" not in spec.get("affinity", {}), name


def test_pods_spread_over_nodes_without_the_label_of_a_zone(chart, pods):
    """The scheduler ignores all constraints on a node that lacks a label of one of them. Out: a constraint of zones.

    `matchLabelKeys` keeps the pods that an upgrade removes out of the count.
    """
    rendered = pods(chart.render('blobs.url="s3://b/x"', "flower.enabled=true"))
    for component in ("gateway", "importer", "insights", "flower"):
        spec = rendered[f"Deployment/edugraph-{component}"]
        (constraint,) = spec["topologySpreadConstraints"]
        assert constraint["topologyKey"] == "kubernetes.io/hostname"
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]
        (preferred,) = spec["affinity"]["podAntiAffinity"][
            "preferredDuringSchedulingIgnoredDuringExecution"
        ]
        term = preferred["podAffinityTerm"]
        assert term["topologyKey"] == "topology.kubernetes.io/zone"
        assert term["matchLabelKeys"] == ["pod-template-hash"]
        for selector in (constraint["labelSelector"], term["labelSelector"]):
            assert selector["matchLabels"]["app.kubernetes.io/component"] == component


def test_one_gateway_with_a_volume_of_one_node_and_two_else(chart, find):
    def replicas(*settings):
        return find(chart.render(*settings), "Deployment", "edugraph-gateway")["spec"].get(
            "replicas"
        )

    assert replicas() == replicas("gateway.replicas=1") == 1
    for setting in SHARED:
        assert replicas(setting) == 2
        assert replicas(setting, "gateway.replicas=3") == 3
        assert replicas(setting, "gateway.replicas=0") == 0
        assert replicas(setting, "gateway.autoscaling.hpa.enabled=true") is None


BUDGETS_OF_WORKERS = {f"edugraph-{group}" for group in WORKERS}


def budgets(objects):
    return {
        item["metadata"]["name"]: item["spec"]
        for item in objects
        if item["kind"] == "PodDisruptionBudget"
    }


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("workers.importer.replicas=3",),
        ("workerDefaults.autoscaling.keda.enabled=true",),
        ('blobs.volume.existingClaim="mine"',),
    ],
)
def test_no_budget_holds_pods_of_a_volume_of_one_node(chart, settings):
    """They start again only when all of them have left the node. Out: blobsOnOneNode in a pdb.yaml."""
    objects = chart.render(*settings)
    assert set(budgets(objects)) == {"edugraph-insights"}
    for name, spec in budgets(objects).items():
        (workload,) = [
            o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] == name
        ]
        assert workload["spec"]["selector"] == spec["selector"]
        assert "persistentVolumeClaim" not in str(workload["spec"]["template"]["spec"]["volumes"])


@pytest.mark.parametrize("setting", SHARED)
def test_pods_of_a_shared_store_have_a_budget(chart, setting):
    """An unready pod may always go: a drain must not wait for a broker. Out: unhealthyPodEvictionPolicy."""
    found = budgets(chart.render(setting))
    assert set(found) == {"edugraph-gateway", "edugraph-insights"} | BUDGETS_OF_WORKERS
    for spec in found.values():
        assert spec["maxUnavailable"] == 1
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_only_importers_and_insights_know_the_graph(chart, pods):
    knowing = {
        name.split("-")[1]
        for name, spec in pods(chart.render()).items()
        for container in spec["containers"]
        if "EDUGRAPH_NEO4J_PASSWORD" in variables(container)
    }
    assert knowing == {"insights", "importer", "splits", "findings", "prepare"}


@pytest.mark.parametrize(
    ("settings", "prepare", "workers"),
    [
        ((), "0", "0"),
        (("migrations.allow=11",), "11", "0"),
        (("migrations.allow=11", "prepare.enabled=false"), None, "11"),
    ],
)
def test_the_graph_is_migrated_where_it_is_allowed(chart, pods, settings, prepare, workers):
    """Workers leave the migration to the job, where there is one. Out: either EDUGRAPH_MIGRATE_UP_TO."""
    found = {}
    for name, spec in pods(chart.render(*settings)).items():
        for container in spec["containers"]:
            limit = variables(container).get("EDUGRAPH_MIGRATE_UP_TO")
            if limit is not None:
                found[name.split("-")[1]] = limit["value"]
    expected = dict.fromkeys(("importer", "splits", "findings"), workers)
    if prepare is not None:
        expected["prepare"] = prepare
    assert found == expected


def test_only_analyzers_know_the_provider(chart, pods):
    setting = 'analyzer.model={"existingSecret":"model","baseUrl":"https://m.example/v1"}'
    knowing = {
        name
        for name, spec in pods(chart.render(setting)).items()
        for container in spec["containers"]
        if {"OPENAI_API_KEY", "OPENAI_BASE_URL"} & set(variables(container))
    }
    assert knowing == {"Deployment/edugraph-analyzer"}


def test_secrets_are_in_secrets_only(chart, example):
    """No password, key or address with one stands in any other object."""
    for item in chart.render(example=example):
        if item["kind"] == "Secret":
            continue
        for name, value in _strings(item):
            assert not re.search(r"://[^/@\s$]*:[^$@/\s]+@", value), (
                item["metadata"]["name"],
                name,
                value,
            )
            if (
                re.search(r"password|secret|api_?key|token", name, re.IGNORECASE)
                and item["kind"] == "ConfigMap"
            ):
                pytest.fail(f"{item['metadata']['name']} holds {name}")


def _strings(value, name=""):
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, name)


def test_the_generated_secret_is_random_and_kept(chart, find):
    secret = find(chart.render(), "Secret", "edugraph-credentials")
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert len(set(secret["data"].values())) == len(secret["data"]) == 15
    other = find(
        Chart("3" if chart.helm == "4" else "4").render(), "Secret", "edugraph-credentials"
    )
    assert not set(secret["data"].values()) & set(other["data"].values())
    unkept = find(chart.render("secrets.keep=false"), "Secret", "edugraph-credentials")
    assert "annotations" not in unkept["metadata"]


def test_existing_secrets_are_used_everywhere(chart):
    text = str([o for o in chart.render(example="production") if o["kind"] != "Secret"])
    for name in (
        "edugraph-credentials",
        "edugraph-rabbitmq",
        "edugraph-redis",
        "edugraph-neo4j",
        "edugraph-model",
    ):
        assert f"'name': '{name}'" in text, name


def test_authorities_reach_every_client(chart, pods, find):
    objects = chart.render('tls.caConfigMap="authorities"')
    settings = find(objects, "ConfigMap", "edugraph-settings")["data"]
    folder = settings["SSL_CERT_FILE"].rsplit("/", 1)[0]
    for name, spec in pods(objects).items():
        if name.startswith(("Deployment/", "Job/")):
            for container in spec["containers"]:
                assert folder in [mount["mountPath"] for mount in container["volumeMounts"]], name


def test_the_job_is_another_one_when_its_pods_change(chart):
    def name(*settings):
        (job,) = [o for o in chart.render(*settings) if o["kind"] == "Job"]
        return job["metadata"]["name"]

    assert name() == name("workers.importer.replicas=5")
    assert name() != name('images.tag="2"')


def test_settings_restart_the_pods(chart, find):
    def checksum(*settings):
        pod = find(chart.render(*settings), "Deployment", "edugraph-importer")["spec"]["template"]
        return pod["metadata"]["annotations"]["checksum/settings"]

    assert checksum() != checksum('logs.level="DEBUG"')


def test_any_setting_of_a_bundled_server_restarts_it(chart, find):
    objects = chart.render()
    conf = find(objects, "ConfigMap", "edugraph-neo4j")["data"]["neo4j.conf"]
    pod = find(objects, "StatefulSet", "edugraph-neo4j")["spec"]["template"]
    assert (
        pod["metadata"]["annotations"]["checksum/settings"]
        == hashlib.sha256(conf.strip().encode()).hexdigest()
    )


def test_each_service_is_a_user_of_its_own_on_the_bundled_broker(chart, pods):
    """Out: `service` in the call of edugraph.rabbitmqEnv."""
    used = {}
    for name, spec in pods(
        chart.render(
            "flower.enabled=true",
            'webhooks.url="https://x.example/hook"',
            'webhooks.existingSecret="s"',
        )
    ).items():
        for container in containers(spec):
            own = variables(container)
            if "EDUGRAPH_BROKER_URL" in own:
                key = own["RABBITMQ_PASSWORD"]["valueFrom"]["secretKeyRef"]["key"]
                used.setdefault((own["RABBITMQ_USER"]["value"], key), set()).add(
                    name.split("edugraph-")[-1]
                )
            if "EDUGRAPH_BROKER_USERS" in own:
                made = json.loads(own["EDUGRAPH_BROKER_USERS"]["value"])
    services = set(permissions())
    assert set(made) == services
    assert made["gateway"] == "$(RABBITMQ_GATEWAY_PASSWORD)"
    operators = used.pop(("edugraph", "rabbitmq-password"))
    assert all("prepare" in name for name in operators)
    assert set(used) <= {
        (user_name("edugraph", each), f"rabbitmq-{each}-password") for each in services
    }
    assert len(used) >= 4


def test_each_service_is_a_user_of_its_own_in_the_bundled_redis(chart, pods):
    """Out: `service` in a call of edugraph.redisEnv."""
    used = {}
    for name, spec in pods(
        chart.render(
            "flower.enabled=true",
            'webhooks.url="https://x.example/hook"',
            'webhooks.existingSecret="s"',
        )
    ).items():
        for container in containers(spec):
            own = variables(container)
            if "EDUGRAPH_REDIS_URL" in own:
                login = (
                    own["EDUGRAPH_REDIS_URL"]["value"].removeprefix("redis://").rpartition("@")[0]
                )
                key = (
                    own.get("REDIS_PASSWORD", {})
                    .get("valueFrom", {})
                    .get("secretKeyRef", {})
                    .get("key")
                )
                used.setdefault((login, key), set()).add(name)
    used.pop(("", None))
    assert set(used) == {
        (f"{redis_user(each)}:$(REDIS_PASSWORD)", f"redis-{each}-password") for each in SERVICES
    }


ADDRESSES = {
    "EDUGRAPH_BROKER_URL",
    "EDUGRAPH_BROKER_MANAGEMENT_URL",
    "EDUGRAPH_REDIS_URL",
    "EDUGRAPH_NEO4J_URI",
}


def package_of(container):
    """Return whose code a container runs, or None for a server. Its command says so."""
    command = " ".join(container.get("command", []))
    if command == "edugraph topology apply":
        return "operator"
    if command == "edugraph-digest":
        return "insights"
    if container["name"] == "flower":
        return "monitor"
    found = re.search(r"--app=edugraph_(\w+)\.worker|-m edugraph_(\w+)\.|^edugraph-(\w+)$", command)
    return next(name for name in found.groups() if name) if found else None


def test_each_container_logs_in_as_the_user_of_its_package(chart, pods):
    """Workers of a group that somebody adds, too. Out: `service` in a call of edugraph.redisEnv or edugraph.rabbitmqEnv."""
    settings = (
        'webhooks={"url":"https://x.example/hook","existingSecret":"s"}',
        'workers.late={"service":"importer","queues":["import_splits"]}',
        'workers.night={"service":"analyzer","queues":["llm_analysis"]}',
        'digest={"enabled":true,"existingSecret":"m","pageUrl":"https://x.example/ui/","from":"a@x.example"}',
    )
    seen = set()
    for name, spec in pods(chart.render(*settings)).items():
        for container in containers(spec):
            package = package_of(container)
            own = variables(container)
            if package is None:
                assert not ADDRESSES & set(own), (name, container["name"])
                continue
            seen.add(name)
            stays = name.startswith("Deployment/")
            if "EDUGRAPH_BROKER_URL" in own:
                user = "edugraph" if package == "operator" else user_name("edugraph", package)
                assert own["RABBITMQ_USER"]["value"] == user, name
            else:
                assert not (stays and package in permissions()), name
            if package in SERVICES and (stays or "EDUGRAPH_REDIS_URL" in own):
                login = f"redis://{redis_user(package)}:$(REDIS_PASSWORD)@"
                assert own["EDUGRAPH_REDIS_URL"]["value"].startswith(login), name
            if stays and package in ("importer", "insights"):
                assert "EDUGRAPH_NEO4J_PASSWORD" in own, name
    groups = ("importer", "splits", "findings", "analyzer", "late", "night")
    parts = ("gateway", "insights", "flower", "webhooks", *groups)
    assert {f"Deployment/edugraph-{each}" for each in parts} <= seen
    assert "CronJob/edugraph-digest" in seen


def test_the_bundled_redis_starts_with_all_users(chart, find, pods, tmp_path):
    objects = chart.render()
    (container,) = pods(objects)["StatefulSet/edugraph-redis"]["containers"]
    users = tmp_path / "users.conf"
    users.write_text(find(objects, "ConfigMap", "edugraph-redis")["data"]["users.conf"])
    script = container["command"][-1].replace("/etc/edugraph/users.conf", str(users))
    assert user_lines(script, tmp_path, set(variables(container))) == {
        line_of(service, hashlib.sha256(f"p&/${service}".encode()).hexdigest())
        for service in SERVICES
    }


def test_an_external_redis_has_one_user(chart, pods):
    settings = ("redis.enabled=false", 'redis.external.existingSecret="mine"')
    for spec in pods(chart.render(*settings)).values():
        for container in containers(spec):
            own = variables(container)
            assert "REDIS_PASSWORD" not in own
            assert "value" not in own.get("EDUGRAPH_REDIS_URL", {})


def test_services_of_a_school_that_shares_redis_have_its_prefix_and_users(chart, find, pods):
    """Out: the prefix in the settings, or `urlKeys` in `edugraph.redisEnv`."""
    keys = {service: f"redis-{service}-url" for service in SERVICES}
    external = {"existingSecret": "mine", "urlKeys": keys}
    objects = chart.render(
        "redis.enabled=false",
        'redis.keyPrefix="school-a:"',
        f"redis.external={json.dumps(external)}",
    )
    settings = find(objects, "ConfigMap", "edugraph-settings")["data"]
    assert settings["EDUGRAPH_REDIS_KEY_PREFIX"] == "school-a:"
    chosen = {}
    for name, spec in pods(objects).items():
        for container in containers(spec):
            own = variables(container)
            if "EDUGRAPH_REDIS_URL" in own:
                reference = own["EDUGRAPH_REDIS_URL"]["valueFrom"]["secretKeyRef"]
                assert reference["name"] == "mine"
                chosen[name.removeprefix("Deployment/edugraph-")] = reference["key"]
                assert "envFrom" in container
    wanted = {"gateway": keys["gateway"], "insights": keys["insights"]}
    wanted |= {"importer": keys["importer"], "findings": keys["importer"]}
    wanted |= {"analyzer": keys["analyzer"], "flower": "redis-url"}
    assert {name: chosen.get(name) for name in wanted} == wanted


def test_without_a_prefix_no_setting_names_one(chart, find):
    settings = find(chart.render(), "ConfigMap", "edugraph-settings")["data"]
    assert "EDUGRAPH_REDIS_KEY_PREFIX" not in settings


def test_without_the_job_that_makes_users_all_are_the_operator(chart, pods):
    for spec in pods(chart.render("prepare.enabled=false")).values():
        for container in containers(spec):
            assert (
                variables(container).get("RABBITMQ_USER", {"value": "edugraph"})["value"]
                == "edugraph"
            )


def test_the_analyzer_has_the_file_of_models_and_its_keys(chart, pods):
    """Out: the volume, the variable or the Secret."""
    told = '[[endpoints]]\nname = "one"\nkeys_from = ["KEY_OF_ONE"]\n'
    objects = chart.render(
        f"analyzer.model.file={json.dumps(told)}", 'analyzer.model.keysSecret="keys"'
    )
    (models,) = [
        each
        for each in objects
        if each["kind"] == "ConfigMap" and each["metadata"]["name"].endswith("-models")
    ]
    assert models["data"] == {"models.toml": told}
    (spec,) = [spec for name, spec in pods(objects).items() if name.endswith("analyzer")]
    (container,) = spec["containers"]
    path = variables(container)["EDUGRAPH_MODELS_FILE"]["value"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert path == f"{mounts['models']}/models.toml"
    assert {"name": "models", "configMap": {"name": models["metadata"]["name"]}} in spec["volumes"]
    assert {"secretRef": {"name": "keys"}} in container["envFrom"]
    others = [
        name
        for name, other in pods(objects).items()
        if "models" in {each["name"] for each in other["volumes"]}
    ]
    assert len(others) == 1


def test_an_analyzer_that_asks_a_provider_is_told_no_number_of_processes(chart, find):
    """Its threads are many; as many processes would not fit into the pod."""
    for provider in (
        'analyzer.model.baseUrl="https://m.example/v1"',
        'analyzer.model.existingSecret="model"',
    ):
        analyzer = find(chart.render(provider), "Deployment", "edugraph-analyzer")
        assert "concurrency" not in str(
            analyzer["spec"]["template"]["spec"]["containers"][0]["command"]
        )
