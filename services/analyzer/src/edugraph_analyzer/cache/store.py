"""Answers that were paid for, and who is asking for one just now: the same question is asked once, by one process.

A lease says that somebody asks. It is renewed while that process lives and runs out soon after it dies; then one of
those who wait asks instead. Values hold redacted text only.
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

if TYPE_CHECKING:
    from redis.commands.core import Script

_ANSWERS = "edugraph:llm:answer"
_LEASES = "edugraph:llm:lease"
_STATS = "edugraph:llm:stats"
_NOTE_MILLISECONDS = 10_000  # a failed question answers those who were waiting for it for so long
_SCAN_COUNT = 1_000
_KIND_PART = 3  # of an answer's key, parted by colons


class State(IntEnum):
    """What is known of a question, as the script look.lua numbers it."""

    ANSWERED = 1
    MINE = 2
    ANOTHERS = 3
    FAILED = 4


@dataclass(frozen=True)
class Lookup:
    """What the store has of one question: `answer` if it is ANSWERED, `reason` if it is FAILED."""

    state: State
    answer: dict[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True)
class CacheStats:
    """`hits` and `misses` count items since the last clear. `entries`, by kind, are the answers that are kept now."""

    entries: dict[str, int]
    hits: int
    misses: int


class AnswerStore:
    """The answers and leases in Redis. `lease_owner` names one run of one pack; keys are those of questions.

    All methods raise redis.RedisError.
    """

    def __init__(self, server: "redis.Redis", *, ttl_seconds: int, lease_ttl_seconds: float) -> None:
        self._redis, self._ttl_seconds = server, ttl_seconds
        self._lease_milliseconds = round(lease_ttl_seconds * 1_000)
        self._look = _script(server, "look")
        self._renew = _script(server, "renew")
        self._release = _script(server, "release")

    def look(self, kind: Kind, keys: Sequence[str], lease_owner: str) -> dict[str, Lookup]:
        """Return what is known of each question.

        One that nobody has asked is from now on the lease owner's to ask. The answers that are there are read first,
        since a script for each question takes the client and Redis several times as long as a GET.
        """
        if not keys:
            return {}
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(_answer_key(kind, key))
            values = dict(zip(keys, pipe.execute(), strict=True))
        found = {
            key: Lookup(State.ANSWERED, answer=json.loads(value))
            for key, value in values.items()
            if value is not None
        }
        missing = [key for key in keys if key not in found]
        if not missing:
            return found
        names = [(_answer_key(kind, key), _lease_key(kind, key)) for key in missing]
        seen = self._run(self._look, names, [[lease_owner, self._lease_milliseconds]] * len(missing))
        for key, (state, value) in zip(missing, seen, strict=True):
            if state == State.ANSWERED:
                found[key] = Lookup(State.ANSWERED, answer=json.loads(value))
            else:
                found[key] = Lookup(State(state), reason=_text(value))
        return found

    def keep(self, kind: Kind, key: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer. Those who wait for it find it at their next look."""
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        self._redis.set(_answer_key(kind, key), text, ex=self._ttl_seconds)

    def kept(self, kind: Kind, keys: Sequence[str]) -> set[str]:
        """Return the keys of those questions that are answered already. Nothing is leased."""
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.exists(_answer_key(kind, key))
            there = pipe.execute()
        return {key for key, is_there in zip(keys, there, strict=True) if is_there}

    def forget(self, kind: Kind, key: str) -> None:
        self._redis.delete(_answer_key(kind, key))

    def release(self, kind: Kind, keys: Sequence[str], lease_owner: str, reasons: Mapping[str, str]) -> None:
        """Give leases back. The reasons of questions that cannot be answered are told to those who wait."""
        notes = [[lease_owner, _NOTE_MILLISECONDS, reasons.get(key, "")] for key in keys]
        self._run(self._release, [(_lease_key(kind, key),) for key in keys], notes)

    @contextmanager
    def renewed(self, kind: Kind, keys: Sequence[str], lease_owner: str) -> Iterator[None]:
        """Keep the leases alive meanwhile, by a thread.

        A Redis that is away lets them run out. The worst that follows is that another process asks a second time.
        """
        done = threading.Event()
        names = [(_lease_key(kind, key),) for key in keys]
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

    def _run(self, script: "Script", names: Sequence[tuple[str, ...]], args: Sequence[Sequence[Any]]) -> list[Any]:
        """Run a script for each question, in one round trip: the keys of two may be on two nodes of a cluster."""
        with self._redis.pipeline(transaction=False) as pipe:
            for of_one, own in zip(names, args, strict=True):
                script(keys=of_one, args=own, client=pipe)
            return list(pipe.execute())

    def count(self, hits: int, misses: int) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for name, number in (("hits", hits), ("misses", misses)):
                if number:
                    pipe.hincrby(_STATS, name, number)
            pipe.execute()


def stats(server: "redis.Redis") -> CacheStats:
    """Count the entries by looking at each name once.

    This takes seconds for millions, and blocks nothing meanwhile.
    """
    entries: dict[str, int] = {}
    for name in server.scan_iter(match=f"{_ANSWERS}:*", count=_SCAN_COUNT):
        kind = _text(name).split(":")[_KIND_PART]
        entries[kind] = entries.get(kind, 0) + 1
    counts = {_text(name): int(number) for name, number in server.hgetall(_STATS).items()}
    return CacheStats(entries, counts.get("hits", 0), counts.get("misses", 0))


def clear(server: "redis.Redis", kind: Kind | None = None) -> int:
    """Forget the answers (of one kind) and return how many they were. Questions under way are not disturbed."""
    gone, batch = 0, []
    for name in server.scan_iter(match=f"{_ANSWERS}:{kind or '*'}:*", count=_SCAN_COUNT):
        batch.append(name)
        if len(batch) == _SCAN_COUNT:
            gone, batch = gone + _unlinked(server, batch), []
    gone += _unlinked(server, batch)
    server.delete(_STATS)
    return gone


def _unlinked(server: "redis.Redis", names: Sequence[bytes | str]) -> int:
    with server.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.unlink(name)
        return sum(pipe.execute())


def _answer_key(kind: str, key: str) -> str:
    return f"{_ANSWERS}:{kind}:{key}"


def _lease_key(kind: str, key: str) -> str:
    """Name a lease. In a Redis cluster it is where its answer is, which the braces say."""
    return f"{_LEASES}:{{{_answer_key(kind, key)}}}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _script(server: "redis.Redis", name: str) -> "Script":
    """Load one of the scripts beside this module; each is one atomic step."""
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return server.register_script(text)
