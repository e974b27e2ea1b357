"""Dates moved together with the day of the report, and dates known only in part."""

from __future__ import annotations

import copy
import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests import charts
from tests.charts import TODAY, Json
from tests.metamorphic.support import (
    EXAMPLES,
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

    back = re.sub(
        r"\b2[34]\d\d(?=-\d\d|, after)", lambda found: str(int(found[0]) - CENTURIES), later
    )
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

_FORMS = (
    # What has the date, in a chart that is otherwise full; the ids it replaces; its criteria.
    ("hb", lambda on: charts.lab("hemoglobin", 118, "g/L", on, id_="hb"), ("hemoglobin",)),
    ("hb", lambda on: charts.lab("hemoglobin", 60, "g/L", on, id_="hb"),
     ("hemoglobin", "toxicity")),
    ("pet", lambda on: charts.pet(on, id_="pet"), ("sstr-pet", "sstr-positive")),
    ("prrt4", lambda on: charts.cycle(on, id_="prrt4"),
     ("prrt-exposure", "progression", "no-intervening-therapy", "toxicity")),
    ("prrt1", lambda on: charts.cycle(on, id_="prrt1"), ("prrt-exposure", "progression")),
    ("worse", lambda on: charts.response("PD", on, id_="worse"), ("progression",)),
    ("after", lambda on: charts.response("SD", on, id_="after"), ("progression",)),
    ("", lambda on: charts.procedure("53442002", on, id_="gastrectomy"), ("recent-surgery",)),
    ("", lambda on: charts.given(charts.SUNITINIB, on, id_="drug"), ("no-intervening-therapy",)),
    ("", lambda on: charts.given(charts.EVEROLIMUS, on, id_="drug"),
     ("no-intervening-therapy", "everolimus-limit")),
    ("", lambda on: charts.statement(charts.EVEROLIMUS, on, status="active", id_="drug"),
     ("everolimus-limit",)),
)  # fmt: skip


@settings(looks, max_examples=EXAMPLES // 3)
@given(
    st.sampled_from(_FORMS),
    st.one_of(
        # Recent months first: there is most to tell, and fewest days to try.
        *(st.dates(TODAY - timedelta(days=100), TODAY).map(lambda day: day.isoformat()[:7]),) * 3,
        st.dates(date(2020, 12, 1), TODAY).map(lambda day: day.isoformat()[:7]),
        st.integers(2020, 2026).map(str),
    ),
)
def test_a_vague_date_is_every_day_in_it(form: Any, on: str) -> None:
    """What all its days give, is given; where they do not agree, it is unknown."""
    replaced, make, criteria = form
    vague = _with(replaced, make(on))
    days = [day for day in _days_of(on) if day <= TODAY]
    each = [_with(replaced, make(day.isoformat())) for day in days]

    for criterion in criteria:
        said = {one[criterion][0] for one in each}
        status, change = vague[criterion]
        assert status == (said.pop() if len(said) == 1 else "unknown"), (on, criterion)
        changes = {one[criterion][1] for one in each}
        if status == "not_met":
            milder = next(it for it in ("time", "new_data", "permanent") if it in changes)
            assert milder == change


def _days_of(on: str) -> list[date]:
    first = date.fromisoformat(f"{on}-01" if len(on) == 7 else f"{on}-01-01")
    after = first.replace(year=first.year + 1) if len(on) == 4 else _next_month(first)
    return [first + timedelta(days=n) for n in range((after - first).days)]


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _with(replaced: str, made: Json) -> dict[str, tuple[str, str | None]]:
    chart = resources_of(charts.chart(copy.deepcopy(made), without=replaced))
    return {one["id"]: (one["status"], one["change"]) for one in report_of(chart)["criteria"]}


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
@given(patients())
def test_a_vaguer_date_never_decides_more(chart: Resources) -> None:
    """With days cut from its dates a chart may say less, but nothing else."""
    vague = [chart[0], *(moved(one, lambda text: text[:7]) for one in chart[1:4]), *chart[4:]]
    assume(not any(_has_vague_date(one) for one in chart))

    exact, cut = report_of(chart), report_of(vague)
    for before, after in zip(exact["criteria"], cut["criteria"], strict=True):
        assert after["status"] in {before["status"], "unknown"}, before["id"]
