"""A chart from a file: what a Bundle or NDJSON holds, and what it may lack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds_service.errors import InputError
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.chart import CHART_TYPES, Chart
from cds_service.record.reads import Complete

PATIENT = {"resourceType": "Patient", "id": "1"}
OTHER = {"resourceType": "Patient", "id": "2"}
NOTE = {"resourceType": "Observation", "id": "o"}
EVERYTHING = set(CHART_TYPES)
SERVER_ERROR = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000


def bundle(*resources: Any, **members: Any) -> dict[str, Any]:
    """A Bundle of some resources."""
    held = {"resourceType": "Bundle", "type": "collection"}
    return held | {"entry": [{"resource": one} for one in resources]} | members


def read(content: Any, patient: str | None = None) -> Chart:
    """Read a Bundle, or bytes as they are."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_chart_file(data, patient, name="chart.json")


def lines(*resources: Any) -> bytes:
    """NDJSON; bytes stay as they are."""
    texts = (one if isinstance(one, bytes) else json.dumps(one).encode() for one in resources)
    return b"\n".join(texts) + b"\n"


def incomplete(chart: Chart) -> set[str]:
    """Types of which something may be missing."""
    return {name for name, state in chart.reads.items() if not isinstance(state, Complete)}


def link(relation: str, url: str) -> dict[str, str]:
    """A link of a Bundle."""
    return {"relation": relation, "url": url}


# --- What is no chart --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"<html><body>Sign in</body></html>", "is not JSON"),
        (b"<html>\n<body>Sign in</body>\n</html>", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"resourceType":"Bundle","entry":[{"resource":{"a":NaN}}]}', "is not JSON"),
        (b"[]", "is not a FHIR Bundle"),
        (b"null", "is not a FHIR Bundle"),
        (b'"Bundle"', "is not a FHIR Bundle"),
        (b"{}", "is not a FHIR Bundle"),
        (b'{"resourceType":5}', "is not a FHIR Bundle"),
        (b'{"resourceType":"Bundle","entry":5}', "is not a FHIR Bundle"),
        (b'{\n"resourceType":"Patient",\n"id":"1"}', "is not a FHIR Bundle"),
        (b'{"resourceType":"Bundle"}', "holds no Patient"),
        (b'{"resourceType":"Bundle","entry":null}', "holds no Patient"),
        (b'{"resourceType":"Observation","id":"o"}', "holds no Patient"),
    ],
)
def test_what_is_no_chart_is_refused_in_one_line(content: bytes, message: str) -> None:
    """The message says what was given instead."""
    with pytest.raises(InputError) as caught:
        read(content)

    assert str(caught.value).startswith(f"chart.json {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("resources", "patient", "message"),
    [
        ((NOTE,), None, "holds no Patient"),
        ((NOTE,), "1", "holds no Patient"),
        (({"resourceType": "Patient"},), None, "holds no Patient"),
        (({"resourceType": "Patient", "id": 1},), None, "holds no Patient"),
        ((PATIENT, OTHER), None, "holds 2 patients"),
        ((PATIENT,), "2", "does not hold the patient"),
        ((PATIENT,), "", "does not hold the patient"),
        (({"resourceType": "Patient", "id": "a"},), "A", "does not hold the patient"),
    ],
)
def test_the_patient_must_be_known(resources: Any, patient: str | None, message: str) -> None:
    """Never the first of several, never one with an id that is only alike."""
    with pytest.raises(InputError, match=message):
        read(bundle(*resources), patient)


@pytest.mark.parametrize("patient", ["2", "Patient/2"])
def test_one_of_several_patients_is_chosen(patient: str) -> None:
    """By id or by reference."""
    assert "2" == read(bundle(PATIENT, OTHER), patient).patient_id


def test_one_patient_twice_is_one() -> None:
    """As pages that overlap give it."""
    assert "1" == read(bundle(PATIENT, PATIENT)).patient_id


