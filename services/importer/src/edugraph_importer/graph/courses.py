"""What the graph knows of a course, for those who read its texts."""

from collections.abc import Iterable

from edugraph_common.contracts.messages import CourseContext
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.queries import CYPHER


def contexts(connection: Connection, course_ids: Iterable[str]) -> tuple[CourseContext, ...]:
    """One for each id, in the order given; a course that is not there has its id only."""
    ids = list(dict.fromkeys(course_ids))
    rows = connection.read(CYPHER["course_contexts"], ids=ids)
    return tuple(_context(known, [row.data() for row in rows if row["id"] == known]) for known in ids)


def _context(known: str, rows: list[dict[str, object]]) -> CourseContext:
    points = [row for row in rows if row["point"] is not None]
    points.sort(key=lambda row: (row["place"] is None, row["place"] or 0, str(row["point"])))
    first = rows[0] if rows else {}
    return CourseContext(
        course_id=known,
        name=_text(first.get("name")),
        description=_text(first.get("description")),
        knowledge_points=tuple(str(row["point"]) for row in points),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
