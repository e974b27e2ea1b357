"""Which records take long to judge, and what is left of one if there was no time for it.

Two things take long: very many facts, and facts with vague dates or doubts, since each of them is
tried in every way that it can be meant. What is left out is unread, so that nothing is concluded
from its absence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from cds_service.criteria.view import DRUG_READS, is_loose
from cds_service.fhir.chart import LARGE_CHART
from cds_service.record.model import Record
from cds_service.record.reads import Failed, Read, worsened

TOO_MUCH: Final = "too much to judge in time"
"""Why nothing of a type counts, in words for the card."""

MOST_LOOSE: Final = 2
"""Facts with a vague date or a doubt that are judged in no time."""

# The facts of a record, and what they were read from.
_KINDS: Final = {
    "results": ("Observation",),
    "exposures": DRUG_READS,
    "diagnoses": ("Condition",),
    "procedures": ("Procedure",),
    "scans": ("ImagingStudy", "DiagnosticReport", "Procedure"),
    "reports": ("DiagnosticReport",),
    "adverse_events": ("AdverseEvent",),
    "consents": ("Consent",),
}


def takes_long(record: Record) -> bool:
    """Whether others should not have to wait while a record is judged."""
    return _loose(record, _KINDS) > MOST_LOOSE


def without_much(record: Record) -> Record:
    """A record without the kinds of facts that take long to judge."""
    much = {name for name in _KINDS if len(getattr(record, name)) > LARGE_CHART}
    if _loose(record, _KINDS.keys() - much) > MOST_LOOSE:
        much |= {name for name in _KINDS if _loose(record, [name])}
    left_out = {kind for name in much for kind in _KINDS[name]}
    reads = {
        kind: unread(read) if kind in left_out else read for kind, read in record.reads.items()
    }
    nothing: dict[str, Any] = dict.fromkeys(much, ())
    return msgspec.structs.replace(record, reads=reads, **nothing)


def unread(read: Read) -> Read:
    """How a read went of which nothing counts, for there was no time."""
    return worsened(read, Failed(TOO_MUCH))


def _loose(record: Record, names: Iterable[str]) -> int:
    return sum(is_loose(fact) for name in names for fact in getattr(record, name))
