"""The page Imports on the demo: its gateway, its importer and its insights at one address."""

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from page.readable import check_themes, check_width, serious
from page.visitor import Visitor
from playwright.sync_api import Page, Route, expect

from edugraph_client import Client

pytestmark = pytest.mark.embedded

# A job of thousands of rows takes some seconds, and longer on a busy machine.
JOB_ENDS_WITHIN_MS = 60_000
SHORT_SILENCE_MS = 700
LONG_SILENCE_MS = 90_000  # The page's own.
HEADER = "Student;Item;Correct;Time;Course\n"
# The second row is wrong, and one cell has a delimiter, quotes and what HTML would take for a tag.
ROWS = [
    "A1;q1;yes;2026-05-04 08:00;TRY",
    "A2;q1;perhaps;2026-05-04 08:00;TRY",
    'A3;"q;<b>""2""</b>";no;2026-05-04 08:00;TRY',
]


def choose(page: Page, path: Path) -> None:
    page.set_input_files("#file", path)
    page.wait_for_selector(".upload h3")


def numbers(page: Page, inside: str) -> dict[str, str]:
    """The counts of the cards."""
    found = page.query_selector_all(f"{inside} [data-count]")
    return {
        str(each.get_attribute("data-count")): each.eval_on_selector("data", "e => e.value")
        for each in found
    }


def bear_silence(page: Page, milliseconds: int) -> None:
    """Let the page bear a silence for so long from now on, in place of 90 s."""
    page.evaluate(
        """borne => {
            window.firstTimeout ??= window.setTimeout;
            window.setTimeout = (what, ms) => firstTimeout(what, ms === 90_000 ? borne : ms);
        }""",
        milliseconds,
    )


def ended(page: Page, state: str) -> None:
    job = page.locator(".job [data-state]")
    expect(job).to_have_attribute("data-state", state, timeout=JOB_ENDS_WITHIN_MS)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_is_shown_in_each_language_and_for_everybody(
    visit_demo: Visitor, language: str, tmp_path: Path
) -> None:
    """No finding of axe that is serious or worse, also of the suggestion, the rejects and a job."""
    table = tmp_path / "quiz.csv"
    table.write_text(HEADER + "".join(f"{row}\n" for row in ROWS))
    shown = visit_demo.open("imports", lang=language)
    for view in ("suggestion", "job"):
        if view == "suggestion":
            choose(shown, table)
        else:
            shown.get_by_role("link", name="broken.ndjson").first.click()
        shown.wait_for_selector(".job [data-state], .dry-run")
        for width in (390, 1280):
            shown.set_viewport_size({"width": width, "height": 844})
            check_width(shown)
        check_themes(shown)


def test_a_table_is_looked_at_sent_and_mended(visit_demo: Visitor, tmp_path: Path) -> None:
    table = tmp_path / "quiz.csv"
    table.write_text(HEADER + "".join(f"{row}\n" for row in ROWS))
    shown = visit_demo.open("imports", lang="en")
    choose(shown, table)
    assert numbers(shown, ".dry-run") == {"valid": "2", "rejected": "1", "not_relevant": "0"}
    assert "perhaps" in shown.locator(".dry-run tbody").inner_text()
    shown.locator(".start").click()
    ended(shown, "succeeded")
    outcomes = (
        "written",
        "replaced",
        "unchanged",
        "older",
        "taken_back",
        "rejected",
        "failed",
        "not_relevant",
    )
    whole = dict.fromkeys(outcomes, "0") | {"written": "2", "rejected": "1"}
    assert numbers(shown, ".job") == whole
    with shown.expect_download() as saved:
        shown.get_by_role("button", name="Download the rejects").click()
    [reject] = map(json.loads, saved.value.path().read_text("utf-8").splitlines())
    assert reject["raw"] == ROWS[1]
    shown.get_by_role("button", name="Mend and send again").click()
    rows = shown.locator("#rows")
    assert rows.input_value() == HEADER + ROWS[1]
    rows.fill(rows.input_value().replace("perhaps", "no"))
    shown.get_by_role("button", name="Check these rows").click()
    first = shown.locator(".job").get_attribute("data-job")
    shown.locator(".start").click()
    shown.wait_for_function(f"() => document.querySelector('.job')?.dataset.job !== '{first}'")
    ended(shown, "succeeded")
    assert numbers(shown, ".job") == {**whole, "written": "1", "rejected": "0"}
    # A new course can be chosen at once.
    assert shown.locator("header option[value=TRY]").count() == 1
    assert "new" not in shown.url  # no row stands in an address


