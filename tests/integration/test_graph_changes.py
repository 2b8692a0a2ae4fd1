"""The stream of changes in Redis, as the importer appends to it, and what insights concludes from it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state import graph_changes
from edugraph_common.runtime.shared_state.graph_changes import (
    ALL_COURSES,
    MOST_CHANGES,
    MOST_COURSES,
    STREAM,
    GraphChange,
    GraphChanges,
    new_word,
    touched_by,
    word_of,
)
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_insights.epochs import CourseEpochs

if TYPE_CHECKING:
    import redis


@pytest.fixture
def client(redis_url: str) -> "Iterator[redis.Redis]":
    with connect(redis_url) as client:
        client.delete(STREAM)
        yield client
        client.delete(STREAM)


@pytest.fixture
def changes(client: "redis.Redis") -> GraphChanges:
    return GraphChanges(client)


def of(*courses: str) -> GraphChange:
    return GraphChange(new_word(), "records", frozenset(courses))


def test_a_reader_gets_each_change_once_and_in_order(changes: GraphChanges) -> None:
    changes.append(of("C"))
    begun = changes.since(None)
    assert (begun.changes, begun.is_known) == ((), False)
    written = [of("C"), GraphChange(new_word(), "people"), of("D", "数学")]
    for each in written:
        changes.append(each)
    since = changes.since(begun.position)
    assert (list(since.changes), since.is_known) == (written, True)
    assert changes.since(since.position) == ((), since.position, True)


def test_a_change_of_very_many_courses_is_a_change_of_all(changes: GraphChanges) -> None:
    """Out: MOST_COURSES: one import of 10,000 courses writes a million bytes for each of its batches."""
    changes.append(of("C"))
    position = changes.since(None).position
    names = [f"course-{number}" for number in range(MOST_COURSES + 1)]
    changes.append(of(*names[1:]))
    changes.append(of(*names))
    some, all_of_them = changes.since(position).changes
    assert some.courses == frozenset(names[1:])
    assert all_of_them.courses == frozenset({ALL_COURSES})


def test_a_reader_of_a_stream_that_lost_something_begins_again(
    client: "redis.Redis", changes: GraphChanges
) -> None:
    """To take the guard out: let `since` not compare the word of the first entry, or not look whether it is there."""
    assert changes.since(None) == ((), None, False)
    assert changes.since(None).position is None
    changes.append(of("C"))
    first = changes.since(None).position
    assert first is not None
    changes.append(of("C"))
    client.xtrim(STREAM, maxlen=1, approximate=False)
    assert not changes.since(first).is_known

    # Redis lost everything, and its clock gave the first entry the same id as before.
    client.delete(STREAM)
    assert changes.since(first) == ((), None, False)
    client.xadd(STREAM, {"word": new_word(), "kind": "records", "courses": "[]"}, id=first.entry)
    changes.append(of("C"))
    assert not changes.since(first).is_known


def test_a_reader_that_is_far_behind_begins_again(
    client: "redis.Redis", changes: GraphChanges
) -> None:
    changes.append(of("C"))
    first = changes.since(None).position
    pipe = client.pipeline()
    for _ in range(MOST_CHANGES):
        pipe.xadd(STREAM, {"word": new_word(), "kind": "records", "courses": "[]"})
    pipe.execute()
    assert len(changes.since(first).changes) == MOST_CHANGES
    changes.append(of("C"))
    assert not changes.since(first).is_known


def test_the_stream_stays_short(
    client: "redis.Redis", changes: GraphChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: no `maxlen`. Redis trims whole nodes of a stream, which have 100 entries."""
    monkeypatch.setattr(graph_changes, "KEPT_CHANGES", 100)
    for _ in range(350):
        changes.append(of("C"))
    assert client.xlen(STREAM) <= 200


