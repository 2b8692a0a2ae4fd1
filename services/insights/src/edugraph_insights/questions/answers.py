"""Which answer did how many students give?"""

from collections import Counter
from typing import Annotated

from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Count, Evidence, Found, Mark, Measured, Name, Row, Share
from edugraph_insights.facts import Facts
from edugraph_insights.item_tries import answers_given
from edugraph_insights.questions.question import Parameters, Question

ANY_OUTCOME = 1_001  # thousandths; each outcome is below it


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
    given = facts.first_answers(asked.course, below=ANY_OUTCOME, least=1)
    tries = given.tries
    if asked.item is not None:
        numbers = [number for number, item in enumerate(tries.items) if item == asked.item]
        tries = tries.at_items(numbers)
    answered: Counter[str] = Counter()
    answers = []
    for answer in answers_given(tries):
        if answer.mark in given.texts:
            answers.append(answer)
            answered[answer.item] += len(answer.students)
    names = facts.item_names(answered)
    rows = []
    with_answer: set[str] = set()
    for answer in answers:
        students = tries.ids(answer.students)
        with_answer.update(students)
        row = AnswerGiven(
            item=answer.item,
            name=names.get(answer.item, answer.item),
            response=given.texts[answer.mark],
            right=int(answer.outcomes.sum()) / len(students) / 1000,
            students=len(students),
            answered=answered[answer.item],
            share=len(students) / answered[answer.item],
            who=tuple(students),
            evidence=asked.records(item=answer.item),
        )
        rows.append(Measured(row))
    first_attempts = len(tries.student)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with a known answer": frozenset(with_answer),
            "first attempts": first_attempts,
        },
        left_out={"first attempts without a known answer": first_attempts - answered.total()},
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
    from_columns=True,
)
