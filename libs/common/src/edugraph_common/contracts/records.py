"""The input contract, version 1: the types of learning record, one JSON object each.

`parse_record` turns one decoded JSON value into a `Record`, or raises `InvalidRecord`, which names the field,
the form that was expected, the value that was found (shortened) and the reason. `parse_row` also accepts a withdrawal
of a record.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import (
    REASONS_OF_PATTERNS,
    UNSTORABLE,
    Count,
    Deadline,
    HintCount,
    Id,
    Level,
    MaxScore,
    Name,
    Reading,
    RequiredText,
    Score,
    Severity,
    Text,
    Timestamp,
)
from edugraph_common.contracts.school_records import (
    ActionRecord,
    ActivityRecord,
    MembershipRecord,
    PersonRecord,
    TermRecord,
)

SHOWN_VALUE = 80  # characters of a wrong value that an error quotes

_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class StudentInteraction(ContractModel):
    student_id_from: Id
    student_id_to: Id
    interaction_type: Literal["chat", "like"]
    student_name_from: Name | None = None
    student_name_to: Name | None = None
    text: Text | None = None
    message_count: Count = 1
    like_count: Count = 1
    course_id: Id | None = None
    topics: tuple[Name, ...] = Field(default=(), max_length=100)


class PostRecord(ContractModel):
    """A text of a student without a receiver: a post in a forum, a comment, an essay, free feedback.

    `thread_id` is the discussion of the post. `reply_to` is the `record_id` of the post that this one answers.
    """

    student_id: Id
    course_id: Id
    student_name: Name | None = None
    thread_id: Id | None = None
    reply_to: Id | None = None
    title: Name | None = None
    text: RequiredText


class TeacherInteraction(ContractModel):
    teacher_id: Id
    student_id: Id
    teacher_name: Name | None = None
    student_name: Name | None = None
    subject: Name | None = None
    text: Text | None = None
    feedback: Text | None = None
    interaction_count: Count = 1
    course_id: Id | None = None


class CourseRecord(ContractModel):
    student_id: Id
    course_id: Id
    student_name: Name | None = None
    course_name: Name | None = None
    course_description: Text | None = None
    difficulty: Level | None = None
    enrollment_date: Timestamp | None = None
    progress: (
        Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, description="percent")] | None
    ) = None
    completion_date: Timestamp | None = None
    time_spent: Annotated[float, Field(ge=0, allow_inf_nan=False, description="minutes")] | None = (
        None
    )


class ErrorRecord(ContractModel):
    student_id: Id
    error_text: RequiredText
    course_id: Id | None = None
    course_ids: tuple[Id, ...] = Field(default=(), max_length=100)
    student_name: Name | None = None
    course_name: Name | None = None
    question: Text | None = None
    error_type: Name | None = None
    error_type_id: Id | None = None
    severity: Severity | None = None
    occurrence_count: Count = 1
    resolved: bool = False

    @model_validator(mode="after")
    def has_a_course(self) -> Self:
        if not self.courses:
            raise ValueError("one of course_id and course_ids is required")
        return self

    @property
    def courses(self) -> tuple[str, ...]:
        """The courses of the mistake without duplicates, in the given order."""
        first = (self.course_id,) if self.course_id else ()
        return tuple(dict.fromkeys(first + self.course_ids))


class CourseContent(ContractModel):
    course_id: Id
    content: RequiredText
    course_name: Name | None = None
    title: Name | None = None


HALF = 500  # thousandths; an outcome of at least a half counts as right


class AttemptRecord(ContractModel):
    """One try of a student at one item, right or wrong.

    Without an outcome it is an answer that somebody still has to judge, such as an essay. It counts as handed in, and
    not as a try. `score` is a share of `max_score`, the number of points that were possible. `hints` is the number of
    hints that the student used. `late` says whether the source calls the attempt late.
    """

    student_id: Id
    item_id: Id
    correct: bool | None = None
    score: Score | None = None
    student_name: Name | None = None
    course_id: Id | None = None
    course_ids: tuple[Id, ...] = Field(default=(), max_length=100)
    item_title: Name | None = None
    attempt_number: Count | None = None
    question: Text | None = None
    response: Text | None = None
    knowledge_points: tuple[Name, ...] = Field(default=(), max_length=100)
    duration_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    max_score: MaxScore | None = None
    hints: HintCount | None = None
    late: bool | None = None

    @model_validator(mode="after")
    def has_an_outcome_or_a_response(self) -> Self:
        if not self.has_outcome and not (self.response or "").strip():
            raise ValueError("one of correct, score and response is required")
        return self

    @property
    def courses(self) -> tuple[str, ...]:
        """The courses of the attempt without duplicates, in the given order. The tuple may be empty."""
        first = (self.course_id,) if self.course_id else ()
        return tuple(dict.fromkeys(first + self.course_ids))

    @property
    def has_outcome(self) -> bool:
        return self.correct is not None or self.score is not None

    @property
    def outcome_thousandths(self) -> int | None:
        """The share that was right, in thousandths, or None. If `correct` and `score` are given, `correct` counts.

        The share is a whole number, because the sum of floats depends on their order.
        """
        share = self.score
        if self.correct is not None:
            share = float(self.correct)
        if share is None:
            return None
        return round(share * 1000)

    @property
    def is_mistake(self) -> bool:
        """Whether the attempt counts as a mistake: more wrong than right, and with a question or a response."""
        outcome = self.outcome_thousandths
        if outcome is None or outcome >= HALF:
            return False
        return bool((self.question or self.response or "").strip())


class ItemRecord(ContractModel):
    """An item, such as a question of a quiz: its text, the knowledge points that it tests, and when it is due.

    With `assigned_to` the students of the course or of the group are to hand the item in, and the dates are those of
    this assignment. Without it, they are the dates of all assignments of the item that have none of their own.
    """

    item_id: Id
    title: Name | None = None
    question: Text | None = None
    course_id: Id | None = None
    knowledge_points: tuple[Name, ...] = Field(default=(), max_length=100)
    max_score: MaxScore | None = None
    assigned_to: Literal["course", "group"] | None = None
    group_id: Id | None = None
    opens_at: Timestamp | None = None
    due_at: Deadline | None = None

    @model_validator(mode="after")
    def is_assigned_to_one(self) -> Self:
        if self.assigned_to == "course" and self.course_id is None:
            raise ValueError("assigned_to is course, and course_id is missing")
        if (self.assigned_to == "group") != (self.group_id is not None):
            raise ValueError("assigned_to group and group_id need each other")
        return self

    @model_validator(mode="after")
    def is_due_after_it_opens(self) -> Self:
        if self.opens_at and self.due_at and self.opens_at > self.due_at:
            raise ValueError("due_at must not be earlier than opens_at")
        return self

    @property
    def assignee(self) -> tuple[Literal["Course", "Group"], str] | None:
        """The label and the id of the course or group that the item is assigned to."""
        if self.assigned_to == "course" and self.course_id:
            return "Course", self.course_id
        if self.assigned_to == "group" and self.group_id:
            return "Group", self.group_id
        return None


class PointRecord(ContractModel):
    """A school's definition of a knowledge point: its name, also in other languages, and its prerequisites.

    `label` is the short code that people use for the point, such as 6.NS.A.1. `description` is the full statement.
    `parent` is the point above this one in the outline of a curriculum.
    """

    point_id: Id | None = None
    name: Name | None = None
    label: Name | None = None
    description: Text | None = None
    parent: Name | None = Field(default=None, description="id or name of the point above")
    standard_id: Id | None = Field(
        default=None, description="id of the same point in a published framework"
    )
    names: tuple[Name, ...] = Field(
        default=(), max_length=100, description="in other languages, or other spellings"
    )
    course_id: Id | None = None
    requires: tuple[Name, ...] = Field(
        default=(), max_length=100, description="ids or names of points"
    )

    @model_validator(mode="after")
    def has_an_id_or_a_name(self) -> Self:
        if self.point_id is None and self.name is None:
            raise ValueError("one of point_id and name is required")
        return self


Data = (
    StudentInteraction
    | TeacherInteraction
    | CourseRecord
    | ErrorRecord
    | CourseContent
    | AttemptRecord
    | ItemRecord
    | MembershipRecord
    | TermRecord
    | ActivityRecord
    | PointRecord
    | PostRecord
    | PersonRecord
    | ActionRecord
)
RecordType = Literal[
    "student_interaction",
    "teacher_interaction",
    "course_record",
    "error_record",
    "course_content",
    "attempt_record",
    "item_record",
    "membership_record",
    "term_record",
    "activity_record",
    "point_record",
    "post_record",
    "person_record",
    "action_record",
]
RECORD_TYPES: tuple[RecordType, ...] = get_args(RecordType)
# The types that say which ids mean one person, who belongs to a group and who leads it, and so whom a teacher may
# see. All others are learning records.
ROSTER_TYPES: frozenset[RecordType] = frozenset(
    {"membership_record", "person_record", "term_record"}
)
DATA_OF_TYPE: dict[str, type[Data]] = dict(
    zip(
        RECORD_TYPES,
        (
            StudentInteraction,
            TeacherInteraction,
            CourseRecord,
            ErrorRecord,
            CourseContent,
            AttemptRecord,
            ItemRecord,
            MembershipRecord,
            TermRecord,
            ActivityRecord,
            PointRecord,
            PostRecord,
            PersonRecord,
            ActionRecord,
        ),
        strict=True,
    )
)

# Types that require one of several fields: type of record -> these fields, the usual one first.
ONE_OF: Mapping[str, tuple[str, ...]] = {
    "error_record": ("course_id", "course_ids"),
    "attempt_record": ("correct", "score", "response"),
    "membership_record": ("student_id", "teacher_id"),
    "point_record": ("point_id", "name"),
    "action_record": ("spoken", "text", "not_until"),
}


# Adapters of statements number their readings from here on. A statement never changes, so of two contents of one
# reading the one that was accepted first counts.
FIRST_STATEMENT_READING = 1_000


class Record(ContractModel):
    """A valid record. `record_id` is always filled. `content_hash` differs if two contents have the same id.

    `reading` is a number that an adapter raises when it begins to read a source differently. If an event was read
    twice, the higher reading counts. The readings of statements begin at `FIRST_STATEMENT_READING`. Without `consent`
    the text is not sent to the provider of a model. `changed_at` is the time of the last change in the source. These
    three are not part of the content.
    """

    type: RecordType
    timestamp: Timestamp
    record_id: Id
    data: Data
    reading: Reading = 0
    consent: bool = True
    changed_at: Timestamp | None = None

    @property
    def change_time(self) -> datetime:
        """The time that orders the versions of a record: the version with the latest one counts."""
        return self.changed_at or self.timestamp

    @cached_property
    def time(self) -> str:
        """The timestamp as text; see `iso`."""
        return iso(self.timestamp)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of type, timestamp and data."""
        return content_hash(self.type, self.time, self.data)

    @cached_property
    def version_key(self) -> str:
        """A text that sorts by timestamp, then by record id: a later record has a greater key."""
        return f"{self.time}|{self.record_id}"

    def to_json(self) -> dict[str, Any]:
        """Return the given fields as JSON values. Parsing them again gives an equal record."""
        written: dict[str, Any] = {
            "type": self.type,
            "timestamp": self.time,
            "record_id": self.record_id,
            "data": self.data.model_dump(mode="json", exclude_unset=True),
        }
        if self.reading:
            written["reading"] = self.reading
        if not self.consent:
            written["consent"] = False
        if self.changed_at:
            written["changed_at"] = iso(self.changed_at)
        return written


