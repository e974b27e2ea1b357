"""The targets of the fuzzer, on their seeds, on what was once found, and on new inputs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.corpus import FOUND, found, seeds
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
RUNS = {"bundle": 300, "ndjson": 500, "markdown": 1500}
MOST_RUNS = 10_000
LONGEST_S = 60


@pytest.mark.parametrize("target", TARGETS)
def test_what_must_hold_holds_for_the_seeds(target: str) -> None:
    """Real charts, requests, tokens, dates, units and texts."""
    for seed in seeds(target):
        TARGETS[target](seed)


@pytest.mark.parametrize(
    ("target", "name"), [(target, name) for target in TARGETS for name in found(target)]
)
def test_what_was_found_stays_fixed(target: str, name: str) -> None:
    """Faults of the code, and of what was expected of it."""
    TARGETS[target](found(target)[name])


def test_every_folder_of_findings_is_of_a_target() -> None:
    """Or its inputs would never be tried again."""
    assert {folder.name for folder in FOUND.iterdir()} <= set(TARGETS)


@pytest.mark.may_skip("atheris has wheels for Linux only")
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has wheels for Linux only")
@pytest.mark.parametrize("target", TARGETS)
def test_new_inputs_find_nothing(target: str, tmp_path: Path) -> None:
    """The same inputs in every run; ``python -m tests.fuzz`` goes on for as long as it is let."""
    runs = RUNS.get(target, MOST_RUNS)
    command = [sys.executable, "-m", "tests.fuzz", target, f"--runs={runs}", "--seed=1"]

    ended = subprocess.run(
        [*command, f"--findings={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LONGEST_S,
        check=False,
    )

    assert 0 == ended.returncode, f"{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"
    assert f"Done {runs} runs" in ended.stderr
    assert [] == list(tmp_path.iterdir())
