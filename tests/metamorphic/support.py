"""What the metamorphic tests share: charts to change, and what of a report must not change.

Every chart goes through the door that a user has: bytes are read into a chart, the chart is
screened. Nothing here knows a rule.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
from datetime import date, timedelta
from functools import cache
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from cds_service.demo.patients import load_demo_patients
from cds_service.fhir.chart import Chart
from cds_service.fhir.prefetch import read_prefetch
from cds_service.fhir.pull import read_chart
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.report import report_builtins
from tests import charts
from tests.charts import (
    DEXAMETHASONE,
    EVEROLIMUS,
    OCTREOTIDE,
    RADIUM,
    SUNITINIB,
    TEMOZOLOMIDE,
    TODAY,
    ZORTRESS,
    Json,
)

Resources = list[Json]

# HYPOTHESIS_PROFILE=thorough looks for longer than a run of all tests can.
EXAMPLES = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 25
# A parent is not named: in CI, Hypothesis's own profile for it derandomises these too.
looks = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# --- Charts ------------------------------------------------------------------------------------


@cache
def pool() -> dict[str, Resources]:
    """Charts of every kind: the demo patients, and variants of the builder's full chart."""
    found = {one.name: list(one.resources) for one in load_demo_patients(TODAY)}
    return found | {name: resources_of(made) for name, made in _variants().items()}


def resources_of(bundle: Json) -> Resources:
    """The resources of a Bundle."""
    return [entry["resource"] for entry in bundle["entry"]]


def _variants() -> dict[str, Json]:
    days = charts.days_ago
    return {
        "full": charts.chart(),
        "woman": charts.woman(charts.observation("hcg", days(9), valueCodeableConcept=_NEGATIVE)),
        "vague": charts.chart(
            charts.lab("hemoglobin", 118, "g/L", "2026-11", id_="hb"),
            charts.cycle("2021-01", id_="prrt1"),
            charts.pet("2026", id_="pet"),
        ),
        "drugs": charts.chart(
            charts.statement(EVEROLIMUS, days(1500), days(1480)),
            charts.order(TEMOZOLOMIDE, days(400)),
            charts.statement(OCTREOTIDE, days(900), status="active"),
            charts.given(DEXAMETHASONE, days(20)),
        ),
        "series": charts.chart(
            *(charts.lab("platelets", 60 + 10 * n, "10*9/L", days(26 - 4 * n)) for n in range(5)),
            *(charts.lab("hemoglobin", 100 - 6 * n, "g/L", days(26 - 4 * n)) for n in range(5)),
        ),
        "doubtful": charts.chart(
            charts.condition("C50.911", **charts.STRANGE),
            charts.procedure("387713003", days(20), status="unknown"),
        ),
        "uncertain course": charts.chart(
            charts.cycle("2021-07-10"), charts.cycle("2021-03-09", activity=None)
        ),
    }


_NEGATIVE = {"text": "Negative"}
_DRUGS = (TEMOZOLOMIDE, EVEROLIMUS, ZORTRESS, SUNITINIB, OCTREOTIDE, DEXAMETHASONE, RADIUM)
_CONDITIONS = (
    "C7A.012",
    "C7A.00",
    "C7B.02",
    "C50.911",
    "I50.9",
    "B20",
    "C79.31",
    "Z85.3",
    "R13.10",
)
# An ablation, a chemoembolisation, a colonoscopy, a hysterectomy, surgery and a PET of any kind.
_PROCEDURES = ("609232008", "314617008", "73761001", "236886002", "387713003", "82918005")
# Values on either side of the limits, and on them.
_LABS = {
    "hemoglobin": ("g/L", (60, 79.9, 80, 118)),
    "platelets": ("10*9/L", (40, 79, 80, 160)),
    "neutrophils": ("10*9/L", (0.4, 1.0, 2.9)),
    "bilirubin": ("mg/dL", (0.6, 1.8, 4)),
    "creatinine": ("mg/dL", (0.7, 1.0, 2.9)),
    "weight": ("kg", (50, 80)),
    "leukocytes": ("10*9/L", (1.9, 5.5)),
}


