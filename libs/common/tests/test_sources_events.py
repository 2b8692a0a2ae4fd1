"""xAPI statements and Open edX events become records; what they do not tell is counted by name, never an error."""

import hashlib
import io
import json
import math
import os
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal
from edugraph_common.sources import NotRelevant, Platforms, Row, open_text, openedx, xapi
from edugraph_common.sources.openedx import decode_event
from edugraph_common.sources.rows import cut_rows, latest_timestamp, read_rows

DEFAULT_DATA = Path(__file__).parents[3].parent / "shared" / "data"
OPENEDX = Path(os.environ.get("EDUGRAPH_SHARED_DATA", DEFAULT_DATA)) / "openedx"
shared = pytest.mark.skipif(
    not OPENEDX.is_dir(), reason=f"no Open edX data at {OPENEDX} (EDUGRAPH_SHARED_DATA)"
)


SCHOOL = Platforms({"lms": ""})


def read_event(value: Any) -> Record | NotRelevant:
    return openedx.read_event(value, SCHOOL)


def read_statement(value: Any) -> Record | Withdrawal | NotRelevant:
    return xapi.read_statement(value, SCHOOL)


def event(name: str, data: Any, **other: Any) -> dict[str, Any]:
    context = {"user_id": 7, "username": "mei", "course_id": "course-v1:X+Y+Z"}
    return {
        "name": name,
        "time": "2026-03-04T05:06:07Z",
        "context": context,
        "event": data,
        **other,
    }


def statement(verb: str, **other: Any) -> dict[str, Any]:
    course = {
        "id": "http://lms/course/C1",
        "definition": {"type": "http://x/activities/course", "name": {"zh": "物理"}},
    }
    return {
        "id": "5f1e5f9e-0000-4000-8000-000000000001",
        "actor": {"name": "Mei", "account": {"homePage": "http://lms", "name": "u7"}},
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": course,
        "context": {"contextActivities": {"parent": [course]}},
        "timestamp": "2026-03-04T05:06:07Z",
        **other,
    }


def data_of(row: Record | Withdrawal | NotRelevant) -> dict[str, Any]:
    assert isinstance(row, Record)
    return row.data.model_dump(mode="json", exclude_unset=True)


def test_an_enrollment_a_grade_and_a_pass_are_states_of_the_course() -> None:
    enrolled = data_of(
        read_event(event("edx.course.enrollment.activated", {"user_id": "7", "mode": "audit"}))
    )
    assert (enrolled["student_id"], enrolled["student_name"], enrolled["enrollment_date"]) == (
        "7",
        "mei",
        "2026-03-04T05:06:07Z",
    )
    assert "progress" not in enrolled
    graded = data_of(
        read_event(
            event("edx.grades.course.grade_calculated", {"user_id": "9", "percent_grade": 0.03})
        )
    )
    assert (graded["student_id"], graded["progress"]) == ("9", 3.0)
    assert "student_name" not in graded
    passed = data_of(read_event(event("edx.course.grade.now_passed", {})))
    assert passed["completion_date"] == "2026-03-04T05:06:07Z"


def test_a_submission_is_one_attempt_of_which_the_wrong_parts_are_told() -> None:
    parts = {
        "a": {"question": "2+2?", "answer": "5", "correct": False},
        "b": {"question": "3+3?", "answer": "6", "correct": True},
        "c": {"question": "Which?", "answer": ["x", "y"], "correct": False},
    }
    graded = {
        "problem_id": "block@p1",
        "submission": parts,
        "grade": 1,
        "max_grade": 3,
        "attempts": 2,
    }
    wrong = data_of(read_event(event("problem_check", {"success": "incorrect", **graded})))
    assert (wrong["response"], wrong["question"]) == ("5\nx, y", "2+2?\nWhich?")
    assert (wrong["item_id"], wrong["correct"], wrong["attempt_number"]) == ("block@p1", False, 2)
    assert wrong["score"] == pytest.approx(1 / 3)
    assert wrong["max_score"] == 3
    right = data_of(
        read_event(event("problem_check", {"success": "correct", **graded, "max_grade": 0}))
    )
    assert (right["correct"], right["response"].splitlines()) == (True, ["5", "6", "x, y"])
    assert {"score", "max_score"}.isdisjoint(right)
    with pytest.raises(InvalidRecord, match="problem_id"):
        read_event(event("problem_check", {"success": "correct"}))
    for told in (
        {"success": "unknown"},
        "input_1=choice_2",
    ):  # of the second, the browser tells, and the server again
        assert data_of(read_event(event("problem_check", told)))["kind"] == "exercise"