# --- Forms of a chart --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + json.dumps(bundle(PATIENT, NOTE)).encode(),
        json.dumps(bundle(PATIENT, NOTE), indent=2).encode(),
        lines(PATIENT, NOTE),
        lines(PATIENT, b"", NOTE).replace(b"\n", b"\r\n"),
        lines(bundle(PATIENT), bundle(NOTE)),
        json.dumps(bundle(bundle(PATIENT), bundle(NOTE), type="batch-response")).encode(),
        json.dumps(
            bundle(PATIENT, type="transaction")
            | {
                "entry": [
                    {"resource": one, "fullUrl": "urn:uuid:1", "request": {"method": "POST"}}
                    for one in (PATIENT, NOTE)
                ]
            }
        ).encode(),
    ],
    ids=["bom", "indented", "ndjson", "ndjson-crlf", "ndjson-bundles", "batch", "transaction"],
)
def test_every_form_of_a_chart_is_read_whole(content: bytes) -> None:
    """A collection, NDJSON, answers of a batch, a transaction."""
    found = read(content)

    assert 2 == len(found.entries)
    assert set() == incomplete(found)


def test_a_single_patient_on_a_line_is_ndjson() -> None:
    """A chart with nothing but the patient."""
    assert "1" == read(lines(PATIENT)).patient_id


def test_the_url_of_an_entry_is_kept() -> None:
    """References inside of a transaction point to it; one that is no text is none."""
    found = read(
        bundle()
        | {
            "entry": [
                {"resource": PATIENT, "fullUrl": "urn:uuid:7"},
                {"resource": NOTE, "fullUrl": 7},
            ]
        }
    )

    assert ["urn:uuid:7", None] == [entry.full_url for entry in found.entries]


def test_elements_nested_without_end_do_not_hide_the_others() -> None:
    """The Patient is read, and so is the resource with the nesting."""
    content = b'{"resourceType":"Bundle","entry":[{"resource":%s},{"resource":%s}]}' % (
        json.dumps(PATIENT).encode(),
        b'{"resourceType":"Observation","id":"o","extension":[' + DEEP + b"]}",
    )

    assert 2 == len(read(content).entries)


def test_half_a_character_does_not_hide_the_others() -> None:
    """A display that was cut in the middle of an emoji is common enough."""
    broken = b'{"resourceType":"Observation","id":"o","code":{"text":"\\ud83d"}}'
    content = b'{"resourceType":"Bundle","entry":[{"resource":%s},{"resource":%s}]}' % (
        json.dumps(PATIENT).encode(),
        broken,
    )

    assert 2 == len(read(content).entries)


# --- What may be missing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("self_url", "cut"),
    [
        ("https://ehr.test/fhir/Observation?patient=1", {"Observation"}),
        ("Observation?patient=1", {"Observation"}),
        ("https://ehr.test/fhir/Observation/_search", {"Observation"}),
        ("https://ehr.test/fhir/Patient/1/Observation", {"Observation"}),
        ("https://ehr.test/fhir/Medication?_id=1", {"Medication"}),
        ("https://ehr.test/fhir?_type=Procedure", {"Procedure"}),
        ("https://ehr.test/fhir/Patient/1/$everything", {*EVERYTHING, "Medication"}),
        ("https://ehr.test/fhir/Patient?_id=1&_revinclude=*", {*EVERYTHING, "Medication"}),
        ("https://ehr.test/fhir?_type=Procedure,Condition", {*EVERYTHING, "Medication"}),
        ("https://ehr.test/fhir/Encounter", {*EVERYTHING, "Medication"}),
        ("http://[bad/Observation", {*EVERYTHING, "Medication"}),
        ("", {*EVERYTHING, "Medication"}),
    ],
)
def test_a_next_page_that_is_not_here_cuts_the_search(self_url: str, cut: set[str]) -> None:
    """The type that the self link names, or everything where it names none for sure."""
    links = [link("self", self_url), link("next", "https://ehr.test/fhir?page=2")]

    found = read(bundle(PATIENT, link=links))

    assert cut == incomplete(found)
    assert ["truncated"] == [issue.code for issue in found.issues]


