"""Tags and security labels of the Patient: those that can be read, of every version of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from cds_service.fhir.chart import Chart, Entry
from cds_service.fhir.tags import patient_tags

A = {"system": "urn:a", "code": "A"}
B = {"system": "urn:b", "code": "B"}


def patient(id_: str = "p1", **meta: Any) -> bytes:
    """A Patient with this ``meta``."""
    return json.dumps({"resourceType": "Patient", "id": id_, "meta": meta}).encode()


def tags(*resources: bytes, kind: str = "Patient") -> set[str]:
    """Those of a chart of ``p1``."""
    entries = tuple(Entry(msgspec.Raw(one), kind=kind) for one in resources)
    return set(patient_tags(Chart("p1", entries, {})))


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, set()),
        ({"tag": [A]}, {"urn:a|A"}),
        ({"security": [A]}, {"urn:a|A"}),
        ({"tag": [A, B], "security": [B]}, {"urn:a|A", "urn:b|B"}),
        ({"tag": [A | {"version": "1", "display": "x"}]}, {"urn:a|A"}),
        ({"tag": [{"code": "A"}, {"system": "urn:a"}, {"display": "A"}, {}]}, set()),
        ({"tag": [None, 5, "A", [A], {"system": "urn:a", "code": 5}, B]}, {"urn:b|B"}),
        ({"tag": A, "security": [B]}, {"urn:b|B"}),
        ({"tag": None, "security": None}, set()),
    ],
)
def test_of_one_patient(meta: dict[str, Any], expected: set[str]) -> None:
    """By system and code; a broken one hides no other."""
    assert expected == tags(patient(**meta))


def test_of_two_versions() -> None:
    """What one of them does not say is not sure."""
    assert {"urn:a|A"} == tags(patient(tag=[A, B]), patient(tag=[A]))
    assert set() == tags(patient(tag=[A]), patient())


@pytest.mark.parametrize(
    "resource",
    [
        patient("p2", tag=[A]),
        patient(tag=[A]).replace(b'"p1"', b"5"),
        b'{"resourceType": "Patient", "id": "p1", "meta": 5}',
        b"[5]",
        b"{",
    ],
)
def test_of_nobody(resource: bytes) -> None:
    """Neither another patient's, nor what is none."""
    assert set() == tags(resource)
    assert {"urn:a|A"} == tags(patient(tag=[A]), patient("p2", tag=[B]))


def test_of_another_type() -> None:
    """Only the Patient's count."""
    assert set() == tags(patient(tag=[A]), kind="Observation")
