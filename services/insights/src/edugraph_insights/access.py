"""Access to questions: the rules of roles, and the permitted students, who are found before anything else is read.

Statements get the permitted students as a parameter and begin at them. Other students are never read, filtered out
afterwards, or counted. Restricted students are never permitted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from edugraph_common.contracts.permissions import Role, Scope
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.facts import has_course_records
from edugraph_insights.graph import Graph
from edugraph_insights.problems import TooLarge
from edugraph_insights.questions.question import Parameters
from edugraph_insights.settings import HeadSees

MAX_STUDENTS = 10_000  # in one question
# In a question that reads single records from the tables of ADR 127 only.
MAX_STUDENTS_OF_COLUMNS = 100_000
ALWAYS = datetime.min.replace(tzinfo=UTC)
# A teacher sees former members of a group for this long.
FORMER_MEMBERS = timedelta(days=30)
Rows = Literal["everybody", "own groups", "self", "groups", "cells", "nobody"]

# Questions whose answers need not name a person.
IN_CELLS = frozenset(
    {"weak-points", "earlier-gaps", "returning-mistakes", "difficulty", "items", "travelling-weaknesses",
     "untaught-points", "trust", "course-map", "mood", "trend", "mastery", "spread", "terms"}
)  # fmt: skip
ABOUT_PERSONS = frozenset(
    {
        "student",
        "next",
        "needs-help",
        "attention",
        "ties",
        "records",
        "roster",
        "review-queue",
        "review-points",
        "handed-in",
        "help-used",
        "grid",
        "point",
        "today",
        "together",
        "ready",
        "answers",
        "changes",
        "due",
        "practice",
    }
)
# A caller could choose two groups as small as they like, so this question is not answered in cells.
OF_TWO_GROUPS = frozenset({"groups"})
# Actions of teachers are shown to those who lead the students, whatever else a role may see.
OF_LEADERS = frozenset({"actions", "did-it-help"})
EVERY_QUESTION = IN_CELLS | ABOUT_PERSONS | OF_TWO_GROUPS | OF_LEADERS


@dataclass(frozen=True)
class Rule:
    """The rows that a role sees, and the questions that it may ask."""

    rows: Rows
    questions: frozenset[str]


# The rule of heads for each value of EDUGRAPH_HEAD_SEES.
OF_HEADS: Mapping[HeadSees, Rule] = {
    "persons": Rule("everybody", EVERY_QUESTION - OF_LEADERS),
    "groups": Rule("groups", IN_CELLS | OF_TWO_GROUPS),
    "cells": Rule("cells", IN_CELLS),
}
RULES: Mapping[Role, Rule] = {
    "analyst": Rule("cells", IN_CELLS),
    "head": OF_HEADS["persons"],
    "teacher": Rule("own groups", EVERY_QUESTION),
    "student": Rule(
        "self",
        frozenset(
            {
                "student",
                "next",
                "weak-points",
                "earlier-gaps",
                "returning-mistakes",
                "records",
                "roster",
                "course-map",
                "help-used",
                "grid",
                "point",
                "due",
            }
        ),
    ),
    "counsellor": Rule("everybody", frozenset({"mood", "ties", "attention", "roster"})),
    "officer": Rule("nobody", frozenset()),
}
# Without authentication everything is open, as at the gateway. The service then listens on the loopback only.
WITHOUT_AUTHENTICATION = Rule("everybody", EVERY_QUESTION)
# Requests about the whole graph need all of these scopes, whatever the roles of the caller. Without `personal` they
# show nothing about persons.
WHOLE_GRAPH: Mapping[str, tuple[Scope, ...]] = {
    "digest": ("read",),
    "summary": ("read",),
    "reviews": ("read", "personal"),
    "export": ("read", "personal"),
    "warehouse": ("read", "personal"),
    "known": ("read", "personal"),
    "persons": ("read", "personal"),
    "check": ("operate",),
}
WIDEST_FIRST: tuple[Rows, ...] = ("everybody", "own groups", "self", "groups", "cells")


@dataclass(frozen=True)
class Roster:
    """The students that one question is about, and whether their numbers are published in cells only.

    `outsiders` is the number of students who were asked about too, but are not in the course. `joined` says for the
    students of cells when they joined the course.
    """

    students: tuple[str, ...]
    in_cells: bool
    outsiders: int = 0
    joined: Mapping[str, datetime] = field(default_factory=dict)


def rules_of(head_sees: HeadSees) -> Mapping[Role, Rule]:
    """Return the rules of all roles in a school whose heads see this."""
    return {**RULES, "head": OF_HEADS[head_sees]}


def rule_for(caller: Caller, question: str, rules_of_roles: Mapping[Role, Rule] = RULES) -> Rule:
    """Return the rule that lets this caller ask this question. Raises Refusal 403."""
    if caller == ANYBODY:
        return WITHOUT_AUTHENTICATION
    of_caller = [rules_of_roles[role] for role in caller.roles]
    rules = [rule for rule in of_caller if question in rule.questions]
    if not rules:
        have = "it has none"
        if caller.roles:
            have = f"it has {', '.join(caller.roles)}"
        needed = ", ".join(
            role for role, rule in rules_of_roles.items() if question in rule.questions
        )
        words = f"The question {question} needs one of the roles {needed}; {have}. A role is given with the key"
        raise Refusal(
            403, "role", f"{words} (edugraph keys create --role) or in the token.", caller.client_id
        )
    return min(rules, key=lambda rule: WIDEST_FIRST.index(rule.rows))


def need_scopes(caller: Caller, what: str) -> None:
    """Raise Refusal 403 if the caller may not see this part of the whole graph."""
    for scope in WHOLE_GRAPH[what]:
        if not caller.may(scope):
            words = f"This needs the scope {scope}, which your key, token or account has not."
            raise Refusal(403, "scope", words, caller.client_id)


def widest_rows(caller: Caller, rules_of_roles: Mapping[Role, Rule] = RULES) -> Rows:
    """Return the widest rows that this caller sees in a question. Raises Refusal 403 without any question."""
    if caller == ANYBODY:
        return WITHOUT_AUTHENTICATION.rows
    of_caller = [rules_of_roles[role] for role in caller.roles]
    seen = [rule.rows for rule in of_caller if rule.questions]
    if not seen:
        words = "No question is open to this caller. A role is given with the key (edugraph keys create --role)."
        raise Refusal(403, "role", words, caller.client_id)
    return min(seen, key=WIDEST_FIRST.index)


def person_of(caller: Caller) -> str:
    """Return the id of the person whose key or token it is. Raises Refusal 403 if the caller has no such id."""
    if not caller.person:
        words = "This key or token does not say whose it is: it needs a person's id (edugraph keys create --person)."
        raise Refusal(403, "rows", words, caller.client_id)
    return caller.person


def owner_of(graph: Graph, person_id: str) -> str:
    """Return the id at whose node the records of a person are. `person_id` may be any id of the person."""
    for row in graph.read("owner_of", id=person_id):
        return str(row["owner"])
    return person_id


def own_person(graph: Graph, caller: Caller) -> str:
    """Return the id at whose node the records of the caller's own person are. Raises Refusal 403 without a person."""
    return owner_of(graph, person_of(caller))


