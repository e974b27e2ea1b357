"""What is worked out once for many charts: the same answers, and a store that stays small."""

from __future__ import annotations

import json
from datetime import UTC
from decimal import Decimal

import pytest

from cds_service.fhir import elements
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.elements import Kinds
from cds_service.fhir.reader import Reader
from cds_service.record.amounts import ReferenceRange
from cds_service.record.codes import CodeBook
from cds_service.record.model import Result
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from tests.charts import (
    LOINC,
    STRANGE,
    Json,
    bundle,
    coded,
    lab,
    observation,
    patient,
    quantity,
    words,
)


class Work:
    """Something to work out, which counts how often it is."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> int:
        """How often, this time included."""
        self.done += 1
        return self.done


def test_the_same_question_is_worked_out_once() -> None:
    """Another one is not answered by it."""
    kinds, work = Kinds(), Work()

    assert [1, 1, 2, 1] == [kinds.once((key,), work) for key in ("a", "a", "b", "a")]


def test_prose_is_worked_out_each_time() -> None:
    """It does not recur, and would fill the store with long texts."""
    kinds, work = Kinds(), Work()
    prose = words("a word " * 400)["text"]

    assert [1, 2] == [kinds.once((prose,), work) for _ in range(2)]


def test_a_full_store_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders choose the codes, so the store is bounded; losing it costs only time."""
    monkeypatch.setattr(elements, "_MOST_KINDS", 2)
    kinds, work = Kinds(), Work()

    asked = [kinds.once((key,), work) for key in ("a", "b", "a", "c", "c", "a")]

    assert [1, 2, 1, 3, 3, 4] == asked


# --- One reader, one chart after the other -------------------------------------------------------


@pytest.fixture(scope="module")
def reader() -> Reader:
    """A reader as the service has it: one for all charts."""
    tables = load_tables()
    return Reader(CodeBook(tables), UnitBook(tables), UTC)


def read(reader: Reader, observed: Json) -> Result:
    """The one result of a chart."""
    content = json.dumps(bundle(patient(), observed)).encode()
    (found,) = reader.read(read_chart_file(content, None)).results
    return found


PLAIN = {"high": quantity(5, "g/L")}
FIVE, FIFTY = Decimal(5), Decimal(50)


@pytest.mark.parametrize(
    ("test", "unit", "limit", "expected"),
    [
        ("hemoglobin", "g/L", {"high": quantity(5, "g/dL")}, ReferenceRange(FIFTY)),
        ("hemoglobin", "g/L", {"high": quantity(50, "g/L")}, ReferenceRange(FIFTY)),
        ("hemoglobin", "g/L", {"high": quantity(5)}, ReferenceRange(FIVE)),
        ("hemoglobin", "g/dL", {"high": quantity(5)}, ReferenceRange(FIFTY)),
        ("hemoglobin", "g/L", {"low": PLAIN["high"]}, ReferenceRange(None, FIVE)),
        (
            "hemoglobin", "g/L", PLAIN | {"low": quantity(1, "g/L")},
            ReferenceRange(FIVE, Decimal(1)),
        ),
        (
            "hemoglobin", "g/L", PLAIN | {"type": coded("treatment", "x")},
            ReferenceRange(FIVE, normal=False),
        ),
        ("hemoglobin", "g/L", PLAIN | STRANGE, ReferenceRange(FIVE, doubtful=True)),
        (
            "hemoglobin", "g/L", PLAIN | {"appliesTo": [words("male")]},
            ReferenceRange(FIVE, sex="male"),
        ),
        (
            "hemoglobin", "g/L", PLAIN | {"age": {"low": {"value": 18}}},
            ReferenceRange(FIVE, age_low=Decimal(18)),
        ),
        (
            "hemoglobin", "g/L", PLAIN | {"age": {"high": {"value": 18}}},
            ReferenceRange(FIVE, age_high=Decimal(18)),
        ),
    ],
)  # fmt: skip
def test_ranges_that_differ_in_one_element_are_not_taken_for_each_other(
    reader: Reader, test: str, unit: str, limit: Json, expected: ReferenceRange
) -> None:
    """Whichever came first: each is asked for before and after the plainest one."""
    plain = lab("hemoglobin", 1, "g/L", referenceRange=[PLAIN])
    asked = lab(test, 1, unit, referenceRange=[limit])

    found = [read(reader, one).ranges for one in (asked, plain, asked)]

    assert [(expected,), (ReferenceRange(FIVE),), (expected,)] == found


def test_the_same_range_of_two_measurements_is_two_ranges(reader: Reader) -> None:
    """Each is in the unit that its measurement is compared in."""
    limit = {"high": quantity(1, "mg/dL")}
    tests = ("bilirubin", "creatinine", "bilirubin")

    found = [read(reader, lab(one, 1, "mg/dL", referenceRange=[limit])) for one in tests]

    assert found[0].ranges == found[2].ranges != found[1].ranges
    assert [one.amount and one.amount.exact for one in found] == [
        one.ranges[0].high for one in found
    ]


def test_one_code_under_two_methods_is_two_kinds(reader: Reader) -> None:
    """An assessment is recognised by the words of its method and its category, too."""
    code = coded("89247-1", LOINC)
    told = [
        {"method": words("RECIST 1.1")},
        {"category": [words("RECIST 1.1")]},
        {},
        {"method": words("RECIST 1.1")},
    ]

    found = [read(reader, observation(code, **one)).concepts for one in told]

    assert found[0] == found[1] == found[3]
    assert found[0] > found[2]
