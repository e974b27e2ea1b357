"""No therapy in between: what started after the day of the last cycle, 28 June 2021."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    ATC,
    CPT,
    DEXAMETHASONE,
    EVEROLIMUS,
    OCTREOTIDE,
    RADIUM,
    RXNORM,
    SNOMED,
    STRANGE,
    SUNITINIB,
    ZORTRESS,
    Json,
    case,
    chart,
    coded,
    condition,
    cycle,
    given,
    order,
    procedure,
    screen,
    statement,
    verdict,
    words,
)
from tests.charts import LUTATHERA as PRRT

CASES = ("expected", "content", "how")
METHOTREXATE = coded("L01BA01", ATC)
AGENT = {"usedCode": [coded("781259000", SNOMED)]}
LAST, NEXT, LATER = "2021-06-28", "2021-06-29", "2024-01-01"


def _by(route: Any) -> Any:
    return {"dosage": {"route": route}}


@pytest.mark.parametrize(
    CASES,
    [
        case("none", "met by absence", chart()),
        case("antitumour drug", "not_met permanent", chart(given(SUNITINIB, LATER))),
        case("detail 41: on the last cycle's day", "met by absence", chart(given(SUNITINIB, LAST))),
        case("detail 41: on the day after", "not_met permanent", chart(given(SUNITINIB, NEXT))),
        case("before PRRT", "met by absence", chart(given(SUNITINIB, "2020-05-05"))),
        case("after the day of enrolment", "met by absence", chart(given(SUNITINIB, "2026-11-24"))),
        case("ordered", "needs_confirmation", chart(order(SUNITINIB, LATER))),
        case("ordered before", "met by absence", chart(order(SUNITINIB, "2020-05-05"))),
        *(
            case(
                f"a radionuclide therapy {name}",
                expected,
                chart(procedure("399315003", on, **more)),
            )
            for name, expected, on, more in [
                # Ten days after the last cycle it is that cycle or one more of the same course.
                ("of PRRT soon after the last cycle", "met by absence", "2021-07-08", AGENT),
                ("of PRRT after the course", "not_met permanent", "2022-02-01", AGENT),
                ("of radium", "not_met permanent", LATER, {"usedCode": [coded("V10XX03", ATC)]}),
                ("that names none, soon after", "needs_confirmation", "2021-07-08", {}),
                ("that names none, on the last cycle's day", "met by absence", LAST, {}),
                ("that names none, later", "needs_confirmation", LATER, {}),
            ]
        ),
        case("in words", "needs_confirmation", chart(given(words("Sutent"), LATER))),
        *(
            case(f"detail 41: {name}", "not_met permanent", chart(given(drug, LATER)))
            for name, drug in [
                ("any L01", coded("L01EX99", ATC)),
                ("cisplatin", coded("2555", RXNORM)),
                ("interferon alfa", coded("L03AB05", ATC)),
                ("V10XX", coded("V10XX99", ATC)),
                ("Pluvicto", coded("2597052", RXNORM)),
                ("alpha therapy", RADIUM),
                ("an alkylator", coded("37776", RXNORM)),
            ]
        ),
        *(
            case(f"never counts: {name}", "met by absence", chart(given(drug, LATER)))
            for name, drug in [
                ("octreotide", OCTREOTIDE),
                ("telotristat", coded("A16AX15", ATC)),
                ("dexamethasone", DEXAMETHASONE),
                ("denosumab", coded("M05BX04", ATC)),
                ("octreotide in words", words("Sandostatin LAR")),
            ]
        ),
        case(
            "detail 22: oral methotrexate",
            "needs_confirmation",
            chart(given(coded("L04AX03", ATC), LATER)),
        ),
        *(
            case(f"detail 41: methotrexate, {name}", expected, chart(given(drug, LATER, **dosage)))
            for name, expected, drug, dosage in [
                ("no route", "needs_confirmation", METHOTREXATE, {}),
                ("by vein", "not_met permanent", METHOTREXATE, _by(coded("47625008", SNOMED))),
                ("by vein in words", "not_met permanent", METHOTREXATE, _by(words("Intravenous"))),
                ("into the spine", "not_met permanent", METHOTREXATE, _by(words("Intrathecal"))),
                ("by mouth", "needs_confirmation", METHOTREXATE, _by(coded("26643006", SNOMED))),
                ("under the skin", "needs_confirmation", METHOTREXATE, _by(words("Subcutaneous"))),
                (
                    "a product for either",
                    "needs_confirmation",
                    METHOTREXATE | {"text": "Methotrexate, intravenous or subcutaneous use"},
                    {},
                ),
                (
                    "in words only, by vein",
                    "needs_confirmation",
                    words("Methotrexate"),
                    _by(coded("47625008", SNOMED)),
                ),
                (
                    "ATC of the rheumatic drug, by vein",
                    "not_met permanent",
                    coded("L04AX03", ATC),
                    _by(coded("47625008", SNOMED)),
                ),
            ]
        ),
        case(
            "another drug by vein is not methotrexate",
            "met by absence",
            chart(given(DEXAMETHASONE, LATER, **_by(coded("47625008", SNOMED)))),
        ),
        case("a local form", "needs_confirmation", chart(given(coded("309013", RXNORM), LATER))),
        case("detail 31: undated", "unknown", chart(given(SUNITINIB, None))),
        case("unreadable date", "unknown", chart(given(SUNITINIB, "last spring"))),
        case(
            "detail 31: began before and ended after",
            "needs_confirmation",
            chart(statement(SUNITINIB, "2021-06-01", "2021-09-01")),
        ),
        case(
            "detail 31: began on the last cycle's day and ended after",
            "needs_confirmation",
            chart(statement(SUNITINIB, LAST, "2021-09-01")),
        ),
        case(
            "detail 31: ended on the last cycle's day",
            "met by absence",
            chart(statement(SUNITINIB, "2021-06-01", LAST)),
        ),
        case(
            "began before and is still active",
            "needs_confirmation",
            chart(statement(SUNITINIB, "2021-06-01", status="active")),
        ),
        case(
            "a month that straddles the last cycle", "unknown", chart(given(SUNITINIB, "2021-06"))
        ),
        case(
            "a month that surely lies after it",
            "not_met permanent",
            chart(given(SUNITINIB, "2021-07")),
        ),
        case("unknown modifier", "unknown", chart(given(SUNITINIB, LATER, **STRANGE))),
        case("no PRRT date", "unknown", chart(without="prrt1 prrt2 prrt3 prrt4")),
        case(
            "detail 41: only a PRRT period",
            "unknown",
            chart(statement(PRRT, "2021-01-01", "2021-07-01"), without="prrt1 prrt2 prrt3 prrt4"),
        ),
    ],
)
def test_drugs(expected: str, content: Json, how: Json) -> None:
    """An antitumour drug that started after the last cycle's day excludes."""
    assert expected == verdict(screen(content, **how), "no-intervening-therapy")


