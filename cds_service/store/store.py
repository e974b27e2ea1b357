"""The store as the service sees it: every question and every write, with a time limit.

The audit first, the answer second: what ``write_hook`` returned from is on the disk. Where the
store cannot be written or read in time it raises ``StoreUnavailable``, and recovers by itself when
the database is back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final

from cds_service.errors import StoreUnavailable
from cds_service.store import queries, recording
from cds_service.store.access import FIRST, Access
from cds_service.store.chain import timestamp
from cds_service.store.feedback import record_feedback
from cds_service.store.observing import Observe, observed, unobserved
from cds_service.store.records import (
    FeedbackEntry,
    HookEntry,
    Operation,
    Quieted,
    QuietKey,
    Switch,
)
from cds_service.store.writing import Transaction

_CACHED_S: Final = 1.0
_PURGE_EVERY_S: Final = 60.0


class Store(Access):
    """What is kept.

    Args:
        url: SQLAlchemy URL of an SQLite file or a PostgreSQL database.
        now: the clock; has a time zone.
        patience_s: in which a write is committed or given up, and a question answered.
        waiting_limit: how many writes may wait; further ones are refused at once.
        observe: told of each access.
    """

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], datetime],
        patience_s: float = 2.0,
        waiting_limit: int = 1024,
        observe: Observe = unobserved,
    ) -> None:
        super().__init__(url, now, patience_s, waiting_limit)
        self._observe = observe
        self._off: frozenset[str] = frozenset()
        self._off_read_at = self._probed_at = self._purged_at = -float("inf")
        self._switch_lock = asyncio.Lock()
        self._probe_lock = asyncio.Lock()

    async def ready(self) -> bool:
        """Whether the store can be written now; a good answer holds for a second."""
        async with self._probe_lock:
            if time.monotonic() - self._probed_at < _CACHED_S:
                return True
            try:
                with self._observed("readiness"):
                    await self._write(recording.touch)
            except StoreUnavailable:
                return False
            self._probed_at = time.monotonic()
            return True

    async def write_hook(self, entry: HookEntry) -> None:
        """Record an evaluated hook; on the disk when this returns.

        Raises:
            StoreUnavailable: it is not recorded, and no statement may leave.
        """
        with self._observed("audit"):
            await self._write(lambda one: recording.record_hook(one, entry))

    async def write_feedback(
        self, caller: str, service: str, items: Sequence[FeedbackEntry]
    ) -> list[tuple[str, ...]]:
        """Record feedback, all or none; the same again changes nothing.

        Returns, of each item, the accepted suggestions that its card had.

        Raises:
            UnknownCard: a card is not of this caller and service; nothing is recorded.
            StoreUnavailable: nothing is recorded.
        """
        with self._observed("feedback"):
            return await self._write(lambda one: record_feedback(one, caller, service, items))

    async def quiet_since(self, key: QuietKey) -> Quieted | None:
        """The latest override by this user of this patient's cards, if that is how it stands.

        Raises:
            StoreUnavailable: it cannot be told.
        """
        with self._observed("quiet"):
            found = await self._read(lambda connection: queries.latest_override(connection, key))
        if found is None:
            return None
        return Quieted(since=datetime.fromisoformat(found[0]), overall=found[1])

    async def first_use(self, issuer: str, token_id: str, expires: datetime) -> bool:
        """Whether a token was not used before, here, in another process, or before a restart.

        Raises:
            StoreUnavailable: it cannot be told.
        """
        digest = hashlib.sha256(json.dumps([issuer, token_id]).encode()).hexdigest()

        def use(transaction: Transaction) -> bool:
            return queries.add_token(transaction.connection, digest, timestamp(expires))

        with self._observed("token"):
            await self._purge_tokens()
            # In the order of the digests, so that two processes lock them in the same order.
            # On the disk at the latest with what is kept of the hook, before that is answered.
            return await self._write(use, FIRST + digest, "note")

    async def switched_off(self) -> frozenset[str]:
        """What is switched off, such as ``trial:net-retreat``; at most a second old.

        Raises:
            StoreUnavailable: it cannot be told.
        """
        with self._observed("switch"):
            return await self._switched_off()

    async def _switched_off(self) -> frozenset[str]:
        async with self._switch_lock:
            if time.monotonic() - self._off_read_at >= _CACHED_S:
                asked_at = time.monotonic()
                self._off = await self._read(queries.switched_off)
                self._off_read_at = asked_at
            return self._off

    async def switch(self, name: str, *, off: bool, by: str, reason: str | None) -> None:
        """Switch something off or on, for all processes; recorded in the audit.

        Raises:
            StoreUnavailable: nothing was switched.
        """
        with self._observed("switch"):
            await self._write(
                lambda one: recording.record_switch(one, name, off=off, by=by, reason=reason)
            )
        self._off_read_at = -float("inf")

    async def declare(self, names: Collection[str]) -> None:
        """Make known what can be switched, so that a misspelt name is noticed.

        Raises:
            StoreUnavailable: it could not be written.
        """
        with self._observed("declare"):
            await self._write(lambda one: recording.declare(one, names))

    async def switches(self) -> list[Switch]:
        """Everything that can be switched, or ever was.

        Raises:
            StoreUnavailable: it cannot be told.
        """
        with self._observed("switch"):
            return await self._read(queries.all_switches)

    async def purge(self, before: datetime, *, by: str) -> tuple[int, int]:
        """Delete comments received, and used tokens expired, before a point in time.

        Recorded in the audit. Returns how many comments and how many tokens.

        Raises:
            StoreUnavailable: nothing was deleted.
        """
        with self._observed("purge"):
            return await self._write(lambda one: recording.purge(one, before, by=by))

    async def note_export(self, *, by: str, since: str | None, comments: bool) -> None:
        """Record that the audit is about to be read.

        Raises:
            StoreUnavailable: it is not recorded.
        """
        with self._observed("export"):
            await self._write(
                lambda one: recording.record_export(one, by=by, since=since, comments=comments)
            )

    def _observed(self, operation: Operation) -> AbstractContextManager[None]:
        return observed(self._observe, operation)

    async def _purge_tokens(self) -> None:
        """Now and then forget tokens that expired long ago."""
        if time.monotonic() - self._purged_at < _PURGE_EVERY_S:
            return
        self._purged_at = time.monotonic()
        await self._write(recording.purge_tokens)
