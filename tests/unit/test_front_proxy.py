"""One address for both services: the real Caddy, as compose has it and as `make up` does, and what the services answer."""

import re
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_documents import gateway_document, insights_document

from edugraph_cli import front_proxy
from edugraph_cli.processes import Processes, free_port
from edugraph_cli.serving import Served
from edugraph_common.contracts.public_paths import GATEWAY_EXACT, INSIGHTS_PATHS, is_of_insights
from edugraph_common.runtime.service import metrics

CADDYFILE = Path(__file__).resolve().parents[2] / "deploy" / "k8s" / "files" / "Caddyfile"
# Here the service answers before it has read the body, as to a caller without a key.
REFUSED = "/v1/insights/refused"
# Caddy waits 10 s for headers, and as long for the rest of a body. Where a test waits for these limits, they are one
# second. Caddy may take what comes after a body for the beginning of another request, whose headers have the same limit.
LIMIT = "10s"
SHORT_LIMIT = "1s"
SHORT_LIMIT_NANOSECONDS = 1_000_000_000
MOST_SECONDS_OF_HEADERS = 6.0
MOST_SECONDS_OF_BODIES = 7.0
DRIP_SECONDS = 0.3


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


def start_caddy(processes: Processes, folder: Path, text: str, environment: dict[str, str]) -> None:
    """Start Caddy with the text of a Caddyfile, which is written into a folder."""
    config = folder / "Caddyfile"
    config.write_text(text, encoding="utf-8")
    caddy = str(Path(sys.executable).with_name("caddy"))
    command = [caddy, "run", "--config", str(config), "--adapter", "caddyfile"]
    processes.start("proxy", command, environment)


@contextmanager
def proxy(
    kind: str, folder: Path, *, is_impatient: bool = False
) -> Iterator[tuple[httpx.Client, dict[str, int]]]:
    """Start Caddy as compose or as `make up` does it; yield a client of it, and the ports of both services.

    An impatient one has the short limits.
    """
    servers = {
        name: ThreadingHTTPServer(("127.0.0.1", 0), Door) for name in ("gateway", "insights")
    }
    for server in servers.values():
        Thread(target=server.serve_forever, daemon=True).start()
    ports = {name: int(server.server_address[1]) for name, server in servers.items()}
    port = free_port()
    places = {name: f"127.0.0.1:{each}" for name, each in ports.items()}
    processes = Processes(logs=folder, environment={"XDG_DATA_HOME": str(folder)})
    if kind == "compose":
        text = CADDYFILE.read_text(encoding="utf-8")
        if is_impatient:
            text = text.replace(LIMIT, SHORT_LIMIT)
        environment = {
            "CADDY_SITE": f"http://:{port}",
            "CADDY_BIND": "127.0.0.1",
            **{f"{name.upper()}_ADDRESS": place for name, place in places.items()},
        }
        start_caddy(processes, folder, text, environment)
    else:
        served = Served(f"http://{places['gateway']}", f"http://{places['insights']}", processes)
        with pytest.MonkeyPatch.context() as patch:
            if is_impatient:
                patch.setattr(front_proxy, "HEADERS_TIMEOUT", SHORT_LIMIT)
                patch.setattr(front_proxy, "BODY_TIMEOUT_NANOSECONDS", SHORT_LIMIT_NANOSECONDS)
            front_proxy.start_front_proxy(served, port, folder)
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


@pytest.fixture(scope="module", params=["compose", "make up"])
def doors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, dict[str, int]]]:
    """A client of the one address, and the ports of both services."""
    with proxy(request.param, tmp_path_factory.mktemp("caddy")) as started:
        yield started


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
@pytest.mark.parametrize("kind", ["compose", "make up"])
def test_a_request_that_does_not_come_ends_the_connection_at_the_proxy(
    tmp_path: Path, kind: str
) -> None:
    """To take the guard out: leave read_header, read_body_idle or read_timeout out of the Caddyfile."""
    with (
        proxy(kind, tmp_path, is_impatient=True) as (client, _),
        ThreadPoolExecutor(len(SLOW_CLIENTS)) as clients,
    ):
        found = list(clients.map(lambda each: seconds_open(client, *each), SLOW_CLIENTS))
    for slow_client, seconds in zip(SLOW_CLIENTS, found, strict=True):
        _, _, most_seconds = slow_client
        assert seconds < most_seconds, slow_client


