"""Reading again after an import of points, in a real browser: the price comes first, and nothing starts by itself."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from page.readable import WIDTHS, check_width, serious
from page.visitor import Visitor
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.embedded

COURSE = "MATH & 8"
# A sample of 100 of 1,000 mistakes costs 0.25, and all 3 texts cost 0.5.
FOUND = {
    "texts": {"error": 1_000, "knowledge_points": 3},
    "sampled": {"error": 100, "knowledge_points": 3},
    "estimates": {"error": "of-errors", "knowledge_points": "of-texts"},
    "not_kept": 2,
    "left": 5,
}


class Gateway:
    """A gateway whose latest job has texts that were read before. It keeps the requests that it got."""

    def __init__(self, page: Page) -> None:
        self.asked: list[str] = []
        self.shown_job: dict[str, Any] = {}
        self.results: dict[str, Any] = {
            "estimate": FOUND,
            "of-errors": {"cost": 0.25},
            "of-texts": {"cost": 0.5},
            "start": {"texts": FOUND["texts"]},
        }
        page.route(re.compile("/v1/jobs/[^/?]+$"), self.job)
        page.route("**/v1/analyses/again**", self.take)
        page.route("**/v1/tasks/*", self.show)

    def job(self, route: Route) -> None:
        # The job that reads again is shown as the first one.
        if not self.shown_job:
            self.shown_job = route.fetch().json()
        route.fulfill(json={**self.shown_job, "read_before": {COURSE: 1_003}})

    def take(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        assert route.request.method == "POST"
        assert parse_qs(address.query) == {"course": [COURSE]}
        self.asked.append(address.path)
        task = "start"
        if address.path.endswith("/estimate"):
            task = "estimate"
        route.fulfill(status=202, json={"job_id": "again-job", "task_id": task, "links": {}})

    def show(self, route: Route) -> None:
        task = route.request.url.rsplit("/", 1)[-1]
        route.fulfill(json={"task_id": task, "state": "SUCCESS", "result": self.results[task]})


def opened(visit: Visitor, language: str) -> Page:
    """Show a job of the demo that has ended."""
    job = next(each for each in visit.job_list() if each["state"] == "succeeded")
    visit.open("imports", lang=language)
    visit.add(job=job["job_id"])
    shown = visit.ready()
    shown.locator(".again").wait_for()
    return shown


def asked_for_price(shown: Page) -> Any:
    block = shown.locator(".again")
    block.get_by_role("button").first.click()
    block.locator(".cost").wait_for()
    return block


@pytest.mark.parametrize(
    ("language", "before", "price"),
    [
        ("en", "1,003 texts and mistakes of MATH & 8 were read before", "Estimated price: 3."),
        ("zh", "MATH & 8 有 1,003 条文字和错误", "估计费用：3。"),
    ],
)
def test_the_price_is_shown_before_anything_is_read(
    visit_demo: Visitor, language: str, before: str, price: str
) -> None:
    """Out: the multiplication in `costOf`, the estimate before the start, or the second button."""
    gateway = Gateway(visit_demo.page)
    shown = opened(visit_demo, language)
    assert before in shown.locator(".again").inner_text()
    assert gateway.asked == []
    block = asked_for_price(shown)
    assert block.locator(".cost").inner_text() == price
    assert gateway.asked == ["/v1/analyses/again/estimate"]
    block.get_by_role("button").last.click()
    expect(shown).to_have_url(re.compile("job=again-job"))
    assert gateway.asked == ["/v1/analyses/again/estimate", "/v1/analyses/again"]


def test_without_a_price_the_page_says_so(visit_demo: Visitor) -> None:
    """Out: the null in `costOf`."""
    gateway = Gateway(visit_demo.page)
    gateway.results["of-errors"] = {"cost": None}
    block = asked_for_price(opened(visit_demo, "en"))
    assert "Nobody has set a price" in block.locator(".cost").inner_text()


def test_nothing_can_be_started_without_texts(visit_demo: Visitor) -> None:
    """Out: the condition of the second button."""
    gateway = Gateway(visit_demo.page)
    gateway.results["estimate"] = {"not_kept": 7}
    block = opened(visit_demo, "en").locator(".again")
    block.get_by_role("button").click()
    block.get_by_text("No text of this course can be read again now.").wait_for()
    assert "7 texts came inline or live" in block.inner_text()
    assert block.get_by_role("button").count() == 1


def test_a_refusal_is_shown(visit_demo: Visitor) -> None:
    """Out: the refusal in `button`."""
    Gateway(visit_demo.page)
    visit_demo.allowed = ("503",)
    problem = {"type": "urn:edugraph:problem:backpressure", "detail": "the queue is full"}
    visit_demo.page.route(
        "**/v1/analyses/again/**", lambda route: route.fulfill(status=503, json=problem)
    )
    block = opened(visit_demo, "en").locator(".again")
    block.get_by_role("button").click()
    block.locator(".refusal").wait_for()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_offer_is_readable(visit_demo: Visitor, language: str, width: int) -> None:
    Gateway(visit_demo.page)
    visit_demo.page.set_viewport_size({"width": width, "height": 900})
    shown = opened(visit_demo, language)
    asked_for_price(shown).scroll_into_view_if_needed()
    check_width(shown)
    assert serious(shown) == []
