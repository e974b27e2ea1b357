"""What too much costs a process: measured in one of its own, with eight such reads at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import TODAY
from tests.faults.fake_fhir import FakeFhir, in_thread
from tests.faults.fault_book import compressed, page_of_bytes, page_of_entries, with_headers
from tests.faults.screened import chart_of

ROOT = Path(__file__).parents[2]
MOST_MB = 150
BOMBS = {
    # 200 kB that become 200 MB.
    "gzip": (compressed(1, 200), "compressed"),
    # 300 bytes that become as much.
    "gzip three times": (compressed(3, 200), "compressed"),
    "gzip unannounced": (compressed(1, 200, announced=False), "not FHIR"),
    "60 MB announced": (page_of_bytes(60, announced=True), "too large"),
    "60 MB unannounced": (page_of_bytes(60, announced=False), "too large"),
    "200,000 entries": (page_of_entries(200_000), "too large; too many entries"),
    "headers": (with_headers(("X-Long", "x" * 1_000_000)), "the connection broke"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="measured by Linux's /proc")
@pytest.mark.parametrize("bomb", BOMBS)
def test_too_much_costs_little(bomb: str) -> None:
    """Less than 150 MB of memory, all reads together, and each of them has failed."""
    fault, reason = BOMBS[bomb]
    server = FakeFhir(chart_of("everything-met", TODAY))
    server.fails("Observation", fault)
    with in_thread(server):
        run = subprocess.run(
            [sys.executable, "-m", "tests.faults.bombed", server.base, "everything-met"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    megabytes, _, reasons = run.stdout.strip().partition(" ")
    print(f"{bomb}: {megabytes} MB")  # noqa: T201
    # Which of two limits is reached first depends on how the reads interleave.
    assert set(reasons.split("; ")) <= set(reason.split("; "))
    assert int(megabytes) < MOST_MB
