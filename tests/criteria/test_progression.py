"""Progression after PRRT, against the first scan after it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    LOINC,
    SNOMED,
    STRANGE,
    Json,
    case,
    chart,
    coded,
    cycle,
    observation,
    report,
    result,
    screen,
    statement,
    verdict,
    words,
)
from tests.charts import LUTATHERA as PRRT
from tests.charts import response as recist

CASES = ("expected", "content", "how")
LAST = "2021-06-28"


def course(*resources: Any, **more: Any) -> Any:
    """The four cycles, the last on 28 June 2021, and other assessments than those of the base."""
    return chart(*resources, without="after better worse " + more.pop("without", ""), **more)


def _general(code: Any, on: str | None) -> Any:
    return observation("disease status", on, valueCodeableConcept=coded(code, SNOMED))


IMPROVED, STABLE, WORSE = "268910001", "359746009", "271299001"


@pytest.mark.parametrize(
    CASES,
    [
        case("stable, then progression years later", "met", chart()),
        case(
            "detail 9: exactly 12 months after the reference",
            "met",
            course(recist("SD", "2021-09-27"), recist("PD", "2022-09-27")),
        ),
        case(
            "a day less",
            "not_met permanent",
            course(recist("SD", "2021-09-27"), recist("PD", "2022-09-26")),
        ),
        case(
            "12 months before the last of February",
            "met",
            course(recist("SD", "2023-02-28"), recist("PD", "2024-02-29")),
        ),
        case("no assessment", "unknown", course()),
        case("no progression yet", "not_met new_data", course(recist("SD", "2021-09-27"))),
        case(
            "progression and nothing before it, 12 months after the last cycle",
            "needs_confirmation",
            course(recist("PD", "2022-06-28")),
        ),
        case(
            "progression and nothing before it, sooner",
            "not_met permanent",
            course(recist("PD", "2022-06-27")),
        ),
        case(
            "the first progression decides, not a later one",
            "not_met permanent",
            course(
                recist("SD", "2021-09-27"), recist("PD", "2022-01-01"), recist("PD", "2023-01-01")
            ),
        ),
        case(
            "detail 42: better after the first progression",
            "needs_confirmation",
            course(
                recist("SD", "2021-09-27"), recist("PD", "2023-01-01"), recist("PR", "2023-04-01")
            ),
        ),
        case(
            "detail 42: better after an early progression",
            "needs_confirmation",
            course(
                recist("SD", "2021-09-27"), recist("PD", "2021-12-01"), recist("SD", "2022-04-01")
            ),
        ),
        case(
            "detail 42: on the day of the last cycle is before its end",
            "needs_confirmation",
            course(recist("SD", LAST), recist("PD", "2022-06-28")),
        ),
        case(
            "detail 42: two of one day disagree",
            "needs_confirmation",
            course(
                recist("SD", "2021-09-27"), recist("SD", "2023-01-01"), recist("PD", "2023-01-01")
            ),
        ),
        *(
            case(
                f"detail 15: {word} as reference",
                "met",
                course(recist(word, "2021-09-27"), recist("PD", "2023-01-01")),
            )
            for word in (
                "CR",
                "PR",
                "SD",
                "complete response",
                "Partial response",
                "stable disease",
            )
        ),
        case(
            "detail 15: progression spelled out",
            "met",
            course(recist("SD", "2021-09-27"), recist("progressive disease", "2023-01-01")),
        ),
        case(
            "detail 15: in a string",
            "met",
            course(
                recist("SD", "2021-09-27"),
                recist("", "2023-01-01", valueCodeableConcept=None, valueString="PD"),
            ),
        ),
        case(
            "detail 15: by code",
            "met",
            course(
                recist("SD", "2021-09-27"),
                recist("", "2023-01-01", valueCodeableConcept=coded("LA28370-7", LOINC)),
            ),
        ),
        case(
            "detail 15: NE is skipped as reference",
            "not_met permanent",
            course(
                recist("NE", "2021-09-27"), recist("SD", "2022-06-01"), recist("PD", "2023-01-01")
            ),
        ),
        case(
            "detail 15: NE between is skipped",
            "met",
            course(
                recist("SD", "2021-09-27"), recist("NE", "2022-06-01"), recist("PD", "2023-01-01")
            ),
        ),
        case("detail 15: only NE", "unknown", course(recist("NE", "2021-09-27"))),
        case(
            "detail 15: unreadable between reference and progression",
            "needs_confirmation",
            course(
                recist("SD", "2021-09-27"),
                recist("mixed", "2022-06-01"),
                recist("PD", "2023-01-01"),
            ),
        ),
        case(
            "words that merely contain one",
            "needs_confirmation",
            course(
                recist("SD", "2021-09-27"),
                recist("no PD", "2022-06-01"),
                recist("PD", "2023-01-01"),
            ),
        ),
        case(
            "before PRRT does not count",
            "met",
            course(
                recist("PD", "2020-12-01"), recist("SD", "2021-09-27"), recist("PD", "2023-01-01")
            ),
        ),
        case(
            "after the day does not count",
            "not_met new_data",
            course(recist("SD", "2021-09-27"), recist("PD", "2026-11-24")),
        ),
        case(
            "detail 1: unknown modifier",
            "unknown",
            course(recist("SD", "2021-09-27"), recist("PD", "2023-01-01", **STRANGE)),
        ),
        case(
            "preliminary does not count",
            "not_met new_data",
            course(recist("SD", "2021-09-27"), recist("PD", "2023-01-01", status="preliminary")),
        ),
        case(
            "corrected counts",
            "met",
            course(recist("SD", "2021-09-27"), recist("PD", "2023-01-01", status="corrected")),
        ),
        case(
            "a month that straddles the 12 months",
            "unknown",
            course(recist("SD", "2021-09-27"), recist("PD", "2022-09")),
        ),
        case(
            "a month that surely does not",
            "met",
            course(recist("SD", "2021-09-27"), recist("PD", "2022-10")),
        ),
        case("detail 42: no PRRT", "unknown", chart(without="prrt1 prrt2 prrt3 prrt4")),
        case(
            "detail 42: PRRT without a single dated cycle",
            "unknown",
            chart(statement(PRRT, "2021-01-01", "2021-07-01"), without="prrt1 prrt2 prrt3 prrt4"),
        ),
    ],
)
def test_recist(expected: str, content: Json, how: Json) -> None:
    """The first progression, at least 12 calendar months after the first assessment after PRRT."""
    assert expected == verdict(screen(content, **how), "progression")


@pytest.mark.parametrize(
    CASES,
    [
        case(
            "detail 42: only general, none worse",
            "not_met new_data",
            course(_general(STABLE, "2021-09-27"), _general(IMPROVED, "2023-01-01")),
        ),
        case(
            "detail 15: only general, worse",
            "needs_confirmation",
            course(_general(STABLE, "2021-09-27"), _general(WORSE, "2023-01-01")),
        ),
        case(
            "detail 15: general worse never excludes",
            "needs_confirmation",
            course(_general(STABLE, "2021-09-27"), _general(WORSE, "2021-11-01")),
        ),
        case(
            "detail 42: general serves as the missing reference",
            "met",
            course(_general(STABLE, "2021-09-27"), recist("PD", "2022-09-27")),
        ),
        case(
            "general as reference, sooner",
            "not_met permanent",
            course(_general(STABLE, "2021-09-27"), recist("PD", "2022-09-26")),
        ),
        case(
            "general worse as reference",
            "needs_confirmation",
            course(_general(WORSE, "2021-09-27"), recist("PD", "2023-01-01")),
        ),
        case(
            "detail 42: beside RECIST, general worse is ignored",
            "not_met new_data",
            course(recist("SD", "2021-09-27"), _general(WORSE, "2023-01-01")),
        ),
        case(
            "detail 42: LOINC 88040-1 is general",
            "needs_confirmation",
            course(
                recist("SD", "2021-09-27", code=coded("88040-1", LOINC)),
                recist("PD", "2023-01-01", code=coded("88040-1", LOINC)),
            ),
        ),
        case(
            "RECIST by its method",
            "met",
            course(
                *(
                    recist(word, on, code=coded("88040-1", LOINC), method=words("RECIST 1.1"))
                    for word, on in [("SD", "2021-09-27"), ("PD", "2023-01-01")]
                )
            ),
        ),
        *(
            case(
                f"detail 42: {name} is general",
                "needs_confirmation",
                course(
                    *(
                        recist(word, on, code=words(f"Response by {name}"))
                        for word, on in [("SD", "2021-09-27"), ("PD", "2023-01-01")]
                    )
                ),
            )
            for name in ("iRECIST", "mRECIST", "PERCIST")
        ),
        *(
            case(
                f"detail 42: {name} is general whatever the code",
                "needs_confirmation",
                course(
                    recist("SD", "2021-09-27", method=words(name)),
                    recist("PD", "2023-01-01", method=words(name)),
                ),
            )
            for name in ("iRECIST", "mRECIST", "PERCIST")
        ),
        case(
            "detail 42: RECIST told only in a report",
            "needs_confirmation",
            course(report(words("CT thorax abdomen"), "2023-01-01", conclusion="RECIST 1.1: PD")),
        ),
        case(
            "report before PRRT's end",
            "unknown",
            course(report(words("CT thorax abdomen"), "2020-01-01", conclusion="RECIST 1.1: PD")),
        ),
    ],
)
def test_general_status_and_reports(expected: str, content: Json, how: Json) -> None:
    """A general status only supports; a report is for a person to read."""
    assert expected == verdict(screen(content, **how), "progression")


@pytest.mark.parametrize(
    CASES,
    [
        case(
            "detail 29: both counts agree that it is too soon",
            "not_met permanent",
            course(cycle("2021-07-10"), recist("SD", "2021-07-05"), recist("PD", "2021-12-01")),
        ),
        case(
            "detail 29: the counts disagree",
            "needs_confirmation",
            course(
                cycle("2021-07-10"),
                recist("SD", "2021-07-05"),
                recist("PD", "2022-07-06"),
                recist("SD", "2021-09-01"),
            ),
        ),
    ],
)
def test_an_uncertain_last_cycle(expected: str, content: Json, how: Json) -> None:
    """Where the last cycle is uncertain, both readings have to agree."""
    assert expected == verdict(screen(content, **how), "progression")


def test_a_skipped_assessment_is_told() -> None:
    """Detail 15: NE is skipped with an advisory."""
    found = result(screen(chart(recist("NE", "2022-06-01"))), "progression")

    assert ("met", True) == (found.status, bool(found.advisories))


def test_the_milder_of_two_refusals_stands() -> None:
    """Detail 34: a progression of June is too soon, or of before the last cycle and none yet."""
    later = observation("disease status", "2022-05-05", valueCodeableConcept=words("stable"))

    assert "not_met permanent" == verdict(
        screen(course(recist("PD", "2021-06-30"), later)), "progression"
    )
    assert "not_met new_data" == verdict(
        screen(course(recist("PD", "2021-06-01"), later)), "progression"
    )
    assert "not_met new_data" == verdict(
        screen(course(recist("PD", "2021-06"), later)), "progression"
    )
