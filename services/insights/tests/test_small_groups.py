"""What an analyst may see: nothing of a small group, and nothing of one by the difference of two numbers."""

from datetime import date, timedelta
from itertools import combinations
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.answers import (
    Count,
    Difference,
    Evidence,
    Found,
    Mark,
    Measured,
    Name,
    Row,
    Share,
)
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.small_groups import entered, publish

DAY = date(2026, 3, 2)


class Cell(Row):
    name: Name
    share: Share
    difference: Difference
    students: Count
    quotes: Annotated[tuple[str, ...], Mark.PERSONAL] = ("a student's words",)
    evidence: Evidence = "/v1/insights/records"


# Groups that overlap: of 40 students, those from one number to another.
bounds = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted)
groups = bounds.map(lambda ends: frozenset(f"s{number}" for number in range(*ends)))


@st.composite
def answers(draw: st.DrawFn) -> Found[Cell]:
    rows = []
    for number in range(draw(st.integers(0, 8))):
        students = draw(groups)
        part = frozenset(sorted(students)[: draw(st.integers(0, 40))])
        cell = Cell(
            name=f"P{number}",
            share=draw(st.none() | st.floats(0, 1)),
            difference=draw(st.none() | st.floats(-1, 1)),
            students=len(students),
        )
        rows.append(Measured(cell, students, (part,) if draw(st.booleans()) else ()))
    return Found(
        tuple(rows),
        {"students": draw(groups), "with attempts": draw(groups), "attempts": 17},
        {"gone": 3},
    )


@given(answers())
def test_nothing_published_is_about_one_to_nine_students(found: Found[Cell]) -> None:
    """Neither a row, nor a part of one, nor a total, nor who is in one of them and not in another.

    To take the guard out: let `fit` not look at the differences, or at the parts.
    """
    shown = publish(found)
    published = [group for row in shown.rows for group in (row.students, *row.parts)]
    totals = [found.of_how_many[name] for name in shown.of_how_many]
    published += [total for total in totals if isinstance(total, frozenset)]
    for group in published:
        assert len(group) == 0 or len(group) >= 10
    for one, other in combinations(published, 2):
        for difference in (one - other, other - one):
            assert len(difference) == 0 or len(difference) >= 10


@given(answers())
def test_what_is_published_is_coarse_and_quotes_nobody(found: Found[Cell]) -> None:
    """To take the guard out: let `without_detail` pass one mark over."""
    shown = publish(found)
    for each in shown.rows:
        row = each.row
        assert row.quotes == ()
        assert row.evidence is None
        assert row.students % 5 == 0
        assert abs(row.students - len(each.students)) <= 2
        assert row.share is None or 0.05 <= row.share <= 0.95
        assert row.difference is None or -0.9 <= row.difference <= 0.9
    assert all(isinstance(total, int) and total % 5 == 0 for total in shown.of_how_many.values())
    assert len(shown.rows) + shown.left_out.get("rows of small groups", 0) == len(found.rows)


