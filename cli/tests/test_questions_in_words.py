"""`edugraph ask --words`: the text goes to insights first, and the answer is that of the typed question."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_client import Client

runner = CliRunner()
BASIS = {
    "text": "How is <s1>?",
    "language": "en",
    "today": "2026-11-11",
    "current": None,
    "course_ids": ["MATH8"],
    "student_ids": ["S01"],
    "named": [{"mark": "s1", "name": None}],
    "questions": [{"name": "student", "title": "One student", "parameters": []}],
}
CHOSEN = {"job_id": "j", "state": "chosen", "question": "student", "parameters": {"student": "s1"}}
UNDERSTOOD = {
    "question": "student",
    "title": "One student on one page",
    "parameters": [{"parameter": "student", "id": "S01", "name": "Anna Keller"}],
    "candidates": {},
    "ask": "/v1/insights/student?course=MATH8&student=S01",
}
ANSWER = {
    "question": "One student on one page",
    "computed_by": "",
    "as_of": "2026-11-11T09:00:00Z",
    "parameters": {"course": "MATH8", "student": "S01"},
    "exact": True,
    "protection": "",
    "of_how_many": {},
    "left_out": {},
    "rows": [{"point": "fractions"}],
    "links": {},
}


def asked(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any], understood: dict[str, Any]
) -> list[httpx.Request]:
    """Let the services answer this. Return the list of the requests."""
    requests = list[httpx.Request]()

    def answer(sent: httpx.Request) -> httpx.Response:
        requests.append(sent)
        match sent.url.path:
            case "/v1/insights/words":
                return httpx.Response(200, json=BASIS)
            case "/v1/questions":
                return httpx.Response(202, json={"job_id": "j", "task_id": "t"})
            case "/v1/insights/words/choices":
                return httpx.Response(200, json=understood)
            case "/v1/insights/student":
                return httpx.Response(200, json=ANSWER)
        task = {"task_id": "t", "state": "SUCCESS", "result": chosen, "error": None}
        return httpx.Response(200, json=task)

    monkeypatch.setattr(
        Client,
        "from_environment",
        lambda: Client("http://gateway", transport=httpx.MockTransport(answer)),
    )
    return requests


def test_the_answer_is_that_of_the_typed_question(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = asked(monkeypatch, CHOSEN, UNDERSTOOD)
    done = runner.invoke(app, ["ask", "--words", "How is Anna?", "course=MATH8"])
    assert done.exit_code == 0, done.output
    assert "Understood as: One student on one page (student Anna Keller)" in done.stdout
    assert "fractions" in done.stdout
    prepared, chosen, _, resolved, answered = requests
    assert json.loads(prepared.content)["text"] == "How is Anna?"
    # The gateway gets the text as insights gave it, and no name.
    assert json.loads(chosen.content) == BASIS
    assert b"Anna" not in chosen.content
    assert json.loads(resolved.content)["parameters"] == {"student": "s1"}
    assert dict(answered.url.params) == {"course": "MATH8", "student": "S01"}


def test_a_program_gets_only_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, CHOSEN, UNDERSTOOD)
    done = runner.invoke(app, ["ask", "--words", "How is Anna?", "--json"])
    assert json.loads(done.stdout)["rows"] == [{"point": "fractions"}]


@pytest.mark.parametrize(
    ("chosen", "understood", "words"),
    [
        (
            {"job_id": "j", "state": "refused", "reason": "unanswerable", "error": "none fits"},
            UNDERSTOOD,
            "There is no answer: none fits.",
        ),
        (
            CHOSEN,
            {
                **UNDERSTOOD,
                "ask": None,
                "candidates": {"student": [{"id": "S01", "name": "A"}, {"id": "S04", "name": "B"}]},
            },
            "Say which student is meant: S01 (A), S04 (B).",
        ),
    ],
    ids=["refused", "ambiguous"],
)
def test_without_an_answer_the_command_fails(
    monkeypatch: pytest.MonkeyPatch, chosen: Any, understood: Any, words: str
) -> None:
    requests = asked(monkeypatch, chosen, understood)
    done = runner.invoke(app, ["ask", "--words", "How is Anna?"])
    assert done.exit_code == 1
    assert words in done.output
    assert "/v1/insights/student" not in [each.url.path for each in requests]


def test_only_the_course_is_a_parameter_beside_words() -> None:
    done = runner.invoke(app, ["ask", "--words", "How is Anna?", "student=S01"])
    assert done.exit_code != 0
