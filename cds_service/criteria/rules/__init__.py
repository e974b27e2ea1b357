"""One function for each kind of rule, registered by the kind's name in the trial file."""

from __future__ import annotations

from cds_service.criteria.finding import RuleFunction
from cds_service.criteria.rules import (
    childbearing,
    clearance,
    course,
    diagnosis,
    disease,
    drugs,
    laboratory,
    person,
    progression,
    scans,
    toxicity,
)

FUNCTIONS: dict[str, RuleFunction] = {
    "age": person.age,
    "attestation": person.attestation,
    "site-setting": person.site_setting,
    "consent": person.consent,
    "performance-status": person.performance_status,
    "tumor-site": disease.tumor_site,
    "metastatic": disease.metastatic,
    "histology": disease.histology,
    "grade": disease.grade,
    "scan": scans.scan,
    "uptake": scans.uptake,
    "course-exposure": course.course_exposure,
    "no-intervening-therapy": course.no_intervening_therapy,
    "progression": progression.progression,
    "toxicity": toxicity.toxicity,
    "exposure-days": drugs.exposure_days,
    "no-exposure": drugs.no_exposure,
    "information": drugs.information,
    "lab": laboratory.lab,
    "creatinine-clearance": clearance.creatinine_clearance,
    "contraception": childbearing.contraception,
    "pregnancy-test": childbearing.pregnancy_test,
    "pregnancy": childbearing.pregnancy,
    "breastfeeding": childbearing.breastfeeding,
    "controlled-infection": diagnosis.controlled_infection,
    "other-malignancy": diagnosis.other_malignancy,
    "recent-procedure": diagnosis.recent_procedure,
    "brain-metastases": diagnosis.brain_metastases,
    "heart-failure": diagnosis.heart_failure,
    "active-condition": diagnosis.active_condition,
}
