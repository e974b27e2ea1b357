"""Discovery where it asks who calls, with real tokens against the whole service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx2
import pytest

from cds_service.app import create_app
from cds_service.settings import Settings
from tests.trust.ehr import HOOK, PUBLIC, Clock, Ehr, Key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DISCOVERY = "/cds-services"
HERE = "http://127.0.0.1:8000"


@pytest.fixture
def clock() -> Clock:
    """The clock of the service and of the EHR."""
    return Clock()


@pytest.fixture
def ehr(clock: Clock) -> Ehr:
    """An EHR that the service knows."""
    return Ehr(clock, Key("of-the-ehr"))


@pytest.fixture
async def client(tmp_path: Path, ehr: Ehr, clock: Clock) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service whose discovery wants a token."""
    issuers = {"issuers": [{"iss": ehr.iss, "name": "alpha", "keys": [ehr.key.public],
                            "fhir_servers": ["https://fhir.example/r4"]}]}  # fmt: skip
    (tmp_path / "issuers.json").write_text(json.dumps(issuers), encoding="utf-8")
    settings = Settings(
        auth="required",
        auth_discovery="required",
        jwt_issuers=tmp_path / "issuers.json",
        public_url=PUBLIC,
        database_url=f"sqlite:///{tmp_path}/store.db",
        hash_key_file=tmp_path / "hash.key",
    )
    app = create_app(settings, now=clock)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=HERE) as http,
    ):
        yield http


@pytest.mark.parametrize("path", [DISCOVERY, f"{DISCOVERY}/"])
async def test_discovery_that_wants_a_token(
    client: httpx2.AsyncClient, ehr: Ehr, path: str
) -> None:
    """Nothing without one; all of it for one; and for each token once."""
    token = {"authorization": ehr.bearer(aud=PUBLIC + DISCOVERY)}

    without = await client.get(path)
    garbage = await client.get(path, headers={"authorization": "Bearer a.b.c"})
    shown = await client.get(path, headers=token)
    again = await client.get(path, headers=token)

    assert [401, 401, 200, 401] == [it.status_code for it in (without, garbage, shown, again)]
    (service,) = shown.json()["services"]
    assert HOOK.rpartition("/")[2] == service["id"]
    for refused in (without, garbage, again):
        assert "Bearer" == refused.headers["www-authenticate"]
        assert "not authenticated" == refused.json()["issue"][0]["diagnostics"]
        assert "net-retreat" not in refused.text


async def test_a_token_for_discovery_is_for_discovery_only(
    client: httpx2.AsyncClient, ehr: Ehr
) -> None:
    """And one for the hook is not for discovery."""
    hook = ehr.bearer()
    discovery = ehr.bearer(aud=PUBLIC + DISCOVERY)

    asked = await client.get(DISCOVERY, headers={"authorization": hook})
    called = await client.post(
        HOOK, content=b"{}",
        headers={"authorization": discovery, "content-type": "application/json"},
    )  # fmt: skip

    assert [401, 401] == [asked.status_code, called.status_code]


async def test_a_stale_token(client: httpx2.AsyncClient, ehr: Ehr, clock: Clock) -> None:
    """Shows nobody, for discovery as for a hook."""
    bearer = ehr.bearer(aud=PUBLIC + DISCOVERY)
    clock.forward(minutes=10)

    asked = await client.get(DISCOVERY, headers={"authorization": bearer})

    assert 401 == asked.status_code
