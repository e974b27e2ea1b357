"""Everolimus, alkylators, alpha therapy: which drug, how surely, for how long."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.charts import (
    ATC,
    DEXAMETHASONE,
    EVEROLIMUS,
    OCTREOTIDE,
    RADIUM,
    RXNORM,
    STRANGE,
    SUNITINIB,
    TEMOZOLOMIDE,
    ZORTRESS,
    Json,
    bundle,
    case,
    chart,
    coded,
    condition,
    days_ago,
    dispense,
    everything,
    given,
    order,
    patient,
    procedure,
    resource,
    result,
    screen,
    statement,
    verdict,
    words,
)

CASES = ("expected", "content", "how")


def _medication(id_: Any = "m", **elements: Any) -> Any:
    return {"resourceType": "Medication", "id": id_} | elements


def _by_reference(reference: Any, **elements: Any) -> Any:
    return order(
        TEMOZOLOMIDE,
        medicationCodeableConcept=None,
        medicationReference={"reference": reference},
        **elements,
    )


def _ingredient(**item: Any) -> Any:
    return {"ingredient": [item]}


@pytest.mark.parametrize(
    CASES,
    [
        case("none", "met by absence", chart()),
        *(
            case(
                f"administration {status}",
                expected,
                chart(given(TEMOZOLOMIDE, "2019-01-01", status=status)),
            )
            for status, expected in [
                ("completed", "not_met permanent"),
                ("in-progress", "not_met permanent"),
                ("stopped", "not_met permanent"),
                ("on-hold", "needs_confirmation"),
                ("unknown", "needs_confirmation"),
                ("not-done", "met by absence"),
                ("entered-in-error", "met by absence"),
            ]
        ),
        *(
            case(
                f"statement {status}",
                expected,
                chart(statement(TEMOZOLOMIDE, "2019-01-01", "2019-06-01", status=status)),
            )
            for status, expected in [
                ("active", "not_met permanent"),
                ("completed", "not_met permanent"),
                ("stopped", "not_met permanent"),
                ("on-hold", "not_met permanent"),
                ("intended", "needs_confirmation"),
                ("unknown", "needs_confirmation"),
                ("not-taken", "met by absence"),
                ("entered-in-error", "met by absence"),
            ]
        ),
        *(
            case(f"order {status}", expected, chart(order(TEMOZOLOMIDE, status=status)))
            for status, expected in [
                ("active", "needs_confirmation"),
                ("completed", "needs_confirmation"),
                ("stopped", "needs_confirmation"),
                ("on-hold", "needs_confirmation"),
                ("cancelled", "met by absence"),
                ("draft", "met by absence"),
                ("entered-in-error", "met by absence"),
                ("unknown", "met by absence"),
            ]
        ),
        *(
            case(f"order of intent {intent}", expected, chart(order(TEMOZOLOMIDE, intent=intent)))
            for intent, expected in [
                ("proposal", "met by absence"),
                ("plan", "met by absence"),
                ("option", "met by absence"),
                ("original-order", "needs_confirmation"),
            ]
        ),
        case(
            "order not to give it", "met by absence", chart(order(TEMOZOLOMIDE, doNotPerform=True))
        ),
        case("dispense completed", "needs_confirmation", chart(dispense(TEMOZOLOMIDE))),
        case(
            "dispense cancelled",
            "met by absence",
            chart(dispense(TEMOZOLOMIDE, status="cancelled")),
        ),
        case(
            "dispense and order",
            "needs_confirmation",
            chart(dispense(TEMOZOLOMIDE), order(TEMOZOLOMIDE)),
        ),
        *(
            case(
                f"procedure {status}",
                expected,
                chart(procedure("399315003", "2019-01-01", status=status, usedCode=[TEMOZOLOMIDE])),
            )
            for status, expected in [
                ("completed", "not_met permanent"),
                ("stopped", "not_met permanent"),
                ("preparation", "needs_confirmation"),
                ("not-done", "met by absence"),
            ]
        ),
        case("at any time: undated", "not_met permanent", chart(given(TEMOZOLOMIDE, None))),
        case("at any time: a year", "not_met permanent", chart(given(TEMOZOLOMIDE, "1999"))),
        case("after the day", "met by absence", chart(given(TEMOZOLOMIDE, "2026-11-24"))),
        case("on the day", "not_met permanent", chart(given(TEMOZOLOMIDE, "2026-11-23"))),
        *(
            case(
                f"detail 22: {atc} is one",
                "not_met permanent",
                chart(given(coded(atc, ATC), "2019-01-01")),
            )
            for atc in ("L01AX03", "L01AX04", "L01AD04", "L01AA01", "L01AZ99")
        ),
        *(
            case(f"detail 22: {name} is none", "met by absence", chart(given(drug, "2019-01-01")))
            for name, drug in [
                ("cisplatin", coded("L01XA01", ATC)),
                ("oxaliplatin", coded("32592", RXNORM)),
                ("trabectedin", coded("1718589", RXNORM)),
                ("procarbazine", coded("314167", RXNORM)),
            ]
        ),
        case(
            "detail 22: implant",
            "needs_confirmation",
            chart(given(coded("309013", RXNORM), "2019")),
        ),
        case(
            "detail 22: gel", "needs_confirmation", chart(given(coded("1437711", RXNORM), "2019"))
        ),
        case("by words", "needs_confirmation", chart(given(words("TEMODAR 100 mg caps"), "2019"))),
        case(
            "detail 35: by display",
            "needs_confirmation",
            chart(
                given(
                    {"coding": [{"system": "urn:local", "code": "7", "display": "Temozolomide"}]},
                    "2019",
                )
            ),
        ),
        case("whole words only", "met by absence", chart(given(words("Temodarine"), "2019"))),
        case(
            "a mapped code outweighs words",
            "met by absence",
            chart(given(OCTREOTIDE | {"text": "temozolomide"}, "2019")),
        ),
        case(
            "given beside words",
            "not_met permanent",
            chart(given(words("Temodar"), "2019"), given(TEMOZOLOMIDE, "2019")),
        ),
        case(
            "detail 1: unknown modifier", "unknown", chart(given(TEMOZOLOMIDE, "2019", **STRANGE))
        ),
        case(
            "unknown modifier beside a plain record",
            "not_met permanent",
            chart(given(TEMOZOLOMIDE, "2019", **STRANGE), given(TEMOZOLOMIDE, "2020")),
        ),
        case("unknown rules", "unknown", chart(given(TEMOZOLOMIDE, "2019", implicitRules="urn:x"))),
        case("modifier on an order", "unknown", chart(order(TEMOZOLOMIDE, **STRANGE))),
        case("no status", "unknown", chart(given(TEMOZOLOMIDE, "2019", status=None))),
        case("a Condition tells of it", "needs_confirmation", chart(condition("Z79.630"))),
        case(
            "a Condition tells of it, refuted",
            "met by absence",
            chart(condition("Z79.630", verification="refuted")),
        ),
        case(
            "a Condition beside a record of it",
            "not_met permanent",
            chart(condition("Z79.630"), given(TEMOZOLOMIDE, "2019")),
        ),
    ],
)
def test_alkylator(expected: str, content: Json, how: Json) -> None:
    """An alkylator once given excludes; ordered or in words a person must judge."""
    assert expected == verdict(screen(content, **how), "no-alkylator")


@pytest.mark.parametrize(
    CASES,
    [
        case(
            "contained",
            "needs_confirmation",
            chart(_by_reference("#m", contained=[_medication(code=TEMOZOLOMIDE)])),
        ),
        case(
            "in the Bundle",
            "needs_confirmation",
            chart(_by_reference("Medication/m"), _medication(code=TEMOZOLOMIDE)),
        ),
        case(
            "versioned reference",
            "needs_confirmation",
            chart(_by_reference("Medication/m/_history/2"), _medication(code=TEMOZOLOMIDE)),
        ),
        case(
            "ingredient by code",
            "needs_confirmation",
            chart(
                _by_reference("Medication/m"),
                _medication(**_ingredient(itemCodeableConcept=TEMOZOLOMIDE)),
            ),
        ),
        case(
            "ingredient by reference",
            "needs_confirmation",
            chart(
                _by_reference("Medication/m"),
                _medication("t", code=TEMOZOLOMIDE),
                _medication(**_ingredient(itemReference={"reference": "Medication/t"})),
            ),
        ),
        case("detail 5: contained and missing", "unknown", chart(_by_reference("#gone"))),
        case("detail 5: does not resolve", "unknown", chart(_by_reference("Medication/gone"))),
        case(
            "detail 5: on another server",
            "unknown",
            chart(
                _by_reference("https://elsewhere.test/fhir/Medication/m"),
                _medication(code=OCTREOTIDE),
            ),
        ),
        case(
            "detail 5: ingredient does not resolve",
            "unknown",
            chart(
                _by_reference("Medication/m"),
                _medication(code=words("Kit 5"), **_ingredient(itemReference={"reference": "#t"})),
            ),
        ),
        case(
            "detail 5: ingredient does not resolve beside another",
            "unknown",
            chart(
                _by_reference("Medication/m"),
                _medication(
                    ingredient=[
                        {"itemCodeableConcept": OCTREOTIDE},
                        {"itemReference": {"reference": "Medication/gone"}},
                    ]
                ),
            ),
        ),
        case(
            "ingredient does not resolve, the product's code is known",
            "met by absence",
            chart(
                _by_reference("Medication/m"),
                _medication(code=OCTREOTIDE, **_ingredient(itemReference={"reference": "#t"})),
            ),
        ),
        case(
            "detail 5: a circle of references",
            "unknown",
            chart(
                _by_reference("Medication/m"),
                _medication(**_ingredient(itemReference={"reference": "Medication/m"})),
            ),
        ),
        case(
            "detail 5: no drug at all",
            "unknown",
            chart(order(TEMOZOLOMIDE, medicationCodeableConcept=None)),
        ),
        case(
            "detail 5: broken",
            "unknown",
            chart(order(TEMOZOLOMIDE, medicationCodeableConcept="temozolomide")),
        ),
        case(
            "detail 5: of no exposure",
            "met by absence",
            chart(_by_reference("#gone", status="cancelled")),
        ),
        case(
            "detail 5: evidence stands",
            "not_met permanent",
            chart(_by_reference("#gone"), given(TEMOZOLOMIDE, "2019")),
        ),
        case(
            "shape of another FHIR version",
            "unknown",
            chart(
                order(
                    TEMOZOLOMIDE,
                    medicationCodeableConcept=None,
                    medication={"concept": TEMOZOLOMIDE},
                )
            ),
        ),
        case(
            "Medication with an unknown modifier",
            "unknown",
            chart(_by_reference("Medication/m"), _medication(code=TEMOZOLOMIDE, **STRANGE)),
        ),
    ],
)
def test_the_drug_behind_a_reference(expected: str, content: Json, how: Json) -> None:
    """A drug that cannot be read may be any drug."""
    assert expected == verdict(screen(content, **how), "no-alkylator")


@pytest.mark.parametrize(
    "criterion",
    ["everolimus-limit", "no-alpha-therapy", "no-alkylator", "no-intervening-therapy"],
)
def test_a_drug_that_cannot_be_read_leaves_every_drug_criterion_open(criterion: str) -> None:
    """Detail 5: what would be met by absence is unknown, and the resource is named."""
    found = screen(chart(_by_reference("#gone", id_="lost")))

    assert "unknown" == verdict(found, criterion)
    assert any(one.reference == "MedicationRequest/lost" for one in found.data_issues)


def test_a_readable_drug_with_an_unreadable_date_concerns_its_own_criteria_only() -> None:
    """Detail 5: only that drug's criteria are open."""
    found = screen(chart(given(EVEROLIMUS, "soon")))

    assert "met by absence" == verdict(found, "no-alkylator")
    assert "unknown" == verdict(found, "no-intervening-therapy")
    assert "unknown" == verdict(found, "everolimus-limit")


