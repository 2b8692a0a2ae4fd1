"""Whose task it is decides who sees it, and `personal` what of it."""

from typing import Any, cast

import pytest

from edugraph_common.contracts.permissions import Scope
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.routes.tasks import show_task
from edugraph_gateway.operations.restriction import Restrictions
from edugraph_gateway.operations.task_results import TaskAnswer

RECORD = {"type": "error_record", "data": {"student_id": "s"}}
RESULT = {"job_id": "j", "written": 1, "errors": [RECORD]}


class Parts:
    """Stands for results, owners and the audit trail; one client sent the task."""

    def __init__(self) -> None:
        self.shown_to: list[str] = []

    @staticmethod
    def owner(task_id: str) -> str:
        return "sender" if task_id == "t" else ""

    @staticmethod
    def show(task_id: str) -> TaskAnswer:
        return TaskAnswer(
            task_id=task_id, state="FAILURE", result=RESULT, error="ValueError: of a row"
        )

    def shown(self, caller: Caller, *_: str) -> None:
        self.shown_to.append(caller.client_id)


def seen(
    client: str, *scopes: Scope, restricted: tuple[str, ...] = ()
) -> tuple[Any, str | None, bool]:
    """The result, the error, and whether the audit log has it."""
    parts = cast("Any", Parts())
    answer = show_task(
        caller=Caller(client_id=client, scopes=scopes),
        results=parts,
        owners=parts,
        trail=parts,
        restrictions=Restrictions(lambda: frozenset(restricted)),
        task_id="t",
    )
    return answer.result, answer.error, parts.shown_to == [client]


PLAIN = {"job_id": "j", "written": 1}


def test_a_task_of_another_is_not_there_with_read_own_alone() -> None:
    """Out: `own or caller.may` in show_task."""
    assert seen("sender", "read:own") == (PLAIN, "ValueError: of a row", False)
    assert seen("sender", "review") == (PLAIN, "ValueError: of a row", False)
    assert seen("other", "read") == (PLAIN, "ValueError", False)
    for scope in ("read:own", "review"):
        with pytest.raises(Problem) as problem:
            seen("other", scope, "personal", "operate")
        assert problem.value.status == 404


def test_with_personal_a_result_is_shown_and_noted_without_who_is_restricted() -> None:
    """Out: `may("personal")`, `trail.shown` or `json_without` in show_task."""
    assert seen("other", "read", "personal") == (RESULT, "ValueError: of a row", True)
    assert seen("sender", "read:own", "personal", restricted=("t", "s"))[0] == {
        **RESULT,
        "errors": [{}],
    }
