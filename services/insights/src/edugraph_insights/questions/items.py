"""Question 8: which item is bad or misleading?"""

from collections import Counter, defaultdict
from typing import Annotated, ClassVar

from edugraph_common.contracts.records import HALF
from edugraph_insights.answers import (
    Count,
    Difference,
    Evidence,
    Figure,
    Found,
    Mark,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    Total,
    mean_of,
    number_of,
    statistic,
)
from edugraph_insights.facts import Facts
from edugraph_insights.item_tries import FirstAnswers, answers_given, item_rest
from edugraph_insights.questions.question import Parameters, Question

ENOUGH_FOR_CORRELATION = 30  # first attempts
SAME_ANSWER_STUDENTS = 3
Names = Annotated[tuple[str, ...], Mark.NAME]


class ItemQuality(Row):
    """One item. `discrimination` is the item–rest correlation: near 0 or below, good students miss the item too.

    `wrong_answers` are the answers that at least three students gave, the most frequent first. `points` are the
    points that the item tests.
    """

    identity: ClassVar[tuple[str, ...]] = ("item",)

    item: Name
    name: Name
    right: Share
    students: Count
    discrimination: Difference
    wrong_answers: Annotated[tuple[str, ...], Mark.PERSONAL] = ()
    points: Names = ()
    point_names: Names = ()
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: Parameters) -> Found[ItemQuality]:
    answers: dict[str, list[str]] = {}
    if facts.reads_columns:
        given = facts.first_answers(asked.course, below=HALF, least=SAME_ANSWER_STUDENTS)
        tries = given.tries
        answers = _common_wrong_answers(given)
    else:
        tries = facts.item_tries(asked.course)
    rest = tries.rest()
    items = list(tries.tried_items())
    ids = [item.id for item in items]
    tested = facts.tested_points(ids)
    names = facts.item_names(ids)
    rows = []
    without_correlation = 0
    for item in items:
        students = len(item.students)
        discrimination = None
        if students >= ENOUGH_FOR_CORRELATION:
            discrimination = item_rest(item, rest, ENOUGH_FOR_CORRELATION)
        else:
            without_correlation += 1
        points = sorted(tested.get(item.id, ()))
        point_ids = [point.id for point in points]
        point_names = [point.name for point in points]
        row = ItemQuality(
            item=item.id,
            name=names.get(item.id, item.id),
            right=item.right,
            students=students,
            discrimination=discrimination,
            wrong_answers=tuple(answers.get(item.id, ())),
            points=tuple(point_ids),
            point_names=tuple(point_names),
            evidence=asked.records(item=item.id),
        )
        measured = Measured(row)
        if facts.in_cells:
            measured = _in_cells(row, asked.course, tries.outcomes_of(item))
        rows.append(measured)
    first_attempts: Total = len(tries.student)
    if facts.in_cells:
        first_attempts = Counter(tries.numbers())
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": first_attempts,
            "items": len(items),
        },
        left_out={
            f"items without a correlation, under {ENOUGH_FOR_CORRELATION} first attempts": without_correlation
        },
    )


def _in_cells(row: ItemQuality, course: str, outcomes: dict[str, float]) -> Measured[ItemQuality]:
    """Return the row with what each student adds to its figures. `outcomes` are those of its students."""
    figures: dict[str, Figure] = {}
    right_name = statistic("right at item", course, row.item)
    figures["right"] = mean_of(right_name, outcomes)
    students_name = statistic("tried item", course, row.item)
    figures["students"] = number_of(students_name, outcomes)
    return Measured(row, frozenset(outcomes), figures)


def _common_wrong_answers(given: FirstAnswers) -> dict[str, list[str]]:
    """Return, for each item, the wrong answers of three students or more, the most frequent first."""
    common: list[tuple[int, str, str]] = []
    wrong = given.tries.where(given.tries.outcome < HALF)
    for answer in answers_given(wrong):
        text = given.texts.get(answer.mark)
        students = len(answer.students)
        if text and students >= SAME_ANSWER_STUDENTS:
            common.append((-students, text, answer.item))
    of_items: dict[str, list[str]] = defaultdict(list)
    for _, text, item in sorted(common):
        of_items[item].append(text)
    return of_items


QUESTION = Question(
    name="items",
    title="Which item is bad or misleading?",
    computed_by="Over first attempts: the mean outcome, and from 30 on the correlation of the outcome with the "
    "mean outcome of the same student's first attempts at the other items of the course. Wrong "
    "answers are shown that at least 3 students gave.",
    parameters=Parameters,
    row=ItemQuality,
    find=find,
    order=lambda row: (
        row.discrimination is None,
        row.discrimination or 0.0,
        row.right or 0.0,
        row.item,
    ),
    quotes=True,
    from_columns=True,
)