def test_why_a_row_is_set_aside_is_said_in_chinese(visit_demo: Visitor, tmp_path: Path) -> None:
    """Out: `learnRejects`. No English sentence stands there without a mark."""
    table = tmp_path / "quiz.csv"
    table.write_text(
        HEADER
        + "".join(f"{row}\n" for row in (*ROWS, "A4;q1;yes;soon;TRY", ";q1;yes;2026-05-04;TRY"))
    )
    shown = visit_demo.open("imports", lang="zh")
    choose(shown, table)
    for inside in (".dry-run", ".job"):
        shown.wait_for_selector(f"{inside} tbody tr")
        cells = [
            str(each.text_content())
            for each in shown.query_selector_all(f"{inside} tbody td:nth-child(n + 4)")
        ]
        assert len(cells) == 6
        assert [
            each for each in cells if not re.search(r"[\u4e00-\u9fff]", each) or "英文原文" in each
        ] == []
        if inside == ".dry-run":
            shown.locator(".start").click()
            ended(shown, "succeeded")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_progress_that_no_record_gives_is_not_known(visit_demo: Visitor, language: str) -> None:
    """Out: `knownShare` of the card or of the column."""
    unknown = {"en": "not known", "zh": "未知"}[language]
    values = [
        {
            "type": "course_record",
            "timestamp": "2026-05-04T08:00:00Z",
            "data": {"student_id": who, "course_id": "NEW"},
        }
        for who in ("N1", "N2")
    ]
    with Client(visit_demo.address) as client:
        *_, report = client.follow(client.import_records(values).job_id)
    assert report.state == "succeeded"
    shown = visit_demo.open("overview", course="NEW", lang=language)
    assert shown.locator("[data-card=progress] dd").inner_text() == unknown
    assert visit_demo.values("[data-card=progress]") == [""]
    shown = visit_demo.open("students", course="NEW", lang=language, view="table")
    assert shown.locator("tbody tr").all_inner_texts()
    for row in shown.locator("tbody tr").all():
        assert row.get_by_text(unknown, exact=True).count() == 1
        assert "%" not in row.inner_text()
    left_out = shown.locator(".how .left-out").first.text_content()
    assert str(left_out).endswith("2")
    shown = visit_demo.open("records", course="NEW", kind="progress", lang=language)
    assert shown.get_by_text(unknown, exact=True).count() == 2


def test_posts_are_listed_and_one_thread_alone_is_a_click_away(visit_demo: Visitor) -> None:
    """Out: the thread among the parameters of `records`; `recordName` of the thread."""
    in_course = {"type": "course_record", "timestamp": "2026-05-04T08:00:00Z"}
    values: list[dict[str, Any]] = [
        {**in_course, "data": {"student_id": "N1", "course_id": "FORUM"}}
    ]
    for number, thread in enumerate(("w1", "w1", "w2")):
        data = {
            "student_id": "N1",
            "course_id": "FORUM",
            "thread_id": thread,
            "text": f"post number {number}",
        }
        values.append(
            {"type": "post_record", "timestamp": f"2026-05-05T08:0{number}:00Z", "data": data}
        )
    with Client(visit_demo.address) as client:
        client.create_source({"name": "forum", "kind": "records"})
        *_, report = client.follow(client.import_records(values, source="forum").job_id)
    assert report.state == "succeeded"
    shown = visit_demo.open("records", course="FORUM", kind="posts", lang="en")
    rows = shown.locator("tbody tr")
    assert [
        f"post number {number}" in rows.nth(2 - number).inner_text() for number in range(3)
    ] == [True] * 3
    shown.get_by_role("link", name="w1 (source forum)").first.click()
    shown.wait_for_function("() => document.querySelectorAll('tbody tr').length === 2")
    assert shown.get_by_text("w1 (source forum)").count() == 3
    assert shown.locator("select[name=kind]").input_value() == "posts"


