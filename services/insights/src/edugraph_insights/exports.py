"""An answer as a table, in CSV for spreadsheets or in Parquet for data analysis."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args, get_origin

from edugraph_common.contracts.csv_cells import harmless
from edugraph_insights.answers import Answer, Row

PARQUET = "application/vnd.apache.parquet"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_csv(answer: Answer[Any], headings: Mapping[str, str]) -> str:
    """Return the rows as CSV with a heading for each column. A list stands in one cell, its items divided by `; `."""
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
    if isinstance(value, str):
        return harmless(value)
    return value


def as_parquet(answer: Answer[Any], row: type[Row]) -> bytes:
    """Return the rows as Parquet with the types of their fields. Times are in UTC.

    The other parts of the answer, such as how it is computed, stand as JSON in the metadata of the file, under
    `edugraph`.
    """
    from arro3.core import Table
    from arro3.io import write_parquet

    columns = []
    for name, field in row.model_fields.items():
        values = [getattr(each, name) for each in answer.rows]
        columns.append(_column(field.annotation, values))
    table = Table.from_arrays(columns, names=list(row.model_fields))
    metadata = {"edugraph": answer.model_dump_json(exclude={"rows"})}
    out = io.BytesIO()
    write_parquet(table, out, key_value_metadata=metadata)
    return out.getvalue()


def _column(annotation: Any, values: list[Any]) -> Any:
    """Return an Arrow array of one field of all rows. `annotation` is the type of the field."""
    from arro3.core import Array, DataType, list_array

    if get_origin(annotation) is tuple:
        texts: list[str] = []
        ends = [0]  # where the texts of each row end
        for each in values:
            texts += each
            ends.append(len(texts))
        return list_array(Array(ends, type=DataType.int32()), Array(texts, type=DataType.string()))
    kind = annotation
    if get_origin(annotation) is not Literal:
        for each in get_args(annotation):
            if each is not type(None):
                kind = each
                break
    if get_origin(kind) is Literal:
        kind = type(get_args(kind)[0])
    if kind is datetime:
        moments = [
            None if each is None else (each - _EPOCH) // timedelta(microseconds=1)
            for each in values
        ]
        return Array(moments, type=DataType.int64()).cast(DataType.timestamp("us", tz="UTC"))
    if kind is date:
        days = [None if each is None else (each - _EPOCH.date()).days for each in values]
        return Array(days, type=DataType.int32()).cast(DataType.date32())
    data_types = {
        str: DataType.string(),
        int: DataType.int64(),
        float: DataType.float64(),
        bool: DataType.bool(),
    }
    return Array(values, type=data_types[kind])
