"""The enrichment: what it adds to what Synthea exports, and that it is the same every time."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from validation.decisions import Decisions, Event
from validation.enrich import enrich

AS_OF = date(2026, 1, 1)
PATIENT = "11111111-1111-4111-8111-111111111111"
LUTETIUM = {
    "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "1999687"}]
}
Json = dict[str, Any]


def happened(name: str, kind: str, days: int, *, value: str | None = None) -> Event:
    """An event; its resource has the event's name for an id."""
    day = AS_OF - timedelta(days=days)
    number = None if value is None else Decimal(value)
    return Event(name, kind, f"{day}T08:00:00+00:00", day, day, number, None, None, name)


def decided(*events: Event, ends: dict[str, date] | None = None, **chosen: str) -> Decisions:
    """What was decided about the patient."""
    return Decisions(PATIENT, AS_OF, date(1960, 5, 5), None, "M", chosen, events, ends or {})


def exported(*resources: Json) -> Json:
    """A Bundle as Synthea writes it, with the Patient."""
    patient = {"resourceType": "Patient", "id": PATIENT, "birthDate": "1960-05-05"}
    subject = {"reference": f"urn:uuid:{PATIENT}"}
    entries = [patient, *({**resource, "subject": subject} for resource in resources)]
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in entries]}


def result(event: Event, unit: str, code: str = "718-7") -> Json:
    """A laboratory result as Synthea writes it."""
    quantity = {"value": event.value, "unit": unit, "code": unit}
    return {
        "resourceType": "Observation",
        "id": event.resource,
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "effectiveDateTime": event.at,
        "valueQuantity": quantity | {"system": "http://unitsofmeasure.org"},
    }


def order(event: Event, drug: Json) -> Json:
    """An order as Synthea writes it."""
    return {
        "resourceType": "MedicationRequest",
        "id": event.resource,
        "medicationCodeableConcept": copy.deepcopy(drug),
        "authoredOn": event.at,
    }


def administration(event: Event, drug: Json) -> Json:
    """The administration that Synthea writes beside it."""
    return {
        "resourceType": "MedicationAdministration",
        "id": f"{event.resource} given",
        "medicationCodeableConcept": copy.deepcopy(drug),
        "effectiveDateTime": event.at,
    }


def enriched(decisions: Decisions, *resources: Json, seed: int = 1) -> list[Json]:
    """The resources after the enrichment."""
    bundle = enrich(exported(*resources), decisions, seed)
    return [entry["resource"] for entry in bundle["entry"]]


def of_type(kind: str, resources: list[Json]) -> list[Json]:
    """Those of one type."""
    return [resource for resource in resources if kind == resource["resourceType"]]


@pytest.mark.parametrize(
    ("name", "unit", "value", "conventional", "si"),
    [
        ("Hemoglobin limit", "g/dL", "8.0", ("8.0", "g/dL", None), ("80.00", "g/L", None)),
        (
            "Bilirubin limit",
            "mg/dL",
            "1.8",
            ("1.8", "mg/dL", "1.2"),
            ("30.780", "umol/L", "20.520"),
        ),
        (
            "Creatinine normal",
            "mg/dL",
            "0.75",
            ("0.75", "mg/dL", "1.2"),
            ("66.3000", "umol/L", "106.080"),
        ),
    ],
)
def test_units_and_upper_limits(
    name: str,
    unit: str,
    value: str,
    conventional: tuple[str, str, str | None],
    si: tuple[str, str, str | None],
) -> None:
    """SI is an exact product, of the value and of its limit."""
    event = happened(name, "Observation", 9, value=value)
    for units, expected in (("conventional", conventional), ("si", si)):
        decisions = decided(event, units=units, upper_limits="given")
        (observation,) = of_type("Observation", enriched(decisions, result(event, unit)))
        ranges = observation.get("referenceRange", [{"high": {"value": None}}])
        quantity = observation["valueQuantity"]
        high = ranges[0]["high"]["value"]

        number, its_unit, limit = expected
        assert (Decimal(number), its_unit, its_unit) == (
            quantity["value"],
            quantity["unit"],
            quantity["code"],
        )
        assert (None if limit is None else Decimal(limit)) == high


def test_no_upper_limit_where_it_is_to_be_missing() -> None:
    """Then the bilirubin cannot be judged."""
    event = happened("Bilirubin normal", "Observation", 9, value="0.6")
    decisions = decided(event, upper_limits="missing")

    (observation,) = of_type("Observation", enriched(decisions, result(event, "mg/dL", "1975-2")))

    assert "referenceRange" not in observation


def test_activities_stand_on_administrations_and_in_the_decisions() -> None:
    """With some seed there are none; where there are, both say the same."""
    event = happened("PRRT 1 order", "MedicationOrder", 1400)
    units = set()
    for seed in range(20):
        decisions = decided(event, prrt="two_full_activity", prrt_recording="administration")
        resources = enriched(
            decisions, order(event, LUTETIUM), administration(event, LUTETIUM), seed=seed
        )
        (given,) = of_type("MedicationAdministration", resources)
        noted = decisions.added["activitiesMBq"]
        dose = given.get("dosage", {}).get("dose")
        units.add(dose and dose["unit"])
        assert ({} if dose is None else {"PRRT 1 order": "11100"}) == noted
        if dose is not None:
            factor = {"MBq": 1, "GBq": 1000, "mCi": 37}[dose["unit"]]
            assert Decimal(11_100) == dose["value"] * factor

    assert {None, "MBq", "GBq", "mCi"} == units


