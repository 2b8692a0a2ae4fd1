"""The spread of a class over a point, and the points that are due: each figure opens the records that it counts."""

from collections import Counter
from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import CHINESE, LANGUAGES, with_key
from page.test_today import ALGEBRA, HOSTILE, answer_with, asked
from page.visitor import Visitor

pytestmark = pytest.mark.embedded

POINT = "linearequations"
SPREAD, DUE = "[data-question=spread]", "[data-question=due]"
BANDS = ("none_right", "under_half", "half_or_more", "all_right")


def band_of(share: float) -> str:
    if share in {0, 1}:
        return "all_right" if share else "none_right"
    return "half_or_more" if share >= 0.5 else "under_half"


def ninety_due(visit: Visitor) -> dict[str, Any]:
    """Ninety students, each due at some of seven points with long names. One name looks like HTML."""
    rows = []
    for number in range(90):
        for place in range(1 + number % 7):
            name = f"Gleichungen mit Klammern 解带括号的方程 {place}"
            row: dict[str, Any] = {"student": f"S{number:03}", "point": f"p{place}", "name": name}
            row |= {"student_name": f"Maximiliane 王 {number}", "tries": 3, "box": 1}
            row |= {"last_practised": "2026-06-01", "due_on": "2026-06-02"}
            row["evidence"] = f"/v1/insights/records?course=ALG&student=S{number:03}&point=p{place}"
            rows.append(row | {"days_overdue": number % 30})
    rows[0]["student_name"] = HOSTILE
    rows.reverse()  # the point of most students stands last
    return visit.answer("due", **asked(visit)) | {"rows": rows}


def test_the_bands_are_those_of_the_api_with_the_names_of_their_students(visit: Visitor) -> None:
    """Out, each alone: `bandOf` in spread.js, `students` in `numberIn`."""
    answer = visit.answer("spread", **asked(visit))
    row = next(each for each in answer["rows"] if each["point"] == POINT)
    students = visit.answer("point", **asked(visit), point=POINT)["rows"]
    tried = [each for each in students if each["share"] is not None]
    assert len({band_of(each["share"]) for each in tried}) > 1
    shown = visit.open("point", lang="en", point=POINT, **ALGEBRA)
    for band in BANDS:
        n = sum(band_of(each["share"]) == band for each in tried)
        assert n == round(row[band] * row["students"])
        line = shown.locator(f"{SPREAD} [data-band={band}]")
        assert line.locator("data").get_attribute("value") == str(n)
        assert f"of {row['students']} students" in line.inner_text()
        if n:
            line.locator("summary").click()
        names = [each["student_name"] for each in tried if band_of(each["share"]) == band]
        assert line.locator(".people a").all_inner_texts() == names
    drawn = shown.locator(f"{SPREAD} .spread .tile").all_inner_texts()
    assert sum(map(int, drawn)) == row["students"]


def test_a_mean_outcome_of_less_than_half_is_not_nothing(visit: Visitor) -> None:
    """An answer that is partly right counts in no whole right answer. Out: `share === 0` in spread.js."""
    spread = visit.answer("spread", **asked(visit))
    own = next(each for each in spread["rows"] if each["point"] == POINT)
    bands: dict[str, Any] = dict.fromkeys(BANDS, 0.0) | {"under_half": 1.0, "students": 1}
    answer_with(visit, "spread", spread | {"rows": [own | bands]})
    point = visit.answer("point", **asked(visit), point=POINT)
    one = next(each for each in point["rows"] if each["share"] is not None)
    answer_with(visit, "point", point | {"rows": [one | {"share": 0.3, "right": 0}]})
    shown = visit.open("point", lang="en", point=POINT, **ALGEBRA)
    assert shown.locator(f"{SPREAD} [data-band=under_half] .people a").count() == 1
    assert shown.locator(f"{SPREAD} .spread .tile.less").count() == 1


def test_a_name_in_a_band_opens_the_answers_of_this_student_at_this_point(visit: Visitor) -> None:
    """Out: `recordsLink` of a name in spread.js."""
    shown = visit.open("point", lang="en", point=POINT, **ALGEBRA)
    shown.locator(f"{SPREAD} details summary").first.click()
    shown.locator(f"{SPREAD} details .people a").first.click()
    shown.wait_for_selector("[data-page=records]")
    visit.ready()
    who = {row.inner_text() for row in shown.locator("tbody td:nth-of-type(1) a").all()}
    assert len(who) == 1
    assert f"point={POINT}" in shown.url


