"""The assumed day of enrolment, and the days on which a comparison with it changes.

Every comparison of a fact's date with the day goes through a :class:`Clock`, which notes the next
day on which the answer would be another one. So expiry, ``eligibleFrom`` and the outlook need no
rule of their own: they follow from evaluating the same rule again on the noted days.
"""

from __future__ import annotations

from datetime import date, timedelta

from cds_service.record.dates import add_months, birthday

_DAY = timedelta(days=1)


class Clock:
    """One day, and the later days on which answers given so far change.

    Args:
        today: the assumed enrolment date in the site's zone.
    """

    __slots__ = ("_starts", "flips", "today", "windows")

    def __init__(self, today: date) -> None:
        self.today = today
        self.flips: set[date] = set()
        # First days of the windows asked about: the days at which a vague date would matter.
        self.windows: set[date] = set()
        self._starts: dict[int, date] = {}

    def note(self, day: date) -> None:
        """Note a day on which an answer changes; days up to today are of no interest."""
        if day > self.today:
            self.flips.add(day)

    def has_come(self, day: date) -> bool:
        """Whether the day is today or earlier."""
        if day <= self.today:
            return True
        self.flips.add(day)
        return False

    def within_days(self, day: date, days: int) -> bool:
        """Whether ``0 <= today - day <= days``."""
        start = self._starts.get(days)
        if start is None:
            start = self._starts[days] = self.today - timedelta(days=days)
            self.windows.add(start)
        # Most facts of a long chart are older, and no answer about those changes again.
        if day < start or not self.has_come(day):
            return False
        self.note(day + timedelta(days=days + 1))
        return True

    def within_months(self, day: date, months: int) -> bool:
        """Whether the day is today or earlier and not before today minus calendar months."""
        start = add_months(self.today, -months)
        self.windows.add(start)
        if not self.has_come(day):
            return False
        if day < start:
            return False
        self.note(_first_outside(day, months))
        return True

    def has_birthday(self, birth: date, years: int) -> bool:
        """Whether that many years are completed."""
        self.windows.add(add_months(self.today, -12 * years))
        return self.has_come(birthday(birth, years))

    def days_since(self, day: date) -> int:
        """Days from a day to today; the answer changes daily, so the caller notes what matters."""
        return (self.today - day).days


def _first_outside(day: date, months: int) -> date:
    """The first day on which ``day`` is earlier than that day minus the months."""
    later = add_months(day, months) + _DAY
    while add_months(later, -months) <= day:
        later += _DAY
    return later
