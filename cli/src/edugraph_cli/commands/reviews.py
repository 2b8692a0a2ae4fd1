"""`edugraph reviews send|pair|prerequisite|propose|export`: the verdicts of people about the graph."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edugraph_cli.commands import tasks
from edugraph_cli.display import INVALID, out, plain_errors, say, show_json, stop
from edugraph_cli.options import Json
from edugraph_client import Client
from edugraph_common.contracts.reviews import REVIEWS_AT_ONCE, Of, PairVerdict, Verdict

app = typer.Typer(
    no_args_is_help=True,
    help="Reviews: accept, reject or merge what the graph holds, and print all reviews.",
)


@app.command()
def send(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="reviews as lines of JSON")
    ],
    as_json: Json = False,
) -> None:
    """Send reviews from a file, and wait until they count."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        reviews = [json.loads(line) for line in lines if line.strip()]
    except ValueError:
        stop(f"{file} is not one JSON object a line.", INVALID)
    _send(reviews, as_json)


@app.command()
def pair(
    of: Annotated[Of, typer.Argument(help="the kind of the two things")],
    one: Annotated[str, typer.Argument(help="the id of one of them in the graph")],
    other: Annotated[str, typer.Argument(help="the id of the other")],
    verdict: Annotated[PairVerdict, typer.Argument()],
    as_json: Json = False,
) -> None:
    """Say that two ids mean the same or that they do not, or take that back. The last verdict on a pair counts."""
    _send([{"kind": "pair", "of": of, "pair": [one, other], "verdict": verdict}], as_json)


@app.command()
def prerequisite(
    point: Annotated[str, typer.Argument(help="the id of a knowledge point in the graph")],
    requires: Annotated[
        str, typer.Argument(help="the id of the point that is, or is not, needed first")
    ],
    verdict: Annotated[Verdict, typer.Argument()],
    as_json: Json = False,
) -> None:
    """Say that a point needs another first or does not, or take that back. Verdicts count more than texts."""
    _send(
        [{"kind": "prerequisite", "point": point, "requires": requires, "verdict": verdict}],
        as_json,
    )


@app.command()
def propose(as_json: Json = False) -> None:
    """Propose points that may mean the same, by their names. An import that brings new points does this too."""
    with plain_errors(), Client.from_environment() as client:
        result = tasks.result_of(client, client.propose_pairs().task_id, as_json)
    if as_json:
        show_json(result)
        return
    say(
        f"The names of {result['points']} knowledge points are being compared; see Review on the page."
    )
    if result["left_out"]:
        say("There are more points than one comparison takes; the others are left out.")


@app.command()
def export() -> None:
    """Print all reviews as lines of JSON, in the form that `send` accepts."""
    with plain_errors(), Client.from_environment() as client, client.reviews() as lines:
        for line in lines:
            out.print(line, highlight=False, markup=False, soft_wrap=True)


def _send(reviews: Sequence[dict[str, Any]], as_json: bool) -> None:
    with plain_errors(), Client.from_environment() as client:
        for start in range(0, len(reviews), REVIEWS_AT_ONCE):
            accepted = client.review(reviews[start : start + REVIEWS_AT_ONCE])
            tasks.result_of(client, accepted.task_id, as_json)
    if as_json:
        show_json({"reviews": len(reviews)})
    else:
        say(f"{len(reviews)} reviews are kept, and count.")
