"""Who calls: the check of a token against the records of issuers."""

from __future__ import annotations

import asyncio
import hmac
import json
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.errors import StoreUnavailable, Unauthenticated
from cds_service.store.store import Store
from cds_service.trust.bearer import read_token
from cds_service.trust.caller import Caller
from cds_service.trust.claims import ClaimPolicy
from cds_service.trust.verify import REASONS, TokenCheck
from tests.trust.ehr import HOOK, ISS, PUBLIC, Clock, Ehr, Key, Memory, segment, sign

if TYPE_CHECKING:
    from pathlib import Path


HOUR, YEAR = 3600, 365 * 24 * 3600


async def refused(check: TokenCheck, authorization: str | None, path: str = HOOK) -> str:
    """Why a token is refused; nothing of it is in the error or behind it."""
    with pytest.raises(Unauthenticated) as caught:
        await check(authorization, path)
    error = caught.value
    assert error.reason in REASONS
    assert f"not authenticated: {error.reason}" == str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "ZZTOK" not in "".join(traceback.format_exception(error))
    return error.reason


# --- Good tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ec_key", "rsa_key"])
async def test_a_good_token_tells_who_calls(
    check: Any, issuer: Any, clock: Clock, name: str, request: pytest.FixtureRequest
) -> None:
    """With either algorithm; what the record says comes with it."""
    ehr = Ehr(clock, request.getfixturevalue(name))
    record = issuer(client_id="our-client", shadow=True)

    caller = await check(record)(ehr.bearer(jti="ZZTOK-1"), HOOK)

    assert Caller("ehr", (ISS,), "ZZTOK-1", "our-client", shadow=True) == caller


async def test_who_has_shown_itself_has_not_used_its_token(
    check: Any, issuer: Any, ehr: Ehr
) -> None:
    """That comes later, and once."""
    memory = Memory()
    checking, token = check(issuer(), replay=memory), ehr.bearer(jti="1")

    shown = [await checking.shown(token, HOOK) for _ in range(2)]
    assert [] == memory.asked
    await shown[1].use()
    for one in shown:
        with pytest.raises(Unauthenticated, match="replayed"):
            await one.use()
    assert "replayed" == await refused(checking, token)
    assert "ehr" == shown[0].caller.name


@pytest.mark.parametrize("path", ["/cds-services", HOOK, f"{HOOK}/feedback"])
async def test_each_endpoint_has_its_own_audience(
    check: Any, issuer: Any, ehr: Ehr, path: str
) -> None:
    """The public URL of the endpoint, whether the URL is configured with a slash or not."""
    caller = await check(issuer())(ehr.bearer(aud=PUBLIC + path), path)

    assert "ehr" == caller.name


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [PUBLIC + HOOK]},
        {"aud": ["https://other.example", PUBLIC + HOOK]},
        {"tenant": "any"},
        {"more": {"than": ["is", 1.5]}},
    ],
)
async def test_what_the_specification_allows_is_taken(
    check: Any, issuer: Any, ehr: Ehr, claims: dict[str, Any]
) -> None:
    """An audience may be a list; further claims are not looked at."""
    await check(issuer())(ehr.bearer(**claims), HOOK)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
async def test_the_scheme_is_read_as_http_says(
    check: Any, issuer: Any, ehr: Ehr, scheme: str
) -> None:
    """In any case, and with one space or more (RFC 9110, section 11)."""
    await check(issuer())(f"{scheme}{ehr.token()} ", HOOK)


async def test_header_members_that_mean_nothing_here_are_ignored(
    check: Any, issuer: Any, ehr: Ehr
) -> None:
    """RFC 7515, section 4: what is not understood is ignored, unless it is critical."""
    header = {"typ": "jwt", "x5t": "AAAA", "org.ehr.version": 3}

    await check(issuer())(ehr.bearer(header=header), HOOK)


