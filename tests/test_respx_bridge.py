"""respx intercepts ``httpx2`` by the bridge in ``tests/conftest.py``, and nothing gets past."""

from __future__ import annotations

import httpx2
import pytest
import respx
from respx.models import AllMockedAssertionError

URL = "https://ehr.example/fhir/Patient/1"


@pytest.fixture
def ehr() -> respx.MockRouter:
    """A FHIR server that exists only here."""
    return respx.mock(using="httpcore2", assert_all_called=False)


async def test_an_async_request_is_answered_by_the_route(ehr: respx.MockRouter) -> None:
    """Status, body and headers are the route's, and the request can be looked at afterwards."""
    with ehr:
        route = ehr.get(URL).respond(200, json={"id": "1"}, headers={"ETag": 'W/"3"'})
        async with httpx2.AsyncClient() as client:
            response = await client.get(URL, headers={"Accept": "application/fhir+json"})

    assert 200 == response.status_code
    assert {"id": "1"} == response.json()
    assert 'W/"3"' == response.headers["etag"]
    assert "application/fhir+json" == route.calls.last.request.headers["accept"]


def test_a_sync_request_is_answered_by_the_route(ehr: respx.MockRouter) -> None:
    """The tests' own blocking client is caught as well."""
    with ehr, httpx2.Client() as client:
        ehr.post(URL).respond(201)
        response = client.post(URL, json={})

    assert 201 == response.status_code


async def test_an_unknown_url_does_not_reach_the_network(ehr: respx.MockRouter) -> None:
    """What no route answers is an error of the test."""
    with ehr:
        async with httpx2.AsyncClient() as client:
            with pytest.raises(AllMockedAssertionError):
                await client.get(URL)


async def test_a_failure_is_caught_as_httpx2_knows_it(ehr: respx.MockRouter) -> None:
    """An instance of an ``httpx2`` error comes out as itself."""
    with ehr:
        ehr.get(URL).mock(side_effect=httpx2.ReadTimeout("slow"))
        async with httpx2.AsyncClient() as client:
            with pytest.raises(httpx2.TransportError):
                await client.get(URL)
