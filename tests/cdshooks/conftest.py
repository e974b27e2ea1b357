"""The HTTP side of the service, with a screening function that a test hands in."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import structlog

from cds_service.cards.build import CardBuilder
from cds_service.cdshooks.answering import Answering, Showing
from cds_service.cdshooks.application import make_application
from cds_service.cdshooks.bulkhead import Bulkhead
from cds_service.cdshooks.feedback import FeedbackDesk
from cds_service.cdshooks.log import processors
from cds_service.cdshooks.models import HookRequest, Service
from cds_service.cdshooks.notes import Notes
from cds_service.cdshooks.probes import probe_routes
from cds_service.cdshooks.routes import HookRoutes, Limits
from cds_service.cdshooks.screen import Screened
from cds_service.operations.metrics import Metrics
from cds_service.report import Report, Version
from cds_service.store.hashing import KeyedHash
from cds_service.store.opening import prepare
from cds_service.store.store import Store
from cds_service.trial.schema import Trial
from cds_service.trial.site import Site, load_yaml
from cds_service.trust.caller import AnyCaller, Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.applications import Starlette

TRIAL_FILE = Path(__file__).parents[2] / "cds_service" / "trials" / "net_retreat.yaml"
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
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

    async def __call__(self, hook: HookRequest, caller: Caller, within_s: float) -> Screened:
        """Answer as told, by default that everything is met."""
        assert 0 <= within_s <= 5
        assert caller.name == "open"
        self.asked.append(hook)
        if self.raises is not None:
            raise self.raises
        if self.answer is not None:
            return Screened(await self.answer(hook))
        return Screened(report_on(hook), {"Condition": "complete"})


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


def _trial() -> Trial:
    content = load_yaml(TRIAL_FILE.read_text(encoding="utf-8"))
    content["criteria"] = []
    return Trial.model_validate(content)


TRIAL = _trial()


@pytest.fixture(scope="session")
def cards() -> CardBuilder:
    """Makes cards with the words of the real trial."""
    return CardBuilder(TRIAL, Site())


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the service and of its store."""
    return Clock()


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which nothing happened yet, to be copied: to make one takes a while."""
    path = tmp_path_factory.mktemp("store") / "new.db"
    prepare(f"sqlite:///{path}", Clock())
    return path


@pytest.fixture
async def store(
    new_store: Path, tmp_path: Path, clock: Clock, notes: Notes
) -> AsyncIterator[Store]:
    """A store of its own for each test."""
    shutil.copy(new_store, tmp_path / "store.db")
    opened = Store(f"sqlite:///{tmp_path}/store.db", now=clock, observe=notes.stored)
    await opened.start()
    yield opened
    await opened.aclose()


@pytest.fixture
def metrics() -> Metrics:
    """What was counted."""
    return Metrics()


@pytest.fixture
def screening() -> Screening:
    """What screens the patients of this test."""
    return Screening()


@pytest.fixture
def log() -> io.StringIO:
    """What the service wrote to its log."""
    return io.StringIO()


@pytest.fixture
def logger(log: io.StringIO) -> Any:
    """The service's own logger, into a string."""
    return structlog.wrap_logger(structlog.PrintLogger(log), processors=processors())


@pytest.fixture
def notes(logger: Any, metrics: Metrics, clock: Clock) -> Notes:
    """What notes what the parts do."""
    return Notes(logger, metrics, clock)


@pytest.fixture
def limits() -> Limits:
    """Small enough to be reached."""
    return Limits(body_bytes=BODY_BYTES, deadline_s=0.5)


@pytest.fixture
def showing() -> Showing:
    """When cards are shown."""
    return Showing(override_days=90)


@pytest.fixture
def app(
    cards: CardBuilder,
    screening: Screening,
    logger: Any,
    notes: Notes,
    limits: Limits,
    showing: Showing,
    store: Store,
    metrics: Metrics,
    clock: Clock,
) -> Starlette:
    """The application."""
    answering = Answering(
        SERVICE,
        TRIAL,
        screening,
        cards,
        showing,
        store=store,
        hashes=KeyedHash(b"k" * 32),
        metrics=metrics,
        logger=logger,
        notes=notes,
        now=clock,
        today=lambda: clock().date(),
    )
    feedback = FeedbackDesk(SERVICE, cards.override_codes, store, metrics, logger)
    routes = HookRoutes(
        SERVICE,
        answering,
        feedback,
        AnyCaller(()),
        bulkhead=Bulkhead(2, 2, 6000),
        desk=Bulkhead(2, 2, 6000),
        limits=limits,
    )

    async def unready() -> str | None:
        return None if await store.ready() else "store"

    return make_application(
        [*routes.routes(), *probe_routes(unready, metrics.render)],
        origins=("*",),
        logger=logger,
        metrics=metrics,
    )


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
