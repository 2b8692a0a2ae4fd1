"""The week whose end a cell shows, against a walk that goes through all weeks one by one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.closed_weeks import (
    MOST_WEEKS_BACK,
    NoState,
    differing,
    end_of_closed_week,
    state_of,
    weeks_between,
)

STUDENTS = 24
# For each week, the students with new records.
histories = st.lists(st.frozensets(st.integers(0, STUDENTS - 1), max_size=14), max_size=24)


def data_of(history: list[frozenset[int]], until: int) -> dict[str, object]:
    """Return the number of records of each student at the end of a week."""
    found: dict[str, object] = {}
    for week in history[: until + 1]:
        for student in week:
            found[f"s{student}"] = int(str(found.get(f"s{student}", 0))) + 1
    return found


def walk(history: list[frozenset[int]]) -> int | NoState:
    """Return the state: the last week at which ten students had other records than at the state before."""
    state: int | NoState = NoState.SMALL
    changed: set[int] = set()
    for week, students in enumerate(history):
        changed |= students
        if len(changed) >= 10:
            state = week
            changed = set()
    return state


@given(histories)
def test_the_state_is_that_of_a_walk_through_all_weeks(history: list[frozenset[int]]) -> None:
    """To take the guard out: move on with nine students, or count each week by itself."""
    found = state_of(lambda week: data_of(history, week) if week >= 0 else {}, len(history))
    assert found == walk(history)


@given(histories)
def test_two_looks_differ_in_nobody_or_in_ten(history: list[frozenset[int]]) -> None:
    """In whichever weeks one looks."""
    states = []
    for weeks in range(1, len(history) + 1):
        state = state_of(lambda week: data_of(history, week) if week >= 0 else {}, weeks)
        states.append({} if isinstance(state, NoState) else data_of(history, state))
    for earlier in states:
        for later in states:
            differing = [s for s in earlier.keys() | later.keys() if earlier.get(s) != later.get(s)]
            assert not 0 < len(differing) < 10


def test_a_cell_of_a_running_course_is_computed_twice() -> None:
    """The cost does not grow with the weeks. Out: look at the first week first."""
    asked = set()

    def data(week: int) -> dict[str, object]:
        asked.add(week)
        return {f"s{student}": week for student in range(STUDENTS)} if week >= 0 else {}

    assert state_of(data, 200) == 199
    assert asked == {198, 199}


@given(histories, st.integers(1, 8))
def test_a_state_far_back_is_hidden_and_the_others_stay_what_they_are(
    history: list[frozenset[int]], most: int
) -> None:
    """Out: begin the walk at the first week that is looked at."""
    found = state_of(
        lambda week: data_of(history, week) if week >= 0 else {}, len(history), most_weeks_back=most
    )
    has_beginning = len(history) <= most or any(len(week) >= 10 for week in history[-most:])
    if has_beginning:
        assert found == walk(history)
    else:
        is_small = len(data_of(history, len(history) - 1)) < 10
        assert found == (NoState.SMALL if is_small else NoState.TOO_LONG_AGO)


def test_few_active_students_a_week_do_not_cost_a_look_at_each_week() -> None:
    """Out: look back over all weeks, which are 150 looks here."""
    asked = set()

    def data(week: int) -> dict[str, object]:
        asked.add(week)
        return {f"s{student}": (week + 24 - student) // 3 for student in range(STUDENTS)}

    assert len(differing(data(148), data(149))) < 10
    assert state_of(data, 150) is NoState.TOO_LONG_AGO
    assert len(asked) == MOST_WEEKS_BACK + 1


@given(histories)
def test_data_that_shrink_are_looked_at_in_each_week(history: list[frozenset[int]]) -> None:
    """A week holds the students of the cell. Out: leave `can_shrink` out, as 12, 0, 9 students then show."""
    members = [dict.fromkeys((f"s{student}" for student in week), 1) for week in history]
    state: int | NoState = NoState.SMALL
    before: dict[str, int] = {}
    changed: set[str] = set()
    for week, now in enumerate(members):
        changed |= differing(before, now)
        before = now
        if len(changed) >= 10:
            state = week
            changed = set()
    found = state_of(lambda week: members[week] if week >= 0 else {}, len(members), can_shrink=True)
    assert found == state


def test_a_change_between_two_equal_weeks_is_not_overlooked() -> None:
    """Twelve students, then nobody, then the same nine as before. Out: `can_shrink`."""
    twelve = dict.fromkeys("abcdefghijkl", 1)
    nine = dict.fromkeys("abcdefghi", 1)
    members: list[dict[str, int]] = [nine, nine | twelve, {}, nine, nine, nine]
    assert state_of(lambda w: members[w] if w >= 0 else {}, len(members), can_shrink=True) == 2


def test_a_cell_that_moved_long_ago_is_found_in_few_steps() -> None:
    asked = set()

    def data(week: int) -> dict[str, object]:
        asked.add(week)
        return {f"s{student}": 1 for student in range(STUDENTS)} if week >= 180 else {}

    assert state_of(data, 200) == 180
    assert len(asked) < 12


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (datetime(2026, 3, 2, 0, 0, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 3, 8, 23, 59, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 3, 9, 0, 0, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)),
    ],
)
def test_a_week_is_closed_when_its_sunday_is_over(now: datetime, end: datetime) -> None:
    assert end_of_closed_week(now, UTC) == end - timedelta(microseconds=1)


def test_weeks_are_counted_with_those_of_both_ends() -> None:
    end = datetime(2026, 3, 16, tzinfo=UTC) - timedelta(microseconds=1)
    assert weeks_between(datetime(2026, 3, 2, tzinfo=UTC), end, UTC) == 2
    assert weeks_between(datetime(2026, 3, 1, tzinfo=UTC), end, UTC) == 3
    assert weeks_between(end + timedelta(days=9), end, UTC) == 1
