"""FHIR servers that exist only here: scripted by respx, or real sockets that misbehave."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import respx

from cds_service.fhir.http import FhirClient, FhirClients, Limits, SecretToken
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.record.codes import CodeBook
from cds_service.record.table_rows import Code, Concept, Place
from cds_service.record.tables import Tables
from cds_service.trial.rules.course import ToxicityLimit
from cds_service.trial.rules.laboratory import Derivation, LabRule
from cds_service.trial.rules.person import ConsentRule, PerformanceRule
from cds_service.trial.schema import CriterionSpec, Trial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

BASE = "https://ehr.example/fhir"


@pytest.fixture
def base() -> str:
    """The base URL of the scripted server."""
    return BASE


@pytest.fixture
def respx_fhir() -> Iterator[respx.MockRouter]:
    """A scripted server; a request that no route answers fails the test."""
    with respx.mock(using="httpcore2", assert_all_called=False) as router:
        yield router


@pytest.fixture
async def clients() -> AsyncIterator[FhirClients]:
    """A registry with limits small enough to be reached."""
    limits = Limits(body_bytes=20_000, total_bytes=100_000, pages=4, entries=20, silence_s=2)
    async with FhirClients(limits) as registry:
        yield registry


@pytest.fixture
async def client(clients: FhirClients) -> FhirClient:
    """A client of the scripted server, with a token."""
    return clients.client(BASE, SecretToken("ZZTOK-1"))


@pytest.fixture
def deadline() -> Callable[[float], float]:
    """Turns seconds from now into a deadline."""
    return lambda seconds: asyncio.get_running_loop().time() + seconds


Reply = "Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]"


@pytest.fixture
def serving() -> Any:
    """Runs a socket server for the time of a block; gives its base URL."""

    @asynccontextmanager
    async def run(
        reply: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> AsyncIterator[str]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await reply(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}/fhir"

    return run


@pytest.fixture
def bundle() -> Callable[..., dict[str, Any]]:
    """Builds a searchset of resources."""

    def build(*resources: dict[str, Any], **members: Any) -> dict[str, Any]:
        links = [
            {"relation": relation, "url": members.pop(relation)}
            for relation in ("self", "next")
            if relation in members
        ]
        entries = [
            one if "resource" in one else {"resource": one, "search": {"mode": "match"}}
            for one in resources
        ]
        built = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
        return built | members

    return build


@pytest.fixture
def observation() -> Callable[..., dict[str, Any]]:
    """Builds an Observation of patient 1."""

    def build(id_: str, **members: Any) -> dict[str, Any]:
        subject = {"reference": "Patient/1"}
        return {"resourceType": "Observation", "id": id_, "subject": subject} | members

    return build


@pytest.fixture
def small_book() -> CodeBook:
    """Tables of a few concepts; ``graded`` has words and no code."""
    here = Place("test.csv", 2)
    names = ("level", "part", "whole", "scale", "graded", "consented")
    codes = [
        ("level", "http://loinc.org", "1-8", "exact", "fact"),
        ("level", "urn:oid:2.16.840.1.113883.6.1", "1-8", "exact", "fact"),
        ("level", "http://site.example/codes", "HB,1|x", "exact", "possible"),
        ("level", "http://loinc.org", "9-1", "exact", "trap"),
        ("level", "http://loinc.org", "77", "prefix", "fact"),
        ("part", "http://loinc.org", "2-6", "exact", "fact"),
        ("whole", "http://loinc.org", "3-4", "exact", "fact"),
        ("scale", "http://snomed.info/sct", "4", "exact", "fact"),
        ("consented", "http://loinc.org", "5-9", "exact", "fact"),
    ]
    return CodeBook(
        Tables(
            concepts=tuple(Concept(here, name, name, ()) for name in names),
            systems=(),
            codes=tuple(Code(here, *row, property="") for row in codes),
            words=(),
            quantities=(),
            measures={},
            properties={},
            units=(),
            spellings=(),
            version="1",
            digest="sha256:0",
        )
    )


@pytest.fixture
def small_trial() -> Trial:
    """A trial of three rules, one of which reads no Observation."""
    lab = LabRule(
        kind="lab",
        result=("level",),
        comparison=">=",
        limit=Decimal(80),
        within_days=28,
        derived=(Derivation(sum_of=(("part",),), total=("whole",)),),
        exception_diagnosis=("consented",),
    )
    scale = PerformanceRule.model_construct(kind="performance-status", scale=("scale",))
    consent = ConsentRule(kind="consent", consent=("consented",))
    rules = (lab, scale, consent)
    return Trial.model_construct(
        criteria=tuple(CriterionSpec.model_construct(id="x", rule=rule) for rule in rules)
    )


@pytest.fixture
def trial_with_words(small_trial: Trial) -> Trial:
    """The same with a rule whose concept no code stands for."""
    limit = ToxicityLimit(result=("graded",), direction="above")
    criterion = CriterionSpec.model_construct(id="y", rule=limit)
    return small_trial.model_copy(update={"criteria": (*small_trial.criteria, criterion)})


@pytest.fixture
def small_plan(small_trial: Trial, small_book: CodeBook) -> SearchPlan:
    """The searches of the small trial."""
    return plan(small_trial, small_book)