def course_ids_of(record: Record) -> tuple[str, ...]:
    """Return the ids of the courses that a record belongs to."""
    data = record.data
    if isinstance(data, ErrorRecord | AttemptRecord):
        return tuple(data.courses)
    course_id = getattr(data, "course_id", None)
    if not course_id:
        return ()
    return (course_id,)


class Withdrawal(ContractModel):
    """Withdraws the record with this id: all of its versions that did not change later than the withdrawal.

    The record may arrive before or after its withdrawal. A withdrawal without a time is permanent.
    """

    record_id: Id
    timestamp: Timestamp | None = None
    changed_at: Timestamp | None = None

    @property
    def change_time(self) -> datetime:
        """The time that is compared with the change times of the record's versions."""
        return self.changed_at or self.timestamp or datetime.max.replace(tzinfo=UTC)


def iso(moment: datetime) -> str:
    """Return a moment in UTC with microseconds. The text has a fixed width, so texts sort in the order of time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 to the moment, without rounding."""
    return (moment - _EPOCH) // _MICROSECOND


def iso_of_microseconds(number: int) -> str:
    """Return the moment `number` microseconds after 1970, in the form of `iso`."""
    return iso(_EPOCH + number * _MICROSECOND)


def content_hash(record_type: str, time: str, data: Data) -> str:
    given = data.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    whole = {"type": record_type, "timestamp": time, "data": given}
    return hashlib.sha256(_CANONICAL.encode(whole).encode()).hexdigest()


