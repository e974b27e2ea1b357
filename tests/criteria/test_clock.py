"""A clock answers as the calendar does, and says until when its answers hold."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.criteria.clock import Clock
from cds_service.record.dates import add_months, completed_years

TODAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))
NEAR = st.integers(-500, 500).map(lambda days: timedelta(days=days))

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


@pytest.mark.parametrize("ahead", [-400, -28, -3, 0, 5])
@pytest.mark.parametrize(
    ("question", "number", "first"),
    [
        ("within days", 28, date(2026, 3, 3)),
        ("within months", 1, date(2026, 2, 28)),
        ("within months", 36, date(2023, 3, 31)),
    ],
)
def test_a_clock_names_the_first_day_of_a_window(
    question: str, number: int, first: date, ahead: int
) -> None:
    """Whatever day was asked about."""
    clock = Clock(date(2026, 3, 31))
    ASKED[question](clock, clock.today + timedelta(days=ahead), number)

    assert {first} == clock.windows


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
