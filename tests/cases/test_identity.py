"""Whose resources these are, in which version, and what a key of the prefetch says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import charts
from tests.cases.conftest import PATIENT, metric
from tests.cases.sent import (
    CELLS,
    ME,
    Json,
    ago,
    chart,
    differing,
    judge,
    lab,
    marked,
    page,
    prefetch,
)
from tests.charts import TEMOZOLOMIDE

if TYPE_CHECKING:
    from tests.cases.conftest import Running
    from tests.faults.fake_fhir import Exchange

OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}


def platelets(value: float = 160, **more: Any) -> list[Json]:
    """The full chart with this platelet count and no other."""
    return chart(lab("platelets", value, CELLS, id_="plt", **more))


# --- Whose --------------------------------------------------------------------------------------


@pytest.mark.case("FHR-01")
def test_a_patient_other_than_the_hook_s_in_the_prefetch(service: Running) -> None:
    """412, no card about either, and a security event in log, metrics and audit."""
    sent = prefetch(chart())
    sent["patient"]["id"] = "ZZPHI-other"

    check_security_event(service, service.hook(prefetch=sent))


@pytest.mark.case("FHR-01")
def test_another_patient_read_from_the_server(service: Running) -> None:
    """The same: an EHR or a server that mixes patients up is no server that is down."""

    async def other(exchange: Exchange) -> None:
        body = json.loads(await exchange.good())
        await exchange.answer(200, json.dumps(body | {"id": "somebody-else"}).encode())

    service.fhir["alpha"].fails("Patient", other)

    check_security_event(service, service.hook())


def check_security_event(service: Running, hook: Json) -> None:
    """412 with nothing about anybody; in log, metrics and audit it can be told from a fault."""
    name = "cds_security_events_total"
    before, lines = metric(service, name, '"other-patient"'), len(service.log())

    answer = service.post(hook)

    assert 412 == answer.response.status_code
    assert "cards" not in answer.response.json()
    noted = [one for one in service.log()[lines:] if one["event"] == "security"]
    assert [("other-patient", 412, "alpha")] == [
        (one["reason"], one["status"], one["caller"]) for one in noted
    ]
    assert before + 1 == metric(service, name, '"other-patient"')
    assert "other-patient" == service.audited()[-1]["outcome"]


FOREIGN: dict[str, Json] = {
    "another patient": {"subject": {"reference": "Patient/somebody-else"}},
    "group": {"subject": {"reference": f"Group/{PATIENT}"}},
    "device": {"subject": {"reference": f"Device/{PATIENT}"}},
    "missing": {"subject": None},
    "display only": {"subject": {"display": "ZZPHI"}},
}


@pytest.mark.case("FHR-02")
@pytest.mark.parametrize("whose", FOREIGN)
def test_resources_of_others(service: Running, whose: str) -> None:
    """Left out and reported: the only result then is none, and another's drug is no exposure."""
    alien = FOREIGN[whose]
    found = judge(service, platelets(**alien))
    drug = judge(service, chart(charts.given(TEMOZOLOMIDE, ago(100), **alien)))

    assert "unknown" == found.status("platelets")
    assert "met by absence" == drug.status("no-alkylator")
    expected = "no-subject" if whose in {"missing", "display only"} else "other-patient"
    assert {expected} == found.issues()
    assert "left out" in found.detail
    assert 1 == service.log()[-1]["left_out"]


@pytest.mark.case("FHR-03")
def test_ways_to_name_the_patient(service: Running) -> None:
    """Relative, on the hook's server, and of a version.

    A URN counts in a Bundle file, whose own entry it names. In a hook the Patient is read or sent
    by itself, under no URN, so that a resource that names one is left out and reported.
    """
    base = service.tenants["alpha"].fhir
    urn = "urn:uuid:3f5c1c0e-3c84-4a1b-9e0c-0f6a2f1b7c11"
    other = "urn:uuid:3f5c1c0e-3c84-4a1b-9e0c-0f6a2f1b7c22"
    expected = {
        ME: "met", f"{base}/{ME}": "met", f"{ME}/_history/2": "met", urn: "unknown",
        f"https://other.example/fhir/{ME}": "unknown", other: "unknown",
        f"{base}x/{ME}": "unknown", f"{ME}x": "unknown", f"patient/{PATIENT}": "unknown",
    }  # fmt: skip
    found = {}
    for name in expected:
        sent = prefetch(platelets(subject={"reference": name}))
        entries = sent["observations"]["entry"]
        entries += [{"fullUrl": urn, "resource": sent["patient"]}]
        entries += [{"fullUrl": other, "resource": sent["patient"] | {"id": "somebody-else"}}]
        judged = judge(service, prefetch=sent)
        found[name] = judged.status("platelets")

    assert expected == found


@pytest.mark.case("FHR-04")
def test_results_about_somebody_else(service: Running) -> None:
    """``focus`` on a fetus, a donor or a relative makes a result unusable."""
    rows = {
        name: ("unknown", platelets(focus=[{"reference": name}]))
        for name in ("Patient/donor", "RelatedPerson/1", "BodyStructure/graft")
    }
    rows["the patient"] = ("met", platelets(focus=[{"reference": ME}]))

    assert {} == differing(service, "platelets", rows)


