"""Which JWKs are keys for tokens."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from joserfc import jwk

from cds_service.trust.keys import MAX_KEYS, key_problem, usable_keys
from tests.trust.ehr import Key

UNFIT = "is neither EC on P-384 (ES384) nor RSA (RS384)"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"alg": "ES384"},
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"x5c": ["not a certificate"], "x5t": 7, "ext": True},
    ],
)
def test_a_key_for_es384(ec_key: Key, more: dict[str, Any]) -> None:
    """What else stands in it does not matter: certificates are not looked at."""
    key = {**ec_key.public, **more}

    assert key_problem(key) is None
    assert [("ec-1", "ES384")] == list(usable_keys([key]))


def test_a_key_for_rs384(rsa_key: Key) -> None:
    """The other of the two."""
    assert key_problem(rsa_key.public) is None
    assert [("rsa-1", "RS384")] == list(usable_keys([rsa_key.public]))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"kid": ""}, "has no kid"),
        ({"kid": 7}, "has no kid"),
        ({"kid": "a" * 257}, "has no kid"),
        ({"alg": "ES256"}, "is for something other than ES384 signatures"),
        ({"alg": "RS384"}, "is for something other than ES384 signatures"),
        ({"use": "enc"}, "is for something other than ES384 signatures"),
        ({"key_ops": ["deriveKey"]}, "is for something other than ES384 signatures"),
        ({"key_ops": "verify"}, "is for something other than ES384 signatures"),
        ({"kty": "oct"}, UNFIT),
        ({"kty": "OKP"}, UNFIT),
        ({"kty": ["EC"]}, UNFIT),
        ({"crv": "P-256"}, UNFIT),
        ({"crv": None}, UNFIT),
        ({"x": "AAAA"}, "is no valid public key"),
        ({"x": 7}, "is no valid public key"),
        ({"x": "="}, "is no valid public key"),
        ({"kty": "RSA", "n": "AQAB"}, "is no valid public key"),
        ({"d": "AAAA"}, "is private or symmetric; it belongs to the EHR alone"),
        ({"k": "AAAA"}, "is private or symmetric; it belongs to the EHR alone"),
    ],
)
def test_no_key_for_tokens(ec_key: Key, changed: dict[str, Any], problem: str) -> None:
    """For another purpose, of another kind, or broken; said without its content."""
    key = {**ec_key.public, **changed}

    assert problem == key_problem(key)
    assert not usable_keys([key])


@pytest.mark.parametrize("value", [None, 7, "key", [], True])
def test_no_jwk_at_all(value: object) -> None:
    """Whatever stands in a set."""
    assert "is no JWK" == key_problem(value)
    assert not usable_keys([value])


@pytest.mark.parametrize("bits", [1024, 8200])
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_an_rsa_key_of_another_size(bits: int) -> None:
    """Too short to trust, or so long that each check would cost too much."""
    odd = (1 << bits) - 1
    numbers = {"kty": "RSA", "kid": "a", "e": "AQAB", "n": _number(odd)}
    assert (
        bits
        == jwk.RSAKey.import_key({k: numbers[k] for k in ("kty", "e", "n")}).public_key.key_size
    )

    assert "is no valid public key" == key_problem(numbers)


def _number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_two_kinds_of_key_may_share_an_id(ec_key: Key, rsa_key: Key) -> None:
    """Each serves its algorithm (RFC 7517, section 4.5)."""
    found = usable_keys([ec_key.public, {**rsa_key.public, "kid": "ec-1"}])

    assert {("ec-1", "ES384"), ("ec-1", "RS384")} == set(found)


def test_of_two_alike_the_first_counts(ec_key: Key) -> None:
    """And not the one that was added."""
    found = usable_keys([ec_key.public, Key("ec-1").public])

    numbers = found["ec-1", "ES384"].material.as_dict(private=False)
    assert ec_key.public["x"] == numbers["x"]


def test_a_set_is_read_up_to_a_limit(ec_key: Key) -> None:
    """Its length is not ours to choose."""
    found = usable_keys({**ec_key.public, "kid": str(n)} for n in range(MAX_KEYS + 10))

    assert MAX_KEYS == len(found)
