"""Errors that say what to do. Vendors' exceptions become one of these at the edge, nowhere else."""

import ssl
from collections.abc import Iterator
from typing import ClassVar, Literal

# A worker's servers, except the broker, without which it hears of no task.
Server = Literal["redis", "neo4j", "blobs"]
# Why a server cannot be used: it does not answer, it refuses the login or a permission, or its certificate is bad.
Cause = Literal["away", "refused", "certificate"]
# What a task waits for, in the metric of waiting tasks.
Awaited = Literal["other work", "server", "room in a queue", "schema version", "provider", "budget"]


class Failure(Exception):
    """Base of the three kinds. `reason` is for people and must never hold a record's text or a name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retryable(Failure):
    """Trying again may help: network, time-out, database unavailable, 5xx."""


class Wait(Failure):
    """Not now: the provider or the limiter says when. Uses none of the retries."""

    awaited: ClassVar[Awaited] = "other work"

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds

    def __reduce__(self) -> tuple[type["Wait"], tuple[str, float]]:
        return type(self), (self.reason, self.seconds)


class QueueFull(Wait):
    """A queue has no room for the message. Nothing was taken."""

    awaited: ClassVar[Awaited] = "room in a queue"

    def __init__(self, reason: str = "a queue of the broker is full", seconds: float = 15) -> None:
        super().__init__(reason, seconds)


class RedisFull(Wait):
    """Redis has used all the memory that it may. It answers what it knows, and takes nothing more."""

    awaited: ClassVar[Awaited] = "server"

    def __init__(self, reason: str = "Redis is full: give it more memory", seconds: float = 15) -> None:
        super().__init__(reason, seconds)


class ServerAway(Wait):
    """A server cannot be used by this worker, whatever the message. The worker takes no more messages meanwhile."""

    awaited: ClassVar[Awaited] = "server"

    def __init__(self, reason: str, server: Server, cause: Cause = "away", seconds: float = 15) -> None:
        super().__init__(reason, seconds)
        self.server: Server = server
        self.cause: Cause = cause

    def __reduce__(self) -> tuple[type["ServerAway"], tuple[str, Server, Cause, float]]:  # type: ignore[override]
        return type(self), (self.reason, self.server, self.cause, self.seconds)


class ProviderBusy(Wait):
    """The model's provider takes no request now: its limit is used up, or it failed too often."""

    awaited: ClassVar[Awaited] = "provider"


class BudgetSpent(Wait):
    """The job's budget is spent, or may be by the requests that are under way."""

    awaited: ClassVar[Awaited] = "budget"


class OtherVersion(Wait):
    """What is stored has another schema version than this release writes. `version` is the stored one."""

    awaited: ClassVar[Awaited] = "schema version"

    def __init__(self, reason: str, version: int, seconds: float = 30.0) -> None:
        super().__init__(reason, seconds)
        self.version = version

    def __reduce__(self) -> tuple[type["OtherVersion"], tuple[str, int, float]]:  # type: ignore[override]
        return type(self), (self.reason, self.version, self.seconds)


class Rejected(Failure):
    """Trying again cannot help: malformed, invalid, refused. Dead-lettered with the reason."""


class Refused(Rejected):
    """Nothing of the job can be done: a key, an account or a setting is at fault. The job ends with the reason."""


def what(error: BaseException) -> str:
    """A vendor's error, for a reason: its kind, and never its text, or why a certificate was refused."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate was refused: {cause.verify_message.rstrip('.')}; see SSL_CERT_FILE"
    return type(error).__name__


def cause_of(error: BaseException) -> Cause:
    """Return whether a server that does not answer is away, or shows a certificate that is refused."""
    refused = any(isinstance(each, ssl.SSLCertVerificationError) for each in _causes(error))
    return "certificate" if refused else "away"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Itself, what it came of, and what it holds: pika's errors have `exceptions` or an `exception`."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop()
        if id(found) not in seen:
            seen.add(id(found))
            yield found
            held = (*found.args, *getattr(found, "exceptions", ()), getattr(found, "exception", None))
            came_of = (found.__cause__, found.__context__)
            waiting += [each for each in (*held, *came_of) if isinstance(each, BaseException)]
