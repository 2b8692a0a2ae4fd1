"""The time of a late list of ids: `make bench-persons` (BENCH_ARGS="--aliases 1000" for a shorter one).

The importer's own code fills a Neo4j, which only this bench uses, with 20 records of each person under another id.
Then a list arrives that gives each person this id. The bench measures until all records stand at their persons, and
prints one table. It exits with 1 if a figure is missed, or if a record stands elsewhere. The goal holds for 10,000
ids. On a busy machine the figures are rough.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import neo4j
from engines import PRIVACY_SECRET, bench
from own_neo4j import Store, own_neo4j

from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch

ALIASES = 10_000
RECORDS_OF_AN_ALIAS = 20
ROWS_OF_A_BATCH = 1_000
ITEMS = 200
COURSES = 10
MOST_SECONDS = 300.0  # for a list of 10,000 ids


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aliases", type=int, default=ALIASES)
    parser.add_argument("--smoke", action="store_true", help="a small list: figures do not count")
    given = parser.parse_args()
    aliases = 20 if given.smoke else given.aliases
    with (
        bench(),
        tempfile.TemporaryDirectory() as folder,
        own_neo4j(Path(folder), PRIVACY_SECRET) as store,
    ):
        return measure(store, aliases, is_smoke=given.smoke)


def measure(store: Store, aliases: int, *, is_smoke: bool) -> int:
    graph = Graph(store.settings)
    try:
        graph.prepare()
        filling = seconds_of_import(graph, "records", records_of_aliases(aliases))
        listing = seconds_of_import(graph, "list", list_of_ids(aliases))
        began = time.perf_counter()
        settled = graph.settle_persons()
        settling = time.perf_counter() - began
    finally:
        graph.close()
    misplaced = records_at_aliases(store)
    most = MOST_SECONDS * aliases / ALIASES
    is_slow = listing + settling > most
    is_wrong = misplaced > 0 or settled.moved != aliases * RECORDS_OF_AN_ALIAS
    verdict = "MISSED" if is_slow else "good"
    print(f"{aliases * RECORDS_OF_AN_ALIAS:,} records written, s   {filling:10.1f}")
    print(f"list of {aliases:,} ids written, s      {listing:10.1f}")
    print(f"records moved to their persons, s   {settling:10.1f}")
    print(f"records moved                       {settled.moved:10,}")
    print(f"records that stand elsewhere        {misplaced:10,}")
    print(
        f"list applied, s                     {listing + settling:10.1f}   {verdict}, goal {most:.0f}"
    )
    return int((is_slow and not is_smoke) or is_wrong)


def records_of_aliases(aliases: int) -> Iterator[Record]:
    """Yield 20 records of each id, those of all persons mixed as in exports by day."""
    for number in range(RECORDS_OF_AN_ALIAS):
        for alias in range(aliases):
            data: dict[str, Any] = {"student_id": f"alias-{alias}"}
            data["course_id"] = f"c{alias % COURSES}"
            if number % 4 == 0:
                kind = "error_record"
                data |= {"error_text": f"{number} + {alias}", "error_type": f"type {alias % 40}"}
            else:
                kind = "attempt_record"
                item = (alias + number) % ITEMS
                data |= {"item_id": f"i{item}", "correct": alias % 3 > 0}
                data["knowledge_points"] = [f"point {item % 50}"]
            yield parse_record(
                {
                    "type": kind,
                    "record_id": f"r{alias}-{number}",
                    "timestamp": f"2026-03-{number + 1:02}T08:00:00Z",
                    "data": data,
                }
            )


def list_of_ids(aliases: int) -> Iterator[Record]:
    for alias in range(aliases):
        data = {"person_id": f"S{alias:06}", "also": [f"alias-{alias}"]}
        yield parse_record({"type": "person_record", "timestamp": "2026-07-01", "data": data})


def seconds_of_import(graph: Graph, job_id: str, records: Iterator[Record]) -> float:
    """Write the records in batches. Return the seconds of the writing alone."""
    seconds = 0.0
    batch = 0
    while rows := _next_rows(records):
        began = time.perf_counter()
        graph.write_batch(RecordBatch(job_id, batch, rows, (), len(rows)))
        seconds += time.perf_counter() - began
        batch += 1
    return seconds


def _next_rows(records: Iterator[Record]) -> Sequence[tuple[int, Record]]:
    rows: list[tuple[int, Record]] = []
    for record in records:
        rows.append((len(rows) + 1, record))
        if len(rows) == ROWS_OF_A_BATCH:
            break
    return rows


def records_at_aliases(store: Store) -> int:
    """Return the number of records that stand at the node of another id than the person's."""
    settings = store.settings
    auth = (settings.user, settings.password.get_secret_value())
    query = (
        "MATCH (s:Student)-[:TRIED|MADE]->(n) WHERE s.id STARTS WITH 'alias-' RETURN count(n) AS n"
    )
    with neo4j.GraphDatabase.driver(settings.uri, auth=auth) as driver:
        rows, _, _ = driver.execute_query(query, database_=settings.database)
        return int(rows[0]["n"])


if __name__ == "__main__":
    sys.exit(main())
