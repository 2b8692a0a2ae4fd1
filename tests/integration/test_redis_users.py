"""Redis' users: each service does its whole work with its own, and what it must not do is refused by Redis."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import redis
from command_line import edugraph, edugraph_here
from engines import own_vhost, refusals, with_own_redis_users
from own_redis import OwnRedis, own_redis
from two_mistakes import TWO_MISTAKES

from edugraph_cli.serving import REDIS, Pools, serving, with_redis_users
from edugraph_client import Client
from edugraph_common.contracts.personal_data import PLACES, Store, keys_in_redis
from edugraph_common.runtime.shared_state.graph_changes import STREAM, GraphChanges
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter
from edugraph_common.runtime.shared_state.redis_users import (
    SERVICES,
    RedisService,
    UsersTaken,
    apply_redis_users,
    redis_user,
    rules_of,
)

pytestmark = pytest.mark.real
Own = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[dict[str, str], Own]]:
    """Addresses, and the own ones of each process."""
    # What these tests have refused on purpose is nothing that an engine of the session was refused.
    with (
        own_vhost() as addresses,
        with_own_redis_users(addresses) as own,
        refusals(addresses[REDIS]),
    ):
        yield addresses, own


def test_each_service_does_its_whole_work_with_its_own_user(
    servers: tuple[dict[str, str], Own], tmp_path: Path
) -> None:
    """Out: any entry of ACCESS in redis_users.py."""
    addresses, own = servers
    environment = {
        **addresses,
        "EDUGRAPH_BLOB_URL": str(tmp_path / "blobs"),
        "EDUGRAPH_AUTH": "off",
    }
    with (
        refusals(addresses[REDIS]) as refused,
        serving(environment, tmp_path / "logs", Pools(1, 1, 1), own=own) as (url, insights, _),
        Client(url, insights_url=insights) as client,
    ):
        accepted = client.import_records(TWO_MISTAKES, analyze=True)
        *_, report = client.follow(accepted.job_id)
        assert (report.state, report.written, report.analysis.done) == ("succeeded", 2, 2)
        assert all(check.ok for check in client.diagnosis().checks if check.name == "redis")
        with (
            client.export_graph() as lines
        ):  # insights looks the caller up, and writes what it shows into the audit log
            assert list(lines)
        view = {
            "name": "x",
            "state": {"kind": "page", "name": "student", "values": {"student": "s-1"}},
        }
        httpx.post(f"{insights}/v1/insights/views", json=view).raise_for_status()
        gateway = {**environment, **own["gateway"], "EDUGRAPH_URL": url}
        for arguments in (
            ("keys", "create", "somebody", "--scope", "read", "--password-stdin"),
            ("keys", "list"),
            ("restrict", "s-2"),
            ("export-person", "s-1", "-o", str(tmp_path / "s-1.zip")),
            ("restrict", "s-2"),
            ("restricted",),
            ("restrict", "s-2", "--lift"),
            ("forget", "s-1", "--yes"),
            ("jobs", "delete", accepted.job_id, "--yes"),
            ("audit", "list"),
            ("audit", "verify"),
            ("audit", "end", "--password-stdin"),
        ):
            password = unquote(urlsplit(addresses[REDIS]).password or "")
            done = edugraph(gateway, *arguments, stdin=f"{password}\n", seconds=120)
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        # The importer dropped the view.
        assert httpx.get(f"{insights}/v1/insights/views").json()["views"] == []
    assert refused == []


def test_who_has_the_login_of_a_service_makes_no_key_and_is_told_how(
    servers: tuple[dict[str, str], Own],
) -> None:
    addresses, own = servers
    with refusals(addresses[REDIS]) as refused:
        for arguments in (("keys", "create", "somebody", "--scope", "read"), ("audit", "end")):
            done = edugraph_here(
                {**addresses, **own["gateway"], "EDUGRAPH_BLOB_URL": "blobs"}, *arguments
            )
            assert (done.returncode, "--password-stdin" in done.stderr) == (1, True), done.stderr
    assert refused


def test_insights_limits_its_callers_and_reads_changes_with_its_own_user(
    servers: tuple[dict[str, str], Own],
) -> None:
    with connect(servers[1]["insights"][REDIS]) as client:
        limiter = RateLimiter(client, 60, 1, keys="edugraph:reading-turns:")
        assert limiter.take("somebody") == 0
        assert not GraphChanges(client).since(None).is_known


def _get(key: str) -> Callable[["redis.Redis"], Any]:
    return lambda client: client.get(key)


def _set(key: str) -> Callable[["redis.Redis"], Any]:
    return lambda client: client.set(key, "1")


def _listen(client: "redis.Redis", channel: str) -> None:
    with client.pubsub() as listening:
        listening.subscribe(channel)
        listening.get_message(timeout=5)


FORBIDDEN: list[tuple[RedisService, str, Callable[["redis.Redis"], Any]]] = [
    ("gateway", "read answers of the model", _get("edugraph:llm:answer:error:x")),
    (
        "gateway",
        "read names of members",
        lambda client: client.zrange("edugraph:{members}:names:c-1", 0, -1),
    ),
    ("gateway", "read saved views", lambda client: client.hgetall("edugraph:views:x")),
    (
        "gateway",
        "say who is restricted",
        lambda client: client.sadd("edugraph:{members}:restricted", "x"),
    ),
    ("insights", "make an API key", lambda client: client.hset("edugraph:keys", "id", "{}")),
    ("insights", "read a job", lambda client: client.hgetall("edugraph:job:{x}")),
    (
        "insights",
        "say that something was written",
        lambda client: client.xadd(STREAM, {"word": "x"}),
    ),
    ("insights", "take a turn of the gateway", _set("edugraph:turns:x")),
    ("insights", "read a result", _get("celery-task-meta-x")),
    ("gateway", "forge a result", _set("celery-task-meta-x")),
    (
        "gateway",
        "read outcomes of a chord",
        lambda client: client.zrange("celery-taskset-meta-x.j", 0, -1),
    ),
    ("gateway", "look for keys", lambda client: client.scan(0)),
    (
        "gateway",
        "read the configuration, with the password",
        lambda client: client.config_get("requirepass"),
    ),
    ("importer", "make an API key", lambda client: client.hset("edugraph:keys", "id", "{}")),
    ("importer", "read API keys", lambda client: client.hgetall("edugraph:keys")),
    ("gateway", "make an API key", lambda client: client.hset("edugraph:keys", "id", "{}")),
    ("gateway", "revoke an API key", lambda client: client.hdel("edugraph:keys", "id")),
    (
        "gateway",
        "let the bootstrap key be good again",
        lambda client: client.delete("edugraph:keys-made"),
    ),
    ("importer", "change the limiter", _set("edugraph:limit:{x:y}:next")),
    ("importer", "take a request's answer", _get("edugraph:idempotency:x:y:z")),
    ("analyzer", "read API keys", lambda client: client.hgetall("edugraph:keys")),
    (
        "analyzer",
        "read the audit log",
        lambda client: client.lrange("edugraph:audit:entries", 0, -1),
    ),
    (
        "analyzer",
        "write into the audit log",
        lambda client: client.rpush("edugraph:audit:entries", "{}"),
    ),
    ("analyzer", "read the audit log's secret", _get("edugraph:audit-secret")),
    (
        "analyzer",
        "say that nobody is restricted",
        lambda client: client.delete("edugraph:{members}:restricted"),
    ),
    (
        "analyzer",
        "forge names of members",
        lambda client: client.zadd("edugraph:{members}:names:c", {"x": 1}),
    ),
    (
        "analyzer",
        "stop the cleaning after an erasure",
        lambda client: client.delete("edugraph:erasing:jobs"),
    ),
    ("analyzer", "hold up erasures", _set("edugraph:erasing")),
    ("insights", "keep a change of leaders out of the audit log", _set("edugraph:logged:x")),
    ("gateway", "keep a change of leaders out of the audit log", _set("edugraph:logged:x")),
    (
        "analyzer",
        "read by a script",
        lambda client: client.eval("return redis.call('GET', 'edugraph:keys')", 0),
    ),
    ("analyzer", "listen to other channels", lambda client: _listen(client, "anything")),
    *(
        (service, f"{what} of the audit log", do)
        for service in SERVICES
        for what, do in (
            ("delete all", lambda client: client.delete("edugraph:audit:entries")),
            ("unlink all", lambda client: client.unlink("edugraph:audit:entries")),
            ("end all", lambda client: client.expire("edugraph:audit:entries", 0)),
            (
                "rename all",
                lambda client: client.rename("edugraph:audit:entries", "edugraph:turns:x"),
            ),
            ("set something in the place", _set("edugraph:audit:entries")),
            ("take out the first", lambda client: client.lpop("edugraph:audit:entries")),
            ("take out the last", lambda client: client.rpop("edugraph:audit:entries")),
            ("take out one", lambda client: client.lrem("edugraph:audit:entries", 1, "x")),
            ("trim the list", lambda client: client.ltrim("edugraph:audit:entries", 1, 0)),
            ("change one", lambda client: client.lset("edugraph:audit:entries", 0, "{}")),
            ("put one before others", lambda client: client.lpush("edugraph:audit:entries", "{}")),
            (
                "insert one",
                lambda client: client.linsert("edugraph:audit:entries", "BEFORE", "x", "{}"),
            ),
            (
                "move one out",
                lambda client: client.lmove("edugraph:audit:entries", "edugraph:turns:x"),
            ),
            (
                "delete all by a script",
                lambda client: client.eval("return redis.call('DEL', 'edugraph:audit:entries')", 0),
            ),
            ("say that entries have ended", _set("edugraph:audit:ended")),
        )
    ),
    *(
        (service, what, do)
        for service in SERVICES
        for what, do in (
            ("delete everything", lambda client: client.flushall()),
            ("list users", lambda client: client.acl_list()),
            ("become more", lambda client: client.acl_setuser(redis_user("analyzer"), keys=["*"])),
            (
                "load functions",
                lambda client: client.function_load(
                    "#!lua name=x\nredis.register_function('x',print)"
                ),
            ),
            ("drop scripts", lambda client: client.script_flush()),
            ("list keys", lambda client: client.keys("*")),
            ("read other keys", _get("some:other:key")),
        )
    ),
]


@pytest.mark.parametrize(
    ("service", "what", "do"), FORBIDDEN, ids=[f"{s}-{w}" for s, w, _ in FORBIDDEN]
)
def test_what_a_service_must_not_do_is_refused(
    servers: tuple[dict[str, str], Own],
    service: RedisService,
    what: str,
    do: Callable[["redis.Redis"], Any],
) -> None:
    with (
        connect(servers[1][service][REDIS]) as client,
        pytest.raises(redis.exceptions.ResponseError) as refusal,
    ):
        do(client)
    said = str(refusal.value)
    assert (
        isinstance(refusal.value, redis.exceptions.NoPermissionError)
        or "ACL failure in script" in said
    ), what


# Who writes and who reads each entry of the registry, by the first letters of g(ateway), n (insights), i(mporter) and
# a(nalyzer). This table and ACCESS say the same twice, on purpose: whoever changes what a user may says so here, too.
WRITTEN_AND_READ: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("job", "job_tasks", "job_outcomes", "job_counts", "task_owners"), ("gia", "")),
    **dict.fromkeys(("results", "deliveries"), ("ia", "g")),
    **dict.fromkeys(("chords", "live_texts"), ("i", "")),
    "answers": ("ia", ""),
    **dict.fromkeys(("asking", "live_turns"), ("a", "")),
    **dict.fromkeys(("members", "members_known", "course_contexts"), ("i", "a")),
    "restricted": ("i", "ga"),
    "members_asked": ("gia", ""),
    "graph_changes": ("i", "n"),
    **dict.fromkeys(("turns", "to_clean"), ("gi", "")),
    **dict.fromkeys(("clients", "sources", "statement_moments", "live_counts"), ("g", "")),
    **dict.fromkeys(("statements", "live_waiting"), ("gi", "")),
    "keys": ("", "gn"),
    "sessions": ("n", "g"),
    "reading_turns": ("n", ""),
    "lti_nonces": ("n", ""),
    "views": ("ni", ""),
    "digests": ("ni", ""),
    **dict.fromkeys(("digest_owners", "digest_mails"), ("n", "")),
    "action_permits": ("n", "g"),
    "draft_permits": ("ni", "ga"),
    "audit": ("", ""),
    "audit_ended": ("", "gni"),
    "audit_keys": ("gni", ""),
    "logged": ("i", ""),
    "embedded_broker": ("", ""),
    "held": ("g", ""),
    "dead_letters": ("gia", ""),
}
LETTERS: dict[RedisService, str] = {
    "gateway": "g",
    "insights": "n",
    "importer": "i",
    "analyzer": "a",
}
# Commands beside GET and SET, and who may give them on a key of their own; all others may not.
COMMANDS: dict[str, str] = {
    **dict.fromkeys(
        (
            "ping",
            "multi",
            "exec",
            "time",
            "eval x 0",
            "evalsha x 0",
            "script load x",
            "script exists x",
        ),
        "gnia",
    ),
    **dict.fromkeys(
        ("hgetall KEY", "zadd KEY 1 x", "xadd KEY * a b", "pexpire KEY 5", "type KEY", "watch KEY"),
        "gnia",
    ),
    "scan 0": "ia",
    "info": "g",
    "subscribe celery-task-meta-x": "ia",
    "publish celery-task-meta-x y": "ia",
    **dict.fromkeys(("subscribe other", "publish other y", "psubscribe *"), ""),
    **dict.fromkeys(
        (
            "randomkey",
            "dbsize",
            "keys *",
            "flushdb",
            "flushall",
            "swapdb 0 1",
            "shutdown",
            "monitor",
        ),
        "",
    ),
    **dict.fromkeys(
        (
            "config get x",
            "acl list",
            "acl setuser x",
            "client list",
            "client kill x",
            "debug sleep 0",
        ),
        "",
    ),
    **dict.fromkeys(
        (
            "function list",
            "function load x",
            "fcall x 0",
            "script flush",
            "script kill",
            "module list",
        ),
        "",
    ),
    **dict.fromkeys(
        (
            "migrate x 1 KEY 0 1",
            "restore KEY 0 x",
            "sort KEY",
            "slowlog get",
            "save",
            "replicaof no one",
        ),
        "",
    ),
}


# Commands on the list of audit entries, and who may give them: all others may not. Nobody may take an entry out.
AUDIT_COMMANDS: dict[str, str] = {
    **dict.fromkeys(("rpush KEY x", "lindex KEY 0", "lrange KEY 0 -1", "llen KEY"), "gni"),
    **dict.fromkeys(
        (
            "del KEY",
            "lpop KEY",
            "rpop KEY",
            "ltrim KEY 1 0",
            "lset KEY 0 x",
            "lpush KEY x",
            "lrem KEY 1 x",
            "expire KEY 1",
            "set KEY x",
            "dump KEY",
        ),
        "",
    ),
}
# Commands that each service gave in a run of `test_each_service_does_its_whole_work_with_its_own_user`, by MONITOR:
# those of its clients, and those of the scripts that any of them ran.
GIVEN: dict[RedisService, str] = {
    "gateway": "client del evalsha exists get hdel hello hgetall info ping set smembers zcard zrangebyscore zrem",
    "insights": "client evalsha exec hello hgetall multi pexpire ping",
    "importer": "client del evalsha exec exists expire get hello hexists hget hgetall hmget hscan hset hvals incrby multi "
    "ping publish sadd scan set setex sismember smembers subscribe type unsubscribe watch zadd zcard zrange "
    "zremrangebyrank zremrangebyscore",
    "analyzer": "client evalsha exec exists get hello hget hmget multi ping publish setex smembers subscribe unsubscribe",
}
IN_SCRIPTS = (
    "del exists expire get hdel hexists hget hincrby hincrbyfloat hlen hmget hset hsetnx incr lindex llen lpush ltrim "
    "persist pexpire pttl rpush sadd set sismember time zadd zcount"
)
# The arguments of a command that needs others than a key, or more.
ARGUMENTS: dict[str, str] = {
    **dict.fromkeys(("exec", "hello", "info", "multi", "ping", "time"), ""),
    **dict.fromkeys(
        ("hdel", "hexists", "hget", "hmget", "lpush", "rpush", "sadd", "sismember", "zrem"), "KEY x"
    ),
    **dict.fromkeys(("hset", "hsetnx"), "KEY x y"),
    **dict.fromkeys(("expire", "incrby", "lindex", "pexpire", "set"), "KEY 1"),
    **dict.fromkeys(("hincrby", "hincrbyfloat"), "KEY x 1"),
    **dict.fromkeys(
        ("ltrim", "zcount", "zrange", "zrangebyscore", "zremrangebyrank", "zremrangebyscore"),
        "KEY 0 1",
    ),
    **dict.fromkeys(("zcard", "llen"), "KEY"),
    **dict.fromkeys(("subscribe", "unsubscribe"), "celery-task-meta-x"),
    "client": "setname x",
    "evalsha": "x 1 KEY",
    "hscan": "KEY 0",
    "publish": "celery-task-meta-x y",
    "scan": "0",
    "setex": "KEY 1 x",
    "zadd": "KEY 1 x",
}
OWN_KEYS: dict[RedisService, str] = {
    "gateway": "edugraph:turns:x",
    "insights": "edugraph:views:x",
    "importer": "edugraph:llm:answer:x",
    "analyzer": "edugraph:llm:answer:x",
}


def asked() -> Iterator[tuple[RedisService, str, bool]]:
    """Yield each service, a command, and whether the tables let its user give it."""
    for name, (writes, reads) in WRITTEN_AND_READ.items():
        for pattern in keys_in_redis(f"redis.{name}"):
            key = pattern.replace("*", "x")
            for service, letter in LETTERS.items():
                yield service, f"set {key} 1", letter in writes
                yield service, f"get {key}", letter in writes + reads
    for service, letter in LETTERS.items():
        yield service, "get edugraph:other", False
        yield service, "set other 1", False
        for command, who in COMMANDS.items():
            yield service, command.replace("KEY", OWN_KEYS[service]), letter in who
        for command in f"{GIVEN[service]} {IN_SCRIPTS}".split(" "):
            arguments = ARGUMENTS.get(command, "KEY").replace("KEY", OWN_KEYS[service])
            yield service, f"{command} {arguments}".strip(), True
        for command, who in AUDIT_COMMANDS.items():
            yield service, command.replace("KEY", "edugraph:audit:entries"), letter in who
            yield service, command.replace("KEY", "edugraph:audit:other"), False


def differences(client: "redis.Redis", users: Mapping[RedisService, str]) -> list[str]:
    """Return the commands that these users may give against the tables, or may not give."""
    wanted = [each for each in asked() if each[0] in users]
    with client.pipeline(transaction=False) as pipe:
        for service, command, _ in wanted:
            pipe.execute_command("ACL", "DRYRUN", users[service], *command.split(" "))  # type: ignore[no-untyped-call]
        answers = pipe.execute(raise_on_error=False)
    return [
        f"{service}: {command}"
        for (service, command, may), answer in zip(wanted, answers, strict=True)
        if (answer in {b"OK", "OK"}) != may
    ]


def test_a_user_may_do_what_the_tables_say_and_nothing_else(
    servers: tuple[dict[str, str], Own],
) -> None:
    """Out: any entry of ACCESS, or one more, or `uses` in place of `reads`. The next test takes out each rule."""
    assert {place.name for place in PLACES if place.store is Store.REDIS} == {
        f"redis.{name}" for name in WRITTEN_AND_READ
    }
    with connect(servers[0][REDIS]) as client:
        assert differences(client, {service: redis_user(service) for service in SERVICES}) == []


def changed_rules(rules: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each change of one rule: its name and the rules with it. A rule is left out, or allows more."""
    for index, rule in enumerate(rules):
        before = rules[:index]
        after = rules[index + 1 :]
        if rule.startswith("-") and f"+{rule[1:]}" in after:
            # The later rule decides.
            continue
        yield f"without {rule}", (*before, *after)
        if rule.startswith("~"):
            yield f"all for {rule}", (*before, "~**", *after)
        if rule.startswith("%R~"):
            yield f"writing for {rule}", (*before, rule.removeprefix("%R"), *after)
            yield f"reading all for {rule}", (*before, "%R~**", *after)
        if rule.startswith("&"):
            yield f"all for {rule}", (*before, "&**", *after)
        if rule.startswith("+"):
            yield f"all for {rule}", (*before, "+@all", *after)
        if rule.startswith("("):
            parts = rule.strip("()").split(" ")
            for part in parts:
                left = " ".join(each for each in parts if each != part)
                yield f"{rule} without {part}", (*before, f"({left})", *after)
            yield f"{rule} with all keys", (*before, f"({' '.join(parts)} ~**)", *after)
            for more in ("+@write", "+@read", "+del", "+lpop", "+ltrim", "+lset", "+set"):
                yield f"{rule} with {more}", (*before, f"({' '.join(parts)} {more})", *after)


