"""The form of an xAPI statement (1.0.3 and 2.0), with only the parts that are read, and the id of a statement.

Senders leave out more than the specification allows, so a part that is missing or null has a default.
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Data.md
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edugraph_common.contracts.record_fields import MOST_POINTS, normal_id
from edugraph_common.contracts.records import InvalidRecord, escaped, iso, shorten
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.students import as_id

# The specification has one IRI for the verb that voids a statement.
VOIDED = "http://adlnet.gov/expapi/verbs/voided"
# The namespace of the ids of statements that came without one. Another namespace would give all of them other ids.
_NAMESPACE = UUID("2b0f6f0e-6a0e-5a43-9a53-3f1d6c1f8f5e")
# A receiver adds or changes these fields, so the id of a statement does not depend on them.
_NOT_THE_SENDERS = frozenset({"id", "stored", "authority", "version"})
# The places in which a statement names students. Each value of `extensions` may be an agent as well. The places of
# instructors and of authorities are left out.
_PLACES_OF_STUDENTS = (
    *("actor", "object", "member", "definition"),
    *("context", "contextAgents", "agent", "contextGroups", "group"),
)


class _Part(BaseModel):
    """A part of a statement. A null counts as a missing field."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: part for name, part in value.items() if part is not None}


class Account(_Part):
    home_page: str | None = Field(default=None, alias="homePage")
    name: str


class Agent(_Part):
    given_kind: str | None = Field(default=None, alias="objectType")
    name: str | None = None
    account: Account | None = None
    mbox: str | None = None
    mbox_sha1sum: str | None = None
    openid: str | None = None
    member: Any = None

    @property
    def kind(self) -> str:
        """The `objectType`. Without one, a list of members makes a group."""
        if self.given_kind:
            return self.given_kind
        if self.member is None:
            return "Agent"
        return "Group"

    def id(self, platforms: Platforms) -> str | None:
        """Return the id of the agent, or None. A mail address and an OpenID are the same on all platforms."""
        account = self.account
        # `people_of_statement` ignores ids of invisible characters alone, too.
        name = normal_id(account.name) if account else ""
        if account and name:
            return platforms.account_id(account.home_page, name)
        mail = normal_id(self.mbox or "").removeprefix("mailto:")
        return mail or normal_id(self.mbox_sha1sum or "") or normal_id(self.openid or "") or None


class Definition(_Part):
    type: str = ""
    name: dict[str, str] = {}
    description: dict[str, str] = {}
    interaction_type: Any = Field(default=None, alias="interactionType")
    extensions: dict[str, Any] = {}

    @property
    def kind(self) -> str:
        """The last part of the type's IRI, since registries differ in the rest."""
        return self.type.rstrip("/").rsplit("/", 1)[-1]


class Object(Agent):
    """An activity, or a person or a group whom the statement is about."""

    iri: str | None = Field(default=None, alias="id")
    name: str | None = None
    definition: Definition = Definition()

    @property
    def kind(self) -> str:
        """The `objectType`. Without one, an object that has an IRI, or names no person, is an activity."""
        if self.given_kind:
            return self.given_kind
        is_person = (
            self.account or self.mbox or self.mbox_sha1sum or self.openid or self.member is not None
        )
        if self.iri or not is_person:
            return "Activity"
        return super().kind


def _as_list(value: object) -> object:
    """Return a list. Statements of version 0.95 have a single activity in place of a list."""
    if isinstance(value, dict):
        return (value,)
    return value


_Objects = Annotated[tuple[Object, ...], BeforeValidator(_as_list)]


class Activities(_Part):
    parent: _Objects = ()
    grouping: _Objects = ()


class Context(_Part):
    activities: Activities = Field(default=Activities(), alias="contextActivities")
    extensions: dict[str, Any] = {}
    instructor: Any = None
    statement: Any = None

    @property
    def around(self) -> tuple[Object, ...]:
        """The activities around the object, from the nearest one on."""
        return (*self.activities.parent, *self.activities.grouping)

    @property
    def is_of_open_edx(self) -> bool:
        """Whether the router of Open edX made the statement from an event of its log."""
        return any("/openedx/" in iri for iri in self.extensions)


_Number = Annotated[float, Field(allow_inf_nan=False)]


class Score(_Part):
    scaled: _Number | None = None
    raw: _Number | None = None
    min: _Number = 0.0
    max: _Number | None = None

    @property
    def share(self) -> float | None:
        """The score from 0 to 1, or below 0 for a penalty. None if there is no score, or no point to be had.

        The points come first. Moodle scales from -1 to 1, so its `scaled` for half of the points is 0.
        """
        if self.raw is None or self.max is None:
            return self.scaled
        if self.max <= self.min:
            return None
        share = (self.raw - self.min) / (self.max - self.min)
        return max(-1.0, min(1.0, share))

    @property
    def possible(self) -> float | None:
        """The points that were possible. None if the statement does not say it, or if points do not begin at 0."""
        if self.raw is None or self.max is None or self.min != 0:
            return None
        return self.max if 0 < self.max <= MOST_POINTS else None


class Result(_Part):
    score: Score = Score()
    success: bool | None = None
    completion: bool | None = None
    response: str | None = None
    duration: timedelta | None = None
    extensions: dict[str, Any] = {}


