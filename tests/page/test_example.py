"""The example school: offered to an empty installation, imported once, and taken back by one click."""

import json
import re
from collections import Counter
from typing import Any

import httpx
import pytest
import waiting
from page.readable import check_sizes
from page.test_imports import ended, numbers, tab_to
from page.visitor import Visitor
from playwright.sync_api import Browser, Route, expect

from edugraph_insights.page import WEB

pytestmark = pytest.mark.embedded

LANGUAGES = ("en", "zh")
TITLES = {"en": "Example: Algebra Foundations", "zh": "示例：初二数学"}
OFFER = "[data-example=offered] button"
TAKE_BACK = "[data-example=here] button"
UNDO_ENDS_WITHIN_MS = 60_000


def records(language: str) -> list[dict[str, Any]]:
    lines = (WEB / "example" / f"{language}.ndjson").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def examples(visit: Visitor) -> list[dict[str, Any]]:
    """The imports of the example, the newest first."""
    names = {"Example school.ndjson", "示例学校.ndjson"}
    return [each for each in visit.job_list() if each["source"] in names]


def counts_of_graph(visit: Visitor) -> dict[str, int]:
    found: dict[str, int] = httpx.get(f"{visit.address}/v1/graph/summary").json()["nodes"]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_imported_by_one_key_and_taken_back_by_another(
    visit_empty: Visitor, language: str
) -> None:
    """From the landing page, by keyboard alone. Out: the undo, or the key that follows the last import."""
    visit = visit_empty
    shown = visit.open("today", lang=language)
    before = len(examples(visit))
    check_sizes(shown)
    tab_to(shown, OFFER)
    shown.keyboard.press("Enter")
    ended(shown, "succeeded")
    given = records(language)
    assert numbers(shown, ".job")["written"] == str(len(given))
    assert numbers(shown, ".job")["rejected"] == "0"
    assert len(examples(visit)) == before + 1
    check_sizes(shown)
    # The course is an example by its title, and the page leads there.
    tab_to(shown, ".to-course")
    shown.keyboard.press("Enter")
    shown.wait_for_url("**#overview*")
    visit.ready()
    chosen = shown.locator("header select[name=course] option:checked").inner_text()
    assert chosen == f"{TITLES[language]} (EXAMPLE)"
    tried = {each["data"]["item_id"] for each in given if each["type"] == "attempt_record"}
    items = visit.answer("items", course="EXAMPLE")["rows"]
    assert {each["item"] for each in items} == tried

    shown = visit.open("imports", lang=language)
    assert shown.locator(OFFER).count() == 0
    check_sizes(shown)
    tab_to(shown, TAKE_BACK)
    shown.keyboard.press("Enter")
    expect(shown.locator(OFFER)).to_be_visible(timeout=UNDO_ENDS_WITHIN_MS)
    assert visit.answer("choices")["courses"] == []
    assert counts_of_graph(visit).get("Student", 0) == 0


def test_two_tabs_and_two_clicks_import_it_once(
    visit_empty: Visitor, browser: Browser, empty_address: str
) -> None:
    """The other tab is in another language. Out: `Idempotency-Key`, `aria-disabled`, or `key-reused`."""
    before = len(examples(visit_empty))
    with Visitor(browser, empty_address) as other:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        shown = visit_empty.open("imports", lang="en")
        second = other.open("imports", lang="zh")
        for visit, page in ((visit_empty, shown), (other, second)):
            visit.allowed = ("409",)  # the answer to the later request
            # Neither tab can hear of the other's import before it sends its own.
            page.route("**/v1/imports?*", hold)
            page.evaluate(
                "selector => { for (let n = 0; n < 2; n += 1) document.querySelector(selector).click(); }",
                OFFER,
            )

        def both_have_sent() -> bool:
            # The events of a page are heard while it is asked something.
            shown.evaluate("1")
            second.evaluate("1")
            return len(held) == 2

        waiting.until(both_have_sent, 20)
        shown.wait_for_timeout(500)  # a second click would have sent by now
        assert len(held) == 2
        for route in held:
            route.continue_()
        for page in (shown, second):
            ended(page, "succeeded")
    found = examples(visit_empty)
    assert len(found) == before + 1
    language = "en" if found[0]["source"].startswith("Example") else "zh"
    students = set()
    for each in records(language):
        data = each["data"]
        for field in ("student_id", "student_id_from", "student_id_to"):
            students.add(data.get(field))
    assert counts_of_graph(visit_empty)["Student"] == len(students - {None})
    take_back(visit_empty)


def take_back(visit: Visitor) -> None:
    shown = visit.open("imports", lang="en")
    shown.locator(TAKE_BACK).click()
    expect(shown.locator(OFFER)).to_be_visible(timeout=UNDO_ENDS_WITHIN_MS)


@pytest.mark.parametrize("course", [{}, {"course_id": "REAL"}])
def test_it_is_not_offered_once_records_are_there(
    visit_empty: Visitor, course: dict[str, str]
) -> None:
    """Records without a course count as well. Out: `hasRecords`, or the look at other courses in `standing`."""
    visit = visit_empty
    like = {"student_id_from": "A1", "student_id_to": "A2", "interaction_type": "like", **course}
    record = {"type": "student_interaction", "timestamp": "2026-05-01T08:00:00Z", "data": like}
    headers = {"Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=visit.address, headers=headers, timeout=30) as client:
        sent = client.post("/v1/imports", content=json.dumps(record)).raise_for_status().json()
        job = f"/v1/jobs/{sent['job_id']}"
        waiting.until(lambda: client.get(job).json()["state"] == "succeeded", 60)
        for page in ("imports", "today"):
            shown = visit.open(page, lang="en")
            assert shown.locator("[data-example]").count() == 0
        task = client.post(f"{job}/undo").raise_for_status().json()["task_id"]
        waiting.until(lambda: client.get(f"/v1/tasks/{task}").json()["state"] == "SUCCESS", 60)
    shown = visit.open("imports", lang="en")
    expect(shown.locator(OFFER)).to_be_visible()


@pytest.mark.parametrize(
    ("key", "page", "is_asked"),
    [
        ("eg_head", "school", False),
        ("eg_teacher+submit:T01", "today", False),
        ("eg_head+submit", "school", True),
    ],
    ids=["may not import", "sees own groups", "may both"],
)
def test_the_offer_is_for_callers_who_may_import_and_see_all_courses(
    visit_guarded: Visitor, key: str, page: str, *, is_asked: bool
) -> None:
    """Out: `toImports` in main.js, or `SEES_ALL`. No gateway is at this address, so the last caller gets no offer either."""
    empty: dict[str, Any] = {"courses": [], "groups": [], "terms": []}
    visit_guarded.allowed = ("Failed to load resource",)
    shown = visit_guarded.page
    shown.add_init_script(
        f"if (location.protocol === 'http:') sessionStorage.setItem('edugraph_key', '{key}')"
    )
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))

    def choices(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | empty)

    shown.route("**/v1/insights/choices", choices)
    visit_guarded.open(page, lang="en")
    assert shown.locator("[data-example]").count() == 0
    assert any(re.search(r"/v1/jobs", each) for each in asked) == is_asked


def test_the_kinds_of_the_example_are_those_of_a_course() -> None:
    for language in LANGUAGES:
        kinds = Counter(each["type"] for each in records(language))
        assert kinds["attempt_record"] > 40
        assert kinds["point_record"] > 5
