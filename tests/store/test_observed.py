"""Each access to the store is told to whoever watches: what for, and why it failed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_service.errors import StoreUnavailable
from cds_service.store.records import UnknownCard
from cds_service.store.store import Store
from tests.store.entries import CALLER, KEY, NOON, SERVICE, Clock, feedback, hook

Told = list[tuple[str, str | None]]


@pytest.fixture
def told() -> Told:
    """What was told."""
    return []


@pytest.fixture
async def store(tmp_path: Path, told: Told) -> AsyncIterator[Store]:
    """A store with one card in it."""
    opened = Store(
        f"sqlite:///{tmp_path}/store.db",
        now=Clock(),
        patience_s=1.5,
        observe=lambda operation, _seconds, reason: told.append((operation, reason)),
    )
    await opened.start()
    await opened.write_hook(hook())
    told.clear()
    yield opened
    await opened.aclose()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        yield
        other.execute("rollback")


def _accesses(store: Store) -> dict[str, Any]:
    """What a service asks and writes, by the name of the operation."""
    return {
        "audit": lambda: store.write_hook(hook(card="lost")),
        "feedback": lambda: store.write_feedback(CALLER, SERVICE, [feedback()]),
        "token": lambda: store.first_use("ehr", "t", NOON + timedelta(minutes=5)),
        "readiness": store.ready,
        "switch": lambda: store.switch("trial:x", off=True, by="ada", reason=None),
        "declare": lambda: store.declare({"trial:x"}),
        "purge": lambda: store.purge(NOON, by="ada"),
        "export": lambda: store.note_export(by="ada", since=None, comments=False),
    }


async def test_those_that_go_well(store: Store, told: Told) -> None:
    """By their names, and with no reason; questions, too."""
    accesses = _accesses(store)
    for access in accesses.values():
        await access()
    await store.quiet_since(KEY)
    await store.switched_off()

    assert [(name, None) for name in (*accesses, "quiet", "switch")] == told


@pytest.mark.parametrize(
    "operation", ["audit", "feedback", "token", "readiness", "switch", "declare", "purge", "export"]
)
async def test_those_that_fail(store: Store, told: Told, tmp_path: Path, operation: str) -> None:
    """With the reason."""
    with _locked(tmp_path):
        if operation == "readiness":
            assert not await store.ready()
        else:
            with pytest.raises(StoreUnavailable):
                await _accesses(store)[operation]()

    ((name, reason),) = told
    assert operation == name
    assert reason in {"locked", "too-late"}


@pytest.mark.parametrize("operation", ["audit", "feedback", "token", "readiness"])
async def test_those_that_nobody_waits_for_any_more(
    store: Store, told: Told, tmp_path: Path, operation: str
) -> None:
    """As where the hook's own deadline is over before the store's patience."""
    with _locked(tmp_path), pytest.raises(TimeoutError):
        await asyncio.wait_for(_accesses(store)[operation](), 0.1)

    assert [(operation, "too-late")] == told


async def test_a_question_that_cannot_be_asked(store: Store, told: Told, tmp_path: Path) -> None:
    """Because the file is gone."""
    (tmp_path / "store.db").rename(tmp_path / "gone.db")

    for question in (store.switched_off(), store.quiet_since(KEY)):
        with pytest.raises(StoreUnavailable):
            await question

    assert [("switch", "impossible-to-open"), ("quiet", "impossible-to-open")] == told


async def test_an_answer_is_no_failure(store: Store, told: Told) -> None:
    """Feedback on a card that there is not was answered."""
    with pytest.raises(UnknownCard):
        await store.write_feedback(CALLER, SERVICE, [feedback(card="none")])

    assert [("feedback", None)] == told


async def test_refused(store: Store, told: Told, tmp_path: Path) -> None:
    """In a word of ours, without the database's own."""
    with closing(sqlite3.connect(tmp_path / "store.db")) as other:
        other.execute("drop trigger if exists x")
        other.execute(
            "create trigger x before update on probe begin select raise(abort, 'ZZ'); end"
        )
        other.commit()
    await store.ready()
    told.clear()
    store._probed_at = -float("inf")

    assert not await store.ready()
    assert [("readiness", "refused")] == told
