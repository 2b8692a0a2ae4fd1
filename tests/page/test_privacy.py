"""The page Privacy in a real browser: what it asks for, who sees which part, and an erasure from the trial to the end."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from page.readable import WIDTHS, serious
from page.test_failures import STRANGE, break_off
from page.test_pages import LANGUAGES, with_key
from page.visitor import Visitor
from playwright.sync_api import Page, Route, expect

from edugraph_client import Client
from edugraph_gateway.api.routes.personal_data import personal_data
from edugraph_gateway.settings import GatewaySettings

pytestmark = pytest.mark.embedded

EVERYTHING = ("privacy", "erase", "personal")
OFFICER = "eg_officer+privacy+erase+personal"
HOSTILE = "<img src=x onerror=alert(1)> 王"
SETTINGS = {"redis_url": "redis://x", "broker_url": "amqp://x", "blob_url": "/tmp"}
REPORT = {
    "known": True,
    "dry_run": True,
    "removed": {"graph": {"Student": 1, "Attempt": 12, "relationships": 40}, "files": {"rows": 3}},
    "left": [{"store": "files", "key": f"jobs/1/{HOSTILE}", "reason": "it cannot be unpacked"}],
    "left_in_all": 1,
    "mentions": [{"label": "Interaction", "record_id": "m-7"}],
    "mentions_in_all": 1,
    "ids": [{"student_id": "S1"}, {"student_id": "old-1"}],
    "claims": [{"person_id": "S1", "also": ["old-1"]}],
    "claims_in_all": 1,
}


def entry(number: int) -> dict[str, Any]:
    return {
        "time": "2026-06-19T08:00:00Z",
        "who": "oidc:ms-okafor",
        "action": "student.forget",
        "what": "dry run",
        "outcome": "accepted",
        "object": "0" * 32,
        "purpose": HOSTILE,
        "number": number,
        "previous": "",
        "hash": "0" * 64,
    }


class Gateway:
    """A gateway that answers an officer. `asked` has each request, `results` what becomes of the tasks."""

    def __init__(self, page: Page, scopes: tuple[str, ...] = EVERYTHING) -> None:
        self.scopes = scopes
        self.asked: list[str] = []
        self.results: list[Any] = []
        self.tasks = 0
        self.log = {"entries": 120, "last": f"120:{'a' * 64}", "fault": None}
        known = personal_data(GatewaySettings.model_validate(SETTINGS))
        self.inventory = known.model_dump(mode="json")
        page.route(re.compile(r"/v1/(?!insights)"), self.answer)

    def answer(self, route: Route) -> None:
        request = route.request
        address = urlsplit(request.url)
        path = unquote(address.path)
        query = f"?{address.query}" if address.query else ""
        self.asked.append(f"{request.method} {path}{query}")
        if request.method != "GET":
            route.fulfill(status=202, json={"job_id": "j", "task_id": "task-1"})
        elif path.startswith("/v1/tasks/"):
            self.tasks += 1
            route.fulfill(json=self.results.pop(0))
        elif path.startswith("/v1/exports/"):
            route.fulfill(status=200, content_type="application/zip", body=b"PK")
        else:
            route.fulfill(json=self.known(path, address.query))

    def known(self, path: str, query: str) -> Any:
        if path == "/v1/audit":
            start = 70 if "before=" in query else 120
            return {"entries": [entry(start - each) for each in range(50)], "links": {}}
        return {
            "/v1/caller": {"client": "k1", "scopes": self.scopes, "roles": [], "person": None},
            "/v1/erasures": {"tombstones": ["a", "b"]},
            "/v1/restrictions": {"students": ["S7", HOSTILE]},
            "/v1/audit/state": {**self.log, "links": {}},
            "/v1/personal-data": self.inventory,
        }[path]

    def sent(self) -> list[str]:
        """Return the requests that do something, in their order."""
        return [each for each in self.asked if not each.startswith("GET ")]

    def succeed(self, result: Any) -> None:
        self.results += [{"state": "PENDING"}, {"state": "SUCCESS", "result": result}]


@pytest.fixture
def officer(visit_guarded: Visitor) -> Visitor:
    visit_guarded.page.add_init_script(with_key(OFFICER))
    return visit_guarded


def act(shown: Page, name: str, student: str = "S1") -> None:
    shown.locator("input[name=student]").fill(student)
    shown.locator(f"button[data-act={name}]").click()


def test_an_officer_begins_here_and_opening_the_page_reads_nobody(officer: Visitor) -> None:
    """Out: `pageFor` of main.js, or `asked` around the list of restricted students or the entries of the log."""
    gateway = Gateway(officer.page)
    officer.page.goto(f"{officer.address}/ui/")
    shown = officer.ready()
    assert shown.locator(".page").get_attribute("data-page") == "privacy"
    assert set(gateway.asked) == {
        "GET /v1/caller",
        "GET /v1/erasures",
        "GET /v1/audit/state",
        "GET /v1/personal-data",
    }
    assert len(gateway.asked) == 4
    assert shown.locator("header select[name=course]").count() == 0
    assert shown.locator("nav a").all_inner_texts() == [LANGUAGES["en"]["nav.privacy"]]
    assert "2 ids are erased" in shown.locator("[data-part=people]").inner_text()
    assert "120 entries" in shown.locator("[data-part=audit] [data-whole]").inner_text()
    # An officer has no question, so no other page is theirs.
    shown = officer.open("overview", lang="en")
    assert shown.locator(".page").get_attribute("data-page") == "privacy"


def test_a_list_of_persons_is_asked_for_by_a_button_and_is_text(officer: Visitor) -> None:
    gateway = Gateway(officer.page)
    shown = officer.open("privacy", lang="en")
    shown.get_by_role("button", name="Show who is restricted").click()
    people = shown.locator("[data-part=people] .ids li")
    expect(people).to_have_text(["S7", HOSTILE])
    shown.get_by_label("Only what concerns this student").fill("S 1")
    shown.keyboard.press("Enter")
    rows = shown.locator("[data-part=audit] tbody tr")
    expect(rows).to_have_count(50)
    assert "erase a student (trial)" in rows.first.inner_text()
    assert HOSTILE in rows.first.inner_text()
    shown.get_by_role("button", name="Show older entries").click()
    expect(rows.first.locator("data")).to_have_attribute("value", "70")
    assert [each for each in gateway.asked if "/v1/audit?" in each] == [
        "GET /v1/audit?limit=50&of=student%3AS+1",
        "GET /v1/audit?limit=50&before=71&of=student%3AS+1",
    ]


def test_a_log_that_is_not_whole_is_an_alarm(officer: Visitor) -> None:
    """Out: the comparison of `fault` with null."""
    gateway = Gateway(officer.page)
    gateway.log["fault"] = f"entry 7 was changed {HOSTILE}"
    shown = officer.open("privacy", lang="zh")
    said = shown.locator("[data-part=audit] .refusal").inner_text()
    assert LANGUAGES["zh"]["privacy.not_whole"] in said
    assert HOSTILE in said
    assert shown.locator("[data-whole]").count() == 0


def test_each_place_has_its_eraser_and_the_days_that_are_set(officer: Visitor) -> None:
    """Out: the case of a setting that the gateway does not know, or of 0 days."""
    gateway = Gateway(officer.page)
    shown = officer.open("privacy", lang="en")
    listed = [each for each in gateway.inventory["places"] if each["level"] != "none"]
    rows = shown.locator("[data-part=places] tbody tr")
    assert rows.count() == len(listed)
    text = {
        str(row.get_attribute("data-row")): str(row.text_content())
        for row in shown.query_selector_all("[data-part=places] tbody tr")
    }
    assert "30 days" in text["blobs.sources"]
    assert "without an end" in text["graph.records"]
    assert "set at another service" in text["redis.views"]
    assert "not by an erasure" in text["graph.teacher"]
    for each in listed:
        assert each["holds"]["en"] in text[each["name"]]
        assert (each["retention"] or "") in text[each["name"]]


def test_an_erasure_needs_a_trial_and_the_id_again(officer: Visitor) -> None:
    """By keyboard. Out, each alone: the comparison in `confirmed`, `forgetOutcome`, `known` in `tryErasure`."""
    gateway = Gateway(officer.page)
    shown = officer.open("privacy", lang="en")
    trial = "DELETE /v1/students/S 1/ä?dry_run=true&also=old-1&name=Anna+M%C3%BCller"
    assert shown.locator("input[name=again]").count() == 0
    shown.locator("input[name=student]").focus()
    shown.keyboard.type("S 1/ä")
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")  # opens the other ids and names
    shown.keyboard.press("Tab")
    shown.keyboard.type("old-1\n\n")
    shown.keyboard.press("Tab")
    shown.keyboard.type("Anna Müller")
    gateway.succeed(REPORT)
    shown.locator("button[data-act=try]").focus()
    shown.keyboard.press("Enter")
    again = shown.locator("input[name=again]")
    again.wait_for()
    assert gateway.sent() == [trial]
    outcome = shown.locator(".outcome").inner_text()
    assert HOSTILE in outcome
    assert {"1", "12", "40", "3"} == set(officer.values(".outcome"))
    assert "Ids of this person: S1, old-1." in outcome
    # Another id erases nobody.
    again.focus()
    shown.keyboard.type("S 1")
    shown.keyboard.press("Enter")
    expect(shown.locator(".confirm .refusal")).to_be_visible()
    assert gateway.sent() == [trial]
    gateway.succeed({**REPORT, "dry_run": False})
    again.fill("S 1/ä")
    shown.keyboard.press("Enter")
    expect(shown.locator(".said")).to_contain_text("is erased")
    assert gateway.sent()[1:] == [trial.replace("dry_run=true&", "")]
    assert shown.evaluate("document.activeElement.className") == "said"
    assert again.count() == 0
    # The number of erased is asked for again.
    assert gateway.asked.count("GET /v1/erasures") == 2


def test_what_was_tried_for_one_person_erases_no_other(officer: Visitor) -> None:
    gateway = Gateway(officer.page)
    gateway.succeed(REPORT)
    shown = officer.open("privacy", lang="en")
    act(shown, "try")
    shown.locator("input[name=again]").wait_for()
    shown.locator("input[name=student]").press_sequentially("7")
    assert shown.locator("input[name=again]").count() == 0
    gateway.succeed({"known": False, "dry_run": True})
    act(shown, "try", "nobody")
    expect(shown.locator(".said")).to_contain_text("Nothing is known of nobody")
    assert shown.locator("input[name=again]").count() == 0
    assert all("dry_run=true" in each for each in gateway.sent())


def test_a_person_is_restricted_and_not_and_has_a_copy(officer: Visitor) -> None:
    gateway = Gateway(officer.page)
    shown = officer.open("privacy", lang="en")
    said = shown.locator(".said")
    for name, found, words in (
        ("restrict", True, "neither analysed nor shown"),
        ("restrict", False, "no student S1"),
        ("lift", True, "shown again"),
    ):
        gateway.succeed({"found": found})
        act(shown, name)
        expect(said).to_contain_text(words)
    gateway.succeed({"export": "17-abc.zip", "entries": {"records": 12, "jobs": 0}})
    with shown.expect_download() as saved:
        act(shown, "copy")
    assert saved.value.suggested_filename == "17-abc.zip"
    assert saved.value.path().read_bytes() == b"PK"
    expect(said).to_contain_text("saved as 17-abc.zip")
    assert officer.values(".outcome") == ["12"]
    assert gateway.sent() == [
        "POST /v1/students/S1/restriction",
        "POST /v1/students/S1/restriction",
        "POST /v1/students/S1/restriction/lift",
        "POST /v1/students/S1/export",
    ]


@pytest.mark.parametrize(
    ("scopes", "acts", "parts"),
    [
        (("privacy",), ["restrict", "lift"], (2, True)),
        (("privacy", "personal"), ["copy", "restrict", "lift"], (1, True)),
        (("erase",), ["restrict", "lift", "try"], (1, False)),
        (EVERYTHING, ["copy", "restrict", "lift", "try"], (0, True)),
    ],
    ids=["privacy", "privacy and personal", "erase", "all"],
)
def test_each_scope_sees_its_parts_and_asks_for_no_other(
    visit_guarded: Visitor, scopes: tuple[str, ...], acts: list[str], parts: tuple[int, bool]
) -> None:
    """Out: a condition of a scope in `onePerson`, `whoIsWhat`, `auditLog` or `inventory`."""
    notes, sees_log = parts
    visit_guarded.page.add_init_script(with_key("eg_+" + "+".join(scopes)))
    gateway = Gateway(visit_guarded.page, scopes)
    shown = visit_guarded.open("privacy", lang="en")
    found = [str(each.get_attribute("data-act")) for each in shown.query_selector_all("[data-act]")]
    assert found == acts
    assert shown.locator("[data-part=person] > div > .note").count() == notes
    assert ("GET /v1/audit/state" in gateway.asked) == sees_log
    assert ("GET /v1/personal-data" in gateway.asked) == sees_log
    may_list = "personal" in scopes
    assert shown.get_by_role("button", name="Show who is restricted").count() == int(may_list)


@pytest.mark.parametrize("key", ["eg_teacher:T01", "eg_head", "eg_student:S001"])
def test_others_are_offered_no_page_and_ask_for_nothing(visit_guarded: Visitor, key: str) -> None:
    """Out: the case without the question in `privacy`."""
    visit_guarded.page.add_init_script(with_key(key))
    gateway = Gateway(visit_guarded.page)
    shown = visit_guarded.open("privacy", lang="en", course="MATH8")
    assert shown.locator("nav a[href^='#privacy']").count() == 0
    assert shown.locator("main .refusal").count() == 1
    assert gateway.asked == []


def be_not_permitted(route: Any) -> None:
    problem = {"type": "urn:edugraph:problem:scope", "status": 403, "detail": HOSTILE}
    route.fulfill(status=403, json=problem)


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_the_gateway_answers_each_part_ends_in_a_sentence(
    officer: Visitor, language: str
) -> None:
    """Out: `list`, the type of `days`, or the guard of `fault`."""
    officer.allowed = ("403", "429", "500", "502", "503")
    answers: list[Callable[[Any], None]] = [be_not_permitted, break_off, *STRANGE]
    for answer in answers:
        officer.page.unroute_all()
        officer.page.route(re.compile(r"/v1/(?!insights)"), answer)
        shown = officer.open("privacy", lang=language)
        assert shown.locator("main section .refusal").count() == 4, answer
        assert not shown.query_selector(".waits")


def test_a_task_that_fails_is_said_and_a_moment_without_an_answer_is_not(officer: Visitor) -> None:
    """Out: FAILED in `done`, or `isPassing` in `looked`."""
    officer.allowed = ("403", "429", "503")
    gateway = Gateway(officer.page)
    shown = officer.open("privacy", lang="en")
    away = iter([503, 429])

    def hesitate(route: Route) -> None:
        status = next(away, 0)
        if status:
            problem = {"type": "urn:edugraph:problem:unavailable", "status": status}
            route.fulfill(status=status, json=problem)
        else:
            gateway.answer(route)

    shown.route("**/v1/tasks/*", hesitate)
    gateway.results.append({"state": "FAILURE", "error": f"Rejected: {HOSTILE}"})
    act(shown, "try")
    refused = shown.locator(".outcome .refusal")
    expect(refused).to_contain_text(HOSTILE)
    assert gateway.tasks == 1
    shown.unroute("**/v1/tasks/*")
    shown.route("**/v1/students/**", be_not_permitted)
    act(shown, "restrict")
    expect(refused).to_contain_text("another scope")
    assert shown.locator("[aria-disabled]").count() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_can_be_read_at_each_size(officer: Visitor, language: str) -> None:
    gateway = Gateway(officer.page)
    for width in WIDTHS:
        officer.page.set_viewport_size({"width": width, "height": 900})
        gateway.succeed(REPORT)
        shown = officer.open("privacy", lang=language)
        act(shown, "try")
        shown.locator("input[name=again]").wait_for()
        shown.locator("[data-part=audit] form button").click()
        shown.wait_for_selector("[data-part=audit] tbody tr")
        shown.locator("[data-part=people] button").click()
        shown.wait_for_selector(".ids li")
        wide = shown.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, wide
        if language == "zh":
            headings = "h2, h3, th[scope=col], caption, label, summary, [data-act]"
            for each in shown.query_selector_all(headings):
                assert re.search("[\u4e00-\u9fff]", str(each.text_content())), each.text_content()
        for theme in ("light", "dark"):
            shown.emulate_media(color_scheme=theme)
            assert serious(shown) == []


def test_a_person_of_the_demo_is_tried_restricted_copied_and_erased(visit_demo: Visitor) -> None:
    """Against the real gateway and importer: what is sent is understood, and the log has a trial as one."""
    student = f"gone-{uuid.uuid4().hex[:8]}"
    record = {
        "type": "error_record",
        "timestamp": "2026-03-02T08:15:00Z",
        "record_id": f"{student}-1",
        "data": {"student_id": student, "course_id": "TRY", "error_text": "1/2 + 1/3 = 2/5"},
    }
    with Client(visit_demo.address) as client:
        accepted = client.import_records([record])
        reports = list(client.follow(accepted.job_id))
    assert reports[-1].written == 1
    shown = visit_demo.open("privacy", lang="en")
    said = shown.locator(".said")
    expect(shown.locator("[data-whole]")).to_be_visible()
    act(shown, "restrict", student)
    expect(said).to_contain_text("neither analysed nor shown", timeout=60_000)
    shown.get_by_role("button", name="Show who is restricted").click()
    expect(shown.locator(".ids")).to_contain_text(student)
    with shown.expect_download(timeout=60_000) as saved:
        act(shown, "copy", student)
    assert saved.value.path().read_bytes().startswith(b"PK")
    act(shown, "try", student)
    shown.locator("input[name=again]").wait_for(timeout=60_000)
    assert "records" in shown.locator(".outcome").inner_text()
    shown.locator("input[name=again]").fill(student)
    shown.get_by_role("button", name="Erase for good").click()
    expect(said).to_contain_text("is erased", timeout=60_000)
    act(shown, "try", student)
    expect(said).to_contain_text("is erased already", timeout=60_000)
    assert shown.locator("input[name=again]").count() == 0
    shown.get_by_label("Only what concerns this student").fill(student)
    shown.get_by_role("button", name="Show the latest entries").click()
    rows = shown.locator("[data-part=audit] tbody tr")
    expect(rows.first).to_contain_text("erase a student (trial)")
    done = [each.split("\t")[2] for each in rows.all_inner_texts()]
    assert done[:5] == [
        "erase a student (trial)",
        "erase a student",
        "erase a student (trial)",
        "copy of a person’s data",
        "restrict a student",
    ]
    found = httpx.get(f"{visit_demo.address}/v1/personal-data").json()
    assert json.dumps(found).count("graph.student") == 1
