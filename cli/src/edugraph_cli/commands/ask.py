"""`edugraph ask`: a question to insights, answered as a table."""

from typing import Annotated, Any

import typer

from edugraph_cli.client import Client
from edugraph_cli.display import INVALID, plain_errors, print_answer, print_rows, show_json, stop
from edugraph_cli.options import Json


def ask(
    question: Annotated[str | None, typer.Argument(help="its name; without one, all are listed")] = None,
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="for example course=MATH8")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask about courses and students, for example: edugraph ask weak-points course=MATH8."""
    given = dict(each.partition("=")[::2] for each in parameters or ())
    if wrong := next((each for each in parameters or () if "=" not in each), None):
        stop(f"{wrong} is no parameter: write name=value, for example course=MATH8.", INVALID)
    with plain_errors(), Client.from_environment() as client:
        answer = client.insight(question, given) if question else client.insights()
    if as_json:
        show_json(answer)
    elif question:
        print_answer(answer)
    else:
        print_rows(("question", "asks", "parameters"), [catalogue_row(each) for each in answer["questions"]])


def catalogue_row(question: dict[str, Any]) -> tuple[str, str, str]:
    return question["name"], question["title"], ", ".join(question["parameters"])
