"""The public keys with which an issuer of tokens signs. They are fetched once and cached.

An unknown key id may be new, so the keys are then fetched again, but at most once in 30 seconds, because anybody can
invent key ids. A fetch is limited in time and size, because a request of a person waits for it.
"""

import json
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from edugraph_common.contracts.errors import Retryable

KEYS_LIFETIME_SECONDS = 3_600.0
REFETCH_AFTER_SECONDS = 30.0
RETRY_AFTER_SECONDS = 5.0  # after the issuer did not answer
FETCH_TIMEOUT_SECONDS = 0.9  # for the whole answer to one request
MOST_BYTES = 256 * 1024  # of one answer; the keys of the large platforms have some 10 KiB
MAX_TOKEN_LENGTH = 16_384
LEEWAY_SECONDS = 30  # the allowed difference between clocks


class SigningKeys:
    """The keys of one issuer. `load` fetches them; it raises httpx.HTTPError or ValueError.

    `whose` names the issuer in the reason of a Retryable.
    """

    def __init__(
        self,
        load: Callable[[], KeySet],
        whose: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._whose = whose
        self._clock = clock
        self._fetching = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched_at = -KEYS_LIFETIME_SECONDS
        self._tried_at = -REFETCH_AFTER_SECONDS

    def known(self, key_id: str) -> KeySet | None:
        """Return the cached keys if they are fresh and hold this one, else None. The call never waits."""
        if not self._has_fresh(key_id):
            return None
        return self._keys

    def need(self, key_id: str) -> None:
        """Fetch the keys if this one is not among fresh ones.

        Raises Retryable if keys are missing and cannot be fetched.
        """
        if self._has_fresh(key_id):
            return
        with self._fetching:
            if self._has_fresh(key_id):
                return
            if self._clock() - self._tried_at < REFETCH_AFTER_SECONDS:
                if self._keys is None:
                    # Without keys the token cannot be called invalid.
                    raise Retryable(f"{self._whose} has not given its keys")
                return
            self._tried_at = self._clock()
            try:
                self._keys = self._load()
                self._fetched_at = self._clock()
            except (httpx.HTTPError, ValueError, KeyError, TypeError, JoseError) as error:
                self._tried_at = self._clock() - REFETCH_AFTER_SECONDS + RETRY_AFTER_SECONDS
                if not self._has(key_id):
                    raise Retryable(
                        f"{self._whose} does not give its keys ({type(error).__name__})"
                    ) from error
                # While the issuer is away, tokens with a known key are still accepted.
                self._fetched_at = self._clock() - KEYS_LIFETIME_SECONDS + RETRY_AFTER_SECONDS

    def _has_fresh(self, key_id: str) -> bool:
        return self._clock() - self._fetched_at < KEYS_LIFETIME_SECONDS and self._has(key_id)

    def _has(self, key_id: str) -> bool:
        return self._keys is not None and any(key.kid == key_id for key in self._keys.keys)


def key_id_of(token: str, algorithms: Collection[str]) -> str | None:
    """Return the key id of a token, empty if it has none, or None if the token is not one that we accept."""
    if len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        return None
    key_id = header.get("kid", "")
    if header.get("alg") not in algorithms or not isinstance(key_id, str):
        return None
    return key_id


def signed_claims(
    token: str,
    key_set: KeySet,
    registry: jws.JWSRegistry,
    *,
    issuer: str,
    audience: str,
    now: datetime,
    with_end: bool = True,
) -> dict[str, Any]:
    """Return the claims of a token that one of these keys signed for this audience.

    Without `with_end` the end of the token does not count. Raises JoseError or ValueError for any other token.
    """
    rules = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )
    claims = jwt.decode(token, key_set, registry=registry).claims
    checked = dict(claims)
    if not with_end:
        checked["exp"] = int(now.timestamp()) + LEEWAY_SECONDS
    rules.validate(checked)
    return claims


def fetched_json(url: str) -> Any:
    """Return the JSON at an address. Raises httpx.HTTPError, and ValueError for too large an answer or no JSON."""
    deadline = time.monotonic() + FETCH_TIMEOUT_SECONDS
    body = bytearray()
    # A compressed answer could become much larger than what was received, so none is asked for or unpacked.
    headers = {"Accept-Encoding": "identity"}
    with httpx.stream("GET", url, headers=headers, timeout=FETCH_TIMEOUT_SECONDS) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ValueError(f"the answer has more than {MOST_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout(f"the answer took more than {FETCH_TIMEOUT_SECONDS:g} s")
    return json.loads(bytes(body))
