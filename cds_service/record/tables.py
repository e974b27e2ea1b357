"""Reading the mapping tables: strict CSV in, typed rows out, the place of every error named.

It knows the columns and what a cell may hold; it does not know any code, limit or word itself.
What the rows mean for a chart is in :mod:`cds_service.record.codes` and
:mod:`cds_service.record.units`. The columns are explained in ``mappings/README.md``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import msgspec

from cds_service.errors import MappingError

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
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
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
_MATCH: Final = frozenset({"exact", "prefix"})
_USE: Final = frozenset({"fact", "possible", "trap", "context"})
_WORD_MATCH: Final = frozenset({"exact", "word"})
# In the word table: every concept that the domain has words for.
ANY_CONCEPT: Final = "*"
_WORD_USE: Final = frozenset({"fact", "possible", "exclude"})
_VERIFIED: Final = frozenset({"yes", "no"})
_CHECKS: Final = frozenset({"", "mod10"})
_KINDS: Final = frozenset({"", "units"})
_ABSOLUTE_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
_CHECKED_CODE: Final = re.compile(r"(?:(?P<digits>\d{1,7})|[A-Z]{2}\d{1,7})-(?P<check>\d)")


class Place(NamedTuple):
    """Where a row stands: the file's name under ``mappings/`` (or the site's), and its line."""

    file: str
    line: int

    def refuse(self, message: str) -> NoReturn:
        """Raise the error for this row.

        Raises:
            MappingError: always.
        """
        raise MappingError(message, file=self.file, line=self.line)


class Concept(msgspec.Struct, frozen=True):
    """One concept of the vocabulary and its direct parents."""

    place: Place
    concept: str
    label: str
    parents: tuple[str, ...]


class System(msgspec.Struct, frozen=True):
    """One code system.

    Args:
        aliases: other URIs under which senders name it.
        dot_after: senders may leave out a dot after so many characters; None for never.
        check: how its codes prove themselves, ``mod10`` or nothing.
        units: its codes are units of measure.
    """

    place: Place
    system: str
    aliases: tuple[str, ...]
    dot_after: int | None
    check: str
    units: bool = False


class Code(msgspec.Struct, frozen=True):
    """One code, or one prefix of codes, and the concept it stands for."""

    place: Place
    concept: str
    system: str
    code: str
    match: str
    use: str
    property: str


class Words(msgspec.Struct, frozen=True):
    """Words of one domain and the concept they stand for, or exclude (``*``: any of the domain)."""

    place: Place
    domain: str
    concept: str
    words: str
    match: str
    use: str


class Quantity(msgspec.Struct, frozen=True):
    """A kind of measurement.

    Args:
        unit: canonical unit, a UCUM code of ``ucum.csv``.
        shown_unit: the canonical unit as people read it.
        bridge_unit: a unit of another dimension that may be converted for this analyte.
        bridge_factor: canonical units in one ``bridge_unit``.
    """

    place: Place
    quantity: str
    label: str
    unit: str
    shown_unit: str
    low: Decimal | None
    high: Decimal | None
    bridge_unit: str
    bridge_factor: Decimal | None


class Unit(msgspec.Struct, frozen=True):
    """A UCUM code, what it is for pint, and the dimension that decides what it may measure."""

    place: Place
    ucum: str
    expression: str
    dimension: str


class Spelling(msgspec.Struct, frozen=True):
    """What a spelling of a unit means in one kind of measurement; empty for no unit at all."""

    place: Place
    quantity: str
    spelling: str
    ucum: str


class Tables(msgspec.Struct, frozen=True):
    """All mapping tables, checked.

    Args:
        measures: the quantity that a concept's value is.
        properties: dimensions that a unit may have beside a code of that property.
        version: of the tables, from ``mappings/VERSION``.
        digest: ``sha256:…`` over names and bytes of all files read, the site's own included.
    """

    concepts: tuple[Concept, ...]
    systems: tuple[System, ...]
    codes: tuple[Code, ...]
    words: tuple[Words, ...]
    quantities: tuple[Quantity, ...]
    measures: Mapping[str, str]
    properties: Mapping[str, frozenset[str]]
    units: tuple[Unit, ...]
    spellings: tuple[Spelling, ...]
    version: str
    digest: str


def load_tables(root: Path | None = None, extra: Sequence[Path] = ()) -> Tables:
    """Read and check the mapping tables.

    Args:
        root: the directory of the tables; the package's own by default.
        extra: a site's own code tables, with the columns of ``codes/*.csv``. They may use code
            systems that ``systems.csv`` does not list, named by any absolute URI.

    Raises:
        MappingError: a table cannot be used; names the file and, where there is one, the line.
    """
    root = root or default_root()
    files = _read_files(root, extra)
    tables = {name: _rows(name, files.own, columns) for name, columns in _COLUMNS.items()}
    concepts = _concepts(tables["concepts.csv"])
    known = frozenset(row.concept for row in concepts)
    systems = _systems(tables["systems.csv"])
    properties = _properties(tables["properties.csv"])
    units = tuple(_unit(row) for row in _once(tables["ucum.csv"], "ucum"))
    quantities = _quantities(tables["quantities.csv"], frozenset(u.ucum for u in units))
    names = frozenset(row.quantity for row in quantities)
    return Tables(
        concepts=concepts,
        systems=systems,
        codes=_codes(files, known, systems, frozenset(properties)),
        words=_words(tables["words.csv"], known),
        quantities=quantities,
        measures=_measures(tables["measures.csv"], known, names),
        properties=properties,
        units=units,
        spellings=_spellings(tables["spellings.csv"], names, frozenset(u.ucum for u in units)),
        version=_version(files.own),
        digest=_digest(files),
    )


def default_root() -> Path:
    """The tables inside the installed package, else those of the source tree."""
    packaged = Path(__file__).resolve().parents[1] / "mappings"
    return packaged if packaged.is_dir() else packaged.parents[1] / "mappings"


# --- Files and cells ---------------------------------------------------------------------------


class _Files(NamedTuple):
    """Every file read: the project's by name under the root, the site's by name in given order."""

    own: Mapping[str, bytes]
    site: Sequence[tuple[str, bytes]]


class _Row(msgspec.Struct, frozen=True):
    """One line of a table."""

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


def _read_files(root: Path, extra: Sequence[Path]) -> _Files:
    names = sorted([*_COLUMNS, "VERSION", *(f"codes/{p.name}" for p in root.glob("codes/*.csv"))])
    own = {name: _bytes(root / name, name) for name in names}
    return _Files(own, [(path.name, _bytes(path, str(path))) for path in extra])


def _bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise MappingError(message, file=name) from error


def _digest(files: _Files) -> str:
    """Hash names and contents, each with its length so that no two sets of files agree."""
    digest = hashlib.sha256()
    for name, content in sorted([*files.own.items(), *files.site]):
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


def _version(files: Mapping[str, bytes]) -> str:
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


def _rows(name: str, files: Mapping[str, bytes], columns: Sequence[str]) -> list[_Row]:
    """Read one table: exactly these columns in this order, no row longer or shorter."""
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
                rows.append(_Row(place, dict(zip(columns, stripped, strict=True))))
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


def _once(rows: Iterable[_Row], *key: str) -> list[_Row]:
    """Return the rows, refused where two have the same key."""
    seen: dict[tuple[str, ...], Place] = {}
    kept = list(rows)
    for row in kept:
        value = tuple(row[column] for column in key)
        if value in seen:
            first = seen[value]
            row.place.refuse(f"{' '.join(value)} is already in {first.file}:{first.line}")
        seen[value] = row.place
    return kept


# --- One table each ----------------------------------------------------------------------------


def _concepts(rows: Sequence[_Row]) -> tuple[Concept, ...]:
    known = frozenset(row["concept"] for row in rows)
    concepts = []
    for row in _once(rows, "concept"):
        parents = tuple(row["parents"].split())
        if unknown := [parent for parent in parents if parent not in known]:
            row.place.refuse(f"unknown concept {unknown[0]!r} as parent")
        name = row.filled("concept")
        concepts.append(Concept(row.place, name, row.filled("label"), parents))
    _refuse_cycles({concept.concept: concept for concept in concepts})
    return tuple(concepts)


def _refuse_cycles(concepts: Mapping[str, Concept]) -> None:
    """Refuse a concept that is its own ancestor."""
    for concept in concepts.values():
        ahead, seen = set(concept.parents), set[str]()
        while ahead:
            if concept.concept in ahead:
                concept.place.refuse(f"{concept.concept} is its own ancestor")
            seen |= ahead
            ahead = {parent for name in ahead for parent in concepts[name].parents} - seen


def _systems(rows: Sequence[_Row]) -> tuple[System, ...]:
    systems, seen = [], set[str]()
    for row in rows:
        names = (row["system"], *row["aliases"].split())
        for name in names:
            if not _ABSOLUTE_URI.fullmatch(name):
                row.place.refuse(f"{name!r} is not an absolute URI")
            if name in seen:
                row.place.refuse(f"{name} is already listed")
            seen.add(name)
        dot = row.number("dot_after")
        systems.append(
            System(
                place=row.place,
                system=names[0],
                aliases=names[1:],
                dot_after=None if dot is None else int(dot),
                check=row.one_of("check", _CHECKS),
                units=row.one_of("kind", _KINDS) == "units",
            )
        )
    return tuple(systems)


def _codes(
    files: _Files, known: frozenset[str], systems: Sequence[System], properties: frozenset[str]
) -> tuple[Code, ...]:
    """Read the code tables, then the site's, whose systems need not be listed."""
    listed = {system.system: system for system in systems}
    names = [name for name in files.own if name.startswith("codes/")]
    own = [row for name in names for row in _rows(name, files.own, CODE_COLUMNS)]
    site = [row for name, text in files.site for row in _rows(name, {name: text}, CODE_COLUMNS)]
    for row in own:
        row.one_of("system", listed)
    return tuple(
        _code(row, known, listed, properties)
        for row in _once([*own, *site], "concept", "system", "code")
    )


