"""Lean views of FHIR R4 resources: only the elements that the reader reads.

How JSON becomes a view is in :mod:`cds_service.fhir.decoding`.
"""

from __future__ import annotations

from typing import Any

import msgspec

_NO_VALUE = msgspec.Raw(b"")


class Extension(msgspec.Struct, rename="camel"):
    url: str | None = None
    value_codeable_concept: CodeableConcept | None = None


# Immutable, so that what they stand for can be looked up by them, and worked out once.


class CodingView(msgspec.Struct, frozen=True, gc=False):
    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(msgspec.Struct, frozen=True, gc=False):
    coding: tuple[CodingView, ...] | None = None
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
    deceased_without_time: msgspec.Raw = msgspec.field(name="_deceasedDateTime", default=_NO_VALUE)
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
    onset_age: QuantityView | None = None
    onset_period: Period | None = None
    abatement_date_time: str | None = None
    abatement_age: QuantityView | None = None
    abatement_period: Period | None = None
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
    """What the four resources that name a drug have in common.

    The last four elements are those by which other FHIR versions say that it was not taken.
    """

    status: str | None = None
    medication_codeable_concept: CodeableConcept | None = None
    medication_reference: Reference | None = None
    subject: Reference | None = None
    taken: msgspec.Raw = _NO_VALUE
    was_not_taken: msgspec.Raw = _NO_VALUE
    was_not_given: msgspec.Raw = _NO_VALUE
    not_given: msgspec.Raw = _NO_VALUE


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
    """A Procedure; the last four elements are those of other FHIR versions."""

    status: str | None = None
    category: CodeableConcept | None = None
    code: CodeableConcept | None = None
    subject: Reference | None = None
    performed_date_time: str | None = None
    performed_period: Period | None = None
    performed_string: msgspec.Raw = _NO_VALUE
    performed_age: msgspec.Raw = _NO_VALUE
    performed_range: msgspec.Raw = _NO_VALUE
    body_site: list[CodeableConcept] | None = None
    used_code: list[CodeableConcept] | None = None
    report: list[Reference] | None = None
    not_performed: msgspec.Raw = _NO_VALUE
    not_done: msgspec.Raw = _NO_VALUE
    occurrence_date_time: msgspec.Raw = _NO_VALUE
    occurrence_period: msgspec.Raw = _NO_VALUE


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


class ConsentView(Resource, tag="Consent"):
    status: str | None = None
    category: list[CodeableConcept] | None = None
    patient: Reference | None = None
    date_time: str | None = None
    identifier: list[Identifier] | None = None
    policy: list[dict[str, Any]] | None = None
    policy_rule: CodeableConcept | None = None
    scope: CodeableConcept | None = None
    provision: Provision | None = None
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
