"""`make compose-test`: starts compose.yaml for real, imports files through it, and ends it with nothing left.

The imports are a small file with analysis, a file of 2 MB, a workbook and a URL: each takes another way through the
services. With Docker where its daemon answers; otherwise with podman and podman-compose, and our own images of the
servers. It uses a project name and passwords of its own, so a system that runs already is not touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "deploy" / "compose")]
from make_env import filled  # noqa: E402
from trial_files import Trial, trials  # noqa: E402

from dev import podman  # noqa: E402
from dev.debian import packages as debian  # noqa: E402
from edugraph_client import Client, Refused, Unreachable  # noqa: E402
from tools import cache, docker  # noqa: E402

PODMAN_COMPOSE = "1.3.0"  # Debian 12's own is too old for profiles and merged maps
# These waits are long, because CI runs other steps beside this one. A wait that succeeds ends early.
STARTED_WITHIN = 600  # seconds, of the servers' first start
READY_WITHIN = 600  # seconds, of the services once the servers are healthy
IMPORTED_WITHIN = 600  # seconds, for each file; a refused login is seen at once and ends the wait
FILES_PORT = 8000
# Each look starts a program of the container tool, which costs up to half a second of CPU.
SECONDS_BETWEEN_LOOKS = 3
UNFINISHED = ("queued", "running", "waiting")
# What the clients of RabbitMQ, Redis and Neo4j say when a login is refused, and services when an address is missing.
REFUSED_LOGIN = re.compile(
    r".*(?:AuthenticationError|NOAUTH|WRONGPASS|ACCESS_REFUSED|AuthError|Security\.Unauthorized).*"
    r"|validation errors? for \w*Settings\n.*"
    r"|EDUGRAPH_\w+ Field required"
)
COMPLAINT = re.compile(r"\"level\": \"(?:warning|error|critical)\"|Traceback|Error")


class Failed(Exception):
    """Something did not hold. The text is a sentence for the person at the terminal."""


class Plan:
    """The services of compose.yaml that start without a profile, in the order that depends_on asks for."""

    def __init__(self, services: Mapping[str, Any]) -> None:
        self.servers: list[str] = []
        self.jobs: list[str] = []  # they run once
        self.services: list[str] = []
        self.others: list[str] = []  # without a health check
        for name, service in services.items():
            if "profiles" in service:
                continue
            if service["restart"] == "on-failure":
                self.jobs.append(name)
            elif service["image"].startswith("edugraph/"):
                self.services.append(name)
            elif "healthcheck" in service:
                self.servers.append(name)
            else:
                self.others.append(name)


class Compose:
    """One project; `command` is docker compose or podman-compose."""

    def __init__(self, folder: Path) -> None:
        self.name = f"edugraph-test-{secrets.token_hex(3)}"
        self.files = folder / "files"
        self.files.mkdir()
        self.files.chmod(0o755)  # the user of the container that serves them is another one
        self.variables = self._variables()
        (folder / "env").write_text(
            "".join(f"{key}={value}\n" for key, value in self.variables.items())
        )
        self.podman = not docker.answers()
        self.tool = "podman" if self.podman else "docker"
        names = ["compose.yaml", "deploy/compose/trial_files.yaml"]
        if self.podman:
            podman.configure(folder, '[network]\nnetwork_backend = "netavark"\n')
            program = [_podman_compose()]
            names.append("deploy/compose/without-registry.yaml")
            files = [str(_without_order(ROOT / name, folder)) for name in names]
        else:
            program = ["docker", "compose"]
            files = [str(ROOT / name) for name in names]
        chosen = [part for file in files for part in ("-f", file)]
        self.command = [*program, "-p", self.name, "--env-file", str(folder / "env"), *chosen]
        self.plan = Plan(
            yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
        )
        self.plan.others.append("files")
        self.left_behind: list[str] = []

    def _variables(self) -> dict[str, str]:
        lines = [filled(line) for line in (ROOT / ".env.example").read_text().splitlines()]
        values = dict(
            line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")
        )
        for name in ("GATEWAY_PORT", "HTTPS_PORT", "FLOWER_PORT"):
            values[name] = str(_free_port())
        # Podman-compose is given a copy of compose.yaml, so a path must not start from the folder of that.
        values["MODELS_FILE"] = str(ROOT / values["MODELS_FILE"])
        values["TRIAL_FILES"] = str(self.files)
        values["IMPORTS_FROM"] = f"http://files:{FILES_PORT}/"
        return values

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [*self.command, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=STARTED_WITHIN,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(
                f"{' '.join(arguments)} did not end within {STARTED_WITHIN} s:\n{late.output}"
            ) from None
        if check and done.returncode:
            raise Failed(f"{' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return done

    @contextlib.contextmanager
    def up(self) -> Iterator[str]:
        """Yield the one address of gateway and insights once every service is ready."""
        ended = threading.Event()
        threading.Thread(target=self._drive_health, args=(ended,), daemon=True).start()
        plan = self.plan
        try:
            if self.podman:
                self._start_in_order()
            else:
                self.run(
                    "up",
                    "-d",
                    "--quiet-pull",
                    *plan.servers,
                    *plan.jobs,
                    *plan.services,
                    *plan.others,
                )
            self.until_ready(plan.services)
            yield f"http://127.0.0.1:{self.variables['GATEWAY_PORT']}"
        except BaseException:
            self._print_complaints()
            raise
        finally:
            self.run("down", "-v", "-t", "20", check=False)
            ended.set()
            self.left_behind = self._left()
            self._remove(self.left_behind)

    def _start_in_order(self) -> None:
        """Do what depends_on says, which podman-compose is not given: servers, jobs, services."""
        plan = self.plan
        self.run("up", "-d", *plan.servers)
        self.until_ready(plan.servers, STARTED_WITHIN)
        self.run("up", "-d", *plan.jobs)
        until(
            f"{', '.join(plan.jobs)} ended well",
            lambda: all("Exited (0)" in self.states().get(name, "") for name in plan.jobs),
            READY_WITHIN,
            self.refused_login,
        )
        self.run("up", "-d", *plan.services, *plan.others)

    def until_ready(self, names: list[str], seconds: int = READY_WITHIN) -> None:
        """Wait until the health checks of these services pass."""

        def ready() -> bool:
            states = self.states()
            waiting = [name for name in names if "(healthy)" not in states.get(name, "")]
            if waiting:
                raise Failed(
                    f"{', '.join(waiting)} not ready ({', '.join(states.get(name, '?') for name in waiting)})"
                )
            return True

        until("every service is ready", ready, seconds, self.refused_login)

    def states(self) -> dict[str, str]:
        """Return the status of each container, by its service."""
        found = {}
        for line in self._containers("-a", "--format", "{{.Names}} {{.Status}}").splitlines():
            name, _, status = line.partition(" ")
            found[self._service(name)] = status
        return found

    def refused_login(self) -> str:
        """Return a sentence about the first service that a server has refused, or nothing."""
        for service, log in self._logs():
            found = REFUSED_LOGIN.search(log)
            if found:
                return f"{service} does not start, or cannot log in. Its log says: {found[0].strip()[:400]}"
        return ""

    def _print_complaints(self) -> None:
        for service, log in self._logs():
            for line in [line for line in log.splitlines() if COMPLAINT.search(line)][-8:]:
                print(f"{service}: {line[:500]}")

    def _logs(self) -> Iterator[tuple[str, str]]:
        """Yield the end of the log of each of our services."""
        for name in self._containers("-a", "--format", "{{.Names}}").split():
            service = self._service(name)
            if service in {*self.plan.jobs, *self.plan.services}:
                command = [self.tool, "logs", "--tail", "200", name]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                yield service, done.stdout + done.stderr

    def _service(self, container: str) -> str:
        return re.sub(r"[-_]1$", "", container.removeprefix(self.name)[1:])

    def _containers(self, *options: str) -> str:
        label = f"label=com.docker.compose.project={self.name}"
        command = [self.tool, "ps", "--filter", label, *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def _drive_health(self, ended: threading.Event) -> None:
        """Podman runs health checks by timers of systemd, which containers and small machines lack: here we do."""
        while self.podman and not ended.wait(SECONDS_BETWEEN_LOOKS):
            for line in self._containers("--format", "{{.ID}} {{.Status}}").splitlines():
                container, _, status = line.partition(" ")
                # A check costs more than it tells of a service that is healthy already.
                if "(healthy)" not in status:
                    command = ["podman", "healthcheck", "run", container]
                    subprocess.run(command, capture_output=True, check=False)

    def _left(self) -> list[str]:
        """Return containers, volumes and networks of the project that are still there."""
        found = []
        for kind, options in (("container", ["-a"]), ("volume", []), ("network", [])):
            names = "{{.Names}}" if kind == "container" else "{{.Name}}"
            command = [self.tool, kind, "ls", *options, "--format", names]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found += [
                f"{kind} {name}" for name in done.stdout.split() if name.startswith(self.name)
            ]
        return found

    def _remove(self, left: list[str]) -> None:
        """Remove by force what `down` has left: a container that starts again and again is one."""
        for item in left:
            kind, name = item.split()
            subprocess.run([self.tool, kind, "rm", "-f", name], capture_output=True, check=False)


def _podman_compose() -> str:
    debian.need_command("podman", "podman", "runc")
    if not Path(
        "/usr/lib/podman/aardvark-dns"
    ).exists():  # names of services, which podman does not insist on
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
        r"^    depends_on:.*\n(?:(?:      .*)?\n)*?(?=    \S|  \S|\S|\n)",
        "",
        file.read_text(),
        flags=re.MULTILINE,
    )
    target = folder / file.name
    target.write_text(text.replace("./deploy/", f"{ROOT}/deploy/"), encoding="utf-8")
    return target


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: str, true: Callable[[], bool], seconds: int, broken: Callable[[], str]) -> None:
    """Wait for it. `broken` returns a sentence when there is no use in waiting longer."""
    end = time.monotonic() + seconds
    problem = ""
    tries = 0
    while time.monotonic() < end:
        try:
            if true():
                return
        except Refused as error:
            if error.status in (401, 403):
                raise Failed(f"{what}: {error}") from None
            problem = str(error)
        except (Failed, Unreachable) as error:
            problem = str(error)
        tries += 1
        # Reading all logs costs more than asking once.
        if tries % 3 == 0 and (sentence := broken()):
            raise Failed(sentence)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    raise Failed(f"gave up after {seconds} s of waiting for this: {what}. {broken() or problem}")


def imported(compose: Compose, client: Client, trial: Trial) -> None:
    """Import one file, and look whether all of its rows are written."""
    began = time.monotonic()
    if trial.url is None:
        job = client.import_file(trial.path, source=trial.source, analyze=trial.analyze)
    else:
        job = client.import_url(trial.url, source=trial.source, analyze=trial.analyze)
    job_id = job.job_id or ""
    name = trial.url or trial.path.name
    until(
        f"the import of {name} ends",
        lambda: client.job(job_id).state not in UNFINISHED,
        IMPORTED_WITHIN,
        compose.refused_login,
    )
    report = client.job(job_id)
    if report.state != "succeeded" or report.written != trial.rows:
        raise Failed(
            f"{name}: {report.state}, {report.written} of {trial.rows} rows written, "
            f"{report.rejected} rejected, {report.failed} failed; {report.error or report.reasons}"
        )
    print(f"ok {name}: {trial.rows} rows written, {time.monotonic() - began:.0f} s", flush=True)


def try_everything(compose: Compose) -> None:
    began = time.monotonic()
    with compose.up() as url:
        print(f"ok all services are ready after {time.monotonic() - began:.0f} s", flush=True)
        with Client(url, compose.variables["EDUGRAPH_BOOTSTRAP_KEY"]) as client:
            until(
                "the proxy leads to the gateway",
                lambda: bool(client.ready()),
                READY_WITHIN,
                compose.refused_login,
            )
            small, large, workbook, by_url = trials(compose.files, f"http://files:{FILES_PORT}")
            imported(compose, client, small)
            imported(compose, client, large)
            compose.run("restart", "-t", "20", "splits")
            imported(compose, client, workbook)
            imported(compose, client, by_url)
            print(f"ok the graph has {client.graph_summary().nodes}", flush=True)
    if compose.left_behind:
        raise Failed(f"left behind: {compose.left_behind}")
    print("ok nothing is left", flush=True)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        compose = Compose(Path(folder))
        print(
            f"compose-test: {'podman-compose' if compose.podman else 'docker compose'}, {compose.name}",
            flush=True,
        )
        try:
            try_everything(compose)
        except (Failed, Refused, Unreachable) as problem:
            print(f"compose-test: FAILED: {problem}")
            return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
    sys.exit(main())
