"""Bring the tables of a warehouse up to date with the graph.

The table of students says whose records the other tables have. A student is added to it before, and deleted from it
after, the records of the student are. So a run that was killed leaves nothing that the next run does not find.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from edugraph_cli.warehouse.cells import PREFIX
from edugraph_cli.warehouse.delta import Delta, Row, exists
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
# Students of one request, and students who leave the tables in one commit.
STUDENTS_AT_ONCE = 100
GONE_AT_ONCE = 1_000
# Records of students are gathered up to this number of rows, and written at once.
ROWS_AT_ONCE = 50_000


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
        """Replace all rows of these records and of these students by those of `tables`, in a commit for each table.

        A row that names somebody who is not present is left out. A student who comes later is read with all records.
        """
        for name, table in self.records.items():
            where = {"record": records, "student": students}
            if "other_student" in RECORD_TABLES[name]:
                where["other_student"] = students
            held = {_key(row): row for row in table.rows((*RECORD_KEY, "written"), where)}

            current: dict[tuple[str, str], Row] = {}
            for row in tables.get(name, ()):
                if all(person in present for person in _persons(row)):
                    current[_key(row)] = row
            changed = [row for key, row in current.items() if _is_new(row, held.get(key))]
            gone = [row for key, row in held.items() if key not in current]
            table.put(changed, gone)

    def remove(self, students: Collection[str]) -> None:
        """Delete all rows that name these students. Their own rows go last."""
        self.put({}, (), students=students)
        self.students.put((), gone=[self.held[who] for who in students])

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
        self.latest = int(next(self._values, {"latest": 0})["latest"])
        self.names: dict[str, list[Row]] = {name: [] for name in NAME_TABLES}
        self.students: dict[str, Row] = {}
        self.is_whole = False

    def records(self) -> Iterator[Tables]:
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


def sync(client: Client, address: str, *, whole: bool) -> Mapping[str, int]:
    """Bring the tables at an address up to date, and return the number of rows of each table.

    With `whole`, students whose records have not changed are read again as well.

    Raises Rejected, and what the client raises.
    """
    if exists(f"{address.rstrip('/')}/{PREFIX}trend"):
        raise Rejected(f"{address} has tables without persons. Name another folder.")
    warehouse = Warehouse(address)
    since = warehouse.students.number()
    with client.warehouse_changes(since) as lines:
        changes = Changes(lines)
        for tables in changes.records():
            warehouse.register(changes.students)
            warehouse.put(tables, changes.students, records=_records_of(tables))
    present = changes.students
    warehouse.register(present)
    for name, rows in changes.names.items():
        warehouse.names[name].replace(rows)

    gone = [who for who in warehouse.held if who not in present]
    for start in range(0, len(gone), GONE_AT_ONCE):
        warehouse.remove(gone[start : start + GONE_AT_ONCE])
    # A graph whose last write is older than the tables is another one, or was restored from a backup.
    is_older_graph = since is not None and changes.latest < since
    _read_students(client, warehouse, present, everybody=whole or is_older_graph)

    warehouse.students.put(_renamed(warehouse, present))
    warehouse.students.keep_number(changes.latest)
    warehouse.clean()
    return warehouse.counts()


def _read_students(
    client: Client, warehouse: Warehouse, present: Mapping[str, Row], *, everybody: bool
) -> None:
    """Read all records of new students, and of those who lost something since they were read last."""
    waiting = []
    for who, row in present.items():
        if everybody or warehouse.held[who]["changed"] != row["changed"]:
            waiting.append(who)
    students: list[str] = []
    gathered: dict[str, list[Row]] = {}
    for start in range(0, len(waiting), STUDENTS_AT_ONCE):
        portion = waiting[start : start + STUDENTS_AT_ONCE]
        for name, rows in client.warehouse_records(portion).tables.items():
            gathered.setdefault(name, []).extend(rows)
        students += portion
        is_last = start + STUDENTS_AT_ONCE >= len(waiting)
        if is_last or sum(map(len, gathered.values())) >= ROWS_AT_ONCE:
            warehouse.put(gathered, present, students=students)
            warehouse.students.put([present[who] for who in students])
            warehouse.held.update({who: present[who] for who in students})
            students = []
            gathered = {}


def _renamed(warehouse: Warehouse, present: Mapping[str, Row]) -> list[Row]:
    return [row for who, row in present.items() if warehouse.held[who]["name"] != row["name"]]


def _is_new(row: Row, held: Row | None) -> bool:
    """Return whether a row differs from the one that is held. The word of a record changes with its values."""
    if held is None or row["written"] is None:
        return True
    return bool(held["written"] != row["written"])


def _key(row: Row) -> tuple[str, str]:
    return row["record"], row["course"]


def _persons(row: Row) -> list[str]:
    persons = [row["student"], row.get("other_student")]
    return [each for each in persons if each is not None]


def _records_of(tables: Tables) -> set[str]:
    records: set[str] = set()
    for rows in tables.values():
        records.update(row["record"] for row in rows)
    return records
