"""Notes each request that is refused: one line, with a word of ours for why.

Whoever refuses a request says why with :func:`because`; the line is written by the middleware when
the answer leaves, so that no refusal goes without one. A request for one patient that brings
another patient's data, or what was lent to another client, is a security event: its line has a name
of its own, and it is counted.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from cds_service.operations.drain import READY
from cds_service.operations.labels import SECURITY_REASONS
from cds_service.operations.metrics import Metrics

PATIENT_UNAVAILABLE: Final = "patient-unavailable"
OTHER_PATIENT: Final = "other-patient"

_REASON: Final = "refused_because"
_CALLER: Final = "caller"
_LEAST: Final = 400
_OWN_FAULT: Final = 500
# Where whoever refused says no more than the status does.
_USUAL: Final = {
    400: "invalid",
    403: "forbidden",
    404: "not-found",
    405: "method",
    408: "slow-body",
    413: "too-large",
    415: "media-type",
    429: "rate",
    503: "overloaded",
}
OTHER: Final = "other"
"""The reason where there is no better one."""


def because(request: Request, reason: str | None, caller: str | None = None) -> None:
    """Say why a request is refused.

    Args:
        request: the request.
        reason: a short code of ours; None for the usual one of the answer's status.
        caller: the name in the configuration of who sent it, where that is certain.
    """
    _state(request.scope)[_REASON] = reason
    if caller is not None:
        sent_by(request, caller)


def sent_by(request: Request, caller: str) -> None:
    """Say who sent a request, once that is certain."""
    _state(request.scope)[_CALLER] = caller


class Refusals:
    """ASGI middleware: a line for each request that is refused.

    A fault of the service has a line of its own already, and so has a hook whose Patient cannot be
    had: it is audited. That the service is not ready is said where that changes.
    """

    def __init__(self, app: ASGIApp, *, logger: FilteringBoundLogger, metrics: Metrics) -> None:
        self.app = app
        self.logger = logger
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note if it is refused."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= _LEAST:
                self._note(scope, message["status"])
            await send(message)

        await self.app(scope, receive, send_noting)

    def _note(self, scope: Scope, status: int) -> None:
        state = _state(scope)
        reason = state.get(_REASON) or _USUAL.get(status, OTHER)
        if status == _OWN_FAULT or reason == PATIENT_UNAVAILABLE or scope["path"] == READY:
            return
        caller = state.get(_CALLER)
        if reason in SECURITY_REASONS:
            self.metrics.security(reason, caller)
            self.logger.error("security", status=status, reason=reason, caller=caller)
        else:
            self.logger.warning("refused", status=status, reason=reason, caller=caller)


def _state(scope: Scope) -> dict[str, str | None]:
    """What is known of a request besides its content, for whoever handles it."""
    state: dict[str, str | None] = scope.setdefault("state", {})
    return state
