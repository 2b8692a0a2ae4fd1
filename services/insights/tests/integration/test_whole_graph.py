"""What is shown of the whole graph: counts that equal the records, and only for who has the scopes."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.findings import ErrorFinding, LinkedPoint, RecordFinding
from edugraph_common.contracts.graph_schema import NAMED_LABELS
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import REVIEW, PairReview, PrerequisiteReview
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights import whole_graph
from edugraph_insights.access import WHOLE_GRAPH
from edugraph_insights.app import make_application
from edugraph_insights.small_groups import SMALLEST_GROUP_STUDENTS
from edugraph_insights.whole_graph import MAX_FREQUENT_MISTAKES, export, reviews, summary

from .schools import EXAMPLES, ORIGIN, STUDENTS, NotedAudit, School, at, reading, schools, written

LABELS = {
    "attempt_record": "Attempt",
    "error_record": "ErrorRecord",
    "course_content": "CourseContent",
}


class Keys:
    """API keys without a Redis: the token names the scopes."""

    def caller(self, token: str, _now: Any) -> Caller | None:
        scopes = tuple(token.removeprefix("eg_").split("+"))
        return Caller("key", scopes, ("analyst", "teacher"), "t") if token else None  # type: ignore[arg-type]


@pytest.fixture
def client(room: Room) -> Iterator[TestClient]:
    written(room, School([], []))
    found = reading(room, audit=NotedAudit())
    settings = found.settings.model_copy(update={"auth": "on"})
    with TestClient(
        make_application(replace(found, settings=settings, key_ring=Keys())),
        base_url="http://127.0.0.1",
    ) as client:
        yield client


def get(client: TestClient, what: str, *scopes: str, **body: Any) -> Any:
    """Ask for a part of the whole graph. Without scopes no key is sent."""
    headers = {}
    if scopes:
        headers["Authorization"] = f"Bearer eg_{'+'.join(scopes)}"
    if what == "known":
        return client.post(f"/v1/graph/{what}", headers=headers, json=body)
    return client.get(f"/v1/graph/{what}", headers=headers)


@pytest.mark.parametrize("what", WHOLE_GRAPH)
def test_each_of_the_scopes_is_needed_and_no_role_is_enough(client: TestClient, what: str) -> None:
    """Out: `need_scopes` in any route."""
    assert get(client, what).status_code == 401
    needed = WHOLE_GRAPH[what]
    everything = (
        "read:own",
        "read",
        "personal",
        "submit",
        "roster",
        "review",
        "operate",
        "privacy",
        "erase",
    )
    for missing in needed:
        answer = get(client, what, *(scope for scope in everything if scope != missing))
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:edugraph:problem:scope"), (
            missing
        )
    assert get(client, what, *needed).status_code == 200


@pytest.mark.parametrize("what", ["reviews", "export", "known", "warehouse"])
def test_what_shows_persons_is_in_the_audit_log_or_is_not_shown(
    client: TestClient, what: str
) -> None:
    """Out: `note_shown` in a route."""
    app: Any = client.app
    assert get(client, what, "read", "personal").status_code == 200
    assert app.state.insights.audit.entries == [("key", "personal.read", what, (what, ""))]

    class Away:
        def record(self, *_: Any, **__: Any) -> None:
            raise Retryable("Redis does not answer")

    app.state.insights = replace(app.state.insights, audit=Away())
    assert get(client, what, "read", "personal").status_code == 503


def test_records_for_a_warehouse_need_the_scopes_and_are_in_the_audit_log(
    client: TestClient, room: Room
) -> None:
    """Out: `need_scopes`, `note_shown`, or the condition of a statement about restricted students."""
    data = {"course_id": "C", "item_id": "i", "correct": True}
    records = []
    for student in ("s1", "s2"):
        value = {"type": "attempt_record", "data": {"student_id": student, **data}}
        records.append(parse_record({**value, "timestamp": at(2), "record_id": f"of {student}"}))
    written(room, School(records, []))
    room.graph.restrict_student("s2", restricted=True)
    address = "/v1/graph/warehouse"
    body = {"students": ["s1", "s2"]}
    refused = client.post(address, headers={"Authorization": "Bearer eg_read"}, json=body)
    assert refused.status_code == 403
    headers = {"Authorization": "Bearer eg_read+personal"}
    tables = client.post(address, headers=headers, json=body).json()["tables"]
    assert [row["record"] for row in tables["attempts"]] == ["of s1"]
    since = client.get(address, headers=headers, params={"since": 0})
    assert "of s1" in since.text
    assert "s2" not in since.text
    app: Any = client.app
    assert [entry[2] for entry in app.state.insights.audit.entries[-2:]] == ["warehouse"] * 2
    many = {"students": [f"s{number}" for number in range(101)]}
    assert client.post(address, headers=headers, json=many).status_code == 422
    assert client.get(address, headers=headers, params={"since": -1}).status_code == 422


def test_known_nodes_are_those_that_the_graph_shows(client: TestClient, room: Room) -> None:
    """Out: `not_restricted`, the canonical name of a point, or the label of a statement."""
    mistake = {"course_id": "C", "item_id": "i", "correct": False, "question": "Why?"}
    points = {"knowledge_points": ["Equal Fractions"], "item_title": "Quiz 1"}
    values = [
        {"type": "attempt_record", "data": {"student_id": "s1", **mistake, **points}},
        {"type": "attempt_record", "data": {"student_id": "s2", **mistake}},
        {
            "type": "teacher_interaction",
            "data": {"teacher_id": "t1", "student_id": "s1", "text": "Well done"},
        },
        {"type": "point_record", "data": {"point_id": "6.NS.1", "name": "Ratios"}},
    ]
    records = []
    for number, value in enumerate(values):
        envelope = {"timestamp": at(2), "record_id": f"k{number}"}
        records.append(parse_record({**value, **envelope}))
    written(room, School(records, []))
    room.graph.restrict_student("s2", restricted=True)
    known = get(
        client,
        "known",
        "read",
        "personal",
        students=["s1", "s2", "s3", "t1", "C"],
        teachers=["t1", "s1"],
        courses=["C", "s1"],
        points=["equal-fractions", "EQUAL FRACTIONS", "6.NS.1", "Sums"],
        item_titles={"i": "Another title", "j": "Quiz 2"},
    )
    assert known.json() == {
        "students": ["s1"],
        "teachers": ["t1"],
        "courses": ["C"],
        "points": ["equal-fractions", "EQUAL FRACTIONS", "6.NS.1"],
        "item_titles": {"i": "Quiz 1"},
    }


def test_wrong_questions_about_known_nodes_are_refused(client: TestClient) -> None:
    for body in ({"students": "s1"}, {"names": ["x"]}, {"courses": [1]}):
        answer = get(client, "known", "read", "personal", **body)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:edugraph:problem:invalid")


@pytest.mark.thorough
@EXAMPLES
@given(school=schools())
def test_the_summary_counts_what_the_records_say(room: Room, school: School) -> None:
    """Out: `at_least` in frequent_mistakes, or `n.canonical` in the count of names."""
    written(room, school)
    kinds = Counter[str](record.type for record in school.records)
    with room.reading() as graph:
        found, published = summary(graph), summary(graph, SMALLEST_GROUP_STUDENTS)
        behind = room.query(
            "MATCH (s:Student)-[:MADE|TRIED]->(e)-[:CONCERNS]->(k:KnowledgePoint) "
            "RETURN DISTINCT s.id AS student, e.id AS mistake, coalesce(k.canonical, k.id) AS point"
        )
    assert {label: found.nodes.get(label, 0) for label in LABELS.values()} == {
        label: kinds[kind] for kind, label in LABELS.items()
    }
    students: dict[str, set[str]] = {}
    for row in behind:
        students.setdefault(row["point"], set()).add(row["student"])
    expected = {point: len(who) for point, who in students.items()}
    assert len(expected) <= MAX_FREQUENT_MISTAKES
    assert {each.knowledge_point: each.students for each in found.frequent_mistakes} == expected
    assert {each.knowledge_point: each.students for each in published.frequent_mistakes} == {
        point: number for point, number in expected.items() if number >= SMALLEST_GROUP_STUDENTS
    }


def test_without_personal_the_counts_are_rounded(client: TestClient, room: Room) -> None:
    """Out: `rounded_summary` in the route, or `rounded` of any part of it."""
    values = [
        {"type": "error_record", "record_id": f"r{n}", "timestamp": at(n),
         "data": {"student_id": f"s{n}", "course_id": "C", "error_text": "wrong sign"}}
        for n in range(12)
    ]  # fmt: skip
    linked = ErrorFinding(
        knowledge_points=(LinkedPoint(name="P", strength=1.0, confidence=1.0),), confidence=1.0
    )
    records = [parse_record(value) for value in values]
    findings = [
        RecordFinding(record=record.to_json(), finding=linked, origin=ORIGIN) for record in records
    ]
    written(room, School(records, findings))
    exact, coarse = (
        get(client, "summary", *scopes).json() for scopes in (("read", "personal"), ("read",))
    )
    assert (exact["nodes"]["Student"], exact["nodes"]["Course"]) == (12, 1)
    assert (coarse["nodes"]["Student"], "Course" in coarse["nodes"]) == (10, False)
    shown = {**coarse["nodes"], **coarse["relationships"]}
    assert all(number % 5 == 0 for number in shown.values())
    [mistake] = coarse["frequent_mistakes"]
    assert (mistake["mistakes"], mistake["students"]) == (10, 10)
    assert exact["frequent_mistakes"][0]["students"] == 12


@pytest.mark.thorough
@EXAMPLES
@given(
    school=schools(),
    restricted=st.sets(st.sampled_from(STUDENTS), max_size=3),
    at_once=st.integers(1, 4),
)
def test_the_export_is_what_the_records_say_without_who_is_restricted(
    room: Room, school: School, restricted: set[str], at_once: int
) -> None:
    """Out: either statement of who is hidden, `after`, or `end not in hidden`. Pages are small, so there are many."""
    written(room, school)
    for student_id in restricted:
        room.graph.restrict_student(student_id, restricted=True)
    with room.reading() as graph, patch.object(whole_graph, "EXPORTED_AT_ONCE", at_once):
        *values, end = export(graph)
        nodes = {(value["label"], value["id"]): value for value in values if "label" in value}
        relationships = [value for value in values if "type" in value]
        behind = Counter(
            row["type"] for row in room.query("MATCH (a)-[r]->(b) RETURN type(r) AS type")
        )
        links = room.query(
            "MATCH (n)--(r) RETURN labels(n)[0] AS label, n.id AS id, labels(r)[0] AS other"
        )
    naming = {"Attempt", "CourseContent", "Definition", "ErrorRecord", "Interaction", "Item"}
    recorded = {f"{row['label']}:{row['id']}" for row in links if row["other"] in naming}
    assert end == {"nodes": len(nodes), "relationships": len(relationships)}
    who = {record: students_of(record) for record in school.records}
    expected = {
        (LABELS[record.type], record.record_id)
        for record in school.records
        if record.type in LABELS and not who[record] & restricted
    }
    assert {key for key in nodes if key[0] in LABELS.values()} == expected
    named = set[str]().union(*who.values())
    assert {key[1] for key in nodes if key[0] == "Student"} == named - restricted
    assert not [
        value
        for value in values
        for each in restricted
        if json.dumps(each)[1:-1] in json.dumps(value)
    ]
    ends = {value[end] for value in relationships for end in ("from", "to")}
    assert ends <= {":".join(key) for key in nodes}
    said = {
        value[here]
        for value in relationships
        for here, there in (("from", "to"), ("to", "from"))
        if value[there].partition(":")[0] in naming
    }
    # What a text says that a point requires stands at no record.
    assert {":".join(key) for key in nodes if key[0] in NAMED_LABELS} & recorded <= said
    if not restricted & named:
        shown = Counter(value["type"] for value in relationships)
        assert shown == {name: number for name, number in behind.items() if name in shown}
        assert {"MADE", "TRIED", "LEARNS"} & behind.keys() <= shown.keys()


def students_of(record: Record) -> set[str]:
    names = ("student_id", "student_id_from", "student_id_to")
    return {found for name in names if (found := getattr(record.data, name, None))}


def test_all_reviews_come_as_they_were_sent(client: TestClient, room: Room) -> None:
    """Out: a field of `reviews`, or any page but the first."""
    said = {"of": "knowledge_point", "verdict": "different", "by": "ann", "at": at(1)}
    sent: list[Any] = [
        PairReview.model_validate({**said, "pair": ["p", f"q{number}"]}) for number in range(8)
    ]
    need = {"point": "p", "requires": "q0", "verdict": "accepted", "by": "ann", "at": at(1)}
    sent.append(PrerequisiteReview.model_validate(need))
    room.graph.write_reviews(sent)
    with room.reading() as graph, patch.object(whole_graph, "REVIEWS_AT_ONCE", 4):
        assert len(list(reviews(graph))) == len(sent)
        lines = get(client, "reviews", "read", "personal").text.splitlines()
    got = {REVIEW.validate_python(json.loads(line)) for line in lines}
    assert got == set(sent)


def test_a_graph_that_is_away_is_told_by_the_check(client: TestClient) -> None:
    """Out: `except Failure` in `check`."""
    assert get(client, "check", "operate").json()["name"] == "graph"
    app: Any = client.app
    found = app.state.insights
    away = type(found.graph)(found.settings.model_copy(update={"neo4j_uri": "bolt://127.0.0.1:1"}))
    app.state.insights = replace(found, graph=away)
    answer = get(client, "check", "operate")
    assert (answer.status_code, answer.json()["ok"]) == (200, False)
    assert get(client, "summary", "read").status_code == 503


def person_record(person_id: str, *also: str) -> Record:
    data = {"person_id": person_id, "also": list(also)}
    return parse_record({"type": "person_record", "timestamp": "2026-03-01", "data": data})


def test_persons_have_the_ids_that_are_claimed_for_them(room: Room, client: TestClient) -> None:
    """Out: the direction of `id_claims`, `DISTINCT`, `contested`, or `found.owners.get`."""
    twice = parse_record({**person_record("S05", "17").to_json(), "record_id": "again"})
    records = [person_record("S05", "17", "0"), person_record("17", "uuid"), twice]
    written(room, School([*records, person_record("S06", "0"), person_record("S07")], []))
    answer = get(client, "persons?id=uuid", "read", "personal").json()
    assert (answer["claims"], answer["joined"]) == (4, 2)
    assert answer["contested"] == [{"id": "0", "persons": 2, "claimed_by": ["S05", "S06"]}]
    assert answer["person"] == {
        "owner": "S05",
        "ids": ["17", "S05", "uuid"],
        "contested": ["0"],
    }
    for unknown in ("persons", "persons?id=nobody"):
        assert get(client, unknown, "read", "personal").json()["person"] is None
    assert get(client, "persons", "read").status_code == 403


def test_an_id_of_which_an_operator_decided_is_not_contested(
    room: Room, client: TestClient
) -> None:
    """Out: `decisions` in `persons`, or `decides` in `id_claims`."""
    decided = {"person_id": "S06", "also": ["0"], "decides": True}
    row = {"type": "person_record", "timestamp": "2026-03-01", "record_id": "d", "data": decided}
    records = [person_record("S05", "0"), person_record("S06", "0"), parse_record(row)]
    written(room, School(records, []))
    answer = get(client, "persons?id=0", "read", "personal").json()
    assert (answer["claims"], answer["contested"]) == (3, [])
    assert answer["person"]["ids"] == ["0", "S06"]


def test_a_restricted_person_is_in_no_list_of_ids(room: Room, client: TestClient) -> None:
    """Out: `hidden_owners` in any of its places, or the records of persons in `hidden`."""
    attempt = {"student_id": "17", "item_id": "q", "correct": True}
    head = {"type": "attempt_record", "timestamp": "2026-03-01"}
    records = [
        person_record("S05", "17", "0"),
        person_record("S06", "0"),
        person_record("S08", "9"),
    ]
    written(room, School([*records, parse_record({**head, "data": attempt})], []))
    room.graph.restrict_student("17", restricted=True)
    for asked in ("S05", "17", "0"):
        answer = get(client, f"persons?id={asked}", "read", "personal").json()
        person = answer["person"]
        assert person is None or asked == "0"
        assert "S05" not in str(answer)
        assert "17" not in str(answer)
    assert answer["contested"] == [{"id": "0", "persons": 2, "claimed_by": ["S06"]}]
    with room.reading() as graph:
        exported = str(list(export(graph)))
    assert "S05" not in exported
    assert "S08" in exported
