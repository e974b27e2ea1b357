"""Laboratory limits: every side of every limit, unit and window."""

# ruff: noqa: ARG002  the class is parametrized, and not every test of it needs every value

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from tests.charts import (
    ICD10CM,
    LOINC,
    SNOMED,
    STRANGE,
    UCUM,
    Json,
    case,
    chart,
    coded,
    condition,
    days_ago,
    issues,
    lab,
    observation,
    result,
    screen,
    upper,
    verdict,
    words,
)

CASES = ("expected", "content", "how")
CELLS = "10*9/L"
LIMITS = [
    ("hemoglobin", "hb", "g/L", 80),
    ("neutrophils", "anc", CELLS, 1.0),
    ("platelets", "plt", CELLS, 80),
]


def raw(content: Json, old: str, new: str) -> Any:
    """The Bundle with a number written exactly as given."""
    return json.dumps(content).replace(old, new, 1).encode()


@pytest.mark.parametrize(("test", "base", "unit", "limit"), LIMITS)
class TestCountsAndHemoglobin:
    """What haemoglobin, neutrophils and platelets have in common."""

    @pytest.mark.parametrize(
        ("step", "expected"), [(0.1, "met"), (0, "met"), (-0.1, "not_met new_data")]
    )
    def test_limit(
        self, test: str, base: str, unit: str, limit: float, step: Any, expected: str
    ) -> None:
        """At the limit it is satisfied, below it is not."""
        content = chart(lab(test, round(limit + step, 1), unit), without=base)

        assert expected == verdict(screen(content), test)

    @pytest.mark.parametrize(
        ("on", "expected"),
        [
            (days_ago(0), "met"),
            (days_ago(28), "met"),
            (days_ago(29), "unknown"),
            (days_ago(-1), "unknown"),
            (None, "unknown"),
            ("2026-11", "met"),
            ("2026-10", "unknown"),
            ("2026", "unknown"),
            ("2026-11-23T23:59:59Z", "met"),
            ("2026-11-24T00:30:00Z", "unknown"),
            ("2026-W47", "unknown"),
        ],
    )
    def test_window(
        self, test: str, base: str, unit: str, limit: float, on: str | None, expected: str
    ) -> None:
        """28 days ago counts, 29 days ago, undated and future do not; vague dates are intervals."""
        content = chart(lab(test, limit, unit, on), without=base)

        assert expected == verdict(screen(content), test)

    def test_valid_through(self, test: str, base: str, unit: str, limit: float) -> None:
        """It holds through the 28th day."""
        content = chart(lab(test, limit, unit, "2026-11-10"), without=base)

        assert date(2026, 12, 8) == result(screen(content), test).valid_through

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("final", "not_met new_data"),
            ("amended", "not_met new_data"),
            ("corrected", "not_met new_data"),
            ("preliminary", "met"),
            ("registered", "met"),
            ("cancelled", "met"),
            ("entered-in-error", "met"),
            ("unknown", "met"),
        ],
    )
    def test_status(
        self, test: str, base: str, unit: str, limit: float, status: str, expected: str
    ) -> None:
        """Only final, amended and corrected results count."""
        newest = lab(test, limit / 2, unit, days_ago(1), status=status)

        assert expected == verdict(screen(chart(newest)), test)

    @pytest.mark.parametrize(
        ("newest", "expected"),
        [
            ({"dataAbsentReason": words("clotted")}, "met"),
            ({}, "met"),
            ({"valueString": "haemolysed"}, "unknown"),
            ({"valueQuantity": {"value": 500}}, "unknown"),
            ({"valueQuantity": {"value": 500, "unit": "furlongs"}}, "unknown"),
            (
                {"valueQuantity": {"value": 500, "unit": "mm", "system": UCUM, "code": "mm"}},
                "unknown",
            ),
            ({"valueQuantity": {"value": "500", "unit": "g/L"}}, "unknown"),
            ({"valueQuantity": {"value": 1e9, "unit": "g/L"}}, "unknown"),
            ({"valueRange": {"low": {"value": 100}}}, "unknown"),
            ({"valueInteger": 500}, "unknown"),
        ],
    )
    def test_newest_without_a_usable_value(
        self, test: str, base: str, unit: str, limit: float, newest: Any, expected: str
    ) -> None:
        """Detail 1: an empty newest lets an older one decide, an unusable one does not."""
        content = chart(observation(test, days_ago(1), **newest))

        assert expected == verdict(screen(content), test)

    @pytest.mark.parametrize(
        "elements",
        [
            STRANGE,
            {"implicitRules": "urn:x"},
            {"focus": [{"reference": "Patient/baby"}]},
            {"focus": [{"display": "fetus"}]},
        ],
    )
    def test_newest_that_may_not_be_used(
        self, test: str, base: str, unit: str, limit: float, elements: Any
    ) -> None:
        """Unknown modifiers and a focus on anyone else make it unusable."""
        newest = lab(test, limit * 2, unit, days_ago(1), id_="newest", **elements)
        found = screen(chart(newest))

        assert "unknown" == verdict(found, test)
        assert "Observation/newest" in {reference for _, reference in issues(found)}

    def test_focus_on_the_patient(self, test: str, base: str, unit: str, limit: float) -> None:
        """A focus on the patient says nothing new."""
        newest = lab(test, limit * 2, unit, days_ago(1), focus=[{"reference": "Patient/anna"}])

        assert "met" == verdict(screen(chart(newest)), test)

    @pytest.mark.parametrize(
        ("comparator", "factor", "expected"),
        [
            (">", 1, "met"),
            (">=", 1, "met"),
            ("<", 1, "not_met new_data"),
            ("<=", 1, "unknown"),
            (">", 0.5, "unknown"),
            ("<", 2, "unknown"),
            ("<", 0.5, "not_met new_data"),
            (">", 2, "met"),
            ("~", 2, "unknown"),
        ],
    )
    def test_comparator(
        self,
        test: str,
        base: str,
        unit: str,
        limit: float,
        comparator: str,
        factor: Any,
        expected: str,
    ) -> None:
        """A comparator is an interval; where it straddles the limit, it is unknown."""
        newest = lab(test, limit * factor, unit, days_ago(1), comparator=comparator)

        assert expected == verdict(screen(chart(newest)), test)

    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            ((days_ago(1), days_ago(1)), "needs_confirmation"),
            ((days_ago(1), days_ago(1) + "T08:00:00Z"), "needs_confirmation"),
            ((days_ago(1) + "T08:00:00Z", days_ago(1) + "T09:00:00Z"), "not_met new_data"),
            ((days_ago(1) + "T09:00:00Z", days_ago(1) + "T08:00:00Z"), "met"),
            ((days_ago(1) + "T09:00:00Z", days_ago(1) + "T10:00:00+01:00"), "needs_confirmation"),
            ((days_ago(2), days_ago(1)), "not_met new_data"),
        ],
    )
    def test_ties(
        self, test: str, base: str, unit: str, limit: float, times: Any, expected: str
    ) -> None:
        """Detail 8: a result dated by day ties with all of it; ties that disagree are open."""
        fine, low = lab(test, limit, unit, times[0]), lab(test, limit / 2, unit, times[1])

        assert expected == verdict(screen(chart(fine, low)), test)

    def test_ties_that_agree(self, test: str, base: str, unit: str, limit: float) -> None:
        """Two of one day on the same side decide."""
        content = chart(
            lab(test, limit, unit, days_ago(1)), lab(test, limit * 2, unit, days_ago(1))
        )

        assert "met" == verdict(screen(content), test)

    def test_the_end_of_a_period_is_its_date(
        self, test: str, base: str, unit: str, limit: float
    ) -> None:
        """Detail 8: a period's end is the clinical date of a laboratory result."""
        period = {"start": days_ago(40), "end": days_ago(28)}
        late = lab(test, limit, unit, None, effectivePeriod=period)
        early = lab(test, limit, unit, None, effectivePeriod=period | {"end": days_ago(29)})

        assert "met" == verdict(screen(chart(late, without=base)), test)
        assert "unknown" == verdict(screen(chart(early, without=base)), test)

    def test_issued_stands_in(self, test: str, base: str, unit: str, limit: float) -> None:
        """The time of issue stands in where there is no clinical date, and is told."""
        stood_in = lab(test, limit, unit, None, issued="2026-11-10T10:00:00Z")
        found = result(screen(chart(stood_in, without=base)), test)

        assert "met" == found.status
        assert any("issued" in note for one in found.evidence for note in one.notes)

    def test_none(self, test: str, base: str, unit: str, limit: float) -> None:
        """Without any result it is unknown."""
        assert "unknown" == verdict(screen(chart(without=base)), test)

    def test_an_older_result_that_decides_is_told(
        self, test: str, base: str, unit: str, limit: float
    ) -> None:
        """Detail 1: the evidence says that an empty newer one was passed over."""
        found = result(screen(chart(observation(test, days_ago(1)))), test)

        assert ("met", True) == (found.status, bool(found.advisories))

    def test_of_another_patient(self, test: str, base: str, unit: str, limit: float) -> None:
        """Another patient's result is dropped."""
        theirs = lab(test, limit / 2, unit, days_ago(1), subject={"reference": "Patient/bob"})

        assert "met" == verdict(screen(chart(theirs)), test)


