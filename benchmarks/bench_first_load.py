"""The time of a first load with `neo4j-admin database import`, compared with the importer (make bench-first-load).

The importer's own code fills a graph with the synthetic school. All nodes and relationships, including the ledger,
are written as CSV files, and a new store is made from them. The importer creates its constraints there. The digest
must be the same, and sums and names must match the records. So the bench measures the copy of a graph. To load
records in this way, a program would have to compute the ledger, the sums and the version keys first.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import neo4j
from bench_growth import fill
from engines import PRIVACY_SECRET, bench
from own_neo4j import Store, own_neo4j

from edugraph_common.contracts.graph_schema import LABELS, RELATIONSHIPS
from edugraph_importer.graph import Graph
from edugraph_insights.whole_graph import graph_digest

# No text has this character: the only control characters in records are line breaks and tabs.
ARRAY_DELIMITER = "\x1f"
TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    size = parser.parse_args().records
    seconds: dict[str, float] = {}
    with bench(), tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / name for name in ("filled", "csv", "loaded")}
        for place in places.values():
            place.mkdir()
        with own_neo4j(places["filled"], PRIVACY_SECRET) as store:
            graph = Graph(store.settings)
            graph.prepare()
            seconds["the importer writes the records"] = size / fill(graph, size)[0]["records/s"]
            graph.close()
            began = time.monotonic()
            with reading(store) as session:
                options = list(write_csv(session, places["csv"]))
            seconds["all is written as CSV"] = time.monotonic() - began
            expected = digest(store)
        with own_neo4j(places["loaded"], PRIVACY_SECRET) as store:
            store.stop()
            began = time.monotonic()
            log = f"--report-file={places['csv']}/import.report"
            store.admin("database", "import", "full", "neo4j", log, *OPTIONS, *options)
            seconds["neo4j-admin database import full"] = time.monotonic() - began
            began = time.monotonic()
            store.start()
            seconds["the server starts"] = time.monotonic() - began
            graph = Graph(store.settings)
            began = time.monotonic()
            graph.prepare()
            seconds["prepare makes constraints and indexes"] = time.monotonic() - began
            found = digest(store)
            wrong = graph.derive_anew(repair=False)["wrong"]
            graph.close()
    for name, took in seconds.items():
        print(f"{name:<42}{took:>8.1f} s")
    print(
        f"digest: {'the same' if found == expected else 'ANOTHER'}; wrong of what is derived: {wrong or 'nothing'}"
    )
    return int(found != expected or bool(wrong))


OPTIONS = (
    "--overwrite-destination=true",
    "--multiline-fields=true",
    f"--array-delimiter=U+{ord(ARRAY_DELIMITER):04X}",
    "--max-off-heap-memory=512m",
)


def reading(store: Store) -> "neo4j.Session":
    driver = neo4j.GraphDatabase.driver(
        store.settings.uri,
        auth=(store.settings.user, store.password),
        notifications_min_severity="OFF",
    )
    return driver.session(default_access_mode=neo4j.READ_ACCESS)


def digest(store: Store) -> str:
    with reading(store) as session:
        return graph_digest(lambda query: (row.data() for row in session.run(neo4j.Query(query))))


def write_csv(session: neo4j.Session, folder: Path) -> Iterator[str]:
    """Write a file for each label, and for each type of relationship between two labels. Yield the options."""
    for label in LABELS:
        nodes = session.run(neo4j.Query(f"MATCH (n:{label}) RETURN properties(n) AS p"))
        path, found = folder / f"{label}.csv", [row["p"] for row in nodes]
        if found:
            ids = {f"id:ID({label})": [properties.pop("id") for properties in found]}
            write_table(path, ids, found)
            yield f"--nodes={label}={path}"
    ends = session.run(
        "MATCH (a)-[r]->(b) RETURN DISTINCT type(r) AS t, labels(a)[0] AS a, labels(b)[0] AS b"
    )
    for name, start, end in sorted(tuple(row.values()) for row in ends):
        assert name in RELATIONSHIPS
        query = f"MATCH (a:{start})-[r:{name}]->(b:{end}) RETURN a.id AS a, b.id AS b, properties(r) AS p"
        path, rows = folder / f"{start}_{name}_{end}.csv", session.run(neo4j.Query(query)).data()
        ids = {
            f":START_ID({start})": [row["a"] for row in rows],
            f":END_ID({end})": [row["b"] for row in rows],
        }
        write_table(path, ids, [row["p"] for row in rows])
        yield f"--relationships={name}={path}"


def write_table(path: Path, ids: Mapping[str, list[str]], rows: list[Mapping[str, Any]]) -> None:
    types = {name: type_of(value) for row in rows for name, value in row.items()}
    with path.open("w", encoding="utf-8") as file:
        file.write(
            ",".join(quoted(each) for each in [*ids, *(f"{name}:{types[name]}" for name in types)])
            + "\n"
        )
        for *keys, row in zip(*ids.values(), rows, strict=True):
            file.write(
                ",".join([*map(quoted, keys), *(cell(row.get(name)) for name in types)]) + "\n"
            )


def type_of(value: Any) -> str:
    if isinstance(value, list):
        return f"{type_of(value[0])}[]"
    return TYPES.get(type(value), "datetime")


def cell(value: Any) -> str:
    """Return the CSV cell of a value. An empty cell is a missing property, and two quotes are an empty text."""
    if value is None:
        return ""
    return quoted(
        ARRAY_DELIMITER.join(map(text, value)) if isinstance(value, list) else text(value)
    )


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value.iso_format())


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


if __name__ == "__main__":
    sys.exit(main())
