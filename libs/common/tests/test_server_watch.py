"""A worker whose servers cannot be used takes no messages, and asks again after longer and longer pauses."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from edugraph_common.contracts.errors import ServerAway
from edugraph_common.contracts.worker_reports import ServerAnswer, WorkerReport
from edugraph_common.runtime.messaging.worker.queue_gates import Gates
from edugraph_common.runtime.messaging.worker.server_watch import ServerWatch, ask_servers

QUEUES = ("data_import", "import_splits")
AWAY = ServerAnswer(server="neo4j", cause="away", reason="Neo4j does not answer")
GOOD = ServerAnswer(server="neo4j")


class Consumer:
    """Stands for Celery's consumer: which queues it takes from, and what it was asked to do later."""

    def __init__(self, *, uses_semaphore: bool = True) -> None:
        self.taking = set(QUEUES)
        self.sent: list[dict[str, Any]] = []
        self.pauses: list[float] = []
        self.acquired = 0
        servers = {"neo4j": lambda: None}
        queues = SimpleNamespace(consume_from=dict.fromkeys(QUEUES))
        self.app = SimpleNamespace(
            servers=servers, main="edugraph-importer", amqp=SimpleNamespace(queues=queues)
        )
        self.hub = SimpleNamespace(call_soon=lambda call: call())
        self.timer = SimpleNamespace(call_after=self._call_after)
        self.pool = SimpleNamespace(apply_async=self._apply_async, uses_semaphore=uses_semaphore)
        self.controller = SimpleNamespace(semaphore=SimpleNamespace(acquire=self._acquire))
        self.hostname = "w@x"
        self.gates = Gates(self)

    def cancel_task_queue(self, queue: str) -> None:
        self.taking.remove(queue)

    def add_task_queue(self, queue: str) -> None:
        self.taking.add(queue)

    def call_soon(self, call: Callable[..., None], *args: Any) -> None:
        call(*args)

    def _acquire(self, send: Callable[[], None]) -> None:
        self.acquired += 1
        send()

    def _apply_async(self, *_: Any, **callbacks: Any) -> None:
        self.sent.append(callbacks)

    def _call_after(self, seconds: float, _call: Callable[[], None]) -> Any:
        self.pauses.append(seconds)
        return SimpleNamespace(cancel=lambda: None)

    def answer(self, *answers: ServerAnswer) -> None:
        self.sent[-1]["callback"](WorkerReport(worker="w@x", queues=QUEUES, answers=answers))


def watched(**options: Any) -> tuple[Consumer, ServerWatch]:
    consumer = Consumer(**options)
    watch = ServerWatch(consumer)
    watch.start(consumer)
    return consumer, watch


def test_no_message_is_taken_before_the_servers_answered() -> None:
    consumer, watch = watched()
    assert (consumer.taking, watch.is_holding) == (set(), True)
    consumer.answer(GOOD)
    assert (consumer.taking, watch.is_holding) == (set(QUEUES), False)


def test_pauses_grow_to_a_bound_and_begin_again_after_a_success() -> None:
    consumer, watch = watched()
    for _ in range(6):
        consumer.answer(AWAY)
        assert consumer.taking == set()
    assert consumer.pauses == [5, 10, 20, 30, 30, 30]
    consumer.answer(GOOD)
    watch.record_away(AWAY)
    assert consumer.pauses[-1] == 30
    consumer.answer(GOOD)
    watch.record_success()
    watch.record_away(AWAY)
    assert (consumer.pauses[-1], consumer.taking) == (5, set())


def test_a_reconnection_opens_nothing_and_asks_again() -> None:
    consumer, watch = watched()
    consumer.answer(AWAY)
    watch.start(consumer)
    assert (consumer.taking, len(consumer.sent)) == (set(), 2)
    consumer.answer(GOOD)
    watch.start(consumer)
    assert (consumer.taking, len(consumer.sent)) == (set(QUEUES), 2)


def test_a_child_that_dies_while_it_asks_is_followed_by_another_question() -> None:
    consumer, _ = watched()
    consumer.sent[-1]["error_callback"](SimpleNamespace(exception=OSError()))
    assert (consumer.pauses, consumer.taking) == ([5], set())


@pytest.mark.parametrize("uses_semaphore", [True, False])
def test_a_pool_of_threads_is_not_asked_for_a_semaphore_that_it_never_gives_back(
    uses_semaphore: bool,
) -> None:
    consumer, _ = watched(uses_semaphore=uses_semaphore)
    assert (consumer.acquired, len(consumer.sent)) == (int(uses_semaphore), 1)


def test_a_queue_that_is_paused_for_two_reasons_opens_after_both() -> None:
    consumer, watch = watched()
    consumer.gates.close("data_import", "failures")
    consumer.answer(GOOD)
    assert consumer.taking == {"import_splits"}
    watch.record_away(AWAY)
    consumer.gates.open("data_import", "failures")
    assert consumer.taking == set()
    consumer.gates.open("data_import", "servers")
    assert consumer.taking == {"data_import"}


def test_each_server_is_asked_whatever_the_others_say() -> None:
    def refuse() -> None:
        raise ServerAway("Redis refuses the user x", "redis", "refused")

    app = SimpleNamespace(servers={"redis": refuse, "neo4j": lambda: None})
    assert ask_servers(app) == [
        ServerAnswer(server="redis", cause="refused", reason="Redis refuses the user x"),
        ServerAnswer(server="neo4j"),
    ]
