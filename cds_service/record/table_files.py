"""The files of the mapping tables: strict CSV in, rows of text out, the place of every error named.

It knows the names of the files and their columns, not what a row means.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cds_service.errors import MappingError
from cds_service.record.table_rows import Place

CODE_COLUMNS: Final = (
    "concept",
    "system",
    "code",
    "match",
    "use",
    "property",
    "display",
    "source",
    "verified",
    "note",
)
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "concepts.csv": ("concept", "label", "parents", "note"),
    "systems.csv": ("system", "name", "aliases", "kind", "dot_after", "check", "note"),
    "properties.csv": ("property", "dimension", "note"),
    "words.csv": ("domain", "concept", "words", "match", "use", "note"),
    "quantities.csv": (
        *("quantity", "label", "unit", "shown_unit", "plausible_low", "plausible_high"),
        *("bridge_unit", "bridge_factor", "note"),
    ),
    "measures.csv": ("concept", "quantity", "note"),
    "ucum.csv": ("ucum", "expression", "dimension", "note"),
    "spellings.csv": ("quantity", "spelling", "ucum", "note"),
}


class Files(NamedTuple):
    """Every file read: the project's by name under the root, the site's by name in given order."""

    own: Mapping[str, bytes]
    site: Sequence[tuple[str, bytes]]


class RawRow(msgspec.Struct, frozen=True):
    """One line of a table, as text."""

    place: Place
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Return the cell of a column."""
        return self.cells[column]

    def one_of(self, column: str, allowed: Iterable[str]) -> str:
        """Return the cell, refused unless it is one of the allowed values."""
        value = self[column]
        if value not in allowed:
            self.place.refuse(f"unknown {column} {value!r}; known: {_some(allowed)}")
        return value

    def filled(self, column: str) -> str:
        """Return the cell, refused where it is empty."""
        return self[column] or self.place.refuse(f"{column} is empty")

    def number(self, column: str) -> Decimal | None:
        """Return the cell as a number, None where it is empty."""
        if not self[column]:
            return None
        try:
            return Decimal(self[column])
        except InvalidOperation:
            self.place.refuse(f"{column} {self[column]!r} is not a number")


def _some(values: Iterable[str]) -> str:
    names = sorted(values)
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def read_files(root: Path, extra: Sequence[Path]) -> Files:
    """Read every file, those of a site too.

    Raises:
        MappingError: a file cannot be read.
    """
    names = sorted([*COLUMNS, "VERSION", *(f"codes/{p.name}" for p in root.glob("codes/*.csv"))])
    own = {name: _bytes(root / name, name) for name in names}
    return Files(own, [(path.name, _bytes(path, str(path))) for path in extra])


def _bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise MappingError(message, file=name) from error


def digest_of(files: Files) -> str:
    """Hash names and contents, each with its length so that no two sets of files agree."""
    digest = hashlib.sha256()
    for name, content in sorted([*files.own.items(), *files.site]):
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


def version_of(files: Mapping[str, bytes]) -> str:
    """The version of the tables.

    Raises:
        MappingError: the file that holds it is empty.
    """
    version = files["VERSION"].decode("utf-8", "replace").strip()
    if not version:
        message = "is empty; it must hold the version of the tables"
        raise MappingError(message, file="VERSION")
    return version


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = "is not UTF-8 text"
        raise MappingError(message, file=name, line=line) from error


def read_rows(name: str, files: Mapping[str, bytes], columns: Sequence[str]) -> list[RawRow]:
    """Read one table: exactly these columns in this order, no row longer or shorter.

    Raises:
        MappingError: it is no such table.
    """
    reader = csv.reader(io.StringIO(_text(name, files[name]), newline=""), strict=True)
    rows, line = [], 1
    try:
        _check_header(Place(name, 1), next(reader, []), columns)
        for cells in reader:
            # A quoted cell may span lines; the row is named by the line it starts on.
            place, line = Place(name, line + 1), reader.line_num
            if cells and len(cells) != len(columns):
                place.refuse(f"{len(cells)} cells instead of {len(columns)}")
            if cells:
                stripped = map(str.strip, cells)
                rows.append(RawRow(place, dict(zip(columns, stripped, strict=True))))
    except csv.Error as error:
        message = f"is not CSV: {error}"
        raise MappingError(message, file=name, line=line + 1) from error
    return rows


def _check_header(place: Place, header: Sequence[str], columns: Sequence[str]) -> None:
    for column in header:
        if column not in columns:
            place.refuse(f"unknown column {column!r}")
    if tuple(header) != tuple(columns):
        place.refuse(f"the columns must be {','.join(columns)}")


def once(rows: Iterable[RawRow], *key: str) -> list[RawRow]:
    """Return the rows, refused where two have the same key.

    Raises:
        MappingError: two have.
    """
    seen: dict[tuple[str, ...], Place] = {}
    kept = list(rows)
    for row in kept:
        value = tuple(row[column] for column in key)
        if value in seen:
            first = seen[value]
            row.place.refuse(f"{' '.join(value)} is already in {first.file}:{first.line}")
        seen[value] = row.place
    return kept
