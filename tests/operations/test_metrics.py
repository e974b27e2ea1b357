"""What Prometheus reads, and that nothing of a caller or a patient becomes a label."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cds_service import trust
from cds_service.knowledge import load_knowledge
from cds_service.operations.counting import CountedRequests, route_of
from cds_service.operations.figures import SHARED_DIRECTORY
from cds_service.operations.labels import REFUSALS, RESOURCE_TYPES
from cds_service.operations.metrics import Metrics

if TYPE_CHECKING:
    from starlette.requests import Request

MARKER = "ZZ-PATIENT-4711"


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples by name and labels."""
    text = metrics.render()[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample; None where there is none."""
    return samples(metrics).get((name, frozenset(labels.items())))


class TestCounts:
    """Each method, and the series that it moves."""

    def test_hooks(self) -> None:
        """By caller, outcome and result; incomplete ones once more."""
        metrics = Metrics()
        metrics.allow(callers=("ehr",))
        metrics.hook(caller="ehr", outcome="card", overall="possible", seconds=0.3)
        metrics.hook(caller="ehr", outcome="card", overall="possible", seconds=4.2, incomplete=True)
        metrics.hook(caller="ehr", outcome="switched-off", overall=None, seconds=0.001)

        assert 2 == value(
            metrics, "cds_hooks_total", caller="ehr", outcome="card", overall="possible"
        )
        assert 1 == value(
            metrics, "cds_hooks_total", caller="ehr", outcome="switched-off", overall="none"
        )
        assert 1 == value(metrics, "cds_hooks_incomplete_total", caller="ehr")
        assert 0 == value(metrics, "cds_hooks_incomplete_total", caller="open")
        assert 2 == value(metrics, "cds_hook_duration_seconds_bucket", caller="ehr", le="0.5")
        assert 3 == value(metrics, "cds_hook_duration_seconds_bucket", caller="ehr", le="5.0")

    def test_reads(self) -> None:
        """Addresses by type and how it went; charts by how complete they were."""
        metrics = Metrics()
        metrics.read("Observation", "ok", 0.7)
        metrics.read("Observation", "timeout", 2.7)
        metrics.hook(
            caller="open",
            outcome="card",
            overall="possible",
            seconds=3,
            incomplete=True,
            reads={"Observation": "partial", "Consent": "not-permitted"},
        )

        assert 1 == value(metrics, "cds_fhir_requests_total", type="Observation", outcome="timeout")
        assert 2 == value(metrics, "cds_fhir_request_duration_seconds_count", type="Observation")
        assert 1 == value(metrics, "cds_chart_reads_total", type="Observation", outcome="partial")
        assert 1 == value(metrics, "cds_chart_reads_total", type="Consent", outcome="not-permitted")

    def test_breakers(self) -> None:
        """One state of each listed server at a time."""
        metrics = Metrics()
        metrics.allow(servers=("https://a.example/r4", "https://b.example/r4"))
        metrics.breaker("https://a.example/r4", "open")
        metrics.breaker("https://b.example/r4", "open")
        metrics.breaker("https://b.example/r4", "half-open")

        def states(server: str) -> list[float | None]:
            return [
                value(metrics, "cds_fhir_breakers", server=server, state=state)
                for state in ("closed", "half-open", "open")
            ]

        assert [0, 0, 1] == states("https://a.example/r4")
        assert [0, 1, 0] == states("https://b.example/r4")

    def test_unparsed(self) -> None:
        """What never became a request, by status; from zero on."""
        metrics = Metrics()
        metrics.unparsed(431)

        assert 1 == value(metrics, "cds_http_unparsed_total", status="431")
        assert 0 == value(metrics, "cds_http_unparsed_total", status="408")

    def test_callers(self) -> None:
        """Refused ones by reason, shed ones by limit, and their keys."""
        metrics = Metrics()
        metrics.allow(callers=("ehr",))
        metrics.refused("expired")
        metrics.shed("rate", "ehr")
        metrics.shed("service")
        metrics.keys_fetched("ehr", 1_800_000_000.0)
        metrics.keys_failed("ehr")

        assert 1 == value(metrics, "cds_unauthenticated_total", reason="expired")
        assert 1 == value(metrics, "cds_hooks_shed_total", caller="ehr", limit="rate")
        assert 1 == value(metrics, "cds_hooks_shed_total", caller="none", limit="service")
        assert 1_800_000_000 == value(metrics, "cds_jwks_fetched_timestamp_seconds", caller="ehr")
        assert 1 == value(metrics, "cds_jwks_failures_total", caller="ehr")

    def test_cards(self) -> None:
        """Their feedback, and how a candidate trial compares."""
        metrics = Metrics()
        metrics.allow(override_codes=("not-now",))
        metrics.feedback(outcome="accepted", reason=None)
        metrics.feedback(outcome="overridden", reason="not-now")
        metrics.compared(same=True)
        metrics.compared(same=False)

        assert 1 == value(metrics, "cds_card_feedback_total", outcome="accepted", reason="none")
        assert 1 == value(
            metrics, "cds_card_feedback_total", outcome="overridden", reason="not-now"
        )
        assert 1 == value(metrics, "cds_candidate_hooks_total", comparison="different")

    def test_store(self) -> None:
        """Every access is timed; one that fails is counted; what waits and what was written."""
        metrics = Metrics()
        metrics.stored("audit", 0.1, failed=False)
        metrics.stored("audit", 0.2, failed=True)
        metrics.store_waits(3, 1.5)
        metrics.store_written(1_800_000_000)

        assert 3 == value(metrics, "cds_store_waiting_writes")
        assert 1.5 == value(metrics, "cds_store_lag_seconds")
        assert 1_800_000_000 == value(metrics, "cds_store_written_timestamp_seconds")
        assert 2 == value(metrics, "cds_store_duration_seconds_count", operation="audit")
        assert 1 == value(metrics, "cds_store_failures_total", operation="audit")

    def test_state(self) -> None:
        """What is on, off and loaded."""
        metrics = Metrics()
        metrics.shadow(on=True)
        metrics.switched_off(2)
        metrics.version("trial", "2023.1", "sha256:ab")

        assert 1 == value(metrics, "cds_shadow_mode")
        assert 2 == value(metrics, "cds_switches_off")
        assert 1 == value(
            metrics, "cds_version_info", part="trial", version="2023.1", digest="sha256:ab"
        )

    def test_alerts_start_from_zero(self) -> None:
        """What has not happened yet is 0, so that the first time is an increase."""
        metrics = Metrics()

        assert 0 == value(metrics, "cds_store_failures_total", operation="audit")
        assert 0 == value(metrics, "cds_unauthenticated_total", reason="expired")
        assert 0 == value(metrics, "cds_hooks_incomplete_total", caller="open")

    def test_two_applications(self) -> None:
        """Share nothing."""
        first, second = Metrics(), Metrics()
        first.refused("expired")

        assert 0 == value(second, "cds_unauthenticated_total", reason="expired")

    def test_process(self) -> None:
        """The process's own memory and files are there, too."""
        assert (value(Metrics(), "process_resident_memory_bytes") or 0) > 1_000_000


class TestLabels:
    """Bounded, whatever is passed."""

    def test_nothing_of_a_caller(self) -> None:
        """Free text in every place becomes ``other``, and adds one series at most."""
        metrics = Metrics()
        for number in range(50):
            text = f"{MARKER}-{number}"
            metrics.hook(
                caller=text,
                outcome=text,
                overall=text,
                seconds=1,
                incomplete=True,
                reads={text: text},
            )
            metrics.read(text, text, 1)
            metrics.refused(text)
            metrics.feedback(outcome=text, reason=text)
            metrics.answered(text, number + 600)
            metrics.keys_fetched(text, 1)
            metrics.keys_failed(text)
            metrics.shed(text, text)  # type: ignore[arg-type]
            metrics.stored(text, 1, failed=True)  # type: ignore[arg-type]
            metrics.security(text, text)
            metrics.unlisted_server(text)
            metrics.breaker(text, text)  # type: ignore[arg-type]
            metrics.unparsed(number + 600)
            with metrics.request(text):
                pass

        text = metrics.render()[0].decode()
        assert MARKER not in text
        assert 50 == value(
            metrics, "cds_hooks_total", caller="other", outcome="other", overall="other"
        )
        assert 50 == value(metrics, "cds_http_requests_total", route="other", status="other")

    def test_types_are_those_that_are_read(self) -> None:
        """All types of the trial's searches, so that none is counted as ``other``."""
        searches = load_knowledge(None).searches
        read = {search.resource_type for search in (*searches.relevance, *searches.rest)}

        assert read | {"Patient", "Medication"} == set(RESOURCE_TYPES)

    def test_refusals_are_those_that_are_given(self) -> None:
        """Every code in the check of callers and in the routes, and no other."""
        folder = Path(trust.__file__).parent
        sources = [*folder.glob("*.py"), *(folder.parent / "cdshooks").glob("*.py")]
        code = re.compile(r'Unauthenticated\("([^"]+)"\)')
        given = {one for source in sources for one in code.findall(source.read_text("utf-8"))}

        assert given | {"other"} == set(REFUSALS)


class TestRequests:
    """The middleware that sees every request."""

    @pytest.mark.parametrize(
        ("path", "route"),
        [
            ("/cds-services", "discovery"),
            ("/cds-services/", "discovery"),
            ("/cds-services/net-retreat-eligibility", "hook"),
            (f"/cds-services/{MARKER}", "hook"),
            ("/cds-services/net-retreat-eligibility/feedback", "feedback"),
            ("/cds-services/net-retreat-eligibility/feedback/x", "other"),
            ("/health/ready", "health"),
            ("/metrics", "metrics"),
            (f"/{MARKER}", "other"),
        ],
    )
    def test_routes(self, path: str, route: str) -> None:
        """A path is never a label."""
        assert route == route_of(path)

    async def test_every_answer(self) -> None:
        """Those of a route, of nobody, and of a fault."""

        def fail(_request: Request) -> PlainTextResponse:
            raise ZeroDivisionError

        metrics = Metrics()
        inner = Starlette(
            routes=[
                Route("/cds-services", lambda _request: PlainTextResponse("x")),
                Route("/health/live", fail),
            ]
        )
        transport = httpx2.ASGITransport(
            CountedRequests(inner, metrics=metrics), raise_app_exceptions=False
        )
        async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
            await http.get("/cds-services")
            await http.post("/cds-services")
            await http.get(f"/{MARKER}")
            await http.get("/health/live")

        def counted(route: str, status: str) -> float | None:
            return value(metrics, "cds_http_requests_total", route=route, status=status)

        assert (1, 1) == (counted("discovery", "200"), counted("discovery", "405"))
        assert (1, 1) == (counted("other", "404"), counted("health", "500"))
        assert 0 == value(metrics, "cds_http_requests_in_flight", route="discovery")
        assert 2 == value(metrics, "cds_http_request_duration_seconds_count", route="discovery")


_WORKER = """
import sys
from cds_service.operations.metrics import Metrics
metrics = Metrics()
metrics.refused("expired")
metrics.hook(caller="open", outcome="card", overall="possible", seconds=0.2)
metrics.keys_fetched("open", float(sys.argv[1]))
metrics.allow(servers=["https://a.example"])
metrics.breaker("https://a.example", "open" if sys.argv[1] == "100" else "closed")
with metrics.request("hook"):
    sys.stdout.write(metrics.render()[0].decode())
"""


def test_several_processes(tmp_path: Path) -> None:
    """With a shared directory each one answers for all."""
    environment = os.environ | {SHARED_DIRECTORY: str(tmp_path)}
    for at in ("200", "100"):
        ran = subprocess.run(
            [sys.executable, "-c", _WORKER, at],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

    assert 'cds_unauthenticated_total{reason="expired"} 2.0' in ran.stdout
    assert 'cds_hook_duration_seconds_bucket{caller="open",le="0.25"} 2.0' in ran.stdout
    assert 'cds_jwks_fetched_timestamp_seconds{caller="open"} 100.0' in ran.stdout
    assert 'cds_http_requests_in_flight{route="hook"} 1.0' in ran.stdout
    assert 'cds_fhir_breakers{server="https://a.example",state="open"} 1.0' in ran.stdout
    assert 'cds_fhir_breakers{server="https://a.example",state="closed"} 1.0' in ran.stdout
