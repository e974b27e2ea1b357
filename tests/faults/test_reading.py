"""Single reads against real sockets: what is tried again, what is told, what never leaves."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cds_service.errors import FhirError, FhirRefused, FhirUnavailable
from cds_service.fhir.http import FhirClients, Limits, SecretToken
from cds_service.fhir.paging import Start, read_search
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.pull import read_chart
from cds_service.record.reads import Partial
from tests.faults.conftest import TODAY
from tests.faults.fake_fhir import FakeFhir, GoodAnswers
from tests.faults.fault_book import (
    GAPS,
    SURVIVED,
    closed_at_once,
    content,
    drip,
    foreign_next,
    hang,
    once,
    page_of_bytes,
    page_of_entries,
    status,
    typed,
    with_headers,
)
from tests.faults.screened import chart_of

if TYPE_CHECKING:
    from cds_service.knowledge import Knowledge
    from tests.faults.fake_fhir import Canary, Fault

NAME = "everything-met"
SEARCH = Start("Observation", "Observation?patient=everything-met&code=718-7", "patient")


@pytest.fixture(scope="module")
def good() -> GoodAnswers:
    """The right answers about one chart."""
    return GoodAnswers(chart_of(NAME, TODAY))


def within(seconds: float) -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + seconds


# --- Trying again -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        ("reset-at-once", 2),
        ("closed-at-once", 2),
        ("reset-within", 2),
        ("closed-within", 2),
        ("not-http", 2),
        ("http-500", 2),
        ("http-502", 2),
        ("http-503", 2),
        ("http-504", 2),
        ("429-retry-after-0", 2),
        ("429-retry-after-120", 1),
        ("429-retry-after--1", 1),
        ("429-retry-after-abc", 1),
        ("429-retry-after-empty", 1),
        ("429-retry-after-Wed, 21 Oct 2026 07:28:00 GMT", 1),
        ("http-429", 1),
        ("503-retry-after-120", 1),
        ("http-401", 1),
        ("http-403", 1),
        ("http-404", 1),
        ("http-410", 1),
        ("http-501", 1),
        ("http-505", 1),
        ("html", 1),
        ("301-to-canary", 1),
        ("gzip-bomb", 1),
        ("outcome", 1),
    ],
)
async def test_at_most_one_more_attempt(
    good: GoodAnswers, canary: Canary, fault: str, tries: int
) -> None:
    """And only where that may help."""
    async with FakeFhir(good, canary=canary) as server, FhirClients() as clients:
        server.fails("Observation", GAPS[fault])
        pulled = await read_search(clients.client(server.base), SEARCH, within(5))
    assert hasattr(pulled.read, "reason")
    assert tries == len(server.requests)


@pytest.mark.parametrize("retry_after", ["1", "2"])
async def test_a_short_wait_is_kept(good: GoodAnswers, retry_after: str) -> None:
    """The second attempt comes no sooner than the server said."""
    async with FakeFhir(good) as server, FhirClients() as clients:
        server.fails("Observation", once(status(429, ("Retry-After", retry_after))))
        began = time.monotonic()
        pulled = await read_search(clients.client(server.base), SEARCH, within(5))
        took = time.monotonic() - began
    assert not hasattr(pulled.read, "reason")
    assert int(retry_after) <= took < int(retry_after) + 1.5


async def test_no_wait_that_does_not_fit(good: GoodAnswers) -> None:
    """The reason stays the server's, and comes at once."""
    async with FakeFhir(good) as server, FhirClients() as clients:
        server.fails("Observation", once(status(503, ("Retry-After", "1"))))
        began = time.monotonic()
        pulled = await read_search(clients.client(server.base), SEARCH, within(0.9))
    assert "HTTP 503" == getattr(pulled.read, "reason", None)
    assert time.monotonic() - began < 0.5


async def test_a_server_that_comes_back_is_read(good: GoodAnswers) -> None:
    """The second answer counts."""
    async with FakeFhir(good) as server, FhirClients() as clients:
        server.fails("Observation", SURVIVED["reset-once"])
        pulled = await read_search(clients.client(server.base), SEARCH, within(5))
    assert pulled.found
    assert not hasattr(pulled.read, "reason")


async def test_time_is_counted_in_all(good: GoodAnswers) -> None:
    """A server that drips is in time for any timeout between two bytes."""
    async with FakeFhir(good) as server, FhirClients(Limits(silence_s=2)) as clients:
        server.fails("Observation", drip)
        began = time.monotonic()
        pulled = await read_search(clients.client(server.base), SEARCH, within(1.2))
        took = time.monotonic() - began
    assert "timed out" == getattr(pulled.read, "reason", None)
    assert 1.1 < took < 1.45


