"""Dead letters on a real broker: who stores them, and what an operator does with them, side by side with others."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import pika.exceptions
import pytest
from celery import Celery
from command_line import edugraph
from traps import Bench
from waiting import stays, until

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.messages import person_mark
from edugraph_common.contracts.routes import ROUTES, Route
from edugraph_common.runtime.messaging import dead_letters
from edugraph_common.runtime.messaging.dead_letter_store import made_letter
from edugraph_common.runtime.messaging.dead_letters import (
    dead_letter_channel,
    publish_dead_letter,
    read_dead_letters,
    rewrite_dead_letters,
    take_in,
)
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import LETTERS_TO_CLEAN, Jobs
from edugraph_gateway.operations.dead_letter_operator import (
    DeadLetterOperator,
    NotThere,
    Replayed,
    Unplayable,
)
from edugraph_gateway.operations.task_results import TaskResults

QUEUE = "data_import"
BODY: list[Any] = [
    [{"version": 1, "job_id": "j", "batch": 0}],
    {"k": 1},
    {"chord": {"task": "x"}, "errbacks": ["e"]},
]


def bury(
    bench: Bench, task_id: str, queue: str = QUEUE, body: bytes | None = None, **headers: Any
) -> None:
    """Put a letter into the queue of dead letters, as if its task had given up."""
    told = {
        "id": task_id,
        "task": "import_batch_task",
        "retries": 3,
        "x-edugraph-reason": "it failed",
        **headers,
    }
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        correlation_id="c",
        reply_to="r",
        priority=4,
        message_id="m",
        delivery_mode=2,
        headers={name: value for name, value in told.items() if value is not None},
    )
    with pika_channel(bench.settings) as channel:
        channel.confirm_delivery()
        text = json.dumps(BODY).encode() if body is None else body
        channel.basic_publish("", f"{queue}.dead", text, properties, mandatory=True)


def operator(bench: Bench, *done: str, slept: list[float] | None = None) -> DeadLetterOperator:
    sleep = (lambda _: None) if slept is None else slept.append
    return DeadLetterOperator(
        bench.settings, bench.letters, lambda task_id: task_id in done, sleep=sleep
    )


def left(bench: Bench, queue: str = QUEUE) -> list[str]:
    return [row.task_id for row in bench.letters.rows(bench.letters.oldest(queue, limit=0))]


def side_by_side(number: int, do: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(number)

    def run() -> Any:
        barrier.wait(10)
        return do()

    with ThreadPoolExecutor(number) as pool:
        return [future.result(60) for future in [pool.submit(run) for _ in range(number)]]


# --- who stores them ----------------------------------------------------------------------------------------------


@pytest.mark.real
def test_a_worker_stores_its_letters_and_acknowledges_them(bench: Bench) -> None:
    bench.start()
    tasks = [bench.send("reject", text="Ana") for _ in range(3)]
    until(lambda: sorted(left(bench)) == sorted(tasks))
    assert bench.depth("data_import.dead") == 0
    until(lambda: bench.letters.without_recorded_end(QUEUE) == [])
    [letter] = [bench.letters.read(ref) for ref in bench.letters.of_task(QUEUE, tasks[0])]
    assert letter
    assert json.loads(letter.content)[0][0]["text"] == "Ana"


@pytest.mark.real
def test_letters_are_found_without_a_worker_and_told_when_one_comes(bench: Bench) -> None:
    """The workers died before they could. Out: `_record_ends` in the listener."""
    worker = bench.start(without="dead letters")
    listener = bench.listen("dead_letter")
    rejected = bench.send("reject")
    garbled = f"garbled-{uuid4().hex}"
    until(lambda: bench.depth("data_import.dead") == 1)
    bury(bench, garbled, body=b"[[", **{"x-edugraph-reason": None, "task": "trap_task"})
    # A worker that is killed before it acknowledges the message leaves it to the next worker: a second letter.
    worker.terminate()
    worker.process.wait(60)
    bench.stop_workers()
    assert operator(bench).counts()[QUEUE] == 2
    assert bench.depth("data_import.dead") == 0
    assert len(bench.letters.without_recorded_end(QUEUE)) == 2
    bench.start()
    until(lambda: bench.letters.without_recorded_end(QUEUE) == [])
    assert bench.state(garbled) == "FAILURE"
    told = {json.loads(message["body"])["data"]["task_id"] for message in bench.take(listener)}
    assert told == {rejected, garbled}
    assert len(left(bench)) == 2


@pytest.mark.real
@pytest.mark.parametrize("way", ["gone", "damaged", "swept", "erased"])
def test_a_task_whose_stored_letter_is_gone_ends_with_a_failure(bench: Bench, way: str) -> None:
    """Out: `_record_lost` in the listener, or the kept end in `sweep` and `rewrite`. A task that ended keeps its end."""
    worker = bench.start(without="dead letters")
    done = bench.send("work")
    until(lambda: bench.state(done) == "SUCCESS")
    lost = uuid4().hex
    for task_id in (lost, done):
        bury(bench, task_id, **{"x-edugraph-reason": None})
    worker.terminate()
    worker.process.wait(60)
    bench.stop_workers()
    store = bench.letters
    operator(bench).counts()
    for task_id in (lost, done):
        [ref] = store.of_task(QUEUE, task_id)
        key = f"dead/{ref}.json"
        if way == "damaged":
            with store.blobs.write(key) as file:
                file.write(b"[[")
        elif way == "erased":
            assert store.rewrite(ref, lambda _: b"", dry_run=False)
            assert not store.blobs.exists(key)
        else:
            store.blobs.delete(key)
    if way == "swept":
        store.sweep()
    assert bench.state(lost) == "PENDING"
    bench.start()
    until(lambda: store.without_recorded_end(QUEUE) == [])
    assert bench.state(lost) == "FAILURE"
    assert bench.state(done) == "SUCCESS"


@pytest.mark.real
def test_a_letter_that_was_stored_and_not_acknowledged_is_one_letter(bench: Bench) -> None:
    """Another process was killed between the two; pika and kombu give one message to one name."""
    bench.start(without="dead letters")
    task_id = bench.send("crash")
    bench.policy(delivery_limit=1)
    until(lambda: bench.depth("data_import.dead") == 1, 60)
    bench.stop_workers()
    with pika_channel(bench.settings) as channel:
        _, properties, body = channel.basic_get("data_import.dead")
        bench.letters.keep(
            made_letter(QUEUE, vars(properties), properties.headers, body, bench.letters.now())
        )
    [stored] = bench.letters.stored()
    bench.start()
    until(
        lambda: (
            bench.letters.without_recorded_end(QUEUE) == [] and bench.depth("data_import.dead") == 0
        )
    )
    assert bench.letters.stored() == [stored]
    assert left(bench) == [task_id]
    until(lambda: bench.state(task_id) == "FAILURE")


@pytest.mark.real
def test_all_who_store_side_by_side_make_one_object_of_each_letter(bench: Bench) -> None:
    tasks = [uuid4().hex for _ in range(60)]
    for task_id in tasks:
        bury(bench, task_id)
    bench.start(wait=False, concurrency=2)
    side_by_side(4, lambda: take_in(bench.settings, bench.letters))
    until(lambda: bench.depth("data_import.dead") == 0 and len(bench.letters.stored()) == 60)
    assert sorted(left(bench)) == sorted(tasks)
    assert stays(lambda: len(bench.letters.stored()) == 60, 1)


@pytest.mark.real
@pytest.mark.parametrize("size", [8_000_000])
def test_a_large_letter_is_stored_whole(bench: Bench, size: int) -> None:
    bury(bench, "large", body=json.dumps([[{"job_id": "j", "text": "x" * size}], {}, {}]).encode())
    bench.start()
    until(lambda: left(bench) == ["large"], 30)
    assert bench.letters.rows(bench.letters.oldest(QUEUE, 1))[0].bytes > size


@pytest.mark.real
def test_a_letter_waits_in_the_broker_while_it_cannot_be_stored(bench: Bench) -> None:
    """The blob store refuses to be written. Out: the requeue in `handle_in_child`."""
    nowhere = bench.folder / "a-file"
    nowhere.write_text("no folder")
    bench.start(EDUGRAPH_BLOB_URL=str(nowhere))
    worker = bench.workers[-1]
    task_id = bench.send("reject")
    until(lambda: worker.logged("dead_letter_waits"), 30)
    bench.stop_workers()
    bench.start()
    until(lambda: left(bench) == [task_id])


# --- looking ------------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_oldest_letters_are_shown_and_stay_in_their_order(bench: Bench) -> None:
    for number, task_id in enumerate("abcd"):
        bury(bench, task_id, **{"x-edugraph-died": f"2026-01-01T00:00:0{number}+00:00"})
    bury(bench, "e", "llm_analysis")
    operate = operator(bench)
    assert operate.counts() == {
        "data_import": 4,
        "import_splits": 0,
        "live_records": 0,
        "graph_findings": 0,
        "llm_analysis": 1,
    }
    assert [letter.task_id for letter in operate.oldest(QUEUE, 3)] == ["a", "b", "c"]
    letter, arguments = operate.show(QUEUE, "b")
    assert (letter.task_id, letter.job_id, letter.died) == (
        "b",
        "j",
        datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
    )
    assert arguments == BODY[0]
    assert left(bench) == list("abcd")


@pytest.mark.real
def test_a_letter_that_nobody_has_stored_yet_is_found(bench: Bench) -> None:
    """Out: `take_in` in `_letters_of_task`."""
    for do in ("show", "replay", "drop"):
        bury(bench, do)
        assert getattr(operator(bench), do)(QUEUE, do)


@pytest.mark.real
def test_a_task_or_a_queue_that_is_not_there_is_said(bench: Bench) -> None:
    bury(bench, "a")
    operate = operator(bench)
    for call in (operate.show, operate.replay, operate.drop):
        with pytest.raises(NotThere, match="there is no dead letter x in data_import"):
            call(QUEUE, "x")
        with pytest.raises(Rejected, match="there is no queue other; they are data_import"):
            call("other", "a")
    for whole in (
        operate.drop_all,
        lambda name: operate.oldest(name, 1),
        lambda name: operate.replay_all(name, 1, 1),
    ):
        with pytest.raises(Rejected, match="no queue"):
            whole("other")
    assert left(bench) == ["a"]


# --- sending again ------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_a_replay_sends_the_task_as_if_it_had_never_been_tried(bench: Bench) -> None:
    bury(bench, "other")
    died = {
        "x-edugraph-tries": "4",
        "x-first-death-queue": "q",
        "x-last-death-queue": "q",
        "x-delivery-count": 6,
        "x-opt-deaths": [1],
        "eta": "2026-01-01T00:00:00",
        "expires": "2026-01-01T00:00:00",
        "group": "g",
        "group_index": 3,
        "traceparent": "kept",
        "pair": [1, 2],
    }
    bury(bench, "a", **died)
    assert operator(bench).replay(QUEUE, "a") == Replayed(replayed=1)
    assert left(bench) == ["other"]
    [sent] = bench.take(QUEUE)
    assert (sent.pop("key"), sent.pop("priority")) == ("import.batch", 4)
    assert json.loads(sent.pop("body")) == [
        BODY[0],
        BODY[1],
        {"chord": None, "chain": None, "callbacks": None, "errbacks": ["e"]},
    ]
    assert datetime.fromisoformat(sent.pop("edugraph_replayed")) <= datetime.now(UTC)
    expected = {
        "id": "a",
        "task": "import_batch_task",
        "retries": 0,
        "traceparent": "kept",
        "pair": [1, 2],
    }
    unset = dict.fromkeys(("eta", "expires", "group", "group_index"))
    assert sent == expected | unset


@pytest.mark.real
@pytest.mark.parametrize("person", ["T1", None])
def test_a_letter_that_is_sent_again_has_the_mark_of_who_sends_it(
    bench: Bench, person: str | None
) -> None:
    """Out: `with_sender` in `_publish`, or `person` in either way to it."""
    bury(bench, "one")
    operator(bench).replay(QUEUE, "one", person)
    bury(bench, "all")
    operator(bench).replay_all(QUEUE, 10, 1_000, person)
    bodies = [json.loads(sent["body"]) for sent in bench.take(QUEUE)]
    expected = dict(BODY[0][0])
    if person:
        expected["resumed_by"] = [person_mark("j", person)]
    assert [arguments for [arguments], *_ in bodies] == [expected, expected]


@pytest.mark.real
def test_the_chord_of_a_task_whose_end_nobody_told_is_kept(bench: Bench) -> None:
    """Its workers died and none has come since. Out: `is_end_recorded`, and the body of the chord never runs."""
    bench.policy(delivery_limit=1)
    bench.start(without="dead letters", concurrency=2)
    [_, crashed], body = bench.chord({}, {"action": "crash", "times": 2})
    until(lambda: bench.depth("data_import.dead") == 1, 60)
    assert operator(bench).replay(QUEUE, crashed).replayed == 1
    [outcomes] = until(lambda: bench.noted("body", body), 20)
    assert [outcome["state"] for outcome in json.loads(outcomes)] == ["written", "written"]
    assert bench.letters.without_recorded_end(QUEUE) == []


@pytest.mark.real
def test_a_task_that_succeeded_meanwhile_is_dropped_and_not_sent(bench: Bench) -> None:
    bury(bench, "a")
    assert operator(bench, "a").replay(QUEUE, "a") == Replayed(skipped=1)
    assert (left(bench), bench.depth(QUEUE)) == ([], 0)


@pytest.mark.real
def test_a_letter_stays_until_the_broker_has_confirmed_its_replay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here no queue takes it. Out: publishing before deleting."""
    bury(bench, "a")
    assert operator(bench).counts()[QUEUE] == 1
    with monkeypatch.context() as lost:
        lost.setitem(ROUTES, "import_batch_task", Route(QUEUE, "bound.to.nothing"))
        with pytest.raises(Retryable, match="into no queue"):
            operator(bench).replay(QUEUE, "a")
    assert left(bench) == ["a"]
    assert operator(bench).replay(QUEUE, "a") == Replayed(replayed=1)


