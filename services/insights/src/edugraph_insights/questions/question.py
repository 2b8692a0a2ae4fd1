"""The form of a question: its parameters, its rows, how it is computed, and the function that finds its answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Annotated, Any, Generic, Self, TypeVar
from urllib.parse import quote_plus, urlencode

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Found, R
from edugraph_insights.facts import Facts
from edugraph_insights.school_days import DAY, beginning_of, end_of, period_in_utc
from edugraph_insights.sentences import Language
from edugraph_insights.settings import HelpThresholds

PointId = Annotated[str, Field(min_length=1, max_length=8_000)]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _known_in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC if it has a time zone. Otherwise it is one of the school's time zone, see `in_zone`."""
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this is before the year 1 or after the year 9999 in UTC") from None


def _beginning(given: object) -> object:
    """Return the first moment of a day, or what was given."""
    if isinstance(given, str) and _DAY.fullmatch(given):
        return f"{given}T00:00:00"
    return given


def _end(given: object) -> object:
    """Return the last moment of a day, or what was given."""
    if isinstance(given, str) and _DAY.fullmatch(given):
        return f"{given}T23:59:59.999999"
    return given


def _second(moment: datetime) -> datetime:
    """Return the same time, and the second one of a time that the clocks of a zone show twice."""
    return moment.replace(fold=1)


# A moment without a time zone is in the time zone of the school.
From = Annotated[datetime, BeforeValidator(_beginning), AfterValidator(_known_in_utc)]
To = Annotated[
    datetime, BeforeValidator(_end), AfterValidator(_known_in_utc), AfterValidator(_second)
]


class Parameters(ContractModel):
    """Parameters of each question. A caller who sees only cells may give the course and nothing narrower."""

    model_config = ConfigDict(populate_by_name=True)

    course: Id = Field(description="the course")
    group: Id | None = Field(
        default=None,
        description="a group; the question is about its members of today, or of the day `as_of`",
    )
    own_list: str | None = Field(
        default=None,
        alias="list",
        pattern=r"^[0-9a-f]{32}$",
        description="a list of your own, by its id in /v1/insights/views: only its students whom you may see",
    )
    student: Id | None = Field(
        default=None, description="the one student that the question is about"
    )
    since: From | None = Field(
        default=None,
        alias="from",
        description="only records from this moment on, or from the beginning of this day; in the time zone of "
        "the school by default",
    )
    until: To | None = Field(
        default=None,
        alias="to",
        description="only records until this moment, or until the end of this day; now by default",
    )
    term: Id | None = Field(
        default=None, description="a term: only records from its beginning until its end"
    )
    as_of: date | None = Field(
        default=None,
        description="a day: only records until its end in the time zone of the school, and the members of the course "
        "or group on that day",
    )
    language: Language = Field(
        default="en",
        description="language of the sentences in the answer and of the headings of its table",
    )

    @property
    def courses(self) -> tuple[str, ...]:
        """All courses whose records the question reads."""
        return (self.course,)

    @property
    def fixed_in_cells(self) -> tuple[str, ...]:
        """The parameters that are thresholds. They are fixed for callers who see only cells."""
        return ()

    @property
    def person(self) -> str | None:
        """The student that the question is about, for the audit log, or None if it is not about one student."""
        return self.student

    @property
    def beside(self) -> "Parameters | None":
        """The parameters for the other group, or None if the question does not compare two."""
        return None

    def completed(self, _thresholds: HelpThresholds) -> Self:
        """Return the parameters. Thresholds that were not given are filled in from those of the course."""
        return self

    def given(self) -> dict[str, str]:
        """Return the parameters that were given, in the form that they have in an address."""
        values = self.model_dump(by_alias=True, exclude_none=True)
        if self.language == "en":  # the default
            del values["language"]
        return {
            name: v.isoformat() if isinstance(v, date) else str(v) for name, v in values.items()
        }

    def in_zone(self, zone: tzinfo) -> Self:
        """Return the same question with `since` and `until` in UTC. `zone` is the time zone of the school."""
        return self.model_copy(update=period_in_utc(self.since, self.until, zone))

    def in_week(self, monday: date, zone: tzinfo) -> Self:
        """Return the same question about one week, or about the part of the week that lies in the period."""
        begins = beginning_of(monday, zone)
        ends = end_of(monday + DAY * 6, zone)
        since = max(begins, self.since or begins)
        until = min(ends, self.until or ends)
        return self.model_copy(update={"since": since, "until": until})

    def records(self, **more: str) -> str:
        """Return the address of the records behind a number of the answer."""
        about = {
            "course": self.course,
            "group": self.group,
            "list": self.own_list,
            "student": self.student,
        }
        times: dict[str, date | None] = {"as_of": self.as_of}
        if (
            more.get("kind") != "progress"
        ):  # The answer shows the latest progress, whatever the period.
            about["term"] = self.term
            times |= {"from": self.since, "to": self.until}
        about |= {name: moment.isoformat() for name, moment in times.items() if moment is not None}
        given = {name: value for name, value in {**about, **more}.items() if value is not None}
        return f"/v1/insights/records?{urlencode(given)}"


