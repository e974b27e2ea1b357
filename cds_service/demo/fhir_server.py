"""The demo's FHIR R4 server: read, search with paging, and the creation of orders, all in memory.

Enough for the service and for a browser EHR to behave as they would against a hospital's server.
Not a general FHIR server, and never for real charts: it knows no users. It logs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from fhirclient.models.fhirabstractbase import FHIRValidationError
from fhirclient.models.servicerequest import ServiceRequest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_service.demo.capability import ORDERS, capability_statement
from cds_service.demo.search import elements_at, find_resources
from cds_service.demo.search_params import PARAMS, RequestRefused, Resource, param_of

DEFAULT_PAGE = 50
LARGEST_PAGE = 200
LARGEST_BODY = 256 * 1024

_OFFSET = "_offset"
_FORMATS = {"json", "application/json", "application/fhir+json"}


@dataclass(frozen=True)
class _Query:
    """A search request, its control parameters taken out."""

    filters: Sequence[tuple[str, str]]
    sort: str
    includes: Sequence[str]
    count: int
    offset: int

    def link(self, address: str, offset: int) -> str:
        """The address of one page of this search."""
        pairs = [*self.filters, *(("_include", include) for include in self.includes)]
        pairs += [("_sort", self.sort)] if self.sort else []
        pairs += [("_count", str(self.count))] + ([(_OFFSET, str(offset))] if offset else [])
        return f"{address}?{urlencode(pairs)}"


class _Store:
    """Resources by type and id, in the order in which they came."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._by_type: dict[str, dict[str, Resource]] = {kind: {} for kind in PARAMS}
        for resource in resources:
            self.put(resource)

    def put(self, resource: Resource) -> bool:
        """Keep a resource; says whether it is a new one."""
        kept = self.of_type(resource["resourceType"])
        is_new = resource["id"] not in kept
        kept[resource["id"]] = resource
        return is_new

    def of_type(self, kind: str) -> dict[str, Resource]:
        """The resources of one type.

        Raises:
            RequestRefused: the server does not have that type.
        """
        if kind not in self._by_type:
            raise RequestRefused(
                f"no resource type {kind!r} here", status=404, code="not-supported"
            )
        return self._by_type[kind]

    def get(self, reference: str) -> Resource | None:
        """The resource that a relative reference names, if it is here."""
        kind, _, identity = reference.partition("/")
        return self._by_type.get(kind, {}).get(identity)


def fhir_app(resources: Iterable[Resource], *, allow_update: bool = False) -> Starlette:
    """A FHIR R4 server over the given resources.

    Args:
        resources: what it holds; types that `PARAMS` does not list are refused.
        allow_update: accept ``PUT`` of any resource too, as a server to load charts into does.
    """
    server = _Server(resources, allow_update=allow_update)
    update = [Route("/{kind}/{identity}", server.update, methods=["PUT"])] if allow_update else []
    return Starlette(
        routes=[
            Route("/metadata", server.metadata, methods=["GET"]),
            Route("/{kind}/_search", server.search, methods=["GET", "POST"]),
            Route("/{kind}/{identity}", server.read, methods=["GET"]),
            *update,
            Route("/{kind}", server.search, methods=["GET"]),
            Route("/{kind}", server.create, methods=["POST"]),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "POST", "PUT"],
                allow_headers=["*"],
                expose_headers=["Location"],
            )
        ],
        exception_handlers={RequestRefused: _refused, HTTPException: _http_error},
    )


