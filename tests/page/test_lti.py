"""The page in a frame and in a tab of a learning platform, which is another site, and which no frame of a third may copy.

Browsers treat localhost and 127.0.0.1 as two sites, and both as safe enough for cookies that are Secure.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from beside import Silent, http_server
from joserfc.jwk import KeySet
from made_platform import LEARNER, MEMBERSHIP, MadePlatform
from page.school import NOW, served
from playwright.sync_api import Browser, BrowserContext, expect

from edugraph_cli.processes import free_port

pytestmark = pytest.mark.embedded
FRAME = "iframe"
# The page loads some thirty files, which a machine that runs other tests gives slowly.
SLOW_MS = 20_000


class Lms:
    """A learning platform with one course page. `person` and `changed` say who follows the link."""

    def __init__(self) -> None:
        self.platform = MadePlatform("", "client-1")
        self.tool = ""
        self.person = "T01"
        self.changed: dict[str, Any] = {}

    @property
    def begin(self) -> str:
        """The address at the tool by which a launch begins."""
        return f"{self.tool}/ui/lti/login?{urlencode(self.platform.login())}"

    def page(self, path: str) -> str:
        parts = urlsplit(path)
        if parts.path == "/frame":
            return f'<iframe src="{escape(self.begin)}" width="1200" height="700"></iframe>'
        if parts.path == "/auth":
            return self.sent_back(parse_qs(parts.query))
        return f'<a href="{escape(self.begin)}">EduGraph</a>'

    def sent_back(self, given: Mapping[str, list[str]]) -> str:
        changed = {"sub": self.person, "context": {"id": "MATH8"}, **self.changed}
        token = self.platform.sign(self.platform.claims(given["nonce"][0], NOW, **changed))
        fields = {"state": given["state"][0], "id_token": token}
        inputs = [
            f'<input type="hidden" name="{name}" value="{escape(value)}">'
            for name, value in fields.items()
        ]
        form = f'<form method="post" action="{escape(given["redirect_uri"][0])}">{"".join(inputs)}</form>'
        return f"{form}<script>document.forms[0].submit()</script>"


@contextmanager
def running(lms: Lms) -> Iterator[str]:
    """Yield the port of a server of the platform."""

    class Handler(Silent):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
            self.send_response(200)
            if self.path == "/keys":
                self.end_headers()
                keys = KeySet(lms.platform.keys).as_dict(private=False)
                self.wfile.write(json.dumps(keys).encode())
                return
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(lms.page(self.path).encode())

    with http_server(Handler) as url:
        yield url.rpartition(":")[2]


@pytest.fixture(scope="module")
def lms(school: Mapping[str, str]) -> Iterator[Lms]:
    made = Lms()
    with running(made) as lms_port:
        made.platform.issuer = f"http://localhost:{lms_port}"
        port = free_port()
        settings = {
            **school,
            "lti_launch_url": f"http://127.0.0.1:{port}/ui/lti/launch",
            "platform_prefixes": {made.platform.issuer: ""},
            "lti_platforms": {"lms": made.platform.described()},
        }
        with served(settings, auth="on", port=port) as made.tool:
            yield made


@pytest.fixture
def context(browser: Browser, lms: Lms) -> Iterator[BrowserContext]:
    lms.person = "T01"
    lms.changed = {}
    made = browser.new_context(locale="en-GB")
    made.set_default_timeout(15_000)
    yield made
    made.close()


def test_a_link_in_the_course_opens_the_course_in_a_frame(
    context: BrowserContext, lms: Lms
) -> None:
    """Out: `Partitioned` or `SameSite=None` in `IN_FRAME`, or `frames` in `headers_in_frames`."""
    page = context.new_page()
    page.goto(f"{lms.platform.issuer}/frame")
    frame = page.frame_locator(FRAME)
    expect(frame.get_by_role("button", name="Sign out")).to_be_visible(timeout=SLOW_MS)
    [inside] = [each for each in page.frames if each.url.startswith(lms.tool)]
    assert inside.url.startswith(f"{lms.tool}/ui/#today?course=MATH8")
    [session] = [each for each in context.cookies() if each["name"] == "edugraph_session"]
    assert (session["sameSite"], session["secure"], session["httpOnly"]) == ("None", True, True)
    # Signing out changes something, so it needs the token, which the page in the frame gets.
    frame.get_by_role("button", name="Sign out").click()
    expect(
        frame.get_by_text("To see EduGraph, open it from your learning platform.")
    ).to_be_visible(timeout=SLOW_MS)
    assert [each for each in context.cookies() if each["name"] == "edugraph_session"] == []


def test_a_link_in_the_course_opens_the_course_in_a_tab(context: BrowserContext, lms: Lms) -> None:
    """Out: `mayDraft` in drafting.js."""
    page = context.new_page()
    page.goto(lms.platform.issuer)
    page.get_by_role("link", name="EduGraph").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=SLOW_MS)
    assert page.url.startswith(f"{lms.tool}/ui/#today?course=MATH8")
    # Teachers of a platform lack the scope personal, and so no draft is offered that would be refused.
    expect(page.get_by_text("Note what you did").first).to_be_visible(timeout=SLOW_MS)
    assert page.get_by_text("Let a model draft a summary").count() == 0


def test_a_student_comes_to_the_page_about_themselves(context: BrowserContext, lms: Lms) -> None:
    """Out: `start` in main.js."""
    lms.person = "S017"
    lms.changed = {"roles": [LEARNER]}
    page = context.new_page()
    page.goto(lms.begin)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=SLOW_MS)
    assert page.url.startswith(f"{lms.tool}/ui/#student?")
    assert "student=S017" in page.url


def test_a_frame_of_another_site_shows_nothing(context: BrowserContext, lms: Lms) -> None:
    """Out: `frame-ancestors` in `headers_in_frames`."""
    with running(lms) as port:
        page = context.new_page()
        page.goto(f"http://localhost:{port}/frame")
        page.wait_for_load_state("networkidle")
        texts = [each.locator("body").inner_text() for each in page.frames[1:]]
    assert not any("EduGraph" in text for text in texts)


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("en-GB", "Your role in this course opens nothing here."),
        ("zh-CN", "你在这门课程中的角色不能打开任何内容"),
    ],
)
def test_a_role_that_opens_nothing_is_said_in_the_frame(
    browser: Browser, lms: Lms, locale: str, sentence: str
) -> None:
    lms.changed = {"roles": [f"{MEMBERSHIP}#Mentor"]}
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.goto(f"{lms.platform.issuer}/frame")
    expect(page.frame_locator(FRAME).get_by_role("alert")).to_contain_text(
        sentence, timeout=SLOW_MS
    )
    assert [each for each in context.cookies() if each["name"] == "edugraph_session"] == []
    context.close()


def test_a_browser_without_cookies_of_frames_says_what_to_do(
    context: BrowserContext, lms: Lms
) -> None:
    """Out: `lti_cookie` in signing.js."""
    page = context.new_page()
    page.route(
        "**/ui/lti/login*",
        lambda route: route.fulfill(status=303, headers={"location": forwarded(lms)}),
    )
    page.goto(f"{lms.platform.issuer}/frame")
    alert = page.frame_locator(FRAME).get_by_role("alert")
    expect(alert).to_contain_text("let it open in a new window", timeout=SLOW_MS)


def forwarded(lms: Lms) -> str:
    """Return the address at the platform to which the tool sends a browser, without its cookie."""
    query = {"state": "x" * 40, "nonce": "y" * 40, "redirect_uri": f"{lms.tool}/ui/lti/launch"}
    return f"{lms.platform.issuer}/auth?{urlencode(query)}"
