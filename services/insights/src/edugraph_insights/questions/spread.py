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
from edugraph_insights.mastery import Floats
from edugraph_insights.practice import PointTries, TriedPoint
from edugraph_insights.questions.question import Parameters, Question

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
    tries = facts.point_tries(asked.course)
    rows = []
    everybody: set[str] = set()
    for point in tries.tried_points():
        everybody.update(tries.ids(point.students))
        bands = _bands(point.right)
        shares_in: dict[str, float] = {}
        for band in BANDS:
            shares_in[band] = bands.count(band) / len(bands)
        row = Spread(
            point=point.id,
            name=point.name,
            students=len(bands),
            right=float(point.right.mean()),
            **shares_in,
            evidence=asked.records(point=point.id),
        )
        measured = Measured(row)
        if facts.in_cells:
            measured = _in_cells(row, asked.course, tries, point)
        rows.append(measured)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(everybody),
        },
    )


def _in_cells(row: Spread, course: str, tries: PointTries, point: TriedPoint) -> Measured[Spread]:
    """Return the row with what each student adds to its figures."""
    students = tries.ids(point.students)
    shares = dict(zip(students, point.right.tolist(), strict=True))
    students_in: dict[Band, set[str]] = defaultdict(set)
    bands = _bands(point.right)
    for student, band in zip(students, bands, strict=True):
        students_in[band].add(student)
    about = (course, point.id)
    figures: dict[str, Figure] = {
        "students": number_of(statistic("tried", *about), students),
        "right": mean_of(statistic("right", *about), shares),
    }
    for band in BANDS:
        band_name = statistic(band, *about)
        figures[band] = share_of(band_name, students_in[band], students)
    tries_of = dict(zip(students, point.number.tolist(), strict=True))
    return Measured(row, frozenset(students), figures, tries_of)


def _bands(shares: Floats) -> list[Band]:
    return [_band(share) for share in shares.tolist()]


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
    from_columns=True,
)
