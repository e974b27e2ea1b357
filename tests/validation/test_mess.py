"""The dial of mess: it damages what it says, as much as it says, the same way each time."""

from __future__ import annotations

import itertools
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_service.fhir.bundle import read_chart_file
from cds_service.record.reads import Complete
from tests.charts import (
    RXNORM,
    bundle,
    chart,
    coded,
    lab,
    observation,
    patient,
    resource,
    screen,
    upper,
    verdict,
)
from validation.mess import EVERYTHING, KINDS, SILENT, TOGETHER, TOLD, Dial, make_messy

Json = dict[str, Any]

SEED = 20_261_123


def messy(content: Json, kind: str, level: float = 1, **how: Any) -> Json:
    """A damaged chart of the tests' patient."""
    dial = Dial(kind, level, SEED, **how)
    found: Json = json.loads(make_messy(json.dumps(content).encode(), "anna", dial))
    return found


def only(kind: str, one: Json, level: float = 1, **how: Any) -> Json:
    """One resource, damaged."""
    (entry,) = messy(bundle(one), kind, level, **how)["entry"]
    found: Json = entry["resource"]
    return found


DRUG = resource(
    "MedicationAdministration",
    "temo",
    status="completed",
    medicationCodeableConcept={
        "coding": [{"system": RXNORM, "code": "37776", "display": "temozolomide"}]
    },
    effectiveDateTime="2019-05-05T23:30:00-05:00",
    dosage={"dose": {"value": 200, "unit": "mg", "code": "mg"}},
)


