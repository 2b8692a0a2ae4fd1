"""Moods on the page of people: the figures are those of the API, and a counsellor finds the way to a student."""

from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import CHINESE, COURSE, LANGUAGES, close, with_key
from page.test_today import HOSTILE, answer_with
from page.visitor import Visitor

pytestmark = pytest.mark.embedded

COUNSELLOR = "eg_counsellor"
MOODS = "[data-question=mood]"


def many_topics(visit: Visitor) -> dict[str, Any]:
    """Forty topics and thirty weeks. The names are long, and one looks like HTML."""
    rows = []
    cells = [("", "")]
    cells += [("", f"t{number}") for number in range(40)]
    cells += [(f"2026-{1 + number // 4:02}-{1 + number % 4 * 7:02}", "") for number in range(30)]
    for number, (week, topic) in enumerate(cells):
        name = f"Textaufgaben mit mehreren Unbekannten 应用题 {number:02}" if topic else ""
        row: dict[str, Any] = {"week": week, "school_week": None, "topic": topic, "name": name}
        row |= {"negative": (number % 5) / 4, "texts": 4, "students": 3}
        rows.append(row | {"evidence": None, "noise": None})
    rows[1]["name"] = HOSTILE
    return visit.answer("mood", course=COURSE) | {"rows": rows}


def test_the_figures_are_those_of_the_api(visit: Visitor) -> None:
    """Out: the sort of the topics, or `!row.topic` of `whole` in moods.js."""
    answer = visit.answer("mood", course=COURSE)
    rows = answer["rows"]
    # A topic with one text, which is negative, is not more than one with two of four.
    often = {"topic": "often", "name": "often", "negative": 0.5, "texts": 4, "students": 2}
    rows.insert(1, rows[0] | often)
    answer_with(visit, "mood", answer | {"rows": rows[::-1]})
    whole = next(row for row in rows if not row["week"] and not row["topic"])
    negative = round(whole["negative"] * whole["texts"])
    shown = visit.open("people", course=COURSE, lang="en", rows="all")
    lead = shown.locator(f"{MOODS} .lead").inner_text()
    assert lead.startswith(f"{negative} of {whole['texts']} texts ")
    assert f"{whole['students']} students" in lead
    topics = [row for row in rows if not row["week"] and row["topic"]]
    topics.reverse()
    topics.sort(key=lambda row: (-round(row["negative"] * row["texts"]), -row["negative"]))
    expected = [row[name] for row in topics for name in ("negative", "texts", "students")]
    assert close(visit.values(f"{MOODS} > div > .scrolls tbody tr"), expected)
    assert shown.locator(f"{MOODS} > div > .scrolls tbody th").first.inner_text() == "often"
    weeks = [row for row in rows[::-1] if row["week"] and not row["topic"]]
    expected = [row[name] for row in weeks for name in ("negative", "texts", "students")]
    assert close(visit.values(f"{MOODS} .folded tbody tr"), expected)


def test_a_week_opens_its_messages(visit: Visitor) -> None:
    """Out: `weekOf` in `weekTable`."""
    rows = visit.answer("mood", course=COURSE)["rows"]
    week = next(row for row in rows if row["week"] and not row["topic"])
    shown = visit.open("people", course=COURSE, lang="en")
    shown.locator(f"{MOODS} .folded summary").click()
    shown.locator(f"{MOODS} .folded tbody tr").first.locator("td a").click()
    shown.wait_for_selector("[data-page=records]")
    visit.ready()
    assert "kind=messages" in shown.url
    assert f"since={week['week']}" in shown.url
    assert shown.locator("tbody tr").count() >= week["texts"]


def test_the_way_leads_from_the_students_to_the_moods_of_one(visit_guarded: Visitor) -> None:
    """A counsellor may not open the page of a student. Out: `aboutStudent` in parts.js, or `who` in people.js."""
    visit = visit_guarded
    visit.page.add_init_script(with_key(COUNSELLOR))
    for each in visit.answer("roster", key=COUNSELLOR, course=COURSE)["rows"]:
        who = each["student"]
        own = visit.answer("mood", key=COUNSELLOR, course=COURSE, student=who)["rows"]
        if own:
            break
    shown = visit.open("students", course=COURSE, lang="en", sort="name")
    shown.locator(f".person[data-row='{who}'] .name a").click(timeout=3000)
    shown.wait_for_selector(f"[data-page=people] {MOODS} h2")
    visit.ready()
    assert f"who={who}" in shown.url
    said = shown.locator(MOODS).inner_text()
    assert LANGUAGES["en"]["moods.of_one"] in said
    assert f" of {own[0]['texts']} text" in said
    assert not shown.query_selector("main a[href*=records], main a[href*='#student?']")
    assert serious(shown) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_many_topics_can_be_read_at_each_size(visit: Visitor, language: str) -> None:
    """Out: `most` of the topics in moods.js."""
    answer_with(visit, "mood", many_topics(visit))
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open("people", course=COURSE, lang=language)
        check_width(shown)
        assert shown.locator(f"{MOODS} > div > .scrolls tbody tr").count() == 8
        assert not shown.query_selector("main img")
    for theme in ("light", "dark"):
        shown.emulate_media(color_scheme=theme)
        assert serious(shown) == []
    if language == "zh":
        for each in shown.locator(f"{MOODS} :is(h2, .lead, caption, summary, .note, th)").all():
            text = str(each.text_content())
            assert CHINESE.search(text) or each.get_attribute("scope") == "row", text


@pytest.mark.parametrize("language", LANGUAGES)
def test_that_no_mood_is_known_is_said(visit: Visitor, language: str) -> None:
    answer = visit.answer("mood", course=COURSE) | {"rows": []}
    answer_with(visit, "mood", answer | {"left_out": {"texts without a mood": 3}})
    shown = visit.open("people", course=COURSE, lang=language)
    assert shown.locator(f"{MOODS} .none").inner_text() == LANGUAGES[language]["moods.none"]
    assert not shown.query_selector(f"{MOODS} .spark, {MOODS} table")


def test_how_sure_the_moods_are_is_said(visit: Visitor) -> None:
    """Out: `moods.read` or `unread` in moods.js."""
    answer = visit.answer("mood", course=COURSE)
    answer_with(visit, "mood", answer | {"left_out": {"texts without a mood": 3}})
    shown = visit.open("people", course=COURSE, lang="en")
    note = shown.locator(f"{MOODS} .note").first.inner_text()
    assert note == (
        "An analyser read these moods, and nobody has confirmed them. They are not a diagnosis. "
        "In 3 other texts the analyser found no mood."
    )


def test_who_may_not_see_moods_gets_no_block_and_asks_for_none(visit_guarded: Visitor) -> None:
    """Out: `questions.has('mood')` in people.js."""
    visit = visit_guarded
    visit.allowed = ("403",)
    visit.page.add_init_script(with_key("eg_student:S001"))
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown = visit.open("people", course=COURSE, lang="en")
    assert not shown.query_selector(MOODS)
    assert not [each for each in asked if "/v1/insights/mood" in each]
