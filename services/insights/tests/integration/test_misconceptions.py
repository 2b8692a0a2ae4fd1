"""Mistakes with one sentence about what went wrong are a group; people say which sentences are the same."""

from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.findings import ErrorFinding, LinkedPoint, RecordFinding
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import PairReview
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_importer.graph import RecordBatch
from edugraph_insights.insights import Insights
from edugraph_insights.questions.alike import LEAST_LIKENESS, likeness_of

from .schools import ORIGIN, asked, at, caller, make_groups

ADDS = "Adds the denominators."
ADDS_TOO = "adds both denominators"
ROOT = "Takes the root first."
FAR = "Multiplies numerator and denominator by different numbers."
# Each mistake: its student, the sentence about it, and its point.
MISTAKES = (
    ("a", ADDS, "fractions"),
    ("a", "Adds the denominators", "fractions"),
    ("b", ADDS, "fractions"),
    ("b", ADDS_TOO, "fractions"),
    ("c", ADDS_TOO, "fractions"),
    ("c", FAR, "fractions"),
    ("d", None, "fractions"),
    ("d", ADDS_TOO.upper(), "roots"),
    ("d", ROOT, "roots"),
    ("c", "Takes the roots first.", "fractions"),
)
ADDS_ID = "addsthedenominators"
TOO_ID = "addsbothdenominators"


def mistake(number: int, student: str) -> Record:
    data = {"student_id": student, "course_id": "C", "error_text": f"text {number}"}
    value = {"type": "error_record", "timestamp": at(number), "record_id": f"m{number}"}
    return parse_record({**value, "data": data})


def written(room: Room) -> None:
    room.empty()
    lines = [(n, mistake(n, who)) for n, (who, _, _) in enumerate(MISTAKES, start=1)]
    room.graph.write_batch(RecordBatch("job", 0, lines, (), len(lines)))
    findings = []
    for (_, record), (_, sentence, point) in zip(lines, MISTAKES, strict=True):
        linked = LinkedPoint(name=point, strength=1.0, confidence=1.0)
        found = ErrorFinding(what_went_wrong=sentence, knowledge_points=(linked,), confidence=1.0)
        findings.append(RecordFinding(record=record.to_json(), finding=found, origin=ORIGIN))
    room.graph.write_findings(Findings(job_id="job", pack="0", findings=tuple(findings)))


def judge(room: Room, said: str, hour: int = 100) -> None:
    review = {"of": "misconception", "pair": (ADDS_ID, TOO_ID), "verdict": said, "by": "r"}
    room.graph.write_reviews([PairReview.model_validate({**review, "at": at(hour)})])


def groups(insights: Insights) -> dict[str, dict[str, int]]:
    """Return the sentence of each group at the point -> student -> number of mistakes."""
    found: dict[str, dict[str, int]] = {}
    for row in asked(insights, "point", course="C", point="fractions").rows:
        each = zip(row.what_went_wrong, row.misconception_mistakes, strict=True)
        for sentence, number in each:
            found.setdefault(sentence, {})[row.student] = number
    return found


def pairs(insights: Insights, who: Caller = ANYBODY) -> dict[tuple[str, str], Any]:
    rows = asked(insights, "review-points", who, course="C").rows
    return {(row.point, row.other): row for row in rows if row.kind == "misconception"}


def test_equal_sentences_are_a_group_and_near_ones_only_when_somebody_says_so(
    room: Room, insights: Insights
) -> None:
    """Out: `canonical` in `mistakes_at_point`; or the label in `LABEL_OF`."""
    written(room)
    others = {FAR: {"c": 1}, "Takes the roots first.": {"c": 1}}
    apart = {ADDS: {"a": 2, "b": 1}, ADDS_TOO: {"b": 1, "c": 1}} | others
    assert groups(insights) == apart
    judge(room, "same")
    together = {ADDS_TOO: {"a": 2, "b": 2, "c": 1}} | others
    assert groups(insights) == together
    judge(room, "withdrawn", hour=101)
    assert groups(insights) == apart


def test_the_mistakes_of_a_group_are_the_records_behind_it(room: Room, insights: Insights) -> None:
    """Out: `$misconception` in the statement `records`."""
    written(room)
    judge(room, "same")
    group = asked(insights, "point", course="C", point="fractions").rows[0].misconceptions[0]
    rows = asked(insights, "records", course="C", misconception=group).rows
    assert {row.record: row.what_went_wrong for row in rows} == {
        "m1": ADDS,
        "m2": "Adds the denominators",
        "m3": ADDS,
        "m4": ADDS_TOO,
        "m5": ADDS_TOO,
        "m8": ADDS_TOO.upper(),
    }
    every = asked(insights, "records", course="C").rows
    assert len(every) == len(MISTAKES)
    assert {row.record for row in every if row.what_went_wrong is None} == {"m7"}


