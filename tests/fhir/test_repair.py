"""JSON that a decoder refuses is made readable without changing what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.fhir.repair import repaired, shallow

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@given(JSON)
def test_good_json_stays_as_it_is(value: Any) -> None:
    """Brackets and backslashes inside of strings are text."""
    written = json.dumps(value).encode()

    assert value == json.loads(repaired(written))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"a\ud800b"', "a\ufffdb"),
        (rb'"\udc00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'"\\\ud800"', "\\\ufffd"),
        (b'"\xff\xfe"', "\ufffd\ufffd"),
    ],
)
def test_half_a_character_is_replaced(text: bytes, expected: str) -> None:
    """A whole pair is left alone, and so is an escaped backslash before a u."""
    assert expected == json.loads(repaired(text))


def test_what_is_nested_too_deep_becomes_a_number() -> None:
    """What stands before, beside and after it stays."""
    deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000

    found = json.loads(shallow(b'{"x":"{[","deep":' + deep + b',"y":[1]}'))

    assert ("{[", [1]) == (found["x"], found["y"])
    levels = 0
    at = found["deep"]
    while isinstance(at, dict):
        at, levels = at["a"], levels + 1
    assert (0, 199) == (at, levels)


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    """Repair is only text work; whether it is JSON then is for the decoder to say."""
    assert isinstance(repaired(data), bytes)
