"""Traps in sending messages: lost, late, delivered twice or to nobody. Each is named after the trap.

`guarded` false takes the guard out and shows the fault, so that a guard that is no longer needed is seen too.
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import amqp.exceptions
import kombu.exceptions
import pytest
from celery.app.base import Celery
from kombu.transport.native_delayed_delivery import calculate_routing_key
from traps import TRAP, Bench, both, both_slow
from waiting import stays, until

from edugraph_common.contracts.errors import QueueFull, Rejected, Retryable
from edugraph_common.contracts.messages import ImportBatch, ImportJob
from edugraph_common.contracts.routes import QUEUES, URGENT
from edugraph_common.runtime.messaging.celery_app import make_app, make_publisher
from edugraph_common.runtime.messaging.provisioning import (
    all_queues,
    apply_topology,
    check_topology,
)
from edugraph_common.runtime.messaging.publisher import LARGEST_BODY, send
from edugraph_common.runtime.messaging.task_base import backoff
from edugraph_common.runtime.messaging.topology import policies
from edugraph_gateway.submission.async_publisher import AsyncPublisher, task_message

pytestmark = pytest.mark.real


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Bench]:
    """Where nothing is declared yet."""
    with Bench.open(tmp_path, declare=False) as bench:
        yield bench


def body(task_id: str = "t") -> dict[str, str]:
    return {"job_id": task_id}


def test_the_topology_is_what_the_code_says(bench: Bench) -> None:
    """Out: leave a queue, binding or policy out of provisioning.apply_topology."""
    assert check_topology(bench.settings) == []
    apply_topology(bench.app, bench.settings)
    assert check_topology(bench.settings) == []


def test_a_foreign_policy_of_higher_priority_is_named(fresh: Bench) -> None:
    """Ours is set and not in effect. Out: compare the policies by name, in provisioning.check_topology."""
    apply_topology(fresh.app, fresh.settings)
    path = f"/api/policies/{fresh.vhost}/ha-all"
    foreign = {
        "pattern": ".*",
        "apply-to": "queues",
        "priority": 50,
        "definition": {"max-length": 10},
    }
    fresh.api.put(path, json=foreign).raise_for_status()
    # The broker tells of it some seconds later, of one queue after the other.
    problems = until(
        lambda: (
            (found := check_topology(fresh.settings)) and len(found) == len(all_queues()) and found
        )
    )
    [of_imports] = [
        problem
        for problem in problems
        if problem.startswith("queue data_import is ruled by policy ha-all")
    ]
    assert "dead-letter-exchange is not set and must be edugraph.dead" in of_imports
    assert "max-length is 10 and must be not set" in of_imports
    fresh.api.delete(path).raise_for_status()
    until(lambda: check_topology(fresh.settings) == [])


def test_a_changed_policy_of_ours_is_named(bench: Bench) -> None:
    bench.policy(overflow="drop-head")
    [problem] = until(lambda: check_topology(bench.settings))
    assert problem == (
        "queue data_import is ruled by policy edugraph.data_import (ours is edugraph.data_import): "
        "overflow is drop-head and must be reject-publish"
    )
    apply_topology(bench.app, bench.settings)
    until(lambda: check_topology(bench.settings) == [])


@both
def test_full_queue_refuses_what_is_sent(fresh: Bench, guarded: bool) -> None:
    """A queue that is full drops its oldest message by default, after it was confirmed.
    Out: overflow in topology.policies, and the translation of a refusal in publisher.broker_errors.
    """
    apply_topology(fresh.app, fresh.settings)
    fresh.policy(max_length_bytes=20_000, **({} if guarded else {"overflow": "drop-head"}))
    asked = ImportBatch(job_id="j", batch=1, records=({"text": "x" * 1_000},))

    async def send_at_once() -> list[BaseException | None]:
        publisher = AsyncPublisher(
            make_publisher("trap", fresh.settings), fresh.settings, timeout_seconds=10
        )
        sending = (
            publisher.send("import_batch_task", asked, task_id=uuid4().hex) for _ in range(100)
        )
        answers = await asyncio.gather(*sending, return_exceptions=True)
        await publisher.close()
        return answers

    answers = asyncio.run(send_at_once())
    # A quorum queue tells a channel that it is full some time after it is: what came at once may all have been taken.
    answers += asyncio.run(send_at_once())
    refused = [answer for answer in answers if answer is not None]
    if guarded:
        assert {type(answer) for answer in refused} == {QueueFull}
        assert fresh.depth("data_import") == 200 - len(refused)
        with pytest.raises(QueueFull):
            send(fresh.app, "import_batch_task", asked, task_id=uuid4().hex)
    else:
        assert not refused
        assert fresh.depth("data_import") < 100


MIB = 1_024**2
BYTES = {"import_splits": 32 * MIB, "live_records": 1_196 * MIB}


def test_each_task_queue_is_bounded_in_bytes() -> None:
    """That it is in effect is what check_topology says. Out: max-length-bytes in topology.policies."""
    for queue in QUEUES:
        definition = policies()[f"edugraph.{queue}"]["definition"]
        assert (definition["max-length-bytes"], definition["overflow"]) == (
            BYTES.get(queue, 614 * MIB),
            "reject-publish",
        )
    # All queues fit the bundled broker's volume of 4 GiB, with a quarter for dead letters.
    whole = sum(
        policies()[f"edugraph.{queue}"]["definition"]["max-length-bytes"] for queue in QUEUES
    )
    assert whole <= 3 * 1_024 * MIB


@both
def test_urgent_messages_overtake(bench: Bench, guarded: bool) -> None:
    """Splits, aggregates and the only batch of a small job do not wait for all that was sent before them.
    Out: the priority.
    """
    others = [bench.send(seconds=0.1) for _ in range(60)]
    urgent = bench.send(**({"priority": URGENT} if guarded else {}))
    bench.start()
    until(lambda: bench.state(urgent) == "SUCCESS", 60)
    done_before = sum(bool(bench.noted("done", other)) for other in others)
    assert (done_before < 10) is guarded


def test_a_task_keeps_its_priority_in_its_message_and_its_retries(fresh: Bench) -> None:
    """Out: priority in celery_app's task_routes; ROUTES in async_publisher.task_message."""
    apply_topology(fresh.app, fresh.settings)
    job = ImportJob(job_id="j", source="s")
    send(fresh.app, "import_records_with_callback", job, task_id=uuid4().hex)
    made = task_message(fresh.app, "import_records_with_callback", job, uuid4().hex)
    assert [fresh.take("data_import")[0]["priority"], made.content.priority] == [URGENT, URGENT]
    worker = fresh.start()
    fresh.send("retry", priority=URGENT)
    until(lambda: worker.logged("task_retried"))
    worker.terminate()
    (retried,) = until(lambda: fresh.take("data_import"))
    assert (retried["retries"], retried["priority"]) == (1, URGENT)


