"""The embedded graph: an ArcadeDB server from the wheel `arcadedb-embedded`. Clients use it over Bolt, like Neo4j.

The server runs as a process of its own, since a fault in it would end the interpreter that it runs in. It listens on
the loopback only, at ports that the system chooses. Its password is random and stands in a file that only this user
can read.
"""

import importlib.util
import os
import re
import secrets
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DATABASE = "neo4j"
_HEAP = "512m"
_READY_SECONDS = 90.0
_STOP_SECONDS = 20.0
_PORT = re.compile(r"BOLT connections on \S*:(\d+)")
_STARTED = "ArcadeDB Server started"  # logged when the database exists, which is after the line with the port
_MODULES = ("java.util.concurrent.atomic", "java.nio.channels.spi", "java.lang")


@dataclass(frozen=True)
class GraphAddress:
    uri: str
    user: str
    password: str
    database: str = DATABASE


class EmbeddedGraph:
    """A server on the data in `folder`. As a context manager it yields its address.

    `start` raises FileNotFoundError without the wheel, and RuntimeError if the server ends or is not ready in time.
    """

    def __init__(self, folder: Path, heap: str = _HEAP) -> None:
        self._folder = folder.resolve()
        self._heap = heap
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> GraphAddress:
        """Start the server and return its address when the database answers, after 1 to 4 seconds."""
        self._folder.mkdir(parents=True, exist_ok=True)
        password_file = self._folder / "password"
        if not password_file.exists():
            descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as new:
                new.write(secrets.token_urlsafe(24))
        password = password_file.read_text().strip()
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
        """End the server. Data that it has acknowledged stays in the folder."""
        process = self._process
        self._process = None
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
                raise RuntimeError(
                    f"the embedded graph ended while it was starting, with {process.returncode}; see {self._log}"
                )
            log = self._log.read_text("utf-8", errors="replace")
            port = _PORT.search(log)
            if port and _STARTED in log:
                with (
                    suppress(OSError),
                    socket.create_connection(("127.0.0.1", int(port[1])), timeout=5),
                ):
                    return GraphAddress(f"bolt://127.0.0.1:{port[1]}", "root", password)
            time.sleep(0.05)
        raise RuntimeError(
            f"the embedded graph was not ready after {_READY_SECONDS:.0f} s; see {self._log}"
        )


def _command(folder: Path, heap: str) -> list[str]:
    """Return the command line of the server."""
    # The folder of the wheel is found without an import, which would start a Java machine in this process.
    spec = importlib.util.find_spec("arcadedb_embedded")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the embedded graph is not installed: install edugraph-cli[embedded]"
        )
    home = Path(next(iter(spec.submodule_search_locations)))
    java = home / "jre" / "bin" / ("java.exe" if os.name == "nt" else "java")
    opened = [f"--add-opens=java.base/{module}=ALL-UNNAMED" for module in _MODULES]
    settings = [f"-Darcadedb.{name}={value}" for name, value in _settings(folder).items()]
    return [
        str(java),
        f"-Xmx{heap}",
        # Runs are short, so the second compiler would take more time than it saves.
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
    """Return the settings of the server. By default it would listen everywhere. Port 0 lets the system choose."""
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
        # Without this setting a time comes back without its zone.
        "dateTimeImplementation": "java.time.ZonedDateTime",
    }
