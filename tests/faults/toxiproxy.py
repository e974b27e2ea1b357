"""Toxiproxy between a client and a server: a TCP proxy that breaks connections as it is told.

Built from its Go module at one pinned version, into the user's cache; needs Go. Two variables for a
machine without: ``TOXIPROXY_SERVER`` names a server that is built already, and ``XDG_CACHE_HOME``
where else the cache is.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "v2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"
BUILD_S = 600
START_S = 20


class NotThere(Exception):
    """Toxiproxy cannot be had on this machine; the text says why."""


def built_server() -> Path:
    """The server's program, built the first time.

    Raises:
        NotThere: there is no Go, or it cannot build the module.
    """
    if given := os.environ.get("TOXIPROXY_SERVER"):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "cds-service-tests" / f"toxiproxy-{VERSION}"
    if program.exists():
        return program
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise NotThere("toxiproxy is built with Go, and there is no go on the PATH")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        run = subprocess.run(
            [go, "install", MODULE],
            env=os.environ | {"GOBIN": folder, "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        if run.returncode:
            raise NotThere(f"toxiproxy {VERSION} cannot be built: {run.stderr.strip()[-300:]}")
        # Whole or not at all, should two test runs build it at one time.
        (Path(folder) / "server").replace(program)
    return program


class Toxiproxy:
    """A running server, by its HTTP interface.

    Args:
        port: of that interface.
    """

    def __init__(self, port: int) -> None:
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        self._count = 0

    def answers(self) -> bool:
        """Whether it runs."""
        try:
            return self._http.get("/version").is_success
        except httpx2.TransportError:
            return False

    @contextmanager
    def before(self, port: int) -> Iterator[Proxy]:
        """A proxy before a port of this machine, for the time of the block."""
        self._count += 1
        name = f"proxy-{self._count}"
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{port}"}
        made = self._http.post("/proxies", json=body | {"enabled": True}).raise_for_status().json()
        try:
            yield Proxy(self._http, name, f"http://{made['listen']}")
        finally:
            self._http.delete(f"/proxies/{name}")

    def close(self) -> None:
        """Close the connection to it."""
        self._http.close()


class Proxy:
    """One proxy.

    Args:
        http: the interface.
        name: the proxy's.
        origin: where it listens.
    """

    def __init__(self, http: httpx2.Client, name: str, origin: str) -> None:
        self._http = http
        self._name = name
        self.origin = origin

    def poison(self, kind: str, *, stream: str = "downstream", **attributes: Any) -> None:
        """Let all connections go wrong in a way that toxiproxy knows."""
        toxic = {"type": kind, "stream": stream, "attributes": attributes}
        self._http.post(f"/proxies/{self._name}/toxics", json=toxic).raise_for_status()

    def turn_off(self) -> None:
        """Refuse connections."""
        self._http.post(f"/proxies/{self._name}", json={"enabled": False}).raise_for_status()


@contextmanager
def running_toxiproxy() -> Iterator[Toxiproxy]:
    """A server for the time of the block.

    Raises:
        NotThere: it cannot be had.
    """
    program = built_server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "-host", "127.0.0.1", "-port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    toxiproxy = Toxiproxy(port)
    try:
        started = time.monotonic()
        while not toxiproxy.answers():
            assert process.poll() is None, "toxiproxy ended at its start"
            assert time.monotonic() - started < START_S, "toxiproxy does not start"
            time.sleep(0.05)
        yield toxiproxy
    finally:
        toxiproxy.close()
        process.terminate()
        process.wait(10)
