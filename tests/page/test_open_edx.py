"""The page in a course of Open edX: launches, links and members, made and checked by the platform's own code.

The launches of test_lti.py are made up here. These come from lti-consumer-xblock, and so do the verdicts on what we
send to the platform.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from engines import missing
from page.school import served
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pydantic import SecretStr
from waiting import until

from edugraph_cli.processes import free_port
from edugraph_cli.pulling.lti import MEDIA_TYPE, LtiMembers, token_of_tool
from edugraph_cli.pulling.rest import RestApi
from edugraph_cli.pulling.rounds import CannotRead
from edugraph_common.runtime.service.lti_key import LtiKey
from edugraph_common.sources import Platforms

pytestmark = pytest.mark.embedded
HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".run" / "open-edx" / "bin" / "python"
CLIENT_ID = "edugraph-at-open-edx"
# The page loads some thirty files, which a machine that runs other tests gives slowly.
SLOW_MS = 20_000


def new_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass(frozen=True)
class OpenEdx:
    """The platform at `url`, and EduGraph at `tool`, whose links and requests `key` signs."""

    url: str
    tool: str
    key: LtiKey

    def course(self, user: str, role: str, **more: str) -> str:
        """Return the address of the course, in which EduGraph is a frame."""
        return str(httpx.URL(f"{self.url}/course", params={"user": user, "role": role, **more}))

    def members(self, key: LtiKey) -> list[dict[str, Any]]:
        """Return the records of one round of `edugraph pull lti`. Raises CannotRead."""
        now = datetime.now(UTC)
        token = token_of_tool(f"{self.url}/token", CLIENT_ID, key, now)

        def api(address: str) -> RestApi:
            return RestApi(address, SecretStr(token.get_secret_value()), accept=MEDIA_TYPE)

        lists = LtiMembers(
            api,
            [f"{self.url}/members"],
            key,
            Platforms.of_addresses({self.url: ""}),
            platform=self.url,
            person_claim="sub",
            now=now,
        )
        records = []
        for part in lists.parts({}):
            with part.open() as path:
                for line in path.read_text("utf-8").splitlines():
                    records.append(json.loads(line)["data"])
        return records


@pytest.fixture(scope="module")
def open_edx(school: Mapping[str, str]) -> Iterator[OpenEdx]:
    if not PYTHON.exists():
        missing("the platform's libraries are not installed: run `make env-open-edx`")
    platform_port = free_port()
    port = free_port()
    url = f"http://localhost:{platform_port}"
    tool = f"http://127.0.0.1:{port}"
    pem = new_pem()
    described = {
        "issuer": url,
        "client_id": CLIENT_ID,
        "deployment_ids": ["1"],
        "login_url": f"{url}/auth",
        "keys_url": f"{url}/keys",
        "frames": [url],
    }
    settings = {
        **school,
        "lti_launch_url": f"{tool}/ui/lti/launch",
        "platform_prefixes": {url: ""},
        "lti_platforms": {"openedx": described},
        "lti_key": pem,
    }
    program = HERE / "open_edx" / "platform_server.py"
    command = [str(PYTHON), str(program), str(platform_port), tool]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as platform:
        try:
            until(lambda: is_answering(url), 60)
            # The platform signs at the time of its clock.
            with served(settings, auth="on", port=port, now=lambda: datetime.now(UTC)) as tool:
                yield OpenEdx(url, tool, LtiKey(pem))
        finally:
            platform.terminate()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(locale="en-GB")
    yield made
    made.close()


def is_answering(url: str) -> bool:
    try:
        return httpx.get(f"{url}/keys").is_success
    except httpx.TransportError:
        return False


def opened(page: Page, address: str, tool: str) -> str:
    """Open a course, wait for the page in its frame, and return the part of its address behind the #."""
    page.goto(address)
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("button", name="Sign out")).to_be_visible(timeout=SLOW_MS)
    [inside] = [each for each in page.frames if each.url.startswith(tool)]
    address_inside: str = inside.url
    return address_inside.partition("#")[2]


# Open edX makes administrators of a course its "instructor" and other teachers its "staff".
@pytest.mark.parametrize("role", ["staff", "instructor", "limited_staff"])
def test_who_teaches_in_the_course_comes_to_its_page(
    context: BrowserContext, open_edx: OpenEdx, role: str
) -> None:
    page = context.new_page()
    assert opened(page, open_edx.course("T01", role), open_edx.tool).startswith(
        "today?course=MATH8"
    )


def test_a_student_comes_to_the_page_about_themselves(
    context: BrowserContext, open_edx: OpenEdx
) -> None:
    view = opened(context.new_page(), open_edx.course("S017", "student"), open_edx.tool)
    assert view.startswith("student?")
    assert "student=S017" in view


def test_who_runs_the_platform_teaches_nobody_and_sees_nobody(
    context: BrowserContext, open_edx: OpenEdx
) -> None:
    """Open edX calls its administrators instructors of each course. Rosters say whom a teacher sees."""
    page = context.new_page()
    opened(page, open_edx.course("X99", "global_staff"), open_edx.tool)
    frame = page.frame_locator("iframe")
    nothing = "There is no course that you may ask about."
    expect(frame.get_by_role("main")).to_contain_text(nothing, timeout=SLOW_MS)


def test_open_edx_takes_a_link_to_a_point_and_the_link_opens_it(
    context: BrowserContext, open_edx: OpenEdx
) -> None:
    """Out: any claim of `answer_with`, or the key at /ui/lti/keys."""
    page = context.new_page()
    asks_for_a_link = {"message": "LtiDeepLinkingRequest"}
    page.goto(open_edx.course("T01", "staff", **asks_for_a_link))
    frame = page.frame_locator("iframe")
    choices = frame.get_by_role("combobox")
    expect(choices).to_be_visible(timeout=SLOW_MS)
    point = choices.locator("option").filter(has_text="Point").first
    choices.select_option(value=point.get_attribute("value"))
    frame.get_by_role("button").click()
    [item] = json.loads(frame.locator("pre").inner_text(timeout=SLOW_MS))
    assert item["type"] == "ltiResourceLink"
    assert item["url"] == f"{open_edx.tool}/ui/lti/launch"

    address = open_edx.course("T01", "staff", **item["custom"])
    view = opened(context.new_page(), address, open_edx.tool)
    assert view.startswith("point?")
    assert httpx.URL(f"?{view.partition('?')[2]}").params["point"] == item["custom"]["point"]


def test_the_members_of_the_course_are_read_with_a_token_of_open_edx(open_edx: OpenEdx) -> None:
    """Out: a claim of `token_of_tool`, or its scope."""
    # Open edX sends the course without a title.
    group = {"group_id": "MATH8", "course_id": "MATH8"}
    assert open_edx.members(open_edx.key) == [
        {**group, "teacher_id": "T01", "teacher_name": "Grace Hopper"},
        {**group, "student_id": "S017", "student_name": "Ada Lovelace"},
    ]


def test_open_edx_refuses_a_request_that_another_key_signed(open_edx: OpenEdx) -> None:
    with pytest.raises(CannotRead):
        open_edx.members(LtiKey(new_pem()))
