"""The routes of CDS Hooks 2.0: discovery, the service, its feedback; and the health probes.

Thin: what a request asks for is read by :mod:`~cds_service.cdshooks.envelope`, what it means is the
given screening function's business, and how it looks is the card builder's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from structlog.typing import FilteringBoundLogger

from cds_service.cards.build import CardBuilder
from cds_service.cards.model import Card, Cards
from cds_service.cards.orders import Opened
from cds_service.cdshooks.body import read_body
from cds_service.cdshooks.envelope import read_feedback, read_hook
from cds_service.cdshooks.guard import json_response, outcome_response
from cds_service.cdshooks.models import FeedbackItem, HookRequest, Service, Services
from cds_service.errors import HookError
from cds_service.report import Report

# Screens the patient of a hook within so many seconds. Raises HookError for a request that cannot
# be answered, FhirError where not even the Patient can be had.
ScreenHook = Callable[[HookRequest, float], Awaitable[Report]]

# What the screening may take beyond its deadline before it is given up: it keeps to the deadline
# itself, and then still has to judge what it has.
MARGIN_S = 0.2
FEEDBACK_BYTES = 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """What one request may cost.

    Args:
        body_bytes: the largest hook request.
        deadline_s: in which a hook is answered.
        concurrent: hooks in work at one time.
    """

    body_bytes: int
    deadline_s: float
    concurrent: int


class HookRoutes:
    """One service's routes.

    Args:
        service: the service as discovery describes it.
        screen: screens the patient of a hook.
        cards: makes the card of a report.
        today: the day at the site.
        limits: what one request may cost.
        logger: where answers are noted.
    """

    def __init__(
        self,
        service: Service,
        screen: ScreenHook,
        cards: CardBuilder,
        *,
        today: Callable[[], date],
        limits: Limits,
        logger: FilteringBoundLogger,
    ) -> None:
        self._service = service
        self._discovery = msgspec.json.encode(Services((service,)))
        self._screen = screen
        self._cards = cards
        self._today = today
        self._limits = limits
        self._logger = logger
        self._in_work = 0

    def routes(self) -> Sequence[BaseRoute]:
        """The routes, for the application to serve."""
        return (
            Route("/cds-services", self.discover, methods=["GET"]),
            # Some clients are configured with a slash at the end.
            Route("/cds-services/", self.discover, methods=["GET"]),
            Route("/cds-services/{service}", self.call, methods=["POST"]),
            Route("/cds-services/{service}/feedback", self.take_feedback, methods=["POST"]),
            Route("/health/live", _healthy, methods=["GET"]),
            # Tables, trial and routes are loaded before the first request is taken.
            Route("/health/ready", _healthy, methods=["GET"]),
        )

    async def discover(self, _request: Request) -> Response:
        """Describe the service."""
        return Response(self._discovery, media_type="application/json")

    async def call(self, request: Request) -> Response:
        """Answer a hook with at most one card."""
        self._check_service(request)
        if self._in_work >= self._limits.concurrent:
            return outcome_response(503, "too many hooks at one time")
        self._in_work += 1
        try:
            return await self._answer(request)
        finally:
            self._in_work -= 1

    async def take_feedback(self, request: Request) -> Response:
        """Note what became of cards. Kept nowhere but in the log."""
        self._check_service(request)
        body = await read_body(request, most_bytes=FEEDBACK_BYTES, within_s=self._limits.deadline_s)
        for item in read_feedback(body).feedback:
            self._note_feedback(item)
        return json_response({})

    async def _answer(self, request: Request) -> Response:
        started = time.monotonic()
        deadline = self._limits.deadline_s
        body = await read_body(request, most_bytes=self._limits.body_bytes, within_s=deadline)
        hook = read_hook(body)
        left = deadline - (time.monotonic() - started)
        try:
            async with asyncio.timeout(left + MARGIN_S):
                report = await self._screen(hook, max(left, 0))
        except TimeoutError:
            return outcome_response(503, "the screening did not end in time")
        except RecursionError:
            raise HookError("a prefetched resource is nested too deeply") from None
        card = self._card(hook, report)
        self._note_hook(hook, report, card, started)
        return json_response(Cards(() if card is None else (card,)))

    def _card(self, hook: HookRequest, report: Report) -> Card | None:
        context = hook.context
        opened = Opened(context.patient_id, context.user_id, context.encounter_id)
        return self._cards.card(report, opened, today=self._today())

    def _check_service(self, request: Request) -> None:
        if request.path_params["service"] != self._service.id:
            raise HookError("no such service", status=404)

    def _note_hook(
        self, hook: HookRequest, report: Report, card: Card | None, started: float
    ) -> None:
        self._logger.info(
            "hook",
            service=self._service.id,
            hook_instance=hook.hook_instance,
            overall=report.overall,
            shown=card is not None,
            card=None if card is None else card.uuid,
            unread=len(report.unread),
            trial=report.trial.digest,
            mappings=report.mappings.digest,
            milliseconds=round((time.monotonic() - started) * 1000, 1),
        )

    def _note_feedback(self, item: FeedbackItem) -> None:
        override = item.override_reason
        chosen = override.reason if override is not None else None
        # A code that is not one of ours is a caller's free text.
        known = chosen is not None and chosen.code in self._cards.override_codes
        self._logger.info(
            "feedback",
            service=self._service.id,
            card=item.card,
            outcome=item.outcome,
            suggestions=[suggestion.id for suggestion in item.accepted_suggestions],
            code=chosen.code if chosen is not None and known else None,
            comment=override is not None and override.user_comment is not None,
        )


async def _healthy(_request: Request) -> Response:
    return json_response({"status": "ok"})
