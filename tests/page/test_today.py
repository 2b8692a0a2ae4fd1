"""Today and the page of a point in a real browser: what they say is what the API answers, and each action opens it."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import CHINESE, COURSE, LANGUAGES, STUDENT, TERM, parameters, with_key
from page.visitor import Visitor
from playwright.sync_api import Page

from edugraph_insights.usefulness import OFFLINE_KINDS, REJECTED

pytestmark = pytest.mark.embedded

ALGEBRA = {"course": "ALG", "term": TERM}
LEVELS = ("none", "less", "more", "all")
HOSTILE = "<img src=x onerror=alert(1)> 王"
FOCUSED = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"


def asked(visit: Visitor) -> dict[str, str]:
    return parameters(visit, {"term": TERM}) | {"course": "ALG"}


def answer_with(visit: Visitor, question: str, answer: dict[str, Any]) -> None:
    visit.page.route(f"**/v1/insights/{question}?*", lambda route: route.fulfill(json=answer))


def level(row: dict[str, Any]) -> str:
    """The colour of a tile, by the digits and the mean outcome."""
    if row["share"] < 0.5:
        return "none" if row["right"] == 0 else "less"
    return "all" if row["right"] == row["first_attempts"] else "more"


def test_each_action_names_its_persons_and_opens_what_it_says(visit: Visitor) -> None:
    shown = visit.open("today", lang="en", **ALGEBRA)
    rows = visit.answer("today", **asked(visit))["rows"]
    assert [row["kind"] for row in rows] == ["repeat", "speak", "answer"]
    actions = shown.locator(".actions > li")
    assert [each.get_attribute("data-action") for each in actions.all()] == [
        row["kind"] for row in rows
    ]
    repeat, speak, waiting = rows
    assert repeat["name"] in actions.nth(0).inner_text()
    assert f"{repeat['number']} of {repeat['out_of']} students" in actions.nth(0).inner_text()
    for name in (*speak["student_names"], *waiting["student_names"]):
        assert name in shown.locator(".actions").inner_text()
    reasons = actions.nth(1).locator(".reasons li")
    assert reasons.count() == len(speak["students"])
    assert all(each.inner_text().strip().endswith(".") for each in reasons.all())
    assert f"Answer {waiting['number']} mistakes" in actions.nth(2).inner_text()

    actions.nth(0).get_by_role("link", name=f"See the {repeat['number']}").click()
    shown.wait_for_selector("[data-page=point] .idea")
    visit.ready()
    copied = shown.locator("[data-question=point] .idea .people a")
    assert sorted(copied.all_inner_texts()) == sorted(repeat["student_names"])


def test_a_tile_says_what_the_api_answers_and_opens_its_records(visit: Visitor) -> None:
    shown = visit.open("today", lang="en", **ALGEBRA)
    rows = visit.answer("grid", **asked(visit))["rows"]
    tiles = {
        (row["student_name"], row["name"]): (f"{row['right']}/{row['first_attempts']}", level(row))
        for row in rows
        if row["share"] is not None
    }
    points = [each.inner_text() for each in shown.locator(".heat thead .point").all()]
    found = {}
    for line in shown.locator(".heat tbody tr[data-row]").all():
        name = line.locator("th").inner_text()
        for point, cell in zip(points, line.locator("td").all(), strict=True):
            tile = cell.locator("a.tile")
            if tile.count():
                [shade] = set(str(tile.get_attribute("class")).split()) & set(LEVELS)
                found[name, point] = (tile.inner_text(), shade)
    assert found == tiles
    wrong = Counter(row["name"] for row in rows if row["share"] is not None and row["share"] < 0.5)
    sums = [int(each) for each in visit.values(".heat .sum")]
    assert sums == [wrong[point] for point in points]
    assert sums == sorted(sums, reverse=True), "the point with most need stands first"
    shown.locator(".heat a.tile").first.click()
    shown.wait_for_selector("[data-page=records] tbody tr[data-row]")


def test_without_a_term_an_action_opens_the_days_that_it_is_about(visit: Visitor) -> None:
    """To take the guard out: leave `during` out of `repeat` in today.js."""
    answer = visit.answer("today", **asked(visit))
    since = "2026-05-04"
    for row in answer["rows"]:
        row["evidence"] = f"/v1/insights/records?course=ALG&from={since}T00%3A00%3A00%2B00%3A00"
    answer_with(visit, "today", answer)
    shown = visit.open("today", course="ALG", lang="en")
    assert "Records from 4 May 2026 on count here." in shown.locator("main").inner_text()
    link = shown.locator("[data-action=repeat] .button").get_attribute("href")
    assert f"since={since}" in str(link)
    shown = visit.open("today", course="ALG", lang="en", since="2026-03-01")
    assert "on count here." not in shown.locator("[data-question=today]").inner_text()
    link = shown.locator("[data-action=repeat] .button").get_attribute("href")
    assert "since=2026-03-01" in str(link)


def test_the_colour_of_a_tile_is_by_the_mean_outcome(visit: Visitor) -> None:
    """To take the guard out: choose the level by the right answers alone in `levelOf` of heat.js."""
    answer = visit.answer("grid", **asked(visit))
    cases = [(0, 0.2), (1, 0.4), (2, 0.45), (2, 0.6), (3, 0.9)]
    rows = []
    for number, (right, share) in enumerate(cases):
        given = {"point": f"p{number}", "name": f"p{number}", "right": right, "share": share}
        rows.append(answer["rows"][0] | given | {"first_attempts": 3, "tries": 3})
    answer_with(visit, "grid", answer | {"rows": rows})
    shown = visit.open("today", lang="en", **ALGEBRA)
    shades = {}
    for tile in shown.locator(".heat a.tile").all():
        [shade] = set(str(tile.get_attribute("class")).split()) & set(LEVELS)
        point = str(tile.get_attribute("aria-label")).split(", ")[1].split(":")[0]
        shades[point] = shade
    assert [shades[f"p{number}"] for number in range(5)] == ["none", "less", "less", "more", "all"]
    assert visit.values(".heat .sum") == ["1", "1", "1", "0", "0"]


def test_the_tiles_have_one_tab_stop_and_arrows_move(visit: Visitor) -> None:
    """To take the guards out: leave `tabindex` out of a cell, or the `continue` out of `move`, in heat.js."""
    answer = visit.answer("grid", **asked(visit))
    gap = (answer["rows"][0]["student"], answer["rows"][0]["point"])
    rows = [row for row in answer["rows"] if (row["student"], row["point"]) != gap]
    answer_with(visit, "grid", answer | {"rows": rows})
    shown = visit.open("today", lang="en", **ALGEBRA)
    assert shown.locator(".heat a[tabindex='0']").count() == 1
    shown.locator(".heat a[tabindex='0']").focus()
    first = shown.evaluate(FOCUSED)
    shown.keyboard.press("ArrowDown")
    assert "students have less than half of the points" in shown.evaluate(FOCUSED)
    shown.keyboard.press("ArrowUp")
    assert shown.evaluate(FOCUSED) == first
    empty = shown.locator(".heat td.empty").first
    column = empty.evaluate("e => e.cellIndex")
    row = empty.evaluate("e => e.parentElement.rowIndex")
    for key, times in (("ArrowRight", column - 1), ("ArrowDown", row)):
        for _ in range(times):
            shown.keyboard.press(key)
    # The cell without a tile is passed over, or it is at the edge and the place is kept.
    assert shown.evaluate("document.activeElement.closest('.heat') !== null")
    assert shown.locator(".heat a[tabindex='0']").count() == 1
    shown.keyboard.press("Tab")
    assert not shown.evaluate("document.activeElement.closest('.heat') !== null")


def large_class(visit: Visitor) -> dict[str, Any]:
    """Ninety students, twelve points, all levels, names in two scripts and one that looks like HTML."""
    answer = visit.answer("grid", **asked(visit))
    rows = []
    for student in range(90):
        name = HOSTILE if student == 0 else f"Maximiliane-Charlotte 王小明 {student}"
        for point in range(12):
            tried = 1 + (student + point) % 4
            right = (student * point) % (tried + 1)
            row: dict[str, Any] = {
                "student": f"x{student}",
                "student_name": name,
                "point": f"p{point}",
            }
            row |= {"name": f"solving equations with brackets {point}", "tries": tried}
            row |= {"first_attempts": tried, "right": right, "share": right / tried}
            row |= {"last_outcome": 1.0, "last": "2026-05-18T08:00:00Z"}
            row |= {"evidence": f"/v1/insights/records?course=ALG&student=x{student}"}
            rows.append(row)
    return answer | {"rows": rows}


def missing_tasks(visit: Visitor) -> dict[str, Any]:
    answer = visit.answer("handed-in", **asked(visit))
    rows: list[dict[str, Any]] = []
    for number in range(5):
        students = [row["student"] for row in visit.answer("roster", course="ALG")["rows"]]
        row: dict[str, Any] = {
            "item": f"q{number}",
            "name": f"Quiz {number}",
            "group": None,
            "late": 0,
        }
        row |= {"due_at": f"2026-05-1{number}T20:00:00Z", "students": 12, "handed_in": 10 - number}
        row |= {"not_handed_in": number, "unknown": 2, "missing": students[:number]}
        rows.append(row | {"late_students": [], "unknown_students": [], "evidence": None})
    return answer | {"rows": rows}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_class_of_ninety_can_be_read_at_each_size(
    visit: Visitor, language: str, width: int
) -> None:
    answer_with(visit, "grid", large_class(visit))
    answer_with(visit, "handed-in", missing_tasks(visit))
    visit.page.set_viewport_size({"width": width, "height": 844})
    shown = visit.open("today", lang=language, **ALGEBRA)
    check_width(shown)
    heat = shown.locator("[data-question=grid] .scrolls")
    assert heat.evaluate("e => e.scrollWidth <= e.clientWidth"), "no sideways scrolling"
    assert shown.locator(".heat tbody tr[data-row]").count() == 12
    assert shown.locator(".heat thead .point").count() == 8
    assert not shown.query_selector("main img")
    assert serious(shown) == []
    # The task that was due last stands first; those without a missing student are not there.
    assert shown.locator(".task h3").first.inner_text().startswith("Quiz 4")
    assert shown.locator(".task").count() == 4
    shown.locator("[data-keep-focus='all-students']").click()
    shown.wait_for_url("**rows=all*")
    visit.ready()
    assert shown.locator(".heat tbody tr[data-row]").count() == 90
    check_width(shown)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_quiet_day_is_said_and_so_is_that_nothing_is_known(visit: Visitor, language: str) -> None:
    answer = visit.answer("today", **asked(visit)) | {"rows": []}
    said = []
    for attempts in (8, 0):
        counts = answer["of_how_many"] | {"students with attempts": attempts}
        answer_with(visit, "today", answer | {"of_how_many": counts})
        shown = visit.open("today", lang=language, **ALGEBRA)
        said.append(shown.locator("[data-question=today] .none").inner_text())
        visit.page.unroute("**/v1/insights/today?*")
    assert said == [LANGUAGES[language][f"today.{each}"] for each in ("nothing", "unknown")]


@pytest.mark.parametrize("page", ["today", "students"])
def test_that_most_of_a_course_is_inactive_is_said_once(visit: Visitor, page: str) -> None:
    """Out: `courseInactive` in today.js or students.js."""
    answer = visit.answer("needs-help", **asked(visit))
    answer["left_out"]["inactivity of students, since most of the course is inactive"] = 9
    answer_with(visit, "needs-help", answer)
    shown = visit.open(page, lang="en", **ALGEBRA)
    note = "Most of the course has been inactive lately (9 students)"
    assert shown.get_by_text(note).count() == 1


@pytest.mark.parametrize("page", ["today", "student"])
def test_work_of_which_nothing_is_known_is_not_called_handed_in(visit: Visitor, page: str) -> None:
    """Out: `unknown` in today.js or student.js."""
    answer = missing_tasks(visit)
    student = visit.answer("roster", **asked(visit))["rows"][0]["student"]
    for row in answer["rows"]:
        row |= {"not_handed_in": 0, "missing": [], "handed_in": 0, "late": 0, "late_students": []}
        row |= {"unknown": 1, "unknown_students": [student]}
    answer_with(visit, "handed-in", answer)
    shown = visit.open(page, lang="en", student=student, **ALGEBRA)
    block = shown.locator("[data-question=handed-in]")
    assert f"Not known for {len(answer['rows'])} tasks" in block.inner_text()
    assert block.locator(".none").count() == 0


def test_names_are_copied_one_a_line(visit: Visitor) -> None:
    shown = visit.open("point", lang="en", point="linearequations", **ALGEBRA)
    shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
    wrong = [
        row["student_name"]
        for row in visit.answer("point", point="linearequations", **asked(visit))["rows"]
        if row["state"] == "wrong"
    ]
    shown.get_by_role("button", name=f"Copy the {len(wrong)} names").first.click()
    shown.get_by_text(f"{len(wrong)} names are copied").wait_for()
    assert shown.evaluate("navigator.clipboard.readText()") == "\n".join(wrong)


def test_a_browser_without_a_clipboard_shows_the_names_to_copy(visit: Visitor) -> None:
    """To take the guard out: leave `catch` out of `copyNames` in parts.js."""
    visit.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    shown = visit.open("point", lang="en", point="linearequations", **ALGEBRA)
    shown.get_by_role("button", name="Copy the 5 names").first.click()
    names = shown.get_by_label("The names, to copy by hand").input_value()
    assert len(names.splitlines()) == 5


def test_a_point_shows_each_student_once_with_words_of_their_own(visit: Visitor) -> None:
    answer = visit.answer("point", point="linearequations", **asked(visit))
    wrong = [row for row in answer["rows"] if row["state"] == "wrong"]
    assert len(wrong) == 5
    ideas = ["drops the sign", "drops the sign", "adds unlike terms", None, None]
    for row, idea in zip(wrong, ideas, strict=True):
        row["kinds"] = [idea] if idea else []
        row["what_went_wrong"] = []
        row["quote"] = f"{HOSTILE} {row['student']}"
    answer_with(visit, "point", answer)
    shown = visit.open("point", lang="en", point="linearequations", **ALGEBRA)
    block = shown.locator("[data-question=point]")
    heads = [each.split("\n")[0] for each in block.locator(".idea h3").all_inner_texts()]
    assert heads == ["drops the sign", "adds unlike terms", "No common idea was found."]
    assert visit.values("[data-question=point] .idea h3") == ["2", "1", "2"]
    named = block.locator(".idea .people a").all_inner_texts()
    assert sorted(named) == sorted(row["student_name"] for row in wrong)
    assert not shown.query_selector("main img")
    assert HOSTILE in block.locator("blockquote").first.inner_text()
    states = Counter(row["state"] for row in answer["rows"])
    for part, state in (("right", "right"), ("not-tried", "not tried")):
        assert visit.values(f"[data-part={part}]") == [str(states[state])]


def test_a_point_groups_students_by_what_went_wrong_before_the_kind(visit: Visitor) -> None:
    """Out: `what_went_wrong` in `wrong`, or `groups`, of point.js. The sentence is text and never markup."""
    answer = visit.answer("point", point="linearequations", **asked(visit))
    wrong = [row for row in answer["rows"] if row["state"] == "wrong"]
    sentence = f"Adds the denominators. {HOSTILE}"
    for row, said in zip(wrong, (sentence, None, sentence, sentence, None), strict=True):
        row["kinds"] = ["drops the sign"]
        row["what_went_wrong"] = [said, "Takes the root first."] if said else []
        row["misconceptions"] = ["adds", "root"] if said else []
        row["misconception_mistakes"] = [2, 1] if said else []
    answer_with(visit, "point", answer)
    shown = visit.open("point", lang="en", point="linearequations", **ALGEBRA)
    block = shown.locator("[data-question=point]")
    heads = [each.split("\n")[0] for each in block.locator(".idea h3").all_inner_texts()]
    assert heads == [sentence, "drops the sign"]
    assert visit.values("[data-question=point] .idea h3") == ["3", "2"]
    assert not shown.query_selector("main img")

    groups = shown.locator("[data-part=groups]")
    groups.locator("summary").click()
    assert "2 groups" in groups.locator("summary").inner_text()
    assert visit.values("[data-part=groups] tbody") == ["3", "6", "3", "3"]
    behind = groups.locator("tbody a").first
    assert "misconception=adds" in str(behind.get_attribute("href"))
    assert "student=" not in str(behind.get_attribute("href"))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_says_how_many_findings_are_hidden_and_why(visit: Visitor, lang: str) -> None:
    """Out, each alone: `hiddenFindings` in point.js, students.js, today.js, student.js and analysis.js."""
    words = LANGUAGES[lang]
    pages: dict[str, tuple[str, dict[str, str]]] = {
        "point": ("point", {"point": "linearequations"}),
        "students": ("needs-help", {}),
        "today": ("today", {}),
        "student": ("student", {"student": "S017"}),
        "analysis": ("untaught-points", {"view": "untaught"}),
    }
    for page, (question, more) in pages.items():
        shown = visit.open(page, lang=lang, **ALGEBRA, **more)
        assert shown.locator(".hidden-findings").count() == 0, page
        given = {name: value for name, value in more.items() if name != "view"}
        answer = visit.answer(question, **given, **asked(visit))
        answer["left_out"] |= {OFFLINE_KINDS: 1, REJECTED: 12}
        answer_with(visit, question, answer)
        shown = visit.open(page, lang=lang, **ALGEBRA, **more)
        notes = shown.locator(".hidden-findings")
        notes.first.wait_for()
        said = notes.all_inner_texts()
        assert len(said) == 2, page
        assert said[0].startswith(words["hidden.rejected.other"].replace("{n}", "12"))
        assert said[1].startswith(words["hidden.kinds.one"].replace("{n}", "1"))
        target = notes.first.locator("a").get_attribute("href")
        assert target is not None
        assert target.startswith("#review?")


def test_what_comes_first_is_counted_among_those_who_are_wrong(visit: Visitor) -> None:
    of = asked(visit)
    course = visit.answer("course-map", course="ALG")["rows"]
    grid = visit.answer("grid", **of)["rows"]
    wrong_at: dict[str, set[str]] = {}
    for row in grid:
        if row["share"] is not None and row["share"] < 0.5:
            wrong_at.setdefault(row["point"], set()).add(row["student"])
    pairs = [row for row in course if row["needs"] and wrong_at.get(row["point"])]
    pair = max(pairs, key=lambda row: len(wrong_at.get(row["needs"], set())))
    both = wrong_at[pair["point"]] & wrong_at.get(pair["needs"], set())
    visit.open("point", lang="en", point=pair["point"], **ALGEBRA)
    shown = visit.values(f"[data-needs='{pair['needs']}']")
    assert shown == [str(len(both))]


def test_the_map_leads_to_those_who_got_a_point_wrong(visit: Visitor) -> None:
    shown = visit.open("map", lang="en", point="linearequations", **ALGEBRA)
    shown.get_by_role("link", name="Who got it wrong?").click()
    shown.wait_for_selector("[data-page=point] .idea")
    assert visit.ready().locator("h1").inner_text() == "linear equations"


def test_a_point_that_is_not_there_is_a_sentence(visit: Visitor) -> None:
    visit.allowed = ("404",)
    shown = visit.open("point", lang="en", point=HOSTILE, **ALGEBRA)
    assert shown.locator("[data-question=point] .refusal").count() == 1
    assert not shown.query_selector("main img")
    shown = visit.open("point", lang="en", **ALGEBRA)
    assert shown.locator("h1").inner_text() == LANGUAGES["en"]["point.none"]


@pytest.mark.parametrize("page", ["today", "point", "students", "student"])
def test_on_paper_nothing_is_wider_than_the_sheet(visit: Visitor, page: str) -> None:
    """To take the guard out: leave `.rail` out of the print rules in page.css."""
    visit.page.set_viewport_size({"width": 800, "height": 1100})
    more = {"point": "linearequations", "student": "S018"}
    shown = visit.open(page, lang="en", **ALGEBRA, **more)
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown.emulate_media(media="print")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 800


def test_tiles_can_be_told_apart_in_forced_colours(visit: Visitor) -> None:
    """To take the guard out: leave `.tile` out of `forced-color-adjust` in page.css."""
    visit.page.emulate_media(forced_colors="active")
    shown = visit.open("today", lang="en", **ALGEBRA)
    colours = {
        shade: shown.locator(f".legend .tile.{shade}").first.evaluate(
            "e => getComputedStyle(e).backgroundColor"
        )
        for shade in LEVELS
    }
    assert len(set(colours.values())) == len(LEVELS)


def landed(visit: Visitor, key: str) -> Page:
    visit.page.add_init_script(with_key(key))
    visit.page.goto(f"{visit.address}/")
    return visit.ready()


def test_each_role_begins_with_its_own_page_in_the_last_term(visit_guarded: Visitor) -> None:
    """To take the guards out: leave `lastTerm` or `isStudent` out of main.js."""
    terms = visit_guarded.answer("choices", key="eg_teacher:T01")["terms"]
    now = datetime.now(UTC).isoformat()
    last = max((each["starts"], each["id"]) for each in terms if each["starts"] <= now)[1]
    for key, page in ((f"eg_student:{STUDENT}", "student"), ("eg_teacher:T01", "today")):
        shown = landed(visit_guarded, key)
        assert shown.locator(f"[data-page={page}]").count() == 1, key
        assert f"term={last}" in shown.url
    visit_guarded.page.goto("about:blank")
    shown = landed(visit_guarded, "eg_analyst")
    assert shown.locator("[data-page=school]").count() == 1


def test_whoever_sees_no_persons_is_offered_no_page_about_them(visit_guarded: Visitor) -> None:
    visit_guarded.allowed = ("403",)
    visit_guarded.page.add_init_script(with_key("eg_analyst"))
    shown = visit_guarded.open("overview", course=COURSE, lang="en")
    assert not shown.query_selector("nav a[href^='#today']")
    shown = visit_guarded.open("today", course=COURSE, lang="zh")
    assert shown.locator("[data-question=today] .refusal").count() == 1
    assert CHINESE.search(shown.locator("[data-question=today] .refusal").inner_text())
    assert "S001" not in shown.locator("main").inner_text()
