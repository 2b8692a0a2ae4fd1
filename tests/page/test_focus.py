"""Who works by keyboard stays where they are while a part of the page is replaced under their hands."""

import json

import pytest
from page.test_pages import COURSE
from page.visitor import Visitor
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.embedded

NAME = "document.activeElement.dataset.keepFocus ?? document.activeElement.tagName"


def imported(shown: Page) -> None:
    """An import ends while its page is shown: what may be chosen, and the list of jobs, come anew."""
    with shown.expect_response(lambda answer: answer.url.endswith("/choices")):
        shown.evaluate("document.dispatchEvent(new Event('imported'))")
    shown.wait_for_load_state("networkidle")


def test_typing_in_a_search_goes_on_in_the_redrawn_page(visit: Visitor) -> None:
    """Out: in `giveBack`, the caret; in `searchInput`, `goOn`."""
    shown = visit.open("map", course=COURSE, lang="en")
    shown.clock.install()
    shown.get_by_label("Find a point").focus()
    shown.clock.fast_forward("10:00")  # longer than an answer is remembered
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    for letters in ("二", "二次", "二次根"):
        shown.keyboard.insert_text(letters[-1])
        shown.clock.run_for(200)
        shown.wait_for_function(
            "found => decodeURIComponent(location.hash).includes(`find=${found}`)", arg=letters
        )
        visit.ready()
        shown.wait_for_function("() => document.activeElement.type === 'search'")
        assert shown.get_by_label("Find a point").input_value() == letters
    shown.keyboard.press("Home")
    shown.keyboard.insert_text("x")
    shown.clock.run_for(200)
    shown.wait_for_function("() => decodeURIComponent(location.hash).includes('find=x二次根')")
    visit.ready()
    shown.keyboard.insert_text("y")
    assert shown.get_by_label("Find a point").input_value() == "xy二次根"
    assert [each for each in asked if "/v1/" in each] == []


@pytest.mark.parametrize("name", ["nav-students", "pick-course", "only", "views"])
def test_an_import_that_ends_leaves_the_focus_where_it_is(visit_demo: Visitor, name: str) -> None:
    """Out: in `main.js`, `keepingFocus` at the event; let it draw the whole head; in `imports.js`, wait for no jobs."""
    shown = visit_demo.open("imports", lang="en")
    if name == "views":
        shown.locator(".views summary").click()
        shown.locator(".views input").fill("half a na")
        imported(shown)
        shown.keyboard.type("me")
        assert shown.locator(".views input").input_value() == "half a name"
        return
    shown.locator(f"[data-keep-focus='{name}']").focus()
    shown.evaluate("document.activeElement.dataset.old = 'old'")
    imported(shown)
    shown.wait_for_function("() => !document.querySelector('[data-old]')")  # it is another element
    assert shown.evaluate(NAME) == name


def test_an_import_that_ends_while_a_page_is_on_its_way_does_not_stop_it(
    visit_demo: Visitor,
) -> None:
    """Out: let the event `imported` in main.js set `choices` to null until the new ones have come."""
    shown = visit_demo.open("imports", lang="en")
    held: dict[str, Route] = {}
    shown.route("**/pages/overview.js", lambda route: held.update(module=route))
    shown.get_by_role("link", name="Overview", exact=True).click()
    shown.wait_for_function("() => !document.querySelector('main[data-ready]')")
    shown.route("**/v1/insights/choices", lambda route: held.update(choices=route))
    with shown.expect_request("**/v1/insights/choices"):
        shown.evaluate("document.dispatchEvent(new Event('imported'))")
    held["module"].continue_()
    shown.locator("[data-page=overview] [data-question=weak-points] table").wait_for()
    held["choices"].continue_()
    visit_demo.ready()


def test_a_job_that_goes_on_keeps_the_focus_and_at_its_end_leads_to_it(visit_demo: Visitor) -> None:
    """Out: in `oneJob`, `keepingFocus`, or its heading; let `act` disable its button."""
    visit = visit_demo
    shown = visit.open("imports", lang="en")
    job = next(each for each in visit.job_list() if each["source"] == "courses.ndjson")
    cancelled: list[Route] = []

    def events(route: Route) -> None:
        state = {"state": "cancelled" if cancelled else "running", "batches": 4, "batches_done": 1}
        body = f"event: job\ndata: {json.dumps(job | state)}\n\n"
        route.fulfill(body=body, headers={"Content-Type": "text/event-stream; charset=utf-8"})

    def cancel(route: Route) -> None:
        cancelled.append(route)
        route.fulfill(json=job)

    address = f"**/v1/jobs/{job['job_id']}"
    shown.route(address, lambda route: route.fulfill(json=job | {"state": "running"}))
    shown.route(f"{address}/events", events)
    shown.route(f"{address}/cancel", cancel)
    # The list of jobs has twenty rows, and other tests import as well.
    visit.add(job=job["job_id"])
    button = shown.get_by_role("button", name="Cancel")
    button.focus()
    button.evaluate("e => { e.dataset.old = 'old'; }")
    shown.wait_for_function("() => !document.querySelector('[data-old]')")
    assert shown.evaluate("document.activeElement.textContent") == "Cancel"
    shown.keyboard.press("Enter")
    expect(shown.locator(".job [data-state]")).to_have_attribute("data-state", "cancelled")
    assert shown.evaluate("document.activeElement.textContent") == "courses.ndjson"
    assert shown.evaluate("document.activeElement.tagName") == "H3"


def test_a_verdict_that_is_taken_back_leaves_the_focus_in_its_panel(visit: Visitor) -> None:
    """Out: in `draw`, `keepingFocus`; in `correction`, what was typed."""
    shown = visit.open("review", course=COURSE, lang="en")
    answers = iter([202, 202, 503])
    held: list[Route] = []

    def takes(route: Route) -> None:
        if (status := next(answers)) == 503:
            held.append(route)
        else:
            route.fulfill(status=status, json={"links": {"task": "/v1/tasks/t"}})

    visit.allowed = ("503",)
    shown.route("**/v1/reviews", takes)
    shown.route("**/v1/tasks/t", lambda route: route.fulfill(json={"state": "SUCCESS"}))
    shown.keyboard.press("a")
    shown.keyboard.press("k")
    shown.get_by_role("button", name="Undo").focus()
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.closest('.review-panel') !== null")
    shown.keyboard.press("a")
    while not held:
        shown.wait_for_timeout(20)
    shown.keyboard.press("c")
    shown.keyboard.type("half a na")
    held[0].fulfill(status=503, json={"type": "urn:edugraph:unavailable", "detail": "no"})
    shown.wait_for_selector(".failed")
    shown.keyboard.type("me")
    assert shown.locator("#instead").input_value() == "half a name"
