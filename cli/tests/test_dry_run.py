"""What a file is, how its columns map, and what an import of it would do, found out without a server."""

import gzip
import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import yaml
from tables import xlsx
from typer.testing import CliRunner

from edugraph_cli.commands.formats import FORMATS
from edugraph_cli.main import app
from edugraph_client import Client
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.records import (
    AttemptRecord,
    PointRecord,
    PostRecord,
    Record,
    parse_record,
)
from edugraph_common.contracts.school_records import MembershipRecord, TermRecord
from edugraph_common.sources import open_text, parse_mapping, read_rows
from edugraph_common.sources.cells import CellReader
from edugraph_common.sources.detection import HEAD_BYTES, detect_file
from edugraph_common.sources.dry_run import dry_run
from edugraph_common.sources.mapping_suggestion import suggest_mapping
from edugraph_common.sources.rows import cut_rows

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DEFAULT_DATA = Path(__file__).parents[2].parent / "shared" / "data"
OPENEDX = Path(os.environ.get("EDUGRAPH_SHARED_DATA", DEFAULT_DATA)) / "openedx"
shared = pytest.mark.skipif(
    not OPENEDX.is_dir(), reason=f"no Open edX data at {OPENEDX} (EDUGRAPH_SHARED_DATA)"
)
runner = CliRunner()
RECORD = b'{"type": "course_content", "timestamp": "2026-01-01", "data": {"course_id": "C", "content": "x"}}\n'
STATEMENT = b'{"actor": {"mbox": "mailto:a@b.c"}, "verb": {"id": "http://x/played"}, "object": {"id": "http://x"}}'
EVENT = b'{"name": "play_video", "context": {}, "event": {}, "time": "2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.ndjson", RECORD, "ndjson"),
        ("a.json", b"[" + STATEMENT + b"]", "xapi"),
        ("a.json", json.dumps(json.loads(STATEMENT), indent=2).encode(), "xapi"),
        (
            "tracking.log",
            b"2023-05-23 INFO 20 [tracking] [user 6] logger.py:41 - " + EVENT,
            "openedx",
        ),
        ("a.json", EVENT, "openedx"),
        ("a.csv", b"a,b\n1,2\n", "csv"),
        ("noname", b"a;b\n1;2\n", "csv"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_the_format_is_told_packed_or_not(
    name: str, data: bytes, expected: Format, pack: type[bytes]
) -> None:
    assert detect_file(name, pack(data)).format == expected


def test_a_suggested_mapping_reads_the_table_it_was_suggested_for() -> None:
    header = ["学号", "姓 名", "课程编号", "难度", "进度", "选课日期", "记录时间", "备注"]
    rows = [["S1", "林子涵", "MATH8", "高级", "92", "2026/02/27", "2026-07-03", "好"]]
    suggestion = suggest_mapping(header, rows)
    assert suggestion.type == "course_record"
    assert suggestion.open_points == ("no field fits 备注: the import leaves them out (null)",)
    mapping = parse_mapping(suggestion.mapping)
    assert mapping.values == {"difficulty": {"高级": "advanced"}}
    data = "\n".join(",".join(cells) for cells in [header, *rows]).replace(
        "2026-07-03", "2026/07/03"
    )
    assert dry_run(io.BytesIO(data.encode()), "csv", mapping).by_type == {"course_record": 1}


def test_an_english_table_is_known_by_its_columns_and_what_lacks_is_said() -> None:
    suggestion = suggest_mapping(["Student ID", "Course ID", "Wrong Answer", "Question"], [])
    assert suggestion.type == "error_record"
    assert "timestamp has no column" in suggestion.open_points[0]


@pytest.mark.parametrize(
    ("header", "row", "correct", "thousandths"),
    [
        (
            ["学号", "题号", "是否正确", "答案", "知识点", "时间"],
            ["S1", "q1", "错", "2/5", "分数;通分", "2026-03-05"],
            False,
            0,
        ),
        (
            ["Student ID", "Question ID", "Score", "Date"],
            ["S1", "q1", "85 %", "2026-03-05"],
            None,
            850,
        ),
    ],
)
def test_a_table_of_answers_is_one_of_attempts(
    header: list[str], row: list[str], correct: bool | None, thousandths: int
) -> None:
    suggestion = suggest_mapping(header, [row])
    assert (suggestion.type, suggestion.open_points) == ("attempt_record", ())
    record = parse_record(CellReader(parse_mapping(suggestion.mapping), header).record(row))
    assert isinstance(record.data, AttemptRecord)
    assert (record.data.correct, record.data.outcome_thousandths) == (correct, thousandths)
    assert record.data.knowledge_points == (("分数", "通分") if correct is False else ())


WIDE_TABLES: list[tuple[list[str], list[list[str]], list[bool], list[float]]] = [
    (
        ["学号", "姓名", "第1题", "第2题", "总分"],
        [["S1", "王", "√", "×", "1"], ["S2", "李", "缺考", "√", "1"]],
        [True, False, True],
        [],
    ),
    (
        ["Student ID", "Q. 1 /2.00", "Q. 2 /5.00", "Total"],
        [["S1", "1", "5", "6"], ["Mean", "1", "5", "6"]],
        [],
        [0.5, 1.0],
    ),
    (
        ["sid", "Quiz A", "Quiz B", "Email"],
        [["S1", "80 %", "100", "a@b.c"], ["S2", "-", "50", "c@d.e"]],
        [],
        [0.8, 1.0, 0.5],
    ),
]


@pytest.mark.parametrize("table", WIDE_TABLES)
@pytest.mark.parametrize("form", ["csv", "workbook"])
def test_a_wide_table_is_suggested_as_attempts_and_read_so(
    tmp_path: Path, form: str, table: Any
) -> None:
    """To take the guard out: let `_wide` return None."""
    header, rows, correct, scores = table
    path, mapping = tmp_path / f"table.{form}", tmp_path / "mapping.yaml"
    data = "".join(",".join(cells) + "\n" for cells in [header, *rows]).encode()
    path.write_bytes(data if form == "csv" else xlsx({"Mid": [["A title"], header, *rows]}))
    suggested = runner.invoke(app, ["import", "--dry-run", str(path)])
    assert suggested.exit_code == 2, suggested.output
    assert "timestamp: '?'" not in suggested.stdout  # a gradebook has the state of its day
    if "course_id: '?'" in suggested.stdout:  # a layout puts the course into the ids of items
        mapping.write_text(suggested.stdout)
        refused = runner.invoke(app, ["import", "--dry-run", "--mapping", str(mapping), str(path)])
        assert (refused.exit_code, "say what course_id is" in refused.stderr) == (2, True)
    mapping.write_text(suggested.stdout.replace("course_id: '?'", "course_id: M7"))
    if "?" in yaml.safe_load(mapping.read_text())["items"].get("scale", {}).values():
        refused = runner.invoke(app, ["import", "--dry-run", "--mapping", str(mapping), str(path)])
        assert (refused.exit_code, "in place of the ? of Quiz B" in refused.stderr) == (2, True)
        mapping.write_text(mapping.read_text().replace("'?'", "100"))
    done = runner.invoke(
        app, ["import", "--dry-run", "--json", "--mapping", str(mapping), str(path)]
    )
    report = json.loads(done.stdout)
    assert (report["by_type"], report["rejected"]) == (
        {"attempt_record": len(correct) + len(scores)},
        0,
    )
    read_as = parse_mapping(mapping.read_bytes())
    plan, text = open_text(
        io.BytesIO(path.read_bytes()), report["detected"]["format"], None, read_as
    )
    found = [row for _, row in read_rows(plan.source, cut_rows(plan.source, text))]
    attempts = [
        row.data for row in found if isinstance(row, Record) and isinstance(row.data, AttemptRecord)
    ]
    assert [each.correct for each in attempts if each.correct is not None] == correct
    assert [each.score for each in attempts if each.score is not None] == scores


def test_the_command_shows_the_outcome_of_three_students_before_the_start(tmp_path: Path) -> None:
    """Out: `_outcomes`, or `mark_sentences` of the report."""
    path = tmp_path / "2026-06-01T1015_Grades-MATH7.csv"
    rows = "".join(f'"Rivera, {n}",{n},S{n},a{n},B,{7 + n}\n' for n in range(4))
    path.write_text(
        f"Student,ID,SIS User ID,SIS Login ID,Section,Quiz 1 (101)\n    Points Possible,,,,,10\n{rows}"
    )
    suggested = runner.invoke(app, ["import", "--dry-run", str(path)])
    assert suggested.exit_code == 2
    outcome = "Quiz 1 (101): 7 of 10 = 70 %, 8 of 10 = 80 %, 9 of 10 = 90 %"
    assert "# The columns are those of: Canvas gradebook." in suggested.stdout
    assert f"# {outcome}" in suggested.stdout
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(suggested.stdout)
    shown = runner.invoke(app, ["import", "--dry-run", "--mapping", str(mapping), str(path)])
    assert shown.exit_code == 0, shown.output
    assert outcome in " ".join(shown.stdout.split())
    path.write_text(path.read_text().replace("Points Possible,,,,,10", "Points Possible,,,,,"))
    asked = runner.invoke(app, ["import", "--dry-run", str(path)])
    assert "# Quiz 1 (101): 7, 8, 9 of ?" in asked.stdout


def test_a_table_whose_other_columns_are_numbers_of_no_item_is_none_of_attempts() -> None:
    suggestion = suggest_mapping(
        ["学号", "课程编号", "进度", "年龄", "班级", "时间"],
        [["S1", "C1", "50", "12", "3", "2026-01-01"]],
    )
    assert suggestion.type == "course_record"


def test_a_table_of_items_is_known_by_their_ids_and_titles() -> None:
    suggestion = suggest_mapping(["题号", "题目", "标题", "知识点", "日期"], [])
    assert suggestion.type == "item_record"


def test_a_list_of_knowledge_points_is_known_by_their_ids_or_what_they_need() -> None:
    """To take the guard out: let `_best_fit` take a name alone for that of a point."""
    header = ["知识点编号", "知识点名称", "别名", "先修知识点", "课程编号", "日期"]
    row = ["M-7", "分数加法", "Adding fractions; adding", "M-6; 通分", "math", "2026-02-01"]
    suggestion = suggest_mapping(header, [row])
    assert (suggestion.type, suggestion.open_points) == ("point_record", ())
    record = parse_record(CellReader(parse_mapping(suggestion.mapping), header).record(row))
    assert isinstance(record.data, PointRecord)
    assert (record.data.names, record.data.requires) == (
        ("Adding fractions", "adding"),
        ("M-6", "通分"),
    )
    assert suggest_mapping(["知识点名称", "先修", "日期"], []).type == "point_record"
    assert suggest_mapping(["name", "date"], []).type != "point_record"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (
            ["Post ID", "User ID", "Discussion ID", "Parent", "Subject", "Message", "Created at"],
            ["1042", "S2", "7", "1041", "Re: Slope", "Because the line falls.", "2026-03-03"],
        ),
        (
            ["帖子编号", "学号", "讨论编号", "父帖编号", "标题", "内容", "时间"],
            ["1042", "S2", "7", "1041", "回复：斜率", "因为直线是下降的。", "2026-03-03"],
        ),
    ],
)
def test_an_export_of_a_forum_is_one_of_posts(header: list[str], row: list[str]) -> None:
    """Only the course is asked for. Out: the names of `thread_id` or `reply_to` in `column_names.yaml`."""
    suggestion = suggest_mapping(header, [row])
    assert suggestion.type == "post_record"
    assert suggestion.open_points == (
        "course_id has no column: name one, or replace the ? by a constant",
    )
    mapping = parse_mapping(suggestion.mapping.replace("'?'", "MATH7"))
    record = parse_record(CellReader(mapping, header).record(row))
    data = record.data
    assert isinstance(data, PostRecord)
    assert (record.record_id, data.student_id, data.course_id) == ("1042", "S2", "MATH7")
    assert (data.thread_id, data.reply_to, data.title, data.text) == ("7", "1041", row[4], row[5])


