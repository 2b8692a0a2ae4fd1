"""The report of the demo: one HTML file, in the language of the reader, that opens without a network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from edugraph_client import Answer

Language = Literal["en", "zh"]
SHARES = frozenset(
    {
        "wrong",
        "wrong_at_least",
        "right",
        "read",
        "linked",
        "unsure",
        "with_evidence",
        "median_progress",
    }
)
# Ids and addresses do not help a reader who sees the name beside them.
_NOT_SHOWN = frozenset({"point", "evidence", "noise"})
_NOTHING = "–"


@dataclass(frozen=True)
class Report:
    """The content of a report. `hard` is the answer to difficulty; `answers`, with weak-points, are shown."""

    course: str
    hard: Answer
    answers: Mapping[str, Answer]


def language_of(environment: Mapping[str, str]) -> Language:
    """Return the language that the locale of this environment asks for: Chinese, or English for all others."""
    wanted = (
        environment.get("LC_ALL") or environment.get("LC_MESSAGES") or environment.get("LANG") or ""
    )
    if wanted.lower().startswith("zh"):
        return "zh"
    return "en"


def write_report(report: Report, path: Path, language: Language, *, shown_rows: int) -> Path:
    """Write the file and return its path. Each table shows its first `shown_rows` rows."""
    # With autoescape, texts of records cannot become markup.
    pages = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined
    )
    words = _words(language)
    course = report.hard.rows[0] if report.hard.rows else {}
    weak = report.answers["weak-points"]
    counted = weak.of_how_many
    cards = {
        "card.students": counted["students"],
        "card.active": counted["students with attempts"],
        "card.attempts": counted["first attempts"],
        "card.right": _shown("right", course.get("right"), words),
        "card.progress": _shown("median_progress", course.get("median_progress"), words),
    }
    tables = [_table(name, answer, words, shown_rows) for name, answer in report.answers.items()]
    page = pages.get_template("report.html.j2").render(
        language="zh-CN" if language == "zh" else "en",
        words=words,
        course=report.course,
        cards=cards,
        tables=tables,
        as_of=f"{weak.as_of:%F %H:%M}",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _words(language: Language) -> dict[str, str]:
    """Return the words of the web page, which the report uses too, and the words of the report."""
    of_page = resources.files("edugraph_insights") / "web" / "words" / f"{language}.json"
    own = resources.files("edugraph_cli.embedded") / "report_words.json"
    return {
        **json.loads(of_page.read_text("utf-8")),
        **json.loads(own.read_text("utf-8"))[language],
    }


def _table(
    question: str, answer: Answer, words: Mapping[str, str], shown_rows: int
) -> dict[str, Any]:
    rows: Sequence[Mapping[str, Any]] = answer.rows[:shown_rows]
    names: list[str] = []
    if rows:
        names = [name for name in rows[0] if name not in _NOT_SHOWN]
    cells = []
    for row in rows:
        cells.append([_shown(name, row[name], words) for name in names])
    counted = []
    for name, number in answer.of_how_many.items():
        title = words.get(f"count.{name}", name)
        counted.append(f"{title} {number:,}")
    return {
        "heading": words[f"question.{question}"],
        "columns": [words[f"column.{name}"] for name in names],
        "rows": cells,
        "rest": len(answer.rows) - len(rows),
        "of_how_many": " · ".join(counted),
        "computed": words.get(f"computed.{question}", answer.computed_by),
    }


def _shown(name: str, value: Any, words: Mapping[str, str]) -> str:
    if value is None:
        return _NOTHING
    if name in SHARES:
        return f"{value:.0%}"
    if name == "kind":
        return words.get(f"kind.{value}", value)
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)