def test_an_unknown_modifier_leaves_only_its_own_drugs_open() -> None:
    """What it might have decided: it may stand for any number of days."""
    found = screen(chart(given(EVEROLIMUS, days_ago(400), **STRANGE)))

    assert "unknown" == verdict(found, "everolimus-limit")
    assert "met by absence" == verdict(found, "no-alkylator")


def test_centuries_on_a_drug_are_counted_at_once() -> None:
    """By their ends, not day by day."""
    started = time.process_time()
    long = [statement(EVEROLIMUS, f"{year}-01-01", "2020-06-30") for year in range(1900, 2000)]
    found = verdict(screen(chart(*long)), "everolimus-limit")

    assert "not_met permanent" == found
    assert time.process_time() - started < 5


def test_drugs_with_no_known_code_are_listed() -> None:
    """A drug that no table knows is named once, and never taken for another."""
    found = screen(chart(order(words("Xylofoo 5 mg")), order(words("Xylofoo 5 mg"))))

    assert ("Xylofoo 5 mg",) == found.unmapped_drugs
    assert "met by absence" == verdict(found, "no-alkylator")


@pytest.mark.parametrize(
    CASES,
    [
        case("none", "met by absence", chart()),
        case("radium-223", "not_met permanent", chart(given(RADIUM, "2018-01-01"))),
        case("radium-223 ordered", "needs_confirmation", chart(order(RADIUM))),
        *(
            case(f"in words: {text}", "needs_confirmation", chart(given(words(text), "2018")))
            for text in (
                "Ac-225 DOTATATE",
                "225Ac-PSMA",
                "Pb-212 DOTAMTATE",
                "Bi-213",
                "Xofigo",
                "RYZ101",
            )
        ),
        case("PRRT is none", "met by absence", chart(given(coded("V10XX04", ATC), "2021-01-11"))),
        case("after the day", "met by absence", chart(given(RADIUM, "2026-11-24"))),
        case("unknown modifier", "unknown", chart(given(RADIUM, "2018", **STRANGE))),
    ],
)
def test_alpha_therapy(expected: str, content: Json, how: Json) -> None:
    """Any targeted alpha therapy excludes."""
    assert expected == verdict(screen(content, **how), "no-alpha-therapy")


