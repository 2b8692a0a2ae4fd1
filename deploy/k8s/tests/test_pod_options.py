"""Values that all components have reach their pods, variables are merged by name, and each component is its own account."""

import copy
import json

import kubernetes_validate
import pytest
from rendered_chart import containers, variables

ON = (
    'webhooks.url="https://a.example/in"',
    'webhooks.existingSecret="hook"',
    'workers.night={"service":"importer","queues":["data_import"]}',
)
# Component -> kind of its object. `workerDefaults` is tried by each group.
DEPLOYMENTS = ("gateway", "insights", "flower", "webhooks")
GROUPS = ("importer", "splits", "findings", "analyzer", "night")
SERVERS = ("rabbitmq", "redis", "neo4j")
COMPONENTS = (*DEPLOYMENTS, "workerDefaults", "prepare", *SERVERS)
OPTIONS = {
    "podLabels": {"team": "ops"},
    "podAnnotations": {"note": "kept"},
    "envFrom": [{"secretRef": {"name": "more"}}],
    "extraVolumes": [{"name": "extra", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
    "initContainers": [{"name": "first", "image": "tool:1"}],
    "nodeSelector": {"pool": "a"},
    "tolerations": [{"key": "only", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
}
SPREAD = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
OF_DEPLOYMENTS = {
    "topologySpreadConstraints": [SPREAD],
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
}


def settings(component, options):
    return [f"{component}.{key}={json.dumps(value)}" for key, value in options.items()]


def makers(objects, component):
    """The objects that make the pods of a component; all groups for workerDefaults."""
    names = GROUPS if component == "workerDefaults" else (component,)
    found = [
        item
        for item in objects
        if "template" in item.get("spec", {})
        and item["metadata"]["labels"]["app.kubernetes.io/component"] in names
    ]
    assert len(found) == len(names)
    return found


def options_of(component):
    if component in (*DEPLOYMENTS, "workerDefaults"):
        return OPTIONS | OF_DEPLOYMENTS | {"revisionHistoryLimit": 3}
    if component in SERVERS:
        return OPTIONS | {"revisionHistoryLimit": 3}
    return OPTIONS


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_option_reaches_the_pods(chart, component):
    """To take the guard out: leave a key out of `edugraph.pods`, or a component out of its callers."""
    options = options_of(component)
    before = {
        item["metadata"]["labels"]["app.kubernetes.io/component"]: item
        for item in makers(chart.render(*ON), component)
    }
    objects = chart.render(*ON, *settings(component, options))
    for item in makers(objects, component):
        template = item["spec"]["template"]
        spec = template["spec"]
        old = before[item["metadata"]["labels"]["app.kubernetes.io/component"]]["spec"]["template"]
        assert template["metadata"]["labels"] == old["metadata"]["labels"] | {"team": "ops"}
        old_annotations = old["metadata"].get("annotations", {})
        assert template["metadata"]["annotations"] == old_annotations | {"note": "kept"}
        assert spec["initContainers"][-1] == {"name": "first", "image": "tool:1"}
        assert spec["initContainers"][:-1] == old["spec"].get("initContainers", [])
        assert spec["volumes"] == [*old["spec"]["volumes"], *OPTIONS["extraVolumes"]]
        for container, old_container in zip(
            spec["containers"], old["spec"]["containers"], strict=True
        ):
            old_mounts = old_container["volumeMounts"]
            assert container["volumeMounts"] == [*old_mounts, *OPTIONS["extraVolumeMounts"]]
            old_from = old_container.get("envFrom", [])
            assert container["envFrom"] == [*old_from, *OPTIONS["envFrom"]]
        for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
            assert spec[key] == OPTIONS[key]
        if "strategy" in options:
            assert spec["topologySpreadConstraints"] == [SPREAD]
            assert item["spec"]["strategy"] == options["strategy"]
        if "revisionHistoryLimit" in options:
            assert item["spec"]["revisionHistoryLimit"] == 3
        kubernetes_validate.validate(copy.deepcopy(item), "1.37", strict=True)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_variable_of_the_chart_is_replaced_and_never_stands_twice(chart, component):
    """To take the guard out: append `env` in `edugraph.mergedEnv` without a look at the names."""
    plain = makers(chart.render(*ON), component)
    known = [variables(container) for item in plain for container in containers_of(item)]
    names = [name for each in known for name in each]
    # A server without variables has none to replace.
    taken = names[-1] if names else "OWN"
    more = [
        {"name": "FIRST", "value": "1"},
        {"name": taken, "value": "mine"},
        {"name": "FIRST", "value": "2"},
        {"name": "EMPTY", "value": ""},
    ]
    objects = chart.render(*ON, *settings(component, {"env": more}))
    for item, before in zip(makers(objects, component), plain, strict=True):
        for container, old in zip(containers_of(item), containers_of(before), strict=True):
            expected = {entry["name"]: entry for entry in old.get("env", [])}
            expected |= {entry["name"]: entry for entry in more}
            # The order counts, because a value may name variables above it.
            assert container["env"] == list(expected.values())


def containers_of(item):
    return item["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_labels_by_which_pods_are_known_cannot_be_changed(chart, component):
    name = "app.kubernetes.io/component"
    changed = chart.render(
        *ON, f'{component}.podLabels={{"{name}":"other","edugraph.io/service":"x"}}'
    )
    for item in makers(changed, component):
        labels = item["spec"]["template"]["metadata"]["labels"]
        assert labels[name] == item["metadata"]["labels"][name]
        if "selector" in item["spec"]:
            assert item["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_a_group_says_more_than_the_defaults(chart):
    objects = chart.render(
        'workerDefaults.podLabels={"a":"1"}',
        'workers.splits={"podLabels":{"b":"2"},"env":[{"name":"ONLY","value":"here"}]}',
    )
    for item in makers(objects, "splits"):
        assert {"a": "1", "b": "2"}.items() <= item["spec"]["template"]["metadata"][
            "labels"
        ].items()
        assert variables(containers_of(item)[0])["ONLY"]["value"] == "here"
    for item in makers(objects, "importer"):
        assert "b" not in item["spec"]["template"]["metadata"]["labels"]
        assert "ONLY" not in variables(containers_of(item)[0])


@pytest.mark.parametrize("key", ["podLabels", "podAnnotations", "nodeSelector"])
def test_the_job_is_another_one_when_its_labels_change(chart, key):
    """Kubernetes refuses to change the template of a job."""
    (before,) = makers(chart.render(), "prepare")
    (after,) = makers(chart.render(f'prepare.{key}={{"a":"b"}}'), "prepare")
    assert before["metadata"]["name"] != after["metadata"]["name"]


def accounts(objects):
    return {
        item["metadata"]["name"]: item["metadata"].get("annotations")
        for item in objects
        if item["kind"] == "ServiceAccount"
    }


def test_each_component_has_an_account_of_its_own(chart, example, pods):
    objects = chart.render(*ON, example=example)
    makers_of_pods = pods(objects)
    used = [
        spec["serviceAccountName"]
        for name, spec in makers_of_pods.items()
        if not name.startswith("CronJob/edugraph-backup")
    ]
    # The jobs of backups are one component.
    if any(name.startswith("CronJob/edugraph-backup") for name in makers_of_pods):
        used.append("edugraph-backup")
    assert sorted(used) == sorted(accounts(objects))
    assert len(set(used)) == len(used)
    assert "default" not in used


def test_a_role_of_the_cloud_reaches_one_component_alone(chart):
    objects = chart.render(
        'serviceAccount.annotations={"all":"1"}',
        'serviceAccount.annotationsOf={"gateway":{"role":"blobs"}}',
    )
    found = accounts(objects)
    assert found.pop("edugraph-gateway") == {"all": "1", "role": "blobs"}
    assert list(found.values()) == [{"all": "1"}] * len(found)
    refusal = chart.refusal('serviceAccount.annotationsOf={"gatway":{"role":"x"}}')
    assert "the release has no such component" in refusal


@pytest.mark.parametrize(
    ("create", "name", "made", "used"),
    [
        ("true", "one", {"one": None}, {"one"}),
        ("false", "one", {}, {"one"}),
        ("false", "", {}, {"default"}),
    ],
)
def test_one_account_for_all(chart, pods, create, name, made, used):
    objects = chart.render(f"serviceAccount.create={create}", f'serviceAccount.name="{name}"')
    assert accounts(objects) == made
    assert {spec["serviceAccountName"] for spec in pods(objects).values()} == used


def test_credentials_of_the_blob_store_are_only_where_it_is_used(chart, pods):
    """To take the guard out: give Flower `edugraph.envFrom` again."""
    objects = chart.render(
        *ON, 'blobs={"url":"s3://b/c","credentialsSecret":"keys"}', "gateway.replicas=2"
    )
    holders = set()
    for name, spec in pods(objects).items():
        for container in containers(spec):
            if {"secretRef": {"name": "keys"}} in container.get("envFrom", []):
                holders.add(name)
    workers = {f"Deployment/edugraph-{group}" for group in GROUPS}
    assert holders == {"Deployment/edugraph-gateway", *workers}


@pytest.mark.parametrize("door", ["gateway", "insights"])
def test_the_class_of_a_load_balancer(chart, find, door):
    objects = chart.render(
        f'{door}.service={{"type":"LoadBalancer","loadBalancerClass":"a.example/b"}}'
    )
    spec = find(objects, "Service", f"edugraph-{door}")["spec"]
    assert spec["loadBalancerClass"] == "a.example/b"
    other = find(objects, "Service", "edugraph-flower")["spec"]
    assert "loadBalancerClass" not in other
    refusal = chart.refusal(f'{door}.service.loadBalancerClass="a.example/b"')
    assert "Kubernetes takes a class for a LoadBalancer only" in refusal
