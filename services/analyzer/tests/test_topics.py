"""Topics of messages are points of the course, or proposals that count when a person accepts them."""

import json
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.costs import estimated_tokens
from edugraph_analyzer.documents import Document, read_document
from edugraph_analyzer.economy import Economy
from edugraph_analyzer.error_types import OTHER
from edugraph_analyzer.estimate import estimate
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.findings.point_ids import topic_of
from edugraph_analyzer.pipeline import accepted, resolutions_of
from edugraph_analyzer.prompting import prompts
from edugraph_analyzer.prompting.questions import (
    LLMResponse,
    Question,
    Resolution,
    messages_of,
    packs,
    question_of,
)
from edugraph_analyzer.redaction import Redactor
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import InteractionFinding
from edugraph_common.contracts.messages import Analysis, CourseContext
from edugraph_common.contracts.record_fields import LONGEST_NAME
from edugraph_common.runtime.service import metrics

SETTINGS = AnalyzerSettings(openai_api_key="k", model="m")
SHOWN = ("Adding fractions", "pH", "斜率")
TEXT = "I do not get fractions."


def record_of(text: str = TEXT, **data: Any) -> dict[str, Any]:
    people = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "chat"}
    return {
        "type": "student_interaction",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {**people, "course_id": "c", "text": text, **data},
    }


def document_of(points: tuple[str, ...], text: str = TEXT, **data: Any) -> Document:
    context = CourseContext(course_id="c", name="Maths", knowledge_points=points)
    return read_document(record_of(text, **data), "interaction", [context])


def question(points: tuple[str, ...], text: str = TEXT, **data: Any) -> Question:
    return question_of(document_of(points, text, **data), SETTINGS)


def entry(item_id: str, topics: list[Any], text: str = TEXT) -> dict[str, Any]:
    return {
        "id": item_id,
        "evidence": [text],
        "sentiment": "negative",
        "topics": topics,
        "confidence": 0.9,
    }


def answered(asked: list[Question], *entries: dict[str, Any]) -> list[Resolution]:
    response = LLMResponse(json.dumps({"answers": list(entries)}), True, 100, 50)
    return resolutions_of(asked, response, [f"r{number + 1}" for number in range(len(asked))])


def finding_of(resolution: Resolution) -> InteractionFinding:
    assert resolution.answer is not None, resolution.reason
    document = resolution.question.document
    found = to_finding(resolution.answer, MappingContext(document, Redactor(()), 0.5))
    assert isinstance(found, InteractionFinding)
    return found


def found_in(topics: list[Any], points: tuple[str, ...] = SHOWN) -> tuple[Any, Any]:
    """Return the topics that an answer leads to, and the proposals."""
    (resolution,) = answered([question(points)], entry("r1", topics))
    found = finding_of(resolution)
    return found.topics, found.other_topics


# --- the prompt ---------------------------------------------------------------------------------------------------


def test_the_prompt_shows_the_points_of_the_course_by_short_ids() -> None:
    """Out: `points` of `question_of` for all kinds except messages."""
    asked = question(SHOWN)
    assert "k1: Adding fractions; k2: pH; k3: 斜率" in asked.body + asked.course
    assert asked.points == SHOWN
    instructions = prompts.instructions(prompts.version_of("interaction"))
    assert "(k1, k2, ...)" in instructions
    assert '"other: "' in instructions


def test_a_course_without_points_shows_none_and_each_topic_is_a_proposal() -> None:
    asked = question(())
    assert "known knowledge points" not in asked.body + asked.course
    assert found_in(["k1", "fractions", "other: slope"], ()) == ((), ("fractions", "slope"))


def test_the_estimates_of_a_text_and_of_an_analysis_have_the_list() -> None:
    """Out: `lines` in `question_of`: the list stands in no item then."""
    # A list that is longer than a short description stands once before the items.
    many = tuple(f"point number {number}" for number in range(200))
    told = question(many)
    assert len(told.points) == SETTINGS.known_points
    list_tokens = estimated_tokens("; ".join(told.points))
    assert told.tokens >= question(()).tokens + list_tokens

    few = tuple(f"point number {number}" for number in range(SETTINGS.known_points))
    costs = []
    for points in ((), few):
        context = CourseContext(course_id="c", name="Maths", knowledge_points=points)
        message = Analysis(
            job_id="j", pack="p", kind="interaction", records=(record_of(),), contexts=(context,)
        )
        costs.append(estimate([message], SETTINGS).input_tokens)
    assert costs[1] >= costs[0] + estimated_tokens("; ".join(few))


def test_a_pack_has_texts_that_show_the_same_list_before_the_items() -> None:
    points = tuple(f"point number {number}" for number in range(30))
    mixed = [question(points, f"{TEXT} {number}") for number in range(3)]
    mixed += [question(points[1:], f"{TEXT} {number}") for number in range(3)]
    for pack in packs(mixed, SETTINGS):
        assert len({each.points for each in pack}) == 1


