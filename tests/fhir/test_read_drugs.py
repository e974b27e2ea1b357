"""Drugs: which one, how surely, from when to when; what cannot be read is never "not taken"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    EVEROLIMUS,
    RXNORM,
    SNOMED,
    STRANGE,
    TEMOZOLOMIDE,
    UCUM,
    chart,
    coded,
    cycle,
    dispense,
    given,
    issues,
    order,
    resource,
    result,
    screen,
    statement,
    verdict,
    words,
)

NOT_MET = "not_met permanent"
CLEAR = "met by absence"
ASK = "needs_confirmation"
UNKNOWN = "unknown"
ASPIRIN = coded("1191", RXNORM, text="Aspirin 81 mg")


def by_reference(reference: Any, *, contained: Any = None, **elements: Any) -> dict[str, Any]:
    """A statement whose drug is told elsewhere."""
    return statement(
        None,
        "2020-01-01",
        id_="s",
        medicationReference={"reference": reference} if isinstance(reference, str) else reference,
        contained=contained,
        **elements,
    )


def medication(
    id_: str = "m", code: Any = None, *ingredients: Any, **elements: Any
) -> dict[str, Any]:
    """A Medication; an ingredient is a reference, or a CodeableConcept."""
    parts = [
        {"itemReference": {"reference": one}}
        if isinstance(one, str)
        else {"itemCodeableConcept": one}
        for one in ingredients
    ]
    held = {"resourceType": "Medication", "id": id_, "code": code, "ingredient": parts} | elements
    return {name: value for name, value in held.items() if value}


# --- Status, intent ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "statuses", "expected"),
    [
        ("administration", "completed in-progress stopped", NOT_MET),
        ("administration", "on-hold unknown", ASK),
        ("administration", "not-done entered-in-error", CLEAR),
        ("statement", "active completed stopped on-hold", NOT_MET),
        ("statement", "intended unknown", ASK),
        ("statement", "not-taken entered-in-error", CLEAR),
        ("order", "active completed stopped on-hold", ASK),
        ("order", "draft cancelled unknown entered-in-error", CLEAR),
        ("dispense", "completed", ASK),
        (
            "dispense",
            "preparation in-progress cancelled on-hold stopped declined unknown entered-in-error",
            CLEAR,
        ),
    ],
)
def test_the_status_says_how_surely_a_drug_was_taken(
    kind: str, statuses: str, expected: str
) -> None:
    """Given, ordered, or neither."""
    for status in statuses.split():
        assert expected == verdict(screen(chart(_use(kind, status))), "no-alkylator"), status


def _use(kind: str, status: Any) -> dict[str, Any]:
    make: Any = {
        "administration": given, "statement": statement, "order": order, "dispense": dispense,
    }[kind]  # fmt: skip
    return make(TEMOZOLOMIDE, "2020-01-01", status=status, id_="x")


@pytest.mark.parametrize("status", [None, "", "COMPLETED", "recorded", "?", 5, [], {}])
@pytest.mark.parametrize("kind", ["administration", "statement", "order", "dispense"])
def test_a_status_that_is_none_leaves_it_open(kind: str, status: Any) -> None:
    """Missing, unreadable, or of another FHIR version: neither taken nor not taken."""
    found = screen(chart(_use(kind, status)))

    assert UNKNOWN == verdict(found, "no-alkylator")
    assert CLEAR == verdict(found, "no-alpha-therapy")


@pytest.mark.parametrize(
    ("expected", "elements"),
    [
        (CLEAR, {"doNotPerform": True}),
        (ASK, {"doNotPerform": False}),
        (UNKNOWN, {"doNotPerform": "no"}),
        (CLEAR, {"intent": "proposal"}),
        (CLEAR, {"intent": "plan"}),
        (CLEAR, {"intent": "option"}),
        (ASK, {"intent": "instance-order"}),
        (ASK, {"intent": None}),
        (UNKNOWN, {"intent": 5}),
    ],
)
def test_what_is_no_order(expected: str, elements: dict[str, Any]) -> None:
    """An order not to give, and what nobody has decided yet."""
    assert expected == verdict(screen(chart(order(TEMOZOLOMIDE, **elements))), "no-alkylator")


@pytest.mark.parametrize(
    "elements",
    [
        STRANGE, {"modifierExtension": 5}, {"implicitRules": "https://rules.test"},
        {"dosage": [STRANGE]}, {"wasNotTaken": True}, {"taken": "n"}, {"notGiven": True},
    ],
)  # fmt: skip
def test_what_may_turn_the_meaning_around_leaves_it_open(elements: dict[str, Any]) -> None:
    """Modifiers, on the resource and on its dosage, and the "not taken" of other versions."""
    found = screen(chart(statement(TEMOZOLOMIDE, "2020-01-01", **elements)))

    assert UNKNOWN == verdict(found, "no-alkylator")
    assert CLEAR == verdict(found, "no-alpha-therapy")


# --- Which drug --------------------------------------------------------------------------------

SHAPES: dict[str, Any] = {
    "nothing": {},
    "R5": {"medication": {"concept": TEMOZOLOMIDE}},
    "an empty concept": {"medicationCodeableConcept": {}},
    "no coding": {"medicationCodeableConcept": {"coding": []}},
    "a coding with no code": {"medicationCodeableConcept": {"coding": [{"system": RXNORM}]}},
    "blank": {"medicationCodeableConcept": {"coding": [{"code": ""}], "text": ""}},
    "a text": {"medicationCodeableConcept": "temozolomide"},
    "a list": {"medicationCodeableConcept": [TEMOZOLOMIDE]},
    "a broken code": {"medicationCodeableConcept": {"coding": [{"code": 37776}]}},
    "a reference to nothing": {"medicationReference": {"reference": "Medication/none"}},
    "a contained one that is missing": {"medicationReference": {"reference": "#m"}},
    "a display only": {"medicationReference": {"display": "temozolomide"}},
    "no reference": {"medicationReference": {}},
    "another server's": {"medicationReference": {"reference": "https://b.test/Medication/m"}},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", [statement, given, order, dispense])
def test_a_drug_that_cannot_be_read_may_be_any(shape: str, make: Any) -> None:
    """So no drug is known not to have been taken; what was found of others stays."""
    drug = make(None, "2020-01-01", id_="x", **SHAPES[shape])

    found = screen(chart(drug, medication("m", ASPIRIN, id="other")))

    assert UNKNOWN == verdict(found, "no-alkylator")
    assert UNKNOWN == verdict(found, "no-alpha-therapy")
    assert "met" == verdict(found, "prrt-exposure")
    assert ("unreadable", f"{drug['resourceType']}/x") in issues(found)


NOT_FOUND = "the drug that it refers to could not be found"
NO_DRUG = "which drug it is cannot be read"


@pytest.mark.parametrize(
    ("shape", "reason", "detail"),
    [
        ("a reference to nothing", NOT_FOUND, ": Medication/none"),
        ("a contained one that is missing", NOT_FOUND, ": #m"),
        ("another server's", NOT_FOUND, ": https://b.test/Medication/m"),
        ("a display only", NO_DRUG, ""),
        ("no reference", NO_DRUG, ""),
        ("a coding with no code", NO_DRUG, ""),
        ("an empty concept", NO_DRUG, ""),
    ],
)
def test_a_drug_that_is_not_there_is_told_from_one_that_cannot_be_read(
    shape: str, reason: str, detail: str
) -> None:
    """By the data issue, with what was looked for, and by what it keeps from being decided."""
    found = screen(chart(order(None, id_="x", **SHAPES[shape])))

    assert [f"{reason}{detail}"] == [one.message for one in found.data_issues]
    assert (
        f"Cannot be decided because of MedicationRequest/x ({reason})."
        == result(found, "no-alkylator").summary
    )


def test_drugs_that_are_not_there_share_their_reason() -> None:
    """A chart may have hundreds of them."""
    missing = [
        order(None, id_=id_, medicationReference={"reference": f"Medication/{id_}"})
        for id_ in ("a", "b")
    ]
    unreadable = given(None, None, id_="c")

    assert (
        f"Cannot be decided because of MedicationAdministration/c ({NO_DRUG}); "
        f"MedicationRequest/a, MedicationRequest/b ({NOT_FOUND})."
    ) == result(screen(chart(*missing, unreadable)), "no-alkylator").summary


def test_a_reference_of_any_length_is_cut() -> None:
    """Nobody's is as long."""
    named = {"reference": f"Medication/{'x' * 10_000}"}
    found = screen(chart(order(None, id_="x", medicationReference=named)))

    assert [len(NOT_FOUND) + 2 + 200] == [len(one.message) for one in found.data_issues]


