"""The demo's report: it says what the answers say, in the language of the reader, and a record's text stays text."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edugraph_cli.embedded import report
from edugraph_cli.embedded.demo import QUESTIONS as DEMO_QUESTIONS
from edugraph_cli.embedded.report import Report, language_of, write_report
from edugraph_client import Answer
from edugraph_insights.questions import QUESTIONS

ROWS: list[dict[str, Any]] = [
    {
        "point": f"p{n}",
        "name": f"<b>point {n}</b>",
        "wrong": n / 10,
        "wrong_at_least": None,
        "evidence": "/v1/x",
    }
    for n in range(4)
]


def answer(rows: list[dict[str, Any]]) -> Answer:
    counted = {"students": 1234, "students with attempts": 12, "first attempts": 56}
    return Answer(
        question="A question",
        computed_by="By <hand>.",
        as_of=datetime(2026, 6, 20, 8, tzinfo=UTC),
        parameters={},
        exact=True,
        of_how_many=counted,
        left_out={},
        rows=tuple(rows),
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_says_what_the_answers_say_and_runs_nothing(tmp_path: Path, language: Any) -> None:
    """Out: `autoescape` of the template's environment."""
    hard = answer([{"right": 0.615, "median_progress": 0.7}])
    needed = {"name": "a", "mistakes": 2, "students": 2, "needed_for": ["b", "c"]}
    answers = {
        "weak-points": answer(ROWS),
        "untaught-points": answer([needed]),
        "trust": answer([]),
    }
    path = write_report(
        Report("ALG", hard, answers), tmp_path / "new" / "demo.html", language, shown_rows=3
    )
    page = path.read_text("utf-8")
    assert "<b>point" not in page
    assert "&lt;b&gt;point 2&lt;/b&gt;" in page
    assert "point 3" not in page  # it is the fourth row, and said to be left out
    assert {"en": "1 more rows", "zh": "另有 1 行"}[language] in page
    for shown in ("62%", "70%", "20%", "1,234", "b; c", "ALG", "2026-06-20 08:00"):
        assert shown in page
    assert not re.search(r"<script|https?://|src=|url\(", page)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LC_ALL": "", "LANG": "en_GB"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_messages(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("question", DEMO_QUESTIONS)
def test_each_column_of_a_table_has_its_words(question: str, language: Any) -> None:
    """Out: any of the words `column.…` of the report or of the page."""
    words = report._words(language)
    columns = QUESTIONS[question].row.model_fields.keys() - report._NOT_SHOWN
    assert [name for name in sorted(columns) if f"column.{name}" not in words] == []
