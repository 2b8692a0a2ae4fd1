"""Analysis in a real browser: mistakes that come back, weaknesses that travel, and points that nobody teaches."""

import csv
import io
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import CHINESE, COURSE, LANGUAGES, close, with_key
from page.test_today import HOSTILE, answer_with
from page.visitor import Visitor
from playwright.sync_api import Page

pytestmark = pytest.mark.embedded

ANALYST = "eg_analyst"
QUESTIONS = {
    "returning": "returning-mistakes",
    "travelling": "travelling-weaknesses",
    "untaught": "untaught-points",
}
FIELDS = {
    "returning": ("returned", "students_with_two_rights", "practised_again", "right_first")
    + ("right_second", "right_third", "cohort"),
    "travelling": ("wrong_after_wrong", "students_wrong", "wrong_after_right", "students_right")
    + ("difference",),
    "untaught": ("mistakes", "students"),
}
MANY = 350


def row_of(view: str, number: int) -> dict[str, Any]:
    """A point with a long name. Each figure has another order than the names."""
    name = f"Gleichungen mit Klammern 解带括号的方程 {number:03}"
    row: dict[str, Any] = {"point": f"p{number}", "name": name, "evidence": None, "noise": None}
    for place, field in enumerate(FIELDS[view]):
        mixed = number * (7 + 2 * place) % 101
        row[field] = mixed if field.startswith(("students", "practised", "cohort")) else mixed / 100
    if view == "untaught":
        row |= {"mistakes": number * 7 % 101, "needed_for": [f"Brüche 分数 {number}"][: number % 2]}
    return row


def many_points(visit: Visitor, view: str) -> list[dict[str, Any]]:
    """Give an answer of many points. The first has a name that looks like HTML, the second one like a formula."""
    rows = [row_of(view, number) for number in range(MANY)]
    rows[0]["name"] = HOSTILE
    rows[1]["name"] = '=HYPERLINK("http://x.example", 1)'
    courses = [each["id"] for each in visit.answer("choices")["courses"] if each["id"] != COURSE]
    more = {"next_course": courses[0]} if view == "travelling" else {}
    answer = visit.answer(QUESTIONS[view], course=COURSE, **more)
    answer_with(visit, QUESTIONS[view], answer | {"rows": rows})
    return rows


def names(shown: Page) -> list[str]:
    found: list[str] = shown.locator("main tbody th a").all_inner_texts()
    return found


def saved(shown: Page, words: str) -> list[list[str]]:
    with shown.expect_download() as download:
        shown.get_by_role("button", name=words).click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize("view", QUESTIONS)
def test_the_figures_are_those_of_the_api(visit: Visitor, view: str) -> None:
    """Out: the name of the question at `ask` in analysis.js."""
    courses = [each["id"] for each in visit.answer("choices")["courses"] if each["id"] != COURSE]
    more = {"next_course": courses[-1]} if view == "travelling" else {}
    rows = visit.answer(QUESTIONS[view], course=COURSE, **more)["rows"]
    rows.sort(key=lambda row: row["name"])
    shown = visit.open(
        "analysis", course=COURSE, lang="en", view=view, sort="name", next=courses[-1]
    )
    found = {
        str(row.get_attribute("data-row")): visit.values(
            f"tr[data-row='{row.get_attribute('data-row')}']"
        )
        for row in shown.locator("main tbody tr[data-row]").all()
    }
    assert found.keys() == {row["point"] for row in rows}
    for row in rows:
        expected = [row[field] for field in FIELDS[view]]
        assert close(found[row["point"]], expected), row


