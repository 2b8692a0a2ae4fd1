"""The numbers of records and statements that each source sent live, by day. The gateway writes and reads them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors

KEPT = timedelta(days=40)
FIRST_ACCEPTED = "first_accepted"
LAST_ACCEPTED = "last_accepted"
REFUSED = "refused"
LAST_REFUSED = "last_refused"
LAST_REFUSAL = "last_refusal"


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

    def add_refusal(self, source: str, name: str, at: datetime) -> None:
        """Count a refused request on its day (UTC). `name` is that of the problem with which it was answered."""
        key = _key(source, at.astimezone(UTC).date())
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hincrby(key, REFUSED, 1)
            pipe.hset(key, mapping={LAST_REFUSED: at.isoformat(), LAST_REFUSAL: name})
            pipe.expire(key, KEPT)
            pipe.execute()

    def latest(self, sources: Sequence[str], today: date) -> dict[str, tuple[date, dict[str, str]]]:
        """Return source -> the latest day (UTC) that has counts, and these. Other sources are left out."""
        days = [today - timedelta(days=back) for back in range(KEPT.days + 1)]
        found: dict[str, tuple[date, dict[str, str]]] = {}
        # Most sources that send anything have sent it today.
        for some_days in (days[:1], days[1:]):
            missing = [source for source in sources if source not in found]
            with redis_errors():
                pipe = self._redis.pipeline(transaction=False)
                for source in missing:
                    for day in some_days:
                        pipe.hgetall(_key(source, day))
                answers = iter(cast("list[dict[str, str]]", pipe.execute()))
            for source in missing:
                stored = [(day, next(answers)) for day in some_days]
                with_counts = [each for each in stored if each[1]]
                if with_counts:
                    found[source] = with_counts[0]
        return found

    def of(self, source: str, day: date) -> dict[str, str]:
        """Return the counts of a day, by their names."""
        with redis_errors():
            return cast("dict[str, str]", self._redis.hgetall(_key(source, day)))


def _key(source: str, day: date) -> str:
    return f"edugraph:live-counts:{source}:{day.isoformat()}"
