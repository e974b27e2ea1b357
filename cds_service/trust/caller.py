"""Who calls, once that is known; and what any check of callers offers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """An EHR that may call.

    Args:
        name: the issuer's short name of the configuration, for log, metrics and audit.
        fhir_servers: base URLs that this caller's hooks may be pulled from.
        token_id: the ``jti`` of its token; None without authentication.
        client_id: what ``fhirAuthorization.subject`` must be; None where the issuer's record names
            none.
        shadow: whether its hooks are evaluated and audited only.
    """

    name: str
    fhir_servers: tuple[str, ...] = ()
    token_id: str | None = None
    client_id: str | None = None
    shadow: bool = False


class Shown(msgspec.Struct, frozen=True):
    """A caller that has shown who it is, before anything was done for it.

    Args:
        caller: who it is.
        use: uses its token up; to be awaited before the request is answered, and not for one that
            is turned away for load, so that the same token is good for another attempt. Raises
            ``Unauthenticated`` where it was used before, and ``StoreUnavailable`` where that cannot
            be told.
    """

    caller: Caller
    use: Callable[[], Awaitable[None]]


OPEN: Final = "open"
"""The name of every caller where no authentication is asked for."""


class CallerCheck(Protocol):
    """Tells who calls, from the header of a request."""

    async def shown(self, authorization: str | None, path: str) -> Shown:
        """The caller, whose token is not used up yet.

        Args:
            authorization: the ``Authorization`` header, None where there is none.
            path: of the endpoint as configured, such as ``/cds-services/net-retreat-eligibility``;
                with the public URL it is the audience that the token must name.

        Raises:
            Unauthenticated: it is not known who calls.
        """
        ...


class AnyCaller:
    """Lets everyone in, for a service that only this machine can reach.

    Args:
        fhir_servers: base URLs that may be pulled from.
    """

    def __init__(self, fhir_servers: tuple[str, ...]) -> None:
        self._shown = Shown(Caller(OPEN, fhir_servers), _nothing)

    async def shown(self, authorization: str | None, path: str) -> Shown:  # noqa: ARG002
        """The one caller that there is."""
        return self._shown


async def _nothing() -> None:
    """There is no token to use up."""
