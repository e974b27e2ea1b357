"""How an answer is judged before its body is read, and what is worth a second attempt.

Pure: status and headers in, a failure or nothing out. A failure's text is a short reason of ours:
never a URL, an id, a token or a body, since it ends in logs and on cards.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

import msgspec

from cds_service.errors import FhirRefused, FhirRejected, FhirUnavailable
from cds_service.fhir.http.limits import Limits

Outcome = Literal[
    "ok",
    "refused",  # 401, 403
    "busy",  # 429, or 503 with Retry-After
    "http-4xx",
    "http-5xx",
    "http-other",
    "redirected",
    "timeout",
    "no-connection",
    "broken",
    "too-large",
    "not-fhir",
    "not-asked",  # the server did not answer lately, or asked to wait
    "cancelled",
]
"""How a read of one address went, for metrics."""

FHIR_TYPES: Final = frozenset(
    {"application/fhir+json", "application/json", "application/json+fhir"}
)
KEY_TYPES: Final = frozenset({"application/json", "application/jwk-set+json"})

_RETRIED: Final = frozenset({500, 502, 503, 504})


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt gave nothing.

    Args:
        error: what to raise.
        outcome: for metrics.
        retry_in: seconds to wait before another attempt; None for never.
        rest_s: seconds for which a busy server does not want to be asked at all.
    """

    error: FhirUnavailable | FhirRefused
    outcome: Outcome
    retry_in: float | None = None
    rest_s: float = 0


def timed_out() -> Failure:
    """Nothing came in time. Not tried again: the time is gone."""
    return Failure(FhirUnavailable("timed out"), "timeout")


def not_trusted() -> Failure:
    """The certificate is not for this server, or by nobody who is trusted. It will not change."""
    return Failure(FhirUnavailable("the certificate is not trusted"), "no-connection")


def no_connection() -> Failure:
    """No connection came about."""
    return Failure(FhirUnavailable("no connection"), "no-connection", _jitter())


def broken() -> Failure:
    """The connection ended, or what came over it is not HTTP."""
    return Failure(FhirUnavailable("the connection broke"), "broken", _jitter())


def too_large() -> Failure:
    """A limit on bytes was reached."""
    return Failure(FhirUnavailable("too large"), "too-large")


def refusal(
    status: int,
    headers: Mapping[str, str],
    raw: Iterable[tuple[bytes, bytes]],
    limits: Limits,
    types: Collection[str] = FHIR_TYPES,
) -> Failure | None:
    """Why this answer is not read, by its status and headers; None if it is.

    Args:
        status: of the answer.
        headers: by lower-case name.
        raw: the same as they came.
        limits: what an answer may cost.
        types: the media types that are read.
    """
    sizes = [len(name) + len(value) for name, value in raw]
    if len(sizes) > limits.header_count or sum(sizes) > limits.header_bytes:
        return Failure(FhirUnavailable("too many headers"), "too-large")
    if status != 200:
        return _bad_status(status, headers.get("retry-after"), limits)
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        return Failure(FhirUnavailable("compressed"), "not-fhir")
    if headers.get("content-type", "").split(";")[0].strip().lower() not in types:
        return Failure(FhirUnavailable("not FHIR"), "not-fhir")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > limits.body_bytes:
        return too_large()
    return None


def _bad_status(status: int, retry_after: str | None, limits: Limits) -> Failure:
    if status in {401, 403}:
        return Failure(FhirRefused(f"not permitted (HTTP {status})"), "refused")
    if status == 400:
        return Failure(FhirRejected("HTTP 400"), "http-4xx")
    if 300 <= status < 400:
        return Failure(FhirUnavailable("redirected"), "redirected")
    error = FhirUnavailable(f"HTTP {status}")
    if status == 429 or (status == 503 and retry_after is not None):
        return _busy(error, retry_after, limits)
    classes: dict[int, Outcome] = {4: "http-4xx", 5: "http-5xx"}
    outcome = classes.get(status // 100, "http-other")
    return Failure(error, outcome, _jitter() if status in _RETRIED else None)


def _busy(error: FhirUnavailable, retry_after: str | None, limits: Limits) -> Failure:
    """Try again where the wait is short; leave the server alone where it is not, or is not said.

    A wait that is a date or no number counts as not said.
    """
    if retry_after is None or not re.fullmatch(r"\d{1,6}", retry_after, re.ASCII):
        return Failure(error, "busy", rest_s=limits.pause_s)
    wait = int(retry_after)
    retry_in = wait + _jitter() if wait <= limits.retry_after_s else None
    return Failure(error, "busy", retry_in, rest_s=min(wait, limits.rest_s))


def _jitter() -> float:
    """A short wait, different for each caller, so that they do not return all at once."""
    return random.uniform(0.05, 0.15)  # noqa: S311 - spreads load, guards nothing
