"""The coherence map of the Common Core: its data as JSON, as the map's own page loads it.

{"domains": {ID: {grade, ordinal, name}}, "clusters": {ID: {ccmathdomain_id, ordinal, name}},
 "standards": {ID: {ccmathcluster_id, ordinal, desc}}, "edges": [{from, to}], "nd_edges": [{from, to}]}

The id of a point is its code, such as 6.NS.A.1. An edge is a prerequisite. The undirected `nd_edges` are counted as
not relevant (docs/adr/0104).
"""

import html
import re
from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.curriculum import (
    Outline,
    Point,
    decoded,
    name_of,
    raw_of,
    whole_file,
)
from edugraph_common.sources.ndjson import BOM, MalformedFile

_TAG = re.compile(r"<[^<>]*>")
# The data may be a script that assigns it to a variable.
_ASSIGNMENT = re.compile(rb"(?:window\.\w+\s*=|export default)\s*(?=\{)")
# Kind of node -> the kind above it, and the field with the id of that node.
_ABOVE = {
    "domains": ("", ""),
    "clusters": ("domains", "ccmathdomain_id"),
    "standards": ("clusters", "ccmathcluster_id"),
}


def read_coherence_map(blocks: Iterable[bytes]) -> Outline:
    """Return the outline of a coherence map. Raises MalformedFile."""
    value = _decoded(whole_file(blocks))
    if not isinstance(value, dict) or not {"standards", "edges"} <= value.keys():
        raise MalformedFile("it is not a coherence map: it has no standards and edges")
    outline = Outline("coherence_map")
    # (kind, id in the map) -> code
    codes: dict[tuple[str, str], str] = {}
    for kind in _ABOVE:
        for row, (node_id, node) in enumerate(_nodes(value.get(kind)), start=1):
            try:
                code = _add_node(outline, codes, kind, row, node)
            except InvalidRecord as problem:
                outline.set_aside(kind, row, raw_of(node), problem)
            else:
                codes[kind, node_id] = code
    for row, edge in enumerate(_list_of(value["edges"]), start=1):
        try:
            needed = _end(edge, "from", codes)
            point = _end(edge, "to", codes)
        except InvalidRecord as problem:
            outline.set_aside("edges", row, raw_of(edge), problem)
            continue
        if point in outline.points:
            outline.points[point].requires.append(needed)
    for row, _ in enumerate(_list_of(value.get("nd_edges")), start=1):
        outline.leave_out("nd_edges", row, "edge without a direction")
    return outline


def _decoded(text: bytes) -> Any:
    text = text.removeprefix(BOM).strip()
    script = _ASSIGNMENT.match(text)
    if script:
        text = text[script.end() :].rstrip(b"; \r\n\t")
    return decoded(text)


def _nodes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the nodes with their ids. They are an object by id, or a list of objects with an `id`."""
    if isinstance(value, dict):
        yield from value.items()
        return
    for node in _list_of(value):
        yield (_text(node, "id"), node)


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _add_node(
    outline: Outline, codes: dict[tuple[str, str], str], kind: str, row: int, node: Any
) -> str:
    """Add a node as a point. Return its code. Raises InvalidRecord."""
    ordinal = _text(node, "ordinal")
    if not ordinal:
        raise InvalidRecord("ordinal", "a code", shorten(node), "is missing")
    kind_above, field = _ABOVE[kind]
    parent = None
    code = f"{_text(node, 'grade')}.{ordinal}"
    if kind_above:
        parent = codes.get((kind_above, _text(node, field)))
        if parent is None:
            raise InvalidRecord(
                field, "the id of a point of the file", _text(node, field), "is not there"
            )
        code = f"{parent}.{ordinal}"
    whole, _, part = ordinal.partition(".")
    if kind == "standards" and part:
        # 4.a is a part of the standard 4 of its cluster, and its code is written 4a.
        code = f"{parent}.{whole}{part}"
        standard = f"{parent}.{whole}"
        if standard in outline.points:
            parent = standard
    statement = _plain(_text(node, "desc") or _text(node, "name"))
    outline.add(
        Point(
            part=kind,
            row=row,
            raw=raw_of(node),
            id=code,
            name=name_of(statement, code) if statement else code,
            label=code,
            description=statement or None,
            parent=parent,
        )
    )
    return code


def _end(edge: Any, name: str, codes: dict[tuple[str, str], str]) -> str:
    """Return the code at an end of an edge. Raises InvalidRecord."""
    node_id = _text(edge, name)
    code = codes.get(("standards", node_id))
    if code is None:
        raise InvalidRecord(name, "the id of a point of the file", node_id, "is not there")
    return code


def _text(node: Any, name: str) -> str:
    """Return a text or a number of an object as text, or an empty text."""
    value = node.get(name) if isinstance(node, dict) else None
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) or is_number:
        return str(value).strip()
    return ""


def _plain(text: str) -> str:
    """Return a text without HTML."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())
