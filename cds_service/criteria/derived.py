"""Counts made from several results of one sampling time.

Source: the ``neutrophils`` rule and detail 32 of the eligibility rules: segmented and band counts,
or a total of cells times a share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import product
from math import prod

import msgspec

from cds_service.criteria.latest import newest
from cds_service.record.amounts import Span
from cds_service.record.model import Result, ResultState
from cds_service.trial.rules.laboratory import Derivation

Window = Callable[[Sequence[str]], Sequence[Result]]
_PERCENT = Decimal(1) / Decimal(100)
# Of one time; more results of each part than a laboratory repeats make that many counts.
MOST_COUNTS = 256
TOO_MANY = "there are too many results of one sampling time"


class Derived(msgspec.Struct, frozen=True):
    """One count.

    Args:
        parts: the results that it is made from.
        amount: the count, in the unit of the parts; None where a part cannot be used.
        problem: what is wrong with that part.
    """

    parts: tuple[Result, ...]
    amount: Span | None
    problem: str = ""


def derived_counts(derivations: Sequence[Derivation], window: Window) -> list[Derived]:
    """The counts of the latest sampling time that has any, all made in the same way.

    Args:
        derivations: the ways, the best first.
        window: gives the results of some concepts that are recent enough.
    """
    pools = [_Pools(way, _parts(way, window)) for way in derivations]
    anchored = [(one, anchor) for one in pools for anchor in one.anchors()]
    latest = {id(anchor) for anchor in newest(anchor for _, anchor in anchored)}
    of_the_time = [(one, anchor) for one, anchor in anchored if id(anchor) in latest]
    if not of_the_time:
        return []
    best = of_the_time[0][0]
    return best.counts([anchor for one, anchor in of_the_time if one is best])


def _parts(way: Derivation, window: Window) -> list[list[Result]]:
    wanted = [*([way.total] if way.total else []), *way.sum_of]
    return [
        [one for one in window(concepts) if one.state is not ResultState.EMPTY]
        for concepts in wanted
    ]


class _Pools:
    """The results of each part; those of the first tell the sampling times."""

    def __init__(self, way: Derivation, parts: Sequence[Sequence[Result]]) -> None:
        self._way = way
        self._first, *others = parts
        self._others = [_BySampling(one) for one in others]

    def anchors(self) -> list[Result]:
        """The results of the first part for which there is one of each other."""
        return [one for one in self._first if all(pool.most(one) for pool in self._others)]

    def counts(self, anchors: Sequence[Result]) -> list[Derived]:
        """The counts with some of the anchors, or one that cannot be used where there are many."""
        if self._most(anchors) > MOST_COUNTS:
            anchors = _different(anchors)
            self._others = [_BySampling(_different(pool.results)) for pool in self._others]
        if self._most(anchors) > MOST_COUNTS:
            some = (anchors[0], *(pool.of(anchors[0])[0] for pool in self._others))
            return [Derived(some, None, TOO_MANY)]
        return [
            _count(self._way, (anchor, *others))
            for anchor in anchors
            for others in product(*(pool.of(anchor) for pool in self._others))
        ]

    def _most(self, anchors: Iterable[Result]) -> int:
        return sum(prod(pool.most(one) for pool in self._others) for one in anchors)


class _BySampling:
    """Results by the times and specimens of their sampling."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = results
        self._places: dict[str, list[int]] = {}
        for place, one in enumerate(results):
            for name in set(one.sampled):
                self._places.setdefault(name, []).append(place)

    def most(self, one: Result) -> int:
        """How many may share the sampling of a result; some may be counted twice."""
        return sum(len(self._places.get(name, ())) for name in set(one.sampled))

    def of(self, one: Result) -> list[Result]:
        """Those that share the sampling of a result, in their order."""
        places = {place for name in one.sampled for place in self._places.get(name, ())}
        return [self.results[place] for place in sorted(places)]


def _different(results: Iterable[Result]) -> list[Result]:
    """One of each value; another one of the same sampling would make the same count."""
    kept: dict[object, Result] = {}
    for one in results:
        kept.setdefault((one.state, one.amount, one.problem, frozenset(one.sampled)), one)
    return [*kept.values()]


def _count(derivation: Derivation, parts: tuple[Result, ...]) -> Derived:
    broken = next((one for one in parts if one.state is ResultState.UNUSABLE), None)
    spans = [one.amount for one in parts if one.amount is not None]
    if broken is not None or len(spans) < len(parts):
        return Derived(parts, None, (broken and broken.problem) or "")
    if not derivation.total:
        return Derived(parts, _sum(spans))
    return Derived(parts, _times(spans[0], _sum(spans[1:]), _PERCENT))


def _sum(spans: Sequence[Span]) -> Span:
    lows = [one.low if one.low is not None else Decimal(0) for one in spans]
    highs = [one.high for one in spans]
    return Span(
        sum(lows, Decimal(0)),
        None if None in highs else sum((h for h in highs if h is not None), Decimal(0)),
        any(one.low_open for one in spans),
        any(one.high_open for one in spans),
    )


def _times(one: Span, other: Span, factor: Decimal) -> Span:
    low = (one.low or Decimal(0)) * (other.low or Decimal(0)) * factor
    high = None
    if one.high is not None and other.high is not None:
        high = one.high * other.high * factor
    return Span(low, high, one.low_open or other.low_open, one.high_open or other.high_open)
