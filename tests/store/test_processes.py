"""Several processes append to one database, as workers and replicas do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cds_service.store.inspection import verify
from tests.store.entries import count

ROOT = Path(__file__).parents[2]
_WORKERS, _EACH = 4, 100


def test_they_make_one_chain(url: str) -> None:
    """Starting together on an empty database, and each committing several rows at a time."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.store.appender", url, f"worker-{number}", str(_EACH)],
            cwd=ROOT,
        )
        for number in range(_WORKERS)
    ]

    assert [0] * _WORKERS == [worker.wait(timeout=120) for worker in workers]

    found = verify(url, None)
    assert found.broken is None
    assert 1 + _WORKERS * _EACH == found.count
    assert _WORKERS * _EACH == count(url, "cards")
    assert 1 == count(url, "audit", "kind = 'genesis'")
