"""What must see every dead letter does it alone: RabbitMQ shows one by handing it out, and nobody else sees it then."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from traps import Bench
from waiting import until

from edugraph_common.contracts.errors import Retryable, Wait
from edugraph_common.messaging import dead_letters
from edugraph_common.messaging.dead_letters import (
    HOLDS,
    Hold,
    LetterHolds,
    dead_letter_channel,
    held_letters,
    read_dead_letters,
    rewrite_dead_letters,
)
from edugraph_common.platform.job_store import connect
from edugraph_gateway.operations.dead_letter_operator import DeadLetterOperator, NotThere

QUEUE = "data_import"


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with connect(redis_url) as client:
        yield client
        client.delete(HOLDS)


@pytest.fixture
def buried(bench: Bench) -> Iterator[tuple[Bench, LetterHolds]]:
    """Three dead letters on a real broker."""
    bench.start()
    for _ in range(3):
        bench.send("reject", times=1)
    until(lambda: bench.depth("data_import.dead") == 3)
    with connect(bench.settings.redis_url.get_secret_value()) as client:
        client.delete(HOLDS)
        yield bench, LetterHolds(client)


def is_held(client: "redis.Redis", seconds: float = 0.0) -> bool:
    """Tell whether anybody holds letters, for some more seconds at least."""
    return bool(client.zcount(HOLDS, dead_letters._redis_time(client) + seconds, "+inf"))


@contextmanager
def holding_some(client: "redis.Redis") -> Iterator[Hold]:
    """Hold letters, as far as others can tell."""
    with LetterHolds(client).holding() as hold:
        hold.took = True
        yield hold


def test_who_holds_letters_is_known_until_the_broker_has_them_back(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: either `_until` of a hold."""
    monkeypatch.setattr(dead_letters, "GIVE_BACK_SECONDS", 2.0)
    assert not is_held(client)
    with holding_some(client), holding_some(client):
        assert client.zcount(HOLDS, "-inf", "+inf") == 2
        assert is_held(client, dead_letters.HOLD_SECONDS - 5)
        assert not is_held(client, dead_letters.HOLD_SECONDS + 5)
    assert is_held(client)
    assert not is_held(client, dead_letters.GIVE_BACK_SECONDS + 0.1)
    until(lambda: not is_held(client), 5)
    assert 0 < client.ttl(HOLDS) <= 2 * dead_letters.HOLD_SECONDS  # type: ignore[operator]


def test_who_found_no_letter_to_take_leaves_nothing_to_wait_for(client: "redis.Redis") -> None:
    """Out: ZREM. A search in an empty queue is followed by no wait."""
    with LetterHolds(client).holding():
        assert is_held(client)
    assert client.zcard(HOLDS) == 0


