"""Public keys that a token may be signed with, read from their JWK form.

A key is for one algorithm, which follows from its type and curve alone: what a token's header says
can never make an EC key check an RSA signature, or a public key serve as an HMAC secret. Sources:
CDS Hooks 2.0, "trusting CDS clients" (ES384 and RS384); RFC 7517 and 7518; RFC 8725, section 3.1.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
from joserfc import jwk, jws
from joserfc.errors import JoseError

Algorithm = Literal["ES384", "RS384"]

MAX_KEYS: Final = 50
"""Of one issuer. Those in use have two or three."""

_CURVE: Final = "P-384"
# Below, RSA is broken (NIST SP 800-131A); above, a check costs more than any use of it explains.
_RSA_BITS: Final = range(2048, 8192 + 1)
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_ID: Final = 256
# A header with a long key address is larger than joserfc's default limit of 512 bytes.
_MAX_SEGMENT: Final = 16 * 1024


class PublicKey(msgspec.Struct, frozen=True):
    """A public key and the one algorithm that it is for.

    Args:
        kid: its id, as a token's header names it.
        algorithm: the algorithm.
        material: the key itself.
    """

    kid: str
    algorithm: Algorithm
    material: jwk.ECKey | jwk.RSAKey

    def signed(self, token: str) -> bool:
        """Whether a compact JWS bears this key's signature."""
        registry = jws.JWSRegistry(algorithms=[self.algorithm], strict_check_header=False)
        registry.max_header_length = registry.max_signature_length = _MAX_SEGMENT
        try:
            jws.deserialize_compact(token, self.material, registry=registry)
        except (JoseError, ValueError):
            return False
        return True


Keys = Mapping[tuple[str, str], PublicKey]
"""Keys by their id and algorithm. RFC 7517, section 4.5: keys of two kinds may share an id."""


def key_problem(value: object) -> str | None:
    """Why a value is no key for tokens, without any of its content; None if it is one."""
    found = _read(value)
    return found if isinstance(found, str) else None


def usable_keys(values: Iterable[object]) -> Keys:
    """The usable ones among the members of a key set; the first one of those alike in id and kind.

    A set may hold keys for other purposes, and kinds that are not known here (RFC 7517, section 5),
    so that what cannot be used is passed over.
    """
    keys: dict[tuple[str, str], PublicKey] = {}
    for value in values:
        found = _read(value)
        if isinstance(found, PublicKey) and len(keys) < MAX_KEYS:
            keys.setdefault((found.kid, found.algorithm), found)
    return keys


def _read(value: object) -> PublicKey | str:
    if not isinstance(value, dict):
        return "is no JWK"
    if not _SECRET.isdisjoint(value):
        return "is private or symmetric; it belongs to the EHR alone"
    algorithm = _algorithm(value)
    if algorithm is None:
        return "is neither EC on P-384 (ES384) nor RSA (RS384)"
    kid = value.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _MAX_ID:
        return "has no kid"
    if value.get("alg", algorithm) != algorithm or not _for_signatures(value):
        return f"is for something other than {algorithm} signatures"
    material = _material(value)
    return "is no valid public key" if material is None else PublicKey(kid, algorithm, material)


def _algorithm(value: dict[str, Any]) -> Algorithm | None:
    """What a key is for, by its type and curve."""
    if value.get("kty") == "EC" and value.get("crv") == _CURVE:
        return "ES384"
    return "RS384" if value.get("kty") == "RSA" else None


def _for_signatures(value: dict[str, Any]) -> bool:
    operations = value.get("key_ops", ["verify"])
    return (
        value.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def _material(value: dict[str, Any]) -> jwk.ECKey | jwk.RSAKey | None:
    """The key; None where its numbers are no point of the curve, or no modulus of a good size."""
    # Only the numbers: certificates and whatever else a set says beside them are not looked at.
    numbers: dict[str, Any] = {
        name: value[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in value
    }
    try:
        with warnings.catch_warnings():
            # A short RSA key is refused below; the library only warns.
            warnings.simplefilter("ignore")
            if value["kty"] == "EC":
                return jwk.ECKey.import_key(numbers)
            key = jwk.RSAKey.import_key(numbers)
    except (JoseError, ValueError, TypeError):
        return None
    return key if key.public_key.key_size in _RSA_BITS else None
