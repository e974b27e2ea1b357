"""What a token's scopes say that it may read, and what is then not even asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cds_service.errors import PatientUnavailable
from cds_service.fhir.http import FhirClients, SecretToken
from cds_service.fhir.paging import Start, read_search
from cds_service.fhir.pull import read_chart
from cds_service.fhir.scopes import NOTHING_KNOWN, Permission, Scopes, read_scopes
from cds_service.record.reads import COMPLETE, NotPermitted, Partial
from tests.faults.conftest import TODAY
from tests.faults.fake_fhir import FakeFhir
from tests.faults.screened import chart_of

if TYPE_CHECKING:
    from cds_service.knowledge import Knowledge

WHOLE, PART, NONE, UNKNOWN = Permission


@pytest.mark.parametrize(
    ("scope", "search", "read"),
    [
        # SMART 1
        ("patient/Observation.read", WHOLE, WHOLE),
        ("user/Observation.*", WHOLE, WHOLE),
        ("system/*.read", WHOLE, WHOLE),
        ("patient/*.*", WHOLE, WHOLE),
        ("patient/Observation.write", NONE, NONE),
        ("patient/Condition.read", NONE, NONE),
        ("patient/Condition.read user/Observation.read", WHOLE, WHOLE),
        # SMART 2
        ("patient/Observation.rs", WHOLE, WHOLE),
        ("patient/*.cruds", WHOLE, WHOLE),
        ("patient/Observation.s", WHOLE, NONE),
        ("patient/Observation.r", NONE, WHOLE),
        ("patient/Observation.cud", NONE, NONE),
        ("patient/Condition.rs", NONE, NONE),
        ("patient/Observation.rs?category=laboratory", PART, PART),
        ("patient/Observation.rs?category=laboratory patient/Observation.rs", WHOLE, WHOLE),
        # Others beside them say nothing of data
        ("openid fhirUser launch patient/Condition.rs", NONE, NONE),
        # Nothing known: the server decides
        (None, UNKNOWN, UNKNOWN),
        ("", UNKNOWN, UNKNOWN),
        ("launch openid", UNKNOWN, UNKNOWN),
        ("patient/Observation.sr", UNKNOWN, UNKNOWN),
        ("patient/Observation.", UNKNOWN, UNKNOWN),
        ("patient/Observation", UNKNOWN, UNKNOWN),
        ("patient/observation.read", UNKNOWN, UNKNOWN),
        ("patient/Condition.rs patient/Observation/$lastn.rs", UNKNOWN, UNKNOWN),
        ("patient/Observation.rs patient/Strange~Thing.rs", WHOLE, WHOLE),
        ("Observation.read", UNKNOWN, UNKNOWN),
    ],
)
def test_what_scopes_allow(scope: str | None, search: Permission, read: Permission) -> None:
    """Of both grammars; what is not understood never forbids anything."""
    scopes = read_scopes(scope)

    assert search is scopes.search("Observation")
    assert read is scopes.read("Observation")


def test_without_scopes_nothing_is_known() -> None:
    """As where an EHR sends none."""
    assert NOTHING_KNOWN == read_scopes(None) == Scopes()


async def _read(server: FakeFhir, type_: str, scope: str) -> object:
    async with FhirClients() as clients:
        client = clients.client(server.base, SecretToken("ZZTOK-1"), read_scopes(scope))
        start = Start(type_, f"{type_}?patient=everything-met", "patient")
        deadline = asyncio.get_running_loop().time() + 5
        return (await read_search(client, start, deadline)).read


async def test_a_type_that_the_token_lacks_is_not_asked_for() -> None:
    """It is not permitted, as if the server had said so, and the others are read."""
    async with FakeFhir(chart_of("everything-met", TODAY)) as server:
        lacking = await _read(server, "Observation", "patient/Condition.rs")
        had = await _read(server, "Condition", "patient/Condition.rs")

    assert NotPermitted("not permitted (scope)") == lacking
    assert COMPLETE == had
    assert ["Condition"] == [request.kind for request in server.requests]


async def test_a_type_that_the_token_covers_in_part_is_never_complete() -> None:
    """The server leaves out the rest without a word."""
    async with FakeFhir(chart_of("everything-met", TODAY)) as server:
        read = await _read(server, "Condition", "patient/Condition.rs?category=problem-list-item")

    assert Partial("the token covers only some of them") == read
    assert 1 == len(server.requests)


async def test_a_chart_with_one_type_out_of_scope(known: Knowledge) -> None:
    """What rests on that type is unknown; nothing of it was sent for."""
    listed = "Patient Condition Procedure MedicationRequest MedicationStatement"
    listed += " MedicationAdministration MedicationDispense Medication Observation ImagingStudy"
    scope = " ".join(f"patient/{type_}.rs" for type_ in [*listed.split(), "AdverseEvent"])
    opened = known.screener.opened(TODAY)
    async with FakeFhir(chart_of("everything-met", TODAY)) as server, FhirClients() as clients:
        client = clients.client(server.base, SecretToken("ZZTOK-1"), read_scopes(scope))
        deadline = asyncio.get_running_loop().time() + 5
        chart = await read_chart(
            client, known.searches, "everything-met", deadline, opened.relevant
        )

    gaps = {type_: read for type_, read in chart.reads.items() if read != COMPLETE}
    refused = NotPermitted("not permitted (scope)")
    assert {"DiagnosticReport": refused, "Consent": refused} == gaps
    assert not {"DiagnosticReport", "Consent"} & {request.kind for request in server.requests}


async def test_a_patient_out_of_scope_is_unavailable(known: Knowledge) -> None:
    """Without a call."""
    opened = known.screener.opened(TODAY)
    async with FakeFhir(chart_of("everything-met", TODAY)) as server, FhirClients() as clients:
        client = clients.client(
            server.base, SecretToken("ZZTOK-1"), read_scopes("patient/Condition.rs")
        )
        deadline = asyncio.get_running_loop().time() + 5
        with pytest.raises(PatientUnavailable, match=r"^Patient: not permitted \(scope\)$"):
            await read_chart(client, known.searches, "everything-met", deadline, opened.relevant)
    assert "Patient" not in {request.kind for request in server.requests}
