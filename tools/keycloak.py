"""A Keycloak on this machine for tests of signing in: the distribution of Maven Central with a database in memory."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dev.debian import packages as debian
from tools import cache
from tools.common import ServerError, last_lines, say
from tools.servers.neo4j import find_java
from tools.servers.server import clean_env

VERSION = "26.4.7"
SHA256 = "dd9834c023460be856f731423d86228c23b5d002194a2064642bec0cc6573eaa"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
OLDEST_JAVA = 17
READY_WITHIN = 300  # seconds; on an idle machine it takes half a minute
ADMIN = "admin"
# The options of the build, which are the same at each start. With other options Keycloak would build itself again.
BUILT = ("--db=dev-mem",)


class Certificate(NamedTuple):
    """The files of a certificate, in PEM."""

    chain: Path
    key: Path


class Keycloak(NamedTuple):
    """A running Keycloak.

    `password` is for the administrator `ADMIN`. Without a certificate `secure_url` is empty.
    """

    url: str
    password: str
    secure_url: str = ""


@contextmanager
def running(
    folder: Path, host: str = "127.0.0.1", certificate: Certificate | None = None
) -> Iterator[Keycloak]:
    """Yield a Keycloak that answers and has only its administrator. Its log is in `folder`.

    `host` is the address of this machine where it listens.
    """
    built = cache.built(f"keycloak-{VERSION}", _get)
    # Keycloak writes to its home, so the home is a new folder. The program itself is only linked there and read.
    for part in (built / f"keycloak-{VERSION}").iterdir():
        if part.name != "data":
            (folder / part.name).symlink_to(part)
    port = _free_port(host)
    keycloak = Keycloak(f"http://{host}:{port}", secrets.token_hex(16))
    options = ["--optimized", "--cache=local", "--http-enabled=true", "--hostname-strict=false"]
    command = [
        str(folder / "bin" / "kc.sh"),
        "start",
        *options,
        f"--http-host={host}",
        f"--http-port={port}",
    ]
    if certificate is not None:
        secure_port = _free_port(host)
        keycloak = keycloak._replace(secure_url=f"https://{host}:{secure_port}")
        command += [
            f"--https-port={secure_port}",
            f"--https-certificate-file={certificate.chain}",
            f"--https-certificate-key-file={certificate.key}",
        ]
    environment = _environment(
        KC_BOOTSTRAP_ADMIN_USERNAME=ADMIN, KC_BOOTSTRAP_ADMIN_PASSWORD=keycloak.password
    )
    log = folder / "keycloak.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        _wait(process, keycloak.url, log)
        yield keycloak
    finally:
        process.terminate()
        process.wait(60)


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _environment(**extra: str) -> dict[str, str]:
    java = Path(find_java(OLDEST_JAVA))
    return clean_env(HOME=os.environ.get("HOME", "/"), JAVA_HOME=str(java.parent.parent), **extra)


def _get(folder: Path, lock: int) -> None:
    debian.need_command("mvn", "maven")
    say(
        f"getting version {VERSION} with Maven (160 MB), and making it ready once (half a minute)",
        "keycloak",
    )
    artifact = f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    log = cache.folder() / "keycloak.log"
    cache.run_logged(
        ["mvn", "-B", "-q", "-C", artifact, f"-DoutputDirectory={folder}", COPY], log, lock
    )
    archive = folder / f"keycloak-quarkus-dist-{VERSION}.zip"
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ServerError(
            f"{archive.name} has the SHA-256 {found}, and not the one that tools/keycloak.py names"
        )
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    archive.unlink()
    program = folder / f"keycloak-{VERSION}" / "bin" / "kc.sh"
    program.chmod(0o755)
    cache.run_logged(["env", "-i", *_assignments(), str(program), "build", *BUILT], log, lock)


def _assignments() -> list[str]:
    return [f"{name}={value}" for name, value in _environment().items()]


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/realms/master", timeout=10):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ServerError(f"Keycloak did not start; the end of its log:\n{last_lines(log)}")
