"""Items in a real browser: which questions are hard, and how many gave which answer."""

import json
from collections import Counter, defaultdict
from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.school import EXAMPLES
from page.test_pages import CHINESE, COURSE, LANGUAGES, answer_busy, close, with_key
from page.test_today import HOSTILE, answer_with
from page.visitor import Visitor
from playwright.sync_api import Page, Route

pytestmark = pytest.mark.embedded

ALGEBRA = "ALG"
TEACHER, ANALYST = "eg_teacher:T01", "eg_analyst"
MANY = 400
HARDEST = "Adding fractions"


class FromRecords:
    """The questions of a course, computed from the files that the school was imported from."""

    def __init__(self, course: str) -> None:
        records = []
        for path in EXAMPLES.glob("*.ndjson"):
            if path.name != "broken.ndjson":
                records += [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        self.title: dict[str, str] = {}
        self.points: dict[str, str] = {}
        tries = []
        enrolled = set()
        for record in records:
            data = record["data"]
            if record["type"] == "item_record":
                self.title[data["item_id"]] = data["title"]
                self.points[data["item_id"]] = " ".join(data["knowledge_points"])
            elif data.get("course_id") != course:
                continue
            elif record["type"] == "attempt_record" and data.get("correct") is not None:
                tries.append((record["timestamp"], data))
            elif record["type"] == "course_record":
                enrolled.add(data["student_id"])
        self.outcomes: dict[str, list[bool]] = defaultdict(list)
        self.answers: dict[str, Counter[str]] = defaultdict(Counter)
        seen: set[tuple[str, str]] = set()
        for _, data in sorted(tries, key=lambda each: each[0]):
            who_and_item = (data["student_id"], data["item_id"])
            if data["student_id"] not in enrolled or who_and_item in seen:
                continue
            seen.add(who_and_item)
            self.outcomes[data["item_id"]].append(data["correct"])
            self.answers[data["item_id"]][data["response"]] += 1

    def right(self, item: str) -> float:
        return sum(self.outcomes[item]) / len(self.outcomes[item])


def row_of(shown: Page, item: str) -> Any:
    return shown.locator(f".by-item tr[data-row='{item}']")


def titles(shown: Page) -> list[str]:
    found: list[str] = shown.locator(".by-item tr[data-row] .opens").all_inner_texts()
    return found


def many_items(visit: Visitor) -> dict[str, Any]:
    """Four hundred questions with long titles and some in doubt, the first with a title that looks like HTML."""
    rows = []
    for number in range(MANY):
        title = f"Gleichungen mit Klammern und Brüchen lösen 解带括号和分数的方程 {number:03}"
        row: dict[str, Any] = {
            "item": f"x{number}",
            "name": title if number else HOSTILE,
            "right": number * 7 % 101 / 100,
            "students": 90,
            "discrimination": number % 50 / 100 - 0.1,
            "wrong_answers": [],
            "points": ["a", "b"],
            "point_names": ["solving equations with brackets", "分数"],
            "evidence": f"/v1/insights/records?course=ALG&item=x{number}",
        }
        rows.append(row | {"noise": None})
    return visit.answer("items", course=ALGEBRA) | {"rows": rows}


def many_answers(visit: Visitor) -> dict[str, Any]:
    """Twenty answers to one question, one of them long and one that looks like HTML."""
    rows = []
    for number in range(20):
        response = [HOSTILE, "so that " * 40, "王" * 120][number] if number < 3 else f"{number}"
        row: dict[str, Any] = {"item": "x0", "name": HOSTILE, "response": response}
        row |= {"right": (0.0, 1.0, 0.5)[number % 3], "students": 20 - number, "answered": 210}
        row |= {"share": (20 - number) / 210, "who": [f"S{who:03}" for who in range(20 - number)]}
        rows.append(row | {"evidence": "/v1/insights/records?course=ALG&item=x0"})
    return visit.answer("answers", course=ALGEBRA) | {"rows": rows}


@pytest.mark.parametrize("course", [ALGEBRA, COURSE])
def test_figures_are_those_of_the_imported_records(visit: Visitor, course: str) -> None:
    """Out: the sort in items.js; `students` and `answered` of an answer the wrong way round."""
    expected = FromRecords(course)
    assert expected.outcomes
    shown = visit.open("items", course=course, lang="en")
    order = sorted(expected.outcomes, key=lambda item: (expected.right(item), expected.title[item]))
    rows = shown.locator(".by-item tr[data-row]")
    found = [str(row.get_attribute("data-row")) for row in rows.all()]
    assert sorted(found) == sorted(order)
    shares = [expected.right(item) for item in found]
    assert shares == sorted(shares), "the hardest stand first"
    assert close(visit.values(".by-item tr[data-row]"), shares)
    for item in found:
        said = row_of(shown, item).inner_text()
        assert expected.title[item] in said
        assert f"{len(expected.outcomes[item])} students" in said
        row_of(shown, item).locator(".opens").click()
        visit.ready()
        given: Counter[str] = Counter()
        lines = shown.locator(".answers > li")
        for line in lines.all():
            number = line.locator(".of data").get_attribute("value")
            given[line.locator("q").inner_text()] = int(str(number))
            share = line.locator(".with-bar data").get_attribute("value")
            assert float(str(share)) == int(str(number)) / expected.answers[item].total()
        assert given == expected.answers[item]
        assert shown.locator(".under").count() == 1, "one question is open at a time"


def test_an_answer_names_who_gave_it_and_opens_the_records(visit: Visitor) -> None:
    answers = visit.answer("answers", course=ALGEBRA, item="alg-unit1-q1")["rows"]
    names = {row["student"]: row["name"] for row in visit.answer("roster", course=ALGEBRA)["rows"]}
    shown = visit.open("items", course=ALGEBRA, lang="en", item="alg-unit1-q1")
    lines = shown.locator(".answers > li")
    for line, row in zip(lines.all(), answers, strict=True):
        line.locator("summary").click()
        assert line.locator(".people a").all_inner_texts() == [names[who] for who in row["who"]]
    shown.get_by_role("link", name="See the records").click()
    shown.wait_for_selector("[data-page=records]")
    visit.ready()
    records = visit.answer("records", course=ALGEBRA, item="alg-unit1-q1")["rows"]
    assert shown.locator("tbody tr[data-row]").count() == len(records)


@pytest.mark.parametrize("language", LANGUAGES)
def test_four_hundred_questions_can_be_read_at_each_size(visit: Visitor, language: str) -> None:
    """Out: `overflow-wrap` of `.answers p` or the rules for phones in page.css; `h` that reads HTML."""
    answer_with(visit, "items", many_items(visit))
    answer_with(visit, "answers", many_answers(visit))
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open("items", course=ALGEBRA, lang=language, item="x0")
        check_width(shown)
        wide = "e => e.scrollWidth - e.clientWidth"
        assert shown.locator("[data-question=items] > div > .scrolls").evaluate(wide) <= 0
        assert shown.locator(".by-item tr[data-row]").count() == 300
        assert not shown.query_selector("main img")
        assert HOSTILE in row_of(shown, "x0").inner_text()
        assert HOSTILE in shown.locator(".answers q").first.inner_text()
        assert shown.locator(".answers").first.locator("> li").count() == 6
        if width > WIDTHS[0]:
            heights = shown.locator(".by-item tr[data-row]").evaluate_all(
                "all => all.map(e => e.clientHeight)"
            )
            assert max(heights) <= 130, "a row is not a tower"
    for theme in ("light", "dark"):
        shown.emulate_media(color_scheme=theme)
        assert serious(shown) == []
    if language == "zh":
        for each in shown.locator(
            "main h2, main .lead, main caption, main summary, main .note, .choice"
        ).all():
            if each.inner_text() != "English":
                assert CHINESE.search(str(each.text_content())), each.text_content()
    shown.get_by_role("link", name=LANGUAGES[language]["table.all"]).click()
    shown.wait_for_url("**rows=all*")
    visit.ready()
    assert shown.locator(".by-item tr[data-row]").count() == MANY


def test_questions_are_ordered_and_found_by_their_points(visit: Visitor) -> None:
    """Out: `point_names` in the search; `DOUBTFUL` in `inWords`."""
    answer = many_items(visit)
    answer["rows"] = answer["rows"][1:60]
    answer["rows"][4]["point_names"] = ["negative numbers", "分数"]
    answer_with(visit, "items", answer)
    shown = visit.open("items", course=ALGEBRA, lang="en", sort="doubt")
    by_doubt = sorted(answer["rows"], key=lambda row: (row["discrimination"], row["name"]))
    assert titles(shown) == [row["name"] for row in by_doubt]
    doubtful = sum(row["discrimination"] < 0.1 for row in answer["rows"])
    hard = sum(row["right"] < 0.5 for row in answer["rows"])
    lead = shown.locator(".lead").inner_text()
    assert "59 questions." in lead
    assert f"At {hard} of them" in lead
    assert f"Look at {doubtful}:" in lead
    assert shown.locator(".doubt").count() == doubtful
    shown.get_by_label("Find a question or a point").fill("NEGATIVE")
    shown.wait_for_url("**find=NEGATIVE*")
    visit.ready()
    assert titles(shown) == [answer["rows"][4]["name"]]


def test_a_question_is_opened_and_closed_by_keyboard_where_it_stands(visit: Visitor) -> None:
    """Out: `data-keep-focus` of the title, or `minHeight` in main.js."""
    answer_with(visit, "items", many_items(visit))
    answer_with(visit, "answers", many_answers(visit))
    shown = visit.open("items", course=ALGEBRA, lang="en", sort="name")
    title = row_of(shown, "x200").locator(".opens")
    title.focus()
    place = "document.querySelector('[data-row=x200]').getBoundingClientRect().top"
    before = shown.evaluate(place)
    for is_open in (True, False):
        shown.keyboard.press("Enter")
        opened = f"[data-keep-focus=item-x200][aria-expanded={str(is_open).lower()}]"
        shown.locator(opened).wait_for()
        visit.ready()
        assert shown.evaluate("document.activeElement.dataset.keepFocus") == "item-x200"
        assert shown.locator(".under").count() == int(is_open)
        stays_where_it_is = f"() => Math.abs({place} - {before}) < 2"
        shown.wait_for_function(stays_where_it_is)


def test_help_is_counted_by_students(visit: Visitor) -> None:
    """Out: `attempts_with_help` in `helpByItem`."""
    help_used = visit.answer("help-used", course=ALGEBRA)
    rows = []
    for number, with_help in enumerate([1, 0, 3]):
        row: dict[str, Any] = {"student": f"S{number}", "student_name": None, "attempts": 3}
        row |= {"item": "alg-unit1-q1", "name": HARDEST, "attempts_with_help": with_help}
        rows.append(row | {"hints": with_help, "share": with_help / 3, "evidence": None})
    answer_with(visit, "help-used", help_used | {"rows": rows})
    shown = visit.open("items", course=ALGEBRA, lang="en", sort="-help")
    assert titles(shown)[0] == HARDEST
    cell = row_of(shown, "alg-unit1-q1").locator("td").last
    assert cell.inner_text().split() == ["2", "of", "3"]
    assert row_of(shown, "alg-unit1-q2").locator("td").last.inner_text() == ""


def test_of_very_many_answers_help_is_not_asked_for_and_that_is_said(visit: Visitor) -> None:
    """Out: `MOST_WITH_HELP` in items.js."""
    answer = visit.answer("items", course=ALGEBRA)
    answer["of_how_many"]["first attempts"] = 5001
    answer_with(visit, "items", answer)
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown = visit.open("items", course=ALGEBRA, lang="en")
    assert not [each for each in asked if "/help-used" in each]
    assert "for up to 5,000 first answers" in shown.locator("main").inner_text()


def test_answers_that_cannot_be_had_leave_the_list(visit: Visitor) -> None:
    """Out: the block of its own for the answers."""
    visit.allowed = ("503", "403")
    visit.page.route("**/v1/insights/answers?*", answer_busy)
    shown = visit.open("items", course=ALGEBRA, lang="en")
    number = len(titles(shown))
    row_of(shown, "alg-unit1-q1").locator(".opens").click()
    shown.locator(".under .refusal").wait_for(timeout=30_000)
    assert len(titles(shown)) == number
    assert shown.locator(".under").get_by_role("button", name="Ask again").count() == 1
    assert serious(shown) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_course_without_answers_says_so(visit: Visitor, language: str) -> None:
    answer_with(visit, "items", visit.answer("items", course=ALGEBRA) | {"rows": []})
    shown = visit.open("items", course=ALGEBRA, lang=language)
    assert shown.locator(".by-item .none").inner_text() == LANGUAGES[language]["items.none"]
    assert serious(shown) == []


def test_a_question_without_known_answers_says_so(visit: Visitor) -> None:
    answer_with(visit, "answers", visit.answer("answers", course=ALGEBRA) | {"rows": []})
    shown = visit.open("items", course=ALGEBRA, lang="en", item="alg-unit1-q1")
    assert "No record says what was answered" in shown.locator(".under").inner_text()


def test_a_teacher_sees_the_students_of_their_groups_alone(visit_guarded: Visitor) -> None:
    visit = visit_guarded
    visit.page.add_init_script(with_key(TEACHER))
    shown = visit.open("items", course=COURSE, lang="en")
    assert shown.locator("nav a[href^='#items']").count() == 1
    rows = visit.answer("items", key=TEACHER, course=COURSE)["rows"]
    everybody = FromRecords(COURSE)
    assert sum(row["students"] for row in rows) < sum(map(len, everybody.outcomes.values()))
    for row in rows:
        said = row_of(shown, row["item"]).inner_text()
        assert f"{row['students']} student" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_analyst_sees_protected_questions_and_neither_answers_nor_persons(
    visit_guarded: Visitor, language: str
) -> None:
    """Out: `row.noise` or the case of a share that is not known in `rightCell`; `exact` at the note."""
    visit = visit_guarded
    visit.page.add_init_script(with_key(ANALYST))
    own = visit.answer("items", key=ANALYST, course=COURSE)
    hidden = own["left_out"]["rows of small groups"]
    rows = []
    for number, right in enumerate([0.62, None]):
        row: dict[str, Any] = {"item": f"q{number}", "name": f"Quiz {number}", "right": right}
        row |= {"students": 31, "discrimination": None, "wrong_answers": [], "points": ["p"]}
        row |= {"point_names": ["分数"], "evidence": None, "noise": 0.05 if right else None}
        rows.append(row)
    answer_with(visit, "items", own | {"rows": rows})
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown = visit.open("items", course=COURSE, lang=language, item="q0")
    words = LANGUAGES[language]
    first, second = (row_of(shown, f"q{number}").inner_text() for number in range(2))
    assert "± 5" in first.replace("%", "")
    assert words["school.about_students.other"].replace("{n}", "31") in first
    assert words["school.hidden"] in second
    said = shown.locator("[data-question=items]").inner_text()
    assert words["table.hidden_rows"].replace("{n}", str(hidden)) in said
    assert words["items.cells"] in said
    assert words["how.hidden"] in said
    assert (
        shown.locator(".opens, .under, main a[href*='#student'], main a[href*=records]").count()
        == 0
    )
    for question in ("answers", "help-used", "roster"):
        assert not [each for each in asked if f"/v1/insights/{question}" in each]
    assert serious(shown) == []


@pytest.mark.parametrize("key", ["eg_counsellor", "eg_student:S001"])
def test_who_may_not_see_questions_is_told_so_without_a_request(
    visit_guarded: Visitor, key: str
) -> None:
    """Out: the case of a question that the caller may not ask, in items.js."""
    visit = visit_guarded
    visit.page.add_init_script(with_key(key))
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown = visit.open("items", course=COURSE, lang="en")
    assert not shown.query_selector("nav a[href^='#items']")
    assert shown.locator(".refusal").count() == 1
    assert not [each for each in asked if "/v1/insights/items" in each]


def test_the_page_asks_only_for_what_it_shows(visit: Visitor) -> None:
    """Two questions for the list, and two more for a question that is open."""
    asked: list[str] = []

    def count(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    visit.page.route("**/v1/insights/*?*", count)
    visit.open("items", course=ALGEBRA, lang="en")
    assert len(asked) == 2
    row_of(visit.page, "alg-unit1-q1").locator(".opens").click()
    visit.ready()
    assert len(asked) == 4
