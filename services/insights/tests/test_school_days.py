"""Days of a school by the clocks of its time zone. The reference asks the clocks hour by hour."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from edugraph_insights.facts import Facts
from edugraph_insights.main import main
from edugraph_insights.queries.answers import Search
from edugraph_insights.questions.question import Parameters
from edugraph_insights.school_days import (
    SchoolDays,
    Term,
    beginning_of,
    day_of,
    end_of,
    monday,
)
from edugraph_insights.settings import InsightsSettings

from .said_graph import SaidGraph

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
# Half hours, three quarters of an hour, half an hour of summer time, clocks that change at midnight, both sides of the
# date line, and a zone that skipped a day.
ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Los_Angeles",
    "America/St_Johns",
    "America/Santiago",
    "America/Havana",
    "America/Nuuk",
    "Africa/Cairo",
    "Asia/Beirut",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Pacific/Apia",
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
EARLIEST = datetime(2012, 1, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
moments = st.timedeltas(timedelta(), DAY * 9_400).map(lambda passed: EARLIEST + passed)
in_march = st.timedeltas(timedelta(), DAY * 8).map(lambda passed: MARCH + passed)


@given(moments, st.sampled_from(sorted(available_timezones())).map(ZoneInfo))
def test_each_moment_lies_in_its_day_and_days_follow_each_other(
    moment: datetime, zone: ZoneInfo
) -> None:
    """Out, each alone: `fold` in `end_of`; the time zone in `day_of`."""
    day = day_of(moment, zone)
    assert day == moment.astimezone(zone).date()
    assert beginning_of(day, zone) <= moment <= end_of(day, zone)
    assert day_of(beginning_of(day, zone), zone) == day == day_of(end_of(day, zone), zone)
    assert end_of(day, zone) + MICROSECOND == beginning_of(day + DAY, zone)


@pytest.mark.parametrize(
    ("zone", "day", "begins", "ends"),
    [
        # Clocks go from 24:00 back to 23:00, so the last hour of the day comes twice.
        ("America/Santiago", "2026-04-04", "2026-04-04T03:00", "2026-04-05T04:00"),
        # Clocks go from 24:00 on to 01:00, so the day has no midnight.
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00", "2026-09-07T03:00"),
        # Clocks go from 01:00 back to 00:00, so midnight comes twice.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00", "2026-11-02T05:00"),
        # Clocks go from 23:00 on to 24:00, so the day has no last hour.
        ("America/Nuuk", "2026-03-28", "2026-03-28T02:00", "2026-03-29T01:00"),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", "2026-04-05T13:30"),
        ("Asia/Kathmandu", "2026-03-02", "2026-03-01T18:15", "2026-03-02T18:15"),
        ("Pacific/Kiritimati", "2026-03-02", "2026-03-01T10:00", "2026-03-02T10:00"),
        ("Pacific/Pago_Pago", "2026-03-02", "2026-03-02T11:00", "2026-03-03T11:00"),
        # Samoa crossed the date line, and this day never was.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", "2011-12-30T10:00"),
    ],
)
def test_a_day_has_the_hours_that_its_clocks_show(
    zone: str, day: str, begins: str, ends: str
) -> None:
    of_zone = ZoneInfo(zone)
    first = datetime.fromisoformat(f"{begins}Z")
    after = datetime.fromisoformat(f"{ends}Z")
    assert beginning_of(date.fromisoformat(day), of_zone) == first
    assert end_of(date.fromisoformat(day), of_zone) == after - MICROSECOND


@given(zones)
def test_the_first_and_the_last_moment_have_a_day(zone: ZoneInfo) -> None:
    """Out, each alone: both `except OverflowError`."""
    assert day_of(datetime.min.replace(tzinfo=UTC), zone) == date.min
    assert day_of(datetime.max.replace(tzinfo=UTC), zone) == date.max
    assert beginning_of(date.min, zone) < end_of(date.max, zone)


@given(moments, zones)
def test_weeks_begin_on_the_mondays_of_the_school(moment: datetime, zone: ZoneInfo) -> None:
    begins = monday(moment, zone)
    assert begins.isoweekday() == 1
    assert 0 <= (moment.astimezone(zone).date() - begins).days < 7
    asked = Parameters.model_validate({"course": "C"}).in_week(begins, zone)
    assert asked.since is not None
    assert asked.until is not None
    assert asked.since <= moment <= asked.until
    assert monday(asked.since, zone) == monday(asked.until, zone) == begins
    assert monday(asked.until + MICROSECOND, zone) == begins + 7 * DAY


@given(moments, zones, st.integers(0, 200), st.integers(0, 200))
def test_weeks_of_a_term_are_counted_by_the_clocks_of_the_school(
    starts: datetime, zone: ZoneInfo, days: int, minutes: int
) -> None:
    moment = starts + timedelta(days=days, minutes=minutes)
    first = starts.astimezone(zone)
    later = moment.astimezone(zone)
    weeks = (later.date() - timedelta(later.weekday())) - (
        first.date() - timedelta(first.weekday())
    )
    assert Term(starts).week_of(moment, zone) == weeks.days // 7 + 1


@given(zones, st.dates(date(2013, 1, 1), date(2030, 1, 1)), st.integers(1, 60), st.integers(0, 80))
def test_school_days_are_counted_by_the_clocks_of_the_school(
    zone: ZoneInfo, first: date, length: int, ago: int
) -> None:
    """A term that was given as whole days of the school has just these days."""
    last = first + DAY * length
    term = Term(beginning_of(first, zone), beginning_of(last, zone))
    before = last + DAY * 5
    day = before - DAY * ago
    expected = 0
    for number in range(1, ago):
        each = day + DAY * number
        expected += first <= each < last and each.isoweekday() <= 5
    assert SchoolDays((term,), before, zone).since(day) == expected


@example(datetime(2026, 4, 4, 23, 30, tzinfo=UTC), "America/Santiago")  # comes twice there
@given(moments, st.sampled_from(ZONES))
def test_a_time_without_a_zone_is_one_of_the_school(moment: datetime, zone: str) -> None:
    """Out, each alone: `in_utc` of `since` and of `until`; `_second`."""
    wall = moment.replace(tzinfo=None)
    given_as = {"course": "C", "from": wall.isoformat(), "to": wall.isoformat()}
    for kind, more in ((Parameters, {}), (Search, {"label": "Student"})):
        asked: Any = kind.model_validate({**given_as, **more}).in_zone(ZoneInfo(zone))
        assert asked.since == wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert asked.until == wall.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)
        assert asked.since.tzinfo is asked.until.tzinfo is UTC
    with_zone = Parameters.model_validate({"course": "C", "from": moment, "to": moment})
    assert with_zone.in_zone(ZoneInfo(zone)).until == moment


@given(st.dates(date(2012, 1, 1), date(2037, 1, 1)), zones)
def test_a_day_as_a_limit_is_the_whole_day_of_the_school(day: date, zone: ZoneInfo) -> None:
    asked = Parameters.model_validate(
        {"course": "C", "from": day.isoformat(), "to": day.isoformat()}
    )
    of_day = asked.in_zone(zone)
    assert of_day.since == beginning_of(day, zone)
    assert of_day.until == end_of(day, zone)


@given(st.lists(in_march), in_march, zones)
def test_the_last_activity_is_the_last_minute_until_the_end_of_the_period(
    active: list[datetime], until: datetime, zone: ZoneInfo
) -> None:
    """The graph has the minutes by days in UTC. Out, each alone: the mask of `_last_minute`; the second day."""
    days: dict[date, list[int]] = {}
    for each in active:
        hours = days.setdefault(each.date(), [0] * 24)
        hours[each.hour] |= 1 << each.minute
    shown = sorted((day for day in days if day <= until.date()), reverse=True)[:2]
    rows = [{"date": day.isoformat(), "hours": days[day]} for day in shown]
    graph = SaidGraph(last_activity=[{"student": "s", "at": None, "days": rows}])
    found = Facts(graph, ("s",), None, until, zone=zone).last_activity("C")
    in_time = [each.replace(second=0, microsecond=0) for each in active]
    in_time = [each for each in in_time if each <= until]
    expected = {"s": max(in_time).astimezone(zone).date()} if in_time else {}
    assert found == expected


@pytest.mark.parametrize("name", ["Mars/Phobos", "", "../etc/passwd", "Asia", "+08:00", "\0"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="school_time_zone"):
        InsightsSettings(
            redis_url="redis://localhost", neo4j_uri="bolt://localhost", school_time_zone=name
        )


def test_a_wrong_setting_ends_the_start_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentence does not show what was set. Out: `include_input`, or the whole `except`."""
    monkeypatch.setenv("EDUGRAPH_REDIS_URL", "redis://localhost")
    monkeypatch.setenv("EDUGRAPH_NEO4J_URI", "bolt://localhost")
    monkeypatch.setenv("EDUGRAPH_SCHOOL_TIME_ZONE", "Mars/Phobos")
    with pytest.raises(SystemExit) as ended:
        main()
    said = "EDUGRAPH_SCHOOL_TIME_ZONE is not the name of a time zone, such as Asia/Shanghai"
    assert ended.value.code == said


def test_a_setting_that_is_not_json_ends_the_start_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Out: `SettingsError` in `settings_or_exit`. Its traceback would show the value."""
    monkeypatch.setenv("EDUGRAPH_HELP_THRESHOLDS", "{secret")
    with pytest.raises(SystemExit) as ended:
        main()
    said = str(ended.value)
    assert "help_thresholds" in said
    assert "secret" not in said
    assert "\n" not in said
