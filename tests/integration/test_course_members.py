"""The list of a course's people: whole or unknown, whatever is added, told and erased at the same time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.messages import CourseContext
from edugraph_common.runtime.shared_state import course_members
from edugraph_common.runtime.shared_state.course_members import EPOCH, CourseMembers
from edugraph_common.runtime.shared_state.job_store import connect

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def members(redis_url: str) -> CourseMembers:
    client = connect(redis_url)
    client.delete(EPOCH)
    return CourseMembers(client)


def test_a_list_is_unknown_until_it_is_told(members: CourseMembers, name: str) -> None:
    members.add({name: ["Ana"]}, members.epoch(), NOW)
    assert members.of([name]) == {}
    members.tell(name, ["Ben", "Ben"], members.epoch(), NOW)
    assert members.of([name, f"{name}-2"]) == {name: ("Ana", "Ben")}
    members.add({name: ["Cy"]}, members.epoch(), NOW)
    assert members.of([name]) == {name: ("Ana", "Ben", "Cy")}


def test_a_course_without_names_is_known_as_such(members: CourseMembers, name: str) -> None:
    members.tell(name, [], members.epoch(), NOW)
    assert members.of([name]) == {name: ()}


def test_names_that_the_graph_has_no_longer_go_when_the_list_is_told_again(
    members: CourseMembers, name: str
) -> None:
    members.tell(name, ["Ana", "Ben"], members.epoch(), NOW)
    members.tell(name, ["Ben"], members.epoch(), NOW + timedelta(hours=1))
    assert members.of([name]) == {name: ("Ben",)}


def test_of_too_many_names_the_latest_stay(
    members: CourseMembers, name: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(course_members, "MOST_MEMBERS", 3)
    members.tell(name, ["a", "b", "c"], members.epoch(), NOW)
    members.add({name: ["d", "e"]}, members.epoch(), NOW + timedelta(seconds=1))
    (names,) = members.of([name]).values()
    assert len(names) == 3
    assert {"d", "e"} <= set(names)


def test_what_is_known_of_a_course_is_told_in_its_epoch_alone(
    members: CourseMembers, name: str, server: Any
) -> None:
    """A description may name somebody who is erased meanwhile. Out: `_in_epoch` in tell_context."""
    context, epoch = (
        CourseContext(course_id=name, name="Sums", knowledge_points=("carrying",)),
        members.epoch(),
    )
    assert members.contexts([name]) == {}
    members.tell_context(context, epoch)
    assert members.contexts([name, f"{name}-2"]) == {name: context}
    (key,) = server.scan_iter(match=f"*context:{name}")
    assert 0 < server.ttl(key) <= course_members.CONTEXT_KEPT_SECONDS
    members.forget()
    assert members.contexts([name]) == {}
    members.tell_context(context, epoch)
    assert members.contexts([name]) == {}


def test_everything_of_it_ends_by_itself(members: CourseMembers, name: str, server: Any) -> None:
    members.tell(name, ["Ana"], members.epoch(), NOW)
    members.to_ask([name])
    for key in server.scan_iter(match=f"*{name}*"):
        assert 0 < server.ttl(key) <= course_members.KEPT_SECONDS + 3_600


def test_only_one_of_many_asks(members: CourseMembers, name: str) -> None:
    assert members.to_ask([name, f"{name}-2"]) == [name, f"{name}-2"]
    assert members.to_ask([name]) == []


TURNS = ["writer"] * 3 + ["reader"] * 4 + ["eraser"]  # one for each step of a process


@settings(max_examples=80, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.permutations(TURNS), st.booleans())
@example(["reader", "reader", "writer", "eraser", "reader", "writer", "writer", "reader"], True)
def test_a_known_list_has_everybody_in_the_graph_and_nobody_erased(
    members: CourseMembers, name: str, turns: list[str], with_eraser: bool
) -> None:
    """Two processes and an eraser take turns in any order; `graph` is what the graph has.

    One process writes Ana and Cy and then adds their names, another reads the graph and then tells what it read, and
    the eraser takes Ana out, who is not written after that.
    """
    members.forget()
    graph, erased = {"Ben"}, set[str]()

    def writer() -> Iterator[None]:
        epoch = members.epoch()
        yield
        written = {"Ana", "Cy"} - erased
        graph.update(written)
        yield
        members.add({name: written}, epoch, NOW)
        yield

    def reader() -> Iterator[None]:
        for _ in range(2):
            epoch, found = members.epoch(), set(graph)
            yield
            members.tell(name, found, epoch, NOW)
            yield

    def eraser() -> Iterator[None]:
        erased.add("Ana")
        graph.discard("Ana")
        members.forget()
        yield

    processes = {"writer": writer(), "reader": reader(), "eraser": eraser()}
    for process in turns:
        if with_eraser or process != "eraser":
            next(processes[process])
    if name in members.of([name]):
        assert set(members.of([name])[name]) == graph
