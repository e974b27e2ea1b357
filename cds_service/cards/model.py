"""What a service answers with: cards, in the words of CDS Hooks 2.0.

Sections CDS Service Response and Card Attributes. Optional members that are unset do not appear:
the specification allows neither null nor empty members.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from cds_service.report import Report


class Coding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A code with its system and, for people, its words."""

    system: str
    code: str
    display: str | None = None


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """The primary source of the guidance on the card."""

    label: str
    url: str | None = None
    topic: Coding | None = None


class Action(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One change in the EHR that a suggestion proposes; this service only ever creates drafts."""

    type: Literal["create"]
    description: str
    resource: dict[str, Any]


class Suggestion(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What the user may accept with one click."""

    label: str
    uuid: str
    actions: tuple[Action, ...]


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """A link to an app or a page; its URL comes from configuration only."""

    label: str
    url: str
    type: Literal["absolute"]


class Card(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Guidance about one patient and one trial.

    Args:
        summary: one sentence of fewer than 140 characters, plain text.
        detail: GitHub-flavoured Markdown with no HTML.
        indicator: always ``info``: recruiting for a trial is never a warning.
        extension: the whole report, under a name of our own.
        selection_behavior: required where there are suggestions.
    """

    uuid: str
    summary: str
    indicator: Literal["info"]
    source: Source
    detail: str
    suggestions: tuple[Suggestion, ...] = ()
    selection_behavior: Literal["any"] | None = None
    override_reasons: tuple[Coding, ...] = ()
    links: tuple[Link, ...] = ()
    extension: dict[str, Report] = {}


class Cards(msgspec.Struct, frozen=True):
    """The answer of a service; no cards is a statement, too, so that the list is always there."""

    cards: tuple[Card, ...]
