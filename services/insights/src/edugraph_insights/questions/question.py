"""What a question is: its parameters, its rows, how it is computed, and the function that finds its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Self, TypeVar
from urllib.parse import urlencode

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, field_validator

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_insights.answers import Found, R
from edugraph_insights.facts import Facts
from edugraph_insights.settings import HelpThresholds

Id = Annotated[str, Field(min_length=1, max_length=128)]
PointId = Annotated[str, Field(min_length=1, max_length=8_000)]
Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]


class Parameters(ContractModel):
    """What every question takes. Who sees cells alone may give the course, and nothing that cuts a cell smaller."""

    model_config = ConfigDict(populate_by_name=True)

    course: Id = Field(description="the course")
    group: Id | None = Field(default=None, description="a group whose members of today the question is about")
    student: Id | None = Field(default=None, description="one student whom the question is about")
    since: Moment | None = Field(default=None, alias="from", description="records from this moment on")
    until: Moment | None = Field(default=None, alias="to", description="records until this moment; without it, now")
    term: Id | None = Field(default=None, description="a term: records from its beginning until its end")

    @property
    def courses(self) -> tuple[str, ...]:
        """All courses of which it reads records."""
        return (self.course,)

    @property
    def beside(self) -> "Parameters | None":
        """What is asked of the other group, where two are compared."""
        return None

    def completed(self, _thresholds: HelpThresholds) -> Self:
        """Return the parameters with the thresholds of the course where none were given."""
        return self

    def given(self) -> dict[str, str]:
        """Return the parameters that were given, as they stand in an address."""
        values = self.model_dump(by_alias=True, exclude_none=True)
        return {name: v.isoformat() if isinstance(v, datetime) else str(v) for name, v in values.items()}

    def records(self, **more: str) -> str:
        """Return the address of the records behind a number of this answer."""
        about = {"course": self.course, "group": self.group, "student": self.student, "term": self.term}
        times = {"from": self.since and self.since.isoformat(), "to": self.until and self.until.isoformat()}
        given = {name: value for name, value in {**about, **times, **more}.items() if value is not None}
        return f"/v1/insights/records?{urlencode(given)}"


class OfSeveral(Parameters):
    """A question about a course or a group, which says nothing of one student alone."""

    @field_validator("student")
    @classmethod
    def is_not_about_one(cls, student: str | None) -> str | None:
        if student is not None:
            raise ValueError("this is asked of a group or a course, and not of one student")
        return student


P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True)
class Question(Generic[P, R]):
    """`find` returns the exact answer; it never decides what is shown. `order` sorts the rows that are.

    `quotes`: rows name persons or quote records, so that reading the exact answer is a read of personal data.
    """

    name: str
    title: str
    computed_by: str
    parameters: type[P]
    row: type[R]
    find: Callable[[Facts, P], Found[R]]
    order: Callable[[R], Any]
    quotes: bool = False
