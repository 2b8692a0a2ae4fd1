"""Whole rosters: who is in a class after each of them, as the version rule has it, is who the roster names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.records import Record, parse_row
from edugraph_common.contracts.school_records import MembershipRecord
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.oneroster import Roster
from edugraph_common.sources.roster_snapshots import end_absent

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
ENROLLMENTS = ("e1", "e2", "e3", "e4")
DATES: dict[str, dict[str, str]] = {
    "e1": {},
    "e2": {"starts": "2026-02-01T00:00:00+00:00"},
    "e3": {"starts": "2026-03-02T12:00:00+00:00"},
    "e4": {"ends": "2026-03-03T12:00:00+00:00"},
}


def seat(enrollment: str, at: str = "2026-01-01T00:00:00+00:00") -> dict[str, Any]:
    """As the platform exports it: its time is that of the last change of the enrollment, however often it comes."""
    data = {"group_id": "k", "student_id": f"student of {enrollment}", **DATES[enrollment]}
    return {"type": "membership_record", "timestamp": at, "record_id": enrollment, "data": data}


def read(records: list[dict[str, Any]]) -> list[Record]:
    return [row for record in records if isinstance(row := parse_row(record), Record)]


def members(files: list[list[dict[str, Any]]], moment: datetime) -> set[str]:
    """Who is in the class at a moment: of each membership, the latest version is the record."""
    latest: dict[str, Record] = {}
    for record in (each for records in files for each in read(records)):
        other = latest.get(record.record_id)
        if other is None or (other.time, other.content_hash) < (record.time, record.content_hash):
            latest[record.record_id] = record
    seats = [
        (name, record.data)
        for name, record in latest.items()
        if isinstance(record.data, MembershipRecord)
    ]
    return {
        name
        for name, data in seats
        if (data.starts is None or data.starts <= moment)
        and (data.ends is None or data.ends > moment)
    }


@given(st.lists(st.sets(st.sampled_from(ENROLLMENTS), min_size=1), min_size=2, max_size=6))
def test_whoever_the_last_roster_does_not_name_has_left_and_may_come_back(
    rosters: list[set[str]],
) -> None:
    """Out: the time of the snapshot for all records (who comes back stays out); what begins later is not kept."""
    files = [[seat(name) for name in sorted(rosters[0])]]
    for day, named in enumerate(rosters[1:], start=1):
        at = FIRST + timedelta(days=day)
        roster = Roster([seat(name) for name in sorted(named)])
        end_absent(roster, read(files[-1]), at)
        files.append(roster.records)
        begun = {name for name, dates in DATES.items() if dates.get("starts", "") <= at.isoformat()}
        over = {name for name, dates in DATES.items() if dates.get("ends", "9") <= at.isoformat()}
        assert members(files, at) == (named & begun) - over
        assert members(files[::-1], at) == members(files, at)


def test_each_membership_is_counted_by_what_became_of_it() -> None:
    last = read([seat(name) for name in ENROLLMENTS])
    roster = Roster([seat("e1"), {"timestamp": "2026-01-01", "record_id": "e2", "withdrawn": True}])
    counts = end_absent(roster, last, FIRST + timedelta(days=1))
    assert counts == {"still named": 1, "ended now": 1, "over before": 0, "begin later, kept": 1}
    [gone] = [each for each in roster.records if each.get("withdrawn")]
    assert gone["record_id"] == "e2"
    assert end_absent(Roster([seat("e1")]), last, FIRST + timedelta(days=9))["over before"] == 1


def test_the_end_counts_though_the_platform_dates_its_enrollments_later() -> None:
    """Out: `at` alone as the time of the new versions."""
    late = (FIRST + timedelta(hours=5)).isoformat()
    last = [seat("e1", late), seat("e2", late)]
    roster = Roster([seat("e1")])
    end_absent(roster, read(last), FIRST)
    assert members([last, roster.records], FIRST + timedelta(days=1)) == {"e1"}


def test_a_list_ends_nothing_of_another_list() -> None:
    """Out: `source_of` in `end_absent`."""
    here, there = (
        seat(name) | {"record_id": f"{of}:{name}"} for name, of in (("e1", "here"), ("e1", "there"))
    )
    other = seat("e2") | {"record_id": "here:e2"}
    roster = Roster([seat("e2") | {"record_id": "there:e2"}])
    counts = end_absent(roster, read([here, there, other, seat("e4")]), FIRST, "there")
    assert counts == {"still named": 0, "ended now": 1, "over before": 0, "begin later, kept": 0}
    assert {row["record_id"] for row in roster.records} == {"there:e1", "there:e2"}
    for source, words in (("nowhere", "of the source nowhere"), (None, "without --source")):
        with pytest.raises(MalformedFile, match=words):
            end_absent(Roster([seat("e1")]), read([here, there]), FIRST, source)


def test_what_would_end_everything_is_refused_in_a_sentence() -> None:
    with pytest.raises(MalformedFile, match="names nobody"):
        end_absent(Roster([]), read([seat("e1")]), FIRST)
    with pytest.raises(MalformedFile, match="has no memberships"):
        end_absent(Roster([seat("e1")]), [], FIRST)
