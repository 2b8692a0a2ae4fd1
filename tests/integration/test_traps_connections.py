"""Traps in a worker's connections: it hangs, it exits, or it does the same work twice at the same time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from engines import given
from proxy import Proxy
from traps import ADDRESSES, TRAP, Bench, Control, both, both_slow, slow
from waiting import stays, until

from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.messaging.topology import CONSUMER_TIMEOUT_MS

pytestmark = pytest.mark.real
QUICK_HEART = {"broker_heartbeat": 4}  # only to see the same sooner
CELERYS_OWN = {
    "worker_enable_remote_control": True,
    "control_queue_exclusive": True,
    "control_queue_durable": False,
    "broker_channel_error_retry": False,
}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(given(ADDRESSES[0])[ADDRESSES[0]]) as proxy:
        yield proxy


@both_slow
def test_wedged_worker_under_a_memory_alarm(bench: Bench, guarded: bool) -> None:
    """A main process that waits for a confirm without a time-out does nothing else for as long as the alarm lasts: no
    work, no heartbeat. Out: confirm_in_children, by confirms for the whole worker, and the socket's time-outs.
    """
    control = Control()
    conf = {} if guarded else {"broker_transport_options": {"confirm_publish": True}}
    bench.start(conf=conf, without="" if guarded else "confirms in children")
    first, second = bench.send(seconds=8), bench.send()
    until(lambda: bench.noted("begun", first))
    with control.memory_alarm():
        # The alarm reaches a connection with its next message: an event of the worker. Work comes on another one.
        if guarded:
            until(lambda: bench.state(second) == "SUCCESS", 20)
        else:
            assert stays(lambda: not bench.noted("begun", second), 20)
    until(lambda: bench.state(bench.send()) == "SUCCESS", 60, every=1)
    assert len(bench.noted("begun", first)) == len(bench.noted("begun", second)) == 1


@slow
@both
def test_swallowed_connection(bench: Bench, proxy: Proxy, guarded: bool) -> None:
    """A firewall that drops. Out: heartbeats, read_timeout and write_timeout: the worker hangs for ever."""
    conf = {} if guarded else {"broker_transport_options": {}, "broker_heartbeat": 0}
    worker = bench.start(conf=conf, port=proxy.port)
    task_id = bench.send()
    until(lambda: bench.state(task_id) == "SUCCESS")
    proxy.swallow()
    proxy.heal()
    task_id = bench.send()
    if guarded:
        until(lambda: bench.state(task_id) == "SUCCESS", 120)
        assert worker.alive()
    else:
        assert stays(lambda: bench.state(task_id) == "PENDING", 60)


@both
def test_control_queue_that_nobody_may_declare(bench: Bench, guarded: bool) -> None:
    """As when the node on which the control queue lives is lost: the worker must consume without it.
    Out: RemoteControl, by Celery's own, which declares its queue before the worker consumes.
    """
    conf, without = ({}, "") if guarded else (CELERYS_OWN, "remote control")
    with bench.allowed(r"^(?!.*pidbox).*$"):
        worker = bench.start(conf=conf, without=without, wait=guarded)
        task_id = bench.send()
        if guarded:
            until(lambda: bench.state(task_id) == "SUCCESS")
            until(lambda: worker.logged("remote_control_away"))
        else:
            assert stays(lambda: bench.state(task_id) == "PENDING", 8)
    if guarded:
        # The worker tries again by itself.
        until(bench.inspect, 30)


@both
def test_worker_answers_after_a_half_open_connection(
    bench: Bench, proxy: Proxy, guarded: bool
) -> None:
    """The broker still holds what belongs to a connection that is gone. Celery's own control queue is exclusive to
    it, and the worker exits. Out: RemoteControl, by Celery's own.
    """
    conf, without = ({}, "") if guarded else (CELERYS_OWN, "remote control")
    worker = bench.start(
        f"half-{guarded}", conf={**conf, **QUICK_HEART}, without=without, port=proxy.port
    )
    proxy.half_open()
    if guarded:
        # To the consumer that is only the broker's ghost, or to the new one: it is done all the same.
        task_id = bench.send()
        until(lambda: bench.state(task_id) == "SUCCESS", 40)
        assert worker.alive()
        until(bench.inspect, 40)
    else:
        until(lambda: not worker.alive(), 20)
        assert worker.logged("RESOURCE_LOCKED")


@both_slow
def test_two_workers_of_one_name(bench: Bench, guarded: bool) -> None:
    """The second one finds the first one's control queue locked and exits. Out: RemoteControl, by Celery's own."""
    conf, without = ({}, "") if guarded else (CELERYS_OWN, "remote control")
    bench.start(f"same-{guarded}", conf=conf, without=without)
    second = bench.start(f"same-{guarded}", conf=conf, without=without, wait=False)
    until(lambda: second.logged(" ready.") or not second.alive(), 30)
    assert second.alive() is guarded


def test_worker_answers_each_inspection_while_it_works(bench: Bench) -> None:
    """`make celery-status` and Flower's pages on workers. Out: RemoteControl."""
    bench.start(concurrency=2)
    task_id = bench.send(seconds=20)
    until(lambda: bench.noted("begun", task_id))
    until(bench.inspect)
    inspect = bench.app.control.inspect(timeout=5, limit=1)
    [active] = inspect.active().values()
    assert [task["id"] for task in active] == [task_id]
    assert all(TRAP in registered for registered in inspect.registered().values())
    assert all(stats["pool"]["max-concurrency"] == 2 for stats in inspect.stats().values())
    [queues] = inspect.active_queues().values()
    assert [queue["name"] for queue in queues] == ["data_import"]


