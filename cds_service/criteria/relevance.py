"""Whose chart is looked at: a living patient with the tumour, or with the therapy.

Sources: "Relevance", details 21 and 38 of the eligibility rules.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from cds_service.criteria.clock import Clock
from cds_service.criteria.view import DRUG_READS, RecordIndex, View
from cds_service.record.model import Patient, Record, Verification
from cds_service.record.reads import Complete
from cds_service.trial.schema import Relevance

Answer = Literal["relevant", "not_relevant", "unread"]
SetAside = Literal["merged", "inactive", "deceased"]


def set_aside(patient: Patient, clock: Clock) -> SetAside | None:
    """Why a patient is not looked at, whatever the chart holds; None for one who is."""
    if patient.replaced_by is not None:
        return "merged"
    if patient.inactive:
        return "inactive"
    if patient.died is None:
        return "deceased" if patient.deceased else None
    # A time of death that cannot be read is one all the same.
    dead = patient.died.unreadable or clock.has_come(patient.died.first)
    return "deceased" if dead else None


def relevance(
    rule: Relevance, record: Record, day: date, index: RecordIndex | None = None
) -> Answer:
    """Whether the chart concerns the trial; ``unread`` where an incomplete read leaves it open."""
    clock = Clock(day)
    if set_aside(record.patient, clock) is not None:
        return "not_relevant"
    view = View(index or RecordIndex(record), clock)
    tumor = view.diagnoses((*rule.diagnoses, *rule.morphology))
    if any(one.verification is not Verification.DIFFERENTIAL for one in tumor):
        return "relevant"
    if view.exposures(rule.exposures, dated=False):
        return "relevant"
    needed = ("Condition", *DRUG_READS)
    complete = all(isinstance(record.reads.get(name), Complete) for name in needed)
    return "not_relevant" if complete else "unread"
