"""Random records, findings and withdrawals, and the ways in which an import may deliver them.

EDUGRAPH_EXAMPLES sets how many examples each property is tried on (5; `make invariants` tries 200).
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
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
from edugraph_common.contracts.records import Record, Withdrawal, parse_record
from edugraph_common.contracts.reviews import Review
from edugraph_importer.graph import Graph, RecordBatch

Draw = Callable[[st.SearchStrategy[Any]], Any]

EXAMPLES = settings(
    max_examples=int(os.environ.get("EDUGRAPH_EXAMPLES", "5")),
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
# The number of examples in `make fast` for a property that is thorough: a second of CPU.
FEW_EXAMPLES = settings(EXAMPLES, max_examples=3)
# The number for a property that derives the whole graph five times for each example.
SLOW_EXAMPLES = settings(EXAMPLES, max_examples=int(os.environ.get("EDUGRAPH_EXAMPLES", "3")))
ON_EMBEDDED = pytest.mark.parametrize(
    "room",
    [pytest.param("embedded", marks=[pytest.mark.embedded, pytest.mark.twin])],
    indirect=True,
)
ORIGIN = Origin(analyser="offline", model="lexicon", prompt_version="1")

student = st.sampled_from(["a", "b", "c"])
teacher = st.sampled_from(["t", "u"])
person_id = st.sampled_from(["a", "b", "lti-a", "lti-b", "0", "t"])
course = st.sampled_from(["c", "d"])
moment = st.sampled_from(
    [f"2026-01-0{day}T0{hour}:00:00.{hour}Z" for day in (1, 2, 3) for hour in (1, 2)]
    + ["2026-01-01T22:58:30.5Z"]
)
count = st.integers(1, 5)
share = st.sampled_from([0.25, 0.5, 0.75, 1.0])
severity = st.sampled_from(["low", "medium", "high"])
level = st.sampled_from(["beginner", "intermediate", "advanced"])
reading = st.sampled_from([0, 0, 1, 2])
called = st.sampled_from(["Ana", "王芳", "Ben"])
topic = st.sampled_from(
    ["Fractions", "fractions", "FRACTIONS!", "加法", "Sign-errors", "sign errors"]
)
point = st.sampled_from(["P1", "p1", "P2", "P-2", "P3", "P4", "P5"])
point_id = st.sampled_from(["K-1", "K-2", "P1"])  # the last one is a name, too
required = st.sampled_from(["K-1", "k-2", "P1", "P2", "P3"])
item = st.sampled_from(["i", "j"])
group = st.sampled_from(["g", "h"])
term = st.sampled_from(["2026-1", "2026-2"])
first_day = st.sampled_from(["2026-01-01", "2026-01-02"])
last_day = st.sampled_from(["2026-01-02T01:00:00Z", "2026-01-03", "2026-02-01T00:00:00+08:00"])
outcome = st.one_of(
    st.fixed_dictionaries({"correct": st.booleans()}, optional={"score": share}),
    st.fixed_dictionaries({"score": st.sampled_from([-0.5, 0.0, 0.1, 0.1234, 1.0])}),
    st.just({"response": "to be judged"}),
)


def _fields(
    required: dict[str, Any], optional: dict[str, Any]
) -> st.SearchStrategy[dict[str, Any]]:
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
    "action_record": _fields(
        {"teacher_id": teacher, "student_id": student, "course_id": course, "spoken": st.just(True)},
        {"text": called, "not_until": first_day},
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
             "knowledge_points": st.lists(point, max_size=3), "duration_seconds": count,
             "max_score": count, "hints": st.integers(0, 2), "late": st.booleans()},
        ),
        outcome,
    ),
    "item_record": st.builds(
        lambda fields, assigned: fields | assigned,
        _fields(
            {"item_id": item},
            {"title": called, "question": called, "course_id": course, "knowledge_points": st.lists(point, max_size=3),
             "max_score": count, "opens_at": first_day, "due_at": last_day},
        ),
        st.one_of(
            st.just({}),
            _fields({"assigned_to": st.just("course"), "course_id": course}, {}),
            _fields({"assigned_to": st.just("group"), "group_id": group}, {}),
        ),
    ),
    "membership_record": st.builds(
        lambda fields, person: fields | person,
        _fields(
            {"group_id": group},
            {"group_name": called, "term": term, "course_id": course, "starts": first_day, "ends": last_day,
             "role": st.sampled_from(["member", "leader"])},
        ),
        st.one_of(
            _fields({"student_id": student}, {"student_name": called}),
            _fields({"teacher_id": teacher}, {"teacher_name": called}),
        ),
    ),
    "point_record": st.builds(
        lambda fields, told: fields | told,
        _fields({}, {"names": st.lists(point, max_size=2), "course_id": course, "requires": st.lists(required, max_size=3),
                     "label": called, "description": called, "parent": required, "standard_id": point_id}),
        st.one_of(
            _fields({"point_id": point_id}, {"name": point}),
            _fields({"name": point}, {"point_id": point_id}),
        ),
    ),
    "post_record": _fields(
        {"student_id": student, "course_id": course, "text": called},
        {"student_name": called, "thread_id": st.sampled_from(["w1", "w2"]), "title": called,
         "reply_to": st.sampled_from(["r0", "r1", "never"])},
    ),
    "activity_record": _fields(
        {"student_id": student, "course_id": course},
        {"activity_id": item, "kind": st.sampled_from(["page", "video"]),
         "duration_seconds": st.sampled_from([0, 59, 60, 61.5, 3600, 14399, 14400, 100_000])},
    ),
    "term_record": _fields(
        {"term": term},
        {"name": called, "starts": first_day, "ends": last_day,
         "breaks": st.lists(st.sampled_from(["2026-01-01/2026-01-02", "2026-05-01/2026-05-04T12:00"]), max_size=2)},
    ),
}  # fmt: skip
# Many tests follow one student through each record. The ids in these records are not followed.
WITH_PERSONS = DATA | {
    "person_record": _fields(
        {"person_id": person_id},
        {"also": st.lists(person_id, max_size=3), "name": called, "decides": st.booleans()},
    )
}
SENTENCES = ("Adds the denominators.", "以为分母可以相加。")
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
        what_went_wrong=st.none() | st.sampled_from(SENTENCES),
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
        prerequisites=st.lists(st.builds(Prerequisite, point=point, requires=point, confidence=share, quote=st.sampled_from([None, "x", "y", "x"])), max_size=4).map(tuple),
        confidence=share,
    ),
}  # fmt: skip


@st.composite
def record_lists(draw: st.DrawFn, data: dict[str, st.SearchStrategy[Any]] = DATA) -> list[Record]:
    kinds = draw(st.lists(st.sampled_from(list(data)), min_size=1, max_size=14))
    return [
        parse_record(
            {
                "type": kind,
                "timestamp": draw(moment),
                "record_id": f"r{number}",
                "data": draw(data[kind]),
            }
        )
        for number, kind in enumerate(kinds)
    ]


@st.composite
def versions_of(draw: st.DrawFn, records: Sequence[Record]) -> list[Record]:
    """The records, and other contents under the ids of some of them, each with another change time.

    `test_version_order` tries equal times and other types, where it matters which import was accepted first.
    """
    versions = list(records)
    for number, record in enumerate(records):
        times = {record.timestamp}
        for _ in range(draw(st.integers(0, 2))):
            value = {"type": record.type, "timestamp": draw(moment), "record_id": f"r{number}"}
            version = parse_record(
                {**value, "data": draw(WITH_PERSONS[record.type]), "reading": draw(reading)}
            )
            if version.timestamp not in times:
                versions.append(version)
            times.add(version.timestamp)
    again = draw(st.lists(st.sampled_from(versions), max_size=3))  # the same, read in a newer way
    return versions + [each.model_copy(update={"reading": draw(reading)}) for each in again]


def latest_versions(records: Iterable[Record]) -> list[Record]:
    """Of each id, and all activity, which has no versions."""
    in_order = sorted(records, key=lambda each: (each.timestamp, each.reading, each.content_hash))
    latest = {record.record_id: record for record in in_order if not is_activity(record)}
    return [*latest.values(), *filter(is_activity, in_order)]


def is_activity(record: Record) -> bool:
    """Such a record is added whenever it comes, and cannot be taken back."""
    return record.type == "activity_record"


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


def withdrawals(*record_ids: str) -> tuple[tuple[int, Withdrawal], ...]:
    """Take these records back for good, whatever their change times; each comes with its line."""
    return tuple(
        (line, Withdrawal(record_id=each)) for line, each in enumerate(record_ids, start=1)
    )


def batch(
    records: Sequence[Record], job: str, number: int, withdrawn: Sequence[str] = ()
) -> RecordBatch:
    lines = list(enumerate(records, start=1))
    return RecordBatch(
        job, number, lines, (), len(records) + len(withdrawn), withdrawals(*withdrawn)
    )


def pack(findings: Sequence[RecordFinding], job: str, number: int) -> Findings:
    return Findings(job_id=job, pack=str(number), findings=tuple(findings))


def deliver(graph: Graph, message: RecordBatch | Findings | Sequence[Review]) -> None:
    match message:
        case RecordBatch():
            graph.write_batch(message)
        case Findings():
            graph.write_findings(message)
        case _:
            graph.write_reviews(message)


def in_order(room: Any, records: Sequence[Record], findings: Sequence[RecordFinding]) -> str:
    """The graph of one import, then the latest finding of each record."""
    room.empty()
    room.graph.write_batch(batch(records, "reference", 0))
    for number, finding in enumerate(latest_only(findings)):
        room.graph.write_findings(pack([finding], "reference", number))
    digest: str = room.digest()
    return digest


@st.composite
def deliveries(
    draw: st.DrawFn,
    records: list[Record],
    findings: list[RecordFinding],
    withdrawn: Sequence[str] = (),
) -> list[RecordBatch | Findings]:
    """Shuffled, cut anywhere, repeated, imported again; the findings before, after and between, each in its order.

    What is withdrawn is so in some of the batches, and in at least one.
    """
    some = st.lists(st.sampled_from(list(withdrawn)), max_size=3) if withdrawn else st.just([])
    batches = [
        batch(piece, "job", n, draw(some))
        for n, piece in enumerate(cut(draw, draw(st.permutations(records))))
    ]
    batches += [
        batch(piece, "again", n, draw(some))
        for n, piece in enumerate(cut(draw, draw(st.permutations(records))))
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
    return draw(
        st.lists(
            st.sampled_from([*(each.record_id for each in records), "never"]),
            max_size=4,
            unique=True,
        )
    )
