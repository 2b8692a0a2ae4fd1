"""Messages to chats on a real server: their outcome, what is refused, and that no address is in a log or an error."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.slack import NotifySlack
from apprise.plugins.wecombot import NotifyWeComBot
from apprise.url import URLBase
from chat_server import Answer, MadeChat, made_chat, message_in
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edugraph_cli.processes import free_port
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_insights.digest.chat import MOST_BYTES, ChatOfChannel, NotAChannel, written_message
from edugraph_insights.digest.chat_lines import plain
from edugraph_insights.digest.lines import MOST_LINES, Line, in_one_line
from edugraph_insights.settings import DigestSettings

SECRET = "TIiajkdnlazkcOXrIdevi7FQ"
SLACK = f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{SECRET}"
WECOM = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7aaa-4bc4-97a0-0ec2sifa5aaa"
DINGTALK = "dingtalk://SEC0a1b2c@0123456789abcdef/"
FEISHU = "feishu://0123abcd-4567"
TEAMS = (
    "https://prod-12.westus.logic.azure.com:443/workflows/abc/triggers/manual/paths/invoke"
    "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=xyz"
)
PLACES = {"slack": SLACK, "wecom": WECOM, "dingtalk": DINGTALK, "feishu": FEISHU}
pytestmark = pytest.mark.loopback("a server of the test in place of a chat")


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeChat]:
    """A server in place of the four chats whose address is not free."""
    with made_chat() as found:
        to_server(monkeypatch, found.url)
        yield found


def to_server(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(NotifySlack, "webhook_url", f"{url}/slack")
    monkeypatch.setattr(NotifyWeComBot, "notify_url", f"{url}/wecom?key={{key}}")
    monkeypatch.setattr(NotifyDingTalk, "notify_url", f"{url}/dingtalk?access_token={{token}}")
    monkeypatch.setattr(NotifyFeishu, "notify_url", f"{url}/feishu/{{token}}")


def taken_by(service: str) -> Answer:
    """Return what a chat answers when it has taken a message."""
    if service == "slack":
        return Answer(200, "ok")
    return Answer(200, '{"errcode": 0, "code": 0, "errmsg": "ok"}')


@pytest.mark.parametrize("service", PLACES)
def test_each_chat_gets_one_message_with_its_links(chat: MadeChat, service: str) -> None:
    chat.answer = taken_by(service)
    text = written_message("数学：上一周", [Line("a & b", "https://s.example/ui/#point?a=1&b=2")])
    channel = ChatOfChannel(PLACES[service])
    assert channel.service == service
    assert channel.hand_over(text) == "sent"
    [(path, body)] = chat.got
    assert path.startswith(f"/{service}")
    said = message_in(body).replace("&amp;", "&")
    assert "http" not in body.replace("https://s.example/", "")
    assert said.split("\n\n") == ["数学：上一周", "1. a & b\nhttps://s.example/ui/#point?a=1&b=2"]


def test_the_address_of_teams_is_taken() -> None:
    assert ChatOfChannel(TEAMS).service == "teams"


@pytest.mark.parametrize(
    ("service", "answer", "outcome"),
    [
        ("slack", Answer(403, "invalid_token"), "refused"),
        ("slack", Answer(200, "no_text"), "refused"),
        # These two answer 200 to a message that they refuse. Out: `_says_error`.
        ("dingtalk", Answer(200, '{"errcode": 310000, "errmsg": "keywords"}'), "refused"),
        ("wecom", Answer(200, '{"errcode": 93000, "errmsg": "invalid webhook"}'), "refused"),
        ("feishu", Answer(200, '{"code": 19001, "msg": "param invalid"}'), "refused"),
        ("slack", Answer(429, "slow"), "postponed"),
        ("wecom", Answer(503, ""), "postponed"),
        ("slack", Answer(500, "perhaps"), "unknown"),
        ("dingtalk", Answer(502, ""), "unknown"),
        ("slack", Answer(200, None), "unknown"),
    ],
)
def test_the_outcome_is_what_the_chat_said(
    chat: MadeChat, service: str, answer: Answer, outcome: str
) -> None:
    chat.answer = answer
    assert ChatOfChannel(PLACES[service]).hand_over("x") == outcome
    assert len(chat.got) == 1


def test_a_chat_that_is_away_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    to_server(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert ChatOfChannel(SLACK).hand_over("x") == "postponed"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(socket.EAI_NONAME, "refused"), (socket.EAI_AGAIN, "postponed")],
    ids=["no-such-name", "no-resolver"],
)
def test_a_chat_whose_name_is_gone_refuses_and_is_not_tried_for_ever(
    monkeypatch: pytest.MonkeyPatch, error: int, outcome: str
) -> None:
    """The run would end with 75 each time. Out: `_has_no_such_name`."""

    def resolve(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(error, "made up")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert ChatOfChannel(TEAMS).hand_over("x") == outcome


def test_a_certificate_that_is_not_known_gets_no_message(
    chat: MadeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server speaks no TLS, which may be an end in the middle: that is unknown."""
    to_server(monkeypatch, chat.url.replace("http://", "https://"))
    assert ChatOfChannel(SLACK).hand_over("x") == "unknown"
    assert chat.got == []