# --- What metrics are told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (typed("application/fhir+json"), "ok"),
        (status(401), "refused"),
        (status(403), "refused"),
        (status(400), "http-4xx"),
        (status(404), "http-4xx"),
        (status(429), "busy"),
        (status(503, ("Retry-After", "9")), "busy"),
        (status(500), "http-5xx"),
        (status(204), "http-other"),
        (GAPS["301-to-sibling"], "redirected"),
        (content(b"x", "text/html"), "not-fhir"),
        (GAPS["gzip-bomb"], "not-fhir"),
        (GAPS["60-megabytes"], "too-large"),
        (with_headers(*((f"x-{n}", "y") for n in range(101))), "too-large"),
        (closed_at_once, "broken"),
        (hang, "timeout"),
    ],
)
async def test_how_a_read_went_is_told(good: GoodAnswers, fault: Fault, outcome: str) -> None:
    """By resource type, one word and seconds: no address, no id."""
    told: list[tuple[Any, ...]] = []
    observe: Any = lambda *one: told.append(one)  # noqa: E731
    async with FakeFhir(good) as server, FhirClients(observe=observe) as clients:
        server.fails("Observation", fault)
        await read_search(clients.client(server.base), SEARCH, within(0.6))

    [(kind, word, seconds)] = told
    assert ("Observation", outcome) == (kind, word)
    assert 0 < seconds < 1


async def test_a_server_that_is_off_is_told(good: GoodAnswers) -> None:
    """As is what was not asked, and what was given up by others."""
    told: list[str] = []
    observe: Any = lambda _kind, word, _seconds: told.append(word)  # noqa: E731
    async with FakeFhir(good) as server:
        base = server.base
    async with FhirClients(Limits(failures=1), observe=observe) as clients:
        for trying in (False, True, True):
            client = clients.client(base)
            with pytest.raises(FhirUnavailable):
                await client.get_json("Patient/1")
            if not trying:  # the second is the one that tries, and does not end
                client.finished()
        cut_off = asyncio.create_task(clients.client(base + "/x").get_json("Patient/1"))
        await asyncio.sleep(0)
        cut_off.cancel()
        await asyncio.gather(cut_off, return_exceptions=True)
    assert ["no-connection", "no-connection", "not-asked", "cancelled"] == told


async def test_the_types_of_a_whole_chart_are_told(known: Knowledge, good: GoodAnswers) -> None:
    """Each by its name."""
    told: list[str] = []
    observe: Any = lambda kind, _word, _seconds: told.append(kind)  # noqa: E731
    opened = known.screener.opened(TODAY)
    async with FakeFhir(good) as server, FhirClients(observe=observe) as clients:
        client = clients.client(server.base)
        await read_chart(client, known.searches, NAME, within(5), opened.relevant)
    assert {"Patient", *known.searches.keys.values()} == set(told)


# --- What never leaves --------------------------------------------------------------------------


async def test_a_cookie_of_one_hospital_stays_there(good: GoodAnswers) -> None:
    """Not even to another address of the same host."""
    cookie = with_headers(("Set-Cookie", "session=ZZTOK-cookie; Path=/"))
    async with FakeFhir(good) as one, FakeFhir(good) as other, FhirClients() as clients:
        one.fails("Observation", cookie)
        for server in (one, other, one):
            await read_search(clients.client(server.base), SEARCH, within(5))
        seen = [request.headers for request in (*one.requests, *other.requests)]
    assert 3 == len(seen)
    assert not [headers for headers in seen if "cookie" in headers]


async def test_what_lies_elsewhere_is_not_fetched(known: Knowledge, canary: Canary) -> None:
    """Absolute references of any kind: to a drug, a subject, a member, a merged record."""
    chart = json.loads(json.dumps(chart_of(NAME, TODAY)))
    elsewhere = f"{canary.origin}/fhir"
    patient = next(one for one in chart if one["resourceType"] == "Patient")
    patient["link"] = [{"other": {"reference": f"{elsewhere}/Patient/9"}, "type": "seealso"}]
    order = {
        "resourceType": "MedicationRequest",
        "id": "elsewhere",
        "status": "completed",
        "intent": "order",
        "subject": {"reference": f"Patient/{NAME}"},
        "medicationReference": {"reference": f"{elsewhere}/Medication/1"},
    }
    panel = {
        "resourceType": "Observation",
        "id": "panel",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"{elsewhere}/Patient/{NAME}"},
        "hasMember": [{"reference": f"{elsewhere}/Observation/2"}],
    }
    opened = known.screener.opened(TODAY)
    async with FakeFhir([*chart, order, panel]) as server, FhirClients() as clients:
        client = clients.client(server.base, SecretToken("ZZTOK-1"))
        read = await read_chart(client, known.searches, NAME, within(5), opened.relevant)
        report = opened.report(read)

    drugs = {one.id: one.status for one in report.criteria}
    assert "met" != drugs["no-alkylator"], "what the order is of cannot be known"