def test_a_message_goes_through_the_exchange_of_its_queue(bench: Bench) -> None:
    """Out: task_default_exchange in celery_app. Celery then publishes past the exchange, by the queue's name."""
    bench.send()
    (message,) = bench.take("data_import")
    assert message["key"] == "import.batch"


def test_sub_second_countdown() -> None:
    """A delay between 0 and 1 s is refused on quorum queues, and the retry is lost. Out: fractions in tasks.backoff."""
    with pytest.raises(ValueError, match="positive"):
        calculate_routing_key(int(0.5), "import.batch")
    assert all(backoff(retries) >= 1 for retries in range(4) for _ in range(200))


@both
def test_countdown_before_any_worker_ran(fresh: Bench, guarded: bool) -> None:
    """Only a worker declares the delays. Out: publish to a broker on which `edugraph topology apply` did not run."""
    if guarded:
        apply_topology(fresh.app, fresh.settings)
        task_id = fresh.send(countdown=1)
        until(lambda: fresh.depth("data_import") == 1, 10)
        assert fresh.take("data_import")[0]["id"] == task_id
        return
    with pytest.raises((amqp.exceptions.NotFound, kombu.exceptions.OperationalError)):
        fresh.send(countdown=1)


@both
def test_countdown_without_confirms_before_any_worker_ran(fresh: Bench, guarded: bool) -> None:
    """Without confirms the same message is lost without a word. Out: confirm_publish of make_publisher."""
    app = make_publisher("p", fresh.settings) if guarded else make_app("p", fresh.settings)
    if guarded:
        with pytest.raises(Retryable, match="topology apply"):
            send_later(app)
        return
    send_later(app)
    apply_topology(fresh.app, fresh.settings)
    assert stays(lambda: fresh.depth("data_import") == 0, 3)


def send_later(app: Celery) -> None:
    from edugraph_common.runtime.messaging.publisher import broker_errors

    with broker_errors():
        app.send_task(TRAP, (body(),), countdown=1, mandatory=True)


@both_slow
def test_gateway_without_quorum_declaration(bench: Bench, guarded: bool) -> None:
    """A publisher that does not know that the queue is a quorum queue lets workers hold its delayed messages: two such
    block a pool of one for as long. Out: quorum=False in the publisher's task_queues.
    """
    bench.start(concurrency=1)
    if not guarded:
        from edugraph_common.runtime.messaging.topology import task_queues

        bench.app.amqp.queues = bench.app.amqp.Queues(task_queues(quorum=False))
    began = time.time()
    try:
        for _ in range(2):
            bench.send(countdown=6)
    finally:
        if not guarded:
            bench.app.amqp.queues = bench.app.amqp.Queues(task_queues())
    time.sleep(0.5)
    task_id = bench.send()
    waited = until(lambda: bench.times("begun", task_id), 15)[0] - began
    assert (waited < 4) is guarded, waited


