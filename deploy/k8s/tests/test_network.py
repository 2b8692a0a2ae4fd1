"""Network policies allow the arrows of the picture in docs/architecture.md, and nothing else."""

import pytest
from enforced import Network, Outside, Pod, component

COMPONENTS = (
    "gateway",
    "insights",
    "importer",
    "splits",
    "findings",
    "analyzer",
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
DRAWN = {
    *(
        (who, "rabbitmq")
        for who in (
            "gateway",
            "importer",
            "splits",
            "findings",
            "analyzer",
            "flower",
            "prepare",
            "webhooks",
        )
    ),
    *(
        (who, "redis")
        for who in (
            "gateway",
            "insights",
            "importer",
            "splits",
            "findings",
            "analyzer",
            "flower",
            "prepare",
        )
    ),
    *((who, "neo4j") for who in ("insights", "importer", "splits", "findings", "prepare")),
    # The operator's command in a pod of the gateway asks insights too.
    *((who, "insights") for who in ("gateway", "test")),
    ("test", "gateway"),
}
PORTS = {
    "rabbitmq": 5672,
    "redis": 6379,
    "neo4j": 7687,
    "gateway": 8080,
    "insights": 8081,
    "flower": 5555,
    "importer": 9100,
}
METRICS = 9100
# Within and without the networks that examples/production.yaml names.
INSIDE, ELSEWHERE = Outside("10.20.0.7"), Outside("203.0.113.7")


def test_exactly_the_drawn_arrows(chart):
    network = Network(chart.render())
    there = {
        (source, target)
        for source in COMPONENTS
        for target, port in PORTS.items()
        if source != target and network.connects(component(source), component(target), port)
    }
    # Gateway and insights take calls from anybody, but few of the release's own pods may make one.
    assert there == DRAWN


@pytest.mark.parametrize("target", ["rabbitmq", "redis", "neo4j", "flower", "importer"])
def test_a_stranger_reaches_nothing(chart, target):
    assert not Network(chart.render()).connects(
        Pod({"app": "stranger"}), component(target), PORTS[target]
    )


@pytest.mark.parametrize("door", ["gateway", "insights"])
def test_a_stranger_reaches_a_door_only_if_nobody_is_named(chart, door):
    stranger, port = Pod({"app": "stranger"}), PORTS[door]
    assert Network(chart.render()).connects(stranger, component(door), port)
    named = chart.render(
        'networkPolicy.gatewayFrom=[{"podSelector":{"matchLabels":{"app":"portal"}}}]'
    )
    assert not Network(named).connects(stranger, component(door), port)
    assert Network(named).connects(Pod({"app": "portal"}), component(door), port)
    assert Network(named).connects(component("test"), component(door), port)
    assert door == "gateway" or Network(named).connects(component("gateway"), component(door), port)


@pytest.mark.parametrize(
    "who", ["gateway", "insights", "webhooks", "importer", "splits", "findings", "analyzer"]
)
def test_only_prometheus_reaches_the_metrics(chart, who):
    prometheus = Pod({"app": "prometheus"})
    network = Network(
        chart.render(
            'networkPolicy.metricsFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]'
        )
    )
    assert network.connects(prometheus, component(who), METRICS)
    for stranger in (Pod({"app": "stranger"}), component("flower"), component("test")):
        assert not network.connects(stranger, component(who), METRICS)


def test_prometheus_does_not_reach_the_api_when_callers_are_named(chart):
    """Its metrics are elsewhere, so it needs no way to the API."""
    network = Network(
        chart.render(
            'networkPolicy.metricsFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]',
            'networkPolicy.gatewayFrom=[{"podSelector":{"matchLabels":{"app":"portal"}}}]',
        )
    )
    assert not network.connects(Pod({"app": "prometheus"}), component("gateway"), PORTS["gateway"])


def test_every_pod_is_under_a_policy_both_ways(chart, example):
    objects = chart.render(example=example)
    denied = [
        o
        for o in objects
        if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == "edugraph-deny"
    ]
    if example == "minimal":
        assert not denied
        return
    (policy,) = denied
    assert sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & set(policy["spec"])


def test_external_servers_by_their_ports(chart):
    network = Network(chart.render(example="production"))
    for server, ports in {"rabbitmq": [5671, 15671], "redis": [6380], "neo4j": [7687]}.items():
        there = {
            who
            for who in COMPONENTS
            if all(network.connects(component(who), INSIDE, port) for port in ports)
        }
        assert there - {"webhooks"} == {who for who, drawn in DRAWN if drawn == server} - {
            "webhooks"
        }, server
        assert not any(
            network.connects(component(who), ELSEWHERE, port)
            for who in COMPONENTS
            for port in ports
        )


def test_an_empty_list_of_peers_lets_nobody_out(chart):
    """In a policy an empty list stands for everybody."""
    parts = ("external", "provider", "issuer", "webhooks", "blobs", "imports", "traces")
    closed = [f"networkPolicy.{part}To=[]" for part in parts]
    addresses = [
        'gateway.env=[{"name":"EDUGRAPH_IMPORTS_FROM","value":"https://exports.example.org/a"}]',
        'workerDefaults.env=[{"name":"OTEL_EXPORTER_OTLP_ENDPOINT","value":"https://traces.example.org"}]',
        'webhooks={"url":"https://a.example/in","existingSecret":"hook"}',
        'login.issuer="https://id.example.org/realms/school"',
        'login.existingSecret="login"',
        'login.redirectUrl="https://edugraph.example.org/ui/callback"',
    ]
    network = Network(chart.render(*closed, *addresses, example="production"))
    for who in COMPONENTS:
        for port in (443, 5671, 15671, 6380, 7687):
            assert not network.connects(component(who), INSIDE, port), (who, port)
            assert not network.connects(component(who), Pod({"app": "other"}), port), (who, port)


def test_more_ways_out_of_one_component_or_of_all(chart):
    way = '[{"to":[{"ipBlock":{"cidr":"10.20.0.0/16"}}],"ports":[{"port":%d}]}]'
    for who in COMPONENTS:
        network = Network(chart.render(f"networkPolicy.extraEgress.{who}={way % 389}"))
        there = [each for each in COMPONENTS if network.connects(component(each), INSIDE, 389)]
        assert there == [who]
    network = Network(chart.render(f"networkPolicy.extraEgress.all={way % 636}"))
    assert all(network.connects(component(who), INSIDE, 636) for who in COMPONENTS)
    assert not any(network.connects(component(who), ELSEWHERE, 636) for who in COMPONENTS)
