"""Whatever is wrong with what the graph derives from its records is named, and derived anew."""

from functools import partial
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threads import in_a_thread

from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import RecordBatch, rebuild

from .random_imports import SLOW_EXAMPLES, batch, finding_lists, in_order, latest_only, record_lists

# A property of each kind of derived relationship, and what it is not.
WRONG = {
    "CALLED": ("records", 1_000),
    "CHAT_WITH": ("message_count", 1_000),
    "CONTAINS": ("importance", "unheard of"),
    "DEPENDS_ON": ("confidence", 0.125),
    "HAS_ERROR": ("occurrence_count", 1_000),
    "LEADS": ("wrong", 1),
    "LEARNS": ("progress", 101.5),
    "LIKES": ("like_count", 1_000),
    "MEMBER_OF": ("wrong", 1),
    "OF_COURSE": ("records", 1_000),
    "PRACTISED": ("right", 1_000_000),
    "RELATES_TO": ("strength_sum", 1_000_000),
    "SET_ASIDE": ("confidence", 0.125),
    "TEACHES": ("interaction_count", 1_000),
}
NAMED = (
    "Course",
    "ErrorType",
    "Group",
    "Item",
    "KnowledgePoint",
    "Student",
    "Teacher",
    "Term",
    "Topic",
)


def damage(room: Any, data: st.DataObject) -> set[str]:
    """Change or delete some of what is derived. Return what `derive_anew` is to call it."""
    places = "type(r) AS type, a.id AS a, b.id AS b, r.course_id AS course, r.term AS term, r.starts AS starts, elementId(r) AS place"
    found = room.query(
        f"MATCH (a)-[r]->(b) WHERE type(r) IN $types RETURN {places}", types=list(WRONG)
    )
    damaged = set()
    for row in (
        data.draw(st.lists(st.sampled_from(found), max_size=4, unique_by=str)) if found else ()
    ):
        name, wrong = WRONG[row["type"]]
        change = "DELETE r" if data.draw(st.booleans()) else f"SET r.{name} = $wrong"
        query = f"MATCH (a {{id: $a}})-[r:{row['type']}]->(b {{id: $b}}) WHERE elementId(r) = $place {change}"
        write(room, query, a=row["a"], b=row["b"], place=row["place"], wrong=wrong)
        apart = (str(row[name]) for name in ("course", "term", "starts") if row[name] is not None)
        kind = "DEPENDS_ON" if row["type"] == "SET_ASIDE" else row["type"]
        damaged.add(" ".join((kind, row["a"], row["b"], *apart)))
    labels = data.draw(st.lists(st.sampled_from(NAMED), max_size=2, unique=True))
    for label in labels:
        for row in room.query(f"MATCH (n:{label}) RETURN n.id AS id ORDER BY id LIMIT 1"):
            write(room, f"MATCH (n:{label} {{id: $id}}) SET n.name = 'Wrong'", id=row["id"])
            damaged.add(f"{label} {row['id']}")
    return damaged


def write(room: Any, query: str, **parameters: Any) -> None:
    room.driver.execute_query(query, parameters, database_=room.settings.database)


@pytest.mark.thorough
@SLOW_EXAMPLES
@given(data=st.data())
def test_wrong_sums_are_named_and_derived_anew(room: Any, data: st.DataObject) -> None:
    """To take the guards out: let `_outdated` leave out what records state, or what is stored."""
    records = data.draw(record_lists())
    expected = in_order(room, records, latest_only(data.draw(finding_lists(records))))
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    damaged = damage(room, data)
    before = room.digest()
    found = room.graph.derive_anew(repair=False)
    assert set(found["shown"]) == damaged
    assert sum(found["wrong"].values()) == len(damaged)
    assert room.digest() == before
    assert room.graph.derive_anew(repair=True) == found
    assert room.digest() == expected
    assert room.graph.derive_anew(repair=False)["wrong"] == {}


@pytest.mark.parametrize("change", ["DELETE r", "SET r.spelling_counts = [1000]"])
def test_what_an_item_tests_is_derived_anew_with_the_name_that_it_gives(
    room: Any, change: str
) -> None:
    value = {"type": "item_record", "timestamp": "2026-01-01T00:00:00Z", "record_id": "r"}
    expected = in_order(
        room, [parse_record({**value, "data": {"item_id": "i", "knowledge_points": ["P1"]}})], []
    )
    write(room, f"MATCH (:Item)-[r:TESTS]->() {change}")
    found = room.graph.derive_anew(repair=False)
    assert found["shown"] == ["TESTS i P1", "KnowledgePoint P1"]
    assert room.graph.derive_anew(repair=True)["shown"] == ["TESTS i P1"]
    assert room.digest() == expected


