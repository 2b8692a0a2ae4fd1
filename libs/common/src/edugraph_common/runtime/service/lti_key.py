"""The private key with which EduGraph signs what it sends to learning platforms by LTI 1.3."""

import hmac
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

ALGORITHM = "RS256"
LEAST_BITS = 2_048


class LtiKey:
    """A private RSA key, from its PEM. Raises ValueError for anything else. The message quotes no part of the PEM."""

    def __init__(self, pem: str) -> None:
        try:
            self._key = RSAKey.import_key(pem)
        except (JoseError, ValueError, TypeError):
            raise ValueError("must be the PEM of a private RSA key") from None
        if not self._key.is_private or self._key.raw_value.key_size < LEAST_BITS:
            raise ValueError(
                f"must be the PEM of a private RSA key of at least {LEAST_BITS:,} bits"
            )
        self._key.ensure_kid()
        self._secret = self._key.as_pem(private=True)

    def public(self) -> Any:
        """Return the key set that platforms fetch."""
        return KeySet([self._key]).as_dict(private=False, use="sig", alg=ALGORITHM)

    def keyed_hash(self, text: str) -> str:
        """Return a hash of 20 hex digits that nobody without the key can guess a short text, such as an id, from."""
        return hmac.digest(self._secret, text.encode(errors="surrogatepass"), "sha256").hex()[:20]

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": ALGORITHM, "kid": self._key.kid}
        return jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])
