"""The same amount in another unit is the same amount: every unit and spelling of the tables.

The sizes of units come from a UCUM parser, which shares nothing with the unit tables.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from ucumvert import PintUcumRegistry

from cds_service.record.tables import default_root
from tests import charts
from tests.charts import LOINC, UCUM, Json, coded
from tests.metamorphic.support import decided, differences, report_of, resources_of

# Analyte: its quantity, UCUM unit, the values tried, the criterion it decides, its LOINC code.
ANALYTES = {
    "hemoglobin": ("hemoglobin", "g/L", ("79", "81", "118"), "hemoglobin", "718-7"),
    "hemoglobin in moles": ("hemoglobin", "mmol/L", ("4.9", "5", "7.3"), "hemoglobin", "59260-0"),
    "platelets": ("platelet_count", "10*9/L", ("79", "81", "160"), "platelets", "777-3"),
    "neutrophils": ("cell_count", "10*9/L", ("0.9", "1.1", "2.9"), "neutrophils", "751-8"),
    "bilirubin": ("bilirubin", "mg/dL", ("0.6", "1.7", "1.9"), "bilirubin", "1975-2"),
    "bilirubin in moles": ("bilirubin", "umol/L", ("9", "30", "33"), "bilirubin", "14631-6"),
    "creatinine": ("creatinine", "mg/dL", ("0.8", "1.2", "2.4"), "creatinine-clearance", "2160-0"),
    "creatinine in moles": (
        "creatinine", "umol/L", ("70", "106", "200"), "creatinine-clearance", "14682-9",
    ),
    "clearance": ("clearance", "mL/min", ("49", "51", "90"), "creatinine-clearance", "2164-2"),
    "weight": ("weight", "kg", ("45", "80"), "creatinine-clearance", "29463-7"),
    "Ki-67": ("percent", "%", ("8", "30"), "grade", "29593-1"),
    "ECOG": ("ecog_score", "{score}", ("1", "3"), "ecog", "89247-1"),
    "viral load": ("viral_load", "{copies}/mL", ("20", "800"), "hiv", "20447-9"),
}  # fmt: skip
WITHOUT = {"hemoglobin": "hb", "hemoglobin in moles": "hb", "platelets": "plt", "Ki-67": "grade",
           "neutrophils": "anc", "bilirubin": "bili", "bilirubin in moles": "bili",
           "creatinine": "crea", "creatinine in moles": "crea", "weight": "weight",
           "ECOG": "ecog"}  # fmt: skip


def _rows(name: str) -> list[dict[str, str]]:
    with (Path(default_root()) / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def _spellings(quantity: str, unit: str) -> tuple[tuple[str, str], ...]:
    """Every spelling that a unit of the same dimension has for a quantity, with its UCUM unit."""
    dimensions = {row["ucum"]: row["dimension"] for row in _rows("ucum.csv")}
    fits = [name for name, dimension in dimensions.items() if dimension == dimensions[unit]]
    own = [(row["spelling"], row["ucum"]) for row in _rows("spellings.csv")
           if row["quantity"] == quantity and row["ucum"] in fits]  # fmt: skip
    # A spelling of the quantity's own decides before UCUM does: K/uL.
    return tuple(({name: name for name in fits} | dict(own)).items())


@cache
def _registry() -> PintUcumRegistry:
    return PintUcumRegistry()


@cache
def _size(ucum: str) -> Decimal:
    """A unit's size in base units, to twelve digits, which is exact for every unit here."""
    read = _registry().from_ucum(ucum)
    # A bare one, or an annotation alone, comes back as its text.
    size = 1.0 if isinstance(read, str) else float((1 * read).to_base_units().magnitude)
    return Decimal(f"{size:.12g}")


def _converted(value: str, unit: str, other: str) -> Decimal:
    return Decimal(f"{Decimal(value) * _size(unit) / _size(other):.12g}")


CASES = [
    pytest.param(analyte, spelling, ucum, coded_, id=f"{analyte}: {spelling}{' as code' * coded_}")
    for analyte, (quantity, unit, *_) in ANALYTES.items()
    for spelling, ucum in _spellings(quantity, unit)
    for coded_ in ((False, True) if spelling == ucum else (False,))
]


def _measured(analyte: str, value: Decimal, unit: str, ucum: str, *, as_code: bool) -> list[Json]:
    code = ANALYTES[analyte][4]
    amount: Json = {"value": float(value) if value % 1 else int(value), "unit": unit}
    if as_code:
        amount |= {"system": UCUM, "code": ucum}
    limits = {"bilirubin": ("1.2", "mg/dL"), "bilirubin in moles": ("20.6", "umol/L")}
    how: Json = {}
    if analyte in limits:
        # The range has no unit of its own, and so that of the value.
        limit = _converted(*limits[analyte], ucum)
        how["referenceRange"] = [{"high": {"value": float(limit)}}]
    made = charts.observation(coded(code, LOINC), id_="it", valueQuantity=amount, **how)
    hiv = [charts.condition("B20", id_="hiv")] if analyte == "viral load" else []
    return [*resources_of(charts.chart(without=WITHOUT.get(analyte, ""))), *hiv, made]


@pytest.mark.parametrize(("analyte", "spelling", "ucum", "as_code"), CASES)
def test_a_unit_s_spelling_decides_nothing(
    analyte: str,
    spelling: str,
    ucum: str,
    as_code: bool,  # noqa: FBT001
) -> None:
    """One report in every unit, but for the value as it was recorded."""
    _, unit, values, criterion, _ = ANALYTES[analyte]
    # Which unit a spelling means shows at one value; the unit's size at all of them.
    for value in values if spelling == ucum else values[:1]:
        plain = _plain(analyte, value)
        amount = _converted(value, unit, ucum)
        other = report_of(_measured(analyte, amount, spelling, ucum, as_code=as_code))

        assert [] == differences(decided(plain), decided(other))
        assert not other["dataIssues"]
        shown = [_normalized(one, criterion) for one in (plain, other)]
        assert pytest.approx(shown[0], rel=1e-9) == shown[1]


@cache
def _plain(analyte: str, value: str) -> Json:
    """The report where the value is in the analyte's own unit, as UCUM."""
    unit = ANALYTES[analyte][1]
    return report_of(_measured(analyte, Decimal(value), unit, unit, as_code=True))


def _normalized(report: Json, criterion: str) -> list[float]:
    """The normalised values behind a criterion."""
    result = next(one for one in report["criteria"] if one["id"] == criterion)
    texts = [one["normalized"] for one in result["evidence"] if one["normalized"]]
    return [float(text.split()[0]) for text in texts]


def test_the_values_decide() -> None:
    """The values tried lie on both sides of each limit, so that a wrong factor would show."""
    for analyte, (_, _, values, criterion, _) in ANALYTES.items():
        reports = [_plain(analyte, value)["criteria"] for value in values]
        found = {one["status"] for report in reports for one in report if one["id"] == criterion}
        findings = {
            one["finding"] for report in reports for one in report if one["id"] == criterion
        }

        assert 1 < len(found | findings), analyte
