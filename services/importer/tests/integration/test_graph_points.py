"""What a school says of its knowledge points, when it is corrected, taken back, or told in other words."""

from itertools import permutations
from typing import Any

from edugraph_common.contracts.findings import (
    ContentFinding,
    FoundPoint,
    Prerequisite,
    RecordFinding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch

from .graph_reference import relationships
from .random_imports import ORIGIN, pack, withdrawals


def write(graph: Graph, job: str, *records: Record, withdrawn: tuple[str, ...] = ()) -> None:
    lines = list(enumerate(records, start=1))
    graph.write_batch(
        RecordBatch(job, 0, lines, (), len(records) + len(withdrawn), withdrawals(*withdrawn))
    )


def record(kind: str, record_id: str, timestamp: str, **data: Any) -> Record:
    return parse_record(
        {"type": kind, "timestamp": timestamp, "record_id": record_id, "data": data}
    )


def says(record_id: str, timestamp: str = "2026-01-01", **data: Any) -> Record:
    return record("point_record", record_id, timestamp, **data)


def text_that_claims(
    *claims: tuple[str, str, float], job: str = "analysis", texts: int = 2
) -> Findings:
    """Return what an analysis found in two different texts, which say the same. With `texts` it is one text only."""
    points = sorted({name for claim in claims for name in claim[:2]})
    found = ContentFinding(
        knowledge_points=tuple(
            FoundPoint(name=name, importance="supplementary") for name in points
        ),
        prerequisites=tuple(
            Prerequisite(point=a, requires=b, confidence=c, quote="so") for a, b, c in claims
        ),
        confidence=1,
    )
    said: list[RecordFinding] = []
    for number in range(texts):
        content = f"Sums come before fractions. {number}"
        text = record(
            "course_content", f"text {number}", "2026-01-01", course_id="c", content=content
        )
        said.append(RecordFinding(record=text.to_json(), finding=found, origin=ORIGIN))
    return pack(said, job, 0)


def test_a_point_is_one_by_its_id_and_by_all_its_names(graph: Graph, room: Any) -> None:
    """To take the guard out: let `said_of_point` leave the id out of what the point is called."""
    write(
        graph,
        "points",
        says("p", point_id="MATH-ADD", name="Adding fractions", names=["分数加法"], course_id="c"),
    )
    items = [
        record("item_record", name, "2026-01-01", item_id=name, knowledge_points=[name])
        for name in ("ADDING FRACTIONS", "分数加法", "math add")
    ]
    write(graph, "items", *items)
    found = room.query(
        "MATCH (:Item)-[:TESTS]->(k) MATCH (p:KnowledgePoint {id: k.canonical}) RETURN p.id AS id, p.name AS name"
    )
    assert found == [{"id": "MATH-ADD", "name": "Adding fractions"}] * 3
    assert relationships(room, "CONTAINS", "importance") == {("c", "MATH-ADD"): "core"}


def test_a_corrected_definition_leaves_nothing_of_the_one_before(room: Any) -> None:
    """To take the guard out: let `_read_links` leave out what definitions claim, or `lock_superseded` their names."""
    old = says(
        "p",
        point_id="MATH-ADD",
        name="Sums",
        names=["和"],
        course_id="c",
        requires=["MATH-SUB", "Counting"],
    )
    new = says(
        "p", "2026-01-02", point_id="MATH-ADD", name="Adding", course_id="d", requires=["MATH-MUL"]
    )
    other = record("item_record", "i", "2026-01-01", item_id="i", knowledge_points=["Sums"])
    digests = set()
    for order in permutations((old, new, other)):
        room.empty()
        for number, each in enumerate(order):
            write(room.graph, str(number), each)
        digests.add(room.digest())
    room.empty()
    write(room.graph, "latest", other, new)
    assert digests == {room.digest()}
    assert relationships(room, "DEPENDS_ON", "confidence") == {("MATH-ADD", "mathmul"): 1.0}
    [sums] = room.query(
        "MATCH (k:KnowledgePoint {id: 'sums'}) RETURN k.name AS name, k.canonical AS canonical"
    )
    assert sums == {"name": "Sums", "canonical": "sums"}


def test_what_is_taken_back_is_as_if_it_had_never_come(room: Any) -> None:
    room.empty()
    write(room.graph, "none", withdrawn=("p", "q"))
    expected = room.digest()
    room.empty()
    write(
        room.graph,
        "both",
        says("p", name="Adding", names=["和"], course_id="c", requires=["q"]),
        says("q", point_id="q"),
    )
    write(room.graph, "back", withdrawn=("p", "q"))
    assert room.digest() == expected
    assert room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id") == []


def test_what_a_school_says_counts_beside_what_its_texts_say(room: Any) -> None:
    """To take the guard out: let the statement `all_claims` read texts alone."""
    stated = says("p", point_id="fractions", requires=["sums"])
    weak, against = ("Fractions", "Sums", 0.25), ("Sums", "Fractions", 0.75)
    for order in ((0, 1), (1, 0)):
        room.empty()
        steps = (
            lambda: write(room.graph, "points", stated),
            lambda: room.graph.write_findings(text_that_claims(weak, against)),
        )
        for place in order:
            steps[place]()
        room.graph.settle_prerequisites()
        assert relationships(room, "DEPENDS_ON", "confidence") == {("fractions", "sums"): 1.0}
        assert relationships(room, "SET_ASIDE", "confidence") == {("sums", "fractions"): 0.75}
        room.graph.write_findings(text_that_claims(job="without"))
        room.graph.settle_prerequisites()
        assert relationships(room, "DEPENDS_ON", "confidence") == {("fractions", "sums"): 1.0}
        assert relationships(room, "SET_ASIDE", "confidence") == {}
        room.graph.write_findings(text_that_claims(weak, against, job="again"))
        write(room.graph, "back", withdrawn=("p",))
        room.graph.settle_prerequisites()
        assert relationships(room, "DEPENDS_ON", "confidence") == {("sums", "fractions"): 0.75}
        assert relationships(room, "SET_ASIDE", "confidence") == {("fractions", "sums"): 0.25}
        assert room.graph.derive_anew(repair=False)["wrong"] == {}


def test_a_point_never_requires_itself_by_another_of_its_names(graph: Graph, room: Any) -> None:
    """To take the guard out: let `said_of_point` keep what the point itself is called."""
    write(
        graph,
        "points",
        says(
            "p",
            point_id="MATH-ADD",
            name="Adding",
            names=["和"],
            requires=["adding!", "和", "math add", "MATH-ADD", "sums"],
        ),
    )
    assert room.query("MATCH (:Definition)-[:REQUIRES]->(k) RETURN k.id AS id") == [{"id": "sums"}]


STATEMENT = "Interpret and compute quotients of fractions. " * 110  # about 5,000 characters
OF_CURRICULUM = ("title", "label", "statement", "parent", "standard_id", "shown_as")


def curriculum_of(room: Any, point_id: str) -> dict[str, Any]:
    [row] = room.query("MATCH (k:KnowledgePoint {id: $id}) RETURN properties(k) AS p", id=point_id)
    return {name: row["p"][name] for name in OF_CURRICULUM if name in row["p"]}


def test_each_field_of_a_curriculum_comes_from_the_latest_record_that_gives_it(room: Any) -> None:
    """To take the guard out: leave "description" or "parent" out of `POINT_FIELDS`."""
    above = says("a", point_id="6.NS", name="The number system")
    first = says(
        "p",
        point_id="6.NS.A.1",
        name="Quotients",
        label="6.NS.A.1",
        description=STATEMENT,
        parent="6.NS",
        standard_id="guid-1",
    )
    second = says(
        "q", "2026-01-02", point_id="6.NS.A.1", name="Quotients of fractions", label="NS.1"
    )
    digests = set()
    for order in permutations((above, first, second)):
        room.empty()
        for number, each in enumerate(order):
            write(room.graph, str(number), each)
        digests.add(room.digest())
    assert len(digests) == 1
    assert curriculum_of(room, "6.NS.A.1") == {
        "title": "Quotients of fractions",
        "label": "NS.1",
        "statement": STATEMENT,
        "parent": "6NS",
        "standard_id": "guid-1",
        "shown_as": "NS.1 Quotients of fractions",
    }
    # The parent is found by any of its names, as the other points are.
    [parent] = room.query(
        "MATCH (k:KnowledgePoint {id: '6.NS.A.1'}) MATCH (n:KnowledgePoint {id: k.parent})"
        " RETURN n.canonical AS id"
    )
    assert parent["id"] == "6.NS"

    write(room.graph, "back", withdrawn=("q",))
    assert curriculum_of(room, "6.NS.A.1")["shown_as"] == "6.NS.A.1 Quotients"
    write(room.graph, "all", withdrawn=("p", "a"))
    assert room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id") == []


def test_what_a_text_says_of_a_point_stays_beside_what_its_school_says(room: Any) -> None:
    """To take the guard out: let `POINT_FIELDS` map "description" to "description"."""
    text = record(
        "course_content", "text", "2026-03-01", course_id="c", content="Sums are easy here."
    )
    point = FoundPoint(name="Sums", importance="core", description="An easy thing.")
    found = ContentFinding(knowledge_points=(point,), confidence=1)
    read = pack([RecordFinding(record=text.to_json(), finding=found, origin=ORIGIN)], "read", 0)
    stated = says("p", name="Sums", description="Add whole numbers.", label="Sums", parent="sums")
    for is_first in (True, False):
        room.empty()
        if is_first:
            write(room.graph, "points", stated)
        room.graph.write_findings(read)
        if not is_first:
            write(room.graph, "points", stated)
        [row] = room.query("MATCH (k:KnowledgePoint {id: 'sums'}) RETURN properties(k) AS p")
        assert row["p"]["description"] == "An easy thing."
        assert row["p"]["statement"] == "Add whole numbers."
        # A label that is the name is not shown twice, and a point is not its own parent.
        assert "shown_as" not in row["p"]
        assert "parent" not in row["p"]
