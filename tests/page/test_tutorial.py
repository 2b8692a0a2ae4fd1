"""The tutorial in both languages: its command, its clicks in their order, and its pictures."""

import pytest
from page.tutorial import ROOT, follow
from page.visitor import Visitor
from playwright.sync_api import expect

pytestmark = pytest.mark.embedded

MOST_BYTES = 200_000  # of a picture, so that the page loads where the network is slow


@pytest.mark.parametrize(("language", "who"), [("en", "Jonas Weber"), ("zh", "罗予安")])
def test_the_tutorial_leads_to_its_decision(visit_demo: Visitor, language: str, who: str) -> None:
    """Out: any of the words in bold, of the page or of the tutorial."""
    visit = visit_demo
    shown: list[str] = []
    visit.open("overview", lang=language)
    done = follow(visit.page, language, shown.append)
    visit.page.wait_for_selector("[data-page=student] tbody tr")
    # The heading is an id until the name has come.
    expect(visit.page.locator("h1")).to_contain_text(who)
    assert done >= 24
    assert len(shown) == 3
    for path in shown:
        assert (ROOT / "docs" / path).stat().st_size < MOST_BYTES, path
    visit.ready()