@pytest.mark.parametrize("service", SERVICES)
def test_the_tables_notice_each_rule_that_is_left_out_or_allows_more(
    tmp_path: Path, service: RedisService
) -> None:
    """A rule whose change no line of the tables notices has no test, or decides nothing."""
    rules = rules_of(service)
    unnoticed = []
    with own_redis(tmp_path, "32mb") as url, redis.Redis.from_url(url) as client:
        for change, changed in [("nothing", rules), *changed_rules(rules)]:
            client.execute_command("ACL", "SETUSER", "changed", "reset", *changed)  # type: ignore[no-untyped-call]
            is_noticed = bool(differences(client, {service: "changed"}))
            if is_noticed == (change == "nothing"):
                unnoticed.append(change)
    assert unnoticed == []


def test_a_server_that_gives_new_users_all_channels_gives_these_none(tmp_path: Path) -> None:
    """Out: `resetchannels` in `line_of`."""
    with own_redis(tmp_path, "32mb") as url, redis.Redis.from_url(url) as client:
        client.config_set("acl-pubsub-default", "allchannels")
        apply_redis_users(client, dict.fromkeys(SERVICES, "x"))
        assert differences(client, {service: redis_user(service) for service in SERVICES}) == []


class RedisWithUsers(OwnRedis):
    def _configuration(self, **extra: str) -> str:
        users = (
            Path(__file__).parents[2] / "deploy" / "k8s" / "files" / "redis-users.conf"
        ).read_text()
        for service in SERVICES:
            users = users.replace(
                f"{service.upper()}_SHA256", hashlib.sha256(service.encode()).hexdigest()
            )
        return super()._configuration(**extra) + users


