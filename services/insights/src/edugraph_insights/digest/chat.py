"""A channel of a chat, to which messages go by the library apprise.

Apprise says only whether it worked. Here it must be known whether the chat may have taken a message, since such a
message is not sent again. Two of the chats also answer 200 to a message that they refuse. So the exchange with the
chat is watched, and what it was decides on the outcome.
"""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLCertVerificationError
from typing import Any

import requests
from apprise import AppriseAsset, NotifyFormat, OverflowMode
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.slack import NotifySlack, SlackMode
from apprise.plugins.wecombot import NotifyWeComBot
from apprise.plugins.workflows import NotifyWorkflows
from requests import sessions
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, SSLError

from edugraph_common.runtime.service.metrics import ChatService, DigestOutcome
from edugraph_insights.digest.lines import Line

# WeCom takes this many bytes in a message, and the others more.
MOST_BYTES = 2_048
# The part of apprise for each service. The others are never loaded: most are not for chats, and some run programs.
_PARTS: dict[ChatService, Any] = {
    "dingtalk": NotifyDingTalk,
    "feishu": NotifyFeishu,
    "slack": NotifySlack,
    "teams": NotifyWorkflows,
    "wecom": NotifyWeComBot,
}
# Their debug lines have addresses and messages, and the lines of a failure have what the chat said.
_LOGGERS_WITH_ADDRESSES = ("apprise", "urllib3")
# Where a chat says in an answer 200 that it took nothing: a number other than 0.
_ERROR_FIELDS = ("errcode", "code", "StatusCode")
# 429: too many messages; 503: not now. The chat has taken nothing.
_LATER = {429, 503}
_TAKEN = range(200, 300)
_SERVER_ERRORS = range(500, 600)


class NotAChannel(Exception):
    """An address from which no message can be sent. The message of the exception has nothing of the address."""


def silence_addresses() -> None:
    """Let no library log the address of a channel or a message."""
    for name in _LOGGERS_WITH_ADDRESSES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


class Exchange:
    """The one request to a chat and its outcome, which is None until there is an answer or an error."""

    def __init__(self) -> None:
        self.outcome: DigestOutcome | None = None

    def answered(self, response: requests.Response) -> None:
        self.outcome = _outcome_of(response)

    def failed(self, error: requests.RequestException) -> None:
        self.outcome = "unknown"
        if _has_no_such_name(error):
            self.outcome = "refused"
        elif _never_reached(error):
            self.outcome = "postponed"


class ChatOfChannel:
    """One channel.

    Raises NotAChannel if the address is not of one of the five chats, or would send a message more than once.
    """

    def __init__(self, address: str) -> None:
        silence_addresses()
        # Without image_url_mask, a message has the address of a picture on a server of somebody else.
        asset = AppriseAsset(
            app_id="EduGraph",
            app_desc="EduGraph",
            app_url="",
            image_url_mask="",
            http_redirects=False,
            async_mode=False,
        )
        service, given = _read(address)
        try:
            found = _PARTS[service](**given, asset=asset)
        except TypeError:
            # The class from which the errors of apprise come. Its message may have the address.
            raise NotAChannel("is not whole") from None
        # Several receivers or tries: a part of them could get the message twice.
        sends_once = len(found) == 1
        if not sends_once or getattr(found, "targets", None):
            raise NotAChannel("names receivers or tries; give the address of the webhook alone")
        if service == "slack" and found.mode != SlackMode.WEBHOOK:
            raise NotAChannel("is not the address of an incoming webhook")
        # A template is a file of this machine, whose text would stand in the message.
        if not found.verify_certificate or found.redirects or getattr(found, "template", None):
            raise NotAChannel("has options that turn a protection off")
        if found.overflow_mode != OverflowMode.UPSTREAM:
            raise NotAChannel("has an option that divides messages")
        self.service = service
        self._plugin = found

    def hand_over(self, text: str) -> DigestOutcome:
        """Send a message, and return what became of it. A message that may have arrived is `unknown`."""
        exchange = Exchange()
        with watched(exchange):
            worked = self._plugin.notify(body=text, body_format=NotifyFormat.TEXT)
        if exchange.outcome is None:
            # Apprise has not asked the chat at all.
            return "refused"
        if exchange.outcome == "sent" and not worked:
            return "refused"
        return exchange.outcome


