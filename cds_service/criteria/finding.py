"""What a rule found: an outcome key, the values its words mention, and the facts behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from cds_service.criteria.view import Fact, View
from cds_service.record.dates import When
from cds_service.record.model import Diagnosis, Exposure, Result
from cds_service.report import Evidence


class SiteFacts(msgspec.Struct, frozen=True):
    """What the site's configuration contributes to a rule.

    Args:
        normal_limits: upper limits of normal by quantity, in canonical units.
        exception_multiple: the multiple of normal for the exception of a laboratory rule.
        activity_tolerance: replaces the trial file's tolerance.
        settings: yes or no settings by name; None for not configured.
    """

    normal_limits: dict[str, Any] = {}
    exception_multiple: Any = None
    activity_tolerance: Any = None
    settings: dict[str, bool | None] = {}


class Wording(Protocol):
    """How concepts and amounts are shown to a reader."""

    def label(self, concept: str) -> str:
        """The concept's name for people."""
        ...

    def shown(self, quantity: str, value: Any) -> str:
        """A normalised amount with its unit."""
        ...

    def quantity_of(self, concepts: frozenset[str]) -> str | None:
        """The kind of measurement that concepts stand for."""
        ...


class Finding(msgspec.Struct):
    """What a rule found.

    Args:
        outcome: key into the criterion's outcomes.
        facts: the facts that it rests on.
        values: what the words may mention.
        phrases: advisories, as (key into the criterion's phrases, values).
        stands: it holds whatever else the record may contain (a drug once given).
        always: it holds even where reads failed (a sentence that is never an obstacle).
        proofs: types of resources of which any one that was read to its end proves it, whatever is
            unread of the others.
        lacks: the concepts whose values would settle it; None for whatever settles the criterion.
    """

    outcome: str
    facts: tuple[Fact, ...] = ()
    values: dict[str, str] = {}
    phrases: tuple[tuple[str, dict[str, str]], ...] = ()
    stands: bool = False
    always: bool = False
    proofs: frozenset[str] = frozenset()
    lacks: tuple[str, ...] | None = None


def types_of(facts: Iterable[Fact]) -> frozenset[str]:
    """The types of the resources that facts are from."""
    return frozenset(fact.source.reference.partition("/")[0] for fact in facts)


class Context(msgspec.Struct):
    """Everything beside its own parameters that a rule may use."""

    view: View
    site: SiteFacts
    words: Wording
    phrases: dict[str, str] = {}

    def label(self, concepts: Iterable[str], among: Iterable[str]) -> str:
        """The name of the first of ``among`` that the concepts include."""
        held = frozenset(concepts)
        return next((self.words.label(name) for name in among if name in held), "")

    def phrase(self, key: str, **values: str) -> str:
        """A piece of wording of the criterion, filled in."""
        return self.phrases[key].format_map(values)


RuleFunction = Callable[[Any, Context], Finding]


def shown_date(when: When | None) -> str:
    """A fact's date for a sentence."""
    return "no date" if when is None else when.shown()


def named(facts: Iterable[Fact]) -> str:
    """The displays of facts, each once, for a sentence."""
    return ", ".join(dict.fromkeys(fact.source.display for fact in facts))


def dated(facts: Iterable[Fact]) -> str:
    """The displays of facts with their dates, each once, for a sentence."""
    texts = (f"{fact.source.display} ({shown_date(fact.when)})" for fact in facts)
    return ", ".join(dict.fromkeys(texts))


def evidence_of(fact: Fact, stand_in: str) -> Evidence:
    """A fact as published evidence.

    Args:
        stand_in: wording for a date that stood in for the clinical one; ``{element}`` is its name.
    """
    notes = list(fact.source.notes)
    when = fact.when
    if when is not None and when.stand_in:
        notes.append(stand_in.format_map({"element": when.stand_in}))
    value, normalized = _values(fact)
    return Evidence(
        reference=fact.source.reference,
        display=fact.source.display,
        value=value,
        normalized=normalized,
        date=None if when is None or when.unreadable else when.shown(),
        notes=tuple(notes),
        end=_end(fact),
        shown=fact.shown or None if isinstance(fact, Result) else None,
    )


def _end(fact: Fact) -> str | None:
    """The last day of what went on for longer than one."""
    end = fact.end if isinstance(fact, Exposure) else None
    return None if end is None or end == fact.when else end.shown()


def _values(fact: Fact) -> tuple[str | None, str | None]:
    if isinstance(fact, Result):
        return fact.original or None, fact.normalized or None
    if isinstance(fact, Exposure):
        parts = [fact.strength.value, fact.activity_original]
        return ", ".join(part for part in parts if part), None
    if isinstance(fact, Diagnosis):
        return fact.verification.value, None
    return None, None
