"""Dates to the letter: how they are shown, settled on a day, and read to the fraction."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cds_service.record.dates import When, add_months, parse_when, unreadable_when

TORONTO = ZoneInfo("America/Toronto")


class TestShown:
    """A date for a reader."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("2026-03-04", "2026-03-04"),
            ("2026-03-04T03:30:00Z", "2026-03-03"),
            ("2026-03", "2026-03"),
            ("2026", "2026"),
            ("soon", "unreadable date"),
            ("", "unreadable date"),
        ],
    )
    def test_as_recorded_where_it_is_partial(self, text: str, shown: str) -> None:
        """A day is shown as that of the site, a month and a year as they stand in the chart."""
        assert shown == parse_when(text, TORONTO).shown()

    def test_an_interval_that_nobody_wrote_shows_its_ends(self) -> None:
        """As for an age that stands in for a date."""
        assert "1990-01-01/1990-12-31" == When(date(1990, 1, 1), date(1990, 12, 31)).shown()


class TestSettled:
    """A vague date settled on a day."""

    @pytest.mark.parametrize("text", ["2026-03", "soon"])
    def test_it_is_that_day_and_keeps_what_is_known_of_it(self, text: str) -> None:
        """Its text, what it stands in for, and whether it could be read."""
        vague = parse_when(text, TORONTO, stand_in="recordedDate")
        day = date(2026, 3, 9)

        settled = vague.on(day)

        assert (day, day, None) == (settled.first, settled.last, settled.instant)
        assert (text, vague.stand_in) == (settled.text, settled.stand_in)
        assert vague.unreadable == settled.unreadable
        assert settled.exact

    def test_it_keeps_that_it_had_no_zone(self) -> None:
        """As the evidence tells it."""
        moment = parse_when("2026-03-04T10:00", TORONTO)

        assert moment.on(date(2026, 3, 4)).zoneless
        assert not parse_when("2026-03-04", TORONTO).on(date(2026, 3, 4)).zoneless
        assert not moment.on(date(2026, 3, 4)).unreadable

    @pytest.mark.parametrize("text", ["soon", "2026-03-04" + " " * 60])
    def test_what_cannot_be_read_keeps_its_words(self, text: str) -> None:
        """So that a data issue can name them."""
        assert text == unreadable_when(text).text == parse_when(text, TORONTO).text

    @pytest.mark.parametrize("text", ["2026", "2026-03", "2026-03-04", "2026-03-04T10:00:00Z"])
    def test_it_keeps_what_it_stands_in_for(self, text: str) -> None:
        """As the evidence tells it; a clinical date stands in for nothing."""
        assert "recordedDate" == parse_when(text, TORONTO, stand_in="recordedDate").stand_in
        assert parse_when(text, TORONTO).stand_in is None


class TestInstants:
    """Times to the fraction of a second, and offsets to the minute."""

    @pytest.mark.parametrize(
        ("fraction", "microseconds"),
        [
            ("5", 500_000), ("05", 50_000), ("123456", 123_456), ("1234569", 123_456),
            ("000001", 1), ("", 0),
        ],
    )  # fmt: skip
    def test_a_fraction_is_read_to_the_microsecond(self, fraction: str, microseconds: int) -> None:
        """Two results within one second have an order."""
        text = f"2026-03-04T10:11:12{'.' if fraction else ''}{fraction}Z"

        expected = datetime(2026, 3, 4, 10, 11, 12, microseconds, tzinfo=UTC)
        assert expected == parse_when(text, TORONTO).instant

    @pytest.mark.parametrize(
        ("offset", "hour", "minute"),
        [
            ("+00:00", 12, 0), ("+05:30", 6, 30), ("+05:45", 6, 15), ("-03:30", 15, 30),
            ("+12:45", 23, 15), ("-00:15", 12, 15), ("Z", 12, 0),
        ],
    )  # fmt: skip
    def test_an_offset_is_read_to_the_minute(self, offset: str, hour: int, minute: int) -> None:
        """India, Nepal, Newfoundland."""
        found = parse_when(f"2026-03-04T12:00:00{offset}", TORONTO).instant

        assert found is not None
        assert (hour, minute) == (found.hour, found.minute)
        assert UTC == found.tzinfo

    @pytest.mark.parametrize(("second", "read"), [("59", 59), ("60", 59), ("00", 0), ("01", 1)])
    def test_a_leap_second_is_the_one_before(self, second: str, read: int) -> None:
        """FHIR allows it."""
        found = parse_when(f"2026-03-04T10:11:{second}Z", TORONTO).instant

        assert found is not None
        assert read == found.second


@pytest.mark.parametrize("day", [1, 2, 15, 28])
@pytest.mark.parametrize("months", [-13, -12, -1, 0, 1, 11, 12])
def test_a_day_that_every_month_has_stays_that_day(day: int, months: int) -> None:
    """From any month to any other."""
    for month in range(1, 13):
        found = add_months(date(2025, month, day), months)

        assert day == found.day
        assert 2025 * 12 + month + months == found.year * 12 + found.month


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
