"""An issuer's keys: fetched over real HTTP, kept, renewed, and given up in time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.errors import Unauthenticated
from cds_service.trust.jwks import KeyPolicy
from tests.trust.ehr import HOOK, Clock, Ehr, Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from cds_service.trust.verify import TokenCheck
    from tests.trust.ehr import KeyServer

LIFETIME, COOLDOWN, STALE = 600, 60, 24 * 3600


async def reason(check: TokenCheck, authorization: str) -> str | None:
    """Why a token is refused; None if it is taken."""
    try:
        await check(authorization, HOOK)
    except Unauthenticated as error:
        return error.reason
    return None


async def idle() -> None:
    """Let what runs in the background end."""
    for task in asyncio.all_tasks():
        if (task.get_coro().__qualname__ or "").startswith("FetchedKeys"):
            await task


# --- Fetching -----------------------------------------------------------------------------------


async def test_keys_are_fetched_once_and_kept(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """From the address of the record, with no token of anyone."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url, jku=(server.url,)))

        for _ in range(3):
            assert await reason(checking, ehr.bearer(header={"jku": server.url})) is None

        assert ["GET /keys HTTP/1.1"] == server.requests
        assert {"application/json, application/jwk-set+json"} == server.asked_for
        assert 0 == server.authorizations


