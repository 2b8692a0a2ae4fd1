"""Redis' users: one for each service that needs Redis, with the keys and commands of its work and no others.

What a service may is told by the entries of the registry of personal data, so that a new key has to be listed there
before any service can use it. A script of Lua may do what its caller may.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import redis

from edugraph_common.contracts.personal_data import keys_in_redis

RedisService = Literal["gateway", "insights", "importer", "analyzer"]
SERVICES: tuple[RedisService, ...] = get_args(RedisService)

# Celery tells whoever waits for a result on a channel named for its key.
_RESULTS = "redis.results"
# Neither Redis itself nor its other users: @dangerous has FLUSHALL, KEYS, CONFIG, ACL and the like.
# Functions would stay for all.
_COMMANDS = ("-@all", "+@read", "+@write", "+@connection", "+@transaction", "+@pubsub", "-@dangerous", "-function")
_SCRIPTS = ("+eval", "+evalsha", "+script|load", "+script|exists", "+time")
# They tell names of keys that the user may not read.
_LOOKING = ("-randomkey", "-dbsize", "-scan")
_JOBS = ("redis.job", "redis.job_tasks", "redis.job_outcomes", "redis.job_counts", "redis.task_owners")


class UsersTaken(Exception):
    """Somebody is logged in as one of the users: another installation has this Redis."""


class Access(NamedTuple):
    """`uses` and `reads` are names of entries of the registry; `commands` come after those that all may."""

    uses: tuple[str, ...]
    reads: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


ACCESS: dict[RedisService, Access] = {
    # INFO tells the policy of eviction, for `edugraph doctor`. It asks the importer who is restricted.
    "gateway": Access(
        uses=(
            *_JOBS,
            "redis.clients",
            "redis.keys",
            "redis.audit",
            "redis.audit_keys",
            "redis.turns",
            "redis.to_clean",
            "redis.members_asked",
            "redis.held",
            "redis.dead_letters",
        ),
        reads=(_RESULTS, "redis.deliveries", "redis.restricted", "redis.sessions"),
        commands=("+info",),
    ),
    # It looks callers up, signs people in and out, keeps what they save, and writes down what it shows of a person.
    # The importer tells it what changed.
    "insights": Access(
        uses=("redis.audit", "redis.audit_keys", "redis.sessions", "redis.reading_turns", "redis.views"),
        reads=("redis.keys", "redis.answer_epochs"),
    ),
    # An erasure looks through results, answers of the model and saved views; an export of a person through the audit
    # log.
    "importer": Access(
        uses=(
            *_JOBS,
            "redis.deliveries",
            _RESULTS,
            "redis.chords",
            "redis.answers",
            "redis.members",
            "redis.restricted",
            "redis.members_known",
            "redis.course_contexts",
            "redis.members_asked",
            "redis.answer_epochs",
            "redis.turns",
            "redis.to_clean",
            "redis.views",
            "redis.dead_letters",
        ),
        reads=("redis.audit",),
        commands=("+scan",),
    ),
    # `edugraph cache` looks through the answers. It notes which course it has asked for.
    "analyzer": Access(
        uses=(
            *_JOBS,
            "redis.deliveries",
            _RESULTS,
            "redis.answers",
            "redis.asking",
            "redis.members_asked",
            "redis.dead_letters",
        ),
        reads=("redis.members", "redis.restricted", "redis.members_known", "redis.course_contexts"),
        commands=("+scan",),
    ),
}


def redis_user(service: RedisService) -> str:
    return f"edugraph-{service}"


def rules_of(service: RedisService) -> tuple[str, ...]:
    """Return what the service's user may, as ACL SETUSER takes it."""
    access = ACCESS[service]
    return (
        *(f"~{pattern}" for name in access.uses for pattern in keys_in_redis(name)),
        *(f"%R~{pattern}" for name in access.reads for pattern in keys_in_redis(name)),
        *(f"&{channel}" for channel in keys_in_redis(_RESULTS) if _RESULTS in access.uses),
        *_COMMANDS,
        *_SCRIPTS,
        *_LOOKING,
        *access.commands,
    )


def line_of(service: RedisService, password_hash: str) -> str:
    """Return the user's line in a configuration of Redis. `password_hash` is the SHA-256 in hexadecimal digits."""
    return " ".join(("user", redis_user(service), "on", f"#{password_hash}", "resetchannels", *rules_of(service)))


def apply_redis_users(client: "redis.Redis", passwords: Mapping[RedisService, str]) -> None:
    """Make a user for each service that has a password, or change the one that is there.

    They last until Redis ends: a server that goes on without us has them in its configuration. Their names are the
    same in every installation, also in another database of this Redis, and a new password would shut out who is
    logged in. Raises UsersTaken then, and redis.RedisError.
    """
    in_use = {each["user"] for each in client.client_list()}
    if taken := sorted(in_use.intersection(map(redis_user, passwords))):
        raise UsersTaken(
            f"Somebody is logged in to this Redis as {', '.join(taken)}: another installation uses it. "
            "Stop that one, or give this one a Redis of its own."
        )
    for service, password in passwords.items():
        hashed = hashlib.sha256(password.encode()).hexdigest()
        _, name, *rules = line_of(service, hashed).split(" ")
        client.execute_command("ACL", "SETUSER", name, "reset", *rules)  # type: ignore[no-untyped-call]
