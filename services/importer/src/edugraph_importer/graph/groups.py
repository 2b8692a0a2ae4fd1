"""Groups: their members, leaders, names and courses.

MEMBER_OF and LEADS are derived from the memberships of one person. For a group only counts are stored: the group of a
large course may have a million members, and none of them is read when another member comes or goes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import neo4j

from edugraph_common.contracts.records import iso
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import GroupCounts, Node, Pair, PersonInGroup
from edugraph_importer.graph.unit_of_work import Leading, run_rows


def write_memberships(
    tx: neo4j.Transaction, memberships: Iterable[PersonInGroup], leading: Leading
) -> None:
    """Derive MEMBER_OF and LEADS of these people and groups from the Membership nodes in the graph.

    If several memberships have the same term and start, the latest record counts. The people and groups must be
    locked. `leading` receives the times at which they led the groups before, and at which they lead them now.
    """
    for label, rows in _rows_by_label(memberships):
        times = _times_in_groups(tx, label, rows)
        latest = [times[time][-1] for time in sorted(times)]
        members = [row for row in latest if row["leads"] is False]
        leaders = [row for row in latest if row["leads"] is True]

        leading.note(label, rows, _led_before(tx, label, rows), leaders)

        run_rows(tx, f"remove_memberships_{label}", rows)
        run_rows(tx, f"member_of_{label}", members)
        run_rows(tx, f"leads_{label}", leaders)


def note_end(
    tx: neo4j.Transaction, label: str, person_id: str, nodes: Iterable[Node], leading: Leading
) -> None:
    """Note in `leading` that a person, who is about to be deleted, leads none of the groups among these nodes."""
    group_ids = sorted(node_id for of_label, node_id in nodes if of_label == "Group")
    rows: list[Row] = [{"person": person_id, "groups": group_ids}]
    leading.note(label, rows, _led_before(tx, label, rows), ())


def _led_before(tx: neo4j.Transaction, label: str, rows: list[Row]) -> list[Row]:
    """Return the times at which the people lead the groups, before LEADS is derived again."""
    led: list[Row] = []
    for row in tx.run(CYPHER[f"leads_of_{label}"], rows=rows):
        starts = _iso_or_none(row["starts"])
        ends = _iso_or_none(row["ends"])
        led.append(row.data() | {"starts": starts, "ends": ends})
    return led


def ended_memberships(tx: neo4j.Transaction, ids: Iterable[str], before: str) -> list[str]:
    """Return all memberships that belong to the same times in groups as `ids`, if these times ended before a moment.

    The latest record says when the time ends, or else the end of its term counts. All records of the time are
    returned: if only the record with the end were removed, the person would be in the group again.
    """
    ended_terms = {row["id"] for row in tx.run(CYPHER["ended_terms"], before=before)}
    people = {
        (row["label"], row["person"], row["group"])
        for row in tx.run(CYPHER["people_of"], ids=sorted(ids))
    }
    ended: list[str] = []
    for label, rows in _rows_by_label(people):
        for stated in _times_in_groups(tx, label, rows).values():
            latest = stated[-1]
            if latest["ends"]:
                has_ended = latest["ends"] < before
            else:
                has_ended = latest["term"] in ended_terms
            if has_ended:
                ended += [row["record"] for row in stated]
    return ended


def _rows_by_label(people: Iterable[PersonInGroup]) -> Iterator[tuple[str, list[Row]]]:
    """Yield a label, and for each person of this label a row with the person's groups."""
    groups_by_label: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for label, person_id, group_id in sorted(people):
        groups_by_label[label][person_id].append(group_id)
    for label, groups_of in groups_by_label.items():
        rows: list[Row] = [
            {"person": person_id, "groups": group_ids} for person_id, group_ids in groups_of.items()
        ]
        yield label, rows


def _times_in_groups(
    tx: neo4j.Transaction, label: str, rows: list[Row]
) -> dict[tuple[str, ...], list[Row]]:
    """Return (person, group, term, start) -> the rows of the records about this time, ordered by version key."""
    stated: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for record in tx.run(CYPHER[f"memberships_of_{label}"], rows=rows):
        row = record.data()
        row["starts"] = _iso_or_none(record["starts"])
        row["ends"] = _iso_or_none(record["ends"])
        timestamp = iso(record["timestamp"].to_native())
        row["version_key"] = f"{timestamp}|{record['record']}"
        time_in_group = (row["person"], row["group"], row["term"] or "", row["starts"] or "")
        stated[time_in_group].append(row)
    for rows_of_time in stated.values():
        rows_of_time.sort(key=lambda each: str(each["version_key"]))
    return stated


def _iso_or_none(moment: Any) -> str | None:
    return iso(moment.to_native()) if moment else None


def group_counts(tx: neo4j.Transaction, records: Mapping[str, Iterable[str]]) -> GroupCounts:
    """Return the names and courses that these records give to groups. `records` maps a label to ids."""
    counts = GroupCounts()
    ids = sorted(records.get("Membership", ()))
    if not ids:
        return counts
    for row in tx.run(CYPHER["group_counts"], ids=ids):
        counts.add(row["group"], row["name"], row["course"])
    return counts


def add_courses(tx: neo4j.Transaction, courses: Mapping[Pair, int]) -> None:
    """Add numbers of memberships to OF_COURSE. Remove the relationships that no membership states any more.

    `courses` maps (group, course) to the number to add.
    """
    changed: list[Row] = []
    for (group_id, course_id), number in sorted(courses.items()):
        if number:
            changed.append({"group": group_id, "course": course_id, "records": number})
    run_rows(tx, "add_of_course", changed)
    run_rows(tx, "remove_of_course", [row for row in changed if row["records"] < 0])
