"""The answers that were paid for and the leases of those who ask, in a Redis: each promise of the store by itself."""

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import guard
import pytest
import redis

from edugraph_analyzer.cache import store as answer_store
from edugraph_analyzer.cache.store import AnswerStore, Lookup, State

MINE, OTHERS = Lookup(State.MINE), Lookup(State.ANOTHERS)


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    """A database of its own: some of this speaks of all entries, whoever made them."""
    address = {"EDUGRAPH_REDIS_URL": urlsplit(redis_url)._replace(path="/8").geturl()}
    guard.claim(address)
    with redis.Redis.from_url(address["EDUGRAPH_REDIS_URL"]) as client:
        yield client
        for key in client.scan_iter(match="edugraph:llm:*"):
            client.delete(key)


@pytest.fixture
def key() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def store(server: "redis.Redis") -> AnswerStore:
    return AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=5)


def lease_key(key: str) -> str:
    return f"edugraph:llm:lease:{{edugraph:llm:answer:error:{key}}}"


def lease(server: "redis.Redis", key: str) -> Any:
    return server.get(lease_key(key))


def lease_seconds(server: "redis.Redis", key: str) -> float:
    return server.pttl(lease_key(key)) / 1_000


def test_who_looks_first_has_the_lease_and_keeps_it(server, store, key) -> None:
    assert store.look("error", [key], "one") == {key: MINE}
    assert store.look("error", [key], "two") == {key: OTHERS}
    assert store.look("error", [key], "one") == {key: MINE}
    assert lease(server, key) == b"one"
    assert lease_seconds(server, key) == pytest.approx(5, abs=0.5)


def test_looking_again_makes_a_lease_no_longer(server, key) -> None:
    """Whoever dies between two looks is waited for from its last renewal, not from each look of others."""
    store = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=1.5)
    store.look("error", [key], "one")
    time.sleep(0.3)
    store.look("error", [key], "two")
    assert lease_seconds(server, key) < 1.3


def test_an_answer_that_comes_while_it_is_looked_for_is_taken(store, key, monkeypatch) -> None:
    """The answers are read before the leases are looked at, and another process keeps one between the two."""
    run = store._run

    def after_it_was_kept(*arguments: Any) -> Any:
        store.keep("error", key, {"found": "in between"})
        return run(*arguments)

    monkeypatch.setattr(store, "_run", after_it_was_kept)
    assert store.look("error", [key], "one") == {
        key: Lookup(State.ANSWERED, answer={"found": "in between"})
    }


def test_several_questions_are_told_apart_in_one_look(store) -> None:
    keys = [f"{uuid.uuid4().hex}" for _ in range(4)]
    answered, failed, others, free = keys
    store.keep("error", answered, {"found": "é", "n": [1]})
    store.look("error", [failed, others], "two")
    store.release("error", [failed], "two", {failed: "does not validate"})
    assert store.look("error", keys, "one") == {
        answered: Lookup(State.ANSWERED, answer={"found": "é", "n": [1]}),
        failed: Lookup(State.FAILED, reason="does not validate"),
        others: OTHERS,
        free: MINE,
    }


def test_an_answer_is_no_lease_of_anybody(server, store, key) -> None:
    store.keep("error", key, {"a": 1})
    store.look("error", [key], "one")
    assert lease(server, key) is None


def test_who_holds_a_lease_is_told_the_answer_that_came_meanwhile(store, key) -> None:
    store.look("error", [key], "one")
    store.keep("error", key, {"a": 1})
    assert store.look("error", [key], "one")[key].answer == {"a": 1}


def test_answers_of_one_kind_answer_no_other(store, key) -> None:
    store.keep("error", key, {"a": 1})
    assert store.look("interaction", [key], "one") == {key: MINE}


def test_nothing_is_asked_of_redis_for_no_question(store) -> None:
    assert store.look("error", [], "one") == {}
    assert store.kept("error", []) == set()
    store.release("error", [], "one", {})


def test_an_answer_is_kept_for_its_time_in_its_own_letters(server, store, key) -> None:
    store.keep("error", key, {"text": "分数", "n": 1})
    name = f"edugraph:llm:answer:error:{key}"
    assert server.get(name).decode() == '{"text":"分数","n":1}'
    assert server.ttl(name) == pytest.approx(60, abs=1)
    assert store.kept("error", [key, f"{key}-2"]) == {key}
    assert store.kept("interaction", [key]) == set()
    store.forget("error", key)
    assert store.kept("error", [key]) == set()


def test_a_lease_that_is_given_back_is_free_and_another_s_stays(server, store, key) -> None:
    """Else two would ask the same question at once, and both would be paid."""
    store.look("error", [key], "one")
    store.release("error", [key], "two", {})
    store.release("error", [key], "two", {key: "it failed"})
    assert lease(server, key) == b"one"
    store.release("error", [key], "one", {})
    assert store.look("error", [key], "two") == {key: MINE}