def test_both_proxies_wait_for_ten_seconds() -> None:
    """The test above has shorter limits, so the limits themselves are compared here."""
    text = CADDYFILE.read_text(encoding="utf-8")
    limits = dict(re.findall(r"^\s*(read_\w+|idle) (\S+)$", text, re.MULTILINE))
    assert limits == {
        "read_header": LIMIT,
        "idle": LIMIT,
        "read_body_idle": "-1s",
        "read_timeout": LIMIT,
    }
    assert front_proxy.HEADERS_TIMEOUT == LIMIT
    assert front_proxy.BODY_TIMEOUT_NANOSECONDS == 10 * SHORT_LIMIT_NANOSECONDS


# The frames that begin each connection of HTTP/2, the first part of the headers of a request, and an empty next part.
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
HALF_HEADERS = bytes.fromhex("000005010000000001" + "8287840100")
CONTINUATION = bytes.fromhex("000000090000000001")


@dataclass(frozen=True)
class TlsDoor:
    """The port of Caddy behind TLS, on this machine."""

    port: int

    def opened(self) -> ssl.SSLSocket:
        """Return a connection of HTTP/2. Raises OSError."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=DRIP_SECONDS)
        return context.wrap_socket(plain, server_hostname="localhost")

    def answers(self) -> bool:
        try:
            self.opened().close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def tls_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsDoor]:
    """Caddy with a certificate of its own. An idle connection has one second in place of ten."""
    folder = tmp_path_factory.mktemp("caddy-tls")
    text = CADDYFILE.read_text(encoding="utf-8")
    own_certificate = (
        "admin off\n\tskip_install_trust\n\tlocal_certs\n\tauto_https disable_redirects"
    )
    text = text.replace("admin off", own_certificate).replace("idle 10s", "idle 1s")
    door = TlsDoor(free_port())
    environment = {
        "CADDY_SITE": f"https://localhost:{door.port}",
        "CADDY_BIND": "127.0.0.1",
        "GATEWAY_ADDRESS": "127.0.0.1:1",
        "INSIGHTS_ADDRESS": "127.0.0.1:1",
    }
    folders = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    processes = Processes(logs=folder, environment=folders)
    start_caddy(processes, folder, text, environment)
    try:
        processes.wait_until("proxy", door.answers)
        yield door
    finally:
        processes.stop()


@pytest.mark.loopback("Caddy with a certificate of its own")
@pytest.mark.parametrize("drip", [b"", CONTINUATION])
def test_headers_of_http_2_that_do_not_come_whole_end_the_connection(
    tls_door: TlsDoor, drip: bytes
) -> None:
    """To take the guard out: leave `idle` out of the Caddyfile."""
    begun = time.monotonic()
    with tls_door.opened() as connection, suppress(ConnectionError, ssl.SSLError):
        connection.sendall(HTTP_2 + HALF_HEADERS)
        while time.monotonic() - begun < MOST_SECONDS_OF_HEADERS:
            try:
                if not connection.recv(4096):
                    break
            except TimeoutError:
                connection.sendall(drip)
    assert time.monotonic() - begun < MOST_SECONDS_OF_HEADERS


@pytest.mark.loopback("Caddy with a certificate of its own")
def test_nobody_is_led_to_http_3_and_nothing_listens_for_it(tls_door: TlsDoor) -> None:
    """To take the guard out: leave `protocols` out of the Caddyfile."""
    answer = httpx.get(f"https://localhost:{tls_door.port}/readyz", verify=False)
    assert "alt-svc" not in answer.headers
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", tls_door.port))


def test_each_operation_is_behind_the_door_that_leads_to_it() -> None:
    """Out: a path of INSIGHTS_PATHS or GATEWAY_EXACT."""
    behind = {False: set(gateway_document()["paths"]), True: set(insights_document()["paths"])}
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
