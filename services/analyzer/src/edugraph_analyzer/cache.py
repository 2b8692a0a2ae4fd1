"""Answers that were paid for, and who is asking for one just now: the same question is asked once, by one process.

A lease says that somebody asks. It is renewed while that process lives and runs out soon after it dies, and then one
of those who wait asks instead. Values hold redacted text only.
"""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import redis

from edugraph_analyzer.scripts import run
from edugraph_common.contracts.findings import Kind

_ANSWERS = "edugraph:llm:answer"
_LEASES = "edugraph:llm:lease"
_STATS = "edugraph:llm:stats"
_NOTE_MS = 10_000  # how long a failed question answers those who were waiting for it
_SCAN = 1_000


class State(IntEnum):
    """As the script look.lua numbers them."""

    ANSWERED = 1
    MINE = 2
    ANOTHERS = 3
    FAILED = 4


@dataclass(frozen=True)
class Seen:
    state: State
    answer: dict[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True)
class CacheStats:
    """`hits` and `misses` count items since the last clear; `entries` by kind are what is kept now."""

    entries: dict[str, int]
    hits: int
    misses: int


class Cache:
    """`asker` names this process and request; keys are those of `questions.Question`."""

    def __init__(self, server: "redis.Redis", *, ttl: int, lease_ttl: float) -> None:
        self._redis, self._ttl, self._lease_ms = server, ttl, round(lease_ttl * 1_000)

    def look(self, kind: Kind, keys: Sequence[str], asker: str) -> dict[str, Seen]:
        """What is known of each question; one that nobody has asked is from now on the asker's to ask."""
        pairs = [name for key in keys for name in (_answer_key(kind, key), _lease_key(key))]
        seen = run(self._redis, "look", pairs, asker, self._lease_ms) if keys else []
        return {key: _seen(int(state), value) for key, (state, value) in zip(keys, seen, strict=True)}

    def keep(self, kind: Kind, key: str, answer: Mapping[str, Any]) -> None:
        """Those who wait for the answer find it at their next look."""
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        self._redis.set(_answer_key(kind, key), text, ex=self._ttl)

    def kept(self, kind: Kind, keys: Sequence[str]) -> set[str]:
        """Those that are answered already; nothing is reserved."""
        values = self._redis.mget([_answer_key(kind, key) for key in keys]) if keys else []
        return {key for key, value in zip(keys, values, strict=True) if value is not None}

    def forget(self, kind: Kind, key: str) -> None:
        self._redis.delete(_answer_key(kind, key))

    def release(self, keys: Sequence[str], asker: str, reasons: Mapping[str, str]) -> None:
        """`reasons` of questions that cannot be answered are told to those who wait."""
        if keys:
            notes = [reasons.get(key, "") for key in keys]
            run(self._redis, "release", [_lease_key(key) for key in keys], asker, _NOTE_MS, *notes)

    @contextmanager
    def renewed(self, keys: Sequence[str], asker: str) -> Iterator[None]:
        """Keeps the leases alive meanwhile. A Redis that is away ends them: a second call at most."""
        done = threading.Event()
        names = [_lease_key(key) for key in keys]

        def renew() -> None:
            while not done.wait(self._lease_ms / 3_000):
                try:
                    run(self._redis, "renew", names, asker, self._lease_ms)
                except redis.RedisError:
                    continue

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def count(self, hits: int, misses: int) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for name, number in (("hits", hits), ("misses", misses)):
                if number:
                    pipe.hincrby(_STATS, name, number)
            pipe.execute()


def _seen(state: int, value: bytes | str) -> Seen:
    if state == State.ANSWERED:
        return Seen(State.ANSWERED, answer=json.loads(value))
    reason = value.decode() if isinstance(value, bytes) else value
    return Seen(State(state), reason=reason)


def _answer_key(kind: str, key: str) -> str:
    return f"{_ANSWERS}:{kind}:{key}"


def _lease_key(key: str) -> str:
    return f"{_LEASES}:{key}"


def stats(server: "redis.Redis") -> CacheStats:
    """Counts the entries by looking at each name once: seconds for millions, and nothing is blocked meanwhile."""
    entries: dict[str, int] = {}
    for name in server.scan_iter(match=f"{_ANSWERS}:*", count=_SCAN):
        kind = _text(name).split(":")[3]
        entries[kind] = entries.get(kind, 0) + 1
    counts = {_text(name): int(number) for name, number in server.hgetall(_STATS).items()}
    return CacheStats(entries, counts.get("hits", 0), counts.get("misses", 0))


def clear(server: "redis.Redis", kind: Kind | None = None) -> int:
    """Forgets the answers (of one kind) and returns how many; questions under way are not disturbed."""
    gone, batch = 0, []
    for name in server.scan_iter(match=f"{_ANSWERS}:{kind or '*'}:*", count=_SCAN):
        batch.append(name)
        if len(batch) == _SCAN:
            gone, batch = gone + server.unlink(*batch), []
    gone += server.unlink(*batch) if batch else 0
    server.delete(_STATS)
    return gone


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
