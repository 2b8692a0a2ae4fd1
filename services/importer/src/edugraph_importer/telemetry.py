"""The importer's metrics. A redelivered message counts nothing: a metric grows only when the job's counts did."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog

from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_common.contracts.outcomes import BatchOutcome
from edugraph_common.runtime.service import metrics, tracing
from edugraph_importer.graph import Graph


@contextmanager
def step(name: metrics.BatchStep) -> Iterator[None]:
    """Measure one step of a batch, whether it succeeds or not."""
    begun = time.perf_counter()
    try:
        with tracing.span(f"batch: {name}"):
            yield
    finally:
        metrics.BATCH_SECONDS.observe(time.perf_counter() - begun, step=name)


@contextmanager
def retries_of(graph: Graph) -> Iterator[None]:
    """Count the transactions that are retried inside the block. The label is the last part of the server's code."""
    before = graph.retries
    try:
        yield
    finally:
        for code, number in graph.retries.items():
            added = number - before.get(code, 0)
            if added:
                metrics.REPEATS.add(added, code=code.rsplit(".", 1)[-1])
                structlog.get_logger("edugraph.graph").info(
                    "transaction_repeated", code=code, times=added
                )


def open_versions() -> None:
    """Report the schema version that this release writes. The graph's own version is known at the first write."""
    metrics.IMPORTER_SCHEMA_VERSION.set(SCHEMA_VERSION)


def graph_version(version: int) -> None:
    metrics.GRAPH_SCHEMA_VERSION.set(version)


def batch(outcome: BatchOutcome, types: Iterable[str]) -> None:
    """Count a batch. `types` holds the type of each valid record, including the records that the graph refused."""
    metrics.BATCHES.add(state=outcome.state)
    types_written = Counter(outcome.by_type)
    if outcome.replaced:
        # The outcome does not say which types were replaced.
        types_written = Counter({"unknown": outcome.written})
    for record_type, number in types_written.items():
        metrics.RECORDS.add(number, type=record_type, outcome="written")
    unchanged = Counter(types) - Counter(outcome.by_type)
    if unchanged.total() != outcome.unchanged:
        unchanged = Counter({"unknown": outcome.unchanged})
    for record_type, number in unchanged.items():
        metrics.RECORDS.add(number, type=record_type, outcome="unchanged")
    for name in ("replaced", "older", "taken_back", "rejected", "failed"):
        metrics.RECORDS.add(getattr(outcome, name), type="unknown", outcome=name)


def findings(done: int, failed: int) -> None:
    metrics.FINDINGS.add(done, outcome="written")
    metrics.FINDINGS.add(failed, outcome="failed")


def job(state: str) -> None:
    metrics.JOBS_ENDED.add(state=state)
