from typing import Any

from edugraph_common.contracts.findings import (
    ContentFinding,
    ErrorFinding,
    FoundErrorType,
    FoundPoint,
    LinkedPoint,
    Origin,
    Prerequisite,
    RecordFinding,
)
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
        error_types=(FoundErrorType(name="SIGN", confidence=0.5), FoundErrorType(name="Units", confidence=0.5)),
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
            FoundPoint(name="fractions", importance="core", order=2, description="Parts of a whole"),
        ),
        confidence=1,
    )
    link = finding_facts.facts_of(finding).links_of("DESCRIBES")["fractions"]
    assert link["found_as"] == ["Fractions", "fractions"]
    assert (link["importance"], link["order"], link["description"]) == ("core", 2, "Parts of a whole")


def test_what_requires_itself_is_dropped_and_the_strongest_claim_stays() -> None:
    def claim(point: str, requires: str, confidence: float) -> Prerequisite:
        return Prerequisite(point=point, requires=requires, confidence=confidence)

    facts = finding_facts.facts_of(
        ContentFinding(
            prerequisites=(claim("Alpha", "alpha", 1), claim("Alpha", "Beta", 0.25), claim("alpha", "beta", 0.5)),
            confidence=1,
        )
    )
    assert facts.prerequisites == {("alpha", "beta"): 0.5}
    assert facts.links_of("DESCRIBES")["alpha"]["requires"] == ["beta"]
    assert facts.links_of("DESCRIBES")["beta"]["importance"] is None


def test_what_it_cost_does_not_make_another_finding() -> None:
    def text(**cost: Any) -> str:
        origin = Origin(analyser="model", model="m", prompt_version="1", **cost)
        return finding_facts.stored_text(
            RecordFinding(record=ERROR.to_json(), finding=ErrorFinding(confidence=1), origin=origin)
        )

    assert text(cost=1.0, cached=False) == text(cost=0.0, cached=True, input_tokens=3)


def test_what_was_stored_is_understood_again() -> None:
    finding = ErrorFinding(error_types=(FoundErrorType(name="Sign", confidence=0.5),), severity="high", confidence=1)
    origin = Origin(analyser="offline", model="lexicon", prompt_version="1")
    stored = finding_facts.stored_text(RecordFinding(record=ERROR.to_json(), finding=finding, origin=origin))
    assert finding_facts.facts_of_stored(stored, "ErrorRecord", None) == finding_facts.facts_of(finding)
    assert finding_facts.facts_of_stored(None, "ErrorRecord", None) == finding_facts.NO_FACTS


def test_what_was_found_stands_on_its_record_and_what_is_no_longer_found_is_taken_off() -> None:
    finding = ErrorFinding(difficulty="beginner", severity="high", confidence=0.5, evidence=("x",))
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
