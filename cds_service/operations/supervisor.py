"""Several processes that serve one port: starts them, replaces the dead, ends all together."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from cds_service.errors import CdsServiceError
from cds_service.operations.figures import SHARED_DIRECTORY

Work = Callable[[socket.socket], None]
"""What a worker does with the listening socket; picklable, for it runs in a new process."""

START_FAILED: Final = 3
"""Exit code of a worker that could not start: as of uvicorn, so that either can say it."""

# A worker that ends sooner than this after its start would do so again.
_SOON_S: Final = 10.0
_TICK_S: Final = 0.5


class WorkersFailed(CdsServiceError):
    """A worker ended before it served, so that another one would, too."""


class Supervisor:
    """Runs the workers until it is told to end.

    Args:
        work: what each of them does.
        count: how many there are.
        stop_s: how long they may take to end, before they are killed.
    """

    def __init__(self, work: Work, count: int, *, stop_s: float) -> None:
        self._work = work
        self._count = count
        self._stop_s = stop_s
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[SpawnProcess, float] = {}
        self._ending = False

    def run(self, listening: socket.socket) -> None:
        """Serve on a bound socket; returns once SIGTERM or SIGINT came and all have ended.

        Raises:
            WorkersFailed: one ended soon after its start.
        """
        shared = tempfile.mkdtemp(prefix="cds-service-metrics-")
        # Read by prometheus-client in each worker, when it is imported there.
        os.environ[SHARED_DIRECTORY] = shared
        before = {one: signal.signal(one, self._end) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            for _ in range(self._count):
                self._start(listening)
            while not self._ending:
                self._tend(listening)
        finally:
            self._stop()
            for one, handler in before.items():
                signal.signal(one, handler)
            del os.environ[SHARED_DIRECTORY]
            shutil.rmtree(shared, ignore_errors=True)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._ending = True

    def _start(self, listening: socket.socket) -> None:
        worker = self._context.Process(target=self._work, args=(listening,))
        worker.start()
        self._workers[worker] = time.monotonic()

    def _tend(self, listening: socket.socket) -> None:
        """Wait a moment for a worker to end; replace those that did."""
        wait([worker.sentinel for worker in self._workers], timeout=_TICK_S)
        for worker, started in list(self._workers.items()):
            if worker.is_alive() or self._ending:
                continue
            del self._workers[worker]
            worker.join()
            mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
            soon = time.monotonic() - started < _SOON_S
            if soon or worker.exitcode == START_FAILED:
                raise WorkersFailed("a worker could not start; see the lines above")
            self._start(listening)

    def _stop(self) -> None:
        for worker in self._workers:
            worker.terminate()
        last = time.monotonic() + self._stop_s
        for worker in self._workers:
            worker.join(max(last - time.monotonic(), 0))
            if worker.is_alive():
                worker.kill()
                worker.join()
        self._workers.clear()