@pytest.mark.parametrize(
    CASES,
    [
        case("8.0 g/dL", "met", chart(lab("hemoglobin", 8.0, "g/dL"))),
        case("7.9 g/dL", "not_met new_data", chart(lab("hemoglobin", 7.9, "g/dL"))),
        case("4.97 mmol/L is 80.09 g/L", "met", chart(lab("hemoglobin moles", 4.97, "mmol/L"))),
        case(
            "4.96 mmol/L is 79.93 g/L",
            "not_met new_data",
            chart(lab("hemoglobin moles", 4.96, "mmol/L")),
        ),
        case("detail 7: mmol/L on a mass code", "unknown", chart(lab("hemoglobin", 7.5, "mmol/L"))),
        case(
            "detail 7: g/L on a molar code", "unknown", chart(lab("hemoglobin moles", 120, "g/L"))
        ),
        case(
            "detail 7: unit and code disagree",
            "unknown",
            chart(
                observation(
                    "hemoglobin",
                    valueQuantity={"value": 12, "unit": "g/L", "system": UCUM, "code": "g/dL"},
                )
            ),
        ),
        case(
            "detail 7: the code decides",
            "met",
            chart(
                observation(
                    "hemoglobin",
                    valueQuantity={"value": 12, "unit": "gm%", "system": UCUM, "code": "g/dL"},
                )
            ),
        ),
        case(
            "unit by its spelling",
            "met",
            chart(observation("hemoglobin", valueQuantity={"value": 12, "unit": "g/dl"})),
        ),
        case("plausible from 10", "not_met new_data", chart(lab("hemoglobin", 10, "g/L"))),
        case("not below", "unknown", chart(lab("hemoglobin", 9.9, "g/L"))),
        case("plausible to 300", "met", chart(lab("hemoglobin", 300, "g/L"))),
        case("not above", "unknown", chart(lab("hemoglobin", 300.1, "g/L"))),
        case("zero", "unknown", chart(lab("hemoglobin", 0, "g/L"))),
        case("negative", "unknown", chart(lab("hemoglobin", -90, "g/L"))),
        case(
            "a code of another system",
            "met",
            chart(
                observation(
                    coded("718-7", "urn:oid:1.2.3"),
                    days_ago(1),
                    valueQuantity={"value": 70, "unit": "g/L"},
                )
            ),
        ),
    ],
)
def test_hemoglobin(expected: str, content: Json, how: Json) -> None:
    """Haemoglobin of at least 80 g/L, in every unit."""
    assert expected == verdict(screen(content, **how), "hemoglobin")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("80.0", "met"),
        ("79.99999999999999999999", "not_met new_data"),
        ("8e1", "met"),
        ("80.00000000000000000001", "met"),
        ("7.9999e1", "not_met new_data"),
    ],
)
def test_values_are_exact(written: str, expected: str) -> None:
    """The number is exact from the JSON text to the comparison."""
    content = raw(chart(lab("hemoglobin", 80.123, "g/L")), "80.123", written)

    assert expected == verdict(screen(content), "hemoglobin")


