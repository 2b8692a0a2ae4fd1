"""GET /metrics on a separate port, answered by a thread, so that the public port does not serve metrics."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from edugraph_common.runtime.service.instruments import CONTENT_TYPE


def serve_metrics(host: str, port: int, text: Callable[[], bytes]) -> None:
    """Start a thread that answers scrapes with `text()`, and return at once. The thread ends with the process."""

    class Scrape(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/metrics":
                status = 200
                body = text()
            else:
                status = 404
                body = b""
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do not log scrapes."""

    server = ThreadingHTTPServer((host, port), Scrape)
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
