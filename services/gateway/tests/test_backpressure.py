"""When a full queue is refused, how often it is looked at, and how a client's tokens are spent: on a clock of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import redis as redis_client

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.messaging.queue_depth import queue_depth
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state import rate_limiter
from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter
from edugraph_gateway.submission.backpressure import Backpressure


class Looks:
    """Looks that are made when `go_on` says so, as the thread beside the requests would make them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.depth: int | Retryable = 0
        self.queues: list[str] = []
        self.pending: list[Any] = []
        self.options: dict[str, Any] = {}
        looks = self

        class Thread:
            def __init__(self, target: Any, **options: Any) -> None:
                looks.options = options
                self.start = lambda: looks.pending.append(target)

        monkeypatch.setattr("edugraph_gateway.submission.backpressure.threading.Thread", Thread)

    def look(self, queue: str) -> int:
        self.queues.append(queue)
        if isinstance(self.depth, Retryable):
            raise self.depth
        return self.depth

    def go_on(self) -> None:
        while self.pending:
            self.pending.pop(0)()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def made(looks: Looks, most: int = 10) -> tuple[Backpressure, Clock]:
    clock = Clock()
    return Backpressure(looks.look, most, clock=clock), clock


def test_as_many_as_allowed_are_taken_and_one_more_is_refused(looks: Looks) -> None:
    gate, _ = made(looks)
    for depth, full in ((10, False), (11, True)):
        looks.depth = depth
        gate, _ = made(looks)
        gate.check("q")  # nothing was seen yet
        looks.go_on()
        if not full:
            gate.check("q")
            continue
        with pytest.raises(Problem) as caught:
            gate.check("q")
        problem = caught.value
        assert (problem.status, problem.name, problem.retry_after) == (503, "pressure", 15)
        assert problem.detail.startswith("11 messages wait in q, more than 10; nothing was taken")


def test_a_queue_is_looked_at_once_a_second_beside_the_requests(looks: Looks) -> None:
    gate, clock = made(looks)
    for seconds, seen in ((0, 1), (0.99, 1), (0.01, 2), (0.5, 2), (0.5, 3)):
        clock.now += seconds
        gate.check("q")
        looks.go_on()
        assert len(looks.queues) == seen
    assert looks.options == {"daemon": True}  # it keeps no gateway from ending


def test_only_one_look_is_under_way_and_nobody_waits_for_it(looks: Looks) -> None:
    gate, clock = made(looks)
    gate.check("q")
    clock.now += 5
    gate.check("q")
    gate.check("other")
    assert len(looks.pending) == 1
    looks.go_on()
    gate.check("other")
    looks.go_on()
    assert looks.queues == ["q", "other"]


def test_each_queue_has_its_own_depth(looks: Looks) -> None:
    gate, _ = made(looks)
    looks.depth = 11
    gate.check("full")
    looks.go_on()
    looks.depth = 3
    gate.check("empty")
    looks.go_on()
    gate.check("empty")
    with pytest.raises(Problem):
        gate.check("full")


def test_a_full_queue_is_found_to_have_room_again(looks: Looks) -> None:
    gate, clock = made(looks)
    looks.depth = 11
    gate.check("q")
    looks.go_on()
    looks.depth = 2
    clock.now += 1
    with pytest.raises(Problem):  # by the last look, while the next is made
        gate.check("q")
    looks.go_on()
    gate.check("q")


def test_the_last_depth_stays_while_the_broker_does_not_answer(looks: Looks) -> None:
    gate, clock = made(looks)
    looks.depth = 11
    gate.check("q")
    looks.go_on()
    looks.depth = Retryable("away")
    clock.now += 1
    with pytest.raises(Problem):
        gate.check("q")
    looks.go_on()
    clock.now += 0.5
    with pytest.raises(Problem):
        gate.check("q")
    looks.go_on()
    assert len(looks.queues) == 2  # a broker that is away is asked once a second too


