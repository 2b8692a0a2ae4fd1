import json
from typing import Any

import pytest

from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    Finding,
    FoundErrorType,
    FoundPoint,
    InteractionFinding,
    LinkedPoint,
    Origin,
    Prerequisite,
    RecordFinding,
)
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import parse_record
from edugraph_importer.graph import finding_facts

ERROR = parse_record(
    {
        "type": "error_record",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {"student_id": "a", "course_id": "c", "error_text": "x", "error_type": "Sign"},
    }
)


def test_a_type_stated_and_found_counts_once() -> None:
    finding = ErrorFinding(
        error_types=(
            FoundErrorType(name="SIGN", confidence=0.5),
            FoundErrorType(name="Units", confidence=0.5),
        ),
        knowledge_points=(LinkedPoint(name="Fractions", strength=0.25, confidence=0.5),),
        confidence=1,
    )
    facts = finding_facts.facts_of(finding)
    assert finding_facts.error_types(ERROR, facts) == {"sign", "units"}
    assert finding_facts.relates_to(ERROR, facts) == {
        ("sign", "fractions"): (0.25, 0.5),
        ("units", "fractions"): (0.25, 0.5),
    }


def test_a_point_named_twice_is_one() -> None:
    finding = ContentFinding(
        knowledge_points=(
            FoundPoint(name="Fractions", importance="supplementary", order=3),
            FoundPoint(
                name="fractions", importance="core", order=2, description="Parts of a whole"
            ),
        ),
        confidence=1,
    )
    link = finding_facts.facts_of(finding).links_of("DESCRIBES")["fractions"]
    assert link["found_as"] == ["Fractions", "fractions"]
    assert (link["importance"], link["order"], link["description"]) == (
        "core",
        2,
        "Parts of a whole",
    )


def test_what_requires_itself_is_dropped_and_the_strongest_claim_stays() -> None:
    """Out: the quote in `_rank_of_claim`."""

    def claim(point: str, requires: str, confidence: float, quote: str | None) -> Prerequisite:
        return Prerequisite(point=point, requires=requires, confidence=confidence, quote=quote)

    facts = finding_facts.facts_of(
        ContentFinding(
            prerequisites=(
                claim("Alpha", "alpha", 1, "so"),
                claim("Alpha", "Beta", 0.25, "so"),
                claim("alpha", "beta", 0.5, "and so"),
                claim("alpha", "Beta", 0.75, None),
                claim("Beta", "gamma", 0.75, None),
                claim("Beta", "Gamma", 0.25, ""),
            ),
            confidence=1,
        )
    )
    assert facts.prerequisites == {
        ("alpha", "beta"): (0.5, "and so"),
        ("beta", "gamma"): (0.75, None),
    }
    assert facts.links_of("DESCRIBES")["alpha"]["requires"] == ["beta"]
    assert facts.links_of("DESCRIBES")["alpha"]["requires_quotes"] == ["and so"]
    assert facts.links_of("DESCRIBES")["beta"]["requires_quotes"] == [""]
    assert facts.links_of("DESCRIBES")["beta"]["importance"] is None


def test_what_it_cost_does_not_make_another_finding() -> None:
    def text(**cost: Any) -> str:
        origin = Origin(analyser="model", model="m", prompt_version="1", **cost)
        return finding_facts.stored_text(
            RecordFinding(record=ERROR.to_json(), finding=ErrorFinding(confidence=1), origin=origin)
        )

    assert text(cost=1.0, cached=False) == text(cost=0.0, cached=True, input_tokens=3)


def test_what_was_stored_is_understood_again() -> None:
    finding = ErrorFinding(
        error_types=(FoundErrorType(name="Sign", confidence=0.5),), severity="high", confidence=1
    )
    origin = Origin(analyser="offline", model="lexicon", prompt_version="1")
    stored = finding_facts.stored_text(
        RecordFinding(record=ERROR.to_json(), finding=finding, origin=origin)
    )
    assert finding_facts.facts_of_stored(stored, "ErrorRecord", None) == finding_facts.facts_of(
        finding
    )
    assert finding_facts.facts_of_stored(None, "ErrorRecord", None) == finding_facts.NO_FACTS


