"""What can go wrong between the service and a FHIR server, once for each kind, from outside.

That no fault of any search makes any criterion met is shown by the generated matrix of
``tests/faults/test_matrix.py``; here a fault of the results and one of the Patient go the whole way
from an EHR's request to its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cases.conftest import SERVICE
from tests.faults.fault_book import GAPS, HANGING, OF_ANY_READ, SURVIVED

if TYPE_CHECKING:
    from tests.cases.conftest import Running

FAULTS: dict[str, tuple[str, ...]] = {
    "NET-01": ("reset-at-once", "closed-at-once", "reset-within", "closed-within", "not-http"),
    "NET-02": ("hang", "stall"),
    "NET-03": ("drip",),
    "NET-04": ("http-401", "http-403"),
    "NET-05": ("http-404", "http-410"),
    "NET-06": (
        "http-429",
        "429-retry-after-1",
        "429-retry-after-120",
        "429-retry-after--1",
        "429-retry-after-abc",
        "429-retry-after-Wed, 21 Oct 2026 07:28:00 GMT",
    ),
    "NET-07": ("http-500", "http-502", "http-503", "http-504"),
    "NET-08": ("html", "html-as-json", "text-plain", "xml", "empty", "null", "array"),
    "NET-09": ("outcome", "error-entry", "warning-entry"),
    "NET-10": ("cut-without-length", "cut-to-valid-json"),
    "NET-11": ("gzip-bomb", "gzip-bomb-stacked", "gzip-unannounced"),
    "NET-12": ("60-megabytes",),
    "NET-13": ("next-is-itself", "next-and-back", "next-for-ever", "more-after-nothing"),
    "NET-14": ("page-2-fails", "page-2-is-gone", "page-2-is-cut"),
    "NET-15": ("filter-ignored",),
    "NET-16": ("more-in-total", "206"),
    "NET-18": ("header-of-1-megabyte", "10000-headers", "length-too-long"),
}
CELLS = [
    pytest.param(name, marks=pytest.mark.case(case), id=f"{case}-{name}")
    for case, names in FAULTS.items()
    for name in names
]
ALL = GAPS | HANGING


@pytest.mark.parametrize("name", CELLS)
def test_results_that_cannot_be_read(service: Running, name: str) -> None:
    """A card that names them, in time; what rests on them is not met."""
    service.fhir["alpha"].fails("Observation", ALL[name])

    answer = service.post(service.hook())

    assert answer.report["overall"] in {"possible", "not_now", "excluded"}
    assert any(line.startswith("Observation: ") for line in answer.report["unread"])
    for criterion in ("platelets", "hemoglobin", "neutrophils", "bilirubin"):
        assert "unknown" == answer.status(criterion)
    (card,) = answer.cards
    assert "could not read" in card["summary"]


PATIENT_CELLS = [cell for cell in CELLS if cell.values[0] in OF_ANY_READ | HANGING]


@pytest.mark.parametrize("name", PATIENT_CELLS)
def test_a_patient_that_cannot_be_read(service: Running, name: str) -> None:
    """412 with an OperationOutcome, and nothing about anybody."""
    service.fhir["alpha"].fails("Patient", ALL[name])

    answer = service.post(service.hook())

    assert 412 == answer.response.status_code
    assert "OperationOutcome" == answer.response.json()["resourceType"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("http-500-once", marks=pytest.mark.case("NET-07")),
        pytest.param("reset-once", marks=pytest.mark.case("NET-01")),
        pytest.param("cookie", marks=pytest.mark.case("NET-17")),
    ],
)
def test_what_does_no_harm(service: Running, name: str) -> None:
    """One more attempt is enough, and a cookie is not kept."""
    service.fhir["alpha"].fails("Observation", SURVIVED[name])

    answer = service.post(service.hook())

    assert [] == answer.report["unread"]
    assert "met" == answer.status("platelets")
    for request in service.fhir["beta"].requests + service.fhir["alpha"].requests:
        assert "cookie" not in request.headers


@pytest.mark.case("NET-01")
def test_a_server_that_is_off(service: Running) -> None:
    """Nobody listens any more: 412, since not even the Patient can be had."""
    tenant = service.tenants["alpha"]
    hook = service.hook()
    hook["fhirServer"] = tenant.fhir.replace("/fhir", "/nothing-here")

    assert 412 == service.post(hook).response.status_code


@pytest.mark.case("NET-04")
def test_no_other_credential_is_tried(service: Running) -> None:
    """Each read is refused once, with the one token that was lent."""
    server = service.fhir["alpha"]
    server.fails("Condition", ALL["http-403"])
    before = len(server.requests)

    answer = service.post(service.hook())

    asked = [one for one in server.requests[before:] if one.kind == "Condition"]
    assert 1 == len(asked)
    assert {"Bearer ZZTOK-lent-alpha"} == {one.headers["authorization"] for one in asked}
    assert any("not permitted" in line for line in answer.report["unread"])
    assert SERVICE == answer.path
