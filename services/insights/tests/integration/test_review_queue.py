"""What is to be reviewed, and what was said of it: as records, findings and verdicts tell, on each engine."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import (
    ErrorFinding,
    FoundErrorType,
    InteractionFinding,
    LinkedPoint,
    Origin,
    RecordFinding,
)
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import FindingReview, ItemReview, text_hash
from edugraph_insights.insights import Insights
from edugraph_insights.usefulness import OFFLINE_KINDS, REJECTED

from . import insights_reference as reference
from .schools import (
    COURSES,
    EXAMPLES,
    EXERCISES,
    ITEMS,
    ORIGIN,
    POINTS,
    SENTENCES,
    School,
    asked,
    at,
    caller,
    schools,
    written,
)
from .test_questions import same

Said = dict[tuple[str, ...], str]
verdict = st.sampled_from(["accepted", "rejected", "withdrawn"])


@st.composite
def verdicts_of(draw: st.DrawFn, school: School) -> Said:
    """Verdicts by (record, aspect, target), of what was found and of what was not, or by (item, target)."""
    said: Said = {}
    for each in school.findings:
        if isinstance(each.finding, ErrorFinding):
            types = (*each.finding.error_types, *each.finding.other_error_types)
            names = [("error_type", found.name) for found in types]
            names += [
                ("knowledge_point", name)
                for name in ("P1", "P2", *(f.name for f in each.finding.knowledge_points))
            ]
            names += [("misconception", sentence) for sentence in SENTENCES if sentence is not None]
            for aspect, name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True)):
                said[each.record["record_id"], aspect, canonical_name(name)] = draw(verdict)
        elif isinstance(each.finding, InteractionFinding):
            topics = st.sampled_from(["Sport", *each.finding.other_topics])
            for name in draw(st.lists(topics, max_size=2, unique=True)):
                said[each.record["record_id"], "topic", canonical_name(name)] = draw(verdict)
    pairs = st.tuples(
        st.sampled_from([*ITEMS, *EXERCISES]), st.sampled_from(POINTS).map(canonical_name)
    )
    return said | {pair: draw(verdict) for pair in draw(st.lists(pairs, max_size=6, unique=True))}


def review(room: Room, school: School, said: Mapping[tuple[str, ...], str]) -> None:
    records = {each.record_id: each for each in school.records}
    by: dict[str, Any] = {"at": at(1), "by": "reviewer"}
    reviews: list[Any] = []
    for key, each in said.items():
        if len(key) == 2:
            reviews.append(ItemReview(item_id=key[0], knowledge_point=key[1], verdict=each, **by))
        else:
            of = {
                "record_id": key[0],
                "text_hash": text_hash(records[key[0]]),
                "aspect": key[1],
                "target": key[2],
            }
            reviews.append(FindingReview.model_validate({**of, "verdict": each, **by}))
    room.graph.write_reviews(reviews)


# A school holds many findings, so that few schools show what differs.
@settings(EXAMPLES, max_examples=max(4, EXAMPLES.max_examples // 4))
@given(data=st.data())
def test_the_queue_and_the_agreement_equal_the_reference(
    room: Room, insights: Insights, data: st.DataObject
) -> None:
    """Out: let `find` ask for no drawn ones, `applied` keep what was withdrawn, or a row forget `judged`."""
    school = data.draw(schools())
    said = data.draw(verdicts_of(school))
    written(room, school)
    review(room, school, said)
    spoken = {key: each for key, each in said.items() if each != "withdrawn"}
    for course in COURSES:
        if not reference.roster(school, course):
            continue
        answer = asked(insights, "review-queue", course=course)
        expected = reference.review_queue(school, course, spoken)
        by_key = {
            (row.item, row.target)
            if row.kind == "tests"
            else (row.record, row.aspect, row.target): row
            for row in answer.rows
        }
        same(by_key, expected)
        drawn = [
            row
            for key, row in expected.items()
            if len(key) == 3 and row["drawn"] and row["verdict"]
        ]
        assert answer.of_how_many["drawn and judged"] == len(drawn)
        accepted = sum(row["verdict"] == "accepted" for row in drawn)
        for row in asked(insights, "trust", course=course).rows:
            if row.kind == "mistakes":
                made = reference.mistakes(school, course)
                reviewed = {key[0] for key in spoken if len(key) == 3 and key[0] in made}
                assert row.reviewed == len(reviewed) / len(made)
                assert row.agreement == (accepted / len(drawn) if drawn else None)
                assert row.judged == (len(drawn) or None)
                if drawn:
                    ends = (row.agreement_at_least, row.agreement_at_most)
                    assert reference.is_lower_end(ends[0], row.agreement, len(drawn))
                    assert reference.is_lower_end(1 - ends[1], 1 - row.agreement, len(drawn))


def record(record_id: str, record_type: str, **data: str) -> Record:
    return parse_record(
        {
            "type": record_type,
            "timestamp": at(1),
            "record_id": record_id,
            "data": {**data, "course_id": "C"},
        }
    )


PEOPLE = [record(f"c{who}", "course_record", student_id=who) for who in ("s00", "s01")] + [
    record("g0", "membership_record", group_id="g", student_id="s00"),
    record("g1", "membership_record", group_id="g", teacher_id="t"),
    record("h0", "membership_record", group_id="h", student_id="s01"),
]
CHAT = record(
    "chat", "student_interaction", student_id_from="s00", student_id_to="s01", interaction_type="chat",
    text="When is the trip?",
)  # fmt: skip
POST = record("post", "post_record", student_id="s00", title="Trips", text="When is the trip?")
TAUGHT = record(
    "taught",
    "teacher_interaction",
    teacher_id="t",
    student_id="s00",
    subject="Trip",
    text="On Friday.",
)


def proposing(*records: Record) -> School:
    finding = InteractionFinding(
        sentiment="neutral",
        topics=("Exams",),
        other_topics=("Trip", "trip", "exams", "<b>Bus</b>"),
        confidence=0.3,
        evidence=("the trip",),
    )
    findings = [
        RecordFinding(record=each.to_json(), finding=finding, origin=ORIGIN) for each in records
    ]
    return School([*PEOPLE, *records], findings)


def proposals(insights: Insights, *who: Any) -> list[Any]:
    rows = asked(insights, "review-queue", *who, course="C").rows
    return [row for row in rows if row.aspect == "topic"]


def test_a_topic_that_no_list_has_waits_in_the_queue_with_its_text(
    room: Room, insights: Insights
) -> None:
    """Out: `listed` in `proposed_topics_of`; the check of `other_topics` in the statement."""
    written(room, proposing(CHAT, POST, TAUGHT))
    rows = proposals(insights)
    assert sorted({(row.record, row.name) for row in rows}) == sorted(
        (record_id, name)
        for record_id in ("chat", "post", "taught")
        for name in ("Trip", "<b>Bus</b>")
    )
    by_record = {row.record: row for row in rows if row.name == "Trip"}
    shown = {key: (row.student, row.title, row.text) for key, row in by_record.items()}
    assert shown == {
        "chat": ("s00", None, "When is the trip?"),
        "post": ("s00", "Trips", "When is the trip?"),
        "taught": ("s00", "Trip", "On Friday."),
    }
    assert {(row.known, row.drawn, row.unsure, row.verdict) for row in rows} == {
        (False, False, False, None)
    }
    for each in (CHAT, POST, TAUGHT):
        assert by_record[each.record_id].text_hash == text_hash(each)
    # Equal topics stand together.
    assert [row.name for row in rows] == sorted([row.name for row in rows])
    answer = asked(insights, "review-queue", course="C")
    assert answer.of_how_many["proposed topics"] == 6
    assert answer.of_how_many["findings"] == 0

    # Accepted as the queue names it, a topic is in the graph and in the mood of the course.
    review(room, proposing(CHAT, POST, TAUGHT), {("post", "topic", "trip"): "accepted"})
    over = {row.topic for row in asked(insights, "mood", course="C").rows}
    assert over == {"", "exams", "trip"}
    assert {row.record: row.verdict for row in proposals(insights) if row.name == "Trip"} == {
        "chat": None,
        "post": "accepted",
        "taught": None,
    }


def test_a_proposal_of_a_message_with_somebody_out_of_sight_is_not_shown(
    room: Room, insights: Insights
) -> None:
    """Out: `issuperset` in `Facts.proposed_topics`."""
    written(room, proposing(CHAT, POST))
    teacher = caller("teacher", person="t")
    assert {row.record for row in proposals(insights)} == {"chat", "post"}
    assert {row.record for row in proposals(insights, teacher)} == {"post"}
    room.graph.restrict_student("s01", restricted=True)
    assert {row.record for row in proposals(insights)} == {"post"}
    room.graph.restrict_student("s00", restricted=True)
    assert proposals(insights) == []


def judged_school(mistakes: int) -> tuple[School, Said]:
    """Return a school in which two students made `mistakes` mistakes each, and the verdicts about all of them.

    The unsure findings of s00 are accepted, and those of s01 rejected.
    """
    records: list[Record] = []
    findings: list[RecordFinding] = []
    said: Said = {}
    point = LinkedPoint(name="P1", strength=1.0, confidence=0.5)
    for student, verdict in (("s00", "accepted"), ("s01", "rejected")):
        for number in range(mistakes):
            record_id = f"{student}-{number}"
            text = f"{student} wrote {number}"
            made = record(record_id, "error_record", student_id=student, error_text=text)
            found = ErrorFinding(knowledge_points=(point,), confidence=0.5)
            records.append(made)
            findings.append(RecordFinding(record=made.to_json(), finding=found, origin=ORIGIN))
            said[record_id, "knowledge_point", canonical_name("P1")] = verdict
    return School([*PEOPLE, *records], findings), said


def confidences(insights: Insights, *who: Any) -> set[tuple[Any, ...]]:
    """Return the measured confidences in the queue of findings."""
    rows = asked(insights, "review-queue", *who, course="C").rows
    found: set[tuple[Any, ...]] = set()
    for row in rows:
        if row.kind == "finding":
            found.add((row.calibration, row.measured, row.judged_alike, row.judged))
    return found


def test_only_verdicts_about_students_of_the_question_measure_a_confidence(
    room: Room, insights: Insights
) -> None:
    """Out: `restricted` in a statement of access.cypher; another list of students in `Facts.findings`."""
    school, said = judged_school(30)
    written(room, school)
    assert confidences(insights) == {("not calibrated", None, None, 0)}
    review(room, school, said)
    of_both = {("measured", 0.5, 60, 60)}
    of_one = {("not calibrated", None, None, 30)}
    assert confidences(insights) == of_both
    [row] = [
        row for row in asked(insights, "review-queue", course="C").rows if row.record == "s00-0"
    ]
    assert (row.model, row.prompt_version, row.confidence) == ("m", "1", 0.5)
    # Wilson's interval is symmetric around a half.
    assert reference.is_lower_end(row.measured_at_least, 0.5, 60)
    assert reference.is_lower_end(1 - row.measured_at_most, 0.5, 60)

    # A teacher sees s00 alone, and nothing of the verdicts about s01.
    assert confidences(insights, caller("teacher", person="t")) == of_one
    room.graph.restrict_student("s01", restricted=True)
    assert confidences(insights) == of_one
    room.graph.restrict_student("s01", restricted=False)
    assert confidences(insights) == of_both

    taken_back = {key: "withdrawn" for key in said if key[0].startswith("s01")}
    review(room, school, taken_back)
    assert confidences(insights) == of_one


def test_a_student_who_is_erased_leaves_the_measured_confidence(
    room: Room, insights: Insights
) -> None:
    """Out: let the erasure keep the records of the student."""
    school, said = judged_school(50)
    written(room, school)
    review(room, school, said)
    assert confidences(insights) == {("measured", 0.5, 100, 100)}
    room.graph.erase_student("s01")
    assert confidences(insights) == {("measured", 1.0, 50, 50)}


ITEM = parse_record(
    {
        "type": "item_record",
        "timestamp": at(1),
        "record_id": "item",
        "data": {"item_id": "q", "knowledge_points": ["P2"]},
    }
)


SAID = "Adds the denominators."
RECENT = {"recent_school_days": 365, "same_mistakes": 2}
LATER = datetime.fromisoformat(at(100))


def hiding_school(origin: Origin) -> tuple[School, Said]:
    """Return a school in which s00 made 60 mistakes, and the verdicts about the first 50 of them.

    The findings of all mistakes name a kind and the point P1 and say what went wrong, and nobody accepts any. The last two records state this
    kind themselves, and the others another one. The last ten were made later.
    """
    records: list[Record] = []
    findings: list[RecordFinding] = []
    said: Said = {}
    point = LinkedPoint(name="P1", strength=1.0, confidence=0.5)
    kind = FoundErrorType(name="Slip", confidence=0.5)
    for number in range(60):
        record_id = f"m{number}"
        stated = "Slip" if number >= 58 else "Stated"
        texts = {"error_text": f"mistake {number}", "error_type": stated}
        made = record(record_id, "error_record", student_id="s00", **texts)
        if number >= 50:
            made = made.model_copy(update={"timestamp": LATER})
        found = ErrorFinding(
            what_went_wrong=SAID, error_types=(kind,), knowledge_points=(point,), confidence=0.5
        )
        records.append(made)
        findings.append(RecordFinding(record=made.to_json(), finding=found, origin=origin))
        if number < 50:
            said[record_id, "error_type", "slip"] = "rejected"
            said[record_id, "knowledge_point", canonical_name("P1")] = "rejected"
            said[record_id, "misconception", canonical_name(SAID)] = "rejected"
    return School([*PEOPLE, ITEM, *records], findings), said


def seen_of_mistakes(insights: Insights) -> dict[str, Any]:
    """Return what the questions show of the kinds and the point of the mistakes of s00."""
    answers = {
        "point": asked(insights, "point", course="C", point="P1"),
        "student": asked(insights, "student", course="C", student="s00"),
        "untaught": asked(insights, "untaught-points", course="C"),
    }
    needing = asked(insights, "needs-help", course="C", **RECENT)
    [of_point] = [row for row in answers["point"].rows if row.student == "s00"]
    behind = asked(insights, "records", course="C", point=canonical_name("P1")).rows
    of_group = asked(insights, "records", course="C", misconception=canonical_name(SAID)).rows
    [helped] = [row for row in needing.rows if row.student == "s00"]
    return {
        "mistakes at the point": of_point.mistakes,
        "kinds": of_point.kinds,
        "what went wrong": of_point.misconception_mistakes,
        "records": (
            len(behind),
            len(of_group),
            sum(row.what_went_wrong is not None for row in behind),
        ),
        "repeated": helped.repeated,
        "points": {row.name: row.mistakes for row in answers["student"].rows},
        "untaught": {row.name: row.mistakes for row in answers["untaught"].rows},
        "hidden": {name: answer.left_out.get(REJECTED, 0) for name, answer in answers.items()}
        | {"needs-help": needing.left_out.get(REJECTED, 0)},
    }


def test_findings_like_which_too_few_were_accepted_are_hidden_beside_the_queue(
    room: Room, insights: Insights
) -> None:
    """Out, each alone: `hidden.has` in point.py (points, kinds, sentences) and in records.py (points, sentences), in
    `shown_types`, in `shown_mistakes`; `since=None` in `hidden_findings`; `stated` in either statement.
    """
    school, said = hiding_school(ORIGIN)
    written(room, school)
    kinds = ("Slip", "Stated")
    assert seen_of_mistakes(insights) == {
        "mistakes at the point": 60,
        "kinds": kinds,
        "what went wrong": (60,),
        "records": (60, 60, 60),
        "repeated": kinds,
        "points": {"P1": 60},
        "untaught": {"P1": 60},
        "hidden": {"point": 0, "student": 0, "untaught": 0, "needs-help": 0},
    }
    # One verdict fewer than those that measure a confidence: what was rejected is gone, and nothing is hidden.
    without_one = {key: each for key, each in said.items() if key[0] != "m49"}
    review(room, school, without_one)
    assert seen_of_mistakes(insights) == {
        "mistakes at the point": 11,
        "kinds": kinds,
        "what went wrong": (11,),
        "records": (11, 11, 11),
        "repeated": kinds,
        "points": {"P1": 11},
        "untaught": {"P1": 11},
        "hidden": {"point": 0, "student": 0, "untaught": 0, "needs-help": 0},
    }
    review(room, school, said)
    # At the point there is nothing any more, so no kind of these mistakes is there to be hidden.
    assert seen_of_mistakes(insights) == {
        "mistakes at the point": 0,
        "kinds": (),
        "what went wrong": (),
        "records": (0, 0, 0),
        "repeated": ("Slip", "Stated"),
        "points": {},
        "untaught": {},
        "hidden": {"point": 10, "student": 10, "untaught": 10, "needs-help": 8},
    }
    # A short period shows no more than a long one.
    [of_point] = [
        row
        for row in asked(insights, "point", course="C", point="P1", since=LATER).rows
        if row.student == "s00"
    ]
    assert of_point.mistakes == 0
    # The queue still shows each of them, so that they can become useful again.
    rows = asked(insights, "review-queue", course="C").rows
    shown = {(row.record, row.aspect) for row in rows if row.kind == "finding"}
    assert {record for record, _ in shown} == {f"m{number}" for number in range(60)}
    assert len(shown) == 180
    every = asked(insights, "records", course="C").rows
    assert len(every) == 60
    assert [row.record for row in every if row.what_went_wrong is not None] == []
    # A person says that m59 is at the point. Its sentence stays hidden.
    review(room, school, {("m59", "knowledge_point", canonical_name("P1")): "accepted"})
    answer = asked(insights, "point", course="C", point="P1")
    [of_point] = [row for row in answer.rows if row.student == "s00"]
    assert (of_point.mistakes, of_point.what_went_wrong) == (1, ())
    assert answer.left_out == {REJECTED: 10}


def test_kinds_that_are_named_without_a_model_are_hidden_by_default(
    room: Room, insights: Insights
) -> None:
    """Out: OFFLINE_KINDS in `reason_to_hide`."""
    lexicon = Origin(analyser="offline", model="lexicon", prompt_version="1")
    school, _ = hiding_school(lexicon)
    written(room, school)
    answer = asked(insights, "point", course="C", point="P1")
    [of_point] = [row for row in answer.rows if row.student == "s00"]
    assert (of_point.mistakes, of_point.kinds) == (60, ("Stated", "Slip"))
    assert answer.left_out == {OFFLINE_KINDS: 58}
    helped = asked(insights, "needs-help", course="C", **RECENT)
    [row] = [row for row in helped.rows if row.student == "s00"]
    assert row.repeated == ("Slip", "Stated")
    assert helped.left_out[OFFLINE_KINDS] == 58
    today = asked(insights, "today", course="C", **RECENT)
    assert today.left_out[OFFLINE_KINDS] == 58
    # One that a person accepts is shown.
    review(room, school, {("m0", "error_type", "slip"): "accepted"})
    answer = asked(insights, "point", course="C", point="P1")
    [of_point] = [row for row in answer.rows if row.student == "s00"]
    assert of_point.kinds == ("Stated", "Slip")
    assert answer.left_out == {OFFLINE_KINDS: 57}
