"""The choices of the command line are those of the API. A choice that the API does not know is listed with its reason."""

from collections.abc import Iterator
from typing import Any, get_args

import typer
from openapi_documents import gateway_document, insights_document

from edugraph_cli.main import app
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import CurriculumFormat
from edugraph_common.contracts.reviews import Of, PairVerdict, Verdict

# Reviews are lines, kinds of findings are keys of Redis, and formats of curricula are some of all formats. So the
# documents of the API do not have these lists.
CONTRACTS = (Of, PairVerdict, Verdict, Kind, CurriculumFormat)
# (command, parameter) of choices that only the command line has -> reason
LOCAL = {
    ("roster", "person_key"): "the column of a OneRoster file that becomes a person's id",
    ("graph export", "form"): "the form of the files that the command line writes",
    ("pull canvas", "student_key"): "the field of a user of Canvas that becomes a person's id",
    ("pull oneroster", "person_key"): "the field of a user of OneRoster that becomes a person's id",
    ("pull lti", "person_claim"): "the claim of EDUGRAPH_LTI_PLATFORMS that becomes a person's id",
}


def enumerations(value: Any) -> Iterator[frozenset[str]]:
    """Yield each enumeration of an OpenAPI document."""
    if isinstance(value, dict):
        if isinstance(value.get("enum"), list):
            yield frozenset(map(str, value["enum"]))
        for each in value.values():
            yield from enumerations(each)
    elif isinstance(value, list):
        for each in value:
            yield from enumerations(each)


def choices(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield (command, parameter, its choices) of each parameter of each command that has choices."""
    for name, each in getattr(command, "commands", {}).items():
        yield from choices(each, (*path, name))
    for parameter in command.params:
        allowed = getattr(parameter.type_descriptor, "choices", None)
        if allowed:
            values = frozenset(str(getattr(each, "value", each)) for each in allowed)
            yield " ".join(path), parameter.name, values


def test_each_choice_is_an_enumeration_of_the_api() -> None:
    """Out: leave one scope out of `ScopeName` in commands/keys.py."""
    known = {frozenset(get_args(each)) for each in CONTRACTS}
    for document in (gateway_document(), insights_document()):
        known.update(enumerations(document))
    found = list(choices(typer.main.get_command(app)))
    different = {
        (command, name): sorted(values) for command, name, values in found if values not in known
    }
    assert len(found) > 20
    assert {place: values for place, values in different.items() if place not in LOCAL} == {}
    assert set(LOCAL) <= set(different)