@pytest.mark.parametrize("links", [5, {}, [5], [{"relation": 5}]])
def test_links_that_cannot_be_read_may_be_a_next_page(links: Any) -> None:
    """So everything may be incomplete."""
    assert {*EVERYTHING, "Medication"} == incomplete(read(bundle(PATIENT, link=links)))


def test_other_links_cut_nothing() -> None:
    """A self link, or none."""
    links = [link("self", "https://ehr.test/fhir/Observation"), link("previous", "x")]

    assert set() == incomplete(read(bundle(PATIENT, link=links)))


@pytest.mark.parametrize(
    ("issue", "is_cut"),
    [
        ([{"severity": "error"}], True),
        ([{"severity": "fatal"}], True),
        ([{"severity": "warning"}, {"severity": "error"}], True),
        ("it failed", True),
        ([{"severity": "warning"}], False),
        ([{"severity": "information"}], False),
        (None, False),
    ],
)
def test_an_error_of_the_server_cuts_the_search(issue: Any, *, is_cut: bool) -> None:
    """A warning does not; one that cannot be read is taken for an error."""
    outcome = {"resourceType": "OperationOutcome", "issue": issue}
    links = [link("self", "https://ehr.test/fhir/Condition?patient=1")]

    found = read(bundle(PATIENT, outcome, link=links))

    assert ({"Condition"} if is_cut else set()) == incomplete(found)
    assert 1 == len(found.entries)


def test_an_error_cuts_only_its_own_part_of_a_batch() -> None:
    """The searchset that it came with names the type."""
    links = [link("self", "Observation?patient=1")]
    failed = bundle(SERVER_ERROR, type="searchset", link=links)

    found = read(bundle(bundle(PATIENT), failed, type="batch-response"))

    assert {"Observation"} == incomplete(found)


@pytest.mark.parametrize("status", ["404 Not Found", "500", "", 5])
def test_a_request_of_a_batch_that_failed_cuts_every_search(status: Any) -> None:
    """Which one failed cannot be told."""
    answers = [{"resource": PATIENT, "response": {"status": "200 OK"}}]
    answers.append({"response": {"status": status}})

    found = read(bundle(type="batch-response") | {"entry": answers})

    assert {*EVERYTHING, "Medication"} == incomplete(found)


@pytest.mark.parametrize("entry", [5, None, [], "x", {}, {"fullUrl": "urn:uuid:1"}])
def test_an_entry_that_holds_nothing_may_have_held_anything(entry: Any) -> None:
    """The others are read all the same."""
    found = read(bundle() | {"entry": [entry, {"resource": PATIENT}]})

    assert {*EVERYTHING, "Medication"} == incomplete(found)
    assert ["broken-entry"] == [issue.code for issue in found.issues]


@pytest.mark.parametrize(
    "inner", [b'{"resourceType":"Bundle","entry":5}', b'{"resourceType":"Bundle","entry":{}}']
)
def test_a_bundle_inside_that_cannot_be_read_may_have_held_anything(inner: bytes) -> None:
    """In a Bundle and on a line alike."""
    inside = b'{"resourceType":"Bundle","entry":[{"resource":%s},{"resource":%s}]}' % (
        json.dumps(PATIENT).encode(),
        inner,
    )

    for content in (inside, lines(PATIENT, inner)):
        assert {*EVERYTHING, "Medication"} == incomplete(read(content))


@pytest.mark.parametrize("line", [b"{", b"5", b"null", b"{}", b"garbage"])
@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_cannot_be_read_may_have_held_anything(line: bytes, *, first: bool) -> None:
    """Wherever it stands; the other lines are read."""
    good = (PATIENT, NOTE, NOTE)
    found = read(lines(line, *good) if first else lines(*good, line))

    assert 3 == len(found.entries)
    assert {*EVERYTHING, "Medication"} == incomplete(found)
    assert ["broken-line"] == [issue.code for issue in found.issues]


def test_an_error_on_a_line_cuts_every_search() -> None:
    """A bulk export writes its errors as lines."""
    assert {*EVERYTHING, "Medication"} == incomplete(read(lines(PATIENT, SERVER_ERROR)))
