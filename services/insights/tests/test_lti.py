"""A launch by LTI 1.3 begins a session of the right person, and no other message of a browser does.

The platform is made here; `made_platform.py` signs as one does.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from lti_world import CANVAS, HOME, LTI, MOODLE, NOW, PREFIXES, SERVERS, World, failed, is_out
from made_platform import INSTITUTION, LEARNER, MEMBERSHIP, TEACHER, sent_along
from pydantic import ValidationError
from structlog.testing import capture_logs

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.shared_state.sessions import COOKIE, csrf_token
from edugraph_insights.app import make_application
from edugraph_insights.bounded_bodies import MOST_BODY_BYTES
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

STRANGER = RSAKey.generate_key(2048, {"kid": "client-1-1"}, private=True)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_launch_begins_a_session_and_shows_the_course(world: World, method: str) -> None:
    browser = world.browser()
    given = {"params" if method == "get" else "data": MOODLE.login()}
    begun = getattr(browser, method)("/ui/lti/login", **given)
    assert begun.status_code == 303
    sent = sent_along(begun.headers["location"])
    state, nonce = sent.pop("state"), sent.pop("nonce")
    assert sent == {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": "client-1",
        "redirect_uri": f"{HOME}/ui/lti/launch",
        "login_hint": "hint-1",
        "lti_message_hint": "message-1",
    }
    token = MOODLE.sign(MOODLE.claims(nonce, NOW))
    assert world.post(browser, state, token) == "/ui/#start?course=C1"
    told = browser.get("/ui/session").json()
    assert (told["state"], told["name"], told["roles"]) == ("in", "Ada Lovelace", ["teacher"])
    assert told["login"] is None
    questions = {each["name"] for each in browser.get("/v1/insights").json()["questions"]}
    assert questions >= {"today", "student"}
    assert world.noted == [("lti:moodle:17", "session.begin")]


def test_a_frame_sends_the_cookies_and_no_script_reads_them(world: World) -> None:
    """Out: one of the attributes in `set_in_frame`, or `delete_cookie` in `keep_session_in_frame`."""
    browser = world.browser()
    begun = browser.post("/ui/lti/login", data=MOODLE.login())
    of_frame = {"secure", "httponly", "samesite=none", "partitioned"}
    [attempt] = begun.headers.get_list("set-cookie")
    name, *attributes = attempt.lower().split("; ")
    assert set(attributes) == {*of_frame, "path=/ui/lti/launch", "max-age=600"}
    sent = sent_along(begun.headers["location"])
    assert name.startswith(f"edugraph_lti_{sent['state']}=".lower())
    token = MOODLE.sign(MOODLE.claims(sent["nonce"], NOW))
    ended = browser.post("/ui/lti/launch", data={"state": sent["state"], "id_token": token})
    old, session, over = (each.lower() for each in ended.headers.get_list("set-cookie"))
    # A cookie of a person who signed in is another one by the same name, and would be sent beside this one.
    assert old.startswith(f'{COOKIE}=""; ')
    assert "max-age=0" in old
    assert session.startswith(f"{COOKIE}=es_")
    assert set(session.split("; ")[1:]) == {*of_frame, "path=/"}
    assert over.startswith("edugraph_lti_")
    assert "max-age=0" in over


def test_two_frames_of_a_page_begin_side_by_side(world: World) -> None:
    browser = world.browser()
    sent = [world.begin(browser) for _ in range(2)]
    for each in sent:
        token = MOODLE.sign(MOODLE.claims(each["nonce"], NOW))
        assert world.post(browser, each["state"], token) == "/ui/#start?course=C1"


WRONG: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "https://elsewhere.example"},
    "audience": {"aud": "client-2"},
    "no audience": {"aud": None},
    "several audiences without azp": {"aud": ["client-1", "client-9"]},
    "another azp": {"azp": "client-9"},
    "another azp of several": {"aud": ["client-1", "client-9"], "azp": "client-9"},
    "expired": {"exp": int(NOW.timestamp()) - 31},
    "no end": {"exp": None},
    "signed long ago": {"iat": int(NOW.timestamp()) - 601},
    "signed in the future": {"iat": int(NOW.timestamp()) + 100},
    "no time": {"iat": None},
    "a text as time": {"iat": "now"},
    "not valid yet": {"nbf": int(NOW.timestamp()) + 100},
    "deployment": {"deployment_id": "2"},
    "no deployment": {"deployment_id": None},
    "a list as deployment": {"deployment_id": ["1"]},
    "version": {"version": "1.1"},
    "no version": {"version": None},
    "type": {"message_type": "LtiSubmissionReviewRequest"},
    "no type": {"message_type": None},
    "a list as type": {"message_type": ["LtiResourceLinkRequest"]},
    "nobody": {"sub": None},
    "an empty person": {"sub": ""},
    "a number as person": {"sub": 17},
    "a person with a line break": {"sub": "17\n"},
    "a very long person": {"sub": "1" * 256},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_a_launch_that_is_not_for_us_begins_nothing(world: World, changed: dict[str, Any]) -> None:
    """Out: one of the checks of `Platform._claims`, `launch` or `_launch`."""
    browser = world.browser()
    assert world.launch(browser, **changed) == failed("lti_token")
    assert is_out(world, browser)
    assert world.noted == []


@pytest.mark.parametrize(
    "changed",
    [{"azp": "client-1"}, {"aud": ["client-1"]}, {"aud": ["x", "client-1"], "azp": "client-1"}],
    ids=str,
)
def test_an_audience_may_be_a_list_that_says_who_asked(
    world: World, changed: dict[str, Any]
) -> None:
    assert world.launch(world.browser(), **changed) == "/ui/#start?course=C1"


@pytest.mark.parametrize("nonce", [None, "", "another-nonce-of-the-same-length-0123456789", 5])
def test_a_launch_with_another_nonce_begins_nothing(world: World, nonce: Any) -> None:
    """Out: `is_same_attempt` in `LtiTool.finish`."""
    browser = world.browser()
    assert world.launch(browser, nonce=nonce) == failed("lti_cookie")
    assert is_out(world, browser)


def test_a_launch_is_good_once(world: World) -> None:
    """Out: `_used_nonces.use` in `LtiTool.finish`, or its `nx`."""
    browser = world.browser()
    sent = world.begin(browser)
    kept = dict(browser.cookies)
    token = MOODLE.sign(MOODLE.claims(sent["nonce"], NOW))
    assert world.post(browser, sent["state"], token) == "/ui/#start?course=C1"
    # A thief kept the cookies, the state and the token.
    thief = world.browser()
    for name, value in kept.items():
        thief.cookies.set(name, value, domain="school.example")
    assert world.post(thief, sent["state"], token) == failed("lti_cookie")
    assert COOKIE not in thief.cookies
    # The nonce is remembered for as long as the launch could be valid.
    assert min(world.redis.lifetimes) >= timedelta(minutes=10, seconds=30)


def test_a_launch_that_began_in_another_browser_begins_nothing(world: World) -> None:
    """Somebody could else sign another in as themselves. Out: the cookie's name in `launched`, or `attempt is None`."""
    browser = world.browser()
    sent = world.begin(browser)
    token = MOODLE.sign(MOODLE.claims(sent["nonce"], NOW))
    victim = world.browser()
    assert world.post(victim, sent["state"], token) == failed("lti_cookie")
    of_victim = world.begin(victim)
    assert world.post(victim, of_victim["state"], token) == failed("lti_cookie")
    for state in ("", "x", sent["state"][:-1], f"{sent['state']};", of_victim["state"]):
        assert world.post(victim, state, token) == failed("lti_cookie")
    assert COOKIE not in victim.cookies


