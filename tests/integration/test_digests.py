"""Weekly mails on a real mail server: each is sent once, whatever dies, and only to who may get it now."""

import email
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.policy import default
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session
from digest_process import GROUP, MadeGraph, made_lines
from structlog.testing import capture_logs

from edugraph_cli.processes import free_port
from edugraph_common.contracts.personal_data import patterns_of
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.api_keys import KEYS, ApiKeys
from edugraph_common.runtime.shared_state.digests import (
    COUNTS,
    OWNERS,
    DigestMails,
    Digests,
    DigestSubscription,
)
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_common.runtime.shared_state.saved_views import SavedView, SavedViews, ViewState
from edugraph_common.sources.person import Person
from edugraph_importer.erasure import _digest_without
from edugraph_insights.digest import sending
from edugraph_insights.digest.mail import MailServer, ServerAway
from edugraph_insights.digest.sending import LONGEST_ABSENCE, LONGEST_HAND_OVER, Run
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import DigestSettings

SUBSCRIBERS = 1_000
KILLED_AT = 400
LIFETIME = timedelta(days=180)
NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)  # a Monday
NEXT_WEEK = NOW + timedelta(days=7)
PROGRAM = Path(__file__).parent.parent / "digest_process.py"


class Mailbox:
    """A mail server that keeps what it gets. `answers`: the answer to the receiver or to the text, by address."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.to_receiver: dict[str, str] = {}
        self.to_text: dict[str, str] = {}
        self.at_receiver: Any = None
        self.at_text: Any = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if self.at_receiver:
            self.at_receiver(address)
        envelope.rcpt_tos.append(address)
        return self.to_receiver.get(address, "250 OK")

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Session, envelope: Envelope
    ) -> str:
        [to] = envelope.rcpt_tos
        answer = self.to_text.get(to, "250 OK")
        if answer.startswith("250"):
            self.got.append((to, envelope.content))
        if self.at_text:
            self.at_text(to)
        return answer

    def counts(self) -> Counter[str]:
        return Counter(to for to, _ in self.got)


@contextmanager
def mail_server(mailbox: Mailbox, **more: Any) -> Iterator[int]:
    """Serve on a free port, and give it."""
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **more)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def address(number: int) -> str:
    return f"teacher{number}@school.example"


def subscribed(client: "redis.Redis", number: int, course: str = "C", **more: Any) -> str:
    """Subscribe a teacher, and return the id of the subscription."""
    digest = DigestSubscription(
        person=f"t{number}", course=course, address=address(number), since=NOW, **more
    )
    digest_id = f"{number:032x}"
    Digests(client, LIFETIME).keep(f"oidc:{number}", digest_id, digest)
    return digest_id


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    found = connect(redis_url)
    yield found
    of_digests = found.scan_iter(match="edugraph:digest*")
    of_views = found.scan_iter(match="edugraph:views:oidc:*")
    for key in (OWNERS, COUNTS, *of_digests, *of_views):
        found.delete(key)


def environment(redis_url: str, port: int) -> dict[str, str]:
    return {
        "EDUGRAPH_REDIS_URL": redis_url,
        "EDUGRAPH_NEO4J_URI": "bolt://127.0.0.1:1",
        "EDUGRAPH_PRIVACY_SECRET": "a secret of these tests",
        "EDUGRAPH_DIGEST_PAGE_URL": "https://school.example/ui/",
        "EDUGRAPH_SMTP_URL": f"smtp://127.0.0.1:{port}",
        "EDUGRAPH_SMTP_FROM": "no-reply@school.example",
    }


def started(redis_url: str, port: int, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, PROGRAM],
        env={**os.environ, **environment(redis_url, port), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_of(redis_url: str, port: int, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run in this process, at a moment of the test."""
    for name, value in environment(redis_url, port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sending, "lines_of", made_lines)
    settings = DigestSettings()
    found = open_insights(settings, now=lambda: now)
    insights: Any = SimpleNamespace(
        **{
            name: getattr(found, name)
            for name in ("settings", "key_ring", "now", "zone", "digests", "mails", "views")
        },
        graph=MadeGraph(None),
    )
    return Run(insights, settings, insights.digests, insights.mails, MailServer(settings))


