"""Batches of records in the graph: what is counted, what is set aside, what the ledger answers."""

import json
import os
from contextlib import closing
from dataclasses import replace
from itertools import permutations
from typing import Any

import neo4j
import pytest
from pydantic import SecretStr
from threads import at_once

from edugraph_common.contracts.errors import Rejected, Retryable, ServerAway
from edugraph_common.contracts.graph_schema import LABELS, RECORD_LABEL
from edugraph_common.contracts.outcomes import BatchOutcome, Reject
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, GraphSettings, RecordBatch, apply
from edugraph_importer.graph.driver import _ENTITY_NOT_FOUND
from edugraph_importer.graph.history import short_hash
from edugraph_importer.graph.statements import CYPHER

LATER = "2026-02-01T00:00:00Z"


def record(kind: str, record_id: str = "", at: str = "2026-01-01T00:00:00Z", **data: Any) -> Record:
    head = {"type": kind, "timestamp": at, "data": data}
    return parse_record(head | ({"record_id": record_id} if record_id else {}))


def chat(record_id: str, **data: Any) -> Record:
    people = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "chat"}
    return record("student_interaction", record_id, **(people | data))


def error(record_id: str, **data: Any) -> Record:
    return record(
        "error_record",
        record_id,
        **({"student_id": "a", "course_id": "c", "error_text": "1+1=3"} | data),
    )


def batch(
    *records: Record, job: str = "job", number: int = 0, rejects: tuple[Reject, ...] = ()
) -> RecordBatch:
    lines = list(enumerate(records, start=1))
    return RecordBatch(job, number, lines, rejects, len(records) + len(rejects))


def write(graph: Graph, *records: Record, job: str = "job") -> BatchOutcome:
    return graph.write_batch(batch(*records, job=job))


def one(room: Any, cypher: str, **parameters: Any) -> dict[str, Any]:
    rows: list[dict[str, Any]] = room.query(cypher, **parameters)
    assert len(rows) == 1
    return rows[0]


@pytest.mark.usefixtures("graph")
@pytest.mark.forgets_plans
def test_prepare_makes_every_constraint_and_may_be_repeated_at_once(room: Any) -> None:
    """Out: _MADE_MEANWHILE in the driver: of two imports that are the first of a graph, one fails."""
    if room.has_locks:
        for row in room.query("SHOW CONSTRAINTS YIELD name WHERE name STARTS WITH 'edugraph_'"):
            room.driver.execute_query(f"DROP CONSTRAINT {row['name']}")
        for row in room.query(
            "SHOW INDEXES YIELD name WHERE name STARTS WITH 'edugraph_canonical_'"
        ):
            room.driver.execute_query(f"DROP INDEX {row['name']}")

    def prepare() -> None:
        with closing(Graph(room.settings)) as another:
            another.prepare()

    at_once([prepare] * 4)
    for label in LABELS:
        with pytest.raises(neo4j.exceptions.ConstraintError):
            room.driver.execute_query(
                f"CREATE (:{label} {{id: 'x'}}) CREATE (:{label} {{id: 'x'}})"
            )


@pytest.mark.forgets_plans
def test_prepare_replaces_the_index_of_a_constraint_that_was_cut_off(room: Any) -> None:
    """A Neo4j that is killed while it makes a constraint is left with the index alone. Out: `drop_index` in the driver."""
    if not room.has_locks:
        pytest.skip("the embedded engine has no index apart from its constraint")
    room.driver.execute_query("DROP CONSTRAINT edugraph_Topic IF EXISTS")
    try:
        room.driver.execute_query("CREATE INDEX edugraph_Topic FOR (n:Topic) ON (n.id)")
        room.graph.prepare()
        owners = room.query(
            "SHOW INDEXES YIELD name, owningConstraint WHERE name = 'edugraph_Topic'"
        )
        assert [row["owningConstraint"] for row in owners] == ["edugraph_Topic"]
    finally:
        if not room.query("SHOW CONSTRAINTS YIELD name WHERE name = 'edugraph_Topic'"):
            room.driver.execute_query("DROP INDEX edugraph_Topic IF EXISTS")
        room.graph.prepare()


def test_a_chat_is_told_whole(graph: Graph, room: Any) -> None:
    write(
        graph,
        chat(
            "r",
            text="你好，分数怎么加？",
            student_name_from="王芳",
            course_id="c",
            topics=["分数"],
            message_count=3,
        ),
    )
    row = one(
        room,
        "MATCH (a:Student)-[:SENT]->(n:Interaction)-[:RECEIVED_BY]->(b:Student), (n)-[:IN_COURSE]->(c:Course), "
        "(n)-[:ABOUT]->(t:Topic), (a)-[w:CHAT_WITH]->(b) "
        "RETURN a.name AS a, b.id AS b, c.id AS c, t.name AS t, n.text AS text, w.message_count AS count",
    )
    assert row == {
        "a": "王芳",
        "b": "b",
        "c": "c",
        "t": "分数",
        "text": "你好，分数怎么加？",
        "count": 3,
    }


