"""Endpoints that do nothing with a body but parse it: what the hook is measured against.

Run as a process of its own (``python -m benchmarks.nothing PORT``), served as the service is.

- ``/unparsed``: the body is read and left alone.
- ``/msgspec``: decoded into what tells whose and what each resource is, the rest skipped.
- ``/orjson``: decoded into dicts.

With ``tuned`` as last argument its garbage collector is set as the service sets its own.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class _Coding(msgspec.Struct):
    system: str | None = None
    code: str | None = None


class _Concept(msgspec.Struct):
    coding: list[_Coding] | None = None


class _Reference(msgspec.Struct):
    reference: str | None = None


class _Resource(msgspec.Struct, rename="camel"):
    resource_type: str
    id: str | None = None
    subject: _Reference | None = None
    code: _Concept | None = None
    entry: list[_Entry] | None = None


class _Entry(msgspec.Struct):
    resource: _Resource


class _Hook(msgspec.Struct, rename="camel"):
    hook: str
    hook_instance: str
    prefetch: dict[str, _Resource] | None = None


_DECODER = msgspec.json.Decoder(_Hook)
_CARDS = b'{"cards":[]}'


def _answer() -> Response:
    return Response(_CARDS, media_type="application/json")


async def _unparsed(request: Request) -> Response:
    await request.body()
    return _answer()


async def _msgspec(request: Request) -> Response:
    hook = _DECODER.decode(await request.body())
    assert hook.prefetch
    return _answer()


async def _orjson(request: Request) -> Response:
    assert orjson.loads(await request.body())["prefetch"]
    return _answer()


def application(*, tuned: bool) -> Starlette:
    """The endpoints; ``tuned`` takes the service's own set-up of the garbage collector."""
    return Starlette(
        routes=[
            Route("/unparsed", _unparsed, methods=["POST"]),
            Route("/msgspec", _msgspec, methods=["POST"]),
            Route("/orjson", _orjson, methods=["POST"]),
        ],
        lifespan=_tuned if tuned else None,
    )


@asynccontextmanager
async def _tuned(_app: Starlette) -> AsyncIterator[None]:
    # Imported only here: what the service loads would burden the collector of the other process.
    from cds_service import app  # noqa: PLC0415
    from cds_service.operations.garbage import few_collections  # noqa: PLC0415

    assert app
    with few_collections():
        yield


if __name__ == "__main__":
    uvicorn.run(
        application(tuned=sys.argv[2:] == ["tuned"]),
        port=int(sys.argv[1]),
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )
