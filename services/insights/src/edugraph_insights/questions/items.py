"""Question 8: which item is bad or misleading?"""

from collections import defaultdict
from typing import Annotated

from edugraph_common.contracts.records import HALF
from edugraph_insights.answers import Count, Difference, Evidence, Found, Mark, Measured, Name, Row, Share
from edugraph_insights.facts import Attempt, Facts
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import correlation

ENOUGH_FOR_CORRELATION = 30  # first attempts
SAME_ANSWER_STUDENTS = 3


class ItemQuality(Row):
    """One item. `discrimination` is the item–rest correlation: near 0 or below, good students miss the item too.

    `wrong_answers` are the answers that at least three students gave, the most frequent first.
    """

    item: Name
    name: Name
    right: Share
    students: Count
    discrimination: Difference
    wrong_answers: Annotated[tuple[str, ...], Mark.PERSONAL] = ()
    evidence: Evidence = None


def find(facts: Facts, asked: Parameters) -> Found[ItemQuality]:
    first = facts.first_attempts(asked.course, responses=True)
    of_item: dict[str, list[Attempt]] = defaultdict(list)
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))  # student -> (sum of outcomes, attempts)
    for each in first:
        of_item[each.item].append(each)
        outcomes, number = sums[each.student]
        sums[each.student] = outcomes + each.outcome, number + 1
    rows, few = [], 0
    for item, attempts in of_item.items():
        enough = len(attempts) >= ENOUGH_FOR_CORRELATION
        few += not enough
        row = ItemQuality(
            item=item,
            name=min(each.title for each in attempts),
            right=sum(each.outcome for each in attempts) / len(attempts) / 1000,
            students=len(attempts),
            discrimination=_item_rest(attempts, sums) if enough else None,
            wrong_answers=_common_wrong_answers(attempts),
            evidence=asked.records(item=item),
        )
        rows.append(Measured(row, frozenset(each.student for each in attempts)))
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "first attempts": len(first), "items": len(of_item)},
        left_out={f"items without a correlation, under {ENOUGH_FOR_CORRELATION} first attempts": few},
    )


def _item_rest(attempts: list[Attempt], sums: dict[str, tuple[int, int]]) -> float | None:
    """Return the correlation of the outcome at the item with the mean of the student's other first attempts."""
    on_item, on_rest = [], []
    for each in attempts:
        outcomes, number = sums[each.student]
        if number > 1:
            on_item.append(float(each.outcome))
            on_rest.append((outcomes - each.outcome) / (number - 1))
    return correlation(on_item, on_rest) if len(on_item) >= ENOUGH_FOR_CORRELATION else None


def _common_wrong_answers(attempts: list[Attempt]) -> tuple[str, ...]:
    given: dict[str, int] = defaultdict(int)
    for each in attempts:  # one attempt of each student
        if each.outcome < HALF and (each.response or "").strip():
            given[(each.response or "").strip()] += 1
    common = (answer for answer, students in given.items() if students >= SAME_ANSWER_STUDENTS)
    return tuple(sorted(common, key=lambda answer: (-given[answer], answer)))


QUESTION = Question(
    name="items",
    title="Which item is bad or misleading?",
    computed_by="Over first attempts: the mean outcome, and from 30 on the correlation of the outcome with the "
    "mean outcome of the same student's first attempts at the other items of the course. Wrong "
    "answers are shown that at least 3 students gave.",
    parameters=Parameters,
    row=ItemQuality,
    find=find,
    order=lambda row: (row.discrimination is None, row.discrimination or 0.0, row.right or 0.0, row.item),
    quotes=True,
)
