"""FHIR content that cannot be understood, and the same content in another form."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests import charts
from tests.cases.conftest import PATIENT
from tests.cases.sent import (
    CELLS,
    KEYS,
    Json,
    ago,
    chart,
    differing,
    judge,
    lab,
    marked,
    observation,
    page,
)
from tests.charts import STRANGE, TEMOZOLOMIDE, quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cases.conftest import Running
    from tests.faults.fake_fhir import Exchange


def platelets(value: float = 160, **more: Any) -> list[Json]:
    """The full chart with this platelet count and no other."""
    return chart(lab("platelets", value, CELLS, id_="plt", **more))


# --- What cannot be understood ------------------------------------------------------------------


@pytest.mark.case("FHR-09")
def test_modifiers_that_nobody_knows(service: Running) -> None:
    """On a resource, inside one, or as rules: what it might have decided is unknown."""
    rules = {"implicitRules": "https://example.org/ZZPHI-rules"}
    high = {"referenceRange": [charts.upper(1.2, "mg/dL") | STRANGE]}
    tables: dict[str, dict[str, tuple[str, list[Json]]]] = {
        "platelets": {
            "resource": ("unknown", platelets(**STRANGE)),
            "rules": ("unknown", platelets(**rules)),
        },
        "bilirubin": {
            "range": ("unknown", chart(lab("bilirubin", 0.6, "mg/dL", **high), without="bili")),
        },
        "no-alkylator": {
            "drug": ("unknown", chart(charts.given(TEMOZOLOMIDE, ago(90), **STRANGE))),
            "rules": ("unknown", chart(charts.given(TEMOZOLOMIDE, ago(90), **rules))),
        },
    }
    for criterion, rows in tables.items():
        assert {} == differing(service, criterion, rows), criterion


@pytest.mark.case("FHR-10")
def test_references_that_lead_nowhere_or_round(service: Running) -> None:
    """They end, and a drug that is not known is not known to be another one."""

    def refers(to: str, *contained: Json) -> Json:
        more: Json = {"contained": list(contained)} if contained else {}
        found = charts.order({}, ago(90), medicationReference={"reference": to}, **more)
        return {name: it for name, it in found.items() if name != "medicationCodeableConcept"}

    def medication(id_: str, part: str) -> Json:
        held = {"resourceType": "Medication", "id": id_}
        return held | {"ingredient": [{"itemReference": {"reference": part}}]}

    rows = {
        "contained, missing": ("unknown", chart(refers("#m1"))),
        "contained, round": ("unknown", chart(
            refers("#m1", medication("m1", "#m2"), medication("m2", "#m1")))),
        "nowhere": ("unknown", chart(refers("Medication/none"))),
        "round": ("unknown", chart(
            refers("Medication/a"), medication("a", "Medication/b"),
            medication("b", "Medication/a"))),
        "itself": ("unknown", chart(refers("Medication/a"), medication("a", "Medication/a"))),
    }  # fmt: skip
    assert {} == differing(service, "no-alkylator", rows)

    members = {"hasMember": [{"reference": "Observation/plt"}]}
    assert "met" == judge(service, platelets(**members)).status("platelets")


@pytest.mark.case("FHR-13")
def test_elements_that_are_broken(service: Running) -> None:
    """What hangs on them is unknown, and the rest is as it was; narrative is not looked at."""
    reason = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
              "valueCode": "masked"}  # fmt: skip
    broken: dict[str, Json] = {
        "null": {"valueQuantity": {"value": None, "unit": CELLS}},
        "reason": {"valueQuantity": {"_value": {"extension": [reason]}, "unit": CELLS}},
        "empty strings": {"valueQuantity": {"value": 160, "unit": "", "system": "", "code": ""}},
        "list": {"valueQuantity": [quantity(160, CELLS)]},
        "text": {"valueQuantity": "160"},
        "date": {"effectiveDateTime": [ago(3)]},
    }
    narrative = {"text": {"status": "generated", "div": "<div>160 ZZPHI</div>" * 20_000}}
    whole = judge(service, chart()).statuses()
    for name, elements in broken.items():
        one = lab("platelets", 160, CELLS, id_="plt") | elements
        found = judge(service, chart(one))
        statuses = found.statuses()
        assert "unknown" == statuses["platelets"], name
        assert {it: whole[it] for it in whole if it != "platelets"} == {
            it: statuses[it] for it in whole if it != "platelets"
        }, name

    told = judge(service, platelets(**narrative))
    assert "met" == told.status("platelets")
    assert "div" not in told.answer.response.text


@pytest.mark.case("FHR-14")
def test_resources_of_other_fhir_versions(service: Running) -> None:
    """What an R4 reader would take for a drug without a name is unknown."""
    about = {"subject": {"reference": charts.ME}}
    newer = {
        "resourceType": "MedicationRequest",
        "id": "r5",
        "status": "active",
        "intent": "order",
        "medication": {"concept": TEMOZOLOMIDE},
    } | about
    usage = {
        "resourceType": "MedicationStatement",
        "id": "r5",
        "status": "recorded",
        "medication": {"concept": TEMOZOLOMIDE},
    } | about
    older = {"resourceType": "MedicationStatement", "id": "dstu2", "status": "completed",
             "wasNotTaken": True, "medicationCodeableConcept": TEMOZOLOMIDE,
             "patient": {"reference": charts.ME}} | about  # fmt: skip
    rows = {
        "an order of R5": ("unknown", chart(newer)),
        "a statement of R5": ("unknown", chart(usage)),
        "not taken, in DSTU2": ("unknown", chart(older)),
    }
    assert {} == differing(service, "no-alkylator", rows)


@pytest.mark.case("FHR-15")
def test_labels_and_masks(service: Running) -> None:
    """A masked value is none; a label is not shown."""
    label = {"meta": {"security": [{"code": "R", "display": "ZZPHI-label"}]}}
    for word in ("MASKED", "REDACTED"):
        one = observation("platelets", id_="plt", valueString=word)
        assert "unknown" == judge(service, chart(one)).status("platelets")
    shown = judge(service, platelets(**label))

    assert "met" == shown.status("platelets")
    assert "ZZPHI-label" not in shown.answer.response.text


# --- The same in another form -------------------------------------------------------------------


@pytest.mark.case("FHR-11")
def test_the_same_twice(service: Running) -> None:
    """The same resource twice, and a measurement under two ids, judge as one does."""
    once = chart()
    twice = [*once, *copy.deepcopy(once[1:])]
    again = [*once, *({**it, "id": f"{it['id']}-again"} for it in copy.deepcopy(once[1:]))]

    found = [judge(service, it).statuses() for it in (once, twice, again)]

    assert found[0] == found[1] == found[2]


def _paged(size: int) -> Callable[[Exchange], Any]:
    """The right answer, so many matches at a time, each with what comes along with it."""

    async def fault(exchange: Exchange) -> None:
        first, _, number = exchange.request.target.partition("&_fake=")
        at = int(number or 0)
        bundle = json.loads((await exchange.server._answers.to(first, exchange.server.base))[1])
        entries = bundle.get("entry", [])
        along = [entry for entry in entries if entry["search"]["mode"] == "include"]
        matches = [entry for entry in entries if entry not in along]
        shown = json.dumps(matches[at : at + size])
        bundle["entry"] = matches[at : at + size] + [
            entry
            for entry in along
            if f"{entry['resource']['resourceType']}/{entry['resource']['id']}" in shown
        ]
        bundle["link"] = [link for link in bundle["link"] if link["relation"] != "next"]
        if at + size < len(matches):
            origin = "://".join(urlsplit(exchange.server.origin)[:2])
            url = f"{origin}{first}&_fake={at + size}"
            bundle["link"].append({"relation": "next", "url": url})
        await exchange.answer(200, json.dumps(bundle).encode())

    return fault


@pytest.mark.case("FHR-12")
def test_order_and_pages_decide_nothing(service: Running) -> None:
    """Shuffled, in pages of any size, sent or read: one report."""
    server = service.fhir["alpha"]
    read = judge(service)
    found = {"all": read.report}
    for size in (1, 3, 50):
        server.fails(lambda request: "?" in request.target, _paged(size))
        for _ in range(5):  # many pages may take a busy machine more than the time that there is
            found[f"pages of {size}"] = judge(service).report
            if not found[f"pages of {size}"]["unread"]:
                break
        server.recovers()
    resources = list(server._answers.resources)
    sent: Json = {key: page(it for it in resources if it["resourceType"] == type_)
                  for type_, key in KEYS.items()}  # fmt: skip
    sent["patient"] = next(it for it in resources if it["resourceType"] == "Patient")
    shuffler = random.Random(7)  # noqa: S311  (no secret)
    for one in sent.values():
        shuffler.shuffle(one.get("entry", []))
    found["sent, shuffled"] = judge(service, prefetch=sent).report

    assert [] == [name for name, report in found.items() if report != read.report]


@pytest.mark.case("FHR-17")
def test_a_chart_of_thirty_years(service: Running) -> None:
    """Results are asked for by code; of 60,000 the answer is in time, and unread is told."""
    many = [
        {"resource": one, "search": {"mode": "match"}}
        for one in marked([lab("weight", 80, "kg", 40 + n % 9000, id_=f"w{n}") for n in range(500)])
    ]
    numbers = iter(range(120))

    async def endless(exchange: Exchange) -> None:
        number = next(numbers, None)
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": 60_000,
                  "entry": [it | {"resource": it["resource"] | {"id": f"n{number}-{at}"}}
                            for at, it in enumerate(many)],
                  "link": [{"relation": "self", "url": exchange.request.target}]}  # fmt: skip
        if number is not None:
            url = f"{exchange.server.base}/Observation?patient={PATIENT}&_fake={number}"
            bundle["link"] += [{"relation": "next", "url": url}]
        await exchange.answer(200, json.dumps(bundle).encode())

    server = service.fhir["alpha"]
    before = len(server.requests)
    server.fails("Observation", endless)

    judged = judge(service)

    asked = [it for it in server.requests[before:] if it.kind == "Observation"]
    first = [it for it in asked if not it.asks("_fake")]
    assert all(it.asks("code") or it.asks("category:not") for it in first)
    # Failed where a busy machine has not even read a first page.
    assert judged.audited["reads"]["Observation"] in {"partial", "failed"}
    assert {"unknown"} == {judged.status(name) for name in ("platelets", "hemoglobin")}
