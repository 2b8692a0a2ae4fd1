"""xAPI 1.0.3 statements: of a course, of an answer that was wrong, and of one person to another.

Verbs are told by the last part of their IRI: registries differ in the rest. A statement's own id is the record_id.
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Data.md
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edugraph_common.contracts.records import InvalidRecord, Record, parse_record, shorten
from edugraph_common.sources.people import as_id
from edugraph_common.sources.source import NotRelevant

_LANGUAGES = ("zh-CN", "zh", "en-US", "en")


class _Part(BaseModel):
    """Only what is read; the rest of a statement is the sender's business."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Account(_Part):
    name: str


class _Agent(_Part):
    kind: str = Field(default="Agent", alias="objectType")
    name: str | None = None
    account: _Account | None = None
    mbox: str | None = None
    mbox_sha1sum: str | None = None
    openid: str | None = None

    @property
    def id(self) -> str | None:
        mail = self.mbox.removeprefix("mailto:") if self.mbox else None
        return (self.account.name if self.account else None) or mail or self.mbox_sha1sum or self.openid


class _Definition(_Part):
    type: str | None = None
    name: dict[str, str] = {}
    description: dict[str, str] = {}


class _Object(_Agent):
    iri: str | None = Field(default=None, alias="id")
    name: str | None = None
    definition: _Definition = _Definition()

    @property
    def is_course(self) -> bool:
        return (self.definition.type or "").endswith("/course")


class _Activities(_Part):
    parent: tuple[_Object, ...] = ()
    grouping: tuple[_Object, ...] = ()


class _Context(_Part):
    activities: _Activities = Field(default=_Activities(), alias="contextActivities")


class _Score(_Part):
    scaled: float | None = None
    raw: float | None = None
    max: float | None = None

    @property
    def percent(self) -> float | None:
        if self.scaled is not None:
            return round(self.scaled * 100, 4)
        return round(100 * self.raw / self.max, 4) if self.raw is not None and self.max else None


class _Result(_Part):
    success: bool | None = None
    response: str | None = None
    score: _Score = _Score()
    duration: timedelta | None = None
    extensions: dict[str, Any] = {}


class _Statement(_Part):
    id: str | None = None
    actor: _Agent
    object: _Object
    result: _Result = _Result()
    context: _Context = _Context()
    timestamp: str | None = None
    stored: str | None = None
    version: str = Field(default="1.0.3", pattern=r"^1\.0")

    @property
    def moment(self) -> str | None:
        return self.timestamp or self.stored