def test_what_was_found_stands_on_its_record_and_what_is_no_longer_found_is_taken_off() -> None:
    finding = ErrorFinding(
        what_went_wrong="Adds the denominators.",
        difficulty="beginner",
        severity="high",
        confidence=0.5,
        evidence=("x",),
    )
    origin = Origin(analyser="model", model="m", prompt_version="1", cost=0.5)
    whole = RecordFinding(record=ERROR.to_json(), finding=finding, origin=origin)
    text, facts = finding_facts.stored_text(whole), finding_facts.facts_of(finding)
    update = finding_facts.FindingUpdate(ERROR, finding_facts.NO_FACTS, facts, text, "said")
    properties = finding_facts.node_properties(update)
    assert properties == {
        "finding": text,
        "verdicts": "said",
        "found_analyser": "model",
        "found_confidence": 0.5,
        "found_difficulty": "beginner",
        "found_evidence": ["x"],
        "found_model": "m",
        "found_prompt_version": "1",
        "found_sentiment": None,
        "found_severity": "high",
    }
    assert set(finding_facts.PROPERTIES) | {"finding", "verdicts"} == set(properties)


# --- reviews ------------------------------------------------------------------------------------------------------


def reviewed(
    found: Finding, label: str, accepted: dict[str, list[str]] | None = None, **rejected: list[str]
) -> finding_facts.FindingFacts:
    """Return what counts of a finding after some of its aspects were rejected, and others accepted."""
    verdicts = json.dumps({"accepted": accepted or {}, "rejected": rejected})
    return finding_facts.reviewed(finding_facts.facts_of(found), label, verdicts)


MISTAKE = ErrorFinding(
    error_types=(
        FoundErrorType(name="Sign", confidence=0.5),
        FoundErrorType(name="Units", confidence=0.25),
    ),
    knowledge_points=(LinkedPoint(name="Fractions", strength=0.25, confidence=0.5),),
    severity="high",
    difficulty="beginner",
    confidence=1,
)


@pytest.mark.parametrize("label", ["ErrorRecord", "Attempt"])
def test_a_sentence_that_was_rejected_does_not_count_and_another_one_may_be_accepted(
    label: str,
) -> None:
    """Out: the aspect in `_LINK_OF_ASPECT`."""
    found = MISTAKE.model_copy(update={"what_went_wrong": "Adds the denominators."})
    sentence = {"addsthedenominators": {"found_as": ["Adds the denominators."]}}
    assert reviewed(found, label).links["SHOWS"] == sentence
    facts = reviewed(found, label, misconception=["addsthedenominators"])
    assert facts.links["SHOWS"] == {}
    facts = reviewed(found, label, {"misconception": ["othersentence"]})
    assert facts.links["SHOWS"] == {**sentence, "othersentence": {"found_as": []}}


@pytest.mark.parametrize("label", ["ErrorRecord", "Attempt"])
def test_what_was_rejected_of_a_mistake_does_not_count_and_what_was_accepted_counts_fully(
    label: str,
) -> None:
    facts = reviewed(
        MISTAKE, label, {"error_type": ["slip"], "knowledge_point": ["sets"]},
        error_type=["sign"], knowledge_point=["fractions"],
    )  # fmt: skip
    assert facts.links == {
        "OF_TYPE": {
            "units": {"found_as": ["Units"], "confidence": 0.25},
            "slip": {"found_as": [], "confidence": 1.0},
        },
        "CONCERNS": {"sets": {"found_as": [], "strength": 1.0, "confidence": 1.0}},
    }
    assert (facts.severity, facts.difficulty) == ("high", "beginner")


@pytest.mark.parametrize("label", ["ErrorRecord", "Attempt"])
def test_a_type_that_is_proposed_is_in_the_graph_only_when_it_was_accepted(label: str) -> None:
    """Guard: `proposed` apart from the links. Without it free words of a model are types of the school."""
    proposed = (FoundErrorType(name="Carries Nothing", confidence=0.75),)
    found = MISTAKE.model_copy(update={"other_error_types": proposed})
    facts = finding_facts.facts_of(found)
    assert facts.links == finding_facts.facts_of(MISTAKE).links
    assert set(facts.mentions()) == set(finding_facts.facts_of(MISTAKE).mentions())

    accepted = reviewed(found, label, {"error_type": ["carriesnothing"]})
    link = accepted.links["OF_TYPE"]["carriesnothing"]
    assert link == {"found_as": ["Carries Nothing"], "confidence": 1.0}
    left = reviewed(found, label, {}, error_type=["carriesnothing"])
    assert left.links == facts.links


@pytest.mark.parametrize("label", ["Interaction", "Attempt"])
def test_a_topic_that_is_proposed_is_in_the_graph_only_when_it_was_accepted(label: str) -> None:
    """Guard: `proposed` apart from the links. Without it free words of a model are topics of the school."""
    message = InteractionFinding(sentiment="positive", topics=("Sets",), confidence=1)
    found = message.model_copy(update={"other_topics": ("School Trip", "school trip")})
    facts = finding_facts.facts_of(found)
    assert facts.links == finding_facts.facts_of(message).links
    assert set(facts.mentions()) == {(("Topic", "sets"), "Sets")}

    accepted = reviewed(found, label, {"topic": ["schooltrip"]})
    assert accepted.links["ABOUT"] == {
        "sets": {"found_as": ["Sets"]},
        "schooltrip": {"found_as": ["School Trip", "school trip"]},
    }
    assert accepted.sentiment == "positive"
    left = reviewed(found, label, {}, topic=["schooltrip"])
    assert left.links == facts.links


