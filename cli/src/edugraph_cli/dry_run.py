"""`edugraph import --dry-run` and `edugraph sources`: what an import would do, told without a gateway."""

import csv
import io
from itertools import islice
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edugraph_cli.display import err, print_table, show_json
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.sources import (
    DryRun,
    Guess,
    Mapping,
    describe,
    dry_run,
    guess,
    open_text,
    parse_mapping,
    suggest_mapping,
)
from edugraph_common.sources.ndjson import MalformedFile

GOOD, SOME_REJECTED, UNUSABLE = 0, 1, 2
HEAD = 1 << 16  # bytes of a file that tell what it is
LOOKED_AT = 50  # rows from which a mapping is suggested


def print_sources(console: Console) -> None:
    """A table of all sources."""
    table = Table("source", "reads", "becomes", "needs", box=None, padding=(0, 2, 0, 0))
    for source in describe():
        table.add_row(source.format, source.reads, source.becomes, source.needs)
    console.print(table)
    console.print("Each may come as it is, or packed with gzip or zstd.")


def print_dry_run(
    path: Path,
    mapping_path: Path | None,
    console: Console,
    source: Format | None = None,
    *,
    as_json: bool = False,
) -> int:
    """Returns the exit code: 0 if every row is valid or not relevant, 1 if some are not, 2 for an unusable file."""
    try:
        with path.open("rb") as file:
            found = guess(path.name, file.read(HEAD))
            found = found.model_copy(update={"format": source or found.format})
            file.seek(0)
            mapping = parse_mapping(mapping_path.read_bytes()) if mapping_path else None
            if as_json:
                return _print_json(file, found, mapping)
            return _print(path, file, found, mapping, console)
    except MalformedFile as problem:
        told = err if as_json else console
        told.print(Text(f"{path}: {problem}", style="bold red"), soft_wrap=True)
        return UNUSABLE


def _print_json(file: IO[bytes], found: Guess, mapping: Mapping | None) -> int:
    """Raises MalformedFile, also for a CSV without a mapping."""
    report = dry_run(file, found.format, mapping, found.compression)
    show_json(report.model_dump(mode="json"))
    return SOME_REJECTED if report.rejected else GOOD


def _print(path: Path, file: IO[bytes], found: Guess, mapping: Mapping | None, console: Console) -> int:
    if found.format == "csv" and mapping is None:
        _print_suggestion(file, found, console)
        return UNUSABLE
    report = dry_run(file, found.format, mapping, found.compression)
    _say(console, f"{path.name}: {_described(found, report)}; nothing was written")
    counts = {name: getattr(report, name) for name in ("read", "valid", "rejected")}
    print_table("Rows", {**counts, "not relevant": sum(report.not_relevant.values())}, console)
    by_name = {
        "Valid, by type": report.by_type,
        "Not relevant, by name": report.not_relevant,
        "Rejected, by reason": report.reasons,
    }
    for title, numbers in by_name.items():
        if numbers:
            print_table(title, numbers, console)
    _print_errors(console, report.errors)
    return SOME_REJECTED if report.rejected else GOOD


def _described(found: Guess, report: DryRun) -> str:
    header = report.reading.header
    table = f", {report.reading.encoding}, delimiter {header.delimiter!r}" if header else ""
    return f"{found.format}{table}{f', {found.compression}' if found.compression else ''}"


def _print_suggestion(file: IO[bytes], found: Guess, console: Console) -> None:
    """What stands on standard output is a mapping file, with its open points as comments."""
    reading, text = open_text(file, "csv", found.compression)
    header = reading.header
    assert header is not None  # noqa: S101 - a CSV has one
    rows = csv.reader(io.StringIO(next(text, b"").decode(errors="replace")), delimiter=header.delimiter)
    suggestion = suggest_mapping(header.columns, list(islice(rows, LOOKED_AT + 1))[1:])
    _say(
        console,
        f"# A suggested mapping ({reading.encoding}, delimiter {header.delimiter!r}). Save and check it, then",
    )
    _say(console, f"# edugraph import --dry-run --mapping FILE {getattr(file, 'name', '')}")
    for point in suggestion.open_points:
        _say(console, f"# {point}")
    _say(console, suggestion.mapping.rstrip())


def _print_errors(console: Console, errors: tuple[Reject, ...]) -> None:
    if errors:
        _say(console, "The first that would be set aside")
    for error in errors:
        found = f", found {error.found}" if error.found else ""
        _say(console, f"  line {error.line}: {error.field} {error.reason} (expected {error.expected}{found})")


def _say(console: Console, sentence: str) -> None:
    console.print(Text(sentence), soft_wrap=True, highlight=False)
