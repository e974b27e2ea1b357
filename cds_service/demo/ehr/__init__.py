"""The demo's EHR page: a patient list, a chart, and the cards that decision support gives.

The page is one rendered document with its own style and scripts. It needs no other server than this
one, and talks to the FHIR server and the CDS service as any browser EHR would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from cds_service.demo.patients import DemoPatient

_HERE = Path(__file__).parent

HEADERS = {
    # Scripts and styles come from files here; text from charts can never become either.
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class ListedPatient:
    """One line of the patient list."""

    id: str
    name: str
    about: str
    title: str


def ehr_routes(patients: Sequence[DemoPatient], today: date) -> list[BaseRoute]:
    """The page at ``/`` and its files under ``/static``.

    Args:
        patients: those on the list, in its order.
        today: the day on which ages are counted.
    """
    page = render_page(patients, today)

    async def ehr_page(_: Request) -> Response:
        return HTMLResponse(page, headers=HEADERS)

    return [Route("/", ehr_page), Mount("/static", StaticFiles(directory=_HERE / "static"))]


def render_page(patients: Sequence[DemoPatient], today: date) -> str:
    """The page's HTML, with everything that comes from a chart escaped."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("ehr.html").render(
        patients=[list_patient(patient, today) for patient in patients]
    )


def list_patient(patient: DemoPatient, today: date) -> ListedPatient:
    """A patient as the list shows them."""
    resource = patient.patient
    sex = str(resource.get("gender", "sex not recorded"))
    age = age_text(str(resource.get("birthDate", "")), today)
    return ListedPatient(patient.name, _name_text(resource), f"{age}, {sex}", patient.title)


def age_text(birth_date: str, today: date) -> str:
    """The age in completed years; a range where the birth date is partial."""
    parts = [int(part) for part in birth_date.split("-") if part.isdigit()]
    if not parts:
        return "age not recorded"
    youngest = _age(parts + [12, 31][len(parts) - 1 :], today)
    oldest = _age(parts + [1, 1][len(parts) - 1 :], today)
    return f"{oldest} years" if youngest == oldest else f"{youngest} or {oldest} years"


def _age(born: list[int], today: date) -> int:
    year, month, day = born
    return today.year - year - ((today.month, today.day) < (month, day))


def _name_text(resource: dict[str, Any]) -> str:
    name: dict[str, Any] = next(iter(resource.get("name", ())), {})
    return ", ".join(
        part for part in (name.get("family", ""), " ".join(name.get("given", ()))) if part
    )
