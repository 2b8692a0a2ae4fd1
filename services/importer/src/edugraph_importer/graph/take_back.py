"""Taking back what removed records gave to names, fields, descriptions and sums.

A superseded version is removed as if it had never come: its node is deleted, and what it had a part in is computed
again from the records that remain. Nothing else is touched.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

import neo4j

from edugraph_common.contracts.graph_schema import (
    IDENTIFIED_LABELS,
    NAMED_LABELS,
    RECORD_LABELS,
)
from edugraph_common.runtime.shared_state.graph_changes import ALL_COURSES
from edugraph_importer.graph import finding_facts, groups, record_facts
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.finding_facts import FindingFacts
from edugraph_importer.graph.model import (
    KEYS_IN_COURSE,
    LEARNS_FIELDS,
    POINT_FIELDS,
    Called,
    GroupCounts,
    IdClaim,
    InteractionSum,
    ItemNames,
    Mention,
    Node,
    Outdated,
    Pair,
    PersonInGroup,
    course_key,
    version_key,
)
from edugraph_importer.graph.statements import CYPHER, Row, rows_of
from edugraph_importer.graph.sums import (
    RelatedSums,
    recompute_contains,
    recompute_has_error,
    recompute_interactions,
    recompute_practised,
    recompute_related,
    related_by_links,
)
from edugraph_importer.graph.unit_of_work import (
    FOUND_FIELDS,
    LATEST_FIELDS,
    NEVER,
    Fields,
    UnitOfWork,
    merge_fields,
    put_field,
    read_counts,
    read_fields,
)
from edugraph_importer.graph.versions import StoredVersion

# Statement that returns the records of a node -> field of the record -> field of the node.
NODE_FIELDS_OF_RECORDS: Mapping[str, Mapping[str, str]] = {
    "course_records_of_Student": {"student_name": "name"},
    "definitions_of_Item": {name: name for name in LATEST_FIELDS["Item"]},
    "definitions_of_KnowledgePoint": POINT_FIELDS,
    "definitions_of_Term": {name: name for name in LATEST_FIELDS["Term"]},
}

# Field of a CourseRecord -> field of the course.
COURSE_FIELDS = {
    "course_name": "name",
    "course_description": "description",
    "difficulty": "difficulty",
}

# Type of the interaction -> the sum that it is a part of. A teacher's interaction has no type.
_SUM_OF_INTERACTION: Mapping[str | None, InteractionSum] = {
    "chat": "chat_with",
    "like": "likes",
    None: "teaches",
}
# The records that change only the answers of the courses that they are in.
_OF_THEIR_COURSES = ("Attempt", "CourseRecord", "ErrorRecord", "Interaction")
# The label of a record, and its students and courses as nodes. The next version of a record can be in another place.
Place = tuple[str, frozenset[Node]]
# The relationships by which a text or a definition states that a point belongs to its course.
_STATES_POINT = ("DESCRIBES", "DEFINES")


def place_of(label: str, nodes: Iterable[Node]) -> Place:
    """Return the place of a record with this label, from the nodes that it links to.

    The course of a membership is a property of its group. It is not a part of the place.
    """
    labels = {"Student"} if label == "Membership" else {"Student", "Course"}
    return label, frozenset(node for node in nodes if node[0] in labels)


@dataclass(slots=True)
class SupersededVersions:
    """The superseded versions and everything that they have a part in.

    `records` has their ids by label, `findings` their findings by id, and `nodes` the nodes that they link to.
    `spellings`, `related`, `item_names`, `group_counts` and `called` have their counts, which are subtracted from the
    graph. `claims` has the prerequisites that the records themselves state. `memberships` maps the id of a membership
    to its people and groups. `id_claims` maps the id of a person_record to its claims.
    `outdated` has the aggregates to recompute. `courses` has the courses whose answers the records change, or
    ALL_COURSES. `places` maps the id of a record to its place.
    """

    records: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    findings: dict[str, FindingFacts] = field(default_factory=dict)
    nodes: set[Node] = field(default_factory=set)
    spellings: Counter[Mention] = field(default_factory=Counter)
    related: RelatedSums = field(default_factory=Counter)
    item_names: ItemNames = field(default_factory=ItemNames)
    group_counts: GroupCounts = field(default_factory=GroupCounts)
    called: Counter[Called] = field(default_factory=Counter)
    claims: set[Pair] = field(default_factory=set)
    memberships: dict[str, set[PersonInGroup]] = field(default_factory=dict)
    id_claims: dict[str, set[IdClaim]] = field(default_factory=dict)
    outdated: Outdated = field(default_factory=Outdated)
    courses: set[str] = field(default_factory=set)
    places: dict[str, Place] = field(default_factory=dict)


def lock_superseded(
    tx: neo4j.Transaction,
    superseded: Mapping[str, StoredVersion],
    noted: Mapping[str, StoredVersion] = MappingProxyType({}),
) -> SupersededVersions:
    """Lock the superseded and noted versions, and read the links of the superseded ones.

    Raise StaleRead if a version has changed since the transaction read it. The whole key and all remembered versions
    are compared.
    """
    locked = SupersededVersions()
    versions = {**superseded, **noted}
    for label in RECORD_LABELS:
        expected: dict[str, StoredVersion] = {}
        for record_id, version in versions.items():
            if version.label == label:
                expected[record_id] = version
        if not expected:
            continue
        found: dict[str, StoredVersion] = {}
        row = tx.run(CYPHER[f"lock_records_{label}"], ids=sorted(expected)).single(strict=True)
        for record_id, properties, finding, verdicts, *_ in row["records"]:
            found[record_id] = StoredVersion.read(label, properties)
            if record_id in superseded:
                time_of_record = found[record_id].timestamp
                locked.outdated.version_keys.add(f"{time_of_record}|{record_id}")
                locked.findings[record_id] = finding_facts.facts_of_stored(finding, label, verdicts)
        if found != expected:
            raise StaleRead
        superseded_ids = sorted(expected.keys() & superseded.keys())
        if superseded_ids:
            locked.records[label] = superseded_ids
    for label, record_ids in locked.records.items():
        _read_links(tx, locked, label, record_ids)
    # TESTS has counts. So removing a record subtracts, and no other record of the knowledge point is read.
    locked.item_names = item_names(tx, locked.records)
    locked.nodes.update(locked.item_names.nodes())
    locked.group_counts = groups.group_counts(tx, locked.records)
    locked.nodes.update(locked.group_counts.nodes())
    locked.nodes.update((each.label, each.name) for each in locked.called)
    locked.outdated.fields = locked.nodes
    return locked


def read_parts(
    tx: neo4j.Transaction, records: Mapping[str, list[str]]
) -> tuple[Outdated, set[Node]]:
    """Return the aggregates that these records have a part in, and the nodes to which they link.

    `records` maps a label to ids. The records must be locked, and link to a person: `ends_of` knows no other labels.
    """
    found = SupersededVersions()
    for label, record_ids in records.items():
        result = tx.run(CYPHER[f"ends_of_{label}"], ids=record_ids)
        for record in result.single(strict=True)["records"]:
            links: list[Row] = []
            for link in record["ends"]:
                found.nodes.add((link["label"], link["end"]))
                links.append(record | link)
            _note_outdated(found, label, links)
    return found.outdated, found.nodes


def _read_links(
    tx: neo4j.Transaction, locked: SupersededVersions, label: str, record_ids: list[str]
) -> None:
    """Read the links of the versions: their nodes, their counts, and the aggregates that they have a part in."""
    rows = list(tx.run(CYPHER[f"links_of_{label}"], ids=record_ids))
    locked.related.update(related_by_links(rows))
    locked.id_claims.update(id_claims(rows))
    links_of_record: dict[str, list[neo4j.Record]] = defaultdict(list)
    for row in rows:
        links_of_record[row["record"]].append(row)
        locked.nodes.add((row["label"], row["end"]))
        locked.spellings.update(mentions(row))
        if row["label"] in IDENTIFIED_LABELS and row["stated"] is not None:
            locked.called.update(record_facts.called(row["label"], row["end"], row["stated"]))
    for record_id, links in links_of_record.items():
        _note_outdated(locked, label, links)
        locked.courses |= _courses_of(label, links)
        locked.places[record_id] = place_of(label, ((row["label"], row["end"]) for row in links))


def _courses_of(label: str, links: Sequence[neo4j.Record]) -> set[str]:
    """Return the courses whose answers a record changes, by its links. It is ALL_COURSES if any answer may change."""
    courses: set[str] = set()
    if label in _OF_THEIR_COURSES:
        courses = {row["end"] for row in links if row["type"] == "IN_COURSE"}
    return courses or {ALL_COURSES}


def _note_outdated(
    locked: SupersededVersions, label: str, links: Sequence[neo4j.Record | Row]
) -> None:
    """Note the aggregates that a record has a part in. They follow from combinations of the ends of its `links`."""
    outdated = locked.outdated
    ends: dict[str, set[str]] = defaultdict(set)  # relationship type -> ids at its ends
    for row in links:
        ends[row["type"]].add(row["end"])
    match label:
        case "Interaction":
            name = _SUM_OF_INTERACTION[links[0]["interaction_type"]]
            outdated.interactions[name].update(product(ends["SENT"], ends["RECEIVED_BY"]))
        case "Attempt" | "ErrorRecord":
            students = ends["MADE"] | ends["TRIED"]
            outdated.mistakes.update(product(students, ends["OF_TYPE"], ends["IN_COURSE"]))
            outdated.practised.update(product(ends["TRIED"], ends["OF_ITEM"]))
        case "CourseRecord":
            outdated.learns.update(product(ends["HAS_RECORD"], ends["IN_COURSE"]))
        case "CourseContent" | "Definition":
            # A definition of an item is in a course, too, but CONTAINS links only knowledge points.
            stating = [row for row in links if row["type"] in _STATES_POINT]
            points = {row["end"] for row in stating if row["label"] == "KnowledgePoint"}
            outdated.descriptions |= ends["DESCRIBES"]
            outdated.contains.update(product(ends["IN_COURSE"], points))
            locked.claims.update(product(ends["DEFINES"], ends["REQUIRES"]))
        case "Membership":
            people = [
                (row["label"], row["end"]) for row in links if row["type"] == "HAS_MEMBERSHIP"
            ]
            memberships = {
                (*person, group_id) for person, group_id in product(people, ends["IN_GROUP"])
            }
            locked.memberships[links[0]["record"]] = memberships
            outdated.memberships |= memberships


def remove_superseded(
    tx: neo4j.Transaction,
    unit: UnitOfWork,
    superseded: SupersededVersions,
    newer: Mapping[Node, Fields],
    next_places: Mapping[str, Place],
) -> None:
    """Remove the versions and recompute what they have a part in. `superseded.nodes` must be locked.

    `newer` has the fields that the records to write next give. `next_places` maps the ids of these records to their
    places. The caller handles prerequisites and orphaned nodes.
    """
    if not superseded.records:
        return
    # Most new versions repeat the fields of the version that they replace. If a removed version decided a field and a
    # later record gives it, the later value counts. All other records are older than both and are not read.
    for node in superseded.outdated.fields & newer.keys():
        fields = unit.fields.get(node, {})
        for name, (_, decided_by) in list(fields.items()):
            _, given_by = newer[node].get(name, (None, NEVER))
            is_decided_by_removed = decided_by in superseded.outdated.version_keys
            if is_decided_by_removed and given_by >= decided_by:
                del fields[name]
                unit.changed_nodes.add(node)
    # The old nodes are deleted first, because the newer versions have the same ids and must not be counted twice.
    for label in RECORD_LABELS:
        ids = superseded.records[label]
        gone: list[str] = []
        next_versions: list[str] = []
        for record_id in ids:
            # A record that moves is lost where it was, so its students get the word.
            next_place = next_places.get(record_id)
            stays = next_place is not None and next_place == superseded.places.get(record_id)
            if stays:
                next_versions.append(record_id)
            else:
                gone.append(record_id)
        if gone:
            tx.run(CYPHER[f"delete_records_{label}"], ids=gone).consume()
        if next_versions:
            tx.run(CYPHER[f"delete_replaced_{label}"], ids=next_versions).consume()
    recompute(tx, unit, superseded.outdated)
    unit.called.subtract(superseded.called)


def recompute(tx: neo4j.Transaction, unit: UnitOfWork, outdated: Outdated) -> None:
    """Recompute from the records that are in the graph. Names, descriptions and fields go into `unit`."""
    for total, pairs in outdated.interactions.items():
        recompute_interactions(tx, total, pairs)
    recompute_has_error(tx, outdated.mistakes)
    recompute_practised(tx, outdated.practised)
    groups.write_memberships(tx, outdated.memberships, unit.leading)
    recompute_related(tx, outdated.relates_to)
    recompute_contains(tx, outdated.contains)
    _recompute_learns(tx, unit, outdated.learns)
    _recompute_spellings(tx, unit, outdated.spellings)
    _recompute_descriptions(tx, unit, outdated.descriptions)
    _recompute_fields(tx, unit, outdated)


def item_names(tx: neo4j.Transaction, records: Mapping[str, Iterable[str]]) -> ItemNames:
    """Return the names of items and points that these records use. `records` maps a label to ids."""
    names = ItemNames()
    for label in ("Attempt", "Definition"):
        ids = sorted(records.get(label, ()))
        for row in rows_of(tx, f"item_names_{label}", ids):
            names.add(row["item"], row["title"], row["points"] or ())
    return names


def _recompute_learns(tx: neo4j.Transaction, unit: UnitOfWork, pairs: Iterable[Pair]) -> None:
    rows: list[Row] = [
        {"student": student_id, "course": course_id} for student_id, course_id in sorted(pairs)
    ]
    if not rows:
        return
    found: dict[Pair, Fields] = defaultdict(dict)
    for row in tx.run(CYPHER["course_records"], rows=rows):
        merge_fields(found[row["student"], row["course"]], given_fields(row, LEARNS_FIELDS))
    for pair in pairs:
        unit.replace_learns(pair, found.get(pair))


def given_fields(row: neo4j.Record, names: Iterable[str]) -> Fields:
    """Return the values that a record has for these fields, with the record's version key."""
    return read_fields(row["properties"] | {"stamp": version_key(row)}, names)


