"""Drugs and PRRT: what was taken and until when, with which activity, what words alone tell.

Synthea writes orders, and administrations without a dose. It has no MedicationStatement.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from validation.decisions import Decisions
from validation.enriching.chart import SNOMED, UCUM, Chart, Resource, coded

# Taken over some time: the state of the order, and of its end.
_TAKEN: Final = (
    "Everolimus short",
    "Everolimus 31 days",
    "Everolimus 32 days",
    "Everolimus long",
    "Everolimus transplant",
    "Everolimus short after PRRT",
    "Everolimus long after PRRT",
    "Temozolomide",
    "Temozolomide after PRRT",
    "Sunitinib",
    "Dexamethasone once",
)
_GOING_ON: Final = ("Octreotide", "Lanreotide", "Antiretrovirals", "Dexamethasone continuing")
_WORDS: Final = {"Temozolomide by text": "Temodar 100 mg capsules", "Actinium": "225Ac-DOTATATE"}
_EVEROLIMUS: Final = "Everolimus"
# MBq of one cycle, where it is not the usual 7,400.
_ACTIVITY: Final = {"two_full_activity": 11_100, "five_small": 5_920}
_USUAL_ACTIVITY: Final = 7_400
_MBQ_PER_MCI: Final = 37


def enrich_therapy(chart: Chart, decisions: Decisions, random: Random) -> None:
    """Complete drugs and PRRT, and note what was decided."""
    _state_what_was_taken(chart, decisions, random)
    _put_into_words(chart, decisions)
    _complete_cycles(chart, decisions, random)
    _tell_a_period(chart, decisions)


def _state_what_was_taken(chart: Chart, decisions: Decisions, random: Random) -> None:
    # Everolimus that is both stated and ordered may be more than what is stated: drawn for all.
    keep_order = random.random() < 0.3
    for event in decisions.named(*_TAKEN, kind="MedicationOrder"):
        if event.name not in _TAKEN:
            continue
        end = decisions.ends.get(f"End of {event.name}") or decisions.ends.get(f"{event.name} ends")
        # Not ended by the reference date: still being taken.
        status = "active" if end is None else "completed"
        period = {"start": event.day.isoformat()} | ({"end": end.isoformat()} if end else {})
        chart.state_drug(event.name, event, {"status": status, "effectivePeriod": period})
        if event.name.startswith(_EVEROLIMUS):
            decisions.added["everolimusOrderKept"] = keep_order
            if not keep_order:
                # The statement stands in for the order.
                chart.remove(chart.of(event))
    for event in decisions.named(*_GOING_ON, kind="MedicationOrder"):
        period = {"start": event.day.isoformat()}
        chart.state_drug(event.name, event, {"status": "active", "effectivePeriod": period})
    unknown_end = decisions.event("Everolimus without end")
    if unknown_end is not None:
        period = {"start": unknown_end.day.isoformat()}
        chart.state_drug(
            "everolimus", unknown_end, {"status": "completed", "effectivePeriod": period}
        )


def _put_into_words(chart: Chart, decisions: Decisions) -> None:
    """A drug that is known by its words only, with no code."""
    for name, words in _WORDS.items():
        event = decisions.event(name)
        if event is None:
            continue
        given = chart.administration_of(event)
        for resource in (chart.of(event), given):
            if resource is not None:
                resource.pop("medicationReference", None)
                resource["medicationCodeableConcept"] = {"text": words}


def _complete_cycles(chart: Chart, decisions: Decisions, random: Random) -> None:
    plan = decisions.choice("prrt")
    activity = Decimal(_ACTIVITY.get(plan, _USUAL_ACTIVITY))
    # All cycles of a patient are written the same way: the activity in one unit, or none.
    unit = random.choice(("MBq", "MBq", "GBq", "mCi", None))
    stated = decisions.choice("prrt_recording") == "statement"
    activities: dict[str, str | None] = {}
    for event in decisions.named("PRRT ", kind="MedicationOrder"):
        given = chart.administration_of(event)
        if given is None:
            continue
        if stated and event.name != "PRRT again":
            chart.remove(given)
            content = {"status": "completed", "effectiveDateTime": event.at}
            chart.state_drug(event.name, event, content)
        elif unit is not None:
            given["dosage"] = {"text": "Intravenous infusion", "dose": _activity(activity, unit)}
            activities[event.name] = str(activity)
    for event in decisions.named("PRRT ", kind="Procedure"):
        agent = coded(SNOMED, "781259000", "Lutetium^177^ DOTATATE")
        chart.of(event)["usedCode"] = [agent]
    decisions.added["activitiesMBq"] = activities


def _activity(megabecquerel: Decimal, unit: str) -> Resource:
    factor = {"MBq": 1, "GBq": 1000, "mCi": _MBQ_PER_MCI}[unit]
    value: Any = megabecquerel / factor
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _tell_a_period(chart: Chart, decisions: Decisions) -> None:
    """PRRT "from … to …", with no word on how many cycles."""
    if decisions.choice("prrt") != "period":
        return
    end = decisions.as_of - timedelta(days=1500)
    start = end - timedelta(days=180)
    decisions.added["prrtPeriod"] = [start.isoformat(), end.isoformat()]
    content: Resource = {
        "status": "completed",
        "medicationCodeableConcept": coded(SNOMED, "781259000", "Lutetium^177^ DOTATATE"),
        "effectivePeriod": {"start": start.isoformat(), "end": end.isoformat()},
    }
    chart.add("statement:prrt-period", "MedicationStatement", content)
