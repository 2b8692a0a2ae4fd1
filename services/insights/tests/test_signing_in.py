"""Signing in and out without an issuer: each answer of it that must let nobody in, cookies, CSRF and frames.

`make keycloak-test` does the same with a real one.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey
from made_issuer import SessionRedis

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.shared_state.oidc import Issuer
from edugraph_common.runtime.shared_state.sessions import COOKIE, Sessions
from edugraph_common.runtime.shared_state.signing_keys import LEEWAY_SECONDS
from edugraph_insights.app import make_application
from edugraph_insights.insights import open_insights
from edugraph_insights.login import Login
from edugraph_insights.settings import InsightsSettings

URL, HOME = "https://issuer.example", "https://school.example"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = ECKey.generate_key("P-256", {"kid": "k"}, private=True)
DESCRIBED = {
    "issuer": URL,
    "jwks_uri": f"{URL}/keys",
    "authorization_endpoint": f"{URL}/auth",
    "token_endpoint": f"{URL}/token",
    "end_session_endpoint": f"{URL}/end",
}
SERVERS = {"redis_url": "redis://127.0.0.1:1", "neo4j_uri": "bolt://127.0.0.1:1"}
OIDC = {
    "oidc_issuer": URL,
    "oidc_audience": "edugraph",
    "oidc_client_id": "page",
    "oidc_client_secret": "hidden",
    "oidc_redirect_url": f"{HOME}/ui/callback",
}


@dataclass
class World:
    """An issuer, and insights that know it. `changed` says what is wrong with the tokens, `status` with the answer."""

    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str = ""
    is_away: bool = False
    nonce: str = ""
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    now: datetime = NOW
    redis: SessionRedis = field(default_factory=SessionRedis)
    noted: list[Any] = field(default_factory=list)
    roles: tuple[str, ...] = ("teacher",)
    renews: bool = True

    def token(self, which: str, **claims: Any) -> str:
        now = int(self.now.timestamp())
        usual = {"iss": URL, "sub": "u1", "iat": now, "exp": now + 300, **claims}
        wanted = {
            name: value
            for name, value in (usual | self.changed.get(which, {})).items()
            if value is not None
        }
        return jwt.encode({"alg": "ES256", "kid": "k"}, wanted, KEY)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.is_away:
            raise httpx2.ConnectError("away")
        self.asked.append(parse_qs(request.content.decode()))
        if self.error:
            return httpx2.Response(400, json={"error": self.error})
        roles = [f"edugraph:{role}" for role in self.roles]
        access = self.token("access", aud="edugraph", roles=roles, edugraph_person="T01")
        identity = self.token("id", aud="page", nonce=self.nonce, name="Ada", sid="s1")
        tokens = {"access_token": access, "id_token": identity, "token_type": "Bearer"}
        return httpx2.Response(
            200, json=tokens | ({"refresh_token": "again"} if self.renews else {})
        )

    def record(self, *entry: Any, **_more: Any) -> None:
        self.noted.append(entry[:2])

    def browser(self) -> TestClient:
        settings = InsightsSettings(**SERVERS, **OIDC)
        pages = {
            f"{URL}/.well-known/openid-configuration": DESCRIBED,
            f"{URL}/keys": {"keys": [KEY.as_dict()]},
        }
        issuer = Issuer(settings, pages.__getitem__)
        redis: Any = self.redis
        audit: Any = self
        insights = replace(
            open_insights(settings, now=lambda: self.now),
            issuer=issuer,
            sessions=Sessions(redis, issuer),
            login=Login(settings, issuer, transport=httpx2.MockTransport(self.answer)),
            audit=audit,
            rate_limiter=None,
        )
        return TestClient(make_application(insights), base_url=HOME, follow_redirects=False)

    def at_issuer(self, browser: TestClient) -> dict[str, str]:
        """Go to the issuer; return what it was given."""
        address = browser.get("/ui/login").headers["location"]
        given = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self.nonce = given["nonce"]
        return given

    def sign_in(self, browser: TestClient) -> str:
        """Return where the browser is led to."""
        state = self.at_issuer(browser)["state"]
        answer = browser.get("/ui/callback", params={"code": "c", "state": state})
        return str(answer.headers["location"])


@pytest.fixture
def world() -> World:
    return World()


def test_who_comes_back_with_a_code_has_the_roles_of_the_token(world: World) -> None:
    browser = world.browser()
    given = world.at_issuer(browser)
    assert {
        name: given[name] for name in ("client_id", "redirect_uri", "response_type", "scope")
    } == {
        "client_id": "page",
        "redirect_uri": f"{HOME}/ui/callback",
        "response_type": "code",
        "scope": "openid profile",
    }
    answer = browser.get("/ui/callback", params={"code": "c", "state": given["state"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/")
    [asked] = world.asked
    challenge = (
        urlsafe_b64encode(hashlib.sha256(asked["code_verifier"][0].encode()).digest())
        .rstrip(b"=")
        .decode()
    )
    assert (given["code_challenge"], given["code_challenge_method"]) == (challenge, "S256")
    told = browser.get("/ui/session").json()
    assert (told["state"], told["name"], told["roles"]) == ("in", "Ada", ["teacher"])
    assert {each["name"] for each in browser.get("/v1/insights").json()["questions"]} >= {
        "student",
        "needs-help",
    }
    assert world.noted == [("oidc:u1", "session.begin")]


def test_the_cookies_are_for_no_script_and_for_no_other_site(world: World) -> None:
    browser = world.browser()
    begun = browser.get("/ui/login")
    assert "path=/ui/callback; samesite=lax; secure" in begun.headers["set-cookie"].lower()
    state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
    world.nonce = parse_qs(urlsplit(begun.headers["location"]).query)["nonce"][0]
    ended = browser.get("/ui/callback", params={"code": "c", "state": state})
    session, attempt = (each.lower() for each in ended.headers.get_list("set-cookie"))
    assert session.startswith(COOKIE)
    assert {"httponly", "path=/", "samesite=lax", "secure"} == set(session.split("; ")[1:])
    assert "edugraph_login" in attempt
    assert "max-age=0" in attempt


@pytest.mark.parametrize(
    ("which", "claims", "why"),
    [
        ("access", {"aud": "other"}, "token"),
        ("access", {"iss": "https://elsewhere.example"}, "token"),
        ("access", {"exp": 0}, "token"),
        ("access", {"sub": "u2"}, "stale"),
        ("id", {"aud": "edugraph"}, "token"),
        ("id", {"exp": 0}, "token"),
        ("id", {"nonce": "another"}, "stale"),
        ("id", {"nonce": None}, "stale"),
    ],
    ids=str,
)
def test_a_token_that_is_not_of_this_sign_in_lets_nobody_in(
    world: World, which: str, claims: dict[str, Any], why: str
) -> None:
    """To take the guard out: leave out one of the comparisons of `Login.finish`."""
    world.changed = {which: claims}
    browser = world.browser()
    assert world.sign_in(browser) == f"/ui/#overview?login={why}"
    assert (COOKIE in browser.cookies, world.redis.kept) == (False, {})


def test_an_issuer_that_says_no_or_is_away_lets_nobody_in(world: World) -> None:
    browser = world.browser()
    state = world.at_issuer(browser)["state"]
    denied = browser.get("/ui/callback", params={"error": "access_denied", "state": state})
    assert denied.headers["location"] == "/ui/#overview?login=refused"
    world.error = "invalid_grant"
    assert world.sign_in(browser) == "/ui/#overview?login=refused"
    world.error, world.is_away = "", True
    assert world.sign_in(browser) == "/ui/#overview?login=away"
    assert world.redis.kept == {}


def test_a_code_from_elsewhere_is_not_even_asked_about(world: World) -> None:
    """Somebody could else sign another in as themselves. To take the guard out: drop the comparison of `state`."""
    browser = world.browser()
    assert browser.get("/ui/callback?code=c").headers["location"] == "/ui/#overview?login=stale"
    state = world.at_issuer(browser)["state"]
    for wrong in ("", "x", state[:-1], f"{state}x"):
        world.at_issuer(browser)
        answer = browser.get("/ui/callback", params={"code": "c", "state": wrong})
        assert answer.headers["location"] == "/ui/#overview?login=stale"
    assert world.asked == []


def test_a_sign_in_begins_a_new_session_and_ends_the_old_one(world: World) -> None:
    browser = world.browser()
    browser.cookies.set(COOKIE, "es_planted", domain="school.example")
    world.sign_in(browser)
    first = browser.cookies[COOKIE]
    world.sign_in(browser)
    assert len({first, browser.cookies[COOKIE], "es_planted"}) == 3
    assert len(world.redis.kept) == 1


def test_a_session_ends_and_the_page_is_told_so(world: World) -> None:
    browser = world.browser()
    assert browser.get("/ui/session").json()["state"] == "out"
    world.sign_in(browser)
    world.now += timedelta(minutes=120)
    assert browser.get("/ui/session").json()["state"] == "ended"
    answer = browser.get("/v1/insights/choices")
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:edugraph:problem:session")


def test_signing_out_needs_the_token_and_ends_both_sessions(world: World) -> None:
    """To take the guard out: let `log_out` take the cookie as it is."""
    browser = world.browser()
    world.sign_in(browser)
    csrf = browser.get("/ui/session").json()["csrf"]
    for headers in ({}, {"X-CSRF-Token": csrf[::-1]}):
        refused = browser.post("/ui/logout", headers=headers)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:edugraph:problem:csrf")
    session_id = browser.cookies[COOKIE]
    to = urlsplit(browser.post("/ui/logout", headers={"X-CSRF-Token": csrf}).json()["next"])
    assert f"{to.scheme}://{to.netloc}{to.path}" == f"{URL}/end"
    assert parse_qs(to.query)["post_logout_redirect_uri"] == [f"{HOME}/ui/"]
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, session_id, domain="school.example")  # kept by somebody
    assert browser.get("/v1/insights").status_code == 401


def state_of(browser: TestClient) -> tuple[str, list[str]]:
    told = browser.get("/ui/session").json()
    return told["state"], told["roles"]


def test_a_role_that_was_taken_away_ends_within_ten_minutes(world: World) -> None:
    """Out: `keep_fresh` in `admit` and in `session_state`, or the comparison with `iat` in `caller_of_session`."""
    browser = world.browser()
    world.sign_in(browser)
    assert browser.get("/v1/insights").json()["questions"]
    world.roles = ()
    for minutes in range(1, 10):
        world.now = NOW + timedelta(minutes=minutes)
        assert browser.get("/v1/insights").status_code == 200
    assert browser.get("/v1/insights").json() == {"questions": []}
    assert state_of(browser) == ("in", [])
    renewals = [each for each in world.asked if each["grant_type"] == ["refresh_token"]]
    assert [each["refresh_token"] for each in renewals] == [["again"], ["again"]]


def test_a_session_lasts_for_two_hours_while_the_issuer_renews_it(world: World) -> None:
    browser = world.browser()
    world.sign_in(browser)
    for minutes in range(0, 120, 9):
        world.now = NOW + timedelta(minutes=minutes)
        assert state_of(browser) == ("in", ["teacher"]), minutes
    world.now = NOW + timedelta(minutes=120)
    assert state_of(browser)[0] == "ended"


def test_a_person_whom_the_issuer_does_not_know_any_more_is_signed_out(world: World) -> None:
    """Out: `sessions.end` in `keep_fresh`."""
    browser = world.browser()
    world.sign_in(browser)
    world.error = "invalid_grant"
    world.now += timedelta(minutes=5)
    assert browser.get("/v1/insights").status_code == 401
    assert (state_of(browser)[0], world.redis.hashes["edugraph:sessions"]) == ("ended", {})


@pytest.mark.parametrize("renews", [True, False], ids=["away", "without a refresh token"])
def test_rights_that_nobody_renews_count_for_ten_minutes(world: World, renews: bool) -> None:
    world.renews = renews
    browser = world.browser()
    world.sign_in(browser)
    world.is_away = True
    world.now += timedelta(minutes=9)
    assert browser.get("/v1/insights").status_code == 200
    world.now += timedelta(minutes=1)
    assert browser.get("/v1/insights").status_code == 401


LOGOUT = {
    "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    "jti": "1",
    "aud": "page",
}


def sent_logout(world: World, browser: TestClient, **claims: Any) -> int:
    token = world.token("logout", **(LOGOUT | claims))
    return int(browser.post("/ui/backchannel-logout", data={"logout_token": token}).status_code)


@pytest.mark.parametrize("claims", [{}, {"sid": "s1"}, {"sid": "s1", "sub": None}], ids=str)
def test_the_issuer_ends_sessions_of_a_person(world: World, claims: dict[str, Any]) -> None:
    """Out: `end_of` in `log_out_by_issuer`."""
    browser = world.browser()
    world.sign_in(browser)
    assert sent_logout(world, browser, **claims) == 200
    assert browser.get("/v1/insights").status_code == 401
    assert state_of(browser)[0] == "ended"
    assert ("oidc:u1" if claims.get("sub", "u1") else "issuer", "session.end") in world.noted


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "edugraph"},
        {"iss": "https://elsewhere.example"},
        {"exp": 0},
        {"exp": None},
        {"events": {}},
        {"events": "http://schemas.openid.net/event/backchannel-logout"},
        {"events": None},
        {"nonce": "n"},
        {"jti": None},
        {"sub": None},
        {"sub": 5},
    ],
    ids=str,
)
def test_what_is_no_logout_token_ends_nothing(world: World, claims: dict[str, Any]) -> None:
    """Out: one of the comparisons of `Issuer.logout`. An ID token, too, is signed by the issuer."""
    browser = world.browser()
    world.sign_in(browser)
    assert sent_logout(world, browser, **claims) == 400
    assert state_of(browser)[0] == "in"


def test_a_logout_token_of_another_person_or_session_ends_nothing_here(world: World) -> None:
    browser = world.browser()
    world.sign_in(browser)
    assert [sent_logout(world, browser, **each) for each in ({"sub": "u2"}, {"sid": "s2"})] == [
        200,
        200,
    ]
    for body in ({}, {"logout_token": "x"}, {"logout_token": ""}):
        assert browser.post("/ui/backchannel-logout", data=body).status_code == 400
    assert state_of(browser)[0] == "in"


def test_a_logout_token_that_is_sent_again_ends_no_later_session(world: World) -> None:
    """A copy of the token could else sign the person out again and again. Out: `began_before` in `end_of`."""
    browser = world.browser()
    world.sign_in(browser)
    token = world.token("logout", **LOGOUT)
    form = {"logout_token": token}
    assert browser.post("/ui/backchannel-logout", data=form).status_code == 200
    world.now += timedelta(seconds=LEEWAY_SECONDS + 1)
    world.sign_in(browser)
    assert browser.post("/ui/backchannel-logout", data=form).status_code == 200
    assert state_of(browser)[0] == "in"


@pytest.mark.parametrize("other", ["u2", "u1"])
def test_tokens_of_another_person_renew_no_session(world: World, other: str) -> None:
    """Out: the comparison in `Login.renewed`."""
    browser = world.browser()
    world.sign_in(browser)
    world.changed = {"access": {"sub": other}}
    world.now += timedelta(minutes=6)
    assert state_of(browser)[0] == {"u1": "in", "u2": "ended"}[other]
    assert len(world.redis.hashes["edugraph:sessions"]) == {"u1": 1, "u2": 0}[other]


def test_without_redis_nobody_is_let_in(world: World) -> None:
    browser = world.browser()

    def away(*_: Any, **__: Any) -> None:
        raise Retryable("Redis does not answer")

    world.redis.set = away  # type: ignore[method-assign]
    assert world.sign_in(browser) == "/ui/#overview?login=away"
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize("path", ["/ui/login", "/ui/callback", "/ui/session", "/ui/", "/"])
def test_nothing_can_be_put_into_a_frame(world: World, path: str) -> None:
    """To take the guard out: leave the headers out of one answer."""
    headers = world.browser().get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == ("no-cache" if path in {"/", "/ui/"} else "no-store")


def test_where_nobody_signs_in_there_is_no_sign_in() -> None:
    empty = dict.fromkeys(OIDC, "")  # as compose sets them
    for settings, state in (({"auth": "off", **OIDC}, "open"), ({}, "keys"), (empty, "keys")):
        insights = open_insights(InsightsSettings(**SERVERS, **settings))
        browser = TestClient(
            make_application(insights), base_url="http://127.0.0.1", follow_redirects=False
        )
        assert browser.get("/ui/session").json()["state"] == state
        assert [browser.get(path).status_code for path in ("/ui/login", "/ui/callback")] == [
            404,
            404,
        ]
        assert browser.post("/ui/logout").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_client_secret": None},
        {"oidc_issuer": None, "oidc_audience": None},
        {"oidc_client_id": "edugraph"},
        {"oidc_redirect_url": "http://school.example/ui/callback"},
        {"oidc_redirect_url": "https://school.example/"},
        {"oidc_redirect_url": "https://school.example/?x=/ui/callback"},
    ],
    ids=json.dumps,
)
def test_half_a_client_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="EDUGRAPH_OIDC"):
        InsightsSettings(**SERVERS, **{**OIDC, **wrong})
