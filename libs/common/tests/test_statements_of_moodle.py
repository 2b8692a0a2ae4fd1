"""Statements that are made up in the forms of Moodle's plugin logstore_xapi. Moodle's own fixtures: test_fixtures_of_senders.py."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.records import Record
from edugraph_common.sources import NotRelevant, Platforms, RawRow
from edugraph_common.sources import moodle as rules
from edugraph_common.sources.chunking import rows_of
from edugraph_common.sources.read_plan import ReadPlan
from edugraph_common.sources.xapi import people_of_statement, read_statement

SITE = "https://moodle.school.example/lms"
OWN = Platforms({"moodle.school.example/lms": ""})
AT = "2026-03-04T05:06:07Z"
INFO = "http://lrs.learninglocker.net/define/extensions/info"
PREPOSITION = "https://yetanalytics.com/profiles/prepositions/concepts/context-extensions"
PLUGIN = "https://github.com/xAPI-vle/moodle-logstore_xapi"


def activity(page: str, kind: str, name: str = "", **definition: Any) -> dict[str, Any]:
    named = {"name": {"en": name}} if name else {}
    return {
        "id": f"{SITE}/{page}",
        "objectType": "Activity",
        "definition": {"type": f"https://types.example/{kind}", **named, **definition},
    }


COURSE = activity("course/view.php?id=7", "course", "Physics")
SECTION = activity("course/section.php?id=70", "section", "Week 1")
QUIZ = activity("mod/quiz/view.php?id=11", "assessment", "Forces")
LESSON = activity("mod/lesson/view.php?id=12", "lesson", "Levers")


def person(name: str, **more: Any) -> dict[str, Any]:
    return {"account": {"homePage": SITE, "name": name}, "name": f"Pupil {name}", **more}


def attempt(number: int) -> dict[str, Any]:
    return activity(
        f"mod/quiz/attempt.php?attempt={number}&cmid=11", "attempt", f"Forces Attempt {number}"
    )


def sent(
    verb: str,
    used: dict[str, Any],
    result: dict[str, Any] | None = None,
    *,
    by: str = "21",
    within: Sequence[dict[str, Any]] = (),
    extensions: dict[str, Any] | None = None,
    **context: Any,
) -> dict[str, Any]:
    """A statement as the plugin sends it, without an id."""
    info = {"http://moodle.org": "4.5", PLUGIN: "5.0.1", "event_name": "\\x"}
    return {
        "actor": person(by),
        "verb": {"id": f"http://verbs.example/{verb}"},
        "object": used,
        **({"result": result} if result else {}),
        "context": {
            "language": "en",
            "platform": "Moodle",
            "contextActivities": {"parent": [*within, SECTION, COURSE]},
            "extensions": {INFO: info, **(extensions or {})},
            **context,
        },
        "timestamp": AT,
    }


def summary(number: int = 901, by: str = "21", raw: float = 5) -> dict[str, Any]:
    score = {"raw": raw, "min": 0, "max": 10, "scaled": raw / 5 - 1}
    result = {"score": score, "completion": True, "success": True, "duration": "PT90S"}
    return sent("completed", attempt(number), result, by=by, within=[QUIZ])


def question(
    number: int = 901,
    result: dict[str, Any] | None = None,
    *,
    slot: int = 1,
    by: str = "21",
    kind: str = "choice",
) -> dict[str, Any]:
    asked = activity(
        f"question/question.php?cmid=11&id={500 + slot}",
        "cmi.interaction",
        f"Question {slot}",
        interactionType=kind,
        description={"en": "What is a force?"},
    )
    return sent(
        "answered",
        asked,
        result or {"success": True, "response": "a-push"},
        by=by,
        within=[attempt(number), QUIZ],
    )


def read(value: dict[str, Any], platforms: Platforms = OWN) -> Any:
    return read_statement(value, platforms)


def data_of(value: dict[str, Any], platforms: Platforms = OWN) -> dict[str, Any]:
    found = read(value, platforms)
    assert isinstance(found, Record), found
    return found.data.model_dump(mode="json", exclude_unset=True)


def in_one_file(
    values: Sequence[dict[str, Any]], batch_size: int = 1_000, layout: Any = "lines"
) -> list[Any]:
    """Return what becomes of statements that come in one file."""
    plan = ReadPlan(format="xapi", layout=layout, platforms=dict(OWN.prefixes or {}))
    if layout == "lines":
        text = "".join(json.dumps(each) + "\n" for each in values)
    else:
        text = json.dumps({"statements": values, "more": ""})
    rows = rows_of(plan.source.chunks([text.encode()], batch_size))
    return [plan.source.read(row.line, row.raw) for row in rows]


# --- Courses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefixes", "course_id"),
    [
        ({"moodle.school.example/lms": ""}, "7"),
        ({"moodle.school.example": "m:"}, "m:7"),
        ({}, f"{SITE}/course/view.php?id=7"),
    ],
)
def test_a_course_has_the_id_in_the_query_of_its_page(
    prefixes: dict[str, str], course_id: str
) -> None:
    """Out: the page of Moodle in `Platforms._own_id`. Then all courses end in `view.php?id=7`."""
    assert data_of(sent("viewed", COURSE), Platforms(prefixes))["course_id"] == course_id
    assert data_of(sent("enrolled", COURSE), Platforms(prefixes))["course_id"] == course_id


def test_a_page_that_only_looks_like_a_course_keeps_its_address() -> None:
    for page in (
        "course/view.php?name=x",
        "course/view.php?id=7&section=2",
        "course/view.php?id=x",
    ):
        assert OWN.course_id(f"{SITE}/{page}") == page.removeprefix("course/")


def test_a_module_with_imported_content_is_not_a_course() -> None:
    """Out: `moodle.is_module` in `_is_course`. The plugin gives these modules the type of a course."""
    content = activity("mod/imscp/view.php?id=31", "course", "Reader")
    used = data_of(sent("viewed", content))
    assert (used["course_id"], used["activity_id"], used["kind"]) == ("7", content["id"], "page")
    assert read(sent("enrolled", content)) == NotRelevant("enrolled")


@pytest.mark.parametrize("verb", ["suspended", "resumed"])
def test_whoever_suspends_an_enrolment_is_not_the_pupil(verb: str) -> None:
    """Out: the enrolment in `_used`. The actor is the pupil, and the teacher is the instructor."""
    assert read(sent(verb, COURSE, instructor=person("1"))) == NotRelevant(verb)
    assert (
        data_of(sent(verb, activity("mod/questionnaire/view.php?id=5", "survey")))["kind"]
        == "exercise"
    )


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("badges/overview.php?id=1", "badge"),
        ("calendar/view.php?id=1", "calendar-event"),
        ("course/view.php?id=7", "course"),
    ],
)
def test_the_work_of_staff_is_not_the_use_of_a_course(page: str, kind: str) -> None:
    """Out: `_edited`."""
    assert read(sent("edited", activity(page, kind))) == NotRelevant("edited")


@pytest.mark.parametrize(
    ("module", "kind", "expected"),
    [
        ("h5pactivity", "media", "exercise"),
        ("lti", "media", None),
        ("quiz", "assessment", "exercise"),
        ("lesson", "lesson", "page"),
        ("forum", "forum", "forum"),
        ("bigbluebuttonbn", "meeting", None),
    ],
)
def test_the_module_says_what_was_used(module: str, kind: str, expected: str | None) -> None:
    """Out: `moodle.kind_of_use`. The type of an H5P activity is `media`, which is a video elsewhere."""
    used = data_of(sent("viewed", activity(f"mod/{module}/view.php?id=9", kind)))
    assert used.get("kind") == expected


def test_a_meeting_is_joined_and_a_group_is_not_used() -> None:
    assert (
        data_of(sent("join", activity("mod/bigbluebuttonbn/view.php?id=9", "meeting")))["course_id"]
        == "7"
    )
    assert read(sent("join", activity("group/index.php?id=3", "group"))) == NotRelevant("join")


# --- Quizzes ------------------------------------------------------------------------------------------------------


def test_the_item_is_the_quiz_and_not_one_attempt_at_it() -> None:
    """Out: the attempt in `moodle.item_iri`, its number, or the title of the activity for which it stands."""
    first = data_of(summary(901, raw=2))
    second = data_of(summary(977, raw=8))
    assert first["item_id"] == second["item_id"] == QUIZ["id"]
    assert (first["attempt_number"], second["attempt_number"]) == (901, 977)
    assert first["item_title"] == "Forces"
    assert first["duration_seconds"] == 90
    without_module = summary(901)
    without_module["object"]["id"] = f"{SITE}/mod/quiz/attempt.php?attempt=901"
    assert data_of(without_module)["item_id"] == QUIZ["id"]


@pytest.mark.parametrize(("raw", "share"), [(0, 0.0), (5, 0.5), (10, 1.0)])
def test_the_outcome_is_that_of_the_points_and_not_whether_the_pupil_passed(
    raw: float, share: float
) -> None:
    """Out: Moodle's rule in `_outcome`. The mark for passing is 0 by default, so 0 of 10 points are a success."""
    found = data_of(summary(raw=raw))
    assert found["score"] == share
    assert "correct" not in found


