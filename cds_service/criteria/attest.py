"""What a clinician confirmed, and what it may settle.

Source: "Attestations" of the eligibility rules and of the contract: an attestation settles what is
unknown or needs confirmation; a refusal also overrides ``met`` by absence; nothing overrides
evidence, the site's configuration, or a sentence that does not apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from cds_service.criteria.clock import Clock
from cds_service.criteria.settle import Judgement
from cds_service.errors import InputError
from cds_service.record.reads import DataIssue
from cds_service.trial.schema import CriterionSpec, Trial


class Attestation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer of one person.

    Args:
        by: who, as a FHIR reference.
        on: the day it was given.
        through: the last day on which it holds; None for no end.
    """

    criterion: str
    answer: Literal["met", "not_met"]
    by: str
    on: date
    note: str = ""
    through: date | None = None


def read_attestations(content: Any, trial: Trial) -> tuple[Attestation, ...]:
    """Read the list of an attestation file.

    Raises:
        InputError: it is no such list, or names a criterion that the trial does not have.
    """
    try:
        found = msgspec.convert(() if content is None else content, tuple[Attestation, ...])
    except msgspec.ValidationError as error:
        raise InputError(f"attestations: {error}") from error
    for one in found:
        if not one.by.strip():
            raise InputError(f"attestations: {one.criterion}: by is empty")
        if trial.criterion(one.criterion) is None:
            raise InputError(f"attestations: no criterion {one.criterion!r} in {trial.id}")
    return found


def load_attestations(path: Path | None, trial: Trial, read_yaml: Any) -> tuple[Attestation, ...]:
    """Read an attestation file; none gives no attestations.

    Args:
        read_yaml: turns the file's text into plain objects.

    Raises:
        InputError: the file cannot be read or used.
    """
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"attestation file {path}: cannot be read") from error
    try:
        return read_attestations(read_yaml(text), trial)
    except InputError as error:
        raise InputError(f"attestation file {path}: {error}") from error


def not_yet_given(attestations: Sequence[Attestation], day: date) -> tuple[DataIssue, ...]:
    """Answers that are dated after the day: left out, and told."""
    return tuple(
        DataIssue(
            "future-date",
            one.by,
            f"attestation of {one.criterion} as {one.answer}: dated {one.on}, after {day}",
        )
        for one in attestations
        if one.on > day
    )


class Attested(msgspec.Struct, frozen=True):
    """A judgement with the attestation that settled it, or the one that was set aside and why."""

    judgement: Judgement
    by: Attestation | None = None
    set_aside: Attestation | None = None
    conflict: bool = False


def attest(
    judged: Judgement, spec: CriterionSpec, attestations: Sequence[Attestation], day: date
) -> Attested:
    """Let the latest attestation of a criterion settle it, where it may."""
    clock = Clock(day)
    current = [one for one in attestations if one.criterion == spec.id and _holds(one, clock)]
    judged.flips |= clock.flips
    if not current:
        return Attested(judged)
    newest = max(one.on for one in current)
    latest = [one for one in current if one.on == newest]
    if len({one.answer for one in latest}) > 1:
        return Attested(judged, set_aside=latest[0], conflict=True)
    one = latest[-1]
    if not _may_settle(judged, one):
        agrees = judged.status == one.answer and judged.basis == "absence"
        return Attested(judged, set_aside=None if agrees else one)
    settled = msgspec.structs.replace(
        judged,
        status=one.answer,
        basis="attestation",
        change=spec.attested_change if one.answer == "not_met" else None,
        reason="",
    )
    return Attested(settled, by=one)


def _holds(one: Attestation, clock: Clock) -> bool:
    if not clock.has_come(one.on):
        return False
    if one.through is None:
        return True
    return one.through == date.max or not clock.has_come(one.through + timedelta(days=1))


def _may_settle(judged: Judgement, one: Attestation) -> bool:
    if judged.status in ("unknown", "needs_confirmation"):
        return True
    return judged.status == "met" and judged.basis == "absence" and one.answer == "not_met"
