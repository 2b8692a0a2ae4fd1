"""What the records and findings say, summed up the plain way from them alone: the graph must agree."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    InteractionFinding,
    RecordFinding,
)
from edugraph_common.contracts.records import (
    AttemptRecord,
    CourseContent,
    CourseRecord,
    ErrorRecord,
    ItemRecord,
    PointRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
    parse_record,
)
from edugraph_common.contracts.school_records import (
    ActionRecord,
    ActivityRecord,
    MembershipRecord,
    PersonRecord,
    TermRecord,
)
from edugraph_importer.graph.model import SEVERITY_WEIGHT

from .stored_fields import compare_fields

PERSON_FIELDS = ("student_id", "student_id_from", "student_id_to", "teacher_id")


def check(room: Any, given: Sequence[Record], findings: Sequence[RecordFinding]) -> None:
    room.graph.settle_persons()
    room.graph.settle_prerequisites()
    assert person_records_in(room) == person_records(given)
    owners = owners_of(counting_claims(given))
    records = [parse_record(with_right_ids(each.to_json(), owners)) for each in given]
    compare_fields(room, records)
    found = {each.record["record_id"]: each.finding for each in findings}
    assert relationships(room, "CHAT_WITH", "message_count") == talks(
        records, "chat", "message_count"
    )
    assert relationships(room, "LIKES", "like_count") == talks(records, "like", "like_count")
    assert taught_in(room) == taught(records)
    for node, called_in_records in names(records).items():
        label, node_id = node
        [row] = room.query(f"MATCH (n:{label} {{id: $id}}) RETURN n.name AS name", id=node_id)
        assert row["name"] in called_in_records, node
    assert relationships(room, "LEARNS", "progress") == progress(records)
    assert mistakes_of(room) == mistakes(records, found)
    sums = {pair: (len(each), sum(each)) for pair, each in related(records, found).items()}
    assert relationships(room, "RELATES_TO", "records") == {
        pair: number for pair, (number, _) in sums.items()
    }
    assert relationships(room, "RELATES_TO", "strength") == {
        pair: each / n for pair, (n, each) in sums.items()
    }
    assert relationships(room, "CONTAINS", "importance") == contained(records, found)
    assert practised_in(room) == practised(records)
    assert points_tested_in(room) == points_of_items(records)
    assert items_in(room) == items(records)
    assert assignments_in(room) == assignments(records)
    for kind, leads in (("MEMBER_OF", False), ("LEADS", True)):
        assert memberships_in(room, kind) == memberships(records, leads=leads)
    assert groups_in(room) == groups(records)
    assert relationships(room, "OF_COURSE", "records") == courses_of_groups(records)
    assert terms_in(room) == terms(records)
    assert active_days_in(room) == active_days(records)
    for name in SAID_OF_POINTS:
        assert said_of_points_in(room, name) == said_of_points(records, name)
    assert relationships(room, "CALLED", "records") == called_by(records)
    assert spelled_in(room) == spelled(records, found)
    claims = claimed(found.values()) | required(records)
    followed, reasons = followed_of(claims, said_enough(records, found))
    assert relationships(room, "DEPENDS_ON", "confidence") == followed
    assert relationships(room, "SET_ASIDE", "confidence") == {
        pair: claims[pair] for pair in reasons
    }
    assert relationships(room, "SET_ASIDE", "reason") == reasons


def counting_claims(records: Iterable[Record]) -> set[tuple[str, str]]:
    """Return each (person, claimed id) that counts. For a decided id only decisions count."""
    stated: set[tuple[str, str, bool]] = set()
    for person, _, claims, decisions in person_records(records).values():
        stated |= {(person, each, False) for each in claims}
        stated |= {(person, each, True) for each in decisions}
    decided = {each for _, each, decides in stated if decides}
    counting: set[tuple[str, str]] = set()
    for person, each, decides in stated:
        if decides or each not in decided:
            counting.add((person, each))
    return counting


def owners_of(claims: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the owner of each id, by the words of the rules and without any algorithm for circles."""
    claimed_by: dict[str, set[str]] = defaultdict(set)
    for claimant, claimed in claims:
        claimed_by[claimed].add(claimant)
        claimed_by[claimant].update()
    # id -> all ids that claim it, directly or through others
    above = {each: set(claimants) for each, claimants in claimed_by.items()}
    for _ in above:
        for claimants in above.values():
            claimants.update(*[above[claimant] for claimant in claimants])

    def circle(each: str) -> set[str]:
        return {each, *(other for other in above[each] if each in above[other])}

    def owner(each: str) -> str:
        members = circle(each)
        owners: set[str] = set()
        for member in members:
            for claimant in claimed_by[member] - members:
                owners.add(owner(claimant))
        if len(owners) == 1:
            return owners.pop()
        return min(members)

    return {each: owner(each) for each in claimed_by}


