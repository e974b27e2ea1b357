"""Reads a request's body within a size and a time, before anything looks at it."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from cds_service.errors import HookError

_JSON_TYPES = frozenset({"application/json", "application/fhir+json"})
_LONGEST_LENGTH = 18


async def read_body(request: Request, *, most_bytes: int, within_s: float) -> bytes:
    """The body of a JSON request.

    Args:
        request: the request.
        most_bytes: the largest body; no more than this is kept, whatever the header says.
        within_s: the time in which all of it must have come.

    Raises:
        HookError: not JSON by its type, compressed, too large, or too slow.
    """
    _check_headers(request, most_bytes)
    try:
        async with asyncio.timeout(within_s):
            return await _collected(request, most_bytes)
    except TimeoutError:
        raise HookError("the body did not come in time", status=408) from None
    except ClientDisconnect:
        raise HookError("the body did not come to its end") from None


def _check_headers(request: Request, most_bytes: int) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON_TYPES:
        raise HookError("Content-Type must be application/json", status=415)
    # 200 kB of gzip can be 200 MB of JSON, and CDS Hooks does not ask for compression.
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HookError("a body with a Content-Encoding is not read", status=415)
    length = request.headers.get("content-length", "").lstrip("0")
    # By its digits first: Python refuses to read a number of thousands of them.
    if length.isdecimal() and (len(length) > _LONGEST_LENGTH or int(length) > most_bytes):
        raise _too_large(most_bytes)


async def _collected(request: Request, most_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise _too_large(most_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(most_bytes: int) -> HookError:
    return HookError(f"the body is larger than {most_bytes} bytes", status=413)