@pytest.mark.parametrize(
    "unit", ["10*3/uL", "K/uL", "10*3/mm3", "x10E9/L", "G/L", "10^9/L", "10*9/L"]
)
@pytest.mark.parametrize(("value", "expected"), [(1.0, "met"), (0.9, "not_met new_data")])
def test_spellings_of_a_thousand_per_microlitre(unit: str, value: Any, expected: str) -> None:
    """Every spelling means the same count."""
    newest = observation("neutrophils", valueQuantity={"value": value, "unit": unit})

    assert expected == verdict(screen(chart(newest)), "neutrophils")


@pytest.mark.parametrize("unit", ["/uL", "/cmm", "/mm3", "cells/uL"])
@pytest.mark.parametrize(
    ("value", "expected"), [(1000, "met"), (999, "not_met new_data"), (1, "not_met new_data")]
)
def test_spellings_of_cells_per_microlitre(unit: str, value: Any, expected: str) -> None:
    """The size of the number never decides its unit."""
    newest = observation("neutrophils", valueQuantity={"value": value, "unit": unit})

    assert expected == verdict(screen(chart(newest)), "neutrophils")


@pytest.mark.parametrize(
    CASES,
    [
        case("platelets plausible to 5,000", "met", chart(lab("platelets", 5000, CELLS))),
        case("platelets not above", "unknown", chart(lab("platelets", 5001, CELLS))),
        case("platelets of 0", "not_met new_data", chart(lab("platelets", 0, CELLS))),
        case(
            "platelets in plasma are a trap",
            "met",
            chart(
                observation(
                    coded("13056-7", LOINC), days_ago(1), valueQuantity={"value": 5, "unit": CELLS}
                )
            ),
        ),
    ],
)
def test_platelets(expected: str, content: Json, how: Json) -> None:
    """Platelets of at least 80."""
    assert expected == verdict(screen(content, **how), "platelets")


def sampled(*tests: Any, on: str | None = "2026-11-20T08:00:00Z", **elements: Any) -> Any:
    """Results of one sampling time: (test, value), a percentage where the test says so."""
    return [
        lab(test, value, "%" if test.endswith("%") else CELLS, on, **elements)
        for test, value in tests
    ]


def _no_direct(*resources: Any) -> Any:
    return chart(*resources, without="anc")


