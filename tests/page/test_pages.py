"""Each page of the example school in a real browser, in both languages."""

import json
import re
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import pytest
from page.readable import check_themes, check_width
from page.visitor import Visitor

from edugraph_insights.page import WEB

pytestmark = pytest.mark.embedded

COURSE, STUDENT, GROUP, TERM, POINT = "MATH8", "S001", "class-8-1", "2026-spring", "二次根式"
PAGES: dict[str, dict[str, str]] = {
    "today": {"term": TERM},
    "point": {"point": POINT, "term": TERM},
    "overview": {},
    "students": {},
    "student": {"student": STUDENT},
    "items": {"item": "math8-quiz1-q1"},
    "map": {"point": POINT},
    "records": {"point": POINT},
}
LANGUAGES = {
    name: json.loads((WEB / "words" / f"{name}.json").read_text("utf-8")) for name in ("en", "zh")
}
CHINESE, LATIN = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"[A-Za-z]{4,}")


def close(shown: list[str], expected: list[Any]) -> bool:
    """Whether these are the same numbers in the same order; what the API does not know is empty."""
    return len(shown) == len(expected) and all(
        (a == "" if b is None else abs(float(a) - b) < 1e-9)
        for a, b in zip(shown, expected, strict=True)
    )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_shown_in_each_language_and_for_everybody(
    visit: Visitor, page: str, language: str
) -> None:
    """No finding of axe that is serious or worse, and every sentence of the page is in the language."""
    shown = visit.open(page, course=COURSE, lang=language, **PAGES[page])
    assert shown.locator("html").get_attribute("lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert not shown.query_selector(".refusal")
    heading = shown.locator("h1").inner_text()
    if page != "point":  # its heading is the name of the point
        assert bool(CHINESE.search(heading.replace("林子涵", ""))) == (language == "zh")
    if language == "zh":  # ids and names of records may be Latin, sentences not
        for each in shown.query_selector_all(
            "h2, h3, th[scope=col], dt, caption, label, summary, .how p, .legend"
        ):
            assert CHINESE.search(str(each.text_content())), each.text_content()
    check_themes(shown)


@pytest.mark.parametrize(
    "asked", [{}, {"group": GROUP}, {"term": TERM}], ids=lambda asked: "".join(asked) or "all"
)
def test_the_numbers_of_the_overview_are_those_of_the_api(
    visit: Visitor, asked: dict[str, str]
) -> None:
    visit.open("overview", course=COURSE, lang="en", **asked)
    given = parameters(visit, asked)
    weak, hard, trust = (
        visit.answer(name, **given) for name in ("weak-points", "difficulty", "trust")
    )
    of = weak["of_how_many"]
    cards = [of["students"], of["students with attempts"], of["first attempts"]]
    cards += [hard["rows"][0]["right"], hard["rows"][0]["median_progress"]]
    assert close(visit.values(".cards"), cards)
    fields = ("wrong", "wrong_at_least", "students", "first_attempts")
    assert close(
        visit.values("[data-question=weak-points] tbody"),
        [row[f] for row in weak["rows"][:5] for f in fields],
    )
    of_trust = (
        "records",
        "read",
        "linked",
        "unsure",
        "with_evidence",
        "reviewed",
        "agreement",
        "judged",
    )
    assert close(
        visit.values("[data-question=trust] tbody"),
        [row[f] for row in trust["rows"] for f in of_trust],
    )
    weeks = visit.answer("trend", **given)["rows"]
    names = ("first_attempts", "students", "right", "mistakes", "unresolved")
    assert close(
        visit.values("[data-question=trend] tbody"), [row[name] for row in weeks for name in names]
    )
    assert visit.page.query_selector("[data-question=trend] canvas")
    counted = visit.page.locator("[data-question=weak-points] .how p").first
    assert counted.inner_text().endswith(f"first attempts {of['first attempts']}")
    assert weak["computed_by"] in str(
        visit.page.locator("[data-question=weak-points] .how details").text_content()
    )


def parameters(visit: Visitor, asked: dict[str, str]) -> dict[str, str]:
    given = {"course": COURSE} | ({"group": asked["group"]} if "group" in asked else {})
    if "term" in asked:
        [term] = [each for each in visit.answer("choices")["terms"] if each["id"] == asked["term"]]
        given |= {"from": term["starts"], "to": term["ends"]}
    return given


def answer_busy(route: Any) -> None:
    problem = {"type": "urn:edugraph:problem:busy", "title": "?", "status": 503, "detail": "busy"}
    route.fulfill(status=503, headers={"Retry-After": "1"}, json=problem)


def test_a_question_that_waits_for_its_turn_is_asked_again(visit: Visitor) -> None:
    """Out: `inItsTurn` in api.js: of a large course the overview showed two of its answers."""
    visit.allowed = ("503",)
    asked: list[Any] = []

    def busy_at_first(route: Any) -> None:
        asked.append(route)
        if len(asked) > 2:
            route.continue_()
        else:
            answer_busy(route)

    visit.page.route("**/v1/insights/weak-points?*", busy_at_first)
    shown = visit.open("overview", course=COURSE, lang="en")
    assert len(asked) == 3
    assert not shown.query_selector(".refusal")


def test_what_a_page_that_was_left_waits_for_is_not_asked_again(visit: Visitor) -> None:
    """Out: `isWanted` in api.js: whoever went through five large courses had all of them computed."""
    visit.allowed = ("503",)
    asked: list[Any] = []

    def busy(route: Any) -> None:
        asked.append(route)
        answer_busy(route)

    visit.page.route("**/v1/insights/weak-points?*", busy)
    shown = visit.open("students", course=COURSE, lang="en")
    here = shown.evaluate("location.hash")
    with shown.expect_response("**/v1/insights/weak-points?*"):
        shown.evaluate("location.hash = location.hash.replace('students', 'overview')")
    shown.evaluate("hash => { location.hash = hash }", here)
    visit.ready()
    shown.wait_for_timeout(1_500)
    assert len(asked) == 1


def test_the_numbers_of_the_students_are_those_of_the_api(visit: Visitor) -> None:
    shown = visit.open("students", course=COURSE, lang="en", view="table", sort="name")
    roster = {row["student"]: row for row in visit.answer("roster", course=COURSE)["rows"]}
    cared = {row["student"]: row for row in visit.answer("attention", course=COURSE)["rows"]}
    rows = shown.query_selector_all("tbody tr")
    assert {row.get_attribute("data-row") for row in rows} == roster.keys()
    for row in rows:
        who = str(row.get_attribute("data-row"))
        values = [str(each.get_attribute("value")) for each in row.query_selector_all("data")]
        care = cared.get(who, {"unanswered": 0, "median_hours_to_contact": None})
        here = roster[who]
        expected = [
            care["unanswered"],
            here["mistakes"],
            here["right"],
            here["first_attempts"],
            here["progress"],
        ]
        assert close(values, [*expected, care["median_hours_to_contact"]]), who
        assert str(here["name"]) in row.inner_text()


def test_who_needs_help_comes_first_with_a_sentence(visit: Visitor) -> None:
    shown = visit.open("students", course=COURSE, lang="en")
    help_rows = visit.answer("needs-help", course=COURSE)["rows"]
    needing = [row for row in help_rows if row["reasons"]]
    rows = shown.query_selector_all(".person")
    first = [row.get_attribute("data-row") for row in rows][: len(needing)]
    assert first == [row["student"] for row in needing]
    for row, told in zip(rows, needing, strict=False):
        why = str(row.eval_on_selector(".why", "e => e.textContent"))
        assert why.endswith(".")
        assert why.count(".") >= len(told["reasons"])
        for each in told["repeated"][:3]:
            assert each in why or "repeated mistakes" not in told["reasons"]


def test_the_numbers_of_a_student_are_those_of_the_api(visit: Visitor) -> None:
    visit.open("student", course=COURSE, student=STUDENT, lang="en")
    points = {
        row["point"]: row for row in visit.answer("student", course=COURSE, student=STUDENT)["rows"]
    }
    rows = visit.page.query_selector_all("[data-question=student] li[data-row]")
    assert [row.get_attribute("data-row") for row in rows] == list(points)
    for row in rows:
        point = points[str(row.get_attribute("data-row"))]
        tried = point["right"] + point["wrong"]
        said = row.inner_text()
        too_wide = tried > 0 and (point["high"] - point["low"]) / 2 > 0.25
        assert said.count("too few for an estimate") == too_wide
        if tried:
            assert f"{point['right']} of {tried} right so far" in said
            assert f"{point['right']}/{tried}" in said
        if tried and not too_wide:
            assert f"with {point['probability']:.0%}" in said
        assert (f"{point['mistakes']} mistake" in said) == (point["mistakes"] > 0)
    records = visit.answer("records", course=COURSE, student=STUDENT)["rows"]
    drawn = [int(each) for each in visit.values("figcaption")]
    kinds = [("right", 500, 1001), ("wrong", 0, 500)]
    counts = [
        sum(row["outcome"] is not None and low <= row["outcome"] < high for row in records)
        for _, low, high in kinds
    ]
    assert drawn == [*counts, sum(row["outcome"] is None for row in records)]


def test_a_student_who_is_not_in_the_course_has_a_page(visit: Visitor) -> None:
    """Out: the `?.` where the page takes the name from the roster: it waited for ever."""
    shown = visit.open("student", course="ALG", student=STUDENT, lang="en")
    assert visit.answer("roster", course="ALG", student=STUDENT)["rows"] == []
    assert STUDENT in shown.inner_text("h1")


def test_the_map_draws_each_point_that_has_a_prerequisite_or_attempts(visit: Visitor) -> None:
    shown = visit.open("map", course=COURSE, lang="en")
    needs = visit.answer("course-map", course=COURSE)["rows"]
    weak = {row["point"]: row for row in visit.answer("weak-points", course=COURSE)["rows"]}
    drawn = shown.evaluate(
        "[...document.querySelector('.map').picture.nodes()].map(n => [n.id(), n.data('label'), n.data('level')])"
    )
    edges = shown.evaluate(
        "[...document.querySelector('.map').picture.edges()].map(e => [e.source().id(), e.target().id()])"
    )
    pairs = {(row["needs"], row["point"]) for row in needs if row["needs"]}
    assert {tuple(edge) for edge in edges} == pairs
    assert {node[0] for node in drawn} == {end for pair in pairs for end in pair} | weak.keys()
    for point, label, level in drawn:
        wrong = weak[point]["wrong"] if point in weak else None
        assert level == (
            "none" if wrong is None else str(sum(wrong >= step for step in (0.25, 0.5, 0.75)))
        )
        assert (f"{wrong:.0%}" in label) if wrong is not None else "%" not in label
    everything = {row[name] for row in needs for name in ("point", "needs")} - {""} | weak.keys()
    rows = [row.inner_text() for row in shown.query_selector_all(".scrolls tbody tr")]
    assert len(rows) == len(everything)
    assert (
        f"{len(drawn)} of {len(everything)} points are drawn"
        in shown.locator("p.left-out").first.inner_text()
    )
    # What is needed first stands to the left, and no two labels lie on each other.
    places = shown.evaluate(
        "Object.fromEntries([...document.querySelector('.map').picture.nodes()].map(n => [n.id(), n.position('x')]))"
    )
    assert all(places[needed] < places[point] for needed, point in pairs)
    boxes = shown.evaluate(
        "[...document.querySelector('.map').picture.nodes()].map(n => n.renderedBoundingBox({includeLabels: true}))"
    )
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            apart = one["x2"] <= other["x1"] + 4 or other["x2"] <= one["x1"] + 4
            assert apart or one["y2"] <= other["y1"] + 4 or other["y2"] <= one["y1"] + 4


def test_the_trail_leads_from_a_point_to_the_weakest_that_it_needs(visit: Visitor) -> None:
    """Out: in `weakest`, any of the three measures; in `addTrail`, the points that the course does not have."""
    step = {
        "point": POINT,
        "name": POINT,
        "difference": None,
        "students": 12,
        "confidence": 0.8,
        "score": None,
    }
    near = {
        **step,
        "gap": "near",
        "gap_name": "Near",
        "class_mastery": 0.3,
        "way": ["near"],
        "way_names": ["Near"],
    }
    far = {**step, "gap": "far", "gap_name": "Far", "class_mastery": 0.4, "way": ["near", "far"], "way_names": ["Near", "Far"]}  # fmt: skip
    answer = visit.answer("earlier-gaps", course=COURSE)
    unknown = {"class_mastery": None}
    given: list[dict[str, Any]] = []
    visit.page.route(
        "**/v1/insights/earlier-gaps?*", lambda route: route.fulfill(json=answer | {"rows": given})
    )
    drawn = "[...document.querySelector('.map').picture.elements('.trail')].map(e => e.id()).sort()"
    for rows, ways, words in (
        (
            [near, {**far, "score": 0.2, "difference": 0.5}],
            ["near", "far"],
            "Far explains most. Steps back: 2",
        ),
        ([near, far], ["near"], "Near has the lowest mean mastery: 30%"),
        ([{**near, **unknown}, {**far, **unknown}], [], "Nothing is known of what"),
        (
            [{**near, **unknown, "gap": "平方根", "way": ["平方根"]}],
            ["平方根"],
            "Near goes wrong most often: 29%",
        ),
    ):
        given[:] = rows
        shown = visit.open("map", course=COURSE, lang="en", point=POINT)
        assert words in shown.locator(".trail-sentence").inner_text()
        shown.wait_for_function("() => document.querySelector('.map')?.picture?.container()")
        passed = [POINT, *ways]
        steps = [f"{needed} → {point}" for point, needed in pairwise(passed)]
        assert shown.evaluate(drawn) == sorted([*passed, *steps] if ways else [])
        assert [
            row.get_attribute("data-row") for row in shown.query_selector_all(".trail tbody tr")
        ] == ways


def test_the_trail_of_a_student_is_that_of_what_they_tried(visit: Visitor) -> None:
    """Out: in `map`, leave the student's own shares wrong out; in `sentence`, the student."""
    step = {
        "point": POINT,
        "name": POINT,
        "difference": None,
        "students": 1,
        "confidence": 0.8,
        "score": None,
    }
    near = {
        **step,
        "gap": "near",
        "gap_name": "Near",
        "class_mastery": 0.3,
        "way": ["near"],
        "way_names": ["Near"],
    }
    answer = visit.answer("earlier-gaps", course=COURSE, student=STUDENT)
    points = visit.answer("student", course=COURSE, student=STUDENT)["rows"]
    tried = max(points, key=lambda row: row["wrong"] / max(row["right"] + row["wrong"], 1))["point"]
    given: list[dict[str, Any]] = []
    visit.page.route(
        "**/v1/insights/earlier-gaps?*", lambda route: route.fulfill(json=answer | {"rows": given})
    )
    for rows, words in (
        ([near], "Near has the lowest mastery: 30%"),
        (
            [{**near, "class_mastery": None, "gap": tried, "way": [tried]}],
            "Near goes wrong most often: ",
        ),
        ([], "No earlier gap is known"),
    ):
        given[:] = rows
        with visit.page.expect_request("**/v1/insights/earlier-gaps?*") as asked:
            shown = visit.open("map", course=COURSE, lang="en", point=POINT, student=STUDENT)
        assert f"student={STUDENT}" in asked.value.url
        assert words in shown.locator(".trail-sentence").inner_text()


def test_ties_messages_texts_and_progress_open_their_records(visit: Visitor) -> None:
    """Out: an `evidence` of the question, or its link in the page."""
    who = next(row for row in visit.answer("ties", course=COURSE)["rows"] if row["sent"])["student"]
    ways = {
        "people": (f"[data-row='{who}'] td:nth-of-type(4) a", {"kind": "messages", "of": who}),
        "students": (
            f"[data-row='{STUDENT}'] td:nth-of-type(7) a",
            {"kind": "progress", "student": STUDENT},
        ),
        "overview": ("[data-row=messages] td:nth-of-type(1) a", {"kind": "messages"}),
    }
    for page, (number, asked) in ways.items():
        shown = visit.open(page, course=COURSE, lang="en", view="table")
        shown.locator(number).click()
        shown.wait_for_selector("[data-page=records]")
        visit.ready()
        expected = visit.answer("records", course=COURSE, **asked)["rows"]
        assert expected
        listed = [row.get_attribute("data-row") for row in shown.query_selector_all("tbody tr")]
        assert listed == [row["student"] or row["record"] for row in expected]
    for kind in ("answers", "texts", "progress"):
        shown.locator("select[name=kind]").select_option(kind)
        of_kind = visit.answer("records", course=COURSE, kind=kind)["rows"]
        # The page of the kind before is ready, too, until the new address has reached it.
        shown.wait_for_function(
            "n => document.querySelectorAll('tbody tr').length === n", arg=len(of_kind)
        )
    # The progress is the latest one: no record of it need be of the days that were chosen.
    shown = visit.open(
        "students",
        course=COURSE,
        lang="en",
        view="table",
        since=datetime.now(UTC).date().isoformat(),
    )
    address = shown.locator(ways["students"][0]).get_attribute("href")
    assert address is not None
    assert "since" not in address


def test_the_sliders_ask_for_days_and_say_them_in_words(visit: Visitor) -> None:
    """By keyboard. Out: in `timesAsked`, the end of the day; let `link` drop the days."""
    shown = visit.open("map", course=COURSE, lang="en")
    shown.locator("input[name=until]").focus()
    for _ in range(4):
        shown.keyboard.press("PageDown")
    shown.wait_for_url("**until=*")
    visit.ready()
    day = re.findall(r"until=([\d-]+)", shown.url)[0]
    words = f"{date.fromisoformat(day):%-d %B %Y}"
    assert shown.locator("input[name=until]").get_attribute("aria-valuetext") == words
    assert words in shown.locator("#days").inner_text()
    # The person who moves the slider goes on moving it.
    assert shown.evaluate("document.activeElement.name") == "until"
    weak = visit.answer("weak-points", course=COURSE, to=f"{day}T23:59:59.999Z")["rows"]
    assert 0 < len(weak) < len(visit.answer("weak-points", course=COURSE)["rows"])
    names = ("wrong", "students", "first_attempts")
    named = {row["name"]: row for row in weak}
    rows = shown.query_selector_all("[data-question=course-map] > div > .scrolls tbody tr")
    for row in rows[: len(weak)]:
        of = named[row.eval_on_selector("th", "e => e.textContent")]
        values = [str(each.get_attribute("value")) for each in row.query_selector_all("data")]
        assert close(values, [of[name] for name in names])
    first, address = shown.locator("main").inner_text(), shown.url
    shown.goto("about:blank")
    shown.goto(address)
    assert visit.ready().locator("main").inner_text() == first
    shown.locator("nav a[href^='#overview']").click()
    shown.wait_for_selector("[data-page=overview] .cards data")
    assert words in visit.ready().locator(".chosen-days").inner_text()
    asked = visit.answer("weak-points", course=COURSE, to=f"{day}T23:59:59.999Z")["of_how_many"]
    assert visit.values("[data-card=attempts]") == [str(asked["first attempts"])]
    shown.get_by_role("link", name="All the time").click()
    shown.wait_for_function("() => !location.hash.includes('until')")


def test_the_map_is_coloured_by_mastery_where_that_is_asked_for(visit: Visitor) -> None:
    answer = visit.answer("mastery", course=COURSE)
    levels = {"二次根式": 0.8, "平方根": 0.75, "一次函数": 0.6, "因式分解": 0.3, "勾股定理": 0.1}
    weak = {row["name"]: row["point"] for row in visit.answer("weak-points", course=COURSE)["rows"]}
    rows = [{"point": weak[name], "name": name, "mastery": level, "low": level - 0.1, "high": level + 0.1, "mastered": 1, "students": 9} for name, level in levels.items()]  # fmt: skip
    wide = next(row for row in rows if row["name"] == "勾股定理")
    wide |= {"low": 0.0, "high": 0.6}  # too wide to be shown
    visit.page.route(
        "**/v1/insights/mastery?*", lambda route: route.fulfill(json=answer | {"rows": rows})
    )
    shown = visit.open("map", course=COURSE, lang="en")
    shown.get_by_label("Colour by").select_option("mastery")
    shown.wait_for_url("**colour=mastery*")
    visit.ready()
    drawn = shown.evaluate(
        "[...document.querySelector('.map').picture.nodes()].map(n => [n.id(), n.data('label'), n.data('level')])"
    )
    found = {point: (label, level) for point, label, level in drawn}
    for name, (percent, level) in {"二次根式": ("80%", "0"), "平方根": ("75%", "0"), "一次函数": ("60%", "1"), "因式分解": ("30%", "2")}.items():  # fmt: skip
        assert found[weak[name]] == (f"{name}\n{percent}", level)
    assert found[weak["分式方程"]] == ("分式方程", "none")
    assert found[weak["勾股定理"]] == ("勾股定理", "none")
    # The answer of this test has no row about 分式方程.
    for name in ("勾股定理", "分式方程"):
        row = shown.locator("table tbody tr", has_text=name).first
        assert "too few for an estimate" in row.inner_text()


def test_a_course_of_5000_points_stays_usable_and_says_what_is_left_out(visit: Visitor) -> None:
    """The API's answer is made up here, since no example is so large. Out: draw all that is wanted."""
    rows = [{"point": f"p{n}", "name": f"Point {n}", "needs": f"p{n // 3}", "needs_name": "", "confidence": 0.8} for n in range(1, 5_000)]  # fmt: skip
    answer = visit.answer("course-map", course=COURSE) | {"rows": rows}
    visit.page.route("**/v1/insights/course-map?*", lambda route: route.fulfill(json=answer))
    shown = visit.open("map", course=COURSE, lang="en")
    weak = len(visit.answer("weak-points", course=COURSE)["rows"])
    assert shown.evaluate("document.querySelector('.map').picture.nodes().length") == 150
    said = shown.locator("p.left-out").first.inner_text()
    assert f"150 of {5_000 + weak} points are drawn" in said
    assert f"{5_000 + weak - 150} with a lower share wrong are left out" in said
    assert len(shown.query_selector_all(".scrolls tbody tr")) == 100
    requests: list[str] = []
    shown.on("request", lambda request: requests.append(request.url))
    shown.get_by_label("Find a point").fill("point 4999")
    shown.wait_for_url("**find=*")
    visit.ready()
    shown.wait_for_function("() => document.querySelector('.map')?.picture?.nodes().length === 2")
    assert not [each for each in requests if "/v1/" in each]  # a search asks nothing anew
    drawn = shown.evaluate("[...document.querySelector('.map').picture.nodes()].map(n => n.id())")
    assert sorted(drawn) == ["p1666", "p4999"]


def test_the_map_shows_less_where_less_is_asked_for(visit: Visitor) -> None:
    shown = visit.open("map", course=COURSE, lang="en")
    count = "document.querySelector('.map')?.picture?.nodes().length"
    every = shown.evaluate(count)
    shown.get_by_label("Find a point").fill("根")
    shown.wait_for_url("**find=*")
    visit.ready()
    found = shown.query_selector_all(".scrolls tbody th")
    assert found
    assert all("根" in each.inner_text() for each in found)
    assert 0 < shown.evaluate(count) < every
    assert shown.evaluate("document.activeElement.type") == "search"  # who types goes on typing
    shown.get_by_label("Find a point").fill("")
    shown.wait_for_function(f"() => {count} === {every}")
    shown.get_by_label("Prerequisites from").select_option("0.9")
    shown.wait_for_url("**sure=0.9*")
    visit.ready()
    sure = {
        (row["needs"], row["point"])
        for row in visit.answer("course-map", course=COURSE)["rows"]
        if (row["confidence"] or 0) >= 0.9
    }
    assert shown.evaluate("document.querySelector('.map').picture.edges().length") == len(sure)


def test_a_point_opens_its_panel_and_every_number_its_records(visit: Visitor) -> None:
    shown = visit.open("map", course=COURSE, lang="en")
    shown.evaluate(
        f"document.querySelector('.map').picture.getElementById('{POINT}').emit('tap').length"
    )
    shown.wait_for_selector(".panel h3")
    assert shown.locator(".panel h3").inner_text() == POINT
    visit.ready()
    records = visit.answer("records", course=COURSE, point=POINT)["rows"]
    assert len(shown.query_selector_all(".panel li")) == min(5, len(records))
    shown.locator(".panel dd a").first.click()
    shown.wait_for_selector("[data-page=records] tbody tr")
    visit.ready()
    assert len(shown.query_selector_all("tbody tr")) == len(records)
    assert {each.get_attribute("data-row") for each in shown.query_selector_all("tbody tr")} <= {
        row[name] for row in records for name in ("point", "student", "record") if name in row
    }


def test_every_number_of_the_overview_leads_to_records_that_are_there(visit: Visitor) -> None:
    visit.open("overview", course=COURSE, lang="en")
    links = visit.page.eval_on_selector_all("main a:has(data)", "all => all.map(a => a.hash)")
    assert len(links) > 15
    for address in sorted(set(links)):
        visit.page.goto(f"{visit.address}/ui/{address}")
        # Records are rows of a table, and students are persons in a list. Those without a sign are names in a fold.
        shown = "main tbody tr[data-row], main .person, main .people a"
        visit.page.wait_for_selector(shown, state="attached")
        assert not visit.page.query_selector(".refusal")


def test_a_link_reproduces_the_view(visit: Visitor) -> None:
    shown = visit.open("students", course="ALG", lang="zh", view="table")
    # Each change draws the page anew, so that what was there before it takes no more clicks.
    shown.get_by_label("班组").select_option("alg-a")
    shown.wait_for_url("**group=alg-a*")
    visit.ready().get_by_label("学期").select_option(TERM)
    shown.wait_for_url(f"**term={TERM}*")
    visit.ready().get_by_role("link", name="进度").click()
    shown.wait_for_url("**sort=*")
    visit.ready().get_by_label("查找学生").fill("a")
    shown.wait_for_url("**find=a*")
    visit.ready()
    first, address = shown.locator("main").inner_text(), shown.url
    assert re.search(r"course=ALG.*group=alg-a.*term=2026-spring", address)
    shown.goto("about:blank")
    shown.goto(address)
    visit.ready()
    assert shown.locator("main").inner_text() == first
    shown.go_back()
    shown.go_back()


def test_a_change_of_the_filters_changes_what_is_asked(visit: Visitor) -> None:
    shown = visit.open("overview", course=COURSE, lang="en")
    shown.locator("select[name=course]").select_option("ALG")
    shown.wait_for_url("**course=ALG*")
    visit.ready()
    assert visit.values("[data-card=students]") == [
        str(visit.answer("weak-points", course="ALG")["of_how_many"]["students"])
    ]
    assert "Algebra, group A" in shown.get_by_label("Group").inner_text()
    assert "Reading circle" not in shown.get_by_label("Group").inner_text()  # of another course


def test_the_table_is_sorted_by_a_click_and_back(visit: Visitor) -> None:
    shown = visit.open("students", course=COURSE, lang="en", view="table")
    for way in ("ascending", "descending"):
        shown.get_by_role("link", name="Mistakes", exact=False).last.click()
        shown.wait_for_selector(f"th[aria-sort={way}]")
        visit.ready()
        column = [
            int(str(each.get_attribute("value")))
            for each in shown.query_selector_all("tbody td:nth-child(5) data")
        ]
        assert column == sorted(column, reverse=way == "descending")


def test_all_can_be_reached_and_done_by_keyboard(visit: Visitor) -> None:
    """From the first key: skip link, pages, filters, a point's row, its records, and back."""
    shown = visit.open("overview", course=COURSE, lang="en")
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.textContent") == "Skip to the content"
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"
    go_to(visit, "a", "Course map")
    shown.keyboard.press("Enter")
    shown.wait_for_selector("[data-page=map] .map")
    visit.ready()
    go_to(visit, "a", POINT)
    shown.keyboard.press("Enter")
    shown.wait_for_selector(".panel h3")
    visit.ready()
    assert shown.evaluate("document.activeElement.textContent") == POINT  # the place is kept
    go_to(visit, "summary", "How is this computed?")
    shown.keyboard.press("Enter")
    assert shown.query_selector("details[open]")
    go_to(visit, "select", "")
    shown.keyboard.press("End")
    visit.ready()


def go_to(visit: Visitor, tag: str, text: str) -> None:
    """Press Tab until such an element has the focus, at most once around."""
    for _ in range(250):
        visit.page.keyboard.press("Tab")
        here = visit.page.evaluate(
            "[document.activeElement.tagName.toLowerCase(), document.activeElement.textContent]"
        )
        if here[0] == tag and text in here[1]:
            return
    pytest.fail(f"no {tag} with {text!r} is reached by Tab")


def test_a_table_is_saved_as_the_api_gives_it(visit: Visitor) -> None:
    shown = visit.open("students", course=COURSE, lang="en")
    shown.get_by_text("How is this computed?").nth(1).click()
    with shown.expect_download() as saved:
        shown.get_by_text("Save as CSV").nth(1).click()
    text = saved.value.path().read_text("utf-8-sig")
    assert text.splitlines()[0].startswith("student,name,progress")
    assert len(text.splitlines()) == len(visit.answer("roster", course=COURSE)["rows"]) + 1


def test_what_a_record_says_is_never_taken_for_html(visit: Visitor) -> None:
    """Out: let `h` set innerHTML."""
    shown = visit.open("records", course=COURSE, lang="en", point="<img src=x onerror=alert(1)>")
    assert not shown.query_selector("main img")
    assert "<img" in shown.locator("main").inner_text()


def test_a_group_shows_those_who_are_in_the_course_and_how_many_are_not(visit: Visitor) -> None:
    """Out: the students of the course in `access.roster`."""
    shown = visit.open("students", course=COURSE, group=GROUP, lang="en")
    roster = visit.answer("roster", course=COURSE, group=GROUP)
    everybody = {row["student"] for row in visit.answer("roster", course=COURSE)["rows"]}
    assert {row["student"] for row in roster["rows"]} < everybody
    [not_in_it] = roster["left_out"].values()
    for question in ("roster", "attention", "needs-help"):
        left_out = visit.answer(question, course=COURSE, group=GROUP)["left_out"]
        assert left_out["students who are not in the course"] == not_in_it
    for language, words in (
        ("en", "students who are not in the course"),
        ("zh", "不在该课程的学生"),
    ):
        for page in ("students", "overview"):
            shown = visit.open(page, course=COURSE, group=GROUP, lang=language)
            said = shown.locator(".left-out").first.text_content()
            assert f"{words} {not_in_it}" in str(said)


@pytest.mark.parametrize("width", [390, 820, 1280, 1920])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wider_than_the_screen(visit: Visitor, page: str, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 844})
    shown = visit.open(page, course=COURSE, lang="en", **PAGES[page])
    check_width(shown)


