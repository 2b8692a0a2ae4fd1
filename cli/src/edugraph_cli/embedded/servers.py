"""The two small servers of the embedded run, and the settings with which the real processes use them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edugraph_cli.embedded.graph_server import EmbeddedGraph
from edugraph_cli.embedded.valkey_server import valkey_server
from edugraph_cli.processes import Processes


def _privacy_secret(folder: Path) -> str:
    """Return the secret of the run, which is kept with its data."""
    path = folder / "privacy.secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(24), encoding="utf-8")
    return path.read_text(encoding="utf-8")


@contextmanager
def embedded_servers(folder: Path) -> Iterator[dict[str, str]]:
    """Start both servers and yield the environment of the processes. All data of the servers is below `folder`."""
    valkey = valkey_server(folder / "valkey")
    servers = Processes(logs=folder / "logs", environment={})
    graph = EmbeddedGraph(folder / "graph")
    try:
        servers.start("valkey", valkey.command)
        address = graph.start()
        servers.wait_until("valkey", valkey.answers)
        yield {
            "EDUGRAPH_BROKER_URL": valkey.url(0),
            "EDUGRAPH_REDIS_URL": valkey.url(1),
            "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
            "EDUGRAPH_NEO4J_URI": address.uri,
            "EDUGRAPH_NEO4J_USER": address.user,
            "EDUGRAPH_NEO4J_PASSWORD": address.password,
            "EDUGRAPH_NEO4J_DATABASE": address.database,
            "EDUGRAPH_PRIVACY_SECRET": _privacy_secret(folder),
            # Everything listens on the loopback only, for one person on one machine.
            "EDUGRAPH_AUTH": "off",
        }
    finally:
        graph.stop()
        servers.stop()
