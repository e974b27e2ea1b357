"""Decoding: one broken element never hides the rest, and is never taken for an absent one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir import views
from cds_service.fhir.decoding import decode

DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000


def observation(**elements: Any) -> bytes:
    """An Observation with a few good elements, and others."""
    held = {"resourceType": "Observation", "id": "o", "status": "final"} | elements
    return json.dumps(held).encode()


@pytest.mark.parametrize(
    ("element", "junk"),
    [
        ("code", 5), ("code", []), ("code", "718-7"), ("code", {"coding": {}}),
        ("code", {"coding": [None]}), ("code", {"coding": [{"code": 5}]}), ("subject", "Patient/1"),
        ("valueQuantity", [1]), ("valueQuantity", {"value": 1, "unit": 5}), ("valueInteger", 1.5),
        ("valueInteger", "1"), ("valueString", ["x"]), ("focus", {}), ("modifierExtension", {}),
        ("implicitRules", 1), ("effectiveDateTime", 2026), ("referenceRange", {}),
        ("interpretation", {}), ("id", 7), ("meta", []), ("contained", {}),
    ],
)  # fmt: skip
def test_a_broken_element_is_named_and_the_rest_is_read(element: str, junk: Any) -> None:
    """The status, which is good, stays."""
    found = decode(observation(**{element: junk}))

    assert {element} == found.broken
    assert isinstance(found.view, views.ObservationView)
    assert "final" == found.view.status


@pytest.mark.parametrize("junk", [None, [], {}])
def test_null_and_empty_are_no_break(junk: Any) -> None:
    """Null says nothing, which is not the same as something unreadable."""
    found = decode(observation(category=junk if junk != {} else None, code={}))

    assert frozenset() == found.broken


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"5", b'"x"', b"[]", b"{}", b"{", b'{"resourceType":null}',
        b'{"resourceType":5}', b'{"resourceType":""}', b'{"resourceType":["Observation"]}',
        b'{"resourceType":"observation of something"}', b'{"resourceType":"Observation"',
        b'{"resourceType":"Observation","valueQuantity":{"value":NaN}}', b"\xff\xff",
    ],
)  # fmt: skip
def test_what_says_no_type_is_no_resource(raw: bytes) -> None:
    """It may be about anything, which is for the reader to take into account."""
    found = decode(raw)

    assert (None, None, {"resource"}) == (found.view, found.resource_type, found.broken)


def test_a_type_that_is_not_read_is_named() -> None:
    """Nothing is broken about an Encounter."""
    found = decode(b'{"resourceType":"Encounter","id":5}')

    assert (None, "Encounter", frozenset()) == (found.view, found.resource_type, found.broken)


@pytest.mark.parametrize(
    ("raw", "broken"),
    [
        (b'"extension":[' + DEEP + b"]", set()),
        (b'"valueQuantity":{"value":' + DEEP + b"}", set()),
        (b'"code":' + DEEP, set()),
        (b'"modifierExtension":' + DEEP, {"modifierExtension"}),
        (b'"contained":[' + DEEP + b"]", set()),
        (b'"valueString":"' + b"x" * 5_000_000 + b'"', set()),
        (b'"valueString":"\\ud800"', set()),
        (b'"valueString":"\xff"', set()),
        (b'"valueInteger":' + b"9" * 5000, {"valueInteger"}),
        (b'"valueInteger":1e999', {"valueInteger"}),
        (b'"code":{},"code":5', {"code"}),
    ],
)
def test_nothing_spoils_a_whole_resource(raw: bytes, broken: set[str]) -> None:
    """Endless nesting, half characters, endless numbers, elements given twice."""
    found = decode(b'{"resourceType":"Observation","id":"o","status":"final",' + raw + b"}")

    assert broken == found.broken
    assert isinstance(found.view, views.ObservationView)
    assert ("o", "final") == (found.view.id, found.view.status)


def test_each_component_is_salvaged_by_itself() -> None:
    """The second is read although the first is broken and the third is no object."""
    parts = [{"code": {}, "valueInteger": "x"}, {"code": {"text": "good"}, "valueInteger": 3}, 5]

    found = decode(observation(component=parts))

    assert {"component[0].valueInteger", "component[2]"} == found.broken
    assert isinstance(found.view, views.ObservationView)
    assert found.view.component is not None
    assert 3 == found.view.component[1].value_integer


def test_a_number_keeps_its_text() -> None:
    """No float comes between the chart and a limit."""
    found = decode(
        b'{"resourceType":"Observation","valueQuantity":{"value":79.99999999999999999990}}'
    )

    assert isinstance(found.view, views.ObservationView)
    assert found.view.value_quantity is not None
    assert b"79.99999999999999999990" == bytes(found.view.value_quantity.value)


@given(
    st.sampled_from(["Observation", "Condition", "MedicationStatement", "Procedure", "Consent"]),
    st.dictionaries(
        st.sampled_from(["code", "status", "subject", "component", "stage", "text", "policy"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["coding", "code", "value", "text"]), inner)
            ),
            max_leaves=8,
        ),
    ),
)
def test_a_resource_with_a_type_is_always_read(kind: str, elements: dict[str, Any]) -> None:
    """Every element is either read or named as broken."""
    found = decode(json.dumps({"resourceType": kind, **elements}).encode())

    assert kind == found.resource_type
    assert found.view is not None