async def test_the_public_sandbox_is_taken(check: Any, issuer: Any, ehr: Ehr) -> None:
    """It rounds ``iat`` up to half a second ahead, and names the address of its key."""
    jku = "https://sandbox.example/.well-known/jwks.json"
    now = ehr.clock().timestamp()

    await check(issuer(jku=(jku,)))(
        ehr.bearer(header={"jku": jku}, iat=round(now + 0.5), exp=round(now + 300.5)), HOOK
    )


async def test_epic_is_taken(check: Any, issuer: Any, clock: Clock) -> None:
    """Signed with RSA, good from five minutes before; the id of its key is base64."""
    key = Key("b+Q/aZ09+w==", "RS384")
    ehr = Ehr(clock, key)
    jku = "https://epic.example/api/epic/2019/Security/Open/PublicKeys/530013/530013"
    now = int(clock().timestamp())

    caller = await check(issuer(keys=(key.public,), jku=(jku,)))(
        ehr.bearer(header={"jku": jku}, nbf=now - 300, exp=now + 900, sub="our-client-id"), HOOK
    )

    assert "ehr" == caller.name


async def test_a_header_with_a_long_key_address_is_taken(check: Any, issuer: Any, ehr: Ehr) -> None:
    """Longer than the 512 bytes that the signature library takes by default."""
    jku = f"https://ehr.example/{'keys/' * 200}"

    await check(issuer(jku=(jku,)))(ehr.bearer(header={"jku": jku}), HOOK)


# --- No token, or none at all -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Basic ZWhyOnNlY3JldA==", "missing"),
        ("Bearer", "missing"),
        ("Bearer ", "malformed"),
        ("Bearer ZZTOK-1", "malformed"),
        ("Bearer a.b", "malformed"),
        ("Bearer a.b.c.d.e", "malformed"),
        ("Bearer ..", "malformed"),
        ("Bearer e30.e30.", "malformed"),
        ("Bearer \u00e9.\u00e9.\u00e9", "malformed"),
        ("Bearer e30.e30.e30, Bearer e30.e30.e30", "malformed"),
        (f"Bearer {'a' * 2_000_000}", "too-large"),
        (f"Bearer {segment('[' * 9000)}.e30.e30", "malformed"),
    ],
)
async def test_what_is_no_token_is_refused(
    check: Any, issuer: Any, authorization: str | None, reason: str
) -> None:
    """Its size before anything is read of it."""
    assert reason == await refused(check(issuer()), authorization)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        "[]",
        "null",
        '"x"',
        "{",
        '{"iss": NaN}',
        '{"iss": "a", "iss": "b"}',
        '{"deep": {"jti": "a", "jti": "b"}}',
        '{"exp": ' + "9" * 5000 + "}",
    ],
)
@pytest.mark.parametrize("part", ["header", "payload"])
async def test_what_two_parsers_may_read_in_two_ways_is_refused(
    check: Any, issuer: Any, ehr: Ehr, text: str | bytes, part: str
) -> None:
    """Even with a true signature."""
    header: Any = text if part == "header" else ehr.header()
    payload: Any = ehr.claims() if part == "header" else text

    assert "malformed" == await refused(check(issuer()), f"Bearer {sign(ehr.key, header, payload)}")


# --- Algorithm and key --------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
async def test_an_unsigned_token_is_refused(
    check: Any, issuer: Any, ehr: Ehr, algorithm: str
) -> None:
    """Whether the place of the signature is empty or not."""
    parts = f"{segment(ehr.header(alg=algorithm))}.{segment(ehr.claims())}"

    assert "malformed" == await refused(check(issuer()), f"Bearer {parts}.")
    assert "algorithm" == await refused(check(issuer()), f"Bearer {parts}.AAAA")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384"])
