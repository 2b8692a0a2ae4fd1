"""Exports of answers whose rows no graph gave."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from arro3.io import read_parquet

from edugraph_insights.answers import Answer
from edugraph_insights.exports import as_parquet
from edugraph_insights.questions import QUESTIONS


def answered(name: str, *rows: Any) -> Answer[Any]:
    return Answer(
        question=name,
        computed_by="",
        as_of=datetime(2026, 6, 1, tzinfo=UTC),
        parameters={},
        exact=True,
        of_how_many={},
        left_out={},
        rows=rows,
    )


@pytest.mark.parametrize("name", [*QUESTIONS])
def test_each_row_has_columns_of_parquet_even_without_values(name: str) -> None:
    """Out: in `_column`, the type of words that may be missing, or of words that may not."""
    row = QUESTIONS[name].row
    table = read_parquet(io.BytesIO(as_parquet(answered(name), row)))
    assert table.schema.names == list(row.model_fields)


def test_a_word_of_a_closed_list_may_be_missing() -> None:
    row = QUESTIONS["review-queue"].row
    needed = {"key": "k", "kind": "finding", "aspect": "error_type", "target": "t", "name": "T"}
    rows = []
    for calibration in ("measured", None, "not calibrated"):
        values = {**needed, "confidence": 0.5, "calibration": calibration}
        rows.append(row.model_validate({**values, "unsure": True, "drawn": False}))
    [batch] = read_parquet(io.BytesIO(as_parquet(answered("review-queue", *rows), row)))
    column = batch.columns[batch.schema.names.index("calibration")]
    assert column.to_pylist() == ["measured", None, "not calibrated"]
