"""`edugraph cache stats|clear` and `edugraph provider check`. They connect to Redis and to the provider directly.

The commands run the code of the analyzer with the settings of this environment. The analyzer is an extra
(`edugraph-cli[analyzer]`), since a client that only submits work does not need it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edugraph_cli.commands.topology import broker_settings
from edugraph_cli.display import FAILED, INVALID, plain_errors, print_rows, say, show_json, stop
from edugraph_cli.options import Json, Yes
from edugraph_common.contracts.findings import Kind

if TYPE_CHECKING:
    import redis

cache_app = typer.Typer(
    no_args_is_help=True,
    help="The cached answers of the model, so that each is paid for only once.",
)
provider_app = typer.Typer(no_args_is_help=True, help="The provider of the language model.")
_MARKS = {True: "ok", False: "BAD", None: ""}


@cache_app.command()
def stats(as_json: Json = False) -> None:
    """Show the number of cached answers by kind, and of requests that they saved since the last clear."""
    with _analyzer_and_redis() as server:
        from edugraph_analyzer.cache import store

        found = store.stats(server)
    if as_json:
        show_json(asdict(found))
        return
    print_rows(("kind", "answers"), sorted(found.entries.items()))
    say(f"{found.hits:,} of {found.hits + found.misses:,} items were answered from the cache.")


@cache_app.command()
def clear(
    kind: Annotated[Kind | None, typer.Option(help="only answers of this kind")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete cached answers. The same requests have to be paid for again."""
    if not yes:
        typer.confirm("What is asked again will be paid for again. Continue?", abort=True, err=True)
    with _analyzer_and_redis() as server:
        from edugraph_analyzer.cache import store

        cleared = store.clear(server, kind)
    if as_json:
        show_json({"cleared": cleared})
    else:
        say(f"{cleared:,} answers were deleted.")


@provider_app.command()
def check(as_json: Json = False) -> None:
    """Check the provider and what it accepts, with one small request for each model.

    Exits with 1 if a check fails.
    """
    with _analyzer_and_redis() as server:
        from pydantic import ValidationError

        from edugraph_analyzer import probe
        from edugraph_analyzer.settings import AnalyzerSettings

        try:
            settings = AnalyzerSettings()
        except ValidationError as error:
            wrong = [
                f"{detail['loc'][0]}: {detail['msg']}"
                for detail in error.errors(include_input=False)
            ]
            stop(f"The analyzer's settings cannot be used: {'; '.join(wrong)}", INVALID)
        facts = probe.check(settings, server)
    if as_json:
        show_json([asdict(fact) for fact in facts])
    else:
        print_rows(("", "", ""), [(fact.name, fact.value, _MARKS[fact.good]) for fact in facts])
    raise typer.Exit(FAILED if any(fact.good is False for fact in facts) else 0)


@provider_app.callback()
def group() -> None:
    """Keep `check` a subcommand. Without this callback, typer makes the only command of an app the app itself."""


@contextmanager
def _analyzer_and_redis() -> "Iterator[redis.Redis]":
    """Yield a client of Redis. End the command with one sentence if the analyzer or Redis is missing."""
    import redis

    from edugraph_common.contracts.errors import Retryable, what
    from edugraph_common.runtime.shared_state.job_store import redis_of

    try:
        with (
            plain_errors(),
            redis_of(broker_settings(), timeout=4, retries=1) as client,
        ):
            try:
                yield client
            except redis.RedisError as error:
                raise Retryable(
                    f"Redis does not answer ({what(error)}); check EDUGRAPH_REDIS_URL."
                ) from error
    except ModuleNotFoundError as missing:
        stop(
            f"This command needs the analyzer ({missing.name} is missing): install edugraph-cli[analyzer].",
            INVALID,
        )