def with_right_ids(row: Mapping[str, Any], owners: Mapping[str, str]) -> dict[str, Any]:
    """Return a record as JSON as a source with the right ids would give it."""
    data = dict(row["data"])
    for name in PERSON_FIELDS:
        if data.get(name):
            data[name] = owners.get(data[name], data[name])
    return {**row, "data": data}


def content(room: Any) -> tuple[str, Any]:
    """Return the digest without claims, and the united days of each person. The graph is changed for this."""
    room.graph.settle_persons()
    room.graph.settle_prerequisites()
    days: dict[tuple[str, str, str], tuple[list[int], set[str]]] = {}
    rows = room.query(
        "MATCH (s:Student)-[:ACTIVE_ON]->(d) "
        "RETURN s.id AS student, d.course_id AS course, d.date AS date, d.hours AS hours, d.kinds AS kinds"
    )
    for row in rows:
        key = (row["student"], row["course"], row["date"])
        hours, kinds = days.get(key, ([0] * 24, set()))
        both = [one | other for one, other in zip(hours, row["hours"], strict=True)]
        days[key] = (both, kinds | set(row["kinds"] or ()))
    for label in ("PersonRecord", "PersonId", "ActiveDay"):
        room.driver.execute_query(
            f"MATCH (n:{label}) DETACH DELETE n", database_=room.settings.database
        )
    return room.digest(), days


def relationships(room: Any, kind: str, value: str) -> dict[tuple[str, str], Any]:
    rows = room.query(f"MATCH (a)-[r:{kind}]->(b) RETURN a.id AS a, b.id AS b, r.{value} AS value")
    assert len(rows) == len({(row["a"], row["b"]) for row in rows})
    return {(row["a"], row["b"]): row["value"] for row in rows}


def talks(records: Iterable[Record], kind: str, counted: str) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for data in (record.data for record in records):
        if isinstance(data, StudentInteraction) and data.interaction_type == kind:
            pair = (data.student_id_from, data.student_id_to)
            sums[pair] = sums.get(pair, 0) + getattr(data, counted)
    return sums


def taught_in(room: Any) -> dict[tuple[str, str], tuple[int, datetime, str | None]]:
    rows = room.query("MATCH (a)-[r:TEACHES]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p")
    assert len(rows) == len({(row["a"], row["b"]) for row in rows})
    return {
        (row["a"], row["b"]): (
            row["p"]["interaction_count"],
            row["p"]["last_interaction_date"].to_native(),
            row["p"].get("feedback"),
        )
        for row in rows
    }


def taught(records: Iterable[Record]) -> dict[tuple[str, str], tuple[int, datetime, str | None]]:
    sums: dict[tuple[str, str], tuple[int, datetime, str | None]] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, TeacherInteraction):
            pair = (data.teacher_id, data.student_id)
            number, _, feedback = sums.get(pair, (0, record.timestamp, None))
            latest = feedback if data.feedback is None else data.feedback
            sums[pair] = (number + data.interaction_count, record.timestamp, latest)
    return sums


Membership = tuple[str, str, str | None, datetime | None, datetime | None]


def memberships_in(room: Any, kind: str) -> list[Membership]:
    """Person, group, term, start and end, sorted as text."""
    rows = room.query(f"MATCH (a)-[r:{kind}]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p")
    return sorted(
        (
            (
                row["a"],
                row["b"],
                row["p"].get("term"),
                _native(row["p"].get("starts")),
                _native(row["p"].get("ends")),
            )
            for row in rows
        ),
        key=str,
    )


