"""CSV with a mapping: wrong rows one by one with their own lines, whole-file faults in one sentence."""

import csv
import gzip
import io
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_lines import line_ends

from edugraph_common.contracts.messages import Compression
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record, Withdrawal
from edugraph_common.sources import Mapping, open_text, parse_mapping
from edugraph_common.sources.compression import compressing, decompressor
from edugraph_common.sources.csv_source import CsvRows
from edugraph_common.sources.encoding import detect_encoding
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import cut_rows, latest_timestamp, read_rows

HEADER = ["学号", "课程", "错误", "时间", "程度"]
MAPPING = parse_mapping(
    """
    type: error_record
    columns: {学号: student_id, 课程: course_ids, 错误: error_text, 时间: timestamp, 程度: severity}
    values: {severity: {高: high, 低: low}}
    date_formats: ["%Y/%m/%d %H:%M", "%Y/%m/%d"]
    list_separator: "、"
    """
)


def table(rows: list[list[str]], header: list[str] = HEADER, **options: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out, **options).writerows([header, *rows])
    return out.getvalue().encode()


def read(
    data: bytes, mapping: Mapping | None = MAPPING, *, packed: Compression | None = None
) -> list[tuple[int, Any]]:
    plan, text = open_text(io.BytesIO(data), "csv", packed, mapping)
    return list(read_rows(plan.source, cut_rows(plan.source, text)))


def row(number: int, **other: str) -> list[str]:
    cells = {
        "学号": f"S{number}",
        "课程": "MATH8、PHY8",
        "错误": f'答成 {number}，\n"错"',
        "时间": "2026/03/04",
        "程度": "高",
    }
    return list((cells | other).values())


def test_a_row_becomes_a_record_as_the_mapping_says() -> None:
    [(line, record)] = read(table([row(1, 时间="2026/03/04 08:30")]))
    assert (line, record.type, record.data.course_ids, record.data.severity) == (
        2,
        "error_record",
        ("MATH8", "PHY8"),
        "high",
    )
    assert record.timestamp.isoformat() == "2026-03-04T08:30:00+00:00"
    assert record.data.error_text == '答成 1，\n"错"'


def broken(number: int) -> str:
    """Ways in which a row can be wrong, in the file's own form."""
    kinds = [
        'S9,MATH8,"never closed,2026/03/04,高',
        "S9,MATH8,too few",
        "S9,MATH8,too,many,cells,2026/03/04,高",
        ",MATH8,nobody,2026/03/04,高",
        "S9,MATH8,no such day,2026/13/45,高",
        "S9,MATH8,unknown word,2026/03/04,hoch",
        'S9,MATH8,"shut" badly,2026/03/04,高',
    ]
    return kinds[number % len(kinds)].replace("S9", f"S9{number}")