@pytest.mark.parametrize(
    CASES,
    [
        case("direct of 500", "met", chart(lab("neutrophils", 500, CELLS))),
        case("direct above that", "unknown", chart(lab("neutrophils", 501, CELLS))),
        case(
            "segmented and bands", "met", _no_direct(*sampled(("segmented", 0.7), ("bands", 0.3)))
        ),
        case(
            "segmented and bands, too few",
            "not_met new_data",
            _no_direct(*sampled(("segmented", 0.7), ("bands", 0.29))),
        ),
        case("segmented alone", "unknown", _no_direct(*sampled(("segmented", 3)))),
        case(
            "leukocytes and %",
            "met",
            _no_direct(*sampled(("leukocytes", 2), ("neutrophils %", 50))),
        ),
        case(
            "leukocytes and %, too few",
            "not_met new_data",
            _no_direct(*sampled(("leukocytes", 2), ("neutrophils %", 49.9))),
        ),
        case(
            "detail 32: bands % is not added to neutrophils %",
            "not_met new_data",
            _no_direct(*sampled(("leukocytes", 2), ("neutrophils %", 45), ("bands %", 20))),
        ),
        case(
            "detail 32: bands % is added to segmented %",
            "met",
            _no_direct(*sampled(("leukocytes", 2), ("segmented %", 45), ("bands %", 5))),
        ),
        case(
            "segmented % alone",
            "unknown",
            _no_direct(*sampled(("leukocytes", 2), ("segmented %", 90))),
        ),
        case("a percentage alone", "unknown", _no_direct(*sampled(("neutrophils %", 60)))),
        case(
            "detail 32: two sampling times",
            "unknown",
            _no_direct(
                *sampled(("leukocytes", 4)),
                *sampled(("neutrophils %", 60), on="2026-11-20T09:00:00Z"),
            ),
        ),
        case(
            "detail 32: one instant written in two zones",
            "met",
            _no_direct(
                *sampled(("leukocytes", 4)),
                *sampled(("neutrophils %", 60), on="2026-11-20T09:00:00+01:00"),
            ),
        ),
        case(
            "detail 32: one specimen",
            "met",
            _no_direct(
                *sampled(("leukocytes", 4), specimen={"reference": "Specimen/1"}),
                *sampled(
                    ("neutrophils %", 60),
                    on="2026-11-20T09:00:00Z",
                    specimen={"reference": "Specimen/1"},
                ),
            ),
        ),
        case(
            "direct outweighs derived",
            "met",
            chart(*sampled(("leukocytes", 1), ("neutrophils %", 50))),
        ),
        case(
            "an unusable direct count is not replaced",
            "unknown",
            _no_direct(
                *sampled(("leukocytes", 4), ("neutrophils %", 60)),
                lab("neutrophils", 3, "%", "2026-11-19"),
            ),
        ),
        case(
            "an empty direct count is",
            "met",
            _no_direct(
                *sampled(("leukocytes", 4), ("neutrophils %", 60)),
                observation("neutrophils", "2026-11-21"),
            ),
        ),
        case(
            "the latest sampling time decides",
            "not_met new_data",
            _no_direct(
                *sampled(("leukocytes", 4), ("neutrophils %", 60), on="2026-11-18T08:00:00Z"),
                *sampled(("leukocytes", 1), ("neutrophils %", 60)),
            ),
        ),
        case(
            "detail 1: an unusable part",
            "unknown",
            _no_direct(*sampled(("leukocytes", 4), ("neutrophils %", 160))),
        ),
        *(
            case(
                f"detail 8: parts dated by day tie with those of an hour, {name}",
                expected,
                _no_direct(
                    *sampled(("leukocytes", value), ("neutrophils %", 60), on="2026-11-20"),
                    *sampled(("leukocytes", 4), ("neutrophils %", 60)),
                ),
            )
            for name, value, expected in [
                ("and agree", 5, "met"),
                ("and disagree", 1, "needs_confirmation"),
            ]
        ),
        case(
            "parts of one time that disagree",
            "needs_confirmation",
            _no_direct(*sampled(("leukocytes", 4), ("leukocytes", 1), ("neutrophils %", 60))),
        ),
        case(
            "29 days ago",
            "unknown",
            _no_direct(*sampled(("leukocytes", 4), ("neutrophils %", 60), on=days_ago(29))),
        ),
        case(
            "an old direct count and a recent derived one",
            "met",
            _no_direct(
                lab("neutrophils", 0.4, CELLS, days_ago(40)),
                *sampled(("leukocytes", 4), ("neutrophils %", 60)),
            ),
        ),
        case(
            "comparator on a part",
            "met",
            _no_direct(
                lab("leukocytes", 4, CELLS, "2026-11-20", comparator=">"),
                *sampled(("neutrophils %", 60), on="2026-11-20"),
            ),
        ),
    ],
)
def test_neutrophils(expected: str, content: Json, how: Json) -> None:
    """A direct count, else one made from results of one sampling time."""
    assert expected == verdict(screen(content, **how), "neutrophils")


