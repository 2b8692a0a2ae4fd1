"""The cells of a table of marks as a mapping reads them, and suggestions for tables that no file of
`gradebooks/` has.
"""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.sources import open_text, parse_mapping, read_rows
from edugraph_common.sources.cells import parse_google
from edugraph_common.sources.csv_source import read_header
from edugraph_common.sources.mapping import UNKNOWN
from edugraph_common.sources.mapping_suggestion import MappingSuggestion, suggest_mapping
from edugraph_common.sources.marks import decimal_of
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.preview import preview
from edugraph_common.sources.rows import NotRelevant, cut_rows

LATEST = datetime(2026, 6, 20, tzinfo=UTC)
HEAD = "type: attempt_record\ncolumns: {id: student_id}\nconstants: {timestamp: 2026-05-01, course_id: M7}\n"


def read(text: str, mapping: str) -> list[Any]:
    plan, lines = open_text(io.BytesIO(text.encode()), "csv", None, parse_mapping(mapping))
    return [row for _, row in read_rows(plan.source, cut_rows(plan.source, lines), LATEST)]


def scores(text: str, mapping: str) -> list[float | str]:
    """Return the score of each record, the reason of each reject, and the name of each other row."""
    found: list[float | str] = []
    for row in read(text, mapping):
        match row:
            case Record():
                found.append(row.data.score)  # type: ignore[union-attr]
            case Reject():
                found.append(row.reason)
            case NotRelevant():
                found.append(row.name)
    return found


def suggested(text: str, name: str = "a.csv") -> tuple[MappingSuggestion, dict[str, Any]]:
    rows = [line.split(",") for line in text.splitlines()]
    suggestion = suggest_mapping(rows[0], rows[1:], file_name=name)
    return suggestion, yaml.safe_load(suggestion.mapping)


@pytest.mark.parametrize(
    ("cell", "share"),
    [
        ("7", 0.7),
        ("7/10", 0.7),
        ("7 / 10", 0.7),
        ("3 of 4", 0.75),
        ("3 out of 4", 0.75),
        ("85 %", 0.85),
        ("85％", 0.85),
        ("8分", 0.8),
        ("8 pts", 0.8),
        ("A", 0.95),
        ("-2", 0.0),
        ("11", None),
        ("7/0", None),
        ("12/10", None),
        ("7/10/2026", None),
        ("7,5", None),
        ("B", None),
        ("NaN", None),
        ("101 %", None),
    ],
)
def test_a_cell_is_a_share_of_its_points_or_is_rejected(cell: str, share: float | None) -> None:
    """Out: the branch of fractions, or of words, in `_share`."""
    mapping = HEAD + "values: {score: {A: 0.95}}\nitems: {columns: [Quiz], scale: 10}"
    expected = [share] if share is not None else ["is not of the mapping's form"]
    found = scores(f'id,Quiz\nS1,"{cell}"\n', mapping)
    assert found == expected


@pytest.mark.parametrize(
    ("cell", "scale", "possible"),
    [
        ("7", 10, 10),
        ("0", 7.5, 7.5),
        ("7/20", 10, 20),
        ("70/100", 10, 100),
        ("85 %", 10, None),
        ("A", 10, None),
        # A column of percentages has the same scale.
        ("85", 100, None),
    ],
)
def test_the_points_that_were_possible_are_kept_if_the_file_says_them(
    cell: str, scale: float, possible: float | None
) -> None:
    """Out, each alone: the conditions of `_possible`."""
    mapping = HEAD + f"values: {{score: {{A: 0.95}}}}\nitems: {{columns: [Quiz], scale: {scale}}}"
    [row] = read(f'id,Quiz\nS1,"{cell}"\n', mapping)
    assert row.data.max_score == possible


@pytest.mark.parametrize("cell", ["0", "0.0", " 0 ", ""])
def test_work_that_is_not_graded_by_points_has_no_number_of_points(cell: str) -> None:
    """Out: `_is_zero` in `CellReader.record`."""
    mapping = "type: item_record\ncolumns: {id: item_id, points: max_score}\nconstants: {timestamp: 2026-05-01}"
    [row] = read(f'id,points\nessay,"{cell}"\n', mapping)
    assert row.data.max_score is None
    for wrong in ("-1", "ten", "NaN"):
        [row] = read(f'id,points\nessay,"{wrong}"\n', mapping)
        assert isinstance(row, Reject)


