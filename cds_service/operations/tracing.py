"""Traces, for a site that collects them: OpenTelemetry, an extra of this package, off by default.

``OTEL_EXPORTER_OTLP_ENDPOINT`` turns it on; the other variables are OpenTelemetry's own. A span has
a name and attributes from fixed lists: no URL, no id, no text of a chart, and of an error its class
only. Nothing is instrumented from outside, since such tools record full URLs with patients in them.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, Literal

from cds_service.operations.request_ids import TRACEPARENT, current_request

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SpanName = Literal["hook", "read", "evaluate", "store"]
Attribute = Literal[
    "cds.caller",
    "cds.outcome",
    "cds.overall",
    "cds.operation",
    "cds.unread",
    "fhir.type",
    "fhir.outcome",
    "http.status",
]
ATTRIBUTES: Final[frozenset[str]] = frozenset(Attribute.__args__)  # type: ignore[attr-defined]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# A word of ours or a name of the configuration; whatever else is passed is left out.
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_SERVICE: Final = "cds-service"

Value = str | int | bool


class Span:
    """A span being made; does nothing where traces are off."""

    def set(self, attribute: Attribute, value: Value) -> None:
        """Add an attribute; one that is not listed is left out, and so is free text."""


_NO_SPAN: Final = Span()


class Tracing:
    """Makes spans; this one makes none.

    Call :meth:`close` at the end of the application, so that no span is lost.
    """

    def span(
        self, name: SpanName, attributes: Mapping[str, Value] | None = None
    ) -> AbstractContextManager[Span]:
        """A span around a block."""
        del name, attributes
        return nullcontext(_NO_SPAN)

    def close(self) -> None:
        """Send what is left."""


NO_TRACING: Final = Tracing()
"""For where nobody asked for traces."""


def make_tracing(environment: Mapping[str, str] = os.environ) -> Tracing:
    """Traces as OpenTelemetry's variables ask for; none where they do not, or without the extra."""
    if not wanted(environment) or not installed():
        return Tracing()
    # Imported here because the package is an extra, and takes as long as the rest of the start.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = environment.get("OTEL_SERVICE_NAME", _SERVICE)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


def installed() -> bool:
    """Whether the extra is there."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


class OpenTelemetry(Tracing):
    """Makes spans of OpenTelemetry.

    Args:
        provider: where they go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_SERVICE)

    def span(
        self, name: SpanName, attributes: Mapping[str, Value] | None = None
    ) -> AbstractContextManager[Span]:
        """A span around a block, within the trace of the request, if it has one."""
        return self._span(name, attributes or {})

    @contextmanager
    def _span(self, name: SpanName, attributes: Mapping[str, Value]) -> Iterator[Span]:
        from opentelemetry import trace  # noqa: PLC0415 - an extra; loaded by now
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        request = current_request()
        context = None
        if not trace.get_current_span().get_span_context().is_valid and request is not None:
            carrier = {TRACEPARENT: request.traceparent or ""}
            context = TraceContextTextMapPropagator().extract(carrier)
        with self._tracer.start_as_current_span(
            name,
            context=context,
            # Its text and its traceback may hold chart content.
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            span = _MadeSpan(made)
            for key, value in attributes.items():
                span.put(key, value)
            try:
                yield span
            except BaseException as error:
                made.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelSpan


class _MadeSpan(Span):
    def __init__(self, made: OtelSpan) -> None:
        self._made = made

    def set(self, attribute: Attribute, value: Value) -> None:
        self.put(attribute, value)

    def put(self, attribute: str, value: Value) -> None:
        if attribute not in ATTRIBUTES:
            return
        if isinstance(value, str) and not _WORD.fullmatch(value):
            return
        self._made.set_attribute(attribute, value)
