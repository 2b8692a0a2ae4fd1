"""Points of the items of a wide table: those that a file states, and those that a person must say."""

import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.sources.mapping import parse_mapping, with_points
from edugraph_common.sources.mapping_suggestion import MappingSuggestion, suggest_mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.preview import preview

LATEST = datetime(2026, 6, 20, tzinfo=UTC)


def suggested(name: str, marks: list[str], *more: list[str]) -> MappingSuggestion:
    """Return what is suggested for a table with a column of this name and another one that has other marks."""
    rows = [[f"S{n}", mark, "7.5"] for n, mark in enumerate(marks)]
    return suggest_mapping(["Student ID", name, "Other"], [*more, *rows])


def points(suggestion: MappingSuggestion) -> float | None:
    return suggestion.item_points[0].points


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("Q. 1 /2.00", 2),
        ("Q. 1 / 5", 5),
        ("Essay/20", 20),
        ("Quiz (max 10)", 10),
        ("Quiz (max. 10 points)", 10),
        ("Quiz, maximum: 12,5", 12.5),
        ("Quiz out of 8", 8),
        ("Quiz (8 pts)", 8),
        ("Quiz [10 points] final", 10),
        ("Quiz (5p)", 5),
        ("Unit 1 Quiz [Total Pts: 10 Score] |101", 10),
        ("第3题（5分）", 5),
        ("第3题 5分", 5),
        ("作文（满分60）", 60),
        ("作文满分：60分", 60),
    ],
)
def test_the_name_of_a_column_states_its_points(name: str, stated: float) -> None:
    """Out: any of `_STATES_POINTS`."""
    suggestion = suggested(name, ["1", "2"])
    first = suggestion.item_points[0]
    assert (first.column, first.points, first.stated_by) == (name, stated, "name")
    assert yaml.safe_load(suggestion.mapping)["items"]["scale"][name] == stated


@pytest.mark.parametrize(
    "name",
    [
        "Quiz 1",
        "Unit 1 Quiz (101)",  # Canvas writes ids so
        "Quiz [20]",
        "Homework 3/4",
        "Test 9/12",
        "Max 10 words",
        "Grade on 3 points of view",
        "20分钟测验",
        "Quiz 2026",
        "Quiz (max 0)",
        "Quiz (max)",
    ],
)
def test_other_numbers_in_a_name_state_nothing(name: str) -> None:
    first = suggested(name, ["1", "2"]).item_points[0]
    assert (first.points, first.stated_by, first.largest) == (None, None, 2)


@pytest.mark.parametrize("word", ["    Points Possible", "Points:", "MAX POINTS", "满分", "Out of"])
def test_a_row_states_the_points_of_its_columns_and_is_not_a_student(word: str) -> None:
    """Out: `points_row`, or `is_of_students`, or the words of such rows in `not_students`."""
    suggestion = suggested("Quiz (max 50)", ["7", "3"], [word, "10", ""])
    assert [(each.points, each.stated_by, each.largest) for each in suggestion.item_points] == [
        (10, "row", 7),
        (None, None, 7.5),
    ]
    mapping = with_points(suggestion.mapping, '{"Other": 8}').replace("'?'", "2026-01-01")
    text = f"Student ID,Quiz (max 50),Other\n{word},10,\nS0,7,7.5\nS1,3,7.5\n"
    found = preview("a.csv", text.encode(), mapping, LATEST, is_whole=True)
    assert (found.problem, found.valid, found.rejected) == (None, 4, 0)
    assert found.not_relevant == {"row of all students": 1}


def test_a_mark_above_the_points_makes_the_statement_unsure() -> None:
    """Out: the comparison with `largest`."""
    assert points(suggested("Quiz (max 10)", ["7", "10"])) == 10
    assert points(suggested("Quiz (max 10)", ["7", "85"])) is None


def test_rows_of_all_students_are_not_marks() -> None:
    """Out: `is_of_students`."""
    assert points(suggested("Quiz /10", ["7"], ["Total", "170", "9"])) == 10
    both = suggest_mapping(["Student ID", "A", "B"], [["S1", "1", "0"], ["Mean", "0.5", "0.5"]])
    assert {each.stated_by for each in both.item_points} == {"zero_one"}


def test_percentages_state_their_points_unless_other_marks_stand_beside_them() -> None:
    assert suggested("Quiz", ["85 %", "100%"]).item_points[0].stated_by == "percent"
    assert points(suggested("Quiz", ["85 %", "100%"])) == 100
    assert points(suggested("Quiz", ["85 %", "100"])) is None


