"""Which results decide, and which were passed over, to the letter."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cds_service.criteria.latest import against, day_of, latest, newest
from cds_service.record.amounts import Span
from cds_service.record.dates import parse_when
from cds_service.record.model import Result, ResultState, Source
from tests.charts import chart, days_ago, lab, observation, result, screen

EMPTY, USABLE, UNUSABLE = ResultState.EMPTY, ResultState.USABLE, ResultState.UNUSABLE


def measured(on: str | None, state: ResultState = USABLE) -> Result:
    """A result."""
    when = None if on is None else parse_when(on, ZoneInfo("UTC"))
    return Result(Source("Observation/1", "x"), frozenset(), when, state)


class TestLatest:
    """The results of the latest time that have a value."""

    def test_newer_empty_ones_are_passed_over(self) -> None:
        """Those of a later day than the deciding ones, and only empty ones."""
        old, deciding = measured("2026-03-01"), measured("2026-03-04")
        same_day, older, newer = (
            measured(day, EMPTY) for day in ("2026-03-04", "2026-03-02", "2026-03-05")
        )
        undated = measured(None, EMPTY)

        found = latest([old, same_day, newer, undated, deciding, older])

        assert found is not None
        assert (deciding,) == found.results
        assert (newer,) == found.passed_over
        assert found.unusable is None

    def test_an_unusable_one_decides(self) -> None:
        """It is not passed over, and it is named."""
        broken = measured("2026-03-04", UNUSABLE)

        found = latest([measured("2026-03-01"), broken])

        assert found is not None
        assert (broken,) == found.results
        assert broken is found.unusable

    @pytest.mark.parametrize("results", [[], [measured(None)], [measured("2026-03-04", EMPTY)]])
    def test_nothing_decides_where_nothing_has_a_value_and_a_day(
        self, results: list[Result]
    ) -> None:
        """Neither an undated one nor an empty one."""
        assert latest(results) is None

    def test_the_later_time_of_a_day_decides(self) -> None:
        """And one that tells no time ties with it."""
        morning, evening = measured("2026-03-04T08:00:00Z"), measured("2026-03-04T18:00:00Z")
        timeless = measured("2026-03-04")

        assert (evening,) == getattr(latest([morning, evening]), "results", None)
        assert (evening, timeless) == getattr(latest([morning, evening, timeless]), "results", None)


@pytest.mark.parametrize(
    ("on", "shown"), [("2026-03-04", "2026-03-04"), ("2026-03", "2026-03"), (None, "")]
)
def test_the_day_of_results_is_shown(on: str | None, shown: str) -> None:
    """In a sentence; without a date, nothing."""
    assert shown == day_of([measured(on), measured("2020-01-01")])


def test_a_report_names_the_empty_result_that_was_passed_over() -> None:
    """An older one decided, and the report says so."""
    empty = observation("platelets", days_ago(2), id_="empty")
    older = lab("platelets", 160, "10*9/L", days_ago(9), id_="plt")

    passed = result(screen(chart(empty, older)), "platelets")
    plain = result(screen(chart(older)), "platelets")

    assert ("met", "met") == (passed.status, plain.status)
    assert passed.advisories
    assert not plain.advisories


# --- Intervals of amounts ----------------------------------------------------------------------

HOLDS = {
    ">=": lambda value, limit: value >= limit,
    ">": lambda value, limit: value > limit,
    "<=": lambda value, limit: value <= limit,
    "<": lambda value, limit: value < limit,
}
ENDS = st.one_of(st.none(), st.integers(0, 6).map(Decimal))


@given(ENDS, ENDS, st.booleans(), st.booleans(), st.sampled_from(sorted(HOLDS)),
       st.integers(0, 6).map(Decimal))  # fmt: skip
def test_an_interval_is_compared_as_each_amount_in_it(
    low: Decimal | None,
    high: Decimal | None,
    low_open: bool,  # noqa: FBT001
    high_open: bool,  # noqa: FBT001
    comparison: str,
    limit: Decimal,
) -> None:
    """Met where all of them are, not met where none is, and otherwise it straddles the limit."""
    span = Span(low, high, low_open, high_open)
    tenths = (Decimal(number) / 10 for number in range(-20, 90))
    inside = [value for value in tenths if _is_in(value, span)]
    assume(inside)
    said = {HOLDS[comparison](value, limit) for value in inside}

    expected = "straddles" if len(said) == 2 else "met" if said.pop() else "not_met"
    assert expected == against(span, comparison, limit)


def _is_in(value: Decimal, span: Span) -> bool:
    above = span.low is None or value > span.low or (value == span.low and not span.low_open)
    below = span.high is None or value < span.high or (value == span.high and not span.high_open)
    return above and below


@pytest.mark.parametrize(
    ("span", "comparison", "expected"),
    [
        (Span(Decimal(5), None, low_open=True), ">", "met"),
        (Span(Decimal(5), None), ">", "straddles"),
        (Span(Decimal(5), None), ">=", "met"),
        (Span(Decimal(6), None, low_open=True), ">", "met"),
        (Span(Decimal(4), None, low_open=True), ">", "straddles"),
        (Span(Decimal(5), None, low_open=True), "<=", "not_met"),
        (Span(None, Decimal(5), high_open=True), "<", "met"),
        (Span(None, Decimal(5)), "<", "straddles"),
        (Span(None, Decimal(5)), "<=", "met"),
        (Span(None, Decimal(4), high_open=True), "<", "met"),
        (Span(None, Decimal(6), high_open=True), "<", "straddles"),
        (Span(None, Decimal(5), high_open=True), ">=", "not_met"),
        (Span(None, None), "<", "straddles"),
    ],
)
def test_an_open_end_on_the_limit(span: Span, comparison: str, expected: str) -> None:
    """``<5`` is below 5, ``<=5`` is not."""
    assert expected == against(span, comparison, Decimal(5))


# --- The newest --------------------------------------------------------------------------------

TIMES = st.one_of(
    st.integers(1, 4).map(lambda day: f"2026-03-0{day}"),
    st.builds("2026-03-0{}T{:02}:00:00Z".format, st.integers(1, 4), st.integers(0, 23)),
    st.none(),
)


@given(st.lists(TIMES, max_size=6))
def test_the_newest_are_those_that_none_is_surely_after(times: list[str | None]) -> None:
    """A date without a time ties with all of its day."""
    zone = ZoneInfo("UTC")
    facts = [
        Result(Source(f"Observation/{n}", "x"), frozenset(), when and parse_when(when, zone))
        for n, when in enumerate(times)
    ]
    dated = [fact for fact in facts if fact.when is not None]
    expected = [one for one in dated if not any(_surely_after(other, one) for other in dated)]

    assert expected == list(newest(facts))


def _surely_after(one: Result, other: Result) -> bool:
    assert one.when is not None
    assert other.when is not None
    if one.when.first != other.when.first:
        return one.when.first > other.when.first
    both = one.when.instant, other.when.instant
    return both[0] is not None and both[1] is not None and both[0] > both[1]
