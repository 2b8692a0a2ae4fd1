"""Sources: the places that data comes from, such as a learning platform, a gradebook or a roster."""

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import cache
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import (
    CURRICULUM_FORMATS,
    TABLE_FORMATS,
    ChangeTime,
    Format,
)
from edugraph_common.contracts.record_fields import Id
from edugraph_common.contracts.record_keys import ACTIONS_SOURCE, DEFAULT_SOURCE, SourceName

LONGEST_MAPPING = 16_384  # characters
MOST_KEYS = 100
MOST_PLACES = 20_000

# `records`: lines of the contract. `table`: CSV files, workbooks, Parquet. `xapi`: statements. `openedx`: tracking
# logs. `roster`: lists of classes, as lines or tables. `curriculum`: standards, outlines and tables of contents.
SourceKind = Literal["records", "table", "xapi", "openedx", "roster", "curriculum"]

LiveMode = Literal["on", "observe", "paused"]

FORMATS_OF_KIND: Mapping[SourceKind, frozenset[Format]] = {
    "records": frozenset({"ndjson"}),
    "table": frozenset({"csv", "workbook", "parquet"}),
    "xapi": frozenset({"xapi"}),
    "openedx": frozenset({"openedx"}),
    "roster": frozenset({"ndjson", "csv", "workbook", "parquet"}),
    "curriculum": CURRICULUM_FORMATS,
}


def _not_reserved(name: str) -> str:
    if name == DEFAULT_SOURCE:
        raise ValueError(f"{DEFAULT_SOURCE} is the source of imports without a source")
    if name == ACTIONS_SOURCE:
        raise ValueError(f"{ACTIONS_SOURCE} is the source of the actions of teachers")
    return name


@cache
def _time_zones() -> frozenset[str]:
    """Return the names of all time zones. They are looked up once, since that opens some hundred files."""
    # The time zone of this machine is not one by its name, and pages do not know these names.
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _known_time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError("is not the name of a time zone, such as Asia/Shanghai")
    return name


def _begin_before_end(hours: str) -> str:
    begin, _, end = hours.partition("-")
    if begin >= end:
        raise ValueError("ends before it begins; write it as 08:00-16:00")
    return hours


NewSourceName = Annotated[SourceName, AfterValidator(_not_reserved)]
TimeZone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_known_time_zone)]
CursorKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.-]{1,64}$")]
CursorValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.+-]{1,64}$")]
SchoolHours = Annotated[
    str,
    StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"),
    AfterValidator(_begin_before_end),
]
ClientId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=300)]


class SourceSettings(ContractModel):
    """The settings of a source, which an operator may change.

    - `platform`: the address of the platform that writes the logs, if it is not the school's own.
    - `mapping`: the mapping of its tables, as YAML or JSON.
    - `time_zone`: the zone of times in its tables that state none, such as Asia/Shanghai.
    - `default_course`: the course of its tables that name none. Only kinds of source that send tables have one.
    - `analyse`: whether texts may be sent to the analyzer.
    - `changed_at`: with `import`, each import of the source is its newest state: rows that do not say when they were
      changed count as changed when the import was accepted.
    - `keys`: the ids of the API keys that write it, or oidc:SUBJECT for people who sign in.
    - `strict`: of statements that are sent live, whether a request is refused if one of them breaks a rule of the
      xAPI specification.
    - `live`: what is done with records and statements that are sent live. `observe` counts what would become of the
      first 10,000 of a day and writes nothing; `paused` refuses them with 503, so that the sender keeps them.
    - `live_from`: live records and statements with an earlier time are left out, where a file has them.
    - `live_texts_a_day`: how many texts of live rows are analysed on a day of `time_zone`, or else of UTC. Without it
      none is. Texts beyond the number are written and counted, and not analysed.
    - `live_share_percent`: the part of the model provider's limit of requests that live texts of the source may take.
    - `silent_after_minutes`: an alert tells if nothing came live for so long, Monday to Friday within `school_hours`.
      The hours are in `time_zone`, or else in UTC.
    """

    kind: SourceKind
    platform: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    mapping: Annotated[str | None, Field(max_length=LONGEST_MAPPING)] = None
    time_zone: TimeZone | None = None
    default_course: Id | None = None
    analyse: bool = True
    changed_at: ChangeTime = "record"
    keys: Annotated[tuple[ClientId, ...], Field(max_length=MOST_KEYS)] = ()
    strict: bool = False
    live: LiveMode = "on"
    live_from: AwareDatetime | None = None
    live_texts_a_day: Annotated[int | None, Field(ge=1, le=100_000)] = None
    live_share_percent: Annotated[int, Field(ge=1, le=100)] = 20
    silent_after_minutes: Annotated[int | None, Field(ge=1, le=1_440)] = None
    school_hours: SchoolHours = "08:00-16:00"

    @model_validator(mode="after")
    def silence_fits_into_the_school_hours(self) -> Self:
        """Raise ValueError if the school hours end before the source can count as silent."""
        begin, _, end = self.school_hours.partition("-")
        minutes = (time.fromisoformat(end).hour - time.fromisoformat(begin).hour) * 60
        minutes += time.fromisoformat(end).minute - time.fromisoformat(begin).minute
        if self.silent_after_minutes is not None and self.silent_after_minutes >= minutes:
            raise ValueError(
                f"silent_after_minutes must be less than the {minutes} minutes of school_hours"
            )
        return self

    @model_validator(mode="after")
    def only_tables_have_a_default_course(self) -> Self:
        """Raise ValueError if a source that sends no tables has a default course."""
        sends_tables = not FORMATS_OF_KIND[self.kind].isdisjoint(TABLE_FORMATS)
        if self.default_course is not None and not sends_tables:
            raise ValueError(f"a source of the kind {self.kind} has no default_course")
        return self


