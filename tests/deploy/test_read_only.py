"""The service as a container runs it: no root, no capability, and nothing that can be written.

What is asked of it there as well, by an EHR with tokens: tests/cases/test_container.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.deploy.conftest import free_port
from tests.deploy.sandbox import contained, permitted

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The working directory."""
    directory = tmp_path / "state"
    directory.mkdir()
    return directory


@pytest.fixture
def service(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service in its container, and its base URL; two workers, for they share files."""
    port = free_port()
    program = (
        f"from cds_service.serving import serve_service; serve_service('127.0.0.1', {port}, 2)"
    )
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    command, environment = contained(
        state, [sys.executable, "-c", program], inherited | {"CDS_AUTH": "none"}
    )
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        base = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                assert process.poll() is None, process.stderr and process.stderr.read()
                try:
                    if httpx2.get(f"{base}/health/ready").status_code == 200:
                        break
                except httpx2.TransportError:
                    time.sleep(0.1)
            yield process, base
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=20)


@pytest.mark.may_skip("needs root and mount namespaces, which a container may not give")
@pytest.mark.skipif(not permitted(), reason="needs root, unshare, setpriv and mount namespaces")
def test_a_read_only_container(service: tuple[subprocess.Popen[str], str], state: Path) -> None:
    """It starts, answers, keeps its audit, and ends, and writes only where it may."""
    process, base = service
    answer = httpx2.post(
        f"{base}/cds-services/net-retreat-eligibility",
        json={
            "hook": "patient-view",
            "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"userId": "Practitioner/9", "patientId": "p1"},
            "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}},
        },
        timeout=20,
    )
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    temporary = sorted(one.name for one in Path(f"/proc/{process.pid}/root/tmp").iterdir())
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=20)

    assert 200 == answer.status_code
    assert 1 == len(answer.json()["cards"])  # it could read nothing else, and says so
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert 0 == code
    kept = {one.name.removesuffix("-wal").removesuffix("-shm") for one in state.iterdir()}
    assert {"cds_service.db", "cds_service.db.key"} == kept  # the store, and the hash key
    assert all(name.startswith("cds-service-metrics-") for name in temporary)
