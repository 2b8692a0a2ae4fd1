"""The system's own processes, each started again when it ends, as Kubernetes would."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from edugraph_cli.processes import free_port, gateway_command, insights_command, worker_command
from edugraph_cli.serving import IMPORTS

WORKERS = ("importer", "findings", "analyzer")
ALL_THAT_WRITE = ("gateway", *WORKERS)
COMMANDS = {
    "gateway": gateway_command(),
    "importer": worker_command("edugraph_importer.worker", "importer", IMPORTS, 2),
    "findings": worker_command("edugraph_importer.worker", "findings", "graph_findings", 1),
    "analyzer": worker_command("edugraph_analyzer.worker", "analyzer", "llm_analysis", 2),
    "insights": insights_command(),
}
LOOKS_EVERY = 0.25  # seconds
BACK_OFF = 1.0  # seconds before a process that ended is started again
READY_WITHIN = 60  # seconds


@dataclass
class Supervised:
    """`restarts` counts by process; `logs` are appended to over all lives of a process.

    `headers` has the key of an operator if the system asks for keys.
    """

    environment: Mapping[str, str]
    logs: Path
    url: str
    insights: str
    headers: dict[str, str] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _sessions: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)

    @classmethod
    @contextmanager
    def run(
        cls, environment: Mapping[str, str], logs: Path, names: Sequence[str] = ALL_THAT_WRITE
    ) -> Iterator["Supervised"]:
        ports = {"EDUGRAPH_PORT": str(free_port()), "EDUGRAPH_INSIGHTS_PORT": str(free_port())}
        own = {"EDUGRAPH_HOST": "127.0.0.1", **ports}
        logs.mkdir(parents=True, exist_ok=True)
        url, insights = (f"http://127.0.0.1:{port}" for port in ports.values())
        without_keys = {"EDUGRAPH_AUTH": "off"}
        system = cls({**os.environ, **without_keys, **environment, **own}, logs, url, insights)
        keeper = threading.Thread(target=system._keep, daemon=True)
        try:
            for name in names:
                system._start(name)
            keeper.start()
            system._wait()
            yield system
        finally:
            system._ending.set()
            keeper.join(10)
            system._end()

    @property
    def workers(self) -> list[str]:
        """Return the names of the workers that run."""
        return [name for name in WORKERS if name in self._running]

    def kill(self, name: str, *, children_too: bool) -> None:
        """With its children as when a container is killed; without, as when the system kills the largest process."""
        with self._lock, suppress(ProcessLookupError):
            pid = self._running[name].pid
            (os.killpg if children_too else os.kill)(pid, signal.SIGKILL)

    def kill_child(self, name: str, rng: random.Random) -> None:
        """One process of the worker's pool; the worker itself, where its pool is of threads."""
        with self._lock, suppress(OSError, IndexError):
            pid = self._running[name].pid
            listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            os.kill(int(rng.choice(sorted(listed) or [str(pid)])), signal.SIGKILL)

    def _keep(self) -> None:
        while not self._ending.wait(LOOKS_EVERY):
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            if ended and not self._ending.wait(BACK_OFF):
                for name in ended:
                    self.restarts[name] += 1
                    self._start(name)

    def _start(self, name: str) -> None:
        with self._lock, (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                COMMANDS[name],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running[name] = process
            self._sessions.append(process.pid)

    def _wait(self) -> None:
        end = time.monotonic() + READY_WITHIN
        while not self._ready():
            if time.monotonic() > end:
                raise RuntimeError(
                    f"the system was not ready after {READY_WITHIN} s; its logs are in {self.logs}"
                )
            time.sleep(0.1)

    def _ready(self) -> bool:
        texts = [
            (self.logs / f"{name}.log").read_text(errors="replace")
            for name in self._running
            if name in WORKERS
        ]
        with suppress(httpx.HTTPError):
            return (
                all("ready." in text for text in texts)
                and httpx.get(f"{self.url}/readyz", timeout=3).is_success
            )
        return False

    def _end(self) -> None:
        """Of every life of every process: a pool's child may outlive its parent."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
        for session in self._sessions:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)
        for process in self._running.values():
            process.wait(10)
