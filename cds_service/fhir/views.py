"""Lean views of FHIR R4 resources: only the elements that the reader reads.

Each entry is decoded by itself. Where one does not fit, :func:`decode` salvages what it can, element
by element, and names the elements it had to leave out: one broken element never hides the rest, and
is never taken for an absent one.
"""

from __future__ import annotations

from typing import Any

import msgspec

Raw = msgspec.Raw
_NO_VALUE = Raw(b"")


class Extension(msgspec.Struct, rename="camel"):
    url: str | None = None
    value_codeable_concept: CodeableConcept | None = None


class CodingView(msgspec.Struct):
    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(msgspec.Struct):
    coding: list[CodingView] | None = None
    text: str | None = None


class Reference(msgspec.Struct):
    reference: str | None = None
    type: str | None = None


class Identifier(msgspec.Struct):
    system: str | None = None
    value: str | None = None


class QuantityView(msgspec.Struct):
    """A Quantity; ``value`` keeps the JSON text, so that a decimal stays exact."""

    value: msgspec.Raw = _NO_VALUE
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Period(msgspec.Struct):
    start: str | None = None
    end: str | None = None


class RangeView(msgspec.Struct):
    low: QuantityView | None = None
    high: QuantityView | None = None


class Annotated(msgspec.Struct, rename="camel"):
    """What can make any element mean something else."""

    modifier_extension: list[Extension] | None = None


class ReferenceRangeView(Annotated, rename="camel"):
    low: QuantityView | None = None
    high: QuantityView | None = None
    type: CodeableConcept | None = None
    applies_to: list[CodeableConcept] | None = None
    age: RangeView | None = None


class Resource(msgspec.Struct, tag_field="resourceType", rename="camel", kw_only=True):
    """What every resource has."""

    id: str | None = None
    meta: Meta | None = None
    implicit_rules: str | None = None
    modifier_extension: list[Extension] | None = None
    contained: list[msgspec.Raw] | None = None


class Meta(msgspec.Struct, rename="camel"):
    version_id: str | None = None
    last_updated: str | None = None


class PatientLink(msgspec.Struct):
    other: Reference | None = None
    type: str | None = None


class Communication(msgspec.Struct):
    language: CodeableConcept | None = None


class PatientView(Resource, tag="Patient"):
    gender: str | None = None
    birth_date: str | None = None
    active: bool | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    link: list[PatientLink] | None = None
    communication: list[Communication] | None = None


class Valued(Annotated, rename="camel", kw_only=True):
    """The value[x] of an Observation or of one of its components."""

    code: CodeableConcept | None = None
    value_quantity: QuantityView | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_date_time: str | None = None
    value_range: msgspec.Raw = _NO_VALUE
    value_ratio: msgspec.Raw = _NO_VALUE
    value_sampled_data: msgspec.Raw = _NO_VALUE
    value_time: msgspec.Raw = _NO_VALUE
    value_period: msgspec.Raw = _NO_VALUE
    data_absent_reason: CodeableConcept | None = None
    interpretation: list[CodeableConcept] | None = None
    reference_range: list[ReferenceRangeView] | None = None


class ObservationView(Resource, tag="Observation"):
    status: str | None = None
    category: list[CodeableConcept] | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    focus: list[Reference] | None = None
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: Period | None = None
    effective_timing: msgspec.Raw = _NO_VALUE
    issued: str | None = None
    value_quantity: QuantityView | None = None
    value_codeable_concept: CodeableConcept | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_integer: int | None = None
    value_date_time: str | None = None
    value_range: msgspec.Raw = _NO_VALUE
    value_ratio: msgspec.Raw = _NO_VALUE
    value_sampled_data: msgspec.Raw = _NO_VALUE
    value_time: msgspec.Raw = _NO_VALUE
    value_period: msgspec.Raw = _NO_VALUE
    data_absent_reason: CodeableConcept | None = None
    interpretation: list[CodeableConcept] | None = None
    reference_range: list[ReferenceRangeView] | None = None
    body_site: CodeableConcept | None = None
    method: CodeableConcept | None = None
    specimen: Reference | None = None
    part_of: list[Reference] | None = None
    derived_from: list[Reference] | None = None
    component: list[Valued] | None = None


class Age(msgspec.Struct):
    value: msgspec.Raw = _NO_VALUE
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class StageView(Annotated, rename="camel"):
    summary: CodeableConcept | None = None


class ConditionView(Resource, tag="Condition"):
    extension: list[Extension] | None = None
    clinical_status: CodeableConcept | None = None
    verification_status: CodeableConcept | None = None
    category: list[CodeableConcept] | None = None
    code: CodeableConcept | None = None
    body_site: list[CodeableConcept] | None = None
    subject: Reference | None = None
    onset_date_time: str | None = None
    onset_age: Age | None = None
    onset_period: Period | None = None
    abatement_date_time: msgspec.Raw = _NO_VALUE
    abatement_age: msgspec.Raw = _NO_VALUE
    abatement_period: msgspec.Raw = _NO_VALUE
    abatement_range: msgspec.Raw = _NO_VALUE
    abatement_string: msgspec.Raw = _NO_VALUE
    recorded_date: str | None = None
    stage: list[StageView] | None = None


class DoseAndRate(msgspec.Struct, rename="camel"):
    dose_quantity: QuantityView | None = None


class Dosage(Annotated, rename="camel"):
    dose: QuantityView | None = None
    route: CodeableConcept | None = None
    dose_and_rate: list[DoseAndRate] | None = None


class Ingredient(Annotated, rename="camel"):
    item_codeable_concept: CodeableConcept | None = None
    item_reference: Reference | None = None


