"""Review and People in a real browser: verdicts by keyboard into the graph and back, and ties as the API tells them."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import neo4j
import pytest
from page.readable import check_themes, check_width
from page.school import EXAMPLES, written
from page.test_pages import CHINESE, COURSE, GROUP, LANGUAGES, close, with_key
from page.visitor import Visitor
from playwright.sync_api import Browser, Page, Route
from waiting import until

from edugraph_client import Client
from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import (
    ContentFinding,
    FoundPoint,
    InteractionFinding,
    Origin,
    Prerequisite,
    RecordFinding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import Withdrawal, parse_record
from edugraph_importer.graph import Graph, GraphSettings, RecordBatch

pytestmark = pytest.mark.embedded

OFFLINE = Origin(analyser="offline", model="lexicon", prompt_version="1")
REVIEWS = 32  # The findings that are least sure come first, and the points of questions after them.
PAGES = ("review", "people")
# Where nothing is judged yet, "open" is the whole queue in its order.
DECIDED = ("a", "a", "r")


@pytest.fixture(scope="module")
def one_address(
    school: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with written(school, tmp_path_factory.mktemp("written")) as url:
        compared(url)
        yield url


def compared(url: str) -> None:
    """Have the analyzer compare the names of all points, and wait until the graph knows."""
    with Client(url) as client:
        points = client.follow_task(client.propose_pairs().task_id)["result"]["points"]
        until(
            lambda: (
                client.ask("review-points", course=COURSE).of_how_many["points compared"] == points
            ),
            60,
        )


def points_to_review(visit: Visitor) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = visit.answer("review-points", course=COURSE, limit="5000")["rows"]
    return rows


def write_graph(
    environment: Mapping[str, str], query: str, **parameters: Any
) -> list[dict[str, Any]]:
    """Write past the importer. Return the rows."""
    names = ("uri", "user", "password", "database")
    uri, user, password, database = (
        environment[f"EDUGRAPH_NEO4J_{name.upper()}"] for name in names
    )
    with neo4j.GraphDatabase.driver(uri, auth=(user, password)) as driver:
        found = driver.execute_query(query, parameters_=parameters, database_=database)
        return [record.data() for record in found.records]


@contextmanager
def graph_of(environment: Mapping[str, str]) -> Iterator[Graph]:
    """Write as the importer does, without its queue."""
    names = ("uri", "user", "password", "database")
    settings = {name: environment[f"EDUGRAPH_NEO4J_{name.upper()}"] for name in names}
    secret = environment["EDUGRAPH_PRIVACY_SECRET"]
    graph = Graph(GraphSettings.model_validate({**settings, "privacy_secret": secret}))
    try:
        yield graph
    finally:
        graph.close()


@pytest.fixture
def reviewer(browser: Browser, one_address: str) -> Iterator[Visitor]:
    with Visitor(browser, one_address) as visitor:
        yield visitor


def queue(visit: Visitor, **asked: str) -> list[dict[str, Any]]:
    answer = visit.answer("review-queue", course=COURSE, limit="5000", **asked)
    rows: list[dict[str, Any]] = answer["rows"]
    return rows


def verdicts(visit: Visitor) -> dict[str, str]:
    """Of all findings, however sure."""
    return {row["key"]: row["verdict"] for row in queue(visit, unsure_below="1") if row["verdict"]}


def measured(visit: Visitor) -> dict[str, Any]:
    """The answers to questions 1, 5 and 15."""
    return {
        each: visit.answer(each, course=COURSE)["rows"]
        for each in ("weak-points", "returning-mistakes", "trust")
    }


def pressed(shown: Page, key: str) -> None:
    """Press a key and wait until the gateway took what it says."""
    with shown.expect_response(lambda answer: answer.url.endswith("/v1/reviews")) as answered:
        shown.keyboard.press(key)
    assert answered.value.status == 202


def analysed_by_a_new_prompt(environment: Mapping[str, str], ids: set[str]) -> None:
    """Write for these records what another prompt found: the same, with more confidence, and one point more."""
    query = "MATCH (m) WHERE m.id IN $ids AND m.finding IS NOT NULL RETURN m.id AS id, m.finding AS finding"
    rows = write_graph(environment, query, ids=sorted(ids))
    stored = {row["id"]: json.loads(row["finding"])["finding"] for row in rows}
    findings = []
    for name in ("school_zh", "answers"):
        for line in (EXAMPLES / f"{name}.ndjson").read_text("utf-8").splitlines():
            record = parse_record(json.loads(line))
            if found := stored.get(record.record_id):
                points = [{**each, "confidence": 0.9} for each in found["knowledge_points"]]
                points.append({"name": "New point", "strength": 1.0, "confidence": 0.9})
                origin = Origin(analyser="model", model="another", prompt_version="error.next")
                value = {
                    "record": record.to_json(),
                    "finding": {**found, "knowledge_points": points},
                    "origin": origin,
                }
                findings.append(RecordFinding.model_validate(value))
    assert len(findings) == len(ids)
    with graph_of(environment) as graph:
        graph.write_findings(
            Findings(job_id="new", pack="0", findings=tuple(findings), asked_at=time.time())
        )


def test_reviews_by_keyboard_count_stay_and_are_taken_back(
    reviewer: Visitor, school: Mapping[str, str]
) -> None:
    """Out: post nothing in `send`; let `undo` send the opposite verdict; let `applied` keep what was withdrawn."""
    visit, before = reviewer, measured(reviewer)
    rows = queue(visit)
    listed = len(rows) + len(points_to_review(visit))
    assert len(rows) > REVIEWS
    assert verdicts(visit) == {}
    shown = visit.open("review", course=COURSE, lang="en")
    expected = {}
    for number, row in enumerate(rows[:REVIEWS]):
        assert shown.locator(".queue a[aria-current]").get_attribute("data-key") == row["key"]
        key = "a" if row["kind"] == "tests" else DECIDED[number % len(DECIDED)]
        expected[row["key"]] = {"a": "accepted", "r": "rejected"}[key]
        pressed(shown, key)
    assert {"finding", "tests"} == {row["kind"] for row in rows[:REVIEWS]}
    until(lambda: verdicts(visit) == expected)
    drawn = [
        expected[row["key"]] for row in rows[:REVIEWS] if row["drawn"] and row["kind"] == "finding"
    ]
    agreement = drawn.count("accepted") / len(drawn)
    assert close(visit.values(".progress"), [REVIEWS, listed, agreement, len(drawn)])
    after = measured(visit)
    assert all(after[each] != before[each] for each in before)
    [mistakes] = [row for row in after["trust"] if row["kind"] == "mistakes"]
    assert mistakes["agreement"] == agreement
    assert mistakes["judged"] == len(drawn)
    assert mistakes["agreement_at_least"] <= agreement <= mistakes["agreement_at_most"]

    reviewed = {row["record"] for row in rows[:REVIEWS] if row["kind"] == "finding"}
    analysed_by_a_new_prompt(school, reviewed)
    assert verdicts(visit) == expected
    again = measured(visit)
    assert again["weak-points"] == after["weak-points"]
    assert [row["reviewed"] for row in again["trust"]] == [
        row["reviewed"] for row in after["trust"]
    ]

    for _ in range(REVIEWS):
        shown.keyboard.press("k")
    while shown.locator(".queue a[aria-current] .mark").inner_text() != "open":
        pressed(shown, "u")
        shown.keyboard.press("j")
    until(lambda: verdicts(visit) == {})
    assert measured(visit)["weak-points"] == before["weak-points"]
    assert measured(visit)["returning-mistakes"] == before["returning-mistakes"]
    assert close(visit.values(".progress"), [0, listed, None, 0])


SAID_OF_CONFIDENCE = {
    "en": (
        "measured 82%",
        "82% (69% – 91%): the share that reviewers accepted of 41 findings like this one",
        "states 90%",
        "not calibrated: 12 of 50 judged, of this model, prompt and kind",
        "not calibrated: too few judged findings have a confidence like this one",
    ),
    "zh": (
        "实测 82%",
        "82%（69% – 91%）：41 条同类发现中被审核者接受的比例",
        "自报 90%",
        "未校准：该模型、提示词和类别的发现已判断 12 条，需要 50 条",
        "未校准：置信度相近的已判断发现太少",
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stated_confidence_is_never_shown_as_a_measured_one(
    reviewer: Visitor, language: str
) -> None:
    """Out: in `shortly` or `measured`, the words *states*, *measured* or *not calibrated*."""
    measured_values = {
        "calibration": "measured",
        "measured": 0.82,
        "measured_at_least": 0.69,
        "measured_at_most": 0.91,
        "judged_alike": 41,
        "judged": 64,
    }
    findings = [row for row in queue(reviewer) if row["kind"] == "finding"]
    assert {row["calibration"] for row in findings} == {"not calibrated"}
    keys = [row["key"] for row in findings[:3]]
    changes = [measured_values, {"judged": 12}, {"judged": 64}]

    def changed(route: Route) -> None:
        answer = route.fetch().json()
        for row in answer["rows"]:
            if row["key"] in keys:
                change = changes[keys.index(row["key"])]
                row.update(change, confidence=0.9)
        route.fulfill(json=answer)

    reviewer.page.route("**/v1/insights/review-queue?*", changed)
    short, whole, stated, few, unlike = SAID_OF_CONFIDENCE[language]
    expected = ((short, whole), (stated, few), (stated, unlike))
    for key, (in_list, in_panel) in zip(keys, expected, strict=True):
        shown = reviewer.open("review", course=COURSE, lang=language, at=key)
        listed = shown.locator(f'.queue a[data-key="{key}"] .note').inner_text()
        assert listed.endswith(in_list)
        panel = shown.locator(".review-panel dl").inner_text()
        assert in_panel in panel
        assert "90%" in panel


def test_a_finding_is_corrected_by_typing(reviewer: Visitor) -> None:
    visit, row = reviewer, next(each for each in queue(reviewer) if each["kind"] == "finding")
    found = {
        each["target"] for each in queue(visit, unsure_below="1") if each["record"] == row["record"]
    }
    shown = visit.open("review", course=COURSE, lang="en", at=row["key"])
    points = {
        each["name"]: each["point"] for each in visit.answer("course-map", course=COURSE)["rows"]
    }
    name = next(each for each in sorted(points) if points[each] not in found)
    shown.keyboard.press("c")
    shown.keyboard.type("nothing of this name")
    shown.keyboard.press("Enter")
    assert shown.locator("#instead-wrong").is_visible()
    shown.locator("#instead").fill(name)
    pressed(shown, "Enter")
    now = until(
        lambda: next(
            (r for r in queue(visit, unsure_below="1") if r["key"] == row["key"] and r["verdict"]),
            None,
        )
    )
    assert (now["verdict"], now["instead"]) == ("rejected", [points[name]])
    shown.keyboard.press("k")
    assert name in shown.locator(".said").inner_text()
    pressed(shown, "u")
    until(lambda: verdicts(visit) == {})


def test_what_could_not_be_sent_is_open_again(reviewer: Visitor) -> None:
    """Out: keep the verdict when `write` fails."""
    visit, [first, second, *_] = reviewer, queue(reviewer)
    visit.allowed = ("503",)
    problem = {"type": "urn:edugraph:unavailable", "detail": "The broker does not answer"}
    visit.page.route("**/v1/reviews", lambda route: route.fulfill(status=503, json=problem))
    shown = visit.open("review", course=COURSE, lang="en", at=first["key"])
    shown.keyboard.press("a")
    shown.wait_for_selector(".failed")
    assert first["name"] in shown.locator(".failed").inner_text()
    assert "The broker does not answer" in shown.locator(".failed").inner_text()
    assert (
        shown.locator(f'.queue a[data-key="{first["key"]}"]').get_attribute("data-verdict")
        == "open"
    )
    assert shown.locator(".queue a[aria-current]").get_attribute("data-key") == second["key"]
    shown.get_by_role("button", name="Go back to it").click()
    assert shown.locator(".queue a[aria-current]").get_attribute("data-key") == first["key"]


def test_what_could_not_be_written_is_open_again(reviewer: Visitor) -> None:
    """The gateway took it, and the task of the importer failed. Out: in `send`, what follows `accepted`."""
    visit, first = reviewer, queue(reviewer)[0]
    looks: list[str] = []

    def task(route: Route) -> None:
        looks.append(route.request.url)
        state = "PENDING" if len(looks) < 2 else "FAILURE"
        route.fulfill(
            json={
                "task_id": "t",
                "state": state,
                "error": "Rejected: the graph is newer",
                "links": {},
            }
        )

    visit.page.route(
        "**/v1/reviews",
        lambda route: route.fulfill(status=202, json={"links": {"task": "/v1/tasks/t"}}),
    )
    visit.page.route("**/v1/tasks/t", task)
    shown = visit.open("review", course=COURSE, lang="zh", at=first["key"])
    shown.keyboard.press("a")
    shown.wait_for_selector(".unwritten")
    shown.wait_for_selector(".failed")
    assert len(looks) == 2
    assert "未能写入图谱" in shown.locator(".failed").inner_text()
    assert "英文原文：Rejected: the graph is newer" in shown.locator(".failed").inner_text()
    assert (
        shown.locator(f'.queue a[data-key="{first["key"]}"]').get_attribute("data-verdict")
        == "open"
    )
    assert not shown.query_selector(".unwritten")


def test_letters_can_be_switched_off_and_are_letters_where_one_types(reviewer: Visitor) -> None:
    shown = reviewer.open("review", course=COURSE, lang="en")
    place = shown.locator(".queue a[aria-current]")
    first = place.get_attribute("data-key")
    shown.get_by_label("Letters work as keys").uncheck()
    shown.keyboard.press("j")
    assert place.get_attribute("data-key") == first
    shown.get_by_label("Letters work as keys").check()
    shown.keyboard.press("j")
    assert place.get_attribute("data-key") != first
    shown.get_by_label("Show").focus()
    shown.keyboard.press("k")
    assert place.get_attribute("data-key") != first


def test_on_another_page_a_letter_says_nothing(reviewer: Visitor) -> None:
    """Out: in `press`, whether the list is shown, and the end of listening at a change of the address."""
    sent: list[str] = []
    shown = reviewer.open("review", course=COURSE, lang="en")
    shown.on(
        "request", lambda request: sent.append(request.url) if request.method == "POST" else None
    )
    shown.locator("nav a[href^='#overview']").click()
    shown.wait_for_selector("[data-page=overview] .cards")
    reviewer.ready()
    shown.keyboard.press("a")
    shown.keyboard.press("r")
    reviewer.ready()
    assert sent == []


def test_points_are_merged_and_told_apart_by_keyboard_and_that_is_taken_back(
    reviewer: Visitor,
) -> None:
    """Out: post nothing in `send`; let `a` accept a pair; let `undo` send the opposite verdict."""
    visit, rows = reviewer, [row for row in points_to_review(reviewer) if row["kind"] == "same"]
    assert len(rows) > 1
    assert {row["verdict"] for row in rows} == {None}
    things = visit.answer("course-map", course=COURSE)["of_how_many"]

    def said() -> dict[str, str]:
        return {row["key"]: row["verdict"] for row in points_to_review(visit) if row["verdict"]}

    shown = visit.open("review", course=COURSE, lang="en", of="same")
    keys = [each.get_attribute("data-key") for each in shown.query_selector_all(".queue a")]
    assert keys == [row["key"] for row in rows]
    for row in rows[:2]:
        panel = shown.locator(".review-panel")
        assert f"“{row['name']}” and “{row['other_name']}”" in panel.locator("h3").inner_text()
        assert panel.locator(".cycles li").all_inner_texts() == [
            " → ".join(way) for way in row["cycles"]
        ]
        assert close(visit.values(".review-panel dl"), [row["likeness"]])
        assert f"records that use this name: {row['records']}" in panel.inner_text()
        shown.keyboard.press("a")  # no key of a pair
        pressed(shown, "m" if row is rows[0] else "n")
    until(lambda: said() == {rows[0]["key"]: "same", rows[1]["key"]: "different"})
    compared(visit.address)
    # Neither of the two is proposed again.
    assert said() == {rows[0]["key"]: "same", rows[1]["key"]: "different"}
    shown = visit.open("review", course=COURSE, lang="en", of="same", shown="judged")
    assert len(shown.query_selector_all(".queue a")) == 2
    pressed(shown, "u")
    shown.keyboard.press("j")
    pressed(shown, "u")
    until(lambda: said() == {})
    assert visit.answer("course-map", course=COURSE)["of_how_many"] == things
    assert {row["key"] for row in rows[:2]} <= {row["key"] for row in points_to_review(visit)}


def reviews_noted(reviewer: Visitor) -> list[Any]:
    """Return a list to which each request of the page for reviews is added. None reaches the gateway."""
    sent: list[Any] = []

    def note(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or ""))
        route.fulfill(status=202, json={"task_id": "x", "links": {"task": "/v1/tasks/x"}})

    reviewer.page.route("**/v1/reviews", note)
    reviewer.page.route(
        "**/v1/tasks/x", lambda route: route.fulfill(json={"state": "SUCCESS", "error": None})
    )
    return sent


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_went_wrong_in_one_mistake_is_judged_and_corrected(
    reviewer: Visitor, language: str
) -> None:
    """Out: `OF_ASPECT`, or `misconception` in `choicesOf`, of review.js. A pair of sentences is another kind of row."""
    answer = reviewer.answer("review-queue", course=COURSE)
    row = next(each for each in answer["rows"] if each["kind"] == "finding")
    of_sentence: dict[str, Any] = {"aspect": "misconception", "known": None}
    of_sentence |= {"verdict": None, "instead": []}
    adds = {"key": "k1", "target": "adds", "name": "Adds <b>both</b> denominators."}
    roots = {"key": "k2", "target": "roots", "name": "Takes the root first."}
    answer["rows"] = [row | of_sentence | adds, row | of_sentence | roots]
    reviewer.page.route("**/v1/insights/review-queue?*", lambda route: route.fulfill(json=answer))
    sent = reviews_noted(reviewer)
    shown = reviewer.open("review", course=COURSE, lang=language, of="what_went_wrong")
    panel = shown.locator(".review-panel")
    assert f"“{adds['name']}”" in panel.locator("h3").inner_text()
    assert shown.locator(".queue li").count() == 2
    shown.keyboard.press("c")
    panel.locator("#instead").fill(roots["name"])
    panel.locator("#instead").press("Enter")
    until(lambda: len(sent) == 1)
    verdicts = [(each["aspect"], each["target"], each["verdict"]) for each in sent[0]["reviews"]]
    assert verdicts == [
        ("misconception", "adds", "rejected"),
        ("misconception", "roots", "accepted"),
    ]


def test_two_sentences_about_mistakes_are_judged_as_a_pair(reviewer: Visitor) -> None:
    """Out: `misconception` in `OF_PAIR` or in `VERDICTS` of review.js."""
    answer = reviewer.answer("review-points", course=COURSE)
    names = ("Adds both denominators.", "Adds the denominators.")
    pair = dict(zip(("point", "other"), ("addsboth", "adds"), strict=True))
    pair |= dict(zip(("name", "other_name"), names, strict=True))
    nothing: dict[str, list[str]] = {
        "courses": [],
        "other_courses": [],
        "cycles": [],
        "claimed_by": [],
        "quotes": [],
    }
    row = {"key": "k", "kind": "misconception", "records": 3, "other_records": 5, "likeness": 0.75}
    row |= {"verdict": None, "skipped": False, "confidence": None, "students": None}
    answer["rows"] = [row | nothing | pair]
    reviewer.page.route("**/v1/insights/review-points?*", lambda route: route.fulfill(json=answer))
    sent = reviews_noted(reviewer)
    shown = reviewer.open("review", course=COURSE, lang="en", of="misconception")
    panel = shown.locator(".review-panel")
    assert f"“{names[0]}” and “{names[1]}”" in panel.locator("h3").inner_text()
    assert close(reviewer.values(".review-panel dl"), [0.75])
    assert "mistakes with this sentence: 5" in panel.inner_text()
    shown.keyboard.press("m")
    until(lambda: len(sent) == 1)
    [review] = sent[0]["reviews"]
    assert review == {
        "kind": "pair",
        "of": "misconception",
        "pair": ["addsboth", "adds"],
        "verdict": "same",
    }


@pytest.fixture
def circle(school: Mapping[str, str]) -> Iterator[None]:
    """Three points of the course, each of which needs the next, so that one of these claims is set aside."""
    names, job = ("Circle one", "Circle two", "Circle three"), f"circle-{uuid4()}"
    values = [
        {"name": name, "course_id": COURSE, "requires": [names[place - 2]]}
        for place, name in enumerate(names)
    ]
    records = [
        {
            "type": "point_record",
            "timestamp": "2026-01-01T00:00:00Z",
            "record_id": f"{job} {name}",
            "data": value,
        }
        for name, value in zip(names, values, strict=True)
    ]
    lines = [(line, parse_record(record)) for line, record in enumerate(records, start=1)]
    with graph_of(school) as graph:
        graph.write_batch(RecordBatch(job, 0, lines, (), len(lines)))
        graph.settle_prerequisites()
        yield
        graph.write_batch(
            RecordBatch(
                job,
                1,
                (),
                (),
                len(names),
                [(1, Withdrawal(record_id=f"{job} {name}")) for name in names],
            )
        )
        graph.settle_prerequisites()


@pytest.mark.usefixtures("circle")
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_excluded_prerequisite_is_accepted_rejected_and_left_open_again(
    reviewer: Visitor, language: str
) -> None:
    """Out: in `reviewOf`, the line of what was excluded; in `VERDICTS`, its keys; in `parts`, what gives way."""

    def excluded() -> dict[tuple[str, str], dict[str, Any]]:
        rows = [row for row in points_to_review(reviewer) if row["kind"] == "excluded"]
        return {
            (row["name"], row["other_name"]): row
            for row in rows
            if row["name"].startswith("Circle")
        }

    [(pair, row)] = excluded().items()
    shown = reviewer.open("review", course=COURSE, lang=language, of="excluded", at=row["key"])
    panel = shown.locator(".review-panel")
    assert all(f"“{name}”" in panel.locator("h3").inner_text() for name in pair)
    [way] = row["cycles"]
    assert panel.locator(".cycles li").all_inner_texts() == [" → ".join(way)]
    gives_way = panel.locator("dd").last.inner_text()
    assert all(f"“{name}”" in gives_way for name in row["gives_way"])
    shown.keyboard.press("c")  # nothing is right instead
    assert not shown.query_selector("#instead")

    pressed(shown, "a")
    until(lambda: tuple(row["gives_way"]) in excluded())
    assert excluded()[pair]["verdict"] == "accepted"
    assert excluded()[pair]["cycles"] == []
    needs = {
        (each["name"], each["needs_name"])
        for each in reviewer.answer("course-map", course=COURSE)["rows"]
    }
    assert pair in needs
    assert tuple(row["gives_way"]) not in needs
    shown = reviewer.open("review", course=COURSE, lang=language, of="excluded", shown="judged")
    said = {
        "en": "Accepted: it is followed, whatever texts claim.",
        "zh": "已接受：无论文本怎么说都采用。",
    }
    assert shown.locator(".review-panel .said").inner_text() == said[language]
    pressed(shown, "u")
    until(lambda: list(excluded()) == [pair] and excluded()[pair]["verdict"] is None)
    pressed(shown, "r")
    until(lambda: excluded()[pair]["verdict"] == "rejected")
    pressed(shown, "u")
    # A verdict and what it excludes are written one after the other.
    until(lambda: list(excluded()) == [pair] and excluded()[pair]["verdict"] is None)


@pytest.fixture
def proposal(school: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A point and what it needs first, as only one text of the course says."""
    point, needed = "Proposed point", "Needed point"
    said = f"{point} needs {needed}."
    record = {
        "type": "course_content",
        "timestamp": "2026-01-01T00:00:00Z",
        "record_id": f"proposing-{uuid4()}",
        "data": {"course_id": COURSE, "content": said, "title": "A lesson"},
    }
    finding = ContentFinding(
        knowledge_points=(FoundPoint(name=point), FoundPoint(name=needed)),
        prerequisites=(Prerequisite(point=point, requires=needed, confidence=0.8, quote=said),),
        confidence=0.9,
    )
    found = RecordFinding(record=record, finding=finding, origin=OFFLINE)
    with graph_of(school) as graph:
        job_id = str(uuid4())
        graph.write_findings(Findings(job_id=job_id, pack="0", findings=(found,)))
        graph.settle_prerequisites()
        yield point, needed
        withdrawal = Withdrawal(record_id=str(record["record_id"]))
        graph.write_batch(RecordBatch(job_id, 1, (), (), 1, [(1, withdrawal)]))
        graph.settle_prerequisites()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_one_text_says_is_dashed_on_the_map_and_waits_in_the_review(
    reviewer: Visitor, proposal: tuple[str, str], language: str
) -> None:
    """Out: in `canvas`, the class of a proposal; in `picture`, `waiting`; in `VERDICTS`, the keys of a proposal; either
    `quotesOf`.
    """

    def state() -> list[str]:
        # While the settler writes, there may be no row.
        rows = reviewer.answer("course-map", course=COURSE)["rows"]
        return [row["state"] for row in rows if (row["name"], row["needs_name"]) == proposal]

    shown = reviewer.open("map", course=COURSE, lang=language)
    dashed = "[...document.querySelector('.map').picture.edges('.proposed')].map(e => [e.target().data('label'), e.source().data('label')])"
    assert shown.evaluate(dashed) == [list(proposal)]
    assert "1" in shown.locator("p.waiting").inner_text()
    quote = f"{proposal[0]} needs {proposal[1]}."
    shown = reviewer.open("map", course=COURSE, lang=language, point=canonical_name(proposal[0]))
    assert quote in shown.locator("aside .quotes").inner_text()
    shown.locator("p.waiting a").click()
    shown.wait_for_url("**of=proposed*")
    reviewer.ready()
    panel = shown.locator(".review-panel")
    assert all(f"“{name}”" in panel.locator("h3").inner_text() for name in proposal)
    assert "A lesson" in panel.inner_text()
    assert panel.locator("blockquote").inner_text() == quote
    pressed(shown, "a")
    until(lambda: state() == ["followed"])
    shown = reviewer.open("review", course=COURSE, lang=language, of="excluded", shown="judged")
    pressed(shown, "u")
    until(lambda: state() == ["proposed"])


