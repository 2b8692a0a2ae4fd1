"""The head of the page: at the side of a wide screen, above the page on a smaller one, at the foot of a phone."""

import pytest
from page.readable import check_width
from page.visitor import Visitor
from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.embedded
AT_FOOT = 4  # pages, beside the button for all others


def box_of(element: Locator) -> dict[str, float]:
    box = element.bounding_box()
    assert box is not None
    return {side: box[side] for side in ("x", "y", "width", "height")}


def opened(visit: Visitor, width: int, height: int, language: str = "en") -> Page:
    visit.page.set_viewport_size({"width": width, "height": height})
    return visit.open("overview", course="ALG", lang=language)


@pytest.mark.parametrize("width", [1181, 1440, 1920])
def test_a_wide_screen_has_the_pages_at_the_side(visit: Visitor, width: int) -> None:
    shown = opened(visit, width, 900)
    side, content = box_of(shown.locator("#head")), box_of(shown.locator("main"))
    assert side["x"] == 0
    assert side["x"] + side["width"] <= content["x"]
    assert all(each.is_visible() for each in shown.locator("nav a").all())
    shown.evaluate("scrollTo(0, 2000)")
    moved = abs(box_of(shown.locator("#head"))["y"])
    assert moved < 1  # pixel: the pages stay while somebody reads on


@pytest.mark.parametrize("width", [701, 820, 1180])
def test_a_tablet_has_all_pages_above_the_page(visit: Visitor, width: int) -> None:
    shown = opened(visit, width, 900)
    above, content = box_of(shown.locator("#head")), box_of(shown.locator("main"))
    assert above["y"] + above["height"] <= content["y"]
    assert all(each.is_visible() for each in shown.locator("nav a").all())
    assert not shown.locator(".more").is_visible()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_phone_has_four_pages_at_its_foot_and_a_button_for_the_others(
    visit: Visitor, language: str
) -> None:
    shown = opened(visit, 390, 844, language)
    foot, more = shown.locator(".pages"), shown.locator(".more")
    assert box_of(foot)["y"] + box_of(foot)["height"] == 844
    assert len([each for each in shown.locator("nav a").all() if each.is_visible()]) == AT_FOOT
    more.focus()
    shown.keyboard.press("Enter")
    assert more.get_attribute("aria-expanded") == "true"
    assert all(each.is_visible() for each in shown.locator("nav a").all())
    assert box_of(shown.locator(".sheet"))["y"] >= 0
    check_width(shown)
    shown.keyboard.press("Tab")
    shown.keyboard.press("Escape")
    assert not shown.locator(".sheet").is_visible()
    assert more.evaluate("e => e === document.activeElement")
    more.click()
    shown.locator(".sheet nav a").first.click()
    visit.ready()
    assert not shown.locator(".sheet").is_visible()


def test_what_has_the_focus_is_not_below_the_bar_of_a_phone(visit: Visitor) -> None:
    """Out: `scroll-padding-bottom` in page.css."""
    shown = opened(visit, 390, 844)
    bar = box_of(shown.locator(".pages"))
    seen = 0
    for control in shown.locator("main a, main summary, main button").all():
        if not control.is_visible():
            continue
        control.evaluate("e => { e.focus(); }")
        where = box_of(control)
        assert where["y"] + where["height"] <= bar["y"]
        seen += 1
    assert seen > 1


def test_who_is_not_known_chooses_the_language_on_a_phone_at_once(visit_guarded: Visitor) -> None:
    visit_guarded.allowed = ("401",)
    visit_guarded.page.set_viewport_size({"width": 390, "height": 844})
    shown = visit_guarded.open("overview", lang="en")
    assert shown.locator("a[lang=zh]").is_visible()
    assert not shown.locator(".more").is_visible()
