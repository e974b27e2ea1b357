"""Dates as spans of time, which every date search rests on."""

from __future__ import annotations

import pytest

from cds_service.demo.search import find_resources, parse_interval
from cds_service.demo.search_params import RequestRefused


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("2026-12", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("2028-02", "2028-02-01T00:00:00+00:00", "2028-03-01T00:00:00+00:00"),
        ("2028-02-29", "2028-02-29T00:00:00+00:00", "2028-03-01T00:00:00+00:00"),
        ("2026-03-10T08:05", "2026-03-10T08:05:00+00:00", "2026-03-10T08:06:00+00:00"),
        ("2026-03-10T08:05:09.25Z", "2026-03-10T08:05:09+00:00", "2026-03-10T08:05:10+00:00"),
        ("2026-03-10T08:05:09-05:00", "2026-03-10T08:05:09-05:00", "2026-03-10T08:05:10-05:00"),
    ],
)
def test_a_date_is_the_span_it_covers(text: str, start: str, end: str) -> None:
    """From its first moment to the first one after it."""
    interval = parse_interval(text)

    assert interval is not None
    assert (start, end) == tuple(moment.isoformat() for moment in interval)


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13", "2027-02-29", "2026-1-1", "9999", "20260310"]
)
def test_anything_else_is_none(text: str) -> None:
    """Also a year whose end cannot be said."""
    assert parse_interval(text) is None


def test_odd_elements_match_nothing_and_sort_last() -> None:
    """Periods with no date in them, codes that are no codes, flags."""
    odd = [
        {"id": "a", "effectivePeriod": {"start": "soon"}, "status": 7},
        {
            "id": "b",
            "effectivePeriod": {"end": "2026-01-01"},
            "code": {"coding": ["x", {"code": "y"}]},
        },
        {"id": "c", "status": True, "subject": {"reference": 5}},
    ]

    assert ["b"] == [
        one["id"] for one in find_resources("Observation", odd, [("date", "lt2026-02")])
    ]
    assert ["b"] == [one["id"] for one in find_resources("Observation", odd, [("code", "y")])]
    assert ["c"] == [one["id"] for one in find_resources("Observation", odd, [("status", "true")])]
    assert [] == find_resources("Observation", odd, [("patient", "5")])
    assert ["b", "a", "c"] == [one["id"] for one in find_resources("Observation", odd, [], "date")]


def test_not_keeps_what_does_not_match_and_what_has_no_such_element() -> None:
    """Several of them narrow."""
    charted = [
        {"id": "lab", "category": [{"coding": [{"code": "laboratory"}]}]},
        {"id": "vital", "category": [{"coding": [{"code": "vital-signs"}]}]},
        {"id": "bare"},
    ]
    filters = [("category:not", "laboratory"), ("category:not", "vital-signs")]

    assert ["bare"] == [one["id"] for one in find_resources("Observation", charted, filters)]


def test_not_on_anything_but_a_token_is_refused() -> None:
    """R4 gives :not to tokens only."""
    with pytest.raises(RequestRefused):
        find_resources("Observation", [], [("date:not", "2026")])
