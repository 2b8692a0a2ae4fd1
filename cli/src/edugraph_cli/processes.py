"""Start the processes of the system, wait until each is ready, and end them with a warm shutdown."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WARM_SHUTDOWN_SECONDS = 60  # for a worker to finish the tasks that it has begun


class NotReady(Exception):
    """A process ended or did not become ready. The message has the end of its log."""


@dataclass
class Processes:
    """All processes of one run. Each writes its log to its own file in the folder `logs`."""

    logs: Path
    environment: Mapping[str, str]
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, command: list[str], own: Mapping[str, str] | None = None) -> None:
        """Start a process. `own` are settings only for this process."""
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
        """Wait until `ready` returns true. Raises NotReady if the process ends or takes too long."""
        end = time.monotonic() + seconds
        while not ready():
            if self.running[name].poll() is not None:
                raise NotReady(
                    f"{name} ended while it was starting; the end of its log:\n{self.log_end(name)}"
                )
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
        """End all processes. A process that does not end in time is killed."""
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
    """Return the command of a Celery worker pool.

    `concurrency` is the number of tasks at a time; if it is None, the worker chooses. Gossip and mingle are off,
    since workers do not need to know each other.
    """
    size: tuple[str, ...] = ()
    if concurrency is not None:
        size = ("-c", str(concurrency))
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
    """Return a port of the loopback that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