def test_counters_count_records_and_dates_are_their_ends(graph: Graph, room: Any) -> None:
    times = ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z"]
    severities = ["low", "high", None]
    records = [
        record("error_record", f"r{i}", at, student_id="a", course_id="c", error_text="x", error_type="Sign",
               occurrence_count=i + 1, severity=severity)
        for i, (at, severity) in enumerate(zip(times, severities, strict=True))
    ]  # fmt: skip
    for number, each in enumerate(records):
        graph.write_batch(batch(each, number=number))
    row = one(
        room, "MATCH (:Student)-[r:HAS_ERROR]->(:ErrorType {id: 'sign'}) RETURN properties(r) AS r"
    )["r"]
    assert (row["occurrence_count"], row["weight"], row["resolved"], row["course_id"]) == (
        6,
        7.5,
        False,
        "c",
    )
    assert [row[name].to_native().day for name in ("first_occurrence", "last_occurrence")] == [1, 3]


def test_mistakes_in_several_courses_stay_separate(graph: Graph, room: Any) -> None:
    write(graph, error("r", course_ids=["d", "e"], error_type="Sign", course_name="First"))
    rows = room.query(
        "MATCH (:Student)-[r:HAS_ERROR]->() RETURN r.course_id AS course ORDER BY course"
    )
    assert [row["course"] for row in rows] == ["c", "d", "e"]
    assert one(room, "MATCH (c:Course) WHERE c.name IS NOT NULL RETURN c.id AS id") == {"id": "c"}
    assert one(room, "MATCH (:ErrorRecord)-[r:IN_COURSE]->() RETURN count(r) AS n") == {"n": 3}


def test_an_error_type_with_an_id_is_known_by_it(graph: Graph, room: Any) -> None:
    write(
        graph, error("r", error_type="Sign", error_type_id="E-7"), error("s", error_type_id="E-8")
    )
    rows = room.query("MATCH (t:ErrorType) RETURN t.id AS id, t.name AS name ORDER BY id")
    # No record is about the name alone; it is what E-7 is called.
    assert rows == [
        {"id": "E-7", "name": "Sign"},
        {"id": "E-8", "name": None},
        {"id": "sign", "name": None},
    ]


def test_one_topic_with_many_spellings(graph: Graph, room: Any) -> None:
    spellings = [
        "linear  equations",
        "LINEAR EQUATIONS",
        "Linear-Equations",
        "ｌｉｎｅａｒ equations!",
    ]
    for number, spelling in enumerate(reversed(spellings)):
        day = f"2026-01-0{9 - number}T00:00:00Z"
        graph.write_batch(batch(record("student_interaction", f"r{number}", day, student_id_from="a",
                                       student_id_to="b", interaction_type="like", topics=[spelling]),
                                number=number))  # fmt: skip
    row = one(room, "MATCH (t:Topic) RETURN t.name AS name, t.aliases AS aliases")
    # Each is used once, so the smallest is the name.
    assert row == {"name": min(spellings), "aliases": sorted(set(spellings) - {min(spellings)})}


def test_a_later_record_that_leaves_a_field_out_does_not_erase_it(graph: Graph, room: Any) -> None:
    def state(day: int, **data: Any) -> Record:
        return record(
            "course_record",
            f"r{day}",
            f"2026-01-0{day}T00:00:00Z",
            student_id="a",
            course_id="c",
            **data,
        )

    outcomes = [
        graph.write_batch(batch(each, number=number))
        for number, each in enumerate(
            [
                state(3, progress=50, course_name="New"),
                state(5, time_spent=9),
                state(4, progress=60, completion_date="2026-02-01T00:00:00+01:00"),
                state(1, progress=10, course_name="Old", difficulty="beginner"),
                state(2, progress=20),
                state(1, progress=10, course_name="Old", difficulty="beginner"),
            ]
        )
    ]
    # The last of day 2 changes nothing, but is new: what is reported must not depend on the order of arrival.
    assert [each.written for each in outcomes] == [1, 1, 1, 1, 1, 0]
    assert [each.unchanged for each in outcomes] == [0, 0, 0, 0, 0, 1]
    row = one(
        room,
        "MATCH ()-[r:LEARNS]->(c) RETURN properties(r) AS r, c.name AS name, c.difficulty AS level",
    )
    assert (row["name"], row["level"]) == ("New", "beginner")
    assert (row["r"]["progress"], row["r"]["time_spent"]) == (60.0, 9.0)
    assert row["r"]["completion_date"].to_native().isoformat() == "2026-01-31T23:00:00+00:00"


