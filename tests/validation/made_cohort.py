"""A small cohort by the real Synthea, made once a run, whichever folder's tests ask for it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from validation.cohort import CohortFailed, Plan, make_cohort

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan(net=40, ordinary=20, seed=3, as_of=date(2026, 1, 1))
_MADE: list[Path] = []


def made_once(factory: pytest.TempPathFactory) -> Path:
    """The folder of the cohort; a skip where there is no Java or Maven (a failure in CI)."""
    if not _MADE:
        folder = factory.mktemp("cohort") / "small"
        try:
            make_cohort(PLAN, folder)
        except CohortFailed as failure:
            if "missing" in str(failure):
                pytest.skip(str(failure))
            raise
        _MADE.append(folder)
    return _MADE[0]
