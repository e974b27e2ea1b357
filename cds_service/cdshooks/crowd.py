"""The last limit: how many requests of any kind are in work, whoever sends them.

Hooks and feedback have closer limits (:mod:`~cds_service.cdshooks.bulkhead`). This one keeps the
process standing where requests come faster than they can even be refused.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from cds_service.cdshooks.guard import outcome_response

# An orchestrator that gets no answer here would start the process anew, and lose what is in work.
_ALWAYS: Final = ("/health/live", "/health/ready", "/metrics")
_UNAVAILABLE: Final = 503


class Crowd:
    """ASGI middleware: answers 503 where too many requests are in work.

    Args:
        app: the application.
        most: requests at one time; probes and metrics are not counted.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self.app = app
        self._most = most
        self._in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, if there is room."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self.app(scope, receive, send)
            return
        if self._in_work >= self._most:
            response = outcome_response(_UNAVAILABLE, "too many requests at one time")
            await response(scope, receive, send)
            return
        self._in_work += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_work -= 1
