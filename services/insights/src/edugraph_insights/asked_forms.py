"""The parameters of typed questions that a text may give, and which of them a caller may give."""

from typing import Any

from edugraph_common.contracts.wordings import (
    AskableQuestion,
    ParameterForm,
    ValueKind,
    WordsLanguage,
)
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.access import EVERY_QUESTION, Rows, rule_for, rules_of
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.question import Question
from edugraph_insights.sentences import said

# Thresholds and limits are left to the course and to the caller, so they are not read from a text.
KIND_OF: dict[str, ValueKind] = {
    "course": "course",
    "other": "course",
    "next_course": "course",
    "group": "group",
    "other_group": "group",
    "student": "student",
    "point": "point",
    "goal": "point",
    "term": "term",
    "from": "day",
    "to": "day",
    "as_of": "day",
}
# Callers who see less than everybody cannot give parameters of these kinds.
_HIDDEN_FROM: dict[Rows, frozenset[ValueKind]] = {
    "cells": frozenset({"group", "student", "term", "day"}),
    "groups": frozenset({"student"}),
    "self": frozenset({"group", "student"}),
}


def permitted_questions(insights: Insights, caller: Caller) -> list[Question[Any, Any]]:
    """Return the questions that this caller may ask."""
    rules = rules_of(insights.settings.head_sees)
    names: set[str] = set()
    if caller == ANYBODY:
        names |= EVERY_QUESTION
    for role in caller.roles:
        names |= rules[role].questions
    return [question for question in QUESTIONS.values() if question.name in names]


def rows_in(insights: Insights, caller: Caller, question: str) -> Rows:
    """Return the rows that a caller sees in a question. Raises Refusal 403."""
    return rule_for(caller, question, rules_of(insights.settings.head_sees)).rows


def forms_of(question: Question[Any, Any], rows: Rows) -> tuple[ParameterForm, ...]:
    """Return the parameters of a question that a text may give, if the caller sees these rows."""
    hidden = _HIDDEN_FROM.get(rows, frozenset())
    forms = []
    for field_name, described in question.parameters.model_fields.items():
        name = described.alias or field_name
        kind = KIND_OF.get(name)
        if kind is None or kind in hidden:
            continue
        forms.append(ParameterForm(name=name, kind=kind, required=described.is_required()))
    return tuple(forms)


def askable(
    insights: Insights, caller: Caller, language: WordsLanguage
) -> tuple[AskableQuestion, ...]:
    """Return the questions that this caller may ask, as the analyzer chooses from them."""
    found = []
    for question in permitted_questions(insights, caller):
        rows = rows_in(insights, caller, question.name)
        found.append(
            AskableQuestion(
                name=question.name,
                title=said("title", question.name, question.title, language),
                parameters=forms_of(question, rows),
            )
        )
    return tuple(found)
