"""One table in the Delta format. This module is the only one that knows delta-rs.

The files of former versions, and their entries in the log, name persons who may have been erased. `clean` deletes
them.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from arro3.core import Array, DataType, Field, Schema, Table, list_array
from deltalake import (
    CommitProperties,
    DeltaTable,
    QueryBuilder,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import DeltaError

from edugraph_cli.warehouse.schema import Columns, Kind
from edugraph_common.contracts.errors import Rejected

Row = Mapping[str, Any]

# The name under which the log of a table keeps a number of ours.
APPLICATION = "edugraph"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONFIGURATION = {
    "delta.logRetentionDuration": "interval 0 seconds",
    "delta.deletedFileRetentionDuration": "interval 0 seconds",
}
_WRITER = WriterProperties(compression="ZSTD")
_CODE_OF_S3 = re.compile(r"<Code>(\w+)</Code>")
# The words of delta-rs for an address that begins with http, where AWS_ALLOW_HTTP is not set.
_WITHOUT_TLS = "URL scheme is not allowed"
_TYPES: Mapping[Kind, DataType] = {
    "text": DataType.string(),
    "integer": DataType.int64(),
    "number": DataType.float64(),
    "boolean": DataType.bool(),
    "moment": DataType.timestamp("us", tz="UTC"),
    "day": DataType.date32(),
    "list": DataType.list(Field("item", DataType.string(), nullable=True)),
}


class Delta:
    """A table below an address, such as a folder or `s3://bucket/prefix`. It is created at its first use."""

    def __init__(self, address: str, columns: Columns, key: Sequence[str] = ()) -> None:
        self._address = address
        self._columns = columns
        self._key = key
        with _errors(address):
            if not DeltaTable.is_deltatable(address):
                fields = [
                    Field(name, _TYPES[kind], nullable=True) for name, kind in columns.items()
                ]
                DeltaTable.create(address, Schema(fields), configuration=_CONFIGURATION)

    def number(self) -> int | None:
        """Return the number that was kept last, or None."""
        with _errors(self._address):
            return DeltaTable(self._address).transaction_version(APPLICATION)

    def rows(self, names: Collection[str], where: Mapping[str, Collection[str]]) -> list[Row]:
        """Return these columns of rows with one of the values in one of the columns. All rows if `where` is empty."""
        chosen = ", ".join(names)
        conditions = []
        for column, values in where.items():
            if values:
                conditions.append(f"{column} IN ({', '.join(map(_quoted, values))})")
        if where and not conditions:
            return []
        statement = f"SELECT {chosen} FROM held"  # noqa: S608 - names of our columns, and quoted values
        if conditions:
            statement += f" WHERE {' OR '.join(conditions)}"
        with _errors(self._address):
            found = QueryBuilder().register("held", DeltaTable(self._address)).execute(statement)
            table = found.read_all()
        columns = {name: table[name].to_pylist() for name in names}
        values_of_rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, values, strict=True)) for values in values_of_rows]

    def texts(self, name: str) -> set[str]:
        """Return the different values of a column of texts, without null."""
        statement = f"SELECT DISTINCT {name} AS value FROM held WHERE {name} IS NOT NULL"  # noqa: S608 - our columns
        with _errors(self._address):
            query = QueryBuilder().register("held", DeltaTable(self._address))
            found = query.execute(statement).read_all()
        return set(found["value"].to_pylist())

    def count(self) -> int:
        """Return the number of rows."""
        with _errors(self._address):
            query = QueryBuilder().register("held", DeltaTable(self._address))
            found = query.execute("SELECT count(*) AS number FROM held").read_all()
        return int(found["number"].to_pylist()[0])

    def keep_number(self, number: int) -> None:
        """Keep a number in the log of the table, in a commit of its own."""
        properties = CommitProperties(app_transactions=[Transaction(APPLICATION, number)])
        # A merge without rows would write no commit.
        with _errors(self._address):
            write_deltalake(
                self._address,
                as_arrow([], self._columns),
                mode="append",
                commit_properties=properties,
            )

    def put(self, rows: Sequence[Row], gone: Iterable[Row] = ()) -> None:
        """Insert rows, or replace those with the same key, and delete rows with the keys of `gone`, in one commit."""
        missing: list[dict[str, Any]] = []
        for row in gone:
            empty: dict[str, Any] = dict.fromkeys(self._columns)
            for name in self._key:
                empty[name] = row[name]
            missing.append(empty)
        if not rows and not missing:
            return
        source = as_arrow([*rows, *missing], self._columns)
        present = [True] * len(rows) + [False] * len(missing)
        source = source.append_column("present", Array(present, type=DataType.bool()))
        values = {name: f"s.{name}" for name in self._columns}
        with _errors(self._address):
            merger = DeltaTable(self._address).merge(
                source,
                " AND ".join(f"t.{name} = s.{name}" for name in self._key),
                source_alias="s",
                target_alias="t",
                writer_properties=_WRITER,
            )
            merger = merger.when_matched_delete("NOT s.present").when_matched_update(values)
            merger.when_not_matched_insert(values, "s.present").execute()

    def add(self, portions: Sequence[Table]) -> None:
        """Add rows in one commit. The caller knows that the table has no rows with their keys."""
        with _errors(self._address):
            batches: list[Any] = []
            for each in portions:
                batches += each.to_batches()
            if batches:
                write_deltalake(
                    self._address,
                    Table.from_batches(batches),
                    mode="append",
                    writer_properties=_WRITER,
                )

    def delete(self, name: str, values: Collection[str]) -> None:
        """Delete the rows with one of these texts in a column, in one commit. The log does not keep the texts."""
        if not values:
            return
        texts = Array(sorted(values), type=DataType.string())
        source = Table.from_arrays([texts], names=[name])
        with _errors(self._address):
            merger = DeltaTable(self._address).merge(
                source,
                f"t.{name} = s.{name}",
                source_alias="s",
                target_alias="t",
                writer_properties=_WRITER,
            )
            merger.when_matched_delete().execute()

    def replace(self, rows: Sequence[Row]) -> None:
        """Replace all rows if they differ."""
        by_values = sorted(rows, key=_values)
        if by_values == sorted(self.rows(list(self._columns), {}), key=_values):
            return
        with _errors(self._address):
            write_deltalake(
                self._address,
                as_arrow(by_values, self._columns),
                mode="overwrite",
                writer_properties=_WRITER,
            )

    def clean(self) -> None:
        clean(self._address)


def exists(address: str) -> bool:
    """Return whether there is a table at this address."""
    with _errors(address):
        return DeltaTable.is_deltatable(address)


def overwrite(address: str, table: Table) -> None:
    """Write the only version of a table. Former versions, also those with other columns, are deleted."""
    with _errors(address):
        write_deltalake(
            address,
            table,
            mode="overwrite",
            schema_mode="overwrite",
            configuration=_CONFIGURATION,
            writer_properties=_WRITER,
        )
    clean(address)


def clean(address: str) -> None:
    """Gather small files, and delete all files and log entries of former versions.

    A program that still reads a former version gets an error and has to read again.
    """
    with _errors(address):
        table = DeltaTable(address)
        table.optimize.compact(writer_properties=_WRITER)
        # Without `full`, files of a process that was killed before its commit would stay.
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)
        table.create_checkpoint()
        table.cleanup_metadata()


@contextmanager
def _errors(address: str) -> Iterator[None]:
    """Translate the errors of delta-rs. Their messages may quote a value or a key, so only the reason is named."""
    try:
        yield
    except (DeltaError, OSError) as error:
        raise Rejected(f"{address} cannot be read or written ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    message = str(error)
    if _WITHOUT_TLS in message:
        return "AWS_ENDPOINT_URL has no TLS: set AWS_ALLOW_HTTP=true if that is right"
    code = _CODE_OF_S3.search(message)
    return code[1] if code else type(error).__name__


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _values(row: Row) -> list[str]:
    return [str(row[name]) for name in sorted(row)]


def as_arrow(rows: Sequence[Row], columns: Columns) -> Table:
    """Return rows as a table, which takes a tenth of the memory."""
    arrays = []
    for name, kind in columns.items():
        arrays.append(_array([row[name] for row in rows], kind))
    return Table.from_arrays(arrays, names=list(columns))


def _array(values: list[Any], kind: Kind) -> Any:
    if kind == "list":
        texts: list[str] = []
        ends = [0]
        for each in values:
            texts += sorted(each or ())
            ends.append(len(texts))
        return list_array(Array(ends, type=DataType.int32()), Array(texts, type=DataType.string()))
    if kind == "moment":
        numbers = [_microseconds(each) for each in values]
        return Array(numbers, type=DataType.int64()).cast(_TYPES[kind])
    if kind == "day":
        days = [None if each is None else _days(each) for each in values]
        return Array(days, type=DataType.int32()).cast(_TYPES[kind])
    if kind == "number":
        values = [None if each is None else float(each) for each in values]
    return Array(values, type=_TYPES[kind])


def _microseconds(text: str | None) -> int | None:
    if text is None:
        return None
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _days(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH.date()).days
