"""The demo patients: offsets, how files change the base, and that they are valid R4."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, get_args

import pytest

from cds_service.demo.load import read_model
from cds_service.demo.patients import (
    DemoPatient,
    _load_patient,
    fixtures_directory,
    load_demo_patients,
    load_demo_resources,
    resolve_dates,
    shift_date,
)
from cds_service.demo.search_params import PARAMS
from cds_service.errors import ConfigError
from cds_service.report import Change, Overall, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

TODAY = date(2026, 11, 24)
# The one fault in the messy chart that no model accepts; the other faults are valid R4.
INVALID = {"messy-creatinine"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{today}}", "2026-11-24"),
        ("{{today-14d}}", "2026-11-10"),
        ("{{today+3d}}", "2026-11-27"),
        ("{{today-26mo}}", "2024-09-24"),
        ("{{today-62y}}", "1964-11-24"),
        ("{{today-62y-4mo+1d}}", "1964-07-25"),
        ("{{today-7mo:month}}", "2026-04"),
        ("{{today-67y:year}}", "1959"),
        ("{{today-14d}}T09:30:00Z", "2026-11-10T09:30:00Z"),
        ("from {{today-1d}} to {{today}}", "from 2026-11-23 to 2026-11-24"),
        ("{{yesterday}}", "{{yesterday}}"),
    ],
)
def test_offsets_are_counted_from_today(text: str, expected: str) -> None:
    """Each unit, sign and precision, alone and together."""
    assert expected == resolve_dates(text, TODAY)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
        (date(2024, 3, 31), -1, date(2024, 2, 29)),
        (date(2028, 2, 29), -12, date(2027, 2, 28)),
        (date(2026, 1, 15), -1, date(2025, 12, 15)),
        (date(2025, 12, 15), 1, date(2026, 1, 15)),
        (date(2026, 10, 31), 13, date(2027, 11, 30)),
    ],
)
def test_months_are_calendar_months(day: date, months: int, expected: date) -> None:
    """A day that the other month lacks becomes that month's last."""
    assert expected == shift_date(day, months=months)


def test_there_are_enough_patients_and_each_says_what_it_shows(
    patients: Mapping[str, DemoPatient],
) -> None:
    """At least 16 charts, no two with the same title."""
    titles = {patient.title for patient in patients.values()}

    assert len(patients) >= 16
    assert len(patients) == len(titles)


def test_ids_are_unique_and_the_patient_comes_first(patients: Mapping[str, DemoPatient]) -> None:
    """All charts fit on one server, and a chart's Patient has the fixture's name as id."""
    resources = [resource for patient in patients.values() for resource in patient.resources]
    ids = [(resource["resourceType"], resource["id"]) for resource in resources]

    assert len(ids) == len(set(ids))
    assert all(
        ("Patient", name) == (patient.patient["resourceType"], patient.patient["id"])
        for name, patient in patients.items()
    )


@pytest.mark.parametrize("day", [TODAY, date(2028, 2, 29), date(2027, 3, 31), date(2027, 12, 31)])
def test_all_but_the_broken_resource_are_valid_r4(day: date) -> None:
    """Whatever the day, fhirclient's models refuse only what is broken on purpose."""
    resources = load_demo_resources(day)
    refused = {resource["id"] for resource in resources if read_model(resource) is None}

    assert refused == INVALID


def test_no_token_is_left_over(today: date) -> None:
    """A mistyped token would otherwise be shown as a date."""
    assert "{{" not in json.dumps(load_demo_resources(today))


def test_the_server_knows_every_type(today: date) -> None:
    """The embedded server can be searched for whatever a chart holds."""
    assert {resource["resourceType"] for resource in load_demo_resources(today)} <= PARAMS.keys()


def test_every_chart_refers_to_its_own_patient(patients: Mapping[str, DemoPatient]) -> None:
    """Only the messy chart has a stray of somebody else, who is not among the patients."""
    strays = {
        subject
        for name, patient in patients.items()
        for resource in patient.resources
        if (subject := resource.get("subject", {}).get("reference"))
        not in (None, f"Patient/{name}")
    }

    assert {"Patient/somebody-else"} == strays


def test_expectations_are_words_of_the_report(patients: Mapping[str, DemoPatient]) -> None:
    """Only what a report can say, and nothing where the patient is not relevant."""
    for patient in patients.values():
        assert patient.expected.overall in get_args(Overall)
        assert (patient.expected.overall == "not_relevant") == (not patient.expected.criteria)
        for fields in patient.expected.criteria.values():
            assert fields["status"] in get_args(Status)
            assert ("change" in fields) == (fields["status"] == "not_met")
            assert fields.get("change") in (None, *get_args(Change))


def test_overall_follows_from_the_criteria(patients: Mapping[str, DemoPatient]) -> None:
    """The hand-written overall result agrees with the hand-written criteria."""
    for patient in patients.values():
        fields = patient.expected.criteria.values()
        changes = {field.get("change") for field in fields} - {None}
        expected = "not_now" if changes else "possible"
        if "permanent" in changes:
            expected = "excluded"

        assert (expected if fields else "not_relevant") == patient.expected.overall


def test_each_patient_differs_from_the_base_in_few_criteria(
    patients: Mapping[str, DemoPatient],
) -> None:
    """One reason a patient: only the messy chart and women's four criteria are many at once."""
    base = json.loads((fixtures_directory() / "patients" / "base.json").read_text())
    usual = base["expected"]["criteria"]
    for name in patients.keys() - {"messy", "pregnancy-test-missing", "after-menopause"}:
        expected = patients[name].expected.criteria
        changed = [key for key in expected if expected[key]["status"] != usual[key]["status"]]

        assert len(changed) <= 2, name


def test_medications_are_referenced_as_well_as_coded(patients: Mapping[str, DemoPatient]) -> None:
    """A reader that ignores `medicationReference` would miss three cycles."""
    resources = patients["prrt-three-cycles"].resources
    cycles = [one for one in resources if one["resourceType"] == "MedicationAdministration"]

    assert 3 == len(cycles)
    assert {"Medication/prrt-three-cycles-lutathera"} == {
        cycle["medicationReference"]["reference"] for cycle in cycles
    }


@pytest.mark.parametrize(
    "change",
    [
        {"remove": ["nobody-there"]},
        {"replace": [{"resourceType": "Condition", "id": "there-not"}]},
        {"add": [{"resourceType": "Observation", "id": "x-hb"}]},
    ],
)
def test_a_change_that_does_not_fit_the_base_is_refused(change: dict[str, Any]) -> None:
    """A slip in a fixture stops the demo with the file's name, instead of changing nothing."""
    base = {"resources": [{"resourceType": "Observation", "id": "{{patient}}-hb"}], "expected": {}}
    own = {
        "order": 1,
        "title": "t",
        "base": True,
        "expected": {"overall": "possible", "criteria": {}},
        "patient": {"resourceType": "Patient", "id": "{{patient}}"},
    }

    with pytest.raises(ConfigError, match=r"fixtures/patients/x\.json does not fit base\.json"):
        _load_patient("x", json.dumps(own | change), json.dumps(base), TODAY)


def test_the_demo_does_not_age() -> None:
    """Ten years on, the same patients are as old and their results as recent."""
    now, later = (load_demo_patients(date(year, 11, 24)) for year in (2026, 2036))

    assert [patient.name for patient in now] == [patient.name for patient in later]
    assert json.dumps(now[0].resources) != json.dumps(later[0].resources)
    assert "2036-11-15T08:10:00Z" in json.dumps(later[0].resources)
