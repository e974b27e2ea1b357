"""What Prometheus sees of the service.

Counts and times only. A label takes one of a few values that are known before the first request,
and anything else becomes ``other``: no patient, no user and no text of a caller can become one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from cds_service.fhir.http import BreakerState
from cds_service.operations.figures import Figures
from cds_service.operations.labels import (
    BREAKER_STATES,
    COMPARISONS,
    FEEDBACK_OUTCOMES,
    HOOK_OUTCOMES,
    NONE,
    OVERALLS,
    READ_OUTCOMES,
    REFUSALS,
    REQUEST_OUTCOMES,
    RESOURCE_TYPES,
    ROUTES,
    SECURITY_REASONS,
    SHED_REASONS,
    STATUSES,
    STORE_OPERATIONS,
    UNPARSED,
    Labels,
    ShedReason,
)
from cds_service.operations.series import Series
from cds_service.store.records import Operation
from cds_service.trust.caller import OPEN


class Metrics:
    """The figures of one application."""

    def __init__(self) -> None:
        self._callers = Labels((OPEN,))
        self._codes = Labels(())
        self._types = Labels(RESOURCE_TYPES)
        self._servers = Labels(())
        self._figures = Figures()
        self._series = Series(self._figures.registry)
        self._start_at_zero()

    def allow(
        self,
        *,
        callers: Iterable[str] = (),
        override_codes: Iterable[str] = (),
        servers: Iterable[str] = (),
    ) -> None:
        """Let labels take the values of this configuration; any other value is ``other``.

        Args:
            callers: the issuers' names.
            override_codes: codes of the override reasons on the cards.
            servers: base URLs of the FHIR servers that are listed.
        """
        self._servers.allow(servers)
        self._callers.allow(callers)
        self._codes.allow(override_codes)
        for name in callers:
            self._series.hooks.labels(name, "no-card", "not_relevant")
            self._series.incomplete.labels(name)
            self._series.key_failures.labels(name)
            self._watched(name)

    @contextmanager
    def request(self, route: str) -> Iterator[None]:
        """Count a request as in work for the time of the block, and time it."""
        name = ROUTES.bounded(route)
        started = time.perf_counter()
        self._series.in_flight.labels(name).inc()
        try:
            yield
        finally:
            self._series.in_flight.labels(name).dec()
            self._series.request_seconds.labels(name).observe(time.perf_counter() - started)

    def answered(self, route: str, status: int) -> None:
        """Count an answer by its HTTP status."""
        self._series.requests.labels(ROUTES.bounded(route), STATUSES.bounded(str(status))).inc()

    def unparsed(self, status: int) -> None:
        """Count what the server refused before there was a request, by its HTTP status."""
        self._series.unparsed.labels(UNPARSED.bounded(str(status))).inc()

    def hook(
        self,
        *,
        caller: str,
        outcome: str,
        overall: str | None,
        seconds: float,
        incomplete: bool = False,
        reads: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Count a hook that was answered.

        Args:
            caller: the issuer's name.
            outcome: what became of it, as in the audit.
            overall: the overall result; None where there was no evaluation.
            seconds: what it took.
            incomplete: whether some of the chart could not be read.
            reads: by resource type, how completely it was had.
        """
        name = self._callers.bounded(caller)
        self._series.hooks.labels(
            name, HOOK_OUTCOMES.bounded(outcome), OVERALLS.bounded(overall)
        ).inc()
        self._series.hook_seconds.labels(name).observe(seconds)
        if incomplete:
            self._series.incomplete.labels(name).inc()
        for type_, read in reads.items():
            self._series.chart_reads.labels(
                self._types.bounded(type_), READ_OUTCOMES.bounded(read)
            ).inc()

    def shed(self, reason: ShedReason, caller: str | None = None) -> None:
        """Count a hook that was turned away because a limit was reached."""
        self._series.shed.labels(self._callers.bounded(caller), SHED_REASONS.bounded(reason)).inc()

    def refused(self, reason: str) -> None:
        """Count a request without a valid token; the reason is that of ``Unauthenticated``."""
        self._series.refused.labels(REFUSALS.bounded(reason)).inc()

    def read(self, resource_type: str, outcome: str, seconds: float) -> None:
        """Count an address that was asked of a FHIR server.

        Args:
            resource_type: the FHIR type that was asked for.
            outcome: how it went.
            seconds: what it took.
        """
        name = self._types.bounded(resource_type)
        self._series.fhir_requests.labels(name, REQUEST_OUTCOMES.bounded(outcome)).inc()
        self._series.fhir_seconds.labels(name).observe(seconds)

    def breaker(self, server: str, state: BreakerState) -> None:
        """Set in which state the breaker of a FHIR server is."""
        for one in BREAKER_STATES:
            self._series.breakers.labels(self._servers.bounded(server), one).set(int(one == state))

    def feedback(self, *, outcome: str, reason: str | None) -> None:
        """Count feedback on a card.

        Args:
            outcome: ``accepted`` or ``overridden``.
            reason: the override reason's code; None where none was given.
        """
        self._series.feedback.labels(
            FEEDBACK_OUTCOMES.bounded(outcome), self._codes.bounded(reason)
        ).inc()

    def compared(self, *, same: bool) -> None:
        """Count how a candidate trial's report compared with that of the one in force."""
        self._series.candidate.labels("same" if same else "different").inc()

    def stored(self, operation: Operation, seconds: float, *, failed: bool) -> None:
        """Count an access to the store.

        Args:
            operation: what it was for.
            seconds: what it took.
            failed: whether it came to nothing.
        """
        name = STORE_OPERATIONS.bounded(operation)
        self._series.store_seconds.labels(name).observe(seconds)
        if failed:
            self._series.store_failures.labels(name).inc()

    def store_written(self, at: float) -> None:
        """Note when something was last written to the store, in Unix time."""
        self._series.store_written.set(at)

    def store_waits(self, waiting: int, lag_s: float) -> None:
        """Set how many writes wait, and for how many seconds the oldest has."""
        self._series.store_waiting.set(waiting)
        self._series.store_lag.set(lag_s)

    def security(self, reason: str, caller: str | None) -> None:
        """Count a request that brought what is another patient's, or another client's."""
        self._series.security.labels(
            self._callers.bounded(caller), SECURITY_REASONS.bounded(reason)
        ).inc()

    def unlisted_server(self, caller: str) -> None:
        """Count a hook that named a FHIR server which is not listed for its caller."""
        self._series.unlisted.labels(self._callers.bounded(caller)).inc()

    def keys_fetched(self, caller: str, at: float) -> None:
        """Note when an issuer's keys were fetched, in Unix time."""
        self._series.keys_fetched.labels(self._callers.bounded(caller)).set(at)

    def keys_failed(self, caller: str) -> None:
        """Count a fetch of an issuer's keys that failed."""
        self._series.key_failures.labels(self._callers.bounded(caller)).inc()

    def switched_off(self, count: int) -> None:
        """Set how many trials and callers are switched off now."""
        self._series.switched_off.set(count)

    def shadow(self, *, on: bool) -> None:
        """Set whether the whole service is in shadow mode."""
        self._series.shadow.set(int(on))

    def version(self, part: str, version: str, digest: str = "") -> None:
        """Say which edition of a part is in use.

        Args:
            part: ``service``, ``trial``, ``candidate`` or ``mappings``.
            version: as the part names it.
            digest: of its content.
        """
        self._series.versions.labels(part, version, digest).set(1)

    def render(self) -> tuple[bytes, str]:
        """All figures in Prometheus's text format, and its content type."""
        return self._figures.render()

    def _start_at_zero(self) -> None:
        """Make the series that alerts watch, so that a first event is an increase from 0."""
        self._series.hooks.labels(OPEN, "no-card", "not_relevant")
        self._series.incomplete.labels(OPEN)
        self._watched(OPEN)
        self._watched(NONE)
        for outcome in FEEDBACK_OUTCOMES:
            self._series.feedback.labels(outcome, NONE)
        for operation in STORE_OPERATIONS:
            self._series.store_failures.labels(operation)
        for reason in REFUSALS:
            self._series.refused.labels(reason)
        for status in UNPARSED:
            self._series.unparsed.labels(status)
        for comparison in COMPARISONS:
            self._series.candidate.labels(comparison)

    def _watched(self, caller: str) -> None:
        self._series.unlisted.labels(caller)
        for reason in SECURITY_REASONS:
            self._series.security.labels(caller, reason)
