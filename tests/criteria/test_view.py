"""The days that a vague date can mean, up to today."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from cds_service.criteria.view import possible_days
from cds_service.record.dates import FIRST_DAY, LAST_DAY, add_months, parse_when

TODAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))


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
