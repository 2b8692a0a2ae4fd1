"""Gradebooks as platforms and schools export them: the first import reads each mark, or asks.

`gradebooks/` has a file for each layout, written by hand, and its truth beside it: the share of each mark, the questions
that are asked and their answers. The truth was written from the file by a person, and not with this code.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml
from gradebook_figures import (
    FOLDER,
    LATEST,
    NAMES,
    Figures,
    attempts_of,
    expected_of,
    measure,
    records_of,
    table_of,
    truth_of,
)
from tables import xlsx

from edugraph_common.contracts.records import ItemRecord, Record, iso
from edugraph_common.sources import first_table, read_plan
from edugraph_common.sources.binary_files import TableFormat
from edugraph_common.sources.mapping import UNKNOWN, with_points
from edugraph_common.sources.preview import Preview, preview
from edugraph_common.sources.table_files import sheet_rows
from edugraph_common.sources.table_rows import SheetRow

_HAN = re.compile(r"[\u3400-\u9fff]")


def answered(found: Preview, truth: dict[str, Any]) -> str:
    """Return the suggested mapping with the answers to what was asked. Nothing else of it is edited."""
    mapping = str(found.mapping)
    answers = truth.get("answers", {})
    asked = {each.column for each in found.item_points if each.points is None}
    assert asked == set(answers.get("points", {}))
    if "points" in answers:
        mapping = with_points(mapping, json.dumps(answers["points"]))
    constants = yaml.safe_load(mapping).get("constants", {})
    assert (constants.get("course_id") == UNKNOWN) == ("course" in answers)
    return mapping.replace(f"course_id: '{UNKNOWN}'", f"course_id: {answers.get('course')}")


def check(name: str, file_name: str, data: bytes) -> None:
    truth = truth_of(name)
    found = preview(file_name, data, None, LATEST, is_whole=True)
    assert found.layout == truth.get("layout")
    mapping = answered(found, truth)
    records = records_of(file_name, data, mapping)
    assert attempts_of(records, truth) == expected_of(truth)
    read = preview(file_name, data, mapping, LATEST, is_whole=True)
    assert (read.problem, read.rejected) == (None, 0)
    assert read.not_relevant.get("row of all students", 0) == truth.get("rows_of_all", 0)
    for column in truth.get("asks", ()):
        assert any(column in point and "worth" in point for point in found.open_points)
    course = truth.get("course", truth.get("answers", {}).get("course"))
    if course:
        items = yaml.safe_load(mapping)["items"]
        assert items["item_id"] == "{course}/{column}"
        assert yaml.safe_load(mapping)["constants"]["course_id"] == course
    names = {each.data.student_id: each.data.student_name for each in records}  # type: ignore[union-attr]
    for student, student_name in truth.get("names", {}).items():
        assert names[student] == student_name
    ids = {each.data.item_id for each in records}  # type: ignore[union-attr]
    for column, item_id in truth.get("items", {}).items():
        assert item_id in ids, column


@pytest.mark.parametrize("name", NAMES)
def test_the_first_import_reads_each_mark_or_asks(name: str) -> None:
    """Out: the layout of the name in `gradebook_layouts.yaml`."""
    check(name, truth_of(name).get("name", f"{name}.csv"), (FOLDER / f"{name}.csv").read_bytes())


def test_there_are_enough_layouts_in_two_languages() -> None:
    layouts = {truth_of(name).get("layout") for name in NAMES}
    chinese = [name for name in NAMES if any(map(_HAN.search, table_of(name)[0]))]
    assert len(NAMES) >= 43
    assert len(layouts) >= 12
    assert len(chinese) >= 14


@pytest.mark.parametrize("name", NAMES)
def test_a_layout_is_read_in_other_forms_of_the_same_file(name: str) -> None:
    """Out: `find_header`; `_without_remarks`; a word in `gradebook_layouts.yaml`; `is_late`; `_USUAL_WIDTH`."""
    whole = Figures()
    for figures in measure([name]).values():
        whole.add(figures)
    assert whole.cells > 0
    assert whole.meets_the_goal, whole.misses


@pytest.fixture
def _each_workbook_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the rows of a workbook. An import reads it several times, each time in a process of its own."""
    kept: dict[tuple[bytes, tuple[str, ...]], list[SheetRow]] = {}

    def rows_of(
        blocks: Iterable[bytes], file_format: TableFormat, hidden: Iterable[str] = ()
    ) -> Iterator[SheetRow]:
        content = b"".join(blocks)
        asked = (content, tuple(hidden))
        if asked not in kept:
            kept[asked] = list(sheet_rows([content], file_format, hidden))
        yield from kept[asked]

    for module in (first_table, read_plan):
        monkeypatch.setattr(module, "sheet_rows", rows_of)


@pytest.mark.usefixtures("_each_workbook_read_once")
@pytest.mark.parametrize("name", NAMES)
def test_a_layout_is_read_from_a_workbook(name: str) -> None:
    file_name = truth_of(name).get("name", f"{name}.csv").removesuffix(".csv") + ".xlsx"
    check(name, file_name, xlsx({"Grades": table_of(name)}))


