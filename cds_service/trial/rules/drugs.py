"""Rules on drugs: how long, never, and for information."""

from __future__ import annotations

from typing import Literal

from cds_service.trial.rules.model import Concept, RuleModel, outcomes


class ExposureDaysRule(RuleModel):
    """At most so many days on a drug in all."""

    kind: Literal["exposure-days"]
    drug: tuple[Concept, ...]
    other_product: tuple[Concept, ...]
    maximum_days: int
    OUTCOMES = outcomes(
        within="days", beyond="days", end_unknown="start", undated="", unreadable="what",
        other_product="what",
        beside="days what", ordered_only="what", none="",
    )  # fmt: skip


class NoExposureRule(RuleModel):
    """Never exposed to a class of drug, at any time.

    Args:
        review_diagnoses: Conditions that tell of its use, for a person to judge.
    """

    kind: Literal["no-exposure"]
    drug: tuple[Concept, ...]
    local_forms: tuple[Concept, ...]
    review_diagnoses: tuple[Concept, ...] = ()
    OUTCOMES = outcomes(
        given="what date", local="what", ordered_only="what", by_text="what", told="what", none="",
    )  # fmt: skip


class InformationRule(RuleModel):
    """Never an obstacle; what is in use is told."""

    kind: Literal["information"]
    drug: tuple[Concept, ...]
    syndrome: tuple[Concept, ...]
    OUTCOMES = outcomes(
        in_use_with_syndrome="what date syndrome", in_use="what date",
        not_in_use_with_syndrome="syndrome", not_in_use="",
    )  # fmt: skip
