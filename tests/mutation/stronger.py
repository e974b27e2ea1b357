"""A test of a clock that kills what those of ``weak.py`` leave alive, as if it came later."""

from __future__ import annotations

from datetime import date

from cds_service.criteria.clock import Clock


def test_the_window_of_a_birthday() -> None:
    """The birth dates from which on the years are completed."""
    clock = Clock(date(2026, 3, 9))

    assert not clock.has_birthday(date(2008, 3, 10), 18)
    assert {date(2008, 3, 9)} == clock.windows
    assert {date(2026, 3, 10)} == clock.flips
