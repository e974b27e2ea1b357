"""One search, page by page: it is complete, or it says why not."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import respx

from cds_service.fhir.http import FhirClient, FhirClients, Limits
from cds_service.fhir.paging import Pulled, Start, combine, read_search
from cds_service.fhir.searchset import Page
from cds_service.record.reads import COMPLETE, DataIssue, Failed, NotPermitted, Partial

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = "https://ehr.example/fhir/Observation"
PAGE = "https://ehr.example/fhir?_getpages=x&page="
START = Start("Observation", "Observation?patient=1", "patient")


@pytest.fixture
def pull(client: FhirClient, deadline: Callable[[float], float]) -> Any:
    """Reads a search of Observations with five seconds to go."""

    async def run(start: Start = START) -> Pulled:
        return await read_search(client, start, deadline(5))

    return run


def ids(pulled: Pulled) -> list[str]:
    """The ids of what was found."""
    return [item.id for item in pulled.found]


# --- To the end ---------------------------------------------------------------------------------


async def test_every_page_is_read(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """With the token on each, and in order."""
    respx_fhir.get(FIRST).respond(json=bundle(observation("a"), next=f"{PAGE}2", total=3))
    respx_fhir.get(f"{PAGE}2").respond(json=bundle(observation("b"), next=f"{PAGE}3"))
    respx_fhir.get(f"{PAGE}3").respond(json=bundle(observation("c")))

    pulled = await pull()

    assert COMPLETE == pulled.read
    assert ["a", "b", "c"] == ids(pulled)
    assert {"Bearer ZZTOK-1"} == {
        call.request.headers["authorization"] for call in respx_fhir.calls
    }


async def test_nothing_found_is_complete(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any
) -> None:
    """An empty searchset is an answer."""
    respx_fhir.get(FIRST).respond(json=bundle(total=0))

    assert Pulled() == await pull()


@pytest.mark.parametrize(
    "used", ["patient=1", "patient%3APatient=1", "subject=Patient/1", "_count=2&patient=1"]
)
async def test_a_self_link_that_names_the_patient_is_fine(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, used: str
) -> None:
    """However the server writes the parameter."""
    respx_fhir.get(FIRST).respond(json=bundle(self=f"{FIRST}?{used}"))

    assert COMPLETE == (await pull()).read


# --- Where something is missing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status_code": 404}, "page 2: HTTP 404"),
        ({"status_code": 410}, "page 2: HTTP 410"),
        ({"status_code": 500}, "page 2: HTTP 500"),
        ({"status_code": 401}, "page 2: not permitted (HTTP 401)"),
        (
            {"status_code": 302, "headers": {"location": "https://canary.example/"}},
            "page 2: redirected",
        ),
        ({"text": "<html>", "content_type": "text/html"}, "page 2: not FHIR"),
        (
            {"json": {"resourceType": "OperationOutcome"}},
            "page 2: an OperationOutcome instead of results",
        ),
    ],
)
async def test_a_page_that_fails_leaves_the_search_partial(
    pull: Any,
    respx_fhir: respx.MockRouter,
    bundle: Any,
    observation: Any,
    *,
    fault: dict[str, Any],
    reason: str,
) -> None:
    """Page 1 looked decisive, and is not."""
    respx_fhir.get(FIRST).respond(json=bundle(observation("a"), next=f"{PAGE}2"))
    respx_fhir.get(f"{PAGE}2").respond(**fault)

    pulled = await pull()

    assert Partial(reason) == pulled.read
    assert ["a"] == ids(pulled)


@pytest.mark.parametrize(
    "link",
    [
        "https://canary.example/fhir/Observation?page=2",
        "//canary.example/fhir/Observation?page=2",
        "https://ehr.example/other/Observation?page=2",
        "https://ehr.example:8443/fhir/Observation?page=2",
        "http://ehr.example/fhir/Observation?page=2",
        "https://x@ehr.example/fhir/Observation?page=2",
        "https://ehr.example/fhir/../admin?page=2",
    ],
)
async def test_a_next_link_to_elsewhere_is_not_followed(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any, *, link: str
) -> None:
    """The token stays on the server it is for; respx would fail on any other request."""
    respx_fhir.get(FIRST).respond(json=bundle(observation("a"), next=link))

    pulled = await pull()

    assert Partial("the next page is on another server") == pulled.read
    assert 1 == len(respx_fhir.calls)


async def test_pages_that_lead_in_a_circle_end(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """From page 2 back to page 1."""
    again = f"{FIRST}?patient=1"
    respx_fhir.get(FIRST).respond(json=bundle(observation("a"), next=f"{PAGE}2"))
    respx_fhir.get(f"{PAGE}2").respond(json=bundle(observation("b"), next=again))

    assert Partial("the pages repeat") == (await pull()).read
    assert 2 == len(respx_fhir.calls)


async def test_a_page_that_leads_to_itself_ends(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """At once."""
    respx_fhir.get(FIRST).respond(json=bundle(observation("a"), next=f"{FIRST}?patient=1"))

    assert Partial("the pages repeat") == (await pull()).read
    assert 1 == len(respx_fhir.calls)


async def test_pages_without_end_end(
    pull: Any, respx_fhir: respx.MockRouter, observation: Any, bundle: Any
) -> None:
    """At the limit of pages."""

    def answer(_: Any) -> Any:
        number = len(respx_fhir.calls)
        body = bundle(observation(f"o{number}"), next=f"{PAGE}{number}")
        return respx.MockResponse(200, json=body)

    respx_fhir.get(url__startswith="https://ehr.example/fhir").mock(side_effect=answer)

    assert Partial("too many pages") == (await pull()).read
    assert 4 == len(respx_fhir.calls)


async def test_an_empty_page_with_more_to_come_ends(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any
) -> None:
    """It could go on like that for ever."""
    respx_fhir.get(FIRST).respond(json=bundle(next=f"{PAGE}2"))

    assert Partial("an empty page says that there are more") == (await pull()).read


async def test_more_entries_than_allowed_are_cut_off(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """One page may hold too many by itself."""
    many = [observation(str(number)) for number in range(30)]
    respx_fhir.get(FIRST).respond(json=bundle(*many))

    pulled = await pull()

    assert Partial("too many entries") == pulled.read
    assert 20 == len(pulled.found)


async def test_a_total_above_what_came_means_that_some_are_missing(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """A copy of one does not make up for another."""
    page = bundle(observation("a"), observation("a"), total=2)
    respx_fhir.get(FIRST).respond(json=page)

    assert Partial("1 of 2 results were sent") == (await pull()).read


@pytest.mark.parametrize("used", ["", "_count=200", "code=1", "patientx=1", "encounter.patient=1"])
async def test_a_server_that_ignored_the_patient_is_read_no_further(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any, *, used: str
) -> None:
    """What comes next is about other patients; what came is checked by the reader."""
    page = bundle(observation("a"), self=f"{FIRST}?{used}", next=f"{PAGE}2")
    respx_fhir.get(FIRST).respond(json=page)

    pulled = await pull()

    assert Partial("the server did not apply the filter") == pulled.read
    assert ["a"] == ids(pulled)
    assert 1 == len(respx_fhir.calls)


async def test_an_error_among_the_results_makes_them_partial(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """The server says itself that something went wrong."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
    respx_fhir.get(FIRST).respond(json=bundle(observation("a"), {"resource": outcome}))

    assert Partial("the server reported an error") == (await pull()).read