# What no question has records for yet: course records, messages and texts of a course, and the prerequisites themselves.
WITHOUT_RECORDS = {
    "today": set(),
    "point": set(),
    "overview": {"Records", "Read", "Unsure", "With evidence", "Reviewed"},  # of messages and course texts
    "students": {"Progress"},
    "student": {"Outcome"},  # a record itself
    "items": {"Right at first", "Question"},  # one link a row: its title, below which an answer names its students
    "map": {"Stated confidence", "First attempts"},  # none: 0 attempts
    "records": {"Outcome"},
    "people": {"Students", "With a tie", "Pairs with a tie", "Both ways", "Ties", "Sent", "Received", "Share both ways", "Negative", "Texts with a mood"},
}  # fmt: skip
UNLINKED = """() => [...document.querySelectorAll('main .cards data, main tbody data')].filter(e => e.value && !e.closest('a')).map(e => {
  const cell = e.closest('td, th');
  return cell ? cell.closest('table').tHead.rows[0].cells[cell.cellIndex].textContent.replace(/ [▲▼]$/, '')
    : e.closest('.card').querySelector('dt').textContent;
})"""
# These sheets end with a note in place of the method of each block.
SHEETS_WITH_A_NOTE = {"today", "students", "student"}
CONTROLS = "main button, main input, main select, main textarea"


