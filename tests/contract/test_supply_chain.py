"""What is installed is what is locked, and the bill of materials says so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("runtime", "dev")
_PIN = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)", re.IGNORECASE
)


def pins(lock: str) -> dict[str, str]:
    """The locked packages and their versions."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    found = [_PIN.match(line) for line in lines if line and line[0] not in " #"]
    assert all(found), "a line of the lock is no pin"
    return {pin["name"].lower(): pin["version"] for pin in found if pin}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_locked_with_hashes(lock: str) -> None:
    """A package without a hash could be replaced on its way."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text, flags=re.IGNORECASE)

    bare = [block.split()[0] for block in blocks if "--hash=sha256:" not in block]

    assert [] == bare


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_registry(lock: str) -> None:
    """Each installation takes packages from its own index."""
    assert "://" not in (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")


def test_what_runs_is_developed_with() -> None:
    """The tests run with the versions that are installed at a hospital."""
    assert pins("runtime").items() <= pins("dev").items()


def test_the_bill_of_materials_lists_what_runs(tmp_path: Path) -> None:
    """Every locked package, in its locked version, and nothing else."""
    file = tmp_path / "sbom.cdx.json"
    tool = Path(sys.executable).with_name("cyclonedx-py")
    command = [tool, "requirements", "requirements/runtime.txt", "--pyproject", "pyproject.toml"]
    subprocess.run(
        [*command, "--output-reproducible", "--of", "JSON", "--output-file", file],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )

    components = json.loads(file.read_text(encoding="utf-8"))["components"]

    assert pins("runtime") == {one["name"].lower(): one["version"] for one in components}


@pytest.mark.parametrize("document", ["hazards.md", "threat-model.md"])
def test_the_tests_that_hold_a_control_are_there(document: str) -> None:
    """A control whose test was renamed or deleted is held by nothing."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+(?:\.py)?/?)(?:::(\w+))?`", text)
    assert len(named) > 10

    for path, name in named:
        place = ROOT / path
        assert place.exists(), path
        if name:
            found = re.search(
                rf"^(?:class|(?:async )?def) {name}\b", place.read_text(), re.MULTILINE
            )
            assert found, f"{path}::{name}"
