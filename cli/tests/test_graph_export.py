"""Files of an export: each form says what came, whatever names and texts hold, and a failure leaves nothing."""

import csv
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_cli import graph_export
from edugraph_cli.graph_export import NODE_COLUMNS, RELATIONSHIP_COLUMNS, Format, write_export
from edugraph_common.contracts.errors import Rejected

# What the graph can hold: anything but NUL and lone surrogates.
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
nodes = st.lists(
    st.builds(
        lambda label, node_id, properties: {
            "label": label,
            "id": node_id,
            "properties": properties,
        },
        st.sampled_from(["Student", "KnowledgePoint"]),
        texts,
        st.fixed_dictionaries(
            {}, optional={"name": texts, "title": texts, "records": st.integers(0, 9)}
        ),
    ),
    max_size=6,
)
NS = "{http://graphml.graphdrawing.org/xmlns}"


def lines_of(values: list[dict[str, Any]]) -> list[str]:
    """Add a relationship from each node to itself, and the end."""
    said = list[dict[str, Any]]()
    for value in values:
        node = f"{value['label']}:{value['id']}"
        said += [
            value,
            {"type": "CALLED", "from": node, "to": node, "properties": value["properties"]},
        ]
    return [
        json.dumps(value) for value in (*said, {"nodes": len(values), "relationships": len(values)})
    ]


def rows_of(value: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    properties = value["properties"]
    node = f"{value['label']}:{value['id']}"
    text = json.dumps(properties, ensure_ascii=False, sort_keys=True)
    row = (
        node,
        value["label"],
        value["id"],
        properties.get("name") or properties.get("title") or "",
        text,
    )
    return dict(zip(NODE_COLUMNS, row, strict=True)), {
        "type": "CALLED",
        "from": node,
        "to": node,
        "properties": text,
    }


@given(values=nodes)
@settings(deadline=None, max_examples=40)
def test_graphml_is_xml_that_says_what_came(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    """Out: `_NOT_IN_XML`: a control character makes the file unreadable."""
    path = tmp_path_factory.mktemp("graphml") / "graph.graphml"
    assert write_export(lines_of(values), path, "graphml") == {
        "nodes": len(values),
        "relationships": len(values),
    }
    # A parser may take another line ending for the one that was written.
    root = ET.fromstring(path.read_bytes())
    keys = {key.get("id"): key.get("attr.name") for key in root.iter(f"{NS}key")}
    for tag, number in (("node", 0), ("edge", 1)):
        found = [
            {keys[data.get("key")]: data.text or "" for data in each.iter(f"{NS}data")}
            for each in root.iter(f"{NS}{tag}")
        ]
        assert [json.loads(each["properties"]) for each in found] == [
            json.loads(rows_of(value)[number]["properties"]) for value in values
        ]
    ends = [(edge.get("source"), edge.get("target")) for edge in root.iter(f"{NS}edge")]
    assert ends == [(node.get("id"),) * 2 for node in root.iter(f"{NS}node")]


@given(values=nodes)
@settings(deadline=None, max_examples=25)
def test_tables_have_the_rows_that_came(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    """Out: the guard of formulas, or a flush of Parquet: a file has two rows at most here."""
    from arro3.core import Table
    from arro3.io import read_parquet

    folder = tmp_path_factory.mktemp("tables")
    write_export(lines_of(values), folder / "csv", "csv")
    with patch.object(graph_export, "PARQUET_ROWS", 2):
        write_export(lines_of(values), folder / "parquet", "parquet")
    for number, name in enumerate(("nodes", "relationships")):
        expected = [rows_of(value)[number] for value in values]
        columns = (NODE_COLUMNS, RELATIONSHIP_COLUMNS)[number]
        files = sorted((folder / "parquet" / name).iterdir())
        tables = [Table.from_arrow(read_parquet(file)) for file in files]
        assert all(tuple(table.column_names) == columns for table in tables)
        assert [row for table in tables for row in rows_in(table)] == expected
        with (folder / "csv" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            got = list(csv.DictReader(file))
        cells = [cell for row in got for cell in row.values()]
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in cells)
        # The only difference are the apostrophes before what looks like a formula.
        assert without_apostrophes(got) == without_apostrophes(expected)


def without_apostrophes(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: text.replace("'", "") for key, text in row.items()} for row in rows]


def rows_in(table: Any) -> list[dict[str, str]]:
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("form", ["graphml", "csv", "parquet"])
def test_an_export_that_was_cut_off_leaves_nothing(tmp_path: Path, form: Format) -> None:
    """Out: the last `raise` of `_write_lines`, the comparison of numbers, or `finally` of `write_export`."""
    node = {"label": "Student", "id": "s", "properties": {}}
    whole = lines_of([node, node])
    for lines in (whole[:-1], [*whole[:2], whole[-1]], []):
        with pytest.raises(Rejected, match="ask for it again"):
            write_export(lines, tmp_path / "out", form)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").write_text("mine")
    with pytest.raises(Rejected, match="is there already"):
        write_export(whole, tmp_path / "out", form)
    assert (tmp_path / "out").read_text() == "mine"
    with pytest.raises(Rejected, match="cannot be written"):
        write_export(whole, tmp_path / "out" / "below a file", form)
