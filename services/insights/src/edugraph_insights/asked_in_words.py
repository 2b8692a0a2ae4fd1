"""Questions in words: the basis that a model may read, and the typed question that its choice means for the caller.

The text is marked again when the choice is resolved, so nothing of it is kept between the two requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import Field, ValidationError, field_validator

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id, Text
from edugraph_common.contracts.wordings import (
    LONGEST_NAME_OF_THING,
    LONGEST_WORDS,
    MOST_COURSES,
    MOST_STUDENTS,
    Candidate,
    ChosenParameters,
    NamedThing,
    ParameterForm,
    QuestionName,
    UnderstoodParameter,
    UnderstoodQuestion,
    WordsBasis,
    WordsLanguage,
)
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.access import EVERY_QUESTION, Rule, own_person, roster
from edugraph_insights.asked_forms import askable, forms_of, rows_in
from edugraph_insights.available import Choices, available
from edugraph_insights.insights import Insights
from edugraph_insights.naming import MarkedText, Names, Thing, plainly
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.sentences import said

# A parameter has at most this many candidates.
MOST_CANDIDATES = 50
_ROWS_WITH_STUDENTS = frozenset({"everybody", "own groups"})


class AskedInWords(ContractModel):
    """A question in words. `course_id` is the course that the caller looks at."""

    text: Annotated[Text, Field(min_length=1, max_length=LONGEST_WORDS)]
    course_id: Id | None = None
    language: WordsLanguage = "en"

    @field_validator("text")
    @classmethod
    def is_short_in_usual_characters(cls, text: str) -> str:
        """Refuse a text whose signs stand for many characters, such as one sign for a whole sentence."""
        if len(plainly(text)) > LONGEST_WORDS:
            raise ValueError(f"the text has more than {LONGEST_WORDS} characters")
        return text


class ChoiceForWords(AskedInWords):
    """A question in words, and the choice that the result of the task has."""

    question: QuestionName
    parameters: ChosenParameters = Field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """The things that a text of one caller may name, and the courses among which their names were looked up."""

    things: tuple[Thing, ...]
    courses: tuple[Thing, ...]

    def of_kind(self, kind: str) -> list[Thing]:
        return [thing for thing in self.things if thing.kind == kind]


def basis_of(insights: Insights, caller: Caller, asked: AskedInWords) -> WordsBasis:
    """Return the text without the names that the caller may ask about, and the questions that they may ask.

    Raises Refusal 403 for a caller without questions, and Problem 422 if the course must be said.
    """
    known = known_things(insights, caller, asked)
    marked = Names.of(known.things).marked(asked.text)
    named = []
    current = None
    student_ids: dict[str, None] = {}
    for mark, things in marked.things.items():
        if things[0].kind == "student":
            student_ids |= dict.fromkeys(thing.id for thing in things)
            named.append(NamedThing(mark=mark))
        else:
            named.append(NamedThing(mark=mark, name=things[0].name[:LONGEST_NAME_OF_THING]))
            if asked.course_id is not None and things[0].id == asked.course_id:
                current = mark
    return WordsBasis(
        text=marked.text,
        language=asked.language,
        today=insights.now().astimezone(insights.zone).date().isoformat(),
        current=current,
        course_ids=tuple(course.id for course in known.courses),
        student_ids=tuple(student_ids)[:MOST_STUDENTS],
        named=tuple(named),
        questions=askable(insights, caller, asked.language),
    )


def known_things(insights: Insights, caller: Caller, asked: AskedInWords) -> Known:
    """Return what a text may name. Raises Refusal 403, and Problem 422 if the course must be said."""
    choices = available(insights, caller)
    if choices.sees == "nobody":
        # `rule_for` says which roles are missing.
        rows_in(insights, caller, "roster")
    places = _places(choices)
    courses = _courses_meant(places, asked)
    things = list(places)
    students: dict[str, Thing] = {}
    for course in courses:
        for row in insights.graph.read("points_taught", course=course.id):
            things.append(Thing("point", row["point"], row["name"]))
        for student in _students(insights, caller, choices, course.id):
            students[student.id] = student
    return Known((*things, *students.values()), tuple(courses))


def _places(choices: Choices) -> list[Thing]:
    places = [Thing("course", course.id, course.name) for course in choices.courses]
    places += [Thing("group", group.id, group.name) for group in choices.groups]
    places += [Thing("term", term.id, term.name) for term in choices.terms]
    return places


def _courses_meant(places: Sequence[Thing], asked: AskedInWords) -> list[Thing]:
    """Return the courses that the text names and that of the caller, or all courses if they are few.

    Raises Problem 422 if none is named and there are many: the names of their students would not be known.
    """
    every_course = [thing for thing in places if thing.kind == "course"]
    in_text: set[str] = set()
    for things in Names.of(every_course).marked(asked.text).things.values():
        in_text.update(thing.id for thing in things)
    if asked.course_id is not None:
        in_text.add(asked.course_id)
    meant = [course for course in every_course if course.id in in_text]
    if not meant:
        meant = every_course
    if not meant:
        raise Problem(404, "not-found", "There is no course about which you may ask.")
    if len(meant) > MOST_COURSES:
        words = f"Say which course is meant: there are {len(meant):,} about which you may ask."
        raise Problem(422, "course", words)
    return meant


def _students(insights: Insights, caller: Caller, choices: Choices, course: str) -> list[Thing]:
    """Return the students of a course whom the caller sees."""
    if choices.sees not in _ROWS_WITH_STUDENTS:
        return []
    rule = Rule(choices.sees, EVERY_QUESTION)
    found = roster(insights.graph, caller, rule, Parameters(course=course), insights.now())
    students = []
    for row in insights.graph.read("names", students=list(found.students)):
        students.append(Thing("student", row["student"], row["name"] or row["student"]))
    return students


def understood(insights: Insights, caller: Caller, asked: ChoiceForWords) -> UnderstoodQuestion:
    """Return the typed question that a choice means.

    Raises Refusal 403 if the caller may not ask the question, and Problem 422 for a question, a parameter or a mark
    that does not exist, or a value that the question does not take.
    """
    question = QUESTIONS.get(asked.question)
    if question is None:
        raise Problem(422, "invalid", "There is no question of this name.")
    rows = rows_in(insights, caller, question.name)
    forms = {form.name: form for form in forms_of(question, rows)}
    unknown = set(asked.parameters) - set(forms)
    if unknown:
        words = "The question does not have one of these parameters, or you may not give it."
        raise Problem(422, "invalid", words)
    known = known_things(insights, caller, asked)
    marked = Names.of(known.things).marked(asked.text)
    meant = _meant(asked.parameters, forms, marked)
    _add_course(meant, known, asked.course_id)
    candidates = _candidates(meant, forms, known)
    chosen = _chosen(meant)
    ask = None
    if not candidates:
        given = {form: chosen[form].id for form in chosen}
        if rows == "self":
            given |= _own_student(insights, caller, question)
        parameters = _checked(question, {**given, "language": asked.language})
        ask = _address(question.name, parameters)
    return UnderstoodQuestion(
        question=question.name,
        title=said("title", question.name, question.title, asked.language),
        parameters=tuple(
            UnderstoodParameter(parameter=name, id=thing.id, name=thing.name)
            for name, thing in chosen.items()
        ),
        candidates=candidates,
        ask=ask,
    )


def _meant(
    parameters: Mapping[str, str], forms: Mapping[str, ParameterForm], marked: MarkedText
) -> dict[str, tuple[Thing, ...]]:
    """Return the things that each parameter may mean. A day is a thing whose id is the day. Raises Problem 422."""
    meant: dict[str, tuple[Thing, ...]] = {}
    for name, value in parameters.items():
        kind = forms[name].kind
        if kind == "day":
            meant[name] = (Thing("term", _day(value), value),)
            continue
        things = marked.things.get(value, ())
        if not things or things[0].kind != kind:
            words = f"The value of {name} is not the mark of a {kind} in this text."
            raise Problem(422, "invalid", words)
        meant[name] = things
    return meant


def _day(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise Problem(422, "invalid", "A day is written as 2026-11-02.") from None
    return value


def _add_course(meant: dict[str, tuple[Thing, ...]], known: Known, current: str | None) -> None:
    """Add the course that the caller looks at, or their only one, if the choice has none."""
    if "course" in meant:
        return
    courses = [course for course in known.courses if course.id == current]
    if not courses:
        courses = list(known.courses)
    meant["course"] = tuple(courses)


def _candidates(
    meant: Mapping[str, tuple[Thing, ...]], forms: Mapping[str, ParameterForm], known: Known
) -> dict[str, tuple[Candidate, ...]]:
    """Return the things to choose from, for each parameter that is ambiguous or needed and missing."""
    candidates = {}
    for name, form in forms.items():
        things = meant.get(name, ())
        is_clear = len(things) == 1 or (not things and not form.required)
        if is_clear:
            continue
        if not things:
            things = tuple(sorted(known.of_kind(form.kind), key=lambda thing: thing.name))
        shown = things[:MOST_CANDIDATES]
        candidates[name] = tuple(Candidate(id=thing.id, name=thing.name) for thing in shown)
    return candidates


def _chosen(meant: Mapping[str, tuple[Thing, ...]]) -> dict[str, Thing]:
    """Return the thing of each parameter that means one thing."""
    return {name: things[0] for name, things in meant.items() if len(things) == 1}


def _own_student(
    insights: Insights, caller: Caller, question: Question[Any, Any]
) -> dict[str, str]:
    """Return the caller's own id for a question about one student."""
    if not question.parameters.model_fields["student"].is_required():
        return {}
    return {"student": own_person(insights.graph, caller)}


def _checked(question: Question[Any, Any], given: Mapping[str, str]) -> Parameters:
    """Return the parameters as the typed question takes them. Raises Problem 422."""
    try:
        checked: Parameters = question.parameters.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Problem(422, "invalid", f"{place}: {first['msg']}") from None
    return checked


def _address(question: str, parameters: Parameters) -> str:
    return f"/v1/insights/{question}?{urlencode(parameters.given())}"
