"""Errors that say what to do. Vendors' exceptions become one of these at the edge, nowhere else."""


class Failure(Exception):
    """Base of the three kinds. `reason` is for people and must never hold a record's text or a name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retryable(Failure):
    """Trying again may help: network, time-out, database unavailable, 5xx."""


class Wait(Failure):
    """Not now: the provider or the limiter says when. Uses none of the retries."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds

    def __reduce__(self) -> tuple[type["Wait"], tuple[str, float]]:
        return type(self), (self.reason, self.seconds)


class Rejected(Failure):
    """Trying again cannot help: malformed, invalid, refused. Dead-lettered with the reason."""