def test_near_sentences_at_one_point_are_proposed_and_stay_with_their_verdict(
    room: Room, insights: Insights
) -> None:
    """Out, each alone: LEAST_LIKENESS; the points; the verdict. The two sentences about roots are at two points."""
    written(room)
    [(pair, row)] = pairs(insights).items()
    assert pair == (TOO_ID, ADDS_ID)
    assert (row.records, row.other_records, row.verdict) == (3, 3, None)
    assert row.likeness >= LEAST_LIKENESS
    for hour, said in enumerate(("same", "different"), start=100):
        judge(room, said, hour)
        [judged] = pairs(insights).values()
        assert (judged.verdict, judged.skipped) == (said, False)
    judge(room, "withdrawn", hour=103)
    assert [each.verdict for each in pairs(insights).values()] == [None]


def test_sentences_that_are_the_same_through_another_one_are_not_proposed(
    room: Room, insights: Insights
) -> None:
    """Out: `canonical` in `is_open`."""
    written(room)
    third = mistake(11, "a")
    linked = LinkedPoint(name="fractions", strength=1.0, confidence=1.0)
    found = ErrorFinding(
        what_went_wrong="Adds the two denominators.", knowledge_points=(linked,), confidence=1.0
    )
    finding = RecordFinding(record=third.to_json(), finding=found, origin=ORIGIN)
    room.graph.write_findings(Findings(job_id="job", pack="1", findings=(finding,)))
    third_id = "addsthetwodenominators"
    assert {(ADDS_ID, third_id), (TOO_ID, ADDS_ID)} <= set(pairs(insights))
    judge(room, "same")
    review = {"of": "misconception", "pair": (TOO_ID, third_id), "verdict": "same", "by": "r"}
    room.graph.write_reviews([PairReview.model_validate({**review, "at": at(100)})])
    assert set(pairs(insights)) == {(TOO_ID, ADDS_ID), (TOO_ID, third_id)}


def test_who_sees_no_student_sees_no_sentence_of_theirs(room: Room, insights: Insights) -> None:
    """Out: `$students` in `misconceptions`. An analyst may ask neither question."""
    written(room)
    members = [("a", "g", (-10, 10)), ("b", "h", (-10, 10))]
    led = [("t", "g", (-10, 10)), ("u", "h", (-10, 10))]
    make_groups(room, members, led, {"g": "C", "h": "C"})
    assert pairs(insights, caller("teacher", person="t")) == {}
    assert set(pairs(insights, caller("teacher", person="u"))) == {(TOO_ID, ADDS_ID)}
    asks = {"course": "C", "point": "fractions"}
    [row] = asked(insights, "point", caller("teacher", person="t"), **asks).rows
    assert (row.student, row.misconception_mistakes) == ("a", (2,))
    for question, parameters in (("point", {"point": "fractions"}), ("review-points", {})):
        with pytest.raises(Refusal):
            asked(insights, question, caller("analyst"), course="C", **parameters)


def test_the_sentences_of_a_restricted_or_erased_student_are_gone(
    room: Room, insights: Insights
) -> None:
    written(room)
    room.graph.restrict_student("a", restricted=True)
    assert groups(insights)[ADDS] == {"b": 1}
    room.graph.restrict_student("a", restricted=False)
    for student in "abcd":
        room.graph.erase_student(student)
    assert room.query("MATCH (m:Misconception) RETURN m") == []


@pytest.mark.parametrize(
    ("one", "other", "proposed"),
    [
        (ADDS, "Adds up the denominators", True),
        ("把分母直接相加。", "把分母直接加起来。", False),
        ("把分母直接相加。", "学生把分母直接相加", True),
        (ADDS, "Adds the numerators", False),
        (ADDS, FAR, False),
        ("a", "", False),
    ],
)
def test_how_alike_two_sentences_are(one: str, other: str, proposed: bool) -> None:
    likeness = likeness_of(one, other)
    assert likeness == likeness_of(other, one)
    assert (likeness >= LEAST_LIKENESS) is proposed
    assert likeness_of(one, one) in {0.0, 1.0}
