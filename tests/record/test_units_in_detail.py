"""Units to the letter: which element decides, and how numbers are shown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cds_service.record.tables import load_tables
from cds_service.record.units import Converted, UnitBook, UnitProblem

UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"


@pytest.fixture(scope="module")
def book() -> UnitBook:
    """The shipped tables."""
    return UnitBook(load_tables())


@pytest.mark.parametrize(
    ("unit", "code", "system", "problem"),
    [
        # A code of another system is no unit, and stands in for none.
        (None, "g/dL", SNOMED, "no-unit"),
        (None, "g/dL", "urn:oid:1.2.3", "no-unit"),
        ("", " ", UCUM, "no-unit"),
        ("glucose", None, None, "unknown-unit"),
        ("glucose", "g/dL", SNOMED, "unknown-unit"),
        # The code decides under UCUM, and what stands beside it must not say otherwise.
        ("g/L", "g/dL", UCUM, "unit-disagreement"),
        ("mmol/L", "g/dL", UCUM, "unit-disagreement"),
    ],
)
def test_what_decides_about_a_unit(
    book: UnitBook, unit: str | None, code: str | None, system: str | None, problem: str
) -> None:
    """The code where the system is UCUM, else the unit, and the code only without a system."""
    found = book.read("hemoglobin", "mass", Decimal(9), unit, code, system)

    assert isinstance(found, UnitProblem)
    assert problem == found.code


@pytest.mark.parametrize(("property_", "usable"), [("mass", False), ("moles", True), ("", True)])
def test_the_code_s_property_decides_at_every_reading(
    book: UnitBook,
    property_: str,
    usable: bool,  # noqa: FBT001
) -> None:
    """The first time and again: what was found for one property is not that of another."""
    for _ in range(2):
        found = book.read("hemoglobin", property_, Decimal(7), "mmol/L", "mmol/L", UCUM)

        assert usable == isinstance(found, Converted)


def test_no_unit_beside_a_code_is_no_disagreement(book: UnitBook) -> None:
    """Also where a score without a unit would have one: the code alone is what is wrong."""
    found = book.read("ecog_score", "", Decimal(1), None, "%", UCUM)

    assert isinstance(found, UnitProblem)
    assert "wrong-dimension" == found.code


def test_a_long_unit_is_cut_in_the_message(book: UnitBook) -> None:
    """Forty characters tell which it was."""
    found = book.read("hemoglobin", "mass", Decimal(7), "x" * 60, None, None)

    assert isinstance(found, UnitProblem)
    assert "x" * 40 in found.message
    assert "x" * 41 not in found.message


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1E+20", "100000000000000000000 g/L"),
        ("1E+21", "1E+21 g/L"),
        ("1E-20", "0.00000000000000000001 g/L"),
        ("1E-21", "1E-21 g/L"),
        ("100.50", "100.5 g/L"),
        ("NaN", "NaN g/L"),
    ],
)
def test_a_number_is_plain_up_to_twenty_places(book: UnitBook, value: str, shown: str) -> None:
    """Longer ones would fill pages."""
    assert shown == book.shown("hemoglobin", Decimal(value))


@pytest.mark.parametrize(
    ("quantity", "value", "unit", "place"),
    [
        ("bilirubin", "0.7", "mg/dL", 0),
        ("bilirubin", "0.70", "mg/dL", -1),
        ("bilirubin", "1", "mg/dL", 0),
        ("bilirubin", "20", "mg/dL", None),
        ("creatinine", "0.90", "mg/dL", -1),
        ("creatinine", "1.1", "mg/dL", 0),
        ("creatinine", "0.1", "mg/dL", -1),
        ("hemoglobin", "7.3", "mmol/L", 0),
        ("hemoglobin", "8", "mmol/L", 0),
        ("hemoglobin", "12.15", "g/dL", None),
        ("hemoglobin", "118.25", "g/L", None),
        ("platelet_count", "150500", "/uL", None),
        ("bilirubin", "0", "mg/dL", None),
        ("bilirubin", "1E+1", "mg/dL", None),
    ],
)
def test_the_last_digit_that_was_measured(
    book: UnitBook, quantity: str, value: str, unit: str, place: int | None
) -> None:
    """Its place in the converted value, where converting made finer ones.

    Two digits always stay, and whole units.
    """
    found = book.read(quantity, "", Decimal(value), unit, None, None)

    assert isinstance(found, Converted)
    assert place == found.place