def id_claims(links: Iterable[neo4j.Record]) -> dict[str, set[IdClaim]]:
    """Return id of a person_record -> its claims, for the person_records with these links."""
    persons: dict[str, str] = {}  # id of a person_record -> its person
    claiming: list[neo4j.Record] = []
    for row in links:
        if row["type"] == "OF_PERSON":
            persons[row["record"]] = row["end"]
        elif row["type"] in ("CLAIMS", "DECIDES"):
            claiming.append(row)
    found: dict[str, set[IdClaim]] = defaultdict(set)
    for row in claiming:
        decides = row["type"] == "DECIDES"
        found[row["record"]].add((persons[row["record"]], row["end"], decides))
    return found


def mentions(row: neo4j.Record) -> Iterator[Mention]:
    """Yield the spellings that a record's link has for the node at its end, both stated and found.

    The names of a point in its definition do not count as spellings: they are names that join the point's id.
    """
    if row["label"] not in NAMED_LABELS or row["type"] == "DEFINES":
        return
    node = (row["label"], row["end"])
    for spelling in (*(row["stated"] or ()), *(row["found"] or ())):
        yield node, spelling


def _recompute_spellings(tx: neo4j.Transaction, unit: UnitOfWork, nodes: Iterable[Node]) -> None:
    """Count again all spellings of these nodes.

    This reads every record that names them, so it is too slow to run for each record.
    """
    ids = defaultdict(list)
    for label, node_id in sorted(nodes):
        ids[label].append(node_id)
        unit.spellings[label, node_id] = Counter()
        unit.changed_nodes.add((label, node_id))
    for label in NAMED_LABELS:
        for row in rows_of(tx, f"spellings_{label}", ids[label]):
            unit.spellings[label, row["id"]][row["spelling"]] += row["records"]
    for row in rows_of(tx, "tested_spellings", ids["KnowledgePoint"]):
        unit.spellings["KnowledgePoint", row["id"]].update(read_counts(row))


