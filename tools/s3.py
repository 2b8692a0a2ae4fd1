"""A real S3 server on the loopback for tests and benches: versitygw, which stores each object as a file in a folder.

The server is built from its Go module, once for all checkouts. The version is pinned, and Go's checksum database
verifies it. `python3 -m tools.s3` builds it before the tests. Exit code 3 means that it cannot be provided.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dev.kubernetes.programs import go_version
from tools import cache
from tools.common import ServerError, last_lines, say
from tools.servers.server import clean_env

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "1.8.0"
OLDEST_GO = (1, 25)
READY_WITHIN = 60  # seconds


class S3(NamedTuple):
    """A running server. Each folder in `buckets` is a bucket."""

    address: str
    access_key: str
    secret_key: str
    buckets: Path

    def environment(self, address: str = "") -> dict[str, str]:
        """Return the variables with which a client finds the server, or a proxy in front of it at `address`."""
        return {
            "AWS_ENDPOINT_URL": address or self.address,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def running(folder: Path) -> Iterator[S3]:
    """Yield a server that answers and has no bucket. Its files and its log are in `folder`. Raises ServerError."""
    program = cache.built(f"versitygw-{VERSION}", _build) / "versitygw"
    buckets = folder / "buckets"
    # The metadata stand beside the objects, for file systems without extended attributes.
    metadata = folder / "metadata"
    for needed in (buckets, metadata):
        needed.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    s3 = S3(f"http://127.0.0.1:{port}", "edugraph", secrets.token_hex(16), buckets)
    options = ["--port", f"127.0.0.1:{port}", "--quiet", "--keep-alive"]
    command = [str(program), *options, "posix", "--sidecar", str(metadata), str(buckets)]
    environment = clean_env(ROOT_ACCESS_KEY=s3.access_key, ROOT_SECRET_KEY=s3.secret_key)
    log = folder / "versitygw.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        _wait(process, s3.address, log)
        yield s3
    finally:
        process.terminate()
        process.wait(30)


def _build(folder: Path, lock: int) -> None:
    found = go_version()
    if found is None or found < OLDEST_GO:
        raise ServerError(
            f"the S3 server of the tests is built with Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or later"
        )
    say(f"building versitygw {VERSION} with Go: some minutes, once for this machine", "s3")
    settings = {
        "GOBIN": str(folder),
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOWORK": "off",
    }
    assignments = [f"{name}={value}" for name, value in settings.items()]
    install = ["go", "install", "-trimpath", "-ldflags=-s -w", f"{MODULE}@v{VERSION}"]
    command = ["env", *assignments, "nice", "-n", "10", *install]
    cache.run_logged(command, cache.folder() / "versitygw.log", lock)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError:
            return  # The server answers: it refuses a request without a signature.
        except OSError:
            time.sleep(0.05)
            continue
        return
    raise ServerError(f"the S3 server did not start; the end of its log:\n{last_lines(log)}")


def main() -> int:
    """Build the server."""
    try:
        cache.built(f"versitygw-{VERSION}", _build)
    except ServerError as error:
        say(str(error), "s3")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
