"""Before every operation: is the caller known, do they have the scope, and is their rate limit kept."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from weakref import WeakValueDictionary

from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.permissions import Scope
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller, KeyRing
from edugraph_common.runtime.shared_state.oidc import Issuer, keeper_of
from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter
from edugraph_common.runtime.shared_state.sessions import Sessions, not_known
from edugraph_gateway.deadlines import in_time

TIMEOUT_SECONDS = 2.0
LOOKUP_THREADS = 40  # callers that are looked up side by side


class Admission:
    """Belongs to one event loop. Without `require_key` everybody has all scopes.

    `issuer` and `sessions` are None without OIDC.
    """

    def __init__(
        self,
        key_ring: KeyRing,
        issuer: Issuer | None,
        rate_limiter: RateLimiter,
        now: Callable[[], datetime],
        *,
        require_key: bool,
        sessions: Sessions | None = None,
    ) -> None:
        self._key_ring = key_ring
        self._issuer = issuer
        self._rate_limiter = rate_limiter
        self._now = now
        self._require_key = require_key
        self._sessions = sessions
        self._threads = CapacityLimiter(LOOKUP_THREADS)
        self._lookups: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, token: str, *any_of: Scope) -> Caller:
        """Admit who has one of these scopes.

        Raises Problem 401, 403 or 429, and Retryable when the caller cannot be looked up in time.
        """
        remembered = self._remembered(token, any_of)
        if remembered is not None:
            return remembered
        try:
            # One request of a caller asks at a time: what it brings may be enough for those that waited.
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._lookups.setdefault(token, asyncio.Lock()),
            ):
                remembered = self._remembered(token, any_of)
                if remembered is not None:
                    return remembered
                return await in_time(
                    lambda: self._look_up(token, any_of), TIMEOUT_SECONDS, self._threads
                )
        except TimeoutError:
            raise Retryable(
                f"the caller could not be looked up within {TIMEOUT_SECONDS:g} s"
            ) from None

    async def admit_signed(self, sender: Caller) -> None:
        """Admit a sender whose signature was right. Raises Problem 429, and Retryable without Redis."""
        if not self._rate_limiter.spend(sender.client_id):
            await in_time(lambda: self._take_turn(sender), TIMEOUT_SECONDS, self._threads)

    async def holds(self, token: str, *any_of: Scope) -> bool:
        """Whether a caller who was admitted still would be: the key is not revoked, the token not run out.

        A Redis that is away changes nothing: nobody is turned out because of it.
        """
        if not self._require_key:
            return True
        with suppress(Retryable):
            keeper = self._keeper(token)
            now = self._now()
            caller = keeper.remembered(token, now) or await in_time(
                lambda: keeper.caller(token, now), TIMEOUT_SECONDS, self._threads
            )
            return caller is not None and caller.may(*any_of)
        return True

    def _remembered(self, token: str, any_of: Sequence[Scope]) -> Caller | None:
        """Return a caller who was here a moment ago and has a request left. It asks no server."""
        caller: Caller | None = ANYBODY
        if self._require_key:
            caller = self._keeper(token).remembered(token, self._now())
        if caller is None or not caller.may(*any_of):
            return None
        if not self._rate_limiter.spend(caller.client_id):
            return None
        return caller

    def _look_up(self, token: str, any_of: Sequence[Scope]) -> Caller:
        caller: Caller | None = None
        if not self._require_key:
            caller = ANYBODY
        elif token:
            caller = self._keeper(token).caller(token, self._now())
        if caller is None:
            words = "No valid API key: send Authorization: Bearer with one. Make one: edugraph keys create"
            raise not_known(token, f"{words} (the bootstrap key ends with the first).")
        if not caller.may(*any_of):
            raise missing_scope(caller, *any_of)
        self._take_turn(caller)
        return caller

    def _take_turn(self, caller: Caller) -> None:
        """Raise Problem 429 if the caller has sent as many requests as they may, and Retryable."""
        wait_seconds = self._rate_limiter.take(caller.client_id)
        if wait_seconds:
            words = "More requests than this client may send; slow down."
            raise Problem(429, "rate", words, retry_after=wait_seconds)

    def _keeper(self, token: str) -> KeyRing | Issuer | Sessions:
        return keeper_of(token, self._key_ring, self._issuer, self._sessions)


def missing_scope(caller: Caller, *any_of: Scope) -> Refusal:
    words = f"This needs the scope {' or '.join(any_of)}, which your key, token or account has not."
    return Refusal(403, "scope", words, caller.client_id)