@both_slow
def test_reconnection_while_another_node_is_away(bench: Bench, proxy: Proxy, guarded: bool) -> None:
    """Celery declares the delay queues on each node again, and waits for the one that is away. Out: QuickConsumer."""
    here = bench.environment(proxy.port)["EDUGRAPH_BROKER_URL"]
    both_nodes = f"{here};{here.replace(f':{proxy.port}/', ':1/')}"
    bench.start(without="" if guarded else "delays once", EDUGRAPH_BROKER_URL=both_nodes)
    proxy.cut()
    began, task_id = time.monotonic(), bench.send()
    until(lambda: bench.state(task_id) == "SUCCESS", 60)
    assert (time.monotonic() - began < 7) is guarded


def test_remote_control_can_be_turned_off(bench: Bench) -> None:
    """Out: the setting remote_control."""
    bench.start(EDUGRAPH_REMOTE_CONTROL="false")
    task_id = bench.send()
    until(lambda: bench.state(task_id) == "SUCCESS")
    assert not bench.inspect()


def test_consumer_timeout_is_longer_than_any_task(bench: Bench) -> None:
    """Out: consumer-timeout in topology._policy."""
    for queue in QUEUES:
        answer = bench.api.get(f"/api/queues/{bench.vhost}/{queue}").raise_for_status().json()
        assert answer["effective_policy_definition"]["consumer-timeout"] == CONSUMER_TIMEOUT_MS
    assert 1000 * (bench.app.conf.task_time_limit + 600) < CONSUMER_TIMEOUT_MS


@slow
@both
def test_consumer_timeout_against_long_tasks(bench: Bench, guarded: bool) -> None:
    """The broker closes the channel of a consumer that holds a message for too long: the worker exits, and the task is
    done twice. Out: the policy's consumer-timeout (here 10 s), broker_channel_error_retry.
    """
    control = Control()
    control("eval", "application:set_env(rabbit, channel_tick_interval, 2000).")
    try:
        if not guarded:
            bench.policy(consumer_timeout=5_000)
        worker = bench.start(conf={} if guarded else {"broker_channel_error_retry": False})
        task_id = bench.send(seconds=20)
        if guarded:
            until(lambda: bench.state(task_id) == "SUCCESS", 40)
            assert (len(bench.noted("begun", task_id)), worker.alive()) == (1, True)
        else:
            until(lambda: not worker.alive(), 60)
            until(lambda: bench.depth("data_import") == 1)
    finally:
        control("eval", "application:set_env(rabbit, channel_tick_interval, 60000).")
        bench.policy()


@both_slow
def test_connection_lost_in_the_middle_of_a_task(bench: Bench, proxy: Proxy, guarded: bool) -> None:
    """The message comes back while its task still runs, and both run on side by side.
    Out: worker_cancel_long_running_tasks_on_connection_loss.
    """
    conf = {} if guarded else {"worker_cancel_long_running_tasks_on_connection_loss": False}
    bench.start(conf=conf, port=proxy.port, concurrency=2)
    task_id = bench.send(seconds=6)
    until(lambda: bench.noted("begun", task_id))
    proxy.cut()
    until(lambda: bench.state(task_id) == "SUCCESS", 40)
    until(lambda: bench.depth("data_import") == 0)
    assert len(bench.noted("begun", task_id)) == 2
    time.sleep(3)
    assert len(bench.noted("done", task_id)) == (1 if guarded else 2)


FORK = """
import os, sys, time
from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.service.settings import Settings
app = make_app("p", Settings())
app.conf.broker_transport_options = {"confirm_publish": True}
def publish():
    app.send_task("import_batch_task", ({"job_id": "fork", "batch": 0},), mandatory=True)
if sys.argv[1] == "before":
    publish()
child = os.fork()
end = time.monotonic() + 3  # both at the same time
while time.monotonic() < end:
    publish()
if not child:
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


@both
def test_fork_after_publish(bench: Bench, guarded: bool, tmp_path: Path) -> None:
    """A process that publishes and then forks shares its connection with its child: one reads the other's confirm, and
    waits for ever or fails. Out: publish before the fork. So no process of ours forks after it has begun to publish:
    the gateway is one process, and a worker's main process hands what it has to say to a child.
    """
    script = tmp_path / "fork.py"
    script.write_text(FORK)
    command = [sys.executable, str(script), "after" if guarded else "before"]
    process = subprocess.Popen(command, env=bench.environment(), start_new_session=True)
    try:
        if guarded:
            assert process.wait(30) == 0
            assert bench.depth("data_import") > 2
        else:
            until(lambda: bench.depth("data_import"))  # or it failed before it could publish
            with suppress(subprocess.TimeoutExpired):
                assert process.wait(8) != 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
