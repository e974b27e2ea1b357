"""Rules on the tumour: site, spread, histology and grade, and what its scans show."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from cds_service.trial.rules.model import Concept, Results, RuleModel, outcomes


class TumorSiteRule(RuleModel):
    """Where the primary tumour is, from coded diagnoses, body sites and morphology."""

    kind: Literal["tumor-site"]
    accepted: tuple[Concept, ...]
    accepted_sites_with_morphology: tuple[Concept, ...]
    accepted_body_sites: tuple[Concept, ...]
    other_body_sites: tuple[Concept, ...]
    morphology: tuple[Concept, ...]
    review: tuple[Concept, ...]
    other_site: tuple[Concept, ...]
    metastasis: tuple[Concept, ...]
    tumor: tuple[Concept, ...]
    OUTCOMES = outcomes(
        accepted="diagnosis", review="diagnosis", unconfirmed="diagnosis",
        other_site="diagnosis", none="",
    )  # fmt: skip


class MetastaticRule(RuleModel):
    """Metastasis as a diagnosis, or a stage that says so."""

    kind: Literal["metastatic"]
    metastasis: tuple[Concept, ...]
    stage_observation: Results
    stage: tuple[Concept, ...]
    tumor: tuple[Concept, ...]
    OUTCOMES = outcomes(metastasis="what", unconfirmed="what", none="")


class HistologyRule(RuleModel):
    """A morphology code, or a pathology report that names the tumour."""

    kind: Literal["histology"]
    morphology: tuple[Concept, ...]
    tumor: tuple[Concept, ...]
    pathology: Results
    morphology_observation: Results
    OUTCOMES = outcomes(confirmed="what", unconfirmed="what", none="")


class GradeRule(RuleModel):
    """The latest grade; Ki-67 only supports."""

    kind: Literal["grade"]
    observation: Results
    accepted: tuple[Concept, ...]
    refused: tuple[Concept, ...]
    proliferation: Results
    proliferation_limit: Decimal
    OUTCOMES = outcomes(
        accepted="grade date", refused="grade date", disagree="grade", unconfirmed="grade",
        unreadable="value date", proliferation_low="value date", proliferation_high="value date",
        proliferation_unreadable="value date", none="", advisory_older="date",
    )  # fmt: skip


class ScanRule(RuleModel):
    """The latest scan with one of the named tracers, within a number of months."""

    kind: Literal["scan"]
    tracer: tuple[Concept, ...]
    other_tracer: tuple[Concept, ...]
    scan: tuple[Concept, ...]
    within_months: int
    recommended_months: int
    OUTCOMES = outcomes(
        recent="scan date", outdated="scan date", no_tracer="scan date", none="",
        advisory_old="date", advisory_newer="date",
    )  # fmt: skip


class UptakeRule(RuleModel):
    """Lesion SUVmax against the mean SUV of normal liver, on the scan that decides another rule."""

    kind: Literal["uptake"]
    scan: ScanRule
    uptake: Results
    maximum: tuple[Concept, ...]
    mean: tuple[Concept, ...]
    organ: tuple[Concept, ...]
    positive: tuple[Concept, ...]
    negative: tuple[Concept, ...]
    OUTCOMES = outcomes(
        positive_values="lesion organ date", negative_values="lesion organ date",
        positive_conclusion="date", negative_conclusion="date", disagree="date",
        straddles="lesion organ date", unusable="what", open="",
    )  # fmt: skip
