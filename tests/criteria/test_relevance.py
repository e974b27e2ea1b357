"""Whose chart is looked at at all."""

from __future__ import annotations

import pytest

from tests.charts import (
    ICD_O_3,
    LUTATHERA,
    RXNORM,
    SNOMED,
    Json,
    bundle,
    chart,
    coded,
    condition,
    cycle,
    dispense,
    given,
    issues,
    order,
    patient,
    pet,
    procedure,
    screen,
    words,
)

HISTOLOGY_NEC = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/us/mcode/StructureDefinition/"
            "mcode-histology-morphology-behavior",
            "valueCodeableConcept": coded("8246/3", ICD_O_3),
        }
    ]
}


@pytest.mark.parametrize(
    ("resources", "relevant"),
    [
        pytest.param((), False, id="nothing"),
        pytest.param((condition("C7A.011"),), True, id="a confirmed NET"),
        pytest.param((condition("C7A.092"),), True, id="a NET of another site"),
        pytest.param((condition("C7A.011", verification="provisional"),), True, id="provisional"),
        pytest.param(
            (condition("C7A.011", verification="unconfirmed"),), True, id="detail 38: unconfirmed"
        ),
        pytest.param(
            (condition("C7A.011", verification="differential"),),
            False,
            id="detail 38: differential",
        ),
        pytest.param((condition("C7A.011", verification="refuted"),), False, id="refuted"),
        pytest.param((condition("C7B.02"),), True, id="detail 21: metastasis of a NET"),
        pytest.param((condition("C7B.1"),), False, id="detail 3: Merkel cell carcinoma"),
        pytest.param((condition("D3A.012"),), True, id="detail 38: benign by name"),
        pytest.param((condition("C80.1", **HISTOLOGY_NEC),), True, id="detail 38: 8246/3"),
        pytest.param((condition("E34.00"),), False, id="detail 38: carcinoid syndrome alone"),
        pytest.param((condition("C61"),), False, id="another malignancy"),
        pytest.param((condition("Z85.060"),), False, id="history of carcinoid"),
        *(
            pytest.param((condition(words(text)),), True, id=f"detail 38: {text}")
            for text in (
                "Neuroendocrine tumor of ileum",
                "neuroendocrine tumour",
                "Neuroendocrine neoplasm",
                "Large cell neuroendocrine carcinoma",
                "Carcinoid tumor",
                "carcinoid tumour",
            )
        ),
        *(
            pytest.param((condition(words(text)),), False, id=f"detail 38: not {text}")
            for text in (
                "Neuroendocrine disorder",
                "Carcinoid syndrome",
                "Family history of carcinoid tumor",
                "Rule out neuroendocrine tumor",
            )
        ),
        pytest.param((cycle("2021-01-11"),), True, id="PRRT given"),
        pytest.param((order(LUTATHERA),), True, id="detail 21: PRRT ordered"),
        pytest.param((dispense(LUTATHERA),), True, id="detail 21: PRRT dispensed"),
        pytest.param((given(words("Lutathera"), "2021"),), True, id="detail 21: PRRT in words"),
        pytest.param(
            (procedure(words("PRRT cycle 1"), "2021"),), True, id="PRRT as a procedure in words"
        ),
        pytest.param((cycle("2021-01-11", status="entered-in-error"),), False, id="PRRT in error"),
        pytest.param((cycle("2026-11-24"),), False, id="PRRT after the day"),
        pytest.param((pet("2026-01-01"),), False, id="the diagnostic tracer"),
        pytest.param(
            (given(coded("724025002", SNOMED), "2026-01-01"),), False, id="the tracer given"
        ),
        pytest.param((given(coded("2597052", RXNORM), "2021"),), False, id="Pluvicto"),
        pytest.param(
            (condition("C7A.011", subject={"reference": "Patient/bob"}),),
            False,
            id="of another patient",
        ),
    ],
)
def test_who_is_looked_at(resources: tuple[Json, ...], *, relevant: bool) -> None:
    """A NET that is not merely considered, or PRRT of any strength."""
    found = screen(bundle(patient(), *resources))

    assert relevant == (found.overall != "not_relevant")
    assert relevant == bool(found.criteria)


UNKNOWN = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}


@pytest.mark.parametrize(
    ("person", "relevant"),
    [
        pytest.param({}, True, id="living"),
        pytest.param({"deceasedBoolean": True}, False, id="deceased"),
        pytest.param({"deceasedBoolean": False}, True, id="recorded as living"),
        pytest.param({"deceasedDateTime": "2026-11-23"}, False, id="died today"),
        pytest.param({"deceasedDateTime": "2026-11-24"}, True, id="detail 38: dated after the day"),
        pytest.param({"_deceasedDateTime": UNKNOWN}, False, id="died, nobody knows when"),
        pytest.param({"_deceasedDateTime": None}, True, id="nothing said of a death"),
        pytest.param(
            {"deceasedDateTime": "2026-11-24", "_deceasedDateTime": UNKNOWN},
            True,
            id="a time with an extension",
        ),
        pytest.param({"active": False}, False, id="inactive record"),
        pytest.param({"active": True}, True, id="active record"),
        pytest.param(
            {"link": [{"type": "replaced-by", "other": {"reference": "Patient/new"}}]},
            False,
            id="merged",
        ),
        pytest.param(
            {"link": [{"type": "replaces", "other": {"reference": "Patient/old"}}]},
            True,
            id="the surviving record",
        ),
    ],
)
def test_living_and_current(person: Json, *, relevant: bool) -> None:
    """The deceased, and records that were merged away or closed, are not looked at."""
    assert relevant == (screen(chart(person=person)).overall != "not_relevant")


def test_the_surviving_record_is_named() -> None:
    """A merge says which record to open."""
    person = {"link": [{"type": "replaced-by", "other": {"reference": "Patient/new"}}]}
    found = screen(chart(person=person))

    assert any("Patient/new" in one.message for one in found.data_issues)
    assert ("merged-patient", "Patient/anna") in issues(found)
