"""The cohort that the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.validation.made_cohort import made_once

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def cohort_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 NET patients with their truth, and 20 ordinary ones."""
    return made_once(tmp_path_factory)
