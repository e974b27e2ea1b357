"""What wraps every answer: safe headers, errors as OperationOutcome, and a last resort.

The wrappers are ASGI, so that they hold for unknown paths and for faults in the service itself.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from cds_service.cdshooks.bulkhead import Shed, ShedReason
from cds_service.cdshooks.refusals import OTHER_PATIENT, PATIENT_UNAVAILABLE, because
from cds_service.errors import (
    FhirError,
    HookError,
    OtherPatient,
    StoreUnavailable,
    Unauthenticated,
)
from cds_service.operations.outcome import JSON, SAFE_HEADERS, operation_outcome
from cds_service.operations.request_ids import current_request
from cds_service.store.records import UnknownCard

_RETRY_AFTER_S = "5"


def json_response(content: Any, status: int = 200) -> Response:
    """Anything msgspec can encode, as JSON."""
    return Response(msgspec.json.encode(content), status, media_type=JSON)


def outcome_response(status: int, message: str) -> Response:
    """An error as a FHIR OperationOutcome.

    Args:
        status: the HTTP status.
        message: what is wrong; never a value of the request.
    """
    response = Response(operation_outcome(status, message), status, media_type=JSON)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = _RETRY_AFTER_S
    return response


def answer_hook_error(request: Request, error: Exception) -> Response:
    """Answer a request that breaks CDS Hooks, with the status that the error names."""
    if not isinstance(error, HookError):
        raise error
    because(request, error.reason)
    return outcome_response(error.status, str(error))


def answer_fhir_error(request: Request, error: Exception) -> Response:
    """Answer where the Patient, without whom nothing can be said, can be had neither way.

    The error's own text stays inside: it may name an address with the patient in it.
    """
    if not isinstance(error, FhirError):
        raise error
    other = isinstance(error, OtherPatient)
    because(request, OTHER_PATIENT if other else PATIENT_UNAVAILABLE)
    return outcome_response(
        HTTPStatus.PRECONDITION_FAILED,
        "the Patient can be read neither from the prefetch nor from the FHIR server",
    )


def answer_unauthenticated(note: Callable[[str], None]) -> Callable[[Request, Exception], Response]:
    """Answers 401 to a caller that did not show who it is, and never says why.

    Args:
        note: is told the reason, for metrics.
    """

    def answer(request: Request, error: Exception) -> Response:
        if not isinstance(error, Unauthenticated):
            raise error
        note(error.reason)
        because(request, error.reason, error.caller)
        response = outcome_response(HTTPStatus.UNAUTHORIZED, "not authenticated")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    return answer


def answer_store_error(request: Request, error: Exception) -> Response:
    """Answer where what must be kept cannot be kept: nothing is said then, and it may be later."""
    if not isinstance(error, StoreUnavailable):
        raise error
    because(request, "store")
    return outcome_response(HTTPStatus.SERVICE_UNAVAILABLE, "the store cannot be written")


def answer_unknown_card(request: Request, error: Exception) -> Response:
    """Answer feedback on a card that is not the caller's, whether or not there is such a card."""
    if not isinstance(error, UnknownCard):
        raise error
    because(request, "unknown-card")
    return outcome_response(HTTPStatus.NOT_FOUND, "no such card")


def answer_shed(
    note: Callable[[ShedReason, str | None], None],
) -> Callable[[Request, Exception], Response]:
    """Answers a caller that asks for too much at once.

    Args:
        note: is told which limit it was, and whose, for metrics.
    """

    def answer(request: Request, error: Exception) -> Response:
        if not isinstance(error, Shed):
            raise error
        note(error.reason, error.caller)
        because(request, error.reason, error.caller)
        response = outcome_response(error.status, "too many hooks at one time")
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response

    return answer


def answer_http_error(_request: Request, error: Exception) -> Response:
    """Answer an unknown path, or a known one with another method."""
    if not isinstance(error, HTTPException):
        raise error
    response = outcome_response(error.status_code, HTTPStatus(error.status_code).phrase)
    response.headers.update(error.headers or {})
    return response


class SafeHeaders:
    """Adds to every answer what keeps it out of caches and out of a browser's guesses."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, send_safely)


class LastResort:
    """Answers 500 with a request id where the service itself has a fault.

    Only the class of the fault goes to the log: its text and its traceback may hold chart content.
    """

    def __init__(self, app: ASGIApp, *, logger: FilteringBoundLogger) -> None:
        self.app = app
        self.logger = logger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer it if nobody else can."""
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception as fault:
            if scope["type"] != "http" or started:
                raise
            current = current_request()
            request_id = str(uuid4()) if current is None else current.request_id
            # Not .exception(): a traceback shows the values that went wrong.
            self.logger.error("fault", request_id=request_id, error=_where(fault))  # noqa: TRY400
            response = outcome_response(500, f"internal error; request id {request_id}")
            await response(scope, receive, send)


def _where(fault: Exception) -> str:
    """The class of a fault and the place in the code where it arose, and nothing of its text."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
    return f"{type(fault).__name__}{place}"
