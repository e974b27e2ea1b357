"""Converted values: no digit that nobody measured, and none missing that tells one from a limit."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.criteria.showing import rounded
from cds_service.report import CriterionResult
from tests.charts import Json, chart, condition, lab, result, screen, upper

AT = "2026-11-20"


def hemoglobin(value: str) -> Json:
    """In mmol/L, of which 4.9646 are a hair below 80 g/L."""
    return lab("hemoglobin moles", float(value), "mmol/L", AT, id_="hb")


def bilirubin(value: float, **more: Any) -> Json:
    """In mg/dL, with an upper limit of normal of 1.2: the limit is 1.8, or 30.78 umol/L."""
    return lab("bilirubin", value, "mg/dL", AT, id_="bili", uln=upper(1.2), **more)


def creatinine(value: float, **more: Any) -> Json:
    """In mg/dL, of a man of 64."""
    return lab("creatinine", value, "mg/dL", AT, id_="crea", **more)


def weight(value: float) -> Json:
    """In kg."""
    return lab("weight", value, "kg", AT, id_="weight")


@pytest.mark.parametrize(
    ("resource", "criterion", "status", "said"),
    [
        (hemoglobin("7.3"), "hemoglobin", "met", "118 g/L"),
        (hemoglobin("5"), "hemoglobin", "met", "81 g/L"),
        (hemoglobin("4.9"), "hemoglobin", "not_met", "79 g/L"),
        (hemoglobin("4.97"), "hemoglobin", "met", "80.1 g/L"),
        (hemoglobin("4.96"), "hemoglobin", "not_met", "79.9 g/L"),
        (hemoglobin("4.9647"), "hemoglobin", "met", "80.001 g/L"),
        (hemoglobin("4.9646"), "hemoglobin", "not_met", "79.9996 g/L"),
        (bilirubin(0.7), "bilirubin", "met", "12 µmol/L, 0.58 × ULN"),
        (bilirubin(1.7), "bilirubin", "met", "29 µmol/L, 1.4 × ULN"),
        (bilirubin(1.79), "bilirubin", "met", "30.6 µmol/L, 1.49 × ULN"),
        (bilirubin(1.8), "bilirubin", "not_met", "30.78 µmol/L, 1.5 × ULN"),
        (bilirubin(1.81), "bilirubin", "not_met", "31 µmol/L, 1.51 × ULN"),
        (bilirubin(1.9), "bilirubin", "not_met", "32 µmol/L, 1.6 × ULN"),
        (bilirubin(1.7, comparator="<"), "bilirubin", "met", "<29 µmol/L, <1.4 × ULN"),
        (creatinine(1.68), "creatinine-clearance", "met", "50.3 mL/min"),
        (creatinine(1.69), "creatinine-clearance", "not_met", "49.97 mL/min"),
        (creatinine(1.0, comparator="<"), "creatinine-clearance", "met", ">84 mL/min"),
        (creatinine(3.0, comparator=">="), "creatinine-clearance", "not_met", "<=28 mL/min"),
    ],
)
def test_what_is_shown_is_on_the_side_of_the_limit_that_decides(
    resource: Json, criterion: str, status: str, said: str
) -> None:
    """The digits that were measured, and more where the value would else be the limit."""
    found = result(screen(chart(resource)), criterion)

    assert status == found.status
    assert said == re.sub(r" on 2026-\d\d-\d\d|,? \(needs.*|, Cockcroft.*", "", found.summary)


def test_a_clearance_that_is_the_limit_is_shown_as_the_limit() -> None:
    """(140 - 64) x 90 / (72 x 1.9) is 50, which is not above 50."""
    found = result(screen(chart(creatinine(1.9), weight(90))), "creatinine-clearance")

    assert ("not_met", True) == (found.status, found.summary.startswith("50 mL/min on "))


def bilirubin_evidence(found: CriterionResult) -> tuple[str | None, ...]:
    """How the first resource behind a criterion is told."""
    one = found.evidence[0]
    return one.value, one.normalized, one.shown


def test_the_report_keeps_the_exact_value() -> None:
    """Beside what the card shows of it."""
    content = chart(bilirubin(0.7))

    assert ("0.7 mg/dL", "11.97 µmol/L", "12 µmol/L") == bilirubin_evidence(
        result(screen(content), "bilirubin")
    )


@pytest.mark.parametrize("value", [11, 11.97, 11.970001])
def test_what_was_not_converted_is_shown_as_it_was_measured(value: float) -> None:
    """Every digit of it."""
    content = chart(lab("bilirubin moles", value, "umol/L", AT, id_="bili", uln=upper(20)))
    text = f"{value} µmol/L"

    assert (f"{value} umol/L", text, None) == bilirubin_evidence(
        result(screen(content), "bilirubin")
    )


def test_an_exception_s_limit_is_a_limit_too() -> None:
    """3 x 1.2 mg/dL are 3.6: 3.6 is at it, 3.61 above."""
    site = {"gilbert_bilirubin_uln_multiple": 3}
    said = [
        result(screen(chart(bilirubin(value), condition("E80.4")), site=site), "bilirubin").summary
        for value in (3.6, 3.61)
    ]

    assert [
        "61.56 µmol/L on 2026-11-20, 3 × ULN; Gilbert's (needs 3 × ULN or less)",
        "61.7 µmol/L on 2026-11-20, 3.01 × ULN; Gilbert's (needs 3 × ULN or less)",
    ] == said


@pytest.mark.parametrize(
    ("value", "verdict", "said"),
    [(3.6, "needs_confirmation", "318.24 µmol/L"), (3.61, "not_met", "319.1 µmol/L")],
)
def test_toxicity_is_shown_on_its_side_of_the_limit(value: float, verdict: str, said: str) -> None:
    """3 x 1.2 mg/dL are 318.24 umol/L, which is not above."""
    found = result(screen(chart(creatinine(value, uln=upper(1.2)))), "toxicity")

    assert verdict == found.status
    assert f"Creatinine (serum) {said}" in found.summary


@pytest.mark.parametrize(
    ("total", "share", "said"),
    [("4.37", "61.3", "2.68"), ("1.64", "61.3", "1.01"), ("1.631", "61.3", "0.9998")],
)
def test_a_calculated_count_has_no_more_digits_than_its_parts(
    total: str, share: str, said: str
) -> None:
    """But those that tell it from the limit of 1."""
    parts = (
        lab("leukocytes", float(total), "10*9/L", AT), lab("neutrophils %", float(share), "%", AT),
    )  # fmt: skip
    found = result(screen(chart(*parts, without="anc")), "neutrophils")

    assert found.summary.startswith(f"{said} ×10⁹/L on ")


NUMBERS = st.decimals("0.001", "5000", places=6)


@given(NUMBERS, st.integers(-6, 3), st.lists(NUMBERS, max_size=2))
def test_rounding_never_crosses_or_reaches_a_limit(
    value: Decimal, place: int, limits: list[Decimal]
) -> None:
    """And leaves no finer digit than that takes."""
    short = rounded(value, place, limits)

    assert [value.compare(one) for one in limits] == [short.compare(one) for one in limits]
    exponent = short.as_tuple().exponent
    assert isinstance(exponent, int)
    if short != value and exponent < place:
        coarser = value.quantize(Decimal((0, (1,), exponent + 1)), rounding="ROUND_HALF_UP")
        assert any(value.compare(one) != coarser.compare(one) for one in limits)
