"""An answer as a table: CSV, for programs that make tables."""

import csv
import io
from typing import Any

from edugraph_insights.answers import Answer

# What a spreadsheet would take for a formula; texts of students stand in some cells.
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def as_csv(answer: Answer[Any], columns: list[str]) -> str:
    """Return the rows with a header. Lists stand in one cell, divided by `; `."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in answer.rows:
        values = row.model_dump(mode="json")
        writer.writerow([_cell(values[name]) for name in columns])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA_BEGINS):
        return f"'{value}"
    return value