def _native(moment: Any) -> datetime | None:
    return moment.to_native() if moment else None


def memberships(records: Iterable[Record], *, leads: bool) -> list[Membership]:
    """Of those of one person in one group with one term and start, the latest counts."""
    latest: dict[tuple[Any, ...], tuple[bool, Membership]] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, MembershipRecord):
            person = data.student_id or data.teacher_id or ""
            role = data.role or ("member" if data.student_id else "leader")
            key = (data.student_id, data.teacher_id, data.group_id, data.term, data.starts)
            latest[key] = (
                role == "leader",
                (person, data.group_id, data.term, data.starts, data.ends),
            )
    return sorted((held for is_leader, held in latest.values() if is_leader is leads), key=str)


def groups_in(room: Any) -> dict[str, str | None]:
    return {
        row["id"]: row["name"]
        for row in room.query("MATCH (n:Group) RETURN n.id AS id, n.name AS name")
    }


def groups(records: Iterable[Record]) -> dict[str, str | None]:
    """What most of its memberships call each group; the smallest of several."""
    called: dict[str, list[str]] = {}
    for data in (record.data for record in records):
        if isinstance(data, MembershipRecord):
            called.setdefault(data.group_id, []).extend(
                [data.group_name] if data.group_name else []
            )
        elif isinstance(data, ItemRecord) and data.group_id:
            called.setdefault(data.group_id, [])
    return {
        group_id: min(names, key=lambda name: (-names.count(name), name), default=None)
        for group_id, names in called.items()
    }


