"""The chain of audit records: each row's hash covers its content and the hash of the row before.

Whoever changes a row must rewrite all later ones, and a hash noted elsewhere still shows it.
Anyone can check an export with a few lines of code: see ``docs/store.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from cds_service.errors import CdsServiceError

START: Final = "0" * 64
"""Stands for the hash of the row before the first."""

GENESIS: Final = "genesis"
"""The kind of the first row."""


class Row(msgspec.Struct, frozen=True):
    """A row of the audit as it is stored; ``record`` is JSON text."""

    seq: int
    recorded_at: str
    kind: str
    record: str
    prev: str
    hash: str


class Break(msgspec.Struct, frozen=True):
    """Where the chain does not hold.

    Args:
        kind: what happened.
        seq: of the first row concerned; where rows are missing, of the first missing one.
        message: one line for a person.
    """

    kind: Literal["changed", "missing", "order", "end"]
    seq: int
    message: str


class ChainBroken(CdsServiceError):
    """Records were changed, taken away, put in or moved."""

    def __init__(self, broken: Break) -> None:
        super().__init__(
            f"the chain is broken ({broken.kind}) at row {broken.seq}: {broken.message}"
        )


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk along the chain found.

    Args:
        count: rows that hold.
        first: number of the first row; 0 with none.
        last: number of the last row that holds.
        head: its hash.
        noted: number of the row with the hash that was noted; None where none was given.
        broken: the first break; None where the chain holds.
    """

    count: int
    first: int
    last: int
    head: str
    noted: int | None = None
    broken: Break | None = None


def canonical(value: Any) -> str:
    """JSON with sorted names, no white space and ASCII only: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def row_hash(seq: int, recorded_at: str, kind: str, record: str, prev: str) -> str:
    """The hash of a row: SHA-256 of the canonical JSON of all else that it holds.

    Args:
        record: canonical JSON already; it stands in the text as it is, so that a change of even its
            white space shows.
    """
    named = {"kind": kind, "prev": prev, "recordedAt": recorded_at}
    kind, prev, recorded_at = (canonical(str(value)) for value in named.values())
    text = (
        f'{{"kind":{kind},"prev":{prev},"record":{record},"recordedAt":{recorded_at},"seq":{seq}}}'
    )
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def next_row(seq: int, prev: str, at: str, kind: str, record: dict[str, Any]) -> Row:
    """The row that follows row ``seq``, whose hash is ``prev``."""
    text = canonical(record)
    return Row(seq + 1, at, kind, text, prev, row_hash(seq + 1, at, kind, text, prev))


def timestamp(moment: datetime) -> str:
    """A point in time as the store writes it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Walk:
    """Walks along the chain, keeping the row before and nothing else.

    Args:
        known: whether a hash is that of some row; asked at a break only.
        noted: a hash that was noted elsewhere and must occur.
    """

    def __init__(self, known: Callable[[str], bool], noted: str | None = None) -> None:
        self._known = known
        self._wanted = noted
        self._noted: int | None = None
        self._count = 0
        self._last = 0
        self._head = START

    def over(self, rows: Iterable[Row], end: tuple[int, str] | None) -> Verification:
        """The result of walking over all rows in order.

        Args:
            rows: by rising number.
            end: number and hash of the last row as the head has it; None where the head is gone.
        """
        for row in rows:
            broken = self._break_at(row)
            if broken is not None:
                return self._result(broken)
            self._count += 1
            self._last, self._head = row.seq, row.hash
            if row.hash == self._wanted:
                self._noted = row.seq
        return self._result(self._break_at_end(end))

    def _result(self, broken: Break | None) -> Verification:
        return Verification(
            count=self._count,
            first=1 if self._count else 0,
            last=self._last,
            head=self._head,
            noted=self._noted,
            broken=broken,
        )

    def _break_at(self, row: Row) -> Break | None:
        expected = self._last + 1
        if row.seq != expected:
            return Break("missing", expected, f"row {expected} is missing; next is row {row.seq}")
        intact = row.hash == row_hash(row.seq, row.recorded_at, row.kind, row.record, row.prev)
        if row.prev == self._head:
            if intact and (row.seq == 1) == (row.kind == GENESIS):
                return None
            return Break("changed", row.seq, f"row {row.seq} was changed")
        if row.prev == START or self._known(row.prev):
            return Break("order", row.seq, f"row {row.seq} does not belong behind row {self._last}")
        if intact and self._last:
            message = f"row {self._last} was changed, and its hash made anew"
            return Break("changed", self._last, message)
        return Break("changed", row.seq, f"row {row.seq} was changed")

    def _break_at_end(self, end: tuple[int, str] | None) -> Break | None:
        if end is None or end[0] < self._last:
            return Break("changed", self._last, "the note of the chain's end was changed")
        if end[0] > self._last:
            return Break("end", self._last + 1, f"rows {self._last + 1} to {end[0]} are missing")
        if end[1] != self._head:
            return Break("changed", self._last, f"row {self._last} was changed at the chain's end")
        if self._wanted is not None and self._noted is None:
            message = (
                f"the noted head is not in this chain: what followed row {self._last} is missing,"
                " or it is another chain"
            )
            return Break("end", self._last + 1, message)
        return None
