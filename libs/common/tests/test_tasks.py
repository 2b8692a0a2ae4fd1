"""What the base of all tasks makes of each kind of failure, called as a worker's child calls it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.exceptions import Retry as RetryRequested
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import OutOfMemoryError

from edugraph_common.contracts.errors import RedisFull, Rejected, Retryable, Wait
from edugraph_common.contracts.messages import Message
from edugraph_common.contracts.routes import ROUTES, Route
from edugraph_common.messaging import task_base as tasks
from edugraph_common.messaging.task_base import LONGEST_BACKOFF_SECONDS, RETRIES, EduGraphTask, backoff

NAME = "probe_task"
BODY = {"job_id": "j"}


@given(retries=st.integers(0, 2_000), share=st.floats(0, 1))
def test_backoff_is_whole_seconds_from_1_to_600(retries: int, share: float) -> None:
    seconds = backoff(retries, lambda low, high: low + round(share * (high - low)))
    assert isinstance(seconds, int)
    assert min(2**retries, LONGEST_BACKOFF_SECONDS) <= seconds <= min(2 * 2**retries, LONGEST_BACKOFF_SECONDS)
    assert seconds >= 1


@dataclass
class Probe:
    """A task that raises `failure`, and what became of it."""

    failure: BaseException | None = None
    given_up: list[str] = field(default_factory=list)
    buried: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    broker_away: bool = False
    redis_away: bool = False
    redis_full: bool = False
    cannot_open: bool = False
    task: Any = None

    def __call__(self, body: Any = BODY, **request: Any) -> Any:
        """As a delivery with this request."""
        self.task.push_request(args=(body,), kwargs={}, called_directly=False, id="t", **request)
        try:
            return self.task(body)
        finally:
            self.task.pop_request()

    def ask_broker(self) -> None:
        if self.broker_away:
            raise Retryable("the broker did not confirm the message")

    def publish_dead_letter(self, _task: Any, _args: Any, reason: str) -> None:
        self.ask_broker()
        self.buried.append(reason)


class ProbeTask(EduGraphTask):
    abstract = True
    probe: Probe

    def on_given_up(self, _message: Message, reason: str) -> None:
        if self.probe.redis_away:
            raise Retryable("Redis does not answer")
        if self.probe.redis_full:
            raise RedisFull
        if self.probe.cannot_open:
            raise AttributeError
        self.probe.given_up.append(reason)

    def on_waiting(self, _message: Message, _reason: str, _until: float) -> None:
        if self.probe.redis_full:
            raise RedisFull

    def failed_outcome(self, _message: Message, reason: str) -> dict[str, Any]:
        return {"state": "failed", "error": reason}

    def apply_async(self, _args: Any = None, _kwargs: Any = None, **options: Any) -> None:
        self.probe.ask_broker()
        self.probe.sent.append(options)

    def update_state(self, **_: Any) -> None:
        """No Redis here."""


app = Celery("probe", broker="memory://", backend="cache+memory://", set_as_current=False)


@app.task(base=ProbeTask, bind=True, name=NAME, contract=Message)
def probe_task(self: Any, body: Any) -> str:
    self.parse(Message, body)
    if self.probe.failure:
        raise self.probe.failure
    return "done"


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    probe = Probe(task=app.tasks[NAME])
    probe.task.probe = probe
    monkeypatch.setitem(ROUTES, NAME, Route("data_import", "import.batch"))
    monkeypatch.setattr(tasks, "publish_dead_letter", probe.publish_dead_letter)
    monkeypatch.setattr(tasks, "requeue_delay_seconds", lambda _: 0)
    probe.task.backend.forget("t")
    return probe


def test_what_succeeds_is_answered(probe: Probe) -> None:
    assert probe() == "done"
    assert (probe.given_up, probe.buried, probe.sent) == ([], [], [])


@pytest.mark.parametrize("retries", range(RETRIES))
def test_retryable_is_sent_again_later(probe: Probe, retries: int) -> None:
    probe.failure = Retryable("away")
    with pytest.raises(RetryRequested):
        probe(retries=retries)
    (sent,) = probe.sent
    assert sent["retries"] == retries + 1
    assert 2**retries <= sent["countdown"] <= 2 * 2**retries
    assert probe.buried == []


def test_retryable_is_given_up_after_three_more_tries(probe: Probe) -> None:
    probe.failure = Retryable("away")
    with pytest.raises(Retryable, match="gave up after 4 tries"):
        probe(retries=RETRIES)
    assert probe.given_up == probe.buried == ["away; gave up after 4 tries"]
    assert probe.sent == []


def test_wait_uses_no_try(probe: Probe) -> None:
    probe.failure = Wait("asked to", 7.2)
    with pytest.raises(Ignore):
        probe(retries=2)
    (sent,) = probe.sent
    assert (sent["retries"], sent["countdown"]) == (2, 8)


@pytest.mark.parametrize("failure", [OutOfMemoryError("OOM"), RedisFull()])
def test_a_full_redis_is_waited_for_though_it_cannot_be_told_so(probe: Probe, failure: BaseException) -> None:
    """Out: OutOfMemoryError in `__call__`, or `suppress` in `_wait`."""
    probe.failure, probe.redis_full = failure, True
    with pytest.raises(Ignore):
        probe(retries=2)
    (sent,) = probe.sent
    assert (sent["retries"], sent["countdown"]) == (2, 16)
    assert probe.given_up == probe.buried == []


def test_wait_ends_with_the_deadline(probe: Probe) -> None:
    probe.failure = Wait("asked to", 7)
    with pytest.raises(Rejected, match="deadline"):
        probe({**BODY, "deadline": 1.0})


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Rejected("not valid"), "not valid"),
        (ZeroDivisionError("Anna"), "unexpected ZeroDivisionError"),
        (SoftTimeLimitExceeded(), "took longer than the soft time limit"),
    ],
)
def test_rejected_and_bugs_are_buried_at_once(probe: Probe, failure: BaseException, reason: str) -> None:
    probe.failure = failure
    with pytest.raises(Rejected, match=reason):
        probe(errbacks=[{"task": "other"}])
    assert probe.given_up == probe.buried == [reason]


def test_a_member_of_a_chord_answers_with_a_failed_outcome(probe: Probe) -> None:
    probe.failure = Rejected("not valid")
    assert probe(chord={"task": "body"}) == {"state": "failed", "error": "not valid"}
    assert probe.buried == ["not valid"]


def test_a_message_of_an_unknown_form_is_buried_and_shows_failure(probe: Probe) -> None:
    with pytest.raises(Rejected, match=r"malformed message for probe_task: version"):
        probe({"job_id": "j", "version": 2}, chord={"task": "body"})
    assert (len(probe.buried), probe.given_up) == (1, [])


def test_what_a_broken_process_cannot_tell_its_job_is_still_buried(probe: Probe) -> None:
    """Without the guard in `_tell_job` the message is lost, and its job is queued for ever."""
    probe.failure, probe.cannot_open = Rejected("not valid"), True
    with pytest.raises(Rejected, match="not valid"):
        probe()
    assert (probe.buried, probe.given_up) == (["not valid"], [])


@pytest.mark.parametrize("away", ["broker_away", "redis_away", "redis_full"])
@pytest.mark.parametrize("failure", [Retryable("x"), Wait("x", 1), Rejected("x")])
def test_what_cannot_be_told_goes_back_to_its_queue(probe: Probe, failure: BaseException, away: str) -> None:
    """Whatever the task wanted to say, it is said by the next delivery."""
    if away != "broker_away" and not isinstance(failure, Rejected):
        pytest.skip("told to the broker alone")
    probe.failure = failure
    setattr(probe, away, True)
    with pytest.raises(Reject) as refused:
        probe()
    assert refused.value.requeue  # type: ignore[attr-defined] # celery-types leaves it out
    assert (probe.buried, probe.sent) == ([], [])


def test_what_was_done_before_is_not_done_again(probe: Probe) -> None:
    probe.task.backend.store_result("t", "before", "SUCCESS")
    assert probe(delivery_info={"redelivered": True}) == "before"
    assert probe(delivery_info={"redelivered": False}) == "done"


def test_what_gave_up_before_is_done_again(probe: Probe) -> None:
    """A replay of a member of a chord, delivered twice."""
    probe.task.backend.store_result("t", {"state": "failed"}, "SUCCESS")
    assert probe(delivery_info={"redelivered": True}) == "done"


def test_a_member_of_a_chord_is_done_again(probe: Probe) -> None:
    """Its answer may have been stored and not counted."""
    probe.task.backend.store_result("t", "before", "SUCCESS")
    assert probe(delivery_info={"redelivered": True}, chord={"task": "body"}) == "done"


def test_settling_a_dead_one_tells_its_job_first(probe: Probe) -> None:
    probe.task.mark_given_up(Context(id="dead", args=(BODY,)), (BODY,), "poison")
    assert probe.given_up == ["poison"]
    assert probe.task.backend.get_state("dead") == "FAILURE"
