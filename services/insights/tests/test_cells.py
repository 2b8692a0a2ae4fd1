"""The rows and totals of cells: which of them are shown, from which week, and what is hidden."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from edugraph_insights.answers import Count, Found, Measured, Name, Row, number_of
from edugraph_insights.cell_noise import CellNoise
from edugraph_insights.cells import HIDDEN_ROWS, HIDDEN_TOTALS, CellsOfQuestion, Published
from edugraph_insights.closed_weeks import MOST_WEEKS_BACK, NoState
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, Question

WEEK = timedelta(weeks=1)
# The last moment of a Sunday, of the week with number 0.
FIRST_END = datetime(2025, 9, 7, 23, 59, 59, 999999, tzinfo=UTC)
ALL = [f"s{number:02}" for number in range(40)]
ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
NOISE = CellNoise("of the tests alone")


class Line(Row):
    identity: ClassVar[tuple[str, ...]] = ("name",)

    name: Name
    week: Name
    students: Count


@dataclass
class Weeks:
    """A graph and a question about it: the students of the cell in each week. One has a record in each week."""

    members: Sequence[Sequence[str]]
    quiet_weeks: int = 0
    is_total: bool = False

    def __post_init__(self) -> None:
        self.asked: list[int] = []

    def read(self, statement: str, **_: Any) -> list[dict[str, Any]]:
        raise AssertionError(statement)

    def read_by_student(
        self, statement: str, students: Sequence[str], **_: Any
    ) -> list[dict[str, Any]]:
        del statement
        rows = []
        for week in range(len(self.members)):
            rows.append({"student": students[0], "at": FIRST_END + week * WEEK - WEEK / 2})
        return rows

    def find(self, facts: Facts, asked: Parameters) -> Found[Line]:
        facts.graph.read_by_student(
            "attempts", facts.students, course=asked.course, until=facts.until.isoformat()
        )
        week = (facts.until - FIRST_END) // WEEK
        self.asked.append(week)
        members = self.members[min(week, len(self.members) - 1)]
        of = frozenset(members) & frozenset(facts.students)
        totals = {"students": of} if self.is_total and of else {}
        line = Line(name="a", week=str(week), students=len(of))
        row: Measured[Line] = Measured(line, of, {"students": number_of("tried", of)})
        rows = (row,) if of and not self.is_total else ()
        return Found(rows, dict(totals))

    def published(
        self,
        joined: dict[str, datetime] | None = None,
        others: tuple[dict[str, datetime], ...] = (),
    ) -> Published[Line]:
        question: Question[Any, Line] = Question(
            "travelling-weaknesses",
            "",
            "",
            Parameters,
            Line,
            self.find,
            lambda row: row.name,
            can_shrink=True,
        )
        joins = joined or dict.fromkeys(ALL, ALWAYS)
        until = FIRST_END + (len(self.members) - 1 + self.quiet_weeks) * WEEK
        facts = Facts(self, tuple(joins), None, until, in_cells=True, joined_cells=joins)
        asked = Parameters(course="C")
        return CellsOfQuestion(question, asked, facts, joins, others).published(NOISE)


def test_a_row_that_was_not_there_at_its_state_is_hidden() -> None:
    """Twelve students, then none, then nine of them. Out: take the row of the state without a look."""
    shown = Weeks([ALL[:12], ALL[:12], [], ALL[:9]]).published()
    assert (shown.rows, shown.left_out) == ((), {HIDDEN_ROWS[NoState.SMALL]: 1})


def test_a_total_that_was_not_there_at_its_state_is_hidden() -> None:
    """Out: take the total of the state without a look."""
    shown = Weeks([ALL[:12], ALL[:12], [], ALL[:9]], is_total=True).published()
    assert (shown.of_how_many, shown.left_out) == ({}, {HIDDEN_TOTALS[NoState.SMALL]: 1})


def test_a_cell_that_ten_students_did_not_move_for_long_is_hidden_and_costs_few_looks() -> None:
    """Out: look back over all weeks."""
    members = []
    for week in range(100):
        members.append(ALL[: min(40, 4 + 9 * week)])
    for is_total, names in ((False, HIDDEN_ROWS), (True, HIDDEN_TOTALS)):
        weeks = Weeks(members, is_total=is_total)
        shown = weeks.published()
        assert (shown.rows, shown.of_how_many) == ((), {})
        assert shown.left_out == {names[NoState.TOO_LONG_AGO]: 1}
        assert len(weeks.asked) == MOST_WEEKS_BACK + 1


def test_a_course_that_is_over_keeps_its_rows() -> None:
    """Out: count weeks without any record as weeks that are looked back."""
    weeks = Weeks([ALL[:12], ALL], quiet_weeks=2 * MOST_WEEKS_BACK)
    (row,) = weeks.published().rows
    assert row.week == "1"
    assert len(weeks.asked) <= 3


def test_two_courses_are_compared_at_the_state_of_a_row() -> None:
    """The courses differ by three students at the state, and by nobody today. Out: compare them today alone."""
    joined = dict.fromkeys(ALL, ALWAYS)
    for student in ALL[37:]:
        joined[student] = FIRST_END + WEEK / 2
    for is_total, names in ((False, HIDDEN_ROWS), (True, HIDDEN_TOTALS)):
        weeks = Weeks([ALL[:30], ALL[:31]], is_total=is_total)
        shown = weeks.published(joined, (dict.fromkeys(ALL, ALWAYS),))
        assert (shown.rows, shown.of_how_many) == ((), {})
        assert shown.left_out == {names[NoState.FEW_DIFFER]: 1}
        assert not weeks.published(joined, (joined,)).left_out