class Statement(_Part):
    actor: Agent
    object: Object
    result: Result = Result()
    context: Context = Context()
    timestamp: str | None = None
    stored: str | None = None
    version: str = Field(default="1.0.3", pattern=r"^[12]\.0(\.|$)")

    @property
    def moment(self) -> str | None:
        """The timestamp. A receiver of statements gives the moment of storing to those that came without one."""
        return self.timestamp or self.stored


def parse_statement(value: Any) -> Statement:
    """Return the form of a decoded statement. Raises InvalidRecord."""
    try:
        return Statement.model_validate(value)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in detail["loc"])
        found = shorten(detail.get("input"))
        reason = "is not of the form of xAPI 1.0.3 or 2.0"
        if detail["type"] == "missing":
            found = ""
            reason = "is missing"
        raise InvalidRecord(field, detail["msg"], found, reason) from None


def parse_agent(value: Any) -> Agent | None:
    """Return the agent in an extension, or None if the value is not an agent."""
    try:
        return Agent.model_validate(value)
    except ValidationError:
        return None


def id_of_agent(agent: dict[str, Any], platforms: Platforms) -> str:
    """Return what `Agent.id` would be, although the agent may be wrong in other ways. An empty text means no id."""
    account = agent.get("account")
    name = as_id(account.get("name")) if isinstance(account, dict) else ""
    if name and isinstance(account, dict):
        name = platforms.account_id(as_id(account.get("homePage")), name)
    mail = as_id(agent.get("mbox")).removeprefix("mailto:")
    return name or mail or as_id(agent.get("mbox_sha1sum")) or as_id(agent.get("openid"))


def verb_iri(value: Any) -> str | None:
    """Return the IRI of the verb of a statement of any form, or None where there is none."""
    verb = value.get("verb") if isinstance(value, dict) else None
    iri = verb.get("id") if isinstance(verb, dict) else None
    if not isinstance(iri, str) or not iri:
        return None
    return iri


def last_part(iri: str) -> str:
    return shorten(iri.rstrip("/").rsplit("/", 1)[-1])


def statement_id(value: dict[str, Any]) -> str:
    """Return the id of a statement in small letters, since ids are compared without case.

    The id of a statement that came without one is a UUID of version 5 of its canonical form: the same content at the
    same moment is the same statement, in whichever way it comes. A statement without a timestamp gets the moment at
    which it was stored, as its receiver would write it. Raises InvalidRecord for an id that is not a text.
    """
    given = value.get("id")
    if isinstance(given, str):
        return given.strip().lower()
    if given is not None:
        raise InvalidRecord("id", "a UUID", shorten(given), "is not a text")
    content = {
        name: part
        for name, part in value.items()
        if name not in _NOT_THE_SENDERS and part is not None
    }
    content["timestamp"] = _as_moment(value.get("timestamp") or value.get("stored"))
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return str(uuid5(_NAMESPACE, escaped(canonical)))


def attachments_of(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the descriptions of the files of a decoded statement and of its SubStatement."""
    found = []
    for part in (value, value.get("object")):
        listed = part.get("attachments") if isinstance(part, dict) else None
        if isinstance(listed, list):
            found += [each for each in listed if isinstance(each, dict)]
    return found


def with_lists_of_activities(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decoded statement in which each kind of context activities is a list, as receivers show them."""
    shown = dict(value)
    context = shown.get("context")
    activities = context.get("contextActivities") if isinstance(context, dict) else None
    if isinstance(context, dict) and isinstance(activities, dict):
        lists = {}
        for kind, named in activities.items():
            lists[kind] = [named] if isinstance(named, dict) else named
        shown["context"] = {**context, "contextActivities": lists}
    of_statement = shown.get("object")
    if isinstance(of_statement, dict) and of_statement.get("objectType") == "SubStatement":
        shown["object"] = with_lists_of_activities(of_statement)
    return shown


def content_key(value: dict[str, Any]) -> str:
    """Return a hash of the content that two statements with one id must have in common.

    The specification leaves out what a receiver adds, and the words that only describe verbs and activities.
    """
    content = {}
    for name, part in value.items():
        if name not in _NOT_THE_SENDERS and name != "timestamp" and part is not None:
            content[name] = _without_descriptions(part)
    content["timestamp"] = _as_moment(value.get("timestamp"))
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _without_descriptions(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_descriptions(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, part in value.items():
        if name == "extensions":
            kept[name] = part
        elif name not in {"display", "definition"}:
            kept[name] = _without_descriptions(part)
    return kept


def _as_moment(given: Any) -> Any:
    """Return a timestamp in one form. A text that is not a timestamp is returned unchanged."""
    if not isinstance(given, str):
        return given
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            return given
        return iso(moment)
    except (ValueError, OverflowError):
        return given


def agents_of_students(value: Any) -> list[dict[str, Any]]:
    """Return the objects at the places of students in a statement of any form, and the statement itself."""
    return list(objects_at(value, _PLACES_OF_STUDENTS, with_extensions=True))


def objects_at(
    value: Any, places: Sequence[str], *, with_extensions: bool
) -> Iterator[dict[str, Any]]:
    """Yield a value of any form and the objects in its fields with these names, at any depth.

    `with_extensions`: each value in a field `extensions` is looked at as well, whatever its name.
    """
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            yield each
            waiting += [each.get(place) for place in places]
            extensions = each.get("extensions")
            if with_extensions and isinstance(extensions, dict):
                waiting += extensions.values()
