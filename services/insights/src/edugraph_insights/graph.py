"""The only module of insights that knows Neo4j. It reads, with limits of time and rows for each statement.

The statements stand in `cypher/*.cypher`, each after a line `// name: …`. A statement starts at students, points, or
the id of a course or an item, and gets the students whom the caller may see as a parameter. No statement starts at
all nodes of a label, except at the few terms. Only `scan` goes through the whole graph, for callers who may see it.
"""

import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from math import ceil
from typing import Any, LiteralString, Protocol

import neo4j
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from edugraph_common.contracts.errors import Retryable, what
from edugraph_common.contracts.graph_schema import LABELS, NAMED_LABELS, RELATIONSHIPS
from edugraph_common.runtime.service.index_hints import with_index_hint
from edugraph_insights.problems import Busy, TooLarge
from edugraph_insights.settings import InsightsSettings

MAX_ROWS = 200_000  # that one statement may return
STUDENTS_AT_ONCE = 250
MOST_PORTIONS = 8
# Portions of columns are read two at a time.
SESSIONS_OF_READ = 2
# The rows and the time of the whole statement are estimated from the students read so far. The statement is given up
# when the estimate is this many times the limit.
CLEARLY_TOO_LARGE = 2
SCAN_TIMEOUT_SECONDS = 30.0
OUT_OF_TIME_RETRY_SECONDS = 5.0
NARROWER = "Ask for one group or one student, or for a shorter time (from, to)."
# The codes of a transaction that the server ended because its time was over.
_OUT_OF_TIME = (
    "TransactionTimedOut",
    "TransactionTimedOutClientConfiguration",
    "Transaction.Terminated",
)
Row = dict[str, Any]


class Reader(Protocol):
    """A source of rows for the statements of questions: the graph, or rows of it that were read before."""

    def read(self, statement: str, **parameters: Any) -> list[Row]: ...

    def read_by_student(
        self, statement: str, students: Sequence[str], **parameters: Any
    ) -> list[Row]: ...