def roster(
    graph: Graph,
    caller: Caller,
    rule: Rule,
    asked: Parameters,
    now: datetime,
    *,
    members_at: datetime | None = None,
    most_students: int = MAX_STUDENTS,
    listed: frozenset[str] | None = None,
) -> Roster:
    """Return the students that a question is about and that the caller may see: of a course, a group, or one student.

    For a caller who sees cells, these are the students who had joined the course at `members_at`, the end of a closed
    week. For a caller who may see everybody, a group has its members at `members_at`, or of today. A teacher sees the
    members of today and of a short while ago; as of a day, only those of them who were members on that day. Members
    of a group count only if they are students of the course.

    `most_students` is the limit for exact answers about a whole course of today. All others have MAX_STUDENTS.
    `listed` are the students of a list of the caller: the question is about nobody else. The list gives no right.

    Raises Refusal 403 if the caller may not ask in this way, Refusal 404 for a student who does not exist or whom the
    caller may not see, TooLarge, Busy, and Retryable.
    """
    refuse_detail(caller, rule, asked)
    moment = members_at or now
    if rule.rows == "cells":
        known = joined(graph, asked.course)
        by_then = {student: at for student, at in known.items() if at <= moment}
        return Roster(tuple(sorted(by_then)), in_cells=True, joined=by_then)
    if rule.rows == "self":
        permitted = _not_restricted(graph, own_person(graph, caller))
    elif rule.rows == "own groups":
        permitted = _of_teacher(graph, own_person(graph, caller), asked, now, moment)
    elif asked.student is not None:
        permitted = _not_restricted(graph, asked.student)
    elif asked.group is not None:
        permitted = _members(graph, asked.group, moment)
    elif listed is not None:
        permitted = _not_restricted(graph, *sorted(listed))
    elif asked.as_of is not None:
        return Roster(_there_by(graph, asked.course, moment), in_cells=False)
    else:
        students, _ = students_of_course(graph, asked.course, most_students)
        return Roster(students, in_cells=False)
    return _wanted_of(graph, caller, asked, permitted, moment=moment, listed=listed)


