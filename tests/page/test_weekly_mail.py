"""The weekly mail in a real browser: asked for, changed and ended, in both languages and three sizes."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from page.readable import HEIGHT, WIDTHS, check_themes, check_width
from page.test_pages import CHINESE, GROUP, LANGUAGES, TERM, with_key
from page.visitor import Visitor
from playwright.sync_api import Page
from pydantic import SecretStr

from edugraph_insights.digest.ending import end_link

pytestmark = pytest.mark.embedded

COURSE = {"course": "MATH8", "term": TERM}
# Where pictures go to be looked at.
PICTURES = os.environ.get("KEEP_PICTURES")


def opened(shown: Page) -> None:
    with shown.expect_response(lambda answer: answer.url.endswith("/v1/insights/digests")):
        shown.locator(".weekly summary").click()
    shown.locator(".weekly-inside p").first.wait_for()


def pressed(shown: Page, name: str) -> None:
    """Press a button, and wait until the control says what is now."""
    with shown.expect_response(lambda answer: answer.request.method == "GET"):
        shown.locator(".weekly").get_by_role("button", name=name).click()
    shown.wait_for_timeout(100)


def picture(shown: Page, name: str) -> None:
    if PICTURES:
        shown.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_teacher_asks_for_the_mail_and_ends_it(visit_guarded: Visitor, language: str) -> None:
    """Out: `weeklyMail` in today.js."""
    visit = visit_guarded
    visit.page.add_init_script(with_key("eg_teacher:T01"))
    begin, end = {
        "en": ("Send it to me every week", "Send it no more"),
        "zh": ("每周发送给我", "不再发送"),
    }[language]
    shown = visit.open("today", lang=language, **COURSE)
    opened(shown)
    inside = shown.locator(".weekly-inside")
    assert "t01@school.example" in inside.inner_text()
    for width in WIDTHS:
        shown.set_viewport_size({"width": width, "height": HEIGHT})
        check_width(shown)
        picture(shown, f"weekly-offer-{language}-{width}")
    check_themes(shown)
    shown.emulate_media(color_scheme="light")
    pressed(shown, begin)
    assert inside.get_by_role("button").count() == 1
    for width in WIDTHS:
        shown.set_viewport_size({"width": width, "height": HEIGHT})
        check_width(shown)
        picture(shown, f"weekly-on-{language}-{width}")
    if language == "zh":
        for each in shown.query_selector_all(".weekly summary, .weekly p, .weekly button"):
            assert CHINESE.search(str(each.text_content()))

    # In the other language the mail can be changed to it.
    other = "zh" if language == "en" else "en"
    shown = visit.open("today", lang=other, **COURSE)
    opened(shown)
    change = shown.locator(".weekly button").first
    with shown.expect_response(lambda answer: answer.request.method == "GET"):
        change.click()
    shown.locator(".weekly button").nth(1).wait_for(state="detached")
    shown = visit.open("today", lang=language, **COURSE)
    opened(shown)
    pressed(shown, end)
    assert inside.get_by_role("button", name=begin).count() == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_saved_view_of_a_group_has_a_mail_of_its_own(
    visit_guarded: Visitor, language: str
) -> None:
    """Out: `ofViews` in weekly.js. A view of another course, or of no group, is not offered."""
    visit = visit_guarded
    teacher = {"Authorization": "Bearer eg_teacher:T01"}
    insights = f"{visit.address}/v1/insights"
    made = []
    for name, values in {
        "Class one": {"course": "MATH8", "group": GROUP},
        "All": {"course": "MATH8"},
        "Other": {"course": "ALG", "group": GROUP},
    }.items():
        view = {"name": name, "state": {"kind": "page", "name": "today", "values": values}}
        answer = httpx.post(f"{insights}/views", headers=teacher, json=view)
        made.append(answer.raise_for_status().json())
    visit.page.add_init_script(with_key("eg_teacher:T01"))
    words = LANGUAGES[language]
    shown = visit.open("today", lang=language, **COURSE)
    opened(shown)
    line = shown.locator(".weekly [data-view]")
    line.first.wait_for()
    assert line.count() == 1
    assert "Class one" in line.inner_text()
    line.get_by_role("button", name=f"{words['weekly.begin']}: Class one").click()
    end = line.get_by_role("button", name=f"{words['weekly.end']}: Class one")
    end.wait_for()
    assert words["weekly.view_on"] in line.inner_text()
    [digest] = httpx.get(f"{insights}/digests", headers=teacher).json()["digests"]
    assert (digest["course_id"], digest["view_id"]) == ("MATH8", made[0]["id"])
    for width in WIDTHS:
        shown.set_viewport_size({"width": width, "height": HEIGHT})
        check_width(shown)
        picture(shown, f"weekly-view-{language}-{width}")
    check_themes(shown)
    end.click()
    line.get_by_role("button", name=words["weekly.begin"]).wait_for()
    assert httpx.get(f"{insights}/digests", headers=teacher).json()["digests"] == []
    for view in made:
        httpx.delete(f"{visit.address}{view['links']['self']}", headers=teacher).raise_for_status()


def test_who_has_no_address_is_told_where_it_would_come_from(visit_guarded: Visitor) -> None:
    visit_guarded.page.add_init_script(with_key("eg_teacher:T02"))
    shown = visit_guarded.open("today", lang="en", **COURSE)
    opened(shown)
    assert "No mail address of yours" in shown.locator(".weekly").inner_text()
    assert shown.locator(".weekly button").count() == 0


def test_nobody_else_is_offered_a_mail(visit_guarded: Visitor) -> None:
    """Out: `mayAct` before `weeklyMail`."""
    visit_guarded.page.add_init_script(with_key("eg_head"))
    shown = visit_guarded.open("today", lang="en", **COURSE)
    assert shown.locator(".weekly").count() == 0


def test_the_link_of_a_mail_ends_it_in_a_browser(
    visit_guarded: Visitor, school: Mapping[str, str]
) -> None:
    """The policy of the page lets its one form be sent. Out: `'self'` in `page_of`."""
    given: Any = SimpleNamespace(
        digest_page_url=f"{visit_guarded.address}/ui/",
        privacy_secret=SecretStr(school["EDUGRAPH_PRIVACY_SECRET"]),
    )
    digests = f"{visit_guarded.address}/v1/insights/digests"
    teacher = {"Authorization": "Bearer eg_teacher:T01"}
    made = httpx.post(digests, headers=teacher, json={"course_id": "MATH8"}).json()
    page = visit_guarded.page
    page.goto(end_link(given, made["id"]))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        check_width(page)
        picture(page, f"weekly-end-{width}")
    assert httpx.get(digests, headers=teacher).json()["digests"] != []
    page.get_by_role("button").click()
    page.get_by_text("You get no more of these mails.").wait_for()
    assert httpx.get(digests, headers=teacher).json()["digests"] == []