def days(count: Any, *, start: Any = 400, **elements: Any) -> Any:
    """A statement of so many days of everolimus, both ends included."""
    return statement(EVEROLIMUS, days_ago(start), days_ago(start - count + 1), **elements)


@pytest.mark.parametrize(
    CASES,
    [
        case("none", "met by absence", chart()),
        case("31 days", "met", chart(days(31))),
        case("32 days", "not_met permanent", chart(days(32))),
        case("the union of overlapping periods", "met", chart(days(31), days(20, start=399))),
        case("two periods with a gap", "not_met permanent", chart(days(20), days(12, start=300))),
        case("two periods of 31 days in all", "met", chart(days(20), days(11, start=300))),
        case("the day both share counts once", "met", chart(days(20), days(12, start=381))),
        case(
            "single administrations count a day each",
            "met",
            chart(*(given(EVEROLIMUS, days_ago(400 - n)) for n in range(31))),
        ),
        case(
            "32 administrations",
            "not_met permanent",
            chart(*(given(EVEROLIMUS, days_ago(400 - n)) for n in range(32))),
        ),
        case(
            "active since 31 days",
            "met",
            chart(statement(EVEROLIMUS, days_ago(30), status="active")),
        ),
        case(
            "active since 32 days",
            "not_met permanent",
            chart(statement(EVEROLIMUS, days_ago(31), status="active")),
        ),
        case(
            "detail 40: end unknown, started 31 days ago",
            "met",
            chart(statement(EVEROLIMUS, days_ago(30))),
        ),
        case(
            "detail 40: no start but an end",
            "needs_confirmation",
            chart(statement(EVEROLIMUS, None, days_ago(300))),
        ),
        case(
            "detail 40: more than 31 days beside one with no start",
            "not_met permanent",
            chart(statement(EVEROLIMUS, None, days_ago(300)), days(32)),
        ),
        case(
            "detail 40: end unknown, started before",
            "needs_confirmation",
            chart(statement(EVEROLIMUS, days_ago(31))),
        ),
        case(
            "detail 35: a statement with one date has no known end",
            "needs_confirmation",
            chart(statement(EVEROLIMUS, effectiveDateTime=days_ago(40))),
        ),
        case("detail 40: no start", "needs_confirmation", chart(statement(EVEROLIMUS))),
        case(
            "detail 40: few days plus an order",
            "needs_confirmation",
            chart(days(5), order(EVEROLIMUS)),
        ),
        case(
            "detail 40: few days plus words",
            "needs_confirmation",
            chart(days(5), given(words("Afinitor"), days_ago(300))),
        ),
        case(
            "detail 40: too many days whatever else",
            "not_met permanent",
            chart(days(32), order(EVEROLIMUS), statement(ZORTRESS, days_ago(50), days_ago(40))),
        ),
        case("ordered only", "needs_confirmation", chart(order(EVEROLIMUS))),
        case(
            "transplant product",
            "needs_confirmation",
            chart(statement(ZORTRESS, days_ago(50), days_ago(40))),
        ),
        case(
            "transplant product, long",
            "needs_confirmation",
            chart(statement(ZORTRESS, days_ago(500), days_ago(40))),
        ),
        case(
            "detail 23: bare everolimus counts as oncology",
            "not_met permanent",
            chart(statement(coded("141704", RXNORM), days_ago(100), days_ago(50))),
        ),
        case(
            "by ATC",
            "not_met permanent",
            chart(statement(coded("L01EG02", ATC), days_ago(100), days_ago(50))),
        ),
        case(
            "a period that runs beyond the day is cut off",
            "met",
            chart(statement(EVEROLIMUS, days_ago(30), "2027-03-01")),
        ),
        case(
            "a period that ends before it starts says nothing",
            "unknown",
            chart(statement(EVEROLIMUS, days_ago(30), days_ago(300))),
        ),
        case("a month surely short enough", "met", chart(given(EVEROLIMUS, "2025-03"))),
        case(
            "start vague: on either side of 31 days",
            "unknown",
            chart(statement(EVEROLIMUS, "2025-03", "2025-04-10")),
        ),
        case(
            "start vague: surely too long",
            "not_met permanent",
            chart(statement(EVEROLIMUS, "2025-03", "2025-06-10")),
        ),
        case("not taken", "met by absence", chart(days(100, status="not-taken"))),
        case("unknown modifier", "unknown", chart(days(100, **STRANGE))),
        case("starts after the day", "met by absence", chart(statement(EVEROLIMUS, "2026-11-24"))),
    ],
)
def test_everolimus(expected: str, content: Json, how: Json) -> None:
    """At most 31 days in all."""
    assert expected == verdict(screen(content, **how), "everolimus-limit")