def test_a_state_is_good_once(world: World) -> None:
    browser = world.browser()
    sent = world.begin(browser)
    for expected in ("/ui/#start?course=C1", failed("lti_cookie")):
        token = MOODLE.sign(MOODLE.claims(sent["nonce"], world.now, sub="18"))
        assert world.post(browser, sent["state"], token) == expected


def unsigned(claims: dict[str, Any]) -> str:
    parts = [{"alg": "none", "kid": "client-1-1"}, claims]
    texts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts
    ]
    return ".".join([*texts, ""])


def by_public_key(claims: dict[str, Any]) -> str:
    """Return a token whose HMAC has the public key as its secret, for a reader that believes the header."""
    public = MOODLE.keys[0].as_pem(private=False)
    header = {"alg": "HS256", "kid": "client-1-1"}
    parts = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=")
        for each in (header, claims)
    ]
    digest = hmac.digest(public, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(digest).rstrip(b"=")]).decode()


FORGED: dict[str, Callable[[dict[str, Any]], str]] = {
    "no signature": unsigned,
    "the public key as a secret": by_public_key,
    "a secret": lambda claims: jwt.encode(
        {"alg": "HS256", "kid": "client-1-1"},
        claims,
        OctKey.generate_key(256),
        algorithms=["HS256"],
    ),
    "another key by the same name": lambda claims: MOODLE.sign(claims, STRANGER),
    "the key of another platform": CANVAS.sign,
    "another algorithm": lambda claims: MOODLE.sign(claims, alg="RS512"),
    "without a key's name": lambda claims: jwt.encode({"alg": "RS256"}, claims, MOODLE.keys[0]),
    "a changed claim": lambda claims: changed_after(MOODLE.sign(claims)),
    "no token": lambda _claims: "",
    "a very long token": lambda claims: MOODLE.sign({**claims, "x": "x" * 20_000}),
}


