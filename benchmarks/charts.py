"""Synthetic charts of a given size: a demo patient's chart, and ordinary resources around it.

Deterministic for a given day, and about nobody. The ordinary resources are those that make real
charts large: repeated laboratory results in the form of US Core, encounters, claims, orders.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from cds_service.demo.patients import DemoPatient, load_demo_patients
from cds_service.fhir.queries import SearchPlan

Resource = dict[str, Any]

RELEVANT = "everything-met"
NOT_RELEVANT = "ordinary-hypertension"

# LOINC, what it is, value, unit, range. The first ten are among those that the trial asks for.
_ASKED_FOR = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", 13.1, "g/dL", (13.5, 17.5)),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", 6.2, "10*3/uL", (4.5, 11)),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", 212, "10*3/uL", (150, 400)),
    ("751-8", "Neutrophils [#/volume] in Blood by Automated count", 3.9, "10*3/uL", (1.8, 7.7)),
    ("731-0", "Lymphocytes [#/volume] in Blood by Automated count", 1.4, "10*3/uL", (1, 4.8)),
    ("1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma", 0.7, "mg/dL", (0.1, 1.2)),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", 0.9, "mg/dL", (0.7, 1.3)),
    ("1742-6", "Alanine aminotransferase [Enzymatic activity/volume]", 24, "U/L", (7, 56)),
    ("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume]", 22, "U/L", (10, 40)),
    ("29463-7", "Body weight", 78.4, "kg", None),
)
_OTHER = (
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", 140, "mmol/L", (136, 145)),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", 4.1, "mmol/L", (3.5, 5.1)),
    ("2075-0", "Chloride [Moles/volume] in Serum or Plasma", 102, "mmol/L", (98, 107)),
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", 96, "mg/dL", (70, 99)),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", 5.4, "%", (4, 5.6)),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", 181, "mg/dL", (0, 200)),
    ("17861-6", "Calcium [Mass/volume] in Serum or Plasma", 9.4, "mg/dL", (8.6, 10.3)),
    ("1751-7", "Albumin [Mass/volume] in Serum or Plasma", 4.2, "g/dL", (3.5, 5)),
)
_WHOLE_CHART = (*_ASKED_FOR, *_OTHER)
# Of ten ordinary resources of a whole chart; a prefetch has the searched types only.
_CHART_MIX = (
    *("Observation",) * 5, "Encounter", "Claim",
    "MedicationRequest", "Condition", "DiagnosticReport",
)  # fmt: skip
_PREFETCH_MIX = (
    *("Observation",) * 7, "MedicationRequest", "Condition", "DiagnosticReport",
)  # fmt: skip
_CONDITIONS = (
    ("http://snomed.info/sct", "38341003", "Hypertensive disorder"),
    ("http://hl7.org/fhir/sid/icd-10-cm", "E78.5", "Hyperlipidemia, unspecified"),
    ("http://hl7.org/fhir/sid/icd-10-cm", "J06.9", "Acute upper respiratory infection"),
)
_DRUGS = (("314076", "lisinopril 10 MG Oral Tablet"), ("617312", "atorvastatin 20 MG Oral Tablet"))
_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_TERMS = "http://terminology.hl7.org/CodeSystem/"
# The newest ordinary visit lies before the demo patient's own results, so that those decide.
_NEWEST_DAYS = 60
_VISIT_EVERY_DAYS = 45


def chart(size: int, patient: str, today: date) -> list[Resource]:
    """A whole chart of so many resources, as a file would hold it."""
    return _filled(size, patient, today, _CHART_MIX, _WHOLE_CHART)


def prefetched(size: int, patient: str, today: date) -> list[Resource]:
    """So many resources, all of them such as the service's prefetch templates ask for."""
    return _filled(size, patient, today, _PREFETCH_MIX, _ASKED_FOR)


def bundle_bytes(resources: list[Resource]) -> bytes:
    """Resources as a Bundle file."""
    return _json(_bundle("collection", resources))


