"""Models name the known points of a course by short ids, which become names before an answer is stored."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.documents import read_document
from edugraph_analyzer.findings.point_ids import name_of
from edugraph_analyzer.findings.schema import ContentAnswer, ErrorAnswer
from edugraph_analyzer.pipeline import resolutions_of
from edugraph_analyzer.prompting.questions import LLMResponse, Question, messages_of, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import CourseContext

SETTINGS = AnalyzerSettings(openai_api_key="k", model="m")
SHOWN = ("area", "average speed", "ratios")
RECORDS: dict[Kind, tuple[str, dict[str, str]]] = {
    "error": ("error_record", {"student_id": "s", "error_text": "90 x 1.5 = 135"}),
    "knowledge_points": ("course_content", {"content": "90 x 1.5 = 135"}),
}


def question(kind: Kind, points: tuple[str, ...], labelled: tuple[str, ...] = ()) -> Question:
    record_type, data = RECORDS[kind]
    record = {
        "type": record_type,
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {**data, "course_id": "c"},
    }
    context = CourseContext(course_id="c", name="Maths", knowledge_points=points)
    return question_of(read_document(record, kind, [context]), SETTINGS, (), labelled)


def error_with(*names: str) -> dict[str, Any]:
    return {
        "id": "r1",
        "evidence": ["90 x 1.5 = 135"],
        "error_types": [],
        "knowledge_points": [{"name": name, "strength": 1, "confidence": 1} for name in names],
        "difficulty": None,
        "severity": None,
        "confidence": 1,
    }


def content_with(names: tuple[str, ...], *pairs: tuple[str, str]) -> dict[str, Any]:
    points = []
    for name in names:
        points.append({"name": name, "description": None, "category": None, "importance": "core"})
    prerequisites = []
    for point, requires in pairs:
        prerequisites.append({"point": point, "requires": requires, "confidence": 1})
    return {
        "id": "r1",
        "evidence": [],
        "knowledge_points": points,
        "prerequisites": prerequisites,
        "confidence": 1,
    }


def read(asked: Question, answer: dict[str, Any]) -> Any:
    response = LLMResponse(json.dumps({"answers": [answer]}), True, 100, 50)
    (found,) = resolutions_of([asked], response, ["r1"])
    assert found.answer is not None, found.reason
    return found.answer


def names_in(answer: ErrorAnswer | ContentAnswer) -> list[str]:
    return [point.name for point in answer.knowledge_points]


@pytest.mark.parametrize(
    ("given_name", "meant"),
    [
        ("k2", "average speed"),
        ("K2", "average speed"),
        ("k2;", "average speed"),
        ("[k2]", "average speed"),
        (" ｋ２. ", "average speed"),
        ("k2: average speed", "average speed"),
        ("k2 Average Speed", "average speed"),
        ("Average  speed", "average speed"),
        ("a new point", "a new point"),
        ("K12 education", "K12 education"),
        ("k-means", "k-means"),
        ("k0", None),
        ("k4", None),
        ("k999999", None),
        ("k2: ratios", None),
        ("k1 average speed", None),
        ("k2, k3", None),
        ("k9: area under a curve", None),
    ],
)
def test_an_id_is_read_leniently_and_never_guessed(given_name: str, meant: str | None) -> None:
    assert name_of(given_name, SHOWN) == meant


def test_an_id_means_its_place_even_if_a_point_has_an_id_as_its_name() -> None:
    points = ("k2", "K12: systems", "ratios")
    assert [name_of(f"k{number}", points) for number in (1, 2, 3)] == list(points)
    assert name_of("k12: Systems", points) == "K12: systems"


def test_an_unknown_id_costs_its_point_and_nothing_else() -> None:
    """Guard: `_point` refuses numbers beyond the list. Without it the whole answer fails."""
    mistake = read(question("error", SHOWN), error_with("k1", "k61", "k0", "k3", "rates"))
    assert names_in(mistake) == ["area", "ratios", "rates"]
    nothing = read(question("error", SHOWN), error_with("k61"))
    assert names_in(nothing) == []
    text = read(
        question("knowledge_points", SHOWN),
        content_with(
            ("k2", "k8", "slope"), ("k2", "k3"), ("k2", "k8"), ("k8", "k1"), ("slope", "k1")
        ),
    )
    assert names_in(text) == ["average speed", "slope"]
    pairs = [(each.point, each.requires) for each in text.prerequisites]
    assert pairs == [("average speed", "ratios"), ("slope", "area")]


def test_a_course_without_points_shows_no_ids_and_reads_none() -> None:
    asked = question("error", ())
    assert "known knowledge points" not in asked.body + asked.course
    assert names_in(read(asked, error_with("k2", "average speed"))) == ["average speed"]


NAMES = st.lists(
    st.text("abk12 ;:中文", min_size=1, max_size=12).map(str.strip).filter(bool),
    min_size=1,
    max_size=90,
    unique_by=lambda name: " ".join(name.casefold().split()),
)


@given(points=NAMES, labelled=NAMES, kind=st.sampled_from(sorted(RECORDS)), data=st.data())
def test_each_id_of_a_prompt_comes_back_as_the_name_that_stands_behind_it(
    points: list[str], labelled: list[str], kind: Kind, data: st.DataObject
) -> None:
    """The reference is the text of the request and not the list of the question."""
    asked = question(kind, tuple(points), tuple(labelled))
    (_, user) = messages_of(kind, [asked], lambda: uuid.uuid4().hex)
    (line,) = (
        line.removeprefix("known knowledge points: ")
        for line in user["content"].splitlines()
        if line.startswith("known knowledge points: ")
    )
    number = data.draw(st.integers(1, len(asked.points)))
    assert len(asked.points) <= SETTINGS.known_points
    answer = content_with((f"k{number}",))
    if kind == "error":
        answer = error_with(f"k{number}")
    (name,) = names_in(read(asked, answer))
    listed = f"; {line}; "
    assert f"; k{number}: {name}; " in listed
    assert name in (*points, *labelled)


def test_packs_of_one_course_share_their_ids_and_others_have_their_own() -> None:
    few = question("error", SHOWN)
    assert few.points == SHOWN
    assert "k1: area; k2: average speed; k3: ratios" in few.body + few.course
    many = tuple(f"point {number}" for number in range(100))
    told = question("error", many, ("point 97",))
    assert "point 97" in told.points
    assert len(told.points) == SETTINGS.known_points
