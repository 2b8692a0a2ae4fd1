"""Question 23: who has not handed in what?"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from edugraph_insights.answers import Count, Evidence, Found, Mark, Measured, Name, Row
from edugraph_insights.facts import Assignment, Facts, HandIn
from edugraph_insights.questions.question import OfSeveral, Question

State = Literal["handed_in", "late", "not_handed_in", "unknown"]
People = Annotated[tuple[str, ...], Mark.PERSONAL]


class Assigned(Row):
    """One item that was due for a course or a group. `students` is the number of those who had to hand it in.

    `group` is null if the item is assigned to the course. The last three fields have ids of students.
    """

    item: Name
    name: Name
    due_at: Annotated[datetime, Mark.NAME]
    group: Annotated[str | None, Mark.NAME]
    students: Count
    handed_in: Count
    late: Count
    not_handed_in: Count
    unknown: Count
    missing: People = ()
    late_students: People = ()
    unknown_students: People = ()
    evidence: Evidence = None


def find(facts: Facts, asked: OfSeveral) -> Found[Assigned]:
    assignments, without_date = facts.assignments(asked.course)
    if asked.group is not None:
        assignments = [each for each in assignments if each.group in (None, asked.group)]
    due = [each for each in assignments if _is_due(each, facts)]
    students_of = _students_of(facts, asked.course, due)
    hand_ins: dict[tuple[str, str], list[HandIn]] = defaultdict(list)
    for each in facts.hand_ins(asked.course, {each.item for each in due}):
        hand_ins[each.student, each.item].append(each)
    # Without a single attempt, the work may have been handed in elsewhere, for example on paper.
    recorded = {item for _, item in hand_ins}

    rows = []
    everybody: set[str] = set()
    without_students = 0
    for assignment in due:
        students = students_of[assignment]
        if not students:
            without_students += 1
            continue
        everybody |= students.keys()
        in_state: dict[State, list[str]] = defaultdict(list)
        for student, was_there in sorted(students.items()):
            tries = hand_ins[student, assignment.item]
            is_known = was_there and assignment.item in recorded
            state = _state(assignment, tries, is_known=is_known)
            in_state[state].append(student)
        in_time = in_state["handed_in"]
        late = in_state["late"]
        missing = in_state["not_handed_in"]
        unknown = in_state["unknown"]
        row = Assigned(
            item=assignment.item,
            name=assignment.name,
            due_at=assignment.due_at,
            group=assignment.group,
            students=len(students),
            handed_in=len(in_time),
            late=len(late),
            not_handed_in=len(missing),
            unknown=len(unknown),
            missing=tuple(missing),
            late_students=tuple(late),
            unknown_students=tuple(unknown),
            evidence=asked.records(item=assignment.item),
        )
        rows.append(Measured(row, frozenset(students)))
    not_due = len(assignments) - len(due)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students who had to hand something in": frozenset(everybody),
            "assignments that were due": len(due),
        },
        left_out={
            "assignments without a due date": without_date,
            "assignments that were not due in this time": not_due,
            "assignments that no student of the question had to hand in": without_students,
        },
    )


def _is_due(assignment: Assignment, facts: Facts) -> bool:
    """Return whether the assignment was due within the period of the question."""
    if assignment.due_at > facts.until:
        return False
    return facts.since is None or assignment.due_at >= facts.since


def _students_of(
    facts: Facts, course: str, due: Iterable[Assignment]
) -> dict[Assignment, dict[str, bool]]:
    """Return the students who had to hand in each assignment, and whether they are known to have been there.

    These are the members of the group, or the students of the course, at the moment at which it was due. If an item
    is assigned to a course and to a group, the date of the group counts for the members of the group.
    """
    members = facts.group_members({each.group for each in due if each.group is not None})
    joined = facts.joined(course)
    students_of: dict[Assignment, dict[str, bool]] = {}
    has_in_group: dict[str, set[str]] = defaultdict(set)  # item -> students with a date of a group
    for assignment in due:
        students_of[assignment] = {}
        for member in members:
            if member.group == assignment.group and member.is_at(assignment.due_at):
                students_of[assignment][member.student] = True
                has_in_group[assignment.item].add(member.student)
    for assignment in due:
        if assignment.group is not None:
            continue
        for student in facts.students:
            was_there = joined[student].was_there(assignment.due_at)
            if was_there is not False and student not in has_in_group[assignment.item]:
                students_of[assignment][student] = was_there is True
    return students_of


def _state(assignment: Assignment, hand_ins: Iterable[HandIn], *, is_known: bool) -> State:
    """Return how a student handed in an item. `is_known` says that a missing attempt means a missing work."""
    is_late = [each.is_late(assignment.due_at) for each in hand_ins]
    if is_late:
        return "late" if all(is_late) else "handed_in"
    return "not_handed_in" if is_known else "unknown"


QUESTION = Question(
    name="handed-in",
    title="Who has not handed in what?",
    computed_by="For each item that is assigned to the course or to a group and was due: those who were in the "
    "course or group at that moment, by their attempts at the item, also without an outcome. Handed in: an attempt "
    "until the due date, or one that the source calls not late. Late: only later ones, or ones that the source calls "
    "late. Unknown: no attempt, and either nobody of whom this is asked has one at this item, or no record says that "
    "the student was in the course by then.",
    parameters=OfSeveral,
    row=Assigned,
    find=find,
    order=lambda row: (row.due_at, row.item, row.group or ""),
    quotes=True,
)
