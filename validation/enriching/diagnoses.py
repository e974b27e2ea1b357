"""Diagnoses: second codings, morphology, how sure they are, the words of the pathology report."""

from __future__ import annotations

from typing import Final

from validation.decisions import Decisions
from validation.enriching.chart import SNOMED, Chart, Resource, coded

_ICD_O: Final = "http://terminology.hl7.org/CodeSystem/icd-o-3"
_HISTOLOGY: Final = (
    "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
)
_STATUS: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
# Synthea exports the first code of a diagnosis only.
_SECOND: Final = {
    "ileum": ("192701000119101", "Malignant carcinoid tumor of ileum (disorder)"),
    "jejunum": ("123751000119100", "Malignant carcinoid tumor of jejunum (disorder)"),
    "small intestine": ("709517003", "Malignant carcinoid tumor of small intestine (disorder)"),
    "appendix": ("192681000119104", "Malignant carcinoid tumor of appendix (disorder)"),
    "caecum": ("123731000119106", "Malignant carcinoid tumor of cecum (disorder)"),
    "duodenum": ("123761000119103", "Malignant carcinoid tumor of duodenum (disorder)"),
}
_MORPHOLOGY: Final = {
    "carcinoma": ("8246/3", "Neuroendocrine carcinoma, NOS"),
    "g2_morphology": ("8249/3", "Neuroendocrine tumor, grade 2"),
}


def enrich_diagnoses(chart: Chart, decisions: Decisions) -> None:
    """Complete the diagnoses of the tumour and its metastases."""
    for event in decisions.named("Diagnosis ", kind="ConditionOnset"):
        if event.name != "Diagnosis carcinoid syndrome":
            _complete_tumour(chart.of(event), event.name.removeprefix("Diagnosis "), decisions)
    provisional = decisions.event("Metastases provisional")
    if provisional is not None:
        _set_status(chart.of(provisional), "provisional")
    report = decisions.event("Pathology report of the NET")
    if report is not None:
        _complete_report(chart.of(report))


def _complete_tumour(condition: Resource, site: str, decisions: Decisions) -> None:
    second = _SECOND.get(site)
    if second is not None:
        condition["code"]["coding"] += coded(SNOMED, *second)["coding"]
    if decisions.choice("histology") == "coded":
        default = ("8240/3", "Neuroendocrine tumor, NOS")
        code = _MORPHOLOGY.get(decisions.choice("grade"), default)
        concept = coded(_ICD_O, *code)
        condition["extension"] = [{"url": _HISTOLOGY, "valueCodeableConcept": concept}]
    _set_status(condition, decisions.choice("diagnosis"))


def _set_status(condition: Resource, status: str) -> None:
    condition["verificationStatus"] = {"coding": [{"system": _STATUS, "code": status}]}


def _complete_report(report: Resource) -> None:
    report["category"] = [
        coded("http://terminology.hl7.org/CodeSystem/v2-0074", "SP", "Surgical Pathology")
    ]
    report["conclusion"] = "Neuroendocrine tumour, well differentiated."
