"""The lines of a message to a channel of a chat: figures that anybody may see, and no person (docs/adr/0156).

Nobody knows who reads a channel. So the questions are asked as an analyst, who gets the numbers of whole courses with
noise and no small groups.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.asking import ask
from edugraph_insights.closed_weeks import end_of_closed_week
from edugraph_insights.digest.lines import (
    MOST_LINES,
    PURPOSE,
    Line,
    Sentences,
    in_one_line,
    link_to,
)
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.school_days import day_of
from edugraph_insights.sentences import Language

READER = Caller("digest-chat", (), ("analyst",), None)
MOST_WEAK_POINTS = 2
# Signs with which a chat writes to everybody (<!channel>, @all), makes links ([text](address)) or shows text in bold.
_SIGNS_OF_CHATS = str.maketrans("<>@[]()*_`~|\\&", "‹›＠［］（）∗＿ˋ∼∣∖＆")


def plain(name: str) -> str:
    """Return a name that somebody imported in one line, without signs that mean something to a chat."""
    # Chats make a link of each text that looks like an address.
    return in_one_line(name).translate(_SIGNS_OF_CHATS).replace("://", ": ")


def chat_lines_of(insights: Insights, course: str, language: Language) -> list[Line]:
    """Return at most five lines about a course, or none if nothing can be said about the last week.

    Raises what `ask` raises.
    """
    lines = ChatLines(insights, course, Sentences(language))
    return lines.all()[:MOST_LINES]


@dataclass(frozen=True)
class ChatLines:
    """The lines about one course for everybody."""

    insights: Insights
    course: str
    sentences: Sentences

    def all(self) -> list[Line]:
        """Return all lines. The first is about the last week, and without it there is no news."""
        week = self._week()
        if week is None:
            return []
        return [week, *self._weak_points(), *self._gap(), *self._returned()]

    def _rows(self, name: str) -> tuple[Any, ...]:
        question = QUESTIONS[name]
        asked = question.parameters.model_validate({"course": self.course})
        answer = ask(self.insights, READER, question, asked, PURPOSE)
        # An exact answer is for those who may see persons, so it never leaves by this way.
        if answer.exact:
            return ()
        return answer.rows

    def _link(self, page: str, **more: str) -> str:
        return link_to(self.insights, self.sentences.language, page, course=self.course, **more)

    def _week(self) -> Line | None:
        """Return a line about the last closed week, or None if too few students were active in it."""
        zone = self.insights.zone
        last_day = day_of(end_of_closed_week(self.insights.now(), zone), zone)
        last_monday = last_day - timedelta(days=6)
        right = {date.fromisoformat(row.week): row.right for row in self._rows("trend")}
        share = right.get(last_monday)
        if share is None:
            return None
        before = right.get(last_monday - timedelta(days=7))
        if before is None:
            text = self.sentences.say("chat.week", share=percent(share))
        else:
            text = self.sentences.say("chat.weeks", share=percent(share), before=percent(before))
        return Line(text, self._link("overview"))

    def _weak_points(self) -> list[Line]:
        lines = []
        for row in self._rows("weak-points"):
            if row.wrong:
                text = self.sentences.say(
                    "chat.weak", it=plain(row.name or row.point), share=percent(row.wrong)
                )
                lines.append(Line(text, self._link("point", point=row.point)))
        return lines[:MOST_WEAK_POINTS]

    def _gap(self) -> list[Line]:
        for row in self._rows("earlier-gaps"):
            if row.score is not None and row.score > 0:
                text = self.sentences.say(
                    "chat.gap",
                    it=plain(row.name or row.point),
                    gap=plain(row.gap_name or row.gap),
                )
                return [Line(text, self._link("point", point=row.gap))]
        return []

    def _returned(self) -> list[Line]:
        for row in self._rows("returning-mistakes"):
            if row.returned:
                text = self.sentences.say(
                    "chat.returned", it=plain(row.name or row.point), share=percent(row.returned)
                )
                return [Line(text, self._link("point", point=row.point))]
        return []


def percent(share: float) -> str:
    """Return a share as a whole number of percent. Noise may have moved it beyond 0 or 1."""
    return str(round(100 * min(1.0, max(0.0, share))))