class TestTheDial:
    """How much is damaged, and what."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_at_zero_nothing_changes(self, kind: str) -> None:
        """Level 0 is the chart."""
        clean = chart(DRUG)

        assert clean == messy(clean, kind, 0)

    @pytest.mark.parametrize("kind", KINDS)
    def test_is_the_same_each_time(self, kind: str) -> None:
        """The same seed damages the same resources, another seed others."""
        clean = json.dumps(chart(DRUG)).encode()
        first, again = (make_messy(clean, "anna", Dial(kind, 0.5, 1)) for _ in range(2))

        assert first == again
        others = {make_messy(clean, "anna", Dial(kind, 0.5, seed)) for seed in range(2, 12)}
        assert others - {first}

    def test_turned_up_it_only_damages_more(self) -> None:
        """What is hit at a level is hit at each higher one."""
        names = [f"Observation/{number}" for number in range(2_000)]
        hit = [
            {name for name in names if Dial(TOLD, level, SEED).hits(TOLD, "anna", name)}
            for level in (0.05, 0.1, 0.3, 0.5)
        ]

        assert hit == sorted(hit, key=len)
        assert all(less < more for less, more in itertools.pairwise(hit))
        assert [100, 200, 600, 1000] == pytest.approx([len(one) for one in hit], rel=0.15)

    def test_leaves_the_patient_and_what_is_not_read_alone(self) -> None:
        """A Patient is never lost; a claim is nothing that the service reads."""
        claim = {"resourceType": "Claim", "id": "c", "created": "2020-02-02"}
        kept = messy(bundle(patient(), claim), SILENT)

        assert [patient(), claim] == [entry["resource"] for entry in kept["entry"]]

    def test_all_kinds_work_together(self) -> None:
        """At 100 % everything is lost: with nothing told, and with all told."""
        left = [entry["resource"]["resourceType"] for entry in messy(chart(), EVERYTHING)["entry"]]
        assert ["Patient"] == left
        types = {entry["resource"]["type"] for entry in messy(chart(), TOGETHER)["entry"]}
        assert {"searchset"} == types


class TestEachKind:
    """What is lost, and what stays."""

    def test_missing_units(self) -> None:
        """Value and range lose their units, the numbers stay."""
        result = only("missing units", lab("bilirubin", 0.6, "mg/dL", uln=upper(1.2, "mg/dL")))

        assert {"value": 0.6} == result["valueQuantity"]
        assert [{"high": {"value": 1.2}}] == result["referenceRange"]
        assert {"value": 200} == only("missing units", DRUG)["dosage"]["dose"]

    def test_missing_ranges(self) -> None:
        """The range is gone, the value stays."""
        clean = lab("bilirubin", 0.6, "mg/dL", uln=upper(1.2, "mg/dL"))
        result = only("missing ranges", clean)

        assert {name: one for name, one in clean.items() if name != "referenceRange"} == result

    def test_partial_dates(self) -> None:
        """The day is gone, for some the month too; instants are whole by definition."""
        dates = {
            only("partial dates", observation("ecog", "2026-11-20", id_=f"e{number}"))[
                "effectiveDateTime"
            ]
            for number in range(40)
        }
        issued = only("partial dates", observation("ecog", issued="2026-11-20T10:00:00Z"))

        assert {"2026-11", "2026"} == dates
        assert "2026-11-20T10:00:00Z" == issued["issued"]

    def test_a_date_is_cut_as_it_is_at_the_site(self) -> None:
        """The evening of the last of a month in one zone is the first of the next in another."""
        late = {"effectiveDateTime": "2021-12-31T23:30:00-05:00"}

        assert only("partial dates", DRUG | late)["effectiveDateTime"].startswith("2022")
        at_home = only("partial dates", DRUG | late, zone=ZoneInfo("America/Toronto"))
        assert at_home["effectiveDateTime"].startswith("2021")

    def test_local_codes(self) -> None:
        """The hospital's own code, the words of before; statuses stay FHIR's."""
        result = only("local codes", lab("hemoglobin", 91, "g/L", status="final"))
        drug = only("local codes", DRUG)["medicationCodeableConcept"]

        (coding,) = result["code"]["coding"]
        assert "https://hospital.example/codes" == coding["system"]
        assert ("final", {"value": 91}) == (
            result["status"],
            {"value": result["valueQuantity"]["value"]},
        )
        assert "temozolomide" == drug["text"]

    def test_free_text_drugs(self) -> None:
        """A drug is its name, whether in the order, in a resource of its own or contained."""
        own = {"resourceType": "Medication", "id": "m", "code": DRUG["medicationCodeableConcept"]}
        order = resource("MedicationRequest", "o", contained=[own])

        named = {"text": "temozolomide"}
        assert named == only("free-text drugs", DRUG)["medicationCodeableConcept"]
        assert named == only("free-text drugs", own)["code"]
        assert named == only("free-text drugs", order)["contained"][0]["code"]
        ecog = observation("ecog")
        assert ecog == only("free-text drugs", ecog)

    def test_duplicated_records(self) -> None:
        """The same event again, under another id, half the time as a statement."""
        copies = [
            messy(bundle(DRUG | {"id": f"d{number}"}), "duplicated records")["entry"][1]["resource"]
            for number in range(40)
        ]
        types = {copy["resourceType"] for copy in copies}
        statement = next(one for one in copies if one["resourceType"] == "MedicationStatement")

        assert {"MedicationAdministration", "MedicationStatement"} == types
        assert all(copy["id"].endswith("-copy") for copy in copies)
        assert (DRUG["effectiveDateTime"], "completed") == (
            statement["effectiveDateTime"],
            statement["status"],
        )

    def test_told_losses_are_told(self) -> None:
        """The reads of the types that lost something are not complete, all others are."""
        reads = set()
        for seed in range(20):
            clean = json.dumps(chart()).encode()
            read = read_chart_file(make_messy(clean, "anna", Dial(TOLD, 0.2, seed)), None)
            lost = len(read.entries) < len(chart()["entry"])
            told = {type_ for type_, one in read.reads.items() if not isinstance(one, Complete)}
            assert lost == bool(told)
            reads |= told
        assert {"Observation", "Condition", "MedicationAdministration"} <= reads

    def test_silent_losses_are_not(self) -> None:
        """Every read claims to be complete."""
        clean = json.dumps(chart()).encode()
        read = read_chart_file(make_messy(clean, "anna", Dial(SILENT, 0.5, SEED)), None)

        assert len(read.entries) < len(chart()["entry"])
        assert all(isinstance(one, Complete) for one in read.reads.values())


def test_what_is_told_is_heeded() -> None:
    """The newest haemoglobin is low; where it was lost and told, the older one decides nothing."""
    low = lab("hemoglobin", 70, "g/L", "2026-11-20", id_="low")
    kept = bundle(patient(), lab("hemoglobin", 110, "g/L", "2026-11-10", id_="fine"), *_net())
    whole = bundle(*(entry["resource"] for entry in kept["entry"]), low)
    seed = next(s for s in range(200) if _lost(whole, s) == {"low"})

    told = make_messy(json.dumps(whole).encode(), "anna", Dial(TOLD, 0.2, seed))

    assert "unknown" == verdict(screen(told), "hemoglobin")
    assert "met" == verdict(screen(kept), "hemoglobin")


def _net() -> tuple[Json, ...]:
    net = resource("Condition", "net", code=coded("C7A.011"), onsetDateTime="2020-02-03")
    return (net,)


def _lost(whole: Json, seed: int) -> set[str]:
    told = make_messy(json.dumps(whole).encode(), "anna", Dial(TOLD, 0.2, seed))
    held = {json.loads(bytes(one.raw))["id"] for one in read_chart_file(told, None).entries}
    return {entry["resource"]["id"] for entry in whole["entry"]} - held