@pytest.mark.parametrize("page", WITHOUT_RECORDS)
def test_each_page_keeps_the_rules(visit: Visitor, page: str) -> None:
    """Numbers open their records, figures say how and of how many, pictures have a table, a link is a view, print is a report."""
    shown = visit.open(page, course=COURSE, lang="en", **PAGES.get(page, {}))
    assert set(shown.evaluate(UNLINKED)) <= WITHOUT_RECORDS[page]
    for section in shown.query_selector_all("main [data-question]"):
        assert section.query_selector(".how details"), section.get_attribute("data-question")
        assert section.query_selector(".how p data")
    for picture in shown.query_selector_all("main [role=img]"):
        assert picture.evaluate("e => Boolean(e.closest('section').querySelector('table'))")
        assert picture.get_attribute("aria-label")
    first, address = shown.locator("main").inner_text(), shown.url
    shown.goto("about:blank")
    shown.goto(address)
    assert visit.ready().locator("main").inner_text() == first
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown.emulate_media(media="print")
    assert [each for each in shown.query_selector_all(CONTROLS) if each.is_visible()] == []
    if page in SHEETS_WITH_A_NOTE:
        assert shown.locator(".paper-note").is_visible()
    else:
        assert all(each.is_visible() for each in shown.query_selector_all(".how details p"))


