"""Errors by the reaction that they call for. Vendors' exceptions are translated into them at the edge only."""

import ssl
from collections.abc import Iterator
from typing import ClassVar, Literal

# A worker's servers, except the broker: without the broker a worker gets no task, so no task can report it.
Server = Literal["redis", "neo4j", "blobs"]
# Why a server cannot be used: it does not answer, it refuses the login or a permission, or its certificate is bad.
Cause = Literal["away", "refused", "certificate"]
# The reasons why a task waits, as the metric of waiting tasks names them.
Awaited = Literal["other work", "server", "room in a queue", "schema version", "provider", "budget"]


class Failure(Exception):
    """The base class of Retryable, Wait and Rejected.

    `reason` is a text for people. It must never hold the text of a record or a name.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retryable(Failure):
    """The operation may succeed if it is tried again: network error, time-out, database unavailable, HTTP 5xx."""


class Wait(Failure):
    """The operation can be tried again after `seconds`. Waiting does not use up a retry."""

    awaited: ClassVar[Awaited] = "other work"

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds

    def __reduce__(self) -> tuple[type["Wait"], tuple[str, float]]:
        return type(self), (self.reason, self.seconds)


class QueueFull(Wait):
    """A queue has no room for the message. The broker did not accept it."""

    awaited: ClassVar[Awaited] = "room in a queue"

    def __init__(self, reason: str = "a queue of the broker is full", seconds: float = 15) -> None:
        super().__init__(reason, seconds)


class RedisFull(Wait):
    """Redis has reached its memory limit. It answers reads and refuses writes."""

    awaited: ClassVar[Awaited] = "server"

    def __init__(
        self, reason: str = "Redis is full: give it more memory", seconds: float = 15
    ) -> None:
        super().__init__(reason, seconds)


class ServerAway(Wait):
    """The worker cannot use a server, whatever the message is. It takes no more messages until it can."""

    awaited: ClassVar[Awaited] = "server"

    def __init__(
        self, reason: str, server: Server, cause: Cause = "away", seconds: float = 15
    ) -> None:
        super().__init__(reason, seconds)
        self.server: Server = server
        self.cause: Cause = cause

    def __reduce__(self) -> tuple[type["ServerAway"], tuple[str, Server, Cause, float]]:  # type: ignore[override]
        return type(self), (self.reason, self.server, self.cause, self.seconds)


class ProviderBusy(Wait):
    """The provider of the model gets no requests now: its rate limit is used up, or it failed too often."""

    awaited: ClassVar[Awaited] = "provider"


class BudgetSpent(Wait):
    """The budget of the job or the share of live texts is spent, or the requests under way may spend it."""

    awaited: ClassVar[Awaited] = "budget"


class OtherVersion(Wait):
    """Stored data have another schema version than this release writes. `version` is the stored version."""

    awaited: ClassVar[Awaited] = "schema version"

    def __init__(self, reason: str, version: int, seconds: float = 30.0) -> None:
        super().__init__(reason, seconds)
        self.version = version

    def __reduce__(self) -> tuple[type["OtherVersion"], tuple[str, int, float]]:  # type: ignore[override]
        return type(self), (self.reason, self.version, self.seconds)


class Rejected(Failure):
    """The operation fails each time: the message is malformed, invalid or refused. It becomes a dead letter."""


class Refused(Rejected):
    """The whole job cannot be done, because of a key, an account or a setting. The job ends with the reason."""


def what(error: BaseException) -> str:
    """Return the type of a vendor's error, or why a certificate was refused. The error's own text is left out."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate was refused: {cause.verify_message.rstrip('.')}; see SSL_CERT_FILE"
    return type(error).__name__


def cause_of(error: BaseException) -> Cause:
    """Return "certificate" if the error comes from a refused certificate of the server, else "away"."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "certificate"
    return "away"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its causes and the exceptions inside it. Pika's errors have `exceptions` or an `exception`."""
    waiting = [error]
    seen = set[int]()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inside = (*found.args, *getattr(found, "exceptions", ()), getattr(found, "exception", None))
        for each in (*inside, found.__cause__, found.__context__):
            if isinstance(each, BaseException):
                waiting.append(each)