def test_the_outcome_of_three_students_is_shown_before_the_start() -> None:
    """Out: `marks.add` of the dry run."""
    truth = truth_of("canvas")
    found = preview(
        truth["name"], (FOLDER / "canvas.csv").read_bytes(), None, LATEST, is_whole=True
    )
    shown = [
        (each.student, each.column, each.mark, each.points, each.percent) for each in found.marks
    ]
    assert ("S001", "Unit 1 Quiz (101)", "9", 10, 90) in shown
    assert {student for student, *_ in shown} == {"S001", "S002", "S003"}
    asked = preview("x.csv", (FOLDER / "schoology.csv").read_bytes(), None, LATEST, is_whole=True)
    assert asked.marks == ()
    assert [each.marks for each in asked.item_points if each.points is None] == [("4", "5", "3")]


LMS_TOOLKIT = {
    "users": (
        "SourceSystemIdentifier,SourceSystem,UserRole,LocalUserIdentifier,SISUserIdentifier,Name,EmailAddress,CreateDate\n"
        "9001,Canvas,student,ana.r,S001,Ana Rivera,ana@example.org,2026-02-20 00:00:00\n"
        "9002,Canvas,student,ben.c,S002,Ben Chen,ben@example.org,2026-02-20 00:00:00\n"
    ),
    "assignments": (
        "SourceSystemIdentifier,SourceSystem,Title,AssignmentCategory,AssignmentDescription,DueDateTime,MaxPoints,"
        "LMSSectionSourceSystemIdentifier,CreateDate\n"
        "501,Canvas,Cells,Assignment,What is a cell?,2026-05-01 00:00:00,20,77,2026-04-20 00:00:00\n"
    ),
    "submissions": (
        "SourceSystemIdentifier,SourceSystem,SubmissionStatus,SubmissionDateTime,EarnedPoints,Grade,"
        "AssignmentSourceSystemIdentifier,LMSUserSourceSystemIdentifier,CreateDate\n"
        "301,Canvas,Graded,2026-05-01 10:00:00,15,B,501,9001,2026-04-30 00:00:00\n"
        "302,Canvas,Missing, ,0,F,501,9002,2026-04-30 00:00:00\n"
        "303,Canvas,Late,2026-05-02 10:00:00,0,F,501,9003,2026-04-30 00:00:00\n"
    ),
    "associations": (
        "SourceSystemIdentifier,SourceSystem,EnrollmentStatus,LMSUserSourceSystemIdentifier,"
        "LMSSectionSourceSystemIdentifier,CreateDate\n"
        "123555,Canvas,Active,9001,77,2026-02-20 00:00:00\n"
        "123556,Canvas,Expired,9002,77,2026-02-20 00:00:00\n"
    ),
    "sections": (
        "SourceSystemIdentifier,SourceSystem,SISSectionIdentifier,Title,SectionDescription,Term,LMSSectionStatus,CreateDate\n"
        "77,Canvas,B3,SCI-8,Science of grade 8,2026,Active,2026-02-20 00:00:00\n"
    ),
}


def test_the_files_of_lms_toolkit_become_the_right_records() -> None:
    """Out: an entry of `records` in `gradebook_layouts.yaml`."""
    found = {
        name: preview(f"{name}.csv", text.encode(), None, LATEST, is_whole=True)
        for name, text in LMS_TOOLKIT.items()
    }
    assert all(str(each.layout).startswith("LMS-Toolkit") for each in found.values())
    assert found["assignments"].by_type == {"item_record": 1}
    [work] = records_of(
        "assignments.csv",
        LMS_TOOLKIT["assignments"].encode(),
        str(found["assignments"].mapping),
    )
    assert isinstance(work, Record)
    assert isinstance(work.data, ItemRecord)
    assert (work.data.max_score, iso(work.data.due_at)) == (20, "2026-05-01T00:00:00.000000Z")
    assert found["sections"].by_type == {"course_content": 1}
    assert found["associations"].by_type == {"membership_record": 1, "withdrawal": 1}
    # The file has the points that were earned, and not those that were possible.
    assert [
        (each.column, each.points, each.largest) for each in found["submissions"].item_points
    ] == [("EarnedPoints", None, 15)]
    mapping = with_points(str(found["submissions"].mapping), '{"EarnedPoints": 20}')
    records = records_of("submissions.csv", LMS_TOOLKIT["submissions"].encode(), mapping)
    read = [
        (each.record_id, each.data.student_id, each.data.item_id, each.data.score)
        for each in records
    ]  # type: ignore[union-attr]
    assert read == [("301", "9001", "501", 0.75), ("303", "9003", "501", 0.0)]
    assert "say what group_id is" in str(found["users"].problem)
    mapping = str(found["users"].mapping).replace("'?'", "grade-8")
    members = records_of("users.csv", LMS_TOOLKIT["users"].encode(), mapping)
    assert {(each.type, each.data.student_id) for each in members} == {  # type: ignore[union-attr]
        ("membership_record", "9001"),
        ("membership_record", "9002"),
    }
