"""What one checkout remembers about its servers: ports, passwords and what was started, all under .run/."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.common import ServerError, write_private

PORT_NAMES = ("amqp", "management", "prometheus", "distribution", "epmd", "redis", "bolt")
# Below the range Linux hands out to outgoing connections, so that a remembered port is still free tomorrow.
FIRST_PORT, BLOCK_SIZE, BLOCKS = 20000, 10, 1200
SETS = 4  # of servers in one checkout: that of `make up`, and those of up to three workers of a test run

# What a worker of a test run needs with its servers, which keep up to 2 GB, and the processes of the system.
WORKER_BYTES = 4 << 30


def workers_for(cores: int, memory_bytes: int) -> int:
    """Return how many workers a test run should have on such a machine.

    A worker waits for a third of its time: for a process that ends, for figures that the broker gathers, for a limit
    that must pass. So there are three of them for two cores, where the memory allows it.
    """
    return max(1, min(SETS - 1, cores * 3 // 2, memory_bytes // WORKER_BYTES))


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen here; connections that are only being closed do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(seed: int, taken: Collection[int] = ()) -> dict[str, int]:
    """Choose a block of free ports; the seed keeps two checkouts that start together away from each other.

    `taken` are those of servers that need not run now.
    """
    for step in range(BLOCKS):
        first = FIRST_PORT + (seed + step) % BLOCKS * BLOCK_SIZE
        ports = {name: first + index for index, name in enumerate(PORT_NAMES)}
        if all(port not in taken and port_is_free(port) for port in ports.values()):
            return ports
    raise ServerError(f"no free ports between {FIRST_PORT} and {FIRST_PORT + BLOCKS * BLOCK_SIZE}")


@dataclass(frozen=True)
class Checkout:
    """One working copy of the repository, with one of its sets of servers.

    Set 0 is that of `make up`. Each worker of a test run, counted from 1, has a set with folders, ports, passwords
    and names of its own: it deletes what it finds there.
    """

    root: Path
    test_worker: int = 0

    @property
    def id(self) -> str:
        """A short name for this set, for what is shared by the whole machine (node names, containers)."""
        return self._folder_id + ("", "-test", "-test-2", "-test-3")[self.test_worker]

    @property
    def state(self) -> Path:
        """Everything the servers keep: data, logs, ports, passwords."""
        name = ("servers", "test-servers", "test-servers-2", "test-servers-3")[self.test_worker]
        return self.root / ".run" / name

    @property
    def env_file(self) -> Path:
        """The addresses for programs or for tests, as NAME=value lines."""
        return self.state.with_suffix(".env")

    @property
    def ports_file(self) -> Path:
        """The ports, chosen at the first start."""
        return self.state / "ports.json"

    def folder(self, name: str) -> Path:
        """Return a server's own folder, readable by its owner only."""
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        return path

    def ports(self) -> dict[str, int]:
        """Return this checkout's ports; the same ones every time."""
        known = self._read(self.ports_file)
        if not known or set(known["ports"]) != set(PORT_NAMES):
            notes = [self._read(replace(self, test_worker=number).ports_file) for number in range(SETS)]
            taken = {port for note in notes if note for port in note["ports"].values()}
            # As far apart as the blocks allow, so that the sets differ though all are started first at the same time.
            seed = int(self._folder_id, 16) + BLOCKS // SETS * self.test_worker
            known = self._write(self.ports_file, {"ports": choose_ports(seed, taken)})
        ports: dict[str, int] = known["ports"]
        return ports

    def password(self, name: str) -> str:
        """Return a server's password, made up at its first use; only characters that need no quoting in a URL."""
        path = self.state / f"{name}.password"
        if not path.exists():
            write_private(path, secrets.token_hex(16))
        return path.read_text(encoding="utf-8").strip()

    def record(self, name: str) -> dict[str, Any] | None:
        """Return what was noted when a server was started."""
        return self._read(self.state / f"{name}.started.json")

    def remember(self, name: str, record: dict[str, Any]) -> None:
        """Note how a server was started, so that `down` ends exactly that."""
        self._write(self.state / f"{name}.started.json", record)

    def forget(self, name: str) -> None:
        """Drop the note about a server that has ended."""
        (self.state / f"{name}.started.json").unlink(missing_ok=True)

    @property
    def _folder_id(self) -> str:
        return hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:8]

    def _write(self, path: Path, content: dict[str, Any]) -> dict[str, Any]:
        content = {"checkout": str(self.root.resolve()), **content}
        write_private(path, json.dumps(content, indent=1) + "\n")
        return content

    def _read(self, path: Path) -> dict[str, Any] | None:
        """Read a note. One that came along when the folder was copied speaks of the original's servers: not ours."""
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if content.get("checkout") == str(self.root.resolve()) else None