class _Server:
    """The HTTP interactions over one store."""

    def __init__(self, resources: Iterable[Resource], *, allow_update: bool) -> None:
        self._store = _Store(resources)
        self._allow_update = allow_update
        self._started = datetime.now(UTC)

    async def metadata(self, request: Request) -> Response:
        return _fhir(
            capability_statement(self._started, _base(request), allow_update=self._allow_update)
        )

    async def read(self, request: Request) -> Response:
        kind, identity = request.path_params["kind"], request.path_params["identity"]
        resource = self._store.of_type(kind).get(identity)
        if resource is None:
            raise RequestRefused(f"{kind}/{identity} is not here", status=404, code="not-found")
        return _fhir(resource)

    async def search(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        if request.method == "POST":
            pairs += parse_qsl(
                (await _body(request)).decode("utf-8", "replace"), keep_blank_values=True
            )
        query = _read_query(pairs)
        found = find_resources(kind, self._store.of_type(kind).values(), query.filters, query.sort)
        return _fhir(self._page(kind, found, query, _base(request)))

    async def create(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        self._store.of_type(kind)
        if kind != ORDERS:
            raise RequestRefused(
                f"only {ORDERS} can be created here", status=405, code="not-supported"
            )
        order = _read_order(await _resource(request, kind))
        if self._store.get(order["subject"].get("reference", "")) is None:
            raise RequestRefused("the order's subject is not here", status=422, code="not-found")
        order |= {
            "id": str(uuid4()),
            "meta": {"lastUpdated": datetime.now(UTC).isoformat(timespec="seconds")},
        }
        self._store.put(order)
        return _fhir(order, 201, {"Location": f"{_base(request)}/{kind}/{order['id']}"})

    async def update(self, request: Request) -> Response:
        kind, identity = request.path_params["kind"], request.path_params["identity"]
        self._store.of_type(kind)
        resource = await _resource(request, kind)
        if resource.get("id") != identity:
            raise RequestRefused("the resource's id is not the one in the address")
        is_new = self._store.put(resource)
        return _fhir(
            resource, 201 if is_new else 200, {"Location": f"{_base(request)}/{kind}/{identity}"}
        )

    def _page(self, kind: str, found: list[Resource], query: _Query, base: str) -> Resource:
        address = f"{base}/{kind}"
        page = found[query.offset : query.offset + query.count]
        links = [{"relation": "self", "url": query.link(address, query.offset)}]
        if query.offset + query.count < len(found):
            links.append(
                {"relation": "next", "url": query.link(address, query.offset + query.count)}
            )
        entries = [_entry(base, resource, "match") for resource in page]
        entries += [
            _entry(base, resource, "include")
            for resource in self._included(kind, page, query.includes)
        ]
        bundle: Resource = {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(found),
            "link": links,
        }
        return bundle | ({"entry": entries} if entries else {})

    def _included(self, kind: str, page: list[Resource], includes: Sequence[str]) -> list[Resource]:
        references: dict[str, None] = {}
        for include in includes:
            for path in _include_paths(kind, include):
                for resource in page:
                    references |= {
                        str(found): None for found in elements_at(resource, f"{path}.reference")
                    }
        return [
            target for reference in references if (target := self._store.get(reference)) is not None
        ]


def _include_paths(kind: str, include: str) -> tuple[str, ...]:
    source, _, name = include.partition(":")
    param = param_of(kind, name.partition(":")[0])
    if source != kind or param.kind != "reference":
        raise RequestRefused(
            f"cannot include {include!r} in a search of {kind}", code="not-supported"
        )
    return param.paths


def _read_query(pairs: Sequence[tuple[str, str]]) -> _Query:
    control = {"_count": str(DEFAULT_PAGE), _OFFSET: "0", "_sort": "", "_format": "json"}
    control |= {name: value for name, value in pairs if name in control}
    if control["_format"] not in _FORMATS:
        raise RequestRefused("this server answers in JSON only", status=406, code="not-supported")
    return _Query(
        filters=[
            (name, value) for name, value in pairs if name not in control and name != "_include"
        ],
        sort=control["_sort"],
        includes=[value for name, value in pairs if name == "_include"],
        count=min(_whole_number("_count", control["_count"]), LARGEST_PAGE),
        offset=_whole_number(_OFFSET, control[_OFFSET], least=0),
    )


def _whole_number(name: str, text: str, least: int = 1) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
        raise RequestRefused(f"{name} is not a whole number of at least {least}")
    return int(text)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise RequestRefused("the body is too large", status=413, code="too-long")
    return body


async def _resource(request: Request, kind: str) -> Resource:
    try:
        resource = json.loads(await _body(request))
    except (ValueError, RecursionError) as error:
        raise RequestRefused("the body is not JSON", code="structure") from error
    if not isinstance(resource, dict) or resource.get("resourceType") != kind:
        raise RequestRefused(f"the body is not a {kind}", code="structure")
    return resource


def _read_order(resource: Resource) -> Resource:
    try:
        order: Resource = ServiceRequest(resource).as_json() or {}
    except FHIRValidationError as error:
        raise RequestRefused(
            f"not a valid R4 {ORDERS}: {error}", status=422, code="invariant"
        ) from error
    return order


def _base(request: Request) -> str:
    # Like most servers, absolute links follow the address that the caller used.
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def _entry(base: str, resource: Resource, mode: str) -> Resource:
    address = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": resource, "search": {"mode": mode}}


def _fhir(
    resource: Resource, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    body = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
    shared = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(body, status, {**shared, **(headers or {})}, "application/fhir+json")


def _outcome(
    message: str, code: str, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    issue = {"severity": "error", "code": code, "diagnostics": message}
    return _fhir({"resourceType": "OperationOutcome", "issue": [issue]}, status, headers)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestRefused):
        raise error
    return _outcome(str(error), error.code, error.status)


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = "not-found" if error.status_code == 404 else "not-supported"
    return _outcome(error.detail, code, error.status_code, error.headers)
