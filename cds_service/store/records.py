"""What is handed to the store and what it answers: plain structs, without chart content.

Patients and users stand as keyed hashes (``hashing.py``). Every name and word here is this
service's own, but for the comment of a feedback, which the store keeps apart.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import msgspec

from cds_service.errors import CdsServiceError

Operation = Literal[
    "audit", "feedback", "token", "quiet", "switch", "readiness", "purge", "declare", "export"
]
"""What the store is accessed for."""


class UnknownCard(CdsServiceError):
    """Feedback on a card that this caller was not shown.

    The same whether there is no such card, or another caller was shown it.
    """


class HookEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One evaluated hook.

    Args:
        hook_instance: as the EHR named it, if that is a UUID; else a keyed hash.
        service: id of the CDS service.
        caller: the issuer's short name.
        patient: keyed hash.
        user: keyed hash.
        as_of: the day of the evaluation.
        outcome: what was answered: ``card``, ``no-card``, ``quiet``, ``shadow``, ``test-patient``,
            ``switched-off``, ``patient-unavailable`` or ``other-patient``.
        overall: overall result; None where nothing was evaluated.
        reason: why the trial does not concern the patient, in a word of ours; None where it may.
        trial: id, version and digest of the trial file; None where nothing was evaluated.
        mappings: version and digest of the mapping tables; likewise.
        criteria: by id, status and basis.
        reads: by resource type, in fixed words, how the read went.
        card: uuid of the card; feedback is taken for outcome ``card`` only.
        suggestions: uuids of the card's suggestions.
        candidate: what another version of the trial says: its digest, its overall result, and by
            criterion the two statuses where they differ. None without one.
        milliseconds: from the request to here.
    """

    hook_instance: str
    service: str
    caller: str
    patient: str
    user: str
    as_of: date
    outcome: str
    overall: str | None = None
    reason: str | None = None
    trial: dict[str, Any] | None = None
    mappings: dict[str, Any] | None = None
    criteria: dict[str, tuple[str, str | None]] = {}
    reads: dict[str, str] = {}
    card: str | None = None
    suggestions: tuple[str, ...] = ()
    candidate: dict[str, Any] | None = None
    milliseconds: float = 0


class FeedbackEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one card.

    Args:
        card: uuid.
        outcome_timestamp: when, by the EHR's clock; has a time zone.
        suggestions: uuids of those accepted; any that are not the card's are only counted.
        reason: code of one of the reasons that the card offers, else None.
        reason_system: its code system, where it is kept.
        comment: free text, which may hold chart content.
    """

    card: str
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: datetime
    suggestions: tuple[str, ...] = ()
    reason: str | None = None
    reason_system: str | None = None
    comment: str | None = None


class QuietKey(msgspec.Struct, frozen=True, kw_only=True):
    """For whom a card may be held back; patient and user as keyed hashes."""

    caller: str
    service: str
    patient: str
    user: str


class Quieted(msgspec.Struct, frozen=True, kw_only=True):
    """The latest override.

    Args:
        since: when this service received it.
        overall: overall result of the card that was overridden.
    """

    since: datetime
    overall: str


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was switched.

    Args:
        name: ``trial:…`` or ``issuer:…``.
        off: whether it is off now.
        changed: when, ISO 8601, UTC.
        by: who, as the operating system names them.
    """

    name: str
    off: bool
    changed: str
    by: str


class StoreHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the store does, for metrics and alarms; no text of an exception.

    Args:
        waiting: writes in the queue.
        lag_s: for how long the oldest unfinished write has been waiting; 0 with none.
        written: writes committed since the start.
        failed: writes given up since the start.
        last_error: in fixed words, the latest failure; None since a later write went well.
    """

    waiting: int
    lag_s: float
    written: int
    failed: int
    last_error: str | None
