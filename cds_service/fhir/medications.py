"""Finds out which drug a resource names: by itself, by a Medication, or by what that is made of."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cds_service.fhir import decoding, views
from cds_service.fhir.elements import (
    UNSURE,
    Coder,
    codings_of,
    modified,
    relative,
    says_nothing,
    words_of,
)
from cds_service.record.model import Coding

# As the data issue names it; one that is longer is nobody's.
_LONGEST_REFERENCE = 200


class Drug(msgspec.Struct, frozen=True):
    """Which drug a resource names.

    Args:
        concepts: by code, or by words where ``possible``.
        possible: it is named in words only, or by a code that is not verified.
        known: the tables know it, be it as something that is no drug of interest.
        words: its words, for a reader and for its form.
    """

    concepts: frozenset[str]
    display: str
    codes: tuple[Coding, ...]
    words: tuple[str, ...]
    possible: bool = False
    known: bool = True
    doubtful: bool = False


class Medications:
    """The Medication resources that others refer to."""

    def __init__(self, by_reference: dict[str, decoding.Decoded], coder: Coder) -> None:
        self._by_reference = by_reference
        self._coder = coder

    def drug(self, view: views.MedicationUse, broken: frozenset[str]) -> Drug | None:
        """The drug of a resource; None where it cannot be read."""
        if "medicationCodeableConcept" in broken or "medicationReference" in broken:
            return None
        named_by = view.medication_codeable_concept
        if named_by is not None:
            return self._coder.kinds.once(
                ("drug", named_by), lambda: drug_of([named_by], (), self._coder)
            )
        named = view.medication_reference
        if named is None or named.reference is None:
            return None
        contained = view.contained or []
        found = self._find(named.reference, contained)
        if found is None or not isinstance(found.view, views.MedicationView):
            return None
        held = contained if named.reference.startswith("#") else found.view.contained or []
        return self._of_medication(found, found.view, held)

    def not_found(self, view: views.MedicationUse, broken: frozenset[str]) -> str:
        """The reference to a drug's resource that is not there; empty where that is not why."""
        named = view.medication_reference
        reference = named.reference if named is not None else None
        if not reference or broken & {"medicationCodeableConcept", "medicationReference"}:
            return ""
        found = self._find(reference, view.contained or [])
        return relative(reference)[:_LONGEST_REFERENCE] if found is None else ""

    def _find(self, reference: str, contained: Iterable[msgspec.Raw]) -> decoding.Decoded | None:
        if not reference.startswith("#"):
            return self._by_reference.get(relative(reference))
        for raw in contained:
            decoded = decoding.decode(raw)
            view = decoded.view
            if isinstance(view, views.MedicationView) and view.id == reference[1:]:
                return decoded
        return None

    def _of_medication(
        self, decoded: decoding.Decoded, view: views.MedicationView, contained: list[msgspec.Raw]
    ) -> Drug | None:
        contents = self._contents(decoded, contained)
        # What an ingredient that cannot be read is, only a code of the whole product can tell.
        told = contents.whole or bool(self._coder.concepts(view.code))
        if not told or not contents.concepts:
            return None
        form = words_of([view.form])
        return drug_of(contents.concepts, form, self._coder, doubtful=contents.doubtful)

    def _contents(self, decoded: decoding.Decoded, contained: list[msgspec.Raw]) -> _Contents:
        """Follow the ingredients of a Medication; each reference is followed once."""
        found = _Contents([])
        waiting = [(decoded, contained)]
        followed: set[tuple[int, str]] = set()
        for medication, within in waiting:
            view = found.add(medication)
            for one in view.ingredient or () if view else ():
                item = one.item_codeable_concept
                if item is not None and not says_nothing(item):
                    found.concepts.append(item)
                    continue
                reference = (one.item_reference and one.item_reference.reference) or ""
                inner = self._find(reference, within)
                key = (id(within) if reference.startswith("#") else 0, relative(reference))
                if inner is None or key in followed:
                    found.whole = False
                    continue
                followed.add(key)
                own = inner.view.contained if inner.view else None
                waiting.append((inner, within if reference.startswith("#") else own or []))
        return found


class _Contents(msgspec.Struct):
    """What a Medication is made of, as far as it can be followed.

    Args:
        whole: everything in it was found, and no ingredient contains itself.
        doubtful: something in it may mean something else.
    """

    concepts: list[views.CodeableConcept]
    whole: bool = True
    doubtful: bool = False

    def add(self, decoded: decoding.Decoded) -> views.MedicationView | None:
        """Take in one Medication, without its ingredients."""
        view = decoded.view
        if not isinstance(view, views.MedicationView) or {"code", "ingredient"} & decoded.broken:
            self.whole = False
        if not isinstance(view, views.MedicationView):
            return None
        self.doubtful |= (
            modified(view, *(view.ingredient or ()))
            or bool(decoded.broken & {*UNSURE, "status"})
            or view.status == "entered-in-error"
        )
        if view.code is not None:
            self.concepts.append(view.code)
        return view


def drug_of(
    concepts: list[views.CodeableConcept],
    form: Iterable[str],
    coder: Coder,
    *,
    doubtful: bool = False,
) -> Drug | None:
    """The drug of some CodeableConcepts: by code, or else by words; None where they say nothing."""
    words = words_of(concepts)
    match = coder.match(*concepts)
    codes = tuple(code for concept in concepts for code in codings_of(concept))
    display = next(iter(words), "")
    if not words and not any(code.code for code in codes):
        return None
    sure = match.concepts - match.possible
    if match.concepts or match.trap:
        held = sure or match.concepts
        possible = not sure and bool(match.concepts)
        return Drug(held, display, codes, (*words, *form), possible=possible, doubtful=doubtful)
    named = coder.words("drug", words)
    return Drug(
        named, display, codes, (*words, *form),
        possible=True, known=bool(named), doubtful=doubtful,
    )  # fmt: skip
