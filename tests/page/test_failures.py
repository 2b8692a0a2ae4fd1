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


def be_busy_for_long(route: Any) -> None:
    problem = {"type": "urn:edugraph:problem:busy", "status": 503}
    route.fulfill(status=503, headers={"Retry-After": "100000"}, json=problem)


def have_a_bug(route: Any) -> None:
    problem = {"type": "urn:edugraph:problem:bug", "status": 500, "detail": "it is in the log"}
    route.fulfill(status=500, json=problem)


def be_null(route: Any) -> None:
    route.fulfill(json=None)


def be_no_table(route: Any) -> None:
    route.fulfill(json={"rows": [None], "of_how_many": {}, "left_out": {}})


def be_refused_by_a_proxy(route: Any) -> None:
    route.fulfill(status=429, json={"type": 5, "detail": {"upstream": "away"}})


def be_refused_with_null(route: Any) -> None:
    route.fulfill(status=502, json=None)


def answer_nothing(_route: Any) -> None:
    """The request stays open."""


STRANGE = (
    be_no_json,
    be_null,
    be_no_table,
    be_busy,
    be_busy_for_long,
    be_refused_by_a_proxy,
    be_refused_with_null,
    have_a_bug,
)


def time_out_soon(visit: Visitor) -> None:
    visit.page.add_init_script(
        "const timeout = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = () => timeout(700)"
    )


@pytest.mark.parametrize("answer", [break_off, be_away, answer_nothing])
def test_a_failed_answer_ends_in_a_sentence_and_is_asked_for_again(
    visit: Visitor, answer: Answer
) -> None:
    """To take the guards out: read with `answer.json()` in api.js; leave AbortSignal.timeout out of `call`."""
    visit.allowed = ("ERR_FAILED",)
    if answer is answer_nothing:
        time_out_soon(visit)
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


def test_whatever_comes_in_place_of_an_answer_ends_in_a_sentence_with_a_button(
    visit: Visitor,
) -> None:
    """To take the guards out: leave `isObject` out of `objectIn`, `isListOfObjects` out of `whole`, the types out of
    `problemOf`, the longest pause out of `inItsTurn`, the status out of `isPassing`, or `onclick` out of `block`.
    """
    visit.allowed = ("429", "500", "502", "503")
    # The block does not ask again by itself, so the button has to.
    visit.page.add_init_script(
        "const later = setTimeout; window.setTimeout = (done, ms) => (ms < 5000 ? later(done, ms) : 0)"
    )
    visit.page.route(QUESTION, break_off)
    shown = visit.open("overview", course=COURSE, lang="en")
    again = shown.locator(BLOCK).get_by_role("button", name="Ask again")
    for answer in STRANGE:
        visit.page.unroute(QUESTION)
        visit.page.route(QUESTION, answer)
        shown.locator(f"{BLOCK} .refusal").evaluate("refusal => { refusal.dataset.earlier = ''; }")
        again.click()
        refused = shown.locator(f"{BLOCK} .refusal:not([data-earlier])")
        assert len(refused.inner_text()) > 20, answer
        assert not shown.query_selector(".waits")
    visit.page.unroute(QUESTION)
    again.click()
    shown.wait_for_selector(f"{BLOCK} tbody data")


@pytest.mark.parametrize(
    ("language", "answer"), [("en", be_busy), ("zh", be_null), ("en", be_no_table)]
)
def test_the_last_answer_stays_and_says_its_time_while_no_newer_one_can_be_had(
    visit: Visitor, language: str, answer: Answer
) -> None:
    """To take the guard out: throw the problem in `ask` of api.js although there is an old answer, or keep an answer
    before `whole` has looked at it.
    """
    visit.allowed = ("503",)
    shown = visit.open("overview", course=COURSE, lang=language)
    before = visit.values(f"{BLOCK} tbody")
    go_to(shown, "students", "overview")
    visit.page.route(QUESTION, answer)
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
    # No answer has such a time, and none of its parts is missing.
    answer = visit.answer("weak-points", course=COURSE) | {"as_of": "never"}
    visit.page.route(QUESTION, lambda route: route.fulfill(json=answer))
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


def test_a_page_whose_module_does_not_come_is_loaded_again(visit: Visitor) -> None:
    """To take the guards out: leave `loaded` or the reload out of `show` and `showPage` in main.js."""
    visit.allowed = ("ERR_FAILED",)
    visit.page.route("**/pages/overview.js", be_away)
    shown = visit.open("overview", course=COURSE, lang="en")
    assert shown.locator("h1").inner_text() == LANGUAGES["en"]["status.away"]
    assert len(shown.locator(".refusal").inner_text()) > 20
    shown.unroute("**/pages/overview.js")
    shown.get_by_role("button", name="Ask again").click()
    shown.locator("[data-page=overview] [data-question=weak-points] table").wait_for()


@pytest.mark.parametrize("name", ["constructor", "__proto__", "toString", "fr"])
def test_a_language_that_is_not_spoken_is_the_browsers(visit: Visitor, name: str) -> None:
    shown = visit.open("overview", course=COURSE, lang=name)
    assert shown.locator("h1").inner_text() == LANGUAGES["en"]["overview.title"]


