"""The evaluator against what was written by hand for every demo patient, on days far apart."""

from __future__ import annotations

import json
from datetime import date
from functools import cache

import pytest

from cds_service.demo.patients import load_demo_patients
from cds_service.fhir.bundle import read_chart_file
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from cds_service.report import report_builtins
from cds_service.screening import Screener
from cds_service.trial.load import load_trial
from cds_service.trial.site import Site

DAYS = (date(2026, 11, 24), date(2027, 3, 31), date(2028, 2, 29))
NAMES = [patient.name for patient in load_demo_patients(DAYS[0])]


@cache
def screener() -> Screener:
    """The shipped trial and tables, at a site with no configuration."""
    tables = load_tables()
    codes = CodeBook(tables)
    return Screener(load_trial(None, codes), Site(), codes, UnitBook(tables))


@pytest.mark.parametrize("day", DAYS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_what_the_rules_say_of_the_patient(name: str, day: date) -> None:
    """Overall, and every field that the fixture asserts of a criterion."""
    patient = next(one for one in load_demo_patients(day) if one.name == name)
    entries = [{"resource": resource} for resource in patient.resources]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    chart = read_chart_file(json.dumps(bundle).encode(), name)

    report = report_builtins(screener().screen_chart(chart, day))

    found = {one["id"]: one for one in report["criteria"]}
    expected = {
        (c, field): v for c, o in patient.expected.criteria.items() for field, v in o.items()
    }
    assert patient.expected.overall == report["overall"]
    assert expected == {(c, field): found[c][field] for c, field in expected}
