"""`edugraph import FILE_OR_URL`, `edugraph analyze FILE`, `edugraph sources`."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

import typer
from rich.console import Console

from edugraph_cli.analyzer_tools import analyzer_needed, estimate_of
from edugraph_cli.client import Client, FileSource
from edugraph_cli.display import (
    INVALID,
    err,
    exit_code,
    out,
    plain_errors,
    print_report,
    print_table,
    say,
    show_json,
    stop,
)
from edugraph_cli.progress import follow_job, upload_bar
from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.findings import Subject
from edugraph_common.contracts.messages import INLINE_RECORDS, Format
from edugraph_common.sources.ndjson import MalformedFile

HEAD = 1 << 16  # bytes of a file that tell what it is
FileFormat = StrEnum("FileFormat", {name.upper(): name for name in get_args(Format)})  # type: ignore[misc]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="stay until the job has ended")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


def import_file(  # noqa: PLR0917 - typer makes options of them
    file: Annotated[
        str,
        typer.Argument(help="see `edugraph sources`; - reads NDJSON from standard input; a URL is read where it is"),
    ],
    follow: Follow = False,
    batch_size: Annotated[int, typer.Option(min=1, max=10_000, help="records in one transaction")] = 1_000,
    analyze: Annotated[bool, typer.Option("--analyze", help="have the texts read by the model too")] = False,
    source: Annotated[FileFormat | None, typer.Option("--format", help="found out where it is not given")] = None,
    mapping: Annotated[Path | None, typer.Option(help="which column of a CSV is which field")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what an import would do, and do nothing")] = False,
    as_json: Json = False,
) -> None:
    """Import a file of records into the graph.

    Exits with 0 when all went well, 1 when the job failed or partly failed, 2 for a file that cannot be used.
    """
    outside, path, named = "://" in file, Path(file), source.value if source else None
    for here in (None if outside else path, mapping):
        if here is not None:
            check_file(here)
    if dry_run:
        if outside or file == "-":
            stop("A dry run reads its file here, and twice: give a file.", INVALID)
        from edugraph_cli.dry_run import print_dry_run

        raise typer.Exit(print_dry_run(path, mapping, out, _format(named) if named else None, as_json=as_json))
    with plain_errors(), Client.from_environment() as client:
        if outside:
            there = _source_outside(file, mapping, named)
            accepted = client.import_url(file, batch_size=batch_size, analyze=analyze, source=there)
        else:
            found, progress = source_of(path, mapping, named), err if as_json else out
            accepted = _send(client, path, progress, found, batch_size=batch_size, analyze=analyze)
        _finish(client, accepted, follow=follow, as_json=as_json)


def analyze_file(
    subject: Annotated[Subject, typer.Argument(help="what kind of text")],
    file: Annotated[Path, typer.Argument(help="NDJSON, at most 1,000 records")],
    follow: Follow = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="say what it would cost, and send nothing")] = False,
    as_json: Json = False,
) -> None:
    """Have records read by the model without importing a file; what is found goes into the graph.

    An estimate is made here, by the analyzer's settings in this environment: model, prices, packs and limits.
    """
    check_file(file)
    records = _records(file)
    if estimate:
        _show_estimate(subject, records, as_json=as_json)
        return
    with plain_errors(), Client.from_environment() as client:
        _finish(client, client.analyze(subject.value, records), follow=follow, as_json=as_json)


def list_sources(as_json: Json = False) -> None:
    """The kinds of files that can be imported."""
    from edugraph_cli.dry_run import print_sources
    from edugraph_common.sources import describe

    if as_json:
        show_json([source.model_dump() for source in describe()])
    else:
        print_sources(out)


def check_file(path: Path) -> None:
    """What can be seen without reading the file is said at once, in one sentence."""
    if str(path) == "-":
        return
    if path.is_dir():
        stop(f"{path} is a directory; give one file.", INVALID)
    if not path.exists():
        stop(f"{path}: there is no such file.", INVALID)
    if not os.access(path, os.R_OK):
        stop(f"{path} cannot be read; check its permissions.", INVALID)
    if path.is_file() and path.stat().st_size == 0:
        stop(f"{path} is empty: it holds no record.", INVALID)


def source_of(path: Path, mapping: Path | None, named: str | None) -> FileSource:
    """By its name and first bytes. What cannot be told so is sent as it is: the gateway says what is wrong."""
    text = mapping.read_text(encoding="utf-8") if mapping else None
    if not path.is_file():
        return FileSource(format=_format(named or "ndjson"), mapping=text)
    from edugraph_common.sources import compression_of, guess

    with path.open("rb") as file:
        head = file.read(HEAD)
    if named or mapping or path.name.endswith((".ndjson", ".jsonl")):
        found = _format(named or ("csv" if mapping else "ndjson"))
        return FileSource(format=found, compression=compression_of(head), mapping=text)
    try:
        guessed = guess(path.name, head)
    except MalformedFile:
        return FileSource(compression=compression_of(head))
    return FileSource(format=guessed.format, compression=guessed.compression, mapping=text)


def _source_outside(url: str, mapping: Path | None, named: str | None) -> FileSource:
    """By the URL's ending; how it is packed the gateway tells by that too."""
    text = mapping.read_text(encoding="utf-8") if mapping else None
    table = mapping is not None or ".csv" in Path(urlsplit(url).path).suffixes
    return FileSource(format=_format(named or ("csv" if table else "ndjson")), mapping=text)