def test_of_1000_rows_37_broken_ones_are_rejected_each_with_its_line_and_come_in_once_corrected() -> (
    None
):
    wrong = set(range(5, 1_000, 27))
    assert len(wrong) == 37
    head, lines, at, expected = table([]).decode(), [], 2, []
    for number in range(1_000):
        text = (
            broken(number) + "\r\n"
            if number in wrong
            else table([row(number)], row(number)).decode().splitlines(True)
        )
        text = text if isinstance(text, str) else "".join(text[: len(text) // 2])
        expected += [at] if number in wrong else []
        at += text.count("\n")
        lines.append(text)
    rows = read((head + "".join(lines)).encode())
    records = [record for _, record in rows if isinstance(record, Record)]
    rejects = [reject for _, reject in rows if isinstance(reject, Reject)]
    assert (len(records), len(rejects)) == (963, 37)
    assert [reject.line for reject in rejects] == expected
    assert [reject.raw for reject in rejects] == [broken(number) for number in sorted(wrong)]

    corrected = table([row(number) for number in sorted(wrong)])
    again = [record for _, record in read(corrected) if isinstance(record, Record)]
    assert len({record.record_id for record in [*records, *again]}) == 1_000


def test_a_byte_order_mark_is_stronger_than_the_encoding_that_the_mapping_names() -> None:
    mapping = MAPPING.model_copy(update={"encoding": "gb18030"})
    data = table([row(1), row(2, 程度="?")]).decode()
    for encoding in ("gb18030", "utf-8-sig"):
        [_, (line, reject)] = read(data.encode(encoding), mapping)
        assert (line, reject.field, reject.found) == (4, "程度 (data.severity)", "lines 4 to 5: ?")


CELL = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\r"), max_size=12
)


@given(
    st.lists(
        st.lists(CELL, min_size=3, max_size=3).filter(lambda cells: any(c.strip() for c in cells)),
        min_size=1,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_writes_is_read_back(
    rows: list[list[str]], delimiter: str, end: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(rows)
    found, csv_rows, data, at = [], CsvRows(delimiter), out.getvalue().encode(), 0
    while at < len(data):
        stop = csv_rows.end(data, at, final=True)
        found.append(csv_rows.cells(data[at:stop].rstrip(b"\r\n").decode()))
        at = stop
    assert found == rows


@pytest.mark.parametrize(
    ("written", "student_id"),
    [
        ('="0012"', "0012"),
        ('\u00a0="0012" ', "0012"),
        ('="学-7"', "学-7"),
        ("=0012", "=0012"),
        ('="a"&"b"', '="a"&"b"'),
        ('="0012', '="0012'),
    ],
)
def test_a_formula_that_is_only_a_text_is_its_text_in_an_id(written: str, student_id: str) -> None:
    """An id stays that of one person, whether the export has the formula or not. An answer stays as it was written.

    Out: `_without_formula` in cells.py.
    """
    data = table([row(1, 学号=written, 错误='="x"')])
    [(_, record)] = read(data)
    assert record.data.student_id == student_id
    assert record.data.error_text == '="x"'
    plan, text = open_text(io.BytesIO(data), "csv", None, MAPPING)
    [whole] = cut_rows(plan.source, text)
    assert plan.source.people(whole.raw).ids == {student_id}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encoding_and_delimiter_are_found_out(encoding: str, delimiter: str) -> None:
    rows = [row(number) for number in range(200)]
    data = table(rows, delimiter=delimiter).decode().encode(encoding)
    assert [type(record) for _, record in read(data)] == [Record] * 200
    plan, _ = open_text(io.BytesIO(data), "csv", None, MAPPING)
    assert plan.header is not None
    assert plan.header.delimiter == delimiter


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no header"),
        (table([]), "holds no record"),
        (table([row(1)], ["学号", "课程", "错误", "日期", "程度"]), "lacks 时间"),
        (table([[*row(1), "x"]], [*HEADER, "备注"]), "does not say what 备注 is"),
        (table([[*row(1), "x"]], [*HEADER, "学号"]), "学号 more than once"),
        (table([row(1)]).replace(b"\r\n", b"\r"), "CR alone"),
        (b'"\xe5\xad\xa6' + b"x" * 100, "quote in it does not close"),
        (table([row(1)]) + b"S2,\xe4", "cut off in the middle of a character"),
    ],
)
def test_what_is_wrong_with_the_whole_file_is_told_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        read(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type: [", "not valid YAML"),
        ("type: course_record", "columns"),
        ("{type: quiz, columns: {a: student_id}}", "type"),
        ("{type: course_content, columns: {a: course_id, b: content}}", "needs timestamp"),
        (
            "{type: course_content, columns: {a: course_id, b: content, c: timestamp, d: colour}}",
            "no field named colour",
        ),
        (
            "{type: course_content, columns: {a: course_id, b: content, c: timestamp, d: content}}",
            "more than one column",
        ),
        ("{columns: {a: timestamp}}", "names no type"),
        (
            "{type: course_content, columns: {a: course_id, b: content, c: timestamp}, encoding: klingon}",
            "klingon",
        ),
        (
            "{type: course_content, columns: {a: course_id, b: content, c: timestamp}, date_format: '%Q'}",
            "%Q",
        ),
        (
            "{type: course_content, columns: {a: course_id, b: content, c: timestamp}, delimiter: x}",
            "no delimiter",
        ),
    ],
)
def test_a_mapping_that_cannot_work_is_told_before_any_row_is_read(text: str, words: str) -> None:
    with pytest.raises(MalformedFile, match=words):
        parse_mapping(text)


def test_a_csv_without_a_mapping_is_refused() -> None:
    with pytest.raises(MalformedFile, match="needs a mapping"):
        read(table([row(1)]), None)


def test_columns_can_be_left_out_and_blank_rows_count_for_nothing() -> None:
    mapping = MAPPING.model_copy(update={"ignore_other_columns": True})
    data = (
        table([[*row(1), "x"], ["", "", "", "", "", ""], [*row(2), ""]], [*HEADER, "备注"])
        + b"\r\n\r\n"
    )
    assert [line for line, _ in read(data, mapping)] == [2, 5]


def test_the_type_can_stand_in_a_column() -> None:
    mapping = parse_mapping(
        "{columns: {k: type, who: student_id, where: course_id, what: error_text, when: timestamp}, "
        "values: {type: {错题: error_record, 选课: course_record}}}"
    )
    data = "k,who,where,what,when\n错题,S1,C1,2/5,2026-03-04\n选课,S1,C1,,2026-03-05\n".encode()
    assert [record.type for _, record in read(data, mapping)] == ["error_record", "course_record"]


def test_an_open_quote_costs_its_own_line_and_no_more_however_far_the_next_quote_is() -> None:
    rows = "".join(f"S{n},MATH8,{'plain ' * 50},2026/03/04,高\n" for n in range(5_000))
    data = (",".join(HEADER) + '\nS0,MATH8,"open,2026/03/04,高\n' + rows).encode()
    found = read(data)
    rejects = [reject for _, reject in found if isinstance(reject, Reject)]
    assert (len(found), [reject.line for reject in rejects]) == (5_001, [2])


COURSES = "type: course_record\ncolumns: {s: student_id, c: course_id, t: timestamp, p: progress, m: time_spent}\n"


def course_row(cells: str, settings: str = "") -> Any:
    [(_, found)] = read(f"s|c|t|p|m\nS1|C1|{cells}\n".encode(), parse_mapping(COURSES + settings))
    return found


@given(st.integers(61 * 86_400, 73_000 * 86_400))
def test_excel_days_are_dates_if_the_mapping_says_so(seconds: int) -> None:
    days = f"{seconds / 86_400:.10f}"
    expected = datetime(1899, 12, 30, tzinfo=UTC) + timedelta(seconds=seconds)
    assert course_row(f"{days}|1|1", "date_formats: [excel]").timestamp == expected
    assert (
        course_row(f"{days.replace('.', ',')}|1|1", "date_formats: ['%Y', excel]").timestamp
        == expected
    )
    assert isinstance(course_row(f"{days}|1|1"), Reject)
    assert isinstance(course_row(f"{days}|1|1", "date_formats: ['%d.%m.%Y']"), Reject)


@pytest.mark.parametrize("cell", ["60", "0.5", "1735689600.5", "9999999", "-45291", "4.5e4", "nan"])
def test_what_is_no_day_of_excel_is_rejected(cell: str) -> None:
    found = course_row(f"{cell}|1|1", "date_formats: [excel]")
    assert (found.field, found.expected) == ("t (timestamp)", "a date like 45291.625 (Excel)")


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001 - the zone is the point of the test
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC"]),
    st.sampled_from(["", "date_format: '%Y-%m-%d %H:%M:%S.%f'"]),
)
def test_a_date_without_a_zone_is_of_the_time_zone_of_the_mapping(
    moment: datetime, zone: str, date_format: str
) -> None:
    found = course_row(f"{moment:%Y-%m-%d %H:%M:%S.%f}|1|1", f"time_zone: {zone}\n{date_format}")
    # A written time has no fold: of an hour that comes twice it is the first one.
    written = moment.replace(tzinfo=ZoneInfo(zone), fold=0)
    assert found.timestamp == written.astimezone(UTC)
    named = course_row("2026-03-04T08:00:00+02:00|1|1", f"time_zone: {zone}")
    assert named.timestamp == datetime(2026, 3, 4, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("settings", "progress", "minutes", "expected"),
    [
        ("", "85.5", "1.5", (85.5, 1.5)),
        ("", "85.5 %", "1.5", (85.5, 1.5)),
        ("", "85％", "", (85.0, None)),
        ("decimal: ','", "85,5", "1,25", (85.5, 1.25)),
        ("decimal: ','", "85,5%", "90", (85.5, 90.0)),
        ("", "85,5", "1", "p (data.progress)"),
        ("", "85", "1.5 %", "m (data.time_spent)"),
        ("decimal: ','", "85.5", "1", "p (data.progress)"),
        ("decimal: ','", "1.085,5", "1", "p (data.progress)"),
        ("", "105 %", "1", "p (data.progress)"),
    ],
)
def test_numbers_are_read_as_the_mapping_says(
    settings: str, progress: str, minutes: str, expected: Any
) -> None:
    found = course_row(f"2026-03-04|{progress}|{minutes}", settings)
    if isinstance(found, Reject):
        assert found.field == expected
    else:
        assert (found.data.progress, found.data.time_spent) == expected


def test_an_unknown_time_zone_is_no_setting() -> None:
    with pytest.raises(MalformedFile, match=r"Mars/Olympus is no known time zone"):
        parse_mapping(COURSES + "time_zone: Mars/Olympus")


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_zero_byte_is_damage_to_its_row_and_no_other_encoding(at: int) -> None:
    lines = table([row(1), row(2), row(3)]).decode().splitlines(keepends=True)
    data = "".join([*lines[:3], lines[3][:at] + "\0" + lines[3][at:], *lines[4:]]).encode()
    assert [type(found) for _, found in read(data)] == [Record, Reject, Record]


# Words of schools, in the encoding that Windows or Excel would save them in there.
WORDS = {
    "gb18030": ["数学", "答成应该是别的", "王小明", "忘了变号", "移项时忘记变号"],
    "big5": ["數學", "答成應該是別的", "王小明", "忘了變號", "移項時忘記變號"],
    "cp932": ["数学", "答えがまちがいです", "山田太郎", "カタカナの問題", "マイナスを忘れた"],
    "cp949": ["수학", "답이 틀렸습니다", "김철수", "부호를 잊었다", "이차함수의 그래프"],
    "cp1250": [
        "Błąd w równaniu",
        "Święty Łukasz",
        "źle rozwiązał",
        "uczeń pominął minus",
        "Příliš žluťoučký kůň",
    ],
    "cp1251": [
        "Алгебра",
        "Ученик ответил неверно",
        "Иванов Иван",
        "Пропустил знак минус",
        "геометрия",
    ],
    "cp1252": [
        "La réponse était fausse",
        "élève à côté",
        "El niño olvidó",
        "Übung größer",
        "señal según",
    ],
    "cp1253": ["Άλγεβρα", "Απάντησε λάθος", "Γιώργος", "ξέχασε το μείον", "γεωμετρία"],
}
WORD_LISTS = st.sampled_from(sorted(WORDS)).flatmap(
    lambda encoding: st.tuples(
        st.just(encoding),
        st.lists(st.sampled_from(WORDS[encoding]), min_size=3, unique=True).flatmap(
            lambda words: st.integers(1, 12).map(lambda times: words * times)
        ),
    )
)


@given(WORD_LISTS)
def test_a_text_is_never_surely_in_another_encoding_than_its_own(
    encoded: tuple[str, list[str]],
) -> None:
    encoding, words = encoded
    data = (
        "id,text\r\n" + "".join(f"S{number},{word}\r\n" for number, word in enumerate(words))
    ).encode(encoding)
    detected = detect_encoding(data)
    assert not detected.is_sure or data.decode(detected.encoding) == data.decode(encoding)


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "cp932", "cp1251"])
def test_a_table_of_some_rows_is_read_in_its_own_encoding(encoding: str) -> None:
    words = WORDS[encoding] * 4
    rows = [row(number, 错误=word, 课程="C") for number, word in enumerate(words)]
    out = "s,c,e,t,g\n" + "".join(f"{a},{b},{c},{d},high\n" for a, b, c, d, _ in rows)
    mapping = parse_mapping(
        "{type: error_record, columns: {s: student_id, c: course_id, e: error_text, t: timestamp, g: severity},"
        " date_format: '%Y/%m/%d'}"
    )
    assert [found.data.error_text for _, found in read(out.encode(encoding), mapping)] == words


