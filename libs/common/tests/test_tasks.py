"""What the base of all tasks makes of each kind of failure, called as a worker's child calls it."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from celery import Celery, Task
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.exceptions import Retry as RetryRequested
from celery.utils.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import OutOfMemoryError

from edugraph_common.contracts.errors import Failure, RedisFull, Rejected, Retryable, Wait
from edugraph_common.contracts.messages import ImportBatch, Message
from edugraph_common.contracts.routes import ROUTES, Route
from edugraph_common.runtime.messaging import task_base as tasks
from edugraph_common.runtime.messaging.task_base import (
    LONGEST_BACKOFF_SECONDS,
    RETRIES,
    EduGraphTask,
    backoff,
)

NAME = "probe_task"
BODY = {"job_id": "j"}
NOW = 1_000.0


@given(retries=st.integers(0, 2_000), share=st.floats(0, 1))
def test_backoff_is_whole_seconds_from_1_to_600(retries: int, share: float) -> None:
    seconds = backoff(retries, lambda low, high: low + round(share * (high - low)))
    assert isinstance(seconds, int)
    assert (
        min(2**retries, LONGEST_BACKOFF_SECONDS)
        <= seconds
        <= min(2 * 2**retries, LONGEST_BACKOFF_SECONDS)
    )
    assert seconds >= 1


@dataclass
class Probe:
    """A task that raises `failure`, and what became of it."""

    failure: BaseException | None = None
    given_up: list[str] = field(default_factory=list)
    buried: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[tuple[str, float]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    successes: list[str] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
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

    def celery_sends(self, _args: Any, _kwargs: Any, **options: Any) -> None:
        """In the place of Celery's own, which our way of sending calls."""
        if self.broker_away:
            raise OSError
        self.sent.append(options)

    def requeue_delay_seconds(self, delivery_count: int) -> float:
        self.delivered.append(delivery_count)
        return 0.25

    def publish_dead_letter(self, _task: Any, _args: Any, reason: str) -> None:
        if self.broker_away:
            raise Retryable("the broker did not confirm the message")
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

    def on_waiting(self, _message: Message, reason: str, until: float) -> None:
        if self.probe.redis_full:
            raise RedisFull
        self.probe.waiting.append((reason, until))

    def failed_outcome(self, _message: Message, reason: str) -> dict[str, Any]:
        return {"state": "failed", "error": reason}

    def update_state(self, **state: Any) -> None:
        """No Redis here."""
        self.probe.states.append(state)


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
    monkeypatch.setattr(Task, "apply_async", probe.celery_sends)
    monkeypatch.setattr(tasks, "publish_dead_letter", probe.publish_dead_letter)
    monkeypatch.setattr(tasks, "requeue_delay_seconds", probe.requeue_delay_seconds)
    monkeypatch.setattr(
        tasks, "report_failure", lambda queue, job_id: probe.failures.append((queue, job_id))
    )
    monkeypatch.setattr(tasks, "report_success", probe.successes.append)
    monkeypatch.setattr(tasks, "time", SimpleNamespace(time=lambda: NOW, sleep=probe.slept.append))
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
def test_a_full_redis_is_waited_for_though_it_cannot_be_told_so(
    probe: Probe, failure: BaseException
) -> None:
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
def test_rejected_and_bugs_are_buried_at_once(
    probe: Probe, failure: BaseException, reason: str
) -> None:
    probe.failure = failure
    with pytest.raises(Rejected, match=reason):
        probe(errbacks=[{"task": "other"}])
    assert probe.given_up == probe.buried == [reason]


def test_a_process_that_is_ended_gives_nothing_up(probe: Probe) -> None:
    """Out: `_ending_process`. The driver of the graph cannot close what a signal has interrupted."""
    try:
        try:
            raise SystemExit(-241)
        finally:
            raise BufferError
    except BufferError as error:
        probe.failure = error
    with pytest.raises(SystemExit):
        probe()
    assert probe.given_up == probe.buried == []
    assert probe.sent == []


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
def test_what_cannot_be_told_goes_back_to_its_queue(
    probe: Probe, failure: BaseException, away: str
) -> None:
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


# --- what others are told -----------------------------------------------------------------------------------------