@pytest.mark.real
@pytest.mark.parametrize(
    "spoilt",
    [{"task": "x"}, {"task": None}, {"body": b"no"}, {"body": b"[1]"}, {"body": b"[1,2,3]"}],
)
def test_a_letter_that_no_worker_could_do_stays_and_says_so(
    bench: Bench, spoilt: dict[str, Any]
) -> None:
    bury(bench, "a", **spoilt)
    with pytest.raises(Unplayable, match="drop it"):
        operator(bench).replay(QUEUE, "a")
    assert (left(bench), bench.depth(QUEUE)) == (["a"], 0)


@pytest.mark.real
def test_a_replay_of_all_keeps_its_limit_and_its_pace_and_leaves_what_cannot_be_sent(
    bench: Bench,
) -> None:
    for number, (task_id, task) in enumerate(
        (("a", "x"), ("b", "done"), ("done", "done"), ("c", "d"), ("e", "e"))
    ):
        died = {"x-edugraph-died": f"2026-01-01T00:00:0{number}+00:00"}
        bury(bench, task_id, **died, task="x" if task == "x" else "import_batch_task")
    slept: list[float] = []
    replayed = operator(bench, "done", slept=slept).replay_all(QUEUE, 4, 4)
    assert replayed == Replayed(replayed=2, skipped=1, left=1)
    assert slept == [0, 0.25, 0, 0.25]  # what is only dropped takes no time of the workers
    assert left(bench) == ["a", "e"]