class Graph:
    """A client of Neo4j that only reads. It connects at its first use, and threads may share it.

    Methods raise Retryable if the graph does not answer. The `read` methods also raise TooLarge and Busy.
    """

    def __init__(self, settings: InsightsSettings, *, max_rows: int = MAX_ROWS) -> None:
        self._settings = settings
        self._max_rows = max_rows

    def read(self, statement: str, **parameters: Any) -> list[Row]:
        """Return the rows of the statement of this name in `cypher/`. Times are Python's own types, in UTC."""
        return self._rows(STATEMENTS[statement], parameters)

    def read_along(
        self, statement: str, label: str | None, types: Collection[str], **parameters: Any
    ) -> list[Row]:
        """Return the rows of a statement after the label and the types are filled in."""
        return self._rows(statement_text(statement, label, types), parameters)

    def read_by_student(
        self, statement: str, students: Sequence[str], **parameters: Any
    ) -> list[Row]:
        """Return the rows of a statement about students, each about one of them, in no particular order.

        The statement packs the rows of a student into one row: the names of the other columns and a list of lists.
        The driver takes 60 µs for a row and 60 µs for a time, but only 3 µs for a packed row. A time is text in the
        column `at`, and is returned as a datetime.

        The students are read in portions, each with every n-th student. So Neo4j holds the rows of one portion only,
        and the first portion already shows whether a question is much too large.
        """
        portions = min(MOST_PORTIONS, ceil(len(students) / STUDENTS_AT_ONCE))
        found: list[Row] = []
        begun = time.monotonic()
        done = 0
        for start in range(portions):
            portion = list(students[start::portions])
            left_seconds = self._settings.query_timeout_seconds - (time.monotonic() - begun)
            if left_seconds <= 0:
                raise _out_of_time()
            for packed in self._rows(
                STATEMENTS[statement], {**parameters, "students": portion}, left_seconds
            ):
                for values in packed["rows"]:
                    row = dict(zip(packed["columns"], values, strict=True))
                    row["student"] = packed["student"]
                    found.append(row)
            done += len(portion)
            # The expected total is the number so far times this factor, divided by CLEARLY_TOO_LARGE.
            factor = len(students) / done / CLEARLY_TOO_LARGE
            has_too_many_rows = len(found) > self._max_rows
            will_have_too_many_rows = len(found) * factor > self._max_rows
            if has_too_many_rows or will_have_too_many_rows:
                raise self._too_many_rows()
            if (time.monotonic() - begun) * factor > self._settings.query_timeout_seconds:
                raise _out_of_time()
        for row in found:
            if "at" in row:
                row["at"] = datetime.fromisoformat(row["at"])
        return found

    def read_columns(
        self, statement: str, portions: Iterable[Sequence[str]], **parameters: Any
    ) -> Generator[tuple[Sequence[str], list[Row]]]:
        """Yield the portions of students, each with the rows of a statement that returns one row for a student.

        The values of a row are lists, one for each column of the student's records, since a list costs the driver
        less than a row. Two portions are read ahead of the caller, so that Neo4j and this process hold the records of
        three portions at most. The caller closes the generator.
        """
        begun = time.monotonic()

        def read(portion: Sequence[str]) -> list[Row]:
            left_seconds = self._settings.query_timeout_seconds - (time.monotonic() - begun)
            if left_seconds <= 0:
                raise _out_of_time()
            of_portion = {**parameters, "students": list(portion)}
            return self._rows(STATEMENTS[statement], of_portion, left_seconds)

        ahead: deque[tuple[Sequence[str], Future[list[Row]]]] = deque()
        with ThreadPoolExecutor(SESSIONS_OF_READ) as pool:
            try:
                for portion in portions:
                    ahead.append((portion, pool.submit(read, portion)))
                    if len(ahead) > SESSIONS_OF_READ:
                        first, rows = ahead.popleft()
                        yield first, rows.result()
                for first, rows in ahead:
                    yield first, rows.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _rows(
        self,
        text: LiteralString,
        parameters: Mapping[str, Any],
        timeout_seconds: float | None = None,
    ) -> list[Row]:
        # Each statement is a transaction of its own. If one of the driver's managed transactions fails, the driver
        # gives the connection back to the pool and then still uses it once. Another thread may read from it by then,
        # which loses a byte, waits forever, or has its own transaction rolled back (docs/adr/0079).
        query = neo4j.Query(text, timeout=timeout_seconds or self._settings.query_timeout_seconds)
        with _driver_errors(), self._session() as session:
            found = session.run(query, dict(parameters)).fetch(self._max_rows + 1)
            if len(found) > self._max_rows:
                raise self._too_many_rows()
            # `Record.data` is slower, since it looks for nodes in each list. No statement here returns a node.
            rows = []
            for record in found:
                values = zip(record.keys(), record.values(), strict=True)
                rows.append({name: _native(value) for name, value in values})
            return rows

    def _too_many_rows(self) -> TooLarge:
        return TooLarge(
            f"This question would read more than {self._max_rows:,} records at once", NARROWER
        )

    def scan(self, statement: str, **parameters: Any) -> Iterator[Row]:
        """Yield the rows of a statement that may read the whole graph, one by one. Values keep the driver's types.

        `statement` is the text of the statement. It contains labels and types of this project, never of a request.
        """
        query = neo4j.Query(statement, timeout=SCAN_TIMEOUT_SECONDS)
        try:
            with _driver_errors(), self._session() as session:
                for record in session.run(query, parameters):
                    yield {name: record[name] for name in record.keys()}  # noqa: SIM118 - a Record iterates values
        except Busy:
            raise Retryable(
                f"the graph could not be read within {SCAN_TIMEOUT_SECONDS:g} s"
            ) from None

    def answers(self) -> None:
        """Raise Retryable if the graph does not answer."""
        self.read("one")

    def close(self) -> None:
        if "_driver" in self.__dict__:
            self._driver.close()

    def _session(self) -> neo4j.Session:
        return self._driver.session(
            database=self._settings.neo4j_database,
            default_access_mode=neo4j.READ_ACCESS,
            fetch_size=1_000,
        )

    @cached_property
    def _driver(self) -> neo4j.Driver:
        user = self._settings.neo4j_user
        password = self._settings.neo4j_password
        auth = None
        if user and password:
            auth = (user, password.get_secret_value())
        return neo4j.GraphDatabase.driver(
            self._settings.neo4j_uri,
            auth=auth,
            connection_timeout=3.0,
            connection_acquisition_timeout=5.0,
            notifications_min_severity="OFF",
            telemetry_disabled=True,
            user_agent="edugraph-insights",
        )