def test_a_question_is_right_or_wrong_and_its_answer_is_what_the_pupil_saw() -> None:
    extension = {"http://learninglocker.net/xapi/cmi/choice/response": "A push, or a pull"}
    found = data_of(
        question(result={"success": False, "response": "a-push-or-a-pull", "extensions": extension})
    )
    assert (found["correct"], found["response"]) == (False, "A push, or a pull")
    assert (found["question"], found["attempt_number"]) == ("What is a force?", 901)


def test_a_module_that_is_completed_is_used_and_not_tried() -> None:
    """Out: the verb in `_outcome`. The success follows from the attempts, which come in their own statements."""
    result = {"completion": True, "success": True}
    assert data_of(sent("completed", QUIZ, result)) == {
        "student_id": "21",
        "course_id": "7",
        "activity_id": QUIZ["id"],
        "kind": "exercise",
    }


@pytest.mark.parametrize("layout", ["lines", "answers"])
@pytest.mark.parametrize("batch_size", [1, 2, 1_000])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_summary_counts_only_if_its_questions_did_not_come(
    batch_size: int, layout: str, is_reversed: bool
) -> None:
    """Out: `mark_summaries`. The outcome is one whatever the batches, and whatever the order of the export."""
    values = [
        summary(901),
        question(901, slot=1),
        question(901, slot=2),
        summary(902, by="22"),
        question(903, by="23"),
    ]
    found = in_one_file(values[::-1] if is_reversed else values, batch_size, layout)
    found = found[::-1] if is_reversed else found
    assert found[0] == NotRelevant("completed (its questions count)")
    assert [type(each) for each in found[1:]] == [Record] * 4
    assert found[3].data.item_id == QUIZ["id"]


