"""The form of every error that leaves the service, whoever refuses: one FHIR OperationOutcome.

It stands here because the server answers with it, too, before there is a request for the
application.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

JSON: Final = "application/json"

ISSUE_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "invalid",
        401: "login",
        403: "forbidden",
        404: "not-found",
        405: "not-supported",
        408: "timeout",
        412: "incomplete",
        413: "too-long",
        415: "not-supported",
        429: "throttled",
        431: "too-long",
        503: "throttled",
    }
)
"""What FHIR calls each status; ``exception`` stands for any other."""

SAFE_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
)
"""Of every answer: they keep it out of caches, and out of a browser's guesses."""


def operation_outcome(status: int, message: str) -> bytes:
    """An error as JSON.

    Args:
        status: the HTTP status.
        message: what is wrong; never a value of the request.
    """
    issue = {
        "severity": "error",
        "code": ISSUE_CODES.get(status, "exception"),
        "diagnostics": message,
    }
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