def courses_of_groups(records: Iterable[Record]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for data in (record.data for record in records):
        if isinstance(data, MembershipRecord) and data.course_id:
            pair = (data.group_id, data.course_id)
            found[pair] = found.get(pair, 0) + 1
    return found


TERM_FIELDS = ("name", "starts", "ends", "breaks")


def terms_in(room: Any) -> dict[str, dict[str, Any]]:
    rows = room.query("MATCH (n:Term) RETURN properties(n) AS p")
    return {
        row["p"]["id"]: {
            name: _native(value) if name in ("starts", "ends") else value
            for name in TERM_FIELDS
            if (value := row["p"].get(name)) is not None
        }
        for row in rows
    }


def terms(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, TermRecord):
            given = {
                "name": data.name,
                "starts": data.starts,
                "ends": data.ends,
                "breaks": list(data.breaks) or None,
            }
            told = {name: value for name, value in given.items() if value is not None}
            found[data.term] = found.get(data.term, {}) | told
    return found


# (person, name, claimed ids, decided ids)
PersonFacts = tuple[str, str | None, set[str], set[str]]


def person_records_in(room: Any) -> dict[str, PersonFacts]:
    rows = room.query(
        "MATCH (n:PersonRecord)-[:OF_PERSON]->(p:PersonId) OPTIONAL MATCH (n)-[r:CLAIMS|DECIDES]->(c:PersonId) "
        "RETURN n.id AS record, p.id AS person, n.name AS name, collect([type(r), c.id]) AS ends"
    )
    found: dict[str, PersonFacts] = {}
    for row in rows:
        claims = {end for kind, end in row["ends"] if kind == "CLAIMS"}
        decisions = {end for kind, end in row["ends"] if kind == "DECIDES"}
        found[row["record"]] = (row["person"], row["name"], claims, decisions)
    return found


def person_records(records: Iterable[Record]) -> dict[str, PersonFacts]:
    found: dict[str, PersonFacts] = {}
    for record in records:
        data = record.data
        if isinstance(data, PersonRecord):
            if data.decides:
                claims: set[str] = set()
                decisions = set(data.also)
            else:
                claims = set(data.also) - {data.person_id}
                decisions = set()
            found[record.record_id] = (data.person_id, data.name, claims, decisions)
    return found


def active_days_in(room: Any) -> dict[tuple[str, str, str], tuple[set[int], set[str]]]:
    """The active minutes, and the kinds, by student, course and date. The days of all ids of a student are united."""
    days: dict[tuple[str, str, str], tuple[set[int], set[str]]] = {}
    query = (
        "MATCH (s:Student)-[:ACTIVE_ON]->(d:ActiveDay) RETURN s.id AS student, properties(d) AS p"
    )
    for row in room.query(query):
        day = row["p"]
        key = (row["student"], day["course_id"], day["date"])
        minutes, kinds = days.setdefault(key, (set(), set()))
        for hour, bits in enumerate(day["hours"]):
            minutes |= {60 * hour + n for n in range(60) if bits >> n & 1}
        kinds |= set(day.get("kinds") or ())
    return days


def active_days(records: Iterable[Record]) -> dict[tuple[str, str, str], tuple[set[int], set[str]]]:
    """Each second of a record is in a minute; the first 240 minutes count."""
    days: dict[tuple[str, str, str], tuple[set[int], set[str]]] = {}
    for record in records:
        data = record.data
        if isinstance(data, ActivityRecord):
            first = record.timestamp.replace(second=0, microsecond=0)
            ends = record.timestamp + timedelta(seconds=data.duration_seconds or 0)
            for number in range(240):
                minute = first + timedelta(minutes=number)
                if number and minute >= ends:
                    break
                key = (data.student_id, data.course_id, minute.date().isoformat())
                minutes, kinds = days.setdefault(key, (set(), set()))
                minutes.add(60 * minute.hour + minute.minute)
                kinds |= {data.kind} if data.kind else set()
    return days


def _students_named(data: Any) -> list[tuple[str, str | None]]:
    """Return the students of a record, each with the name that the record gives."""
    match data:
        case StudentInteraction():
            return [
                (data.student_id_from, data.student_name_from),
                (data.student_id_to, data.student_name_to),
            ]
        case CourseContent() | ItemRecord() | PointRecord() | TermRecord() | ActivityRecord():
            return []
        case PersonRecord():
            return []
        case ActionRecord():
            return [(data.student_id, None)]
    return [(data.student_id, data.student_name)] if data.student_id else []


def names(records: Iterable[Record]) -> dict[tuple[str, str], set[str | None]]:
    """Of each person and course, the name that the latest record gives; two, where it gives one person two names."""
    latest: dict[tuple[str, str], set[str | None]] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data, told = record.data, dict[tuple[str, str], set[str | None]]()
        people = _students_named(data)
        named = [("Student", *person) for person in people]
        if isinstance(data, ActionRecord):
            named.append(("Teacher", data.teacher_id, None))
        if isinstance(data, TeacherInteraction | MembershipRecord) and data.teacher_id:
            named.append(("Teacher", data.teacher_id, data.teacher_name))
        if isinstance(data, ErrorRecord):
            named.append(("Course", data.courses[0], data.course_name))
        if isinstance(data, CourseRecord | CourseContent):
            named.append(("Course", data.course_id, data.course_name))
        for label, node_id, name in named:
            latest.setdefault((label, node_id), {None})
            if name is not None:
                told.setdefault((label, node_id), set()).add(name)
        latest |= told
    return latest


def progress(records: Iterable[Record]) -> dict[tuple[str, str], float | None]:
    """Return the progress in each course that somebody takes; None where no record gives it."""
    known: dict[tuple[str, str], float | None] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, CourseRecord):
            pair = (data.student_id, data.course_id)
            known.setdefault(pair, None)
            if data.progress is not None:
                known[pair] = data.progress
    return known


def types_of(data: ErrorRecord | AttemptRecord, finding: Finding | None) -> set[str]:
    stated = None
    if isinstance(data, ErrorRecord):
        stated = data.error_type_id or (
            canonical_name(data.error_type) if data.error_type else None
        )
    found = finding.error_types if isinstance(finding, ErrorFinding) else ()
    return {canonical_name(each.name) for each in found} | ({stated} if stated else set())


