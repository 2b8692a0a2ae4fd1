"""Bring the tables of a warehouse up to date with the graph.

The table of students says whose records the other tables have. A student is added to it before, and deleted from it
after, the records of the student are. So a run that was killed leaves nothing that the next run does not find.

If the tables have no rows of a student, the student is loaded: the records are added without a look at the rows that
are there, so that a first sync takes the same time for each row. All other rows are merged.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from edugraph_cli.warehouse.cells import PREFIX
from edugraph_cli.warehouse.delta import Delta, Row, as_arrow, exists
from edugraph_cli.warehouse.schema import (
    NAME_TABLES,
    RECORD_KEY,
    RECORD_TABLES,
    STUDENT_KEY,
    STUDENTS,
)
from edugraph_client import Client
from edugraph_common.contracts.errors import Rejected

# Names of tables -> their rows.
Tables = Mapping[str, Sequence[Row]]
# Receives the number of students whose records were read, the number of all who are to be read, and the number of
# rows that were written.
Show = Callable[[int, int, int], None]
# Students of one request, and students who leave the tables in one commit.
STUDENTS_AT_ONCE = 100
GONE_AT_ONCE = 1_000
# Rows that are merged at once.
ROWS_AT_ONCE = 50_000
# Rows that are added at once.
LOADED_AT_ONCE = 100_000
# Fewer new students than this are merged, which saves the second list of students.
LOAD_FROM_STUDENTS = 100
# If more students than this have changed, their rows are deleted and loaded.
MOST_MERGED_STUDENTS = 2_000
# Columns with the id of a student.
PERSONS = ("student", "other_student")


class Warehouse:
    """The tables below an address, and the students who are in them."""

    def __init__(self, address: str) -> None:
        base = address.rstrip("/")
        self.students = Delta(f"{base}/students", STUDENTS, STUDENT_KEY)
        self.names = {name: Delta(f"{base}/{name}", each) for name, each in NAME_TABLES.items()}
        self.records: dict[str, Delta] = {}
        for name, columns in RECORD_TABLES.items():
            self.records[name] = Delta(f"{base}/{name}", columns, RECORD_KEY)
        self.held = {row["id"]: row for row in self.students.rows(list(STUDENTS), {})}

    def register(self, present: Mapping[str, Row]) -> None:
        """Add the students who are not in the tables, without their records."""
        new = [{**row, "changed": None} for who, row in present.items() if who not in self.held]
        self.students.put(new)
        self.held.update({row["id"]: row for row in new})

    def put(
        self,
        tables: Tables,
        present: Collection[str],
        *,
        records: Collection[str] = (),
        students: Collection[str] = (),
    ) -> None:
        """Replace all rows of these records and of these students by those of `tables`, two commits a table.

        A row that names somebody who is not present is left out. A student who comes later is read with all records.
        """
        for name, table in self.records.items():
            current: dict[tuple[str, str], Row] = {}
            for row in tables.get(name, ()):
                if all(person in present for person in _persons(row)):
                    current[_key(row)] = row

            # A record may have moved from a student who is not among these.
            where = {"record": {*records, *(record for record, _ in current)}, "student": students}
            if "other_student" in RECORD_TABLES[name]:
                where["other_student"] = students
            held = {_key(row): row for row in table.rows((*RECORD_KEY, "written"), where)}

            changed = []
            new = []
            for key, row in current.items():
                if key not in held:
                    new.append(row)
                elif _is_new(row, held[key]):
                    changed.append(row)
            gone = [row for key, row in held.items() if key not in current]
            table.put(changed, gone)
            # A merge reads the whole table, and keeps a part of it in memory. Most rows are new.
            if new:
                table.add([as_arrow(new, RECORD_TABLES[name])])

    def is_read(self, who: str) -> bool:
        """Return whether all records of a student were read, so that new ones are merged."""
        return who in self.held and self.held[who]["changed"] is not None

    def forget(self, students: Collection[str]) -> None:
        """Note that the records of these students have to be read."""
        unread = [{**self.held[who], "changed": None} for who in students]
        self.students.put(unread)
        self.held.update({row["id"]: row for row in unread})

    def named(self) -> set[str]:
        """Return the students whom rows of records name."""
        found: set[str] = set()
        for table, column in self._columns_of_persons():
            found |= table.texts(column)
        return found

    def delete_records(self, students: Collection[str]) -> None:
        """Delete all rows of records that name these students. They stay in the table of students."""
        for table, column in self._columns_of_persons():
            table.delete(column, students)

    def _columns_of_persons(self) -> Iterator[tuple[Delta, str]]:
        for name, table in self.records.items():
            for column in PERSONS:
                if column in RECORD_TABLES[name]:
                    yield table, column

    def remove(self, students: Collection[str]) -> None:
        """Delete all rows that name these students. Their own rows go last."""
        self.put({}, (), students=students)
        self.students.put((), gone=[self.held[who] for who in students])
        for who in students:
            # The second reading may find somebody of this id again.
            del self.held[who]

    def clean(self) -> None:
        """Delete the files of former versions, which name persons who are not in the tables anymore."""
        for table in (*self.names.values(), *self.records.values(), self.students):
            table.clean()

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        tables = {"students": self.students, **self.names, **self.records}
        return {name: table.count() for name, table in tables.items()}


class Changes:
    """The lines of the API: the tables of names, the students, and then the records, page by page."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._values = (json.loads(line) for line in lines)
        first: dict[str, Any] = next(self._values, {"latest": 0})
        self.latest = int(first["latest"])
        # Records with this word or a later one may be written while they are read. Older servers do not say it.
        self.settled: str | None = first.get("settled")
        self.names: dict[str, list[Row]] = {name: [] for name in NAME_TABLES}
        self.students: dict[str, Row] = {}
        self.is_whole = False

    def portions(self) -> Iterator[Tables]:
        """Yield the records in portions of about ROWS_AT_ONCE rows, after `names` and `students` are filled.

        Raises Rejected if lines are missing.
        """
        gathered: dict[str, list[Row]] = {}
        for tables in self._pages():
            for name, rows in tables.items():
                gathered.setdefault(name, []).extend(rows)
            if sum(map(len, gathered.values())) >= ROWS_AT_ONCE:
                yield gathered
                gathered = {}
        if gathered:
            yield gathered

    def _pages(self) -> Iterator[Tables]:
        """Yield the pages of records, after `names` and `students` are filled.

        Raises Rejected if lines are missing.
        """
        rows = 0
        for tables in self._values:
            if "end" in tables:
                self.is_whole = tables["end"] == rows
                break
            rows += sum(len(each) for each in tables.values())
            if tables.keys() <= RECORD_TABLES.keys():
                yield tables
                continue
            for name, page in tables.items():
                if name == "students":
                    self.students.update({row["id"]: row for row in page})
                else:
                    self.names[name] += page
        if not self.is_whole:
            raise Rejected("the answer was cut off; ask for it again")


