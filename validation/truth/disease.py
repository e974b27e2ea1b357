"""The tumour: site, spread, histology, grade, and its scan."""

from __future__ import annotations

from typing import Final

from validation.decisions import Decisions, Event
from validation.truth.calendar import months_before
from validation.truth.finding import Finding, ask, met, not_met, unknown

_MIDGUT: Final = {
    "ileum",
    "jejunum",
    "small_intestine",
    "appendix",
    "caecum",
    "ascending_colon",
    "midgut",
}
_ELSEWHERE: Final = {"pancreas", "lung", "rectum", "stomach"}
_SPREAD_BY_CODE: Final = {"liver", "bone", "nodes", "peritoneum"}
_SCAN_MONTHS: Final = 36
_UNTOLD: Final = "PET untold"
_OTHER_TRACERS: Final = ("PET FDG", "PET DOTATOC")


def has_net_condition(decisions: Decisions) -> bool:
    """Whether a Condition of the primary stands in the chart, and is not refuted."""
    recorded = decisions.choice("site") != "not_recorded"
    return recorded and decisions.choice("diagnosis") != "refuted"


def has_net_metastasis_condition(decisions: Decisions) -> bool:
    """Whether a C7B Condition stands in the chart, confirmed or provisional."""
    return decisions.choice("metastases") in _SPREAD_BY_CODE | {"provisional"}


def midgut_net(decisions: Decisions) -> Finding:
    """Inclusion: midgut NET, including unknown primary thought to be midgut."""
    site = decisions.choice("site")
    # A duodenal tumour is foregut by embryology: the generator counts it so.
    truly = site in _MIDGUT or site == "not_recorded" or decisions.choice("midgut_origin") == "yes"
    if not has_net_condition(decisions):
        # Metastases of a neuroendocrine tumour alone: of which site, a person must say.
        alone = has_net_metastasis_condition(decisions)
        return ask(truly=truly) if alone else unknown(truly=truly)
    if decisions.choice("diagnosis") == "provisional":
        return ask(truly=truly)
    if site in _MIDGUT:
        return met()
    return not_met("permanent") if site in _ELSEWHERE else ask(truly=truly)


def metastatic(decisions: Decisions) -> Finding:
    """Inclusion: metastatic."""
    spread = decisions.choice("metastases")
    truly = spread != "none"
    # A brain metastasis is a secondary malignancy, whatever else is written.
    if spread in _SPREAD_BY_CODE | {"stage_iv"} or decisions.event("Brain metastases") is not None:
        return met()
    return ask(truly=truly) if spread == "provisional" else unknown(truly=truly)


def histology(decisions: Decisions) -> Finding:
    """Inclusion: histologically confirmed."""
    kind = decisions.choice("histology")
    truly = kind != "never_taken"
    if decisions.event("Pathology report of the NET") is not None:
        return met()
    # The code of the morphology stands on the Condition: it is worth what the Condition is worth.
    confirmed = has_net_condition(decisions) and decisions.choice("diagnosis") == "confirmed"
    return met() if kind == "coded" and confirmed else ask(truly=truly)


def grade(decisions: Decisions) -> Finding:
    """Inclusion: grade 1 or 2, well differentiated."""
    chosen = decisions.choice("grade")
    low = chosen in {"g1", "g2", "g2_morphology", "ki67_low"}
    truly = low or decisions.choice("grade_in_truth") == "low"
    if chosen in {"g1", "g2"}:
        return met()
    if chosen == "g3":
        return not_met("permanent")
    if chosen in {"g2_morphology", "carcinoma"}:
        return _grade_by_morphology(decisions, truly=truly)
    # Ki-67 alone supports a grade and is none.
    return unknown(truly=truly) if chosen == "unrecorded" else ask(truly=truly)


def _grade_by_morphology(decisions: Decisions, *, truly: bool) -> Finding:
    if not has_net_condition(decisions):
        return unknown(truly=truly)
    if decisions.choice("diagnosis") == "provisional":
        return ask(truly=truly)
    return met() if truly else not_met("permanent")


def dotatate_scan(decisions: Decisions) -> Event | None:
    """The latest scan that is known to be a DOTATATE PET."""
    scans = [
        event
        for event in decisions.named("PET ")
        if event.kind in {"ImagingStudy", "Procedure"}
        and not event.name.startswith((_UNTOLD, *_OTHER_TRACERS))
    ]
    return scans[-1] if scans else None


def sstr_pet(decisions: Decisions) -> Finding:
    """Inclusion: Ga-68 or Cu-64 DOTATATE scan within 36 months."""
    scan = dotatate_scan(decisions)
    if scan is not None:
        recent = scan.day >= months_before(decisions.as_of, _SCAN_MONTHS)
        return met() if recent else not_met("new_data")
    if decisions.named(_UNTOLD):
        return ask(truly=decisions.choice("pet_in_truth") == "dotatate")
    return unknown(truly=False)


def sstr_positive(decisions: Decisions) -> Finding:
    """Inclusion: lesion SUVmax above the mean SUV of normal liver, on that scan."""
    uptake = decisions.choice("uptake")
    positive = uptake in {"above_liver", "coded_positive"}
    positive = positive or decisions.choice("uptake_in_truth") == "positive"
    if dotatate_scan(decisions) is None:
        # The text leaves open what holds with no scan; its "otherwise" is taken at its word.
        return ask(truly=positive and decisions.choice("pet_in_truth") == "dotatate")
    if uptake in {"not_reported", "liver_missing"}:
        return ask(truly=positive)
    return met() if positive else not_met("new_data")
