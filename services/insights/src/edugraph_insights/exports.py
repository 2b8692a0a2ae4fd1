"""An answer as a table: CSV, for programs that make tables, and Parquet, for those that compute."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args, get_origin

from edugraph_common.contracts.csv_cells import harmless
from edugraph_insights.answers import Answer, Row

PARQUET = "application/vnd.apache.parquet"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_csv(answer: Answer[Any], headings: Mapping[str, str]) -> str:
    """Return the rows under a heading for each column. Lists stand in one cell, divided by `; `."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(headings.values())
    for row in answer.rows:
        values = row.model_dump(mode="json")
        writer.writerow([_cell(values[name]) for name in headings])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return harmless(value) if isinstance(value, str) else value


def as_parquet(answer: Answer[Any], row: type[Row]) -> bytes:
    """Return the rows with the types of their fields; times are in UTC. What the answer says beside its rows, such as
    how they are computed, stands as JSON in the metadata of the file, under `edugraph`.
    """
    from arro3.core import Table
    from arro3.io import write_parquet

    columns = [
        _column(field.annotation, [getattr(each, name) for each in answer.rows])
        for name, field in row.model_fields.items()
    ]
    said = answer.model_dump_json(exclude={"rows"})
    out = io.BytesIO()
    write_parquet(
        Table.from_arrays(columns, names=list(row.model_fields)), out, key_value_metadata={"edugraph": said}
    )
    return out.getvalue()


def _column(annotation: Any, values: list[Any]) -> Any:
    """Return an Arrow array of what a field of a row may be: text, a number, a day, a moment, or several texts."""
    from arro3.core import Array, DataType, list_array

    if get_origin(annotation) is tuple:
        ends = [0]
        for each in values:
            ends.append(ends[-1] + len(each))
        texts = Array([text for each in values for text in each], type=DataType.string())
        return list_array(Array(ends, type=DataType.int32()), texts)
    kind = next((each for each in get_args(annotation) if each is not type(None)), annotation)
    if kind is datetime:
        moments = [None if each is None else (each - _EPOCH) // timedelta(microseconds=1) for each in values]
        return Array(moments, type=DataType.int64()).cast(DataType.timestamp("us", tz="UTC"))
    if kind is date:
        days = [None if each is None else (each - _EPOCH.date()).days for each in values]
        return Array(days, type=DataType.int32()).cast(DataType.date32())
    of_kind = {str: DataType.string(), int: DataType.int64(), float: DataType.float64(), bool: DataType.bool()}
    return Array(values, type=of_kind[kind])
