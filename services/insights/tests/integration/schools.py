"""Made-up records of a small school, and insights that read the graph to which they were imported."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from engines import PRIVACY_SECRET
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from rooms import Room

from edugraph_common.contracts.canonical_names import canonical_name
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
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import PairReview
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_common.runtime.shared_state.graph_changes import Position, Since
from edugraph_importer.graph import RecordBatch
from edugraph_insights.answer_cache import AnswerCache
from edugraph_insights.answers import Answer
from edugraph_insights.asking import ask
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.graph import Graph
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.settings import InsightsSettings

EXAMPLES = settings(
    max_examples=int(os.environ.get("EDUGRAPH_EXAMPLES", "5")),
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
ORIGIN = Origin(analyser="model", model="m", prompt_version="1")
BEGINNING = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
STUDENTS = [f"s{number:02}" for number in range(14)]
# Enough items of one point that something can be said of mastery.
EXERCISES = ["e1", "e2", "e3", "e4", "e5", "e6"]
COURSES, ITEMS, POINTS = ["C", "D"], ["i", "j", "k"], ["P1", "P2", "P3", "P4"]
# Kinds of mistakes that the list of the school does not have. An analyser may propose a kind that is listed as well.
NEW_TYPES = ["carries nothing", "Sign"]
TOPICS, TYPES, TERMS = ["Exams", "Fractions"], ["sign", "unit"], ["T1", "T2"]
# Two of them are one sentence in two spellings.
SENTENCES = [None, "Adds the denominators.", "adds the denominators", "Takes the root first."]
# Topics that are in no list, and one that is.
NEW_TOPICS = ["School trip", "exams"]

student = st.sampled_from(STUDENTS)
course = st.sampled_from(COURSES)
points = st.lists(st.sampled_from(POINTS), max_size=2, unique=True)
topics = st.lists(st.sampled_from(TOPICS), max_size=2, unique=True)
hours = st.integers(0, 40)
# The first and the last are the same text.
CONTENTS = ("Text 1", "Text 2", "Text 3", "text  1!")
share = st.sampled_from([0.25, 0.5, 0.75, 1.0])
# Memberships of groups, from and until so many days after now.
interval = st.tuples(st.sampled_from([-100, -29, -1, None]), st.sampled_from([-31, -29, 1, None]))
memberships = st.lists(
    st.tuples(st.sampled_from(STUDENTS), st.sampled_from("gh"), interval), max_size=20
)


@dataclass(frozen=True)
class School:
    records: list[Record]
    findings: list[RecordFinding]
    same: tuple[tuple[str, str], ...] = ()  # points that a reviewer judged the same
    zone: tzinfo = UTC


def at(number_of_hours: int) -> str:
    return (BEGINNING + timedelta(hours=number_of_hours)).isoformat()


@st.composite
def posts(draw: st.DrawFn, first: int) -> list[tuple[str, int, dict[str, Any]]]:
    """Posts, and answers to posts that come before or after them. `first` is the number of the first one.

    Some answer a record of another type, or one that is not there.
    """
    values: list[tuple[str, int, dict[str, Any]]] = []
    answered = st.none() | st.integers(-3, 3)
    for who, where, hour, steps in draw(
        st.lists(st.tuples(student, course, hours, answered), max_size=12)
    ):
        data = {
            "student_id": who,
            "course_id": where,
            "text": "Hm",
            "thread_id": draw(st.sampled_from(["w1", None])),
        }
        if steps is not None:
            data["reply_to"] = f"r{first + len(values) + steps}"
        values.append(("post_record", hour * 9, data))
    return values


@st.composite
def schools(draw: st.DrawFn) -> School:
    """Attempts, mistakes, messages, texts and course records of 14 students in two courses, and what was found in them."""
    values: list[tuple[str, int, dict[str, Any]]] = []
    for who, where in draw(st.sets(st.tuples(student, course), min_size=8)):
        progress = draw(st.none() | st.integers(0, 100))
        values.append(
            ("course_record", 0, {"student_id": who, "course_id": where, "progress": progress})
        )
    values += [
        ("item_record", 0, {"item_id": item, "knowledge_points": draw(points)})
        for item in draw(st.sets(st.sampled_from(ITEMS)))
    ]
    tries = st.tuples(
        student,
        course,
        st.sampled_from(ITEMS),
        hours,
        st.sampled_from([0.0, 0.4, 0.5, 1.0]),
        st.none() | st.integers(1, 3),
    )
    for who, where, item, hour, score, number in draw(st.lists(tries, max_size=60)):
        data = {
            "student_id": who,
            "course_id": where,
            "item_id": item,
            "score": score,
            "attempt_number": number,
        }
        answer = draw(st.sampled_from([None, "4", "five"]))
        values.append(("attempt_record", hour, {**data, "response": answer}))
    for who in draw(st.sets(st.sampled_from(STUDENTS[:3]))):
        practised = {"student_id": who, "course_id": "C", "knowledge_points": draw(points)}
        for item in EXERCISES:
            score = draw(st.sampled_from([0.0, 1.0, 1.0]))
            values.append(
                ("attempt_record", draw(hours), {**practised, "item_id": item, "score": score})
            )
    for who, where, hour in draw(st.lists(st.tuples(student, course, hours), max_size=12)):
        data = {"student_id": who, "course_id": where, "error_text": "wrong sign"}
        data |= {
            "error_type": draw(st.none() | st.sampled_from(TYPES)),
            "occurrence_count": draw(st.integers(1, 3)),
        }
        values.append(
            ("error_record", hour, {**data, "resolved": draw(st.sampled_from([None, True, False]))})
        )
    for who, perhaps, hour in draw(
        st.lists(st.tuples(student, st.none() | course, hours), max_size=8)
    ):
        data = {"teacher_id": "t", "student_id": who, "course_id": perhaps, "text": "Well"}
        values.append(("teacher_interaction", hour, data))
    two = st.tuples(student, student).filter(lambda pair: pair[0] != pair[1])
    exchanges = st.tuples(
        two, st.none() | course, hours, st.sampled_from(["chat", "like"]), st.integers(1, 3)
    )
    for (one, other), perhaps, hour, kind, times in draw(st.lists(exchanges, max_size=20)):
        data = {
            "student_id_from": one,
            "student_id_to": other,
            "course_id": perhaps,
            "interaction_type": kind,
        }
        data |= {"message_count" if kind == "chat" else "like_count": times, "topics": draw(topics)}
        values.append(("student_interaction", hour * 9, {**data, "text": "Hm"}))
    values += draw(posts(first=len(values)))
    for who, where, day in draw(
        st.lists(st.tuples(student, course, st.integers(0, 80)), max_size=5)
    ):
        values.append(("activity_record", day * 24, {"student_id": who, "course_id": where}))
    for term in draw(st.sets(st.sampled_from(TERMS))):
        starts = draw(st.integers(0, 30))
        ends, rest = starts + draw(st.integers(1, 30)), draw(st.integers(0, 80))
        days = {"starts": at(starts), "ends": draw(st.sampled_from([None, at(ends)]))}
        values.append(
            (
                "term_record",
                0,
                {"term": term, **days, "breaks": [f"{at(rest * 24)}/{at(rest * 24 + 90)}"]},
            )
        )
    texts = draw(st.lists(st.tuples(course, st.sampled_from(CONTENTS)), max_size=4))
    values += [
        ("course_content", 0, {"course_id": where, "content": content}) for where, content in texts
    ]
    records = [
        parse_record(
            {"type": kind, "timestamp": at(hour), "record_id": f"r{number}",
             "data": {name: value for name, value in data.items() if value is not None}}
        )
        for number, (kind, hour, data) in enumerate(values)
    ]  # fmt: skip
    pairs = st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS)).filter(
        lambda pair: pair[0] < pair[1]
    )
    same = draw(st.lists(pairs, max_size=2, unique=True))
    findings = [finding for record in records if (finding := draw(finding_of(record)))]
    return School(
        records,
        draw(with_same_claims(findings)),
        tuple(same),
    )


@st.composite
def with_same_claims(draw: st.DrawFn, findings: list[RecordFinding]) -> list[RecordFinding]:
    """The findings, in which a text often says again what the one before it says."""
    said: list[RecordFinding] = []
    before: tuple[Prerequisite, ...] = ()
    for each in findings:
        found = each.finding
        if isinstance(found, ContentFinding):
            again = draw(st.sampled_from([(), before, before]))
            found = found.model_copy(update={"prerequisites": (*found.prerequisites, *again)})
            before = found.prerequisites
        said.append(each.model_copy(update={"finding": found}))
    return said


# Words of a text say two of three prerequisites that it claims.
QUOTES = st.sampled_from(["so", "thus", None])


@st.composite
def finding_of(draw: st.DrawFn, record: Record) -> RecordFinding | None:
    """What an analyser found in a record, or None: of texts of courses prerequisites, of mistakes the points."""
    found: Any = None
    if record.type == "course_content":
        pairs = draw(
            st.lists(
                st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS), share, QUOTES),
                max_size=3,
            )
        )
        found = ContentFinding(
            knowledge_points=tuple(
                FoundPoint(name=name, importance="core") for name in draw(points)
            ),
            # The direction of the names makes no cycle.
            prerequisites=tuple(
                Prerequisite(point=b, requires=a, confidence=c, quote=quote)
                for a, b, c, quote in pairs
                if a < b
            ),
            confidence=draw(share),
        )
    elif kind_of_finding(record) == "error" and draw(st.booleans()):
        linked = [
            LinkedPoint(name=name, strength=1.0, confidence=draw(share)) for name in draw(points)
        ]
        evidence = draw(st.sampled_from([(), ("sign",)]))
        types = tuple(
            FoundErrorType(name=name, confidence=1.0)
            for name in draw(st.sets(st.sampled_from(TYPES)))
        )
        found = ErrorFinding(
            knowledge_points=tuple(linked),
            error_types=types,
            other_error_types=tuple(
                FoundErrorType(name=name, confidence=draw(share))
                for name in draw(st.sets(st.sampled_from(NEW_TYPES), max_size=1))
            ),
            confidence=draw(share),
            evidence=evidence,
            what_went_wrong=draw(st.sampled_from(SENTENCES)),
        )
    elif kind_of_finding(record) == "interaction" and draw(st.booleans()):
        mood = draw(st.sampled_from([None, "positive", "neutral", "negative"]))
        found = InteractionFinding(
            sentiment=mood,
            topics=tuple(draw(topics)),
            other_topics=tuple(draw(st.sets(st.sampled_from(NEW_TOPICS), max_size=1))),
            confidence=draw(share),
        )
    return found and RecordFinding(record=record.to_json(), finding=found, origin=ORIGIN)


def slower(school: School, times: int) -> School:
    """Return the school in which each record is `times` as far from the beginning."""
    records = {}
    for record in school.records:
        moment = BEGINNING + (record.timestamp - BEGINNING) * times
        records[record.record_id] = parse_record(
            {**record.to_json(), "timestamp": moment.isoformat()}
        )
    findings = [
        RecordFinding(
            record=records[each.record["record_id"]].to_json(),
            finding=each.finding,
            origin=each.origin,
        )
        for each in school.findings
    ]
    return replace(school, records=[*records.values()], findings=findings)


def written(room: Room, school: School) -> None:
    room.empty()
    lines = list(enumerate(school.records, start=1))
    room.graph.write_batch(RecordBatch("job", 0, lines, (), len(lines)))
    room.graph.write_findings(Findings(job_id="job", pack="0", findings=tuple(school.findings)))
    said = {"of": "knowledge_point", "verdict": "same", "by": "reviewer", "at": at(0)}
    pairs = [tuple(map(canonical_name, pair)) for pair in school.same]
    room.graph.write_reviews([PairReview.model_validate({**said, "pair": pair}) for pair in pairs])
    room.graph.settle_prerequisites()


class NoViews:
    """Saved views of callers who saved nothing."""

    def of(self, _client_id: str) -> dict[str, Any]:
        return {}

    def find(self, _client_id: str, _view_id: str) -> None:
        return None


@dataclass
class NotedAudit:
    """An audit log that keeps what it is told."""

    entries: list[tuple[Any, ...]] = field(default_factory=list)

    def record(self, who: str, action: str, what: str, _now: datetime, **more: Any) -> None:
        self.entries.append((who, action, what, more.get("of")))


def everything_changed(_position: Position | None) -> Since:
    """Return what the stream says when it is empty: columns are read again for each question."""
    return Since((), None, is_known=False)


def reading(
    room: Room,
    *,
    max_rows: int = 200_000,
    audit: Any = None,
    now: datetime = NOW,
    answers: AnswerCache | None = None,
    zone: str = "UTC",
) -> Insights:
    """Insights on the graph of a room."""
    found = InsightsSettings(
        school_time_zone=zone,
        redis_url="redis://127.0.0.1:1",
        neo4j_uri=room.settings.uri,
        neo4j_user=room.settings.user,
        neo4j_password=room.settings.password,
        neo4j_database=room.settings.database,
        query_timeout_seconds=30,
        privacy_secret=SecretStr(PRIVACY_SECRET),
    )
    graph = Graph(found, max_rows=max_rows)
    return Insights(
        settings=found,
        graph=graph,
        key_ring=None,
        issuer=None,
        audit=audit or NotedAudit(),
        views=NoViews(),
        action_permits=None,
        model_permits=None,
        ping_redis=lambda: None,
        now=lambda: now,
        answers=answers,
        columns=ColumnStore(graph, everything_changed, ZoneInfo(zone)),
    )


def caller(*roles: Any, person: str | None = None) -> Caller:
    return Caller("key", (), roles, person)


def make_groups(room: Room, members: Any, led: Any, courses: dict[str, str | None]) -> None:
    """Days are counted from now."""

    def ends(days: Any) -> dict[str, str | None]:
        return dict(
            zip(
                ("starts", "ends"),
                (d and (NOW + timedelta(days=d)).isoformat() for d in days),
                strict=True,
            )
        )

    for group, course in courses.items():
        room.driver.execute_query("CREATE (:Group {id: $id})", id=group)
        if course:
            room.driver.execute_query(
                "MATCH (g:Group {id: $id}), (c:Course {id: $course}) CREATE (g)-[:OF_COURSE]->(c)",
                id=group,
                course=course,
            )
    for who, group, days in members:
        room.driver.execute_query(
            "MATCH (s:Student {id: $who}), (g:Group {id: $group}) "
            "CREATE (s)-[:MEMBER_OF {starts: datetime($starts), ends: datetime($ends)}]->(g)",
            parameters_={"who": who, "group": group, **ends(days)},
        )  # fmt: skip
    for who, group, days in led:
        room.driver.execute_query(
            "MERGE (t:Teacher {id: $who}) WITH t MATCH (g:Group {id: $group}) "
            "CREATE (t)-[:LEADS {starts: datetime($starts), ends: datetime($ends)}]->(g)",
            parameters_={"who": who, "group": group, **ends(days)},
        )  # fmt: skip


def asked(
    insights: Insights, name: str, caller: Caller = ANYBODY, **parameters: Any
) -> Answer[Any]:
    question = QUESTIONS[name]
    return ask(insights, caller, question, question.parameters(**parameters))


def of(records: Sequence[Record], kind: str) -> list[Any]:
    return [record for record in records if record.type == kind]
