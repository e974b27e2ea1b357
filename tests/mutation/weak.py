"""Tests of a clock that leave mutants alive: one of the checks of ``test_mutants.py`` runs them."""

from __future__ import annotations

from datetime import date

from cds_service.criteria.clock import Clock


def test_days_since() -> None:
    """Tells one day from another."""
    assert 8 == Clock(date(2026, 3, 9)).days_since(date(2026, 3, 1))


def test_has_birthday() -> None:
    """Would be content with many another window."""
    assert Clock(date(2026, 3, 9)).has_birthday(date(1990, 1, 1), 18)
