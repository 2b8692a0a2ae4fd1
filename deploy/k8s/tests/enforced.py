"""Rendered network policies, read for TCP as a cluster does that enforces them."""

import ipaddress
from typing import Any, NamedTuple

Object = dict[str, Any]
NAMESPACE = "default"  # of `helm template`
RELEASE = {"app.kubernetes.io/name": "edugraph", "app.kubernetes.io/instance": "edugraph"}


class Pod(NamedTuple):
    """A pod of some namespace."""

    labels: dict[str, str]
    namespace: str = NAMESPACE


class Outside(NamedTuple):
    """An address that belongs to no pod. On Cilium an ipBlock matches such addresses only, and so it does here."""

    address: str


def component(name: str) -> Pod:
    """Return a pod of the release."""
    return Pod({**RELEASE, "app.kubernetes.io/component": name})


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Return whether a label selector of Kubernetes selects what has these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", ()):
        value = labels.get(expression["key"])
        holds = {
            "In": value in expression.get("values", ()),
            "NotIn": value not in expression.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[expression["operator"]]:
            return False
    return True


def _is_peer(peer: Object, end: Pod | Outside) -> bool:
    if isinstance(end, Outside):
        if "ipBlock" not in peer:
            return False
        address = ipaddress.ip_address(end.address)
        if address not in ipaddress.ip_network(peer["ipBlock"]["cidr"]):
            return False
        return not any(
            address in ipaddress.ip_network(each) for each in peer["ipBlock"].get("except", ())
        )
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": end.namespace}):
            return False
    elif end.namespace != NAMESPACE:
        return False
    return selects(peer.get("podSelector", {}), end.labels)


def _matches(rule: Object, peers: str, end: Pod | Outside, port: int) -> bool:
    ports = rule.get("ports") or []
    is_port = not ports
    for each in ports:
        last = each.get("endPort", each.get("port", 65_535))
        if each.get("protocol", "TCP") == "TCP" and each.get("port", 1) <= port <= last:
            is_port = True
    if not is_port:
        return False
    # A list of peers that is missing or empty stands for everybody.
    return not rule.get(peers) or any(_is_peer(peer, end) for peer in rule[peers])


class Network:
    """The policies of a rendered chart. Pods of other namespaces and addresses outside are under none."""

    def __init__(self, objects: list[Object]) -> None:
        self.policies = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]

    def _allows(self, direction: str, pod: Pod | Outside, other: Pod | Outside, port: int) -> bool:
        if isinstance(pod, Outside) or pod.namespace != NAMESPACE:
            return True
        policies = []
        for policy in self.policies:
            if direction in policy["policyTypes"] and selects(policy["podSelector"], pod.labels):
                policies.append(policy)
        if not policies:
            return True
        peers = {"Egress": "to", "Ingress": "from"}[direction]
        rules = [rule for policy in policies for rule in policy.get(direction.lower(), ())]
        return any(_matches(rule, peers, other, port) for rule in rules)

    def leaves(self, source: Pod | Outside, target: Pod | Outside, port: int) -> bool:
        """Return whether `source` may leave for `target`, whatever that lets in."""
        return self._allows("Egress", source, target, port)

    def connects(self, source: Pod | Outside, target: Pod | Outside, port: int) -> bool:
        return self.leaves(source, target, port) and self._allows("Ingress", target, source, port)
