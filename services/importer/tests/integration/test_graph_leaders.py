"""Leaders of groups: nobody makes themselves one, and each change of them is noted, whatever causes it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportRights, person_mark
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources.rights import OWN_LEADER
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Cause, Graph, RecordRetention
from edugraph_importer.graph.groups import CallerWouldLead
from edugraph_importer.graph.tombstones import Tombstones
from edugraph_importer.undo import replay_undos, undo_import

from .imports import graph_with_rows, import_rows, split

OFFICE = ImportRights(roster=True, client="office")
_days = count(1)


@pytest.fixture
def graph(room: Any, blobs: Blobs) -> Iterator[Graph]:
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        yield graph


def row(
    record_id: str, person: str = "T1", group: str = "8B", day: int = 1, **more: Any
) -> dict[str, Any]:
    """A membership. `role` is leader unless `more` says otherwise."""
    head: dict[str, Any] = {key: more.pop(key) for key in ("reading", "type") if key in more}
    data = {"group_id": group, "teacher_id": person, "role": "leader", **more}
    at = f"2026-03-{day:02}T08:00:00Z"
    return {
        "type": "membership_record",
        "timestamp": at,
        "record_id": record_id,
        "data": data,
        **head,
    }


def taken_back(record_id: str, day: int = 20) -> dict[str, Any]:
    return {"record_id": record_id, "withdrawn": True, "timestamp": f"2026-03-{day:02}T08:00:00Z"}


def brought(
    graph: Graph, blobs: Blobs, rows: list[dict[str, Any]], own: str | None = None
) -> list[Any]:
    """Import rows by the office, or by a caller whose own person is `own`. Return the rejects."""
    job_id, messages = split(blobs, rows, rights=OFFICE)
    rights = (
        ImportRights(roster=True, client="own", person=person_mark(job_id, own)) if own else OFFICE
    )
    rejects: list[Any] = []
    for message in messages:
        batch = read_batch(blobs, message.model_copy(update={"rights": rights})).graph
        outcome = graph.write_batch(batch)
        assert (
            outcome.read
            == outcome.rejected
            + outcome.written
            + outcome.replaced
            + outcome.unchanged
            + outcome.older
        )
        assert graph.write_batch(batch) == outcome
        rejects += [*batch.rejects, *graph.rejects(job_id, message.batch)]
    return rejects


def write(room: Any, cypher: str) -> None:
    """Change the graph by hand."""
    with room.driver.session(database=room.settings.database) as session:
        session.run(cypher).consume()


def leaders(room: Any) -> set[tuple[str, str]]:
    rows = room.query("MATCH (p)-[:LEADS]->(g:Group) RETURN p.id AS person, g.id AS group")
    return {(each["person"], each["group"]) for each in rows}


def noted(graph: Graph) -> list[tuple[str, str, str, bool]]:
    """Return client, cause without its job, group and whether they lead it; and forget the notes, as the log does."""
    changes = graph.leader_changes()
    graph.forget_leader_changes([each.id for each in changes])
    assert graph.leader_changes() == ()
    return [(each.client, each.by.split(" ")[0], each.group, each.leads) for each in changes]


# Name -> (what the office has imported, what the own person of T1 sends). T1 leads nothing before.
HIDDEN = [row("old", day=1), row("new", day=2, role="member")]
WAYS: dict[str, tuple[list[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "withdraws the later membership": ([HIDDEN], [taken_back("new")]),
    "gives the later membership to somebody else": (
        [HIDDEN],
        [row("new", "S9", day=3, role="member")],
    ),
    "moves the later membership to another group": (
        [HIDDEN],
        [row("new", group="9Z", day=3, role="member")],
    ),
    "moves the later membership to another time": (
        [HIDDEN],
        [row("new", day=3, role="member", starts="2026-01-01")],
    ),
    "withdraws the end of an earlier time": (
        [
            [
                row("old", day=1, starts="2026-01-01"),
                row("end", day=2, starts="2026-01-01", ends="2026-02-01"),
            ]
        ],
        [taken_back("end")],
    ),
    "brings a version of another type back by a higher reading": (
        [
            [{**row("x"), "type": "term_record", "data": {"term": "2026"}}],
            [row("x", day=9)],
        ],
        [row("x", "S9", day=3, reading=9, role="member")],
    ),
}


def _cause(client: str, by: str, person: str | None) -> Cause:
    """A request of a caller with this own person, which another caller sent on."""
    other = person_mark("request", "somebody")
    return Cause(client, by, "request", (other, person_mark("request", person)) if person else ())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", [1, -1])
def test_no_row_makes_its_sender_a_leader(
    room: Any, graph: Graph, blobs: Blobs, way: str, order: int
) -> None:
    """Out: `CallerWouldLead` in `LeaderNotes.write`; `superseded.memberships` or those of new records in `apply`."""
    before, sent = WAYS[way]
    for rows in before:
        brought(graph, blobs, rows)
    led = leaders(room)
    harmless = [
        row("other", "T2", "7A"),
        taken_back("unknown"),
        row("mine", "T1", "7A", role="member"),
    ]
    rejects = brought(graph, blobs, [*sent, *harmless][::order], own="T1")
    assert [(each.reason, each.found) for each in rejects] == [(OWN_LEADER, "")]
    assert leaders(room) == led | {("T2", "7A")}
    assert noted(graph)[-1] == ("own", "job", "7A", True)
    # Another caller may do the same, and nothing of the refused row is left in the graph.
    assert brought(graph, blobs, sent, own="T5") == []
    assert leaders(room) >= {("T1", "8B")}


def test_several_rows_that_act_together_are_all_set_aside(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: `refused` of the batch before in `Graph.write_batch`. The first row hides what the second does."""
    brought(graph, blobs, HIDDEN)
    brought(
        graph, blobs, [row("old-9", group="9Z"), row("new-9", group="9Z", day=2, role="member")]
    )
    moved = row("new", group="9Z", day=9, role="member")
    rejects = brought(graph, blobs, [moved, taken_back("new-9"), row("z", "T2", "7A")], own="T1")
    assert [each.reason for each in rejects] == [OWN_LEADER, OWN_LEADER]
    assert leaders(room) == {("T2", "7A")}