def sync(
    client: Client, address: str, *, whole: bool, show: Show = lambda *_: None
) -> Mapping[str, int]:
    """Bring the tables at an address up to date, and return the number of rows of each table.

    With `whole`, students whose records have not changed are read again as well.

    Raises Rejected, and what the client raises.
    """
    if exists(f"{address.rstrip('/')}/{PREFIX}trend"):
        raise Rejected(f"{address} has tables without persons. Name another folder.")
    warehouse = Warehouse(address)
    has_loaded = _Sync(client, warehouse, show).run(whole=whole, may_load=True)
    if has_loaded:
        # Records that were written lately are not loaded, since a later transaction could have moved them meanwhile.
        _Sync(client, warehouse, show).run(whole=False, may_load=False)
    warehouse.clean()
    return warehouse.counts()


class _Sync:
    """One reading of the lists and of all records that the tables lack."""

    def __init__(self, client: Client, warehouse: Warehouse, show: Show) -> None:
        self._client = client
        self._warehouse = warehouse
        self._show = show
        self._read = 0
        self._waiting = 0
        self._rows = 0

    def run(self, *, whole: bool, may_load: bool) -> bool:
        """Bring the tables up to date, and return whether records were loaded. Those need another run."""
        warehouse = self._warehouse
        since = None
        if not whole:
            since = warehouse.students.number()
        unread_before = {who for who in warehouse.held if not warehouse.is_read(who)}
        with self._client.warehouse_changes(since) as lines:
            changes = Changes(lines)
            portions = changes.portions()
            # The students are known when the first portion is.
            first = next(portions, None)
            # A graph whose last write is older than the tables is another one, or was restored from a backup.
            if since is None or changes.latest < since:
                unread_before = set(warehouse.held)
                warehouse.forget(unread_before)
                # A run after this one is killed has to read what is written from now on.
                warehouse.students.keep_number(changes.latest)
            warehouse.register(changes.students)
            read = {who for who in changes.students if warehouse.is_read(who)}
            while first is not None:
                warehouse.put(first, read, records=_records_of(first))
                first = next(portions, None)
        for name, rows in changes.names.items():
            warehouse.names[name].replace(rows)
        gone = [who for who in warehouse.held if who not in changes.students]
        for start in range(0, len(gone), GONE_AT_ONCE):
            warehouse.remove(gone[start : start + GONE_AT_ONCE])

        has_loaded = self._read_students(changes, unread_before, since, may_load=may_load)
        warehouse.students.put(_renamed(warehouse, changes.students))
        warehouse.students.keep_number(changes.latest)
        return has_loaded

    def _read_students(
        self, changes: Changes, unread_before: set[str], since: int | None, *, may_load: bool
    ) -> bool:
        """Read all records of new students, and of those who lost something since they were read last."""
        warehouse = self._warehouse
        waiting = []
        for who, row in changes.students.items():
            if warehouse.held[who]["changed"] != row["changed"]:
                waiting.append(who)
        # Rows may name a student who was read before, or whom a killed run has left half read.
        named = {who for who in waiting if warehouse.is_read(who)}
        if not unread_before.isdisjoint(waiting):
            named |= warehouse.named().intersection(waiting)
        loaded = [who for who in waiting if who not in named]

        may_load = may_load and changes.settled is not None
        if may_load and len(named) > MOST_MERGED_STUDENTS:
            warehouse.forget(named)
            warehouse.delete_records(named)
            loaded = waiting
        is_first = since is None and bool(loaded)
        if not may_load or not (is_first or len(loaded) > LOAD_FROM_STUDENTS):
            loaded = []
        to_load = set(loaded)
        self._waiting = len(waiting)
        self._merge([who for who in waiting if who not in to_load], changes)
        # After the merges: a record that moved to a loaded student has left the former one.
        self._load(loaded, changes)
        return bool(loaded)

    def _merge(self, waiting: Sequence[str], changes: Changes) -> None:
        present = changes.students
        # Rows that name a student who is loaded later are added then.
        allowed = {who for who in present if self._warehouse.is_read(who)}
        allowed.update(waiting)
        students: list[str] = []
        gathered: dict[str, list[Row]] = {}
        for answered, tables in _answers(self._client, waiting):
            for name, rows in tables.items():
                gathered.setdefault(name, []).extend(rows)
            students += answered
            is_last = len(students) == len(waiting) - self._read
            if is_last or sum(map(len, gathered.values())) >= ROWS_AT_ONCE:
                self._warehouse.put(gathered, allowed, students=students)
                self._note_read(students, present, sum(map(len, gathered.values())))
                students = []
                gathered = {}

    def _load(self, loaded: Sequence[str], changes: Changes) -> None:
        """Add the records of students who have no rows in the tables."""
        chosen = _Chosen(loaded, changes)
        first_read = self._read
        students: list[str] = []
        gathered: dict[str, list[Any]] = {}
        rows = 0
        for answered, tables in _answers(self._client, loaded):
            for name, columns in RECORD_TABLES.items():
                of_table = chosen.rows(tables.get(name, ()), answered)
                if of_table:
                    gathered.setdefault(name, []).append(as_arrow(of_table, columns))
                    rows += len(of_table)
            students += answered
            self._show(self._read + len(students), self._waiting, self._rows + rows)
            is_last = self._read - first_read + len(students) == len(loaded)
            if is_last or rows >= LOADED_AT_ONCE:
                for name, portions in gathered.items():
                    self._warehouse.records[name].add(portions)
                self._note_read(students, changes.students, rows)
                students = []
                gathered = {}
                rows = 0

    def _note_read(self, students: Sequence[str], present: Mapping[str, Row], rows: int) -> None:
        """Note that the tables have all records of these students."""
        self._warehouse.students.put([present[who] for who in students])
        self._warehouse.held.update({who: present[who] for who in students})
        self._read += len(students)
        self._rows += rows
        self._show(self._read, self._waiting, self._rows)


