"""Makes reports of charts within a time, whatever they hold, and lets other hooks be answered.

An ordinary chart is judged at once: that takes milliseconds. One that is large, or has many vague
dates, is judged in a thread, beside which the event loop gets its turns. A large one is read for a
part of the time that is left, and what was not read then is unread. Should judging what was read
take too long all the same, it is judged without what takes so long. So there always is a report.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Final

import msgspec

from cds_service.comparison import Comparison, compare
from cds_service.fhir.chart import LARGE_CHART, Chart
from cds_service.fhir.sparing import unread
from cds_service.record.reads import Read
from cds_service.report import Report
from cds_service.screening import NotConcerned, OpenChart, Screener

# Charts judged in threads at one time; further ones wait, and their time goes on.
_SIDE_BY_SIDE: Final = 2
# Of the time to read and judge a large chart, so much is for reading: the criteria take about two
# thirds as long.
_SHARE_TO_READ: Final = 0.55
# Where a slow server left no time at all; within the margin of the answer.
_LEAST_S: Final = 0.1


class Judged(msgspec.Struct, frozen=True):
    """A report, and what it rests on.

    Args:
        report: the report.
        reads: how the reads of the chart went, with what there was no time for.
        comparison: how another version of the trial judges the same; None where there is none.
        why_not: why the trial does not concern the patient; None where it may.
    """

    report: Report
    reads: dict[str, Read]
    comparison: Comparison | None = None
    why_not: NotConcerned | None = None


class Judging:
    """Judges charts by a trial.

    Args:
        screener: the evaluator of charts.
        candidate: the evaluator of another version of the trial, with the same tables.
        clock: seconds of a clock that never goes back; asked from several threads.
    """

    def __init__(
        self,
        screener: Screener,
        candidate: Screener | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screener = screener
        self._candidate = candidate
        self._clock = clock
        self._threads = ThreadPoolExecutor(_SIDE_BY_SIDE, "long-chart")

    async def __call__(
        self, opened: OpenChart, chart: Chart, as_of: date, within_s: float
    ) -> Judged:
        """Judge a chart.

        Args:
            opened: the chart while it was read; what it knows of it already is used.
            chart: what was read of it.
            as_of: the assumed day of enrolment.
            within_s: the time after which it is judged without what takes long; an ordinary chart
                may take longer.
        """
        if not opened.takes_long(chart):
            return self._judged(opened, chart)
        left = max(within_s, _LEAST_S)
        read_until = self._clock() + left * _SHARE_TO_READ
        if len(chart.entries) > LARGE_CHART:
            opened = self._screener.opened(as_of, lambda: self._clock() < read_until)
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, self._judged, opened, chart
        )
        try:
            return await asyncio.wait_for(work, left)
        except TimeoutError:
            if not opened.is_read(chart):
                opened, chart = self._screener.opened(as_of), _rare_of(chart)
            return self._judged(opened.without_much(chart), chart)

    def _judged(self, opened: OpenChart, chart: Chart) -> Judged:
        report = opened.report(chart)
        compared = None
        if self._candidate is not None:
            compared = compare(report, opened.report_by(self._candidate, chart))
        return Judged(report, opened.reads(chart), compared, opened.why_not(chart, report))


def _rare_of(chart: Chart) -> Chart:
    """A chart with the types of which there are few resources; the others are unread."""
    sizes = Counter(entry.kind for entry in chart.entries)
    kept: Counter[str] = Counter()
    for kind, size in sorted(sizes.items(), key=lambda one: (one[1], one[0])):
        if kept.total() + size <= LARGE_CHART:
            kept[kind] = size
    return msgspec.structs.replace(
        chart,
        entries=tuple(entry for entry in chart.entries if entry.kind in kept),
        reads={
            kind: unread(read) if _rests_on(kind) & (sizes.keys() - kept.keys()) else read
            for kind, read in chart.reads.items()
        },
    )


def _rests_on(kind: str) -> set[str]:
    """The types that make facts of a type: a drug may stand in a Medication."""
    return {kind, "Medication"} if kind.startswith("Medication") else {kind}