@pytest.mark.real
def test_a_letter_that_dies_again_meanwhile_is_kept_and_not_sent_twice(bench: Bench) -> None:
    """Also within one second, in which the broker's times are equal. Out: REPLAYED in the identity."""
    bench.start()
    task_id = bench.send("reject")
    until(lambda: left(bench) == [task_id])
    for _ in range(3):
        assert operator(bench).replay_all(QUEUE, 100, 10).replayed == 1
        until(lambda: left(bench) == [task_id])
    assert len(bench.noted("begun", task_id)) == 4


@pytest.mark.real
def test_replays_side_by_side_send_each_letter_once(bench: Bench) -> None:
    """Out: `claimed` in `_replay`."""
    for number in range(30):
        bury(bench, f"t-{number}")
    take_in(bench.settings, bench.letters)
    found = side_by_side(4, lambda: operator(bench).replay_all(QUEUE, 100, 10_000).replayed)
    assert sum(found) == 30
    assert Counter(sent["id"] for sent in bench.take(QUEUE)) == Counter(
        f"t-{number}" for number in range(30)
    )


@pytest.mark.real
def test_a_letter_that_one_sends_and_another_drops_is_sent_or_dropped(bench: Bench) -> None:
    """Out: `claimed` in `_drop`."""
    for number in range(30):
        bury(bench, f"t-{number}")
    take_in(bench.settings, bench.letters)
    todo = [
        lambda: operator(bench).replay_all(QUEUE, 100, 10_000).replayed,
        lambda: operator(bench).drop_all(QUEUE),
    ]
    with ThreadPoolExecutor(2) as pool:
        replayed, dropped = [future.result(60) for future in [pool.submit(do) for do in todo]]
    assert replayed + dropped == 30
    assert len(bench.take(QUEUE)) == replayed
    assert left(bench) == []


