"""The audit log: who did what that cannot be undone, or that others must see. A Redis stream and a log line.

It names keys, jobs and tasks, and students only as hashes: a log must not bring back whom it says was forgotten.
"""

import hashlib
from datetime import datetime
from typing import Any, Literal

import redis
import structlog

from edugraph_common.platform.redis_errors import redis_errors

AUDIT = "edugraph:audit"
KEPT = 100_000  # entries
Action = Literal[
    "student.forget",
    "student.admit",
    "erasures.replay",
    "dead.replay",
    "dead.drop",
    "graph.rebuild",
    "job.cancel",
    "job.resume",
    "key.create",
    "key.revoke",
]
log = structlog.get_logger("audit")


class Audit:
    """Raises Retryable when Redis does not answer: what cannot be written down is not done."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def record(self, who: str, action: Action, what: str, now: datetime) -> None:
        entry: dict[Any, Any] = {"time": now.isoformat(), "who": who, "action": action, "what": what}
        with redis_errors():
            self._redis.xadd(AUDIT, entry, maxlen=KEPT, approximate=True)
        log.info("audit", who=who, action=action, what=what)


def pseudonym(student_id: str) -> str:
    """The same student always has the same one."""
    return hashlib.sha256(student_id.encode()).hexdigest()[:16]