@pytest.mark.parametrize("kind", ["knowledge_point", "tests"])
def test_the_queue_can_be_narrowed_to_a_kind(visit: Visitor, kind: str) -> None:
    shown = visit.open("review", course=COURSE, lang="en", shown="all", of=kind)
    rows = [
        row
        for row in queue(visit)
        if kind == (row["aspect"] if row["kind"] == "finding" else "tests")
    ]
    keys = [each.get_attribute("data-key") for each in shown.query_selector_all(".queue a")]
    assert keys == [row["key"] for row in rows]
    shown.locator("select[name=shown]").select_option("judged")
    shown.get_by_text("Nothing of this kind is left to review.").wait_for()


@pytest.mark.parametrize("asked", [{}, {"group": GROUP}], ids=["all", "group"])
def test_the_people_are_those_of_the_api(visit: Visitor, asked: dict[str, str]) -> None:
    shown = visit.open("people", course=COURSE, lang="en", sort="name", **asked)
    ties = {row["student"]: row for row in visit.answer("ties", course=COURSE, **asked)["rows"]}
    waiting = {
        row["student"]: row["unanswered"]
        for row in visit.answer("attention", course=COURSE, **asked)["rows"]
    }
    rows = shown.query_selector_all("[data-question=ties] tbody tr")
    assert {row.get_attribute("data-row") for row in rows} == ties.keys()
    names = ("community", "ties", "mutual", "sent", "received", "reciprocity")
    for row in rows:
        who = str(row.get_attribute("data-row"))
        values = [str(each.get_attribute("value")) for each in row.query_selector_all("data")]
        fields = [
            ties[who][name] for name in names if name != "community" or ties[who][name] is not None
        ]
        assert close(values, [*fields, waiting.get(who, 0)]), who
    communities = {row["community"] for row in ties.values()} - {None}
    drawn = shown.evaluate("document.querySelector('.ties').picture.nodes().map(n => n.id())")
    assert {int(each) for each in drawn} == communities


