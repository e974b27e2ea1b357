"""A real nginx with the shipped configuration, in front of what a test puts behind it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.deploy.certificate import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "deploy" / "nginx" / "cds-service.conf"
NAME = "cds.hospital.example"


class Proxy(NamedTuple):
    """A running proxy."""

    port: int
    certificate: Path
    requests: list[tuple[str, str, dict[str, str], bytes]]
    log: Path

    def connect(self, *, source: str = "127.0.0.1", name: str = NAME) -> ssl.SSLSocket:
        """A TLS connection from an address of the loopback."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(
            ("127.0.0.1", self.port), timeout=20, source_address=(source, 0)
        )
        return context.wrap_socket(plain, server_hostname=name)

    def ask(self, request: bytes, *, source: str = "127.0.0.1") -> tuple[int, bytes]:
        """Status and full text of the answer to a request that is sent as it is."""
        with self.connect(source=source) as connection:
            connection.sendall(request)
            said = read_all(connection)
        return int(said.split(b" ", 2)[1]) if said else 0, said


def read_all(connection: socket.socket) -> bytes:
    """What the other side says until it closes."""
    said = b""
    try:
        while chunk := connection.recv(65536):
            said += chunk
    except (ConnectionError, ssl.SSLError):
        pass
    return said


def nginx() -> str:
    """Where nginx is; without one the test is skipped, and fails in CI."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        reason = "the front proxy is tested with a real nginx (Debian: apt-get install nginx-light)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy, before a server that keeps what it is asked and answers with 200."""
    program = nginx()
    requests: list[tuple[str, str, dict[str, str], bytes]] = []
    with (
        _recording(requests) as upstream,
        proxied(program, tmp_path_factory.mktemp("nginx"), upstream, requests) as found,
    ):
        yield found


@contextmanager
def proxied(
    program: str,
    directory: Path,
    upstream: int,
    requests: list[tuple[str, str, dict[str, str], bytes]] | None = None,
) -> Iterator[Proxy]:
    """The proxy before a port of this machine.

    Args:
        program: nginx.
        directory: for its files.
        upstream: the port.
        requests: what comes there, as far as somebody keeps it.
    """
    certificate, key = self_signed(directory, NAME)
    port = free_port()
    _write(directory, port, upstream, certificate, key)
    with _running(program, directory, port):
        yield Proxy(
            port, certificate, [] if requests is None else requests, directory / "access.log"
        )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _recording(requests: list[tuple[str, str, dict[str, str], bytes]]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # an answer in one piece: in several, each waits for an acknowledgement

        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            requests.append((self.command, self.path, dict(self.headers.items()), body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _write(directory: Path, port: int, upstream: int, certificate: Path, key: Path) -> None:
    """The shipped file with this machine's ports and paths, and the least around it."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for shipped, here, times in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl", 2),
        ("server 127.0.0.1:8000", f"server 127.0.0.1:{upstream}", 1),
        ("/etc/ssl/certs/cds-service.pem", str(certificate), 1),
        ("/etc/ssl/private/cds-service.key", str(key), 1),
        ("/run/cds-service-bodies", str(directory / "bodies"), 1),
        ("/var/log/nginx/cds-service.log", str(directory / "access.log"), 1),
        ("/var/log/nginx/cds-service-error.log", str(directory / "error.log"), 2),
    ):
        assert times == text.count(shipped), shipped
        text = text.replace(shipped, here)
    assert not re.search(r"/(etc|run|var)/", re.sub(r"#.*", "", text)), "a path was not replaced"
    (directory / "cds-service.conf").write_text(text, encoding="utf-8")
    temporary = "\n".join(
        f"{kind}_temp_path {directory / kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Started as root, nginx would give its workers to a user that cannot enter this directory.
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"""daemon off; worker_processes 1; {user} pid {directory / "nginx.pid"};
error_log {directory / "main.log"};
events {{ worker_connections 1024; }}
http {{ access_log off; {temporary} include {directory / "cds-service.conf"}; }}
""",
        encoding="utf-8",
    )


@contextmanager
def _running(nginx: str, directory: Path, port: int) -> Iterator[None]:
    command = [nginx, "-p", str(directory), "-c", str(directory / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                if process.poll() is not None:
                    pytest.fail(f"nginx ended: {(directory / 'main.log').read_text()}")
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)
