"""Counts made from several results of one sampling time: what they are, as intervals."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cds_service.criteria.derived import MOST_COUNTS, TOO_MANY, Derived, derived_counts
from cds_service.record.amounts import Span
from cds_service.record.dates import parse_when
from cds_service.record.model import Result, ResultState, Source
from cds_service.trial.rules.laboratory import Derivation
from tests.charts import chart, lab, result, screen, verdict

EIGHT, NINE = "2026-11-20T08:00:00Z", "2026-11-20T09:00:00Z"
SUM = Derivation(sum_of=(("segmented",), ("bands",)))
SHARE = Derivation(total=("leukocytes",), sum_of=(("segmented %",), ("bands %",)))


def span(text: str) -> Span:
    """``2``, ``<2``, ``<=2``, ``>2`` or ``>=2`` as an interval."""
    number, equal = Decimal(text.lstrip("<>=")), "=" in text
    low = None if text.startswith("<") else number
    high = None if text.startswith(">") else number
    return Span(low, high, high is None and not equal, low is None and not equal)


def part(
    concept: str, amount: str | None, on: str | None = EIGHT, *, at: str = "", problem: str = ""
) -> Result:
    """One result; ``at`` is its sampling time where that is not its own."""
    return Result(
        Source(f"Observation/{concept} {amount}", concept),
        frozenset({concept}),
        None if on is None else parse_when(on, ZoneInfo("UTC")),
        ResultState.UNUSABLE if problem else ResultState.USABLE,
        problem or None,
        None if problem or amount is None else span(amount),
        sampled=(at or str(on),),
    )


def made(ways: Sequence[Derivation], *results: Result) -> list[Derived]:
    """The counts made of some results."""

    def window(concepts: Sequence[str]) -> list[Result]:
        return [one for one in results if one.concepts.intersection(concepts)]

    return derived_counts(ways, window)


@pytest.mark.parametrize(
    ("segmented", "bands", "low", "high", "is_open"),
    [
        ("0.7", "0.3", "1.0", "1.0", ""),
        ("<0.7", "0.3", "0.3", "1.0", "high"),
        ("0.7", "<0.3", "0.7", "1.0", "high"),
        ("<=0.7", "<=0.3", "0", "1.0", ""),
        (">0.7", "0.3", "1.0", None, "low"),
        ("0.7", ">0.3", "1.0", None, "low"),
        (">=0.7", "0.3", "1.0", None, ""),
    ],
)
def test_a_sum(segmented: str, bands: str, low: str, high: str | None, is_open: str) -> None:
    """Without a lower end a part may be nothing; without an upper end nor has the sum one."""
    (count,) = made([SUM], part("segmented", segmented), part("bands", bands))

    expected = Span(
        Decimal(low), None if high is None else Decimal(high), is_open == "low", is_open == "high"
    )
    assert expected == count.amount


@pytest.mark.parametrize(
    ("leukocytes", "segmented", "low", "high", "is_open"),
    [
        ("2", "40", "1.0", "1.0", ""),
        ("<2", "40", "0", "1.0", "high"),
        ("2", "<40", "0.2", "1.0", "high"),
        (">2", "40", "1.0", None, "low"),
        ("2", ">40", "1.0", None, "low"),
        ("<=2", ">=40", "0", None, ""),
    ],
)
def test_a_share(leukocytes: str, segmented: str, low: str, high: str | None, is_open: str) -> None:
    """Percents are added, then taken of the total."""
    parts = part("leukocytes", leukocytes), part("segmented %", segmented), part("bands %", "10")
    (count,) = made([SHARE], *parts)

    expected = Span(
        Decimal(low), None if high is None else Decimal(high), is_open == "low", is_open == "high"
    )
    assert expected == count.amount
    assert parts == count.parts


def test_a_share_of_less_than_something_may_be_none() -> None:
    """Of the percentage, too, the lower end is nothing."""
    share = Derivation(total=("leukocytes",), sum_of=(("segmented %",),))
    (count,) = made([share], part("leukocytes", "2"), part("segmented %", "<40"))

    assert Span(Decimal(0), Decimal("0.8"), high_open=True) == count.amount


def test_an_unusable_part_makes_no_count_and_is_named() -> None:
    """A part without an amount makes none either, and names nothing."""
    broken = made([SUM], part("segmented", "0.7"), part("bands", "0.3", problem="no-unit"))
    empty = made([SUM], part("segmented", "0.7"), part("bands", None))

    assert [(None, "no-unit")] == [(one.amount, one.problem) for one in broken]
    assert [(None, "")] == [(one.amount, one.problem) for one in empty]


def test_an_empty_part_is_no_part() -> None:
    """So that there is no count at all."""
    empty = Result(
        Source("Observation/1", "bands"),
        frozenset({"bands"}),
        parse_when(EIGHT, ZoneInfo("UTC")),
        ResultState.EMPTY,
        sampled=(EIGHT,),
    )

    assert not made([SUM], part("segmented", "0.7"), empty)


def test_the_latest_sampling_time_of_a_day_decides() -> None:
    """By the time of day."""
    early = part("segmented", "0.7", EIGHT), part("bands", "0.3", EIGHT)
    late = part("segmented", "0.6", NINE), part("bands", "0.2", NINE)

    for results in ((*early, *late), (*late, *early)):
        assert [late] == [one.parts for one in made([SUM], *results)]


def test_a_specimen_has_the_time_of_the_first_part() -> None:
    """Of parts that share only a specimen."""
    late = part("segmented", "0.6", NINE, at="specimen"), part("bands", "0.2", EIGHT, at="specimen")
    early = part("segmented", "0.7", EIGHT), part("bands", "0.3", EIGHT)

    assert [late] == [one.parts for one in made([SUM], *early, *late)]


def test_the_better_way_is_taken_at_one_time() -> None:
    """And the other one only where it is of a later time."""
    counted = part("segmented", "0.7"), part("bands", "0.3")
    shared = part("leukocytes", "2"), part("segmented %", "40"), part("bands %", "10")
    later = [
        part("leukocytes", "3", NINE), part("segmented %", "40", NINE), part("bands %", "9", NINE),
    ]  # fmt: skip

    assert [counted] == [one.parts for one in made([SUM, SHARE], *counted, *shared)]
    assert [shared] == [one.parts for one in made([SHARE, SUM], *counted, *shared)]
    assert [tuple(later)] == [one.parts for one in made([SUM, SHARE], *counted, *later)]


def test_an_undated_part_has_no_sampling_time() -> None:
    """No count is made from it."""
    assert [] == made([SUM], part("segmented", "0.7", None, at="x"), part("bands", "0.3", at="x"))


@pytest.mark.parametrize(
    ("leukocytes", "expected"), [("<", "not_met new_data"), ("<=", "unknown"), (">=", "met")]
)
def test_a_count_that_ends_at_the_limit(leukocytes: str, expected: str) -> None:
    """Less than 2 times a half is surely below 1.0; up to 2 is not."""
    on = "2026-11-20"
    content = chart(
        lab("leukocytes", 2, "10*9/L", on, comparator=leukocytes),
        lab("neutrophils %", 50, "%", on),
        without="anc",
    )

    assert expected == verdict(screen(content), "neutrophils")


def test_a_report_names_what_is_wrong_with_a_part() -> None:
    """The unit of the percentage is not that of a share."""
    on = "2026-11-20"
    content = chart(
        lab("leukocytes", 2, "10*9/L", on), lab("neutrophils %", 50, "mg/dL", on), without="anc"
    )
    found = screen(content)

    (result,) = (one for one in found.criteria if one.id == "neutrophils")
    assert "unknown" == result.status
    assert "unit" in result.summary


def test_many_results_of_few_values_are_counted_once_each() -> None:
    """Beyond a bound, equal ones make no more counts; up to it each makes its own."""
    few = [part("segmented", "0.7")] * 3, [part("bands", "0.3")] * 4
    many = [part("segmented", f"0.{n % 2 + 6}") for n in range(400)]
    bands = [part("bands", f"0.{n % 3 + 1}") for n in range(400)]

    assert 12 == len(made([SUM], *few[0], *few[1]))
    assert {Decimal(f"0.{n}") for n in (7, 8, 9)} | {Decimal("1.0")} == {
        one.amount.low for one in made([SUM], *many, *bands) if one.amount is not None
    }
    assert 6 == len(made([SUM], *many, *bands))


def test_too_many_values_of_one_sampling_time_make_no_count() -> None:
    """It says so, with two of them; the next later time is counted as ever."""
    most = [part("segmented", f"0.{n}1") for n in range(10, 10 + MOST_COUNTS)]
    bands = part("bands", "0.3"), part("bands", "0.4")
    later = part("segmented", "0.6", NINE), part("bands", "0.2", NINE)

    assert MOST_COUNTS == len(made([SUM], *most, bands[0]))
    assert [((most[0], bands[0]), None, TOO_MANY)] == [
        (one.parts, one.amount, one.problem) for one in made([SUM], *most, *bands)
    ]
    assert [later] == [one.parts for one in made([SUM], *most, *bands, *later)]


def test_a_report_says_that_there_are_too_many_results_of_a_time() -> None:
    """The count is unknown, and soon."""
    on = "2026-11-20"
    content = chart(
        *(lab("leukocytes", n / 100, "10*9/L", on) for n in range(200, 500)),
        *(lab("neutrophils %", n / 10, "%", on) for n in range(400, 700)),
        without="anc",
    )
    found = result(screen(content), "neutrophils")

    assert "unknown" == found.status
    assert TOO_MANY in found.summary
