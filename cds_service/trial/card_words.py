"""The words of a card, as the trial file holds them.

A template names the values that the card builder fills in as ``{name}``. Which names a template may
use is written beside it here and checked when the trial file is loaded, as is that no template says
what only an investigator may conclude.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from string import Formatter
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cds_service.report import Overall

_T = TypeVar("_T", bound=str)

# Conclusions that a card never draws (eligibility rules, "Overall").
_CONCLUSION = re.compile(
    r"\beligible\b|\bineligible\b|\bqualif|\bshould (?:be )?enrol", re.IGNORECASE
)


def _template(*names: str) -> AfterValidator:
    return AfterValidator(_checker(frozenset(names)))


def _checker(names: frozenset[str]) -> Callable[[str], str]:
    def check(template: str) -> str:
        """Refuse a template that the card builder could not fill, or that concludes."""
        try:
            parts = tuple(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"is no template: {error}") from error
        used = {name for _, name, _, _ in parts if name is not None}
        if unknown := used - names:
            allowed = ", ".join(sorted(names)) or "none"
            raise ValueError(f"cannot fill {{{min(unknown)}}}; allowed here: {allowed}")
        if any(shape or conversion for _, _, shape, conversion in parts):
            raise ValueError("allows no format after a name")
        if found := _CONCLUSION.search(template):
            raise ValueError(f"says {found[0]!r}, which only an investigator concludes")
        return template

    return check


Words = Annotated[str, Field(min_length=1), _template()]
Headline = Annotated[str, Field(min_length=1), _template("title")]
Code = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]


class CardModel(BaseModel):
    """Base of every part: unknown keys are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Counted(CardModel):
    """A template for one thing, and one for several."""

    one: Annotated[str, _template("title")]
    other: Annotated[str, _template("count")]


class Results(CardModel, Generic[_T]):
    """One text for each overall result that a card can have."""

    all_met: _T
    possible: _T
    not_now: _T
    excluded: _T
    not_relevant: _T

    def of(self, overall: Overall) -> _T:
        """The text for an overall result."""
        text: _T = getattr(self, overall)
        return text


class Ending(CardModel):
    """What ends a run of days, for one criterion and for several."""

    one: Annotated[str, _template("titles")]
    other: Annotated[str, _template("titles")]


class ServiceWords(CardModel):
    """How the service presents itself in discovery."""

    title: Words
    description: Words
    usage_requirements: Words


class OverrideReason(CardModel):
    """Why a clinician may set the card aside; the code is kept for good."""

    code: Code
    display: Words


class SummaryWords(CardModel):
    """The one sentence of a card.

    Args:
        results: the sentence for each overall result; ``{next}`` is what matters most next.
        incomplete: the sentence where data could not be read and nothing is known to block.
        missing: criteria with no usable data.
        undecided: the only one of these, where there is something that cannot be used; a finding
            among ``undecided_unless`` says that there is nothing.
        confirm: criteria that a person must judge.
        outdated: a criterion whose data is too old; which those are, ``outdated_findings`` says.
        more: further blockers that the sentence has no room for.
        nothing_next: stands for ``{next}`` where nothing is open and nothing expires.
    """

    results: Results[Annotated[str, _template("trial", "next")]]
    incomplete: Annotated[str, _template("trial", "unread")]
    missing: Counted
    undecided: Annotated[str, _template("title")]
    undecided_unless: tuple[str, ...]
    confirm: Counted
    outdated: Annotated[str, _template("title")]
    outdated_findings: tuple[str, ...]
    blocked: Annotated[str, _template("title")]
    blocked_until: Annotated[str, _template("title", "date")]
    more: Annotated[str, _template("count")]
    some_unread: Words
    valid_through: Annotated[str, _template("date")]
    nothing_next: Words


class Headings(CardModel):
    """The headings of a card's detail, in their order."""

    blocks: Words
    missing: Words
    confirm: Words
    unread: Words
    met: Words
    outlook: Words
    data: Words


class DetailWords(CardModel):
    """The sentences of a card's detail.

    Args:
        results: what each overall result means.
        incomplete: added where data could not be read.
        unsigned: added where nobody signed the criteria and codes in force.
        time, time_unknown, new_data, permanent: whether a blocker can change.
        evidence: one resource behind a status; ``{parts}`` are its value, date and reference.
        period, since, until: the days of what did not happen on one day.
        segments: each overall result as it is called in the outlook.
        segment, segment_reason: one run of days of the outlook.
        expires, clears: what ends a run, for the worse and for the better.
        horizon: the run that reaches the end of the days looked at.
    """

    title: Annotated[str, _template("trial", "subject", "date")]
    results: Results[Words]
    incomplete: Words
    unsigned: Words
    headings: Headings
    criterion: Annotated[str, _template("title", "summary")]
    time: Annotated[str, _template("date")]
    time_unknown: Words
    new_data: Words
    permanent: Words
    valid_through: Annotated[str, _template("date")]
    evidence: Annotated[str, _template("what", "parts")]
    same_as: Annotated[str, _template("value", "normalized")]
    period: Annotated[str, _template("start", "end")]
    since: Annotated[str, _template("start")]
    until: Annotated[str, _template("end")]
    more: Annotated[str, _template("count")]
    advisory: Annotated[str, _template("text")]
    settles_order: Annotated[str, _template("labels")]
    settles_question: Annotated[str, _template("labels")]
    segments: Results[Words]
    segment: Annotated[str, _template("result", "date")]
    segment_reason: Annotated[str, _template("result", "date", "reason")]
    expires: Ending
    clears: Ending
    horizon: Annotated[str, _template("result", "date")]
    then: Words
    issue: Annotated[str, _template("message", "reference")]
    unmapped: Annotated[str, _template("names")]
    review: Annotated[str, _template("date")]
    versions: Annotated[
        str, _template("trial", "text", "version", "digest", "mappings", "mappings_digest")
    ]


class SuggestionWords(CardModel):
    """A proposed order."""

    label: Annotated[str, _template("order")]
    action: Annotated[str, _template("order")]
    reason: Annotated[str, _template("trial")]


class CardWords(CardModel):
    """Every word of a card that does not come from the patient's report.

    Args:
        trial: the trial's short name.
        source: who speaks on the card.
        override_system: code system of the override reasons.
        protocol_link: label of the link that a site may configure.
    """

    trial: Words
    source: Words
    service: ServiceWords
    summary: SummaryWords
    detail: DetailWords
    suggestion: SuggestionWords
    override_system: Annotated[str, Field(pattern=r"^(https?://|urn:)\S+$")]
    override_reasons: tuple[OverrideReason, ...] = Field(min_length=1)
    protocol_link: Words
