"""Acceptance numbers. The gateway draws one for each import and each analysis when its request arrives."""

from typing import cast

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.shared_state.job_store import load_script

LAST_NUMBER = "edugraph:acceptance"


class AcceptanceNumbers:
    """Gives numbers that only grow, whichever process asks for them and whatever happens to the clock."""

    def __init__(self, client: "redis.Redis") -> None:
        self._next = load_script(client, "next_acceptance_number")

    def take(self, count: int = 1) -> int:
        """Return the first of the next `count` numbers, in microseconds since 1970.

        Raises Retryable when Redis does not answer.
        """
        with redis_errors():
            return cast("int", self._next([LAST_NUMBER], [count]))
