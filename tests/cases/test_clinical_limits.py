"""Results at the limits: which side they are on, and what an interval or a range says of them.

Each chart is the full one with one change. What is expected is the status that the eligibility
rules prescribe, exactly.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests import charts
from tests.cases.sent import CELLS, DAY, Json, ago, chart, differing, lab, observation
from tests.charts import SNOMED, coded, quantity, upper

if TYPE_CHECKING:
    from tests.cases.conftest import Running


def anc(value: Any, unit: str | None = CELLS, **more: Any) -> list[Json]:
    """The full chart with this neutrophil count and no other."""
    return chart(lab("neutrophils", value, unit, **more), without="anc")


def bilirubin(value: Any, *ranges: Json, unit: str = "mg/dL", **more: Any) -> list[Json]:
    """The full chart with this bilirubin and no other."""
    more |= {"referenceRange": list(ranges)} if ranges else {}
    test = "bilirubin moles" if unit == "umol/L" else "bilirubin"
    return chart(lab(test, value, unit, **more), without="bili")


@pytest.mark.case("CLN-07")
def test_values_exactly_at_a_limit(service: Running) -> None:
    """Decimal arithmetic: 1.8 is not below 1.5 x 1.2, and 50 mL/min not above 50.

    Both limits of the trial are strict, so that exactly at the limit is not satisfied.
    """
    at = upper(1.2, "mg/dL")
    assert {} == differing(
        service,
        "bilirubin",
        {
            "at": ("not_met", bilirubin(1.8, at)),
            "below": ("met", bilirubin(1.7999999999999998, at)),
            "at in µmol/L": ("not_met", bilirubin(30.78, at, unit="umol/L")),
            "below in µmol/L": ("met", bilirubin(30.77, at, unit="umol/L")),
            "at 1.5 x 21 µmol/L": ("not_met", bilirubin(31.5, upper(21, "umol/L"), unit="umol/L")),
        },
    )

    def clearance(creatinine: Any, unit: str, kg: Any) -> list[Json]:
        born = {"birthDate": f"{DAY.year - 64}-01-01"}
        test = "creatinine moles" if unit == "umol/L" else "creatinine"
        both = lab(test, creatinine, unit), lab("weight", kg, "kg")
        return chart(*both, without="crea weight", person=born)

    # (140 - 64) x 90 / (72 x 1.9) = 50
    assert {} == differing(
        service,
        "creatinine-clearance",
        {
            "at": ("not_met", clearance(1.9, "mg/dL", 90)),
            "at in µmol/L": ("not_met", clearance(167.96, "umol/L", 90)),
            "above": ("met", clearance(1.9, "mg/dL", 90.1)),
        },
    )


LIMITS: dict[str, list[tuple[str, str, float, str]]] = {
    "hemoglobin": [("hb", "g/L", 79.9, "not_met"), ("hb", "g/L", 80, "met"),
                   ("hb", "g/L", 80.1, "met"), ("hb", "g/dL", 7.99, "not_met"),
                   ("hb", "g/dL", 8, "met")],
    "neutrophils": [("anc", CELLS, 0.99, "not_met"), ("anc", CELLS, 1.0, "met"),
                    ("anc", CELLS, 1.01, "met")],
    "platelets": [("plt", CELLS, 79, "not_met"), ("plt", CELLS, 80, "met"),
                  ("plt", CELLS, 81, "met")],
}  # fmt: skip


@pytest.mark.case("CLN-08")
@pytest.mark.parametrize("criterion", LIMITS)
def test_both_sides_of_a_limit(service: Running, criterion: str) -> None:
    """Just below, at, and just above."""
    rows = {
        f"{value} {unit}": (expected, chart(lab(criterion, value, unit), without=base))
        for base, unit, value, expected in LIMITS[criterion]
    }

    assert {} == differing(service, criterion, rows)


@pytest.mark.case("CLN-08")
def test_both_sides_of_the_other_limits(service: Running) -> None:
    """Strict and loose limits of the rest: clearance, ECOG, Karnofsky, bilirubin, viral load."""
    hiv = charts.condition("B20", onset=ago(3000))
    therapy = charts.statement(coded("J05AR02", charts.ATC), ago(900), status="active")

    def viral(value: Any, days: int = 30) -> list[Json]:
        return chart(hiv, therapy, lab("viral load", value, "{copies}/mL", days))

    tables: dict[str, list[tuple[str, list[Json]]]] = {
        "creatinine-clearance": [
            (expected, chart(lab("clearance 24 h", value, "mL/min"), without="crea"))
            for value, expected in ((49.9, "not_met"), (50, "not_met"), (50.1, "met"))
        ],
        "ecog": [
            (expected, chart(observation("ecog", valueInteger=value), without="ecog"))
            for value, expected in ((1, "met"), (2, "met"), (3, "not_met"))
        ]
        + [
            (expected, chart(observation("karnofsky", valueInteger=value), without="ecog"))
            for value, expected in ((40, "not_met"), (50, "needs_confirmation"), (60, "met"))
        ],
        "bilirubin": [
            (expected, bilirubin(value, upper(1.2, "mg/dL")))
            for value, expected in ((1.79, "met"), (1.8, "not_met"), (1.81, "not_met"))
        ],
        "hiv": [("met", viral(50)), ("not_met", viral(51)), ("met", viral(50, 150))],
        "toxicity": [
            (expected, chart(lab("lymphocytes", value, CELLS)))
            for value, expected in ((0.49, "not_met"), (0.5, "needs_confirmation"))
        ],
    }
    for criterion, cases in tables.items():
        rows = {str(number): row for number, row in enumerate(cases)}

        assert {} == differing(service, criterion, rows), criterion


@pytest.mark.case("CLN-08")
def test_both_sides_of_the_limits_of_a_course(service: Running) -> None:
    """Cycles and activity of PRRT, days of everolimus, months to progression and since the scan.

    A scan of 36 months ago to the day still counts, and so does progression 12 months to the day
    after the reference.
    """
    base = "prrt1 prrt2 prrt3 prrt4"

    def course(count: int, activity: Any = None, apart: int = 56, first: int = 1900) -> list[Json]:
        cycles = (charts.cycle(ago(first - apart * n), activity) for n in range(count))
        return chart(*cycles, without=base)

    def scan(on: str) -> list[Json]:
        return chart(charts.pet(on), without="pet")

    def progressed(reference: str) -> list[Json]:
        """Stable on that day, and worse today."""
        both = charts.response("SD", reference), charts.response("PD", ago(0))
        return chart(*both, without="after better worse")

    def everolimus(days: int) -> list[Json]:
        return chart(charts.statement(charts.EVEROLIMUS, ago(1000), ago(1001 - days)))

    tables: dict[str, list[tuple[str, list[Json]]]] = {
        "prrt-exposure": [
            ("not_met", course(2)), ("met", course(3)), ("met", course(4)), ("not_met", course(5)),
            ("not_met", course(5, 5327)), ("met", course(5, 5328)), ("met", course(5, 6512)),
            ("not_met", course(5, 6513)), ("met", course(3, apart=182)),
            ("not_met", course(3, apart=183)),
        ],
        "everolimus-limit": [("met", everolimus(31)), ("not_met", everolimus(32))],
        "sstr-pet": [
            ("met", scan(months_back(36))), ("not_met", scan(months_back(36, later=-1))),
            ("met", scan(ago(0))),
        ],
        "progression": [
            ("met", progressed(months_back(12))),
            ("not_met", progressed(months_back(12, later=1))),
            ("met", progressed(months_back(12, later=-1))),
        ],
        "sstr-positive": [
            (expected, chart(*_uptake(value, 5)))
            for value, expected in ((4.9, "not_met"), (5, "not_met"), (5.1, "met"))
        ],
    }  # fmt: skip
    for criterion, cases in tables.items():
        rows = {str(number): row for number, row in enumerate(cases)}

        assert {} == differing(service, criterion, rows), criterion


def months_back(months: int, later: int = 0) -> str:
    """The day so many months before today, or a few days after that, as the rules count months."""
    year, month = divmod(DAY.year * 12 + DAY.month - 1 - months, 12)
    day = min(DAY.day, monthrange(year, month + 1)[1])
    return (date(year, month + 1, day) + timedelta(days=later)).isoformat()


def _uptake(lesion: float, liver: float) -> list[Json]:
    """The uptake values of the chart's own scan."""
    suv = coded("126401", charts.DCM)
    scan = {"partOf": [{"reference": "Procedure/pet"}]}
    greatest, mean = coded("56851009", SNOMED), coded("373098007", SNOMED)
    organ = coded("10200004", SNOMED)
    return [
        observation(suv, method=greatest, valueQuantity=quantity(lesion, "g/mL{SUVbw}"), **scan),
        observation(suv, method=mean, bodySite=organ,
                    valueQuantity=quantity(liver, "g/mL{SUVbw}"), **scan),
    ]  # fmt: skip