def _recompute_descriptions(tx: neo4j.Transaction, unit: UnitOfWork, points: Iterable[str]) -> None:
    ids = sorted(points)
    for point in ids:
        for name in FOUND_FIELDS:
            unit.fields["KnowledgePoint", point].pop(name, None)
        unit.changed_nodes.add(("KnowledgePoint", point))
    for row in rows_of(tx, "descriptions", ids):
        fields = unit.fields["KnowledgePoint", row["id"]]
        for name in FOUND_FIELDS:
            put_field(fields, name, row[name], version_key(row))


def _recompute_fields(tx: neo4j.Transaction, unit: UnitOfWork, outdated: Outdated) -> None:
    """Recompute the fields of the nodes that took one from a removed record."""
    ids: dict[str, list[str]] = defaultdict(list)
    for node in sorted(outdated.fields):
        label, node_id = node
        if label not in LATEST_FIELDS:
            continue
        fields = unit.fields[node]
        # Most nodes took nothing from the removed records.
        took_a_field = any(decided_by in outdated.version_keys for _, decided_by in fields.values())
        if not took_a_field and not outdated.any_field:
            continue
        ids[label].append(node_id)
        if label == "KnowledgePoint":
            unit.fields[node] = {name: fields[name] for name in FOUND_FIELDS if name in fields}
        else:
            unit.fields[node] = {}
        unit.changed_nodes.add(node)
    _put_latest_of_courses(tx, unit, ids["Course"])
    for label in ("Student", "Teacher"):
        for row in rows_of(tx, f"names_{label}", ids[label]):
            put_field(unit.fields[label, row["id"]], "name", row["name"], version_key(row))
    for statement, field_of_node in NODE_FIELDS_OF_RECORDS.items():
        label = statement.rpartition("_")[2]
        for row in rows_of(tx, statement, ids[label]):
            for name, (value, decided_by) in given_fields(row, field_of_node).items():
                put_field(unit.fields[label, row["id"]], field_of_node[name], value, decided_by)


def _put_latest_of_courses(
    tx: neo4j.Transaction, unit: UnitOfWork, course_ids: Iterable[str]
) -> None:
    """Put the fields of courses from their latest records. An index finds these, so no other records are read."""
    for course_id in course_ids:
        fields = unit.fields["Course", course_id]
        prefix = course_key(course_id, "")
        for given, key in KEYS_IN_COURSE.items():
            latest = tx.run(CYPHER[f"latest_of_course_{key}"], id=course_id, prefix=prefix).single()
            if latest is None:
                continue
            value = latest["properties"].get(given, latest["name"])
            decided_by = latest["key"].removeprefix(prefix)
            put_field(fields, COURSE_FIELDS[given], value, decided_by)
