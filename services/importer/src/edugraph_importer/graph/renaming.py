"""Renaming: all records of a course, a group or an item get another id for it. Persons have claims (`persons`).

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

# "missing": no record names the old id. "taken": another node has the new id. "own": the caller's own person would
# lead a group.
Refusal = Literal["missing", "taken", "own"]
_REFUSALS: tuple[Refusal | None, ...] = (None, "missing", "taken", "own")

LABEL_OF_RENAMABLE: dict[Renamable, str] = {
    "course": "Course",
    "group": "Group",
    "item": "Item",
}

# Label of the renamed node -> label of a record -> the statements that move the record's links.
_MOVES: Mapping[str, Mapping[str, Sequence[str]]] = {
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
    refused = _REFUSALS[write(_begin, renaming, leaders.cause, merge=merge)]
    if refused is not None:
        return Renamed(0, finished=True, refused=refused)
    while more := write(_move, f"to_rename_{renaming.label}", renaming, leaders):
        moved += more
        if not go_on():
            return Renamed(moved, finished=False)
    for ids in _naming_course(connection, "memberships_after", renaming):
        moved += write(_move, "memberships_of_course", renaming, leaders, ids=ids)
        if not go_on():
            return Renamed(moved, finished=False)
    for days in _naming_course(connection, "days_after", renaming):
        moved += write(_move_days, renaming, days)
        if not go_on():
            return Renamed(moved, finished=False)
    write(_end, renaming)
    return Renamed(moved, finished=True)


def _begin(tx: neo4j.Transaction, renaming: Renaming, cause: Cause, *, merge: bool) -> int:
    """Note the old id on the node with the new id, or refuse. Return the index of the reason in `_REFUSALS`."""
    begin(tx, "ImportBatch", "")
    label, old, new = renaming
    lock_and_load(tx, {(label, old), (label, new)}, ())
    old_node = tx.run(CYPHER[f"in_use_{label}"], id=old).single()
    new_node = tx.run(CYPHER[f"in_use_{label}"], id=new).single()
    # If the new node knows the old id as a former one, both are the same already: an earlier renaming was not
    # finished, or new records came with the old id.
    known_ids: set[str] = set()
    if new_node is not None:
        known_ids.update(new_node["former"] or ())
    refused: Refusal | None = None
    # Days of activity have the course only as a property, so a course may have days without having a node.
    if old_node is None and label != "Course":
        refused = "missing"
    elif new_node is not None and not merge and old not in known_ids:
        refused = "taken"
    elif _would_lead(tx, renaming, cause):
        refused = "own"
    if refused is not None or old_node is None:
        delete_orphans(tx, {(label, old), (label, new)})
        return _REFUSALS.index(refused)
    former = {old, *known_ids, *(old_node["former"] or ())} - {new}
    tx.run(CYPHER[f"set_former_ids_{label}"], id=new, former=sorted(former)).consume()
    if label == "Item":
        _move_reviews(tx, renaming)
    return _REFUSALS.index(None)


def _would_lead(tx: neo4j.Transaction, renaming: Renaming, cause: Cause) -> bool:
    """Return whether the caller would lead the group with the new id.

    This is decided before anything is moved, since a renaming must not stop halfway.
    """
    if renaming.label != "Group":
        return False
    leaders = list(tx.run(CYPHER["leaders_of_group"], id=renaming.old))
    return any(cause.is_caller(row["person"]) for row in leaders)


def _end(tx: neo4j.Transaction, renaming: Renaming) -> None:
    begin(tx, "ImportBatch", "")
    label, old, new = renaming
    lock_and_load(tx, {(label, old), (label, new)}, ())
    delete_orphans(tx, {(label, old), (label, new)})


def _move(
    tx: neo4j.Transaction,
    page: str,
    renaming: Renaming,
    leaders: LeaderNotes,
    *,
    ids: Sequence[str] = (),
) -> int:
    """Move the next records, or those with these ids. Return their number. It is 0 when there are no more."""
    begin(tx, "ImportBatch", "")
    label, old, new = renaming
    rows = list(tx.run(CYPHER[page], id=old, ids=ids, limit=RECORDS_AT_ONCE))
    if not rows:
        return 0
    ids_by_label: dict[str, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda each: str(each["id"])):
        ids_by_label[row["label"]].append(row["id"])
    # The records are read and locked as if they were removed, since their aggregates change for both ids.
    named = {row["id"]: row["hash"] for row in rows}
    moved = stored_versions(tx, named)
    hashes = {record_id: version.content_hash for record_id, version in moved.items()}
    if hashes != named:
        raise StaleRead
    locked = lock_superseded(tx, moved)
    outdated, names, counts = _renamed(locked, renaming)
    nodes = locked.nodes | {(label, old), (label, new)}
    tests = {*locked.item_names.tests, *names.tests}
    unit = lock_and_load(tx, nodes, outdated.learns, tests)
    for record_label, record_ids in ids_by_label.items():
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
        _put_said(tx, unit, renaming, ids_by_label)
    write_changed_state(tx, unit)
    delete_orphans(tx, {(label, old)})
    return len(rows)


def _renamed(
    locked: SupersededVersions, renaming: Renaming
) -> tuple[Outdated, ItemNames, GroupCounts]:
    """Return the aggregates of both ids that change, and the names of items and groups after the renaming."""
    of = renaming.of
    before = locked.outdated

    def both(pairs: set[Pair], start_label: str, end_label: str) -> set[Pair]:
        """Return the pairs as they were before the renaming, and as they are after it."""
        return pairs | {(of(start_label, start), of(end_label, end)) for start, end in pairs}

    outdated = Outdated(
        fields={(renaming.label, renaming.old), (renaming.label, renaming.new)},
        version_keys=before.version_keys,
        mistakes=set(before.mistakes),
        practised=both(before.practised, "Student", "Item"),
        learns=both(before.learns, "Student", "Course"),
        memberships=set(before.memberships),
    )
    for student_id, error_type, course_id in before.mistakes:
        outdated.mistakes.add((of("Student", student_id), error_type, of("Course", course_id)))
    for person_label, person_id, group_id in before.memberships:
        person_after = of(person_label, person_id)
        outdated.memberships.add((person_label, person_after, of("Group", group_id)))
    if renaming.label == "Course":
        outdated.contains = both(before.contains, "Course", "KnowledgePoint")
    for name, pairs in before.interactions.items():
        sender_label = "Teacher" if name == "teaches" else "Student"
        outdated.interactions[name] = both(pairs, sender_label, "Student")

    names = ItemNames()
    for item_id, titles in locked.item_names.titles.items():
        names.titles[of("Item", item_id)] += titles
    for (item_id, point), spellings in locked.item_names.tests.items():
        names.tests[of("Item", item_id), point] += spellings
    counts = GroupCounts()
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
    node = (label, new)
    for record_label, record_ids in ids.items():
        # Field of the record -> field of the node. None if the record gives only a name.
        given = NODE_FIELDS_OF_RECORDS.get(f"{_FIELDS_IN.get(record_label)}_of_{label}")
        if record_label == "CourseRecord" and label == "Course":
            given = COURSE_FIELDS
        for row in tx.run(CYPHER[f"said_of_{record_label}"], ids=record_ids, node=new, of=label):
            if given is None:
                unit.put_field(node, "name", row["name"], version_key(row))
                continue
            for name, (value, key) in given_fields(row, given).items():
                unit.put_field(node, given[name], value, key)


_FIELDS_IN = {"CourseRecord": "course_records", "Definition": "definitions"}


def _naming_course(
    connection: Connection, statement: str, renaming: Renaming
) -> Iterator[Sequence[str]]:
    """Yield ids of the days or memberships that name the renamed course, some at a time. Yield nothing for other
    nodes.

    They have the course as a property, so all days or memberships are read once, in the order of their ids. Reading
    them through a group would be slow: each page would read again the memberships that were already moved.
    """
    if renaming.label != "Course":
        return
    after = ""
    while page := connection.read(CYPHER[statement], after=after, limit=PAGE):
        yield from portions(sorted(row["id"] for row in page if row["course"] == renaming.old))
        after = max(row["id"] for row in page)


def _move_days(tx: neo4j.Transaction, renaming: Renaming, ids: Sequence[str]) -> int:
    """Add days of activity to the days of the new id, and delete the old ones. Return their number."""
    begin(tx, "ImportBatch", "")
    renamed: dict[str, Day] = {}  # id of an old day -> the day under the new id
    for day_id in ids:
        day = Day(*json.loads(day_id))
        renamed[day_id] = day._replace(course_id=renaming.of("Course", day.course_id))
    owners = _owners_of_days(tx, renamed)
    students: set[Node] = {("Student", owner) for owner in owners.values()}
    lock_and_load(tx, students, ())
    # A settler may have moved the days to another student before they were locked.
    if _owners_of_days(tx, renamed) != owners:
        raise StaleRead
    rows = list(tx.run(CYPHER["active_days"], ids=sorted(ids)))
    moved: dict[Day, Activity] = {}
    add_days(moved, [(renamed[row["id"]], Activity.read(row)) for row in rows])
    write_days(tx, moved, owners.__getitem__)
    tx.run(CYPHER["end_active_days"], ids=sorted(ids)).consume()
    delete_orphans(tx, students)
    return len(rows)


def _owners_of_days(tx: neo4j.Transaction, days: Mapping[str, Day]) -> dict[str, str]:
    """Return the id of a student in these days -> the id of the node at which the days are."""
    owners: dict[str, str] = {}
    for row in tx.run(CYPHER["students_of_days"], ids=sorted(days)):
        owners[days[row["id"]].student_id] = row["student"]
    return owners


def _move_reviews(tx: neo4j.Transaction, renaming: Renaming) -> None:
    """Move the reviews of an item to the new id. The last review of each point decides there."""
    _, old, new = renaming
    points = sorted(row["point"] for row in tx.run(CYPHER["reviewed_tests"], id=old))
    old_tests = [(old, point) for point in points]
    new_tests = [(new, point) for point in points]
    nodes = {("Item", old), ("Item", new), *(("KnowledgePoint", point) for point in points)}
    unit = lock_and_load(tx, nodes, (), {*old_tests, *new_tests})
    tested: list[Row] = []
    not_tested: list[Row] = []
    for old_test, new_test in zip(old_tests, new_tests, strict=True):
        stated = unit.item_names.tests[old_test]
        if +stated:
            tested.append(tests_row(old_test, stated, None))
        counts = unit.item_names.tests[new_test]
        said = [unit.tests_said[test] for test in (old_test, new_test) if test in unit.tests_said]
        last = max(said)
        rows = tested if last.is_tested(counts) else not_tested
        rows.append(tests_row(new_test, counts, last))
    removed: list[Row] = []
    for item_id, point in (*old_tests, *new_tests):
        removed.append({"item": item_id, "point": point})
    run_rows(tx, "remove_tests", removed)
    run_rows(tx, "set_tests", tested)
    run_rows(tx, "set_not_tests", not_tested)

    stored = {row["id"]: row["properties"] for row in tx.run(CYPHER["reviews_of_item"], id=old)}
    moved = []
    for properties in stored.values():
        fields = {name: value for name, value in properties.items() if name != "id"}
        moved.append(ItemReview.model_validate(fields | {"item_id": new}))
    keep_reviews(tx, moved)
    tx.run(CYPHER["drop_reviews"], ids=sorted(stored)).consume()
