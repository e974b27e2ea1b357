"""What a token must say besides who signed it: for whom, when, and once.

Every claim that CDS Hooks asks for is required, with the type that RFC 7519 gives it, so that no
check is passed by a claim that is absent or is compared as something else. Sources: CDS Hooks 2.0,
"trusting CDS clients"; HL7's CDS Hooks best practices; RFC 7519, section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from cds_service.errors import Unauthenticated

_MAX_TOKEN_ID: Final = 256
# Far beyond any date, and small enough for exact arithmetic of whole numbers and fractions alike.
_MAX_SECONDS: Final = 10**11


class ClaimPolicy(msgspec.Struct, frozen=True):
    """How long a token may be good.

    Args:
        lifetime: the longest that it may claim, from ``iat`` to ``exp``.
        leeway: by how much the clocks of the EHR and of this service may differ.
    """

    lifetime: timedelta = timedelta(hours=1)
    leeway: timedelta = timedelta(seconds=60)


class Use(msgspec.Struct, frozen=True):
    """What must be kept of a token, so that it cannot be used again.

    Args:
        token_id: its ``jti``.
        until: when no check would take it any more.
    """

    token_id: str
    until: datetime


def check_audience(claims: Mapping[str, Any], address: str) -> None:
    """Refuse a token for something else than an address, given as the EHR knows it.

    Raises:
        Unauthenticated: ``aud`` is not it, and is no list with it.
    """
    audience = claims.get("aud")
    if audience != address and not (isinstance(audience, list) and address in audience):
        raise Unauthenticated("audience")


def check_tenant(claims: Mapping[str, Any], tenants: tuple[str, ...] | None) -> None:
    """Refuse a tenant that is not listed; with no list, every tenant is as good.

    Raises:
        Unauthenticated: ``tenant`` is missing or not listed.
    """
    if tenants is not None and claims.get("tenant") not in tenants:
        raise Unauthenticated("tenant")


def check_use(claims: Mapping[str, Any], now: datetime, policy: ClaimPolicy) -> Use:
    """Refuse a token that is not good now, was made to last too long, or has no id.

    Its age needs no check of its own: issued too long ago, it has expired or lasts too long.

    Args:
        claims: of the token.
        now: the time, aware of its zone.
        policy: how long a token may be good.

    Raises:
        Unauthenticated: a claim is missing, has another type, or says that it is not good.
    """
    issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
    not_before = _seconds(claims, "nbf") if "nbf" in claims else issued
    if not 0 < expires - issued <= policy.lifetime.total_seconds():
        raise Unauthenticated("lifetime")
    leeway_s = policy.leeway.total_seconds()
    if max(issued, not_before) > now.timestamp() + leeway_s:
        raise Unauthenticated("not-yet-valid")
    if expires + leeway_s <= now.timestamp():
        raise Unauthenticated("expired")
    until = datetime.fromtimestamp(expires, UTC) + policy.leeway
    return Use(_token_id(claims), until)


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """A point in time, in seconds since 1970."""
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Unauthenticated("claims")
    if not 0 <= value <= _MAX_SECONDS:
        raise Unauthenticated("claims")
    return value


def _token_id(claims: Mapping[str, Any]) -> str:
    found = claims.get("jti")
    # It is kept in the audit: a store cannot take a NUL or half of a surrogate pair.
    if not isinstance(found, str) or not 0 < len(found) <= _MAX_TOKEN_ID:
        raise Unauthenticated("token-id")
    if not found.isprintable():
        raise Unauthenticated("token-id")
    return found