async def test_tokens_that_come_together_wait_for_one_fetch(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """And one that is given up does not take it from the others."""
    async with key_server(ehr.key.public) as server:
        server.delay_s = 0.1
        checking = check(issuer(jwks_url=server.url))
        first = asyncio.create_task(reason(checking, ehr.bearer()))
        others = [asyncio.create_task(reason(checking, ehr.bearer())) for _ in range(20)]
        await asyncio.sleep(0.05)

        first.cancel()

        assert [None] * 20 == await asyncio.gather(*others)
        assert 1 == len(server.requests)


async def test_a_bad_token_costs_no_fetch(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """What can be seen without a key is looked at first."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))

        for claims in ({"aud": "x"}, {"exp": 1}, {"jti": ""}, {"iss": "https://other.example"}):
            assert await reason(checking, ehr.bearer(**claims)) is not None

        assert not server.requests


async def test_the_operator_is_told_how_each_fetch_went(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """By the name of the issuer, for metrics."""
    told: list[tuple[str, str | None]] = []
    async with key_server(ehr.key.public) as server:
        checking = check(
            issuer(jwks_url=server.url), observe=lambda name, reason: told.append((name, reason))
        )
        await reason(checking, ehr.bearer())
        server.status = 404
        clock.forward(seconds=LIFETIME)
        await reason(checking, ehr.bearer())

    assert [("ehr", None), ("ehr", "unreachable")] == told


# --- Keys that are not there --------------------------------------------------------------------


async def test_unknown_keys_cost_one_fetch_a_cooldown(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """A thousand of them in a minute, and good tokens are served meanwhile."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))
        assert await reason(checking, ehr.bearer()) is None
        bad = ehr.token(header={"kid": "none"})

        for n in range(1000):
            clock.forward(seconds=0.059)
            assert "unknown-key" == await reason(checking, f"Bearer {bad}")
            if n % 100 == 0:
                assert await reason(checking, ehr.bearer()) is None
        assert 2 == len(server.requests)

        clock.forward(seconds=COOLDOWN)
        await reason(checking, ehr.bearer(header={"kid": "none"}))
        assert 3 == len(server.requests)


async def test_unknown_keys_that_come_together_wait_for_one_fetch(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """All are answered when it is done."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))
        await reason(checking, ehr.bearer())
        server.delay_s = 0.1

        reasons = await asyncio.gather(
            *(reason(checking, ehr.bearer(header={"kid": str(n)})) for n in range(50))
        )

        assert {"unknown-key"} == set(reasons)
        assert 2 == len(server.requests)


async def test_a_new_key_is_taken_at_once_and_a_withdrawn_one_not_for_long(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """The drill: publish the new key, sign with it, withdraw the old one."""
    new = Ehr(clock, Key("ec-2"))
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))
        assert await reason(checking, ehr.bearer()) is None

        server.give(ehr.key.public, new.key.public)
        assert await reason(checking, new.bearer()) is None
        assert await reason(checking, ehr.bearer()) is None
        assert 2 == len(server.requests)

        server.give(new.key.public)
        clock.forward(seconds=LIFETIME - 1)
        assert await reason(checking, ehr.bearer()) is None
        clock.forward(seconds=1)
        assert "unknown-key" == await reason(checking, ehr.bearer())
        assert await reason(checking, new.bearer()) is None


# --- A server that does not give keys -----------------------------------------------------------


def _status(status: int) -> Callable[[KeyServer], None]:
    def fail(server: KeyServer) -> None:
        server.status = status

    return fail


def _body(body: bytes) -> Callable[[KeyServer], None]:
    def fail(server: KeyServer) -> None:
        server.body = body

    return fail


def _html(server: KeyServer) -> None:
    server.content_type = "text/html"


def _slow(server: KeyServer) -> None:
    server.delay_s = 30


def _secret(server: KeyServer) -> None:
    server.give(Key("ec-1").private, {"kty": "oct", "kid": "ec-1", "k": "c2VjcmV0"})


def _padded(server: KeyServer) -> None:
    server.body += b" " * 256 * 1024


FAULTS = {
    "not-found": _status(404),
    "error": _status(500),
    "forbidden": _status(403),
    "redirect": _status(302),
    "html": _html,
    "slow": _slow,
    "private keys only": _secret,
    "no keys": _body(b'{"keys": []}'),
    "garbage": _body(b"\xff\x00garbage"),
    "not a set": _body(b'["keys"]'),
    "keys of another type": _body(b'{"keys": "ec-1"}'),
    "deep": _body(b"[" * 200_000),
    "too large": _padded,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_while_a_server_fails_keys_are_kept_for_a_day(
    check: Any,
    issuer: Any,
    ehr: Ehr,
    key_server: Any,
    clock: Clock,
    fault: Callable[[KeyServer], None],
) -> None:
    """Then nothing is taken, and the service is not ready, until the server is back."""
    async with key_server(ehr.key.public) as server:
        good = dict(vars(server))
        checking = check(issuer(jwks_url=server.url), key_policy=KeyPolicy(timeout_s=1))
        assert await reason(checking, ehr.bearer()) is None

        fault(server)
        clock.forward(seconds=STALE - 1)
        assert await reason(checking, ehr.bearer()) is None
        assert checking.fresh()
        clock.forward(seconds=1)
        assert "stale-keys" == await reason(checking, ehr.bearer())
        assert not checking.fresh()
        assert ("ehr",) == checking.stale()

        vars(server).update(good)
        clock.forward(seconds=COOLDOWN)
        assert await reason(checking, ehr.bearer()) is None
        assert checking.fresh()
        assert () == checking.stale()


async def test_a_server_that_is_off_lets_nobody_in(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """Nothing was ever fetched; it is asked again soon, but not by each token."""
    async with key_server(ehr.key.public) as server:
        server.status = 404
        checking = check(issuer(jwks_url=server.url))

        for _ in range(10):
            assert "stale-keys" == await reason(checking, ehr.bearer())
        assert 1 == len(server.requests)

        server.status = 200
        clock.forward(seconds=5)
        assert await reason(checking, ehr.bearer()) is None


async def test_nobody_listening_is_a_server_that_is_off(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """The connection is refused."""
    async with key_server() as server:
        pass

    assert "stale-keys" == await reason(check(issuer(jwks_url=server.url)), ehr.bearer())


async def test_a_server_that_hangs_costs_one_token_the_wait(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """The others are served with the keys that there are, and the server is tried beside them."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url), key_policy=KeyPolicy(timeout_s=1))
        await reason(checking, ehr.bearer())
        server.delay_s = 30
        clock.forward(seconds=LIFETIME)
        waits = []
        for _ in range(4):
            started = time.monotonic()
            assert await reason(checking, ehr.bearer()) is None
            waits.append(time.monotonic() - started)
            clock.forward(seconds=COOLDOWN)
        await idle()

    assert 1 <= waits[0]
    assert max(waits[1:]) < 1
    assert 2 <= len(server.requests)


async def test_keys_that_are_no_public_keys_are_passed_over(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """Symmetric and private ones, other kinds, and what is no key; the good one counts."""
    leaked = Ehr(clock, Key("leaked"))
    rubbish = [None, "key", {}, {"kty": "oct", "kid": "a", "k": "c2VjcmV0"}, {"kty": "AKP"}]
    async with key_server(*rubbish, leaked.key.private, ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))

        assert await reason(checking, ehr.bearer()) is None
        assert "unknown-key" == await reason(checking, leaked.bearer())


# --- Ready --------------------------------------------------------------------------------------


async def test_a_probe_fetches_the_keys_that_are_missing(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """So that a service which nobody has called yet gets ready."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))

        assert not checking.fresh()
        await idle()
        assert checking.fresh()
        assert 1 == len(server.requests)


async def test_a_probe_renews_keys_before_a_token_has_to_wait(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """After three quarters of their life, and not before."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))
        await checking.warm_up()
        clock.forward(seconds=LIFETIME * 0.75 - 1)
        assert checking.fresh()
        assert 1 == len(server.requests)

        clock.forward(seconds=1)
        assert checking.fresh()
        await idle()
        assert 2 == len(server.requests)
        clock.forward(seconds=LIFETIME - 1)
        assert await reason(checking, ehr.bearer()) is None
        assert 2 == len(server.requests)


async def test_keys_can_be_fetched_at_the_start(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """All at once; one that fails does not stop the start."""
    async with key_server(ehr.key.public) as good, key_server() as bad:
        checking = check(
            issuer(jwks_url=good.url),
            issuer(iss="https://b.example", name="b", jwks_url=bad.url),
            issuer(iss="https://c.example", name="c"),
        )

        await checking.warm_up()

        assert checking.fresh()
        assert ("b",) == checking.stale()


async def test_one_hospital_without_keys_leaves_the_service_ready_for_another(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """Its tokens are refused; those of others are taken."""
    async with key_server() as down:
        other = issuer(iss="https://b.example", name="b", jwks_url=down.url)
        both = check(issuer(), other)

        assert "stale-keys" == await reason(both, ehr.bearer(iss="https://b.example"))
        assert await reason(both, ehr.bearer()) is None
        assert both.fresh()


async def test_an_issuer_that_is_switched_off_is_not_waited_for(
    check: Any, issuer: Any, key_server: Any
) -> None:
    """Its keys are not fetched, and the service is ready without them."""
    async with key_server() as server:
        checking = check(issuer(jwks_url=server.url, enabled=False))

        await checking.warm_up()

        assert checking.fresh()
        assert not server.requests


async def test_a_clock_that_is_set_back_keeps_no_key_alive(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, clock: Clock
) -> None:
    """How old the keys are is not known then, so they are fetched anew."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))
        await checking.warm_up()
        clock.forward(days=-300)

        assert await reason(checking, ehr.bearer()) is None
        assert 2 == len(server.requests)
