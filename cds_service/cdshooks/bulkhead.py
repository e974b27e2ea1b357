"""How many hooks are in work, in all and of one caller, and how many one caller may send a minute.

A hospital whose FHIR server hangs fills its own share and no more, so that the others are answered
as ever. What is too much is turned away at once: a hook that waits in a queue is a card too late.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal

from cds_service.errors import CdsServiceError

ShedReason = Literal["service", "caller", "rate"]

_MINUTE_S: Final = 60.0
# A place is free as soon as any hook in work is done.
_FULL_RETRY_S: Final = 1
# Beyond so many callers, those with a full allowance are forgotten: they start with a full one.
_MOST_REMEMBERED: Final = 1_000
_UNAVAILABLE: Final = 503
_TOO_MANY: Final = 429


class Shed(CdsServiceError):
    """A hook was turned away.

    Args:
        status: 503 where all places are taken, 429 where the caller sends too many.
        retry_after_s: whole seconds after which it is worth trying again.
        reason: which limit it was, for metrics: ``service``, ``caller`` or ``rate``.
        caller: whose hook it was.
    """

    def __init__(self, status: int, retry_after_s: int, reason: ShedReason, caller: str) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        self.reason: ShedReason = reason
        self.caller = caller
        super().__init__(f"turned away: {reason}")


class Bulkhead:
    """The places for hooks in work, and each caller's allowance.

    Args:
        total: hooks in work at one time.
        per_caller: of one caller.
        per_minute: hooks that one caller may send a minute, evenly or at once.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        total: int,
        per_caller: int,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._per_caller = per_caller
        self._rate = per_minute / _MINUTE_S
        self._burst = float(per_minute)
        self._clock = clock
        self._in_work: Counter[str] = Counter()
        self._allowances: dict[str, tuple[float, float]] = {}

    @property
    def in_work(self) -> int:
        """How many hooks are in work now."""
        return self._in_work.total()

    @asynccontextmanager
    async def entered(self, caller: str) -> AsyncIterator[None]:
        """Have a place for the time of the block.

        Args:
            caller: the name of who sent the hook.

        Raises:
            Shed: there is none, or the caller sends too many.
        """
        self._take(caller)
        try:
            yield
        finally:
            self._in_work[caller] -= 1
            if not self._in_work[caller]:
                del self._in_work[caller]

    def _take(self, caller: str) -> None:
        if self._in_work[caller] >= self._per_caller:
            raise Shed(_UNAVAILABLE, _FULL_RETRY_S, "caller", caller)
        if self.in_work >= self._total:
            raise Shed(_UNAVAILABLE, _FULL_RETRY_S, "service", caller)
        self._spend(caller)
        self._in_work[caller] += 1

    def _spend(self, caller: str) -> None:
        """Take one hook from the caller's allowance, which fills up steadily."""
        now = self._clock()
        left = self._left(caller, now)
        if left < 1:
            raise Shed(_TOO_MANY, math.ceil((1 - left) / self._rate), "rate", caller)
        self._allowances[caller] = (left - 1, now)
        if len(self._allowances) > _MOST_REMEMBERED:
            self._forget(now)

    def _left(self, caller: str, now: float) -> float:
        left, since = self._allowances.get(caller, (self._burst, now))
        return min(self._burst, left + (now - since) * self._rate)

    def _forget(self, now: float) -> None:
        for caller in list(self._allowances):
            if self._left(caller, now) >= self._burst:
                del self._allowances[caller]
