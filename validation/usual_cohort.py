"""The cohort that the study speaks of: it is made the first time that a command asks for it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from validation.cohort import Plan, build, make_cohort
from validation.cohort_folder import Cohort, open_cohort

FOLDER: Final = Path(__file__).resolve().parents[1] / "build" / "cohort"
PLAN: Final = Plan(net=1000, ordinary=1000, seed=1, as_of=date(2026, 1, 1))


def cohort_at(folder: Path | None) -> Cohort:
    """The cohort in a folder; where none is named the usual one, made if it is not there.

    Raises:
        CannotRun: no cohort is in that folder, or the usual one cannot be made.
    """
    if folder is None and not FOLDER.exists():
        build()
        what = f"{PLAN.net} NET patients and {PLAN.ordinary} ordinary ones"
        print(f"making {what} in {FOLDER}: ten minutes or more", flush=True)
        make_cohort(PLAN, FOLDER)
    return open_cohort(folder or FOLDER)
