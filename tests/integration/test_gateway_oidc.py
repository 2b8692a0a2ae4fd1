"""Access tokens of an OpenID Connect issuer, which runs in the test: what is let in, and all that is not."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from beside import Silent, http_server
from gateway_alone import RECORD, Gateway, api_key, gateway, virtual_host
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

pytestmark = pytest.mark.real
AUDIENCE = "edugraph"


@dataclass
class Issuer:
    url: str
    keys: list[Any] = field(
        default_factory=lambda: [RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})]
    )
    asked: list[str] = field(default_factory=list)

    def token(self, key: Any = None, alg: str = "RS256", **claims: Any) -> str:
        """`exp` and `nbf` are seconds from now."""
        key = key or self.keys[0]
        now = int(time.time())
        claims |= {
            name: now + claims[name] for name in ("exp", "nbf") if isinstance(claims.get(name), int)
        }
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "teacher-1", "exp": now + 300, "iat": now}
        given = {"scope": "openid edugraph:read", **usual, **claims}
        wanted = {name: value for name, value in given.items() if value is not None}
        return jwt.encode({"alg": alg, "kid": key.kid}, wanted, key, algorithms=[alg])


@contextmanager
def _issuer() -> Iterator[Issuer]:
    issuer = Issuer("")

    class Handler(Silent):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
            issuer.asked.append(self.path)
            described = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
            body = KeySet(issuer.keys).as_dict(private=False) if self.path == "/keys" else described
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    with http_server(Handler) as url:
        issuer.url = url
        yield issuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with _issuer() as running:
        yield running


@pytest.fixture(scope="module")
def guarded(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {"auth": "on", "oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
    with (
        virtual_host() as addresses,
        gateway(addresses, tmp_path_factory.mktemp("oidc"), **settings) as running,
    ):
        yield running


def _get(guarded: Gateway, token: str) -> httpx.Response:
    return httpx.get(
        f"{guarded.url}/v1/jobs", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )


def test_a_token_does_what_its_scopes_say_and_the_keys_are_fetched_once(
    guarded: Gateway, issuer: Issuer
) -> None:
    token = issuer.token()
    assert [_get(guarded, token).status_code for _ in range(20)] == [200] * 20
    refused = httpx.post(
        f"{guarded.url}/v1/imports",
        json={"records": [RECORD]},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:edugraph:problem:scope")
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    assert token not in guarded.log.read_text()


@pytest.mark.parametrize(
    "claims",
    [{"aud": ["other", AUDIENCE]}, {"scope": ["edugraph:read"]}, {"exp": -10}],
    ids=["one of several audiences", "scopes as a list", "within the leeway"],
)
def test_other_good_forms_of_a_token(
    guarded: Gateway, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert _get(guarded, issuer.token(**claims)).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"exp": -120},
        {"exp": None},
        {"exp": "never"},
        {"nbf": 600},
        {"sub": None},
        {"sub": "a\nb"},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_us_or_not_for_now_is_401(
    guarded: Gateway, issuer: Issuer, claims: dict[str, Any]
) -> None:
    answer = _get(guarded, issuer.token(**claims))
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_without_our_scopes_may_nothing(guarded: Gateway, issuer: Issuer) -> None:
    for scope in ("read", "", None, {"edugraph:read": 1}, "edugraph:reader"):
        assert _get(guarded, issuer.token(scope=scope)).status_code == 403


def test_a_forged_token_is_401(guarded: Gateway, issuer: Issuer) -> None:
    good = issuer.token()
    head, body, signature = good.split(".")
    unsigned = _part({"alg": "none", "kid": "one"})
    public = issuer.keys[0].as_pem(private=False)
    symmetric = _part({"alg": "HS256", "kid": "one"})
    mac = hmac.digest(public, f"{symmetric}.{body}".encode(), "sha256")
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    forged = [
        f"{unsigned}.{body}.",
        f"{unsigned}.{body}.{signature}",
        f"{symmetric}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        issuer.token(stranger),
        f"{head}.{_part({'iss': issuer.url, 'aud': AUDIENCE, 'sub': 'x', 'exp': 9e9, 'scope': 'edugraph:erase'})}.{signature}",
        f"{head}.{body}.",
        "a.b.c",
        "." * 20_000,
    ]
    assert [_get(guarded, token).status_code for token in forged] == [401] * len(forged)


def test_new_keys_are_fetched_but_not_at_every_strangers_wish(
    guarded: Gateway, issuer: Issuer
) -> None:
    _get(guarded, issuer.token())
    asked = len(issuer.asked)
    for number in range(20):
        assert (
            _get(
                guarded, issuer.token(RSAKey.generate_key(2048, {"kid": f"made-up-{number}"}))
            ).status_code
            == 401
        )
    assert len(issuer.asked) <= asked + 2


def test_api_keys_work_beside_it(guarded: Gateway) -> None:
    assert (
        httpx.get(
            f"{guarded.url}/v1/jobs", headers=api_key(guarded.environment, "read")
        ).status_code
        == 200
    )


def test_a_key_of_another_kind(tmp_path_factory: pytest.TempPathFactory) -> None:
    with _issuer() as issuer, virtual_host() as addresses:
        issuer.keys.append(ECKey.generate_key("P-256", {"kid": "two", "use": "sig"}))
        settings = {"auth": "on", "oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
        with gateway(addresses, tmp_path_factory.mktemp("oidc"), **settings) as running:
            assert _get(running, issuer.token(issuer.keys[1], "ES256")).status_code == 200


def test_while_the_issuer_is_away_nobody_is_let_in_and_it_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with _issuer() as issuer:
        token = issuer.token()
    settings = {"auth": "on", "oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
    with (
        virtual_host() as addresses,
        gateway(addresses, tmp_path_factory.mktemp("oidc"), **settings) as running,
    ):
        answer = _get(running, token)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert "issuer" in answer.json()["detail"]


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
