"""The system's own processes: they are started, awaited until each is ready, and ended with a warm shutdown."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WARM_SHUTDOWN_SECONDS = 60  # how long a worker may take to finish what it has begun


class NotReady(Exception):
    """A process ended or did not become ready; the message has the end of its log."""


@dataclass
class Processes:
    """All processes of one run. Each writes its log to a file of its own in `logs`."""

    logs: Path
    environment: Mapping[str, str]
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, command: list[str], own: Mapping[str, str] | None = None) -> None:
        """Start a process. `own` are settings of this process alone."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                env={**os.environ, **self.environment, **(own or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, name: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until `ready` says so. Raises NotReady when the process ends, or when it takes too long."""
        end = time.monotonic() + seconds
        while not ready():
            if self.running[name].poll() is not None:
                raise NotReady(f"{name} ended while it was starting; the end of its log:\n{self.log_end(name)}")
            if time.monotonic() > end:
                raise NotReady(
                    f"{name} was not ready after {seconds:.0f} s; the end of its log:\n{self.log_end(name)}"
                )
            time.sleep(0.05)

    def log_end(self, name: str, lines: int = 15) -> str:
        return "\n".join(self._log(name).read_text(errors="replace").splitlines()[-lines:])

    def log_has(self, name: str, words: str) -> bool:
        return words in self._log(name).read_text(errors="replace")

    def stop(self) -> None:
        """End all processes, the last started first, and kill one that does not end in time."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.running.values()):
            try:
                process.wait(WARM_SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def worker_command(module: str, name: str, queues: str, concurrency: int | None) -> list[str]:
    """Return the command of a Celery worker pool, without gossip and mingle: workers need not know each other.

    Without `concurrency` the worker itself knows how many tasks it runs at a time.
    """
    size = () if concurrency is None else ("-c", str(concurrency))
    return [
        *(sys.executable, "-m", "celery", "-A", module, "worker"),
        *("-Q", queues, *size, "-n", f"{name}@%h", "-E"),
        *("--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    ]


def gateway_command() -> list[str]:
    return [sys.executable, "-c", "from edugraph_gateway.main import main; main()"]


def insights_command() -> list[str]:
    return [sys.executable, "-c", "from edugraph_insights.main import main; main()"]


def free_port() -> int:
    """Return a port of the loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
