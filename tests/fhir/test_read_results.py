"""Results: what a value is, when it is of, and what makes it unusable rather than absent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.charts import (
    LOINC,
    SNOMED,
    STRANGE,
    UCUM,
    WOMAN,
    chart,
    coded,
    days_ago,
    issues,
    lab,
    observation,
    quantity,
    result,
    screen,
    upper,
    verdict,
    words,
)

MET, LOW, UNKNOWN = "met", "not_met new_data", "unknown"
PANEL = coded("58410-2", LOINC)


def hemoglobin(**elements: Any) -> str:
    """What is said of a haemoglobin newer than a good one."""
    newer = observation("hemoglobin", days_ago(2), id_="new", **elements)
    return verdict(screen(chart(newer)), "hemoglobin")


def screened(number: str) -> str:
    """What is said of a haemoglobin whose number is written like that."""
    newer = observation("hemoglobin", days_ago(2), valueQuantity={"value": "@", "unit": "g/L"})
    text = json.dumps(chart(newer)).replace('"@"', number)
    return verdict(screen(text.encode()), "hemoglobin")


# --- Values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("80", MET), ("80.0000000000000000000", MET), ("8e1", MET), ("0.8E+2", MET),
        ("79.99999999999999999999", LOW),
        ("1e999", UNKNOWN), ("-1e999", UNKNOWN), ("1e-999", UNKNOWN),
        ("9" * 5000, UNKNOWN), ("0." + "1" * 5000, UNKNOWN), ("-0", UNKNOWN), ("-80", UNKNOWN),
        ("0", UNKNOWN), ("301", UNKNOWN), ('"91"', UNKNOWN), ('"NaN"', UNKNOWN), ("true", UNKNOWN),
        ("[91]", UNKNOWN), ("{}", UNKNOWN),
    ],
)  # fmt: skip
def test_a_number_is_what_is_written_or_it_is_no_number(number: str, expected: str) -> None:
    """Exact on the limit; never infinite, never rounded, never made from a text."""
    assert expected == screened(number)


EMPTY: list[dict[str, Any]] = [
    {},
    {"valueQuantity": None},
    {"valueQuantity": {}},
    {"valueQuantity": {"unit": "g/L"}},
    {"valueQuantity": {"value": None, "unit": "g/L"}},
    {"dataAbsentReason": coded("unknown", "x")},
    {"dataAbsentReason": words("haemolysed")},
    {"valueQuantity": quantity(60, "g/L"), "dataAbsentReason": coded("error", "x")},
]
UNUSABLE: list[dict[str, Any]] = [
    {"valueQuantity": quantity(91)},
    {"valueQuantity": quantity(91, "%")},
    {"valueQuantity": quantity(91, "furlong")},
    {"valueQuantity": {"value": 9.1, "unit": "g/dL", "system": UCUM, "code": "g/L"}},
    {"valueQuantity": {"value": 91, "unit": "mmol/L", "system": UCUM, "code": "g/L"}},
    {"valueQuantity": quantity(91, "mmol/L")},
    {"valueQuantity": quantity(91, "g/L", comparator="~")},
    {"valueQuantity": quantity(75, "g/L", comparator=">")},
    {"valueQuantity": {"value": 91, "unit": 5}},
    {"valueQuantity": [quantity(91, "g/L")]},
    {"valueString": "91 g/L"},
    {"valueString": "see comment"},
    {"valueString": ""},
    {"valueInteger": 91},
    {"valueInteger": "91"},
    {"valueBoolean": True},
    {"valueRange": {"low": quantity(91, "g/L")}},
    {"valueRatio": {}},
    {"valueTime": "10:00"},
    {"valueCodeableConcept": words("normal")},
    {"valueQuantity": quantity(91, "g/L"), **STRANGE},
    {"valueQuantity": quantity(91, "g/L"), "modifierExtension": 5},
    {"valueQuantity": quantity(91, "g/L"), "implicitRules": "x"},
    {"valueQuantity": quantity(91, "g/L"), "focus": [{"reference": "Patient/ben"}]},
    {"valueQuantity": quantity(91, "g/L"), "focus": [{"display": "fetus"}]},
    {"valueQuantity": quantity(91, "g/L"), "focus": 5},
    {"valueQuantity": quantity(91, "g/L"), "bodySite": 5},
    {"valueQuantity": quantity(91, "g/L"), "subject": 5},
    {"valueQuantity": quantity(91, "g/L"), "status": None},
    {"valueQuantity": quantity(91, "g/L"), "status": 5},
    {"valueQuantity": quantity(91, "g/L"), "status": "FINAL"},
    {"dataAbsentReason": 5},
]


@pytest.mark.parametrize("elements", EMPTY)
def test_an_empty_result_lets_an_older_one_decide(elements: dict[str, Any]) -> None:
    """No value, or a reason why there is none; the evidence says that it was passed over."""
    found = screen(chart(observation("hemoglobin", days_ago(2), **elements)))

    assert MET == verdict(found, "hemoglobin")
    assert result(found, "hemoglobin").advisories


@pytest.mark.parametrize("elements", UNUSABLE)
def test_an_unusable_result_lets_nothing_decide(elements: dict[str, Any]) -> None:
    """The newest is broken, so what the patient has now is not known."""
    assert UNKNOWN == hemoglobin(**elements)


@pytest.mark.parametrize(
    "status", ["registered", "preliminary", "cancelled", "entered-in-error", "unknown"]
)
def test_a_result_that_is_not_final_is_none(status: str) -> None:
    """The older, final one decides."""
    assert MET == hemoglobin(valueQuantity=quantity(60, "g/L"), status=status)


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_a_final_result_decides(status: str) -> None:
    """An amended one as well."""
    assert LOW == hemoglobin(valueQuantity=quantity(60, "g/L"), status=status)


def test_focus_on_the_patient_is_no_one_else() -> None:
    """A focus may be told although it is the subject."""
    focus = [{"reference": "Patient/anna/_history/2"}]

    assert LOW == hemoglobin(valueQuantity=quantity(60, "g/L"), focus=focus)


# --- Components --------------------------------------------------------------------------------

LOW_PART = {"code": coded("718-7", LOINC), "valueQuantity": quantity(60, "g/L")}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (LOW_PART, LOW),
        (LOW_PART | STRANGE, UNKNOWN),
        (LOW_PART | {"valueQuantity": 5}, UNKNOWN),
        (LOW_PART | {"modifierExtension": 5}, UNKNOWN),
        (LOW_PART | {"valueQuantity": quantity("60", "g/L")}, UNKNOWN),
        (LOW_PART | {"valueQuantity": None}, MET),
        (LOW_PART | {"dataAbsentReason": words("clotted")}, MET),
    ],
)
@pytest.mark.parametrize("code", [PANEL, words("blood count"), None])
def test_a_component_is_a_result_of_its_own(part: Any, expected: str, code: Any) -> None:
    """Whatever stands beside it, and whether or not its panel has a code."""
    panel = observation(PANEL, days_ago(2), component=[{"code": words("x")}, 5, part]) | {
        "code": code
    }

    assert expected == verdict(screen(chart(panel)), "hemoglobin")


def test_a_panel_s_modifier_holds_for_its_components() -> None:
    """What turns the whole around turns its parts around."""
    panel = observation(PANEL, days_ago(2), component=[LOW_PART], **STRANGE)

    assert UNKNOWN == verdict(screen(chart(panel)), "hemoglobin")


@pytest.mark.parametrize("code", [None, {}, 5, {"coding": []}, {"coding": [{"system": LOINC}]}])
def test_an_observation_of_nothing_may_be_of_anything(code: Any) -> None:
    """No criterion is met because no observation says otherwise; those with evidence stay."""
    found = screen(chart(observation(words("x"), id_="x") | {"code": code}, person=WOMAN))

    assert UNKNOWN == verdict(found, "breastfeeding")
    assert MET == verdict(found, "platelets")
    assert ("unreadable", "Observation/x") in issues(found)


# --- When --------------------------------------------------------------------------------------


def dated(**elements: Any) -> str:
    """What is said of the only haemoglobin, which is good, by its date."""
    held = observation("hemoglobin", None, valueQuantity=quantity(91, "g/L"), **elements)
    return verdict(screen(chart(held, without="hb")), "hemoglobin")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"effectiveDateTime": days_ago(28)}, MET),
        ({"effectiveDateTime": days_ago(29)}, UNKNOWN),
        ({"effectiveDateTime": days_ago(-1)}, UNKNOWN),
        ({"effectiveDateTime": f"{days_ago(3)}T10:15"}, MET),
        ({"effectiveInstant": f"{days_ago(3)}T10:15:00Z"}, MET),
        ({"effectiveDateTime": "2026-11"}, MET),
        ({"effectiveDateTime": "2026-10"}, UNKNOWN),
        ({"effectiveDateTime": "2026"}, UNKNOWN),
        ({"effectiveDateTime": ""}, UNKNOWN),
        ({"effectiveDateTime": "yesterday"}, UNKNOWN),
        ({"effectiveDateTime": 2026}, UNKNOWN),
        ({"effectiveDateTime": "0001-01-01T00:00:00Z"}, UNKNOWN),
        ({"effectiveTiming": {"event": [days_ago(3)]}}, UNKNOWN),
        ({"effectivePeriod": {"start": days_ago(40), "end": days_ago(3)}}, MET),
        ({"effectivePeriod": {"start": days_ago(3)}}, MET),
        ({"effectivePeriod": {"start": days_ago(40)}}, UNKNOWN),
        ({"effectivePeriod": {"start": days_ago(3), "end": "x"}}, UNKNOWN),
        ({"effectivePeriod": {}}, UNKNOWN),
        ({"effectivePeriod": "x"}, UNKNOWN),
        ({"issued": f"{days_ago(3)}T10:15:00Z"}, MET),
        ({"issued": 5}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_the_day_of_a_result(elements: dict[str, Any], expected: str) -> None:
    """In the window, out of it, or on a day that is not known."""
    assert expected == dated(**elements)


# --- Reference ranges --------------------------------------------------------------------------

HIGH, WIDE = upper(1.2, "mg/dL"), upper(5, "mg/dL")
MEN = {"appliesTo": [coded("male", "x")]}
WOMEN = {"appliesTo": [coded("248152002", SNOMED)]}


def bilirubin(*ranges: Any, value: float = 2, site: Any = None) -> str:
    """What is said of 2 mg/dL: too much for a limit of 1.2, not for one of 5."""
    held = lab("bilirubin", value, "mg/dL", id_="bili", referenceRange=list(ranges))
    return verdict(screen(chart(held), site=site), "bilirubin")


def years(low: float | None = None, high: float | None = None, **unit: str) -> dict[str, Any]:
    """The ages that a range is for."""
    ends = {"low": low, "high": high}
    return {"age": {name: {"value": at, **unit} for name, at in ends.items() if at is not None}}


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([HIGH], LOW),
        ([WIDE], MET),
        ([upper(12, "mg/L")], LOW),
        ([upper(20, "umol/L")], LOW),
        ([upper(85.5, "umol/L")], MET),
        ([upper(1.2)], LOW),
        ([HIGH, WIDE], UNKNOWN),
        ([HIGH | WOMEN, WIDE | MEN], MET),
        ([WIDE | WOMEN, HIGH | MEN], LOW),
        ([WIDE | years(0, 17), HIGH | years(18)], LOW),
        ([WIDE | years(0, 64, code="mo"), HIGH | years(18, unit="years")], LOW),
        ([WIDE | years(0, 64, unit="days"), HIGH | years(18, 99, code="a")], LOW),
        ([WIDE | {"type": coded("treatment", "x")}], UNKNOWN),
        ([WIDE | {"type": coded("therapeutic", "x")}, HIGH], LOW),
        ([WIDE | {"type": coded("normal", "x")}], MET),
        ([{"text": "up to 5 mg/dL"}], UNKNOWN),
        ([WIDE | {"low": quantity(9, "mg/dL")}], UNKNOWN),
        ([{"low": quantity(0, "mg/dL")}], UNKNOWN),
        ([upper("5", "mg/dL")], UNKNOWN),
        ([upper(5, "furlong")], UNKNOWN),
        ([upper(5, "%")], UNKNOWN),
        ([WIDE | STRANGE], UNKNOWN),
        ([WIDE | STRANGE | WOMEN, HIGH | MEN], LOW),
        ([5], UNKNOWN),
        ([None], UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_the_limit_of_normal_is_the_one_range_that_fits(ranges: Any, expected: str) -> None:
    """By sex and age; not a therapeutic one, not a text, not one that makes no sense."""
    assert expected == bilirubin(*ranges)


@pytest.mark.parametrize("broken", [5, WIDE | STRANGE])
def test_the_site_s_limit_does_not_stand_in_for_a_range_that_is_not_understood(broken: Any) -> None:
    """It does for one that is not there."""
    site = {"uln": {"bilirubin": {"value": 5, "unit": "mg/dL"}}}

    assert UNKNOWN == bilirubin(broken, site=site)
    assert MET == bilirubin(site=site)


# --- Answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"valueCodeableConcept": words("Negative")}, "met"),
        ({"valueString": "negative"}, "met"),
        ({"valueBoolean": False}, "met"),
        ({"interpretation": [coded("NEG", "x", text="Negative")]}, "met"),
        ({"interpretation": [words("Positive")]}, "needs_confirmation"),
        ({"valueBoolean": True}, "needs_confirmation"),
        ({"interpretation": 5}, UNKNOWN),
        ({"valueString": "negative, see the comment on the sample"}, UNKNOWN),
        ({"valueCodeableConcept": words("Test ordered")}, UNKNOWN),
        ({"interpretation": [words("Negative")], "dataAbsentReason": words("x")}, UNKNOWN),
    ],
)
def test_a_pregnancy_test_is_read_by_its_exact_answer(
    elements: dict[str, Any], expected: str
) -> None:
    """From any element that may hold it; prose is no answer."""
    found = screen(chart(observation("hcg", days_ago(3), **elements), person=WOMAN))

    assert expected == result(found, "pregnancy-test").status


def test_samples_of_one_name_in_two_results_are_two() -> None:
    """``#s`` inside of one Observation is not ``#s`` inside of another."""
    sample = {"specimen": {"reference": "#s"}}
    parts = chart(
        lab("leukocytes", 4, "10*9/L", days_ago(9), **sample),
        lab("neutrophils %", 60, "%", days_ago(3), **sample),
        without="anc",
    )

    assert UNKNOWN == verdict(screen(parts), "neutrophils")


def test_results_of_one_sample_belong_together() -> None:
    """Whenever they were measured."""
    sample = {"specimen": {"reference": "Specimen/s/_history/1"}}
    parts = chart(
        lab("leukocytes", 4, "10*9/L", days_ago(9), **sample),
        lab("neutrophils %", 60, "%", days_ago(3), specimen={"reference": "Specimen/s"}),
        without="anc",
    )

    assert MET == verdict(screen(parts), "neutrophils")