def test_an_encoding_that_cannot_be_told_is_refused_with_what_to_do_and_read_if_it_is_named() -> (
    None
):
    data = table([row(1, 学号="niño", 课程="C", 错误="señal")], ["s", "c", "e", "t", "g"]).decode()
    settings = "{type: error_record, columns: {s: student_id, c: course_id, e: error_text, t: timestamp, g: null}"
    with pytest.raises(
        MalformedFile, match=r"cannot be told for sure .*encoding: cp1252.*iconv"
    ) as refused:
        read(
            data.replace("高", "").encode("cp1252"),
            parse_mapping(settings + ", date_format: '%Y/%m/%d'}"),
        )
    assert ". " not in str(refused.value)
    named = parse_mapping(settings + ", date_format: '%Y/%m/%d', encoding: cp1252}")
    [(_, found)] = read(data.replace("高", "").encode("cp1252"), named)
    assert found.data.error_text == "señal"


@pytest.mark.parametrize(
    "first", ["sep=;\r\n", "SEP=;\n", '"sep=;"\r\n', "sep=;;;\n", "\ufeffsep=;\r\n"]
)
def test_a_first_line_that_names_the_delimiter_is_no_header(first: str) -> None:
    data = first + table([row(1), row(2, 程度="?")], delimiter=";").decode()
    [(_, record), (line, _)] = read(data.encode())
    assert isinstance(record, Record)
    assert line == 2 + 1 + 2  # the header, and two lines of the first row


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_header_without_an_end_is_refused(encoding: str) -> None:
    with pytest.raises(MalformedFile, match=r"the header is longer than 262,144 bytes"):
        read(("a,b" * 700_000 + "\nS1,C1\n").encode(encoding))