class MedicationView(Resource, tag="Medication"):
    status: str | None = None
    code: CodeableConcept | None = None
    form: CodeableConcept | None = None
    ingredient: list[Ingredient] | None = None


class MedicationUse(Resource):
    """What the four resources that name a drug have in common."""

    status: str | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    subject: Reference | None = None


class MedicationAdministrationView(MedicationUse, tag="MedicationAdministration"):
    effective_date_time: str | None = None
    effective_period: Period | None = None
    dosage: Dosage | None = None


class MedicationStatementView(MedicationUse, tag="MedicationStatement"):
    effective_date_time: str | None = None
    effective_period: Period | None = None
    date_asserted: str | None = None
    dosage: list[Dosage] | None = None


class MedicationRequestView(MedicationUse, tag="MedicationRequest"):
    intent: str | None = None
    do_not_perform: bool | None = None
    authored_on: str | None = None
    dosage_instruction: list[Dosage] | None = None


class MedicationDispenseView(MedicationUse, tag="MedicationDispense"):
    when_handed_over: str | None = None
    when_prepared: str | None = None
    dosage_instruction: list[Dosage] | None = None


class ProcedureView(Resource, tag="Procedure"):
    status: str | None = None
    category: CodeableConcept | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    performed_date_time: str | None = None
    performed_period: Period | None = None
    performed_string: msgspec.Raw = _NO_VALUE
    performed_age: msgspec.Raw = _NO_VALUE
    body_site: list[CodeableConcept] | None = None
    used_code: list[CodeableConcept] | None = None
    report: list[Reference] | None = None


class SeriesView(Annotated, rename="camel"):
    modality: CodingView | None = None
    description: str | None = None


class ImagingStudyView(Resource, tag="ImagingStudy"):
    status: str | None = None
    subject: Reference | None = None
    started: str | None = None
    modality: list[CodingView] | None = None
    procedure_code: list[CodeableConcept] | None = None
    procedure_reference: Reference | None = None
    description: str | None = None
    series: list[SeriesView] | None = None


class DiagnosticReportView(Resource, tag="DiagnosticReport"):
    status: str | None = None
    category: list[CodeableConcept] | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    effective_date_time: str | None = None
    effective_period: Period | None = None
    issued: str | None = None
    result: list[Reference] | None = None
    imaging_study: list[Reference] | None = None
    conclusion: str | None = None
    conclusion_code: list[CodeableConcept] | None = None


class AdverseEventView(Resource, tag="AdverseEvent"):
    actuality: str | None = None
    event: CodeableConcept | None = None
    subject: Reference | None = None
    date: str | None = None
    recorded_date: str | None = None
    severity: CodeableConcept | None = None
    outcome: CodeableConcept | None = None


class Provision(msgspec.Struct):
    type: str | None = None
    period: Period | None = None


class ConsentView(Resource, tag="Consent"):
    status: str | None = None
    category: list[CodeableConcept] | None = None
    patient: Reference | None = None
    date_time: str | None = None
    identifier: list[Identifier] | None = None
    policy: list[dict[str, Any]] | None = None
    policy_rule: CodeableConcept | None = None
    scope: CodeableConcept | None = None
    source_reference: Reference | None = None
    text: dict[str, Any] | None = None


View = (
    PatientView
    | ObservationView
    | ConditionView
    | MedicationView
    | MedicationAdministrationView
    | MedicationStatementView
    | MedicationRequestView
    | MedicationDispenseView
    | ProcedureView
    | ImagingStudyView
    | DiagnosticReportView
    | AdverseEventView
    | ConsentView
)

_TYPES: dict[str, type[Resource]] = {
    view.__struct_config__.tag: view
    for view in View.__args__
}
KNOWN_TYPES = frozenset(_TYPES)
_DECODER: msgspec.json.Decoder[View] = msgspec.json.Decoder(View)


class _Head(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    id: str | None = None


_HEAD = msgspec.json.Decoder(_Head)


class Decoded(msgspec.Struct):
    """One entry, decoded.

    Args:
        view: the resource; None where it is of no type that is read, or not an object at all.
        resource_type: its type, where it says one.
        broken: names of elements (camelCase) that are there but cannot be read.
    """

    view: View | None
    resource_type: str | None
    broken: frozenset[str] = frozenset()


def decode(raw: msgspec.Raw | bytes) -> Decoded:
    """Decode one resource; never raises."""
    try:
        view = _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _salvage(raw)
    return Decoded(view, view.__struct_config__.tag)  # type: ignore[arg-type]


def _salvage(raw: msgspec.Raw | bytes) -> Decoded:
    try:
        head = _HEAD.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _headless(raw)
    kind = _TYPES.get(head.resource_type or "")
    if kind is None:
        return Decoded(None, head.resource_type)
    return _by_element(raw, kind, head.resource_type)


def _headless(raw: msgspec.Raw | bytes) -> Decoded:
    """The type or id is itself broken: read the type alone, if possible."""
    try:
        plain = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Decoded(None, None, frozenset({"resource"}))
    name = plain.get("resourceType") if isinstance(plain, dict) else None
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        return Decoded(None, None, frozenset({"resource"}))
    return _by_element(raw, kind, name)


def _by_element(raw: msgspec.Raw | bytes, kind: type[Any], name: str | None) -> Decoded:
    elements: dict[str, msgspec.Raw] = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    values: dict[str, Any] = {}
    broken = set()
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in elements:
            continue
        element = elements[field.encode_name]
        try:
            values[field.name] = msgspec.json.decode(element, type=field.type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            broken.add(field.encode_name)
    return Decoded(kind(**values), name, frozenset(broken))
