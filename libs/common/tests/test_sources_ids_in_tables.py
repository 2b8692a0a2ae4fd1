"""Ids and durations in tables: what a spreadsheet made of them is set aside, and what is exact stays exact."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, get_args, get_origin
from uuid import UUID

import pytest
from arro3.core import Array, DataType
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import ods, parquet, xlsx

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import DATA_OF_TYPE, Record
from edugraph_common.sources.cells import DATES, IDS, LISTS, NUMBERS
from edugraph_common.sources.mapping import Mapping, parse_mapping
from edugraph_common.sources.read_plan import open_text
from edugraph_common.sources.rows import cut_rows, read_rows

# A file is read in a process of its own, which costs more than its rows: so there are few files, with many rows each.
FEW = settings(deadline=None, max_examples=5)
LEAST_ROWS = 15
MOST_ROWS = 30
MAPPING = parse_mapping(
    "{type: course_record, columns: {who: student_id, what: course_id, when: timestamp}}"
)
OF_TIME = "{type: course_record, columns: {who: student_id, long: time_spent}, constants: {course_id: C, timestamp: 2026-03-02}}"
ROUNDED = "is a number of which a spreadsheet has lost the last digits"
MISSING = "is what programs write where a value is missing"
HEADER = ["who", "what", "when"]


def read(file: bytes, form: Any, mapping: Mapping = MAPPING) -> list[Any]:
    plan, text = open_text(io.BytesIO(file), form, None, mapping)
    return [row for _, row in read_rows(plan.source, cut_rows(plan.source, text))]


def as_csv(rows: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def students(rows: list[Any]) -> list[str | None]:
    """The student of each row, None for one that was set aside."""
    return [row.data.student_id if isinstance(row, Record) else None for row in rows]


def test_all_fields_with_an_id_are_known() -> None:
    """Out: a field of IDS."""
    found = {"record_id"}
    for data in DATA_OF_TYPE.values():
        for name, field in data.model_fields.items():
            if "_normal_if_text" in repr(field.annotation) + repr(field.metadata):
                found.add(name)
    assert found == IDS


def kind_of(annotation: Any) -> type | None:
    """Return what a value of a field is, if it is there: a list, a number, a time, or None for all else."""
    if get_origin(annotation) is tuple:
        return tuple
    if isinstance(annotation, type):
        return {int: float, float: float, datetime: datetime}.get(annotation)
    kinds = map(kind_of, get_args(annotation))
    return next(filter(None, kinds), None)


@pytest.mark.parametrize(("kind", "known"), [(tuple, LISTS), (float, NUMBERS), (datetime, DATES)])
def test_all_fields_that_are_no_text_are_made_of_cells(kind: type, known: frozenset[str]) -> None:
    """Out: a field of LISTS, NUMBERS or DATES. The contract would refuse the text of each cell."""
    found = set()
    for data in DATA_OF_TYPE.values():
        for name, field in data.model_fields.items():
            if kind_of(field.annotation) is kind:
                found.add(name)
    assert found == known - {"timestamp", "changed_at"}


whole = st.one_of(
    st.integers(0, 10**6),
    st.integers(2**53 - 3, 2**53 + 3),
    st.integers(10**17, 10**18),
    st.integers(10**15, 2**53),
)


@FEW
@given(st.lists(whole, min_size=LEAST_ROWS, max_size=MOST_ROWS))
def test_a_number_of_a_sheet_is_an_id_as_far_as_it_is_exact(numbers: list[int]) -> None:
    """Out: the limit of `as_number`, or `parse_id`. The cells are what Excel keeps: floats."""
    expected = [str(number) if float(number) < 2**53 else None for number in numbers]
    rows: list[list[Any]] = [HEADER, *([float(number), "C", "2026-03-02"] for number in numbers)]
    for file in (xlsx({"A": rows}), ods({"A": rows})):
        found = read(file, "workbook")
        assert students(found) == expected
        assert {row.reason for row in found if isinstance(row, Reject)} <= {ROUNDED}
    doubles = Array([float(number) for number in numbers], DataType.float64())
    assert students(read(of_ids(doubles), "parquet")) == expected


def of_ids(who: Array) -> bytes:
    n = len(who)
    what, when = Array(["C"] * n, DataType.string()), Array(["2026-03-02"] * n, DataType.string())
    return parquet({"who": who, "what": what, "when": when})


@pytest.mark.parametrize("kind", ["int64", "uint64", "decimal"])
@FEW
@given(numbers=st.lists(st.integers(0, 10**19), min_size=LEAST_ROWS, max_size=MOST_ROWS))
def test_exact_numbers_of_parquet_are_exact_ids(numbers: list[int], kind: str) -> None:
    """Out: `exact_number`."""
    if kind == "decimal":
        who = Array([str(n) for n in numbers], DataType.string()).cast(DataType.decimal128(38, 0))
    else:
        numbers = [n % 2**63 for n in numbers]
        who = Array(numbers, getattr(DataType, kind)())
    assert students(read(of_ids(who), "parquet")) == [str(n) for n in numbers]


def test_a_decimal_keeps_its_digits_and_a_short_float_few() -> None:
    texts = ["12345678901234567890123456789012345678", "12345678901234567890123456789012345679"]
    wide = Array(texts, DataType.string()).cast(DataType.decimal128(38, 0))
    assert students(read(of_ids(wide), "parquet")) == texts
    points = Array(["12.50", "7.00", "1234567890123456789.25"], DataType.string()).cast(
        DataType.decimal128(30, 2)
    )
    assert students(read(of_ids(points), "parquet")) == ["12.5", "7", "1234567890123456789.25"]
    single = Array([2.0**24 - 1, 2.0**24, 123.0], DataType.float64()).cast(DataType.float32())
    assert students(read(of_ids(single), "parquet")) == [str(2**24 - 1), None, "123"]


@FEW
@given(st.lists(st.uuids(), min_size=LEAST_ROWS, max_size=MOST_ROWS))
def test_a_uuid_of_parquet_is_its_text(ids: list[UUID]) -> None:
    who = Array([each.bytes for each in ids], DataType.binary(16))
    assert students(read(of_ids(who), "parquet")) == [str(each) for each in ids]


def test_text_of_sixteen_bytes_stays_text() -> None:
    who = Array([b"S000000000000001", b"S000000000000002"], DataType.binary(16))
    assert students(read(of_ids(who), "parquet")) == ["S000000000000001", "S000000000000002"]


@st.composite
def shown_by_a_sheet(draw: st.DrawFn) -> str:
    """A long number as a spreadsheet, pandas or R writes it."""
    number = draw(st.integers(10**11, 10**18))
    digits = draw(st.integers(0, 8))
    text = f"{float(number):.{digits}e}"
    text = text.replace(".", draw(st.sampled_from([".", ","])))
    return text.upper() if draw(st.booleans()) else text


@given(
    st.lists(shown_by_a_sheet(), min_size=1, max_size=5), st.sampled_from([HEADER, HEADER[::-1]])
)
def test_a_number_in_scientific_notation_is_no_id(texts: list[str], header: list[str]) -> None:
    """Out: `_ROUNDED`."""
    cells = {"what": "C", "when": "2026-03-02"}
    rows = [[text if name == "who" else cells[name] for name in header] for text in texts]
    found = read(as_csv([header, *rows]), "csv")
    assert [row.reason for row in found] == [ROUNDED] * len(texts)
    assert {row.field for row in found} == {"who (data.student_id)"}


@pytest.mark.parametrize(
    "text", ["7E2", "1e10", "E+11", "2E", "1.23E", "12-3", "1.5", "0x1e5", "3E+", "S1.2E+11"]
)
def test_an_id_that_only_looks_like_it_is_taken(text: str) -> None:
    assert students(read(as_csv([HEADER, [text, "C", "2026-03-02"]]), "csv")) == [text]


@pytest.mark.parametrize(
    "text", ["1.23457e11", "1.23E+11", "1,23E+11", "1E+17", "1e+05", " 1.1E+17 "]
)
def test_an_id_that_excel_saved_is_set_aside(text: str) -> None:
    assert students(read(as_csv([HEADER, [text, "C", "2026-03-02"]]), "csv")) == [None]


WORDS = ["NULL", "null", "Null", "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#NV", "Err:502",
         "N/A", "n/a", "nan", "NaN", "None", "none", "NONE", "undefined", "<NA>", "(null)", "\\N", "NA", " NULL "]  # fmt: skip
TAKEN = [
    "Na",
    "na",
    "Nana",
    "nulls",
    "null-7",
    "N-A",
    "#1",
    "#A",
    "Nonesuch",
    "Norm",
    "NAN1",
    "#7B",
    "A#N/A",
]


@pytest.mark.parametrize("field", ["who", "what"])
def test_a_word_for_a_missing_value_is_no_id(field: str) -> None:
    """Out: `_MISSING`, or `_ERROR_OF_A_SHEET`."""
    rows = [
        [word if name == field else "X" for name in HEADER[:2]] + ["2026-03-02"]
        for word in [*WORDS, *TAKEN]
    ]
    for file, form in (
        (as_csv([HEADER, *rows]), "csv"),
        (xlsx({"A": [HEADER, *rows]}), "workbook"),
    ):
        found = read(file, form)
        assert [isinstance(row, Record) for row in found] == [False] * len(WORDS) + [True] * len(
            TAKEN
        )
        assert {row.reason for row in found[: len(WORDS)]} == {MISSING}


def test_a_list_of_courses_and_the_id_of_a_record_are_ids_too() -> None:
    mapping = parse_mapping(
        "{type: error_record, columns: {id: record_id, who: student_id, where: course_ids, how: error_text},"
        " constants: {timestamp: 2026-03-02}}"
    )
    rows = [
        ["id", "who", "where", "how"],
        ["r1", "a", "C; D", "NULL"],
        ["r2", "a", "C; NULL", "x"],
        ["1E+17", "a", "C", "x"],
    ]
    found = read(as_csv(rows), "csv", mapping)
    assert [getattr(row, "reason", "") for row in found] == ["", MISSING, ROUNDED]
    assert found[0].data.error_text == "NULL"  # a text may say so


def test_a_mapping_may_say_that_a_word_is_an_id() -> None:
    mapping = MAPPING.model_copy(update={"values": {"course_id": {"NA": "NA", "None": "free"}}})
    rows = [
        HEADER,
        ["a", "NA", "2026-03-02"],
        ["a", "None", "2026-03-02"],
        ["a", "NULL", "2026-03-02"],
    ]
    found = read(as_csv(rows), "csv", mapping)
    assert [row.data.course_id for row in found[:2]] == ["NA", "free"]
    assert found[2].reason == MISSING


def test_a_row_that_is_set_aside_still_names_its_student() -> None:
    """An erasure looks for ids as the cells have them. Out: the `except` of `CellReader.students`."""
    file = as_csv([HEADER, ["1.23457E+11", "C", "2026-03-02"], ["NULL", "C", "2026-03-02"]])
    plan, text = open_text(io.BytesIO(file), "csv", None, MAPPING)
    assert [plan.source.people(row.raw).ids for row in cut_rows(plan.source, text)] == [
        {"1.23457E+11"},
        {"NULL"},
    ]


durations = st.integers(0, 400 * 3600).map(lambda seconds: timedelta(seconds=seconds))


@FEW
@given(st.lists(durations, min_size=LEAST_ROWS, max_size=MOST_ROWS))
def test_a_duration_is_in_the_unit_of_its_field(given_durations: list[timedelta]) -> None:
    """Out: DURATIONS, or the ISO durations of an OpenDocument sheet."""
    of_activity = OF_TIME.replace("course_record", "activity_record").replace(
        "time_spent", "duration_seconds"
    )
    rows: list[list[Any]] = [["who", "long"], *(["a", each] for each in given_durations)]
    micros = Array(
        [each // timedelta(microseconds=1) for each in given_durations], DataType.int64()
    )
    table = {
        "who": Array(["a"] * len(given_durations), DataType.string()),
        "long": micros.cast(DataType.duration("us")),
    }
    files = [
        (xlsx({"A": rows}), "workbook"),
        (ods({"A": rows}), "workbook"),
        (parquet(table), "parquet"),
    ]
    for file, form in files:
        minutes = [row.data.time_spent for row in read(file, form, parse_mapping(OF_TIME))]
        assert minutes == pytest.approx([each.total_seconds() / 60 for each in given_durations])
        seconds = [
            row.data.duration_seconds for row in read(file, form, parse_mapping(of_activity))
        ]
        assert seconds == pytest.approx([each.total_seconds() for each in given_durations])


def test_a_duration_elsewhere_is_a_text_or_no_number() -> None:
    as_progress = parse_mapping(OF_TIME.replace("time_spent", "progress"))
    as_text = parse_mapping(OF_TIME.replace("time_spent", "course_description"))
    file = xlsx({"A": [["who", "long"], ["a", timedelta(hours=30, seconds=5)]]})
    [wrong] = read(file, "workbook", as_progress)
    assert wrong.expected == "a number, and no duration"
    [text] = read(file, "workbook", as_text)
    assert text.data.course_description == "30:00:05"
    [plain] = read(as_csv([["who", "long"], ["a", "90"]]), "csv", parse_mapping(OF_TIME))
    assert plain.data.time_spent == 90


def test_a_date_outside_of_the_years_sets_its_row_aside_alone() -> None:
    moments = [0, 253402300800 + 86400 * 400, -62135596801 - 86400 * 400, 86400]
    when = Array(moments, DataType.int64()).cast(DataType.timestamp("s"))
    who, what = (Array([name] * 4, DataType.string()) for name in ("a", "C"))
    found = read(parquet({"who": who, "what": what, "when": when}), "parquet")
    assert [isinstance(row, Record) for row in found] == [True, False, False, True]
    assert found[3].timestamp == datetime.fromisoformat("1970-01-02T00:00:00+00:00")