def students_of_statement(value: Any) -> Iterator[str]:
    """Of its actor, of the person it is said to, and of the members of a group."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            yield _id_of_agent(found)
            waiting += [found.get(part) for part in ("actor", "object", "member")]


def _id_of_agent(value: dict[str, Any]) -> str:
    """As `_Agent.id`, of an agent that may be wrong in other ways."""
    account = value.get("account")
    name = as_id(account.get("name")) if isinstance(account, dict) else ""
    mail = as_id(value.get("mbox")).removeprefix("mailto:")
    return name or mail or as_id(value.get("mbox_sha1sum")) or as_id(value.get("openid"))


Fields = dict[str, Any]
Made = tuple[str, Fields] | None
"""(record type, data), or None where the statement says nothing of the kind."""


def read_statement(value: Any) -> Record | NotRelevant:
    """Raises InvalidRecord."""
    verb = _verb(value)
    make = _MAKERS.get(verb)
    if make is None:
        return NotRelevant(verb)
    statement = _parsed(value)
    made = make(statement, verb)
    if made is None:
        return NotRelevant(verb)
    kind, data = made
    record = {"type": kind, "timestamp": statement.moment, "record_id": statement.id}
    return parse_record({**record, "data": {name: item for name, item in data.items() if item is not None}})


def _verb(value: Any) -> str:
    verb = value.get("verb") if isinstance(value, dict) else None
    iri = verb.get("id") if isinstance(verb, dict) else None
    if not isinstance(iri, str) or not iri:
        raise InvalidRecord("verb.id", "the IRI of a verb", shorten(iri or value), "is missing")
    return shorten(iri.rstrip("/").rsplit("/", 1)[-1])


def _parsed(value: Any) -> _Statement:
    try:
        return _Statement.model_validate(value)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        missing = detail["type"] == "missing"
        found = "" if missing else shorten(detail.get("input"))
        reason = "is missing" if missing else "is not of the form of xAPI 1.0.3"
        raise InvalidRecord(field, detail["msg"], found, reason) from None


def _enrolled(statement: _Statement, _verb: str) -> Made:
    return _of_course(statement, enrollment_date=statement.moment)


def _finished(statement: _Statement, verb: str) -> Made:
    progress = 100 if verb == "completed" else None
    return _of_course(statement, completion_date=statement.moment, progress=progress)


def _progressed(statement: _Statement, _verb: str) -> Made:
    stated = [value for iri, value in statement.result.extensions.items() if iri.endswith("/progress")]
    progress = stated[0] if stated else statement.result.score.percent
    return None if progress is None else _of_course(statement, progress=progress)


def _of_course(statement: _Statement, **fields: Any) -> Made:
    course, actor = statement.object, statement.actor
    if not course.is_course or actor.kind == "Group":
        return None
    spent = statement.result.duration
    data = {
        "student_id": _person(actor, "actor"),
        "student_name": actor.name,
        "course_id": _course_id(course),
        "course_name": _in_language(course.definition.name),
        "time_spent": spent.total_seconds() / 60 if spent is not None else None,
    }
    return "course_record", {**data, **fields}


def _answered(statement: _Statement, _verb: str) -> Made:
    """An answer is in the graph if it is wrong; a right one is nobody's mistake."""
    result, asked = statement.result, statement.object.definition
    if result.success is not False or not (result.response or "").strip() or statement.actor.kind == "Group":
        return None
    return "error_record", {
        "student_id": _person(statement.actor, "actor"),
        "student_name": statement.actor.name,
        "course_id": _context_course(statement),
        "question": _in_language(asked.description) or _in_language(asked.name),
        "error_text": result.response,
    }


def _said(statement: _Statement, _verb: str) -> Made:
    text = (statement.result.response or "").strip()
    return _to_person(statement, interaction_type="chat", text=text) if text else None


def _liked(statement: _Statement, _verb: str) -> Made:
    return _to_person(statement, interaction_type="like")


def _to_person(statement: _Statement, **fields: Any) -> Made:
    """Only what is said to a person: a post in a forum does not tell whom it answers."""
    if statement.object.kind != "Agent" or statement.actor.kind == "Group":
        return None
    sender, receiver = statement.actor, statement.object
    return "student_interaction", {
        "student_id_from": _person(sender, "actor"),
        "student_id_to": _person(receiver, "object"),
        "student_name_from": sender.name,
        "student_name_to": receiver.name,
        "course_id": _context_course(statement),
        **fields,
    }


_MAKERS: dict[str, Callable[[_Statement, str], Made]] = {
    "registered": _enrolled,
    "enrolled": _enrolled,
    "completed": _finished,
    "passed": _finished,
    "progressed": _progressed,
    "earned": _progressed,
    "scored": _progressed,
    "answered": _answered,
    "evaluated": _answered,
    "attempted": _answered,
    "commented": _said,
    "responded": _said,
    "replied": _said,
    "messaged": _said,
    "liked": _liked,
    "praised": _liked,
}


def _person(agent: _Agent, field: str) -> str:
    if not agent.id:
        raise InvalidRecord(field, "an account, mbox, mbox_sha1sum or openid", "", "does not say who it is")
    return agent.id


def _context_course(statement: _Statement) -> str | None:
    activities = statement.context.activities
    found = (_course_id(each) for each in (*activities.parent, *activities.grouping) if each.is_course)
    return next(found, None)


def _course_id(course: _Object) -> str | None:
    """The course's own id, as logs name it, where the IRI is the address of a course page."""
    iri = (course.iri or "").rstrip("/")
    for folder in ("/course/", "/courses/"):
        if folder in iri:
            return iri.rsplit(folder, 1)[1]
    return iri or None


def _in_language(texts: dict[str, str]) -> str | None:
    wanted = next((texts[language] for language in _LANGUAGES if texts.get(language)), None)
    return wanted or next(iter(texts.values()), None) or None