def test_printed_it_has_no_controls_and_says_how_it_is_computed(visit: Visitor) -> None:
    shown = visit.open("overview", course=COURSE, lang="en")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown.emulate_media(media="print")
    assert not any(each.is_visible() for each in shown.locator("nav").all())
    assert shown.get_by_text("Wilson").first.is_visible()
    assert not shown.locator("header select[name=course]").is_visible()
    assert shown.locator(".paper-head").is_visible()  # about what it is


def test_a_key_is_asked_for_and_stays_in_its_tab(visit_guarded: Visitor) -> None:
    """Out: keep the key in localStorage, or send it in the address."""
    visit = visit_guarded
    visit.allowed = ("401",)
    visit.page.goto(f"{visit.address}/")
    shown = visit.ready()
    shown.wait_for_selector("#key")
    shown.get_by_label("API key with a role").fill("nonsense")
    shown.get_by_role("button", name="Enter").click()
    shown.wait_for_selector(".refusal")
    shown.get_by_label("API key with a role").fill("eg_teacher:T01")
    shown.get_by_role("button", name="Enter").click()
    shown.wait_for_selector("[data-page=today] .actions")
    visit.ready()
    # Home rooms of T01: courses that their members learn, no group of somebody else.
    offered = visit.answer("choices", key="eg_teacher:T01")
    assert [each["id"] for each in offered["groups"]] == ["class-8-1"]
    assert shown.get_by_label("Group").inner_text().count("\n") == len(offered["groups"])
    assert "eg_teacher" not in shown.url
    assert shown.evaluate("[localStorage.length, sessionStorage.length]") == [0, 1]
    shown.get_by_role("button", name="Leave").click()
    shown.wait_for_selector("#key")
    assert shown.evaluate("sessionStorage.length") == 0