@given(answers(), st.randoms(use_true_random=False))
def test_the_same_rows_are_published_in_whatever_order_they_are_found(
    found: Found[Cell], random
) -> None:
    """Otherwise asking again would publish other cells, and their differences."""
    shuffled = list(found.rows)
    random.shuffle(shuffled)
    again = Found(tuple(shuffled), dict(reversed(found.of_how_many.items())), found.left_out)
    assert publish(again) == publish(found)


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=12), st.data())
def test_between_any_two_days_ten_or_more_enter_or_nobody(
    weeks: list[list[int]], data: st.DataObject
) -> None:
    """Each week has some days on which so many join, and on each day the answer is asked before and after midnight.

    To take the guard out: let everybody enter at once, or let those of today enter.
    """
    joined: dict[str, date] = {}
    shown: list[frozenset[str]] = []
    for week, days in enumerate(weeks):
        for day, number in enumerate(days):
            today = DAY + timedelta(weeks=week, days=day)
            for half in (number // 2, number - number // 2):  # more may come while the day lasts
                # Ids say nothing of the time: who comes later may stand anywhere in their order.
                ids = data.draw(st.lists(st.integers(0, 10**6), min_size=half, max_size=half))
                joined |= {f"{n}-{len(joined) + place}": today for place, n in enumerate(ids)}
                shown.append(frozenset(entered(joined, today)))
            shown.append(frozenset(entered(joined, today + timedelta(days=1))))
    for earlier, later in combinations(shown, 2):
        assert earlier <= later
        assert not 0 < len(later - earlier) < 10
    assert len(joined) - len(shown[-1] if shown else ()) < 10, "no more than nine wait"


@given(st.integers(10, 30))
def test_a_whole_class_is_published(n: int) -> None:
    """The rule withholds what is small, not everything."""
    students = frozenset(map(str, range(n)))
    cell = Cell(name="P", share=0.5, difference=0.1, students=n)
    shown = publish(Found((Measured(cell, students),), {"students": students}))
    assert [each.row.share for each in shown.rows] == [0.5]
    assert shown.of_how_many == {"students": 5 * round(n / 5)}


def of(first: int, end: int) -> frozenset[str]:
    return frozenset(f"s{number:02}" for number in range(first, end))


def test_of_totals_that_tell_of_each_other_the_largest_is_published_and_of_equal_ones_the_first_by_name() -> (
    None
):
    """In whatever order they are found; a count and a total of nobody tell of nobody, and stand beside any other."""
    totals: dict[str, frozenset[str] | int] = {
        "students": of(1, 21), "late": of(0, 20), "in time": of(0, 15), "answers": 17, "nobody": of(0, 0),
    }  # fmt: skip
    shown = publish(Found((), totals, {"gone": 3, "a single one": 1}))
    assert shown.of_how_many == {"late": 20, "answers": 15, "nobody": 0}
    assert shown.left_out == {"gone": 5, "totals of small groups": 2}


def test_of_rows_that_tell_of_each_other_the_largest_is_published_and_nine_students_are_too_few() -> (
    None
):
    cells = {
        "a": of(0, 15),
        "b": of(0, 20),
        "c": of(1, 21),
        "d": of(30, 39),
        "e": of(0, 0),
        "f": of(0, 10),
    }
    rows = tuple(
        Measured(Cell(name=name, share=0.5, difference=0, students=len(who)), who)
        for name, who in cells.items()
    )
    shown = publish(Found(rows, {}))
    assert [each.row.name for each in shown.rows] == ["b", "f", "e"]
    assert shown.left_out == {"rows of small groups": 3}


@pytest.mark.parametrize(("part", "shown"), [(9, 0), (10, 1), (15, 1), (16, 0), (25, 1), (0, 1)])
def test_a_row_whose_part_is_small_or_nearly_all_is_left_out(part: int, shown: int) -> None:
    """To take the guard out: let `fit` not look at the differences among the groups of one row."""
    cell = Cell(name="P", share=0.5, difference=0, students=25)
    assert len(publish(Found((Measured(cell, of(0, 25), (of(0, part),)),), {})).rows) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, 0.05), (0.06, 0.06), (0.123, 0.12), (0.949, 0.95), (0.94, 0.94), (1, 0.95), (None, None)],
)
def test_a_share_is_shown_in_hundredths_from_5_to_95(
    share: float | None, shown: float | None
) -> None:
    cell = Cell(name="P", share=share, difference=None, students=12)
    [row] = publish(Found((Measured(cell, of(0, 12)),), {})).rows
    assert (row.row.share, row.row.difference) == (shown, None)


@pytest.mark.parametrize(
    ("exact", "shown"), [(-1, -0.9), (-0.89, -0.89), (0.127, 0.13), (0.89, 0.89), (1, 0.9)]
)
def test_a_difference_is_shown_in_hundredths_up_to_90(exact: float, shown: float) -> None:
    cell = Cell(name="P", share=None, difference=exact, students=12)
    [row] = publish(Found((Measured(cell, of(0, 12)),), {})).rows
    assert (row.row.difference, row.row.share) == (shown, None)


@pytest.mark.parametrize(
    ("joined", "inside"),
    [((9,), 0), ((9, 1), 10), ((10,), 10), ((12,), 12), ((4, 5, 3, 9), 12), ((11, 12), 23)],
)
def test_all_who_wait_enter_together_when_a_day_is_over_on_which_ten_wait(
    joined: tuple[int, ...], inside: int
) -> None:
    """Ids stand in the opposite order of days."""
    days = {
        f"s{90 - 20 * day + number:02}": DAY + timedelta(days=day)
        for day, students in enumerate(joined)
        for number in range(students)
    }
    first = sorted(days, key=lambda student: days[student])[:inside]
    assert entered(days, DAY + timedelta(days=len(joined))) == tuple(sorted(first))


def test_a_field_without_a_mark_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="no mark"):

        class Forgotten(Row):
            name: Name
            students: int


def test_no_row_names_a_student_but_by_a_personal_mark() -> None:
    """Of all questions: what is called for a person, a record or a text has the mark that an analyst never sees."""
    telling = ("student", "record", "text", "question", "wrong_answers", "evidence", "at", "last")
    for question in QUESTIONS.values():
        for name in question.row.model_fields:
            if name in telling:
                assert question.row.mark_of(name) is Mark.PERSONAL, (question.name, name)
