"""Open edX tracking logs: one event on each line, as bare JSON or after the prefix of the log.

The numeric user id is the id of a student, since all events have it. A forum event names its target only by username,
so there the username is the id. The caller must state the platform of the log, since many events have no host.
https://docs.openedx.org/en/latest/developers/references/internal_data_formats/tracking_logs/index.html
"""

import html
import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from edugraph_common.contracts.record_fields import MOST_POINTS
from edugraph_common.contracts.records import InvalidRecord, Record, parse_record, shorten
from edugraph_common.sources.json_source import as_object, decode_json
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.rows import NotRelevant
from edugraph_common.sources.students import STUDENT_FIELDS, People, as_id, texts_in

READING = 4  # raise it when an event becomes another record than before
_PAGE = "(page request)"  # stands for the names of implicit events, which are addresses and differ for each block
_MAX_SHARE_WITH_BONUS = 1.5
_IDS = {*STUDENT_FIELDS, "course_id", "item_id", "activity_id", "thread_id"}
_LONGEST_ID = 128  # characters
_STAFF = frozenset({"staff", "limited_staff", "instructor"})  # roles in a course
_TAG = re.compile(r"<[^<>]*+>")  # no second "<", so that each character is looked at once


def _id(value: object) -> object:
    """Return an id as text. Logs have numbers and texts. An empty text means that there is no id."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value or None


UserId = Annotated[str | None, BeforeValidator(_id)]


class _Part(BaseModel):
    """A part of an event, with only the fields that are read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Module(_Part):
    display_name: str | None = None
    usage_key: str | None = None


class _Context(_Part):
    user_id: UserId = None
    username: UserId = None
    course_id: str | None = None
    module: _Module = _Module()


class _Answer(_Part):
    question: str = ""
    answer: Any = None
    correct: Any = None


class _Data(_Part):
    user_id: UserId = None
    username: UserId = None
    course_id: str | None = None
    percent_grade: float | None = None
    success: str | None = None
    problem_id: str | None = None
    block_id: Any = None
    id: Any = None
    grade: float | None = None
    max_grade: float | None = None
    attempts: int | None = None
    answers: dict[str, Any] = {}
    submission: dict[str, _Answer] = {}
    body: str | None = None
    target_username: UserId = None
    title: Any = None
    discussion: Any = None
    user_course_roles: Any = None
    vote_value: str | None = None
    undo_vote: bool = False


class _Event(_Part):
    """An event. Newer routers write `timestamp` and `data` in place of `time` and `event`."""

    timestamp: str | None
    username: UserId = None
    context: _Context = _Context()
    data: _Data

    @property
    def student_id(self) -> str:
        """The student of the event. In a grade, the user in the context may be the person who set the grade."""
        found = self.data.user_id or self.context.user_id or self.student_name
        if not found:
            raise InvalidRecord("context.user_id", "the id of a user", "", "is missing")
        return found

    @property
    def student_name(self) -> str | None:
        if self.data.username:
            return self.data.username
        is_about_another = self.data.user_id not in (None, self.context.user_id)
        if is_about_another:
            return None
        return self.context.username or self.username

    @property
    def course_id(self) -> str | None:
        return self.data.course_id or self.context.course_id


Extracted = tuple[str, dict[str, Any]] | None
"""The type and the data of a record, or None where the event has nothing for the graph."""


def decode_event(line: bytes) -> Any:
    """Decode a line of a log. Its prefix ends where the JSON begins. Raises InvalidRecord."""
    start = line.find(b"{")
    if start > 0:
        line = line[start:]
    return decode_json(line)


def read_event(value: Any, platforms: Platforms) -> Record | NotRelevant:
    """Read a decoded event. Raises InvalidRecord."""
    if not isinstance(value, dict):
        raise InvalidRecord("(line)", "one JSON object", shorten(value), "is not a JSON object")
    name = value.get("name") or value.get("event_type")
    if not isinstance(name, str):
        raise InvalidRecord("name", "the name of an event", shorten(name or ""), "is missing")
    name = shorten(name)
    payload = _payload(value)
    extract = None
    if isinstance(payload, dict):
        extract = _EXTRACTORS.get(name)
    is_in_course = as_object(payload).get("course_id") or as_object(value.get("context")).get(
        "course_id"
    )
    kind = _kind_of_use(name) if is_in_course else None
    not_relevant = NotRelevant(_PAGE if name.startswith("/") else name)
    if extract is None and kind is None:
        return not_relevant
    event = _parsed(value)
    if _is_by_staff(event.data):
        return not_relevant
    extracted = None
    if extract:
        extracted = extract(event)
    if extracted is None and kind is not None:
        extracted = _used(event, kind)
    if extracted is None:
        return not_relevant

    record_type, data = extracted
    given = {field: item for field, item in data.items() if item is not None}
    for field in _IDS & given.keys():
        given[field] = platforms.log_id(given[field])
    envelope = platforms.envelope(READING, value)
    return parse_record(
        {**envelope, "type": record_type, "timestamp": event.timestamp, "data": given}
    )


