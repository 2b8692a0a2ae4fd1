"""One address for both services: the real Caddy, as compose has it and as `make up` does, and what the services answer."""

import socket
import ssl
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_cli.front_proxy import start_front_proxy
from edugraph_cli.processes import Processes, free_port
from edugraph_cli.serving import Served
from edugraph_common.contracts.public_paths import GATEWAY_EXACT, INSIGHTS_PATHS, is_of_insights
from edugraph_common.runtime.service import metrics
from edugraph_gateway.app import make_application as gateway_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_insights.app import make_application as insights_application
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

CADDYFILE = Path(__file__).resolve().parents[2] / "deploy" / "compose" / "Caddyfile"
NOWHERE = {
    "broker_url": "amqp://127.0.0.1:1",
    "redis_url": "redis://127.0.0.1:1",
    "blob_url": "/tmp",
}
# Here the service answers before it has read the body, as to a caller without a key.
REFUSED = "/v1/insights/refused"
# Caddy waits 10 s for headers, and as long for the rest of a body. It may take what comes then for the beginning of
# another request, whose headers have 10 s as well.
MOST_SECONDS_OF_HEADERS = 15.0
MOST_SECONDS_OF_BODIES = 24.0
DRIP_SECONDS = 0.3
INSIGHTS_ALONE = {"redis_url": "redis://127.0.0.1:1", "neo4j_uri": "bolt://127.0.0.1:1"}


class Door(BaseHTTPRequestHandler):
    """Answers with its port, the path, and how much of a body it got."""

    def _answer(self) -> None:
        if self.path == REFUSED:
            self.send_response(401)
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.close_connection = True
            return
        size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        body = f"{self.connection.getsockname()[1]} {self.path} {size}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - these are the names that the library calls

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", params=["compose", "make up"])
def doors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, dict[str, int]]]:
    """A client of the one address, and the ports of both services."""
    servers = {
        name: ThreadingHTTPServer(("127.0.0.1", 0), Door) for name in ("gateway", "insights")
    }
    for server in servers.values():
        Thread(target=server.serve_forever, daemon=True).start()
    ports = {name: int(server.server_address[1]) for name, server in servers.items()}
    folder, port = tmp_path_factory.mktemp("caddy"), free_port()
    places = {name: f"127.0.0.1:{each}" for name, each in ports.items()}
    processes = Processes(logs=folder, environment={"XDG_DATA_HOME": str(folder)})
    if request.param == "compose":
        environment = {
            "CADDY_SITE": f"http://:{port}",
            "CADDY_BIND": "127.0.0.1",
            **{f"{name.upper()}_ADDRESS": place for name, place in places.items()},
        }
        caddy = str(Path(sys.executable).with_name("caddy"))
        processes.start(
            "proxy",
            [caddy, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
            environment,
        )
    else:
        served = Served(f"http://{places['gateway']}", f"http://{places['insights']}", processes)
        start_front_proxy(served, port, folder)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

        def answers() -> bool:
            try:
                return client.get("/readyz").is_success
            except httpx.HTTPError:
                return False

        processes.wait_until("proxy", answers)
        yield client, ports
    processes.stop()
    for server in servers.values():
        server.shutdown()
        server.server_close()


paths = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "/", *INSIGHTS_PATHS, *GATEWAY_EXACT, "/v1/imports", "/v1"]),
        st.sampled_from(["", "/", "/x", "x", "/verify", "/%E7%94%A8%2Fy"]),
    ),
).filter(lambda path: path.startswith("/") and not path.startswith("//"))


@pytest.mark.loopback("Caddy and two servers that stand for the services")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=paths, method=st.sampled_from(["GET", "POST", "DELETE"]))
def test_each_path_comes_whole_to_the_service_that_answers_it(
    doors: tuple[httpx.Client, dict[str, int]], path: str, method: str
) -> None:
    """Out: any path of the Caddyfile, or the order of its handles."""
    client, ports = doors
    door = "insights" if is_of_insights(path) else "gateway"
    # The proxy lets 64 KiB through to insights.
    body_bytes = {"insights": 50_000, "gateway": 100_000}[door]
    body = b"x" * body_bytes if method == "POST" else b""
    answer = client.request(method, path, content=body).raise_for_status()
    assert answer.text == f"{ports[door]} {path} {len(body)}"


@pytest.mark.loopback("Caddy and two servers that stand for the services")
def test_a_body_that_insights_does_not_need_ends_at_the_proxy(
    doors: tuple[httpx.Client, dict[str, int]],
) -> None:
    """To take the guard out: leave request_body out of the Caddyfile."""
    client, _ = doors
    assert client.post("/v1/insights/views", content=b"x" * 100_000).status_code == 413


