"""How is the class spread over each point?"""

from collections import defaultdict
from typing import ClassVar, Literal

from edugraph_insights.answers import (
    Count,
    Evidence,
    Figure,
    Found,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    mean_of,
    number_of,
    share_of,
    statistic,
)
from edugraph_insights.facts import Facts
from edugraph_insights.questions.grid import tries_in_period
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import mean

Band = Literal["none_right", "under_half", "half_or_more", "all_right"]
BANDS: tuple[Band, ...] = ("none_right", "under_half", "half_or_more", "all_right")


class Spread(Row):
    """One point, with the shares of its students in four bands by the mean outcome of their first attempts.

    The mean outcome is 0, more than 0 and below 0.5, 0.5 or more and below 1, and 1.
    """

    identity: ClassVar[tuple[str, ...]] = ("point",)

    point: Name
    name: Name
    students: Count
    right: Share
    none_right: Share
    under_half: Share
    half_or_more: Share
    all_right: Share
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: Parameters) -> Found[Spread]:
    found = tries_in_period(facts, asked.course)
    rows = []
    everybody: set[str] = set()
    for point, cells in found.cells.items():
        students_in: dict[Band, set[str]] = defaultdict(set)
        shares: dict[str, float] = {}
        for student, cell in cells.items():
            if cell.share is not None:
                students_in[_band(cell.share)].add(student)
                shares[student] = cell.share
        if not shares:
            continue
        students = frozenset(shares)
        everybody |= students
        shares_in = {band: len(students_in[band]) / len(students) for band in BANDS}
        row = Spread(
            point=point.id,
            name=point.name,
            students=len(students),
            right=mean(list(shares.values())),
            **shares_in,
            evidence=asked.records(point=point.id),
        )
        about = (asked.course, point.id)
        figures: dict[str, Figure] = {
            "students": number_of(statistic("tried", *about), shares),
            "right": mean_of(statistic("right", *about), shares),
        }
        for band in BANDS:
            figures[band] = share_of(statistic(band, *about), students_in[band], sorted(shares))
        tries_of = {student: len(cells[student].first_attempts) for student in shares}
        rows.append(Measured(row, students, figures, tries_of))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(everybody),
        },
    )


def _band(share: float) -> Band:
    if share == 0:
        return "none_right"
    if share < 0.5:
        return "under_half"
    if share < 1:
        return "half_or_more"
    return "all_right"


QUESTION = Question(
    name="spread",
    title="How is the class spread over each point?",
    computed_by="For each point, of the students with a first attempt at its items: the shares with a mean outcome "
    "of 0, of more than 0 and below 0.5, of 0.5 or more and below 1, and of 1.",
    parameters=Parameters,
    row=Spread,
    find=find,
    order=lambda row: (row.right or 0.0, row.point),
)
