"""Question 14: what do mistakes need that the course never teaches?"""

from collections import defaultdict
from typing import Annotated

from edugraph_insights.answers import Count, Evidence, Found, Mark, Measured, Name, Row
from edugraph_insights.facts import Facts, Point
from edugraph_insights.questions.question import OfToday, Question


class UntaughtPoint(Row):
    """One point. `needed_for` are the points behind mistakes that need it; empty if mistakes concern only itself."""

    point: Name
    name: Name
    mistakes: Count
    students: Count
    needed_for: Annotated[tuple[str, ...], Mark.NAME] = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfToday) -> Found[UntaughtPoint]:
    mistakes = [row for row in facts.mistakes(asked.course) if row["point"] is not None]
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
            rows.append(Measured(row, students))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "mistakes of known points": len({row["record"] for row in mistakes}),
            "points that the course teaches": len(taught),
        },
    )


QUESTION = Question(
    name="untaught-points",
    title="What do mistakes need that the course never teaches?",
    computed_by="Points behind the mistakes of the course, and what these need first (up to 4 steps of "
    "DEPENDS_ON), that no text of the course contains; by the number of distinct mistakes.",
    parameters=OfToday,
    row=UntaughtPoint,
    find=find,
    order=lambda row: (-row.mistakes, row.point),
)
