"""Rules on laboratory results: a limit, a multiple of normal, a derived count, a clearance."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from cds_service.trial.rules.model import Concept, ReadFrom, Results, RuleModel, outcomes


class Derivation(RuleModel):
    """A count from results of one sampling time: a sum, or a total times a sum of percents."""

    sum_of: Annotated[tuple[tuple[Concept, ...], ...], ReadFrom("Observation")]
    total: Results = ()


class LabRule(RuleModel):
    """The latest result within so many days against a limit, absolute or a multiple of normal.

    Args:
        exception_diagnosis: a diagnosis for which a value beyond the limit is for a person,
            or for the site's configured multiple.
    """

    kind: Literal["lab"]
    result: Results
    comparison: Literal[">=", ">", "<=", "<"]
    limit: Decimal | None = None
    times_uln: Decimal | None = None
    uln: Concept | None = None
    within_days: int
    derived: tuple[Derivation, ...] = ()
    exception_diagnosis: tuple[Concept, ...] = ()
    OUTCOMES = outcomes(
        met="value date limit multiple", not_met="value date limit multiple",
        disagree="value date", straddles="value date limit multiple",
        unusable="value date problem", outdated="value date", none="", no_uln="value date",
        exception_met="value date limit multiple", exception_not_met="value date limit multiple",
        exception_open="value date limit multiple", derived="how", advisory_older="date",
    )  # fmt: skip


class ClearanceRule(RuleModel):
    """Creatinine clearance: measured, or by the Cockcroft-Gault formula.

    Formula: (140 - age) x kg x (0.85 if female) / (72 x creatinine in mg/dL). Ideal weight
    (Devine): base kg + 2.3 kg for each inch over 60.
    """

    kind: Literal["creatinine-clearance"]
    measured: Results
    calculated: Results
    creatinine: Results
    weight: Results
    height: Results
    limit: Decimal
    within_days: int
    weight_within_days: int
    age_minuend: Decimal
    female_factor: Decimal
    divisor: Decimal
    creatinine_umol_per_mg_dl: Decimal
    ideal_weight_male_kg: Decimal
    ideal_weight_female_kg: Decimal
    ideal_weight_kg_per_inch: Decimal
    ideal_weight_from_inches: Decimal
    cm_per_inch: Decimal
    OUTCOMES = outcomes(
        met="value date limit how", not_met="value date limit how", disagree="date",
        straddles="value date limit", unusable="what value date problem", incomplete="what",
        outdated="value date", none="", how_recorded="", how_computed="creatinine weight age",
        advisory_ideal_weight="ideal", missing_weight="", missing_sex="", missing_birth_date="",
    )  # fmt: skip
