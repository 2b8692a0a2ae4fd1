"""The page on paper, in a real browser: the text of each sheet as a PDF, with a name of the school."""

import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from page.readable import check_width
from page.test_pages import COURSE, LANGUAGES, STUDENT, TERM
from page.test_students import NINETY, ninety_students
from page.test_today import answer_with, large_class, missing_tasks
from page.visitor import Visitor
from playwright.sync_api import Browser, Page
from pypdf import PdfReader

pytestmark = pytest.mark.embedded

SCHOOL_NAME = "Riverside School 河畔中学"
SHEETS = ("today", "students", "student", "overview")
COURSES = {"en": "ALG", "zh": COURSE}
STUDENTS = {"en": "S017", "zh": STUDENT}
# Radicals that Unicode does not normalize, and the characters that look the same.
RADICALS = str.maketrans("⻔⻚⻓⻅⻛⻋⻢⻰⻥⻦⻩⻬⻮⻨⻄", "门页长见风车马龙鱼鸟黄齐齿麦西")
A4_POINTS = (595, 842)
# 90 students in the table of Today, or a line with a sentence for each.
MOST_SHEETS = {"today": 6, "students": 8, "student": 3, "overview": 3}
# Words of the page that are only for a screen.
ON_SCREEN = ("nav.print", "heat.keys", "act.open", "draft.open", "weekly.open")


@pytest.fixture(scope="module")
def named_address(school: Mapping[str, str]) -> Iterator[str]:
    from page.school import served

    with served({**school, "EDUGRAPH_SCHOOL_NAME": SCHOOL_NAME}) as url:
        yield url


@pytest.fixture
def visit_named(browser: Browser, named_address: str) -> Iterator[Visitor]:
    with Visitor(browser, named_address) as visitor:
        yield visitor


def opened(visit: Visitor, page: str, language: str) -> Page:
    more = {"student": STUDENTS[language]} if page == "student" else {}
    return visit.open(page, lang=language, course=COURSES[language], term=TERM, **more)


def printed(shown: Page) -> PdfReader:
    """Print the page as its button does, to a file."""
    return PdfReader(io.BytesIO(shown.pdf(prefer_css_page_size=True)))


def squeezed(text: str) -> str:
    """Return a text without spaces, since a line of a sheet may break anywhere, and in plain letters.

    A PDF gives `fi` as one letter and some Chinese characters as the radical that looks the same.
    """
    plain = unicodedata.normalize("NFKC", text).translate(RADICALS)
    return re.sub(r"\s", "", plain)


def text_of(sheets: PdfReader) -> str:
    return squeezed("".join(sheet.extract_text() for sheet in sheets.pages))


def names_of(visit: Visitor, course: str) -> dict[str, str]:
    rows = visit.answer("roster", course=course)["rows"]
    return {row["student"]: row["name"] for row in rows}


