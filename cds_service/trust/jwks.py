"""The keys of an issuer: given in its record, or fetched from its record's address and kept.

The address is the operator's; nothing of a token leads to a fetch of anything else. What is fetched
is kept for a while, asked for again when a token names a key that is not there (which is how a new
key becomes known), and kept longer while the issuer's server is down, but not for ever: whoever can
keep it down must not keep a withdrawn key alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from cds_service.errors import FhirError, FhirRefused, Unauthenticated
from cds_service.trust.keys import Keys, PublicKey, usable_keys

Fetch = Callable[[str], Awaitable[bytes]]
"""Reads a public document; raises FhirError."""

Clock = Callable[[], datetime]

KeysReason = Literal[
    "refused",  # 401 or 403
    "unreachable",  # off, or no usable answer
    "timeout",
    "too-large",
    "not-json",
    "no-keys",  # none that can be used
]
"""Why a fetch gave no keys, for the log."""

_MAX_BYTES: Final = 256 * 1024
# A probe fetches before the first token has to wait for it.
_EARLY: Final = 0.75


class KeyPolicy(msgspec.Struct, frozen=True):
    """How long fetched keys are kept, and how often they are asked for; in seconds.

    Args:
        lifetime_s: after which they are asked for again, so that a withdrawn key is gone.
        cooldown_s: between two fetches for a key that is not there, and after a failed fetch.
        cold_s: after a failed fetch while there are no keys at all.
        stale_s: until which they are used if no fetch succeeds.
        timeout_s: of one fetch.
    """

    lifetime_s: float = 600
    cooldown_s: float = 60
    cold_s: float = 5
    stale_s: float = 24 * 3600
    timeout_s: float = 2


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """The key of that id and algorithm; None where the issuer has none.

        Raises:
            Unauthenticated: its keys are not known, or were too long ago.
        """
        ...

    def held(self, kid: str, algorithm: str) -> PublicKey | None:
        """The same among the keys that are there already; nothing is fetched."""
        ...

    def usable(self) -> bool:
        """Whether there are keys that are not too old."""
        ...

    def renew(self) -> asyncio.Task[None] | None:
        """Fetch the keys if they get old; the fetch that is under way, if there is one."""
        ...


class GivenKeys:
    """Keys that stand in the issuer's record.

    Args:
        jwks: the keys, checked.
    """

    def __init__(self, jwks: Sequence[object]) -> None:
        self._keys = usable_keys(jwks)

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """The key of that id and algorithm; None where the record has none."""
        return self.held(kid, algorithm)

    def held(self, kid: str, algorithm: str) -> PublicKey | None:
        """The same: they are all there."""
        return self._keys.get((kid, algorithm))

    def usable(self) -> bool:
        """Always: they change with the record."""
        return True

    def renew(self) -> None:
        """There is nothing to fetch."""


class FetchedKeys:
    """Keys from the address in the issuer's record.

    Args:
        url: the address of its key set.
        fetch: reads it.
        now: the clock.
        policy: how long they are kept.
        observe: told after each fetch why it gave no keys; None where it gave some.
    """

    def __init__(
        self,
        url: str,
        fetch: Fetch,
        now: Clock,
        policy: KeyPolicy,
        observe: Callable[[KeysReason | None], None],
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._now = now
        self._policy = policy
        self._observe = observe
        self._keys: Keys = {}
        self._had_at: datetime | None = None
        self._failed_at: datetime | None = None
        self._missed_at: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """The key of that id and algorithm, fetched if need be; None where the issuer has none.

        A token with a known key waits for a fetch only when the keys are due and the last fetch
        succeeded: an issuer's server that is down costs one token the wait, not each.

        Raises:
            Unauthenticated: its keys are not known, or were too long ago.
        """
        wanted = (kid, algorithm)
        known = wanted in self._keys
        if self._within(self._had_at, self._policy.lifetime_s):
            under_way = None if known else self._ask_for_missing()
        else:
            under_way = self._ask()
            if known and self._failed_at is not None and self.usable():
                under_way = None
        if under_way is not None:
            # One caller that gives up must not end the fetch that others wait for.
            await asyncio.shield(under_way)
        if not self.usable():
            raise Unauthenticated("stale-keys")
        return self._keys.get(wanted)

    def held(self, kid: str, algorithm: str) -> PublicKey | None:
        """The key of that id and algorithm, if it is there and not too old."""
        return self._keys.get((kid, algorithm)) if self.usable() else None

    def usable(self) -> bool:
        """Whether there are keys that are not too old."""
        return self._within(self._had_at, self._policy.stale_s)

    def renew(self) -> asyncio.Task[None] | None:
        """Fetch the keys if they get old; the fetch that is under way, if there is one."""
        if self._within(self._had_at, self._policy.lifetime_s * _EARLY):
            return self._under_way()
        return self._ask()

    def _ask_for_missing(self) -> asyncio.Task[None] | None:
        """Fetch for a key that is not there; at most once a cooldown, whoever asks for what."""
        if self._under_way() is None:
            if self._within(self._missed_at, self._policy.cooldown_s):
                return None
            self._missed_at = self._now()
        return self._ask()

    def _ask(self) -> asyncio.Task[None] | None:
        """The one fetch that is under way; a new one unless the last failed a moment ago."""
        under_way = self._under_way()
        pause_s = self._policy.cooldown_s if self._keys else self._policy.cold_s
        if under_way is None and not self._within(self._failed_at, pause_s):
            under_way = self._fetching = asyncio.create_task(self._refresh())
        return under_way

    def _under_way(self) -> asyncio.Task[None] | None:
        fetching = self._fetching
        return None if fetching is None or fetching.done() else fetching

    def _within(self, since: datetime | None, seconds: float) -> bool:
        """Whether less than so many seconds have passed; not so if the clock was set back."""
        return since is not None and 0 <= (self._now() - since).total_seconds() < seconds

    async def _refresh(self) -> None:
        found = await self._fetched()
        if isinstance(found, str):
            self._failed_at = self._now()
            self._observe(found)
        else:
            self._keys, self._had_at, self._failed_at = found, self._now(), None
            self._observe(None)

    async def _fetched(self) -> Keys | KeysReason:
        """The usable keys of the set; where it cannot be had or read, why."""
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                document = await self._fetch(self._url)
        except FhirRefused:
            return "refused"
        except FhirError:
            return "unreachable"
        except TimeoutError:
            return "timeout"
        if len(document) > _MAX_BYTES:
            return "too-large"
        try:
            found = msgspec.json.decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "not-json"
        members = found.get("keys") if isinstance(found, dict) else None
        return (usable_keys(members) if isinstance(members, list) else {}) or "no-keys"
