"""The search parameters that the demo's FHIR server knows, by resource type.

R4's own names, so that what works here works on any R4 server. The server's CapabilityStatement is
made from this table. Source: https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cds_service.errors import InputError

Resource = dict[str, Any]
Kind = Literal["token", "reference", "date", "string"]


class RequestRefused(InputError):
    """The demo's FHIR server cannot do what a request asks.

    Args:
        message: what is wrong, for the caller.
        status: the HTTP status to answer with.
        code: the OperationOutcome's issue type.
    """

    def __init__(self, message: str, *, status: int = 400, code: str = "invalid") -> None:
        self.status = status
        self.code = code
        super().__init__(message)


@dataclass(frozen=True)
class Param:
    """A search parameter.

    Args:
        kind: how its value is compared.
        paths: the elements it is compared with; a dot goes into an object.
    """

    kind: Kind
    paths: tuple[str, ...]


def _token(*paths: str) -> Param:
    return Param("token", paths)


def _date(*paths: str) -> Param:
    return Param("date", paths)


_SUBJECT = Param("reference", ("subject",))
_OF_SUBJECT = {"patient": _SUBJECT, "subject": _SUBJECT, "identifier": _token("identifier")}
_OF_PATIENT = {"patient": Param("reference", ("patient",)), "identifier": _token("identifier")}
_CODED = {"code": _token("code"), "category": _token("category"), "status": _token("status")}
_MEDICATION = {
    "code": _token("medicationCodeableConcept"),
    "medication": Param("reference", ("medicationReference",)),
    "status": _token("status"),
}
_EFFECTIVE = _date("effectiveDateTime", "effectivePeriod", "effectiveInstant")
_NAMED = {"name": Param("string", ("name",)), "identifier": _token("identifier")}

PARAMS: Mapping[str, Mapping[str, Param]] = {
    "AdverseEvent": {"subject": _SUBJECT, "date": _date("date"), "category": _token("category")},
    "AllergyIntolerance": {**_OF_PATIENT, "code": _token("code"), "date": _date("recordedDate")},
    "Condition": {
        **_OF_SUBJECT,
        "code": _token("code"),
        "category": _token("category"),
        "clinical-status": _token("clinicalStatus"),
        "verification-status": _token("verificationStatus"),
        "onset-date": _date("onsetDateTime", "onsetPeriod"),
        "recorded-date": _date("recordedDate"),
    },
    "Consent": {
        **_OF_PATIENT,
        "category": _token("category"),
        "status": _token("status"),
        "date": _date("dateTime"),
    },
    "DiagnosticReport": {**_OF_SUBJECT, **_CODED, "date": _EFFECTIVE},
    "Encounter": {
        **_OF_SUBJECT,
        "status": _token("status"),
        "class": _token("class"),
        "date": _date("period"),
    },
    "ImagingStudy": {
        **_OF_SUBJECT,
        "status": _token("status"),
        "modality": _token("modality", "series.modality"),
        "started": _date("started"),
    },
    "Medication": {
        "code": _token("code"),
        "status": _token("status"),
        "identifier": _token("identifier"),
    },
    "MedicationAdministration": {**_OF_SUBJECT, **_MEDICATION, "effective-time": _EFFECTIVE},
    "MedicationDispense": {**_OF_SUBJECT, **_MEDICATION, "whenhandedover": _date("whenHandedOver")},
    "MedicationRequest": {
        **_OF_SUBJECT,
        **_MEDICATION,
        "category": _token("category"),
        "intent": _token("intent"),
        "authoredon": _date("authoredOn"),
    },
    "MedicationStatement": {
        **_OF_SUBJECT,
        **_MEDICATION,
        "category": _token("category"),
        "effective": _EFFECTIVE,
    },
    "Observation": {**_OF_SUBJECT, **_CODED, "date": _EFFECTIVE},
    "Organization": dict(_NAMED),
    "Patient": {
        **_NAMED,
        "family": Param("string", ("name.family",)),
        "given": Param("string", ("name.given",)),
        "gender": _token("gender"),
        "birthdate": _date("birthDate"),
    },
    "Practitioner": dict(_NAMED),
    "Procedure": {**_OF_SUBJECT, **_CODED, "date": _date("performedDateTime", "performedPeriod")},
    "ServiceRequest": {
        **_OF_SUBJECT,
        **_CODED,
        "intent": _token("intent"),
        "authored": _date("authoredOn"),
    },
    "Specimen": {**_OF_SUBJECT, "status": _token("status"), "type": _token("type")},
}

_ID = Param("token", ("id",))


def param_of(kind: str, name: str) -> Param:
    """The definition of a search parameter.

    Raises:
        RequestRefused: the type has no such parameter here.
    """
    param = _ID if name == "_id" else PARAMS[kind].get(name)
    if param is None:
        raise RequestRefused(
            f"{kind} cannot be searched by {name!r} here; see /metadata", code="not-supported"
        )
    return param