def test_a_table_of_comments_is_one_of_posts_and_no_other_table_is() -> None:
    assert suggest_mapping(["学号", "姓名", "课程编号", "评论", "时间"], []).type == "post_record"
    assert suggest_mapping(["from", "to", "message", "time"], []).type == "student_interaction"
    assert (
        suggest_mapping(["teacher id", "student id", "text", "date"], []).type
        == "teacher_interaction"
    )
    assert suggest_mapping(["course_id", "title", "content", "time"], []).type == "course_content"
    assert suggest_mapping(["student", "answer", "course", "date"], []).type == "error_record"


def test_a_list_of_a_class_is_one_of_memberships() -> None:
    header = ["学号", "姓名", "班级编号", "班级名称", "学期", "角色", "开始日期", "日期"]
    row = ["S1", "王芳", "7-2", "七年级二班", "2026-1", "学生", "2026/02/23", "2026/02/20"]
    suggestion = suggest_mapping(header, [row])
    assert (suggestion.type, suggestion.open_points) == ("membership_record", ())
    record = parse_record(CellReader(parse_mapping(suggestion.mapping), header).record(row))
    assert isinstance(record.data, MembershipRecord)
    assert (record.data.group_id, record.data.role, record.data.starts) == (
        "7-2",
        "member",
        datetime(2026, 2, 23, tzinfo=UTC),
    )