def default_id(record_type: str, timestamp: datetime, data: Data) -> str:
    """Return the id of a record that comes without one: a hash of its content.

    A person_record has a hash of its `person_id`, so that the next list of a person's ids corrects the last one.
    """
    if isinstance(data, PersonRecord):
        whole = {"type": record_type, "person_id": data.person_id}
        return hashlib.sha256(_CANONICAL.encode(whole).encode()).hexdigest()
    return content_hash(record_type, iso(timestamp), data)


class InvalidRecord(Exception):
    """One record is not valid. The records beside it are not affected."""

    def __init__(self, field: str, expected: str, found: str, reason: str) -> None:
        super().__init__(f"{field}: {reason} (expected {expected})")
        self.field = field
        self.expected = expected
        self.found = found
        self.reason = reason


def parse_row(value: object) -> Record | Withdrawal:
    """Return a record, or the withdrawal that is `withdrawn: true` with the id or the whole content of a record.

    Raises InvalidRecord for the first error.
    """
    if not isinstance(value, dict) or value.get("withdrawn") is None:
        return parse_record(value)
    _refuse_unknown(value)
    try:
        head = _Head.model_validate({key: value.get(key) for key in _HEAD})
    except ValidationError as error:
        raise _first_problem(error, value) from None
    rest = {key: item for key, item in value.items() if key != "withdrawn"}
    if head.withdrawn and value.get("type") == "activity_record":
        # The graph keeps the minutes of all records together.
        raise InvalidRecord(
            "withdrawn", "a record of another type", "true", "activity cannot be taken back"
        )
    if not head.withdrawn:
        return parse_record(rest)
    record_id = head.record_id or parse_record(rest).record_id
    return Withdrawal.model_construct(
        record_id=record_id, timestamp=head.timestamp, changed_at=head.changed_at
    )


