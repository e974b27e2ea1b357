"""Dates moved together with the day of the report, and dates known only in part."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests import charts
from tests.charts import TODAY, Json
from tests.metamorphic.support import (
    Resources,
    differences,
    looks,
    patients,
    pool,
    report_of,
    resources_of,
)

# The Gregorian calendar repeats after 400 years: months, leap days and weekdays fall the same.
CENTURIES = 400
_YEAR = re.compile(r"(?<![\d.-])(\d{4})(?=(?:-\d\d){0,2}(?:T[\d:.+Z-]+)?(?![\d-]))")
_DAY = re.compile(r"(?<![\d-])\d{4}-\d\d-\d\d(?![\d-])")
_DATES = {
    "birthDate", "effectiveDateTime", "performedDateTime", "onsetDateTime", "authoredOn",
    "recordedDate", "whenHandedOver", "started", "start", "end", "issued", "dateTime", "date",
    "abatementDateTime", "dateAsserted",
}  # fmt: skip


def moved(value: Any, shift: Any, *, is_date: bool = False) -> Any:
    """A resource with every date in it moved."""
    if isinstance(value, dict):
        return {name: moved(held, shift, is_date=name in _DATES) for name, held in value.items()}
    if isinstance(value, list):
        return [moved(one, shift) for one in value]
    return shift(value) if is_date and isinstance(value, str) else value


def _later_year(text: str) -> str:
    return f"{int(text[:4]) + CENTURIES:04}{text[4:]}"


@looks
@given(patients(), st.integers(0, 400))
def test_four_hundred_years_later_nothing_is_different(chart: Resources, days: int) -> None:
    """Every date of the report is that of the other, 400 years on, and nothing else differs."""
    day = TODAY - timedelta(days=days)
    then = day.replace(year=day.year + CENTURIES)

    now = json.dumps(report_of(chart, day), default=str)
    later = json.dumps(report_of([moved(one, _later_year) for one in chart], then), default=str)

    # A year alone stands at the end of a text, or before what an advisory says of it.
    year = r"\b2[34]\d\d(?=-\d\d|, after|\")"
    back = re.sub(year, lambda found: str(int(found[0]) - CENTURIES), later)
    assert [] == differences(json.loads(now), json.loads(back))


# Rules that count in days: no calendar month, no age, and so no date that means more than others.
IN_DAYS = (
    "midgut-net", "metastatic", "histology", "grade", "prrt-exposure", "everolimus-limit",
    "no-alpha-therapy", "no-alkylator", "no-intervening-therapy", "toxicity", "ecog", "hemoglobin",
    "neutrophils", "platelets", "bilirubin", "other-malignancy", "recent-surgery",
    "brain-metastases", "heart-failure", "oral-intake", "breastfeeding",
)  # fmt: skip


@looks
@given(patients(), st.integers(-20_000, 200_000))
def test_rules_in_days_hold_on_any_day(chart: Resources, days: int) -> None:
    """Moved by any number of days, together with the day of the report."""
    exact = [one for one in chart if not _has_vague_date(one)]

    def shift(text: str) -> str:
        return (date.fromisoformat(text[:10]) + timedelta(days=days)).isoformat() + text[10:]

    assume(exact and exact[0] is chart[0])
    then = TODAY + timedelta(days=days)
    one = report_of(exact)
    other = report_of([moved(it, shift) for it in exact], then)

    assert (
        one["overall"] == other["overall"] or not one["criteria"] or _differ_elsewhere(one, other)
    )
    assert [] == differences(_in_days(one, TODAY), _in_days(other, then))


def _has_vague_date(resource: Json) -> bool:
    found: list[str] = []
    moved(resource, lambda text: found.append(text) or text)
    return any(len(text) < 10 for text in found)


def _ends_before_it_begins(value: Any) -> bool:
    if isinstance(value, dict):
        turned = str(value.get("end") or "9") < str(value.get("start") or "")
        return turned or any(_ends_before_it_begins(one) for one in value.values())
    return isinstance(value, list) and any(_ends_before_it_begins(one) for one in value)


def _differ_elsewhere(one: Json, other: Json) -> bool:
    """Whether some criterion that counts in months or years differs."""
    pairs = zip(one["criteria"], other["criteria"], strict=True)
    return any(a["status"] != b["status"] for a, b in pairs if a["id"] not in IN_DAYS)


def _in_days(report: Json, today: date) -> Json:
    """The criteria that count in days, their dates as days from today."""
    found = {}
    for one in report["criteria"]:
        if one["id"] in IN_DAYS:
            ends = [_distance(one[name], today) for name in ("validThrough", "eligibleFrom")]
            found[one["id"]] = [one["status"], one["basis"], one["change"], one["finding"], *ends]
    return found


def _distance(text: str | None, today: date) -> int | None:
    return None if text is None else (date.fromisoformat(text) - today).days


@pytest.mark.parametrize("days", [-1461, -400, -97, -31, -1, 1, 30, 59, 366, 1000, 36524])
def test_a_chart_far_from_every_limit_keeps_its_report(days: int) -> None:
    """Where no date lies near a limit, months and years move with the rest."""

    def shift(text: str) -> str:
        return (date.fromisoformat(text[:10]) + timedelta(days=days)).isoformat() + text[10:]

    for name in ("full", "woman", "drugs"):
        chart = pool()[name]
        one, other = (
            report_of(chart),
            report_of([moved(it, shift) for it in chart], TODAY + timedelta(days=days)),
        )
        for before, after in zip(one["criteria"], other["criteria"], strict=True):
            fields = ("id", "status", "basis", "change", "finding")
            assert [before[f] for f in fields] == [after[f] for f in fields]
        assert one["overall"] == other["overall"]


# --- Dates known in part -----------------------------------------------------------------------


@looks
@given(st.integers(1920, 2026), st.integers(0, 2400))
def test_a_vague_birth_date_is_every_day_in_it(year: int, days: int) -> None:
    """Of age, and the clearance that is computed from it."""
    day = TODAY - timedelta(days=days)
    assume(date(year, 1, 1) <= day)

    def statuses(birth: str) -> dict[str, str]:
        chart = resources_of(charts.chart(person={"birthDate": birth}))
        return {one["id"]: one["status"] for one in report_of(chart, day)["criteria"]}

    last = min(date(year, 12, 31), day)
    edges = {date(year, 1, 1), last, min(day.replace(year=year), last) if day.day < 29 else last}
    edges |= {min(one + timedelta(days=1), last) for one in edges}
    said = {statuses(one.isoformat())["age"] for one in edges}
    assert statuses(str(year))["age"] == (said.pop() if len(said) == 1 else "unknown")


@looks
@given(patients(), st.data())
def test_a_vaguer_date_never_decides_more(chart: Resources, data: st.DataObject) -> None:
    """With days or months cut from its dates a chart may say less, but nothing else.

    However many dates are cut: the chart with whole dates is one of those that the other can mean.
    """
    # A period that ends before it begins cannot be read; cut to its year, it can.
    assume(not any(_has_vague_date(one) or _ends_before_it_begins(one) for one in chart))
    kept = data.draw(st.sampled_from((4, 7)))
    cut = set(data.draw(st.lists(st.integers(0, len(chart) - 1), max_size=6)))
    vague = [
        moved(one, lambda text: text[:kept]) if number in cut else one
        for number, one in enumerate(chart)
    ]

    whole, less = report_of(chart), report_of(vague)
    for before, after in zip(whole["criteria"], less["criteria"], strict=True):
        assert after["status"] in {before["status"], "unknown"}, before["id"]
        if after["status"] == "not_met":
            milder = ("time", "new_data", "permanent")
            assert milder.index(after["change"]) <= milder.index(before["change"])
