"""Read the choice of a model: one permitted question, and parameters that the question has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from edugraph_analyzer.asking import NotUsable
from edugraph_analyzer.findings.schema import read_json
from edugraph_common.contracts.wordings import AskableQuestion, ParameterForm, WordsBasis

# The name that a model gives if no question fits.
NONE = "none"
_MARK = re.compile(r"<?([cgspt])([1-9][0-9]?)>?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LETTER_OF = {"course": "c", "group": "g", "student": "s", "point": "p", "term": "t"}
_EMPTY = (None, "", "null", "none")
_OTHER_NAMES = str.maketrans({"_": "-", " ": "-"})


class NotAChoice(NotUsable):
    """The answer is not a permitted question with its parameters."""


@dataclass(frozen=True)
class Choice:
    """A permitted question with values for some of its parameters, or no question."""

    question: str | None
    parameters: Mapping[str, str] = field(default_factory=dict)


def choice_of(text: str, basis: WordsBasis) -> Choice:
    """Return the choice in a model's answer. Raises NotAChoice.

    Case, code fences, spaces and the signs around a mark do not count. A question that is not permitted, a parameter
    that the question does not have, and a mark that the text does not have are never read in another way.
    """
    value = read_json(text)
    if not isinstance(value, dict) or not isinstance(value.get("question"), str):
        raise NotAChoice('it is not one JSON object {"question": "...", "parameters": {...}}')
    name = value["question"].strip().lower().translate(_OTHER_NAMES)
    if name == NONE:
        return Choice(None)
    question = _question_called(name, basis)
    given = value.get("parameters")
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise NotAChoice('"parameters" is not a JSON object')
    parameters = {}
    for parameter, said in given.items():
        if _is_empty(said):
            continue
        form = _form_called(parameter, question)
        parameters[form.name] = valid_value(said, form, basis)
    return Choice(question.name, parameters)


def valid_value(said: Any, form: ParameterForm, basis: WordsBasis) -> str:
    """Return the mark or day for a parameter. Raises NotAChoice."""
    if not isinstance(said, str):
        raise NotAChoice(f'the value of "{form.name}" is not a string')
    said = said.strip()
    if form.kind == "day":
        return _day(said, form)
    found = _MARK.fullmatch(said.lower())
    if found is None or found[1] != _LETTER_OF[form.kind]:
        raise NotAChoice(f'the value of "{form.name}" is not the mark of a {form.kind}')
    mark = found[1] + found[2]
    if mark not in {thing.mark for thing in basis.named}:
        raise NotAChoice(f'the value of "{form.name}" is a mark that the text does not have')
    return mark


def _day(said: str, form: ParameterForm) -> str:
    day = _DAY.match(said)
    problem = f'the value of "{form.name}" is not a day such as 2026-11-02'
    if day is None:
        raise NotAChoice(problem)
    try:
        date.fromisoformat(day[0])
    except ValueError:
        raise NotAChoice(problem) from None
    return day[0]


def _is_empty(said: Any) -> bool:
    if isinstance(said, str):
        said = said.strip().lower()
    return said in _EMPTY


def _question_called(name: str, basis: WordsBasis) -> AskableQuestion:
    for question in basis.questions:
        if question.name == name:
            return question
    raise NotAChoice('"question" is not a name from the list')


def _form_called(name: str, question: AskableQuestion) -> ParameterForm:
    for form in question.parameters:
        if form.name == name:
            return form
    raise NotAChoice(f'"parameters" has one that the question {question.name} does not have')
