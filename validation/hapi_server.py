"""Builds, starts and stops the HAPI FHIR server of ``tests/hapi``, on the loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2

from validation.needs import CannotRun, lacking

_HAPI: Final = Path(__file__).resolve().parents[1] / "tests" / "hapi"
_JAR: Final = _HAPI / "target" / "hapi-test-server.jar"
# The first compiler tier only: HAPI starts in half the time. With less memory the database in it
# fills the heap.
_JVM: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# A machine with much else to do needs minutes; a server that fails ends its process at once.
_START_S: Final = 600
_STOP_S: Final = 20


class HapiUnavailable(CannotRun):
    """The HAPI server cannot be built or does not start."""


def built_jar() -> Path:
    """The HAPI server, built if its sources changed since the last time.

    Raises:
        HapiUnavailable: no JDK or Maven, or it does not build.
    """
    reason = lacking()
    if reason is not None:
        raise HapiUnavailable(f"HAPI FHIR cannot run: {reason}")
    if not _is_built():
        built = subprocess.run(
            ["mvn", "-B", "-q", "package"],  # noqa: S607  (wherever this machine has it)
            cwd=_HAPI,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode != 0:
            raise HapiUnavailable(f"the HAPI server does not build:\n{built.stdout}{built.stderr}")
    return _JAR


def _is_built() -> bool:
    sources = [_HAPI / "pom.xml", *(file for file in _HAPI.glob("src/**/*") if file.is_file())]
    newest = max(file.stat().st_mtime for file in sources)
    return _JAR.exists() and _JAR.stat().st_mtime >= newest


@contextmanager
def running_hapi(jar: Path, *, max_page: int = 200, heap_mb: int = 2048) -> Iterator[str]:
    """A HAPI FHIR R4 server with nothing in it; gives its base URL.

    Args:
        jar: as :func:`built_jar` gave it.
        max_page: the most entries on a page.
        heap_mb: memory for it and the database within.

    Raises:
        HapiUnavailable: it does not start.
    """
    port = _free_port()
    command = ["java", f"-Xmx{heap_mb}m", *_JVM]
    command += [f"-Dport={port}", f"-DmaxPage={max_page}", "-jar", str(jar)]
    base_url = f"http://127.0.0.1:{port}/fhir"
    with (
        tempfile.TemporaryDirectory() as directory,
        Path(directory, "hapi.log").open("w+b") as log,
        subprocess.Popen(
            command,
            cwd=directory,
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            _wait_for(f"{base_url}/metadata", process, Path(directory, "hapi.log"))
            yield base_url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_S
    with httpx2.Client(trust_env=False, timeout=5) as client:
        while process.poll() is None and time.monotonic() < give_up:
            try:
                if client.get(url).is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.2)
    tail = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    raise HapiUnavailable(f"{url} did not answer; the end of its log:\n{tail}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