def test_a_medication_that_cannot_be_read_was_found() -> None:
    """It is there, and does not say which drug it is."""
    drug = order(None, id_="x", medicationReference={"reference": "Medication/m"})
    found = screen(chart(drug, medication("m", {})))

    assert NO_DRUG in {one.message for one in found.data_issues}


@pytest.mark.parametrize("kind", ["administration", "statement", "order", "dispense"])
@pytest.mark.parametrize(
    "elements", [STRANGE, {"implicitRules": "x"}, {"status": "x"}, {"subject": 5}]
)
def test_what_is_not_understood_is_reported(kind: str, elements: dict[str, Any]) -> None:
    """Of each resource that names a drug."""
    found = screen(chart(_use(kind, "completed") | elements))

    assert "modifier" in {code for code, reference in issues(found) if reference.endswith("/x")}


def test_a_drug_s_own_record_that_is_not_understood_is_reported() -> None:
    """With the resource that names it."""
    drug = by_reference("#m", contained=[medication("m", TEMOZOLOMIDE, **STRANGE)])

    assert "modifier" in {code for code, _ in issues(screen(chart(drug)))}


def test_an_end_that_cannot_be_read_is_reported() -> None:
    """Beside a start that can."""
    found = screen(chart(statement(TEMOZOLOMIDE, "2020-01-01", "later", id_="x")))

    assert {("unreadable-date", "MedicationStatement/x")} == issues(found)


