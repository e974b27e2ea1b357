"""The parts that every rule rests on, against what they say of themselves.

A clock says until when its answers hold, a comparison of intervals speaks for every amount in
them, and an overall result is an order of statuses.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cds_service.criteria.clock import Clock
from cds_service.criteria.evaluate import overall
from cds_service.criteria.finding import Finding
from cds_service.criteria.latest import against, newest
from cds_service.criteria.settle import Judgement
from cds_service.criteria.view import possible_days
from cds_service.record.dates import FIRST_DAY, LAST_DAY, add_months, completed_years, parse_when
from cds_service.record.model import Result, Source, Span

TODAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))
NEAR = st.integers(-500, 500).map(lambda days: timedelta(days=days))


# --- The clock ---------------------------------------------------------------------------------

ASKED = {
    "has come": lambda clock, day, _: clock.has_come(day),
    "within days": lambda clock, day, number: clock.within_days(day, number),
    "within months": lambda clock, day, number: clock.within_months(day, number),
    "birthday": lambda clock, day, _: clock.has_birthday(add_months(day, -360), 30),
}
SAID = {
    "has come": lambda today, day, _: day <= today,
    "within days": lambda today, day, number: timedelta() <= today - day <= timedelta(number),
    "within months": lambda today, day, number: add_months(today, -number) <= day <= today,
    "birthday": lambda today, day, _: completed_years(add_months(day, -360), today) >= 30,
}


@pytest.mark.parametrize("question", ASKED)
@given(today=TODAYS, ahead=NEAR, number=st.integers(0, 40))
def test_a_clock_answers_and_says_until_when(
    question: str, today: date, ahead: timedelta, number: int
) -> None:
    """The answer is that of the calendar, and stays it until the next day noted, no longer."""
    day = today + ahead
    clock = Clock(today)
    answer = ASKED[question](clock, day, number)

    assert answer == SAID[question](today, day, number)
    assert all(flip > today for flip in clock.flips)
    first = min(clock.flips, default=today + timedelta(days=2000))
    for later in (today + timedelta(days=n) for n in range((first - today).days)):
        assert answer == SAID[question](later, day, number)
    if clock.flips:
        assert answer != SAID[question](first, day, number)


@given(TODAYS, NEAR, st.integers(0, 40))
def test_a_clock_names_the_days_at_which_a_vague_date_matters(
    today: date, ahead: timedelta, number: int
) -> None:
    """Of two neighbouring days that are answered differently, a window or today is one."""
    day, before = today + ahead, today + ahead - timedelta(days=1)
    for question in ("within days", "within months"):
        clock = Clock(today)
        answers = [ASKED[question](clock, one, number) for one in (before, day)]
        if answers[0] != answers[1]:
            assert {day, before} & (clock.windows | {today})


@given(TODAYS, st.integers(-40, 40))
def test_a_clock_names_the_birthday_that_matters(today: date, ahead: int) -> None:
    """Of two neighbouring births that differ in whether thirty years are completed."""
    birth = add_months(today, -360) + timedelta(days=ahead % 3 - 1)
    before = birth - timedelta(days=1)
    clock = Clock(today)

    if clock.has_birthday(birth, 30) != clock.has_birthday(before, 30):
        assert {birth, before} & clock.windows


@pytest.mark.parametrize("months", [1, 2, 11, 12, 36])
@pytest.mark.parametrize("month", range(1, 13))
def test_a_window_of_months_ends_right_at_the_ends_of_months(month: int, months: int) -> None:
    """A scan of 28 February is within one month up to the end of March."""
    for year in (2026, 2027, 2028):
        for back in range(4):
            day = add_months(date(year, month, 1), 1) - timedelta(days=1 + back)
            clock = Clock(day)
            assert clock.within_months(day, months)
            (first,) = clock.flips

            assert not SAID["within months"](first, day, months)
            assert SAID["within months"](first - timedelta(days=1), day, months)


@given(TODAYS, NEAR)
def test_days_since_are_days(today: date, ahead: timedelta) -> None:
    """Without a note: who asks for them notes what matters."""
    clock = Clock(today)

    assert -ahead.days == clock.days_since(today + ahead)
    assert not clock.flips


# --- Intervals of amounts ----------------------------------------------------------------------

HOLDS = {
    ">=": lambda value, limit: value >= limit,
    ">": lambda value, limit: value > limit,
    "<=": lambda value, limit: value <= limit,
    "<": lambda value, limit: value < limit,
}
ENDS = st.one_of(st.none(), st.integers(0, 6).map(Decimal))


@given(ENDS, ENDS, st.booleans(), st.booleans(), st.sampled_from(sorted(HOLDS)),
       st.integers(0, 6).map(Decimal))  # fmt: skip
def test_an_interval_is_compared_as_each_amount_in_it(
    low: Decimal | None,
    high: Decimal | None,
    low_open: bool,  # noqa: FBT001
    high_open: bool,  # noqa: FBT001
    comparison: str,
    limit: Decimal,
) -> None:
    """Met where all of them are, not met where none is, and otherwise it straddles the limit."""
    span = Span(low, high, low_open, high_open)
    tenths = (Decimal(number) / 10 for number in range(-20, 90))
    inside = [value for value in tenths if _is_in(value, span)]
    assume(inside)
    said = {HOLDS[comparison](value, limit) for value in inside}

    expected = "straddles" if len(said) == 2 else "met" if said.pop() else "not_met"
    assert expected == against(span, comparison, limit)


def _is_in(value: Decimal, span: Span) -> bool:
    above = span.low is None or value > span.low or (value == span.low and not span.low_open)
    below = span.high is None or value < span.high or (value == span.high and not span.high_open)
    return above and below


# --- The newest --------------------------------------------------------------------------------

TIMES = st.one_of(
    st.integers(1, 4).map(lambda day: f"2026-03-0{day}"),
    st.builds("2026-03-0{}T{:02}:00:00Z".format, st.integers(1, 4), st.integers(0, 23)),
    st.none(),
)


@given(st.lists(TIMES, max_size=6))
def test_the_newest_are_those_that_none_is_surely_after(times: list[str | None]) -> None:
    """A date without a time ties with all of its day."""
    zone = ZoneInfo("UTC")
    facts = [
        Result(Source(f"Observation/{n}", "x", ()), frozenset(), when and parse_when(when, zone))
        for n, when in enumerate(times)
    ]
    dated = [fact for fact in facts if fact.when is not None]
    expected = [one for one in dated if not any(_surely_after(other, one) for other in dated)]

    assert expected == list(newest(facts))


def _surely_after(one: Result, other: Result) -> bool:
    assert one.when is not None
    assert other.when is not None
    if one.when.first != other.when.first:
        return one.when.first > other.when.first
    both = one.when.instant, other.when.instant
    return both[0] is not None and both[1] is not None and both[0] > both[1]


# --- Vague dates -------------------------------------------------------------------------------


@given(st.dates(date(1990, 1, 1), date(2030, 12, 31)), TODAYS, st.sampled_from((4, 7, 10)))
def test_possible_days_are_those_of_the_date_up_to_today(
    day: date, today: date, length: int
) -> None:
    """And all of them, where none has come yet."""
    when = parse_when(day.isoformat()[:length], ZoneInfo("UTC"))
    first, last = possible_days(when, today)

    assert first == when.first
    assert last == (min(when.last, today) if when.first <= today else when.last)


@given(TODAYS)
def test_an_unreadable_date_reaches_back_a_lifetime(today: date) -> None:
    """A hundred and twenty years, and ahead up to today."""
    when = parse_when("soon", ZoneInfo("UTC"))

    assert (add_months(today, -1440), today) == possible_days(when, today)
    assert (FIRST_DAY, LAST_DAY) == (when.first, when.last)
    assert "unreadable date" == when.shown()


@given(st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)), st.integers(-56, 56))  # noqa: DTZ001
def test_an_instant_s_day_is_that_of_the_site(moment: datetime, quarters: int) -> None:
    """Computed without a time zone database: a site at a fixed offset."""
    zone = ZoneInfo("Etc/GMT+5")
    sign, minutes = "-" if quarters < 0 else "+", abs(quarters) * 15
    assume(minutes // 60 < 14 or minutes == 840)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{minutes // 60:02}:{minutes % 60:02}"
    found = parse_when(text, zone)

    utc = moment.replace(microsecond=0) - timedelta(minutes=15 * quarters)
    assert (utc - timedelta(hours=5)).date() == found.first == found.last
    assert found.instant is not None
    assert utc == found.instant.replace(tzinfo=None)
    assert not found.zoneless


# --- The overall result ------------------------------------------------------------------------

KINDS = (
    ("met", None), ("not_applicable", None), ("unknown", None), ("needs_confirmation", None),
    ("not_met", "time"), ("not_met", "new_data"), ("not_met", "permanent"),
)  # fmt: skip
ORDER = ("excluded", "not_now", "possible", "all_met")


def test_the_overall_result_is_the_worst_of_all() -> None:
    """Of every set of up to three kinds of result."""
    said = {
        ("not_met", "permanent"): "excluded", ("not_met", "time"): "not_now",
        ("not_met", "new_data"): "not_now", ("unknown", None): "possible",
        ("needs_confirmation", None): "possible",
    }  # fmt: skip
    for kinds in product(KINDS, repeat=3):
        judged = [
            Judgement(status, None, change, Finding("any"), set())  # type: ignore[arg-type]
            for status, change in kinds
        ]
        expected = min((said.get(kind, "all_met") for kind in kinds), key=ORDER.index)

        assert expected == overall(judged)
