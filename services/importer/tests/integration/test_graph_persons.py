"""Records of one person stand at one node, whichever of the person's ids their sources give, and in whatever order."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.findings import RecordFinding
from edugraph_common.contracts.messages import Findings, ImportRights, person_mark
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch, apply, persons, unit_of_work
from edugraph_importer.graph.persons import SettledPersons

from .graph_reference import content, counting_claims, owners_of, with_right_ids
from .random_imports import (
    SLOW_EXAMPLES,
    batch,
    cut,
    finding_lists,
    latest_only,
    pack,
    record_lists,
)

# The ids of students and teachers in `record_lists`, and one that no record has.
any_id = st.sampled_from(["a", "b", "t", "u", "0", "nobody"])


def person(
    person_id: str,
    *also: str,
    day: int = 1,
    record_id: str | None = None,
    decides: bool = False,
) -> Record:
    row: dict[str, Any] = {"type": "person_record", "timestamp": f"2026-03-{day:02}T08:00:00Z"}
    if record_id is not None:
        row["record_id"] = record_id
    row["data"] = {"person_id": person_id, "also": list(also), "decides": decides}
    return parse_record(row)


def attempt(record_id: str, student: str, **more: Any) -> Record:
    data = {"student_id": student, "item_id": "q1", "correct": True, "course_id": "c", **more}
    head = {"type": "attempt_record", "timestamp": "2026-03-01T08:00:00Z", "record_id": record_id}
    return parse_record({**head, "data": data})


def deliver_all(room: Room, messages: Sequence[RecordBatch | Findings | None]) -> None:
    """Write the messages. None stands for a settler that runs in between."""
    for message in messages:
        match message:
            case RecordBatch():
                room.graph.write_batch(message)
            case Findings():
                room.graph.write_findings(message)
            case None:
                room.graph.settle_persons()


@SLOW_EXAMPLES
@given(data=st.data())
def test_the_graph_is_that_of_right_ids_from_the_start(room: Room, data: st.DataObject) -> None:
    """Out: `owners.resolve` in `apply`; the counts of both persons in `_of_both`; `given_id` in a statement."""
    records = data.draw(record_lists())
    findings: list[RecordFinding] = latest_only(data.draw(finding_lists(records)))
    lists: list[Record] = []
    for number in range(data.draw(st.integers(1, 4))):
        also = data.draw(st.lists(any_id, min_size=1, max_size=3))
        decides = data.draw(st.booleans())
        lists.append(person(data.draw(any_id), *also, record_id=f"p{number}", decides=decides))
    # Some lists are replaced by later versions, and others are withdrawn.
    later: dict[str, Record] = {}
    for each in data.draw(st.lists(st.sampled_from(lists), max_size=2)):
        also = data.draw(st.lists(any_id, max_size=2))
        decides = data.draw(st.booleans())
        version = person(data.draw(any_id), *also, day=2, record_id=each.record_id, decides=decides)
        later[each.record_id] = version
    withdrawn = set(data.draw(st.lists(st.sampled_from(lists), max_size=1).map(tuple)))
    gone = sorted({each.record_id for each in withdrawn})
    current: list[Record] = []
    for each in lists:
        if each.record_id not in gone:
            current.append(later.get(each.record_id, each))
    owners = owners_of(counting_claims(current))

    right = [parse_record(with_right_ids(each.to_json(), owners)) for each in records]
    room.empty()
    room.graph.write_batch(batch(right, "right", 0))
    for number, finding in enumerate(findings):
        named = finding.model_copy(update={"record": with_right_ids(finding.record, owners)})
        room.graph.write_findings(pack([named], "right", number))
    expected = content(room)

    messages: list[RecordBatch | Findings | None] = []
    shuffled = data.draw(st.permutations([*records, *lists, *later.values()]))
    for number, some in enumerate(cut(data.draw, shuffled)):
        messages.append(batch(some, "job", number))
    messages.append(batch([], "back", 0, gone))
    for number, finding in enumerate(findings):
        messages.append(pack([finding], "job", number))
    messages += [None] * data.draw(st.integers(0, 4))
    room.empty()
    deliver_all(room, data.draw(st.permutations(messages)))
    room.graph.settle_persons()
    assert room.query("MATCH (p:PersonId) WHERE p.places IS NOT NULL RETURN p.id") == []
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    assert content(room) == expected


def placed(room: Room) -> dict[str, list[tuple[str, str | None]]]:
    """Return the node of a person -> its attempts, each with the id of the source if that is another one."""
    found: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    query = "MATCH (s:Student)-[r:TRIED]->(n) RETURN s.id AS id, n.id AS record, r.given_id AS given ORDER BY record"
    for row in room.query(query):
        found[row["id"]].append((row["record"], row["given"]))
    return dict(found)


def tries(room: Room) -> dict[str, int]:
    query = "MATCH (s:Student)-[r:PRACTISED]->() RETURN s.id AS id, r.tries AS tries"
    return {row["id"]: row["tries"] for row in room.query(query)}


def test_a_list_moves_what_came_before_and_places_what_comes_later(
    room: Room, graph: Graph
) -> None:
    """Out: `_move`, or `read_owners` in `apply`."""
    graph.write_batch(batch([attempt("r1", "17"), attempt("r2", "S05")], "j", 0))
    assert graph.write_batch(batch([person("S05", "17", "uuid")], "list", 0)).claims_changed
    assert graph.jobs_with_changed_claims() == {"list"}
    assert graph.settle_persons() == SettledPersons(finished=True, changed=2, moved=1)
    assert graph.jobs_with_changed_claims() == set()
    graph.write_batch(batch([attempt("r3", "uuid")], "j", 1))
    assert placed(room) == {"S05": [("r1", "17"), ("r2", None), ("r3", "uuid")]}
    assert tries(room) == {"S05": 3}
    assert graph.settle_persons() == SettledPersons(finished=True)


def test_a_wrong_list_can_be_taken_back(room: Room, graph: Graph) -> None:
    """Out: `given_id` in any statement that creates or moves a link."""
    records = [attempt("r1", "17"), attempt("r2", "S05")]
    graph.write_batch(batch(records, "j", 0))
    before = room.digest()
    graph.write_batch(batch([person("S05", "17", record_id="p")], "list", 0))
    graph.settle_persons()
    graph.write_batch(batch([attempt("r3", "17")], "later", 0))
    assert list(placed(room)) == ["S05"]
    graph.write_batch(batch([], "back", 0, ["p", "r3"]))
    graph.settle_persons()
    assert placed(room) == {"17": [("r1", None)], "S05": [("r2", None)]}
    assert room.digest() == before
    assert room.query("MATCH (p:PersonId) RETURN p.id") == []


def test_a_contested_id_is_its_own_person_in_any_order_of_the_lists(
    room: Room, graph: Graph
) -> None:
    lists = [person("S05", "0", "17"), person("S06", "0")]
    for order in permutations([*lists, attempt("r1", "0"), attempt("r2", "17")]):
        room.empty()
        for number, record in enumerate(order):
            graph.write_batch(batch([record], "j", number))
            graph.settle_persons()
        assert placed(room) == {"0": [("r1", None)], "S05": [("r2", "17")]}


def test_an_operator_decides_whose_a_contested_id_is(room: Room, graph: Graph) -> None:
    """Out: `decisions` in `_changes`, or `decides` in `IdClaim`."""
    lists = [person("S05", "0"), person("S06", "0")]
    graph.write_batch(batch([*lists, attempt("r1", "0")], "j", 0))
    graph.settle_persons()
    before = room.digest()
    assert list(placed(room)) == ["0"]

    def decide(person_id: str, day: int) -> None:
        decision = person(person_id, "0", day=day, record_id="decided", decides=True)
        graph.write_batch(batch([decision], "decisions", day))
        graph.settle_persons()

    decide("S06", 2)
    assert placed(room) == {"S06": [("r1", "0")]}
    graph.write_batch(batch([person("S07", "0")], "j", 1))
    graph.settle_persons()
    assert placed(room) == {"S06": [("r1", "0")]}
    decide("0", 3)
    assert placed(room) == {"0": [("r1", None)]}
    graph.write_batch(batch([], "back", 0, ["decided", "S07"]))
    graph.write_batch(batch([person("S07", day=2)], "j", 2))
    graph.settle_persons()
    assert placed(room) == {"0": [("r1", None)]}
    assert room.query("MATCH ()-[r:DECIDES]->() RETURN r") == []
    graph.write_batch(batch([person("S06", day=2)], "j", 3))
    graph.settle_persons()
    assert placed(room) == {"S05": [("r1", "0")]}
    assert before != room.digest()


def test_a_claim_that_becomes_a_decision_is_settled(room: Room, graph: Graph) -> None:
    """The pair of ids is the same, and what counts is not. Out: `decides` in `IdClaim`."""
    records = [person("S05", "0", record_id="p"), person("S06", "0"), attempt("r1", "0")]
    graph.write_batch(batch(records, "j", 0))
    graph.settle_persons()
    decision = person("S05", "0", day=2, record_id="p", decides=True)
    graph.write_batch(batch([decision], "j", 1))
    graph.settle_persons()
    assert placed(room) == {"S05": [("r1", "0")]}
    graph.write_batch(batch([person("S05", "0", day=3, record_id="p")], "j", 2))
    graph.settle_persons()
    assert placed(room) == {"0": [("r1", None)]}


class _Killed(Exception):
    pass


@pytest.mark.parametrize(
    "step", ["_change_owners", "_move", "_move_days", "_end_moving", "_forget_notes"]
)
def test_a_settler_goes_on_after_one_that_died(
    room: Room, graph: Graph, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Out: the reading of `placed_ids` in `settle`, or `_forget_notes` before the moves."""
    days = {"type": "activity_record", "timestamp": "2026-03-01T08:00:00Z"}
    activity = parse_record({**days, "data": {"student_id": "17", "course_id": "c"}})
    records = [attempt(f"r{n}", name) for n, name in enumerate(["17", "18", "17", "18"])]
    work: Callable[..., int] = getattr(persons, step)
    done: list[int] = []

    def once(*arguments: Any) -> int:
        if done:
            raise _Killed
        number = work(*arguments)
        done.append(number)
        if step == "_forget_notes":
            raise _Killed  # before its transaction ends
        return number

    graph.write_batch(batch([*records, activity], "j", 0))
    graph.write_batch(batch([person("S05", "17"), person("S06", "18")], "list", 0))
    with monkeypatch.context() as patch:
        patch.setattr(persons, "IDS_AT_ONCE", 1)
        patch.setattr(persons, "RECORDS_AT_ONCE", 1)
        patch.setattr(persons, step, once)
        with pytest.raises(_Killed):
            graph.settle_persons()
    assert graph.jobs_with_changed_claims() == {"list"}
    graph.settle_persons()
    assert placed(room) == {
        "S05": [("r0", "17"), ("r2", "17")],
        "S06": [("r1", "18"), ("r3", "18")],
    }
    [day] = room.query("MATCH (s)-[:ACTIVE_ON]->(d) RETURN s.id AS student, d.id AS id")
    assert day == {"student": "S05", "id": '["17","c","2026-03-01"]'}
    assert graph.derive_anew(repair=False)["wrong"] == {}


