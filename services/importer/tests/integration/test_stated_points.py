"""The version of the points that a school states for a course, which is in the key of answers about the course."""

from typing import Any

from edugraph_common.contracts.findings import RecordFinding
from edugraph_importer.graph import Graph

from .random_imports import ORIGIN, pack
from .test_graph_points import record, says, text_that_claims, write


def version(graph: Graph, course: str = "c") -> str:
    [context] = graph.course_contexts([course])
    return context.stated


def stated(graph: Graph, **more: Any) -> str:
    """Return the version after a correction of the one point."""
    data = {"point_id": "sums", "name": "Sums", "course_id": "c", **more}
    write(graph, f"job {more}", says("r", f"2026-02-{len(more) + 1:02}", **data))
    return version(graph)


def test_a_course_without_stated_points_has_no_version(graph: Graph) -> None:
    """A point that only a text names in the course is not stated. Out: the MATCH of a definition for the course."""
    assert version(graph) == ""
    text = record("course_content", "text 0", "2026-01-01", course_id="c", content="Sums first. 0")
    write(graph, "text", text)
    claimed = text_that_claims(("Sums", "Numbers", 0.9), texts=1)
    found = RecordFinding(record=text.to_json(), finding=claimed.findings[0].finding, origin=ORIGIN)
    graph.write_findings(pack([found], "analysis", 0))
    write(graph, "curriculum", says("s", name="Sums", description="Adding"))
    [context] = graph.course_contexts(["c"])
    assert (set(context.knowledge_points), context.stated) == ({"Sums", "Numbers"}, "")


def test_each_change_of_a_stated_point_is_another_version(graph: Graph) -> None:
    """Out: a field of the row in stated_points."""
    versions = [
        stated(graph),
        stated(graph, description="Adding"),
        stated(graph, description="Adding", label="7.S"),
        stated(graph, description="Adding", label="7.S", parent="number"),
        stated(graph, description="Adding", label="7.S", parent="number", requires=["counting"]),
        stated(
            graph,
            description="Adding",
            label="7.S",
            parent="number",
            requires=["counting"],
            names=["加法"],
        ),
    ]
    assert len(set(versions)) == len(versions)
    write(graph, "another", says("s", point_id="ratios", name="Ratios", course_id="c"))
    assert version(graph) not in versions
    write(graph, "taken back", withdrawn=("s",))
    assert version(graph) == versions[-1]


def test_ids_and_times_of_records_are_no_part_of_the_version(graph: Graph) -> None:
    """Out: `n.id` or `n.timestamp` in the row of stated_points, or a list in place of the set of contents."""
    first = stated(graph)
    point = {"point_id": "sums", "name": "Sums", "course_id": "c"}
    write(graph, "the same, by another record", says("other", "2026-05-01", **point))
    assert version(graph) == first
    write(graph, "the first one is gone", withdrawn=("r",))
    assert version(graph) == first


def test_the_points_of_other_courses_are_no_part_of_the_version(graph: Graph) -> None:
    """Out: `WHERE e.id = id`, or `f.id <> id`. Both courses have the point."""
    first = stated(graph)
    other = says("s", point_id="sums", name="Sums", course_id="d", description="For grade 9")
    write(graph, "other", other, says("t", point_id="ratios", name="Ratios", course_id="d"))
    assert version(graph) == first
    assert version(graph, "d") not in {first, ""}


def test_a_curriculum_without_a_course_counts_for_courses_that_state_its_points(
    graph: Graph,
) -> None:
    """Out: the second MATCH of stated_points, for the definitions of the course alone."""
    write(graph, "link", says("link", point_id="sums", course_id="c"))
    linked = version(graph)
    write(graph, "curriculum", says("s", point_id="sums", name="Sums", description="Adding"))
    known = version(graph)
    write(
        graph, "next", says("s", "2026-05-01", point_id="sums", name="Sums", description="Sum up")
    )
    assert len({linked, known, version(graph), ""}) == 4
    write(graph, "other", says("t", point_id="ratios", name="Ratios"))
    assert version(graph, "d") == ""