def test_holidays_of_a_table_have_the_dates_and_the_zone_of_the_mapping() -> None:
    """To take the guard out: let `_parser` read breaks as any list."""
    mapping = parse_mapping(
        "{type: term_record, columns: {学期: term, 假期: breaks, 日期: timestamp},"
        ' date_formats: ["%Y/%m/%d"], time_zone: Asia/Shanghai}'
    )
    header, row = (
        ["学期", "假期", "日期"],
        ["2026-1", "2026/05/01~2026/05/06; 2026/06/19 - 2026/06/22", "2026/02/01"],
    )
    record = parse_record(CellReader(mapping, header).record(row))
    assert isinstance(record.data, TermRecord)
    assert record.data.breaks == (
        "2026-04-30T16:00:00+00:00/2026-05-05T16:00:00+00:00",
        "2026-06-18T16:00:00+00:00/2026-06-21T16:00:00+00:00",
    )


def test_rejects_of_json_are_the_lines_as_they_came() -> None:
    bad = b'{"type": "quiz"}\n'
    report = dry_run(io.BytesIO(bad + RECORD + b"not json\n"), "ndjson")
    assert (report.read, report.valid, report.rejected) == (3, 1, 2)
    assert [(reject.line, reject.raw) for reject in report.errors] == [
        (1, '{"type": "quiz"}'),
        (3, "not json"),
    ]


