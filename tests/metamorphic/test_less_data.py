"""Less data never makes a criterion met, except where its absence is what the rule asks for."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import CHART_TYPES
from cds_service.record.reads import Failed, NotPermitted, Partial
from cds_service.report import report_builtins
from tests import charts
from tests.charts import TODAY, Json
from tests.metamorphic.support import (
    Resources,
    differences,
    looks,
    patients,
    pool,
    prefetch_of,
    report_from,
    report_of,
    resources_of,
    search_plan,
    statuses,
    verdict,
)

FULFILLED = {"met", "not_applicable"}
DRUGS = ("MedicationAdministration", "MedicationStatement", "MedicationRequest",
         "MedicationDispense", "Procedure")  # fmt: skip

# What each criterion that may be met by absence must have looked through, from the rules' text.
ABSENCE = {
    "everolimus-limit": DRUGS,
    "no-alpha-therapy": DRUGS,
    "no-alkylator": DRUGS,
    "no-intervening-therapy": DRUGS,
    "other-malignancy": ("Condition",),
    "recent-surgery": ("Procedure",),
    "brain-metastases": ("Condition",),
    "heart-failure": ("Condition", "Observation"),
    "oral-intake": ("Condition",),
    "breastfeeding": ("Condition",),
    "hiv": ("Condition",),
}
# What decides these is counted from the cycles of PRRT: taking one away moves what is "after".
COUNTED_FROM_CYCLES = {"prrt-exposure", "progression", "no-intervening-therapy", "toxicity"}


# --- Fewer resources ---------------------------------------------------------------------------


@looks
@given(patients(), st.data())
def test_what_was_not_cited_does_not_stand_in_the_way(
    chart: Resources, data: st.DataObject
) -> None:
    """A criterion becomes met only by losing what it named, also where it is met by absence.

    Everything that keeps a criterion from being met is among its evidence, so that a reader can
    check it; to take anything else away changes nothing for the better.
    """
    taken = set(data.draw(st.lists(st.integers(1, max(1, len(chart) - 1)), max_size=6)))
    less = [one for number, one in enumerate(chart) if number not in taken]
    gone = {_reference(one) for number, one in enumerate(chart) if number in taken}
    fewer_cycles = any("1999687" in json.dumps(chart[at]) for at in taken if at < len(chart))
    before, after = _results(report_of(chart)), _results(report_of(less))

    for criterion, now in after.items():
        then = before.get(criterion)
        if now["status"] not in FULFILLED or then is None or then["status"] in FULFILLED:
            continue
        if criterion in COUNTED_FROM_CYCLES and fewer_cycles:
            continue
        named = {one["reference"] for one in then["evidence"]}
        cited = gone & named or any(one in then["summary"] for one in gone)
        assert cited, (criterion, then["summary"], sorted(gone))


def _reference(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _results(report: Json) -> dict[str, Json]:
    return {one["id"]: one for one in report["criteria"]}


# Met by evidence only: with one fact for each, every loss can only make them less sure.
BY_EVIDENCE = ("age", "midgut-net", "metastatic", "histology", "sstr-pet", "ecog", "hemoglobin",
               "neutrophils", "platelets", "bilirubin", "creatinine-clearance")  # fmt: skip


@looks
@given(st.data())
def test_with_one_result_of_each_kind_every_loss_is_a_loss(data: st.DataObject) -> None:
    """In a chart with one fact for each sentence, what is left keeps its status or is open."""
    values = {
        "hb": charts.lab("hemoglobin", data.draw(st.sampled_from((60, 118))), "g/L", id_="hb"),
        "plt": charts.lab("platelets", data.draw(st.sampled_from((20, 160))), "10*9/L", id_="plt"),
        "ecog": charts.observation("ecog", id_="ecog", valueInteger=data.draw(st.integers(0, 4))),
    }
    whole = resources_of(charts.chart(*values.values()))
    less = [whole[0], *data.draw(st.lists(st.sampled_from(whole[1:]), unique_by=id))]
    before, after = statuses(report_of(whole)), statuses(report_of(less))

    for criterion in BY_EVIDENCE if after else ():
        assert after[criterion] in {before[criterion], "unknown", "needs_confirmation"}
        if before[criterion] != "met":
            assert after[criterion] != "met"


SERIES = {
    "hemoglobin": ("hemoglobin", "g/L", (60, 79.9, 80, 118), "hb"),
    "platelets": ("platelets", "10*9/L", (20, 79, 80, 160), "plt"),
    "neutrophils": ("neutrophils", "10*9/L", (0.4, 1.0, 2.9), "anc"),
}


@looks
@given(st.sampled_from(sorted(SERIES)), st.data())
def test_of_several_results_the_newest_that_is_left_decides(
    criterion: str, data: st.DataObject
) -> None:
    """Whichever are taken away, the others might as well be the newest of them alone."""
    test, unit, values, id_ = SERIES[criterion]
    ages = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True))
    series = [
        charts.lab(
            test, data.draw(st.sampled_from(values)), unit, charts.days_ago(age), id_=f"s{age}"
        )
        for age in ages
    ]
    left = data.draw(st.lists(st.sampled_from(series), unique_by=lambda one: one["id"]))
    newest = sorted(left, key=lambda one: one["effectiveDateTime"])[-1:]
    rest = resources_of(charts.chart(without=id_))

    several = _results(report_of([*rest, *left]))[criterion]
    alone = _results(report_of([*rest, *newest]))[criterion]
    assert [] == differences(verdict(alone), verdict(several))
    if not left:
        assert "unknown" == several["status"]


# --- Reads that failed -------------------------------------------------------------------------

STATES = {
    "partial": Partial("cut"), "failed": Failed("down"), "not permitted": NotPermitted("scope"),
}  # fmt: skip


def _incomplete(chart: Resources, kind: str, state: str, kept: int) -> Json:
    """The report where the read of one type went wrong and brought only its first resources."""
    held, number = [], 0
    for one in chart:
        number += one["resourceType"] == kind
        if one["resourceType"] != kind or number <= kept:
            held.append(one)
    read = read_chart_file(json.dumps(charts.bundle(*held)).encode(), None)
    reads = dict(read.reads)
    if state == "not made":
        del reads[kind]
    else:
        reads[kind] = STATES[state]
    read = msgspec.structs.replace(read, reads=reads)
    return report_builtins(charts.screener().screen_chart(read, TODAY))


@pytest.mark.parametrize("state", [*STATES, "not made"])
@pytest.mark.parametrize("kind", CHART_TYPES)
def test_a_failed_read_never_makes_a_criterion_met(kind: str, state: str) -> None:
    """Of any chart, whatever it brought before it failed: nothing, something, all there is."""
    for name, chart in pool().items():
        of_kind = sum(one["resourceType"] == kind for one in chart)
        for kept in {0, of_kind // 2, of_kind} if state == "partial" else {0}:
            less = _incomplete(chart, kind, state, kept)

            _no_better(_whole(name), less, kind)
            if state != "not made" and less["criteria"]:
                assert any(one.startswith(f"{kind}:") for one in less["unread"])


@looks
@given(patients(), st.sampled_from(CHART_TYPES), st.sampled_from((*STATES, "not made")), st.data())
def test_no_failed_read_of_any_chart_does(
    chart: Resources, kind: str, state: str, data: st.DataObject
) -> None:
    """The same of charts that nobody made."""
    kept = data.draw(st.integers(0, 12)) if state == "partial" else 0

    _no_better(report_of(chart), _incomplete(chart, kind, state, kept), kind)


@cache
def _whole(name: str) -> Json:
    return report_of(pool()[name])


def _no_better(whole: Json, less: Json, kind: str) -> None:
    """No criterion is met that was not, and none that depends on the type is met by absence."""
    before = statuses(whole)
    for now in less["criteria"]:
        criterion = now["id"]
        if before and now["status"] in FULFILLED:
            assert before[criterion] in FULFILLED, criterion
        if now["basis"] == "absence":
            assert kind not in ABSENCE.get(criterion, ()), criterion
    if before:
        assert less["overall"] != "all_met" or whole["overall"] == "all_met"


@pytest.mark.parametrize("sent", ["missing", "outcome", "something else", "page"])
@pytest.mark.parametrize("kind", CHART_TYPES)
def test_a_prefetch_with_a_gap_never_does(kind: str, sent: str) -> None:
    """As an EHR sends it: a key left out, an error for an answer, a page of several."""
    key = next(key for key, type_ in search_plan().keys.items() if type_ == kind)
    for name, chart in pool().items():
        prefetch = prefetch_of(chart)
        _spoil(prefetch, key, sent)
        less = report_from(prefetch)

        _no_better(_whole(name), less, kind)
        assert any(one.startswith(f"{kind}:") for one in less["unread"])


def _spoil(prefetch: Json, key: str, how: str) -> None:
    if how == "missing":
        del prefetch[key]
    elif how == "outcome":
        issue = {"severity": "error", "code": "exception"}
        prefetch[key] = {"resourceType": "OperationOutcome", "issue": [issue]}
    elif how == "something else":
        prefetch[key] = {"resourceType": "Patient", "id": "x"}
    else:
        empty: Json = {"resourceType": "Bundle", "type": "searchset", "entry": []}
        page = dict(prefetch[key] or empty)
        page["entry"] = page["entry"][: len(page["entry"]) // 2]
        page["link"] = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]
        prefetch[key] = page


@pytest.mark.parametrize("kind", CHART_TYPES)
def test_a_file_with_a_part_of_a_search_never_does(kind: str) -> None:
    """A Bundle with a next page, for the type that its own link names."""
    links: list[Any] = [
        {"relation": "self", "url": f"https://ehr.example/fhir/{kind}?patient=1"},
        {"relation": "next", "url": "https://ehr.example/fhir?page=2"},
    ]
    for name, chart in pool().items():
        less = [one for one in chart if one["resourceType"] != kind]

        _no_better(_whole(name), report_of(less, link=links), kind)


def test_the_table_of_absence_is_that_of_the_reports() -> None:
    """Each criterion that some chart meets by absence is in the table, and the other way round."""
    found = {
        one["id"]
        for chart in pool().values()
        for one in report_of(chart)["criteria"]
        if one["basis"] == "absence"
    }

    assert found == set(ABSENCE)
