"""The way to the store's database: one thread that writes, a few that read, each with a time limit.

What is kept is :mod:`~cds_service.store.store`'s to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection

from cds_service.errors import StoreUnavailable
from cds_service.store.database import Database, Writing
from cds_service.store.observing import TOO_LATE
from cds_service.store.opening import ask, prepare
from cds_service.store.records import StoreHealth
from cds_service.store.writing import Transaction, Writer

T = TypeVar("T")

FIRST: Final = "1"
"""Begins the order, within a commit, of what does not lock the chain; those are done first."""
_THEN: Final = "2"


class Access:
    """A database that can be opened, written, read and closed.

    Args:
        url: SQLAlchemy URL.
        now: the clock; has a time zone.
        patience_s: in which a write is committed or given up, and a question answered.
        waiting_limit: how many writes may wait; further ones are refused at once.
    """

    def __init__(
        self, url: str, now: Callable[[], datetime], patience_s: float, waiting_limit: int
    ) -> None:
        self._url = url
        self._now = now
        self._patience_s = patience_s
        self._waiting_limit = waiting_limit
        self._database: Database | None = None
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Bring the database to its present form, begin the chain if there is none, and open.

        Raises:
            ConfigError: the URL cannot be used, or the database is of an unfit later release.
            StoreUnavailable: the database cannot be reached or written.
        """
        # The database itself gives up first, so that what it says is known.
        database = Database(self._url, patience_s=self._patience_s * 0.75)
        await asyncio.to_thread(prepare, self._url, self._now)
        self._database = database
        self._writer = Writer(database, self._now, self._waiting_limit)
        self._readers = ThreadPoolExecutor(4, "store-reader")

    async def aclose(self) -> None:
        """Write what waits, and close."""
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
        if self._readers is not None:
            self._readers.shutdown(wait=False, cancel_futures=True)
        if self._database is not None:
            self._database.dispose()

    def health(self) -> StoreHealth:
        """How the writing goes."""
        if self._writer is None:
            return StoreHealth(waiting=0, lag_s=0, written=0, failed=0, last_error=None)
        return self._writer.health()

    async def _write(
        self, work: Callable[[Transaction], T], order: str = _THEN, access: Writing = "write"
    ) -> T:
        if self._writer is None:
            raise StoreUnavailable("the store is not open", reason="closed")
        job = self._writer.submit(work, order, access)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job.done), self._patience_s)
        except TimeoutError:
            self._writer.give_up(job)
            raise StoreUnavailable("the store did not write in time", reason=TOO_LATE) from None
        except asyncio.CancelledError:
            self._writer.give_up(job)
            raise

    async def _read(self, question: Callable[[Connection], T]) -> T:
        if self._readers is None or self._database is None:
            raise StoreUnavailable("the store is not open", reason="closed")
        asked = self._readers.submit(ask, self._database, question, "read")
        try:
            return await asyncio.wait_for(asyncio.wrap_future(asked), self._patience_s)
        except TimeoutError:
            raise StoreUnavailable("the store did not answer in time", reason=TOO_LATE) from None