def test_a_vote_is_a_like_and_a_post_that_says_whom_it_answers_is_a_message() -> None:
    vote = data_of(
        read_event(event("edx.forum.thread.voted", {"target_username": "li", "vote_value": "up"}))
    )
    assert (vote["student_id_from"], vote["student_id_to"], vote["interaction_type"]) == (
        "7",
        "li",
        "like",
    )
    post = {"body": "<p>a &lt; b</p>"}
    assert (
        data_of(read_event(event("edx.forum.comment.created", {"body": "<p> </p>"})))["kind"]
        == "forum"
    )
    answer = data_of(
        read_event(event("edx.forum.comment.created", {**post, "target_username": "li"}))
    )
    assert answer["text"] == "a < b"


FIRST = {
    "id": "64abcdfee68f35002fd013c6",
    "title": "Levers <b>1</b>",
    "body": "<p>Why is a &lt; b?</p>",
}


def test_a_post_is_the_text_of_its_student_in_its_discussion() -> None:
    """Out: `_posted`, or the discussion in it."""
    opened = data_of(read_event(event("edx.forum.thread.created", FIRST)))
    assert opened == {
        "student_id": "7",
        "student_name": "mei",
        "course_id": "course-v1:X+Y+Z",
        "thread_id": FIRST["id"],
        "title": "Levers 1",
        "text": "Why is a < b?",
    }
    reply = {
        "id": "64d2308202808b0030b8afaf",
        "discussion": {"id": FIRST["id"]},
        "body": "Because.",
    }
    for name in ("edx.forum.response.created", "edx.forum.comment.created"):
        answered = data_of(read_event(event(name, reply)))
        assert (answered["thread_id"], answered["text"]) == (FIRST["id"], "Because.")
        assert "title" not in answered
    elsewhere = Platforms({"lms": "", "mooc": "m:"}, log="https://mooc")
    created = data_of(openedx.read_event(event("edx.forum.thread.created", FIRST), elsewhere))
    assert created["thread_id"] == f"m:{FIRST['id']}"


@pytest.mark.parametrize("thread", [None, 7, "", "x" * 129, ["a"]])
def test_a_discussion_with_an_odd_id_does_not_lose_its_post(thread: Any) -> None:
    found = data_of(
        read_event(event("edx.forum.thread.created", {**FIRST, "id": thread, "title": thread}))
    )
    assert found["text"] == "Why is a < b?"
    assert "thread_id" not in found


@pytest.mark.parametrize(
    ("roles", "is_theirs"),
    [(["staff"], False), (["instructor"], False), ([], True), ("x", True), ([5], True)],
)
@pytest.mark.parametrize(
    "name", ["edx.forum.thread.created", "edx.forum.response.voted", "edx.forum.thread.viewed"]
)
def test_what_the_staff_of_a_course_writes_is_not_the_text_of_a_pupil(
    roles: Any, is_theirs: bool, name: str
) -> None:
    """Out: `_is_by_staff`."""
    data = {
        **FIRST,
        "target_username": "li" if "voted" in name else None,
        "user_course_roles": roles,
    }
    assert isinstance(read_event(event(name, data)), Record) == is_theirs


def test_an_event_that_says_nothing_for_the_graph_is_counted_whatever_its_form() -> None:
    assert read_event({"name": "play_video", "context": None}) == NotRelevant("play_video")
    assert read_event({"event_type": "/courses/x/block@1/handler"}) == NotRelevant("(page request)")
    with pytest.raises(InvalidRecord, match="name"):
        read_event({"event": {}})
    with pytest.raises(InvalidRecord, match="user_id"):
        read_event(event("edx.course.enrollment.activated", {}, context={"user_id": ""}))
    assert decode_event(b'2026 INFO [tracking] - {"name": "x"}') == {"name": "x"}


