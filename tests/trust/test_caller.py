"""Callers of a service that only this machine can reach."""

from __future__ import annotations

import pytest

from cds_service.trust.caller import OPEN, AnyCaller, Caller


@pytest.mark.parametrize("authorization", [None, "Bearer ZZTOK-1", "nonsense"])
async def test_everybody_is_the_one_caller(authorization: str | None) -> None:
    """Whatever it shows; it may have the servers of the settings read."""
    servers = ("https://ehr.example/fhir",)

    shown = await AnyCaller(servers).shown(authorization, "/cds-services")
    await shown.use()

    assert Caller(OPEN, servers) == shown.caller
