"""Acceptance numbers: each import and each analysis gets one when its request arrives."""

from typing import cast

import redis

from edugraph_common.platform.job_store import load_script
from edugraph_common.platform.redis_errors import redis_errors

LAST_NUMBER = "edugraph:acceptance"


class AcceptanceNumbers:
    """Gives numbers that only grow, whichever process asks for them and whatever happens to the clock."""

    def __init__(self, client: "redis.Redis") -> None:
        self._next = load_script(client, "next_acceptance_number")

    def take(self) -> int:
        """Return the next number, in microseconds since 1970. Raises Retryable when Redis does not answer."""
        with redis_errors():
            return cast("int", self._next([LAST_NUMBER]))
