"""A batch whose task ended without an outcome does not keep its job from ending."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from edugraph_common.contracts.messages import ImportAggregate, ImportBatch, ImportJob
from edugraph_importer.service import Importer


@dataclass
class JobsWithGaps:
    """Knows outcomes of all batches but these."""

    gaps: set[int] = field(default_factory=set)

    def unsettled(self, _job_id: str, batches: range) -> set[int]:
        return self.gaps & set(batches)


@pytest.mark.parametrize(("gaps", "settled"), [(set(), []), ({2}, [2]), ({1, 3, 5}, [3])])
def test_only_the_lost_batches_of_the_window_are_settled(
    monkeypatch: pytest.MonkeyPatch, gaps: set[int], settled: list[int]
) -> None:
    given_up: list[tuple[int, int]] = []

    def give_up(_: Importer, batch: ImportBatch, _reason: str) -> None:
        given_up.append((batch.batch, len(batch.records or ())))

    monkeypatch.setattr(Importer, "batch_failed", give_up)
    jobs = cast("Any", JobsWithGaps(gaps))
    nothing = cast("Any", None)
    importer = Importer(
        nothing,
        nothing,
        jobs,
        nothing,
        nothing,
        nothing,
        nothing,
        erasure=nothing,
        elsewhere=nothing,
        now=lambda: datetime.now(UTC),
    )
    job = ImportJob(job_id="j", records=tuple({"n": n} for n in range(60)), batch_size=10, next_batch=2)
    importer._settle_lost(ImportAggregate(job_id="j", job=job, batches=6, window_end=4))
    assert given_up == [(number, 10) for number in settled]
