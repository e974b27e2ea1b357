"""Patients who are none, by the tags that a hospital gives them: no card; the audit says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cases.conftest import PATIENT, metric
from tests.cases.others import another, command
from tests.cases.sent import Json, chart, judge, marked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from tests.cases.conftest import Running
    from tests.faults.fake_fhir import Exchange

REASONS = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
HTEST = {"system": REASONS, "code": "HTEST", "display": "ZZPHI-display"}
LOCAL = {"system": "https://alpha.example/tags", "code": "test bed"}
SITE = f"""\
timezone: UTC
everolimus_access: true
test_patients:
  - {REASONS}|HTEST
  - https://alpha.example/tags|test bed
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The file of a site that names its tags."""
    path = tmp_path / "tagged.yaml"
    path.write_text(SITE, encoding="utf-8")
    return path


@pytest.fixture
def tagging(tmp_path: Path, today: date, site: Path) -> Iterator[Running]:
    """The service of that site."""
    folder = tmp_path / "service"
    folder.mkdir()
    with another(folder, today, CDS_SITE_FILE=str(site)) as service:
        yield service


def tagged(**meta: Json | list[Json] | str) -> list[Json]:
    """The full chart, of a Patient with this ``meta``."""
    return chart(person={"meta": meta})


@pytest.mark.case("FHR-16")
def test_a_test_patient_gets_no_card(tagging: Running) -> None:
    """Whether it is a tag or a label, sent or read; every other patient gets one."""
    others = [{"system": REASONS, "code": "HPAYMT"}, HTEST | {"system": "urn:x"}]
    rows: dict[str, tuple[str, list[Json]]] = {
        "tag": ("test-patient", tagged(tag=[HTEST])),
        "label": ("test-patient", tagged(security=[HTEST])),
        "among others": ("test-patient", tagged(tag=[*others, LOCAL], security=others)),
        "beside a broken one": ("test-patient", tagged(tag=[5, {"code": 5}, LOCAL])),
        "none": ("card", chart()),
        "another code, another system": ("card", tagged(tag=others, security=others)),
        "no system": ("card", tagged(tag=[{"code": "HTEST"}])),
        "a broken list": ("card", tagged(tag=HTEST, security="HTEST")),
        "of another resource": ("card", _with_tagged_results()),
    }

    found = {name: judge(tagging, resources) for name, (_, resources) in rows.items()}

    assert {name: outcome for name, (outcome, _) in rows.items()} == {
        name: one.audited["outcome"] for name, one in found.items()
    }
    assert {name: outcome == "card" for name, (outcome, _) in rows.items()} == {
        name: bool(one.answer.cards) for name, one in found.items()
    }
    # It is evaluated as any other, so that a tester finds the result in the audit.
    assert {found["none"].overall} == {one.overall for one in found.values()}
    assert found["none"].audited["criteria"] == found["tag"].audited["criteria"]
    assert 4 == metric(tagging, "cds_hooks_total", 'outcome="test-patient"')
    assert 4 == sum(one.get("outcome") == "test-patient" for one in tagging.log())


def _with_tagged_results() -> list[Json]:
    return [
        one if one["resourceType"] == "Patient" else one | {"meta": {"tag": [HTEST]}}
        for one in chart()
    ]


@pytest.mark.case("FHR-16")
def test_a_test_patient_that_is_read(tagging: Running) -> None:
    """From the server, also where not all of the chart can be read."""

    async def marks(exchange: Exchange) -> None:
        body = json.loads(await exchange.good())
        await exchange.answer(200, json.dumps(body | {"meta": {"tag": [HTEST]}}).encode())

    async def refuses(exchange: Exchange) -> None:
        await exchange.answer(403)

    server = tagging.fhir["alpha"]
    server.fails("Patient", marks)
    whole = judge(tagging)
    server.fails("Observation", refuses)
    gappy = judge(tagging)

    assert [[], []] == [one.answer.cards for one in (whole, gappy)]
    assert ["test-patient"] * 2 == [one.audited["outcome"] for one in (whole, gappy)]
    assert "not-permitted" == gappy.audited["reads"]["Observation"]


@pytest.mark.case("FHR-16")
def test_a_site_that_names_no_tags(service: Running) -> None:
    """Knows no test patients."""
    assert "card" == judge(service, tagged(tag=[HTEST], security=[HTEST])).audited["outcome"]


@pytest.mark.case("FHR-16")
def test_the_command_evaluates_a_test_patient(tmp_path: Path, site: Path) -> None:
    """Whoever tests wants to see the report."""
    entry = [{"resource": one} for one in marked(tagged(tag=[HTEST]))]
    path = tmp_path / "chart.json"
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entry}
    path.write_text(json.dumps(bundle), encoding="utf-8")

    report = json.loads(command("evaluate", str(path), "--site", str(site), "--format", "json"))

    assert f"Patient/{PATIENT}" == report["subject"]
    assert report["criteria"]