def test_a_header_that_lies_in_several_frames_is_read_whole() -> None:
    data = table([row(1)])
    packed = gzip.compress(data[:3]) + gzip.compress(data[3:])
    assert [type(found) for _, found in read(packed, packed="gzip")] == [Record]


def test_a_row_of_the_far_future_is_rejected() -> None:
    plan, text = open_text(
        io.BytesIO(table([row(1), row(2, 时间="2026/03/07")])), "csv", None, MAPPING
    )
    latest = latest_timestamp(datetime(2026, 3, 5, tzinfo=UTC).timestamp())
    [(_, record), (_, reject)] = read_rows(plan.source, cut_rows(plan.source, text), latest)
    assert isinstance(record, Record)
    assert isinstance(reject, Reject)
    assert (reject.field, reject.found) == (
        "时间 (timestamp)",
        "lines 4 to 5: 2026-03-07T00:00:00.000000Z",
    )
    assert reject.raw.startswith("S2,")
    assert latest_timestamp(None) is None


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(packed: Compression) -> None:
    text = b"x" * (64 << 20)
    out = io.BytesIO()
    with compressing(out, packed) as file:
        file.write(text)
    blocks = decompressor(packed).feed(out.getvalue())
    if packed == "zstd":
        with pytest.raises(MalformedFile, match="more than 100 times its size"):
            list(blocks)
        assert len(list(islice(decompressor(packed).feed(out.getvalue()), 8))) == 8
    else:  # gzip cannot do more than 1,032 times, which the bytes that are free allow here.
        assert sum(map(len, blocks)) == len(text)


