"""Starts and stops the server processes of a benchmark, each on a free port of the loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_START_S = 30
_STOP_S = 10
_ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def service(*fhir_servers: str) -> Iterator[str]:
    """The service as an operator starts it; gives its base URL."""
    port = _free_port()
    command = ("-m", "cds_service.cli", "serve", "--port", str(port))
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "CDS_AUTH": "none",
            "CDS_FHIR_SERVERS": ",".join(fhir_servers),
            "CDS_DATABASE_URL": f"sqlite:///{folder}/store.db",
            "CDS_HASH_KEY_FILE": f"{folder}/hash.key",
        }
        with _running(command, port, settings):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def nothing(*arguments: str) -> Iterator[str]:
    """The endpoints that do nothing."""
    port = _free_port()
    with _running(("-m", "benchmarks.nothing", str(port), *arguments), port, {}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def demo_fhir() -> Iterator[str]:
    """The demo's FHIR server."""
    port = _free_port()
    with _running(("-m", "benchmarks.fhir_demo", str(port)), port, {}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(arguments: Sequence[str], port: int, settings: dict[str, str]) -> Iterator[None]:
    inherited = {name: value for name, value in os.environ.items() if name[:4] != "CDS_"}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=_ROOT,
            env=inherited | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        ) as process,
    ):
        try:
            _wait(process, port, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: object) -> None:
    give_up = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < give_up:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    log.seek(0)  # type: ignore[attr-defined]
    raise RuntimeError(f"a server did not start: {log.read()[-2000:].decode()}")  # type: ignore[attr-defined]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