def test_what_was_found_and_accepted_keeps_its_own_confidence() -> None:
    assert (
        reviewed(MISTAKE, "ErrorRecord", {"error_type": ["sign"]}).links
        == finding_facts.facts_of(MISTAKE).links
    )


@pytest.mark.parametrize("aspect", ["severity", "difficulty"])
def test_of_single_values_the_last_that_was_accepted_counts_and_a_rejected_one_never(
    aspect: str,
) -> None:
    def left(accepted: list[str], rejected: list[str]) -> str | None:
        given = {aspect: accepted} if accepted else {}
        value: str | None = getattr(
            reviewed(MISTAKE, "Attempt", given, **{aspect: rejected}), aspect
        )
        return value

    found = getattr(MISTAKE, aspect)
    assert left([], ["another"]) == found
    assert left([], [found]) is None
    assert left(["first", "last"], []) == "last"
    assert left(["last"], [found]) == "last"
    assert left(["last"], ["last"]) is None


def test_reviews_of_a_chat_are_of_its_topics_and_its_sentiment() -> None:
    chat = InteractionFinding(sentiment="positive", topics=("Algebra", "Sets"), confidence=1)
    facts = reviewed(
        chat, "Interaction", {"topic": ["units"]}, topic=["sets"], sentiment=["positive"]
    )
    assert facts.links == {
        "ABOUT": {"algebra": {"found_as": ["Algebra"]}, "units": {"found_as": []}}
    }
    assert facts.sentiment is None
    assert reviewed(chat, "Interaction", {"sentiment": ["negative"]}).sentiment == "negative"


def test_a_point_that_was_rejected_takes_the_claims_about_it_along_and_no_other() -> None:
    text = ContentFinding(
        knowledge_points=tuple(
            FoundPoint(name=name, importance="core", description=name) for name in "abc"
        ),
        prerequisites=(
            Prerequisite(point="a", requires="b", confidence=0.5),
            Prerequisite(point="a", requires="c", confidence=0.25, quote="so"),
            Prerequisite(point="b", requires="c", confidence=0.75),
        ),
        confidence=1,
    )
    facts = reviewed(text, "CourseContent", {"knowledge_point": ["d"]}, knowledge_point=["b"])
    links = facts.links_of("DESCRIBES")
    assert facts.prerequisites == {("a", "c"): (0.25, "so")}
    claims = ("requires", "requires_confidence", "requires_quotes")
    assert {end: tuple(link[each] for each in claims) for end, link in links.items()} == {
        "a": (["c"], [0.25], ["so"]), "c": (None, None, None), "d": (None, None, None),
    }  # fmt: skip
    assert {end: (link["importance"], link["description"]) for end, link in links.items()} == {
        "a": ("core", "a"), "c": ("core", "c"), "d": ("supplementary", None),
    }  # fmt: skip
    none_left = reviewed(text, "CourseContent", knowledge_point=["c"])
    assert none_left.prerequisites == {("a", "b"): (0.5, None)}
    assert none_left.links_of("DESCRIBES")["b"]["requires"] is None


def test_verdicts_stored_with_a_record_are_heeded_where_nothing_was_found_too() -> None:
    verdicts = json.dumps({"accepted": {"topic": ["sets"]}, "rejected": {}})
    assert finding_facts.facts_of_stored(None, "Interaction", verdicts).links == {
        "ABOUT": {"sets": {"found_as": []}}
    }


# --- which finding counts -----------------------------------------------------------------------------------------


def test_of_two_findings_the_one_whose_job_was_asked_for_later_has_the_greater_key() -> None:
    def key(**of_message: Any) -> str | None:
        said = {
            "job_id": "j",
            "pack": "p",
            "findings": [],
            "asked_at": 1_767_225_600.0,
        } | of_message
        return finding_facts.finding_key(Findings.model_construct(**said))

    assert key() == "2026-01-01T00:00:00.000000Z|j|000000|"
    in_order = [
        key(generation=2),
        key(generation=10, edition="a"),
        key(generation=10, edition="b"),
        key(job_id="k"),
        key(asked_at=1_767_225_601.0),
    ]
    assert in_order == sorted(in_order, key=str)
    assert key(asked_at=None) is None
