"""Words of a request that nobody may find again: not in the log, the metrics or the store.

The whole service is asked, with a marker in every place of a request that holds text.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVICE = "/cds-services/net-retreat-eligibility"
MARKER = "ZZPHI"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HEADERS = {
    "content-type": "application/json",
    "user-agent": f"{MARKER}-agent",
    "x-forwarded-for": f"{MARKER}-address",
    "x-request-id": f"{MARKER}-request",
    "traceparent": f"{MARKER}-trace",
    "authorization": f"Bearer {MARKER}-token",
    "referer": f"https://{MARKER}.example/",
    "origin": f"https://{MARKER}.example",
    "cookie": f"{MARKER}=1",
}


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """The service, and an EHR."""
    settings = Settings(
        auth="none",
        database_url=f"sqlite:///{folder}/store.db",
        hash_key_file=folder / "hash.key",
        deadline_seconds=2,
    )
    app = create_app(settings, now=lambda: NOW)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as http,
    ):
        yield http


def tumour(**more: Any) -> dict[str, Any]:
    """A complete prefetch but for results, with a tumour that the trial is about."""
    condition = {
        "resourceType": "Condition",
        "id": f"{MARKER}-net",
        "subject": {"reference": f"Patient/{MARKER}-1"},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "code": {
            "coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C7A.012"}],
            "text": f"{MARKER} tumour",
        },
        "note": [{"text": f"{MARKER} note"}],
    }
    patient = {
        "resourceType": "Patient",
        "id": f"{MARKER}-1",
        "birthDate": "1960-01-01",
        "name": [{"family": f"{MARKER}-name"}],
    }
    page = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": condition}]}
    return {"patient": patient | more, "conditions": page, f"{MARKER}-key": {"x": MARKER}}


def hook(prefetch: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A hook request with a marker wherever there is room for one."""
    return {
        "hook": "patient-view",
        "hookInstance": f"{MARKER}-instance",
        "fhirServer": f"https://{MARKER.lower()}.example/{MARKER}",
        "fhirAuthorization": {
            "access_token": f"{MARKER}-lent",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": f"patient/*.rs {MARKER}-scope",
            "subject": f"{MARKER}-subject",
            "patient": f"{MARKER}-1",
        },
        "context": {
            "userId": f"Practitioner/{MARKER}-user",
            "patientId": f"{MARKER}-1",
            "encounterId": f"{MARKER}-encounter",
            f"{MARKER}-member": MARKER,
        },
        "prefetch": prefetch,
        "extension": {f"{MARKER}.example": {"x": f"{MARKER}-extension"}},
        f"{MARKER}-member": MARKER,
    } | members


def kept(folder: Path) -> bytes:
    """All that is in the store."""
    return b"".join(file.read_bytes() for file in folder.glob("store.db*"))


async def test_nothing_of_a_request_is_found_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of hooks that are answered, feedback that is taken, and requests that are refused."""
    other = hook({})
    other["fhirAuthorization"]["patient"] = f"{MARKER}-2"
    wrong = tumour()
    wrong["patient"]["id"] = f"{MARKER}-2"
    async with serving(tmp_path) as ehr:

        async def post(body: Any, path: str = SERVICE) -> httpx2.Response:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await ehr.post(f"{path}?patient={MARKER}", content=content, headers=HEADERS)

        answered = await post(hook(tumour()))
        (card,) = answered.json()["cards"]
        item = {
            "card": card["uuid"],
            "outcome": "accepted",
            "outcomeTimestamp": "2026-11-24T12:00:00Z",
            "acceptedSuggestions": [{"id": f"{MARKER}-suggestion"}],
            "overrideReason": {"reason": {"code": f"{MARKER} code", "system": MARKER}},
            MARKER: MARKER,
        }
        statuses = [
            (await post(body, path)).status_code
            for body, path in (
                (hook(tumour(deceasedBoolean=True)), SERVICE),
                (hook({}), SERVICE),
                (hook(wrong), SERVICE),
                (other, SERVICE),
                (hook({}, hookInstance=f"{MARKER} instance"), SERVICE),
                (f"{{{MARKER}".encode(), SERVICE),
                (hook({}), f"/cds-services/{MARKER}"),
                (hook({}), f"/{MARKER}"),
                ({"feedback": [item]}, f"{SERVICE}/feedback"),
                ({"feedback": [item | {"card": f"{MARKER}-card"}]}, f"{SERVICE}/feedback"),
            )
        ]
        figures = (await ehr.get("/metrics")).text

    assert [200, 412, 412, 400, 400, 400, 404, 404, 200, 404] == statuses
    written = capsys.readouterr()
    log = [json.loads(line) for line in written.err.splitlines() if line.startswith("{")]
    assert {"start", "hook", "server", "refused", "security", "feedback", "stop"} == {
        line["event"] for line in log
    }
    assert MARKER not in written.err.upper() + written.out.upper()
    assert MARKER not in figures.upper()
    assert MARKER.encode() not in kept(tmp_path).upper()