def _bilirubin(
    value: Any, unit: str = "mg/dL", on: str | None = days_ago(5), **elements: Any
) -> Any:
    return lab("bilirubin", value, unit, on, **({"uln": upper(1.2, "mg/dL")} | elements))


def _ranges(*found: Any) -> Any:
    return {"uln": None, "referenceRange": list(found)}


SITE = {"uln": {"bilirubin": {"value": 21, "unit": "umol/L"}}}
GILBERT = condition("E80.4")


@pytest.mark.parametrize(
    CASES,
    [
        case("1.79 of 1.2", "met", chart(_bilirubin(1.79))),
        case(
            "detail 9: exactly 1.5 times is not below", "not_met new_data", chart(_bilirubin(1.8))
        ),
        case(
            "in µmol/L",
            "met",
            chart(lab("bilirubin moles", 30, "umol/L", uln=upper(20.1, "umol/L"))),
        ),
        case(
            "in µmol/L, exactly",
            "not_met new_data",
            chart(lab("bilirubin moles", 30, "umol/L", uln=upper(20, "umol/L"))),
        ),
        case(
            "detail 33: range in another unit",
            "met",
            chart(_bilirubin(1.79, uln=upper(12, "mg/L"))),
        ),
        case(
            "detail 33: range in moles of a value in mass",
            "met",
            chart(_bilirubin(1.79, uln=upper(20.52, "umol/L"))),
        ),
        case(
            "detail 33: range in moles of a value in mass, exactly",
            "not_met new_data",
            chart(_bilirubin(1.8, uln=upper(20.52, "umol/L"))),
        ),
        case(
            "detail 33: range in another unit, exactly",
            "not_met new_data",
            chart(_bilirubin(1.8, uln=upper(12, "mg/L"))),
        ),
        case("detail 7: range without a unit", "met", chart(_bilirubin(1.79, uln=upper(1.2)))),
        case(
            "detail 7: range as text",
            "unknown",
            chart(_bilirubin(0.5, **_ranges({"text": "< 1.2"}))),
        ),
        case(
            "range with a unit of another dimension",
            "unknown",
            chart(_bilirubin(0.5, uln=upper(1.2, "kg"))),
        ),
        case("no range", "unknown", chart(_bilirubin(0.5, uln=None))),
        case("the site's limit", "met", chart(_bilirubin(1.84, uln=None)), site=SITE),
        case(
            "the site's limit, beyond",
            "not_met new_data",
            chart(_bilirubin(1.85, uln=None)),
            site=SITE,
        ),
        case(
            "its own range before the site's", "not_met new_data", chart(_bilirubin(1.8)), site=SITE
        ),
        case(
            "range of type normal",
            "met",
            chart(_bilirubin(1.79, uln=upper(1.2, "mg/dL", type=coded("normal", "urn:x")))),
        ),
        *(
            case(
                f"detail 33: range of type {kind}",
                "unknown",
                chart(_bilirubin(0.5, uln=upper(1.2, "mg/dL", type=coded(kind, "urn:x")))),
            )
            for kind in ("treatment", "therapeutic")
        ),
        case(
            "detail 33: range of a type in words",
            "unknown",
            chart(_bilirubin(0.5, uln=upper(1.2, "mg/dL", type=words("Therapeutic")))),
        ),
        case(
            "normal beside treatment",
            "not_met new_data",
            chart(
                _bilirubin(1.8, **_ranges(upper(1.2), upper(9, type=coded("treatment", "urn:x"))))
            ),
        ),
        case(
            "two ranges, the one for men",
            "met",
            chart(
                _bilirubin(
                    1.6,
                    **_ranges(
                        upper(1.2, appliesTo=[coded("male", "urn:sex")]),
                        upper(1.0, appliesTo=[coded("female", "urn:sex")]),
                    ),
                )
            ),
        ),
        case(
            "two ranges, the one for his age",
            "not_met new_data",
            chart(
                _bilirubin(
                    1.6,
                    **_ranges(
                        upper(1.2, age={"high": {"value": 60}}),
                        upper(1.0, age={"low": {"value": 61}}),
                    ),
                )
            ),
        ),
        case(
            "two ranges that both fit and differ",
            "unknown",
            chart(_bilirubin(0.5, **_ranges(upper(1.2), upper(1.0)))),
        ),
        case(
            "a range upside down",
            "unknown",
            chart(_bilirubin(0.5, **_ranges({"low": {"value": 2}, "high": {"value": 1.2}}))),
        ),
        case(
            "direct bilirubin never stands in",
            "unknown",
            chart(lab("bilirubin direct", 0.2, "mg/dL", uln=upper(0.3)), without="bili"),
        ),
        case("29 days ago", "unknown", chart(_bilirubin(0.5, on=days_ago(29)), without="bili")),
        case(
            "plausible to 1,000 µmol/L",
            "not_met new_data",
            chart(lab("bilirubin moles", 1000, "umol/L", uln=upper(20))),
        ),
        case("not above", "unknown", chart(lab("bilirubin moles", 1001, "umol/L", uln=upper(20)))),
        case("detail 7: µmol/L on a mass code", "unknown", chart(_bilirubin(12, "umol/L"))),
        case("comparator that straddles", "unknown", chart(_bilirubin(2, comparator="<"))),
        case("comparator surely below", "met", chart(_bilirubin(1.8, comparator="<"))),
        case("Gilbert's, below", "met", chart(_bilirubin(1.79), GILBERT)),
        case("Gilbert's, beyond", "needs_confirmation", chart(_bilirubin(1.8), GILBERT)),
        case(
            "Gilbert's, at the site's multiple: detail 26",
            "met",
            chart(_bilirubin(3.6), GILBERT),
            site={"gilbert_bilirubin_uln_multiple": 3},
        ),
        case(
            "Gilbert's, beyond the site's multiple",
            "not_met new_data",
            chart(_bilirubin(3.61), GILBERT),
            site={"gilbert_bilirubin_uln_multiple": 3},
        ),
        case(
            "detail 2: Gilbert's, provisional",
            "needs_confirmation",
            chart(_bilirubin(1.8), condition("E80.4", verification="provisional")),
            site={"gilbert_bilirubin_uln_multiple": 3},
        ),
        case(
            "Gilbert's, refuted",
            "not_met new_data",
            chart(_bilirubin(1.8), condition("E80.4", verification="refuted")),
        ),
        case(
            "Gilbert's by an unverified code beside another diagnosis",
            "needs_confirmation",
            chart(
                _bilirubin(3.6),
                condition(
                    {
                        "coding": [
                            {"system": ICD10CM, "code": "B20"},
                            {"system": SNOMED, "code": "27503000"},
                        ]
                    }
                ),
            ),
            site={"gilbert_bilirubin_uln_multiple": 3},
        ),
        case("Gilbert's without a limit", "unknown", chart(_bilirubin(1.8, uln=None), GILBERT)),
        case(
            "the site's multiple without Gilbert's",
            "not_met new_data",
            chart(_bilirubin(1.8)),
            site={"gilbert_bilirubin_uln_multiple": 3},
        ),
    ],
)
def test_bilirubin(expected: str, content: Json, how: Json) -> None:
    """Total bilirubin strictly below 1.5 times the upper limit of normal."""
    assert expected == verdict(screen(content, **how), "bilirubin")