def test_who_leads_less_than_before_is_not_refused(room: Any, graph: Graph, blobs: Blobs) -> None:
    brought(graph, blobs, [row("old"), row("kept", group="7A")])
    assert brought(graph, blobs, [taken_back("old")], own="T1") == []
    assert leaders(room) == {("T1", "7A")}


@pytest.mark.parametrize("person", ["T1", "T5", None])
def test_an_undo_that_makes_its_caller_a_leader_is_left_to_another(
    room: Any, graph: Graph, blobs: Blobs, person: str | None
) -> None:
    """Out: `cause` in `undo_batch`, or `CallerWouldLead` in `LeaderNotes.write`."""
    import_rows(graph, blobs, [row("old"), row("a", "S1", "7A", role="member")])
    job_id = import_rows(graph, blobs, [row("old", day=2, role="member"), row("b", "T2", "7A")])
    assert leaders(room) == {("T2", "7A")}
    cause = _cause("own", "the undo", person)
    if person == "T1":
        with pytest.raises(CallerWouldLead) as refused:
            undo_import(graph, blobs, job_id, cause)
        assert isinstance(refused.value, Rejected)
        assert "T1" not in str(refused.value)
        assert leaders(room) == {("T2", "7A")}
        # The same holds after a restore, and the report says that the undo was left.
        assert replay_undos(graph, blobs, cause)[1].keys() >= {job_id}
        undo_import(graph, blobs, job_id, _cause("head", "the undo", "T9"))
    else:
        undo_import(graph, blobs, job_id, cause)
    assert leaders(room) == {("T1", "8B")}
    assert {(by, group, leads) for _, by, group, leads in noted(graph)[-2:]} == {
        ("the", "8B", True),
        ("the", "7A", False),
    }


@pytest.mark.parametrize(
    "asked",
    [("group", "8B", "9A", "T2")],
    ids=" ".join,
)
def test_a_renaming_makes_nobody_the_leader_of_another_group(
    room: Any, graph: Graph, blobs: Blobs, asked: tuple[Any, str, str, str]
) -> None:
    """Out: the answer of `_would_lead` in renaming.py."""
    of, old, new, own = asked
    student = {"teacher_id": None, "student_id": "S2"}
    brought(graph, blobs, [row("a", "T2"), row("b", "T9", "9A"), row("c", group="8C", **student)])
    before = room.digest()
    mine = _cause("own", "the renaming", own)
    assert graph.rename(of, old, new, lambda: True, merge=True, cause=mine).refused == "own"
    assert room.digest() == before
    others = _cause("own", "the renaming", "T7")
    assert graph.rename(of, old, new, lambda: True, merge=True, cause=others).moved == 1


