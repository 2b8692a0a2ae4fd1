"""`edugraph ask`: ask insights a question, and print the answer as a table."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer

from edugraph_cli.commands import tasks
from edugraph_cli.display import (
    FAILED,
    INVALID,
    plain_errors,
    print_answer,
    print_rows,
    say,
    show_json,
    stop,
)
from edugraph_cli.options import Json
from edugraph_client import Client, Question
from edugraph_common.contracts.wordings import ChosenQuestion, UnderstoodQuestion, WordsLanguage


def ask(
    question: Annotated[
        str | None,
        typer.Argument(help="the name of the question; without it, all questions are listed"),
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="for example course=MATH8")
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            "--words", help="a question in English or Chinese; a model chooses one of the questions"
        ),
    ] = None,
    language: Annotated[
        WordsLanguage, typer.Option("--language", help="the language of the answer to --words")
    ] = "en",
    as_json: Json = False,
) -> None:
    """Ask about courses and students, for example: edugraph ask weak-points course=MATH8."""
    pairs = list(parameters or ())
    if words is not None and question is not None:
        pairs.insert(0, question)
    given = _given(pairs)
    with plain_errors(), Client.from_environment() as client:
        if words is not None:
            understood = _understood(client, words, given, language, as_json=as_json)
            question = understood.question
            given = dict(parse_qsl(urlsplit(understood.ask or "").query))
        if question is None:
            print_catalogue(client.questions(), as_json=as_json)
            return
        answer = client.ask(question, **given)
    if as_json:
        show_json(answer.model_dump(mode="json"))
    else:
        print_answer(answer)


def _given(pairs: Sequence[str]) -> dict[str, str]:
    """Return the parameters that were written as name=value."""
    given: dict[str, str] = {}
    for parameter in pairs:
        name, equals, value = parameter.partition("=")
        if not equals:
            stop(
                f"{parameter} is not a parameter: write name=value, for example course=MATH8.",
                INVALID,
            )
        given[name] = value
    return given


def _understood(
    client: Client,
    words: str,
    given: Mapping[str, str],
    language: WordsLanguage,
    *,
    as_json: bool,
) -> UnderstoodQuestion:
    """Return the typed question for a text, and print what was understood. Ends the command if there is none."""
    if set(given) - {"course"}:
        stop("With --words only course=ID can be given; write the rest in the question.", INVALID)
    about: dict[str, Any] = {"course_id": given.get("course"), "language": language}
    basis = client.prepare_words(words, **about)
    result = tasks.result_of(client, client.choose_question(basis).task_id, as_json)
    chosen = ChosenQuestion.model_validate(result)
    if chosen.state != "chosen":
        stop(f"There is no answer: {chosen.error}.", FAILED)
    understood = client.resolve_choice(words, chosen, **about)
    if understood.ask is None:
        for name, candidates in understood.candidates.items():
            listed = ", ".join(f"{each.id} ({each.name})" for each in candidates)
            say(f"Say which {name} is meant: {listed or 'there is none'}.")
        stop(f"Understood as: {understood.title} But something must be chosen.", FAILED)
    if not as_json:
        said = ", ".join(f"{each.parameter} {each.name}" for each in understood.parameters)
        say(f"Understood as: {understood.title} ({said})")
    return understood


def print_catalogue(questions: Sequence[Question], *, as_json: bool) -> None:
    if as_json:
        show_json({"questions": [each.model_dump(mode="json") for each in questions]})
    else:
        rows = [(each.name, each.title, ", ".join(each.parameters)) for each in questions]
        print_rows(("question", "asks", "parameters"), rows)
