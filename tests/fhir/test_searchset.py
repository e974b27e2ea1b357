"""What one page of results says, however it is written."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from cds_service.errors import FhirUnavailable
from cds_service.fhir.searchset import Page, count_matches, read_page, read_resource


def outcome(severity: str) -> dict[str, Any]:
    """An OperationOutcome of one issue."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "x"}]}


def read(content: Any) -> Page:
    """Read a page of Observations."""
    return read_page(json.dumps(content).encode(), "Observation")


def test_a_page_of_results(bundle: Any, observation: Any) -> None:
    """Matches and included resources are told apart; links and total are given on."""
    medication = {"resourceType": "Medication", "id": "m"}
    page = read(
        bundle(
            {"resource": observation("a"), "search": {"mode": "match"}, "fullUrl": "urn:uuid:1"},
            {"resource": observation("b")},
            {"resource": medication, "search": {"mode": "include"}},
            {"resource": {**medication, "id": "n"}},
            self="s",
            next="n",
            total=3,
        )
    )

    assert [
        ("Observation", "a", True),
        ("Observation", "b", True),
        ("Medication", "m", False),
        ("Medication", "n", False),
    ] == [(item.resource_type, item.id, item.matched) for item in page.found]
    assert "urn:uuid:1" == page.found[0].entry.full_url
    assert observation("a") == json.loads(bytes(page.found[0].entry.raw))
    assert ("s", "n", 3) == (page.self_url, page.next_url, page.total)
    assert () == page.troubles


@pytest.mark.parametrize(
    ("members", "whole"),
    [({}, True), ({"total": 1}, True), ({"total": 2}, False), ({"next": "n"}, False)],
)
def test_a_page_is_whole_if_nothing_says_that_there_is_more(
    bundle: Any, observation: Any, *, members: dict[str, Any], whole: bool
) -> None:
    """Neither a link nor a higher total."""
    assert whole is read(bundle(observation("a"), **members)).whole


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"<html></html>",
        b'{"resourceType":"Bundle","type":"searchset"',
        b'{"resourceType":"Bundle","type":"searchset","entry":{}}',
        b'{"resourceType":"Bundle","type":"searchset","total":"many"}',
        b'{"resourceType":"Bundle","type":"searchset","total":NaN}',
        b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"a":NaN}}]}',
        b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"a":-Infinity}}]}',
        b'{"resourceType":"Bundle","type":"searchset","id":"\xff"',
        b'{"resourceType":"Bundle","type":"\xff"}',
        b'{"resourceType":"Bundle","type":"searchset","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","type":"batch-response"}',
        b'{"resourceType":"Patient","id":"1"}',
        b'{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}',
    ],
)
def test_what_is_no_search_result_is_refused(body: bytes) -> None:
    """By one error, whatever is wrong; nothing of the body is in it."""
    with pytest.raises(FhirUnavailable) as caught:
        read_page(body, "Observation")

    assert str(caught.value) in {
        "not FHIR",
        "not a search result",
        "an OperationOutcome instead of results",
    }


@pytest.mark.parametrize(
    "entry",
    [
        "1",
        "{}",
        "[]",
        "null",
        '{"resource":null}',
        '{"resource":[]}',
        '{"resource":{}}',
        '{"resource":{"resourceType":7}}',
        '{"fullUrl":3,"resource":{"resourceType":"Observation"}}',
        '{"search":7,"resource":{"resourceType":"Observation"}}',
    ],
)
def test_a_broken_entry_costs_only_itself(entry: str) -> None:
    """The others are read, and the page is known to lack one."""
    good = '{"resource":{"resourceType":"Observation","id":"a"}}'
    body = f'{{"resourceType":"Bundle","type":"searchset","entry":[{entry},{good}]}}'

    page = read_page(body.encode(), "Observation")

    assert ["a"] == [item.id for item in page.found]
    assert ("an entry could not be read",) == page.troubles
    assert not page.whole


@pytest.mark.parametrize(
    "members",
    [
        '"id":7',
        '"id":null',
        '"meta":[]',
        '"meta":{"versionId":1}',
        '"ingredient":{}',
        '"medicationReference":"x"',
    ],
)
def test_a_resource_with_an_odd_element_is_kept_for_the_reader(members: str) -> None:
    """Only its type must be readable."""
    raw = msgspec.Raw(f'{{"resourceType":"Observation",{members}}}'.encode())

    found = read_resource(raw)

    assert ("Observation", "") == (found.resource_type, found.id)
    assert raw == found.entry.raw


@pytest.mark.parametrize(
    ("severity", "mode", "troubles", "issues"),
    [
        ("fatal", "outcome", ("the server reported an error",), 0),
        ("error", "outcome", ("the server reported an error",), 0),
        ("error", None, ("the server reported an error",), 0),
        ("warning", "outcome", ("the server reported a warning",), 1),
        ("warning", None, (), 1),
        ("information", "outcome", (), 0),
    ],
)
def test_what_the_server_says_about_its_search(
    bundle: Any, observation: Any, *, severity: str, mode: str | None, troubles: Any, issues: int
) -> None:
    """An error, or a warning filed as the outcome, means that results may be missing."""
    entry = {"resource": outcome(severity)} | ({"search": {"mode": mode}} if mode else {})

    page = read(bundle(observation("a"), entry))

    assert ["a"] == [item.id for item in page.found]
    assert troubles == page.troubles
    assert issues == len(page.issues)


@pytest.mark.parametrize("issue", [[{}], 7, [7]])
def test_an_outcome_that_cannot_be_read_counts_as_an_error(bundle: Any, issue: Any) -> None:
    """It is no reason to trust the results."""
    entry = {"resource": {"resourceType": "OperationOutcome", "issue": issue}}

    assert ("the server reported an error",) == read(bundle(entry)).troubles


def test_a_result_counts_once_and_an_included_resource_not_at_all(
    bundle: Any, observation: Any
) -> None:
    """As the server counts in ``total``."""
    included = {"resource": observation("c"), "search": {"mode": "include"}}
    page = read(bundle(observation("a"), observation("a"), observation("b"), included))

    assert 2 == count_matches(page.found)


def test_results_of_another_type_only_are_no_answer(bundle: Any) -> None:
    """What was searched for has not been looked at."""
    page = read(bundle({"resourceType": "Condition", "id": "c"}))

    assert ("the results are of another type",) == page.troubles
    assert not page.whole


def test_references_to_medications_are_seen() -> None:
    """Of orders and of mixtures."""
    order = (
        b'{"resourceType":"MedicationRequest","medicationReference":{"reference":"Medication/1"}}'
    )
    mixture = (
        b'{"resourceType":"Medication","ingredient":'
        b'[{"itemReference":{"reference":"Medication/2"}},{},{"itemReference":{}}]}'
    )

    assert ("Medication/1",) == read_resource(msgspec.Raw(order)).medications
    assert ("Medication/2",) == read_resource(msgspec.Raw(mixture)).medications
