"""Keys that are fetched from an issuer: unknown ones, a server that fails, and new ones for old."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.conftest import SERVICE, Tenant, free_port, hospitals, publish
from tests.cases.inside import in_process
from tests.cases.invariants import watched
from tests.cases.others import sent_at_once
from tests.cases.sent import chart, prefetch
from tests.cases.test_tokens import check_refused
from tests.faults.fake_fhir import FakeFhir
from tests.faults.fault_book import content, hang, reset_at_once, status
from tests.trust.ehr import Key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import date
    from pathlib import Path

    import httpx2

    from tests.cases.conftest import Running
    from tests.faults.fake_fhir import Fault

COOLDOWN_S, LIFETIME_S, DAY_S = 60, 600, 24 * 3600
ALONE: dict[str, Any] = {"fhirServer": None, "fhirAuthorization": None}


def _given(*keys: object) -> Fault:
    return content(json.dumps({"keys": keys}).encode(), content_type="application/json")


# The private half of a key stands in the set where its public half did: whose it is, anyone knows.
FAULTS: dict[str, Callable[[Key], Fault]] = {
    "reset": lambda _: reset_at_once,
    "slow": lambda _: hang,
    "error": lambda _: status(500),
    "garbage": lambda _: content(b"\xff\x00garbage", content_type="application/json"),
    "html": lambda _: content(b"<html>log in</html>", content_type="text/html"),
    "private": lambda key: _given(key.private),
    "symmetric": lambda key: _given({"kty": "oct", "kid": key.kid, "k": "c2VjcmV0"}),
}
# Why each of them gave no keys, as the log has it.
REASONS = {"reset": "unreachable", "slow": "timeout", "error": "unreachable",
           "garbage": "not-json", "html": "unreachable", "private": "no-keys",
           "symmetric": "no-keys"}  # fmt: skip


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, today: date) -> Iterator[Running]:
    """A service with a hospital for each fault, all of whose keys were fetched at its start."""
    fetched = (*FAULTS, "flooded", "turning", "mixed")
    with hospitals(tmp_path_factory.mktemp("keys"), today, fetched=fetched) as found:
        yield found


@pytest.fixture
def fetching(many: Running) -> Iterator[Running]:
    """The same; afterwards its invariants are checked."""
    with watched(many):
        yield many


def asked(service: Running, name: str) -> int:
    """How often a hospital's keys were asked for."""
    return sum(request.target == f"/keys/{name}" for request in service.keys.requests)


def served(service: Running, name: str, key: Key | None = None) -> int:
    """The status of a hook that a hospital sends with all of its chart, by this key of its."""
    tenant = service.tenants[name]
    own, tenant.key = tenant.key, key or tenant.key
    bearer = tenant.bearer()
    tenant.key = own
    hook = service.hook(name, prefetch=prefetch(chart()), **ALONE)
    return service.post(hook, name, headers={"authorization": bearer}).response.status_code


@pytest.mark.case("JWT-11")
def test_a_thousand_unknown_keys(fetching: Running) -> None:
    """One fetch for them in each cooldown, 401 for each, and good tokens are served meanwhile."""
    tenant, before, log = fetching.tenants["flooded"], asked(fetching, "flooded"), fetching.log()
    sent = [fetching.hook("flooded", prefetch=prefetch(chart()), **ALONE) for _ in range(20)]
    unknown = [fetching.hook("flooded")] * 1000

    async def both() -> list[list[tuple[int, float]]]:
        return await asyncio.gather(
            sent_at_once(
                fetching, "flooded", unknown, at_a_time=10,
                bearer=lambda: tenant.bearer(header={"kid": f"none-{uuid.uuid4()}"}),
            ),
            sent_at_once(fetching, "flooded", sent, pace_s=0.1),
        )  # fmt: skip

    began = time.monotonic()
    refused, good = asyncio.run(both())
    cooldowns = (time.monotonic() - began) // COOLDOWN_S

    assert [401] * 1000 == [one for one, _ in refused]
    assert [200] * 20 == [one for one, _ in good]
    assert 1 <= asked(fetching, "flooded") - before <= 1 + cooldowns
    noted = [one["reason"] for one in fetching.log()[len(log) :] if one["event"] == "refused"]
    assert ["unknown-key"] * 1000 == noted


@pytest.mark.case("JWT-12")
def test_keys_are_kept_while_their_server_fails(fetching: Running) -> None:
    """Off, slow, wrong, or with keys that are none: those of before serve on, and it is ready."""
    for name, fault in FAULTS.items():
        _fails(fetching, name, fault(fetching.tenants[name].key))

    for name in FAULTS:
        before = asked(fetching, name)
        # It is this token that makes the service ask for the keys again.
        unknown = fetching.tenants[name].bearer(header={"kid": "none"})
        check_refused(fetching, unknown, "unknown-key", tenant=name)
        assert before < asked(fetching, name), name
        assert 200 == served(fetching, name), name

    assert 200 == fetching.get("/health/ready").status_code
    noted = {one["caller"]: one["reason"] for one in fetching.log() if one["event"] == "keys"}
    assert noted == REASONS