# --- What a prefetch key says -------------------------------------------------------------------


@pytest.mark.case("FHR-05")
def test_four_meanings_of_a_prefetch_key(service: Running) -> None:
    """Nothing found is an answer; nothing sent, an error and something else are none."""
    base = prefetch(chart())
    states: dict[str, tuple[Any, str]] = {
        "null": (None, "met by absence"),
        "no entries": (page(()), "met by absence"),
        "outcome": (OUTCOME, "unknown"),
        "another resource": (base["patient"], "unknown"),
        "a history": (page((), type="history"), "unknown"),
        "a page of several": (
            page((), link=[{"relation": "next", "url": "https://x.example/2"}]), "unknown",
        ),
    }  # fmt: skip
    found = {}
    for name, (value, _) in states.items():
        judged = judge(service, chart(), change=lambda sent, it=value: sent | {"procedures": it})
        found[name] = judged.status("recent-surgery")
        assert ("unknown" == found[name]) == bool(judged.report["unread"])
    judged = judge(
        service, chart(), change=lambda sent: {k: v for k, v in sent.items() if k != "procedures"}
    )

    assert {name: expected for name, (_, expected) in states.items()} == found
    assert "unknown" == judged.status("recent-surgery")
    assert any("Procedure" in text for text in judged.report["unread"])


@pytest.mark.case("FHR-05")
@pytest.mark.parametrize("sent", ["absent", None, OUTCOME, {"resourceType": "Bundle"}])
def test_no_patient_in_the_prefetch(service: Running, sent: Any) -> None:
    """It is read from the server; without a server there is no answer."""
    whole = prefetch(chart()) | {"patient": sent}
    if sent == "absent":
        del whole["patient"]

    alone = service.post(service.hook(prefetch=whole, fhirServer=None, fhirAuthorization=None))
    read = service.post(service.hook(prefetch=whole))

    assert 412 == alone.response.status_code
    assert "met" == read.status("age")


@pytest.mark.case("FHR-05")
def test_what_was_not_sent_is_read(service: Running) -> None:
    """From the hook's server."""
    before = len(service.fhir["alpha"].requests)
    sent = prefetch(chart())
    del sent["procedures"]

    judged = judge(service, prefetch=sent)

    assert "met by absence" == judged.status("recent-surgery")
    asked = service.fhir["alpha"].requests[before:]
    assert {"Procedure"} == {request.kind for request in asked}


@pytest.mark.case("FHR-06")
def test_prefetch_and_server_disagree(service: Running) -> None:
    """The newer version decides, wherever it came from; with no order, never the better one."""
    base = service.tenants["alpha"].fhir

    def meta(version: str | None) -> Json:
        return {"meta": {"versionId": version}} if version else {}

    cases = {
        "server newer": ((160, "1"), (40, "2"), "not_met"),
        "prefetch newer": ((40, "2"), (160, "1"), "not_met"),
        "server newer and better": ((40, "1"), (160, "2"), "met"),
        "no order": ((160, None), (40, None), "needs_confirmation"),
    }
    found = {}
    for name, ((sent_value, sent_version), (value, version), _) in cases.items():
        here = marked([lab("platelets", value, CELLS, id_="plt", **meta(version))])

        async def second(exchange: Exchange, here: list[Json] = here) -> None:
            await exchange.answer(200, json.dumps(page(here)).encode())

        service.fhir["alpha"].fails(lambda request: request.asks("_fake"), second)
        sent = prefetch(platelets(sent_value, **meta(sent_version)))
        url = f"{base}/Observation?patient={PATIENT}&_fake=2"
        sent["observations"]["link"] = [{"relation": "next", "url": url}]
        found[name] = judge(service, prefetch=sent).status("platelets")

    assert {name: expected for name, (_, _, expected) in cases.items()} == found


# --- Records that nobody is to be screened by ---------------------------------------------------


@pytest.mark.case("FHR-07")
@pytest.mark.parametrize(
    "person",
    [
        {"link": [{"type": "replaced-by", "other": {"reference": "Patient/ZZPHI-survivor"}}]},
        {"active": False},
    ],
    ids=["replaced", "inactive"],
)
def test_a_record_that_was_merged(service: Running, person: Json) -> None:
    """Nothing is said about it; the audit has that it is not relevant, and no word of why."""
    judged = judge(service, chart(person=person))

    assert [] == judged.answer.cards
    assert ("not_relevant", "no-card") == (judged.overall, judged.audited["outcome"])


@pytest.mark.case("FHR-08")
@pytest.mark.parametrize("person", [{"deceasedBoolean": True}, {"deceasedDateTime": ago(3)}])
def test_a_patient_who_died(service: Running, person: Json) -> None:
    """No card; the audit has that the chart is not relevant, as of a patient without the tumour."""
    judged = judge(service, chart(person=person))

    assert [] == judged.answer.cards
    assert ("not_relevant", "no-card") == (judged.overall, judged.audited["outcome"])
