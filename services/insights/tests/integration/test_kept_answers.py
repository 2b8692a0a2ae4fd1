"""An answer that is kept is what its caller would get from the graph, whoever asked before, and no longer than that."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_importer.graph import RecordBatch
from edugraph_insights.answer_cache import AnswerCache
from edugraph_insights.insights import Insights

from .schools import (
    EXAMPLES,
    STUDENTS,
    NotedAudit,
    School,
    asked,
    at,
    caller,
    make_groups,
    reading,
    written,
)

# A kept answer does not depend on the engine that gave it, so the quick engine is enough.
pytestmark = [pytest.mark.embedded, pytest.mark.parametrize("room", ["embedded"], indirect=True)]
CALLERS = (
    ANYBODY,
    caller("analyst"),
    caller("counsellor"),
    *(caller("teacher", person=who) for who in "tu"),
    *(caller("student", person=who) for who in STUDENTS[:2]),
    caller("analyst", "teacher", person="t"),
)
MORE: dict[str, dict[str, Any]] = {
    "groups": {"group": "g", "other_group": "h"},
    "travelling-weaknesses": {"next_course": "D"},
}
Question = tuple[Caller, str, str | None, str | None]
question = st.tuples(
    st.sampled_from(CALLERS),
    st.sampled_from(["weak-points", "groups", "roster", "travelling-weaknesses"]),
    st.sampled_from([None, "g", "h"]),
    st.sampled_from([None, at(2)]),
)


class Epochs:
    """Epochs that a test sets."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}

    def of(self, courses: Sequence[str]) -> tuple[str | None, ...]:
        return tuple(self.now.get(course) for course in ("", *courses))


class Counted(AnswerCache):
    """It counts the answers that it had."""

    found = 0

    def find(self, key: bytes) -> bytes | None:
        answer = super().find(key)
        self.found += answer is not None
        return answer


def keeping(room: Room, epochs: Epochs, audit: Any = None) -> Insights:
    return reading(room, audit=audit, answers=Counted(2**20, epochs.of))


def hits(insights: Insights) -> int:
    assert isinstance(insights.answers, Counted)
    return insights.answers.found


def said(insights: Insights, question: Question) -> Any:
    """The whole answer, or with which status there is none."""
    who, name, group, since = question
    given = {"course": "C", "group": group, "from": since, **MORE.get(name, {})}
    parameters = {name: value for name, value in given.items() if value}
    try:
        return asked(insights, name, who, **parameters)
    except Problem as problem:
        return problem.status


@pytest.fixture
def school_of_12(room: Room) -> None:
    """Twelve students who each tried an item; the first six are in the group of one teacher, the others of another."""
    values: list[dict[str, Any]] = []
    for number in range(12):
        tried = {
            "student_id": STUDENTS[number],
            "item_id": "i",
            "course_id": "C",
            "correct": number < 6,
        }
        values += [
            *(
                {
                    "type": "course_record",
                    "data": {"student_id": tried["student_id"], "course_id": c},
                }
                for c in "CD"
            ),
            {"type": "attempt_record", "data": {**tried, "knowledge_points": ["P1"]}},
        ]
    records = [
        parse_record({**each, "timestamp": at(1), "record_id": f"r{n}"})
        for n, each in enumerate(values)
    ]
    written(room, School(records, []))
    members = [
        (who, "g" if number < 6 else "h", (None, None)) for number, who in enumerate(STUDENTS[:12])
    ]
    make_groups(
        room, members, [("t", "g", (None, None)), ("u", "h", (None, None))], {"g": "C", "h": None}
    )


@pytest.mark.usefixtures("school_of_12")
def test_each_caller_gets_what_the_graph_has_for_them(room: Room, insights: Insights) -> None:
    """In whatever order callers ask. To take a guard out: leave the students, the cells, the parameters or the other
    group out of the key, or keep an answer under the question alone.
    """
    truth: dict[Question, Any] = {}

    @settings(EXAMPLES, max_examples=5)
    @given(asked_in_turn=st.lists(question, min_size=10, max_size=15))
    def in_turn(asked_in_turn: list[Question]) -> None:
        keeps = keeping(room, Epochs())
        for each in asked_in_turn:
            if each not in truth:
                truth[each] = said(insights, each)
            assert said(keeps, each) == truth[each]
        keeps.graph.close()

    in_turn()


@pytest.mark.usefixtures("school_of_12")
def test_two_teachers_ask_the_same_and_get_their_own(room: Room) -> None:
    """To take the guard out: leave `facts.students` out of `read_by`."""
    keeps = keeping(room, Epochs())
    for _ in range(2):
        wrong = [
            asked(keeps, "weak-points", caller("teacher", person=who), course="C").rows[0].wrong
            for who in "tu"
        ]
        assert wrong == [0.0, 1.0]
    assert hits(keeps) == 2
    keeps.graph.close()


@pytest.mark.usefixtures("school_of_12")
def test_who_sees_cells_and_who_sees_everybody_share_no_answer(room: Room) -> None:
    """To take the guard out: leave the closed week out of the key."""
    keeps = keeping(room, Epochs())
    assert asked(keeps, "weak-points", course="C").rows[0].students == 12
    assert not asked(keeps, "weak-points", caller("analyst"), course="C").exact
    assert asked(keeps, "weak-points", course="C").exact
    keeps.graph.close()


@pytest.mark.usefixtures("school_of_12")
def test_an_answer_ends_with_the_epoch_of_its_course_or_of_all(room: Room) -> None:
    """To take the guard out: leave the epochs out of the key."""
    epochs = Epochs()
    keeps = keeping(room, epochs)

    def tries() -> int:
        return int(asked(keeps, "weak-points", course="C").rows[0].first_attempts)

    data = {
        "student_id": STUDENTS[0],
        "item_id": "j",
        "course_id": "C",
        "correct": True,
        "knowledge_points": ["P1"],
    }
    late = parse_record(
        {"type": "attempt_record", "timestamp": at(2), "record_id": "late", "data": data}
    )
    assert tries() == 12
    room.graph.write_batch(RecordBatch("more", 0, [(1, late)], (), 1))
    epochs.now["D"] = "another course's"
    assert (tries(), hits(keeps)) == (12, 1)
    epochs.now["C"] = "its own"
    assert tries() == 13
    room.graph.restrict_student(STUDENTS[0], restricted=True)
    assert tries() == 11, (
        "who is restricted is in no answer at once, since they are not among the permitted"
    )
    room.graph.erase_student(STUDENTS[1])
    epochs.now[""] = "of all"
    assert (tries(), hits(keeps)) == (10, 1)
    keeps.graph.close()


@pytest.mark.usefixtures("school_of_12")
def test_a_read_of_persons_is_noted_also_when_it_was_kept(room: Room) -> None:
    """To take the guard out: note only what was computed."""
    audit = NotedAudit()
    keeps = keeping(room, Epochs(), audit)
    for _ in range(3):
        asked(keeps, "roster", course="C")
    assert (len(audit.entries), hits(keeps)) == (3, 2)
    keeps.graph.close()