def test_zeros_and_ones_are_right_and_wrong_only_where_no_column_has_marks() -> None:
    """Out: `states_points` in `suggest_items`."""
    marked = suggest_mapping(["Student ID", "A", "B"], [["S1", "1", "0"], ["S2", "0", "1"]])
    assert [(each.points, each.stated_by) for each in marked.item_points] == [(1, "zero_one")] * 2
    assert "scale" not in yaml.safe_load(marked.mapping)["items"]
    beside = suggest_mapping(["Student ID", "A", "B"], [["S1", "1", "0"], ["S2", "0", "5"]])
    assert [each.points for each in beside.item_points] == [None, None]
    stated = suggest_mapping(["Student ID", "A /5", "B /5"], [["S1", "1", "0"], ["S2", "0", "1"]])
    assert yaml.safe_load(stated.mapping)["items"]["scale"] == {"A /5": 5, "B /5": 5}
    words = suggest_mapping(["Student ID", "A", "B"], [["S1", "√", "×"]])
    assert words.item_points == ()


NAMES = st.text(st.characters(categories=("L",)), min_size=1, max_size=12)


@given(
    st.lists(
        st.tuples(NAMES, st.integers(0, 200), st.booleans()),
        min_size=2,
        max_size=6,
        unique_by=lambda c: c[0],
    )
)
def test_no_import_uses_points_that_neither_the_file_nor_a_person_stated(
    columns: list[tuple[str, int, bool]],
) -> None:
    """Out: `_has_points` of the mapping, or a guess in place of None in `_points_of`."""
    names = [
        f"{name} (max {mark or 1})" if stated else f"item {name}" for name, mark, stated in columns
    ]
    marks = [str(mark) for _, mark, _ in columns]
    suggestion = suggest_mapping(["Student ID", *names], [["S1", *marks]])
    if not suggestion.item_points:
        return  # A name such as 均分 says that a column has no marks, and then no column may be an item.
    by_column = {each.column: each for each in suggestion.item_points}
    open_columns = [name for name, each in by_column.items() if each.points is None]
    for name, (_, mark, stated) in zip(names, columns, strict=True):
        if name in by_column and by_column[name].stated_by != "zero_one":
            expected = (mark or 1) if stated else None
            assert by_column[name].points == expected
    if not open_columns:
        parse_mapping(suggestion.mapping)
        return
    with pytest.raises(MalformedFile, match="in place of the"):
        parse_mapping(suggestion.mapping)
    all_but_one = with_points(suggestion.mapping, json.dumps(dict.fromkeys(open_columns[1:], 200)))
    with pytest.raises(MalformedFile, match="in place of the"):
        parse_mapping(all_but_one)
    given_all = parse_mapping(with_points(all_but_one, json.dumps({open_columns[0]: 150})))
    assert given_all.items is not None
    assert given_all.items.points_of(open_columns[0]) == 150


@pytest.mark.parametrize("scale", ["'?'", "{A: '?'}", "{A: 5, B: '?'}"])
def test_a_question_mark_is_refused_as_points(scale: str) -> None:
    text = f"{{type: attempt_record, columns: {{S: student_id, T: timestamp}}, items: {{columns: [A, B], scale: {scale}}}}}"
    with pytest.raises(MalformedFile, match="say how many points a right answer has"):
        parse_mapping(text)


@pytest.mark.parametrize(
    "given_points", ["", "[]", "3", '{"Q": 0}', '{"Q": -1}', '{"Q": "?"}', '{"Q": null}', "{"]
)
def test_points_of_another_form_are_refused(given_points: str) -> None:
    with pytest.raises(MalformedFile, match="JSON object of numbers above 0"):
        with_points("items: {columns: [Q]}", given_points)


@pytest.mark.parametrize("mapping", ["", "[]", "columns: {a: b}", "items: 3", "items: [", "\x00"])
def test_a_mapping_without_items_gets_no_points(mapping: str) -> None:
    with pytest.raises(MalformedFile):
        with_points(mapping, '{"Q": 3}')


def test_a_preview_says_what_is_missing_and_takes_what_a_person_says() -> None:
    """Out: `points` in `preview`."""
    text = b"Student ID,Date,Course,Quiz /10,Essay\nS1,2026-03-01,M,7,17\nS2,2026-03-01,M,10,3\n"
    found = preview("a.csv", text, None, LATEST, is_whole=True)
    assert "in place of the ? of Essay" in str(found.problem)
    assert [(each.column, each.points, each.largest) for each in found.item_points] == [
        ("Quiz /10", 10, 10),
        ("Essay", None, 17),
    ]
    told = preview("a.csv", text, found.mapping, LATEST, is_whole=True, points='{"Essay": 20}')
    assert (told.problem, told.valid, told.rejected) == (None, 4, 0)
    at_once = preview("a.csv", text, None, LATEST, is_whole=True, points='{"Essay": 20}')
    assert (at_once.mapping, at_once.valid) == (told.mapping, 4)
    wrong = preview("a.csv", text, found.mapping, LATEST, is_whole=True, points='{"Essay": 0}')
    assert "numbers above 0" in str(wrong.problem)
