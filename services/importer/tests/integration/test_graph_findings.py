"""Findings in the graph: what they add, what a later one takes back, what is set aside."""

from typing import Any

import pytest

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
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.outcomes import FindingsOutcome
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch

ORIGIN = Origin(analyser="model", model="m", prompt_version="1", cost=0.5)


def record(kind: str, record_id: str, day: int = 1, **data: Any) -> Record:
    return parse_record(
        {
            "type": kind,
            "timestamp": f"2026-01-0{day}T00:00:00Z",
            "record_id": record_id,
            "data": data,
        }
    )


def error(record_id: str, **data: Any) -> Record:
    return record("error_record", record_id, student_id="a", course_id="c", error_text="x", **data)


def content(record_id: str, day: int = 1) -> Record:
    return record("course_content", record_id, day, course_id="c", content=f"x {record_id}")


def write(
    graph: Graph, *pairs: tuple[Record, Finding], pack: str = "p", edition: str | None = None
) -> FindingsOutcome:
    found = tuple(
        RecordFinding(record=each.to_json(), finding=said, origin=ORIGIN) for each, said in pairs
    )
    return graph.write_findings(Findings(job_id="job", pack=pack, findings=found, edition=edition))


def store(graph: Graph, *records: Record) -> None:
    graph.write_batch(RecordBatch("import", 0, list(enumerate(records)), (), len(records)))


def types(*names: str) -> ErrorFinding:
    return ErrorFinding(
        error_types=tuple(FoundErrorType(name=name, confidence=0.5) for name in names),
        knowledge_points=(LinkedPoint(name="Fractions", strength=0.5, confidence=0.75),),
        confidence=0.5,
    )


def requires(*claims: tuple[str, str, float]) -> ContentFinding:
    return ContentFinding(
        prerequisites=tuple(
            Prerequisite(point=a, requires=b, confidence=c, quote="so") for a, b, c in claims
        ),
        confidence=1,
    )


def edges(room: Any, kind: str) -> set[tuple[str, str]]:
    room.graph.settle_prerequisites()
    return {
        (row["a"], row["b"])
        for row in room.query(f"MATCH (a)-[:{kind}]->(b) RETURN a.id AS a, b.id AS b")
    }


def test_a_finding_of_an_interaction_stands_on_it(graph: Graph, room: Any) -> None:
    chat = record("student_interaction", "r", student_id_from="a", student_id_to="b", interaction_type="chat",
                  topics=["Algebra"])  # fmt: skip
    said = InteractionFinding(
        sentiment="positive", topics=("algebra", "Sets"), confidence=0.75, evidence=("yes",)
    )
    outcome = write(graph, (chat, said))
    assert (outcome.findings, outcome.failed, outcome.error) == (1, 0, None)
    (row,) = room.query("MATCH (n:Interaction) RETURN properties(n) AS p")
    names = (
        "found_sentiment",
        "found_confidence",
        "found_evidence",
        "found_analyser",
        "found_model",
    )
    assert [row["p"][name] for name in names] == ["positive", 0.75, ["yes"], "model", "m"]
    rows = room.query(
        "MATCH ()-[r:ABOUT]->(t) RETURN t.id AS id, r.stated_as AS s, r.found_as AS f ORDER BY id"
    )
    assert rows == [
        {"id": "algebra", "s": ["Algebra"], "f": ["algebra"]},
        {"id": "sets", "s": None, "f": ["Sets"]},
    ]


def sentences(room: Any) -> list[str | None]:
    rows = room.query(
        "MATCH (n:ErrorRecord) OPTIONAL MATCH (n)-[r:SHOWS]->(m:Misconception) "
        "RETURN m.name AS s, r.found_as AS f ORDER BY n.id"
    )
    assert all(row["f"] == [row["s"]] for row in rows if row["s"])
    assert room.query("MATCH (m:Misconception) WHERE NOT (m)<-[:SHOWS]-() RETURN m") == []
    return [row["s"] for row in rows]