def parse_record(value: object) -> Record:
    """Return the record in a decoded JSON value. Raises InvalidRecord for the first error."""
    envelope = _envelope(value)
    kind = envelope["type"]
    if not isinstance(kind, str) or kind not in DATA_OF_TYPE:
        raise InvalidRecord(
            "type", f"one of {', '.join(RECORD_TYPES)}", shorten(kind), "is not a known record type"
        )
    try:
        data = DATA_OF_TYPE[kind].model_validate(envelope["data"])
        head = _Head.model_validate({key: envelope.get(key) for key in _HEAD})
    except ValidationError as error:
        raise _first_problem(error, envelope) from None
    if head.withdrawn:
        raise InvalidRecord(
            "withdrawn", "a record", "true", "takes a record back, where only records are taken"
        )
    record_id = head.record_id or default_id(kind, head.timestamp, data)
    return Record.model_construct(
        type=cast("RecordType", kind),
        timestamp=head.timestamp,
        record_id=record_id,
        data=data,
        reading=head.reading or 0,
        consent=head.consent is not False,
        changed_at=head.changed_at,
    )


class _Head(ContractModel):
    timestamp: Timestamp
    record_id: Id | None = None
    withdrawn: bool | None = None
    reading: Reading | None = None
    consent: bool | None = None
    changed_at: Timestamp | None = None


_HEAD = tuple(_Head.model_fields)
_FIELDS = ("type", *_HEAD, "data")
_KNOWN = frozenset(_FIELDS)