@pytest.mark.case("CLN-09")
def test_comparators(service: Running) -> None:
    """A comparator is an interval: one that reaches over the limit decides nothing."""
    at = upper(1.2, "mg/dL")
    assert {} == differing(
        service,
        "neutrophils",
        {
            "<2.0": ("unknown", anc(2.0, comparator="<")),
            "<1.0": ("not_met", anc(1.0, comparator="<")),
            "<=1.0": ("unknown", anc(1.0, comparator="<=")),
            ">=1.0": ("met", anc(1.0, comparator=">=")),
            ">0.5": ("unknown", anc(0.5, comparator=">")),
            "no such": ("unknown", anc(2.9, comparator="~")),
        },
    )
    assert {} == differing(
        service,
        "bilirubin",
        {
            ">1.0": ("unknown", bilirubin(1.0, at, comparator=">")),
            "<1.0": ("met", bilirubin(1.0, at, comparator="<")),
            "<1.8": ("met", bilirubin(1.8, at, comparator="<")),
            "<=1.8": ("unknown", bilirubin(1.8, at, comparator="<=")),
            ">=1.8": ("not_met", bilirubin(1.8, at, comparator=">=")),
        },
    )


@pytest.mark.case("CLN-10")
def test_reference_ranges(service: Running) -> None:
    """The upper limit is that of the one range that fits; another unit is converted."""
    men = {"appliesTo": [coded("248153007", SNOMED)]}
    women = {"appliesTo": [coded("248152002", SNOMED)]}
    young = {"age": {"high": quantity(17, "a")}}
    rows = {
        "none": ("unknown", bilirubin(0.6)),
        "by sex": ("met", bilirubin(1.7, upper(1.2, "mg/dL", **men), upper(0.9, "mg/dL", **women))),
        "by age": ("met", bilirubin(1.7, upper(1.2, "mg/dL"), upper(0.4, "mg/dL", **young))),
        "two that fit": ("unknown", bilirubin(1.7, upper(1.2, "mg/dL"), upper(0.9, "mg/dL"))),
        "another unit": ("met", bilirubin(1.7, upper(20.52, "umol/L"))),
        "a unit of something else": ("unknown", bilirubin(1.7, upper(1.2, "kg"))),
        "upside down": (
            "unknown",
            bilirubin(1.7, {"low": quantity(5, "mg/dL"), "high": quantity(1.2, "mg/dL")}),
        ),
        "text only": ("unknown", bilirubin(0.6, {"text": "ZZPHI up to 1.2 mg/dL"})),
        "low only": ("unknown", bilirubin(0.6, {"low": quantity(0.1, "mg/dL")})),
        "therapeutic": ("unknown", bilirubin(0.6, upper(1.2, "mg/dL", type=coded(
            "therapeutic", "http://terminology.hl7.org/CodeSystem/referencerange-meaning")))),
    }  # fmt: skip

    assert {} == differing(service, "bilirubin", rows)
