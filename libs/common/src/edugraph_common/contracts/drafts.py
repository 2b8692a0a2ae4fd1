"""Drafts that a model writes for a teacher: feedback to one student, or a summary of a class.

Insights chooses the records that the teacher may see, the gateway takes them as the basis of a draft, and the
analyzer asks the model. Each sentence of a draft cites records of its basis by their numbers (docs/adr/0150).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.record_fields import Id, Text

DraftKind = Literal["feedback", "summary"]
DraftLanguage = Literal["en", "zh"]
# A draft has at most this many sentences.
MOST_SENTENCES = 6
# A basis has at most this many records, and a model reads at most this many characters of each text in it.
MOST_RECORDS = 40
LONGEST_SHOWN_TEXT = 400
LONGEST_SHOWN_NAME = 200
MOST_SHOWN_NAMES = 5
# A basis has at most this many bytes as JSON in ASCII. The gateway takes no larger body.
MOST_BASIS_BYTES = 60_000

Number = Annotated[int, Field(ge=1, le=MOST_RECORDS)]
ShownText = Annotated[Text, Field(max_length=LONGEST_SHOWN_TEXT)]
ShownName = Annotated[Text, Field(max_length=LONGEST_SHOWN_NAME)]


class DraftRecord(MessageModel):
    """One record of a basis: an answer or a mistake. Sentences cite its `number`.

    `at` is an ISO 8601 time, and `outcome` is in thousandths. The texts are missing unless a model has read the
    record before, since the graph does not know whether consent was given.
    """

    number: Number
    record_id: str = Field(min_length=1, max_length=400)
    student_id: Id
    at: str = Field(max_length=40)
    item: ShownName | None = None
    outcome: int | None = Field(default=None, ge=0, le=1_000)
    question: ShownText | None = None
    text: ShownText | None = None
    error_types: tuple[ShownName, ...] = Field(default=(), max_length=MOST_SHOWN_NAMES)
    knowledge_points: tuple[ShownName, ...] = Field(default=(), max_length=MOST_SHOWN_NAMES)


class DraftStudent(MessageModel):
    """A student of a basis. The model reads S1 for the first student, S2 for the second, and never a name."""

    student_id: Id
    name: ShownName | None = None


class DraftBasis(MessageModel):
    """The records on which a draft is based, as insights permits them to one caller."""

    kind: DraftKind
    course_id: Id
    course_name: ShownName | None = None
    language: DraftLanguage = "en"
    students: tuple[DraftStudent, ...] = Field(min_length=1, max_length=MOST_RECORDS)
    records: tuple[DraftRecord, ...] = Field(min_length=1, max_length=MOST_RECORDS)

    @property
    def student_ids(self) -> tuple[str, ...]:
        return tuple(student.student_id for student in self.students)

    @model_validator(mode="after")
    def each_record_is_of_a_student(self) -> Self:
        """Refuse a record of a student who is not in the list, and a number that two records have."""
        numbers = {record.number for record in self.records}
        owners = {record.student_id for record in self.records}
        if len(numbers) < len(self.records):
            raise ValueError("two records have the same number")
        if not owners <= set(self.student_ids):
            raise ValueError("a record is of a student who is not in `students`")
        return self


class DraftSentence(MessageModel):
    """A sentence of a draft, and the numbers of the records that it cites, at least one."""

    text: str
    cites: tuple[int, ...] = Field(min_length=1)


class CitedRecord(MessageModel):
    """A record that a sentence of a draft cites."""

    number: int
    record_id: str
    student_id: str


class Draft(MessageModel):
    """The result of write_draft_task: a draft for a person to edit. EduGraph sends it to nobody.

    `removed` counts the sentences of the model without a valid citation: they cited no record, or one that was not
    shown, or named a student without citing a record of this student. `cut` counts the sentences after
    the sixth. A draft that could not be written has an `error` and no sentences. Tokens and cost are those of all
    requests, also of a draft that could not be written. An erasure finds the draft by its `student_ids`.
    """

    version: Literal[1] = 1
    job_id: str
    state: Literal["draft", "failed"]
    is_draft: Literal[True] = True
    kind: DraftKind
    course_id: str
    student_ids: tuple[str, ...]
    language: DraftLanguage = "en"
    sentences: tuple[DraftSentence, ...] = Field(default=(), max_length=MOST_SENTENCES)
    records: tuple[CitedRecord, ...] = ()
    removed: int = 0
    cut: int = 0
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    error: str | None = None