def statement_text(statement: str, label: str | None, types: Collection[str]) -> LiteralString:
    """Return a statement with a label and types of the graph's schema filled in.

    Cypher does not take labels and types as parameters. Nodes of a label with synonyms are found by the id of their
    canonical node. Raises ValueError for a label or type that is not in the schema.
    """
    # The texts come from the schema and not from the arguments, so that nothing else can get into a statement.
    known_labels = [each for each in LABELS if each == label]
    known_types = [each for each in RELATIONSHIPS if each in types]
    is_unknown_label = label is not None and not known_labels
    if is_unknown_label or len(known_types) < len(set(types)):
        raise ValueError("no label or type of the graph's schema")
    key: LiteralString = "canonical" if label in NAMED_LABELS else "id"
    degrees = ", ".join(f"COUNT {{ (n)-[:{each}]-() }}" for each in known_types)
    return (
        STATEMENTS[statement]
        .replace("{label}", "".join(known_labels))
        .replace("{types}", "|".join(known_types))
        .replace("{degrees}", degrees)
        .replace("{key}", key)
    )


def _native(value: Any) -> Any:
    if hasattr(value, "to_native"):
        return value.to_native()
    return value


def _load() -> Mapping[str, LiteralString]:
    """Return the statements of `cypher/*.cypher` by their names, with shared fragments filled in."""
    statements: dict[str, LiteralString] = {}
    in_time: LiteralString = (
        "coalesce(m.timestamp >= datetime($since), true) AND coalesce(m.timestamp <= datetime($until), true)"
        " AND coalesce(m.date >= $since_day, true) AND coalesce(m.date <= $until_day, true)"
    )
    # Fragments that several statements contain, by their placeholders.
    shared: dict[LiteralString, LiteralString] = {
        "{in_time}": in_time,
        "{in_time_n}": in_time.replace("m.", "n."),
        "{begins}": "($begins = '' OR toLower(n.id) STARTS WITH $begins OR toLower(n.name) STARTS WITH $begins)",
        "{relationship}": "elementId(r) AS relationship, type(r) AS type, "
        "[each IN labels(n) WHERE each <> 'Record'][0] AS label, coalesce(n.canonical, n.id) AS id, "
        "[each IN labels(m) WHERE each <> 'Record'][0] AS other_label, coalesce(m.canonical, m.id) AS other_id, "
        "startNode(r).id = n.id AS outward, r.confidence AS confidence, "
        "coalesce(r.weight, r.strength, r.message_count, r.like_count, r.interaction_count, r.tries) AS weight",
    }
    for file in (files(__package__) / "cypher").iterdir():
        if not file.name.endswith(".cypher"):
            continue
        text: LiteralString = file.read_text("utf-8")
        for part in text.split("// name: ")[1:]:
            name, _, rest = part.partition("\n")
            lines: list[LiteralString] = []
            for line in rest.splitlines():
                if line.strip() and not line.startswith("//"):
                    lines.append(with_index_hint(line))
            body: LiteralString = "\n".join(lines)
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
    """Translate the driver's errors. The cause is left out on purpose, since its message may quote a record."""
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
