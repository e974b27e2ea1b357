"""One chart: what the EHR sent, what the server adds, and what stays unread."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest
import respx

from cds_service.errors import OtherPatient, PatientUnavailable
from cds_service.fhir.chart import Chart
from cds_service.fhir.http import FhirClient, FhirClients, Limits
from cds_service.fhir.prefetch import Prefetched, read_prefetch
from cds_service.fhir.pull import pull_stage, read_chart
from cds_service.fhir.queries import SearchPlan, plan
from cds_service.record.reads import COMPLETE, Complete, Failed, NotPermitted, Partial

if TYPE_CHECKING:
    from collections.abc import Callable

    from cds_service.record.codes import CodeBook
    from cds_service.trial.schema import Trial

BASE = "https://ehr.example/fhir"
PATIENT = {"resourceType": "Patient", "id": "1"}
FIRST_STAGE = (
    "Condition",
    "MedicationAdministration",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationDispense",
    "Procedure",
)
SECOND_STAGE = ("Observation", "DiagnosticReport", "ImagingStudy", "AdverseEvent", "Consent")


class Server:
    """A scripted FHIR server: empty, but for what a test puts in."""

    def __init__(self, router: respx.MockRouter, bundle: Any) -> None:
        self._router = router
        self._bundle = bundle
        self.answers: dict[str, Any] = {
            "Patient": respx.MockResponse(200, json=PATIENT),
            **{type_: self.searchset() for type_ in (*FIRST_STAGE, *SECOND_STAGE)},
        }
        router.get(url__startswith=BASE).mock(side_effect=self._answer)

    def searchset(self, *resources: dict[str, Any], **members: Any) -> respx.MockResponse:
        """A search result."""
        return respx.MockResponse(200, json=self._bundle(*resources, **members))

    @property
    def asked(self) -> list[str]:
        """The types asked for, in order."""
        return [call.request.url.path.split("/")[2] for call in self._router.calls]

    def urls(self, type_: str) -> list[str]:
        """The queries asked for one type."""
        urls = [call.request.url for call in self._router.calls]
        return [url.query.decode() for url in urls if url.path.split("/")[2] == type_]

    def _answer(self, request: Any) -> Any:
        answer = self.answers[request.url.path.split("/")[2]]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


@pytest.fixture
def server(respx_fhir: respx.MockRouter, bundle: Any) -> Server:
    """The scripted server."""
    return Server(respx_fhir, bundle)


@pytest.fixture
def read(client: FhirClient, small_plan: SearchPlan, deadline: Callable[[float], float]) -> Any:
    """Reads the chart of patient 1, relevant unless said otherwise."""

    async def run(*, relevant: bool = True, with_server: bool = True, **prefetch: Any) -> Chart:
        raw = msgspec.json.decode(json.dumps(prefetch).encode(), type=dict[str, msgspec.Raw])
        return await read_chart(
            client if with_server else None,
            small_plan,
            "1",
            deadline(5),
            lambda _: relevant,
            read_prefetch(raw, small_plan, "1"),
        )

    return run


def references(chart: Chart) -> list[str]:
    """The resources of a chart."""
    resources = [json.loads(bytes(entry.raw)) for entry in chart.entries]
    return [f"{resource['resourceType']}/{resource.get('id')}" for resource in resources]


def resource(type_: str, id_: str, **members: Any) -> dict[str, Any]:
    """A resource of patient 1."""
    return {"resourceType": type_, "id": id_, "subject": {"reference": "Patient/1"}} | members


def order(id_: str, medication: str) -> dict[str, Any]:
    """An order of a referenced Medication."""
    return resource("MedicationRequest", id_, medicationReference={"reference": medication})


# --- From the server alone ----------------------------------------------------------------------


async def test_a_relevant_chart_is_read_in_two_stages(read: Any, server: Server) -> None:
    """Every type is asked for once, and complete; the first stage comes first."""
    server.answers["Condition"] = server.searchset(resource("Condition", "c"))
    server.answers["Consent"] = server.searchset(resource("Consent", "d"))

    chart = await read()

    assert ["Patient/1", "Condition/c", "Consent/d"] == references(chart)
    assert dict.fromkeys((*FIRST_STAGE, *SECOND_STAGE), COMPLETE) == chart.reads
    assert {"Patient", *FIRST_STAGE} == set(server.asked[:7])
    assert sorted(SECOND_STAGE) == sorted(server.asked[7:])
    assert (BASE,) == chart.bases


async def test_a_chart_that_is_not_relevant_is_read_no_further(read: Any, server: Server) -> None:
    """Most patients cost only the first stage, and the types not asked for are not listed."""
    chart = await read(relevant=False)

    assert sorted(("Patient", *FIRST_STAGE)) == sorted(server.asked)
    assert set(FIRST_STAGE) == set(chart.reads)


async def test_relevance_is_judged_on_the_first_stage(
    client: FhirClient, small_plan: SearchPlan, server: Server, deadline: Callable[[float], float]
) -> None:
    """With all that was found in it."""
    server.answers["Condition"] = server.searchset(resource("Condition", "c"))
    seen: list[Chart] = []

    def judge(chart: Chart) -> bool:
        seen.append(chart)
        return False

    chart = await read_chart(client, small_plan, "1", deadline(5), judge)

    assert [chart] == seen
    assert ["Patient/1", "Condition/c"] == references(chart)


async def test_a_gap_in_the_first_stage_does_not_end_it(read: Any, server: Server) -> None:
    """What is missing might be what makes the patient relevant."""
    server.answers["Condition"] = respx.MockResponse(500)

    chart = await read(relevant=False)

    assert Failed("HTTP 500") == chart.reads["Condition"]
    assert set(SECOND_STAGE) <= set(server.asked)


FAULTS = [
    (respx.MockResponse(500), Failed("HTTP 500")),
    (respx.MockResponse(403), NotPermitted("not permitted (HTTP 403)")),
    (respx.MockResponse(404), Failed("HTTP 404")),
    (respx.MockResponse(400), Failed("HTTP 400")),
    (httpx2.ConnectError("x"), Failed("no connection")),
    (httpx2.ReadTimeout("x"), Failed("timed out")),
    (respx.MockResponse(200, html="<html>"), Failed("not FHIR")),
    (
        respx.MockResponse(200, json={"resourceType": "OperationOutcome"}),
        Failed("an OperationOutcome instead of results"),
    ),
]


@pytest.mark.parametrize("type_", [*FIRST_STAGE, *SECOND_STAGE])
@pytest.mark.parametrize(("fault", "gap"), FAULTS)
async def test_every_fault_of_every_search_is_a_gap_of_its_type_alone(
    read: Any, server: Server, *, type_: str, fault: Any, gap: Any
) -> None:
    """The others are read as ever; nothing is raised."""
    server.answers[type_] = fault

    chart = await read()

    assert gap == chart.reads[type_]
    others = [read for other, read in chart.reads.items() if other != type_]
    assert {Complete} == set(map(type, others))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (respx.MockResponse(404), "Patient: HTTP 404"),
        (respx.MockResponse(410), "Patient: HTTP 410"),
        (respx.MockResponse(403), "Patient: not permitted (HTTP 403)"),
        (httpx2.ConnectError("x"), "Patient: no connection"),
        (respx.MockResponse(200, html="<html>"), "Patient: not FHIR"),
        (respx.MockResponse(200, json=[]), "Patient: not FHIR"),
        (
            respx.MockResponse(200, json={"resourceType": "OperationOutcome"}),
            "Patient: the server answered with something else",
        ),
        (
            respx.MockResponse(200, json={"resourceType": "Patient", "id": "ZZPHI-2"}),
            "Patient: the server answered with something else",
        ),
        (
            respx.MockResponse(200, json={"resourceType": "Patient"}),
            "Patient: the server answered with something else",
        ),
    ],
)
async def test_without_the_patient_nothing_can_be_said(
    read: Any, server: Server, *, answer: Any, reason: str
) -> None:
    """Also where the server answers with another one; the error is no group of errors."""
    server.answers["Patient"] = answer

    with pytest.raises(PatientUnavailable) as caught:
        await read()

    assert reason == str(caught.value)
    assert not set(SECOND_STAGE) & set(server.asked)


@pytest.mark.parametrize(
    ("answer", "another"),
    [
        ({"resourceType": "Patient", "id": "ZZPHI-2"}, True),
        ({"resourceType": "Patient"}, False),
        ({"resourceType": "Practitioner", "id": "ZZPHI-2"}, False),
    ],
)
async def test_another_patient_is_no_patient_that_cannot_be_had(
    read: Any, server: Server, *, answer: dict[str, str], another: bool
) -> None:
    """Somebody mixes patients up: that is told from a server that is off."""
    server.answers["Patient"] = respx.MockResponse(200, json=answer)

    with pytest.raises(PatientUnavailable) as caught:
        await read()

    assert another == isinstance(caught.value, OtherPatient)


@pytest.mark.parametrize("patient_id", ["..", ".", "a/../b"])
async def test_a_patient_id_cannot_change_the_path(
    client: FhirClient,
    small_plan: SearchPlan,
    respx_fhir: respx.MockRouter,
    deadline: Callable[[float], float],
    *,
    patient_id: str,
) -> None:
    """Two dots are a valid FHIR id."""
    respx_fhir.get(url__startswith=f"{BASE}/Patient").respond(404)
    respx_fhir.get(url__regex=rf"{BASE}/\w+\?").respond(500)

    with pytest.raises(PatientUnavailable):
        await read_chart(client, small_plan, patient_id, deadline(5), lambda _: True)

    assert not [call for call in respx_fhir.calls if call.request.url.path.count("/") != 2]


async def test_results_only_words_identify_are_asked_for_too(
    client: FhirClient,
    trial_with_words: Trial,
    small_book: CodeBook,
    server: Server,
    deadline: Callable[[float], float],
) -> None:
    """A server that cannot do that leaves an issue, and no gap."""

    def answer(request: Any) -> Any:
        coded = "code=" in request.url.query.decode()
        return server.searchset(resource("Observation", "o")) if coded else respx.MockResponse(400)

    server.answers["Observation"] = answer
    made = plan(trial_with_words, small_book)

    chart = await read_chart(client, made, "1", deadline(5), lambda _: True)

    assert COMPLETE == chart.reads["Observation"]
    assert ["search-not-supported"] == [issue.code for issue in chart.issues]
    assert 2 == server.asked.count("Observation")


async def test_pull_stage_gives_what_was_found_by_type(
    client: FhirClient, small_plan: SearchPlan, server: Server, deadline: Callable[[float], float]
) -> None:
    """In the order of the searches, whatever the order of arrival."""
    server.answers["Procedure"] = server.searchset(resource("Procedure", "p"))

    stage = await pull_stage(client, small_plan.relevance, "1", deadline(5))

    assert list(FIRST_STAGE) == list(stage)
    assert ["p"] == [item.id for item in stage["Procedure"].found]


# --- Medications --------------------------------------------------------------------------------


async def test_medications_that_are_missing_are_asked_for_once(read: Any, server: Server) -> None:
    """By id, together; those that came along are not asked for again."""
    server.answers["MedicationRequest"] = server.searchset(
        order("a", "Medication/m1"),
        order("b", f"{BASE}/Medication/m2"),
        order("c", "Medication/m4/_history/3"),
        order("d", "Medication/m3"),
        {"resource": {"resourceType": "Medication", "id": "m3"}, "search": {"mode": "include"}},
    )
    server.answers["Medication"] = server.searchset(
        *({"resourceType": "Medication", "id": id_} for id_ in ("m1", "m2", "m4"))
    )

    chart = await read(relevant=False)

    assert ["_id=m1,m2,m4&_count=200"] == server.urls("Medication")
    assert {f"Medication/m{number}" for number in (1, 2, 3, 4)} <= set(references(chart))
    assert "Medication" not in chart.reads


@pytest.mark.parametrize(
    "reference",
    [
        "#m1",
        "urn:uuid:7b1b8a1e-0000-4000-8000-000000000000",
        "https://canary.example/fhir/Medication/m1",
        "https://ehr.example.canary.example/fhir/Medication/m1",
        "https://ehr.example/other/Medication/m1",
        "//canary.example/Medication/m1",
        "Medication/m1,m2",
        "Medication/../Patient/2",
        "Medication/m1?x=y",
        "Substance/m1",
        "",
    ],
)
async def test_a_reference_to_anything_else_is_not_followed(
    read: Any, server: Server, reference: str
) -> None:
    """Contained, unresolvable, on another server, or no id."""
    server.answers["MedicationRequest"] = server.searchset(order("a", reference))

    await read(relevant=False)

    assert [] == server.urls("Medication")


async def test_ingredients_are_followed_and_a_circle_ends(read: Any, server: Server) -> None:
    """Each Medication is asked for once, to a bounded depth."""

    def answer(request: Any) -> Any:
        number = int(request.url.params["_id"].removeprefix("m"))
        ingredient = {"itemReference": {"reference": f"Medication/m{(number + 1) % 5}"}}
        medication = {"resourceType": "Medication", "id": f"m{number}", "ingredient": [ingredient]}
        return server.searchset(medication)

    server.answers["MedicationRequest"] = server.searchset(order("a", "Medication/m0"))
    server.answers["Medication"] = answer

    await read(relevant=False)

    assert ["_id=m0&_count=200", "_id=m1&_count=200"] == server.urls("Medication")


async def test_medications_that_cannot_be_had_are_an_issue(read: Any, server: Server) -> None:
    """The order stays; the reader sees that its reference leads nowhere."""
    server.answers["MedicationRequest"] = server.searchset(order("a", "Medication/m1"))
    server.answers["Medication"] = respx.MockResponse(403)

    chart = await read(relevant=False)

    assert ["medications-unread"] == [issue.code for issue in chart.issues]
    assert "MedicationRequest/a" in references(chart)


# --- With prefetch ------------------------------------------------------------------------------

KEYS = {
    "conditions": "Condition",
    "medicationAdministrations": "MedicationAdministration",
    "medicationStatements": "MedicationStatement",
    "medicationRequests": "MedicationRequest",
    "medicationDispenses": "MedicationDispense",
    "procedures": "Procedure",
    "observations": "Observation",
    "diagnosticReports": "DiagnosticReport",
    "imagingStudies": "ImagingStudy",
    "adverseEvents": "AdverseEvent",
    "consents": "Consent",
}


async def test_a_complete_prefetch_needs_no_server(read: Any, server: Server, bundle: Any) -> None:
    """Nothing is asked, and every type is complete; ``null`` is an answer as well."""
    sent: dict[str, Any] = dict.fromkeys(KEYS, bundle())
    sent["observations"] = None
    sent["conditions"] = bundle(resource("Condition", "c"))

    chart = await read(patient=PATIENT, **sent)

    assert [] == server.asked
    assert {COMPLETE} == set(chart.reads.values())
    assert ["Patient/1", "Condition/c"] == references(chart)


@pytest.mark.parametrize("missing", ["patient", *KEYS])
async def test_only_what_prefetch_lacks_is_pulled(
    read: Any, server: Server, bundle: Any, missing: str
) -> None:
    """One type is missing: one search."""
    sent = {"patient": PATIENT, **dict.fromkeys(KEYS, bundle())}
    del sent[missing]

    chart = await read(**sent)

    assert [KEYS.get(missing, "Patient")] == server.asked
    assert {COMPLETE} == set(chart.reads.values())


@pytest.mark.parametrize(
    "sent", [{"resourceType": "OperationOutcome"}, resource("Condition", "c"), "<html>", 7]
)
async def test_a_type_sent_as_anything_else_is_pulled(
    read: Any, server: Server, bundle: Any, sent: Any
) -> None:
    """A failed prefetch query is not an empty result."""
    rest = {key: bundle() for key in KEYS if key != "conditions"}

    chart = await read(patient=PATIENT, conditions=sent, **rest)

    assert ["Condition"] == server.asked
    assert COMPLETE == chart.reads["Condition"]


async def test_the_pages_after_a_prefetched_one_are_read(
    read: Any, server: Server, bundle: Any
) -> None:
    """On the hook's own server, from where the EHR stopped."""
    sent = bundle(resource("Condition", "a"), next=f"{BASE}/Condition?page=2", total=2)
    server.answers["Condition"] = server.searchset(resource("Condition", "b"))

    chart = await read(relevant=False, patient=PATIENT, conditions=sent)

    assert ["page=2"] == server.urls("Condition")
    assert ["Patient/1", "Condition/a", "Condition/b"] == references(chart)
    assert COMPLETE == chart.reads["Condition"]


