"""The jobs of live records. Each source has one job a day, which has the counts and the rejects of that day.

A live batch takes day and number from its acceptance number, which is the time of acceptance in microseconds since
1970. So the number of a batch never changes, and no two batches of a job have the same number.
"""

from datetime import UTC, date, datetime, time, timedelta

_PREFIX = "live-"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS_OF_DAY = 86_400_000_000


def live_job_id(source_name: str, acceptance: int) -> str:
    """Return the id of the job of a source and of the day, in UTC, of an acceptance number."""
    return live_job_id_of_day(source_name, accepted_at(acceptance).date())


def live_job_id_of_day(source_name: str, day: date) -> str:
    """Return the id of the job of a source and of a day in UTC."""
    return f"{_PREFIX}{source_name}-{day.isoformat()}"


def live_batch_number(acceptance: int) -> int:
    """Return the number of a batch within its job: the microseconds since the day began."""
    return acceptance % MICROSECONDS_OF_DAY


def accepted_at(acceptance: int) -> datetime:
    """Return the time of acceptance that an acceptance number states."""
    return _BEGINNING + timedelta(microseconds=acceptance)


def first_of_day(day: date) -> int:
    """Return the smallest acceptance number of a day in UTC."""
    return (datetime.combine(day, time(), UTC) - _BEGINNING) // timedelta(microseconds=1)


def is_live_job(job_id: str) -> bool:
    """Return whether this is the job of a source and day. The ids of other jobs are random hexadecimal digits."""
    return job_id.startswith(_PREFIX)


def day_of_live_job(job_id: str) -> date:
    """Return the day, in UTC, of a live job."""
    return date.fromisoformat(job_id[-len("2026-01-31") :])


def source_of_live_job(job_id: str) -> str:
    """Return the name of the source of a live job."""
    return job_id[len(_PREFIX) : -len("-2026-01-31")]


def end_of_day(job_id: str) -> datetime:
    """Return when the day of a live job ends."""
    return datetime.combine(day_of_live_job(job_id) + timedelta(days=1), time(), UTC)