def test_redis_takes_the_users_of_compose_and_the_chart(tmp_path: Path) -> None:
    with own_redis(tmp_path, "32mb", RedisWithUsers) as url:
        for service in SERVICES:
            own = url.replace("//:", f"//{redis_user(service)}:").replace(
                urlsplit(url).password or "", service
            )
            with connect(own) as client:
                key = "edugraph:audit-x" if service == "insights" else "edugraph:task-owner:x"
                client.set(key, service)
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.get("some:other:key")
        with connect(url) as client:
            assert client.get("edugraph:task-owner:x") == SERVICES[-1]
            assert client.get("edugraph:audit-x") == "insights"


def test_the_users_of_an_installation_that_runs_are_left_alone(tmp_path: Path) -> None:
    """Out: the look at who is logged in, in `apply_redis_users`."""
    with own_redis(tmp_path, "32mb") as url:
        first, second = (
            {service: f"{name}-{service}" for service in SERVICES} for name in ("first", "second")
        )
        gateway = with_redis_users(url, first)["gateway"][REDIS]
        with connect(gateway.replace("/0", "/1")) as client:
            client.set("edugraph:task-owner:x", "1")
            with pytest.raises(
                UsersTaken,
                match=r"as edugraph-gateway: another installation uses it\. Stop that one",
            ):
                with_redis_users(url, second)
            assert client.get("edugraph:task-owner:x") == "1"
        assert with_redis_users(url, second)["gateway"][REDIS] != gateway


def test_who_needs_no_redis_has_no_user(servers: tuple[dict[str, str], Own]) -> None:
    assert set(servers[1]) == {"gateway", "insights", "importer", "findings", "analyzer"}
    assert json.dumps(servers[1]).count(redis_user("importer")) == 2
