"""One run over the channels of chats: each gets one message a week about each of its courses."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from edugraph_common.runtime.service.metrics import DigestOutcome
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.digests import DigestMails
from edugraph_insights.digest.chat import ChatOfChannel, NotAChannel, written_message
from edugraph_insights.digest.chat_lines import chat_lines_of, plain
from edugraph_insights.digest.lines import Sentences, course_name
from edugraph_insights.digest.sending import Passed, left_behind, passes_by_itself, week_of
from edugraph_insights.insights import Insights
from edugraph_insights.sentences import Language
from edugraph_insights.settings import ChatChannel

log = structlog.get_logger()


@dataclass(frozen=True)
class OpenChannel:
    """A channel of the school with the connection to its chat."""

    name: str
    chat: ChatOfChannel
    courses: tuple[str, ...]
    language: Language


def opened(channels: Mapping[str, ChatChannel]) -> list[OpenChannel]:
    """Return the channels with their chats. Raises NotAChannel with the name of the first that cannot work."""
    found = []
    for name, channel in channels.items():
        try:
            chat = ChatOfChannel(channel.address.get_secret_value())
        except NotAChannel as error:
            raise NotAChannel(f"the address of the channel {name} {error}") from None
        found.append(OpenChannel(name, chat, channel.courses, channel.language))
    return found


@dataclass
class ChatRun:
    """One run. `results` counts the outcomes of its messages, and the messages that are not sent now."""

    insights: Insights
    mails: DigestMails
    channels: list[OpenChannel]
    results: Counter[DigestOutcome | Passed] = field(default_factory=Counter)

    def send_all(self) -> None:
        """Send the messages of this week that were not sent. A channel that fails does not stop the others.

        Raises Retryable when Redis or the graph does not answer.
        """
        week = week_of(self.insights)
        for channel in self.channels:
            for course in channel.courses:
                self.results[self._send(channel, course, week)] += 1

    def _send(self, channel: OpenChannel, course: str, week: str) -> DigestOutcome | Passed:
        message_id = message_id_of(channel.name, course)
        service = channel.chat.service
        now = self.insights.now()
        state = self.mails.state(message_id, week)
        if state:
            passed = left_behind(state, now)
            if passed == "unknown":
                self.mails.end(message_id, week, passed, service)
                _warn(channel, passed)
            return passed
        try:
            text = self._text(course, channel.language)
        except Problem as error:
            if passes_by_itself(error):
                log.warning("chat_not_read", channel=channel.name, reason=error.name)
                return "not read"
            # The setting names a course that does not exist. The log has no ids, so it says which of the list it is.
            if self.mails.note_missing(message_id, week):
                place = channel.courses.index(course) + 1
                log.warning(
                    "chat_missing", channel=channel.name, reason=error.name, course_number=place
                )
            return "missing"
        if not text:
            return "nothing to say"
        if not self.mails.claim(message_id, week, now):
            return "under way"
        outcome = channel.chat.hand_over(text)
        self.mails.end(message_id, week, outcome, service)
        if outcome != "sent":
            _warn(channel, outcome)
        return outcome

    def _text(self, course: str, language: Language) -> str:
        lines = chat_lines_of(self.insights, course, language)
        name = plain(course_name(self.insights, course))
        heading = Sentences(language).say("chat.heading", course=name)
        return written_message(heading, lines)


def message_id_of(channel: str, course: str) -> str:
    """Return the id under which the message of a week is claimed. The address of the channel may change meanwhile."""
    return hashlib.sha256(f"{channel} {course}".encode()).hexdigest()[:32]


def _warn(channel: OpenChannel, outcome: str) -> None:
    log.warning(
        "chat_not_sent", channel=channel.name, service=channel.chat.service, outcome=outcome
    )