def test_a_drug_with_no_known_code_is_listed() -> None:
    """It is none of those asked for, as far as the tables know, and it is named."""
    found = screen(chart(statement(coded("x-1", "https://local.test", text="Frobnicol 5 mg"))))

    assert CLEAR == verdict(found, "no-alkylator")
    assert ("Frobnicol 5 mg",) == found.unmapped_drugs


def test_the_display_of_a_code_names_a_drug_as_its_text_does() -> None:
    """By words only, so a person has to look."""
    drug = {"coding": [{"system": "x", "code": "y", "display": "Temodal 100 mg capsules"}]}

    assert ASK == verdict(screen(chart(statement(drug, "2020-01-01"))), "no-alkylator")


@pytest.mark.parametrize(
    "reference",
    ["Medication/m", "Medication/m/_history/3", "https://ehr.test/fhir/Medication/m"],
)
def test_a_drug_is_found_where_it_is_told(reference: str) -> None:
    """Relative, with a version, absolute on the server of the chart."""
    found = screen(chart(by_reference(reference), medication("m", TEMOZOLOMIDE)))

    assert NOT_MET == verdict(found, "no-alkylator")


def test_a_contained_drug_is_found() -> None:
    """Among others."""
    inside = [medication("a", ASPIRIN), medication("m", TEMOZOLOMIDE)]

    found = screen(chart(by_reference("#m", contained=inside)))

    assert NOT_MET == verdict(found, "no-alkylator")


def test_a_contained_drug_of_another_resource_is_not() -> None:
    """``#m`` of one resource is not ``#m`` of the next."""
    first = by_reference("#m", contained=[medication("m", TEMOZOLOMIDE)]) | {"id": "first"}

    found = screen(chart(first | {"status": "not-taken"}, by_reference("#m")))

    assert UNKNOWN == verdict(found, "no-alkylator")


def test_two_drugs_of_one_id_are_not_told_apart() -> None:
    """Never the harmless one of the two."""
    drugs = chart(by_reference("Medication/m"))
    drugs["entry"] += [{"resource": medication("m", code)} for code in (TEMOZOLOMIDE, ASPIRIN)]

    assert UNKNOWN == verdict(screen(drugs), "no-alkylator")


# --- Ingredients -------------------------------------------------------------------------------

MIX = words("infusion, pharmacy")


