"""An item that is assigned to courses and groups, with dates for each of them."""

from itertools import permutations
from typing import Any

from rooms import Room

from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph

from .graph_reference import assignments, assignments_in
from .random_imports import batch


def item(record_id: str, day: int = 1, **data: Any) -> Record:
    return parse_record(
        {
            "type": "item_record",
            "timestamp": f"2026-03-0{day}T08:00:00Z",
            "record_id": record_id,
            "data": {"item_id": "essay", **data},
        }
    )


def for_group(record_id: str, group: str, due_at: str | None, day: int = 1) -> Record:
    dates = {"due_at": due_at} if due_at else {}
    return item(record_id, day, assigned_to="group", group_id=group, **dates)


def test_an_item_is_due_for_each_group_at_its_own_date(room: Room, graph: Graph) -> None:
    """Out: the guard for `assignee` in `_add_item_record` (let the item have the dates of each definition)."""
    records = [
        for_group("a", "7-1", "2026-03-09"),
        for_group("b", "7-2", "2026-03-10T12:00:00+08:00"),
        item("c", assigned_to="course", course_id="7-1", opens_at="2026-03-02"),
    ]
    graph.write_batch(batch(records, "j", 0))
    found = assignments_in(room)
    assert found == assignments(records)
    assert {each[1:3] for each in found.values()} == {
        ("Group", "7-1"),
        ("Group", "7-2"),
        ("Course", "7-1"),
    }
    [row] = room.query("MATCH (i:Item) RETURN i.due_at AS due, i.opens_at AS opens")
    assert row == {"due": None, "opens": None}


def test_a_date_without_an_assignment_belongs_to_the_item(room: Room, graph: Graph) -> None:
    graph.write_batch(batch([item("a", due_at="2026-03-09", course_id="c", max_score=10)], "j", 0))
    assert assignments_in(room) == {}
    [row] = room.query("MATCH (i:Item) RETURN i.due_at AS due, i.max_score AS points")
    assert (row["due"].to_native().isoformat(), row["points"]) == (
        "2026-03-09T23:59:59.999999+00:00",
        10.0,
    )


def test_a_due_date_that_is_corrected_or_taken_off_leaves_nothing_of_the_old_one(
    room: Room, graph: Graph
) -> None:
    """Out: the dates in `assigned_to` of `records.cypher`."""
    versions = [
        for_group("a", "7-1", "2026-03-09"),
        for_group("a", "7-2", "2026-03-11", 2),
        for_group("a", "7-2", None, 3),
    ]
    digests = set()
    for order in permutations(versions):
        room.empty()
        for number, record in enumerate(order):
            graph.write_batch(batch([record], "j", number))
        assert assignments_in(room) == {"a": ("essay", "Group", "7-2", None, None)}
        # A group that nothing names any more is gone.
        assert room.query("MATCH (g:Group) RETURN g.id AS id") == [{"id": "7-2"}]
        digests.add(room.digest())
    assert len(digests) == 1


def test_a_withdrawn_assignment_is_gone_before_and_after_it_came(room: Room, graph: Graph) -> None:
    record = for_group("a", "7-1", "2026-03-09")
    for order in permutations([batch([record], "j", 0), batch([], "k", 0, ["a"])]):
        room.empty()
        for message in order:
            graph.write_batch(message)
        assert assignments_in(room) == {}
        assert room.query("MATCH (n) WHERE n:Group OR n:Item RETURN n.id AS id") == []
