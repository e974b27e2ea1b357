"""A store that cannot be written: nothing is acknowledged, and it recovers by itself."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from cds_service.errors import StoreUnavailable
from cds_service.store.inspection import verify
from cds_service.store.store import Store
from cds_service.store.writing import Transaction
from tests.store.entries import CALLER, KEY, NOON, SERVICE, Clock, count, feedback, hook
from tests.store.postgres import PostgresServer

_PATIENCE_S = 0.6
_NOBODY = 65534
# Until a good answer about readiness must be asked for anew.
_FORGOTTEN_S = 1.05


@pytest_asyncio.fixture
async def store(url: str, clock: Clock) -> AsyncIterator[Store]:
    """An open store of little patience, with one card in it."""
    opened = Store(url, now=clock, patience_s=_PATIENCE_S, waiting_limit=8)
    await opened.start()
    await opened.write_hook(hook())
    yield opened
    await opened.aclose()


@contextmanager
def _locked(url: str) -> Iterator[None]:
    """Somebody else is writing, and does not come to an end."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.rollback()
            connection.close()
    else:
        with psycopg.connect(url.replace("+psycopg", "")) as server:
            server.execute("SELECT * FROM audit_head FOR UPDATE")
            yield


async def _refuses_everything(store: Store) -> str:
    """See that each write fails, and in time; the words of the error."""
    started = time.monotonic()
    writes = [
        store.write_hook(hook(card="lost")),
        store.write_feedback(CALLER, SERVICE, [feedback(comment="lost")]),
        store.switch("trial:net-retreat", off=True, by="ada", reason=None),
    ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert time.monotonic() - started < _PATIENCE_S + 0.5
    assert all(isinstance(one, StoreUnavailable) for one in outcomes)
    health = store.health()
    assert health.failed >= len(writes)
    assert health.last_error is not None
    return str(outcomes[0])


async def _works_again(store: Store, url: str) -> None:
    """See that a write goes well, and that none of those that failed came after all."""
    await store.write_hook(hook(card="card-2"))
    assert await store.ready()
    assert store.health().last_error is None
    assert 3 == count(url, "audit")
    assert 0 == count(url, "feedback")
    assert verify(url, None).broken is None


class TestLocked:
    """Another process holds the lock."""

    async def test_nothing_is_acknowledged_nor_written_later(self, store: Store, url: str) -> None:
        """The caller said 503: a record behind its back would be of an answer that never was."""
        with _locked(url):
            words = await _refuses_everything(store)
        await asyncio.sleep(_PATIENCE_S)

        assert words in {
            "the store is locked",
            "the store is too slow",
            "the store did not write in time",
        }
        await _works_again(store, url)

    async def test_those_in_the_queue_are_given_up_too(self, store: Store, url: str) -> None:
        """And those that do not fit into it, at once."""
        with _locked(url):
            writes = []
            for number in range(30):
                writes.append(asyncio.create_task(store.write_hook(hook(card=f"lost-{number}"))))
                await asyncio.sleep(0.005)
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
        await asyncio.sleep(_PATIENCE_S)

        assert all(isinstance(one, StoreUnavailable) for one in outcomes)
        assert "too many writes wait for the store" in map(str, outcomes)
        await _works_again(store, url)

    @pytest.mark.parametrize("url", ["sqlite"], indirect=True)
    async def test_it_is_not_ready(self, store: Store, url: str) -> None:
        """It is asked for a real write."""
        assert await store.ready()
        await asyncio.sleep(_FORGOTTEN_S)

        with _locked(url):
            assert not await store.ready()

        assert await store.ready()

    async def test_questions_are_answered(self, store: Store, url: str) -> None:
        """Reading does not wait for writing."""
        with _locked(url):
            assert await store.quiet_since(KEY) is None
            assert frozenset() == await store.switched_off()

    async def test_what_waits_shows(self, store: Store, url: str) -> None:
        """How many, and for how long."""
        with _locked(url):
            write = asyncio.create_task(store.write_hook(hook(card="lost")))
            await asyncio.sleep(0.3)
            health = store.health()
            with pytest.raises(StoreUnavailable):
                await write

        assert 0.2 < health.lag_s < 0.6


class TestGivenUp:
    """Nobody waits any more for a write that is under way."""

    async def test_it_is_undone_and_its_companions_are_not(self, store: Store, url: str) -> None:
        """Up to the commit there is a way back."""

        def slow(transaction: Transaction) -> None:
            transaction.append("hook", {"late": True})
            time.sleep(_PATIENCE_S + 0.2)

        late = asyncio.create_task(store._write(slow))
        await asyncio.sleep(0.05)
        assert store._writer is not None
        companion = store._writer.submit(lambda one: one.append("hook", {"late": False}).seq, "2")

        with pytest.raises(StoreUnavailable, match="in time"):
            await late

        assert 3 == await asyncio.wrap_future(companion.done)
        assert 0 == count(url, "audit", "seq > 2 AND record LIKE '%true%'")

    async def test_by_a_caller_that_went_away(self, store: Store, url: str) -> None:
        """Likewise."""
        with _locked(url):
            write = asyncio.create_task(store.write_hook(hook(card="lost")))
            await asyncio.sleep(0.1)
            write.cancel()
            with pytest.raises(asyncio.CancelledError):
                await write
        await asyncio.sleep(_PATIENCE_S)

        assert 2 == count(url, "audit")

    async def test_a_fault_of_ours_does_not_end_the_writer(self, store: Store, url: str) -> None:
        """The caller gets it, and what is written with it is written."""

        def faulty(transaction: Transaction) -> None:
            transaction.append("hook", {})
            raise ZeroDivisionError

        outcomes = await asyncio.gather(
            store._write(faulty), store.write_hook(hook(card="card-2")), return_exceptions=True
        )

        assert [ZeroDivisionError, type(None)] == [type(one) for one in outcomes]
        assert 3 == count(url, "audit")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestFile:
    """What can happen to a file."""

    async def test_a_full_disk(self, store: Store, url: str) -> None:
        """Played by the limit that the system sets to the size of a file."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            words = await _refuses_everything(store)
            assert not await store.ready()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

        assert words in {"the store is full", "the store is failing to read or write its file"}
        await _works_again(store, url)

    async def test_a_file_that_is_gone(self, store: Store, url: str) -> None:
        """No empty one takes its place, and the old one, still open, does not swallow writes."""
        with _moved_away(url):
            assert "the store is impossible to open" == await _refuses_everything(store)

        await _works_again(store, url)

    async def test_a_file_that_was_replaced(self, store: Store, url: str, tmp_path: Path) -> None:
        """As by a backup put back: what follows goes into the new file."""
        _back_up(url, tmp_path / "copy")
        await store.write_hook(hook(card="after the backup"))
        _put_back(url, tmp_path / "copy")

        await store.write_hook(hook(card="card-2"))

        assert 3 == count(url, "audit")
        assert verify(url, None).broken is None

    @pytest.mark.usefixtures("url")
    async def test_a_file_that_may_only_be_read(self, clock: Clock) -> None:
        """The start says so, as any user but root sees it."""
        with tempfile.TemporaryDirectory(prefix="cds-read-only-") as folder:
            url = f"sqlite:///{folder}/store.db"
            first = Store(url, now=clock)
            await first.start()
            await first.aclose()

            refused = pytest.raises(StoreUnavailable, match=r"read-only|impossible to open")
            with _read_only(Path(folder)), refused:
                await Store(url, now=clock).start()


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def _moved_away(url: str) -> Iterator[None]:
    away = _file(url).with_name("away")
    _file(url).rename(away)
    try:
        yield
        assert not _file(url).exists()
    finally:
        away.rename(_file(url))


def _back_up(url: str, copy: Path) -> None:
    source, target = sqlite3.connect(_file(url)), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


def _put_back(url: str, copy: Path) -> None:
    for end in ("-wal", "-shm"):
        Path(f"{_file(url)}{end}").unlink()
    copy.replace(_file(url))


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """Nobody may write what is in a folder; root, who always may, becomes somebody else."""
    root = os.geteuid() == 0
    for path in (folder, *folder.iterdir()):
        if root:
            shutil.chown(path, _NOBODY)
        path.chmod(0o500)
    if root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


class TestServer:
    """PostgreSQL goes away, and comes back."""

    async def test_stopped_and_started_again(self, postgres: PostgresServer, clock: Clock) -> None:
        """Without a restart of the service."""
        url = postgres.emptied()
        store = Store(url, now=clock, patience_s=3)
        await store.start()
        await store.write_hook(hook())
        postgres.stop()
        try:
            with pytest.raises(StoreUnavailable, match="unreachable"):
                await store.write_hook(hook(card="lost"))
            with pytest.raises(StoreUnavailable, match="unreachable"):
                await store.first_use("a", "b", NOON)
            with pytest.raises(StoreUnavailable, match="unreachable"):
                await store.quiet_since(KEY)
            assert not await store.ready()
        finally:
            postgres.start()

        await _works_again(store, url)
        await store.aclose()

    async def test_connections_that_were_cut(self, postgres: PostgresServer, clock: Clock) -> None:
        """As by a fail-over: the next write finds a new one, and nobody notices."""
        url = postgres.emptied()
        store = Store(url, now=clock)
        await store.start()
        await store.write_hook(hook())
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'cds-service'"
            )

        await store.write_hook(hook(card="card-2"))
        await store.aclose()

        assert 3 == count(url, "audit")
