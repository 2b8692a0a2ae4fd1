"""What Neo4j's planner makes of the statements while a graph grows: it knows an index only as it sampled it last."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import neo4j
import pytest
from guard import GraphServer
from rooms import Room
from statements import Rows

from edugraph_common.contracts.findings import ErrorFinding, LinkedPoint, Origin, RecordFinding
from edugraph_common.contracts.graph_schema import NAMED_LABELS
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import parse_record
from edugraph_importer.graph import RecordBatch, renaming, retention
from edugraph_importer.graph.changes import ChangingTransaction
from edugraph_importer.graph.statements import CYPHER
from edugraph_insights.graph import STATEMENTS

from .random_imports import withdrawals

ORIGIN = Origin(analyser="offline", model="lexicon", prompt_version="1")
RECORDS = 3_000  # where, without a hint, fourteen statements scanned an index for each row
SCANS = ("IndexScan", "LabelScan", "TypeScan", "AllNodesScan")
# All claims to ids are read when their owners are derived.
# Of all prerequisites when they are derived, of a single row, of the noted changes of leaders, claims and records, of all texts, types,
# points and topics when the whole graph is compared, of what was erased or withdrawn, once a batch; of the students once
# a day, or when somebody is restricted; of all points and proposals when names are compared; of all tombstones when a job is cleaned; of days of activity, some at a time, and of the terms, where their
# retention is set; of reviews when an item is renamed.
MAY_SCAN = {
    "claims_to_ids", "id_claims_to_settle", "jobs_with_changed_claims", "placed_ids", "any_restricted",
    "prerequisites", "judged_needs", "claim_changes", "id_claim_changes", "leader_changes", "noted_record_changes", "ledger_rows", "all_claims", "merged_points", "more_removals", "restricted_students",
    "all_tombstones", "any_tombstone", "old_active_days", "points_to_compare", "stored_proposals", "reviews_of_item", "ended_terms",
    *(f"all_{what}_{label}" for what in ("ids", "called", "judged") for label in NAMED_LABELS),
}  # fmt: skip
SINGLE_NODE = "s:Schema"
# Of the courses, groups and terms to choose from; of points whose names are searched; for a summary of the whole graph.
INSIGHTS_MAY_SCAN = {
    "all_courses", "all_groups", "terms", "terms_to_choose", "in_catalogue", "frequent_mistakes", "hidden", "hidden_names",
    "id_claims",  # all of them, when somebody asks who claims what
    "unsettled_claims",  # the first of a few, if there is one
}  # fmt: skip


@pytest.mark.forgets_plans
def test_no_statement_scans_for_each_row(room: Room) -> None:
    """To take the guard out: let `with_index_hint` return the line as it is."""
    if not room.has_locks:
        pytest.skip("the embedded engine has a planner of its own")
    room.empty()
    room.graph.prepare()
    _fill(room)
    room.driver.execute_query("CALL db.clearQueryCaches()")
    scanning = {
        name
        for name, text in CYPHER.items()
        if any(
            scan in step and SINGLE_NODE not in step for step in _plan(room, text) for scan in SCANS
        )
    }
    assert scanning - {name for name in scanning if name.startswith("constraint_")} <= MAY_SCAN
    # Those that are for any label have it filled in later.
    of_insights = {
        name: text for name, text in STATEMENTS.items() if not re.search(r"\{\w+\}", text)
    }
    assert len(of_insights) > 40
    scanning = {
        name
        for name, text in of_insights.items()
        if any(scan in step for step in _plan(room, text) for scan in SCANS)
    }
    assert scanning <= INSIGHTS_MAY_SCAN


@pytest.mark.forgets_plans
def test_every_statement_can_be_planned_before_an_index_is_there(room: Room) -> None:
    """An index is made beside the work that uses it: on a new installation, and for minutes after an upgrade.

    Out: `outcomes_with` with both texts in one WHERE. Every erasure in the first seconds was refused.
    """
    if not room.has_locks:
        pytest.skip("the embedded engine has a planner of its own")
    room.empty()
    for kind in ("CONSTRAINT", "INDEX"):
        for row in room.query(f"SHOW {kind} YIELD name WHERE name STARTS WITH 'edugraph_'"):
            if row["name"] != GraphServer.index:
                room.driver.execute_query(f"DROP {kind} {row['name']}")
    try:
        of_insights = [text for text in STATEMENTS.values() if not re.search(r"\{\w+\}", text)]
        for text in [*_one_of_each_form(CYPHER), *of_insights]:
            _plan(room, text)
    finally:
        room.graph.prepare()


def _one_of_each_form(statements: Mapping[str, str]) -> list[str]:
    """Return one text of those that differ in their label alone: without indexes they are planned alike."""
    of_form = {}
    for name, text in statements.items():
        form = re.sub(r"_[A-Z][A-Za-z]+", "", name)
        of_form[form] = text
    return list(of_form.values())


def _fill(room: Room) -> None:
    records = [(line, parse_record(value)) for line, value in enumerate(_values(), start=1)]
    for start in range(0, RECORDS, 1_000):
        batch = records[start : start + 1_000]
        room.graph.write_batch(
            RecordBatch(job_id="plans", batch=start, records=batch, rejects=[], read=len(batch))
        )


def _values() -> Iterator[dict[str, Any]]:
    rng = random.Random(7)
    for number in range(RECORDS):
        kind, data = rng.choices(_KINDS, (2, 1, 1, 1, 1))[0]
        named = {who: f"s{rng.randrange(120)}" for who in _PEOPLE[kind]} | {
            "course_id": f"c{rng.randrange(8)}"
        }
        yield {
            "type": kind,
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"r{number}",
            "data": named | data,
        }


_PEOPLE = {
    "student_interaction": ("student_id_from", "student_id_to"),
    "course_record": ("student_id",),
    "error_record": ("student_id",),
    "attempt_record": ("student_id",),
    "membership_record": ("student_id",),
}
_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("student_interaction", {"interaction_type": "chat", "topics": ["fractions"]}),
    ("course_record", {"progress": 50}),
    ("error_record", {"error_text": "1/2 + 1/3 = 2/5", "error_type": "adds the denominators"}),
    (
        "attempt_record",
        {
            "item_id": "quiz",
            "correct": True,
            "item_title": "Quiz",
            "knowledge_points": ["fractions"],
        },
    ),
    ("membership_record", {"group_id": "year", "group_name": "Year 7", "starts": "2026-01-01"}),
)

FEW_HITS = 400  # where all attempts at the item, or members of the group, have some 500 nodes and 500 relationships


def test_a_student_at_a_much_used_item_is_read_and_written_without_the_others(room: Room) -> None:
    """To take the guard out: let `recompute_practised` begin at the item."""
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    room.empty()
    room.graph.prepare()
    _fill(room)
    [of_student] = room.query(
        "MATCH (:Student {id: 's7'})-[:TRIED]->(n) RETURN collect(n.id) AS ids"
    )
    row = {
        "student": "s7",
        "item": "quiz",
        "items": ["quiz"],
        "point": "fractions",
        "id": of_student["ids"][0],
    }
    totals = {
        "tries": 1,
        "right": 0,
        "first": 0,
        "first_place": "~",
        "last": "2026-01-05T08:00:00Z",
    }
    counts = {"spellings": ["fractions"], "spelling_counts": [600]}
    statements = (
        "recompute_practised",
        "remove_practised",
        "add_practised",
        "read_tests",
        "set_tests",
        "item_names_Attempt",
    )
    with _rolled_back(room) as tx:
        for name in statements:
            parameters = {"rows": [row | totals | counts], "ids": of_student["ids"]}
            profile = tx.run(f"PROFILE {CYPHER[name]}", parameters).consume().profile
            assert _hits(profile) < FEW_HITS, name


def test_a_member_of_a_large_group_is_read_and_written_without_the_others(room: Room) -> None:
    """To take the guard out: let `memberships_of` begin at the group."""
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    room.empty()
    room.graph.prepare()
    _fill(room)
    [of_student] = room.query(
        "MATCH (:Student {id: 's7'})-[:HAS_MEMBERSHIP]->(n) RETURN collect(n.id) AS ids"
    )
    row = {"person": "s7", "group": "year", "groups": ["year"], "course": "c1", "records": -1}
    row |= {"starts": "2026-01-01T00:00:00Z", "ends": None, "term": None}
    with _rolled_back(room) as tx:
        for name in (
            "memberships_of_Student",
            "remove_memberships_Student",
            "member_of_Student",
            "group_counts",
            "add_of_course",
            "remove_of_course",
        ):
            parameters = {"rows": [row], "ids": of_student["ids"]}
            profile = tx.run(f"PROFILE {CYPHER[name]}", parameters).consume().profile
            assert _hits(profile) < FEW_HITS, name


def test_a_much_used_point_is_defined_and_corrected_without_what_uses_it(room: Room) -> None:
    """To take the guard out: let `definitions_of_KnowledgePoint` leave out which relationship it follows."""
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    room.empty()
    room.graph.prepare()
    _fill(room)
    value = {"type": "point_record", "timestamp": "2026-01-05T08:00:00Z", "record_id": "p"}
    data = {"name": "fractions", "names": ["分数"], "course_id": "c1", "requires": ["sums"]}
    records = [(1, parse_record({**value, "data": data}))]
    room.graph.write_batch(
        RecordBatch(job_id="points", batch=0, records=records, rejects=[], read=1)
    )
    with _rolled_back(room) as tx:
        used = "MATCH (k:KnowledgePoint {id: 'fractions'}) UNWIND range(1, 600) AS n CREATE (:ErrorRecord {id: 'e' + n})-[:CONCERNS]->(k)"
        tx.run(used).consume()
        row = {
            "id": "q",
            "point": "fractions",
            "course": "c1",
            "from": "c1",
            "to": "fractions",
            "at": value["timestamp"],
        }
        parameters = {"rows": [row], "ids": ["fractions"]}
        for name in (
            "create_point_definition",
            "requires",
            "definitions_of_KnowledgePoint",
            "recompute_contains",
            "stated_called_KnowledgePoint",
            "called_of_KnowledgePoint",
            "derived_relationships_KnowledgePoint",
        ):
            profile = tx.run(f"PROFILE {CYPHER[name]}", parameters).consume().profile
            assert _hits(profile) < FEW_HITS, name


@pytest.mark.parametrize("taken_back", ["corrected", "withdrawn", "erased"])
def test_a_mistake_at_a_hub_is_taken_back_without_reading_the_others(
    room: Room, taken_back: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let `lock_superseded`, or `erase`, make the spellings of what is named, or what it
    relates to, outdated; or leave out the index in `latest_of_course`.
    """
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    found = []
    # Both are more than the 50 relationships from which on the server keeps those of a node by their types.
    for size in (100, 400):
        room.empty()
        room.graph.prepare()
        # Of those at one time, the last in the order of ids names the course: the one that is taken back.
        values = [_mistake(number, named=f"m{number}" <= "m7") for number in range(size)]
        _write(room, "hub", values)
        _find(room, values)
        with monkeypatch.context() as patch:
            hits = _profiled(patch)
            if taken_back == "corrected":
                _write(
                    room,
                    "again",
                    [_mistake(7, "2026-01-06T08:00:00Z", error_type="Other", named=True)],
                )
            elif taken_back == "withdrawn":
                room.graph.write_batch(
                    RecordBatch("again", 0, [], [], 1, withdrawn=withdrawals("m7"))
                )
            else:
                room.graph.erase_student("s7")
        assert room.query("MATCH (t:ErrorType {id: 'adds'}) RETURN t.spelling_counts AS n") == [
            {"n": [size - 1]}
        ]
        assert room.query("MATCH ()-[r:RELATES_TO]->() RETURN r.records AS n") == [{"n": size - 1}]
        by_id = sorted(each["record_id"] for each in values if each["record_id"] < "m7")
        named_by = (
            "2026-01-06T08:00:00.000000Z|m7"
            if taken_back == "corrected"
            else f"2026-01-05T08:00:00.000000Z|{by_id[-1]}"
        )
        assert room.query("MATCH (c:Course) RETURN c.name AS name, c.stamp AS by") == [
            {"name": "Sums", "by": named_by}
        ]
        found.append(hits)
        assert hits
    # Two runs of one statement may differ by a few hits; whoever reads the others has some for each of them.
    grown = {
        name: number - found[0][name]
        for name, number in found[1].items()
        if number > found[0][name] + 10
    }
    assert (found[1].keys(), grown) == (found[0].keys(), {})