def test_a_bubble_leads_to_its_students_and_a_student_to_their_partners(visit: Visitor) -> None:
    shown = visit.open("people", course=COURSE, lang="en")
    ties = visit.answer("ties", course=COURSE)["rows"]
    shown.evaluate("void document.querySelector('.ties').picture.getElementById('1').emit('tap')")
    shown.get_by_role("link", name="All communities").wait_for()
    visit.ready()
    rows = shown.query_selector_all("[data-question=ties] tbody tr")
    listed = {row.get_attribute("data-row") for row in rows}
    assert listed == {row["student"] for row in ties if row["community"] == 1}
    one = max(ties, key=lambda row: row["ties"])
    shown = visit.open("people", course=COURSE, lang="en", who=one["student"])
    drawn = shown.evaluate("document.querySelector('.ties').picture.nodes().map(n => n.id())")
    assert drawn == [one["student"], *one["partners"]]
    shown.locator("select[name=only]").select_option("alone")
    visit.ready()
    alone = {row["student"] for row in ties if not row["ties"]}
    shown.wait_for_function(
        f"() => document.querySelectorAll('[data-question=ties] tbody tr[data-row]').length === {len(alone)}"
    )


def test_a_picture_has_at_most_fifty_partners(visit: Visitor) -> None:
    answer = visit.answer("ties", course=COURSE)
    one, other = answer["rows"][:2]
    many = [f"P{number:03}" for number in range(80)]
    rows = [
        {**one, "ties": 80, "partners": many},
        *({**other, "student": each, "partners": []} for each in many),
    ]
    visit.page.route(
        "**/v1/insights/ties?*", lambda route: route.fulfill(json=answer | {"rows": rows})
    )
    shown = visit.open("people", course=COURSE, lang="en", who=one["student"])
    assert shown.evaluate("document.querySelector('.ties').picture.nodes().length") == 51
    assert "50 of 80" in shown.locator(".left-out").first.inner_text()


