"""Builds FHIR charts for tests, and screens them the way every door of the service does.

:func:`chart` gives a Bundle of a patient in whom everything that a record can show is satisfied on
:data:`TODAY`; a test leaves some of it out, adds to it, or changes it. :func:`screen` evaluates
Bundle bytes through the reader and the screener. :func:`verdict` writes a result in one word.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import lru_cache
from itertools import count
from typing import Any

import pytest

from cds_service.criteria.attest import Attestation, read_attestations
from cds_service.fhir.bundle import read_chart_file
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from cds_service.report import CriterionResult, Report
from cds_service.screening import Screener
from cds_service.trial.load import load_trial
from cds_service.trial.site import Site

Json = dict[str, Any]

TODAY = date(2026, 11, 23)
ME = "Patient/anna"

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD_O_3 = "http://terminology.hl7.org/CodeSystem/icd-o-3"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
HISTOLOGY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"
STRANGE = {"modifierExtension": [{"url": "https://example.org/means-the-opposite"}]}

TESTS = {
    "hemoglobin": "718-7", "hemoglobin moles": "59260-0", "neutrophils": "751-8",
    "segmented": "30451-9", "bands": "26507-4", "neutrophils %": "770-8",
    "segmented %": "26505-8", "bands %": "26508-2", "leukocytes": "6690-2",
    "lymphocytes": "731-0", "platelets": "777-3", "bilirubin": "1975-2",
    "bilirubin moles": "14631-6", "bilirubin direct": "1968-7", "creatinine": "2160-0",
    "creatinine moles": "14682-9", "clearance 24 h": "2164-2", "clearance timed": "33558-8",
    "clearance calculated": "35591-7", "clearance per area": "35592-5", "eGFR": "62238-1",
    "weight": "29463-7", "height": "8302-2", "alt": "1742-6", "ast": "1920-8",
    "ecog": "89247-1", "karnofsky": "89243-0", "ki67": "29593-1", "grade": "33732-9",
    "stage": "21908-9", "nyha": "88020-3", "hcg": "2118-8", "viral load": "20447-9",
    "pregnancy status": "82810-3", "last menses": "8665-2", "recist": "21976-6",
    "disease status": "97509-4", "morphology": "31206-6",
}  # fmt: skip

_numbers = count(1)


def days_ago(days: int, today: date = TODAY) -> str:
    """An ISO date so many days before."""
    return (today - timedelta(days=days)).isoformat()


# --- Elements ----------------------------------------------------------------------------------


def coded(code: str, system: str = ICD10CM, *, text: str | None = None) -> Json:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def words(text: str) -> Json:
    """A CodeableConcept of words only."""
    return {"text": text}


def quantity(value: Any, unit: str | None = None, *, comparator: str | None = None) -> Json:
    """A Quantity with a UCUM unit; ``unit`` None gives none."""
    found: Json = {"value": value}
    if unit is not None:
        found |= {"unit": unit, "system": UCUM, "code": unit}
    if comparator:
        found["comparator"] = comparator
    return found


def upper(value: Any, unit: str | None = None, **more: Any) -> Json:
    """A reference range with an upper limit."""
    return {"high": quantity(value, unit)} | more


def resource(kind: str, id_: str | None, **elements: Any) -> Json:
    """A resource of the patient; None leaves an element out."""
    about = "patient" if kind == "Consent" else "subject"
    held = {"resourceType": kind, "id": id_ or f"x{next(_numbers):06}", about: {"reference": ME}}
    held |= elements
    return {name: value for name, value in held.items() if value is not None}


# --- Resources ---------------------------------------------------------------------------------


def observation(
    test: str | Json, on: str | None = days_ago(7), *, id_: str | None = None, **elements: Any
) -> Json:
    """An Observation by the short name of its test, or by its code."""
    code = coded(TESTS[test], LOINC) if isinstance(test, str) else test
    held = {"status": "final", "code": code, "effectiveDateTime": on} | elements
    return resource("Observation", id_, **held)


def lab(
    test: str,
    value: Any,
    unit: str | None = None,
    on: str | None = days_ago(7),
    *,
    comparator: str | None = None,
    uln: Json | None = None,
    id_: str | None = None,
    **elements: Any,
) -> Json:
    """A measured value."""
    if uln is not None:
        elements["referenceRange"] = [uln]
    measured = quantity(value, unit, comparator=comparator)
    return observation(test, on, id_=id_, valueQuantity=measured, **elements)


def condition(
    code: Json | str, *, verification: str | None = "confirmed", clinical: str | None = "active",
    onset: str | None = "2020-02-03", id_: str | None = None, **elements: Any,
) -> Json:  # fmt: skip
    """A Condition; a bare code is ICD-10-CM."""
    held = {
        "code": coded(code) if isinstance(code, str) else code,
        "verificationStatus": words("") | {"coding": [{"code": verification}]}
        if verification
        else None,
        "clinicalStatus": {"coding": [{"code": clinical}]} if clinical else None,
        "onsetDateTime": onset,
    }
    return resource("Condition", id_, **(held | elements))


TEMOZOLOMIDE = coded("37776", RXNORM)
EVEROLIMUS = coded("845507", RXNORM)
ZORTRESS = coded("977427", RXNORM)
SUNITINIB = coded("357977", RXNORM)
OCTREOTIDE = coded("H01CB02", ATC)
DEXAMETHASONE = coded("3264", RXNORM)
LUTATHERA = coded("1999687", RXNORM)
RADIUM = coded("V10XX03", ATC)


def given(drug: Json, on: str | None, *, status: str = "completed", **elements: Any) -> Json:
    """A MedicationAdministration of one day."""
    id_ = elements.pop("id_", None)
    held = {"status": status, "medicationCodeableConcept": drug, "effectiveDateTime": on}
    return resource("MedicationAdministration", id_, **(held | elements))


def statement(
    drug: Json, start: str | None = None, end: str | None = None, *, status: str = "completed",
    **elements: Any,
) -> Json:  # fmt: skip
    """A MedicationStatement for a period."""
    id_ = elements.pop("id_", None)
    period = {name: day for name, day in (("start", start), ("end", end)) if day}
    held = {
        "status": status,
        "medicationCodeableConcept": drug,
        "effectivePeriod": period or None,
    }
    return resource("MedicationStatement", id_, **(held | elements))


def order(
    drug: Json, on: str | None = "2025-01-01", *, status: str = "active", **more: Any
) -> Json:
    """A MedicationRequest."""
    held = {
        "status": status, "intent": "order", "medicationCodeableConcept": drug, "authoredOn": on,
    }  # fmt: skip
    return resource("MedicationRequest", more.pop("id_", None), **(held | more))


def dispense(drug: Json, on: str = "2025-01-01", *, status: str = "completed", **more: Any) -> Json:
    """A MedicationDispense."""
    held = {"status": status, "medicationCodeableConcept": drug, "whenHandedOver": on}
    return resource("MedicationDispense", more.pop("id_", None), **(held | more))


def cycle(on: str | None, activity: Any = 7400, unit: str = "MBq", **elements: Any) -> Json:
    """One cycle of 177Lu-DOTATATE, given; ``activity`` None records none."""
    if activity is not None:
        elements["dosage"] = {"dose": quantity(activity, unit)}
    return given(LUTATHERA, on, **elements)


def procedure(
    code: Json | str, on: str | None = None, *, status: str = "completed", **elements: Any
) -> Json:
    """A Procedure; a bare code is SNOMED CT."""
    id_ = elements.pop("id_", None)
    code = coded(code, SNOMED) if isinstance(code, str) else code
    return resource("Procedure", id_, status=status, code=code, performedDateTime=on, **elements)


def pet(on: str | None, tracer: str = "Ga-68 DOTATATE", **elements: Any) -> Json:
    """A PET as a Procedure that names its tracer in words."""
    code = coded("82918005", SNOMED, text=f"PET/CT {tracer}".strip())
    return procedure(code, on, **elements)


def response(word: str, on: str | None, **elements: Any) -> Json:
    """A RECIST response assessment."""
    held = {"valueCodeableConcept": words(word)} | elements
    return observation("recist", on, **held)


def report(code: Json, on: str | None, *, status: str = "final", **elements: Any) -> Json:
    """A DiagnosticReport."""
    id_ = elements.pop("id_", None)
    held = {"status": status, "code": code, "effectiveDateTime": on} | elements
    return resource("DiagnosticReport", id_, **held)


def patient(**elements: Any) -> Json:
    """The patient: a man of 64."""
    held = {"resourceType": "Patient", "id": "anna", "gender": "male", "birthDate": "1962-07-20"}
    return {name: value for name, value in (held | elements).items() if value is not None}


# --- The chart ---------------------------------------------------------------------------------

HISTOLOGY_G2 = {"extension": [{"url": HISTOLOGY, "valueCodeableConcept": coded("8249/3", ICD_O_3)}]}


def everything(today: date = TODAY) -> list[Json]:
    """What a chart needs so that nothing that a record can show is missing."""
    recent = days_ago(13, today)
    return [
        condition("C7A.011", id_="net", onset="2020-02-03", **HISTOLOGY_G2),
        condition("C7B.02", id_="liver", onset="2020-03-01"),
        observation("grade", "2020-02-10", id_="grade", valueCodeableConcept=words("G2")),
        pet("2026-05-04", id_="pet"),
        cycle("2021-01-11", id_="prrt1"),
        cycle("2021-03-08", id_="prrt2"),
        cycle("2021-05-03", id_="prrt3"),
        cycle("2021-06-28", id_="prrt4"),
        response("SD", "2021-09-27", id_="after"),
        response("PR", "2023-02-06", id_="better"),
        response("PD", "2026-08-31", id_="worse"),
        observation("ecog", recent, id_="ecog", valueInteger=1),
        lab("hemoglobin", 118, "g/L", recent, id_="hb"),
        lab("neutrophils", 2.9, "10*9/L", recent, id_="anc"),
        lab("platelets", 160, "10*9/L", recent, id_="plt"),
        lab("bilirubin", 0.6, "mg/dL", recent, id_="bili", uln=upper(1.2, "mg/dL")),
        lab("creatinine", 1.0, "mg/dL", recent, id_="crea"),
        lab("weight", 80, "kg", recent, id_="weight"),
    ]


def bundle(*resources: Json, **elements: Any) -> Json:
    """A Bundle of a collection."""
    entries = [
        {
            "fullUrl": f"https://ehr.test/fhir/{one.get('resourceType')}/{one.get('id')}",
            "resource": one,
        }
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries} | elements


def chart(*added: Json, without: str = "", person: Json | None = None, **elements: Any) -> Json:
    """The base chart without some resources (their ids, by blanks) and with others.

    An added resource takes the place of the one with its type and id.
    """
    dropped = set(without.split())
    unknown = dropped - {one["id"] for one in everything()}
    if unknown:
        raise ValueError(f"the base chart has no {unknown}")
    replaced = {(one["resourceType"], one.get("id")) for one in added}
    kept = [
        one
        for one in everything()
        if one["id"] not in dropped and (one["resourceType"], one["id"]) not in replaced
    ]
    return bundle(patient(**(person or {})), *kept, *added, **elements)


WOMAN = {"gender": "female"}


def woman(*added: Json, **more: Any) -> Json:
    """The base chart of a woman."""
    person = WOMAN | more.pop("person", {})
    return chart(*added, person=person, **more)


# --- Screening ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _books() -> tuple[CodeBook, UnitBook]:
    tables = load_tables()
    return CodeBook(tables), UnitBook(tables)


@lru_cache(maxsize=1)
def trial() -> Any:
    """NET RETREAT, loaded once."""
    return load_trial(None, _books()[0])


def screener(site: Json | None = None) -> Screener:
    """The screener of a site."""
    codes, units = _books()
    return Screener(trial(), Site.model_validate(site or {}), codes, units)


def attestations(*given_answers: Json) -> tuple[Attestation, ...]:
    """Attestations as the file holds them; who and when need not be said."""
    filled = [{"by": "Practitioner/9", "on": days_ago(3)} | one for one in given_answers]
    return read_attestations(filled, trial())


def screen(
    content: Json | bytes,
    as_of: date = TODAY,
    *,
    site: Json | None = None,
    attest: tuple[Json, ...] = (),
) -> Report:
    """Evaluate a Bundle."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    read = read_chart_file(data, None)
    return screener(site).screen_chart(read, as_of, attestations(*attest))


def result(found: Report, criterion: str) -> CriterionResult:
    """One criterion of a report."""
    return next(one for one in found.criteria if one.id == criterion)


def verdict(found: Report, criterion: str) -> str:
    """A result in one word: the status, with its basis or change where the status has one.

    ``met`` and ``not_met`` without a basis rest on evidence.
    """
    one = result(found, criterion)
    basis = "" if one.basis in (None, "evidence") else f" by {one.basis}"
    change = f" {one.change}" if one.change else ""
    return f"{one.status}{change}{basis}"


def issues(found: Report) -> set[tuple[str, str]]:
    """Code and reference of every data issue."""
    return {(one.code, one.reference) for one in found.data_issues}


def case(name: str, expected: str, content: Json, **how: Any) -> Any:
    """A row of a table of cases: what is expected of one criterion of a chart."""
    return pytest.param(expected, content, how, id=name)