@given(
    attempts=st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 3), st.booleans()), min_size=1, max_size=8
    ),
    order=st.randoms(use_true_random=False),
)
def test_no_attempt_counts_by_its_summary_and_its_questions(
    attempts: list[Any], order: Any
) -> None:
    """The reference is computed from the numbers of questions."""
    values = [sent("viewed", COURSE)]
    questions: dict[int, int] = {}
    for number, count, has_summary in attempts:
        values += [question(number, slot=slot) for slot in range(count)]
        questions[number] = questions.get(number, 0) + count
        if has_summary:
            values.append(summary(number))
    order.shuffle(values)
    expected = []
    for value in values:
        number = (
            int(value["object"]["id"].split("attempt=")[1].split("&")[0])
            if "attempt=" in value["object"]["id"]
            else None
        )
        expected.append(number is None or questions[number] == 0)
    assert [isinstance(each, Record) for each in in_one_file(values)] == expected


def test_a_lesson_that_ended_counts_only_if_its_questions_did_not_come() -> None:
    """Out: the person in the place of a lesson."""
    page = activity(
        "mod/lesson/view.php?id=12&pageid=3", "cmi.interaction", "Page 3", interactionType="choice"
    )
    session = activity("mod/lesson/view.php?id=12#lesson", "lesson-session", "Levers")
    score = {
        "score": {"raw": 75, "min": 0, "max": 100, "scaled": 0.5},
        "success": True,
        "completion": True,
    }
    answered = sent("answered", page, {"success": True, "response": "a"}, by="21", within=[LESSON])
    ended = [sent("completed", session, score, by=by, within=[LESSON]) for by in ("21", "22")]
    found = in_one_file([answered, *ended])
    assert found[1] == NotRelevant("completed (its questions count)")
    assert (found[2].data.item_id, found[2].data.score) == (LESSON["id"], 0.75)


