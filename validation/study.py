"""The validation study: one command that evaluates a cohort and writes what was found.

The same cohort gives the same document, byte for byte.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from validation.experiment import Design, run_study
from validation.report import write_report
from validation.usual_cohort import cohort_at

DOCUMENT: Final = Path("docs/validation.md")
_LEVELS: Final = "0,5,10,20,30,40,50"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study.

    Returns:
        1 if something was found that must not be.

    Raises:
        CannotRun: there is no cohort, and none can be made.
    """
    options = _options(arguments)
    messy: int = options.messy
    dated = messy if options.dated is None else min(messy, options.dated)
    design = Design(_shares(options.levels), messy, dated, messy, options.processes)
    cohort = cohort_at(options.cohort)
    print(f"{len(cohort.net)} NET patients, {len(cohort.ordinary)} ordinary ones", flush=True)
    started = time.monotonic()
    study = run_study(cohort, design)
    print(f"done in {time.monotonic() - started:.0f} s")
    if options.out is not None:
        write_report(study, options.out)
        print(f"written: {options.out}")
    for failure in study.failures:
        print(f"not passed: {failure}")
    return 1 if study.failures else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m validation study", description=__doc__)
    parser.add_argument("--cohort", type=Path, help="folder of another cohort than build/cohort")
    parser.add_argument("--out", type=Path, help=f"document to write, such as {DOCUMENT}")
    parser.add_argument("--levels", default=_LEVELS, help="levels of mess in per cent")
    parser.add_argument(
        "--messy", type=int, default=300, help="of how many patients messy charts are made"
    )
    parser.add_argument(
        "--dated",
        type=int,
        help="of how many of them charts with partial dates; of all if not given",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(arguments)


def _shares(levels: str) -> tuple[float, ...]:
    """Levels in per cent as shares; 0 is always there."""
    return tuple(sorted({int(one) / 100 for one in levels.split(",")} - {0.0}))
