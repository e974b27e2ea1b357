"""The tables: made step by step, the same as the code sees them, and fit for the release before."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from cds_service.errors import ConfigError
from cds_service.store.migrate import downgrade, upgrade
from cds_service.store.store import Store
from cds_service.store.tables import metadata
from tests.store.entries import Clock, count, hook, query


async def _started(url: str) -> None:
    store = Store(url, now=Clock())
    await store.start()
    await store.aclose()


def _tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


class TestSteps:
    """Up and down."""

    async def test_they_make_what_the_code_sees(self, url: str) -> None:
        """Every table, column, key and index."""
        await _started(url)

        engine = create_engine(url)
        with engine.connect() as connection:
            differences = compare_metadata(MigrationContext.configure(connection), metadata)
        engine.dispose()

        assert [] == differences

    async def test_down_and_up_again(self, url: str) -> None:
        """Nothing is left behind that would be in the way."""
        await _started(url)

        engine = create_engine(url)
        with engine.begin() as connection:
            downgrade(connection, "base")
        assert {"alembic_version"} == _tables(url)
        with engine.begin() as connection:
            upgrade(connection)
        engine.dispose()

        assert metadata.tables.keys() < _tables(url)
        await _started(url)
        assert 1 == count(url, "audit")

    async def test_no_way_down_for_records(self, url: str) -> None:
        """An audit is not dropped by a command."""
        store = Store(url, now=Clock())
        await store.start()
        await store.write_hook(hook())
        await store.aclose()

        engine = create_engine(url)
        with pytest.raises(RuntimeError, match="holds 2 records"), engine.begin() as connection:
            downgrade(connection, "base")
        engine.dispose()

        assert 2 == count(url, "audit")


class TestStart:
    """At the start of the service."""

    async def test_a_second_start_changes_nothing(self, url: str) -> None:
        """The chain goes on."""
        await _started(url)
        before = query(url, "SELECT * FROM audit")

        await _started(url)

        assert before == query(url, "SELECT * FROM audit")

    async def test_several_workers_at_once(self, url: str) -> None:
        """One makes the tables and begins the chain, the others wait."""
        await asyncio.gather(*(_started(url) for _ in range(6)))

        assert 1 == count(url, "audit")


class TestLaterRelease:
    """This release on the tables of a later one, as while releases change or after a way back."""

    async def test_it_runs_where_all_it_needs_is_there(self, url: str) -> None:
        """A later release only adds."""
        await _started(url)
        query(url, "UPDATE alembic_version SET version_num = '9999'")
        query(url, "ALTER TABLE cards ADD COLUMN colour TEXT")
        query(url, "CREATE TABLE later (id INTEGER)")

        store = Store(url, now=Clock())
        await store.start()
        await store.write_hook(hook())
        await store.aclose()

        assert 2 == count(url, "audit")
        assert [("9999",)] == query(url, "SELECT version_num FROM alembic_version")

    @pytest.mark.parametrize(
        "change", ["DROP TABLE probe", "ALTER TABLE cards RENAME COLUMN overall TO result"]
    )
    async def test_it_does_not_start_where_something_is_missing(
        self, url: str, change: str
    ) -> None:
        """Rather than fail at the first hook."""
        await _started(url)
        query(url, "UPDATE alembic_version SET version_num = '9999'")
        query(url, change)

        with pytest.raises(ConfigError, match="later release"):
            await _started(url)