@pytest.mark.parametrize(
    CASES,
    [
        case(
            "31 days",
            "needs_confirmation",
            chart(statement(EVEROLIMUS, "2024-01-01", "2024-01-31")),
        ),
        case(
            "32 days", "not_met permanent", chart(statement(EVEROLIMUS, "2024-01-01", "2024-02-01"))
        ),
        case(
            "31 days in total, partly before",
            "needs_confirmation",
            chart(
                statement(EVEROLIMUS, "2020-01-01", "2020-01-21"),
                statement(EVEROLIMUS, "2024-01-01", "2024-01-10"),
            ),
        ),
        case(
            "32 days in total, partly before",
            "not_met permanent",
            chart(
                statement(EVEROLIMUS, "2020-01-01", "2020-01-21"),
                statement(EVEROLIMUS, "2024-01-01", "2024-01-11"),
            ),
        ),
        case(
            "before only",
            "met by absence",
            chart(statement(EVEROLIMUS, "2020-01-01", "2020-12-31")),
        ),
        case(
            "detail 41: transplant product",
            "needs_confirmation",
            chart(statement(ZORTRESS, "2024-01-01", "2024-12-31")),
        ),
        case("end unknown", "needs_confirmation", chart(statement(EVEROLIMUS, "2024-01-01"))),
    ],
)
def test_everolimus(expected: str, content: Json, how: Json) -> None:
    """Another sentence allows a month of it, so a person must judge."""
    assert expected == verdict(screen(content, **how), "no-intervening-therapy")


