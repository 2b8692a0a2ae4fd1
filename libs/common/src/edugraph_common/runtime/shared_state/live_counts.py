"""The numbers of records and statements that each source sent live, by day. The gateway writes and reads them."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import cast

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors

KEPT = timedelta(days=40)
FIRST_ACCEPTED = "first_accepted"
LAST_ACCEPTED = "last_accepted"


class LiveCounts:
    """Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def add(
        self,
        source: str,
        counts: Mapping[str, int],
        day: date,
        *,
        accepted_at: datetime | None = None,
    ) -> None:
        """Add to the counts of a day (UTC): that of the job in which the rows are, if some were accepted."""
        key = _key(source, day)
        with redis_errors():
            pipe = self._redis.pipeline()
            for name, number in counts.items():
                if number:
                    pipe.hincrby(key, name, number)
            if accepted_at is not None:
                pipe.hsetnx(key, FIRST_ACCEPTED, accepted_at.isoformat())
                pipe.hset(key, LAST_ACCEPTED, accepted_at.isoformat())
            pipe.expire(key, KEPT)
            pipe.execute()

    def of(self, source: str, day: date) -> dict[str, str]:
        """Return the counts of a day, by their names."""
        with redis_errors():
            return cast("dict[str, str]", self._redis.hgetall(_key(source, day)))


def _key(source: str, day: date) -> str:
    return f"edugraph:live-counts:{source}:{day.isoformat()}"
