"""Question 8: which item is bad or misleading?"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
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
    mean_of,
    number_of,
    statistic,
)
from edugraph_insights.facts import Attempt, Facts
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import correlation

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


@dataclass
class _Total:
    """The first attempts of one student in the course. `outcomes` is their sum in thousandths."""

    outcomes: int = 0
    attempts: int = 0


def find(facts: Facts, asked: Parameters) -> Found[ItemQuality]:
    first_attempts = facts.first_attempts(asked.course, responses=True)
    of_item: dict[str, list[Attempt]] = defaultdict(list)
    totals: dict[str, _Total] = defaultdict(_Total)  # student -> total
    for attempt in first_attempts:
        of_item[attempt.item].append(attempt)
        total = totals[attempt.student]
        total.outcomes += attempt.outcome
        total.attempts += 1

    tested = facts.tested_points(of_item)
    rows = []
    without_correlation = 0
    for item, attempts in of_item.items():
        discrimination = None
        if len(attempts) >= ENOUGH_FOR_CORRELATION:
            discrimination = _item_rest(attempts, totals)
        else:
            without_correlation += 1
        points = sorted(tested.get(item, ()))
        point_ids = [point.id for point in points]
        point_names = [point.name for point in points]
        title = min(each.title for each in attempts)
        mean_outcome = sum(each.outcome for each in attempts) / len(attempts)
        row = ItemQuality(
            item=item,
            name=title,
            right=mean_outcome / 1000,
            students=len(attempts),
            discrimination=discrimination,
            wrong_answers=_common_wrong_answers(attempts),
            points=tuple(point_ids),
            point_names=tuple(point_names),
            evidence=asked.records(item=item),
        )
        about = (asked.course, item)
        outcomes: dict[str, float] = {}
        for attempt in attempts:
            outcomes[attempt.student] = attempt.outcome / 1000
        figures: dict[str, Figure] = {}
        right_name = statistic("right at item", *about)
        figures["right"] = mean_of(right_name, outcomes)
        students_name = statistic("tried item", *about)
        figures["students"] = number_of(students_name, outcomes)
        rows.append(Measured(row, frozenset(outcomes), figures))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": Counter(each.student for each in first_attempts),
            "items": len(of_item),
        },
        left_out={
            f"items without a correlation, under {ENOUGH_FOR_CORRELATION} first attempts": without_correlation
        },
    )


def _item_rest(attempts: list[Attempt], totals: Mapping[str, _Total]) -> float | None:
    """Return the correlation of the outcome at the item with the mean of the student's other first attempts.

    Students without other first attempts do not count. None if too few are left.
    """
    on_item = []
    on_rest = []
    for attempt in attempts:
        total = totals[attempt.student]
        if total.attempts > 1:
            on_item.append(float(attempt.outcome))
            on_rest.append((total.outcomes - attempt.outcome) / (total.attempts - 1))
    if len(on_item) < ENOUGH_FOR_CORRELATION:
        return None
    return correlation(on_item, on_rest)


def _common_wrong_answers(attempts: list[Attempt]) -> tuple[str, ...]:
    """Return the wrong answers of three students or more, the most frequent first. A student has one attempt here."""
    students: Counter[str] = Counter()  # answer -> number of students
    for attempt in attempts:
        answer = (attempt.response or "").strip()
        if answer and attempt.outcome < HALF:
            students[answer] += 1
    common = [answer for answer, number in students.items() if number >= SAME_ANSWER_STUDENTS]
    return tuple(sorted(common, key=lambda answer: (-students[answer], answer)))


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
)
