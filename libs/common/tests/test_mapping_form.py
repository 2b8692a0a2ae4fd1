"""A mapping as a form: what the form shows, and what its answers make of the text."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.sources.mapping_form import MappingForm
from edugraph_common.sources.preview import Preview, preview

LATEST = datetime(2026, 12, 20, tzinfo=UTC)
CANVAS = """Student,ID,SIS User ID,Section,Quiz 1 (1201),Quiz 2 (1217),Current Score
    Points Possible,,,,10,15,(read only)
"Berg, Anna",1,20140117,8A,7,12,80
"Lind, Ella",2,20140122,8B,later,9,61
"Ng, Hao",3,20140123,8B,10,later,61
"""
ANSWERS = """Student;Item;Correct;When;Course
A1;q1;yes;3/4/2026;MATH8
A2;q1;perhaps;4/5/2026;MATH8
A3;q1;perhaps;4/5/2026;MATH8
"""


def seen(text: str, mapping: str | None = None, answers: dict[str, Any] | None = None) -> Preview:
    given_answers = None if answers is None else json.dumps(answers)
    return preview("a.csv", text.encode(), mapping, LATEST, is_whole=True, answers=given_answers)


def form_of(found: Preview) -> MappingForm:
    assert found.form is not None
    return found.form


def fields_of(found: Preview) -> dict[str, str | None]:
    return {each.column: each.field for each in form_of(found).columns}


def test_a_form_shows_each_column_with_two_values_of_students() -> None:
    """Out: `_rows_of_students`. The row of the points is not a student's."""
    form = form_of(seen(CANVAS))
    samples = {each.column: each.samples for each in form.columns}
    assert list(samples) == CANVAS.splitlines()[0].split(",")
    assert samples["Quiz 1 (1201)"] == ("7", "later")
    assert samples["Student"] == ("Berg, Anna", "Lind, Ella")
    marks = [each.column for each in form.columns if each.is_item]
    assert marks == ["Quiz 1 (1201)", "Quiz 2 (1217)"]
    assert form.constants["course_id"] == "?"
    assert "item_id" not in form.fields


def test_a_gradebook_is_imported_by_answers_alone() -> None:
    found = seen(CANVAS)
    answers = {"constants": {"course_id": "MATH8"}, "not_tried": ["later"]}
    ready = seen(CANVAS, found.mapping, answers)
    assert (ready.problem, ready.rejected) == (None, 0)
    # Three students have two quizzes each, and two of these marks are "later".
    assert ready.by_type == {"attempt_record": 4}


def test_a_column_of_marks_can_be_left_out() -> None:
    """Out: `_leave_out_item`."""
    found = seen(CANVAS)
    answers = {"columns": {"Quiz 2 (1217)": None}, "constants": {"course_id": "MATH8"}}
    ready = seen(CANVAS, found.mapping, answers)
    assert ready.problem is None
    assert {each.column for each in ready.marks} == {"Quiz 1 (1201)"}


def test_a_field_has_one_column() -> None:
    """Out: the loop over other columns in `_set_field`."""
    found = seen(CANVAS)
    fields = fields_of(seen(CANVAS, found.mapping, {"columns": {"ID": "student_id"}}))
    assert fields["ID"] == "student_id"
    assert fields["SIS User ID"] is None


def test_what_a_record_needs_is_asked_for_when_its_column_is_left_out() -> None:
    """Out: `_is_required` in `_set_field`."""
    found = seen(ANSWERS)
    assert fields_of(found)["Student"] == "student_id"
    asked = seen(ANSWERS, found.mapping, {"columns": {"Student": None}})
    assert form_of(asked).constants["student_id"] == "?"
    assert asked.valid == 0


