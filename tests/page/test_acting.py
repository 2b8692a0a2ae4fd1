"""Actions of teachers in a real browser: the form sends what it says, and shows what was noted to those who lead."""

import json
from typing import Any

import pytest
from page.readable import WIDTHS, serious
from page.test_pages import LANGUAGES, TERM, with_key
from page.visitor import Visitor
from playwright.sync_api import Page, Route

pytestmark = pytest.mark.embedded

TEACHER = "eg_teacher:T01"
ALGEBRA = {"course": "MATH8", "term": TERM}
HOSTILE = "<img src=x onerror=alert(1)> 王"


class Gateway:
    """A gateway that takes actions, and then lets the question `actions` show them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.taken: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.loses_answers = False
        page.route("**/v1/actions", self.take)
        page.route("**/v1/insights/actions?*", self.show)

    def take(self, route: Route) -> None:
        sent: dict[str, Any] = json.loads(route.request.post_data or "")
        self.keys.append(route.request.headers.get("idempotency-key"))
        if self.loses_answers:
            route.abort()
            return
        job_id = f"job-{len(self.taken)}"
        self.taken.append(sent)
        route.fulfill(status=202, json={"job_id": job_id, "task_id": "t", "links": {}})

    def show(self, route: Route) -> None:
        answer = route.fetch().json()
        for number, each in enumerate(self.taken):
            row = {
                "student": each["student_id"],
                "student_name": None,
                "kind": "action",
                "record": f"@page-actions/job-{number}",
                "at": "2026-06-20T08:00:00Z",
                "author": "T01",
                "author_name": "Ms Okafor",
                "spoken": each.get("spoken", False),
                "text": each.get("text"),
                "not_until": each.get("not_until"),
                "holds": "not_until" in each,
            }
            answer["rows"].insert(0, row)
        route.fulfill(json=answer)


@pytest.fixture
def visit(visit_guarded: Visitor) -> Visitor:
    visit_guarded.page.add_init_script(with_key(TEACHER))
    return visit_guarded


def test_a_note_on_the_page_of_a_student_is_sent_once_and_shown(visit: Visitor) -> None:
    """Out: a field in `given` of `actionForm`; or the text in `actionList`."""
    gateway = Gateway(visit.page)
    student = visit.answer("roster", key=TEACHER, course="MATH8")["rows"][0]
    shown = visit.open("student", lang="en", student=student["student"], **ALGEBRA)
    block = shown.locator("[data-question=actions]")
    assert "No talk and no message" in block.inner_text() or "wrote on" in block.inner_text()
    block.get_by_label(f"Note what you did about {student['name']}").click()
    block.get_by_role("button", name="Save").click()
    assert "Tick the box" in block.locator("[role=status]").inner_text()
    block.get_by_label(f"I spoke with {student['name']}").check()
    block.get_by_label("Note", exact=True).fill(HOSTILE)
    block.get_by_label("Not on Today before").fill("2099-01-08")
    block.get_by_role("button", name="Save").click()
    shown.wait_for_selector("[data-question=actions] [data-record='@page-actions/job-0']")
    about = {"student_id": student["student"], "course_id": "MATH8"}
    assert gateway.taken == [{**about, "spoken": True, "text": HOSTILE, "not_until": "2099-01-08"}]
    told = shown.locator("[data-question=actions]").inner_text()
    assert HOSTILE in told
    assert "Ms Okafor" in told
    assert "Not on Today before 8 January 2099" in told
    assert "Spoken with on 20 Jun 2026" in told


def test_a_second_click_after_a_lost_answer_has_the_same_key(visit: Visitor) -> None:
    """Out: the key that stays with its content. The gateway would write a second note. Another content is another note."""
    visit.allowed = ("ERR_FAILED",)
    gateway = Gateway(visit.page)
    student = visit.answer("roster", key=TEACHER, course="MATH8")["rows"][0]
    shown = visit.open("student", lang="en", student=student["student"], **ALGEBRA)
    block = shown.locator("[data-question=actions]")
    block.get_by_label(f"Note what you did about {student['name']}").click()
    note = block.get_by_label("Note", exact=True)
    save = block.get_by_role("button", name="Save")
    gateway.loses_answers = True
    for _ in range(2):
        note.fill("Homework")
        save.click()
        block.locator(".refusal").wait_for()
        assert save.is_enabled()
    gateway.loses_answers = False
    note.fill("Homework again")
    save.click()
    shown.wait_for_selector("[data-question=actions] [data-record='@page-actions/job-0']")
    lost, repeated, other = gateway.keys
    assert lost
    assert repeated == lost
    assert other
    assert other != lost


def test_who_does_not_lead_the_student_is_told_so(visit: Visitor) -> None:
    """Out: the refusal in `actionForm`."""
    visit.allowed = ("403",)
    gateway = Gateway(visit.page)
    visit.page.route(
        "**/v1/insights/action-permits",
        lambda route: route.fulfill(
            status=403, json={"type": "urn:edugraph:problem:rows", "detail": "You do not lead this student"}
        ),
    )  # fmt: skip
    shown = visit.open("today", lang="en", **ALGEBRA)
    form = shown.locator("[data-action=speak] details.act").first
    form.locator("summary").click()
    form.get_by_label("Note", exact=True).fill("Homework")
    form.get_by_role("button", name="Save").click()
    shown.wait_for_selector("details.act .refusal")
    assert "You do not lead this student" in form.inner_text()
    assert form.get_by_label("Note", exact=True).input_value() == "Homework"
    assert gateway.taken == []


def test_students_who_are_put_off_or_were_spoken_with_say_so(visit: Visitor) -> None:
    """Out: `doneAbout` in the list of students, or the note of Today."""
    gateway = Gateway(visit.page)
    student = visit.answer("roster", key=TEACHER, course="MATH8")["rows"][0]["student"]
    gateway.taken.append({"student_id": student, "spoken": True, "not_until": "2099-01-08"})
    shown = visit.open("students", lang="en", sort="name", **ALGEBRA)
    row = shown.locator(f"[data-row='{student}']")
    assert "Not on Today before 8 January 2099. Spoken with on 20 Jun 2026" in row.inner_text()
    assert row.locator("details.act summary").count() == 1

    def put_off(route: Route) -> None:
        answer = route.fetch().json()
        answer["left_out"]["students who need help and are put off until a later day"] = 2
        route.fulfill(json=answer)

    visit.page.route("**/v1/insights/today?*", put_off)
    shown = visit.open("today", lang="en", **ALGEBRA)
    assert (
        "2 students who need help are put off"
        in shown.locator("[data-question=today]").inner_text()
    )


@pytest.mark.parametrize(
    "key", ["eg_head:T01", "eg_counsellor:T01", "eg_student:S017", "eg_teacher"]
)
def test_nobody_else_gets_a_form(visit_guarded: Visitor, key: str) -> None:
    """Out: `mayAct`."""
    visit_guarded.page.add_init_script(with_key(key))
    visit_guarded.allowed = ("403",)
    for page in ("today", "students", "student"):
        shown = visit_guarded.open(page, lang="en", student="S017", **ALGEBRA)
        assert shown.locator("details.act").count() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_fits_each_width_and_axe_finds_nothing(visit: Visitor, language: str) -> None:
    gateway = Gateway(visit.page)
    student = visit.answer("roster", key=TEACHER, course="MATH8")["rows"][0]["student"]
    noted = {"student_id": student, "spoken": True, "text": "借了练习册", "not_until": "2099-01-08"}
    gateway.taken.append(noted)
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 900})
        for page in ("today", "students", "student"):
            shown = visit.open(page, lang=language, student=student, **ALGEBRA)
            shown.locator("details.act summary").first.click()
            wide = shown.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (page, width, wide)
            if width == WIDTHS[0]:
                assert serious(shown) == [], page
