"""Which records are cycles of a course, to the day."""

from __future__ import annotations

import pytest

from tests.charts import (
    EVEROLIMUS,
    LUTATHERA,
    SNOMED,
    SUNITINIB,
    Json,
    chart,
    coded,
    given,
    procedure,
    result,
    screen,
    statement,
    verdict,
)

RADIONUCLIDE_THERAPY = coded("399315003", SNOMED)


@pytest.mark.parametrize(
    ("end", "expected"), [("2021-01-14", "met"), ("2021-01-15", "needs_confirmation")]
)
def test_a_record_of_up_to_three_days_is_one_cycle(end: str, expected: str) -> None:
    """As two records three days apart are; a longer one does not say how many cycles it is."""
    content = chart(statement(LUTATHERA, "2021-01-11", end), without="prrt1")

    assert expected == verdict(screen(content), "prrt-exposure")


def test_a_period_without_an_end_is_no_cycle() -> None:
    """It does not say how many cycles it is, and one cycle lies before it."""
    content = chart(statement(LUTATHERA, "2021-04-01"), without="prrt1")
    found = result(screen(content), "prrt-exposure")

    assert ("needs_confirmation", "period_only") == (found.status, found.finding)
    assert found.summary.endswith(": 177Lu-DOTATATE (2021-04-01)")


@pytest.mark.parametrize("on", ["2021-03-05", "2021-03-11", "2021-03-04", "2021-03-12"])
def test_a_nameless_procedure_is_a_cycle_more_only_on_a_day_of_its_own(on: str) -> None:
    """Beside three cycles a fourth would do as well; beside four a fifth would not."""
    day_of_its_own = on in ("2021-03-04", "2021-03-12")
    nameless = procedure(RADIONUCLIDE_THERAPY, on)

    assert "met" == verdict(screen(chart(nameless, without="prrt1")), "prrt-exposure")
    four = verdict(screen(chart(nameless)), "prrt-exposure")
    assert ("needs_confirmation" if day_of_its_own else "met") == four


def test_a_procedure_that_names_its_agent_is_no_nameless_one() -> None:
    """It tells of that agent and of nothing else."""
    agent = {"usedCode": [coded("V10XX03", "http://www.whocc.no/atc")]}
    named = procedure(RADIONUCLIDE_THERAPY, "2021-08-23", **agent)
    nameless = procedure(RADIONUCLIDE_THERAPY, "2021-08-23")

    assert "met" == verdict(screen(chart(named)), "prrt-exposure")
    assert "needs_confirmation" == verdict(screen(chart(nameless)), "prrt-exposure")


def test_the_days_of_the_course_are_counted_from_its_first_cycle() -> None:
    """364 days after the first one is within, a day more is another course."""
    within, beyond = given(LUTATHERA, "2022-01-10"), given(LUTATHERA, "2022-01-11")

    assert "not_met permanent" == verdict(screen(chart(within)), "prrt-exposure")
    assert "met" == verdict(screen(chart(beyond)), "prrt-exposure")


@pytest.mark.parametrize(
    "therapy",
    [given(SUNITINIB, "2024-05-06"), statement(EVEROLIMUS, "2024-03-01", "2024-05-20")],
    ids=["a drug", "a limited drug for too long"],
)
def test_a_therapy_given_since_stands_where_reads_are_cut(therapy: Json) -> None:
    """Nothing that was not read can take it back; without it, what was not read may hold one."""
    cut = {"link": [{"relation": "next", "url": "https://ehr.test/more"}]}

    assert "not_met permanent" == verdict(screen(chart(therapy, **cut)), "no-intervening-therapy")
    assert "unknown" == verdict(screen(chart(**cut)), "no-intervening-therapy")
