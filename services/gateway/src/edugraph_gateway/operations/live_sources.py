"""The numbers of live rows: a day of a source for the API, and the figures of all sources for metrics."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as datetime_time
from typing import Any
from zoneinfo import ZoneInfo

from prometheus_client import Metric
from prometheus_client.registry import Collector

from edugraph_common.contracts.data_sources import DataSource, LiveDay
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.live_days import live_job_id_of_day
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.cached import cached_for
from edugraph_common.runtime.shared_state.job_store import Jobs
from edugraph_common.runtime.shared_state.live_counts import (
    FIRST_ACCEPTED,
    LAST_ACCEPTED,
    LAST_REFUSAL,
    LAST_REFUSED,
    LiveCounts,
)
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting
from edugraph_common.runtime.shared_state.source_registry import SourceRegistry
from edugraph_gateway.submission.live_sources import OUTCOME
from edugraph_gateway.submission.statements import RULE

LOOK_INTERVAL_SECONDS = 30.0
SCHOOL_DAYS = 5  # Monday to Friday


@dataclass(frozen=True)
class RecentSource:
    """A source and those of its last two days (UTC) that have counts.

    `oldest_waiting`: when the oldest of its rows was accepted that are not written yet, or None if no row waits.
    """

    source: DataSource
    days: list[LiveDay]
    oldest_waiting: datetime | None = None


@dataclass(frozen=True)
class LiveDays:
    """Reads the days of sources. Each method raises Retryable when Redis does not answer."""

    sources: SourceRegistry
    counts: LiveCounts
    waiting: LiveWaiting
    jobs: Jobs
    now: Callable[[], datetime]

    def of(self, source: str, day: date) -> LiveDay:
        """Return the numbers of a day (UTC) of a source."""
        return self._read(source, day, self.counts.of(source, day))

    def _read(self, source: str, day: date, stored: dict[str, str]) -> LiveDay:
        job_id = live_job_id_of_day(source, day)
        first_accepted = stored.pop(FIRST_ACCEPTED, None)
        last_accepted = stored.pop(LAST_ACCEPTED, None)
        last_refused = stored.pop(LAST_REFUSED, None)
        last_refusal = stored.pop(LAST_REFUSAL, None)
        rules = {}
        outcomes = {}
        reasons: dict[str, int] = {}
        numbers: dict[str, Any] = {}
        for counted, number in stored.items():
            if counted.startswith(RULE):
                rules[counted.removeprefix(RULE)] = int(number)
            elif counted.startswith(OUTCOME):
                outcomes[counted.removeprefix(OUTCOME)] = int(number)
            elif counted in LiveDay.model_fields:
                numbers[counted] = int(number)
        report = self.jobs.report(job_id, self.now())
        if report is not None:
            # The counts of the gateway are a courtesy, and those of the job are exact.
            numbers["waiting"] = max(0, numbers.get("accepted", 0) - report.read)
            numbers["written_until"] = report.updated
            numbers["rejected"] = report.rejected
            numbers["texts"] = report.analysis.expected
            numbers["over_budget"] = report.over_budget
            reasons = report.reasons
        else:
            numbers["waiting"] = numbers.get("accepted", 0)
        return LiveDay(
            source=source,
            day=day,
            job_id=job_id,
            first_accepted=_moment(first_accepted),
            last_accepted=_moment(last_accepted),
            last_refused=_moment(last_refused),
            last_refusal=last_refusal,
            reasons=reasons,
            oldest_waiting=self.waiting.oldest_of_day(source, day),
            broken_rules=rules,
            outcomes=outcomes,
            **numbers,
        )

    def latest(self, sources: Sequence[DataSource]) -> dict[str, LiveDay]:
        """Return name of a source -> the numbers of the latest day on which it sent something live."""
        today = self.now().astimezone(UTC).date()
        stored = self.counts.latest([source.name for source in sources], today)
        return {name: self._read(name, day, counts) for name, (day, counts) in stored.items()}

    def recent(self) -> list[RecentSource]:
        """Return the sources that send live, or should.

        Rows that came before midnight may be written after it. Sources that send nothing live are left out, and those
        above a number that no school has.
        """
        today = self.now().astimezone(UTC).date()
        found: list[RecentSource] = []
        sources = self.sources.all()
        oldest = self.waiting.oldest([source.name for source in sources])
        for source in sources:
            days = []
            for day in (today - timedelta(days=1), today):
                stored = self.counts.of(source.name, day)
                if stored:
                    days.append(self._read(source.name, day, stored))
            oldest_waiting = oldest.get(source.name)
            sends_live = bool(days) or oldest_waiting is not None
            if sends_live or source.silent_after_minutes is not None:
                found.append(RecentSource(source, days, oldest_waiting))
        return found[: metrics.MOST_LIVE_SOURCES]


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    return datetime.fromisoformat(text)


def lag_seconds(oldest_waiting: datetime | None, now: datetime) -> float:
    """Return the age of the oldest row that waits, or 0 if no row waits."""
    if oldest_waiting is None:
        return 0.0
    # The clock of another gateway may be ahead.
    return max(0.0, (now - oldest_waiting).total_seconds())


def is_silent(source: DataSource, last_accepted: datetime | None, now: datetime) -> bool:
    """Return whether a source that should send has sent nothing for too long in the school hours of this day."""
    if source.silent_after_minutes is None or source.live != "on":
        return False
    zone = ZoneInfo(source.time_zone or "UTC")
    local_day = now.astimezone(zone).date()
    first, _, last = source.school_hours.partition("-")
    begin = datetime.combine(local_day, datetime_time.fromisoformat(first), zone)
    end = datetime.combine(local_day, datetime_time.fromisoformat(last), zone)
    is_school_day = local_day.weekday() < SCHOOL_DAYS
    if not is_school_day or not begin <= now < end:
        return False
    since = begin.astimezone(UTC)
    if last_accepted is not None:
        since = max(since, last_accepted)
    return now - since > timedelta(minutes=source.silent_after_minutes)


class LiveFigures(Collector):
    """The figures of sources that sent something live, or should. They are missing while Redis does not answer."""

    def __init__(self, days: LiveDays, clock: Callable[[], float] = time.monotonic) -> None:
        self._days = days
        self._families = cached_for(LOOK_INTERVAL_SECONDS, self._read, clock)

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def _read(self) -> list[Metric]:
        rows = metrics.LIVE_ROWS.family()
        lag = metrics.LIVE_LAG.family()
        texts = metrics.LIVE_TEXTS.family()
        last = metrics.LIVE_LAST_ACCEPTED.family()
        silent = metrics.LIVE_SILENT.family()
        now = self._days.now()
        try:
            sources = self._days.recent()
        except Failure:
            return []
        for recent in sources:
            source = recent.source
            name = source.name
            moments = [day.last_accepted for day in recent.days if day.last_accepted is not None]
            newest = max(moments, default=None)
            if source.silent_after_minutes is not None:
                silent.add_metric([name], is_silent(source, newest, now))
            if newest is not None or recent.oldest_waiting is not None:
                lag.add_metric([name], lag_seconds(recent.oldest_waiting, now))
            if newest is None:
                continue
            for state in metrics.LIVE_STATES:
                rows.add_metric([name, state], sum(getattr(day, state) for day in recent.days))
            if source.live_texts_a_day is not None:
                texts.add_metric([name, "analysed"], sum(day.texts for day in recent.days))
                over_budget = sum(day.over_budget for day in recent.days)
                texts.add_metric([name, "over_budget"], over_budget)
            last.add_metric([name], newest.timestamp())
        return [rows, lag, texts, last, silent]
