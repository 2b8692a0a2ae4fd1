"""Reads the tables of a warehouse: names, students, new records, and all records of some students.

The rows have ids, moments and figures. They have no texts, no quotes and no teachers. Records of restricted students
are left out, and so are hidden findings (docs/adr/0148). An import that runs at the same time may be in the rows in
part; the next sync reads it whole.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from edugraph_common.runtime.shared_state.graph_changes import word_of
from edugraph_insights.graph import STATEMENTS, Graph, Row
from edugraph_insights.hidden_in_graph import ASPECT_OF, HiddenInGraph
from edugraph_insights.whole_graph import hidden_nodes

# Names of tables -> the rows of these tables.
Tables = dict[str, list[Row]]

NODES_AT_ONCE = 1_000
# Words of transactions that one page of new records has. A transaction of an import writes about 1,000 records.
WORDS_AT_ONCE = 10
# One answer has the students, from the first, whose records together are at most this many, and at least one student.
RECORDS_AT_ONCE = 20_000
# A transaction may end later than one with a later word. So words that are this much older than `since` are read
# again. A transaction lasts at most a minute. The rest is for clocks that differ.
LOOK_BACK = timedelta(minutes=10)
# A UUID of version 7 begins with its milliseconds, which these bits follow.
_BITS_BELOW_MILLISECONDS = 80
# A table of names -> the label of its nodes.
_NAMED = {
    "courses": "Course",
    "groups": "Group",
    "items": "Item",
    "points": "KnowledgePoint",
    "error_types": "ErrorType",
}


class _Source(NamedTuple):
    """Records of one label, the types of their relationships to students, and the tables that have their rows."""

    label: str
    types: str
    tables: tuple[str, ...]


_SOURCES = (
    _Source("Attempt", "TRIED", ("attempts", "mistakes")),
    _Source("ErrorRecord", "MADE", ("mistakes",)),
    _Source("Interaction", "SENT|RECEIVED_BY", ("messages",)),
    _Source("CourseRecord", "HAS_RECORD", ("progress",)),
    _Source("ActiveDay", "ACTIVE_ON", ("activity",)),
    _Source("Membership", "HAS_MEMBERSHIP", ("memberships",)),
)


def changes(graph: Graph, since: int | None) -> Iterator[dict[str, Any]]:
    """Yield the tables of names, all students, and the records that were written since a moment.

    The first value is `{"latest": moment, "settled": word}`, and the last one `{"end": number of rows}`. The others
    map the names of tables to rows. All rows of a record are in one value. Moments are those of the last transaction
    that wrote records, in milliseconds. Records with `settled` or a later word are in the answer to `since=latest`.
    Without `since` no records are read. Raises Retryable.
    """
    latest = _latest(graph)
    yield {"latest": latest, "settled": _first_word(latest)}
    rows = 0
    for tables in _all_tables(graph, since):
        rows += sum(len(each) for each in tables.values())
        yield tables
    yield {"end": rows}


def _all_tables(graph: Graph, since: int | None) -> Iterator[Tables]:
    hidden = HiddenInGraph(graph)
    yield from _names(graph, hidden)
    for page in _pages(graph, STATEMENTS["warehouse_students"]):
        yield {"students": [_without_flag(row) for row in page if not row["restricted"]]}
    if since is not None:
        for source in _SOURCES:
            yield from _written_since(hidden, source, _first_word(since))


def records_of(graph: Graph, students: Sequence[str]) -> tuple[list[str], Tables]:
    """Return the first of these students, and all their rows, without those of restricted students.

    Their records are at most RECORDS_AT_ONCE, or those of one student. Raises Retryable.
    """
    first = _first_students(graph, students)
    hidden = HiddenInGraph(graph)
    found: Tables = {}
    for source in _SOURCES:
        _add_rows(hidden, found, source, "warehouse_of_students", students=first)
    return first, found


def _first_students(graph: Graph, students: Sequence[str]) -> list[str]:
    sizes: dict[str, int] = {}
    for row in graph.scan(STATEMENTS["warehouse_sizes"], students=list(students)):
        sizes[row["id"]] = row["records"]
    first: list[str] = []
    records = 0
    for who in students:
        records += sizes.get(who, 0)
        if first and records > RECORDS_AT_ONCE:
            break
        first.append(who)
    return first


def _names(graph: Graph, hidden_findings: HiddenInGraph) -> Iterator[Tables]:
    hidden = hidden_nodes(graph)
    for label in ASPECT_OF:
        hidden |= {(label, name) for name in hidden_findings.names(label)}
    for table, label in _NAMED.items():
        statement = STATEMENTS["warehouse_named"].replace("{label}", label)
        for page in _pages(graph, statement):
            rows = [row for row in page if (label, row["id"]) not in hidden]
            yield {table: rows}
            if table == "items":
                items = [row["id"] for row in rows]
                tested = graph.scan(STATEMENTS["warehouse_item_points"], items=items)
                yield {"item_points": _unless_hidden(tested, hidden)}


def _unless_hidden(rows: Iterator[Row], hidden: set[tuple[str, str]]) -> list[Row]:
    return [row for row in rows if ("KnowledgePoint", row["point"]) not in hidden]


def _pages(graph: Graph, statement: str) -> Iterator[list[Row]]:
    after = ""
    while True:
        page = list(graph.scan(statement, after=after, limit=NODES_AT_ONCE))
        if page:
            yield page
        if len(page) < NODES_AT_ONCE:
            return
        after = page[-1]["id"]


def _without_flag(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "restricted"}


def _latest(graph: Graph) -> int:
    """Return the moment of the last transaction that wrote records, in milliseconds, or 0 if there was none."""
    latest = 0
    for source in _SOURCES:
        statement = STATEMENTS["warehouse_last_word"].replace("{label}", source.label)
        for row in graph.scan(statement):
            latest = max(latest, UUID(row["word"]).int >> _BITS_BELOW_MILLISECONDS)
    return latest


def _first_word(milliseconds: int) -> str:
    """Return the smallest word that a transaction at a moment, or up to LOOK_BACK earlier, may have."""
    looked_back = max(0, milliseconds - LOOK_BACK // timedelta(milliseconds=1))
    return word_of(datetime.fromtimestamp(looked_back / 1_000, UTC), 0)


def _written_since(hidden: HiddenInGraph, source: _Source, after: str) -> Iterator[Tables]:
    statement = STATEMENTS["warehouse_words"].replace("{label}", source.label)
    while True:
        rows = hidden.graph.scan(statement, after=after, limit=WORDS_AT_ONCE)
        words = [row["word"] for row in rows]
        if not words:
            return
        found: Tables = {}
        _add_rows(hidden, found, source, "warehouse_of_words", words=words)
        yield found
        after = words[-1]


def _add_rows(
    hidden: HiddenInGraph, found: Tables, source: _Source, beginning: str, **parameters: list[str]
) -> None:
    begins = STATEMENTS[beginning].replace("{label}", source.label)
    begins = begins.replace("{types}", source.types)
    for table in source.tables:
        statement = STATEMENTS[f"warehouse_{table}"].replace("{found}", begins)
        rows = found.setdefault(table, [])
        read: list[Row] = []
        for row in hidden.graph.scan(statement, **parameters):
            # Another transaction may have deleted a node meanwhile. Its properties are null.
            if row["record"] is not None and row["student"] is not None:
                read.append(row)
        if table == "mistakes":
            read = hidden.without_hidden(read)
        rows += read