def _kidney(*resources: Any, person: Json = None, without: str = "crea weight") -> Any:
    return chart(*resources, person=person, without=without)


def _creatinine(
    value: Any, unit: str = "mg/dL", on: str | None = days_ago(5), **elements: Any
) -> Any:
    return lab("creatinine", value, unit, on, **elements)


def _weight(value: Any, unit: str = "kg", on: str | None = days_ago(5), **elements: Any) -> Any:
    return lab("weight", value, unit, on, **elements)


# At 64 years: 76 x kg / (72 x mg/dL). 72 kg and 1.52 mg/dL are exactly 50 mL/min.
@pytest.mark.parametrize(
    CASES,
    [
        case(
            "detail 9: exactly 50 is not above",
            "not_met new_data",
            _kidney(_creatinine(1.52), _weight(72)),
        ),
        case("just above", "met", _kidney(_creatinine(1.519), _weight(72))),
        case(
            "a woman's factor",
            "not_met new_data",
            _kidney(_creatinine(1.30), _weight(72), person={"gender": "female"}),
        ),
        case(
            "a woman's factor, exactly 50",
            "not_met new_data",
            _kidney(_creatinine(1.292), _weight(72), person={"gender": "female"}),
        ),
        case(
            "a woman, just above",
            "met",
            _kidney(_creatinine(1.291), _weight(72), person={"gender": "female"}),
        ),
        case(
            "detail 33: the age is that of the day",
            "not_met new_data",
            _kidney(_creatinine(1.519), _weight(72), person={"birthDate": "1961-11-23"}),
        ),
        case(
            "the day before that birthday",
            "met",
            _kidney(_creatinine(1.519), _weight(72), person={"birthDate": "1961-11-24"}),
        ),
        case(
            "in µmol/L, exactly 50",
            "not_met new_data",
            _kidney(lab("creatinine moles", 134.368, "umol/L"), _weight(72)),
        ),
        case(
            "in µmol/L, above",
            "met",
            _kidney(lab("creatinine moles", 134.3, "umol/L"), _weight(72)),
        ),
        case(
            "weight in grams", "not_met new_data", _kidney(_creatinine(1.52), _weight(72000, "g"))
        ),
        case("no weight", "unknown", _kidney(_creatinine(1.0))),
        case("weight 90 days ago", "met", _kidney(_creatinine(1.0), _weight(80, on=days_ago(90)))),
        case(
            "weight 91 days ago", "unknown", _kidney(_creatinine(1.0), _weight(80, on=days_ago(91)))
        ),
        case(
            "the latest weight",
            "not_met new_data",
            _kidney(_creatinine(1.52), _weight(100, on=days_ago(9)), _weight(70)),
        ),
        case(
            "detail 1: an unusable latest weight",
            "unknown",
            _kidney(_creatinine(1.0), _weight(80, on=days_ago(9)), _weight(401)),
        ),
        case("no creatinine", "unknown", _kidney(_weight(80))),
        case(
            "creatinine 28 days ago", "met", _kidney(_creatinine(1.0, on=days_ago(28)), _weight(80))
        ),
        case(
            "creatinine 29 days ago",
            "unknown",
            _kidney(_creatinine(1.0, on=days_ago(29)), _weight(80)),
        ),
        case(
            "creatinine in urine is a trap",
            "unknown",
            _kidney(
                observation(coded("2161-8", LOINC), valueQuantity={"value": 1, "unit": "mg/dL"}),
                _weight(80),
            ),
        ),
        *(
            case(
                f"sex {sex}",
                "unknown",
                _kidney(_creatinine(1.0), _weight(80), person={"gender": sex}),
            )
            for sex in ("other", "unknown", None)
        ),
        case(
            "no birth date",
            "unknown",
            _kidney(_creatinine(1.0), _weight(80), person={"birthDate": None}),
        ),
        case(
            "a birth year that straddles",
            "unknown",
            _kidney(_creatinine(1.519), _weight(72), person={"birthDate": "1961"}),
        ),
        case(
            "a birth year that does not",
            "met",
            _kidney(_creatinine(1.0), _weight(72), person={"birthDate": "1961"}),
        ),
        case("plausible from 20 kg", "not_met new_data", _kidney(_creatinine(1.0), _weight(20))),
        case("not below", "unknown", _kidney(_creatinine(1.0), _weight(19.9))),
        case(
            "creatinine plausible from 5 µmol/L",
            "met",
            _kidney(lab("creatinine moles", 5, "umol/L"), _weight(80)),
        ),
        case(
            "detail 10: a computed clearance is not checked for plausibility",
            "met",
            _kidney(lab("creatinine moles", 5, "umol/L"), _weight(400)),
        ),
        case(
            "two creatinines of one day that disagree",
            "needs_confirmation",
            _kidney(_creatinine(1.519), _creatinine(1.6), _weight(72)),
        ),
        case(
            "creatinine comparator surely low",
            "met",
            _kidney(_creatinine(1.0, comparator="<"), _weight(80)),
        ),
        case(
            "creatinine surely below the one at the limit",
            "met",
            _kidney(_creatinine(1.52, comparator="<"), _weight(72)),
        ),
        case(
            "creatinine at most the one at the limit",
            "unknown",
            _kidney(_creatinine(1.52, comparator="<="), _weight(72)),
        ),
        case(
            "creatinine comparator that straddles",
            "unknown",
            _kidney(_creatinine(1.0, comparator=">"), _weight(80)),
        ),
    ],
)
def test_cockcroft_gault(expected: str, content: Json, how: Json) -> None:
    """(140 - age) x kg (x 0.85 for a woman) / (72 x mg/dL), strictly above 50."""
    assert expected == verdict(screen(content, **how), "creatinine-clearance")


