"""The check of a CDS Hooks token: who calls, and that it is they, for this address, once.

What the operator's record of an issuer says is compared with the token; nothing of a token is ever
followed. A refusal has a short code for log and metrics, and nothing of the token in it; the caller
is told none. Sources: CDS Hooks 2.0, "trusting CDS clients"; HL7's CDS Hooks best practices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Literal, Protocol, get_args

from cds_service.errors import Unauthenticated
from cds_service.trust.bearer import Token, read_token
from cds_service.trust.caller import Caller, Shown
from cds_service.trust.claims import ClaimPolicy, Use, check_audience, check_tenant, check_use
from cds_service.trust.jwks import (
    Clock,
    Fetch,
    FetchedKeys,
    GivenKeys,
    KeyPolicy,
    KeySource,
    KeysReason,
)
from cds_service.trust.records import Issuer

Reason = Literal[
    "missing",  # no token
    "several-tokens",  # more than one Authorization header
    "too-large",
    "malformed",  # no JWT of three parts, each well-formed
    "header",  # typ, kid, or a parameter that brings a key along
    "algorithm",  # none of the issuer's
    "unknown-issuer",
    "issuer-disabled",
    "key-address",  # jku is none of the issuer's
    "audience",  # aud is not the address that was called
    "claims",  # exp, iat or nbf is missing or no number
    "lifetime",  # exp is too long after iat, or before it
    "not-yet-valid",
    "expired",
    "token-id",  # jti is missing, empty or too long
    "tenant",
    "unknown-key",
    "stale-keys",  # the issuer's keys cannot be fetched
    "signature",
    "replayed",
]
REASONS: Final[tuple[str, ...]] = get_args(Reason)
"""Every code that a refusal of a token may have."""

_KEY_POLICY: Final = KeyPolicy()
_CLAIM_POLICY: Final = ClaimPolicy()


class ReplayStore(Protocol):
    """Remembers the tokens that were used, for all workers and replicas, and across restarts."""

    async def first_use(self, issuer: str, token_id: str, expires: datetime) -> bool:
        """Whether an issuer's token was not used before; from now on it was.

        Args:
            issuer: the ``iss`` of the token; a token's id is unique within it only.
            token_id: its ``jti``.
            expires: until when it must be remembered.

        Raises:
            StoreUnavailable: it cannot be told.
        """
        ...


# Told an issuer's name after each fetch of its keys, and why it gave none; None where it gave some.
ObserveKeys = Callable[[str, KeysReason | None], None]


def _unobserved(_name: str, _reason: KeysReason | None, /) -> None:
    """Nobody wants to know."""


class TokenCheck:
    """Tells who calls by the token of its request.

    Args:
        issuers: the EHRs that may call.
        public_url: the service's base URL as EHRs know it; with the path it is the audience.
        fetch: reads a public document: an issuer's key set.
        replay: remembers used tokens.
        now: the clock; aware of its time zone.
        key_policy: how long fetched keys are kept.
        claim_policy: how long a token may be good.
        observe: told of each fetch of keys.
    """

    def __init__(  # noqa: PLR0913  (the parts that it puts together)
        self,
        issuers: Sequence[Issuer],
        public_url: str,
        *,
        fetch: Fetch,
        replay: ReplayStore,
        now: Clock,
        key_policy: KeyPolicy = _KEY_POLICY,
        claim_policy: ClaimPolicy = _CLAIM_POLICY,
        observe: ObserveKeys = _unobserved,
    ) -> None:
        self._issuers = {issuer.iss: issuer for issuer in issuers}
        self._public_url = public_url.rstrip("/")
        self._replay = replay
        self._now = now
        self._claim_policy = claim_policy
        self._keys: dict[str, KeySource] = {
            issuer.iss: _key_source(issuer, fetch, now, key_policy, observe)
            for issuer in issuers
            if issuer.enabled
        }

    async def __call__(self, authorization: str | None, path: str) -> Caller:
        """The caller, whose token is used up with that.

        Raises:
            Unauthenticated: the header shows no good token.
            StoreUnavailable: whether the token was used before cannot be told.
        """
        shown = await self.shown(authorization, path)
        await shown.use()
        return shown.caller

    async def shown(self, authorization: str | None, path: str) -> Shown:
        """The caller, whose token is not used up yet.

        What needs a fetch comes last, so that a token that is bad anyway does not cost it.

        Raises:
            Unauthenticated: the header shows no good token.
        """
        token = read_token(authorization)
        issuer = self._issuer(token)
        try:
            check_audience(token.claims, f"{self._public_url}{path}")
            use = check_use(token.claims, self._now(), self._claim_policy)
            check_tenant(token.claims, issuer.tenants)
        except Unauthenticated as refusal:
            refusal.caller = self._signer(token, issuer)
            raise
        await self._check_signature(token, issuer)
        caller = Caller(
            name=issuer.name,
            fhir_servers=issuer.fhir_servers,
            token_id=use.token_id,
            client_id=issuer.client_id,
            shadow=issuer.shadow,
        )
        return Shown(caller, partial(self._use_up, issuer.iss, use))

    def fresh(self) -> bool:
        """Whether some issuer's tokens can be checked; fetches keys that get old meanwhile.

        Some, not each: of several hospitals, one whose keys cannot be fetched must not take the
        service from the others. Needs the running event loop.
        """
        for source in self._keys.values():
            source.renew()
        return not self._keys or any(source.usable() for source in self._keys.values())

    def stale(self) -> tuple[str, ...]:
        """The names of issuers whose tokens cannot be checked now, for log and alerts."""
        return tuple(
            self._issuers[iss].name for iss, source in self._keys.items() if not source.usable()
        )

    async def warm_up(self) -> None:
        """Fetch all keys, side by side, so that no first token has to wait for them."""
        fetches = [source.renew() for source in self._keys.values()]
        await asyncio.gather(*(one for one in fetches if one is not None))

    def _issuer(self, token: Token) -> Issuer:
        """The record of who the token says it is from, if that may have such tokens."""
        iss = token.claims.get("iss")
        issuer = self._issuers.get(iss) if isinstance(iss, str) else None
        if issuer is None:
            raise Unauthenticated("unknown-issuer")
        if not issuer.enabled:
            raise Unauthenticated("issuer-disabled")
        if token.algorithm not in issuer.algorithms:
            raise Unauthenticated("algorithm")
        if token.jku is not None and token.jku not in issuer.jku:
            raise Unauthenticated("key-address")
        return issuer

    async def _use_up(self, iss: str, use: Use) -> None:
        """Take a token out of use.

        Raises:
            Unauthenticated: it was used before.
            StoreUnavailable: that cannot be told.
        """
        if not await self._replay.first_use(iss, use.token_id, use.until):
            raise Unauthenticated("replayed")

    def _signer(self, token: Token, issuer: Issuer) -> str | None:
        """The issuer's name, if a key of its that is there already shows that it signed."""
        key = self._keys[issuer.iss].held(token.kid, token.algorithm)
        return issuer.name if key is not None and key.signed(token.compact) else None

    async def _check_signature(self, token: Token, issuer: Issuer) -> None:
        key = await self._keys[issuer.iss].find(token.kid, token.algorithm)
        if key is None:
            raise Unauthenticated("unknown-key")
        if not key.signed(token.compact):
            raise Unauthenticated("signature")


def _key_source(
    issuer: Issuer,
    fetch: Fetch,
    now: Clock,
    policy: KeyPolicy,
    observe: ObserveKeys,
) -> KeySource:
    if issuer.jwks_url is None:
        return GivenKeys(issuer.keys)

    def fetched(reason: KeysReason | None) -> None:
        observe(issuer.name, reason)

    return FetchedKeys(issuer.jwks_url, fetch, now, policy, fetched)
