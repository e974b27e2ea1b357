"""The HTTP side of the service, with a screening function that a test hands in."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import structlog

from cds_service.cards.build import CardBuilder
from cds_service.cdshooks.application import make_application
from cds_service.cdshooks.log import processors
from cds_service.cdshooks.models import HookRequest, Service
from cds_service.cdshooks.routes import HookRoutes, Limits
from cds_service.report import Report, Version
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site, load_yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.applications import Starlette

TRIAL_FILE = Path(__file__).parents[2] / "cds_service" / "trials" / "net_retreat.yaml"
TODAY = date(2026, 11, 23)
BODY_BYTES = 256 * 1024
SERVICE = Service(
    hook="patient-view",
    id="net-retreat-eligibility",
    title="NET RETREAT screening",
    description="Screens.",
    usage_requirements="Reads.",
    version="2023.1",
    prefetch={"patient": "Patient/{{context.patientId}}"},
)


class Screening:
    """Screens nobody: gives what a test tells it to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[HookRequest] = []
        self.answer: Callable[[HookRequest], Awaitable[Report]] | None = None
        self.raises: Exception | None = None

    async def __call__(self, hook: HookRequest, within_s: float) -> Report:
        """Answer as told, by default that everything is met."""
        assert 0 <= within_s <= 5
        self.asked.append(hook)
        if self.raises is not None:
            raise self.raises
        if self.answer is not None:
            return await self.answer(hook)
        return report_on(hook)


def report_on(hook: HookRequest, **fields: Any) -> Report:
    """A report on the patient of a hook, with nothing in it."""
    given: dict[str, Any] = {
        "trial": Version("2023.1", "sha256:" + "ab" * 32, "net-retreat"),
        "mappings": Version("2026.11", "sha256:" + "cd" * 32),
        "subject": f"Patient/{hook.context.patient_id}",
        "as_of": TODAY,
        "overall": "all_met",
    }
    return Report(**(given | fields))


@pytest.fixture(scope="session")
def cards() -> CardBuilder:
    """Makes cards with the words of the real trial."""
    content = load_yaml(TRIAL_FILE.read_text(encoding="utf-8"))
    content["criteria"] = []
    return CardBuilder(Trial.model_validate(content), Site())


@pytest.fixture
def screening() -> Screening:
    """What screens the patients of this test."""
    return Screening()


@pytest.fixture
def log() -> io.StringIO:
    """What the service wrote to its log."""
    return io.StringIO()


@pytest.fixture
def limits() -> Limits:
    """Small enough to be reached."""
    return Limits(body_bytes=BODY_BYTES, deadline_s=0.3, concurrent=2)


@pytest.fixture
def app(cards: CardBuilder, screening: Screening, log: io.StringIO, limits: Limits) -> Starlette:
    """The application."""
    logger = structlog.wrap_logger(structlog.PrintLogger(log), processors=processors())
    routes = HookRoutes(
        SERVICE, screening, cards, today=lambda: TODAY, limits=limits, logger=logger
    )
    return make_application(routes.routes(), origins=("*",), logger=logger)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """An EHR."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as http:
        yield http


@pytest.fixture
def hook() -> dict[str, Any]:
    """A good hook request."""
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": "https://fhir.example.org/r4",
        "fhirAuthorization": {
            "access_token": "ZZTOK-1",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "user/*.read",
            "subject": "cds-service",
            "patient": "p1",
        },
        "context": {"userId": "Practitioner/9", "patientId": "p1", "encounterId": "e1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}},
        "extension": {"com.example": {"x": 1}},
        "unknown": [1, 2.5, "three"],
    }


@pytest.fixture
def post(client: httpx2.AsyncClient) -> Callable[[Any], Awaitable[httpx2.Response]]:
    """Calls the service with a body: bytes as they are, anything else as JSON."""

    async def call(body: Any, **headers: str) -> httpx2.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post(
            f"/cds-services/{SERVICE.id}",
            content=content,
            headers={"content-type": "application/json"} | named,
        )

    return call