@pytest.mark.parametrize("form", ["pem", "jwk"])
async def test_the_public_key_is_no_secret(
    check: Any, issuer: Any, ehr: Ehr, algorithm: str, form: str
) -> None:
    """Whoever has the public key could make such a signature."""
    pem: bytes = ehr.key.pair.as_pem(private=False)
    secret = pem if form == "pem" else json.dumps(ehr.key.public).encode()
    signed = f"{segment(ehr.header(alg=algorithm))}.{segment(ehr.claims())}"
    digest = hmac.digest(secret, signed.encode(), f"sha{algorithm[2:]}")
    token = f"{signed}.{segment(digest)}"

    assert "algorithm" == await refused(check(issuer()), f"Bearer {token}")


@pytest.mark.parametrize("algorithm", ["ES256", "ES512", "RS256", "RS512", "PS384", "EdDSA", 384])
async def test_other_algorithms_are_refused(
    check: Any, issuer: Any, ehr: Ehr, algorithm: Any
) -> None:
    """Two are allowed, and nothing that a token says allows a third."""
    token = sign(ehr.key, ehr.header(alg=algorithm), ehr.claims())

    assert "algorithm" == await refused(check(issuer()), f"Bearer {token}")


@pytest.mark.parametrize(("kind", "said"), [("ec_key", "RS384"), ("rsa_key", "ES384")])
async def test_a_key_serves_its_own_algorithm_only(
    check: Any, issuer: Any, clock: Clock, kind: str, said: str, request: pytest.FixtureRequest
) -> None:
    """An EC key checks no RSA signature, and the attempt is no fault of the service."""
    ehr = Ehr(clock, request.getfixturevalue(kind))
    token = sign(ehr.key, ehr.header(alg=said), ehr.claims())

    assert "unknown-key" == await refused(check(issuer()), f"Bearer {token}")


async def test_an_issuer_may_be_held_to_one_algorithm(check: Any, issuer: Any, ehr: Ehr) -> None:
    """A key of the other kind is then of no use."""
    assert "algorithm" == await refused(check(issuer(algorithms=("RS384",))), ehr.bearer())


async def test_another_key_under_the_same_id_is_refused(
    check: Any, issuer: Any, clock: Clock, ec_key: Key
) -> None:
    """The signature counts, not the name of the key."""
    forger = Ehr(clock, Key(ec_key.kid))

    assert "signature" == await refused(check(issuer()), forger.bearer())


async def test_a_changed_payload_is_refused(check: Any, issuer: Any, ehr: Ehr) -> None:
    """One claim changed, and the signature is of something else."""
    header, _, signature = ehr.token().split(".")
    payload = segment(ehr.claims(tenant="another"))

    assert "signature" == await refused(check(issuer()), f"Bearer {header}.{payload}.{signature}")


@pytest.mark.parametrize("signature", ["AAAA", segment(b"\0" * 96), segment(b"\xff" * 96)])
async def test_a_signature_that_is_none_is_refused(
    check: Any, issuer: Any, ehr: Ehr, signature: str
) -> None:
    """Of another length, zero, or beyond the order of the curve."""
    header, payload, _ = ehr.token().split(".")

    assert "signature" == await refused(check(issuer()), f"Bearer {header}.{payload}.{signature}")


@pytest.mark.parametrize(
    "header",
    [
        {"typ": None},
        {"typ": "at+jwt"},
        {"typ": 1},
        {"kid": None},
        {"kid": 7},
        {"kid": ["ec-1"]},
        {"jku": 7},
        {"crit": ["exp"]},
        {"b64": False},
        {"jwk": {"kty": "EC"}},
        {"x5u": "https://canary.example/cert"},
        {"x5c": ["MIIB"]},
    ],
)
async def test_a_header_that_brings_more_than_the_specification_says_is_refused(
    check: Any, issuer: Any, ehr: Ehr, header: dict[str, Any]
) -> None:
    """``typ`` and ``kid`` are required, and a key that a token brings proves nothing."""
    assert "header" == await refused(check(issuer()), ehr.bearer(header=header))


async def test_a_key_within_the_token_is_not_used(check: Any, issuer: Any, clock: Clock) -> None:
    """It would make every token right."""
    forger = Ehr(clock, Key("ec-1"))

    assert "header" == await refused(
        check(issuer()), forger.bearer(header={"jwk": forger.key.public})
    )


