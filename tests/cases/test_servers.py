"""FHIR servers that must not be read, and ways to make the service read them all the same.

A hook that names one is answered from what was sent, without a look-up of its name and without a
connection; where the Patient was not sent, that is a 412.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.conftest import PATIENT
from tests.faults.fault_book import FOREIGN_LINKS, OF_ANY_READ, changed, foreign_next

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cases.conftest import Running

PATIENT_RESOURCE = {
    "resourceType": "Patient",
    "id": PATIENT,
    "birthDate": "1960-01-01",
    "gender": "female",
}


@pytest.fixture
def unread(service: Running) -> Iterator[Running]:
    """The service; afterwards no FHIR server was asked anything by the requests of the test."""
    before = {name: len(server.requests) for name, server in service.fhir.items()}
    yield service
    assert before == {name: len(server.requests) for name, server in service.fhir.items()}


NAMED = {
    "SRV-01": ["https://other.example/fhir"],
    "SRV-02": [
        "http://other.example/fhir",
        "file:///etc/passwd",
        "gopher://127.0.0.1/fhir",
        "ftp://127.0.0.1/fhir",
        "unix:/run/x",
        "//127.0.0.1/fhir",
        "127.0.0.1/fhir",
    ],
    "SRV-03": [
        "http://127.0.0.1@evil.example/fhir",
        "http://evil.example#@127.0.0.1/fhir",
        "http://127.0.0.1\\@evil.example/fhir",
        "http://127.0.0.1.evil.example/fhir",
        "http://127.0.0.1%00.evil.example/fhir",
    ],
    "SRV-04": [
        f"http://{host}/fhir"
        for host in (
            "127.0.0.1",
            "localhost",
            "[::1]",
            "2130706433",
            "0x7f000001",
            "127.1",
            "0177.0.0.1",
            "0",
            "[::ffff:7f00:1]",
            "169.254.169.254",
            "100.64.0.1",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        )
    ],
    "SRV-10": [
        "{base}?x=1",
        "{base}#x",
        "{base}/../fhir",
        "{base}/%2e%2e/fhir",
        "{base} ",
        "{base}x",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(server, marks=pytest.mark.case(case), id=f"{case}-{server}")
        for case, servers in NAMED.items()
        for server in servers
    ],
)
@pytest.mark.parametrize("sent", [False, True], ids=["nothing-sent", "patient-sent"])
def test_a_server_that_is_not_listed(unread: Running, server: str, *, sent: bool) -> None:
    """Not read, whatever its name means to whom."""
    named = server.format(base=unread.tenants["alpha"].fhir)
    prefetch = {"patient": PATIENT_RESOURCE} if sent else None

    answer = unread.post(unread.hook(fhirServer=named, prefetch=prefetch))

    assert (200 if sent else 412) == answer.response.status_code
    if sent:
        assert not [one for one in answer.report["criteria"] if one["basis"] == "absence"]


@pytest.mark.case("SRV-01")
def test_a_server_of_another_hospital(unread: Running) -> None:
    """The list is that of the issuer."""
    answer = unread.post(unread.hook("beta"), "alpha")

    assert 412 == answer.response.status_code


@pytest.mark.case("SRV-06")
@pytest.mark.parametrize("fault", [name for name in OF_ANY_READ if name.startswith("30")], ids=str)
def test_a_redirect_is_not_followed(service: Running, fault: str) -> None:
    """A failed read, of the type that it was an answer to."""
    service.fhir["alpha"].fails("Condition", OF_ANY_READ[fault])

    answer = service.post(service.hook())

    assert any(line.startswith("Condition") for line in answer.report["unread"])
    assert "met" != answer.status("other-malignancy")


@pytest.mark.case("SRV-07")
@pytest.mark.parametrize("link", FOREIGN_LINKS, ids=str)
def test_a_next_page_elsewhere_is_not_read(service: Running, link: str) -> None:
    """What was read stays, as a part."""
    service.fhir["alpha"].fails("Observation", foreign_next(link))

    answer = service.post(service.hook())

    assert any(line.startswith("Observation") for line in answer.report["unread"])
    assert "met" != answer.status("platelets")


def _referring(service: Running, element: str) -> Any:
    reference = {"reference": f"{service.canary.origin}/fhir/Medication/1"}

    def change(_exchange: Any, bundle: dict[str, Any]) -> None:
        resource: dict[str, Any] = {
            "resourceType": "MedicationRequest",
            "id": "elsewhere",
            "status": "completed",
            "intent": "order",
            "subject": {"reference": f"Patient/{PATIENT}"},
            "medicationReference": reference,
        }
        if element == "subject":
            resource["subject"] = {"reference": f"{service.canary.origin}/fhir/Patient/{PATIENT}"}
            resource["medicationReference"] = {"reference": "Medication/none"}
        bundle.setdefault("entry", []).append({"resource": resource})

    return changed(change)


@pytest.mark.case("SRV-08")
def test_a_drug_described_elsewhere(service: Running) -> None:
    """Its description is not fetched, so that it may be any drug."""
    service.fhir["alpha"].fails("MedicationRequest", _referring(service, "medication"))

    answer = service.post(service.hook())

    assert "unknown" == answer.status("no-alkylator")


@pytest.mark.case("SRV-08")
def test_a_subject_elsewhere(service: Running) -> None:
    """Is another patient, whose record is left out and reported."""
    service.fhir["alpha"].fails("MedicationRequest", _referring(service, "subject"))

    answer = service.post(service.hook())

    assert "MedicationRequest/elsewhere" in {
        one["reference"] for one in answer.report["dataIssues"]
    }
    assert "met" == answer.status("no-alkylator")


@pytest.mark.case("SRV-08")
def test_a_record_merged_into_one_elsewhere(service: Running) -> None:
    """Nothing is read there, and nothing said."""
    patient = copy.deepcopy(PATIENT_RESOURCE)
    link = {
        "other": {"reference": f"{service.canary.origin}/fhir/Patient/2"},
        "type": "replaced-by",
    }

    answer = service.post(service.hook(prefetch={"patient": patient | {"link": [link]}}))

    assert [] == answer.cards


@pytest.mark.case("SRV-09")
def test_a_next_page_elsewhere_in_the_prefetch(service: Running) -> None:
    """Is not read either: the type is asked for at the hook's own server."""
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "next", "url": f"{service.canary.origin}/fhir?page=2"}],
        "entry": [],
    }

    answer = service.post(service.hook(prefetch={"conditions": bundle}))

    assert "met" == answer.status("midgut-net")


