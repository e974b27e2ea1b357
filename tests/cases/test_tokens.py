"""Tokens that show nobody: 401 with no reason, nothing read, the reason in the log."""

# ruff: noqa: E501  (a table is read by its lines)
from __future__ import annotations

import hmac
import json
import select
import socket
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.cases.conftest import (
    FEEDBACK,
    LISTED,
    SERVICE,
    Running,
    free_port,
    serving,
    settings_for,
)
from tests.cases.invariants import watched
from tests.cases.sent import chart, prefetch
from tests.trust.ehr import Key, segment, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cases.conftest import Answered, Tenant

DISCOVERY = "/cds-services"
HOUR = 3600


@pytest.fixture
def unread(service: Running) -> Iterator[Running]:
    """The service; afterwards no FHIR server was asked anything by the requests of the test."""
    before = {name: len(server.requests) for name, server in service.fhir.items()}
    yield service
    assert before == {name: len(server.requests) for name, server in service.fhir.items()}


def check_refused(
    service: Running, authorization: str | None, reason: str, *, tenant: str = "alpha"
) -> None:
    """401 whose body and headers tell nothing; the reason is in the log, the token is not."""
    before = len(service.log())
    answer = service.post(service.hook(tenant), headers={"authorization": authorization})

    assert 401 == answer.response.status_code
    assert "Bearer" == answer.response.headers["www-authenticate"]
    assert "not authenticated" == answer.response.json()["issue"][0]["diagnostics"]
    noted = [one for one in service.log()[before:] if one["event"] == "refused"]
    assert [(401, reason)] == [(one["status"], one["reason"]) for one in noted]


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
    """431, and the connection is closed, before all of the header came: nothing of it is parsed."""
    port = int(unread.url.rpartition(":")[2])
    start = f"POST {SERVICE} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
    piece, sent = b"a" * 16_384, 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(start.encode())
        while sent < 2_000_000 and not select.select([connection], [], [], 0.01)[0]:
            connection.sendall(piece)
            sent += len(piece)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert sent < 1_000_000


def _hmac(tenant: Tenant, secret: bytes, algorithm: str) -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": tenant.key.kid}
    signed = f"{segment(header)}.{segment(tenant.claims())}"
    digest = hmac.new(secret, signed.encode(), f"sha{algorithm[2:]}").digest()
    return f"{signed}.{segment(digest)}"


def _pem(tenant: Tenant) -> bytes:
    return bytes(tenant.key.pair.as_pem(private=False))


