"""The calls of Celery over the API: states, results, and what is raised."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, get_args

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_client import Client, Refused
from edugraph_client.tasks import CELERY_STATES, JobFailed, TaskResult, Tasks
from edugraph_common.contracts.outcomes import ENDED, JobState

CREATED = datetime.fromisoformat("2026-03-04T08:00:00+00:00")
ENDED_AT = CREATED + timedelta(seconds=90)
COUNTS = ("written", "unchanged", "rejected", "failed")


def report(state: str = "succeeded", **more: Any) -> dict[str, Any]:
    times = {"created": CREATED.isoformat(), "updated": ENDED_AT.isoformat()}
    return {"job_id": "j", "kind": "import", "state": state, "source": "records", **times, **more}


class Gateway:
    """Answers questions about the job with these, one after the other, and with the last one for ever."""

    def __init__(self, *answers: dict[str, Any] | int | Exception) -> None:
        self._answers = list(answers)
        self.requests = list[httpx.Request]()
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if request.method == "POST":
            return httpx.Response(202, json={"job_id": "j", "task_id": "t"})
        answer = self._answers[0]
        if len(self._answers) > 1:
            del self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return httpx.Response(answer, json={"detail": "a sentence"})
        return httpx.Response(200, json=answer)

    def client(self) -> Client:
        return Client("http://gateway", transport=httpx.MockTransport(self), sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def result(self) -> TaskResult:
        return TaskResult("j", self.client, sleep=self.sleep, clock=lambda: self.now)


def test_each_state_of_a_job_has_one_of_celery() -> None:
    assert CELERY_STATES.keys() == set(get_args(JobState))
    for state, of_celery in CELERY_STATES.items():
        result = Gateway(report(state)).result()
        assert result.state == of_celery
        assert result.ready() == (state in ENDED)


@given(st.lists(st.integers(0, 10**6), min_size=4, max_size=4), st.integers(0, 10**6))
def test_every_row_is_a_success_or_a_failure(counts: list[int], never_read: int) -> None:
    rows = dict(zip(COUNTS, counts, strict=True))
    read = sum(counts)
    answer = report("partly failed", **rows, read=read, expected=read + never_read)
    value = Gateway(answer).result().get()
    assert value.success_count == rows["written"] + rows["unchanged"]
    assert value.failure_count == rows["rejected"] + rows["failed"] + never_read
    assert value.duration_seconds == 90


def test_a_result_is_waited_for_also_while_the_gateway_is_away() -> None:
    away: Iterator[Any] = iter((report("queued"), 503, httpx.ConnectError("gone")))
    gateway = Gateway(*away, report("running"), report(written=3, read=3, expected=3))
    assert gateway.result().get(timeout=60).success_count == 3


def test_a_job_that_goes_on_is_waited_for_no_longer_than_was_said() -> None:
    """To take the guard out: let `get` look at no clock."""
    gateway = Gateway(report("running"))
    with pytest.raises(TimeoutError, match="it goes on"):
        gateway.result().get(timeout=10)
    assert gateway.now == pytest.approx(10, abs=1)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_did_not_succeed_raises_its_sentence(state: str) -> None:
    with pytest.raises(JobFailed, match="the file is gone"):
        Gateway(report(state, error="the file is gone")).result().get()


def test_a_job_that_is_not_there_is_refused_at_once() -> None:
    gateway = Gateway(404)
    with pytest.raises(Refused, match="a sentence"):
        gateway.result().get()
    assert len(gateway.requests) == 1


def test_records_go_as_lines_and_texts_to_their_kind() -> None:
    gateway = Gateway(report())
    tasks = Tasks(gateway.client)
    record = {"type": "error_record", "data": {"error_text": "漏乘"}}
    for task in (
        tasks.import_batch_task,
        tasks.import_records_async,
        tasks.import_records_with_callback,
    ):
        assert task.delay([record, record], batch_size=7).id == "j"
        sent = gateway.requests[-1]
        assert sent.url.path == "/v1/imports"
        assert sent.url.params["batch_size"] == "7"
        assert sent.content.decode().count("漏乘") == 2
    subjects = {
        tasks.analyze_interaction_task: "interactions",
        tasks.analyze_error_task: "errors",
        tasks.extract_knowledge_points_task: "knowledge-points",
    }
    for single, subject in subjects.items():
        single.delay(record)
        assert gateway.requests[-1].url.path == f"/v1/analyses/{subject}"
    tasks.batch_analyze_interactions_task.delay([record])
    assert gateway.requests[-1].url.path == "/v1/analyses/interactions"
    tasks.batch_analyze_errors_task.delay([record] * 1_000)
    assert gateway.requests[-1].url.path == "/v1/analyses/errors"
    sent_before = len(gateway.requests)
    with pytest.raises(ValueError, match="at most 1000"):
        tasks.batch_analyze_errors_task.delay([record] * 1_001)
    assert len(gateway.requests) == sent_before
