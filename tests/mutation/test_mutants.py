"""Mutants are made, meet the tests that reach them, and are told apart: on one small module."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SURVIVED, KILLED, NO_TESTS = 0, 1, 33
CLOCK = "cds_service.criteria.clock.xǁClockǁ"


def run(into: Path, *arguments: str) -> str:
    """Run mutants of the clock; the table."""
    command = [sys.executable, HERE / "mutants.py", "--into", into, "--workers", "1", *arguments]
    done = subprocess.run([*command, "criteria.clock"], capture_output=True, text=True, check=True)
    return next(line for line in done.stdout.splitlines() if "`criteria.clock`" in line)


def codes(into: Path) -> dict[str, int]:
    """What became of each mutant, by its name within the module."""
    held = json.loads((into / "mutants/cds_service/criteria/clock.py.meta").read_text())
    return {name.removeprefix(CLOCK): code for name, code in held["exit_code_by_key"].items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two weak tests."""
    into = tmp_path_factory.mktemp("mutation")
    run(into, "--tests", "tests/mutation/weak.py")
    return into


def test_what_a_test_tells_apart_is_killed(folder: Path) -> None:
    """Every mutant of what the test asserts to the letter."""
    found = {code for name, code in codes(folder).items() if name.startswith("days_since__")}

    assert {KILLED} == found


def test_what_a_test_reaches_and_does_not_tell_apart_survives(folder: Path) -> None:
    """The test asks for the birthday only, and both windows would do."""
    found = [code for name, code in codes(folder).items() if name.startswith("has_birthday__")]

    assert {SURVIVED, KILLED} == set(found)


def test_what_no_test_reaches_is_told(folder: Path) -> None:
    """It counts as surviving."""
    found = {code for name, code in codes(folder).items() if name.startswith("within_months__")}

    assert {NO_TESTS} == found


def test_survivors_meet_the_tests_that_came_since(folder: Path) -> None:
    """What was killed stays killed; what survives and what is not reached is run again."""
    before = codes(folder)
    line = run(folder, "--again", "--tests", "tests/mutation/stronger.py")
    after = codes(folder)

    assert all(KILLED == after[name] for name, code in before.items() if code == KILLED)
    assert KILLED in {code for name, code in after.items() if before[name] == SURVIVED}
    survived = sum(code in {SURVIVED, NO_TESTS} for code in after.values())
    assert f" {len(after)} | {len(after)} | {len(after) - survived} | 0 | {survived} |" in line