def changed_after(token: str) -> str:
    header, claims, signature = token.split(".")
    text = base64.urlsafe_b64decode(claims + "==").replace(b'"17"', b'"18"')
    return ".".join([header, base64.urlsafe_b64encode(text).rstrip(b"=").decode(), signature])


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_launch_that_the_platform_did_not_sign_begins_nothing(world: World, forge: Any) -> None:
    """Out: RS512 or HS256 among ALGORITHMS, or no signature checked."""
    browser = world.browser()
    sent = world.begin(browser)
    token = forge(MOODLE.claims(sent["nonce"], NOW))
    assert world.post(browser, sent["state"], token) == failed("lti_token")
    assert is_out(world, browser)


def test_an_elliptic_key_signs_as_well(world: World) -> None:
    platform = replace(MOODLE, keys=[ECKey.generate_key("P-256", {"kid": "e"}, private=True)])
    world.fetch = platform.fetch
    browser = world.browser()
    sent = world.begin(browser)
    token = platform.sign(platform.claims(sent["nonce"], NOW), alg="ES256")
    assert world.post(browser, sent["state"], token) == "/ui/#start?course=C1"


def test_a_new_key_is_fetched_and_an_old_one_ends(world: World) -> None:
    """Out: `need` in `_claims`, or KEYS_LIFETIME_SECONDS."""
    platform = replace(MOODLE, keys=list(MOODLE.keys), fetched=[])
    world.fetch = platform.fetch
    browser = world.browser()

    def launch_by(key: RSAKey) -> str:
        sent = world.begin(browser)
        token = platform.sign(platform.claims(sent["nonce"], NOW), key)
        return world.post(browser, sent["state"], token)

    [old] = platform.keys
    assert launch_by(old) == "/ui/#start?course=C1"
    new = RSAKey.generate_key(2048, {"kid": "new"}, private=True)
    platform.keys = [new]
    # Anybody can invent names of keys, so the platform is not asked for each.
    assert launch_by(new) == failed("lti_token")
    world.clock += 31
    assert launch_by(new) == "/ui/#start?course=C1"
    assert launch_by(old) == failed("lti_token")
    assert len(platform.fetched) == 2


