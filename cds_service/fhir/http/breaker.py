"""Sparing a FHIR server that does not answer, so that hooks need not wait for it.

Counted are whole charts: one of which the server answered nothing is a failure, whatever the reason
was, and one answer is proof enough that it lives. After several failures in a row, or when it asked
for rest, one chart at a time tries it, and the others are told at once that it was not asked. So a
server that is well again is read by the very next hook, and one that is not costs one hook's wait.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

BreakerState = Literal[
    "closed",  # every chart is read
    "half-open",  # one chart tries the server, and no other is read meanwhile
    "open",  # it is spared, until the next chart tries it
]

SILENT = "not asked: the server did not answer lately"
RESTING = "not asked: the server asked to wait"


class Breaker:
    """What is known of one server's health.

    Args:
        failures: charts without any answer, in a row, until one chart at a time tries it.
        trial_s: after which a trial that did not end counts no more.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self, failures: int, trial_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = failures
        self._trial_s = trial_s
        self._clock = clock
        self._failed = 0
        self._trial_until = -math.inf
        self._resting_until = -math.inf

    def obstacle(self) -> str | None:
        """Why the server is not to be asked for a chart now; None if it is.

        With the answer None from a server that is spared, this chart is the one that tries; others
        get None when that one has ended, or did not end in its time.
        """
        state = self.state
        if state == "half-open":
            return RESTING if self._clock() < self._resting_until else SILENT
        if state == "open":
            self._trial_until = self._clock() + self._trial_s
        return None

    @property
    def state(self) -> BreakerState:
        """Whether charts are read now, or the server is spared, or is being tried."""
        now = self._clock()
        if now >= self._resting_until and self._failed < self._most:
            return "closed"
        return "half-open" if now < self._trial_until else "open"

    def answered(self) -> None:
        """Note that the server answered something for a chart."""
        self._failed = 0
        self._trial_until = -math.inf

    def unanswered(self) -> None:
        """Note that it answered nothing for a chart."""
        self._failed += 1
        self._trial_until = -math.inf

    def rest(self, seconds: float) -> None:
        """Spare it for as long as it asked for."""
        self._resting_until = max(self._resting_until, self._clock() + seconds)
