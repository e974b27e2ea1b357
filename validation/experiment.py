"""Evaluates a cohort, clean and messy, in several processes, and adds up what was found.

The same cohort and design give the same findings, however many processes there are.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from validation.cohort_folder import Cohort, Manifest, truth_of
from validation.judging import Judge
from validation.mess import DATED, EVERYTHING, KINDS, SILENT, WITHOUT_LOSS, Dial, make_messy
from validation.ordinary import Ordinary, look
from validation.tally import Tally, tally

Point = tuple[str, float]
Found = TypeVar("Found", Tally, Ordinary)

CLEAN: Final[Point] = ("none", 0.0)
# Nothing in such a chart tells that something is missing, so no reader of it could know.
UNTOLD: Final = frozenset({SILENT, EVERYTHING})
# Without losses: where a search was cut, a card that says so is what the hook must show.
_MESSY_ORDINARY: Final = Dial(WITHOUT_LOSS, 0.5, 0)


class Design(msgspec.Struct, frozen=True):
    """What the study does.

    Args:
        levels: shares of resources that the mess hits, 0 not among them.
        messy: of how many NET patients messy charts are made; all are evaluated clean.
        dated: of how many of them charts with partial dates, whose evaluation takes far longer.
        messy_ordinary: the same of ordinary patients, at 50 % of all mess but losses.
    """

    levels: tuple[float, ...]
    messy: int
    dated: int
    messy_ordinary: int
    processes: int


class Study(msgspec.Struct):
    """What was found.

    Args:
        points: what was found at each kind and level of mess; :data:`CLEAN` for all patients.
        clean: by kind of mess, what was found in the clean charts of the same patients.
        ordinary: ordinary patients, as they are.
        messy_ordinary: some of them, with half of everything damaged.
    """

    manifest: Manifest
    design: Design
    points: dict[Point, Tally]
    clean: dict[str, Tally]
    ordinary: Ordinary
    messy_ordinary: Ordinary

    @property
    def told(self) -> dict[Point, Tally]:
        """The points at which a chart shows what it lacks."""
        return {point: one for point, one in self.points.items() if point[0] not in UNTOLD}

    @property
    def failures(self) -> list[str]:
        """What must not be, in words; nothing if the study is passed."""
        clean, told = self.points[CLEAN], self.told.values()
        counts = {
            "unsafe results": sum(len(one.unsafe) for one in told),
            "crashes": sum(len(one.crashes) for one in self.points.values()),
            "disagreements with the truth on clean charts": clean.disagreements,
            "faults in ordinary patients": self.ordinary.faults,
            "cards or crashes in messy ordinary patients": len(self.messy_ordinary.cards)
            + len(self.messy_ordinary.crashes),
        }
        return [f"{count} {what}" for what, count in counts.items() if count]


def run_study(cohort: Cohort, design: Design) -> Study:
    """Evaluate a cohort."""
    kinds = {
        kind: _sample(
            cohort.net, design.dated if kind in DATED else design.messy, cohort.manifest.seed
        )
        for kind in KINDS
    }
    unlucky = _sample(cohort.ordinary, design.messy_ordinary, cohort.manifest.seed)
    with multiprocessing.get_context("spawn").Pool(
        design.processes, _start, (cohort.manifest, design)
    ) as pool:
        found = Study(cohort.manifest, design, {}, {}, Ordinary(), Ordinary())
        tasks = [
            (chart, tuple(kind for kind, charts in kinds.items() if chart in charts))
            for chart in cohort.net
        ]
        for messy, (_, chosen) in zip(pool.imap(_net, tasks), tasks, strict=True):
            for point, one in messy.items():
                found.points.setdefault(point, Tally()).add(one)
            for kind in chosen:
                found.clean.setdefault(kind, Tally()).add(messy[CLEAN])
        for calm in pool.imap(_ordinary, cohort.ordinary, 4):
            found.ordinary.add(calm)
        for spoilt in pool.imap(_spoilt, unlucky, 4):
            found.messy_ordinary.add(spoilt)
    return found


def _sample(charts: Sequence[Path], size: int, seed: int) -> tuple[Path, ...]:
    """Some charts, by a draw that belongs to each, in their order."""
    dial = Dial("sample", 1, seed)
    drawn = sorted(charts, key=lambda chart: dial.draw("sample", chart.stem, ""))[:size]
    return tuple(sorted(drawn))


# --- In a worker process -----------------------------------------------------------------------


class _Worker(msgspec.Struct):
    """What a worker process has: the service, and what to do."""

    judge: Judge
    manifest: Manifest
    design: Design


_WORKER: list[_Worker] = []


def _start(manifest: Manifest, design: Design) -> None:
    os.nice(5)
    _WORKER.append(_Worker(Judge(manifest), manifest, design))


def _net(task: tuple[Path, tuple[str, ...]]) -> dict[Point, Tally]:
    """One NET patient, clean and at every level of some kinds of mess."""
    path, kinds = task
    (worker,) = _WORKER
    truth, chart = truth_of(path), path.read_bytes()

    def at(point: Point) -> Tally:
        if point == CLEAN:
            return tally(truth, worker.judge.readings(chart, truth))
        dial = Dial(*point, worker.manifest.seed, worker.judge.screener.zone)
        damaged = make_messy(chart, truth.patient, dial)
        return tally(truth, worker.judge.readings(damaged, truth))

    points = [CLEAN, *((kind, level) for kind in kinds for level in worker.design.levels)]
    return {point: _guarded(lambda: at(point), path, Tally) for point in points}  # noqa: B023


def _ordinary(path: Path) -> Ordinary:
    (worker,) = _WORKER
    return _guarded(
        lambda: look(path.read_bytes(), path.stem, worker.manifest.as_of, worker.judge),
        path,
        Ordinary,
    )


def _spoilt(path: Path) -> Ordinary:
    (worker,) = _WORKER

    def spoil() -> Ordinary:
        dial = msgspec.structs.replace(_MESSY_ORDINARY, seed=worker.manifest.seed)
        damaged = make_messy(path.read_bytes(), path.stem, dial)
        return look(damaged, path.stem, worker.manifest.as_of, worker.judge)

    return _guarded(spoil, path, Ordinary)


def _guarded(evaluate: Callable[[], Found], path: Path, empty: Callable[..., Found]) -> Found:
    try:
        return evaluate()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the study counts
        return empty(patients=1, crashes=[(path.stem, f"{type(error).__name__}: {error}")])
