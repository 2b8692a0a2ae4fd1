"""The invariants of the graph on random records, in any order, cut and repeated in any way.

EDUGRAPH_EXAMPLES sets how many examples each property is tried on (15; 200 for a thorough run).
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threads import at_once

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    FoundErrorType,
    FoundPoint,
    InteractionFinding,
    LinkedPoint,
    Origin,
    Prerequisite,
    RecordFinding,
    kind_of_finding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import (
    AttemptRecord,
    CourseContent,
    CourseRecord,
    ErrorRecord,
    ItemRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
    parse_record,
)
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.graph.prerequisites import excluded_edges
from edugraph_importer.graph.record_facts import SEVERITY_WEIGHT, students

Draw = Callable[[st.SearchStrategy[Any]], Any]

EXAMPLES = settings(
    max_examples=int(os.environ.get("EDUGRAPH_EXAMPLES", "15")),
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
ORIGIN = Origin(analyser="offline", model="lexicon", prompt_version="1")

student = st.sampled_from(["a", "b", "c"])
teacher = st.sampled_from(["t", "u"])
course = st.sampled_from(["c", "d"])
moment = st.sampled_from([f"2026-01-0{day}T0{hour}:00:00.{hour}Z" for day in (1, 2, 3) for hour in (1, 2)])
count = st.integers(1, 5)
share = st.sampled_from([0.25, 0.5, 0.75, 1.0])
severity = st.sampled_from(["low", "medium", "high"])
level = st.sampled_from(["beginner", "intermediate", "advanced"])
reading = st.sampled_from([0, 0, 1, 2])
called = st.sampled_from(["Ana", "王芳", "Ben"])
topic = st.sampled_from(["Fractions", "fractions", "FRACTIONS!", "加法", "Sign-errors", "sign errors"])
point = st.sampled_from(["P1", "p1", "P2", "P-2", "P3", "P4", "P5"])
item = st.sampled_from(["i", "j"])
outcome = st.one_of(
    st.fixed_dictionaries({"correct": st.booleans()}, optional={"score": share}),
    st.fixed_dictionaries({"score": st.sampled_from([-0.5, 0.0, 0.1, 0.1234, 1.0])}),
)


def _fields(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


DATA = {
    "student_interaction": _fields(
        {"student_id_from": student, "student_id_to": student, "interaction_type": st.sampled_from(["chat", "like"])},
        {"student_name_from": called, "student_name_to": called, "text": called, "message_count": count,
         "like_count": count, "course_id": course, "topics": st.lists(topic, max_size=3)},
    ),
    "teacher_interaction": _fields(
        {"teacher_id": teacher, "student_id": student},
        {"teacher_name": called, "student_name": called, "feedback": called, "interaction_count": count,
         "course_id": course, "text": called, "subject": called},
    ),
    "course_record": _fields(
        {"student_id": student, "course_id": course},
        {"student_name": called, "course_name": called, "course_description": called, "difficulty": level,
         "enrollment_date": moment, "completion_date": moment, "progress": st.integers(0, 100),
         "time_spent": st.integers(0, 9)},
    ),
    "error_record": _fields(
        {"student_id": student, "course_id": course, "error_text": called},
        {"course_ids": st.lists(course, max_size=2), "student_name": called, "course_name": called,
         "question": called, "error_type": topic, "error_type_id": st.sampled_from(["E1", "signerrors"]), "severity": severity,
         "occurrence_count": count, "resolved": st.booleans()},
    ),
    "course_content": _fields(
        {"course_id": course, "content": called}, {"course_name": called, "title": called}
    ),
    "attempt_record": st.builds(
        lambda fields, result: fields | result,
        _fields(
            {"student_id": student, "item_id": item},
            {"student_name": called, "course_id": course, "course_ids": st.lists(course, max_size=2),
             "item_title": called, "attempt_number": count, "question": called, "response": called,
             "knowledge_points": st.lists(point, max_size=3), "duration_seconds": count},
        ),
        outcome,
    ),
    "item_record": _fields(
        {"item_id": item},
        {"title": called, "question": called, "course_id": course, "knowledge_points": st.lists(point, max_size=3)},
    ),
}  # fmt: skip
FINDING: dict[str, st.SearchStrategy[Any]] = {
    "interaction": st.builds(
        InteractionFinding, sentiment=st.none() | st.just("positive"), topics=st.lists(topic, max_size=3).map(tuple),
        confidence=share, evidence=st.sampled_from([(), ("x",)]),
    ),
    "error": st.builds(
        ErrorFinding,
        error_types=st.lists(st.builds(FoundErrorType, name=topic, confidence=share), max_size=3).map(tuple),
        knowledge_points=st.lists(st.builds(LinkedPoint, name=point, strength=share, confidence=share), max_size=3).map(tuple),
        difficulty=st.none() | level, severity=st.none() | severity, confidence=share,
    ),
    "knowledge_points": st.builds(
        ContentFinding,
        knowledge_points=st.lists(
            st.builds(
                FoundPoint, name=point, description=st.none() | called, category=st.none() | called,
                importance=st.sampled_from(["core", "supplementary"]), order=st.none() | count,
            ),
            max_size=3,
        ).map(tuple),
        prerequisites=st.lists(st.builds(Prerequisite, point=point, requires=point, confidence=share), max_size=4).map(tuple),
        confidence=share,
    ),
}  # fmt: skip


@st.composite
def record_lists(draw: st.DrawFn) -> list[Record]:
    kinds = draw(st.lists(st.sampled_from(list(DATA)), min_size=1, max_size=14))
    return [
        parse_record({"type": kind, "timestamp": draw(moment), "record_id": f"r{number}", "data": draw(DATA[kind])})
        for number, kind in enumerate(kinds)
    ]


@st.composite
def versions_of(draw: st.DrawFn, records: Sequence[Record]) -> list[Record]:
    """The records, and other contents under the ids of some of them, some of another type."""
    versions = list(records)
    for number, record in enumerate(records):
        for kind in draw(st.lists(st.sampled_from([record.type, record.type, *DATA]), max_size=2)):
            value = {"type": kind, "timestamp": draw(moment), "record_id": f"r{number}", "data": draw(DATA[kind])}
            versions.append(parse_record({**value, "reading": draw(reading)}))
    again = draw(st.lists(st.sampled_from(versions), max_size=3))  # the same, read in a newer way
    return versions + [each.model_copy(update={"reading": draw(reading)}) for each in again]


def latest_versions(records: Iterable[Record]) -> list[Record]:
    """Of each id."""
    in_order = sorted(records, key=lambda each: (each.timestamp, each.reading, each.content_hash))
    return list({record.record_id: record for record in in_order}.values())


@st.composite
def finding_lists(draw: st.DrawFn, records: Sequence[Record]) -> list[RecordFinding]:
    """None, one or two for each record that can have any; of two, the later counts."""
    kinds = [(record, kind) for record in records if (kind := kind_of_finding(record))]
    return [
        RecordFinding(record=record.to_json(), finding=draw(FINDING[kind]), origin=ORIGIN)
        for record, kind in kinds
        for _ in range(draw(st.integers(0, 2)))
    ]


def latest_only(findings: Iterable[RecordFinding]) -> list[RecordFinding]:
    return list({finding.record["record_id"]: finding for finding in findings}.values())


def cut(draw: Draw, items: Sequence[Any]) -> list[list[Any]]:
    pieces, rest = [], list(items)
    while rest:
        size = draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


def batch(records: Sequence[Record], job: str, number: int, withdrawn: Sequence[str] = ()) -> RecordBatch:
    lines = list(enumerate(records, start=1))
    return RecordBatch(job, number, lines, (), len(records) + len(withdrawn), withdrawn)


def pack(findings: Sequence[RecordFinding], job: str, number: int) -> Findings:
    return Findings(job_id=job, pack=str(number), findings=tuple(findings))


def deliver(graph: Graph, message: RecordBatch | Findings) -> None:
    if isinstance(message, RecordBatch):
        graph.write_batch(message)
    else:
        graph.write_findings(message)


def in_order(room: Any, records: Sequence[Record], findings: Sequence[RecordFinding]) -> str:
    """The graph of one import, then the latest finding of each record."""
    room.empty()
    room.graph.write_batch(batch(records, "reference", 0))
    for number, finding in enumerate(latest_only(findings)):
        room.graph.write_findings(pack([finding], "reference", number))
    digest: str = room.digest()
    return digest


@EXAMPLES
@given(data=st.data())
def test_the_graph_is_that_of_one_import_in_order(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists())
    findings = data.draw(finding_lists(records))
    expected = in_order(room, records, findings)
    check(room, records, latest_only(findings))
    room.empty()
    for message in data.draw(deliveries(records, findings)):
        deliver(room.graph, message)
    assert room.digest() == expected
    room.graph.write_batch(batch(records, "later", 0))
    assert room.digest() == expected


@EXAMPLES
@given(data=st.data())
def test_each_record_is_reported_as_written_once(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists())
    room.empty()
    outcomes = {
        message.id: room.graph.write_batch(message)
        for message in data.draw(deliveries(records, []))
        if isinstance(message, RecordBatch)
    }
    assert sum(outcome.written for outcome in outcomes.values()) == len(records)
    assert sum(outcome.unchanged for outcome in outcomes.values()) == len(records)


@st.composite
def deliveries(
    draw: st.DrawFn, records: list[Record], findings: list[RecordFinding], withdrawn: Sequence[str] = ()
) -> list[RecordBatch | Findings]:
    """Shuffled, cut anywhere, repeated, imported again; the findings before, after and between, each in its order.

    What is withdrawn is so in some of the batches, and in at least one.
    """
    some = st.lists(st.sampled_from(list(withdrawn)), max_size=3) if withdrawn else st.just([])
    batches = [
        batch(piece, "job", n, draw(some)) for n, piece in enumerate(cut(draw, draw(st.permutations(records))))
    ]
    batches += [
        batch(piece, "again", n, draw(some)) for n, piece in enumerate(cut(draw, draw(st.permutations(records))))
    ]
    for n, ids in enumerate(cut(draw, withdrawn)):
        batches.insert(draw(st.integers(0, len(batches))), batch([], "back", n, ids))
    packs = [pack(piece, "job", n) for n, piece in enumerate(cut(draw, findings))]
    messages: list[RecordBatch | Findings] = list(batches)
    place = 0
    for each in packs:
        place = draw(st.integers(place, len(messages)))
        messages.insert(place, each)
        place += 1
    repeated = draw(st.lists(st.sampled_from(range(len(messages))), max_size=5))
    return messages + [messages[place] for place in repeated]


@st.composite
def withdrawn_ids(draw: st.DrawFn, records: Sequence[Record]) -> list[str]:
    """Ids of some of the records, and of one that never comes."""
    return draw(st.lists(st.sampled_from([*(each.record_id for each in records), "never"]), max_size=4, unique=True))


@EXAMPLES
@given(data=st.data())
def test_the_latest_version_of_each_record_is_the_record_unless_it_is_withdrawn(
    room: Any, data: st.DataObject
) -> None:
    """To take the guards out: let `classify` write records that are `in withdrawn`, or leave them `superseded` out."""
    records = data.draw(versions_of(data.draw(record_lists())))
    withdrawn = data.draw(withdrawn_ids(records))
    findings = data.draw(finding_lists(records))
    latest = [each for each in latest_versions(records) if each.record_id not in withdrawn]
    current = {record.record_id: record.content_hash for record in latest}
    of_current = [each for each in findings if _hash_of(each) == current.get(each.record["record_id"])]
    expected = in_order(room, latest, of_current)
    room.empty()
    for message in data.draw(deliveries(records, findings, withdrawn)):
        deliver(room.graph, message)
    assert room.digest() == expected


def _hash_of(finding: RecordFinding) -> str:
    return parse_record(finding.record).content_hash


@EXAMPLES
@given(data=st.data())
def test_what_is_withdrawn_is_counted_once(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists())
    withdrawn = data.draw(withdrawn_ids(records))
    room.empty()
    messages = data.draw(deliveries(records, [], withdrawn))
    outcomes = {each.id: room.graph.write_batch(each) for each in messages if isinstance(each, RecordBatch)}
    assert sum(outcome.by_type.get("withdrawal", 0) for outcome in outcomes.values()) == len(withdrawn)
    assert all(each.written + each.unchanged + each.rejected == each.read for each in outcomes.values())


@EXAMPLES
@given(data=st.data())
def test_a_forgotten_student_was_never_there(room: Any, data: st.DataObject) -> None:
    records, gone = data.draw(record_lists()), data.draw(student)
    findings = latest_only(data.draw(finding_lists(records)))
    others = [record for record in records if gone not in {named for _, named in students(record)}]
    kept = {record.record_id for record in others}
    expected = in_order(room, others, [each for each in findings if each.record["record_id"] in kept])
    in_order(room, records, findings)
    room.graph.erase_student(gone)
    assert room.digest() == expected
    outcome = room.graph.write_batch(batch(records, "replay", 0))
    room.graph.write_findings(pack(findings, "replay", 0))
    assert outcome.rejected == len(records) - len(others)
    assert room.digest() == expected


@EXAMPLES
@given(data=st.data())
def test_writers_side_by_side_make_the_same_graph(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists())
    withdrawn = data.draw(withdrawn_ids(records))
    findings = latest_only(data.draw(finding_lists(records)))
    kept = [each for each in records if each.record_id not in withdrawn]
    expected = in_order(room, kept, [each for each in findings if each.record["record_id"] not in withdrawn])
    room.empty()
    work: list[RecordBatch | Findings] = [batch([each], "job", n) for n, each in enumerate(records)]
    work += [batch(piece, "again", n) for n, piece in enumerate(cut(data.draw, data.draw(st.permutations(records))))]
    work += [pack([each], "job", n) for n, each in enumerate(findings)]
    work += [batch([], "back", n, [record_id]) for n, record_id in enumerate(withdrawn)]
    side_by_side(room.graph, data.draw(st.permutations(work * 2)))
    assert room.digest() == expected


def side_by_side(graph: Graph, work: Iterable[RecordBatch | Findings], writers: int = 4) -> None:
    rest, lock = iter(work), threading.Lock()

    def write() -> None:
        while True:
            with lock:
                message = next(rest, None)
            if message is None:
                return
            deliver(graph, message)

    at_once([write] * writers)


# What the records themselves say, summed up the plain way: the graph must agree.


def check(room: Any, records: Sequence[Record], findings: Sequence[RecordFinding]) -> None:
    found = {each.record["record_id"]: each.finding for each in findings}
    assert relationships(room, "CHAT_WITH", "message_count") == talks(records, "chat", "message_count")
    assert relationships(room, "LIKES", "like_count") == talks(records, "like", "like_count")
    assert taught_in(room) == taught(records)
    assert texts_in(room) == texts(records)
    for node, called_in_records in names(records).items():
        label, node_id = node
        [row] = room.query(f"MATCH (n:{label} {{id: $id}}) RETURN n.name AS name", id=node_id)
        assert row["name"] in called_in_records, node
    assert relationships(room, "LEARNS", "progress") == progress(records)
    assert mistakes_of(room) == mistakes(records, found)
    assert relationships(room, "RELATES_TO", "strength") == related(records, found)
    assert relationships(room, "CONTAINS", "importance") == contained(records, found)
    assert practised_in(room) == practised(records)
    assert points_tested_in(room) == points_of_items(records)
    assert items_in(room) == items(records)
    claims = claimed(found.values())
    aside = excluded_edges(claims)
    followed = {pair: confidence for pair, confidence in claims.items() if pair not in aside}
    assert relationships(room, "DEPENDS_ON", "confidence") == followed
    assert relationships(room, "SET_ASIDE", "confidence") == {pair: claims[pair] for pair in aside}


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


TEXTS = {
    "Interaction": ("text", "feedback", "subject"),
    "ErrorRecord": ("question", "error_text"),
    "Attempt": ("question", "response"),
    "Definition": ("title", "question"),
    "CourseContent": ("title", "content"),
}


def texts_in(room: Any) -> dict[str, dict[str, str]]:
    """What was said, by record id."""
    return {
        row["p"]["id"]: {name: row["p"][name] for name in fields if row["p"].get(name) is not None}
        for label, fields in TEXTS.items()
        for row in room.query(f"MATCH (n:{label}) RETURN properties(n) AS p")
    }


def texts(records: Iterable[Record]) -> dict[str, dict[str, str]]:
    fields = [name for names in TEXTS.values() for name in names]
    return {
        record.record_id: {
            name: getattr(record.data, name) for name in fields if getattr(record.data, name, None) is not None
        }
        for record in records
        if not isinstance(record.data, CourseRecord)
    }


def names(records: Iterable[Record]) -> dict[tuple[str, str], set[str | None]]:
    """Of each person and course, the name that the latest record gives; two, where it gives one person two names."""
    latest: dict[tuple[str, str], set[str | None]] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data, told = record.data, dict[tuple[str, str], set[str | None]]()
        match data:
            case StudentInteraction():
                people = [(data.student_id_from, data.student_name_from), (data.student_id_to, data.student_name_to)]
            case CourseContent() | ItemRecord():
                people = []
            case _:
                people = [(data.student_id, data.student_name)]
        named = [("Student", *person) for person in people]
        if isinstance(data, TeacherInteraction):
            named.append(("Teacher", data.teacher_id, data.teacher_name))
        if isinstance(data, CourseRecord | ErrorRecord | CourseContent):
            named.append(("Course", data.course_id, data.course_name))
        for label, node_id, name in named:
            latest.setdefault((label, node_id), {None})
            if name is not None:
                told.setdefault((label, node_id), set()).add(name)
        latest |= told
    return latest


def progress(records: Iterable[Record]) -> dict[tuple[str, str], float]:
    known: dict[tuple[str, str], float] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, CourseRecord):
            pair = (data.student_id, data.course_id)
            known.setdefault(pair, 0.0)
            if "progress" in data.model_fields_set:
                known[pair] = data.progress
    return known


def types_of(data: ErrorRecord | AttemptRecord, finding: Finding | None) -> set[str]:
    stated = None
    if isinstance(data, ErrorRecord):
        stated = data.error_type_id or (canonical_name(data.error_type) if data.error_type else None)
    found = finding.error_types if isinstance(finding, ErrorFinding) else ()
    return {canonical_name(each.name) for each in found} | ({stated} if stated else set())


def mistakes(records: Iterable[Record], found: dict[str, Finding]) -> dict[tuple[str, str, str], tuple[Any, ...]]:
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
                number, weight, first, _, resolved = sums.get(key, (0, 0.0, record.timestamp, None, False))
                resolved = getattr(data, "resolved", None) if "resolved" in data.model_fields_set else resolved
                sums[key] = (number + times, weight + heavy, first, record.timestamp, resolved)
    return sums


def mistakes_of(room: Any) -> dict[tuple[str, str, str], tuple[Any, ...]]:
    rows = room.query("MATCH (a)-[r:HAS_ERROR]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p")
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


def related(records: Iterable[Record], found: dict[str, Finding]) -> dict[tuple[str, str], float]:
    strongest: dict[tuple[str, str], float] = {}
    for record in records:
        data, finding = record.data, found.get(record.record_id)
        if isinstance(data, ErrorRecord | AttemptRecord) and isinstance(finding, ErrorFinding):
            for kind in types_of(data, finding):
                for link in finding.knowledge_points:
                    pair = (kind, canonical_name(link.name))
                    strongest[pair] = max(link.strength, strongest.get(pair, 0.0))
    return strongest


def contained(records: Iterable[Record], found: dict[str, Finding]) -> dict[tuple[str, str], str]:
    importance: dict[tuple[str, str], str] = {}
    for record in records:
        data, finding = record.data, found.get(record.record_id)
        if isinstance(data, CourseContent) and isinstance(finding, ContentFinding):
            for each in finding.knowledge_points:
                pair = (data.course_id, canonical_name(each.name))
                importance[pair] = min(each.importance, importance.get(pair, "supplementary"))
    return importance


def claimed(findings: Iterable[Finding]) -> dict[tuple[str, str], float]:
    strongest: dict[tuple[str, str], float] = {}
    for finding in findings:
        for claim in finding.prerequisites if isinstance(finding, ContentFinding) else ():
            pair = (canonical_name(claim.point), canonical_name(claim.requires))
            if pair[0] != pair[1]:
                strongest[pair] = max(claim.confidence, strongest.get(pair, 0.0))
    return strongest


def practised_in(room: Any) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = room.query("MATCH (a)-[r:PRACTISED]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p")
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
        if isinstance(data, AttemptRecord):
            right = max(data.score or 0, 0) * 1000 if data.correct is None else 1000 if data.correct else 0
            place = (record.timestamp, data.attempt_number or 0, record.record_id)
            tries.setdefault((data.student_id, data.item_id), []).append((place, round(right)))
    return {
        pair: (len(each), sum(right for _, right in each), min(each)[1], max(each)[0][0])
        for pair, each in tries.items()
    }


def points_tested_in(room: Any) -> dict[tuple[str, str], dict[str, int]]:
    rows = room.query("MATCH (a:Item)-[r:TESTS]->(b) RETURN a.id AS a, b.id AS b, properties(r) AS p")
    return {
        (row["a"], row["b"]): dict(zip(row["p"]["spellings"], row["p"]["spelling_counts"], strict=True))
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


def items_in(room: Any) -> dict[str, tuple[str | None, str | None]]:
    rows = room.query("MATCH (n:Item) RETURN n.id AS id, n.name AS name, n.question AS question")
    return {row["id"]: (row["name"], row["question"]) for row in rows}


def items(records: Iterable[Record]) -> dict[str, tuple[str | None, str | None]]:
    """The name and the question of each item: its latest definition's, or what most of its attempts call it."""
    called_by: dict[str, list[str]] = {}
    title: dict[str, str | None] = {}
    question: dict[str, str | None] = {}
    for record in sorted(records, key=lambda each: each.version_key):
        data = record.data
        if isinstance(data, AttemptRecord):
            called_by.setdefault(data.item_id, []).extend([data.item_title] if data.item_title else [])
        elif isinstance(data, ItemRecord):
            called_by.setdefault(data.item_id, [])
            title[data.item_id] = data.title or title.get(data.item_id)
            question[data.item_id] = data.question or question.get(data.item_id)
    usual = {
        item_id: min(names, key=lambda name: (-names.count(name), name), default=None)
        for item_id, names in called_by.items()
    }
    return {item_id: (title.get(item_id) or name, question.get(item_id)) for item_id, name in usual.items()}
