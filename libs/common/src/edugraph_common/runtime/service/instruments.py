"""Instruments: a metric has a name, labels from closed lists, and one value for each combination of label values.

The children of a pool come and go, so their values are kept in files (see `share`). The values stay exact, because
the files outlive a child. There is one set of files for each place in the pool, so the number of files does not grow.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast

import prometheus_client
from prometheus_client import CollectorRegistry, Metric, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

PREFIX = "edugraph_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
# The most values that an open label may have in one process, by default. Further values are counted as "other".
MOST_VALUES = 20
Part = Literal[
    "every process", "workers", "importer", "analyzer", "gateway", "insights", "webhooks"
]
Merge = Literal["sum", "max", "livesum", "livemax", "mostrecent"]


@dataclass(frozen=True)
class Label:
    """A label of a metric. `allowed` are all its values, or None for an open label.

    `bound` says in words which values an open label has. `most` is how many of them one process may have.
    """

    name: str
    allowed: tuple[str, ...] | None = None
    bound: str = ""
    most: int = MOST_VALUES


@dataclass(frozen=True)
class Instrument:
    """One metric. A process opens the metrics of its `part` at zero, so that a rate includes the first event."""

    part: Part
    name: str
    help: str
    labels: tuple[Label, ...] = ()
    kind: str = field(default="", init=False)
    opened_apart: bool = field(default=False, kw_only=True)
    """Its series are opened one by one, because not every combination of its labels exists in every process."""

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        raise NotImplementedError

    def open(self, **given: str) -> None:
        """Make the series exist at zero."""
        _here.series(self, given)


@dataclass(frozen=True)
class Counter(Instrument):
    kind: str = field(default="counter", init=False)

    def add(self, number: float = 1, **labels: str) -> None:
        _here.series(self, labels).inc(number)

    def family(self) -> CounterMetricFamily:
        """Return an empty family, for a collector that reads its values elsewhere."""
        return CounterMetricFamily(self.full_name, self.help, labels=self.label_names)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        return prometheus_client.Counter(
            self.full_name, self.help, self.label_names, registry=registry
        )


@dataclass(frozen=True)
class Histogram(Instrument):
    buckets: tuple[float, ...] = ()
    kind: str = field(default="histogram", init=False)

    def observe(self, value: float, **labels: str) -> None:
        _here.series(self, labels).observe(value)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        return prometheus_client.Histogram(
            self.full_name, self.help, self.label_names, buckets=self.buckets, registry=registry
        )


@dataclass(frozen=True)
class Gauge(Instrument):
    """A metric that rises and falls. `merge` is how the values of a pool's processes become one value."""

    merge: Merge = "max"
    kind: str = field(default="gauge", init=False)

    def set(self, value: float, **labels: str) -> None:
        _here.series(self, labels).set(value)

    def add(self, number: float, **labels: str) -> None:
        _here.series(self, labels).inc(number)

    def family(self) -> GaugeMetricFamily:
        """Return an empty family, for a collector that reads its values elsewhere."""
        return GaugeMetricFamily(self.full_name, self.help, labels=self.label_names)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        return prometheus_client.Gauge(
            self.full_name,
            self.help,
            self.label_names,
            multiprocess_mode=self.merge,
            registry=registry,
        )


class _Process:
    """The series of this process. Nothing is made before its first use."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._made: dict[str, MetricWrapperBase] = {}
        self._seen: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def series(self, instrument: Instrument, given: dict[str, str]) -> Any:
        """Return the client library's metric for these labels. It is created at its first use.

        A value that a label does not allow is counted as "other", so that input cannot create new series.
        """
        if set(given) != set(instrument.label_names):
            raise TypeError(
                f"{instrument.name} has the labels {instrument.label_names}, not {tuple(given)}"
            )
        metric = self._made.get(instrument.name)
        if metric is None:
            with self._lock:
                if not self._made and self.folder is None:
                    # A process that did not call `share` keeps its values in memory, even if the environment has
                    # PROMETHEUS_MULTIPROC_DIR.
                    values.ValueClass = values.MutexValue
                if instrument.name not in self._made:
                    self._made[instrument.name] = instrument.make(self._registry)
                metric = self._made[instrument.name]
        if not instrument.labels:
            return metric
        values_of_labels = [self._bounded(label, given[label.name]) for label in instrument.labels]
        return metric.labels(*values_of_labels)

    def _bounded(self, label: Label, value: str) -> str:
        """Return the value, or "other" if the label does not allow it or has too many values already."""
        if label.allowed is not None:
            if value in label.allowed:
                return value
            return OTHER
        seen = self._seen.setdefault(label.name, set())
        if len(seen) < label.most:
            seen.add(value)
        if value in seen:
            return value
        return OTHER

    def text(self) -> bytes:
        if self.folder is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Shared(self.folder))
        return generate_latest(registry)

    def share(self, folder: Path, place: Callable[[], str]) -> None:
        if self._made:
            raise RuntimeError("metrics were used before it was said that they are shared")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        values.ValueClass = values.MultiProcessValue(place)  # type: ignore[no-untyped-call]
        self.folder = folder


class _Shared(Collector):
    """A collector for the series of all processes of a pool, which keep them in files of one folder.

    The library's own `collect` fails if a file is still empty, as each file is for a moment after its creation. Then
    the scrape would get no answer, so empty files are left out here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


_here = _Process()


def share(folder: Path, place: Callable[[], str]) -> None:
    """Keep the values in files of `folder`, which is emptied. The main process of a pool calls it before it forks.

    `place` returns the place of the calling process in the pool. No two live processes have the same place.
    """
    folder.mkdir(parents=True, exist_ok=True)  # the folder may be a mount, which cannot be deleted
    for file in folder.glob("*.db"):
        file.unlink()
    _here.share(folder, place)


def exposition(*elsewhere: Collector) -> bytes:
    """Return the answer to a scrape in Prometheus' text format, including the metrics of the given collectors."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in elsewhere:
        registry.register(collector)
    return _here.text() + generate_latest(registry)


def open_all(instruments: Sequence[Instrument], parts: Sequence[Part]) -> None:
    """Open at zero each series of these parts whose labels all have a closed list of values."""
    for instrument in instruments:
        if instrument.part not in parts or instrument.opened_apart:
            continue
        lists = [label.allowed for label in instrument.labels]
        if all(allowed is not None for allowed in lists):
            for chosen in product(*cast("list[tuple[str, ...]]", lists)):
                instrument.open(**dict(zip(instrument.label_names, chosen, strict=True)))