def test_the_worker_s_circuit_breaker_hears_of_each_end_and_not_of_bad_data(probe: Probe) -> None:
    """Data that is bad says nothing of the worker; a message that this version cannot read does."""
    probe()
    assert (probe.successes, probe.failures) == (["data_import"], [])
    failure: BaseException
    for failure, request in ((Retryable("away"), {"retries": RETRIES}), (ZeroDivisionError(), {})):
        probe.failure, probe.failures = failure, []
        with pytest.raises(Failure):
            probe(**request)
        assert probe.failures == [("data_import", "j")]
    probe.failures = []
    probe.failure = SoftTimeLimitExceeded()
    with pytest.raises(Failure):
        probe()
    assert probe.failures == [("data_import", "j")]
    for failure, body in (
        (Rejected("bad data"), BODY),
        (Wait("asked to", 7), {**BODY, "deadline": 1.0}),
    ):
        probe.failure, probe.failures = failure, []
        with pytest.raises(Rejected):
            probe(body)
        assert probe.failures == []
    with pytest.raises(Rejected):
        probe({"job_id": "j", "version": 2})
    assert probe.failures == [("data_import", "j")]
    assert probe.successes == ["data_import"]


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(0, 1), (0.2, 1), (1, 2), (7.9, 8), (599, 600), (600, 600), (10_000, 600), (-5, 1)],
)
def test_a_wait_is_whole_seconds_longer_than_asked_and_ten_minutes_at_most(
    probe: Probe, asked: float, seconds: int
) -> None:
    probe.failure = Wait("asked to", asked)
    with pytest.raises(Ignore):
        probe()
    (sent,) = probe.sent
    assert sent["countdown"] == seconds
    assert probe.waiting == [("asked to", NOW + seconds)]
    assert probe.states == [
        {"state": "WAITING", "meta": {"reason": "asked to", "seconds": seconds}}
    ]


@pytest.mark.parametrize(
    ("deadline", "waits"), [(NOW + 8, True), (NOW + 7.9, False), (0, True), (None, True)]
)
def test_a_wait_that_would_end_after_the_deadline_is_none(
    probe: Probe, deadline: float | None, waits: bool
) -> None:
    """No deadline is none to be kept."""
    probe.failure = Wait("asked to", 7)
    with pytest.raises(Ignore if waits else Rejected):
        probe({**BODY, "deadline": deadline})
    assert len(probe.sent) == int(waits)
    assert probe.given_up == ([] if waits else ["asked to; the job's deadline has passed"])


def test_a_task_with_outcomes_before_its_message_goes_by_the_message(probe: Probe) -> None:
    """The body of a chord: its first argument is what the members answered."""
    probe.failure = Wait("asked to", 7)
    arguments = ([{"deadline": None}], {**BODY, "deadline": 1.0})
    probe.task.push_request(args=arguments, kwargs={}, called_directly=False, id="t")
    with pytest.raises(Rejected, match="deadline"):
        EduGraphTask._wait(probe.task, probe.failure, arguments)
    probe.task.pop_request()
    assert probe.given_up == ["asked to; the job's deadline has passed"]


def test_a_message_that_cannot_be_read_waits_without_a_job(probe: Probe) -> None:
    arguments = ("of another form",)
    probe.task.push_request(args=arguments, kwargs={}, called_directly=False, id="t")
    with pytest.raises(Ignore):
        EduGraphTask._wait(probe.task, Wait("asked to", 7), arguments)
    probe.task.pop_request()
    assert (probe.waiting, len(probe.sent)) == ([], 1)


@pytest.mark.parametrize(("count", "delivered"), [(None, 0), (3, 3)])
def test_what_goes_back_rests_first_the_longer_the_more_often_it_came(
    probe: Probe, count: int | None, delivered: int
) -> None:
    probe.failure, probe.broker_away = Rejected("x"), True
    with pytest.raises(Reject):
        probe(**({} if count is None else {"x-delivery-count": count}))
    assert (probe.delivered, probe.slept) == ([delivered], [0.25])


def test_the_logs_of_a_try_name_the_job_and_the_try(probe: Probe) -> None:
    structlog.contextvars.clear_contextvars()
    probe({**BODY, "traceparent": "not to be named"}, retries=2)
    assert structlog.contextvars.get_contextvars() == {"tries": 3, "job_id": "j"}
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("probe")
def test_the_body_of_a_chord_is_named_by_its_message_and_not_by_an_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @app.task(base=ProbeTask, bind=True, name="probe_body", contract=Message)
    def probe_body(_self: Any, _outcomes: Any, _body: Any) -> str:
        return "done"

    monkeypatch.setitem(ROUTES, "probe_body", Route("data_import", "import.aggregate"))
    structlog.contextvars.clear_contextvars()
    probe_body.push_request(called_directly=False, id="t", retries=0)
    try:
        assert probe_body({"job_id": "of an outcome", "batch": 1}, BODY) == "done"
    finally:
        probe_body.pop_request()
    assert structlog.contextvars.get_contextvars() == {"tries": 1, "job_id": "j"}
    structlog.contextvars.clear_contextvars()