def test_a_key_that_was_taken_away_ends_its_sessions_within_an_hour(world: World) -> None:
    platform = replace(MOODLE, keys=list(MOODLE.keys))
    world.fetch = platform.fetch
    browser = world.browser()
    sent = world.begin(browser)
    world.post(browser, sent["state"], platform.sign(platform.claims(sent["nonce"], NOW)))
    platform.keys = [RSAKey.generate_key(2048, {"kid": "new"}, private=True)]
    assert browser.get("/ui/session").json()["state"] == "in"
    world.clock += 3_601
    assert browser.get("/ui/session").json()["state"] == "ended"


@pytest.mark.parametrize(
    "answer", [{}, [], {"keys": []}, {"keys": [{"kty": "RSA"}]}, "x", None], ids=str
)
def test_a_platform_without_keys_lets_nobody_in(world: World, answer: Any) -> None:
    world.fetch = lambda _url: answer
    browser = world.browser()
    assert world.launch(browser) == failed("away")
    assert is_out(world, browser)


ROLES: list[tuple[Any, list[str] | None]] = [
    ([TEACHER], ["teacher"]),
    ([LEARNER], ["student"]),
    ([LEARNER, TEACHER, "x"], ["teacher", "student"]),
    ([f"{INSTITUTION}#Instructor", f"{INSTITUTION}#Student"], ["teacher", "student"]),
    ([f"{INSTITUTION}#Instructor", LEARNER], ["student"]),
    ([f"{INSTITUTION}#Instructor", f"{MEMBERSHIP}#Mentor"], None),
    ([f"{INSTITUTION}#Administrator", "http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"], None),
    ([f"{MEMBERSHIP}#Administrator"], None),
    ([f"{MEMBERSHIP}#instructor"], None),
    (["edugraph:teacher", "teacher", "head", "officer"], None),
    ([], None),
    (None, None),
    (TEACHER, None),
    ([[TEACHER], {"x": TEACHER}, 5], None),
]  # fmt: skip


@pytest.mark.parametrize(("given", "ours"), ROLES, ids=str)
def test_only_teachers_and_students_get_in(
    world: World, given: Any, ours: list[str] | None
) -> None:
    """Out: a role more in `_ROLES_IN_COURSE`, or the condition on roles in `LtiTool.finish`."""
    browser = world.browser()
    led_to = world.launch(browser, roles=given)
    if ours is None:
        assert led_to == failed("lti_role")
        assert is_out(world, browser)
        return
    assert browser.get("/ui/session").json()["roles"] == ours


def test_a_launch_gives_no_scope_that_it_names(world: World) -> None:
    """Out: `scopes` in `Platform._launch`."""
    browser = world.browser()
    world.launch(browser, scope="edugraph:operate", custom={"scope": "operate", "person": "T02"})
    answer = browser.get("/v1/graph/summary")
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:edugraph:problem:scope")


def test_who_follows_at_the_same_browser_does_not_see_the_page_of_the_last_one(
    world: World,
) -> None:
    """Out: `sessions.end` at `lti_role` in `launched`."""
    browser = world.browser()
    world.launch(browser)
    first = browser.cookies[COOKIE]
    assert world.launch(browser, sub="18", roles=[]) == failed("lti_role")
    assert is_out(world, browser)
    world.launch(browser)
    browser.cookies.set(COOKIE, first, domain="school.example")
    assert browser.get("/v1/insights").status_code == 401


def callers(world: World, browser: TestClient) -> Any:
    token = browser.cookies[COOKIE]
    sessions = browser.app.state.insights.sessions  # type: ignore[attr-defined]
    return sessions.caller(token, world.now)


def test_the_same_number_at_two_platforms_is_two_persons(world: World) -> None:
    """Out: the prefix in `account_id`, or the platform's name in the caller's id."""
    found = []
    for platform in (MOODLE, CANVAS):
        browser = world.browser()
        assert world.launch(browser, platform).startswith("/ui/#start?course=")
        found.append(callers(world, browser))
    assert [each.person for each in found] == ["17", "canvas:17"]
    assert [each.client_id for each in found] == ["lti:moodle:17", "lti:canvas:17"]