def test_a_progress_that_no_record_gives_is_removed(room: Any) -> None:
    """Earlier versions wrote 0 there. Out: the empty state of a new LEARNS in `replace_learns`."""
    value = {"type": "course_record", "timestamp": "2026-01-01T00:00:00Z", "record_id": "r"}
    records = [parse_record({**value, "data": {"student_id": "a", "course_id": "c"}})]
    expected = in_order(room, records, [])
    write(room, "MATCH ()-[r:LEARNS]->() SET r.progress = 0.0, r.progress_stamp = ''")
    assert room.graph.derive_anew(repair=True)["shown"] == ["LEARNS a c"]
    assert room.query("MATCH ()-[r:LEARNS]->() RETURN r.progress AS progress") == [
        {"progress": None}
    ]
    assert room.digest() == expected


def mistake(record_id: str, type_name: str, type_id: str | None = None) -> Record:
    data = {"student_id": "a", "course_id": "c", "error_text": "2+2=5"}
    value = {"type": "error_record", "timestamp": "2026-01-01T00:00:00Z", "record_id": record_id}
    return parse_record(
        {**value, "data": {**data, "error_type_id": type_id, "error_type": type_name}}
    )


def let_in(message: RecordBatch, place: str, room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a batch when the nodes to derive were found and are not locked yet."""
    lock, messages = import_module(place).lock_and_load, iter([message])

    def lock_after_another_wrote(*arguments: Any) -> Any:
        for each in messages:
            in_a_thread(partial(room.graph.write_batch, each))
        return lock(*arguments)

    monkeypatch.setattr(f"{place}.lock_and_load", lock_after_another_wrote)


@pytest.mark.parametrize("module", ["rebuild", "resolver"])
def test_what_is_removed_while_all_is_derived_anew_does_not_come_back(
    room: Any, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """To take the guards out: take `delete_orphans` away."""
    in_order(room, [mistake("r", "sums", "E1")], [])
    let_in(batch([], "back", 0, ["r"]), f"edugraph_importer.graph.{module}", room, monkeypatch)
    room.graph.derive_anew(repair=True)
    left = room.query("MATCH (n) RETURN DISTINCT labels(n)[0] AS label")
    assert {row["label"] for row in left}.isdisjoint(NAMED)


@pytest.mark.parametrize("name", ["sums", "carrying"])
def test_what_comes_while_classes_are_derived_anew_is_derived_right(
    room: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The first joins a name that is derived. To take the guard out: let `derive_classes` raise no StaleRead."""
    records = [mistake("r1", "sums"), mistake("r2", name, "E1")]
    expected = in_order(room, records, [])
    in_order(room, records[:1], [])
    let_in(batch(records[1:], "another", 0), "edugraph_importer.graph.resolver", room, monkeypatch)
    assert room.graph.derive_anew(repair=True)["wrong"] == {}
    assert room.digest() == expected


class Killed(BaseException):
    """Ends a request as the death of its process does: at once, between two transactions or within one."""


def school(room: Any) -> str:
    """Write a graph with several nodes of most labels, and return its digest."""
    at = {"timestamp": "2026-01-01T00:00:00Z"}
    rows: list[dict[str, Any]] = []
    for number in range(5):
        student = {"student_id": f"s{number}", "course_id": f"c{number % 3}"}
        item = {
            "student_id": f"s{number}",
            "item_id": f"q{number}",
            "correct": True,
            "knowledge_points": [f"P{number}"],
        }
        error = {
            **student,
            "error_text": "2+2=5",
            "error_type_id": f"t{number}",
            "error_type": f"Type {number}",
        }
        rows += [
            {
                "type": "course_record",
                "record_id": f"a{number}",
                **at,
                "data": {**student, "progress": 5},
            },
            {"type": "attempt_record", "record_id": f"b{number}", **at, "data": item},
            {"type": "error_record", "record_id": f"e{number}", **at, "data": error},
        ]
    return str(in_order(room, [parse_record(row) for row in rows], []))


def transactions_until_the_end(
    room: Any, request_id: str, *, repair: bool
) -> tuple[int, dict[str, Any]]:
    """Run a request to its end. Return how many transactions derived something, and the result."""
    done = 0
    derive_nodes = rebuild._derive_nodes

    def counted(*arguments: Any) -> Any:
        nonlocal done
        done += 1
        return derive_nodes(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rebuild, "_derive_nodes", counted)
        found = room.graph.derive_anew(repair=repair, request_id=request_id)
    return done, found


def killed_after(
    room: Any, request_id: str, transactions: int, *, repair: bool, at_the_end: bool
) -> None:
    """Run a request and kill it within the transaction after so many, at its beginning or at its end."""
    left = iter(range(transactions))
    derive_nodes = rebuild._derive_nodes

    def derive(*arguments: Any) -> Any:
        is_last = next(left, None) is None
        if is_last and not at_the_end:
            raise Killed
        found = derive_nodes(*arguments)
        if is_last:
            raise Killed
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rebuild, "_derive_nodes", derive)
        with pytest.raises(Killed):
            room.graph.derive_anew(repair=repair, request_id=request_id)


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("repair", [False, True])
def test_a_request_whose_process_was_killed_goes_on_where_it_was(
    room: Any, monkeypatch: pytest.MonkeyPatch, *, repair: bool, at_the_end: bool
) -> None:
    """Out: `_note` in one of the two branches of `_run`; `_read`; the counts or the corrections in what is noted."""
    monkeypatch.setattr(rebuild, "NODES_AT_ONCE", 2)
    expected = school(room)

    def damage_all() -> None:
        write(room, "MATCH ()-[r:LEARNS]->() SET r.progress = 99.5")
        write(room, "MATCH ()-[r:CALLED]->() DELETE r")
        write(room, "MATCH (n:ErrorType) SET n.name = 'Wrong'")

    damage_all()
    total, whole = transactions_until_the_end(room, "whole", repair=repair)
    assert total > 12
    assert whole["wrong"]["LEARNS"] == 5
    damage_all()
    before = room.digest()
    tries = (3, 2, 4)
    for transactions in tries:
        killed_after(room, "r", transactions, repair=repair, at_the_end=at_the_end)
    rest, found = transactions_until_the_end(room, "r", repair=repair)
    assert rest == total - sum(tries)
    assert (found["checked"], found["wrong"]) == (whole["checked"], whole["wrong"])
    assert room.digest() == (expected if repair else before)


