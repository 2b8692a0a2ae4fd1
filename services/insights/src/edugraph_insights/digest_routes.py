"""/v1/insights/digests: the weekly mails of a caller. /ui/digest/end: end one by the link in the mail."""

import re
from html import escape
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.digests import MOST_DIGESTS, Digests, DigestSubscription
from edugraph_insights.access import leads_in, own_person
from edugraph_insights.api import CallerDep, InsightsDep, body_as
from edugraph_insights.digest.ending import END, digest_to_end
from edugraph_insights.digest.views import Part, part_of_view
from edugraph_insights.insights import Insights
from edugraph_insights.page import headers_in_frames
from edugraph_insights.plain_page import in_both, plain_page
from edugraph_insights.problems import problem_responses
from edugraph_insights.sentences import Language
from edugraph_insights.settings import ADDRESS

DIGESTS = "/v1/insights/digests"
MOST_ADDRESS_LENGTH = 254  # RFC 5321
MOST_TOKEN_LENGTH = 200
ID_PATTERN = r"^[0-9a-f]{32}$"

router = APIRouter()
DigestId = Path(pattern=ID_PATTERN)


class WantedDigest(ContractModel):
    """A course about which a caller wants a weekly mail, and the language of the mail.

    With `view_id`, the mail is about the group that this saved view of the caller shows in the course, or about the
    students of this list.
    """

    course_id: Id
    view_id: str | None = Field(default=None, pattern=ID_PATTERN)
    language: Language = "en"


class Digest(WantedDigest):
    id: str
    links: dict[str, str]


class DigestsOfCaller(ContractModel):
    """The weekly mails of a caller.

    `offered` says whether this installation sends such mails. `address` is where they go: it comes from the issuer,
    the learning platform or the API key, and is null if none of them gives an address of the caller.
    """

    offered: bool
    address: str | None
    digests: tuple[Digest, ...]


async def wanted_digest(request: Request, _caller: CallerDep) -> WantedDigest:
    """Return the body of the request. It is read after the caller was admitted. Raises Problem 422."""
    return await body_as(WantedDigest, request)


@router.get(
    DIGESTS,
    tags=["digests"],
    summary="Which weekly mails do I get?",
    responses=problem_responses(401, 403, 429, 503),
)
def list_digests(insights: InsightsDep, caller: CallerDep) -> DigestsOfCaller:
    """Return the weekly mails of this caller. From now on they go to the address that the caller has now."""
    need_teacher(caller)
    address = address_of(caller)
    digests = _digests_if_offered(insights)
    if digests is None:
        return DigestsOfCaller(offered=False, address=address, digests=())
    found = []
    for digest_id, digest in digests.of(caller.client_id).items():
        if address is not None and digest.address != address:
            moved = digest.model_copy(update={"address": address})
            digests.keep(caller.client_id, digest_id, moved)
        found.append(shown(digest_id, digest))
    return DigestsOfCaller(offered=True, address=address, digests=tuple(found))


@router.post(
    DIGESTS,
    status_code=201,
    tags=["digests"],
    summary="Subscribe to the weekly mail of a course",
    responses=problem_responses(400, 401, 403, 404, 408, 413, 422, 429, 503),
    openapi_extra=described_body(WantedDigest),
)
def add_digest(
    wanted: Annotated[WantedDigest, Depends(wanted_digest)],
    insights: InsightsDep,
    caller: CallerDep,
) -> Digest:
    """Send this caller a mail each week about a course in which the caller leads students.

    A caller has at most one mail for each course, view and list. A second request changes its language. A mail about
    a view ends when the view is deleted or shows no group of the course, and one about a list with the list. The mail
    goes to the address that the issuer, the learning platform or the API key gives; nobody else's can be named.
    """
    need_teacher(caller)
    digests = offered_digests(insights)
    now = insights.now()
    part = wanted_part(insights, caller, wanted)
    graph = insights.graph
    if not leads_in(graph, caller, wanted.course_id, now, part.group, listed=part.students):
        words = "You lead no student of this course, group or list now, so there is no mail about it for you."
        raise Refusal(403, "rows", words, caller.client_id)
    address = address_of(caller)
    if address is None:
        words = (
            "No mail address of yours is known. The issuer or the learning platform gives it when you sign in, and "
            "an operator with the key (edugraph keys create --address)."
        )
        raise Problem(422, "no-address", words)
    digest = DigestSubscription(
        person=own_person(insights.graph, caller),
        course=wanted.course_id,
        view=wanted.view_id,
        address=address,
        language=wanted.language,
        since=now,
    )
    kept = digests.of(caller.client_id)
    digest_id = uuid4().hex
    for other_id, other in kept.items():
        if (other.course, other.view) == (wanted.course_id, wanted.view_id):
            digest_id = other_id
    if digest_id not in kept and len(kept) >= MOST_DIGESTS:
        words = f"You have {MOST_DIGESTS} weekly mails, and there is room for no more; end one."
        raise Problem(422, "too-many", words)
    digests.keep(caller.client_id, digest_id, digest)
    return shown(digest_id, digest)