# --- the key ------------------------------------------------------------------------------------------------------


def test_another_list_is_another_question() -> None:
    """Out: `_with_points` in `question_of`."""
    assert question(SHOWN).key != question(SHOWN[:2]).key
    assert question(SHOWN).key != question(()).key
    assert question(SHOWN).text_key == question(()).text_key == question(()).key


def test_the_order_of_the_points_and_points_that_are_not_shown_are_no_other_question() -> None:
    """The answer has names. Out: `sorted` in `_with_points`, or all points of the course in place of the shown."""
    assert question(SHOWN).key == question(SHOWN[::-1]).key
    named = ("fractions", *(f"point number {number}" for number in range(59)))
    more = (*named, *(f"distant {number}" for number in range(40)))
    text = f"fractions {' '.join(named)}"
    assert question(named, text).points == question(more, text).points
    assert question(named, text).key == question(more, text).key


def test_an_answer_of_a_batch_counts_for_a_course_that_has_other_points_now() -> None:
    """The answer was paid for. Out: `_by_text` in `_keep_answers`."""
    kept: list[Resolution] = []

    class Flight:
        def keep(self, resolution: Resolution) -> None:
            kept.append(resolution)

    nothing: Any = None
    economy = Economy(
        SETTINGS, nothing, nothing, nothing, client=nothing, accepted=accepted, is_cancelled=bool,
        now=float, new_id=str, job_id="j", pack="p", kind="interaction",
    )  # fmt: skip
    sent, today = question(SHOWN), question(("slope", *SHOWN))
    assert sent.key != today.key
    economy._flight = Flight()  # type: ignore[assignment]
    economy._by_key = {today.key: today}
    economy._by_text = {today.text_key: today}
    response = LLMResponse(json.dumps({"answers": [entry("r1", ["k1"])]}), True, 100, 50)
    economy._keep_answers(
        [sent.key], response, {sent.key: list(sent.points)}, {sent.key: sent.text_key}
    )
    (resolution,) = kept
    assert resolution.question.key == today.key
    assert finding_of(resolution).topics == ("Adding fractions",)


# --- choosing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_topic", "meant"),
    [
        ("k1", "Adding fractions"),
        ("K1.", "Adding fractions"),
        ("k2: pH", "pH"),
        ("adding  FRACTIONS", "Adding fractions"),
        ("Adding-fractions", "Adding fractions"),
        ("other: Adding Fractions", "Adding fractions"),
        ("Other：ph", "pH"),
        ("其他：斜率", "斜率"),
        ("other: k2: pH", "pH"),
        ("slope", "other: slope"),
        ("other: slope", "other: slope"),
        ('other: "slope"', "other: slope"),
        ("other: K12 education", "other: K12 education"),
        ("k0", None),
        ("k4", None),
        ("k1: pH", None),
        ("other:", None),
        ("other: ", None),
        ("other: ''", None),
        ("other: k1", None),
        ("other: k9", None),
        ("other: [k2].", None),
        ("other: k2: slope", None),
        ("''", None),
    ],
)
def test_a_topic_is_a_shown_point_or_a_proposal_or_nothing(
    given_topic: str, meant: str | None
) -> None:
    """Out: the id behind "other: " in `topic_of`; `folded_topic` there; the check for an empty name."""
    assert topic_of(given_topic, SHOWN) == meant


def test_ids_become_the_names_of_the_course_and_each_is_named_once() -> None:
    topics, proposed = found_in(["k1", "K1", "adding fractions", "k3", "other: slope", "Slope"])
    assert topics == ("Adding fractions", "斜率")
    assert proposed == ("slope",)


