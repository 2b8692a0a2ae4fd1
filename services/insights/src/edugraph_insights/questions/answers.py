"""Which answer did how many students give?"""

from collections import defaultdict
from typing import Annotated

from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Count, Evidence, Found, Mark, Measured, Name, Row, Share
from edugraph_insights.facts import Attempt, Facts
from edugraph_insights.questions.question import Parameters, Question


class OfItem(Parameters):
    """Parameters of a question about the items of a course, or about one of them."""

    item: Id | None = Field(default=None, description="only this item")


class AnswerGiven(Row):
    """One answer to one item. `students` of the `answered` students whose first answer is known gave it."""

    item: Name
    name: Name
    response: Annotated[str, Mark.PERSONAL]
    right: Share
    students: Count
    answered: Count
    share: Share
    who: Annotated[tuple[str, ...], Mark.PERSONAL]
    evidence: Evidence = None


def find(facts: Facts, asked: OfItem) -> Found[AnswerGiven]:
    first_attempts = facts.first_attempts(asked.course, responses=True)
    if asked.item is not None:
        first_attempts = [each for each in first_attempts if each.item == asked.item]
    given: dict[str, dict[str, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    with_answer: set[str] = set()
    without_answer = 0
    for attempt in first_attempts:
        response = (attempt.response or "").strip()
        if not response:
            without_answer += 1
            continue
        given[attempt.item][response].append(attempt)
        with_answer.add(attempt.student)

    rows = []
    for item, of_responses in given.items():
        answered = sum(map(len, of_responses.values()))
        for response, attempts in of_responses.items():
            students = sorted(each.student for each in attempts)
            row = AnswerGiven(
                item=item,
                name=min(each.title for each in attempts),
                response=response,
                right=sum(each.outcome for each in attempts) / len(attempts) / 1000,
                students=len(students),
                answered=answered,
                share=len(students) / answered,
                who=tuple(students),
                evidence=asked.records(item=item),
            )
            rows.append(Measured(row, frozenset(students)))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with a known answer": frozenset(with_answer),
            "first attempts": len(first_attempts),
        },
        left_out={"first attempts without a known answer": without_answer},
    )


QUESTION = Question(
    name="answers",
    title="Which answer did how many give?",
    computed_by="For each item, over the first attempts whose answer a record gives: the number of students with "
    "each answer, its share, and the mean outcome of these attempts. Answers are compared as they stand, except for "
    "spaces at their ends.",
    parameters=OfItem,
    row=AnswerGiven,
    find=find,
    order=lambda row: (row.item, -(row.students or 0), row.response),
    quotes=True,
)