def test_a_launch_gives_the_address_of_its_person(world: World) -> None:
    """Out: `address` in `Platform._launch`."""
    browser = world.browser()
    world.launch(browser)
    assert callers(world, browser).address is None
    browser = world.browser()
    world.launch(browser, email="ada@school.example")
    assert callers(world, browser).address == "ada@school.example"


def test_the_same_course_at_two_platforms_is_two_courses(world: World) -> None:
    """Out: `_account_id` of the course in `Platform._launch`."""
    assert world.launch(world.browser(), MOODLE) == "/ui/#start?course=C1"
    assert world.launch(world.browser(), CANVAS) == "/ui/#start?course=canvas%3AC1"


def test_a_launch_ends_the_session_that_the_browser_had(world: World) -> None:
    """The cookie of the old session may have been copied. Out: `sessions.end` in `launched`."""
    browser = world.browser()
    world.launch(browser)
    copied = world.browser()
    copied.cookies.set(COOKIE, browser.cookies[COOKIE], domain="school.example")
    assert copied.get("/ui/session").json()["state"] == "in"
    world.launch(browser, sub="18")
    assert browser.get("/ui/session").json()["state"] == "in"
    assert copied.get("/ui/session").json()["state"] == "ended"


def test_a_launch_of_one_platform_is_none_of_another(world: World) -> None:
    """Out: the platform of the attempt in `LtiTool.finish`."""
    browser = world.browser()
    sent = world.begin(browser, CANVAS)
    token = MOODLE.sign(MOODLE.claims(sent["nonce"], NOW))
    assert world.post(browser, sent["state"], token) == failed("lti_token")


def test_an_operator_chooses_the_claim_of_the_person(world: World) -> None:
    described = CANVAS.described(person_claim="person_sourcedid", address="https://sis.example")
    prefixes = {**PREFIXES, "https://sis.example": ""}
    world.settings = {"lti_platforms": {"canvas": described}, "platform_prefixes": prefixes}
    browser = world.browser()
    world.launch(browser, CANVAS, lis={"person_sourcedid": "T01"})
    assert callers(world, browser).person == "T01"
    for lis in (None, {}, {"person_sourcedid": ""}, {"person_sourcedid": 5}, "T01"):
        assert world.launch(world.browser(), CANVAS, lis=lis) == failed("lti_token")


VIEWS: list[tuple[dict[str, Any], str]] = [
    ({"context": None}, "start"),
    ({"context": {}}, "start"),
    ({"context": "C1"}, "start"),
    ({"context": {"id": 5}}, "start"),
    ({"custom": {"course": "C2", "group": "G1"}}, "start?course=C2&group=G1"),
    ({"custom": {"point": "P 1&x=2#y"}}, "point?course=C1&point=P+1%26x%3D2%23y"),
    ({"custom": ["course"]}, "start?course=C1"),
    ({"custom": {"course": "C2\r\nSet-Cookie: x=1"}}, "start?course=C1"),
    ({"target_link_uri": "https://evil.example/"}, "start?course=C1"),
    ({"target_link_uri": "//evil.example/", "custom": {"page": "//evil.example"}}, "start?course=C1"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "view"), VIEWS, ids=str)
def test_a_launch_leads_to_the_page_and_nowhere_else(
    world: World, changed: dict[str, Any], view: str
) -> None:
    assert world.launch(world.browser(), **changed) == f"/ui/#{view}"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": ""},
        {"client_id": "client-2"},
        {"login_hint": ""},
        {"login_hint": "x" * 8_193},
        {"lti_message_hint": "x" * 8_193},
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_platform_that_is_not_set_up_is_not_answered(
    world: World, changed: dict[str, str]
) -> None:
    browser = world.browser()
    for answer in (
        browser.post("/ui/lti/login", data=MOODLE.login(**changed)),
        browser.get("/ui/lti/login", params=MOODLE.login(**changed)),
    ):
        assert answer.headers["location"] == failed("lti_platform")
        assert "set-cookie" not in answer.headers


