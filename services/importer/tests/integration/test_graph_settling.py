"""The settler: it may die, be overtaken, or meet writers, and the edges are those of the claims in the end."""

from typing import Any

import pytest
from threads import at_once

from edugraph_importer.graph import Graph, prerequisites

from .graph_reference import relationships
from .test_graph_points import says, text_that_claims, write

CYCLE = (("a", "b", 0.5), ("b", "c", 0.75), ("c", "a", 1.0))
FOLLOWED, ASIDE = {("b", "c"): 0.75, ("c", "a"): 1.0}, {("a", "b"): 0.5}


class _Killed(Exception):
    pass


def edges(room: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
    return relationships(room, "DEPENDS_ON", "confidence"), relationships(
        room, "SET_ASIDE", "confidence"
    )


def notes(room: Any) -> list[str]:
    return [
        row["job"]
        for row in room.query("MATCH (c:ClaimChange) RETURN c.job_id AS job ORDER BY job")
    ]


def test_a_text_only_notes_that_claims_changed_and_names_its_job(graph: Graph, room: Any) -> None:
    outcome = graph.write_findings(text_that_claims(*CYCLE))
    assert outcome.claims_changed
    assert (edges(room), notes(room)) == (({}, {}), ["analysis"])
    again = graph.write_findings(text_that_claims(*CYCLE, job="again"))
    assert not again.claims_changed
    settled = graph.settle_prerequisites()
    assert (settled.finished, settled.set_aside) == (True, ("a > b",))
    assert (edges(room), notes(room)) == ((FOLLOWED, ASIDE), [])
    assert graph.settle_prerequisites().changes.pairs == []


@pytest.mark.parametrize("step", ["_remove", "_create", "_forget_notes"])
def test_whoever_settles_after_one_that_died_finds_the_rest(
    graph: Graph, room: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """To take the guard out: let `settle` forget the notes before it writes."""
    graph.write_findings(text_that_claims(("a", "x", 1.0), ("a", "y", 1.0), ("z", "a", 1.0)))
    graph.settle_prerequisites()
    graph.write_findings(text_that_claims(*CYCLE, job="another"))
    done, work = list[int](), getattr(prerequisites, step)

    def once(*arguments: Any) -> int:
        if done and step != "_forget_notes":
            raise _Killed
        number = int(work(*arguments))
        if step == "_forget_notes":
            raise _Killed  # before its transaction ends
        done.append(number)
        return number

    with monkeypatch.context() as patch:
        patch.setattr(prerequisites, "EDGES_AT_ONCE", 1)
        patch.setattr(prerequisites, step, once)
        with pytest.raises(_Killed):
            graph.settle_prerequisites()
    assert notes(room) == ["another"]
    graph.settle_prerequisites()
    assert (edges(room), notes(room)) == ((FOLLOWED, ASIDE), [])
    assert room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id ORDER BY id") == [
        {"id": each} for each in "abc"
    ]


def test_an_earlier_settler_stops_where_a_later_one_has_begun(
    graph: Graph, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let `_hold` raise nothing."""
    graph.write_findings(text_that_claims(("a", "b", 1.0)))
    plan, later = prerequisites.plan, list[prerequisites.Settled]()

    def overtaken(connection: Any) -> Any:
        changes = plan(connection)
        if not later:
            later.append(prerequisites.Settled(finished=False))
            graph.write_findings(text_that_claims(("b", "a", 1.0), job="another"))
            later.append(graph.settle_prerequisites())
        return changes

    with monkeypatch.context() as patch:
        patch.setattr(prerequisites, "plan", overtaken)
        assert not graph.settle_prerequisites().finished
    assert later[1].finished
    assert (edges(room), notes(room)) == (({("b", "a"): 1.0}, {}), [])


def test_what_is_claimed_while_a_settler_reads_is_left_to_the_next(
    graph: Graph, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let `settle` read the notes after the claims."""
    graph.write_findings(text_that_claims(("a", "b", 1.0)))
    plan = prerequisites.plan

    def interrupted(connection: Any) -> Any:
        changes = plan(connection)
        graph.write_findings(text_that_claims(("b", "a", 1.0), job="another"))
        return changes

    with monkeypatch.context() as patch:
        patch.setattr(prerequisites, "plan", interrupted)
        graph.settle_prerequisites()
    assert notes(room) == ["another"]
    graph.settle_prerequisites()
    assert (edges(room), notes(room)) == (({("b", "a"): 1.0}, {}), [])


def test_settlers_beside_writers_leave_what_the_claims_say(graph: Graph, room: Any) -> None:
    definitions = [says(f"p{n}", point_id=f"p{n}", requires=[f"p{n + 1}", "p0"]) for n in range(6)]

    def writes(part: int) -> None:
        for n in range(part, 6, 2):
            write(graph, f"job-{n}", definitions[n])
            if n % 3 == 0:
                write(graph, f"back-{n}", withdrawn=(f"p{n}",))

    def settles() -> None:
        for _ in range(6):
            graph.settle_prerequisites()

    at_once([lambda: writes(0), lambda: writes(1), settles, settles])
    found = room.digest()
    assert graph.derive_anew(repair=False)["wrong"] == {}
    room.empty()
    write(graph, "left", *(definitions[n] for n in (1, 2, 4, 5)))
    write(graph, "back", withdrawn=("p0", "p3"))
    assert found == room.digest()