def test_only_the_first_rejects_are_kept_and_all_are_counted() -> None:
    report = dry_run(io.BytesIO(b'{"type": "quiz"}\n' * 50), "ndjson", shown_rejects=3)
    assert (report.rejected, [reject.line for reject in report.errors]) == (50, [1, 2, 3])


def test_the_command_says_what_an_import_would_do_and_suggests_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        "Student ID,Course ID,Wrong Answer,Time\nS1,C1,1/2+1/3=2/5,2026/01/02\nS2,,x,never\n"
    )
    suggested = runner.invoke(app, ["import", "--dry-run", str(path)])
    assert suggested.exit_code == 2
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(suggested.stdout)
    assert parse_mapping(mapping.read_bytes()).type == "error_record"
    mapping.write_text(f"{suggested.stdout}\ndate_formats: ['%Y/%m/%d']\n")
    shown = runner.invoke(app, ["import", "--dry-run", "--mapping", str(mapping), str(path)])
    assert shown.exit_code == 1
    assert "line 3: " in shown.stdout
    as_json = runner.invoke(
        app, ["import", "--dry-run", "--json", "--mapping", str(mapping), str(path)]
    )
    report = json.loads(as_json.stdout)
    assert (report["valid"], report["rejected"], report["reading"]["format"]) == (1, 1, "csv")
    unusable = runner.invoke(app, ["import", "--dry-run", "--json", str(path)])
    assert (unusable.exit_code, unusable.stdout) == (2, "")
    assert "needs a mapping" in unusable.stderr


def test_each_format_is_described() -> None:
    assert {source.format for source in FORMATS} == set(get_args(Format))


@shared
def test_the_files_of_open_edx_are_told_apart() -> None:
    for folder, expected in (("tracking", "openedx"), ("xapi", "xapi")):
        for path in sorted((OPENEDX / folder).glob("*.json")):
            assert detect_file(path.name, path.read_bytes()[:HEAD_BYTES]).format == expected, (
                path.name
            )


