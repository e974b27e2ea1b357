"""The whole service as it is started, real tables and trial; only the clock is given."""

from __future__ import annotations

import gc
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from cds_service.app import create_app
from cds_service.errors import ConfigError
from cds_service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.applications import Starlette

SERVICE = "/cds-services/net-retreat-eligibility"
# Already the next day in UTC, and not yet in Toronto.
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
TUMOUR = {
    "resourceType": "Condition",
    "id": "net",
    "subject": {"reference": "Patient/p1"},
    "verificationStatus": {"coding": [{"code": "confirmed"}]},
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7A.012"}]},
    "onsetDateTime": "2021-05-01",
}


@pytest.fixture
def app(tmp_path: Path) -> Starlette:
    """A site in Toronto that may read one FHIR server, which is off."""
    site = tmp_path / "site.yaml"
    site.write_text("timezone: America/Toronto\n")
    settings = Settings(
        auth="none",
        site_file=site,
        database_url=f"sqlite:///{tmp_path}/store.db",
        hash_key_file=tmp_path / "hash.key",
        fhir_servers=("http://127.0.0.1:9/r4",),
        deadline_seconds=2,
        links_protocol_url="https://trials.example.org/ne1",
    )
    return create_app(settings, now=lambda: NOW)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """An EHR."""
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as http,
    ):
        yield http


@pytest.fixture
async def nothing(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Complete prefetch of a patient with an empty chart."""
    (service,) = (await client.get("/cds-services")).json()["services"]
    prefetch: dict[str, Any] = dict.fromkeys(service["prefetch"])
    prefetch["patient"] = {"resourceType": "Patient", "id": "p1", "birthDate": "1960-01-01"}
    return prefetch


def hook(prefetch: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A hook request."""
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/9", "patientId": "p1"},
        "prefetch": prefetch,
        **members,
    }


async def test_discovery_names_what_it_reads(client: httpx2.AsyncClient) -> None:
    """One template for each type, each within the recommended subset."""
    (service,) = (await client.get("/cds-services")).json()["services"]

    assert "Patient/{{context.patientId}}" == service["prefetch"]["patient"]
    assert {"hook", "id", "title", "description", "usageRequirements", "version"} < set(service)
    for template in service["prefetch"].values():
        parameters = [part.partition("=")[0] for part in template.partition("?")[2].split("&")]
        assert len(parameters) == len(set(parameters))


async def test_a_patient_whom_the_trial_does_not_concern(
    client: httpx2.AsyncClient, nothing: dict[str, Any]
) -> None:
    """No card: everything was read, and there is nothing to show."""
    response = await client.post(SERVICE, json=hook(nothing))

    assert {"cards": []} == response.json()


async def test_a_card_from_complete_prefetch(
    client: httpx2.AsyncClient, nothing: dict[str, Any]
) -> None:
    """Orders what is missing, in the site's time zone, with a link that was configured."""
    nothing["conditions"] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": TUMOUR}],
    }

    (card,) = (await client.post(SERVICE, json=hook(nothing))).json()["cards"]

    report = card["extension"]["org.net-retreat.report"]
    assert "2026-11-23" == report["asOf"]
    assert [] == report["unread"]
    assert card["summary"].startswith(("Not now for NET RETREAT: ", "Possible NET RETREAT"))
    orders = [one["actions"][0]["resource"] for one in card["suggestions"]]
    assert "777-3" in {order["code"]["coding"][0]["code"] for order in orders}
    assert {"2026-11-23"} == {order["authoredOn"] for order in orders}
    assert ["https://trials.example.org/ne1"] == [link["url"] for link in card["links"]]


async def test_hostile_words_in_the_chart_stay_words(
    client: httpx2.AsyncClient, nothing: dict[str, Any]
) -> None:
    """All the way from a resource to the card."""
    evil = "<script>x</script> [a](https://evil.example) www.evil.example"
    condition = json.loads(json.dumps(TUMOUR))
    condition["code"]["text"] = condition["code"]["coding"][0]["display"] = evil
    nothing["conditions"] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": condition}],
    }

    (card,) = (await client.post(SERVICE, json=hook(nothing))).json()["cards"]

    del card["extension"]
    text = json.dumps(card)
    assert "<script" not in text
    assert "https://evil" not in text
    assert "www.evil" not in text
    assert "evil" not in card["summary"]


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ({}, "not-concerned"),
        ({"deceasedBoolean": True}, "deceased"),
        ({"deceasedDateTime": "2026-11"}, "deceased"),
        ({"active": False}, "inactive"),
        ({"link": [{"type": "replaced-by", "other": {"reference": "Patient/p2"}}]}, "merged"),
    ],
)
async def test_the_audit_says_why_there_is_no_card(
    client: httpx2.AsyncClient,
    nothing: dict[str, Any],
    tmp_path: Path,
    person: dict[str, Any],
    reason: str,
) -> None:
    """A word for each; to the EHR all are the same."""
    nothing["patient"] |= person
    if person:
        nothing["conditions"] = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": TUMOUR}],
        }

    assert {"cards": []} == (await client.post(SERVICE, json=hook(nothing))).json()

    with closing(sqlite3.connect(tmp_path / "store.db")) as database:
        ((record,),) = database.execute("select record from audit where kind = 'hook'")
    kept = json.loads(record)
    assert ("not_relevant", reason) == (kept["overall"], kept["reason"])


