"""Saved views in a real browser: saved, opened, renamed and deleted, in both languages, each person's own."""

import pytest
from page.readable import serious
from page.test_pages import CHINESE, COURSE, LANGUAGES, POINT, with_key
from page.visitor import Visitor
from playwright.sync_api import Page

pytestmark = pytest.mark.embedded


def opened(shown: Page) -> None:
    with shown.expect_response(lambda answer: answer.url.endswith("/v1/insights/views")):
        shown.locator(".views summary").click()
    shown.wait_for_selector(".views form")


def names(shown: Page) -> list[str]:
    return [each.inner_text() for each in shown.query_selector_all(".views li > a")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_view_that_is_saved_shows_the_same_again(visit: Visitor, language: str) -> None:
    shown = visit.open("map", course=COURSE, lang=language, point=POINT, sure="0.8", find="根")
    before, heading = shown.evaluate("location.hash"), shown.locator("h1").inner_text()
    opened(shown)
    assert serious(shown) == []
    if language == "zh":
        for each in shown.query_selector_all(".views summary, .views p, .views button"):
            assert CHINESE.search(str(each.text_content()))
    shown.locator(".views input").fill("Roots <b>")
    shown.locator(".views form button").click()
    shown.wait_for_selector(".views li")
    assert names(shown) == ["Roots <b>"]

    shown = visit.open("overview", course="PHY8", lang=language)
    opened(shown)
    shown.get_by_role("link", name="Roots <b>").click()
    shown.wait_for_function(
        "heading => document.querySelector('h1').textContent === heading", arg=heading
    )
    visit.ready()
    pick = "hash => Object.fromEntries(new URLSearchParams(hash.split('?')[1]))"
    assert shown.evaluate(pick, shown.evaluate("location.hash")) == shown.evaluate(pick, before)

    opened(shown)
    shown.locator(".views li button").first.click()
    shown.locator(".views li input").fill("Squares")
    shown.locator(".views li form button").click()
    shown.get_by_role("link", name="Squares").wait_for()
    shown.locator(".views li button").nth(1).click()
    shown.wait_for_selector(".views p.note")
    assert names(shown) == []


def test_another_person_has_views_of_their_own(visit_guarded: Visitor) -> None:
    visit = visit_guarded
    for key, found in (("eg_head", []), ("eg_analyst", []), ("eg_head", ["of eg_head"])):
        visit.page.add_init_script(with_key(key))
        shown = visit.open("overview", course=COURSE, lang="en")
        opened(shown)
        assert names(shown) == found
        if not found:
            shown.locator(".views input").fill(f"of {key}")
            shown.locator(".views form button").click()
            shown.wait_for_selector(".views li")
