"""Redis' users: one for each service, with permission for only the keys and commands that the service needs.

The keys come from the registry of personal data, so a new key must be listed there before a service can use it. A Lua
script has the permissions of its caller.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import redis

from edugraph_common.contracts.personal_data import keys_in_redis

RedisService = Literal["gateway", "insights", "importer", "analyzer"]
SERVICES: tuple[RedisService, ...] = get_args(RedisService)

# Celery publishes that a result is there on a channel with the name of the result's key.
_RESULTS = "redis.results"
# A user starts without any command.
# @dangerous has commands that affect the whole server or other users: FLUSHALL, KEYS, CONFIG, ACL and the like.
# FUNCTION is refused because a function that one user loads stays for all users.
_COMMANDS = (
    "+@read",
    "+@write",
    "+@connection",
    "+@transaction",
    "-@dangerous",
    "-function",
)
_SCRIPTS = ("+eval", "+evalsha", "+script|load", "+script|exists", "+time")
# XADD of a stream could trim it, and SET could put anything in its place. RPUSH can only add.
_APPENDING = "+rpush +lindex +lrange +llen"
# These commands show keys that the user may not read, or their number.
_LOOKING = ("-randomkey", "-dbsize", "-scan")
# A user that has these rules first has no rule of before. It keeps its password.
_WITHOUT_RULES = ("resetkeys", "resetchannels", "nocommands", "clearselectors")
_JOBS = (
    "redis.job",
    "redis.job_tasks",
    "redis.job_outcomes",
    "redis.job_counts",
    "redis.task_owners",
)


class UsersTaken(Exception):
    """A client is logged in as one of the users, so another installation uses this Redis."""


class Access(NamedTuple):
    """The permissions of a service. `uses` (read and write), `reads` and `appends` are names of registry entries.

    `appends`: lists that the service may read and add to at the end; it may delete nothing of them. `commands` are
    rules in addition to the rules of all services.
    """

    uses: tuple[str, ...]
    reads: tuple[str, ...] = ()
    appends: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


ACCESS: dict[RedisService, Access] = {
    # `edugraph doctor` reads the eviction policy with INFO. The gateway asks the importer for restricted students.
    "gateway": Access(
        uses=(
            *_JOBS,
            "redis.clients",
            "redis.audit_keys",
            "redis.turns",
            "redis.to_clean",
            "redis.members_asked",
            "redis.held",
            "redis.dead_letters",
            "redis.sources",
            "redis.statements",
            "redis.statement_moments",
            "redis.live_counts",
            "redis.live_waiting",
        ),
        reads=(
            "redis.action_permits",
            "redis.draft_permits",
            _RESULTS,
            "redis.deliveries",
            "redis.restricted",
            "redis.sessions",
            "redis.keys",
            "redis.audit_ended",
        ),
        appends=("redis.audit",),
        commands=("+info",),
    ),
    # Insights looks up callers, keeps sessions, saved views and digests, permits actions, and writes to the audit
    # log. The importer appends the changes of the graph.
    "insights": Access(
        uses=(
            "redis.action_permits",
            "redis.draft_permits",
            "redis.audit_keys",
            "redis.sessions",
            "redis.lti_nonces",
            "redis.reading_turns",
            "redis.views",
            "redis.digests",
            "redis.digest_owners",
            "redis.digest_mails",
        ),
        reads=("redis.keys", "redis.graph_changes", "redis.audit_ended"),
        appends=("redis.audit",),
    ),
    # An erasure searches permits of drafts, results, answers of the model, saved views and digests. The export of a
    # person searches the audit log.
    "importer": Access(
        uses=(
            *_JOBS,
            "redis.deliveries",
            "redis.draft_permits",
            _RESULTS,
            "redis.chords",
            "redis.answers",
            "redis.members",
            "redis.restricted",
            "redis.members_known",
            "redis.course_contexts",
            "redis.members_asked",
            "redis.statements",
            "redis.live_waiting",
            "redis.live_texts",
            "redis.graph_changes",
            "redis.turns",
            "redis.to_clean",
            "redis.views",
            "redis.digests",
            "redis.dead_letters",
            "redis.audit_keys",
            "redis.logged",
        ),
        reads=("redis.audit_ended",),
        appends=("redis.audit",),
        commands=("+scan",),
    ),
    # `edugraph cache` searches the answers of the model. The analyzer notes which courses it has asked for.
    "analyzer": Access(
        uses=(
            *_JOBS,
            "redis.deliveries",
            _RESULTS,
            "redis.answers",
            "redis.asking",
            "redis.live_turns",
            "redis.members_asked",
            "redis.dead_letters",
        ),
        reads=(
            "redis.members",
            "redis.restricted",
            "redis.members_known",
            "redis.course_contexts",
            "redis.draft_permits",
        ),
        commands=("+scan",),
    ),
}


def redis_user(service: RedisService, prefix: str = "") -> str:
    """Return the name of a service's user: edugraph-gateway, or school-a-gateway with the prefix `school-a:`."""
    school = prefix.removesuffix(":") or "edugraph"
    return f"{school}-{service}"