def test_a_message_is_sent_without_its_rows_and_insists_on_a_queue(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Any, Any, dict[str, Any]]] = []
    monkeypatch.setattr(
        Task,
        "apply_async",
        lambda _, args, kwargs, **options: sent.append((args, kwargs, options)) or "id",
    )
    rows = {**BODY, "records": [{"text": "Anna"}]}
    assert (
        EduGraphTask.apply_async(
            probe.task, [[{"job_id": "of the outcomes"}], rows], None, countdown=5
        )
        == "id"
    )
    assert EduGraphTask.apply_async(probe.task) == "id"
    hidden = {"kwargsrepr": "{}", "mandatory": True}
    assert sent == [
        (
            [[{"job_id": "of the outcomes"}], rows],
            None,
            {"countdown": 5, "argsrepr": "job_id=j", **hidden},
        ),
        (None, None, {"argsrepr": "", **hidden}),
    ]


def test_a_broker_that_is_away_is_said_by_every_way_of_sending(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr(Task, "apply_async", away)
    with pytest.raises(Retryable, match="did not confirm"):
        EduGraphTask.apply_async(probe.task, [BODY])


def test_a_dead_member_of_a_chord_answers_in_its_place(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, Any, Any]] = []
    backend = probe.task.backend
    monkeypatch.setattr(
        backend,
        "mark_as_done",
        lambda task_id, result, request: done.append((task_id, result, request)),
    )
    request = Context(id="dead", args=(BODY,), chord={"task": "body"})
    probe.task.mark_given_up(request, (BODY,), "poison")
    assert done == [("dead", {"state": "failed", "error": "poison"}, request)]
    assert probe.given_up == ["poison"]


def test_a_dead_message_that_cannot_be_read_fails_its_task_alone(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No errback is called: those are for the body of a chord that never ran."""
    failed: list[Any] = []
    monkeypatch.setattr(
        probe.task.backend,
        "mark_as_failure",
        lambda *args, **options: failed.append((args, options)),
    )
    request = Context(id="dead", args=("x",), chord={"task": "body"})
    probe.task.mark_given_up(request, ("x",), "poison")
    [((task_id, error), options)] = failed
    assert (task_id, error.reason, probe.given_up) == ("dead", "poison", [])
    assert options == {"request": request, "call_errbacks": False}


def test_a_task_that_gave_up_calls_no_errback(probe: Probe) -> None:
    probe.failure = Rejected("not valid")
    errbacks: list[Any] = []
    probe.task.push_request(
        args=(BODY,), kwargs={}, called_directly=False, id="t", errbacks=[{"task": "other"}]
    )
    with pytest.raises(Rejected):
        probe.task(BODY)
    errbacks.append(probe.task.request.errbacks)
    probe.task.pop_request()
    assert errbacks == [None]


def test_the_failed_outcome_of_a_batch_names_it() -> None:
    message = ImportBatch(job_id="j", batch=3, records=())
    outcome = EduGraphTask.failed_outcome(app.tasks[NAME], message, "poison")
    assert (outcome["job_id"], outcome["batch"], outcome["error"], outcome["state"]) == (
        "j",
        3,
        "poison",
        "failed",
    )
    assert (
        EduGraphTask.failed_outcome(app.tasks[NAME], Message(job_id="j"), "poison")["batch"] is None
    )


def test_a_malformed_message_is_named_by_its_field_and_not_by_its_value(probe: Probe) -> None:
    for body, words in (
        ({"job_id": "x" * 65}, r"job_id \(string_too_long\)"),
        ("Anna", r"body \(model_type\)"),
    ):
        with pytest.raises(Rejected, match=rf"malformed message for probe_task: {words}"):
            probe.task.parse(Message, body)


@pytest.mark.parametrize("ending", [Ignore(), Reject("poison"), RetryRequested()])
def test_what_celery_itself_asks_for_is_left_to_it(probe: Probe, ending: Exception) -> None:
    probe.failure = ending
    with pytest.raises(type(ending)) as raised:
        probe()
    assert raised.value is ending
    assert (probe.given_up, probe.buried, probe.sent, probe.successes) == ([], [], [], [])


def test_events_show_no_text_of_a_result(probe: Probe) -> None:
    """Not even Ana, the beginning of whose name Celery would show of a result that is cut."""
    for result in ("Ana", ["Ana"], {"Ana": "Ana"}):
        assert "An" not in saferepr(result, probe.task.resultrepr_maxsize)


def test_of_several_faults_of_a_message_the_first_is_named_by_its_place(probe: Probe) -> None:
    rows = {"source": "s", "offset": -1, "length": -1, "first_line": 1}
    with pytest.raises(Rejected, match=r": rows\.offset \(greater_than_equal\)$"):
        probe.task.parse(ImportBatch, {"job_id": "j", "batch": 0, "rows": rows})
