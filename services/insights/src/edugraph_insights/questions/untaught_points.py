"""Question 14: what do mistakes need that the course never teaches?"""

from collections import Counter, defaultdict
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
    Row,
    number_of,
    statistic,
)
from edugraph_insights.facts import Facts, Point
from edugraph_insights.questions.question import OfToday, Question
from edugraph_insights.usefulness import shown_mistakes


class UntaughtPoint(Row):
    """One point. `needed_for` are the points behind mistakes that need it; empty if mistakes concern only itself."""

    identity: ClassVar[tuple[str, ...]] = ("point",)

    point: Name
    name: Name
    mistakes: Count
    students: Count
    needed_for: Annotated[tuple[str, ...], Mark.NAME] = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfToday) -> Found[UntaughtPoint]:
    all_mistakes, hidden = shown_mistakes(facts, asked.course)
    mistakes = [row for row in all_mistakes if row["point"] is not None]
    taught = facts.points_of(asked.course)
    behind: dict[Point, set[tuple[str, str]]] = defaultdict(set)  # (student, record)
    names = {row["point"]: row["name"] for row in mistakes}
    for each in mistakes:
        behind[Point(each["point"], each["name"])].add((each["student"], each["record"]))
    needed_for: dict[Point, set[str]] = defaultdict(set)
    direct = dict(behind)
    for need in facts.needs_before(names):
        of_point = direct[Point(need.point, names[need.point])]
        behind[need.needs] = behind.get(need.needs, set()) | of_point
        needed_for[need.needs].add(names[need.point])
    rows = []
    for point, pairs in behind.items():
        students = frozenset(student for student, _ in pairs)
        if point.id not in taught:
            row = UntaughtPoint(
                point=point.id,
                name=point.name,
                mistakes=len({record for _, record in pairs}),
                students=len(students),
                needed_for=tuple(sorted(needed_for[point])),
                evidence=asked.records(point=point.id) if point in direct else None,
            )
            about = (asked.course, point.id)
            mistakes_of = Counter(student for student, _ in pairs)
            figures: dict[str, Figure] = {
                "mistakes": Amount(statistic("mistakes needing", *about), mistakes_of),
                "students": number_of(statistic("needing", *about), students),
            }
            rows.append(Measured(row, students, figures))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "mistakes of known points": Counter(
                {row["record"]: row["student"] for row in mistakes}.values()
            ),
            "points that the course teaches": len(taught),
        },
        left_out={**facts.waiting_in(asked.course), **hidden.left_out},
    )


QUESTION = Question(
    name="untaught-points",
    title="What do mistakes need that the course never teaches?",
    computed_by="Points behind the mistakes of the course, and what these need first (up to 4 steps of "
    "DEPENDS_ON), that no text of the course contains; by the number of distinct mistakes.",
    parameters=OfToday,
    row=UntaughtPoint,
    find=find,
    order=lambda row: (-(row.mistakes or 0), row.point),
)