@pytest.mark.parametrize("view", QUESTIONS)
def test_the_file_has_the_rows_that_are_shown_in_their_order(visit: Visitor, view: str) -> None:
    """Out, each alone: the filter or the sort in analysis.js; `FORMULA` in csv.js; the quotes of a cell."""
    rows = many_points(visit, view)
    first = FIELDS[view][4] if view == "travelling" else FIELDS[view][0]
    shown = visit.open("analysis", course=COURSE, lang="en", view=view)
    words = LANGUAGES["en"]["csv.shown"]
    head, *lines = saved(shown, words)
    assert len(lines) == MANY
    assert head[1:] == shown.locator("main thead th").all_inner_texts()[1:]
    by_need = sorted(rows, key=lambda row: (-row[first], row["point"]))
    assert [line[0] for line in lines[:300]] == [
        f"'{name}" if name.startswith("=") else name for name in names(shown)
    ]
    place = list(FIELDS[view]).index(first) + 1
    assert [float(line[place]) for line in lines] == [row[first] for row in by_need]
    formula = next(line[0] for line in lines if "HYPERLINK" in line[0])
    assert formula == "'" + rows[1]["name"]
    shown.get_by_label(LANGUAGES["en"]["analysis.find"]).fill("方程 01")
    shown.wait_for_url("**find=*")
    visit.ready()
    shown.get_by_role("link", name=LANGUAGES["en"]["column.point"], exact=True).click()
    shown.wait_for_url("**sort=name*")
    visit.ready()
    _, *lines = saved(shown, words)
    assert [line[0] for line in lines] == [rows[number]["name"] for number in range(10, 20)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("view", QUESTIONS)
def test_many_points_can_be_read_at_each_size(visit: Visitor, view: str, language: str) -> None:
    """Out: `overflow-wrap` of cells on a phone in page.css."""
    many_points(visit, view)
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open("analysis", course=COURSE, lang=language, view=view)
        check_width(shown)
        assert shown.locator("main tbody tr[data-row]").count() == 300
        assert not shown.query_selector("main img")
    for theme in ("light", "dark"):
        shown.emulate_media(color_scheme=theme)
        assert serious(shown) == []
    if language == "zh":
        said = "main :is(h1, h2, .lead, caption, summary, .note, th[scope=col], .choice, label, button)"
        for each in shown.locator(said).all():
            assert CHINESE.search(str(each.text_content())), each.text_content()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("view", QUESTIONS)
def test_that_nothing_is_known_is_said(visit: Visitor, view: str, language: str) -> None:
    many_points(visit, view)
    visit.page.unroute(f"**/v1/insights/{QUESTIONS[view]}?*")
    more = {"next_course": "ALG"} if view == "travelling" else {}
    answer = visit.answer(QUESTIONS[view], course=COURSE, **more)
    answer_with(visit, QUESTIONS[view], answer | {"rows": []})
    shown = visit.open("analysis", course=COURSE, lang=language, view=view)
    assert shown.locator("main .none").inner_text() == LANGUAGES[language]["analysis.none"]
    assert serious(shown) == []


def test_the_next_course_is_chosen_and_stays_in_the_address(visit: Visitor) -> None:
    """Out: `next_course` in analysis.js."""
    asked: list[str] = []

    def note(url: str) -> None:
        if "/travelling-weaknesses?" in url:
            asked.extend(parse_qs(urlsplit(url).query)["next_course"])

    visit.page.on("request", lambda request: note(request.url))
    shown = visit.open("analysis", course=COURSE, lang="en", view="travelling")
    others = shown.locator("select[name=next] option").evaluate_all("all => all.map(e => e.value)")
    assert COURSE not in others
    shown.locator("select[name=next]").select_option(others[-1])
    shown.wait_for_url(f"**next={others[-1]}*")
    visit.ready()
    assert asked == [others[0], others[-1]]


def test_a_course_that_cannot_be_compared_leaves_the_choice(visit: Visitor) -> None:
    """Out: the `catch` of `travelling` in analysis.js."""
    visit.allowed = ("403",)
    visit.page.route(
        "**/v1/insights/travelling-weaknesses?*",
        lambda route: route.fulfill(status=403, json={"type": "urn:x:rows", "detail": ""}),
    )
    shown = visit.open("analysis", course=COURSE, lang="en", view="travelling")
    assert shown.locator("main .refusal").count() == 1
    assert shown.locator("select[name=next]").count() == 1


def test_an_analyst_sees_protected_figures_and_no_persons(visit_guarded: Visitor) -> None:
    """Out: `exact` in analysis.js, or the noise of a share."""
    visit = visit_guarded
    visit.page.add_init_script(with_key(ANALYST))
    own = visit.answer("returning-mistakes", key=ANALYST, course=COURSE)
    row = row_of("returning", 5) | {"noise": 0.06}
    answer_with(visit, "returning-mistakes", own | {"rows": [row]})
    shown = visit.open("analysis", course=COURSE, lang="en")
    assert "± 6%" in shown.locator("main tbody").inner_text()
    assert LANGUAGES["en"]["how.hidden"] in shown.locator("main").inner_text()
    assert not shown.query_selector("main .lead")
    assert not shown.query_selector(
        "main a[href*=records], main a[href^='#point'], main a[href^='#student']"
    )
    assert serious(shown) == []


@pytest.mark.parametrize("key", ["eg_counsellor", "eg_student:S001"])
def test_who_may_not_see_the_analysis_is_told_so_without_a_request(
    visit_guarded: Visitor, key: str
) -> None:
    """Out: the case of a question that the caller may not ask, in analysis.js."""
    visit = visit_guarded
    visit.page.add_init_script(with_key(key))
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown = visit.open("analysis", course=COURSE, lang="en")
    assert not shown.query_selector("nav a[href^='#analysis']")
    assert shown.locator(".refusal").count() == 1
    assert not [each for each in asked if f"/v1/insights/{QUESTIONS['returning']}" in each]


def test_a_view_is_chosen_by_keyboard_and_keeps_its_focus(visit: Visitor) -> None:
    """Out: `data-keep-focus` of a view in analysis.js."""
    shown = visit.open("analysis", course=COURSE, lang="en")
    shown.locator("[data-keep-focus=view-untaught]").focus()
    shown.keyboard.press("Enter")
    shown.wait_for_selector("[data-view=untaught] table")
    visit.ready()
    assert shown.evaluate("document.activeElement.dataset.keepFocus") == "view-untaught"
