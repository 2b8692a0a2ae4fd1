"""Rows that are no records are counted by name, once, and their names cannot fill Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from engines import real_servers

from edugraph_common.contracts.outcomes import BatchOutcome, JobReport
from edugraph_common.runtime.shared_state.job_store import Jobs, connect

pytestmark = pytest.mark.real
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    yield Jobs(client)
    client.close()


def settled(jobs: Jobs, *batches: dict[str, int], rejected: int = 0) -> JobReport:
    """Each batch is delivered twice."""
    job_id = uuid4().hex
    jobs.create(job_id, "import", "tracking.log", NOW)
    jobs.begin(job_id, len(batches), NOW)
    for number, names in enumerate(batches):
        read = sum(names.values()) + rejected
        outcome = BatchOutcome(
            job_id=job_id,
            batch=number,
            state="written",
            read=read,
            not_relevant=names,
            rejected=rejected,
        )
        jobs.settle_batch(outcome, NOW)
        jobs.settle_batch(outcome, NOW)
    jobs.imported(job_id, NOW)
    jobs.finish_if_complete(job_id, NOW)
    report = jobs.report(job_id, NOW)
    assert report is not None
    return report


def test_they_are_summed_by_name_over_the_batches(jobs: Jobs) -> None:
    report = settled(jobs, {"play_video": 3, "(page request)": 1}, {"play_video": 2})
    assert report.not_relevant == {"(page request)": 1, "play_video": 5}
    assert report.read == 6


def test_names_without_end_are_counted_together(jobs: Jobs) -> None:
    report = settled(jobs, *({f"event_{batch}_{n}": 1 for n in range(100)} for batch in range(5)))
    assert len(report.not_relevant) == 201
    assert (report.not_relevant["(other)"], sum(report.not_relevant.values())) == (300, 500)


def test_a_log_of_other_events_and_a_broken_line_is_no_failure(jobs: Jobs) -> None:
    assert settled(jobs, {"play_video": 3}, rejected=1).state == "succeeded"
    assert settled(jobs, {}, rejected=1).state == "failed"