GET = b"GET /readyz HTTP/1.1\r\nHost: x\r\n"
POST = f"POST {REFUSED} HTTP/1.1\r\nHost: x\r\n".encode()
# The beginning of a connection, what follows again and again, and the seconds after which it is closed at the latest.
# After an empty drip the client is silent.
SLOW_CLIENTS = (
    (GET, b"", MOST_SECONDS_OF_HEADERS),
    (GET + b"X-A: ", b"a", MOST_SECONDS_OF_HEADERS),
    (POST + b"Content-Length: 60000\r\n\r\n", b"", MOST_SECONDS_OF_BODIES),
    (POST + b"Content-Length: 60000\r\n\r\n", b"a", MOST_SECONDS_OF_BODIES),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", MOST_SECONDS_OF_BODIES),
)


def seconds_open(client: httpx.Client, begin: bytes, drip: bytes, most_seconds: float) -> float:
    """Return for how many seconds the proxy leaves a connection open on which a request comes slowly."""
    address = (client.base_url.host, client.base_url.port)
    begun = time.monotonic()
    with (
        socket.create_connection(address, timeout=DRIP_SECONDS) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(begin)
        while time.monotonic() - begun < most_seconds:
            try:
                if not connection.recv(4096):
                    break
            except TimeoutError:
                connection.sendall(drip)
    return time.monotonic() - begun


@pytest.mark.loopback("Caddy and two servers that stand for the services")
def test_a_request_that_does_not_come_ends_the_connection_at_the_proxy(
    doors: tuple[httpx.Client, dict[str, int]],
) -> None:
    """To take the guard out: leave read_header, read_body_idle or read_timeout out of the Caddyfile."""
    client, _ = doors
    with ThreadPoolExecutor(len(SLOW_CLIENTS)) as clients:
        found = list(clients.map(lambda each: seconds_open(client, *each), SLOW_CLIENTS))
    for slow_client, seconds in zip(SLOW_CLIENTS, found, strict=True):
        _, _, most_seconds = slow_client
        assert seconds < most_seconds, slow_client


# The frames that begin each connection of HTTP/2, the first part of the headers of a request, and an empty next part.
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
HALF_HEADERS = bytes.fromhex("000005010000000001" + "8287840100")
CONTINUATION = bytes.fromhex("000000090000000001")


@pytest.mark.loopback("Caddy with a certificate of its own")
def test_headers_of_http_2_that_do_not_come_whole_end_the_connection(tmp_path: Path) -> None:
    """To take the guard out: leave `idle` out of the Caddyfile. The test waits for a second in place of ten."""
    text = CADDYFILE.read_text(encoding="utf-8")
    own_certificate = (
        "admin off\n\tskip_install_trust\n\tlocal_certs\n\tauto_https disable_redirects"
    )
    text = text.replace("admin off", own_certificate).replace("idle 10s", "idle 1s")
    (tmp_path / "Caddyfile").write_text(text, encoding="utf-8")
    port = free_port()
    environment = {
        "CADDY_SITE": f"https://localhost:{port}",
        "CADDY_BIND": "127.0.0.1",
        "GATEWAY_ADDRESS": "127.0.0.1:1",
        "INSIGHTS_ADDRESS": "127.0.0.1:1",
    }
    folders = {"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    processes = Processes(logs=tmp_path, environment=folders)
    caddy = str(Path(sys.executable).with_name("caddy"))
    command = [caddy, "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"]
    processes.start("proxy", command, environment)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])

    def opened() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port), timeout=DRIP_SECONDS)
        return context.wrap_socket(plain, server_hostname="localhost")

    def answers() -> bool:
        try:
            opened().close()
        except OSError:
            return False
        return True

    try:
        processes.wait_until("proxy", answers)
        for drip in (b"", CONTINUATION):
            begun = time.monotonic()
            with opened() as connection, suppress(ConnectionError, ssl.SSLError):
                connection.sendall(HTTP_2 + HALF_HEADERS)
                while time.monotonic() - begun < MOST_SECONDS_OF_HEADERS:
                    try:
                        if not connection.recv(4096):
                            break
                    except TimeoutError:
                        connection.sendall(drip)
            assert time.monotonic() - begun < MOST_SECONDS_OF_HEADERS, drip
    finally:
        processes.stop()


def test_each_operation_is_behind_the_door_that_leads_to_it() -> None:
    """Out: a path of INSIGHTS_PATHS or GATEWAY_EXACT."""
    gateway = gateway_application(open_gateway(GatewaySettings.model_validate(NOWHERE)))
    insights = insights_application(open_insights(InsightsSettings.model_validate(INSIGHTS_ALONE)))
    behind = {False: set(gateway.openapi()["paths"]), True: set(insights.openapi()["paths"])}
    own = {"/healthz", "/readyz"}  # of each process; from outside those of the gateway are seen
    assert len(behind[False]) > 20
    assert "/v1/graph/summary" in behind[True]
    wrong = [
        path
        for door, its in behind.items()
        for path in its - own
        if is_of_insights(path) is not door
    ]
    assert wrong == []
    route = next(label for label in metrics.HTTP_SECONDS.labels if label.name == "route")
    assert max(map(len, behind.values())) < route.most, "the routes beyond are counted as one"
    assert is_of_insights("/v1/insights/openapi.json")
