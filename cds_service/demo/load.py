"""Load the demo patients into any FHIR R4 server, under the same ids each time.

Synchronous, by fhirclient: its models hold what is sent to the R4 specification. For test servers
only: it overwrites whatever the server has under those ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib import import_module

from fhirclient.models.fhirabstractbase import FHIRValidationError
from fhirclient.models.resource import Resource as FhirResource
from fhirclient.server import (
    FHIRNotFoundException,
    FHIRPermissionDeniedException,
    FHIRServer,
    FHIRUnauthorizedException,
)

from cds_service.demo.patients import Resource, load_demo_resources
from cds_service.errors import FhirUnavailable

_REFUSALS = (
    OSError,  # the base of every error of the HTTP library, statuses of 400 and above included
    FHIRNotFoundException,
    FHIRPermissionDeniedException,
    FHIRUnauthorizedException,
)
# Servers that hold references to be whole (HAPI does) must have what is pointed at first.
_LOAD_FIRST = ("Practitioner", "Patient", "Medication")


def load(base_url: str, today: date) -> int:
    """Put every demo resource on a server; those that are not valid R4 stay out.

    Args:
        base_url: the FHIR server's base URL.
        today: the day that the charts' dates are counted from.

    Returns:
        How many resources the server now has of them.

    Raises:
        FhirUnavailable: the server cannot be reached, or does not take one of them.
    """
    return load_resources(base_url, load_demo_resources(today))


def load_resources(base_url: str, resources: Sequence[Resource]) -> int:
    """Put the given resources on a server, as `load` does."""
    server = FHIRServer(None, base_uri=base_url)
    models = [model for resource in resources if (model := read_model(resource)) is not None]
    models = [
        model for model in models if _is_whole(model, {_reference(model) for model in models})
    ]
    for model in sorted(models, key=_load_order):
        _put(server, model)
    return len(models)


def read_model(resource: Resource) -> FhirResource | None:
    """A resource as its R4 model; None if it is not valid R4, as some messy ones are on purpose."""
    kind = resource["resourceType"]
    model_type = getattr(import_module(f"fhirclient.models.{kind.lower()}"), kind)
    try:
        model: FhirResource = model_type(resource)
    except FHIRValidationError:
        return None
    return model


def _is_whole(model: FhirResource, known: set[str]) -> bool:
    """Whether the resource's subject is loaded too: another patient's strays would be refused."""
    subject = getattr(model, "subject", None) or getattr(model, "patient", None)
    return subject is None or subject.reference in known


def _load_order(model: FhirResource) -> tuple[int, int]:
    kind = model.resource_type
    first = _LOAD_FIRST.index(kind) if kind in _LOAD_FIRST else len(_LOAD_FIRST)
    # A finding that is part of a procedure comes after it.
    return first, int(bool(getattr(model, "partOf", None)))


def _put(server: FHIRServer, model: FhirResource) -> None:
    try:
        server.put_json(_reference(model), model.as_json())
    except _REFUSALS as error:
        raise FhirUnavailable(
            f"{_reference(model)} could not be loaded: {error.__class__.__name__}"
        ) from error


def _reference(model: FhirResource) -> str:
    return f"{model.resource_type}/{model.id}"