def written_message(heading: str, lines: list[Line]) -> str:
    """Return a message with these lines, or "" if not one of them fits. Last lines that do not fit are left out."""
    for number in range(len(lines), 0, -1):
        parts = [heading]
        for place, line in enumerate(lines[:number], start=1):
            parts.append(f"{place}. {line.text}\n{line.link}")
        # Teams reads Markdown, where only an empty line begins a new one.
        text = "\n\n".join(parts)
        if len(text.encode()) <= MOST_BYTES:
            return text
    return ""


def _read(address: str) -> tuple[ChatService, dict[str, Any]]:
    """Return the service of an address, and what the address says. Raises NotAChannel.

    The address is that of apprise, or the one that the chat itself shows.
    """
    # Apprise's own way to keep a channel of Slack, which begins with #, in the path.
    address = address.replace("/#", "/%23")
    scheme = address.partition("://")[0].lower()
    for service, part in _PARTS.items():
        given = None
        if scheme == "https":
            given = part.parse_native_url(address)
        elif scheme in _schemes_of(part):
            given = part.parse_url(address)
        if given:
            return service, given
    raise NotAChannel("is not the address of a channel of DingTalk, WeCom, Feishu, Teams or Slack")


def _schemes_of(part: Any) -> tuple[str, ...]:
    schemes = part.secure_protocol
    if isinstance(schemes, str):
        return (schemes,)
    return tuple(schemes)


@contextmanager
def watched(exchange: Exchange) -> Iterator[None]:
    """Note in `exchange` what becomes of each request that the library requests sends meanwhile."""

    class Watching(HTTPAdapter):
        def send(self, *args: Any, **more: Any) -> requests.Response:
            try:
                response = super().send(*args, **more)
                # The text is read here, so that a connection that ends in it is seen, too.
                _ = response.content
            except requests.RequestException as error:
                exchange.failed(error)
                raise
            exchange.answered(response)
            return response

    # Each session of the library makes its adapters from this name, and has no other place for one of ours.
    names = vars(sessions)
    names["HTTPAdapter"] = Watching
    try:
        yield
    finally:
        names["HTTPAdapter"] = HTTPAdapter


def _outcome_of(response: requests.Response) -> DigestOutcome:
    if response.status_code in _LATER:
        return "postponed"
    if response.status_code in _SERVER_ERRORS:
        return "unknown"
    if response.status_code not in _TAKEN or _says_error(response.content):
        return "refused"
    return "sent"


def _says_error(content: bytes) -> bool:
    """Return whether a chat says in JSON that it did not take the message."""
    try:
        said = json.loads(content)
    except ValueError:
        return False
    if not isinstance(said, dict):
        return False
    return any(said.get(name) not in {None, 0, "0"} for name in _ERROR_FIELDS)


def _cause_of(error: requests.RequestException) -> MaxRetryError | None:
    """Return the error of urllib3 behind an error of requests, or None if there is none."""
    if error.args and isinstance(error.args[0], MaxRetryError):
        return error.args[0]
    return None


def _has_no_such_name(error: requests.RequestException) -> bool:
    """Return whether the name of the chat's machine does not exist, as after the end of a workflow of Teams.

    A resolver that cannot be asked says something else.
    """
    cause = _cause_of(error)
    if cause is None or not isinstance(cause.reason, NameResolutionError):
        return False
    found = cause.reason.__cause__
    return isinstance(found, socket.gaierror) and found.errno == socket.EAI_NONAME


def _never_reached(error: requests.RequestException) -> bool:
    """Return whether no connection to the chat was made, so that it cannot have taken anything."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = _cause_of(error)
    if cause is None:
        return False
    if isinstance(cause.reason, SSLError) and cause.reason.args:
        # The certificate is looked at before anything is sent.
        return isinstance(cause.reason.args[0], SSLCertVerificationError)
    return isinstance(cause.reason, NewConnectionError)