@pytest.mark.parametrize(
    ("cell", "due_at"),
    [
        ("2026-05-04", "2026-05-04T23:59:59.999999+08:00"),
        ("2026-05-04 00:00", "2026-05-04T00:00:00+08:00"),
        ("2026-05-04T12:00:00Z", "2026-05-04T12:00:00+00:00"),
    ],
)
def test_a_day_on_which_something_is_due_ends_in_the_time_zone_of_the_mapping(
    cell: str, due_at: str
) -> None:
    """Out: `_parse_deadline`."""
    mapping = (
        "type: item_record\ncolumns: {id: item_id, due: due_at, from: opens_at}\n"
        "constants: {timestamp: 2026-05-01}\ntime_zone: Asia/Shanghai\n"
    )
    [row] = read(f"id,due,from\nessay,{cell},2026-05-01\n", mapping)
    assert row.data.due_at == datetime.fromisoformat(due_at)
    assert row.data.opens_at == datetime.fromisoformat("2026-05-01T00:00:00+08:00")


@pytest.mark.parametrize(
    ("form", "cell", "due_at"),
    [
        ("%d.%m.%Y", "04.05.2026", "2026-05-04T23:59:59.999999"),
        ("%d.%m.%Y %H:%M", "04.05.2026 00:00", "2026-05-04T00:00:00"),
        ("excel", "46146", "2026-05-04T23:59:59.999999"),
        ("excel", "46146.5", "2026-05-04T12:00:00"),
    ],
)
def test_a_day_of_another_form_ends_as_well(form: str, cell: str, due_at: str) -> None:
    mapping = (
        "type: item_record\ncolumns: {id: item_id, due: due_at}\nconstants: {timestamp: 2026-05-01}\n"
        f'date_formats: ["{form}", "%Y-%m-%d"]\n'
    )
    [row] = read(f"id,due\nessay,{cell}\n", mapping)
    assert row.data.due_at == datetime.fromisoformat(f"{due_at}+00:00")


def test_fractions_follow_the_sign_of_decimals() -> None:
    mapping = HEAD + 'decimal: ","\nitems: {columns: [Quiz], scale: 10}'
    assert scores('id,Quiz\nS1,"7,5"\nS2,"7,5/10"\nS3,"75,0 %"\nS4,7\n', mapping) == [
        0.75,
        0.75,
        0.75,
        0.7,
    ]
    assert scores("id,Quiz\nS1,7.5\nS2,7.5/10\n", mapping) == ["is not of the mapping's form"] * 2


def test_the_points_of_a_mark_may_stand_in_its_row() -> None:
    """Out: `points_in` in `_attempt`."""
    mapping = HEAD + "items: {columns: [Mark], points_in: {Mark: Out of}}"
    text = "id,Mark,Out of\nS1,7,10\nS2,7,20\nS3,7,\nS4,7,0\nS5,7,x\nS6,21,20\nS7,7/8,\n"
    assert scores(text, mapping) == [0.7, 0.35, *["is not of the mapping's form"] * 5]
    with pytest.raises(MalformedFile, match="the header lacks Out of"):
        scores("id,Mark\nS1,7\n", mapping)


def test_another_column_may_say_that_a_student_was_absent() -> None:
    """Out: `not_tried_if` in `_attempt_lines`."""
    mapping = (
        HEAD
        + "items: {columns: [Mark], scale: 10, not_tried_if: {Absent: ['yes']}, not_tried: [EX]}"
    )
    text = "id,Mark,Absent\nS1,0,yes\nS2,0,no\nS3,0,\nS4,ex,no\n"
    assert scores(text, mapping) == ["row without an attempt", 0.0, 0.0, "row without an attempt"]


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (",Mean,7", "row of all students"),
        ("mean:,,7", "row of all students"),
        (",Points Possible,10", "row of all students"),
        ("S1,Max,7", 0.7),
        ("S1,Mean,7", 0.7),
        ("-,Max,7", "row of all students"),
        ('S1,"Student, Test",7', "row of all students"),
        ("S1,平均分,7", "row of all students"),
        (",Ana,7", "is blank"),
    ],
)
def test_a_row_with_a_label_is_not_a_student_and_a_student_called_max_is(
    row: str, outcome: float | str
) -> None:
    """Out: `may_be_a_first_name`, or the names in `_is_of_all_students`."""
    mapping = (
        "type: attempt_record\ncolumns: {id: student_id, name: student_name}\n"
        "constants: {timestamp: 2026-05-01, course_id: M7}\n"
        'items: {columns: [Quiz], scale: 10, not_students: [max, mean, points possible, "student, test", 平均分]}'
    )
    assert scores(f"id,name,Quiz\n{row}\n", mapping) == [outcome]