def test_the_dry_run_says_which_encoding_was_detected_and_how_sure_it_is(tmp_path: Path) -> None:
    table = "ученик;курс;ошибка;время\n" + "".join(
        f"S{n};Алгебра;Ученик пропустил знак минус;45291,625\n" for n in range(9)
    )
    mapping = "type: error_record\ncolumns: {ученик: student_id, курс: course_id, ошибка: error_text, время: timestamp}\n"
    (tmp_path / "t.csv").write_bytes(table.encode("cp1251"))
    (tmp_path / "m.yaml").write_text(mapping + "date_formats: [excel]\n", "utf-8")
    command = [
        "import",
        "--dry-run",
        "--mapping",
        str(tmp_path / "m.yaml"),
        str(tmp_path / "t.csv"),
    ]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    assert "cp1251 (detected, " in found.output
    machine = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert machine["detected"]["encoding"] == "cp1251"
    assert machine["detected"]["encoding_lead"] > 0.05


def test_excel_days_and_decimal_commas_are_suggested() -> None:
    suggestion = suggest_mapping(
        ["student_id", "course_id", "timestamp", "progress"], [["S1", "C1", "45291,625", "85,5 %"]]
    )
    mapping = parse_mapping(suggestion.mapping)
    assert (mapping.date_formats, mapping.decimal) == (("excel",), ",")


ROSTER = b'{"type": "membership_record", "timestamp": "2026-01-01", "data": {"group_id": "8B", "teacher_id": "T1"}}\n'


def _dry_run_as(
    monkeypatch: pytest.MonkeyPatch, folder: Path, answer: httpx.Response | None, *options: str
) -> Any:
    """Run a dry run of a learning record and a membership of T1, with the gateway's answer about the caller."""
    monkeypatch.setenv("EDUGRAPH_API_KEY", "eg_k_secret")
    file = folder / "a.ndjson"
    file.write_bytes(RECORD + ROSTER)

    def ask(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/caller"
        if answer is None:
            raise httpx.ConnectError("nobody is there")
        return answer

    transport = httpx.MockTransport(ask)
    monkeypatch.setattr(
        Client, "from_environment", lambda: Client("http://gateway", "k", transport=transport)
    )
    return runner.invoke(app, ["import", "--dry-run", *options, str(file)])


@pytest.mark.parametrize(
    ("scopes", "person", "refused"),
    [
        (["submit", "roster"], None, {}),
        (["submit"], None, {2: "needs the scope roster"}),
        (["roster"], "T2", {1: "needs the scope submit"}),
        (["submit", "roster"], "T1", {2: "would make the caller of this import the leader"}),
    ],
)
def test_a_dry_run_shows_the_rows_that_the_key_may_not_import(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scopes: list[str],
    person: str | None,
    refused: dict[int, str],
) -> None:
    """Out: `check` in `print_dry_run`."""
    answer = httpx.Response(200, json={"client": "k", "scopes": scopes, "person": person})
    done = _dry_run_as(monkeypatch, tmp_path, answer, "--json")
    report = json.loads(done.stdout)
    assert {
        each["line"]: each["reason"][: len(refused[each["line"]])] for each in report["errors"]
    } == refused
    assert (report["valid"], report["rejected"]) == (2 - len(refused), len(refused))
    assert done.exit_code == int(bool(refused))


@pytest.mark.parametrize("status", [401, None])
def test_a_dry_run_that_cannot_ask_for_the_key_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int | None
) -> None:
    answer = None
    if status:
        answer = httpx.Response(
            status, json={"type": "x", "title": "t", "status": status, "detail": "no such key"}
        )
    done = _dry_run_as(monkeypatch, tmp_path, answer)
    assert done.exit_code == 0
    assert "It was not checked whether this key may import the rows" in done.stderr
    assert "1 rows need a key with the scope roster" in done.stdout


def test_a_dry_run_without_a_key_asks_nobody_and_names_the_scope(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EDUGRAPH_API_KEY", raising=False)
    monkeypatch.setattr(Client, "from_environment", lambda: pytest.fail("no gateway is needed"))
    file = tmp_path / "a.ndjson"
    file.write_bytes(RECORD + ROSTER)
    done = runner.invoke(app, ["import", "--dry-run", str(file)])
    assert done.exit_code == 0
    assert "1 rows need a key with the scope roster" in done.stdout
    file.write_bytes(RECORD)
    assert "roster" not in runner.invoke(app, ["import", "--dry-run", str(file)]).stdout