def test_everolimus_that_goes_on_reaches_the_limit() -> None:
    """The last day on which it still holds is told."""
    content = chart(statement(EVEROLIMUS, days_ago(10), status="active"))

    assert days_ago(-20) == result(screen(content), "everolimus-limit").valid_through.isoformat()


@pytest.mark.parametrize(
    ("resources", "words_in"),
    [
        ((), "Not in use"),
        ((statement(OCTREOTIDE, "2024-01-01", status="active"),), "Arm 2"),
        ((order(OCTREOTIDE),), "Arm 2"),
    ],
)
def test_somatostatin_analogues_are_no_obstacle(resources: tuple[Json, ...], words_in: Any) -> None:
    """Always met; what is in use is told."""
    found = result(screen(chart(*resources)), "somatostatin-analogue")

    assert "met" == found.status
    assert words_in in found.summary


def test_drugs_of_no_concern_leave_every_drug_criterion_alone() -> None:
    """Steroids and somatostatin analogues are neither everolimus, alpha therapy nor alkylators."""
    found = screen(chart(given(DEXAMETHASONE, "2026-01-01"), given(OCTREOTIDE, "2026-01-01")))

    for criterion in (
        "everolimus-limit",
        "no-alpha-therapy",
        "no-alkylator",
        "no-intervening-therapy",
    ):
        assert "met by absence" == verdict(found, criterion)


