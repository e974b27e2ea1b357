"""The report: what every door (hook, command line, population) gives back about one patient.

The field names on the wire are those of the published JSON (camelCase); nothing here decides.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec

Status = Literal["met", "not_met", "unknown", "needs_confirmation", "not_applicable"]
Basis = Literal["evidence", "absence", "attestation", "site"]
Change = Literal["time", "new_data", "permanent"]
Overall = Literal["all_met", "possible", "not_now", "excluded", "not_relevant"]


class Evidence(msgspec.Struct, frozen=True, rename="camel"):
    """One resource behind a status: what it is, its value as recorded and normalised, its day.

    Args:
        end: the last day, where it covers a period that ``date`` begins.
        shown: the value for a reader, where ``normalized`` has digits that nobody measured.
    """

    reference: str
    display: str
    value: str | None = None
    normalized: str | None = None
    date: str | None = None
    notes: tuple[str, ...] = ()
    end: str | None = None
    shown: str | None = None


class Missing(msgspec.Struct, frozen=True, rename="camel"):
    """What would settle a criterion: an order, or a question for a person.

    Args:
        kind: ``order`` (a test that can be ordered) or ``question``.
        id: the order's or question's id in the trial file.
        label: the words for the clinician.
    """

    kind: Literal["order", "question"]
    id: str
    label: str


class CriterionResult(msgspec.Struct, frozen=True, rename="camel"):
    """The status of one criterion, and why."""

    id: str
    kind: Literal["inclusion", "exclusion"]
    status: Status
    basis: Basis | None
    change: Change | None
    summary: str
    title: str = ""
    advisories: tuple[str, ...] = ()
    valid_through: date | None = None
    eligible_from: date | None = None
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()
    finding: str = ""
    unread: tuple[str, ...] = ()


class Segment(msgspec.Struct, frozen=True, rename={"start": "from"}):
    """A run of days with one overall result, both ends included, with no new data."""

    start: date
    through: date
    overall: Overall
    reason: str = ""


class Version(msgspec.Struct, frozen=True):
    """Which edition of a reviewed file was used."""

    version: str
    digest: str
    id: str | None = None


class Issue(msgspec.Struct, frozen=True):
    """A data issue as published."""

    code: str
    reference: str
    message: str


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """One patient against one trial on one day.

    Args:
        unread: resource types that could not be read completely, with the reason, in plain words.
    """

    trial: Version
    mappings: Version
    subject: str
    as_of: date
    overall: Overall
    criteria: tuple[CriterionResult, ...] = ()
    outlook: tuple[Segment, ...] = ()
    data_issues: tuple[Issue, ...] = ()
    unmapped_drugs: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    advisories: tuple[str, ...] = ()
    notice: str = ""


def report_json(report: Report) -> bytes:
    """The report as the JSON object of the published contract."""
    return msgspec.json.encode(report)


def report_builtins(report: Report) -> dict[str, Any]:
    """The report as plain objects, for embedding in a card."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain
