"""Two courses compared on Overview by the students of both, in a real browser."""

from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_failures import be_busy, break_off
from page.test_pages import LANGUAGES, close, with_key
from page.visitor import Visitor
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.embedded

COURSE, OTHER = "MATH8", "ALG"
BLOCK = "[data-part=compare]"
HOSTILE = "<img src=x onerror=alert(1)> 王"
NO_DIFFERENCE = "no difference can be told"
FIELDS = ("right", "students", "students_of_both", "evidence", "noise")
TOO_FEW = "no verdict under 10 students who took both"


def answered(visit: Visitor, both: int, by: float | None, verdict: str | None, **more: Any) -> None:
    """Let the comparison have this result."""

    def answer(route: Route) -> None:
        found = route.fetch().json()
        if "other=" in route.request.url:
            if not any(row["course"] == COURSE for row in found["rows"]):
                found["rows"].append(dict.fromkeys(FIELDS) | {"course": COURSE})
            for row in found["rows"]:
                row["students_of_both"] = both
                if row["course"] == COURSE:
                    row |= {"harder_by": by, "verdict": verdict}
            found |= more
        route.fulfill(json=found)

    visit.page.route("**/v1/insights/difficulty?*", answer)


def sentence(shown: Page) -> str:
    text: str = shown.locator(f"{BLOCK} .lead").inner_text()
    return text


# students of both, how much harder, the verdict -> the sentence, and which course is harder
VERDICTS: list[tuple[int, float | None, str, str, str]] = [
    (24, 0.124, "MATH8 is harder", "compare.harder.other", COURSE),
    (24, -0.124, "ALG is harder", "compare.harder.other", OTHER),
    (24, 0.02, NO_DIFFERENCE, "compare.same.other", COURSE),
    (7, None, TOO_FEW, "compare.too_few.other", COURSE),
    (1, None, TOO_FEW, "compare.too_few.one", COURSE),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("verdict", VERDICTS, ids=["harder", "easier", "same", "few", "one"])
def test_one_sentence_says_which_course_is_harder(
    visit: Visitor, language: str, verdict: tuple[int, float | None, str, str, str]
) -> None:
    """Out: the sign of `by`, the verdict, or the case without a figure, in `inWords`."""
    both, by, words, key, harder = verdict
    names = {each["id"]: each["name"] for each in visit.answer("choices")["courses"]}
    easier = OTHER if harder == COURSE else COURSE
    values = {"n": both, "points": 12, "harder": names[harder], "easier": names[easier]}
    values |= {"this": names[COURSE], "other": names[OTHER]}
    if language == "zh":
        key = key.replace(".one", ".other")
    answered(visit, both, by, words)
    shown = visit.open("overview", course=COURSE, other=OTHER, lang=language)
    assert sentence(shown) == LANGUAGES[language][key].format(**values)


def test_another_course_is_chosen_by_keyboard_and_its_figures_are_those_of_the_api(
    visit: Visitor,
) -> None:
    """Out: `other` of the question, or the choice in the address."""
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown = visit.open("overview", course=COURSE, lang="en")
    assert not [each for each in asked if "other=" in each]
    assert LANGUAGES["en"]["compare.choose"] in shown.locator(BLOCK).inner_text()
    pick = shown.get_by_label("Compare with")
    assert COURSE not in [each.get_attribute("value") for each in pick.locator("option").all()]
    pick.focus()
    shown.keyboard.press("ArrowDown")
    shown.wait_for_selector(f"{BLOCK} table")
    visit.ready()
    other = pick.input_value()
    assert f"other={other}" in shown.url
    assert shown.evaluate("document.activeElement.name") == "other"
    rows = visit.answer("difficulty", course=COURSE, other=other)["rows"]
    fields = ("right", "students", "students_of_both")
    expected = [row[field] for row in rows for field in fields]
    assert close(visit.values(f"{BLOCK} tbody"), expected)
    # A course is not compared with itself.
    shown = visit.open("overview", course=COURSE, other=COURSE, lang="en")
    assert shown.locator(f"{BLOCK} table").count() == 0


def test_an_analyst_gets_a_protected_figure_and_no_verdict(visit_guarded: Visitor) -> None:
    """Out: the case that is not exact in `inWords`."""
    visit = visit_guarded
    visit.page.add_init_script(with_key("eg_analyst"))
    answered(visit, 24, 0.124, None, exact=False)
    shown = visit.open("overview", course=COURSE, other=OTHER, lang="en")
    assert "by about 12 points" in sentence(shown)
    assert "protected by noise" in sentence(shown)
    visit.page.unroute_all()
    answered(visit, 24, None, None, exact=False)
    shown = visit.open("overview", course=COURSE, other=OTHER, lang="zh")
    assert sentence(shown) == LANGUAGES["zh"]["compare.hidden"]


def not_permitted(route: Route) -> None:
    problem = {"type": "urn:edugraph:problem:rows", "status": 403, "detail": HOSTILE}
    route.fulfill(status=403, json=problem)


@pytest.mark.parametrize("answer", [be_busy, break_off, not_permitted])
def test_without_an_answer_another_course_can_still_be_chosen(visit: Visitor, answer: Any) -> None:
    visit.allowed = ("403", "503")
    visit.page.route("**/v1/insights/difficulty?*other=*", answer)
    shown = visit.open("overview", course=COURSE, other=OTHER, lang="en")
    expect(shown.locator(f"{BLOCK} .refusal")).to_have_count(1)
    assert shown.get_by_label("Compare with").is_enabled()
    assert shown.locator("[data-card=right] data").count() == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_long_names_fit_each_size(visit: Visitor, language: str) -> None:
    def name_them(route: Route) -> None:
        found = route.fetch().json()
        for each in found["courses"]:
            each["name"] = f"{HOSTILE} {'Wahrscheinlichkeitsrechnung' * 3} {each['id']}"
        route.fulfill(json=found)

    visit.page.route("**/v1/insights/choices", name_them)
    answered(visit, 24, 0.124, "MATH8 is harder")
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 900})
        shown = visit.open("overview", course=COURSE, other=OTHER, lang=language)
        assert HOSTILE in sentence(shown)
        check_width(shown)
        assert serious(shown) == []