async def test_data_that_nobody_sent_is_named(
    client: httpx2.AsyncClient, nothing: dict[str, Any]
) -> None:
    """Never an empty answer for want of data."""
    (card,) = (await client.post(SERVICE, json=hook({"patient": nothing["patient"]}))).json()[
        "cards"
    ]

    assert card["summary"].startswith("NET RETREAT screening incomplete: could not read ")
    assert "### What could not be read" in card["detail"]
    assert "- Condition: not provided" in card["detail"]


async def test_a_server_that_is_not_listed_is_not_read(
    client: httpx2.AsyncClient, nothing: dict[str, Any]
) -> None:
    """The answer is from the prefetch alone, and says that this is why."""
    sent = hook({"patient": nothing["patient"]})

    without = await client.post(SERVICE, json=sent)
    named = await client.post(SERVICE, json=sent | {"fhirServer": "http://evil.example/r4"})

    assert 200 == named.status_code
    (plain,), (card,) = without.json()["cards"], named.json()["cards"]
    assert "- Condition: not provided and this service may not read the server named" in (
        card["detail"].splitlines()
    )
    assert "evil" not in json.dumps(card)
    one, other = (
        [
            (it["id"], it["status"])
            for it in found["extension"]["org.net-retreat.report"]["criteria"]
        ]
        for found in (plain, card)
    )
    assert one == other


SEARCHSET = {"resourceType": "Bundle", "type": "searchset"}


def _written_in_full(
    nothing: dict[str, Any], base: str, full_url: str | None = None
) -> dict[str, Any]:
    """A prefetch with a tumour whose subject is written in full."""
    tumour = TUMOUR | {"subject": {"reference": f"{base}/Patient/p1"}}
    entry = {"resource": tumour} | ({"fullUrl": full_url} if full_url else {})
    return nothing | {"conditions": SEARCHSET | {"entry": [entry]}}


@pytest.mark.parametrize(
    ("named", "base"),
    [
        ("https://ehr.example/fhir", "https://ehr.example/fhir"),
        ("https://ehr.example/fhir/", "https://ehr.example/fhir"),
        ("https://EHR.example:443/fhir", "https://EHR.example:443/fhir"),
        ("https://EHR.example:443/fhir", "https://ehr.example/fhir"),
        ("http://127.0.0.1:9/r4", "http://127.0.0.1:9/r4"),
    ],
)
async def test_the_server_named_tells_whose_references_in_full_are(
    client: httpx2.AsyncClient, nothing: dict[str, Any], named: str, base: str
) -> None:
    """Also where it may not be read: its text alone is compared."""
    sent = hook(_written_in_full(nothing, base), fhirServer=named)

    (card,) = (await client.post(SERVICE, json=sent)).json()["cards"]

    report = card["extension"]["org.net-retreat.report"]
    assert ["met"] == [one["status"] for one in report["criteria"] if one["id"] == "midgut-net"]
    assert [] == [one for one in report["dataIssues"] if one["code"] == "other-patient"]


@pytest.mark.parametrize(
    ("named", "base"),
    [
        ("https://ehr.example/fhir", "https://other.example/fhir"),
        ("https://ehr.example/fhir", "https://ehr.example/fhirx"),
        ("https://ehr.example/fhir", "https://ehr.example/fhir/.."),
        ("https://ehr.example/fhir", "http://ehr.example/fhir"),
        ("https://good.example@evil.example/fhir", "https://good.example@evil.example/fhir"),
        ("https://ehr.example/fhir/..", "https://ehr.example/fhir/.."),
        ("file:///etc", "file:///etc"),
        ("urn:uuid:1", "urn:uuid:1"),
        ("/", ""),
        (" ", " "),
    ],
)
async def test_no_other_server_s_patient_is_this_one(
    client: httpx2.AsyncClient, nothing: dict[str, Any], named: str, base: str
) -> None:
    """Nor is a text that is no plain address of a server a name for one."""
    sent = hook(_written_in_full(nothing, base), fhirServer=named)

    assert {"cards": []} == (await client.post(SERVICE, json=sent)).json()


