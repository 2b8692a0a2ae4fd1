"""Texts are read again after the price was shown and somebody agreed."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_client import Client

runner = CliRunner()
FOUND = {"texts": {"error": 1_000, "knowledge_points": 3}, "not_kept": 4, "left": 5}
ESTIMATED = {
    **FOUND,
    "sampled": {"error": 100, "knowledge_points": 3},
    "estimates": {"error": "of-errors", "knowledge_points": "of-texts"},
}


@pytest.fixture
def results() -> dict[str, Any]:
    """Return the results of tasks, by the id of the task."""
    return {
        "estimate": ESTIMATED,
        "of-errors": {"cost": 0.25},
        "of-texts": {"cost": 0.5},
        "start": FOUND,
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, results: dict[str, Any]) -> list[str]:
    """Return the paths and queries that the gateway is asked."""
    found: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        found.append(request.url.raw_path.decode())
        if path == "/v1/analyses/again/estimate":
            return httpx.Response(202, json={"job_id": "j", "task_id": "estimate"})
        if path == "/v1/analyses/again":
            return httpx.Response(202, json={"job_id": "job", "task_id": "start"})
        task_id = path.rsplit("/", 1)[-1]
        done = {"task_id": task_id, "state": "SUCCESS", "error": None, "result": results[task_id]}
        return httpx.Response(200, json=done)

    client = Client("http://gateway", transport=httpx.MockTransport(answer))
    monkeypatch.setattr(Client, "from_environment", lambda: client)
    return found


def started(asked: list[str]) -> bool:
    return any(path.startswith("/v1/analyses/again?") for path in asked)


def test_the_estimate_is_that_of_all_texts(asked: list[str]) -> None:
    """Out: the multiplication in `_cost`. A sample of 100 of 1,000 mistakes costs 0.25, and 3 texts cost 0.5."""
    done = runner.invoke(app, ["curriculum", "read-again", "c 1", "--estimate", "--json"])
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    assert shown["cost"] == pytest.approx(3.0)
    assert shown["texts"] == FOUND["texts"]
    assert asked[0] == "/v1/analyses/again/estimate?course=c+1"
    assert not started(asked)


def test_nothing_is_read_before_somebody_agrees(asked: list[str]) -> None:
    """Out: `typer.confirm`, or the estimate before it."""
    refused = runner.invoke(app, ["curriculum", "read-again", "c"], input="n\n")
    assert (refused.exit_code, started(asked)) == (1, False)
    assert "about 3.0000" in refused.stdout
    assert "5 texts are left" in refused.stdout


def test_who_agrees_has_a_job_to_follow(asked: list[str]) -> None:
    agreed = runner.invoke(app, ["curriculum", "read-again", "c", "--economy", "--yes"])
    assert (agreed.exit_code, started(asked)) == (0, True)
    assert "/v1/analyses/again?course=c&economy=true" in asked
    assert "edugraph jobs show job --follow" in agreed.stdout


def test_without_a_price_the_setting_is_named(asked: list[str], results: dict[str, Any]) -> None:
    results["of-errors"] = {"cost": None}
    done = runner.invoke(app, ["curriculum", "read-again", "c", "--estimate"])
    assert "EDUGRAPH_PRICES" in done.stdout
    assert not started(asked)


def test_a_course_without_such_texts_starts_nothing(
    asked: list[str], results: dict[str, Any]
) -> None:
    results["estimate"] = {}
    done = runner.invoke(app, ["curriculum", "read-again", "c", "--yes"])
    assert (done.exit_code, started(asked)) == (0, False)
