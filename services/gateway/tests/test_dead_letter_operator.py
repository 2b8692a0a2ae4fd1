"""What is done with dead letters, on a channel that behaves as RabbitMQ's: unacknowledged letters go back in order."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pika
import pika.exceptions
import pytest
import redis
from celery import Celery

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.messaging import dead_letters
from edugraph_common.messaging.dead_letters import Hold, LetterHolds, dead_letter_channel, publish_dead_letter
from edugraph_common.platform.settings import Settings
from edugraph_gateway.operations import dead_letter_operator
from edugraph_gateway.operations.dead_letter_operator import DeadLetterOperator, NotThere, Replayed, Unplayable

BODY: list[Any] = [[{"version": 1, "job_id": "j", "batch": 0}], {"k": 1}, {"chord": {"task": "x"}, "errbacks": ["e"]}]
REST = {"redis_url": "redis://nowhere:6379/0", "blob_url": "memory://"}
SETTINGS = Settings(broker_url="amqp://u:p@nowhere:5672/v", **REST)
ON_VALKEY = Settings(broker_url="redis://nowhere:6379/1", **REST)


class Nobody(LetterHolds):
    """No one else holds letters: `tests/integration/test_letter_holds.py` has the others, in a Redis."""

    @contextmanager
    def holding(self) -> Iterator[Hold]:
        yield cast("Hold", SimpleNamespace(go_on=lambda: None, others=lambda: False))

    def wait_for_given_back(self) -> None:
        """Nothing is to be waited for."""

    def alone(self, do: Callable[[Hold], Any]) -> list[Any]:
        with self.holding() as hold:
            return [do(hold)]


HOLDS = Nobody(cast("redis.Redis", None))


class Broker:
    """Queues of (properties, body). A channel that closes gives back what was not acknowledged."""

    def __init__(self) -> None:
        names = (f"{queue}{kind}" for queue in QUEUES for kind in ("", ".dead", ".notices"))
        self.queues: dict[str, list[tuple[pika.BasicProperties, bytes]]] = {name: [] for name in names}
        self.published: list[tuple[str, str, Any, Any]] = []
        self.confirms = False
        self.refuses: Exception | None = None
        self.settings: list[Settings] = []
        self.timeouts: list[float] = []

    @contextmanager
    def open(self, settings: Settings, *, timeout: float) -> Iterator["Channel"]:
        self.settings.append(settings)
        self.timeouts.append(timeout)
        channel = Channel(self)
        try:
            yield channel
        finally:
            for queue, letter in reversed(channel.unacknowledged.values()):
                self.queues[queue].insert(0, letter)

    def bury(
        self,
        task_id: str,
        queue: str = "data_import",
        body: bytes | None = None,
        *,
        kind: str = ".dead",
        **headers: Any,
    ) -> None:
        told = {"id": task_id, "task": "import_batch_task", "retries": 3, "x-edugraph-reason": "it failed"} | headers
        properties = pika.BasicProperties(
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id="c",
            reply_to="r",
            priority=4,
            message_id="m",
            headers=told,
        )
        self.queues[f"{queue}{kind}"].append((properties, json.dumps(BODY).encode() if body is None else body))

    def left(self, queue: str = "data_import") -> list[str]:
        return [properties.headers["id"] for properties, _ in self.queues[f"{queue}.dead"]]


class Channel:
    def __init__(self, broker: Broker) -> None:
        self.broker, self.unacknowledged, self.tag = broker, {}, 0
        self.acknowledged_after: list[int] = []

    def basic_get(self, queue: str) -> Any:
        if not self.broker.queues[queue]:
            return None, None, None
        self.tag += 1
        letter = self.broker.queues[queue].pop(0)
        self.unacknowledged[self.tag] = (queue, letter)
        return SimpleNamespace(delivery_tag=self.tag), *letter

    def basic_ack(self, tag: int) -> None:
        del self.unacknowledged[tag]

    def queue_declare(self, queue: str, *, passive: bool) -> Any:
        assert passive  # else a queue that is missing would be made
        return SimpleNamespace(method=SimpleNamespace(message_count=len(self.broker.queues[queue])))

    def queue_purge(self, queue: str) -> Any:
        count = len(self.broker.queues[queue])
        self.broker.queues[queue].clear()
        return SimpleNamespace(method=SimpleNamespace(message_count=count))

    def confirm_delivery(self) -> None:
        self.broker.confirms = True

    def basic_publish(self, exchange: str, key: str, body: bytes, properties: Any, *, mandatory: bool) -> None:
        assert self.broker.confirms
        assert mandatory
        if self.broker.refuses:
            raise self.broker.refuses
        if exchange:
            self.broker.published.append((exchange, key, json.loads(body), properties))
        else:  # the default exchange, whose keys are the names of queues
            self.broker.queues[key].append((properties, body))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(dead_letters, "pika_channel", made.open)
    return made


def operator(*done: str, slept: list[float] | None = None) -> DeadLetterOperator:
    sleep = (lambda _: None) if slept is None else slept.append
    return DeadLetterOperator(SETTINGS, HOLDS, lambda task_id: task_id in done, sleep=sleep)


# --- looking ------------------------------------------------------------------------------------------------------


def test_letters_are_counted_for_each_queue(broker: Broker) -> None:
    broker.bury("a")
    broker.bury("b")
    broker.bury("c", "llm_analysis")
    assert operator().counts() == {"data_import": 2, "import_splits": 0, "graph_findings": 0, "llm_analysis": 1}


def test_the_oldest_letters_are_shown_and_stay_in_their_order(broker: Broker) -> None:
    for task_id in "abcd":
        broker.bury(task_id)
    assert [letter.task_id for letter in operator().oldest("data_import", 3)] == ["a", "b", "c"]
    assert [letter.task_id for letter in operator().oldest("data_import", 9)] == list("abcd")
    assert broker.left() == list("abcd")


def test_a_letter_tells_all_but_its_records(broker: Broker) -> None:
    died = "2026-01-01T00:00:00+00:00"
    broker.bury("a", **{"x-edugraph-tries": "4", "x-edugraph-died": died})
    [letter] = operator().oldest("data_import", 1)
    assert letter.model_dump() == {
        "queue": "data_import",
        "task_id": "a",
        "task": "import_batch_task",
        "reason": "it failed",
        "job_id": "j",
        "tries": 4,
        "died": datetime(2026, 1, 1, tzinfo=UTC),
        "bytes": len(json.dumps(BODY)),
    }


@pytest.mark.parametrize(
    ("deaths", "reason"),
    [
        ([{"reason": "delivery_limit"}], "its workers died each time it was delivered"),
        ([{"reason": "rejected"}, {"reason": "delivery_limit"}], "a worker refused it"),
        ([{"reason": "maxlen"}], "the broker gave it up (maxlen)"),
        ([{}], "the broker gave it up (unknown)"),
        (None, "the broker gave it up (unknown)"),
    ],
)
def test_a_letter_that_the_broker_gave_up_says_why(broker: Broker, deaths: Any, reason: str) -> None:
    broker.bury("a", **{"x-edugraph-reason": None, "x-death": deaths, "x-edugraph-died": "not a date"})
    [letter] = operator().oldest("data_import", 1)
    assert (letter.reason, letter.tries, letter.died) == (reason, None, None)


@pytest.mark.parametrize(
    "body", [b"\xff", b"{}", b"[]", b"[[], {}, {}]", b"[5, {}, {}]", b'[["text"], {}, {}]', b"7"]
)
def test_a_letter_of_another_form_is_told_without_a_job(broker: Broker, body: bytes) -> None:
    broker.bury("a", body=body)
    [letter] = operator().oldest("data_import", 1)
    assert (letter.task_id, letter.job_id, letter.bytes) == ("a", None, len(body))


def test_a_letter_whose_job_is_no_text_or_that_has_no_headers_is_told(broker: Broker) -> None:
    broker.bury("a", body=json.dumps([[{"job_id": 5}], {}, {}]).encode())
    broker.queues["data_import.dead"].append((pika.BasicProperties(), b"x"))
    one, other = operator().oldest("data_import", 2)
    assert one.job_id is None
    assert (other.task_id, other.task, other.reason) == ("", "", "the broker gave it up (unknown)")


def test_show_gives_the_arguments_of_the_task_that_was_asked_for(broker: Broker) -> None:
    broker.bury("a", body=b"[[1], {}, {}]")
    broker.bury("b")
    letter, arguments = operator().show("data_import", "b")
    assert (letter.task_id, letter.queue) == ("b", "data_import")
    assert arguments == BODY[0]
    assert broker.left() == ["a", "b"]


def test_a_task_or_a_queue_that_is_not_there_is_said(broker: Broker) -> None:
    broker.bury("a")
    for call in (operator().show, operator().replay, operator().drop):
        with pytest.raises(NotThere, match="there is no dead letter x in data_import"):
            call("data_import", "x")
        with pytest.raises(Rejected, match="there is no queue other; they are data_import"):
            call("other", "a")
    with pytest.raises(Rejected, match="no queue"):
        operator().drop_all("other")
    with pytest.raises(Rejected, match="no queue"):
        operator().oldest("other", 1)
    assert broker.left() == ["a"]


@pytest.mark.parametrize("what", ["show", "replay", "drop"])
@pytest.mark.parametrize(
    ("others_hold", "comes_back", "searches"), [(False, True, 1), (True, False, 2), (True, True, 2)]
)
def test_a_letter_that_others_may_hold_is_looked_for_once_more(
    broker: Broker, what: str, *, others_hold: bool, comes_back: bool, searches: int
) -> None:
    """Where nobody held any, it is said at once."""

    class Others(Nobody):
        @contextmanager
        def holding(self) -> Iterator[Hold]:
            yield cast("Hold", SimpleNamespace(go_on=lambda: None, others=lambda: others_hold))

        def wait_for_given_back(self) -> None:
            if comes_back:
                broker.bury("a")

    beside_others = DeadLetterOperator(SETTINGS, Others(HOLDS.client), lambda _: False)
    if others_hold and comes_back:
        getattr(beside_others, what)("data_import", "a")
    else:
        with pytest.raises(NotThere):
            getattr(beside_others, what)("data_import", "a")
    assert len(broker.timeouts) == searches


def test_a_letter_that_is_there_is_found_at_once_whoever_holds_others(broker: Broker) -> None:
    class Others(Nobody):
        def wait_for_given_back(self) -> None:
            raise AssertionError("nothing is to be waited for")

    broker.bury("a")
    assert DeadLetterOperator(SETTINGS, Others(HOLDS.client), lambda _: True).replay("data_import", "a").skipped == 1


# --- sending again ------------------------------------------------------------------------------------------------


def test_a_replay_sends_the_task_as_if_it_had_never_been_tried(broker: Broker) -> None:
    broker.bury("other")
    broker.bury(
        "a",
        **{
            "x-edugraph-tries": "4",
            "x-death": [{"reason": "rejected"}],
            "x-first-death-queue": "q",
            "x-last-death-queue": "q",
            "x-delivery-count": 6,
            "x-opt-deaths": [1],
            "eta": "2026-01-01T00:00:00",
            "expires": "2026-01-01T00:00:00",
            "group": "g",
            "group_index": 3,
            "traceparent": "kept",
            "share": 0.5,
            "pair": (1, 2),
        },
    )
    assert operator().replay("data_import", "a") == Replayed(replayed=1)
    assert broker.left() == ["other"]
    [(exchange, key, body, properties)] = broker.published
    assert (exchange, key) == ("edugraph.tasks", "import.batch")
    assert body == [BODY[0], BODY[1], {"chord": None, "chain": None, "callbacks": None, "errbacks": ["e"]}]
    assert properties.headers == {
        "id": "a",
        "task": "import_batch_task",
        "retries": 0,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "traceparent": "kept",
        "share": "0.5",  # pika reads floats and tuples, and cannot write them
        "pair": [1, 2],
    }
    assert (properties.content_type, properties.content_encoding) == ("application/json", "utf-8")
    assert (properties.correlation_id, properties.reply_to, properties.message_id) == ("c", "r", "m")
    assert (properties.priority, properties.delivery_mode) == (4, 2)


def test_every_letter_of_a_task_is_replayed(broker: Broker) -> None:
    for task_id in "aba":
        broker.bury(task_id)
    assert operator().replay("data_import", "a") == Replayed(replayed=2)
    assert broker.left() == ["b"]


def test_a_task_that_succeeded_meanwhile_is_dropped_and_not_sent(broker: Broker) -> None:
    broker.bury("a")
    assert operator("a").replay("data_import", "a") == Replayed(skipped=1)
    assert (broker.left(), broker.published) == ([], [])


def test_a_letter_stays_until_the_broker_has_confirmed_its_replay(broker: Broker) -> None:
    broker.bury("a")
    broker.refuses = pika.exceptions.NackError([])
    with pytest.raises(Retryable, match="into no queue"):
        operator().replay("data_import", "a")
    assert broker.left() == ["a"]


@pytest.mark.parametrize(
    "spoilt", [{"task": "x"}, {"task": None}, {"body": b"no"}, {"body": b"[1]"}, {"body": b"[1,2,3]"}]
)
def test_a_letter_that_no_worker_could_do_stays_and_says_so(broker: Broker, spoilt: dict[str, Any]) -> None:
    broker.bury("a", **spoilt)
    with pytest.raises(Unplayable, match="drop it"):
        operator().replay("data_import", "a")
    assert (broker.left(), broker.published) == (["a"], [])


def test_one_that_cannot_be_sent_keeps_none_of_the_others(broker: Broker) -> None:
    broker.bury("a")
    broker.bury("b", task="x")
    broker.bury("done")
    broker.bury("c")
    assert operator("done").replay_all("data_import", 9, 10) == Replayed(replayed=2, skipped=1, left=1)
    assert broker.left() == ["b"]


def test_a_replay_of_all_keeps_its_limit_and_its_pace(broker: Broker) -> None:
    for task_id in ("a", "done", "b", "c"):
        broker.bury(task_id)
    slept: list[float] = []
    assert operator("done", slept=slept).replay_all("data_import", 3, 4) == Replayed(replayed=2, skipped=1)
    assert slept == [0.25, 0, 0.25]  # what is only dropped takes no time of the workers
    assert broker.left() == ["c"]


def test_a_letter_that_dies_anew_meanwhile_is_not_sent_twice(broker: Broker) -> None:
    broker.bury("a")
    broker.bury("b")
    dying = DeadLetterOperator(SETTINGS, HOLDS, lambda _: False, sleep=lambda _: broker.bury("a"))
    assert dying.replay_all("data_import", 100, 10).replayed == 2
    assert broker.left() == ["a", "a"]


# --- dropping -----------------------------------------------------------------------------------------------------


def test_the_letters_of_one_task_are_dropped_and_counted(broker: Broker) -> None:
    for task_id in "abaa":
        broker.bury(task_id)
    assert operator().drop("data_import", "a") == 3
    assert broker.left() == ["b"]


def test_all_letters_of_a_queue_are_dropped_and_those_of_others_stay(broker: Broker) -> None:
    broker.bury("a")
    broker.bury("b")
    broker.bury("c", "llm_analysis")
    assert operator().drop_all("data_import") == 2
    assert (broker.left(), broker.left("llm_analysis")) == ([], ["c"])
    assert operator().drop_all("data_import") == 0


# --- erasing what they say ----------------------------------------------------------------------------------------


def without_ana(body: bytes) -> bytes:
    return body.replace(b"Ana", b"")


def rewritten(*, dry_run: bool = False) -> dead_letters.Rewritten:
    return dead_letters.rewrite_dead_letters(SETTINGS, HOLDS, without_ana, dry_run=dry_run)


def bodies(broker: Broker, name: str) -> list[tuple[str, bytes]]:
    return [(properties.headers["id"], body) for properties, body in broker.queues[name]]


def test_letters_and_notices_are_rewritten_where_they_lie_and_all_others_stay(broker: Broker) -> None:
    """What was rewritten goes to the end of its queue, and is not taken once more."""
    broker.bury("a", body=b'"Ana 1"')
    broker.bury("b", body=b'"Bo"')
    broker.bury("c", "llm_analysis", b'"Ana 2"')
    broker.bury("a", body=b'"Ana 1"', kind=".notices")
    broker.bury("b", body=b'"Bo"', kind=".notices")
    for _ in range(3):
        broker.bury("waits", body=b'"Ana"', kind="")
    assert rewritten() == (3, {"data_import": 3})
    assert bodies(broker, "data_import.dead") == [("b", b'"Bo"'), ("a", b'" 1"')]
    assert bodies(broker, "data_import.notices") == [("b", b'"Bo"'), ("a", b'" 1"')]
    assert bodies(broker, "llm_analysis.dead") == [("c", b'" 2"')]
    assert bodies(broker, "data_import") == [("waits", b'"Ana"')] * 3
    assert rewritten() == (0, {"data_import": 3})
    assert broker.published == []  # an exchange would tell the task and the job of a second death


def test_a_dry_run_counts_the_same_and_changes_nothing(broker: Broker) -> None:
    broker.bury("a", body=b'"Ana 1"')
    broker.bury("b", body=b'"Bo"')
    assert rewritten(dry_run=True) == (1, {})
    assert bodies(broker, "data_import.dead") == [("a", b'"Ana 1"'), ("b", b'"Bo"')]


def test_a_letter_that_is_rewritten_keeps_its_headers_as_pika_can_write_them(broker: Broker) -> None:
    broker.bury("a", body=b'"Ana"', deaths=(1, 2), share=0.5)
    rewritten()
    [(properties, body)] = broker.queues["data_import.dead"]
    assert body == b'""'
    assert properties.headers == {
        "id": "a", "task": "import_batch_task", "retries": 3, "x-edugraph-reason": "it failed",
        "deaths": [1, 2], "share": "0.5",
    }  # fmt: skip
    assert (properties.correlation_id, properties.priority) == ("c", 4)


def test_a_letter_of_which_nothing_is_left_goes(broker: Broker) -> None:
    broker.bury("a", body=b"Ana")
    broker.bury("b", body=b'"Bo"')
    assert rewritten().changed == 1
    assert broker.left() == ["b"]


def test_a_letter_is_not_lost_when_the_broker_refuses_the_new_one(broker: Broker) -> None:
    broker.bury("a", body=b'"Ana"')
    broker.refuses = pika.exceptions.NackError([])
    with pytest.raises(Retryable):
        rewritten()
    assert bodies(broker, "data_import.dead") == [("a", b'"Ana"')]


def test_all_letters_are_read_and_stay_and_those_are_returned_in_which_something_is_found(broker: Broker) -> None:
    broker.bury("a", body=b"1")
    broker.bury("b", "llm_analysis", b"2")
    broker.bury("c", body=b"3")
    broker.bury("notice", body=b"4", kind=".notices")
    found = dead_letters.read_dead_letters(SETTINGS, HOLDS, lambda body: [body] if body != b"3" else [])
    assert found == [("data_import.dead", [b"1"]), ("llm_analysis.dead", [b"2"])]
    assert broker.left() == ["a", "c"]


# --- the channel, and how a letter comes to be --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "failure", "words"),
    [
        (pika.exceptions.ChannelClosedByBroker(404, "no queue"), Rejected, r"refused it \(404\)"),
        (pika.exceptions.UnroutableError([]), Retryable, "into no queue"),
        (pika.exceptions.NackError([]), Retryable, "into no queue"),
        (pika.exceptions.StreamLostError("x"), Retryable, "does not answer"),
    ],
)
def test_what_pika_says_of_the_broker_is_told_as_what_to_do(
    broker: Broker, error: Exception, failure: type[Exception], words: str
) -> None:
    with pytest.raises(failure, match=words), dead_letter_channel(SETTINGS):
        raise error
    assert broker.settings == [SETTINGS]
    assert broker.timeouts == [4]


def test_a_broker_without_dead_letters_says_so_before_it_is_asked(broker: Broker) -> None:
    with pytest.raises(Rejected, match="only RabbitMQ"), dead_letter_channel(ON_VALKEY):
        pass
    unasked = LetterHolds(cast("redis.Redis", None))
    with pytest.raises(Rejected, match="only RabbitMQ"):
        dead_letters.read_dead_letters(ON_VALKEY, unasked, lambda body: [body])
    with pytest.raises(Rejected, match="only RabbitMQ"):
        dead_letters.rewrite_dead_letters(ON_VALKEY, unasked, without_ana, dry_run=True)
    assert broker.settings == []


def test_a_task_that_gives_up_sends_its_message_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    app = Celery("probe", broker="memory://", set_as_current=False)

    @app.task(bind=True, name="import_batch_task")
    def task(self: Any) -> None:
        publish_dead_letter(self, ({"job_id": "j"},), "it failed")

    def apply_async(signature: Any, **options: Any) -> None:
        own = signature.options
        sent.append({"args": signature.args, "id": own["task_id"], "retries": own["retries"], **options})

    monkeypatch.setattr("celery.canvas.Signature.apply_async", apply_async)
    before = datetime.now(UTC)
    task.push_request(id="t", retries=3, called_directly=False, is_eager=False)
    task.run()
    [letter] = sent
    headers = letter.pop("headers")
    assert before <= datetime.fromisoformat(headers.pop("x-edugraph-died")) <= datetime.now(UTC)
    assert headers == {"x-edugraph-reason": "it failed", "x-edugraph-tries": "4"}
    assert letter == {
        "args": ({"job_id": "j"},),
        "id": "t",
        "retries": 0,  # whoever sends it again begins anew
        "exchange": "edugraph.dead",
        "routing_key": "data_import",
    }


def test_only_so_many_letters_are_searched_for_one_task(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dead_letter_operator.MAX_SEARCHED_LETTERS == 10_000
    monkeypatch.setattr(dead_letter_operator, "MAX_SEARCHED_LETTERS", 2)
    for task_id in "abc":
        broker.bury(task_id)
    assert operator().drop("data_import", "b") == 1
    broker.bury("d")
    with pytest.raises(NotThere):
        operator().drop("data_import", "d")