CASES: list[Any] = [
    ("JWT-02", "none", "malformed", lambda _s, a: f"{segment({'alg': 'none', 'typ': 'JWT', 'kid': a.key.kid})}.{segment(a.claims())}."),
    ("JWT-02", "none-signed", "algorithm", lambda _s, a: a.token(header={"alg": "none"})),
    ("JWT-02", "None-signed", "algorithm", lambda _s, a: a.token(header={"alg": "None"})),
    ("JWT-02", "hs256-pem", "algorithm", lambda _s, a: _hmac(a, _pem(a), "HS256")),
    ("JWT-02", "hs256-jwk", "algorithm", lambda _s, a: _hmac(a, json.dumps(a.key.public).encode(), "HS256")),
    ("JWT-02", "hs384", "algorithm", lambda _s, a: _hmac(a, _pem(a), "HS384")),
    ("JWT-03", "rs384-with-ec-key", "unknown-key", lambda _s, a: a.token(header={"alg": "RS384"})),
    ("JWT-04", "jku-elsewhere", "key-address", lambda s, a: a.token(header={"jku": f"{s.canary.origin}/keys"})),
    ("JWT-04", "jku-other-path", "key-address", lambda _s, a: a.token(header={"jku": f"{a.iss}/other"})),
    ("JWT-04", "jku-http", "key-address", lambda _s, a: a.token(header={"jku": a.iss.replace("https", "http")})),
    ("JWT-04", "jku-where-none-is-known", "key-address", lambda s, a: a.token(header={"jku": s.tenants["gamma"].jwks_url})),
    ("JWT-04", "x5u", "header", lambda s, a: a.token(header={"x5u": s.canary.origin})),
    ("JWT-04", "jwk", "header", lambda _s, a: a.token(header={"jwk": Key("mine").public})),
    ("JWT-05", "unknown-iss", "unknown-issuer", lambda _s, a: a.token(iss="https://nobody.example")),
    ("JWT-05", "iss-of-a-kid-of-b", "unknown-key", lambda s, a: a.token(header={"kid": s.tenants["beta"].key.kid})),
    ("JWT-05", "signed-by-b", "signature", lambda s, a: sign(s.tenants["beta"].key, {"alg": "ES384", "typ": "JWT", "kid": a.key.kid}, a.claims())),
    ("JWT-06", "aud-discovery", "audience", lambda _s, a: a.token(aud=a.public_url + DISCOVERY)),
    ("JWT-06", "aud-other-service", "audience", lambda _s, a: a.token(aud=f"{a.public_url}/cds-services/other")),
    ("JWT-06", "aud-list-without-ours", "audience", lambda _s, a: a.token(aud=["https://x.example", a.public_url])),
    ("JWT-06", "aud-slash", "audience", lambda _s, a: a.token(aud=f"{a.public_url}{SERVICE}/")),
    ("JWT-06", "aud-host", "audience", lambda _s, a: a.token(aud=f"http://evil.example{SERVICE}")),
    ("JWT-07", "expired", "expired", lambda _s, a: a.token(iat=int(time.time()) - 400, exp=int(time.time()) - 90)),
    ("JWT-07", "no-exp", "claims", lambda _s, a: a.token(exp=None)),
    ("JWT-07", "exp-string", "claims", lambda _s, a: a.token(exp=str(int(time.time()) + 300))),
    ("JWT-07", "exp-in-10-years", "lifetime", lambda _s, a: a.token(exp=int(time.time()) + 10 * 365 * 24 * HOUR)),
    ("JWT-08", "iat-ahead", "not-yet-valid", lambda _s, a: a.token(iat=int(time.time()) + HOUR, exp=int(time.time()) + HOUR + 300)),
    ("JWT-08", "nbf-ahead", "not-yet-valid", lambda _s, a: a.token(nbf=int(time.time()) + HOUR)),
    ("JWT-08", "iat-a-year-ago", "lifetime", lambda _s, a: a.token(iat=int(time.time()) - 365 * 24 * HOUR)),
    ("JWT-10", "no-jti", "token-id", lambda _s, a: a.token(jti=None)),
    ("JWT-10", "empty-jti", "token-id", lambda _s, a: a.token(jti="")),
    ("JWT-10", "int-jti", "token-id", lambda _s, a: a.token(jti=7)),
    ("JWT-10", "long-jti", "token-id", lambda _s, a: a.token(jti="j" * 1000)),
    ("JWT-15", "aud-feedback", "audience", lambda _s, a: a.token(aud=a.public_url + FEEDBACK)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        pytest.param(reason, make, id=name, marks=pytest.mark.case(case))
        for case, name, reason, make in CASES
    ],
)
def test_a_bad_token(unread: Running, reason: str, make: Callable[[Running, Tenant], str]) -> None:
    """Whatever is wrong with it; the log says what, in a word."""
    check_refused(unread, f"Bearer {make(unread, unread.tenants['alpha'])}", reason)


JKU = [
    ("JWT-04", "canary", lambda s, _g: f"{s.canary.origin}/keys"),
    ("JWT-04", "other-path", lambda _s, g: f"{g.jwks_url}/other"),
    ("JWT-04", "other-query", lambda _s, g: f"{g.jwks_url}?x=1"),
    ("JWT-04", "other-scheme", lambda _s, g: g.jwks_url.replace("http:", "https:")),
    ("JWT-04", "other-case", lambda _s, g: g.jwks_url.replace("/keys", "/KEYS")),
    ("JWT-04", "other-port", lambda s, g: g.jwks_url.replace(f":{s.keys.port}/", "/")),
    ("JWT-04", "user", lambda _s, g: g.jwks_url.replace("://", "://x@")),
    ("JWT-05", "of-another-hospital", lambda s, _g: f"{s.tenants['beta'].iss}/keys"),
    ("JWT-05", "server-of-another", lambda s, _g: f"{s.tenants['beta'].fhir}/keys"),
]


@pytest.mark.parametrize(
    "where", [pytest.param(make, id=name, marks=pytest.mark.case(case)) for case, name, make in JKU]
)
def test_keys_are_fetched_from_the_configured_address_only(
    unread: Running, where: Callable[[Running, Tenant], str]
) -> None:
    """An issuer whose keys are fetched: a token that points elsewhere costs no fetch at all."""
    gamma = unread.tenants["gamma"]
    before = len(unread.keys.requests)

    bearer = gamma.bearer(header={"jku": where(unread, gamma)})
    check_refused(unread, bearer, "key-address", tenant="gamma")

    assert before == len(unread.keys.requests)


