"""The notes of one checkout about its servers under .run/: ports, passwords and started processes."""

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
# The ports are below the range that Linux uses for outgoing connections, so that a remembered port stays free.
FIRST_PORT, BLOCK_SIZE, BLOCKS = 20000, 10, 1200
SETS = 4  # sets of servers in one checkout: one for `make up`, and one for each of up to three workers of a test run

# The memory for a worker of a test run, its servers, which keep up to 2 GB, and the processes of the system.
WORKER_BYTES = 4 << 30


def workers_for(cores: int, memory_bytes: int) -> int:
    """Return how many workers a test run should have on such a machine.

    A worker waits for a third of its time: for the end of a process, for the broker's figures, or for a time limit.
    So there are three workers for two cores, if there is enough memory.
    """
    return max(1, min(SETS - 1, cores * 3 // 2, memory_bytes // WORKER_BYTES))


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on a port. Connections that are being closed do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(seed: int, taken: Collection[int] = ()) -> dict[str, int]:
    """Return a block of free ports: name -> port. Different seeds give different blocks to checkouts.

    `taken` are ports of servers that may not be running now.
    """
    for step in range(BLOCKS):
        first = FIRST_PORT + (seed + step) % BLOCKS * BLOCK_SIZE
        ports = {name: first + index for index, name in enumerate(PORT_NAMES)}
        if all(port not in taken and port_is_free(port) for port in ports.values()):
            return ports
    raise ServerError(f"no free ports between {FIRST_PORT} and {FIRST_PORT + BLOCKS * BLOCK_SIZE}")


@dataclass(frozen=True)
class Checkout:
    """A working copy of the repository with one of its sets of servers.

    Set 0 is for `make up`. Each worker of a test run, counted from 1, has a set with its own folders, ports,
    passwords and names, because tests delete all data of their servers.
    """

    root: Path
    test_worker: int = 0

    @property
    def id(self) -> str:
        """A short name of this set. It makes names unique on the machine, such as those of nodes and containers."""
        return self._folder_id + ("", "-test", "-test-2", "-test-3")[self.test_worker]

    @property
    def state(self) -> Path:
        """The folder of the servers' data, logs, ports and passwords."""
        name = ("servers", "test-servers", "test-servers-2", "test-servers-3")[self.test_worker]
        return self.root / ".run" / name

    @property
    def env_file(self) -> Path:
        """The file with the addresses for programs or tests, as lines NAME=value."""
        return self.state.with_suffix(".env")

    @property
    def ports_file(self) -> Path:
        """The file with the ports, which are chosen at the first start."""
        return self.state / "ports.json"

    def folder(self, name: str) -> Path:
        """Return the folder of a server. Only its owner can read it."""
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        return path

    def ports(self) -> dict[str, int]:
        """Return the ports of this checkout. They are the same each time."""
        known = self._read(self.ports_file)
        if not known or set(known["ports"]) != set(PORT_NAMES):
            notes = [
                self._read(replace(self, test_worker=number).ports_file) for number in range(SETS)
            ]
            taken = {port for note in notes if note for port in note["ports"].values()}
            # The seeds are as far apart as the blocks allow, so that sets that start at the same time get different
            # ports.
            seed = int(self._folder_id, 16) + BLOCKS // SETS * self.test_worker
            known = self._write(self.ports_file, {"ports": choose_ports(seed, taken)})
        ports: dict[str, int] = known["ports"]
        return ports

    def password(self, name: str) -> str:
        """Return the password of a server, which is made at the first use. It needs no quoting in a URL."""
        path = self.state / f"{name}.password"
        if not path.exists():
            write_private(path, secrets.token_hex(16))
        return path.read_text(encoding="utf-8").strip()

    def record(self, name: str) -> dict[str, Any] | None:
        """Return the note about a started server, or None."""
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
        """Read a note. A note of a copied folder is ignored, because it describes the servers of the original."""
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if content.get("checkout") == str(self.root.resolve()) else None