def test_an_issuer_with_two_clients_has_to_name_one(world: World) -> None:
    second = MOODLE.described(client_id="client-9")
    world.settings = {"lti_platforms": {"moodle": MOODLE.described(), "canvas": second}}
    browser = world.browser()
    unnamed = browser.post("/ui/lti/login", data=MOODLE.login(client_id=""))
    assert unnamed.headers["location"] == failed("lti_platform")
    assert world.begin(browser, client_id="client-9")["client_id"] == "client-9"


def test_a_platform_with_one_client_need_not_name_it(world: World) -> None:
    assert world.begin(world.browser(), client_id="")["client_id"] == "client-1"


def test_a_session_of_a_launch_ends_after_two_hours(world: World) -> None:
    """Out: SESSION_LIFETIME in `caller_of_session`, or in `LtiTool`."""
    world.settings = {"session_minutes": 600}
    browser = world.browser()
    world.launch(browser)
    for minutes in (5, 60, 119):
        world.now = NOW + timedelta(minutes=minutes)
        assert browser.get("/v1/insights").status_code == 200
    world.now = NOW + timedelta(minutes=120)
    assert browser.get("/v1/insights").status_code == 401
    assert browser.get("/ui/session").json()["state"] == "ended"


def test_who_writes_sessions_into_redis_gains_nothing(world: World) -> None:
    """Out: the checks of the launch in `LaunchReader.caller`, or the comparison of `client_id` in `caller_in`."""
    browser = world.browser()
    world.launch(browser)
    sessions = browser.app.state.insights.sessions  # type: ignore[attr-defined]
    kept = sessions.find(browser.cookies[COOKIE], NOW)
    forged = MOODLE.sign(MOODLE.claims("n", NOW), STRANGER)
    later = NOW + timedelta(hours=3)
    for changed in (
        {"access_token": forged},
        {"platform": "canvas"},
        {"platform": "other"},
        {"platform": ""},
        {"client_id": "lti:moodle:18"},
        {"client_id": "oidc:u"},
    ):
        assert sessions.caller_in(kept.model_copy(update=changed), NOW) is None, changed
    assert sessions.caller_in(kept.model_copy(update={"ends": later}), later) is None
    assert sessions.caller_in(kept, NOW) is not None


def test_a_frame_changes_nothing_without_the_token(world: World) -> None:
    """The cookie comes with requests from a frame. Out: `token_sent` in `log_out`."""
    browser = world.browser()
    world.launch(browser)
    session_id = browser.cookies[COOKIE]
    for headers in ({}, {"X-CSRF-Token": csrf_token("es_other")}, {"Origin": MOODLE.issuer}):
        refused = browser.post("/ui/logout", headers=headers)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:edugraph:problem:csrf")
        refused = browser.post("/v1/insights/action-permits", headers=headers, json={})
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:edugraph:problem:csrf")
    answer = browser.get("/ui/session", headers={"Origin": MOODLE.issuer})
    assert "access-control-allow-origin" not in answer.headers
    csrf = answer.json()["csrf"]
    left = browser.post("/ui/logout", headers={"X-CSRF-Token": csrf})
    assert left.json() == {"next": "/ui/"}
    assert {"Partitioned" in each for each in left.headers.get_list("set-cookie")} == {True, False}
    assert is_out(world, browser)
    browser.cookies.set(COOKIE, session_id, domain="school.example")
    assert browser.get("/v1/insights").status_code == 401


