"""Writes down what a process looks up and connects to; Python imports it at the start by its name.

Only where ``WATCHED_NETWORK`` names a file. What Python does itself is told by its audit hooks
(PEP 578); the event loop of uvloop asks the C library, past them, so that its methods are wrapped.

Where ``WATCHED_NAMES`` names a file too, a test plays the name server: the file is JSON, names with
lists of answers, each a list of addresses. They are given one after the other, and the last stays.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

LOOKS_UP = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def watch(path: str) -> None:
    """Write a line for each name that is looked up, and each address that is called."""
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(what: str, host: object, port: object) -> None:
        name = host.decode() if isinstance(host, bytes) else str(host)
        os.write(out, json.dumps([what, name, str(port)]).encode() + b"\n")

    def heard(event: str, given: tuple[Any, ...]) -> None:
        if event in LOOKS_UP:
            note("name", given[0], "")
        elif event == "socket.connect" and isinstance(given[1], tuple):
            note("call", *given[1][:2])

    sys.addaudithook(heard)
    _wrap_uvloop(note)


def answered(host: object, port: int) -> list[Any]:
    """What a test's name server says of a name; empty where it does not know it."""
    if not (file := os.environ.get("WATCHED_NAMES")):
        return []
    names = json.loads(Path(file).read_text(encoding="utf-8"))
    if not (rounds := names.get(host)):
        return []
    addresses = rounds.pop(0) if len(rounds) > 1 else rounds[0]
    Path(file).write_text(json.dumps(names), encoding="utf-8")
    kinds = [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in addresses]
    return [(kind, socket.SOCK_STREAM, 6, "", (one, port)) for kind, one in kinds]


def _wrap_uvloop(note: Any) -> None:
    try:
        import uvloop  # noqa: PLC0415  (only where a process is watched)
    except ImportError:
        return

    class Loop(uvloop.Loop):
        """Tells what it is asked for."""

        async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
            note("name", host, "")
            return answered(host, port) or await super().getaddrinfo(host, port, **how)

        async def create_connection(
            self, factory: Any, host: Any = None, port: Any = None, **how: Any
        ) -> Any:
            if host is not None:
                note("call", host, port)
            return await super().create_connection(factory, host, port, **how)

        async def sock_connect(self, sock: Any, address: Any) -> Any:
            note("call", *address[:2])
            return await super().sock_connect(sock, address)

    uvloop.Loop = Loop  # what new_event_loop makes


if named := os.environ.get("WATCHED_NETWORK"):
    watch(named)