def test_the_rows_that_wait_for_questions_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: one of the two bounds in `mark_summaries`."""
    other = [sent("viewed", COURSE, by=str(number)) for number in range(20)]
    values = [summary(), *other, question()]
    for bound, least in (("_MOST_WAITING_ROWS", 5), ("_MOST_WAITING_BYTES", 3_000)):
        with monkeypatch.context() as patch:
            patch.setattr(rules, bound, least)
            assert isinstance(in_one_file(values)[0], Record)
    assert isinstance(in_one_file(values)[0], NotRelevant)
    with monkeypatch.context() as patch:
        patch.setattr(rules, "_MOST_REMEMBERED", 1)
        found = in_one_file([question(1), question(2), summary(1), summary(2)])
        assert [type(each) for each in found[2:]] == [Record, NotRelevant]


@pytest.mark.parametrize(
    "raw",
    [
        b"attempt.php",
        b'{"object": "attempt.php"',
        b"[" * 5_000 + b"attempt.php",
        b'"attempt.php"',
        b"{}attempt.php",
        b'{"verb": {"id": "x/answered"}, "context": 5, "object": "mod/lesson"}',
        b'{"verb": {"id": "x/completed"}, "a": "attempt.php"}',
    ],
)
def test_rows_of_another_form_pass_unchanged(raw: bytes) -> None:
    for is_cut in (False, True):
        assert list(rules.mark_summaries([RawRow(1, raw, is_cut)])) == [RawRow(1, raw, is_cut)]


# --- Teachers -----------------------------------------------------------------------------------------------------


def test_the_comment_of_a_teacher_is_not_the_answer_of_a_pupil() -> None:
    """Out: the verbs in `_answer`. A failed assignment would become a mistake with the teacher's words."""
    page = activity("mod/assign/view.php?id=14", "assignment", "Essay on levers")
    submission = activity(
        "mod/assign/view.php?id=14#submission", "submission", "Essay on levers Submission"
    )
    result = {
        "score": {"raw": 2, "min": 0, "max": 10, "scaled": -0.6},
        "success": True,
        "response": "Read chapter 2!",
    }
    found = data_of(sent("scored", submission, result, within=[page], instructor=person("1")))
    assert found == {
        "student_id": "21",
        "student_name": "Pupil 21",
        "item_id": page["id"],
        "item_title": "Essay on levers",
        "score": 0.2,
        "max_score": 10,
        "course_id": "7",
    }


def test_an_essay_belongs_to_its_learner_and_not_to_the_teacher_who_graded_it() -> None:
    """Out: `moodle.learner`, or its place among those of students."""
    page = activity(
        "mod/lesson/view.php?id=12&pageid=4",
        "cmi.interaction",
        "Essay",
        interactionType="long-fill-in",
    )
    result = {"response": "Well done", "score": {"raw": 1, "min": 0, "max": 1, "scaled": 1}}
    graded = sent(
        "assessed",
        page,
        result,
        by="1",
        within=[LESSON],
        extensions={f"{PREPOSITION}/for": person("21")},
    )
    found = data_of(graded)
    assert (found["student_id"], found["score"]) == ("21", 1.0)
    assert "response" not in found
    assert people_of_statement(graded, OWN).ids == {"1", "21"}


@pytest.mark.parametrize(("by", "is_used"), [("21", True), ("1", False)])
def test_a_teacher_who_looks_at_the_work_of_a_pupil_does_not_use_the_course(
    by: str, is_used: bool
) -> None:
    """Out: the learner in `_used`."""
    submission = activity("mod/assign/view.php?id=14#submission", "submission")
    viewed = sent("viewed", submission, by=by, extensions={f"{PREPOSITION}/for": person("21")})
    assert isinstance(read(viewed), Record) == is_used


def graded_by_hand(slot: int) -> dict[str, Any]:
    review = activity(
        f"review.php?attempt=901&slot={slot}", "review#slot", f"Forces Review Slot {slot}"
    )
    result = {"score": {"raw": 0.5, "min": 0, "max": 1, "scaled": 0}}
    return sent("scored", review, result, within=[attempt(901), QUIZ], instructor=person("1"))


def test_a_question_that_was_graded_by_hand_belongs_to_its_quiz() -> None:
    """Out: the slot in `moodle.item_iri`, or `is_score_of_another_question`."""
    found = data_of(graded_by_hand(1))
    assert (found["item_id"], found["score"], found["attempt_number"]) == (
        f"{QUIZ['id']}#slot=1",
        0.5,
        901,
    )
    assert read(graded_by_hand(2)) == NotRelevant("scored")