def mistakes(
    records: Iterable[Record], found: dict[str, Finding]
) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    sums: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data, finding = record.data, found.get(record.record_id)
        if not isinstance(data, ErrorRecord | AttemptRecord):
            continue
        times, told = getattr(data, "occurrence_count", 1), getattr(data, "severity", None)
        heavy = SEVERITY_WEIGHT[told or getattr(finding, "severity", None)] * times
        for kind in types_of(data, finding):
            for place in data.courses:
                key = (data.student_id, kind, place)
                number, weight, first, _, resolved = sums.get(
                    key, (0, 0.0, record.timestamp, None, False)
                )
                resolved = (
                    getattr(data, "resolved", None)
                    if "resolved" in data.model_fields_set
                    else resolved
                )
                sums[key] = (number + times, weight + heavy, first, record.timestamp, resolved)
    return sums


def mistakes_of(room: Any) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    rows = room.query(
        "MATCH (a)-[r:HAS_ERROR]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p"
    )
    assert len(rows) == len({(row["a"], row["b"], row["p"]["course_id"]) for row in rows})
    return {
        (row["a"], row["b"], row["p"]["course_id"]): (
            row["p"]["occurrence_count"],
            row["p"]["weight"],
            row["p"]["first_occurrence"].to_native(),
            row["p"]["last_occurrence"].to_native(),
            row["p"]["resolved"],
        )
        for row in rows
    }


def related(
    records: Iterable[Record], found: dict[str, Finding]
) -> dict[tuple[str, str], list[float]]:
    """How strong each record says that a type and a point belong together; of two spellings, the stronger counts."""
    told: dict[tuple[str, str], list[float]] = {}
    for record in records:
        data, finding = record.data, found.get(record.record_id)
        if isinstance(data, ErrorRecord | AttemptRecord) and isinstance(finding, ErrorFinding):
            points = {canonical_name(link.name) for link in finding.knowledge_points}
            of_point = {
                each: max(
                    link.strength
                    for link in finding.knowledge_points
                    if canonical_name(link.name) == each
                )
                for each in points
            }
            for kind in types_of(data, finding):
                for each, strength in of_point.items():
                    told.setdefault((kind, each), []).append(strength)
    return told


def contained(records: Iterable[Record], found: dict[str, Finding]) -> dict[tuple[str, str], str]:
    importance: dict[tuple[str, str], str] = {}
    for record in records:
        data, finding = record.data, found.get(record.record_id)
        if isinstance(data, CourseContent) and isinstance(finding, ContentFinding):
            for each in finding.knowledge_points:
                pair = (data.course_id, canonical_name(each.name))
                importance[pair] = min(each.importance, importance.get(pair, "supplementary"))
        if isinstance(data, PointRecord) and data.course_id:
            importance[data.course_id, node_of_point(data)] = "core"
    return importance


def node_of_point(data: PointRecord) -> str:
    return data.point_id or canonical_name(data.name or "")


# Field of the point -> field of the record.
SAID_OF_POINTS = {
    "title": "name",
    "other_names": "names",
    "label": "label",
    "statement": "description",
    "parent": "parent",
    "standard_id": "standard_id",
}


def said_of_points_in(room: Any, name: str) -> dict[str, Any]:
    rows = room.query(
        f"MATCH (n:KnowledgePoint) WHERE n.{name} IS NOT NULL"
        f" RETURN n.id AS id, n.name AS name, n.shown_as AS shown, n.{name} AS said"
    )
    assert all(row["name"] == row["said"] for row in rows if name == "title")
    for row in rows:
        if name != "label":
            continue
        shown = row["said"]
        if row["name"] == row["said"]:
            shown = None
        elif row["name"] is not None:
            shown = f"{row['said']} {row['name']}"
        assert row["shown"] == shown
    return {row["id"]: row["said"] for row in rows}


def said_of_points(records: Iterable[Record], name: str) -> dict[str, Any]:
    """What the latest record that says so gives as title, names in other languages, and the other fields."""
    said: dict[str, Any] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, PointRecord):
            given = getattr(data, SAID_OF_POINTS[name])
            if name == "other_names":
                given = list(given)
            if name == "parent" and given:
                given = canonical_name(given)
                is_itself = given in names_of_point(data) | {node_of_point(data)}
                given = None if is_itself else given
            said |= {node_of_point(data): given} if given else {}
    return said


def names_of_point(data: PointRecord) -> set[str]:
    """By which canonical names a record calls its point; its id is one of them."""
    return {canonical_name(each) for each in (data.point_id, data.name, *data.names) if each}