def test_a_column_that_becomes_a_date_gets_its_format() -> None:
    """Out: `_add_date_formats`. Dates with two readings are asked about, and nothing is read before the answer."""
    found = seen(ANSWERS)
    asked = seen(ANSWERS, found.mapping, {"columns": {"When": "timestamp"}})
    assert form_of(asked).asks_day_first
    assert "timestamp" not in form_of(asked).constants
    assert asked.valid == 0
    for day_first, day in ((True, "2026-04-03"), (False, "2026-03-04")):
        answered = seen(ANSWERS, asked.mapping, {"day_first": day_first})
        assert not form_of(answered).asks_day_first
        assert answered.valid == 1
        formats = yaml.safe_load(answered.mapping or "")["date_formats"]
        assert datetime.strptime("3/4/2026", formats[0]).date().isoformat() == day  # noqa: DTZ007


def test_a_word_is_replaced_in_all_rows() -> None:
    found = seen(ANSWERS)
    answers = {
        "columns": {"When": None},
        "constants": {"timestamp": "2026-05-01"},
        "values": {"correct": {"perhaps": "false"}},
    }
    ready = seen(ANSWERS, found.mapping, answers)
    assert (ready.valid, ready.rejected) == (3, 0)


def test_a_mapping_of_other_columns_or_of_several_types_has_no_form() -> None:
    for mapping in (
        "type: course_record\ncolumns: {Nobody: student_id}\n",
        "columns: {Student: type}\n",
        "type: nonsense\ncolumns: {Student: student_id}\n",
        "type: [1]\ncolumns: {Student: student_id}\n",
        "- 1\n",
    ):
        assert seen(ANSWERS, mapping).form is None


@pytest.mark.parametrize(
    "answers",
    [
        "[]",
        "{",
        '{"columns": {"Student": 5}}',
        '{"nonsense": 1}',
        '{"not_tried": "x"}',
        '{"constants": {"course_id": null}}',
    ],
)
def test_answers_in_another_form_are_refused_in_one_sentence(answers: str) -> None:
    mapping = seen(ANSWERS).mapping
    found = preview("a.csv", ANSWERS.encode(), mapping, LATEST, is_whole=True, answers=answers)
    assert found.problem == "the answers are not those of the form of a mapping"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["?", "x", "Student", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Student", "columns", "correct", "1"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
KEYS = ("columns", "constants", "values", "items", "date_formats", "sheets")


@given(parts=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=5))
def test_any_text_of_a_mapping_and_answers_end_in_a_preview_or_a_sentence(
    parts: dict[str, Any],
) -> None:
    text = yaml.safe_dump({"type": "attempt_record", "columns": {"Student": "student_id"}, **parts})
    answers = {
        "columns": {"Student": None, "Item": "item_id"},
        "constants": {"course_id": "C"},
        "values": {"correct": {"perhaps": "false"}},
        "not_tried": ["perhaps"],
        "day_first": True,
    }
    for given_answers in (None, answers):
        found = seen(ANSWERS, text, given_answers)
        assert found.problem or found.valid + found.rejected == 3


HOSTILE = st.text(max_size=20)
FIELDS = st.sampled_from(["student_id", "course_id", "timestamp", "type", "x", "", "?"]) | HOSTILE
COLUMNS = st.sampled_from([*ANSWERS.splitlines()[0].split(";"), "nobody's"]) | HOSTILE


@given(
    columns=st.dictionaries(COLUMNS, st.none() | FIELDS, max_size=4),
    constants=st.dictionaries(FIELDS, HOSTILE, max_size=3),
    values=st.dictionaries(FIELDS, st.dictionaries(HOSTILE, HOSTILE, max_size=2), max_size=2),
    day_first=st.none() | st.booleans(),
)
def test_any_answers_end_in_a_preview_or_a_sentence(
    columns: dict[str, str | None],
    constants: dict[str, str],
    values: dict[str, dict[str, str]],
    day_first: bool | None,
) -> None:
    """The text says what was answered, and reading it never fails in another way than by a problem."""
    answers = {
        "columns": columns,
        "constants": constants,
        "values": values,
        "day_first": day_first,
    }
    found = seen(ANSWERS, seen(ANSWERS).mapping, answers)
    assert found.mapping is not None
    text = yaml.safe_load(found.mapping)
    assert text["columns"].keys() >= columns.keys()
    assert text.get("constants", {}).items() >= constants.items()
    if found.problem is None:
        assert found.valid + found.rejected == 3