def _envelope(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRecord("(line)", "one JSON object", shorten(value), "is not a JSON object")
    _refuse_unknown(value)
    for key in ("type", "timestamp", "data"):
        if value.get(key) is None:
            raise InvalidRecord(key, _EXPECTED[key], "", "is missing")
    if not isinstance(value["data"], dict):
        raise InvalidRecord(
            "data", _EXPECTED["data"], shorten(value["data"]), "is not a JSON object"
        )
    return value


def _refuse_unknown(value: Mapping[str, Any]) -> None:
    if not value.keys() <= _KNOWN:
        unknown = sorted(value.keys() - _KNOWN)
        raise InvalidRecord(
            shorten(unknown[0]), ", ".join(_FIELDS), "", "is not a field of a record"
        )


_EXPECTED = {
    "type": f"one of {', '.join(RECORD_TYPES)}",
    "timestamp": "an ISO 8601 date and time",
    "data": "a JSON object with the fields of the type",
}


def _first_problem(error: ValidationError, envelope: Mapping[str, Any]) -> InvalidRecord:
    detail = error.errors(include_url=False)[0]
    location = detail["loc"]
    path = ".".join(str(part) for part in location)
    is_in_head = location and location[0] in _HEAD
    if is_in_head:
        field = path
    elif path:
        field = f"data.{path}"
    else:
        field = "data"

    # An error of the whole type has no path, and its input is the whole object.
    is_of_whole_type = detail["type"] == "value_error" and not path
    found = ""
    if detail["type"] != "missing" and not is_of_whole_type:
        found = shorten(detail.get("input"))
    expected = _expected_form(detail, str(envelope.get("type")))
    return InvalidRecord(field, expected, found, _reason(detail))


def _reason(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "extra_forbidden":
        return "is not a field of this type"
    if detail["type"] == "string_pattern_mismatch":
        return REASONS_OF_PATTERNS[detail["ctx"]["pattern"]]
    if detail["type"] == "string_unicode":
        return UNSTORABLE
    message = detail["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _expected_form(detail: ErrorDetails, kind: str) -> str:
    """Return a short phrase that says what was expected, with the field's own limits if pydantic states them."""
    context = detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        return "one of " + ", ".join(DATA_OF_TYPE[kind].model_fields)
    if "expected" in context:
        return str(context["expected"])
    limits = {
        "gt": "more than",
        "ge": "at least",
        "le": "at most",
        "min_length": "length at least",
        "max_length": "length at most",
    }
    for key, words in limits.items():
        if key in context:
            return f"{words} {context[key]}"
    if detail["type"] == "string_unicode":
        return "text"  # the error may be in the name of a field, and then it has no location
    if not detail["loc"]:
        # The other checks of a whole type: one of several fields is there, and an interval ends after it starts.
        if kind == "item_record":
            return _FORMS_OF_ITEMS["due_at" in detail["msg"]]
        has_interval = "starts" in DATA_OF_TYPE[kind].model_fields
        if has_interval and "one of" not in detail["msg"]:
            return "starts earlier than ends"
        return " or ".join(ONE_OF[kind])
    name = str(detail["loc"][0])
    return _FORMS.get(
        name, _FORMS_BY_ERROR.get(detail["type"].split("_")[0], "a value of the documented form")
    )


# Whether the dates of an item are wrong -> the expected form.
_FORMS_OF_ITEMS = {
    True: "opens_at not later than due_at",
    False: "assigned_to course with course_id, or assigned_to group with group_id",
}
_FORMS = {
    "timestamp": "an ISO 8601 date and time",
    "changed_at": "an ISO 8601 date and time",
    "enrollment_date": "an ISO 8601 date and time",
    "completion_date": "an ISO 8601 date and time",
    "starts": "an ISO 8601 date and time",
    "ends": "an ISO 8601 date and time",
    "opens_at": "an ISO 8601 date and time",
    "due_at": "an ISO 8601 date and time",
    "not_until": "a day like 2026-10-01",
    "breaks": "an interval like 2026-10-01/2026-10-08",
    "record_id": "1 to 128 characters",
}
_FORMS_BY_ERROR = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "missing": "a value",
}


def shorten(value: object) -> str:
    """Return any value as JSON that can be written in UTF-8, cut to `SHOWN_VALUE` characters."""
    text = value if isinstance(value, str) else as_json(value)
    text = escaped(text)
    if len(text) <= SHOWN_VALUE:
        return text
    return text[: SHOWN_VALUE - 1] + "…"


def as_json(value: object) -> str:
    """Return a value as JSON, or a phrase if it is nested too deeply to be written."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "(nested too deeply to be shown)"


def escaped(text: str) -> str:
    """Return the text with lone surrogates as escapes, because UTF-8 cannot encode them."""
    return text.encode(errors="backslashreplace").decode()