def test_statements_of_a_course() -> None:
    registered = read_statement(statement("registered"))
    assert isinstance(registered, Record)
    assert registered.record_id == "5f1e5f9e-0000-4000-8000-000000000001"
    assert data_of(registered) == {
        "student_id": "u7",
        "student_name": "Mei",
        "course_id": "C1",
        "course_name": "物理",
        "enrollment_date": "2026-03-04T05:06:07Z",
    }
    completed = data_of(read_statement(statement("completed", result={"duration": "PT1H30M"})))
    assert (completed["progress"], completed["time_spent"]) == (100, 90)


QUESTION = {
    "id": "http://lms/xblock/q1",
    "definition": {
        "name": {"en": "Sums"},
        "description": {"en-US": "2+2?"},
        "extensions": {"http://id.tincanapi.com/extension/attempt-id": 3},
    },
}


def test_an_answer_is_an_attempt_in_the_course_around_it_right_or_wrong() -> None:
    wrong = {"success": False, "response": "5", "duration": "PT1M1.5S"}
    assert data_of(read_statement(statement("answered", object=QUESTION, result=wrong))) == {
        "student_id": "u7",
        "student_name": "Mei",
        "item_id": "q1",
        "item_title": "Sums",
        "course_id": "C1",
        "correct": False,
        "attempt_number": 3,
        "question": "2+2?",
        "response": "5",
        "duration_seconds": 61.5,
    }
    right = data_of(
        read_statement(
            statement("answered", object=QUESTION, result={"success": True, "response": "4"})
        )
    )
    assert (right["correct"], right["response"]) == (True, "4")


@pytest.mark.parametrize(
    ("verb", "result", "correct", "score"),
    [
        ("passed", {}, True, None),
        ("mastered", {}, True, None),
        ("failed", {}, False, None),
        ("failed", {"success": True}, True, None),
        ("passed", {"score": {"scaled": 0.8}}, True, 0.8),
        ("scored", {"score": {"raw": 3, "max": 4}}, None, 0.75),
        ("scored", {"score": {"raw": 3, "min": 2, "max": 4}}, None, 0.5),
        ("scored", {"score": {"raw": 9, "max": 4}}, None, 1.0),
        ("scored", {"score": {"scaled": -0.5}}, None, 0.0),
        ("completed", {"success": True, "completion": True}, True, None),
        ("evaluated", {"success": True, "score": {"raw": 0, "max": 0}}, True, None),
    ],
)
def test_what_tells_how_an_attempt_went(
    verb: str, result: dict[str, Any], correct: bool | None, score: float | None
) -> None:
    found = data_of(read_statement(statement(verb, object=QUESTION, result=result)))
    assert (found.get("correct"), found.get("score")) == (correct, score)


@pytest.mark.parametrize(
    ("verb", "result"),
    [("answered", {}), ("completed", {"completion": True}), ("attempted", {"score": {"raw": 3}})],
)
def test_an_attempt_of_which_nothing_tells_how_it_went_is_activity(
    verb: str, result: dict[str, Any]
) -> None:
    used = data_of(read_statement(statement(verb, object=QUESTION, result=result)))
    assert used == {"student_id": "u7", "course_id": "C1", "activity_id": "q1"}
    scored = statement("scored", object=QUESTION, result={"score": {"raw": 3}})
    assert read_statement(scored) == NotRelevant("scored")


VIDEO = {
    "id": "http://lms/xblock/v1",
    "definition": {"type": "https://w3id.org/xapi/video/activity-type/video"},
}


def test_the_use_of_something_begins_before_the_statement_that_tells_how_long_it_was() -> None:
    """To take the guard out: let `read_statement` give activity the statement's own time."""
    watched = read_statement(statement("paused", object=VIDEO, result={"duration": "PT10M30S"}))
    assert isinstance(watched, Record)
    assert watched.time == "2026-03-04T04:55:37.000000Z"
    assert data_of(watched) == {
        "student_id": "u7",
        "course_id": "C1",
        "activity_id": "v1",
        "kind": "video",
        "duration_seconds": 630.0,
    }
    opened = read_statement(statement("initialized"))  # the course itself
    assert isinstance(opened, Record)
    assert opened.time == "2026-03-04T05:06:07.000000Z"
    assert data_of(opened) == {"student_id": "u7", "course_id": "C1"}
    elsewhere = statement("experienced", object=VIDEO, context={})
    assert read_statement(elsewhere) == NotRelevant("experienced")  # in no course
    late = statement("experienced", object=VIDEO, timestamp="soon", result={"duration": "PT1M"})
    with pytest.raises(InvalidRecord, match="timestamp"):
        read_statement(late)


