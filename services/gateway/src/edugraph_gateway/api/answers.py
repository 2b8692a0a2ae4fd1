"""The answers of the gateway, with ids and links."""

from datetime import datetime
from typing import Any

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.outcomes import ENDED, JobReport
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.operations.restriction import Restrictions, report_without

HIDDEN = "not shown without the scope personal"


class JobAnswer(JobReport):
    """A job. `seconds_left` is an estimate from the speed so far, or null while nothing is done.

    Without the scope personal `errors` is empty, and jobs of other callers show no names.
    """

    seconds_left: float | None = None
    links: dict[str, str] = {}

    def says_the_same_as(self, other: "JobAnswer | None") -> bool:
        """Return whether only the estimate is different."""
        return other is not None and self == other.model_copy(
            update={"seconds_left": self.seconds_left}
        )


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


def job_answer(
    report: JobReport, now: datetime, caller: Caller, restrictions: Restrictions
) -> JobAnswer:
    """Return a job with its links and, while it runs, the seconds that the slower of import and analysis still needs.

    While the list of restricted students is unknown, each caller gets the answer without the scope personal.
    """
    shows_personal = caller.may("personal") and not restrictions.are_unknown()
    if shows_personal:
        report = report_without(report, restrictions.people())
    base = f"/v1/jobs/{report.job_id}"
    hidden: dict[str, Any] = {}
    if not shows_personal:
        hidden["errors"] = ()
    if not shows_personal and not caller.owns(report.owner):
        # People chose the names of files, columns and events, so these may name a person. The owner knows them.
        hidden["source"] = HIDDEN
        hidden["owner"] = ""
        hidden["error"] = report.error and HIDDEN
        hidden["not_relevant"] = (
            {HIDDEN: sum(report.not_relevant.values())} if report.not_relevant else {}
        )
    fields: dict[str, Any] = {
        name: getattr(report, name) for name in JobReport.model_fields
    } | hidden
    links = {"self": base}
    for name in ("rejects", "events", "cancel", "resume"):
        links[name] = f"{base}/{name}"
    return JobAnswer(**fields, seconds_left=_seconds_left(report, now), links=links)


def _seconds_left(report: JobReport, now: datetime) -> float | None:
    """Return the seconds that the slower of import and analysis needs at its speed so far, or None.

    None means that the job has ended, or that nothing of it is done.
    """
    if report.state in ENDED:
        return None
    spent_seconds = (now - report.created).total_seconds()
    analysed = report.analysis.done + report.analysis.failed
    steps = ((report.batches_done, report.batches), (analysed, report.analysis.expected))
    estimates = [spent_seconds * (total - done) / done for done, total in steps if done]
    if not estimates:
        return None
    return round(max(estimates), 1)


def names_somebody(report: JobReport, caller: Caller) -> bool:
    """Return whether the answer shows this caller rejected rows, or the name of another caller's file."""
    if not caller.may("personal"):
        return False
    return bool(report.errors) or not caller.owns(report.owner)
