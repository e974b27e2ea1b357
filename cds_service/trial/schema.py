"""The form of a trial file: what an informatician may write, and what every criterion must say."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cds_service.report import Basis, Change, Status
from cds_service.trial.card_words import CardWords, Headline
from cds_service.trial.rules import Rule
from cds_service.trial.rules.model import Concept


class TrialModel(BaseModel):
    """Base of every part: unknown keys are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Outcome(TrialModel):
    """What a finding means, and how it is worded.

    Args:
        status: the criterion's status.
        basis: where it comes from; evidence unless said, none for unknown and needs_confirmation.
        change: for ``not_met``, whether it can change.
        words: one sentence for the clinician; ``{name}`` is filled from the finding.
        headline: for ``not_met``, how the card's one sentence names it; the title unless said.
    """

    status: Status
    basis: Basis | None = None
    change: Change | None = None
    words: str
    headline: Headline | None = None


class Reading(TrialModel):
    """Where the public text is ambiguous: the reading chosen, and the others."""

    chosen: str
    alternatives: tuple[str, ...]


class Settles(TrialModel):
    """What settles a criterion that is open: orders and questions by their ids."""

    orders: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


class CriterionSpec(TrialModel):
    """One criterion of the trial.

    Args:
        sentences: numbers of the sentences of the public text that it decides.
        says: our own paraphrase of them.
        absence: what it means that the record holds nothing, in words for a reader of this file.
        attested_change: the change of a ``not_met`` that a person or the site stated.
        advisories: words of remarks that do not change the status, by key.
    """

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    kind: Literal["inclusion", "exclusion"]
    title: str
    sentences: tuple[str, ...] = Field(min_length=1)
    says: str
    absence: str
    reading: Reading | None = None
    rule: Rule
    outcomes: dict[str, Outcome]
    phrases: dict[str, str] = {}
    settles: Settles = Settles()
    attested_change: Change = "new_data"


class Order(TrialModel):
    """A test that can be ordered with one click."""

    label: str
    concept: Concept
    system: str
    code: str


class Question(TrialModel):
    """Something only a person can answer.

    Args:
        concept: what is asked for, where it is one value that a record may hold.
    """

    label: str
    concept: Concept | None = None


class Relevance(TrialModel):
    """Whose chart is looked at at all."""

    diagnoses: tuple[Concept, ...]
    morphology: tuple[Concept, ...]
    exposures: tuple[Concept, ...]


class CommonWords(TrialModel):
    """Words for findings that any criterion can have."""

    unread: str
    unreadable_resource: str
    imprecise: str
    doubtful: str
    birth: str
    attested_met: str
    attested_not_met: str
    stand_in: str
    default_time_zone: str
    unmapped_drugs: str
    nothing: str
    unreadable: str


class Trial(TrialModel):
    """A trial as data.

    Args:
        sentences: each sentence of the public text by number, as our paraphrase.
        text_digest: SHA-256 of the public text that the file implements.
    """

    id: str
    version: str
    title: str
    registry: str
    text_version: str
    text_digest: str
    notice: str
    topic_system: str
    relevance: Relevance
    sentences: dict[str, str]
    orders: dict[str, Order]
    questions: dict[str, Question]
    common: CommonWords
    card: CardWords
    criteria: tuple[CriterionSpec, ...]
    digest: str = ""

    def criterion(self, id_: str) -> CriterionSpec | None:
        """The criterion of that id, if the trial has it."""
        return next((item for item in self.criteria if item.id == id_), None)
