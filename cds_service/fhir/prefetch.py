"""What the EHR sent along with the hook, sorted by what it means for the chart; no network.

A prefetch key has four states, and a service must tell them apart (CDS Hooks 2.0, "prefetch
template"): a resource or search result is data; ``null`` is a query that found nothing; a missing
key is a query that nobody made; an OperationOutcome is a query that failed. The last two, and
anything that is not what the template asks for, leave the type unread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from cds_service.errors import FhirUnavailable, HookError
from cds_service.fhir.http.addresses import server_base
from cds_service.fhir.queries import PATIENT_KEY, SearchPlan
from cds_service.fhir.searchset import Found, Page, read_page, read_resource

_NULL: Final = msgspec.Raw(b"null")
_MISSING: Final = "not provided"
_TOO_MANY: Final = "provided with too many entries"
# All keys together. Each entry has a member of that name, and some resources have one of their own.
_MOST_ENTRIES: Final = 100_000
_MEMBER: Final = b'"resource"'
# Some EHRs wrap the results of their own several queries anew.
_KINDS: Final = frozenset({"searchset", "collection"})


class Unread(msgspec.Struct, frozen=True):
    """Nothing usable was sent of a type; ``reason`` says what was instead."""

    reason: str


class Prefetched(msgspec.Struct, frozen=True):
    """What was sent along; without arguments, nothing.

    Args:
        patient: the Patient, if it was sent.
        no_patient: why it was not.
        sent: by resource type, what was sent, not decoded: most patients are not relevant, and
            most of what was sent for them need not be looked at.
        not_sent: why any other type was not.
        bases: the ways in which the base URL of the server that holds it is written.
    """

    patient: Found | None = None
    no_patient: str = _MISSING
    sent: dict[str, msgspec.Raw] = {}
    not_sent: str = _MISSING
    bases: tuple[str, ...] = ()

    def bytes_of(self, resource_type: str) -> int:
        """How much was sent of a type."""
        raw = self.sent.get(resource_type)
        return 0 if raw is None else memoryview(raw).nbytes

    def page(self, resource_type: str) -> Page | Unread:
        """What was sent of a type; may be one page of several."""
        raw = self.sent.get(resource_type)
        if raw is None:
            return Unread(self.not_sent)
        if raw == _NULL:
            return Page()
        try:
            return read_page(raw, resource_type, _KINDS)
        except FhirUnavailable as error:
            return Unread(f"provided as {error}")


def read_prefetch(
    prefetch: Mapping[str, msgspec.Raw],
    plan: SearchPlan,
    patient_id: str,
    fhir_server: str | None = None,
) -> Prefetched:
    """Sort what the EHR sent; keys that the plan does not have are ignored.

    Beyond so many entries only the Patient counts: decoding them would take all the time there is.

    Args:
        prefetch: by key, what was sent.
        plan: the trial's searches.
        patient_id: the patient of the hook.
        fhir_server: the server that the hook names, whether or not it may be read. Its text alone
            is compared with references in full.

    Raises:
        HookError: the prefetched Patient is not the patient of the hook (status 412).
    """
    patient, no_patient = _patient(prefetch.get(PATIENT_KEY), patient_id)
    sent = {type_: prefetch[key] for key, type_ in plan.keys.items() if key in prefetch}
    bases = _spellings(fhir_server)
    if _too_many(sent.values()):
        return Prefetched(patient, no_patient, not_sent=_TOO_MANY, bases=bases)
    return Prefetched(patient, no_patient, sent, bases=bases)


def _spellings(fhir_server: str | None) -> tuple[str, ...]:
    """A server as it is named and in its plain form; nothing of what is no plain base URL."""
    plain = None if fhir_server is None else server_base(fhir_server)
    if fhir_server is None or plain is None:
        return ()
    return tuple(dict.fromkeys((plain, fhir_server.rstrip("/"))))


def _too_many(pages: Collection[msgspec.Raw]) -> bool:
    # Fewer bytes cannot hold so many.
    if sum(memoryview(raw).nbytes for raw in pages) < _MOST_ENTRIES * len(_MEMBER):
        return False
    return sum(bytes(raw).count(_MEMBER) for raw in pages) > _MOST_ENTRIES


def _patient(raw: msgspec.Raw | None, patient_id: str) -> tuple[Found | None, str]:
    """The patient, or why there is none."""
    if raw is None:
        return None, _MISSING
    if raw == _NULL:
        return None, "provided as unknown"
    try:
        found = read_resource(raw)
    except FhirUnavailable as error:
        return None, f"provided as {error}"
    if found.resource_type != "Patient" or not found.id:
        return None, "provided as something else"
    if found.id != patient_id:
        raise HookError(
            "prefetch.patient is not the patient of the context", status=412, reason="other-patient"
        )
    return found, ""
