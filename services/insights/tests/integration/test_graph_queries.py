"""Each general query shows what the records say, and no more than the caller may see; the reference asks no graph."""

from collections import Counter
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from math import isclose
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.permissions import ROLES
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.app import make_application
from edugraph_insights.insights import Insights
from edugraph_insights.problems import TooLarge
from edugraph_insights.queries import permission, walks
from edugraph_insights.queries.answers import OfPath, OfRoot
from edugraph_insights.queries.registry import QUERIES, run_query
from edugraph_insights.queries.visible_graph import MOST_FOUND, VisibleGraph

from .schools import EXAMPLES as MANY
from .schools import NotedAudit, School, at, of, reading, written
from .visible_graph import Persons, Visible, distances, peopled_schools, visible

# Each one asks several queries for four callers, and so takes as long as four of the others.
EXAMPLES = settings(MANY, max_examples=MANY.max_examples // 4 + 1)


def ask(insights: Insights, name: str, caller: Caller = ANYBODY, **parameters: Any) -> Any:
    query = QUERIES[name]
    return run_query(insights, caller, query, query.parameters.model_validate(parameters))


def in_class(school: School) -> Persons:
    """What the teacher t sees: who leads a group sees its members; a home room shows all courses."""
    found: Persons = {}
    members = [r.data for r in school.records if r.type == "membership_record"]
    led = {each.group_id for each in members if each.teacher_id}
    for each in members:
        if each.student_id and each.group_id in led:
            known = found.get(each.student_id, set())
            whole = known is None or each.course_id is None
            found[each.student_id] = None if whole else (known or set()) | {each.course_id}
    return found


def visible_graphs(school: School) -> list[tuple[Caller, Visible]]:
    """Callers of each kind, with what they may see."""
    me: str = min(r.data.student_id for r in of(school.records, "course_record"))
    return [
        (ANYBODY, visible(school, None)),
        (Caller("k", (), ("teacher",), "t"), visible(school, in_class(school))),
        (Caller("k", (), ("student",), me), visible(school, {me: None})),
        (Caller("k", (), ("analyst",)), visible(school, {})),
    ]


def same_links(shown: Any, expected: dict[Any, Any]) -> None:
    found = {(each.source, each.type, each.target): each for each in shown}
    assert found.keys() == expected.keys()
    for link, (number, weight, confidence) in expected.items():
        for value, wanted in ((found[link].weight, weight), (found[link].confidence, confidence)):
            assert (value is None) == (wanted is None), link
            assert value is None or isclose(value, wanted), link
        assert found[link].relationships == number, link


@EXAMPLES
@given(school=peopled_schools(), data=st.data())
def test_what_is_beside_a_node_equals_the_reference_for_each_caller(
    room: Room, insights: Insights, school: School, data: st.DataObject
) -> None:
    """Out: let a statement of queries.cypher forget `p.courses`, `$students` or `$whole`."""
    written(room, school)
    everything = visible(school, None)
    for caller, allowed in visible_graphs(school):
        links = allowed.links()
        for node in data.draw(
            st.lists(st.sampled_from(sorted(everything.nodes)), max_size=3, unique=True)
        ):
            if node not in allowed.nodes:
                with pytest.raises(Refusal) as refused:
                    ask(insights, "neighbours", caller, node=node)
                assert refused.value.status == 404
                continue
            answer = ask(insights, "neighbours", caller, node=node, limit=1_000)
            same_links(
                answer.relationships,
                {link: said for link, said in links.items() if node in {link[0], link[2]}},
            )
            assert {each.node for each in answer.nodes} <= allowed.nodes
            details = ask(insights, "node", caller, node=node)
            for count in details.counts:
                ends = (0, 2) if count.direction == "out" else (2, 0)
                beside = [k for k in links if k[ends[0]] == node and k[1] == count.type]
                assert count.nodes == sum(k[ends[1]].startswith(f"{count.label}:") for k in beside)
            assert sum(c.nodes for c in details.counts) == len(answer.relationships)


@EXAMPLES
@given(school=peopled_schools(), hour=st.sampled_from([None, 12]))
def test_statistics_count_what_a_caller_sees(
    room: Room, insights: Insights, school: School, hour: int | None
) -> None:
    """Out: the relationships of a label that `relationships_of` goes through, `merged`, or a label of `VisibleGraph.labels`."""
    written(room, school)
    for caller, allowed in visible_graphs(school):
        since = datetime.fromisoformat(at(hour)) if hour and "analyst" not in caller.roles else None
        answer = ask(insights, "statistics", caller, **({"from": since} if since else {}))
        links = allowed.links(since)
        assert answer.relationships == Counter(kind for _, kind, _ in links)
        if since is None:
            assert answer.nodes == Counter(node.partition(":")[0] for node in allowed.nodes)


def test_statistics_of_too_much_offer_less(
    insights: Insights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VisibleGraph, "search", lambda *_: ["id"] * (MOST_FOUND + 1))
    with pytest.raises(TooLarge, match="more than 10,000 nodes"):
        ask(insights, "statistics")


@EXAMPLES
@given(school=peopled_schools(), data=st.data())
def test_every_filter_is_satisfied_and_leaves_nothing_else_out(
    room: Room, insights: Insights, school: School, data: st.DataObject
) -> None:
    """Out: let a statement forget the time, or `Walk.related_to` the labels, the weight or the confidence."""
    written(room, school)
    weight, sure = (
        data.draw(st.sampled_from([None, 1.0, 2.5])),
        data.draw(st.sampled_from([None, 0.5, 0.9])),
    )
    labels = data.draw(
        st.lists(st.sampled_from(["Student", "Course", "ErrorType", "Attempt"]), max_size=2)
    )
    types = data.draw(
        st.lists(st.sampled_from(["HAS_ERROR", "LEARNS", "TRIED", "IN_COURSE", "SENT"]), max_size=3)
    )
    since, until = (data.draw(st.none() | st.integers(0, 40)) for _ in "ab")
    moments = {n: at(h) for n, h in (("from", since), ("to", until)) if h is not None}
    given_moments = [
        datetime.fromisoformat(moments[n]) if n in moments else None for n in ("from", "to")
    ]
    for caller, allowed in visible_graphs(school)[: 4 if not moments else 3]:
        links = allowed.links(*given_moments)
        for node in data.draw(
            st.lists(st.sampled_from(sorted(allowed.nodes)), min_size=1, max_size=3, unique=True)
        ):
            expected = {}
            for link, said in links.items():
                fits = (weight is None or said[1] is None or said[1] >= weight) and (
                    sure is None or said[2] is None or said[2] >= sure
                )
                others = {link[0], link[2]} - {node}
                of_label = not labels or all(each.split(":")[0] in labels for each in others)
                if node in link and fits and of_label and (not types or link[1] in types):
                    expected[link] = said
            if node in allowed.times and not_in(allowed.times[node], *given_moments):
                continue
            answer = ask(
                insights, "neighbours", caller, node=node, limit=1_000, min_weight=weight, min_confidence=sure,
                label=labels, type=types, **moments,
            )  # fmt: skip
            same_links(answer.relationships, expected)


def test_what_nobody_named_in_a_time_is_there_with_nothing_beside_it(
    room: Room, insights: Insights
) -> None:
    """Out: in `shows`, the visible graph of any time: a teacher was told that there was no such topic."""
    talk = {
        "student_id_from": "s01",
        "student_id_to": "s01",
        "interaction_type": "chat",
        "topics": ["Sport"],
    }
    members: list[dict[str, Any]] = [
        {"group_id": "home", "student_id": "s01"},
        {"group_id": "home", "teacher_id": "t"},
    ]
    values = [("student_interaction", talk), *(("membership_record", each) for each in members)]
    rows = [
        {"type": kind, "timestamp": at(1), "record_id": f"r{number}", "data": data}
        for number, (kind, data) in enumerate(values)
    ]
    written(room, School([parse_record(row) for row in rows], []))
    teacher = Caller("k", (), ("teacher",), "t")
    for times, beside in (({}, {"Interaction:r0"}), ({"from": at(2)}, set())):
        found = ask(insights, "neighbours", teacher, node="Topic:sport", **times)
        assert {each.node for each in found.nodes} - {"Topic:sport"} == beside
    with pytest.raises(Refusal, match="no such Topic"):
        ask(insights, "neighbours", teacher, node="Topic:music")


def not_in(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    return bool((since and moment < since) or (until and moment > until))


@EXAMPLES
@given(school=peopled_schools(), data=st.data())
def test_sub_graphs_and_paths_equal_the_reference_for_each_caller(
    room: Room, insights: Insights, school: School, data: st.DataObject
) -> None:
    """Out: let `path` stop when one end is used up, or `subgraph` forget the nodes of the last level."""
    written(room, school)
    for caller, allowed in visible_graphs(school):
        links = allowed.links()
        root, other = (data.draw(st.sampled_from(sorted(allowed.nodes))) for _ in "ab")
        depth, limit = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([5, 20, 1_000]))
        near = distances(links, root)
        answer = ask(insights, "subgraph", caller, node=root, depth=depth, limit=limit)
        shown = {each.node: each.steps for each in answer.nodes}
        within = {node: steps for node, steps in near.items() if steps <= depth}
        assert len(shown) == min(limit, len(within))
        assert shown.items() <= within.items()
        if len(within) <= limit:
            inner = {
                link: said
                for link, said in links.items()
                if {link[0], link[2]} & {n for n in near if near[n] < depth}
            }
            same_links(answer.relationships, inner)
            assert answer.of_how_many == {"nodes": len(within), "relationships": len(inner)}
            assert not answer.left_out
        else:
            assert answer.left_out["nodes beyond the limit"] > 0
            assert max(shown.values()) <= min(within[n] for n in within.keys() - shown.keys())
        found = ask(insights, "path", caller, node=root, other=other, steps=8)
        assert found.steps == near.get(other)
        nodes = [each.node for each in found.nodes]
        if found.steps is not None:
            assert (nodes[0], nodes[-1], len(nodes)) == (root, other, found.steps + 1)
        for step, ends in zip(found.relationships, pairwise(nodes), strict=True):
            assert {step.source, step.target} == {*ends}
            assert (step.source, step.type, step.target) in links


@EXAMPLES
@given(school=peopled_schools(), begins=st.sampled_from(["", "s", "s0", "P", "p", "r1"]))
def test_a_search_finds_what_begins_so_and_is_visible(
    room: Room, insights: Insights, school: School, begins: str
) -> None:
    """Out: let `VisibleGraph.search` leave out what only records of permitted students name."""
    written(room, school)
    for caller, allowed in visible_graphs(school):
        for label in (
            "Student",
            "Course",
            "KnowledgePoint",
            "ErrorType",
            "Attempt",
            "Topic",
            "Teacher",
        ):
            of_label = sorted(each for each in allowed.nodes if each.startswith(f"{label}:"))
            wanted = [
                each
                for each in of_label
                if each.partition(":")[2].lower().startswith(begins.lower())
            ]
            answer = ask(insights, "nodes", caller, label=label, begins=begins, limit=3)
            assert answer.of_how_many == {"nodes": len(wanted)}
            assert [each.node for each in answer.nodes] == wanted[:3]
            assert sum(answer.left_out.values()) == max(len(wanted) - 3, 0)


@EXAMPLES
@given(school=peopled_schools())
def test_a_point_leads_to_all_its_students_and_joins_courses(
    room: Room, insights: Insights, school: School
) -> None:
    """Mistakes by point and course, and a path from course to course through a point that mistakes share."""
    written(room, school)
    for caller, allowed in visible_graphs(school)[:2]:
        links = allowed.links()
        for node in sorted(each for each in allowed.nodes if each.startswith("KnowledgePoint:")):
            mistakes = {a for a, kind, b in links if kind == "CONCERNS" and b == node}
            students = {a for a, kind, b in links if kind in {"MADE", "TRIED"} and b in mistakes}
            answer = ask(
                insights,
                "subgraph",
                caller,
                node=node,
                depth=2,
                limit=1_000,
                type=["CONCERNS", "MADE", "TRIED"],
            )
            shown = {each.node for each in answer.nodes}
            assert {each for each in shown if each.startswith("Student:")} == students
            courses = {b for a, kind, b in links if kind == "IN_COURSE" and a in mistakes}
            if {"Course:C", "Course:D"} <= courses:
                way = ask(
                    insights,
                    "path",
                    caller,
                    node="Course:C",
                    other="Course:D",
                    type=["IN_COURSE", "CONCERNS"],
                )
                assert way.steps in {2, 4}  # one mistake of both courses, or two that share a point


@pytest.fixture
def class_of_three(room: Room) -> None:
    values: list[tuple[str, dict[str, Any]]] = []
    for number, who in enumerate(("s1", "s2", "s3")):
        values.append(
            ("course_record", {"student_id": who, "course_id": "C", "student_name": f"Name {who}"})
        )
        data = {
            "student_id": who,
            "course_id": "C",
            "error_text": "secret words",
            "error_type": f"only {who}",
        }
        values += [("error_record", {**data, "question": str(n)}) for n in range(number + 1)]
    values.append(
        (
            "student_interaction",
            {"student_id_from": "s1", "student_id_to": "s2", "interaction_type": "chat"},
        )
    )
    records = [
        parse_record({"type": kind, "timestamp": at(n), "record_id": f"r{n}", "data": data})
        for n, (kind, data) in enumerate(values)
    ]
    written(room, School(records, []))


@pytest.mark.usefixtures("class_of_three")
def test_a_hub_is_not_expanded_and_stands_in_left_out(insights: Insights) -> None:
    """Out: let `_from_nodes` not ask for degrees, or `_by_persons` not count."""
    for persons in (None, {"s1": None, "s2": None, "s3": None}):
        part = VisibleGraph(insights.graph, persons, most_relationships=2)
        answer = walks.subgraph(part, OfRoot(node="Course:C", depth=2))
        assert not answer.relationships
        assert [each for each in answer.left_out if "of Course:C: more than 2" in each]
        # A path may meet at it, since that needs no more of its relationships than those of the two ends.
        way = walks.path(part, OfPath(node="Course:C", other="Student:s1"))
        assert way.steps == 1
        assert walks.path(part, OfPath(node="Student:s1", other="Student:s3")).steps == 2


@pytest.mark.usefixtures("class_of_three")
def test_a_repeated_mistake_weighs_more(insights: Insights) -> None:
    weights = [
        ask(insights, "neighbours", node=f"Student:{who}", type=["HAS_ERROR"])
        .relationships[0]
        .weight
        for who in ("s1", "s2", "s3")
    ]
    assert weights == [1.0, 2.0, 3.0]


@pytest.mark.usefixtures("class_of_three")
def test_who_is_restricted_is_on_no_path_and_in_no_search(room: Room, insights: Insights) -> None:
    """Out: leave `restricted` out of a statement of queries.cypher."""
    room.graph.restrict_student("s2", restricted=True)
    shown = [
        ask(insights, "nodes", label="Student"),
        ask(insights, "nodes", label="ErrorRecord"),
        ask(insights, "nodes", label="ErrorType"),
        ask(insights, "subgraph", node="Course:C", depth=4),
        ask(insights, "subgraph", node="Student:s1", depth=4),
    ]
    for answer in shown:
        assert "s2" not in answer.model_dump_json()
    assert shown[0].of_how_many == {"nodes": 2}
    for node in ("Student:s2", "ErrorType:only s2", "ErrorRecord:r3"):
        with pytest.raises(Refusal):
            ask(insights, "node", node=node)


@pytest.mark.usefixtures("class_of_three")
def test_each_role_sees_what_the_table_says_and_reads_of_persons_are_noted(room: Room) -> None:
    """Out: give a role to ROWS, or let `run_query` not write into the audit log."""
    for role in ROLES:
        audit = NotedAudit()
        insights = reading(room, audit=audit)
        caller = Caller("k", (), (role,), "s1")
        if role not in permission.ROWS:
            with pytest.raises(Refusal) as refused:
                ask(insights, "nodes", caller, label="Course")
            assert refused.value.status == 403
            continue
        texts = ask(insights, "subgraph", caller, node="Course:C", depth=3).model_dump_json()
        assert ("s1" in texts) == (role == "student")
        assert "s3" not in texts
        assert audit.entries == (
            [("k", "personal.read", "graph subgraph", ("node", "Course:C"))]
            if role == "student"
            else []
        )
        if permission.ROWS[role] == "cells":
            for detail in ({"course": "C"}, {"group": "g"}, {"from": at(0)}, {"to": at(1)}):
                with pytest.raises(Refusal, match="leave out"):
                    ask(insights, "nodes", caller, label="Course", **detail)
        insights.graph.close()


@pytest.mark.usefixtures("class_of_three")
def test_course_and_group_narrow_whose_records_are_seen(insights: Insights) -> None:
    assert ask(insights, "nodes", label="Student", course="C").of_how_many == {"nodes": 3}
    assert ask(insights, "nodes", label="Student", course="D").of_how_many == {"nodes": 0}
    assert ask(insights, "nodes", label="Student", group="g").of_how_many == {"nodes": 0}
    assert ask(insights, "nodes", label="Interaction", course="C").of_how_many == {"nodes": 0}


def test_who_answered_is_in_a_course_in_which_nobody_stands(room: Room, insights: Insights) -> None:
    """As in the questions. To take the guard out: read the statement students_of_course alone."""
    data = {"student_id": "s1", "item_id": "i", "course_id": "E", "correct": False}
    tried = parse_record(
        {"type": "attempt_record", "timestamp": at(1), "record_id": "r", "data": data}
    )
    written(room, School([tried], []))
    assert ask(insights, "nodes", label="Student", course="E").of_how_many == {"nodes": 1}
    assert ask(insights, "nodes", label="Attempt", course="E").of_how_many == {"nodes": 1}


@pytest.mark.usefixtures("class_of_three")
def test_the_queries_over_http(room: Room) -> None:
    found = reading(room)  # the application closes what it reads from at its end
    open_to_all = found.settings.model_copy(update={"auth": "off"})
    with TestClient(
        make_application(replace(found, settings=open_to_all)), base_url="http://127.0.0.1"
    ) as client:
        answer = client.get(
            "/v1/graph/neighbours", params={"node": "Student:s1", "type": ["MADE", "LEARNS"]}
        )
        assert answer.status_code == 200
        assert {each["type"] for each in answer.json()["relationships"]} == {"MADE", "LEARNS"}
        details = client.get("/v1/graph/node?node=Student:s1").json()
        assert details["properties"]["name"] == "Name s1"
        for path, status in [
            ("node?node=Student:nobody", 404),
            ("node?node=Nothing:1", 422),
            ("node?node=ImportJob:job", 422),
            ("neighbours?node=Student:s1&type=DROP", 422),
            ("nodes?label=Student)%20DETACH%20DELETE%20n", 422),
            ("subgraph?node=Student:s1&depth=9", 422),
            ("nodes?label=Student&cypher=MATCH", 422),
        ]:
            problem = client.get(f"/v1/graph/{path}")
            assert problem.status_code == status, path
            assert problem.headers["content-type"] == "application/problem+json"