def test_a_drug_of_another_patient_is_dropped_and_reported() -> None:
    """Every resource must belong to the patient asked about."""
    theirs = given(TEMOZOLOMIDE, "2019", subject={"reference": "Patient/bob"}, id_="theirs")
    found = screen(chart(theirs))

    assert "met by absence" == verdict(found, "no-alkylator")
    assert "MedicationAdministration/theirs" in {one.reference for one in found.data_issues}


def test_a_drug_of_nobody_is_dropped_and_reported() -> None:
    """Detail 4: without a subject it is dropped, like another patient's."""
    nobodys = resource(
        "MedicationAdministration",
        "nobodys",
        status="completed",
        medicationCodeableConcept=TEMOZOLOMIDE,
        subject=None,
    )
    found = screen(bundle(patient(), *everything(), nobodys))

    assert "met by absence" == verdict(found, "no-alkylator")
    assert "MedicationAdministration/nobodys" in {one.reference for one in found.data_issues}


def test_sunitinib_is_no_alkylator() -> None:
    """Another antitumour drug concerns another sentence."""
    found = screen(chart(given(SUNITINIB, "2026-01-01")))

    assert "met by absence" == verdict(found, "no-alkylator")
    assert "not_met permanent" == verdict(found, "no-intervening-therapy")
