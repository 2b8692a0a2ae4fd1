"""`edugraph redis-users`: the users of a school are made by an operator, and get the rules of a new release."""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import guard
import pytest
import redis
from command_line import edugraph
from own_redis import own_redis

from edugraph_cli.embedded.valkey_server import valkey_server
from edugraph_cli.processes import Processes
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.redis_users import SERVICES, redis_user

PREFIX = "school-a:"
OTHER = "school-b:"


@dataclass(frozen=True)
class Operator:
    """Runs the command as an operator of a Redis."""

    url: str
    password: str

    def run(self, *arguments: str, prefix: str = PREFIX, code: int = 0) -> str:
        """Return what the command writes to standard output, or to standard error if it fails."""
        environment = {"EDUGRAPH_REDIS_URL": self.url, "EDUGRAPH_REDIS_KEY_PREFIX": prefix}
        stdin = f"{self.password}\n"
        done = edugraph(environment, "redis-users", *arguments, stdin=stdin)
        assert done.returncode == code, (done.stdout, done.stderr)
        if code:
            return done.stderr
        return done.stdout


@contextmanager
def own_valkey(folder: Path) -> Iterator[str]:
    valkey = valkey_server(folder / "valkey")
    processes = Processes(logs=folder / "logs", environment={})
    try:
        processes.start("valkey", valkey.command)
        processes.wait_until("valkey", valkey.answers)
        with guard.started_here({"EDUGRAPH_REDIS_URL": valkey.url(0)}):
            yield valkey.url(0)
    finally:
        processes.stop()


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.real),
        pytest.param("valkey", marks=pytest.mark.embedded),
    ]
)
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Operator]:
    own_server = own_valkey(tmp_path)
    if request.param == "redis":
        own_server = own_redis(tmp_path, "32mb")
    with own_server as url:
        address = urlsplit(url)
        bare = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
        yield Operator(bare, address.password or "")


def logins_of(file: Path) -> dict[str, str]:
    """Return the addresses of a file of logins, by their key."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def may(url: str, *command: str) -> bool:
    with connect(url) as client:
        try:
            client.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.exceptions.NoPermissionError:
            return False
    return True


def as_operator(operator: Operator) -> "redis.Redis":
    return redis.Redis.from_url(operator.url, password=operator.password, decode_responses=True)


def test_two_schools_get_users_that_reach_their_own_keys(
    operator: Operator, tmp_path: Path
) -> None:
    """Out: the prefix that `create` gives to `apply_redis_users`."""
    files = {PREFIX: tmp_path / "a.env", OTHER: tmp_path / "b.env"}
    for prefix, file in files.items():
        operator.run("create", str(file), "--password-stdin", prefix=prefix)
        assert stat.S_IMODE(file.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    for mine, other in ((PREFIX, OTHER), (OTHER, PREFIX)):
        logins = logins_of(files[mine])
        assert set(logins) == {"redis-url", *(f"redis-{service}-url" for service in SERVICES)}
        assert "@" not in logins["redis-url"]
        for service in SERVICES:
            url = logins[f"redis-{service}-url"]
            assert may(url, "GET", f"{mine}edugraph:audit-x") == (service != "analyzer")
            assert not may(url, "GET", f"{other}edugraph:audit-x")
            assert not may(url, "GET", "edugraph:audit-x")


def test_a_file_that_exists_is_left_and_no_user_is_made(operator: Operator, tmp_path: Path) -> None:
    """Out: O_EXCL in `_write_logins`."""
    file = tmp_path / "a.env"
    file.write_text("in use")
    assert "name a new file" in operator.run("create", str(file), "--password-stdin", code=2)
    assert file.read_text() == "in use"
    with as_operator(operator) as client:
        assert client.acl_users() == ["default"]


def test_a_school_that_runs_keeps_its_passwords(operator: Operator, tmp_path: Path) -> None:
    """Out: UsersTaken, or the deletion of the file for users that were not made."""
    operator.run("create", str(tmp_path / "a.env"), "--password-stdin")
    gateway = logins_of(tmp_path / "a.env")["redis-gateway-url"]
    second = tmp_path / "second.env"
    with connect(gateway) as client:
        client.ping()
        refusal = operator.run("create", str(second), "--password-stdin", code=1)
        assert "as school-a-gateway" in refusal
    assert not second.exists()
    assert may(gateway, "PING")


def test_who_is_not_the_operator_makes_no_user(operator: Operator, tmp_path: Path) -> None:
    operator.run("create", str(tmp_path / "a.env"), "--password-stdin")
    gateway = logins_of(tmp_path / "a.env")["redis-gateway-url"]
    intruder = Operator(gateway, "")
    assert "--password-stdin" in intruder.run("create", str(tmp_path / "b.env"), code=1)
    assert "--password-stdin" in intruder.run("update", code=1)
    assert not (tmp_path / "b.env").exists()


def test_new_rules_end_the_old_ones_and_keep_the_passwords(
    operator: Operator, tmp_path: Path
) -> None:
    """Out: any of _WITHOUT_RULES. The connection of a school that runs stays open."""
    file = tmp_path / "a.env"
    operator.run("create", str(file), "--password-stdin")
    importer = logins_of(file)["redis-importer-url"]
    name = redis_user("importer", PREFIX)
    old = ("~secret:x", "&channel", "+acl|whoami", "+dbsize", "(+get ~other:x)")
    with as_operator(operator) as client, connect(importer) as running:
        rules_before = client.acl_getuser(name)
        client.execute_command("ACL", "SETUSER", name, *old)  # type: ignore[no-untyped-call]
        number = running.client_id()
        assert may(importer, "GET", "secret:x")
        made = json.loads(operator.run("update", "--password-stdin", "--json"))
        assert made["users"] == [redis_user(service, PREFIX) for service in SERVICES]
        assert client.acl_getuser(name) == rules_before
        assert running.client_id() == number
    for command in (
        ("GET", "secret:x"),
        ("GET", "other:x"),
        ("PUBLISH", "channel", "x"),
        ("DBSIZE",),
    ):
        assert not may(importer, *command), command


def test_rules_of_users_that_are_missing_are_not_made(operator: Operator, tmp_path: Path) -> None:
    """Out: the question for missing users. SETUSER makes a user who is not there, without a password."""
    missing = operator.run("update", "--password-stdin", code=1)
    assert "no user school-a-gateway" in missing
    operator.run("create", str(tmp_path / "a.env"), "--password-stdin")
    assert "no user school-b-gateway" in operator.run(
        "update", "--password-stdin", prefix=OTHER, code=1
    )
    with as_operator(operator) as client:
        assert not [name for name in client.acl_users() if name.startswith("school-b-")]


def test_printed_commands_make_the_same_users_by_hand(operator: Operator, tmp_path: Path) -> None:
    """The commands hold no password. Out: the hash in `command_of`."""
    file = tmp_path / "a.env"
    printed = operator.run("print", str(file))
    logins = logins_of(file)
    with as_operator(operator) as client:
        assert client.acl_users() == ["default"]
        for line in printed.splitlines():
            client.execute_command(*line.split(" "))  # type: ignore[no-untyped-call]
    for service in SERVICES:
        url = logins[f"redis-{service}-url"]
        password = urlsplit(url).password
        assert password
        assert password not in printed
        assert may(url, "GET", f"{PREFIX}edugraph:audit-x") == (service != "analyzer")