def test_where_few_have_ties_nobody_is_called_alone(visit: Visitor) -> None:
    answer = visit.answer("ties", course=COURSE)
    visit.page.route(
        "**/v1/insights/ties?*", lambda route: route.fulfill(json=answer | {"rows": []})
    )
    shown = visit.open("people", course=COURSE, lang="en")
    assert "Fewer than 60 %" in shown.locator("main").inner_text()
    assert not shown.query_selector("[data-question=ties] table")


def test_only_who_may_see_persons_finds_the_pages(visit_guarded: Visitor) -> None:
    visit = visit_guarded
    visit.allowed = ("403",)
    for key, there in {
        "eg_teacher:T01": {"people", "review"},
        "eg_counsellor": {"people"},
        "eg_head": {"people", "review"},
        "eg_analyst": set(),
    }.items():
        visit.page.add_init_script(with_key(key))
        shown = visit.open("overview", course=COURSE, lang="en")
        assert {
            page for page in PAGES if shown.query_selector(f"nav a[href^='#{page}']")
        } == there, key
    shown = visit.open("review", course=COURSE, lang="en")
    assert shown.query_selector(".refusal")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_both_pages_are_for_everybody(visit: Visitor, page: str, language: str) -> None:
    shown = visit.open(page, course=COURSE, lang=language)
    assert not shown.query_selector(".refusal")
    if language == "zh":
        for each in shown.query_selector_all(
            "h1, h2, th[scope=col], dt, caption, label, summary, .how p, button"
        ):
            assert CHINESE.search(str(each.text_content())), each.text_content()
    check_themes(shown)
    for width in (390, 1280, 1920):
        shown.set_viewport_size({"width": width, "height": 844})
        check_width(shown)


