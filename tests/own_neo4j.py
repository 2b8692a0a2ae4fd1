"""A Neo4j of one bench alone, with a new store, so that what it holds and takes is of that bench."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guard import started_here

from edugraph_importer.graph import GraphSettings
from tools.servers.checkout import Checkout
from tools.servers.neo4j import Neo4j


class _OwnNeo4j(Neo4j):
    def given(self) -> None:
        """Whatever Neo4j the shell knows, this one is started."""


@dataclass(frozen=True)
class Store:
    settings: GraphSettings
    folder: Path
    pid: int | None  # None in a container
    stop: Callable[[], object]
    start: Callable[[], None]
    admin: Callable[..., None]  # what `neo4j-admin` does, while the server is stopped

    @property
    def password(self) -> str:
        assert self.settings.password is not None
        return self.settings.password.get_secret_value()

    def bytes_when_stopped(self) -> int:
        """End the server, which writes all that it holds, and return what its store takes on disk.

        The transaction log, which is cut off by its age, does not count.
        """
        self.stop()
        files = (self.folder / "data" / "databases").rglob("*")
        return sum(path.stat().st_blocks * 512 for path in files if path.is_file())

    def resident_mb(self) -> int:
        """Memory of the process at its largest."""
        lines = (
            Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
            if self.pid
            else []
        )
        return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


@contextmanager
def own_neo4j(folder: Path, privacy_secret: str) -> Iterator[Store]:
    checkout = Checkout(folder)
    checkout.state.mkdir(parents=True, exist_ok=True)
    server = _OwnNeo4j(checkout)
    try:
        server.up()
        found = server.addresses()
        settings = GraphSettings(
            uri=found["NEO4J_URI"],
            user=found["NEO4J_USER"],
            password=found["NEO4J_PASSWORD"],
            privacy_secret=privacy_secret,
        )
        with started_here({f"EDUGRAPH_{name}": value for name, value in found.items()}):
            pid = (checkout.record(server.name) or {}).get("pid")
            yield Store(settings, server.home, pid, server.down, server.up, server.admin)
    finally:
        server.down()