def test_a_course_record_that_says_nothing_new_is_unchanged(graph: Graph, room: Any) -> None:
    bare = record("course_record", student_id="a", course_id="c")
    assert write(graph, bare, bare).written == 1
    assert one(room, "MATCH ()-[r:LEARNS]->() RETURN r.progress AS progress") == {"progress": None}
    assert write(graph, bare, job="again").unchanged == 1


def test_the_same_record_is_unchanged_in_its_batch_and_in_a_later_one(
    graph: Graph, room: Any
) -> None:
    first = write(graph, chat("r"), chat("r"), error("e"))
    before = room.digest()
    second = write(graph, error("e"), chat("r"), job="again")
    assert (first.written, first.unchanged, first.by_type) == (
        2,
        1,
        {"error_record": 1, "student_interaction": 1},
    )
    assert (second.written, second.unchanged, second.by_type) == (0, 2, {})
    assert room.digest() == before


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_one_id_is_one_record_whatever_its_type_and_order(
    graph: Graph, room: Any, order: tuple[int, ...]
) -> None:
    """To take the guard out: let `classify` look for versions under the same label only."""
    state = record("course_record", "r", LATER, student_id="a", course_id="c", progress=30)
    in_order_of_acceptance = [
        state,
        chat("r"),
        error("r"),
        record("course_content", "r", course_id="d", content="x"),
    ]
    for number in order:
        later = batch(in_order_of_acceptance[number], job=f"job{number}")
        graph.write_batch(replace(later, accepted=number + 1))
    found = {
        label
        for row in room.query("MATCH (n {id: 'r'}) RETURN labels(n) AS l")
        for label in row["l"]
    }
    nodes = found - {RECORD_LABEL}
    assert nodes == {"CourseRecord"}
    digest = room.digest()
    room.empty()
    write(graph, state)
    assert room.digest() == digest


def test_a_corrected_course_record_takes_back_the_old_one(graph: Graph, room: Any) -> None:
    """To take the guard out: leave `learns` out of what `_read_links` finds outdated."""
    write(
        graph,
        record(
            "course_record",
            "r",
            student_id="a",
            course_id="c",
            progress=90,
            time_spent=7,
            course_name="Old",
        ),
    )
    write(
        graph, record("course_record", "s", student_id="a", course_id="c", progress=20), job="other"
    )
    write(
        graph,
        record("course_record", "r", LATER, student_id="a", course_id="d", progress=50),
        job="corrected",
    )
    rows = room.query("MATCH (:Student {id: 'a'})-[r:LEARNS]->(c) RETURN c.id AS c, c.name AS name, r.progress AS p, "
                      "r.time_spent AS t ORDER BY c")  # fmt: skip
    assert [tuple(row.values()) for row in rows] == [
        ("c", None, 20.0, None),
        ("d", None, 50.0, None),
    ]
    write(graph, record("course_record", "s", LATER, student_id="a", course_id="d"), job="moved")
    assert one(room, "MATCH ()-[r:LEARNS]->(c) RETURN c.id AS c, r.progress AS p") == {
        "c": "d",
        "p": 50.0,
    }
    assert room.query("MATCH (c:Course {id: 'c'}) RETURN c") == []


def test_versions_without_an_acceptance_number_are_ordered_by_their_content(
    graph: Graph, room: Any
) -> None:
    versions = [
        record("course_record", "r", student_id="a", course_id="c", progress=value)
        for value in (10, 20, 30)
    ]
    latest = max(versions, key=lambda each: short_hash(each.content_hash))
    for order in permutations(versions):
        room.empty()
        for number, each in enumerate(order):
            write(graph, each, job=f"job{number}")
        assert one(room, "MATCH ()-[r:LEARNS]->() RETURN r.progress AS p") == {
            "p": latest.data.progress
        }


def test_a_newer_version_takes_the_place_of_the_older(graph: Graph, room: Any) -> None:
    newer = record(
        "student_interaction",
        "r",
        LATER,
        student_id_from="a",
        student_id_to="z",
        interaction_type="chat",
        text="new",
    )
    first = write(
        graph, chat("r", message_count=2, student_name_to="Bo"), chat("s", message_count=5)
    )
    second, third = (
        write(graph, newer, job="again"),
        write(graph, chat("r", message_count=2), job="stale"),
    )
    assert (first.written, second.replaced, third.written, third.older) == (2, 1, 0, 1)
    counts = room.query(
        "MATCH (a)-[r:CHAT_WITH]->(b) RETURN b.id AS b, r.message_count AS n ORDER BY b"
    )
    assert counts == [{"b": "b", "n": 5}, {"b": "z", "n": 1}]
    assert one(room, "MATCH (s:Student {id: 'b'}) RETURN s.name AS name") == {"name": None}


