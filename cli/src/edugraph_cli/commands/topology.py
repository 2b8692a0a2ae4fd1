"""`edugraph topology apply|check`: speaks to RabbitMQ itself, with the settings of the environment."""

from typing import Annotated

import typer

from edugraph_cli.display import FAILED, INVALID, plain_errors, say, show_json, stop
from edugraph_common.platform.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The broker's exchanges, queues, bindings and policies.")
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


@app.command()
def apply(as_json: Json = False) -> None:
    """Declare all that is missing; what is there is left alone."""
    from edugraph_common.messaging.celery_app import make_publisher
    from edugraph_common.messaging.provisioning import apply_topology

    settings = broker_settings()
    with plain_errors():
        steps = list(apply_topology(make_publisher("edugraph-topology", settings), settings))
    _print(steps, as_json=as_json)


@app.command()
def check(as_json: Json = False) -> None:
    """Say what is missing or different. Exits with 1 if anything is."""
    from edugraph_common.messaging.provisioning import check_topology

    settings = broker_settings()
    with plain_errors():
        problems = check_topology(settings)
    _print(problems, as_json=as_json)
    if problems:
        stop("Run: edugraph topology apply", FAILED)
    if not as_json:
        say("All is as it must be.")


def _print(sentences: list[str], *, as_json: bool) -> None:
    if as_json:
        show_json(sentences)
        return
    for sentence in sentences:
        say(sentence)


def broker_settings() -> Settings:
    """The services' own settings; what is missing is named in one sentence."""
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        names = ", ".join(f"EDUGRAPH_{str(detail['loc'][0]).upper()}" for detail in error.errors())
        stop(f"Set {names}: this command speaks to the servers itself.", INVALID)
