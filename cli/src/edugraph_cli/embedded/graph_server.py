"""The embedded graph: an ArcadeDB server from the wheel `arcadedb-embedded`, spoken to over Bolt like a Neo4j.

It runs as a process of its own (inside Python it takes the interpreter down with it), on the loopback only, on
ports that the system chooses, with a random password in a file that only this user can read.
"""

import importlib.util
import os
import re
import secrets
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

DATABASE = "neo4j"
_HEAP = "512m"
_READY_SECONDS = 90.0
_STOP_SECONDS = 20.0
_PORT = re.compile(r"BOLT connections on \S*:(\d+)")
_STARTED = "ArcadeDB Server started"  # logged once the database is there; the port opens before that
_MODULES = ("java.util.concurrent.atomic", "java.nio.channels.spi", "java.lang")


@dataclass(frozen=True)
class GraphAddress:
    uri: str
    user: str
    password: str
    database: str = DATABASE


class EmbeddedGraph:
    """A server on the data in `folder`. Also a context manager that gives the address.

    Raises FileNotFoundError where the wheel is missing, RuntimeError if the server ends or is not ready in time.
    """

    def __init__(self, folder: Path, heap: str = _HEAP) -> None:
        self._folder = folder.resolve()
        self._heap = heap
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> GraphAddress:
        """Returns when the database answers (1 to 4 seconds)."""
        password = _password(self._folder)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                _command(self._folder, self._heap),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            return self._wait(self._process, password)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server; what it acknowledged stays in the folder."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> GraphAddress:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"

    def _wait(self, process: subprocess.Popen[bytes], password: str) -> GraphAddress:
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end:
            if process.poll() is not None:
                raise RuntimeError(f"the embedded graph ended with {process.returncode}; see {self._log}")
            port = self._port()
            if port and _listens(port):
                return GraphAddress(f"bolt://127.0.0.1:{port}", "root", password)
            time.sleep(0.05)
        raise RuntimeError(f"the embedded graph was not ready after {_READY_SECONDS:.0f} s; see {self._log}")

    def _port(self) -> int | None:
        """The Bolt port that the server chose, once it takes queries."""
        log = self._log.read_text("utf-8", errors="replace")
        port = _PORT.search(log)
        return int(port[1]) if port and _STARTED in log else None


def _password(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "password"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(secrets.token_urlsafe(24))
    return file.read_text().strip()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _command(folder: Path, heap: str) -> list[str]:
    home = _home()
    java = home / "jre" / "bin" / ("java.exe" if os.name == "nt" else "java")
    opened = [f"--add-opens=java.base/{module}=ALL-UNNAMED" for module in _MODULES]
    settings = [f"-Darcadedb.{name}={value}" for name, value in _settings(folder).items()]
    return [
        str(java),
        f"-Xmx{heap}",
        # Its runs are short: what the second compiler would take is never paid back.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:+UseCompactObjectHeaders",
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        *opened,
        "-Dfile.encoding=UTF8",
        "-Djava.awt.headless=true",
        "-Dpolyglot.engine.WarnInterpreterOnly=false",
        "-cp",
        str(home / "jars" / "*"),
        *settings,
        "com.arcadedb.server.ArcadeDBServer",
    ]


def _settings(folder: Path) -> dict[str, object]:
    """Both hosts are set because their default is every interface; port 0 lets the system choose."""
    return {
        "server.rootPath": folder,
        "server.rootPasswordPath": folder / "password",
        "server.logsDirectory": folder / "log",
        "server.mode": "production",
        "server.defaultDatabases": f"{DATABASE}[]",
        "server.httpIncomingHost": "127.0.0.1",
        "server.httpIncomingPort": 0,
        "server.httpWorkerThreads": 8,
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "bolt.host": "127.0.0.1",
        "bolt.port": 0,
        "bolt.defaultDatabase": DATABASE,
        # Without it an aware date and time comes back without its zone.
        "dateTimeImplementation": "java.time.ZonedDateTime",
    }


def _home() -> Path:
    """The wheel's folder, found without importing it: importing would start a Java machine in this process."""
    spec = importlib.util.find_spec("arcadedb_embedded")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the embedded graph is not installed: install edugraph-cli[embedded]")
    return Path(next(iter(spec.submodule_search_locations)))