@pytest.mark.parametrize(
    ("expected", "medications"),
    [
        pytest.param(NOT_MET, [medication("m", MIX, ASPIRIN, TEMOZOLOMIDE)], id="coded"),
        pytest.param(
            NOT_MET,
            [medication("m", MIX, "Medication/i"), medication("i", TEMOZOLOMIDE)],
            id="named",
        ),
        pytest.param(
            NOT_MET,
            [medication("m", MIX, "#i", contained=[medication("i", TEMOZOLOMIDE)])],
            id="contained",
        ),
        pytest.param(
            NOT_MET,
            [
                medication("m", MIX, "Medication/i"),
                medication("i", None, "Medication/j"),
                medication("j", TEMOZOLOMIDE),
            ],
            id="of an ingredient",
        ),
        pytest.param(CLEAR, [medication("m", MIX, ASPIRIN)], id="harmless"),
        pytest.param(UNKNOWN, [medication("m", MIX, "Medication/none")], id="missing"),
        pytest.param(UNKNOWN, [medication("m", MIX, {})], id="empty"),
        pytest.param(UNKNOWN, [medication("m", MIX, ingredient=[{"item": {}}])], id="R5"),
        pytest.param(UNKNOWN, [medication("m", MIX, ingredient=5)], id="unreadable"),
        pytest.param(UNKNOWN, [medication("m", MIX, ASPIRIN, "Medication/m")], id="itself"),
        pytest.param(
            UNKNOWN,
            [medication("m", MIX, "Medication/i"), medication("i", MIX, "Medication/m")],
            id="circle",
        ),
        pytest.param(UNKNOWN, [medication("m")], id="nothing"),
        pytest.param(UNKNOWN, [medication("m", 5)], id="broken code"),
        pytest.param(NOT_MET, [medication("m", TEMOZOLOMIDE, "Medication/none")], id="product"),
        pytest.param(UNKNOWN, [medication("m", TEMOZOLOMIDE, **STRANGE)], id="modifier"),
        pytest.param(
            UNKNOWN, [medication("m", TEMOZOLOMIDE, status="entered-in-error")], id="error"
        ),
        pytest.param(UNKNOWN, [medication("m", TEMOZOLOMIDE, status=5)], id="status"),
        pytest.param(
            UNKNOWN,
            [medication("m", MIX, ingredient=[{"itemCodeableConcept": TEMOZOLOMIDE} | STRANGE])],
            id="modified ingredient",
        ),
        pytest.param(
            UNKNOWN,
            [medication("m", MIX, "Medication/i"), medication("i", TEMOZOLOMIDE, **STRANGE)],
            id="ingredient with a modifier",
        ),
    ],
)  # fmt: skip
def test_a_product_is_what_is_in_it(expected: str, medications: list[dict[str, Any]]) -> None:
    """As far as every ingredient can be followed."""
    found = screen(chart(by_reference("Medication/m"), *medications))

    assert expected == verdict(found, "no-alkylator")


def test_a_net_of_ingredients_is_followed_once() -> None:
    """A hundred products that are each made of all hundred come to an end."""
    names = [f"m{number}" for number in range(100)]
    net = [medication(one, MIX, *(f"Medication/{name}" for name in names)) for one in names]

    found = screen(chart(by_reference("Medication/m0"), *net))

    assert UNKNOWN == verdict(found, "no-alkylator")


# --- When --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "elements"),
    [
        ("met", {"effectivePeriod": {"start": "2022-01-01", "end": "2022-01-31"}}),
        (NOT_MET, {"effectivePeriod": {"start": "2022-01-01", "end": "2022-02-01"}}),
        (UNKNOWN, {"effectivePeriod": {"start": "2022-01-01", "end": "soon"}}),
        (UNKNOWN, {"effectivePeriod": {"start": "soon", "end": "2022-01-31"}}),
        (UNKNOWN, {"effectivePeriod": {"start": 5, "end": "2022-01-31"}}),
        (ASK, {"effectivePeriod": {"end": "2022-01-31"}}),
        (UNKNOWN, {"effectivePeriod": {"start": "2022-02-01", "end": "2022-01-01"}}),
        (UNKNOWN, {"effectivePeriod": {"start": "2021-12-20", "end": "2022-01"}}),
        (ASK, {"effectivePeriod": {"start": "2022-01-01"}}),
        (ASK, {"effectivePeriod": {}}),
        (ASK, {"effectivePeriod": None}),
        (UNKNOWN, {"effectivePeriod": None, "effectiveDateTime": ""}),
        (UNKNOWN, {"effectivePeriod": None, "dateAsserted": 5}),
        (NOT_MET, {"effectivePeriod": {"start": "2022-01-01", "end": "9999-12-31"}}),
    ],
)
def test_the_days_of_a_drug(expected: str, elements: dict[str, Any]) -> None:
    """A date that cannot be read can be any day; one that is not there is asked for."""
    found = screen(chart(statement(EVEROLIMUS, **elements)))

    assert expected.partition(" ")[0] == result(found, "everolimus-limit").status


