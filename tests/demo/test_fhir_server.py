"""The demo's FHIR server over HTTP: reading, searching, paging, ordering, and every refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.operationoutcome import OperationOutcome
from starlette.testclient import TestClient

from cds_service.demo.fhir_server import LARGEST_BODY, LARGEST_PAGE, fhir_app
from cds_service.demo.search_params import PARAMS

if TYPE_CHECKING:
    from datetime import date

    from httpx2 import Response

LOINC = "http://loinc.org"


def observation(identity: str, **fields: Any) -> dict[str, Any]:
    """An Observation of patient p1 with the given elements."""
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        **fields,
    }


SMALL = [
    {
        "resourceType": "Patient",
        "id": "p1",
        "gender": "female",
        "birthDate": "1970-05",
        "name": [{"family": "Ängström", "given": ["Eva", "Maria"]}],
        "identifier": [{"system": "urn:mrn", "value": "7"}],
    },
    {"resourceType": "Patient", "id": "p2", "active": True},
    observation(
        "a",
        code={"coding": [{"system": LOINC, "code": "718-7"}, {"code": "HB"}]},
        effectiveDateTime="2026-03-10T08:00:00Z",
    ),
    observation(
        "b",
        code={"coding": [{"system": LOINC, "code": "777-3"}]},
        effectiveDateTime="2026-03",
        category=[{"coding": [{"system": "urn:c", "code": "laboratory"}]}],
    ),
    observation(
        "c",
        code={"coding": [{"system": "urn:local", "code": "718-7"}]},
        effectivePeriod={"start": "2026-03-09", "end": "2026-03-11"},
        status="amended",
    ),
    observation("d", code={"text": "no code"}, effectivePeriod={"start": "2026-03-20"}),
    observation("broken", code="718-7?", effectiveDateTime=12, category="x"),
    observation("undated", code={"coding": "not a list"}, effectiveDateTime="yesterday"),
    {
        "resourceType": "Observation",
        "id": "other",
        "status": "final",
        "subject": {"reference": "http://elsewhere.test/fhir/Patient/p2"},
        "code": {"coding": [{"system": LOINC, "code": "718-7"}]},
        "effectiveDateTime": "2026-03-10",
    },
    {
        "resourceType": "ImagingStudy",
        "id": "study",
        "status": "available",
        "subject": {"reference": "Patient/p1"},
        "started": "2026-01-02",
        "series": [{"uid": "1.2", "modality": {"system": "urn:dcm", "code": "PT"}}],
    },
    {"resourceType": "Medication", "id": "m1", "code": {"text": "drug"}},
    {
        "resourceType": "MedicationRequest",
        "id": "r1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "medicationReference": {"reference": "Medication/m1"},
    },
    {
        "resourceType": "MedicationRequest",
        "id": "r2",
        "status": "stopped",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "medicationReference": {"reference": "Medication/gone"},
    },
]


@pytest.fixture
def small() -> TestClient:
    """A server with a few resources, some of them broken."""
    return TestClient(fhir_app(SMALL), base_url="http://ehr.test")


def found(response: Response, mode: str = "match") -> list[str]:
    """The ids in a searchset, of matches or of includes."""
    assert 200 == response.status_code, response.text
    entries = response.json().get("entry", [])
    return [one["resource"]["id"] for one in entries if one["search"]["mode"] == mode]


def refusal(response: Response) -> str:
    """The diagnostics of an answer that must be a valid OperationOutcome."""
    assert response.headers["content-type"].startswith("application/fhir+json")
    OperationOutcome(response.json())
    return str(response.json()["issue"][0]["diagnostics"])


class TestRead:
    """GET [type]/[id]."""

    def test_gives_the_resource(self, server: TestClient) -> None:
        """As FHIR JSON, not to be stored."""
        response = server.get("/Patient/everything-met")

        assert 200 == response.status_code
        assert response.headers["content-type"].startswith("application/fhir+json")
        assert "no-store" == response.headers["cache-control"]
        assert "everything-met" == response.json()["id"]

    @pytest.mark.parametrize(
        "path", ["/Patient/nobody", "/Spaceship/1", "/Spaceship", "/a/b/c", "/"]
    )
    def test_of_what_is_not_here_is_404(self, server: TestClient, path: str) -> None:
        """With an OperationOutcome, whatever part of the path is unknown."""
        response = server.get(path)

        assert 404 == response.status_code
        assert refusal(response)

    def test_only_known_methods(self, server: TestClient) -> None:
        """Nothing can be deleted or overwritten."""
        assert 405 == server.delete("/Patient/everything-met").status_code
        assert 405 == server.put("/Patient/everything-met", json={}).status_code
        assert refusal(server.delete("/Patient/everything-met"))


class TestSearch:
    """GET [type]?… and its parameters."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("_id=a", ["a"]),
            ("_id=a,c,zzz", ["a", "c"]),
            ("patient=p2", ["other"]),
            ("subject=Patient/p2", ["other"]),
            ("subject=http://elsewhere.test/fhir/Patient/p2", ["other"]),
            ("patient=Group/p2", []),
            ("patient=nobody", []),
            ("code=718-7", ["a", "c", "other"]),
            (f"code={LOINC}|718-7", ["a", "other"]),
            ("code=|HB", ["a"]),
            ("code=|718-7", []),
            ("code=urn:local|", ["c"]),
            (f"code={LOINC}|718-7,{LOINC}|777-3&patient=p1", ["a", "b"]),
            ("code=718-7&code=HB", ["a"]),
            ("code=a\\,b", []),
            ("category=laboratory", ["b"]),
            ("status=amended", ["c"]),
            ("status=http://hl7.org/fhir/observation-status|amended", ["c"]),
            ("date=2026-03-10&patient=p1", ["a"]),
            ("date=eq2026-03&patient=p1", ["a", "b", "c"]),
            ("date=ge2026-03-11&patient=p1", ["b", "c", "d"]),
            ("date=gt2026-03-11&patient=p1", ["b", "d"]),
            ("date=le2026-03-09&patient=p1", ["b", "c"]),
            ("date=lt2026-03-09&patient=p1", ["b"]),
            ("date=ge2026-03-10T08:00:00Z&date=le2026-03-10T08:00:00Z", ["a", "b", "c", "other"]),
            ("date=2026-03-10T09:00%2B01:00", ["a"]),
            ("date=2025,2026-03-10&patient=p1", ["a"]),
        ],
    )
    def test_finds(self, small: TestClient, query: str, expected: list[str]) -> None:
        """Each parameter, in each of its forms; broken resources are never in the way."""
        assert expected == sorted(found(small.get(f"/Observation?{query}")))

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("name=äng", ["p1"]),
            ("name=maria", ["p1"]),
            ("family=eva", []),
            ("given=Eva", ["p1"]),
            ("identifier=urn:mrn|7", ["p1"]),
            ("identifier=7", ["p1"]),
            ("gender=female", ["p1"]),
            ("birthdate=ge1970", ["p1"]),
            ("birthdate=lt1970", []),
        ],
    )
    def test_finds_patients(self, small: TestClient, query: str, expected: list[str]) -> None:
        """By name (from its start, whatever the case), number, sex and birth date."""
        assert expected == found(small.get(f"/Patient?{query}"))

    def test_finds_studies_by_the_modality_of_a_series(self, small: TestClient) -> None:
        """PT stands on the series; the study need not repeat it."""
        assert ["study"] == found(small.get("/ImagingStudy?modality=PT&started=ge2026"))
        assert [] == found(small.get("/ImagingStudy?modality=CT"))

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ("date", ["b", "c", "a", "d"]),
            ("-date", ["d", "a", "c", "b"]),
            ("-_id", ["d", "c", "b", "a"]),
            ("-status,date", ["b", "a", "d", "c"]),
        ],
    )
    def test_sorts(self, small: TestClient, sort: str, expected: list[str]) -> None:
        """By date, id or code, either way, by several in turn."""
        assert expected == found(small.get(f"/Observation?_id=a,b,c,d&_sort={sort}"))

    def test_sorts_what_has_no_date_last(self, small: TestClient) -> None:
        """In either direction: the newest first must not begin with the undated."""
        for sort in ("date", "-date"):
            last = found(small.get(f"/Observation?patient=p1&_sort={sort}"))[-2:]

            assert ["broken", "undated"] == last

    def test_by_post(self, small: TestClient) -> None:
        """The same search by a form, which keeps ids out of logs."""
        form = {"patient": "p1", "code": f"{LOINC}|718-7"}

        assert ["a"] == found(small.post("/Observation/_search", data=form))
        assert ["a"] == found(small.get("/Observation/_search", params=form))

    def test_of_an_unknown_patient_is_empty(self, small: TestClient) -> None:
        """A searchset with no entries, and no empty list, which FHIR forbids."""
        bundle = small.get("/Observation?patient=nobody").json()

        assert 0 == bundle["total"]
        assert "entry" not in bundle
        Bundle(bundle)

    def test_includes_medications_once_and_apart(self, small: TestClient) -> None:
        """Marked as includes, not counted, and none for a reference that leads nowhere."""
        query = "/MedicationRequest?patient=p1&_include=MedicationRequest:medication"
        response = small.get(query)

        assert ["r1", "r2"] == found(response)
        assert ["m1"] == found(response, "include")
        assert 2 == response.json()["total"]

    @pytest.mark.parametrize(
        "query",
        [
            "Observation?nonsense=1",
            "Observation?code:in=x",
            "Observation?patient.name=x",
            "Observation?_lastUpdated=ge2026",
            "Observation?_has:x=1",
            "Observation?patient=",
            "Observation?date=ne2026",
            "Observation?date=soon",
            "Observation?date=2026-13",
            "Observation?date=2026-02-30",
            "Observation?date=ge",
            "Observation?_count=-1",
            "Observation?_count=many",
            "Observation?_count=0",
            "Observation?_sort=nonsense",
            "Observation?_include=Patient:x",
            "Observation?_include=Observation:code",
            "Patient?date=2026",
        ],
    )
    def test_refuses_what_it_does_not_know(self, small: TestClient, query: str) -> None:
        """Ignoring a filter would answer with other patients' data."""
        response = small.get(f"/{query}")

        assert 400 == response.status_code
        assert refusal(response)

    def test_refuses_other_formats(self, small: TestClient) -> None:
        """JSON only, and it says so."""
        assert 406 == small.get("/Patient?_format=xml").status_code
        assert 200 == small.get("/Patient?_format=json").status_code


