"""The courses, groups and terms that a caller may ask about."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.permissions import Role, Scope
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.access import (
    FORMER_MEMBERS,
    Rows,
    Rule,
    owner_of,
    person_of,
    rules_of,
    widest_rows,
)
from edugraph_insights.graph import Graph, Row
from edugraph_insights.insights import Insights

# Scopes of those who look after the data of persons, at the gateway.
OFFICERS: tuple[Scope, ...] = ("privacy", "erase")
MOST_CHOICES = 2_000  # of each list
# The least likeness of a name that is proposed (difflib), and the largest number of proposals.
_LEAST_LIKENESS = 0.6
_MOST_PROPOSED = 3


class Choice(ContractModel):
    id: str
    name: str


class GroupChoice(Choice):
    """A group. A home room has no `courses`: its members may be asked about in each course that they learn."""

    courses: tuple[str, ...]


class ListChoice(Choice):
    """A list of students that the caller made in a course."""

    course: str


class TermChoice(Choice):
    starts: datetime
    ends: datetime


class Choices(ContractModel):
    """The choices of a caller.

    `sees` says which rows the caller may see. A caller who sees only cells may ask only about whole courses, so
    `groups` and `terms` are empty. A caller who may act for data protection but ask no question sees `nobody`.
    `person` is the caller's own id in the graph. `imports`, `reviews`, `drafts` and `privacy` say whether the scopes
    of the caller allow to import files, review findings, have drafts written, and act for data protection.
    `lists` are the caller's own lists of students.
    `school_name` and `time_zone` are those of the school; a name that is not set is empty.
    """

    sees: Rows
    person: str | None
    imports: bool
    reviews: bool
    drafts: bool
    privacy: bool
    school_name: str
    time_zone: str
    courses: tuple[Choice, ...]
    groups: tuple[GroupChoice, ...]
    terms: tuple[TermChoice, ...]
    lists: tuple[ListChoice, ...]


def available(insights: Insights, caller: Caller, lists: tuple[ListChoice, ...] = ()) -> Choices:
    """Return the courses, groups and terms of a caller, at most 2,000 of each. Raises Refusal 403 and Retryable.

    `lists` are shown as they are. Only a reader who shows them reads them from Redis, by `lists_of`.
    """
    settings = insights.settings
    rules = rules_of(settings.head_sees)
    sees = _rows_of(caller, rules)
    graph = insights.graph
    courses, groups = _courses_and_groups(graph, caller, sees, insights.now())
    terms: Iterable[Row] = ()
    if sees not in {"cells", "nobody"}:
        terms = graph.read("terms_to_choose", limit=MOST_CHOICES)
    sees_persons = caller.may("personal")
    may_follow_tasks = caller.may("read", "read:own")
    return Choices(
        sees=sees,
        person=caller.person,
        imports=caller.may("submit", "roster"),
        reviews=caller.may("review"),
        drafts=sees_persons and may_follow_tasks,
        privacy=caller.may(*OFFICERS),
        school_name=settings.school_name,
        time_zone=settings.school_time_zone,
        courses=_as_choices(courses),
        groups=tuple(GroupChoice(**row) for row in groups),
        terms=tuple(TermChoice(**row) for row in terms),
        lists=lists,
    )


def lists_of(insights: Insights, caller: Caller) -> tuple[ListChoice, ...]:
    """Return the lists of a caller. A caller who sees no persons has none. Raises Refusal 403 and Retryable."""
    sees = _rows_of(caller, rules_of(insights.settings.head_sees))
    if sees not in {"everybody", "own groups"}:
        return ()
    found = []
    for view_id, view in insights.views.of(caller.client_id).items():
        course = view.state.values.get("course")
        if view.state.kind == "list" and isinstance(course, str):
            found.append(ListChoice(id=view_id, name=view.name, course=course))
    return tuple(found)


def courses_of(insights: Insights, caller: Caller) -> tuple[Choice, ...]:
    """Return the courses of a caller, at most 2,000. Raises Refusal 403 and Retryable."""
    rules = rules_of(insights.settings.head_sees)
    sees = widest_rows(caller, rules)
    courses, _ = _courses_and_groups(insights.graph, caller, sees, insights.now())
    return _as_choices(courses)


def _rows_of(caller: Caller, rules: Mapping[Role, Rule]) -> Rows:
    """Return the widest rows that a caller sees. An officer needs no question. Raises Refusal 403."""
    may_ask = caller == ANYBODY or any(rules[role].questions for role in caller.roles)
    if not may_ask and caller.may(*OFFICERS):
        return "nobody"
    return widest_rows(caller, rules)


def _as_choices(rows: Iterable[Row]) -> tuple[Choice, ...]:
    return tuple(Choice(**row) for row in rows)


def nearest(given: str, choices: Sequence[Choice]) -> list[Choice]:
    """Return the choices whose id or name is most like `given`, the likest first, at most three.

    Case does not count. A name that has all of `given` in it comes before one that is only like it.
    """
    wanted = given.casefold().strip()
    by_word: dict[str, Choice] = {}
    for choice in choices:
        by_word.setdefault(choice.id.casefold(), choice)
        by_word.setdefault(choice.name.casefold(), choice)
    words = [word for word in by_word if wanted and wanted in word]
    words += get_close_matches(wanted, by_word, n=2 * _MOST_PROPOSED, cutoff=_LEAST_LIKENESS)
    found: dict[str, Choice] = {}
    for word in words:
        choice = by_word[word]
        found.setdefault(choice.id, choice)
    return list(found.values())[:_MOST_PROPOSED]


def _courses_and_groups(graph: Graph, caller: Caller, sees: Rows, now: datetime) -> tuple[Any, Any]:
    """Return the rows of the courses and of the groups that the caller may ask about. No other rows are read."""
    if sees == "nobody":
        return [], []
    if sees == "cells":
        return graph.read("all_courses", limit=MOST_CHOICES), []
    if sees in {"everybody", "groups"}:
        groups = graph.read("all_groups", limit=MOST_CHOICES)
        return graph.read("all_courses", limit=MOST_CHOICES), groups
    own_id = person_of(caller)
    person = owner_of(graph, own_id)
    if sees == "self":
        learned = graph.read("courses_of_students", students=[person])
        return graph.read("courses", courses=[row["id"] for row in learned]), []
    times = {"now": now.isoformat(), "since": (now - FORMER_MEMBERS).isoformat()}
    groups = graph.read("groups_led", person=person, **times)
    home_rooms = [group["id"] for group in groups if not group["courses"]]
    learned = graph.read("courses_of_groups", groups=home_rooms, **times)
    ids = {row["id"] for row in learned}
    for group in groups:
        ids.update(group["courses"])
    return graph.read("courses", courses=sorted(ids)), groups
