"""Links that a teacher makes in a course of a learning platform, by LTI Deep Linking 2.0.

The platform asks with a launch, and the browser brings it the answer: a link that insights signed. Each choice of the
page is such an answer, so the page needs no script, and nothing is kept here until the teacher has chosen.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from html import escape
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from edugraph_common.runtime.service.settings import LtiPlatform, is_web_address
from edugraph_common.runtime.shared_state.lti import CLAIM, Launch, object_of
from edugraph_insights.available import Choices, available
from edugraph_insights.insights import Insights
from edugraph_insights.plain_page import in_both, plain_page

ANSWER_LIFETIME = timedelta(minutes=10)
MOST_COURSES = 100
MOST_POINTS = 300  # each choice is a signed text of about a thousand characters
_DEEP = "https://purl.imsglobal.org/spec/lti-dl/claim/"
_SETTINGS = f"{_DEEP}deep_linking_settings"
LINK = "ltiResourceLink"


class Link(NamedTuple):
    """A place in EduGraph. `custom` has the parameters of the link, by which a launch finds the place again."""

    title: str
    custom: dict[str, str]


class LinkRequest(NamedTuple):
    """The request of a platform for a link: where the answer goes, and `data` that goes back with it."""

    return_url: str
    data: Any

    @property
    def origin(self) -> str:
        """The platform's address without a path, to which the page may send its form."""
        parts = urlsplit(self.return_url)
        return f"{parts.scheme}://{parts.netloc}"


def request_in(launch: Launch) -> LinkRequest | None:
    """Return what a launch asks for, or None if the platform takes no link or does not say where to."""
    wanted = object_of(launch.claims.get(_SETTINGS))
    return_url = wanted.get("deep_link_return_url")
    accepted = wanted.get("accept_types")
    if not isinstance(accepted, list) or LINK not in accepted:
        return None
    if not isinstance(return_url, str) or not is_web_address(return_url):
        return None
    return LinkRequest(return_url, wanted.get("data"))


def links(insights: Insights, launch: Launch) -> list[Link]:
    """Return the places that a teacher may link to. Raises Refusal and Retryable.

    In a course that EduGraph knows, these are the course, its groups and its points. Elsewhere they are all courses.
    """
    choices = available(insights, launch.caller)
    found = []
    for course in choices.courses:
        if course.id == launch.course:
            found.append(Link(course.name, {"course": course.id}))
    if found:
        return [*found, *_in_course(insights, choices, launch.course)]
    for course in choices.courses[:MOST_COURSES]:
        found.append(Link(course.name, {"course": course.id}))
    return found


def _in_course(insights: Insights, choices: Choices, course: str) -> Iterator[Link]:
    for group in choices.groups:
        if not group.courses or course in group.courses:
            yield Link(group.name, {"course": course, "group": group.id})
    points = insights.graph.read("points_taught", course=course)
    for row in points[:MOST_POINTS]:
        yield Link(str(row["name"]), {"course": course, "point": str(row["point"])})


def stamped(claims: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the claims with the time from now on in which the answer is good."""
    return {**claims, "iat": int(now.timestamp()), "exp": int((now + ANSWER_LIFETIME).timestamp())}


def answer_with(
    link: Link, launch: Launch, asked: LinkRequest, platform: LtiPlatform, launch_url: str
) -> dict[str, Any]:
    """Return the claims of the answer by which the platform makes this link."""
    claims = {
        "iss": platform.client_id,
        "aud": platform.issuer,
        "nonce": launch.nonce,
        f"{CLAIM}message_type": "LtiDeepLinkingResponse",
        f"{CLAIM}version": "1.3.0",
        f"{CLAIM}deployment_id": launch.claim("deployment_id"),
        f"{_DEEP}content_items": [
            {"type": LINK, "title": link.title, "url": launch_url, "custom": link.custom}
        ],
    }
    if asked.data is not None:
        claims[f"{_DEEP}data"] = asked.data
    return claims


def page(signed: list[tuple[Link, str]], asked: LinkRequest) -> str:
    """Return the page with the choices. It is in both languages, since the platform need not say which one."""
    options = []
    for link, token in signed:
        # The last parameter is the narrowest place.
        kind = _KINDS[list(link.custom)[-1]]
        options.append(f'<option value="{escape(token)}">{kind}: {escape(link.title)}</option>')
    form = _FORM.format(
        address=escape(asked.return_url),
        options="\n".join(options),
        label=in_both("The link opens", "链接打开"),
        button=in_both("Add the link", "添加链接"),
    )
    return plain_page(in_both("Link to EduGraph", "链接到 EduGraph"), form)


_KINDS = {"course": "Course 课程", "group": "Group 班组", "point": "Point 知识点"}
_FORM = """<form method="post" action="{address}">
<p><label for="link">{label}</label>
<select id="link" name="JWT">
{options}
</select></p>
<p><button type="submit">{button}</button></p>
</form>"""