@pytest.mark.parametrize("page", SHEETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sheet_says_what_it_is_about_and_has_nothing_to_click(
    visit_named: Visitor, language: str, page: str
) -> None:
    shown = opened(visit_named, page, language)
    headings = shown.locator("main section:not(.no-print) > h2").all_inner_texts()
    title = shown.locator("h1").inner_text()
    sheets = printed(shown)
    text = text_of(sheets)
    words = LANGUAGES[language]
    choices = visit_named.answer("choices")
    [course] = [each["name"] for each in choices["courses"] if each["id"] == COURSES[language]]
    [term] = [each["name"] for each in choices["terms"] if each["id"] == TERM]
    zone = choices["time_zone"]
    assert len(headings) >= 1
    for expected in (SCHOOL_NAME, course, term, zone, title, words[f"paper_note.{page}"]):
        assert squeezed(expected) in text
    for heading in headings:
        assert squeezed(heading) in text
    for name in ON_SCREEN:
        assert squeezed(words[name]) not in text, name
    assert len(sheets.pages) <= MOST_SHEETS[page]
    for number, sheet in enumerate(sheets.pages, start=1):
        size = (round(float(sheet.mediabox.width)), round(float(sheet.mediabox.height)))
        assert size == A4_POINTS
        assert f"{number}/{len(sheets.pages)}" in squeezed(sheet.extract_text())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheet_of_a_student_names_no_other_student(visit: Visitor, language: str) -> None:
    """Out: `no-print` of the records or of the contact in student.js. A text or a note may name anybody."""
    own = STUDENTS[language]
    names = names_of(visit, COURSES[language])
    others = {name for student, name in names.items() if student != own}
    asked = {"course": COURSES[language], "student": own}
    records = visit.answer("records", **asked)
    for row, name in zip(records["rows"], sorted(others), strict=False):
        row["text"] = f"I did it with {name}."
    answer_with(visit, "records", records)
    actions = visit.answer("actions", **asked)
    note: dict[str, Any] = {"record": "@page-actions/1", "kind": "action", "student": own}
    note |= {"spoken": True, "not_until": None, "holds": False, "at": "2026-05-18T08:00:00Z"}
    note |= {"author": "T01", "author_name": "T", "text": f"Quarrels with {min(others)}."}
    answer_with(visit, "actions", actions | {"rows": [note]})
    shown = opened(visit, "student", language)
    assert min(others) in shown.locator("main").inner_text(), "the page has it"
    text = text_of(printed(shown))
    assert squeezed(names[own]) in text
    assert [name for name in others if squeezed(name) in text] == []
    assert squeezed("Quarrels") not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheet_of_a_course_names_nobody(visit: Visitor, language: str) -> None:
    text = text_of(printed(opened(visit, "overview", language)))
    names = names_of(visit, COURSES[language]).values()
    assert [name for name in names if squeezed(name) in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_today_on_paper_has_all_ninety_students_and_the_page_is_as_before(
    visit: Visitor, language: str
) -> None:
    """Out: `onPaperInstead` in heat.js."""
    answer_with(visit, "grid", large_class(visit))
    answer_with(visit, "handed-in", missing_tasks(visit))
    shown = opened(visit, "today", language)
    before = shown.locator("main").inner_html()
    sheets = printed(shown)
    text = text_of(sheets)
    for student in range(1, NINETY):
        assert f"王小明{student}" in text
    more_points = LANGUAGES[language]["heat.more_points.other"].replace("{n}", "4")
    assert squeezed(more_points) in text
    assert len(sheets.pages) <= MOST_SHEETS["today"]
    assert shown.locator("main").inner_html() == before


@pytest.mark.parametrize("language", LANGUAGES)
def test_ninety_students_fit_on_a_few_sheets(visit: Visitor, language: str) -> None:
    ninety_students(visit)
    sheets = printed(opened(visit, "students", language))
    text = text_of(sheets)
    for student in range(1, NINETY):
        assert f"王小明{student}" in text
    assert len(sheets.pages) <= MOST_SHEETS["students"]


def test_a_list_that_is_searched_says_so_on_paper(visit: Visitor) -> None:
    """Out: `only-print` in students.js."""
    shown = visit.open("students", lang="en", course="ALG", find="emma")
    text = text_of(printed(shown))
    assert "Findastudentemma·1of12" in text


def test_no_sheet_ends_within_a_row(visit: Visitor) -> None:
    """Out: `tr` or `li` of `break-inside` in page.css. A heading stands with the first row below it."""
    shown = visit.open("today", lang="en", course="ALG", term=TERM)
    shown.emulate_media(media="print")
    style = "(e, name) => getComputedStyle(e)[name]"
    for row in shown.locator("main tr, main li").all():
        assert row.evaluate(style, "breakInside") == "avoid"
    for heading in shown.locator("main h2, main h3").all():
        assert heading.evaluate(style, "breakAfter") == "avoid"


@pytest.mark.parametrize("page", SHEETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_button_opens_the_dialog_of_the_browser(
    visit: Visitor, language: str, page: str
) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.add_init_script("window.asked = 0; window.print = () => { window.asked += 1; };")
    shown = opened(visit, page, language)
    words = LANGUAGES[language]
    shown.get_by_role("button", name=words["nav.more"], exact=True).click()
    shown.get_by_role("button", name=words["nav.print"]).click()
    assert shown.evaluate("window.asked") == 1
    check_width(shown)
