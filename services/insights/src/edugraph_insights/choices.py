"""GET /v1/insights/choices: the courses, groups and terms that a caller may ask about. The page reads it first."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fastapi import APIRouter

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.access import FORMER_MEMBERS, Rows, person_of, widest_rows
from edugraph_insights.api import CallerDep, InsightsDep
from edugraph_insights.graph import Graph, Row
from edugraph_insights.problems import problem_responses

MOST_CHOICES = 2_000  # of each list

router = APIRouter()


class Choice(ContractModel):
    id: str
    name: str


class GroupChoice(Choice):
    """A group. A home room has no `courses`: its members may be asked about in each course that they learn."""

    courses: tuple[str, ...]


class TermChoice(Choice):
    starts: datetime
    ends: datetime


class Choices(ContractModel):
    """The choices of a caller.

    `sees` says which rows the caller may see. A caller who sees only cells may ask only about whole courses, so
    `groups` and `terms` are empty. `person` is the caller's own id in the graph. `imports` and `reviews` say whether
    the caller may import files and review findings.
    """

    sees: Rows
    person: str | None
    imports: bool
    reviews: bool
    courses: tuple[Choice, ...]
    groups: tuple[GroupChoice, ...]
    terms: tuple[TermChoice, ...]


@router.get(
    "/v1/insights/choices",
    tags=["insights"],
    summary="About which courses, groups and terms may this caller ask?",
    responses=problem_responses(401, 403, 429, 503),
)
def choices(insights: InsightsDep, caller: CallerDep) -> Choices:
    """Return the courses, groups and terms that the caller may ask about. Each list has 2,000 entries at most."""
    sees = widest_rows(caller)
    courses, groups = _courses_and_groups(insights.graph, caller, sees, insights.now())
    terms: Iterable[Row] = ()
    if sees != "cells":
        terms = insights.graph.read("terms_to_choose", limit=MOST_CHOICES)
    return Choices(
        sees=sees,
        person=caller.person,
        imports=caller.may("submit", "roster"),
        reviews=caller.may("review"),
        courses=tuple(Choice(**row) for row in courses),
        groups=tuple(GroupChoice(**row) for row in groups),
        terms=tuple(TermChoice(**row) for row in terms),
    )


def _courses_and_groups(graph: Graph, caller: Caller, sees: Rows, now: datetime) -> tuple[Any, Any]:
    """Return the rows of the courses and of the groups that the caller may ask about. No other rows are read."""
    if sees == "cells":
        return graph.read("all_courses", limit=MOST_CHOICES), []
    if sees == "everybody":
        groups = graph.read("all_groups", limit=MOST_CHOICES)
        return graph.read("all_courses", limit=MOST_CHOICES), groups
    person = person_of(caller)
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