@pytest.mark.parametrize(
    "said",
    ["{canary}", "{keys}/other", "{keys}?x=1", "{keys}#x", "https://127.0.0.1/keys", "HTTP{keys}"],
)
async def test_another_key_address_is_refused_and_never_read(
    check: Any, issuer: Any, clock: Clock, key_server: Any, said: str
) -> None:
    """Only the operator says where keys are; ``jku`` is compared with it."""
    forger = Ehr(clock, Key("ec-1"))
    async with key_server(forger.key.public) as canary, key_server() as keys:
        jku = said.format(canary=canary.url, keys=keys.url)
        record = issuer(jwks_url=keys.url, jku=(keys.url,))

        reason = await refused(check(record), forger.bearer(header={"jku": jku}))

        assert ("key-address", [], []) == (reason, canary.requests, keys.requests)


# --- Issuer and tenant --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "iss", [None, "https://other.example", f"{ISS}/", ISS.upper(), "", 7, [ISS], {"iss": ISS}]
)
async def test_an_unknown_issuer_is_refused(check: Any, issuer: Any, ehr: Ehr, iss: Any) -> None:
    """Compared to the letter; the signature alone says nothing."""
    assert "unknown-issuer" == await refused(check(issuer()), ehr.bearer(iss=iss))


async def test_one_hospital_cannot_speak_for_another(
    check: Any, issuer: Any, clock: Clock, ec_key: Key
) -> None:
    """Keys and key addresses count for their own issuer only."""
    other_key = Key("ec-2")
    other_jku = "https://b.example/keys"
    records = (
        issuer(),
        issuer(iss="https://b.example", name="b", keys=(other_key.public,), jku=(other_jku,)),
    )
    as_first = Ehr(clock, other_key, ISS)

    both = check(*records)
    assert "unknown-key" == await refused(both, as_first.bearer())
    assert "signature" == await refused(both, as_first.bearer(header={"kid": ec_key.kid}))
    assert "key-address" == await refused(both, as_first.bearer(header={"jku": other_jku}))


async def test_an_issuer_that_is_switched_off_is_refused(check: Any, issuer: Any, ehr: Ehr) -> None:
    """Its record stays, and its tokens are not taken."""
    assert "issuer-disabled" == await refused(check(issuer(enabled=False)), ehr.bearer())


@pytest.mark.parametrize("tenant", [None, "c", "", 1, ["a"]])
async def test_a_tenant_that_is_not_listed_is_refused(
    check: Any, issuer: Any, ehr: Ehr, tenant: Any
) -> None:
    """Once there is a list, a token must name one of it."""
    listed = check(issuer(tenants=("a", "b")))

    assert "tenant" == await refused(listed, ehr.bearer(tenant=tenant))
    await listed(ehr.bearer(tenant="b"), HOOK)


# --- Audience -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "audience",
    [
        None,
        "",
        PUBLIC,
        f"{PUBLIC}/cds-services",
        f"{PUBLIC}/cds-services/another",
        f"{PUBLIC}{HOOK}/",
        f"{PUBLIC}{HOOK}/feedback",
        f"{PUBLIC.upper()}{HOOK}",
        f"http://cds.example{HOOK}",
        f"https://attacker.example{HOOK}",
        HOOK,
        [],
        [f"{PUBLIC}/cds-services", f"{PUBLIC}{HOOK}/feedback"],
        [[PUBLIC + HOOK]],
        {PUBLIC + HOOK: 1},
        7,
    ],
)
async def test_a_token_for_another_address_is_refused(
    check: Any, issuer: Any, ehr: Ehr, audience: Any
) -> None:
    """The address is of the configuration; no request can change it."""
    assert "audience" == await refused(check(issuer()), ehr.bearer(aud=audience))


