"""Open edX tracking logs: one event a line, bare JSON or behind the log's own prefix.

A student is known by the numeric user id, the only name that all events share; the targets of a forum event are
given by username alone, so there the username stands.
https://docs.openedx.org/en/latest/developers/references/internal_data_formats/tracking_logs/index.html
"""

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from edugraph_common.contracts.records import InvalidRecord, Record, parse_record, shorten
from edugraph_common.sources.json_source import decoded
from edugraph_common.sources.people import as_id
from edugraph_common.sources.source import NotRelevant

_PAGE = "(page request)"  # implicit events are named by their address, which differs for each block
_TAG = re.compile(r"<[^>]*>")


def _id(value: object) -> object:
    """Numbers and texts both occur; an empty one means that there is none."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value or None


UserId = Annotated[str | None, BeforeValidator(_id)]


class _Part(BaseModel):
    """Only what is read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Module(_Part):
    display_name: str | None = None


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
    answers: dict[str, Any] = {}
    submission: dict[str, _Answer] = {}
    body: str | None = None
    target_username: UserId = None
    vote_value: str | None = None
    undo_vote: bool = False


class _Event(_Part):
    """Newer routers write `timestamp` and `data` where the log itself has `time` and `event`."""

    timestamp: str | None
    username: UserId = None
    context: _Context = _Context()
    data: _Data

    @property
    def student_id(self) -> str:
        """Whom it is about: a grade may be set by somebody else, who stands in the context."""
        found = self.data.user_id or self.context.user_id or self.student_name
        if not found:
            raise InvalidRecord("context.user_id", "the id of a user", "", "is missing")
        return found

    @property
    def student_name(self) -> str | None:
        about_another = self.data.user_id not in (None, self.context.user_id)
        return self.data.username or (None if about_another else self.context.username or self.username)

    @property
    def course_id(self) -> str | None:
        return self.data.course_id or self.context.course_id


Made = tuple[str, dict[str, Any]] | None
"""(record type, data), or None where this event says nothing of the kind."""


def decode_event(line: bytes) -> Any:
    """Raises InvalidRecord. The log's prefix ends where the JSON begins."""
    start = line.find(b"{")
    return decoded(line[start:] if start > 0 else line)


def read_event(value: Any) -> Record | NotRelevant:
    """Raises InvalidRecord."""
    name = _name(value)
    make = _MAKERS.get(name)
    if make is None or not isinstance(_payload(value), dict):
        return NotRelevant(_PAGE if name.startswith("/") else name)
    event = _parsed(value)
    made = make(event)
    if made is None:
        return NotRelevant(name)
    kind, data = made
    given = {field: item for field, item in data.items() if item is not None}
    return parse_record({"type": kind, "timestamp": event.timestamp, "data": given})


def students_of_event(value: Any) -> Iterator[str]:
    """As `_Event.student_id`, and the target of a forum event, of an event of any name and form."""
    event = _parts(value)
    context, data = _parts(event.get("context")), _parts(_payload(event))
    ids = (data.get("user_id"), context.get("user_id"))
    names = (data.get("username"), context.get("username"), event.get("username"))
    yield next(filter(None, map(as_id, (*ids, *names))), "")
    yield as_id(data.get("target_username"))


def _parts(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: Any) -> str:
    if not isinstance(value, dict):
        raise InvalidRecord("(line)", "one JSON object", shorten(value), "is not a JSON object")
    name = value.get("name") or value.get("event_type")
    if not isinstance(name, str):
        raise InvalidRecord("name", "the name of an event", shorten(name or ""), "is missing")
    return shorten(name)


def _payload(value: dict[str, Any]) -> Any:
    return value.get("data", value.get("event"))


def _parsed(value: dict[str, Any]) -> _Event:
    moment = value.get("timestamp") or value.get("time")
    try:
        return _Event.model_validate({**value, "timestamp": moment, "data": _payload(value)})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        raise InvalidRecord(
            field, detail["msg"], shorten(detail.get("input")), "is not of the form of a tracking event"
        ) from None


def _enrolled(event: _Event) -> Made:
    return _of_course(event, enrollment_date=event.timestamp)


def _in_course(event: _Event) -> Made:
    return _of_course(event)


def _passed(event: _Event) -> Made:
    return _of_course(event, completion_date=event.timestamp)


def _graded(event: _Event) -> Made:
    """The share of the course's points that was earned so far is the nearest that a log has to progress."""
    share = event.data.percent_grade
    return None if share is None else _of_course(event, progress=round(share * 100, 4))


def _of_course(event: _Event, **fields: Any) -> Made:
    data = {"student_id": event.student_id, "student_name": event.student_name, "course_id": event.course_id}
    return "course_record", {**data, **fields}


def _checked(event: _Event) -> Made:
    """The server's answer to a submission; all its wrong parts are one mistake of that moment."""
    if event.data.success != "incorrect":
        return None
    wrong = [part for part in event.data.submission.values() if part.correct is not True]
    answers = [part.answer for part in wrong] or list(event.data.answers.values())
    questions = [part.question.strip() for part in wrong if part.question.strip()]
    return "error_record", {
        "student_id": event.student_id,
        "student_name": event.student_name,
        "course_id": event.course_id,
        "question": "\n".join(questions) or event.context.module.display_name,
        "error_text": "\n".join(_plain(answer) for answer in answers).strip() or "(no answer)",
    }


def _posted(event: _Event) -> Made:
    """Most releases do not say whom a post answers; then it is between nobody and nobody."""
    text = html.unescape(_TAG.sub("", event.data.body or "")).strip()
    return _between(event, interaction_type="chat", text=text) if text else None


def _voted(event: _Event) -> Made:
    up = event.data.vote_value in (None, "up") and not event.data.undo_vote
    return _between(event, interaction_type="like") if up else None


def _between(event: _Event, **fields: Any) -> Made:
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


_MAKERS: dict[str, Callable[[_Event], Made]] = {
    "edx.course.enrollment.activated": _enrolled,
    "edx.course.enrollment.mode_changed": _in_course,
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
