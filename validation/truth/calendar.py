"""Days and months, as the trial's criteria count them."""

from __future__ import annotations

from calendar import monthrange
from datetime import date


def within_days(day: date, as_of: date, days: int) -> bool:
    """From `days` days before the reference date to that date itself."""
    return 0 <= (as_of - day).days <= days


def months_before(day: date, months: int) -> date:
    """The same day of the month so many months earlier, or the last day of a shorter month."""
    count = day.year * 12 + day.month - 1 - months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def completed_years(born: date, as_of: date) -> int:
    """The age; who was born on 29 February has it from 1 March in common years."""
    return as_of.year - born.year - ((as_of.month, as_of.day) < (born.month, born.day))
