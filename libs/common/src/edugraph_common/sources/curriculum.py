"""Curricula: outlines of knowledge points from other systems, read as point_records (docs/adr/0104).

The parent and the prerequisites of a point may stand anywhere in a file. So the split reads the whole file once and
converts it into this text, one JSON object a line, from which each batch is read separately:

{"sheet": "CFItems", "row": 3, "record": {...}}                                            a point_record
{"sheet": "CFItems", "row": 4, "wrong": [field, expected, found, reason], "raw": "..."}    a row that is set aside
{"sheet": "CFAssociations", "row": 1, "left_out": "association isPeerOf"}                  not a record

`sheet` is the part of the file with the row.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edugraph_common.contracts.records import (
    InvalidRecord,
    Record,
    Withdrawal,
    as_json,
    escaped,
    parse_row,
    shorten,
)
from edugraph_common.sources.chunking import RowChunk
from edugraph_common.sources.converted_lines import read_converted_line
from edugraph_common.sources.json_source import Lines, decode_json
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, MalformedFile
from edugraph_common.sources.rows import Content, too_long
from edugraph_common.sources.students import People

# A curriculum is read as a whole. The largest published ones have some 20 MB.
MAX_BYTES = 128 << 20
# The timestamp of a point whose file has no date. The import that was accepted last then counts.
UNDATED = "2000-01-01T00:00:00Z"
# A statement up to this length is the name of its point. A longer one is its description alone.
LONGEST_STATEMENT_AS_NAME = 200  # characters
_NO_PEOPLE = People(frozenset())


@dataclass
class Point:
    """A point as its file states it. `part` and `row` say where it stands, `raw` is what stands there.

    `parent` and `requires` are ids of points. `changed` is a date and time, if the file has one.
    """

    part: str | None
    row: int
    raw: str
    id: str
    name: str | None = None
    label: str | None = None
    description: str | None = None
    parent: str | None = None
    standard_id: str | None = None
    requires: list[str] = field(default_factory=list)
    changed: str | None = None


@dataclass
class Outline:
    """A curriculum that is being read. The readers of the formats add what they find, in the order of the file.

    `lines` yields the text. Points are checked against each other there, when all of them are known.
    """

    kind: str
    points: dict[str, Point] = field(default_factory=dict)
    _other: list[dict[str, Any]] = field(default_factory=list)

    def add(self, point: Point) -> None:
        """Add a point. A second point with the same id is set aside."""
        if point.id in self.points:
            problem = InvalidRecord(
                "id", "an id that no other point has", shorten(point.id), "is the id of two points"
            )
            self.set_aside(point.part, point.row, point.raw, problem)
            return
        self.points[point.id] = point

    def set_aside(self, part: str | None, row: int, raw: str, problem: InvalidRecord) -> None:
        wrong = [problem.field, problem.expected, problem.found, problem.reason]
        self._other.append({"sheet": part, "row": row, "wrong": wrong, "raw": raw})

    def leave_out(self, part: str | None, row: int, name: str) -> None:
        """Count something as not relevant, by its name."""
        self._other.append({"sheet": part, "row": row, "left_out": shorten(name)})

    def lines(self) -> Iterator[bytes]:
        """Yield the text of the curriculum. Raises MalformedFile if the file has no point at all."""
        if not self.points and not self._other:
            raise MalformedFile("the file has no point of a curriculum")
        in_circles = self._last_of_circles()
        for point in self.points.values():
            problem = None
            if point.id in in_circles:
                problem = InvalidRecord(
                    "parent", "a point that is not below this one", "", "is below the point itself"
                )
            elif point.parent is not None and point.parent not in self.points:
                problem = InvalidRecord(
                    "parent", "the id of a point of the file", shorten(point.parent), "is not there"
                )
            if problem is not None:
                self.set_aside(point.part, point.row, point.raw, problem)
                continue
            yield _line({"sheet": point.part, "row": point.row, "record": self._record(point)})
        for other in self._other:
            yield _line(other)

    def _record(self, point: Point) -> dict[str, Any]:
        data = {
            "point_id": point.id,
            "name": point.name,
            "label": point.label,
            "description": point.description,
            "parent": point.parent,
            "standard_id": point.standard_id,
            "requires": list(dict.fromkeys(point.requires)),
        }
        key = json.dumps(["curriculum", self.kind, point.id])
        return {
            "type": "point_record",
            "timestamp": point.changed or UNDATED,
            "record_id": hashlib.sha256(key.encode()).hexdigest(),
            "data": {name: value for name, value in data.items() if value},
        }

    def _last_of_circles(self) -> set[str]:
        """Return, for each circle of parents, the id of the point that closes it, the last one in the file."""
        place = {point_id: number for number, point_id in enumerate(self.points)}
        closing: set[str] = set()
        # The points that are known to lead to the top or to a circle that was found.
        looked_at: set[str] = set()
        for point_id in self.points:
            way: list[str] = []
            on_way: set[str] = set()
            at: str | None = point_id
            while at in self.points and at not in looked_at and at not in on_way:
                way.append(at)
                on_way.add(at)
                at = self.points[at].parent
            if at in on_way:
                circle = way[way.index(at) :]
                closing.add(max(circle, key=place.__getitem__))
            looked_at |= on_way
        return closing


def _line(value: dict[str, Any]) -> bytes:
    text = escaped(json.dumps(value, ensure_ascii=False)).encode() + b"\n"
    if len(text) <= MAX_ROW_BYTES:
        return text
    problem = too_long()
    wrong = [problem.field, problem.expected, problem.found, problem.reason]
    return _line({"sheet": value["sheet"], "row": value["row"], "wrong": wrong, "raw": ""})


def whole_file(blocks: Iterable[bytes]) -> bytes:
    """Return a file as a whole. Raises MalformedFile if it is too large for that."""
    text = bytearray()
    for block in blocks:
        text += block
        if len(text) > MAX_BYTES:
            raise MalformedFile(
                f"a curriculum has at most {MAX_BYTES // (1 << 20)} MiB; split the file"
            )
    if not text.strip():
        raise MalformedFile("the file is empty: it holds no record")
    return bytes(text)


def decoded_file(blocks: Iterable[bytes]) -> Any:
    """Return the JSON value of a whole file. Raises MalformedFile."""
    return decoded(whole_file(blocks))


def decoded(text: bytes) -> Any:
    """Return the JSON value of the text of a file. Raises MalformedFile."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedFile("the file is not valid JSON; export it again") from None


def name_of(statement: str, code: str | None, short: str | None = None) -> str:
    """Return the name of a point: its short statement, or its statement, or its code if the statement is long."""
    for name in (short, statement):
        if name and len(name) <= LONGEST_STATEMENT_AS_NAME:
            return name
    return code or f"{statement[: LONGEST_STATEMENT_AS_NAME - 1]}…"


def raw_of(value: Any) -> str:
    """Return a part of a file as it is shown when it is set aside."""
    return escaped(as_json(value))


def _record_of(line: dict[str, Any]) -> Record | Withdrawal:
    return parse_row(line["record"])


class CurriculumSource:
    """The text of a curriculum (see above) as a source of records."""

    def __init__(self) -> None:
        self._lines = Lines()

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        return self._lines.chunks(blocks, rows_per_chunk)

    def read(self, line: int, raw: bytes, latest: datetime | None = None) -> Content:
        """Return the content of a line of the text. A reject has the part and the number of the row in the file."""
        return read_converted_line(line, raw, _record_of, latest)

    def people(self, raw: bytes) -> People:
        """Return no people, because a curriculum names none. Raises InvalidRecord for a line that is not JSON."""
        decode_json(raw)
        return _NO_PEOPLE
