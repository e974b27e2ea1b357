"""Conditions and procedures that are told in words, or under a code of the hospital's own.

A text decides nothing, as little as a provisional diagnosis does; but it is not nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import (
    SNOMED,
    Json,
    chart,
    coded,
    condition,
    days_ago,
    observation,
    procedure,
    screen,
    verdict,
    woman,
    words,
)

ASK, LATER = "needs_confirmation", "2024-01-01"
LOCAL = "https://hospital.example.org/codes"


def told(text: str) -> tuple[Json, Json]:
    """The two ways in which there are only words: no code, and a code nobody knows."""
    return words(text), {"coding": [{"system": LOCAL, "code": "4711", "display": text}]}


@pytest.mark.parametrize(
    ("criterion", "text", "expected"),
    [
        ("hiv", "HIV infection", ASK),
        ("hiv", "Screening for HIV", "not_applicable by absence"),
        ("hiv", "Hypertension", "not_applicable by absence"),
        ("brain-metastases", "Brain metastases", ASK),
        ("brain-metastases", "No evidence of brain metastases", "met by absence"),
        ("heart-failure", "Chronic heart failure", ASK),
        ("heart-failure", "Carcinoid heart disease", ASK),
        ("heart-failure", "Family history: heart failure", "met by absence"),
        ("oral-intake", "Dysphagia", ASK),
        ("oral-intake", "Short bowel syndrome", ASK),
        ("other-malignancy", "Melanoma", ASK),
    ],
)
def test_a_condition(criterion: str, text: str, expected: str) -> None:
    """It is for a person to confirm."""
    for code in told(text):
        assert expected == verdict(screen(chart(condition(code))), criterion)


@pytest.mark.parametrize(
    ("criterion", "text", "expected"),
    [
        ("breastfeeding", "Currently breastfeeding", ASK),
        ("breastfeeding", "Lactation suppression", "met by absence"),
        ("pregnancy", "Pregnancy", ASK),
    ],
)
def test_a_condition_of_a_woman(criterion: str, text: str, expected: str) -> None:
    """It is for a person to confirm."""
    for code in told(text):
        assert expected == verdict(screen(woman(condition(code))), criterion)


@pytest.mark.parametrize(
    ("criterion", "text", "on", "expected"),
    [
        ("recent-surgery", "Right hemicolectomy", days_ago(10), ASK),
        ("recent-surgery", "Right hemicolectomy", days_ago(43), "met by absence"),
        ("recent-surgery", "Blood draw", days_ago(10), "met by absence"),
        ("no-intervening-therapy", "Chemoembolization of liver", LATER, ASK),
        ("no-intervening-therapy", "Radiofrequency ablation, liver", LATER, ASK),
        ("no-intervening-therapy", "Resection of liver metastases", LATER, ASK),
        ("no-intervening-therapy", "Palliative radiotherapy", LATER, ASK),
        ("no-intervening-therapy", "Chemotherapy", LATER, ASK),
        ("no-intervening-therapy", "Planning of radiotherapy", LATER, "met by absence"),
        ("no-intervening-therapy", "Cholecystectomy", LATER, "met by absence"),
    ],
)
def test_a_procedure(criterion: str, text: str, on: Any, expected: str) -> None:
    """It is for a person to confirm."""
    for code in told(text):
        assert expected == verdict(screen(chart(procedure(code, on))), criterion)


def test_a_code_that_is_known_needs_no_words() -> None:
    """What a code says is not said again, or otherwise, by its words."""
    done = procedure(coded("82918005", SNOMED, text="PET before surgery"), days_ago(3))

    assert "met by absence" == verdict(screen(chart(done)), "recent-surgery")


@pytest.mark.parametrize(
    ("answer", "expected"), [("NYHA Class III", "not_met new_data"), ("II", "met by absence")]
)
def test_a_functional_class(answer: str, expected: str) -> None:
    """An assessment is told by the words of its code, too."""
    for code in told("NYHA functional class"):
        seen = observation("nyha", days_ago(3), valueCodeableConcept=words(answer)) | {"code": code}
        assert expected == verdict(screen(chart(seen)), "heart-failure")
