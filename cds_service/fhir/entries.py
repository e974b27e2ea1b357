"""Decodes the entries of a chart: each resource once, in its newest version."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

import msgspec

from cds_service.fhir import decoding, views
from cds_service.fhir.chart import CHART_TYPES, Entry
from cds_service.fhir.elements import Issues, relative
from cds_service.record.dates import parse_when
from cds_service.record.reads import Unreadable

# Who the chart is about, and what drugs are made of: no facts by themselves.
NO_FACTS = (views.PatientView, views.MedicationView)
_MOST_VERSION_DIGITS = 12
# What other FHIR versions call a resource that is read.
FORMER_TYPES = {"MedicationOrder": "MedicationRequest", "MedicationUsage": "MedicationStatement"}


class Item(msgspec.Struct):
    """One decoded resource of the patient."""

    decoded: decoding.Decoded
    reference: str
    full_url: str | None

    @property
    def kind(self) -> str:
        """Its resource type."""
        return self.decoded.resource_type or ""


def decode_entries(entries: Iterable[Entry], issues: Issues) -> list[Item]:
    """Decode every entry; the same resource twice counts once, the newest version decides.

    In the order of their references, so that no report depends on how a chart was paged or sorted.
    """
    by_reference: dict[str, tuple[Item, msgspec.Raw]] = {}
    loose: list[Item] = []
    for position, entry in enumerate(entries):
        raw = entry.raw
        decoded = decoding.decode(raw)
        view = decoded.view
        if view is None:
            _not_decoded(decoded, position, issues)
            continue
        item = Item(decoded, _reference(entry, decoded, position), entry.full_url)
        if view.id is None:
            loose.append(item)
            continue
        known = by_reference.get(item.reference)
        if known is None:
            by_reference[item.reference] = (item, raw)
        elif _is_same(known[1], raw):
            continue
        elif _is_elsewhere(known[0], item):
            loose.append(item)
        elif (kept := _newer(known[0], item)) is not None:
            by_reference[item.reference] = (kept, raw if kept is item else known[1])
        else:
            message = "two versions with no order; both are used"
            issues.add("conflicting-versions", item.reference, message)
            loose.append(item)
    items = [*(item for item, _ in by_reference.values()), *loose]
    return sorted(items, key=lambda item: item.reference)


def _not_decoded(decoded: decoding.Decoded, position: int, issues: Issues) -> None:
    where = f"entry {position + 1}"
    former = FORMER_TYPES.get(decoded.resource_type or "")
    if former is not None:
        issues.cannot_read(where, former, f"{decoded.resource_type} is no resource of FHIR R4")
    if decoded.resource_type is None:
        # It says no type that can be read, so it may be about anything.
        issues.add("broken-resource", where, "is no FHIR resource that can be read")
        issues.unreadable.extend(
            Unreadable(where, kind, "its type cannot be read") for kind in CHART_TYPES
        )


def _reference(entry: Entry, decoded: decoding.Decoded, position: int) -> str:
    view = decoded.view
    if view is not None and view.id:
        return f"{decoded.resource_type}/{view.id}"
    return entry.full_url or f"{decoded.resource_type} (entry {position + 1})"


def _is_same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    """Whether two say the same, but for blanks and the order of elements."""
    if one == other:
        return True
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except decoding.UNDECODABLE:
        return False


def _newer(one: Item, other: Item) -> Item | None:
    """The newer of two versions by version number or time; None where neither says."""
    keys = [_version(item) for item in (one, other)]
    for first, second in zip(*keys, strict=True):
        if first is not None and second is not None and first != second:
            return one if first > second else other
    return None


def _version(item: Item) -> tuple[Any, Any]:
    view = item.decoded.view
    meta = None if view is None else view.meta
    if meta is None:
        return None, None
    updated = parse_when(meta.last_updated or "", UTC)
    number = meta.version_id or ""
    plain = number.isascii() and number.isdecimal() and len(number) <= _MOST_VERSION_DIGITS
    return None if updated.zoneless else updated.instant, int(number) if plain else None


def _is_elsewhere(one: Item, other: Item) -> bool:
    """Whether two of one type and id are of two servers, and so two resources."""
    urls = {relative(url) for url in (one.full_url, other.full_url) if url}
    return len(urls) > 1


def medications_by_reference(
    items: Iterable[Item], bases: Iterable[str]
) -> dict[str, decoding.Decoded]:
    """Medications by every reference under which they can be named; by none that names two."""
    found: dict[str, list[decoding.Decoded]] = {}
    for item in items:
        if isinstance(item.decoded.view, views.MedicationView):
            local = [f"{base}/{item.reference}" for base in bases]
            full = [relative(item.full_url)] if item.full_url else local
            for name in {item.reference, *full}:
                found.setdefault(name, []).append(item.decoded)
    return {name: named[0] for name, named in found.items() if len(named) == 1}
