"""Who rose or fell since last week?"""

from statistics import fmean
from typing import Annotated, NamedTuple

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import OfSeveral, Question
from edugraph_insights.school_days import WEEK

# First attempts in each of the two weeks, so that the change is not that of a single answer.
ENOUGH_ATTEMPTS = 3
CLEAR_CHANGE = 0.2
STATES = ("fell", "rose", "about the same")
PersonalShare = Annotated[float, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]


class Change(Row):
    """One student. `right_now` is of the last seven days, `right_before` of the seven days before.

    `difference` is the change of the student less `class_change`, the mean change of all students of the answer.
    """

    student: Annotated[str, Mark.PERSONAL]
    student_name: Annotated[str | None, Mark.PERSONAL]
    state: Annotated[str, Mark.PERSONAL]
    right_before: PersonalShare
    right_now: PersonalShare
    attempts_before: Number
    attempts_now: Number
    class_change: PersonalShare
    difference: PersonalShare
    evidence: Evidence = None


class Weeks(NamedTuple):
    """The outcomes of a student's first attempts in the last seven days and in the seven days before."""

    now: list[float]
    before: list[float]

    @property
    def are_enough(self) -> bool:
        return min(len(self.now), len(self.before)) >= ENOUGH_ATTEMPTS

    @property
    def change(self) -> float:
        return fmean(self.now) - fmean(self.before)


def find(facts: Facts, asked: OfSeveral) -> Found[Change]:
    week_ago = facts.until - WEEK
    two_weeks_ago = week_ago - WEEK
    weeks: dict[str, Weeks] = {}
    for attempt in facts.first_attempts(asked.course):
        if attempt.at <= two_weeks_ago:
            continue
        of_student = weeks.setdefault(attempt.student, Weeks([], []))
        outcomes = of_student.before
        if attempt.at > week_ago:
            outcomes = of_student.now
        outcomes.append(attempt.outcome / 1000)

    enough = {student: each for student, each in weeks.items() if each.are_enough}
    class_change = 0.0
    if enough:
        class_change = fmean(each.change for each in enough.values())
    names = facts.names()
    since = two_weeks_ago
    if facts.since is not None:
        since = max(since, facts.since)
    rows = []
    for student, of_student in enough.items():
        difference = of_student.change - class_change
        about = asked.model_copy(update={"student": student, "since": since})
        row = Change(
            student=student,
            student_name=names.get(student),
            state=_state(difference),
            right_before=fmean(of_student.before),
            right_now=fmean(of_student.now),
            attempts_before=len(of_student.before),
            attempts_now=len(of_student.now),
            class_change=class_change,
            difference=difference,
            evidence=about.records(),
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(weeks),
        },
        left_out={"students with too few first attempts": len(weeks) - len(enough)},
    )


def _state(difference: float) -> str:
    # Shares are sums of thousandths, so a change of exactly 0.2 may be a little less.
    rounded = round(difference, 9)
    if rounded >= CLEAR_CHANGE:
        return "rose"
    if rounded <= -CLEAR_CHANGE:
        return "fell"
    return "about the same"


QUESTION = Question(
    name="changes",
    title="Who rose or fell since last week?",
    computed_by="For each student with 3 first attempts or more in the last seven days and in the seven days before: "
    "the mean outcome now less that before, less the mean of this change over all these students, so that a hard "
    "week lets nobody fall. Rose: 0.2 or more. Fell: -0.2 or less. The days end with the period of the question.",
    parameters=OfSeveral,
    row=Change,
    find=find,
    order=lambda row: (STATES.index(row.state), -abs(row.difference), row.student),
    quotes=True,
)
