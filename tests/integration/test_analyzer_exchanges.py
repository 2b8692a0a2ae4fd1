"""What hosted providers and servers of one's own answer, as their pages and users tell it, read by the model's client.

Each file of `provider/exchanges` is written by hand: nobody here has a key of these providers. It names the pages that
it follows. A server of this test answers what it says, and the recipe of docs/models.md asks.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from analyzer_bench import RECIPES

from edugraph_analyzer.llm.client import LLMClient
from edugraph_analyzer.llm.rate_limiter import RateLimiter
from edugraph_analyzer.prompting.questions import LLMRequest, Unanswerable
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure

FOLDER = Path(__file__).parents[1] / "provider" / "exchanges"
FILES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
}
EXCHANGES = [
    pytest.param(name, exchange, id=f"{name}: {exchange['title']}")
    for name, told in FILES.items()
    for exchange in told["exchanges"]
]
# Parameters of other models of the provider, and of its endpoint.
LEFT_OUT = ("names", "stream", "concurrency")


@contextmanager
def answering(responses: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Answer one request after the other, and yield the address and what was asked."""
    asked, left = list[dict[str, Any]](), iter(responses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            response = next(left)
            body = (
                _stream(response["events"])
                if "events" in response
                else json.dumps(response["body"])
            )
            content = (response.get("before", "") + body).encode()
            self.send_response(response["status"])
            self.send_header(
                "Content-Type", "text/event-stream" if "events" in response else "application/json"
            )
            self.send_header("Content-Length", str(len(content)))
            for name, value in response.get("headers", {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: the requests are kept."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()
            thread.join()


def _stream(events: list[Any]) -> str:
    """Write the pieces of a completion, and the remarks between them, as server-sent events."""
    common = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_764_201_600,
        "model": "m",
    }
    lines = [
        each if isinstance(each, str) else f"data: {json.dumps(common | each)}" for each in events
    ]
    return "\n\n".join([*lines, "data: [DONE]", ""])


@pytest.mark.parametrize(("file", "exchange"), EXCHANGES)
def test_what_a_provider_answers_is_read_as_its_pages_say(
    server: "redis.Redis", name: str, tmp_path: Path, file: str, exchange: dict[str, Any]
) -> None:
    told = FILES[file]
    recipe = [words for words in RECIPES[told["provider"]] if not words.startswith(LEFT_OUT)]
    with answering(exchange["responses"]) as (address, asked):
        path = tmp_path / "models.toml"
        lines = [
            "[[endpoints]]",
            f"name = '{name}'",
            f"base_url = '{address}'",
            f"[models.'{told['model']}']",
        ]
        path.write_text("\n".join([*lines, *recipe, *exchange.get("recipe", [])]))
        settings = AnalyzerSettings(
            models_file=path, model=told["model"], requests_per_minute=6_000
        )
        limiter_of = RateLimiter.of_settings(settings, server)
        client = LLMClient(
            settings,
            server,
            lambda each, _: limiter_of(each, name),
            process_id=lambda: 1,
            now=lambda: 0.0,
        )
        assert_becomes(client, exchange)

    assert len(asked) == len(exchange["responses"])
    last = asked[-1]
    assert {key: last.get(key) for key in exchange.get("asked", {})} == exchange.get("asked", {})
    assert not {*exchange.get("not_asked", ())} & last.keys()


def assert_becomes(client: LLMClient, exchange: dict[str, Any]) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    request = LLMRequest("interaction", messages, exchange.get("tokens", 300), items=1)
    expected: dict[str, Any] = dict(exchange["becomes"])
    if "failure" not in expected:
        response = client.complete(request)
        seen = {key: getattr(response, key) for key in expected}
        assert seen == expected
        assert response.complete is expected.get("complete", True)
        assert response.filtered is expected.get("filtered", False)
        return
    with pytest.raises((Failure, Unanswerable)) as caught:
        client.complete(request)
    # A busy provider is one reason to wait.
    assert expected["failure"] in [each.__name__ for each in type(caught.value).__mro__]
    assert expected["words"] in getattr(caught.value, "reason", str(caught.value))
    if "seconds" in expected:
        assert getattr(caught.value, "seconds", None) == pytest.approx(expected["seconds"], abs=0.1)


def test_each_recipe_of_the_document_has_exchanges_that_say_what_they_follow() -> None:
    assert {told["provider"] for told in FILES.values()} == RECIPES.keys()
    for told in FILES.values():
        pages = [*told["pages"], *told["looked_up"]]
        assert pages
        assert all(page.startswith("https://") for page in pages)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", told["written"])
        titles = [exchange["title"] for exchange in told["exchanges"]]
        assert len(titles) == len(set(titles))