def test_the_course_of_a_row_stands_in_the_id_of_its_item() -> None:
    """Out: `course` in `id_of`."""
    mapping = (
        "type: attempt_record\ncolumns: {id: student_id, course: course_id}\nconstants: {timestamp: 2026-05-01}\n"
        'items: {columns: [Q1, Q2], scale: 10, item_id: "{course}/{column}", ids: {Q2: "{course}/second"}}'
    )
    rows = read("id,course,Q1,Q2\nS1,M7,5,5\nS1,{column},5,\nS1,,5,\n", mapping)
    assert [row.data.item_id for row in rows[:3]] == ["M7/Q1", "M7/second", "{column}/Q1"]
    assert (rows[3].field, rows[3].reason) == ("course (data.course_id)", "is blank")
    with pytest.raises(MalformedFile, match="needs course_id"):
        parse_mapping(mapping.replace("course: course_id", "course: null"))


def test_a_table_with_one_mark_in_a_row_states_its_items() -> None:
    """Out: `_FIELDS_OF_ONE_ITEM`."""
    mapping = (
        "type: attempt_record\n"
        "columns: {nr: record_id, id: student_id, test: item_id, day: timestamp, course: course_id}\n"
        'items: {columns: [Mark], scale: 10, item_id: "{course}/{column}"}'
    )
    [row] = read("nr,id,test,day,course,Mark\nr-7,S1,midterm,2026-05-01,M7,5\n", mapping)
    assert (row.record_id, row.data.item_id, row.data.item_title) == (
        "r-7",
        "M7/midterm",
        "midterm",
    )
    for columns in ("[Mark, Other]", "['M*']"):
        with pytest.raises(
            MalformedFile, match="gives by items what a column or constant gives too"
        ):
            parse_mapping(mapping.replace("[Mark]", columns))


@pytest.mark.parametrize(
    ("constant", "sentence"),
    [
        ("course_id: '?'", "say what course_id is, in place of the"),
        ("student_name: '?'", "say what student_name is"),
    ],
)
def test_no_import_takes_a_question_mark(constant: str, sentence: str) -> None:
    """Out: `_ids_are_known`."""
    text = f"{{type: course_record, columns: {{a: student_id, b: timestamp}}, constants: {{course_id: C, {constant}}}}}"
    with pytest.raises(MalformedFile, match=sentence):
        parse_mapping(text.replace("course_id: C, course_id", "course_id"))


@pytest.mark.parametrize("item_id", ["?", "{course}/?"])
def test_no_import_takes_a_question_mark_as_an_item(item_id: str) -> None:
    """Out: `_are_known`."""
    with pytest.raises(MalformedFile, match="name the item of Score"):
        parse_mapping(f"{HEAD}items: {{columns: [Score], scale: 1, ids: {{Score: '{item_id}'}}}}")


def test_a_name_in_two_columns_is_joined_in_the_order_of_the_mapping() -> None:
    """Out: `_joined` in `record`."""
    mapping = "type: course_record\ncolumns: {id: student_id, %s}\nconstants: {timestamp: 2026-05-01, course_id: M7}"
    rows = "id,first,last\nS1,Ana,Rivera\nS2,芳,王\nS3,,Chen\nS4,,\nS5,Li,王\n"
    western = read(rows, mapping % "first: student_name, last: student_name")
    assert [row.data.student_name for row in western] == [
        "Ana Rivera",
        "芳王",
        "Chen",
        None,
        "Li 王",
    ]
    chinese = read(rows, mapping % "last: student_name, first: student_name")
    assert [row.data.student_name for row in chinese] == [
        "Rivera Ana",
        "王芳",
        "Chen",
        None,
        "王 Li",
    ]
    with pytest.raises(MalformedFile, match="more than one column for student_id"):
        parse_mapping(mapping % "first: student_id")
    with pytest.raises(MalformedFile, match="more than one column for student_name"):
        parse_mapping(
            (mapping % "first: student_name").replace(
                "course_id: M7", "course_id: M7, student_name: X"
            )
        )


