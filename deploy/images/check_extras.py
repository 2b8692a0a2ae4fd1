"""Fails unless a service's environment can do what the documentation promises of the images: S3 and traces.

Runs with the service's own Python: in the environments of `make isolation`, and inside the images (`make images-test`).
"""

import importlib
import tempfile
from pathlib import Path

from edugraph_common.runtime.service import tracing
from edugraph_common.runtime.shared_state.object_store import Blobs

Blobs("s3://bucket/edugraph")
with tempfile.TemporaryDirectory() as folder:
    spans = Path(folder) / "spans"
    tracing.turn_on("check", f"file:{spans}")
    with tracing.span("check", "internal"):
        pass
    tracing.turn_off()
    if "check" not in spans.read_text(encoding="utf-8"):
        raise SystemExit("EDUGRAPH_TRACING=file:… wrote no span")
# For EDUGRAPH_TRACING=otlp; made here, it would look for a collector.
importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
