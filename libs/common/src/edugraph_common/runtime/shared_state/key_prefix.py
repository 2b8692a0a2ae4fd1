"""A client of Redis for a server that several schools share: each key of this school begins with the school's prefix.

All other modules use the names of keys without the prefix. Celery and kombu have an option for the same prefix, which
`messaging/celery_app.py` sets.
"""

from collections.abc import Sequence
from typing import Any, cast

import redis
from redis.client import Pipeline

# The place of the keys among the arguments of a command, by the command's name. A command that is not listed is
# refused, because its keys would have no prefix.
_NO_KEY = frozenset(
    ["PING", "TIME", "INFO", "MULTI", "EXEC", "DISCARD", "UNWATCH", "ACL", "CLIENT", "CONFIG"]
)
_ALL_KEYS = frozenset(["DEL", "UNLINK", "EXISTS", "TOUCH", "MGET", "WATCH"])
_FIRST_KEY = frozenset(
    [
        "APPEND",
        "DECR",
        "EXPIRE",
        "EXPIREAT",
        "GET",
        "GETDEL",
        "GETEX",
        "HDEL",
        "HEXISTS",
        "HGET",
        "HGETALL",
        "HINCRBY",
        "HINCRBYFLOAT",
        "HKEYS",
        "HLEN",
        "HMGET",
        "HSCAN",
        "HSET",
        "HSETNX",
        "HVALS",
        "INCR",
        "INCRBY",
        "LINDEX",
        "LLEN",
        "LPOP",
        "LPUSH",
        "LRANGE",
        "LREM",
        "LSET",
        "LTRIM",
        "PERSIST",
        "PEXPIRE",
        "PEXPIREAT",
        "PTTL",
        "RPOP",
        "RPUSH",
        "SADD",
        "SCARD",
        "SET",
        "SETEX",
        "SETRANGE",
        "SISMEMBER",
        "SMEMBERS",
        "SREM",
        "STRLEN",
        "TTL",
        "TYPE",
        "XADD",
        "XLEN",
        "XRANGE",
        "XREVRANGE",
        "XTRIM",
        "ZADD",
        "ZCARD",
        "ZCOUNT",
        "ZINCRBY",
        "ZRANGE",
        "ZRANGEBYSCORE",
        "ZREM",
        "ZREMRANGEBYRANK",
        "ZREMRANGEBYSCORE",
        "ZREVRANGE",
        "ZREVRANGEBYSCORE",
        "ZSCAN",
        "ZSCORE",
    ]
)
_NUMBERED_KEYS = frozenset(("EVAL", "EVALSHA"))
# redis-py gives a command and its subcommand as one name.
_SCRIPT = "SCRIPT "


class UnknownCommand(Exception):
    """A command whose keys this module does not know. Add it to the right list above."""


def prefixed(prefix: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return a command with the prefix before each of its keys. Raises UnknownCommand."""
    name = str(arguments[0]).upper()
    rest = list(arguments[1:])
    first = _first_key(name)
    if first is None:
        return tuple(arguments)
    last = first + 1
    if name in _ALL_KEYS:
        last = len(rest)
    elif name in _NUMBERED_KEYS:
        last = first + int(rest[1])
    for place in range(first, last):
        rest[place] = _with_prefix(prefix, rest[place])
    return (arguments[0], *rest)


def _first_key(name: str) -> int | None:
    """Return the place of a command's first key after the command's name, or None if the command has no key."""
    if name in _NO_KEY or name.startswith(_SCRIPT):
        return None
    if name in _NUMBERED_KEYS:
        return 2
    if name in _FIRST_KEY or name in _ALL_KEYS:
        return 0
    raise UnknownCommand(f"the keys of {name} are not listed in key_prefix.py")


def _with_prefix(prefix: str, key: Any) -> Any:
    if isinstance(key, bytes):
        return prefix.encode() + key
    return f"{prefix}{key}"


class PrefixedPipeline(Pipeline):
    """A pipeline that puts the prefix before each key."""

    key_prefix: str

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        return super().execute_command(*prefixed(self.key_prefix, args), **kwargs)  # type: ignore[no-untyped-call]


class PrefixedRedis(redis.Redis):
    """A client that puts the prefix before each key, and takes it off the names that SCAN returns.

    It has no channels: Celery, which alone uses them, has a client of its own.
    """

    key_prefix: str

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if str(args[0]).upper() == "SCAN":
            return self._scan(*args, **options)
        return super().execute_command(*prefixed(self.key_prefix, args), **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> PrefixedPipeline:
        pipeline = PrefixedPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        pipeline.key_prefix = self.key_prefix
        return pipeline

    def pubsub(self, **_: Any) -> Any:
        raise UnknownCommand("a client with a prefix has no channels")

    def monitor(self) -> Any:
        raise UnknownCommand("a client with a prefix shows no commands of others")

    def _scan(self, name: str, cursor: Any, *rest: Any, **options: Any) -> Any:
        """Return a cursor and the names of this school's keys, without the prefix."""
        filters = list(rest)
        pattern: Any = "*"
        if "MATCH" in map(_text, filters):
            place = [_text(each) for each in filters].index("MATCH")
            pattern = filters[place + 1]
            del filters[place : place + 2]
        found = super().execute_command(  # type: ignore[no-untyped-call]
            name, cursor, "MATCH", f"{self.key_prefix}{_text(pattern)}", *filters, **options
        )
        next_cursor, names = cast("tuple[int, list[Any]]", found)
        return next_cursor, [each[len(self.key_prefix) :] for each in names]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return str(value)


def name_in_redis(client: "redis.Redis", key: str) -> str:
    """Return the whole name of a key, for a script that gets it otherwise than as a key, and for a hash tag."""
    return f"{prefix_of(client)}{key}"


def prefix_of(client: "redis.Redis") -> str:
    """Return the prefix of a client, or an empty text for a client without one."""
    if isinstance(client, PrefixedRedis | PrefixedPipeline):
        return client.key_prefix
    return ""
