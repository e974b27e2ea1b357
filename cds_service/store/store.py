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
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Connection

from cds_service.errors import StoreUnavailable
from cds_service.store import queries
from cds_service.store.chain import timestamp
from cds_service.store.database import Database
from cds_service.store.feedback import record_feedback
from cds_service.store.observing import TOO_LATE, Observe, observed, unobserved
from cds_service.store.opening import ask, prepare
from cds_service.store.records import (
    FeedbackEntry,
    HookEntry,
    Operation,
    Quieted,
    QuietKey,
    StoreHealth,
    Switch,
)
from cds_service.store.writing import Transaction, Writer

T = TypeVar("T")

_CACHED_S: Final = 1.0
_PURGE_EVERY_S: Final = 60.0
# Longer than any leeway with which an expired token is still taken.
_EXPIRED_LONG_AGO: Final = timedelta(hours=1)
# Within a commit: used tokens, then whatever locks the chain.
_TOKEN, _OTHER = "1", "2"


class Store:
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
        self._url = url
        self._now = now
        self._patience_s = patience_s
        self._waiting_limit = waiting_limit
        self._observe = observe
        self._database: Database | None = None
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._off: frozenset[str] = frozenset()
        self._off_read_at = self._probed_at = self._purged_at = -float("inf")
        self._switch_lock = asyncio.Lock()
        self._probe_lock = asyncio.Lock()

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

    async def ready(self) -> bool:
        """Whether the store can be written now; a good answer holds for a second."""
        async with self._probe_lock:
            if time.monotonic() - self._probed_at < _CACHED_S:
                return True
            try:
                with self._observed("readiness"):
                    await self._write(_touch)
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
            await self._write(lambda transaction: _record_hook(transaction, entry))

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
            return await self._write(use, _TOKEN + digest)

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

        def work(transaction: Transaction) -> None:
            record = {"name": name, "off": off, "by": by, "reason": reason}
            row = transaction.append("switch", record)
            changed = Switch(name=name, off=off, changed=row.recorded_at, by=by)
            queries.set_switch(transaction.connection, changed)

        with self._observed("switch"):
            await self._write(work)
        self._off_read_at = -float("inf")

    async def declare(self, names: Collection[str]) -> None:
        """Make known what can be switched, so that a misspelt name is noticed.

        Raises:
            StoreUnavailable: it could not be written.
        """

        def work(transaction: Transaction) -> None:
            transaction.lock()
            known = {one.name for one in queries.all_switches(transaction.connection)}
            now = timestamp(transaction.now())
            for name in sorted(set(names) - known):
                new = Switch(name=name, off=False, changed=now, by="service")
                queries.set_switch(transaction.connection, new)

        with self._observed("declare"):
            await self._write(work)

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

        def work(transaction: Transaction) -> tuple[int, int]:
            transaction.lock()
            limit = timestamp(before)
            # No token that could still be used, whatever was asked for.
            expired = min(limit, timestamp(transaction.now() - _EXPIRED_LONG_AGO))
            comments = queries.purge_comments(transaction.connection, limit)
            tokens = queries.purge_tokens(transaction.connection, expired)
            record = {"before": limit, "by": by, "comments": comments, "tokens": tokens}
            transaction.append("purge", record)
            return comments, tokens

        with self._observed("purge"):
            return await self._write(work)

    async def note_export(self, *, by: str, since: str | None, comments: bool) -> None:
        """Record that the audit is about to be read.

        Raises:
            StoreUnavailable: it is not recorded.
        """
        record = {"by": by, "since": since, "comments": comments}
        with self._observed("export"):
            await self._write(lambda transaction: transaction.append("export", record))

    def _observed(self, operation: Operation) -> AbstractContextManager[None]:
        return observed(self._observe, operation)

    async def _purge_tokens(self) -> None:
        """Now and then forget tokens that expired long ago."""
        if time.monotonic() - self._purged_at < _PURGE_EVERY_S:
            return
        self._purged_at = time.monotonic()

        def work(transaction: Transaction) -> None:
            transaction.lock()
            limit = timestamp(transaction.now() - _EXPIRED_LONG_AGO)
            queries.purge_tokens(transaction.connection, limit)

        await self._write(work)

    async def _write(self, work: Callable[[Transaction], T], order: str = _OTHER) -> T:
        if self._writer is None:
            raise StoreUnavailable("the store is not open", reason="closed")
        job = self._writer.submit(work, order)
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


def _touch(transaction: Transaction) -> None:
    queries.touch(transaction.connection, timestamp(transaction.now()))


def _record_hook(transaction: Transaction, entry: HookEntry) -> None:
    # Whole milliseconds: a fraction has not one text in all languages, and it is hashed.
    record = msgspec.to_builtins(entry) | {"milliseconds": round(entry.milliseconds)}
    row = transaction.append("hook", record)
    if entry.card is None or entry.outcome != "card":
        return
    queries.add_card(
        transaction.connection,
        card=entry.card,
        seq=row.seq,
        caller=entry.caller,
        service=entry.service,
        patient_hash=entry.patient,
        user_hash=entry.user,
        overall=entry.overall or "",
        issued_at=row.recorded_at,
        suggestions=json.dumps(entry.suggestions),
    )
