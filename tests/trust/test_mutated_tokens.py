"""Whatever a token is: it is taken, or refused with a code, and nothing else happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cds_service.errors import Unauthenticated
from cds_service.trust.caller import Caller
from cds_service.trust.records import Issuer
from cds_service.trust.verify import REASONS, TokenCheck
from tests.trust.ehr import HOOK, ISS, PUBLIC, Clock, Ehr, Key, Memory, segment, sign

EC, RSA = Key("ec-1"), Key("rsa-1", "RS384")
EHR = Ehr(Clock(), EC)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(ISS)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
header_names = st.sampled_from(["alg", "typ", "kid", "jku", "jwk", "x5u", "crit", "b64", "x5t"])
claim_names = st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "jti", "tenant", "sub"])
FUZZ = settings(
    max_examples=300,
    deadline=None,
    # A busy machine is no fault of what is tested.
    suppress_health_check=[HealthCheck.too_slow],
)


async def _no_fetch(_: str) -> bytes:
    raise AssertionError("nothing is to be fetched")


def outcome(authorization: str, **record: Any) -> str:
    """``taken``, or the code of the refusal."""
    issuer = Issuer(iss=ISS, name="ehr", keys=(EC.public, RSA.public), **record)
    check = TokenCheck([issuer], PUBLIC, fetch=_no_fetch, replay=Memory(), now=EHR.clock)
    answer = asyncio.run(_answer(check, authorization))
    if isinstance(answer, Caller):
        return "taken"
    assert answer.__context__ is None
    assert answer.reason in REASONS
    return answer.reason


async def _answer(check: TokenCheck, authorization: str) -> Caller | Unauthenticated:
    try:
        return await check(authorization, HOOK)
    except Unauthenticated as error:
        return error


def test_the_token_that_is_mutated_is_good() -> None:
    """Else the tests below would prove nothing."""
    assert "taken" == outcome(EHR.bearer())


@FUZZ
@given(st.dictionaries(claim_names, values, min_size=1, max_size=4))
@example({"aud": [[]], "iss": {}, "tenant": {}})
@example({"exp": float("inf"), "iat": -0.0})
@example({"exp": 10**400, "iat": 1.5})
def test_any_claims(changed: dict[str, Any]) -> None:
    """Truly signed, with claims of any type."""
    token = sign(EC, EHR.header(), EHR.claims(**changed))

    found = outcome(f"Bearer {token}", tenants=("a",))

    if changed.get("tenant") != "a":
        assert "taken" != found


@FUZZ
@given(st.dictionaries(header_names, values, min_size=1, max_size=4), st.sampled_from([EC, RSA]))
def test_any_header(changed: dict[str, Any], key: Key) -> None:
    """Truly signed, with a header of any type."""
    header = EHR.header(**changed)
    token = sign(key, header, EHR.claims())

    if (key.algorithm, key.kid) != (header.get("alg"), header.get("kid")):
        assert "taken" != outcome(f"Bearer {token}")


@FUZZ
@given(st.data())
def test_any_change_of_a_character(data: st.DataObject) -> None:
    """Of a good token no character can be another, be left out, or be added."""
    token = EHR.token()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("AZaz09-_.=+/ \u00e9") | st.characters(max_codepoint=255))
    kept = data.draw(st.integers(place, place + 1))
    changed = token[:place] + other + token[kept:]

    if changed != token:
        assert "taken" != outcome(f"Bearer {changed}")


@FUZZ
@given(st.text(max_size=300) | st.from_regex(r"Bearer [\w.=-]{0,300}", fullmatch=True))
def test_any_text(authorization: str) -> None:
    """Nothing that is made up at random is a token."""
    assert "taken" != outcome(authorization)


@FUZZ
@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=120))
def test_any_bytes(header: bytes, payload: bytes, signature: bytes) -> None:
    """In the form of a token."""
    token = ".".join(segment(part) for part in (header, payload, signature))

    assert "taken" != outcome(f"Bearer {token}")


@FUZZ
@given(values, values)
def test_any_json(header: Any, payload: Any) -> None:
    """Truly signed, whatever header and payload are."""
    assert "taken" != outcome(f"Bearer {sign(EC, json.dumps(header), json.dumps(payload))}")


@pytest.mark.parametrize("size", [16, 1000, 8000])
def test_depth_costs_no_more_than_a_refusal(size: int) -> None:
    """A token can be nested as deeply as its size allows."""
    payload = json.dumps(EHR.claims())[:-1] + ', "x": ' + "[" * size + "]" * size + "}"

    found = outcome(f"Bearer {sign(EC, EHR.header(), payload)}")

    assert found in {"taken", "malformed", "too-large"}