@pytest.mark.parametrize("drug", [order(EVEROLIMUS, 5), dispense(EVEROLIMUS, {})])  # type: ignore[arg-type]
def test_a_stand_in_date_that_cannot_be_read_is_not_taken_for_none(drug: dict[str, Any]) -> None:
    """It can be any day, and is reported."""
    found = screen(chart(drug))

    assert "met" != result(found, "everolimus-limit").status
    assert "unreadable-date" in {code for code, _ in issues(found)}


# --- Activity ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dose",
    [
        {"value": "7400", "unit": "MBq"}, {"value": 7400}, {"value": 7400, "unit": "mg"},
        {"value": 7.4, "unit": "MBq"}, {"value": -7400, "unit": "MBq"},
        {"value": 7400, "unit": "MBq", "comparator": "<"}, {"value": 1e30, "unit": "MBq"},
        {"value": 7400, "unit": "MBq", "system": UCUM, "code": "mCi"},
    ],
)  # fmt: skip
def test_an_activity_that_cannot_be_used_leaves_the_sum_open(dose: dict[str, Any]) -> None:
    """Two cycles, which only their activity could make enough."""
    two = [cycle("2021-01-11", 11100, id_="prrt1"), cycle("2021-03-08", None, id_="prrt2")]
    two[1]["dosage"] = {"dose": dose}

    found = screen(chart(*two, without="prrt3 prrt4"))

    assert UNKNOWN == verdict(found, "prrt-exposure")
    assert ("unusable-activity", "MedicationAdministration/prrt2") in issues(found)


def test_activity_in_curies_is_converted() -> None:
    """300 mCi are 11,100 MBq."""
    two = [
        cycle("2021-01-11", 300, "mCi", id_="prrt1"),
        cycle("2021-03-08", 11.1, "GBq", id_="prrt2"),
    ]

    assert "met" == verdict(screen(chart(*two, without="prrt3 prrt4")), "prrt-exposure")


# --- Procedures that give a drug ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "elements"),
    [
        (NOT_MET, {"status": "completed"}),
        (ASK, {"status": "preparation"}),
        (CLEAR, {"status": "not-done"}),
        (CLEAR, {"status": "unknown"}),
        (UNKNOWN, {"status": None}),
        (UNKNOWN, {"status": "done"}),
        (UNKNOWN, {"status": "completed", "notDone": True}),
        (UNKNOWN, {"status": "completed", "notPerformed": False}),
        (UNKNOWN, {"status": "completed", **STRANGE}),
        (UNKNOWN, {"status": "completed", "usedCode": 5}),
        (UNKNOWN, {"status": "completed", "usedCode": [{}], "code": None}),
    ],
)
def test_a_procedure_may_be_what_gives_a_drug(expected: str, elements: dict[str, Any]) -> None:
    """By the code of what was used."""
    held = {"code": words("infusion"), "usedCode": [TEMOZOLOMIDE]} | elements

    found = screen(chart(resource("Procedure", "x", performedDateTime="2020-01-01", **held)))

    assert expected == verdict(found, "no-alkylator")


@pytest.mark.parametrize(
    "elements",
    [
        {"performedString": "last month"}, {"performedAge": {"value": 60}}, {"performedRange": {}},
        {"occurrenceDateTime": "2026-11-01"}, {"performedPeriod": 5},
        {"performedPeriod": {"start": "2026-01-01"}}, {"performedDateTime": ""},
        {"performedPeriod": {"end": "2026-11-01"}}, {"performedDateTime": "2026"},
    ],
)  # fmt: skip
def test_an_operation_at_some_time_may_be_recent(elements: dict[str, Any]) -> None:
    """Told in words, by age, by the element of another version, or begun and not ended."""
    found = screen(
        chart(
            resource(
                "Procedure", "op", status="completed", code=coded("387713003", SNOMED), **elements
            )
        )
    )

    assert "met" != result(found, "recent-surgery").status