class TestPaging:
    """Pages, their links and their size."""

    def test_next_links_lead_through_everything_once(self, server: TestClient) -> None:
        """Newest first over several pages, with the total on each."""
        url: str | None = "/Observation?patient=ordinary-diabetes&_sort=-date&_count=17"
        seen: list[str] = []
        dates: list[str] = []
        while url:
            bundle = server.get(url).json()
            Bundle(bundle)
            seen += [entry["resource"]["id"] for entry in bundle["entry"]]
            dates += [entry["resource"]["effectiveDateTime"] for entry in bundle["entry"]]
            links = {link["relation"]: link["url"] for link in bundle["link"]}
            url = links.get("next")

        assert bundle["total"] == len(seen) == len(set(seen))
        assert sorted(dates, reverse=True) == dates

    def test_self_link_repeats_the_search(self, small: TestClient) -> None:
        """Every filter the server used is in it, and it can be called again."""
        bundle = small.get(f"/Observation?code={LOINC}|718-7&_sort=-date").json()
        (link,) = bundle["link"]

        assert "self" == link["relation"]
        assert link["url"].startswith("http://ehr.test/Observation?code=http")
        assert bundle == small.get(link["url"]).json()

    def test_full_urls_can_be_read(self, small: TestClient) -> None:
        """Absolute, at the address that the caller used."""
        (entry,) = small.get("/Observation?_id=a").json()["entry"]

        assert "http://ehr.test/Observation/a" == entry["fullUrl"]
        assert entry["resource"] == small.get(entry["fullUrl"]).json()

    def test_pages_have_a_default_size_and_a_cap(self, server: TestClient) -> None:
        """A greedy `_count` is cut down silently, as servers do."""
        assert 50 == len(found(server.get("/Observation")))
        assert LARGEST_PAGE == len(found(server.get("/Observation?_count=100000")))

    def test_past_the_end_is_an_empty_page(self, small: TestClient) -> None:
        """An offset of a search that has shrunk."""
        assert [] == found(small.get("/Observation?_offset=900"))


