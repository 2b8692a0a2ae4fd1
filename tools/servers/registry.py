"""A registry of images on the loopback, for tests: Debian's docker-registry (CNCF Distribution)."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.debian import unpacked
from tools.common import ServerError

READY_WITHIN = 30  # seconds


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Start a registry and yield its HOST:PORT. Pushed images and the log are in `folder`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    configuration = folder / "registry.yml"
    configuration.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: '{folder / 'images'}'}}}}\n"
        f"http: {{addr: '{address}'}}\n",
        encoding="utf-8",
    )
    command = [
        str(unpacked.programs("registry", ("docker-registry",)) / "docker-registry"),
        "serve",
        str(configuration),
    ]
    with (folder / "registry.log").open("wb") as log:
        # The registry would read these variables as its settings.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")
        }
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
    try:
        _wait(process, address, folder / "registry.log")
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{address}/v2/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise ServerError(f"the registry did not start:\n{log.read_text(encoding='utf-8')[-1000:]}")
