"""Whom should I take together? Students who lack the same prerequisite most."""

from collections import defaultdict
from typing import Annotated

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Name, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import OfSeveral, Question

FEWEST_STUDENTS = 3
MOST_STUDENTS = 6
People = Annotated[tuple[str, ...], Mark.PERSONAL]


class Together(Row):
    """Three to six students whose weakest prerequisite is `point`, the weakest first.

    `number` counts the groups of one point from 1. `needed_for` are the names of the later points that need this one.
    """

    point: Name
    name: Name
    number: Annotated[int, Mark.PERSONAL]
    students: People
    student_names: People
    needed_for: Annotated[tuple[str, ...], Mark.NAME] = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfSeveral) -> Found[Together]:
    names = facts.names()
    cells, _ = facts.cells(asked.course)
    later = {point.id: point.name for point in (*cells, *facts.taught_points(asked.course))}
    needed_for: dict[str, set[str]] = defaultdict(set)  # prerequisite -> names of later points
    for need in facts.direct_needs(later):
        needed_for[need.needs.id].add(later[need.point])

    # student -> the weakest prerequisite as (share right, -first attempts, id of the point)
    weakest: dict[str, tuple[float, int, str]] = {}
    tried: set[str] = set()
    for point, of_students in cells.items():
        tried |= of_students.keys()
        if point.id not in needed_for:
            continue
        for student, cell in of_students.items():
            if cell.share is None or not cell.is_wrong:
                continue
            found = (cell.share, -cell.first_attempts, point.id)
            weakest[student] = min(found, weakest.get(student, found))

    with_point: dict[str, list[str]] = defaultdict(list)
    for student in sorted(weakest, key=lambda each: (weakest[each], each)):
        _, _, point_id = weakest[student]
        with_point[point_id].append(student)
    rows = []
    alone = 0
    for point in cells:
        students = with_point[point.id]
        if len(students) < FEWEST_STUDENTS:
            alone += len(students)
            continue
        for number, group in enumerate(groups_of(students), start=1):
            row = Together(
                point=point.id,
                name=point.name,
                number=number,
                students=tuple(group),
                student_names=tuple(names.get(each, each) for each in group),
                needed_for=tuple(sorted(needed_for[point.id])),
                evidence=asked.records(point=point.id),
            )
            rows.append(Measured(row, frozenset(group)))
    left_out = facts.waiting_in(asked.course)
    left_out["students without a weak prerequisite"] = len(tried) - len(weakest)
    left_out["students whose weakest prerequisite is that of fewer than 3"] = alone
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(tried),
        },
        left_out=left_out,
    )


def groups_of(students: list[str]) -> list[list[str]]:
    """Return the students in as few groups as possible, in their order. Sizes differ by one at most."""
    groups = -(-len(students) // MOST_STUDENTS)
    smaller, larger_groups = divmod(len(students), groups)
    found = []
    start = 0
    for number in range(groups):
        size = smaller
        if number < larger_groups:
            size += 1
        found.append(students[start : start + size])
        start += size
    return found


QUESTION = Question(
    name="together",
    title="Whom should I take together?",
    computed_by="For each student: the point that points of the course need directly, and at which the mean outcome "
    "of the student's first attempts is lowest and below 0.5. Three or more students with the same weakest point are "
    "groups of three to six, the weakest first.",
    parameters=OfSeveral,
    row=Together,
    find=find,
    order=lambda row: (row.point, row.number),
    quotes=True,
)