def _code(
    row: _Row, known: frozenset[str], systems: Mapping[str, System], properties: frozenset[str]
) -> Code:
    system, code = row["system"], row.filled("code")
    if not _ABSOLUTE_URI.fullmatch(system):
        row.place.refuse(f"system {system!r} is not an absolute URI")
    row.one_of("verified", _VERIFIED)
    row.one_of("property", properties | {""})
    if system in systems and systems[system].check == "mod10" and row["match"] == "exact":
        _check_digit(row.place, code)
    return Code(
        place=row.place,
        concept=row.one_of("concept", known),
        system=system,
        code=code,
        match=row.one_of("match", _MATCH),
        use=row.one_of("use", _USE),
        property=row["property"],
    )


def _check_digit(place: Place, code: str) -> None:
    """Refuse a mistyped LOINC code by its mod-10 check digit.

    Answer, list and part codes (two letters first) have a digit too, but no published rule.
    """
    found = _CHECKED_CODE.fullmatch(code)
    if found is None:
        place.refuse(f"{code!r} has no check digit after a dash")
    if found["digits"] and int(found["check"]) != _mod10(found["digits"]):
        place.refuse(f"{code} has a wrong check digit; {_mod10(found['digits'])} would fit")


def _mod10(digits: str) -> int:
    """Return the digit that makes the weighted sum a multiple of ten, doubling from the right."""
    doubled = "".join(str(int(d) * (2 - i % 2)) for i, d in enumerate(reversed(digits)))
    return -sum(map(int, doubled)) % 10


