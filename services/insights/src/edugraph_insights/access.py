"""Who may ask what, and of whom: one table of roles, and the students who are permitted, found before anything else.

Statements are given the permitted students and begin there. Others are never expanded, filtered afterwards, or
counted. Nobody who is restricted is among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from edugraph_common.contracts.permissions import Role, Scope
from edugraph_common.platform.callers import ANYBODY, Caller
from edugraph_common.platform.problems import Refusal
from edugraph_insights.facts import has_standings
from edugraph_insights.graph import Graph
from edugraph_insights.problems import TooLarge
from edugraph_insights.questions.question import Parameters
from edugraph_insights.small_groups import entered

MAX_STUDENTS = 10_000  # of one question
ALWAYS = datetime.min.replace(tzinfo=UTC)
FORMER_MEMBERS = timedelta(days=30)  # for which a teacher still sees who was in their group
Rows = Literal["everybody", "own groups", "self", "cells", "nobody"]

# Questions that can be answered without telling of a person.
IN_CELLS = frozenset(
    {"weak-points", "earlier-gaps", "returning-mistakes", "difficulty", "items", "travelling-weaknesses",
     "untaught-points", "trust", "course-map", "mood", "trend", "mastery"}
)  # fmt: skip
ABOUT_PERSONS = frozenset(
    {"student", "next", "needs-help", "attention", "ties", "records", "roster", "review-queue", "review-points"}
)
# Two groups of one's own choice could be cut as small as one likes, so it is no question of cells.
OF_TWO_GROUPS = frozenset({"groups"})
EVERY_QUESTION = IN_CELLS | ABOUT_PERSONS | OF_TWO_GROUPS


@dataclass(frozen=True)
class Rule:
    """Of whom a role sees rows, and in which questions."""

    rows: Rows
    questions: frozenset[str]


RULES: Mapping[Role, Rule] = {
    "analyst": Rule("cells", IN_CELLS),
    "head": Rule("cells", IN_CELLS),
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
            }
        ),
    ),
    "counsellor": Rule("everybody", frozenset({"mood", "ties", "attention", "roster"})),
    "officer": Rule("nobody", frozenset()),
}
# Without authentication everything is open, as at the gateway; such a run listens on the loopback only.
WITHOUT_AUTHENTICATION = Rule("everybody", EVERY_QUESTION)
# What shows the graph as a whole is no question of a role: it needs all of these scopes. Without `personal` a caller
# sees nothing of a person there.
WHOLE_GRAPH: Mapping[str, tuple[Scope, ...]] = {
    "digest": ("read",),
    "summary": ("read",),
    "reviews": ("read", "personal"),
    "export": ("read", "personal"),
    "check": ("operate",),
}
WIDEST_FIRST: tuple[Rows, ...] = ("everybody", "own groups", "self", "cells")


@dataclass(frozen=True)
class Roster:
    """The students whom one question is about, and whether their numbers are published in cells only.

    `outsiders` is the number of students whom the question was also about and who are not in the course.
    """

    students: tuple[str, ...]
    in_cells: bool
    outsiders: int = 0


def rule_for(caller: Caller, question: str) -> Rule:
    """Return the rule by which this caller may ask this question. Raises Refusal 403."""
    if caller == ANYBODY:
        return WITHOUT_AUTHENTICATION
    rules = [RULES[role] for role in caller.roles if question in RULES[role].questions]
    if not rules:
        have = f"it has {', '.join(caller.roles)}" if caller.roles else "it has none"
        needed = ", ".join(role for role, rule in RULES.items() if question in rule.questions)
        words = f"The question {question} needs one of the roles {needed}; {have}. A role is given with the key"
        raise Refusal(403, "role", f"{words} (edugraph keys create --role) or in the token.", caller.client_id)
    return min(rules, key=lambda rule: WIDEST_FIRST.index(rule.rows))


def need_scopes(caller: Caller, what: str) -> None:
    """Raise Refusal 403 for who may not see this of the whole graph."""
    for scope in WHOLE_GRAPH[what]:
        if not caller.may(scope):
            words = f"This needs the scope {scope}, which your key, token or account has not."
            raise Refusal(403, "scope", words, caller.client_id)


def widest_rows(caller: Caller) -> Rows:
    """Return of whom this caller sees rows in at least one question. Raises Refusal 403 if in none."""
    if caller == ANYBODY:
        return WITHOUT_AUTHENTICATION.rows
    seen = [RULES[role].rows for role in caller.roles if RULES[role].questions]
    if not seen:
        words = "No question is open to this caller. A role is given with the key (edugraph keys create --role)."
        raise Refusal(403, "role", words, caller.client_id)
    return min(seen, key=WIDEST_FIRST.index)


def person_of(caller: Caller) -> str:
    """Return whose key or token it is. Raises Refusal 403 where it does not say."""
    if not caller.person:
        words = "This key or token does not say whose it is: it needs a person's id (edugraph keys create --person)."
        raise Refusal(403, "rows", words, caller.client_id)
    return caller.person


def roster(
    graph: Graph, caller: Caller, rule: Rule, asked: Parameters, now: datetime, *, members_at: datetime | None = None
) -> Roster:
    """Return the students whom a question is about and whom the caller may see: of a course, a group, or one student.

    A caller who may see everybody asks about the group's members at `members_at`, or of today; a teacher sees who is
    in it now, or was a short while ago, and asks as of a day about those of them who were members then. Members of a
    group count where they are students of the course.

    Raises Refusal 403 where the caller may not ask this way, Refusal 404 for a student who is not there or whom the
    caller may not see, TooLarge, Busy, and Retryable.
    """
    refuse_detail(caller, rule, asked)
    if rule.rows == "cells":
        return Roster(_entered(graph, asked.course, now), in_cells=True)
    if rule.rows == "self":
        permitted = _not_restricted(graph, person_of(caller))
    elif rule.rows == "own groups":
        teacher = person_of(caller)
        permitted = frozenset.intersection(
            *(_led(graph, teacher, course, asked.group, now) for course in asked.courses)
        )
        if asked.as_of is not None and asked.group is not None:
            permitted &= _members(graph, asked.group, members_at or now)
    elif asked.student is not None:
        permitted = _not_restricted(graph, asked.student)
    elif asked.group is not None:
        permitted = _members(graph, asked.group, members_at or now)
    elif asked.as_of is not None:
        return Roster(_there_by(graph, asked.course, members_at or now), in_cells=False)
    else:
        return Roster(students_of_course(graph, asked.course)[0], in_cells=False)
    if asked.student is not None and asked.student not in permitted:
        words = "There is no such student, or none whom this caller may see in this course; check the id."
        raise Refusal(404, "not-found", words, caller.client_id)
    wanted = permitted if asked.student is None else frozenset({asked.student})
    until = None if asked.as_of is None else members_at or now
    students = _in_course(graph, asked.course, wanted, until)
    return Roster(tuple(sorted(students)), in_cells=False, outsiders=len(wanted) - len(students))


def refuse_detail(caller: Caller, rule: Rule, asked: Parameters) -> None:
    """Raise Refusal 403 for what could cut a cell as small as one likes, if the caller sees cells."""
    if rule.rows != "cells":
        return
    given: dict[str, object] = {
        "group": asked.group,
        "student": asked.student,
        "from": asked.since,
        "to": asked.until,
        "term": asked.term,
        "as_of": asked.as_of,
    }
    detail = [name for name, value in given.items() if value is not None]
    if detail:
        words = f"Without the right to see persons a question is about a whole course; leave out {', '.join(detail)}."
        raise Refusal(403, "rows", words, caller.client_id)


def _led(graph: Graph, teacher: str, course: str, group: str | None, now: datetime) -> frozenset[str]:
    """Return who is, or was until a short while ago, in a group of this teacher that shows this course."""
    since = (now - FORMER_MEMBERS).isoformat()
    rows = graph.read("students_led", person=teacher, course=course, group=group, now=now.isoformat(), since=since)
    return frozenset(row["student"] for row in rows)


def _members(graph: Graph, group: str, at: datetime) -> frozenset[str]:
    rows = graph.read("students_of_group", group=group, now=at.isoformat())
    return frozenset(row["student"] for row in rows)


def _not_restricted(graph: Graph, student: str) -> frozenset[str]:
    return frozenset(row["student"] for row in graph.read("not_restricted", students=[student]))


def _in_course(graph: Graph, course: str, students: frozenset[str], until: datetime | None) -> frozenset[str]:
    """Return which of these students are in a course, or were by a moment."""
    since = "first_standing" if has_standings(graph, course) else "first_answers"
    found = set()
    for row in graph.read(since, students=sorted(students), course=course):
        joined = row["at"] or ALWAYS
        if until is None or joined <= until:
            found.add(row["student"])
    return frozenset(found)


def _entered(graph: Graph, course: str, now: datetime) -> tuple[str, ...]:
    """Return who counts in cells of a course."""
    return entered({student: at.date() for student, at in _joined(graph, course).items()}, now.date())


def _there_by(graph: Graph, course: str, moment: datetime) -> tuple[str, ...]:
    """Return who was in a course at a moment; nobody leaves one."""
    return tuple(student for student, at in _joined(graph, course).items() if at <= moment)


def _joined(graph: Graph, course: str) -> dict[str, datetime]:
    """Return since when each student is in a course. Of whom no record says it was always there."""
    students, since = students_of_course(graph, course)
    rows = graph.read(since, students=list(students), course=course)
    told = {row["student"]: row["at"] or ALWAYS for row in rows}
    return {student: told.get(student, ALWAYS) for student in students}


def students_of_course(graph: Graph, course: str) -> tuple[tuple[str, ...], str]:
    """Return who is in a course, and the statement that tells since when."""
    # `has_standings` asks for the first row of the same statement; here all are read anyway.
    rows, since = graph.read("students_of_course", course=course, limit=MAX_STUDENTS + 1), "first_standing"
    if not rows:
        rows, since = graph.read("students_with_answers", course=course, limit=MAX_STUDENTS + 1), "first_answers"
    if len(rows) > MAX_STUDENTS:
        raise TooLarge(f"The course has more than {MAX_STUDENTS:,} students", "Ask for one group of it.")
    return tuple(sorted(row["student"] for row in rows)), since
