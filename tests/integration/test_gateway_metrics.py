"""A gateway's metrics have a port of their own: the port of the API, which an ingress shows to the world, has none."""

from pathlib import Path

import httpx
import pytest
from gateway_alone import gateway, virtual_host
from waiting import until

from edugraph_cli.processes import free_port

pytestmark = pytest.mark.real


def test_only_the_port_of_their_own_serves_metrics(tmp_path: Path) -> None:
    port = free_port()
    with (
        virtual_host() as addresses,
        gateway(addresses, tmp_path, metrics_port=str(port)) as running,
    ):
        scraped = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20)
        with running.client() as client:
            public = client.get("/metrics")
        # The public port is counted in the same process, after its answer was sent.
        until(
            lambda: 'status="404"' in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
        )
        beside = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=20)
    assert scraped.status_code == 200
    assert "edugraph_http_requests_total{" in scraped.text
    assert public.status_code == 404
    assert "edugraph_" not in public.text
    assert beside.status_code == 404


def test_without_that_port_nothing_serves_them(tmp_path: Path) -> None:
    with (
        virtual_host() as addresses,
        gateway(addresses, tmp_path) as running,
        running.client() as client,
    ):
        assert client.get("/metrics").status_code == 404