def test_reports_that_quote_somebody_are_found_without_reading_the_others(room: Room) -> None:
    """To take the guard out: let `outcomes_with` look in `b.outcome`."""
    if not room.has_locks:
        pytest.skip("the embedded engine has no index of texts")
    room.empty()
    room.graph.prepare()
    quoting = "UNWIND range(1, 1000) AS n CREATE (:ImportBatch {id: 'b' + n, quoted: '[\"s' + n + '\", 1]', outcome: '', set_aside: ''})"
    with _rolled_back(room) as tx:
        tx.run(quoting).consume()
        result = tx.run(f"PROFILE {CYPHER['outcomes_with']}", text='"s777"', escaped='\\"s777\\"')
        assert [row["id"] for row in result] == ["b777"]
        assert _hits(result.consume().profile) < 20


def test_renaming_reads_of_a_hub_only_what_it_moves(room: Room) -> None:
    """To take the guard out: let `move_in_course` begin at the course, or `to_rename_Group` leave out its limit."""
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    room.empty()
    room.graph.prepare()
    _fill(room)
    moves = {
        "Course": (
            "ErrorRecord",
            "IN_COURSE",
            "c1",
            "move_in_course_ErrorRecord",
            "said_of_ErrorRecord",
        ),
        "Group": ("Membership", "IN_GROUP", "year", "move_in_group", "said_of_Membership"),
        "Item": ("Attempt", "OF_ITEM", "quiz", "move_of_item", "said_of_Attempt"),
    }
    with _rolled_back(room) as tx:
        for label, (record, link, old, *statements) in moves.items():
            tx.run(f"CREATE (:{label} {{id: 'new'}})").consume()
            one = f"MATCH (n:{record})-[:{link}]->(m {{id: '{old}'}}) RETURN n.id AS id LIMIT 1"
            ids = [row["id"] for row in tx.run(one)]
            parameters = {
                "id": old,
                "limit": 5,
                "ids": ids,
                "old": old,
                "new": "new",
                "node": "new",
                "of": label,
            }
            for name in (f"to_rename_{label}", f"in_use_{label}", *statements):
                profile = tx.run(f"PROFILE {CYPHER[name]}", parameters).consume().profile
                assert _hits(profile) < FEW_HITS, name