def called_by(records: Iterable[Record]) -> dict[tuple[str, str], int]:
    """How many records call an id so. One of an error type that has no name is called as its id."""
    told: dict[tuple[str, str], int] = {}
    for data in (record.data for record in records):
        an_id, names = None, set[str]()
        if isinstance(data, PointRecord):
            an_id, names = node_of_point(data), names_of_point(data) - {node_of_point(data)}
        elif isinstance(data, ErrorRecord) and data.error_type_id:
            an_id, name = data.error_type_id, canonical_name(data.error_type or data.error_type_id)
            names = {name} if not data.error_type or name != an_id else set()
            names = {an_id} if not data.error_type else names
        for name in names:
            told[an_id or "", name] = told.get((an_id or "", name), 0) + 1
    return told


def required(records: Iterable[Record]) -> dict[tuple[str, str], float]:
    """What schools say that points need; no point needs itself. They are sure of it."""
    return {
        (node_of_point(data), needed): 1.0
        for data in (record.data for record in records)
        if isinstance(data, PointRecord)
        for needed in set(map(canonical_name, data.requires))
        - names_of_point(data)
        - {node_of_point(data)}
    }


def claimed(findings: Iterable[Finding], *, in_words: bool = False) -> dict[tuple[str, str], float]:
    """Return claim -> confidence. Without a quote that is at most 0.3; with `in_words` only quoted claims count."""
    strongest: dict[tuple[str, str], float] = {}
    for finding in findings:
        sure: dict[tuple[str, str], float] = {}
        unsure: dict[tuple[str, str], float] = {}
        for claim in finding.prerequisites if isinstance(finding, ContentFinding) else ():
            pair = (canonical_name(claim.point), canonical_name(claim.requires))
            if pair[0] == pair[1]:
                continue
            if claim.quote:
                sure[pair] = max(claim.confidence, sure.get(pair, 0.0))
            else:
                unsure[pair] = min(0.3, max(claim.confidence, unsure.get(pair, 0.0)))
        of_text = (
            sure if in_words else {**unsure, **sure}
        )  # of one text, words count before all else
        for pair, confidence in of_text.items():
            strongest[pair] = max(confidence, strongest.get(pair, 0.0))
    return strongest


def said_enough(records: Iterable[Record], found: Mapping[str, Finding]) -> set[tuple[str, str]]:
    """The claims that a school states, or that words of two texts with different letters say. Points that mean the same
    count once.
    """
    records = list(records)
    stated = set(required(records))
    same = classes(records)
    letters: dict[tuple[str, str], set[str]] = defaultdict(set)
    pairs = set(stated)
    for record in records:
        if not isinstance(record.data, CourseContent):
            continue
        of_text = [found[record.record_id]] if record.record_id in found else []
        pairs |= claimed(of_text).keys()
        for pair in claimed(of_text, in_words=True):
            letters[meant(pair, same)].add(letters_of(record.data.content))
    enough = {meant(pair, same) for pair in stated}
    enough |= {pair for pair, each in letters.items() if len(each) >= 2}
    return {pair for pair in pairs if meant(pair, same) in enough}


def letters_of(text: str) -> str:
    return "".join(
        each for each in unicodedata.normalize("NFKC", text).casefold() if each.isalnum()
    )


def classes(records: Iterable[Record]) -> dict[str, str]:
    """Return name of a point -> the only id with this name. A name that is an id itself stands for itself."""
    points = [record.data for record in records if isinstance(record.data, PointRecord)]
    ids = {node_of_point(data) for data in points}
    called: dict[str, set[str]] = defaultdict(set)
    for data in points:
        for name in names_of_point(data):
            called[name].add(node_of_point(data))
    return {name: min(by) for name, by in called.items() if len(by) == 1 and name not in ids}


def meant(pair: tuple[str, str], same: Mapping[str, str]) -> tuple[str, str]:
    point, needed = pair
    return same.get(point, point), same.get(needed, needed)