def test_a_picture_whose_library_does_not_come_ends_in_a_sentence(visit: Visitor) -> None:
    """To take the guard out: leave `inTime` out of `loaded` in api.js."""
    time_out_soon(visit)
    visit.page.route("**/cytoscape.esm*", answer_nothing)
    shown = visit.page
    shown.goto(f"{visit.address}/ui/#map?course={COURSE}&lang=en")
    assert len(shown.locator("[data-question=course-map] .refusal").inner_text()) > 20
    assert shown.get_by_role("button", name="Ask again").count() == 1


@pytest.mark.parametrize("answer", [be_null, answer_nothing])
def test_a_session_that_cannot_be_renewed_is_not_waited_for(visit: Visitor, answer: Answer) -> None:
    """To take the guards out: leave the signal or `?.` out of `renewSession` in api.js."""
    time_out_soon(visit)
    shown = visit.open("overview", course=COURSE, lang="en")
    visit.page.route("**/ui/session", answer)
    renewed = shown.evaluate(
        """async () => {
          const { renewSession } = await import('/ui/api.js');
          const late = new Promise(done => setTimeout(() => done('not in time'), 5000));
          return Promise.race([renewSession(), late]);
        }"""
    )
    assert renewed is False


def meter_of(shown: Page) -> Callable[[], dict[str, float]]:
    """Return what counts the nodes and listeners that the browser holds for a page."""
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

    return held


@pytest.mark.parametrize(
    ("first", "second", "visits"), [("overview", "map", VISITS), ("students", "imports", 8)]
)
def test_many_visits_leave_nothing_behind(
    visit: Visitor, first: str, second: str, visits: int
) -> None:
    """To take the guards out: leave one of the `abort` listeners out of charts.js or networks.js, or the signal out
    of imports.js.
    """
    # The page of imports asks a gateway, and there is none here.
    visit.allowed = ("404",)
    shown = visit.open(first, course=COURSE, lang="en")
    held = meter_of(shown)

    def visit_both() -> None:
        go_to(shown, second, first)
        if second == "map":
            shown.locator(".map canvas").first.wait_for()
        go_to(shown, first, second)
        if first == "overview":
            shown.locator(".chart canvas").first.wait_for()

    for _ in range(3):
        visit_both()
    before = held()
    for _ in range(visits):
        visit_both()
    # The browser gives the last view back after its animations.
    until(lambda: all(held()[name] < before[name] * 1.1 for name in before), 15)


@pytest.mark.parametrize("page", ["map", "overview"])
def test_a_block_that_asks_again_for_long_leaves_nothing_behind(visit: Visitor, page: str) -> None:
    """To take the guards out: leave `endPictures` out of `block` in parts.js, or `end` out of `signalOf`."""
    visit.allowed = ("503",)
    # Blocks ask again each 20 ms, and no answer is remembered.
    visit.page.add_init_script(
        """const later = setTimeout; window.fills = 0;
        window.setTimeout = (done, ms, ...more) => {
          if (ms < 5000) return later(done, ms, ...more);
          return later(() => { window.fills += 1; done(); }, 20);
        };
        const now = Date.now; let added = 0; Date.now = () => now() + (added += 31_000);"""
    )
    shown = visit.open(page, course=COURSE, lang="en")
    held = meter_of(shown)
    visit.page.route("**/v1/insights/*", be_busy)
    shown.evaluate("location.hash += '&sort=name'")
    shown.wait_for_function("() => window.fills > 20")
    before = held()
    shown.wait_for_function("() => window.fills > 80")
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


def test_a_browser_that_does_not_tell_that_it_prints_prints_black_on_white(visit: Visitor) -> None:
    """To take the guard out: leave `data-theme=dark` or its colours out of the rules for print in page.css."""
    visit.page.emulate_media(color_scheme="dark", media="print")
    shown = visit.open("overview", course=COURSE, lang="en")
    assert shown.locator("html").get_attribute("data-theme") == "dark"
    colours = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    assert shown.locator("body").evaluate(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]


def test_a_map_in_dark_colours_is_turned_on_paper_until_it_is_drawn_anew(visit: Visitor) -> None:
    """To take the guards out: leave `render` out of networks.js, or `data-drawn` out of page.css."""
    visit.page.emulate_media(color_scheme="dark", media="print")
    shown = visit.open("map", course=COURSE, lang="en")
    shown.locator(".map[data-drawn=dark]").wait_for()
    # Chromium prints what is drawn when the handlers of `beforeprint` have ended.
    filter_on_paper = shown.evaluate(
        "dispatchEvent(new Event('beforeprint')), getComputedStyle(document.querySelector('.map canvas')).filter"
    )
    assert "invert(1)" in filter_on_paper
    shown.locator(".map[data-drawn=light]").wait_for()
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    shown.locator(".map[data-drawn=dark]").wait_for()


def test_pictures_have_a_ground_of_their_own_in_forced_colours(visit: Visitor) -> None:
    """To take the guard out: leave `background` out of the forced colours in page.css."""
    visit.page.emulate_media(forced_colors="active", color_scheme="dark")
    visit.page.add_init_script("localStorage.setItem('edugraph_theme', 'light')")
    shown = visit.open("overview", course=COURSE, lang="en")
    # The letters of the picture have the colours of the page's theme, whatever those of the system are.
    ground = "e => getComputedStyle(e).backgroundColor"
    assert shown.locator(".chart").first.evaluate(ground) == "rgb(255, 255, 255)"


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
