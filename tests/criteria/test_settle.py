"""Vague dates, doubtful facts and incomplete reads, against every case tried one by one.

A chart with a vague date must be judged as all charts are in which it is one of its days: what
they agree on, or else unknown. The same holds beside a read that failed.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_service.criteria.rules import FUNCTIONS
from cds_service.criteria.settle import MOST_CASES, MOST_CASES_IN_ALL, Patience
from cds_service.fhir.bundle import read_chart_file
from cds_service.record.reads import COMPLETE, Failed, NotPermitted, Partial, Read
from cds_service.report import Report
from tests.charts import (
    EVEROLIMUS,
    LUTATHERA,
    SNOMED,
    STRANGE,
    SUNITINIB,
    TEMOZOLOMIDE,
    TODAY,
    Json,
    chart,
    coded,
    condition,
    cycle,
    lab,
    observation,
    order,
    pet,
    procedure,
    response,
    result,
    screen,
    screener,
    statement,
    verdict,
)
from tests.charts import (
    given as administered,
)

_DAY = timedelta(days=1)
SURGERY = "236886002"


def screened(content: Json, as_of: date, reads: dict[str, Read] | None = None) -> Report:
    """Evaluate a chart of which some reads went another way."""
    read = read_chart_file(json.dumps(content).encode(), None)
    read = msgspec.structs.replace(read, reads=read.reads | (reads or {}))
    return screener().screen_chart(read, as_of)


# --- Vague dates: every day --------------------------------------------------------------------

FORMS = {
    # What has the date, in a chart that is otherwise full; the ids it replaces; its criteria.
    "hemoglobin": (
        "hb", lambda on: lab("hemoglobin", 118, "g/L", on, id_="hb"), ("hemoglobin",),
    ),
    "low hemoglobin": (
        "hb", lambda on: lab("hemoglobin", 60, "g/L", on, id_="hb"), ("hemoglobin", "toxicity"),
    ),
    "pet": ("pet", lambda on: pet(on, id_="pet"), ("sstr-pet", "sstr-positive")),
    "last cycle": (
        "prrt4", lambda on: cycle(on, id_="prrt4"),
        ("prrt-exposure", "progression", "no-intervening-therapy", "toxicity"),
    ),
    "first cycle of three": (
        "prrt1 prrt2", lambda on: cycle(on, id_="prrt1"), ("prrt-exposure", "progression"),
    ),
    "progression": ("worse", lambda on: response("PD", on, id_="worse"), ("progression",)),
    "reference": ("after", lambda on: response("SD", on, id_="after"), ("progression",)),
    "surgery": ("", lambda on: procedure(SURGERY, on, id_="surgery"), ("recent-surgery",)),
    "sunitinib": (
        "", lambda on: administered(SUNITINIB, on, id_="drug"), ("no-intervening-therapy",),
    ),
    "everolimus": (
        "", lambda on: administered(EVEROLIMUS, on, id_="drug"),
        ("no-intervening-therapy", "everolimus-limit"),
    ),
    "everolimus since": (
        "", lambda on: statement(EVEROLIMUS, on, status="active", id_="drug"),
        ("everolimus-limit",),
    ),
    "ecog": ("ecog", lambda on: observation("ecog", on, id_="ecog", valueInteger=3), ("ecog",)),
}  # fmt: skip


def agrees(form: str, on: str, as_of: date, reads: dict[str, Read] | None = None) -> set[str]:
    """Compare a vague date with its days; the statuses that these give."""
    replaced, make, criteria = FORMS[form]

    def judged(when: str) -> dict[str, tuple[str, str | None]]:
        content = chart(copy.deepcopy(make(when)), without=replaced)
        found = screened(content, as_of, reads).criteria
        return {one.id: (one.status, one.change) for one in found}

    vague = judged(on)
    # A month or a year that has begun is cut off at today; of one still to come no day has.
    days = days_of(on)
    come = [day for day in days if day <= as_of]
    each = [judged(day.isoformat()) for day in come or days[:1]]
    seen = set()
    for criterion in criteria:
        said = {one[criterion][0] for one in each}
        seen |= said
        status, change = vague[criterion]
        assert status == (min(said) if len(said) == 1 else "unknown"), (on, as_of, criterion)
        if status == "not_met":
            changes = {one[criterion][1] for one in each}
            assert change == next(it for it in ("time", "new_data", "permanent") if it in changes)
    return seen


def days_of(on: str) -> list[date]:
    """The days of a month or of a year."""
    first = date.fromisoformat(f"{on}-01" if len(on) == 7 else f"{on}-01-01")
    later = first + timedelta(days=31 if len(on) == 7 else 366)
    after = later.replace(day=1) if len(on) == 7 else first.replace(year=later.year)
    return [first + timedelta(days=n) for n in range((after - first).days)]


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(sorted(FORMS)),
    st.one_of(
        # Recent months first: there is most to tell.
        *(st.dates(TODAY - timedelta(days=100), TODAY).map(lambda day: day.isoformat()[:7]),) * 3,
        st.dates(date(2020, 12, 1), TODAY).map(lambda day: day.isoformat()[:7]),
    ),
)
def test_a_vague_date_is_every_day_in_it(form: str, on: str) -> None:
    """What all its days give, is given; where they do not agree, it is unknown."""
    agrees(form, on, TODAY)


# A month, and the days from which on its first or last day falls out of a window.
EDGES = {
    "hemoglobin": ("2026-10", (date(2026, 10, 29), date(2026, 11, 28))),
    "low hemoglobin": ("2026-10", (date(2026, 10, 29), date(2026, 11, 28))),
    "pet": ("2023-11", (date(2026, 11, 1), date(2026, 11, 30))),
    "surgery": ("2026-10", (date(2026, 11, 12), date(2026, 12, 12))),
    "everolimus since": ("2026-10", (date(2026, 10, 31), date(2026, 11, 30))),
}


@pytest.mark.parametrize("form", EDGES)
def test_a_month_straddles_a_window_from_its_first_day_to_its_last(form: str) -> None:
    """One day inside is enough to make it open, and none is needed on either side."""
    on, ends = EDGES[form]
    around = [end + step for end in ends for step in (-_DAY, timedelta(), _DAY)]
    counts = {len(agrees(form, on, as_of)) for as_of in around}

    assert len(counts) > 1


@pytest.mark.parametrize(
    ("form", "on"),
    [
        ("last cycle", "2021-09"), ("last cycle", "2022-05"), ("last cycle", "2021-05"),
        ("first cycle of three", "2022-06"), ("first cycle of three", "2020-05"),
        ("progression", "2022-09"), ("progression", "2023-02"), ("reference", "2025-08"),
        ("sunitinib", "2021-06"), ("everolimus", "2021-06"), ("everolimus", "2021-07"),
        ("sunitinib", "2026-12"), ("hemoglobin", "2026-12"), ("ecog", "2026-11"),
    ],
)  # fmt: skip
def test_a_month_around_a_turning_point(form: str, on: str) -> None:
    """The last cycle, the first progression less a year, the fourth cycle of a year."""
    agrees(form, on, TODAY)


@pytest.mark.parametrize("kind", ["Observation", "Procedure", "MedicationRequest", "Condition"])
@pytest.mark.parametrize("form", ["pet", "last cycle", "progression", "hemoglobin", "sunitinib"])
def test_a_vague_date_beside_a_read_that_failed(form: str, kind: str) -> None:
    """What only some of its days depend on is not read either."""
    on = {"pet": "2023-11", "last cycle": "2022-05", "progression": "2022-09"}.get(form, "2026-10")

    agrees(form, on, TODAY, {kind: Partial("cut")})


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        # Thirty-one days, both ends included, are allowed.
        ("2026-01", "2026-01", "met"),
        ("2026-01", "2026-02", "unknown"),
        ("2026-01", "2026-02-01", "unknown"),
        ("2026-01-02", "2026-02", "unknown"),
        ("2026-01-02", "2026-03", "not_met permanent"),
        ("2026-01", "2026-03-03", "not_met permanent"),
        ("2026-01", "2026-03-02", "unknown"),
        ("2026-02", "2026-02", "met"),
        ("2026", "2026-01-31", "met"),
    ],
)
def test_a_period_with_two_vague_ends(start: str, end: str, expected: str) -> None:
    """Every pair of days in order."""
    drug = statement(EVEROLIMUS, start, end, id_="drug")

    # It is before the last cycle, so that nothing but its length counts.
    assert expected == verdict(screen(chart(drug)), "everolimus-limit")


@pytest.mark.parametrize(
    ("born", "on", "expected"),
    [
        ("2008", date(2026, 1, 1), "unknown"),
        ("2008", date(2026, 12, 30), "unknown"),
        ("2008", date(2026, 12, 31), "met"),
        ("2008", date(2025, 12, 31), "not_met"),
        ("2008-11", date(2026, 10, 31), "not_met"),
        ("2008-11", date(2026, 11, 1), "unknown"),
        ("2008-11", date(2026, 11, 30), "met"),
    ],
)
def test_a_vague_birth_date(born: str, on: date, expected: str) -> None:
    """From the first day on which somebody of it is of age to the last."""
    assert expected == result(screen(chart(person={"birthDate": born}), on), "age").status


@pytest.mark.parametrize("on", ["2019", "2019-03"])
@pytest.mark.parametrize(("number", "expected"), [(1, "not_met"), (2, "not_met"), (3, "unknown")])
def test_cycles_of_one_vague_date_may_be_as_many_as_there_are(
    on: str, number: int, expected: str
) -> None:
    """Three of one year may be three cycles, or three records of one; two are too few at best."""
    cycles = [cycle(on, id_=f"c{n}") for n in range(number)]
    found = screen(chart(*cycles, without="prrt1 prrt2 prrt3 prrt4"))

    assert expected == result(found, "prrt-exposure").status


def test_assessments_of_one_vague_date_may_come_in_any_order() -> None:
    """Of three of one year, the progression may be the first, the last, or between the others."""
    vague = [response(word, "2024", id_=f"r{n}") for n, word in enumerate(("SD", "PD", "SD"))]
    found = screen(chart(*vague, without="after better worse"))

    assert ("unknown", "imprecise") == (
        result(found, "progression").status, result(found, "progression").finding,
    )  # fmt: skip


def test_more_cases_than_can_be_tried_are_unknown_and_have_an_outlook() -> None:
    """Six cycles of one year could be any course."""
    cycles = [cycle("2019", id_=f"c{n}") for n in range(6)]
    found = screen(chart(*cycles, without="prrt1 prrt2 prrt3 prrt4"))

    one = result(found, "prrt-exposure")
    assert ("unknown", "imprecise") == (one.status, one.finding)
    assert found.outlook[-1].through == TODAY + timedelta(days=365)
    assert "2019" in one.summary


def test_vague_results_that_cannot_decide_make_no_case() -> None:
    """However many: the newest one decides, whichever days the old ones mean."""
    old = [lab("platelets", 20, "10*9/L", "2025", id_=f"old{n}") for n in range(12)]

    assert "met" == verdict(screen(chart(*old)), "platelets")


# --- Why it is unknown -------------------------------------------------------------------------


class TestWhy:
    """The reason, in a word for a program and in a sentence for a reader."""

    def test_dates_too_vague(self) -> None:
        """The facts are named with their dates as recorded."""
        one = result(screen(chart(lab("hemoglobin", 60, "g/L", "2026-10", id_="hb"))), "hemoglobin")

        assert ("unknown", None, None) == (one.status, one.basis, one.change)
        assert "imprecise" == one.finding
        assert "the dates are too vague" in one.summary
        assert "2026-10" in one.summary

    def test_a_modifier_that_is_not_understood(self) -> None:
        """It may be there or not, and that decides; it is named."""
        drug = administered(TEMOZOLOMIDE, "2019-05-06", id_="tmz", **STRANGE)
        one = result(screen(chart(drug)), "no-alkylator")

        assert ("unknown", "doubtful") == (one.status, one.finding)
        assert "not understood" in one.summary
        assert "2019-05-06" in one.summary

    def test_both(self) -> None:
        """A vague date and a doubt: the doubt is what a person can settle."""
        drug = administered(SUNITINIB, "2021-06", id_="drug", **STRANGE)
        one = result(screen(chart(drug)), "no-intervening-therapy")

        assert ("unknown", "doubtful") == (one.status, one.finding)

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            (Partial("a page is missing"), "Observation: a page is missing"),
            (Failed("timed out"), "Observation: timed out"),
            (NotPermitted("refused"), "Observation: refused"),
            (None, "Observation: not asked for"),
        ],
    )
    def test_a_read_that_is_not_complete(self, state: Read | None, said: str) -> None:
        """Which one, and how it went."""
        read = read_chart_file(json.dumps(chart()).encode(), None)
        reads = {name: held for name, held in read.reads.items() if name != "Observation"}
        reads |= {} if state is None else {"Observation": state}
        changed = msgspec.structs.replace(read, reads=reads)
        one = result(screener().screen_chart(changed, TODAY), "hemoglobin")

        assert ("unknown", "unread", (said,)) == (one.status, one.finding, one.unread)
        assert said.partition(": ")[2] in one.summary
        assert "could not be read completely" in one.summary

    def test_a_resource_that_cannot_be_read(self) -> None:
        """It may name any drug; what is there stays, what is not there is not known."""
        broken = statement(TEMOZOLOMIDE, id_="broken") | {"medicationCodeableConcept": 7}
        found = screen(chart(broken))
        one = result(found, "no-alkylator")

        assert ("unknown", "unreadable") == (one.status, one.finding)
        assert "MedicationStatement/broken" in one.summary
        assert "met" == verdict(found, "prrt-exposure")


# --- What an incomplete read takes back --------------------------------------------------------

CUT: dict[str, Read] = {"cut": Partial("cut")}


@pytest.mark.parametrize(
    ("criterion", "kind", "content", "before", "after"),
    [
        # Met, not met, not applicable: each may be overturned by what was not read.
        ("platelets", "Observation", chart(), "met", "unknown"),
        (
            "platelets", "Observation", chart(lab("platelets", 20, "10*9/L", id_="plt")),
            "not_met new_data", "unknown",
        ),
        ("hiv", "Condition", chart(), "not_applicable by absence", "unknown"),
        ("no-alkylator", "MedicationRequest", chart(), "met by absence", "unknown"),
        # A drug that was given stays given, and one sentence is never an obstacle.
        (
            "no-alkylator", "MedicationRequest", chart(administered(TEMOZOLOMIDE, "2019-05-06")),
            "not_met permanent", "not_met permanent",
        ),
        ("somatostatin-analogue", "MedicationRequest", chart(), "met", "met"),
        # What does not depend on the type does not change.
        ("platelets", "Condition", chart(), "met", "met"),
        ("age", "Observation", chart(), "met", "met"),
        ("consent", "Consent", chart(), "needs_confirmation", "needs_confirmation"),
    ],
)  # fmt: skip
def test_what_an_incomplete_read_takes_back(
    criterion: str, kind: str, content: Json, before: str, after: str
) -> None:
    """What it could overturn, and no more."""
    assert before == verdict(screened(content, TODAY), criterion)
    assert before == verdict(screened(content, TODAY, {kind: COMPLETE}), criterion)
    assert after == verdict(screened(content, TODAY, {kind: Failed("down")}), criterion)


def test_a_condition_is_the_same_however_it_is_read() -> None:
    """A diagnosis needs no date, so that a vague one makes no case."""
    vague: list[Any] = [condition("C7A.011", id_="net", onset=on) for on in ("2020", "2020-02-03")]

    said = {verdict(screen(chart(one)), "midgut-net") for one in vague}
    assert {"met"} == said


def test_a_chart_of_vague_dates_is_tried_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """In all, over every criterion and later day; what is not tried out is unknown."""
    tried = Counter[str]()

    def counted(kind: str, rule: Any) -> Any:
        def count(*arguments: Any) -> Any:
            tried[kind] += 1
            return rule(*arguments)

        return count

    for kind, rule in FUNCTIONS.items():
        monkeypatch.setitem(FUNCTIONS, kind, counted(kind, rule))
    months = [f"2026-{month:02}" for month in range(6, 12)]
    tests = ("hemoglobin", "platelets", "leukocytes", "lymphocytes", "neutrophils")
    limits = {"hemoglobin": "g/L"}
    vague = [
        lab(test, value, limits.get(test, "10*9/L"), on)
        for test in tests
        for on in months
        for value in (60, 120)
    ]
    found = screen(chart(*vague, without="hb plt anc"))

    assert MOST_CASES < tried.total() < MOST_CASES_IN_ALL + 2_000
    assert verdict(found, "platelets") == "unknown"
    assert verdict(found, "ecog") == "met"


def test_a_large_chart_is_tried_less_often() -> None:
    """Each case looks at all its facts again."""
    assert [8192, 8192, 4096, 163, 0] == [
        Patience.with_chart(facts).cases for facts in (0, 99, 100, 4_999, 1_000_000)
    ]


def test_a_date_that_matters_matters_among_many() -> None:
    """Where there are too many dates to try, also that of a fact that no sentence names.

    The last cycle may have been given after the first scan, which then is no reference.
    """
    days = ("2020-02-19", "2020-04-17", "2020-06-16")
    agent = {"usedCode": [coded("781259000", SNOMED)]}
    again = [procedure("399315003", day[:7], **agent) for day in days]
    orders = [order(LUTATHERA, day[:7]) for day in days]
    found = screen(
        chart(
            *(cycle(day) for day in days), cycle("2020"),
            procedure("399315003", "2020", **agent),
            procedure("399315003", "2020-08", **agent),
            *again, *orders,
            response("SD", "2020-12-17"), response("SD", "2021-07"), response("PD", "2022-06"),
            without="prrt1 prrt2 prrt3 prrt4 after better worse",
        )
    )  # fmt: skip

    assert "unknown" == verdict(found, "progression")


def test_a_vague_date_is_shown_as_it_was_recorded() -> None:
    """Whichever of its days was tried."""
    found = screen(chart(response("PD", "2025-03", id_="worse")))
    progression = result(found, "progression")

    assert progression.status == "met"
    assert "2025-03" in [one.date for one in progression.evidence]
    assert "2025-03-" not in progression.summary
