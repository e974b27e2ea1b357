"""Dates: what a recorded date can mean, and the calendar around it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.record.dates import (
    FIRST_DAY,
    LAST_DAY,
    add_months,
    birthday,
    completed_years,
    parse_when,
)

TORONTO = ZoneInfo("America/Toronto")
DAYS = st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 12, 31))


class TestReading:
    """What a text can mean."""

    @pytest.mark.parametrize(
        ("text", "first", "last"),
        [
            ("2026", date(2026, 1, 1), date(2026, 12, 31)),
            ("2026-02", date(2026, 2, 1), date(2026, 2, 28)),
            ("2028-02", date(2028, 2, 1), date(2028, 2, 29)),
            ("2026-12", date(2026, 12, 1), date(2026, 12, 31)),
            ("2028-02-29", date(2028, 2, 29), date(2028, 2, 29)),
            ("2026-03-04T10:11", date(2026, 3, 4), date(2026, 3, 4)),
            ("2026-03-04T10:11:12", date(2026, 3, 4), date(2026, 3, 4)),
            ("2026-03-04T10:11:60Z", date(2026, 3, 4), date(2026, 3, 4)),
            ("2026-03-04T10:11:12.1234567890123Z", date(2026, 3, 4), date(2026, 3, 4)),
            ("9999-12-31", LAST_DAY, LAST_DAY),
        ],
    )
    def test_a_date_means_every_day_in_it(self, text: str, first: date, last: date) -> None:
        """A year is its days, a month is its days, an instant is one day."""
        found = parse_when(text, TORONTO)

        assert (first, last, False) == (found.first, found.last, found.unreadable)

    @pytest.mark.parametrize(
        "text",
        [
            "", " ", "2026-13", "2026-02-29", "2026-2-3", "20260203", "2026-W01-1", "2026-02-03 ",
            "2026-02-03T", "2026-02-03T10", "2026-02-03T24:00:00Z", "2026-02-03T10:61Z",
            "2026-02-03 10:00", "2026-02-03t10:00z", "2026-02-03T10:00+25:00", "soon", "0000-01-01",
            "0001-01-01", "0001-01-01T00:00:00Z", "1600", "\u0662\u0660\u0662\u0666-01-01",
            "2026-02-03\n", "-2026", "9" * 5000,
        ],
    )  # fmt: skip
    def test_what_is_no_date_can_mean_any_day(self, text: str) -> None:
        """It is neither absent nor some day of our choosing; a null date of a system is none."""
        found = parse_when(text, TORONTO)

        assert (True, FIRST_DAY, LAST_DAY) == (found.unreadable, found.first, found.last)

    def test_an_instant_falls_on_the_day_of_the_site(self) -> None:
        """Half past three in the morning in UTC is still the evening before in Toronto."""
        found = parse_when("2026-03-04T03:30:00Z", TORONTO)

        assert date(2026, 3, 3) == found.first

    def test_one_instant_in_two_zones_is_one(self) -> None:
        """How the zone is written does not matter."""
        one = parse_when("2026-03-04T03:30:00Z", TORONTO)
        other = parse_when("2026-03-03T19:30:00-08:00", TORONTO)

        assert (one.instant, one.first) == (other.instant, other.first)

    def test_a_time_without_a_zone_is_read_in_the_site_s_and_says_so(self) -> None:
        """It stays on its own day, and the evidence can tell."""
        found = parse_when("2026-03-04T23:30", TORONTO)

        assert (date(2026, 3, 4), True) == (found.first, found.zoneless)
        assert datetime(2026, 3, 5, 4, 30, tzinfo=UTC) == found.instant

    @given(st.text(max_size=40))
    def test_no_text_raises(self, text: str) -> None:
        """Whatever stands in a chart, there is an interval of days."""
        found = parse_when(text, TORONTO)

        assert FIRST_DAY <= found.first <= found.last <= LAST_DAY

    @given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
    def test_utc_and_an_offset_agree(self, moment: datetime) -> None:
        """The same instant, written with any offset, is the same day."""
        utc = moment.replace(microsecond=0, tzinfo=UTC)
        local = utc.astimezone(TORONTO)

        one, other = (parse_when(one.isoformat(), TORONTO) for one in (utc, local))
        # Zones of the 19th century had odd seconds in them, which FHIR cannot write.
        if not other.unreadable:
            assert (one.first, one.instant) == (other.first, other.instant)
        assert local.date() == one.first

    @given(DAYS)
    def test_a_day_is_read_as_itself(self, day: date) -> None:
        """And it is part of its month and of its year."""
        text = day.isoformat()
        month, year = parse_when(text[:7], UTC), parse_when(text[:4], UTC)

        assert day == parse_when(text, UTC).first == parse_when(text, UTC).last
        assert month.first <= day <= month.last
        assert year.first <= month.first
        assert month.last <= year.last


class TestCalendar:
    """Months, years, birthdays."""

    @pytest.mark.parametrize(
        ("day", "months", "expected"),
        [
            (date(2026, 3, 31), -1, date(2026, 2, 28)),
            (date(2028, 3, 31), -1, date(2028, 2, 29)),
            (date(2026, 1, 15), -1, date(2025, 12, 15)),
            (date(2024, 2, 29), 12, date(2025, 2, 28)),
            (date(2026, 11, 23), -36, date(2023, 11, 23)),
        ],
    )
    def test_months_are_calendar_months(self, day: date, months: int, expected: date) -> None:
        """The last day stands in for a day that the month does not have."""
        assert expected == add_months(day, months)

    @given(DAYS, st.integers(-600, 600))
    def test_adding_months_keeps_the_order_of_days(self, day: date, months: int) -> None:
        """A later day never becomes an earlier one."""
        later = day + timedelta(days=1)

        assert add_months(day, months) <= add_months(later, months)

    @given(DAYS, st.integers(0, 120))
    def test_a_birthday_is_the_first_day_of_an_age(self, birth: date, years: int) -> None:
        """The day before, a year is missing."""
        day = birthday(birth, years)

        assert years == completed_years(birth, day)
        if years:
            assert years - 1 == completed_years(birth, day - timedelta(days=1))

    def test_who_is_born_on_29_february_is_older_on_1_march(self) -> None:
        """In a common year, 28 February is too early."""
        birth = date(2008, 2, 29)

        assert date(2026, 3, 1) == birthday(birth, 18)
        assert date(2028, 2, 29) == birthday(birth, 20)
        assert 17 == completed_years(birth, date(2026, 2, 28))