def _words(rows: Sequence[_Row], known: frozenset[str]) -> tuple[Words, ...]:
    """Return the rows; only words that exclude may be about every concept of their domain."""
    return tuple(
        Words(
            place=row.place,
            domain=row.filled("domain"),
            concept=row.one_of("concept", _about(row, known)),
            words=row.filled("words"),
            match=row.one_of("match", _WORD_MATCH),
            use=row.one_of("use", _WORD_USE),
        )
        for row in _once(rows, "domain", "concept", "words", "match")
    )


def _about(row: _Row, known: frozenset[str]) -> frozenset[str]:
    return known | {ANY_CONCEPT} if row["use"] == "exclude" else known


def _properties(rows: Sequence[_Row]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for row in _once(rows, "property", "dimension"):
        name = row.filled("property")
        found[name] = found.get(name, frozenset()) | {row.filled("dimension")}
    return found


def _unit(row: _Row) -> Unit:
    return Unit(row.place, row.filled("ucum"), row.filled("expression"), row.filled("dimension"))


def _quantities(rows: Sequence[_Row], units: frozenset[str]) -> tuple[Quantity, ...]:
    quantities = []
    for row in _once(rows, "quantity"):
        factor = row.number("bridge_factor")
        if bool(row["bridge_unit"]) != (factor is not None):
            row.place.refuse("bridge_unit and bridge_factor stand together")
        quantities.append(
            Quantity(
                place=row.place,
                quantity=row.filled("quantity"),
                label=row.filled("label"),
                unit=row.one_of("unit", units),
                shown_unit=row["shown_unit"],
                low=row.number("plausible_low"),
                high=row.number("plausible_high"),
                bridge_unit=row.one_of("bridge_unit", units | {""}),
                bridge_factor=factor,
            )
        )
    return tuple(quantities)


def _measures(
    rows: Sequence[_Row], known: frozenset[str], quantities: frozenset[str]
) -> dict[str, str]:
    return {
        row.one_of("concept", known): row.one_of("quantity", quantities)
        for row in _once(rows, "concept")
    }


def _spellings(
    rows: Sequence[_Row], quantities: frozenset[str], units: frozenset[str]
) -> tuple[Spelling, ...]:
    return tuple(
        Spelling(
            place=row.place,
            quantity=row.one_of("quantity", quantities),
            spelling=row["spelling"],
            ucum=row.one_of("ucum", units),
        )
        for row in _once(rows, "quantity", "spelling")
    )
