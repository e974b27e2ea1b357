"""What is no change to a chart must not change its report."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.report import report_json
from tests import charts
from tests.charts import TODAY, Json
from tests.metamorphic.support import (
    Resources,
    chart_from,
    decided,
    differences,
    looks,
    patients,
    pool,
    prefetch_of,
    report_from,
    report_of,
    resources_of,
)

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)")
SITES = (None, {"timezone": "America/Toronto"}, {"timezone": "Pacific/Auckland"})

Charts = st.sampled_from(sorted(pool())).map(lambda name: copy.deepcopy(pool()[name]))


@looks
@given(patients(), st.randoms(use_true_random=False))
def test_the_order_of_entries_decides_nothing(chart: Resources, shuffler: Any) -> None:
    """A Bundle is a set."""
    mixed = list(chart)
    shuffler.shuffle(mixed)

    assert [] == differences(decided(report_of(chart)), decided(report_of(mixed)))


@looks
@given(patients())
def test_prefetch_and_file_give_one_report(chart: Resources) -> None:
    """Field for field, but for the order in which data issues and evidence were met."""
    assert [] == differences(decided(report_of(chart)), decided(report_from(prefetch_of(chart))))


@looks
@given(patients())
def test_lines_and_a_bundle_give_one_report(chart: Resources) -> None:
    """NDJSON holds the same resources in the same order, so that nothing at all differs."""
    lines = "\n".join(json.dumps(one) for one in chart).encode()
    bundle = json.dumps(charts.bundle(*chart)).encode()

    assert report_json(charts.screen(bundle)) == report_json(charts.screen(lines))


@looks
@given(patients(), st.data())
def test_a_resource_twice_is_one(chart: Resources, data: st.DataObject) -> None:
    """The same id in the same version, wherever it stands."""
    again = data.draw(st.lists(st.sampled_from(chart), max_size=5))
    mixed = data.draw(st.permutations([*chart, *again]))

    assert [] == differences(decided(report_of(chart)), decided(report_of(mixed)))


@looks
@given(patients(), st.data())
def test_what_is_recorded_twice_happened_once(chart: Resources, data: st.DataObject) -> None:
    """The same measurement, drug or diagnosis under another id adds nothing."""
    chosen = data.draw(st.lists(st.sampled_from(chart[1:] or [{}]), max_size=4))
    copies = [one | {"id": f"copy{n}"} for n, one in enumerate(chosen) if one]

    assert [] == differences(decided(report_of(chart)), decided(report_of([*chart, *copies])))


@looks
@given(patients(), st.data(), st.sampled_from(SITES))
def test_an_instant_is_the_same_in_every_zone(
    chart: Resources, data: st.DataObject, site: Json | None
) -> None:
    """Written with another offset, a time is the same time: nothing at all differs."""

    def moved(found: re.Match[str]) -> str:
        minutes = data.draw(st.integers(-12 * 4, 14 * 4)) * 15
        moment = datetime.fromisoformat(found[0]).astimezone(UTC)
        return moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()

    text = json.dumps(chart)
    other = json.loads(INSTANT.sub(moved, text))

    assert [] == differences(report_of(chart, site=site), report_of(other, site=site))


# --- What is not the patient's, or not meant ---------------------------------------------------


@looks
@given(patients(), Charts, st.integers(0, 60))
def test_what_belongs_to_others_decides_nothing(
    chart: Resources, others: Resources, position: int
) -> None:
    """Another patient's resources are dropped, and reported."""
    text = json.dumps(others[1:]).replace(f"Patient/{others[0]['id']}", "Patient/somebody-else")
    strange = [one | {"id": f"other-{one['id']}"} for one in json.loads(text)]
    mixed = [*chart[: position + 1], *strange, *chart[position + 1 :]]

    mine, both = report_of(chart), report_of(mixed)
    assert [] == differences(mine["criteria"], both["criteria"])
    assert [] == differences(decided(mine), decided(both))
    owned = [one for one in strange if one["resourceType"] != "Medication"]
    reported = {one["reference"] for one in both["dataIssues"]}
    assert {f"{one['resourceType']}/{one['id']}" for one in owned} <= reported


@looks
@given(patients(), st.data())
def test_what_was_entered_in_error_decides_nothing(chart: Resources, data: st.DataObject) -> None:
    """Copies with another day and the status that takes them back."""
    chosen = data.draw(st.lists(st.sampled_from([{}, *chart[1:]]), max_size=6))
    wrong = [
        _in_error(one, n) for n, one in enumerate(chosen) if one.get("resourceType") in _ERRORS
    ]

    mine, both = report_of(chart), report_of([*chart, *wrong])
    assert [] == differences(mine["criteria"], both["criteria"])
    assert [] == differences(mine["outlook"], both["outlook"])


_ERRORS = {
    "Observation", "MedicationAdministration", "MedicationStatement", "MedicationRequest",
    "MedicationDispense", "Procedure", "DiagnosticReport", "ImagingStudy", "Consent", "Condition",
}  # fmt: skip
_DATES = ("effectiveDateTime", "performedDateTime", "onsetDateTime", "started", "authoredOn")


