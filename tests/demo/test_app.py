"""The demo as one app: what goes to the page, to the FHIR server, and to the CDS service."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import date
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from cds_service.demo.app import demo_app
from cds_service.demo.ehr import age_text
from cds_service.demo.patients import load_demo_patients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

TODAY = date(2026, 11, 24)


@pytest.fixture
def events() -> list[str]:
    """What the service behind the demo went through."""
    return []


@pytest.fixture
def client(events: list[str]) -> Iterator[TestClient]:
    """The demo around a small service that answers with the path it was asked for."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        events.append("started")
        yield
        events.append("stopped")

    async def answer(request: Request) -> Response:
        return PlainTextResponse(f"service {request.method} {request.url.path}")

    service = Starlette(
        routes=[Route("/{path:path}", answer, methods=["GET", "POST"])], lifespan=lifespan
    )
    with TestClient(demo_app(service, TODAY), base_url="http://127.0.0.1:8000") as client:
        yield client


class Page(HTMLParser):
    """Collects what a page shows and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.loads: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag; note what it loads."""
        self.tags.append((tag, dict(attrs)))
        self.loads += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


@pytest.fixture
def page(client: TestClient) -> Page:
    """The EHR page, parsed."""
    page = Page()
    page.feed(client.get("/").text)
    return page


@pytest.mark.parametrize(
    "path", ["/cds-services", "/health/live", "/metrics", "/fhirs", "/staticx", "/favicon.ico"]
)
def test_everything_else_is_the_services(client: TestClient, path: str) -> None:
    """The demo takes no path that is not its own."""
    assert f"service GET {path}" == client.get(path).text
    assert f"service POST {path}" == client.post(path).text


def test_the_service_has_its_own_lifespan(client: TestClient, events: list[str]) -> None:
    """Its start-up runs, or its pools would be missing."""
    client.get("/")

    assert ["started"] == events


def test_fhir_links_carry_the_mount(client: TestClient) -> None:
    """A next link leads back to the same server, under /fhir."""
    bundle = client.get("/fhir/Observation?_count=1").json()
    links = {link["relation"]: link["url"] for link in bundle["link"]}

    assert links["next"].startswith("http://127.0.0.1:8000/fhir/Observation?")
    assert 200 == client.get(links["next"]).status_code
    assert bundle["entry"][0]["fullUrl"].startswith("http://127.0.0.1:8000/fhir/Observation/")


def test_the_page_lists_every_patient_with_the_reason(page: Page) -> None:
    """In order, by name, with what they are there to show."""
    linked = [tag[1]["data-patient"] for tag in page.tags if "data-patient" in tag[1]]

    assert [patient.name for patient in load_demo_patients(TODAY)] == linked
    assert "Lindqvist, Henrik" in page.text
    assert "Platelets were never measured" in page.text


def test_the_banner_says_that_the_data_is_synthetic(page: Page) -> None:
    """Before anything else is read."""
    assert "Synthetic data. Not for care." in page.text


def test_names_are_text(page: Page) -> None:
    """Markup in a name is shown, not obeyed."""
    assert "O'Hara & <b>Sons</b>" in page.text
    assert "b" not in [tag for tag, _ in page.tags]


def test_the_page_loads_only_from_here(client: TestClient, page: Page) -> None:
    """Files under /static that exist; no inline script, style or handler."""
    files = [link for link in page.loads if not link.startswith("#")]

    assert all(link.startswith("/static/") for link in files)
    assert all(200 == client.get(link).status_code for link in files)
    assert "style" not in [tag for tag, _ in page.tags]
    assert not [attrs for _, attrs in page.tags if any(name[:2] == "on" for name in attrs)]
    assert "style" not in {name for _, attrs in page.tags for name in attrs}


def test_the_page_forbids_everything_else(client: TestClient) -> None:
    """The browser is told as well."""
    headers = client.get("/").headers

    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert "nosniff" == headers["x-content-type-options"]


@pytest.mark.parametrize(
    ("birth_date", "expected"),
    [
        ("1964-11-24", "62 years"),
        ("1964-11-25", "61 years"),
        ("1964-11", "61 or 62 years"),
        ("1964-10", "62 years"),
        ("1964", "61 or 62 years"),
        ("", "age not recorded"),
    ],
)
def test_ages(birth_date: str, expected: str) -> None:
    """Completed years; a partial birth date may leave two."""
    assert expected == age_text(birth_date, TODAY)
