"""One run over all subscriptions: who gets which mail now, each once a week."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import structlog

from edugraph_common.runtime.service.metrics import DigestOutcome
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.digests import (
    DigestMails,
    Digests,
    OwnedDigest,
    claimed_at,
    live_digests,
)
from edugraph_insights.access import leads_in
from edugraph_insights.digest.ending import end_link
from edugraph_insights.digest.lines import (
    Sentences,
    course_exists,
    course_name,
    in_one_line,
    lines_of,
)
from edugraph_insights.digest.mail import MailServer, written_mail
from edugraph_insights.digest.views import Part, part_of_view
from edugraph_insights.insights import Insights
from edugraph_insights.settings import DigestSettings

# A claim of another run is older than this only if that run has died.
LONGEST_HAND_OVER = timedelta(minutes=15)
# A subscription ends if its course, or whom the subscriber leads there, is absent for longer. The graph may be empty
# during a restore, and a roster may be incomplete for a day. The runs of next week come after this time.
LONGEST_ABSENCE = timedelta(days=6)
# Clients that are known by a token of somebody else. All others have an API key.
_OTHER_CLIENTS = ("oidc:", "lti:")
Passed = Literal[
    "done before", "under way", "nothing to say", "ended", "not read", "missing", "absent"
]
# A part of the graph that a mail needs: the course, or students there whom the subscriber leads.
Absent = Literal["course", "students"]
# The statuses of problems that end by themselves. Any other problem is the same in each run.
_PASSING = {408, 429, 503}
log = structlog.get_logger()


class Reader(NamedTuple):
    """The subscriber with the rights of this moment, and the part of the course that the mail is about."""

    caller: Caller
    part: Part


@dataclass
class Run:
    """One run. `server` is asked only if there is a mail to send.

    `results` counts the outcomes of the mails of this run, and the subscriptions that get none now.
    """

    insights: Insights
    settings: DigestSettings
    digests: Digests
    mails: DigestMails
    server: MailServer
    results: Counter[DigestOutcome | Passed] = field(default_factory=Counter)

    def send_all(self) -> None:
        """Send the mail of this week to each subscriber who has not got it.

        Raises ServerAway when the mail server cannot be used, and Retryable when Redis or the graph does not answer.
        """
        week = week_of(self.insights)
        for owned in live_digests(self.digests):
            self.results[self._send(owned, week)] += 1

    def _send(self, owned: OwnedDigest, week: str) -> DigestOutcome | Passed:
        now = self.insights.now()
        state = self.mails.state(owned.id, week)
        if state:
            return self._look_back(owned.id, week, state, now)
        reader = self._reader_of(owned, now)
        if reader == "key":
            self.digests.end(owned.client_id, owned.id)
            return "ended"
        if reader == "view":
            return self._say_that_it_ends(owned, reader, week, now)
        if not isinstance(reader, Reader):
            return self._wait_or_end(owned, reader, week, now)
        self.mails.forget_absence(owned.id)
        try:
            mail = self._mail(owned, reader, week, now)
        except Problem as error:
            if passes_by_itself(error):
                log.warning("digest_not_read", digest=owned.id, reason=error.name)
                return "not read"
            if self.mails.note_missing(owned.id, week):
                log.warning("digest_missing", digest=owned.id, reason=error.name)
            return "missing"
        if mail is None:
            return "nothing to say"
        return self._hand_over(owned, mail, week, now)

    def _wait_or_end(
        self, owned: OwnedDigest, absent: Absent, week: str, now: datetime
    ) -> DigestOutcome | Passed:
        """Send nothing while something is absent from the graph, and end the subscription if it stays absent."""
        since = self.mails.absent_since(owned.id, now)
        if now - since < LONGEST_ABSENCE:
            return "absent"
        if absent == "course":
            return self._say_that_it_ends(owned, absent, week, now)
        self.digests.end(owned.client_id, owned.id)
        return "ended"

    def _say_that_it_ends(
        self, owned: OwnedDigest, gone: Literal["course", "view"], week: str, now: datetime
    ) -> DigestOutcome | Passed:
        """Send the last mail of a subscription about something that is gone, and end the subscription."""
        mail = written_mail(
            [],
            note=f"gone.{gone}",
            sentences=Sentences(owned.digest.language),
            course=course_name(self.insights, owned.digest.course),
            sender=self.settings.smtp_from,
            to=owned.digest.address,
            end_link=end_link(self.settings, owned.id),
            message_id=f"{owned.id}.{week}",
            now=now,
        )
        outcome = self._hand_over(owned, mail, week, now)
        if outcome in {"postponed", "under way"}:
            return outcome
        self.digests.end(owned.client_id, owned.id)
        return "ended"

    def _hand_over(
        self, owned: OwnedDigest, mail: bytes, week: str, now: datetime
    ) -> DigestOutcome | Passed:
        """Send a mail unless somebody else sends it, and keep its outcome. Raises ServerAway."""
        self.server.make_ready()
        # Reading took a while. A subscriber who ended it meanwhile, or was erased, gets nothing.
        if self.digests.find(owned.id) != owned:
            return "ended"
        if not self.mails.claim(owned.id, week, now):
            return "under way"
        outcome = self.server.hand_over(owned.digest.address, mail)
        self.mails.end(owned.id, week, outcome)
        return outcome

    def _look_back(
        self, digest_id: str, week: str, state: str, now: datetime
    ) -> DigestOutcome | Passed:
        """Return what an earlier run did. A claim that it left behind ends as unknown, and nothing is sent again."""
        found = left_behind(state, now)
        if found == "unknown":
            self.mails.end(digest_id, week, found)
        return found

    def _reader_of(
        self, owned: OwnedDigest, now: datetime
    ) -> Reader | Absent | Literal["key", "view"]:
        """Return the subscriber, or what is not there any more.

        `key`: the API key of the subscriber, or its role. `view`: the list, or the group that a saved view showed.
        """
        digest = owned.digest
        caller = self._caller_of(owned, now)
        if caller is None or "teacher" not in caller.roles:
            return "key"
        if not course_exists(self.insights, digest.course):
            return "course"
        if not leads_in(self.insights.graph, caller, digest.course, now):
            return "students"
        part: Part | None = Part()
        if digest.view is not None:
            view = self.insights.views.find(owned.client_id, digest.view)
            part = part_of_view(view, digest.course)
        if part is None:
            return "view"
        graph = self.insights.graph
        if not leads_in(graph, caller, digest.course, now, part.group, listed=part.students):
            return "students"
        # Another role of the subscriber may see more than the teacher, and the digest is the teacher's.
        teacher = Caller(owned.client_id, (), ("teacher",), caller.person)
        return Reader(teacher, part)

    def _caller_of(self, owned: OwnedDigest, now: datetime) -> Caller | None:
        """Return the subscriber with the roles of this moment, or None if their key is gone."""
        if owned.client_id.startswith(_OTHER_CLIENTS):
            return Caller(owned.client_id, (), ("teacher",), owned.digest.person)
        key = self.insights.key_ring.key(owned.client_id, now)
        if key is None:
            return None
        return Caller(key.key_id, (), key.roles, key.person)

    def _mail(self, owned: OwnedDigest, reader: Reader, week: str, now: datetime) -> bytes | None:
        digest = owned.digest
        group = reader.part.group
        own_list = None
        if reader.part.students is not None:
            own_list = digest.view
        lines = lines_of(
            self.insights,
            reader.caller,
            digest.course,
            digest.language,
            group=group,
            own_list=own_list,
        )
        if not lines:
            return None
        sentences = Sentences(digest.language)
        about = course_name(self.insights, digest.course)
        if group is not None:
            about = f"{about} ({in_one_line(group)})"
        if own_list is not None:
            # The name of a list may name anybody.
            about = sentences.say("of_list", course=about)
        return written_mail(
            lines,
            sentences=sentences,
            course=about,
            sender=self.settings.smtp_from,
            to=digest.address,
            end_link=end_link(self.settings, owned.id),
            message_id=f"{owned.id}.{week}",
            now=now,
        )


def passes_by_itself(problem: Problem) -> bool:
    """Return whether a later run may get an answer. Otherwise somebody has to change something first."""
    return problem.status in _PASSING


def left_behind(state: str, now: datetime) -> Literal["done before", "under way", "unknown"]:
    """Return what an earlier run did with a mail that it claimed. unknown: that run has died."""
    claimed = claimed_at(state)
    if claimed is None:
        return "done before"
    if now - claimed < LONGEST_HAND_OVER:
        return "under way"
    return "unknown"


def week_of(insights: Insights) -> str:
    """Return the week of now by the clocks of the school, such as 2026-W09."""
    year, week, _ = insights.now().astimezone(insights.zone).isocalendar()
    return f"{year}-W{week:02}"
