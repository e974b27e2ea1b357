"""Which searches a trial needs, derived from its rules and the code tables; no network, no codes.

Two stages: what tells whether a chart is relevant at all, and the rest. Whole types are read where
a rule may conclude something from *not* finding a code (a drug known by its name only is a finding
too); Observations, of which a chart may hold tens of thousands, are searched for by the codes that
the rules name. The same plan gives the prefetch templates.

URLs are built by fhirclient's search builder, which checks no parameter's name and takes strings
only: the golden URLs in the tests are what holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec
from fhirclient.models.adverseevent import AdverseEvent
from fhirclient.models.condition import Condition
from fhirclient.models.consent import Consent
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.imagingstudy import ImagingStudy
from fhirclient.models.medication import Medication
from fhirclient.models.medicationadministration import MedicationAdministration
from fhirclient.models.medicationdispense import MedicationDispense
from fhirclient.models.medicationrequest import MedicationRequest
from fhirclient.models.medicationstatement import MedicationStatement
from fhirclient.models.observation import Observation
from fhirclient.models.procedure import Procedure

from cds_service.record.codes import CodeBook
from cds_service.trial.rules.model import Concept, ReadFrom, RuleModel
from cds_service.trial.schema import Trial

PATIENT_HERE: Final = "{{context.patientId}}"
PATIENT_KEY: Final = "patient"
MEDICATION_TYPES: Final = (
    "MedicationAdministration",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationDispense",
)

# Servers cap a page silently, many at 200 or below, and then give a next link; a client that
# prefetches often sends one page only, so that a template asks for more.
PAGE_SIZE: Final = "200"
PREFETCH_PAGE_SIZE: Final = "1000"
# Below the 8,000 octets that RFC 9110 (4.1) asks servers to support, base URL and proxies included.
LONGEST_URL: Final = 6_000
IDS_AT_ONCE: Final = 50

# HL7's own category codes (http://terminology.hl7.org/CodeSystem/observation-category). Results
# that only words identify are found neither among laboratory results nor among vital signs.
_CODED_CATEGORIES: Final = ("laboratory", "vital-signs")

_SEPARATOR: Final = re.compile(r"[\\|$,]")

_Model = Any  # fhirclient ships no types
_RELEVANCE: Final[Sequence[_Model]] = (
    *(Condition, MedicationAdministration, MedicationStatement),
    *(MedicationRequest, MedicationDispense, Procedure),
)
_REST: Final[Sequence[_Model]] = (DiagnosticReport, ImagingStudy, AdverseEvent, Consent)
_NEWEST_FIRST: Final = frozenset({"Observation", "DiagnosticReport"})

_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "conditions": "Condition",
        "medicationAdministrations": "MedicationAdministration",
        "medicationStatements": "MedicationStatement",
        "medicationRequests": "MedicationRequest",
        "medicationDispenses": "MedicationDispense",
        "procedures": "Procedure",
        "observations": "Observation",
        "diagnosticReports": "DiagnosticReport",
        "imagingStudies": "ImagingStudy",
        "adverseEvents": "AdverseEvent",
        "consents": "Consent",
    }
)


class Search(msgspec.Struct, frozen=True):
    """One search, for any patient.

    Args:
        resource_type: what it looks for.
        template: relative URL with :data:`PATIENT_HERE` for the patient's id.
        filter_name: the parameter without which the answer is about anyone.
        simpler: template to fall back on where the server does not do what this one asks (400).
        needed: False if the chart can be read without it, on a server that cannot do it.
    """

    resource_type: str
    template: str
    filter_name: str = "patient"
    simpler: str | None = None
    needed: bool = True

    def url(self, patient_id: str) -> str:
        """The relative URL for a patient."""
        return _for_patient(self.template, patient_id)

    def simpler_url(self, patient_id: str) -> str | None:
        """The relative URL to fall back on."""
        return None if self.simpler is None else _for_patient(self.simpler, patient_id)


class SearchPlan(msgspec.Struct, frozen=True):
    """What to read for a trial.

    Args:
        relevance: searches that tell whether the chart is relevant.
        rest: searches for a relevant chart.
        keys: resource type by prefetch key.
        templates: prefetch template by prefetch key, the patient's included.
    """

    relevance: tuple[Search, ...]
    rest: tuple[Search, ...]
    keys: dict[str, str]
    templates: dict[str, str]
    patient: str = f"Patient/{PATIENT_HERE}"

    def patient_url(self, patient_id: str) -> str:
        """The relative URL of the patient."""
        return _for_patient(self.patient, patient_id)


def plan(trial: Trial, book: CodeBook) -> SearchPlan:
    """Derive the searches from the trial's rules and the code tables.

    Raises:
        KeyError: a rule names a concept that the tables do not have.
    """
    concepts = observed_concepts(trial)
    values = _values(book.codes_of(sorted(concepts)))
    words_only = any(not book.codes_of((concept,)) for concept in concepts)
    templates = {_key_of(model): _template(model) for model in (*_RELEVANCE, *_REST)}
    observations = [*_by_code(values)]
    if values:
        templates[_key_of(Observation)] = _observations(PREFETCH_PAGE_SIZE)(values)
    if words_only:
        observations.append(_by_words())
    return SearchPlan(
        relevance=tuple(map(_whole_type, _RELEVANCE)),
        rest=(*observations, *map(_whole_type, _REST)),
        keys={key: type_ for key, type_ in _KEYS.items() if key in templates},
        templates={
            PATIENT_KEY: f"Patient/{PATIENT_HERE}",
            **{key: templates[key] for key in _KEYS if key in templates},
        },
    )


def prefetch_templates(plan: SearchPlan) -> dict[str, str]:
    """The ``prefetch`` member of the discovery answer.

    One template for each type, inside the subset that CDS Hooks recommends ("prefetch query
    restrictions"), each parameter once, since clients merge repeated ones.
    """
    return dict(plan.templates)


def observed_concepts(trial: Trial) -> frozenset[Concept]:
    """Every concept that a rule of the trial looks for among Observations."""
    found = (_marked(criterion.rule, "Observation") for criterion in trial.criteria)
    return frozenset(chain.from_iterable(found))


def medications(ids: Sequence[str]) -> Iterator[Search]:
    """Searches for Medication resources by id."""
    for at in range(0, len(ids), IDS_AT_ONCE):
        some = list(ids[at : at + IDS_AT_ONCE])
        url = _url(Medication, {"_id": {"$or": some}, "_count": PAGE_SIZE})
        yield Search("Medication", url, filter_name="_id")


def _marked(value: object, resource_type: str) -> Iterator[Concept]:
    """The concepts in the fields of a rule that are marked as read from a resource type."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from _marked(item, resource_type)
    if not isinstance(value, RuleModel):
        return
    fields = type(value).model_fields
    for name, part in value:
        if ReadFrom(resource_type) in fields[name].metadata:
            yield from _strings(part)
        else:
            yield from _marked(part, resource_type)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _strings(item)


def _whole_type(model: _Model) -> Search:
    """A search for everything of one type, with the Medications it refers to."""
    type_ = model.resource_type
    plain = {**_subject(model), **_sorting(model), "_count": PAGE_SIZE}
    simpler = _url(model, plain)
    if type_ not in MEDICATION_TYPES:
        return Search(type_, simpler, _filter_name(model))
    # The builder's own include() names elements, but the parameter is called otherwise.
    with_include = _url(model, {**plain, "_include": f"{type_}:medication"})
    return Search(type_, with_include, _filter_name(model), simpler)


def _template(model: _Model) -> str:
    return _url(model, {**_subject(model), **_sorting(model), "_count": PREFETCH_PAGE_SIZE})


def _values(codes: Iterable[tuple[str, str]]) -> list[str]:
    """The codes as values of a token parameter, R4 search's own separators escaped.

    Without their systems: senders name one system by several URIs, and a server compares them as
    text. What has the same code in another system is recognised, and left alone, by the reader.
    """
    return list(dict.fromkeys(_SEPARATOR.sub(r"\\\g<0>", code) for _, code in codes))


def _by_code(values: Sequence[str]) -> Iterator[Search]:
    """Searches for Observations by code, none longer than a URL may be."""
    build = _observations(PAGE_SIZE)
    left = list(values)
    while left:
        fitting = len(left)
        while fitting > 1 and len(build(left[:fitting])) > LONGEST_URL:
            fitting -= 1
        yield Search("Observation", build(left[:fitting]))
        del left[:fitting]


def _observations(count: str) -> Callable[[list[str]], str]:
    def build(values: list[str]) -> str:
        filters = {**_subject(Observation), "code": {"$or": values}}
        return _url(Observation, {**filters, **_sorting(Observation), "_count": count})

    return build


def _by_words() -> Search:
    """Observations that no code identifies, where a concept of the trial is known by words only.

    ``:not`` is outside the subset for prefetch, and a server that does not know it must refuse it
    (FHIR R4 search, "modifiers"): then those results stay unread, and the chart says so.
    """
    others = {**_subject(Observation), "category:not": {"$and": [*_CODED_CATEGORIES]}}
    url = _url(Observation, {**others, **_sorting(Observation), "_count": PAGE_SIZE})
    return Search("Observation", url, needed=False)


def _filter_name(model: _Model) -> str:
    # AdverseEvent alone has no `patient` parameter in R4.
    return "subject" if model is AdverseEvent else "patient"


def _subject(model: _Model) -> dict[str, str]:
    name = _filter_name(model)
    # A bare id is enough where the parameter means patients; a subject may be of another type.
    return {name: PATIENT_HERE if name == "patient" else f"Patient/{PATIENT_HERE}"}


def _sorting(model: _Model) -> dict[str, str]:
    """Newest first where many are expected: a page that is missing is then the oldest."""
    return {"_sort": "-date"} if model.resource_type in _NEWEST_FIRST else {}


def _url(model: _Model, parameters: Mapping[str, Any]) -> str:
    """The builder's URL with the patient token as CDS Hooks wants it, unescaped."""
    url = str(model.where(dict(parameters)).construct())
    return url.replace(quote_plus(PATIENT_HERE), PATIENT_HERE)


def _for_patient(template: str, patient_id: str) -> str:
    return template.replace(PATIENT_HERE, quote_plus(patient_id))


def _key_of(model: _Model) -> str:
    return next(key for key, type_ in _KEYS.items() if type_ == model.resource_type)


def search_types(searches: Iterable[Search]) -> tuple[str, ...]:
    """The resource types of some searches, each once, in their order."""
    return tuple(dict.fromkeys(search.resource_type for search in searches))