def test_each_of_several_leases_is_given_back_with_its_own_reason(server, store) -> None:
    keys = [uuid.uuid4().hex for _ in range(3)]
    store.look("error", keys, "one")
    store.release("error", keys, "one", {keys[1]: "the second failed", keys[2]: "the third failed"})
    assert [lease(server, key) for key in keys] == [
        None,
        b"!the second failed",
        b"!the third failed",
    ]
    assert lease_seconds(server, keys[1]) == pytest.approx(10, abs=0.5)


def test_a_lease_is_renewed_by_its_owner_alone(server, store, key) -> None:
    """Else the lease of a dead process would live on, and its question would never be asked."""
    store.look("error", [key], "one")
    server.pexpire(lease_key(key), 1_000)
    store._renew(keys=[lease_key(key)], args=["two", 60_000])
    assert lease_seconds(server, key) <= 1
    store._renew(keys=[lease_key(key)], args=["one", 60_000])
    assert lease_seconds(server, key) == pytest.approx(60, abs=0.5)


def test_leases_are_renewed_while_their_owner_works_and_not_after(server, key) -> None:
    store, other = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=1), f"{key}-2"
    store.look("error", [key, other], "one")
    with store.renewed("error", [key, other], "one"):
        for _ in range(7):
            time.sleep(0.2)
            assert (lease(server, key), lease(server, other)) == (b"one", b"one")
    assert "lease" not in {thread.name for thread in threading.enumerate()}
    time.sleep(1.1)
    assert lease(server, key) is None


def test_leases_are_renewed_three_times_in_their_life(
    server, key, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=0.6)
    waits: list[float | None] = []
    renewals: list[list[object]] = []
    three_came = threading.Event()

    class Ticks(threading.Event):
        """Nothing is waited for until three renewals came."""

        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return super().wait(0.001)

    def renew(**call: Any) -> None:
        renewals.append(call["args"])
        if len(renewals) == 3:
            three_came.set()

    store._renew = renew
    with monkeypatch.context() as patch:
        patch.setattr("edugraph_analyzer.cache.store.threading.Event", Ticks)
        with store.renewed("error", [key], "one"):
            patch.undo()
            assert three_came.wait(10)
    assert set(waits) - {None} == {0.2}  # None: a thread waits for its own start
    assert renewals[:3] == [["one", 600]] * 3


def test_a_renewal_that_failed_is_tried_again(server, key) -> None:
    store: Any = AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=0.3)
    tries: list[int] = []

    def fail(**_: object) -> None:
        tries.append(1)
        raise redis.ConnectionError

    store._renew = fail
    with store.renewed("error", [key], "one"):
        time.sleep(0.6)
    assert len(tries) > 2


def test_renewing_ends_when_the_work_fails(store, key) -> None:
    with pytest.raises(KeyError), store.renewed("error", [key], "one"):
        raise KeyError
    assert "lease" not in {thread.name for thread in threading.enumerate()}


def test_hits_and_misses_add_up_and_none_is_no_entry(server, store) -> None:
    store.count(2, 0)
    assert server.hgetall("edugraph:llm:stats") == {b"hits": b"2"}
    store.count(1, 4)
    store.count(0, 1)
    counted = answer_store.stats(server)
    assert (counted.hits, counted.misses) == (3, 5)


def test_entries_are_counted_by_kind_and_leases_are_none(server, store) -> None:
    assert answer_store.stats(server) == answer_store.CacheStats({}, 0, 0)
    for number in range(3):
        store.keep("error", f"e{number}", {})
    store.keep("interaction", "i", {})
    store.look("error", ["lease"], "one")
    assert answer_store.stats(server).entries == {"error": 3, "interaction": 1}


def test_clear_forgets_one_kind_or_all_and_says_how_many(server, store) -> None:
    for number in range(2_100):  # more than two batches of names
        server.set(f"edugraph:llm:answer:error:{number}", "{}")
    store.keep("interaction", "i", {})
    store.look("error", ["lease"], "one")
    store.count(1, 1)
    assert answer_store.clear(server, "interaction") == 1
    assert answer_store.stats(server) == answer_store.CacheStats({"error": 2_100}, 0, 0)
    store.keep("interaction", "i", {})
    assert answer_store.clear(server) == 2_101
    assert answer_store.stats(server).entries == {}
    assert answer_store.clear(server) == 0
    assert lease(server, "lease") == b"one"  # a question under way is not disturbed


def test_a_client_that_reads_texts_reads_the_same(server, redis_url, key) -> None:
    """The command line's client decodes what it reads, and the analyzer's does not."""
    url = urlsplit(redis_url)._replace(path="/8").geturl()
    with redis.Redis.from_url(url, decode_responses=True) as decoding:
        store = AnswerStore(decoding, ttl_seconds=60, lease_ttl_seconds=5)
        store.keep("error", key, {"a": "é"})
        store.count(1, 2)
        assert store.look("error", [key], "one")[key].answer == {"a": "é"}
        assert (
            answer_store.stats(decoding)
            == answer_store.stats(server)
            == answer_store.CacheStats({"error": 1}, 1, 2)
        )
