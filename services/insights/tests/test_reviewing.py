"""What people review of a finding: each claim once, what was said of it, and a tenth that nobody chose."""

import json
from typing import Any

from edugraph_insights.reviewing import (
    ONE_OF,
    claims_of,
    effective,
    is_drawn,
    key_of,
    proposed_topics_of,
)


def row(points: list[tuple[str, float]], **said: dict[str, list[str]]) -> dict[str, Any]:
    found = {"knowledge_points": [{"name": name, "confidence": sure} for name, sure in points]}
    verdicts = json.dumps({"accepted": {}, "rejected": {}} | said) if said else None
    texts = {"error_text": "1/2 + 1/3 = 2/5", "question": "1/2 + 1/3?", "response": None}
    return {
        "record": "r",
        "type": "error_record",
        "finding": json.dumps({"finding": found}),
        "verdicts": verdicts,
    } | texts


def test_two_spellings_are_one_claim_and_the_surer_counts() -> None:
    """Out: the comparison of confidences in `claims_of`."""
    (claim,) = claims_of(
        row([("Adding fractions", 0.4), ("adding  FRACTIONS", 0.7), ("Adding Fractions", 0.5)])
    )
    assert (claim.name, claim.confidence, claim.verdict) == ("adding  FRACTIONS", 0.7, None)


def test_what_counts_is_what_was_not_rejected_and_what_was_accepted_instead() -> None:
    """Out: `rejected` in `effective`, or `instead`."""
    points = [("adding fractions", 0.9), ("decimals", 0.9), ("units", 0.9)]
    aspect = "knowledge_point"
    claims = list(
        claims_of(
            row(points, rejected={aspect: ["decimals"]}, accepted={aspect: ["units", "percent"]})
        )
    )
    assert {claim.target: claim.verdict for claim in claims} == {
        "addingfractions": None,
        "decimals": "rejected",
        "units": "accepted",
    }
    assert {claim.instead for claim in claims} == {("percent",)}
    assert effective(claims, aspect) == {"addingfractions", "units", "percent"}
    assert effective(claims, "error_type") == set()


def test_a_proposed_type_counts_when_it_is_accepted_and_never_measures_the_analyser() -> None:
    """Guards: `proposed` in `effective` and in `Claim.drawn`. Without the second, the drawn tenth has proposals."""
    listed = [{"name": "sign error", "confidence": 0.9}]
    others = [{"name": f"new {number}", "confidence": 0.9} for number in range(60)]
    # A proposal with the name of a listed type is the listed type.
    others.append({"name": "Sign  Error", "confidence": 1.0})
    found = {"error_types": listed, "other_error_types": others}
    said = {"accepted": {"error_type": ["new 7"]}, "rejected": {"error_type": ["new 8"]}}
    claims = list(claims_of(row([]) | {"finding": json.dumps({"finding": found})}))
    assert len(claims) == 61
    assert [claim.target for claim in claims if not claim.proposed] == ["signerror"]
    assert not any(claim.drawn for claim in claims if claim.proposed)
    assert effective(claims, "error_type") == {"signerror"}
    judged = claims_of(
        row([]) | {"finding": json.dumps({"finding": found}), "verdicts": json.dumps(said)}
    )
    assert effective(list(judged), "error_type") == {"signerror", "new 7"}


def message(topics: list[str], others: list[str], **said: dict[str, list[str]]) -> dict[str, Any]:
    found = {"topics": topics, "other_topics": others, "confidence": 0.4}
    verdicts = json.dumps({"accepted": {}, "rejected": {}} | said) if said else None
    return {
        "record": "r",
        "type": "post_record",
        "title": None,
        "text": "When is the trip?",
        "finding": json.dumps({"finding": found}),
        "verdicts": verdicts,
    }


def test_a_proposed_topic_is_one_claim_and_never_measures_the_analyser() -> None:
    """Out: `listed` or `proposed` in `proposed_topics_of`."""
    names = [f"new {number}" for number in range(60)]
    claims = list(proposed_topics_of(message(["Exams"], ["exams", "New 7", *names])))
    assert len(claims) == 60
    assert all(claim.proposed and not claim.drawn for claim in claims)
    assert {claim.confidence for claim in claims} == {0.4}
    assert claims[0].name == "New 7"

    said = {"accepted": {"topic": ["new1", "exams", "sport"]}, "rejected": {"topic": ["new2"]}}
    judged = {each.name: each for each in proposed_topics_of(message(["Exams"], names, **said))}
    assert judged["new 1"].verdict == "accepted"
    assert judged["new 2"].verdict == "rejected"
    assert judged["new 3"].verdict is None
    assert judged["new 3"].instead == ("sport",)


def test_a_finding_of_an_earlier_release_proposes_no_topic() -> None:
    found = message(["Exams"], [])
    found["finding"] = json.dumps({"finding": {"topics": ["Exams"], "confidence": 0.4}})
    assert list(proposed_topics_of(found)) == []


def test_about_a_tenth_is_drawn_and_the_same_for_everybody() -> None:
    """Out: ONE_OF in `is_drawn`, or any part of a claim's key."""
    keys = [key_of("r", "hash", "knowledge_point", f"point {number}") for number in range(5_000)]
    drawn = sum(map(is_drawn, keys))
    # Five standard deviations of 5,000 draws are 0.021 of them.
    assert abs(drawn / len(keys) - 1 / ONE_OF) < 0.021
    assert keys == [
        key_of("r", "hash", "knowledge_point", f"point {number}") for number in range(5_000)
    ]
    assert (
        len({key_of(*parts) for parts in (("a", "bc"), ("ab", "c"), ("a", "b", "c"), ("abc",))})
        == 4
    )
