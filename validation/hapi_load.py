"""Loads charts into a FHIR server as they are, under their own ids.

What the file refers to by ``urn:uuid:`` gets the reference that it has on the server. References to
what is not in the file (Synthea names practitioners and hospitals by a search) lose their target:
the server would refuse the whole chart for them, and the service does not follow them. Numbers keep
all their digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import httpx2
import msgspec
import stamina

from cds_service.fhir.chart import CHART_TYPES

Json = dict[str, Any]

# What the service may ask for. Claims and the like would be most of what the server has to store.
LOADED_TYPES: Final = frozenset({*CHART_TYPES, "Medication", "Patient"})
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_FHIR_JSON: Final = "application/fhir+json"
# One transaction holds a row lock on what it writes, and its size is memory on the server.
_AT_ONCE: Final = 400
# HAPI's web server cuts a connection on which nothing came for 30 s, as on a busy machine. What is
# put twice is there once.
_ATTEMPTS: Final = 4


def load_chart(client: httpx2.Client, base_url: str, chart: bytes) -> set[str]:
    """Put every resource of a chart that the service may ask for on a server.

    Returns:
        Their addresses, ``Type/id``.

    Raises:
        httpx2.HTTPStatusError: the server does not take them.
        httpx2.TransportError: it does not answer.
    """
    resources = loadable(chart)
    for at in range(0, len(resources), _AT_ONCE):
        some = resources[at : at + _AT_ONCE]
        _send(client, base_url, _ENCODER.encode(_transaction(some)))
    return {_address(one) for one in resources}


@stamina.retry(on=httpx2.TransportError, attempts=_ATTEMPTS, timeout=None)
def _send(client: httpx2.Client, base_url: str, transaction: bytes) -> None:
    headers = {"Content-Type": _FHIR_JSON, "Prefer": "return=minimal"}
    client.post(base_url, content=transaction, headers=headers).raise_for_status()


def loadable(chart: bytes) -> list[Json]:
    """The resources of a chart, referring to one another as on a server; the patient first."""
    entries: list[Json] = _DECODER.decode(chart)["entry"]
    addresses = {
        entry["fullUrl"]: _address(entry["resource"])
        for entry in entries
        if entry.get("fullUrl", "").startswith("urn:")
    }
    loaded = [
        _readdressed(entry["resource"], addresses)
        for entry in entries
        if entry["resource"]["resourceType"] in LOADED_TYPES
    ]
    return sorted(loaded, key=lambda resource: resource["resourceType"] != "Patient")


def _transaction(resources: list[Json]) -> Json:
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": _address(one)}} for one in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _address(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _readdressed(value: Any, addresses: Mapping[str, str]) -> Any:
    """A copy of a JSON value with its references as they are on the server."""
    if isinstance(value, list):
        return [_readdressed(one, addresses) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _readdressed(one, addresses) for name, one in value.items()}
    target = found.get("reference")
    if not isinstance(target, str) or target.startswith("#"):
        return found
    if "?" in target or (target.startswith("urn:") and target not in addresses):
        return {name: one for name, one in found.items() if name != "reference"}
    return {**found, "reference": addresses.get(target, target)}