@st.composite
def moments(draw: st.DrawFn, longest: int = 2200) -> str:
    """A date on or before :data:`TODAY`: a day, a month, a year, or an instant."""
    near = st.integers(0, 45)
    day = TODAY - timedelta(days=draw(st.one_of(near, near, st.integers(0, longest))))
    form = draw(st.sampled_from((*["day"] * 6, *["instant"] * 3, "month")))
    if form == "instant":
        hour, minute = draw(st.integers(0, 23)), draw(st.sampled_from((0, 30)))
        return f"{day}T{hour:02}:{minute:02}:00{draw(st.sampled_from(('Z', '-05:00', '+09:30')))}"
    return day.isoformat()[: {"day": 10, "month": 7, "year": 4}[form]]


@st.composite
def _lab(draw: st.DrawFn) -> Json:
    test = draw(st.sampled_from(sorted(_LABS)))
    unit, values = _LABS[test]
    how: Json = {"status": draw(st.sampled_from((*["final"] * 8, "amended", "preliminary")))}
    if test == "bilirubin":
        how["uln"] = charts.upper(1.2, "mg/dL")
    made = charts.lab(test, draw(st.sampled_from(values)), unit, draw(moments()), **how)
    twist = draw(st.sampled_from((*[""] * 6, "bare", "below", "empty", "other", "absurd")))
    amount = made["valueQuantity"]
    if twist == "bare":
        made["valueQuantity"] = {"value": amount["value"]}
    elif twist == "below":
        amount["comparator"] = draw(st.sampled_from(("<", "<=", ">", ">=")))
    elif twist == "other":
        amount |= {"unit": "mmol/L", "code": "mmol/L"}
    elif twist == "absurd":
        amount["value"] = 100_000
    elif twist == "empty":
        del made["valueQuantity"]
        made["dataAbsentReason"] = charts.words("not performed")
    return made


@st.composite
def _drug(draw: st.DrawFn) -> Json:
    drug, on = draw(st.sampled_from(_DRUGS)), draw(moments())
    kind = draw(st.sampled_from(("given", "statement", "period", "order", "dispense")))
    if kind == "given":
        given = ("completed", "completed", "stopped", "on-hold", "not-done")
        return charts.given(drug, on, status=draw(st.sampled_from(given)))
    if kind in {"statement", "period"}:
        end = charts.days_ago(draw(st.integers(0, 60))) if kind == "period" else None
        stated = ("active", "completed", "intended", "not-taken")
        return charts.statement(drug, on, end, status=draw(st.sampled_from(stated)))
    return charts.order(drug, on) if kind == "order" else charts.dispense(drug, on)


@st.composite
def _other(draw: st.DrawFn) -> Json:
    on = draw(moments())
    sure = ("confirmed", "confirmed", "provisional", "differential", "refuted", None)
    made = (
        lambda: charts.condition(
            draw(st.sampled_from(_CONDITIONS)),
            onset=on,
            verification=draw(st.sampled_from(sure)),
            clinical=draw(st.sampled_from(("active", "resolved", None))),
        ),
        lambda: charts.cycle(on, draw(st.sampled_from((7400, 3700, 1, None)))),
        lambda: charts.response(draw(st.sampled_from(("CR", "PR", "SD", "PD", "NE", "?"))), on),
        lambda: charts.pet(on, draw(st.sampled_from(("Ga-68 DOTATATE", "FDG", "")))),
        lambda: charts.procedure(draw(st.sampled_from(_PROCEDURES)), on),
        lambda: charts.observation("ecog", on, valueInteger=draw(st.integers(0, 4))),
        lambda: charts.observation("karnofsky", on, valueInteger=draw(st.integers(3, 10)) * 10),
        lambda: charts.observation(
            "grade", on, valueCodeableConcept={"text": draw(st.sampled_from(("G2", "G3")))}
        ),
        lambda: charts.observation("hcg", on, valueCodeableConcept=_NEGATIVE),
    )
    return draw(st.sampled_from(made))()


@st.composite
def _strange(draw: st.DrawFn) -> Json:
    """Now and then a resource may mean something else, or has no date."""
    made: Json = draw(st.one_of(_lab(), _drug(), _other()))
    twist = draw(st.sampled_from((*[""] * 12, "strange", "undated")))
    if twist == "strange":
        made |= charts.STRANGE
    elif twist == "undated":
        made = {name: held for name, held in made.items() if name not in _DATED_BY}
    return made


_DATED_BY = {"effectiveDateTime", "performedDateTime", "onsetDateTime", "authoredOn",
             "whenHandedOver", "effectivePeriod"}  # fmt: skip


