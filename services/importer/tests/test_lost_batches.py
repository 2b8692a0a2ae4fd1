"""A batch whose task ended without an outcome does not keep its job from ending."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from edugraph_common.contracts.events import Event
from edugraph_common.contracts.messages import ImportAggregate, ImportJob
from edugraph_common.contracts.outcomes import BatchOutcome
from edugraph_importer.service import Importer

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass
class JobsThatSettle:
    """Notes what is settled."""

    settled: list[BatchOutcome] = field(default_factory=list)

    def settle_batch(self, outcome: BatchOutcome, _now: datetime) -> bool:
        self.settled.append(outcome)
        return True

    def failed_in_a_row(self, _job_id: str) -> int:
        return 1

    def finish_if_complete(self, _job_id: str, _now: datetime) -> None:
        """Others are still under way."""


@pytest.mark.parametrize(
    ("gaps", "settled"), [(set(), []), ({2}, [2]), ({2, 3}, [2, 3]), ({1, 3, 5}, [3])]
)
def test_only_the_lost_batches_of_the_window_are_settled(
    monkeypatch: pytest.MonkeyPatch, gaps: set[int], settled: list[int]
) -> None:
    """All their rows count as read and failed, and it is told. To take the guard out: settle none in `_settle_lost`."""
    told: list[Event] = []
    monkeypatch.setattr("edugraph_importer.service.emit", lambda _, event: told.append(event))
    jobs, nothing = JobsThatSettle(), cast("Any", None)
    importer = Importer(
        nothing,
        nothing,
        cast("Any", jobs),
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        erasure=nothing,
        elsewhere=nothing,
        now=lambda: NOW,
        audit=nothing,
    )
    job = ImportJob(
        job_id="j", records=tuple({"n": n} for n in range(60)), batch_size=10, next_batch=2
    )
    importer._settle_lost(ImportAggregate(job_id="j", job=job, batches=6, window_end=4), gaps)
    why = "its task ended without an outcome"
    assert [
        (each.batch, each.state, each.read, each.failed, each.error) for each in jobs.settled
    ] == [(number, "failed", 10, 10, why) for number in settled]
    assert [(event.type, event.subject, event.data["batch"]) for event in told] == [
        ("io.edugraph.batch.completed", "j", number) for number in settled
    ]
