"""What a test has of a service that runs: hospitals, answers, and what can be seen of it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from tests.faults.fake_fhir import FakeFhir
from tests.trust.ehr import sign

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from tests.faults.fake_fhir import Canary, Exchange, Request
    from tests.trust.ehr import Key

SERVICE = "/cds-services/net-retreat-eligibility"
FEEDBACK = f"{SERVICE}/feedback"
PATIENT = "everything-met"
DEADLINE_S = 1.5
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

    def __init__(
        self, name: str, key: Key, fhir: str, jwks_url: str = "", tenants: Sequence[str] = ()
    ) -> None:
        self.name, self.key, self.fhir, self.jwks_url = name, key, fhir, jwks_url
        self.tenants = tenants
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
    # Hosts that it may look up, besides the address of this machine.
    names: frozenset[str] = frozenset()
    # Hooks that were sent to a process that ended before it answered, by their instance.
    lost: list[str] = field(default_factory=list)

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

    def too_late(self) -> int:
        """How many hooks it gave up at their deadline, perhaps while their record was written."""
        return sum(
            (one["event"], one.get("reason")) == ("refused", "deadline") for one in self.log()
        )

    def audited(self) -> list[dict[str, Any]]:
        """The hooks in the audit."""
        return hooks_in(self.folder / "store.db")

    def network(self) -> list[list[str]]:
        """What the process looked up and called: ``name`` or ``call``, host, port."""
        text = (self.home / "network.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def waited_s(self) -> float | None:
        """How long the service and this test waited for a processor; None if nobody knows."""
        return sum(waits.values()) if (waits := self.waits_s()) else None

    def waits_s(self) -> dict[int, float]:
        """The same for each process, this one under its own number; empty if nobody knows."""
        waited: dict[int, float] = {}
        for process in (*self.processes(), os.getpid()):
            waited[process] = 0
            for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
                try:
                    on_processor, runnable, _ = map(int, thread.read_text().split())
                except OSError:  # that thread has just ended
                    continue
                if process == os.getpid() and not on_processor:
                    return {}
                waited[process] += runnable / 1e9
        return waited if any(waited.values()) else {}

    def processes(self) -> list[int]:
        """The process and its workers, where it has some."""
        found = [self.process.pid]
        for one in found:
            for thread in Path(f"/proc/{one}/task").glob("*/children"):
                try:
                    found += map(int, thread.read_text(encoding="ascii").split())
                except OSError:  # that thread has just ended
                    continue
        return found

    def memory_kb(self) -> int:
        """The resident memory of all its processes."""
        return sum(map(_memory_kb, self.processes()))

    def cpu_s(self) -> float:
        """The time that all its processes have had of a processor."""
        return sum(map(_cpu_s, self.processes()))

    def handles(self) -> int:
        """How many files and sockets it has open."""
        return sum(len(list(Path(f"/proc/{one}/fd").iterdir())) for one in self.processes())


def _memory_kb(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found[1])


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


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