def test_the_same_file_again_changes_nothing_and_a_mapping_can_be_corrected(
    visit_demo: Visitor, tmp_path: Path
) -> None:
    """Out: send the suggestion in place of what the text area has."""
    table = tmp_path / "class.csv"
    table.write_text("Student,Course\nA1,TRY2\nA2,TRY2\n")
    for outcome in ("written", "unchanged"):
        shown = visit_demo.open("imports", lang="en")
        choose(shown, table)
        shown.locator(".as-text summary").click()
        mapping = shown.locator("#mapping")
        given = mapping.input_value()
        mapping.fill("columns: {Student: nonsense}")
        shown.get_by_role("button", name="Check again").click()
        shown.wait_for_selector(".refusal")
        assert shown.locator(".start").is_disabled()
        assert "?" in given
        right = "type: course_record\ncolumns: {Student: student_id, Course: course_id}\nconstants: {timestamp: 2026-05-01}"
        mapping.fill(right)
        shown.get_by_role("button", name="Check again").click()
        shown.wait_for_selector(".dry-run")
        shown.locator(".start").click()
        ended(shown, "succeeded")
        assert numbers(shown, ".job")[outcome] == "2"


def test_what_no_import_can_use_is_refused_in_a_sentence(
    visit_demo: Visitor, tmp_path: Path
) -> None:
    visit_demo.allowed = ("422",)
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7\n\x00\x00")
    shown = visit_demo.open("imports", lang="en")
    shown.set_input_files("#file", tmp_path / "letter.pdf")
    expect(shown.locator(".upload .refusal")).to_contain_text("cannot be imported")


def test_a_job_that_runs_is_followed_and_can_be_cancelled(visit_demo: Visitor) -> None:
    """The gateway's answers are made up here: no job of the demo lasts. Out: show each event, or let `cancel` be."""
    visit = visit_demo
    shown = visit.open("imports", lang="en")
    [job] = [each for each in visit.job_list() if each["source"] == "courses.ndjson"]
    runs = job | {
        "state": "running",
        "batches": 4,
        "batches_done": 1,
        "written": 7,
        "seconds_left": 12.5,
    }
    waits = runs | {"state": "waiting", "waiting_for": "the provider asks to wait", "written": 9}
    stops = runs | {"state": "cancelled", "written": 11}
    events = "".join(
        f"id: {n}\nevent: job\ndata: {json.dumps(each)}\n\n" for n, each in enumerate((runs, waits))
    )
    answers = [events + ": alive\n\n", f"event: job\ndata: {json.dumps(stops)}\n\n"]
    cancelled: list[Route] = []
    address = f"**/v1/jobs/{job['job_id']}"
    shown.route(address, lambda route: route.fulfill(json=runs))
    shown.route(
        f"{address}/events",
        lambda route: route.fulfill(
            body=answers[bool(cancelled)],
            headers={"Content-Type": "text/event-stream; charset=utf-8"},
        ),
    )

    def cancel(route: Route) -> None:
        cancelled.append(route)
        route.fulfill(json=stops)

    shown.route(f"{address}/cancel", cancel)
    visit.add(job=job["job_id"])
    ended(shown, "waiting")
    assert "the provider asks to wait" in shown.locator(".job").inner_text()
    assert shown.get_by_role("progressbar").get_attribute("value") == "1"
    assert numbers(shown, ".job")["written"] == "9"
    shown.get_by_role("button", name="Cancel").click()
    ended(shown, "cancelled")
    assert numbers(shown, ".job")["written"] == "11"


def test_a_file_that_does_not_move_is_not_waited_for(visit_demo: Visitor, tmp_path: Path) -> None:
    """Neither its preview nor its import is answered. Out: `stop` of `untilSilence` in api.js."""
    table = tmp_path / "quiz.csv"
    table.write_text(HEADER + f"{ROWS[0]}\n")
    shown = visit_demo.open("imports", lang="en")
    shown.route("**/v1/imports/preview?*", lambda _: None)
    bear_silence(shown, SHORT_SILENCE_MS)
    shown.set_input_files("#file", table)
    assert len(shown.locator(".upload .refusal").inner_text()) > 20
    shown.unroute("**/v1/imports/preview?*")
    bear_silence(shown, LONG_SILENCE_MS)
    shown.set_input_files("#file", [])
    choose(shown, table)
    shown.route("**/v1/imports?*", lambda _: None)
    bear_silence(shown, SHORT_SILENCE_MS)
    shown.locator(".start").click()
    assert len(shown.locator(".upload .refusal").inner_text()) > 20
    assert shown.locator(".upload progress").count() == 0
    shown.unroute("**/v1/imports?*")
    bear_silence(shown, LONG_SILENCE_MS)
    shown.locator(".start").click()
    ended(shown, "succeeded")


