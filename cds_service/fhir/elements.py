"""How elements are read: codes, words, dates, quantities, modifiers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from cds_service.fhir import views
from cds_service.record.codes import CodeBook, Match
from cds_service.record.dates import FIRST_DAY, LAST_DAY, When, parse_when, unreadable_when
from cds_service.record.model import NO_CONCEPTS, Coding, Source
from cds_service.record.reads import DataIssue, Unreadable
from cds_service.record.units import UnitBook

T = TypeVar("T")

# Words longer than this are prose, and prose is no coded answer.
_LONGEST_ANSWER = 60
# Numbers beyond this many digits before or after the point are no measured value.
_MOST_DIGITS = 40
_NUMBER_STARTS = frozenset("-0123456789")
_MOST_KNOWN_WORDS = 20_000
_MOST_KINDS = 5_000
# Longer ones, in bytes, hold prose, which does not recur.
_LONGEST_KIND = 2_000
_YEARS = frozenset({"a", "year", "years", "yr", "yrs"})
# Elements that, unreadable, leave open whether a resource means what it seems to, or is about whom.
UNSURE = frozenset({"modifierExtension", "implicitRules", "subject", "patient"})


class Issues:
    """Data issues and unreadable resources, as they are found."""

    def __init__(self, found: list[DataIssue] | None = None) -> None:
        self.found = found if found is not None else []
        self.unreadable: list[Unreadable] = []

    def add(self, code: str, reference: str, message: str) -> None:
        """Note a data issue."""
        self.found.append(DataIssue(code, reference, message))

    def cannot_read(self, reference: str, kind: str, reason: str, detail: str = "") -> None:
        """Note a resource that may be about anything of its type.

        Args:
            detail: what the reason is about, of this resource alone.
        """
        self.unreadable.append(Unreadable(reference, kind, reason))
        self.add("unreadable", reference, f"{reason}: {detail}" if detail else reason)

    def about_date(self, when: When | None, reference: str, name: str) -> None:
        """Note that a fact has no date, or one that cannot be read."""
        if when is None:
            self.add("no-date", reference, f"{name}: no date is recorded")
        self.unless_readable(when, reference, name)

    def unless_readable(self, when: When | None, reference: str, name: str) -> None:
        """Note that a date of a fact, if it has it, cannot be read."""
        if when is not None and when.unreadable:
            self.add("unreadable-date", reference, f"{name}: its date cannot be read")


class Kinds:
    """What was worked out before; bounded, since senders choose what is asked.

    Charts repeat few codes and words. The keys are such elements, never values or dates.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, work_out: Callable[[], T]) -> T:
        """What was kept under a key; what is worked out now where nothing was.

        Args:
            key: everything that the work depends on, with a name for the work before it.
        """
        found: T | None = self._known.get(key)
        if found is None:
            found = work_out()
            self._keep(key, found)
        return found

    def _keep(self, key: Hashable, found: Any) -> None:
        if len(msgspec.msgpack.encode(key)) > _LONGEST_KIND:
            return
        if len(self._known) >= _MOST_KINDS:
            # A full store starts anew.
            self._known.clear()
        self._known[key] = found


