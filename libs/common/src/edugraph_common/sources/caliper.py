"""Events of Caliper 1.2, as the xAPI statements that mean the same. xapi.py reads those.

So an event of Caliper and a statement of xAPI about one person, course or item give them the same ids.
https://www.imsglobal.org/spec/caliper/v1p2
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.sources.json_source import as_object
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.statements import id_of_agent
from edugraph_common.sources.students import People, as_id, texts_in

# The folders of a platform's address in which each of its persons has a page.
_PERSON_FOLDERS = ("/user/", "/users/")
_VERBS_OF_XAPI = "http://adlnet.gov/expapi/verbs/"
# An action without a verb of xAPI keeps its name behind this, since no verb of xAPI begins so.
_ACTION = "http://purl.imsglobal.org/caliper-"
_TYPES = "http://adlnet.gov/expapi/activities/"
_COURSE_TYPES = frozenset({"CourseOffering", "CourseSection"})
# An entity stands within another one at most this deeply. A longer chain is not followed.
_DEEPEST = 10
_STAFF_ROLES = frozenset(
    {"Administrator", "ContentDeveloper", "Instructor", "Manager", "Mentor", "Officer"}
)
# Persons stand in fields with these names, also where an event has only their address.
_FIELDS_OF_PERSONS = frozenset(
    {"actor", "assignee", "creators", "learner", "member", "rater", "respondent", "user"}
)
# The router of Open edX names itself in the extensions of an event.
_ROUTER = "event-routing-backends"
_ROUTER_EXTENSION = "https://w3id.org/xapi/openedx/extension/transformer-version"
_ATTEMPT_NUMBER = "http://id.tincanapi.com/extension/attempt-id"

# Type of an entity -> the last part of the type of its activity.
_ACTIVITY_TYPES = {
    **dict.fromkeys(_COURSE_TYPES, "course"),
    **dict.fromkeys(("VideoObject", "AudioObject", "MediaObject", "MediaLocation"), "video"),
    **dict.fromkeys(("Assessment", "AssignableDigitalResource", "Attempt"), "assessment"),
    "AssessmentItem": "question",
    "Annotation": "supplemental-info",  # the hint or the solution of an exercise of Open edX
    "Forum": "forum",
    "Thread": "discussion",
    "Message": "comment",
}

# Action -> the verb of the use of something.
_VERBS = {
    "NavigatedTo": "navigated",
    "Viewed": "viewed",
    "Started": "started",
    "Paused": "paused",
    "Resumed": "resumed",
    "Restarted": "restarted",
    "Ended": "terminated",
    "Completed": "completed",
    "Submitted": "submitted",
    "Searched": "searched",
    "Launched": "launched",
    "Downloaded": "downloaded",
    "MarkedAsRead": "read",
    **dict.fromkeys(
        ("JumpedTo", "ForwardedTo", "ChangedSpeed", "ChangedVolume", "ChangedResolution"),
        "interacted",
    ),
    **dict.fromkeys(("ChangedSize", "Muted", "Unmuted", "Skipped", "Used"), "interacted"),
    **dict.fromkeys(("OpenedPopout", "ClosedPopout"), "interacted"),
    **dict.fromkeys(("EnteredFullScreen", "ExitedFullScreen"), "interacted"),
    **dict.fromkeys(("EnabledClosedCaptioning", "DisabledClosedCaptioning"), "interacted"),
    **dict.fromkeys(("Bookmarked", "Highlighted", "Tagged", "Shared"), "interacted"),
}

# Type of a response -> the type of the question. Other responses are choices, and no text that can be judged.
_QUESTION_TYPES = {"FillinBlankResponse": "fill-in"}

Fields = dict[str, Any]


@dataclass(frozen=True)
class _Meaning:
    """The meaning of an event: the person who acted, the act, the entity that it was about, and the result.

    `verb` is the last part of the IRI of a verb of xAPI, or None if xAPI has none.
    """

    actor: Any
    verb: str | None
    entity: Any
    result: Fields
    definition: Fields


def is_event(value: Any) -> bool:
    """Return whether a decoded value is an event or an envelope of Caliper, and not a statement of xAPI."""
    if not isinstance(value, dict) or "verb" in value:
        return False
    return isinstance(value.get("action"), str) or is_envelope(value)


def is_envelope(value: Any) -> bool:
    """Return whether a decoded value is an envelope, in which a sensor sends events."""
    return isinstance(value, dict) and "sensor" in value and isinstance(value.get("data"), list)


def statement_of_event(value: dict[str, Any]) -> dict[str, Any]:
    """Return the statement that means the same as an event, or as the only event of an envelope.

    Raises InvalidRecord for an envelope that has several events or none.
    """
    if is_envelope(value):
        value = _only_event(value)
    meaning = _meaning(value)
    verb = _ACTION + as_id(value.get("action")).replace("/", "-")
    if meaning.verb is not None:
        verb = _VERBS_OF_XAPI + meaning.verb
    statement: Fields = {
        "actor": _agent(meaning.actor),
        "verb": {"id": verb},
        "object": _activity(meaning.entity, meaning.definition),
        "context": _context(value, meaning.entity),
        "timestamp": value.get("eventTime"),
    }
    if value.get("id") is not None:
        statement["id"] = _without_urn(value["id"])
    if meaning.result:
        statement["result"] = meaning.result
    return statement


def people_of_event(value: Any, platforms: Platforms) -> People:
    """Return whom an event of any form names.

    The ids are those of all persons in the event, since its row has all of them. A person without an id is found by
    the name.
    """
    ids = set()
    names = []
    for person in _persons(value):
        agent = _agent(person)
        found = id_of_agent(agent, platforms)
        if found:
            ids.add(found)
        elif "name" in agent:
            names.append(agent["name"])
    if ids:
        return People(frozenset(ids), tuple(names))
    return People(frozenset(), tuple(texts_in(value)))


def _only_event(envelope: dict[str, Any]) -> dict[str, Any]:
    events = [each for each in envelope["data"] if isinstance(each, dict) and "action" in each]
    if len(envelope["data"]) != 1 or not events:
        raise InvalidRecord(
            "data",
            "one event",
            f"{len(envelope['data'])}",
            "is an envelope without exactly one event: write each event on a line of its own",
        )
    return events[0]


def _meaning(event: dict[str, Any]) -> _Meaning:
    """Return what an event says. Work of the staff and of programs has no verb, since it is not of a student."""
    action = as_id(event.get("action"))
    actor = event.get("actor")
    entity = event.get("object")
    kind = _type(entity)
    generated = event.get("generated")
    if action == "Graded":
        return _graded(entity, generated)
    verb = _VERBS.get(action)
    result: Fields = {}
    definition: Fields = {}
    if kind in _COURSE_TYPES:
        verb = {"Activated": "registered", "Completed": "passed"}.get(action, verb)
    elif action == "Posted" and kind == "Message":
        verb = "posted"
        result["response"] = _text(entity, "body")
    elif action == "Commented" and kind not in ("Attempt", "Response", "Result", "Person"):
        # A comment on the work of a person is by somebody who judges it.
        verb = "commented"
        result["response"] = _text(generated, "value")
    elif action == "Completed" and kind == "AssessmentItem":
        verb = "answered"
        result["response"] = _response(generated)
        definition["interactionType"] = _QUESTION_TYPES.get(_type(generated), "choice")
    is_person = _type(actor) in ("", "Person")
    if not is_person or _is_staff(event.get("membership")):
        verb = None
    return _Meaning(actor, verb, entity, result, definition)


def _graded(attempt: Any, generated: Any) -> _Meaning:
    """Return what a grade says. The student is the person who made the attempt, and not the one who graded it."""
    attempt = as_object(attempt)
    # The router of Open edX has the fields of an attempt in the extensions.
    attempt = {**as_object(attempt.get("extensions")), **attempt}
    score = as_object(generated)
    score = as_object(score.get("score")) or score
    details = as_object(score.get("extensions"))
    points = {"raw": score.get("scoreGiven"), "max": score.get("maxScore")}
    result: Fields = {"score": {name: given for name, given in points.items() if given is not None}}
    # The router of Open edX writes the outcome as the text of Python's True or False.
    success = {"True": True, "False": False}.get(as_id(details.get("success")))
    if success is not None:
        result["success"] = success
    if attempt.get("duration") is not None:
        result["duration"] = attempt["duration"]
    definition: Fields = {}
    if attempt.get("count") is not None:
        definition["extensions"] = {_ATTEMPT_NUMBER: attempt["count"]}
    assigned = attempt.get("assignable") or _part_of(attempt)
    return _Meaning(attempt.get("assignee"), "scored", assigned, result, definition)


def _agent(person: Any) -> Fields:
    """Return the agent of a person. The address of a person's page at a platform is an account there."""
    address = _address(person)
    agent: Fields = {"objectType": "Agent"}
    name = as_object(person).get("name")
    if isinstance(name, str) and name:
        agent["name"] = name
    if address.startswith("mailto:"):
        return {**agent, "mbox": address}
    for folder in _PERSON_FOLDERS:
        platform, found, account = address.partition(folder)
        if found and platform and account and "/" not in account:
            return {**agent, "account": {"homePage": platform, "name": account}}
    if address:
        agent["openid"] = address
    return agent