def test_a_depth_is_asked_for_without_making_the_queue_and_without_trying_again() -> None:
    asked: list[Any] = []

    class Connection:
        default_channel = SimpleNamespace(
            queue_declare=lambda queue, **options: (
                asked.append((queue, options)) or SimpleNamespace(message_count=7)
            )
        )

        def ensure_connection(self, **options: Any) -> None:
            asked.append(options)

    @contextmanager
    def connected() -> Iterator[Connection]:
        yield Connection()

    app: Any = SimpleNamespace(connection_for_read=connected)
    assert queue_depth(app)("q") == 7
    assert asked == [{"max_retries": 0}, ("q", {"passive": True})]


def test_a_broker_that_is_away_is_retryable() -> None:
    def connected() -> None:
        raise OSError

    with pytest.raises(Retryable):
        queue_depth(SimpleNamespace(connection_for_read=connected))("q")


# --- the rate limit of a client -----------------------------------------------------------------------------------


class Bucket:
    """Redis, with what its script answers: the microseconds to wait for so many tokens."""

    def __init__(self, **waits: int) -> None:
        self.waits, self.asked = {int(many[1:]): wait for many, wait in waits.items()}, []

    def register_script(self, text: str) -> Any:
        assert "GCRA" in text
        return self._take

    def _take(self, keys: list[str], arguments: list[int]) -> bytes:
        self.asked.append((keys, arguments))
        if self.waits[arguments[2]] < 0:
            raise redis_client.ConnectionError
        return str(self.waits[arguments[2]]).encode()


def test_tokens_are_taken_in_fiftieths_of_the_burst_and_one_at_least() -> None:
    for burst, portion in ((100, 2), (149, 2), (150, 3), (10, 1), (1, 1)):
        bucket = Bucket(**{f"_{portion}": 0})
        limiter: Any = RateLimiter(bucket, per_minute=600, burst=burst)
        assert limiter.take("c") == 0
        assert bucket.asked == [(["edugraph:turns:c"], [100_000, burst, portion])]
        assert [limiter.spend("c") for _ in range(portion)] == [True] * (portion - 1) + [False]


def test_where_one_token_is_the_portion_it_is_tried_once() -> None:
    bucket = Bucket(_1=30_000)
    limiter: Any = RateLimiter(bucket, per_minute=600, burst=10)
    assert limiter.take("c") == 0.03
    assert len(bucket.asked) == 1
    assert not limiter.spend("c")


def test_the_wait_is_that_for_one_token() -> None:
    limiter: Any = RateLimiter(Bucket(_2=900_000, _1=30_000), per_minute=600, burst=100)
    assert limiter.take("c") == 0.03


def test_one_token_that_was_left_is_spent_by_its_own_request() -> None:
    limiter: Any = RateLimiter(Bucket(_2=900_000, _1=0), per_minute=600, burst=100)
    assert limiter.take("c") == 0
    assert not limiter.spend("c")


def test_tokens_are_lost_after_a_second_and_are_one_client_s_own() -> None:
    clock = Clock()
    limiter: Any = RateLimiter(Bucket(_3=0), per_minute=600, burst=150, clock=clock)
    limiter.take("c")
    assert not limiter.spend("another")
    clock.now += 1
    assert limiter.spend("c")
    clock.now += 0.01
    assert not limiter.spend("c")


def test_a_client_that_took_no_token_has_none_however_short_the_machine_is_up() -> None:
    clock = Clock()
    clock.now = 0.5
    limiter: Any = RateLimiter(Bucket(_2=0), per_minute=600, burst=100, clock=clock)
    assert not limiter.spend("c")


def test_the_tokens_of_too_many_clients_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rate_limiter.MAX_CLIENTS == 10_000
    monkeypatch.setattr(rate_limiter, "MAX_CLIENTS", 2)
    limiter: Any = RateLimiter(Bucket(_2=0), per_minute=600, burst=100, clock=Clock())
    limiter.take("a")
    limiter.take("b")
    assert len(limiter._tokens) == 2
    limiter.take("c")
    assert len(limiter._tokens) == 1
    assert limiter.spend("c")


def test_a_bucket_that_does_not_answer_is_retryable() -> None:
    limiter: Any = RateLimiter(Bucket(_2=-1), per_minute=600, burst=100)
    with pytest.raises(Retryable):
        limiter.take("c")