def test_points_out_of_none_are_not_an_outcome() -> None:
    result = {"score": {"raw": 0, "min": 0, "max": 0, "scaled": 0}, "success": True}
    assert read(
        sent("scored", activity("mod/assign/view.php?id=14", "assignment"), result)
    ) == NotRelevant("scored")


# --- Texts of pupils ----------------------------------------------------------------------------------------------

FORUM = activity("mod/forum/view.php?id=15", "forum", "Questions")
DISCUSSION = activity("mod/forum/discuss.php?d=3", "discussion", "Why levers?")


def post_of(value: dict[str, Any]) -> tuple[str, str, str | None]:
    """Return author, thread and text of a post."""
    found = read(value)
    assert isinstance(found, Record), found
    assert found.type == "post_record"
    data: Any = found.data
    assert data.course_id == "7"
    return data.student_id, data.thread_id.removeprefix(f"{SITE}/"), data.text


@pytest.mark.parametrize("verb", ["replied", "edited"])
def test_a_reply_belongs_to_its_discussion(verb: str) -> None:
    """Out: the description in `_text`, the thread, or the post in `_edited`."""
    reply = activity(
        "mod/forum/discuss.php?d=3#p8",
        "forum-reply",
        "Re: Why levers?",
        description={"en": " To lift. "},
    )
    value = sent(verb, reply, within=[DISCUSSION, FORUM])
    assert post_of(value) == ("21", "mod/forum/discuss.php?d=3", "To lift.")
    silent = activity("mod/forum/discuss.php?d=3#p8", "forum-reply")
    assert data_of(sent(verb, silent, within=[DISCUSSION, FORUM]))["kind"] == "forum"


def test_a_new_discussion_has_its_title_as_its_text() -> None:
    """Out: `_begun`. The plugin sends the title alone."""
    assert post_of(sent("create", DISCUSSION, within=[FORUM])) == (
        "21",
        "mod/forum/discuss.php?d=3",
        "Why levers?",
    )
    for other in (
        activity("course/view.php?id=7", "course", "Physics"),
        activity("calendar/view.php?id=1", "event", "Test"),
    ):
        assert read(sent("create", other)) == NotRelevant("create")


def test_a_comment_belongs_to_what_it_is_about() -> None:
    entry = activity("mod/glossary/showentry.php?eid=4", "glossary-entry", "Lever")
    comment = activity(
        "mod/glossary/showentry.php?eid=4#c1",
        "comment",
        "RE: Lever",
        description={"en": "And a seesaw?"},
    )
    assert post_of(sent("commented", comment, within=[entry])) == (
        "21",
        "mod/glossary/showentry.php?eid=4",
        "And a seesaw?",
    )
    page = activity("mod/wiki/comments.php?pageid=6", "discussion", "Levers Discussion")
    value = sent("commented", page, {"response": "Is this right?"})
    assert post_of(value) == ("21", "mod/wiki/comments.php?pageid=6", "Is this right?")


@pytest.mark.parametrize(
    ("kind", "is_read"),
    [
        ("long-fill-in", True),
        ("fill-in", True),
        (None, True),
        ("choice", False),
        ("numeric", False),
        ("likert", False),
    ],
)
def test_free_feedback_is_a_post_and_a_choice_is_not(kind: str | None, is_read: bool) -> None:
    """Out: `_FREE_TEXT`, or `moodle.is_questionnaire`."""
    feedback = activity("mod/feedback/view.php?id=16", "feedback", "How was it?")
    asked = activity(
        "mod/feedback/edit_item.php?id=2", "cmi.interaction", "What was hard?", interactionType=kind
    )
    value = sent(
        "answered", asked, {"completion": True, "response": "The levers"}, within=[feedback]
    )
    if is_read:
        assert post_of(value) == ("21", "mod/feedback/view.php?id=16", "The levers")
        nameless = {**value, "actor": person("anonymous")}
        assert post_of(nameless)[0] == "anonymous"
    else:
        assert data_of(value)["kind"] == "exercise"


