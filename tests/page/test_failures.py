"""What the page shows when an answer fails, how long it holds what it showed, and what it is on paper."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from page.test_pages import COURSE, LANGUAGES, STUDENT, TERM, with_key
from page.visitor import Visitor
from playwright.sync_api import Page
from waiting import until

pytestmark = pytest.mark.embedded

VISITS = 30
BLOCK = "[data-question=weak-points]"
QUESTION = "**/v1/insights/weak-points?*"
Answer = Callable[[Any], None]


def break_off(route: Any) -> None:
    route.fulfill(status=200, headers={"Content-Type": "application/json"}, body='{"rows": [')


def be_no_json(route: Any) -> None:
    route.fulfill(
        status=200, headers={"Content-Type": "application/json"}, body="<html>a proxy</html>"
    )


def be_away(route: Any) -> None:
    route.abort()


def be_busy(route: Any) -> None:
    problem = {
        "type": "urn:edugraph:problem:busy",
        "title": "?",
        "status": 503,
        "detail": "ask again",
    }
    route.fulfill(status=503, json=problem)


def answer_nothing(_route: Any) -> None:
    """The request stays open."""


@pytest.mark.parametrize("answer", [break_off, be_no_json, be_away, be_busy, answer_nothing])
def test_a_failed_answer_ends_in_a_sentence_and_is_asked_for_again(
    visit: Visitor, answer: Answer
) -> None:
    """To take the guards out: parse with `answer.json()` in api.js; leave AbortSignal.timeout out of `call`."""
    visit.allowed = ("503", "ERR_FAILED")
    visit.page.add_init_script(
        "const timeout = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = () => timeout(700)"
    )
    visit.page.route(QUESTION, answer)
    shown = visit.open("overview", course=COURSE, lang="en")
    refused = shown.locator(f"{BLOCK} .refusal")
    assert len(refused.inner_text()) > 20
    assert not shown.query_selector(".waits")
    visit.page.unroute(QUESTION)
    if answer is be_away:
        # The block asks again by itself.
        shown.locator(f"{BLOCK} .refusal").wait_for(state="detached")
    else:
        shown.locator(BLOCK).get_by_role("button", name="Ask again").click()
    shown.wait_for_selector(f"{BLOCK} tbody data")
    assert not shown.query_selector(f"{BLOCK} .refusal")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_last_answer_stays_and_says_its_time_while_no_newer_one_can_be_had(
    visit: Visitor, language: str
) -> None:
    """To take the guard out: throw the problem in `ask` of api.js although there is an old answer."""
    visit.allowed = ("503",)
    shown = visit.open("overview", course=COURSE, lang=language)
    before = visit.values(f"{BLOCK} tbody")
    go_to(shown, "students", "overview")
    visit.page.route(QUESTION, be_busy)
    # No answer is remembered any longer.
    shown.evaluate("const now = Date.now; Date.now = () => now() + 31_000")
    go_to(shown, "overview", "students")
    shown.wait_for_selector(f"{BLOCK} [data-outdated]")
    visit.ready()
    assert visit.values(f"{BLOCK} tbody") == before
    assert not shown.query_selector(f"{BLOCK} .refusal")
    visit.page.unroute(QUESTION)
    shown.locator(BLOCK).get_by_role("button").last.click()
    shown.locator(f"{BLOCK} [data-outdated]").wait_for(state="detached")


def go_to(shown: Page, page: str, previous: str) -> None:
    """Change the address to another page, and wait until that page is shown."""
    shown.evaluate(f"location.hash = location.hash.replace('#{previous}', '#{page}')")
    # A handle of an element would keep its whole page in the browser's memory, so this waits without one.
    shown.locator(f"[data-page={page}] section").first.wait_for()
    shown.locator("main[data-ready]").wait_for()


def test_a_bug_of_the_page_ends_in_a_sentence(visit: Visitor) -> None:
    """To take the guard out: throw again what is not a Problem in `refusal` of parts.js."""
    visit.page.route(QUESTION, lambda route: route.fulfill(json={"rows": "what no answer is"}))
    shown = visit.open("overview", course=COURSE, lang="en")
    assert "This page has an error" in shown.locator(f"{BLOCK} .refusal").inner_text()
    assert visit.wrong, "the console has the bug"
    visit.wrong.clear()


def test_words_that_cannot_be_loaded_are_missed_in_both_languages(visit: Visitor) -> None:
    """To take the guard out: leave `hasWords` out of `askWho` in main.js."""
    visit.allowed = ("ERR_FAILED",)
    visit.page.route("**/words/*.json", be_away)
    shown = visit.open("overview", course=COURSE)
    text = shown.locator("main").inner_text()
    assert re.search("[A-Za-z]{4}", text)
    assert re.search("[\u4e00-\u9fff]{4}", text)


@pytest.mark.parametrize("name", ["constructor", "__proto__", "toString", "fr"])
def test_a_language_that_is_not_spoken_is_the_browsers(visit: Visitor, name: str) -> None:
    shown = visit.open("overview", course=COURSE, lang=name)
    assert shown.locator("h1").inner_text() == LANGUAGES["en"]["overview.title"]


def test_many_visits_leave_nothing_behind(visit: Visitor) -> None:
    """To take the guards out: leave one of the `abort` listeners out of charts.js or networks.js."""
    shown = visit.open("overview", course=COURSE, lang="en")
    inspector = shown.context.new_cdp_session(shown)
    inspector.send("Performance.enable")

    def held() -> dict[str, float]:
        inspector.send("HeapProfiler.collectGarbage")
        metrics = inspector.send("Performance.getMetrics")["metrics"]
        return {
            each["name"]: each["value"]
            for each in metrics
            if each["name"] in {"Nodes", "JSEventListeners"}
        }

    def visit_both() -> None:
        go_to(shown, "map", "overview")
        shown.locator(".map canvas").first.wait_for()
        go_to(shown, "overview", "map")
        shown.locator(".chart canvas").first.wait_for()

    for _ in range(3):
        visit_both()
    before = held()
    for _ in range(VISITS):
        visit_both()
    # The browser gives the last view back after its animations.
    until(lambda: all(held()[name] < before[name] * 1.1 for name in before), 15)


def test_pictures_are_loaded_only_where_they_are_drawn(visit: Visitor) -> None:
    loaded: list[str] = []
    visit.page.on("request", lambda request: loaded.append(request.url))
    shown = visit.open("students", course=COURSE, lang="en")
    assert not [each for each in loaded if "cytoscape" in each]
    go_to(shown, "map", "students")
    shown.wait_for_selector(".map canvas")
    assert [each for each in loaded if "cytoscape.esm" in each]


def test_large_answers_are_compressed_and_the_session_is_not(open_address: str) -> None:
    """To take the guard out: leave GZipMiddleware out of app.py."""
    with httpx.Client(base_url=open_address, headers={"Accept-Encoding": "gzip"}) as client:
        answer = client.get("/v1/insights/roster", params={"course": COURSE})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.json()["rows"]
        assert client.get("/ui/page.css").headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in client.get("/ui/session").headers


def test_on_paper_it_is_light_and_afterwards_it_is_as_before(visit: Visitor) -> None:
    """To take the guard out: leave `onPaper` out of `dress` in main.js."""
    visit.page.emulate_media(color_scheme="dark")
    shown = visit.open("overview", course=COURSE, term=TERM, lang="en")
    assert shown.locator("html").get_attribute("data-theme") == "dark"
    open_details = "document.querySelectorAll('details[open]').length"
    opened = shown.evaluate(open_details)
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator("html").get_attribute("data-theme") == "light"
    assert shown.evaluate(open_details) > opened
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.locator("html").get_attribute("data-theme") == "dark"
    assert shown.evaluate(open_details) == opened


def test_bars_can_be_seen_in_forced_colours(visit: Visitor) -> None:
    """To take the guard out: leave `forced-color-adjust` out of page.css."""
    visit.page.emulate_media(forced_colors="active")
    shown = visit.open("overview", course=COURSE, lang="en")
    colours = "e => [e, e.firstElementChild].map(each => getComputedStyle(each).backgroundColor)"
    empty, filled = shown.locator(f"{BLOCK} .bar").first.evaluate(colours)
    assert empty != filled


def test_without_the_scope_review_the_review_page_can_only_be_read(visit_guarded: Visitor) -> None:
    """To take the guards out: leave `mayReview` out of `press` or `buttons` in review.js."""
    visit = visit_guarded
    visit.page.add_init_script(with_key("eg_teacher:T01"))
    sent: list[str] = []
    visit.page.on(
        "request", lambda request: sent.append(request.url) if request.method == "POST" else None
    )
    shown = visit.open("review", course=COURSE, lang="en")
    assert "needs the scope review" in shown.locator("main").inner_text()
    assert shown.locator(".verdicts button").count() == 2, "to the next and the previous row"
    first = shown.locator(".queue a[aria-current]").get_attribute("data-key")
    for key in "armncu":
        shown.keyboard.press(key)
    assert shown.locator(".queue a[aria-current]").get_attribute("data-key") == first
    shown.keyboard.press("j")
    assert shown.locator(".queue a[aria-current]").get_attribute("data-key") != first
    assert sent == []


def test_a_student_may_see_the_page_of_review_no_more_than_before(visit_guarded: Visitor) -> None:
    visit_guarded.page.add_init_script(with_key(f"eg_student:{STUDENT}"))
    shown = visit_guarded.open("student", course=COURSE, student=STUDENT, lang="en")
    assert not shown.query_selector("nav a[href*=review]")
