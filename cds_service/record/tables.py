"""The mapping tables, read and checked as one: each row against what the other tables know.

It knows what a cell may hold; it does not know any code, limit or word itself. What the rows mean
for a chart is in :mod:`cds_service.record.codes` and :mod:`cds_service.record.units`. The columns
are explained in ``mappings/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from cds_service.record.code_tables import read_codes, read_systems
from cds_service.record.table_files import (
    COLUMNS,
    RawRow,
    digest_of,
    once,
    read_files,
    read_rows,
    version_of,
)
from cds_service.record.table_rows import (
    ANY_CONCEPT,
    Code,
    Concept,
    Quantity,
    Spelling,
    System,
    Unit,
    Words,
)

_WORD_MATCH: Final = frozenset({"exact", "word"})
_WORD_USE: Final = frozenset({"fact", "possible", "exclude"})


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
    files = read_files(root, extra)
    tables = {name: read_rows(name, files.own, columns) for name, columns in COLUMNS.items()}
    concepts = _concepts(tables["concepts.csv"])
    known = frozenset(row.concept for row in concepts)
    systems = read_systems(tables["systems.csv"])
    properties = _properties(tables["properties.csv"])
    units = tuple(_unit(row) for row in once(tables["ucum.csv"], "ucum"))
    quantities = _quantities(tables["quantities.csv"], frozenset(u.ucum for u in units))
    names = frozenset(row.quantity for row in quantities)
    return Tables(
        concepts=concepts,
        systems=systems,
        codes=read_codes(files, known, systems, frozenset(properties)),
        words=_words(tables["words.csv"], known),
        quantities=quantities,
        measures=_measures(tables["measures.csv"], known, names),
        properties=properties,
        units=units,
        spellings=_spellings(tables["spellings.csv"], names, frozenset(u.ucum for u in units)),
        version=version_of(files.own),
        digest=digest_of(files),
    )


def default_root() -> Path:
    """The tables inside the installed package, else those of the source tree."""
    packaged = Path(__file__).resolve().parents[1] / "mappings"
    return packaged if packaged.is_dir() else packaged.parents[1] / "mappings"


# --- One table each ----------------------------------------------------------------------------


def _concepts(rows: Sequence[RawRow]) -> tuple[Concept, ...]:
    known = frozenset(row["concept"] for row in rows)
    concepts = []
    for row in once(rows, "concept"):
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


def _words(rows: Sequence[RawRow], known: frozenset[str]) -> tuple[Words, ...]:
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
        for row in once(rows, "domain", "concept", "words", "match")
    )


def _about(row: RawRow, known: frozenset[str]) -> frozenset[str]:
    return known | {ANY_CONCEPT} if row["use"] == "exclude" else known


def _properties(rows: Sequence[RawRow]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for row in once(rows, "property", "dimension"):
        name = row.filled("property")
        found[name] = found.get(name, frozenset()) | {row.filled("dimension")}
    return found


def _unit(row: RawRow) -> Unit:
    return Unit(row.place, row.filled("ucum"), row.filled("expression"), row.filled("dimension"))


def _quantities(rows: Sequence[RawRow], units: frozenset[str]) -> tuple[Quantity, ...]:
    quantities = []
    for row in once(rows, "quantity"):
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
    rows: Sequence[RawRow], known: frozenset[str], quantities: frozenset[str]
) -> dict[str, str]:
    return {
        row.one_of("concept", known): row.one_of("quantity", quantities)
        for row in once(rows, "concept")
    }


def _spellings(
    rows: Sequence[RawRow], quantities: frozenset[str], units: frozenset[str]
) -> tuple[Spelling, ...]:
    return tuple(
        Spelling(
            place=row.place,
            quantity=row.one_of("quantity", quantities),
            spelling=row["spelling"],
            ucum=row.one_of("ucum", units),
        )
        for row in once(rows, "quantity", "spelling")
    )
