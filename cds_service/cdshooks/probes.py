"""What the operator's tools ask: is it alive, is it ready, what did it count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cds_service.cdshooks.guard import json_response

# Why the service should get no hooks now, in a word; None where it is ready.
Unready = Callable[[], Awaitable[str | None]]
Rendered = Callable[[], tuple[bytes, str]]


def probe_routes(unready: Unready, metrics: Rendered) -> Sequence[BaseRoute]:
    """The routes of the probes and of the metrics; none asks who calls, none speaks of a patient.

    Args:
        unready: why there should be no hooks now. FHIR servers play no part in it: where they are
            off, the service still answers, and says what it could not read.
        metrics: the metrics and their media type.
    """

    async def live(_request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(_request: Request) -> Response:
        reason = await unready()
        if reason is None:
            return json_response({"status": "ok"})
        return json_response({"status": "unready", "reason": reason}, 503)

    async def counted(_request: Request) -> Response:
        content, media_type = metrics()
        return Response(content, media_type=media_type)

    return (
        Route("/health/live", live, methods=["GET"]),
        Route("/health/ready", ready, methods=["GET"]),
        Route("/metrics", counted, methods=["GET"]),
    )
