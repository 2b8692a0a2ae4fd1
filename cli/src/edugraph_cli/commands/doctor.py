"""`edugraph doctor`: what is wrong, and what to do about it."""

import os

import httpx
import typer

from edugraph_cli.display import FAILED, plain_errors, say, show_json
from edugraph_cli.options import Json
from edugraph_client import Client, Refused, Unreachable
from edugraph_common.contracts.api import Check


def doctor(as_json: Json = False) -> None:
    """Check the broker, its policies, Redis, the blob store, the graph and the model's provider.

    Exits with 1 if anything is wrong.
    """
    with plain_errors(), Client.from_environment() as client:
        checks = [*client.diagnosis().checks, graph_check(client), provider_check()]
    if as_json:
        show_json([check.model_dump(mode="json") for check in checks])
    else:
        for check in checks:
            say(f"{'ok ' if check.ok else 'BAD'}  {check.name}")
            for problem in check.problems[:10]:
                say(f"       {problem}")
            for advice in check.advice:
                say(f"     > {advice}")
    raise typer.Exit(0 if all(check.ok for check in checks) else FAILED)


def graph_check(client: Client) -> Check:
    """Ask insights, which alone reads the graph for people."""
    try:
        return client.graph_check()
    except (Refused, Unreachable) as error:
        advice = "Check that insights runs, and that EDUGRAPH_URL leads to it, or EDUGRAPH_INSIGHTS_URL does."
        return Check(name="insights", ok=False, problems=(str(error),), advice=(advice,))


def provider_check() -> Check:
    """Ask the provider from here, with this environment's OPENAI_ settings.

    Without a key there is nothing to check: the offline analyser is used.
    """
    base, key = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"), os.environ.get("OPENAI_API_KEY")
    if not key:
        return Check(name="provider", ok=True)
    try:
        answer = httpx.get(f"{base.rstrip('/')}/models", headers={"Authorization": f"Bearer {key}"}, timeout=10)
    except httpx.HTTPError as error:
        problem, advice = f"{base} does not answer ({type(error).__name__})", "Check OPENAI_BASE_URL and the network."
    else:
        if answer.status_code not in (401, 403):
            return Check(name="provider", ok=True)
        problem, advice = f"{base} refuses the key ({answer.status_code})", "Check OPENAI_API_KEY."
    return Check(name="provider", ok=False, problems=(problem,), advice=(advice,))