@pytest.mark.case("SRV-13")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"token_type": "MAC"}, 400),
        ({"access_token": "ZZTOK\r\nX: 1"}, 400),
        ({"access_token": "ZZTOK ZZTOK"}, 400),
        ({"access_token": "ZZTOK\u00e9"}, 400),
        ({"expires_in": 0}, 400),
        ({"patient": "somebody-else"}, 400),
    ],
    ids=["token-type", "crlf", "space", "non-ascii", "expired", "other-patient"],
)
def test_a_lent_token_that_is_none(unread: Running, change: dict[str, Any], status: int) -> None:
    """Nothing is read with it."""
    hook = unread.hook()
    hook["fhirAuthorization"] |= change

    assert status == unread.post(hook).response.status_code


@pytest.mark.case("SRV-13")
def test_a_scope_without_observations(service: Running) -> None:
    """They are not asked for, and what needs them is unknown."""
    hook = service.hook()
    types = ["Patient", "Condition", "Procedure", "MedicationRequest", "MedicationStatement"]
    hook["fhirAuthorization"]["scope"] = " ".join(f"patient/{type_}.read" for type_ in types)
    before = len(service.fhir["alpha"].requests)

    answer = service.post(hook)

    asked = {request.kind for request in service.fhir["alpha"].requests[before:]}
    assert "Observation" not in asked
    assert "unknown" == answer.status("platelets")
    assert any(line.startswith("Observation: not permitted") for line in answer.report["unread"])
