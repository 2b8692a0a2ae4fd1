"""All objects of all example values are what Kubernetes and the operators take."""

import importlib
import subprocess
import sys
from typing import Any

import kubernetes_validate
import pytest
import yaml
from addresses import in_ci
from rendered_chart import CHART, Chart

from edugraph_common.contracts.public_paths import GATEWAY_EXACT, INSIGHTS_PATHS, is_of_insights

VERSIONS = ("1.29", "1.33", "1.37")
MODELS = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
WITHOUT_SCHEMA = (*MODELS, "gateway.networking.k8s.io/v1")


def test_lint_is_silent(chart, example):
    assert "0 chart(s) failed" in chart.lint(example)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_them(example, version):
    for item in Chart("4").render(example=example):
        if item["apiVersion"] not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(item, version, strict=True)


def test_operators_take_them(chart, example):
    for item in chart.render(example=example):
        if item["apiVersion"] in MODELS:
            model = getattr(importlib.import_module(MODELS[item["apiVersion"]]), item["kind"])
            understood = model.model_validate(item).model_dump(
                mode="json", by_alias=True, exclude_unset=True
            )
            assert _unknown(item["spec"], understood["spec"]) == []


def _unknown(given: Any, understood: Any, path: str = "spec") -> list[str]:
    """The models ignore fields they do not know; these are the ones that got lost."""
    if isinstance(given, dict) and isinstance(understood, dict):
        lost = [f"{path}.{key}" for key in given if key not in understood]
        return lost + [
            x
            for key in given
            if key in understood
            for x in _unknown(given[key], understood[key], key)
        ]
    if isinstance(given, list) and isinstance(understood, list):
        return [
            x
            for left, right in zip(given, understood, strict=True)
            for x in _unknown(left, right, path)
        ]
    return []


def test_both_helms_make_the_same(example):
    old, new = (
        [o for o in Chart(v).render(example=example) if o["kind"] != "Secret"] for v in ("3", "4")
    )
    assert sorted(map(str, old)) == sorted(map(str, new))


def test_names_are_unique_and_short(chart, example):
    names = [(o["kind"], o["metadata"]["name"]) for o in chart.render(example=example)]
    assert len(names) == len(set(names))
    assert max(len(name) for _, name in names) <= 63


def test_a_long_release_name_still_fits(chart):
    objects = chart.render(
        'fullnameOverride="a-name-that-somebody-made-much-too-long-for-any-kubernetes-object"'
    )
    assert max(len(o["metadata"]["name"]) for o in objects) <= 63


def test_every_object_says_whose_it_is(chart, example):
    for item in chart.render(example=example):
        if item["metadata"]["name"] != "one-more":
            labels = item["metadata"]["labels"]
            assert labels["app.kubernetes.io/instance"] == "edugraph"
            assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_selectors_never_change_with_the_version(chart):
    for item in chart.render():
        if item["kind"] in ("Deployment", "StatefulSet"):
            assert set(item["spec"]["selector"]["matchLabels"]) == {
                "app.kubernetes.io/name",
                "app.kubernetes.io/instance",
                "app.kubernetes.io/component",
            }


