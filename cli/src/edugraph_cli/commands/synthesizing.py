"""`edugraph synthesize`: write the records of a synthetic school. It uses no server."""

import json
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from edugraph_cli.display import INVALID, err, stop
from edugraph_cli.synthetic_school import RECORDS_PER_STUDENT, School

STATEMENTS = 10_000


def synthesize(  # noqa: PLR0917 - typer makes options of the parameters
    students: Annotated[int, typer.Option(min=2, max=10_000_000, help="the number of students")],
    seed: Annotated[int, typer.Option(help="the same seed and sizes give the same school")] = 1,
    records: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"the number of records, about; {RECORDS_PER_STUDENT} for each student by default",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="NDJSON; standard output by default")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="NDJSON with the true mastery of each student at each practised point"),
    ] = None,
    xapi: Annotated[
        Path | None,
        typer.Option(help=f"NDJSON with {STATEMENTS:,} xAPI statements of the same students"),
    ] = None,
) -> None:
    """Write the records of a synthetic school with two terms and two languages, to try EduGraph and to measure it.

    The records are attempts, items, course texts, groups, terms, activity, mistakes and messages. Some are corrected
    later, and students join and leave each week. No person is real.
    """
    if truth and truth == output:
        stop("The truth needs a file of its own: give --truth another name than --output.", INVALID)
    school = School(students, seed, records)
    written = _write(output, school.records())
    if truth:
        _write(truth, school.truth())
    if xapi:
        _write(xapi, School(students, seed).statements(STATEMENTS))
    err.print(f"{written:,} records of {students:,} students.", highlight=False)


def _write(path: Path | None, values: Iterable[dict[str, Any]]) -> int:
    """Write the values as lines of JSON, and return their number."""
    number = 0
    try:
        with path.open("wb") if path else nullcontext(sys.stdout.buffer) as file:
            for value in values:
                file.write(
                    f"{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n".encode()
                )
                number += 1
    except OSError as error:
        stop(f"{path or 'standard output'} cannot be written: {error.strerror}.", INVALID)
    return number
