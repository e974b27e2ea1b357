"""The four states of a prefetch key, and what is none of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from cds_service.errors import HookError
from cds_service.fhir.prefetch import Prefetched, Unread, read_prefetch
from cds_service.fhir.queries import SearchPlan

PATIENT = {"resourceType": "Patient", "id": "1"}
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x"}]}


@pytest.fixture
def read(small_plan: SearchPlan) -> Any:
    """Reads a prefetch for patient 1."""

    def run(**prefetch: Any) -> Prefetched:
        raw = msgspec.json.decode(json.dumps(prefetch).encode(), type=dict[str, msgspec.Raw])
        return read_prefetch(raw, small_plan, "1")

    return run


def test_a_search_result_is_the_data(read: Any, bundle: Any) -> None:
    """With what was included, under whichever key it came."""
    condition = {"resourceType": "Condition", "id": "c"}
    medication = {"resourceType": "Medication", "id": "m"}

    prefetched = read(conditions=bundle(condition, {"resource": medication}))

    page = prefetched.page("Condition")
    assert ["c", "m"] == [item.id for item in page.found]
    assert page.whole


@pytest.mark.parametrize("type_", ["searchset", "collection"])
def test_an_empty_result_is_an_answer(read: Any, bundle: Any, type_: str) -> None:
    """The query ran; also where the EHR wrapped the result anew."""
    assert read(conditions=bundle(type=type_)).page("Condition").whole


def test_null_is_an_answer_too(read: Any) -> None:
    """CDS Hooks: the query ran and there is no data."""
    page = read(conditions=None).page("Condition")

    assert page.whole
    assert () == page.found


def test_a_missing_key_is_no_answer(read: Any) -> None:
    """Neither data nor failure."""
    prefetched = read()

    assert Unread("not provided") == prefetched.page("Condition")
    assert prefetched.patient is None


@pytest.mark.parametrize(
    "value",
    [
        OUTCOME,
        {"resourceType": "Condition", "id": "c"},
        {"resourceType": "Bundle", "type": "batch-response", "entry": []},
        {"resourceType": "Bundle"},
        "<html>",
        7,
        [],
        {},
    ],
)
def test_a_failure_or_anything_else_leaves_the_type_unread(read: Any, value: Any) -> None:
    """It is never an empty result."""
    page = read(conditions=value).page("Condition")

    assert isinstance(page, Unread)
    assert page.reason.startswith("provided as ")


def test_a_result_with_an_error_in_it_is_not_whole(read: Any, bundle: Any) -> None:
    """What it holds is kept."""
    page = read(conditions=bundle({"resource": OUTCOME})).page("Condition")

    assert not page.whole


def test_keys_that_are_not_ours_are_ignored(read: Any, bundle: Any) -> None:
    """Other services' templates are no business of this one."""
    assert Prefetched() == read(somethingElse=bundle(), patientName="x")


def test_the_patient(read: Any) -> None:
    """Whole, as it was sent."""
    patient = read(patient=PATIENT).patient

    assert PATIENT == json.loads(bytes(patient.entry.raw))


@pytest.mark.parametrize(
    "value",
    [None, OUTCOME, {"resourceType": "Condition", "id": "1"}, {"resourceType": "Patient"}, 7, []],
)
def test_what_is_no_patient_leaves_it_unread(read: Any, value: Any) -> None:
    """The server is asked, if there is one."""
    prefetched = read(patient=value)

    assert prefetched.patient is None
    assert prefetched.no_patient.startswith("provided as ")


def test_another_patient_stops_everything(read: Any) -> None:
    """No statement about either of them; neither id is repeated."""
    with pytest.raises(HookError) as caught:
        read(patient={"resourceType": "Patient", "id": "ZZPHI-2"})

    assert 412 == caught.value.status
    assert "ZZPHI" not in str(caught.value)


def test_a_chart_nested_without_end_is_unread(small_plan: SearchPlan) -> None:
    """No recursion error comes out."""
    deep = msgspec.Raw(b'{"resourceType":"Bundle","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}")

    prefetched = read_prefetch({"patient": deep, "conditions": deep}, small_plan, "1")

    assert prefetched.patient is None
    assert Unread("provided as not FHIR") == prefetched.page("Condition")


@pytest.mark.parametrize(
    ("named", "bases"),
    [
        (None, ()),
        ("https://ehr.example/fhir", ("https://ehr.example/fhir",)),
        ("https://ehr.example/fhir/", ("https://ehr.example/fhir",)),
        ("https://EHR.example:443/R4/", ("https://ehr.example/R4", "https://EHR.example:443/R4")),
        ("https://ehr.example/fhir//", ()),
        ("https://ehr.example/fhir?x=1", ()),
        ("https://ehr.example/a/../fhir", ()),
        ("https://good.example@evil.example/fhir", ()),
        ("https://ehr.example/fhir\n", ()),
        ("ehr.example/fhir", ()),
        ("x" * 2048, ()),
    ],
)
def test_the_server_named_is_known_as_it_is_written(
    small_plan: SearchPlan, named: str | None, bases: tuple[str, ...]
) -> None:
    """And in its plain form; what is no plain base URL names no server."""
    assert bases == read_prefetch({}, small_plan, "1", named).bases
