"""`edugraph synthesize`: a made-up school. It speaks to no server."""

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
    students: Annotated[int, typer.Option(min=2, max=10_000_000, help="how many students the school has")],
    seed: Annotated[int, typer.Option(help="the same seed and sizes give the same school")] = 1,
    records: Annotated[
        int | None, typer.Option(min=1, help=f"about how many records; {RECORDS_PER_STUDENT} a student if not given")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="NDJSON; standard output if not given")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="NDJSON of the true mastery of each student at each point that was practised")
    ] = None,
    xapi: Annotated[
        Path | None, typer.Option(help=f"{STATEMENTS:,} xAPI statements of another day, as NDJSON")
    ] = None,
) -> None:
    """Write the records of a made-up school of two terms and two languages, to try EduGraph out and to measure it.

    They are attempts, items, course texts, groups, terms, activity, mistakes and messages, with corrections, and with
    students who join and leave each week. No person is real.
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
    """Write one JSON object a line, and return how many there were."""
    number = 0
    try:
        with path.open("wb") if path else nullcontext(sys.stdout.buffer) as file:
            for value in values:
                file.write(f"{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n".encode())
                number += 1
    except OSError as error:
        stop(f"{path or 'standard output'} cannot be written: {error.strerror}.", INVALID)
    return number
