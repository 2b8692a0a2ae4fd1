"""Permission for general queries: who may ask one, and which part of the graph they see."""

from collections.abc import Mapping
from datetime import datetime

from edugraph_common.contracts.permissions import Role
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.access import (
    FORMER_MEMBERS,
    MAX_STUDENTS,
    WIDEST_FIRST,
    Rows,
    own_person,
    students_of_course,
)
from edugraph_insights.graph import Graph
from edugraph_insights.problems import TooLarge
from edugraph_insights.queries.answers import Narrowed
from edugraph_insights.queries.visible_graph import VisibleGraph

# Rows that each role may read. Roles that read only cells in the questions see no persons here. A counsellor may see
# persons only in the questions of that role, and an officer uses the export of a person instead.
ROWS: Mapping[Role, Rows] = {
    "analyst": "cells",
    "head": "cells",
    "teacher": "own groups",
    "student": "self",
}
# student -> permitted courses, or None for all courses
Persons = dict[str, tuple[str, ...] | None]


def visible_graph_of(graph: Graph, caller: Caller, asked: Narrowed, now: datetime) -> VisibleGraph:
    """Return the part of the graph that a caller sees with these limits.

    Raises Refusal 403, TooLarge, Busy, and Retryable.
    """
    if caller == ANYBODY:
        is_about_everybody = asked.group is None and asked.course is None
        if is_about_everybody:
            return VisibleGraph(graph, None, asked.since, asked.until)
        return VisibleGraph(graph, _narrowed(graph, asked, now), asked.since, asked.until)
    rows = [ROWS[role] for role in caller.roles if role in ROWS]
    if not rows:
        words = f"A general query needs one of the roles {', '.join(ROWS)}. A role is given with the key or token."
        raise Refusal(403, "role", words, caller.client_id)
    widest = min(rows, key=WIDEST_FIRST.index)
    if widest == "cells":
        given = {
            "course": asked.course,
            "group": asked.group,
            "from": asked.since,
            "to": asked.until,
        }
        detail = [name for name, value in given.items() if value is not None]
        if detail:
            words = f"Without the right to see persons there are no records to narrow; leave out {', '.join(detail)}."
            raise Refusal(403, "rows", words, caller.client_id)
        return VisibleGraph(graph, {})
    person = own_person(graph, caller)
    if widest == "self":
        persons = _self(graph, person, asked.group, now)
    else:
        persons = _led(graph, person, asked.group, now)
    return VisibleGraph(graph, _in_course(persons, asked.course), asked.since, asked.until)


def _self(graph: Graph, student: str, group: str | None, now: datetime) -> Persons:
    """Return the student, or nobody if the student is restricted or not a member of the group."""
    persons: Persons = {
        row["student"]: None for row in graph.read("not_restricted", students=[student])
    }
    if group is None:
        return persons
    members = _members(graph, group, now)
    return {each: courses for each, courses in persons.items() if each in members}


def _led(graph: Graph, teacher: str, group: str | None, now: datetime) -> Persons:
    """Return the students of a teacher's groups with the courses that these groups show."""
    since = (now - FORMER_MEMBERS).isoformat()
    persons: Persons = {}
    for row in graph.read(
        "students_of_groups_led", person=teacher, group=group, now=now.isoformat(), since=since
    ):
        student = row["student"]
        known = persons.get(student, ())
        shown = row["courses"]
        is_home_room = not shown  # a group without a course shows all courses
        if known is None or is_home_room:
            persons[student] = None
        else:
            persons[student] = tuple(sorted({*known, *shown}))
    return persons


def _in_course(persons: Persons, course: str | None) -> Persons:
    """Return the persons whose records in this course may be seen; without a course, all persons."""
    if course is None:
        return persons
    found: Persons = {}
    for student, courses in persons.items():
        if courses is None or course in courses:
            found[student] = (course,)
    return found


def _narrowed(graph: Graph, asked: Narrowed, now: datetime) -> Persons:
    """Return the members of the group, or without a group the students of the course.

    The caller may see everybody. Raises TooLarge.
    """
    if asked.group is not None:
        students = _members(graph, asked.group, now)
    else:
        of_course, _ = students_of_course(graph, str(asked.course))
        students = list(of_course)
    if len(students) > MAX_STUDENTS:
        raise TooLarge(f"There are more than {MAX_STUDENTS:,} students", "Ask for one group.")
    return _in_course(dict.fromkeys(students), asked.course)


def _members(graph: Graph, group: str, now: datetime) -> list[str]:
    rows = graph.read("students_of_group", group=group, now=now.isoformat())
    return [row["student"] for row in rows]
