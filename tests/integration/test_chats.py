"""Weekly messages to chats with a real Redis: each is sent once, whatever dies, and a failing channel says so."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import redis
from apprise.plugins.slack import NotifySlack
from chat_server import Answer, MadeChat, made_chat, message_in
from digest_process import MadeGraph, made_chat_lines
from structlog.testing import capture_logs

from edugraph_common.runtime.shared_state.digests import COUNTS, DigestMails, OfChat
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_insights.digest import chatting
from edugraph_insights.digest.chatting import ChatRun, opened
from edugraph_insights.digest.figures import DigestFigures
from edugraph_insights.digest.sending import LONGEST_HAND_OVER
from edugraph_insights.problems import Busy
from edugraph_insights.settings import channels_in

NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)  # a Monday
COURSES = [f"C{number}" for number in range(40)]
KILLED_AT = 15
SECRET = "TIiajkdnlazkcOXrIdevi7FQ"
PROGRAM = Path(__file__).parent.parent / "digest_process.py"


def channels(*courses: str) -> str:
    address = f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{SECRET}"
    return json.dumps({"maths": {"address": address, "courses": courses}})


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    found = connect(redis_url)
    yield found
    for key in (COUNTS, *found.scan_iter(match="edugraph:digest*")):
        found.delete(key)


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeChat]:
    with made_chat() as found:
        monkeypatch.setattr(NotifySlack, "webhook_url", found.url)
        monkeypatch.setattr(NotifySlack, "request_rate_per_sec", 0)
        monkeypatch.setattr(chatting, "chat_lines_of", made_chat_lines)
        yield found


def started(redis_url: str, url: str, *courses: str) -> "subprocess.Popen[str]":
    given = {
        "EDUGRAPH_REDIS_URL": redis_url,
        "EDUGRAPH_NEO4J_URI": "bolt://127.0.0.1:1",
        "EDUGRAPH_PRIVACY_SECRET": "a secret of these tests",
        "EDUGRAPH_DIGEST_PAGE_URL": "https://school.example/ui/",
        # The school has no mail server (ADR 156).
        "EDUGRAPH_DIGEST_CHATS": channels(*(courses or COURSES)),
        "EDUGRAPH_LOG_LEVEL": "DEBUG",
        "MADE_SLACK": url,
    }
    return subprocess.Popen(
        [sys.executable, PROGRAM],
        env={**os.environ, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_at(client: "redis.Redis", now: datetime, *courses: str) -> ChatRun:
    """A run in this process, at a moment of the test."""
    insights: Any = SimpleNamespace(now=lambda: now, zone=UTC, graph=MadeGraph(None))
    run = ChatRun(insights, DigestMails(client), opened(channels_in(channels(*courses))))
    run.send_all()
    return run


def test_a_kill_in_the_middle_sends_no_message_twice(
    client: "redis.Redis", redis_url: str, chat: MadeChat
) -> None:
    """The process is killed when the chat has a message and has not answered.

    Out: claim the message after it is handed over; or send a claimed message again.
    """

    def kill(_text: str) -> None:
        if len(chat.got) == KILLED_AT:
            process.send_signal(signal.SIGKILL)
            process.wait()

    chat.at_message = kill
    process = started(redis_url, chat.url)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    chat.at_message = lambda _text: None

    again = started(redis_url, chat.url)
    said, logged = again.communicate(timeout=120)
    assert again.returncode == 0, logged
    assert json.loads(said.splitlines()[1]) == {
        "chats": {
            "done before": KILLED_AT - 1,
            "sent": len(COURSES) - KILLED_AT,
            "under way": 1,
        }
    }
    later = datetime.now(UTC) + LONGEST_HAND_OVER
    assert run_at(client, later, *COURSES).results == {
        "done before": len(COURSES) - 1,
        "unknown": 1,
    }
    got = Counter(message_in(text).rpartition("course=")[2] for text in chat.texts)
    assert got == dict.fromkeys(COURSES, 1)
    counts = DigestMails(client).chat_counts()
    assert counts[OfChat("slack", "sent")] == len(COURSES) - 1
    assert counts[OfChat("slack", "unknown")] == 1
    assert sum(counts.values()) == len(COURSES)
    # The mails are counted apart.
    assert sum(DigestMails(client).counts().values()) == 0
    for text in (said, logged):
        assert SECRET not in text
        assert "Fractions" not in text


@pytest.mark.usefixtures("client")
def test_two_runs_at_once_send_each_message_once(redis_url: str, chat: MadeChat) -> None:
    """Out: `nx` in the claim."""
    runs = [started(redis_url, chat.url) for _ in range(2)]
    for run in runs:
        run.communicate(timeout=120)
    got = Counter(message_in(text).rpartition("course=")[2] for text in chat.texts)
    assert got == dict.fromkeys(COURSES, 1)


def test_each_week_has_its_message_in_one_heading_and_lines_with_links(
    client: "redis.Redis", chat: MadeChat
) -> None:
    """The name of a course ends no line, and writes to nobody."""
    for days in (0, 6, 7):
        run_at(client, NOW + timedelta(days=days), "C1")
    assert len(chat.texts) == 2
    heading, line = message_in(chat.texts[0]).split("\n\n")
    assert heading == "Maths Bcc: everybody＠evil.example Click here: last week, from EduGraph"
    text, link = line.split("\n")
    assert text == "1. Fractions went wrong."
    assert link == "https://school.example/ui/#overview?course=C1"


class Failing(NamedTuple):
    """An answer of a chat, its outcome, and how often the message is sent in two runs."""

    answer: Answer
    outcome: Any
    tries: int


@pytest.mark.parametrize(
    "failing",
    [
        Failing(Answer(403, "invalid_token"), "refused", 1),
        Failing(Answer(429, ""), "postponed", 2),
        Failing(Answer(200, None), "unknown", 1),
    ],
)
def test_a_failing_channel_says_so_without_what_it_knows(
    client: "redis.Redis",
    chat: MadeChat,
    failing: Failing,
) -> None:
    """In a metric and a log line. Only a message that the chat cannot have taken is tried again."""
    chat.answer = failing.answer
    outcome = failing.outcome
    tries = failing.tries
    with capture_logs() as logged:
        run = run_at(client, NOW, "C1")
        run_at(client, NOW, "C1")
    assert run.results == {outcome: 1}
    assert len(chat.got) == tries
    [family] = [
        each for each in DigestFigures(DigestMails(client)).collect() if "chats" in each.name
    ]
    figures = {
        (each.labels["service"], each.labels["outcome"]): each.value for each in family.samples
    }
    assert figures["slack", outcome] == tries
    assert sum(figures.values()) == tries
    line = {"channel": "maths", "service": "slack", "outcome": outcome, "log_level": "warning"}
    assert logged == [{"event": "chat_not_sent", **line}] * tries


def test_a_course_that_does_not_exist_is_said_once_a_week_and_stops_nothing(
    client: "redis.Redis", redis_url: str, chat: MadeChat
) -> None:
    """The run has nothing to do again. Out: `passes_by_itself`, or `note_missing`."""
    with capture_logs() as logged:
        results = [run_at(client, NOW, "gone", "C1").results for _ in range(2)]
        run_at(client, NOW + timedelta(days=7), "gone")
    assert results == [{"missing": 1, "sent": 1}, {"missing": 1, "done before": 1}]
    assert len(chat.got) == 1
    line = {"channel": "maths", "reason": "not-found", "course_number": 1, "log_level": "warning"}
    assert logged == [{"event": "chat_missing", **line}] * 2

    for run in (started(redis_url, chat.url, "gone", "C2"), started(redis_url, chat.url, "gone")):
        said, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors
        assert json.loads(said.splitlines()[1])["chats"]["missing"] == 1


def test_a_question_that_takes_too_long_is_asked_again(
    client: "redis.Redis", chat: MadeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: 503 in `_PASSING`."""

    def busy(*_: Any) -> Any:
        raise Busy("x", "y", retry_after_seconds=1)

    monkeypatch.setattr(chatting, "chat_lines_of", busy)
    assert run_at(client, NOW, "C1").results == {"not read": 1}
    monkeypatch.setattr(chatting, "chat_lines_of", made_chat_lines)
    assert run_at(client, NOW, "C1").results == {"sent": 1}
    assert len(chat.got) == 1
