"""One patient's Bundle while it is enriched: resources by id, stable ids, plain references."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from validation.decisions import Event

Resource = dict[str, Any]

SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC: Final = "http://www.whocc.no/atc"
UCUM: Final = "http://unitsofmeasure.org"
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_CONDITIONAL: Final = re.compile(r"^[A-Za-z]+\?identifier=(?P<system>[^|]*)\|(?P<value>.*)$")


def coded(system: str, code: str, display: str) -> Resource:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}]}


class Chart:
    """The resources of one patient.

    Args:
        bundle: as Synthea exported it.
        patient: the patient's id.
    """

    def __init__(self, bundle: Mapping[str, Any], patient: str) -> None:
        self.patient = patient
        self._resources: dict[str, Resource] = {
            entry["resource"]["id"]: entry["resource"] for entry in bundle["entry"]
        }

    def of(self, event: Event) -> Resource:
        """The resource that Synthea made of an event."""
        return self._resources[event.resource]

    def all(self, kind: str) -> list[Resource]:
        """The resources of one type."""
        return [item for item in self._resources.values() if item["resourceType"] == kind]

    def the_patient(self) -> Resource:
        """The Patient."""
        return self._resources[self.patient]

    def add(self, name: str, kind: str, content: Resource) -> Resource:
        """Add a resource; its id follows from the patient and the name: the same every time."""
        identity = str(uuid5(NAMESPACE_URL, f"urn:net-retreat:{self.patient}:{name}"))
        resource = {
            "resourceType": kind,
            "id": identity,
            **content,
            "subject": {"reference": f"Patient/{self.patient}"},
        }
        self._resources[identity] = resource
        return resource

    def remove(self, resource: Resource) -> None:
        """Take a resource out."""
        del self._resources[resource["id"]]

    def medication_of(self, order: Resource) -> Resource:
        """The drug of an order: Synthea puts some into a Medication of their own."""
        if "medicationCodeableConcept" in order:
            concept: Resource = order["medicationCodeableConcept"]
            return concept
        identity = order["medicationReference"]["reference"].removeprefix("urn:uuid:")
        code: Resource = self._resources[identity]["code"]
        return code

    def administration_of(self, order: Event) -> Resource | None:
        """The administration that Synthea wrote beside an order: same drug, same instant."""
        codings = self.medication_of(self.of(order))["coding"]
        for resource in self.all("MedicationAdministration"):
            same = resource["medicationCodeableConcept"].get("coding") == codings
            if same and resource["effectiveDateTime"] == order.at:
                return resource
        return None

    def state_drug(self, name: str, order: Event, content: Resource) -> None:
        """Add a MedicationStatement of the drug that was ordered."""
        drug = self.medication_of(self.of(order))
        self.add(
            f"statement:{name}",
            "MedicationStatement",
            {"medicationCodeableConcept": drug} | content,
        )

    def bundle(self) -> Resource:
        """A transaction Bundle that puts every resource under its own id, wherever it is loaded."""
        types = {identity: item["resourceType"] for identity, item in self._resources.items()}
        for resource in self._resources.values():
            for holder in _objects(resource):
                if isinstance(holder.get("reference"), str):
                    _make_plain(holder, types)
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": f"urn:uuid:{identity}",
                    "resource": resource,
                    "request": {"method": "PUT", "url": f"{resource['resourceType']}/{identity}"},
                }
                for identity, resource in self._resources.items()
            ],
        }


def _objects(value: Any) -> Iterator[Resource]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part)


def _make_plain(holder: Resource, types: Mapping[str, str]) -> None:
    """Make a reference name type and id; a search by identifier becomes that identifier."""
    reference = holder["reference"]
    identity = reference.removeprefix("urn:uuid:")
    conditional = _CONDITIONAL.match(reference)
    if identity in types:
        holder["reference"] = f"{types[identity]}/{identity}"
    elif conditional is not None:
        del holder["reference"]
        holder["identifier"] = conditional.groupdict()
