"""Who is in a group, when they move, leave, come back, are taken back or erased."""

from datetime import UTC, datetime
from itertools import permutations
from typing import Any

from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.sources.oneroster import Roster
from edugraph_common.sources.roster_snapshots import end_absent
from edugraph_importer.graph import Graph, RecordBatch

from .graph_reference import memberships_in
from .random_imports import withdrawals


def write(graph: Graph, job: str, *records: Record, withdrawn: tuple[str, ...] = ()) -> None:
    lines = list(enumerate(records, start=1))
    graph.write_batch(
        RecordBatch(job, 0, lines, (), len(records) + len(withdrawn), withdrawals(*withdrawn))
    )


def membership(record_id: str, timestamp: str, **data: Any) -> Record:
    value = {"type": "membership_record", "timestamp": timestamp, "record_id": record_id}
    return parse_record({**value, "data": {"group_id": "g", "student_id": "a", **data}})


def test_one_who_leaves_and_comes_back_is_in_the_group_twice(room: Any) -> None:
    """To take the guard out: let `write_memberships` leave the start out of its key."""
    records = (
        membership("r1", "2026-01-01", starts="2026-01-01"),
        membership("r2", "2026-02-01", starts="2026-01-01", ends="2026-02-01"),
        membership("r3", "2026-03-01", starts="2026-03-01"),
    )
    digests = set()
    for order in permutations(records):
        room.empty()
        for number, record in enumerate(order):
            write(room.graph, str(number), record)
        digests.add(room.digest())
    assert len(digests) == 1
    held = [
        [str(each)[:10] if each else None for each in row[3:]]
        for row in memberships_in(room, "MEMBER_OF")
    ]
    assert held == [["2026-01-01", "2026-02-01"], ["2026-03-01", None]]


def test_who_is_absent_from_a_whole_roster_has_left_and_may_come_back(room: Any) -> None:
    """To take the guard out: let `end_absent` leave the times of records as they are."""
    seats = {
        each: membership(each, "2026-01-01", student_id=each, starts="2026-01-01")
        for each in ("a", "b")
    }
    files, held = [list(seats.values())], []
    for day, named in ((1, "a"), (2, "ab")):
        roster = Roster([seats[each].to_json() for each in named])
        end_absent(roster, files[-1], datetime(2026, 2, day, tzinfo=UTC))
        files.append([parse_record(record) for record in roster.records])
    digests = set()
    for order in permutations(range(3)):
        room.empty()
        for number in order:
            write(room.graph, str(number), *files[number])
        digests.add(room.digest())
    assert len(digests) == 1
    for last in (2, 3):
        room.empty()
        for number in range(last):
            write(room.graph, str(number), *files[number])
        held.append([(row[0], str(row[4])[:10]) for row in memberships_in(room, "MEMBER_OF")])
    assert held == [[("a", "None"), ("b", "2026-02-01")], [("a", "None"), ("b", "None")]]


def test_an_end_that_is_taken_back_opens_the_interval_again(room: Any) -> None:
    """To take the guard out: let `_read_links` leave out memberships."""
    first = membership("r1", "2026-01-01", starts="2026-01-01", group_name="7b", course_id="c")
    end = membership(
        "r2", "2026-02-01", starts="2026-01-01", ends="2026-02-01", group_name="7 b", course_id="d"
    )
    room.empty()
    write(room.graph, "before", first)
    write(room.graph, "back", withdrawn=("r2",))
    expected = room.digest()
    room.empty()
    write(room.graph, "both", first, end)
    write(room.graph, "back", withdrawn=("r2",))
    assert room.digest() == expected
    assert room.query(
        "MATCH (g:Group)-[r:OF_COURSE]->(c) RETURN g.name AS name, c.id AS course, r.records AS records"
    ) == [{"name": "7b", "course": "c", "records": 1}]


def test_an_erased_member_leaves_nothing_in_the_group(room: Any) -> None:
    """To take the guard out: leave `Membership` out of the labels that an erasure deletes."""
    stays = membership("r1", "2026-01-01", student_id="b", group_name="7b")
    goes = membership(
        "r2", "2026-01-02", student_id="a", student_name="Ana", group_name="Ana's", course_id="c"
    )
    room.empty()
    write(room.graph, "one", stays)
    expected = room.digest()
    room.empty()
    write(room.graph, "both", stays, goes)
    removed = room.graph.erase_student("a")
    room.driver.execute_query("MATCH (t:Tombstone) DELETE t", database_=room.settings.database)
    assert (removed["Membership"], removed["Course"]) == (1, 1)
    assert room.digest() == expected


def test_names_of_a_groups_members_are_told_for_its_course(room: Any) -> None:
    room.empty()
    write(room.graph, "one", membership("r1", "2026-01-01", student_name="Ana", course_id="c"))
    write(
        room.graph,
        "two",
        membership("r2", "2026-01-01", student_id=None, teacher_id="t", teacher_name="Ben"),
    )
    assert room.graph.course_members("c", 10) == {"Ana", "Ben"}
