"""xAPI 1.0.3 statements about courses, attempts at items, the use of something, and messages between persons.

A verb is recognised by the last part of its IRI, since registries differ in the rest. The id of a statement is the
record_id. Accounts and courses get their ids by the setting of platforms (platforms.py).
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Data.md
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edugraph_common.contracts.records import (
    FIRST_STATEMENT_READING,
    InvalidRecord,
    Record,
    Withdrawal,
    parse_record,
    shorten,
)
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.rows import NotRelevant
from edugraph_common.sources.students import People, as_id, texts_in

READING = FIRST_STATEMENT_READING + 2  # raise it when a statement becomes another record than before
_LANGUAGES = ("zh-CN", "zh", "en-US", "en")
_VOIDED = "voided"
# The fields with the students of a statement, and the fields with any person.
_STUDENTS = ("actor", "object", "member")
_PERSONS = (*_STUDENTS, "context", "instructor", "team", "authority")


class _Part(BaseModel):
    """A part of a statement, with only the fields that are read. A null counts as a missing field."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: part for name, part in value.items() if part is not None}


class _Account(_Part):
    home_page: str | None = Field(default=None, alias="homePage")
    name: str


class _Agent(_Part):
    kind: str = Field(default="Agent", alias="objectType")
    name: str | None = None
    account: _Account | None = None
    mbox: str | None = None
    mbox_sha1sum: str | None = None
    openid: str | None = None

    def id(self, platforms: Platforms) -> str | None:
        """Return the id of the agent, or None. A mail address and an OpenID are the same on all platforms."""
        account = self.account
        if account and account.name:
            account_id = platforms.account_id(account.home_page, account.name)
            if account_id:
                return account_id
        mail = (self.mbox or "").removeprefix("mailto:")
        return mail or self.mbox_sha1sum or self.openid


class _Definition(_Part):
    type: str | None = None
    name: dict[str, str] = {}
    description: dict[str, str] = {}
    extensions: dict[str, Any] = {}


class _Object(_Agent):
    iri: str | None = Field(default=None, alias="id")
    name: str | None = None
    definition: _Definition = _Definition()

    @property
    def is_course(self) -> bool:
        return (self.definition.type or "").endswith("/course")


def _as_list(value: object) -> object:
    """Return a list. Statements of version 0.95 have a single activity in place of a list."""
    if isinstance(value, dict):
        return (value,)
    return value


_Objects = Annotated[tuple[_Object, ...], BeforeValidator(_as_list)]


class _Activities(_Part):
    parent: _Objects = ()
    grouping: _Objects = ()


class _Context(_Part):
    activities: _Activities = Field(default=_Activities(), alias="contextActivities")
    extensions: dict[str, Any] = {}

    @property
    def is_of_open_edx(self) -> bool:
        """Whether the router of Open edX made the statement from an event of its log."""
        return any("/openedx/" in iri for iri in self.extensions)


class _Score(_Part):
    scaled: float | None = None
    raw: float | None = None
    min: float = 0.0
    max: float | None = None

    @property
    def share(self) -> float | None:
        """The score from 0 to 1, or below 0 for a penalty. None for a raw score without a maximum."""
        if self.scaled is not None:
            return self.scaled
        if self.raw is None or self.max is None or self.max <= self.min:
            return None
        share = (self.raw - self.min) / (self.max - self.min)
        return max(-1.0, min(1.0, share))


class _Result(_Part):
    score: _Score = _Score()
    success: bool | None = None
    completion: bool | None = None
    response: str | None = None
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


def people_of_statement(value: Any, platforms: Platforms) -> People:
    """Return whom a statement of any form names.

    The ids are those of the actor, of the person whom the statement is about, and of the members of a group.
    """
    ids = frozenset(_id_of_agent(agent, platforms) for agent in _agents(value, _STUDENTS)) - {""}
    if not ids and _last_part_of_verb(value) != _VOIDED:
        return People(ids, tuple(texts_in(value)))
    names = [agent.get("name") for agent in _agents(value, _PERSONS) if _has_only_a_name(agent, platforms)]
    return People(ids, tuple(name for name in names if isinstance(name, str)))


