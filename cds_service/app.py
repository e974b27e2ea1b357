"""Puts the service together. Wiring only: what the parts do is theirs."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

from starlette.applications import Starlette

from cds_service.cards.build import CardBuilder
from cds_service.cdshooks.application import Lifespan, make_application
from cds_service.cdshooks.envelope import HOOK
from cds_service.cdshooks.log import make_logger
from cds_service.cdshooks.models import Service
from cds_service.cdshooks.routes import HookRoutes, Limits
from cds_service.cdshooks.screen import HookScreening
from cds_service.errors import ConfigError
from cds_service.fhir.http import FhirClients
from cds_service.fhir.queries import plan, prefetch_templates
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from cds_service.screening import Screener
from cds_service.settings import Settings
from cds_service.trial.load import load_trial
from cds_service.trial.schema import Trial
from cds_service.trial.site import load_site

Clock = Callable[[], datetime]

# Objects made between two collections of the youngest generation. The default (700) collects
# several times within one hook, and finds nothing: a hook's objects go by their reference counts.
_GC_THRESHOLDS = (50_000, 20, 50)


def _system_clock() -> datetime:
    return datetime.now(UTC)


def create_app(settings: Settings, *, now: Clock = _system_clock) -> Starlette:
    """The service as an ASGI application.

    Args:
        settings: what the operator configured.
        now: the clock; aware of its time zone.

    Raises:
        ConfigError: a setting is unsafe, or an order of the trial file is no valid order.
        InputError: the site file is wrong.
        MappingError: a code table is wrong.
        TrialFileError: the trial file is wrong.
    """
    if settings.auth == "required":
        raise ConfigError(
            "CDS_AUTH=required: this version cannot check tokens yet; "
            "set CDS_AUTH=none and listen on 127.0.0.1"
        )
    site = load_site(settings.site_file)
    tables = load_tables(extra=site.mappings)
    codes, units = CodeBook(tables), UnitBook(tables)
    trial = load_trial(None, codes)
    searches = plan(trial, codes)
    clients = FhirClients()
    logger = make_logger()

    def today() -> date:
        return now().astimezone(site.zone).date()

    screener = Screener(trial, site, codes, units)
    routes = HookRoutes(
        describe(trial, prefetch_templates(searches)),
        HookScreening(screener, searches, clients, settings.fhir_servers, today),
        CardBuilder(trial, site, protocol_url=settings.links_protocol_url),
        today=today,
        limits=_limits(settings),
        logger=logger,
    )
    return make_application(
        routes.routes(), origins=settings.cors_origins, logger=logger, lifespan=_lifespan(clients)
    )


def describe(trial: Trial, prefetch: dict[str, str]) -> Service:
    """The service of a trial, for discovery."""
    words = trial.card.service
    return Service(
        hook=HOOK,
        id=f"{trial.id}-eligibility",
        title=words.title,
        description=words.description,
        usage_requirements=words.usage_requirements,
        version=trial.version,
        prefetch=prefetch,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        body_bytes=settings.max_body_bytes,
        deadline_s=settings.deadline_seconds,
        concurrent=settings.max_concurrent_hooks,
    )


def _lifespan(clients: FhirClients) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        """Keep what the start allocated out of every later collection; close connections."""
        thresholds = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        try:
            yield
        finally:
            gc.set_threshold(*thresholds)
            gc.unfreeze()
            await clients.aclose()

    return lifespan
