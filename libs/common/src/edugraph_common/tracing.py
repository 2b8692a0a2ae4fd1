"""Traces, as an option: from the request through the broker and every delivery to the transaction and the model.

Off, a span costs one comparison and nothing of OpenTelemetry is imported. On, spans hang on the traceparent that
messages carry anyway (trace_context), so that a retry, which is another message, stays in the trace of the first.
No span holds an exception's text, an id or a text of a record.

    EDUGRAPH_TRACING=otlp         to a collector; OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_ variables say where
    EDUGRAPH_TRACING=file:PATH    one JSON a line, to look at without a collector
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from celery.signals import task_postrun, task_prerun, worker_process_shutdown

from edugraph_common import trace_context
from edugraph_common.broker.topology import ROUTES
from edugraph_common.failures import Rejected
from edugraph_common.log_safety import described

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attribute = str | int | float | bool


class Tracing:
    """Of one process. The SDK's own threads do not outlive a fork, so each process makes its own provider."""

    def __init__(self) -> None:
        self.service, self.target = "", "off"
        self._owner = 0
        self._provider: TracerProvider | None = None

    def provider(self) -> "TracerProvider":
        if self._provider is None or self._owner != os.getpid():
            self._provider, self._owner = _provider(self.service, self.target), os.getpid()
        return self._provider

    def end(self) -> None:
        """Sends what is still held."""
        if self._provider is not None and self._owner == os.getpid():
            self._provider.shutdown()


_here = Tracing()


def turn_on(service: str, target: str) -> None:
    """`target` as EDUGRAPH_TRACING has it; "off" changes nothing. Raises Rejected where it cannot be."""
    if target == "off":
        return
    if target != "otlp" and not target.startswith("file:"):
        raise Rejected("EDUGRAPH_TRACING is off, otlp or file:PATH")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise Rejected("EDUGRAPH_TRACING is set: install edugraph-common[tracing]")
    _here.service, _here.target = service, target


def turn_off() -> None:
    """Sends what is still held, and makes no more spans."""
    _here.end()
    _here.target = "off"


def trace_tasks(service: str, target: str) -> None:
    """For a worker: a span for each delivery of a task. Raises Rejected."""
    turn_on(service, target)
    if target == "off":
        return
    open_spans: dict[str, tuple[ExitStack, Span]] = {}
    task_prerun.connect(_beginning(open_spans), weak=False)
    task_postrun.connect(_ending(open_spans), weak=False)
    worker_process_shutdown.connect(lambda **_: _here.end(), weak=False)


def span(name: str, kind: Kind = "internal", /, **attributes: Attribute) -> AbstractContextManager["Span"]:
    """Work that belongs to the current trace; what is published within it hangs on it."""
    return _SILENT if _here.target == "off" else _span(name, kind, attributes)


class Span:
    """Of the work that runs."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def say(self, **attributes: Attribute) -> None:
        self._inner.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._inner.update_name(name)


class _Silence(Span, AbstractContextManager[Span]):
    """One for all: it holds nothing."""

    def __init__(self) -> None:
        super().__init__(None)

    def say(self, **_: Attribute) -> None:
        return

    def rename(self, name: str) -> None:
        del name

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        return


_SILENT = _Silence()


@contextmanager
def _span(name: str, kind: Kind, attributes: dict[str, Attribute]) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind, Status, StatusCode

    tracer = _here.provider().get_tracer("edugraph")
    made = tracer.start_span(name, _parent(), SpanKind[kind.upper()], attributes)
    token = trace_context.enter(_traceparent(made))
    try:
        yield Span(made)
    except BaseException as error:
        made.set_attribute("error.type", type(error).__name__)
        made.set_status(Status(StatusCode.ERROR, described(error)))
        raise
    finally:
        trace_context.leave(token)
        made.end()


def _parent() -> Any:
    """The context of the current traceparent; an empty one begins a trace."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    current = trace_context.current()
    carrier = {"traceparent": current} if current else {}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _traceparent(made: Any) -> str:
    context = made.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _beginning(open_spans: dict[str, tuple[ExitStack, Span]]) -> Callable[..., None]:
    def begin(task_id: str, task: Any, **_: Any) -> None:
        info = task.request.delivery_info or {}
        stack = ExitStack()
        made = stack.enter_context(span(f"run {task.name}", "consumer", **{"messaging.message.id": task_id}))
        made.say(tries=task.request.retries + 1, redelivered=bool(info.get("redelivered")))
        if task.name in ROUTES:
            # The routing key has a delay's 28 bits before it, so the queue says more.
            made.say(**{"messaging.destination.name": ROUTES[task.name].queue})
        open_spans[task_id] = stack, made

    return begin


def _ending(open_spans: dict[str, tuple[ExitStack, Span]]) -> Callable[..., None]:
    def end(task_id: str, state: str | None, **_: Any) -> None:
        stack, made = open_spans.pop(task_id)
        made.say(state=state or "unknown")
        stack.close()

    return end


def _provider(service: str, target: str) -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    resource = Resource.create({"service.name": f"edugraph-{service}", "service.namespace": "edugraph"})
    provider = TracerProvider(resource=resource)
    if target == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(_file_exporter(Path(target.removeprefix("file:")))))
    return provider


def _file_exporter(path: Path) -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class ToFile(SpanExporter):
        """Each span is one write to the end of the file, so that several processes may share it."""

        def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(_shown(span)) + "\n" for span in spans))
            return SpanExportResult.SUCCESS

    return ToFile()


def _shown(made: "ReadableSpan") -> dict[str, Any]:
    context, parent = made.context, made.parent
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
        "attributes": dict(made.attributes or {}),
    }