@pytest.mark.parametrize("path", ["/cds-services", f"{HOOK}/feedback"])
async def test_a_hook_token_is_good_for_the_hook_only(
    check: Any, issuer: Any, ehr: Ehr, path: str
) -> None:
    """Neither for discovery nor for feedback."""
    assert "audience" == await refused(check(issuer()), ehr.bearer(), path)


# --- Time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("iat", "exp", "nbf"),
    [
        (-330, -30, None),
        (-300, -59, None),
        (30, 330, None),
        (60, 300, None),
        (-HOUR, 0, None),
        (0, HOUR, None),
        (0, 300, -300),
        (0, 300, 60),
        (0.5, 300.25, None),
    ],
)
async def test_clocks_may_differ_by_a_minute(
    check: Any, issuer: Any, ehr: Ehr, iat: float, exp: float, nbf: float | None
) -> None:
    """Seconds from now, with fractions or without."""
    now = int(ehr.clock().timestamp())
    shown = None if nbf is None else now + nbf

    await check(issuer())(ehr.bearer(iat=now + iat, exp=now + exp, nbf=shown), HOOK)


@pytest.mark.parametrize(
    ("iat", "exp", "nbf", "reason"),
    [
        (-400, -60, None, "expired"),
        (-HOUR, -61, None, "expired"),
        (61, 300, None, "not-yet-valid"),
        (HOUR, HOUR + 300, None, "not-yet-valid"),
        (0, 300, 61, "not-yet-valid"),
        (0, 300, HOUR, "not-yet-valid"),
        (0, HOUR + 1, None, "lifetime"),
        (0, 10 * YEAR, None, "lifetime"),
        (-YEAR, 300, None, "lifetime"),
        (0, 0, None, "lifetime"),
        (0, -1, None, "lifetime"),
    ],
)
async def test_a_token_that_is_not_good_now_or_too_long_is_refused(
    check: Any, issuer: Any, ehr: Ehr, iat: int, exp: int, nbf: int | None, reason: str
) -> None:
    """Seconds from now. A token that lasts for years would have to be remembered as long."""
    now = int(ehr.clock().timestamp())
    shown = None if nbf is None else now + nbf

    assert reason == await refused(
        check(issuer()), ehr.bearer(iat=now + iat, exp=now + exp, nbf=shown)
    )


@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
@pytest.mark.parametrize("value", ["1795521600", True, [1], {}, -1, 10**400, 1e30])
async def test_a_time_that_is_no_number_is_refused(
    check: Any, issuer: Any, ehr: Ehr, claim: str, value: Any
) -> None:
    """A text would be compared as something else, or not at all."""
    assert "claims" == await refused(check(issuer()), ehr.bearer(**{claim: value}))


@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
async def test_a_time_that_is_infinite_or_null_is_refused(
    check: Any, issuer: Any, ehr: Ehr, claim: str
) -> None:
    """JSON can say both."""
    for value in ("1e999", "-1e999", "null"):
        payload = json.dumps(ehr.claims(**{claim: "HERE"})).replace('"HERE"', value)
        token = sign(ehr.key, ehr.header(), payload)
        assert "claims" == await refused(check(issuer()), f"Bearer {token}")


@pytest.mark.parametrize("claim", ["iat", "exp"])
async def test_a_token_without_times_is_refused(
    check: Any, issuer: Any, ehr: Ehr, claim: str
) -> None:
    """It would be good for ever."""
    assert "claims" == await refused(check(issuer()), ehr.bearer(**{claim: None}))


async def test_a_site_may_allow_less(check: Any, issuer: Any, ehr: Ehr) -> None:
    """The longest life of a token is configurable."""
    now = ehr.clock()
    short = ClaimPolicy(lifetime=ClaimPolicy().lifetime / 12)
    exp = int(now.timestamp()) + 301

    assert "lifetime" == await refused(check(issuer(), claim_policy=short), ehr.bearer(exp=exp))


# --- Once ---------------------------------------------------------------------------------------