def people_of_event(value: Any, platforms: Platforms) -> People:
    """Return the student of an event of any form, like `_Event.student_id`, and the target of a forum event."""
    event = as_object(value)
    context = as_object(event.get("context"))
    data = as_object(_payload(event))
    ids = (data.get("user_id"), context.get("user_id"))
    names = (data.get("username"), context.get("username"), event.get("username"))
    found = (next(filter(None, map(as_id, (*ids, *names))), ""), as_id(data.get("target_username")))
    students = frozenset(platforms.log_id(name) for name in found if name)
    return People(students, () if students else tuple(texts_in(value)))


def _payload(value: dict[str, Any]) -> Any:
    return value.get("data", value.get("event"))


def _parsed(value: dict[str, Any]) -> _Event:
    moment = value.get("timestamp") or value.get("time")
    data = as_object(_payload(value))
    try:
        return _Event.model_validate({**value, "timestamp": moment, "data": data})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        raise InvalidRecord(
            field,
            detail["msg"],
            shorten(detail.get("input")),
            "is not of the form of a tracking event",
        ) from None


def _enrolled(event: _Event) -> Extracted:
    return _course_record(event, enrollment_date=event.timestamp)


def _passed(event: _Event) -> Extracted:
    return _course_record(event, completion_date=event.timestamp)


def _graded(event: _Event) -> Extracted:
    """Return a course record whose progress is the share of the course's points earned so far.

    A log has no better measure of progress. With bonus points the share may be a little above 1, which counts as 1. A
    much larger value is not a share and is rejected.
    """
    share = event.data.percent_grade
    if share is None:
        return None
    if 1 < share <= _MAX_SHARE_WITH_BONUS:
        share = 1.0
    return _course_record(event, progress=round(share * 100, 4))


def _course_record(event: _Event, **fields: Any) -> Extracted:
    data = {
        "student_id": event.student_id,
        "student_name": event.student_name,
        "course_id": event.course_id,
    }
    return "course_record", {**data, **fields}


def _checked(event: _Event) -> Extracted:
    """Return the attempt in the server's answer to a submission.

    A wrong attempt has the answers of its wrong parts.
    """
    data = event.data
    module = event.context.module
    if data.success not in ("correct", "incorrect"):
        return None
    correct = data.success == "correct"
    parts = []
    for part in data.submission.values():
        if correct or part.correct is not True:
            parts.append(part)
    answers = [part.answer for part in parts] or list(data.answers.values())
    questions = [part.question.strip() for part in parts if part.question.strip()]
    item_id = data.problem_id or module.usage_key
    if not item_id:
        raise InvalidRecord("event.problem_id", "the id of a problem", "", "is missing")
    response = "\n".join(_plain(answer) for answer in answers).strip()
    score = None
    max_score = None
    possible = data.max_grade or 0.0
    if data.grade is not None and possible > 0:
        score = min(1.0, data.grade / possible)
        max_score = possible if possible <= MOST_POINTS else None
    attempt_number = None
    if data.attempts and data.attempts > 0:
        attempt_number = data.attempts
    return "attempt_record", {
        "student_id": event.student_id,
        "student_name": event.student_name,
        "course_id": event.course_id,
        "item_id": item_id,
        "item_title": module.display_name,
        "correct": correct,
        "score": score,
        "max_score": max_score,
        "attempt_number": attempt_number,
        "question": "\n".join(questions) or None,
        "response": response or "(no answer)",
    }


