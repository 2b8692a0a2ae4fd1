"""`edugraph warehouse sync`: tables in the Delta format that follow the graph, for cron or a CronJob."""

import importlib
import time
from typing import Annotated

import typer

from edugraph_cli.display import INVALID, err, plain_errors, print_table, show_json, stop
from edugraph_cli.options import Json
from edugraph_client import Client

PAUSE_SECONDS = 5.0

app = typer.Typer(no_args_is_help=True, help="Tables for DuckDB, Spark and other programs.")


@app.callback()
def warehouse() -> None:
    """Keep `sync` a command of its own. A group with one command would be that command."""


@app.command("sync")
def sync_tables(
    address: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="a folder, or a prefix such as s3://exports/edugraph"
        ),
    ],
    whole: Annotated[
        bool, typer.Option("--whole", help="read all records again, as after a restored backup")
    ] = False,
    without_persons: Annotated[
        bool,
        typer.Option("--without-persons", help="write what analysts see: numbers about courses"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write students, their records and names as Delta tables, or bring these tables up to date.

    Only new records, and those of students who lost one, are read. A sync that was killed goes on when it is called
    again. Persons who were erased or restricted leave all files. Texts are left out. One sync at a time may write a
    folder. The key needs the scopes read and personal.
    """
    if whole and without_persons:
        stop("Tables without persons are always written whole: leave out --whole.", INVALID)
    try:
        sync = importlib.import_module("edugraph_cli.warehouse.sync").sync
        write_cells = importlib.import_module("edugraph_cli.warehouse.cells").write_cells
    except ModuleNotFoundError as missing:
        stop(
            f"A warehouse needs more packages ({missing.name}): install edugraph-cli[warehouse].",
            INVALID,
        )
    with plain_errors(), Client.from_environment() as client:
        if without_persons:
            rows = write_cells(client, address)
        else:
            rows = sync(client, address, whole=whole, show=_Line())
    if as_json:
        show_json(dict(rows))
    else:
        print_table(address, rows)


class _Line:
    """Prints a line of progress, at most one in PAUSE_SECONDS and for the first time after them."""

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def __call__(self, read: int, students: int, rows: int) -> None:
        now = time.monotonic()
        if now - self._shown < PAUSE_SECONDS:
            return
        self._shown = now
        line = f"{read:,} of {students:,} students read, {rows:,} rows"
        err.print(line, markup=False, highlight=False, soft_wrap=True)
