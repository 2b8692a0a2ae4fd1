"""A digest as a mail, and its way to the mail server of the school."""

import smtplib
import ssl
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from edugraph_common.runtime.service.metrics import DigestOutcome
from edugraph_insights.digest.lines import Line, Sentences
from edugraph_insights.settings import DigestSettings

TIMEOUT_SECONDS = 30.0
_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Replies of SMTP (RFC 5321): the server has taken the step; the step may be tried again later.
_TAKEN = range(200, 300)
_LATER = range(400, 500)
# Each sign outside ASCII is encoded, since not every server takes eight bits.
_POLICY = SMTP.clone(cte_type="7bit")


class ServerAway(Exception):
    """The mail server cannot be used now. The message says what failed, and nothing of the settings or of a mail."""


def written_mail(
    lines: list[Line],
    *,
    sentences: Sentences,
    course: str,
    sender: str,
    to: str,
    end_link: str,
    message_id: str,
    now: datetime,
    note: str = "",
) -> bytes:
    """Return a mail with these lines, or the last mail, in which the sentence `note` says why there are no more.

    `course` is the name of the course in one line, and `end_link` the address that ends the subscription.
    `message_id` is the same for each try of one mail, so that a receiver may know it again.
    """
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = f"EduGraph <{sender}>"
    mail["To"] = to
    subject = "subject"
    if note:
        subject = "gone.subject"
    mail["Subject"] = sentences.say(subject, course=course)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    # RFC 8058: a mail program may end the subscription with one click.
    mail["List-Unsubscribe"] = f"<{end_link}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    parts = [sentences.say("heading", course=course), ""]
    for number, line in enumerate(lines, start=1):
        parts += [f"{number}. {line.text}", f"   {line.link}", ""]
    if note:
        parts += [sentences.say(note), sentences.say("gone.last"), ""]
    else:
        parts += ["-- ", sentences.say("why"), sentences.say("end", link=end_link), ""]
    mail.set_content("\n".join(parts), cte="base64")
    mail["Content-Language"] = sentences.language
    return mail.as_bytes()


class MailServer:
    """A connection to the mail server, made when it is needed."""

    def __init__(self, settings: DigestSettings) -> None:
        self._settings = settings
        self._connection: smtplib.SMTP | None = None

    def make_ready(self) -> None:
        """Connect, or find that the connection still works. Raises ServerAway."""
        if self._connection is not None:
            with suppress(OSError, smtplib.SMTPException):
                code, _ = self._connection.noop()
                if code in _TAKEN:
                    return
            self.close()
        try:
            self._connection = connected(self._settings)
        except smtplib.SMTPResponseException as error:
            raise ServerAway(f"the mail server answered {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise ServerAway(f"no connection to the mail server: {type(error).__name__}") from None

    def hand_over(self, to: str, mail: bytes) -> DigestOutcome:
        """Hand a mail over to the server, and return what became of it. `make_ready` comes before.

        The mail counts as unknown if the connection ends once the server has been asked to take the text.
        """
        connection = self._connection
        if connection is None:
            return "postponed"
        try:
            code, _ = connection.mail(self._settings.smtp_from)
            if code in _TAKEN:
                code, _ = connection.rcpt(to)
            if code not in _TAKEN:
                self._reset()
                return _refusal(code)
        except (OSError, smtplib.SMTPException):
            # No text was sent yet.
            self.close()
            return "postponed"
        try:
            code, _ = connection.data(mail)
        except smtplib.SMTPDataError as error:
            # The server refused before the text was sent.
            self._reset()
            return _refusal(error.smtp_code)
        except (OSError, smtplib.SMTPException):
            self.close()
            return "unknown"
        if code in _TAKEN:
            return "sent"
        self._reset()
        return _refusal(code)

    def _reset(self) -> None:
        """Make the connection ready for the next mail, or close it."""
        if self._connection is None:
            return
        try:
            self._connection.rset()
        except (OSError, smtplib.SMTPException):
            self.close()

    def close(self) -> None:
        connection = self._connection
        self._connection = None
        if connection is not None:
            with suppress(OSError, smtplib.SMTPException):
                connection.quit()
            connection.close()


def connected(settings: DigestSettings) -> smtplib.SMTP:
    """Return a connection that is encrypted and logged in. Raises OSError and smtplib.SMTPException.

    On the loopback a server without STARTTLS is accepted.
    """
    parts = urlsplit(settings.server_url)
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    trusted = ssl.create_default_context()
    if parts.scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port, timeout=TIMEOUT_SECONDS, context=trusted
        )
    else:
        connection = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.ehlo_or_helo_if_needed()
        is_open = parts.scheme == "smtp"
        needs_no_tls = host in _LOOPBACK and not connection.has_extn("starttls")
        if is_open and not needs_no_tls:
            connection.starttls(context=trusted)
            connection.ehlo_or_helo_if_needed()
        if parts.username:
            connection.login(unquote(parts.username), unquote(parts.password or ""))
    except (OSError, smtplib.SMTPException):
        connection.close()
        raise
    return connection


def _refusal(code: int) -> DigestOutcome:
    if code in _LATER:
        return "postponed"
    return "refused"
