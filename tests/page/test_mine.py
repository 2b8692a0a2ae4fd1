"""My page in a real browser: it speaks to the student, and begins with what to do next."""

import re
from typing import Any

import pytest
from page.readable import WIDTHS, check_themes, check_width
from page.test_failures import be_busy, break_off
from page.test_pages import LANGUAGES, with_key
from page.visitor import Visitor
from playwright.sync_api import Page, Route

pytestmark = pytest.mark.embedded

STUDENT, COURSE, KEY = "S017", "ALG", "eg_student:S017"
HOSTILE = "<img src=x onerror=alert(1)> 王"
YOU = {"en": re.compile(r"\byour?\b", re.IGNORECASE), "zh": re.compile("你")}
OF_OTHERS = {"en": re.compile(r"\bstudents?\b|\bpupil"), "zh": re.compile("这名学生|该学生")}


@pytest.fixture
def visit(visit_guarded: Visitor) -> Visitor:
    visit_guarded.page.add_init_script(with_key(KEY))
    return visit_guarded


def opened(visit: Visitor, language: str = "en") -> Page:
    return visit.open("student", course=COURSE, student=STUDENT, lang=language)


def rows_of(visit: Visitor, question: str, **more: str) -> list[dict[str, Any]]:
    found = visit.answer(question, key=KEY, course=COURSE, student=STUDENT, **more)
    rows: list[dict[str, Any]] = found["rows"]
    return rows


def answer_with(visit: Visitor, question: str, rows: list[dict[str, Any]]) -> None:
    def answer(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"rows": rows})

    visit.page.route(f"**/v1/insights/{question}?*", answer)


def test_it_begins_with_the_next_step_of_the_api(visit: Visitor) -> None:
    """Out: the order of the parts in `mine`, or the first step in `myNext`."""
    shown = opened(visit)
    parts = [
        str(each.get_attribute("data-question"))
        for each in shown.query_selector_all("main section")
    ]
    assert parts == ["next", "due", "student", "records"]
    known = rows_of(visit, "student")
    goal = next(row for row in known if row["state"] != "mastered")
    steps = rows_of(visit, "next", goal=goal["point"])[:3]
    block = shown.locator("[data-question=next]")
    assert steps[0]["name"] in block.locator(".lead").inner_text()
    assert block.locator("ol a").all_inner_texts() == [row["name"] for row in steps[1:]]
    block.locator(".lead a").focus()
    shown.keyboard.press("Enter")
    shown.wait_for_selector("[data-page=map]")
    assert f"student={STUDENT}" in shown.url


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_you_and_speaks_of_no_student(visit: Visitor, language: str) -> None:
    """Out: `mine` in student.js."""
    shown = opened(visit, language)
    headings = shown.locator("main h1, main h2").all_inner_texts()
    assert YOU[language].search(headings[0])
    points = shown.locator("[data-question=student] li[data-row] p").all_inner_texts()
    assert points
    said = [*headings, *points, shown.locator("[data-question=next] .lead").inner_text()]
    assert [each for each in said if OF_OTHERS[language].search(each)] == []
    assert YOU[language].search(" ".join(points))
    assert not shown.query_selector(".refusal, .act")


def test_a_teacher_sees_the_page_of_a_teacher(visit_guarded: Visitor) -> None:
    visit_guarded.page.add_init_script(with_key("eg_teacher:T01"))
    shown = visit_guarded.open("student", course="MATH8", student="S001", lang="en")
    assert "How does" in shown.locator("h1").inner_text()
    text = shown.locator("main h2").all_inner_texts()
    assert LANGUAGES["en"]["mine.next"] not in text
    assert LANGUAGES["en"]["student.next"] in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_that_all_is_known_and_that_nothing_is_are_two_things(
    visit: Visitor, language: str
) -> None:
    """Out: the number of known points in `myNext`."""
    mastered = [row | {"state": "mastered"} for row in rows_of(visit, "student")]
    lead = "[data-question=next] .lead"
    for rows, key in ((mastered, "mine.all_done"), ([], "mine.nothing_known")):
        visit.page.unroute_all()
        answer_with(visit, "student", rows)
        shown = opened(visit, language)
        assert shown.locator(lead).inner_text() == LANGUAGES[language][key]


def test_a_step_to_check_is_said_so_and_names_are_text(visit: Visitor) -> None:
    """Out: `LEARN` in `myNext`."""
    goal = next(row for row in rows_of(visit, "student") if row["state"] != "mastered")
    [step, *_] = rows_of(visit, "next", goal=goal["point"])
    step |= {"name": HOSTILE, "point": "p"}
    steps = [step | {"action": "check first"}, step | {"action": "learn", "point": "q"}]
    answer_with(visit, "next", steps)
    shown = opened(visit)
    block = shown.locator("[data-question=next]")
    assert block.locator(".lead").inner_text().startswith(f"Try a few questions on {HOSTILE}")
    assert LANGUAGES["en"]["mine.later_learn"] in block.locator("ol").inner_text()
    assert goal["name"] in block.inner_text()


@pytest.mark.parametrize("answer", [be_busy, break_off])
def test_without_the_next_step_the_rest_is_there(visit: Visitor, answer: Any) -> None:
    visit.allowed = ("503",)
    visit.page.route("**/v1/insights/next?*", answer)
    shown = opened(visit, "zh")
    assert shown.locator("[data-question=next] .refusal").count() == 1
    assert shown.locator("[data-question=student] li[data-row]").count() > 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_fits_each_size_and_axe_finds_nothing(visit: Visitor, language: str) -> None:
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 900})
        shown = opened(visit, language)
        check_width(shown)
        check_themes(shown)