def test_a_change_of_a_later_release_is_a_change_of_everything(
    client: "redis.Redis", changes: GraphChanges
) -> None:
    changes.append(of("C"))
    first = changes.since(None).position
    client.xadd(STREAM, {"word": "w", "kind": "later", "courses": "[]", "more": "x"})
    [change] = changes.since(first).changes
    assert change.kind == "whole"


def test_a_word_is_a_uuid_of_version_7_and_words_are_ordered_by_time() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 1_000, tzinfo=UTC)
    least = UUID(word_of(moment, 0))
    greatest = UUID(word_of(moment, 2**74 - 1))
    assert (least.version, greatest.version) == (7, 7)
    assert least.variant == greatest.variant == UUID(int=2 << 62).variant
    assert least.int >> 80 == 1_772_366_400_001
    later = moment.replace(microsecond=2_000)
    assert str(least) < str(greatest) < word_of(later, 0)
    assert new_word() != new_word()


def test_a_course_that_was_written_has_a_new_epoch_and_no_other(changes: GraphChanges) -> None:
    changes.append(of("C"))
    epochs = CourseEpochs(changes.since)
    everywhere, *rest = epochs.of(["C", "D"])
    assert rest == [None, None]
    changes.append(of("C", "E"))
    same, first, other = epochs.of(["C", "D"])
    assert (same, other) == (everywhere, None)
    assert first
    changes.append(of("C"))
    assert epochs.of(["C"])[1] not in {first, None}
    changes.append_everywhere()
    assert epochs.of(["C"])[0] != everywhere


def test_an_epoch_never_comes_again(client: "redis.Redis", changes: GraphChanges) -> None:
    """To take the guard out: let `_take` not look at `is_known`."""
    changes.append(of("C"))
    epochs = CourseEpochs(changes.since)
    seen = [epochs.of(["C"])]
    assert epochs.of(["C"]) == seen[0]
    client.delete(STREAM)  # a Redis that lost everything
    seen.append(epochs.of(["C"]))
    seen.append(epochs.of(["C"]))  # nobody knows what is written meanwhile
    changes.append(of("D"))
    seen.append(epochs.of(["C"]))
    assert len(set(seen)) == len(seen)
    assert epochs.of(["C"]) == seen[-1]


@pytest.mark.parametrize(
    ("kind", "data", "touched"),
    [
        ("course_record", {"student_id": "s", "course_id": "C"}, {"C"}),
        (
            "attempt_record",
            {"student_id": "s", "item_id": "i", "course_id": "C", "correct": True},
            {"C"},
        ),
        ("attempt_record", {"student_id": "s", "item_id": "i", "correct": True}, {ALL_COURSES}),
        (
            "student_interaction",
            {"student_id_from": "s", "student_id_to": "t", "interaction_type": "chat"},
            {ALL_COURSES},
        ),
        (
            "student_interaction",
            {
                "student_id_from": "s",
                "student_id_to": "t",
                "interaction_type": "chat",
                "course_id": "C",
            },
            {"C"},
        ),
        ("teacher_interaction", {"teacher_id": "t", "student_id": "s", "course_id": "C"}, {"C"}),
        (
            "error_record",
            {"student_id": "s", "course_id": "C", "course_ids": ["D"], "error_text": "x"},
            {"C", "D"},
        ),
        ("activity_record", {"student_id": "s", "course_id": "C"}, {"C"}),
        ("post_record", {"student_id": "s", "course_id": "C", "text": "Why?"}, {"C"}),
        ("course_content", {"course_id": "C", "content": "Text"}, {ALL_COURSES}),
        ("item_record", {"item_id": "i", "knowledge_points": ["P"]}, {ALL_COURSES}),
    ],
)
def test_what_is_not_of_its_courses_alone_touches_all(
    kind: str, data: dict[str, Any], touched: set[str]
) -> None:
    record = parse_record({"type": kind, "timestamp": "2026-01-01", "data": data})
    assert touched_by([record]) == touched