def test_a_stated_cycle_is_no_administration() -> None:
    """One day of one statement."""
    event = happened("PRRT 1 order", "MedicationOrder", 1400)
    decisions = decided(event, prrt="four", prrt_recording="statement")

    resources = enriched(decisions, order(event, LUTETIUM), administration(event, LUTETIUM))

    assert not of_type("MedicationAdministration", resources)
    (statement,) = of_type("MedicationStatement", resources)
    assert (event.at, LUTETIUM) == (
        statement["effectiveDateTime"],
        statement["medicationCodeableConcept"],
    )


def test_what_was_taken_for_a_time_has_a_statement_with_both_ends() -> None:
    """And none where it has not ended."""
    event = happened("Sunitinib", "MedicationOrder", 30)
    end = AS_OF - timedelta(days=5)
    cases = (({"End of Sunitinib": end}, "completed", end.isoformat()), ({}, "active", None))
    for ends, status, last in cases:
        decisions = decided(event, ends=ends)
        resources = enriched(decisions, order(event, {"coding": [{"code": "357977"}]}))

        (statement,) = of_type("MedicationStatement", resources)
        period = statement["effectivePeriod"]
        assert (status, event.day.isoformat(), last) == (
            statement["status"],
            period["start"],
            period.get("end"),
        )


def test_a_drug_by_its_words_has_no_code() -> None:
    """Neither on the order nor on the administration."""
    event = happened("Actinium", "MedicationOrder", 2700)
    radium = {"coding": [{"system": "http://www.whocc.no/atc", "code": "V10XX03"}]}

    resources = enriched(decided(event), order(event, radium), administration(event, radium))

    drugs = [
        resource["medicationCodeableConcept"]
        for resource in resources
        if "medicationCodeableConcept" in resource
    ]
    assert [{"text": "225Ac-DOTATATE"}] * 2 == drugs


@pytest.mark.parametrize(
    ("uptake", "sign"), [("above_liver", 1), ("equal_to_liver", 0), ("below_liver", -1)]
)
def test_uptake_of_lesion_and_liver(uptake: str, sign: int) -> None:
    """Both values on the scan, and compared as decided."""
    event = happened("PET within 1 year procedure", "Procedure", 100)
    scan = {
        "resourceType": "Procedure",
        "id": event.resource,
        "code": {"coding": [{"code": "82918005"}]},
        "performedPeriod": {"start": event.at},
    }
    decisions = decided(event, uptake=uptake, tracer="ga68")

    resources = enriched(decisions, scan)

    (procedure,) = of_type("Procedure", resources)
    assert "724025002" == procedure["usedCode"][0]["coding"][0]["code"]
    lesion, liver = of_type("Observation", resources)
    difference = lesion["valueQuantity"]["value"] - liver["valueQuantity"]["value"]
    assert sign == (difference > 0) - (difference < 0)
    reference = [{"reference": f"Procedure/{event.resource}"}]
    assert reference == lesion["partOf"] == liver["partOf"]


def test_references_are_plain_and_every_resource_is_put_under_its_id() -> None:
    """Whatever Synthea refers to elsewhere becomes an identifier."""
    event = happened("Hemoglobin limit", "Observation", 9, value="8.0")
    observation = result(event, "g/dL") | {
        "performer": [{"reference": "Practitioner?identifier=http://npi|99", "display": "Dr. X"}]
    }

    bundle = enrich(exported(observation), decided(event), 1)

    _, entry = bundle["entry"]
    assert {"reference": f"Patient/{PATIENT}"} == entry["resource"]["subject"]
    assert [{"display": "Dr. X", "identifier": {"system": "http://npi", "value": "99"}}] == entry[
        "resource"
    ]["performer"]
    assert {"method": "PUT", "url": "Observation/Hemoglobin limit"} == entry["request"]


def test_the_same_seed_enriches_the_same_way_and_another_differently() -> None:
    """Whatever was made before it."""
    event = happened("PET within 1 year procedure", "Procedure", 100)
    scan = {
        "resourceType": "Procedure",
        "id": event.resource,
        "code": {"coding": [{"code": "82918005"}]},
        "performedPeriod": {"start": event.at},
    }

    def made(seed: int) -> list[Json]:
        decisions = decided(event, uptake="above_liver", tracer="ga68", woman="childbearing")
        return enriched(decisions, copy.deepcopy(scan), seed=seed)

    assert made(1) == made(1)
    assert len({str(made(seed)) for seed in range(5)}) > 1


def test_withheld_and_other() -> None:
    """Birth date and sex as the chart is to have them."""
    decisions = decided(birth_date="withheld", recorded_sex="other")

    (patient,) = of_type("Patient", enriched(decisions))

    assert "birthDate" not in patient
    assert "other" == patient["gender"]
