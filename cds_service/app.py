"""Puts the service together. Wiring only: what the parts do is theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from importlib.metadata import version as package_version
from typing import Final

from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

from cds_service.cards.build import CardBuilder
from cds_service.cdshooks.answering import Answering, Showing
from cds_service.cdshooks.application import make_application
from cds_service.cdshooks.bulkhead import Bulkhead
from cds_service.cdshooks.feedback import FeedbackDesk
from cds_service.cdshooks.life import Life
from cds_service.cdshooks.log import make_logger
from cds_service.cdshooks.notes import Notes
from cds_service.cdshooks.probes import probe_routes
from cds_service.cdshooks.routes import HookRoutes, Limits, describe
from cds_service.cdshooks.screen import HookScreening
from cds_service.errors import ConfigError
from cds_service.fhir.http import FhirClients, server_base
from cds_service.fhir.queries import prefetch_templates
from cds_service.knowledge import Knowledge, approved_knowledge
from cds_service.operations.metrics import Metrics
from cds_service.operations.safety import unsafe
from cds_service.operations.tracing import make_tracing
from cds_service.screening import Screener
from cds_service.settings import Settings, load_settings
from cds_service.store.hashing import KeyedHash
from cds_service.store.store import Store
from cds_service.trust.caller import OPEN, AnyCaller, CallerCheck
from cds_service.trust.issuers import load_issuers
from cds_service.trust.verify import TokenCheck

Clock = Callable[[], datetime]

# In work at one time besides hooks: feedback, discovery, callers that are being refused.
_OTHER_REQUESTS: Final = 512


def _system_clock() -> datetime:
    return datetime.now(UTC)


def app_from_environment() -> Starlette:
    """The service as the environment configures it; what each worker process starts."""
    return create_app(load_settings())


def create_app(settings: Settings, *, now: Clock = _system_clock) -> Starlette:
    """The service as an ASGI application.

    Args:
        settings: what the operator configured.
        now: the clock; aware of its time zone.

    Raises:
        ConfigError: a setting is unsafe, or an order of the trial file is no valid order.
        InputError: the site file is wrong.
        MappingError: a code table is wrong.
        TrialFileError: a trial file is wrong.
    """
    if faults := unsafe(settings):
        raise ConfigError("; ".join(faults))
    return _Parts(settings, approved_knowledge(settings), now).application()


class _Parts:
    """The parts of one application, made in the order in which they need each other."""

    def __init__(self, settings: Settings, knowledge: Knowledge, now: Clock) -> None:
        self.settings = settings
        self.knowledge = knowledge
        self.now = now
        self.logger: FilteringBoundLogger = make_logger()
        self.metrics = Metrics()
        self.notes = Notes(self.logger, self.metrics, now)
        self.tracing = make_tracing()
        other = settings.candidate_trial_file
        self.candidate = None if other is None else knowledge.other_version(other)
        self.clients = FhirClients(ca_file=settings.ca_file, observe=self.metrics.read)
        url = settings.database_url.get_secret_value()
        self.store = Store(url, now=now, observe=self.notes.stored)
        self._say_versions()
        self.hashes = KeyedHash.for_store(settings.hash_key_file, url)
        self.caller_names: tuple[str, ...] = (OPEN,)
        self.servers = _bases(settings.fhir_servers)
        self.callers = self._callers()
        self.metrics.allow(servers=self.servers)

    def application(self) -> Starlette:
        """The application around all parts."""
        life = self._life()
        return make_application(
            [*self._hook_routes().routes(), *probe_routes(life.unready, life.figures)],
            origins=self.settings.cors_origins,
            logger=self.logger,
            metrics=self.metrics,
            most_requests=self.settings.max_concurrent_hooks + _OTHER_REQUESTS,
            lifespan=life.lifespan,
        )

    def _say_versions(self) -> None:
        trial, codes = self.knowledge.trial, self.knowledge.codes
        self.metrics.version("service", package_version("cds-service"))
        self.metrics.version("trial", trial.version, trial.digest)
        self.metrics.version("mappings", codes.version, codes.digest)
        if self.candidate is not None:
            self.metrics.version(
                "candidate", self.candidate.trial.version, self.candidate.trial.digest
            )
        self.metrics.shadow(on=self.settings.mode == "shadow")

    def _callers(self) -> CallerCheck:
        settings = self.settings
        if settings.auth == "none":
            return AnyCaller(settings.fhir_servers)
        if settings.jwt_issuers is None:
            raise ConfigError("CDS_AUTH=required needs CDS_JWT_ISSUERS, the file of trusted EHRs")
        issuers = load_issuers(
            settings.jwt_issuers,
            settings.fhir_servers,
            allow_plain_http=settings.allow_plain_http,
        )
        self.caller_names = tuple(issuer.name for issuer in issuers)
        self.servers = _bases(server for issuer in issuers for server in issuer.fhir_servers)
        self.metrics.allow(callers=self.caller_names)
        return TokenCheck(
            issuers,
            settings.public_url,
            fetch=self.clients.document,
            replay=self.store,
            now=self.now,
            observe=self.notes.keys,
        )

    def _hook_routes(self) -> HookRoutes:
        settings, knowledge = self.settings, self.knowledge
        service = describe(knowledge.trial, prefetch_templates(knowledge.searches))
        cards = CardBuilder(
            knowledge.trial,
            knowledge.site,
            protocol_url=settings.links_protocol_url,
            signed=settings.approval_keys is not None,
        )
        screening = HookScreening(
            knowledge.screener,
            knowledge.searches,
            self.clients,
            self._today,
            self.candidate,
            self.tracing,
            test_tags=knowledge.site.test_patients,
            unlisted=self.notes.unlisted_server,
        )
        answering = Answering(
            service,
            knowledge.trial,
            screening,
            cards,
            Showing(knowledge.site.override_days, settings.mode == "shadow"),
            store=self.store,
            hashes=self.hashes,
            metrics=self.metrics,
            logger=self.logger,
            notes=self.notes,
            now=self.now,
            today=self._today,
            tracing=self.tracing,
        )
        self.metrics.allow(override_codes=cards.override_codes)
        feedback = FeedbackDesk(
            service, cards.override_codes, self.store, self.metrics, self.logger
        )
        return HookRoutes(
            service,
            answering,
            feedback,
            self.callers,
            bulkhead=self._bulkhead(),
            desk=self._bulkhead(),
            limits=Limits(settings.max_body_bytes, settings.deadline_seconds),
            open_discovery=settings.auth == "none" or settings.auth_discovery == "none",
        )

    def _bulkhead(self) -> Bulkhead:
        settings = self.settings
        return Bulkhead(
            settings.max_concurrent_hooks,
            # Where nobody is asked who calls, there is only one caller.
            settings.max_concurrent_hooks
            if settings.auth == "none"
            else settings.max_concurrent_hooks_per_issuer,
            settings.max_hooks_per_minute,
        )

    def _switchable(self) -> set[str]:
        """What an operator can switch off, by name."""
        names = {f"trial:{self.knowledge.trial.id}"}
        return names | {f"issuer:{name}" for name in self.caller_names}

    def _today(self) -> date:
        return self.now().astimezone(self.knowledge.site.zone).date()

    def _note_start(self) -> None:
        self.logger.info(
            "start",
            version=package_version("cds-service"),
            mode=self.settings.mode,
            trial=self.knowledge.trial.digest,
            mappings=self.knowledge.codes.digest,
            candidate=_digest(self.candidate),
        )

    def _life(self) -> Life:
        return Life(
            self.store,
            self.clients,
            self.callers,
            notes=self.notes,
            metrics=self.metrics,
            logger=self.logger,
            tracing=self.tracing,
            started=self._note_start,
            switchable=self._switchable(),
            servers=self.servers,
        )


def _bases(servers: Iterable[str]) -> tuple[str, ...]:
    """Base URLs as their clients are known by, each once."""
    return tuple(dict.fromkeys(filter(None, map(server_base, servers))))


def _digest(screener: Screener | None) -> str | None:
    return None if screener is None else screener.trial.digest
