"""The sources on the page Imports: on the demo with sources that send, and each state with answers of a made-up gateway."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import waiting
from page.conftest import SIGNED_SENDERS
from page.readable import check_sizes, check_width
from page.visitor import Visitor
from playwright.sync_api import Page, Route, expect
from signers import new_secret, standard_headers

from edugraph_common.contracts.data_sources import DataSource, LiveDay, LiveSource
from edugraph_gateway.api.routes.live_records import LiveSources

pytestmark = pytest.mark.embedded

LANGUAGES = ("en", "zh")
MANY = 200
NOW = datetime.now(UTC)
SECRET_WORDS = "Ada said that nobody may read this"
CREATED = datetime(2026, 9, 1, tzinfo=UTC)


def record(number: int, **data: Any) -> dict[str, Any]:
    return {
        "type": "course_content",
        "record_id": f"r{number}",
        "timestamp": "2026-05-04T08:00:00Z",
        "data": {"course_id": "SRC", "content": SECRET_WORDS, **data},
    }


def row(page: Page, name: str) -> list[str]:
    """The cells of a source, without those of others."""
    found = page.locator(f".by-source tr[data-row='{name}']")
    expect(found).to_have_count(1)
    return [cell.strip() for cell in found.locator("th, td").all_inner_texts()]


def test_what_sources_sent_is_shown_and_nothing_that_is_secret(visit_demo: Visitor) -> None:
    """Two good records, one wrong one, two wrong signatures. Out: `add_refusal`, `latest` or `reasons`."""
    with httpx.Client(base_url=visit_demo.address, timeout=30) as client:
        for name, more in {
            "src-lms": {},
            "quiz-tool": {},
            "src-idle": {},
            "src-paused": {"live": "paused"},
        }.items():
            body = {"name": name, "kind": "records", **more}
            client.post("/v1/sources", json=body).raise_for_status()
        sent = {"records": [record(1), record(2), record(3, course_id="")]}
        answer = client.post("/v1/sources/src-lms/records", json=sent).raise_for_status()
        job = answer.json()["job_id"]
        # Nobody but the sender may know the right secret, so another one is used.
        for number in range(2):
            content = json.dumps({"records": [record(number)]}).encode()
            headers = standard_headers(content, new_secret())
            refused = client.post("/v1/sources/quiz-tool/signed", content=content, headers=headers)
            assert refused.status_code == 401
        waiting.until(lambda: client.get(f"/v1/jobs/{job}").json().get("read") == 3, 60)
    shown = visit_demo.open("imports", lang="en")
    lms = row(shown, "src-lms")
    assert lms[0].split("\n") == ["src-lms", "records"]
    assert lms[2:6] == ["2", "1", "0", "0"]  # accepted, set aside, requests refused, waiting
    assert lms[6].startswith("One record was set aside, most often with the reason “")
    tool = row(shown, "quiz-tool")
    assert tool[1] == "none in 40 days"
    assert tool[2:6] == ["0", "0", "2", "0"]
    assert tool[6].startswith("2 requests were refused, the last on ")
    assert "compare the secret and the clock" in tool[6]
    assert row(shown, "src-idle")[6].startswith("Nothing has come yet.")
    assert row(shown, "src-paused")[6].startswith("The source is paused")
    urgent = shown.locator(".by-source .urgent")
    assert urgent.count() == 3
    assert shown.locator(".by-source tbody tr").last.get_attribute("data-row") == "src-idle"
    page = shown.locator("[data-part=sources]").inner_html()
    [sender] = SIGNED_SENDERS.values()
    for secret in (SECRET_WORDS, "Ada", *sender["secrets"]):
        assert secret not in page
    # The day of a row leads to its job, which has the rejects.
    shown.locator(".by-source tr[data-row=src-lms] a").click()
    shown.wait_for_selector(f".job[data-job={job}]")
    expect(shown.locator(".job [data-state]")).to_be_visible()


def source(name: str, **more: Any) -> DataSource:
    return DataSource(name=name, kind="xapi", created=CREATED, **more)


def day(name: str, **more: Any) -> LiveDay:
    return LiveDay(source=name, day=NOW.date(), job_id=f"live-{name}-x", **more)


def states() -> dict[str, tuple[LiveSource, str]]:
    """Name -> a source in this state, and how its English sentence begins."""
    hour = timedelta(hours=1)
    long_ago = NOW - timedelta(days=12)
    well: dict[str, Any] = {"accepted": 5, "last_accepted": NOW - hour}
    reasons = {"is not a number": 4, "field required": 2}
    refused: dict[str, Any] = {"refused": 3, "last_refused": NOW, "last_refusal": "invalid"}
    given: dict[str, tuple[dict[str, Any], bool, dict[str, Any] | None, str]] = {
        "well": ({}, False, well, "Nothing to do."),
        "never": ({}, False, None, "Nothing has come yet."),
        "paused": ({"live": "paused"}, False, well, "The source is paused"),
        "silent": ({}, True, well, "Nothing has come since"),
        "silent-always": ({}, True, None, "Nothing has come, although it should."),
        "old": ({}, False, {"accepted": 5, "last_accepted": long_ago}, "Nothing has come since"),
        "waits": ({}, False, {**well, "waiting": 2, "oldest_waiting": NOW - hour}, "Records have"),
        "wrong": ({}, False, {**well, "rejected": 4, "reasons": reasons}, "4 records were set"),
        "refused": ({}, False, {**well, **refused}, "3 requests were refused"),
        "observed": ({"live": "observe"}, False, {"observed": 7}, "It is only looked at: 7"),
    }
    found = {}
    for name, (settings, silent, numbers, words) in given.items():
        latest = day(name, **numbers) if numbers is not None else None
        found[name] = (
            LiveSource(source=source(name, **settings), silent=silent, latest=latest),
            words,
        )
    return found


URGENT = {"paused", "silent", "silent-always", "old", "waits", "wrong", "refused"}


def answered_by(page: Page, sources: list[LiveSource]) -> None:
    listed = LiveSources(sources=tuple(sources), links={"self": "/v1/live-sources"})
    body = listed.model_dump_json()
    page.route(
        "**/v1/live-sources",
        lambda route: route.fulfill(body=body, headers={"Content-Type": "application/json"}),
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_state_has_its_sentence_in_each_size(visit_demo: Visitor, language: str) -> None:
    """Out: any branch of `whatToDo`, or the order in `listed`."""
    made = states()
    answered_by(visit_demo.page, [each for each, _ in made.values()])
    shown = visit_demo.open("imports", lang=language)
    said = {name: row(shown, name)[6] for name in made}
    if language == "en":
        for name, (_, words) in made.items():
            assert said[name].startswith(words), (name, said[name])
        assert "is not a number" in said["wrong"]
    else:
        assert all(
            "\u4e00" <= words[0] <= "\u9fff" or words[0].isdigit() for words in said.values()
        )
    order = shown.locator(".by-source tbody tr").evaluate_all("all => all.map(e => e.dataset.row)")
    assert set(order[: len(URGENT)]) == URGENT
    assert order[: len(URGENT)] == sorted(URGENT)
    check_sizes(shown)


def test_of_two_hundred_sources_those_that_need_somebody_are_first(visit_demo: Visitor) -> None:
    """Out: `MOST_SOURCES`, or the sort in `listed`."""
    numbers = {"accepted": 1, "last_accepted": NOW}
    sources = [
        LiveSource(source=source(f"s-{n:03}"), silent=n == 150, latest=day(f"s-{n:03}", **numbers))
        for n in range(MANY)
    ]
    answered_by(visit_demo.page, sources)
    shown = visit_demo.open("imports", lang="en")
    rows = shown.locator(".by-source tbody tr")
    assert rows.count() == 20
    assert rows.first.get_attribute("data-row") == "s-150"
    assert shown.locator("[data-part=sources] .lead").inner_text().startswith("One of 200")
    rest = shown.locator("[data-part=sources] .left-out a")
    rest.focus()
    shown.keyboard.press("Enter")
    expect(rows).to_have_count(MANY)
    shown.set_viewport_size({"width": 390, "height": 844})
    check_width(shown)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_source_no_right_no_answer_and_a_late_answer_are_said(
    visit_demo: Visitor, language: str
) -> None:
    """Out: the empty state of `listed`, or `block`."""
    visit_demo.allowed = ("Failed to load resource",)
    part = visit_demo.page.locator("[data-part=sources]")
    answered_by(visit_demo.page, [])
    shown = visit_demo.open("imports", lang=language)
    assert part.locator("table").count() == 0
    assert part.locator("p").count() == 3

    answer(shown, 403, "scope")
    part.get_by_role("button").press("Enter")
    expect(part.locator(".refusal")).to_be_visible()
    assert part.get_by_role("button").count() == 0  # asking again would not help

    answer(shown, 503, "unavailable")
    shown = visit_demo.open("imports", lang=language)
    expect(part.locator(".refusal")).to_be_visible()
    shown.unroute("**/v1/live-sources")
    answered_by(shown, [states()["well"][0]])
    part.get_by_role("button").click()
    expect(part.locator("tbody tr")).to_have_count(1)

    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    shown.route("**/v1/live-sources", hold)
    shown.reload()
    expect(part.locator(".waits")).to_be_visible()
    waiting.until(lambda: shown.evaluate("1") == 1 and bool(late), 10)
    late[0].fallback()
    expect(part.locator("tbody tr")).to_have_count(1)


def answer(page: Page, status: int, name: str) -> None:
    page.unroute("**/v1/live-sources")
    body = json.dumps(
        {"type": f"urn:edugraph:problem:{name}", "title": "", "status": status, "detail": ""}
    )
    headers = {"Content-Type": "application/problem+json"}
    page.route(
        "**/v1/live-sources",
        lambda route: route.fulfill(status=status, body=body, headers=headers),
    )


def opened_without_jobs(visit_demo: Visitor, status: int) -> Page:
    """Open *Imports* with one source, while the list of jobs is refused with this status."""
    visit_demo.allowed = ("Failed to load resource",)
    answered_by(visit_demo.page, [states()["well"][0]])
    visit_demo.page.route(
        "**/v1/jobs?limit=200", lambda route: route.fulfill(status=status, body="{}")
    )
    return visit_demo.open("imports", lang="en")


def test_who_may_not_list_jobs_sees_the_sources(visit_demo: Visitor) -> None:
    """Out: `catch` in `latestJobs`."""
    shown = opened_without_jobs(visit_demo, 403)
    assert row(shown, "well")[2] == "5"


def test_counts_without_the_imports_of_files_are_not_shown(visit_demo: Visitor) -> None:
    """Out: the status in `latestJobs`."""
    shown = opened_without_jobs(visit_demo, 422)
    shown.wait_for_selector("[data-part=sources] .refusal")
    assert shown.locator("[data-part=sources] table").count() == 0
