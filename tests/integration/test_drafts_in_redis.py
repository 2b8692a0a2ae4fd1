"""Drafts by the real client of the model and a real Redis: the form of the request, the budget, and an erasure."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.drafts import Draft, DraftBasis
from edugraph_common.contracts.messages import WriteDraft
from edugraph_common.contracts.personal_data import patterns_of
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.model_permits import (
    PERMIT_LIFETIME,
    ModelPermits,
    permit_of,
)
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_common.sources.person import Person, Scrubbed

if TYPE_CHECKING:
    import redis

NOW = datetime(2026, 12, 2, 12, tzinfo=UTC)
TEACHER = Caller("k1", ("read:own", "personal"), ("teacher",), "T01")
BASIS = DraftBasis.model_validate(
    {
        "kind": "summary",
        "course_id": "MATH8",
        "students": [{"student_id": "stu-05", "name": "Anna Keller"}],
        "records": [
            {
                "number": 1,
                "record_id": "r1",
                "student_id": "stu-05",
                "at": "2026-11-02",
                "outcome": 0,
                "text": "Anna Keller: 2/5",
            }
        ],
    }
)
MESSAGE = WriteDraft(job_id="j", basis=BASIS, permit=permit_of(TEACHER, BASIS))
ANSWER = {"sentences": ["S1 adds denominators [1].", "S1 is lazy.", "All is well [2]."]}


class WithSocket(httpx2.MockTransport):
    """A transport that says when it sends the head of a request, as one with a socket does."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        trace: Callable[[str, Any], None] = request.extensions["trace"]
        trace("http11.send_request_headers.started", {"request": request})
        return super().handle_request(request)


def writing(client: "redis.Redis", sent: list[Any], **settings: Any) -> Draft:
    """Write the draft of MESSAGE at a provider that gives ANSWER, and note what it is sent."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        choice = {
            "message": {"role": "assistant", "content": json.dumps(ANSWER)},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 400, "completion_tokens": 100}
        return httpx2.Response(200, json={"choices": [choice], "usage": usage})

    members = CourseMembers(client)
    members.tell("MATH8", ["Anna Keller"], members.epoch(), NOW)
    members.tell_restricted([], members.epoch())
    made = AnalyzerSettings(
        openai_api_key="k",
        openai_base_url="http://provider.invalid/v1",
        model="m",
        prices={"m": {"input": 1, "output": 1}},
        **settings,
    )
    pipeline = Pipeline(made, client, members=members, transport=WithSocket(answer))
    return pipeline.draft_writer(lambda: NOW).write(MESSAGE)


def test_a_draft_is_asked_in_a_form_of_its_own_and_counted(client: "redis.Redis") -> None:
    """Out: `form` of the request, `redact`, or the limiter of the client."""
    sent: list[Any] = []
    draft = writing(client, sent)
    [request] = sent
    assert request["response_format"]["json_schema"]["name"] == "draft"
    assert list(request["response_format"]["json_schema"]["schema"]["properties"]) == ["sentences"]
    assert "Anna" not in json.dumps(request)
    assert [each.text for each in draft.sentences] == ["Anna Keller adds denominators."]
    assert draft.removed == 2
    assert draft.cost == pytest.approx(0.0005)
    kept = client.hgetall("edugraph:cost:drafts-2026-12-02")
    assert kept["draft|m|requests"] == "1"
    assert float(kept["cost"]) == pytest.approx(0.0005)
    assert list(client.scan_iter("edugraph:limit:*"))


def test_a_spent_budget_ends_the_drafts_of_a_day(client: "redis.Redis") -> None:
    """Out: `check` of the payer."""
    sent: list[Any] = []
    assert writing(client, sent, budget_per_job=0.0004).state == "draft"
    second = writing(client, sent, budget_per_job=0.0004)
    assert second.state == "failed"
    assert "budget" in (second.error or "")
    assert len(sent) == 1


def test_an_erasure_ends_permit_and_draft(client: "redis.Redis") -> None:
    """Out: `student_ids` in STUDENT_FIELDS, the eraser of an entry, or the look at the value of a permit."""
    permits = ModelPermits(client)
    permits.give(TEACHER, BASIS)
    [key] = client.scan_iter("edugraph:draft-permit:*")
    assert 0 < client.pttl(key) <= PERMIT_LIFETIME.total_seconds() * 1_000
    result = {"status": "SUCCESS", "result": writing(client, []).model_dump(mode="json")}
    client.set("celery-task-meta-t", json.dumps(result))
    person = Person(frozenset({"stu-05"}))
    changed = RedisTexts(client).rewrite(
        patterns_of("results"), lambda text: Scrubbed(person, text).text
    )
    assert changed == 2
    assert not permits.holds(MESSAGE.permit)
    assert "Anna" not in (client.get("celery-task-meta-t") or "")
    assert "stu-05" not in (client.get(key) or "")
    assert client.pttl(key) > 0
