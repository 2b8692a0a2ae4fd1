"""Traps in the end of a task: pending for ever, a chord that hangs, a dead letter that nobody gets.

`guarded` false takes the guard out and shows the fault.
"""

import json
import time

import pytest
from traps import Bench, both, both_slow
from waiting import stays, until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", autouse=True)
def dies_soon(virtual_host: Bench) -> None:
    """After two deliveries instead of six, which only saves time."""
    virtual_host.policy(delivery_limit=1)


def without_listener(guarded: bool) -> str:
    return "" if guarded else "dead letters"


@both_slow
def test_poison_task(bench: Bench, guarded: bool) -> None:
    """A task that kills its worker each time ends in the dead letters, and stays STARTED for ever.
    Out: leave DeadLetterListener out of the worker.
    """
    bench.start(without=without_listener(guarded))
    task_id = bench.send("crash")
    until(lambda: bench.dead() == 1, 30)
    if guarded:
        until(lambda: bench.state(task_id) == "FAILURE", 5)
        (reason,) = bench.noted("given_up", task_id)
        assert "delivery_limit" in reason
    else:
        assert stays(lambda: bench.state(task_id) == "STARTED", 3)
    assert len(bench.noted("begun", task_id)) == 2
    until(lambda: bench.depth("data_import.dead") == (not guarded))


@both_slow
def test_chord_with_a_lost_header(bench: Bench, guarded: bool) -> None:
    """The body of a chord waits for a member whose message the broker gave up. Out: as above."""
    bench.start(without=without_listener(guarded), concurrency=2)
    _, body = bench.chord({}, {"action": "crash"}, {})
    until(lambda: bench.dead() == 1, 30)
    if guarded:
        (outcomes,) = until(lambda: bench.noted("body", body), 5)
        assert sorted(outcome["state"] for outcome in json.loads(outcomes)) == [
            "failed",
            "written",
            "written",
        ]
    else:
        assert stays(lambda: not bench.noted("body", body), 3)


@both
def test_chord_with_a_failed_header(bench: Bench, guarded: bool) -> None:
    """A member that shows FAILURE keeps the body from running. Out: the body's errback, which takes its place.

    Here the member's message is of an unknown form, so that it has no outcome to answer with.
    """
    bench.start(concurrency=2)
    _, body = bench.chord({}, {"version": 2}, errback=guarded)
    if guarded:
        assert until(lambda: bench.noted("body", body), 10) == ["[]"]
    else:
        until(lambda: bench.dead() == 1)
        assert stays(lambda: not bench.noted("body", body), 3)


@both_slow
def test_rejected_member_of_a_chord(bench: Bench, guarded: bool) -> None:
    """Rejected or out of tries, a member answers with a failed outcome, and the body runs with it.
    Out: that answer, by a member outside of the contract (see above).
    """
    bench.start(concurrency=2)
    (_, failed), body = bench.chord({}, {"action": "reject"} if guarded else {"version": 2})
    if guarded:
        until(lambda: bench.noted("body", body), 10)
        assert bench.noted("given_up", failed) == ["refused on purpose"]
    else:
        assert stays(lambda: not bench.noted("body", body), 3)
    until(lambda: bench.dead() == 1)


@both_slow
def test_answer_that_was_not_counted(bench: Bench, guarded: bool) -> None:
    """A child that dies between storing its result and telling its chord. Celery takes the stored result for the end.
    Out: leave RejectingRequest out, set worker_deduplicate_successful_tasks.
    """
    bench.policy(delivery_limit=5)
    conf = {} if guarded else {"worker_deduplicate_successful_tasks": True}
    bench.start(without=without_listener(guarded), conf=conf, concurrency=2)
    _, body = bench.chord({}, {"action": "answer and crash", "times": 1})
    if guarded:
        until(lambda: bench.noted("body", body), 20)
    else:
        until(lambda: bench.depth("data_import") == 0)
        assert stays(lambda: not bench.noted("body", body), 8)
    bench.policy(delivery_limit=1)