@pytest.mark.case("JWT-04")
@pytest.mark.parametrize("said", [False, True], ids=["silent", "jku"])
def test_keys_from_the_configured_address(service: Running, *, said: bool) -> None:
    """A good token of that issuer is taken, with the address in it or without."""
    gamma = service.tenants["gamma"]
    header = {"jku": gamma.jwks_url} if said else {}
    alone = {"prefetch": prefetch(chart()), "fhirServer": None, "fhirAuthorization": None}

    answer = service.post(
        service.hook("gamma", **alone), headers={"authorization": gamma.bearer(header=header)}
    )

    assert 200 == answer.response.status_code
    assert {"/keys"} == {request.target for request in service.keys.requests}


@pytest.mark.case("JWT-06")
def test_the_host_header_does_not_say_who_we_are(unread: Running) -> None:
    """The audience comes from the configuration."""
    token = unread.tenants["alpha"].token(aud=f"http://evil.example{SERVICE}")
    headers = {"authorization": f"Bearer {token}", "host": "evil.example"}

    assert 401 == unread.post(unread.hook(), headers=headers).response.status_code
    assert "audience" == unread.log()[-1]["reason"]


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
    assert "replayed" == service.log()[-1]["reason"]


@pytest.mark.case("JWT-10")
def test_a_token_id_is_its_issuers_own(service: Running) -> None:
    """Two hospitals may happen to use the same one."""
    jti = str(uuid.uuid4())
    found = []
    for name in ("alpha", "beta", "alpha"):
        bearer = service.tenants[name].bearer(jti=jti)
        answer = service.post(service.hook(name), headers={"authorization": bearer})
        found.append(answer.response.status_code)

    assert [200, 200, 401] == found


@pytest.mark.case("JWT-09")
def test_the_same_token_to_two_workers_and_after_a_restart(
    running: Running, tmp_path: Path
) -> None:
    """The store remembers it, not the process."""
    ports = [free_port() for _ in range(3)]
    settings = settings_for(tmp_path, ports[0], running.tenants)
    settings["CDS_PUBLIC_URL"] = running.url
    bearer = running.tenants["alpha"].bearer()
    answers: list[Answered] = []
    statuses: list[int] = []

    def call(service: Running) -> None:
        answer = service.post(service.hook(), headers={"authorization": bearer})
        statuses.append(answer.response.status_code)

    @contextmanager
    def worker(port: int) -> Iterator[Running]:
        with serving(tmp_path, port, settings) as process:
            here = f"http://127.0.0.1:{port}"
            one = replace(
                running, url=here, process=process, folder=tmp_path, answers=answers,
                handles_at_start=0,
            )  # fmt: skip
            with watched(one):
                yield one

    with worker(ports[0]) as first, worker(ports[1]) as second:
        call(first)
        call(second)
        call(first)
    with worker(ports[2]) as restarted:
        call(restarted)

    assert [200, 401, 401, 401] == statuses


@pytest.mark.case("JWT-14")
@pytest.mark.parametrize(
    "said", ["cardiology", "ONCOLOGY", f"{LISTED} ", "", [LISTED], None], ids=str
)
def test_a_tenant_that_is_not_listed(unread: Running, said: Any) -> None:
    """Of an issuer whose tenants are listed, a token of another one or of none shows nobody."""
    bearer = unread.tenants["delta"].bearer(tenant=said)

    check_refused(unread, bearer, "tenant", tenant="delta")


@pytest.mark.case("JWT-14")
def test_a_tenant_that_is_listed(service: Running) -> None:
    """Is served with the same issuer's token."""
    bearer = service.tenants["delta"].bearer(tenant=LISTED)
    alone = {"prefetch": prefetch(chart()), "fhirServer": None, "fhirAuthorization": None}

    answer = service.post(service.hook("delta", **alone), headers={"authorization": bearer})

    assert 200 == answer.response.status_code


@pytest.mark.case("JWT-15")
@pytest.mark.parametrize("path", [SERVICE, DISCOVERY])
def test_a_hook_token_is_for_the_hook_only(unread: Running, path: str) -> None:
    """Feedback wants one of its own."""
    bearer = unread.tenants["alpha"].bearer(path)
    body = {"feedback": [{"card": "c", "outcome": "overridden", "outcomeTimestamp": "2026-01-01T00:00:00Z"}]}  # fmt: skip

    answer = unread.post(body, path=FEEDBACK, headers={"authorization": bearer})

    assert 401 == answer.response.status_code