def additions(least: int = 0, most: int = 6) -> st.SearchStrategy[Resources]:
    """Resources of every kind, with their ids made anew so that examples repeat."""
    return st.lists(_strange(), min_size=least, max_size=most).map(_numbered)


def _numbered(made: Resources) -> Resources:
    return [one | {"id": f"added{number}"} for number, one in enumerate(made)]


@st.composite
def patients(draw: st.DrawFn) -> Resources:
    """A chart of the pool with resources taken away and others added."""
    chosen = pool()[draw(st.sampled_from(sorted(pool())))]
    whole = draw(st.booleans())
    kept = [one for one in chosen[1:] if whole or draw(st.integers(0, 9)) > 0]
    added = [_of(one, chosen[0]["id"]) for one in draw(additions())]
    return copy.deepcopy([chosen[0], *kept, *added])


def _of(resource: Json, patient: str) -> Json:
    text = json.dumps(resource).replace(charts.ME, f"Patient/{patient}")
    made: Json = json.loads(text)
    return made


# --- Reports -----------------------------------------------------------------------------------


def report_of(
    resources: Resources, as_of: date = TODAY, *, site: Json | None = None, **members: Any
) -> Json:
    """The report on a file that holds these resources."""
    return report_builtins(charts.screen(charts.bundle(*resources, **members), as_of, site=site))


def decided(report: Json) -> Json:
    """What was decided: all of a report but how facts are listed, and what is wrong with data."""
    return {
        "overall": report["overall"],
        "outlook": [(one["from"], one["through"], one["overall"]) for one in report["outlook"]],
        "criteria": {one["id"]: verdict(one) for one in report["criteria"]},
    }


def verdict(one: Json) -> Json:
    """What was decided of one criterion."""
    fields = ("status", "basis", "change", "validThrough", "eligibleFrom", "finding")
    return {name: one[name] for name in fields} | {"missing": [it["id"] for it in one["missing"]]}


def statuses(report: Json) -> dict[str, str]:
    """The status of each criterion."""
    return {one["id"]: one["status"] for one in report["criteria"]}


# --- Prefetch ----------------------------------------------------------------------------------


@cache
def search_plan() -> SearchPlan:
    """The searches of the trial."""
    return plan(charts.trial(), charts._books()[0])


def prefetch_of(resources: Resources) -> Json:
    """What an EHR sends that answers every template; an empty search is ``null``."""
    sent: Json = {"patient": resources[0]}
    for key, kind in search_plan().keys.items():
        found = [_entry(one, "match") for one in resources if one["resourceType"] == kind]
        if found and kind in _WITH_DRUGS:
            # Their templates bring the Medications along.
            drugs = [one for one in resources if one["resourceType"] == "Medication"]
            found += [_entry(one, "include") for one in drugs]
        searchset = {"resourceType": "Bundle", "type": "searchset", "entry": found}
        sent[key] = searchset if found else None
    return sent


def _entry(resource: Json, mode: str) -> Json:
    return {"resource": resource, "search": {"mode": mode}}


_WITH_DRUGS = (
    "MedicationAdministration", "MedicationStatement", "MedicationRequest", "MedicationDispense",
)  # fmt: skip


def chart_from(sent: Json) -> Chart:
    """The chart that prefetch alone makes; there is no server to ask."""
    raw = msgspec.json.decode(json.dumps(sent).encode(), type=dict[str, msgspec.Raw])
    patient = sent["patient"]["id"]

    async def read() -> Chart:
        deadline = asyncio.get_running_loop().time() + 60
        prefetched = read_prefetch(raw, search_plan(), patient)
        return await read_chart(None, search_plan(), patient, deadline, lambda _: True, prefetched)

    return asyncio.run(read())


def report_from(sent: Json, as_of: date = TODAY) -> Json:
    """The report on what an EHR sent."""
    return report_builtins(charts.screener().screen_chart(chart_from(sent), as_of))


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two reports differ, a line each; ids stand for places in lists that have them."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for name in dict.fromkeys((*one, *other))
            for found in differences(one.get(name), other.get(name), f"{at}.{name}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found
            for number, pair in enumerate(zip(one, other, strict=True))
            for found in differences(*pair, f"{at}[{_id(pair[0], number)}]")
        ]
    return [] if one == other else [f"{at}: {one!r} != {other!r}"]


def _id(one: Any, number: int) -> Any:
    return one.get("id", number) if isinstance(one, dict) else number
