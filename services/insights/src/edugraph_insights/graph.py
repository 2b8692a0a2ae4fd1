"""The one module of insights that knows Neo4j: it reads, with a limit of time and of rows for each statement.

The statements stand in `cypher/*.cypher`, each after a line `// name: …`. Each starts at students, at a course's or
an item's id, or at points, never at all nodes of a label but the few terms, and is given the students whom the caller
may see. Only what `scan` reads goes through all of the graph; it is for who may see all of it.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from typing import Any, LiteralString

import neo4j
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from edugraph_common.contracts.errors import Retryable, what
from edugraph_common.contracts.graph_schema import LABELS, NAMED_LABELS, RELATIONSHIPS
from edugraph_common.platform.index_hints import with_index_hint
from edugraph_insights.problems import Busy, TooLarge
from edugraph_insights.settings import InsightsSettings

MAX_ROWS = 200_000  # of one statement
STUDENTS_AT_ONCE = 250
MOST_PORTIONS = 8
# A statement is given up when it will take so many times more rows or time than it may: what it will come to is only
# told from the students read so far.
CLEARLY_TOO_LARGE = 2
SCAN_TIMEOUT_SECONDS = 30.0
OUT_OF_TIME_RETRY_SECONDS = 5.0
NARROWER = "Ask for one group or one student, or for a shorter time (from, to)."
# The codes of a transaction that the server ended because its time was over.
_OUT_OF_TIME = ("TransactionTimedOut", "TransactionTimedOutClientConfiguration", "Transaction.Terminated")
Row = dict[str, Any]


class Graph:
    """Connects at first use. Threads may share it.

    Raises Retryable when the graph does not answer; `read` raises TooLarge and Busy as well.
    """

    def __init__(self, settings: InsightsSettings, *, max_rows: int = MAX_ROWS) -> None:
        self._settings, self._max_rows = settings, max_rows

    def read(self, statement: str, **parameters: Any) -> list[Row]:
        """Return the rows of a statement of `cypher/` by its name. Dates and times are Python's own, in UTC."""
        return self._rows(STATEMENTS[statement], parameters)

    def read_along(self, statement: str, label: str | None, types: Collection[str], **parameters: Any) -> list[Row]:
        """Return the rows of a statement that is for any label or types, which are filled in."""
        return self._rows(statement_text(statement, label, types), parameters)

    def read_by_student(self, statement: str, students: Sequence[str], **parameters: Any) -> list[Row]:
        """Return the rows of a statement of which each is about one of these students, in no order.

        The statement returns them packed: of each student the names of the other columns and a list of lists. The
        driver takes 60 µs for a row and 60 µs for a moment; these rows take 3 µs. A moment stands as text in the
        column `at`, and is returned as Python's own.

        Some students are read at a time, every n-th one, so that Neo4j holds the rows of these alone, and so that a
        question which is much too large is known as such from the first of them.
        """
        portions = min(MOST_PORTIONS, -(-len(students) // STUDENTS_AT_ONCE))
        found: list[Row] = []
        begun, done = time.monotonic(), 0
        for portion in (list(students[start::portions]) for start in range(portions)):
            left_seconds = self._settings.query_timeout_seconds - (time.monotonic() - begun)
            if left_seconds <= 0:
                raise _out_of_time()
            for packed in self._rows(STATEMENTS[statement], {**parameters, "students": portion}, left_seconds):
                columns = ("student", *packed["columns"])
                found += [dict(zip(columns, (packed["student"], *row), strict=True)) for row in packed["rows"]]
            done += len(portion)
            expected = len(students) / done / CLEARLY_TOO_LARGE
            if len(found) > self._max_rows or len(found) * expected > self._max_rows:
                raise self._too_many_rows()
            if (time.monotonic() - begun) * expected > self._settings.query_timeout_seconds:
                raise _out_of_time()
        for row in found:
            if "at" in row:
                row["at"] = datetime.fromisoformat(row["at"])
        return found

    def _rows(
        self, text: LiteralString, parameters: Mapping[str, Any], timeout_seconds: float | None = None
    ) -> list[Row]:
        # Each statement is a transaction of its own. When one of the driver's managed transactions fails, the driver
        # gives its connection back and then asks it once more how it is; by then another thread may read from it,
        # which loses a byte, waits for ever, or has its own transaction rolled back (docs/adr/0079).
        query = neo4j.Query(text, timeout=timeout_seconds or self._settings.query_timeout_seconds)
        with _driver_errors(), self._session() as session:
            found = session.run(query, dict(parameters)).fetch(self._max_rows + 1)
            if len(found) > self._max_rows:
                raise self._too_many_rows()
            # No statement returns a node, so that `Record.data`, which looks for one in each list, is not needed.
            return [
                {name: _native(value) for name, value in zip(record.keys(), record.values(), strict=True)}
                for record in found
            ]

    def _too_many_rows(self) -> TooLarge:
        return TooLarge(f"This question would read more than {self._max_rows:,} records at once", NARROWER)

    def scan(self, statement: str, **parameters: Any) -> Iterator[Row]:
        """Yield the rows of a statement that may read the whole graph, without holding them. Values are the driver's.

        `statement` is its text, which is put together from this project's own labels and types only.
        """
        query = neo4j.Query(statement, timeout=SCAN_TIMEOUT_SECONDS)
        try:
            with _driver_errors(), self._session() as session:
                for record in session.run(query, parameters):
                    yield {name: record[name] for name in record.keys()}  # noqa: SIM118 - a Record iterates values
        except Busy:
            raise Retryable(f"the graph could not be read within {SCAN_TIMEOUT_SECONDS:g} s") from None

    def answers(self) -> None:
        """Raise Retryable when the graph does not answer."""
        self.read("one")

    def close(self) -> None:
        if "_driver" in self.__dict__:
            self._driver.close()

    def _session(self) -> neo4j.Session:
        return self._driver.session(
            database=self._settings.neo4j_database, default_access_mode=neo4j.READ_ACCESS, fetch_size=1_000
        )

    @cached_property
    def _driver(self) -> neo4j.Driver:
        user, password = self._settings.neo4j_user, self._settings.neo4j_password
        return neo4j.GraphDatabase.driver(
            self._settings.neo4j_uri,
            auth=(user, password.get_secret_value()) if user and password else None,
            connection_timeout=3.0,
            connection_acquisition_timeout=5.0,
            notifications_min_severity="OFF",
            telemetry_disabled=True,
            user_agent="edugraph-insights",
        )


def statement_text(statement: str, label: str | None, types: Collection[str]) -> LiteralString:
    """Return a statement with a label and types of the graph's schema filled in: they cannot be parameters of Cypher.

    What means the same is one thing: of a label whose nodes have several names, a class is sought by its key.
    """
    known = next((each for each in LABELS if each == label), None)
    of_types = [each for each in RELATIONSHIPS if each in types]
    if (label is not None and known is None) or len(of_types) < len(set(types)):
        raise ValueError("no label or type of the graph's schema")
    degrees = ", ".join(f"COUNT {{ (n)-[:{each}]-() }}" for each in of_types)
    text = (
        STATEMENTS[statement]
        .replace("{label}", known or "")
        .replace("{types}", "|".join(of_types))
        .replace("{degrees}", degrees)
    )
    return text.replace("{key}", "canonical" if label in NAMED_LABELS else "id")


def _native(value: Any) -> Any:
    return value.to_native() if hasattr(value, "to_native") else value


def _load() -> Mapping[str, LiteralString]:
    statements: dict[str, LiteralString] = {}
    in_time: LiteralString = (
        "coalesce(m.timestamp >= datetime($since), true) AND coalesce(m.timestamp <= datetime($until), true)"
        " AND coalesce(m.date >= $since_day, true) AND coalesce(m.date <= $until_day, true)"
    )
    # Texts that stand in several statements.
    shared: dict[LiteralString, LiteralString] = {
        "{in_time}": in_time,
        "{in_time_n}": in_time.replace("m.", "n."),
        "{begins}": "($begins = '' OR toLower(n.id) STARTS WITH $begins OR toLower(n.name) STARTS WITH $begins)",
        "{relationship}": "elementId(r) AS relationship, type(r) AS type, labels(n)[0] AS label, "
        "coalesce(n.canonical, n.id) AS id, labels(m)[0] AS other_label, coalesce(m.canonical, m.id) AS other_id, "
        "startNode(r).id = n.id AS outward, r.confidence AS confidence, "
        "coalesce(r.weight, r.strength, r.message_count, r.like_count, r.interaction_count, r.tries) AS weight",
    }
    for file in (files(__package__) / "cypher").iterdir():
        text: LiteralString = file.read_text("utf-8") if file.name.endswith(".cypher") else ""
        for part in text.split("// name: ")[1:]:
            name, _, rest = part.partition("\n")
            body: LiteralString = "\n".join(
                with_index_hint(line) for line in rest.splitlines() if line.strip() and not line.startswith("//")
            )
            for placeholder, fragment in shared.items():
                body = body.replace(placeholder, fragment)
            statements[name.strip()] = body
    return statements


STATEMENTS = _load()


def _out_of_time() -> Busy:
    found = "The graph could not answer this in the time that one question has"
    offer = f"Ask again later. {NARROWER}"
    return Busy(found, offer, retry_after_seconds=OUT_OF_TIME_RETRY_SECONDS)


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Translate the driver's errors. The cause is left out on purpose: its message may quote a record."""
    try:
        yield
    except AuthError:
        raise Retryable("the graph database refuses the user or password of insights") from None
    except Neo4jError as error:
        if any(code in (error.code or "") for code in _OUT_OF_TIME):
            raise _out_of_time() from None
        raise Retryable(f"the graph database could not answer ({error.code})") from None
    except (DriverError, OSError) as error:
        raise Retryable(f"the graph database does not answer ({what(error)})") from None
