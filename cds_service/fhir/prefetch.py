"""What the EHR sent along with the hook, sorted by what it means for the chart; no network.

A prefetch key has four states, and a service must tell them apart (CDS Hooks 2.0, "prefetch
template"): a resource or search result is data; ``null`` is a query that found nothing; a missing
key is a query that nobody made; an OperationOutcome is a query that failed. The last two, and
anything that is not what the template asks for, leave the type unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from cds_service.errors import FhirUnavailable, HookError
from cds_service.fhir.queries import PATIENT_KEY, SearchPlan
from cds_service.fhir.searchset import Found, Page, read_page, read_resource

_NULL: Final = msgspec.Raw(b"null")
MISSING: Final = "not provided"
# Some EHRs wrap the results of their own several queries anew.
_KINDS: Final = frozenset({"searchset", "collection"})


class Prefetched(msgspec.Struct, frozen=True):
    """What was sent along; without arguments, nothing.

    Args:
        patient: the Patient, if it was sent.
        no_patient: why it was not.
        pages: by resource type, what was sent; may be one page of several.
        unread: by resource type, why what was sent cannot be used.
    """

    patient: Found | None = None
    no_patient: str = MISSING
    pages: dict[str, Page] = {}
    unread: dict[str, str] = {}


def read_prefetch(
    prefetch: Mapping[str, msgspec.Raw], plan: SearchPlan, patient_id: str
) -> Prefetched:
    """Sort what the EHR sent; keys that the plan does not have are ignored.

    Raises:
        HookError: the prefetched Patient is not the patient of the hook (status 412).
    """
    patient, no_patient = _patient(prefetch.get(PATIENT_KEY), patient_id)
    pages: dict[str, Page] = {}
    unread: dict[str, str] = {}
    for key, resource_type in plan.keys.items():
        if key not in prefetch:
            continue
        try:
            pages[resource_type] = _page(prefetch[key], resource_type)
        except FhirUnavailable as error:
            unread[resource_type] = f"provided as {error}"
    return Prefetched(patient, no_patient, pages, unread)


def _page(raw: msgspec.Raw, resource_type: str) -> Page:
    return Page() if raw == _NULL else read_page(raw, resource_type, _KINDS)


def _patient(raw: msgspec.Raw | None, patient_id: str) -> tuple[Found | None, str]:
    """The patient, or why there is none."""
    if raw is None:
        return None, MISSING
    if raw == _NULL:
        return None, "provided as unknown"
    try:
        found = read_resource(raw)
    except FhirUnavailable as error:
        return None, f"provided as {error}"
    if found.resource_type != "Patient" or not found.id:
        return None, "provided as something else"
    if found.id != patient_id:
        raise HookError("prefetch.patient is not the patient of the context", status=412)
    return found, ""