def test_a_file_that_moves_slowly_is_waited_for(visit_demo: Visitor, tmp_path: Path) -> None:
    """The file takes some seconds, and each silence is short. Out: call `moving.heard` in `sendFile` of api.js never."""
    lines = "".join(f"S{n};slow;yes;2026-05-04 08:00;SLOW\n" for n in range(3000))
    table = tmp_path / "slow.csv"
    table.write_text(HEADER + lines)
    shown = visit_demo.open("imports", lang="en")
    choose(shown, table)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    seconds = 8
    slow["uploadThroughput"] = table.stat().st_size // seconds
    # The answer to the whole file is waited for as well: a busy machine needs a second or two for it.
    silence_seconds = 4
    bear_silence(shown, silence_seconds * 1000)
    network = shown.context.new_cdp_session(shown)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    began = time.monotonic()
    with shown.expect_response("**/v1/imports?*") as answer:
        shown.locator(".start").click()
        shown.wait_for_function("() => document.querySelector('.upload progress')?.value > 0")
    assert answer.value.ok
    assert time.monotonic() - began > silence_seconds + 1
    network.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    ended(shown, "succeeded")


def test_a_job_whose_events_are_silent_is_asked_for_again(visit_demo: Visitor) -> None:
    """The first stream is forgotten by a proxy before its headers. Out: `signal` in `changes` of imports.js."""
    shown = visit_demo.open("imports", lang="en")
    bear_silence(shown, SHORT_SILENCE_MS)
    [job] = [each for each in visit_demo.job_list() if each["source"] == "courses.ndjson"]
    address = f"**/v1/jobs/{job['job_id']}"
    shown.route(address, lambda route: route.fulfill(json=job | {"state": "running"}))
    event = f"event: job\ndata: {json.dumps(job | {'state': 'cancelled'})}\n\n"
    headers = {"Content-Type": "text/event-stream; charset=utf-8"}
    asked: list[Route] = []

    def stream(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.fulfill(body=event, headers=headers)

    shown.route(f"{address}/events", stream)
    visit_demo.add(job=job["job_id"])
    ended(shown, "cancelled")


def test_jobs_are_listed_by_state_and_page_by_page(visit_demo: Visitor) -> None:
    visit = visit_demo
    shown = visit.open("imports", lang="en")
    shown.get_by_label("State").select_option("failed")
    shown.wait_for_url("**only=failed*")
    visit.ready()
    failed = [each["job_id"] for each in visit.job_list() if each["state"] == "failed"]
    assert listed(shown, len(failed)) == failed
    first = visit.job_list()[:2]
    shown.route(
        "**/v1/jobs?limit=20",
        lambda route: route.continue_(url=route.request.url.replace("limit=20", "limit=2")),
    )
    shown.get_by_label("State").select_option("")
    shown.wait_for_function("() => !location.hash.includes('only')")
    visit.ready()
    assert listed(shown, 2) == [each["job_id"] for each in first]
    shown.get_by_role("link", name="Older ones").click()
    shown.wait_for_url("**cursor=*")
    shown.get_by_role("link", name="The newest").wait_for()
    ids = [each["job_id"] for each in visit.job_list()[2:]]
    assert listed(shown, len(ids)) == ids


def listed(page: Page, number: int) -> list[str | None]:
    """The jobs of the list, when there are so many."""
    rows = page.locator(".jobs tbody tr[data-row]")
    expect(rows).to_have_count(number)
    return [each.get_attribute("data-row") for each in rows.all()]


def test_it_is_done_by_keyboard_alone(visit_demo: Visitor, tmp_path: Path) -> None:
    """The dialog of the system is answered by the driver; all else are keys."""
    record = {
        "type": "course_content",
        "timestamp": "2026-05-01",
        "data": {"course_id": "TRY3", "content": "Ratios."},
    }
    (tmp_path / "texts.ndjson").write_text(json.dumps(record) + "\n")
    shown = visit_demo.open("imports", lang="en")
    # The browser is told to hand over its dialogs before the first key: Playwright does not wait until it has heard it.
    with shown.expect_file_chooser() as chooser:
        tab_to(shown, "input[type=file]")
        shown.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "texts.ndjson")
    shown.wait_for_selector(".dry-run")
    assert shown.locator("#mapping").count() == 0
    tab_to(shown, ".start")
    shown.keyboard.press("Enter")
    ended(shown, "succeeded")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until such an element has the focus, at most once around."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
    pytest.fail(f"{selector} is not reached by Tab")


