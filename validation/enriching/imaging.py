"""PET scans: the tracer, and how the lesions compare with the liver. Synthea says neither."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Final

from validation.decisions import Decisions, Event
from validation.enriching.chart import ATC, DCM, SNOMED, UCUM, Chart, Resource, coded

_GALLIUM: Final = coded(SNOMED, "724025002", "Dotatate Ga^68^")
_COPPER: Final = coded(ATC, "V09IX15", "copper (64Cu) oxodotreotide")
_EDOTREOTIDE: Final = coded(ATC, "V09IX09", "gallium (68Ga) edotreotide")
_FDG: Final = coded(SNOMED, "443271005", "PET/CT FDG imaging of whole body")
_WORDS: Final = {"ga68": "PET/CT with Ga-68 DOTATATE", "cu64": "PET/CT with Cu-64 DOTATATE"}
_WITHOUT_TRACER: Final = "PET untold"
_TENTH: Final = Decimal("0.1")


def enrich_imaging(chart: Chart, decisions: Decisions, random: Random) -> None:
    """Name the tracers, and report the uptake on the scan with DOTATATE."""
    dotatate = None
    for event in decisions.named("PET "):
        if event.kind not in {"ImagingStudy", "Procedure"} or event.name.startswith(
            _WITHOUT_TRACER
        ):
            continue
        scan = chart.of(event)
        procedures = [scan] if event.kind == "Procedure" else _same_instant(chart, event)
        if event.name.startswith(("PET FDG", "PET DOTATOC")):
            _name_other_tracer(event, scan, procedures)
        else:
            _name_dotatate(decisions.choice("tracer"), scan, procedures)
            dotatate = event
    if dotatate is not None:
        _report_uptake(chart, decisions, dotatate, random)


def _same_instant(chart: Chart, event: Event) -> list[Resource]:
    """Synthea writes a Procedure beside each ImagingStudy."""
    return [
        procedure
        for procedure in chart.all("Procedure")
        if procedure["performedPeriod"]["start"] == event.at
        and procedure["code"]["coding"][0]["code"] == "82918005"
    ]


def _name_dotatate(tracer: str, scan: Resource, procedures: list[Resource]) -> None:
    for procedure in procedures:
        procedure["usedCode"] = [_GALLIUM if tracer == "ga68" else _COPPER]
    if scan["resourceType"] == "ImagingStudy":
        scan["description"] = _WORDS[tracer]
        scan["series"][0]["modality"]["system"] = DCM


def _name_other_tracer(event: Event, scan: Resource, procedures: list[Resource]) -> None:
    fdg = event.name.startswith("PET FDG")
    for procedure in procedures:
        if fdg:
            procedure["code"] = _FDG
        else:
            procedure["usedCode"] = [_EDOTREOTIDE]
    if scan["resourceType"] == "ImagingStudy":
        scan["description"] = "PET/CT with F-18 FDG" if fdg else "PET/CT with Ga-68 DOTATOC"
        scan["series"][0]["modality"]["system"] = DCM
        if fdg:
            scan["procedureCode"] = [_FDG]
        else:
            scan["procedureCode"].append(_EDOTREOTIDE)


def _report_uptake(chart: Chart, decisions: Decisions, event: Event, random: Random) -> None:
    uptake = decisions.choice("uptake")
    liver = Decimal(random.randint(30, 70)) * _TENTH
    if uptake in {"coded_positive", "coded_negative"}:
        _report_in_code(chart, decisions, event, positive=uptake == "coded_positive")
    if uptake in {"above_liver", "equal_to_liver", "below_liver", "liver_missing"}:
        shift = {"equal_to_liver": 0, "below_liver": -random.randint(1, 20)}.get(
            uptake, random.randint(1, 300)
        )
        lesion = liver + shift * _TENTH
        decisions.added["lesionSuvMax"] = str(lesion)
        _measure(chart, "lesion", event, lesion)
        if uptake != "liver_missing":
            decisions.added["liverSuvMean"] = str(liver)
            _measure(chart, "liver", event, liver)


def _report_in_code(chart: Chart, decisions: Decisions, event: Event, *, positive: bool) -> None:
    words = _WORDS[decisions.choice("tracer")]
    answer = ("10828004", "Positive") if positive else ("260385009", "Negative")
    report: Resource = {
        "status": "final",
        "code": coded(SNOMED, "82918005", "Positron emission tomography (procedure)")
        | {"text": words},
        "effectiveDateTime": event.at,
        "conclusionCode": [coded(SNOMED, answer[0], f"{answer[1]} (qualifier value)")],
    }
    if event.kind == "ImagingStudy":
        report["imagingStudy"] = [{"reference": f"ImagingStudy/{event.resource}"}]
    chart.add("pet-report", "DiagnosticReport", report)


def _measure(chart: Chart, what: str, event: Event, value: Decimal) -> None:
    lesion = what == "lesion"
    method = ("56851009", "Maximal (qualifier value)") if lesion else ("373098007", "Averaged")
    content: Resource = {
        "status": "final",
        "code": coded(DCM, "126401", "SUVbw"),
        "method": coded(SNOMED, *method),
        "effectiveDateTime": event.at,
        "valueQuantity": {"value": value, "unit": "g/mL", "system": UCUM, "code": "g/mL"},
    }
    if not lesion:
        content["bodySite"] = coded(SNOMED, "10200004", "Liver structure (body structure)")
    link = "derivedFrom" if event.kind == "ImagingStudy" else "partOf"
    content[link] = [{"reference": f"{event.kind}/{event.resource}"}]
    chart.add(f"suv-{what}", "Observation", content)
