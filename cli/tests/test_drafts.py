"""`edugraph draft`: the records are permitted first, and the draft is printed with its citations and sent to nobody."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_client import Client

runner = CliRunner()
BASIS = {
    "kind": "feedback",
    "course_id": "MATH8",
    "course_name": "Mathematics",
    "language": "en",
    "students": [{"student_id": "S05", "name": "Anna"}],
    "records": [{"number": 1, "record_id": "r1", "student_id": "S05", "at": "2026-11-02"}],
}
DRAFT = {
    "job_id": "j",
    "state": "draft",
    "kind": "feedback",
    "course_id": "MATH8",
    "student_ids": ["S05"],
    "sentences": [{"text": "Anna, you added the denominators.", "cites": [1]}],
    "records": [{"number": 1, "record_id": "r1", "student_id": "S05"}],
    "removed": 2,
    "cut": 1,
    "model": "m",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[httpx.Request]:
    """Let gateway and insights answer with the result of the test. Return the list of the requests."""
    requests = list[httpx.Request]()

    def answer(sent: httpx.Request) -> httpx.Response:
        requests.append(sent)
        match sent.url.path:
            case "/v1/insights/draft-permits":
                return httpx.Response(200, json=BASIS)
            case "/v1/drafts":
                return httpx.Response(202, json={"job_id": "j", "task_id": "t"})
        task = {"task_id": "t", "state": "SUCCESS", "result": request.param, "error": None}
        return httpx.Response(200, json=task)

    monkeypatch.setattr(
        Client,
        "from_environment",
        lambda: Client("http://gateway", transport=httpx.MockTransport(answer)),
    )
    return requests


@pytest.mark.parametrize("asked", [DRAFT], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ["feedback", "S05", "MATH8", "--language", "zh"],
            {"course_id": "MATH8", "student_id": "S05", "language": "zh"},
        ),
        (["summary", "MATH8", "--days", "7"], {"course_id": "MATH8", "days": 7, "language": "en"}),
    ],
    ids=["feedback", "summary"],
)
def test_a_draft_is_asked_for_with_the_permitted_records(
    asked: list[httpx.Request], arguments: list[str], wanted: dict[str, Any]
) -> None:
    done = runner.invoke(app, ["draft", *arguments])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "A draft by m, for you to edit. It was sent to nobody.",
        "  Anna, you added the denominators. [1]",
        "[1] r1 of S05",
        "2 sentences without a valid citation were removed.",
        "1 more sentences were left out.",
    ]
    permitted, written, _ = asked
    assert json.loads(permitted.content) == wanted
    sent = json.loads(written.content)
    for name, value in BASIS.items():
        if name != "records":
            assert sent[name] == value
    assert "Idempotency-Key" in written.headers


@pytest.mark.parametrize("asked", [DRAFT], indirect=True)
def test_a_draft_is_one_document_for_programs(asked: list[httpx.Request]) -> None:
    done = runner.invoke(app, ["draft", "summary", "MATH8", "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["is_draft"] is True
    assert found["sentences"] == DRAFT["sentences"]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {**DRAFT, "state": "failed", "sentences": [], "error": "there is no model"},
            "There is no draft: there is no model.",
        ),
        ({}, "a student of it was erased or is restricted"),
    ],
    indirect=["asked"],
    ids=["failed", "erased"],
)
def test_a_draft_that_is_not_there_ends_the_command(asked: list[httpx.Request], words: str) -> None:
    done = runner.invoke(app, ["draft", "summary", "MATH8"])
    assert done.exit_code == 1
    assert words in done.output
    assert asked
