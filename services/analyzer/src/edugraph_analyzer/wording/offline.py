"""Choose a question without a model: by phrases of each question in two languages, and by the marks in the text."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from importlib import resources

from edugraph_analyzer.plain_text import is_chinese
from edugraph_analyzer.wording.reading import NONE, Choice
from edugraph_common.contracts.wordings import AskableQuestion, WordsBasis

_MARK = re.compile(r"<([cgspt][1-9][0-9]?)>")
_DAY = re.compile(r"(?<!\d)(\d{4})[-/年](\d{1,2})[-/月](\d{1,2})(?!\d)")
_KINDS = {"c": "course", "g": "group", "s": "student", "p": "point", "t": "term"}
# Words about a time -> the days before today at which it begins, or None for the beginning of the week.
_SINCE: tuple[tuple[re.Pattern[str], int | None], ...] = (
    (re.compile(r"\b(?:last|past) (?:two|2) weeks\b|最近两周|过去两周"), 14),
    (re.compile(r"\b(?:last|past) month\b|最近一个月|过去一个月"), 30),
    (re.compile(r"\b(?:last|past) (?:week|7 days|seven days)\b|最近一周|过去一周|上周"), 7),
    (re.compile(r"\bthis week\b|本周|这周"), None),
)
# A question that has words about a time in its name does not take them as its period.
_WITHOUT_PERIOD = frozenset({"changes", "trend", "terms", "today", "due"})


def offline_choice(text: str, basis: WordsBasis) -> Choice:
    """Return the question with the longest phrases in the text, or no question if two have equally long ones."""
    language = "en"
    if is_chinese(_MARK.sub("", text)):
        language = "zh"
    lower = text.lower()
    if _length(_phrases(NONE, language), lower):
        return Choice(None)
    marks = _marks_by_kind(text)
    lengths: dict[str, int] = {}
    for question in basis.questions:
        length = _length(_phrases(question.name, language), lower)
        if length and _has_needed(question, marks):
            lengths[question.name] = length
    if not lengths:
        return Choice(None)
    longest = max(lengths.values())
    best = [name for name, length in lengths.items() if length == longest]
    if len(best) > 1:
        return Choice(None)
    [chosen] = [question for question in basis.questions if question.name == best[0]]
    return Choice(chosen.name, _parameters(chosen, marks, lower, basis))


def _phrases(question: str, language: str) -> tuple[re.Pattern[str], ...]:
    return _every_phrase().get((question, language), ())


@cache
def _every_phrase() -> Mapping[tuple[str, str], tuple[re.Pattern[str], ...]]:
    file = resources.files(__package__).joinpath("phrases.json")
    phrases = {}
    for question, of_languages in json.loads(file.read_text(encoding="utf-8")).items():
        for language, patterns in of_languages.items():
            phrases[question, language] = tuple(re.compile(pattern) for pattern in patterns)
    return phrases


def _length(phrases: Iterable[re.Pattern[str]], text: str) -> int:
    """Return the number of characters of the longest match, 0 without one."""
    longest = 0
    for phrase in phrases:
        for found in phrase.finditer(text):
            longest = max(longest, len(found[0]))
    return longest


def _marks_by_kind(text: str) -> dict[str, list[str]]:
    """Return the marks in a text by their kind, each once, in their order."""
    marks: dict[str, list[str]] = {}
    for mark in dict.fromkeys(_MARK.findall(text)):
        marks.setdefault(_KINDS[mark[0]], []).append(mark)
    return marks


def _has_needed(question: AskableQuestion, marks: Mapping[str, list[str]]) -> bool:
    """Return whether the text names a student for each question about one student."""
    needs_student = any(form.kind == "student" and form.required for form in question.parameters)
    return not needs_student or "student" in marks


def _parameters(
    question: AskableQuestion, marks: Mapping[str, list[str]], lower: str, basis: WordsBasis
) -> dict[str, str]:
    """Return the marks of the text for the parameters of a question, in their order, and the days."""
    waiting = {kind: list(of_kind) for kind, of_kind in marks.items()}
    chosen = {}
    for form in question.parameters:
        of_kind = waiting.get(form.kind)
        if of_kind:
            chosen[form.name] = of_kind.pop(0)
    names = {form.name for form in question.parameters}
    for name, day in _days(lower, basis.today):
        is_used = name in names and question.name not in _WITHOUT_PERIOD
        if is_used:
            chosen[name] = day
    return chosen


def _days(lower: str, today: str) -> Iterator[tuple[str, str]]:
    """Yield the first and the last day of a period that the text names."""
    days = []
    for year, month, day in _DAY.findall(lower):
        try:
            days.append(date(int(year), int(month), int(day)).isoformat())
        except ValueError:
            continue
    if days:
        yield "from", days[0]
    if len(days) > 1:
        yield "to", days[1]
    if days:
        return
    now = date.fromisoformat(today)
    for words, before in _SINCE:
        if words.search(lower):
            days_before = before
            if days_before is None:
                days_before = now.weekday()
            yield "from", (now - timedelta(days=days_before)).isoformat()
            return