NEW_TOPIC = "<b>Trip</b> to the lake"


@pytest.fixture
def topic(school: Mapping[str, str], reviewer: Visitor) -> Iterator[str]:
    """The id of a post about a topic that the course does not have."""
    student = reviewer.answer("roster", course=COURSE)["rows"][0]["student"]
    record = {
        "type": "post_record",
        "timestamp": "2026-03-02T00:00:00Z",
        "record_id": f"about-a-trip-{uuid4()}",
        "data": {
            "student_id": student,
            "course_id": COURSE,
            "title": "Spring",
            "text": "The lake!",
        },
    }
    finding = InteractionFinding(
        sentiment="negative", other_topics=(NEW_TOPIC,), confidence=0.9, evidence=("The lake!",)
    )
    found = RecordFinding(record=record, finding=finding, origin=OFFLINE)
    with graph_of(school) as graph:
        job_id = str(uuid4())
        graph.write_findings(Findings(job_id=job_id, pack="0", findings=(found,)))
        yield str(record["record_id"])
        withdrawal = Withdrawal(record_id=str(record["record_id"]))
        graph.write_batch(RecordBatch(job_id, 1, (), (), 1, [(1, withdrawal)]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_topic_that_the_course_does_not_have_waits_in_the_review(
    reviewer: Visitor, topic: str, language: str
) -> None:
    """Out: "topic" in `KINDS` or in `choicesOf` of review.js, or "review.new_topic" in `details`."""

    def over() -> set[str]:
        rows = reviewer.answer("mood", course=COURSE)["rows"]
        return {row["name"] for row in rows if row["topic"]}

    def verdict() -> list[str | None]:
        return [row["verdict"] for row in queue(reviewer) if row["record"] == topic]

    assert NEW_TOPIC not in over()
    (row,) = [row for row in queue(reviewer) if row["record"] == topic]
    shown = reviewer.open(
        "review", course=COURSE, lang=language, of="topic", at=row["key"], limit="5000"
    )
    panel = shown.locator(".review-panel")
    assert NEW_TOPIC in panel.locator("h3").inner_text()
    assert "The lake!" in panel.inner_text()
    says = {
        "en": "the course has no point with this name: it counts only if you accept it",
        "zh": "课程没有这个名称的知识点：只有您接受后才会计入",
    }
    assert says[language] in panel.inner_text()
    pressed(shown, "a")
    until(lambda: verdict() == ["accepted"])
    until(lambda: NEW_TOPIC in over())
    shown = reviewer.open(
        "review", course=COURSE, lang=language, of="topic", shown="all", at=row["key"], limit="5000"
    )
    assert shown.locator(".queue a[aria-current]").get_attribute("data-verdict") == "accepted"
    pressed(shown, "r")
    until(lambda: verdict() == ["rejected"])
    until(lambda: NEW_TOPIC not in over())
    shown = reviewer.open(
        "review", course=COURSE, lang=language, of="topic", shown="all", at=row["key"], limit="5000"
    )
    pressed(shown, "u")
    until(lambda: verdict() == [None])
