"""A column that numbers the rows is refused as the id of records, and a real id is not."""

import csv
import io
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import xlsx

from edugraph_common.sources.dry_run import dry_run
from edugraph_common.sources.mapping import parse_mapping
from edugraph_common.sources.mapping_suggestion import suggest_mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.row_numbers import are_row_numbers

PATTERNS = ["{}", "{:03}", "{}.0", "row-{}", "Row {}", "No. {}", "#{}", "r{}", "第{}行", "{}."]


@st.composite
def row_numbers(draw: st.DrawFn) -> list[str]:
    """The numbers of the rows of a table: from 0, 1 or 2 on, some filtered out, in an order, in one or more sheets."""
    first, rows = draw(st.integers(0, 2)), draw(st.integers(1, 60))
    numbers = list(range(first, first + rows))
    kept = (
        draw(st.lists(st.sampled_from(numbers), min_size=1, unique=True))
        if draw(st.booleans())
        else numbers
    )
    ordered = draw(
        st.sampled_from([sorted(kept), sorted(kept, reverse=True), kept, sorted(kept) * 2])
    )
    pattern = draw(st.sampled_from(PATTERNS))
    return [pattern.format(number) for number in ordered]


@st.composite
def real_ids(draw: st.DrawFn) -> list[str]:
    """Ids of a database that has been in use, in sequence or not; and ids that are not numbers alone."""
    rows = draw(st.integers(1, 60))
    first = draw(st.sampled_from([1_000, 10_000, 48_210, 7_000_000]) | st.integers(1_000, 10**8))
    step = draw(st.integers(1, 5))
    numbers = [first + step * place for place in range(rows)]
    pattern = draw(
        st.sampled_from(
            ["{}", "{:012}", "attempt-{}", "7A-{}", "{}-q1", "2026-03-{}", "a{}b", "{}.5"]
        )
    )
    small = ["midterm-{}", "7A-{}", "{}/7A", "quiz {} b", "S{}", "{}.25"]
    if draw(st.booleans()):
        numbers, pattern = list(range(1, rows + 1)), draw(st.sampled_from(small))
    return [pattern.format(number) for number in numbers]


@given(row_numbers(), st.sampled_from(["id", "record", "uuid", "编号"]))
def test_row_numbers_are_known_whatever_their_form(values: list[str], column: str) -> None:
    assert are_row_numbers(column, values)


@given(real_ids(), st.sampled_from(["id", "record_id", "uuid", "编号", "attempt"]))
def test_ids_are_taken_for_row_numbers_never(values: list[str], column: str) -> None:
    assert not are_row_numbers(column, values)


@pytest.mark.parametrize(
    "column", ["No", "No.", "#", "Nr.", "S/N", "序号", "行号", "Unnamed: 0", "Row number", "№", ""]
)
def test_a_column_whose_name_says_so_may_begin_anywhere(column: str) -> None:
    later = [str(number) for number in range(131, 161)]
    assert are_row_numbers(column, later)
    assert not are_row_numbers("id", later)
    assert not are_row_numbers(column, [str(number) for number in range(48_210, 48_240)])


def as_csv(rows: list[list[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


MAPPING = parse_mapping(
    "{type: course_record, columns: {id: record_id, who: student_id}, constants: {course_id: C, timestamp: 2026-03-02}}"
)


@settings(deadline=None, max_examples=8)  # each reads a workbook, in a process of its own
@given(values=row_numbers(), real=real_ids(), blank=st.booleans())
def test_a_dry_run_refuses_row_numbers_and_takes_ids(
    values: list[str], real: list[str], blank: bool
) -> None:
    """Out: `_refuse_row_numbers`; the ids of contents, which rows without an id have."""
    more = [["", "without"]] if blank else []
    rows = [["id", "who"], *([value, f"s{place}"] for place, value in enumerate(values)), *more]
    for file, form in ((as_csv(rows), "csv"), (xlsx({"A": rows, "B": rows}), "workbook")):
        with pytest.raises(
            MalformedFile, match=r"^the column id numbers the rows, .* unique over all files$"
        ):
            dry_run(io.BytesIO(file), form, MAPPING)  # type: ignore[arg-type]
    rows = [["id", "who"], *([value, f"s{place}"] for place, value in enumerate(real)), *more]
    assert dry_run(io.BytesIO(as_csv(rows)), "csv", MAPPING).valid == len(real) + blank


def test_rows_without_a_record_id_are_no_matter() -> None:
    mapping = MAPPING.model_copy(update={"columns": {"id": None, "who": "student_id"}})
    rows = [["id", "who"], *([str(place), f"s{place}"] for place in range(1, 31))]
    assert dry_run(io.BytesIO(as_csv(rows)), "csv", mapping).valid == 30


@given(values=row_numbers(), real=real_ids())
def test_a_suggestion_leaves_row_numbers_out_and_takes_ids(
    values: list[str], real: list[str]
) -> None:
    """Out: `numbering`."""
    header = ["id", "student id", "course id", "progress", "date"]
    for ids, field in ((values, None), (real, "record_id")):
        rows = [[each, "s", "C", "50", "2026-03-02"] for each in ids]
        suggestion = suggest_mapping(header, rows)
        assert yaml.safe_load(suggestion.mapping)["columns"]["id"] == field
        assert any("unique over all files" in each for each in suggestion.open_points) == (
            field is None
        )
