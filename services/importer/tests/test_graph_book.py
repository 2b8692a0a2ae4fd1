from typing import Any

from edugraph_common.records import CourseRecord, parse_record
from edugraph_importer.graph import stated
from edugraph_importer.graph.book import Book


def _book(*values: dict[str, Any]) -> Book:
    book = Book()
    for value in values:
        record = parse_record({"timestamp": "2026-01-01T00:00:00Z"} | value)
        for node in stated.nodes(record):
            if node not in book.fields and node not in book.spellings:
                book.open_node(node, {})
        if isinstance(record.data, CourseRecord):
            book.add_state(record, record.data)
        else:
            book.add(record, "hash")
    return book


def _error(**data: Any) -> dict[str, Any]:
    return {
        "type": "error_record",
        "data": {"student_id": "a", "course_id": "c", "error_text": "x", "error_type": "Sign"} | data,
    }


def test_mistakes_are_folded_into_one_row_for_each_student_type_and_course() -> None:
    book = _book(
        _error(occurrence_count=2, severity="low", resolved=True),
        _error(severity="high") | {"timestamp": "2026-01-02T00:00:00Z"},
        _error(course_id="d"),
    )
    sums = book.mistakes["a", "sign", "c"]
    assert len(book.mistakes) == 2
    assert (sums.count, sums.weight, sums.resolved) == (3, 3.0, True)
    assert (sums.first, sums.last) == ("2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z")


def test_each_kind_of_record_has_its_own_rows() -> None:
    people = {"student_id_from": "a", "student_id_to": "b"}
    book = _book(
        {"type": "student_interaction", "data": people | {"interaction_type": "chat", "topics": ["T", "t"]}},
        {"type": "student_interaction", "data": people | {"interaction_type": "like", "like_count": 4}},
        {"type": "teacher_interaction", "data": {"teacher_id": "t", "student_id": "a"}},
        {"type": "course_content", "data": {"course_id": "c", "content": "x"}},
        _error(course_ids=["d"]),
    )
    assert {name: len(rows) for name, rows in book.rows.items() if rows} == {
        "create_chat": 1,
        "create_like": 1,
        "create_teacher_interaction": 1,
        "create_course_content": 1,
        "create_error_record": 1,
        "in_more_courses": 1,
        "about": 1,
    }
    assert book.rows["create_like"][0]["count"] == 4
    assert book.rows["about"][0]["spelled"] == ["T", "t"]


def test_only_what_changed_is_written_again() -> None:
    book = Book()
    book.open_node(("Student", "a"), {"name": "Ana", "stamp": "2026-02-01"})
    book.put(("Student", "a"), "name", "Old", "2026-01-01")
    assert not book.changed
    book.put(("Student", "a"), "name", "Ana María", "2026-03-01")
    assert book.changed == {("Student", "a")}
