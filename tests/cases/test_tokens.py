"""Tokens that show nobody: 401 with no reason, nothing read, the reason in the log."""

# ruff: noqa: E501  (a table is read by its lines)
from __future__ import annotations

import hmac
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.conftest import (
    FEEDBACK,
    SERVICE,
    Running,
    free_port,
    serving,
    settings_for,
)
from tests.trust.ehr import Key, segment, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cases.conftest import Tenant

DISCOVERY = "/cds-services"
HOUR = 3600


@pytest.fixture
def unread(service: Running) -> Iterator[Running]:
    """The service; afterwards no FHIR server was asked anything by the requests of the test."""
    before = {name: len(server.requests) for name, server in service.fhir.items()}
    yield service
    assert before == {name: len(server.requests) for name, server in service.fhir.items()}


def check_refused(service: Running, authorization: str | None, reason: str) -> None:
    """401 whose body and headers tell nothing; the reason is in the log, the token is not."""
    answer = service.post(service.hook(), headers={"authorization": authorization})

    assert 401 == answer.response.status_code
    assert "Bearer" == answer.response.headers["www-authenticate"]
    assert "not authenticated" == answer.response.json()["issue"][0]["diagnostics"]
    assert reason == [one for one in service.log() if one["event"] == "refused"][-1]["reason"]


@pytest.mark.case("JWT-01")
@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "missing"),
        ("Basic ZZTOK", "missing"),
        ("Bearer", "missing"),
        ("Bearer garbage", "malformed"),
        ("Bearer a.b.c.d.e", "malformed"),
        (f"Bearer {'a' * 20_000}", "too-large"),
    ],
    ids=["none", "basic", "empty", "garbage", "five-parts", "large"],
)
def test_no_token(unread: Running, authorization: str | None, reason: str) -> None:
    """Or something else in its place."""
    check_refused(unread, authorization, reason)


@pytest.mark.case("JWT-01")
def test_a_token_of_2_megabytes(unread: Running) -> None:
    """Is refused with its header, before anything is parsed."""
    answer_status = unread_status(unread, f"Bearer {'a' * 2_000_000}")

    assert answer_status in {401, 431, 400}


def unread_status(service: Running, authorization: str) -> int:
    """The status of a hook with a header; a connection that is closed counts as 400."""
    import httpx2  # noqa: PLC0415

    try:
        with httpx2.Client(trust_env=False, timeout=10) as client:
            headers = {"authorization": authorization, "content-type": "application/json"}
            return client.post(service.url + SERVICE, content=b"{}", headers=headers).status_code
    except httpx2.TransportError:
        return 400


def _hmac(tenant: Tenant, secret: bytes, algorithm: str) -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": tenant.key.kid}
    signed = f"{segment(header)}.{segment(tenant.claims())}"
    digest = hmac.new(secret, signed.encode(), f"sha{algorithm[2:]}").digest()
    return f"{signed}.{segment(digest)}"


def _pem(tenant: Tenant) -> bytes:
    return bytes(tenant.key.pair.as_pem(private=False))


