"""Hook requests that are large in the wrong place: refused before they cost others their time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from cds_service.cdshooks.envelope import (
    MOST_BESIDE_PREFETCH,
    MOST_PREFETCH_KEYS,
    read_feedback,
    read_hook,
)
from cds_service.cdshooks.routes import FEEDBACK_BYTES
from cds_service.errors import HookError

# Of a processor, for a body of 18 MB; without the limits it is two to seven seconds.
QUICK_S = 1.0
NUMBERS = "[" + ",".join(["1"] * 9_000_000) + "]"
OBJECTS = "[" + ",".join(['{"a":1}'] * 2_300_000) + "]"


def body(hook: dict[str, Any], text: str) -> bytes:
    """The hook as JSON, with a text instead of the word HERE."""
    return json.dumps(hook).replace('"HERE"', text).encode()


def refused(request: bytes) -> tuple[int, str]:
    """With which status and words a hook is refused, in a short time."""
    started = time.process_time()
    with pytest.raises(HookError) as caught:
        read_hook(request)
    assert time.process_time() - started < QUICK_S
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("text", [NUMBERS, OBJECTS], ids=["numbers", "objects"])
@pytest.mark.parametrize("place", ["extension", "unknown", "context"])
def test_much_beside_the_prefetch(hook: dict[str, Any], place: str, text: str) -> None:
    """Each number and object of it would be checked, and nobody else answered meanwhile."""
    hook[place] = hook[place] | {"x": "HERE"} if place == "context" else {"x": "HERE"}

    status, words = refused(body(hook, text))

    assert 413 == status
    assert "beside the values of the prefetch" in words


def test_as_much_as_may_be(hook: dict[str, Any]) -> None:
    """To the byte, and however large the prefetch is."""
    hook["prefetch"] = {
        "patient": {"resourceType": "Patient", "name": "x" * 2_000_000},
        "more": None,
    }
    values = sum(len(json.dumps(value)) for value in hook["prefetch"].values())
    hook["extension"] = {"x": ""}
    left = MOST_BESIDE_PREFETCH - (len(json.dumps(hook)) - values)

    hook["extension"] = {"x": "y" * left}
    assert "p1" == read_hook(json.dumps(hook).encode()).context.patient_id

    hook["extension"] = {"x": "y" * (left + 1)}
    assert 413 == refused(json.dumps(hook).encode())[0]


def test_what_is_small_enough_is_checked_beside_a_large_prefetch(hook: dict[str, Any]) -> None:
    """As strictly as ever."""
    hook["prefetch"] = {"patient": {"resourceType": "Patient", "name": "x" * 2_000_000}}
    for text in ('{"a": 1, "a": 2}', "1e999", "NaN"):
        hook["extension"] = {"x": "HERE"}
        assert 400 == refused(body(hook, text))[0]


@pytest.mark.parametrize("count", [MOST_PREFETCH_KEYS + 1, 1_700_000])
@pytest.mark.parametrize("same", [False, True], ids=["different", "the same"])
def test_many_prefetch_keys(hook: dict[str, Any], count: int, same: bool) -> None:  # noqa: FBT001
    """A dictionary of millions of them takes seconds to make."""
    hook["prefetch"] = "HERE"
    keys = ("key" if same else f"{number:x}" for number in range(count))
    request = body(hook, "{" + ",".join(f'"{key}":1' for key in keys) + "}")

    status, words = refused(request)

    if same and count == MOST_PREFETCH_KEYS + 1:
        assert (400, "body has the same key twice") == (status, words)
    else:
        assert (413, f"more than {MOST_PREFETCH_KEYS} keys in the prefetch") == (status, words)


def test_as_many_prefetch_keys_as_may_be(hook: dict[str, Any]) -> None:
    """In a small body and in a large one."""
    for text in ("", "x" * 2_000_000):
        hook["prefetch"] = {f"key-{number}": None for number in range(1, MOST_PREFETCH_KEYS)}
        hook["prefetch"]["text"] = {"id": text}
        prefetch = read_hook(json.dumps(hook).encode()).prefetch

        assert prefetch is not None
        assert MOST_PREFETCH_KEYS == len(prefetch)


def test_a_large_body_that_is_no_request(hook: dict[str, Any]) -> None:
    """Is refused for what it is."""
    assert (400, "body is not JSON") == refused(json.dumps(hook).encode()[:-1] + b" " * 2_000_000)
    hook["prefetch"] = ["x" * 2_000_000]
    assert (400, "$.prefetch is not what CDS Hooks asks for") == refused(json.dumps(hook).encode())


def test_a_value_with_many_false_starts(hook: dict[str, Any]) -> None:
    """Is found behind them, in a short time."""
    period = r"ab\""
    hook["extension"] = {"x": "HERE"}
    hook["prefetch"] = {"patient": "THERE"}
    text = '"' + period * 60_000 + '"'
    value = '"' + period * 4_000_000 + '"'
    request = body({"extension": hook.pop("extension"), **hook}, text)
    request = request.replace(b'"THERE"', value.encode())
    started = time.process_time()

    prefetch = read_hook(request).prefetch

    assert prefetch is not None
    assert value.encode() == bytes(prefetch["patient"])
    assert time.process_time() - started < QUICK_S


def test_feedback_has_the_same_limit() -> None:
    """All of it is checked, so that all of it counts; so many items still have room in it."""
    item = {
        "card": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "outcome": "accepted",
        "outcomeTimestamp": "2026-11-23T09:00:00Z",
        "acceptedSuggestions": [{"id": "d1577c69-dfbe-44ad-ba6d-3e05e953b2eb"}],
    }
    text = json.dumps({"feedback": [item] * 1000}, separators=(",", ":")).encode()

    assert MOST_BESIDE_PREFETCH == FEEDBACK_BYTES > len(text)
    assert 1000 == len(read_feedback(text).feedback)