# --- dropping -----------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_letters_of_one_task_or_of_one_queue_are_dropped_and_counted(bench: Bench) -> None:
    for number, task_id in enumerate("abaac"):
        bury(bench, task_id, **{"x-edugraph-died": f"2026-01-01T00:00:0{number}+00:00"})
    bury(bench, "d", "llm_analysis")
    assert operator(bench).drop(QUEUE, "a") == 3
    assert left(bench) == ["b", "c"]
    assert operator(bench).drop_all(QUEUE) == 2
    assert (left(bench), left(bench, "llm_analysis")) == ([], ["d"])
    assert operator(bench).drop_all(QUEUE) == 0


# --- erasing and exporting a person -------------------------------------------------------------------------------


def without_ana(body: bytes) -> bytes:
    return body.replace(b"Ana", b"")


@pytest.mark.real
def test_letters_are_rewritten_wherever_they_are(bench: Bench) -> None:
    """Stored ones and others, of every queue. What a task queue holds is counted and left."""
    bury(bench, "a", body=b'"Ana 1"')
    take_in(bench.settings, bench.letters)
    bury(bench, "b", body=b'"Bo"')
    bury(bench, "c", "llm_analysis", b'"Ana 2"')
    bury(bench, "d", body=b"Ana")
    bench.flood(2, "work")
    with bench.letters.blobs.write("dead/data_import/x.json") as file:
        file.write(b"Ana")
    for dry_run in (True, False):
        found = rewrite_dead_letters(bench.settings, bench.letters, without_ana, dry_run=dry_run)
        assert found == (3, {QUEUE: 2}, ["dead/data_import/x.json"])
    texts = sorted(
        text for _, [text] in read_dead_letters(bench.settings, bench.letters, lambda body: [body])
    )
    assert texts == [b'" 1"', b'" 2"', b'"Bo"']
    assert (
        rewrite_dead_letters(bench.settings, bench.letters, without_ana, dry_run=False).changed == 0
    )
    assert bench.dead() + bench.dead("llm_analysis") == 3


