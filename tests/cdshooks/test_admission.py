"""Who is turned away for load: with which answer, before what is done, and with what still good."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import structlog
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from cds_service.cards.model import Cards
from cds_service.cdshooks.application import make_application
from cds_service.cdshooks.bulkhead import Bulkhead
from cds_service.cdshooks.probes import probe_routes
from cds_service.cdshooks.routes import HookRoutes, Limits
from cds_service.operations.metrics import Metrics
from cds_service.trust.records import Issuer
from cds_service.trust.verify import TokenCheck
from tests.cdshooks.conftest import SERVICE
from tests.trust.ehr import HOOK, ISS, PUBLIC, Clock, Ehr, Key, Memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from cds_service.cdshooks.models import FeedbackItem, HookRequest
    from cds_service.trust.caller import Caller

FEEDBACK = f"{HOOK}/feedback"
ITEM = {
    "card": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
    "outcome": "overridden",
    "outcomeTimestamp": "2026-11-23T09:00:00Z",
}
BODIES: dict[str, Any] = {
    HOOK: {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/9", "patientId": "p1"},
    },
    FEEDBACK: {"feedback": [ITEM]},
}


class Ticks:
    """A clock of seconds that stands still until it is moved."""

    now = 50.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Setting:
    """A service for two EHRs, each of which may send one hook, and one feedback, a minute."""

    def __init__(self) -> None:
        clock, key = Clock(), Key("k")
        self.ehr = Ehr(clock, key)
        self.other = Ehr(clock, key, "https://other.example")
        self.stranger = Ehr(clock, Key("k"))
        self.used = Memory()
        self.ticks = Ticks()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.entered = asyncio.Event()
        issuers = [
            Issuer(iss=iss, name=name, keys=(key.public,))
            for iss, name in ((ISS, "ehr"), ("https://other.example", "other"))
        ]

        async def no_fetch(_url: str) -> bytes:
            raise AssertionError("the keys are given")

        routes = HookRoutes(
            SERVICE,
            self._answer,
            self._take,
            TokenCheck(issuers, PUBLIC, fetch=no_fetch, replay=self.used, now=clock),
            bulkhead=Bulkhead(2, 1, 1, self.ticks),
            desk=Bulkhead(2, 1, 1, self.ticks),
            limits=Limits(body_bytes=10_000, deadline_s=5),
        )
        metrics = Metrics()
        metrics.allow(callers=("ehr", "other"))
        app = make_application(
            routes.routes(),
            origins=("*",),
            logger=structlog.wrap_logger(structlog.PrintLogger(io.StringIO())),
            metrics=metrics,
        )
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://service"
        )

    def token(self, path: str = HOOK, of: Ehr | None = None) -> str:
        """A good token for a path."""
        return (of or self.ehr).bearer(aud=PUBLIC + path)

    async def post(self, token: str, path: str = HOOK) -> httpx2.Response:
        """Call with a token."""
        return await self.http.post(path, json=BODIES[path], headers={"authorization": token})

    async def _answer(self, _hook: HookRequest, _caller: Caller, _within_s: float) -> Cards:
        await self._work()
        return Cards(())

    async def _take(self, _caller: Caller, _items: Sequence[FeedbackItem]) -> None:
        await self._work()

    async def _work(self) -> None:
        self.entered.set()
        await self.go_on.wait()


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    """The service and its EHRs."""
    made = Setting()
    async with made.http:
        yield made


@pytest.mark.parametrize("path", [HOOK, FEEDBACK])
async def test_too_many_a_minute(setting: Setting, path: str) -> None:
    """429; the store is not asked, and the same token is good for another attempt, and for one."""
    assert 200 == (await setting.post(setting.token(path), path)).status_code
    asked = len(setting.used.asked)
    token = setting.token(path)

    for _ in range(3):
        shed = await setting.post(token, path)
        assert (429, "60") == (shed.status_code, shed.headers["retry-after"])
        assert "OperationOutcome" == shed.json()["resourceType"]
    assert asked == len(setting.used.asked)
    assert 200 == (await setting.post(setting.token(path, setting.other), path)).status_code

    setting.ticks.now += 60
    assert 200 == (await setting.post(token, path)).status_code
    setting.ticks.now += 60
    assert 401 == (await setting.post(token, path)).status_code


@pytest.mark.parametrize("path", [HOOK, FEEDBACK])
async def test_all_places_taken(setting: Setting, path: str) -> None:
    """503; the store is not asked, and the same token is good for another attempt."""
    setting.go_on.clear()
    first = asyncio.create_task(setting.post(setting.token(path), path))
    await setting.entered.wait()
    setting.ticks.now += 60
    token = setting.token(path)

    shed = await setting.post(token, path)
    assert (503, "1") == (shed.status_code, shed.headers["retry-after"])
    assert 1 == len(setting.used.asked)

    setting.go_on.set()
    assert 200 == (await first).status_code
    assert 200 == (await setting.post(token, path)).status_code


async def test_hooks_and_feedback_do_not_take_each_other_s_places(setting: Setting) -> None:
    """Else a wave of the one would hold up the other."""
    for path in (HOOK, FEEDBACK):
        assert 200 == (await setting.post(setting.token(path), path)).status_code
        assert 429 == (await setting.post(setting.token(path), path)).status_code


@pytest.mark.parametrize("path", [HOOK, FEEDBACK])
async def test_a_bad_token_takes_no_place(setting: Setting, path: str) -> None:
    """Nobody uses up an EHR's allowance in its name; and nothing says that the EHR has one."""
    bad = [
        setting.token(path, setting.stranger),
        setting.ehr.bearer(aud=PUBLIC),
        setting.ehr.bearer(aud=PUBLIC + path, exp=1),
        "Bearer a.b.c",
    ]
    for token in bad:
        assert 401 == (await setting.post(token, path)).status_code
    assert 200 == (await setting.post(setting.token(path), path)).status_code
    for token in bad:
        assert 401 == (await setting.post(token, path)).status_code


async def test_more_requests_than_can_even_be_refused() -> None:
    """503 as any other, and counted; probes and metrics are answered all the same."""
    go_on, entered = asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        entered.set()
        await go_on.wait()
        return PlainTextResponse("done")

    async def unready() -> None:
        return None

    metrics = Metrics()
    app = make_application(
        [Route("/cds-services", slow), *probe_routes(unready, metrics.render)],
        origins=("*",),
        logger=structlog.wrap_logger(structlog.PrintLogger(io.StringIO())),
        metrics=metrics,
        most_requests=1,
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
        first = asyncio.create_task(http.get("/cds-services"))
        await entered.wait()
        shed = await http.get("/cds-services", headers={"origin": "https://ehr.example"})
        others = [await http.get(path) for path in ("/health/live", "/health/ready", "/metrics")]
        go_on.set()
        assert 200 == (await first).status_code
        assert 200 == (await http.get("/cds-services")).status_code

    assert 503 == shed.status_code
    assert "OperationOutcome" == shed.json()["resourceType"]
    assert shed.headers["retry-after"].isdecimal()
    assert "no-store" == shed.headers["cache-control"]
    assert "*" == shed.headers["access-control-allow-origin"]
    assert shed.headers["x-request-id"]
    assert [200] * 3 == [other.status_code for other in others]
    assert 'cds_http_requests_total{route="discovery",status="503"} 1.0' in others[2].text
