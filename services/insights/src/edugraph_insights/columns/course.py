"""The columns of one course. This module and store.py are the only ones that know DuckDB."""

import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple, TypeVar

import duckdb
import numpy as np
import structlog

from edugraph_insights.columns import schema
from edugraph_insights.columns.marks import Marks
from edugraph_insights.graph import Row
from edugraph_insights.school_days import day_of

log = structlog.get_logger()
# The bytes of empty tables, of an attempt and of an error in them without the text of the record's id, and of an id
# with its number and its word in Python.
EMPTY_BYTES = 500_000
ATTEMPT_BYTES = 56
ERROR_BYTES = 34
ID_BYTES = 400
# Values that a question computed are kept if it is about this many students. For fewer ones they are computed fast.
LEAST_STUDENTS_KEPT = 1_000
T = TypeVar("T")


class MemoryIsFull(Exception):
    """DuckDB has no memory left for a statement."""


class DatabaseIsBroken(Exception):
    """DuckDB has found a fault of its own. It refuses all statements of this database from now on."""


class ColumnsError(Exception):
    """A statement is wrong. The message has the type of DuckDB's error only, since its text may quote a value."""


class Numbers:
    """Numbers for ids, from 0 in the order in which the ids come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.ids: list[str] = []

    def of(self, node_id: str) -> int:
        if node_id not in self._numbers:
            self._numbers[node_id] = len(self.ids)
            self.ids.append(node_id)
        return self._numbers[node_id]


class TestedPoint(NamedTuple):
    """A point that an item tests. `point` is the id of the canonical point."""

    item: str
    point: str
    name: str


@dataclass(frozen=True)
class Read:
    """The part of a course that one question reads: the records of these students until the end of a period.

    `terms` are the beginning and the end of each term of the question.
    """

    students: Sequence[str]
    since: datetime
    until: datetime
    terms: Sequence[tuple[datetime, datetime]] = ()


class CourseColumns:
    """The tables of one course, in a schema of their own. The caller holds a lock while it uses a method.

    The tables are dropped when nothing refers to this object anymore. So a question that reads them can end, also if
    the store lets go of them meanwhile.
    """

    def __init__(
        self, database: duckdb.DuckDBPyConnection, name: str, zone: tzinfo, marks: Marks
    ) -> None:
        self.students = Numbers()
        self.items = Numbers()
        self.points = Numbers()
        self.point_names: dict[str, str] = {}
        # The students whose records are in the tables, with the word that they had as `changed` before their
        # records were read. A student who lost something since has another word.
        self.held: dict[str, str] = {}
        self._database = database
        self._name = name
        self._zone = zone
        self.marks = marks
        self._deleted = 0
        self._tested_items = 0
        self._tests: set[tuple[int, int]] = set()  # (item, point)
        # DuckDB keeps the memory of deleted records, so they count, too.
        self._record_bytes = 0
        # A part of the course, and what a question computed last from the tables as they are now.
        self._computed: tuple[object, Any] | None = None
        # The version grows when the tables or the names of points change.
        self.version = 0
        self._lock = threading.Lock()
        with _errors():
            database.cursor().execute(schema.TABLES.format(schema=name))
        weakref.finalize(self, _drop, database, name).atexit = False

    @property
    def bytes(self) -> int:
        """The memory of the tables and ids. DuckDB itself does not know which course uses how much."""
        ids = len(self.students.ids) + len(self.items.ids) + len(self.points.ids)
        return EMPTY_BYTES + self._record_bytes + ID_BYTES * ids

    def computed(self, version: int, part: object) -> Any:
        """Return what was kept for this part of the tables of a version, or None."""
        with self._lock:
            if self._computed is None or version != self.version:
                return None
            kept_part, value = self._computed
        if kept_part != part:
            return None
        return value

    def keep_computed(self, version: int, part: object, value: object) -> None:
        """Keep a value for a part of the tables, unless they have another version by now."""
        with self._lock:
            if version == self.version:
                self._computed = (part, value)

    def forget_computed(self) -> None:
        """Forget what questions computed."""
        with self._lock:
            self.version += 1
            self._computed = None

    def add(self, words: Mapping[str, str], rows: Sequence[Row], errors: Sequence[Row]) -> None:
        """Add the attempts and errors of students who are not held yet. Each row has the lists of one student.

        `words` maps the students to the word that they had as `changed` before their attempts were read, or "".
        """
        with self._changing() as cursor:
            # A record that moved to one of these students during the load is in the tables under the former one.
            moved = self._delete_records(cursor, rows, errors)
            self._insert(cursor, rows)
            self._insert_errors(cursor, errors)
        self.forget_computed()
        self._deleted += moved
        for student in words:
            # A student without attempts gets a number, too, since a refresh looks up the students who have one.
            self.students.of(student)
        self.held.update(words)

    def replace(self, leaving: Collection[str], rows: Sequence[Row], errors: Sequence[Row]) -> None:
        """Delete the records of the students who leave, and replace the attempts of `rows` and the errors.

        An outcome in `rows` is -1 if the attempt does not belong into the tables anymore, and so is `resolved` of an
        error. The students who leave are not held afterwards.
        """
        staying = {who: word for who, word in self.held.items() if who not in leaving}
        with self._changing() as cursor:
            numbers = [self.students.of(each) for each in sorted(leaving)]
            cursor.register("leaving", {"student": integers(numbers)})
            deleted = 0
            for statement in (schema.DELETE_OF_STUDENTS, schema.DELETE_ERRORS_OF_STUDENTS):
                [(number,)] = cursor.execute(self._sql(statement)).fetchall()
                deleted += number
            cursor.unregister("leaving")

            deleted += self._delete_records(cursor, rows, errors)
            self._insert(cursor, [row for row in rows if row["student"] in staying])
            self._insert_errors(cursor, [row for row in errors if row["student"] in staying])
        self.forget_computed()
        self.held = staying
        self._deleted += deleted

    def has_new_items(self) -> bool:
        """Return whether attempts were added at items whose tested points were not read yet."""
        return len(self.items.ids) > self._tested_items

    def set_tests(self, known_items: Collection[str], tests: Iterable[TestedPoint]) -> None:
        """Replace the points that items test. `known_items` are all items whose points were read."""
        pairs: set[tuple[int, int]] = set()
        names: dict[str, str] = {}
        for item, point, name in tests:
            pairs.add((self.items.of(item), self.points.of(point)))
            names[point] = name
        # DuckDB keeps the memory of deleted rows, so the same rows are not written again.
        if pairs != self._tests:
            items = [item for item, _ in pairs]
            points = [point for _, point in pairs]
            with self._changing() as cursor:
                cursor.execute(self._sql(schema.DELETE_TESTS))
                cursor.register("portion", {"item": integers(items), "point": integers(points)})
                cursor.execute(self._sql(schema.INSERT_TESTS))
            self.forget_computed()
            self._tests = pairs
        if names != self.point_names:
            self.forget_computed()
        self.point_names = names
        self._tested_items = len(known_items)

    def is_mostly_deleted(self) -> bool:
        """Return whether more records were deleted than are there. DuckDB keeps the memory of deleted rows."""
        with self._changing() as cursor:
            [(there,)] = cursor.execute(self._sql(schema.COUNT_RECORDS)).fetchall()
        return self._deleted > int(there)

    def open(self, read: Read) -> "Reading":
        """Return the views for one question. They see the tables as they are now, whatever changes later."""
        cursor = self._database.cursor()
        try:
            with _errors():
                cursor.begin()
                numbers = [self.students.of(each) for each in read.students if each in self.held]
                cursor.register("permitted", {"student": integers(numbers)})
                cursor.register("terms", columns_of_terms(read.terms))
                period = {"since": _plain(read.since), "until": _plain(read.until)}
                cursor.execute(schema.VIEWS.format(schema=self._name, **period))
                last = schema.LAST_ATTEMPT.format(schema=self._name, until=period["until"])
                [(last_attempt,)] = cursor.execute(last).fetchall()
        except BaseException:
            cursor.close()
            raise
        part = (tuple(read.students), read.since, last_attempt)
        return Reading(cursor, self, part)

    @contextmanager
    def _changing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._database.cursor()
        try:
            with _errors():
                cursor.begin()
                yield cursor
                cursor.commit()
        finally:
            cursor.close()

    def _delete_records(
        self, cursor: duckdb.DuckDBPyConnection, rows: Sequence[Row], errors: Sequence[Row]
    ) -> int:
        """Delete the attempts and errors with the ids of these rows. Return how many there were."""
        cursor.register("leaving", {"record": texts(_joined(rows, "record"))})
        pairs = cursor.execute(self._sql(schema.DELETE_RECORDS)).fetchall()
        self._mark_first(cursor, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
        cursor.register("leaving", {"record": texts(_joined(errors, "record"))})
        [(number,)] = cursor.execute(self._sql(schema.DELETE_ERRORS)).fetchall()
        return len(pairs) + int(number)

    def _insert(self, cursor: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> None:
        outcomes = integers(_joined(rows, "outcome"))
        belongs = outcomes >= 0
        if not belongs.any():
            return
        items = texts(_joined(rows, "item"))[belongs]
        moments = np.array(_joined(rows, "moment"), dtype="datetime64[us]")[belongs]
        marks = self.marks.of(_joined(rows, "answer"), _joined(rows, "is_long"))
        portion = {
            "student": self._students_of(rows)[belongs],
            "item": integers([self.items.of(each) for each in items]),
            "moment": moments,
            "number": integers(_joined(rows, "number"))[belongs],
            "record": texts(_joined(rows, "record"))[belongs],
            "outcome": outcomes[belongs],
            "day": self._days(moments),
            "answer": marks[belongs],
            "is_mistake": np.array(_joined(rows, "is_mistake"), dtype=np.bool_)[belongs],
        }
        self._record_bytes += ATTEMPT_BYTES * len(moments) + bytes_of(portion["record"])
        cursor.register("portion", portion)
        cursor.execute(self._sql(schema.INSERT_ATTEMPTS))
        cursor.unregister("portion")
        self._mark_first(cursor, portion["student"], portion["item"])

    def _insert_errors(self, cursor: duckdb.DuckDBPyConnection, errors: Sequence[Row]) -> None:
        resolved = integers(_joined(errors, "resolved"))
        belongs = resolved >= 0
        if not belongs.any():
            return
        moments = np.array(_joined(errors, "moment"), dtype="datetime64[us]")[belongs]
        portion = {
            "student": self._students_of(errors)[belongs],
            "moment": moments,
            "record": texts(_joined(errors, "record"))[belongs],
            "day": self._days(moments),
            "resolved": resolved[belongs] == 1,
        }
        self._record_bytes += ERROR_BYTES * len(moments) + bytes_of(portion["record"])
        cursor.register("portion", portion)
        cursor.execute(self._sql(schema.INSERT_ERRORS))
        cursor.unregister("portion")

    def _students_of(self, rows: Sequence[Row]) -> Any:
        """Return the number of the student of each record in these rows."""
        numbers = [self.students.of(row["student"]) for row in rows]
        lengths = [len(row["record"]) for row in rows]
        return np.repeat(integers(numbers), lengths)

    def _days(self, moments: Any) -> Any:
        """Return the day of each moment for the clocks of the school, as its first moment."""
        days = [day_of(each.replace(tzinfo=UTC), self._zone) for each in moments.tolist()]
        return np.array(days, dtype="datetime64[us]")

    def _mark_first(self, cursor: duckdb.DuckDBPyConnection, students: Any, items: Any) -> None:
        cursor.register("touched", {"student": integers(students), "item": integers(items)})
        cursor.execute(self._sql(schema.MARK_FIRST))
        cursor.unregister("touched")

    def _sql(self, statement: str) -> str:
        return statement.format(schema=self._name)


class Reading:
    """The views of schema.py, as one question reads them. All its queries see one state of the tables."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        columns: CourseColumns,
        part: tuple[tuple[str, ...], datetime, datetime | None],
    ) -> None:
        self._cursor = cursor
        self._columns = columns
        self._version = columns.version
        self._part = part
        self.point_names = columns.point_names
        # The ids of all students in the tables, at the place of their number. Later ones may follow.
        self.student_ids: Sequence[str] = columns.students.ids
        self.item_ids: Sequence[str] = columns.items.ids
        self.mark_of = columns.marks.of_text

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of schema.py."""
        with _errors():
            return self._cursor.execute(sql).fetchall()

    def columns(self, sql: str) -> dict[str, Any]:
        """Return the columns of a query of schema.py as arrays, by name."""
        with _errors():
            return self._cursor.execute(sql).fetchnumpy()

    def kept(self, compute: Callable[[], T]) -> T:
        """Return what `compute` returns, or what it returned for the same attempts before.

        Questions about the same students and the same beginning of the period read the same attempts, if these have
        the same last one. So it may depend on attempts, and neither on mistakes nor on the end of the period itself.
        The columns keep the last value alone, so there may be one such function only.
        """
        students, _, _ = self._part
        if len(students) < LEAST_STUDENTS_KEPT:
            return compute()
        known: T | None = self._columns.computed(self._version, self._part)
        if known is not None:
            return known
        found = compute()
        self._columns.keep_computed(self._version, self._part, found)
        return found

    def student(self, number: int) -> str:
        """Return the id of a student."""
        return self.student_ids[number]

    def point(self, number: int) -> str:
        """Return the id of a point."""
        return self._columns.points.ids[number]

    def number_of_point(self, point: str) -> int:
        """Return the number of a point of the tables."""
        return self._columns.points.of(point)

    def close(self) -> None:
        self._cursor.close()


def integers(values: Any) -> Any:
    """Return a column of integers."""
    return np.array(values, dtype=np.int32)


def texts(values: Sequence[str]) -> Any:
    """Return a column of texts."""
    return np.array(values, dtype=object)


def bytes_of(values: Any) -> int:
    """Return the number of bytes of texts."""
    return sum(len(each.encode()) for each in values)


def columns_of_terms(terms: Iterable[tuple[datetime, datetime]]) -> dict[str, Any]:
    """Return the number, the beginning and the end of each term as columns."""
    beginnings: list[str] = []
    ends: list[str] = []
    for begins, ends_at in terms:
        beginnings.append(_plain(begins))
        ends.append(_plain(ends_at))
    columns: dict[str, Any] = {}
    columns["term"] = integers(range(len(beginnings)))
    columns["starts"] = np.array(beginnings, dtype="datetime64[us]")
    columns["ends"] = np.array(ends, dtype="datetime64[us]")
    return columns


def _joined(rows: Sequence[Row], name: str) -> list[Any]:
    """Return the lists of a column one after the other."""
    values: list[Any] = []
    for row in rows:
        values += row[name]
    return values


def _plain(moment: datetime) -> str:
    """Return a moment in UTC as it stands in SQL."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def _drop(database: duckdb.DuckDBPyConnection, name: str) -> None:
    try:
        database.cursor().execute(f"DROP SCHEMA {name} CASCADE")
    except duckdb.Error as error:
        # Nobody waits for this statement. The tables of a broken database go with it.
        log.warning("columns_not_dropped", error=type(error).__name__)


@contextmanager
def _errors() -> Iterator[None]:
    """Translate the errors of DuckDB. Their messages may quote a value, so they are left out."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException):
        raise MemoryIsFull from None
    except (duckdb.FatalException, duckdb.InternalException):
        raise DatabaseIsBroken from None
    except duckdb.Error as error:
        raise ColumnsError(type(error).__name__) from None
