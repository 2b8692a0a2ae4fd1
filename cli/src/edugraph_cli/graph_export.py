"""Files of the whole graph for other programs: GraphML for drawing, CSV and Parquet for data analysis.

Rows are written as they come, so memory does not grow with the graph. The properties of nodes and relationships
differ by label, so all of them stand as JSON in one column.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from edugraph_common.contracts.csv_cells import harmless
from edugraph_common.contracts.errors import Rejected

Format = Literal["graphml", "csv", "parquet"]
NODE_COLUMNS = ("node", "label", "id", "name", "properties")
RELATIONSHIP_COLUMNS = ("type", "from", "to", "properties")
PARQUET_ROWS = 50_000  # in one file
# Characters that XML 1.0 cannot hold in any form. They are replaced.
_NOT_IN_XML = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF], "�")
Write = Callable[[Mapping[str, str]], None]


def write_export(lines: Iterable[str], path: Path, form: Format) -> Mapping[str, int]:
    """Write the lines of `Client.export_graph`, and return the numbers of nodes and relationships.

    GraphML is one file; CSV and Parquet are files in a new folder. If writing fails, nothing is left. Raises Rejected
    if the export was cut off, or if the path exists or cannot be written.
    """
    if path.exists():
        raise Rejected(f"{path} is there already; name another")
    part = path.with_name(f"{path.name}.part")
    try:
        with _FORMATS[form](part) as (write_node, write_relationship):
            wrote = _write_lines(lines, write_node, write_relationship)
        part.rename(path)
    except OSError as error:
        raise Rejected(f"{path} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):
            part.unlink()
    return wrote


def _write_lines(
    lines: Iterable[str], write_node: Write, write_relationship: Write
) -> Mapping[str, int]:
    """Write each line, and return the numbers of nodes and relationships. Raises Rejected if lines are missing."""
    wrote = {"nodes": 0, "relationships": 0}
    for line in lines:
        value = json.loads(line)
        if "nodes" in value:
            if value != wrote:
                raise Rejected(
                    f"the export says that it has {value}, but {wrote} came; ask for it again"
                )
            return wrote
        properties = json.dumps(value["properties"], ensure_ascii=False, sort_keys=True)
        if "label" in value:
            write_node(
                {
                    "node": f"{value['label']}:{value['id']}",
                    "label": value["label"],
                    "id": value["id"],
                    "name": value["properties"].get("name")
                    or value["properties"].get("title")
                    or "",
                    "properties": properties,
                }
            )
            wrote["nodes"] += 1
        else:
            write_relationship(
                {
                    "type": value["type"],
                    "from": value["from"],
                    "to": value["to"],
                    "properties": properties,
                }
            )
            wrote["relationships"] += 1
    raise Rejected("the export was cut off; ask for it again")


@contextmanager
def _graphml(path: Path) -> Iterator[tuple[Write, Write]]:
    with path.open("x", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)

        def element(tag: str, attributes: dict[str, str], data: Mapping[str, str]) -> None:
            xml.startElement(tag, AttributesImpl(attributes))
            for key, text in data.items():
                xml.startElement("data", AttributesImpl({"key": key}))
                xml.characters(text.translate(_NOT_IN_XML))
                xml.endElement("data")
            xml.endElement(tag)
            xml.characters("\n")

        def node(row: Mapping[str, str]) -> None:
            data = {f"n_{column}": row[column] for column in NODE_COLUMNS[1:]}
            element("node", {"id": row["node"].translate(_NOT_IN_XML)}, data)

        def relationship(row: Mapping[str, str]) -> None:
            ends = {
                "source": row["from"].translate(_NOT_IN_XML),
                "target": row["to"].translate(_NOT_IN_XML),
            }
            element("edge", ends, {"e_type": row["type"], "e_properties": row["properties"]})

        xml.startDocument()
        xml.startElement(
            "graphml", AttributesImpl({"xmlns": "http://graphml.graphdrawing.org/xmlns"})
        )
        keys = [("node", "n", NODE_COLUMNS[1:]), ("edge", "e", ("type", "properties"))]
        for of, prefix, columns in keys:
            for column in columns:
                key = {
                    "id": f"{prefix}_{column}",
                    "for": of,
                    "attr.name": column,
                    "attr.type": "string",
                }
                xml.startElement("key", AttributesImpl(key))
                xml.endElement("key")
        xml.startElement("graph", AttributesImpl({"edgedefault": "directed"}))
        yield node, relationship
        xml.endElement("graph")
        xml.endElement("graphml")
        xml.endDocument()


@contextmanager
def _csv(folder: Path) -> Iterator[tuple[Write, Write]]:
    folder.mkdir(parents=True)
    with ExitStack() as open_files:

        def writer(name: str, columns: tuple[str, ...]) -> Write:
            file = open_files.enter_context((folder / name).open("x", encoding="utf-8", newline=""))
            rows = csv.DictWriter(file, columns)
            rows.writeheader()

            def write(row: Mapping[str, str]) -> None:
                rows.writerow({key: harmless(text) for key, text in row.items()})

            return write

        yield writer("nodes.csv", NODE_COLUMNS), writer("relationships.csv", RELATIONSHIP_COLUMNS)


@contextmanager
def _parquet(folder: Path) -> Iterator[tuple[Write, Write]]:
    nodes = _ParquetFiles(folder / "nodes", NODE_COLUMNS)
    relationships = _ParquetFiles(folder / "relationships", RELATIONSHIP_COLUMNS)
    yield nodes.write, relationships.write
    nodes.flush()
    relationships.flush()


class _ParquetFiles:
    """The files of one table, `0000.parquet` and so on. Programs read them as one folder."""

    def __init__(self, folder: Path, columns: tuple[str, ...]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._columns = columns
        self._files = 0
        self._rows: list[Mapping[str, str]] = []

    def write(self, row: Mapping[str, str]) -> None:
        self._rows.append(row)
        if len(self._rows) == PARQUET_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the remaining rows. An empty table gets one file too, so that its columns are known."""
        from arro3.core import Array, DataType, Table
        from arro3.io import write_parquet

        if self._files and not self._rows:
            return
        columns = []
        for name in self._columns:
            values = [row[name] for row in self._rows]
            columns.append(Array(values, type=DataType.string()))
        table = Table.from_arrays(columns, names=list(self._columns))
        write_parquet(table, self._folder / f"{self._files:04}.parquet")
        self._files += 1
        self._rows.clear()


_FORMATS: Mapping[Format, Callable[[Path], Any]] = {
    "graphml": _graphml,
    "csv": _csv,
    "parquet": _parquet,
}
