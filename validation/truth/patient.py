"""The truth about one patient: every criterion, the whole, and what a clinician would answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from validation.decisions import Decisions
from validation.truth import disease, drugs, labs, person, prrt, response, toxicity, women
from validation.truth.finding import Finding

# In the order of the trial's text.
CRITERIA: Final[Mapping[str, Callable[[Decisions], Finding]]] = {
    "age": person.age,
    "midgut-net": disease.midgut_net,
    "metastatic": disease.metastatic,
    "unresectable": person.unresectable,
    "histology": disease.histology,
    "grade": disease.grade,
    "sstr-pet": disease.sstr_pet,
    "sstr-positive": disease.sstr_positive,
    "prrt-exposure": prrt.prrt_exposure,
    "everolimus-limit": drugs.everolimus_limit,
    "no-alpha-therapy": drugs.no_alpha_therapy,
    "no-alkylator": drugs.no_alkylator,
    "progression": response.progression,
    "no-intervening-therapy": drugs.no_intervening_therapy,
    "toxicity": toxicity.toxicity,
    "ecog": labs.ecog,
    "hemoglobin": labs.hemoglobin,
    "neutrophils": labs.neutrophils,
    "platelets": labs.platelets,
    "bilirubin": labs.bilirubin,
    "creatinine-clearance": labs.creatinine_clearance,
    "quality-of-life": person.quality_of_life,
    "somatostatin-analogue": person.somatostatin_analogue,
    "consent": person.consent,
    "contraception": women.contraception,
    "pregnancy-test": women.pregnancy_test,
    "follow-up": person.follow_up,
    "adverse-event-return": person.adverse_event_return,
    "everolimus-access": person.everolimus_access,
    "hiv": person.hiv,
    "other-malignancy": person.other_malignancy,
    "recent-surgery": person.recent_surgery,
    "brain-metastases": person.brain_metastases,
    "heart-failure": person.heart_failure,
    "oral-intake": person.oral_intake,
    "uncontrolled-condition": person.uncontrolled_condition,
    "pregnancy": women.pregnancy,
    "breastfeeding": women.breastfeeding,
}
# Where nothing is documented, a new measurement settles these, and no person's word.
_MEASURED: Final = {
    "sstr-pet",
    "ecog",
    "hemoglobin",
    "neutrophils",
    "platelets",
    "bilirubin",
    "creatinine-clearance",
    "pregnancy-test",
    "pregnancy",
    "hiv",
}
_CLINICIAN: Final = "Practitioner/validation"
_OPEN: Final = {"unknown", "needs_confirmation"}
# The branches that most patients take, by the name of the choice; any other is worth a word.
_USUAL: Final = {
    "diagnosis": {"confirmed"},
    "everolimus": {"none"},
    "alkylator": {"none"},
    "alpha": {"none"},
    "prrt": {"four", "three"},
    "response": {"good"},
    "intervening": {"none"},
    "pet": {"dotatate_within_1_year", "dotatate_within_3_years"},
    "uptake": {"above_liver"},
    "fate": {"alive"},
    "hiv": {"none"},
    "heart": {"none"},
    "oral": {"none"},
    "other_cancer": {"none"},
    "surgery": {"none", "major_long_ago"},
    "brain": {"none"},
    "toxicity": {"none"},
    "blood_day": {"last_weeks"},
    "chemistry_day": {"last_weeks"},
    "hemoglobin": {"normal"},
    "neutrophils": {"normal"},
    "platelets": {"normal"},
    "bilirubin": {"normal"},
    "gilbert": {"no"},
    "clearance": {"computed"},
    "weight": {"recent"},
    "upper_limits": {"given"},
    "birth_date": {"known"},
    "recorded_sex": {"as_born"},
}


def truth_of(decisions: Decisions) -> dict[str, Any]:
    """The truth, in the form in which it is kept beside the chart."""
    findings = {name: judge(decisions) for name, judge in CRITERIA.items()}
    relevant = _relevant(decisions)
    answers = _answers(findings, decisions) if relevant else []
    attested = _attested(findings, answers)
    reality = {name: finding.truly for name, finding in findings.items()}
    return {
        "patient": decisions.patient,
        "asOf": decisions.as_of.isoformat(),
        "branch": _branch(decisions),
        "decisions": decisions.as_json(),
        "statuses": _statuses(findings) if relevant else {},
        "overall": _overall(findings) if relevant else "not_relevant",
        "answers": answers,
        "attestedStatuses": _statuses(attested) if relevant else {},
        "attestedOverall": _overall(attested) if relevant else "not_relevant",
        "reality": reality,
        "candidate": decisions.died is None and all(reality.values()),
    }


def _relevant(decisions: Decisions) -> bool:
    """A living patient with a neuroendocrine tumour, its metastases, or PRRT of any strength."""
    tumour = disease.has_net_condition(decisions) or disease.has_net_metastasis_condition(decisions)
    treated = bool(prrt.readings(decisions)) or decisions.choice("prrt") in {"ordered", "period"}
    return decisions.died is None and (tumour or treated)


def _statuses(findings: Mapping[str, Finding]) -> dict[str, str]:
    return {name: finding.status for name, finding in findings.items()}


def _overall(findings: Mapping[str, Finding]) -> str:
    against = [finding for finding in findings.values() if finding.status == "not_met"]
    if any(finding.change == "permanent" for finding in against):
        return "excluded"
    if against:
        return "not_now"
    is_open = any(finding.status in _OPEN for finding in findings.values())
    return "possible" if is_open else "all_met"


def _answers(findings: Mapping[str, Finding], decisions: Decisions) -> list[dict[str, str]]:
    """What a clinician who knows the patient would truthfully attest."""
    return [
        {
            "criterion": name,
            "answer": "met" if finding.truly else "not_met",
            "by": _CLINICIAN,
            "on": decisions.as_of.isoformat(),
        }
        for name, finding in findings.items()
        if finding.status in _OPEN and not (finding.status == "unknown" and name in _MEASURED)
    ]


def _attested(findings: Mapping[str, Finding], answers: list[dict[str, str]]) -> dict[str, Finding]:
    given = {answer["criterion"]: answer["answer"] for answer in answers}
    # An attested "not met" can change: the answer is today's.
    return {
        name: Finding(given[name], finding.truly, "new_data") if name in given else finding
        for name, finding in findings.items()
    }


def _branch(decisions: Decisions) -> str:
    special = [
        f"{choice.replace('_', ' ')}: {decisions.choice(choice).replace('_', ' ')}"
        for choice, usual in _USUAL.items()
        if decisions.choice(choice) not in usual | {""}
    ]
    site = decisions.choice("site").replace("_", " ")
    return "; ".join([f"site: {site}", *special])
