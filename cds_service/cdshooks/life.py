"""The life of a service: what is opened before the first hook, watched meanwhile, and closed last.

Also what its probes ask: whether hooks may come, and the figures as they are now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from structlog.typing import FilteringBoundLogger

from cds_service.cdshooks.notes import Notes
from cds_service.fhir.http import FhirClients
from cds_service.operations.garbage import few_collections
from cds_service.operations.http_guard import NOTE_UNPARSED
from cds_service.operations.metrics import Metrics
from cds_service.operations.tracing import Tracing
from cds_service.store.store import Store
from cds_service.trust.caller import CallerCheck
from cds_service.trust.verify import TokenCheck

# A breaker also changes when time passes, of which nobody tells; and of several workers, any one
# answers for all.
WATCH_SECONDS: Final = 1.0


class Life:
    """Opens, watches and closes the parts of one application.

    Args:
        store: opened before the first hook.
        clients: connections to FHIR servers.
        callers: tells who calls; the keys that it needs are fetched before the first hook.
        notes: told what is seen.
        metrics: renders the figures.
        logger: where the end is noted.
        tracing: sends its last spans at the end.
        started: told when all is open.
        switchable: what an operator can switch off, by name.
        servers: base URLs of the FHIR servers that are listed.
    """

    def __init__(  # noqa: PLR0913  (the parts that it opens)
        self,
        store: Store,
        clients: FhirClients,
        callers: CallerCheck,
        *,
        notes: Notes,
        metrics: Metrics,
        logger: FilteringBoundLogger,
        tracing: Tracing,
        started: Callable[[], None],
        switchable: Collection[str],
        servers: Collection[str],
    ) -> None:
        self._store = store
        self._clients = clients
        self._callers = callers
        self._notes = notes
        self._metrics = metrics
        self._logger = logger
        self._tracing = tracing
        self._started = started
        self._switchable = switchable
        self._servers = servers

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[dict[str, Any]]:
        """Open the store, keep what the start allocated out of later collections, close all."""
        async with AsyncExitStack() as stack:
            stack.callback(self._tracing.close)
            stack.push_async_callback(self._clients.aclose)
            stack.push_async_callback(self._store.aclose)
            await self._store.start()
            await self._store.declare(self._switchable)
            if isinstance(self._callers, TokenCheck):
                await self._callers.warm_up()
            stack.enter_context(few_collections())
            stack.callback(asyncio.create_task(self._watch()).cancel)
            self._started()
            stack.callback(self._logger.info, "stop")
            yield {NOTE_UNPARSED: self._notes.unparsed}

    def figures(self) -> tuple[bytes, str]:
        """All figures, as of now."""
        self._notes.store_waits(self._store.health())
        self._note_breakers()
        return self._metrics.render()

    async def unready(self) -> str | None:
        """Why no hooks should come, in a word; None where they may."""
        reason = await self._why_unready()
        self._notes.readiness(reason)
        return reason

    async def _why_unready(self) -> str | None:
        if not await self._store.ready():
            return "store"
        if isinstance(self._callers, TokenCheck) and not self._callers.fresh():
            return "keys"
        return None

    async def _watch(self) -> None:
        while True:
            self._note_breakers()
            await asyncio.sleep(WATCH_SECONDS)

    def _note_breakers(self) -> None:
        known = self._clients.breakers()
        for server in self._servers:
            self._metrics.breaker(server, known.get(server, "closed"))
