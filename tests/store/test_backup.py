"""A backup that was put back verifies up to its point, and shows what came after it as missing."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from pathlib import Path

from cds_service.store.inspection import verify
from cds_service.store.store import Store
from tests.store.entries import Clock, count, hook
from tests.store.postgres import PostgresServer, programs


async def _write(store: Store, name: str) -> None:
    for number in range(20):
        await store.write_hook(hook(card=f"{name}-{number}"))


async def test_an_sqlite_file_copied_while_it_is_written(tmp_path: Path) -> None:
    """By SQLite's own means."""
    url, copy = f"sqlite:///{tmp_path}/store.db", f"sqlite:///{tmp_path}/copy.db"
    store = Store(url, now=Clock())
    await store.start()
    writing = asyncio.create_task(_write(store, "first"))
    await asyncio.sleep(0.01)
    await asyncio.to_thread(_back_up, tmp_path / "store.db", tmp_path / "copy.db")
    await writing
    await _write(store, "second")
    await store.aclose()
    end = verify(url, None)

    restored = verify(copy, None)

    assert restored.broken is None
    assert 1 <= restored.count < end.count
    gap = verify(copy, end.head).broken
    assert gap is not None
    assert ("end", restored.last + 1) == (gap.kind, gap.seq)
    # What was noted before the backup is in it, and the chain goes on from there.
    assert restored.last == verify(url, restored.head).noted
    again = Store(copy, now=Clock())
    await again.start()
    await _write(again, "third")
    await again.aclose()
    assert verify(copy, restored.head).broken is None


def _back_up(source: Path, target: Path) -> None:
    here, there = sqlite3.connect(source), sqlite3.connect(target)
    here.backup(there)
    here.close()
    there.close()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


async def test_a_dump_of_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    """By PostgreSQL's own means; the triggers come back, too."""
    url = postgres.emptied()
    store = Store(url, now=Clock())
    await store.start()
    await _write(store, "first")
    folder, address = programs(), url.replace("+psycopg", "")
    assert folder is not None
    dump = tmp_path / "dump"
    _run(folder / "pg_dump", "--format=custom", f"--file={dump}", address)
    await _write(store, "second")
    await store.aclose()
    end = verify(url, None)

    assert url == postgres.emptied()
    _run(folder / "pg_restore", f"--dbname={address}", dump)

    restored = verify(url, None)
    assert (21, None) == (restored.count, restored.broken)
    gap = verify(url, end.head).broken
    assert gap is not None
    assert ("end", 22) == (gap.kind, gap.seq)
    assert 2 == count(url, "pg_trigger", "tgname LIKE 'audit_no_%'")