def _format(name: str) -> Format:
    return next(each for each in get_args(Format) if each == name)


def _send(
    client: Client, path: Path, console: Console, source: FileSource, *, batch_size: int, analyze: bool
) -> Accepted:
    if str(path) == "-":
        options = {"name": "stdin", "batch_size": str(batch_size), "analyze": str(analyze).lower()}
        return client.import_stream(sys.stdin.buffer, options, source=source)
    bar, sent = upload_bar(console, path.name, path.stat().st_size)
    with bar:
        return client.import_file(path, batch_size=batch_size, analyze=analyze, source=source, sent=sent)


def _finish(client: Client, accepted: Accepted, *, follow: bool, as_json: bool) -> None:
    if not follow:
        _show_accepted(accepted, as_json=as_json)
        return
    report = follow_job(client, accepted.job_id, err if as_json else out)
    if as_json:
        show_json(report.model_dump(mode="json"))
    else:
        print_report(report)
    raise typer.Exit(exit_code(report))


def _records(path: Path) -> list[dict[str, Any]]:
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    if len(lines) > INLINE_RECORDS:
        stop(f"{path} has more than {INLINE_RECORDS:,} records; import it with --analyze.", INVALID)
    try:
        records = [json.loads(line) for line in lines]
    except ValueError:
        records = [None]
    if not all(isinstance(record, dict) for record in records):
        stop(f"{path} is not NDJSON: each line must be one JSON object.", INVALID)
    return records


def _show_estimate(subject: Subject, records: list[dict[str, Any]], *, as_json: bool) -> None:
    from dataclasses import asdict

    with plain_errors(), analyzer_needed():
        estimate = asdict(estimate_of(subject, records))
    if as_json:
        show_json(estimate)
        return
    unpriced = "no price is set: see EDUGRAPH_PRICES"
    cost = unpriced if estimate["cost"] is None else f"{estimate['cost']:.4f}"
    shown = {**estimate, "cost": cost, "minutes": f"{estimate['minutes']:.1f}"}
    print_table("Estimate", {name.replace("_", " "): value for name, value in shown.items()})


def _show_accepted(accepted: Accepted, *, as_json: bool) -> None:
    if as_json:
        show_json(accepted.model_dump(mode="json"))
        return
    say(f"Accepted as job {accepted.job_id}.")
    say(f"  edugraph jobs show {accepted.job_id} --follow")
