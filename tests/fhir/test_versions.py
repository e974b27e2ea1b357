"""The same resource more than once: which version counts, and when nobody can say."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from cds_service.fhir.searchset import Found, read_resource
from cds_service.fhir.versions import merge


def found(id_: str | None, value: int, **meta: str) -> Found:
    """An Observation with a value and a ``meta``."""
    resource: dict[str, Any] = {"resourceType": "Observation", "value": value}
    resource |= {"id": id_} if id_ else {}
    return read_resource(msgspec.Raw(json.dumps(resource | {"meta": meta}).encode()))


def values(*items: Found) -> list[int]:
    """The values of what stays."""
    return [json.loads(bytes(entry.raw))["value"] for entry in merge(items).entries]


def test_different_resources_stay_in_their_order() -> None:
    """Also those of one id and different types, and those with no id."""
    patient = read_resource(msgspec.Raw(b'{"resourceType":"Patient","id":"a","value":9}'))

    assert [1, 2, 9, 3, 4] == values(
        found("b", 1), found("a", 2), patient, found(None, 3), found(None, 4)
    )


def test_an_identical_copy_counts_once() -> None:
    """Pages overlap; blanks and the order of members are no difference."""
    blanks = read_resource(
        msgspec.Raw(b'{ "id":"a", "meta":{}, "value":1, "resourceType":"Observation" }')
    )
    merged = merge([found("a", 1), found("a", 1), blanks, found(None, 2), found(None, 2)])

    assert 2 == len(merged.entries)
    assert () == merged.issues


OLD = {"lastUpdated": "2026-01-01T10:00:00Z", "versionId": "9"}
NEW = {"lastUpdated": "2026-01-01T10:00:00.5+00:00", "versionId": "2"}
NEWEST = {"lastUpdated": "2026-01-01T09:00:00-05:00", "versionId": "1"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_version_wins_in_any_order(order: tuple[int, ...]) -> None:
    """Times are compared as instants, and before version numbers."""
    versions = [found("a", 1, **OLD), found("a", 2, **NEW), found("a", 3, **NEWEST)]

    assert [3] == values(*(versions[at] for at in order))


@pytest.mark.parametrize(("older", "newer"), [("9", "10"), ("1", "2"), ("9", "9" * 5_000)])
def test_the_higher_version_number_wins_where_there_is_no_time(older: str, newer: str) -> None:
    """As numbers, of any length."""
    assert [2] == values(found("a", 2, versionId=newer), found("a", 1, versionId=older))
    assert [2] == values(found("a", 1, versionId=older), found("a", 2, versionId=newer))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"versionId": "abc"}, {"versionId": "abd"}),
        ({"versionId": "1"}, {"versionId": "1"}),
        ({"versionId": "1"}, {}),
        ({"lastUpdated": "2026-01-01"}, {"lastUpdated": "2026-01-02"}),
        ({"lastUpdated": "2026-01-01T10:00:00Z"}, {"lastUpdated": "soon"}),
        ({"lastUpdated": "2026-01-01T10:00:00Z"}, {"lastUpdated": "2026-01-01T10:00:00Z"}),
    ],
)
def test_without_an_order_both_stay_and_it_is_said(
    one: dict[str, str], other: dict[str, str]
) -> None:
    """Choosing could choose the favourable one."""
    merged = merge([found("a", 1, **one), found("a", 2, **other)])

    assert 2 == len(merged.entries)
    assert [("conflicting-versions", "Observation/a")] == [
        (issue.code, issue.reference) for issue in merged.issues
    ]


def test_a_version_that_settles_the_conflict_ends_it() -> None:
    """Newer than both."""
    assert [3] == values(
        found("a", 1, versionId="1"),
        found("a", 2, versionId="1"),
        found("a", 3, versionId="2"),
    )
