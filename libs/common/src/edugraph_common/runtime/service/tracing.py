"""Optional traces, from the request through the broker and every delivery to the transaction and the model.

If tracing is off, a span costs one comparison and OpenTelemetry is not imported. If it is on, spans belong to the
traceparent that messages always carry (trace_context), so that a retry, which is another message, stays in its trace.
A span does not hold the text of an exception, or an id or a text of a record.

    EDUGRAPH_TRACING=otlp         to a collector, whose address is in OTEL_EXPORTER_OTLP_ENDPOINT and other variables
    EDUGRAPH_TRACING=file:PATH    to a file with one JSON document a line, for use without a collector
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edugraph_common.contracts.errors import Rejected
from edugraph_common.runtime.service import trace_context
from edugraph_common.runtime.service.log_safety import described

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attribute = str | int | float | bool


class Tracing:
    """The tracing of one process. The SDK's threads do not survive a fork, so each process makes its own provider."""

    def __init__(self) -> None:
        self.service = ""
        self.target = "off"
        self._owner = 0
        self._provider: TracerProvider | None = None

    def provider(self) -> "TracerProvider":
        if self._provider is None or self._owner != os.getpid():
            self._provider = _provider(self.service, self.target)
            self._owner = os.getpid()
        return self._provider

    def end(self) -> None:
        """Send the remaining spans."""
        if self._provider is not None and self._owner == os.getpid():
            self._provider.shutdown()


_here = Tracing()


def turn_on(service: str, target: str) -> None:
    """Send the traces of this process to `target`, the value of EDUGRAPH_TRACING. "off" changes nothing.

    Raises Rejected for an unknown target, and if OpenTelemetry's packages are not installed.
    """
    if target == "off":
        return
    if target != "otlp" and not target.startswith("file:"):
        raise Rejected("EDUGRAPH_TRACING is off, otlp or file:PATH")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise Rejected("EDUGRAPH_TRACING is set: install edugraph-common[tracing]")
    _here.service = service
    _here.target = target


def turn_off() -> None:
    """Send the remaining spans, and make no more spans."""
    _here.end()
    _here.target = "off"


def flush() -> None:
    """Send the remaining spans of a process that is about to end."""
    _here.end()


def span(
    name: str, kind: Kind = "internal", /, **attributes: Attribute
) -> AbstractContextManager["Span"]:
    """Record work in a span of the current trace. Messages that are published within it belong to the span."""
    if _here.target == "off":
        return _SILENT
    return _span(name, kind, attributes)


class Span:
    """The span of the work that runs."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def say(self, **attributes: Attribute) -> None:
        self._inner.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._inner.update_name(name)

    def fail(self, reason: str) -> None:
        """Give the span the status ERROR. `reason` must not hold the text of a record."""
        from opentelemetry.trace import Status, StatusCode

        self._inner.set_status(Status(StatusCode.ERROR, reason))


class _Silence(Span, AbstractContextManager[Span]):
    """The span of a process without tracing. It records nothing."""

    def __init__(self) -> None:
        super().__init__(None)

    def say(self, **_: Attribute) -> None:
        return

    def rename(self, name: str) -> None:
        del name

    def fail(self, reason: str) -> None:
        del reason

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        return


_SILENT = _Silence()


@contextmanager
def _span(name: str, kind: Kind, attributes: dict[str, Attribute]) -> Iterator[Span]:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    current = trace_context.current()
    # The parent is the current traceparent. Without one, the span begins a new trace.
    carrier = {}
    if current:
        carrier["traceparent"] = current
    parent = TraceContextTextMapPropagator().extract(carrier, Context())
    made = (
        _here.provider()
        .get_tracer("edugraph")
        .start_span(name, parent, SpanKind[kind.upper()], attributes)
    )
    ids = made.get_span_context()
    traceparent = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{int(ids.trace_flags):02x}"
    token = trace_context.enter(traceparent)
    try:
        yield Span(made)
    except BaseException as error:
        made.set_attribute("error.type", type(error).__name__)
        made.set_status(Status(StatusCode.ERROR, described(error)))
        raise
    finally:
        trace_context.leave(token)
        made.end()


def _provider(service: str, target: str) -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    resource = Resource.create(
        {"service.name": f"edugraph-{service}", "service.namespace": "edugraph"}
    )
    provider = TracerProvider(resource=resource)
    if target == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(
            SimpleSpanProcessor(_file_exporter(Path(target.removeprefix("file:"))))
        )
    return provider


def _file_exporter(path: Path) -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class ToFile(SpanExporter):
        """Appends spans to a file. Each export is a single write, so that several processes may share the file."""

        def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(_shown(span)) + "\n" for span in spans))
            return SpanExportResult.SUCCESS

    return ToFile()


def _shown(made: "ReadableSpan") -> dict[str, Any]:
    context = made.context
    parent = made.parent
    return {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{parent.span_id:016x}" if parent else None,
        "service": made.resource.attributes.get("service.name"),
        "name": made.name,
        "kind": made.kind.name.lower(),
        "begun": made.start_time,
        "ended": made.end_time,
        "status": made.status.status_code.name.lower(),
        "status_reason": made.status.description,
        "attributes": dict(made.attributes or {}),
    }
