"""The audit log: who did what that others must see, who read personal data, and who was refused.

It is a Redis stream, whose entries end after a time, and a line of the logger `audit` for each entry. The stream is
for looking things up, the lines are for a store that nobody can change. Keys, jobs and queues stand in it by name.
Students, and whatever was read or refused, stand in it as HMAC: a log must not bring back whom it says was forgotten.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import resources
from typing import Any, Literal, cast

import redis
import structlog

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.platform.settings import AUDIT_RETENTION_DAYS

AUDIT, SECRET = "edugraph:audit", "edugraph:audit-secret"
KEPT = 100_000  # entries
# Of one client's CAPPED in a day, and of all unknown ones together: nobody pushes the entries of others out.
MOST_READS_AND_REFUSALS = 1_000
CAPPED = ("session.begin", "personal.read", "refused")
PAGE = 500  # entries
Action = Literal[
    "student.forget",
    "student.export",
    "student.restrict",
    "student.lift",
    "student.admit",
    "erasures.replay",
    "dead.replay",
    "dead.drop",
    "graph.rebuild",
    "graph.remove",
    "graph.rename",
    "graph.review",
    "job.cancel",
    "job.delete",
    "job.resume",
    "job.undo",
    "key.create",
    "key.grant",
    "key.revoke",
    "session.begin",
    "personal.read",
    "refused",
    "capped",
]
Outcome = Literal["accepted", "failed", "shown", "refused"]
log = structlog.get_logger("audit")


class Entry(MessageModel):
    """`outcome` is "accepted" for what was begun; an entry that says "failed" follows where it then was not done.

    `what` names no person. `object` is the HMAC of what was read, refused or forgotten. `purpose` is what the client
    says of it.
    """

    time: datetime
    who: str
    action: str
    what: str
    outcome: str = "accepted"
    object: str = ""
    purpose: str = ""


class Audit:
    """Raises Retryable when Redis does not answer: what cannot be written down is not done.

    Without a `secret` the objects are keyed with a random one that Redis keeps.
    """

    def __init__(
        self, client: "redis.Redis", secret: str | None = None, retention_days: int = AUDIT_RETENTION_DAYS
    ) -> None:
        self._redis, self._secret, self._kept = client, secret, timedelta(days=retention_days)
        script = resources.files("edugraph_common.platform").joinpath("scripts", "note_in_audit.lua").read_text()
        self._note = client.register_script(script)

    def record(
        self,
        who: str,
        action: Action,
        what: str,
        now: datetime,
        *,
        outcome: Outcome = "accepted",
        of: tuple[str, str] | None = None,
        purpose: str = "",
    ) -> None:
        """Write an entry. `of` is the kind and the id of what was read, refused or forgotten."""
        keyed = self.object_of(*of) if of else ""
        entry = Entry(
            time=now, who=who, action=action, what=what, outcome=outcome, object=keyed, purpose=purpose
        ).model_dump(mode="json")
        keys = [AUDIT, f"edugraph:audit-count:{who}:{now:%F}"]
        most = MOST_READS_AND_REFUSALS if action in CAPPED else 0
        first = int((now - self._kept).timestamp() * 1_000)
        with redis_errors():
            kept = self._note(keys, [most, KEPT, first, *(part for field in entry.items() for part in field)])
        log.info("audit", **{name: value for name, value in entry.items() if name != "time"}, in_redis=bool(kept))

    def object_of(self, kind: str, identifier: str) -> str:
        """Return 32 hex digits, the same for the same object of one installation."""
        if self._secret is None:
            with redis_errors():
                self._redis.set(SECRET, secrets.token_hex(32), nx=True)
                self._secret = cast("str", self._redis.get(SECRET))
        return hmac.new(self._secret.encode(), f"{kind}:{identifier}".encode(), hashlib.sha256).hexdigest()[:32]

    def about(self, kind: str, identifier: str) -> Iterator[Entry]:
        """Yield the entries whose object this is, the newest first."""
        keyed = self.object_of(kind, identifier)
        return (entry for entry in self.newest() if entry.object == keyed)

    def newest(self) -> Iterator[Entry]:
        """Yield all entries that are there, the newest first."""
        before = "+"
        while True:
            with redis_errors():
                found = cast("list[tuple[str, dict[str, Any]]]", self._redis.xrevrange(AUDIT, before, count=PAGE))
            for _, fields in found:
                yield Entry.model_validate(fields)
            if len(found) < PAGE:
                return
            before = f"({found[-1][0]}"