def test_a_person_is_found_by_a_name_in_two_columns() -> None:
    """Out: `_joined` in `people`."""
    mapping = "type: course_record\ncolumns: {id: student_id, a: student_name, b: student_name}\nconstants: {timestamp: 2026-05-01, course_id: M7}"
    plan, lines = open_text(
        io.BytesIO(b"id,a,b\nS1,Ana,Rivera\n,Ben,Chen\n"), "csv", None, parse_mapping(mapping)
    )
    rows = list(cut_rows(plan.source, lines))
    assert plan.source.people(rows[0].raw).ids == {"S1"}
    assert {"Ben", "Chen"} <= set(plan.source.people(rows[1].raw).names)
    mapping = (
        "type: membership_record\ncolumns: {id: teacher_id, a: student_name, b: student_name}\n"
        "constants: {timestamp: 2026-05-01, group_id: G}"
    )
    plan, lines = open_text(
        io.BytesIO(b"id,a,b\nT1,Ana,Rivera\n"), "csv", None, parse_mapping(mapping)
    )
    [row] = cut_rows(plan.source, lines)
    assert plan.source.people(row.raw).names == ("Ana Rivera",)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026/05/04 3:07:15 PM GMT+8", "2026-05-04T15:07:15+08:00"),
        ("2026/05/04 12:07:15 AM GMT-5", "2026-05-04T00:07:15-05:00"),
        ("2026/5/4 12:07:15 PM", "2026-05-04T12:07:15"),
        ("2026/5/4 下午 3:07:15", "2026-05-04T15:07:15"),
        ("2026/5/4 上午12:07:15", "2026-05-04T00:07:15"),
        ("2026/5/4 15:07:15", "2026-05-04T15:07:15"),
    ],
)
def test_times_of_google_forms_are_read(text: str, moment: str) -> None:
    assert parse_google(text).isoformat() == moment


