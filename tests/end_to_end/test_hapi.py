"""The hook, over HTTP, against a real HAPI FHIR server: the same answer by every way of reading.

The measure is ``cds-service evaluate`` on a bundle of the same resources: whether the EHR sends the
chart, the service pulls it, pages cut it in pieces, or a drug stands in a resource of its own, the
verdicts and their evidence must be the same, field for field.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest

from cds_service.demo.patients import DemoPatient, load_demo_patients

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.end_to_end

Json = dict[str, Any]
Evaluate = Callable[[DemoPatient], Json]

SERVICE_ID = "net-retreat-eligibility"
REPORT = "org.net-retreat.report"
FHIR_JSON = "application/fhir+json"
DEADLINE_SECONDS = 2
DRUG_RESOURCES = ("MedicationAdministration", "MedicationRequest", "MedicationStatement")

PATIENTS = load_demo_patients(date.today())  # noqa: DTZ011 - the day on this machine
ORDINARY = [patient for patient in PATIENTS if patient.expected.overall == "not_relevant"]
WITH_CARD = [
    patient
    for patient in PATIENTS
    if patient.expected.overall in {"all_met", "possible", "not_now"}
]
WITH_CARD.sort(key=lambda patient: len(patient.resources))
LARGEST = WITH_CARD[-3:]
TREATED = [
    patient
    for patient in WITH_CARD
    if any("medicationCodeableConcept" in resource for resource in patient.resources)
]
each_patient = pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: patient.name)
each_ordinary = pytest.mark.parametrize("patient", ORDINARY, ids=lambda patient: patient.name)
each_large = pytest.mark.parametrize("patient", LARGEST, ids=lambda patient: patient.name)
each_treated = pytest.mark.parametrize("patient", TREATED[-4:], ids=lambda patient: patient.name)


@dataclass(frozen=True)
class Ehr:
    """Plays the EHR: reads the discovery document, fills the prefetch, calls the hook.

    Args:
        service: the service's base URL.
        fhir: the base URL of the EHR's FHIR server.
        client: how it reaches both.
    """

    service: str
    fhir: str
    client: httpx2.Client

    def templates(self) -> dict[str, str]:
        """The prefetch templates that the service publishes."""
        services = self.client.get(f"{self.service}/cds-services").json()["services"]
        return next(one["prefetch"] for one in services if one["id"] == SERVICE_ID)

    def prefetch(self, patient_id: str, *, including: Sequence[str] = ()) -> Json:
        """What each template finds: the first page only, as HAPI gives it.

        Args:
            patient_id: whose chart.
            including: searches for these resource types include the drugs referred to.
        """
        found = {}
        for key, template in self.templates().items():
            query = re.sub(r"\{\{ *context\.patientId *\}\}", patient_id, template)
            resource_type = re.split(r"[/?]", query)[0]
            if resource_type in including:
                query += f"&_include={resource_type}:medication"
            answer = self.client.get(f"{self.fhir}/{query}", headers={"Cache-Control": "no-cache"})
            assert 200 == answer.status_code, query
            found[key] = answer.json()
        return found

    def call(self, patient_id: str, **members: object) -> httpx2.Response:
        """The hook's answer for a patient; ``members`` are added to the request."""
        request = {
            "hook": "patient-view",
            "hookInstance": str(uuid.uuid4()),
            "context": {"userId": "Practitioner/end-to-end", "patientId": patient_id},
            **members,
        }
        return self.client.post(f"{self.service}/cds-services/{SERVICE_ID}", json=request)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    """The tests' own way to the servers, past any proxy."""
    with httpx2.Client(trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def ehr(
    hapi_with_demo_patients: str, service_factory: Callable[..., str], client: httpx2.Client
) -> Ehr:
    """An EHR whose FHIR server the service may read."""
    return Ehr(service_factory(hapi_with_demo_patients), hapi_with_demo_patients, client)


@pytest.fixture(scope="module")
def small_pages_ehr(
    hapi_with_small_pages: str, service_factory: Callable[..., str], client: httpx2.Client
) -> Ehr:
    """The same, where no page has more than 5 entries."""
    return Ehr(service_factory(hapi_with_small_pages), hapi_with_small_pages, client)


@pytest.fixture(scope="module")
def evaluate(ehr: Ehr, tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Runs ``cds-service evaluate`` on what the server holds of a demo patient, once for each."""
    known: dict[str, Json] = {}

    def run(patient: DemoPatient) -> Json:
        if patient.name not in known:
            file = tmp_path_factory.mktemp("chart") / "bundle.json"
            file.write_text(json.dumps(stored(ehr, patient)), encoding="utf-8")
            known[patient.name] = report_of(file)
        return known[patient.name]

    return run


def stored(ehr: Ehr, patient: DemoPatient) -> Json:
    """The patient's chart as a Bundle, without what is too broken for the server to take."""
    resources = []
    for resource in patient.resources:
        answer = ehr.client.get(f"{ehr.fhir}/{resource['resourceType']}/{resource['id']}")
        if answer.status_code != 404:
            resources.append(answer.raise_for_status().json())
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def report_of(file: Path) -> Json:
    """What the command line says of a Bundle."""
    command = [sys.executable, "-m", "cds_service.cli", "evaluate", str(file), "--format", "json"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    report: Json = json.loads(done.stdout)
    return report


def card(answer: httpx2.Response) -> Json:
    """The one card of a hook's answer."""
    assert 200 == answer.status_code, answer.text
    (only,) = answer.json()["cards"]
    return dict(only)


def judged(report: Json) -> Json:
    """What must not depend on how the chart was read."""
    criteria = {
        one["id"]: {
            "status": one["status"],
            "basis": one.get("basis"),
            "change": one.get("change"),
            "evidence": sorted(
                evidence["reference"]
                for evidence in one.get("evidence", ())
                # Whether the drug's own resource is named beside its order depends on the reading.
                if not evidence["reference"].startswith("Medication/")
            ),
        }
        for one in report["criteria"]
    }
    return {"overall": report["overall"], "criteria": criteria}


def assert_same(expected: Json, answer: httpx2.Response) -> None:
    """The answer holds the expected report, or is silent where that result is silent."""
    if expected["overall"] in {"excluded", "not_relevant"}:
        assert (200, {"cards": []}) == (answer.status_code, answer.json())
    else:
        assert judged(expected) == judged(card(answer)["extension"][REPORT])


def assert_refused(answer: httpx2.Response) -> None:
    """The answer for a patient who cannot be had."""
    assert 412 == answer.status_code, answer.text
    assert "OperationOutcome" == answer.json()["resourceType"]


class TestWaysOfReading:
    """Prefetch, pull, pages: one result."""

    def test_the_server_is_the_one_meant(self, ehr: Ehr) -> None:
        """HAPI 8.6.0, speaking R4."""
        capabilities = ehr.client.get(f"{ehr.fhir}/metadata").json()

        assert "4.0.1" == capabilities["fhirVersion"]
        assert "8.6.0" == capabilities["software"]["version"]

    @each_patient
    def test_without_prefetch(self, ehr: Ehr, evaluate: Evaluate, patient: DemoPatient) -> None:
        """The service pulls everything from the EHR's FHIR server."""
        answer = ehr.call(patient.name, fhirServer=ehr.fhir)

        assert_same(evaluate(patient), answer)

    @each_patient
    def test_with_complete_prefetch(
        self, ehr: Ehr, evaluate: Evaluate, patient: DemoPatient
    ) -> None:
        """The EHR sends what the templates ask for."""
        answer = ehr.call(patient.name, prefetch=ehr.prefetch(patient.name), fhirServer=ehr.fhir)

        assert_same(evaluate(patient), answer)

    @each_large
    def test_without_prefetch_in_small_pages(
        self, small_pages_ehr: Ehr, evaluate: Evaluate, patient: DemoPatient
    ) -> None:
        """The service follows every ``next``."""
        answer = small_pages_ehr.call(patient.name, fhirServer=small_pages_ehr.fhir)

        assert_same(evaluate(patient), answer)

    @each_large
    def test_with_the_first_pages_as_prefetch(
        self, small_pages_ehr: Ehr, evaluate: Evaluate, patient: DemoPatient
    ) -> None:
        """A prefetch that is cut off goes on at its ``next``."""
        prefetch = small_pages_ehr.prefetch(patient.name)
        relations = {
            link["relation"] for bundle in prefetch.values() for link in bundle.get("link", ())
        }
        assert "next" in relations

        answer = small_pages_ehr.call(
            patient.name, prefetch=prefetch, fhirServer=small_pages_ehr.fhir
        )

        assert_same(evaluate(patient), answer)

    @each_large
    def test_with_part_of_the_prefetch(
        self, ehr: Ehr, evaluate: Evaluate, patient: DemoPatient
    ) -> None:
        """What the EHR leaves out is pulled."""
        given = list(ehr.prefetch(patient.name).items())[::2]
        answer = ehr.call(patient.name, prefetch=dict(given), fhirServer=ehr.fhir)

        assert_same(evaluate(patient), answer)

    @each_ordinary
    def test_an_ordinary_patient_gives_no_card(self, ehr: Ehr, patient: DemoPatient) -> None:
        """Silence, as an empty list, whichever way the chart comes."""
        pulled = ehr.call(patient.name, fhirServer=ehr.fhir)
        prefetched = ehr.call(
            patient.name, prefetch=ehr.prefetch(patient.name), fhirServer=ehr.fhir
        )

        assert {"cards": []} == pulled.json() == prefetched.json()


class TestDrugsOfTheirOwn:
    """A drug that is a Medication resource counts as one written in place."""

    @each_treated
    def test_referenced(self, ehr: Ehr, evaluate: Evaluate, patient: DemoPatient) -> None:
        """The service fetches the Medication that an order points at."""
        twin = put_twin(ehr, patient)
        answer = ehr.call(twin, fhirServer=ehr.fhir)

        assert_same(evaluate(patient), renamed(answer, twin, patient.name))

    @each_treated
    def test_included(self, ehr: Ehr, evaluate: Evaluate, patient: DemoPatient) -> None:
        """The EHR sends the Medication along with the orders; nothing is pulled."""
        twin = put_twin(ehr, patient)
        prefetch = ehr.prefetch(twin, including=DRUG_RESOURCES)
        modes = {
            entry["search"]["mode"]
            for bundle in prefetch.values()
            for entry in bundle.get("entry", ())
        }
        assert "include" in modes

        answer = ehr.call(twin, prefetch=prefetch)

        assert_same(evaluate(patient), renamed(answer, twin, patient.name))


def put_twin(ehr: Ehr, patient: DemoPatient) -> str:
    """Put the patient on the server once more, each drug as a resource of its own.

    Returns:
        The twin's id.
    """
    twin = f"{patient.name}-twin"
    chart = json.loads(json.dumps(stored(ehr, patient)).replace(patient.name, twin))
    resources = [entry["resource"] for entry in chart["entry"]]
    # HAPI can include only what it already knew when it read the reference to it.
    resources.sort(key=lambda resource: resource["resourceType"] not in {"Medication", "Patient"})
    for resource in resources:
        if "medicationCodeableConcept" in resource:
            drug_id = f"drug-{resource['id']}"
            code = resource.pop("medicationCodeableConcept")
            put(ehr, {"resourceType": "Medication", "id": drug_id, "code": code})
            resource["medicationReference"] = {"reference": f"Medication/{drug_id}"}
        put(ehr, resource)
    return twin


def put(ehr: Ehr, resource: Json) -> None:
    """Store one resource on the EHR's FHIR server."""
    url = f"{ehr.fhir}/{resource['resourceType']}/{resource['id']}"
    stored = ehr.client.put(url, json=resource, headers={"Content-Type": FHIR_JSON})
    assert stored.is_success, stored.text


def renamed(answer: httpx2.Response, old: str, new: str) -> httpx2.Response:
    """The same answer about another patient."""
    text = answer.text.replace(old, new)
    return httpx2.Response(answer.status_code, text=text, request=answer.request)


class TestWhatMayNotBeRead:
    """Patients who are not there, and servers that nobody allowed."""

    def test_an_unknown_patient(self, ehr: Ehr) -> None:
        """No Patient, no statement about one."""
        assert_refused(ehr.call("nobody-of-that-name", fhirServer=ehr.fhir))

    def test_a_server_that_is_not_allowed_is_not_asked(self, ehr: Ehr) -> None:
        """The Patient cannot be had, and not one request went out."""
        with listening(lambda _: None) as (stranger, requests):
            answer = ehr.call(PATIENTS[0].name, fhirServer=stranger)

        assert_refused(answer)
        assert [] == requests

    @each_large
    def test_prefetch_is_used_whatever_server_is_named(
        self, ehr: Ehr, evaluate: Evaluate, patient: DemoPatient
    ) -> None:
        """The chart that was sent is enough; the unknown server is still left alone."""
        with listening(lambda _: None) as (stranger, requests):
            # With the drugs, which no template can ask for: now the chart is whole as sent.
            prefetch = ehr.prefetch(patient.name, including=DRUG_RESOURCES)
            answer = ehr.call(patient.name, prefetch=prefetch, fhirServer=stranger)

        assert_same(evaluate(patient), answer)
        assert [] == requests


class TestFailure:
    """A FHIR server that fails on the way: said, never taken for "nothing on record"."""

    @pytest.mark.parametrize("answered", [0, 1, 2, 3, 5, 8])
    def test_the_server_goes_away(
        self, ehr: Ehr, service_factory: Callable[..., str], evaluate: Evaluate, answered: int
    ) -> None:
        """After some answers it closes every connection."""
        patient = LARGEST[-1]
        with relaying(ehr, answers=answered) as relay:
            service = service_factory(relay)
            answer = Ehr(service, relay, ehr.client).call(patient.name, fhirServer=relay)

        assert_honest(answer, evaluate(patient), nothing_read=answered == 0)

    def test_the_server_hangs(
        self, ehr: Ehr, service_factory: Callable[..., str], evaluate: Evaluate
    ) -> None:
        """It takes requests and answers some never: the hook still meets its deadline."""
        patient = LARGEST[-1]
        with relaying(ehr, answers=3, then_hang=True) as relay:
            service = service_factory(relay, deadline_seconds=DEADLINE_SECONDS)
            begun = time.monotonic()
            answer = Ehr(service, relay, ehr.client).call(patient.name, fhirServer=relay)
            took = time.monotonic() - begun

        assert_honest(answer, evaluate(patient), nothing_read=False)
        assert took < DEADLINE_SECONDS + 1


def assert_honest(answer: httpx2.Response, full: Json, *, nothing_read: bool) -> None:
    """Either no Patient and 412, or a card that names what could not be read.

    A criterion is met because nothing was found only where the whole chart has nothing either.
    """
    if nothing_read or answer.status_code == 412:
        assert_refused(answer)
        return
    shown = card(answer)
    report = shown["extension"][REPORT]
    absent = {one["id"] for one in full["criteria"] if one.get("basis") == "absence"}

    assert report["unread"]
    assert "could not" in (shown["summary"] + shown["detail"]).lower()
    assert "all_met" != report["overall"]
    assert absent >= {one["id"] for one in report["criteria"] if one.get("basis") == "absence"}


@contextmanager
def listening(
    answer: Callable[[BaseHTTPRequestHandler], None],
) -> Iterator[tuple[str, list[str]]]:
    """A small HTTP server that keeps the path of every request; gives its URL and those paths."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            answer(self)

        do_POST = do_GET  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/fhir", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def relaying(ehr: Ehr, *, answers: int, then_hang: bool = False) -> Iterator[str]:
    """HAPI behind a relay that, after some answers, closes each connection or lets it hang."""
    left = list(range(answers))
    closing = threading.Event()

    def relay(request: BaseHTTPRequestHandler) -> None:
        try:
            left.pop()
        except IndexError:
            closing.wait(10 * DEADLINE_SECONDS if then_hang else 0)
            request.close_connection = True
            return
        url = urlsplit(ehr.fhir)
        # Host as the service wrote it: from it HAPI makes the links to the next pages.
        answer = httpx2.get(
            f"{url.scheme}://{url.netloc}{request.path}",
            headers={"Host": request.headers["Host"], "Cache-Control": "no-cache"},
            trust_env=False,
        )
        request.send_response(answer.status_code)
        request.send_header("Content-Type", answer.headers["Content-Type"])
        request.send_header("Content-Length", str(len(answer.content)))
        request.end_headers()
        request.wfile.write(answer.content)

    with listening(relay) as (base_url, _):
        try:
            yield base_url
        finally:
            closing.set()
