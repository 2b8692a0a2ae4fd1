"""Files of each form in which damaged rows stand among good ones, and the rows that must arrive, with their lines.

`make fuzz` imports 10,000 rows of each form. The expectation follows from the way in which a file was made: each good
row is a record on its own line, and each reject stands on a line of a damaged row.
"""

import io
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from csv import writer
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from arro3.core import Array, DataType
from tables import parquet, xlsx

from edugraph_common.contracts.messages import Format, ImportJob
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import parse_mapping, store_mapping
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MAX_ROW_BYTES
from edugraph_importer.batching import count_batches, read_batch, window
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.versions import ALL_RIGHTS

# Bytes that make any row of UTF-8 invalid, wherever they are put into it.
DAMAGED_BYTES = (b"\xff", b"\xc3", b"\xe4\xb8", b"\xed\xa0\x80", b"\x80", b"\xf8")
OTHER_VALUES = (
    b"null",
    b"17",
    b'"a"',
    b'"a{b"',
    b"no JSON",
    b"-",
    b"}",
    b'{"',
    b"{}",
    b'{"a": 1}',
    b'{"a": {"b": []}}',
)
DAMAGED_SHARE = 0.3
# A row above the size limit takes the time of a thousand others.
LONG_SHARE = 0.005
TEXTS = ("Good.", "第 3 课\n第二行", 'He said "yes".', "a, b; c", "\\n {not: a row} [1]", "")
JSON_STRUCTURE = re.compile(rb'[{}\[\]",:]')


class PlannedRow(NamedTuple):
    """A row as it stands in a file, without the line end after it. `student` is None for a damaged row."""

    raw: bytes
    student: str | None


@dataclass
class DamagedFile:
    """A file, and what must become of it.

    `good` has the student and the line of each good row. `damaged` has the lines of each run of damaged rows that
    follow each other: in JSON over several lines, a broken value may take a broken neighbour with it. `joined` has the
    lines of such neighbours, because what two of them have left may be one whole value.
    """

    form: str
    content: bytes
    mapping: Mapping | None = None
    good: set[tuple[str, int]] = field(default_factory=set)
    damaged: list[range] = field(default_factory=list)
    joined: set[int] = field(default_factory=set)
    rows: int = 0


# --- good rows ------------------------------------------------------------------------------------------------------


def record(student: str, rng: random.Random) -> dict[str, Any]:
    people = {"student_id_from": student, "student_id_to": "x", "interaction_type": "chat"}
    data = people | {"topics": ["sums", "和"], "text": rng.choice(TEXTS)}
    return {"type": "student_interaction", "timestamp": "2026-01-01T08:00:00Z", "data": data}


def statement(student: str, rng: random.Random) -> dict[str, Any]:
    parents = [{"id": f"http://lms/c{number}"} for number in range(rng.randrange(4))]
    return {
        "actor": {"account": {"homePage": "http://lms", "name": student}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"zh": "回答"}},
        "object": {
            "id": "http://lms/q/1",
            "definition": {"name": {"zh": "物理", "en": rng.choice(TEXTS)}},
        },
        "result": {"success": False, "response": rng.choice(TEXTS)},
        "context": {"contextActivities": {"parent": parents}},
        "timestamp": "2026-01-01T08:00:00Z",
    }


def event(student: str, rng: random.Random) -> dict[str, Any]:
    return {
        "name": "edx.forum.comment.created",
        "time": "2026-01-01T08:00:00Z",
        "context": {"user_id": student, "course_id": "course-v1:X+Y+Z"},
        "event": {"body": rng.choice(TEXTS), "target_username": "x"},
    }


# --- damage ---------------------------------------------------------------------------------------------------------


def is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except ValueError:
        return False
    return True


