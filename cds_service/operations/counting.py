"""Counts and times every request, whatever answers it: the service, a guard, or nobody at all."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds_service.operations.labels import OTHER
from cds_service.operations.metrics import Metrics

_FIXED = {
    "/cds-services": "discovery",
    "/cds-services/": "discovery",
    "/health/live": "health",
    "/health/ready": "health",
    "/metrics": "metrics",
}
# What a request counts as that was not answered, because the client left or a fault tore it off.
_UNANSWERED = 0


class CountedRequests:
    """ASGI middleware: tells the metrics of each request by its route and status."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = route_of(scope["path"])
        status = _UNANSWERED

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self.metrics.request(route):
                await self.app(scope, receive, send_noting)
        finally:
            self.metrics.answered(route, status)


def route_of(path: str) -> str:
    """Which route a path belongs to; the path itself is the caller's text, and goes nowhere."""
    if path in _FIXED:
        return _FIXED[path]
    if not path.startswith("/cds-services/"):
        return OTHER
    match path.count("/"):
        case 2:
            return "hook"
        case 3 if path.endswith("/feedback"):
            return "feedback"
        case _:
            return OTHER
