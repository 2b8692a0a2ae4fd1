"""scripts/servers.py without servers: ports, notes, given addresses, processes, cache, and what docker is asked."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from server_tools import cache, checkout, cli, common, docker, processes  # noqa: E402
from server_tools.neo4j import Neo4j  # noqa: E402
from server_tools.rabbitmq import RabbitMQ  # noqa: E402
from server_tools.redis import Redis  # noqa: E402

VARIABLES = [name for server in cli.SERVERS.values() for name in (*server.variables, *server.optional)]
linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> checkout.Checkout:
    for name in (*VARIABLES, "NEO4J_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDUGRAPH_SERVERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(docker, "answers", lambda: False)
    return checkout.Checkout(tmp_path / "checkout")


def test_ports_are_remembered_and_differ_between_checkouts(here: checkout.Checkout, tmp_path: Path) -> None:
    other = checkout.Checkout(tmp_path / "other")
    assert here.ports() == here.ports()
    assert not set(here.ports().values()) & set(other.ports().values())


def test_a_taken_port_moves_the_whole_block() -> None:
    first = checkout.choose_ports(seed=7)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["redis"]))
        taken.listen()
        assert not set(checkout.choose_ports(seed=7).values()) & set(first.values())


def test_passwords_are_private_and_stay(here: checkout.Checkout) -> None:
    assert here.password("redis") == here.password("redis") != here.password("neo4j")
    assert stat.S_IMODE((here.state / "redis.password").stat().st_mode) == 0o600


def test_notes_copied_with_the_folder_are_not_believed(here: checkout.Checkout, tmp_path: Path) -> None:
    here.ports()
    here.remember("redis", {"pid": os.getpid(), "identity": "x"})
    shutil.copytree(here.root, tmp_path / "copy")
    copy = checkout.Checkout(tmp_path / "copy")
    assert copy.record("redis") is None
    assert copy.ports() != here.ports()


def test_given_addresses_are_used_and_nothing_starts(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@elsewhere:1/2")
    assert cli.main(["up", "--only", "redis"], here.root) == 0
    assert cli.main(["env", "--only", "redis"], here.root) == 0
    out, err = capfd.readouterr()
    url = "redis://:secret@elsewhere:1/2"
    assert out == f"REDIS_URL={url}\nEDUGRAPH_REDIS_URL={url}\n"
    assert here.env_file.read_text() == out
    assert stat.S_IMODE(here.env_file.stat().st_mode) == 0o600
    assert "secret" not in err


def test_our_own_address_in_the_environment_is_not_one_from_elsewhere(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in (RabbitMQ(here), Redis(here), Neo4j(here)):
        for name, value in server.addresses().items():
            monkeypatch.setenv(name, value)
        assert server.given() is None


def test_half_an_address_is_refused(here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://elsewhere")
    with pytest.raises(common.ServerError, match="RABBITMQ_MANAGEMENT_URL is not"):
        RabbitMQ(here).given()


def test_what_cannot_be_had_is_said_and_the_others_are_tried(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def nowhere(_: object) -> dict[str, object]:
        raise common.ServerError("no Java")

    monkeypatch.setattr(Neo4j, "run_process", nowhere)
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    assert cli.main(["up", "--only", "neo4j,redis"], here.root) == cli.MISSING
    said = capfd.readouterr().err
    for part in ("neo4j: cannot be had", "no Java", "NEO4J_URI"):
        assert part in said
    assert "REDIS_URL=redis://elsewhere\n" in here.env_file.read_text()


def test_a_taken_port_is_named(here: checkout.Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", here.ports()["bolt"]))
        taken.listen()
        with pytest.raises(common.ServerError, match=f"port {here.ports()['bolt']} is taken"):
            Neo4j(here).up()


@linux_only
def test_a_process_and_its_helpers_end_together(tmp_path: Path) -> None:
    record = processes.spawn(["sh", "-c", "trap '' TERM; sleep 60 & sleep 60"], dict(os.environ), tmp_path / "log")
    wait_for(lambda: len(processes.members(record)) == 3)
    processes.end(record, patience=0.2)
    assert processes.members(record) == []


@linux_only
def test_a_recycled_pid_is_not_ours(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        record = {"pid": stranger.pid, "identity": "boot/1"}
        processes.kill(record)
        assert stranger.poll() is None
        stranger.kill()


def test_two_builders_build_once(here: checkout.Checkout) -> None:
    calls: list[Path] = []

    def build(folder: Path, _: int) -> None:
        calls.append(folder)
        time.sleep(0.1)
        (folder / "program").touch()

    threads = [threading.Thread(target=cache.built, args=("thing", build)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert (cache.folder() / "thing" / "program").exists()


def test_a_broken_build_is_started_over(here: checkout.Checkout) -> None:
    def broken(folder: Path, lock: int) -> None:
        (folder / "rest").touch()
        cache.run_logged(["sh", "-c", "echo out of space; exit 1"], folder.parent / "log", lock)

    with pytest.raises(common.ServerError, match="out of space"):
        cache.built("thing", broken)
    assert not (cache.folder() / "thing").exists()
    assert list(cache.built("thing", lambda folder, _: (folder / "good").touch()).iterdir()) == [
        cache.folder() / "thing" / "good"
    ]


@pytest.mark.parametrize("kind", [RabbitMQ, Redis, Neo4j])
def test_containers_listen_on_the_loopback_and_get_no_password_by_command_line(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch, kind: Callable[[checkout.Checkout], RabbitMQ]
) -> None:
    asked: list[tuple[str, ...]] = []

    def record(*arguments: str, **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, "true\n", "")

    monkeypatch.setattr(docker, "_docker", record)
    server = kind(here)
    server.run_container()
    words = asked[-1]
    published = [word for word in words if word.startswith("--publish=")]
    assert words[0] == "run"
    assert published
    assert all(word.startswith("--publish=127.0.0.1:") for word in published)
    assert not any(here.password(server.name) in word for word in words)


@pytest.mark.parametrize("arguments", [["up", "--only", "mysql"], ["start"], []])
def test_mistakes_on_the_command_line(here: checkout.Checkout, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments, here.root)
    assert ended.value.code == 2


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