def with_key(key: str) -> str:
    """A script that puts a key where the page keeps it; an empty page has no such place."""
    return f"if (location.protocol === 'http:') sessionStorage.setItem('edugraph_key', '{key}')"


def test_an_analyst_is_told_what_is_hidden(visit_guarded: Visitor) -> None:
    visit, key = visit_guarded, "eg_analyst"
    visit.page.add_init_script(with_key(key))
    shown = visit.open("overview", course=COURSE, lang="en")
    assert shown.get_by_text("no groups of fewer than 10 students").is_visible()
    assert not shown.query_selector("header select[name=group]")
    weak = visit.answer("weak-points", key=key, course=COURSE)
    assert weak["left_out"]["rows of small groups"]
    text = shown.locator("[data-question=weak-points]").inner_text()
    assert "Protected by noise" in text
    assert f"rows of small groups {weak['left_out']['rows of small groups']}" in text
    assert "Hidden rows: " in shown.locator("[data-question=weak-points] tbody").inner_text()
    for row in weak["rows"]:
        assert (row["noise"] is None) == (row["wrong"] is None)
    protected = [row["noise"] for row in weak["rows"] if row["noise"] is not None]
    beside_shares = shown.locator("[data-question=weak-points] .noise").all_inner_texts()
    assert len(beside_shares) == len(protected)
    hidden = shown.locator("[data-card=active]").inner_text()
    assert ("hidden" in hidden) == ("students with attempts" not in weak["of_how_many"])
    assert not shown.query_selector("nav a[href*=students]")
    assert not shown.query_selector("main a[href*=records]")


def test_who_may_ask_other_questions_begins_with_another_page(visit_guarded: Visitor) -> None:
    visit = visit_guarded
    visit.page.add_init_script(with_key("eg_counsellor"))
    visit.page.goto(f"{visit.address}/")
    visit.page.wait_for_selector("[data-page=students] .person")
    shown = visit.ready()
    assert not shown.query_selector(".refusal")
    assert not shown.query_selector("nav a[href*=overview]")
    # This role may not ask for records of students.
    assert not shown.query_selector("main a[href*=records], main a[href*='#student?']")


def test_a_student_sees_their_own_page(visit_guarded: Visitor) -> None:
    visit = visit_guarded
    visit.page.add_init_script(with_key(f"eg_student:{STUDENT}"))
    shown = visit.open("student", course=COURSE, student=STUDENT, lang="zh")
    assert "林子涵" in shown.locator("h1").inner_text()
    assert not shown.query_selector(".refusal")
    visit.allowed = ("404",)
    shown = visit.open("student", course=COURSE, student="S002", lang="zh")
    assert shown.query_selector(".refusal")
    assert "王浩宇" not in shown.locator("main").inner_text()
