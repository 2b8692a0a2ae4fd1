"""Check whether the provider answers and accepts the keys. The list of models is asked for, which costs nothing."""

import httpx2

from edugraph_analyzer.llm.bounded_http import BoundedClient
from edugraph_analyzer.llm.refusals import moved_to
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.api import Check

TIMEOUT_SECONDS = 4.0
OWN_ADDRESS = "https://api.openai.com/v1"
NAME = "provider"


def check_provider(settings: AnalyzerSettings) -> Check:
    """Return the check of the provider. Its detail is "not asked" if no provider is set."""
    if not settings.has_provider:
        return Check(
            name=NAME, ok=True, detail="not asked: none is set, and the offline analyser answers"
        )
    problems = []
    for address, key in _logins(settings):
        problem = _problem(address, key)
        if problem is not None:
            problems.append(problem)
    advice: tuple[str, ...] = ()
    if problems:
        advice = ("Check OPENAI_BASE_URL, OPENAI_API_KEY and the file of models, and the network.",)
    return Check(name=NAME, ok=not problems, problems=tuple(problems), advice=advice)


def _logins(settings: AnalyzerSettings) -> list[tuple[str, str]]:
    """Return each address with each of its keys. The key is "" for a server without keys."""
    logins = dict[tuple[str, str], None]()
    for kind in ("interaction", "error", "knowledge_points"):
        for endpoint in settings.endpoints_for(settings.model_for(kind)):
            keys = [key.get_secret_value() for key in endpoint.keys]
            for key in keys or [""]:
                logins[(endpoint.base_url or OWN_ADDRESS).rstrip("/"), key] = None
    return list(logins)


def _problem(address: str, key: str) -> str | None:
    """Return the problem of one login, or None if it works."""
    headers = {}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        # An answer that drips would otherwise hold up the start of a worker for ever.
        with BoundedClient(timeout=TIMEOUT_SECONDS) as client:
            answer = client.get(f"{address}/models", headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"{address} does not answer ({type(error).__name__})"
    if answer.has_redirect_location:
        there = moved_to(address, answer.headers["location"])
        return (
            f"{address} redirects to {there} ({answer.status_code}), and redirects are not followed"
        )
    if answer.status_code in (401, 403):
        return f"{address} refuses the key ({answer.status_code})"
    return None
