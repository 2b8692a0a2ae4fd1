"""Records about the organisation and use of a school: persons, groups, terms, activity, actions of teachers."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id, Name, Text, Timestamp

_MOMENT: TypeAdapter[datetime] = TypeAdapter(Timestamp)


def _interval(value: str) -> str:
    """Return an ISO 8601 interval, such as a holiday, with both ends in UTC. The end is not part of the interval."""
    starts, slash, ends = value.partition("/")
    try:
        first = _MOMENT.validate_python(starts)
        after = _MOMENT.validate_python(ends)
    except ValidationError:
        slash = ""
    if not slash:
        raise ValueError("is no interval like 2026-10-01/2026-10-08")
    if first >= after:
        raise ValueError("ends before it starts")
    return f"{first.isoformat()}/{after.isoformat()}"


Interval = Annotated[str, AfterValidator(_interval)]


def _day(value: str) -> str:
    try:
        is_day = date.fromisoformat(value).isoformat() == value
    except ValueError:
        is_day = False
    if not is_day:
        raise ValueError("is not a day like 2026-10-01")
    return value


# A day of the school's calendar. It has no time zone.
Day = Annotated[str, AfterValidator(_day)]


class _Lasting(ContractModel):
    """The base class of records with an interval from `starts` to `ends`, excluding `ends`.

    A missing `starts` or `ends` means that the interval has no limit on that side.
    """

    starts: Timestamp | None = None
    ends: Timestamp | None = None

    @model_validator(mode="after")
    def ends_after_it_starts(self) -> Self:
        if self.starts and self.ends and self.starts >= self.ends:
            raise ValueError("ends must be later than starts")
        return self


class MembershipRecord(_Lasting):
    """The membership of a student or a teacher in a group, or their lead of it.

    Without `starts`, `ends` and `term` it has no limit in time.
    """

    group_id: Id
    student_id: Id | None = None
    teacher_id: Id | None = None
    student_name: Name | None = None
    teacher_name: Name | None = None
    group_name: Name | None = None
    term: Id | None = None
    course_id: Id | None = None
    role: Literal["member", "leader"] | None = None

    @model_validator(mode="after")
    def is_of_one_person(self) -> Self:
        if (self.student_id is None) == (self.teacher_id is None):
            raise ValueError("one of student_id and teacher_id is required")
        return self

    @property
    def leads(self) -> bool:
        """Whether the person leads the group. If the record has no `role`, a teacher leads and a student does not."""
        if self.role:
            return self.role == "leader"
        return self.teacher_id is not None


class TermRecord(_Lasting):
    """A term of the school. `breaks` are intervals without lessons."""

    term: Id
    name: Name | None = None
    breaks: tuple[Interval, ...] = Field(default=(), max_length=100)


class PersonRecord(ContractModel):
    """The other ids of a person, as a school or a platform knows them. The person claims each id in `also`.

    Without `also` the record claims nothing, and so a later version of a record can end its claims. With `decides`
    the record is an operator's decision: for the ids in `also`, other claims do not count. The own id in `also` then
    says that this id belongs to nobody else.
    """

    person_id: Id
    also: tuple[Id, ...] = Field(default=(), max_length=100)
    name: Name | None = None
    decides: bool = False

    @property
    def claimed(self) -> tuple[str, ...]:
        """The claimed ids without duplicates, in the given order. The person's own id needs no claim."""
        ids = dict.fromkeys(self.also)
        if not self.decides:
            ids.pop(self.person_id, None)
        return tuple(ids)


class ActivityRecord(ContractModel):
    """A student's activity in a course, from the record's timestamp on. Without a duration it lasts one minute."""

    student_id: Id
    course_id: Id
    activity_id: Id | None = None
    kind: Literal["page", "video", "exercise", "forum", "other"] | None = None
    duration_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


def need_something(*, spoken: bool, text: str | None, not_until: str | None) -> None:
    """Raise ValueError unless an action says something."""
    has_text = bool((text or "").strip())
    if not spoken and not has_text and not_until is None:
        raise ValueError("one of spoken, text and not_until is required")


class ActionRecord(ContractModel):
    """An action of a teacher about a student in a course. Only teachers who lead the student see it.

    `spoken` says that the teacher spoke with the student, and `text` is a note. Before the day `not_until`, the
    student is not proposed for today. The latest record with `not_until` counts.
    """

    teacher_id: Id
    student_id: Id
    course_id: Id
    spoken: bool = False
    text: Text | None = None
    not_until: Day | None = None

    @model_validator(mode="after")
    def says_something(self) -> Self:
        need_something(spoken=self.spoken, text=self.text, not_until=self.not_until)
        return self
