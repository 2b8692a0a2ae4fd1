"""Epochs of courses in Redis, as the importer sets and insights reads them."""

from typing import Any

import pytest

from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.answer_epochs import (
    ALL_COURSES,
    EPOCHS,
    KEPT_SECONDS,
    AnswerEpochs,
    touched_by,
)
from edugraph_common.runtime.shared_state.job_store import connect


@pytest.fixture
def epochs(redis_url: str) -> AnswerEpochs:
    connect(redis_url).delete(EPOCHS)
    return AnswerEpochs(connect(redis_url))


def test_a_course_that_was_written_has_a_new_epoch_and_no_other(epochs: AnswerEpochs) -> None:
    assert epochs.of(["C", "D"]) == (None, None, None)
    epochs.begin(["C", "E"])
    everywhere, first, other = epochs.of(["C", "D"])
    assert first
    assert (everywhere, other) == (None, None)
    epochs.begin(["C"])
    assert epochs.of(["C"])[1] not in {first, None}
    epochs.begin(())
    epochs.begin_everywhere()
    assert None not in epochs.of(["C"])


def test_an_epoch_never_comes_again_and_goes_after_an_hour(
    redis_url: str, epochs: AnswerEpochs
) -> None:
    """To take the guard out: let `begin` count."""
    client = connect(redis_url)
    epochs.begin(["C"])
    first = epochs.of(["C"])
    assert KEPT_SECONDS - 300 < client.ttl(EPOCHS) <= KEPT_SECONDS == 3_600
    client.delete(EPOCHS)  # a Redis that lost everything
    epochs.begin(["C"])
    assert epochs.of(["C"]) != first


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