def _wanted_of(
    graph: Graph,
    caller: Caller,
    asked: Parameters,
    permitted: frozenset[str],
    *,
    moment: datetime,
    listed: frozenset[str] | None,
) -> Roster:
    """Return those of the permitted students that a question is about: of its list, or the one student."""
    wanted = permitted
    if listed is not None:
        wanted &= listed
    if asked.student is not None:
        if asked.student not in wanted:
            words = "There is no such student, or none whom this caller may see in this course; check the id."
            raise Refusal(404, "not-found", words, caller.client_id)
        wanted &= {asked.student}
    joined_until = None
    if asked.as_of is not None:
        joined_until = moment
    in_course = _in_course(graph, asked.course, wanted, joined_until)
    about = wanted
    if listed is not None and asked.student is None:
        about = listed
    return Roster(tuple(sorted(in_course)), in_cells=False, outsiders=len(about) - len(in_course))


def refuse_detail(caller: Caller, rule: Rule, asked: Parameters) -> None:
    """Raise Refusal 403 if the caller sees cells only and gave a parameter that would make other cells.

    A caller who sees groups may not ask about one student.
    """
    if rule.rows == "groups" and asked.student is not None:
        words = "Heads of this school see groups and no persons; leave out student."
        raise Refusal(403, "rows", words, caller.client_id)
    if rule.rows == "groups" and asked.own_list is not None:
        # A list may have one student.
        words = "Heads of this school see groups and no persons; leave out list."
        raise Refusal(403, "rows", words, caller.client_id)
    if rule.rows != "cells":
        return
    given: dict[str, object] = {
        "group": asked.group,
        "list": asked.own_list,
        "student": asked.student,
        "from": asked.since,
        "to": asked.until,
        "term": asked.term,
        "as_of": asked.as_of,
    }
    detail = [name for name, value in given.items() if value is not None]
    # A threshold that a caller may move is a free choice of sets.
    fields = type(asked).model_fields
    detail += [
        name for name in asked.fixed_in_cells if getattr(asked, name) != fields[name].default
    ]
    if detail:
        words = f"Without the right to see persons a question is about a whole course; leave out {', '.join(detail)}."
        raise Refusal(403, "rows", words, caller.client_id)


def _of_teacher(
    graph: Graph, teacher: str, asked: Parameters, now: datetime, moment: datetime
) -> frozenset[str]:
    """Return the students of a teacher's groups; as of a day, only the members of the group at `moment`."""
    in_each_course = [
        _led(graph, teacher, course, asked.group, now=now) for course in asked.courses
    ]
    permitted = frozenset.intersection(*in_each_course)
    if asked.as_of is not None and asked.group is not None:
        permitted &= _members(graph, asked.group, moment)
    return permitted


def _led(
    graph: Graph,
    teacher: str,
    course: str,
    group: str | None,
    *,
    now: datetime,
    former: timedelta = FORMER_MEMBERS,
) -> frozenset[str]:
    """Return the students of the groups of this teacher that show this course, and who left within `former`."""
    rows = graph.read(
        "students_led",
        person=teacher,
        course=course,
        group=group,
        now=now.isoformat(),
        since=(now - former).isoformat(),
    )
    return frozenset(row["student"] for row in rows)


def _members(graph: Graph, group: str, at: datetime) -> frozenset[str]:
    rows = graph.read("students_of_group", group=group, now=at.isoformat())
    return frozenset(row["student"] for row in rows)


