"""`edugraph topology apply|check`. They connect to RabbitMQ directly, with the settings of this environment."""

import typer

from edugraph_cli.display import FAILED, INVALID, plain_errors, say, show_json, stop
from edugraph_cli.options import Json
from edugraph_common.runtime.service.settings import Settings

app = typer.Typer(
    no_args_is_help=True, help="The broker's exchanges, queues, bindings and policies."
)


@app.command()
def apply(as_json: Json = False) -> None:
    """Declare the missing parts of the topology. Existing parts do not change."""
    from edugraph_common.runtime.messaging.celery_app import make_publisher
    from edugraph_common.runtime.messaging.provisioning import apply_topology

    settings = broker_settings()
    with plain_errors():
        steps = list(apply_topology(make_publisher("edugraph-topology", settings), settings))
    _print(steps, as_json=as_json)


@app.command()
def check(as_json: Json = False) -> None:
    """List the parts that are missing or different. Exits with 1 if there are any."""
    from edugraph_common.runtime.messaging.provisioning import check_topology

    settings = broker_settings()
    with plain_errors():
        problems = check_topology(settings)
    _print(problems, as_json=as_json)
    if problems:
        stop("Run: edugraph topology apply", FAILED)
    if not as_json:
        say("The topology is complete.")


def _print(sentences: list[str], *, as_json: bool) -> None:
    if as_json:
        show_json(sentences)
        return
    for sentence in sentences:
        say(sentence)


def broker_settings() -> Settings:
    """Return the settings of the services, or end the command with one sentence that names those not set."""
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        names = ", ".join(f"EDUGRAPH_{str(detail['loc'][0]).upper()}" for detail in error.errors())
        stop(f"Set {names}: this command speaks to the servers directly.", INVALID)
