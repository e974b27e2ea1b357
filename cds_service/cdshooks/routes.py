"""The routes of CDS Hooks 2.0: discovery, the service, its feedback.

Thin: who calls is the given check's to say, what a request asks for is read by
:mod:`~cds_service.cdshooks.envelope`, and what it is answered with is
:mod:`~cds_service.cdshooks.answering`'s business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cds_service.cards.model import Cards
from cds_service.cdshooks.body import read_body
from cds_service.cdshooks.bulkhead import Bulkhead
from cds_service.cdshooks.envelope import HOOK, MOST_BESIDE_PREFETCH, read_feedback, read_hook
from cds_service.cdshooks.guard import json_response, outcome_response
from cds_service.cdshooks.models import FeedbackItem, HookRequest, Service, Services
from cds_service.cdshooks.refusals import because, sent_by
from cds_service.errors import HookError, Unauthenticated
from cds_service.trial.schema import Trial
from cds_service.trust.caller import Caller, CallerCheck, Shown

DISCOVERY = "/cds-services"

# Answers a hook; the last argument is the time in seconds in which reading stops.
AnswerHook = Callable[[HookRequest, Caller, float], Awaitable[Cards]]
TakeFeedback = Callable[[Caller, Sequence[FeedbackItem]], Awaitable[None]]

# What the screening may take beyond its deadline before it is given up: it keeps to the deadline
# itself, and then still has to judge what it has, and to keep it.
MARGIN_S = 0.2
# Some hundred items, each checked as strictly as what stands beside a prefetch.
FEEDBACK_BYTES = MOST_BESIDE_PREFETCH


class Limits(msgspec.Struct, frozen=True):
    """What one request may cost.

    Args:
        body_bytes: the largest hook request.
        deadline_s: in which a hook is answered.
    """

    body_bytes: int
    deadline_s: float


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


class HookRoutes:
    """One service's routes.

    Args:
        service: the service as discovery describes it.
        answer: answers a hook.
        feedback: takes what became of cards.
        callers: tells who calls.
        bulkhead: how many hooks are in work.
        desk: how many calls of feedback are; apart from the hooks, so that neither of the two can
            take the other's places.
        limits: what one request may cost.
        open_discovery: whether discovery asks nobody who calls.
    """

    def __init__(  # noqa: PLR0913  (the parts that it puts together)
        self,
        service: Service,
        answer: AnswerHook,
        feedback: TakeFeedback,
        callers: CallerCheck,
        *,
        bulkhead: Bulkhead,
        desk: Bulkhead,
        limits: Limits,
        open_discovery: bool = True,
    ) -> None:
        self._service = service
        self._discovery = msgspec.json.encode(Services((service,)))
        self._answer = answer
        self._feedback = feedback
        self._callers = callers
        self._bulkhead = bulkhead
        self._desk = desk
        self._limits = limits
        self._open_discovery = open_discovery
        self._path = f"{DISCOVERY}/{service.id}"

    def routes(self) -> Sequence[BaseRoute]:
        """The routes, for the application to serve."""
        return (
            Route(DISCOVERY, self.discover, methods=["GET"]),
            # Some clients are configured with a slash at the end.
            Route(f"{DISCOVERY}/", self.discover, methods=["GET"]),
            Route(f"{DISCOVERY}/{{service}}", self.call, methods=["POST"]),
            Route(f"{DISCOVERY}/{{service}}/feedback", self.take_feedback, methods=["POST"]),
        )

    async def discover(self, request: Request) -> Response:
        """Describe the service."""
        if not self._open_discovery:
            shown = await self._shown(request, DISCOVERY)
            await shown.use()
        return Response(self._discovery, media_type="application/json")

    async def call(self, request: Request) -> Response:
        """Answer a hook with at most one card."""
        started = time.monotonic()
        self._check_service(request)
        async with self._admitted(request, self._path, self._bulkhead) as caller:
            return await self._answered(request, caller, started)

    async def take_feedback(self, request: Request) -> Response:
        """Keep what became of cards."""
        self._check_service(request)
        within_s = self._limits.deadline_s
        async with self._admitted(request, f"{self._path}/feedback", self._desk) as caller:
            body = await read_body(request, most_bytes=FEEDBACK_BYTES, within_s=within_s)
            await self._feedback(caller, read_feedback(body).feedback)
        return json_response({})

    async def _answered(self, request: Request, caller: Caller, started: float) -> Response:
        deadline = self._limits.deadline_s
        body = await read_body(request, most_bytes=self._limits.body_bytes, within_s=deadline)
        hook = read_hook(body)
        left = deadline - (time.monotonic() - started)
        try:
            # In a task of its own: a TaskGroup of Python 3.11 that fails may leave its task marked
            # as being cancelled, and asyncio.timeout would then not know its own timeout.
            answer = self._answer(hook, caller, max(left, 0))
            cards = await asyncio.wait_for(answer, left + MARGIN_S)
        except TimeoutError:
            because(request, "deadline")
            return outcome_response(503, "the screening did not end in time")
        except RecursionError:
            raise HookError("a prefetched resource is nested too deeply") from None
        return json_response(cards)

    def _check_service(self, request: Request) -> None:
        if request.path_params["service"] != self._service.id:
            raise HookError("no such service", status=404, reason="no-such-service")

    @asynccontextmanager
    async def _admitted(
        self, request: Request, path: str, bulkhead: Bulkhead
    ) -> AsyncIterator[Caller]:
        """Who calls, with a place for the time of the block.

        Only who has a place uses its token up: who is turned away may come back with the same one,
        and did not cost an access to the store.

        Raises:
            Unauthenticated: it cannot be told who calls, or the token was used before.
            Shed: there is no place.
            StoreUnavailable: it cannot be told whether the token was used before.
        """
        shown = await self._shown(request, path)
        sent_by(request, shown.caller.name)
        async with bulkhead.entered(shown.caller.name):
            await shown.use()
            yield shown.caller

    async def _shown(self, request: Request, path: str) -> Shown:
        """Who calls, by a token that is not used up yet.

        Raises:
            Unauthenticated: that cannot be told.
        """
        shown = request.headers.getlist("authorization")
        if len(shown) > 1:
            raise Unauthenticated("several-tokens")
        return await self._callers.shown(shown[0] if shown else None, path)
