"""The tables of code systems and of codes, the project's own and a site's.

A mistyped code of LOINC is refused by its check digit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from cds_service.record.table_files import CODE_COLUMNS, Files, RawRow, once, read_rows
from cds_service.record.table_rows import Code, Place, System

_MATCH: Final = frozenset({"exact", "prefix"})
_USE: Final = frozenset({"fact", "possible", "trap", "context"})
_VERIFIED: Final = frozenset({"yes", "no"})
_CHECKS: Final = frozenset({"", "mod10"})
_KINDS: Final = frozenset({"", "units"})
_ABSOLUTE_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
_CHECKED_CODE: Final = re.compile(r"(?:(?P<digits>\d{1,7})|[A-Z]{2}\d{1,7})-(?P<check>\d)")


def read_systems(rows: Sequence[RawRow]) -> tuple[System, ...]:
    """Read the table of code systems: every URI absolute, and of one system only.

    Raises:
        MappingError: a row cannot be used.
    """
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


def read_codes(
    files: Files, known: frozenset[str], systems: Sequence[System], properties: frozenset[str]
) -> tuple[Code, ...]:
    """Read the code tables, then the site's, whose systems need not be listed.

    Raises:
        MappingError: a row cannot be used.
    """
    listed = {system.system: system for system in systems}
    names = [name for name in files.own if name.startswith("codes/")]
    own = [row for name in names for row in read_rows(name, files.own, CODE_COLUMNS)]
    site = [row for name, text in files.site for row in read_rows(name, {name: text}, CODE_COLUMNS)]
    for row in own:
        row.one_of("system", listed)
    return tuple(
        _code(row, known, listed, properties)
        for row in once([*own, *site], "concept", "system", "code")
    )


def _code(
    row: RawRow, known: frozenset[str], systems: Mapping[str, System], properties: frozenset[str]
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