def _clearance(
    value: Any,
    test: str = "clearance 24 h",
    unit: str = "mL/min",
    on: str | None = days_ago(5),
    **elements: Any,
) -> Any:
    return lab(test, value, unit, on, **elements)


@pytest.mark.parametrize(
    CASES,
    [
        case("24 h, 50.1", "met", _kidney(_clearance(50.1))),
        case("24 h, exactly 50", "not_met new_data", _kidney(_clearance(50))),
        case("calculated", "met", _kidney(_clearance(51, "clearance calculated"))),
        case("a recorded one before a computed one", "not_met new_data", chart(_clearance(49))),
        case(
            "measured before calculated of the same day",
            "not_met new_data",
            _kidney(_clearance(49), _clearance(80, "clearance calculated")),
        ),
        case(
            "measured before calculated, whatever the hour",
            "not_met new_data",
            _kidney(
                _clearance(49, on="2026-11-18T07:00:00Z"),
                _clearance(80, "clearance calculated", on="2026-11-18T09:00:00Z"),
            ),
        ),
        case(
            "a later calculated one decides",
            "met",
            _kidney(_clearance(49, on=days_ago(9)), _clearance(80, "clearance calculated")),
        ),
        case("28 days ago", "met", _kidney(_clearance(60, on=days_ago(28)))),
        case("29 days ago: computed instead", "met", chart(_clearance(40, on=days_ago(29)))),
        case(
            "29 days ago and nothing to compute from",
            "unknown",
            _kidney(_clearance(60, on=days_ago(29))),
        ),
        case("mL/s", "met", _kidney(_clearance(0.9, unit="mL/s"))),
        case(
            "per 1.73 m² never stands in",
            "unknown",
            _kidney(_clearance(90, unit="mL/min/{1.73_m2}")),
        ),
        case(
            "a code per 1.73 m² never stands in",
            "unknown",
            _kidney(_clearance(90, "clearance per area", "mL/min/{1.73_m2}")),
        ),
        case(
            "eGFR never stands in", "unknown", _kidney(_clearance(90, "eGFR", "mL/min/{1.73_m2}"))
        ),
        case(
            "eGFR does not stop the formula",
            "met",
            chart(_clearance(20, "eGFR", "mL/min/{1.73_m2}")),
        ),
        case(
            "detail 33: timed urine is no 24-hour clearance",
            "unknown",
            _kidney(_clearance(90, "clearance timed")),
        ),
        case("plausible to 400", "met", _kidney(_clearance(400))),
        case("detail 1: implausible newest", "unknown", chart(_clearance(401))),
        case("empty newest: computed", "met", chart(observation("clearance 24 h", days_ago(1)))),
        case("comparator", "met", _kidney(_clearance(60, comparator=">"))),
        case("comparator that straddles", "unknown", _kidney(_clearance(60, comparator="<"))),
    ],
)
def test_recorded_clearance(expected: str, content: Json, how: Json) -> None:
    """A recorded clearance decides; one per body surface never does."""
    assert expected == verdict(screen(content, **how), "creatinine-clearance")


