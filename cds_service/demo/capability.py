"""What the demo's FHIR server says of itself, derived from the tables that it works by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cds_service.demo.search_params import PARAMS, Resource

ORDERS = "ServiceRequest"
"""The one type that can be created: accepted suggestions become orders."""


def capability_statement(started: datetime, base: str, *, allow_update: bool) -> Resource:
    """The server's CapabilityStatement.

    Args:
        started: since when the server runs.
        base: the server's base URL as the caller knows it.
        allow_update: whether ``PUT`` is on.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": started.isoformat(timespec="seconds"),
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "implementation": {
            "description": "Demo server with synthetic patients, in memory",
            "url": base,
        },
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(kind, allow_update=allow_update) for kind in PARAMS],
            }
        ],
    }


def _resource(kind: str, *, allow_update: bool) -> dict[str, Any]:
    interactions = ["read", "search-type"]
    interactions += ["create"] if kind == ORDERS else []
    interactions += ["update"] if allow_update else []
    params = PARAMS[kind]
    includes = [f"{kind}:{name}" for name, param in params.items() if param.kind == "reference"]
    described: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in interactions],
        "updateCreate": allow_update,
        "searchParam": [
            {"name": "_id", "type": "token"},
            *({"name": name, "type": param.kind} for name, param in params.items()),
        ],
    }
    return described | ({"searchInclude": includes} if includes else {})