@pytest.mark.parametrize(
    ("setting", "kind", "name"),
    [
        ("flower.enabled=false", "Deployment", "edugraph-flower"),
        ("insights.pdb.enabled=false", "PodDisruptionBudget", "edugraph-insights"),
        ("networkPolicy.enabled=false", "NetworkPolicy", "edugraph-deny"),
        ("workers.analyzer=null", "Deployment", "edugraph-analyzer"),
        ("serviceAccount.create=false", "ServiceAccount", "edugraph-gateway"),
        ('secrets.existingSecret="mine"', "Secret", "edugraph-credentials"),
        ('blobs.url="s3://bucket/x"', "PersistentVolumeClaim", "edugraph-blobs"),
        ('blobs.volume.existingClaim="mine"', "PersistentVolumeClaim", "edugraph-blobs"),
        (
            'rabbitmq={"enabled":false,"external":{"existingSecret":"x"}}',
            "StatefulSet",
            "edugraph-rabbitmq",
        ),
        (
            'redis={"enabled":false,"external":{"existingSecret":"x"}}',
            "StatefulSet",
            "edugraph-redis",
        ),
        (
            'neo4j={"enabled":false,"external":{"existingSecret":"x","uri":"bolt://g"}}',
            "StatefulSet",
            "edugraph-neo4j",
        ),
    ],
)
def test_switched_off_is_gone(chart, setting, kind, name):
    def names(objects):
        return {(o["kind"], o["metadata"]["name"]) for o in objects}

    assert (kind, name) in names(chart.render())
    assert (kind, name) not in names(chart.render(setting))


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("gateway.pdb.enabled=false", "edugraph-gateway"),
        ("workerDefaults.pdb.enabled=false", "edugraph-importer"),
        ("workers.splits.pdb.enabled=false", "edugraph-splits"),
    ],
)
def test_a_budget_of_pods_of_a_shared_store_can_be_switched_off(chart, setting, name):
    def names(objects):
        return {o["metadata"]["name"] for o in objects if o["kind"] == "PodDisruptionBudget"}

    shared = 'blobs.volume.accessMode="ReadWriteMany"'
    assert name in names(chart.render(shared))
    assert name not in names(chart.render(shared, setting))


@pytest.mark.parametrize(
    ("setting", "kind", "name"),
    [
        ('gateway.ingress={"enabled":true,"host":"a.example"}', "Ingress", "edugraph-gateway"),
        (
            'gateway.httpRoute={"enabled":true,"parentRefs":[{"name":"p"}]}',
            "HTTPRoute",
            "edugraph-gateway",
        ),
        ("insights.autoscaling.hpa.enabled=true", "HorizontalPodAutoscaler", "edugraph-insights"),
        (
            "workerDefaults.autoscaling.hpa.enabled=true",
            "HorizontalPodAutoscaler",
            "edugraph-importer",
        ),
        ("workerDefaults.autoscaling.keda.enabled=true", "ScaledObject", "edugraph-analyzer"),
        (
            "workerDefaults.autoscaling.keda.enabled=true",
            "TriggerAuthentication",
            "edugraph-rabbitmq",
        ),
        ("monitoring.enabled=true", "ServiceMonitor", "edugraph-rabbitmq"),
        ("monitoring.enabled=true", "PodMonitor", "edugraph-services"),
        (
            'webhooks={"url":"https://a.example/in","existingSecret":"x"}',
            "Deployment",
            "edugraph-webhooks",
        ),
        (
            'workers.late={"service":"importer","queues":["data_import"]}',
            "Deployment",
            "edugraph-late",
        ),
    ],
)
def test_switched_on_is_there(chart, setting, kind, name):
    def names(objects):
        return {(o["kind"], o["metadata"]["name"]) for o in objects}

    assert (kind, name) not in names(chart.render())
    assert (kind, name) in names(chart.render(setting))


def test_the_gateway_scales_where_several_can_be(chart, find):
    shared = 'blobs.url="s3://bucket/x"'
    scaler = find(
        chart.render(shared, "gateway.autoscaling.hpa.enabled=true"),
        "HorizontalPodAutoscaler",
        "edugraph-gateway",
    )
    assert scaler["spec"]["minReplicas"] == 2


def test_monitoring_wraps_the_files_as_they_are(chart, find):
    objects = chart.render("monitoring.enabled=true")
    for path in (CHART / "dashboards").glob("*.json"):
        maps = [o for o in objects if o["kind"] == "ConfigMap" and path.name in o["data"]]
        assert [m["data"][path.name].rstrip() for m in maps] == [path.read_text().rstrip()]
    if (CHART / "alerts" / "rules.yaml").exists():
        *groups, _own = find(objects, "PrometheusRule", "edugraph")["spec"]["groups"]
        assert groups == yaml.safe_load((CHART / "alerts" / "rules.yaml").read_text())["groups"]


