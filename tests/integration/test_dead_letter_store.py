"""A dead letter is one object beside one row in Redis, whatever comes again, breaks off or gets lost."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Rejected, Wait
from edugraph_common.runtime.messaging import dead_letter_store
from edugraph_common.runtime.messaging.dead_letter_store import (
    DELETED,
    DIED,
    FOLDER,
    INDEXED,
    KEYS,
    REASON,
    REPLAYED,
    ROWS,
    TRIES,
    WITHOUT_RECORDED_END,
    DeadLetterStore,
    StoredLetter,
    Unreadable,
    made_letter,
)
from edugraph_common.runtime.messaging.headers import PUBLISHED
from edugraph_common.runtime.shared_state.job_store import LETTERS_TO_CLEAN, Jobs, connect
from edugraph_common.runtime.shared_state.object_store import Blobs

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
BODY = json.dumps(
    [[{"version": 1, "job_id": "j", "name": "Ana Ruiz"}], {}, {"chord": None}]
).encode()
QUEUE = "data_import"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with connect(redis_url) as client:
        forget(client)
        yield client
        forget(client)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(client: "redis.Redis", tmp_path: Path, clock: Clock) -> DeadLetterStore:
    return DeadLetterStore(client, Jobs(client), Blobs(str(tmp_path)), 30 * DAY, clock)


def forget(client: "redis.Redis") -> None:
    for key in client.scan_iter(f"{KEYS}:*", count=1_000):
        client.delete(key)
    Jobs(client).cleaned(LETTERS_TO_CLEAN, ())


def letter(
    task_id: Any = "t", body: bytes = BODY, queue: str = QUEUE, **headers: Any
) -> StoredLetter:
    told = {"id": task_id, "task": "import_batch_task", REASON: "it failed", **headers}
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "priority": 4,
        "expiration": None,
    }
    return made_letter(queue, properties, told, body, NOW)


def delete(store: DeadLetterStore, ref: str, *, is_end_recorded: bool = False) -> None:
    with store.claimed(ref):
        store.delete(ref, is_end_recorded=is_end_recorded)


def bodies(store: DeadLetterStore) -> list[bytes]:
    found = [store.read(ref) for ref in store.stored()]
    return [each.content for each in found if each]


# --- storing ------------------------------------------------------------------------------------------------------


def test_a_letter_is_one_object_and_a_row_without_its_records(store: DeadLetterStore) -> None:
    died = "2026-03-01T07:00:00+00:00"
    kept = letter(**{TRIES: "4", DIED: died})
    store.keep(kept)
    store.keep(kept)
    assert store.counts() == {
        "data_import": 1,
        "import_splits": 0,
        "live_records": 0,
        "graph_findings": 0,
        "llm_analysis": 0,
    }
    assert store.stored() == store.oldest(QUEUE, 10) == [kept.ref]
    [row] = store.rows([kept.ref])
    assert row.model_dump() == {
        "queue": QUEUE,
        "task_id": "t",
        "task": "import_batch_task",
        "reason": "it failed",
        "job_id": "j",
        "tries": 4,
        "died": datetime.fromisoformat(died),
        "bytes": len(BODY),
    }
    client = store.client
    in_redis = [
        client.hgetall(ROWS),
        client.zrange(f"{KEYS}:queue:{QUEUE}", 0, -1),
        client.smembers(WITHOUT_RECORDED_END),
    ]
    assert "Ana" not in str(in_redis)
    assert bodies(store) == [BODY]


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b"{}", b"7", b"[[5], {}, {}]", b"[" * 100_000, "é☃".encode()]
)
def test_a_body_of_any_form_is_kept_as_it_came(store: DeadLetterStore, body: bytes) -> None:
    store.keep(letter(body=body))
    assert bodies(store) == [body]
    [row] = store.rows(store.oldest(QUEUE, 1))
    assert (row.job_id, row.bytes) == (None, len(body))


@pytest.mark.parametrize(
    "task_id", ["../../../etc/passwd", "a/b", "", None, 5, "*", "x" * 10_000, "..", "ü\x00", [1]]
)
def test_no_id_of_a_task_leads_out_of_the_folder(
    store: DeadLetterStore, tmp_path: Path, task_id: Any
) -> None:
    store.keep(letter(task_id))
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")]
    assert [path.parent.as_posix() for path in files] == [f"{FOLDER}/{QUEUE}"]
    assert store.counts()[QUEUE] == 1
    [ref] = store.stored()
    delete(store, ref, is_end_recorded=True)
    assert store.stored() == []


def test_headers_that_are_not_json_are_kept(store: DeadLetterStore) -> None:
    deaths = [{"reason": "rejected", "queue": QUEUE, "count": 1, "time": NOW}]
    strange = {
        "share": 0.5,
        "pair": (1, b"\xff"),
        "nothing": None,
        "half": "\udcff",
        "none": float("nan"),
    }
    store.keep(letter(**{"x-death": deaths}, **strange))
    kept = store.read(store.stored()[0])
    assert kept
    assert kept.headers["x-death"][0]["time"] == NOW.isoformat()
    assert (kept.headers["share"], kept.headers["pair"][0], kept.headers["nothing"]) == (
        0.5,
        1,
        None,
    )
    assert kept.properties["priority"] == 4


@pytest.mark.parametrize(
    ("deaths", "reason"),
    [
        ([{"reason": "delivery_limit"}], "its workers died each time it was delivered"),
        ([{"reason": "rejected"}, {"reason": "delivery_limit"}], "a worker refused it"),
        ([{"reason": "maxlen"}], "the broker gave it up (maxlen)"),
        ([{}], "the broker gave it up (unknown)"),
        (["x"], "the broker gave it up (unknown)"),
        ("x", "the broker gave it up (unknown)"),
        (None, "the broker gave it up (unknown)"),
    ],
)
def test_a_letter_that_the_broker_gave_up_says_why(deaths: Any, reason: str) -> None:
    row = letter(**{REASON: None, "x-death": deaths, DIED: "not a date", TRIES: "many"}).describe()
    assert (row.reason, row.tries, row.died) == (reason, None, None)


def test_deaths_of_one_task_differ_and_deliveries_of_one_death_do_not() -> None:
    """Out: any part of `identity`; then one of two deaths would be taken for the other one and be lost."""
    moment = "2026-03-01T07:00:00.000001+00:00"
    death = {"reason": "rejected", "queue": QUEUE, "count": 1, "time": NOW}
    different = [
        letter("a"),
        letter("b"),
        letter("a", queue="llm_analysis"),
        letter("a", BODY + b" "),
        letter("a", **{DIED: moment}),
        letter("a", **{PUBLISHED: 1}),
        letter("a", **{REPLAYED: moment}),
        letter("a", **{"x-death": [death]}),
        letter("a", shadow="another"),
        letter("a", **{"x-death": [{**death, "time": NOW + timedelta(seconds=1)}]}),
        letter("a", **{"x-death": [{**death, "count": 2}]}),
    ]
    assert len({each.ref for each in different}) == len(different)
    # Pika gives the times of the broker without a time zone, kombu with one.
    plain = letter(
        "a", **{"x-death": [{**death, "time": NOW.replace(tzinfo=None)}], "x-delivery-count": 3}
    )
    assert plain.ref == different[7].ref


# --- what comes again ---------------------------------------------------------------------------------------------


def test_a_letter_that_comes_again_is_not_put_in_the_place_of_what_an_erasure_left(
    store: DeadLetterStore,
) -> None:
    """A worker died before it acknowledged the letter. Out: the look for the object in `keep`."""
    store.keep(letter())
    assert store.rewrite(letter().ref, lambda body: body.replace(b"Ana Ruiz", b""), dry_run=False)
    store.keep(letter())
    assert bodies(store) == [BODY.replace(b"Ana Ruiz", b"")]


@pytest.mark.parametrize("how", ["dropped", "sent again", "erased"])
def test_a_letter_that_comes_again_after_it_was_deleted_does_not_come_back(
    store: DeadLetterStore, how: str
) -> None:
    """Out: the look at DELETED in `keep`."""
    store.keep(letter())
    ref = letter().ref
    if how == "erased":
        assert store.rewrite(ref, lambda _: b"", dry_run=False)
    else:
        with store.claimed(ref):
            store.delete(ref, is_end_recorded=how == "sent again")
            store.note_recorded_end(ref)
    store.keep(letter())
    assert (store.stored(), store.counts()[QUEUE]) == ([], 0)


def test_what_breaks_off_between_object_and_row_is_done_when_the_letter_comes_again(
    store: DeadLetterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(DeadLetterStore, "_index", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.keep(letter())
    # Somebody reads the letters before it comes again, and makes the row. Its end has not been told yet.
    assert (len(store.stored()), store.counts()[QUEUE]) == (1, 1)
    assert store.without_recorded_end(QUEUE) == []
    store.keep(letter())
    assert (len(store.stored()), store.counts()[QUEUE]) == (1, 1)
    assert store.without_recorded_end(QUEUE) == [letter().ref]


def test_a_row_is_never_there_without_its_object(
    store: DeadLetterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the order in `keep`."""
    with monkeypatch.context() as broken:
        broken.setattr(DeadLetterStore, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.keep(letter())
    assert (store.stored(), store.counts()[QUEUE]) == ([], 0)


# --- deleting and telling -----------------------------------------------------------------------------------------


def test_a_letter_that_was_dropped_before_its_end_is_recorded_stays_hidden_until_then(
    store: DeadLetterStore,
) -> None:
    """Out: `lacks_recorded_end` in `delete`, and the job of the task waits for it for ever."""
    store.keep(letter())
    ref = letter().ref
    delete(store, ref)
    assert (store.oldest(QUEUE, 1), store.of_task(QUEUE, "t"), store.rows([ref])) == ([], [], [])
    assert store.without_recorded_end(QUEUE) == store.stored() == [ref]
    with store.claimed(ref):
        store.note_recorded_end(ref)
    assert store.without_recorded_end(QUEUE) == store.stored() == []


def test_the_letters_of_one_task_are_found_and_of_no_other(store: DeadLetterStore) -> None:
    for task_id in ("a", "a.b", "aa", "b"):
        store.keep(letter(task_id))
    later = letter("a", **{REPLAYED: "x"}).model_copy(update={"since": NOW - DAY})
    store.keep(later)
    assert store.of_task(QUEUE, "a") == [later.ref, letter("a").ref]
    assert store.of_task("llm_analysis", "a") == []
    assert [ref.split(".")[0] for ref in store.oldest(QUEUE, 1)] == [f"{QUEUE}/a"]


def test_one_process_at_a_time_works_on_a_letter(store: DeadLetterStore) -> None:
    """Out: `claimed` in `keep` or in `rewrite`."""
    store.keep(letter())
    ref = letter().ref
    with store.claimed(ref):
        with pytest.raises(Wait, match="another process"), store.claimed(ref, 0.1):
            pass
        started = threading.Event()
        done: list[bool] = []

        def rewrite() -> None:
            started.set()
            done.append(store.rewrite(ref, lambda _: b"{}", dry_run=False))

        thread = threading.Thread(target=rewrite)
        thread.start()
        started.wait(5)
        store.delete(ref, is_end_recorded=True)
    thread.join(10)
    # It found the letter gone, and did not bring it back.
    assert done == [False]
    assert store.stored() == []


def test_a_claim_of_a_process_that_died_ends_by_itself(
    store: DeadLetterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_store, "CLAIM_SECONDS", 0.3)
    died = store.claimed("data_import/x")
    died.__enter__()
    with store.claimed("data_import/x", 5):
        pass


# --- losses of Redis ----------------------------------------------------------------------------------------------


def test_rows_that_redis_lost_are_made_again_by_whoever_reads_next(store: DeadLetterStore) -> None:
    """Out: `_index_again_if_lost`."""
    for task_id in ("a", "b"):
        store.keep(letter(task_id))
    before = store.rows(store.oldest(QUEUE, 9))
    forget(store.client)
    assert store.counts()[QUEUE] == 2
    assert sorted(store.rows(store.oldest(QUEUE, 9)), key=str) == sorted(before, key=str)
    assert store.of_task(QUEUE, "b") == [letter("b").ref]
    # A job that Redis lost is sent again as a whole, so nobody tells it of an old failure.
    assert store.without_recorded_end(QUEUE) == []


def test_the_sweeper_makes_rows_and_objects_agree(store: DeadLetterStore) -> None:
    """As after a Redis that came back some seconds older. Out: either loop of `sweep`."""
    for task_id in ("a", "b", "c"):
        store.keep(letter(task_id))
    store.counts()
    lost, gone = letter("a"), letter("b")
    store.client.hdel(ROWS, lost.ref)
    store.client.zrem(f"{KEYS}:queue:{QUEUE}", lost.name)
    store.blobs.delete(f"{FOLDER}/{gone.ref}.json")
    assert store.sweep() == 0
    assert sorted(store.oldest(QUEUE, 9)) == sorted([lost.ref, letter("c").ref]) == store.stored()


def test_the_sweeper_ends_what_a_killed_process_left(store: DeadLetterStore, clock: Clock) -> None:
    """A letter that is deleted and whose object is still there; a part of one; a file that is not a letter."""
    store.keep(letter())
    store.client.srem(WITHOUT_RECORDED_END, letter().ref)
    blob = Path(store.blobs._root) / FOLDER / f"{letter().ref}.json"
    kept = blob.read_bytes()
    delete(store, letter().ref)
    blob.write_bytes(kept)
    (blob.parent / f"{blob.name}.part-12").write_bytes(kept)
    assert len(store.strange()) == 1
    clock.now = datetime.now(UTC)
    store.sweep()
    assert store.stored() == []
    assert len(store.strange()) == 1  # it may be written right now
    clock.now += timedelta(hours=2)
    store.sweep()
    assert store.strange() == []


def test_a_letter_is_deleted_when_its_retention_is_over(
    store: DeadLetterStore, clock: Clock
) -> None:
    """It is counted from its death, and a death in the future counts from the storing. Out: `oldest_kept`."""
    store.keep(letter("old", **{DIED: (NOW - 29 * DAY).isoformat()}))
    store.keep(letter("forged", **{DIED: "9999-01-01T00:00:00+00:00"}))
    assert store.sweep() == 0
    clock.now = NOW + 2 * DAY
    assert store.sweep() == 1
    assert [ref.split("/")[1].split(".")[0] for ref in store.stored()] == ["forged"]
    clock.now = NOW + 31 * DAY
    assert store.sweep() == 1
    assert store.stored() == []
    clock.now = NOW + 70 * DAY
    store.sweep()
    assert store.client.zcard(DELETED) == 0


def test_a_damaged_object_is_named_and_hides_no_other(
    store: DeadLetterStore, tmp_path: Path
) -> None:
    for task_id in ("a", "b"):
        store.keep(letter(task_id))
    (tmp_path / FOLDER / f"{letter('a').ref}.json").write_bytes(b'{"queue": ')
    store.client.delete(INDEXED)
    assert store.counts()[QUEUE] == 2
    with pytest.raises(Unreadable, match="damaged"):
        store.read(letter("a").ref)
    delete(store, letter("a").ref, is_end_recorded=True)
    assert store.stored() == store.oldest(QUEUE, 9) == [letter("b").ref]


# --- erasures -----------------------------------------------------------------------------------------------------


def test_a_letter_that_is_stored_after_an_erasure_is_cleaned_later(store: DeadLetterStore) -> None:
    """It was under way while the erasure read the list. Out: `_clean_after_erasure`."""
    store.keep(letter("before"))
    assert store.jobs.to_clean() == []
    store.note_erasure()
    store.keep(letter("after"))
    assert store.jobs.to_clean() == [LETTERS_TO_CLEAN]


def test_a_dry_run_says_what_would_change_and_changes_nothing(store: DeadLetterStore) -> None:
    store.keep(letter())
    assert store.rewrite(letter().ref, lambda _: b"{}", dry_run=True)
    assert bodies(store) == [BODY]
    assert not store.rewrite(letter().ref, lambda body: body, dry_run=False)


# --- files of letters ---------------------------------------------------------------------------------------------


def test_exported_letters_are_stored_again_also_after_they_were_dropped(
    store: DeadLetterStore, clock: Clock
) -> None:
    for task_id in ("a", "b"):
        store.keep(letter(task_id, b"\xff"))
    lines = list(store.export(QUEUE))
    delete(store, letter("a", b"\xff").ref)
    clock.now = NOW + 40 * DAY
    assert store.restore(lines) == {QUEUE: 2}
    assert store.restore(lines) == {QUEUE: 2}
    assert store.counts()[QUEUE] == 2
    assert bodies(store) == [b"\xff", b"\xff"]
    # It is not taken for a deleted one when Redis loses its rows.
    store.client.delete(ROWS, INDEXED, f"{KEYS}:queue:{QUEUE}")
    assert store.counts()[QUEUE] == 2
    # The retention begins again.
    store.sweep()
    assert len(store.stored()) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "is not a dead letter"),
        ({"body": "%", "body_is_base64": True}, "is not a dead letter"),
        ({"queue": "other"}, "names a queue"),
        ({"name": "../../x"}, "names a queue"),
        ({"more": 1}, "is not a dead letter"),
    ],
)
def test_a_line_of_another_form_is_named(
    store: DeadLetterStore, change: dict[str, Any], words: str
) -> None:
    good = letter().model_dump_json()
    bad = json.dumps({**json.loads(good), **change})
    with pytest.raises(Rejected, match=f"Line 2 {words}"):
        store.restore([good, bad])
    assert store.stored() == [letter().ref]