@pytest.mark.thorough
@pytest.mark.parametrize("moment", ["at_receiver", "at_text"])
def test_a_thousand_subscribers_and_a_kill_in_the_middle(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Nobody gets two mails. The mail whose outcome is unknown is counted, and is not sent again.

    The process is killed while the server has a mail: before its text (`at_receiver`), or after it has taken the text
    and before it answers. Out: claim the mail after it is handed over; or send a claimed mail again.
    """
    for number in range(SUBSCRIBERS):
        subscribed(client, number)
    mailbox = Mailbox()
    began = Counter[str]()

    def kill(to: str) -> None:
        began[to] += 1
        if len(began) == KILLED_AT:
            process.send_signal(signal.SIGKILL)
            process.wait()

    setattr(mailbox, moment, kill)
    with mail_server(mailbox) as port:
        process = started(redis_url, port)
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        setattr(mailbox, moment, None)

        # At once, the claim of the dead run may be of one that still works.
        again = started(redis_url, port)
        said, logged = again.communicate(timeout=300)
        assert again.returncode == 0, logged
        results = json.loads(said.splitlines()[0])
        assert results == {
            "done before": KILLED_AT - 1,
            "sent": SUBSCRIBERS - KILLED_AT,
            "under way": 1,
        }
        run = run_of(redis_url, port, datetime.now(UTC) + LONGEST_HAND_OVER, monkeypatch)
        run.send_all()
        assert run.results == {"done before": SUBSCRIBERS - 1, "unknown": 1}
        last = run_of(redis_url, port, datetime.now(UTC) + LONGEST_HAND_OVER, monkeypatch)
        last.send_all()
        assert last.results == {"done before": SUBSCRIBERS}

    got = mailbox.counts()
    assert max(got.values()) == 1
    arrived = SUBSCRIBERS if moment == "at_text" else SUBSCRIBERS - 1
    assert len(got) == arrived
    counts = DigestMails(client).counts()
    assert counts == {"sent": SUBSCRIBERS - 1, "refused": 0, "postponed": 0, "unknown": 1}
    # Logs and outcome name no person, no course and no address.
    for text in (said, logged):
        assert "school.example" not in text
        assert "teacher" not in text
        assert "Maths" not in text


def test_two_runs_at_once_send_each_mail_once(client: "redis.Redis", redis_url: str) -> None:
    """Out: `nx` in the claim."""
    for number in range(60):
        subscribed(client, number)
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        runs = [started(redis_url, port) for _ in range(2)]
        said = [json.loads(run.communicate(timeout=120)[0].splitlines()[0]) for run in runs]
    assert mailbox.counts() == {address(number): 1 for number in range(60)}
    assert sum(each.get("sent", 0) for each in said) == 60


def test_the_next_week_has_a_mail_of_its_own(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed(client, 1)
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        for now in (NOW, NOW + timedelta(days=6), NEXT_WEEK):
            run_of(redis_url, port, now, monkeypatch).send_all()
    assert mailbox.counts() == {address(1): 2}


def test_one_mail_as_its_receiver_sees_it(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of a course ends no header, and is one line. Out: `in_one_line`."""
    digest_id = subscribed(client, 1, language="zh")
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        run_of(redis_url, port, NOW, monkeypatch).send_all()
    [(to, content)] = mailbox.got
    assert to == address(1)
    assert content.isascii()
    mail = email.message_from_bytes(content, policy=default)
    assert mail["To"] == address(1)
    assert mail["From"] == "EduGraph <no-reply@school.example>"
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Maths Bcc: everybody@evil.example Click here：本周"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = mail["List-Unsubscribe"].strip("<>")
    assert link.startswith(f"https://school.example/ui/digest/end?token={digest_id}")
    assert mail["Message-ID"] == f"<{digest_id}.2026-W49@school.example>"
    lines = mail.get_content().splitlines()
    assert lines[:5] == [
        "Maths Bcc: everybody@evil.example Click here",
        "",
        "1. Repeat what t1 taught.",
        "   https://school.example/ui/#today?C",
        "",
    ]
    assert link in mail.get_content()


def viewed(client: "redis.Redis", number: int, **values: Any) -> str:
    """Save a view of a teacher, and return its id."""
    view_id = f"{number + 100:032x}"
    state = ViewState(kind="page", name="today", values=values)
    view = SavedView(name="My quiet ones", state=state, person=f"t{number}")
    SavedViews(client, LIFETIME).add(f"oidc:{number}", view_id, view)
    return view_id


def test_the_mail_of_a_view_is_about_its_group_and_comes_once(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view has a name of its owner's, which may name anybody: no mail has it. Out: `group` in `_mail`."""
    view = viewed(client, 1, course="C", group=GROUP)
    subscribed(client, 1, view=view)
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        for _ in range(2):
            run_of(redis_url, port, NOW, monkeypatch).send_all()
    [(to, content)] = mailbox.got
    assert to == address(1)
    mail = email.message_from_bytes(content, policy=default)
    assert mail["Subject"].endswith(f"({GROUP}): this week")
    assert f"1. Repeat what t1 taught {GROUP}." in mail.get_content()
    assert "quiet" not in mail["Subject"] + mail.get_content()


def listed(client: "redis.Redis", number: int, *students: str) -> str:
    """Save a list of a teacher, and return its id."""
    view_id = f"{number + 200:032x}"
    values = {"course": "C", "students": students}
    state = ViewState(kind="list", name="students", values=values)
    view = SavedView(name="My quiet ones", state=state, person=f"t{number}")
    SavedViews(client, LIFETIME).add(f"oidc:{number}", view_id, view)
    return view_id


def test_the_mail_of_a_list_is_about_its_students_and_says_when_it_is_gone(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a list may name anybody, so no mail has it. Out: `own_list` in `_mail`."""
    list_id = listed(client, 1, "s1", "s2")
    digest_id = subscribed(client, 1, view=list_id)
    # Nobody of this list is led by its owner now.
    of_others = subscribed(client, 2, view=listed(client, 2, "s2"))
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        run = run_of(redis_url, port, NOW, monkeypatch)
        run.send_all()
        assert run.results == {"sent": 1, "absent": 1}
        SavedViews(client, LIFETIME).delete("oidc:1", list_id)
        run_of(redis_url, port, NEXT_WEEK, monkeypatch).send_all()
    mails = [email.message_from_bytes(content, policy=default) for _, content in mailbox.got]
    assert mailbox.counts() == {address(1): 2}
    assert f"1. Repeat what t1 taught {list_id}." in mails[0].get_content()
    assert mails[0]["Subject"].endswith(", a list of yours: this week")
    assert mails[1]["Subject"].endswith(": no more weekly mails")
    for mail in mails:
        assert "quiet" not in mail["Subject"] + mail.get_content()
    digests = Digests(client, LIFETIME)
    assert digests.find(digest_id) is None
    assert digests.find(of_others) is None


@pytest.mark.parametrize(
    "values",
    [None, {"course": "C"}, {"course": "D", "group": GROUP}, {"course": "C", "group": "lost"}],
    ids=["deleted", "no-group", "other-course", "not-led"],
)
def test_the_mail_of_a_view_ends_with_the_view_and_with_the_right_to_its_group(
    client: "redis.Redis",
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, str] | None,
) -> None:
    """Out: the look at the view in `_reader_of`, or `group` in `leads_in` of the run."""
    view = f"{7:032x}"
    if values is not None:
        view = viewed(client, 1, **values)
    of_view = subscribed(client, 1, view=view)
    # Another teacher has a view of the same id, which counts for nobody else.
    of_other = SavedViews(client, LIFETIME)
    state = ViewState(kind="page", name="today", values={"course": "C", "group": GROUP})
    of_other.add("oidc:2", view, SavedView(name="x", state=state, person="t2"))
    subscribed(client, 2)
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        run = run_of(redis_url, port, NOW, monkeypatch)
        run.send_all()
        # One last mail says that the view is gone. A loss of the right sends nothing.
        last_mails = int(values is None or values.get("group") != "lost")
        expected = Counter({address(1): last_mails, address(2): 1})
        assert mailbox.counts() == +expected
        is_at_once = bool(last_mails)
        assert run.results == {"ended" if is_at_once else "absent": 1, "sent": 1}
        assert (Digests(client, LIFETIME).find(of_view) is None) is is_at_once
        run_of(redis_url, port, NEXT_WEEK, monkeypatch).send_all()
    assert Digests(client, LIFETIME).find(of_view) is None
    assert mailbox.counts()[address(1)] == last_mails


def test_a_course_that_is_gone_ends_its_mail_with_one_last_mail(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others get theirs, and the run has nothing to do again. Out: `course_exists`; or the end of the mail."""
    digest_id = subscribed(client, 1, "gone")
    subscribed(client, 2)
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        early = run_of(redis_url, port, NOW - LONGEST_ABSENCE, monkeypatch)
        early.send_all()
        assert early.results == {"absent": 1, "sent": 1}
        mailbox.to_receiver = {address(1): "450 try later"}
        first = run_of(redis_url, port, NOW, monkeypatch)
        first.send_all()
        assert first.results == {"postponed": 1, "sent": 1}
        assert Digests(client, LIFETIME).find(digest_id) is not None
        mailbox.to_receiver = {}
        process = started(redis_url, port)
        said, logged = process.communicate(timeout=60)
        assert process.returncode == 0, logged
        assert json.loads(said.splitlines()[0])["ended"] == 1
        last = run_of(redis_url, port, NEXT_WEEK, monkeypatch)
        last.send_all()
    assert last.results["ended"] == 0
    assert Digests(client, LIFETIME).find(digest_id) is None
    assert mailbox.counts()[address(1)] == 1
    [content] = [content for to, content in mailbox.got if to == address(1)]
    mail = email.message_from_bytes(content, policy=default)
    assert mail["Subject"] == "gone: no more weekly mails"
    assert "does not exist any more" in mail.get_content()


@pytest.mark.parametrize(
    ("problem", "result"),
    [
        (Problem(503, "busy", "x"), "not read"),
        (Problem(422, "too-large", "x"), "missing"),
    ],
)
def test_a_question_that_is_refused_is_said_once_and_does_not_stop_the_others(
    client: "redis.Redis",
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    problem: Problem,
    result: str,
) -> None:
    """Only a problem that ends by itself is for the next run. Out: `passes_by_itself` in `_send`."""
    subscribed(client, 1)
    subscribed(client, 2)

    def lines(_insights: Any, caller: Any, *given: Any, **more: Any) -> Any:
        if caller.person == "t1":
            raise problem
        return made_lines(_insights, caller, *given, **more)

    mailbox = Mailbox()
    with mail_server(mailbox) as port, capture_logs() as logged:
        for _ in range(2):
            run = run_of(redis_url, port, NOW, monkeypatch)
            monkeypatch.setattr(sending, "lines_of", lines)
            run.send_all()
    assert run.results == {result: 1, "done before": 1}
    assert mailbox.counts() == {address(2): 1}
    reasons = Counter(each["reason"] for each in logged)
    assert reasons == {problem.name: 2 if result == "not read" else 1}


def test_who_lost_the_course_gets_nothing_and_the_subscription_ends(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `leads_in` in the run."""
    lost = subscribed(client, 1)
    subscribed(client, 2)
    monkeypatch.setenv("MADE_LOST", "t1")
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        for now, expected in ((NOW, "absent"), (NEXT_WEEK, "ended")):
            run = run_of(redis_url, port, now, monkeypatch)
            run.send_all()
            assert run.results == {expected: 1, "sent": 1}
    assert mailbox.counts() == {address(2): 2}
    assert Digests(client, LIFETIME).find(lost) is None


def test_a_graph_that_is_empty_for_a_while_ends_no_subscription(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage before counts no more. Out: `LONGEST_ABSENCE` in `_wait_or_end`; or `forget_absence` in `_send`."""
    of_teacher = subscribed(client, 1)
    of_lost_course = subscribed(client, 2, "gone")
    digests = Digests(client, LIFETIME)
    mailbox = Mailbox()
    day = timedelta(days=1)
    with mail_server(mailbox) as port:
        for now, lost in ((NOW, "t1"), (NOW + day, ""), (NEXT_WEEK, "t1"), (NEXT_WEEK + day, "")):
            monkeypatch.setenv("MADE_LOST", lost)
            run_of(redis_url, port, now, monkeypatch).send_all()
            assert digests.find(of_teacher) is not None
    assert mailbox.counts() == {address(1): 2, address(2): 1}
    assert digests.find(of_lost_course) is None  # which was absent all the time


def test_a_subscription_by_a_key_ends_with_the_key_or_its_role(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the look at the key in `_rights_of`."""
    keys = ApiKeys(client)
    made = []
    for number, role in enumerate(("teacher", "teacher", "head")):
        roles: Any = (role,)
        new = keys.create("x", (), NOW, roles=roles, person=f"t{number}", address=address(number))
        made.append(new.key)
        digest = DigestSubscription(
            person=f"t{number}", course="C", address=address(number), since=NOW
        )
        Digests(client, LIFETIME).keep(new.key.key_id, f"{number:032x}", digest)
    keys.revoke(made[0].key_id)
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        run = run_of(redis_url, port, NOW, monkeypatch)
        run.send_all()
    client.delete(KEYS)
    assert run.results == {"ended": 2, "sent": 1}
    assert mailbox.counts() == {address(1): 1}


def test_who_was_erased_gets_nothing_and_nothing_of_them_stays(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the eraser; or the second look before a mail is handed over."""
    subscribed(client, 1, view=viewed(client, 1, course="C", group=GROUP))
    subscribed(client, 2)
    other = subscribed(client, 3)
    client.delete("edugraph:views:oidc:1")  # the eraser of views, which is tested for itself
    texts = RedisTexts(client)

    def erase(person: str) -> int:
        change = _digest_without(Person(frozenset({person}), frozenset(), ()))
        return texts.rewrite(patterns_of("digests"), change)

    assert erase("t1") == 1
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        run = run_of(redis_url, port, NOW, monkeypatch)
        # The erasure of another one comes while their mail is written.
        monkeypatch.setattr(run.server, "make_ready", lambda: erase("t2"))
        run.send_all()
        assert run.results["ended"] == 1
        monkeypatch.undo()
        run_of(redis_url, port, NOW, monkeypatch).send_all()
    assert mailbox.counts() == {address(3): 1}
    assert [*texts.read(patterns_of("digests"))] != []
    assert client.hkeys(OWNERS) == [other]
    assert client.keys("*oidc:1*") + client.keys("*oidc:2*") == []


def test_an_address_that_is_refused_and_one_for_later(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others get their mails on the same connection. Out: RSET after a refusal; 4xx as a refusal."""
    for number in range(6):
        subscribed(client, number)
    mailbox = Mailbox()
    mailbox.to_receiver = {address(1): "550 no such user", address(2): "450 try later"}
    mailbox.to_text = {address(3): "554 not this", address(4): "451 not now"}
    with mail_server(mailbox) as port:
        run = run_of(redis_url, port, NOW, monkeypatch)
        run.send_all()
        assert run.results == {"sent": 2, "refused": 2, "postponed": 2}
        mailbox.to_receiver = {}
        mailbox.to_text = {}
        later = run_of(redis_url, port, NOW + timedelta(hours=1), monkeypatch)
        later.send_all()
        assert later.results == {"done before": 4, "sent": 2}
    assert mailbox.counts() == {address(number): 1 for number in (0, 2, 4, 5)}


def test_without_a_mail_server_everything_waits_for_the_next_run(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `make_ready` before the claim."""
    subscribed(client, 1)
    with mail_server(Mailbox()) as port:
        pass  # a port on which nobody listens any more
    process = started(redis_url, port)
    said, logged = process.communicate(timeout=60)
    assert process.returncode == 75
    assert json.loads(said.splitlines()[0]) == {}
    assert "no connection to the mail server: ConnectionRefusedError" in logged + said
    with pytest.raises(ServerAway):
        run_of(redis_url, port, NOW, monkeypatch).send_all()
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        run_of(redis_url, port, datetime.now(UTC), monkeypatch).send_all()
    assert mailbox.counts() == {address(1): 1}


def test_a_connection_that_ends_in_the_text_leaves_the_outcome_unknown(
    client: "redis.Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: "postponed" where the connection ends in `data`."""
    subscribed(client, 1)
    subscribed(client, 2)
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        run = run_of(redis_url, port, NOW, monkeypatch)
        cut = threading.Event()

        def cut_off(_to: str) -> None:
            if not cut.is_set():
                cut.set()
                run.server._connection.sock.shutdown(2)  # type: ignore[union-attr]

        mailbox.at_text = cut_off
        run.send_all()
        assert run.results == {"unknown": 1, "sent": 1}
        again = run_of(redis_url, port, NOW, monkeypatch)
        again.send_all()
        assert again.results == {"done before": 2}
    assert mailbox.counts() == {address(1): 1, address(2): 1}


class Logins:
    """The logins that a mail server was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []

    def __call__(self, *given: Any) -> AuthResult:
        login = given[-1]
        self.sent.append((login.login, login.password))
        return AuthResult(success=True)


def settings_for(port: int, monkeypatch: pytest.MonkeyPatch) -> DigestSettings:
    """Return settings with a login at a mail server that counts as another machine."""
    monkeypatch.setattr("edugraph_insights.digest.mail._LOOPBACK", set())
    for name, value in environment("redis://127.0.0.1:1", port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EDUGRAPH_SMTP_URL", f"smtp://us%40er:p%2Fw%3A1@127.0.0.1:{port}")
    return DigestSettings()


@pytest.mark.loopback("a mail server of the test")
def test_a_password_is_sent_to_nobody_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on another machine without STARTTLS is refused. Out: `starttls` in `connected`."""
    logins = Logins()
    with mail_server(Mailbox(), authenticator=logins, auth_require_tls=False) as port:
        server = MailServer(settings_for(port, monkeypatch))
        with pytest.raises(ServerAway, match="SMTPNotSupportedError"):
            server.make_ready()
    assert logins.sent == []


@pytest.mark.loopback("a mail server of the test")
def test_a_login_goes_to_a_server_whose_certificate_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Out: `context=trusted` of `starttls`."""
    authority = trustme.CA()
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(identity)
    logins = Logins()
    mailbox = Mailbox()
    with mail_server(mailbox, authenticator=logins, tls_context=identity) as port:
        server = MailServer(settings_for(port, monkeypatch))
        with pytest.raises(ServerAway, match="SSLCertVerificationError"):
            server.make_ready()
        assert logins.sent == []
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        server.make_ready()
        assert server.hand_over(address(1), b"Subject: x\r\n\r\ny\r\n") == "sent"
        server.close()
    assert logins.sent == [(b"us@er", b"p/w:1")]
    assert mailbox.counts() == {address(1): 1}