def test_claims_edges_and_proposals_at_a_much_used_point_are_written_without_the_others(
    room: Room,
) -> None:
    """To take the guard out: let `remove_prerequisites` begin at the point that needs others, or `remove_proposals`
    at the first of the two.
    """
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    room.empty()
    room.graph.prepare()
    _fill(room)
    used = """
    MERGE (k:KnowledgePoint {id: 'fractions', canonical: 'fractions'})
    WITH k UNWIND range(1, 600) AS n
    CREATE (a:KnowledgePoint {id: 'a' + n, canonical: 'a' + n}), (z:KnowledgePoint {id: 'z' + n, canonical: 'z' + n})
    CREATE (a)-[:DEPENDS_ON]->(k)-[:DEPENDS_ON]->(z), (a)-[:SET_ASIDE]->(k)-[:SET_ASIDE]->(z)
    CREATE (a)-[:PROPOSED_SAME]->(k)-[:PROPOSED_SAME]->(z)
    CREATE (t:CourseContent {id: 't' + n})-[:DESCRIBES {requires: ['z' + n], requires_confidence: [1.0], requires_quotes: ['x']}]->(k)
    CREATE (:Definition {id: 'd' + n})-[:REQUIRES]->(k), (:ClaimChange {id: 'n' + n})
    """
    claim = {
        "p": {"requires": ["z8"], "requires_confidence": [0.5], "requires_quotes": ["x"]},
        "id": "t7",
        "end": "fractions",
        "point": "fractions",
    }
    said = {"confidence": 0.5, "likeness": 0.5, "encoder": "e"}
    with _rolled_back(room) as tx:
        tx.run(used).consume()
        for start, end in (("a7", "fractions"), ("fractions", "z7")):
            parameters = {
                "rows": [claim | said | {"from": start, "to": end}],
                "ids": [start, end],
                "job_id": "j",
            }
            for name in (
                "link_DESCRIBES_CourseContent",
                "unlink_DESCRIBES_CourseContent",
                "note_claim_change",
                "delete_claim_changes",
                "lock_points",
                "remove_prerequisites",
                "create_depends_on",
                "create_set_aside",
                "delete_orphans_KnowledgePoint",
                "decided_elsewhere",
                "remove_proposals",
                "propose",
            ):
                profile = tx.run(f"PROFILE {CYPHER[name]}", parameters).consume().profile
                assert _hits(profile) < FEW_HITS, (name, start)
        left = (
            "MATCH (:KnowledgePoint {id: 'fractions'})-[r:DEPENDS_ON]-() RETURN count(r) AS edges"
        )
        assert tx.run(left).data() == [{"edges": 1_200}]


