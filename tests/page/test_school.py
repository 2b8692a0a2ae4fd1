"""School in a real browser: courses by terms for a head and an analyst, and groups compared."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import CHINESE, COURSE, LANGUAGES, TERM, close, with_key
from page.test_today import HOSTILE, answer_with
from page.visitor import Visitor
from playwright.sync_api import Page, Route

pytestmark = pytest.mark.embedded

HEAD, ANALYST, TEACHER = "eg_head:T01", "eg_analyst", "eg_teacher:T01"
COURSES = 40
TERMS = ("Autumn 2024", "Spring 2025", "Autumn 2025", "Spring 2026", "Autumn 2026")
SHOWN = TERMS[1:]


def share_of(course: int, term: int) -> float | None:
    """The last course has no first attempts."""
    if course == COURSES - 1:
        return None
    return (course * 17 + term * 5) % 90 / 100 + 0.05


class School:
    """Forty courses with long names, and the answers about them. With `holds` no answer is given yet."""

    def __init__(self, visit: Visitor, *, noise: float | None = None) -> None:
        self.noise = noise
        self.asked: list[str] = []
        self.held: list[Route] = []
        self.holds = False
        self.failing: set[str] = set()
        self.silent: set[str] = set()  # courses without records of the last term
        self.share: Callable[[int, int], float | None] = share_of
        choices = visit.answer("choices")
        courses = [{"id": COURSE, "name": HOSTILE}]
        for number in range(1, COURSES):
            name = f"Mathematik der Oberstufe und 高等数学选修课程 {number:02}"
            courses.append({"id": f"c{number:02}", "name": name})
        visit.page.route("**/v1/insights/choices", self.choices(choices | {"courses": courses}))
        visit.page.route("**/v1/insights/terms?*", self.take)
        self.answer = visit.answer("terms", course=COURSE)

    def choices(self, body: dict[str, Any]) -> Any:
        return lambda route: route.fulfill(json=body)

    def take(self, route: Route) -> None:
        [course] = parse_qs(urlsplit(route.request.url).query)["course"]
        self.asked.append(course)
        if self.holds:
            self.held.append(route)
        elif course in self.failing:
            route.fulfill(status=403, json={"type": "urn:x:rows", "detail": ""})
        else:
            self.give(route, course)

    def give(self, route: Route, course: str) -> None:
        number = 0 if course == COURSE else int(course[1:])
        rows = []
        terms = TERMS[:-1] if course in self.silent else TERMS
        for place, term in enumerate(terms):
            row: dict[str, Any] = {
                "term": term,
                "name": term,
                "starts": f"2026-0{place + 1}-01T00:00:00Z",
            }
            row |= {"ends": f"2026-0{place + 2}-01T00:00:00Z", "right": self.share(number, place)}
            row |= {"students": number + 1, "noise": self.noise, "first_attempts": 9}
            rows.append(row | {"mistakes": 1, "unresolved": 1, "evidence": None})
        exact = self.noise is None
        route.fulfill(json=self.answer | {"rows": rows, "exact": exact, "left_out": {}})


def names_of(shown: Page) -> list[str]:
    names: list[str] = shown.locator(".by-terms tbody th a").all_inner_texts()
    return names


@pytest.mark.parametrize("language", LANGUAGES)
def test_forty_courses_can_be_read_at_each_size(visit: Visitor, language: str) -> None:
    """Out: `isIntersecting` or the order by need in school.js, or the grid of `.by-terms` in page.css."""
    school = School(visit)
    for width in WIDTHS:
        school.asked.clear()
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open("school", course=COURSE, lang=language)
        check_width(shown)
        wide = "e => e.scrollWidth - e.clientWidth"
        assert shown.locator("[data-question=terms] .scrolls").evaluate(wide) <= 0
        assert len(names_of(shown)) == COURSES
        assert 0 < len(school.asked) < COURSES, "what is not seen is not asked for"
        assert shown.locator(".by-terms thead th").count() == 1 + len(SHOWN)
        assert not shown.query_selector("main img")
        heights = shown.locator(".by-terms tbody tr").evaluate_all(
            "all => all.map(e => e.clientHeight)"
        )
        assert max(heights) <= (240 if width == WIDTHS[0] else 130)
    last_row = shown.locator(".by-terms tbody tr").last
    last_row.scroll_into_view_if_needed()
    last_row.locator(".strong, .quiet").first.wait_for()
    assert last_row.get_attribute("data-row") in school.asked
    assert len(school.asked) == len(set(school.asked)), "no course is asked about twice"
    for theme in ("light", "dark"):
        shown.emulate_media(color_scheme=theme)
        assert serious(shown) == []
    if language == "zh":
        for each in shown.locator(
            "main h2, main .lead, main caption, main .unit, main .note"
        ).all():
            assert CHINESE.search(str(each.text_content())), each.text_content()


def test_in_the_order_by_need_all_courses_are_asked_about_few_at_once(visit: Visitor) -> None:
    """Out: `AT_ONCE`; the sort; courses without a share at the end."""
    school = School(visit)
    school.holds = True
    visit.page.goto(f"{visit.address}/ui/#school?course={COURSE}&lang=en&order=need")
    visit.page.wait_for_selector(".by-terms .waits")
    given = 0
    while given < COURSES:
        visit.page.wait_for_timeout(10)
        assert len(school.held) - given <= 2
        for route in school.held[given:]:
            [course] = parse_qs(urlsplit(route.request.url).query)["course"]
            school.give(route, course)
            given += 1
    shown = visit.ready()
    shares = {f"{number:02}": share_of(number, len(TERMS) - 1) for number in range(COURSES)}
    order = ["00" if name == HOSTILE else name[-2:] for name in names_of(shown)]
    assert order[-1] == f"{COURSES - 1:02}", "a share that is not known stands last"
    known = [shares[each] for each in order[:-1]]
    assert known == sorted(known, key=lambda share: share or 0.0)


def test_a_change_says_no_more_than_its_noise_allows(visit: Visitor) -> None:
    """Out: `fromNoise` in school.js. From term to term the share of a course grows by five points."""
    School(visit)
    shown = visit.open("school", course=COURSE, lang="en")
    assert shown.get_by_text("5 up").count() > 0
    assert shown.get_by_text("about the same").count() == 0
    School(visit, noise=0.03)
    shown = visit.open("school", course=COURSE, lang="en")
    assert shown.get_by_text("5 up").count() == 0
    assert shown.get_by_text("about the same").count() > 0
    assert "about 2 students" in shown.locator(".by-terms").inner_text()
    assert "Protected by noise" in shown.locator("[data-question=terms]").inner_text()


def test_a_course_that_cannot_be_had_is_said_and_asked_again_by_keyboard(visit: Visitor) -> None:
    """Out: `data-keep-focus` of the button or of the course."""
    visit.allowed = ("403",)
    school = School(visit)
    school.failing = {"c01"}
    shown = visit.open("school", course=COURSE, lang="en")
    row = shown.locator("[data-row=c01]")
    assert "You may not ask about this group" in row.inner_text()
    assert shown.locator(".by-terms .refusal").count() == 1
    assert serious(shown) == []
    school.failing.clear()
    row.get_by_role("button").focus()
    shown.keyboard.press("Enter")
    visit.ready()
    assert shown.locator(".by-terms .refusal").count() == 0
    assert "%" in row.inner_text()
    focused = "document.activeElement.closest('[data-question=terms]') !== null"
    assert shown.evaluate(focused), "who works by keyboard is still in the table"


def test_a_school_without_terms_says_so(visit: Visitor) -> None:
    answer = visit.answer("terms", course=COURSE)
    answer_with(visit, "terms", answer | {"rows": []})
    shown = visit.open("school", course=COURSE, lang="en")
    assert shown.get_by_text("No course has records in a term").count() == 1
    assert serious(shown) == []


def test_a_head_sees_the_numbers_of_the_api_and_begins_here(visit_guarded: Visitor) -> None:
    visit = visit_guarded
    visit.page.add_init_script(with_key(HEAD))
    visit.page.goto(f"{visit.address}/")
    visit.page.wait_for_selector("[data-page=school]")
    shown = visit.open("school", course=COURSE, lang="en", order="need")
    answers = {}
    for course in visit.answer("choices", key=HEAD)["courses"]:
        answers[course["id"]] = visit.answer("terms", key=HEAD, course=course["id"])["rows"]
    terms = {row["term"]: row["starts"] for rows in answers.values() for row in rows}
    latest = sorted(terms, key=lambda term: (terms[term], term))[-4:]
    assert latest
    for course, rows in answers.items():
        of_term = {row["term"]: row["right"] for row in rows}
        known = [of_term[term] for term in latest if of_term.get(term) is not None]
        assert close(visit.values(f".by-terms [data-row='{course}']"), known)
    shown.locator(".by-terms tbody th a").first.click()
    shown.wait_for_selector("[data-page=overview]")


def test_an_analyst_sees_protected_courses_and_no_groups(visit_guarded: Visitor) -> None:
    visit = visit_guarded
    visit.page.add_init_script(with_key(ANALYST))
    shown = visit.open("school", course=COURSE, lang="zh", order="need")
    answer = visit.answer("terms", key=ANALYST, course=COURSE)
    assert not answer["exact"]
    known = [row["right"] for row in answer["rows"][-4:] if row["right"] is not None]
    assert close(visit.values(f".by-terms [data-row='{COURSE}']"), known)
    assert not shown.query_selector("[data-question=groups]")
    assert not shown.query_selector("main a[href*='#student'], main a[href*=records]")
    assert CHINESE.search(shown.locator("h1").inner_text())


@pytest.mark.parametrize(("key", "may_ask"), [("eg_counsellor", False), (TEACHER, True)])
def test_who_does_not_look_at_the_school_is_not_led_here(
    visit_guarded: Visitor, key: str, may_ask: bool
) -> None:
    """Out: `of` of the page in main.js. A counsellor may not ask, and the page says so without a request."""
    visit = visit_guarded
    visit.page.add_init_script(with_key(key))
    shown = visit.open("school", course=COURSE, lang="en")
    assert not shown.query_selector("nav a[href^='#school']")
    assert (shown.locator(".refusal").count() == 0) == may_ask
    assert shown.locator("[data-question=terms]").count() == int(may_ask)


def test_two_groups_are_compared_by_the_numbers_of_the_api(visit: Visitor) -> None:
    shown = visit.open("school", course=COURSE, lang="en", term=TERM)
    section = shown.locator("[data-question=groups]")
    ids = section.locator("select[name=one] option").evaluate_all("all => all.map(e => e.value)")
    assert len(ids) >= 2
    asked = shown.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    [address] = [each for each in asked if "/groups?" in each]
    given = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert (given["group"], given["other_group"]) == (ids[0], ids[1])
    rows = [row for row in visit.answer("groups", **given)["rows"] if row["school_week"] is None]
    first = [value for row in rows if not row["point"] for value in (row["group"], row["other"])]
    assert close(visit.values("[data-question=groups] tbody")[: len(first)], first)
    section.locator("select[name=other]").focus()
    section.locator("select[name=other]").select_option(ids[0])
    shown.get_by_text("Choose two different groups.").wait_for()
    assert shown.evaluate("document.activeElement.name") == "other"


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(-0.14, -0.04, "9 points lower (4 to 14)"), (-0.2, 0.02, "no clear"), (None, None, "too few")],
)
def test_a_difference_is_said_as_surely_as_it_is_known(
    visit: Visitor, low: float | None, high: float | None, words: str
) -> None:
    row = {"measure": "right", "point": "", "name": "", "school_week": None, "group": 0.54}
    row |= {"other": 0.63, "difference": -0.09, "low": low, "high": high}
    row |= {"students": 28, "other_students": 27}
    answer: dict[str, Any] = {
        "question": "groups",
        "computed_by": "",
        "as_of": "2026-06-20T08:00:00Z",
    }
    answer |= {"parameters": {}, "exact": True, "of_how_many": {}, "left_out": {}}
    answer_with(visit, "groups", answer | {"rows": [row]})
    shown = visit.open("school", course=COURSE, lang="en")
    assert words in shown.locator("[data-question=groups] tbody").inner_text()


def actions_of(shown: Page) -> dict[str, str]:
    found = shown.locator("[data-question=terms] .actions > li")
    return {str(each.get_attribute("data-action")): each.inner_text() for each in found.all()}


def name_of(number: int) -> str:
    return HOSTILE if number == 0 else f"选修课程 {number:02}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_three_sentences_say_where_the_school_needs_its_head(visit: Visitor, language: str) -> None:
    """Out, each alone: the sort of `fell`, `silent` in `needsOf` of school.js."""
    visit.allowed = ("404",)  # the terms are made up
    school = School(visit)
    school.silent = {"c07"}
    last = len(TERMS) - 1
    falls = {}
    lows = {}
    for number in range(COURSES - 1):
        now, then = share_of(number, last), share_of(number, last - 1)
        if number != 7 and now is not None and then is not None:
            falls[number] = then - now
            lows[number] = now
    most = max(falls, key=lambda number: falls[number])
    lows.pop(most)
    lowest = min(lows, key=lambda number: lows[number])
    assert falls[most] > 0.05
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open("school", course=COURSE, lang=language, order="need")
        check_width(shown)
    said = actions_of(shown)
    assert list(said) == ["fell", "low", "silent"]
    assert name_of(most) in said["fell"]
    for place in (last, last - 1):
        assert f"{round(100 * (share_of(most, place) or 0))}%" in said["fell"]
    assert name_of(lowest) in said["low"]
    assert name_of(7) in said["silent"]
    for theme in ("light", "dark"):
        shown.emulate_media(color_scheme=theme)
        assert serious(shown) == []
    if language == "zh":
        assert all(CHINESE.search(each) for each in said.values())
    link = shown.locator("[data-action=low] a.button")
    link.focus()
    shown.keyboard.press("Enter")
    shown.wait_for_selector("[data-page=overview]")
    wanted = COURSE if lowest == 0 else f"c{lowest:02}"
    assert f"course={wanted}" in shown.url
    assert "term=Autumn" in shown.url


def test_a_fall_that_noise_can_make_is_not_said(visit: Visitor) -> None:
    """Out: `now.noise` in `isLower`; `exact` of `silent`."""
    for noise, expected in ((0.02, ["fell"]), (0.05, [])):
        school = School(visit, noise=noise)
        school.silent = {"c07"}
        school.share = lambda _, term: 0.7 if term == len(TERMS) - 1 else 0.78
        shown = visit.open("school", course=COURSE, lang="en", order="need")
        assert list(actions_of(shown)) == expected
    assert shown.get_by_text("No course stands out").count() == 1


def test_before_each_course_was_asked_about_a_button_leads_to_that(visit: Visitor) -> None:
    """Out: `isComplete` before the sentences. The answers of some courses do not say what the school needs."""
    School(visit)
    shown = visit.open("school", course=COURSE, lang="en")
    assert actions_of(shown) == {}
    shown.get_by_role("link", name="Look at all 40 courses").click()
    shown.wait_for_selector("[data-question=terms] .actions")
    assert "order=need" in shown.url


def test_that_nothing_stands_out_is_not_said_without_each_answer(visit: Visitor) -> None:
    """Out: `isEachKnown` in school.js."""
    visit.allowed = ("403",)
    school = School(visit)
    school.share = lambda _number, _term: 0.7
    school.failing = {"c01"}
    shown = visit.open("school", course=COURSE, lang="en", order="need")
    assert actions_of(shown) == {}
    assert shown.get_by_text("No course stands out").count() == 0