def test_an_id_that_was_not_shown_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: `names_dropped` in `resolutions_of`, or the refusal of unknown ids in `_point`."""
    counted: list[tuple[str, float]] = []

    def add(number: float, *, kind: str) -> None:
        counted.append((kind, number))

    monkeypatch.setattr(metrics, "DROPPED_NAMES", SimpleNamespace(add=add))
    assert found_in(["k1", "k4", "k999999", "other: k2", "other:"]) == (("Adding fractions",), ())
    assert found_in(["k1", "other: slope"]) == (("Adding fractions",), ("slope",))
    assert counted == [("interaction", 4), ("interaction", 0)]


def test_an_id_means_the_list_of_its_own_item() -> None:
    """Out: `question.points` in `resolutions_of`."""
    own = "about fractions"
    first = question(SHOWN, f"{own} 1")
    second = question(("slope",), f"{own} 2")
    third = question((), f"{own} 3")
    resolutions = answered(
        [first, second, third],
        *(entry(f"r{number}", ["k1", "k3"], f"{own} {number}") for number in (1, 2, 3)),
    )
    found = [finding_of(each) for each in resolutions]
    assert [each.topics for each in found] == [("Adding fractions", "斜率"), ("slope",), ()]
    assert [each.other_topics for each in found] == [(), (), ()]


@pytest.mark.parametrize(
    "given_topic",
    ["other: <script>alert(1)</script>", "<img src=x onerror=alert(1)>", "other: a\nb\u200bc"],
)
def test_markup_and_breaks_stay_a_name_of_one_line(given_topic: str) -> None:
    topics, (proposed,) = found_in([given_topic])
    assert topics == ()
    assert "\n" not in proposed
    assert not proposed.startswith("other")


def test_a_name_that_is_too_long_is_left_out_or_cut() -> None:
    """Out: the cut in `other`: the kept answer could not be read again."""
    longest = "x" * LONGEST_NAME
    assert found_in([f"other: {longest}", f"{longest}x", "k1"]) == (("Adding fractions",), ())
    _, (proposed,) = found_in([longest])
    assert proposed == longest[: LONGEST_NAME - len(OTHER)]


def test_a_proposal_that_would_name_a_person_is_left_out() -> None:
    """Out: `holds_placeholder` in `_interaction_finding`."""
    assert found_in(["other: [STUDENT_1] again", "other: slope"]) == ((), ("slope",))


@pytest.mark.parametrize("topics", [[None, 3, {}, ["k1"]], {"k1": 1}, "k1", []])
def test_topics_of_another_form_cost_themselves_alone(topics: Any) -> None:
    listed, proposed = found_in(topics)
    assert listed == (("Adding fractions",) if topics == "k1" else ())
    assert proposed == ()


@given(st.lists(st.text("k123 :;.oherpHs斜率<>'\"", max_size=20), max_size=6))
def test_whatever_is_answered_a_topic_is_of_the_list(topics: list[str]) -> None:
    listed, proposed = found_in(topics)
    assert set(listed) <= set(SHOWN)
    assert len(set(listed)) == len(listed)
    for name in proposed:
        assert topic_of(f"{OTHER}{name}", SHOWN) not in SHOWN


# --- kept answers -------------------------------------------------------------------------------------------------


def test_a_kept_answer_is_compared_with_the_points_of_today() -> None:
    """Out: `topics_among` in `_interaction_finding`."""
    (resolution,) = answered([question(("slope", "ratios"))], entry("r1", ["k1", "other: pH"]))
    kept = resolution.answer
    assert kept is not None
    found = to_finding(kept, MappingContext(document_of(("pH", "ratios")), Redactor(()), 0.5))
    assert isinstance(found, InteractionFinding)
    assert (found.topics, found.other_topics) == (("pH",), ("slope",))


def test_a_topic_that_the_record_states_is_the_schools_own_word() -> None:
    document = document_of((), topics=["Homework"])
    (resolution,) = answered([question_of(document, SETTINGS)], entry("r1", ["other: homework"]))
    found = finding_of(resolution)
    assert (found.topics, found.other_topics) == (("Homework",), ())


# --- without a model ----------------------------------------------------------------------------------------------


def test_the_offline_analyser_has_the_same_list() -> None:
    """Out: `topics_among` in the offline analyser."""
    text = "I mixed up perimeter and area, and slope too."
    document = document_of(("Perimeter", "slope"), text, topics=["Exams"])
    found = RuleBasedAnalyzer().finding(document).finding
    assert isinstance(found, InteractionFinding)
    assert set(found.topics) == {"Exams", "Perimeter", "slope"}
    assert found.other_topics == ("area",)
    alone = RuleBasedAnalyzer().finding(document_of((), text)).finding
    assert isinstance(alone, InteractionFinding)
    assert alone.topics == ()
    assert set(alone.other_topics) == {"perimeter", "area", "slope"}


def test_the_subject_of_a_message_is_a_proposal() -> None:
    data = {
        "teacher_id": "t",
        "student_id": "s",
        "course_id": "c",
        "text": "See you.",
        "subject": "Trip",
    }
    record = {"type": "teacher_interaction", "timestamp": "2026-01-05T08:00:00Z", "data": data}
    found = RuleBasedAnalyzer().finding(read_document(record, "interaction", [])).finding
    assert isinstance(found, InteractionFinding)
    assert (found.topics, found.other_topics) == ((), ("Trip",))


def test_each_request_shows_the_worked_example_as_answers_should_be() -> None:
    """The answer of the example is one that is read as it is written."""
    (system, _) = messages_of("interaction", [question(SHOWN)], lambda: uuid.uuid4().hex)
    answer = json.loads(system["content"].splitlines()[-1])
    topics = [each["topics"] for each in answer["answers"]]
    example = ("seasons", "phases of the moon", "eclipses")
    assert [topic_of(each, example) for [each] in topics] == [
        "phases of the moon",
        "other: 古文背诵",
    ]
