"""The kinds of rule a trial file may use, and what each may find.

A rule's parameters (concepts, limits, windows) come from the trial file. What it can find is fixed
here as outcome keys, each with the values its words may mention; the trial file says for every key
which status it means and how it is worded. Sources: the sentences of the trial's eligibility text,
named beside each criterion in the trial file.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Concept = str
Outcomes = dict[str, frozenset[str]]


@dataclass(frozen=True)
class ReadFrom:
    """Marks a rule's concepts as codes of resources that are searched for by code."""

    resource_type: str


# What a rule looks for among results; the search plan asks the server for these codes only.
Results = Annotated[tuple[Concept, ...], ReadFrom("Observation")]


def _outcomes(**keys: str) -> Outcomes:
    return {key: frozenset(values.split()) for key, values in keys.items()}


class RuleModel(BaseModel):
    """Base of every rule: unknown parameters are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    OUTCOMES: ClassVar[Outcomes] = {}

    def concepts_used(self) -> frozenset[Concept]:
        """Every concept this rule names, for the search plan and for checking the tables."""
        found: set[Concept] = set()
        for name, value in self:
            if name in _NOT_CONCEPTS:
                continue
            found.update(_strings(value))
        return frozenset(found)


_NOT_CONCEPTS = frozenset({"kind", "comparison", "direction", "setting", "uln"})


def _strings(value: object) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, tuple | list):
        return {text for item in value for text in _strings(item)}
    if isinstance(value, RuleModel):
        return set(value.concepts_used())
    return set()


class AgeRule(RuleModel):
    """Completed years on the day of enrolment."""

    kind: Literal["age"]
    minimum_years: int
    OUTCOMES = _outcomes(old_enough="age", too_young="age birthday", no_birth_date="")


class AttestationRule(RuleModel):
    """Something only a person can know; settled by an attestation."""

    kind: Literal["attestation"]
    OUTCOMES = _outcomes(ask="languages")


class SiteSettingRule(RuleModel):
    """Something the site's configuration answers with yes or no."""

    kind: Literal["site-setting"]
    setting: Literal["everolimus_access"]
    OUTCOMES = _outcomes(yes="", no="", not_configured="")


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
    OUTCOMES = _outcomes(
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
    OUTCOMES = _outcomes(metastasis="what", unconfirmed="what", none="")


class HistologyRule(RuleModel):
    """A morphology code, or a pathology report that names the tumour."""

    kind: Literal["histology"]
    morphology: tuple[Concept, ...]
    tumor: tuple[Concept, ...]
    pathology: Results
    morphology_observation: Results
    OUTCOMES = _outcomes(confirmed="what", unconfirmed="what", none="")


class GradeRule(RuleModel):
    """The latest grade; Ki-67 only supports."""

    kind: Literal["grade"]
    observation: Results
    accepted: tuple[Concept, ...]
    refused: tuple[Concept, ...]
    proliferation: Results
    proliferation_limit: Decimal
    OUTCOMES = _outcomes(
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
    OUTCOMES = _outcomes(
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
    OUTCOMES = _outcomes(
        positive_values="lesion organ date", negative_values="lesion organ date",
        positive_conclusion="date", negative_conclusion="date", disagree="date",
        straddles="lesion organ date", unusable="what", open="",
    )  # fmt: skip


class CourseRule(RuleModel):
    """Cycles of a therapy given in courses, and how records become cycles.

    Args:
        unnamed_therapy: records that do not say which therapy of the kind it was.
        named_therapy: agents; a record of one of them is not of an unnamed therapy.
        same_event_days: records at most this many days after the first are one cycle.
        separate_event_days: from this many days apart, records are surely two cycles.
        course_days: a cycle belongs to the initial course up to this many days after its first.
    """

    kind: Literal["course"]
    therapy: tuple[Concept, ...]
    not_therapy: tuple[Concept, ...]
    unnamed_therapy: tuple[Concept, ...]
    named_therapy: tuple[Concept, ...]
    same_event_days: int
    separate_event_days: int
    course_days: int
    activity_agreement: Decimal
    OUTCOMES: ClassVar[Outcomes] = {}


class CourseExposureRule(RuleModel):
    """How many cycles, or how much activity, the initial course had."""

    kind: Literal["course-exposure"]
    course: CourseRule
    cycles: tuple[int, ...]
    total_activities: tuple[Decimal, ...]
    tolerance: Decimal
    under_way_days: int
    OUTCOMES = _outcomes(
        cycles="count first last", activity="count total target first last",
        under_way="count last", too_few="count last", too_many="count first last total",
        count_uncertain="low high", activity_unusable="count", period_only="period",
        beside="count what", undated="count", ordered_only="what", none="",
    )  # fmt: skip


class ExposureDaysRule(RuleModel):
    """At most so many days on a drug in all."""

    kind: Literal["exposure-days"]
    drug: tuple[Concept, ...]
    other_product: tuple[Concept, ...]
    maximum_days: int
    OUTCOMES = _outcomes(
        within="days", beyond="days", end_unknown="start", undated="", unreadable="what",
        other_product="what",
        beside="days what", ordered_only="what", none="",
    )  # fmt: skip


class NoExposureRule(RuleModel):
    """Never exposed to a class of drug, at any time."""

    kind: Literal["no-exposure"]
    drug: tuple[Concept, ...]
    local_forms: tuple[Concept, ...]
    OUTCOMES = _outcomes(
        given="what date", local="what", ordered_only="what", by_text="what", none=""
    )


class ProgressionRule(RuleModel):
    """Progression after a course of therapy, no sooner than so many months after the first scan."""

    kind: Literal["progression"]
    course: CourseRule
    assessment: Results
    general: Results
    other_criteria: Results
    progressive: tuple[Concept, ...]
    controlled: tuple[Concept, ...]
    general_worse: tuple[Concept, ...]
    general_controlled: tuple[Concept, ...]
    not_evaluable: tuple[Concept, ...]
    minimum_months: int
    OUTCOMES = _outcomes(
        progressed="reference progression", too_soon="reference progression",
        too_soon_after_course="last progression", no_reference="last progression",
        not_progressed="latest", better_afterwards="progression better", same_day="date",
        unreadable="date", unusable="what", general_worse="date", report_only="date",
        no_assessment="", no_course="", advisory_not_evaluable="date", course_uncertain="",
    )  # fmt: skip


class InterveningRule(RuleModel):
    """No antitumour therapy that started after a course."""

    kind: Literal["no-intervening-therapy"]
    course: CourseRule
    antitumor: tuple[Concept, ...]
    limited_drug: tuple[Concept, ...]
    limited_other_product: tuple[Concept, ...]
    limited_days: int
    procedures: tuple[Concept, ...]
    review_drugs: tuple[Concept, ...]
    review_procedures: tuple[Concept, ...]
    review_diagnoses: tuple[Concept, ...]
    OUTCOMES = _outcomes(
        given="what date", undated="what", limited="what days", review="what date",
        ordered="what", overlapping="what", no_course="", course_uncertain="", none="last",
    )  # fmt: skip


class Derivation(RuleModel):
    """A count from results of one sampling time: a sum, or a total times a sum of percents."""

    sum_of: Annotated[tuple[tuple[Concept, ...], ...], ReadFrom("Observation")]
    total: Results = ()


class ToxicityLimit(RuleModel):
    """One laboratory limit of grade 3: an absolute value, or a multiple of normal.

    Args:
        derived: ways to calculate a count where none was reported.
    """

    result: Results
    direction: Literal["below", "above"]
    value: Decimal | None = None
    times_uln: Decimal | None = None
    uln: Concept | None = None
    derived: tuple[Derivation, ...] = ()


class ToxicityRule(RuleModel):
    """No toxicity of grade 3 or more that is still there after a course."""

    kind: Literal["toxicity"]
    course: CourseRule
    within_days: int
    limits: tuple[ToxicityLimit, ...]
    graded: Results
    graded_words: tuple[Concept, ...]
    grade_limit: int
    OUTCOMES = _outcomes(toxic="what", judge="found listed")


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
    OUTCOMES = _outcomes(
        met="value date", not_met="value date", disagree="date", unusable="value date",
        converted_met="value date", converted_not_met="value date", converted_unclear="value date",
        converted_straddles="value date", none="", advisory_old="date", advisory_older="date",
        straddles="value date",
    )  # fmt: skip


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
    OUTCOMES = _outcomes(
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
    OUTCOMES = _outcomes(
        met="value date limit how", not_met="value date limit how", disagree="date",
        straddles="value date limit", unusable="what value date problem", incomplete="what",
        outdated="value date", none="", how_recorded="", how_computed="creatinine weight age",
        advisory_ideal_weight="ideal", missing_weight="", missing_sex="", missing_birth_date="",
    )  # fmt: skip


class InformationRule(RuleModel):
    """Never an obstacle; what is in use is told."""

    kind: Literal["information"]
    drug: tuple[Concept, ...]
    syndrome: tuple[Concept, ...]
    OUTCOMES = _outcomes(
        in_use_with_syndrome="what date syndrome", in_use="what date",
        not_in_use_with_syndrome="syndrome", not_in_use="",
    )  # fmt: skip


class ConsentRule(RuleModel):
    """An active consent to this trial."""

    kind: Literal["consent"]
    consent: tuple[Concept, ...]
    OUTCOMES = _outcomes(signed="date", ask="")


class Childbearing(RuleModel):
    """What ends or suspends childbearing potential."""

    ended: tuple[Concept, ...]
    contraceptive_surgery: tuple[Concept, ...]
    postmenopausal: tuple[Concept, ...]
    menopause_unproven: tuple[Concept, ...]
    last_menses: Results
    menses_months: int
    test: Results
    test_within_days: int
    positive: tuple[Concept, ...]
    negative: tuple[Concept, ...]
    test_number: Results


class ContraceptionRule(RuleModel):
    """Contraception, for whom it applies."""

    kind: Literal["contraception"]
    childbearing: Childbearing
    OUTCOMES = _outcomes(
        male="", sex_unknown="", surgery="what", postmenopausal="what",
        menopause_unproven="what", menses_unclear="what", ask="",
    )  # fmt: skip


class PregnancyTestRule(RuleModel):
    """A recent pregnancy test, for whom it applies."""

    kind: Literal["pregnancy-test"]
    childbearing: Childbearing
    OUTCOMES = _outcomes(
        male="", sex_unknown="", childbearing_ended="what", postmenopausal="what",
        negative="date", positive="date", disagree="date", number_only="value date",
        unusable="date", menopause_unproven="what", none="",
    )  # fmt: skip


class PregnancyRule(RuleModel):
    """Not pregnant, for whom it applies."""

    kind: Literal["pregnancy"]
    childbearing: Childbearing
    pregnancy: tuple[Concept, ...]
    status: Results
    pregnant: tuple[Concept, ...]
    status_within_days: int
    OUTCOMES = PregnancyTestRule.OUTCOMES | _outcomes(pregnant="what date", unconfirmed="what")


class BreastfeedingRule(RuleModel):
    """Lactation recorded as active."""

    kind: Literal["breastfeeding"]
    lactation: tuple[Concept, ...]
    status: Results
    OUTCOMES = _outcomes(male="", sex_unknown="", active="what", none="")


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
    OUTCOMES = _outcomes(
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
    OUTCOMES = _outcomes(listed="what", none="")


class RecentProcedureRule(RuleModel):
    """No procedure of a kind within so many days."""

    kind: Literal["recent-procedure"]
    procedure: tuple[Concept, ...]
    review: tuple[Concept, ...]
    within_days: int
    OUTCOMES = _outcomes(recent="what date", review="what date", none="")


class BrainMetastasesRule(RuleModel):
    """Brain metastases, their treatment, steroids and imaging."""

    kind: Literal["brain-metastases"]
    metastasis: tuple[Concept, ...]
    steroid: tuple[Concept, ...]
    off_steroid_days: int
    treatment: tuple[Concept, ...]
    imaging: tuple[Concept, ...]
    OUTCOMES = _outcomes(
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
    OUTCOMES = _outcomes(
        severe="class date", mild="class date", unclassified="what", valve_disease="what",
        disagree="date", unreadable="date", severe_unconfirmed="class", mild_alone="class date",
        none="",
    )  # fmt: skip


class ActiveConditionRule(RuleModel):
    """Active conditions that a person must weigh."""

    kind: Literal["active-condition"]
    condition: tuple[Concept, ...]
    OUTCOMES = _outcomes(active="what", none="")


Rule = Annotated[
    AgeRule
    | AttestationRule
    | SiteSettingRule
    | TumorSiteRule
    | MetastaticRule
    | HistologyRule
    | GradeRule
    | ScanRule
    | UptakeRule
    | CourseExposureRule
    | ExposureDaysRule
    | NoExposureRule
    | ProgressionRule
    | InterveningRule
    | ToxicityRule
    | PerformanceRule
    | LabRule
    | ClearanceRule
    | InformationRule
    | ConsentRule
    | ContraceptionRule
    | PregnancyTestRule
    | PregnancyRule
    | BreastfeedingRule
    | ControlledInfectionRule
    | OtherMalignancyRule
    | RecentProcedureRule
    | BrainMetastasesRule
    | HeartFailureRule
    | ActiveConditionRule,
    Field(discriminator="kind"),
]
