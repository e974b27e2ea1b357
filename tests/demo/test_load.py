"""Loading the demo patients to a FHIR server, over HTTP to a real one of our own."""

from __future__ import annotations

import threading
import time
from datetime import date
from typing import TYPE_CHECKING

import pytest
import uvicorn
from starlette.testclient import TestClient

from cds_service.demo.fhir_server import fhir_app
from cds_service.demo.load import load, load_resources
from cds_service.demo.patients import load_demo_resources
from cds_service.errors import FhirUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

TODAY = date(2026, 11, 24)


class Listening:
    """An app that listens on a port of 127.0.0.1 in a thread."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> str:
        """Start; the base URL."""
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        host, port = self._server.servers[0].sockets[0].getsockname()
        return f"http://{host}:{port}"

    def stop(self) -> None:
        """Stop, and wait until it has."""
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def writable() -> Iterator[tuple[str, TestClient]]:
    """The base URL of an empty server that takes updates, and a client to look into it."""
    listening = Listening(fhir_app([], allow_update=True))
    yield listening.start(), TestClient(listening.app)
    listening.stop()


@pytest.fixture
def read_only() -> Iterator[str]:
    """The base URL of a server that takes no updates."""
    listening = Listening(fhir_app([]))
    yield listening.start()
    listening.stop()


def test_every_valid_resource_arrives_under_its_id(writable: tuple[str, TestClient]) -> None:
    """All but the broken one and the stray of another patient; twice gives no second copy."""
    base_url, client = writable
    resources = load_demo_resources(TODAY)

    assert len(resources) - 2 == load(base_url, TODAY)
    assert len(resources) - 2 == load(base_url, TODAY)
    kinds = {resource["resourceType"] for resource in resources}
    assert len(resources) - 2 == sum(client.get(f"/{kind}").json()["total"] for kind in kinds)
    assert 200 == client.get("/Patient/everything-met").status_code


def test_what_is_pointed_at_is_loaded_first(writable: tuple[str, TestClient]) -> None:
    """Servers that check references take a chart only in that order."""
    base_url, client = writable
    patient = {"resourceType": "Patient", "id": "p"}
    order = {
        "resourceType": "MedicationRequest",
        "id": "r",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": "Medication/m"},
    }

    assert 3 == load_resources(
        base_url, [order, {"resourceType": "Medication", "id": "m"}, patient]
    )
    assert 1 == client.get("/MedicationRequest?patient=p").json()["total"]


def test_a_server_that_refuses_is_named(read_only: str) -> None:
    """One line with the resource, not a traceback of the library."""
    with pytest.raises(FhirUnavailable, match="Practitioner/demo-oncologist could not be loaded"):
        load(read_only, TODAY)


def test_a_server_that_is_off_is_an_error() -> None:
    """Nothing listens there."""
    with pytest.raises(FhirUnavailable, match="ConnectionError"):
        load("http://127.0.0.1:9/fhir", TODAY)