def test_delayed_retries_and_their_key_prefix(bench: Bench) -> None:
    """A retried message has 28 bits before its key. Out: make the base add the bits to the prefixed key again.

    Three retries come after 1, 2 and 4 s and jitter, none earlier, and the dead letter's key is the queue's name.
    """
    bench.start(concurrency=1)
    task_id = bench.send("retry")
    until(lambda: bench.noted("given_up", task_id), 30)
    begun = bench.times("begun", task_id)
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert len(begun) == 4
    assert all(
        low <= pause < 2 * low + 1.5 for low, pause in zip([1, 2, 4], pauses, strict=True)
    ), pauses
    (dead,) = until(bench.take_dead)
    assert (dead["x-edugraph-tries"], dead["retries"]) == ("4", 0)
    assert "x-death" not in dead
    until(lambda: bench.state(task_id) == "FAILURE", 5)


@both
def test_unroutable_publish(bench: Bench, guarded: bool) -> None:
    """A message that no queue takes vanishes unless it is mandatory and confirmed. Out: mandatory in publishing.send."""
    from edugraph_common.runtime.messaging.publisher import broker_errors

    app = make_publisher("p", bench.settings)

    def publish() -> None:
        with broker_errors():
            options = {"mandatory": True} if guarded else {}
            app.send_task(
                TRAP, (body(),), exchange="edugraph.tasks", routing_key="import.nobody", **options
            )

    if guarded:
        with pytest.raises(Retryable, match="no queue takes"):
            publish()
    else:
        publish()
        assert bench.depth("data_import") == 0


@both
def test_unknown_task_name(bench: Bench, guarded: bool) -> None:
    """Of another version. The worker refuses it, and the broker buries it. Out: the dead-letter policy of the queue."""
    policy = f"/api/policies/{bench.vhost}/edugraph.data_import"
    if not guarded:
        bench.api.delete(policy).raise_for_status()
    try:
        bench.start()
        task_id = bench.send(name=TRAP)
        until(lambda: bench.state(task_id) == "SUCCESS")
        bench.app.send_task(
            "task_of_tomorrow", (body(),), task_id=f"unknown-{guarded}", queue="data_import"
        )
        if guarded:
            until(lambda: bench.state(f"unknown-{guarded}") == "FAILURE")
            assert until(bench.take_dead)[0]["task"] == "task_of_tomorrow"
        else:
            # Refused and lost: no dead letter, and so nobody who would tell its task.
            until(lambda: bench.workers[0].logged("message_refused"))
            assert stays(lambda: bench.dead() == 0, 2)
            assert bench.depth("data_import") == 0
            assert bench.state(f"unknown-{guarded}") == "PENDING"
    finally:
        apply_topology(bench.app, bench.settings)


@both_slow
def test_message_that_cannot_be_read(bench: Bench, guarded: bool) -> None:
    """Celery acknowledges a body that its child cannot decode: no dead letter. Out: RejectingRequest, by leaving
    DeadLetterListener out of the worker.
    """
    worker = bench.start(without="" if guarded else "dead letters")
    message = {
        "task": TRAP,
        "id": f"garbled-{guarded}",
        "lang": "py",
        "root_id": None,
        "parent_id": None,
        "group": None,
    }
    with bench.app.producer_pool.acquire() as producer:
        producer.publish(
            b"[[{", exchange="edugraph.tasks", routing_key="import.batch", headers=message,
            content_type="application/json", content_encoding="utf-8",
        )  # fmt: skip
    if guarded:
        until(lambda: bench.state("garbled-True") == "FAILURE")
        assert "[[{" not in worker.log.read_text()
        assert until(bench.take_dead)[0]["id"] == "garbled-True"
    else:
        until(lambda: worker.logged("decode message body"))
        assert stays(lambda: bench.dead() == 0, 2)
        assert (bench.state("garbled-False"), bench.depth("data_import")) == ("PENDING", 0)
    assert worker.alive()


@both
def test_message_over_the_size_limit(bench: Bench, guarded: bool) -> None:
    """The broker closes the channel on more than 16 MiB. Out: call send_task instead of publishing.send."""
    records = tuple({"text": "x" * 1_000_000} for _ in range(17))
    message = ImportBatch(job_id="big", batch=0, records=records)
    app = make_publisher("p", bench.settings)
    if guarded:
        with pytest.raises(Rejected, match=str(LARGEST_BODY)):
            send(app, "import_batch_task", message, task_id="big")
    else:
        with pytest.raises((amqp.exceptions.AMQPError, kombu.exceptions.OperationalError, OSError)):
            app.send_task(
                "import_batch_task",
                (message.model_dump(mode="json"),),
                task_id="big",
                mandatory=True,
            )
    assert bench.depth("data_import") == 0