@pytest.mark.parametrize(
    CASES,
    [
        case("a second course", "not_met permanent", chart(cycle("2024-01-08"))),
        case("PRRT ordered for later", "needs_confirmation", chart(order(PRRT, LATER))),
        case(
            "the last cycle recorded again",
            "met by absence",
            chart(statement(PRRT, effectiveDateTime="2021-06-30")),
        ),
        case(
            "a PRRT period that holds the course",
            "met by absence",
            chart(statement(PRRT, "2021-01-01", "2021-07-01")),
        ),
        case(
            "detail 31: a PRRT period that goes on after it",
            "needs_confirmation",
            chart(statement(PRRT, "2021-06-28", "2024-01-01")),
        ),
        case(
            "detail 31: a PRRT period without an end",
            "needs_confirmation",
            chart(statement(PRRT, "2021-01-01", status="active")),
        ),
        case("the order of a cycle", "met by absence", chart(order(PRRT, "2021-06-20"))),
        case(
            "radionuclide therapy with no agent",
            "needs_confirmation",
            chart(procedure("399315003", LATER)),
        ),
        case(
            "the last cycle as a therapy with no agent",
            "met by absence",
            chart(procedure("399315003", "2021-06-30")),
        ),
        *(
            case(f"{name}", expected, chart(procedure(code, LATER)))
            for name, code, expected in [
                ("chemoembolisation", coded("314617008", SNOMED), "not_met permanent"),
                ("microspheres", coded("764678003", SNOMED), "not_met permanent"),
                ("ablation", coded("609232008", SNOMED), "not_met permanent"),
                ("ablation by an unverified code", coded("47382", CPT), "needs_confirmation"),
                ("external beam", coded("33195004", SNOMED), "needs_confirmation"),
                ("resection of liver", coded("71273005", SNOMED), "needs_confirmation"),
                ("resection of bowel", coded("54357003", SNOMED), "needs_confirmation"),
                ("detail 41: chemotherapy infusion", coded("96413", CPT), "needs_confirmation"),
                ("embolisation of an organ not named", coded("37243", CPT), "needs_confirmation"),
            ]
        ),
        case(
            "ablation by an unverified code, surgery by category",
            "needs_confirmation",
            chart(
                procedure(coded("47382", CPT), "2023-01-01", category=coded("387713003", SNOMED))
            ),
        ),
        case("ablation before", "met by absence", chart(procedure("609232008", "2020-09-09"))),
        case(
            "ablation in preparation",
            "needs_confirmation",
            chart(procedure("609232008", LATER, status="preparation")),
        ),
        case(
            "ablation not done",
            "met by absence",
            chart(procedure("609232008", LATER, status="not-done")),
        ),
        case("detail 31: ablation undated", "unknown", chart(procedure("609232008"))),
        case("detail 31: external beam undated", "unknown", chart(procedure("33195004"))),
        case("detail 31: resection undated", "unknown", chart(procedure("174071004"))),
        case(
            "external beam undated, and another after",
            "needs_confirmation",
            chart(procedure("33195004"), procedure("33195004", LATER, id="again")),
        ),
        case(
            "embolisation in words, undated",
            "needs_confirmation",
            chart(procedure({"text": "hepatic artery embolization"})),
        ),
        case(
            "detail 31: chemotherapy encounter undated",
            "unknown",
            chart(condition("Z51.11", onset=None)),
        ),
        case(
            "detail 31: embolisation over the last cycle's day",
            "needs_confirmation",
            chart(procedure("609232008", performedPeriod={"start": LAST, "end": "2021-07-02"})),
        ),
        case(
            "embolisation to the last cycle's day",
            "met by absence",
            chart(procedure("609232008", performedPeriod={"start": "2021-06-20", "end": LAST})),
        ),
        case(
            "detail 31: external beam over the last cycle's day",
            "needs_confirmation",
            chart(procedure("33195004", performedPeriod={"start": "2021-06-20", "end": NEXT})),
        ),
        case(
            "external beam undated, in preparation",
            "needs_confirmation",
            chart(procedure("33195004", status="preparation")),
        ),
        case(
            "a radionuclide therapy that names none, undated",
            "met by absence",
            chart(procedure("399315003")),
        ),
        case("external beam before", "met by absence", chart(procedure("33195004", "2020-09-09"))),
        case(
            "encounter for radiotherapy",
            "needs_confirmation",
            chart(condition("Z51.0", onset=LATER)),
        ),
        case(
            "encounter for radiotherapy before",
            "met by absence",
            chart(condition("Z51.0", onset="2020-09-09")),
        ),
        case(
            "detail 41: encounter for chemotherapy",
            "needs_confirmation",
            chart(condition("Z51.11", onset=LATER)),
        ),
        case(
            "encounter for chemotherapy before",
            "met by absence",
            chart(condition("Z51.11", onset="2020-01-01")),
        ),
        case(
            "unknown modifier on a procedure",
            "unknown",
            chart(procedure("609232008", LATER, **STRANGE)),
        ),
        case(
            "detail 29: therapy between two possible last cycles",
            "needs_confirmation",
            chart(cycle("2021-07-10"), given(SUNITINIB, "2021-07-05")),
        ),
        case(
            "detail 29: therapy after both",
            "not_met permanent",
            chart(cycle("2021-07-10"), given(SUNITINIB, "2021-08-05")),
        ),
    ],
)
def test_procedures_and_more_prrt(expected: str, content: Json, how: Json) -> None:
    """Liver-directed therapy and more PRRT exclude; radiotherapy and resection a person judges."""
    assert expected == verdict(screen(content, **how), "no-intervening-therapy")


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        # 2021-01-11 and 364 days: up to then an administration that was not read may be later.
        ("2022-01-10", "unknown"),
        ("2022-01-11", "not_met permanent"),
    ],
)
def test_a_therapy_where_not_all_cycles_were_read(on: str, expected: str) -> None:
    """It is after the course for sure only where no cycle of it can be later."""
    cut = {"relation": "next", "url": "MedicationAdministration?page=2"}
    own = {"relation": "self", "url": "MedicationAdministration?patient=anna"}
    content = chart(given(SUNITINIB, on), type="searchset", link=[own, cut])

    assert expected == verdict(screen(content), "no-intervening-therapy")
