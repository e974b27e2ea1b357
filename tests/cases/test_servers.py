"""FHIR servers that must not be read, and ways to make the service read them all the same.

A hook that names one is answered from what was sent, without a look-up of its name and without a
connection; where the Patient was not sent, that is a 412.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.conftest import PATIENT, WATCHER
from tests.faults.fault_book import FOREIGN_LINKS, OF_ANY_READ, changed, foreign_next

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


# {port} is the canary's, so that whoever calls what is named is heard; {base} is the listed server,
# {here} its port.
NAMED = {
    "SRV-01": [
        "http://127.0.0.1:{port}/fhir",
        "https://127.0.0.1:{port}/fhir",
        "https://other.example/fhir",
        "https://other.example:{port}/fhir",
        "http://127.0.0.1:{here}/other",
        "http://127.0.0.1:{here}/FHIR",
        "http://127.0.0.1:{here}/",
        "https://127.0.0.1:{here}/fhir",
    ],
    "SRV-02": [
        "http://other.example/fhir",
        "file:///etc/passwd",
        "file://127.0.0.1:{port}/fhir",
        "gopher://127.0.0.1:{port}/fhir",
        "ftp://127.0.0.1:{port}/fhir",
        "ws://127.0.0.1:{port}/fhir",
        "unix:/run/x",
        "//127.0.0.1:{port}/fhir",
        "127.0.0.1:{port}/fhir",
        "http:127.0.0.1:{port}/fhir",
        "http:/127.0.0.1:{port}/fhir",
        "http:///127.0.0.1:{port}/fhir",
    ],
    "SRV-03": [
        "http://127.0.0.1:{here}@127.0.0.1:{port}/fhir",
        "http://user:word@127.0.0.1:{here}/fhir",
        "http://@127.0.0.1:{here}/fhir",
        "http://127.0.0.1:{port}#@127.0.0.1:{here}/fhir",
        "http://127.0.0.1:{port}?@127.0.0.1:{here}/fhir",
        "http://127.0.0.1:{here}\\@127.0.0.1:{port}/fhir",
        "http://127.0.0.1:{port}\\@127.0.0.1:{here}/fhir",
        "http://127.0.0.1:{here}@evil.example/fhir",
        "http://evil.example#@127.0.0.1:{here}/fhir",
        "http://127.0.0.1:{here}.evil.example/fhir",
        "http://127.0.0.1.evil.example:{port}/fhir",
        "http://127.0.0.1%00.evil.example:{port}/fhir",
        "http://127.0.0.1:{here}%40127.0.0.1:{port}/fhir",
        "http://127.0.0.1:{here},127.0.0.1:{port}/fhir",
        "http://127.0.0.1:{here}\t@127.0.0.1:{port}/fhir",
    ],
    "SRV-04": [
        f"http://{host}:{{port}}/fhir"
        for host in (
            "localhost",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1.",
            "[::1]",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "127.0.0.01",
            "0",
            "0.0.0.0",  # noqa: S104
            "127.0.0.2",
            "[::ffff:7f00:1]",
            "[::ffff:127.0.0.1]",
            "[::]",
            "169.254.169.254",
            "100.64.0.1",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "\uff11\uff12\uff17.0.0.1",
            "127\u30020\u30020\u30021",
        )
    ],
    "SRV-10": [
        "{base}?x=1",
        "{base}#x",
        "{base}/../fhir",
        "{base}/%2e%2e/fhir",
        "{base} ",
        " {base}",
        "{base}x",
        "http://127.0.0.1:{here}//fhir",
        "http://127.0.0.1:{here}/fhir;x",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(server, marks=pytest.mark.case(case), id=f"{case}-{server!a}")
        for case, servers in NAMED.items()
        for server in servers
    ],
)
def test_a_server_that_is_not_listed(unread: Running, server: str) -> None:
    """Not read, whatever its name means to whom, and with what was sent or without.

    That nobody was called and no name looked up is an invariant of every case (G3); most of these
    would lead to the canary.
    """
    alpha = unread.fhir["alpha"]
    named = server.format(base=alpha.base, here=alpha.port, port=unread.canary_port)

    sung = unread.canary.connections

    alone = unread.post(unread.hook(fhirServer=named))
    sent = unread.post(unread.hook(fhirServer=named, prefetch={"patient": PATIENT_RESOURCE}))

    assert [412, 200] == [alone.response.status_code, sent.response.status_code]
    assert not [one for one in sent.report["criteria"] if one["basis"] == "absence"]
    assert sung == unread.canary.connections


def test_the_watch_sees_names_and_calls(tmp_path: Path) -> None:
    """What the service's process would look up or call is written down, on either event loop."""
    program = """
import asyncio, contextlib, socket, sys
import uvloop

async def reach():
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        await loop.getaddrinfo(f"{sys.argv[1]}.localhost", 1)
    with contextlib.suppress(OSError):
        await loop.create_connection(asyncio.Protocol, "127.0.0.1", 1)

for number, loop in enumerate((uvloop.new_event_loop(), asyncio.new_event_loop())):
    sys.argv[1:] = [f"loop{number}"]
    loop.run_until_complete(reach())
with contextlib.suppress(OSError):
    socket.create_connection(("blocking.localhost", 1))
"""
    seen = tmp_path / "network.log"
    environment = os.environ | {"PYTHONPATH": str(WATCHER), "WATCHED_NETWORK": str(seen)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)

    lines = [json.loads(line) for line in seen.read_text(encoding="utf-8").splitlines()]

    names = {host for what, host, _ in lines if what == "name"}
    assert {"loop0.localhost", "loop1.localhost", "blocking.localhost"} <= names
    assert 2 <= lines.count(["call", "127.0.0.1", "1"])


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
def test_a_member_elsewhere(service: Running) -> None:
    """A panel whose one result is somewhere else is a result without a value."""
    member = {"reference": f"{service.canary.origin}/fhir/Observation/1"}

    def change(_exchange: Any, bundle: dict[str, Any]) -> None:
        for entry in bundle.get("entry", []):
            codes = {one["code"] for one in entry["resource"]["code"].get("coding", [])}
            if "777-3" in codes:
                del entry["resource"]["valueQuantity"]
                entry["resource"]["hasMember"] = [member]

    service.fhir["alpha"].fails("Observation", changed(change))

    answer = service.post(service.hook())

    assert "unknown" == answer.status("platelets")
    assert "met" == answer.status("hemoglobin")


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
