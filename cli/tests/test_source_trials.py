"""`edugraph sources test` prints a trial, and asks the graph for the nodes that it names."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_client import Client

runner = CliRunner()
STUDENTS = [f"student-{number:04}-{'x' * 100}" for number in range(1_000)]
REJECT = {"line": 3, "field": "data", "expected": "x", "found": "", "reason": "is missing"}
TRIAL: dict[str, Any] = {
    "source": "lms",
    "format": "ndjson",
    "report": {
        "read_plan": {},
        "read": 3,
        "valid": 2,
        "rejected": 1,
        "by_type": {"attempt_record": 2},
        "reasons": {"is missing": 1},
        "not_relevant": {},
        "errors": [REJECT],
    },
    "texts": 1,
    "named": {
        "students": STUDENTS,
        "courses": ["C1", "C2"],
        "points": ["P"],
        "item_titles": {"i": "Quiz 1", "j": "Quiz 2"},
    },
}


def answering(monkeypatch: pytest.MonkeyPatch, *scopes: str) -> list[httpx.Request]:
    """Let gateway and insights answer. Return the list of the requests that they get."""
    asked = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request)
        if request.url.path == "/v1/caller":
            return httpx.Response(200, json={"client": "k", "scopes": scopes})
        if request.url.path != "/v1/graph/known":
            return httpx.Response(200, json=TRIAL)
        named = json.loads(request.content)
        known = {
            "students": [each for each in named["students"] if each < "student-0400"],
            "courses": named["courses"][:1],
            "points": [],
            "item_titles": dict.fromkeys(named["item_titles"], "Quiz 1"),
        }
        return httpx.Response(200, json=known)

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(
        Client, "from_environment", lambda: Client("http://gateway", transport=transport)
    )
    return asked


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.ndjson"
    path.write_text("{}\n")
    return path


def test_known_and_new_are_told_apart_in_requests_of_at_most_64_kib(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """Out: the parts of `known_nodes`, or one of its sums."""
    asked = answering(monkeypatch, "submit", "read", "personal")
    done = runner.invoke(app, ["sources", "test", "lms", str(file)])
    assert done.exit_code == 1, done.output
    words = " ".join(done.stdout.split())
    assert "students 400 known, 600 new" in words
    assert "courses 1 known, 1 new" in words
    assert "knowledge points 0 known, 1 new" in words
    assert "The item j has the title Quiz 2 here, and Quiz 1 in the graph." in words
    assert "The item i " not in words
    assert "line 3: data is missing" in words
    bodies = [len(each.content) for each in asked if each.url.path == "/v1/graph/known"]
    assert max(bodies) <= 64 << 10


def test_without_the_scopes_the_graph_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    asked = answering(monkeypatch, "submit", "read")
    done = runner.invoke(app, ["sources", "test", "lms", str(file), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["known"] is None
    assert "/v1/graph/known" not in [each.url.path for each in asked]
    assert (
        "scopes read and personal"
        in runner.invoke(app, ["sources", "test", "lms", str(file)]).stdout
    )


def test_of_a_large_file_the_first_part_is_sent(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """Out: `whole`."""
    asked = answering(monkeypatch)
    for size, whole in ((8 << 20, "true"), ((8 << 20) + 1, "false")):
        file.write_bytes(b"x" * size)
        asked.clear()
        runner.invoke(app, ["sources", "test", "lms", str(file)])
        assert (len(asked[0].content), asked[0].url.params["whole"]) == (8 << 20, whole)
