"""tools/servers without servers: ports, notes, given addresses, processes, cache, and what docker is asked."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
from threads import at_once
from waiting import until

from tools import cache, common, docker
from tools.servers import checkout, cli, processes
from tools.servers.neo4j import Neo4j
from tools.servers.rabbitmq import RabbitMQ
from tools.servers.redis import Redis
from tools.servers.server import TEST_NAMES

OF_PRODUCTION = [
    name for server in cli.SERVERS.values() for name in (*server.variables, *server.optional)
]
VARIABLES = [*OF_PRODUCTION, *(TEST_NAMES[name] for name in OF_PRODUCTION)]
pytestmark = pytest.mark.loopback("asks the machine which ports are free, and takes one")
linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> checkout.Checkout:
    for name in (*VARIABLES, "NEO4J_VERSION", "NEO4J_QUICK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDUGRAPH_SERVERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(docker, "answers", lambda: False)
    return checkout.Checkout(tmp_path / "checkout")


def test_ports_are_remembered_and_differ_between_checkouts(
    here: checkout.Checkout, tmp_path: Path
) -> None:
    """A checkout takes its block by the hash of its path, so two of many may have the same one."""
    assert here.ports() == here.ports()
    first_ports = set()
    for number in range(20):
        other = checkout.Checkout(tmp_path / f"other-{number}")
        first_ports.add(min(other.ports().values()))
    assert len(first_ports) > 15


def test_a_taken_port_moves_the_whole_block() -> None:
    first = checkout.choose_ports(seed=7)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["redis"]))
        taken.listen()
        assert not set(checkout.choose_ports(seed=7).values()) & set(first.values())


def test_the_sets_of_one_checkout_share_nothing(here: checkout.Checkout) -> None:
    """That of `make up`, and one for each worker of a test run."""
    for first, second in combinations(range(checkout.SETS), 2):
        one, other = (replace(here, test_worker=number) for number in (first, second))
        assert not set(one.ports().values()) & set(other.ports().values())
        assert one.password("redis") != other.password("redis")
        for kind in cli.SERVERS.values():
            assert kind(one).container != kind(other).container
            # Volumes are deleted by how their names begin.
            assert not kind(other).container.startswith(kind(one).container)
        nodes = [RabbitMQ(each)._env(each.state)["RABBITMQ_NODENAME"] for each in (one, other)]
        assert nodes[0] != nodes[1]
        folders = [
            {*Redis(each).data_folders(), each.state, each.env_file} for each in (one, other)
        ]
        assert not folders[0] & folders[1]


@pytest.mark.parametrize("first", range(checkout.SETS))
def test_a_set_avoids_the_ports_of_another_that_does_not_run(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    monkeypatch.setattr(checkout, "BLOCKS", 1)  # so that all begin at the same one
    replace(here, test_worker=first).ports()
    with pytest.raises(common.ServerError, match="no free ports"):
        replace(here, test_worker=(first + 1) % checkout.SETS).ports()


def test_the_set_of_the_tests_is_named_by_variables_for_tests_alone(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Redis, "running", lambda _: False)
    monkeypatch.setenv("REDIS_URL", "redis://production:1/0")
    assert cli.main(["--tests", "env", "--only", "redis"], here.root) == 0
    assert not capfd.readouterr().out
    monkeypatch.setenv("EDUGRAPH_TEST_REDIS_URL", "redis://elsewhere:1/0")
    assert cli.main(["--tests", "up", "--only", "redis"], here.root) == 0
    tests = checkout.Checkout(here.root, test_worker=1)
    assert tests.env_file.read_text() == "EDUGRAPH_TEST_REDIS_URL=redis://elsewhere:1/0\n"
    assert not here.env_file.exists()
    assert "production" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("cores", "gigabytes", "workers"),
    [(2, 23, 3), (2, 8, 2), (2, 3, 1), (1, 64, 1), (64, 256, checkout.SETS - 1)],
)
def test_a_run_has_three_workers_for_two_cores_where_memory_and_sets_allow_it(
    cores: int, gigabytes: int, workers: int
) -> None:
    assert checkout.workers_for(cores, gigabytes << 30) == workers


@pytest.mark.parametrize(
    ("worker", "prefix"), [(1, "EDUGRAPH_TEST_"), (2, "EDUGRAPH_TEST_2_"), (3, "EDUGRAPH_TEST_3_")]
)
@pytest.mark.parametrize("kind", [RabbitMQ, Redis, Neo4j])
def test_every_address_of_the_tests_is_named_for_its_worker(
    here: checkout.Checkout,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[RabbitMQ],
    worker: int,
    prefix: str,
) -> None:
    server = kind(replace(here, test_worker=worker))
    monkeypatch.setattr(server, "running", lambda: True)
    assert len(server.environment()) == len(server.addresses())
    first_letter = len(prefix)
    assert all(
        name.startswith(prefix) and name[first_letter].isalpha() for name in server.environment()
    )


def test_passwords_are_private_and_stay(here: checkout.Checkout) -> None:
    assert here.password("redis") == here.password("redis") != here.password("neo4j")
    assert stat.S_IMODE((here.state / "redis.password").stat().st_mode) == 0o600


def test_notes_copied_with_the_folder_are_not_believed(
    here: checkout.Checkout, tmp_path: Path
) -> None:
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
    secret = here.password("privacy")
    assert out == f"REDIS_URL={url}\nEDUGRAPH_REDIS_URL={url}\nEDUGRAPH_PRIVACY_SECRET={secret}\n"
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


def test_half_an_address_is_refused(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_port_of_a_killed_server_may_be_taken_for_a_moment(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the loop in `_becomes_free`. A server that is started after a kill finds its own port taken."""
    monkeypatch.setattr(Neo4j, "run_process", lambda _: {"pid": 0})
    monkeypatch.setattr(Neo4j, "running", lambda _: False)
    monkeypatch.setattr(Neo4j, "_wait", lambda _: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", here.ports()["bolt"]))
        taken.listen()
        timer = threading.Timer(0.5, taken.close)
        timer.start()
        Neo4j(here).up()
        timer.join()


def test_a_taken_port_is_named(here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.servers.server.PATIENCE_WITH_PORTS", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", here.ports()["bolt"]))
        taken.listen()
        with pytest.raises(common.ServerError, match=f"port {here.ports()['bolt']} is taken"):
            Neo4j(here).up()


