"""`edugraph doctor`: print what is wrong with the servers, and what to do about it."""

import typer

from edugraph_cli.display import FAILED, plain_errors, say, show_json
from edugraph_cli.options import Json
from edugraph_client import Client, Refused, Unreachable
from edugraph_common.contracts.api import Check


def doctor(as_json: Json = False) -> None:
    """Check the broker, its policies, Redis, the blob store and the graph. Each kind of worker checks its servers.

    Workers have 10 seconds to answer. The analyzer also checks the provider of the model. Exits with 1 if anything is
    wrong.
    """
    with plain_errors(), Client.from_environment() as client:
        checks = [*client.diagnosis().checks, graph_check(client)]
    if as_json:
        show_json([check.model_dump(mode="json") for check in checks])
    else:
        for check in checks:
            line = f"{'ok ' if check.ok else 'BAD'}  {check.name}"
            if check.detail:
                line += f": {check.detail}"
            say(line)
            for problem in check.problems[:10]:
                say(f"       {problem}")
            for advice in check.advice:
                say(f"     > {advice}")
    raise typer.Exit(0 if all(check.ok for check in checks) else FAILED)


def graph_check(client: Client) -> Check:
    """Return what insights finds wrong with the graph, or that insights does not answer."""
    try:
        return client.graph_check()
    except (Refused, Unreachable) as error:
        advice = "Check that insights runs, and that EDUGRAPH_URL leads to it, or EDUGRAPH_INSIGHTS_URL does."
        return Check(name="insights", ok=False, problems=(str(error),), advice=(advice,))
