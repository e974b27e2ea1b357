"""Tells of each access to the store: what for, how long, and why it failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cds_service.errors import CdsServiceError, StoreUnavailable
from cds_service.store.records import Operation

# Told of each access: what for, how many seconds, and why it failed; None where it did not.
Observe = Callable[[Operation, float, str | None], None]

TOO_LATE: Final = "too-late"
"""The reason where nobody waited any longer: patience or the hook's deadline was over."""


def unobserved(_operation: Operation, _seconds: float, _reason: str | None) -> None:
    """Nobody wants to know."""


@contextmanager
def observed(observe: Observe, operation: Operation) -> Iterator[None]:
    """Tell of the access in the block, also where its caller gave it up."""
    started = time.perf_counter()
    reason = None
    try:
        yield
    except StoreUnavailable as error:
        reason = error.reason
        raise
    except CdsServiceError:  # what the store answers
        raise
    except BaseException as error:
        reason = TOO_LATE if isinstance(error, asyncio.CancelledError) else "fault"
        raise
    finally:
        observe(operation, time.perf_counter() - started, reason)