class TestOrders:
    """POST ServiceRequest: what accepted suggestions become."""

    ORDER: dict[str, Any] = {  # noqa: RUF012 - never changed
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": "777-3"}]},
        "subject": {"reference": "Patient/p1"},
    }

    def test_are_kept_and_found(self, small: TestClient) -> None:
        """Created with an id and an address, and in the next search."""
        response = small.post("/ServiceRequest", json=self.ORDER)

        assert 201 == response.status_code
        created = response.json()
        assert created == small.get(response.headers["location"]).json()
        assert [created["id"]] == found(small.get("/ServiceRequest?patient=p1&code=777-3"))

    def test_get_an_id_of_the_server(self, small: TestClient) -> None:
        """Never the caller's, which could overwrite another."""
        first, second = (
            small.post("/ServiceRequest", json={**self.ORDER, "id": "mine"}) for _ in range(2)
        )

        assert 3 == len({"mine", first.json()["id"], second.json()["id"]})

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"intent": None}, 422),
            ({"status": ["active"]}, 422),
            ({"surprise": 1}, 422),
            ({"subject": {"reference": "Patient/nobody"}}, 422),
            ({"subject": {"display": "her"}}, 422),
            ({"resourceType": "Observation"}, 400),
        ],
    )
    def test_that_are_no_orders_are_refused(
        self, small: TestClient, change: dict[str, Any], status: int
    ) -> None:
        """Invalid R4, of nobody, or of another type."""
        body = {key: value for key, value in {**self.ORDER, **change}.items() if value is not None}
        response = small.post("/ServiceRequest", json=body)

        assert status == response.status_code
        assert refusal(response)

    @pytest.mark.parametrize(
        ("body", "status"),
        [(b"{", 400), (b"[]", 400), (b"[" * 100_000, 400), (b" " * (LARGEST_BODY + 1), 413)],
    )
    def test_unreadable_bodies_are_refused(
        self, small: TestClient, body: bytes, status: int
    ) -> None:
        """Not JSON, not an object, too deep, too large."""
        response = small.post("/ServiceRequest", content=body)

        assert status == response.status_code
        assert refusal(response)

    def test_nothing_else_can_be_created(self, small: TestClient) -> None:
        """A chart's facts are not this server's to take."""
        assert 405 == small.post("/Observation", json=observation("x")).status_code
        assert 404 == small.post("/Spaceship", json={}).status_code


