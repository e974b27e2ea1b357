"""The rows of the mapping tables, typed: concepts, code systems, codes, words, measurements, units.

What they mean for a chart is in :mod:`cds_service.record.codes` and
:mod:`cds_service.record.units`; they are read and checked in :mod:`cds_service.record.tables`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple, NoReturn

import msgspec

from cds_service.errors import MappingError

# In the word table: every concept that the domain has words for.
ANY_CONCEPT: Final = "*"


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
