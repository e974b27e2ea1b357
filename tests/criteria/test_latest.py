"""Which results decide, and which were passed over, to the letter."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from cds_service.criteria.latest import day_of, latest
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
