"""Write tables without persons: the answers to questions about whole courses, as analysts see them.

Rows of single records would let a reader count any set of students, without names as well, and so find out what one
of them did. So these tables have the numbers that are protected by noise and thresholds, and no others.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from arro3.core import Array, DataType, Table
from arro3.io import read_parquet

from edugraph_cli.warehouse.delta import exists, overwrite
from edugraph_client import Client
from edugraph_common.contracts.errors import Rejected

PREFIX = "cells_"
# Questions about a course that need no other parameter.
QUESTIONS = (
    "weak-points",
    "earlier-gaps",
    "returning-mistakes",
    "difficulty",
    "items",
    "mastery",
    "trend",
    "mood",
)


def write_cells(client: Client, address: str) -> Mapping[str, int]:
    """Write a table for each question, with a row for each row of the answers about all courses.

    Return the number of rows of each table. Raises Rejected if the answers of this caller are not protected, or if
    tables with persons are at the address.
    """
    choices = client.choices()
    if choices.sees != "cells":
        raise Rejected(
            "The answers for this key are not those for an analyst. Use a key that has only the role analyst."
        )
    base = address.rstrip("/")
    if exists(f"{base}/students"):
        raise Rejected(f"{address} has tables with persons. Name another folder.")
    counts = {}
    for question in QUESTIONS:
        table = _answers(client, question, [each.id for each in choices.courses])
        if table is not None:
            name = f"{PREFIX}{question.replace('-', '_')}"
            overwrite(f"{base}/{name}", table)
            counts[name] = table.num_rows
    return counts


def _answers(client: Client, question: str, courses: list[str]) -> Table | None:
    """Return the rows of the answers about all courses with their course, or None if there are no courses."""
    batches = []
    schema = None
    for course in courses:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "answer.parquet"
            client.save_answer(path, question, course=course)
            answer = read_parquet(path).read_all()
        names = Array([course] * answer.num_rows, type=DataType.string())
        with_course = answer.append_column("of_course", names)
        schema = with_course.schema
        batches += with_course.to_batches()
    if schema is None:
        return None
    return Table.from_batches(batches, schema=schema)
