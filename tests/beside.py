"""What tests run beside the system: the provider that answers as told, and small HTTP servers within the test."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROVIDER = Path(__file__).parent / "provider" / "server.py"


@contextmanager
def scripted_provider(script: dict[str, Any] | None = None) -> Iterator[str]:
    """Its base URL; tests/provider/server.py tells what a script is."""
    command = [sys.executable, str(PROVIDER), "--script", json.dumps(script or {})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Silent(BaseHTTPRequestHandler):
    """Logs nothing."""

    def log_message(self, *_: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    # Connections that wait to be accepted; the default of 5 loses some of a burst
    request_queue_size = 128


@contextmanager
def http_server(handler: type[Silent]) -> Iterator[str]:
    """Its URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
