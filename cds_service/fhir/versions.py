"""The same resource read more than once: which version counts.

Pages overlap when a chart changes under a search, and a prefetched resource may be read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from cds_service.fhir.chart import Entry
from cds_service.fhir.searchset import UNDECODABLE, Found
from cds_service.record.reads import DataIssue


class Merged(msgspec.Struct, frozen=True):
    """Entries with each resource once, and the resources for which that was not possible."""

    entries: tuple[Entry, ...]
    issues: tuple[DataIssue, ...]


def merge(found: Iterable[Found]) -> Merged:
    """Keep each resource once: the newest version, by ``meta.lastUpdated``, else ``versionId``.

    Where two versions differ and nothing says which is newer, both stay, with an issue: choosing
    one could choose the one that suits.
    """
    groups: dict[tuple[str, str] | bytes, list[Found]] = {}
    for item in found:
        groups.setdefault(item.key or bytes(item.entry.raw), []).append(item)
    kept = [group if len(group) == 1 else _newest(group) for group in groups.values()]
    return Merged(
        entries=tuple(item.entry for group in kept for item in group),
        issues=tuple(_conflict(group[0]) for group in kept if len(group) > 1),
    )


def _conflict(item: Found) -> DataIssue:
    message = "Two versions of this resource were read, and nothing says which one is newer."
    return DataIssue("conflicting-versions", f"{item.resource_type}/{item.id}", message)


def _newest(versions: list[Found]) -> list[Found]:
    """The newest of several versions; more than one where their order is not known."""
    kept: list[Found] = []
    for item in versions:
        if any(_same(item, other) or _newer(other, item) for other in kept):
            continue
        kept = [other for other in kept if not _newer(item, other)]
        kept.append(item)
    return kept


def _newer(one: Found, other: Found) -> bool:
    """Whether one is surely newer than the other."""
    times = _instant(one.updated), _instant(other.updated)
    if times[0] is not None and times[1] is not None and times[0] != times[1]:
        return times[0] > times[1]
    both_numbered = one.version.isdecimal() and other.version.isdecimal()
    return both_numbered and _number(one.version) > _number(other.version)


def _number(version: str) -> tuple[int, str]:
    """An order of whole numbers of any length."""
    plain = version.lstrip("0")
    return len(plain), plain


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _same(one: Found, other: Found) -> bool:
    """Whether two are the same version: equal, but for blanks and the order of members."""
    if one.entry.raw == other.entry.raw:
        return True
    try:
        return bool(msgspec.json.decode(one.entry.raw) == msgspec.json.decode(other.entry.raw))
    except UNDECODABLE:
        return False