@pytest.mark.parametrize(
    ("person", "without", "missing"),
    [
        ({}, "weight", "weight"),
        ({"gender": "other"}, "", "sex"),
        ({"birthDate": None}, "", "birth date"),
    ],
)
def test_what_the_formula_lacks_is_said(person: Json, without: str, missing: Any) -> None:
    """The summary says what is missing."""
    found = result(screen(chart(person=person, without=without)), "creatinine-clearance")

    assert missing in found.summary


@pytest.mark.parametrize(("height", "advised"), [(150, True), (185, False)])
def test_ideal_weight_is_an_advisory(height: Any, *, advised: bool) -> None:
    """Actual weight decides; where the ideal weight would say otherwise, that is told."""
    tall = lab("height", height, "cm")
    content = _kidney(_creatinine(1.4), _weight(75), tall)
    found = result(screen(content), "creatinine-clearance")

    assert ("met", advised) == (found.status, bool(found.advisories))


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ((_creatinine(1.0, on="2026-11-10"), _weight(80, on="2026-11-20")), date(2026, 12, 8)),
        ((_creatinine(1.0, on="2026-11-22"), _weight(80, on="2026-09-01")), date(2026, 11, 30)),
    ],
)
def test_clearance_holds_as_long_as_its_inputs(resources: tuple[Json, ...], expected: str) -> None:
    """The first of creatinine and weight to expire ends it."""
    assert expected == result(screen(_kidney(*resources)), "creatinine-clearance").valid_through


def test_a_birthday_can_end_the_clearance() -> None:
    """The age on the day counts, so a birthday can end it before a result expires."""
    content = _kidney(_creatinine(1.519), _weight(72), person={"birthDate": "1961-12-01"})
    found = result(screen(content), "creatinine-clearance")

    assert ("met", date(2026, 11, 30)) == (found.status, found.valid_through)


def test_every_data_problem_is_an_issue() -> None:
    """Detail 1: an unusable value is reported with its reference."""
    found = screen(
        chart(
            observation("hemoglobin", days_ago(1), id_="bare", valueQuantity={"value": 12}),
            lab("platelets", 9000, CELLS, days_ago(1), id_="absurd"),
        )
    )

    assert ("no-unit", "Observation/bare") in issues(found)
    assert ("implausible", "Observation/absurd") in issues(found)
    assert any("9000" in one.message for one in found.data_issues)


@pytest.mark.parametrize("count", [1, 9, 24])
def test_old_results_with_vague_dates_do_not_matter(count: int) -> None:
    """However many results of past months there are, the one that is surely newest decides."""
    months = [f"{2025 - n // 12}-{n % 12 + 1:02}" for n in range(count)]
    old = [lab("hemoglobin", 70, "g/L", month) for month in months]

    assert "met" == verdict(screen(chart(*old)), "hemoglobin")


def test_a_vague_date_that_may_be_the_newest_matters_among_many() -> None:
    """One of them that can be the newest leaves it open."""
    old = [lab("hemoglobin", 90, "g/L", f"2024-{month:02}") for month in range(1, 13)]
    open_one = lab("hemoglobin", 70, "g/L", "2026-11")

    assert "unknown" == verdict(screen(chart(*old, open_one)), "hemoglobin")
