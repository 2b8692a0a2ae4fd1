"""Lists of students that a caller made: saved views of the kind `list`. They filter questions (docs/adr/0158).

A list gives no right. A question about a list is about those of its students whom the caller may see at that moment.
"""

from pydantic import Field, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.saved_views import ViewState
from edugraph_insights.access import roster, rule_for, rules_of
from edugraph_insights.insights import Insights
from edugraph_insights.questions.question import Parameters

STUDENTS = "students"


class OfList(ContractModel):
    """The values of a list: a course, and ids of its students."""

    course: Id
    students: tuple[Id, ...] = Field(min_length=1, max_length=200)


def need_list(insights: Insights, caller: Caller, state: ViewState) -> None:
    """Raise Problem 422 if this is not a list, and Refusal 403 if the caller may not see each of its students."""
    if state.name != STUDENTS:
        raise Problem(422, "invalid", f"state.name: there is no list {state.name}")
    try:
        wanted = OfList.model_validate(state.values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("state.values", *first["loc"])))
        raise Problem(422, "invalid", f"{place}: {first['msg']}") from error
    rule = rule_for(caller, "roster", rules_of(insights.settings.head_sees))
    asked = Parameters(course=wanted.course)
    now = insights.now()
    listed = frozenset(wanted.students)
    seen = roster(insights.graph, caller, rule, asked, now, listed=listed)
    if len(seen.students) < len(listed):
        words = "A list has students of one course whom you may see in it; check the ids."
        raise Refusal(403, "rows", words, caller.client_id)


def listed_students(insights: Insights, caller: Caller, asked: Parameters) -> frozenset[str] | None:
    """Return the students of the list that a question is about. None: it is about no list. Raises Problem 404."""
    if asked.own_list is None:
        return None
    view = insights.views.find(caller.client_id, asked.own_list)
    listed = None
    if view is not None:
        listed = view.listed_in(asked.course)
    if listed is None:
        words = "You have no list with this id in this course; it may be deleted. List them: GET /v1/insights/views."
        raise Problem(404, "not-found", words)
    return listed
