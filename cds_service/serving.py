"""Starts the server processes: the service alone, or the demo around it.

A process that gets SIGTERM is unready at once and goes on answering for a moment, so that whoever
spreads the load can see it; then it takes no new connection, ends the hooks in work within their
deadline, and exits with 0. A second SIGTERM skips the moment.
"""

from __future__ import annotations

import signal
import socket
import sys
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final

import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from cds_service import demo
from cds_service.app import app_from_environment, create_app
from cds_service.cdshooks.log import capture_library_logs, make_logger
from cds_service.demo.app import FHIR_PATH, demo_app
from cds_service.errors import CdsServiceError, ConfigError, one_line
from cds_service.operations.drain import Drain, DrainGate
from cds_service.operations.http_guard import GuardedHttp
from cds_service.operations.safety import unsafe
from cds_service.operations.supervisor import START_FAILED, Supervisor
from cds_service.operations.unread import UnreadBodies
from cds_service.settings import Settings, check_address, load_settings

_HOST = "127.0.0.1"
# Idle connections are let go before the usual proxy does.
_KEEP_ALIVE_S = 30
# Longer than a proxy or a balancer needs to see 503 at the readiness probe, asked every second.
GRACE_S: Final = 2.0
# What the end of a process may take beyond the deadline of its last hook.
_MARGIN_S: Final = 1
_BACKLOG: Final = 512
# Connections beside those of the hooks in work: idle ones, probes, clients that are still sending.
# Beyond them, those that wait longest are closed (GuardedHttp).
_OTHER_CONNECTIONS: Final = 512


class DrainingServer(uvicorn.Server):
    """A server that is unready for a moment before it stops listening.

    Args:
        config: uvicorn's.
        drain: what tells the application.
        grace_s: how long that moment is.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, grace_s: float = GRACE_S) -> None:
        super().__init__(config)
        self._drain = drain
        self._grace_s = grace_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave. SIGTERM is no error: the exit code is that of the work."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self._drain.begun:
            self.should_exit = True
        self._drain.begin()

    async def on_tick(self, counter: int) -> bool:
        """Leave once the moment is over."""
        if self._drain.lasted(self._grace_s):
            self.should_exit = True
        return await super().on_tick(counter)


def serve_service(host: str, port: int, workers: int = 1) -> None:
    """Serve the CDS service until it is told to stop.

    Args:
        host: the address to listen on.
        port: the port.
        workers: how many processes serve it.

    Raises:
        ConfigError: a setting is wrong or unsafe, or the port is taken.
        WorkersFailed: a worker ended at its start.
    """
    settings = load_settings()
    check_address(settings, host)
    if faults := unsafe(settings):
        raise ConfigError("; ".join(faults))
    if workers == 1:
        _run(create_app(settings), settings, _listening(host, port))
        return
    supervisor = Supervisor(
        partial(_work, settings),
        workers,
        stop_s=GRACE_S + settings.deadline_seconds + 2 * _MARGIN_S,
    )
    supervisor.run(_listening(host, port))


def serve_demo(port: int, today: date) -> None:
    """Serve the demo on this machine; its settings are its own.

    Raises:
        ConfigError: the port is taken.
    """
    listening = _listening(_HOST, port)
    origin = f"http://{_HOST}:{port}"
    # Every demo begins anew: nothing that was clicked away in the last one is quiet in this one.
    with TemporaryDirectory(prefix="cds-service-demo-") as folder:
        settings = Settings(
            auth="none",
            # The page names the server by its own origin, whichever of the two was typed.
            fhir_servers=(origin + FHIR_PATH, f"http://localhost:{port}{FHIR_PATH}"),
            public_url=origin,
            site_file=Path(demo.__file__).with_name("site.yaml"),
            database_url=SecretStr(f"sqlite:///{folder}/store.db"),
            hash_key_file=Path(folder, "hash.key"),
        )
        print(f"NET RETREAT demo with synthetic patients: {origin}/  (Ctrl-C stops it)", flush=True)  # noqa: T201
        _run(demo_app(create_app(settings), today), settings, listening, grace_s=0)


def _work(settings: Settings, listening: socket.socket) -> None:
    """What each of several workers does; an error on purpose is one line, as of the command."""
    try:
        _run(app_from_environment(), settings, listening)
    except CdsServiceError as error:
        print(f"cds-service: {one_line(str(error))}", file=sys.stderr)  # noqa: T201
        sys.exit(START_FAILED)


def _run(
    app: ASGIApp, settings: Settings, listening: socket.socket, *, grace_s: float = GRACE_S
) -> None:
    capture_library_logs(make_logger())
    drain = Drain()
    gate = DrainGate(UnreadBodies(app), drain)
    try:
        DrainingServer(_configured(gate, settings), drain, grace_s).run([listening])
    except SystemExit:
        if gate.failure is not None:
            raise gate.failure from None
        raise


def _configured(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedHttp,
        ws="none",
        # Its access log would print URLs with patient ids; all it has to say goes to ours.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        workers=1,
        backlog=_BACKLOG,
        limit_concurrency=settings.max_concurrent_hooks + _OTHER_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.deadline_seconds) + _MARGIN_S,
    )


def _listening(host: str, port: int) -> socket.socket:
    """A socket on a port, bound before anything else is done.

    Raises:
        ConfigError: it is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    found.set_inheritable(True)
    return found
