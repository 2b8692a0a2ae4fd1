"""`edugraph cache stats|clear` and `edugraph provider check`: speak to Redis and the provider themselves."""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from edugraph_cli.analyzer_tools import analyzer_needed, analyzer_settings, own_redis
from edugraph_cli.display import FAILED, plain_errors, print_rows, say, show_json

cache_app = typer.Typer(no_args_is_help=True, help="Answers of the model that were paid for already.")
provider_app = typer.Typer(no_args_is_help=True, help="The language model's provider.")
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


class KindName(StrEnum):
    INTERACTION = "interaction"
    ERROR = "error"
    KNOWLEDGE_POINTS = "knowledge_points"


@cache_app.command()
def stats(as_json: Json = False) -> None:
    """How many answers are kept of each kind, and how often they were of use since the last clear."""
    with plain_errors(), analyzer_needed(), own_redis() as server:
        from edugraph_analyzer.cache import store

        found = store.stats(server)
    if as_json:
        show_json(asdict(found))
        return
    print_rows(("kind", "answers"), sorted(found.entries.items()))
    asked = found.hits + found.misses
    say(f"{found.hits:,} of {asked:,} items were answered from the cache.")


@cache_app.command()
def clear(
    kind: Annotated[KindName | None, typer.Option(help="answers of one kind only")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Forget answers: what is asked again is paid for again."""
    if not yes:
        typer.confirm("What is asked again will be paid for again. Go on?", abort=True, err=True)
    with plain_errors(), analyzer_needed(), own_redis() as server:
        from edugraph_analyzer.cache import store

        gone = store.clear(server, kind.value if kind else None)
    if as_json:
        show_json({"cleared": gone})
    else:
        say(f"{gone:,} answers forgotten.")


@provider_app.command()
def check(as_json: Json = False) -> None:
    """What the provider is and accepts, by one small request for each model. Exits with 1 if a check did not hold."""
    with plain_errors(), analyzer_needed(), own_redis() as server:
        from edugraph_analyzer import probe

        facts = probe.check(analyzer_settings(), server)
    if as_json:
        show_json([asdict(fact) for fact in facts])
    else:
        print_rows(("", "", ""), [(fact.name, fact.value, _MARKS[fact.good]) for fact in facts])
    raise typer.Exit(FAILED if any(fact.good is False for fact in facts) else 0)


@provider_app.callback()
def group() -> None:
    """A group, although it has one command as yet."""


_MARKS = {True: "ok", False: "BAD", None: ""}