CASES: list[Any] = [
    ("JWT-02", "none", lambda a, _b, _u: f"{segment({'alg': 'none', 'typ': 'JWT', 'kid': a.key.kid})}.{segment(a.claims())}."),
    ("JWT-02", "hs256-pem", lambda a, _b, _u: _hmac(a, _pem(a), "HS256")),
    ("JWT-02", "hs256-jwk", lambda a, _b, _u: _hmac(a, json.dumps(a.key.public).encode(), "HS256")),
    ("JWT-02", "hs384", lambda a, _b, _u: _hmac(a, _pem(a), "HS384")),
    ("JWT-03", "rs384-with-ec-key", lambda a, _b, _u: a.token(header={"alg": "RS384"})),
    ("JWT-04", "jku-elsewhere", lambda a, _b, u: a.token(header={"jku": f"{u}/keys"})),
    ("JWT-04", "jku-other-path", lambda a, _b, _u: a.token(header={"jku": f"{a.iss}/other"})),
    ("JWT-04", "x5u", lambda a, _b, u: a.token(header={"x5u": u})),
    ("JWT-04", "jwk", lambda a, _b, _u: a.token(header={"jwk": Key("mine").public})),
    ("JWT-05", "unknown-iss", lambda a, _b, _u: a.token(iss="https://nobody.example")),
    ("JWT-05", "iss-of-a-kid-of-b", lambda a, b, _u: a.token(header={"kid": b.key.kid})),
    ("JWT-05", "signed-by-b", lambda a, b, _u: sign(b.key, {"alg": "ES384", "typ": "JWT", "kid": a.key.kid}, a.claims())),
    ("JWT-06", "aud-discovery", lambda a, _b, _u: a.token(aud=a.public_url + DISCOVERY)),
    ("JWT-06", "aud-other-service", lambda a, _b, _u: a.token(aud=f"{a.public_url}/cds-services/other")),
    ("JWT-06", "aud-list-without-ours", lambda a, _b, _u: a.token(aud=["https://x.example", a.public_url])),
    ("JWT-06", "aud-slash", lambda a, _b, _u: a.token(aud=f"{a.public_url}{SERVICE}/")),
    ("JWT-06", "aud-host", lambda a, _b, _u: a.token(aud=f"http://evil.example{SERVICE}")),
    ("JWT-07", "expired", lambda a, _b, _u: a.token(iat=int(time.time()) - 400, exp=int(time.time()) - 90)),
    ("JWT-07", "no-exp", lambda a, _b, _u: a.token(exp=None)),
    ("JWT-07", "exp-string", lambda a, _b, _u: a.token(exp=str(int(time.time()) + 300))),
    ("JWT-07", "exp-in-10-years", lambda a, _b, _u: a.token(exp=int(time.time()) + 10 * 365 * 24 * HOUR)),
    ("JWT-08", "iat-ahead", lambda a, _b, _u: a.token(iat=int(time.time()) + HOUR, exp=int(time.time()) + HOUR + 300)),
    ("JWT-08", "nbf-ahead", lambda a, _b, _u: a.token(nbf=int(time.time()) + HOUR)),
    ("JWT-08", "iat-a-year-ago", lambda a, _b, _u: a.token(iat=int(time.time()) - 365 * 24 * HOUR)),
    ("JWT-10", "no-jti", lambda a, _b, _u: a.token(jti=None)),
    ("JWT-10", "empty-jti", lambda a, _b, _u: a.token(jti="")),
    ("JWT-10", "int-jti", lambda a, _b, _u: a.token(jti=7)),
    ("JWT-10", "long-jti", lambda a, _b, _u: a.token(jti="j" * 1000)),
    ("JWT-15", "aud-feedback", lambda a, _b, _u: a.token(aud=a.public_url + FEEDBACK)),
]  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name, marks=pytest.mark.case(case)) for case, name, make in CASES],
)
def test_a_bad_token(unread: Running, make: Callable[[Tenant, Tenant, str], str]) -> None:
    """Whatever is wrong with it."""
    alpha, beta = unread.tenants["alpha"], unread.tenants["beta"]
    answer = unread.post(
        unread.hook(),
        headers={"authorization": f"Bearer {make(alpha, beta, unread.canary.origin)}"},
    )

    assert 401 == answer.response.status_code
    assert "Bearer" == answer.response.headers["www-authenticate"]
    assert "not authenticated" == answer.response.json()["issue"][0]["diagnostics"]


@pytest.mark.case("JWT-06")
def test_the_host_header_does_not_say_who_we_are(unread: Running) -> None:
    """The audience comes from the configuration."""
    token = unread.tenants["alpha"].token(aud=f"http://evil.example{SERVICE}")
    headers = {"authorization": f"Bearer {token}", "host": "evil.example"}

    assert 401 == unread.post(unread.hook(), headers=headers).response.status_code


@pytest.mark.case("JWT-08")
@pytest.mark.parametrize("skew", [-30, 30])
def test_clocks_that_differ_a_little(service: Running, skew: int) -> None:
    """Half a minute is no reason to refuse; nor is an nbf five minutes before (Epic)."""
    now = int(time.time()) + skew
    bearer = service.tenants["alpha"].bearer(iat=now, exp=now + 300, nbf=now - 300)

    answer = service.post(service.hook(), headers={"authorization": bearer})

    assert 200 == answer.response.status_code


@pytest.mark.case("JWT-09")
def test_the_same_token_twice(service: Running) -> None:
    """The second time it shows nobody."""
    bearer = service.tenants["alpha"].bearer()
    hooks = [service.post(service.hook(), headers={"authorization": bearer}) for _ in range(2)]

    assert [200, 401] == [one.response.status_code for one in hooks]


@pytest.mark.case("JWT-09")
def test_the_same_token_to_two_workers_and_after_a_restart(
    running: Running, tmp_path: Path
) -> None:
    """The store remembers it, not the process."""
    port = free_port()
    settings = settings_for(tmp_path, port, running.tenants)
    settings["CDS_PUBLIC_URL"] = running.url
    other = settings | {"CDS_DATABASE_URL": settings["CDS_DATABASE_URL"]}
    bearer = running.tenants["alpha"].bearer()
    statuses: list[int] = []

    def call(at: int) -> None:
        service = Running(
            f"http://127.0.0.1:{at}", running.process, tmp_path, running.tenants, {}, running.canary
        )
        answer = service.post(service.hook(), headers={"authorization": bearer})
        statuses.append(answer.response.status_code)

    with ExitStack() as stack:
        stack.enter_context(serving(tmp_path, port, settings))
        second = free_port()
        stack.enter_context(serving(tmp_path, second, other))
        call(port)
        call(second)
        call(port)
    with serving(tmp_path, port, settings):
        call(port)

    assert [200, 401, 401, 401] == statuses


@pytest.mark.case("JWT-15")
@pytest.mark.parametrize("path", [SERVICE, DISCOVERY])
def test_a_hook_token_is_for_the_hook_only(unread: Running, path: str) -> None:
    """Feedback wants one of its own."""
    bearer = unread.tenants["alpha"].bearer(path)
    body = {"feedback": [{"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-01-01T00:00:00Z"}]}  # fmt: skip

    answer = unread.post(body, path=FEEDBACK, headers={"authorization": bearer})

    assert 401 == answer.response.status_code
