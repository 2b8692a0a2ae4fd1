"""The inventory with the days that are set, a trial of an erasure in the audit log, and the tasks of an officer."""

import asyncio
import dataclasses
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.personal_data import PLACES
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.routes.personal_data import personal_data
from edugraph_gateway.app import make_application
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.operations.task_results import TaskAnswer
from edugraph_gateway.settings import GatewaySettings

SERVERS = {
    "redis_url": "redis://127.0.0.1:1",
    "broker_url": "amqp://127.0.0.1:1",
    "blob_url": "/tmp",
}
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_the_inventory_has_each_place_and_the_days_that_are_set() -> None:
    """Out: `left` of `_place`, or a setting of `_days_that_are_set`."""
    settings = {**SERVERS, "reject_retention_days": 9, "graph_text_retention_days": 400}
    found = personal_data(GatewaySettings.model_validate(settings)).model_dump(mode="json")
    assert [each["name"] for each in found["places"]] == [each.name for each in PLACES]
    [teacher] = [each for each in found["places"] if each["name"] == "graph.teacher"]
    assert (teacher["eraser"], teacher["level"], teacher["store"]) == (None, "personal", "graph")
    assert teacher["left"].keys() == teacher["holds"].keys() == {"en", "zh"}
    days = found["days"]
    assert days["EDUGRAPH_REJECT_RETENTION_DAYS"] == 9
    assert days["EDUGRAPH_GRAPH_TEXT_RETENTION_DAYS"] == 400
    assert days["EDUGRAPH_GRAPH_RECORD_RETENTION_DAYS"] == 0
    named = {each.retention for each in PLACES} - {None}
    of_others = {
        "EDUGRAPH_CACHE_TTL_SECONDS",
        "EDUGRAPH_SESSION_MINUTES",
        "EDUGRAPH_VIEW_RETENTION_DAYS",
        "EDUGRAPH_DIGEST_RETENTION_DAYS",
        "EDUGRAPH_BATCH_DEADLINE_SECONDS",
    }
    assert named - days.keys() == of_others


async def asked(method: str, path: str, caller: Caller, **parts: Any) -> httpx.Response:
    """Ask a gateway without servers, with some of its parts replaced, as this caller."""

    async def admit(*_: Any) -> Caller:
        return caller

    async def send_task(task: Any, _owner: str) -> Accepted:
        return Accepted(job_id=task.message.job_id, task_id="t")

    gateway: Any = open_gateway(GatewaySettings.model_validate(SERVERS), now=lambda: NOW)
    object.__setattr__(gateway.intake.submitter, "send_task", send_task)
    admission = SimpleNamespace(admit=admit)
    app = make_application(dataclasses.replace(gateway, admission=admission, **parts))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(("query", "what"), [("", ""), ("?dry_run=true", "dry run")])
def test_a_trial_of_an_erasure_is_in_the_audit_log_as_one(query: str, what: str) -> None:
    """Out: `what` in `forget_student`."""
    noted: list[Any] = []
    audit = SimpleNamespace(record=lambda *entry, **_: noted.append(entry))
    officer = Caller("k1", ("erase",))
    answer = asyncio.run(asked("DELETE", f"/v1/students/S1{query}", officer, audit=audit))
    assert answer.status_code == 202
    [(_, action, noted_what, _)] = noted
    assert (action, noted_what) == ("student.forget", what)


@pytest.mark.parametrize("scope", ["privacy", "erase"])
@pytest.mark.parametrize(("owner", "status"), [("k1", 200), ("k2", 404)])
def test_who_protects_data_follows_their_own_task_and_no_other(
    scope: Any, owner: str, status: int
) -> None:
    """Out: `own` in `show_task`. The scopes of TaskReader are in test_scopes_of_operations.py."""
    found = TaskAnswer(task_id="t", state="SUCCESS", result={"known": True, "left": ["S1"]})
    parts: dict[str, Any] = {
        "task_owners": SimpleNamespace(owner=lambda _: owner),
        "results": SimpleNamespace(show=lambda _: found),
        "audit": SimpleNamespace(record=lambda *_, **__: None),
    }
    answer = asyncio.run(asked("GET", "/v1/tasks/t", Caller("k1", (scope,)), **parts))
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["result"] == {"known": True}
