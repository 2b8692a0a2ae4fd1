"""`edugraph curriculum import FILE`, `edugraph curriculum read-again COURSE`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from edugraph_cli.commands.importing import check_file, finish, known_caller
from edugraph_cli.commands.tasks import result_of
from edugraph_cli.display import (
    FAILED,
    INVALID,
    err,
    out,
    plain_errors,
    print_table,
    say,
    show_json,
    stop,
)
from edugraph_cli.options import Economy, Follow, Json, SourceOption, Yes
from edugraph_cli.progress import upload_bar
from edugraph_client import Client, FileSource
from edugraph_common.contracts.messages import CurriculumFormat, Format
from edugraph_common.contracts.outcomes import TextsAgain
from edugraph_common.sources import compression_of
from edugraph_common.sources.compression import decompressed_head
from edugraph_common.sources.detection import HEAD_BYTES
from edugraph_common.sources.ndjson import BOM, MalformedFile

_CASE_MARK = re.compile(rb'"CF(?:Package|Document|Items)"')
_COHERENCE_MARK = re.compile(rb'"(?:standards|edges|nd_edges|clusters)"\s*:')
_BOOK_MARK = re.compile(rb'"(?:tree|contents)"\s*:')
_SCRIPTS = (b"window.", b"export default")

app = typer.Typer(
    no_args_is_help=True,
    help="Import a school's curriculum: its points, their order and what they need. Read texts again with it.",
)


@app.command("import")
def import_curriculum(  # noqa: PLR0917 - typer makes options of the parameters
    file: Annotated[
        Path,
        typer.Argument(
            help="a CASE package (JSON), a book of OpenStax (ZIP, XML, JSON), the coherence map (JSON), or an "
            "outline: a table with a row for each point"
        ),
    ],
    follow: Follow = False,
    file_format: Annotated[
        CurriculumFormat | None, typer.Option("--format", help="detected if it is not given")
    ] = None,
    source: SourceOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what an import would do, and do nothing")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import the points of a curriculum. The file becomes a job, as with `edugraph import`, and can be undone.

    The next version of the file corrects the points of the one before. A wrong point is set aside alone. Exits with 0
    if everything was imported, 1 if a job failed or partly failed, 2 for a file that cannot be used.
    """
    check_file(file)
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    compression = compression_of(head)
    try:
        form = file_format or _detected(decompressed_head(head, compression))
    except MalformedFile as problem:
        stop(f"{file}: {problem}", INVALID)
    if form is None:
        stop(
            f"{file} is JSON of an unknown kind: it is not a CASE package, a book or a coherence map.",
            INVALID,
        )
    if dry_run:
        from edugraph_cli.dry_run import print_dry_run

        raise typer.Exit(print_dry_run(file, None, form, caller=known_caller(), as_json=as_json))
    bar, sent = upload_bar(err if as_json else out, file.name, file.stat().st_size)
    with plain_errors(), Client.from_environment() as client:
        with bar:
            described = FileSource(format=form, compression=compression, source_name=source)
            accepted = client.import_file(file, source=described, sent=sent)
        finish(client, accepted, follow=follow, as_json=as_json)


@app.command("read-again")
def read_again(  # noqa: PLR0917 - typer makes options of the parameters
    course: Annotated[str, typer.Argument(help="the id of the course")],
    estimate: Annotated[
        bool, typer.Option("--estimate", help="say what it would cost, and read nothing")
    ] = False,
    yes: Yes = False,
    follow: Follow = False,
    economy: Economy = False,
    as_json: Json = False,
) -> None:
    """Let the model read the texts of a course again that it read before, for example after points were imported.

    Says first what this costs, and asks. Answers to the same question are in the cache and cost nothing. Reviews by
    persons stay. Texts that came inline or live are not kept, so they are not read again.
    """
    with plain_errors(), Client.from_environment() as client:
        asked = client.estimate_again(course, economy=economy)
        found = TextsAgain.model_validate(result_of(client, asked.task_id, as_json))
        cost = _cost(client, found, as_json=as_json)
        number = sum(found.texts.values())
        ends_here = estimate or number == 0
        if not as_json:
            _show_texts(found, cost)
        elif ends_here:
            show_json({**found.model_dump(mode="json"), "cost": cost})
        if ends_here:
            return
        if not yes:
            typer.confirm(f"Read {number:,} texts of course {course} again?", abort=True, err=True)
        accepted = client.read_again(course, economy=economy)
        started = TextsAgain.model_validate(result_of(client, accepted.task_id, as_json))
        if not started.texts:
            stop(f"Course {course} has no texts to read again now.", FAILED)
        finish(client, accepted, follow=follow, as_json=as_json)


def _cost(client: Client, found: TextsAgain, *, as_json: bool) -> float | None:
    """Return about what it costs to read the texts, or None without a price. Analyzers have estimated samples."""
    total = 0.0
    for kind, task_id in found.estimates.items():
        estimated = result_of(client, task_id, as_json)
        if estimated["cost"] is None:
            return None
        total += estimated["cost"] * found.texts[kind] / found.sampled[kind]
    return total


def _show_texts(found: TextsAgain, cost: float | None) -> None:
    price = "no price is set: see EDUGRAPH_PRICES"
    if cost is not None:
        price = f"about {cost:.4f}"
    shown: dict[str, object] = {kind.replace("_", " "): found.texts[kind] for kind in found.texts}
    print_table("Read again", {**shown, "not kept": found.not_kept, "cost": price})
    if found.left:
        say(f"{found.left:,} texts are left for the next call of this command.")


def _detected(head: bytes) -> Format | None:
    """Return the format of a curriculum from its first part, or None for JSON of another kind."""
    start = head.removeprefix(BOM).lstrip()
    if start.startswith((b"PK\x03\x04", b"<")):
        return "openstax"
    if start.startswith(_SCRIPTS):
        return "coherence_map"
    if not start.startswith((b"{", b"[")):
        return "outline"
    if _CASE_MARK.search(head):
        return "case"
    if _COHERENCE_MARK.search(head):
        return "coherence_map"
    if _BOOK_MARK.search(head):
        return "openstax"
    return None
