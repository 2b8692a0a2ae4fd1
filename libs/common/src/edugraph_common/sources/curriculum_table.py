"""Outlines of a curriculum in a table: a row for each point, recognised by the names of the columns.

The parent of a point stands in a column, or follows from the depth of the row: a column with its level, or the blanks
before its name.
"""

import re
from collections.abc import Iterable, Mapping

from edugraph_common.contracts.records import shorten
from edugraph_common.sources.cells import cell_text
from edugraph_common.sources.csv_source import CsvSource, Header
from edugraph_common.sources.curriculum import (
    UNDATED,
    Outline,
    Point,
    name_of,
    whole_file,
)
from edugraph_common.sources.gradebook_layouts import plain
from edugraph_common.sources.mapping import Mapping as TableMapping
from edugraph_common.sources.ndjson import MalformedFile

# Field -> the names that its column may have, compared without case, width, blanks and punctuation.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "point id", "identifier", "guid", "编号", "知识点编号", "知识点id", "序号", "节点编号"),
    "parent": ("parent", "parent id", "parent code", "上级", "上级编号", "上级知识点", "父级", "父编号", "父节点"),
    "label": ("label", "code", "standard code", "human coding scheme", "标签", "代码", "编码", "课标编号"),
    "name": ("name", "title", "point", "topic", "skill", "名称", "标题", "知识点", "知识点名称", "主题"),
    "description": ("description", "statement", "full statement", "描述", "说明", "内容要求", "表述"),
    "requires": ("prerequisites", "prerequisite", "prerequisite ids", "requires", "depends on",
        "先修", "先修知识点", "先修编号", "前置知识", "前置知识点"),
    "standard_id": ("standard id", "case id", "标准id", "课标id"),
    "level": ("level", "depth", "层级", "级别", "层次"),
}  # fmt: skip
_FIELDS = {plain(name): field for field, names in _NAMES.items() for name in names}
_SEPARATOR = re.compile(r"[;；、|\n]")
_COMMA = re.compile(r"[,，]")
_TAB_WIDTH = 4  # blanks


def read_table(blocks: Iterable[bytes], header: Header) -> Outline:
    """Return the outline in a CSV. The blocks are its text in UTF-8. Raises MalformedFile."""
    fields = _columns(header.columns)
    # The mapping is only needed to cut the rows.
    mapping = TableMapping(
        type="point_record",
        columns=dict.fromkeys(header.columns),
        constants={"timestamp": UNDATED, "point_id": "-"},
    )
    rows = CsvSource(header, mapping)
    outline = Outline("outline")
    above: list[tuple[int, str]] = []  # (depth, id) of the points above the next row
    for row in list(rows.sheet_rows([whole_file(blocks)]))[1:]:
        if row.is_blank:
            continue
        if row.wrong:
            outline.set_aside(None, row.number, row.raw, row.wrong)
            continue
        cells = [cell_text(cell) for cell in row.cells or ()]
        given = {field: cells[place] for field, place in fields.items()}
        values = {field: value.strip() for field, value in given.items()}
        statement = values.get("description", "")
        label = values.get("label") or None
        name = values.get("name") or name_of(statement, label)
        requires = []
        for part in _SEPARATOR.split(values.get("requires", "")):
            if part.strip():
                requires.append(part.strip())
        point = Point(
            part=None,
            row=row.number,
            raw=header.delimiter.join(cells),
            id=values.get("id") or label or name,
            name=name,
            label=label,
            description=statement or None,
            parent=values.get("parent") or None,
            standard_id=values.get("standard_id") or None,
            requires=requires,
        )
        if "parent" not in fields:
            depth = _depth(values.get("level"), given.get("name", ""))
            while above and above[-1][0] >= depth:
                above.pop()
            if above:
                point.parent = above[-1][1]
            above.append((depth, point.id))
        outline.add(point)
    _name_points_by_id(outline)
    return outline


def _columns(header: Iterable[str]) -> dict[str, int]:
    """Return field -> index of its column. Raises MalformedFile if the table is not an outline."""
    fields: dict[str, int] = {}
    for place, column in enumerate(header):
        field = _FIELDS.get(plain(column))
        if field is not None:
            fields.setdefault(field, place)
    if not {"id", "name", "description"} & fields.keys():
        columns = shorten(", ".join(header))
        raise MalformedFile(
            "an outline needs a column that is called id, name or description "
            f"(编号, 名称 or 描述); the header has {columns}"
        )
    return fields


def _depth(level: str | None, name: str) -> int:
    """Return the depth of a row by its level, or else by the blanks before its name."""
    if level:
        digits = re.search(r"\d+", level)
        return int(digits[0]) if digits else 0
    text = name.expandtabs(_TAB_WIDTH).replace("\u3000", "  ")
    return len(text) - len(text.lstrip(" "))


def _name_points_by_id(outline: Outline) -> None:
    """Replace the names and labels of parents and prerequisites by the ids of these points, if only one is meant."""
    ids: dict[str, set[str]] = {}
    for point in outline.points.values():
        for name in (point.name, point.label):
            if name is not None:
                ids.setdefault(name, set()).add(point.id)
    known = outline.points.keys() | ids.keys()
    for point in outline.points.values():
        if point.parent is not None:
            point.parent = _id_of(point.parent, outline, ids)
        requires: list[str] = []
        for name in point.requires:
            names = [name]
            by_commas = [part.strip() for part in _COMMA.split(name)]
            are_known = all(part in known for part in by_commas)
            if name not in known and are_known:
                # A name may have a comma, so commas only separate names that are known.
                names = by_commas
            requires += [_id_of(each, outline, ids) for each in names]
        point.requires = requires


def _id_of(name: str, outline: Outline, ids: Mapping[str, set[str]]) -> str:
    """Return the id of the point that is meant by an id, a name or a label, or the name if that is not clear."""
    meant = ids.get(name, set())
    if name in outline.points or len(meant) != 1:
        return name
    return next(iter(meant))