class TestCapability:
    """GET metadata."""

    @pytest.mark.parametrize("allow_update", [True, False])
    def test_says_exactly_what_works(self, *, allow_update: bool) -> None:
        """Valid R4; every parameter it lists can be used, every interaction as well."""
        client = TestClient(fhir_app(SMALL, allow_update=allow_update))
        statement = client.get("/metadata").json()
        CapabilityStatement(statement)
        described = {one["type"]: one for one in statement["rest"][0]["resource"]}

        assert PARAMS.keys() == described.keys()
        for kind, one in described.items():
            interactions = {interaction["code"] for interaction in one["interaction"]}
            assert allow_update == ("update" in interactions) == one["updateCreate"]
            assert (kind == "ServiceRequest") == ("create" in interactions)
            for param in one["searchParam"]:
                value = "2026" if param["type"] == "date" else "x"
                assert 200 == client.get(f"/{kind}?{param['name']}={value}").status_code
            for include in one.get("searchInclude", ()):
                assert 200 == client.get(f"/{kind}?_include={include}").status_code


class TestUpdate:
    """PUT, where it is allowed."""

    def test_creates_and_replaces_under_a_fixed_id(self) -> None:
        """201 for a new one, 200 for the same again, and one of it in the end."""
        client = TestClient(fhir_app([], allow_update=True))
        body = observation("x")

        assert 201 == client.put("/Observation/x", json=body).status_code
        assert 200 == client.put("/Observation/x", json={**body, "status": "amended"}).status_code
        assert ["x"] == found(client.get("/Observation?status=amended"))

    def test_refuses_another_id(self) -> None:
        """The address decides."""
        client = TestClient(fhir_app([], allow_update=True))

        assert 400 == client.put("/Observation/x", json=observation("y")).status_code
        assert 404 == client.put("/Spaceship/x", json={}).status_code


class TestCrossOrigin:
    """A browser EHR or sandbox on another origin."""

    ORIGIN = {"Origin": "http://sandbox.test"}  # noqa: RUF012 - never changed

    @pytest.mark.parametrize(
        "path", ["/metadata", "/Patient", "/Patient/nobody", "/Patient?x=1", "/nothing/here/at/all"]
    )
    def test_answers_and_errors_can_be_read(self, server: TestClient, path: str) -> None:
        """Without the header on errors a browser hides what went wrong."""
        assert "*" == server.get(path, headers=self.ORIGIN).headers["access-control-allow-origin"]

    def test_preflight(self, server: TestClient) -> None:
        """A POST with JSON and a token is let through."""
        headers = {
            **self.ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        response = server.options("/ServiceRequest", headers=headers)

        assert 200 == response.status_code
        assert "authorization" in response.headers["access-control-allow-headers"]


def test_charts_are_found_by_the_searches_of_an_ehr(server: TestClient, today: date) -> None:
    """What the page asks for has the answers that the fixtures hold."""
    since = today.replace(year=today.year - 1, day=1)
    codes = f"{LOINC}|718-7,{LOINC}|777-3"
    labs = server.get(f"/Observation?patient=platelets-missing&code={codes}&date=ge{since}")

    assert ["platelets-missing-hb"] == found(labs)