def test_a_row_may_take_a_record_back() -> None:
    mapping = parse_mapping(
        "{type: course_record, columns: {id: record_id, who: student_id, course: course_id, at: timestamp, gone: withdrawn},"
        " values: {withdrawn: {ja: true}}}"
    )
    rows = [
        ["r1", "S1", "C1", "2026-03-04", ""],
        ["r2", "", "", "2026-03-04", "ja"],
        ["r3", "S1", "C1", "2026-03-04", "x"],
    ]
    [(_, record), (_, withdrawn), (line, wrong)] = read(
        table(rows, ["id", "who", "course", "at", "gone"]), mapping
    )
    assert (record.record_id, withdrawn.record_id) == ("r1", "r2")
    assert isinstance(withdrawn, Withdrawal)
    assert (line, wrong.field) == (4, "gone (withdrawn)")


def test_a_row_with_a_lone_cr_and_a_line_end_in_quotes_swallows_no_neighbour() -> None:
    """Out: `lone_cr` in CsvRows. The row would end at the line end in the quotes, and the next line would open one."""
    rows = CsvRows(",")
    text = b'a,\r,"\n"\ngood,1,2\nx"\ngood,3,4\n'
    ends, at = [], 0
    while at < len(text):
        at = rows.end(text, at, True)
        ends.append(text[:at].count(b"\n"))
    assert ends == [2, 3, 4, 5]
    # As much of a stream as there is yet does not decide otherwise.
    assert {rows.end(text[:length], 0, False) for length in range(len(text))} == {
        -1,
        text.index(b"good"),
    }