def test_a_slow_chat_may_have_taken_it(chat: MadeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(URLBase, "socket_read_timeout", 0.2)
    chat.at_message = lambda _text: time.sleep(0.6)
    assert ChatOfChannel(SLACK).hand_over("x") == "unknown"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_message_follows_no_redirect(chat: MadeChat, status: int) -> None:
    """Out: `http_redirects=False`."""
    chat.answer = Answer(status, "", location=f"{chat.url}/elsewhere")
    assert ChatOfChannel(SLACK).hand_over("x") == "refused"
    assert len(chat.got) == 1


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nothing",
        "json://evil.example",
        "https://evil.example/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "syslog://",
        "mailto://user:pass@evil.example",
        "lark://0123abcd",
        f"{SLACK}?verify=no",
        f"{SLACK}?redirect=yes",
        f"{SLACK}?retry=3",
        f"{SLACK}?overflow=split",
        f"{SLACK}?template=/etc/passwd",
        f"slack://T1JJ3T3L2/A1BRTD4JD/{SECRET}/#one/#two",
        "slack://xoxb-1234-1234-abc124/#one",
        "dingtalk://0123456789abcdef/13800000000",
        "workflows://a.example/w/s/?template=/etc/passwd",
    ],
)
def test_other_addresses_are_refused_and_not_repeated(address: str) -> None:
    """A second try or receiver would get a message twice. Out: each condition of `ChatOfChannel`."""
    with pytest.raises(NotAChannel) as refusal:
        ChatOfChannel(address)
    assert SECRET not in str(refusal.value)
    assert "example" not in str(refusal.value)


@pytest.mark.parametrize("answer", [Answer(200, "ok"), Answer(403, "no"), Answer(200, None)])
def test_no_log_has_the_address_or_the_message(
    chat: MadeChat, capfd: pytest.CaptureFixture[str], answer: Answer
) -> None:
    """Also below INFO. Out: `silence_addresses`."""
    kept = logging.getLogger().handlers[:]
    try:
        configure_logs("json", "DEBUG")
        logging.getLogger().setLevel(logging.DEBUG)
        chat.answer = answer
        ChatOfChannel(SLACK).hand_over("words of the message")
    finally:
        logging.getLogger().handlers[:] = kept
    said = "".join(capfd.readouterr())
    assert SECRET not in said
    assert "words of the message" not in said
    assert len(chat.got) == 1


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=900)), max_size=MOST_LINES))
def test_a_message_has_whole_lines_and_fits_into_each_chat(lines: list[tuple[str, str]]) -> None:
    given_lines = [Line(f"{in_one_line(text)}.", quote(link) or "x") for text, link in lines]
    text = written_message("Maths", given_lines)
    assert len(text.encode()) <= MOST_BYTES
    if text:
        parts = text.split("\n\n")[1:]
        expected = []
        for number, line in enumerate(given_lines, start=1):
            expected.append(f"{number}. {line.text}\n{line.link}")
        assert parts == expected[: len(parts)]
        assert len(parts) >= 1


@given(st.text(max_size=150))
def test_a_name_writes_to_nobody_and_makes_no_link(name: str) -> None:
    """Out: `_SIGNS_OF_CHATS`."""
    shown = plain(f"{name} <!channel> @all [free](https://evil.example) <at>everybody</at> `x`")
    assert not set(shown) & set("<>@[]()`\n\r")
    assert "://" not in shown


WHOLE = {
    "redis_url": "redis://127.0.0.1:1",
    "neo4j_uri": "bolt://127.0.0.1:1",
    "privacy_secret": "a secret of these tests",
    "digest_page_url": "https://school.example/ui/",
    "smtp_url": "smtps://mail.school.example:465",
    "smtp_from": "no-reply@school.example",
}
CHANNEL = {"address": SLACK, "courses": ["MATH8"]}


def with_chats(channels: Any) -> DigestSettings:
    text = channels
    if not isinstance(channels, str):
        text = json.dumps(channels)
    return DigestSettings.model_validate({**WHOLE, "digest_chats": text})


def test_the_addresses_are_shown_nowhere() -> None:
    settings = with_chats({"maths": CHANNEL})
    assert SECRET not in repr(settings)
    assert SECRET not in repr(settings.channels)
    assert settings.channels["maths"].language == "en"
    assert with_chats("").channels == {}


@pytest.mark.parametrize(
    "channels",
    [
        SLACK,
        f'{{"maths": "{SLACK}"',
        [CHANNEL],
        {"maths": SLACK},
        {"maths": {"address": SLACK}},
        {"maths": {**CHANNEL, "courses": []}},
        {"maths": {**CHANNEL, "courses": ["A", "A"]}},
        {"maths": {**CHANNEL, "language": "fr"}},
        {"maths": {**CHANNEL, "names": True}},
        {SECRET: CHANNEL},
        {"": CHANNEL},
        {"one": CHANNEL, "two": CHANNEL},
    ],
)
def test_channels_that_cannot_work_are_refused_without_their_address(channels: Any) -> None:
    with pytest.raises(ValidationError) as refusal:
        with_chats(channels)
    said = "; ".join(
        f"{each['loc']} {each['msg']}"
        for each in refusal.value.errors(include_input=False, include_url=False)
    )
    assert "EDUGRAPH_DIGEST_CHATS" in said
    assert SECRET not in said
