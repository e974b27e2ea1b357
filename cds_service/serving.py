"""Starts the server process: the service alone, or the demo around it."""

from __future__ import annotations

import socket
from datetime import date
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from cds_service import demo
from cds_service.app import create_app
from cds_service.demo.app import FHIR_PATH, demo_app
from cds_service.errors import ConfigError
from cds_service.settings import Settings, check_address, load_settings

_HOST = "127.0.0.1"
# Slow clients are a front proxy's business; idle ones are let go before the usual proxy does.
_KEEP_ALIVE_S = 30


def serve_service(host: str, port: int) -> None:
    """Serve the CDS service until it is told to stop.

    Raises:
        ConfigError: a setting is wrong or unsafe, or the port is taken.
    """
    settings = load_settings()
    check_address(settings, host)
    _run(create_app(settings), host, port, settings.deadline_seconds)


def serve_demo(port: int, today: date) -> None:
    """Serve the demo on this machine; its settings are its own.

    Raises:
        ConfigError: the port is taken.
    """
    _check_port(_HOST, port)
    origin = f"http://{_HOST}:{port}"
    settings = Settings(
        auth="none",
        # The page names the server by its own origin, whichever of the two was typed.
        fhir_servers=(origin + FHIR_PATH, f"http://localhost:{port}{FHIR_PATH}"),
        public_url=origin,
        site_file=Path(demo.__file__).with_name("site.yaml"),
    )
    print(f"NET RETREAT demo with synthetic patients: {origin}/  (Ctrl-C stops it)", flush=True)  # noqa: T201
    _run(demo_app(create_app(settings), today), _HOST, port, settings.deadline_seconds)


def _run(app: ASGIApp, host: str, port: int, deadline_s: float) -> None:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        # Its access log would print URLs with patient ids.
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(deadline_s) + 1,
    )
    _check_port(host, port)
    uvicorn.Server(config).run()


def _check_port(host: str, port: int) -> None:
    """Say in one line that a port is taken, before the server says it in many."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error