@both_slow
@pytest.mark.parametrize("action", ["count and crash", "count and end"])
def test_body_that_was_not_sent(bench: Bench, action: str, guarded: bool) -> None:
    """A child that dies as the last member of its chord, counted, and before it has sent the body.
    Out: ResultStore.on_chord_part_return.
    """
    bench.policy(delivery_limit=5)
    bench.start(without="" if guarded else "bodies sent again", concurrency=2)
    (_, last), body = bench.chord({}, {"action": action, "times": 1, "seconds": 2})
    if guarded:
        assert until(lambda: bench.noted("body", body), 20) == ["[]"]
    else:
        until(lambda: len(bench.noted("done", last)) == 2 and bench.depth("data_import") == 0)
        assert stays(lambda: not bench.noted("body", body), 8)
    bench.policy(delivery_limit=1)


@both_slow
def test_results_expired(bench: Bench, guarded: bool) -> None:
    """A chord that outlives the results of its members never runs its body. Out: result_expires of celery_app."""
    conf = {} if guarded else {"result_expires": 1, "result_chord_expires": 1}
    bench.start(conf=conf, concurrency=2)
    _, body = bench.chord({}, {"seconds": 4})
    if guarded:
        until(lambda: bench.noted("body", body), 10)
    else:
        assert stays(lambda: not bench.noted("body", body), 7)


@both_slow
def test_hard_time_limit(bench: Bench, guarded: bool) -> None:
    """Celery acknowledges what ran too long: no dead letter, and the job is not told. Out: RejectingRequest."""
    bench.start(without=without_listener(guarded))
    task_id = bench.send("hang", soft_time_limit=1, time_limit=2)
    if guarded:
        assert until(lambda: bench.noted("given_up", task_id)) == [
            "took longer than the hard time limit"
        ]
        until(lambda: bench.state(task_id) == "FAILURE")
        assert len(bench.take_dead()) == 1
    else:
        until(lambda: bench.state(task_id) == "FAILURE")
        assert stays(lambda: bench.dead() == 0, 2)
        assert bench.noted("given_up", task_id) == []
    assert len(bench.noted("begun", task_id)) == 1


def test_hard_time_limit_of_a_member_of_a_chord(bench: Bench) -> None:
    """As above; the body runs with a failed outcome."""
    bench.start(concurrency=2, conf={"task_soft_time_limit": 1, "task_time_limit": 2})
    _, body = bench.chord({}, {"action": "hang"})
    (outcomes,) = until(lambda: bench.noted("body", body), 15)
    assert sorted(outcome["state"] for outcome in json.loads(outcomes)) == ["failed", "written"]


@both
def test_child_that_holds_too_much_memory(bench: Bench, guarded: bool) -> None:
    """It is replaced after its task. Out: worker_max_memory_per_child, by the setting's 0."""
    bench.start(EDUGRAPH_CHILD_MEMORY_MIB="1" if guarded else "0")
    tasks = []
    for _ in range(3):
        tasks.append(bench.send())
        until(lambda: bench.state(tasks[-1]) == "SUCCESS")
    processes = {process for task in tasks for process in bench.noted("process", task)}
    assert len(processes) == (3 if guarded else 1)


def test_waiting_uses_no_try(bench: Bench) -> None:
    """Four waits, more than the three retries. Out: count `retries` up in EduGraphTask._wait."""
    bench.start()
    task_id = bench.send("wait", times=4)
    until(lambda: bench.state(task_id) == "SUCCESS", 20)
    assert len(bench.noted("begun", task_id)) == 5


def test_waiting_ends_at_the_deadline(bench: Bench) -> None:
    bench.start()
    task_id = bench.send("wait", deadline=time.time() + 3)
    until(lambda: bench.state(task_id) == "FAILURE", 10)
    assert "deadline" in bench.noted("given_up", task_id)[0]


def test_bug(bench: Bench) -> None:
    """Not tried again, buried with its type, and no word of its text in the logs or in the dead letter's reason."""
    worker = bench.start()
    task_id = bench.send("bug", text="Anna's secret")
    until(lambda: bench.state(task_id) == "FAILURE")
    assert bench.noted("given_up", task_id) == ["unexpected ZeroDivisionError"]
    (dead,) = bench.take_dead()
    assert dead["x-edugraph-reason"] == "unexpected ZeroDivisionError"
    assert worker.logged("Anna") == 0


