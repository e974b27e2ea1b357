"""A chart as it was read: raw resources, and how the read of each type went.

Both ways in (a Bundle, or prefetch and pull) end here, and the reader turns a chart into a record.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cds_service.record.reads import DataIssue, Read

LARGE_CHART: Final = 1_000
"""Entries beyond which a chart takes longer to read than others can wait for it."""


class Entry(msgspec.Struct, frozen=True):
    """One resource as JSON bytes, with the URL it was found under (``urn:uuid:…`` or absolute).

    Args:
        kind: its resource type, where that was looked at; else empty.
    """

    raw: msgspec.Raw
    full_url: str | None = None
    kind: str = ""


class Chart(msgspec.Struct, frozen=True):
    """Everything read about one patient.

    Args:
        patient_id: the logical id asked for.
        entries: every resource read, in the order found; may hold other patients' and broken ones.
        reads: how the read of each FHIR resource type went; one that is missing was not made.
        bases: the ways in which the base URL of its FHIR server is written, for references in
            full; none where it is not known.
        issues: what went wrong on the way in.
    """

    patient_id: str
    entries: tuple[Entry, ...]
    reads: dict[str, Read]
    bases: tuple[str, ...] = ()
    issues: tuple[DataIssue, ...] = ()


CHART_TYPES = (
    "Condition",
    "Observation",
    "MedicationAdministration",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationDispense",
    "Procedure",
    "ImagingStudy",
    "DiagnosticReport",
    "AdverseEvent",
    "Consent",
)
