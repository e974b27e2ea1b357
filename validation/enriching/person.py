"""The person: which birth date and sex are recorded, last menses, consent, noted toxicity."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Final

from validation.decisions import Decisions
from validation.enriching.chart import LOINC, Chart, Resource

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/consentscope"
_YEARS_SINCE_MENSES: Final = 3
_DAYS_BEFORE: Final = 20


def enrich_person(chart: Chart, decisions: Decisions, random: Random) -> None:
    """Complete what concerns the person."""
    patient = chart.the_patient()
    if decisions.choice("birth_date") == "withheld":
        patient.pop("birthDate", None)
    if decisions.choice("recorded_sex") == "other":
        patient["gender"] = "other"
    _record_menses(chart, decisions, random)
    if decisions.choice("consent") == "recorded":
        _record_consent(chart, decisions)
    _record_toxicity(chart, decisions)


def _record_menses(chart: Chart, decisions: Decisions, random: Random) -> None:
    woman = decisions.choice("woman")
    days = {
        "last_menses_old": 365 * _YEARS_SINCE_MENSES + random.randint(0, 900),
        "childbearing": random.randint(1, 27),
    }.get(woman)
    # Half of the women who have menses were asked for them.
    asked = random.random() < 0.5
    if days is None or (woman == "childbearing" and not asked):
        return
    menses = decisions.as_of - timedelta(days=days)
    decisions.added["lastMenses"] = menses.isoformat()
    content: Resource = {
        "status": "final",
        "code": {
            "coding": [
                {"system": LOINC, "code": "8665-2", "display": "Last menstrual period start date"}
            ]
        },
        "effectiveDateTime": decisions.as_of.isoformat(),
        "valueDateTime": menses.isoformat(),
    }
    chart.add("last-menses", "Observation", content)


def _record_consent(chart: Chart, decisions: Decisions) -> None:
    signed = decisions.as_of - timedelta(days=_DAYS_BEFORE)
    content: Resource = {
        "status": "active",
        "scope": {"coding": [{"system": _CATEGORY, "code": "research"}]},
        "category": [{"text": "Consent to take part in NET RETREAT (NCT05773274)"}],
        "patient": {"reference": f"Patient/{chart.patient}"},
        "dateTime": signed.isoformat(),
    }
    consent = chart.add("consent", "Consent", content)
    # A Consent names its patient, and has no subject.
    del consent["subject"]


def _record_toxicity(chart: Chart, decisions: Decisions) -> None:
    toxicity = decisions.choice("toxicity")
    day = (decisions.as_of - timedelta(days=_DAYS_BEFORE)).isoformat()
    if toxicity in {"ctcae_2", "ctcae_3"}:
        content: Resource = {
            "status": "final",
            "code": {"text": "Fatigue, CTCAE v5.0 grade"},
            "effectiveDateTime": day,
            "valueInteger": int(toxicity[-1]),
        }
        chart.add("ctcae", "Observation", content)
    if toxicity == "severe_event":
        event: Resource = {
            "actuality": "actual",
            "event": {"text": "Fatigue"},
            "date": day,
            "severity": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/adverse-event-severity",
                        "code": "severe",
                    }
                ]
            },
        }
        chart.add("adverse-event", "AdverseEvent", event)
