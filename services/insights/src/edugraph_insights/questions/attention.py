"""Question 12: does attention go where it is needed?"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, Question

HOUR = timedelta(hours=1)


class Attention(Row):
    """One student: the number of mistakes, and of mistakes after which no teacher wrote. No teacher is named."""

    student: Annotated[str, Mark.PERSONAL]
    mistakes: Annotated[int, Mark.PERSONAL]
    unanswered: Annotated[int, Mark.PERSONAL]
    first_unanswered: Annotated[datetime | None, Mark.PERSONAL]
    median_hours_to_contact: Annotated[float | None, Mark.PERSONAL]
    evidence: Evidence = None


def find(facts: Facts, asked: Parameters) -> Found[Attention]:
    # Student -> record -> time of the mistake
    made: dict[str, dict[str, datetime]] = defaultdict(dict)
    for mistake in facts.mistakes(asked.course):
        made[mistake["student"]][mistake["record"]] = mistake["at"]
    contacts = facts.contacts(asked.course)
    rows = []
    for student, mistakes in made.items():
        waits: list[tuple[timedelta, bool]] = []
        unanswered: list[datetime] = []
        for at in sorted(mistakes.values()):
            answer = min(
                (contact for contact in contacts.get(student, ()) if contact > at), default=None
            )
            if answer is None:
                unanswered.append(at)
                waits.append((facts.until - at, False))
            else:
                waits.append((answer - at, True))
        first_unanswered = None
        if unanswered:
            first_unanswered = unanswered[0]
        median_hours = None
        median = kaplan_meier_median(waits)
        if median is not None:
            median_hours = median / HOUR
        row = Attention(
            student=student,
            mistakes=len(mistakes),
            unanswered=len(unanswered),
            first_unanswered=first_unanswered,
            median_hours_to_contact=median_hours,
            evidence=asked.model_copy(update={"student": student}).records(),
        )
        rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "mistakes": sum(map(len, made.values())),
        },
    )


def kaplan_meier_median(waits: list[tuple[timedelta, bool]]) -> timedelta | None:
    """Return the time after which half of the mistakes were answered, by the Kaplan–Meier estimator.

    A wait is (duration, whether it ended). A wait that has not ended counts with its duration so far. None if fewer
    than half of the mistakes were answered.
    """
    answered = Counter(wait for wait, ended in waits if ended)
    surviving = 1.0
    for moment in sorted(answered):
        at_risk = sum(wait >= moment for wait, _ in waits)
        surviving *= 1 - answered[moment] / at_risk
        if surviving <= 0.5 + 1e-12:
            return moment
    return None


QUESTION = Question(
    name="attention",
    title="Does attention go where it is needed?",
    computed_by="Of each student, the mistakes in the course after which no teacher wrote to them (in the "
    "course, or without naming one), and the median time to the first contact after a mistake by "
    "Kaplan–Meier: waits that still last count for as long as they last.",
    parameters=Parameters,
    row=Attention,
    find=find,
    order=lambda row: (-row.unanswered, row.student),
    quotes=True,
)
