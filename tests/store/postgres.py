"""A real PostgreSQL server of the machine's own package, on a free port of the loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return None if initdb is None else Path(initdb).resolve().parent


class PostgresServer:
    """A server with data of its own, gone with ``remove``."""

    def __init__(self, folder: Path) -> None:
        self._programs = folder
        self._home = Path(tempfile.mkdtemp(prefix="cds-postgresql-"))
        if "user" in self._identity():
            shutil.chown(self._home, self._identity()["user"])
        self._run("initdb", "--username=cds", "--auth=trust", "--no-instructions")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._home}"
        self._run("pg_ctl", "--wait", f"--log={self._home}/log", f"--options={options}", "start")

    def stop(self) -> None:
        """Stop it at once; whoever is connected loses the connection."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def remove(self) -> None:
        """Delete all that it had."""
        shutil.rmtree(self._home)

    def emptied(self) -> str:
        """The URL of its database, after all in it was dropped."""
        address = f"cds@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(f"postgresql://{address}", autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return f"postgresql+psycopg://{address}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, f"--pgdata={self._home}/data", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._home,
            **self._identity(),
        )

    @staticmethod
    def _identity() -> dict[str, Any]:
        """PostgreSQL refuses to run as root; its package made a user for it."""
        if os.geteuid() != 0:
            return {}
        known = {user.pw_name for user in pwd.getpwall()}
        user = "postgres" if "postgres" in known else "nobody"
        return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
