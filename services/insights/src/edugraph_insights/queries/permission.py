"""Who may ask a general query, and what they see: found before the graph is read."""

from collections.abc import Mapping
from datetime import datetime

from edugraph_common.contracts.permissions import Role
from edugraph_common.platform.callers import ANYBODY, Caller
from edugraph_common.platform.problems import Refusal
from edugraph_insights.access import FORMER_MEMBERS, MAX_STUDENTS, WIDEST_FIRST, Rows, person_of, students_of_course
from edugraph_insights.graph import Graph
from edugraph_insights.problems import TooLarge
from edugraph_insights.queries.answers import Narrowed
from edugraph_insights.queries.sight import Sight

# Of whom a role sees nodes. Who sees cells in the questions sees no person here. A counsellor may know persons in
# the questions of their own alone, and an officer has the export of a person.
ROWS: Mapping[Role, Rows] = {"analyst": "cells", "head": "cells", "teacher": "own groups", "student": "self"}
Persons = dict[str, tuple[str, ...] | None]


def sight_of(graph: Graph, caller: Caller, asked: Narrowed, now: datetime) -> Sight:
    """Return what a caller sees with a query that is narrowed so.

    Raises Refusal 403, TooLarge, Busy, and Retryable.
    """
    since, until = asked.since, asked.until
    if caller == ANYBODY:
        everybody = asked.group is None and asked.course is None
        return Sight(graph, None if everybody else _narrowed(graph, asked, now), since, until)
    rows = [ROWS[role] for role in caller.roles if role in ROWS]
    if not rows:
        words = f"A general query needs one of the roles {', '.join(ROWS)}. A role is given with the key or token."
        raise Refusal(403, "role", words, caller.client_id)
    widest = min(rows, key=WIDEST_FIRST.index)
    if widest == "cells":
        given = {"course": asked.course, "group": asked.group, "from": since, "to": until}
        if detail := [name for name, value in given.items() if value is not None]:
            words = f"Without the right to see persons there are no records to narrow; leave out {', '.join(detail)}."
            raise Refusal(403, "rows", words, caller.client_id)
        return Sight(graph, {})
    person = person_of(caller)
    if widest == "self":
        persons: Persons = {row["student"]: None for row in graph.read("not_restricted", students=[person])}
    else:
        persons = _led(graph, person, asked.group, now)
    if widest == "self" and asked.group is not None:
        members = {row["student"] for row in graph.read("students_of_group", group=asked.group, now=now.isoformat())}
        persons = {each: courses for each, courses in persons.items() if each in members}
    return Sight(graph, _in_course(persons, asked.course), since, until)


def _led(graph: Graph, teacher: str, group: str | None, now: datetime) -> Persons:
    """Return the students of a teacher's groups with the courses that these groups show; None stands for all."""
    since = (now - FORMER_MEMBERS).isoformat()
    persons: Persons = {}
    for row in graph.read("students_of_groups_led", person=teacher, group=group, now=now.isoformat(), since=since):
        known = persons.get(row["student"], ())
        shown = row["courses"] or None
        persons[row["student"]] = None if known is None or shown is None else tuple(sorted({*known, *shown}))
    return persons


def _in_course(persons: Persons, course: str | None) -> Persons:
    if course is None:
        return persons
    return {each: (course,) for each, courses in persons.items() if courses is None or course in courses}


def _narrowed(graph: Graph, asked: Narrowed, now: datetime) -> Persons:
    """Return whom a query is about that could be about everybody: the members of a group, or a course's students."""
    if asked.group is not None:
        rows = graph.read("students_of_group", group=asked.group, now=now.isoformat())
        students = [row["student"] for row in rows]
    else:
        students = [*students_of_course(graph, str(asked.course))[0]]
    if len(students) > MAX_STUDENTS:
        raise TooLarge(f"There are more than {MAX_STUDENTS:,} students", "Ask for one group.")
    return _in_course(dict.fromkeys(students), asked.course)
