"""What an Observation, or a component of one, is about: by its code, or by its words."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cds_service.fhir import views
from cds_service.fhir.elements import Coder, codings_of, says_nothing, words_of
from cds_service.record.codes import Match
from cds_service.record.model import Coding


class Observed(msgspec.Struct, frozen=True):
    """What was observed. Charts repeat few of these, so each is worked out once.

    Args:
        labels: what tells one graded finding from another: the codes, or else the words.
        silent: neither a code nor a word says what it is.
    """

    match: Match
    quantity: str | None
    name: str
    labels: tuple[str, ...]
    codes: tuple[Coding, ...]
    silent: bool


def observed(
    coder: Coder,
    code: views.CodeableConcept | None,
    method: views.CodeableConcept | None = None,
    category: Sequence[views.CodeableConcept] = (),
) -> Observed:
    """What an Observation or a component is about."""
    return coder.kinds.once(
        ("observed", code, method, *category), lambda: _new_kind(coder, code, method, category)
    )


def _new_kind(
    coder: Coder,
    code: views.CodeableConcept | None,
    method: views.CodeableConcept | None,
    category: Sequence[views.CodeableConcept],
) -> Observed:
    match = _recognise(coder, code, method, category)
    return Observed(
        match,
        coder.codes.quantity_of(match.concepts),
        coder.name(match.concepts),
        _labels(code),
        codings_of(code),
        says_nothing(code),
    )


def _recognise(
    coder: Coder,
    code: views.CodeableConcept | None,
    method: views.CodeableConcept | None,
    category: Sequence[views.CodeableConcept],
) -> Match:
    """By code; an assessment also by the words of code, category and method."""
    match = coder.match(code)
    texts = words_of([code, method, *category])
    codes = [one.code for m in (method,) if m for one in m.coding or () if one.code]
    named = coder.words("assessment", [*texts, *codes])
    if named:
        return msgspec.structs.replace(match, concepts=match.concepts | named)
    return match


def _labels(code: views.CodeableConcept | None) -> tuple[str, ...]:
    """What tells one graded finding from another: the codes, or else the words."""
    codes = tuple(f"{one.system or ''}|{one.code}" for one in codings_of(code) if one.code)
    return codes or tuple(words_of([code]))
