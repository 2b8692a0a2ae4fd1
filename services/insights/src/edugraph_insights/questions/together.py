"""Whom should I take together? Students who lack the same prerequisite most."""

from collections import defaultdict
from collections.abc import Container
from typing import Annotated

import numpy as np

from edugraph_insights.answers import Evidence, Found, Mark, Measured, Name, Row
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import OfSeveral, Question
from edugraph_insights.tries import WRONG_BELOW, TriesAtPoints

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
    tries = facts.tries_at_points(asked.course)
    later = dict(tries.points)
    later |= dict(facts.taught_points(asked.course))
    needed_for: dict[str, set[str]] = defaultdict(set)  # prerequisite -> names of later points
    for need in facts.direct_needs(later):
        needed_for[need.needs.id].add(later[need.point])

    with_point = _weakest(tries, needed_for)
    rows = []
    alone = 0
    for (point, name), students in zip(tries.points, with_point, strict=True):
        if len(students) < FEWEST_STUDENTS:
            alone += len(students)
            continue
        evidence = asked.records(point=point)
        for number, group in enumerate(groups_of(students), start=1):
            row = Together(
                point=point,
                name=name,
                number=number,
                students=tuple(group),
                student_names=tuple(names.get(each, each) for each in group),
                needed_for=tuple(sorted(needed_for[point])),
                evidence=evidence,
            )
            rows.append(Measured(row))
    left_out = facts.waiting_in(asked.course)
    weak_students = sum(map(len, with_point))
    left_out["students without a weak prerequisite"] = len(tries.students) - weak_students
    left_out["students whose weakest prerequisite is that of fewer than 3"] = alone
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(tries.students),
        },
        left_out=left_out,
    )


def _weakest(tries: TriesAtPoints, prerequisites: Container[str]) -> list[list[str]]:
    """Return, for each point, the students whose weakest prerequisite it is, the weakest first.

    If two points have an equal share right, the one with more first attempts is the weaker one.
    """
    needed = [point in prerequisites for point, _ in tries.points]
    is_needed = np.array(needed, np.bool_)
    is_low = tries.right < WRONG_BELOW
    is_tried = tries.number > 0
    weak = np.flatnonzero(is_needed[tries.point] & is_tried & is_low)
    # Points and students are numbered in the order of their ids.
    points = tries.point[weak]
    students = tries.student[weak]
    shares = tries.right[weak]
    fewest_last = -tries.number[weak]
    # lexsort begins with its last key.
    order = np.lexsort((points, fewest_last, shares, students))
    is_weakest = np.diff(students[order], prepend=-1) != 0
    weakest = order[is_weakest]

    order = np.lexsort((students[weakest], fewest_last[weakest], shares[weakest]))
    with_point: list[list[str]] = [[] for _ in tries.points]
    for row in weakest[order].tolist():
        student = tries.students[students[row]]
        with_point[points[row]].append(student)
    return with_point


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