class NewSource(SourceSettings):
    """A source to create. Its name never changes, because it is a part of the keys of its records."""

    name: NewSourceName


class SourceCursor(ContractModel):
    """How far a connector has pulled a source. The connector writes the places, and only it reads them.

    `version` counts the changes: a cursor is replaced only by a caller who has read its last version. A place is a
    hash, a number or a time, and never the name of a file, since that may name a person.
    """

    version: Annotated[int, Field(ge=0)] = 0
    places: Annotated[dict[CursorKey, CursorValue], Field(max_length=MOST_PLACES)] = {}


class LiveDay(ContractModel):
    """A day (UTC) of a source in numbers: the requests and statements that it sent live.

    - `accepted`: statements or records that were accepted. The job of the day has what became of them.
    - `known`: statements that the source had sent before with the same content, so that they were not sent on.
    - `conflicts`: statements with the id of another statement, which were left out.
    - `refused`: requests that were refused because of their content or their signature. `last_refused` is when the
      last of them came, and `last_refusal` the name of its problem, such as `signature`.
    - `attachments` and `attachment_bytes`: files of statements, which are not kept.
    - `broken_rules`: rule of the xAPI specification -> how often an accepted statement broke it.
    - `older`: rows before `live_from`, which were left out.
    - `observed`: rows that were looked at while the source was observed. They were not written.
    - `outcomes`: what would become of them -> their number: a type of record, why a row would be set aside, or `not
      relevant`.
    - `oldest_waiting`: when the oldest of the rows was accepted that wait to be written. Rows that were given up wait
      no longer; they are dead letters.
    - `texts`: texts that are analysed or wait for it. `over_budget`: texts beyond `live_texts_a_day`, which were
      written and are not analysed. Both come from the job of the day.
    - `written_until`: when the importer last changed the job of the day. `waiting` rows were accepted, and the job
      has not counted them yet. `rejected` is the number of rows that the job has set aside.
    - `reasons`: why the job has set rows aside -> their number.
    """

    source: SourceName
    day: date
    job_id: str
    first_accepted: datetime | None = None
    last_accepted: datetime | None = None
    accepted: int = 0
    known: int = 0
    conflicts: int = 0
    refused: int = 0
    last_refused: datetime | None = None
    last_refusal: str | None = None
    attachments: int = 0
    attachment_bytes: int = 0
    broken_rules: dict[str, int] = {}
    older: int = 0
    observed: int = 0
    outcomes: dict[str, int] = {}
    written_until: datetime | None = None
    waiting: int = 0
    oldest_waiting: datetime | None = None
    texts: int = 0
    over_budget: int = 0
    rejected: int = 0
    reasons: dict[str, int] = {}


class DataSource(SourceSettings):
    """A source. `in_use`: an import of it was accepted, so its kind does not change any more."""

    model_config = ConfigDict(extra="ignore")  # Redis may keep the fields of a later release.

    name: SourceName
    created: datetime
    in_use: bool = False


class LiveSource(ContractModel):
    """A source and the latest day (UTC) on which it sent something live, or null if that is more than 40 days ago.

    `silent`: it should send, and nothing came for longer than its `silent_after_minutes` within the school hours.
    """

    source: DataSource
    silent: bool
    latest: LiveDay | None = None
