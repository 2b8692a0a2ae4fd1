"""Each `edugraph …` line of the documents is a command that exists, with options and choices that it takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from edugraph_cli.main import app
from edugraph_common.contracts.permissions import ROLES, SCOPES

ROOT = Path(__file__).resolve().parents[2]
# The changes of releases and these decisions name commands that were removed.
OF_REMOVED_COMMANDS = {
    "CHANGELOG.md",
    "renames.md",
    "0053-mastery-is-judged-by-a-made-up-school.md",
    "0113-mastery-is-a-bayesian-estimate.md",
}
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("research/**/*.md"),
        *ROOT.glob("deploy/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob(".github/**/*.md"),
        ROOT / "deploy" / "k8s" / "templates" / "NOTES.txt",
    )
    if page.name not in OF_REMOVED_COMMANDS and ".venv" not in page.parts
)
COMMAND = typer.main.get_command(app)
# A word in capitals, or a variable of the shell, stands for a value that the reader fills in.
PLACEHOLDER = re.compile(r"[A-Z][A-Z_-]*(\.[a-z.]+)?|\$\w+")
END_OF_COMMAND = re.compile(r"[|;&<>#…()]|\s->")


class Line(NamedTuple):
    """`is_mention`: the words stand within a sentence, which may leave out arguments."""

    text: str
    is_mention: bool


def lines_of(page: Path) -> Iterator[Line]:
    """Yield the commands of a page: lines of code blocks, and code within a sentence or a table."""
    text = page.read_text(encoding="utf-8")
    fenced = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for block in fenced.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield from (Line(command, is_mention=False) for command in _commands_in(line))
    for code in re.findall(r"`([^`\n]+)`", fenced.sub("", text)):
        yield from (Line(command, is_mention=True) for command in _commands_in(code))


def _commands_in(line: str) -> list[str]:
    # A bar inside of a table is written as \\|, and parts in brackets may be left out.
    plain = re.sub(r"\[[^\]]*\]", "", line.replace("\\|", "|"))
    return re.findall(r"(?:^\s*|\./|; do |\$ |\bexec \S+ |\| |-- |&& )edugraph ([a-z].*)", plain)


def words_of(text: str) -> list[str]:
    """Return the words up to the end of the command. `a|b` without spaces is a choice of words and stays one word."""
    joined = re.sub(r"(?<=\w)\|(?=\w)", "/or/", text)
    command = END_OF_COMMAND.split(joined)[0]
    # A quotation that the end of the command cut off is closed again.
    closed = command + "'" * (command.count("'") % 2) + '"' * (command.count('"') % 2)
    return [word.replace("/or/", "|") for word in shlex.split(closed)]


def alternatives(words: list[str]) -> Iterator[list[str]]:
    """Yield the words once for each alternative of the first `a|b`."""
    for index, word in enumerate(words):
        if "|" in word:
            for each in word.split("|"):
                yield from alternatives([*words[:index], each, *words[index + 1 :]])
            return
    yield words


def refusal(words: list[str], *, is_mention: bool = False) -> str | None:
    """Return why the command line refuses these words, or None. Nothing is run.

    A page may name a command without its arguments, as in "`edugraph jobs resume` takes it up again".
    """
    command: Any = COMMAND
    context = None
    rest = words
    while hasattr(command, "commands"):
        context = command.context_class(command, info_name="edugraph", parent=context)
        if not rest:
            return None
        found = command.get_command(context, rest[0])
        if found is None:
            return f"there is no command {rest[0]}"
        command = found
        rest = rest[1:]
    if not rest:
        return None
    return _refused_arguments(command, context, rest, is_mention=is_mention)


def _refused_arguments(
    command: Any, parent: Any, words: list[str], *, is_mention: bool
) -> str | None:
    try:
        command.parse_args(
            command.context_class(command, info_name="edugraph", parent=parent), list(words)
        )
    except Exception as error:  # noqa: BLE001 - Typer's copy of click has no public name for its errors
        kind = type(error).__name__
        reason = str(error) or kind
        leaves_out_a_value = kind == "MissingParameter" or "requires an argument" in reason
        if is_mention and leaves_out_a_value:
            return None
        given = _with_a_value(words, reason)
        if given is None:
            return reason
        return _refused_arguments(command, parent, given, is_mention=is_mention)
    return None


def _with_a_value(words: list[str], reason: str) -> list[str] | None:
    """Return the words with a value in place of the one that was refused, or None if the page is wrong.

    A placeholder becomes a choice or a number, and the name of a file becomes one that exists.
    """
    refused, *allowed = re.findall(r"'([^']*)'", reason) or [""]
    if refused not in words:
        return None
    if "does not exist" in reason:
        value = __file__
    elif not PLACEHOLDER.fullmatch(refused):
        return None
    elif "is not one of" in reason:
        value = allowed[0]
    else:
        value = "1"
    return [value if word == refused else word for word in words]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_line_takes_each_command_of_a_page(page: Path) -> None:
    """Guard: take `review` out of the scopes, and docs/page.md fails."""
    refused = [
        (line.text, reason)
        for line in lines_of(page)
        for words in alternatives(words_of(line.text))
        if (reason := refusal(words, is_mention=line.is_mention))
    ]
    assert refused == []


def test_the_pages_name_many_commands() -> None:
    assert sum(1 for page in PAGES for _ in lines_of(page)) > 150


def test_an_unknown_choice_is_refused() -> None:
    assert refusal(["keys", "create", "NAME", "--scope", "everything"])
    assert refusal(["keys", "made-up"])
    assert refusal(["keys", "create", "--scope", "read"])


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_may_be_made_with_each_scope(scope: str) -> None:
    assert refusal(["keys", "create", "NAME", "--scope", scope]) is None


@pytest.mark.parametrize("role", ROLES)
def test_a_key_may_be_made_with_each_role(role: str) -> None:
    assert refusal(["keys", "create", "NAME", "--role", role]) is None
