"""Charts loaded into a real HAPI FHIR server: the report by pull is the report on the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.charts import TODAY, lab
from tests.validation.small_cohort import write_cohort
from validation.cohort_folder import open_cohort
from validation.hapi_load import load_chart
from validation.judging import Judge
from validation.through_hapi import Comparison, compare, sampled

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.end_to_end

PATIENTS = 12


def test_patients_of_the_cohort(hapi: str, cohort_dir: Path) -> None:
    """NET patients and an ordinary one as Synthea made them: every field is the same."""
    cohort = open_cohort(cohort_dir)
    charts = sampled(cohort, PATIENTS - 1)

    found = compare(charts, cohort.manifest.as_of, Judge(cohort.manifest), hapi)

    assert PATIENTS == found.patients
    assert {} == found.differences
    assert len(found.overalls) > 1
    assert found.fields > 1000 * (PATIENTS - 1) / 2


def test_a_change_on_the_server_shows(hapi: str, tmp_path: Path) -> None:
    """A newer result that only the server has is a difference, and named."""
    cohort = open_cohort(write_cohort(tmp_path / "cohort"))
    judge = Judge(cohort.manifest)
    (fine, _), charts = cohort.net, (*cohort.net, *cohort.ordinary)
    assert {} == compare(charts, TODAY, judge, hapi).differences

    newer = lab("platelets", 60, "10*9/L", "2026-11-20", id_="newer")
    newer["subject"] = {"reference": "Patient/fine"}
    _put(hapi, newer)
    found: Comparison = compare([fine], TODAY, judge, hapi)

    assert ["fine"] == list(found.differences)
    assert any("'met' from the bundle, 'not_met'" in line for line in found.differences["fine"])


def test_an_ordinary_patient_is_compared_as_a_whole(hapi: str, tmp_path: Path) -> None:
    """A report has remarks on results that the hook does not read where there is no tumour."""
    cohort = open_cohort(write_cohort(tmp_path / "cohort"))
    (chart,) = cohort.ordinary
    text = chart.read_text(encoding="utf-8").replace("calm", "implausible")
    chart.write_text(text.replace('"value": 140', '"value": 1400'), encoding="utf-8")
    judge = Judge(cohort.manifest)
    assert ["implausible"] == [
        one.code for one in judge.report(chart.read_bytes(), TODAY).data_issues
    ]

    found = compare([chart], TODAY, judge, hapi)
    assert ({"not_relevant": 1}, {}) == (found.overalls, found.differences)

    newer = lab("hemoglobin", 1500, "g/L", "2026-11-20", id_="implausible-newer")
    newer["subject"] = {"reference": "Patient/implausible"}
    _put(hapi, newer)
    assert ["implausible"] == list(compare([chart], TODAY, judge, hapi).differences)


def test_charts_that_share_an_id_are_refused(hapi: str, tmp_path: Path) -> None:
    """One would overwrite the other on the server."""
    cohort = open_cohort(write_cohort(tmp_path / "cohort"))

    with pytest.raises(ValueError, match="ids of another chart"):
        compare([cohort.net[0], cohort.net[0]], TODAY, Judge(cohort.manifest), hapi)


def test_a_refusal_is_an_error(hapi: str) -> None:
    """A chart that the server does not take is not passed over."""
    broken = b'{"entry": [{"resource": {"resourceType": "Patient", "id": "p", "birthDate": 1}}]}'

    with httpx2.Client(trust_env=False) as client, pytest.raises(httpx2.HTTPStatusError):
        load_chart(client, hapi, broken)


def _put(base: str, resource: dict[str, Any]) -> None:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    with httpx2.Client(trust_env=False) as client:
        client.put(url, json=resource).raise_for_status()