def test_an_earlier_settler_stops_where_a_later_one_has_begun(
    room: Room, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the comparison in `_hold`."""
    graph.write_batch(batch([attempt("r1", "17")], "j", 0))
    graph.write_batch(batch([person("S05", "17", record_id="p")], "list", 0))
    read_changes = persons._changes
    later: list[SettledPersons] = []

    def overtaken(connection: Any) -> dict[str, str]:
        changes = read_changes(connection)
        if not later:
            later.append(SettledPersons(finished=False))
            graph.write_batch(batch([], "back", 0, ["p"]))
            later.append(graph.settle_persons())
        return changes

    monkeypatch.setattr(persons, "_changes", overtaken)
    assert not graph.settle_persons().finished
    assert later[1].finished
    assert placed(room) == {"17": [("r1", None)]}
    assert room.query("MATCH (p:PersonId) RETURN p.id") == []


@pytest.mark.real
@pytest.mark.parametrize("room", ["neo4j"], indirect=True)
def test_a_record_that_is_written_while_its_owner_changes_does_not_stay_behind(
    room: Room, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settler runs when the writer has read the owners, and has not locked anything yet.

    Out: `owners` in `more_removals`.
    """
    graph.write_batch(batch([person("S01", "known")], "first", 0))
    graph.settle_persons()
    graph.write_batch(batch([person("S05", "17")], "list", 0))
    settled: list[SettledPersons] = []
    lock = unit_of_work.lock_and_load

    def lock_late(*given: Any) -> Any:
        if not settled:
            with ThreadPoolExecutor(1) as threads:
                settled.append(threads.submit(graph.settle_persons).result())
        return lock(*given)

    monkeypatch.setattr(apply, "lock_and_load", lock_late)
    graph.write_batch(batch([attempt("r1", "17")], "j", 0))
    assert settled == [SettledPersons(finished=True, changed=1, moved=0)]
    assert placed(room) == {"S05": [("r1", "17")]}


@pytest.mark.real
@pytest.mark.parametrize("room", ["neo4j"], indirect=True)
def test_a_change_of_owner_waits_for_a_writer_that_holds_the_old_one(
    room: Room, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settler begins when the writer has looked for changes of owners under its locks.

    Out: the nodes of persons that `_change_owners` locks.
    """
    graph.write_batch(batch([person("S05", "17")], "list", 0))
    write_ledger = apply._write_ledger
    settlers: list[Future[SettledPersons]] = []

    def slow_end(*given: Any) -> None:
        if not settlers:
            settlers.append(threads.submit(graph.settle_persons))
            wait(settlers, timeout=1.0)
        write_ledger(*given)

    monkeypatch.setattr(apply, "_write_ledger", slow_end)
    with ThreadPoolExecutor(1) as threads:
        graph.write_batch(batch([attempt("r1", "17")], "j", 0))
        [settler] = settlers
        assert settler.result().moved == 1
    assert placed(room) == {"S05": [("r1", "17")]}


def restricted(room: Room) -> set[str]:
    rows = room.query(
        "MATCH (s:Student) WHERE s.restricted AND EXISTS { (s)--() } RETURN s.id AS id"
    )
    return {row["id"] for row in rows}


def test_a_restriction_belongs_to_an_id_and_holds_for_the_person(room: Room, graph: Graph) -> None:
    """Out: `write_restrictions` in `_change_owners`, or `restricted_by_alias`."""
    graph.write_batch(
        batch([attempt("r1", "17"), attempt("r2", "S05"), attempt("r3", "x")], "j", 0)
    )
    assert graph.restrict_student("17", restricted=True)
    graph.write_batch(batch([person("S05", "17", "uuid", record_id="p")], "list", 0))
    graph.settle_persons()
    assert restricted(room) == {"S05"}
    assert graph.restricted_students() == {"S05", "17", "uuid"}
    graph.write_batch(batch([], "back", 0, ["p"]))
    graph.settle_persons()
    assert restricted(room) == {"17"}
    assert graph.restricted_students() == {"17"}
    # If the whole person is restricted, each id stays restricted when they are parted.
    graph.write_batch(batch([person("S05", "17", record_id="p2")], "list", 1))
    graph.settle_persons()
    assert graph.restrict_student("17", restricted=False)
    assert graph.restricted_students() == set()
    assert graph.restrict_student("17", restricted=True)
    graph.write_batch(batch([], "back", 1, ["p2"]))
    graph.settle_persons()
    assert restricted(room) == {"S05", "17"}
    assert not graph.restrict_student("nobody", restricted=True)


@pytest.mark.parametrize("claim", [("me", "T2"), ("T2", "me"), ("T2", "mine"), ("mine", "T2")])
def test_nobody_becomes_a_leader_by_a_claim(
    room: Room, graph: Graph, claim: tuple[str, str]
) -> None:
    """Out: `_own` in `refuse_own_claims`, or the other ids of a person in it."""
    data = {"group_id": "8B", "teacher_id": "T2", "role": "leader"}
    row = {"type": "membership_record", "timestamp": "2026-03-01", "record_id": "m", "data": data}
    graph.write_batch(batch([parse_record(row), person("me", "mine")], "j", 0))
    graph.settle_persons()
    before = room.digest()
    rights = ImportRights(roster=True, client="own", person=person_mark("list", "me"))
    lines = [(1, person(*claim, record_id="p")), (2, person("S05", "17"))]
    outcome = graph.write_batch(RecordBatch("list", 0, lines, (), 2, rights=rights))
    assert (outcome.written, outcome.rejected) == (1, 1)
    graph.write_batch(batch([], "back", 0, [person("S05", "17").record_id]))
    assert room.digest() == before


def test_nobody_becomes_a_leader_by_the_end_of_another_claim(room: Room, graph: Graph) -> None:
    """A list claims the id of a leader for the caller, and another list for S09. Out: `claimants_of`."""
    data = {"group_id": "8B", "teacher_id": "L", "role": "leader"}
    row = {"type": "membership_record", "timestamp": "2026-03-01", "record_id": "m", "data": data}
    lists = [person("me", "L"), person("S09", "L", record_id="other")]
    graph.write_batch(batch([parse_record(row), *lists], "j", 0))
    graph.settle_persons()
    rights = ImportRights(roster=True, client="own", person=person_mark("list", "me"))
    lines = [(1, person("S09", day=2, record_id="other"))]
    outcome = graph.write_batch(RecordBatch("list", 0, lines, (), 1, rights=rights))
    assert (outcome.written, outcome.rejected) == (0, 1)
    graph.settle_persons()
    [leader] = room.query("MATCH (t)-[:LEADS]->(:Group) RETURN t.id AS id")
    assert leader == {"id": "L"}


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("claim", [("me", "mine"), ("mine", "me"), ("boss", "me", "mine")])
def test_nobody_becomes_a_leader_by_another_id_of_theirs(
    room: Room, graph: Graph, claim: tuple[str, ...], settled: bool
) -> None:
    """The office's list ties the ids, and the settler may not have run yet. Out: either loop of `_own` in groups.py."""
    graph.write_batch(batch([person(*claim)], "list", 0))
    if settled:
        graph.settle_persons()
    rights = ImportRights(roster=True, client="own", person=person_mark("own", "me"))
    lines = []
    for line, teacher in enumerate(("mine", "T9"), start=1):
        data = {"group_id": "8B", "teacher_id": teacher, "role": "leader"}
        row = {"type": "membership_record", "timestamp": "2026-03-01", "record_id": teacher}
        lines.append((line, parse_record({**row, "data": data})))
    outcome = graph.write_batch(RecordBatch("own", 0, lines, (), 2, rights=rights))
    assert (outcome.written, outcome.rejected) == (1, 1)
    graph.settle_persons()
    rows = room.query("MATCH (t)-[:LEADS]->(:Group) RETURN t.id AS id")
    assert [row["id"] for row in rows] == ["T9"]
