"""Posts by course and thread, and the ties that come of answers. The answered post is found when the posts are read."""

from itertools import permutations
from typing import Any

from rooms import Room

from edugraph_common.contracts.findings import InteractionFinding, RecordFinding
from edugraph_common.contracts.records import Record, parse_record
from edugraph_insights.insights import Insights

from .schools import ORIGIN, School, asked, at, caller, make_groups, written

PEOPLE = ("s00", "s01", "s02", "s03", "s04")


def post(record_id: str, student: str, hour: int, **data: Any) -> Record:
    given = {"student_id": student, "course_id": "C", "text": f"text of {record_id}", **data}
    return parse_record(
        {"type": "post_record", "timestamp": at(hour), "record_id": record_id, "data": given}
    )


def in_course() -> list[Record]:
    values = [{"student_id": student, "course_id": "C"} for student in PEOPLE]
    return [
        parse_record(
            {"type": "course_record", "timestamp": at(0), "record_id": f"in-{number}", "data": data}
        )
        for number, data in enumerate(values)
    ]


POSTS = (
    post("p0", "s00", 1, thread_id="w1", title="Slope"),
    post("p1", "s01", 2, thread_id="w1", reply_to="p0"),
    post("p2", "s02", 3, thread_id="w1", reply_to="p0"),
    post("p3", "s00", 4, thread_id="w1", reply_to="p1"),
    post("p4", "s03", 5, thread_id="w2", reply_to="gone"),  # answers a post that is not known
    post("p5", "s03", 6, thread_id="w2", reply_to="p4"),  # answers a post of the same student
    post("p6", "s01", 7, course_id="D", reply_to="p0"),  # is of another course
    post("p7", "s01", 8, reply_to="p0"),
)


def exchanged(insights: Insights, **times: Any) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    """Return, by student, how often they answered and were answered, and their partners."""
    rows = asked(insights, "ties", course="C", **times).rows
    return {row.student: (row.sent, row.received, row.partners) for row in rows if row.ties}


def test_an_answer_ties_two_students_whichever_of_the_posts_came_first(
    room: Room, insights: Insights
) -> None:
    """Out: the comparison of the students in `Facts.ties`, or the hash of the record in `Facts.posts`."""
    for posts in (POSTS, POSTS[::-1]):
        written(room, School([*in_course(), *posts], []))
        assert exchanged(insights) == {
            "s00": (1, 3, ("s01", "s02")),
            "s01": (2, 1, ("s00",)),
            "s02": (1, 0, ("s00",)),
        }


def test_answers_of_the_chosen_days_count_and_may_answer_an_older_post(
    room: Room, insights: Insights
) -> None:
    """Out: `in_period` in `Facts.ties`; or let `posts` return those of the period alone."""
    written(room, School([*in_course(), *POSTS], []))
    assert exchanged(insights, **{"from": at(3), "to": at(4)}) == {
        "s00": (1, 1, ("s01", "s02")),
        "s01": (0, 1, ("s00",)),
        "s02": (1, 0, ("s00",)),
    }


def test_posts_are_shown_by_thread_with_what_they_answer(room: Room, insights: Insights) -> None:
    """Out: the thread or the course in `post_records`, or the join in `Facts.post_records`."""
    mood = InteractionFinding(sentiment="negative", topics=("Slope",), confidence=0.9)
    finding = RecordFinding(record=POSTS[1].to_json(), finding=mood, origin=ORIGIN)
    written(room, School([*in_course(), *POSTS], [finding]))
    rows = asked(insights, "records", course="C", kind="posts").rows
    assert [row.record for row in rows] == ["p7", "p5", "p4", "p3", "p2", "p1", "p0"]
    rows = asked(insights, "records", course="C", kind="posts", thread="w1").rows
    assert [(row.record, row.student, row.reply_to, row.question) for row in rows] == [
        ("p3", "s00", "p1", None),
        ("p2", "s02", "p0", None),
        ("p1", "s01", "p0", None),
        ("p0", "s00", None, "Slope"),
    ]
    assert [row.text for row in rows] == [f"text of {row.record}" for row in rows]
    assert [row.mood for row in rows] == [None, None, "negative", None]
    rows = asked(insights, "records", course="C", kind="posts", limit=1).rows
    assert [row.record for row in rows] == ["p7"]


def test_what_is_behind_the_ties_of_a_student_are_their_posts_and_the_answers_to_them(
    room: Room, insights: Insights
) -> None:
    """Out: `$marks` in `message_records`."""
    written(room, School([*in_course(), *POSTS], []))
    rows = asked(insights, "records", course="C", kind="messages", of="s00").rows
    assert {(row.record, row.student, row.partner) for row in rows} == {
        ("p0", "s00", None),
        ("p1", "s01", "s00"),
        ("p2", "s02", "s00"),
        ("p3", "s00", "s01"),
        ("p7", "s01", "s00"),
    }


