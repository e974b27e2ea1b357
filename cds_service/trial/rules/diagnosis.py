"""Rules on other diagnoses and procedures."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from cds_service.trial.rules.model import Concept, Results, RuleModel, outcomes


class ControlledInfectionRule(RuleModel):
    """An infection that is allowed while it is suppressed by therapy."""

    kind: Literal["controlled-infection"]
    infection: tuple[Concept, ...]
    load: Results
    therapy: tuple[Concept, ...]
    undetectable: tuple[Concept, ...]
    detectable: tuple[Concept, ...]
    within_months: int
    comparator_limit: Decimal
    value_limit: Decimal
    OUTCOMES = outcomes(
        none="", unconfirmed="what", suppressed="value date what", detectable="value date",
        disagree="date", therapy_ordered="what", no_therapy="value date", unclear="value date",
        no_load="",
    )  # fmt: skip


class OtherMalignancyRule(RuleModel):
    """Another primary malignancy, now or in the past."""

    kind: Literal["other-malignancy"]
    malignancy: tuple[Concept, ...]
    history: tuple[Concept, ...]
    tumor: tuple[Concept, ...]
    morphology: tuple[Concept, ...]
    OUTCOMES = outcomes(listed="what", none="")


class RecentProcedureRule(RuleModel):
    """No procedure of a kind within so many days."""

    kind: Literal["recent-procedure"]
    procedure: tuple[Concept, ...]
    review: tuple[Concept, ...]
    within_days: int
    OUTCOMES = outcomes(recent="what date", review="what date", none="")


class BrainMetastasesRule(RuleModel):
    """Brain metastases, their treatment, steroids and imaging."""

    kind: Literal["brain-metastases"]
    metastasis: tuple[Concept, ...]
    steroid: tuple[Concept, ...]
    off_steroid_days: int
    treatment: tuple[Concept, ...]
    imaging: tuple[Concept, ...]
    OUTCOMES = outcomes(
        none="", on_steroid="what", recent_steroid="what date", judge="treatment steroid imaging",
        nothing_found="",
    )  # fmt: skip


class HeartFailureRule(RuleModel):
    """Heart failure and its NYHA class."""

    kind: Literal["heart-failure"]
    heart_failure: tuple[Concept, ...]
    valve_disease: tuple[Concept, ...]
    functional_class: Results
    mild: tuple[Concept, ...]
    severe: tuple[Concept, ...]
    OUTCOMES = outcomes(
        severe="class date", mild="class date", unclassified="what", valve_disease="what",
        disagree="date", unreadable="date", severe_unconfirmed="class", mild_alone="class date",
        none="",
    )  # fmt: skip


class ActiveConditionRule(RuleModel):
    """Active conditions that a person must weigh."""

    kind: Literal["active-condition"]
    condition: tuple[Concept, ...]
    OUTCOMES = outcomes(active="what", none="")
