"""The state of a source for what it sends live: on, paused or observed, and the moment from which it is taken."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.contracts.messages import LiveTexts
from edugraph_common.contracts.outcomes import WITHDRAWAL
from edugraph_common.contracts.records import Record, Withdrawal
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.sources.rows import (
    NotRelevant,
    as_invalid_record,
    check_timestamp,
    latest_timestamp,
)

PAUSED_SECONDS = 60
# The number of rows of a day that are looked at in a source that is observed.
MOST_OBSERVED = 10_000
# The prefix of the counts of outcomes, and the count of all looked-at rows.
OUTCOME = "outcome: "
OBSERVED = "observed"
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def refuse_paused(source: DataSource | None) -> None:
    """Raise Problem 503 if the source is paused. The sender keeps what it has, and sends it again later."""
    if source is not None and source.live == "paused":
        words = f"The source {source.name} is paused; send it again later."
        raise Problem(503, "paused", words, retry_after=PAUSED_SECONDS)


def is_too_old(source: DataSource | None, moment: Any) -> bool:
    """Return whether a row is older than the moment from which the source is taken.

    A row without a readable moment is not too old. The importer judges it.
    """
    if source is None or source.live_from is None:
        return False
    try:
        return _MOMENT.validate_python(moment) < source.live_from
    except ValidationError:
        return False


def texts_to_analyse(source: DataSource | None, now: datetime) -> LiveTexts | None:
    """Return how many of the texts that the source sends now are analysed, or None for a source without any."""
    if source is None or not source.analyse or source.live_texts_a_day is None:
        return None
    zone = ZoneInfo(source.time_zone or "UTC")
    return LiveTexts(
        most=source.live_texts_a_day,
        day=now.astimezone(zone).date(),
        share_percent=source.live_share_percent,
    )


def observed(
    rows: Iterable[Any],
    read: Callable[[Any], Record | Withdrawal | NotRelevant],
    stored: Mapping[str, str],
    now: datetime,
) -> Counter[str]:
    """Return how many of these rows would become which type of record. `stored` has the counts of the day so far.

    `read` returns the content of a row, and raises InvalidRecord.
    """
    counts: Counter[str] = Counter()
    latest = latest_timestamp(now.timestamp())
    for row in rows:
        if int(stored.get(OBSERVED, 0)) + counts[OBSERVED] >= MOST_OBSERVED:
            break
        counts[OUTCOME + _outcome(row, read, latest)] += 1
        counts[OBSERVED] += 1
    return counts


def _outcome(
    row: Any,
    read: Callable[[Any], Record | Withdrawal | NotRelevant],
    latest: datetime | None,
) -> str:
    """Return what would become of a row: the type of its record, or why there would be none.

    The outcomes have no words of the sender, who may name a person in a verb or a wrong value.
    """
    try:
        content = check_timestamp(read(row), latest)
    except Exception as fault:  # noqa: BLE001 - the boundary of the row
        return f"set aside: {as_invalid_record(fault).reason}"
    match content:
        case Withdrawal():
            return WITHDRAWAL
        case NotRelevant():
            return "not relevant"
    return content.type
