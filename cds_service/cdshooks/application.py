"""The ASGI application around the routes: what wraps them, and how errors leave it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from structlog.typing import FilteringBoundLogger

from cds_service.cdshooks.bulkhead import Shed
from cds_service.cdshooks.crowd import Crowd
from cds_service.cdshooks.guard import (
    LastResort,
    SafeHeaders,
    answer_fhir_error,
    answer_hook_error,
    answer_http_error,
    answer_shed,
    answer_store_error,
    answer_unauthenticated,
    answer_unknown_card,
)
from cds_service.cdshooks.refusals import Refusals
from cds_service.errors import FhirError, HookError, StoreUnavailable, Unauthenticated
from cds_service.operations.counting import CountedRequests
from cds_service.operations.metrics import Metrics
from cds_service.operations.request_ids import RequestIds
from cds_service.store.records import UnknownCard

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[Mapping[str, Any]]]


def make_application(
    routes: Sequence[BaseRoute],
    *,
    origins: Sequence[str],
    logger: FilteringBoundLogger,
    metrics: Metrics,
    most_requests: int = 1024,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """An application whose every answer, errors included, a browser-based EHR can read.

    Args:
        routes: what it serves.
        origins: web origins whose pages may call; ``*`` for any.
        logger: where refusals, and its own faults, are noted.
        metrics: counts every answer.
        most_requests: in work at one time; any further one gets 503.
        lifespan: what to do around its life.
    """
    app = Starlette(
        routes=routes,
        # The first is the outermost: what goes wrong further in, the others still see.
        middleware=[
            Middleware(RequestIds),
            Middleware(CountedRequests, metrics=metrics),
            Middleware(Refusals, logger=logger, metrics=metrics),
            Middleware(SafeHeaders),
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=("GET", "POST"),
                allow_headers=("authorization", "content-type"),
            ),
            Middleware(Crowd, most=most_requests),
            Middleware(LastResort, logger=logger),
        ],
        exception_handlers={
            HookError: answer_hook_error,
            FhirError: answer_fhir_error,
            Unauthenticated: answer_unauthenticated(metrics.refused),
            StoreUnavailable: answer_store_error,
            UnknownCard: answer_unknown_card,
            Shed: answer_shed(metrics.shed),
            HTTPException: answer_http_error,
        },
        lifespan=lifespan,
    )
    # A redirect would be made from the Host header of the request.
    app.router.redirect_slashes = False
    return app
