"""Reads the body of a request, and refuses one that two readers could read in two ways.

msgspec checks the grammar of the whole body, types and depth. What it leaves out is checked here:
bytes that are no UTF-8 in skipped members, the same key twice, and numbers that no double can hold.
The prefetch, nearly all of the body, is left out of the slower checks: its resources are read
later, each on its own, with decimal numbers. What is left has a limit of its own: those checks take
half a microsecond a byte, in which the service answers nobody else.
"""

from __future__ import annotations

import enum
import json
import math
import secrets
from collections.abc import Collection
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from cds_service.cdshooks.models import FeedbackRequest, HookRequest
from cds_service.errors import HookError

HOOK = "patient-view"
MOST_FEEDBACK = 1000
MOST_BESIDE_PREFETCH: Final = 256 * 1024
"""Bytes of a hook request outside the values of its prefetch. A token of 16 kB is the largest part
of it that is read."""
MOST_PREFETCH_KEYS: Final = 1000
"""Of a hook request. Discovery offers about a dozen."""

# A body may have some hundred thousand keys within it.
_COUNTED_BEYOND: Final = 1024 * 1024
_LONGEST_NUMBER = 30
_HEAD = 64
_T = TypeVar("_T")

_HOOK = msgspec.json.Decoder(HookRequest)
_FEEDBACK = msgspec.json.Decoder(FeedbackRequest)


def read_hook(body: bytes) -> HookRequest:
    """The hook request of a body.

    Raises:
        HookError: it is no hook request of this service, or more than is read beside a prefetch;
            the message holds no value of the body.
    """
    if len(body) > _COUNTED_BEYOND:
        _count_prefetch(body)
    request = _decoded(body, _HOOK)
    prefetch = request.prefetch or {}
    if len(prefetch) > MOST_PREFETCH_KEYS:
        raise _too_many_keys()
    _check_strictly(_without(body, [bytes(raw) for raw in prefetch.values()]))
    if request.hook != HOOK:
        raise HookError(f"this service answers {HOOK} only")
    authorization = request.fhir_authorization
    if authorization is None:
        return request
    if request.fhir_server is None:
        raise HookError("fhirAuthorization without fhirServer")
    if authorization.patient not in (None, request.context.patient_id):
        raise HookError("fhirAuthorization is for another patient", reason="other-patient")
    return request


def read_feedback(body: bytes) -> FeedbackRequest:
    """The feedback of a body, all of it or none.

    Raises:
        HookError: it is no feedback, or more than is taken at once.
    """
    request = _decoded(body, _FEEDBACK)
    _check_strictly(body)
    if len(request.feedback) > MOST_FEEDBACK:
        raise HookError(f"more than {MOST_FEEDBACK} items of feedback at once", status=413)
    for number, item in enumerate(request.feedback):
        reason = item.override_reason
        if item.outcome == "accepted" and not item.accepted_suggestions:
            raise HookError(f"feedback[{number}]: accepted without acceptedSuggestions")
        if reason is not None and reason.reason is None and reason.user_comment is None:
            raise HookError(f"feedback[{number}]: overrideReason with no reason and no comment")
    return request


def _count_prefetch(body: bytes) -> None:
    """Refuse millions of prefetch keys before they become a dictionary, which takes seconds.

    Raises:
        HookError: there are too many, or the body is no hook request.
    """
    count = 0

    class Key(enum.Enum):
        """Any key at all: the decoder asks for one that it does not know, and ends at None."""

        ANY = secrets.token_hex()

        @classmethod
        def _missing_(cls, _: object) -> Key | None:
            nonlocal count
            count += 1
            return cls.ANY if count <= MOST_PREFETCH_KEYS else None

    counted = msgspec.defstruct("Counted", [("prefetch", dict[Key, msgspec.Raw] | None, None)])
    try:
        _decoded(body, msgspec.json.Decoder(counted))
    except HookError:
        if count > MOST_PREFETCH_KEYS:
            raise _too_many_keys() from None
        raise


def _too_many_keys() -> HookError:
    return HookError(f"more than {MOST_PREFETCH_KEYS} keys in the prefetch", status=413)


def _decoded(body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        if not body.isascii():
            body.decode("utf-8")  # msgspec does not look into the strings that it skips
        return decoder.decode(body)
    except UnicodeDecodeError:
        raise HookError("body is not UTF-8") from None
    except RecursionError:
        raise HookError("body is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise HookError(_described(error)) from None
    except msgspec.DecodeError:
        raise HookError("body is not JSON") from None


def _described(error: msgspec.ValidationError) -> str:
    """What is wrong where; msgspec names types and members, and a value only of a wrong choice."""
    text = str(error)
    place = text.rpartition(" - at ")[2].strip("`") if " - at " in text else "$"
    if text.startswith("Object missing required field"):
        return f"{place}: {text.partition(' - at ')[0]}"
    return f"{place} is not what CDS Hooks asks for"


def _without(body: bytes, values: Collection[bytes]) -> bytes:
    """The body with the values cut out that stand in it in this order.

    Raises:
        HookError: what is left is too large, or the values stand in another order.
    """
    # By the lengths first: the search below is fast only where little stands between the values.
    if len(body) - sum(map(len, values)) > MOST_BESIDE_PREFETCH:
        raise HookError(
            f"more than {MOST_BESIDE_PREFETCH} bytes beside the values of the prefetch", status=413
        )
    kept: list[bytes] = []
    position = 0
    for value in values:
        start = body.find(value[:_HEAD], position)
        if start >= 0 and not body.startswith(value, start):
            # A text of thousands of false starts would take time by its square; this does not.
            start = body.find(value, start + 1)
        if start < 0:  # a key has its first place and its last value
            raise _said_twice()
        kept += [body[position:start], b"null"]
        position = start + len(value)
    return b"".join([*kept, body[position:]])


def _check_strictly(text: bytes) -> None:
    """Refuse the same key twice, and numbers beyond any use.

    Raises:
        HookError: either was found.
    """
    try:
        json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_number,
        )
    except RecursionError:
        raise HookError("body is nested too deeply") from None
    except ValueError:
        # What msgspec takes and Python's own reader does not is at least doubtful.
        raise HookError("body is not JSON") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _said_twice()
    return members


def _said_twice() -> HookError:
    return HookError("body has the same key twice")


def _number(text: str) -> None:
    if len(text) > _LONGEST_NUMBER or not math.isfinite(float(text)):
        _refuse_number()


def _refuse_number() -> NoReturn:
    raise HookError("body has a number that cannot be read")