def test_a_new_roster_of_a_group_reads_and_writes_its_own_memberships_alone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole roster gives each membership another version (docs/adr/0055).

    To take the guard out: let `memberships_of` begin at the group.
    """
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    found = []
    for size in (100, 400):
        room.empty()
        room.graph.prepare()
        _write(room, "first", [_seat(number, "2026-01-05T08:00:00Z") for number in range(size)])
        with monkeypatch.context() as patch:
            hits = _profiled(patch)
            _write(
                room,
                "next",
                [_seat(number, "2026-01-12T08:00:00Z", ends="2026-01-12") for number in range(5)],
            )
        ended = "MATCH ()-[r:MEMBER_OF]->(:Group {id: 'year'}) WHERE r.ends IS NOT NULL RETURN count(r) AS ended"
        assert room.query(ended) == [{"ended": 5}]
        found.append(hits)
        assert hits
    grown = {name for name, number in found[1].items() if number > found[0][name] + 10}
    assert (found[1].keys(), grown) == (found[0].keys(), set())


def _seat(number: int, timestamp: str, **more: str) -> dict[str, Any]:
    data = {
        "group_id": "year",
        "group_name": "Year 7",
        "student_id": f"s{number}",
        "starts": "2026-01-01",
    }
    data |= {"course_id": "c", **more}
    return {
        "type": "membership_record",
        "timestamp": timestamp,
        "record_id": f"seat{number}",
        "data": data,
    }


def test_a_course_is_renamed_with_reads_and_writes_for_each_member_of_its_groups(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let `memberships_of_course` go from the course to its groups and to their members."""
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    monkeypatch.setattr(retention, "RECORDS_AT_ONCE", 10)
    monkeypatch.setattr(renaming, "RECORDS_AT_ONCE", 10)
    found = []
    for size in (100, 400):
        room.empty()
        room.graph.prepare()
        _write(room, "first", [_seat(number, "2026-01-05T08:00:00Z") for number in range(size)])
        with monkeypatch.context() as patch:
            hits = _profiled(patch)
            assert room.graph.rename("course", "c", "d", lambda: True).moved == size
        assert room.query("MATCH (n:Membership) RETURN DISTINCT n.course_id AS course") == [
            {"course": "d"}
        ]
        assert room.query(
            "MATCH (:Group)-[r:OF_COURSE]->(c) RETURN c.id AS course, r.records AS n"
        ) == [{"course": "d", "n": size}]
        found.append(hits)
        assert hits
    # A statement is planned anew between the two, and its hits for each row differ by some.
    grown = {
        name: number for name, number in found[1].items() if number > 4.5 * found[0][name] + 100
    }
    assert (found[1].keys(), grown) == (found[0].keys(), {})


