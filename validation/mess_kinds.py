"""What each kind of mess does to one resource. Pure: nothing is drawn here.

No function changes its argument.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

Json = dict[str, Any]

LOCAL_SYSTEM: Final = "https://hospital.example/codes"
_SERVER: Final = "https://ehr.example/fhir"
_WHOLE_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(T.+)?")
# FHIR `instant`s: whole by definition.
_INSTANTS: Final = frozenset({"issued", "lastUpdated", "timestamp", "effectiveInstant"})
# Concepts that say what a resource is about. Status codes and the like are fixed by FHIR itself.
_ABOUT: Final = frozenset(
    {
        *("code", "valueCodeableConcept", "medicationCodeableConcept", "bodySite", "method"),
        *("usedCode", "procedureCode", "conclusionCode", "summary", "itemCodeableConcept"),
        *("event", "policyRule"),
    }
)
_DRUG: Final = frozenset({"medicationCodeableConcept", "itemCodeableConcept"})
_STATEMENT_STATUS: Final = {
    "completed": "completed",
    "stopped": "stopped",
    "in-progress": "active",
    "not-done": "not-taken",
    "entered-in-error": "entered-in-error",
}
# Of the dates that are cut, this share loses the month as well.
_YEAR_ONLY: Final = 1 / 3


def _changed(value: Any, change: Callable[[str, Json], Json], key: str = "") -> Any:
    """A copy of a JSON value in which each object is what ``change`` makes of it and its key."""
    if isinstance(value, list):
        return [_changed(one, change, key) for one in value]
    if not isinstance(value, dict):
        return value
    return change(key, {name: _changed(held, change, name) for name, held in value.items()})


def without_units(resource: Json) -> Json:
    """Every number loses its unit, those of the reference range too."""

    def change(_: str, held: Json) -> Json:
        if "value" not in held or not held.keys() & {"unit", "code"}:
            return held
        return {name: one for name, one in held.items() if name not in {"unit", "system", "code"}}

    changed: Json = _changed(resource, change)
    return changed


def without_ranges(resource: Json) -> Json:
    """Reference ranges are gone."""
    changed: Json = _changed(
        resource, lambda _, held: {k: v for k, v in held.items() if k != "referenceRange"}
    )
    return changed


def with_partial_dates(resource: Json, draw: float, zone: tzinfo) -> Json:
    """Every date loses its day, or its day and month, as it is in the site's time zone."""
    length = 4 if draw < _YEAR_ONLY else 7

    def change(_: str, held: Json) -> Json:
        return {name: _cut(name, one, length, zone) for name, one in held.items()}

    changed: Json = _changed(resource, change)
    return changed


def _cut(name: str, value: Any, length: int, zone: tzinfo) -> Any:
    if not isinstance(value, str) or name in _INSTANTS or not _WHOLE_DATE.fullmatch(value):
        return value
    if "T" not in value:
        return value[:length]
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo is None else moment.astimezone(zone)).isoformat()[:length]


def with_local_codes(resource: Json) -> Json:
    """Codes are the hospital's own; the words stay."""

    def change(key: str, held: Json) -> Json:
        if key not in _ABOUT or not isinstance(held.get("coding"), list):
            return held
        digest = hashlib.blake2b(repr(held["coding"]).encode(), digest_size=3).hexdigest()
        local = {"system": LOCAL_SYSTEM, "code": f"L{digest.upper()}"}
        return {**held, "coding": [local], "text": _words(held)}

    changed: Json = _changed(resource, change)
    return changed


def with_drug_in_words(resource: Json) -> Json:
    """A drug has no code, only its name."""
    is_medication = resource.get("resourceType") == "Medication"

    def change(key: str, held: Json) -> Json:
        of_drug = key in _DRUG or (key == "code" and is_medication)
        if not of_drug and held.get("resourceType") != "Medication":
            return held
        if isinstance(held.get("code"), dict):
            return {**held, "code": _in_words(held["code"])}
        return _in_words(held) if of_drug else held

    changed: Json = _changed(resource, change)
    return changed


def _in_words(concept: Json) -> Json:
    kept = {name: one for name, one in concept.items() if name != "coding"}
    return {**kept, "text": _words(concept)}


def _words(concept: Json) -> str:
    """The words of a concept; where there are none a person would see its code."""
    codings = concept.get("coding") or [{}]
    shown = [one.get("display") for one in codings] + [one.get("code") for one in codings]
    return str(concept.get("text") or next((one for one in shown if one), "unnamed"))


def copied(entry: Json, draw: float) -> Json:
    """The same event as another record, half the time by another type where there is one."""
    resource: Json = {**entry["resource"], "id": f"{entry['resource'].get('id', '')}-copy"}
    if resource["resourceType"] == "MedicationAdministration" and draw < 0.5:
        resource = _as_statement(resource)
    url = entry.get("fullUrl")
    return {"fullUrl": f"{url}-copy", "resource": resource} if url else {"resource": resource}


def _as_statement(given: Json) -> Json:
    """A MedicationAdministration as the MedicationStatement that another system would hold."""
    kept = ("id", "subject", "medicationCodeableConcept", "medicationReference", "contained")
    dated = ("effectiveDateTime", "effectivePeriod")
    found = {name: given[name] for name in (*kept, *dated) if name in given}
    status = _STATEMENT_STATUS.get(given.get("status", ""), "unknown")
    dose = (given.get("dosage") or {}).get("dose")
    dosage = {"dosage": [{"doseAndRate": [{"doseQuantity": dose}]}]} if dose else {}
    return {"resourceType": "MedicationStatement", "status": status, **found, **dosage}


def cut_searches(patient: str, entries: list[Json], lost: Mapping[str, float]) -> Json:
    """A chart as the answers of a server to a batch of searches, some of them cut.

    Args:
        lost: types of which some are missing, with a draw that says how the server tells: by a
            next page that is not there, or by an error among the results.
    """
    types: dict[str, list[Json]] = {type_: [] for type_ in sorted(lost)}
    for entry in entries:
        types.setdefault(entry["resource"]["resourceType"], []).append(entry)
    answers = [
        {"resource": _searchset(patient, type_, found, lost.get(type_)), "response": _OK}
        for type_, found in types.items()
    ]
    return {"resourceType": "Bundle", "type": "batch-response", "entry": answers}


_OK: Final = {"status": "200 OK"}
_ERROR: Final[Json] = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "timeout", "diagnostics": "results were left out"}],
}


def _searchset(patient: str, type_: str, entries: list[Json], lost: float | None) -> Json:
    url = f"{_SERVER}/{type_}?patient={patient}"
    links = [{"relation": "self", "url": url}]
    found: list[Json] = [
        {name: entry[name] for name in ("fullUrl", "resource") if name in entry}
        for entry in entries
    ]
    if lost is not None and lost < 0.5:
        links.append({"relation": "next", "url": f"{url}&_page=2"})
    elif lost is not None:
        found.append({"resource": _ERROR, "search": {"mode": "outcome"}})
    return {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": found}