@pytest.mark.real
def test_no_letter_of_a_person_is_left_when_letters_arrive_during_the_erasure(bench: Bench) -> None:
    """What was under way meanwhile is cleaned when the job to clean comes. Out: `note_erasure`."""
    jobs = Jobs(bench.redis)
    jobs.cleaned(LETTERS_TO_CLEAN, ())
    bench.start(concurrency=2)
    stop = threading.Event()

    def arrive() -> None:
        while not stop.wait(0.05):
            bench.send("reject", text="Ana")

    thread = threading.Thread(target=arrive)
    thread.start()
    until(lambda: bench.dead() >= 20)
    rewrite_dead_letters(bench.settings, bench.letters, without_ana, dry_run=False)
    time.sleep(1)
    stop.set()
    thread.join(10)
    until(
        lambda: (
            bench.depth(QUEUE) == bench.depth("data_import.dead") == 0
            and not bench.letters.without_recorded_end(QUEUE)
        ),
        60,
    )
    assert any(b"Ana" in body for body in all_bodies(bench)), "none arrived meanwhile"
    assert jobs.to_clean() == [LETTERS_TO_CLEAN]
    rewrite_dead_letters(bench.settings, bench.letters, without_ana, dry_run=False)
    assert not any(b"Ana" in body for body in all_bodies(bench))
    jobs.cleaned(LETTERS_TO_CLEAN, ())