async def test_a_warning_is_kept_as_an_issue(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """One that is not filed as the outcome of the search leaves it complete."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}
    respx_fhir.get(FIRST).respond(json=bundle(observation("a"), {"resource": outcome}))

    pulled = await pull()

    assert COMPLETE == pulled.read
    assert ["server-warning"] == [issue.code for issue in pulled.issues]


# --- Where nothing comes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "read"),
    [
        ({"status_code": 401}, NotPermitted("not permitted (HTTP 401)")),
        ({"status_code": 403}, NotPermitted("not permitted (HTTP 403)")),
        ({"status_code": 400}, Failed("HTTP 400")),
        ({"status_code": 404}, Failed("HTTP 404")),
        ({"status_code": 206, "json": {}}, Failed("HTTP 206")),
        ({"status_code": 429}, Failed("HTTP 429")),
        ({"status_code": 500}, Failed("HTTP 500")),
        ({"text": "<html>", "content_type": "text/html"}, Failed("not FHIR")),
        ({"text": "", "content_type": "application/json"}, Failed("not FHIR")),
        ({"text": "null", "content_type": "application/json"}, Failed("not FHIR")),
        ({"json": {"resourceType": "Observation"}}, Failed("not a search result")),
        (
            {"json": {"resourceType": "OperationOutcome"}},
            Failed("an OperationOutcome instead of results"),
        ),
        ({"content": b"x" * 30_000, "content_type": "application/json"}, Failed("too large")),
    ],
)
async def test_a_search_that_fails_found_nothing_out(
    pull: Any, respx_fhir: respx.MockRouter, *, fault: dict[str, Any], read: Any
) -> None:
    """It is never an empty result; a refusal is told apart."""
    respx_fhir.get(FIRST).respond(**fault)

    assert Pulled(read=read) == await pull()


@pytest.mark.parametrize("fault", [httpx2.ConnectError("x"), httpx2.ReadError("x")])
async def test_a_broken_connection_is_a_failed_read(
    pull: Any, respx_fhir: respx.MockRouter, *, fault: Exception
) -> None:
    """After one more try."""
    route = respx_fhir.get(FIRST).mock(side_effect=fault)

    assert isinstance((await pull()).read, Failed)
    assert 2 == route.call_count


async def test_a_server_that_cannot_include_is_asked_without(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """400 is the answer to an unknown ``_include``."""
    respx_fhir.get(FIRST, params={"_include": "x"}).respond(400)
    respx_fhir.get(FIRST, params={"plain": "1"}).respond(json=bundle(observation("a")))
    start = Start("Observation", "Observation?_include=x", simpler_url="Observation?plain=1")

    pulled = await pull(start)

    assert COMPLETE == pulled.read
    assert ["a"] == ids(pulled)


async def test_a_search_that_is_not_needed_may_be_rejected(
    pull: Any, respx_fhir: respx.MockRouter
) -> None:
    """The chart is complete without it; an issue says what was not looked for."""
    respx_fhir.get(FIRST).respond(400)

    pulled = await pull(Start("Observation", "Observation?x=1", needed=False))

    assert COMPLETE == pulled.read
    assert ["search-not-supported"] == [issue.code for issue in pulled.issues]


async def test_a_search_that_is_not_needed_must_not_fail_otherwise(
    pull: Any, respx_fhir: respx.MockRouter
) -> None:
    """The server could have done it."""
    respx_fhir.get(FIRST).respond(500)

    assert (
        Failed("HTTP 500")
        == (await pull(Start("Observation", "Observation?x=1", needed=False))).read
    )


async def test_reading_goes_on_after_a_page_that_came_another_way(
    pull: Any, respx_fhir: respx.MockRouter, bundle: Any, observation: Any
) -> None:
    """Its results and its total count."""
    first = Page(total=2)
    respx_fhir.get(f"{PAGE}2").respond(json=bundle(observation("b")))

    pulled = await pull(Start("Observation", f"{PAGE}2", first=first))

    assert Partial("1 of 2 results were sent") == pulled.read


# --- The deadline -------------------------------------------------------------------------------


@pytest.fixture
def drip() -> Any:
    """A server that sends one byte now and then, and notes when the connection ends."""
    ended = asyncio.Event()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        try:
            for _ in range(1000):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
                if reader.at_eof():
                    return
        finally:
            ended.set()

    return reply, ended


async def test_a_server_that_drips_is_left_at_the_deadline(
    serving: Any, drip: Any, deadline: Callable[[float], float]
) -> None:
    """Each byte is in time; all together are not. The connection does not outlive the answer."""
    reply, ended = drip
    loop = asyncio.get_running_loop()
    async with serving(reply) as base, FhirClients(Limits(silence_s=0.2)) as clients:
        began = loop.time()
        pulled = await read_search(clients.client(base), START, deadline(0.4))
        took = loop.time() - began
        await asyncio.wait_for(ended.wait(), 1)

    assert Failed("timed out") == pulled.read
    assert 0.35 < took < 4


async def test_pages_read_before_the_deadline_are_kept(
    serving: Any, bundle: Any, observation: Any, deadline: Callable[[float], float]
) -> None:
    """The search is partial, not failed."""
    asked = 0

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.sleep(5)
        body = json.dumps(bundle(observation("a"), next="?page=2")).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        writer.write(head.encode() + b"\r\nconnection: close\r\n\r\n" + body)
        await writer.drain()

    async with serving(reply) as base, FhirClients() as clients:
        pulled = await read_search(clients.client(base), START, deadline(1))

    assert Partial("page 2: timed out") == pulled.read
    assert ["a"] == ids(pulled)


async def test_after_the_deadline_nothing_is_sent(
    client: FhirClient, respx_fhir: respx.MockRouter, deadline: Callable[[float], float]
) -> None:
    """Not even tried."""
    assert Pulled(read=Failed("timed out")) == await read_search(client, START, deadline(-1))
    assert not respx_fhir.calls


# --- Several searches of one type ---------------------------------------------------------------

NO = NotPermitted("not permitted (HTTP 403)")
OFF = Failed("HTTP 500")
PART = Partial("page 2: timed out")


@pytest.mark.parametrize(
    ("reads", "together"),
    [
        ([], COMPLETE),
        ([COMPLETE, COMPLETE], COMPLETE),
        ([COMPLETE, OFF], Partial("HTTP 500")),
        ([COMPLETE, NO], Partial("not permitted (HTTP 403)")),
        ([OFF, OFF], OFF),
        ([NO, NO], NO),
        ([NO, OFF], Failed("not permitted (HTTP 403); HTTP 500")),
        ([PART, OFF], Partial("page 2: timed out; HTTP 500")),
        ([PART], PART),
    ],
)
def test_searches_of_one_type_are_complete_together_or_not(reads: Any, together: Any) -> None:
    """One gap is a gap of the type."""
    issue = DataIssue("x", "y", "z")

    combined = combine(Pulled(read=read, issues=(issue,)) for read in reads)

    assert together == combined.read
    assert len(combined.issues) <= 1
