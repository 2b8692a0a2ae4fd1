"""`make metrics-doc`: writes docs/metrics.md from the list of metrics, so that the page is always correct."""

from pathlib import Path

from edugraph_common.runtime.service.instruments import OTHER, Histogram, Instrument, Label
from edugraph_common.runtime.service.metrics import INSTRUMENTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
HEAD = f"""\
# Metrics

Made by `make metrics-doc` from `libs/common/src/edugraph_common/runtime/service/metrics.py`; do not edit it here.

| process | where is `/metrics` | turned on by |
|---|---|---|
| importer, analyzer | the worker's main process | `EDUGRAPH_METRICS_PORT` (0: off) |
| gateway, insights, webhooks | their one process, never on the port of the API | `EDUGRAPH_METRICS_PORT` (0: off) |

- A worker's counters are exact: they live in files, one set for each place in the pool, which outlast its children.
  `PROMETHEUS_MULTIPROC_DIR` names the folder, which must be one worker's own and is emptied at its start.
- Closed series are there from the start at 0. A label's value that is in no list below is counted as `{OTHER}`.
- No metric holds an id, a name or a text of a record. Money is in the currency of the price table.
- RabbitMQ has its own: <https://www.rabbitmq.com/docs/prometheus>. The gateway tells the few that this system needs.
"""
PARTS = {
    "every process": "Every process",
    "workers": "Importer and analyzer",
    "importer": "Importer",
    "analyzer": "Analyzer",
    "gateway": "Gateway and, of HTTP, insights",
    "insights": "Insights",
    "webhooks": "Webhooks",
}


def page() -> str:
    sections = [_section(part, title) for part, title in PARTS.items()]
    return HEAD + "".join(sections)


def _section(part: str, title: str) -> str:
    rows = [_row(instrument) for instrument in INSTRUMENTS if instrument.part == part]
    head = "| metric | kind | labels | what it says |\n|---|---|---|---|\n"
    return f"\n## {title}\n\n{head}" + "".join(rows)


def _row(instrument: Instrument) -> str:
    labels = "<br>".join(_label(label) for label in instrument.labels) or "–"
    says = instrument.help
    if isinstance(instrument, Histogram):
        says += f". Buckets: {', '.join(f'{edge:g}' for edge in instrument.buckets)}"
    return f"| `{instrument.full_name}` | {instrument.kind} | {labels} | {says} |\n"


def _label(label: Label) -> str:
    values = label.bound or ", ".join(f"`{value}`" for value in label.allowed or ())
    return f"**{label.name}**: {values}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
