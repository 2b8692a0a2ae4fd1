"""The trend: how does the course go, week by week?"""

from collections import Counter, defaultdict
from datetime import date
from typing import Annotated, ClassVar

from edugraph_insights.answers import (
    Amount,
    Count,
    Evidence,
    Figure,
    Found,
    Mark,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    mean_of,
    number_of,
    statistic,
)
from edugraph_insights.facts import Facts, numbers_of
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.school_days import beginning_of, monday
from edugraph_insights.statistics import mean


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
    for week in tried.of_weeks.keys() | made.keys():
        tries_of_students = tried.of_weeks.get(week, {})
        tries_of = numbers_of(tries_of_students)
        mistakes = made.get(week, {})
        open_ones = [student for student, resolved in mistakes.values() if not resolved]
        right = {student: tries.right for student, tries in tries_of_students.items()}
        begins = beginning_of(week, facts.zone)
        row = Week(
            week=week.isoformat(),
            school_week=facts.term.week_of(begins, facts.zone) if facts.term else None,
            first_attempts=sum(tries_of.values()),
            students=len(tries_of),
            right=mean(list(right.values())),
            mistakes=len(mistakes),
            unresolved=len(open_ones),
            evidence=asked.in_week(week, facts.zone).records(),
        )
        about = (asked.course, week.isoformat())
        mistakes_of = Counter(student for student, _ in mistakes.values())
        # No record says when a mistake was resolved, so that the unresolved ones of a closed week may change by one.
        figures: dict[str, Figure] = {
            "first_attempts": Amount(statistic("first attempts of week", *about), tries_of),
            "students": number_of(statistic("tried in week", *about), tries_of),
            "right": mean_of(statistic("right in week", *about), right),
            "mistakes": Amount(statistic("mistakes of week", *about), mistakes_of),
        }
        rows.append(Measured(row, frozenset(tries_of) | frozenset(mistakes_of), figures))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": Counter(tried.numbers),
            "mistakes": Counter(
                student for of_week in made.values() for student, _ in of_week.values()
            ),
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
