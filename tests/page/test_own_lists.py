"""Lists of one's own in a real browser: made of chosen students, limiting the pages, with a mail, and deleted."""

import httpx
import pytest
from page.readable import HEIGHT, WIDTHS, check_width, serious
from page.test_pages import LANGUAGES, TERM, with_key
from page.visitor import Visitor
from playwright.sync_api import expect

pytestmark = pytest.mark.embedded

COURSE = {"course": "MATH8", "term": TERM}


@pytest.mark.parametrize("language", LANGUAGES)
def test_chosen_students_become_a_list_that_limits_the_pages(
    visit_guarded: Visitor, language: str
) -> None:
    """Out: `listOfChosen` in students.js, `list` in `questionParameters`, or the lists in weekly.js."""
    visit = visit_guarded
    words = LANGUAGES[language]
    visit.page.add_init_script(with_key("eg_teacher:T01"))
    shown = visit.open("students", lang=language, sort="name", **COURSE)
    people = shown.locator("li.person")
    all_people = people.count()
    assert all_people > 2
    for place in (0, 1):
        people.nth(place).locator(".pick input").check()
    for width in WIDTHS:
        shown.set_viewport_size({"width": width, "height": HEIGHT})
        check_width(shown)
    assert serious(shown) == []
    shown.locator(".lists input").fill("After school")
    shown.locator(".lists").get_by_role("button", name=words["lists.keep"]).click()
    expect(people).to_have_count(2)
    visit.ready()
    picked = shown.locator("select[name=list] option:checked")
    assert picked.inner_text() == "After school"

    # Another page keeps the list, and its mail is offered.
    shown.locator("nav a[href^='#today']").click()
    visit.ready()
    assert "list=" in shown.evaluate("location.hash")
    shown.locator(".weekly summary").click()
    line = shown.locator(".weekly [data-view]")
    line.get_by_role("button", name=f"{words['weekly.begin']}: After school").click()
    line.get_by_role("button", name=f"{words['weekly.end']}: After school").click()
    line.get_by_role("button", name=words["weekly.begin"]).wait_for()

    shown = visit.open("students", lang=language, **COURSE)
    shown.locator("select[name=list]").select_option(label="After school")
    expect(people).to_have_count(2)
    visit.ready()
    people.nth(0).locator(".pick input").check()
    shown.locator(".lists").get_by_role("button", name=words["lists.take_out"]).click()
    expect(people).to_have_count(1)
    visit.ready()

    # The list that is chosen is deleted: the page shows everybody again.
    shown.locator(".views summary").click()
    shown.locator(".views li").get_by_role("button", name=words["views.delete"]).click()
    expect(people).to_have_count(all_people)
    assert shown.locator("select[name=list]").count() == 0
    teacher = {"Authorization": "Bearer eg_teacher:T01"}
    views = httpx.get(f"{visit.address}/v1/insights/views", headers=teacher).json()
    assert views["views"] == []
