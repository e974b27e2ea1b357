"""The form of a CDS Hooks token, before anything of it is believed.

A compact JWS with a JSON header and a JSON payload, read more strictly than RFC 7515 asks: what two
parsers could read in two ways is refused. Sources: CDS Hooks 2.0, "trusting CDS clients"; RFC 7515;
RFC 8725, sections 2.4 and 3.10.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Final, NoReturn

import msgspec

from cds_service.errors import Unauthenticated

MAX_TOKEN: Final = 16 * 1024
"""Characters of a token. Those of known EHRs have about a thousand."""

_BEARER: Final = re.compile(r"bearer +", re.IGNORECASE | re.ASCII)
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)
# Keys that a token brings along or points at; parameters that change how it is to be read.
_REFUSED: Final = frozenset({"jwk", "x5c", "x5u", "crit", "b64"})


class Token(msgspec.Struct, frozen=True):
    """A token whose form is right, and of which nothing else is known.

    Args:
        compact: the whole of it.
        algorithm: that it says it is signed with.
        kid: of the key.
        jku: where it says the keys are; None where it does not.
        claims: its payload.
    """

    compact: str
    algorithm: str
    kid: str
    jku: str | None
    claims: dict[str, Any]

    def __repr__(self) -> str:
        return "Token(***)"


def read_token(authorization: str | None) -> Token:
    """The token of an ``Authorization`` header.

    Raises:
        Unauthenticated: there is none, or it has another form.
    """
    if not authorization:
        raise Unauthenticated("missing")
    # Before anything looks through the text.
    if len(authorization) > MAX_TOKEN:
        raise Unauthenticated("too-large")
    scheme = _BEARER.match(authorization)
    if scheme is None:
        raise Unauthenticated("missing")
    compact = authorization[scheme.end() :].rstrip(" ")
    parts = _COMPACT.fullmatch(compact)
    header = _json_object(parts[1]) if parts else None
    claims = _json_object(parts[2]) if parts else None
    if header is None or claims is None:
        raise Unauthenticated("malformed")
    return _of(compact, header, claims)


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with each member once: of two, one parser takes the first, another the last.

    Raises:
        ValueError: a member stands twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member stands twice")
    return found


def _of(compact: str, header: dict[str, Any], claims: dict[str, Any]) -> Token:
    if not _REFUSED.isdisjoint(header):
        raise Unauthenticated("header")
    kind, algorithm, kid = header.get("typ"), header.get("alg"), header.get("kid")
    jku = header.get("jku")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise Unauthenticated("header")
    if not isinstance(algorithm, str):
        raise Unauthenticated("algorithm")
    if not isinstance(kid, str) or not (jku is None or isinstance(jku, str)):
        raise Unauthenticated("header")
    return Token(compact, algorithm, kid, jku, claims)


def _json_object(segment: str) -> dict[str, Any] | None:
    """The object in a segment; None where it is not one, or not well-formed."""
    try:
        text = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()
        found = json.loads(text, object_pairs_hook=unique_members, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_number(_: str) -> NoReturn:
    raise ValueError("is no JSON number")
