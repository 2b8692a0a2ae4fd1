"""`edugraph topology apply|check`: speaks to RabbitMQ itself, with the settings of the environment."""

import typer

from edugraph_cli.display import FAILED, INVALID, plain_errors, say, stop
from edugraph_common.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The broker's exchanges, queues, bindings and policies.")


@app.command()
def apply() -> None:
    """Declare all that is missing; what is there is left alone."""
    from edugraph_common.broker.celery_app import make_publisher
    from edugraph_common.broker.provisioning import apply_topology

    settings = broker_settings()
    with plain_errors():
        for step in apply_topology(make_publisher("edugraph-topology", settings), settings):
            say(step)


@app.command()
def check() -> None:
    """Say what is missing or different. Exits with 1 if anything is."""
    from edugraph_common.broker.provisioning import check_topology

    settings = broker_settings()
    with plain_errors():
        problems = check_topology(settings)
    for problem in problems:
        say(problem)
    if problems:
        stop("Run: edugraph topology apply", FAILED)
    say("All is as it must be.")


def broker_settings() -> Settings:
    """The services' own settings; what is missing is named in one sentence."""
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        names = ", ".join(f"EDUGRAPH_{str(detail['loc'][0]).upper()}" for detail in error.errors())
        stop(f"Set {names}: this command speaks to the servers itself.", INVALID)
