"""The service as an operator starts it, an EHR, a FHIR server that can go wrong, and a canary.

Nearly every test of this folder drives a real process over HTTP; a few need a clock of their own,
and have the service in their own process (:mod:`tests.cases.inside`). What must hold whatever
happens is checked after each of them (:mod:`tests.cases.invariants`), for each service that ran.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType

import httpx2
import pytest

from tests.cases.invariants import watched
from tests.cases.running import (
    DEADLINE_S,
    FEEDBACK,
    PATIENT,
    SERVICE,
    UNWATCHED,
    Answered,
    Running,
    Tenant,
    TimedFhir,
    hooks_in,
    metric,
)
from tests.faults.fake_fhir import Canary, Exchange, FakeFhir, GoodAnswers, in_thread
from tests.faults.screened import chart_of
from tests.trust.ehr import Key

__all__ = [
    "DEADLINE_S",
    "FEEDBACK",
    "LISTED",
    "PATIENT",
    "SERVICE",
    "WATCHER",
    "Answered",
    "Running",
    "Tenant",
    "TimedFhir",
    "free_port",
    "hooks_in",
    "hospitals",
    "metric",
    "publish",
    "serving",
    "settings_for",
    "surroundings",
    "wait_until_ready",
]

# The department of the fourth hospital whose tokens are taken.
LISTED = "oncology"
START_S = 40
WATCHER = Path(__file__).parent / "watched"
# A command and its environment, as something that contains them starts them.
Start = Callable[[list[str], dict[str, str]], tuple[list[str], dict[str, str]]]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def as_it_is(command: list[str], environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """A command that nothing contains."""
    return command, environment


@contextmanager
def serving(
    folder: Path,
    port: int,
    settings: dict[str, str],
    arguments: Sequence[str] = (),
    start: Start = as_it_is,
) -> Iterator[subprocess.Popen[bytes]]:
    """The service in a process of its own, configured by its environment."""
    command, environment = start(
        [sys.executable, "-m", "cds_service.cli", "serve", "--port", str(port), *arguments],
        surroundings(folder) | settings,
    )
    with (
        (folder / "service.log").open("ab") as log,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        UNWATCHED.add(process.pid)
        try:
            wait_until_ready(port, process, folder / "service.log")
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a process that is watched, without any setting of the service."""
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    inherited["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(WATCHER), inherited.get("PYTHONPATH")))
    )
    (folder / "tmp").mkdir(exist_ok=True)
    places = {"WATCHED_NETWORK": str(folder / "network.log"), "TMPDIR": str(folder / "tmp")}
    return inherited | places


def wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a service is ready, for as long as its process lives."""
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
        | ({"tenants": [*tenant.tenants]} if tenant.tenants else {})
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
def hospitals(
    folder: Path,
    today: date,
    *,
    servers: Mapping[str, TimedFhir] = MappingProxyType({}),
    fetched: Sequence[str] = (),
    arguments: Sequence[str] = (),
    start: Start = as_it_is,
    **settings: str,
) -> Iterator[Running]:
    """A service with two hospitals, whose invariants are not checked yet.

    A third one, gamma, has its keys fetched; its FHIR server is that of the first. Of the tokens
    of a fourth, delta, those of one department are taken; its FHIR server is that of the second.

    Args:
        folder: for its files.
        today: the day of the charts.
        servers: FHIR servers of more hospitals, by their names.
        fetched: names of more hospitals whose keys are fetched, each from an address of its own.
        arguments: of the command.
        start: what contains the process.
        settings: others of the service.
    """
    canary = Canary()
    charts = GoodAnswers(tuple(chart_of(PATIENT, today)))
    keys = TimedFhir(canary=canary)
    fhir = {name: TimedFhir(charts, canary=canary) for name in ("alpha", "beta")} | {**servers}
    with ExitStack() as stack:
        stack.enter_context(in_thread(canary, keys, *fhir.values()))
        tenants = {
            name: Tenant(name, Key(f"{name}-key"), server.base) for name, server in fhir.items()
        }
        tenants["delta"] = Tenant("delta", Key("delta-key"), fhir["beta"].base, tenants=(LISTED,))
        for name in ("gamma", *fetched):
            key, path = Key(f"{name}-key"), "/keys" if name == "gamma" else f"/keys/{name}"
            tenants[name] = Tenant(name, key, fhir["alpha"].base, keys.origin + path)
            publish(keys, path, key.public)
        port = free_port()
        for tenant in tenants.values():
            tenant.public_url = f"http://127.0.0.1:{port}"
        environment = settings_for(folder, port, tenants) | settings
        process = stack.enter_context(serving(folder, port, environment, arguments, start))
        found = Running(f"http://127.0.0.1:{port}", process, folder, tenants, fhir, keys, canary)
        found.deadline_s = float(environment["CDS_DEADLINE_SECONDS"])
        yield found


def publish(server: FakeFhir, path: str, *keys: object) -> None:
    """Let a server give this key set at a path from now on."""
    body = json.dumps({"keys": keys}).encode()

    async def give(exchange: Exchange) -> None:
        await exchange.answer(200, body, content_type="application/json")

    server.fails(lambda request: request.target == path, give)


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
