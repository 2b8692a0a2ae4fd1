"""`edugraph ask`: ask insights a question, and print the answer as a table."""

from collections.abc import Sequence
from typing import Annotated

import typer

from edugraph_cli.display import INVALID, plain_errors, print_answer, print_rows, show_json, stop
from edugraph_cli.options import Json
from edugraph_client import Client, Question


def ask(
    question: Annotated[
        str | None,
        typer.Argument(help="the name of the question; without it, all questions are listed"),
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="for example course=MATH8")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask about courses and students, for example: edugraph ask weak-points course=MATH8."""
    given: dict[str, str] = {}
    for parameter in parameters or ():
        name, equals, value = parameter.partition("=")
        if not equals:
            stop(
                f"{parameter} is not a parameter: write name=value, for example course=MATH8.",
                INVALID,
            )
        given[name] = value
    with plain_errors(), Client.from_environment() as client:
        if question is None:
            print_catalogue(client.questions(), as_json=as_json)
            return
        answer = client.ask(question, **given)
    if as_json:
        show_json(answer.model_dump(mode="json"))
    else:
        print_answer(answer)


def print_catalogue(questions: Sequence[Question], *, as_json: bool) -> None:
    if as_json:
        show_json({"questions": [each.model_dump(mode="json") for each in questions]})
    else:
        rows = [(each.name, each.title, ", ".join(each.parameters)) for each in questions]
        print_rows(("question", "asks", "parameters"), rows)