def test_a_move_that_would_make_the_caller_a_leader_is_refused_though_it_had_begun(
    room: Any, graph: Graph, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader may come between the look and the move. Out: `leaders.write` in `_move`."""
    monkeypatch.setattr("edugraph_importer.graph.renaming._would_lead", lambda *_: False)
    brought(graph, blobs, [row("a", "T2")])
    with pytest.raises(CallerWouldLead):
        graph.rename("group", "8B", "9A", lambda: True, cause=_cause("own", "the renaming", "T2"))
    assert leaders(room) == {("T2", "8B")}


DAY = datetime(2036, 1, 1, tzinfo=UTC)


def _ends(room: Any) -> Callable[[Graph], None]:
    def end(_: Graph) -> None:
        kept = RecordRetention(0, 30, 30, 30, lambda: DAY)
        with closing(Graph(room.settings, kept)) as with_retention:
            assert with_retention.end_old_records(lambda: True).removed == 1

    return end


def _led_by(student: str) -> dict[str, Any]:
    return row("a", None or "", teacher_id=None, student_id=student, ends="2026-04-01")


CHANGES: dict[str, tuple[Callable[[Any, Graph], Any], list[tuple[str, bool]]]] = {
    "a renaming of the group": (
        lambda _, graph: graph.rename(
            "group", "8B", "9A", lambda: True, cause=Cause("head", "the renaming")
        ),
        [("8B", False), ("9A", True)],
    ),
    "a removal of the group": (
        lambda _, graph: graph.remove("group", "8B", lambda: True, Cause("head", "the removal")),
        [("8B", False)],
    ),
    "an erasure": (
        lambda _, graph: graph.erase_student("S1", Cause("head", "the erasure")),
        [("8B", False)],
    ),
    "the end of a retention": (lambda room, graph: _ends(room)(graph), [("8B", False)]),
    "a rebuild": (
        lambda room, graph: (
            write(room, "MATCH (:Student {id: 'S1'})-[r:LEADS]->() DELETE r"),
            graph.derive_anew(repair=True, request_id="r", cause=Cause("head", "the rebuild")),
        ),
        [("8B", True)],
    ),
}


@pytest.mark.parametrize("way", CHANGES)
def test_each_change_of_a_leader_is_noted_with_its_cause(
    room: Any, graph: Graph, blobs: Blobs, way: str
) -> None:
    """Out: `leaders.write` in the module that the name of the case says."""
    change, expected = CHANGES[way]
    brought(graph, blobs, [_led_by("S1"), row("b", "T9", "7C", role="member")])
    keyed = Tombstones(room.settings.privacy_secret).in_audit_log
    [first] = graph.leader_changes()
    assert (first.client, first.group, first.leads) == ("office", "8B", True)
    assert first.person == keyed("Student", "S1")
    assert len(noted(graph)) == 1
    change(room, graph)
    changes = graph.leader_changes()
    assert sorted((each.group, each.leads) for each in changes) == expected
    who = (
        ("retention", "the end of a retention")
        if "retention" in way
        else ("head", "the " + way.split(" ")[1])
    )
    assert {(each.client, each.by) for each in changes} == {who}
    for each in changes:
        person = "S2" if way.endswith("the person") and each.leads else "S1"
        assert each.person == keyed("Student", person)


def test_a_comparison_with_the_records_notes_nothing(room: Any, graph: Graph, blobs: Blobs) -> None:
    brought(graph, blobs, [row("a")])
    noted(graph)
    write(room, "MATCH ()-[r:LEADS]->() DELETE r")
    assert graph.derive_anew(repair=False)["wrong"] == {"LEADS": 1}
    assert graph.leader_changes() == ()


def test_a_transaction_that_fails_notes_nothing(room: Any, graph: Graph, blobs: Blobs) -> None:
    """The note is in the transaction of the change: both are there, or neither."""
    brought(graph, blobs, [*HIDDEN, row("a", "T2", "7A")])
    noted(graph)
    assert brought(graph, blobs, [taken_back("new")], own="T1")
    assert graph.leader_changes() == ()
    assert leaders(room) == {("T2", "7A")}
