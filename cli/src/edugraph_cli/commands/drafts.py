"""`edugraph draft feedback|summary`: let a model write a draft with citations. It is printed, and sent to nobody."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from edugraph_cli.commands import tasks
from edugraph_cli.display import FAILED, plain_errors, say, show_json, stop
from edugraph_cli.options import Json
from edugraph_client import Client
from edugraph_common.contracts.drafts import Draft, DraftBasis, DraftLanguage

app = typer.Typer(
    no_args_is_help=True,
    help="Drafts by the language model, with citations: feedback to a student, the summary of a class.",
)

Course = Annotated[str, typer.Argument(help="the id of the course")]
Days = Annotated[
    int | None, typer.Option("--days", min=1, help="only records of so many last days")
]
Language = Annotated[DraftLanguage, typer.Option("--language", help="the language of the draft")]


@app.command()
def feedback(
    student: Annotated[str, typer.Argument(help="the id of the student")],
    course: Course,
    days: Days = None,
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Draft feedback to a student whom you lead, from their answers and mistakes in a course."""
    with plain_errors(), Client.from_environment() as client:
        basis = client.permit_draft(course, student_id=student, days=days, language=language)
        _write(client, basis, as_json=as_json)


@app.command()
def summary(
    course: Course,
    days: Days = None,
    language: Language = "en",
    as_json: Json = False,
) -> None:
    """Draft a summary of the students whom you lead in a course, in at most six sentences."""
    with plain_errors(), Client.from_environment() as client:
        basis = client.permit_draft(course, days=days, language=language)
        _write(client, basis, as_json=as_json)


def _write(client: Client, basis: DraftBasis, *, as_json: bool) -> None:
    """Let a draft be written, and print it. Exits with 1 if there is none."""
    result = tasks.result_of(client, client.write_draft(basis).task_id, as_json)
    draft = _draft_of(result)
    if as_json:
        show_json(draft.model_dump(mode="json"))
    else:
        print_draft(draft)
    if draft.state == "failed":
        raise typer.Exit(FAILED)


def _draft_of(result: Any) -> Draft:
    """Return the draft in a result. An erasure empties it, and a restriction of a student hides it."""
    try:
        return Draft.model_validate(result)
    except ValidationError:
        stop("The draft is not shown: a student of it was erased or is restricted.", FAILED)


def print_draft(draft: Draft) -> None:
    """Print the sentences with their citations, the cited records, and how much was removed."""
    if draft.error:
        say(f"There is no draft: {draft.error}.")
    else:
        say(f"A draft by {draft.model}, for you to edit. It was sent to nobody.")
    for sentence in draft.sentences:
        cited = "".join(f"[{number}]" for number in sentence.cites)
        say(f"  {sentence.text} {cited}")
    for record in draft.records:
        say(f"[{record.number}] {record.record_id} of {record.student_id}")
    if draft.removed:
        say(f"{draft.removed} sentences without a valid citation were removed.")
    if draft.cut:
        say(f"{draft.cut} more sentences were left out.")
