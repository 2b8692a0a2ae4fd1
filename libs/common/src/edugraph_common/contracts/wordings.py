"""Questions in words: a model chooses one of the typed questions of insights, and code answers the typed question.

Insights replaces names by marks and says which questions the caller may ask, the gateway takes this basis, and the
analyzer chooses. The choice has names of questions, marks and days, and no text (docs/adr/0154).
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.record_fields import Id, Text

WordsLanguage = Literal["en", "zh"]
ValueKind = Literal["course", "group", "student", "point", "term", "day"]
LONGEST_WORDS = 500
LONGEST_NAME_OF_THING = 200
MOST_NAMED = 30
MOST_COURSES = 10
MOST_QUESTIONS = 100
MOST_STUDENTS = 100
MOST_PARAMETERS = 20
# The first letters of marks are those of the kinds: c1, g1, s1, p1, t1.
MARK = r"^[cgspt][1-9][0-9]?$"

QuestionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]{0,39}$")]
ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")]
# A mark or a day such as 2026-11-02.
ChosenValue = Annotated[
    str, StringConstraints(pattern=r"^(?:[cgspt][1-9][0-9]?|[0-9]{4}-[0-9]{2}-[0-9]{2})$")
]
ChosenParameters = Annotated[dict[ParameterName, ChosenValue], Field(max_length=MOST_PARAMETERS)]
Refusal = Literal["unanswerable", "person", "near"]
Failure = Literal["ended", "budget", "provider", "unreadable"]


class ParameterForm(MessageModel):
    """A parameter of a typed question: the kind of its value, and whether the question needs it."""

    name: ParameterName
    kind: ValueKind
    required: bool = False


class AskableQuestion(MessageModel):
    """A typed question that the caller may ask, with the parameters that a text may give."""

    name: QuestionName
    title: str = Field(max_length=400)
    parameters: tuple[ParameterForm, ...] = Field(max_length=MOST_PARAMETERS)


class NamedThing(MessageModel):
    """A course, group, point or term that the text names, or a student, whose `name` is never sent."""

    mark: str = Field(pattern=MARK)
    name: Annotated[Text, Field(max_length=LONGEST_NAME_OF_THING)] | None = None


class WordsBasis(MessageModel):
    """The text of a question without the names that insights knows, and the questions that its caller may ask.

    A mark such as <s1> stands in the place of each name. `course_ids` are the courses whose people the analyzer
    looks for in the text. `current` is the mark of the course that the caller looks at, and `today` is the day.
    """

    text: str = Field(min_length=1, max_length=3 * LONGEST_WORDS)
    language: WordsLanguage = "en"
    today: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    current: str | None = Field(default=None, pattern=MARK)
    course_ids: tuple[Id, ...] = Field(min_length=1, max_length=MOST_COURSES)
    student_ids: tuple[Id, ...] = Field(default=(), max_length=MOST_STUDENTS)
    named: tuple[NamedThing, ...] = Field(default=(), max_length=MOST_NAMED)
    questions: tuple[AskableQuestion, ...] = Field(min_length=1, max_length=MOST_QUESTIONS)


class ChosenQuestion(MessageModel):
    """The result of choose_question_task: a typed question and its parameters, or why there is none.

    `reason` is for programs and `error` for people. `model` is None if the words were read without a model. Tokens
    and cost are those of all requests, also of a question that could not be chosen. Nothing in it is
    about a person: a student is a mark, which only insights can resolve with the rights of the caller.
    """

    version: Literal[1] = 1
    job_id: str
    state: Literal["chosen", "refused", "failed"]
    question: QuestionName | None = None
    parameters: ChosenParameters = Field(default_factory=dict)
    reason: Refusal | Failure | None = None
    error: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Candidate(MessageModel):
    id: str
    name: str


class UnderstoodParameter(MessageModel):
    """A parameter of the typed question, with the name of the thing that it means."""

    parameter: str
    id: str
    name: str


class UnderstoodQuestion(MessageModel):
    """The typed question that was understood.

    `ask` is its address, or null if the caller must choose first: `candidates` has the things for each parameter that
    is ambiguous or missing.
    """

    question: str
    title: str
    parameters: tuple[UnderstoodParameter, ...]
    candidates: dict[str, tuple[Candidate, ...]]
    ask: str | None
