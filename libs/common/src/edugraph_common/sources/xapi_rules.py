"""The rules of the xAPI specification (1.0.3 and 2.0) for the form of a statement.

Most senders break some of them, so a receiver that is lax counts the broken rules and takes the statement.
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Data.md
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Literal, NamedTuple, get_args

from edugraph_common.sources.statements import VOIDED

Rule = Literal[
    "type",
    "null",
    "unknown property",
    "missing property",
    "id",
    "iri",
    "timestamp",
    "duration",
    "language",
    "version",
    "agent",
    "group",
    "interaction",
    "sub-statement",
    "score",
    "context",
    "attachment",
    "voiding",
]
RULES: tuple[Rule, ...] = get_args(Rule)
# A statement with more broken rules is not looked at further.
MOST_BROKEN = 50


class Broken(NamedTuple):
    """A rule that a statement breaks, and the field, as in `actor.mbox`."""

    rule: Rule
    field: str


Check = Callable[[Any, str], Iterator[Broken]]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
_MAILBOX = re.compile(r"mailto:[^@\s]+@[^@\s]+")
_SHA1 = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:[A-Za-z]{2,8}|[xi](?=-))(?:-[A-Za-z0-9]{1,8})*")
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?"
)
_NEGATIVE_ZERO = re.compile(r".*-00(?::?00)?")
_NUMBER = r"\d+(?:[.,]\d+)?"
# ISO 8601 has weeks alone, or the other units.
_DURATION = re.compile(
    rf"P{_NUMBER}W|P(?!$)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
)
_VERSION = re.compile(r"(?:1\.0|2\.0)(?:\.\d+)?")
_SHA2 = re.compile(r"[0-9a-f]{56,128}", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+*-]+(?:\s*;.*)?", re.ASCII)

_IDENTIFIERS = ("mbox", "mbox_sha1sum", "openid", "account")
_COMPONENTS = ("choices", "scale", "source", "target", "steps")
# The type of an interaction -> the lists of components that it may have.
_COMPONENTS_OF: dict[str, tuple[str, ...]] = {
    "true-false": (),
    "choice": ("choices",),
    "fill-in": (),
    "long-fill-in": (),
    "matching": ("source", "target"),
    "performance": ("steps",),
    "sequencing": ("choices",),
    "likert": ("scale",),
    "numeric": (),
    "other": (),
}


def broken_rules(statement: Any) -> list[Broken]:
    """Return the rules that a decoded statement breaks."""
    return list(islice(_statement(statement, ""), MOST_BROKEN))


def _statement(value: Any, field: str) -> Iterator[Broken]:
    yield from _fields(
        value,
        field,
        {
            "id": _matching("id", _UUID),
            "actor": _actor,
            "verb": _verb,
            "object": _object,
            "result": _result,
            "context": _context,
            "timestamp": _timestamp,
            "stored": _timestamp,
            "authority": _authority,
            "version": _matching("version", _VERSION),
            "attachments": _list_of(_attachment),
        },
        required=("actor", "verb", "object"),
    )
    yield from _where_it_fits(value, field)


def _where_it_fits(value: Any, field: str) -> Iterator[Broken]:
    """Yield the broken rules about two parts of a statement."""
    if not isinstance(value, dict):
        return
    verb = value.get("verb")
    of_statement = value.get("object")
    kind = _kind(of_statement)
    is_voiding = isinstance(verb, dict) and verb.get("id") == VOIDED
    if is_voiding and kind != "StatementRef":
        yield Broken("voiding", _in(field, "object"))
    context = value.get("context")
    if isinstance(context, dict) and kind != "Activity":
        for name in ("revision", "platform"):
            if name in context:
                yield Broken("context", _in(field, f"context.{name}"))


def _kind(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    return value.get("objectType", "Activity")


def _actor(value: Any, field: str) -> Iterator[Broken]:
    if isinstance(value, dict) and value.get("objectType") == "Group":
        yield from _group(value, field)
    else:
        yield from _agent(value, field)


def _agent(value: Any, field: str) -> Iterator[Broken]:
    yield from _fields(value, field, {"objectType": _one_of("Agent"), **_PERSON})
    if isinstance(value, dict) and _identifiers(value) != 1:
        yield Broken("agent", field)


def _group(value: Any, field: str) -> Iterator[Broken]:
    members = _list_of(_agent)
    yield from _fields(value, field, {"objectType": _one_of("Group"), "member": members, **_PERSON})
    if not isinstance(value, dict):
        return
    identifiers = _identifiers(value)
    has_members = bool(value.get("member"))
    if identifiers > 1 or (identifiers == 0 and not has_members):
        yield Broken("group", field)


def _authority(value: Any, field: str) -> Iterator[Broken]:
    """Yield the broken rules of an authority. A group is one of OAuth: an application and its user, without an id."""
    yield from _actor(value, field)
    if not isinstance(value, dict) or value.get("objectType") != "Group":
        return
    members = value.get("member")
    if not isinstance(members, list):
        members = []
    applications = [each for each in members if isinstance(each, dict) and "account" in each]
    if _identifiers(value) > 0 or len(members) != 2 or not applications:
        yield Broken("group", field)


def _identifiers(value: dict[str, Any]) -> int:
    return sum(name in value for name in _IDENTIFIERS)


def _account(value: Any, field: str) -> Iterator[Broken]:
    checks = {"homePage": _iri, "name": _text}
    yield from _fields(value, field, checks, required=("homePage", "name"))


def _verb(value: Any, field: str) -> Iterator[Broken]:
    yield from _fields(value, field, {"id": _iri, "display": _language_map}, required=("id",))


def _object(value: Any, field: str) -> Iterator[Broken]:
    match _kind(value):
        case "Activity":
            yield from _activity(value, field)
        case "Agent" | "Group":
            yield from _actor(value, field)
        case "StatementRef":
            yield from _reference(value, field)
        case "SubStatement":
            yield from _sub_statement(value, field)
        case _:
            yield Broken("type", _in(field, "objectType"))


def _sub_statement(value: Any, field: str) -> Iterator[Broken]:
    yield from _fields(
        value,
        field,
        {
            "objectType": _one_of("SubStatement"),
            "actor": _actor,
            "verb": _verb,
            "object": _object_of_sub_statement,
            "result": _result,
            "context": _context,
            "timestamp": _timestamp,
            "attachments": _list_of(_attachment),
        },
        required=("actor", "verb", "object"),
    )
    yield from _where_it_fits(value, field)


def _object_of_sub_statement(value: Any, field: str) -> Iterator[Broken]:
    if _kind(value) == "SubStatement":
        yield Broken("sub-statement", field)
    else:
        yield from _object(value, field)


def _reference(value: Any, field: str) -> Iterator[Broken]:
    checks = {"objectType": _one_of("StatementRef"), "id": _matching("id", _UUID)}
    yield from _fields(value, field, checks, required=("objectType", "id"))


def _activity(value: Any, field: str) -> Iterator[Broken]:
    checks = {"objectType": _one_of("Activity"), "id": _iri, "definition": _definition}
    yield from _fields(value, field, checks, required=("id",))


def _definition(value: Any, field: str) -> Iterator[Broken]:
    components = dict.fromkeys(_COMPONENTS, _list_of(_component))
    yield from _fields(
        value,
        field,
        {
            "name": _language_map,
            "description": _language_map,
            "type": _iri,
            "moreInfo": _iri,
            "extensions": _extensions,
            "interactionType": _one_of(*_COMPONENTS_OF),
            "correctResponsesPattern": _list_of(_text),
            **components,
        },
    )
    if isinstance(value, dict):
        yield from _interaction(value, field)


def _interaction(definition: dict[str, Any], field: str) -> Iterator[Broken]:
    """Yield the broken rules about the type of an interaction and its components."""
    kind = definition.get("interactionType")
    allowed: tuple[str, ...] = ()
    if isinstance(kind, str):
        allowed = _COMPONENTS_OF.get(kind, _COMPONENTS)
    elif "correctResponsesPattern" in definition:
        yield Broken("interaction", _in(field, "correctResponsesPattern"))
    for name in _COMPONENTS:
        if name not in definition:
            continue
        if name not in allowed:
            yield Broken("interaction", _in(field, name))
        ids = []
        components = definition[name] if isinstance(definition[name], list) else []
        for component in components:
            if isinstance(component, dict) and isinstance(component.get("id"), str):
                ids.append(component["id"])
        if len(ids) != len(set(ids)):
            yield Broken("interaction", _in(field, name))


def _component(value: Any, field: str) -> Iterator[Broken]:
    checks = {"id": _text, "description": _language_map}
    yield from _fields(value, field, checks, required=("id",))


def _result(value: Any, field: str) -> Iterator[Broken]:
    yield from _fields(
        value,
        field,
        {
            "score": _score,
            "success": _truth,
            "completion": _truth,
            "response": _text,
            "duration": _matching("duration", _DURATION),
            "extensions": _extensions,
        },
    )


def _score(value: Any, field: str) -> Iterator[Broken]:
    checks = dict.fromkeys(("scaled", "raw", "min", "max"), _number)
    yield from _fields(value, field, checks)
    if not isinstance(value, dict):
        return
    numbers = {}
    for name, part in value.items():
        if _is_number(part):
            numbers[name] = part
    if not -1 <= numbers.get("scaled", 0) <= 1:
        yield Broken("score", _in(field, "scaled"))
    least = numbers.get("min")
    most = numbers.get("max")
    raw = numbers.get("raw")
    if least is not None and most is not None and least >= most:
        yield Broken("score", _in(field, "max"))
    is_too_small = raw is not None and least is not None and raw < least
    is_too_large = raw is not None and most is not None and raw > most
    if is_too_small or is_too_large:
        yield Broken("score", _in(field, "raw"))


def _context(value: Any, field: str) -> Iterator[Broken]:
    yield from _fields(
        value,
        field,
        {
            "registration": _matching("id", _UUID),
            "instructor": _actor,
            "team": _team,
            "contextActivities": _context_activities,
            "contextAgents": _list_of(_context_agent),
            "contextGroups": _list_of(_context_group),
            "revision": _text,
            "platform": _text,
            "language": _matching("language", _LANGUAGE),
            "statement": _reference,
            "extensions": _extensions,
        },
    )


def _team(value: Any, field: str) -> Iterator[Broken]:
    if isinstance(value, dict) and value.get("objectType") != "Group":
        yield Broken("group", field)
    else:
        yield from _actor(value, field)


def _context_activities(value: Any, field: str) -> Iterator[Broken]:
    names = ("parent", "grouping", "category", "other")
    yield from _fields(value, field, dict.fromkeys(names, _activities))


def _activities(value: Any, field: str) -> Iterator[Broken]:
    # A single activity in place of a list is allowed for senders of version 0.95.
    if isinstance(value, dict):
        yield from _activity(value, field)
    else:
        yield from _list_of(_activity)(value, field)


def _context_agent(value: Any, field: str) -> Iterator[Broken]:
    checks = {
        "objectType": _one_of("contextAgent"),
        "agent": _agent,
        "relevantTypes": _relevant_types,
    }
    yield from _fields(value, field, checks, required=("objectType", "agent"))


def _context_group(value: Any, field: str) -> Iterator[Broken]:
    checks = {
        "objectType": _one_of("contextGroup"),
        "group": _group,
        "relevantTypes": _relevant_types,
    }
    yield from _fields(value, field, checks, required=("objectType", "group"))


def _relevant_types(value: Any, field: str) -> Iterator[Broken]:
    if value == []:
        yield Broken("context", field)
    yield from _list_of(_iri)(value, field)


def _attachment(value: Any, field: str) -> Iterator[Broken]:
    yield from _fields(
        value,
        field,
        {
            "usageType": _iri,
            "display": _language_map,
            "description": _language_map,
            "contentType": _matching("attachment", _MEDIA_TYPE),
            "length": _length,
            "sha2": _matching("attachment", _SHA2),
            "fileUrl": _iri,
        },
        required=("usageType", "display", "contentType", "length", "sha2"),
    )


def _length(value: Any, field: str) -> Iterator[Broken]:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        yield Broken("attachment", field)


def _language_map(value: Any, field: str) -> Iterator[Broken]:
    if not isinstance(value, dict):
        yield Broken("type", field)
        return
    for language, text in value.items():
        if not _LANGUAGE.fullmatch(language):
            yield Broken("language", field)
        if not isinstance(text, str):
            yield Broken("type", _in(field, "(language)"))


def _extensions(value: Any, field: str) -> Iterator[Broken]:
    """Yield the broken rules of extensions. Their values may be anything, also null."""
    if not isinstance(value, dict):
        yield Broken("type", field)
        return
    for iri in value:
        if not _IRI.fullmatch(iri):
            yield Broken("iri", field)


def _iri(value: Any, field: str) -> Iterator[Broken]:
    if not isinstance(value, str) or not _IRI.fullmatch(value):
        yield Broken("iri", field)


def _text(value: Any, field: str) -> Iterator[Broken]:
    if not isinstance(value, str):
        yield Broken("type", field)


def _truth(value: Any, field: str) -> Iterator[Broken]:
    if not isinstance(value, bool):
        yield Broken("type", field)


def _number(value: Any, field: str) -> Iterator[Broken]:
    if not _is_number(value):
        yield Broken("type", field)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _timestamp(value: Any, field: str) -> Iterator[Broken]:
    is_moment = (
        isinstance(value, str)
        and _TIMESTAMP.fullmatch(value) is not None
        and _NEGATIVE_ZERO.fullmatch(value[len("2026-01-01") :]) is None
    )
    if is_moment:
        try:
            datetime.fromisoformat(value)
        except ValueError:
            is_moment = False
    if not is_moment:
        yield Broken("timestamp", field)


def _matching(rule: Rule, pattern: re.Pattern[str]) -> Check:
    """Return the check that a value is a text of this form."""

    def check(value: Any, field: str) -> Iterator[Broken]:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield Broken(rule, field)

    return check


def _one_of(*words: str) -> Check:
    """Return the check that a value is one of these words."""

    def check(value: Any, field: str) -> Iterator[Broken]:
        if not isinstance(value, str) or value not in words:
            yield Broken("type", field)

    return check


def _list_of(check_item: Check) -> Check:
    """Return the check of a list. The number of an item is left out of the field."""

    def check(value: Any, field: str) -> Iterator[Broken]:
        if not isinstance(value, list):
            yield Broken("type", field)
            return
        for item in value:
            yield from check_item(item, field)

    return check


_PERSON: Mapping[str, Check] = {
    "name": _text,
    "mbox": _matching("agent", _MAILBOX),
    "mbox_sha1sum": _matching("agent", _SHA1),
    "openid": _iri,
    "account": _account,
}


def _fields(
    value: Any, field: str, checks: Mapping[str, Check], required: tuple[str, ...] = ()
) -> Iterator[Broken]:
    """Yield the broken rules of an object and of its fields. `checks` has the fields that it may have."""
    if not isinstance(value, dict):
        yield Broken("type", field)
        return
    for name in required:
        if name not in value:
            yield Broken("missing property", _in(field, name))
    for name, part in value.items():
        check = checks.get(name)
        if check is None:
            # The name comes from the sender, and may be anything.
            yield Broken("unknown property", field)
        elif part is None:
            yield Broken("null", _in(field, name))
        else:
            yield from check(part, _in(field, name))


def _in(field: str, name: str) -> str:
    if not field:
        return name
    return f"{field}.{name}"
