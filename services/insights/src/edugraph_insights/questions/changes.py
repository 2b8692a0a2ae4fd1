"""Who rose or fell since last week?"""

from datetime import timedelta
from statistics import fmean
from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import DatedTerm, Facts
from edugraph_insights.questions.question import OfSeveral, Question
from edugraph_insights.school_days import WEEK
from edugraph_insights.tries import NO_TRIES

# First attempts in each of the two weeks, so that the change is not that of a single answer.
ENOUGH_ATTEMPTS = 3
CLEAR_CHANGE = 0.2
# The ids of the last seven days, and of the seven days before.
NOW = "now"
BEFORE = "before"
_MOMENT = timedelta(microseconds=1)
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


def find(facts: Facts, asked: OfSeveral) -> Found[Change]:
    week_ago = facts.until - WEEK
    two_weeks_ago = week_ago - WEEK
    # A week begins after its first moment and has its last one, and a term the other way round.
    first_moment = two_weeks_ago + _MOMENT
    middle = week_ago + _MOMENT
    end = facts.until + _MOMENT
    week_before = DatedTerm(BEFORE, "", first_moment, middle)
    this_week = DatedTerm(NOW, "", middle, end)
    tries = facts.tries_of_terms(asked.course, [week_before, this_week])
    before = tries.of_terms.get(BEFORE, NO_TRIES).by_student()
    now = tries.of_terms.get(NOW, NO_TRIES).by_student()
    changes: dict[str, float] = {}
    for student in sorted(before.keys() & now.keys()):
        tries_before = before[student]
        tries_now = now[student]
        least = min(tries_before.number, tries_now.number)
        if least >= ENOUGH_ATTEMPTS:
            changes[student] = tries_now.right - tries_before.right
    class_change = 0.0
    if changes:
        class_change = fmean(changes.values())
    names = facts.names()
    since = two_weeks_ago
    if facts.since is not None:
        since = max(since, facts.since)
    rows = []
    for student, change in changes.items():
        tries_before = before[student]
        tries_now = now[student]
        difference = change - class_change
        about = asked.model_copy(update={"student": student, "since": since})
        row = Change(
            student=student,
            student_name=names.get(student),
            state=_state(difference),
            right_before=tries_before.right,
            right_now=tries_now.right,
            attempts_before=tries_before.number,
            attempts_now=tries_now.number,
            class_change=class_change,
            difference=difference,
            evidence=about.records(),
        )
        rows.append(Measured(row, frozenset({student})))
    students = frozenset(before) | frozenset(now)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": students,
        },
        left_out={"students with too few first attempts": len(students) - len(changes)},
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
