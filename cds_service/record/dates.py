"""Clinical dates as intervals of days in the site's time zone.

FHIR lets a date be a year, a month, a day or an instant. A :class:`When` keeps what is known: the
first and the last day it can mean, and the instant where one was recorded. Nothing here reads a
clock.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

import msgspec

_FHIR_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)"
    r"(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
# No patient of today has an earlier day: systems write 0001-01-01 for a date that they do not have.
FIRST_DAY = date(1850, 1, 1)
# Systems write 9999-12-31 for "no end"; cut off here, a window can still be added to it.
LAST_DAY = date(9000, 12, 31)
_LEAP_SECOND = 60
# An instant with nanoseconds and an offset has 35 characters.
_LONGEST = 64


class When(msgspec.Struct, frozen=True, gc=False):
    """When a fact happened, as far as the record says.

    Args:
        first: earliest day it can mean, in the site's zone.
        last: latest day it can mean.
        instant: the instant in UTC, where a time of day was recorded.
        text: the date as recorded.
        stand_in: the element that stood in for a missing clinical date (``recordedDate`` …).
        zoneless: a time of day without a zone was read in the site's zone.
        unreadable: a date was recorded but cannot be read, so it can mean any day.
        tried: it is one of the days that a vague date can mean, and readers see that one.
    """

    first: date
    last: date
    instant: datetime | None = None
    text: str = ""
    stand_in: str | None = None
    zoneless: bool = False
    unreadable: bool = False
    tried: bool = False

    @property
    def exact(self) -> bool:
        """Whether the day is known."""
        return self.first == self.last

    @property
    def open(self) -> bool:
        """Whether only the last day it can mean is recorded."""
        return self.first == FIRST_DAY and not self.unreadable

    @property
    def endless(self) -> bool:
        """Whether it is 9999-12-31 or so, which systems write for an end that there is not."""
        return self.first == LAST_DAY

    def shown(self) -> str:
        """The day for a reader: ISO 8601, or the partial date as recorded."""
        if self.unreadable:
            return "unreadable date"
        if self.tried and self.text:
            return self.text
        return self.first.isoformat() if self.exact else (self.text or f"{self.first}/{self.last}")

    def on(self, day: date) -> When:
        """This date settled on one of the days it can mean."""
        return msgspec.structs.replace(self, first=day, last=day, instant=None, tried=True)


def unreadable_when(text: str) -> When:
    """A date that was recorded but cannot be read: any day."""
    return When(FIRST_DAY, LAST_DAY, text=text, unreadable=True)


def parse_when(text: str, zone: tzinfo, *, stand_in: str | None = None) -> When:
    """Read a FHIR date, dateTime or instant.

    Args:
        text: the element's text.
        zone: the site's time zone, for the day of an instant and for a time without a zone.
        stand_in: the element's name, where it stands in for the clinical date.

    Returns:
        The interval of days, or an unreadable one.
    """
    # No date, and nothing to remember: a sender chooses how long a text is.
    return unreadable_when(text) if len(text) > _LONGEST else _parsed(text, zone, stand_in)


# The results of one panel share their time, and a chart is read with the same zone throughout.
@lru_cache(maxsize=4096)
def _parsed(text: str, zone: tzinfo, stand_in: str | None) -> When:
    found = _FHIR_DATE.fullmatch(text)
    try:
        read = None if found is None else _read(found, zone)
    except (ValueError, OverflowError):
        read = None
    if read is None or read.last < FIRST_DAY:
        return unreadable_when(text)
    return msgspec.structs.replace(
        read,
        first=min(read.first, LAST_DAY),
        last=min(read.last, LAST_DAY),
        text=text,
        stand_in=stand_in,
    )


def _read(found: re.Match[str], zone: tzinfo) -> When:
    """The days of a date that has the form of one; ValueError where there are none."""
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if hour is not None:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute),
            # FHIR allows a leap second, which datetime does not know.
            int(second or 0) - (int(second or 0) == _LEAP_SECOND),
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=_offset(offset) or zone,
        )  # fmt: skip
        local = moment.astimezone(zone).date()
        return When(local, local, moment.astimezone(UTC), zoneless=offset is None)
    if day is not None:
        only = date(int(year), int(month), int(day))
        return When(only, only)
    if month is not None:
        first = date(int(year), int(month), 1)
        return When(first, first.replace(day=_days_in(first)))
    return When(date(int(year), 1, 1), date(int(year), 12, 31))


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    delta = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-delta if text[0] == "-" else delta)


def _days_in(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def add_months(day: date, months: int) -> date:
    """The same day of another calendar month, or its last: 31 March - 1 month = 28/29 February."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    first = date(year, month + 1, 1)
    return first.replace(day=min(day.day, _days_in(first)))


def completed_years(birth: date, on: date) -> int:
    """Completed years on a day; a birth date of 29 February counts from 1 March in common years."""
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))


def birthday(birth: date, years: int) -> date:
    """The day that completes so many years; 29 February becomes 1 March in common years."""
    try:
        return birth.replace(year=birth.year + years)
    except ValueError:
        return date(birth.year + years, 3, 1)
