"""Which results decide: the most recent ones by clinical time, and what they say against a limit.

Source: "Values" and details 1, 8 and 32 of the eligibility rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec

from cds_service.criteria.view import Fact
from cds_service.record.amounts import Span
from cds_service.record.model import Result, ResultState

Against = Literal["met", "not_met", "straddles"]
F = TypeVar("F", bound=Fact)


class Latest(msgspec.Struct, frozen=True):
    """The deciding results: those of the latest time, and the empty ones that were passed over.

    Args:
        results: all of one time; several where one is dated only by its day, or two share an
            instant.
        passed_over: newer results without a value.
    """

    results: tuple[Result, ...]
    passed_over: tuple[Result, ...] = ()

    @property
    def unusable(self) -> Result | None:
        """The first of them that cannot be used, if any."""
        return next((one for one in self.results if one.state is ResultState.UNUSABLE), None)


def newest(facts: Iterable[F]) -> tuple[F, ...]:
    """The facts of the latest time; a fact dated only by its day ties with all of that day."""
    held = tuple([fact for fact in facts if fact.when is not None])
    if len(held) <= 1:
        return held
    day = max(fact.when.first for fact in held if fact.when is not None)
    same_day = [fact for fact in held if fact.when is not None and fact.when.first == day]
    instants = [
        f.when.instant for f in same_day if f.when is not None and f.when.instant is not None
    ]
    if not instants:
        return tuple(same_day)
    last = max(instants)
    return tuple(
        fact for fact in same_day if fact.when is not None and fact.when.instant in (None, last)
    )


def latest(results: Iterable[Result]) -> Latest | None:
    """The deciding results among dated ones; None where there is none with a value."""
    dated = [one for one in results if one.when is not None]
    valued = [one for one in dated if one.state is not ResultState.EMPTY]
    deciding = newest(valued)
    if not deciding:
        return None
    day = max(one.when.first for one in deciding if one.when is not None)
    passed = tuple(
        one
        for one in dated
        if one.state is ResultState.EMPTY and one.when is not None and one.when.first > day
    )
    return Latest(deciding, passed)


def _surely_at_least(amount: Span, limit: Decimal) -> bool:
    return amount.low is not None and amount.low >= limit


def _surely_above(amount: Span, limit: Decimal) -> bool:
    low = amount.low
    return low is not None and (low > limit or (low == limit and amount.low_open))


def _surely_at_most(amount: Span, limit: Decimal) -> bool:
    return amount.high is not None and amount.high <= limit


def _surely_below(amount: Span, limit: Decimal) -> bool:
    high = amount.high
    return high is not None and (high < limit or (high == limit and amount.high_open))


_Sure = Callable[[Span, Decimal], bool]
_COMPARISONS: dict[str, tuple[_Sure, _Sure]] = {
    ">=": (_surely_at_least, _surely_below),
    ">": (_surely_above, _surely_at_most),
    "<=": (_surely_at_most, _surely_above),
    "<": (_surely_below, _surely_at_least),
}


def against(amount: Span, comparison: str, limit: Decimal) -> Against:
    """Compare an amount that may be an interval with a limit.

    Args:
        comparison: ``>=``, ``>``, ``<=`` or ``<``.

    Returns:
        ``straddles`` where some of the values it can be are on either side.
    """
    holds, fails = _COMPARISONS[comparison]
    if holds(amount, limit):
        return "met"
    return "not_met" if fails(amount, limit) else "straddles"


def day_of(results: Sequence[Result]) -> str:
    """The day of the deciding results, for a sentence."""
    when = results[0].when
    return "" if when is None else when.shown()
