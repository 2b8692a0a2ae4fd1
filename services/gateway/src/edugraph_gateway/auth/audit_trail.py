"""The entries of one request in the audit log: its actions, the personal data that it shows, and its refusal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.audit import Action, Audit
from edugraph_common.runtime.shared_state.callers import Caller

log = structlog.get_logger()


@dataclass(frozen=True)
class AuditTrail:
    """Writes the entries of one request. `purpose` is the header X-Purpose of the client.

    An entry is written before its action or answer. If it raises Retryable, the action or answer must not follow.
    """

    audit: Audit
    purpose: str
    now: Callable[[], datetime]

    def did(
        self, caller: Caller, action: Action, what: str, of: tuple[str, str] | None = None
    ) -> None:
        """Record an action before it is done."""
        self.audit.record(caller.client_id, action, what, self.now(), of=of, purpose=self.purpose)

    @contextmanager
    def doing(self, caller: Caller, action: Action, what: str) -> Iterator[None]:
        """Record an action before it is done, and its failure if it ends in an error."""
        self.did(caller, action, what)
        try:
            yield
        except (Failure, Problem):
            self.failed(caller, action, what)
            raise

    def failed(self, caller: Caller, action: Action, what: str) -> None:
        """Record that an action failed after its start."""
        with suppress(Retryable):
            self.audit.record(
                caller.client_id, action, what, self.now(), outcome="failed", purpose=self.purpose
            )

    def shown(self, caller: Caller, what: str, identifier: str) -> None:
        """Record that personal data will be shown. `what` is the kind of thing."""
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
        """Record a refusal. `route` is the template of the path. If Redis does not answer, the refusal stays."""
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
