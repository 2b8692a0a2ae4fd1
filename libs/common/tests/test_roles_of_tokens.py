"""The roles and the person of an access token: what the issuer put into two claims, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.settings import OidcSettings
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.oidc import Issuer

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://issuer.example"
KEY = ECKey.generate_key("P-256", {"kid": "k"}, private=True)


def caller(**claims: Any) -> Caller | None:
    given = {"iss": URL, "aud": "edugraph", "sub": "u", "exp": int(NOW.timestamp()) + 60, **claims}
    pages = {
        f"{URL}/.well-known/openid-configuration": {"issuer": URL, "jwks_uri": f"{URL}/keys"},
        f"{URL}/keys": {"keys": [KEY.as_dict(private=False)]},
    }
    issuer = Issuer(OidcSettings(oidc_issuer=URL, oidc_audience="edugraph"), pages.__getitem__)
    return issuer.caller(jwt.encode({"alg": "ES256", "kid": "k"}, given, KEY), NOW)


@pytest.mark.parametrize(
    ("claims", "roles", "person"),
    [
        ({"roles": ["edugraph:teacher", "other"], "edugraph_person": "T01"}, ("teacher",), "T01"),
        ({"roles": "edugraph:head edugraph:analyst"}, ("analyst", "head"), None),
        ({"roles": "teacher"}, (), None),  # of another application, without our prefix
        ({"roles": {"edugraph:teacher": True}, "edugraph_person": 7}, (), None),
        ({"scope": "edugraph:teacher edugraph:read", "edugraph_person": ""}, (), None),
        ({}, (), None),
    ],
)
def test_a_token_has_the_roles_and_the_person_of_its_claims(
    claims: dict[str, Any], roles: tuple[str, ...], person: str | None
) -> None:
    """To take the guard out: let `Issuer` take roles without the prefix, or from the scopes."""
    found = caller(**claims)
    assert found is not None
    assert (found.roles, found.person) == (roles, person)


@pytest.mark.parametrize(
    ("claims", "address"),
    [
        ({"email": "a@b.example"}, "a@b.example"),
        ({"email": "a@b.example", "email_verified": True}, "a@b.example"),
        ({"email": "a@b.example", "email_verified": False}, None),
        ({"email": "a@b.example", "email_verified": "true"}, None),
        ({"email": ["a@b.example"]}, None),
        ({}, None),
    ],
)
def test_a_token_has_the_address_that_the_issuer_has_checked(
    claims: dict[str, Any], address: str | None
) -> None:
    """Out: `is_checked` in `_caller_by`. No text of a caller has the address."""
    found = caller(**claims)
    assert found is not None
    assert found.address == address
    assert "b.example" not in repr(found)


@pytest.mark.parametrize(
    "of_others", [{"typ": "ID"}, {"typ": "Refresh"}, {"at_hash": "x"}, {"c_hash": "x"}], ids=str
)
def test_another_token_of_the_issuer_is_no_access_token(of_others: dict[str, Any]) -> None:
    """To take the guard out: `_OTHER_TYPES` or `_OF_ID_TOKENS` in `_caller_by`. The audience may be the same."""
    assert caller(**of_others) is None


def test_an_access_token_of_keycloak_says_that_it_is_one() -> None:
    assert caller(typ="Bearer", nonce="n") is not None


def test_a_token_is_not_refused_while_the_issuer_was_never_there() -> None:
    """Out: `_keys is None` in `_fetch_keys`, so that all tokens are refused between two tries."""
    now = [0.0]
    tries = []

    def away(url: str) -> Any:
        tries.append(url)
        raise httpx.ConnectTimeout("timed out")

    issuer = Issuer(OidcSettings(oidc_issuer=URL, oidc_audience="edugraph"), away, lambda: now[0])
    token = jwt.encode({"alg": "ES256", "kid": "k"}, {"iss": URL}, KEY)
    for second in (0.0, 1.0, 4.0):
        now[0] = second
        with pytest.raises(Retryable):
            issuer.caller(token, NOW)
    assert len(tries) == 1
