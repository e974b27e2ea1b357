"""What an operator is told besides the answers: counted, and where it matters a line in the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from structlog.typing import FilteringBoundLogger

from cds_service.operations.metrics import Metrics
from cds_service.store.records import Operation, StoreHealth
from cds_service.trust.jwks import KeysReason

# Why the server refused something before there was a request, by its status.
UNPARSED_REASONS: Final = {400: "no-http", 408: "slow-head", 431: "large-head"}
_WRITES: Final[frozenset[Operation]] = frozenset({"audit", "feedback", "token", "readiness"})


class Notes:
    """Counts and notes what happens to the parts of a service.

    Args:
        logger: where it is noted.
        metrics: counts.
        now: the clock; aware of its time zone.
    """

    def __init__(
        self, logger: FilteringBoundLogger, metrics: Metrics, now: Callable[[], datetime]
    ) -> None:
        self._logger = logger
        self._metrics = metrics
        self._now = now
        self._unready: str | None = None
        self._off: frozenset[str] = frozenset()

    def stored(self, operation: Operation, seconds: float, reason: str | None) -> None:
        """Note an access to the store.

        Args:
            operation: what for.
            seconds: what it took.
            reason: why it failed; None where it did not.
        """
        self._metrics.stored(operation, seconds, failed=reason is not None)
        if reason is not None:
            self._logger.error("store", operation=operation, reason=reason)
        elif operation in _WRITES:
            self._metrics.store_written(self._now().timestamp())

    def store_waits(self, health: StoreHealth) -> None:
        """Note how many writes wait, and how long the oldest has waited."""
        self._metrics.store_waits(health.waiting, health.lag_s)

    def keys(self, caller: str, reason: KeysReason | None) -> None:
        """Note a fetch of an issuer's keys, and why it gave none; None where it gave some."""
        if reason is None:
            self._metrics.keys_fetched(caller, self._now().timestamp())
        else:
            self._metrics.keys_failed(caller)
            self._logger.warning("keys", caller=caller, reason=reason)

    def unlisted_server(self, caller: str) -> None:
        """Note a hook that names a FHIR server which is not listed for its caller.

        Neither name nor address is noted: they are text of a request.
        """
        self._metrics.unlisted_server(caller)
        self._logger.warning("server", caller=caller, reason="unlisted")

    def unparsed(self, status: int, request_id: str) -> None:
        """Note what the server refused before there was a request.

        Args:
            status: its answer's.
            request_id: its answer's.
        """
        self._metrics.unparsed(status)
        reason = UNPARSED_REASONS.get(status)
        self._logger.warning("refused", request_id=request_id, status=status, reason=reason)

    def readiness(self, reason: str | None) -> None:
        """Note why there should be no hooks now, when that changes; None where there may be."""
        if reason == self._unready:
            return
        self._unready = reason
        if reason is None:
            self._logger.info("ready")
        else:
            self._logger.error("unready", reason=reason)

    def switched_off(self, names: frozenset[str]) -> None:
        """Note what is switched off, and what of it is news to this process."""
        self._metrics.switched_off(len(names))
        for name in sorted(names ^ self._off):
            self._logger.warning("switch", switch=name, outcome="off" if name in names else "on")
        self._off = names
