"""The service as an operator starts it, an EHR, a FHIR server that can go wrong, and a canary.

Every test of this folder drives a real process over HTTP. What must hold whatever happens (the
invariants of docs/cases.md) is checked after each of them, from outside: in the answers, the log,
the metrics, the store, and the state of the process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.faults.fake_fhir import Canary, FakeFhir, in_thread
from tests.faults.screened import chart_of
from tests.trust.ehr import Key, segment, sign

SERVICE = "/cds-services/net-retreat-eligibility"
FEEDBACK = f"{SERVICE}/feedback"
PATIENT = "everything-met"
DEADLINE_S = 1.5
MARGIN_S = 0.25
# What a busy machine may add to the time on the wall. How long the work itself takes is held by
# tests/faults, as time of the processor.
SLACK_S = 4.0
MOST_GROWTH_KB = 150 * 1024
START_S = 40
# Connections that are kept open to two FHIR servers.
POOLED = 2 * 32


@dataclass
class Answered:
    """One request of a test and its answer."""

    path: str
    sent: bytes
    response: httpx2.Response
    seconds: float

    @property
    def instance(self) -> str:
        """The hook instance that was asked for; empty if there was none."""
        found = re.search(rb'"hookInstance": ?"([^"]*)"', self.sent)
        return found[1].decode() if found else ""

    @property
    def cards(self) -> list[dict[str, Any]]:
        """The cards of a hook's answer."""
        assert self.response.status_code == 200, self.response.text
        cards: list[dict[str, Any]] = self.response.json()["cards"]
        return cards

    @property
    def report(self) -> dict[str, Any]:
        """The report on the one card."""
        (card,) = self.cards
        report: dict[str, Any] = card["extension"]["org.net-retreat.report"]
        return report

    def status(self, criterion: str) -> str:
        """A criterion's status."""
        found: str = self.result(criterion)["status"]
        return found

    def result(self, criterion: str) -> dict[str, Any]:
        """All about one criterion."""
        (one,) = [one for one in self.report["criteria"] if one["id"] == criterion]
        return dict(one)


