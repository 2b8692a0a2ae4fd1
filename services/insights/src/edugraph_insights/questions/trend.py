"""The trend: how does the course go, week by week?"""

from collections import Counter, defaultdict
from datetime import date
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
)
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.questions.work import Work, mistakes_by_student
from edugraph_insights.school_days import beginning_of, monday


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
    tried = facts.first_tries(asked.course)
    made: dict[date, dict[str, tuple[str, bool]]] = defaultdict(dict)
    for told in facts.mistakes(asked.course):  # a row for each point behind it
        made[monday(told["at"], facts.zone)][told["record"]] = told["student"], told["resolved"]
    rows: list[Measured[Week]] = []
    mistakes_of: Counter[str] = Counter()
    for week in tried.of_weeks.keys() | made.keys():
        work = Work(tried.of_weeks.get(week, {}), made.get(week, {}))
        mistakes_of.update(mistakes_by_student(work.mistakes))
        begins = beginning_of(week, facts.zone)
        row = Week(
            week=week.isoformat(),
            school_week=facts.term.week_of(begins, facts.zone) if facts.term else None,
            evidence=asked.in_week(week, facts.zone).records(),
            **work.numbers(),
        )
        figures = work.figures("week", asked.course, week.isoformat())
        rows.append(Measured(row, work.students, figures))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": Counter(tried.numbers),
            "mistakes": mistakes_of,
        },
    )


QUESTION = Question(
    name="trend",
    title="How does this course go, week by week?",
    computed_by="Of each week, from its Monday on: first attempts, the mean over students of their share "
    "right, and mistakes; unresolved are those of the week's mistakes which no record says are resolved.",
    parameters=Parameters,
    row=Week,
    find=find,
    order=lambda row: row.week,
)
