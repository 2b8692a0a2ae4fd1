"""The page in a browser at a real Keycloak: signing in, the view that one comes back to, an ended session, signing out."""

import pytest
import redis
from login.realm import PASSWORD
from login.school import COURSE, School
from playwright.sync_api import Browser, Page, expect
from waiting import until

pytestmark = pytest.mark.embedded


def fill_in(page: Page) -> None:
    page.locator("#username").fill("teacher")
    page.locator("#password").fill(PASSWORD)
    page.locator("#kc-login").click()


def test_somebody_signs_in_comes_back_to_their_view_and_signs_out(
    browser: Browser, school: School
) -> None:
    """Out: forget the view at signing in, or show what was there when the session ended."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(60_000)
    view = f"{school.url}/ui/#students?course={COURSE}&lang=en"
    page.goto(view)
    expect(page.get_by_role("heading", name="Sign in to see anything")).to_be_visible()
    page.get_by_role("link", name="Sign in").click()
    fill_in(page)
    expect(page.get_by_text("Tessa Berg (teacher)")).to_be_visible()
    expect(page.locator("[data-row=S1]")).to_be_visible()
    assert page.url == view
    [cookie] = [each for each in context.cookies() if each["name"] == "edugraph_session"]
    assert cookie["httpOnly"]
    assert "es_" not in page.evaluate(
        "document.cookie + JSON.stringify({...sessionStorage, ...localStorage})"
    )

    with redis.Redis.from_url(school.redis) as client:
        client.delete(*client.scan_iter("edugraph:session:*"))
        until(lambda: not list(client.scan_iter("edugraph:session:*")))
    page.get_by_role("link", name="Course map").click()
    expect(
        page.get_by_text("Your session has ended. Sign in again; you come back to this view.")
    ).to_be_visible()
    assert page.locator("[data-row]").count() == 0
    page.get_by_role("link", name="Sign in").click()  # the issuer still knows them
    expect(page.locator("[data-page=map]")).to_be_visible()
    assert page.url == f"{school.url}/ui/#map?course={COURSE}&lang=en"

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to see anything")).to_be_visible()
    page.get_by_role("link", name="Sign in").click()
    expect(page.locator("#username")).to_be_visible()
    context.close()
