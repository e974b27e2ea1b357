"""Counts and rates of a comparison, with their uncertainty. Knows nothing of charts."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

# Two-sided 95 % of the normal distribution.
Z_95 = 1.959963984540054


class Rate(NamedTuple):
    """A share with its Wilson score interval; all None where there is nothing to share."""

    hits: int
    of: int

    @property
    def share(self) -> float | None:
        """The share itself."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval (95 %), which stays within 0 to 1 and holds at its ends.

        Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
        inference", J. Am. Stat. Assoc. 22 (1927), 209-212.
        """
        if not self.of:
            return None
        n, p, z2 = self.of, self.hits / self.of, Z_95**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z_95 / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        low = 0.0 if self.hits == 0 else middle - half
        return low, 1.0 if self.hits == n else middle + half


class TwoByTwo(NamedTuple):
    """A test against the truth, patient by patient."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def with_case(self, *, called: bool, true: bool) -> TwoByTwo:
        """The table with one more patient."""
        cell = ("true_" if called == true else "false_") + ("positive" if called else "negative")
        return self._replace(**{cell: getattr(self, cell) + 1})

    def __add__(self, other: object) -> TwoByTwo:
        if not isinstance(other, TwoByTwo):
            return NotImplemented
        return TwoByTwo(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def sensitivity(self) -> Rate:
        """Of those in whom it is true, the share that was called."""
        return Rate(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> Rate:
        """Of those in whom it is not true, the share that was not called."""
        return Rate(self.true_negative, self.true_negative + self.false_positive)

    @property
    def positive_predictive_value(self) -> Rate:
        """Of those called, the share in whom it is true."""
        return Rate(self.true_positive, self.true_positive + self.false_positive)

    @property
    def negative_predictive_value(self) -> Rate:
        """Of those not called, the share in whom it is not true."""
        return Rate(self.true_negative, self.true_negative + self.false_negative)
