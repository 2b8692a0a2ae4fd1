"""What the importer tells its metrics. Nothing is counted twice: only what the job counted too is counted here."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog

from edugraph_common.contracts.outcomes import BatchOutcome
from edugraph_common.platform import metrics, tracing
from edugraph_importer.graph import Graph


@contextmanager
def step(name: metrics.BatchStep) -> Iterator[None]:
    """One step of a batch; how long it took, whether it succeeded or not."""
    begun = time.perf_counter()
    try:
        with tracing.span(f"batch: {name}"):
            yield
    finally:
        metrics.BATCH_SECONDS.observe(time.perf_counter() - begun, step=name)


@contextmanager
def repeats_of(graph: Graph) -> Iterator[None]:
    """Transactions that were done again meanwhile. A server's code is counted by its last word."""
    before = graph.repeats
    try:
        yield
    finally:
        for code, number in graph.repeats.items():
            again = number - before.get(code, 0)
            if again:
                metrics.REPEATS.add(again, code=code.rsplit(".", 1)[-1])
                structlog.get_logger("edugraph.graph").info("transaction_repeated", code=code, times=again)


def batch(outcome: BatchOutcome, types: Iterable[str]) -> None:
    """`types` of the batch's valid records. What the graph itself refused is among them, of a type nobody knows."""
    metrics.BATCHES.add(state=outcome.state)
    for kind, number in outcome.by_type.items():
        metrics.RECORDS.add(number, type=kind, outcome="written")
    for kind, number in _unchanged(outcome, types).items():
        metrics.RECORDS.add(number, type=kind, outcome="unchanged")
    metrics.RECORDS.add(outcome.rejected, type="unknown", outcome="rejected")
    metrics.RECORDS.add(outcome.failed, type="unknown", outcome="failed")


def findings(done: int, failed: int) -> None:
    metrics.FINDINGS.add(done, outcome="written")
    metrics.FINDINGS.add(failed, outcome="failed")


def job(state: str) -> None:
    metrics.JOBS_ENDED.add(state=state)


def _unchanged(outcome: BatchOutcome, types: Iterable[str]) -> Counter[str]:
    left = Counter(types) - Counter(outcome.by_type)
    return left if left.total() == outcome.unchanged else Counter({"unknown": outcome.unchanged})