class _Chosen:
    """Chooses, for each answer with records of some students, the rows that no other answer adds."""

    def __init__(self, loaded: Collection[str], changes: Changes) -> None:
        self._loaded = frozenset(loaded)
        self._present = changes.students
        self._settled = changes.settled or ""

    def rows(self, rows: Iterable[Row], answered: Collection[str]) -> list[Row]:
        here = set(answered)
        chosen: dict[tuple[str, str], Row] = {}
        for row in rows:
            if self._is_chosen(row, here):
                chosen[_key(row)] = row
        return list(chosen.values())

    def _is_chosen(self, row: Row, here: Collection[str]) -> bool:
        if any(person not in self._present for person in _persons(row)):
            return False
        if row["written"] is not None and row["written"] >= self._settled:
            return False
        # A message stands in the answers about its sender and its receiver.
        is_of_other_answer = row["student"] in self._loaded and row["student"] not in here
        return not is_of_other_answer


def _answers(client: Client, students: Sequence[str]) -> Iterator[tuple[Sequence[str], Tables]]:
    """Yield students with all their rows. An answer may have only the first of those who are asked for."""
    start = 0
    while start < len(students):
        asked = students[start : start + STUDENTS_AT_ONCE]
        answer = client.warehouse_records(asked)
        yield answer.students, answer.tables
        start += len(answer.students)


def _renamed(warehouse: Warehouse, present: Mapping[str, Row]) -> list[Row]:
    return [row for who, row in present.items() if warehouse.held[who]["name"] != row["name"]]


def _is_new(row: Row, held: Row) -> bool:
    """Return whether a row differs from the one that is held. The word of a record changes with its values."""
    return row["written"] is None or bool(held["written"] != row["written"])


def _key(row: Row) -> tuple[str, str]:
    return row["record"], row["course"]


def _persons(row: Row) -> list[str]:
    persons = [row.get(column) for column in PERSONS]
    return [each for each in persons if each is not None]


def _records_of(tables: Tables) -> set[str]:
    records: set[str] = set()
    for rows in tables.values():
        records.update(row["record"] for row in rows)
    return records