cell = st.text('ab ,"\n\r;é', max_size=6)


@given(st.lists(st.lists(cell, min_size=3, max_size=3), max_size=6), st.integers(0, 6), st.data())
def test_a_row_that_leaves_a_quote_open_swallows_none_unless_it_has_as_many_cells_then(
    wanted: list[list[str]], place: int, data: st.DataObject
) -> None:
    """The reference reads the lines by Python's csv, which knows nothing of rows. Out: `_is_row` in CsvRows.end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(wanted[:place])
    out.write(data.draw(st.sampled_from(['x,"', '"', ',"a,', 'x","y\n', 'a,"\nb"', '" \n"'])))
    out.write("\n")
    csv.writer(out, lineterminator="\n").writerows(wanted[place:])
    text, rows, ends, at = out.getvalue().encode(), CsvRows(",", 3), list[int](), 0
    while at < len(text):
        at = rows.end(text, at, True)
        ends.append(text[:at].count(b"\n"))
    assert ends == line_ends(out.getvalue(), 3)
    # As much of a stream as there is yet does not decide otherwise.
    assert {rows.end(text[:length], 0, False) for length in range(len(text))} <= {
        -1,
        rows.end(text, 0, True),
    }


def test_a_quote_that_a_later_line_closes_swallows_good_rows_only_where_nothing_tells_it_from_a_row() -> (
    None
):
    mapping = parse_mapping(
        "{type: course_record, columns: {id: record_id, who: student_id, course: course_id, at: timestamp}}"
    )
    head, good = (
        "id,who,course,at\n",
        [f"r{number},S{number},C1,2026-03-04\n" for number in range(3)],
    )
    other_number = head + good[0] + 'x,"left open\n' + good[1] + 'closed",1\n' + good[2]
    found = read(other_number.encode(), mapping)
    assert [(line, type(row)) for line, row in found] == [
        (2, Record),
        (3, Reject),
        (4, Record),
        (5, Reject),
        (6, Record),
    ]
    same_number = head + good[0] + 'x,"left open\n' + good[1] + 'closed",1,2\n' + good[2]
    [first, (line, reject), last] = read(same_number.encode(), mapping)
    assert [first[0], line, last[0]] == [2, 3, 6]
    assert isinstance(reject, Reject)
    assert reject.field == "who (data.student_id)"
    assert reject.found.startswith("lines 3 to 5: ")
