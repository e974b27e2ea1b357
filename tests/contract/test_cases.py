"""The table of bad inputs and faults names tests that are there, and leaves out none that is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([A-Z]{3}-\d\d) \| (P[01]) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+(?:\.py)?/?)(?:::(\w+))?(?:::(\w+))?`")
ROWS = {match[1]: match for match in ROW.finditer(TABLE)}
# How many cases each group has, in order and without a gap.
GROUPS = {
    "ENV": 14, "JWT": 15, "SRV": 13, "NET": 18, "FHR": 17, "CLN": 28, "CRD": 9, "FBK": 9, "LOD": 14,
}  # fmt: skip


@pytest.mark.parametrize(("group", "count"), GROUPS.items())
def test_no_case_is_left_out(group: str, count: int) -> None:
    """Each has its row."""
    wanted = [f"{group}-{number:02}" for number in range(1, count + 1)]

    assert wanted == [one for one in ROWS if one.startswith(group)]


@pytest.mark.parametrize("case", ROWS)
def test_its_tests_are_there(case: str) -> None:
    """Or the row says why there is none."""
    named = TEST.findall(ROWS[case][5])
    assert named or ROWS[case][5].startswith(("not applicable", "open:"))
    assert named or ROWS[case][2] == "P1" or ROWS[case][5].startswith("not applicable")

    for path, *names in named:
        place = ROOT / path
        assert place.exists(), path
        for name in filter(None, names):
            found = re.search(
                rf"^\s*(?:class|(?:async )?def) {name}\b", place.read_text(), re.MULTILINE
            )
            assert found, f"{path}::{name}"


def test_no_test_is_for_a_case_that_is_not_there() -> None:
    """Each marker names a row, and the row names a test of that file."""
    for file in sorted((ROOT / "tests" / "cases").glob("test_*.py")):
        cases = set(
            re.findall(r'(?:mark\.case\(|\(|^\s*)"([A-Z]{3}-\d\d)"', file.read_text(), re.MULTILINE)
        )
        for case in cases:
            assert case in ROWS, f"{file.name}: {case}"
            assert file.name in ROWS[case][0], f"{case} does not name {file.name}"
