"""What the audit keeps of an answer: results and identifiers, nothing of the chart."""

from __future__ import annotations

from typing import Any

import msgspec

from cds_service.cards.model import Card
from cds_service.cdshooks.screen import Screened
from cds_service.comparison import Comparison
from cds_service.report import Version
from cds_service.store.records import HookEntry


def hook_entry(entry: HookEntry, screened: Screened | None, card: Card | None) -> HookEntry:
    """The entry with what was found and shown.

    Args:
        entry: who asked about whom, and what became of it.
        screened: what the screening gave; None where there was none.
        card: the card that is shown; None where there is none.
    """
    if card is not None:
        suggestions = tuple(one.uuid for one in card.suggestions)
        entry = msgspec.structs.replace(entry, card=card.uuid, suggestions=suggestions)
    if screened is None:
        return entry
    report = screened.report
    compared = screened.comparison
    return msgspec.structs.replace(
        entry,
        as_of=report.as_of,
        overall=report.overall,
        reason=screened.why_not,
        trial=msgspec.to_builtins(report.trial),
        mappings=_edition(report.mappings),
        criteria={one.id: (one.status, one.basis) for one in report.criteria},
        reads=screened.reads,
        candidate=None if compared is None else _changes(compared),
    )


def _edition(version: Version) -> dict[str, Any]:
    return {"version": version.version, "digest": version.digest}


def _changes(comparison: Comparison) -> dict[str, Any]:
    return {
        "digest": comparison.digest,
        "overall": comparison.after,
        "changed": {one.criterion: [one.before, one.after] for one in comparison.differences},
    }
