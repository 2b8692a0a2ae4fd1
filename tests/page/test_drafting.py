"""Drafts in a real browser: shown with their citations, marked as drafts, and refused in words."""

import json
from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import LANGUAGES, TERM, with_key
from page.visitor import Visitor
from playwright.sync_api import Page, Route

pytestmark = pytest.mark.embedded

TEACHER = "eg_teacher+read+personal:T01"
ALGEBRA = {"course": "MATH8", "term": TERM}
HOSTILE = "<img src=x onerror=alert(1)> 王"
DRAFT = {
    "state": "draft",
    "is_draft": True,
    "sentences": [{"text": f"Ben adds denominators {HOSTILE}.", "cites": [1]}],
    "records": [{"number": 1, "record_id": "r1", "student_id": "S1"}],
    "removed": 2,
    "cut": 0,
    "error": None,
}


class Services:
    """Insights and a gateway that answer requests for drafts. `result` is that of the task."""

    def __init__(self, page: Page, result: dict[str, Any]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.result = result
        page.route("**/v1/insights/draft-permits", self.permit)
        page.route("**/v1/drafts", self.take)
        page.route("**/v1/tasks/draft-task", self.show)

    def permit(self, route: Route) -> None:
        self.asked.append(json.loads(route.request.post_data or ""))
        route.fulfill(json=basis())

    def take(self, route: Route) -> None:
        self.sent.append(json.loads(route.request.post_data or ""))
        route.fulfill(status=202, json={"job_id": "j", "task_id": "draft-task", "links": {}})

    def show(self, route: Route) -> None:
        route.fulfill(json={"task_id": "draft-task", "state": "SUCCESS", "result": self.result})


def basis() -> dict[str, Any]:
    record = {
        "student_id": "S1",
        "at": "2026-03-02T08:00:00+00:00",
        "item": None,
        "outcome": 0,
        "question": "1/2 + 1/3?",
        "text": f"2/5 {HOSTILE}",
        "error_types": ["adds denominators"],
        "knowledge_points": [],
    }
    return {
        "kind": "summary",
        "course_id": "MATH8",
        "course_name": "Mathematics",
        "language": "en",
        "students": [{"student_id": "S1", "name": "Ben"}],
        "records": [{**record, "number": 1, "record_id": "r1"}, {**record, "number": 2, "record_id": "r2"}],
    }  # fmt: skip


@pytest.fixture
def visit(visit_guarded: Visitor) -> Visitor:
    visit_guarded.page.add_init_script(with_key(TEACHER))
    return visit_guarded


def test_feedback_is_shown_with_its_citations_and_records(visit: Visitor) -> None:
    """Out: the student or the language of the request, the mark of a draft, or the filter of cited records."""
    services = Services(visit.page, DRAFT)
    student = visit.answer("roster", key=TEACHER, course="MATH8")["rows"][0]
    shown = visit.open("student", lang="en", student=student["student"], **ALGEBRA)
    block = shown.locator("[data-question=actions]")
    block.get_by_text(f"Let a model draft feedback to {student['name']}").click()
    block.get_by_role("button", name="Write a draft").click()
    block.locator("[data-record=r1]").wait_for()
    told = block.locator(".draft").inner_text()
    assert "Draft. Check each sentence against its records." in told
    assert f"Ben adds denominators {HOSTILE}. [1]" in told
    assert f"[1] 2 Mar 2026 · Ben · 1/2 + 1/3? · 2/5 {HOSTILE} · adds denominators" in told
    assert "2 sentences without a valid citation were removed." in told
    assert block.locator("[data-record=r2]").count() == 0
    about = {"course_id": "MATH8", "student_id": student["student"], "language": "en"}
    assert services.asked == [about]
    assert services.sent == [basis()]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({**DRAFT, "state": "failed", "sentences": [], "error": "there is no model"}, "there is no model"),
        ({}, "a student in it was erased or is restricted"),
    ],
    ids=["failed", "erased"],
)  # fmt: skip
def test_a_summary_that_is_not_there_says_why(
    visit: Visitor, result: dict[str, Any], words: str
) -> None:
    """Out: either branch of `parts`."""
    services = Services(visit.page, result)
    shown = visit.open("today", lang="en", **ALGEBRA)
    form = shown.locator("details.act", has_text="Let a model draft a summary")
    form.locator("summary").click()
    form.get_by_role("button", name="Write a draft").click()
    form.locator(".draft", has_text=words).wait_for()
    assert services.asked == [{"course_id": "MATH8", "language": "en"}]


def test_who_may_not_have_a_draft_is_told_so(visit: Visitor) -> None:
    """Out: the refusal in `draftForm`."""
    visit.allowed = ("403",)
    visit.page.route(
        "**/v1/insights/draft-permits",
        lambda route: route.fulfill(
            status=403, json={"type": "urn:edugraph:problem:scope", "detail": "the scope personal"}
        ),
    )
    shown = visit.open("today", lang="en", **ALGEBRA)
    form = shown.locator("details.act", has_text="Let a model draft a summary")
    form.locator("summary").click()
    button = form.get_by_role("button", name="Write a draft")
    button.click()
    form.locator(".refusal").wait_for()
    assert "the scope personal" in form.inner_text()
    assert button.is_enabled()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_draft_is_readable(visit: Visitor, language: str, width: int) -> None:
    Services(visit.page, DRAFT)
    visit.page.set_viewport_size({"width": width, "height": 900})
    shown = visit.open("today", lang=language, **ALGEBRA)
    summary = shown.locator("summary[data-keep-focus='draft-']")
    summary.click()
    form = shown.locator("details.act", has=summary)
    form.get_by_role("button").click()
    form.locator("[data-record=r1]").wait_for()
    check_width(shown)
    assert serious(shown) == []
