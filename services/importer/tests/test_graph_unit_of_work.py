from collections import Counter
from typing import Any

from edugraph_common.contracts.records import parse_record
from edugraph_importer.graph.record_facts import facts_of
from edugraph_importer.graph.unit_of_work import UnitOfWork, name_properties


def _staged(*values: dict[str, Any]) -> UnitOfWork:
    staged = UnitOfWork.staged()
    for value in values:
        staged.add(facts_of(parse_record({"timestamp": "2026-01-01T00:00:00Z"} | value)))
    return staged


def _error(**data: Any) -> dict[str, Any]:
    return {
        "type": "error_record",
        "data": {"student_id": "a", "course_id": "c", "error_text": "x", "error_type": "Sign"}
        | data,
    }


def test_mistakes_are_folded_into_one_row_for_each_student_type_and_course() -> None:
    unit = _staged(
        _error(occurrence_count=2, severity="low", resolved=True),
        _error(severity="high") | {"timestamp": "2026-01-02T00:00:00Z"},
        _error(course_id="d"),
    )
    sums = unit.sums.mistakes["a", "sign", "c"]
    assert len(unit.sums.mistakes) == 2
    assert (sums.count, sums.weight, sums.resolved) == (3, 3.0, True)
    assert (sums.first, sums.last) == ("2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z")


def test_each_kind_of_record_has_its_own_rows() -> None:
    people = {"student_id_from": "a", "student_id_to": "b"}
    unit = _staged(
        {
            "type": "student_interaction",
            "data": people | {"interaction_type": "chat", "topics": ["Topic", "topic"]},
        },
        {
            "type": "student_interaction",
            "data": people | {"interaction_type": "like", "like_count": 4},
        },
        {"type": "teacher_interaction", "data": {"teacher_id": "t", "student_id": "a"}},
        {"type": "course_content", "data": {"course_id": "c", "content": "x"}},
        _error(course_ids=["d"]),
    )
    assert {name: len(rows) for name, rows in unit.rows.items() if rows} == {
        "create_chat": 1,
        "create_like": 1,
        "create_teacher_interaction": 1,
        "create_course_content": 1,
        "create_error_record": 1,
        "in_more_courses": 1,
        "about": 1,
    }
    assert unit.rows["create_like"][0]["count"] == 4
    counts = {key: totals.count for key, totals in unit.sums.interactions.items()}
    assert counts == {("chat_with", "a", "b"): 1, ("likes", "a", "b"): 4, ("teaches", "t", "a"): 1}
    assert unit.rows["about"][0]["spelled"] == ["Topic", "topic"]


def test_only_what_changed_is_written_again() -> None:
    unit = UnitOfWork()
    unit.load_node(("Student", "a"), {"name": "Ana", "stamp": "2026-02-01"})
    unit.put_field(("Student", "a"), "name", "Old", "2026-01-01")
    assert not unit.changed_nodes
    unit.put_field(("Student", "a"), "name", "Ana María", "2026-03-01")
    assert unit.changed_nodes == {("Student", "a")}


def test_merging_what_was_staged_is_as_if_its_records_had_been_added_there() -> None:
    staged = _staged(
        {
            "type": "teacher_interaction",
            "data": {"teacher_id": "t", "student_id": "a", "student_name": "Old"},
        },
        _error(student_name="Ana María", error_type="SIGN") | {"timestamp": "2026-03-01T00:00:00Z"},
    )
    unit = UnitOfWork()
    unit.load_node(("Student", "a"), {"name": "Ana", "stamp": "2026-02-01"})
    unit.load_node(("Teacher", "t"), {})
    unit.load_node(("Course", "c"), {"name": "C", "stamp": "2026-01-01"})
    unit.load_node(
        ("ErrorType", "sign"), {"name": "Sign", "spellings": ["Sign"], "spelling_counts": [1]}
    )
    unit.merge(staged)
    assert unit.fields["Student", "a"]["name"][0] == "Ana María"
    assert unit.spellings["ErrorType", "sign"] == {"SIGN": 1, "Sign": 1}
    assert unit.changed_nodes == {("Student", "a"), ("ErrorType", "sign")}


def test_learns_takes_each_field_from_the_latest_that_gives_it() -> None:
    value = {
        "type": "course_record",
        "data": {"student_id": "a", "course_id": "c", "progress": 50, "time_spent": 3},
    }
    later = {
        **value,
        "timestamp": "2026-03-01T00:00:00Z",
        "data": {"student_id": "a", "course_id": "c", "progress": 40},
    }
    unit = UnitOfWork()
    _load(unit)
    unit.merge(_staged(later, value))
    assert {name: each[0] for name, each in unit.learns["a", "c"].items()} == {
        "progress": 40.0,
        "time_spent": 3.0,
    }
    assert unit.new_learns == {("a", "c")}
    assert [
        row["p"] for row in unit.rows["create_course_record"]
    ] == []  # rows are written as they were staged


def test_the_most_frequent_spelling_is_the_name_and_the_smallest_of_several() -> None:
    counts = Counter({"b": 2, "a": 2, "c": 1, "gone": 0})
    expected = {
        "name": "a",
        "aliases": ["b", "c"],
        "spellings": ["a", "b", "c"],
        "spelling_counts": [2, 2, 1],
    }
    assert name_properties(counts) == expected
    assert name_properties(counts + Counter({"c": 2}))["name"] == "c"
    assert name_properties(Counter({"gone": 0})) == dict.fromkeys(expected)


def _load(unit: UnitOfWork) -> None:
    unit.load_node(("Student", "a"), {})
    unit.load_node(("Course", "c"), {})