async def test_a_token_is_good_once(check: Any, issuer: Any, ehr: Ehr, store: Store) -> None:
    """Whoever overhears it comes too late."""
    checking, token = check(issuer(), replay=store), ehr.bearer()

    await checking(token, HOOK)

    assert "replayed" == await refused(checking, token)


async def test_a_token_is_good_once_for_all_workers_and_across_restarts(
    check: Any, issuer: Any, ehr: Ehr, clock: Clock, tmp_path: Path
) -> None:
    """What one has taken, no other takes, and not the same one after a restart."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    first, second, later = (Store(url, now=clock) for _ in range(3))
    token, simultaneous = ehr.bearer(), ehr.bearer()
    await first.start()
    await second.start()
    try:
        workers = [check(issuer(), replay=store) for store in (first, second)]
        await workers[0](token, HOOK)
        assert "replayed" == await refused(workers[1], token)
        answers = await asyncio.gather(
            *(workers[n % 2](simultaneous, HOOK) for n in range(20)), return_exceptions=True
        )
        assert 1 == sum(isinstance(answer, Caller) for answer in answers)
    finally:
        await first.aclose()
        await second.aclose()
    await later.start()
    try:
        clock.forward(seconds=359)
        assert "replayed" == await refused(check(issuer(), replay=later), token)
    finally:
        await later.aclose()


async def test_a_token_id_counts_within_its_issuer(
    check: Any, issuer: Any, ehr: Ehr, clock: Clock, store: Store
) -> None:
    """Two EHRs that count from 1 do not get in each other's way."""
    key = Key("b-1")
    other = Ehr(clock, key, "https://b.example")
    records = (issuer(), issuer(iss=other.iss, name="b", keys=(key.public,)))
    both = check(*records, replay=store)

    await both(ehr.bearer(jti="1"), HOOK)
    await both(other.bearer(jti="1"), HOOK)

    assert "replayed" == await refused(both, other.bearer(jti="1"))


@pytest.mark.parametrize("token_id", [None, "", 7, ["a"], "a" * 257, "a\0b", "\ud800", "a\nb"])
async def test_a_token_without_a_usable_id_is_refused(
    check: Any, issuer: Any, ehr: Ehr, token_id: Any
) -> None:
    """It could be used again, or could not be kept."""
    assert "token-id" == await refused(check(issuer()), ehr.bearer(jti=token_id))


async def test_a_huge_token_id_is_refused_with_its_token(check: Any, issuer: Any, ehr: Ehr) -> None:
    """A megabyte does not get as far as the store."""
    assert "too-large" == await refused(check(issuer()), ehr.bearer(jti="a" * 1_000_000))


async def test_only_good_tokens_are_remembered_and_as_long_as_they_are_good(
    check: Any, issuer: Any, ehr: Ehr, clock: Clock
) -> None:
    """Nobody without a key can fill the store, or use up another's token id."""
    memory = Memory()
    checking = check(issuer(), replay=memory)
    forger = Ehr(clock, Key(ehr.key.kid))

    for bad in (forger.bearer(jti="a"), ehr.bearer(jti="a", aud="x"), ehr.bearer(jti="a", exp=1)):
        await refused(checking, bad)
    await checking(ehr.bearer(jti="a"), HOOK)

    clock.forward(seconds=360)
    assert [(ISS, "a", clock())] == memory.asked


async def test_without_the_store_nobody_is_let_in(
    check: Any, issuer: Any, ehr: Ehr, store: Store
) -> None:
    """Whether a token was used before cannot be told then."""
    await store.aclose()

    with pytest.raises(StoreUnavailable):
        await check(issuer(), replay=store)(ehr.bearer(), HOOK)


def test_a_token_does_not_show(ehr: Ehr) -> None:
    """Neither its text nor its claims, wherever it is printed."""
    token = read_token(ehr.bearer(jti="ZZTOK-1"))

    assert "Token(***)" == repr(token)
    assert "Token(***)" == f"{token}"