def test_who_should_repeat_what_is_what_the_api_answers(visit: Visitor) -> None:
    """Out: `MOST_POINTS` in due.js."""
    rows = visit.answer("due", **asked(visit))["rows"]
    shown = visit.open("today", lang="en", **ALGEBRA)
    students = {row["student"] for row in rows}
    assert shown.locator(f"{DUE} p").first.inner_text().startswith(f"{len(students)} students ")
    number = Counter(row["point"] for row in rows)
    points = shown.locator(f"{DUE} [data-due]")
    assert points.count() == min(3, len(number))
    found = [number[str(each.get_attribute("data-due"))] for each in points.all()]
    assert found == sorted(number.values(), reverse=True)[:3]
    for each, expected in zip(points.all(), found, strict=True):
        assert each.locator("data").get_attribute("value") == str(expected)
        assert each.locator(".people a").count() == expected
    if len(number) > 3:
        assert f"{len(number) - 3} more point" in shown.locator(DUE).inner_text()


def test_a_name_that_is_due_opens_exactly_its_tries(visit: Visitor) -> None:
    """Out: `recordsLink` of a name in due.js, or the filter of the point."""
    rows = visit.answer("due", **asked(visit))["rows"]
    point, expected = Counter(row["point"] for row in rows).most_common(1)[0]
    row = next(each for each in rows if each["point"] == point)
    shown = visit.open("point", lang="en", point=point, **ALGEBRA)
    assert shown.locator(f"{DUE} .people a").count() == expected
    shown.locator(f"{DUE} summary").first.click()
    shown.locator(f"{DUE} .people a").first.click()
    shown.wait_for_selector("[data-page=records]")
    visit.ready()
    records = visit.answer("records", student=row["student"], point=point, **asked(visit))["rows"]
    assert shown.locator("tbody tr[data-row]").count() == len(records)
    assert sum(each["outcome"] is not None for each in records) == row["tries"]


def test_a_student_sees_what_they_should_repeat(visit_guarded: Visitor) -> None:
    """Out: the block in student.js."""
    visit, key = visit_guarded, "eg_student:S017"
    visit.page.add_init_script(with_key(key))
    rows = visit.answer("due", key=key, course="ALG", student="S017")["rows"]
    assert rows
    shown = visit.open("student", course="ALG", student="S017", lang="en")
    lines = shown.locator(f"{DUE} [data-due]")
    assert [each.get_attribute("data-due") for each in lines.all()] == [
        row["point"] for row in rows
    ]
    for line, row in zip(lines.all(), rows, strict=True):
        days = "due today" if row["days_overdue"] == 0 else f"due for {row['days_overdue']} day"
        assert days in line.inner_text()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", ["today", "point"])
def test_ninety_students_can_be_read_at_each_size(visit: Visitor, page: str, language: str) -> None:
    """Out, each alone: the fold of the names, the sort of the points in due.js."""
    answer_with(visit, "due", ninety_due(visit))
    point = "p0" if page == "point" else ""
    visit.allowed = ("404",)
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open(page, lang=language, point=point, **ALGEBRA)
        check_width(shown)
        assert shown.locator(DUE).evaluate("e => e.clientHeight") < 640
        assert not shown.query_selector("main img")
        if page == "today":
            points = shown.locator(f"{DUE} [data-due]").all()
            assert [each.get_attribute("data-due") for each in points] == ["p0", "p1", "p2"]
    for theme in ("light", "dark"):
        shown.emulate_media(color_scheme=theme)
        assert serious(shown) == []
    if language == "zh":
        for each in shown.locator(f":is({DUE}, {SPREAD}) :is(h2, p, summary)").all():
            assert CHINESE.search(str(each.text_content())), each.text_content()


@pytest.mark.parametrize("language", LANGUAGES)
def test_that_nothing_is_due_is_not_that_nothing_is_known(visit: Visitor, language: str) -> None:
    """Out: `points of students` in due.js."""
    answer = visit.answer("due", **asked(visit)) | {"rows": []}
    words = LANGUAGES[language]
    for number, said in ((5, "due.nothing"), (0, "due.unknown")):
        visit.page.unroute("**/v1/insights/due?*")
        answer_with(visit, "due", answer | {"of_how_many": {"points of students": number}})
        shown = visit.open("today", lang=language, **ALGEBRA)
        assert shown.locator(f"{DUE} .none").inner_text() == words[said]
    shown = visit.open("point", lang=language, point=POINT, **ALGEBRA)
    assert shown.locator(f"{DUE} .none").inner_text() == words["due.nobody"]