@pytest.mark.parametrize(
    ("base", "full_url", "cards"),
    [
        ("https://ehr.example/fhir", "https://ehr.example/fhir/Condition/net", 1),
        ("https://ehr.example/fhir", "https://ehr.example/fhir/Condition/net/_history/2", 1),
        ("https://other.example/fhir", "https://ehr.example/fhir/Condition/net", 0),
        ("https://ehr.example/fhir", "https://ehr.example/fhir/Condition/another", 0),
        ("https://ehr.example/fhir", "urn:uuid:0b5f3a9e-8d65-4f0c-9f1f-8a4c6d7f2f10", 0),
        ("https://ehr.example/fhir", None, 0),
    ],
)
async def test_without_a_server_the_entries_tell(
    client: httpx2.AsyncClient, nothing: dict[str, Any], base: str, full_url: str | None, cards: int
) -> None:
    """By their own URLs: a subject of the same base is of the same server."""
    sent = hook(_written_in_full(nothing, base, full_url))

    assert cards == len((await client.post(SERVICE, json=sent)).json()["cards"])


@pytest.mark.parametrize("server", [None, "http://evil.example/r4", "http://127.0.0.1:9/r4"])
async def test_a_patient_that_cannot_be_had(client: httpx2.AsyncClient, server: str | None) -> None:
    """412, whether there is no server, a strange one, or one that is off."""
    members = {} if server is None else {"fhirServer": server}

    response = await client.post(SERVICE, json=hook({}, **members))

    assert 412 == response.status_code
    assert "OperationOutcome" == response.json()["resourceType"]


async def test_a_server_that_is_off_leaves_the_rest_unread(
    client: httpx2.AsyncClient, nothing: dict[str, Any]
) -> None:
    """The Patient was sent, so there is an answer."""
    sent = hook({"patient": nothing["patient"]}, fhirServer="http://127.0.0.1:9/r4")

    (card,) = (await client.post(SERVICE, json=sent)).json()["cards"]

    assert "screening incomplete" in card["summary"]


async def test_another_patient_in_the_prefetch(
    client: httpx2.AsyncClient, nothing: dict[str, Any]
) -> None:
    """No clinical statement about a mix of two."""
    nothing["patient"]["id"] = "p2"

    assert 412 == (await client.post(SERVICE, json=hook(nothing))).status_code


@pytest.mark.parametrize("depth", range(100, 1000, 100))
async def test_deep_resources_are_no_fault(
    client: httpx2.AsyncClient, nothing: dict[str, Any], depth: int
) -> None:
    """At no depth does anything fall over."""
    deep = '{"resourceType": "Condition", "x": ' + "[" * depth + "]" * depth + "}"
    nothing["conditions"] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": "DEEP"}],
    }
    body = json.dumps(hook(nothing)).replace('"DEEP"', deep)

    response = await client.post(
        SERVICE, content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code in {200, 400}


async def test_what_a_process_says_of_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """That it starts, with what; when its readiness changes; that it stops."""
    settings = Settings(
        auth="none",
        mode="shadow",
        database_url=f"sqlite:///{tmp_path}/store.db",
        hash_key_file=tmp_path / "hash.key",
    )
    app = create_app(settings, now=lambda: NOW)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as ehr,
    ):
        (tmp_path / "store.db").rename(tmp_path / "away.db")
        unready = [(await ehr.get("/health/ready")).status_code for _ in range(2)]
        (tmp_path / "away.db").rename(tmp_path / "store.db")
        ready = [(await ehr.get("/health/ready")).status_code for _ in range(2)]

    assert ([503, 503], [200, 200]) == (unready, ready)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ["start", "store", "unready", "store", "ready", "stop"] == [it["event"] for it in lines]
    assert "shadow" == lines[0]["mode"]
    assert lines[0]["version"]
    assert lines[0]["trial"].startswith("sha256:")
    assert ("readiness", "impossible-to-open") == (lines[1]["operation"], lines[1]["reason"])
    assert "store" == lines[2]["reason"]


async def test_what_start_up_made_is_not_collected(app: Starlette) -> None:
    """And everything is as before when the service has stopped."""
    before = gc.get_threshold()

    async with app.router.lifespan_context(app):
        assert gc.get_freeze_count() > 0
        assert before != gc.get_threshold()

    assert before == gc.get_threshold()


def test_tokens_that_nobody_could_have_issued() -> None:
    """A service that must check tokens does not start without knowing whose."""
    with pytest.raises(ConfigError, match="CDS_AUTH=required needs CDS_JWT_ISSUERS"):
        create_app(Settings(auth="required"))
