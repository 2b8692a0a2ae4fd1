"""Renaming: all records of a person, a course, a group or an item get another id for it.

The ids and content hashes of the records do not change, so that a second import of their file changes nothing
(docs/adr/0071). Everything that follows from the records is recomputed for both ids. Each transaction takes a few
records, so that imports at the same time hardly wait.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import neo4j

from edugraph_common.contracts.messages import Renamable
from edugraph_common.contracts.reviews import ItemReview
from edugraph_importer.graph.apply import begin
from edugraph_importer.graph.driver import Connection, StaleRead
from edugraph_importer.graph.groups import Cause, LeaderNotes, add_courses
from edugraph_importer.graph.model import (
    Activity,
    Day,
    GroupCounts,
    ItemNames,
    Node,
    Outdated,
    Pair,
    version_key,
)
from edugraph_importer.graph.retention import PAGE, RECORDS_AT_ONCE, Write, portions
from edugraph_importer.graph.reviews import keep_reviews
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.sums import add_days, write_days
from edugraph_importer.graph.take_back import (
    COURSE_FIELDS,
    NODE_FIELDS_OF_RECORDS,
    SupersededVersions,
    given_fields,
    lock_superseded,
    recompute,
)
from edugraph_importer.graph.tombstones import Tombstones, erased_among
from edugraph_importer.graph.unit_of_work import (
    LATEST_FIELDS,
    UnitOfWork,
    delete_orphans,
    lock_and_load,
    tests_row,
    write_changed_state,
    write_tests,
)
from edugraph_importer.graph.versions import stored_versions

# "missing": no record names the old id. "taken": another node has the new id. "forgotten": the student with the new
# id was erased. "own": the caller's own person would lead a group.
Refusal = Literal["missing", "taken", "forgotten", "own"]
_REFUSALS: tuple[Refusal | None, ...] = (None, "missing", "taken", "forgotten", "own")

LABEL_OF_RENAMABLE: dict[Renamable, str] = {
    "student": "Student",
    "teacher": "Teacher",
    "course": "Course",
    "group": "Group",
    "item": "Item",
}

# Label of the renamed node -> label of a record -> the statements that move the record's links.
_MOVES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "Student": {
        "Interaction": ("move_sent_Student", "move_received"),
        "ErrorRecord": ("move_made",),
        "Attempt": ("move_tried",),
        "CourseRecord": ("move_has_record",),
        "Membership": ("move_membership_Student",),
    },
    "Teacher": {"Interaction": ("move_sent_Teacher",), "Membership": ("move_membership_Teacher",)},
    "Course": {
        **{
            label: (f"move_in_course_{label}",)
            for label in (
                "Attempt",
                "CourseContent",
                "CourseRecord",
                "ErrorRecord",
                "Interaction",
            )
        },
        # An item that is assigned to a course is in this course, too.
        "Definition": ("move_in_course_Definition", "move_assigned_Course"),
        "Membership": ("move_course_of_membership",),
    },
    "Group": {"Membership": ("move_in_group",), "Definition": ("move_assigned_Group",)},
    "Item": {"Attempt": ("move_of_item",), "Definition": ("move_defines",)},
}


class Renaming(NamedTuple):
    label: str
    old: str
    new: str

    def of(self, label: str, node_id: str) -> str:
        """Return the id of a node after the renaming."""
        return self.new if (label, node_id) == (self.label, self.old) else node_id


class Renamed(NamedTuple):
    """The result of a renaming.

    `moved` is the number of records and days of activity that this call moved to the new id. If it is not `finished`,
    the time was over. `refused` says why nothing was done.
    """

    moved: int
    finished: bool
    refused: Refusal | None = None


def rename(
    connection: Connection,
    write: Write,
    renaming: Renaming,
    tombstones: Tombstones,
    leaders: LeaderNotes,
    *,
    merge: bool,
    go_on: Callable[[], bool],
) -> Renamed:
    """Give a node another id. Stop when `go_on` returns False; a second call continues.

    With `merge` the new id may be in use, and both nodes become one. Raise CallerWouldLead if a move would make the
    caller's own person the leader of a group and `_begin` did not see it.
    """
    moved = 0
    refused = _REFUSALS[write(_begin, renaming, tombstones, leaders.cause, merge=merge)]
    if refused is not None:
        return Renamed(0, finished=True, refused=refused)
    while more := write(_move, f"to_rename_{renaming.label}", renaming, tombstones, leaders):
        moved += more
        if not go_on():
            return Renamed(moved, finished=False)
    for ids in _naming_course(connection, "memberships_after", renaming):
        moved += write(_move, "memberships_of_course", renaming, tombstones, leaders, ids=ids)
        if not go_on():
            return Renamed(moved, finished=False)
    for days in _days(connection, renaming):
        moved += write(_move_days, renaming, days)
        if not go_on():
            return Renamed(moved, finished=False)
    write(_end, renaming)
    return Renamed(moved, finished=True)


def _begin(
    tx: neo4j.Transaction, renaming: Renaming, tombstones: Tombstones, cause: Cause, *, merge: bool
) -> int:
    """Note the old id on the node with the new id, or refuse. Return the index of the reason in `_REFUSALS`."""
    begin(tx, "ImportBatch", "")
    label, old, new = renaming
    lock_and_load(tx, {(label, old), (label, new)}, ())
    before = tx.run(CYPHER[f"in_use_{label}"], id=old).single()
    there = tx.run(CYPHER[f"in_use_{label}"], id=new).single()
    # If the new node knows the old id as a former one, both are the same already: an earlier renaming was not
    # finished, or new records came with the old id.
    known = set(there["former"] or ()) if there else set[str]()
    refused: Refusal | None = None
    # Days of activity have the course only as a property, so a course may have days without having a node.
    if before is None and label != "Course":
        refused = "missing"
    elif label == "Student" and erased_among(tx, [new], tombstones):
        refused = "forgotten"
    elif there is not None and not merge and old not in known:
        refused = "taken"
    elif _would_lead(tx, renaming, cause):
        refused = "own"
    if refused is None and before is not None:
        former = sorted({old, *known, *(before["former"] or ())} - {new})
        tx.run(
            CYPHER[f"set_former_ids_{label}"],
            id=new,
            former=former,
            restricted=bool(before["restricted"]),
        ).consume()
        if label == "Item":
            _move_reviews(tx, renaming)
    else:
        delete_orphans(tx, {(label, old), (label, new)})
    return _REFUSALS.index(refused)


def _would_lead(tx: neo4j.Transaction, renaming: Renaming, cause: Cause) -> bool:
    """Return whether the caller would get the memberships of another person, or would lead the group with the new id.

    This is decided before anything is moved, since a renaming must not stop halfway.
    """
    if renaming.label in ("Student", "Teacher"):
        return cause.is_caller(renaming.new)
    if renaming.label != "Group":
        return False
    return any(
        cause.is_caller(row["person"])
        for row in tx.run(CYPHER["leaders_of_group"], id=renaming.old)
    )


def _end(tx: neo4j.Transaction, renaming: Renaming) -> None:
    begin(tx, "ImportBatch", "")
    label, old, new = renaming
    lock_and_load(tx, {(label, old), (label, new)}, ())
    delete_orphans(tx, {(label, old), (label, new)})


def _move(
    tx: neo4j.Transaction,
    page: str,
    renaming: Renaming,
    tombstones: Tombstones,
    leaders: LeaderNotes,
    *,
    ids: Sequence[str] = (),
) -> int:
    """Move the next records, or those with these ids. Return their number. It is 0 when there are no more."""
    begin(tx, "ImportBatch", "")
    label, old, new = renaming
    rows = list(tx.run(CYPHER[page], id=old, ids=ids, limit=RECORDS_AT_ONCE))
    # A student who is being erased must not get more records. The erasure waits for the records that are locked here.
    if not rows or (label == "Student" and erased_among(tx, [new], tombstones)):
        return 0
    of_label: dict[str, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda each: str(each["id"])):
        of_label[row["label"]].append(row["id"])
    # The records are read and locked as if they were removed, since their aggregates change for both ids.
    named = {row["id"]: row["hash"] for row in rows}
    moved = stored_versions(tx, named)
    if {record_id: version.content_hash for record_id, version in moved.items()} != named:
        raise StaleRead
    locked = lock_superseded(tx, moved)
    outdated, names, counts = _renamed(locked, renaming)
    unit = lock_and_load(
        tx,
        locked.nodes | {(label, old), (label, new)},
        outdated.learns,
        {*locked.item_names.tests, *names.tests},
    )
    for record_label, record_ids in of_label.items():
        for statement in _MOVES[label][record_label]:
            tx.run(CYPHER[statement], ids=record_ids, old=old, new=new).consume()
    unit.count_item_names(locked.item_names, -1)
    unit.count_item_names(names)
    unit.count_groups(locked.group_counts, -1)
    unit.count_groups(counts)
    add_courses(tx, unit.group_counts.courses)
    write_tests(tx, unit)
    recompute(tx, unit, outdated)
    leaders.write(tx, unit.leading)
    if label in LATEST_FIELDS:
        _put_said(tx, unit, renaming, of_label)
    write_changed_state(tx, unit)
    delete_orphans(tx, {(label, old)})
    return len(rows)


def _renamed(
    locked: SupersededVersions, renaming: Renaming
) -> tuple[Outdated, ItemNames, GroupCounts]:
    """Return the aggregates of both ids that change, and the names of items and groups after the renaming."""
    of, before = renaming.of, locked.outdated

    def both(pairs: set[Pair], first: str, second: str) -> set[Pair]:
        return pairs | {(of(first, a), of(second, b)) for a, b in pairs}

    outdated = Outdated(
        fields={(renaming.label, renaming.old), (renaming.label, renaming.new)},
        version_keys=before.version_keys,
        mistakes=before.mistakes
        | {(of("Student", a), b, of("Course", c)) for a, b, c in before.mistakes},
        practised=both(before.practised, "Student", "Item"),
        learns=both(before.learns, "Student", "Course"),
        memberships=before.memberships
        | {(a, of(a, b), of("Group", c)) for a, b, c in before.memberships},
        contains=both(before.contains, "Course", "KnowledgePoint")
        if renaming.label == "Course"
        else set(),
    )
    for total, pairs in before.interactions.items():
        outdated.interactions[total] = both(
            pairs, "Teacher" if total == "teaches" else "Student", "Student"
        )
    names, counts = ItemNames(), GroupCounts()
    for item_id, titles in locked.item_names.titles.items():
        names.titles[of("Item", item_id)] += titles
    for (item_id, point), spellings in locked.item_names.tests.items():
        names.tests[of("Item", item_id), point] += spellings
    for group_id, called in locked.group_counts.names.items():
        counts.names[of("Group", group_id)] += called
    for (group_id, course_id), number in locked.group_counts.courses.items():
        counts.courses[of("Group", group_id), of("Course", course_id)] += number
    return outdated, names, counts


def _put_said(
    tx: neo4j.Transaction, unit: UnitOfWork, renaming: Renaming, ids: Mapping[str, Sequence[str]]
) -> None:
    """Put names and other fields from the moved records on the new id. No other records are read."""
    label, _, new = renaming
    for record_label, record_ids in ids.items():
        of_course = COURSE_FIELDS if (record_label, label) == ("CourseRecord", "Course") else None
        given = of_course or NODE_FIELDS_OF_RECORDS.get(
            f"{_FIELDS_IN.get(record_label)}_of_{label}"
        )
        for row in tx.run(CYPHER[f"said_of_{record_label}"], ids=record_ids, node=new, of=label):
            if given is None:
                unit.put_field((label, new), "name", row["name"], version_key(row))
            else:
                for name, (value, key) in given_fields(row, given).items():
                    unit.put_field((label, new), given[name], value, key)


_FIELDS_IN = {"CourseRecord": "course_records", "Definition": "definitions"}


def _days(connection: Connection, renaming: Renaming) -> Iterator[Sequence[str]]:
    """Yield ids of days of activity, some at a time. The caller moves them before it asks for the next ones."""
    label, old, _ = renaming
    if label == "Student":
        while rows := connection.read(CYPHER["days_of_student"], id=old, limit=RECORDS_AT_ONCE):
            yield [row["id"] for row in rows]
    yield from _naming_course(connection, "days_after", renaming)


def _naming_course(
    connection: Connection, statement: str, renaming: Renaming
) -> Iterator[Sequence[str]]:
    """Yield ids of the days or memberships that name the renamed course, some at a time. Yield nothing for other
    nodes.

    They have the course as a property, so all days or memberships are read once, in the order of their ids. Reading
    them through a group would be slow: each page would read again the memberships that were already moved.
    """
    after = ""
    while (
        page := connection.read(CYPHER[statement], after=after, limit=PAGE)
        if renaming.label == "Course"
        else ()
    ):
        yield from portions(sorted(row["id"] for row in page if row["course"] == renaming.old))
        after = max(row["id"] for row in page)


def _move_days(tx: neo4j.Transaction, renaming: Renaming, ids: Sequence[str]) -> int:
    """Add days of activity to the days of the new id, and delete the old ones. Return their number."""
    begin(tx, "ImportBatch", "")
    before = {each: Day(*json.loads(each)) for each in ids}
    after = {
        each: Day(
            renaming.of("Student", day.student_id), renaming.of("Course", day.course_id), day.date
        )
        for each, day in before.items()
    }
    students: set[Node] = {
        ("Student", day.student_id) for day in (*before.values(), *after.values())
    }
    lock_and_load(tx, students, ())
    moved: dict[Day, Activity] = {}
    rows = list(tx.run(CYPHER["active_days"], ids=sorted(ids)))
    add_days(moved, ((after[row["id"]], Activity.read(row)) for row in rows))
    write_days(tx, moved)
    tx.run(CYPHER["end_active_days"], ids=sorted(ids)).consume()
    delete_orphans(tx, students)
    return len(rows)


def _move_reviews(tx: neo4j.Transaction, renaming: Renaming) -> None:
    """Move the reviews of an item to the new id. The last review of each point decides there."""
    _, old, new = renaming
    points = [row["point"] for row in tx.run(CYPHER["reviewed_tests"], id=old)]
    nodes = {("Item", old), ("Item", new), *(("KnowledgePoint", point) for point in points)}
    unit = lock_and_load(tx, nodes, (), {(item, point) for item in (old, new) for point in points})
    changed: dict[bool, list[Row]] = {True: [], False: []}
    for point in sorted(points):
        stated, counts = unit.item_names.tests[old, point], unit.item_names.tests[new, point]
        if +stated:
            changed[True].append(tests_row((old, point), stated, None))
        said = max(
            unit.tests_said[item, point] for item in (old, new) if (item, point) in unit.tests_said
        )
        changed[said.is_tested(counts)].append(tests_row((new, point), counts, said))
    run_rows(
        tx,
        "remove_tests",
        [{"item": item, "point": point} for item in (old, new) for point in sorted(points)],
    )
    run_rows(tx, "set_tests", changed[True])
    run_rows(tx, "set_not_tests", changed[False])
    rows = list(tx.run(CYPHER["reviews_of_item"], id=old))
    kept = [
        ItemReview.model_validate({k: v for k, v in row["properties"].items() if k != "id"})
        for row in rows
    ]
    keep_reviews(tx, [each.model_copy(update={"item_id": new}) for each in kept])
    tx.run(CYPHER["drop_reviews"], ids=sorted(row["id"] for row in rows)).consume()