def rules_of(service: RedisService, prefix: str = "") -> tuple[str, ...]:
    """Return the permissions of the service's user as rules of ACL SETUSER. All its keys begin with the prefix."""
    access = ACCESS[service]
    rules = []
    for name in access.uses:
        rules += [f"~{prefix}{pattern}" for pattern in keys_in_redis(name)]
    for name in access.reads:
        rules += [f"%R~{prefix}{pattern}" for pattern in keys_in_redis(name)]
    if _RESULTS in access.uses:
        rules += [f"&{prefix}{channel}" for channel in keys_in_redis(_RESULTS)]
        rules.append("+@pubsub")
    # Selectors: these commands on these keys, in addition to all other rules.
    selectors = []
    for name in access.appends:
        selectors += [f"({_APPENDING} ~{prefix}{pattern})" for pattern in keys_in_redis(name)]
    return (*rules, *_COMMANDS, *_SCRIPTS, *_LOOKING, *access.commands, *selectors)


def line_of(service: RedisService, password_hash: str, prefix: str = "") -> str:
    """Return the user's line in Redis' configuration. `password_hash` is a SHA-256 in hexadecimal digits."""
    return " ".join(
        (
            "user",
            redis_user(service, prefix),
            "on",
            f"#{password_hash}",
            "resetchannels",
            *rules_of(service, prefix),
        )
    )


def apply_redis_users(
    client: "redis.Redis", passwords: Mapping[RedisService, str], prefix: str = ""
) -> None:
    """Create or change a user for each service that has a password.

    The users last until Redis restarts; a permanent server has them in its configuration. All installations with the
    same prefix use the same names, also in different databases of one Redis, and a new password would lock out the
    other installation.
    Raises UsersTaken if one of the users is logged in, and redis.RedisError.
    """
    in_use = {each["user"] for each in client.client_list()}
    names = {redis_user(service, prefix) for service in passwords}
    if taken := sorted(in_use.intersection(names)):
        raise UsersTaken(
            f"Somebody is logged in to this Redis as {', '.join(taken)}: another installation uses it. "
            "Stop that one, or give this one a Redis of its own."
        )
    for service, password in passwords.items():
        client.execute_command(*command_of(service, password, prefix))  # type: ignore[no-untyped-call]


def command_of(service: RedisService, password: str, prefix: str = "") -> list[str]:
    """Return the command that makes a service's user. It has the hash of the password in place of the password."""
    hashed = hashlib.sha256(password.encode()).hexdigest()
    _, name, *rules = line_of(service, hashed, prefix).split(" ")
    return ["ACL", "SETUSER", name, "reset", *rules]


def renew_redis_users(client: "redis.Redis", prefix: str = "") -> list[str]:
    """Give the users with this prefix the rules of this release, and return the names of users that are missing.

    Passwords stay, and so do the connections of a school that runs. If a user is missing, nothing changes.
    """
    known = {_as_text(each) for each in client.acl_users()}
    missing = []
    for service in SERVICES:
        name = redis_user(service, prefix)
        if name not in known:
            missing.append(name)
    if missing:
        return missing
    for service in SERVICES:
        rules = " ".join(rules_of(service, prefix)).split(" ")
        client.execute_command(  # type: ignore[no-untyped-call]
            "ACL", "SETUSER", redis_user(service, prefix), *_WITHOUT_RULES, *rules
        )
    return []


def keep_redis_users(client: "redis.Redis") -> bool:
    """Write the users into Redis' own file of users. Return False if Redis has no such file."""
    try:
        client.execute_command("ACL", "SAVE")  # type: ignore[no-untyped-call]
    except redis.exceptions.ResponseError as error:
        if isinstance(error, redis.exceptions.NoPermissionError):
            raise
        return False
    return True


def _as_text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return value