@router.delete(
    f"{DIGESTS}/{{digest_id}}",
    status_code=204,
    response_class=Response,
    tags=["digests"],
    summary="End a weekly mail",
    responses=problem_responses(401, 403, 404, 422, 429, 503),
)
def end_digest(insights: InsightsDep, caller: CallerDep, digest_id: str = DigestId) -> None:
    if not offered_digests(insights).end(caller.client_id, digest_id):
        raise Problem(404, "not-found", "You have no weekly mail with this id; it may have ended.")


@router.get(END, include_in_schema=False)
def ask_to_end(
    insights: InsightsDep, token: Annotated[str, Query(max_length=MOST_TOKEN_LENGTH)] = ""
) -> HTMLResponse:
    """Return a page with one button. Programs that only look at links end nothing."""
    offered_digests(insights)
    form = f"""<form method="post" action="{END}?token={escape(token)}">
<p>{in_both("Do you want no more of these weekly mails?", "不再接收此每周邮件？")}</p>
<p><button type="submit">{in_both("End the mail", "退订")}</button></p>
</form>"""
    return page_of(insights, form)


@router.post(END, include_in_schema=False)
def end_by_link(
    insights: InsightsDep, token: Annotated[str, Query(max_length=MOST_TOKEN_LENGTH)] = ""
) -> HTMLResponse:
    """End the weekly mail whose signed token this is. The body is not read. Raises Problem 404."""
    digests = offered_digests(insights)
    digest_id = digest_to_end(insights.settings, token)
    if digest_id is None:
        raise Problem(404, "not-found", "This link ends no weekly mail; it may be cut off.")
    digests.end_by_id(digest_id)
    return page_of(
        insights, f"<p>{in_both('You get no more of these mails.', '已退订此邮件。')}</p>"
    )


def need_teacher(caller: Caller) -> None:
    """Raise Refusal 403 if the caller is not a teacher."""
    if "teacher" not in caller.roles:
        words = "Only a teacher who leads students gets a weekly mail about a course."
        raise Refusal(403, "role", words, caller.client_id)


def wanted_part(insights: Insights, caller: Caller, wanted: WantedDigest) -> Part:
    """Return the part of the course that a wanted mail is about. Raises Problem 404 and 422."""
    if wanted.view_id is None:
        return Part()
    view = insights.views.find(caller.client_id, wanted.view_id)
    if view is None:
        raise Problem(404, "not-found", "You have no view with this id; it may be deleted.")
    part = part_of_view(view, wanted.course_id)
    if part is None:
        words = (
            "This view shows no group of the course. Choose a group and save the view again, or name a list of the "
            "course."
        )
        raise Problem(422, "invalid", words)
    return part


def offered_digests(insights: Insights) -> Digests:
    """Return the subscriptions. Raises Problem 404 if this installation sends no mail.

    An operator may well leave this out, so it is not an error of the server.
    """
    digests = _digests_if_offered(insights)
    if digests is None:
        words = (
            "This installation sends no weekly mails: the operator sets EDUGRAPH_DIGEST_PAGE_URL "
            "and EDUGRAPH_SMTP_FROM."
        )
        raise Problem(404, "not-set-up", words)
    return digests


def _digests_if_offered(insights: Insights) -> Digests | None:
    """Return the weekly mails of all callers, or None: without a sender messages go to chats alone."""
    if not insights.settings.smtp_from:
        return None
    return insights.digests


def address_of(caller: Caller) -> str | None:
    """Return the mail address of a caller, or None if none is known to which a mail can be sent."""
    address = caller.address or ""
    is_usable = re.fullmatch(ADDRESS, address) and len(address) <= MOST_ADDRESS_LENGTH
    if not is_usable or address.endswith("\n"):
        return None
    return address


def shown(digest_id: str, digest: DigestSubscription) -> Digest:
    return Digest(
        id=digest_id,
        course_id=digest.course,
        view_id=digest.view,
        language=digest.language,
        links={"self": f"{DIGESTS}/{digest_id}"},
    )


def page_of(insights: Insights, content: str) -> HTMLResponse:
    headers = {**headers_in_frames(insights.settings, "'self'"), "Cache-Control": "no-store"}
    return HTMLResponse(plain_page("EduGraph", content), headers=headers)
