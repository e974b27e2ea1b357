"""The connection to the database: SQLite by default, PostgreSQL by URL; no SQL of ours is here.

Errors of the driver become ``StoreUnavailable`` with words of this project. The driver's own text
may hold a value or a password, and goes nowhere.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from cds_service.errors import ConfigError, StoreUnavailable

Writing = Literal["write", "note"]
Access = Writing | Literal["read", "snapshot"]

_SETTING: Final = "CDS_DATABASE_URL"
_CONNECTIONS: Final = 5

# What a commit of SQLite waits for: FULL for the disk; NORMAL in WAL mode for nothing.
_SYNCHRONOUS: Final = {"write": "FULL", "note": "NORMAL"}
_SQLITE_WORDS: Final = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_FULL": "full",
    "SQLITE_READONLY": "read-only",
    "SQLITE_IOERR": "failing to read or write its file",
    "SQLITE_CANTOPEN": "impossible to open",
    "SQLITE_CORRUPT": "damaged",
    "SQLITE_NOTADB": "no database",
}
# By class or code of SQLSTATE; the longest that fits counts.
_POSTGRESQL_WORDS: Final = {
    "08": "unreachable",
    "57P": "unreachable",
    "57014": "too slow",
    "55P03": "locked",
    "40P01": "locked",
    "53100": "full",
    "53": "short of resources",
    "25006": "read-only",
    "28": "refusing the login",
    "3D000": "unknown to the server",
    "42501": "not permitted",
    "42P01": "without its tables",
}


class Database:
    """A database, and transactions in it.

    Args:
        url: of SQLAlchemy.
        patience_s: for a lock, a connection or a statement; None waits for statements for ever, as
            a long export must.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(self, url: str, *, patience_s: float | None) -> None:
        self.url = _checked(url)
        self.path = sqlite_file(url)
        self._patience_s = patience_s
        self._file: tuple[int, int] | None = None
        self._engine = self._sqlite() if self.is_sqlite else self._postgresql()

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a file."""
        return self.url.get_backend_name() == "sqlite"

    def dispose(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, access: Access) -> Iterator[Connection]:
        """A connection in a transaction, committed at the end unless something is raised.

        ``write`` and ``note`` take SQLite's one write lock at their beginning; ``snapshot`` sees
        the same data to its end. What is written is on the disk at the end; a ``note`` in SQLite
        only with the next ``write``, since all go into one log in their order, and seen by every
        process at once all the same.

        Raises:
            StoreUnavailable: the database cannot be reached or written.
        """
        try:
            self._check_file()
            with self._engine.connect() as connection:
                options: dict[str, Any] = {"access": access}
                if access == "snapshot" and not self.is_sqlite:
                    options["isolation_level"] = "REPEATABLE READ"
                with connection.execution_options(**options).begin():
                    yield connection
        except (OperationalError, InterfaceError, InternalError, PoolTimeoutError) as error:
            # What remains open of a failed database would fail again.
            self.dispose()
            words = _in_words(error)
            reason = words.replace(" ", "-")
            raise StoreUnavailable(f"the store is {words}", reason=reason) from None

    def create_file(self) -> None:
        """Make an empty SQLite file, readable for this user only, if there is none.

        Raises:
            ConfigError: its folder is missing.
            StoreUnavailable: it cannot be made.
        """
        if self.path is None:
            return
        if not self.path.parent.is_dir():
            raise ConfigError(f"{_SETTING}: no folder {self.path.parent}")
        try:
            if not self.path.exists():
                _create(self.path)
            _write_ahead(self.path, self._patience_s)
        except (OSError, sqlite3.Error) as error:
            words = _sqlite_words(error) if isinstance(error, sqlite3.Error) else error.strerror
            raise StoreUnavailable(f"the store cannot be made: {words}") from None

    def _check_file(self) -> None:
        """See that the open file is still the one of that name.

        A file that was replaced, as by a restored backup, stays open and would swallow what is
        written.
        """
        if self.path is None:
            return
        try:
            found = self.path.stat()
        except OSError:
            self._file = None
            self.dispose()
            words = _SQLITE_WORDS["SQLITE_CANTOPEN"]
            reason = words.replace(" ", "-")
            raise StoreUnavailable(f"the store is {words}", reason=reason) from None
        identity = (found.st_dev, found.st_ino)
        if self._file not in (None, identity):
            self.dispose()
        self._file = identity

    def _sqlite(self) -> Engine:
        engine = create_engine(
            self.url,
            creator=self._open_sqlite,
            poolclass=QueuePool,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=self._patience_s or 30,
            hide_parameters=True,
        )

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            access = connection.get_execution_options().get("access")
            if access in _SYNCHRONOUS:
                _synchronise(connection, _SYNCHRONOUS[access])
            connection.exec_driver_sql("BEGIN IMMEDIATE" if access in _SYNCHRONOUS else "BEGIN")

        return engine

    def _open_sqlite(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            # Never makes a file: an empty one in the place of a lost one would hide the loss.
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            timeout=self._patience_s or 30,
            isolation_level=None,
            check_same_thread=False,
        )
        # A commit is on the disk before it is acknowledged.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        # Bytes that are no text must not keep a verification from naming the row.
        connection.text_factory = _text
        return connection

    def _postgresql(self) -> Engine:
        arguments: dict[str, Any] = {"connect_timeout": 2, "application_name": "cds-service"}
        if self._patience_s is not None:
            milliseconds = int(self._patience_s * 1000)
            arguments["tcp_user_timeout"] = milliseconds
            arguments["options"] = " ".join(
                f"-c {name}={milliseconds}" for name in ("statement_timeout", "lock_timeout")
            )
        arguments = {name: value for name, value in arguments.items() if name not in self.url.query}
        try:
            return create_engine(
                self.url,
                connect_args=arguments,
                pool_size=_CONNECTIONS,
                max_overflow=0,
                pool_timeout=self._patience_s or 30,
                pool_pre_ping=True,
                hide_parameters=True,
            )
        except ImportError:
            raise ConfigError(f"{_SETTING}: PostgreSQL needs cds-service[postgresql]") from None


def sqlite_file(url: str) -> Path | None:
    """The file of a store in SQLite; None for any other.

    Raises:
        ConfigError: the URL cannot be used.
    """
    checked = _checked(url)
    if checked.get_backend_name() != "sqlite" or checked.database is None:
        return None
    return Path(checked.database).absolute()


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
        backend, driver = url.get_backend_name(), url.get_driver_name()
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError):
        raise ConfigError(f"{_SETTING}: no database URL of SQLAlchemy") from None
    if backend == "sqlite" and driver == "pysqlite":
        if not url.database or url.database == ":memory:" or url.query:
            raise ConfigError(f"{_SETTING}: SQLite needs a file, as in sqlite:////var/lib/cds.db")
        return url
    if backend == "postgresql" and driver == "psycopg":
        return url
    raise ConfigError(f"{_SETTING}: must begin with sqlite:/// or postgresql+psycopg://")


def _create(path: Path) -> None:
    """Make the file in one step, so that of several workers one wins and none sees half of it."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _write_ahead(new, None)
        try:
            os.link(new, path)
        except FileExistsError:
            return
    finally:
        new.unlink()


def _write_ahead(path: Path, patience_s: float | None) -> None:
    """Let readers and the writer of a file not wait for each other; remembered by the file."""
    connection = sqlite3.connect(path, timeout=patience_s or 30)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    finally:
        connection.close()
    if mode != "wal":
        raise StoreUnavailable("the store's file system cannot hold SQLite in WAL mode")


def _synchronise(connection: Connection, level: str) -> None:
    """Say what the next commit waits for, unless the connection knows."""
    if connection.info.get("synchronous", _SYNCHRONOUS["write"]) != level:
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.info["synchronous"] = level


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")


def _in_words(error: DBAPIError | PoolTimeoutError) -> str:
    if isinstance(error, PoolTimeoutError):
        return "too slow"
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_words(error.orig)
    state = str(getattr(error.orig, "sqlstate", None) or "08")
    fitting = [code for code in _POSTGRESQL_WORDS if state.startswith(code)]
    return _POSTGRESQL_WORDS[max(fitting, key=len)] if fitting else "failing"


def _sqlite_words(error: sqlite3.Error) -> str:
    name = str(getattr(error, "sqlite_errorname", ""))
    return next((word for code, word in _SQLITE_WORDS.items() if name.startswith(code)), "failing")
