"""`make compose-test`: starts compose.yaml for real, imports a file through it, and ends it with nothing left.

With Docker where its daemon answers; otherwise with podman and podman-compose, and our own images of the servers.
It uses a project name and passwords of its own, so a system that runs already is not touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "deploy" / "compose")]
from make_env import filled  # noqa: E402

from tools import cache, docker, podman  # noqa: E402
from tools.debian import packages as debian  # noqa: E402

PODMAN_COMPOSE = "1.3.0"  # Debian 12's own is too old for profiles and merged maps
FILE = ROOT / "examples" / "school_en.ndjson"
PATIENCE = 300  # seconds
SERVICES = (
    *("rabbitmq", "redis", "neo4j", "topology", "prepare"),
    *("gateway", "insights", "proxy", "importer", "splits", "findings", "analyzer"),
)


class Compose:
    """One project; `command` is docker compose or podman-compose."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"edugraph-test-{secrets.token_hex(3)}"
        self.variables = self._variables()
        (folder / "env").write_text("".join(f"{key}={value}\n" for key, value in self.variables.items()))
        self.podman = not docker.answers()
        if self.podman:
            podman.configure(folder, '[network]\nnetwork_backend = "netavark"\n')
            program, names = [_podman_compose()], ["compose.yaml", "deploy/compose/without-registry.yaml"]
            files = [str(_without_order(ROOT / name, folder)) for name in names]
        else:
            program, files = ["docker", "compose"], [str(ROOT / "compose.yaml")]
        chosen = [part for file in files for part in ("-f", file)]
        self.command = [*program, "-p", self.name, "--env-file", str(folder / "env"), *chosen]

    def _variables(self) -> dict[str, str]:
        lines = [filled(line) for line in (ROOT / ".env.example").read_text().splitlines()]
        values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        ports = ("GATEWAY_PORT", "HTTPS_PORT", "FLOWER_PORT")
        return values | {name: str(_free_port()) for name in ports}

    def services(self) -> list[str]:
        built = (ROOT / "services" / "flower" / "Dockerfile").exists()
        return [*SERVICES, "flower"] if built else list(SERVICES)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [*self.command, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise SystemExit(f"{' '.join(arguments)} did not end within {PATIENCE} s:\n{late.output}") from None
        if check and done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return done

    @contextlib.contextmanager
    def up(self) -> Iterator[str]:
        """Yields the one address of gateway and insights once it is ready."""
        ended = threading.Event()
        threading.Thread(target=self._drive_health, args=(ended,), daemon=True).start()
        try:
            if self.podman:
                self._start_in_order()
            else:
                self.run("up", "-d", "--quiet-pull", *self.services())
            url = f"http://127.0.0.1:{self.variables['GATEWAY_PORT']}"
            until("the gateway", lambda: ask(url, "/readyz"))
            yield url
        except BaseException:
            logs = self.run("logs", "--tail", "15", check=False)
            print((logs.stdout + logs.stderr)[-6000:])
            raise
        finally:
            self.run("down", "-v", "-t", "20", check=False)
            ended.set()

    def _start_in_order(self) -> None:
        """As depends_on says: servers, what prepares them, services."""
        self.run("up", "-d", *SERVICES[:3])
        until("healthy servers", lambda: {"all": True} if self._states("healthy") >= 3 else None)
        self.run("up", "-d", "topology", "prepare")
        until("topology and graph", lambda: {"all": True} if self._states("Exited (0)") >= 2 else None)
        self.run("up", "-d", *self.services()[5:])

    def _states(self, word: str) -> int:
        label = f"label=io.podman.compose.project={self.name}"
        command = ["podman", "ps", "-a", "--filter", label, "--format", "{{.Status}}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return sum(word in line for line in done.stdout.splitlines())

    def _drive_health(self, ended: threading.Event) -> None:
        """Podman runs health checks by timers of systemd, which containers and small machines lack: here we do."""
        while self.podman and not ended.wait(2):
            label = f"label=io.podman.compose.project={self.name}"
            ids = subprocess.run(
                ["podman", "ps", "-q", "--filter", label], capture_output=True, text=True, check=False
            )
            for container in ids.stdout.split():
                subprocess.run(["podman", "healthcheck", "run", container], capture_output=True, check=False)

    def left(self) -> list[str]:
        """Containers and volumes of the project that are still there."""
        tool, found = "podman" if self.podman else "docker", []
        for kind in (["ps", "-a", "--format", "{{.Names}}"], ["volume", "ls", "--format", "{{.Name}}"]):
            done = subprocess.run([tool, *kind], capture_output=True, text=True, check=True)
            found += [name for name in done.stdout.split() if name.startswith(self.name)]
        return found


def _podman_compose() -> str:
    debian.need_command("podman", "podman", "runc")
    if not Path("/usr/lib/podman/aardvark-dns").exists():  # names of services, which podman does not insist on
        debian.apt_install("netavark", "aardvark-dns")
    folder = cache.folder() / f"podman-compose-{PODMAN_COMPOSE}"
    if not (folder / "bin" / "podman-compose").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        package = f"podman-compose=={PODMAN_COMPOSE}"
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", package], check=True)
    return str(folder / "bin" / "podman-compose")


def _without_order(file: Path, folder: Path) -> Path:
    """Older podmans cannot wait for a healthy or an ended container: `_start_in_order` does it instead."""
    text = re.sub(
        r"^    depends_on:.*\n(?:(?:      .*)?\n)*?(?=    \S|  \S|\S|\n)", "", file.read_text(), flags=re.MULTILINE
    )
    target = folder / file.name
    target.write_text(text.replace("./deploy/", f"{ROOT}/deploy/"), encoding="utf-8")
    return target


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(url: str, path: str, key: str = "", body: bytes | None = None) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    with urllib.request.urlopen(urllib.request.Request(url + path, data=body, headers=headers), timeout=20) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def until(what: str, attempt: object) -> dict[str, object]:
    end, problem = time.monotonic() + PATIENCE, ""
    while time.monotonic() < end:
        try:
            if found := attempt():  # type: ignore[operator]
                return found  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            problem = f"{error.code} {error.read(300).decode(errors='replace')}"
            if error.code in (401, 403):
                break
        except OSError as error:
            problem = str(error)
        time.sleep(1)
    raise SystemExit(f"gave up waiting for {what}: {problem}")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        compose = Compose(Path(folder))
        print(f"compose-test: {'podman-compose' if compose.podman else 'docker compose'}, {compose.name}", flush=True)
        began = time.monotonic()
        with compose.up() as url:
            print(f"compose-test: the gateway is ready after {time.monotonic() - began:.0f} s", flush=True)
            key = compose.variables["EDUGRAPH_BOOTSTRAP_KEY"]
            job = ask(url, "/v1/imports?analyze=true", key, FILE.read_bytes())
            report = until("the job", lambda: _ended(ask(url, f"/v1/jobs/{job['job_id']}", key)))
            nodes = until("insights", lambda: ask(url, "/v1/graph/summary", key))["nodes"]
            lines = len(FILE.read_bytes().splitlines())
            print(f"compose-test: {FILE.name}: {report['state']}, {report['written']} of {lines} written; {nodes}")
            good = report["state"] == "succeeded" and report["written"] == lines
            if not good:
                print(
                    json.dumps(report)[:2000],
                    compose.run("logs", "--tail", "20", "analyzer", "findings").stdout[-4000:],
                )
        left = compose.left()
    print(f"compose-test: {'nothing is left' if not left else f'left behind: {left}'}")
    print(f"{int(good and not left)} passed, {int(not good or bool(left))} failed")
    return 0 if good and not left else 1


def _ended(report: dict[str, object]) -> dict[str, object] | None:
    return None if report["state"] in ("queued", "running", "waiting") else report


if __name__ == "__main__":
    os.environ.setdefault("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
    sys.exit(main())