def followed_of(
    claims: Mapping[tuple[str, str], float], enough: AbstractSet[tuple[str, str]]
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], str]]:
    """Return the followed claims, and the reasons of the others. The strongest come first."""
    followed: dict[tuple[str, str], float] = {}
    reasons: dict[tuple[str, str], str] = {}
    for pair in sorted(claims, key=lambda each: (-claims[each], each)):
        if pair not in enough:
            reasons[pair] = "proposed"
        elif leads(followed, pair[1], pair[0]):
            reasons[pair] = "cycle"
        else:
            followed[pair] = claims[pair]
    return followed, reasons


def leads(edges: Iterable[tuple[str, str]], start: str, end: str) -> bool:
    reached = {start}
    for _ in list(edges):
        reached |= {needed for point, needed in edges if point in reached}
    return end in reached


def practised_in(room: Any) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = room.query(
        "MATCH (a)-[r:PRACTISED]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p"
    )
    assert len(rows) == len({(row["a"], row["b"]) for row in rows})
    return {
        (row["a"], row["b"]): (
            row["p"]["tries"],
            row["p"]["right"],
            row["p"]["first"],
            row["p"]["last"].to_native(),
        )
        for row in rows
    }


def practised(records: Iterable[Record]) -> dict[tuple[str, str], tuple[Any, ...]]:
    tries: dict[tuple[str, str], list[Any]] = {}
    for record in records:
        data = record.data
        if isinstance(data, AttemptRecord) and (data.correct is not None or data.score is not None):
            right = (
                max(data.score or 0, 0) * 1000
                if data.correct is None
                else 1000
                if data.correct
                else 0
            )
            place = (record.timestamp, data.attempt_number or 0, record.record_id)
            tries.setdefault((data.student_id, data.item_id), []).append((place, round(right)))
    return {
        pair: (len(each), sum(right for _, right in each), min(each)[1], max(each)[0][0])
        for pair, each in tries.items()
    }


def points_tested_in(room: Any) -> dict[tuple[str, str], dict[str, int]]:
    rows = room.query(
        "MATCH (a:Item)-[r:TESTS]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p"
    )
    return {
        (row["a"], row["b"]): dict(
            zip(row["p"]["spellings"], row["p"]["spelling_counts"], strict=True)
        )
        for row in rows
    }


def points_of_items(records: Iterable[Record]) -> dict[tuple[str, str], dict[str, int]]:
    told: dict[tuple[str, str], dict[str, int]] = {}
    for data in (record.data for record in records):
        if isinstance(data, AttemptRecord | ItemRecord):
            for spelling in set(data.knowledge_points):
                counts = told.setdefault((data.item_id, canonical_name(spelling)), {})
                counts[spelling] = counts.get(spelling, 0) + 1
    return told


Named = tuple[str, str]  # label and id


def spelled_in(room: Any) -> dict[Named, tuple[dict[str, int], str | None, list[str]]]:
    """Of what is known by its spellings: how many records use which, the name but for a title, and the aliases."""
    rows = room.query(
        "MATCH (n) WHERE n:ErrorType OR n:KnowledgePoint OR n:Misconception OR n:Topic "
        "RETURN labels(n)[0] AS label, n.id AS id, properties(n) AS p"
    )
    return {
        (row["label"], row["id"]): (
            dict(
                zip(row["p"].get("spellings", ()), row["p"].get("spelling_counts", ()), strict=True)
            ),
            row["p"].get("spelled") if "title" in row["p"] else row["p"].get("name"),
            row["p"].get("aliases", []),
        )
        for row in rows
        if row["p"].get("spellings")
    }


def spelled(
    records: Iterable[Record], found: dict[str, Finding]
) -> dict[Named, tuple[dict[str, int], str | None, list[str]]]:
    counts: dict[Named, dict[str, int]] = {}
    told: dict[Named, tuple[dict[str, int], str | None, list[str]]] = {}
    for record in records:
        for node, spelling in mentions(record.data, found.get(record.record_id)):
            of_node = counts.setdefault(node, {})
            of_node[spelling] = of_node.get(spelling, 0) + 1
    for node, each in counts.items():
        usual = min((-number, spelling) for spelling, number in each.items())[1]
        told[node] = (each, usual, sorted(each.keys() - {usual}))
    return told


