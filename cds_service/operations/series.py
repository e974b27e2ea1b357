"""The series that Prometheus reads: their names, labels and buckets.

``docs/operations.md`` lists them for those who watch the service.
"""

from __future__ import annotations

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Up to the default deadline of 5 s and what an answer may take beyond it; the last buckets are for
# deadlines that an operator has raised.
_HOOK_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 5.5, 10, 30)
_READ_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10)
_STORE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

# What several worker processes make of a gauge: the sum of those alive, or the one that says most.
_Together = Literal["livesum", "livemax", "livemin"]


class Series:
    """All series of one application, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._make_http_series()
        self._make_hook_series()
        self._make_reading_series()
        self._make_key_series()
        self._make_state_series()

    def _make_http_series(self) -> None:
        self.requests = self._counter(
            "http_requests",
            "Requests answered, by route and HTTP status; those refused and failed included.",
            "route",
            "status",
        )
        self.request_seconds = self._histogram(
            "http_request_duration",
            "From the head of a request to the end of its answer.",
            "route",
            buckets=_HOOK_SECONDS,
        )
        self.unparsed = self._counter(
            "http_unparsed",
            "What the server refused before there was a request, by HTTP status.",
            "status",
        )
        self.in_flight = self._gauge(
            "http_requests_in_flight", "Requests in work now.", "route", together="livesum"
        )
        self.shed = self._counter(
            "hooks_shed",
            "Hooks turned away for load, by caller and the limit that was reached.",
            "caller",
            "limit",
        )
        self.refused = self._counter(
            "unauthenticated",
            "Requests whose token did not show who calls, by reason.",
            "reason",
        )
        self.security = self._counter(
            "security_events",
            "Requests that brought what is another patient's or another client's, by reason.",
            "caller",
            "reason",
        )

    def _make_hook_series(self) -> None:
        self.hooks = self._counter(
            "hooks",
            "Hooks answered and audited, by caller, outcome and overall result.",
            "caller",
            "outcome",
            "overall",
        )
        self.hook_seconds = self._histogram(
            "hook_duration",
            "From a hook that was read to its answer, audit included.",
            "caller",
            buckets=_HOOK_SECONDS,
        )
        self.incomplete = self._counter(
            "hooks_incomplete",
            "Hooks evaluated although some of the chart could not be read.",
            "caller",
        )
        self.feedback = self._counter(
            "card_feedback",
            "Feedback on cards by outcome, and the override reason if it is one of ours.",
            "outcome",
            "reason",
        )
        self.candidate = self._counter(
            "candidate_hooks",
            "Hooks that the candidate trial was evaluated for as well, by how it compared.",
            "comparison",
        )

    def _make_reading_series(self) -> None:
        self.chart_reads = self._counter(
            "chart_reads",
            "Resource types of charts that were evaluated, by how completely they were had.",
            "type",
            "outcome",
        )
        self.fhir_requests = self._counter(
            "fhir_requests", "Addresses asked of FHIR servers, by how it went.", "type", "outcome"
        )
        self.fhir_seconds = self._histogram(
            "fhir_request_duration",
            "What an address of a FHIR server took, a second attempt included.",
            "type",
            buckets=_READ_SECONDS,
        )
        self.breakers = self._gauge(
            "fhir_breakers",
            "Processes whose breaker for a FHIR server is in a state.",
            "server",
            "state",
            together="livesum",
        )
        self.unlisted = self._counter(
            "unlisted_servers",
            "Hooks that named a FHIR server which is not listed for their caller.",
            "caller",
        )
        self.store_seconds = self._histogram(
            "store_duration",
            "What one access to the store took, successful or not.",
            "operation",
            buckets=_STORE_SECONDS,
        )
        self.store_failures = self._counter(
            "store_failures", "Accesses to the store that failed.", "operation"
        )
        self.store_waiting = self._gauge(
            "store_waiting_writes", "Writes that wait for the store.", together="livesum"
        )
        self.store_lag = self._gauge(
            "store_lag_seconds",
            "For how long the oldest unfinished write has waited; 0 with none.",
            together="livemax",
        )
        self.store_written = self._gauge(
            "store_written_timestamp_seconds",
            "When something was last written to the store, in Unix time.",
            together="livemax",
        )

    def _make_key_series(self) -> None:
        self.keys_fetched = self._gauge(
            "jwks_fetched_timestamp_seconds",
            "When an issuer's keys were last fetched, in Unix time; of workers, the oldest.",
            "caller",
            together="livemin",
        )
        self.key_failures = self._counter(
            "jwks_failures", "Fetches of an issuer's keys that failed.", "caller"
        )

    def _make_state_series(self) -> None:
        self.switched_off = self._gauge(
            "switches_off", "Trials and callers that are switched off now.", together="livemax"
        )
        self.shadow = self._gauge(
            "shadow_mode",
            "1 where hooks are evaluated and audited, and no card is shown.",
            together="livemax",
        )
        self.versions = self._gauge(
            "version_info",
            "Which edition of what is in use; always 1.",
            "part",
            "version",
            "digest",
            together="livemax",
        )

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"cds_{name}", meaning, labels, registry=self._registry)

    def _histogram(
        self, name: str, meaning: str, *labels: str, buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(
            f"cds_{name}_seconds", meaning, labels, buckets=buckets, registry=self._registry
        )

    def _gauge(self, name: str, meaning: str, *labels: str, together: _Together) -> Gauge:
        return Gauge(
            f"cds_{name}", meaning, labels, multiprocess_mode=together, registry=self._registry
        )