class RecordsOfStudents:
    """Addresses of the records of students. Their common parts are encoded once, since that is slow."""

    def __init__(self, asked: Parameters, **more: str) -> None:
        of_nobody = asked.model_copy(update={"student": ""})
        # "&" and "=" within an id are encoded, so this text stands there once.
        self._before, self._name, self._after = of_nobody.records(**more).partition("&student=")

    def of(self, student: str) -> str:
        """Return what `records` of the question about this student returns."""
        return f"{self._before}{self._name}{quote_plus(student)}{self._after}"


class RecordsAtPoints:
    """Addresses of the records of students at points. Each part of an address is encoded once, since that is slow."""

    def __init__(self, asked: Parameters) -> None:
        self._records = RecordsOfStudents(asked)
        self._of_students: dict[str, str] = {}
        self._at_points: dict[str, str] = {}

    def of(self, student: str, point: str) -> str:
        """Return what `records` of the question about this student returns for the point."""
        if student not in self._of_students:
            self._of_students[student] = self._records.of(student)
        if point not in self._at_points:
            self._at_points[point] = urlencode({"point": point})
        return f"{self._of_students[student]}&{self._at_points[point]}"


class OfSeveral(Parameters):
    """Parameters of a question about a course or a group, which cannot be asked about one student."""

    @field_validator("student")
    @classmethod
    def is_not_about_one(cls, student: str | None) -> str | None:
        if student is not None:
            raise ValueError("this is asked of a group or a course, and not of one student")
        return student


class OfToday(Parameters):
    """Parameters of a question about points, texts, findings or verdicts. The graph has only their present state."""

    @field_validator("as_of")
    @classmethod
    def is_of_today(cls, as_of: date | None) -> date | None:
        if as_of is not None:
            raise ValueError(
                "this is known of today alone; leave out as_of, or end the time of the records with to"
            )
        return as_of


P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True)
class Question(Generic[P, R]):
    """A question.

    `find` returns the exact answer and does not decide what is shown. `order` is the sort key of the rows. `quotes`
    is true if rows name persons or quote records, so that an exact answer is a read of personal data. `derived` fills
    in the fields of a row that are computed from its published numbers, if it is shown with noise. `can_shrink` is
    true if a later record can take a student out of a row again. `from_columns` is true if single records are read
    from the tables of ADR 127 only, so that the question can be about more students than others.
    """

    name: str
    title: str
    computed_by: str
    parameters: type[P]
    row: type[R]
    find: Callable[[Facts, P], Found[R]]
    order: Callable[[R], Any]
    quotes: bool = False
    derived: Callable[[R], R] | None = None
    can_shrink: bool = False
    from_columns: bool = False