@pytest.mark.parametrize("path", ["/ui/", "/ui/main.js"])
def test_only_platforms_of_the_settings_show_the_page_in_a_frame(world: World, path: str) -> None:
    """Out: `frames` of one platform in `headers_in_frames`."""
    headers = world.browser().get(path).headers
    policy = headers["content-security-policy"]
    assert policy.endswith("frame-ancestors https://canvas.example https://moodle.example")
    assert "form-action 'none'" in policy
    assert "x-frame-options" not in headers
    world.settings = {"lti_platforms": {"moodle": MOODLE.described(frames=[])}}
    headers = world.browser().get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/ui/lti/login", "/ui/lti/launch"])
def test_a_large_body_is_not_read(world: World, path: str) -> None:
    browser = world.browser()
    large = browser.post(path, content=b"x" * (MOST_BODY_BYTES + 1))
    assert large.status_code == 413
    many = "&".join(f"a{number}=1" for number in range(60))
    assert browser.post(path, content=many).status_code == 303
    assert browser.post(path, content=b"\xff\xfe=\x00;;&&==%%%").status_code == 303
    assert is_out(world, browser)


def test_logs_have_no_name_and_no_token(world: World) -> None:
    browser = world.browser()
    with capture_logs() as logs:
        world.launch(browser)
        world.launch(browser, deployment_id="2", sub="number-4711")
        world.launch(browser, roles=[], sub="number-4711")
        world.launch(browser, aud="other", sub="number-4711")
    events = [each for each in logs if str(each["event"]).startswith("lti_")]
    assert [(each["event"], each.get("check")) for each in events] == [
        ("lti_launch_refused", "deployment"),
        ("lti_launch_without_role", None),
        ("lti_launch_refused", "token"),
    ]
    text = repr(logs)
    assert not any(secret in text for secret in ("Ada", "4711", "eyJ", "hint-1"))


def test_without_redis_nobody_is_let_in(world: World) -> None:
    browser = world.browser()

    def away(*_: Any, **__: Any) -> None:
        raise Retryable("Redis does not answer")

    world.redis.set = away  # type: ignore[method-assign]
    assert world.launch(browser) == failed("away")
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize("settings", [{}, {**LTI, "auth": "off"}], ids=["none", "off"])
def test_without_a_platform_there_is_no_launch(settings: dict[str, Any]) -> None:
    insights = open_insights(InsightsSettings(**SERVERS, **settings))
    browser = TestClient(make_application(insights), base_url="http://127.0.0.1")
    assert browser.get("/ui/lti/login", params=MOODLE.login()).status_code == 404
    assert browser.post("/ui/lti/login", data=MOODLE.login()).status_code == 404
    assert browser.post("/ui/lti/launch", data={"state": "x"}).status_code == 404


HALF: list[dict[str, Any]] = [
    {"lti_launch_url": None},
    {"lti_launch_url": "http://school.example/ui/lti/launch"},
    {"lti_launch_url": "https://school.example/"},
    {"platform_prefixes": {"https://moodle.example": ""}},
    {"lti_platforms": {"Moodle:x": MOODLE.described()}},
    {"lti_platforms": {"a": MOODLE.described(), "b": MOODLE.described()}},
    {"lti_platforms": {"a": MOODLE.described(keys_url="http://moodle.example/keys")}},
    {"lti_platforms": {"a": MOODLE.described(login_url="javascript:alert(1)")}},
    {"lti_platforms": {"a": MOODLE.described(deployment_ids=[])}},
    {"lti_platforms": {"a": MOODLE.described(frames=["*"])}},
    {"lti_platforms": {"a": MOODLE.described(frames=["https://*.example"])}},
    {"lti_platforms": {"a": MOODLE.described(frames=["https://moodle.example; script-src *"])}},
    {"lti_platforms": {"a": MOODLE.described(person_claim="email")}},
    {"lti_platforms": {"a": MOODLE.described(secret="x")}},
]  # fmt: skip


@pytest.mark.parametrize("wrong", HALF, ids=lambda each: json.dumps(each)[:70])
def test_half_a_platform_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InsightsSettings(**{**SERVERS, **LTI, **wrong})