class Coder:
    """Codes, words, units and dates by one site's tables and zone."""

    def __init__(self, codes: CodeBook, units: UnitBook, zone: tzinfo) -> None:
        self.codes = codes
        self.units = units
        self.zone = zone
        self._names: dict[frozenset[str], str] = {}
        self._known_words: dict[tuple[str, str], frozenset[str]] = {}
        self.kinds = Kinds()

    def match(self, *concepts: views.CodeableConcept | None) -> Match:
        """What the codes of some CodeableConcepts stand for together."""
        return self.codes.match_all(_keys(concepts))

    def concepts(self, *concepts: views.CodeableConcept | None) -> frozenset[str]:
        """The concepts of some CodeableConcepts' codes."""
        keys = _keys(concepts)
        return self.codes.match_all(keys).concepts if keys else NO_CONCEPTS

    def answers(
        self, domains: Sequence[str], *concepts: views.CodeableConcept | None
    ) -> frozenset[str]:
        """The concepts of an answer: by its codes, or by its exact words."""
        return self.concepts(*concepts) | self.exact(domains, words_of(concepts))

    def exact(self, domains: Sequence[str], texts: Iterable[str]) -> frozenset[str]:
        """The concepts of exact words, in any of the domains."""
        found = NO_CONCEPTS
        for text in texts:
            if len(text) <= _LONGEST_ANSWER:
                for domain in domains:
                    found |= self._words(domain, text)
        return found

    def words(self, domain: str, texts: Iterable[str]) -> frozenset[str]:
        """The concepts that whole words of some texts name."""
        found = NO_CONCEPTS
        for text in texts:
            found |= self._words(domain, text)
        return found

    def _words(self, domain: str, text: str) -> frozenset[str]:
        """Displays recur in every chart, so short texts are looked up once; prose is not kept."""
        if len(text) > _LONGEST_ANSWER:
            return self.codes.words(domain, text)
        key = (domain, text)
        found = self._known_words.get(key)
        if found is None:
            if len(self._known_words) >= _MOST_KNOWN_WORDS:
                self._known_words.clear()
            found = self._known_words[key] = self.codes.words(domain, text)
        return found

    def name(self, concepts: frozenset[str]) -> str:
        """The name of the narrowest of some concepts."""
        found = self._names.get(concepts)
        if found is None:
            narrowest = min(
                concepts, key=lambda c: (len(self.codes.descendants(c)), c), default=None
            )
            found = self.codes.label(narrowest) if narrowest else ""
            self._names[concepts] = found
        return found

    def source(
        self,
        reference: str,
        concept: views.CodeableConcept | None,
        display: str,
        notes: tuple[str, ...] = (),
    ) -> Source:
        """Where a fact comes from, with its raw codes."""
        return Source(reference, display or shown(concept), codings_of(concept), notes)

    def display(self, concept: views.CodeableConcept | None, concepts: frozenset[str]) -> str:
        """What a resource is about: in its own words, or else by our name with its code."""
        own = next(iter(words_of([concept])), "")
        name = self.name(concepts)
        if own or not name:
            return own or shown(concept)
        code = code_of(concept)
        return f"{name} ({code})" if code else name

    def when(self, text: str | None, *, stand_in: str | None = None) -> When | None:
        """Read a date; None where there is none."""
        return None if text is None else parse_when(text, self.zone, stand_in=stand_in)

    def until(self, text: str | None) -> When | None:
        """Read the end of something; None where there is none, or 9999-12-31 stands for none."""
        day = self.when(text)
        return None if day is None or day.endless else day


# --- Codes and words ---------------------------------------------------------------------------


def _keys(concepts: Iterable[views.CodeableConcept | None]) -> list[tuple[str | None, str | None]]:
    return [
        (coding.system, coding.code)
        for concept in concepts
        if concept is not None
        for coding in concept.coding or ()
    ]


def codings_of(concept: views.CodeableConcept | None) -> tuple[Coding, ...]:
    """The raw codes of a CodeableConcept."""
    if concept is None:
        return ()
    return tuple(Coding(one.system, one.code, one.display) for one in concept.coding or ())


def words_of(concepts: Iterable[views.CodeableConcept | None]) -> list[str]:
    """The texts and displays of some CodeableConcepts."""
    found: list[str] = []
    for concept in concepts:
        if concept is None:
            continue
        if concept.text:
            found.append(concept.text)
        found.extend(one.display for one in concept.coding or () if one.display)
    return found


def shown(concept: views.CodeableConcept | None) -> str:
    """A CodeableConcept for a reader: its text, a display, or a code."""
    if concept is None:
        return ""
    if concept.text:
        return concept.text
    codings = concept.coding or ()
    return next((one.display for one in codings if one.display), None) or next(
        (one.code for one in codings if one.code), ""
    )


def says_nothing(concept: views.CodeableConcept | None) -> bool:
    """Whether a CodeableConcept has neither a code nor a word."""
    return not shown(concept)