# --- any order of all this ----------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["keep", "keep", "crash", "drop", "erase", "tell", "lose rows", "sweep"]),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=25,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_a_letter_is_listed_exactly_while_it_was_stored_and_not_dropped(
    store: DeadLetterStore, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, str]]
) -> None:
    """Letters come again at any time, writing breaks off, and Redis loses its rows."""
    forget(store.client)
    store.blobs.delete(FOLDER)
    stored, dropped, erased = set[str](), set[str](), set[str]()
    for step, task_id in steps:
        ref = letter(task_id).ref
        if step == "keep":
            store.keep(letter(task_id))
            stored.add(task_id)
        elif step == "crash":
            with monkeypatch.context() as broken:
                broken.setattr(DeadLetterStore, "_clean_after_erasure", lambda _: 1 / 0)
                with suppress(ZeroDivisionError):
                    store.keep(letter(task_id))
            stored.add(task_id)
        elif step == "drop" and task_id in stored - dropped:
            delete(store, ref)
            dropped.add(task_id)
        elif step == "erase" and task_id in stored:
            store.rewrite(ref, lambda body: body.replace(b"Ana Ruiz", b""), dry_run=False)
            erased.add(task_id)
        elif step == "tell" and store.lacks_recorded_end(ref):
            with store.claimed(ref):
                store.note_recorded_end(ref)
        elif step == "lose rows":
            store.client.delete(ROWS, INDEXED, f"{KEYS}:queue:{QUEUE}")
        elif step == "sweep":
            store.sweep()
    store.counts()
    assert {ref.split("/")[1].split(".")[0] for ref in store.oldest(QUEUE, 0)} == stored - dropped
    for task_id in stored - dropped:
        found = store.read(letter(task_id).ref)
        assert found
        assert (b"Ana" in found.content) == (task_id not in erased)
