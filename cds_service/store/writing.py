"""One writer for each process, which commits what is waiting together.

A commit waits for the disk, and that is what a write costs. While one commit is under way further
writes gather in the queue, and the next commit takes them all.

A write is acknowledged after the commit, and never before. One that was given up (too late, or its
caller gone) is not written any more, unless its commit was under way already: then there is a
record of an answer that nobody got, which does no harm.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from cds_service.errors import CdsServiceError, StoreUnavailable
from cds_service.store import queries
from cds_service.store.chain import Row, next_row, timestamp
from cds_service.store.database import Database, Writing
from cds_service.store.records import StoreHealth

T = TypeVar("T")

_TOGETHER: Final = 64
_LATE: Final = "the store did not write in time"
_FULL: Final = "too many writes wait for the store"


class Transaction:
    """One transaction, in which several writes may append to the chain.

    Args:
        connection: in a transaction for writing.
        now: the clock.
    """

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self.connection = connection
        self._now = now
        self._head: tuple[int, str] | None = None
        self._appended = False

    def now(self) -> datetime:
        """The time of the server."""
        return self._now()

    def lock(self) -> tuple[int, str]:
        """Wait to be the only one who appends; number and hash of the last row.

        Raises:
            StoreUnavailable: there is no chain.
        """
        if self._head is None:
            self._head = queries.lock_head(self.connection)
        if self._head is None:
            raise StoreUnavailable("the store has no audit", reason="without-its-tables")
        return self._head

    def append(self, kind: str, record: dict[str, Any]) -> Row:
        """Add a record to the chain."""
        seq, prev = self.lock()
        row = next_row(seq, prev, timestamp(self.now()), kind, record)
        queries.append(self.connection, row)
        self._head = (row.seq, row.hash)
        self._appended = True
        return row

    def close(self) -> None:
        """Note the new end of the chain."""
        if self._appended and self._head is not None:
            queries.move_head(self.connection, *self._head)


class Job(Generic[T]):
    """A write that waits for its commit.

    Args:
        work: writes in a transaction; what it raises on purpose, it raises before it writes.
        order: jobs of one commit run in this order, the same in every process, so that two
            processes that lock rows never wait for each other in a circle.
        access: ``note`` where it may be on the disk later, with the next ``write``.
    """

    def __init__(self, work: Callable[[Transaction], T], order: str, access: Writing) -> None:
        self.work = work
        self.order = order
        self.access = access
        self.since = time.monotonic()
        self.given_up = False
        self._done: Future[T] = Future()

    @property
    def done(self) -> Future[T]:
        """Has the result once it is committed."""
        return self._done

    def run(self, transaction: Transaction) -> Callable[[], None]:
        """Do the work; what it calls back once all is committed."""
        try:
            result = self.work(transaction)
        except StoreUnavailable:
            raise
        except CdsServiceError as error:
            raised = error
            return lambda: self._done.set_exception(raised)
        return lambda: self._done.set_result(result)

    def fail(self, error: Exception) -> None:
        """Tell the caller that nothing was written."""
        self._done.set_exception(error)


class _GivenUp(Exception):
    """Some job of the batch has nobody waiting for it."""


class Writer:
    """The thread that writes.

    Args:
        database: to write to.
        now: the clock.
        limit: how many writes may wait.
    """

    def __init__(self, database: Database, now: Callable[[], datetime], limit: int) -> None:
        self._database = database
        self._now = now
        self._waiting: queue.Queue[Job[Any] | None] = queue.Queue(limit)
        self._batch: Sequence[Job[Any]] = ()
        self._closed = False
        self._counting = threading.Lock()
        self._written = 0
        self._failed = 0
        self._last_error: str | None = None
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[Transaction], T], order: str, access: Writing = "write"
    ) -> Job[T]:
        """Put a write into the queue.

        Raises:
            StoreUnavailable: the queue is full or closed.
        """
        job = Job(work, order, access)
        if self._closed:
            raise StoreUnavailable("the store is closed", reason="closed")
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            self._count_failed(1, _FULL)
            raise StoreUnavailable(_FULL, reason="queue-full") from None
        return job

    def give_up(self, job: Job[Any]) -> None:
        """Nobody waits for this write any more."""
        job.given_up = True
        self._count_failed(1, _LATE)

    def close(self) -> None:
        """Write what waits, then end."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def health(self) -> StoreHealth:
        """How it does."""
        with self._waiting.mutex:
            waiting = [job for job in self._waiting.queue if job is not None]
        oldest = min((job.since for job in (*self._batch, *waiting)), default=None)
        return StoreHealth(
            waiting=len(waiting),
            lag_s=0 if oldest is None else time.monotonic() - oldest,
            written=self._written,
            failed=self._failed,
            last_error=self._last_error,
        )

    def _loop(self) -> None:
        last = False
        while not last:
            taken = self._take()
            last = None in taken
            jobs = [job for job in taken if job is not None]
            alive = [job for job in jobs if job.done.set_running_or_notify_cancel()]
            self._batch = sorted(alive, key=lambda job: job.order)
            self._write(self._batch)
            self._batch = ()

    def _take(self) -> list[Job[Any] | None]:
        """What waits now, and at least one; None stands for the end."""
        taken = [self._waiting.get()]
        while len(taken) < _TOGETHER and taken[-1] is not None:
            try:
                taken.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return taken

    def _write(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            tell = self._commit(jobs)
        except _GivenUp:
            for job in jobs:
                if job.given_up:
                    job.fail(StoreUnavailable(_LATE, reason="too-late"))
            self._write([job for job in jobs if not job.given_up])
        except StoreUnavailable as error:
            self._fail(jobs, error)
        except Exception as error:  # noqa: BLE001  (the outermost edge of the thread, which must live on)
            self._alone(jobs, error)
        else:
            self._count_written(len(tell))
            for one in tell:
                one()

    def _commit(self, jobs: Sequence[Job[Any]]) -> list[Callable[[], None]]:
        if not jobs:
            return []
        waits = any(job.access == "write" for job in jobs)
        with self._database.transaction("write" if waits else "note") as connection:
            transaction = Transaction(connection, self._now)
            tell = [job.run(transaction) for job in jobs]
            transaction.close()
            # The last moment to turn back.
            if any(job.given_up for job in jobs):
                raise _GivenUp
        return tell

    def _alone(self, jobs: Sequence[Job[Any]], error: Exception) -> None:
        """One job that the database refuses must not take the others with it."""
        if len(jobs) > 1:
            for job in jobs:
                self._write([job])
        elif isinstance(error, SQLAlchemyError):
            self._fail(jobs, StoreUnavailable("the store refused a record", reason="refused"))
        else:
            self._fail(jobs, error)

    def _fail(self, jobs: Sequence[Job[Any]], error: Exception) -> None:
        known = isinstance(error, StoreUnavailable)
        # Those that were given up are counted already.
        counted = sum(not job.given_up for job in jobs)
        self._count_failed(counted, str(error) if known else "a fault of ours")
        for job in jobs:
            job.fail(error)

    def _count_failed(self, number: int, words: str) -> None:
        with self._counting:
            self._failed += number
            self._last_error = words

    def _count_written(self, number: int) -> None:
        with self._counting:
            self._written += number
            if number:
                self._last_error = None
