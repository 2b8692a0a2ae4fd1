"""How does this course go, term by term?"""

from collections import Counter
from datetime import datetime
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
from edugraph_insights.facts import MOST_TERMS, Facts
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.questions.work import Work
from edugraph_insights.tries import NO_MISTAKES, NO_TRIES


class TermOfCourse(Row):
    """A term with attempts or mistakes. `right` is null without first attempts. `students` have first attempts."""

    identity: ClassVar[tuple[str, ...]] = ("term",)

    term: Name
    name: Name
    starts: Annotated[datetime, Mark.NAME]
    ends: Annotated[datetime, Mark.NAME]
    first_attempts: Count
    students: Count
    right: Share
    mistakes: Count
    unresolved: Count
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: Parameters) -> Found[TermOfCourse]:
    terms = [term for term in facts.dated_terms() if asked.term in (None, term.id)]
    with facts.in_one_state(asked.course, terms) as then:
        tries = then.tries_of_terms(asked.course, terms)
        mistakes = then.mistakes_of_terms(asked.course, terms)
        first_attempts = then.first_tries(asked.course)
        all_mistakes = then.mistakes_made(asked.course)
    rows: list[Measured[TermOfCourse]] = []
    terms_without_records = 0
    for term in terms:
        work = Work(
            tries.of_terms.get(term.id, NO_TRIES), mistakes.of_terms.get(term.id, NO_MISTAKES)
        )
        if work.is_empty:
            terms_without_records += 1
            continue
        row = TermOfCourse(
            term=term.id,
            name=term.name,
            starts=term.starts,
            ends=term.ends,
            evidence=asked.model_copy(update={"term": term.id}).records(),
            **work.numbers(),
        )
        measured = Measured(row)
        if facts.in_cells:
            # Two terms with the same days have the same numbers, so they have the same noise.
            days = (term.starts.isoformat(), term.ends.isoformat())
            figures = work.figures("term", asked.course, *days)
            measured = Measured(row, work.students(), figures)
        rows.append(measured)
    of_how_many: dict[str, Total] = {
        "students": frozenset(facts.students),
        "first attempts": first_attempts.total,
        "mistakes": all_mistakes.number,
    }
    if facts.in_cells:
        of_how_many["first attempts"] = Counter(first_attempts.numbers)
        of_how_many["mistakes"] = Counter(all_mistakes.by_student)
    return Found(
        tuple(rows),
        of_how_many=of_how_many,
        left_out={
            "first attempts in no term": tries.in_no_term,
            "mistakes in no term": mistakes.in_no_term,
            "terms without records of the course": terms_without_records,
        },
    )


QUESTION = Question(
    name="terms",
    title="How does this course go, term by term?",
    computed_by=f"Of each of the latest {MOST_TERMS} terms with a beginning and an end: the attempts in it that are "
    "the first of a student at an item of the course, the mean over students of their share right, and mistakes; "
    "unresolved are those which no record says are resolved. Who repeats a course has first attempts only at items "
    "that are new to them. With noise, a term that overlaps a shorter one is left out.",
    parameters=Parameters,
    row=TermOfCourse,
    find=find,
    order=lambda row: (row.starts, row.term),
    from_columns=True,
)
