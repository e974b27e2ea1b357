"""What the demo's tests share: a day, its patients, and a FHIR server that holds them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from cds_service.demo.fhir_server import fhir_app
from cds_service.demo.patients import DemoPatient, load_demo_patients, load_demo_resources

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def today() -> date:
    """The day on which the demo is opened; a leap day, which is where offsets go wrong."""
    return date(2028, 2, 29)


@pytest.fixture(scope="session")
def patients(today: date) -> dict[str, DemoPatient]:
    """The demo patients by name."""
    return {patient.name: patient for patient in load_demo_patients(today)}


@pytest.fixture
def server(today: date) -> Iterator[TestClient]:
    """A client of a FHIR server with all demo patients."""
    with TestClient(fhir_app(load_demo_resources(today)), base_url="http://ehr.test") as client:
        yield client
