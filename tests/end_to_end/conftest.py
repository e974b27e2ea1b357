"""Real servers for the end-to-end tests: HAPI FHIR with the demo patients, and the service.

Everything is started once a run, on a free port of the loopback, and stopped with it. A developer
with no Java or Maven gets a skip that says so; in CI that is a failure.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import TYPE_CHECKING, Protocol

import httpx2
import pytest

from tests.validation.made_cohort import made_once
from validation.hapi_server import HapiUnavailable, built_jar, lacking, running_hapi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SERVICE_START_SECONDS = 30
STOP_SECONDS = 20


class StartService(Protocol):
    """Starts the service, allowed to pull from these servers; returns its base URL."""

    def __call__(self, *fhir_servers: str, deadline_seconds: float = 20) -> str:
        """Start another one."""


@pytest.fixture(scope="session")
def hapi_jar() -> Path:
    """The HAPI server, built if its sources changed since the last time."""
    reason = lacking()
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    try:
        return built_jar()
    except HapiUnavailable as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def hapi(hapi_jar: Path) -> Iterator[str]:
    """The base URL of a HAPI FHIR R4 server."""
    with running_hapi(hapi_jar, max_page=200) as base_url:
        yield base_url


@pytest.fixture(scope="session")
def cohort_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cohort by the real Synthea."""
    return made_once(tmp_path_factory)


@pytest.fixture(scope="session")
def hapi_with_demo_patients(hapi: str) -> str:
    """The base URL of a HAPI server that has the demo patients, as of today."""
    return _load(hapi)


@pytest.fixture(scope="session")
def hapi_with_small_pages(hapi_jar: Path) -> Iterator[str]:
    """The same on a server that gives 5 entries a page, however many are asked for."""
    with running_hapi(hapi_jar, max_page=5) as base_url:
        yield _load(base_url)


@pytest.fixture(scope="session")
def service_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    """Starts services, each a process of its own, as an operator would."""
    with ExitStack() as running:

        def start(*fhir_servers: str, deadline_seconds: float = 20) -> str:
            directory = tmp_path_factory.mktemp("service")
            settings = {
                "CDS_AUTH": "none",
                "CDS_FHIR_SERVERS": ",".join(fhir_servers),
                "CDS_DEADLINE_SECONDS": str(deadline_seconds),
            }
            return running.enter_context(_running_service(directory, settings))

        yield start


def _load(base_url: str) -> str:
    from cds_service.demo.load import load  # noqa: PLC0415 - slow to import; only these tests need it

    load(base_url, date.today())  # noqa: DTZ011 - the day on this machine, as for the service
    return base_url


@contextmanager
def _running_service(directory: Path, settings: Mapping[str, str]) -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "cds_service.cli", "serve", "--port", str(port)]
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    log = directory / "service.log"
    base_url = f"http://127.0.0.1:{port}"
    with _running(command, log, directory, {**inherited, **settings}) as process:
        _wait_for(f"{base_url}/health/live", process, log, SERVICE_START_SECONDS)
        yield base_url


@contextmanager
def _running(
    command: Sequence[str], log: Path, directory: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    with httpx2.Client(trust_env=False, timeout=5) as client:
        while process.poll() is None and time.monotonic() < give_up:
            try:
                if client.get(url).is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.2)
    ended = "" if process.poll() is None else f" (it ended with {process.returncode})"
    tail = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    pytest.fail(f"{url} did not answer{ended}; the end of its log:\n{tail}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
