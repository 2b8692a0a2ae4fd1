"""`edugraph analyzer fit|fits|drop`: fits of the offline analyser to the labelled mistakes of a course.

The commands run the code of the analyzer (`edugraph-cli[analyzer]`) and use the blob store of EDUGRAPH_BLOB_URL.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from edugraph_cli.commands.importing import check_file
from edugraph_cli.commands.topology import broker_settings
from edugraph_cli.display import FAILED, INVALID, plain_errors, print_rows, say, show_json, stop
from edugraph_cli.options import Json, SourceOption, Yes
from edugraph_common.contracts.fits import FitHeader
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.runtime.shared_state.fit_store import fit_keys, read_fit, write_fit
from edugraph_common.runtime.shared_state.object_store import Blobs

# Steps of confidence say nothing to people.
STEPS = {"same_question_steps", "new_question_steps", "type_steps"}
# The figures of `held_out` that are printed. A fit of an earlier version lacks some of them.
FIGURES = ("hit@1_same_question", "hit@1_new_question", "kinds_right", "most_frequent_kind")

app = typer.Typer(no_args_is_help=True, help="The offline analyser, and its fits to courses.")


@app.command()
def fit(
    records: Annotated[
        Path, typer.Argument(help="mistakes: NDJSON of error_record and attempt_record")
    ],
    labels: Annotated[
        Path,
        typer.Argument(
            help="NDJSON of record_id, error_types and knowledge_points, or what `edugraph reviews export` printed"
        ),
    ],
    course: Annotated[
        str | None, typer.Option(help="the id of one course; all if it is not given")
    ] = None,
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Learn the points and the kinds of mistakes of each course with at least 100 labelled mistakes.

    Analyzers use the new version within a minute, and each finding names it. Exits with 1 if no course has enough.
    """
    try:
        from edugraph_analyzer.rule_based.fitting import FEWEST_ITEMS, by_course, fit_course
        from edugraph_analyzer.rule_based.labels import label_reader
    except ModuleNotFoundError as missing:
        stop(
            f"This command needs the analyzer ({missing.name} is missing): install edugraph-cli[analyzer].",
            INVALID,
        )
    check_file(records)
    check_file(labels)
    blobs = _blobs()
    with plain_errors():
        found = by_course(label_reader(records, labels, source or DEFAULT_SOURCE).items())
        chosen = found
        if course:
            chosen = {course: found.get(course, [])}
        fitted: list[FitHeader] = []
        for course_id, labelled in chosen.items():
            if len(labelled) >= FEWEST_ITEMS:
                header, rows = fit_course(course_id, labelled, datetime.now(UTC))
                write_fit(blobs, header, rows)
                fitted.append(header)
    if as_json:
        show_json([header.model_dump(mode="json", exclude=STEPS) for header in fitted])
    else:
        _print(fitted)
        for course_id, labelled in chosen.items():
            count = len(labelled)
            if count < FEWEST_ITEMS:
                say(
                    f"{course_id} has {count} labelled mistakes: it was left out, since a fit needs {FEWEST_ITEMS}."
                )
    if not fitted:
        stop(
            "No course was fitted: label more mistakes, or check that the record_ids of both files agree.",
            FAILED,
        )


@app.command("fits")
def list_fits(as_json: Json = False) -> None:
    """List all versions, the oldest of each course first. The last version of a course is in use."""
    blobs = _blobs()
    with plain_errors():
        headers = [read_fit(blobs, key)[0] for key in fit_keys(blobs)]
    if as_json:
        show_json([header.model_dump(mode="json", exclude=STEPS) for header in headers])
    else:
        _print(headers)


@app.command()
def drop(
    course: Annotated[str, typer.Argument(help="the id of the course")],
    version: Annotated[
        str | None, typer.Option(help="only this version; all versions if it is not given")
    ] = None,
    yes: Yes = False,
) -> None:
    """Delete versions of a course. The newest version that is left is in use, if there is one."""
    blobs = _blobs()
    with plain_errors():
        keys = list(fit_keys(blobs, course))
        if version is not None:
            keys = [key for key in keys if key.endswith(f"/{version}.ndjson")]
        if not keys:
            stop(f"Course {course} has no such fit: `edugraph analyzer fits` lists them.", INVALID)
        if not yes:
            typer.confirm(f"Delete {len(keys)} versions of {course}?", abort=True, err=True)
        for key in keys:
            blobs.delete(key)
    say(f"{len(keys)} versions of {course} were deleted.")


def _blobs() -> Blobs:
    return Blobs(broker_settings().blob_url)


def _print(headers: list[FitHeader]) -> None:
    """Print one row for each fit, with its shares right at mistakes that it had not seen."""
    rows = []
    for header in headers:
        shares = []
        for figure in FIGURES:
            share = header.held_out.get(figure)
            shares.append("–" if share is None else f"{share:.2f}")
        names_kinds = "yes" if header.type_steps else "no"
        rows.append((header.course_id, header.version, header.items, *shares, names_kinds))
    columns = (
        "course",
        "version",
        "mistakes",
        "first point right, same question",
        "first point right, new question",
        "kind right",
        "share of the most frequent kind",
        "names kinds",
    )
    print_rows(columns, rows)