def test_each_dead_letter_is_told_once(bench: Bench) -> None:
    """As an event. Its letter is told again when a child dies with it, under the same event id."""
    listener = bench.listen("dead_letter")
    bench.start()
    rejected, crashed = bench.send("reject"), bench.send("crash")
    until(lambda: bench.depth(listener) == 2, 30)
    events = {
        event["data"]["task_id"]: event
        for event in map(json.loads, (m["body"] for m in bench.take(listener)))
    }
    assert events[rejected]["data"] == {
        "queue": "data_import",
        "task": "trap_task",
        "task_id": rejected,
        "reason": "refused on purpose",
        "job_id": rejected,
    }
    assert "delivery_limit" in events[crashed]["data"]["reason"]
    assert events[rejected]["type"] == "io.edugraph.dead_letter"


def test_dead_letters_stay_however_often_they_are_put_back(bench: Bench) -> None:
    """A letter that cannot be stored goes back. A quorum queue drops what was put back 20 times.
    Out: the policy edugraph.dead.
    """
    bench.start(without="dead letters")
    bench.send("reject")
    until(lambda: bench.depth("data_import.dead") == 1)
    bench.stop_workers()
    bench.put_back("data_import.dead", 25)
    assert bench.depth("data_import.dead") == 1


@both_slow
def test_a_bad_deploy_stops_before_it_kills_its_queue(bench: Bench, guarded: bool) -> None:
    """10,000 messages of many jobs that all die of a bug. Out: leave add_circuit_breaker out of the worker."""
    bench.flood(10_000 if guarded else 200, "bug", jobs=10)
    worker = bench.start(
        without="" if guarded else "circuit breaker", concurrency=4, EDUGRAPH_DEAD_LETTER_PAUSE="4"
    )
    if not guarded:
        until(lambda: bench.dead() == 200, 60)
        return
    until(lambda: worker.logged("queue_paused"))
    until(lambda: bench.depth("data_import.dead") == 0)
    first = bench.dead()
    assert 20 <= first <= 50
    # It tries again by itself, and a death of each of two jobs is enough.
    until(lambda: worker.logged("queue_resumed"), 10)
    until(lambda: worker.logged("queue_paused") == 2, 10)
    time.sleep(1)
    assert first < bench.dead() <= first + 10
    assert bench.depth("data_import") + bench.dead() == 10_000


def test_a_queue_goes_on_when_its_messages_are_good_again(bench: Bench) -> None:
    bench.flood(25, "bug", jobs=5)
    worker = bench.start(EDUGRAPH_DEAD_LETTER_PAUSE="3")
    until(lambda: worker.logged("queue_paused"))
    with bench.app.connection_for_write() as connection:
        bench.app.amqp.queues["data_import"].bind(connection.default_channel).purge()
    good = [bench.send() for _ in range(3)]
    until(lambda: all(bench.state(task_id) == "SUCCESS" for task_id in good), 15)
    assert worker.logged("queue_paused") == 1


HARMLESS = {
    "rejected data of many jobs": ("reject", 10),
    "a bug over the records of one job": ("bug", 1),
}


@pytest.mark.parametrize(("action", "jobs"), HARMLESS.values(), ids=HARMLESS)
def test_other_jobs_go_on_while_messages_die_of_their_data(
    bench: Bench, action: str, jobs: int
) -> None:
    bench.flood(60, action, jobs=jobs)
    good = bench.send()
    worker = bench.start(EDUGRAPH_DEAD_LETTER_PAUSE="60")
    until(lambda: bench.state(good) == "SUCCESS", 15)
    until(lambda: bench.dead() == 60, 15)
    assert worker.logged("queue_paused") == 0


def test_lost_processes_of_several_jobs_pause_their_queue(bench: Bench) -> None:
    """As when the memory limit is too low: the broker buries these messages, and no task can tell of it."""
    bench.flood(12, "crash", jobs=3)
    worker = bench.start(EDUGRAPH_DEAD_LETTER_LIMIT="6", EDUGRAPH_DEAD_LETTER_PAUSE="60")
    until(lambda: worker.logged("queue_paused"), 60)
    assert bench.dead() < 12
