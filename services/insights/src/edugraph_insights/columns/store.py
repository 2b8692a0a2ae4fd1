"""The courses whose columns this process holds. They are a cache: the graph is the only store (docs/adr/0127)."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import tzinfo
from itertools import count
from typing import Any

import duckdb
import structlog

from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.graph_changes import Position, Since
from edugraph_insights.columns.course import (
    CourseColumns,
    DatabaseIsBroken,
    MemoryIsFull,
    Read,
    Reading,
)
from edugraph_insights.columns.load import load, refresh
from edugraph_insights.columns.marks import Marks
from edugraph_insights.graph import NARROWER, Graph
from edugraph_insights.problems import Busy, TooLarge

log = structlog.get_logger()
MOST_BYTES = 192 * 1_024 * 1_024  # of the columns of all courses
# The tables, those of dropped courses that a question still reads, and running questions. DuckDB refuses to use more.
MEMORY_LIMIT = "384MiB"
# A course is dropped when no question was about it for this long. Then nothing of an erased person is left of it.
KEPT_SECONDS = 600.0
# A question waits this long for another one that brings the columns of the same course up to date. This number of
# questions may wait at once, since each one holds a thread.
LONGEST_WAIT_SECONDS = 5.0
MOST_WAITING = 8
RETRY_SECONDS = 2.0
# One question uses one core.
CONFIGURATION = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": "1",
}
# A question uses nothing of the machine but its memory. DuckDB would write what does not fit into a folder, which
# cannot be changed after the access to files is switched off.
LOCKS = (
    "SET temp_directory = ''",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class _Kept:
    """The columns of a course as of a position in the stream of changes. `lock` is held while they are changed.

    `used_at` is the last moment at which they were up to date, on the clock of the store, in seconds.
    """

    def __init__(self, used_at: float) -> None:
        self.used_at = used_at
        self.lock = threading.Lock()
        self.columns: CourseColumns | None = None
        self.position: Position | None = None


class ColumnStore:
    """The columns of several courses, within a bound of bytes. Threads may share it.

    `since` returns the changes of the graph after a position (`GraphChanges.since`). `zone` is the time zone of the
    school. `clock` returns seconds that never go back.
    """

    def __init__(
        self,
        graph: Graph,
        since: Callable[[Position | None], Since],
        zone: tzinfo,
        *,
        most_bytes: int = MOST_BYTES,
        memory_limit: str = MEMORY_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph = graph
        self._since = since
        self._zone = zone
        self._marks = Marks()
        self._most_bytes = most_bytes
        self._clock = clock
        self._courses: OrderedDict[str, _Kept] = OrderedDict()  # the one that was used last is last
        # Thread of a question -> how many readings it has open. A question may read two periods at once.
        self._readings: Counter[int] = Counter()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._schemas = count()
        self._lock = threading.Lock()
        self._memory_limit = memory_limit
        self._database = _new_database(memory_limit)

    @contextmanager
    def reading(self, course: str, read: Read) -> Iterator[Reading]:
        """Yield the columns of a course. They are at least as new as the last change in the stream.

        Questions about one course wait for one another while the columns are brought up to date, and then read them
        side by side.

        Raises what `Graph.read` raises, Retryable when Redis does not answer, Busy if another question takes too long
        to bring the columns up to date or needs the memory, or if DuckDB has failed, and TooLarge if the records do
        not fit into the bound.
        """
        with self._lock:
            database = self._database
            kept = self._courses.setdefault(course, _Kept(self._clock()))
            self._courses.move_to_end(course)
            self._readings[threading.get_ident()] += 1
        try:
            opened = self._open(kept, course, read)
            try:
                yield opened
            finally:
                opened.close()
        except MemoryIsFull:
            raise self._no_memory(course) from None
        except DatabaseIsBroken:
            self._replace(database)
            raise _busy("The records have to be read into the memory again") from None
        finally:
            with self._lock:
                self._readings[threading.get_ident()] -= 1
                self._readings = +self._readings  # without the threads that have none

    def drop_unused(self) -> None:
        """Drop the courses that no question was about for `KEPT_SECONDS`.

        Columns follow the graph only before a question. This call ends what was erased from the graph meanwhile.
        """
        with self._lock:
            last_kept = self._clock() - KEPT_SECONDS
            for course, kept in list(self._courses.items()):
                if kept.used_at < last_kept:
                    del self._courses[course]

    def _open(self, kept: _Kept, course: str, read: Read) -> Reading:
        if not self._has_lock(kept):
            raise _busy("Another question is reading the records of this course now")
        try:
            columns = self._refreshed(kept, course)
            # A question that fails before this line keeps no erased person longer in the memory.
            kept.used_at = self._clock()
            self._make_room(course, columns)
            load(
                columns,
                self._graph,
                course,
                read.students,
                lambda: self._make_room(course, columns),
            )
            return columns.open(read)
        finally:
            kept.lock.release()

    def _has_lock(self, kept: _Kept) -> bool:
        """Take the lock of a course, and return whether it was free soon enough."""
        if kept.lock.acquire(blocking=False):
            return True
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return kept.lock.acquire(timeout=LONGEST_WAIT_SECONDS)
        finally:
            self._waiting.release()

    def _refreshed(self, kept: _Kept, course: str) -> CourseColumns:
        since = self._since(kept.position)
        columns = kept.columns
        if columns is not None and since.is_known:
            is_refreshed = refresh(columns, self._graph, course, since.changes)
            # New tables are smaller, since DuckDB keeps the memory of deleted attempts.
            is_refreshed = is_refreshed and columns.bytes <= self._most_bytes
        else:
            is_refreshed = False
        if columns is None or not is_refreshed:
            columns = CourseColumns(
                self._database, f"course_{next(self._schemas)}", self._zone, self._marks
            )
            kept.columns = columns
        kept.position = since.position
        return columns

    def _make_room(self, used_course: str, used: CourseColumns) -> None:
        """Drop courses, the one first that was not used for longest, until the others are within the bound.

        A course that another question is reading from the graph is not dropped, so that its question can go on later.

        Raises TooLarge if the columns of the used course alone are too large, and then drops them, too. Raises Busy
        if courses that are not dropped need the room.
        """
        with self._lock:
            if used.bytes > self._most_bytes:
                self._courses.pop(used_course, None)
                raise _too_large()
            total_bytes = used.bytes
            may_go: dict[str, int] = {}
            for course, kept in self._courses.items():
                if course != used_course and kept.columns is not None:
                    total_bytes += kept.columns.bytes
                    if not kept.lock.locked():
                        may_go[course] = kept.columns.bytes
            for course, course_bytes in may_go.items():
                if total_bytes <= self._most_bytes:
                    break
                total_bytes -= course_bytes
                del self._courses[course]
            if total_bytes > self._most_bytes:
                raise _busy("Other questions need the memory for records now")

    def _replace(self, broken: duckdb.DuckDBPyConnection) -> None:
        """Begin again without any course. Questions that still use the broken database fail as well."""
        with self._lock:
            if self._database is broken:
                log.error("columns_database_replaced")
                self._database = _new_database(self._memory_limit)
                self._courses.clear()

    def _no_memory(self, used_course: str) -> Problem:
        """Drop all other courses, and return the error for a question for which DuckDB had no memory.

        It is TooLarge only if neither another course nor another question used the memory.
        """
        with self._lock:
            others = [course for course in self._courses if course != used_course]
            is_alone = not others and len(self._readings) == 1
            for course in others:
                if not self._courses[course].lock.locked():
                    del self._courses[course]
            if is_alone:
                self._courses.pop(used_course, None)
                return _too_large()
        return _busy("Other questions need the memory for records now")


def _new_database(memory_limit: str) -> duckdb.DuckDBPyConnection:
    configuration: Any = {**CONFIGURATION, "memory_limit": memory_limit}
    database = duckdb.connect(":memory:", config=configuration)
    for statement in LOCKS:
        database.execute(statement)
    return database


def _too_large() -> TooLarge:
    return TooLarge(
        "This question would read more records than fit into the memory for them", NARROWER
    )


def _busy(found: str) -> Busy:
    offer = f"Ask again in some seconds. {NARROWER}"
    return Busy(found, offer, retry_after_seconds=RETRY_SECONDS)
