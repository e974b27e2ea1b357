"""Whose token was refused: told where a signature shows it, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cds_service.errors import Unauthenticated
from tests.trust.ehr import Ehr, Key

if TYPE_CHECKING:
    from cds_service.trust.verify import TokenCheck

HOOK = "/cds-services/net-retreat-eligibility"


async def refused(check: TokenCheck, bearer: str) -> tuple[str, str | None]:
    """Why a token is refused, and whose it is said to be."""
    with pytest.raises(Unauthenticated) as caught:
        await check(bearer, HOOK)
    return caught.value.reason, caught.value.caller


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://other.example"}, "audience"),
        ({"exp": 1}, "lifetime"),
        ({"iat": 1, "exp": 2}, "expired"),
        ({"jti": ""}, "token-id"),
        ({"tenant": "another"}, "tenant"),
    ],
)
async def test_one_that_the_issuer_signed(
    check: Any, issuer: Any, ehr: Ehr, claims: dict[str, Any], reason: str
) -> None:
    """The name in the configuration, so that its clock or address can be looked at."""
    checking = check(issuer(tenants=("oncology",)))

    assert (reason, "ehr") == await refused(
        checking, ehr.bearer(**({"tenant": "oncology"} | claims))
    )


async def test_one_that_somebody_else_signed(check: Any, issuer: Any, ehr: Ehr) -> None:
    """Whoever names the issuer is not the issuer."""
    forged = Ehr(ehr.clock, Key("ec-1"))

    assert ("audience", None) == await refused(
        check(issuer()), forged.bearer(aud="https://other.example")
    )
    assert ("signature", None) == await refused(check(issuer()), forged.bearer())


async def test_one_of_an_issuer_that_is_not_trusted(check: Any, issuer: Any, ehr: Ehr) -> None:
    """Its own words are nobody's name."""
    assert ("unknown-issuer", None) == await refused(
        check(issuer()), ehr.bearer(iss="https://ZZPHI.example")
    )


async def test_one_that_was_used_before(check: Any, issuer: Any, ehr: Ehr) -> None:
    """That its issuer signed it was seen the first time."""
    checking, bearer = check(issuer()), ehr.bearer()
    await checking(bearer, HOOK)

    assert "replayed" == (await refused(checking, bearer))[0]


async def test_nothing_is_fetched_for_it(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any
) -> None:
    """A bad token must not lead to a request; with keys that are there, its caller is known."""
    async with key_server(ehr.key.public) as server:
        checking = check(issuer(jwks_url=server.url))
        bad = ehr.bearer(aud="https://other.example")

        assert ("audience", None) == await refused(checking, bad)
        assert not server.requests
        await checking(ehr.bearer(), HOOK)
        assert ("audience", "ehr") == await refused(checking, bad)
        assert 1 == len(server.requests)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": 404}, "unreachable"),
        ({"status": 403}, "refused"),
        ({"body": b"[]"}, "no-keys"),
        ({"body": b'{"keys": []}'}, "no-keys"),
        ({"body": b"{"}, "not-json"),
    ],
)
async def test_why_there_are_no_keys(
    check: Any, issuer: Any, ehr: Ehr, key_server: Any, answer: dict[str, Any], reason: str
) -> None:
    """In a word of ours."""
    told: list[tuple[str, str | None]] = []
    async with key_server(ehr.key.public) as server:
        for name, value in answer.items():
            setattr(server, name, value)
        checking = check(
            issuer(jwks_url=server.url), observe=lambda name, why: told.append((name, why))
        )
        assert "stale-keys" == (await refused(checking, ehr.bearer()))[0]

    assert [("ehr", reason)] == told
