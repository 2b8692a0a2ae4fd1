"""The graph that a caller may see, computed the plain way from records and findings; the graph is never asked."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import RecordFinding
from edugraph_common.contracts.records import parse_record

from . import insights_reference as reference
from .schools import School, at, course, finding_of, hours, schools, student

WEIGHT = {"low": 0.5, "medium": 1.0, None: 1.0, "high": 2.0}
GROUPS = {"g": "C", "h": "D", "home": None}


@st.composite
def peopled_schools(draw: st.DrawFn) -> School:
    """A school that has groups as well. Activity, terms, and types and topics that a model found are left out."""
    school = draw(schools())
    kept = [r for r in school.records if r.type not in {"activity_record", "term_record"}]
    known = [f for f in school.findings if states_no_type(f)]
    values: list[tuple[str, int, dict[str, Any]]] = []
    for who, where, hour in draw(st.lists(st.tuples(student, course, hours), max_size=10)):
        data: dict[str, Any] = {
            "student_id": who,
            "course_id": where,
            "error_text": "wrong",
            "error_type": draw(st.sampled_from("tu")),
        }
        data |= {
            "severity": draw(st.sampled_from(["low", "medium", "high"])),
            "occurrence_count": draw(st.integers(1, 3)),
        }
        values.append(("error_record", hour, data))
    kinds = st.sampled_from(["chat", "like"])
    for one, other, perhaps, kind in draw(
        st.lists(st.tuples(student, student, st.none() | course, kinds), max_size=10)
    ):
        data = {
            "student_id_from": one,
            "student_id_to": other,
            "course_id": perhaps,
            "interaction_type": kind,
        }
        values.append(
            (
                "student_interaction",
                draw(hours),
                {**data, "topics": draw(st.sampled_from([[], ["Sport"]]))},
            )
        )
    members = st.tuples(student, st.sampled_from(sorted(GROUPS)))
    values += [
        ("membership_record", 0, {"group_id": group, "student_id": who, "course_id": GROUPS[group]})
        for who, group in sorted(draw(st.sets(members, max_size=14)))
    ]
    values += [
        ("membership_record", 0, {"group_id": group, "teacher_id": "t", "course_id": GROUPS[group]})
        for group in sorted(draw(st.sets(st.sampled_from(sorted(GROUPS)))))
    ]
    records = [
        parse_record(
            {"type": kind, "timestamp": at(hour), "record_id": f"q{number}",
             "data": {name: value for name, value in data.items() if value is not None}}
        )
        for number, (kind, hour, data) in enumerate(values)
    ]  # fmt: skip
    drawn = [draw(finding_of(record)) for record in records if record.type == "error_record"]
    found = [finding for finding in drawn if finding and states_no_type(finding)]
    return School([*kept, *records], [*known, *found], school.same)


def states_no_type(finding: RecordFinding) -> bool:
    return not getattr(finding.finding, "error_types", ()) and not getattr(
        finding.finding, "topics", ()
    )


Node = tuple[str, str]  # label, id
Link = tuple[str, str, str]  # source, type, target
# Student -> the courses in which they may be seen; None: in all
Persons = dict[str, set[str] | None]


@dataclass
class Visible:
    """`stored` has one entry for each relationship between names; `links` puts together what means the same."""

    school: School
    nodes: set[str] = field(default_factory=set)
    stored: dict[tuple[str, Node, Node, str], list[tuple[float | None, float | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    times: dict[str, datetime] = field(default_factory=dict)

    def add(
        self, kind: str, source: Node, target: Node, *, apart: str = "", weight: float | None = None,
        confidence: float | None = None,
    ) -> None:  # fmt: skip
        self.nodes |= {self.name(source), self.name(target)}
        self.stored[kind, source, target, apart].append((weight, confidence))

    def name(self, node: Node) -> str:
        label, node_id = node
        return f"{label}:{reference.point_of(self.school, node_id) if label == 'KnowledgePoint' else node_id}"

    def links(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> dict[Link, tuple[Any, ...]]:
        """Link -> (relationships, weight, confidence), of a time, for which no sum over all time counts."""
        groups: dict[Link, list[tuple[float | None, float | None]]] = defaultdict(list)
        for (kind, source, target, _), said in self.stored.items():
            ends = self.name(source), self.name(target)
            dated = [self.times[end] for end in ends if end in self.times]
            if (since and any(each < since for each in dated)) or (
                until and any(each > until for each in dated)
            ):
                continue
            if ends[0] == ends[1] or (
                (since or until) and kind in SUMMED | {"RELATES_TO", "LEARNS"}
            ):
                continue
            weights = [weight for weight, _ in said if weight is not None]
            sure = [confidence for _, confidence in said if confidence is not None]
            if kind == "RELATES_TO":  # It has the mean of what its records say.
                groups[ends[0], kind, ends[1]].append(
                    (sum(weights) / len(weights), sum(sure) / len(sure))
                )
                continue
            weight = (sum(weights) if kind in SUMMED else max(weights)) if weights else None
            groups[ends[0], kind, ends[1]].append((weight, max(sure, default=None)))
        found: dict[Link, tuple[Any, ...]] = {}
        for link, each in groups.items():
            weights = [weight for weight, _ in each if weight is not None]
            weight = (sum(weights) if link[1] in SUMMED else max(weights)) if weights else None
            confidence = max((sure for _, sure in each if sure is not None), default=None)
            found[link] = (len(each), weight, confidence)
        return found


SUMMED = {"CHAT_WITH", "HAS_ERROR", "LIKES", "PRACTISED", "TEACHES"}


def distances(links: Iterable[Link], root: str) -> dict[str, int]:
    """By going over all links again and again until nothing is nearer."""
    pairs = {pair for a, _, b in links for pair in ((a, b), (b, a))}
    found, size = {root: 0}, 0
    while len(found) > size:
        size = len(found)
        far = max(found.values())
        for a, b in pairs:
            if found.get(a) == far:
                found.setdefault(b, far + 1)
    return found


def point(name: str) -> Node:
    return "KnowledgePoint", canonical_name(name)


def visible(school: School, persons: Persons | None) -> Visible:
    """What may be seen with these students; None: everybody."""
    found = Visible(school)
    findings = {each.record["record_id"]: each.finding for each in school.findings}
    for record in list[Any](school.records):
        data, finding = record.data, findings.get(record.record_id)
        courses = courses_of(record)
        found.nodes |= {f"Course:{each}" for each in courses}
        if record.type in {"item_record", "attempt_record"}:
            found.nodes.add(f"Item:{data.item_id}")
            for name in data.knowledge_points or ():
                found.add("TESTS", ("Item", data.item_id), point(name))
        elif record.type == "membership_record":
            add_membership(found, data, persons)
        elif record.type == "course_content" and finding:
            add_text_finding(found, record, finding)
        people = people_of(record)
        if record.type == "course_content" and persons is None:
            found.add("IN_COURSE", ("CourseContent", record.record_id), ("Course", data.course_id))
            found.times[f"CourseContent:{record.record_id}"] = record.timestamp
            for name in described(finding):
                found.add("DESCRIBES", ("CourseContent", record.record_id), point(name))
        elif people and (persons is None or people <= persons.keys()):
            add_record(found, record, finding, persons)
    found.nodes |= {f"Student:{who}" for who in persons or ()}
    return found


def courses_of(record: Any) -> list[str]:
    if hasattr(record.data, "courses"):
        return list(record.data.courses)
    return [record.data.course_id] if record.data.course_id else []


def people_of(record: Any) -> set[str]:
    fields = ("student_id", "student_id_from", "student_id_to")
    if record.type == "membership_record":
        return set()
    return {getattr(record.data, each) for each in fields if hasattr(record.data, each)}


def described(finding: Any) -> set[str]:
    if finding is None:
        return set()
    return {each.name for each in finding.knowledge_points} | {
        end for each in finding.prerequisites for end in (each.point, each.requires)
    }


def add_membership(found: Visible, data: Any, persons: Persons | None) -> None:
    group = ("Group", data.group_id)
    found.nodes.add(f"Group:{data.group_id}")
    if data.course_id:
        found.add("OF_COURSE", group, ("Course", data.course_id))
    if data.student_id and may_see(persons, data.student_id, [data.course_id]):
        found.add("MEMBER_OF", ("Student", data.student_id), group)
    elif data.student_id and persons is None:
        found.nodes.add(f"Student:{data.student_id}")
    if data.teacher_id and persons is None:
        found.add("LEADS", ("Teacher", data.teacher_id), group)


def add_text_finding(found: Visible, record: Any, finding: Any) -> None:
    for each in finding.knowledge_points:
        found.add("CONTAINS", ("Course", record.data.course_id), point(each.name))
    followed = reference.prerequisites(found.school)
    for each in finding.prerequisites:
        pair = tuple(reference.point_of(found.school, end) for end in (each.point, each.requires))
        if pair in followed:
            found.add(
                "DEPENDS_ON", point(each.point), point(each.requires), confidence=each.confidence
            )


def may_see(persons: Persons | None, who: str, courses: Iterable[str | None]) -> bool:
    """Whether a student may be seen in one of these courses."""
    if persons is None:
        return True
    allowed = persons.get(who, set())
    return allowed is None or bool(allowed & {*courses})


def add_record(found: Visible, record: Any, finding: Any, persons: Persons | None) -> None:  # noqa: C901, PLR0912
    data, courses = record.data, courses_of(record)
    label = {"student_interaction": "Interaction", "teacher_interaction": "Interaction", "error_record": "ErrorRecord",
             "course_record": "CourseRecord", "attempt_record": "Attempt", "post_record": "Interaction"}[record.type]  # fmt: skip
    node = (label, record.record_id)
    everything = persons is None or all(persons[who] is None for who in people_of(record))
    shown = any(may_see(persons, who, courses) for who in people_of(record))
    if shown:
        found.times[f"{label}:{record.record_id}"] = record.timestamp
        for each in courses:
            found.add("IN_COURSE", node, ("Course", each))
    points = (
        getattr(finding, "knowledge_points", ())
        if shown and label in {"Attempt", "ErrorRecord"}
        else ()
    )
    for each in points:
        found.add(
            "CONCERNS", node, point(each.name), weight=each.strength, confidence=each.confidence
        )
    if record.type.endswith("_interaction"):
        to = data.student_id_to if record.type == "student_interaction" else data.student_id
        if may_see(persons, to, courses):
            found.add("RECEIVED_BY", node, ("Student", to))
        if record.type == "student_interaction":
            sender = ("Student", data.student_id_from)
            if may_see(persons, sender[1], courses):
                found.add("SENT", sender, node)
            for each in data.topics if shown else ():
                found.add("ABOUT", node, ("Topic", canonical_name(each)))
            if everything:
                kind = "CHAT_WITH" if data.interaction_type == "chat" else "LIKES"
                times = data.message_count if kind == "CHAT_WITH" else data.like_count
                found.add(kind, sender, ("Student", to), weight=float(times or 1))
        elif persons is None:
            found.add("SENT", ("Teacher", data.teacher_id), node)
            found.add("TEACHES", ("Teacher", data.teacher_id), ("Student", to), weight=1.0)
        return
    who = ("Student", data.student_id)
    if shown:
        owner = {
            "ErrorRecord": "MADE",
            "CourseRecord": "HAS_RECORD",
            "Attempt": "TRIED",
            "Interaction": "SENT",
        }[label]
        found.add(owner, who, node)
    if label == "CourseRecord" and shown:
        found.add("LEARNS", who, ("Course", data.course_id))
    if label == "Attempt":
        if shown:
            found.add("OF_ITEM", node, ("Item", data.item_id))
        if everything:
            found.add("PRACTISED", who, ("Item", data.item_id), weight=1.0)
    if label == "ErrorRecord" and data.error_type:
        of_type = ("ErrorType", canonical_name(data.error_type))
        if shown:
            found.add("OF_TYPE", node, of_type)
        for each in courses:
            if may_see(persons, data.student_id, [each]):
                weight = data.occurrence_count * WEIGHT[data.severity]
                found.add("HAS_ERROR", who, of_type, apart=each, weight=weight)
        for each in points if persons is None else ():
            found.add(
                "RELATES_TO",
                of_type,
                point(each.name),
                weight=each.strength,
                confidence=each.confidence,
            )
