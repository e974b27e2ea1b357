"""Counts made from several results of one sampling time.

Source: the ``neutrophils`` rule and detail 32 of the eligibility rules: segmented and band counts,
or a total of cells times a share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import product

import msgspec

from cds_service.criteria.latest import newest
from cds_service.record.model import Result, ResultState, Span
from cds_service.trial.rules import Derivation

Window = Callable[[Sequence[str]], Sequence[Result]]
_PERCENT = Decimal(1) / Decimal(100)


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
    sampled = [
        (derivation, parts)
        for derivation in derivations
        for parts in _sampling_times(derivation, window)
    ]
    anchors = {id(one) for one in newest(parts[0] for _, parts in sampled)}
    latest = [(way, parts) for way, parts in sampled if id(parts[0]) in anchors]
    return [_count(way, parts) for way, parts in latest if way is latest[0][0]]


def _sampling_times(derivation: Derivation, window: Window) -> list[tuple[Result, ...]]:
    """Every combination of one result for each part, all of one sampling time."""
    wanted = [*([derivation.total] if derivation.total else []), *derivation.sum_of]
    pools = [
        [one for one in window(concepts) if one.state is not ResultState.EMPTY]
        for concepts in wanted
    ]
    found: list[tuple[Result, ...]] = []
    for anchor in pools[0]:
        matching = [[one for one in pool if _same_sampling(anchor, one)] for pool in pools[1:]]
        found.extend((anchor, *others) for others in product(*matching))
    return found


def _same_sampling(one: Result, other: Result) -> bool:
    return bool(set(one.sampled) & set(other.sampled))


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
