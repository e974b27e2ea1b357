"""How much PRRT: cycles, activity, and records that leave it open."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.charts import (
    ATC,
    LUTATHERA,
    RXNORM,
    SNOMED,
    STRANGE,
    TODAY,
    Json,
    case,
    chart,
    coded,
    cycle,
    days_ago,
    dispense,
    given,
    order,
    procedure,
    quantity,
    result,
    screen,
    statement,
    verdict,
    words,
)

CASES = ("expected", "content", "how")
NO_PRRT = "prrt1 prrt2 prrt3 prrt4"
FIRST = date(2021, 1, 11)


def _after(days: int) -> Any:
    return (FIRST + timedelta(days=days)).isoformat()


def _course(*days: Any, activity: Any = 7400) -> Any:
    return [cycle(_after(day), activity) for day in days]


def _only(*resources: Any, **more: Any) -> Any:
    return chart(*resources, without=NO_PRRT, **more)


def _told(day: int) -> Any:
    """A cycle by the words of its record only."""
    return given(words("Lutathera"), _after(day))


def _activities(*values: Any, unit: str = "MBq") -> Any:
    return _only(*(cycle(_after(56 * at), value, unit) for at, value in enumerate(values)))


@pytest.mark.parametrize(
    CASES,
    [
        case("4 cycles", "met", chart()),
        case("3 cycles, no activity", "met", _only(*_course(0, 56, 112, activity=None))),
        case("none", "not_met new_data by absence", _only()),
        case("1 cycle long ago", "not_met permanent", _only(*_course(0))),
        case("2 cycles long ago", "not_met permanent", _only(*_course(0, 56))),
        case(
            "2 cycles, the last 111 days ago",
            "not_met new_data",
            _only(cycle(days_ago(170)), cycle(days_ago(111))),
        ),
        case(
            "2 cycles, the last 112 days ago",
            "not_met permanent",
            _only(cycle(days_ago(170)), cycle(days_ago(112))),
        ),
        case("1 cycle today", "not_met new_data", _only(cycle(days_ago(0)))),
        case(
            "5 cycles beyond any activity",
            "not_met permanent",
            _only(*_course(0, 56, 112, 168, 224)),
        ),
        case(
            "detail 9: the last on day 364 belongs to the course",
            "met",
            _only(*_course(0, 56, 364)),
        ),
        case(
            "the last on day 365 does not",
            "not_met permanent",
            _only(*_course(0, 56, 365, activity=None)),
        ),
        case(
            "the fifth after 52 weeks does not count", "met", _only(*_course(0, 56, 112, 168, 365))
        ),
        case(
            "a cycle after the day does not count",
            "not_met permanent",
            _only(*_course(0, 56), cycle("2026-11-24")),
        ),
    ],
)
def test_cycles(expected: str, content: Json, how: Json) -> None:
    """3 or 4 cycles within 364 days of the first."""
    assert expected == verdict(screen(content, **how), "prrt-exposure")


@pytest.mark.parametrize(
    CASES,
    [
        case("2 cycles that make 22,200", "met", _activities(11100, 11100)),
        case("detail 9: 10 % below", "met", _activities(9990, 9990)),
        case("less than that", "not_met permanent", _activities(9990, 9989.9)),
        case("detail 9: 10 % above 22,200", "met", _activities(12210, 12210)),
        case("between the targets", "not_met permanent", _activities(12210, 12210.1)),
        case("detail 9: 10 % below 29,600", "met", _activities(13320, 13320)),
        case("just below that", "not_met permanent", _activities(13320, 13319.9)),
        case("5 cycles that make 29,600", "met", _activities(5920, 5920, 5920, 5920, 5920)),
        case(
            "6 cycles that make too much",
            "not_met permanent",
            _activities(7400, 7400, 7400, 7400, 7400, 7400),
        ),
        case("in mCi", "met", _activities(300, 300, unit="mCi")),
        case("in GBq", "met", _activities(11.1, 11.1, unit="GBq")),
        case("one cycle can never reach it", "not_met permanent", _activities(15000)),
        case(
            "detail 30: one cycle with an unusable activity",
            "not_met permanent",
            _activities(22200),
        ),
        case(
            "detail 30: unusable where it could have decided", "unknown", _activities(11100, 20000)
        ),
        case("detail 30: unit unknown", "unknown", _activities(11100, 11100, unit="mg")),
        case("detail 30: not recorded", "not_met permanent", _activities(11100, None)),
        case("unusable activity of 3 cycles does not matter", "met", _activities(1, 1, 1)),
        case("plausible from 500", "not_met permanent", _activities(500, 500)),
        case("not plausible below 500", "unknown", _activities(11100, 499)),
        case("plausible to 15,000", "met", _activities(15000, 11640)),
        case(
            "detail 39: two records of a cycle 5 % apart agree",
            "met",
            _only(cycle(_after(0), 10000), cycle(_after(1), 9500), cycle(_after(56), 12000)),
        ),
        case(
            "detail 39: further apart is unusable",
            "unknown",
            _only(cycle(_after(0), 10000), cycle(_after(1), 9499), cycle(_after(56), 12000)),
        ),
        case(
            "the site's tolerance replaces it",
            "not_met permanent",
            _activities(10000, 10000),
            site={"prrt_activity_tolerance": "0.05"},
        ),
        case(
            "the site's tolerance, exactly",
            "met",
            _activities(10545, 10545),
            site={"prrt_activity_tolerance": "0.05"},
        ),
    ],
)
def test_activity(expected: str, content: Json, how: Json) -> None:
    """Cumulative activity within the tolerance of a target, where cycles do not decide."""
    assert expected == verdict(screen(content, **how), "prrt-exposure")


@pytest.mark.parametrize(
    CASES,
    [
        case(
            "detail 29: 3 days after the first record is the same",
            "not_met permanent",
            _only(*_course(0, 3, 56, activity=None)),
        ),
        case(
            "detail 29: 4 days after leaves the count open",
            "needs_confirmation",
            _only(*_course(0, 4, 56, activity=None)),
        ),
        case(
            "detail 29: 20 days after leaves the count open",
            "needs_confirmation",
            _only(*_course(0, 20, 56, activity=None)),
        ),
        case(
            "detail 29: 21 days after is another cycle",
            "met",
            _only(*_course(0, 21, 56, activity=None)),
        ),
        case(
            "detail 29: counted from the event's first record",
            "needs_confirmation",
            _only(*_course(0, 3, 5, 56, activity=None)),
        ),
        case("detail 29: 3 or 4 agree", "met", _only(*_course(0, 56, 112, 122))),
        case("detail 29: 1 or 2 agree", "not_met permanent", _only(*_course(0, 10, activity=None))),
        case(
            "detail 29: 4 or 5 do not", "needs_confirmation", _only(*_course(0, 56, 112, 168, 178))
        ),
        case(
            "recorded as administration and statement",
            "not_met permanent",
            _only(
                *_course(0, 56, activity=None), statement(LUTATHERA, effectiveDateTime=_after(57))
            ),
        ),
    ],
)
def test_the_same_event_twice(expected: str, content: Json, how: Json) -> None:
    """Records of one cycle count once; between 4 and 20 days both counts are tried."""
    assert expected == verdict(screen(content, **how), "prrt-exposure")


UNNAMED = "399315003"


@pytest.mark.parametrize(
    CASES,
    [
        case("ordered only", "needs_confirmation", _only(order(LUTATHERA))),
        case("dispensed only", "needs_confirmation", _only(dispense(LUTATHERA))),
        case(
            "a dispense plus an order is still ordered",
            "needs_confirmation",
            _only(order(LUTATHERA), dispense(LUTATHERA)),
        ),
        case("by words only", "needs_confirmation", _only(given(words("Lutathera"), _after(0)))),
        case(
            "detail 14: no agent named", "needs_confirmation", _only(procedure(UNNAMED, _after(0)))
        ),
        case(
            "detail 14: by usedCode",
            "met",
            _only(
                *(
                    procedure(UNNAMED, _after(day), usedCode=[coded("781259000", SNOMED)])
                    for day in (0, 56, 112)
                )
            ),
        ),
        case(
            "detail 35: statements of one day are cycles",
            "met",
            _only(*(statement(LUTATHERA, effectiveDateTime=_after(day)) for day in (0, 56, 112))),
        ),
        case("detail 39: an order beside enough cycles", "met", chart(order(LUTATHERA))),
        *(
            case(f"in words, {name}", expected, content)
            for name, expected, content in [
                # Three or four, whichever it was: enough.
                ("a fourth", "met", _only(*_course(0, 56, 112), _told(168))),
                ("a fifth", "needs_confirmation", _only(*_course(0, 56, 112, 168), _told(224))),
                (
                    "a fifth, first of all",
                    "needs_confirmation",
                    _only(*_course(0, 56, 112, 168), _told(-56)),
                ),
                (
                    "a fourth and a fifth",
                    "needs_confirmation",
                    _only(*_course(0, 56, 112), _told(168), _told(224)),
                ),
                ("the fourth once more", "met", _only(*_course(0, 56, 112, 168), _told(171))),
                (
                    "a week after the fourth",
                    "needs_confirmation",
                    _only(*_course(0, 56, 112, 168), _told(175)),
                ),
                ("beyond the 52 weeks", "met", _only(*_course(0, 56, 112, 168), _told(365))),
                (
                    "on the last day of the 52 weeks",
                    "needs_confirmation",
                    _only(*_course(0, 56, 112, 168), _told(364)),
                ),
                # The course would begin earlier, and the last of three would be beyond it.
                ("a year before the third", "met", _only(*_course(0, 300, 364), _told(-1))),
                (
                    "two years before the third",
                    "needs_confirmation",
                    _only(*_course(0, 300, 364), _told(-300)),
                ),
                (
                    "without a date",
                    "met",
                    _only(*_course(0, 56, 112, 168), given(words("Lutathera"), None)),
                ),
                (
                    "ordered",
                    "met",
                    _only(*_course(0, 56, 112, 168), order(words("Lutathera"), _after(224))),
                ),
                (
                    "a period",
                    "met",
                    _only(
                        *_course(0, 56, 112, 168),
                        statement(words("Lutathera"), _after(0), _after(300)),
                    ),
                ),
                (
                    "more than can be tried",
                    "needs_confirmation",
                    _only(*_course(0, 56, 112), *(_told(365 + 30 * at) for at in range(6))),
                ),
                (
                    "as many as can be tried",
                    "met",
                    _only(*_course(0, 56, 112), *(_told(365 + 30 * at) for at in range(5))),
                ),
            ]
        ),
        case(
            "a fifth that names no agent",
            "needs_confirmation",
            _only(*_course(0, 56, 112, 168), procedure(UNNAMED, _after(224))),
        ),
        case(
            "one of an alpha emitter is no fifth",
            "met",
            _only(
                *_course(0, 56, 112, 168),
                procedure(UNNAMED, _after(224), usedCode=[coded("V10XX03", ATC)]),
            ),
        ),
        case(
            "detail 39: an order beside too few",
            "needs_confirmation",
            _only(*_course(0), order(LUTATHERA)),
        ),
        case(
            "the order of a given cycle, of its day, is the same event",
            "not_met permanent",
            _only(*_course(0, 56), order(LUTATHERA, _after(0)), order(LUTATHERA, _after(53))),
        ),
        case(
            "an order four days before a cycle is another event",
            "needs_confirmation",
            _only(*_course(0, 56), order(LUTATHERA, _after(52))),
        ),
        case(
            "a period with no count",
            "needs_confirmation",
            _only(statement(LUTATHERA, _after(0), _after(168))),
        ),
        case(
            "detail 39: a period that holds all single cycles",
            "met",
            chart(statement(LUTATHERA, "2021-01-01", "2021-07-01")),
        ),
        case(
            "detail 39: a period that misses one",
            "needs_confirmation",
            chart(statement(LUTATHERA, "2021-01-01", "2021-06-27")),
        ),
        case("detail 39: an undated cycle", "needs_confirmation", chart(cycle(None))),
        case(
            "entered in error",
            "not_met new_data by absence",
            _only(cycle(_after(0), status="entered-in-error")),
        ),
        case("not done", "not_met new_data by absence", _only(cycle(_after(0), status="not-done"))),
        case(
            "detail 35: on hold is ordered",
            "needs_confirmation",
            _only(cycle(_after(0), status="on-hold")),
        ),
        case(
            "in progress is given",
            "not_met permanent",
            _only(cycle(_after(0), status="in-progress")),
        ),
        case(
            "detail 39: an Ac-225 agent is no cycle",
            "not_met permanent",
            _only(*_course(0, 56), given(words("Ac-225 DOTATATE"), _after(112))),
        ),
        case(
            "Pluvicto is no PRRT",
            "not_met new_data by absence",
            _only(given(coded("2597052", RXNORM), _after(0))),
        ),
        case(
            "I-131 is no PRRT",
            "not_met new_data by absence",
            _only(given(coded("V10XA01", ATC), _after(0))),
        ),
        case(
            "the diagnostic tracer is no therapy",
            "not_met new_data by absence",
            _only(given(coded("724025002", SNOMED), _after(0))),
        ),
        case(
            "unknown modifier where it could decide",
            "unknown",
            _only(*_course(0, 56, activity=None), cycle(_after(112), None, **STRANGE)),
        ),
        case(
            "unknown modifier where it could not",
            "met",
            _only(*_course(0, 56, 112), cycle(_after(168), None, **STRANGE)),
        ),
        case(
            "months that surely make 4 cycles",
            "met",
            _only(*(cycle(month) for month in ("2021-01", "2021-03", "2021-05", "2021-07"))),
        ),
        case(
            "months that surely make 3 cycles",
            "met",
            _only(*(cycle(month) for month in ("2021-01", "2021-03", "2021-05"))),
        ),
        case(
            "a month that may lie outside 52 weeks",
            "unknown",
            _only(cycle("2021-01-11", None), cycle("2021-03-08", None), cycle("2022-01", None)),
        ),
        case(
            "of another patient",
            "not_met permanent",
            _only(*_course(0, 56), cycle(_after(112), subject={"reference": "Patient/bob"})),
        ),
    ],
)
def test_what_shows_a_cycle(expected: str, content: Json, how: Json) -> None:
    """Only what was given decides; orders, words, periods and doubts leave it open."""
    assert expected == verdict(screen(content, **how), "prrt-exposure")


def test_the_course_under_way_becomes_too_little_with_time() -> None:
    """The refusal that may still change becomes permanent 16 weeks after the last cycle."""
    content = chart(cycle(days_ago(100)), without=f"{NO_PRRT} after better worse")

    assert "not_met new_data" == verdict(
        screen(content, TODAY + timedelta(days=11)), "prrt-exposure"
    )
    assert "not_met permanent" == verdict(
        screen(content, TODAY + timedelta(days=12)), "prrt-exposure"
    )
    runs = [(one.start, one.overall) for one in screen(content).outlook]
    assert (TODAY + timedelta(days=12), "excluded") in runs


def test_evidence_names_the_activity() -> None:
    """The activity stands in the evidence as recorded."""
    found = result(screen(_only(cycle(_after(0), 7.4, "GBq"))), "prrt-exposure")

    assert any("7.4 GBq" in (one.value or "") for one in found.evidence)


def test_dose_in_a_statement_is_read() -> None:
    """A statement's dose is the cycle's activity too."""
    doses = [{"doseAndRate": [{"doseQuantity": quantity(11100, "MBq")}]}]
    content = _only(
        *(statement(LUTATHERA, effectiveDateTime=_after(day), dosage=doses) for day in (0, 56))
    )

    assert "met" == verdict(screen(content), "prrt-exposure")
