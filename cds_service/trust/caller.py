"""Who calls, once that is known; and what any check of callers offers."""

from __future__ import annotations

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


OPEN: Final = "open"
"""The name of every caller where no authentication is asked for."""


class CallerCheck(Protocol):
    """Tells who calls, from the header of a request."""

    async def __call__(self, authorization: str | None, path: str) -> Caller:
        """The caller.

        Args:
            authorization: the ``Authorization`` header, None where there is none.
            path: of the endpoint as configured, such as ``/cds-services/net-retreat-eligibility``;
                with the public URL it is the audience that the token must name.

        Raises:
            Unauthenticated: it is not known who calls.
            StoreUnavailable: whether the token was used before cannot be told.
        """
        ...


class AnyCaller:
    """Lets everyone in, for a service that only this machine can reach.

    Args:
        fhir_servers: base URLs that may be pulled from.
    """

    def __init__(self, fhir_servers: tuple[str, ...]) -> None:
        self._caller = Caller(OPEN, fhir_servers)

    async def __call__(self, authorization: str | None, path: str) -> Caller:  # noqa: ARG002
        """The one caller that there is."""
        return self._caller