def test_alerts_lead_to_the_runbook_where_its_address_is_known(chart, find):
    """To take the guard out: leave runbook_url out of the release's own rule."""
    address = "https://docs.example.org/runbook.html"
    objects = chart.render("monitoring.enabled=true", f'monitoring.rules.runbookUrl="{address}"')
    groups = find(objects, "PrometheusRule", "edugraph")["spec"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 15
    for rule in rules:
        notes = rule["annotations"]
        assert notes["runbook_url"] == f"{address}#{rule['alert'].lower()}"
        assert notes["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


@pytest.mark.parametrize(
    ("budget", "shown"), [("0.001", "0.001"), ("0.0005", "0.0005"), ("0.05", "0.05")]
)
def test_the_error_budget_reaches_its_alerts_and_no_others(chart, find, budget, shown):
    plain = find(chart.render("monitoring.enabled=true"), "PrometheusRule", "edugraph")
    other = find(
        chart.render("monitoring.enabled=true", f"monitoring.rules.errorBudget={budget}"),
        "PrometheusRule",
        "edugraph",
    )
    changed = []
    for before, after in zip(plain["spec"]["groups"], other["spec"]["groups"], strict=True):
        for old, new in zip(before["rules"], after["rules"], strict=True):
            if old != new:
                changed.append(new["alert"])
                assert new["expr"] == old["expr"].replace("* 0.005", f"* {shown}")
                assert new["expr"].count(f"* {shown}") == 2
    assert changed == ["EduGraphErrorBudgetBurnsFast", "EduGraphErrorBudgetBurnsSlowly"]


def test_all_that_is_scraped_names_its_release(chart):
    objects = chart.render("monitoring.enabled=true", "flower.enabled=true")
    specs = [o["spec"] for o in objects if o["kind"] in {"ServiceMonitor", "PodMonitor"}]
    endpoints = [
        each for spec in specs for each in spec.get("endpoints") or spec["podMetricsEndpoints"]
    ]
    assert len(specs) == 3
    assert all(
        each["relabelings"] == [{"targetLabel": "release", "replacement": "edugraph"}]
        for each in endpoints
    )


def test_a_release_that_is_not_scraped_at_all_is_told_though_others_are(chart, find, tmp_path):
    """The rule is the rendered one: it stands for the release "edugraph" in the namespace "default"."""
    objects = chart.render("monitoring.enabled=true")
    *_, own = find(objects, "PrometheusRule", "edugraph")["spec"]["groups"]
    (rule,) = own["rules"]
    told = {"namespace": "default", "release": "edugraph"}
    alert = {"exp_labels": {**rule["labels"], **told}, "exp_annotations": rule["annotations"]}
    assert "release edugraph in namespace default" in rule["annotations"]["summary"]

    def case(scraped, alerts):
        expected = [{"eval_time": "8m", "alertname": "EduGraphBlind", "exp_alerts": alerts}]
        series = [
            {"series": f"edugraph_broker_read{{{labels}}}", "values": "1x20"} for labels in scraped
        ]
        return {"interval": "1m", "input_series": series, "alert_rule_test": expected}

    others = ['namespace="default", release="trial"', 'namespace="north", release="edugraph"']
    cases = [case(others, [alert]), case([*others, 'namespace="default", release="edugraph"'], [])]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [own]}))
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": cases})
    )
    command = [
        sys.executable,
        "-m",
        "tools.prometheus",
        "test",
        "rules",
        str(tmp_path / "tests.yaml"),
    ]
    done = subprocess.run(
        command, cwd=CHART.parents[1], capture_output=True, text=True, check=False
    )
    if done.returncode == 3:
        (pytest.fail if in_ci() else pytest.skip)(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_monitor_of_services_selects_the_port_of_their_metrics(chart, find, pods):
    hook = 'webhooks={"url":"https://a.example/in","existingSecret":"hook"}'
    objects = chart.render("monitoring.enabled=true", hook)
    monitor = find(objects, "PodMonitor", "edugraph-services")["spec"]
    (services,) = monitor["selector"]["matchExpressions"]
    scraped = {
        item["metadata"]["name"]
        for item in objects
        if item["kind"] == "Deployment"
        and item["spec"]["template"]["metadata"]["labels"].get(services["key"])
        in services["values"]
    }
    assert scraped == {
        f"edugraph-{name}"
        for name in (
            "gateway",
            "insights",
            "webhooks",
            "importer",
            "splits",
            "findings",
            "analyzer",
        )
    }
    for name in scraped:
        (container,) = pods(objects)[f"Deployment/{name}"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert [endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]] == ["metrics"]
        assert environment["EDUGRAPH_METRICS_PORT"] == str(ports["metrics"])


@pytest.mark.parametrize(
    "way_in",
    [
        'gateway.ingress={"enabled":true,"host":"a.example"}',
        'gateway.httpRoute={"enabled":true,"parentRefs":[{"name":"p"}]}',
        'gateway.service.type="LoadBalancer"',
        'insights.service.type="LoadBalancer"',
    ],
)
@pytest.mark.parametrize(
    ("door", "port"), [("gateway", "EDUGRAPH_PORT"), ("insights", "EDUGRAPH_INSIGHTS_PORT")]
)
def test_no_way_in_from_outside_leads_to_metrics(chart, find, pods, way_in, door, port):
    objects = chart.render(way_in, "monitoring.enabled=true")
    (container,) = pods(objects)[f"Deployment/edugraph-{door}"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    api, own = environment[port], environment["EDUGRAPH_METRICS_PORT"]
    assert api != own
    named = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    served = find(objects, "Service", f"edugraph-{door}")["spec"]["ports"]
    # Ingress and HTTPRoute name a port of this Service, and it leads to the API alone.
    assert [str(named.get(port["targetPort"], port["targetPort"])) for port in served] == [api]


@pytest.mark.parametrize(
    ("way_in", "kind"),
    [
        ('gateway.ingress={"enabled":true,"host":"a.example"}', "Ingress"),
        ('gateway.httpRoute={"enabled":true,"parentRefs":[{"name":"p"}]}', "HTTPRoute"),
    ],
)
def test_one_address_leads_each_path_to_the_service_that_answers_it(chart, find, way_in, kind):
    """The longest path that fits counts, an exact one before others. Out: any line of edugraph.paths."""
    objects = chart.render(way_in)
    spec = find(objects, kind, "edugraph-gateway")["spec"]
    ways = []  # path, whether it is exact, the Service
    if kind == "Ingress":
        for each in spec["rules"][0]["http"]["paths"]:
            service = each["backend"]["service"]
            assert service["port"] == {"name": "http"}
            ways.append((each["path"], each["pathType"] == "Exact", service["name"]))
    else:
        for rule in spec["rules"]:
            ((match,), (backend,)) = rule["matches"], rule["backendRefs"]
            (port,) = find(objects, "Service", backend["name"])["spec"]["ports"]
            assert backend["port"] == port["port"]
            ways.append((match["path"]["value"], match["path"]["type"] == "Exact", backend["name"]))

    def leads_to(path):
        fitting = [
            way
            for way in ways
            if path == way[0] or (not way[1] and path.startswith(way[0].removesuffix("/") + "/"))
        ]
        return max(fitting, key=lambda way: (way[1], len(way[0])))[2]

    tried = {
        f"{path}{more}"
        for path in (*INSIGHTS_PATHS, *GATEWAY_EXACT)
        for more in ("", "/", "/x", "x", "/x/y")
    }
    for path in {*tried, "/", "/v1/imports", "/docs", "/readyz", "/v1"}:
        assert leads_to(path) == f"edugraph-{'insights' if is_of_insights(path) else 'gateway'}", (
            path
        )


def test_notes_tell_the_next_step():
    chart = Chart("4")
    notes = chart.notes()
    assert "helm -n school test edugraph" in notes
    assert "port-forward service/edugraph-gateway 8080:8080" in notes
    assert "FOR EVALUATION: rabbitmq, redis, neo4j" in notes
    assert "{{" not in notes
    assert "WARNING" in chart.notes('gateway.auth.mode="off"', "gateway.auth.openToNetwork=true")
