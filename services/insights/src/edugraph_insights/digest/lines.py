"""The lines of a digest: what Today says about a course, in words, each with a link to the page."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.answers import Answer
from edugraph_insights.asking import ask
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.today import Action
from edugraph_insights.sentences import WORDS, Language

MOST_LINES = 5
# The page says from this many school days on that the last record is old. A mail then says nothing new.
OLD_SCHOOL_DAYS = 5
DAYS_SINCE = "school days since the last record"
# A task is named for so long after it was due.
MISSING_SINCE = timedelta(days=14)
PURPOSE = "weekly digest"
_LONGEST_NAME = 100  # characters of a name of a course, point, task or student
_VALUE = re.compile(r"\{(\w+)\}")
# Characters that end a line or change the direction of the text after them.
_NOT_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


class Line(NamedTuple):
    """A sentence and the address of the page where its figures are."""

    text: str
    link: str


class Sentences:
    """The sentences of a language. They are those of the page where the page has them, too."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._words = _words(language)

    def say(self, key: str, **values: str) -> str:
        """Return a sentence with its values."""

        def value(found: re.Match[str]) -> str:
            return values[found[1]]

        # One pass, so that a value with braces stays as it is.
        return _VALUE.sub(value, self._words[key])

    def of_number(self, key: str, number: int, **values: str) -> str:
        """Return a sentence about a number, in the form that the language has for it."""
        form = "other"
        if number == 1:
            form = "one"
        return self.say(f"{key}.{form}", n=str(number), **values)

    def joined(self, sentences: Sequence[str]) -> str:
        """Return sentences as one text."""
        return self.say("space").join(sentences)

    def listed(self, names: Sequence[str]) -> str:
        """Return names as one text."""
        if len(names) <= 1:
            return "".join(names)
        return self.say("comma").join(names[:-1]) + self.say("and") + names[-1]


@cache
def _words(language: Language) -> Mapping[str, str]:
    of_page: dict[str, str] = json.loads((WORDS / f"{language}.json").read_text("utf-8"))
    own = json.loads((Path(__file__).parent / "words.json").read_text("utf-8"))
    return {**of_page, **own[language]}


def in_one_line(name: str) -> str:
    """Return a name that somebody imported, without line ends and control characters, and not too long.

    A name of a course stands in the header of a mail, where a line end would begin another header.
    """
    shown = []
    for character in name:
        if unicodedata.category(character) in _NOT_SHOWN:
            shown.append(" ")
        else:
            shown.append(character)
    text = " ".join("".join(shown).split())
    if len(text) > _LONGEST_NAME:
        return f"{text[:_LONGEST_NAME]}…"
    return text


def course_name(insights: Insights, course: str) -> str:
    """Return the name of a course in one line, or its id if it has no name. Raises Retryable."""
    for row in insights.graph.read("course_name", course=course):
        return in_one_line(row["name"] or course)
    return in_one_line(course)


def course_exists(insights: Insights, course: str) -> bool:
    """Return whether the graph has a course. Raises Retryable."""
    return bool(insights.graph.read("course_name", course=course))


def link_to(insights: Insights, language: Language, page: str, **values: str) -> str:
    """Return the address of a page for people, in this language."""
    query = urlencode({**values, "lang": language})
    return f"{insights.settings.digest_page_url}#{page}?{query}"


def lines_of(
    insights: Insights,
    caller: Caller,
    course: str,
    language: Language,
    *,
    group: str | None = None,
    own_list: str | None = None,
) -> list[Line]:
    """Return at most five lines about a course, a group of it, or a list of the caller's.

    They say what the caller may see at this moment. No line if nothing was recorded lately. Raises what `ask` raises.
    """
    lines = LinesOfCourse(insights, caller, course, Sentences(language), group, own_list)
    return lines.all()[:MOST_LINES]


@dataclass(frozen=True)
class LinesOfCourse:
    """The lines about one course, or about one group or list of it, for one caller."""

    insights: Insights
    caller: Caller
    course: str
    sentences: Sentences
    group: str | None = None
    own_list: str | None = None

    def all(self) -> list[Line]:
        """Return all lines, the most urgent first."""
        today = self._answer("today")
        if today.of_how_many[DAYS_SINCE] >= OLD_SCHOOL_DAYS:
            return []
        lines = [self._of_action(row) for row in today.rows]
        return [*lines, *self._missing(), *self._changes()]

    def _answer(self, name: str) -> Answer[Any]:
        question = QUESTIONS[name]
        given = {"course": self.course, "group": self.group, "list": self.own_list}
        asked = question.parameters.model_validate(given)
        return ask(self.insights, self.caller, question, asked, PURPOSE)

    def _link(self, page: str, **more: str) -> str:
        values = {"course": self.course, **more}
        if self.group is not None:
            values["group"] = self.group
        if self.own_list is not None:
            values["list"] = self.own_list
        return link_to(self.insights, self.sentences.language, page, **values)

    def _of_action(self, action: Action) -> Line:
        if action.kind == "repeat":
            return self._repeat(action)
        if action.kind == "speak":
            return Line(self._speak(action), self._link("students"))
        say = self.sentences
        heading = say.of_number("today.answer", action.number) + say.say("stop")
        waited = say.of_number("today.waiting", action.school_days or 0)
        return Line(say.joined([heading, waited]), self._link("today"))

    def _repeat(self, action: Action) -> Line:
        say = self.sentences
        parts = [
            say.say("today.repeat", it=in_one_line(action.name or "")) + say.say("stop"),
            say.of_number("today.wrong", action.number, of=str(action.out_of)),
        ]
        if action.gap is not None:
            gap = in_one_line(action.gap_name or action.gap)
            parts.append(say.say("today.gap", n=str(action.gap_students), it=gap))
        return Line(say.joined(parts), self._link("point", point=action.point or ""))

    def _speak(self, action: Action) -> str:
        """Return whom to speak with: by name only if the school allows names in mails."""
        if not self.insights.settings.digest_names:
            return self.sentences.of_number("speak", action.number)
        names = [in_one_line(name) for name in action.student_names]
        return self.sentences.say("speak.names", who=self.sentences.listed(names))

    def _missing(self) -> list[Line]:
        """Return a line about the last task that was due and that somebody has not handed in."""
        since = self.insights.now() - MISSING_SINCE
        missing = []
        for row in self._answer("handed-in").rows:
            if row.not_handed_in > 0 and row.due_at >= since:
                missing.append(row)
        if not missing:
            return []
        last = max(missing, key=lambda row: row.due_at)
        text = self.sentences.of_number(
            "missing", last.not_handed_in, of=str(last.students), it=in_one_line(last.name)
        )
        return [Line(text, self._link("today"))]

    def _changes(self) -> list[Line]:
        """Return a line about those who were better or worse than in the week before."""
        states = [row.state for row in self._answer("changes").rows]
        parts = []
        for state in ("fell", "rose"):
            number = states.count(state)
            if number > 0:
                parts.append(self.sentences.of_number(f"changes.{state}", number))
        if not parts:
            return []
        return [Line(self.sentences.joined(parts), self._link("students"))]