def test_of_versions_in_one_batch_the_latest_is_the_record(graph: Graph, room: Any) -> None:
    people = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "chat"}
    versions = [
        record("student_interaction", "r", LATER, **people, message_count=9),
        chat("r", message_count=2),
    ]
    first, again = write(graph, *versions), write(graph, *versions, job="again")
    assert (first.written, first.older) == (1, 1)
    assert (again.unchanged, again.older) == (1, 1)
    assert one(room, "MATCH ()-[r:CHAT_WITH]->() RETURN r.message_count AS n") == {"n": 9}


def test_a_batch_is_answered_from_its_ledger_row(graph: Graph, room: Any) -> None:
    wrong = Reject(
        line=9, field="type", expected="one", found="x", reason="is wrong", raw='{"secret": 1}'
    )
    write(graph, record("course_record", student_id="gone", course_id="c"), job="before")
    graph.erase_student("gone")
    whole = batch(chat("r"), chat("s", student_id_to="gone"), rejects=(wrong,))
    first = graph.write_batch(whole)
    assert graph.write_batch(whole) == first
    assert (first.read, first.written, first.rejected) == (3, 1, 2)
    assert graph.outcomes("job") == [first]
    assert [each.line for each in graph.rejects("job", 0)] == [2]
    assert "secret" not in json.dumps(
        room.query("MATCH (b:ImportBatch) RETURN b.outcome AS a, b.set_aside AS b")
    )


def test_outcomes_are_those_of_the_job_in_order(graph: Graph) -> None:
    for job, number in (("a", 10), ("a", 2), ("a:1", 0), ("b", 0)):
        graph.write_batch(batch(chat("r"), job=job, number=number))
    assert [each.batch for each in graph.outcomes("a")] == [2, 10]


def test_an_empty_batch_has_an_outcome(graph: Graph) -> None:
    assert write(graph).written == 0
    assert len(graph.outcomes("job")) == 1


def test_a_batch_that_fails_leaves_nothing(
    graph: Graph, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise neo4j.exceptions.ClientError

    monkeypatch.setattr(apply, "_write_ledger", fail)
    with pytest.raises(Rejected):
        write(graph, chat("r"), error("e"))
    assert room.query("MATCH (n) WHERE NOT n:Schema AND NOT n:Lock RETURN n") == []


def test_a_transaction_that_lost_a_race_is_retried(
    graph: Graph, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, failures = apply._write_ledger, [neo4j.exceptions.ConstraintError(), _gone()]

    def lose_twice(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        original(*arguments)

    monkeypatch.setattr(apply, "_write_ledger", lose_twice)
    assert write(graph, chat("r")).written == 1
    assert one(room, "MATCH ()-[r:CHAT_WITH]->() RETURN r.message_count AS n") == {"n": 1}


def _gone() -> neo4j.exceptions.ClientError:
    error = neo4j.exceptions.ClientError()
    error._neo4j_code = _ENTITY_NOT_FOUND
    return error


def test_a_wrong_password_is_waited_for_without_saying_it(room: Any) -> None:
    settings = GraphSettings(
        uri=room.settings.uri,
        user="nobody",
        password=SecretStr("not-the-password"),
        privacy_secret=room.settings.privacy_secret,
    )
    with closing(Graph(settings)) as graph, pytest.raises(ServerAway) as failure:
        write(graph, chat("r"))
    assert failure.value.cause == "refused"
    assert "not-the-password" not in str(failure.value)


@pytest.mark.loopback("a port where nothing listens")
def test_a_server_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edugraph_importer.graph.driver.RETRY_SECONDS", 0.1)
    settings = GraphSettings(
        uri="bolt://127.0.0.1:1",
        user="nobody",
        password=SecretStr("x"),
        privacy_secret=SecretStr("x" * 16),
    )
    with closing(Graph(settings)) as graph, pytest.raises(ServerAway) as failure:
        write(graph, chat("r"))
    assert failure.value.cause == "away"


def test_values_of_a_record_are_not_in_errors(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CYPHER, "create_chat", "UNWIND $rows AS row RETURN 1 / row.text")
    with pytest.raises((Rejected, Retryable)) as failure:
        write(graph, chat("r", text="my secret"))
    assert "secret" not in str(failure.value)
    assert failure.value.__suppress_context__


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_opens_its_own_connection(graph: Graph, room: Any) -> None:
    write(graph, chat("r"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if write(graph, chat("child"), job="child").written == 1 else 1
        finally:
            # An exception would go on into a second run of pytest.
            os._exit(code)
    write(graph, chat("parent"), job="parent")
    assert os.waitpid(child, 0)[1] == 0
    assert one(room, "MATCH (n:Interaction) RETURN count(n) AS n") == {"n": 3}
