"""`edugraph import FILES_OR_URL`, `edugraph analyze KIND FILE`."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from edugraph_cli.commands.tasks import result_of
from edugraph_cli.display import (
    INVALID,
    err,
    exit_code,
    out,
    plain_errors,
    print_report,
    print_set,
    print_table,
    say,
    show_json,
    stop,
)
from edugraph_cli.file_sets import FileOfSet, files_of, is_set
from edugraph_cli.options import Economy, Follow, Json, SourceOption
from edugraph_cli.progress import follow_job, upload_bar
from edugraph_client import Client, FileSource, Refused, Unreachable
from edugraph_client.settings import ClientSettings
from edugraph_common.contracts.api import Accepted, CallerAnswer
from edugraph_common.contracts.findings import Subject
from edugraph_common.contracts.messages import INLINE_RECORDS, ChangeTime, Format
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.contracts.platform_addresses import platform_key
from edugraph_common.sources import Platforms
from edugraph_common.sources.ndjson import MalformedFile, UnusableKind

_LONGEST_NAME = 200  # characters of the name of a file in lists
_PREFIXES = TypeAdapter(dict[str, str])
_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".xlsx": "workbook",
    ".ods": "workbook",
    ".parquet": "parquet",
}


class _Sent(NamedTuple):
    """The outcome of one of several files: a job, with its report if it was followed, or an error."""

    name: str
    job_id: str | None
    error: str | None = None
    report: JobReport | None = None

    def exit_code(self) -> int:
        if self.error:
            return INVALID
        if self.report is None:
            return 0
        return exit_code(self.report)

    def to_json(self) -> dict[str, Any]:
        report = None
        if self.report:
            report = self.report.model_dump(mode="json")
        return {"file": self.name, "job_id": self.job_id, "error": self.error, "report": report}


@dataclass(frozen=True)
class _Wanted:
    """The options of the command for each file. Ends the command if they contradict each other."""

    batch_size: int
    analyze: bool
    economy: bool
    file_format: Format | None
    platform: str | None
    changed_at: ChangeTime
    source: str | None

    def __post_init__(self) -> None:
        if self.economy and not self.analyze:
            stop("--economy is a way of an analysis: give --analyze, too.", INVALID)

    def send(
        self, client: Client, path: Path, mapping: Path | None, console: Console, name: str = ""
    ) -> Accepted:
        """Send a file of this machine. Raises UnusableKind, Refused or Unreachable."""
        source = self._described(source_of(path, mapping, self.file_format))
        bar, sent = upload_bar(console, path.name, path.stat().st_size)
        with bar:
            return client.import_file(
                path,
                name=name,
                batch_size=self.batch_size,
                analyze=self.analyze,
                economy=self.economy,
                source=source,
                sent=sent,
            )

    def send_url(self, client: Client, url: str, mapping: Path | None) -> Accepted:
        """Import the file at a URL. Raises Refused or Unreachable."""
        return client.import_url(
            url,
            batch_size=self.batch_size,
            analyze=self.analyze,
            economy=self.economy,
            source=self._described(_source_of_url(url, mapping, self.file_format)),
        )

    def send_standard_input(self, client: Client, mapping: Path | None) -> Accepted:
        """Send standard input. Raises Refused or Unreachable."""
        source = self._described(source_of(Path("-"), mapping, self.file_format))
        options = {
            "name": "stdin",
            "batch_size": str(self.batch_size),
            "analyze": str(self.analyze).lower(),
        }
        if self.economy:
            options["economy"] = "true"
        return client.import_stream(sys.stdin.buffer, options, source=source)

    def _described(self, form: FileSource) -> FileSource:
        """Return the form of a file with the options of the command that describe its records."""
        return replace(
            form, platform=self.platform, changed_at=self.changed_at, source_name=self.source
        )

    def send_one(self, client: Client, file: FileOfSet, console: Console) -> _Sent:
        """Send one of several files. Raises Unreachable."""
        try:
            accepted = self.send(
                client, file.path, file.mapping, console, file.name[-_LONGEST_NAME:]
            )
        except (UnusableKind, Refused) as problem:
            return _Sent(file.name, None, str(problem))
        console.print(
            f"{file.name}: job {accepted.job_id}", markup=False, highlight=False, soft_wrap=True
        )
        return _Sent(file.name, accepted.job_id)


def import_files(  # noqa: PLR0917 - typer makes options of the parameters
    files: Annotated[
        list[str],
        typer.Argument(
            help="files (see `edugraph formats`), folders or ZIP archives of files; - for NDJSON from standard "
            "input; or a URL that the workers read"
        ),
    ],
    follow: Follow = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=10_000, help="records in one transaction")
    ] = 1_000,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="also let the model read the texts")
    ] = False,
    economy: Economy = False,
    file_format: Annotated[
        Format | None, typer.Option("--format", help="detected if it is not given")
    ] = None,
    source: SourceOption = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="the file that maps the columns of a table to fields; a file beside it with its name is found"
        ),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            help="the address of the platform that wrote an Open edX log, if it is not your own"
        ),
    ] = None,
    changed_at: Annotated[
        ChangeTime,
        typer.Option(
            help="`import` makes the files the newest state: use it for corrected timestamps that are earlier"
        ),
    ] = "record",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what an import would do, and do nothing")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import files of records into the graph. Each file becomes a job.

    Exits with 0 if everything was imported, 1 if a job failed or partly failed, 2 for a file that cannot be used.
    """
    wanted = _Wanted(batch_size, analyze, economy, file_format, platform, changed_at, source)
    if mapping:
        check_file(mapping)
    [file, *more] = files
    is_url = "://" in file
    path = Path(file)
    if not is_url and (more or is_set(path)):
        raise typer.Exit(
            _import_several(files, mapping, wanted, follow=follow, dry_run=dry_run, as_json=as_json)
        )
    if more:
        stop("Give one URL at a time, and no file beside it.", INVALID)
    if not is_url:
        check_file(path)
    if dry_run:
        if is_url or file == "-":
            stop(
                "A dry run reads the file on this machine, and twice: give the path of a file.",
                INVALID,
            )
        from edugraph_cli.dry_run import print_dry_run

        raise typer.Exit(
            print_dry_run(path, mapping, file_format, caller=known_caller(), as_json=as_json)
        )
    with plain_errors(), Client.from_environment() as client:
        if is_url:
            accepted = wanted.send_url(client, file, mapping)
        elif file == "-":
            accepted = wanted.send_standard_input(client, mapping)
        else:
            try:
                accepted = wanted.send(client, path, mapping, err if as_json else out)
            except UnusableKind as problem:
                stop(f"{path}: {problem}", INVALID)
        finish(client, accepted, follow=follow, as_json=as_json)