@pytest.mark.parametrize(
    "text",
    ["2026/13/04 3:07:15 PM", "2026/05/04", "2026/05/04 25:00:00", "", "2026/05/04 3:07:15 GMT+99"],
)
def test_other_times_are_not_of_google_forms(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any text
        parse_google(text)


@pytest.mark.parametrize(
    ("dates", "formats"),
    [
        (["3/4/2026", "5/6/2026"], [UNKNOWN]),
        (["3/14/2026", "5/6/2026"], ["%m/%d/%Y"]),
        (["14/3/2026", "5/6/2026"], ["%d/%m/%Y"]),
        (["3/4/2026 10:00:00"], [UNKNOWN]),
        (["2026/3/4"], ["%Y/%m/%d"]),
    ],
)
def test_the_order_of_day_and_month_is_asked_for_where_both_fit(
    dates: list[str], formats: list[str]
) -> None:
    """Out: `has_two_readings`; the refusal of a `?` in `date_formats`."""
    rows = "".join(f"S{n},C,{date}\n" for n, date in enumerate(dates))
    suggestion, mapping = suggested(f"student id,course id,date\n{rows}")
    assert mapping["date_formats"] == formats
    if UNKNOWN in formats:
        assert any("two readings" in point for point in suggestion.open_points)
        with pytest.raises(MalformedFile, match="whether the day or the month comes first"):
            parse_mapping(suggestion.mapping)


def test_thousands_are_not_decimals() -> None:
    """Out: the look ahead in `_DECIMAL_COMMA`."""
    assert decimal_of(["1,000", "700"]) is None
    assert decimal_of(["1,5", "2"]) == ","
    assert decimal_of(["1,5", "2.5"]) is None
    mapping = HEAD + "items: {columns: [Quiz], scale: 1000}"
    assert scores('id,Quiz\nS1,"1,000"\nS2,700\n', mapping) == [1.0, 0.7]


@pytest.mark.parametrize(
    ("cell", "decimal", "scale", "share"),
    [
        ("1,250", ".", 2_000, 0.625),
        ("1,250.5", ".", 2_000, 0.62525),
        ("1.250,5", ",", 2_000, 0.62525),
        # Each of these has one meaning, whatever sign of decimals the mapping has.
        ("1.250,5", ".", 2_000, 0.62525),
        ("1,250.5", ",", 2_000, 0.62525),
        ("1 250", ".", 2_000, 0.625),
        ("1\u202f250,5", ".", 2_000, 0.62525),
        ("1'250", ".", 2_000, 0.625),
        ("1,000,000", ".", 1_000_000, 1.0),
        ("1.250", ",", 2_000, 0.625),
        ("１２５０", ".", 2_000, 0.625),
        ("１，２５０", ".", 2_000, 0.625),
        ("1,250 分", ".", 2_000, 0.625),
        # The mapping says that a comma stands before decimals.
        ("1,250", ",", 2_000, 0.000625),
        ("1,250", ",", 2, 0.625),
        # A point stands before decimals where the points leave no other meaning.
        ("1.250", ".", 2, 0.625),
        ("980.500", ".", 1_000, 0.9805),
        ("0.500", ".", 1_000, 0.0005),
        # These have two meanings, or none.
        ("1.250", ".", 2_000, None),
        ("1.250", ".", 1_000, None),
        ("1.250", ".", 600, 1.25 / 600),
        ("1,250", ".", 2, None),
        ("1,25", ".", 2_000, None),
        ("12,50,000", ".", 1_000_000, None),
        ("0,250", ".", 2_000, None),
        ("1,250.5,5", ".", 2_000, None),
        # Fractions
        ("1,250/2,000", ".", 10, 0.625),
        ("1,250/2000", ".", 10, 0.625),
        ("980/1,250", ".", 10, 0.784),
        ("1.250,5/2.000", ",", 10, 0.62525),
        ("1.000/1.250", ".", 10, 0.8),
        ("1/1.250", ".", 10, None),
        ("1.250/1000", ".", 10, None),
        ("12/10", ".", 10, None),
        ("1/1,250", ".", 10, None),
        ("12,500/12.750", ".", 10, None),
    ],
)
def test_signs_between_thousands_are_read_where_their_meaning_is_certain(
    cell: str, decimal: str, scale: int, share: float | None
) -> None:
    """Out: any branch of `readings_of`; `possible` in `_mark` or in `_share_of_fraction`."""
    mapping = HEAD + f"decimal: '{decimal}'\nitems: {{columns: [Quiz], scale: {scale}}}"
    expected = [share] if share is not None else ["is not of the mapping's form"]
    assert scores(f'id,Quiz\nS1,"{cell}"\n', mapping) == expected


def test_the_sign_of_decimals_in_a_table_says_what_its_other_numbers_mean() -> None:
    """Out: the decimal of a column in `marks` or in `_stated`, or of all columns in `_candidates`."""
    header = ["Student ID", "Name", "Quiz", "Project", "Essay"]
    rows = [
        ["", "Points Possible", "10", "2.000", "10"],
        ["S1", "Ann", "7,5", "1.250", "7,125"],
        ["S2", "Ben", "8,25", "980", "8,250"],
        ["S3", "Cho", "9", "2.000", "9,500"],
    ]
    suggestion = suggest_mapping(header, rows, file_name="a.csv")
    points = {each.column: each.points for each in suggestion.item_points}
    assert points == {"Quiz": 10, "Project": 2_000, "Essay": 10}
    assert yaml.safe_load(suggestion.mapping)["decimal"] == ","


def test_points_that_have_two_meanings_are_not_kept() -> None:
    """Out: the number of readings in `_possible`."""
    mapping = HEAD + "items: {columns: [Quiz], scale: 10}"
    [row] = read("id,Quiz\nS1,1.000/2.000\n", mapping)
    assert (row.data.score, row.data.max_score) == (0.5, None)
    [row] = read('id,Quiz\nS1,"1,000/2,000"\n', mapping)
    assert (row.data.score, row.data.max_score) == (0.5, 2_000)


def test_a_school_id_comes_before_a_platform_and_that_before_an_address_and_a_name() -> None:
    """Out: the order of `ids` in `gradebook_layouts.yaml`."""
    columns = ["Name", "E-mail", "Username", "Student ID"]
    for left in (4, 3, 2, 1):
        header = ",".join(columns[:left])
        row = ",".join(["Ana R", "a@example.org", "ana", "X1"][:left])
        other = ",".join(["Ben C", "b@example.org", "ben", "X2"][:left])
        suggestion, mapping = suggested(f"{header},Quiz A,Quiz B\n{row},1,9\n{other},2,8\n")
        assert mapping["columns"][columns[left - 1]] == "student_id"
        asks = any("no column has ids" in point for point in suggestion.open_points)
        assert asks == (left == 1)


def test_an_id_that_some_students_lack_is_passed_over_and_said() -> None:
    suggestion, mapping = suggested(
        "ID number,Email,A /5,B /5\n,a@e.org,1,2\nX2,b@e.org,2,3\n,c@e.org,2,3\n"
    )
    assert mapping["columns"]["Email"] == "student_id"
    assert any("ID number is blank in some rows" in point for point in suggestion.open_points)


def test_two_students_with_one_name_are_not_one() -> None:
    """Out: `is_unique`."""
    _, mapping = suggested("姓名,语文,数学\n王芳,85,90\n王芳,60,70\n")
    assert mapping["columns"]["姓名"] != "student_id"
    _, mapping = suggested("姓名,语文,数学\n王芳,85,90\n李雷,60,70\n")
    assert mapping["columns"]["姓名"] == "student_id"


def test_a_column_that_is_the_sum_of_the_others_is_not_an_item() -> None:
    """Out: `_is_sum`."""
    rows = "S1,10,20,30\nS2,5,7,12\nS3,1,2,3\n"
    _, mapping = suggested(f"学号,甲卷,乙卷,合成\n{rows}")
    assert mapping["items"]["columns"] == ["甲卷", "乙卷"]
    _, mapping = suggested("学号,甲,乙,丙\nS1,1,0,1\nS2,0,1,1\nS3,1,0,1\n")
    assert mapping["items"]["columns"] == ["甲", "乙", "丙"]


@pytest.mark.parametrize(
    "total",
    [
        "总分",
        "平均分",
        "数学排名",
        "年级名次",
        "Total",
        "Final Grade",
        "Quiz average",
        "(Avg)",
        "总分(满分300)",
        "Sum (max 20)",
    ],
)
def test_totals_are_not_items(total: str) -> None:
    """Out: `_is_total`."""
    suggestion, mapping = suggested(f"学号,题1,题2,{total}\nS1,10,20,31\nS2,5,7,13\n")
    assert total not in mapping["items"]["columns"]
    assert any(total in point for point in suggestion.open_points)


@pytest.mark.parametrize(
    "item", ["Total internal reflection", "Average speed quiz", "Quiz: Course total", "总分析题"]
)
def test_items_may_have_words_of_totals_in_their_names(item: str) -> None:
    _, mapping = suggested(f"学号,题1,题2,{item}\nS1,10,20,31\nS2,5,7,13\n")
    assert item in mapping["items"]["columns"]


def test_a_column_may_have_the_points_of_another_by_its_name() -> None:
    """Out: `_item_with_points_in`."""
    suggestion, mapping = suggested(
        "学号,语文,语文满分,数学,数学满分\nS1,90,120,50,100\nS2,60,120,40,150\n"
    )
    assert mapping["items"]["scale"] == {"语文": 120}
    assert mapping["items"]["points_in"] == {"数学": "数学满分"}
    assert mapping["items"]["columns"] == ["语文", "数学"]
    assert [each.stated_by for each in suggestion.item_points] == ["column"]


def test_a_percent_sign_in_a_name_states_a_hundred_points() -> None:
    _, mapping = suggested("Student ID,Quiz (%),Essay %\nS1,80,70\nS2,100,5\n")
    assert mapping["items"]["scale"] == {"Quiz (%)": 100, "Essay %": 100}


def test_a_label_in_the_place_of_an_id_may_begin_with_the_class() -> None:
    """Out: `_LABEL` in `_labels_of`."""
    text = "Student ID,A /5,B /5\nS1,3,4\nS2,5,1\n七1班平均分,4,2.5\n"
    found = preview("a.csv", text.encode(), None, LATEST, is_whole=True)
    assert (found.problem, found.valid, found.not_relevant) == (None, 4, {"row of all students": 1})


MOODLE = (
    "First name,Surname,ID number,Email address,Quiz: A ({}),Last downloaded from this course\n"
)


def test_exports_that_show_grades_in_another_way_have_the_same_items_and_their_own_time() -> None:
    """Out: `_without_display` in `_ids_in_mapping`; `written` in `_date_of_marks`; `place in people` in `_candidates`."""
    rows = "A,B,71,a@example.org,8{},1780000000\nC,D,,c@example.org,9{},1780000000\n"
    _, real = suggested(MOODLE.format("Real") + rows.format("", ""))
    _, percentage = suggested(MOODLE.format("Percentage") + rows.format(" %", " %"))
    assert (
        list(real["items"]["ids"].values())
        == ["{course}/Quiz: A"]
        == list(percentage["items"]["ids"].values())
    )
    assert real["constants"]["timestamp"] == "2026-05-28T20:26:40Z"
    assert real["items"]["columns"] == ["Quiz: A (Real)"]
    assert real["columns"]["Email address"] == "student_id"


def test_the_date_in_the_name_of_a_file_is_that_of_its_marks() -> None:
    """Out: `in_name` in `_date_of_marks`."""
    for name, expected in (
        ("a-2026-05-04.csv", "2026-05-04"),
        ("a 20260504_1010.csv", "2026-05-04"),
        ("a.csv", "?"),
    ):
        _, mapping = suggested("Student ID,A /5,B /5\nS1,3,4\n", name)
        assert mapping["constants"]["timestamp"] == expected


def test_row_numbers_are_not_ids_of_students() -> None:
    """Out: `is_numbering` in `_id_place`."""
    _, mapping = suggested(
        "ID,Name,E-mail,A /5,B /5\n1,Ana,a@example.org,3,4\n2,Ben,b@example.org,1,2\n"
    )
    assert mapping["columns"]["E-mail"] == "student_id"


def test_a_table_of_letters_asks_what_each_is_worth() -> None:
    """Out: `_of_letters`, or `_have_meanings` of the mapping."""
    text = "Student ID,Essay 1,Essay 2\nS1,A,B\nS2,B+,-\n"
    suggestion, mapping = suggested(text)
    assert mapping["values"] == {"score": {"A": "?", "B": "?", "B+": "?"}}
    assert "letters" in suggestion.open_points[0]
    with pytest.raises(MalformedFile, match=r"say which score is meant by A, B, B\+"):
        parse_mapping(suggestion.mapping)
    answers = suggestion.mapping.replace("timestamp: '?'", "timestamp: 2026-05-01")
    for letter, share in (("A", 1), ("B", 0.5), ("B+", 0.75)):
        answers = answers.replace(f"{letter}: '?'", f"{letter}: {share}")
    assert scores(text, answers) == [1.0, 0.5, 0.75]


def test_marks_may_have_a_unit() -> None:
    """Out: `without_unit` in `read_mark`."""
    _, mapping = suggested("学号,题1(满分60),题2(满分60)\nS1,45分,60分\nS2,12 分,3分\n")
    assert mapping["items"]["scale"] == {"题1(满分60)": 60, "题2(满分60)": 60}


TITLES = "XX 中学期中成绩,,,\n2026 年 5 月,,,\n"


def test_titles_may_stand_above_the_header_of_a_csv() -> None:
    """Out: `_after_titles` in `read_header`."""
    text = TITLES + "学号,姓名,语文,数学\n,满分,120,150\nS1,王芳,90,75\n"
    found = preview("a.csv", text.encode(), None, LATEST, is_whole=True)
    assert (found.columns, found.item_points[0].points) == ((), 120)
    mapping = str(found.mapping).replace("course_id: '?'", "course_id: M7")
    rows = read(text, mapping)
    assert [row.data.score for row in rows if isinstance(row, Record)] == [0.75, 0.5]
    wrong = read(text + "S2,李雷,999,1\n", mapping)
    assert [row.line for row in wrong if isinstance(row, Reject)] == [6]


@pytest.mark.parametrize(
    "text", ["text\nhello, world\n", "id,,\nS1,,\nS2,,\n", ",,\n,,\n", "a\n1\n", "Title,,\n"]
)
def test_a_first_line_without_a_header_below_it_is_the_header(text: str) -> None:
    """Out: the sign between cells that a title needs; the first line where no header follows."""
    header = read_header(text.encode(), ",")
    assert header.columns == tuple(text.split("\n", maxsplit=1)[0].split(","))


def test_other_numbers_of_students_are_not_items() -> None:
    """Out: `_IS_AN_ID`."""
    _, mapping = suggested(
        "准考证号,身份证号,姓名,1(4分),2(6分)\n1001,440101,王芳,4,6\n1002,440102,李雷,0,3\n"
    )
    assert mapping["items"]["columns"] == ["1(4分)", "2(6分)"]
    assert mapping["columns"]["身份证号"] is None


def test_a_column_with_0_points_says_nothing() -> None:
    """Out: `_without_zero_points`."""
    suggestion, mapping = suggested(
        "Student ID,Name,A,B,C\n,Points possible,10,0,5\nS1,Ana,7,0,2\nS2,Ben,7,3,1\n"
    )
    assert mapping["items"]["scale"] == {"A": 10, "C": 5}
    assert any("B have 0 points" in point for point in suggestion.open_points)


def test_an_address_and_names_in_two_columns_make_a_class_list() -> None:
    """Out: `_more_people`."""
    suggestion, mapping = suggested(
        "Last Name,First Name,Email Address,Class\nAble,Max,a@example.org,7A\n"
    )
    assert suggestion.type == "membership_record"
    assert mapping["columns"] == {
        "Last Name": "student_name",
        "First Name": "student_name",
        "Email Address": "student_id",
        "Class": "group_id",
    }


CELLS = st.sampled_from(
    [
        "",
        "-",
        "7",
        "10",
        "0",
        "1",
        "7.5",
        "7,5",
        "85 %",
        "7/10",
        "A",
        "EX",
        "缺考",
        "√",
        "see me",
        "(read only)",
        "满分",
        "Max",
        "S1",
        "S2",
        "1,000",
    ]
)
COLUMNS = st.sampled_from(
    [
        "学号",
        "姓名",
        "班级",
        "总分",
        "满分",
        "缺考",
        "成绩",
        "第1题（5分）",
        "Student",
        "ID",
        "SIS User ID",
        "Section",
        "Quiz (101)",
        "Email",
        "First name",
        "Last name",
        "Points",
        "Feedback",
        "Quiz (Real)",
        "Quiz (Percentage)",
        "Score",
        "Timestamp",
        "Grade",
        "Total [Total Pts: up to 5 Score] |1",
        "Lab [Total Pts: 5 Score] |2",
        "",
        "a",
    ]
)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_table_gets_a_mapping_that_is_read_or_asks(data: st.DataObject) -> None:
    """The first import of a table takes no mark that is larger than its points, and no student without an id."""
    header = data.draw(st.lists(COLUMNS, min_size=1, max_size=7))
    row = st.lists(CELLS, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    suggestion = suggest_mapping(header, rows, file_name="x.csv", today=LATEST.date())
    mapping = yaml.safe_load(suggestion.mapping)
    items = mapping.get("items", {})
    scale = items.get("scale", {})
    asked = {each.column for each in suggestion.item_points if each.points is None}
    assert {column for column, points in scale.items() if points == UNKNOWN} == asked
    table = "\n".join(",".join(f'"{cell}"' for cell in cells) for cells in [header, *rows])
    found = preview("x.csv", table.encode(), None, LATEST, is_whole=True)
    assert found.problem or found.read >= 0
    for each in found.marks:
        assert each.student not in ("满分", "-", "")
        assert 0 <= each.percent <= 100