def _agents(value: Any, places: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the objects that stand in these places, and the statement itself."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            yield found
            waiting += [found.get(place) for place in places]


def _id_of_agent(agent: dict[str, Any], platforms: Platforms) -> str:
    """Return what `_Agent.id` would be, although the agent may be wrong in other ways."""
    account = agent.get("account")
    name = as_id(account.get("name")) if isinstance(account, dict) else ""
    if name and isinstance(account, dict):
        name = platforms.account_id(as_id(account.get("homePage")), name)
    mail = as_id(agent.get("mbox")).removeprefix("mailto:")
    return name or mail or as_id(agent.get("mbox_sha1sum")) or as_id(agent.get("openid"))


def _has_only_a_name(agent: dict[str, Any], platforms: Platforms) -> bool:
    """Return whether an agent has no id. An activity has an IRI, and is not an agent."""
    return "id" not in agent and not _id_of_agent(agent, platforms)


def _last_part_of_verb(value: Any) -> str | None:
    """Return the last part of the IRI of a verb, which tells what it is, or None where there is none."""
    named = value.get("verb") if isinstance(value, dict) else None
    iri = named.get("id") if isinstance(named, dict) else None
    if not isinstance(iri, str) or not iri:
        return None
    return shorten(iri.rstrip("/").rsplit("/", 1)[-1])


Fields = dict[str, Any]
Extracted = tuple[str, Fields] | None
"""The type and the data of a record, or None where the statement has nothing for the graph."""


def read_statement(value: Any, platforms: Platforms) -> Record | Withdrawal | NotRelevant:
    """Return the record of a decoded statement, or the withdrawal in a statement that voids another.

    Raises InvalidRecord.
    """
    verb = _last_part_of_verb(value)
    if verb is None:
        named = value.get("verb") if isinstance(value, dict) else None
        iri = named.get("id") if isinstance(named, dict) else None
        raise InvalidRecord("verb.id", "the IRI of a verb", shorten(iri or value), "is missing")
    if verb == _VOIDED:
        voided = value.get("object")
        record_id = voided.get("id") if isinstance(voided, dict) else None
        if not isinstance(record_id, str):
            raise InvalidRecord(
                "object.id", "the id of the statement that is voided", shorten(record_id), "is missing"
            )
        return Withdrawal(record_id=record_id)
    extract = _EXTRACTORS.get(verb)
    if extract is None:
        return NotRelevant(verb)
    statement = _parsed(value)
    if statement.actor.kind == "Group":
        return NotRelevant(f"{verb} (by a group)")
    if statement.object.kind in ("SubStatement", "Group"):
        return NotRelevant(f"{verb} (of a {statement.object.kind})")
    extracted = extract(statement, verb, platforms)
    if extracted is None and verb in _USES:
        extracted = _used(statement, verb, platforms)
    if extracted is None:
        return NotRelevant(verb)
    record_type, data = extracted
    moment = _begin(statement) if record_type == "activity_record" else statement.moment
    record = {**platforms.envelope(READING, value), "type": record_type, "timestamp": moment}
    if statement.id:
        record["record_id"] = statement.id
    record["data"] = {name: item for name, item in data.items() if item is not None}
    return parse_record(record)


def _parsed(value: Any) -> _Statement:
    try:
        return _Statement.model_validate(value)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        found = shorten(detail.get("input"))
        reason = "is not of the form of xAPI 1.0.3"
        if detail["type"] == "missing":
            found = ""
            reason = "is missing"
        raise InvalidRecord(field, detail["msg"], found, reason) from None


def _enrolled(statement: _Statement, _verb: str, platforms: Platforms) -> Extracted:
    return _course_record(statement, platforms, enrollment_date=statement.moment)


def _finished(statement: _Statement, verb: str, platforms: Platforms) -> Extracted:
    if not statement.object.is_course:
        return _tried(statement, verb, platforms)
    if statement.result.completion is False:
        return None
    progress = 100 if verb == "completed" else None
    return _course_record(statement, platforms, completion_date=statement.moment, progress=progress)


def _progressed(statement: _Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return a course record with the progress. The score is not used, since it is not the share that was done."""
    for iri, value in statement.result.extensions.items():
        if iri.endswith("/progress"):
            return _course_record(statement, platforms, progress=value)
    return None


def _course_record(statement: _Statement, platforms: Platforms, **fields: Any) -> Extracted:
    course = statement.object
    if not course.is_course:
        return None
    minutes = None
    if statement.result.duration is not None:
        minutes = statement.result.duration.total_seconds() / 60
    data = {
        "student_id": _person(statement.actor, "actor", platforms),
        "student_name": statement.actor.name,
        "course_id": _course_id(course, platforms),
        "course_name": _in_language(course.definition.name),
        "time_spent": minutes,
    }
    return "course_record", {**data, **fields}


def _graded(statement: _Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return a course record whose progress is the grade. Open edX has no better measure of progress."""
    share = statement.result.score.share
    if share is None or not statement.context.is_of_open_edx:
        return None
    return _course_record(statement, platforms, progress=round(share * 100, 4))


def _tried(statement: _Statement, verb: str, platforms: Platforms) -> Extracted:
    """Return the attempt at an item. A statement without success and score has no outcome and is not an attempt."""
    result = statement.result
    item = statement.object
    correct = result.success
    if correct is None:
        correct = _MEANT_BY.get(verb)
    has_outcome = correct is not None or result.score.share is not None
    if item.is_course or not item.iri or not has_outcome:
        return None
    # Open edX has two statements for each submission: "evaluated" and "attempted".
    if verb == "attempted" and statement.context.is_of_open_edx:
        return None
    asked = item.definition
    seconds = None
    if result.duration is not None:
        seconds = result.duration.total_seconds()
    return "attempt_record", {
        "student_id": _person(statement.actor, "actor", platforms),
        "student_name": statement.actor.name,
        "item_id": platforms.item_id(item.iri),
        "item_title": _in_language(asked.name),
        "course_id": _context_course(statement, platforms),
        "correct": correct,
        "score": result.score.share,
        "attempt_number": _attempt_number(asked),
        "question": _in_language(asked.description),
        "response": result.response,
        "duration_seconds": seconds,
    }


def _attempt_number(asked: _Definition) -> int | None:
    for iri, value in asked.extensions.items():
        if iri.endswith("/attempt-id"):
            return value if isinstance(value, int) and value > 0 else None
    return None


def _said(statement: _Statement, _verb: str, platforms: Platforms) -> Extracted:
    text = (statement.result.response or "").strip()
    return _interaction(statement, platforms, interaction_type="chat", text=text) if text else None


def _liked(statement: _Statement, _verb: str, platforms: Platforms) -> Extracted:
    return _interaction(statement, platforms, interaction_type="like")


def _used(statement: _Statement, _verb: str, platforms: Platforms) -> Extracted:
    """Return the activity of a statement. With a duration, the timestamp is the end of the activity."""
    used = statement.object
    if used.is_course:
        course_id = _course_id(used, platforms)
    else:
        course_id = _context_course(statement, platforms)
    if not course_id or not used.iri:
        return None
    activity_id = None if used.is_course else platforms.item_id(used.iri)
    kind = (used.definition.type or "").rstrip("/").rsplit("/", 1)[-1]
    seconds = None
    if statement.result.duration is not None:
        seconds = max(0.0, statement.result.duration.total_seconds())
    return "activity_record", {
        "student_id": _person(statement.actor, "actor", platforms),
        "course_id": course_id,
        "activity_id": activity_id,
        "kind": _KINDS.get(kind),
        "duration_seconds": seconds,
    }


def _begin(statement: _Statement) -> str | None:
    """Return when the activity began. A text that is not a date is returned unchanged, to be rejected."""
    moment = statement.moment
    spent = statement.result.duration
    if moment is None or spent is None or spent <= timedelta(0):
        return moment
    try:
        return (datetime.fromisoformat(moment) - spent).isoformat()
    except (ValueError, OverflowError):
        return moment


def _interaction(statement: _Statement, platforms: Platforms, **fields: Any) -> Extracted:
    """Return an interaction only if it has a target person. A post in a forum does not name the person it answers."""
    if statement.object.kind != "Agent":
        return None
    sender = statement.actor
    receiver = statement.object
    return "student_interaction", {
        "student_id_from": _person(sender, "actor", platforms),
        "student_id_to": _person(receiver, "object", platforms),
        "student_name_from": sender.name,
        "student_name_to": receiver.name,
        "course_id": _context_course(statement, platforms),
        **fields,
    }


# Verb -> the outcome of an attempt that it implies.
_MEANT_BY = {"passed": True, "mastered": True, "failed": False}

# The last part of an activity's type -> the kind of thing that was used.
_KINDS = {
    **dict.fromkeys(("video", "media", "audio", "webinar"), "video"),
    **dict.fromkeys(("question", "cmi.interaction", "assessment", "solution", "practice-assessment"), "exercise"),
    **dict.fromkeys(("proctored-assessment", "timed-assessment", "simulation", "supplemental-info"), "exercise"),
    **dict.fromkeys(("discussion", "forum", "forum-topic", "comment", "reply"), "forum"),
    **dict.fromkeys(("resource", "link", "page", "module", "lesson", "file", "book", "chapter"), "page"),
}

# Verbs that always mean use, and verbs that may mean something else: a completed course is progress.
_ONLY_USES = (
    *("experienced", "viewed", "accessed", "opened", "read", "watched", "listened", "launched", "navigated"),
    *("initialized", "started", "resumed", "suspended", "paused", "played", "seeked", "terminated", "exited"),
    *("interacted", "asked", "downloaded", "searched", "posted", "edited", "created", "submitted", "voted"),
)
_USES = {*_ONLY_USES, "attempted", "answered", "completed", "commented", "responded", "replied"}

_EXTRACTORS: dict[str, Callable[[_Statement, str, Platforms], Extracted]] = {
    **dict.fromkeys(_ONLY_USES, _used),
    "registered": _enrolled,
    "enrolled": _enrolled,
    "completed": _finished,
    "passed": _finished,
    "progressed": _progressed,
    "earned": _graded,
    "failed": _tried,
    "mastered": _tried,
    "scored": _tried,
    "answered": _tried,
    "evaluated": _tried,
    "attempted": _tried,
    "commented": _said,
    "responded": _said,
    "replied": _said,
    "messaged": _said,
    "liked": _liked,
    "praised": _liked,
}


def _person(agent: _Agent, field: str, platforms: Platforms) -> str:
    found = agent.id(platforms)
    if not found:
        raise InvalidRecord(field, "an account, mbox, mbox_sha1sum or openid", "", "does not say who it is")
    return found


def _context_course(statement: _Statement, platforms: Platforms) -> str | None:
    activities = statement.context.activities
    for each in (*activities.parent, *activities.grouping):
        if each.is_course:
            return _course_id(each, platforms)
    return None


def _course_id(course: _Object, platforms: Platforms) -> str | None:
    if not course.iri:
        return None
    return platforms.course_id(course.iri) or None


def _in_language(texts: dict[str, str]) -> str | None:
    wanted = next((texts[language] for language in _LANGUAGES if texts.get(language)), None)
    return wanted or next(iter(texts.values()), None) or None
