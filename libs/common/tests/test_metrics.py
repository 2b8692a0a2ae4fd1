"""The list of metrics: bounded, complete in its page, and exact in what it counts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edugraph_common.runtime.service import instruments, metrics, trace_context
from edugraph_common.runtime.service.instruments import Counter, Gauge, Histogram, Label

ROOT = Path(__file__).parents[3]
MOST_SERIES = 1_000  # of one metric in one process


def test_the_page_is_current() -> None:
    script = ROOT / "scripts" / "metrics_page.py"
    code = f"import runpy; print(runpy.run_path({str(script)!r})['page'](), end='')"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "metrics.md").read_text() == made, "run: make metrics-doc"


def test_code_counts_each_metric() -> None:
    """Out: the only line of a service that names a metric, such as `metrics.FINDINGS.add` of the importer."""
    names = [name for name, each in vars(metrics).items() if each in metrics.INSTRUMENTS]
    sources = [*(ROOT / "services").glob("*/src/**/*.py"), *(ROOT / "libs").glob("*/src/**/*.py")]
    code = "\n".join(each.read_text(encoding="utf-8") for each in sources)
    assert len(names) == len(metrics.INSTRUMENTS)
    assert [name for name in names if not re.search(rf"\bmetrics\.{name}\b", code)] == []


def test_names_are_unique_and_say_their_unit() -> None:
    names = [instrument.name for instrument in metrics.INSTRUMENTS]
    assert len(names) == len(set(names))
    for instrument in metrics.INSTRUMENTS:
        if isinstance(instrument, Counter):
            assert instrument.name.endswith("_total"), instrument.name
        if isinstance(instrument, Histogram):
            assert instrument.name.endswith(("_seconds", "_items")), instrument.name


def test_the_number_of_series_is_bounded() -> None:
    for instrument in metrics.INSTRUMENTS:
        series = len(instrument.buckets) + 3 if isinstance(instrument, Histogram) else 1
        for label in instrument.labels:
            # A task has one queue, a process is one service, and hardly a route has two methods.
            if label.name not in {"task", "queue", "service", "method"}:
                series *= label.most + 1 if label.allowed is None else len(label.allowed) + 1
        assert series <= MOST_SERIES * (3 if "model" in instrument.label_names else 4), (
            instrument.name
        )
        assert all(label.allowed is not None or label.bound for label in instrument.labels)


def test_a_value_in_no_list_is_counted_as_other() -> None:
    counter = Counter("workers", "test_closed_total", "", (Label("kind", ("a", "b")),))
    for value in ("a", "c", "secret"):
        counter.add(kind=value)
    assert 'edugraph_test_closed_total{kind="other"} 2.0' in instruments.exposition().decode()
    assert "secret" not in instruments.exposition().decode()


def test_an_open_label_has_no_more_than_its_most_values() -> None:
    gauge = Gauge("workers", "test_open", "", (Label("model_of_test", None, "tests"),))
    for number in range(100):
        gauge.set(1, model_of_test=f"m{number}")
    assert (
        instruments.exposition().decode().count("edugraph_test_open{")
        == instruments.MOST_VALUES + 1
    )


def test_a_label_that_is_missing_or_unknown_is_an_error() -> None:
    with pytest.raises(TypeError, match="kind"):
        metrics.CACHE.add(kind="error")


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("Zhang San", False),
        (None, False),
    ],
)
def test_only_a_traceparent_is_taken_from_outside(value: str | None, taken: bool) -> None:
    assert (trace_context.accepted(value) is not None) == taken


def test_a_new_trace_is_a_valid_one() -> None:
    assert trace_context.accepted(trace_context.new())


def test_a_scrape_passes_over_a_file_that_a_child_is_making(tmp_path: Path) -> None:
    """Out: the size in `_Shared.collect`. Whoever scraped while a child was started got no answer."""
    code = (
        "import pathlib, sys\n"
        "from edugraph_common.runtime.service import instruments, metrics\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "instruments.share(folder, lambda: 'main')\n"
        "metrics.CHILDREN.add()\n"
        "(folder / 'counter_2.db').touch()\n"
        "print(instruments.exposition().decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
    )
    assert "edugraph_worker_children_started_total 1.0" in done.stdout, done.stderr