def with_damaged_bytes(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(1, len(raw))
    return raw[:at] + rng.choice(DAMAGED_BYTES) + raw[at:]


def without_structure(raw: bytes, rng: random.Random) -> bytes:
    at = rng.choice([found.start() for found in JSON_STRUCTURE.finditer(raw)])
    return raw[:at] + raw[at + 1 :]


def with_structure(raw: bytes, rng: random.Random) -> bytes:
    # A brace before the first key would begin a whole value.
    at = rng.randrange(raw.index(b'"') + 1, len(raw))
    return raw[:at] + rng.choice(b'{}[]",:').to_bytes() + raw[at:]


def cut_off(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(1, len(raw))]


JSON_DAMAGE = (with_damaged_bytes, without_structure, with_structure, cut_off)


def damaged_json(raw: bytes, rng: random.Random) -> bytes:
    if rng.random() < LONG_SHARE:
        return raw.replace(b"2026", b"2026" + b"x" * MAX_ROW_BYTES, 1)
    if rng.random() < 0.2:
        return rng.choice(OTHER_VALUES)
    while True:
        damaged = rng.choice(JSON_DAMAGE)(raw, rng)
        # Some changes leave a row valid, such as a comma more in a text or after its end.
        is_damaged = not is_json(damaged.rstrip(b","))
        if damaged.strip() and is_damaged:
            return damaged


# --- text -----------------------------------------------------------------------------------------------------------


def planned_rows(
    number: int, rng: random.Random, good: Callable[[str], bytes], damage: Callable[[bytes], bytes]
) -> Iterator[PlannedRow]:
    for place in range(number):
        student = f"good{place}"
        raw = good(student)
        if rng.random() < DAMAGED_SHARE:
            yield PlannedRow(damage(raw), None)
        else:
            yield PlannedRow(raw, student)


def note_row(file: DamagedFile, row: PlannedRow, line: int, *, follows_damage: bool) -> None:
    """Note what must become of a row that begins on a line."""
    file.rows += 1
    end = line + row.raw.count(b"\n") + 1
    is_table = file.form in ("workbook", "parquet")
    if row.student is not None:
        # A record of a binary table has the number of its row among those that are not blank.
        file.good.add((row.student, file.rows if is_table else line))
    elif follows_damage:
        file.damaged[-1] = range(file.damaged[-1].start, end)
        file.joined.update(file.damaged[-1])
    else:
        file.damaged.append(range(line, end))


def lines_of_json(
    form: str, value: Callable[[str, random.Random], dict[str, Any]], rng: random.Random
) -> DamagedFile:
    """Return a file with one row on each line."""
    file = DamagedFile(form, b"")
    is_ascii = rng.random() < 0.5
    line_end = rng.choice([b"\n", b"\r\n"])
    text = rng.choice([b"", b"\xef\xbb\xbf"])
    rows = planned_rows(
        rng.randrange(1, 60),
        rng,
        lambda student: json.dumps(value(student, rng), ensure_ascii=is_ascii).encode(),
        lambda raw: damaged_json(raw, rng),
    )
    line = 1
    for row in (PlannedRow(json.dumps(value("first", rng)).encode(), "first"), *rows):
        while rng.random() < 0.1:
            text += rng.choice([b"", b" ", b"\t"]) + line_end
            line += 1
        note_row(file, row, line, follows_damage=False)
        text += row.raw + line_end
        line += 1
    file.content = text
    return file


def array_of_json(
    form: str, value: Callable[[str, random.Random], dict[str, Any]], rng: random.Random
) -> DamagedFile:
    """Return a file with an array. Each value may take several lines."""
    file = DamagedFile(form, b"")
    indent = rng.choice([None, 1])
    between = rng.choice([b",\n", b"\n,", b", ", b",", b",\r\n\r\n"])
    rows = planned_rows(
        rng.randrange(1, 60),
        rng,
        lambda student: json.dumps(value(student, rng), ensure_ascii=False, indent=indent).encode(),
        lambda raw: damaged_json(raw, rng),
    )
    text = rng.choice([b"[", b"[\n", b"\xef\xbb\xbf [\r\n"])
    follows_damage = False
    first = PlannedRow(json.dumps(value("first", rng)).encode(), "first")
    last = PlannedRow(json.dumps(value("last", rng)).encode(), "last")
    for row in (first, *rows, last):
        if row is not first:
            text += between
        note_row(file, row, text.count(b"\n") + 1, follows_damage=follows_damage)
        text += row.raw
        follows_damage = row.student is None
    file.content = text + rng.choice([b"]", b"\n]\n"])
    return file


COLUMNS = ("who", "whom", "kind", "at", "text")
TABLE = "{type: student_interaction, columns: {who: student_id_from, whom: student_id_to, kind: interaction_type, at: timestamp, text: text}"


def table_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()[:-1]


def damaged_table_row(raw: bytes, encoding: str, rng: random.Random) -> bytes:
    text = raw.decode(encoding)
    match rng.randrange(4):
        case 0:
            return text.replace(",", "", 1).encode(encoding)
        case 1:
            return (text + ",more").encode(encoding)
        case 2 if rng.random() < 20 * LONG_SHARE:
            return text.replace("good", "good" * (MAX_ROW_BYTES // 4), 1).encode(encoding)
        case _:
            at = rng.randrange(len(text))
            damage = {"utf-8": b"\xff", "gb18030": b"\xff", "utf-16-le": b"\x00\xd8"}[encoding]
            return text[:at].encode(encoding) + damage + text[at:].encode(encoding)


def table_of_text(form: str, encoding: str, rng: random.Random) -> DamagedFile:
    file = DamagedFile(form, b"", parse_mapping(TABLE + f", encoding: {encoding}}}"))
    line_end = rng.choice(["\n", "\r\n"])

    def good(student: str) -> bytes:
        cells = [student, "x", "chat", "2026-01-01", rng.choice(TEXTS)]
        return table_line(cells).encode(encoding)

    rows = planned_rows(
        rng.randrange(1, 60), rng, good, lambda raw: damaged_table_row(raw, encoding, rng)
    )
    header = line_end.join([",".join(COLUMNS), ""])
    content = b"\xff\xfe" if encoding == "utf-16-le" else b""
    content += header.encode(encoding)
    line = 2
    for row in rows:
        while rng.random() < 0.1:
            content += (rng.choice(["", " , ,", ",,,,"]) + line_end).encode(encoding)
            line += 1
        # Line ends are counted in one-byte units, whatever the encoding.
        text = row.raw.decode(encoding, errors="replace").encode()
        note_row(file, PlannedRow(text, row.student), line, follows_damage=False)
        content += row.raw + line_end.encode(encoding)
        line += text.count(b"\n") + 1
    file.content = content
    return file


# --- tables in binary files -----------------------------------------------------------------------------------------


def workbook(form: str, rng: random.Random) -> DamagedFile:
    file = DamagedFile(form, b"", parse_mapping(TABLE + "}"))
    title: list[list[Any]] = [["Chats of the term"]] * rng.randrange(3)
    rows: list[list[Any]] = [*title, list(COLUMNS)]
    for place in range(rng.randrange(50, 400)):
        if rng.random() < 0.05:
            rows.append([])
        at = rng.choice([datetime(2026, 1, 1, 8), "2026-01-01"])  # noqa: DTZ001 - cells have no time zone
        cells: list[Any] = [f"good{place}", "x", "chat", at, rng.choice(TEXTS)]
        is_damaged = rng.random() < DAMAGED_SHARE
        if is_damaged:
            changed = rng.choice(
                [(0, None), (1, None), (2, "talk"), (3, "never"), (3, True), (2, 17)]
            )
            cells[changed[0]] = changed[1]
        rows.append(cells)
        note_row(
            file,
            PlannedRow(b"", None if is_damaged else f"good{place}"),
            len(rows),
            follows_damage=False,
        )
    file.content = xlsx({"A": rows})
    return file


# Type of a column of moments -> (2026-01-01 in it, numbers of moments outside of the years 1 to 9999)
MOMENTS: dict[str, tuple[Any, int, tuple[int, ...]]] = {
    "date32": (DataType.date32(), 20_454, (3_000_000, -800_000, 2**31 - 1, -(2**31))),
    "date64": (
        DataType.date64(),
        20_454 * 86_400_000,
        (3_000_000 * 86_400_000, -800_000 * 86_400_000),
    ),
    "seconds": (DataType.timestamp("s"), 20_454 * 86_400, (2**40, -(2**40), 2**62)),
    "milliseconds": (DataType.timestamp("ms"), 20_454 * 86_400_000, (2**50, -(2**50), 2**63 - 1)),
    "microseconds": (
        DataType.timestamp("us"),
        20_454 * 86_400_000_000,
        (2**60, -(2**60), -(2**63)),
    ),
    "with a zone": (DataType.timestamp("us", tz="UTC"), 20_454 * 86_400_000_000, (2**60, -(2**60))),
}


def parquet_file(form: str, rng: random.Random) -> DamagedFile:
    file = DamagedFile(form, b"", parse_mapping(TABLE + "}"))
    kind, right, wrong = MOMENTS[rng.choice(list(MOMENTS))]
    students, moments, kinds = list[str](), list[int](), list[str]()
    for place in range(rng.randrange(50, 400)):
        is_damaged = rng.random() < DAMAGED_SHARE
        has_wrong_moment = is_damaged and rng.random() < 0.7
        students.append(f"good{place}")
        moments.append(rng.choice(wrong) if has_wrong_moment else right)
        kinds.append("talk" if is_damaged and not has_wrong_moment else "chat")
        note_row(
            file,
            PlannedRow(b"", None if is_damaged else f"good{place}"),
            place + 2,
            follows_damage=False,
        )
    whole = DataType.int32() if kind == DataType.date32() else DataType.int64()
    file.content = parquet(
        {
            "who": Array(students, DataType.string()),
            "whom": Array(["x"] * len(students), DataType.string()),
            "kind": Array(kinds, DataType.string()),
            "at": Array(moments, whole).cast(kind),
            "text": Array([rng.choice(TEXTS) for _ in students], DataType.string()),
        }
    )
    return file


FORMS: dict[str, tuple[Format, Callable[[str, random.Random], DamagedFile]]] = {
    "ndjson": ("ndjson", lambda form, rng: lines_of_json(form, record, rng)),
    "xapi": ("xapi", lambda form, rng: lines_of_json(form, statement, rng)),
    "xapi array": ("xapi", lambda form, rng: array_of_json(form, statement, rng)),
    "openedx": ("openedx", lambda form, rng: lines_of_json(form, event, rng)),
    "openedx array": ("openedx", lambda form, rng: array_of_json(form, event, rng)),
    "csv": ("csv", lambda form, rng: table_of_text(form, "utf-8", rng)),
    "csv gb18030": ("csv", lambda form, rng: table_of_text(form, "gb18030", rng)),
    "csv utf-16": ("csv", lambda form, rng: table_of_text(form, "utf-16-le", rng)),
    "workbook": ("workbook", workbook),
    "parquet": ("parquet", parquet_file),
}


def made_file(form: str, seed: int) -> DamagedFile:
    _, make = FORMS[form]
    return make(form, random.Random(f"{form} {seed}"))


# --- the promise ----------------------------------------------------------------------------------------------------


def problems_of(blobs: Blobs, file: DamagedFile) -> list[str]:
    """Split and read a file. Return a sentence for each broken promise."""
    blobs.delete("jobs/j")
    file_format, _ = FORMS[file.form]
    job = ImportJob(
        job_id="j",
        source="jobs/j/source",
        format=file_format,
        batch_size=25,
        parallel_batches=1_000,
        rights=ALL_RIGHTS,
    )
    with blobs.write(str(job.source)) as source:
        source.write(file.content)
    if file.mapping is not None:
        store_mapping(blobs, "j", file.mapping)
    arrived = set[tuple[str, int]]()
    refused = set[int]()
    number = 0
    for message in window(blobs, job, count_batches(blobs, job)):
        batch = read_batch(blobs, message).graph
        for line, each in batch.records:
            number += 1
            students = {student for _, student in record_facts.students(each)}
            # The id of an account begins with its home page.
            arrived.update((student.rpartition("|")[2], line) for student in students - {"x"})
        for reject in batch.rejects:
            refused.add(reject.line)
    problems = []
    missing = file.good - arrived
    unexpected = {
        (student, line) for student, line in arrived - file.good if line not in file.joined
    }
    if missing or unexpected:
        problems.append(f"missing: {sorted(missing)[:5]}, unexpected: {sorted(unexpected)[:5]}")
    if number != len(arrived):
        problems.append(f"{number} records arrived, of which {len(arrived)} are different")
    of_damaged = {line for lines in file.damaged for line in lines}
    if refused - of_damaged:
        problems.append(
            f"rejects on lines that are not damaged: {sorted(refused - of_damaged)[:5]}"
        )
    without = [lines for lines in file.damaged if not refused & set(lines)]
    if without:
        problems.append(f"damaged rows without a reject: {without[:5]}")
    return problems
