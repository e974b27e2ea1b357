"""Opening a database: in its present form, and with a chain that was begun."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from cds_service.errors import StoreUnavailable
from cds_service.store import queries
from cds_service.store.chain import GENESIS, START, next_row, timestamp
from cds_service.store.database import Access, Database
from cds_service.store.migrate import migrate

T = TypeVar("T")

# Of several workers that start together one makes the tables, and the others wait for it.
_PATIENCE_S: Final = 30.0


def ask(database: Database, question: Callable[[Connection], T], access: Access) -> T:
    """The answer to a question, in a transaction of its own.

    Raises:
        StoreUnavailable: there is none.
    """
    try:
        with database.transaction(access) as connection:
            return question(connection)
    except SQLAlchemyError:
        raise StoreUnavailable("the store refused a question", reason="refused") from None


def prepare(url: str, now: Callable[[], datetime], previous: str | None = None) -> None:
    """Bring a database to its present form, and begin the chain if there is none.

    Args:
        url: of the database.
        now: the clock.
        previous: the head of an earlier chain that this one follows.

    Raises:
        ConfigError: the URL cannot be used, or the database is of an unfit later release.
        StoreUnavailable: the database cannot be reached or written.
    """
    database = Database(url, patience_s=_PATIENCE_S)
    try:
        database.create_file()

        def work(connection: Connection) -> None:
            migrate(connection)
            if queries.lock_head(connection) is None:
                _begin(connection, now(), previous)

        ask(database, work, "write")
    finally:
        database.dispose()


def _begin(connection: Connection, now: datetime, previous: str | None) -> None:
    """The first record: which chain this is, so that no two are alike from their beginning."""
    record = {"chain": str(uuid.uuid4()), "previous": previous}
    row = next_row(0, START, timestamp(now), GENESIS, record)
    queries.append(connection, row)
    queries.begin_head(connection, row.seq, row.hash)