def _fails(service: Running, name: str, fault: Fault) -> None:
    service.keys.fails(lambda request: request.target == f"/keys/{name}", fault)


@pytest.mark.case("JWT-12")
def test_keys_that_are_none_beside_a_good_one(fetching: Running) -> None:
    """Private and symmetric keys in a set are passed over; the public one is taken."""
    good, leaked = Key("good"), Key("leaked")
    symmetric = {"kty": "oct", "kid": "symmetric", "k": "c2VjcmV0"}
    publish(fetching.keys, "/keys/mixed", symmetric, leaked.private, good.public)

    assert 200 == served(fetching, "mixed", good)
    assert 401 == served(fetching, "mixed", leaked)
    assert "unknown-key" == fetching.log()[-1]["reason"]


@pytest.mark.case("JWT-13")
def test_a_new_key_is_taken_at_once(fetching: Running) -> None:
    """Its first token makes the service fetch it, once; those of the old one are good beside it."""
    old, new = fetching.tenants["turning"].key, Key("new")
    publish(fetching.keys, "/keys/turning", old.public, new.public)
    before = asked(fetching, "turning")

    assert [200] * 4 == [served(fetching, "turning", key) for key in (new, old, new, old)]
    assert before + 1 == asked(fetching, "turning")


# --- What takes a day, or ten minutes, by a clock that is told ------------------------------------


class Told:
    """A service whose clock is told the time, its one hospital, and the server of its keys."""

    def __init__(self, keys: FakeFhir, key: Key) -> None:
        self.keys, self.key = keys, key
        self.time = datetime.now(UTC)
        self.tenant = Tenant("told", key, "", f"{keys.origin}/keys")
        self.tenant.public_url = "http://127.0.0.1:8000"
        self.client: httpx2.AsyncClient

    async def hook(self, key: Key | None = None) -> int:
        """The status of a hook with all of its chart."""
        now = int(self.time.timestamp())
        self.tenant.key = key or self.key
        hook = {
            "hook": "patient-view",
            "hookInstance": str(uuid.uuid4()),
            "context": {"userId": "Practitioner/ZZPHI-user", "patientId": "everything-met"},
            "prefetch": prefetch(chart()),
        }
        bearer = self.tenant.bearer(iat=now, exp=now + 300)
        answer = await self.client.post(SERVICE, json=hook, headers={"authorization": bearer})
        return answer.status_code

    async def ready(self) -> tuple[int, str]:
        """The status of the readiness probe, and its reason."""
        answer = await self.client.get("/health/ready")
        return answer.status_code, answer.json().get("reason", "")

    def after(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


@asynccontextmanager
async def told(folder: Path) -> AsyncIterator[Told]:
    """Such a service; at the end its invariants are checked."""
    async with FakeFhir(port=free_port()) as keys:
        found = Told(keys, Key("told"))
        publish(keys, "/keys", found.key.public)
        issuers = [{"iss": found.tenant.iss, "name": "told", "jwks_url": found.tenant.jwks_url}]
        (folder / "issuers.json").write_text(json.dumps({"issuers": issuers}), encoding="utf-8")
        async with in_process(
            folder, lambda: found.time, auth="required", jwt_issuers=folder / "issuers.json"
        ) as found.client:
            yield found


@pytest.mark.case("JWT-12")
async def test_keys_are_kept_for_a_day_and_no_longer(tmp_path: Path) -> None:
    """Then nobody is let in and the service is unready, until the server of the keys is back."""
    async with told(tmp_path) as service:
        for name in ("off", *FAULTS):
            assert 200 == await service.hook(), name

            if name == "off":
                await service.keys.__aexit__()
            else:
                service.keys.fails(lambda _: True, FAULTS[name](service.key))
            service.after(DAY_S - 1)
            assert 200 == await service.hook(), name
            assert (200, "") == await service.ready(), name
            service.after(1)
            assert 401 == await service.hook(), name
            assert (503, "keys") == await service.ready(), name

            if name == "off":
                await service.keys.__aenter__()
            service.keys.recovers()
            publish(service.keys, "/keys", service.key.public)
            service.after(COOLDOWN_S)


@pytest.mark.case("JWT-13")
async def test_an_old_key_is_not_taken_for_long(tmp_path: Path) -> None:
    """Gone from the set, it is refused once the keys are ten minutes old; the new one is not."""
    async with told(tmp_path) as service:
        old, new = service.key, Key("new")
        publish(service.keys, "/keys", old.public, new.public)
        assert [200, 200] == [await service.hook(key) for key in (new, old)]

        publish(service.keys, "/keys", new.public)
        service.after(LIFETIME_S - 1)
        assert [200, 200] == [await service.hook(key) for key in (new, old)]
        service.after(1)
        assert [401, 200] == [await service.hook(key) for key in (old, new)]
