"""Traces: off unless asked for, and nothing in them but what is listed."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from cds_service.operations.request_ids import RequestIds
from cds_service.operations.tracing import (
    ATTRIBUTES,
    OpenTelemetry,
    Tracing,
    installed,
    make_tracing,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
MARKER = "ZZ-PATIENT-4711"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    """Where spans go."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exported: InMemorySpanExporter) -> Iterator[OpenTelemetry]:
    """The real SDK, with an exporter that keeps what it gets."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    made = OpenTelemetry(provider)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_when_it_is_on(environment: dict[str, str], on: bool) -> None:  # noqa: FBT001
    """As OpenTelemetry's own variables say."""
    tracing = make_tracing(environment)
    tracing.close()

    assert on == wanted(environment)
    assert on == isinstance(tracing, OpenTelemetry)


def test_off() -> None:
    """Does nothing, and takes the same calls."""
    tracing = Tracing()
    with tracing.span("hook", {"cds.caller": "ehr"}) as span:
        span.set("cds.outcome", "card")
    tracing.close()


def test_without_the_extra() -> None:
    """The package is not needed, and not even imported where traces are off."""
    program = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing())
from cds_service.operations.tracing import Tracing, installed, make_tracing
assert not installed()
assert type(make_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})) is Tracing
assert not any(name.startswith("opentelemetry") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_with_the_extra() -> None:
    """The development environment has it."""
    assert installed()
    assert importlib.metadata.version("opentelemetry-sdk")


def test_spans(tracing: OpenTelemetry, exported: InMemorySpanExporter) -> None:
    """One within the other, with what is listed."""
    with tracing.span("hook", {"cds.caller": "ehr"}) as hook:
        with tracing.span("read", {"fhir.type": "Observation"}) as read:
            read.set("fhir.outcome", "not-permitted")
        hook.set("cds.unread", 1)

    inner, outer = exported.get_finished_spans()
    assert ("read", "hook") == (inner.name, outer.name)
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert {"fhir.type": "Observation", "fhir.outcome": "not-permitted"} == dict(
        inner.attributes or {}
    )
    assert {"cds.caller": "ehr", "cds.unread": 1} == dict(outer.attributes or {})


def test_nothing_else(tracing: OpenTelemetry, exported: InMemorySpanExporter) -> None:
    """Neither other attributes nor text, nor what an error says."""
    url = f"https://fhir.example/Patient/{MARKER}"

    def fail() -> None:
        with tracing.span("read", {"http.url": url, "fhir.type": url}) as span:
            span.set("patient", MARKER)  # type: ignore[arg-type]
            for attribute in ATTRIBUTES:
                span.set(attribute, f"{MARKER} in a sentence")  # type: ignore[arg-type]
            raise ValueError(MARKER)

    with pytest.raises(ValueError, match=MARKER):
        fail()

    (made,) = exported.get_finished_spans()
    assert MARKER not in made.to_json()
    assert () == made.events
    assert {} == dict(made.attributes or {})
    assert (StatusCode.ERROR, "ValueError") == (made.status.status_code, made.status.description)


async def test_within_the_caller_s_trace(
    tracing: OpenTelemetry, exported: InMemorySpanExporter
) -> None:
    """A hook's span belongs to the trace that the EHR has begun."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        with tracing.span("hook"), tracing.span("evaluate"):
            pass

    trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    scope = {"type": "http", "headers": [(b"traceparent", trace)]}
    await RequestIds(app)(scope, None, None)  # type: ignore[arg-type]  (nothing is read or sent)

    inner, outer = exported.get_finished_spans()
    assert f"{outer.context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