def all_bodies(bench: Bench) -> list[bytes]:
    found = [bench.letters.read(ref) for ref in bench.letters.stored()]
    return [letter.content for letter in found if letter]


# --- the commands, the channel, and how a letter comes to be ------------------------------------------------------


@pytest.mark.real
def test_letters_are_kept_in_a_file_put_back_and_done(bench: Bench, tmp_path: Path) -> None:
    bench.start()
    tasks = [bench.send("reject", times=1) for _ in range(3)]
    until(lambda: len(left(bench)) == 3)
    made = edugraph(bench.environment(), "dead", "export", QUEUE)
    assert len(made.stdout.splitlines()) == 3, made.stderr
    (tmp_path / "letters.ndjson").write_text(made.stdout)
    operate = DeadLetterOperator(
        bench.settings, bench.letters, TaskResults(bench.settings, 5).is_done
    )
    assert operate.drop_all(QUEUE) == 3
    for _ in range(2):
        restored = edugraph(
            bench.environment(), "dead", "restore", str(tmp_path / "letters.ndjson")
        )
        assert "data_import 3" in restored.stdout
        assert bench.dead() == 3, "a file that is restored twice doubles nothing"
    assert operate.replay_all(QUEUE, 10, 100).replayed == 3
    until(lambda: all(len(bench.noted("done", task)) == 1 for task in tasks))


REST = {"redis_url": "redis://nowhere:6379/0", "blob_url": "memory://"}
ON_VALKEY = Settings(broker_url="redis://nowhere:6379/1", **REST)


@pytest.mark.parametrize("what", ["take in", "read", "rewrite"])
def test_a_broker_without_dead_letters_says_so_before_it_is_asked(what: str) -> None:
    nothing: Any = None
    calls = {
        "take in": lambda: take_in(ON_VALKEY, nothing),
        "read": lambda: read_dead_letters(ON_VALKEY, nothing, lambda body: [body]),
        "rewrite": lambda: rewrite_dead_letters(ON_VALKEY, nothing, without_ana, dry_run=True),
    }
    with pytest.raises(Rejected, match="only RabbitMQ"):
        calls[what]()


@pytest.fixture
def no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that is open without a broker: a real one cannot be made to fail in each of these ways."""
    monkeypatch.setattr(dead_letters, "pika_channel", lambda *_, **__: nullcontext())


@pytest.mark.usefixtures("no_channel")
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
    error: Exception, failure: type[Exception], words: str
) -> None:
    settings = Settings(broker_url="amqp://u:p@nowhere:5672/v", **REST)
    with pytest.raises(failure, match=words), dead_letter_channel(settings):
        raise error


def test_a_task_that_gives_up_sends_its_message_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[dict[str, Any]] = []
    app = Celery("probe", broker="memory://", set_as_current=False)

    @app.task(bind=True, name="import_batch_task")
    def task(self: Any) -> None:
        publish_dead_letter(self, ({"job_id": "j"},), "it failed")

    def apply_async(signature: Any, **options: Any) -> None:
        own = signature.options
        sent.append(
            {"args": signature.args, "id": own["task_id"], "retries": own["retries"], **options}
        )

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
