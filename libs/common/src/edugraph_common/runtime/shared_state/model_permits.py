"""Permits to let a model write a draft or choose a question: insights gives them, gateway and analyzer ask for them.

Insights knows which records a caller may see, and gives a permit for exactly these records. The records themselves
travel with the request. An erasure of one of the students ends the permit, so that no draft about the student is kept
(docs/adr/0150). The text of a question in words has such a permit, too, so that no text reaches a model whose names
insights did not replace (docs/adr/0154). The keys in Redis and the route of insights have kept the name of drafts.
"""

import hashlib
import json
from datetime import timedelta
from typing import Protocol

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.shared_state.callers import Caller

# A caller asks at once, and work that waits for the provider is given up before this time is over.
PERMIT_LIFETIME = timedelta(minutes=15)


class Basis(Protocol):
    """A contract that a permit is for: its JSON, and the ids of the students whom it names."""

    @property
    def student_ids(self) -> tuple[str, ...]: ...

    def model_dump_json(self) -> str: ...


class ModelPermits:
    """The permits that are valid now. Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def give(self, caller: Caller, basis: Basis) -> None:
        """Let a caller ask on this basis for some minutes."""
        # An erasure looks for the ids in this field, and empties the object.
        value = json.dumps({"student_ids": list(basis.student_ids)})
        with redis_errors():
            self._redis.set(_key(permit_of(caller, basis)), value, px=PERMIT_LIFETIME)

    def holds(self, permit: str) -> bool:
        """Return whether a permit is valid: it has not expired, and none of its students was erased."""
        with redis_errors():
            value = self._redis.get(_key(permit))
        if value is None:
            return False
        return "student_ids" in json.loads(value)


def permit_of(caller: Caller, basis: Basis) -> str:
    """Return the key of the permit of one caller for one basis. It names nobody."""
    parts = [caller.client_id, caller.person, basis.model_dump_json()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _key(permit: str) -> str:
    return f"edugraph:draft-permit:{permit}"