def test_the_sentence_about_a_mistake_stands_on_it_until_another_finding_has_none(
    graph: Graph, room: Any
) -> None:
    """Out: `SHOWS` in `facts_of`, or `unlink_SHOWS`."""
    said = ErrorFinding(what_went_wrong="Adds the denominators.", confidence=1)
    write(graph, (error("r"), said))
    assert sentences(room) == ["Adds the denominators."]
    other = said.model_copy(update={"what_went_wrong": "Takes the root first."})
    write(graph, (error("r"), other), pack="2")
    assert sentences(room) == ["Takes the root first."]
    write(graph, (error("r"), ErrorFinding(confidence=1)), pack="3")
    assert sentences(room) == [None]


def test_the_sentence_goes_with_the_text_and_with_the_student(graph: Graph, room: Any) -> None:
    said = ErrorFinding(what_went_wrong="Adds the denominators.", confidence=1)
    first = error("r")
    store(graph, first)
    write(graph, (first, said))
    corrected = record("error_record", "r", 2, student_id="a", course_id="c", error_text="y")
    graph.write_batch(RecordBatch("later", 0, [(1, corrected)], (), 1))
    assert sentences(room) == [None]

    write(graph, (corrected, said), pack="2")
    assert sentences(room) == ["Adds the denominators."]
    graph.erase_student("a")
    left = room.query("MATCH (n) RETURN properties(n) AS p")
    assert "denominators" not in str(left)


def test_what_is_stated_stays_when_it_is_no_longer_found(graph: Graph, room: Any) -> None:
    stated = error("r", error_type="Sign")
    store(graph, stated)
    before = room.digest()
    write(graph, (stated, types("sign", "Units")), pack="1")
    assert edges(room, "OF_TYPE") == {("r", "sign"), ("r", "units")}
    assert edges(room, "RELATES_TO") == {("sign", "fractions"), ("units", "fractions")}
    write(graph, (stated, ErrorFinding(confidence=1)), pack="2")
    assert edges(room, "HAS_ERROR") == {("a", "sign")}
    assert edges(room, "RELATES_TO") == set()
    assert room.query("MATCH (n) WHERE n:KnowledgePoint OR n:ErrorType RETURN n.id AS id") == [
        {"id": "sign"}
    ]
    room.driver.execute_query(
        "MATCH (n:ErrorRecord) SET n.finding = null, n.found_confidence = null, n.found_analyser = null, "
        "n.found_model = null, n.found_prompt_version = null"
    )
    assert room.digest() == before


def test_a_found_severity_weighs_where_the_record_gives_none(graph: Graph, room: Any) -> None:
    known, unknown = error("r", error_type="Sign", severity="low"), error("s", error_type="Sign")
    store(graph, known, unknown)
    high = ErrorFinding(severity="high", confidence=1)
    write(graph, (known, high), (unknown, high))
    (row,) = room.query(
        "MATCH ()-[r:HAS_ERROR]->() RETURN r.weight AS weight, r.occurrence_count AS count"
    )
    assert row == {"weight": 2.5, "count": 2}


def test_the_mean_of_the_records_decides_and_what_is_found_anew_counts_once(
    graph: Graph, room: Any
) -> None:
    def linked(strength: float) -> ErrorFinding:
        point = LinkedPoint(name="Fractions", strength=strength, confidence=strength)
        return ErrorFinding(
            error_types=(FoundErrorType(name="Sign", confidence=1),),
            knowledge_points=(point,),
            confidence=1,
        )

    def strength() -> float:
        (row,) = room.query("MATCH ()-[r:RELATES_TO]->() RETURN r.strength AS strength")
        return float(row["strength"])

    write(graph, (error("r"), linked(0.5)), (error("s"), linked(0.75)))
    assert strength() == 0.625
    write(graph, (error("s"), linked(0.25)), pack="again")
    assert strength() == 0.375


def test_a_point_of_two_texts(graph: Graph, room: Any) -> None:
    def text(importance: Any, order: int, description: str) -> ContentFinding:
        point = FoundPoint(
            name="Fractions", importance=importance, order=order, description=description
        )
        return ContentFinding(knowledge_points=(point,), confidence=1)

    write(
        graph,
        (content("r", 2), text("core", 3, "late")),
        (content("s", 1), text("supplementary", 1, "early")),
    )
    query = "MATCH (c)-[r:CONTAINS]->(k) RETURN r.importance AS i, r.order AS o, k.description AS d"
    assert room.query(query) == [{"i": "core", "o": 1, "d": "late"}]
    write(graph, (content("r", 2), ContentFinding(confidence=1)), pack="again")
    assert room.query(query) == [{"i": "supplementary", "o": 1, "d": "early"}]
    (context,) = graph.course_contexts(["c"])
    assert context.knowledge_points == ("Fractions",)


