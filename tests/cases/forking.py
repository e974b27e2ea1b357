"""Starts the service again and again at little cost: what it imports is imported once.

Run as a program. Each line of its input is a port: a process is forked that serves there, and its
number is written. At the end of the input all of them must have been killed.
"""

from __future__ import annotations

import os
import signal
import sys

from cds_service.app import app_from_environment  # noqa: F401  (imported here once)
from cds_service.serving import serve_service


def main() -> None:
    """Fork for each line."""
    forked = []
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            serve_service("127.0.0.1", int(line))
            os._exit(0)
        forked.append(process)
        print(process, flush=True)  # noqa: T201
    for process in forked:
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit("a process ended before it was killed")


if __name__ == "__main__":
    main()
