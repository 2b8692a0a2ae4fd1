"""The trend: how does the course go, week by week?"""

from collections import Counter
from typing import Annotated, ClassVar

from edugraph_insights.answers import (
    Count,
    Evidence,
    Found,
    Mark,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    Total,
)
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.questions.work import Work
from edugraph_insights.school_days import beginning_of
from edugraph_insights.tries import NO_MISTAKES, NO_TRIES


class Week(Row):
    """A week, named by its Monday, with attempts or mistakes. `right` is null in a week without first attempts.

    `school_week` is the number of the week in the term of the question. `students` are those with first attempts.
    """

    identity: ClassVar[tuple[str, ...]] = ("week",)

    week: Name
    school_week: Annotated[int | None, Mark.NAME]
    first_attempts: Count
    students: Count
    right: Share
    mistakes: Count
    unresolved: Count
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: Parameters) -> Found[Week]:
    with facts.in_one_state(asked.course) as then:
        tries = then.tries_of_weeks(asked.course)
        mistakes = then.mistakes_of_weeks(asked.course)
    rows: list[Measured[Week]] = []
    first_attempts: Counter[str] = Counter()
    mistakes_made: Counter[str] = Counter()
    for week in tries.keys() | mistakes.keys():
        work = Work(tries.get(week, NO_TRIES), mistakes.get(week, NO_MISTAKES))
        begins = beginning_of(week, facts.zone)
        school_week = None
        if facts.term is not None:
            school_week = facts.term.week_of(begins, facts.zone)
        row = Week(
            week=week.isoformat(),
            school_week=school_week,
            evidence=asked.in_week(week, facts.zone).records(),
            **work.numbers(),
        )
        measured = Measured(row)
        if facts.in_cells:
            figures = work.figures("week", asked.course, week.isoformat())
            measured = Measured(row, work.students(), figures)
            first_attempts.update(work.tries.numbers)
            mistakes_made.update(work.mistakes.by_student)
        rows.append(measured)
    of_how_many: dict[str, Total] = {"students": frozenset(facts.students)}
    if facts.in_cells:
        of_how_many |= {"first attempts": first_attempts, "mistakes": mistakes_made}
    else:
        of_how_many["first attempts"] = sum(each.total for each in tries.values())
        of_how_many["mistakes"] = sum(each.number for each in mistakes.values())
    return Found(tuple(rows), of_how_many=of_how_many)


QUESTION = Question(
    name="trend",
    title="How does this course go, week by week?",
    computed_by="Of each week, from its Monday on: first attempts, the mean over students of their share "
    "right, and mistakes; unresolved are those of the week's mistakes which no record says are resolved.",
    parameters=Parameters,
    row=Week,
    find=find,
    order=lambda row: row.week,
    from_columns=True,
)