def test_another_request_begins_at_the_beginning(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the comparison of the request in `derivation`. What was right an hour ago may be wrong now."""
    monkeypatch.setattr(rebuild, "NODES_AT_ONCE", 2)
    school(room)
    total, _ = transactions_until_the_end(room, "first", repair=False)
    killed_after(room, "second", 5, repair=False, at_the_end=False)
    assert transactions_until_the_end(room, "third", repair=False)[0] == total
    assert room.query("MATCH (l:Lock {id: 'verify'}) RETURN l.id AS id") == []


def test_a_request_goes_on_when_its_time_is_over(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the question to `go_on`, so that a large graph is never done within the time limit of a task."""
    monkeypatch.setattr(rebuild, "NODES_AT_ONCE", 2)
    school(room)
    _, whole = transactions_until_the_end(room, "whole", repair=False)
    for _ in range(3):
        looks = iter([True, True, True])
        with pytest.raises(Wait, match="in another try"):
            room.graph.derive_anew(repair=False, request_id="r", go_on=lambda: next(looks, False))  # noqa: B023
    _, found = transactions_until_the_end(room, "r", repair=False)
    assert found == whole


def test_a_student_who_is_erased_is_not_left_in_what_is_noted(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `forget_derived_student`. The stage begins again."""
    monkeypatch.setattr(rebuild, "NODES_AT_ONCE", 2)
    school(room)
    noted = "MATCH (l:Lock {id: 'verify'}) RETURN l.after AS after"
    for transactions in range(1, 30):
        killed_after(room, f"r{transactions}", transactions, repair=False, at_the_end=False)
        if room.query(noted) == [{"after": "s1"}]:
            break
    room.graph.erase_student("s3")
    assert room.query(noted) == [{"after": "s1"}]
    room.graph.erase_student("s1")
    assert room.query(noted) == [{"after": ""}]
    assert transactions_until_the_end(room, f"r{transactions}", repair=False)[1]["wrong"] == {}