def test_a_hold_is_renewed_by_going_on_and_old_ones_are_forgotten(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `go_on`, and an export of an hour counts as dead after a minute. Or ZREMRANGEBYSCORE."""
    monkeypatch.setattr(dead_letters, "HOLD_SECONDS", 3.0)
    with LetterHolds(client).holding() as hold:
        first = client.zrange(HOLDS, 0, -1, withscores=True)
        hold.go_on()
        assert client.zrange(HOLDS, 0, -1, withscores=True) == first  # not for each letter
        until(lambda: not is_held(client), 5)
        hold.go_on()
        assert is_held(client)
    client.delete(HOLDS)
    client.zadd(HOLDS, {"somebody who died": dead_letters._redis_time(client) - 4})
    with LetterHolds(client).holding():
        assert client.zcard(HOLDS) == 1


def test_alone_waits_for_others_and_gives_up_when_they_stay(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the wait in `alone`."""
    monkeypatch.setattr(dead_letters, "FREE_PATIENCE_SECONDS", 0.3)
    done: list[str] = []
    with ExitStack() as others:
        others.enter_context(holding_some(client))
        with pytest.raises(Wait, match="somebody else holds dead letters") as told:
            LetterHolds(client).alone(lambda _: done.append("too early"))
        assert (done, told.value.seconds) == ([], dead_letters.WAIT_SECONDS)

        def leave(_: float) -> None:
            others.close()
            client.delete(HOLDS)

        assert LetterHolds(client, sleep=leave).alone(lambda _: "done") == ["done"]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_pass_is_done_again_when_others_held_letters_meanwhile(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Also where they have left before its end. Out: `hold.others()`."""
    monkeypatch.setattr(dead_letters, "GIVE_BACK_SECONDS", 0.05)
    passes: list[int] = []

    def do(_: object) -> int:
        passes.append(len(passes))
        if len(passes) <= times:
            with holding_some(client):
                pass
        return len(passes)

    if times < 3:
        assert LetterHolds(client).alone(do) == list(range(1, times + 2))
    else:
        with pytest.raises(Wait, match="others look at dead letters"):
            LetterHolds(client).alone(do)
        assert len(passes) == 3


@pytest.mark.parametrize("left_seconds", [0.7, 5.0])
def test_a_replay_waits_a_second_at_most(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, left_seconds: float
) -> None:
    """Twice what the broker is given to put letters back, by the clock of Redis."""
    now = 1_000.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(dead_letters, "_redis_time", lambda _: now)
    client.zadd(HOLDS, {"somebody else": now + left_seconds})
    LetterHolds(client, sleep=pass_by).wait_for_given_back()
    assert now - 1_000 == pytest.approx(min(left_seconds, 1.0), abs=0.06)


def test_the_clock_of_redis_is_read_in_seconds() -> None:
    assert dead_letters._redis_time(SimpleNamespace(time=lambda: (7, 250_000))) == 7.25  # type: ignore[arg-type]


def test_the_services_may_use_the_key_of_holds() -> None:
    users = Path(__file__).parents[2] / "deploy" / "k8s" / "files" / "redis-users.conf"
    assert users.read_text(encoding="utf-8").count(f"~{HOLDS} ") >= 2


@pytest.mark.loopback("nothing listens on port 1, which is the point")
def test_without_redis_letters_are_looked_at_and_nothing_is_done_alone() -> None:
    holds = LetterHolds(connect("redis://127.0.0.1:1", timeout=0.2, retries=0))
    looked = False
    with holds.holding():
        looked = True
    assert looked
    with pytest.raises(Retryable, match="Redis does not answer"):
        holds.alone(lambda _: None)


@pytest.mark.real
@pytest.mark.parametrize("what", ["erasure", "export"])
def test_letters_that_somebody_looks_at_are_missed_by_no_erasure_and_no_export(
    buried: tuple[Bench, LetterHolds], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Out: `alone`, and it says that it has seen all, while three letters still name the person."""
    bench, holds = buried
    monkeypatch.setattr(dead_letters, "FREE_PATIENCE_SECONDS", 0.5)
    seen: list[bytes] = []

    def erase() -> int:
        return rewrite_dead_letters(bench.settings, holds, lambda body: body + b" ", dry_run=False).changed

    def read() -> int:
        return len(read_dead_letters(bench.settings, holds, lambda body: [body]))

    do: Callable[[], int] = erase if what == "erasure" else read
    with holds.holding() as hold, dead_letter_channel(bench.settings) as channel:
        seen += [held.body for held in held_letters(channel, QUEUE, 10, hold)]
        assert len(seen) == 3
        with pytest.raises(Wait):
            do()
    monkeypatch.setattr(dead_letters, "FREE_PATIENCE_SECONDS", 10)
    assert do() == 3
    until(lambda: bench.depth("data_import.dead") == 3, 5)


@pytest.mark.real
@pytest.mark.parametrize("what", ["replay", "replay of one", "drop", "drop of one", "look at one"])
def test_letters_are_found_sent_again_or_dropped_also_right_after_a_look(
    buried: tuple[Bench, LetterHolds], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Out: `wait_for_given_back`, and what the broker is still putting back is missed."""
    bench, holds = buried
    with ExitStack() as look:
        hold = look.enter_context(holds.holding())
        channel = look.enter_context(dead_letter_channel(bench.settings))
        held = list(held_letters(channel, QUEUE, 10, hold))
        assert len(held) == 3
        task_id = held[0].properties.headers["id"]

        def leave(_: float) -> None:
            look.close()

        soon = DeadLetterOperator(bench.settings, LetterHolds(holds.client, sleep=leave), lambda _: True)
        monkeypatch.setattr(dead_letters, "GIVE_BACK_SECONDS", 1.0)
        done = {
            "replay": lambda: soon.replay_all(QUEUE, 10, 1_000).skipped,
            "replay of one": lambda: soon.replay(QUEUE, task_id).skipped,
            "drop": lambda: soon.drop_all(QUEUE),
            "drop of one": lambda: soon.drop(QUEUE, task_id),
            "look at one": lambda: int(soon.show(QUEUE, task_id)[0].task_id != task_id),
        }[what]()
    assert done == {"replay": 3, "drop": 3, "look at one": 0}.get(what, 1)
    until(lambda: soon.counts()[QUEUE] == 3 - done, 5)


@pytest.mark.real
def test_letters_that_are_sent_again_one_by_one_wait_for_nothing(
    buried: tuple[Bench, LetterHolds], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the search before the wait, and each of them waits for the one before. A letter that is missing waits."""
    bench, holds = buried
    monkeypatch.setattr(dead_letters, "GIVE_BACK_SECONDS", 2.0)  # a loaded machine may need longer than half a second
    waits: list[float] = []
    operator = DeadLetterOperator(bench.settings, LetterHolds(holds.client, sleep=waits.append), lambda _: True)
    task_ids = {letter.task_id for letter in operator.oldest(QUEUE, 10)}
    assert len(task_ids) == 3
    until(lambda: operator.counts()[QUEUE] == 3, 5)
    for task_id in task_ids:
        assert operator.replay(QUEUE, task_id).skipped == 1
    assert waits == []
    with pytest.raises(NotThere):
        operator.drop(QUEUE, task_ids.pop())
    assert waits != []
    holds.client.delete(HOLDS)
    waits.clear()
    with pytest.raises(NotThere):
        operator.drop(QUEUE, "nobody's")
    assert waits == []


@pytest.mark.real
def test_two_erasures_one_after_the_other_see_every_letter(buried: tuple[Bench, LetterHolds]) -> None:
    """The broker is still putting back what the first one left as it was. Out: `give_back`."""
    bench, holds = buried
    for _ in range(5):
        found = read_dead_letters(bench.settings, holds, lambda body: [body])
        assert len(found) == 3