def hook_bytes(resources: list[Resource], plan: SearchPlan) -> bytes:
    """A patient-view request with a complete prefetch."""
    patient = next(one for one in resources if one["resourceType"] == "Patient")
    prefetch: dict[str, Any] = {"patient": patient}
    for key, kind in plan.keys.items():
        # A search of orders brings the medications along that they refer to.
        kinds = {kind, "Medication"} if kind == "MedicationRequest" else {kind}
        matching = [one for one in resources if one["resourceType"] in kinds]
        prefetch[key] = _bundle("searchset", matching)
    sent = sum(len(one.get("entry", ())) for one in prefetch.values()) + 1
    assert sent == len(resources), f"{sent} of {len(resources)} resources fit the templates"
    return _hook(patient["id"], prefetch=prefetch)


def pull_hook_bytes(patient: str, server: str) -> bytes:
    """A patient-view request with no prefetch, for a patient of a FHIR server."""
    return _hook(patient, fhirServer=server)


def _hook(patient: str, **members: Any) -> bytes:
    context = {"userId": "Practitioner/9", "patientId": patient}
    instance = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
    return _json({"hook": "patient-view", "hookInstance": instance, "context": context, **members})


def _filled(
    size: int, patient: str, today: date, mix: tuple[str, ...], labs: tuple[Any, ...]
) -> list[Resource]:
    found = list(_demo_patient(patient, today).resources)
    made: dict[str, int] = {}
    while len(found) < size:
        kind = mix[len(found) % len(mix)]
        number = made[kind] = made.get(kind, -1) + 1
        found.append(_made(kind, number, patient, today, labs))
    return found


def _demo_patient(name: str, today: date) -> DemoPatient:
    return next(one for one in load_demo_patients(today) if one.name == name)


