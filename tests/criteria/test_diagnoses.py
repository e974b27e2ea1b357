"""HIV, other malignancies, surgery, brain metastases, the heart, oral intake."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.charts import (
    ATC,
    CPT,
    DEXAMETHASONE,
    LOINC,
    RXNORM,
    SNOMED,
    STRANGE,
    Json,
    case,
    chart,
    coded,
    condition,
    days_ago,
    given,
    lab,
    observation,
    order,
    procedure,
    report,
    resource,
    result,
    screen,
    statement,
    verdict,
    words,
)

CASES = ("expected", "content", "how")
ASK, ABSENT = "needs_confirmation", "met by absence"
HIV = condition("B20", onset="2010-01-01")
THERAPY = statement(coded("J05AR20", ATC), "2015-01-01", status="active")
COPIES = "{copies}/mL"


def _load(
    value: Any = None, comparator: str | None = None, on: str | None = days_ago(30), **elements: Any
) -> Any:
    if value is None:
        return observation("viral load", on, **elements)
    return lab("viral load", value, COPIES, on, comparator=comparator, **elements)


def _infected(*resources: Any) -> Any:
    return chart(HIV, THERAPY, *resources)


@pytest.mark.parametrize(
    CASES,
    [
        case("no HIV", "not_applicable by absence", chart()),
        case(
            "negative test finding is a trap",
            "not_applicable by absence",
            chart(condition(coded("165815009", SNOMED))),
        ),
        case(
            "refuted", "not_applicable by absence", chart(condition("B20", verification="refuted"))
        ),
        case("detail 2: provisional", ASK, chart(condition("B20", verification="provisional"))),
        case("no viral load", "unknown", _infected()),
        case("detail 18: 50 copies", "met", _infected(_load(50))),
        case("detail 18: 51 copies", "not_met new_data", _infected(_load(51))),
        case("detail 18: below 200", "met", _infected(_load(200, "<"))),
        case("detail 18: at most 200", "met", _infected(_load(200, "<="))),
        case("detail 18: below 201", "unknown", _infected(_load(201, "<"))),
        case("detail 18: above 100", "not_met new_data", _infected(_load(100, ">"))),
        case(
            "detail 18: not detected in words", "met", _infected(_load(valueString="Not detected"))
        ),
        case(
            "detail 18: undetectable",
            "met",
            _infected(_load(valueCodeableConcept=words("undetectable"))),
        ),
        case(
            "detail 18: by code",
            "met",
            _infected(_load(valueCodeableConcept=coded("260415000", SNOMED))),
        ),
        case(
            "detected",
            "not_met new_data",
            _infected(_load(valueCodeableConcept=coded("260373001", SNOMED))),
        ),
        case("prose", "unknown", _infected(_load(valueString="see comment"))),
        case("6 months ago", "met", _infected(_load(20, on="2026-05-23"))),
        case("a day more", "unknown", _infected(_load(20, on="2026-05-22"))),
        case("a month that straddles", "unknown", _infected(_load(20, on="2026-05"))),
        case(
            "the latest decides",
            "not_met new_data",
            _infected(_load(20, on=days_ago(60)), _load(5000)),
        ),
        case(
            "detail 1: no unit",
            "unknown",
            _infected(
                _load(20, on=days_ago(60)), observation("viral load", valueQuantity={"value": 5})
            ),
        ),
        case(
            "a logarithm is not compared",
            "unknown",
            _infected(lab("viral load", 1.3, "{Log_copies}/mL", days_ago(3))),
        ),
        case("no therapy", "unknown", chart(HIV, _load(20))),
        case("therapy ordered only", ASK, chart(HIV, order(coded("J05AR20", ATC)), _load(20))),
        case("therapy in words only", ASK, chart(HIV, given(words("Biktarvy"), "2020"), _load(20))),
        case(
            "entecavir is no therapy of it",
            "unknown",
            chart(HIV, given(coded("J05AF10", ATC), "2020"), _load(20)),
        ),
        case("unknown modifier on the Condition", "unknown", chart(condition("B20", **STRANGE))),
    ],
)
def test_hiv(expected: str, content: Json, how: Json) -> None:
    """With HIV, an undetectable load within 6 months, on therapy."""
    assert expected == verdict(screen(content, **how), "hiv")


@pytest.mark.parametrize(
    CASES,
    [
        case("none", ABSENT, chart()),
        case("another primary", ASK, chart(condition("C61"))),
        case("another primary, resolved", ASK, chart(condition("C61", clinical="resolved"))),
        case(
            "another primary, differential",
            ASK,
            chart(condition("C61", verification="differential")),
        ),
        case("another primary, refuted", ABSENT, chart(condition("C61", verification="refuted"))),
        case("secondary neoplasms", ABSENT, chart(condition("C78.7"), condition("C79.51"))),
        case("another NET", ABSENT, chart(condition("C7A.092"))),
        case(
            "a midgut malignancy with a NET morphology",
            ABSENT,
            chart(
                condition(
                    "C17.1",
                    extension=[
                        {
                            "url": "http://hl7.org/fhir/us/mcode/StructureDefinition/"
                            "mcode-histology-morphology-behavior",
                            "valueCodeableConcept": coded(
                                "8240/3", "http://terminology.hl7.org/CodeSystem/icd-o-3"
                            ),
                        }
                    ],
                )
            ),
        ),
        case("a midgut malignancy without one", ASK, chart(condition("C17.1"))),
        case("benign", ABSENT, chart(condition("D12.6"))),
        case("detail 25: personal history", ASK, chart(condition("Z85.3"))),
        *(
            case(f"detail 25: personal history of carcinoid {code}", ABSENT, chart(condition(code)))
            for code in (
                "Z85.060",
                "Z85.030",
                "Z85.020",
                "Z85.040",
                "Z85.110",
                "Z85.230",
                "Z85.520",
            )
        ),
        case("detail 25: family history", ABSENT, chart(condition("Z80.3"))),
        case("detail 25: screening", ABSENT, chart(condition("Z12.31"))),
        case("unknown modifier", "unknown", chart(condition("C61", **STRANGE))),
        case("after the day", ABSENT, chart(condition("C61", onset="2026-11-24"))),
    ],
)
def test_other_malignancy(expected: str, content: Json, how: Json) -> None:
    """Any other primary, now or before, is for a person."""
    assert expected == verdict(screen(content, **how), "other-malignancy")


MAJOR, SOME = "54357003", "387713003"
TIME = "not_met time"


def _operation(on: str | None = None, code: Any = MAJOR, **elements: Any) -> Any:
    return procedure(code, on, **elements)


@pytest.mark.parametrize(
    CASES,
    [
        case("none", ABSENT, chart()),
        case("today", TIME, chart(_operation(days_ago(0)))),
        case("42 days ago", TIME, chart(_operation(days_ago(42)))),
        case("43 days ago", ABSENT, chart(_operation(days_ago(43)))),
        case("tomorrow", ABSENT, chart(_operation(days_ago(-1)))),
        case(
            "detail 8: the end of its period counts",
            TIME,
            chart(_operation(performedPeriod={"start": days_ago(60), "end": days_ago(42)})),
        ),
        case(
            "detail 8: the end of its period, earlier",
            ABSENT,
            chart(_operation(performedPeriod={"start": days_ago(60), "end": days_ago(43)})),
        ),
        case(
            "its period has no end",
            "unknown",
            chart(_operation(performedPeriod={"start": days_ago(60)})),
        ),
        case("detail 24: another surgical procedure", ASK, chart(_operation(days_ago(10), SOME))),
        case("another surgical procedure, long ago", ABSENT, chart(_operation(days_ago(43), SOME))),
        case(
            "surgery by category",
            ASK,
            chart(_operation(days_ago(10), words("Something"), category=coded(SOME, SNOMED))),
        ),
        case("an unverified code", ASK, chart(_operation(days_ago(10), coded("44120", CPT)))),
        case(
            "an unverified code, surgery by category",
            ASK,
            chart(
                _operation(days_ago(10), coded("44120", CPT), category=coded(SOME, SNOMED)),
            ),
        ),
        case(
            "vascular access is a trap",
            ABSENT,
            chart(_operation(days_ago(10), coded("36556", CPT))),
        ),
        *(
            case(f"{status}", expected, chart(_operation(days_ago(10), status=status)))
            for status, expected in [
                ("completed", TIME),
                ("stopped", TIME),
                ("in-progress", TIME),
                ("not-done", ABSENT),
                ("preparation", ABSENT),
                ("entered-in-error", ABSENT),
            ]
        ),
        case("detail 34: undated", ABSENT, chart(_operation())),
        case("a date in words", "unknown", chart(_operation(performedString="this autumn"))),
        case("a month that straddles", "unknown", chart(_operation("2026-10"))),
        case("a month that does not", TIME, chart(_operation("2026-11"))),
        case("unknown modifier", "unknown", chart(_operation(days_ago(10), **STRANGE))),
        case("unknown modifier, long ago", ABSENT, chart(_operation(days_ago(100), **STRANGE))),
        case(
            "major beside another",
            TIME,
            chart(_operation(days_ago(5), SOME), _operation(days_ago(10))),
        ),
    ],
)
def test_recent_surgery(expected: str, content: Json, how: Json) -> None:
    """Major surgery of the last 42 days excludes until day 43."""
    assert expected == verdict(screen(content, **how), "recent-surgery")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ((_operation("2026-11-01"),), date(2026, 12, 14)),
        ((_operation("2026-11-01"), _operation("2026-11-10")), date(2026, 12, 23)),
        # Whichever day of November it was, it is free then; before, nobody knows.
        ((_operation("2026-11"),), date(2027, 1, 12)),
    ],
)
def test_surgery_frees_on_day_43(resources: tuple[Json, ...], expected: str) -> None:
    """The first day on which it is surely free is told."""
    assert expected == result(screen(chart(*resources)), "recent-surgery").eligible_from


BRAIN = condition("C79.31", onset="2025-02-02")


@pytest.mark.parametrize(
    CASES,
    [
        case("none", ABSENT, chart()),
        case("brain metastases", ASK, chart(BRAIN)),
        case("provisional", ASK, chart(condition("C79.31", verification="provisional"))),
        case("resolved", ASK, chart(condition("C79.31", clinical="resolved"))),
        case("refuted", ABSENT, chart(condition("C79.31", verification="refuted"))),
        case("steroid today", TIME, chart(BRAIN, given(DEXAMETHASONE, days_ago(0)))),
        case("steroid 27 days ago", TIME, chart(BRAIN, given(DEXAMETHASONE, days_ago(27)))),
        case("steroid 28 days ago", ASK, chart(BRAIN, given(DEXAMETHASONE, days_ago(28)))),
        case(
            "steroid until 27 days ago",
            TIME,
            chart(BRAIN, statement(DEXAMETHASONE, days_ago(90), days_ago(27))),
        ),
        case(
            "steroid still active",
            "not_met new_data",
            chart(BRAIN, statement(DEXAMETHASONE, days_ago(90), status="active")),
        ),
        case(
            "steroid with its end ahead",
            TIME,
            chart(BRAIN, statement(DEXAMETHASONE, days_ago(90), days_ago(-10), status="active")),
        ),
        case("steroid ordered", ASK, chart(BRAIN, order(DEXAMETHASONE, days_ago(3)))),
        case("steroid in words", ASK, chart(BRAIN, given(words("Decadron"), days_ago(3)))),
        case(
            "steroid ear drops are a trap",
            ASK,
            chart(BRAIN, given(coded("405942", RXNORM), days_ago(3))),
        ),
        case("steroid without brain metastases", ABSENT, chart(given(DEXAMETHASONE, days_ago(3)))),
        case(
            "detail 2: steroid with provisional metastases",
            ASK,
            chart(
                condition("C79.31", verification="provisional"), given(DEXAMETHASONE, days_ago(3))
            ),
        ),
        case(
            "steroid with an unknown modifier",
            "unknown",
            chart(BRAIN, given(DEXAMETHASONE, days_ago(3), **STRANGE)),
        ),
        case(
            "brain metastases with an unknown modifier",
            "unknown",
            chart(condition("C79.31", **STRANGE)),
        ),
    ],
)
def test_brain_metastases(expected: str, content: Json, how: Json) -> None:
    """Brain metastases are for a person, and a recent steroid excludes for a time."""
    assert expected == verdict(screen(content, **how), "brain-metastases")


@pytest.mark.parametrize(
    ("steroids", "expected"),
    [
        ((given(DEXAMETHASONE, "2026-11-20"),), date(2026, 12, 18)),
        (
            (statement(DEXAMETHASONE, "2026-08-01", "2026-12-03", status="active"),),
            date(2026, 12, 31),
        ),
    ],
)
def test_steroids_free_28_days_after_the_last(steroids: Any, expected: str) -> None:
    """The day is the last steroid day plus 28."""
    assert expected == result(screen(chart(BRAIN, *steroids)), "brain-metastases").eligible_from


def test_what_is_known_of_brain_metastases_is_told() -> None:
    """Treatment, steroids and the latest imaging with contrast are named."""
    content = chart(
        BRAIN,
        procedure("33195004", "2025-03-03"),
        given(DEXAMETHASONE, "2025-04-04"),
        report(coded("24587-8", LOINC, text="MRI brain"), "2026-10-10"),
    )
    summary = result(screen(content), "brain-metastases").summary

    for day in ("2025-03-03", "2025-04-04", "2026-10-10"):
        assert day in summary


def _nyha(word: str, on: str | None = days_ago(30), **elements: Any) -> Any:
    return observation("nyha", on, **({"valueCodeableConcept": words(word)} | elements))


FAILURE = condition("I50.9")


@pytest.mark.parametrize(
    CASES,
    [
        case("none", ABSENT, chart()),
        case("heart failure, no class", ASK, chart(FAILURE)),
        case("detail 37: resolved", ASK, chart(condition("I50.9", clinical="resolved"))),
        case("refuted", ABSENT, chart(condition("I50.9", verification="refuted"))),
        case("provisional", ASK, chart(condition("I50.9", verification="provisional"))),
        *(case(f"NYHA {n}", ASK, chart(FAILURE, _nyha(n))) for n in ("I", "II", "NYHA class II")),
        *(
            case(f"NYHA {n}", "not_met new_data", chart(FAILURE, _nyha(n)))
            for n in ("III", "IV", "NYHA class III")
        ),
        case("detail 24: NYHA III without heart failure", "not_met new_data", chart(_nyha("III"))),
        case("detail 37: NYHA II without heart failure", ABSENT, chart(_nyha("II"))),
        case(
            "class by code",
            "not_met new_data",
            chart(FAILURE, _nyha("", valueCodeableConcept=coded("420913000", SNOMED))),
        ),
        case(
            "class as a Condition",
            "not_met new_data",
            chart(FAILURE, condition(coded("420913000", SNOMED))),
        ),
        case(
            "class as a provisional Condition",
            ASK,
            chart(FAILURE, condition(coded("420913000", SNOMED), verification="provisional")),
        ),
        case("the latest class", ASK, chart(FAILURE, _nyha("III", days_ago(60)), _nyha("II"))),
        case("two classes of one day", ASK, chart(FAILURE, _nyha("III"), _nyha("II"))),
        case("an undated class counts", "not_met new_data", chart(_nyha("III", None))),
        case("an undated class may be the latest", ASK, chart(_nyha("III", None), _nyha("I"))),
        case("a class that cannot be read", "unknown", chart(FAILURE, _nyha("IIB"))),
        case(
            "NYHA objective assessment is a trap",
            ABSENT,
            chart(_nyha("III", code=coded("88021-1", LOINC))),
        ),
        case("detail 24: carcinoid heart disease", ASK, chart(condition("E34.01"))),
        case(
            "detail 1: class with an unknown modifier",
            "unknown",
            chart(FAILURE, _nyha("II", **STRANGE)),
        ),
        case("unknown modifier", "unknown", chart(condition("I50.9", **STRANGE))),
    ],
)
def test_heart_failure(expected: str, content: Json, how: Json) -> None:
    """NYHA III or IV excludes for now; I, II or no class is for a person."""
    assert expected == verdict(screen(content, **how), "heart-failure")


@pytest.mark.parametrize(
    CASES,
    [
        case("none", ABSENT, chart()),
        *(
            case(f"{code}", ASK, chart(condition(code)))
            for code in ("R13.10", "K90.9", "K90.829", "K56.609")
        ),
        case("resolved", ABSENT, chart(condition("R13.10", clinical="resolved"))),
        case("no clinical status", ASK, chart(condition("R13.10", clinical=None))),
        case(
            "abated",
            ABSENT,
            chart(condition("R13.10", clinical=None, abatementDateTime="2024-01-01")),
        ),
        case("recurrence", ASK, chart(condition("R13.10", clinical="recurrence"))),
        case("differential", ASK, chart(condition("R13.10", verification="differential"))),
        case("refuted", ABSENT, chart(condition("R13.10", verification="refuted"))),
        case("unknown modifier", "unknown", chart(condition("R13.10", **STRANGE))),
    ],
)
def test_oral_intake(expected: str, content: Json, how: Json) -> None:
    """An active problem of swallowing or absorption is for a person."""
    assert expected == verdict(screen(content, **how), "oral-intake")


@pytest.mark.parametrize(
    "criterion",
    ["metastatic", "other-malignancy", "brain-metastases", "heart-failure", "oral-intake", "hiv"],
)
def test_a_condition_that_says_nothing_may_be_any(criterion: str) -> None:
    """A Condition whose code cannot be read leaves what would be met by absence unknown."""
    content = chart(resource("Condition", "bare", onsetDateTime="2024-01-01"))
    found = verdict(screen(content), criterion)

    assert ("met" if criterion == "metastatic" else "unknown") == found
