"""Questions in words in a real browser: what was understood, the answer of the typed question, and each refusal."""

import json
from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import LANGUAGES, TERM, with_key
from page.visitor import Visitor
from playwright.sync_api import Locator, Page, Route

pytestmark = pytest.mark.embedded

TEACHER = "eg_teacher+read+personal:T01"
ALGEBRA = {"course": "MATH8", "term": TERM}
HOSTILE = "<img src=x onerror=alert(1)> 王"
CHOSEN = {"state": "chosen", "question": "weak-points", "parameters": {"group": "g1"}, "model": "m"}
UNDERSTOOD = {
    "question": "weak-points",
    "title": "Which points is this class weak in?",
    "parameters": [
        {"parameter": "course", "id": "MATH8", "name": "Mathematics"},
        {"parameter": "group", "id": "MATH8-A", "name": HOSTILE},
    ],
    "candidates": {},
    "ask": "/v1/insights/weak-points?course=MATH8",
}
BASIS = {
    "text": "Where is <g1> weak?",
    "questions": [
        {
            "name": "weak-points",
            "title": "Which points is this class weak in?",
            "parameters": [{"name": "group", "kind": "group", "required": False}],
        },
        {"name": "mastery", "title": "How well is each point mastered?", "parameters": []},
    ],
}


class Services:
    """Insights and a gateway that take questions in words. `result` is that of the task."""

    def __init__(self, page: Page, result: dict[str, Any], understood: dict[str, Any]) -> None:
        self.result = result
        self.understood = understood
        self.prepared: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.resolved: list[dict[str, Any]] = []
        page.route("**/v1/insights/words", self.prepare)
        page.route("**/v1/questions", self.take)
        page.route("**/v1/tasks/words-task", self.show)
        page.route("**/v1/insights/words/choices", self.resolve)

    def prepare(self, route: Route) -> None:
        self.prepared.append(json.loads(route.request.post_data or ""))
        route.fulfill(json=BASIS)

    def take(self, route: Route) -> None:
        self.sent.append(json.loads(route.request.post_data or ""))
        route.fulfill(status=202, json={"job_id": "j", "task_id": "words-task", "links": {}})

    def show(self, route: Route) -> None:
        route.fulfill(json={"task_id": "words-task", "state": "SUCCESS", "result": self.result})

    def resolve(self, route: Route) -> None:
        self.resolved.append(json.loads(route.request.post_data or ""))
        route.fulfill(json=self.understood)


@pytest.fixture
def visit(visit_guarded: Visitor) -> Visitor:
    visit_guarded.page.add_init_script(with_key(TEACHER))
    return visit_guarded


def asked(visit: Visitor, language: str = "en") -> Locator:
    """Ask a question in words on the page Today, and return the block."""
    shown = visit.open("today", lang=language, **ALGEBRA)
    block = shown.locator("section.words")
    block.locator("input[name=words]").fill("Where is 8A weak?")
    block.locator("button[type=submit]").click()
    return block


def test_the_answer_of_the_typed_question_is_shown(visit: Visitor) -> None:
    """Out: the text, the basis or the choice of a request, or the answer below what was understood."""
    services = Services(visit.page, CHOSEN, UNDERSTOOD)
    rows = visit.answer("weak-points", key=TEACHER, course="MATH8")["rows"]
    block = asked(visit)
    block.locator("table").wait_for()
    told = block.locator("[data-understood]").inner_text()
    assert told == f"Understood as: Which points is this class weak in? ({HOSTILE})"
    assert block.locator("tbody tr").count() == min(len(rows), 100)
    about = {"text": "Where is 8A weak?", "course_id": "MATH8", "language": "en"}
    assert services.prepared == [about]
    assert services.sent == [BASIS]
    choice = {"question": "weak-points", "parameters": {"group": "g1"}}
    assert services.resolved == [about | choice]


def test_another_question_may_be_chosen(visit: Visitor) -> None:
    """Out: `kept`, which leaves out a parameter that the other question does not have."""
    services = Services(visit.page, CHOSEN, UNDERSTOOD)
    block = asked(visit)
    block.locator("table").wait_for()
    services.understood = {**UNDERSTOOD, "question": "mastery", "title": "How well?"}
    services.understood["ask"] = "/v1/insights/mastery?course=MATH8"
    block.locator("select[name=question]").select_option("mastery")
    block.locator("[data-understood=mastery]").wait_for()
    assert services.resolved[-1]["question"] == "mastery"
    assert services.resolved[-1]["parameters"] == {}


def test_an_ambiguous_name_is_chosen_first(visit: Visitor) -> None:
    """Out: the parameters of the chosen candidate in the typed question."""
    students = visit.answer("roster", key=TEACHER, course="MATH8")["rows"][:2]
    understood = {
        **UNDERSTOOD,
        "parameters": UNDERSTOOD["parameters"][:1],  # type: ignore[index]
        "candidates": {
            "student": [{"id": each["student"], "name": each["name"]} for each in students]
        },
        "ask": None,
    }
    Services(visit.page, CHOSEN, understood)
    block = asked(visit)
    block.locator("select[name=student]").wait_for()
    assert block.locator("table").count() == 0
    block.locator("select[name=student]").select_option(students[1]["student"])
    block.locator("footer.how").wait_for()
    assert f"student = {students[1]['student']}" in (
        block.locator("footer.how").text_content() or ""
    )


@pytest.mark.parametrize("reason", ["unanswerable", "person", "budget", "provider", "ended"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_is_said_and_a_question_may_be_chosen(
    visit: Visitor, language: str, reason: str
) -> None:
    """Out: a reason in `REASONS`."""
    Services(visit.page, {"state": "refused", "reason": reason, "error": "English"}, UNDERSTOOD)
    block = asked(visit, language)
    block.locator(f"[data-reason={reason}]").wait_for()
    assert "words_reason" not in block.inner_text()
    assert block.locator("button[type=submit]").is_enabled()
    block.locator("select[name=question]").select_option("weak-points")
    block.locator("table").wait_for()


def test_without_a_model_it_says_so(visit: Visitor) -> None:
    Services(visit.page, {**CHOSEN, "model": None}, UNDERSTOOD)
    block = asked(visit)
    block.get_by_text("No language model is set up").wait_for()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_questions_in_words_are_readable(visit: Visitor, language: str, width: int) -> None:
    address = f"{UNDERSTOOD['ask']}&language={language}"
    Services(visit.page, CHOSEN, {**UNDERSTOOD, "ask": address})
    visit.page.set_viewport_size({"width": width, "height": 900})
    block = asked(visit, language)
    block.locator("table").wait_for()
    headings = {"en": "first attempts", "zh": "首次作答"}
    assert headings[language] in (block.locator("table").text_content() or "")
    check_width(visit.page)
    assert serious(visit.page) == []