def codes_of(concept: views.CodeableConcept | None) -> frozenset[str]:
    """All codes of a CodeableConcept, of whatever system."""
    codings = concept.coding if concept is not None else None
    return frozenset([one.code for one in codings if one.code]) if codings else NO_CONCEPTS


def code_of(concept: views.CodeableConcept | None) -> str | None:
    """The first code of a CodeableConcept, where a status is one code."""
    if concept is None:
        return None
    return next((one.code for one in concept.coding or () if one.code), None)


# --- Modifiers, references ---------------------------------------------------------------------


def modified(view: views.Resource, *elements: views.Annotated | None) -> bool:
    """Whether something that is not understood may change the meaning.

    No modifier extension and no implicit rules are known to this service.
    """
    if view.modifier_extension or view.implicit_rules:
        return True
    return bool(elements) and any(one is not None and one.modifier_extension for one in elements)


def relative(reference: str) -> str:
    """A reference without its version: ``Patient/2/_history/3`` names ``Patient/2``."""
    return reference.partition("/_history/")[0] if "/_history/" in reference else reference


def references(found: Iterable[views.Reference] | None) -> tuple[str, ...]:
    """The texts of some references, without versions."""
    return tuple(relative(one.reference) for one in found or () if one.reference)


# --- Dates -------------------------------------------------------------------------------------


def period_end(period: views.Period, coder: Coder) -> When | None:
    """The end of a period; of an open one every day from its start on."""
    end = coder.until(period.end)
    if end is not None:
        return end
    start = coder.when(period.start)
    return None if start is None else open_end(start)


def period_start(period: views.Period, coder: Coder) -> When | None:
    """The start of a period; where only its end is known, any day up to that."""
    start, end = coder.when(period.start), coder.until(period.end)
    if start is not None or end is None or end.unreadable:
        return start or end
    return When(FIRST_DAY, end.last, text=f"/{end.text}")


def any_day(period: views.Period, coder: Coder) -> When | None:
    """Any day of a period; of one without an end, its start."""
    start, end = period_start(period, coder), coder.until(period.end)
    if start is None or end is None:
        return start
    if start.unreadable or end.unreadable or end.last < start.first:
        return unreadable_when(f"{period.start}/{period.end}")
    return When(start.first, end.last, text=f"{period.start or ''}/{period.end}")


def open_end(start: When) -> When:
    """The end of a period that has only a start: every day from then on."""
    return start if start.unreadable else When(start.first, LAST_DAY, text=f"{start.text}/")


def onset_at_age(age: views.QuantityView, birth: When | None) -> When | None:
    """The year of life in which something began, as days: from that birthday to the next."""
    years = number(age.value)
    if birth is None or birth.unreadable or years is None or not in_years(age):
        return None
    whole = int(years)
    try:
        first = birth.first.replace(year=birth.first.year + whole, day=min(birth.first.day, 28))
        last = birth.last.replace(year=birth.last.year + whole + 1, day=min(birth.last.day, 28))
    except (ValueError, OverflowError):
        return None
    return When(first, last + timedelta(days=3), text=f"age {whole}", stand_in="onsetAge")


def in_years(age: views.QuantityView) -> bool:
    """Whether an age is told in years; a bare number is."""
    unit = age.code or age.unit or "a"
    return unit.strip().lower() in _YEARS


# --- Numbers -----------------------------------------------------------------------------------


def number(raw: msgspec.Raw) -> Decimal | None:
    """A JSON number as an exact Decimal; None for anything else (a string is no number)."""
    try:
        text = str(raw, "ascii")
        if text[:1] not in _NUMBER_STARTS:
            return None
        value = Decimal(text)
    except (InvalidOperation, UnicodeDecodeError, ValueError):
        return None
    if len(text) <= _MOST_DIGITS and "e" not in text and "E" not in text:
        # So few characters without an exponent are neither too many digits nor too large.
        return value
    if not value.is_finite() or len(value.as_tuple().digits) > _MOST_DIGITS:
        return None
    return value if abs(value.adjusted()) <= _MOST_DIGITS else None


def has(raw: msgspec.Raw) -> bool:
    """Whether an element is there at all."""
    return bool(raw) and bytes(raw) != b"null"
