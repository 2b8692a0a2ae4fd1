"""`proxy.enabled`: Caddy as the one address of gateway and insights, where the cluster has no Ingress."""

import json

from enforced import Network, Pod, component
from rendered_chart import CHART, Chart, variables
from test_network import COMPONENTS, DRAWN, PORTS

ON = "proxy.enabled=true"
PORT = 8000


def test_it_has_the_caddyfile_of_compose(chart, find):
    objects = chart.render(ON)
    written = find(objects, "ConfigMap", "edugraph-proxy")["data"]["Caddyfile"]
    assert written.strip() == (CHART / "files" / "Caddyfile").read_text().strip()
    compose = (CHART.parents[1] / "compose.yaml").read_text()
    assert "./deploy/k8s/files/Caddyfile:/etc/caddy/Caddyfile:ro" in compose


def test_it_leads_to_both_services(chart, pods):
    settings = (ON, "gateway.service.port=8443", "insights.service.port=9443")
    (container,) = pods(chart.render(*settings))["Deployment/edugraph-proxy"]["containers"]
    set_to = {name: entry["value"] for name, entry in variables(container).items()}
    assert set_to["GATEWAY_ADDRESS"] == "edugraph-gateway:8443"
    assert set_to["INSIGHTS_ADDRESS"] == "edugraph-insights:9443"
    assert set_to["CADDY_SITE"] == f"http://:{PORT}"
    assert "CADDY_TLS" not in set_to


def test_it_serves_a_certificate(chart, pods):
    """Out: auto_https. Caddy would open port 80, too, and end where it may not."""
    spec = pods(chart.render(ON, 'proxy.tlsSecret="school-tls"'))["Deployment/edugraph-proxy"]
    (container,) = spec["containers"]
    set_to = {name: entry["value"] for name, entry in variables(container).items()}
    assert set_to["CADDY_SITE"] == f"https://:{PORT}"
    assert set_to["CADDY_AUTO_HTTPS"] == "auto_https disable_redirects"
    folder = "/etc/edugraph/tls"
    assert set_to["CADDY_TLS"] == f"tls {folder}/tls.crt {folder}/tls.key"
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == folder]
    assert {"name": mount["name"], "secret": {"secretName": "school-tls"}} in spec["volumes"]


def test_it_speaks_with_the_two_services_alone(chart):
    """Out: the policy of-proxy, or the proxy among those who reach gateway and insights."""
    callers = json.dumps([{"podSelector": {"matchLabels": {"app": "portal"}}}])
    network = Network(chart.render(ON, f"networkPolicy.gatewayFrom={callers}"))
    ports = {**PORTS, "proxy": PORT}
    drawn = set()
    for who in (*COMPONENTS, "proxy"):
        for target, port in ports.items():
            if who != target and network.connects(component(who), component(target), port):
                drawn.add((who, target))
    assert drawn == DRAWN | {("proxy", "gateway"), ("proxy", "insights")}
    assert network.connects(Pod({"app": "portal"}), component("proxy"), PORT)
    assert not network.connects(Pod({"app": "stranger"}), component("proxy"), PORT)


def test_the_notes_lead_to_it():
    chart = Chart("4")
    notes = chart.notes(ON)
    assert "port-forward service/edugraph-proxy 8080:80" in notes
    assert "edugraph-insights 8081" not in notes


def test_no_group_of_workers_has_its_name(chart):
    group = json.dumps({"service": "importer", "queues": ["data_import"]})
    assert "workers.proxy: another part" in chart.refusal(f"workers.proxy={group}")