def test_posts_count_in_the_mood_of_the_course(room: Room, insights: Insights) -> None:
    findings = [
        RecordFinding(
            record=each.to_json(),
            finding=InteractionFinding(sentiment=sentiment, topics=("Slope",), confidence=0.9),
            origin=ORIGIN,
        )
        for each, sentiment in zip(POSTS, ("negative", "positive"), strict=False)
    ]
    written(room, School([*in_course(), *POSTS], findings))
    rows = {(row.week, row.topic): row for row in asked(insights, "mood", course="C").rows}
    assert rows["", "slope"].negative == 0.5
    assert (rows["", ""].texts, rows["", ""].students) == (2, 2)


def test_a_teacher_sees_posts_of_their_group_and_nothing_of_what_others_wrote(
    room: Room, insights: Insights
) -> None:
    """Neither the ids nor the students of posts of others. Out: `students` in `Facts.posts` (let it ask for all)."""
    for posts in permutations(POSTS[:3]):
        written(room, School([*in_course(), *posts], []))
        make_groups(
            room,
            [("s00", "g", (None, None)), ("s02", "g", (None, None))],
            [("t", "g", (None, None))],
            {"g": "C"},
        )
        teacher = caller("teacher", person="t")
        rows = asked(insights, "records", teacher, course="C", kind="posts").rows
        assert {(row.record, row.student, row.reply_to) for row in rows} == {
            ("p0", "s00", None),
            ("p2", "s02", "p0"),
        }
    written(room, School([*in_course(), *POSTS], []))
    make_groups(room, [("s01", "g", (None, None))], [("t", "g", (None, None))], {"g": "C"})
    rows = asked(insights, "records", caller("teacher", person="t"), course="C", kind="posts").rows
    assert {(row.record, row.reply_to) for row in rows} == {("p1", None), ("p7", None)}
    rows = asked(
        insights, "records", caller("teacher", person="t"), course="C", kind="messages"
    ).rows
    assert {row.partner for row in rows} == {None}


def test_nobody_sees_the_posts_of_a_restricted_student_or_a_tie_to_them(
    room: Room, insights: Insights
) -> None:
    written(room, School([*in_course(), *POSTS], []))
    room.graph.restrict_student("s00", restricted=True)
    rows = asked(insights, "records", course="C", kind="posts").rows
    assert "s00" not in {row.student for row in rows}
    assert {row.reply_to for row in rows} == {None, "p4"}
    assert exchanged(insights) == {}


def handed_in(record_id: str, student: str, hour: int, **data: Any) -> Record:
    given = {
        "student_id": student,
        "course_id": "C",
        "item_id": "essay",
        "response": f"text of {record_id}",
        **data,
    }
    return parse_record(
        {"type": "attempt_record", "timestamp": at(hour), "record_id": record_id, "data": given}
    )


def test_an_answer_without_an_outcome_is_shown_and_counted_as_a_text(
    room: Room, insights: Insights
) -> None:
    """Until its outcome comes. Out: TRIED in `messages`, `moods` or `message_records`; `n.outcome IS NULL` in them."""
    answers = [
        handed_in("a0", "s00", 1),
        handed_in("a1", "s01", 2),
        handed_in("a2", "s02", 3, score=0.2),
    ]
    mood = InteractionFinding(sentiment="negative", topics=("Slope",), confidence=0.9)
    findings = [
        RecordFinding(record=each.to_json(), finding=mood, origin=ORIGIN) for each in answers[:2]
    ]
    written(room, School([*in_course(), *answers], findings))
    rows = asked(insights, "records", course="C", kind="messages").rows
    assert [(row.record, row.kind, row.student, row.text) for row in rows] == [
        ("a1", "Attempt", "s01", "text of a1"),
        ("a0", "Attempt", "s00", "text of a0"),
    ]
    [row] = [row for row in asked(insights, "trust", course="C").rows if row.kind == "messages"]
    assert (row.records, row.read) == (2, 1.0)
    moods = {(row.week, row.topic): row for row in asked(insights, "mood", course="C").rows}
    assert moods["", "slope"].texts == 2
    outcomes = {row.record: row.outcome for row in asked(insights, "records", course="C").rows}
    assert outcomes == {"a0": None, "a1": None, "a2": 200}

    judged = handed_in("a0", "s00", 4, score=1)
    written(room, School([*in_course(), *answers[1:], judged], findings[1:]))
    assert asked(insights, "mood", course="C").rows[0].texts == 1
    assert [row.record for row in asked(insights, "records", course="C", kind="messages").rows] == [
        "a1"
    ]