@pytest.mark.parametrize(
    ("name", "told", "kind", "used"),
    [
        ("play_video", '{"id": "v1", "currentTime": 3.1}', "video", None),
        ("edx.video.played", {"id": "v1"}, "video", "v1"),
        ("load_video", {"id": 7}, "video", None),
        ("edx.ui.lms.sequence.next_selected", {"id": "block@s1"}, "page", "block@s1"),
        ("/courses/course-v1:X+Y+Z/info", '{"GET": {}}', "page", None),
        ("problem_show", {"problem_id": "p1", "id": "x"}, "exercise", "p1"),
        ("edx.special_exam.timed.attempt.submitted", {}, "exercise", None),
        ("edx.forum.thread.viewed", {"id": "x" * 129}, "forum", None),
    ],
)
def test_an_event_tells_that_something_was_used_for_a_minute(
    name: str, told: Any, kind: str, used: str | None
) -> None:
    found = data_of(read_event(event(name, told)))
    expected = {
        "student_id": "7",
        "course_id": "course-v1:X+Y+Z",
        "activity_id": used,
        "kind": kind,
    }
    assert found == {field: value for field, value in expected.items() if value}
    nobody = event(name, told, context={"user_id": None, "course_id": "c"})
    assert isinstance(read_event(nobody), NotRelevant)


def test_a_submission_to_open_edx_counts_once_and_its_grade_is_progress() -> None:
    edx = {"extensions": {"https://w3id.org/xapi/openedx/extension/transformer-version": "1"}}
    result = {"success": False, "score": {"scaled": 0.25}}
    submitted = statement("attempted", object=QUESTION, result=result)
    assert read_statement({**submitted, "context": edx}) == NotRelevant("attempted")
    assert data_of(read_statement(submitted))["correct"] is False
    graded = statement("earned", result=result, context=edx)
    assert data_of(read_statement(graded))["progress"] == 25.0
    assert read_statement(statement("earned", result=result)) == NotRelevant("earned")


def test_the_same_item_has_one_id_in_logs_and_statements_and_no_id_is_too_long() -> None:
    block = "block-v1:X+Y+Z+type@problem+block@1"
    for prefixes, prefix in (({"lms": ""}, ""), ({"lms": "a:"}, "a:")):
        platforms = Platforms(prefixes, log="lms")
        assert (
            platforms.item_id(f"http://lms/xblock/{block}")
            == prefix + block
            == platforms.log_id(block)
        )
    assert SCHOOL.item_id(f"http://other/xblock/{block}") == f"http://other/xblock/{block}"
    long = [SCHOOL.item_id(f"http://other/{'x' * 200}{end}") for end in "aab"]
    assert long[0] == long[1] != long[2]
    assert len(long[0]) <= 128


def test_the_id_of_an_event_stays_when_it_is_read_in_a_newer_way() -> None:
    """So an export that was imported before attempts were read counts each mistake once."""
    value = event(
        "problem_check", {"success": "incorrect", "problem_id": "p", "answers": {"a": "5"}}
    )
    found = read_event(value)
    assert isinstance(found, Record)
    whole = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert found.record_id == hashlib.sha256(whole.encode()).hexdigest()
    answered = read_statement(statement("answered", object=QUESTION, result={"success": False}))
    assert isinstance(answered, Record)
    assert answered.record_id == "5f1e5f9e-0000-4000-8000-000000000001"
    assert (found.reading, answered.reading) == (4, 1_004)


