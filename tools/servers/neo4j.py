"""The graph database."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dev.debian import packages as debian
from tools import cache, docker
from tools.common import ServerError, say, write_private

from . import processes
from .server import Server, clean_env

DEFAULT_VERSION = "5.26.30"
USER = "neo4j"
# Every Debian since 12 has it; Neo4j 5 runs on it, and the versions named by year need 21
OLDEST_JAVA = 17

# Two dependencies are a whole server. Maven checks the download against the checksums of the repository (mvn -C).
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>edugraph</groupId><artifactId>neo4j-runtime</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId><version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

# After two missed keep-alive messages, by default a minute each, a client considers the connection lost. Two other
# settings are waits at a stop after the data are safe; with their defaults every stop takes ten seconds.
CONFIGURATION = """\
server.bolt.listen_address=127.0.0.1:{bolt}
server.http.enabled=false
server.https.enabled=false
dbms.usage_report.enabled=false
db.logs.query.enabled=OFF
server.memory.pagecache.size=512m
server.bolt.connection_keep_alive=10s
internal.server.bolt.thread_pool_shutdown_wait_time=500ms
internal.server.bolt.connection_shutdown_wait_time=500ms
"""

# Settings for a run of tests, whose graphs are small and often emptied. A bench must not use them. By default
# - a statement is planned again when its plan is 10 s old and the graph has changed,
# - and for each order of magnitude (1, 10, 100 …) of each list among its parameters;
# - 1,000 plans are cached, and a whole run has more.
# With the defaults, planning took most of Neo4j's time.
OF_QUICK = {
    "dbms.cypher.min_replan_interval": "1h",
    "internal.cypher.use_parameter_size": "false",
    "server.memory.query_cache.per_db_cache_num_entries": "5000",
}
# Java's second compiler took a third of Neo4j's CPU time, and such a run is too short for it. Without it, the first
# compiler has 48 MB for its code by default. A whole run fills them, and then the compiler stops and drops its code.
JAVA_OF_QUICK = ["-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=192m"]

# Neo4j's own start script passes these options too, because Neo4j uses internal parts of Java's buffers.
JAVA_OPTIONS = [
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-Dio.netty.tryReflectionSetAccessible=true",
    *(
        f"--add-opens=java.base/{part}=ALL-UNNAMED"
        for part in ("java.nio", "java.io", "sun.nio.ch")
    ),
]


class Neo4j(Server):
    """Neo4j Community: 5.26, or the version in NEO4J_VERSION. Each version has its own home.

    With NEO4J_QUICK, which `make test` sets, the servers of tests need half of the CPU time in a run of some minutes.
    """

    name = "neo4j"
    variables = ("NEO4J_URI", "NEO4J_USER", "NEO4J_PASSWORD")
    listens_on = ("bolt",)

    @property
    def version(self) -> str:
        """The requested version."""
        version = os.environ.get("NEO4J_VERSION") or DEFAULT_VERSION
        if not re.fullmatch(r"\d+\.\d+\.\d+", version):
            raise ServerError(
                f"NEO4J_VERSION is {version!r}: give all three numbers, for example {DEFAULT_VERSION}"
            )
        return version

    @property
    def quick(self) -> bool:
        """Whether the server is for a run of tests, and not for a bench or for `make up`."""
        return bool(os.environ.get("NEO4J_QUICK")) and self.checkout.test_worker > 0

    @property
    def is_five(self) -> bool:
        """Whether the version is 5.x, and not named by year."""
        return self.version.startswith("5.")

    def addresses(self) -> dict[str, str]:
        """Return the address and the login."""
        return {
            "NEO4J_URI": f"bolt://127.0.0.1:{self.port['bolt']}",
            "NEO4J_USER": USER,
            "NEO4J_PASSWORD": self.checkout.password(self.name),
        }

    def ready(self) -> bool:
        """Return whether the server answers the handshake of Bolt, which offers the versions 5.0 to 5.4 and 4.4."""
        with socket.create_connection(("127.0.0.1", self.port["bolt"]), timeout=5) as connection:
            offers = b"\x00\x04\x04\x05" + b"\x00\x00\x04\x04" + bytes(8)
            connection.sendall(b"\x60\x60\xb0\x17" + offers)
            return len(connection.recv(4)) == len(b"\x00\x00\x04\x05")

    def check_running(self, record: dict[str, Any]) -> None:
        """Raise ServerError if another version runs than the requested one."""
        running = record.get("version", "")
        if os.environ.get("NEO4J_VERSION") and running not in ("", self.version):
            raise ServerError(
                f"version {running} is running: end it first (`down --only neo4j`), then `up` again"
            )

    def chosen(self) -> dict[str, bool]:
        """Return the kind of run that the server is for."""
        return {"quick": self.quick}

    @property
    def home(self) -> Path:
        """The folder of this version."""
        return self.checkout.folder(f"neo4j-{self.version}")

    @property
    def log(self) -> Path:
        """The log with the output of the process."""
        return self.home / "output.log"

    def logs(self) -> list[Path]:
        """Return Neo4j's own log as well."""
        return [self.log, self.home / "logs" / "neo4j.log"]

    def data_folders(self) -> list[Path]:
        """Return the homes of all versions."""
        return list(self.checkout.state.glob("neo4j-*"))

    def run_process(self) -> dict[str, Any]:
        """Set the password in a new home, then start."""
        home = self.home
        for name in ("conf", "data", "logs", "run"):
            (home / name).mkdir(exist_ok=True)
        write_private(home / "conf" / "neo4j.conf", self._configuration())
        if not (home / "data" / "dbms" / "auth.ini").exists():
            self.admin("dbms", "set-initial-password", self.checkout.password(self.name))
        main = "org.neo4j.server." + ("CommunityEntryPoint" if self.is_five else "Neo4jCommunity")
        command = [*self._java(), main, f"--home-dir={home}", f"--config-dir={home}/conf"]
        return {**processes.spawn(command, self._env(), self.log), "version": self.version}

    def admin(self, *arguments: str) -> None:
        """Run `neo4j-admin` in this home. The server must not run."""
        command = [*self._java(), "org.neo4j.cli.AdminTool", *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._env(),
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()[-1000:]
            raise ServerError(f"neo4j-admin {' '.join(arguments[:2])} failed: {said}")

    def _java(self) -> list[str]:
        java = find_java(OLDEST_JAVA if self.is_five else 21)
        jars = cache.built(f"neo4j-{self.version}", self._get_jars)
        return [java, *JAVA_OPTIONS, *(JAVA_OF_QUICK if self.quick else []), "-cp", f"{jars}/*"]

    def _env(self) -> dict[str, str]:
        return clean_env(
            HOME=str(self.home), NEO4J_HOME=str(self.home), NEO4J_CONF=str(self.home / "conf")
        )

    def _configuration(self) -> str:
        of_quick = (
            "".join(f"{name}={value}\n" for name, value in OF_QUICK.items()) if self.quick else ""
        )
        return CONFIGURATION.format(**self.port) + of_quick

    def _get_jars(self, folder: Path, lock: int) -> None:
        debian.need_command("mvn", "maven")
        say(f"getting version {self.version} with Maven (20 s, 130 MB)", self.name)
        pom = folder / "pom.xml"
        pom.write_text(POM.format(version=self.version), encoding="utf-8")
        options = [
            "-B",
            "-q",
            "-C",
            "-f",
            str(pom),
            f"-DoutputDirectory={folder}",
            "-DincludeScope=runtime",
        ]
        cache.run_logged(["mvn", *options, COPY_JARS], cache.folder() / "maven.log", lock)

    def run_container(self) -> None:
        """Start the official image."""
        line = "5.26" if self.version == DEFAULT_VERSION else self.version
        volume = f"{self.container}-{self.version}"
        options = [f"--publish=127.0.0.1:{self.port['bolt']}:7687", f"--volume={volume}:/data"]
        env = {
            "NEO4J_AUTH": f"{USER}/{self.addresses()['NEO4J_PASSWORD']}",
            "NEO4J_server_memory_heap_max__size": "1g",
            "NEO4J_server_memory_pagecache_size": "512m",
            "NEO4J_dbms_usage__report_enabled": "false",
        }
        if self.quick:
            # The image expects the names of settings in this form.
            env |= {
                f"NEO4J_{name.replace('_', '__').replace('.', '_')}": value
                for name, value in OF_QUICK.items()
            }
            env["NEO4J_server_jvm_additional"] = " ".join(JAVA_OF_QUICK)
        docker.run(self.container, options, env, f"neo4j:{line}-community", [])


def find_java(least: int) -> str:
    """Return the oldest Java that is new enough, because a server was most likely tested with it."""
    found = _javas(least)
    if not found and least == OLDEST_JAVA:
        debian.need_command("java", "default-jre-headless")
        found = _javas(least)
    if not found:
        raise ServerError(
            f"it needs Java {least} or later: put one into /usr/lib/jvm, or name it by JAVA_HOME"
        )
    return min(found)[1]


def _javas(least: int) -> list[tuple[int, str]]:
    return [
        (version, str(java)) for java in _candidates() if (version := _java_version(java)) >= least
    ]


def _candidates() -> Iterator[Path]:
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if Path("/usr/lib/jvm").is_dir():
        homes += Path("/usr/lib/jvm").iterdir()
    programs = {(home / "bin" / "java").resolve() for home in homes}
    if on_path := shutil.which("java"):
        programs.add(Path(on_path).resolve())
    yield from sorted(program for program in programs if program.is_file())


def _java_version(java: Path) -> int:
    done = subprocess.run(
        [java, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    match = re.search(r'version "(\d+)', done.stderr)
    return int(match.group(1)) if match else 0
