"""Groups: who is in them and who leads them, what they are called, and of which courses they are.

MEMBER_OF and LEADS are derived from a person's own memberships, and what is stored of a group are counts: a group of
a large course may have a million members, and none of them is read when another one comes or goes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import neo4j

from edugraph_common.contracts.records import iso
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import GroupCounts, Pair, PersonInGroup
from edugraph_importer.graph.unit_of_work import run_rows


def write_memberships(tx: neo4j.ManagedTransaction, memberships: Iterable[PersonInGroup]) -> None:
    """Derive MEMBER_OF and LEADS of these people and groups from the Membership nodes in the graph.

    Of those that agree in term and start, the latest is the one that counts. The people and groups must be locked.
    """
    of_person: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for label, person_id, group_id in sorted(memberships):
        of_person[label][person_id].append(group_id)
    for label, groups_of in of_person.items():
        rows: list[Row] = [{"person": person_id, "groups": group_ids} for person_id, group_ids in groups_of.items()]
        latest: dict[tuple[str, ...], tuple[str, Row]] = {}
        for row in tx.run(CYPHER[f"memberships_of_{label}"], rows=rows):
            starts = iso(row["starts"].to_native()) if row["starts"] else None
            key = (row["person"], row["group"], row["term"] or "", starts or "")
            version_key = f"{iso(row['timestamp'].to_native())}|{row['record']}"
            if key not in latest or latest[key][0] < version_key:
                ends = iso(row["ends"].to_native()) if row["ends"] else None
                latest[key] = (version_key, row.data() | {"starts": starts, "ends": ends})
        run_rows(tx, f"remove_memberships_{label}", rows)
        found = [row for _, (_, row) in sorted(latest.items(), key=lambda each: each[0])]
        for name, leads in (("member_of", False), ("leads", True)):
            run_rows(tx, f"{name}_{label}", [row for row in found if row["leads"] is leads])


def group_counts(tx: neo4j.ManagedTransaction, records: Mapping[str, Iterable[str]]) -> GroupCounts:
    """Return what these records, given as ids by label, say of groups."""
    counts, ids = GroupCounts(), sorted(records.get("Membership", ()))
    for row in tx.run(CYPHER["group_counts"], ids=ids) if ids else ():
        counts.add(row["group"], row["name"], row["course"])
    return counts


def add_courses(tx: neo4j.ManagedTransaction, courses: Mapping[Pair, int]) -> None:
    """Add how many memberships say of which course their group is; what none of them says goes."""
    rows: list[Row] = [
        {"group": group_id, "course": course_id, "records": number}
        for (group_id, course_id), number in sorted(courses.items())
        if number
    ]
    run_rows(tx, "add_of_course", rows)
    run_rows(tx, "remove_of_course", [row for row in rows if row["records"] < 0])
