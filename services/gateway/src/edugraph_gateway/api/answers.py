"""What the gateway answers, beside the reports that services share. Each answer has its ids and links."""

from datetime import datetime
from typing import Any

from pydantic import Field

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.outcomes import ENDED, JobReport


class JobAnswer(JobReport):
    """`seconds_left` is an estimate by the speed so far; null where there is nothing to go by."""

    seconds_left: float | None = None
    links: dict[str, str] = {}


class JobList(Frozen):
    jobs: tuple[JobAnswer, ...]
    links: dict[str, str] = {}


class GraphDigest(Frozen):
    digest: str = Field(description="64 hex digits over all nodes, relationships and properties but the ledger")
    links: dict[str, str] = {}


class Health(Frozen):
    status: str = "ok"


class Version(Frozen):
    version: str
    api: str = "v1"


def job_answer(report: JobReport, now: datetime) -> JobAnswer:
    base = f"/v1/jobs/{report.job_id}"
    fields: dict[str, Any] = {name: getattr(report, name) for name in JobReport.model_fields}
    names = ("rejects", "events", "cancel", "resume")
    links = {"self": base, **{name: f"{base}/{name}" for name in names}}
    return JobAnswer(**fields, seconds_left=_seconds_left(report, now), links=links)


def _seconds_left(report: JobReport, now: datetime) -> float | None:
    """By the slower of import and analysis."""
    if report.state in ENDED:
        return None
    analysis, spent = report.analysis, (now - report.created).total_seconds()
    steps = ((report.batches_done, report.batches), (analysis.done + analysis.failed, analysis.expected))
    known = [spent * (total - done) / done for done, total in steps if done]
    return round(max(known), 1) if known else None
