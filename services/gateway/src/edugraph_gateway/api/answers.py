"""Answers that only the gateway gives. Each has its ids and links."""

from datetime import datetime
from typing import Any

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.outcomes import ENDED, JobReport
from edugraph_common.platform.callers import Caller
from edugraph_gateway.operations.restriction import Restrictions, report_without

HIDDEN = "not shown without the scope personal"


class JobAnswer(JobReport):
    """`seconds_left` is an estimate by the speed so far; null where there is nothing to go by.

    Without the scope personal `errors` is empty, and of others' jobs no name is shown.
    """

    seconds_left: float | None = None
    links: dict[str, str] = {}

    def says_the_same_as(self, other: "JobAnswer | None") -> bool:
        """Whether nothing but the estimate has changed."""
        return other is not None and self == other.model_copy(update={"seconds_left": self.seconds_left})


class JobList(ContractModel):
    jobs: tuple[JobAnswer, ...]
    links: dict[str, str] = {}


class JobDeleted(ContractModel):
    deleted: str


class Health(ContractModel):
    status: str = "ok"


class Version(ContractModel):
    version: str
    api: str = "v1"


def job_answer(report: JobReport, now: datetime, caller: Caller, restrictions: Restrictions) -> JobAnswer:
    """Add the links of a job and, for one that runs, the seconds that the slower of import and analysis needs.

    While nobody says who is restricted, a caller sees what one without the scope personal sees.
    """
    shows_personal = caller.may("personal") and not restrictions.are_unknown()
    if shows_personal:
        report = report_without(report, restrictions.people())
    seconds_left: float | None = None
    if report.state not in ENDED:
        analysis, spent_seconds = report.analysis, (now - report.created).total_seconds()
        steps = ((report.batches_done, report.batches), (analysis.done + analysis.failed, analysis.expected))
        estimates = [spent_seconds * (total - done) / done for done, total in steps if done]
        seconds_left = round(max(estimates), 1) if estimates else None
    base = f"/v1/jobs/{report.job_id}"
    hidden: dict[str, Any] = {}
    if not shows_personal:
        # The names of files, columns and events were given by people; who sent a file knows them anyway.
        names = {"source": HIDDEN, "owner": "", "error": report.error and HIDDEN}
        skipped = {"not_relevant": {HIDDEN: sum(report.not_relevant.values())} if report.not_relevant else {}}
        hidden = {"errors": (), **({} if caller.owns(report.owner) else {**names, **skipped})}
    fields: dict[str, Any] = {name: getattr(report, name) for name in JobReport.model_fields} | hidden
    links = {"self": base, **{name: f"{base}/{name}" for name in ("rejects", "events", "cancel", "resume")}}
    return JobAnswer(**fields, seconds_left=seconds_left, links=links)


def names_somebody(report: JobReport, caller: Caller) -> bool:
    """Whether the answer shows this caller rows that were set aside, or the name of another's file."""
    return caller.may("personal") and (bool(report.errors) or not caller.owns(report.owner))
