"""The store of paid answers and of leases, so that only one process asks the same question.

A lease says that a process is asking a question. It is renewed while the process lives and expires soon after it
dies. Then one of the waiting processes asks instead. Values contain redacted text only.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from importlib import resources
from typing import TYPE_CHECKING, Any

import redis

from edugraph_common.contracts.findings import Kind
from edugraph_common.runtime.shared_state.key_prefix import name_in_redis

if TYPE_CHECKING:
    from redis.commands.core import Script

_ANSWERS = "edugraph:llm:answer"
_LEASES = "edugraph:llm:lease"
_STATS = "edugraph:llm:stats"
# The reason of a failed question is kept this long for the processes that were waiting for its answer.
_NOTE_MILLISECONDS = 10_000
_SCAN_COUNT = 1_000
# The index of the kind in the key of an answer, whose parts are separated by colons.
_KIND_PART = 3


class State(IntEnum):
    """The state of a question, with the numbers that the script look.lua returns."""

    ANSWERED = 1
    MINE = 2
    ANOTHERS = 3
    FAILED = 4


@dataclass(frozen=True)
class Lookup:
    """The entry of one question in the store. `answer` is set if it is ANSWERED, and `reason` if it is FAILED."""

    state: State
    answer: dict[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True)
class CacheStats:
    """Figures of the cache: `hits` and `misses` since the last clear, and the number of `entries` by kind."""

    entries: dict[str, int]
    hits: int
    misses: int


class AnswerStore:
    """The answers and leases in Redis. `lease_owner` is the name of one run of one pack, and `keys` are of questions.

    All methods raise redis.RedisError.
    """

    def __init__(
        self, server: "redis.Redis", *, ttl_seconds: int, lease_ttl_seconds: float
    ) -> None:
        self._redis = server
        self._ttl_seconds = ttl_seconds
        self._lease_milliseconds = round(lease_ttl_seconds * 1_000)
        self._look = _script(server, "look")
        self._renew = _script(server, "renew")
        self._release = _script(server, "release")

    def look(self, kind: Kind, keys: Sequence[str], lease_owner: str) -> dict[str, Lookup]:
        """Return the entry of each question. The lease owner gets the lease of each question that nobody is asking.

        Answers are read first, because a script takes the client and Redis several times as long as a GET.
        """
        if not keys:
            return {}
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(_answer_key(kind, key))
            values = dict(zip(keys, pipe.execute(), strict=True))
        found = {}
        for key, value in values.items():
            if value is not None:
                found[key] = Lookup(State.ANSWERED, answer=json.loads(value))
        missing = [key for key in keys if key not in found]
        if not missing:
            return found
        names = [(_answer_key(kind, key), self._lease_key(kind, key)) for key in missing]
        seen = self._run(
            self._look, names, [[lease_owner, self._lease_milliseconds]] * len(missing)
        )
        for key, (state, value) in zip(missing, seen, strict=True):
            if state == State.ANSWERED:
                found[key] = Lookup(State.ANSWERED, answer=json.loads(value))
            else:
                found[key] = Lookup(State(state), reason=_text(value))
        return found

    def keep(self, kind: Kind, key: str, answer: Mapping[str, Any]) -> None:
        """Store an answer. Processes that wait for it find it at their next look."""
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        self._redis.set(_answer_key(kind, key), text, ex=self._ttl_seconds)

    def kept(self, kind: Kind, keys: Sequence[str]) -> set[str]:
        """Return the keys of the questions that have an answer. Nothing is leased."""
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.exists(_answer_key(kind, key))
            there = pipe.execute()
        return {key for key, is_there in zip(keys, there, strict=True) if is_there}

    def forget(self, kind: Kind, key: str) -> None:
        self._redis.delete(_answer_key(kind, key))

    def release(
        self, kind: Kind, keys: Sequence[str], lease_owner: str, reasons: Mapping[str, str]
    ) -> None:
        """Give leases back. `reasons` has, by key, why a question has no answer, for the processes that wait."""
        notes = [[lease_owner, _NOTE_MILLISECONDS, reasons.get(key, "")] for key in keys]
        self._run(self._release, [(self._lease_key(kind, key),) for key in keys], notes)

    @contextmanager
    def renewed(self, kind: Kind, keys: Sequence[str], lease_owner: str) -> Iterator[None]:
        """Renew the leases by a thread while the block runs.

        They expire if Redis does not answer. The worst effect is that another process asks the same question again.
        """
        done = threading.Event()
        names = [(self._lease_key(kind, key),) for key in keys]
        args = [[lease_owner, self._lease_milliseconds]] * len(keys)

        def renew() -> None:
            while not done.wait(self._lease_milliseconds / 3_000):
                try:
                    self._run(self._renew, names, args)
                except redis.RedisError:
                    continue

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _run(
        self, script: "Script", names: Sequence[tuple[str, ...]], args: Sequence[Sequence[Any]]
    ) -> list[Any]:
        """Run a script for each question, in one round trip. In a cluster, their keys may be on different nodes."""
        with self._redis.pipeline(transaction=False) as pipe:
            for own_names, own_args in zip(names, args, strict=True):
                script(keys=own_names, args=own_args, client=pipe)
            return list(pipe.execute())

    def _lease_key(self, kind: str, key: str) -> str:
        """Return the key of a lease. The braces keep it on the node of its answer in a Redis cluster.

        A key without braces is on the node of its whole name, so the prefix stands in the braces, too.
        """
        answer = name_in_redis(self._redis, _answer_key(kind, key))
        return f"{_LEASES}:{{{answer}}}"

    def count(self, hits: int, misses: int) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for name, number in (("hits", hits), ("misses", misses)):
                if number:
                    pipe.hincrby(_STATS, name, number)
            pipe.execute()


def stats(server: "redis.Redis") -> CacheStats:
    """Return the figures of the cache. Each key is looked at once.

    Millions of keys take seconds, and Redis serves others meanwhile.
    """
    entries: dict[str, int] = {}
    for name in server.scan_iter(match=f"{_ANSWERS}:*", count=_SCAN_COUNT):
        kind = _text(name).split(":")[_KIND_PART]
        entries[kind] = entries.get(kind, 0) + 1
    counts = {_text(name): int(number) for name, number in server.hgetall(_STATS).items()}
    return CacheStats(entries, counts.get("hits", 0), counts.get("misses", 0))


def clear(server: "redis.Redis", kind: Kind | None = None) -> int:
    """Delete the answers (of one kind) and return their number. Questions that are being asked are not disturbed."""
    deleted = 0
    batch = []
    for name in server.scan_iter(match=f"{_ANSWERS}:{kind or '*'}:*", count=_SCAN_COUNT):
        batch.append(name)
        if len(batch) == _SCAN_COUNT:
            deleted += _unlinked(server, batch)
            batch = []
    deleted += _unlinked(server, batch)
    server.delete(_STATS)
    return deleted


def _unlinked(server: "redis.Redis", names: Sequence[bytes | str]) -> int:
    with server.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.unlink(name)
        return sum(pipe.execute())


def _answer_key(kind: str, key: str) -> str:
    return f"{_ANSWERS}:{kind}:{key}"


def _text(value: bytes | str) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return value


def _script(server: "redis.Redis", name: str) -> "Script":
    """Return one of the scripts beside this module. Each script is one atomic step."""
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return server.register_script(text)
