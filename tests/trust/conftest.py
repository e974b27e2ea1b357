"""What the tests of callers share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.fhir.http import FhirClients
from cds_service.store.store import Store
from cds_service.trust.jwks import KeyPolicy
from cds_service.trust.records import Issuer
from cds_service.trust.verify import TokenCheck
from tests.trust.ehr import ISS, PUBLIC, Clock, Ehr, Key, KeyServer, Memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path


@pytest.fixture(scope="session")
def ec_key() -> Key:
    """A key for ES384."""
    return Key("ec-1")


@pytest.fixture(scope="session")
def rsa_key() -> Key:
    """A key for RS384."""
    return Key("rsa-1", "RS384")


@pytest.fixture
def clock() -> Clock:
    """The clock of everybody in a test."""
    return Clock()


@pytest.fixture
def ehr(clock: Clock, ec_key: Key) -> Ehr:
    """The EHR that is trusted."""
    return Ehr(clock, ec_key)


@pytest.fixture
async def store(clock: Clock, tmp_path: Path) -> AsyncIterator[Store]:
    """A real store."""
    made = Store(f"sqlite:///{tmp_path / 'store.db'}", now=clock)
    await made.start()
    yield made
    await made.aclose()


@pytest.fixture
def issuer(ec_key: Key, rsa_key: Key) -> Callable[..., Issuer]:
    """Makes the record of the EHR; its keys are in it unless an address is given."""

    def make(**fields: Any) -> Issuer:
        keys = () if "jwks_url" in fields else (ec_key.public, rsa_key.public)
        record = {"iss": ISS, "name": "ehr", "keys": keys, "fhir_servers": (ISS,)}
        return Issuer(**(record | fields))

    return make


@pytest.fixture
async def clients() -> AsyncIterator[FhirClients]:
    """The door to the network."""
    async with FhirClients() as made:
        yield made


@pytest.fixture
def check(clock: Clock, clients: FhirClients) -> Callable[..., TokenCheck]:
    """Makes the check of callers for some issuers."""

    def make(*issuers: Issuer, **other: Any) -> TokenCheck:
        given: dict[str, Any] = {
            "fetch": clients.document,
            "replay": Memory(),
            "now": clock,
            "key_policy": KeyPolicy(timeout_s=20),
        }
        return TokenCheck(issuers, PUBLIC, **(given | other))

    return make


@pytest.fixture
def key_server() -> Callable[..., AbstractAsyncContextManager[KeyServer]]:
    """Runs a server with keys for the time of a block."""

    @asynccontextmanager
    async def run(*keys: dict[str, Any]) -> AsyncIterator[KeyServer]:
        server = KeyServer(*keys)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(server.serve(ready))
        await ready
        try:
            yield server
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    return run
