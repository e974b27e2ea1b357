"""The DOTATATE PET and what it showed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.charts import (
    CPT,
    DCM,
    HCPCS,
    LOINC,
    SNOMED,
    STRANGE,
    Json,
    case,
    chart,
    coded,
    cycle,
    days_ago,
    given,
    observation,
    pet,
    procedure,
    quantity,
    report,
    resource,
    result,
    screen,
    verdict,
    words,
)

CASES = ("expected", "content", "how")


def _scans(*resources: Any) -> Any:
    return chart(*resources, without="pet")


def _study(on: str | None = "2026-05-04", id_: Any = None, **elements: Any) -> Any:
    return resource("ImagingStudy", id_, **({"status": "available", "started": on} | elements))


def _pet_report(on: str | None = "2026-05-04", text: str = "PET/CT", **elements: Any) -> Any:
    return report(coded("78815", CPT, text=text), on, **elements)


@pytest.mark.parametrize(
    CASES,
    [
        case("none", "unknown", _scans()),
        case("36 months ago", "met", _scans(pet("2023-11-23"))),
        case("a day more", "not_met new_data", _scans(pet("2023-11-22"))),
        case("today", "met", _scans(pet(days_ago(0)))),
        case("tomorrow", "unknown", _scans(pet(days_ago(-1)))),
        case("from the end of February", "met", _scans(pet("2024-02-29")), as_of=date(2027, 2, 28)),
        case("undated", "unknown", _scans(pet(None))),
        case("a month that straddles", "unknown", _scans(pet("2023-11"))),
        case("a month that does not", "met", _scans(pet("2023-12"))),
        *(
            case(f"detail 13: {tracer}", "met", _scans(pet("2026-05-04", tracer)))
            for tracer in (
                "Ga-68 DOTATATE",
                "68Ga-DOTATATE",
                "Gallium-68 DOTATATE",
                "Cu-64 DOTATATE",
                "64Cu DOTATATE",
                "Copper-64 DOTATATE",
                "Netspot",
                "Detectnet",
                "(68Ga) DOTATATE",
            )
        ),
        *(
            case(f"not counted: {tracer}", "unknown", _scans(pet("2026-05-04", tracer)))
            for tracer in ("FDG", "68Ga-DOTATOC", "F-18 FDG", "PSMA")
        ),
        case(
            "DOTATATE alone names no tracer",
            "needs_confirmation",
            _scans(pet("2026-05-04", "DOTATATE")),
        ),
        case("part of a word", "needs_confirmation", _scans(pet("2026-05-04", "Netspotter"))),
        case("no tracer", "needs_confirmation", _scans(pet("2026-05-04", ""))),
        case(
            "tracer by usedCode",
            "met",
            _scans(pet("2026-05-04", "", usedCode=[coded("A9587", HCPCS)])),
        ),
        case(
            "tracer by an unverified code",
            "needs_confirmation",
            _scans(pet("2026-05-04", "", usedCode=[coded("A9592", HCPCS)])),
        ),
        case(
            "unverified code and words",
            "met",
            _scans(pet("2026-05-04", "Cu-64 DOTATATE", usedCode=[coded("A9592", HCPCS)])),
        ),
        case(
            "nothing but an unverified code of a tracer",
            "needs_confirmation",
            _scans(procedure(coded("A9592", HCPCS), "2026-05-04")),
        ),
        case(
            "study, tracer in the description",
            "met",
            _scans(_study(description="PET 68Ga-DOTATATE")),
        ),
        case(
            "study, tracer in a series",
            "met",
            _scans(
                _study(
                    modality=[{"code": "PT", "system": DCM}],
                    series=[{"description": "Ga-68 DOTATATE WB"}],
                )
            ),
        ),
        case(
            "study, tracer in the procedure code",
            "met",
            _scans(_study(procedureCode=[coded("724025002", SNOMED)])),
        ),
        case(
            "study, PET modality only",
            "needs_confirmation",
            _scans(_study(modality=[{"code": "PT", "system": DCM}])),
        ),
        case("study, CT", "unknown", _scans(_study(modality=[{"code": "CT", "system": DCM}]))),
        case(
            "report, tracer in the code", "met", _scans(_pet_report(text="PET/CT Ga-68 DOTATATE"))
        ),
        case(
            "report, tracer in the conclusion",
            "met",
            _scans(_pet_report(conclusion="68Ga-DOTATATE avid liver lesions")),
        ),
        case(
            "an FDG report that mentions an earlier scan",
            "unknown",
            _scans(
                _pet_report(text="PET/CT FDG", conclusion="Compared with 68Ga-DOTATATE PET of 2022")
            ),
        ),
        *(
            case(f"procedure {status}", expected, _scans(pet("2026-05-04", status=status)))
            for status, expected in [
                ("completed", "met"),
                ("in-progress", "unknown"),
                ("not-done", "unknown"),
                ("stopped", "unknown"),
                ("preparation", "unknown"),
                ("entered-in-error", "unknown"),
            ]
        ),
        *(
            case(
                f"report {status}",
                expected,
                _scans(_pet_report(text="PET/CT Ga-68 DOTATATE", status=status)),
            )
            for status, expected in [
                ("final", "met"),
                ("amended", "met"),
                ("corrected", "met"),
                ("appended", "met"),
                ("preliminary", "unknown"),
                ("registered", "unknown"),
                ("cancelled", "unknown"),
                ("entered-in-error", "unknown"),
            ]
        ),
        *(
            case(
                f"study {status}",
                expected,
                _scans(_study(description="PET Ga-68 DOTATATE", status=status)),
            )
            for status, expected in [
                ("available", "met"),
                ("unknown", "met"),
                ("registered", "unknown"),
                ("cancelled", "unknown"),
                ("entered-in-error", "unknown"),
            ]
        ),
        case("the latest decides", "met", _scans(pet("2020-01-01"), pet("2026-05-04"))),
        case(
            "detail 37: a newer PET without a tracer beside an older DOTATATE",
            "met",
            _scans(pet("2025-05-04"), pet("2026-05-04", "")),
        ),
        case(
            "detail 37: the same, DOTATATE too old",
            "not_met new_data",
            _scans(pet("2020-05-04"), pet("2026-05-04", "")),
        ),
        case(
            "a newer FDG PET beside it", "met", _scans(pet("2025-05-04"), pet("2026-05-04", "FDG"))
        ),
        case("Octreoscan", "unknown", _scans(procedure(words("Octreoscan"), "2026-05-04"))),
        case(
            "the tracer given is no scan",
            "unknown",
            _scans(given(coded("724025002", SNOMED), "2026-05-04")),
        ),
        case("therapy with DOTATATE is no scan", "unknown", _scans(cycle("2021-06-28"))),
        case("unknown modifier", "unknown", _scans(pet("2026-05-04", **STRANGE))),
        case(
            "of another patient",
            "unknown",
            _scans(pet("2026-05-04", subject={"reference": "Patient/bob"})),
        ),
    ],
)
def test_scan(expected: str, content: Json, how: Json) -> None:
    """A Ga-68 or Cu-64 DOTATATE PET of the last 36 months."""
    assert expected == verdict(screen(content, **how), "sstr-pet")


@pytest.mark.parametrize(("on", "advised"), [("2025-11-23", False), ("2025-11-22", True)])
def test_more_than_12_months_is_an_advisory(on: str | None, *, advised: bool) -> None:
    """12 months are recommended, 36 allowed."""
    found = result(screen(_scans(pet(on))), "sstr-pet")

    assert ("met", advised) == (found.status, bool(found.advisories))


def test_a_newer_scan_without_a_tracer_is_told() -> None:
    """Detail 37: with an advisory."""
    assert result(screen(_scans(pet("2026-01-04"), pet("2026-05-04", ""))), "sstr-pet").advisories


def test_valid_through_36_months() -> None:
    """The scan holds for 36 calendar months, beyond the outlook."""
    found = result(screen(_scans(pet("2026-05-04"))), "sstr-pet")

    assert date(2029, 5, 4) == found.valid_through


MAXIMUM, MEAN = coded("56851009", SNOMED), coded("373098007", SNOMED)
LIVER, BONE = coded("10200004", SNOMED), coded("272673000", SNOMED)
DAY = "2026-05-04"


def _suv(value: Any, method: Any, site: Any = None, on: str | None = DAY, **elements: Any) -> Any:
    comparator = elements.pop("comparator", None)
    if value is not None:
        elements["valueQuantity"] = quantity(value, "g/ml", comparator=comparator)
    return observation(coded("126401", DCM), on, method=method, bodySite=site, **elements)


def _lesion(value: Any, on: str | None = DAY, **elements: Any) -> Any:
    return _suv(value, MAXIMUM, BONE, on, **elements)


def _liver(value: Any, on: str | None = DAY, **elements: Any) -> Any:
    return _suv(value, MEAN, LIVER, on, **elements)


def _concluded(code: Any, **elements: Any) -> Any:
    return _pet_report(
        text="PET/CT Ga-68 DOTATATE", conclusionCode=[coded(code, SNOMED)], **elements
    )


def _linked(element: str, reference: str) -> list[Any]:
    """A lesion above the liver, both linked to a resource."""
    return [one | {element: [{"reference": reference}]} for one in (_lesion(20), _liver(6))]


OPEN = "needs_confirmation"


@pytest.mark.parametrize(
    CASES,
    [
        case("no values", OPEN, chart()),
        case("above", "met", chart(_lesion(20), _liver(6))),
        case("equal is not above", "not_met new_data", chart(_lesion(6), _liver(6.0))),
        case("below", "not_met new_data", chart(_lesion(5), _liver(6))),
        case("any lesion", "met", chart(_lesion(5), _lesion(7), _liver(6))),
        case("no liver", OPEN, chart(_lesion(20))),
        case("no lesion", OPEN, chart(_liver(6))),
        case("the liver's maximum is no mean", OPEN, chart(_lesion(20), _suv(6, MAXIMUM, LIVER))),
        case("the mean of another organ", OPEN, chart(_lesion(20), _suv(6, MEAN, BONE))),
        case("a lesion's mean is no maximum", OPEN, chart(_suv(20, MEAN, BONE), _liver(6))),
        case(
            "detail 12: of another day",
            OPEN,
            chart(_lesion(20, "2026-05-05"), _liver(6, "2026-05-05")),
        ),
        case(
            "detail 12: of another day, part of the scan",
            "met",
            chart(
                *(
                    one | {"partOf": [{"reference": "Procedure/pet"}]}
                    for one in (_lesion(20, "2026-05-05"), _liver(6, "2026-05-05"))
                )
            ),
        ),
        case(
            "detail 12: derived from the study",
            "met",
            _scans(
                _study(description="PET Ga-68 DOTATATE", id_="study"),
                *(
                    one | {"derivedFrom": [{"reference": "ImagingStudy/study"}]}
                    for one in (_lesion(20, "2026-05-05"), _liver(6, "2026-05-05"))
                ),
            ),
        ),
        case(
            "detail 12: a result of the report",
            "met",
            _scans(
                _pet_report(
                    text="PET/CT Ga-68 DOTATATE",
                    result=[{"reference": "Observation/l"}, {"reference": "Observation/o"}],
                ),
                _lesion(20, "2026-05-05", id_="l"),
                _liver(6, "2026-05-05", id_="o"),
            ),
        ),
        case(
            "one by reference, one by day",
            "met",
            chart(_lesion(20, partOf=[{"reference": "Procedure/pet"}]), _liver(6)),
        ),
        case(
            "one of another scan of the day",
            OPEN,
            chart(
                _lesion(20, partOf=[{"reference": "Procedure/pet"}]),
                _liver(6, partOf=[{"reference": "Procedure/other"}]),
            ),
        ),
        case(
            "detail 12: of another scan of the day alone",
            OPEN,
            chart(pet(DAY, "FDG", id_="fdg"), *_linked("partOf", "Procedure/fdg")),
        ),
        case(
            "detail 12: of a scan that is not in the record",
            OPEN,
            chart(*_linked("partOf", "Procedure/other")),
        ),
        case(
            "detail 12: derived from another study of the day",
            OPEN,
            chart(
                _study(DAY, "fdg", description="FDG PET"),
                *_linked("derivedFrom", "ImagingStudy/fdg"),
            ),
        ),
        case(
            "detail 12: results of another scan's report of the day",
            OPEN,
            chart(
                report(
                    words("FDG PET/CT"),
                    DAY,
                    result=[{"reference": "Observation/l"}, {"reference": "Observation/o"}],
                ),
                _lesion(20, id_="l"),
                _liver(6, id_="o"),
            ),
        ),
        case(
            "detail 12: of a study of the day that leaves the tracer to the procedure",
            "met",
            chart(
                _study(DAY, "study", modality=[{"system": DCM, "code": "PT"}]),
                *_linked("derivedFrom", "ImagingStudy/study"),
            ),
        ),
        case(
            "detail 12: of a study without a tracer beside two scans of the day",
            OPEN,
            chart(
                pet(DAY, "FDG"),
                _study(DAY, "study", modality=[{"system": DCM, "code": "PT"}]),
                *_linked("derivedFrom", "ImagingStudy/study"),
            ),
        ),
        case(
            "detail 12: of the study that names the procedure, beside two scans of the day",
            "met",
            chart(
                pet(DAY, "FDG"),
                _study(
                    DAY,
                    "study",
                    modality=[{"system": DCM, "code": "PT"}],
                    procedureReference={"reference": "Procedure/pet"},
                ),
                *_linked("derivedFrom", "ImagingStudy/study"),
            ),
        ),
        case(
            "detail 12: of no scan but of the day",
            "met",
            chart(*_linked("partOf", "MedicationAdministration/tracer")),
        ),
        case(
            "a lesion on either side",
            "unknown",
            chart(_lesion(4, comparator=">"), _liver(5)),
        ),
        case(
            "a lesion on either side beside one above",
            "met",
            chart(_lesion(4, comparator=">"), _lesion(9), _liver(5)),
        ),
        case("a lesion surely above", "met", chart(_lesion(5, comparator=">"), _liver(5))),
        case(
            "a lesion surely not above",
            "not_met new_data",
            chart(_lesion(5, comparator="<"), _liver(5)),
        ),
        case("two means that disagree", OPEN, chart(_lesion(8), _liver(6), _liver(10))),
        case("unusable value", "unknown", chart(_lesion(20, **STRANGE), _liver(6))),
        case("preliminary value", OPEN, chart(_lesion(20, status="preliminary"), _liver(6))),
        case("concluded positive", "met", _scans(_concluded("10828004"))),
        case("concluded negative", "not_met new_data", _scans(_concluded("260385009"))),
        case("concluded as indeterminate", OPEN, _scans(_concluded("82334004"))),
        case(
            "values and conclusion disagree",
            OPEN,
            _scans(_concluded("260385009"), _lesion(20), _liver(6)),
        ),
        case(
            "conclusion of an older scan",
            OPEN,
            _scans(_concluded("10828004", on="2025-05-04"), pet("2026-05-04")),
        ),
        case("no DOTATATE scan", OPEN, _scans(_lesion(20), _liver(6))),
        case(
            "SUV per lean body mass is not compared",
            OPEN,
            chart(*(one | {"code": coded("126402", DCM)} for one in (_lesion(20), _liver(6)))),
        ),
    ],
)
def test_uptake(expected: str, content: Json, how: Json) -> None:
    """A lesion's SUVmax strictly above the mean of normal liver, on the scan that decides."""
    assert expected == verdict(screen(content, **how), "sstr-positive")


def test_a_scan_too_old_is_still_compared() -> None:
    """Uptake is that of the deciding scan, whether or not it is recent enough."""
    found = screen(_scans(pet("2020-01-01"), _lesion(20, "2020-01-01"), _liver(6, "2020-01-01")))

    assert "not_met new_data" == verdict(found, "sstr-pet")
    assert "met" == verdict(found, "sstr-positive")


def test_loinc_names_no_uptake() -> None:
    """A SUV is known by its DICOM code only."""
    other = observation(
        coded("99999-9", LOINC), DAY, method=MAXIMUM, valueQuantity=quantity(9, "g/ml")
    )

    assert OPEN == verdict(screen(chart(other, _liver(6))), "sstr-positive")