class Tenant:
    """One hospital: an issuer of tokens, and its FHIR server."""

    def __init__(self, name: str, key: Key, fhir: str) -> None:
        self.name, self.key, self.fhir = name, key, fhir
        self.iss = f"https://{name}.example/fhir"
        self.public_url = ""

    def claims(self, path: str = SERVICE, **changed: Any) -> dict[str, Any]:
        """The claims of a good token for an endpoint; None takes one out."""
        now = int(datetime.now(UTC).timestamp())
        good = {
            "iss": self.iss,
            "aud": self.public_url + path,
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
        }
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(
        self, path: str = SERVICE, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token, good but for what is changed."""
        head = {"alg": self.key.algorithm, "typ": "JWT", "kid": self.key.kid} | (header or {})
        return sign(self.key, head, self.claims(path, **claims))

    def bearer(self, path: str = SERVICE, **changed: Any) -> str:
        """The same as an ``Authorization`` header."""
        return f"Bearer {self.token(path, **changed)}"


@dataclass
class Running:
    """A service that runs, and what can be seen of it from outside."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    tenants: dict[str, Tenant]
    fhir: dict[str, FakeFhir]
    canary: Canary
    answers: list[Answered] = field(default_factory=list)
    handles_at_start: int = 0

    def hook(self, tenant: str = "alpha", patient: str = PATIENT, **members: Any) -> dict[str, Any]:
        """A good hook request; None takes a member out."""
        hook = {
            "hook": "patient-view",
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": self.tenants[tenant].fhir,
            "fhirAuthorization": {
                "access_token": "ZZTOK-lent",
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": "patient/*.rs",
                "subject": "cds-service",
            },
            "context": {"userId": "Practitioner/ZZPHI-user", "patientId": patient},
        }
        return {name: value for name, value in (hook | members).items() if value is not None}

    def post(
        self,
        body: Any,
        tenant: str = "alpha",
        *,
        path: str = SERVICE,
        headers: dict[str, str | None] | None = None,
        timeout: float = 30,
    ) -> Answered:
        """Call the service: bytes as they are, anything else as JSON; None takes a header out."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent: dict[str, str | None] = {
            "content-type": "application/json",
            "authorization": self.tenants[tenant].bearer(path),
        }
        named = {
            name: value for name, value in (sent | (headers or {})).items() if value is not None
        }
        with httpx2.Client(trust_env=False, timeout=timeout) as client:
            began = time.monotonic()
            request = client.build_request("POST", self.url + path, content=content, headers=named)
            if "content-type" not in named:
                request.headers.pop("content-type", None)
            response = client.send(request)
            taken = time.monotonic() - began
        answer = Answered(path, content, response, taken)
        self.answers.append(answer)
        return answer

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Ask for something by GET."""
        with httpx2.Client(trust_env=False, timeout=10) as client:
            return client.get(self.url + path, headers=headers)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        text = (self.folder / "service.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def audited(self) -> list[dict[str, Any]]:
        """The hooks in the audit."""
        with closing(sqlite3.connect(self.folder / "store.db")) as database:
            rows = database.execute("select record from audit where kind = 'hook' order by seq")
            return [json.loads(record) for (record,) in rows]

    def memory_kb(self) -> int:
        """The resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return int(found[1])

    def handles(self) -> int:
        """How many files and sockets the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def serving(folder: Path, port: int, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The service in a process of its own, configured by its environment."""
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    command = [sys.executable, "-m", "cds_service.cli", "serve", "--port", str(port)]
    with (
        (folder / "service.log").open("ab") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            _wait_until_ready(port, process, folder / "service.log")
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_S
    with httpx2.Client(trust_env=False, timeout=5) as client:
        while process.poll() is None and time.monotonic() < give_up:
            try:
                if client.get(f"http://127.0.0.1:{port}/health/ready").is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
    pytest.fail(f"the service did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")


def settings_for(folder: Path, port: int, tenants: dict[str, Tenant]) -> dict[str, str]:
    """The environment of a service for these hospitals."""
    issuers = [
        {
            "iss": tenant.iss,
            "name": tenant.name,
            "keys": [tenant.key.public],
            "fhir_servers": [tenant.fhir],
        }
        for tenant in tenants.values()
    ]
    (folder / "issuers.json").write_text(json.dumps({"issuers": issuers}), encoding="utf-8")
    (folder / "site.yaml").write_text("timezone: UTC\neverolimus_access: true\n", encoding="utf-8")
    return {
        "CDS_AUTH": "required",
        "CDS_JWT_ISSUERS": str(folder / "issuers.json"),
        "CDS_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CDS_SITE_FILE": str(folder / "site.yaml"),
        "CDS_DATABASE_URL": f"sqlite:///{folder}/store.db",
        "CDS_HASH_KEY_FILE": str(folder / "hash.key"),
        "CDS_DEADLINE_SECONDS": str(DEADLINE_S),
        "CDS_MAX_BODY_BYTES": str(8 * 1024 * 1024),
    }


@pytest.fixture(scope="session")
def today() -> date:
    """The day, as the service has it."""
    return datetime.now(UTC).date()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, today: date) -> Iterator[Running]:
    """One service with two hospitals, for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("cases")
    canary = Canary()
    fhir = {name: FakeFhir(chart_of(PATIENT, today), canary=canary) for name in ("alpha", "beta")}
    with ExitStack() as stack:
        stack.enter_context(in_thread(canary, *fhir.values()))
        tenants = {
            name: Tenant(name, Key(f"{name}-key"), server.base) for name, server in fhir.items()
        }
        port = free_port()
        for tenant in tenants.values():
            tenant.public_url = f"http://127.0.0.1:{port}"
        settings = settings_for(folder, port, tenants)
        process = stack.enter_context(serving(folder, port, settings))
        found = Running(f"http://127.0.0.1:{port}", process, folder, tenants, fhir, canary)
        # What is made once, at the first hook, is no growth of any case.
        for tenant in tenants:
            assert found.post(found.hook(tenant), tenant).response.status_code == 200
        found.handles_at_start = found.handles()
        yield found


@pytest.fixture
def service(running: Running) -> Iterator[Running]:
    """The service, with servers that are well; afterwards the invariants are checked."""
    for server in running.fhir.values():
        server.recovers()
    running.answers.clear()
    memory = running.memory_kb()
    kept = len(running.audited())
    yield running
    for server in running.fhir.values():
        server.recovers()
    check_invariants(running, memory, kept)


def check_invariants(running: Running, memory: int, kept: int) -> None:
    """What holds after every case, whatever was sent and whatever the FHIR server did."""
    hooks = [answer for answer in running.answers if answer.path == SERVICE]
    for answer in running.answers:
        _check_answer(answer)
    _check_nothing_leaked(running)
    assert 0 == running.canary.connections, running.canary.heard
    evaluated = [one for one in hooks if one.response.status_code in {200, 412}]
    audited = running.audited()[kept:]
    _check_audit(evaluated, audited)
    good = running.post(running.hook())
    assert "all_met" != good.report["overall"]  # some of it only a person can say
    assert good.response.status_code == 200
    assert running.memory_kb() - memory < MOST_GROWTH_KB
    # Against the start, so that one handle lost by each case would show.
    _settles(lambda: running.handles() <= running.handles_at_start + POOLED)


def _check_answer(answer: Answered) -> None:
    """No fault of the service, in time, well-formed, and without what must not be in it."""
    response = answer.response
    assert response.status_code < 500 or response.status_code == 503, response.text
    if response.status_code == 503:
        assert "retry-after" in response.headers
    assert answer.seconds < DEADLINE_S + MARGIN_S + SLACK_S, answer.seconds
    assert "no-store" == response.headers["cache-control"]
    assert "ZZTOK" not in response.text
    if response.status_code != 200:
        assert "ZZPHI" not in response.text
        return
    if answer.path == SERVICE:
        _check_cards(response.json())


def _check_cards(body: dict[str, Any]) -> None:
    """A valid answer of CDS Hooks 2.0."""
    assert {"cards"} == set(body)
    for card in body["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in {"info", "warning", "critical"}
        assert card["source"]["label"]
        assert card["uuid"]
        assert ("selectionBehavior" in card) == ("suggestions" in card)
        for suggestion in card.get("suggestions", []):
            assert suggestion["label"]
            assert suggestion["uuid"]
            assert all(
                {"type", "description", "resource"} <= set(one) for one in suggestion["actions"]
            )
        assert "ligible" not in card["summary"]


def _check_nothing_leaked(running: Running) -> None:
    """No token and no chart content outside the answers and the audit's own field for comments."""
    seen = (running.folder / "service.log").read_text(encoding="utf-8", errors="replace")
    seen += running.get("/metrics").text
    for secret in ("ZZTOK", "ZZPHI", PATIENT, "eyJ"):
        assert secret not in seen, secret
    for file in running.folder.glob("store.db*"):
        assert b"ZZTOK" not in file.read_bytes()
        assert PATIENT.encode() not in file.read_bytes()


def _check_audit(evaluated: list[Answered], audited: list[dict[str, Any]]) -> None:
    """Exactly one record for each hook that was evaluated."""
    written = Counter(record["hookInstance"] for record in audited)
    most = Counter(one.instance for one in evaluated)
    # A 412 for a request that contradicts itself was not evaluated.
    least = Counter(one.instance for one in evaluated if one.response.status_code == 200)
    assert least <= written <= most, (least, written, most)
    for record in audited:
        assert {"caller", "patient", "outcome", "reads", "criteria"} <= set(record)
        if record["outcome"] not in {"switched-off", "patient-unavailable"}:
            assert record["trial"]["digest"].startswith("sha256:")
            assert record["mappings"]["digest"].startswith("sha256:")
            assert record["reads"]


def _settles(condition: Callable[[], bool], seconds: float = 3) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


__all__ = ["segment"]
