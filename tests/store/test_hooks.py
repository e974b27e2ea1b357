"""Every evaluated hook leaves one record, complete and on the disk before the answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from cds_service.errors import ConfigError, StoreUnavailable
from cds_service.store.chain import START, row_hash
from cds_service.store.database import Access, Database
from cds_service.store.store import Store
from tests.store.entries import Clock, count, hook, query


class TestRecord:
    """What a record holds."""

    async def test_all_that_was_handed_over(self, store: Store, url: str) -> None:
        """Who asked, about whom, by which versions, what was read, and what came of it."""
        await store.write_hook(hook())

        [(at, kind, text)] = query(url, "SELECT recorded_at, kind, record FROM audit WHERE seq = 2")
        assert ("2026-11-24T12:00:00.000000Z", "hook") == (at, kind)
        assert {
            "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "service": "net-retreat-eligibility",
            "caller": "st-elsewhere",
            "patient": "patient-hash",
            "user": "user-hash",
            "asOf": "2026-11-24",
            "outcome": "card",
            "reason": None,
            "overall": "possible",
            "trial": {"id": "net-retreat", "version": "2023", "digest": "sha256:1"},
            "mappings": {"version": "1", "digest": "sha256:2"},
            "criteria": {
                "hemoglobin": ["met", "evidence"],
                "consent": ["needs_confirmation", None],
            },
            "reads": {"Observation": "complete", "Condition": "failed"},
            "card": "card-1",
            "suggestions": ["suggestion-1", "suggestion-2"],
            "candidate": {
                "digest": "sha256:3",
                "overall": "excluded",
                "changed": {"age": ["met", "unknown"]},
            },
            "milliseconds": 42,
        } == json.loads(text)

    @pytest.mark.usefixtures("store")
    async def test_the_chain_begins_with_a_record_of_its_own(self, url: str) -> None:
        """Which no other chain has, and which is there before the first hook."""
        [(seq, kind, record, prev)] = query(url, "SELECT seq, kind, record, prev FROM audit")

        assert (1, "genesis", START) == (seq, kind, prev)
        assert json.loads(record)["previous"] is None
        assert 36 == len(json.loads(record)["chain"])

    async def test_each_row_names_the_hash_of_the_one_before(self, store: Store, url: str) -> None:
        """And its own hash covers all that it holds."""
        await store.write_hook(hook(card="card-1"))
        await store.write_hook(hook(card="card-2", hook_instance="Größe"))

        rows = query(
            url, "SELECT seq, recorded_at, kind, record, prev, hash FROM audit ORDER BY seq"
        )
        assert [1, 2, 3] == [row[0] for row in rows]
        assert [START, rows[0][5], rows[1][5]] == [row[4] for row in rows]
        assert all(row[5] == row_hash(*row[:5]) for row in rows)

    @pytest.mark.parametrize(
        "outcome", ["no-card", "quiet", "shadow", "switched-off", "patient-unavailable"]
    )
    async def test_only_a_card_that_was_shown_is_one(
        self, store: Store, url: str, outcome: str
    ) -> None:
        """Feedback is taken on no other."""
        await store.write_hook(hook(outcome=outcome))

        assert 2 == count(url, "audit")
        assert 0 == count(url, "cards")


class TestAppendOnly:
    """The database itself refuses to change a record."""

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit SET record = '{}' WHERE seq = 2",
            "UPDATE audit SET hash = hash",
            "DELETE FROM audit WHERE seq = 2",
            "DELETE FROM audit",
        ],
    )
    async def test_no_change(self, store: Store, url: str, statement: str) -> None:
        """Neither of all records nor of one."""
        await store.write_hook(hook())

        with pytest.raises(DBAPIError, match="append-only"):
            query(url, statement)

        assert 2 == count(url, "audit")

    @pytest.mark.parametrize("url", ["sqlite"], indirect=True)
    @pytest.mark.usefixtures("store")
    async def test_no_replacement(self, url: str) -> None:
        """Which in SQLite deletes a row without asking the trigger for that."""
        with pytest.raises(DBAPIError, match="append-only"):
            query(url, "INSERT OR REPLACE INTO audit VALUES (1, '', 'genesis', '{}', '', '')")

    @pytest.mark.parametrize("url", ["postgresql"], indirect=True)
    @pytest.mark.usefixtures("store")
    async def test_no_truncation(self, url: str) -> None:
        """Which in PostgreSQL asks no trigger for rows."""
        with pytest.raises(DBAPIError, match="append-only"):
            query(url, "TRUNCATE audit CASCADE")


class TestTogether:
    """Hooks at the same time."""

    async def test_all_are_recorded_in_one_chain(self, store: Store, url: str) -> None:
        """However they are gathered into commits."""
        await asyncio.gather(*(store.write_hook(hook(card=f"card-{n}")) for n in range(200)))

        assert 201 == count(url, "audit")
        assert 200 == count(url, "cards")
        [(seq, end)] = query(url, "SELECT seq, hash FROM audit_head")
        assert [(seq, end)] == query(url, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")

    async def test_one_that_is_refused_takes_no_other_with_it(self, store: Store, url: str) -> None:
        """A card of the same uuid cannot be kept; those committed together with it can."""
        outcomes = await asyncio.gather(
            *(store.write_hook(hook(card=f"card-{max(n, 1)}")) for n in range(10)),
            return_exceptions=True,
        )

        assert 1 == sum(isinstance(one, StoreUnavailable) for one in outcomes)
        assert 9 == count(url, "cards")
        assert 10 == count(url, "audit")

    async def test_writes_at_the_end_are_not_lost(self, url: str, clock: Clock) -> None:
        """Closing waits for what is queued."""
        store = Store(url, now=clock)
        await store.start()
        writes = [asyncio.create_task(store.write_hook(hook(card=f"c-{n}"))) for n in range(50)]
        await asyncio.sleep(0)

        await store.aclose()

        await asyncio.gather(*writes)
        assert 51 == count(url, "audit")

    async def test_several_stores_share_one_chain(self, store: Store, url: str) -> None:
        """As several workers do."""
        other = Store(url, now=Clock())
        await other.start()

        await asyncio.gather(
            *(
                one.write_hook(hook(card=f"{id(one)}-{n}"))
                for n in range(50)
                for one in (store, other)
            )
        )
        await other.aclose()

        assert 101 == count(url, "audit")
        assert 1 == count(url, "audit", "kind = 'genesis'")


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


class TestStart:
    """What stops the start."""

    @pytest.mark.parametrize(
        "bad",
        [
            "not a url at all",
            "mysql+pymysql://cds:hunter2@localhost/cds",
            "postgresql+asyncpg://cds:hunter2@localhost/cds",
            "sqlite://",
            "sqlite:///:memory:",
            "sqlite:///store.db?mode=ro",
            "nosuchthing://cds:hunter2@localhost/cds",
            "",
        ],
    )
    async def test_a_url_that_cannot_be_used(self, bad: str) -> None:
        """Is a matter of configuration, and none of its text is repeated."""
        with pytest.raises(ConfigError, match="CDS_DATABASE_URL") as caught:
            await Store(bad, now=Clock()).start()

        assert "hunter2" not in str(caught.value)

    async def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        """The line names it."""
        with pytest.raises(ConfigError, match=r"no folder .*/gone"):
            await Store(f"sqlite:///{tmp_path}/gone/store.db", now=Clock()).start()

    async def test_a_server_that_is_not_there(self) -> None:
        """The password is not in the line."""
        url = "postgresql+psycopg://cds:hunter2@127.0.0.1:1/cds"
        with pytest.raises(StoreUnavailable, match="the store is unreachable") as caught:
            await Store(url, now=Clock()).start()

        assert "hunter2" not in str(caught.value)

    async def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        """It is left as it is."""
        file = tmp_path / "store.db"
        file.write_text("a letter to nobody in particular, long enough for a header\n" * 20)

        with pytest.raises(StoreUnavailable, match="no database"):
            await Store(f"sqlite:///{file}", now=Clock()).start()

        assert file.read_text().startswith("a letter")

    async def test_before_and_after_nothing_is_taken(self, url: str, clock: Clock) -> None:
        """A store that is not open says so."""
        store = Store(url, now=clock)
        with pytest.raises(StoreUnavailable):
            await store.write_hook(hook())
        with pytest.raises(StoreUnavailable):
            await store.switched_off()

        await store.start()
        await store.aclose()

        with pytest.raises(StoreUnavailable):
            await store.write_hook(hook())
        assert not await store.ready()

    async def test_the_file_is_for_this_user_only(self, tmp_path: Path) -> None:
        """With its log of writes, too."""
        store = Store(f"sqlite:///{tmp_path}/store.db", now=Clock())
        await store.start()
        await store.write_hook(hook())

        modes = _modes(tmp_path)
        await store.aclose()

        assert {"store.db": 0o600, "store.db-shm": 0o600, "store.db-wal": 0o600} == modes

    async def test_a_commit_waits_for_the_disk(self, tmp_path: Path) -> None:
        """As SQLite is told for each connection."""
        url = f"sqlite:///{tmp_path}/store.db"
        store = Store(url, now=Clock())
        await store.start()
        await store.aclose()

        database = Database(url, patience_s=1)
        with database.transaction("write") as connection:
            told = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        database.dispose()

        assert {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1} == told

    async def test_only_a_note_does_not_wait_and_the_next_commit_does(self, tmp_path: Path) -> None:
        """On one connection, in turn."""
        url = f"sqlite:///{tmp_path}/store.db"
        store = Store(url, now=Clock())
        await store.start()
        await store.aclose()

        database = Database(url, patience_s=1)
        accesses: list[Access] = ["note", "write", "note", "note", "write"]
        told = []
        for access in accesses:
            with database.transaction(access) as connection:
                told.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
        database.dispose()

        assert [1, 2, 1, 1, 2] == told