def test_a_graph_for_tests_is_quick_for_a_run_and_started_anew_for_a_bench(
    here: checkout.Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the comparison in Server.up, and a bench measures a server that plans each statement once. Or the wipe there,
    and a run after a bench scans what the bench left.
    """
    server, started, ended = Neo4j(replace(here, test_worker=1)), list[str](), list[str]()
    up = [False]

    def run() -> dict[str, object]:
        up[0] = True
        started.append(server._configuration())
        return {"pid": 1}

    def down(_: object) -> bool:
        up[0] = False
        ended.append("ended")
        return True

    monkeypatch.setattr(server, "run_process", run)
    monkeypatch.setattr(Neo4j, "running", lambda _: up[0])
    monkeypatch.setattr(Neo4j, "down", down)
    monkeypatch.setattr(Neo4j, "ready", lambda _: True)
    filled, data = list[bool](), server.home / "data"
    for quick in ("1", "1", ""):
        monkeypatch.setenv("NEO4J_QUICK", quick)
        server.up()
        filled.append(data.exists())
        data.mkdir(parents=True, exist_ok=True)
    assert filled == [False, True, False]
    assert ["replan" in each for each in started] == [True, False]
    assert ended == ["ended"]
    monkeypatch.setenv("NEO4J_QUICK", "1")
    assert not Neo4j(here).quick, "that of `make up`"


@linux_only
def test_a_process_and_its_helpers_end_together(tmp_path: Path) -> None:
    record = processes.spawn(
        ["sh", "-c", "trap '' TERM; sleep 60 & sleep 60"], dict(os.environ), tmp_path / "log"
    )
    until(lambda: len(processes.members(record)) == 3)
    processes.end(record, patience=0.2)
    assert processes.members(record) == []


@pytest.mark.usefixtures("tmp_path")
@linux_only
def test_a_recycled_pid_is_not_ours() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        record = {"pid": stranger.pid, "identity": "boot/1"}
        processes.kill(record)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.usefixtures("here")
def test_two_builders_build_once() -> None:
    calls: list[Path] = []

    def build(folder: Path, _: int) -> None:
        calls.append(folder)
        time.sleep(0.1)
        (folder / "program").touch()

    at_once([partial(cache.built, "thing", build)] * 3)
    assert len(calls) == 1
    assert (cache.folder() / "thing" / "program").exists()


@pytest.mark.usefixtures("here")
def test_a_broken_build_is_started_over() -> None:
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
    here: checkout.Checkout,
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[[checkout.Checkout], RabbitMQ],
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
