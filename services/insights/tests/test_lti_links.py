"""A teacher chooses where a link of a course leads, and the platform can check that we said so (LTI Deep Linking)."""

import re
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from lti_world import CANVAS, HOME, LTI, MOODLE, NOW, SERVERS, World, failed, is_out
from made_platform import CLAIM, LEARNER, MadePlatform
from pydantic import ValidationError

from edugraph_common.contracts.errors import Retryable
from edugraph_insights.app import make_application
from edugraph_insights.settings import InsightsSettings

DEEP = "https://purl.imsglobal.org/spec/lti-dl/claim/"
KEY = RSAKey.generate_key(2048)
PEM = KEY.as_pem(private=True).decode()
RETURN = "https://moodle.example/mod/lti/contentitem_return.php?course=7"
ASKED = {
    "deep_link_return_url": RETURN,
    "accept_types": ["ltiResourceLink"],
    "accept_presentation_document_targets": ["iframe"],
    "data": "opaque & <signed>",
}
GROUPS = [
    {"id": "G1", "name": "Morning <b>", "courses": ["C1"]},
    {"id": "G2", "name": "Other", "courses": ["C2"]},
    {"id": "H1", "name": "Home", "courses": []},
]


@dataclass
class SmallGraph:
    """A graph in which T17 leads three groups."""

    rows: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {
            "groups_led": GROUPS,
            "courses": [{"id": "C1", "name": "Algebra"}, {"id": "C2", "name": "Botany"}],
            "points_taught": [{"point": "P1", "name": 'Signs "&"'}],
        }
    )
    asked: list[dict[str, Any]] = field(default_factory=list)
    is_away: bool = False

    def read(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        if self.is_away:
            raise Retryable("Neo4j does not answer")
        self.asked.append({"statement": statement, **parameters})
        return self.rows.get(statement, [])

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class LinkWorld(World):
    graph: SmallGraph = field(default_factory=SmallGraph)

    def browser(self) -> TestClient:
        self.settings = {"lti_key": PEM, **self.settings}
        made = super().browser()
        graph: Any = self.graph
        insights = replace(made.app.state.insights, graph=graph)  # type: ignore[attr-defined]
        return TestClient(make_application(insights), base_url=HOME, follow_redirects=False)

    def ask(self, browser: TestClient, platform: MadePlatform = MOODLE, **changed: Any) -> Any:
        """Ask for a link. Return the answer."""
        sent = self.begin(browser, platform)
        given = {"message_type": "LtiDeepLinkingRequest", **changed}
        claims = platform.claims(sent["nonce"], self.now, **given)
        if "settings" not in changed:
            claims[f"{DEEP}deep_linking_settings"] = ASKED
        elif changed["settings"] is not None:
            claims[f"{DEEP}deep_linking_settings"] = changed["settings"]
        token = platform.sign(claims)
        return browser.post("/ui/lti/launch", data={"state": sent["state"], "id_token": token})


@pytest.fixture
def world() -> LinkWorld:
    return LinkWorld()


def offered(page: str) -> dict[str, str]:
    """Return the label and the signed answer of each choice."""
    options = re.findall(r'<option value="([^"]+)">([^<]*)</option>', page)
    return {unescape(label): token for token, label in options}


def read(browser: TestClient, token: str) -> dict[str, Any]:
    """Return the claims of an answer, as a platform reads them."""
    keys = KeySet.import_key_set(browser.get("/ui/lti/keys").json())
    return dict(jwt.decode(token, keys, algorithms=["RS256"]).claims)


def test_a_teacher_chooses_the_course_a_group_or_a_point(world: LinkWorld) -> None:
    """Out: `escape` in `page`, or the condition on the courses of a group."""
    browser = world.browser()
    answer = world.ask(browser)
    assert answer.status_code == 200
    assert f'action="{RETURN}"'.replace("&", "&amp;") in answer.text
    choices = offered(answer.text)
    assert list(choices) == [
        "Course 课程: Algebra",
        "Group 班组: Morning <b>",
        "Group 班组: Home",
        'Point 知识点: Signs "&"',
    ]
    customs = []
    for token in choices.values():
        claims = read(browser, token)
        [item] = claims.pop(f"{DEEP}content_items")
        customs.append(item["custom"])
        assert (item["type"], item["url"]) == ("ltiResourceLink", f"{HOME}/ui/lti/launch")
        seconds = int(NOW.timestamp())
        assert claims.pop("nonce")
        assert claims == {
            "iss": "client-1",
            "aud": "https://moodle.example",
            "iat": seconds,
            "exp": seconds + 600,
            f"{CLAIM}message_type": "LtiDeepLinkingResponse",
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}deployment_id": "1",
            f"{DEEP}data": "opaque & <signed>",
        }
    assert customs == [
        {"course": "C1"},
        {"course": "C1", "group": "G1"},
        {"course": "C1", "group": "H1"},
        {"course": "C1", "point": "P1"},
    ]
    assert is_out(world, browser)


