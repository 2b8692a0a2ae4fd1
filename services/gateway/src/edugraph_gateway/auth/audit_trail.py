"""What one request leaves in the audit log: what it did, which personal data it was shown, that it was refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.platform.audit import Action, Audit
from edugraph_common.platform.callers import Caller
from edugraph_common.platform.problems import Problem, Refusal

log = structlog.get_logger()


@dataclass(frozen=True)
class AuditTrail:
    """`purpose` is what the client gave as X-Purpose.

    What comes before an action or an answer raises Retryable; then there must be neither.
    """

    audit: Audit
    purpose: str
    now: Callable[[], datetime]

    def did(self, caller: Caller, action: Action, what: str, of: tuple[str, str] | None = None) -> None:
        """Write down what is about to be done."""
        self.audit.record(caller.client_id, action, what, self.now(), of=of, purpose=self.purpose)

    @contextmanager
    def doing(self, caller: Caller, action: Action, what: str) -> Iterator[None]:
        """Write down what is about to be done; and that it was not, if it ends in an error."""
        self.did(caller, action, what)
        try:
            yield
        except (Failure, Problem):
            self.failed(caller, action, what)
            raise

    def failed(self, caller: Caller, action: Action, what: str) -> None:
        """Write down that what was begun was not done."""
        with suppress(Retryable):
            self.audit.record(caller.client_id, action, what, self.now(), outcome="failed", purpose=self.purpose)

    def shown(self, caller: Caller, what: str, identifier: str) -> None:
        """Write down that personal data is about to be shown. `what` is the kind of thing."""
        self.audit.record(
            caller.client_id,
            "personal.read",
            what,
            self.now(),
            outcome="shown",
            of=(what, identifier),
            purpose=self.purpose,
        )

    def refused(self, refusal: Refusal, method: str, route: str, path: str) -> None:
        """`route` is the template of the path. A Redis that is away lets nobody in: the answer stays no."""
        try:
            self.audit.record(
                refusal.actor,
                "refused",
                f"{method} {route}",
                self.now(),
                outcome="refused",
                of=("address", f"{method} {path}"),
                purpose=self.purpose,
            )
        except Retryable as away:
            log.warning("refusal_not_in_audit", reason=away.reason)
