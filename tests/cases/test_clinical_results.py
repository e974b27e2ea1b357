"""Results that could flip a judgement: units, status, dates, and values that are none.

Each chart is the full one with one change. What is expected is the status that the eligibility
rules prescribe, exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.sent import CELLS, DAY, Json, ago, chart, differing, judge, lab, observation
from tests.charts import LOINC, SNOMED, UCUM, WOMAN, coded, quantity, upper, words

if TYPE_CHECKING:
    from tests.cases.conftest import Running


def anc(value: Any, unit: str | None = CELLS, **more: Any) -> list[Json]:
    """The full chart with this neutrophil count and no other."""
    return chart(lab("neutrophils", value, unit, **more), without="anc")


def hcg(*results: Json, person: Json = WOMAN) -> list[Json]:
    """The full chart of a woman with these pregnancy tests."""
    return chart(*results, person=person)


@pytest.mark.case("CLN-01")
def test_results_that_are_not_final(service: Running) -> None:
    """Only final, amended and corrected results are read: alone, any other leaves it unknown.

    Beside an older final result in the window, that one decides, whatever the other says.
    """
    old = lab("neutrophils", 2.9, CELLS, 20)
    rows = {}
    for status in ("entered-in-error", "cancelled", "registered", "preliminary"):
        newer = lab("neutrophils", 0.5, CELLS, 2, status=status)
        good = lab("neutrophils", 2.9, CELLS, 2, status=status)
        rows[status] = ("unknown", chart(good, without="anc"))
        rows[f"{status} beside a final one"] = ("met", chart(newer, old, without="anc"))
    for status in ("final", "amended", "corrected"):
        rows[status] = ("met", anc(2.9, status=status))
    for status in (None, "ZZPHI-status"):
        rows[f"status {status}"] = ("unknown", anc(2.9, status=status))

    assert {} == differing(service, "neutrophils", rows)


@pytest.mark.case("CLN-02")
def test_corrected_results(service: Running) -> None:
    """The newer version of a result decides; two results of one moment are for a person.

    The rules read one resource as one result: an identifier in common does not make a second
    resource its correction, so that it stays open instead of met.
    """
    same: Json = {"on": f"{ago(3)}T08:00:00Z", "identifier": [{"value": "ZZPHI-accession"}]}

    def versions(before: float, after: float) -> list[Json]:
        newer: Json = {"id_": "a", "meta": {"versionId": "2"}, "status": "corrected"} | same
        older = anc(before, id_="a", meta={"versionId": "1"}, **same)
        return [*older, lab("neutrophils", after, CELLS, **newer)]

    rows = {
        "a version worse": ("not_met", versions(2.9, 0.5)),
        "a version better": ("met", versions(0.5, 2.9)),
        "two resources": (
            "needs_confirmation",
            [*anc(2.9, **same), lab("neutrophils", 0.5, CELLS, status="corrected", **same)],
        ),
    }

    assert {} == differing(service, "neutrophils", rows)


@pytest.mark.case("CLN-05")
def test_one_count_in_many_units(service: Running) -> None:
    """The same value, however its unit is written."""
    spelled = {
        "10*9/L": 1.6, "10*3/uL": 1.6, "/uL": 1600, "/mm3": 1600, "K/uL": 1.6,
        "10^9/L": 1.6, "x10E9/L": 1.6, "10*3/mm3": 1.6, "cells/uL": 1600, "G/L": 1.6,
    }  # fmt: skip
    found = {}
    for unit, value in spelled.items():
        measured = {"value": value, "unit": unit}
        if unit in {"10*9/L", "10*3/uL", "/uL", "/mm3"}:
            measured |= {"system": UCUM, "code": unit}
        one = observation("neutrophils", valueQuantity=measured)
        judged = judge(service, chart(one, without="anc"))
        (evidence,) = judged.answer.result("neutrophils")["evidence"]
        found[unit] = (judged.status("neutrophils"), evidence["normalized"])

    assert dict.fromkeys(spelled, ("met", "1.6 ×10⁹/L")) == found


@pytest.mark.case("CLN-06")
def test_units_and_values_that_cannot_be(service: Running) -> None:
    """No unit is guessed from the size of a number; the reason is told."""
    disagreeing = {"value": 1.6, "unit": "10*6/L", "system": UCUM, "code": CELLS}
    rows = {
        "no unit": anc(1600, None), "percent": anc(1600, "%"), "no such unit": anc(1600, "cells"),
        "too high": anc(1600, CELLS), "below nothing": anc(-1, CELLS), "a billion": anc(10**9),
        "of a mass": anc(1.6, "mg/dL"),
        "two units": chart(observation("neutrophils", valueQuantity=disagreeing), without="anc"),
        "kelvin": anc(1.6, "K/L"), "a word": anc("1.6", CELLS), "a truth": anc(value=True),
    }  # fmt: skip
    told = {"no-unit", "unknown-unit", "wrong-dimension", "implausible", "unit-disagreement",
            "unusable-value", "broken-element"}  # fmt: skip

    found = {name: judge(service, resources) for name, resources in rows.items()}

    assert {"unknown"} == {one.status("neutrophils") for one in found.values()}
    assert {name for name, one in found.items() if not one.issues() & told} == set()


@pytest.mark.case("CLN-11")
def test_values_that_are_words_or_elsewhere(service: Running) -> None:
    """No number is read out of words, notes, or a component of another kind."""
    reason = {"coding": [{"code": "unknown"}]}
    other = {"code": coded("000-0", LOINC), "valueQuantity": quantity(2.9, CELLS)}
    values: dict[str, Json] = {
        "no value": {},
        "absent": {"dataAbsentReason": reason},
        "haemolysed": {"valueString": "haemolysed ZZPHI"},
        "less than": {"valueString": "<0.1"},
        "a number in words": {"valueString": "2.9 10*9/L"},
        "see comment": {"valueString": "see comment", "note": [{"text": "2.9 10*9/L ZZPHI"}]},
        "a component of another kind": {"component": [other]},
        "a range": {"valueRange": {"low": quantity(2, CELLS), "high": quantity(3, CELLS)}},
    }
    rows = {
        name: ("unknown", chart(observation("neutrophils", **value), without="anc"))
        for name, value in values.items()
    }
    # Only an empty newest result lets an older one decide.
    older = lab("neutrophils", 2.9, CELLS, 20)
    absent = observation("neutrophils", dataAbsentReason=reason)
    spoilt = observation("neutrophils", valueString="haemolysed")
    rows["absent, and an older one"] = ("met", chart(absent, older, without="anc"))
    rows["haemolysed, and an older one"] = ("unknown", chart(spoilt, older, without="anc"))

    assert {} == differing(service, "neutrophils", rows)


@pytest.mark.case("CLN-12")
def test_coded_results(service: Running) -> None:
    """That a test was done is no result; one that is neither positive nor negative settles nothing.

    A positive pregnancy test is for a person to judge, since tumours can make hCG.
    """
    coded_values = {
        "260415000": "met", "260385009": "met", "260373001": "needs_confirmation",
        "10828004": "needs_confirmation",
        "82334004": "unknown", "42425007": "unknown", "262008008": "unknown",
    }  # fmt: skip
    worded = {"Negative": "met", "Positive": "needs_confirmation", "Indeterminate": "unknown",
              "Equivocal": "unknown", "Not performed": "unknown",
              "Test ordered": "unknown"}  # fmt: skip
    rows = {
        code: (expected, hcg(observation("hcg", valueCodeableConcept=coded(code, SNOMED))))
        for code, expected in coded_values.items()
    }
    rows |= {
        word: (expected, hcg(observation("hcg", valueCodeableConcept=words(word))))
        for word, expected in worded.items()
    }
    rows["nothing but the code"] = ("unknown", hcg(observation("hcg")))

    assert {} == differing(service, "pregnancy-test", rows)


@pytest.mark.case("CLN-13")
def test_results_that_contradict_each_other(service: Running) -> None:
    """The latest decides; of one moment, a person. The dates are shown."""
    negative = {"valueCodeableConcept": words("Negative")}
    positive = {"valueCodeableConcept": words("Positive")}
    now = f"{ago(3)}T08:00:00Z"
    assert {} == differing(
        service,
        "pregnancy-test",
        {
            "negative last": ("met", hcg(observation("hcg", 20, **positive),
                                         observation("hcg", 3, **negative))),
            "positive last": ("needs_confirmation", hcg(observation("hcg", 20, **negative),
                                                        observation("hcg", 3, **positive))),
        },
    )  # fmt: skip
    both = chart(lab("neutrophils", 2.9, CELLS, on=now), lab("neutrophils", 0.5, CELLS, on=now),
                 without="anc")  # fmt: skip

    judged = judge(service, both)

    assert "needs_confirmation" == judged.status("neutrophils")
    evidence = judged.answer.result("neutrophils")["evidence"]
    assert [ago(3)] * 2 == [one["date"][:10] for one in evidence]
    assert {"2.9 10*9/L", "0.5 10*9/L"} == {one["value"] for one in evidence}


@pytest.mark.case("CLN-14")
def test_the_window_of_a_result(service: Running) -> None:
    """28 days to the day, both ends included; the end of a period; the future is left out."""
    period = {"start": f"{ago(40)}T08:00:00Z", "end": f"{ago(28)}T23:00:00Z"}
    rows = {
        "28 days": ("met", anc(2.9, days=28)),
        "28 days and its first minute": ("met", anc(2.9, on=f"{ago(28)}T00:00:00Z")),
        "29 days, its last minute": ("unknown", anc(2.9, on=f"{ago(29)}T23:59:00Z")),
        "29 days": ("unknown", anc(2.9, days=29)),
        "tomorrow": ("unknown", anc(2.9, days=-1)),
        "period": ("met", anc(2.9, on=None, effectivePeriod=period)),
        "period that ended before": (
            "unknown", anc(2.9, on=None, effectivePeriod=period | {"end": ago(29)}),
        ),
        "issued only": ("met", anc(2.9, on=None, issued=f"{ago(3)}T08:00:00Z")),
        "no date": ("unknown", anc(2.9, on=None)),
        "no such date": ("unknown", anc(2.9, on=f"{DAY.year}-02-30")),
    }  # fmt: skip

    assert {} == differing(service, "neutrophils", rows)
    assert "future-date" in judge(service, anc(2.9, days=-1)).issues()
    stood_in = judge(service, rows["issued only"][1]).answer.result("neutrophils")
    assert stood_in["evidence"][0]["notes"]


@pytest.mark.case("CLN-23")
def test_performance_status(service: Running) -> None:
    """Whole numbers, answer codes and exact words; Karnofsky by the rules' conversion."""
    on = f"{ago(3)}T08:00:00Z"
    values: dict[str, tuple[str, Json]] = {
        "integer": ("met", {"valueInteger": 1}),
        "answer code": ("met", {"valueCodeableConcept": coded("LA9623-5", LOINC)}),
        "answer code 3": ("not_met", {"valueCodeableConcept": coded("LA9625-0", LOINC)}),
        "text": ("unknown", {"valueString": "fine ZZPHI"}),
        "1 as text": ("met", {"valueString": "1"}),
        "3 as text": ("not_met", {"valueString": "3"}),
        "out of range": ("unknown", {"valueInteger": 6}),
        "quantity": ("met", {"valueQuantity": quantity(1, "{score}")}),
    }
    rows = {
        name: (expected, chart(observation("ecog", **value), without="ecog"))
        for name, (expected, value) in values.items()
    }
    rows["karnofsky 80"] = (
        "met", chart(observation("karnofsky", valueInteger=80), without="ecog"),
    )  # fmt: skip
    rows["two of one moment"] = (
        "needs_confirmation",
        chart(observation("ecog", on=on, valueInteger=1),
              observation("ecog", on=on, valueInteger=3), without="ecog"),
    )  # fmt: skip

    assert {} == differing(service, "ecog", rows)


@pytest.mark.case("CLN-26")
def test_other_specimens(service: Running) -> None:
    """Codes for urine, cerebrospinal fluid and percentages stand in for nothing."""
    tables: dict[str, dict[str, tuple[str, list[Json]]]] = {
        "creatinine-clearance": {
            "urine creatinine": ("unknown", chart(
                lab(coded("2161-8", LOINC), 1.0, "mg/dL"), without="crea")),
            "eGFR": ("unknown", chart(
                lab("eGFR", 90, "mL/min/{1.73_m2}"), without="crea")),
            "per area": ("unknown", chart(
                lab("clearance per area", 90, "mL/min/{1.73_m2}"), without="crea")),
        },
        "neutrophils": {
            "in cerebrospinal fluid": ("unknown", chart(
                lab(coded("26500-9", LOINC), 2.9, CELLS), without="anc")),
            "percent": ("unknown", chart(
                lab("neutrophils %", 60, "%"), without="anc")),
        },
        "bilirubin": {
            "direct": ("unknown", chart(
                lab("bilirubin direct", 0.2, "mg/dL", uln=upper(0.3, "mg/dL")), without="bili")),
        },
    }  # fmt: skip
    for criterion, rows in tables.items():
        assert {} == differing(service, criterion, rows), criterion
