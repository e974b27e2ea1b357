"""Reading the audit from outside the service: verify it, export it, begin one anew."""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

from sqlalchemy import Connection

from cds_service.errors import InputError
from cds_service.store import queries
from cds_service.store.chain import Verification, Walk, canonical
from cds_service.store.database import Database, sqlite_file
from cds_service.store.opening import ask, prepare
from cds_service.store.queries import Exported

T = TypeVar("T")
Write = Callable[[TextIO, Iterator[Exported], bool], int]

_FROM_RECORD: Final = (
    "caller",
    "service",
    "patient",
    "user",
    "hookInstance",
    "outcome",
    "overall",
    "card",
)
# A cell that begins so is a formula to a spreadsheet.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def verify(url: str, noted: str | None) -> Verification:
    """Walk along the whole chain, a few rows in memory at a time.

    Args:
        url: of the database.
        noted: a head that was noted elsewhere, and must be a row of this chain.

    Raises:
        ConfigError: the URL cannot be used.
        InputError: the database holds no audit.
        StoreUnavailable: it cannot be read.
    """

    def walk(connection: Connection) -> Verification:
        _check_audit(connection)
        steps = Walk(lambda row_hash: queries.has_hash(connection, row_hash), noted)
        with closing(queries.rows(connection)) as rows:
            return steps.over(rows, queries.read_head(connection))

    return _asked(url, walk)


def export(url: str, out: TextIO, write: Write, since: date | None, *, comments: bool) -> int:
    """Write the audit, or its end; how many rows.

    Args:
        url: of the database.
        out: where to.
        write: one of ``write_ndjson`` and ``write_csv``.
        since: the first day, UTC; None for all.
        comments: whether to write what users typed, too.

    Raises:
        ConfigError: the URL cannot be used.
        InputError: the database holds no audit.
        StoreUnavailable: it cannot be read.
    """

    def rows(connection: Connection) -> int:
        _check_audit(connection)
        start = "" if since is None else since.isoformat()
        with closing(queries.exported(connection, start)) as found:
            return write(out, found, comments)

    return _asked(url, rows)


def check_audit(url: str) -> None:
    """See that there is an audit.

    Raises:
        ConfigError: the URL cannot be used.
        InputError: the database holds no audit.
        StoreUnavailable: it cannot be read.
    """
    _asked(url, _check_audit)


def begin(url: str, previous: str, now: Callable[[], datetime]) -> None:
    """Begin a chain that names the head of the one before.

    Raises:
        ConfigError: the URL cannot be used.
        InputError: there is a chain already.
        StoreUnavailable: the database cannot be written.
    """
    if _exists(url) and _asked(url, queries.has_audit):
        raise InputError("this database has an audit already")
    prepare(url, now, previous)


def write_ndjson(out: TextIO, rows: Iterator[Exported], comments: bool) -> int:  # noqa: FBT001
    """A line of JSON for each row; what its hash covers is all but ``hash`` and ``comment``."""
    count = 0
    for one in rows:
        row = one.row
        line: dict[str, Any] = {
            "seq": row.seq,
            "recordedAt": row.recorded_at,
            "kind": row.kind,
            "record": _parsed(row.record),
            "prev": row.prev,
            "hash": row.hash,
        }
        if comments and one.comment is not None:
            line["comment"] = one.comment
        out.write(canonical(line) + "\n")
        count += 1
    return count


def write_csv(out: TextIO, rows: Iterator[Exported], comments: bool) -> int:  # noqa: FBT001
    """A table for a spreadsheet, in which no cell is a formula."""
    table = csv.writer(out)
    extra = ("comment",) if comments else ()
    table.writerow(("seq", "recordedAt", "kind", *_FROM_RECORD, "record", "prev", "hash", *extra))
    count = 0
    for one in rows:
        row, parsed = one.row, _parsed(one.row.record)
        fields = parsed if isinstance(parsed, dict) else {}
        cells: list[Any] = [row.seq, row.recorded_at, row.kind]
        cells += [fields.get(name) for name in _FROM_RECORD]
        cells += [row.record, row.prev, row.hash]
        cells += [one.comment] * len(extra)
        table.writerow([_harmless(cell) for cell in cells])
        count += 1
    return count


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """A file that only this user can read; whole, or not there at all.

    Raises:
        InputError: it cannot be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _exists(url: str) -> bool:
    file = sqlite_file(url)
    return file is None or file.exists()


def _asked(url: str, question: Callable[[Connection], T]) -> T:
    if not _exists(url):
        raise InputError(f"no file {sqlite_file(url)}")
    database = Database(url, patience_s=None)
    try:
        return ask(database, question, "snapshot")
    finally:
        database.dispose()


def _check_audit(connection: Connection) -> None:
    if not queries.has_audit(connection):
        raise InputError("this database holds no audit")


def _parsed(record: str) -> Any:
    """What a record says; its text, where somebody made it something else than JSON."""
    try:
        return json.loads(record)
    except ValueError:
        return record


def _harmless(cell: Any) -> str:
    text = "" if cell is None else str(cell).replace("\0", "\ufffd")
    return f"'{text}" if text.startswith(_FORMULA) else text