@pytest.mark.parametrize(
    ("kind", "is_read"), [("long-fill-in", True), ("fill-in", True), ("choice", False)]
)
def test_an_essay_is_handed_in_and_not_yet_a_try(kind: str, is_read: bool) -> None:
    """Out: the text without an outcome in `_tried`."""
    value = question(result={"response": "A force pushes.", "completion": True}, kind=kind)
    found = read(value)
    assert isinstance(found, Record)
    assert found.type == ("attempt_record" if is_read else "activity_record")
    if is_read:
        data: Any = found.data
        assert (data.has_outcome, data.response) == (False, "A force pushes.")
    empty = read(question(result={"response": " ", "completion": False}, kind=kind))
    assert isinstance(empty, Record)
    assert empty.type == "activity_record"


def test_a_message_to_a_group_is_a_post_to_it() -> None:
    group = activity("group/index.php?id=3", "group", "Lab 3")
    value = message(
        {"objectType": "Group", "name": "Lab 3", "member": [person("22"), person("23")]}
    )
    value["context"]["contextActivities"]["grouping"] = [group]
    assert post_of(value) == ("21", "group/index.php?id=3", "Did you do question 3?")
    assert people_of_statement(value, OWN).ids == {"21", "22", "23"}


def test_a_post_outside_of_a_course_is_counted() -> None:
    reply = activity("mod/forum/discuss.php?d=3#p8", "forum-reply", description={"en": "To lift."})
    value = sent("replied", reply)
    value["context"]["contextActivities"] = {}
    assert read(value) == NotRelevant("replied")


# --- Messages and persons -----------------------------------------------------------------------------------------


def message(to: dict[str, Any]) -> dict[str, Any]:
    text = activity(
        "message?id=8", "chat-message", "Hello", description={"en": "Did you do question 3?"}
    )
    return sent("send", text, extensions={f"{PREPOSITION}/to": to})


def test_a_message_goes_to_the_person_whom_the_context_names() -> None:
    found = data_of(message(person("22")))
    assert (found["student_id_from"], found["student_id_to"], found["course_id"]) == (
        "21",
        "22",
        "7",
    )
    assert (found["interaction_type"], found["text"]) == ("chat", "Did you do question 3?")
    assert people_of_statement(message(person("22")), OWN).ids == {"21", "22"}


@pytest.mark.parametrize(
    "to", [{"name": "Class", "objectType": "Group", "member": [person("22")]}, {"account": 5}, "x"]
)
def test_a_message_to_nobody_in_particular_is_not_a_talk_between_two(to: Any) -> None:
    assert not isinstance(read(message(to)), Record) or read(message(to)).type == "post_record"


def test_a_note_about_a_pupil_names_that_pupil() -> None:
    """Out: the extensions of a definition among the places of students."""
    subject = {
        "https://xapi.edlm/profiles/edlm-lms/concepts/activity-extensions/note-subject": person(
            "21"
        )
    }
    note = sent(
        "create", activity("notes/view.php?id=1", "note", "Note", extensions=subject), by="1"
    )
    assert people_of_statement(note, OWN).ids == {"1", "21"}
    assert read(note) == NotRelevant("create")


def test_all_who_answer_without_a_name_are_not_one_pupil() -> None:
    """Out: `is_anonymous`. The plugin gives them one account."""
    feedback = activity("mod/feedback/view.php?id=16", "feedback", "How was it?")
    assert read(sent("submit", feedback, by="anonymous")) == NotRelevant("submit (anonymous)")
    assert data_of(sent("submit", feedback))["kind"] == "exercise"


@pytest.mark.parametrize(
    "used",
    [
        activity(f"mod/quiz/attempt.php?attempt={'9' * 5_000}&cmid=11", "attempt"),
        activity("mod/quiz/attempt.php?attempt=999999999999&cmid=11", "attempt"),
        activity("mod/" * 20_000 + "quiz/view.php?id=x", "assessment"),
        activity("mod/quiz/view.php?id=" + "1" * 200_000 + "x", "assessment"),
    ],
)
def test_an_address_of_an_odd_form_is_an_item_and_no_number(used: dict[str, Any]) -> None:
    score = {"score": {"raw": 1, "min": 0, "max": 2, "scaled": 0}}
    found = data_of(sent("completed", used, score))
    assert found["score"] == 0.5
    assert "attempt_number" not in found
    assert len(found["item_id"]) <= 128