async def test_a_prefetched_page_that_leads_elsewhere_is_pulled_afresh(
    read: Any, server: Server, bundle: Any
) -> None:
    """The link is not followed; the search is made again where the token may go."""
    sent = bundle(resource("Condition", "a"), next="https://canary.example/fhir/Condition?page=2")
    server.answers["Condition"] = server.searchset(
        resource("Condition", "a"), resource("Condition", "b")
    )

    chart = await read(relevant=False, patient=PATIENT, conditions=sent)

    assert ["patient=1&_count=200"] == server.urls("Condition")
    assert ["Patient/1", "Condition/a", "Condition/b"] == references(chart)


async def test_a_prefetched_page_with_an_error_is_pulled_afresh(
    read: Any, server: Server, bundle: Any
) -> None:
    """Reading on after it would leave its own gap open."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
    sent = bundle(
        resource("Condition", "a"), {"resource": outcome}, next=f"{BASE}/Condition?page=2"
    )
    server.answers["Condition"] = server.searchset(resource("Condition", "a"))

    chart = await read(relevant=False, patient=PATIENT, conditions=sent)

    assert ["patient=1&_count=200"] == server.urls("Condition")
    assert COMPLETE == chart.reads["Condition"]


@pytest.mark.parametrize(
    "members",
    [
        {"total": 2},
        {"next": "https://ehr.example/fhir/Condition?page=2"},
        {"next": "https://canary.example/fhir/Condition?page=2"},
    ],
)
async def test_what_was_sent_in_part_stays_where_the_server_fails(
    read: Any, server: Server, bundle: Any, members: dict[str, Any]
) -> None:
    """It is partial, whichever way the rest was sought."""
    server.answers["Condition"] = respx.MockResponse(500)
    sent = bundle(resource("Condition", "a"), **members)

    chart = await read(relevant=False, patient=PATIENT, conditions=sent)

    assert isinstance(chart.reads["Condition"], Partial)
    assert "Condition/a" in references(chart)


async def test_without_a_server_what_was_not_sent_has_failed(read: Any, bundle: Any) -> None:
    """Each with its reason, and never as empty."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
    chart = await read(
        with_server=False,
        patient=PATIENT,
        conditions=bundle(resource("Condition", "a"), total=2),
        procedures=outcome,
        medicationRequests=bundle(order("a", "Medication/m"), {"resource": outcome}),
        medicationStatements=None,
        consents=bundle(),
    )

    asked = "and there is no FHIR server to ask"
    assert Partial("provided in part") == chart.reads["Condition"]
    assert (
        Failed(f"provided as an OperationOutcome instead of results {asked}")
        == chart.reads["Procedure"]
    )
    assert Partial("the server reported an error") == chart.reads["MedicationRequest"]
    assert COMPLETE == chart.reads["MedicationStatement"]
    assert COMPLETE == chart.reads["Consent"]
    assert Failed(f"not provided {asked}") == chart.reads["Observation"]
    assert () == chart.bases


