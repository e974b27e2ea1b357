"""The service as an operator starts it, an EHR, a FHIR server that can go wrong, and a canary.

Nearly every test of this folder drives a real process over HTTP; a few need a clock of their own,
and have the service in their own process (:mod:`tests.cases.inside`). What must hold whatever
happens is checked after each of them (:mod:`tests.cases.invariants`), for each service that ran.
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
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cases.invariants import watched
from tests.faults.fake_fhir import Canary, Exchange, FakeFhir, Request, in_thread
from tests.faults.screened import chart_of
from tests.trust.ehr import Key, sign

SERVICE = "/cds-services/net-retreat-eligibility"
FEEDBACK = f"{SERVICE}/feedback"
PATIENT = "everything-met"
DEADLINE_S = 1.5
START_S = 40
WATCHER = Path(__file__).parent / "watched"
# Processes that were started by the test that runs, and that nothing was checked of yet.
UNWATCHED: set[int] = set()


@dataclass
class Answered:
    """One request of a test and its answer."""

    path: str
    sent: bytes
    response: httpx2.Response
    began: float
    ended: float
    # For how long the service and the test had to wait for a processor; None if nobody knows.
    waited: float | None = None
    # Whether nothing but the service had a share in how long it took.
    timed: bool = True

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def is_hook(self) -> bool:
        """Whether the service was asked about a patient."""
        return self.path == SERVICE

    @property
    def card(self) -> dict[str, Any]:
        """The one card of an answer; empty if there is none."""
        if self.response.status_code != 200 or not self.cards:
            return {}
        (card,) = self.cards
        return card

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

    def __init__(self, name: str, key: Key, fhir: str, jwks_url: str = "") -> None:
        self.name, self.key, self.fhir, self.jwks_url = name, key, fhir, jwks_url
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
    fhir: dict[str, TimedFhir]
    # Where the keys of the third hospital are.
    keys: TimedFhir
    canary: Canary
    answers: list[Answered] = field(default_factory=list)
    deadline_s: float = DEADLINE_S
    handles_at_start: int = 0
    # What a good hook is answered while nothing is wrong; None if nobody asked.
    good_report: dict[str, Any] | None = None
    # Where the process was started, if that is not the folder of its files.
    started_in: Path | None = None

    @property
    def home(self) -> Path:
        """Where its log and its temporary files are."""
        return self.started_in or self.folder

    @property
    def canary_port(self) -> int:
        """Where nobody may call."""
        return int(self.canary.origin.rpartition(":")[2])

    def watched(self) -> None:
        """Note that the invariants are checked."""
        UNWATCHED.discard(self.process.pid)

    def hook(self, tenant: str = "alpha", patient: str = PATIENT, **members: Any) -> dict[str, Any]:
        """A good hook request; None takes a member out."""
        hook = {
            "hook": "patient-view",
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": self.tenants[tenant].fhir,
            "fhirAuthorization": {
                "access_token": f"ZZTOK-lent-{tenant}",
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": "patient/*.rs launch/ZZPHI-scope",
                "subject": "ZZPHI-subject",
            },
            "context": {
                "userId": "Practitioner/ZZPHI-user",
                "patientId": patient,
                "encounterId": "ZZPHI-encounter",
            },
            "extension": {"org.example.ZZPHI-name": "ZZPHI-extension"},
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
            "user-agent": "ZZPHI-agent",
            "x-request-id": "ZZPHI-request",
            "traceparent": "00-ZZPHI-trace",
            "forwarded": "for=ZZPHI-forwarded",
        }
        named = {
            name: value for name, value in (sent | (headers or {})).items() if value is not None
        }
        url = f"{self.url}{path}?x=ZZPHI-query"
        with httpx2.Client(trust_env=False, timeout=timeout) as client:
            request = client.build_request("POST", url, content=content, headers=named)
            if "content-type" not in named:
                request.headers.pop("content-type", None)
            waited, began = self.waited_s(), time.monotonic()
            response = client.send(request)
            ended = time.monotonic()
        if waited is not None:
            waited = max((self.waited_s() or 0) - waited, 0)
        answer = Answered(path, content, response, began, ended, waited)
        self.answers.append(answer)
        return answer

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Ask for something by GET."""
        with httpx2.Client(trust_env=False, timeout=10) as client:
            return client.get(self.url + path, headers=headers)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        text = (self.home / "service.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def audited(self) -> list[dict[str, Any]]:
        """The hooks in the audit."""
        return hooks_in(self.folder / "store.db")

    def network(self) -> list[list[str]]:
        """What the process looked up and called: ``name`` or ``call``, host, port."""
        text = (self.home / "network.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def waited_s(self) -> float | None:
        """How long the service and this test waited for a processor; None if nobody knows."""
        waited = 0
        for process in (str(self.process.pid), "self"):
            for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
                try:
                    on_processor, runnable, _ = map(int, thread.read_text().split())
                except OSError:  # that thread has just ended
                    continue
                if process == "self" and not on_processor:
                    return None
                waited += runnable
        return waited / 1e9 if waited else None

    def memory_kb(self) -> int:
        """The resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found
        return int(found[1])

    def handles(self) -> int:
        """How many files and sockets the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


class TimedFhir(FakeFhir):
    """A FHIR server that knows when it was asked for what."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.came: list[tuple[float, Request]] = []

    async def _answer(self, exchange: Exchange) -> None:
        self.came.append((time.monotonic(), exchange.request))
        await super()._answer(exchange)


def metric(service: Running, name: str, label: str) -> float:
    """The sum of a metric over the labels that contain this one."""
    lines = service.get("/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith(name) and label in line
    )


def hooks_in(store: Path) -> list[dict[str, Any]]:
    """The hooks in the audit of a store."""
    with closing(sqlite3.connect(store)) as database:
        rows = database.execute("select record from audit where kind = 'hook' order by seq")
        return [json.loads(record) for (record,) in rows]


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
    inherited["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(WATCHER), inherited.get("PYTHONPATH")))
    )
    inherited |= {"WATCHED_NETWORK": str(folder / "network.log"), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
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
        UNWATCHED.add(process.pid)
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
            "fhir_servers": [tenant.fhir],
        }
        | ({"jwks_url": tenant.jwks_url} if tenant.jwks_url else {"keys": [tenant.key.public]})
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


@contextmanager
def hospitals(folder: Path, today: date, **settings: str) -> Iterator[Running]:
    """A service with two hospitals, whose invariants are not checked yet.

    A third one, gamma, has its keys fetched; its FHIR server is that of the first.
    """
    canary = Canary()
    fetched = Key("gamma-key")

    async def keys_of_gamma(exchange: Exchange) -> None:
        await exchange.answer(
            200, json.dumps({"keys": [fetched.public]}).encode(), content_type="application/json"
        )

    keys = TimedFhir(canary=canary)
    keys.fails(lambda _: True, keys_of_gamma)
    fhir = {name: TimedFhir(chart_of(PATIENT, today), canary=canary) for name in ("alpha", "beta")}
    with ExitStack() as stack:
        stack.enter_context(in_thread(canary, keys, *fhir.values()))
        tenants = {
            name: Tenant(name, Key(f"{name}-key"), server.base) for name, server in fhir.items()
        }
        tenants["gamma"] = Tenant("gamma", fetched, fhir["alpha"].base, f"{keys.origin}/keys")
        port = free_port()
        for tenant in tenants.values():
            tenant.public_url = f"http://127.0.0.1:{port}"
        environment = settings_for(folder, port, tenants) | settings
        process = stack.enter_context(serving(folder, port, environment))
        found = Running(f"http://127.0.0.1:{port}", process, folder, tenants, fhir, keys, canary)
        found.deadline_s = float(environment["CDS_DEADLINE_SECONDS"])
        yield found


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, today: date) -> Iterator[Running]:
    """One service with two hospitals, for all tests that leave it as it is."""
    with hospitals(tmp_path_factory.mktemp("cases"), today) as found:
        # What is made once, at the first hook, is no growth of any case.
        for tenant in found.fhir:
            found.good_report = found.post(found.hook(tenant), tenant).report
        # One that watches and sees nothing would let everything pass.
        for server in found.fhir.values():
            assert ["call", "127.0.0.1", str(server.port)] in found.network()
        found.handles_at_start = found.handles()
        yield found


@pytest.fixture(autouse=True)
def invariants(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test of this folder all that must hold is checked, of every service that ran.

    The one of all tests is checked here, after every other fixture of the test; another where it is
    started, before it is stopped. A process that was started and not checked fails the test.
    """
    UNWATCHED.clear()
    if not {"running", "service"} & set(request.fixturenames):
        yield
    else:
        found: Running = request.getfixturevalue("running")
        UNWATCHED.discard(found.process.pid)
        for server in found.fhir.values():
            server.recovers()
        found.answers.clear()
        with watched(found):
            yield
    assert set() == UNWATCHED, "a service ran, and its invariants were not checked"


@pytest.fixture
def service(running: Running) -> Running:
    """The service, with servers that are well; afterwards the invariants are checked."""
    return running
