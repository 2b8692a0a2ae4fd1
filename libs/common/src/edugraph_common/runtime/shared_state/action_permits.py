"""Permits to write an action about a student: insights gives them, and the gateway asks for them.

Insights reads the graph, and so knows who leads whom. The gateway takes records. A permit in Redis carries the answer
of the one to the other (docs/adr/0136). It is valid for one caller, person, student and course.
"""

import hashlib
import json
from datetime import timedelta

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.shared_state.callers import Caller

# A teacher writes a note in this time. It is also how long a right lasts after it was taken away.
PERMIT_LIFETIME = timedelta(minutes=5)


class ActionPermits:
    """The permits that are valid now. Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def give(self, caller: Caller, student: str, course: str) -> None:
        """Let a caller write actions about a student in a course for a few minutes."""
        with redis_errors():
            self._redis.set(_key(caller, student, course), "1", px=PERMIT_LIFETIME)

    def has(self, caller: Caller, student: str, course: str) -> bool:
        """Return whether the caller may write actions about this student in this course."""
        with redis_errors():
            return bool(self._redis.exists(_key(caller, student, course)))


def _key(caller: Caller, student: str, course: str) -> str:
    parts = [caller.client_id, caller.person, student, course]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"edugraph:action-permit:{digest}"