def test_what_is_said_to_a_person_is_an_interaction() -> None:
    person = {"objectType": "Agent", "mbox": "mailto:li@x.org", "name": "Li"}
    chat = data_of(read_statement(statement("commented", object=person, result={"response": "好"})))
    assert (chat["student_id_to"], chat["student_name_to"], chat["text"]) == (
        "li@x.org",
        "Li",
        "好",
    )
    assert data_of(read_statement(statement("liked", object=person)))["interaction_type"] == "like"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"verb": {}}, "verb.id"),
        ({"actor": {"objectType": "Agent"}}, "actor"),
        ({"timestamp": "yesterday"}, "data.enrollment_date"),
        ({"version": "3.0.0"}, "version"),
        ({"result": {"completion": "maybe"}}, "result.completion"),
    ],
)
def test_a_statement_that_cannot_be_read_says_where(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRecord) as problem:
        read_statement(statement("registered") | change)
    assert problem.value.field == field
    assert read_statement(statement("shared") | {"actor": 5}) == NotRelevant("shared")


@shared
def test_every_tracking_file_is_imported_or_counted_by_its_event_name() -> None:
    files = sorted((OPENEDX / "tracking").glob("*.json"))
    types: Counter[str] = Counter()
    for path in files:
        name = json.loads(path.read_text())["name"]
        [(_, row)] = rows_of(path, "openedx")
        assert isinstance(row, Record) or row == NotRelevant(name), path.name
        types.update([row.type] if isinstance(row, Record) else [])
    assert len(files) == 51
    assert types == {
        "course_record": 7,
        "attempt_record": 8,
        "activity_record": 27,
        "student_interaction": 1,
        "post_record": 1,
    }


@shared
def test_a_tracking_log_with_broken_lines_loses_only_these() -> None:
    rows = rows_of(OPENEDX / "tracking.log", "openedx")
    assert (len(rows), sum(isinstance(row, Record) for _, row in rows)) == (12, 6)
    assert [line for line, row in rows if isinstance(row, Reject)] == [3, 11]
    assert sum(isinstance(row, NotRelevant) and bool(row.name) for _, row in rows) == 4


@shared
def test_every_xapi_file_is_imported_or_counted() -> None:
    types, counted = Counter[str](), 0
    for path in sorted((OPENEDX / "xapi").glob("*.json")):
        value = json.loads(path.read_text())
        rows = rows_of(path, "xapi")
        assert len(rows) == (len(value) if isinstance(value, list) else 1), path.name
        assert not [row for _, row in rows if isinstance(row, Reject)], path.name
        statements = value if isinstance(value, list) else [value]
        verbs = [each["verb"]["id"].rsplit("/", 1)[1] for each in statements]
        named = [row.name.split(" (")[0] for _, row in rows if isinstance(row, NotRelevant)]
        assert set(named) <= set(verbs)
        types.update(row.type for _, row in rows if isinstance(row, Record))
        counted += len(named)
    assert types == {"course_record": 7, "attempt_record": 8, "activity_record": 27}
    assert counted + types.total() == 58


def rows_of(path: Path, file_format: Format) -> list[Row]:
    plan, text = open_text(io.BytesIO(path.read_bytes()), file_format, None)
    return list(read_rows(plan.source, cut_rows(plan.source, text)))


@pytest.mark.parametrize(
    ("share", "progress"), [(1.0, 100.0), (1.05, 100.0), (1.5, 100.0), (0.5, 50.0)]
)
def test_bonus_points_make_no_more_than_the_whole_course(share: float, progress: float) -> None:
    graded = read_event(
        event("edx.grades.course.grade_calculated", {"user_id": "9", "percent_grade": share})
    )
    assert data_of(graded)["progress"] == progress


@pytest.mark.parametrize("share", [-0.1, 1.6, 85, math.nan])
def test_what_is_no_share_of_points_is_rejected(share: float) -> None:
    with pytest.raises(InvalidRecord, match="progress"):
        read_event(
            event("edx.grades.course.grade_calculated", {"user_id": "9", "percent_grade": share})
        )