def test_contexts_come_in_the_order_asked_for(graph: Graph) -> None:
    store(graph, record("course_record", "r", student_id="a", course_id="c", course_name="Math",
                        course_description="Numbers"))  # fmt: skip
    missing, known = graph.course_contexts(["x", "c"])
    assert (missing.course_id, missing.name, missing.knowledge_points) == ("x", None, ())
    assert (known.course_id, known.name, known.description) == ("c", "Math", "Numbers")


def test_a_cycle_is_reported_and_its_weakest_edge_set_aside(graph: Graph, room: Any) -> None:
    first = requires(("Add", "Bar", 0.5), ("Bar", "Cut", 0.75))
    write(graph, (content("r"), first), (content("r2"), first), pack="1")
    graph.settle_prerequisites()
    second = requires(("Cut", "Add", 1.0), ("Cut", "cut", 1.0))
    write(graph, (content("s"), second), (content("s2"), second), pack="2")
    assert graph.settle_prerequisites().set_aside == ("add > bar",)
    assert edges(room, "DEPENDS_ON") == {("bar", "cut"), ("cut", "add")}
    assert edges(room, "SET_ASIDE") == {("add", "bar")}
    write(graph, (content("s"), requires()), (content("s2"), requires()), pack="3")
    assert graph.settle_prerequisites().set_aside == ()
    assert edges(room, "DEPENDS_ON") == {("add", "bar"), ("bar", "cut")}
    assert edges(room, "SET_ASIDE") == set()


def test_a_resumed_pack_adds_what_was_missing_and_each_edition_is_written_once(
    graph: Graph, room: Any
) -> None:
    """One record had no answer at first. The older message, delivered again after that, changes nothing."""
    write(graph, (error("r1"), types("slip")), edition="one")
    write(graph, (error("r1"), types("sign")), (error("r2"), types("misread")), edition="two")
    assert edges(room, "OF_TYPE") == {("r1", "sign"), ("r2", "misread")}
    write(graph, (error("r1"), types("slip")), edition="one")
    assert edges(room, "OF_TYPE") == {("r1", "sign"), ("r2", "misread")}


def test_a_pack_is_answered_from_its_ledger_row(graph: Graph, room: Any) -> None:
    first = write(graph, (content("r"), requires(("A", "B", 0.5))))
    write(graph, (content("r"), requires()), pack="later")
    before = room.digest()
    assert write(graph, (content("r"), requires(("A", "B", 0.5)))) == first
    assert room.digest() == before


def test_the_same_finding_at_another_price_changes_nothing(graph: Graph, room: Any) -> None:
    write(graph, (error("r"), types("Sign")))
    before = room.digest()
    cached = RecordFinding(
        record=error("r").to_json(),
        finding=types("Sign"),
        origin=ORIGIN.model_copy(update={"cached": True, "cost": 0.0}),
    )
    graph.write_findings(Findings(job_id="other", pack="p", findings=(cached,)))
    assert room.digest() == before


@pytest.mark.parametrize(
    ("each", "said"),
    [
        (content("x"), types("Sign")),  # a finding of another kind
        # This record has no text.
        (record("course_record", "x", student_id="a", course_id="c"), types("Sign")),
    ],
)
def test_a_finding_that_cannot_be_taken_does_not_touch_its_neighbours(
    graph: Graph, room: Any, each: Record, said: Finding
) -> None:
    store(graph, error("r"))
    outcome = write(graph, (each, said), (error("s"), types("Units")))
    assert (outcome.findings, outcome.failed) == (1, 1)
    assert outcome.error
    assert edges(room, "OF_TYPE") == {("s", "units")}


def test_a_record_that_is_none_is_counted_as_failed(graph: Graph) -> None:
    wrong = RecordFinding(record={"type": "error_record"}, finding=types("Sign"), origin=ORIGIN)
    outcome = graph.write_findings(
        Findings(job_id="job", pack="p", findings=(wrong,), failed=2, error="no answer")
    )
    assert (outcome.findings, outcome.failed, outcome.error) == (0, 3, "no answer")
