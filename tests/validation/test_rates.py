"""Rates and their intervals, against published values."""

from __future__ import annotations

import pytest

from validation.rates import Rate, TwoByTwo


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion: comparison of
        # seven methods", Stat. Med. 17 (1998), 857-872, table I, method 3 (score).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval(hits: int, of: int, low: float, high: float) -> None:
    """The score interval without continuity correction."""
    assert (low, high) == pytest.approx(Rate(hits, of).interval, abs=5e-5)


def test_ends_are_ends() -> None:
    """None and all give intervals that hold them."""
    assert 0 == (Rate(0, 7).interval or (1, 1))[0]
    assert 1 == (Rate(7, 7).interval or (0, 0))[1]
    assert (None, None) == (Rate(0, 0).share, Rate(0, 0).interval)


def test_a_table_of_two_by_two() -> None:
    """Each rate takes its own row or column."""
    found = TwoByTwo()
    for called, true, times in ((1, 1, 9), (1, 0, 3), (0, 1, 1), (0, 0, 87)):
        for _ in range(times):
            found = found.with_case(called=bool(called), true=bool(true))

    assert TwoByTwo(9, 3, 1, 87) == found
    assert (9, 10) == found.sensitivity
    assert (87, 90) == found.specificity
    assert (9, 12) == found.positive_predictive_value
    assert (87, 88) == found.negative_predictive_value
    assert TwoByTwo(18, 6, 2, 174) == found + found
