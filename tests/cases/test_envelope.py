"""Hook requests that are none: what they are answered, and that nothing is read for them."""

from __future__ import annotations

import gzip
import json
import select
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.conftest import SERVICE

if TYPE_CHECKING:
    from tests.cases.conftest import Running

DEEP = "[" * 20_000 + "]" * 20_000


def outcome(answer: Any) -> dict[str, Any]:
    """The OperationOutcome of an answer."""
    body: dict[str, Any] = answer.response.json()
    assert "OperationOutcome" == body["resourceType"]
    return body


@pytest.fixture
def unread(service: Running) -> Running:
    """The service; afterwards no FHIR server was asked anything by the requests of the test."""
    before = {name: len(server.requests) for name, server in service.fhir.items()}
    yield service
    assert before == {name: len(server.requests) for name, server in service.fhir.items()}


@pytest.mark.case("ENV-01")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"ZZPHI"',
        b'{"hook": "\xff\xfe"}',
        b'{"hook": "patient-view", ',
    ],
    ids=["empty", "list", "null", "string", "not-utf-8", "cut"],
)
def test_not_a_request(unread: Running, body: bytes) -> None:
    """400 with an OperationOutcome that says nothing of what was sent."""
    answer = unread.post(body)

    assert 400 == answer.response.status_code
    assert "ZZPHI" not in json.dumps(outcome(answer))


WRONG_TYPES: list[Any] = [None, 7, [], {"ZZPHI": 1}, True]


@pytest.mark.case("ENV-02")
@pytest.mark.parametrize("value", ["missing", *WRONG_TYPES], ids=str)
@pytest.mark.parametrize("member", ["hook", "hookInstance", "context", "patientId", "userId"])
def test_a_member_missing_or_of_a_wrong_type(unread: Running, member: str, value: Any) -> None:
    """Each that the specification requires; the answer holds neither value nor token."""
    body = unread.hook()
    place = body["context"] if member.endswith("Id") else body
    if value == "missing":
        del place[member]
    else:
        place[member] = value

    answer = unread.post(body)

    assert 400 == answer.response.status_code
    for secret in ("access_token", "ZZTOK", "ZZPHI"):
        assert secret not in answer.response.text


@pytest.mark.case("ENV-03")
def test_another_hook(unread: Running) -> None:
    """The service answers patient-view only."""
    assert 400 == unread.post(unread.hook(hook="order-sign")).response.status_code


@pytest.mark.case("ENV-04")
def test_a_token_for_no_server(unread: Running) -> None:
    """An authorization without the server that it is for is refused."""
    assert 400 == unread.post(unread.hook(fhirServer=None)).response.status_code


@pytest.mark.case("ENV-05")
def test_a_large_body(unread: Running) -> None:
    """50 MB are refused by their announced length."""
    assert 413 == unread.post(b" " * 50_000_000).response.status_code


def send_until(connection: socket.socket, chunk: bytes, give_up: float) -> None:
    """Send the same again and again."""
    while time.monotonic() < give_up:
        connection.sendall(chunk)


@pytest.mark.case("ENV-05")
def test_an_endless_body(service: Running) -> None:
    """Chunks without an end: nothing is kept beyond the limit, they are answered, and cut off.

    For a second more is taken and thrown away, since a client that still sends would lose an answer
    on a connection that is closed on it. That memory stays flat is an invariant of every case (G7).
    """
    host, port = "127.0.0.1", int(service.url.rpartition(":")[2])
    token = service.tenants["alpha"].bearer()
    head = (
        f"POST {SERVICE} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    memory = service.memory_kb()
    give_up = time.monotonic() + 10
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(head.encode())
        while not select.select([connection], [], [], 0)[0]:
            assert time.monotonic() < give_up, "it is not answered"
            connection.sendall(chunk)
        answer = connection.recv(65536)
        with pytest.raises(ConnectionError):
            send_until(connection, chunk, give_up)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    assert service.memory_kb() - memory < 64 * 1024


@pytest.mark.case("ENV-06")
@pytest.mark.parametrize("member", ["context", "prefetch", "extension"])
def test_nested_20000_deep(service: Running, member: str) -> None:
    """Refused, or left alone where nobody looks; never a fault."""
    body = json.dumps(service.hook(**{member: "DEEP"})).replace('"DEEP"', DEEP)

    answer = service.post(body.encode())

    assert 400 == answer.response.status_code


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 5000]
# These are no JSON: the prefetch is refused with all of the body. The others are, in a form.
NO_JSON = {"NaN", "Infinity", "-Infinity"}


@pytest.mark.case("ENV-07")
@pytest.mark.parametrize("number", NUMBERS, ids=["nan", "inf", "-inf", "1e999", "long"])
@pytest.mark.parametrize("place", ["expires_in", "extension"])
def test_numbers_beyond_any_use(unread: Running, number: str, place: str) -> None:
    """They never reach a comparison."""
    body = unread.hook()
    if place == "extension":
        body["extension"] = {"org.example": "NUMBER"}
    else:
        body["fhirAuthorization"][place] = "NUMBER"

    answer = unread.post(json.dumps(body).replace('"NUMBER"', number).encode())

    assert 400 == answer.response.status_code


