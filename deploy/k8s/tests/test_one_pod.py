"""`onePod.enabled`: the containers of all services in the gateway's pod, each as it is in a pod of its own."""

import copy
import json
from collections import Counter

import pytest
from enforced import Network, component
from rendered_chart import variables

APART = "onePod.enabled=false"
TOGETHER = "onePod.enabled=true"
SERVERS = {
    "StatefulSet/edugraph-neo4j",
    "StatefulSet/edugraph-rabbitmq",
    "StatefulSet/edugraph-redis",
}
CONTAINERS = {"gateway", "insights", "proxy", "webhooks", "importer", "analyzer"}
SHARED_VOLUMES = {"blobs", "authorities"}
WITH_WEBHOOKS = 'webhooks={"url":"https://hooks.example","existingSecret":"hooks"}'
WITH_AUTHORITIES = 'tls.caConfigMap="authorities"'
WITH_MODELS = 'analyzer.model.file="[models]"'
# Names that stand in every group of workers, and would clash in one pod.
WITH_EXTRAS = "workerDefaults=" + json.dumps(
    {
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "initContainers": [
            {
                "name": "first",
                "image": "example.org/first:1",
                "volumeMounts": [{"name": "more", "mountPath": "/more"}],
            }
        ],
        "env": [{"name": "SCHOOL", "value": "one"}],
        "concurrency": 1,
    }
)
SETTINGS = (WITH_WEBHOOKS, WITH_AUTHORITIES, WITH_MODELS, WITH_EXTRAS)


@pytest.fixture
def pod(chart, pods):
    return pods(chart.render(*SETTINGS, example="small"))["Deployment/edugraph-gateway"]


def test_there_are_four_pods(chart, pods):
    rendered = pods(chart.render(example="small"))
    lasting = {name for name in rendered if name.startswith(("Deployment/", "StatefulSet/"))}
    assert lasting == {"Deployment/edugraph-gateway", *SERVERS}


def test_each_container_is_as_in_a_pod_of_its_own(chart, pods, pod):
    """Out: any `set` of edugraph.partOfPod that changes more than a name or the port of metrics."""
    apart = {}
    for name, spec in pods(chart.render(*SETTINGS, APART, example="small")).items():
        if name.startswith("Deployment/"):
            (container,) = spec["containers"]
            apart[name.removeprefix("Deployment/edugraph-")] = container
    together = {container["name"]: container for container in pod["containers"]}
    assert set(together) == set(apart) == CONTAINERS
    for name, container in together.items():
        assert _without_changes(container, name) == _without_changes(apart[name], ""), name


def _without_changes(container, component):
    """Return a container without its name, and without what is numbered or named for its component."""
    plain = copy.deepcopy(container)
    del plain["name"]
    for variable in plain["env"]:
        if variable["name"] == "EDUGRAPH_METRICS_PORT":
            variable["value"] = "of metrics"
    for port in plain["ports"]:
        if port["name"] == "metrics":
            port["containerPort"] = "of metrics"
    for mount in plain["volumeMounts"]:
        mount["name"] = mount["name"].removeprefix(f"{component}-")
    return plain


def test_no_two_containers_share_a_port_or_a_folder(pod):
    """Out: `add 9100 .number`, or the prefix of a volume's name."""
    ports = Counter(p["containerPort"] for c in pod["containers"] for p in c["ports"])
    assert set(ports.values()) == {1}
    volumes = Counter(volume["name"] for volume in pod["volumes"])
    assert set(volumes.values()) == {1}
    users = Counter(
        mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]
    )
    for name, number in users.items():
        assert name in SHARED_VOLUMES or number == 1, name
    assert set(users) == set(volumes)
    names = Counter(c["name"] for c in [*pod["containers"], *pod["initContainers"]])
    assert set(names.values()) == {1}
    for container in pod["initContainers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)


def test_metrics_are_where_the_container_says(pod):
    measured = set()
    for container in pod["containers"]:
        for port in container["ports"]:
            if port["name"] == "metrics":
                measured.add(container["name"])
                stated = variables(container)["EDUGRAPH_METRICS_PORT"]["value"]
                assert stated == str(port["containerPort"])
    assert measured == CONTAINERS - {"proxy"}


def test_services_lead_to_their_own_container(chart, find):
    objects = chart.render(example="small")
    deployment = find(objects, "Deployment", "edugraph-gateway")["spec"]["template"]
    containers = {each["name"]: each for each in deployment["spec"]["containers"]}
    for name in ("gateway", "insights"):
        service = find(objects, "Service", f"edugraph-{name}")["spec"]
        assert service["selector"].items() <= deployment["metadata"]["labels"].items()
        (target,) = [port["targetPort"] for port in service["ports"]]
        (own,) = [p["containerPort"] for p in containers[name]["ports"] if p["name"] == "http"]
        assert target == own


def test_the_pod_reaches_the_servers_and_is_measured(chart):
    network = Network(chart.render(WITH_WEBHOOKS, example="small"))
    for server, port in {"rabbitmq": 5672, "redis": 6379, "neo4j": 7687}.items():
        assert network.connects(component("gateway"), component(server), port)
    assert network.connects(component("test"), component("gateway"), 8081)
    assert not network.connects(component("stranger"), component("gateway"), 8081)
    (of_metrics,) = [
        policy
        for policy in chart.render(WITH_WEBHOOKS, example="small")
        if policy["kind"] == "NetworkPolicy" and policy["metadata"]["name"] == "edugraph-at-metrics"
    ]
    (rule,) = of_metrics["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [9100, 9101, 9102, 9103, 9104]


def test_each_container_has_a_job_in_prometheus(chart, find):
    objects = chart.render("monitoring.enabled=true", example="small")
    (endpoint,) = find(objects, "PodMonitor", "edugraph-services")["spec"]["podMetricsEndpoints"]
    name = "__meta_kubernetes_pod_container_name"
    assert {"sourceLabels": [name], "targetLabel": "job"} in endpoint["relabelings"]


@pytest.mark.parametrize(
    ("setting", "who"),
    [
        ("gateway.replicas=2", "gateway"),
        ("insights.replicas=2", "insights"),
        ("workers.importer.replicas=2", "workers.importer"),
        ("insights.autoscaling.hpa.enabled=true", "insights"),
        ("workers.analyzer.autoscaling.keda.enabled=true", "workers.analyzer"),
    ],
)
def test_one_pod_is_never_several(chart, setting, who):
    volume = 'blobs.volume.accessMode="ReadWriteMany"'
    assert f"onePod.enabled is true, and {who}" in chart.refusal(setting, volume, example="small")


def test_the_older_pods_come_back(chart, find):
    """The gateway's selector, which Kubernetes never changes, is the same in both forms."""
    selectors = [
        find(chart.render(form, example="small"), "Deployment", "edugraph-gateway")["spec"][
            "selector"
        ]
        for form in (APART, TOGETHER)
    ]
    assert selectors[0] == selectors[1]