def _persons(value: Any) -> Iterator[Any]:
    """Yield the persons of a value, which are objects or addresses, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            if each.get("type") == "Person":
                yield each
            for name, part in each.items():
                if name in _FIELDS_OF_PERSONS:
                    yield from part if isinstance(part, list) else (part,)
            waiting += each.values()


def _activity(entity: Any, definition: Fields) -> Fields:
    kind = _ACTIVITY_TYPES.get(_type(entity), "resource")
    described: Fields = {"type": _TYPES + kind, **definition}
    name = as_object(entity).get("name")
    if isinstance(name, str) and name:
        described["name"] = {"und": name}
    activity: Fields = {"objectType": "Activity", "definition": described}
    address = _address(entity)
    if address:
        activity["id"] = address
    return activity


def _context(event: dict[str, Any], entity: Any) -> Fields:
    around = []
    for each in _chain(_part_of(entity)):
        if _address(each) and _type(each) not in _COURSE_TYPES:
            around.append(_activity(each, {}))
    course = _course(event, entity)
    if course is not None:
        # The address alone may stand for the course of an event.
        described = {**as_object(course), "id": _address(course), "type": "CourseOffering"}
        around.append(_activity(described, {}))
    context: Fields = {"contextActivities": {"parent": around}}
    router = as_object(event.get("extensions")).get("transformerVersion")
    if isinstance(router, str) and router.startswith(_ROUTER):
        context["extensions"] = {_ROUTER_EXTENSION: router}
    return context


def _course(event: dict[str, Any], entity: Any) -> Any:
    """Return the course in which something happened, or None.

    It is the group of the event, or what the entity is a part of, or that to which the membership belongs.
    """
    group = event.get("group")
    if isinstance(group, str) and group:
        return group
    membership = as_object(event.get("membership"))
    for begin in (
        group,
        _part_of(entity),
        _part_of(event.get("object")),
        membership.get("organization"),
    ):
        for each in _chain(begin):
            if _type(each) in _COURSE_TYPES and _address(each):
                return each
    return None


def _chain(begin: Any) -> Iterator[Any]:
    """Yield an entity, and what it is a part of, from the nearest one on."""
    each = begin
    for _ in range(_DEEPEST):
        if each is None:
            return
        yield each
        each = _part_of(each)


def _part_of(entity: Any) -> Any:
    """Return what an entity is a part of, or None. The router of Open edX has it in the extensions."""
    fields = as_object(entity)
    extensions = as_object(fields.get("extensions"))
    return fields.get("isPartOf") or fields.get("subOrganizationOf") or extensions.get("isPartOf")


def _is_staff(membership: Any) -> bool:
    """Return whether all roles that a membership names are those of the staff."""
    roles = as_object(membership).get("roles")
    if not isinstance(roles, list) or not roles:
        return False
    for role in roles:
        # Instructor, Instructor#TeachingAssistant, or the IRI of LTI that ends with membership#Instructor.
        name, _, rest = as_id(role).rsplit("/", 1)[-1].partition("#")
        if name == "membership":
            name = rest
        if name not in _STAFF_ROLES:
            return False
    return True


def _response(response: Any) -> str | None:
    """Return the answer in a response: its value, or its values one after another."""
    fields = as_object(response)
    value = fields.get("value")
    if isinstance(value, str):
        return value
    values = fields.get("values")
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        return None
    return ", ".join(values)


def _text(entity: Any, field: str) -> str | None:
    text = as_object(entity).get(field)
    if not isinstance(text, str):
        return None
    return text


def _type(entity: Any) -> str:
    """Return the type of an entity, or an empty text. An address alone has no type."""
    return as_id(as_object(entity).get("type"))


def _address(entity: Any) -> str:
    """Return the IRI of an entity, or an empty text. The entity may be the IRI itself."""
    if isinstance(entity, str):
        return entity.strip()
    return as_id(as_object(entity).get("id"))


def _without_urn(given: Any) -> Any:
    if isinstance(given, str):
        return given.strip().removeprefix("urn:uuid:")
    return given