def test_who_may_not_import_is_not_led_there(visit_guarded: Visitor) -> None:
    """Out: `imports` of the choices."""
    visit_guarded.page.add_init_script(
        "if (location.protocol === 'http:') sessionStorage.setItem('edugraph_key', 'eg_teacher:T01')"
    )
    shown = visit_guarded.open("overview", lang="en")
    assert shown.query_selector("nav a[href*=students]")
    assert not shown.query_selector("nav a[href*=imports]")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_marks_are_imported_when_each_column_has_points_of_the_file_or_of_a_person(
    visit_demo: Visitor, language: str, tmp_path: Path
) -> None:
    """Out: `settle` in `pointsOfItems`; a guess in place of `?` in the suggestion; `points` in `look`."""
    course = f"MARKS-{language}"
    rows = f"Student,Date,Course,Quiz /10,Oral /4,Essay,Poster\nA1,2026-05-04,{course},7,2,17,3\n"
    table = tmp_path / "marks.csv"
    table.write_text(rows + f"A2,2026-05-04,{course},10,4,9,5\n")
    shown = visit_demo.open("imports", lang=language)
    choose(shown, table)
    start = shown.locator(".start")
    inputs = shown.locator(".points input[type=number]")
    assert inputs.count() == 2
    assert shown.locator(".points label[for^=points-]").all_inner_texts()[-2:] == [
        "Essay",
        "Poster",
    ]
    assert shown.locator(".dry-run").count() == 0
    assert start.is_disabled()
    if language == "zh":
        for text in shown.locator(
            ".points p, .points legend, .points button, .upload [role=alert]"
        ).all_inner_texts():
            assert not text or re.search(r"[\u4e00-\u9fff]", text)
    shown.locator("#points-accepted").check()
    assert start.is_disabled()  # nobody has given the points of the others
    inputs.nth(0).fill("20")
    shown.locator(".use-points").click()
    assert shown.locator(".dry-run").count() == 0  # one column is missing
    inputs.nth(1).fill("5")
    shown.locator(".use-points").click()
    shown.wait_for_selector(".dry-run")
    assert numbers(shown, ".dry-run") == {"valid": "8", "rejected": "0", "not_relevant": "0"}
    marks = [row.split("\t") for row in shown.locator(".marks tbody tr").all_inner_texts()]
    assert len(marks) == 8
    assert [cell.strip().replace(" ", "") for cell in marks[2]] == [
        "A1",
        "Essay",
        "17",
        "20",
        "85%",
    ]
    assert [each.input_value() for each in inputs.all()] == ["20", "5"]
    accepted = shown.locator("#points-accepted")
    assert accepted.is_checked()
    accepted.uncheck()
    assert start.is_disabled()
    accepted.check()
    assert serious(shown) == []
    shown.set_viewport_size({"width": 390, "height": 844})
    check_width(shown)
    start.click()
    ended(shown, "succeeded")
    assert numbers(shown, ".job")["written"] == "8"
    records = visit_demo.answer("records", course=course, student="A1")["rows"]
    assert sorted(each["outcome"] for each in records) == [500, 600, 700, 850]


GRADEBOOK = """Student,ID,SIS User ID,Section,Quiz 1 (1201),Quiz 2 (1217)
    Points Possible,,,,10,15
"Berg, Anna",1,20140117,8A,7,12
"Lind, Ella",2,20140122,8B,later,9
"Ng, Hao",3,20140123,8B,10,later
"""