def mentions(data: Any, finding: Finding | None) -> list[tuple[Named, str]]:
    """How a record spells what it names, and what was found in it does; each spelling once from each of the two."""
    stated, read = list[tuple[str, str]](), list[tuple[str, str]]()
    named: list[tuple[Named, str]] = []
    match data:
        case StudentInteraction():
            stated = [("Topic", name) for name in data.topics]
        case ErrorRecord() if data.error_type:
            node = ("ErrorType", data.error_type_id or canonical_name(data.error_type))
            named = [(node, data.error_type)]
        case AttemptRecord() | ItemRecord():
            stated = [("KnowledgePoint", name) for name in data.knowledge_points]
    match finding:
        case ErrorFinding():
            read = [("ErrorType", each.name) for each in finding.error_types]
            read += [("KnowledgePoint", each.name) for each in finding.knowledge_points]
            read += [("Misconception", each) for each in [finding.what_went_wrong] if each]
        case ContentFinding():
            claims = [(each.point, each.requires) for each in finding.prerequisites]
            names = [each.name for each in finding.knowledge_points] + [
                name for pair in claims for name in pair
            ]
            read = [("KnowledgePoint", name) for name in names]
        case InteractionFinding():
            read = [("Topic", name) for name in finding.topics]
    for each in (set(stated), set(read)):
        named += [((label, canonical_name(name)), name) for label, name in each]
    return named


Item = tuple[str | None, str | None, float | None, datetime | None, datetime | None]


def items_in(room: Any) -> dict[str, Item]:
    rows = room.query("MATCH (n:Item) RETURN properties(n) AS p")
    return {
        row["p"]["id"]: (
            row["p"].get("name"),
            row["p"].get("question"),
            row["p"].get("max_score"),
            _native(row["p"].get("opens_at")),
            _native(row["p"].get("due_at")),
        )
        for row in rows
    }


def items(records: Iterable[Record]) -> dict[str, Item]:
    """The name of each item, which is its latest definition's or what most of its attempts call it, and the rest."""
    called_by: dict[str, list[str]] = {}
    said: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, AttemptRecord):
            called_by.setdefault(data.item_id, []).extend(
                [data.item_title] if data.item_title else []
            )
        elif isinstance(data, ItemRecord):
            called_by.setdefault(data.item_id, [])
            of_item = said.setdefault(data.item_id, {})
            names = ["title", "question", "max_score"]
            names += ["opens_at", "due_at"] if data.assigned_to is None else []
            for name in names:
                if getattr(data, name) is not None:
                    of_item[name] = getattr(data, name)
    found: dict[str, Item] = {}
    for item_id, names in called_by.items():
        of_item = said.get(item_id, {})
        usual = min(names, key=lambda name: (-names.count(name), name), default=None)
        found[item_id] = (
            of_item.get("title") or usual,
            of_item.get("question"),
            of_item.get("max_score"),
            of_item.get("opens_at"),
            of_item.get("due_at"),
        )
    return found


# record id -> the item, the label and id that it is assigned to, and the two dates
Assignments = dict[str, tuple[str, str, str, datetime | None, datetime | None]]


def assignments_in(room: Any) -> Assignments:
    rows = room.query(
        "MATCH (i:Item)<-[:DEFINES]-(n:Definition)-[r:ASSIGNED_TO]->(a) "
        "RETURN n.id AS id, i.id AS item, labels(a)[0] AS label, a.id AS a, properties(r) AS p"
    )
    assert len(rows) == len({row["id"] for row in rows})
    return {
        row["id"]: (
            row["item"],
            row["label"],
            row["a"],
            _native(row["p"].get("opens_at")),
            _native(row["p"].get("due_at")),
        )
        for row in rows
    }


def assignments(records: Iterable[Record]) -> Assignments:
    found: Assignments = {}
    for record in records:
        data = record.data
        if isinstance(data, ItemRecord) and data.assigned_to:
            is_course = data.assigned_to == "course"
            label = "Course" if is_course else "Group"
            assignee = (data.course_id if is_course else data.group_id) or ""
            found[record.record_id] = (data.item_id, label, assignee, data.opens_at, data.due_at)
    return found
