"""Network policies allow the arrows of the picture in docs/architecture.md, and nothing else."""

import pytest

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
    "rabbitmq",
    "redis",
    "neo4j",
    "test",
)
DRAWN = {
    *(
        (who, "rabbitmq")
        for who in ("gateway", "importer", "splits", "findings", "analyzer", "flower", "prepare", "webhooks")
    ),
    *(
        (who, "redis")
        for who in ("gateway", "insights", "importer", "splits", "findings", "analyzer", "flower", "prepare")
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
LABELS = {"app.kubernetes.io/name": "edugraph", "app.kubernetes.io/instance": "edugraph"}


def labels(component):
    return {**LABELS, "app.kubernetes.io/component": component}


def selects(selector, given):
    """A label selector, as Kubernetes reads it."""
    if any(given.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(given.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", []))


class Network:
    """Answers like a cluster that enforces the policies, for pods of the release's namespace."""

    def __init__(self, objects):
        self.policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]

    def _allows(self, direction, pod, peer, port):
        rules = [p for p in self.policies if direction in p["policyTypes"] and selects(p["podSelector"], pod)]
        peers, key = ("to", "egress") if direction == "Egress" else ("from", "ingress"), direction.lower()
        if not rules:
            return True
        where = peers[0] if direction == "Egress" else "from"
        return any(self._matches(rule, where, peer, port) for policy in rules for rule in policy.get(key, []))

    @staticmethod
    def _matches(rule, where, peer, port):
        ports = [p["port"] for p in rule.get("ports", [])]
        if ports and port not in ports:
            return False
        if where not in rule:
            return True
        return any(
            "podSelector" in p and "namespaceSelector" not in p and selects(p["podSelector"], peer)
            for p in rule[where]
        )

    def connects(self, source, target, port):
        return self._allows("Egress", source, target, port) and self._allows("Ingress", target, source, port)


def test_exactly_the_drawn_arrows(chart):
    network = Network(chart.render())
    there = {
        (source, target)
        for source in COMPONENTS
        for target, port in PORTS.items()
        if source != target and network.connects(labels(source), labels(target), port)
    }
    # Gateway and insights take calls from anybody, but few of the release's own pods may make one.
    assert there == DRAWN


@pytest.mark.parametrize("target", ["rabbitmq", "redis", "neo4j", "flower", "importer"])
def test_a_stranger_reaches_nothing(chart, target):
    assert not Network(chart.render()).connects({"app": "stranger"}, labels(target), PORTS[target])


@pytest.mark.parametrize("door", ["gateway", "insights"])
def test_a_stranger_reaches_a_door_only_if_nobody_is_named(chart, door):
    stranger, port = {"app": "stranger"}, PORTS[door]
    assert Network(chart.render()).connects(stranger, labels(door), port)
    named = chart.render('networkPolicy.gatewayFrom=[{"podSelector":{"matchLabels":{"app":"portal"}}}]')
    assert not Network(named).connects(stranger, labels(door), port)
    assert Network(named).connects({"app": "portal"}, labels(door), port)
    assert Network(named).connects(labels("test"), labels(door), port)
    assert door == "gateway" or Network(named).connects(labels("gateway"), labels(door), port)


@pytest.mark.parametrize("component", ["gateway", "insights", "importer", "splits", "findings", "analyzer"])
def test_only_prometheus_reaches_the_metrics(chart, component):
    prometheus = {"app": "prometheus"}
    network = Network(
        chart.render('networkPolicy.metricsFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]')
    )
    assert network.connects(prometheus, labels(component), METRICS)
    for stranger in ({"app": "stranger"}, labels("flower"), labels("test")):
        assert not network.connects(stranger, labels(component), METRICS)


def test_prometheus_does_not_reach_the_api_when_callers_are_named(chart):
    """Its metrics are elsewhere, so it needs no way to the API."""
    network = Network(
        chart.render(
            'networkPolicy.metricsFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]',
            'networkPolicy.gatewayFrom=[{"podSelector":{"matchLabels":{"app":"portal"}}}]',
        )
    )
    assert not network.connects({"app": "prometheus"}, labels("gateway"), PORTS["gateway"])


def test_every_pod_is_under_a_policy_both_ways(chart, example):
    objects = chart.render(example=example)
    denied = [o for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == "edugraph-deny"]
    if example == "minimal":
        assert not denied
        return
    (policy,) = denied
    assert sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    assert not {"ingress", "egress"} & set(policy["spec"])


def _towards(chart, name, *settings, example="default"):
    objects = chart.render(*settings, example=example)
    return [o["spec"] for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == name]


def test_only_analyzers_reach_the_provider(chart):
    assert _towards(chart, "edugraph-to-provider") == []
    (policy,) = _towards(chart, "edugraph-to-provider", 'analyzer.model.existingSecret="model"')
    who = [c for c in COMPONENTS if selects(policy["podSelector"], labels(c))]
    assert who == ["analyzer"]
    assert policy["egress"][0]["ports"] == [{"protocol": "TCP", "port": 443}]


def test_only_webhooks_reach_the_address_outside(chart):
    assert _towards(chart, "edugraph-to-webhook") == []
    (policy,) = _towards(
        chart, "edugraph-to-webhook", 'webhooks={"url":"https://a.example/in","existingSecret":"hook"}'
    )
    assert [c for c in COMPONENTS if selects(policy["podSelector"], labels(c))] == ["webhooks"]


def test_external_servers_by_their_ports(chart):
    (policy,) = _towards(chart, "edugraph-to-neo4j", example="production")
    assert policy["egress"][0]["to"] == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]
    assert not selects(policy["podSelector"], labels("analyzer"))
    (policy,) = _towards(chart, "edugraph-to-rabbitmq", example="production")
    assert [p["port"] for p in policy["egress"][0]["ports"]] == [5671, 15671]