def check_again(page: Page) -> None:
    with page.expect_response("**/v1/imports/preview?*"):
        page.locator(".check").click()
    page.wait_for_selector(".upload h3")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_gradebook_is_imported_by_a_form_alone(
    visit_demo: Visitor, language: str, tmp_path: Path
) -> None:
    """Nobody edits a text. Out: `answers` of mapping_form.js, `courseSent`, or `asked.changed` in `settle`."""
    course = f"FORM-{language}"
    table = tmp_path / "grades.csv"
    table.write_text(GRADEBOOK)
    shown = visit_demo.open("imports", lang=language)
    choose(shown, table)
    assert not shown.locator("#mapping").is_visible()
    asked = shown.locator("[data-asks]")
    assert asked.evaluate_all("all => all.map(each => each.dataset.constant)") == ["course_id"]
    assert shown.locator("#known-courses option").count() > 0
    marks = shown.locator(".form-row[data-column='Quiz 1 (1201)']")
    assert "7 · later" in marks.inner_text()
    asked.fill(course)
    check_again(shown)
    # Two marks stand for something that nobody could guess. A click says it for all of them.
    assert numbers(shown, ".dry-run")["rejected"] != "0"
    with shown.expect_response("**/v1/imports/preview?*") as checked:
        shown.locator(".causes button").first.click()
    # Proxies log addresses, and the words of a mapping may be names.
    parameters = parse_qs(urlsplit(checked.value.url).query)
    assert set(parameters) == {"name", "whole"}
    assert "edugraph-mapping-answers" in checked.value.request.headers
    shown.wait_for_selector(".dry-run")
    assert numbers(shown, ".dry-run") == {"valid": "4", "rejected": "0", "not_relevant": "1"}
    shown.locator("#points-accepted").check()
    # A change has to be checked before the import.
    select = shown.locator(".form-row[data-column='Quiz 2 (1217)'] select")
    select.select_option("")
    assert shown.locator(".start").is_disabled()
    select.select_option("(item)")
    check_again(shown)
    shown.locator(".start").click()
    ended(shown, "succeeded")
    shown.locator(".to-course").click()
    visit_demo.ready()
    assert f"course={course}" in shown.url
    assert shown.locator("header select[name=course]").input_value() == course


def test_who_changes_the_text_means_the_text(visit_demo: Visitor, tmp_path: Path) -> None:
    """Out: `answersOfForm`. The form proposes the day of the file, and the text says another one."""
    table = tmp_path / "class.csv"
    table.write_text("Student,Course\nA1,TRY3\n")
    shown = visit_demo.open("imports", lang="en")
    choose(shown, table)
    proposed = shown.locator("#constant-timestamp").input_value()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", proposed)
    shown.locator(".as-text summary").click()
    text = shown.locator("#mapping").input_value()
    shown.locator("#mapping").fill(text.replace("'?'", "'2021-02-03'"))
    check_again(shown)
    assert shown.locator("#constant-timestamp").input_value() == "2021-02-03"
    assert numbers(shown, ".dry-run")["valid"] == "1"


def test_a_course_that_only_the_text_names_gets_no_link(
    visit_demo: Visitor, tmp_path: Path
) -> None:
    """The text is changed after the check. Out: the comparison with `seen.mapping` at the start of an import."""
    table = tmp_path / "grades.csv"
    table.write_text(GRADEBOOK)
    shown = visit_demo.open("imports", lang="en")
    choose(shown, table)
    shown.locator("#constant-course_id").fill("TRY4")
    check_again(shown)
    shown.locator("#points-accepted").check()
    shown.locator(".as-text summary").click()
    mapping = shown.locator("#mapping")
    mapping.fill(mapping.input_value().replace("TRY4", "TRY5"))
    shown.locator(".start").click()
    ended(shown, "succeeded")
    assert shown.locator(".to-course").count() == 0


def test_a_link_leads_to_a_course_that_is_newer_than_the_choices(visit_demo: Visitor) -> None:
    """The first answer does not have the last course yet. Out: `isCourseNew` in main.js."""
    shown = visit_demo.page
    asked: list[Route] = []
    newest = ""

    def choices(route: Route) -> None:
        nonlocal newest
        answer = route.fetch()
        found = answer.json()
        asked.append(route)
        if len(asked) == 1:
            newest = found["courses"].pop()["id"]
        route.fulfill(response=answer, json=found)

    shown.route("**/v1/insights/choices", choices)
    visit_demo.open("overview", lang="en")
    visit_demo.add(course=newest)
    visit_demo.ready()
    assert len(asked) == 2
    assert f"course={newest}" in shown.url
    assert shown.locator("header select[name=course]").input_value() == newest