def need_to_lead(graph: Graph, caller: Caller, student: str, course: str, now: datetime) -> None:
    """Raise Refusal 403 unless this caller, as a teacher, leads this student in this course now.

    The answer is the same for a student or a course that does not exist.
    """
    if "teacher" not in caller.roles:
        words = "Only a teacher who leads a student may write what was done about the student."
        raise Refusal(403, "role", words, caller.client_id)
    led = _led(graph, own_person(graph, caller), course, None, now=now, former=timedelta(0))
    wanted = led & {owner_of(graph, student)}
    if not _in_course(graph, course, wanted, None):
        words = "You do not lead this student in this course, so you may not write what was done."
        raise Refusal(403, "rows", words, caller.client_id)


def led_students(
    graph: Graph, caller: Caller, course: str, student: str | None, now: datetime
) -> frozenset[str]:
    """Return the students whom this caller, as a teacher, leads in this course now, or only this student.

    Raises Refusal 403 if there are none. The answer is the same for a student or a course that does not exist.
    """
    if "teacher" not in caller.roles:
        words = "Only a teacher who leads students may ask for drafts about them."
        raise Refusal(403, "role", words, caller.client_id)
    wanted = _led(graph, own_person(graph, caller), course, None, now=now, former=timedelta(0))
    if student is not None:
        wanted &= {owner_of(graph, student)}
    found = _in_course(graph, course, wanted, None)
    if not found:
        words = "You lead no such student in this course, so there is no draft for you."
        raise Refusal(403, "rows", words, caller.client_id)
    return found


def leads_in(
    graph: Graph,
    caller: Caller,
    course: str,
    now: datetime,
    group: str | None = None,
    *,
    listed: frozenset[str] | None = None,
) -> bool:
    """Return whether this caller, as a teacher, leads a student in this course now.

    With a group, or the students of a list, only those count.
    """
    if "teacher" not in caller.roles or not caller.person:
        return False
    teacher = own_person(graph, caller)
    led = _led(graph, teacher, course, group, now=now, former=timedelta(0))
    if listed is not None:
        led &= listed
    return bool(_in_course(graph, course, led, None))


def _not_restricted(graph: Graph, *students: str) -> frozenset[str]:
    return frozenset(row["student"] for row in graph.read("not_restricted", students=[*students]))


def _in_course(
    graph: Graph, course: str, students: frozenset[str], until: datetime | None
) -> frozenset[str]:
    """Return those of these students who are in a course, with `until` only those who joined by this moment."""
    statement = "first_answers"
    if has_course_records(graph, course):
        statement = "first_course_record"
    found = set()
    for row in graph.read(statement, students=sorted(students), course=course):
        joined = row["at"] or ALWAYS
        if until is None or joined <= until:
            found.add(row["student"])
    return frozenset(found)


def _there_by(graph: Graph, course: str, moment: datetime) -> tuple[str, ...]:
    """Return the students who had joined a course by a moment. Students never leave a course."""
    return tuple(student for student, at in joined(graph, course).items() if at <= moment)


def joined(graph: Graph, course: str) -> dict[str, datetime]:
    """Return the time when each student joined a course, ALWAYS if no record says it."""
    students, statement = students_of_course(graph, course)
    rows = graph.read(statement, students=list(students), course=course)
    known = {row["student"]: row["at"] or ALWAYS for row in rows}
    return {student: known.get(student, ALWAYS) for student in students}


def students_of_course(
    graph: Graph, course: str, most_students: int = MAX_STUDENTS
) -> tuple[tuple[str, ...], str]:
    """Return the students of a course, and the name of the statement that reads when they joined.

    Raises TooLarge if there are more than `most_students`.
    """
    # `has_course_records` would read the first student of this statement. Here all are read anyway.
    [found] = graph.read("students_of_course", course=course, limit=most_students + 1)
    statement = "first_course_record"
    if not found["students"]:
        [found] = graph.read("students_with_answers", course=course, limit=most_students + 1)
        statement = "first_answers"
    students = tuple(sorted(found["students"]))
    if len(students) > most_students:
        raise TooLarge(
            f"The course has more than {most_students:,} students", "Ask for one group of it."
        )
    return students, statement