def _posted(event: _Event) -> Extracted:
    """Return the message to the person whom a post answers, or the post. In most releases a post names no person."""
    data = event.data
    text = _plain_text(data.body)
    if not text:
        return None
    if data.target_username:
        return _interaction(event, interaction_type="chat", text=text)
    if not event.course_id:
        return None
    thread: Any = data.id
    if isinstance(data.discussion, dict):
        thread = data.discussion.get("id")
    is_id = isinstance(thread, str) and 0 < len(thread) <= _LONGEST_ID
    if not is_id:
        thread = None
    return "post_record", {
        "student_id": event.student_id,
        "student_name": event.student_name,
        "course_id": event.course_id,
        "thread_id": thread,
        "title": _plain_text(data.title) or None,
        "text": text,
    }


def _is_by_staff(data: _Data) -> bool:
    """Return whether an event of a forum is the work of the course's staff, who are not students."""
    roles = data.user_course_roles
    return isinstance(roles, list) and any(
        role in _STAFF for role in roles if isinstance(role, str)
    )


def _plain_text(marked_up: Any) -> str:
    """Return a text without its tags, or an empty text."""
    if not isinstance(marked_up, str):
        return ""
    return html.unescape(_TAG.sub("", marked_up)).strip()


def _voted(event: _Event) -> Extracted:
    up = event.data.vote_value in (None, "up") and not event.data.undo_vote
    if not up:
        return None
    return _interaction(event, interaction_type="like")


def _interaction(event: _Event, **fields: Any) -> Extracted:
    target = event.data.target_username
    if not target:
        return None
    return "student_interaction", {
        "student_id_from": event.student_id,
        "student_id_to": target,
        "student_name_from": event.student_name,
        "student_name_to": target,
        "course_id": event.course_id,
        **fields,
    }


# Patterns of the names of events that show the use of something, even if they show more.
_USES = {
    "video": ("*_video", "edx.video.*", "*_transcript", "video_*_cc_menu"),
    "page": (
        "edx.ui.lms.*",
        "seq_*",
        "page_close",
        "textbook.*",
        "edx.bookmark.*",
        "edx.course.tool.accessed",
    ),
    "exercise": (
        "problem_*",
        "showanswer",
        "edx.problem.*",
        "edx.grades.problem.submitted",
        "openassessmentblock.*",
        "edx.special_exam.*.attempt.created",
        "edx.special_exam.*.attempt.started",
        "edx.special_exam.*.attempt.submitted",
    ),
    "forum": (
        "edx.forum.*.created",
        "edx.forum.*.edited",
        "edx.forum.*.viewed",
        "edx.forum.*.voted",
        "edx.forum.searched",
    ),
}

_EXTRACTORS: dict[str, Callable[[_Event], Extracted]] = {
    "edx.course.enrollment.activated": _enrolled,
    "edx.course.enrollment.mode_changed": _course_record,
    "edx.course.grade.passed.first_time": _passed,
    "edx.course.grade.now_passed": _passed,
    "edx.grades.course.grade_calculated": _graded,
    "problem_check": _checked,
    "edx.forum.thread.created": _posted,
    "edx.forum.response.created": _posted,
    "edx.forum.comment.created": _posted,
    "edx.forum.thread.voted": _voted,
    "edx.forum.response.voted": _voted,
}


def _used(event: _Event, kind: str) -> Extracted:
    """Return the activity of an event: the use of something for a minute, since the log has no durations."""
    if not event.course_id or not (
        event.data.user_id or event.context.user_id or event.student_name
    ):
        return None
    used = None
    for each in (
        event.data.problem_id,
        event.data.block_id,
        event.context.module.usage_key,
        event.data.id,
    ):
        if isinstance(each, str) and 0 < len(each) <= _LONGEST_ID:
            used = each
            break
    return "activity_record", {
        "student_id": event.student_id,
        "course_id": event.course_id,
        "activity_id": used,
        "kind": kind,
    }


def _kind_of_use(name: str) -> str | None:
    """Return the kind of thing that an event with this name uses, or None.

    The name of a page request is an address.
    """
    if name.startswith("/courses/"):
        return "page"
    for kind, patterns in _USES.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return kind
    return None


def _plain(answer: Any) -> str:
    return ", ".join(_texts(answer))


def _texts(answer: Any) -> Iterator[str]:
    if isinstance(answer, list):
        for each in answer:
            yield from _texts(each)
    elif isinstance(answer, str):
        yield answer
    elif answer is not None:
        yield json.dumps(answer, ensure_ascii=False)