@pytest.mark.case("ENV-07")
@pytest.mark.parametrize("number", NUMBERS, ids=["nan", "inf", "-inf", "1e999", "long"])
def test_such_numbers_as_a_value_in_the_prefetch(service: Running, number: str) -> None:
    """What is no JSON is refused; of what is, the one result is unknown, with the reason."""
    platelets = {
        "resourceType": "Observation",
        "id": "plt",
        "status": "final",
        "subject": {"reference": "Patient/everything-met"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "777-3"}]},
        "effectiveDateTime": time.strftime("%Y-%m-%d"),
        "valueQuantity": {
            "value": "NUMBER",
            "system": "http://unitsofmeasure.org",
            "code": "10*9/L",
        },
    }
    prefetch = {
        "observations": {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": platelets}],
        }
    }
    body = json.dumps(service.hook(prefetch=prefetch)).replace('"NUMBER"', number)

    answer = service.post(body.encode())

    assert (400 if number in NO_JSON else 200) == answer.response.status_code
    if number not in NO_JSON:
        assert "unknown" == answer.status("platelets")
        issues = {(one["reference"], one["code"]) for one in answer.report["dataIssues"]}
        assert "Observation/plt" in {reference for reference, _ in issues}


@pytest.mark.case("ENV-08")
@pytest.mark.parametrize(
    "patient",
    ["../Observation", "1/_history", "1?_count=9", "1%2f..", "a" * 65, "", " ", "a b", "a\r\nX: 1"],
)
def test_a_patient_id_that_is_none(unread: Running, patient: str) -> None:
    """Nothing that could change a path or a header."""
    body = unread.hook()
    body["context"]["patientId"] = patient

    assert 400 == unread.post(body).response.status_code


@pytest.mark.case("ENV-09")
@pytest.mark.parametrize("key", ["patientId", "userId"])
def test_the_same_key_twice(unread: Running, key: str) -> None:
    """Two readers could read two patients."""
    text = json.dumps(unread.hook()).replace('"context": {', f'"context": {{"{key}": "other", ')

    assert 400 == unread.post(text.encode()).response.status_code


@pytest.mark.case("ENV-10")
@pytest.mark.parametrize("text", [r"\ud800", r"\u0000"])
@pytest.mark.parametrize("place", ["hookInstance", "extension", "patientId"])
def test_half_a_character_or_none(service: Running, text: str, place: str) -> None:
    """Refused or left alone; never a fault."""
    body = service.hook()
    (body["context"] if place == "patientId" else body)[place] = "TEXT"

    answer = service.post(json.dumps(body).replace('"TEXT"', f'"{text}"').encode())

    assert answer.response.status_code in ({200, 400} if place == "extension" else {400})


@pytest.mark.case("ENV-11")
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "text/plain"}, None),
        ({"content-type": "application/x-www-form-urlencoded"}, None),
        ({"content-type": None}, None),
        ({"content-encoding": "gzip"}, gzip.compress(b" " * 10_000_000)),
    ],
    ids=["text", "form", "none", "gzip"],
)
def test_not_json_by_its_headers(
    unread: Running, headers: dict[str, str | None], body: bytes | None
) -> None:
    """415, and nothing is inflated."""
    answer = unread.post(body or unread.hook(), headers=headers)

    assert 415 == answer.response.status_code


@pytest.mark.case("ENV-12")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/cds-services/other", 404),
        ("GET", SERVICE, 405),
        ("PUT", SERVICE, 405),
        ("TRACE", SERVICE, 405),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
    ],
)
def test_what_is_not_there(unread: Running, method: str, path: str, status: int) -> None:
    """404, or 405 with what there is."""
    import httpx2  # noqa: PLC0415

    answer = httpx2.request(method, unread.url + path, trust_env=False)

    assert status == answer.status_code
    assert (status == 405) == ("allow" in answer.headers)


@pytest.mark.case("ENV-13")
def test_the_same_instance_with_another_patient(service: Running) -> None:
    """Evaluated on its own, or refused; never the first patient's card."""
    first = service.hook()
    answer = service.post(first)
    second = service.hook(hookInstance=first["hookInstance"])
    second["context"]["patientId"] = "nobody"

    other = service.post(second)

    assert "Patient/everything-met" == answer.report["subject"]
    assert other.response.status_code == 412


@pytest.mark.case("ENV-13")
def test_an_instance_that_is_no_uuid(service: Running) -> None:
    """Answered; what it says instead of a UUID stands in log and audit as a hash only."""
    hook = service.hook(hookInstance="ZZPHI-MRN-4711")

    cards = [service.post(hook).card for _ in range(2)]

    assert all(cards)
    first, second = service.audited()[-2:]
    assert first["hookInstance"] == second["hookInstance"]
    assert [one["uuid"] for one in cards] == [first["card"], second["card"]]


@pytest.mark.case("ENV-14")
def test_members_that_nobody_knows(service: Running) -> None:
    """Ignored, as the specification asks."""
    answer = service.post(service.hook(unknown=[1, {"a": 2}], extension={"com.example": {"x": 1}}))

    assert 1 == len(answer.cards)
