"""The server process from outside: how it starts, what it takes, and how it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOKS = 20
START_S = 60
# Longer than the moment in which new connections are still taken, and within the deadline of 5 s.
SLOW_S = 3.5

_SERVE = """
import sys
from cds_service.operations import supervisor
from cds_service.serving import serve_service
supervisor._SOON_S = float(sys.argv[3])
serve_service("127.0.0.1", int(sys.argv[1]), workers=int(sys.argv[2]))
"""


class SlowFhirServer(ThreadingHTTPServer):
    """Has one patient, and takes a while to say so."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, delay_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _SlowHandler)
        self.delay_s = delay_s
        self.asked = 0
        self.broken = False

    @property
    def base(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/fhir"


class _SlowHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    server: SlowFhirServer

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.broken:
            self.close_connection = True
            return
        time.sleep(self.server.delay_s)
        body = b'{"resourceType": "Patient", "id": "p1"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Service(NamedTuple):
    """A running service."""

    process: subprocess.Popen[str]
    base: str
    fhir: SlowFhirServer
    prefetch: list[str]

    def hook(self) -> httpx2.Response:
        """Ask about the patient, who alone must be read: all else was sent, and is empty."""
        return httpx2.post(
            f"{self.base}/cds-services/net-retreat-eligibility",
            json={
                "hook": "patient-view",
                "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
                "fhirServer": self.fhir.base,
                "context": {"userId": "Practitioner/9", "patientId": "p1"},
                "prefetch": dict.fromkeys(self.prefetch[1:]),
            },
            timeout=20,
        )

    def ready(self) -> int:
        """What the readiness probe says; 0 where nobody answers."""
        try:
            return httpx2.get(f"{self.base}/health/ready", timeout=5).status_code
        except httpx2.TransportError:
            return 0

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric over the labels that contain this one."""
        text = httpx2.get(f"{self.base}/metrics", timeout=5).text
        return sum(
            float(found)
            for found in re.findall(
                rf"^{name}(?:{{.*{re.escape(label)}.*}})? (\S+)$", text, re.MULTILINE
            )
        )


@contextmanager
def running(
    directory: Path, *, workers: int, delay_s: float, soon_s: float = 0
) -> Iterator[Service]:
    """A service in processes of its own, with a slow FHIR server."""
    fhir = SlowFhirServer(delay_s)
    thread = threading.Thread(target=fhir.serve_forever)
    thread.start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(port), str(workers), str(soon_s)],
        cwd=directory,
        env=inherited | {"CDS_AUTH": "none", "CDS_FHIR_SERVERS": fhir.base},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        service = Service(process, f"http://127.0.0.1:{port}", fhir, [])
        try:
            until = time.monotonic() + START_S
            while service.ready() != 200:
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < until
                time.sleep(0.1)
            offered = httpx2.get(f"{service.base}/cds-services", timeout=5).json()
            service.prefetch.extend(offered["services"][0]["prefetch"])
            assert "patient" == service.prefetch[0]
            yield service
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=20)
            fhir.shutdown()
            thread.join()
            fhir.server_close()


def audited(directory: Path) -> int:
    """How many hooks the audit holds; its chain is checked as well."""
    ran = subprocess.run(
        [sys.executable, "-m", "cds_service.cli", "audit", "export", "--out", "-"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return sum('"hook"' in line for line in ran.stdout.splitlines())


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_with_hooks_in_flight(tmp_path: Path, workers: int) -> None:
    """Unready at once; every hook is answered and audited; nothing new is taken; exit code 0."""
    with (
        running(tmp_path, workers=workers, delay_s=SLOW_S) as service,
        ThreadPoolExecutor(HOOKS + 1) as pool,
    ):
        hooks = [pool.submit(service.hook) for _ in range(HOOKS)]
        until = time.monotonic() + SLOW_S
        while service.fhir.asked < HOOKS:
            assert time.monotonic() < until
            time.sleep(0.02)

        told = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.3 + 0.5 * (workers > 1))
        during = service.ready()
        late = pool.submit(service.hook)
        answers = [hook.result() for hook in hooks]
        finished = time.monotonic()
        after = service.ready()
        code = service.process.wait(timeout=20)
        ended = time.monotonic()

    assert 503 == during
    assert [200] * HOOKS == [answer.status_code for answer in answers]
    assert ["close"] * HOOKS == [answer.headers["connection"] for answer in answers]
    assert 200 == late.result().status_code  # it came in the moment that is left for stragglers
    assert 0 == after
    assert finished - told < 5.5
    assert ended - told < 2 + 5 + 2
    assert 0 == code
    assert HOOKS + 1 == audited(tmp_path)


def test_a_second_sigterm_skips_the_moment(tmp_path: Path) -> None:
    """For whoever knows that nobody is sending any more."""
    with running(tmp_path, workers=1, delay_s=0) as service:
        told = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(timeout=20)

    assert 0 == code
    assert time.monotonic() - told < 1.8


def test_workers_count_together(tmp_path: Path) -> None:
    """Whichever of them is asked for the metrics; and one that dies is replaced."""
    with running(tmp_path, workers=2, delay_s=0) as service:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: service.hook(), range(24)))
        assert {200} == {answer.status_code for answer in answers}
        assert {24.0} == {service.metric("cds_hooks_total") for _ in range(8)}

        victim = int(
            subprocess.run(
                ["pgrep", "-P", str(service.process.pid), "-f", "spawn_main"],  # noqa: S607
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()[0]
        )
        os.kill(victim, signal.SIGKILL)
        time.sleep(1)
        assert 200 == service.hook().status_code
        assert 25 == service.metric("cds_hooks_total")
        service.process.send_signal(signal.SIGTERM)
        assert 0 == service.process.wait(timeout=20)


def test_workers_tell_of_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """Each of its own breaker, whichever of them is asked; and again when it answers."""
    with running(tmp_path, workers=2, delay_s=0) as service, ThreadPoolExecutor(8) as pool:

        def until(state: str) -> None:
            give_up = time.monotonic() + 30
            while service.metric("cds_fhir_breakers", f'state="{state}"') != 2:
                assert time.monotonic() < give_up
                list(pool.map(lambda _: service.hook(), range(16)))
                time.sleep(0.5)

        until("closed")
        service.fhir.broken = True
        until("open")
        assert 2 == service.metric("cds_fhir_breakers", f'server="{service.fhir.base}"')
        service.fhir.broken = False
        until("closed")
        service.process.send_signal(signal.SIGTERM)
        assert 0 == service.process.wait(timeout=20)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_that_cannot_be_opened(tmp_path: Path, workers: int) -> None:
    """Stops the start with a line that says so, and no traceback."""
    (tmp_path / "cds_service.db").mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "cds_service.cli", "serve", "--port=0", f"--workers={workers}"],
        cwd=tmp_path,
        env=os.environ | {"CDS_AUTH": "none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    lines = [line for line in ran.stderr.splitlines() if line.startswith("cds-service: ")]
    assert 1 == ran.returncode
    assert "Traceback" not in ran.stderr
    assert "store" in lines[0]


def test_nothing_but_json_in_the_log(tmp_path: Path) -> None:
    """Whatever is sent to the port; what is no HTTP has a line, and is counted."""
    ids = []
    with running(tmp_path, workers=1, delay_s=0) as service:
        service.hook()
        httpx2.get(f"{service.base}/cds-services?patient=ZZ-4711")
        port = int(service.base.rpartition(":")[2])
        for nonsense in (b"\x16\x03\x01ZZ-4711\r\n\r\n", b"GET /ZZ-4711 HTTP/9\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(nonsense)
                answer = connection.recv(65536).decode()
                assert answer.startswith("HTTP/1.1 400")
                ids += re.findall(r"^x-request-id: (\S+)", answer, re.MULTILINE)
        counted = service.metric("cds_http_unparsed_total", 'status="400"')
        service.process.send_signal(signal.SIGTERM)
        _, log = service.process.communicate(timeout=20)

    lines = [json.loads(line) for line in log.splitlines()]
    assert "hook" in {line["event"] for line in lines}
    assert "ZZ-4711" not in log
    assert 2 == counted
    assert [(one, 400, "no-http") for one in ids] == [
        (line["request_id"], line["status"], line["reason"])
        for line in lines
        if line["event"] == "refused"
    ]
