"""Laboratory results and assessments: SI units, upper limits of normal, comparators, RECIST."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Final

from validation.decisions import Decisions, Event
from validation.enriching.chart import LOINC, UCUM, Chart, Resource, coded

# Upper limits of normal of this laboratory, in Synthea's units.
UPPER_LIMITS: Final = {
    "Bilirubin": Decimal("1.2"),
    "Creatinine": Decimal("1.2"),
    "ALT": Decimal(40),
    "AST": Decimal(40),
}
# What one of Synthea's units is in SI, and the LOINC code where that differs, too.
_SI: Final = {
    "Hemoglobin": (Decimal(10), "g/L", None),
    "Neutrophils": (Decimal(1), "10*9/L", None),
    "Leukocytes": (Decimal(1), "10*9/L", None),
    "Lymphocytes": (Decimal(1), "10*9/L", None),
    "Platelets": (Decimal(1), "10*9/L", None),
    "Bilirubin": (
        Decimal("17.10"),
        "umol/L",
        ("14631-6", "Bilirubin.total [Moles/volume] in Serum or Plasma"),
    ),
    "Creatinine": (
        Decimal("88.40"),
        "umol/L",
        ("14682-9", "Creatinine [Moles/volume] in Serum or Plasma"),
    ),
}
_UNTOUCHED: Final = "Bilirubin direct"


def enrich_measurements(chart: Chart, decisions: Decisions, random: Random) -> None:
    """Complete the results that Synthea drew."""
    as_integer = random.random() < 0.5
    for event in decisions.events:
        if event.kind == "Observation" and event.value is not None and event.name != _UNTOUCHED:
            _complete_result(chart.of(event), event, decisions)
    for event in decisions.named("Viral load undetectable", "Viral load stale"):
        chart.of(event)["valueQuantity"]["comparator"] = "<"
    for event in decisions.named("ECOG "):
        if as_integer:
            _make_integer(chart.of(event))
    for event in decisions.named("Reference ", "Response ", "Progression ", kind="Observation"):
        _complete_response(chart.of(event), event)


def _complete_result(observation: Resource, event: Event, decisions: Decisions) -> None:
    kind = event.name.split()[0]
    limit = UPPER_LIMITS.get(kind) if decisions.choice("upper_limits") == "given" else None
    quantity = observation["valueQuantity"]
    # The number as it was drawn: Synthea's exporter leaves out trailing zeros only.
    quantity["value"] = event.value
    if kind in _SI and decisions.choice("units") == "si":
        factor, unit, code = _SI[kind]
        quantity |= {
            "value": quantity["value"] * factor,
            "unit": unit,
            "system": UCUM,
            "code": unit,
        }
        limit = None if limit is None else limit * factor
        if code is not None:
            observation["code"] = coded(LOINC, *code)
    if limit is not None:
        high = {key: quantity[key] for key in ("unit", "system", "code")} | {"value": limit}
        observation["referenceRange"] = [{"high": high}]


def _make_integer(observation: Resource) -> None:
    """A score is a Quantity to Synthea; others write it as an integer."""
    observation["valueInteger"] = int(observation.pop("valueQuantity")["value"])


def _complete_response(observation: Resource, event: Event) -> None:
    if observation["code"]["coding"][0]["code"] != "21976-6":
        return
    observation["method"] = {"text": "RECIST 1.1"}
    if event.answer == "NE":
        observation["valueCodeableConcept"] = {"text": "NE"}