def _in_error(resource: Json, number: int) -> Json:
    wrong = copy.deepcopy(resource) | {"id": f"wrong{number}", "status": "entered-in-error"}
    if resource["resourceType"] == "Condition":
        del wrong["status"]
        wrong["verificationStatus"] = {"coding": [{"code": "entered-in-error"}]}
    return wrong | {name: charts.days_ago(1) for name in _DATES if name in wrong}


@looks
@given(patients(), st.data())
def test_unknown_elements_decide_nothing(chart: Resources, data: st.DataObject) -> None:
    """Extensions and elements that nobody here knows leave the report as it is."""
    marked = [_extended(one, data.draw(st.integers(0, 3))) for one in chart]

    assert [] == differences(report_of(chart), report_of(marked))


def _extended(resource: Json, how: int) -> Json:
    unknown = {"url": "https://example.org/unknown", "valueString": "Temodar"}
    made = copy.deepcopy(resource)
    if how & 1:
        made["extension"] = [*made.get("extension", []), unknown]
        made["ourOwnElement"] = {"value": 1}
    if how & 2:
        made["meta"] = {"versionId": "7", "profile": ["https://example.org/profile"]}
        made["text"] = {"status": "generated", "div": "<div>temozolomide, progression</div>"}
        for element in made.values():
            if isinstance(element, dict):
                element.setdefault("extension", [unknown])
    return made


IRRELEVANT = (
    charts.condition("I10", id_="hypertension"),
    charts.condition("E11.9", id_="diabetes"),
    charts.observation(charts.coded("2345-7", charts.LOINC), id_="glucose",
                       valueQuantity=charts.quantity(99, "mg/dL")),
    charts.observation(charts.words("a measurement of ours"), id_="ours", valueInteger=3),
    charts.order(charts.coded("314076", charts.RXNORM), id_="lisinopril"),
    charts.procedure("73761001", charts.days_ago(400), id_="colonoscopy"),
    {"resourceType": "Encounter", "id": "visit", "subject": {"reference": charts.ME}},
    {"resourceType": "AllergyIntolerance", "id": "allergy", "patient": {"reference": charts.ME}},
)  # fmt: skip


@looks
@given(patients(), st.lists(st.sampled_from(IRRELEVANT), unique_by=lambda one: one["id"]))
def test_what_has_no_bearing_decides_nothing(chart: Resources, added: Resources) -> None:
    """Blood pressure, glucose, a visit: the criteria are the same to the letter."""
    text = json.dumps(added).replace(charts.ME, f"Patient/{chart[0]['id']}")

    mine, both = report_of(chart), report_of([*chart, *json.loads(text)])
    assert [] == differences(mine["criteria"], both["criteria"])


# --- The same again ----------------------------------------------------------------------------


@looks
@given(patients())
def test_the_same_bytes_give_the_same_bytes(chart: Resources) -> None:
    """By the same screener and by a new one."""
    data = json.dumps(charts.bundle(*chart)).encode()

    first = report_json(charts.screen(data))
    assert first == report_json(charts.screen(data))
    assert first == report_json(charts.screener().screen_chart(chart_from_bytes(data), TODAY))


def chart_from_bytes(data: bytes) -> Any:
    """The chart that a file holds."""
    from cds_service.fhir.bundle import read_chart_file  # noqa: PLC0415

    return read_chart_file(data, None)


PRINT_ALL = """
import hashlib
from cds_service.report import report_json
from tests import charts
from tests.metamorphic.support import chart_from, pool, prefetch_of
found = hashlib.sha256()
for name, chart in sorted(pool().items()):
    found.update(report_json(charts.screen(charts.bundle(*chart))))
    sent = chart_from(prefetch_of(chart))
    found.update(report_json(charts.screener().screen_chart(sent, charts.TODAY)))
print(found.hexdigest())
"""


def test_every_process_gives_the_same_bytes() -> None:
    """However its hashes are seeded: no set decides the order of anything."""
    printed = set()
    for seed in ("1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", PRINT_ALL], check=True, capture_output=True, text=True,
            env=os.environ | {"PYTHONHASHSEED": seed}, cwd=Path(charts.__file__).parents[1],
        )  # fmt: skip
        printed.add(run.stdout)

    assert 1 == len(printed)
    assert 65 == len(printed.pop())


@pytest.mark.parametrize("name", sorted(pool()))
def test_the_builder_s_charts_are_screened(name: str) -> None:
    """The properties speak of reports that decide something."""
    report = report_of(pool()[name])

    assert report["overall"] in {"excluded", "not_now", "possible", "all_met", "not_relevant"}
    assert ("not_relevant" == report["overall"]) == (not report["criteria"])
    assert chart_from(prefetch_of(pool()[name])).entries


def test_the_base_chart_is_in_the_pool() -> None:
    """And its bundle is what the builder makes."""
    assert resources_of(charts.chart()) == pool()["full"]