def test_insights_read_of_students_and_of_texts_without_the_other_records_of_a_course(
    room: Room,
) -> None:
    """To take the guard out: let one of these statements begin at the course."""
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    room.empty()
    room.graph.prepare()
    _fill(room)
    text = {"type": "course_content", "timestamp": "2026-01-05T08:00:00Z", "record_id": "t"}
    _write(room, "texts", [text | {"data": {"course_id": "c1", "content": "Sums."}}])
    post = {"type": "post_record", "timestamp": "2026-01-05T08:00:00Z", "record_id": "p"}
    _write(
        room, "posts", [post | {"data": {"student_id": "s1", "course_id": "c1", "text": "Why?"}}]
    )
    times = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
    parameters = {
        "students": [f"s{number}" for number in range(60)],
        "course": "c1",
        "of": None,
        "marks": [],
        "thread": None,
        "limit": 200,
        **times,
    }
    read = {}
    with _rolled_back(room) as tx:
        used = "MATCH (c:Course {id: 'c1'}) UNWIND range(1, 20000) AS n CREATE (:Attempt {id: 'x' + n})-[:IN_COURSE]->(c)"
        tx.run(used).consume()
        of_students = (
            "latest_progress_until",
            "message_records",
            "posts",
            "post_records",
            "progress_records",
        )
        for name in (*of_students, "text_records", "texts_of_course"):
            result = tx.run(f"PROFILE {STATEMENTS[name]}", parameters)
            read[name] = len(list(result))
            profile = result.consume().profile
            assert not any(scan in step for step in _steps(profile) for scan in SCANS), name
            assert _hits(profile) < 20_000, name  # as many as the course has other records
    assert all(read.values()), read