@pytest.mark.parametrize("in_prefetch", [True, False])
async def test_a_next_link_to_elsewhere_is_not_followed(
    known: Knowledge, good: GoodAnswers, canary: Canary, *, in_prefetch: bool
) -> None:
    """Whether the server gave it or the EHR sent it."""
    opened = known.screener.opened(TODAY)
    link = [{"relation": "next", "url": f"{canary.origin}/fhir/Condition?page=2"}]
    async with FakeFhir(good, canary=canary) as server, FhirClients() as clients:
        sent: dict[str, Any] = {}
        if in_prefetch:
            request = f"/fhir/Condition?patient={NAME}"
            page = json.loads((await good.to(request, server.base))[1]) | {"link": link}
            sent = {"conditions": page}
            server.fails("Condition", status(500))
        else:
            server.fails("Condition", foreign_next("next-off-host"))
        raw = msgspec.json.decode(json.dumps(sent).encode(), type=dict[str, msgspec.Raw])
        chart = await read_chart(
            clients.client(server.base, SecretToken("ZZTOK-1")),
            known.searches,
            NAME,
            within(5),
            opened.relevant,
            read_prefetch(raw, known.searches, NAME),
        )
    assert isinstance(chart.reads["Condition"], Partial)


# --- Documents of the configuration -------------------------------------------------------------


async def test_a_document_is_read_without_a_token() -> None:
    """Such as the keys of an issuer."""
    async with FakeFhir() as server, FhirClients() as clients:
        server.fails(lambda _: True, content(b'{"keys":[]}', "application/jwk-set+json"))
        body = await clients.document(f"{server.origin}/keys?x=1")
    [request] = server.requests
    assert b'{"keys":[]}' == body
    assert "/keys?x=1" == request.target
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (status(500), FhirUnavailable),
        (status(403), FhirRefused),
        (content(b"<html>", "text/html"), FhirUnavailable),
        (page_of_bytes(2, announced=False), FhirUnavailable),
        (GAPS["301-to-sibling"], FhirUnavailable),
        (drip, FhirUnavailable),
        (hang, FhirUnavailable),
    ],
)
async def test_a_document_that_cannot_be_had(fault: Fault, error: type[FhirError]) -> None:
    """Within the same limits as any read, and a smaller one on its size."""
    async with FakeFhir([]) as server, FhirClients(Limits(silence_s=1)) as clients:
        server.fails(lambda _: True, fault)
        with pytest.raises(error):
            await clients.document(f"{server.origin}/fhir/Observation")


@pytest.mark.parametrize(
    "url", ["keys", "//x.example/keys", "file:///etc/passwd", "https://u@x.example/keys"]
)
async def test_a_document_at_no_plain_address(url: str) -> None:
    """Is not asked for."""
    async with FhirClients() as clients:
        with pytest.raises(FhirUnavailable, match=r"^the address is no"):
            await clients.document(url)


async def test_documents_and_charts_have_limits_of_their_own(good: GoodAnswers) -> None:
    """On one server, a broken key endpoint is no reason to leave charts unread."""
    async with FakeFhir(good) as server, FhirClients(Limits(failures=1)) as clients:
        server.fails(lambda request: request.kind == "keys", closed_at_once)
        for _ in range(3):
            with pytest.raises(FhirUnavailable):
                await clients.document(f"{server.origin}/keys")
        assert (await read_search(clients.client(server.base), SEARCH, within(5))).found


# --- Very much ----------------------------------------------------------------------------------


async def test_a_page_of_very_many_entries_is_not_decoded(good: GoodAnswers) -> None:
    """Else one server's page would hold up every other hospital's hooks."""
    async with FakeFhir(good) as server, FhirClients() as clients:
        server.fails("Observation", page_of_entries(200_000))
        pulled = await read_search(clients.client(server.base), SEARCH, within(20))
    assert "too many entries" == getattr(pulled.read, "reason", None)
    assert not pulled.found


async def test_a_page_of_more_entries_than_are_kept_is_cut(good: GoodAnswers) -> None:
    """To the limit, and known to be."""
    async with FakeFhir(good) as server, FhirClients() as clients:
        server.fails("Observation", page_of_entries(10_001))
        pulled = await read_search(clients.client(server.base), SEARCH, within(20))
    assert "too many entries" == getattr(pulled.read, "reason", None)
    assert 10_000 == len(pulled.found)
