"""`make ask-test`: 100 questions in words with known answers, in two languages, by three ways to choose.

The phrases of the offline analyser, a scripted model that chooses perfectly, and one that obeys every text and chooses
questions which its caller may not ask. The same people wrote phrases and questions, so the first figure is not that of
unseen questions. The program exits with 1 below its goals.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from misspelt_names import leaving
from words_school import COURSE, Model, Outcome, RowsOfSchool, answered, caller_of, insights_of

from edugraph_analyzer.wording.usual_words import LEFT_OUT, only_usual_words
from edugraph_common.contracts.wordings import WordsBasis
from edugraph_insights.access import RULES
from edugraph_insights.asked_in_words import AskedInWords, basis_of, known_things
from edugraph_insights.naming import Names

QUESTIONS = Path(__file__).with_name("questions_in_words.json")
_HAN = re.compile(r"[\u3400-\u9fff]")
# The least number of right choices among the answerable questions of a language, without a model.
OFFLINE_GOAL = 34
# The largest share of made misspelt and unknown names that a model may read.
MOST_NAMES_LEAVING = 0.02


@dataclass(frozen=True)
class Case:
    """A question in words. `question` is None if nobody may answer it, and `reason` says why."""

    role: Any
    text: str
    question: str | None
    parameters: Mapping[str, str]
    reason: str

    @property
    def language(self) -> str:
        if _HAN.search(self.text):
            return "zh"
        return "en"

    def is_right(self, outcome: Outcome) -> bool:
        """Return whether an outcome is the known answer with its parameters, or the known refusal."""
        found = outcome.understood
        if self.question is None:
            return found is None and outcome.chosen.reason == self.reason
        if found is None or found.question != self.question:
            return False
        parameters = {each.parameter: each.id for each in found.parameters}
        return parameters == {"course": COURSE, **self.parameters}


def cases() -> list[Case]:
    found = []
    for row in json.loads(QUESTIONS.read_text(encoding="utf-8")):
        parameters = row.get("parameters", {})
        reason = row.get("reason", "unanswerable")
        found.append(Case(row["as"], row["text"], row["question"], parameters, reason))
    return found


def offline(case: Case) -> Outcome:
    return answered(case.role, case.text, is_chinese=case.language == "zh")


def perfect(case: Case) -> Outcome:
    """Return the outcome with a model that knows the answer."""

    def model_of(_: WordsBasis) -> Model:
        choice: dict[str, Any] = {"question": "none", "parameters": {}}
        if case.question is not None:
            choice = {"question": case.question, "parameters": _marks_of(case)}
        return Model(lambda _: json.dumps(choice))

    return answered(case.role, case.text, model_of=model_of, is_chinese=case.language == "zh")


def obedient(case: Case) -> Outcome:
    """Return the outcome with a model that does what a text wants: it chooses a question outside the rights."""

    def model_of(_: WordsBasis) -> Model:
        forbidden = ["graph-walk"]
        if case.role != "teacher":
            forbidden = sorted(RULES["teacher"].questions - RULES[case.role].questions)
        choice = {"question": forbidden[0], "parameters": {"cypher": "MATCH (n) RETURN n"}}
        return Model(lambda _: json.dumps(choice))

    return answered(case.role, case.text, model_of=model_of, is_chinese=case.language == "zh")


def _marks_of(case: Case) -> dict[str, str]:
    """Return the parameters of a case as marks of its text. A day stays as it is."""
    insights = insights_of(RowsOfSchool(case.language == "zh"))
    asked = AskedInWords(text=case.text, course_id=COURSE)
    known = known_things(insights, caller_of(case.role), asked)
    mark_of = {}
    for mark, things in Names.of(known.things).marked(case.text).things.items():
        mark_of[things[0].id] = mark
    return {name: mark_of.get(value, value) for name, value in case.parameters.items()}


def counted(
    choose: Callable[[Case], Outcome], given: Sequence[Case]
) -> dict[tuple[str, bool], list[Case]]:
    """Return the cases that are wrong, by language and by whether they have an answer."""
    wrong: dict[tuple[str, bool], list[Case]] = {}
    for case in given:
        key = (case.language, case.question is not None)
        missed = wrong.setdefault(key, [])
        if not case.is_right(choose(case)):
            missed.append(case)
    return wrong


def table(given: Sequence[Case]) -> tuple[list[str], bool]:
    """Return the lines of the table, and whether all goals are met."""
    lines = ["choice by               en          zh          refused en  refused zh"]
    is_met = True
    for name, choose, least in (
        ("phrases (offline)", offline, OFFLINE_GOAL),
        ("a perfect model", perfect, None),
    ):
        wrong = counted(choose, given)
        figures = []
        for key in (("en", True), ("zh", True), ("en", False), ("zh", False)):
            number = sum((case.language, case.question is not None) == key for case in given)
            right = number - len(wrong[key])
            figures.append(f"{right}/{number}")
            goal = number
            if least is not None and key[1]:
                goal = least
            is_met = is_met and right >= goal
        lines.append(f"{name:<24}" + "".join(f"{figure:<12}" for figure in figures).rstrip())
        for missed in wrong.values():
            lines += [f"  not: {case.text}" for case in missed]
    shortened = list(_shortened(given))
    lines.append(f"words left out before the model: in {len(shortened)} questions, goal 0")
    lines += [f"  left out: {case.text}" for case in shortened]
    is_met = is_met and not shortened
    for language in ("en", "zh"):
        left, number = leaving(language)
        lines.append(
            f"misspelt and unknown names that leave, {language}: {left} of {number}, goal 2 %"
        )
        is_met = is_met and left <= number * MOST_NAMES_LEAVING
    answered_anyway = list(_answered_by_the_obedient(given))
    lines.append(f"an obedient model: {len(answered_anyway)} of {len(given)} answered, goal 0")
    return lines, is_met and not answered_anyway


def _shortened(given: Sequence[Case]) -> Iterator[Case]:
    """Yield the answerable questions that lose a word before a model reads them."""
    for case in given:
        insights = insights_of(RowsOfSchool(case.language == "zh"))
        asked = AskedInWords(text=case.text, course_id=COURSE)
        text = basis_of(insights, caller_of(case.role), asked).text
        if case.question is not None and LEFT_OUT in only_usual_words(text):
            yield case


def _answered_by_the_obedient(given: Sequence[Case]) -> Iterator[Case]:
    for case in given:
        if obedient(case).understood is not None:
            yield case


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    lines, is_met = table(cases())
    for line in lines:
        print(line)
    if not is_met:
        print("A goal is not met.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