def test_columns_are_read_without_the_other_records_of_a_course(room: Room) -> None:
    """Out, each alone: begin `attempts_columns` or `errors_columns` at the course, the hints of the words."""
    if not room.has_locks:
        pytest.skip("the embedded engine tells no database hits")
    room.empty()
    room.graph.prepare()
    _fill(room)
    attempt = {"type": "attempt_record", "timestamp": "2026-01-05T08:00:00Z", "record_id": "new"}
    data = {"student_id": "s1", "course_id": "c1", "item_id": "quiz", "correct": True}
    error = {"type": "error_record", "timestamp": "2026-01-05T08:00:00Z", "record_id": "wrong"}
    told = {"student_id": "s1", "course_id": "c1", "error_text": "1 + 1 = 3"}
    _write(room, "columns", [attempt | {"data": data}, error | {"data": told}])
    [written] = room.query("MATCH (a:Attempt {id: 'new'}) RETURN a.written AS word")
    students = [f"s{number}" for number in range(10)]
    parameters = {"students": students, "course": "c1", "words": [written["word"]]}
    with _rolled_back(room) as tx:
        used = """
        MATCH (c:Course {id: 'c1'})
        UNWIND range(1, 20000) AS n
        CREATE (:Attempt {id: 'x' + n, written: 'other' + n})-[:IN_COURSE]->(c)
        CREATE (:ErrorRecord {id: 'y' + n, written: 'other' + n})-[:IN_COURSE]->(c)
        """
        tx.run(used).consume()
        attempts = ("students_of_columns", "attempts_columns", "attempts_of_words")
        for name in (*attempts, "errors_columns", "errors_of_words"):
            result = tx.run(f"PROFILE {STATEMENTS[name]}", parameters)
            assert list(result), name
            profile = result.consume().profile
            assert not any(scan in step for step in _steps(profile) for scan in SCANS), name
            assert _hits(profile) < 5_000, name


def _mistake(
    number: int, timestamp: str = "2026-01-05T08:00:00Z", error_type: str = "Adds", *, named: bool
) -> dict[str, Any]:
    data = {
        "student_id": f"s{number}",
        "course_id": "c",
        "error_text": "1 + 1 = 3",
        "error_type": error_type,
    }
    if named:
        data["course_name"] = "Sums"
    return {"type": "error_record", "timestamp": timestamp, "record_id": f"m{number}", "data": data}


def _find(room: Room, values: list[dict[str, Any]]) -> None:
    point = LinkedPoint(name="Sums", strength=0.5, confidence=0.5)
    finding = ErrorFinding(knowledge_points=(point,), confidence=0.5)
    found = [
        RecordFinding(record=parse_record(each).to_json(), finding=finding, origin=ORIGIN)
        for each in values
    ]
    for start in range(0, len(found), 100):
        pack = Findings(job_id="hub", pack=str(start), findings=tuple(found[start : start + 100]))
        room.graph.write_findings(pack)


def _write(room: Room, job_id: str, values: list[dict[str, Any]]) -> None:
    records = [(line, parse_record(value)) for line, value in enumerate(values, start=1)]
    room.graph.write_batch(RecordBatch(job_id, 0, records, [], len(records)))


def _profiled(patch: pytest.MonkeyPatch) -> dict[str, int]:
    """Let all statements of transactions be profiled. Return the database hits of each, by its name, as they come."""
    run, names, hits = (
        neo4j.Transaction.run,
        {text: name for name, text in CYPHER.items()},
        Counter[str](),
    )

    def profile(tx: neo4j.Transaction, query: Any, *args: Any, **parameters: Any) -> Rows:
        result = run(tx, f"PROFILE {query}", *args, **parameters)
        rows, summary = Rows(result), result.consume()
        hits[names[query]] += _hits(summary.profile)
        return rows

    patch.setattr(neo4j.Transaction, "run", profile)
    return hits


@contextmanager
def _rolled_back(room: Room) -> Iterator[neo4j.Transaction]:
    """Give a transaction of which nothing stays."""
    with (
        room.driver.session(database=room.settings.database) as session,
        session.begin_transaction() as tx,
    ):
        yield cast("neo4j.Transaction", ChangingTransaction(tx, "word"))
        tx.rollback()


def _hits(profile: dict[str, Any]) -> int:
    return int(profile["dbHits"]) + sum(_hits(child) for child in profile.get("children", ()))


def _plan(room: Room, text: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r"\$(\w+)", text))
    summary = room.driver.execute_query(f"EXPLAIN {text}", parameters).summary
    return list(_steps(summary.plan)) if summary.plan else []


def _steps(plan: dict[str, Any]) -> Iterator[str]:
    yield f"{plan['operatorType']} {plan['args'].get('Details', '')}"
    for child in plan.get("children", ()):
        yield from _steps(child)