async def test_without_a_server_the_patient_must_be_sent(read: Any) -> None:
    """Else nothing can be said."""
    with pytest.raises(PatientUnavailable, match=r"^Patient: not provided and there is no FHIR"):
        await read(with_server=False)


async def test_a_resource_both_sent_and_read_counts_in_its_newest_version(
    read: Any, server: Server, bundle: Any
) -> None:
    """Here the one of the server."""
    old, new = {"meta": {"versionId": "1"}}, {"meta": {"versionId": "2"}, "onset": "new"}
    sent = bundle(resource("Condition", "a", **old), next=f"{BASE}/Condition?page=2")
    server.answers["Condition"] = server.searchset(resource("Condition", "a", **new))

    chart = await read(relevant=False, patient=PATIENT, conditions=sent)

    assert ["Patient/1", "Condition/a"] == references(chart)
    assert b"new" in bytes(chart.entries[1].raw)


# --- The deadline -------------------------------------------------------------------------------


async def test_at_the_deadline_everything_stops(
    serving: Any, bundle: Any, small_plan: SearchPlan, deadline: Callable[[float], float]
) -> None:
    """Types read in time are kept, the others have failed, and no connection is left."""
    open_connections = 0
    silent = asyncio.Event()

    async def reply(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal open_connections
        open_connections += 1
        try:
            await reader.read(1)
        finally:
            open_connections -= 1
            silent.set()

    sent = {"patient": PATIENT, "conditions": bundle(resource("Condition", "c"))}
    raw = msgspec.json.decode(json.dumps(sent).encode(), type=dict[str, msgspec.Raw])
    loop = asyncio.get_running_loop()
    async with serving(reply) as base, FhirClients(Limits()) as clients:
        began = loop.time()
        chart = await read_chart(
            clients.client(base),
            small_plan,
            "1",
            deadline(0.3),
            lambda _: True,
            read_prefetch(raw, small_plan, "1"),
        )
        took = loop.time() - began
        await asyncio.wait_for(silent.wait(), 1)
        await asyncio.sleep(0.05)

    assert 0.25 < took < 4
    assert COMPLETE == chart.reads.pop("Condition")
    assert {Failed("timed out")} == set(chart.reads.values())
    assert len(FIRST_STAGE) + len(SECOND_STAGE) - 1 == len(chart.reads)
    assert 0 == open_connections


async def test_a_silent_patient_read_ends_at_the_deadline(
    serving: Any, small_plan: SearchPlan, deadline: Callable[[float], float]
) -> None:
    """As unavailable."""

    async def reply(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with serving(reply) as base, FhirClients() as clients:
        with pytest.raises(PatientUnavailable, match=r"^Patient: timed out$"):
            await read_chart(
                clients.client(base), small_plan, "1", deadline(0.2), lambda _: True, Prefetched()
            )


async def test_no_more_searches_at_a_time_than_allowed(
    serving: Any, bundle: Any, small_plan: SearchPlan, deadline: Callable[[float], float]
) -> None:
    """A chart does not take all connections of its server."""
    now = most = 0

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.03)
        now -= 1
        body = json.dumps(bundle()).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        writer.write(head.encode() + b"\r\nconnection: close\r\n\r\n" + body)
        await writer.drain()

    async with serving(reply) as base, FhirClients(Limits(searches=2)) as clients:
        stage = await pull_stage(clients.client(base), small_plan.relevance, "1", deadline(5))

    assert 2 == most
    assert {COMPLETE} == {pulled.read for pulled in stage.values()}
