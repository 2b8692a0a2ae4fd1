"""No way out of insights shows a hidden finding, except those that are listed here with the reason.

The words of the hidden findings are in no record, so an answer that has one of them shows a hidden finding. A new
question, general query or export is tried by its place in the registry.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import (
    ErrorFinding,
    FoundErrorType,
    LinkedPoint,
    Origin,
    RecordFinding,
)
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.callers import ANYBODY
from edugraph_insights import hidden_in_graph, warehouse, whole_graph
from edugraph_insights.hidden_in_graph import HiddenInGraph
from edugraph_insights.insights import Insights
from edugraph_insights.queries.answers import OfNode
from edugraph_insights.queries.links import TYPES
from edugraph_insights.queries.registry import QUERIES, run_query
from edugraph_insights.queries.visible_graph import Key, VisibleGraph
from edugraph_insights.queries.walks import HIDDEN
from edugraph_insights.questions import QUESTIONS

from .schools import School, asked, at, make_groups, written
from .test_review_queue import Said, review

# The analyser found these in mistakes of s00. `zebra` is in no record.
KIND = "Zebra slip"
POINT = "Zebra point"
SENTENCE = "Zebra adds the denominators."
WORD = "zebra"
MODEL = Origin(analyser="model", model="m", prompt_version="3")
OTHER = Origin(analyser="model", model="other", prompt_version="3")
OFFLINE = Origin(analyser="offline", model="lexicon", prompt_version="1")

NEEDS: dict[str, dict[str, Any]] = {
    "student": {"student": "s00"},
    "next": {"student": "s00", "goal": "P2"},
    "groups": {"group": "g", "other_group": "g"},
    "travelling-weaknesses": {"next_course": "C"},
    "point": {"point": "P2"},
    "ready": {"point": "P2"},
    "practice": {"student": "s00"},
}
# Questions that show hidden findings on purpose, and why.
REVIEWS = {"review-queue": "people judge findings there, so that hidden ones can become useful"}


def record(record_id: str, record_type: str, hours: int = 1, **data: Any) -> Any:
    value = {"type": record_type, "timestamp": at(hours), "record_id": record_id, "data": data}
    return parse_record(value)


def hiding(origin: Origin) -> tuple[School, Said]:
    """Return a school in which s00 made 60 mistakes with equal findings, and the verdicts that reject the first 50."""
    people = [
        record(f"c{who}", "course_record", student_id=who, course_id="C") for who in ("s00", "s01")
    ]
    item = record("item", "item_record", item_id="q", knowledge_points=["P2"])
    records = [*people, item]
    findings = []
    said: Said = {}
    finding = ErrorFinding(
        what_went_wrong=SENTENCE,
        error_types=(FoundErrorType(name=KIND, confidence=0.5),),
        knowledge_points=(LinkedPoint(name=POINT, strength=1.0, confidence=0.5),),
        confidence=0.5,
    )
    for number in range(60):
        record_id = f"m{number}"
        made = record(
            record_id,
            "error_record",
            student_id="s00",
            course_id="C",
            error_text=f"mistake {number}",
            error_type="Stated",
        )
        records.append(made)
        findings.append(RecordFinding(record=made.to_json(), finding=finding, origin=origin))
        if number < 50:
            for aspect, name in (
                ("error_type", KIND),
                ("knowledge_point", POINT),
                ("misconception", SENTENCE),
            ):
                said[record_id, aspect, canonical_name(name)] = "rejected"
    return School(records, findings), said


@pytest.fixture
def hidden(room: Room, insights: Insights) -> Insights:
    school, said = hiding(MODEL)
    written(room, school)
    review(room, school, said)
    make_groups(room, [("s00", "g", (None, None))], [], {"g": "C"})
    return insights


def shows(answer: Any) -> bool:
    """Return whether an answer has a word of a hidden finding."""
    if hasattr(answer, "model_dump"):
        answer = answer.model_dump(mode="json")
    return WORD in json.dumps(answer, ensure_ascii=False, default=str).lower()


@pytest.mark.parametrize("name", list(QUESTIONS))
def test_no_question_shows_a_hidden_finding(hidden: Insights, name: str) -> None:
    answer = asked(hidden, name, course="C", **NEEDS.get(name, {}))
    assert shows(answer) == (name in REVIEWS)


NODES = ("Course:C", "Item:q", "Student:s00", "ErrorRecord:m59", "ErrorType:stated")


def general(insights: Insights, name: str) -> list[Any]:
    """Return the answers of a general query about each node that has to do with the hidden findings."""
    query = QUERIES[name]
    fields = query.parameters.model_fields
    tried: list[dict[str, Any]] = [{}]
    if "label" in fields and "node" not in fields:
        labels = ("KnowledgePoint", "ErrorType", "ErrorRecord", "Student")
        tried = [{"label": each} for each in labels]
    elif "node" in fields:
        tried = [{"node": node} for node in NODES]
        if fields.get("depth"):
            tried = [{**each, "depth": 4} for each in tried]
        if name == "path":
            tried = [{"node": one, "other": other} for one in NODES for other in NODES]
    return [run_query(insights, ANYBODY, query, query.parameters(**each)) for each in tried]


@pytest.mark.parametrize("name", list(QUERIES))
def test_no_general_query_shows_a_hidden_finding(hidden: Insights, name: str) -> None:
    """Out: `_without_hidden` in `relationships_of`, or `_without_hidden_names` in `_search_names`."""
    assert not any(shows(answer) for answer in general(hidden, name))


@pytest.mark.parametrize("persons", [None, {"s00": None}, {"s00": ("C",)}])
def test_a_name_of_hidden_findings_does_not_exist_in_the_general_queries(
    hidden: Insights, persons: Any
) -> None:
    """Out: `_without_hidden_names` in `shows`, or `_without_hidden` in `_of_persons`."""
    visible = VisibleGraph(hidden.graph, persons)
    for key in (Key("ErrorType", "zebraslip"), Key("KnowledgePoint", "zebrapoint")):
        assert not visible.shows(key)
        assert key.id not in visible.search(key.label, "")
    assert visible.shows(Key("ErrorType", "stated"))
    answer: Any = run_query(hidden, ANYBODY, QUERIES["neighbours"], OfNode(node="ErrorRecord:m59"))
    assert answer.left_out[HIDDEN] == 2


@pytest.mark.parametrize("origin", [OTHER, MODEL], ids=["shown point", "hidden finding"])
@pytest.mark.parametrize("persons", [None, {"s00": None}])
def test_a_sum_that_counts_hidden_findings_has_no_weight(
    room: Room, insights: Insights, persons: Any, origin: Origin
) -> None:
    """Out: `mixed` in `_without_hidden`, or `stated` in `_is_hidden`. A record states the type of one mistake."""
    school, said = hiding(MODEL)
    own = record(
        "own", "error_record", student_id="s00", course_id="C", error_text="x", error_type=KIND
    )
    finding = school.findings[0].finding
    if origin == OTHER:
        point_only = LinkedPoint(name=POINT, strength=0.5, confidence=0.9)
        finding = ErrorFinding(knowledge_points=(point_only,), confidence=0.9)
    school.records.append(own)
    school.findings.append(RecordFinding(record=own.to_json(), finding=finding, origin=origin))
    written(room, school)
    review(room, school, said)
    visible = VisibleGraph(insights.graph, persons)
    kind = Key("ErrorType", "zebraslip")
    point = Key("KnowledgePoint", "zebrapoint")
    student = Key("Student", "s00")
    ties, _ = visible.relationships_of([kind], TYPES)
    shown = {(tie.type, tie.source, tie.target): tie for tie in ties.values()}
    expected = {
        ("HAS_ERROR", student, kind),
        ("OF_TYPE", Key("ErrorRecord", "own"), kind),
    }
    if persons is None and origin == OTHER:
        expected.add(("RELATES_TO", kind, point))
    assert set(shown) == expected
    for type_of_sum, source, target in expected:
        if type_of_sum != "OF_TYPE":
            tie = shown[type_of_sum, source, target]
            assert (tie.weight, tie.confidence) == (None, None)
    of_student, _ = visible.relationships_of([student], ["HAS_ERROR"])
    weights = {tie.target.id: tie.weight for tie in of_student.values()}
    assert weights["zebraslip"] is None
    assert weights["stated"] is not None


WAYS: dict[str, Callable[[Insights], Any]] = {
    "summary": lambda insights: whole_graph.summary(insights.graph),
    "export": lambda insights: list(whole_graph.export(insights.graph)),
    "warehouse": lambda insights: list(warehouse.changes(insights.graph, 0)),
    "warehouse of students": lambda insights: warehouse.records_of(insights.graph, ["s00"]),
    "reviews": lambda insights: list(whole_graph.reviews(insights.graph)),
}
# Exports with everything, and why.
WHOLE = {
    "export": "a copy of the graph, with which a school leaves or measures its analyser",
    "reviews": "the words of reviewers, which are imported again after a new reading",
}


@pytest.mark.parametrize("name", list(WAYS))
def test_no_export_shows_a_hidden_finding(hidden: Insights, name: str) -> None:
    """Out: `without_hidden` or the names in warehouse.py, or the names in `summary`."""
    assert shows(WAYS[name](hidden)) == (name in WHOLE)


def test_nothing_is_hidden_that_is_useful_or_said_by_somebody(
    room: Room, insights: Insights
) -> None:
    """Out: `stated` in `without_hidden`; the verdict or the measured share in `reason_to_hide`."""
    school, said = hiding(MODEL)
    written(room, school)
    # One verdict fewer than those that measure a confidence.
    del said["m49", "error_type", canonical_name(KIND)]
    del said["m49", "knowledge_point", canonical_name(POINT)]
    review(room, school, said)
    assert of_warehouse(insights)["m59"] == ({"stated", "zebraslip"}, {"zebrapoint"})
    said["m49", "error_type", canonical_name(KIND)] = "rejected"
    said["m49", "knowledge_point", canonical_name(POINT)] = "rejected"
    said["m58", "knowledge_point", canonical_name(POINT)] = "accepted"
    review(room, school, said)
    rows = of_warehouse(insights)
    assert rows["m59"] == ({"stated"}, set())
    assert rows["m58"] == ({"stated"}, {"zebrapoint"})
    [point] = whole_graph.summary(insights.graph).frequent_mistakes
    assert point.knowledge_point == "zebrapoint"


def test_a_name_is_kept_if_a_later_finding_of_it_is_shown(
    hidden: Insights, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the second look in `names`. Each of the ten findings may be the first one."""
    monkeypatch.setattr(hidden_in_graph, "FIRST_FINDINGS", 1)
    found = HiddenInGraph(hidden.graph)
    assert found.names("KnowledgePoint") == {"zebrapoint"}
    assert found.names("ErrorType") == {"zebraslip"}
    for record_id in ("m50", "m59"):
        school, _ = hiding(MODEL)
        accepted = {(record_id, "knowledge_point", canonical_name(POINT)): "accepted"}
        review(room, school, accepted)
        assert HiddenInGraph(hidden.graph).names("KnowledgePoint") == set()
        taken_back = dict.fromkeys(accepted, "withdrawn")
        review(room, school, taken_back)


def test_kinds_of_the_offline_analyser_are_hidden_and_those_of_a_record_are_not(
    room: Room, insights: Insights
) -> None:
    """Out: `stated` of the statement `warehouse_mistakes`, or OFFLINE_KINDS."""
    school, _ = hiding(OFFLINE)
    own = record(
        "own", "error_record", student_id="s00", course_id="C", error_text="x", error_type=KIND
    )
    finding = school.findings[0].finding
    school.records.append(own)
    school.findings.append(RecordFinding(record=own.to_json(), finding=finding, origin=OFFLINE))
    written(room, school)
    rows = of_warehouse(insights)
    assert rows["m59"] == ({"stated"}, {"zebrapoint"})
    assert rows["own"] == ({"zebraslip"}, {"zebrapoint"})


def of_warehouse(insights: Insights) -> dict[str, tuple[set[str], set[str]]]:
    """Return the types and points of each mistake in a warehouse."""
    _, tables = warehouse.records_of(insights.graph, ["s00"])
    found = {}
    for row in tables["mistakes"]:
        found[row["record"]] = (set(row["types"]), set(row["points"]))
    return found
