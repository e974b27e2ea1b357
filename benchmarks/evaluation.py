"""One chart evaluated in this process: bytes to report, and the criteria alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from statistics import median
from typing import Any

from benchmarks.charts import RELEVANT, bundle_bytes, chart
from benchmarks.table import Table
from cds_service.criteria.evaluate import Evaluator
from cds_service.criteria.finding import SiteFacts
from cds_service.fhir.bundle import read_chart_file
from cds_service.fhir.reader import Reader
from cds_service.operations.garbage import few_collections
from cds_service.record.codes import CodeBook
from cds_service.record.tables import load_tables
from cds_service.record.units import UnitBook
from cds_service.report import Version, report_json
from cds_service.screening import Screener, _Words
from cds_service.trial.load import load_trial
from cds_service.trial.site import Site

SIZES = (276, 500, 1500)
TODAY = date(2026, 11, 23)


class Bench:
    """The service's own parts, put together as it does."""

    def __init__(self) -> None:
        tables = load_tables()
        codes, units = CodeBook(tables), UnitBook(tables)
        site, trial = Site(), load_trial(None, codes)
        self.screener = Screener(trial, site, codes, units)
        self.reader = Reader(codes, units, site.zone)
        version = Version(codes.version, codes.digest)
        self.evaluator = Evaluator(trial, SiteFacts(), _Words(codes, units), version)

    def report(self, data: bytes) -> bytes:
        """From the bytes of a Bundle to the bytes of a report."""
        return report_json(self.screener.screen_chart(read_chart_file(data, None), TODAY))


def measure(rounds: int) -> Table:
    """Evaluate charts of each size; milliseconds, medians."""
    bench = Bench()
    found = Table(
        "One chart, in this process (median ms of processor time)",
        (
            "resources",
            "kB",
            "bytes to report",
            "record",
            "criteria",
            "collector default",
        ),
    )
    for size in SIZES:
        found.add(*_row(bench, bundle_bytes(chart(size, RELEVANT, TODAY)), size, rounds))
    found.note("goal: 500 resources to a report in at most 6 ms, the criteria in at most 1.5 ms")
    found.note("bytes to report: reading the file, the record, the criteria, and JSON")
    found.note("last column: bytes to report with Python's own settings of the garbage collector,")
    found.note("as on the command line; the others with the service's")
    return found


def _row(bench: Bench, data: bytes, size: int, rounds: int) -> tuple[Any, ...]:
    read = read_chart_file(data, None)
    record = bench.reader.read(read)
    assert bench.screener.screen_chart(read, TODAY).overall == "possible"
    jobs: Sequence[Callable[[], Any]] = (
        lambda: bench.report(data),
        lambda: bench.reader.read(read),
        lambda: bench.evaluator.evaluate(record, TODAY),
    )
    with as_served():
        whole, reading, criteria = interleaved(jobs, rounds)
    (plain,) = interleaved(jobs[:1], rounds)
    return size, round(len(data) / 1000), whole, reading, criteria, plain


def interleaved(jobs: Sequence[Callable[[], Any]], rounds: int, repeat: int = 20) -> list[float]:
    """The median milliseconds of each job, all jobs in turn.

    Processor time: one thread waits for nothing here, and a busy machine then changes less.
    """
    times: list[list[float]] = [[] for _ in jobs]
    for job in jobs:
        job()
    for _ in range(rounds * repeat):
        for job, taken in zip(jobs, times, strict=True):
            started = time.process_time()
            job()
            taken.append((time.process_time() - started) * 1000)
    return [median(taken) for taken in times]


@contextmanager
def as_served() -> Iterator[None]:
    """The garbage collector as the running service sets it."""
    with few_collections():
        yield
    gc.collect()