def test_the_answer_goes_to_the_platform_that_asked(world: LinkWorld) -> None:
    """Out: one of these values in `answer_with`."""
    browser = world.browser()
    choices = offered(world.ask(browser, CANVAS).text)
    assert choices
    for token in choices.values():
        claims = read(browser, token)
        who = (claims["iss"], claims["aud"], claims[f"{CLAIM}deployment_id"])
        assert who == ("client-2", "https://canvas.example", "d:2")


def test_a_link_that_was_made_leads_to_what_was_chosen(world: LinkWorld) -> None:
    browser = world.browser()
    choices = offered(world.ask(browser).text)
    [item] = read(browser, choices['Point 知识点: Signs "&"'])[f"{DEEP}content_items"]
    assert world.launch(browser, custom=item["custom"]) == "/ui/#point?course=C1&point=P1"


@pytest.mark.parametrize("context", [None, {"id": "elsewhere"}], ids=str)
def test_a_course_that_is_not_known_offers_all_of_the_teacher(
    world: LinkWorld, context: Any
) -> None:
    choices = offered(world.ask(world.browser(), context=context).text)
    assert list(choices) == ["Course 课程: Algebra", "Course 课程: Botany"]


def test_only_the_groups_of_the_teacher_are_read(world: LinkWorld) -> None:
    """Out: `launch.caller` in `links`."""
    world.ask(world.browser())
    led = [each["person"] for each in world.graph.asked if each["statement"] == "groups_led"]
    assert led == ["17"]


def test_the_form_goes_to_the_platform_alone(world: LinkWorld) -> None:
    """Out: `asked.origin` in `links_offered`."""
    headers = world.ask(world.browser()).headers
    policy = headers["content-security-policy"]
    assert "form-action https://moodle.example;" in policy
    assert "frame-ancestors https://canvas.example https://moodle.example" in policy
    assert headers["cache-control"] == "no-store"
    assert "set-cookie" in headers


@pytest.mark.parametrize("roles", [[LEARNER], []], ids=str)
def test_only_a_teacher_makes_links(world: LinkWorld, roles: list[str]) -> None:
    """Out: the role in `links_offered`."""
    answer = world.ask(world.browser(), roles=roles)
    assert answer.headers["location"] == failed("lti_role")
    assert world.graph.asked == []


REFUSED: list[Any] = [
    None,
    {},
    "x",
    {**ASKED, "accept_types": ["link", "html"]},
    {**ASKED, "accept_types": "ltiResourceLink"},
    {**ASKED, "deep_link_return_url": None},
    {**ASKED, "deep_link_return_url": "http://moodle.example/"},
    {**ASKED, "deep_link_return_url": "javascript:alert(1)"},
    {**ASKED, "deep_link_return_url": "https://moodle.example@evil.example/"},
    {**ASKED, "deep_link_return_url": "https://moodle.example; script-src *"},
]  # fmt: skip


@pytest.mark.parametrize("asked", REFUSED, ids=str)
def test_a_request_that_takes_no_link_gets_a_sentence(world: LinkWorld, asked: Any) -> None:
    """Out: a condition of `request_in`."""
    browser = world.browser()
    assert world.ask(browser, settings=asked).headers["location"] == failed("lti_link")
    assert is_out(world, browser)


def test_without_a_key_there_are_no_links(world: LinkWorld) -> None:
    world.settings = {"lti_key": None}
    browser = world.browser()
    assert world.ask(browser).headers["location"] == failed("lti_link")
    assert browser.get("/ui/lti/keys").status_code == 404


def test_who_teaches_no_course_gets_a_sentence(world: LinkWorld) -> None:
    world.graph.rows = {}
    assert world.ask(world.browser()).headers["location"] == failed("lti_link")


def test_a_graph_that_is_away_gets_a_sentence(world: LinkWorld) -> None:
    world.graph.is_away = True
    assert world.ask(world.browser()).headers["location"] == failed("away")


def test_the_private_key_is_not_published(world: LinkWorld) -> None:
    """Out: `private=False` in `LtiKey.public`."""
    [published] = world.browser().get("/ui/lti/keys").json()["keys"]
    assert set(published) == {"kty", "n", "e", "kid", "use", "alg"}


WEAK = [
    "x",
    KEY.as_pem(private=False).decode(),
    generate_private_key(65_537, 1_024)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode(),
    ECKey.generate_key("P-256").as_pem(private=True).decode(),
]


@pytest.mark.filterwarnings("ignore:Key size should be")
@pytest.mark.parametrize("pem", WEAK, ids=["no PEM", "public", "short", "elliptic"])
def test_what_is_no_private_key_is_refused_at_the_start(pem: str) -> None:
    with pytest.raises(ValidationError, match="EDUGRAPH_LTI_KEY must be the PEM") as raised:
        InsightsSettings(**{**SERVERS, **LTI, "lti_key": pem})
    assert "PRIVATE" not in str(raised.value.errors(include_input=False))
