"""The items that a student should practise: as the API has them, by point, each with its own attempts."""

from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import LANGUAGES
from page.test_today import HOSTILE, answer_with
from page.visitor import Visitor

pytestmark = pytest.mark.embedded

ONE = {"course": "MATH8", "student": "S003"}
PRACTICE = "[data-question=practice]"


def test_the_items_stand_under_their_points_in_the_order_of_the_api(visit: Visitor) -> None:
    """Out: the loop over points in practice.js."""
    rows = visit.answer("practice", **ONE)["rows"]
    assert rows
    shown = visit.open("student", lang="en", **ONE)
    points = list(dict.fromkeys(row["point"] for row in rows))
    parts = shown.locator(f"{PRACTICE} [data-practice]")
    assert [part.get_attribute("data-practice") for part in parts.all()] == points
    for point in points:
        of_point = shown.locator(f"{PRACTICE} [data-practice='{point}'] [data-item]")
        items = [each.get_attribute("data-item") for each in of_point.all()]
        assert items == [row["item"] for row in rows if row["point"] == point]


def test_an_item_that_went_wrong_opens_the_attempts_of_this_student(visit: Visitor) -> None:
    """Out: `recordsLink` in practice.js."""
    row = next(row for row in visit.answer("practice", **ONE)["rows"] if row["tries"])
    shown = visit.open("student", lang="en", **ONE)
    line = shown.locator(f"{PRACTICE} [data-item='{row['item']}']")
    assert LANGUAGES["en"]["practice.wrong"] in line.inner_text()
    assert line.is_visible()
    line.get_by_role("link").click()
    shown.wait_for_url("**/#records?**")
    assert f"item={row['item']}" in shown.url
    assert "student=S003" in shown.url


def long_names(visit: Visitor) -> dict[str, Any]:
    """Forty items at eight points, all with long names. One name looks like HTML."""
    rows = []
    for number in range(40):
        place = number // 5 + 1
        row: dict[str, Any] = {"place": place, "point": f"p{place}", "item": f"i{number}"}
        row |= {"point_name": f"Gleichungen mit Klammern 解带括号的方程 {place}", "tries": 0}
        row |= {"item_name": f"Vereinfache den Term so weit wie möglich 化简这个式子 {number}"}
        rows.append(row | {"probability": 0.5, "why": "not tried yet", "last_tried": None})
    rows[0]["item_name"] = HOSTILE
    return visit.answer("practice", **ONE) | {"rows": rows}


@pytest.mark.parametrize("language", LANGUAGES)
def test_many_items_with_long_names_can_be_read_at_each_size(visit: Visitor, language: str) -> None:
    answer_with(visit, "practice", long_names(visit))
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open("student", lang=language, **ONE)
        check_width(shown)
        shown.locator(PRACTICE).screenshot(path=f"/tmp/practice-{language}-{width}.png")
    assert shown.locator(f"{PRACTICE} [data-item]").count() == 40
    assert HOSTILE in shown.locator(PRACTICE).inner_text()
    assert serious(shown) == []