def _made(kind: str, number: int, patient: str, today: date, labs: tuple[Any, ...]) -> Resource:
    if kind == "Observation":
        day = _visit(number // len(labs), today)
        return _observation(number, patient, day, labs[number % len(labs)])
    make = {
        "Encounter": _encounter,
        "Claim": _claim,
        "MedicationRequest": _order,
        "Condition": _condition,
        "DiagnosticReport": _report,
    }[kind]
    return make(number, patient, _visit(number, today))


def _visit(number: int, today: date) -> str:
    return (today - timedelta(days=_NEWEST_DAYS + _VISIT_EVERY_DAYS * (number % 150))).isoformat()


def _start(kind: str, number: int, patient: str, profile: str, day: str) -> Resource:
    name = f"ordinary-{kind.lower()}-{number}"
    meta = {"versionId": "1", "lastUpdated": f"{day}T12:00:00Z", "profile": [_CORE + profile]}
    text = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{kind} of {day}, synthetic</p></div>'
    return {
        "resourceType": kind,
        "id": name,
        "meta": meta,
        "text": {"status": "generated", "div": text},
        "identifier": [{"system": "https://hospital.example.org/ids", "value": name}],
        "subject": {"reference": f"Patient/{patient}", "display": "Synthetic Patient"},
    }


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _observation(number: int, patient: str, day: str, lab: tuple[Any, ...]) -> Resource:
    code, display, value, unit, limits = lab
    quantity = {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    found = _start("Observation", number, patient, "observation-lab", day) | {
        "status": "final",
        "category": [_concept(f"{_TERMS}observation-category", "laboratory", "Laboratory")],
        "code": _concept("http://loinc.org", code, display),
        "encounter": {"reference": f"Encounter/ordinary-encounter-{number // 10}"},
        "effectiveDateTime": f"{day}T08:30:00+00:00",
        "issued": f"{day}T11:02:13.000+00:00",
        "performer": [{"reference": "Organization/laboratory", "display": "Central laboratory"}],
        "valueQuantity": {"value": value, **quantity},
        "interpretation": [_concept(f"{_TERMS}v3-ObservationInterpretation", "N", "Normal")],
        "specimen": {"reference": f"Specimen/ordinary-{number // 10}"},
    }
    if limits:
        low, high = ({"value": limit, **quantity} for limit in limits)
        kind = _concept(f"{_TERMS}referencerange-meaning", "normal", "Normal Range")
        found["referenceRange"] = [{"low": low, "high": high, "type": kind}]
    return found


def _encounter(number: int, patient: str, day: str) -> Resource:
    return _start("Encounter", number, patient, "encounter", day) | {
        "status": "finished",
        "class": {"system": f"{_TERMS}v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "type": [_concept("http://snomed.info/sct", "185349003", "Encounter for check up")],
        "period": {"start": f"{day}T08:00:00Z", "end": f"{day}T09:00:00Z"},
        "serviceProvider": {"reference": "Organization/hospital", "display": "Hospital"},
    }


def _claim(number: int, patient: str, day: str) -> Resource:
    found = _start("Claim", number, patient, "claim", day)
    found["patient"] = found.pop("subject")
    item = {
        "sequence": 1,
        "productOrService": _concept("http://snomed.info/sct", "185349003", "Check up"),
        "net": {"value": 129.16, "currency": "CAD"},
    }
    return found | {
        "status": "active",
        "type": _concept(f"{_TERMS}claim-type", "professional", "Professional"),
        "use": "claim",
        "created": day,
        "item": [item | {"sequence": place + 1} for place in range(4)],
    }


def _order(number: int, patient: str, day: str) -> Resource:
    code, display = _DRUGS[number % len(_DRUGS)]
    drug = _concept("http://www.nlm.nih.gov/research/umls/rxnorm", code, display)
    return _start("MedicationRequest", number, patient, "medicationrequest", day) | {
        "status": "stopped",
        "intent": "order",
        "medicationCodeableConcept": drug,
        "authoredOn": day,
        "requester": {"reference": "Practitioner/9"},
        "dosageInstruction": [{"sequence": 1, "text": "One a day", "asNeededBoolean": False}],
    }


def _condition(number: int, patient: str, day: str) -> Resource:
    found = _start("Condition", number, patient, "condition-encounter-diagnosis", day)
    return found | {
        "clinicalStatus": _concept(f"{_TERMS}condition-clinical", "resolved", "Resolved"),
        "verificationStatus": _concept(f"{_TERMS}condition-ver-status", "confirmed", "Confirmed"),
        "category": [
            _concept(f"{_TERMS}condition-category", "encounter-diagnosis", "Encounter Diagnosis")
        ],
        "code": _concept(*_CONDITIONS[number % len(_CONDITIONS)]),
        "onsetDateTime": f"{day}T08:30:00Z",
        "abatementDateTime": f"{day}T09:30:00Z",
        "recordedDate": day,
    }


def _report(number: int, patient: str, day: str) -> Resource:
    results = [
        {"reference": f"Observation/ordinary-observation-{number * 10 + i}"} for i in range(8)
    ]
    return _start("DiagnosticReport", number, patient, "diagnosticreport-lab", day) | {
        "status": "final",
        "category": [_concept(f"{_TERMS}v2-0074", "LAB", "Laboratory")],
        "code": _concept("http://loinc.org", "58410-2", "CBC panel - Blood by Automated count"),
        "effectiveDateTime": f"{day}T08:30:00Z",
        "issued": f"{day}T11:02:13.000+00:00",
        "result": results,
    }


def _bundle(kind: str, resources: list[Resource]) -> dict[str, Any]:
    entries = [{"fullUrl": _url(one), "resource": one} for one in resources]
    if kind == "searchset":
        entries = [entry | {"search": {"mode": _mode(entry["resource"])}} for entry in entries]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    return bundle | ({"entry": entries} if entries else {})


def _mode(resource: Resource) -> str:
    return "include" if resource["resourceType"] == "Medication" else "match"


def _url(resource: Resource) -> str:
    return f"https://fhir.example.org/r4/{resource['resourceType']}/{resource['id']}"


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
