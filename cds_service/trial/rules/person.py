"""Rules on the person: age, answers of people, site settings, consent, performance status."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from cds_service.trial.rules.model import Concept, Results, RuleModel, outcomes


class AgeRule(RuleModel):
    """Completed years on the day of enrolment."""

    kind: Literal["age"]
    minimum_years: int
    OUTCOMES = outcomes(old_enough="age", too_young="age birthday", no_birth_date="")


class AttestationRule(RuleModel):
    """Something only a person can know; settled by an attestation."""

    kind: Literal["attestation"]
    OUTCOMES = outcomes(ask="languages")


class SiteSettingRule(RuleModel):
    """Something the site's configuration answers with yes or no."""

    kind: Literal["site-setting"]
    setting: Literal["everolimus_access"]
    OUTCOMES = outcomes(yes="", no="", not_configured="")


class ConsentRule(RuleModel):
    """An active consent to this trial."""

    kind: Literal["consent"]
    consent: tuple[Concept, ...]
    OUTCOMES = outcomes(signed="date", ask="")


class PerformanceRule(RuleModel):
    """A performance status at most so high, with a second scale that stands in."""

    kind: Literal["performance-status"]
    scale: Results
    answers: tuple[Concept, ...]
    maximum: Decimal
    advisory_days: int
    other_scale: Results
    other_met_from: Decimal
    other_not_met_to: Decimal
    OUTCOMES = outcomes(
        met="value date", not_met="value date", disagree="date", unusable="value date",
        converted_met="value date", converted_not_met="value date", converted_unclear="value date",
        converted_straddles="value date", none="", advisory_old="date", advisory_older="date",
        straddles="value date",
    )  # fmt: skip
