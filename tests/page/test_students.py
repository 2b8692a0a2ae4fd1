"""The list of students and the page of one in a real browser: persons with a sentence, readable at each size."""

from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import CHINESE, COURSE, LANGUAGES, STUDENT, TERM
from page.test_today import HOSTILE, answer_with
from page.visitor import Visitor
from playwright.sync_api import Page

pytestmark = pytest.mark.embedded

NINETY = 90
BUCKETS = ("stuck", "repeated mistakes", "too little is known", "no sign")


def bucket_of(number: int) -> str:
    return BUCKETS[number * len(BUCKETS) // NINETY]


def unanswered_of(number: int) -> int:
    return 0 if bucket_of(number) == "no sign" else number % 7


def ninety_students(visit: Visitor) -> None:
    """Answer with ninety students in all buckets, with long names in two scripts."""
    roster = visit.answer("roster", course=COURSE)
    attention = visit.answer("attention", course=COURSE)
    help_answer = visit.answer("needs-help", course=COURSE)
    students: list[dict[str, Any]] = []
    care: list[dict[str, Any]] = []
    helped: list[dict[str, Any]] = []
    for number in range(NINETY):
        who = f"x{number}"
        bucket = bucket_of(number)
        name = HOSTILE if number == 0 else f"Maximiliane-Charlotte 王小明 {number}"
        row: dict[str, Any] = {"student": who, "name": name, "progress": None}
        row |= {"first_attempts": number}
        row |= {"right": number / NINETY if number else None, "mistakes": number % 7, "last": None}
        evidence = f"/v1/insights/records?course={COURSE}&student={who}"
        students.append(row | {"evidence": evidence, "progress_evidence": None})
        care.append(
            {"student": who, "mistakes": number % 7, "unanswered": unanswered_of(number)}
            | {"first_unanswered": None, "median_hours_to_contact": None, "evidence": None}
        )
        reasons = [bucket] if bucket in BUCKETS[:2] else []
        points = [f"solving equations with brackets {each}" for each in range(5)]
        helped.append(
            {"student": who, "bucket": bucket, "reasons": reasons, "last_active": None}
            | {"school_days_inactive": 3, "stuck_at": points, "repeated": points}
            | {"low_at": points, "evidence": evidence}
        )
    answer_with(visit, "roster", roster | {"rows": students})
    answer_with(visit, "attention", attention | {"rows": care})
    answer_with(visit, "needs-help", help_answer | {"rows": helped})


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_ninety_students_can_be_read_at_each_size(
    visit: Visitor, language: str, width: int
) -> None:
    ninety_students(visit)
    visit.page.set_viewport_size({"width": width, "height": 844})
    shown = visit.open("students", course=COURSE, lang=language)
    check_width(shown)
    persons = shown.locator(".person")
    without_sign = sum(bucket_of(number) == "no sign" for number in range(NINETY))
    assert persons.count() == NINETY - without_sign
    assert shown.locator(".folded .people a").count() == without_sign
    assert not shown.query_selector("main img")
    # A sentence has room for words: no line holds one word alone, and a row is not a tower.
    shape = "all => all.map(e => [e.querySelector('.why').clientWidth, e.clientHeight])"
    for wide, high in persons.evaluate_all(shape):
        assert wide >= min(280, width * 0.6)
        assert high <= (330 if width == 390 else 190)
    if language == "zh":
        for each in shown.locator(".why, .unit, .group, .choice, .person .button").all():
            words = str(each.text_content())
            assert CHINESE.search(words) or words == "English", words
    assert serious(shown) == []


def test_a_sentence_names_a_few_things_and_says_how_many_more(visit: Visitor) -> None:
    ninety_students(visit)
    shown = visit.open("students", course=COURSE, lang="en")
    why = shown.locator(".person[data-row=x1] .why").inner_text()
    assert "brackets 2 and 2 more." in why
    assert "brackets 3" not in why
    assert why.endswith("1 mistake has had no answer.")
    why = shown.locator(".person[data-row=x2] .why").inner_text()
    assert why.endswith("2 mistakes have had no answer.")


def test_chosen_students_are_copied_by_name(visit: Visitor) -> None:
    ninety_students(visit)
    shown = visit.open("students", course=COURSE, lang="en")
    shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
    bar = shown.locator(".chosen")
    assert not bar.is_visible()
    boxes = shown.locator(".person input")
    boxes.nth(0).focus()
    shown.keyboard.press("Space")
    boxes.nth(2).check()
    boxes.nth(3).check()
    boxes.nth(3).uncheck()
    assert "2 chosen" in bar.inner_text()
    bar.get_by_role("button", name="Copy the 2 names").click()
    shown.get_by_text("2 names are copied").wait_for()
    copied = shown.evaluate("navigator.clipboard.readText()")
    assert copied == f"{HOSTILE}\nMaximiliane-Charlotte 王小明 2"


def test_the_list_is_ordered_and_searched(visit: Visitor) -> None:
    ninety_students(visit)
    shown = visit.open("students", course=COURSE, lang="en", sort="-unanswered")
    waiting = [unanswered_of(int(each)) for each in ids_of(shown)]
    assert len(waiting) == NINETY
    assert waiting == sorted(waiting, reverse=True)
    shown = visit.open("students", course=COURSE, lang="en", sort="right")
    numbers = [int(each) for each in ids_of(shown)]
    assert numbers == [*range(1, NINETY), 0], "a share that is not known stands last"
    shown = visit.open("students", course=COURSE, lang="en", sort="constructor", find="明 88")
    assert shown.locator(".folded .people a").all_text_contents() == [
        "Maximiliane-Charlotte 王小明 88"
    ]


def ids_of(shown: Page) -> list[str]:
    all_ids = "all => all.map(e => e.dataset.row.slice(1))"
    ids: list[str] = shown.locator(".person").evaluate_all(all_ids)
    return ids


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", ["overview", "records", "student"])
def test_no_table_is_scrolled_sideways_on_a_phone(visit: Visitor, page: str, language: str) -> None:
    """To take the guard out: leave `cards-on-phone` out of `table` in parts.js."""
    visit.page.set_viewport_size({"width": 390, "height": 844})
    shown = visit.open(page, course=COURSE, lang=language, student=STUDENT, term=TERM)
    wide = "all => all.map(e => [e.getAttribute('aria-label'), e.scrollWidth - e.clientWidth])"
    found = shown.locator(".scrolls").evaluate_all(wide)
    assert found
    assert [each for each in found if each[1] > 0] == []
    # Each figure keeps its heading, for eyes and for a screen reader.
    cell = shown.locator(".cards-on-phone td[data-label]").first
    assert cell.evaluate("e => getComputedStyle(e, '::before').content") not in {"none", '""'}
    assert shown.get_by_role("table").count() == len(found)
    assert serious(shown) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_too_few_for_an_estimate_is_said_once_in_a_row(visit: Visitor, language: str) -> None:
    shown = visit.open("student", course=COURSE, student=STUDENT, lang=language, term=TERM)
    words = LANGUAGES[language]["student.too_few"].strip("; ；")
    rows = shown.locator("[data-question=student] li[data-row]").all_inner_texts()
    assert any(words in each for each in rows)
    assert all(each.count(words) <= 1 for each in rows)


def test_the_steps_of_a_student_are_those_of_the_api(visit: Visitor) -> None:
    shown = visit.open("student", course=COURSE, student=STUDENT, lang="en")
    rows = visit.answer("student", course=COURSE, student=STUDENT)["rows"]
    goal = next(row for row in rows if row["state"] != "mastered")
    steps = visit.answer("next", course=COURSE, student=STUDENT, goal=goal["point"])["rows"]
    named = shown.locator("[data-question=next] li a").all_inner_texts()
    assert named == [row["name"] for row in steps[:3]]
    assert goal["name"] in shown.locator("[data-question=next]").inner_text()
