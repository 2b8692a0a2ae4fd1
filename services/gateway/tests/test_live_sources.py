"""Sources that are paused or observed, and the moment from which a source is taken."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from edugraph_common.contracts.data_sources import DataSource, LiveMode
from edugraph_common.contracts.messages import LiveTexts
from edugraph_common.contracts.records import parse_row
from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.submission.live_sources import (
    MOST_OBSERVED,
    OBSERVED,
    is_too_old,
    observed,
    refuse_paused,
    texts_to_analyse,
)

NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)


def source(live: LiveMode = "on", live_from: datetime | None = None) -> DataSource:
    return DataSource(name="lms", kind="records", created=NOW, live=live, live_from=live_from)


def record(**more: Any) -> dict[str, Any]:
    data = {"student_id": "ann", "course_id": "c", "error_text": "wrong sign"}
    return {"type": "error_record", "timestamp": "2026-09-01T00:00:00Z", "data": data, **more}


def test_a_paused_source_is_refused_with_a_time_to_come_again() -> None:
    for live in ("on", "observe"):
        refuse_paused(source(live))  # type: ignore[arg-type]
    refuse_paused(None)
    with pytest.raises(Problem) as refused:
        refuse_paused(source("paused"))
    assert (refused.value.status, refused.value.name) == (503, "paused")
    assert refused.value.retry_after


@pytest.mark.parametrize(
    ("moment", "is_old"),
    [
        ("2026-09-20T23:59:59Z", True),
        ("2026-09-21T00:00:00Z", False),
        ("2026-09-21T07:59:59+08:00", True),
        ("2026-09-21T08:00:00+08:00", False),
        # These cannot be compared. The importer judges them.
        ("2026-09-20", False),
        ("2026-09-20T00:00:00", False),
        ("yesterday", False),
        (None, False),
        ({}, False),
    ],
)
def test_older_rows_are_left_out(moment: Any, is_old: bool) -> None:
    begin = datetime(2026, 9, 21, tzinfo=UTC)
    assert is_too_old(source(live_from=begin), moment) == is_old
    assert not is_too_old(source(), moment)
    assert not is_too_old(None, moment)


def test_an_observed_source_counts_what_would_become_of_its_rows() -> None:
    """Out: a case of `_outcome`; the values and verbs of the sender would stand in the counts."""
    rows = [
        record(),
        record(timestamp="2126-09-01T00:00:00Z"),
        record(timestamp="secret"),
        record(type="secret"),
        {"record_id": "r1", "withdrawn": True, "timestamp": "2026-09-01T00:00:00Z"},
        record(data={"student_id": "ann", "secret": 1}),
        7,
    ]
    counts = observed(rows, parse_row, {}, NOW)
    assert counts[OBSERVED] == len(rows)
    assert counts["outcome: error_record"] == 1
    assert counts["outcome: withdrawal"] == 1
    set_aside = {name: n for name, n in counts.items() if name.startswith("outcome: set aside")}
    assert sum(set_aside.values()) == 5
    assert "secret" not in str(counts)


def test_only_the_first_rows_of_a_day_are_observed() -> None:
    """Out: the comparison with MOST_OBSERVED."""
    stored = {OBSERVED: str(MOST_OBSERVED - 2)}
    counts = observed([record()] * 5, parse_row, stored, NOW)
    assert counts[OBSERVED] == 2


@pytest.mark.parametrize(
    ("zone", "now", "day"),
    [
        (None, "2026-09-21T23:30:00+00:00", date(2026, 9, 21)),
        # The school has the next day already, or still the day before.
        ("Asia/Shanghai", "2026-09-21T23:30:00+00:00", date(2026, 9, 22)),
        ("America/Santiago", "2026-09-22T01:30:00+00:00", date(2026, 9, 21)),
        # A batch of the last second of a day that is 25 hours long.
        ("Europe/Berlin", "2026-10-25T22:59:59+00:00", date(2026, 10, 25)),
    ],
)
def test_texts_count_on_the_day_of_their_source(zone: str | None, now: str, day: date) -> None:
    """Out: `time_zone` in `texts_to_analyse`."""
    given = source().model_copy(
        update={"time_zone": zone, "live_texts_a_day": 7, "live_share_percent": 30}
    )
    found = texts_to_analyse(given, datetime.fromisoformat(now))
    assert found == LiveTexts(most=7, day=day, share_percent=30)


@pytest.mark.parametrize(
    "settings", [{}, {"live_texts_a_day": None}, {"live_texts_a_day": 7, "analyse": False}]
)
def test_texts_are_analysed_only_if_the_source_says_so(settings: dict[str, Any]) -> None:
    """Out: each condition in `texts_to_analyse`."""
    assert texts_to_analyse(source().model_copy(update=settings), NOW) is None
    assert texts_to_analyse(None, NOW) is None