def test_an_event_of_the_far_future_is_rejected_if_the_job_says_when_it_was_accepted() -> None:
    line = json.dumps(
        event("edx.course.enrollment.activated", {"user_id": "7"}, time="2026-03-07T00:00:00Z")
    ).encode()
    plan, _ = open_text(io.BytesIO(line), "openedx", None)
    for accepted, kind in (("2026-03-05", Reject), ("2026-03-06", Record)):
        latest = latest_timestamp(datetime.fromisoformat(accepted + "T00:00:00Z").timestamp())
        assert type(plan.source.read(1, line, latest)) is kind
    assert type(plan.source.read(1, line)) is Record


@pytest.mark.parametrize(
    "text", ["<" * 100_000, "<a" * 50_000, "<" + " >" * 50_000, "<p>" * 33_000 + "<"]
)
def test_a_hostile_post_is_read_in_linear_time(text: str) -> None:
    post = event("edx.forum.response.created", {"body": text, "target_username": "li"})
    began = time.process_time()
    read_event(post)
    assert time.process_time() - began < 1


GROUP = {"objectType": "Group", "member": [{"account": {"homePage": "http://lms", "name": "u8"}}]}
PROGRESS = {"extensions": {"http://x/extensions/progress": 40}}


@pytest.mark.parametrize(
    ("verb", "other", "name"),
    [
        ("passed", {"result": {"completion": False}}, "passed"),
        ("scored", {"result": {"score": {"scaled": 1.05}}}, "scored"),
        ("earned", {"result": {"score": {"raw": 3, "max": 4}}}, "earned"),
        ("progressed", {"result": {"score": {"scaled": 0.5}}}, "progressed"),
        ("completed", {"actor": GROUP}, "completed (by a group)"),
        ("liked", {"object": GROUP}, "liked (of a Group)"),
        ("commented", {"object": {"objectType": "SubStatement"}}, "commented (of a SubStatement)"),
    ],
)
def test_a_statement_that_says_nothing_of_a_person_or_progress_is_counted_by_name(
    verb: str, other: dict[str, Any], name: str
) -> None:
    assert read_statement(statement(verb, **other)) == NotRelevant(name)


def test_progress_is_what_a_statement_says_it_is() -> None:
    result = {**PROGRESS, "score": {"scaled": 0.9}, "completion": None, "duration": None}
    assert data_of(read_statement(statement("progressed", result=result)))["progress"] == 40


@pytest.mark.parametrize("wrap", [lambda course: course, lambda course: [course]])
def test_nulls_and_a_single_activity_in_place_of_a_list_are_read(wrap: Any) -> None:
    course = {"id": "http://lms/course/C2", "definition": {"type": "http://x/course", "name": None}}
    wrong = statement(
        "answered",
        actor={"name": None, "mbox": None, "account": {"homePage": "http://lms", "name": "u7"}},
        context={"contextActivities": {"parent": wrap(course), "grouping": None}},
        result={"success": False, "response": "5", "extensions": None, "score": None},
        object=QUESTION,
        version=None,
    )
    assert data_of(read_statement(wrong))["course_id"] == "C2"
    assert (
        data_of(read_statement(statement("completed", result=None, context=None)))["progress"]
        == 100
    )


def test_a_voiding_statement_takes_back_the_one_that_it_voids() -> None:
    voided = {"objectType": "StatementRef", "id": "5f1e5f9e-0000-4000-8000-000000000001"}
    assert read_statement(statement("voided", object=voided)) == Withdrawal(record_id=voided["id"])
    with pytest.raises(InvalidRecord) as problem:
        read_statement(statement("voided", object={"objectType": "StatementRef"}))
    assert problem.value.field == "object.id"


def test_the_id_of_an_event_is_that_of_the_event_and_not_of_what_is_made_of_it() -> None:
    """To take the guard out: let `Platforms.envelope` give no `record_id`."""
    made = event("edx.course.enrollment.activated", {"user_id": "7"})
    reads = [
        openedx.read_event(made, Platforms(known)) for known in ({"lms": ""}, {"lms": "mooc:"})
    ]
    assert all(isinstance(each, Record) and each.reading == openedx.READING for each in reads)
    assert len({each.record_id for each in reads if isinstance(each, Record)}) == 1
    assert read_event({**made, "x": 1}) != reads[0]
    nameless = {name: item for name, item in statement("registered").items() if name != "id"}
    assert isinstance(found := read_statement(nameless), Record)
    assert found.record_id not in ("", found.content_hash)