def _import_several(
    files: Sequence[str],
    mapping: Path | None,
    wanted: _Wanted,
    *,
    follow: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Import each file as a job of its own, and print one table of all files. Return the exit code.

    A file that cannot be used does not keep the others from being imported.
    """
    if "-" in files or any("://" in file for file in files):
        stop("Give files and folders of this machine, or one URL, or - alone.", INVALID)
    paths = [Path(file) for file in files]
    console = err if as_json else out
    for path in paths:
        if not path.is_dir():
            check_file(path)
    try:
        with files_of(paths, mapping) as found:
            if not found:
                stop(f"{', '.join(files)}: there is no file in it.", INVALID)
            if dry_run:
                return _dry_run_several(found, wanted.file_format, as_json=as_json)
            with plain_errors(), Client.from_environment() as client:
                sent = [wanted.send_one(client, each, console) for each in found]
                if follow:
                    sent = [_followed(client, each, console) for each in sent]
    except MalformedFile as problem:
        stop(f"{', '.join(files)}: {problem}", INVALID)
    if as_json:
        show_json([each.to_json() for each in sent])
    else:
        print_set([(each.name, each.error, each.report) for each in sent])
    return max(each.exit_code() for each in sent)


def _followed(client: Client, sent: _Sent, console: Console) -> _Sent:
    """Follow the job of a file, if it has one, and return it with its report."""
    if sent.job_id is None:
        return sent
    return sent._replace(report=follow_job(client, sent.job_id, console))


def known_caller() -> CallerAnswer | None:
    """Return the caller whose key is set, as the gateway sees them, or None without a key.

    A dry run needs no gateway. If the gateway does not answer, or refuses the key, a sentence says so, and the rights
    are not checked.
    """
    if ClientSettings().api_key is None:
        return None
    try:
        with Client.from_environment() as client:
            return client.caller()
    except (Unreachable, Refused) as problem:
        err.print(
            f"It was not checked whether this key may import the rows: {problem}", markup=False
        )
        return None


def _dry_run_several(
    found: Sequence[FileOfSet], file_format: Format | None, *, as_json: bool
) -> int:
    """Say, for each file, what an import would do. Return the exit code."""
    from edugraph_cli.dry_run import print_dry_run

    code = 0
    caller = known_caller()
    for _, path, mapping in found:
        try:
            code = max(
                code, print_dry_run(path, mapping, file_format, caller=caller, as_json=as_json)
            )
        except typer.Exit as unusable:
            code = max(code, unusable.exit_code)
    return code


def analyze_file(  # noqa: PLR0917 - typer makes options of the parameters
    subject: Annotated[Subject, typer.Argument(help="what the model looks for in the texts")],
    file: Annotated[Path, typer.Argument(help="NDJSON, at most 1,000 records")],
    follow: Follow = False,
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", help="say what the analysis would cost, without asking the model"
        ),
    ] = False,
    economy: Economy = False,
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Let the model read records without an import. The findings go into the graph.

    An analyzer makes the estimate, with its own model, prices, packs and limits.
    """
    check_file(file)
    lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    if len(lines) > INLINE_RECORDS:
        stop(f"{file} has more than {INLINE_RECORDS:,} records; import it with --analyze.", INVALID)
    try:
        records = [json.loads(line) for line in lines]
    except ValueError:
        records = [None]
    if not all(isinstance(record, dict) for record in records):
        stop(f"{file} is not NDJSON: each line must be one JSON object.", INVALID)
    with plain_errors(), Client.from_environment() as client:
        if estimate:
            accepted = client.estimate(subject.value, records, economy=economy)
            _show_estimate(client, accepted, as_json=as_json)
        else:
            finish(
                client,
                client.analyze(subject.value, records, economy=economy, source=source),
                follow=follow,
                as_json=as_json,
            )


def platforms_of(prefixes: str, platform: str | None) -> Platforms:
    """Return the platforms whose ids have these prefixes. End the command if they are not a JSON object of texts."""
    try:
        by_name = _PREFIXES.validate_json(prefixes)
    except ValidationError:
        stop("EDUGRAPH_PLATFORM_PREFIXES is not a JSON object of texts.", INVALID)
    return Platforms({platform_key(name): prefix for name, prefix in by_name.items()}, platform)


def zone_called(name: str) -> ZoneInfo:
    """Return a time zone. End the command if no time zone has this name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError):
        stop(f"{name} is not a known time zone; use a name such as Asia/Shanghai.", INVALID)


def check_file(path: Path) -> None:
    """End the command with one sentence if a file cannot be used, as far as that is known without reading it."""
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


def source_of(path: Path, mapping: Path | None, file_format: Format | None) -> FileSource:
    """Return the form of a file, detected by its name and its first bytes.

    A file that is too damaged for this is sent as NDJSON, and the gateway says what is wrong with it. Raises
    UnusableKind for a kind of file that cannot be imported.
    """
    text = None
    if mapping:
        text = mapping.read_text(encoding="utf-8")
    if not path.is_file():
        return FileSource(format=file_format or "ndjson", mapping=text)
    from edugraph_common.sources import compression_of
    from edugraph_common.sources.detection import HEAD_BYTES, chosen_format, detect_file

    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        detected = detect_file(path.name, head)
    except UnusableKind:
        raise
    except MalformedFile:
        return FileSource(
            format=file_format or "ndjson", compression=compression_of(head), mapping=text
        )
    found = chosen_format(detected, file_format, has_mapping=mapping is not None)
    return FileSource(format=found, compression=detected.compression, mapping=text)


def _source_of_url(url: str, mapping: Path | None, file_format: Format | None) -> FileSource:
    """Return the form of the file at a URL, by its ending. The gateway derives the compression from the ending."""
    detected: Format = "ndjson"
    text = None
    if mapping:
        detected = "csv"
        text = mapping.read_text(encoding="utf-8")
    for suffix in Path(urlsplit(url).path).suffixes:
        if suffix in _FORMATS:
            detected = _FORMATS[suffix]
            break
    return FileSource(format=file_format or detected, mapping=text)


def finish(client: Client, accepted: Accepted, *, follow: bool, as_json: bool) -> None:
    """Show what was accepted, or follow the job to its end and exit with the code of its state."""
    if not follow:
        if as_json:
            show_json(accepted.model_dump(mode="json"))
        else:
            say(f"Accepted as job {accepted.job_id}. To follow it:")
            say(f"  edugraph jobs show {accepted.job_id} --follow")
        return
    report = follow_job(client, accepted.job_id, err if as_json else out)
    if as_json:
        show_json(report.model_dump(mode="json"))
    else:
        print_report(report)
    raise typer.Exit(exit_code(report))


def _show_estimate(client: Client, accepted: Accepted, *, as_json: bool) -> None:
    err.print(
        f"Waiting for an analyzer's estimate (task {accepted.task_id}).",
        markup=False,
        highlight=False,
    )
    estimate: dict[str, Any] = result_of(client, accepted.task_id, as_json)
    if as_json:
        show_json(estimate)
        return
    cost = "no price is set: see EDUGRAPH_PRICES"
    if estimate["cost"] is not None:
        cost = f"{estimate['cost']:.4f}"
    minutes = f"{estimate['minutes']:.1f}"
    if estimate.get("economy"):
        minutes = f"at most {minutes}"
    shown = {**estimate, "cost": cost, "minutes": minutes}
    print_table("Estimate", {name.replace("_", " "): value for name, value in shown.items()})
