"""The live batches of each source that are accepted and not written yet, by their acceptance numbers.

The gateway adds a batch before it sends the message. The importer removes it once its outcome is settled, whether it
was written or given up.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, cast

import redis

from edugraph_common.contracts.live_days import MICROSECONDS_OF_DAY, accepted_at, first_of_day
from edugraph_common.runtime.service.redis_errors import redis_errors

# A key that nobody writes is forgotten after this time, which is longer than a message may wait.
KEPT = timedelta(days=40)


class WaitingBatch(NamedTuple):
    """A batch of a source. Its acceptance number is the time of acceptance in microseconds since 1970."""

    source: str
    acceptance: int


class LiveWaiting:
    """Each method raises Retryable when Redis does not answer. To add or to remove a batch twice changes nothing."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def add(self, batches: Collection[WaitingBatch]) -> None:
        """Note that these batches wait."""
        with redis_errors():
            pipe = self._redis.pipeline()
            for batch in batches:
                key = _key(batch.source)
                # A member is its own score, so the order is that of acceptance.
                pipe.zadd(key, {str(batch.acceptance): batch.acceptance})
                pipe.expire(key, KEPT)
            pipe.execute()

    def remove(self, batches: Collection[WaitingBatch]) -> None:
        """Note that these batches wait no longer."""
        with redis_errors():
            pipe = self._redis.pipeline()
            for batch in batches:
                pipe.zrem(_key(batch.source), str(batch.acceptance))
            pipe.execute()

    def tried_again(self, batches: Collection[WaitingBatch], within_seconds: int) -> None:
        """Note that the message of these batches is in a delay queue, and back in its queue within this time."""
        with redis_errors():
            pipe = self._redis.pipeline()
            for batch in batches:
                pipe.set(_again_key(batch.source), 1, ex=within_seconds)
            pipe.execute()

    def oldest(self, sources: Collection[str]) -> dict[str, datetime]:
        """Return, for each source with waiting batches, when the oldest of them was accepted."""
        names = sorted(sources)
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for source in names:
                pipe.zrange(_key(source), 0, 0)
            first_members = cast("list[list[str]]", pipe.execute())
        found = {}
        for source, members in zip(names, first_members, strict=True):
            if members:
                found[source] = accepted_at(int(members[0]))
        return found

    def oldest_of_day(self, source: str, day: date) -> datetime | None:
        """Return when the oldest waiting batch of a source and of a day (UTC) was accepted, or None."""
        first = first_of_day(day)
        last = first + MICROSECONDS_OF_DAY - 1
        with redis_errors():
            members = cast(
                "list[str]",
                self._redis.zrangebyscore(_key(source), first, last, start=0, num=1),
            )
        if not members:
            return None
        return accepted_at(int(members[0]))

    def forget(self, sources: Collection[str], before: datetime) -> int:
        """Forget the batches that were accepted before this moment. Return their number.

        A source keeps all of its batches while a message of it may be in a delay queue.
        """
        limit = int(before.astimezone(UTC).timestamp() * 1_000_000)
        with redis_errors():
            names = sorted(sources)
            pipe = self._redis.pipeline(transaction=False)
            for source in names:
                pipe.exists(_again_key(source))
            are_tried_again = cast("list[int]", pipe.execute())
            pipe = self._redis.pipeline(transaction=False)
            for source, is_tried_again in zip(names, are_tried_again, strict=True):
                if is_tried_again:
                    continue
                pipe.zremrangebyscore(_key(source), "-inf", f"({limit}")
            return sum(cast("list[int]", pipe.execute()))


def _key(source: str) -> str:
    return f"edugraph:live-waiting:{source}"


def _again_key(source: str) -> str:
    return f"{_key(source)}:again"
