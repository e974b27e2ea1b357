"""The study: it finds nothing where there is nothing, and everything that is put in."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from tests.validation.small_cohort import write_cohort
from validation.experiment import CLEAN
from validation.figures import LineChart
from validation.markdown import between
from validation.mess import KINDS
from validation.study import main

if TYPE_CHECKING:
    from pathlib import Path

MARKERS = "# Validation\n\n<!-- study -->\nold\n<!-- end -->\n\nprose\n"
FIGURES = ("study-decided.svg", "study-ppv.svg", "study-sensitivity.svg")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A document with the markers."""
    file = tmp_path / "docs" / "validation.md"
    file.parent.mkdir()
    file.write_text(MARKERS, encoding="utf-8")
    return file


def run(cohort: Path, *options: str) -> int:
    """Run the study in one process, with one level of mess."""
    defaults = ["--levels", "10", "--processes", "1"]
    return main(["--cohort", str(cohort), *defaults, *options])


class TestTheStudy:
    """The command, on hand-made charts with hand-written truths."""

    def test_is_passed_and_written(self, tmp_path: Path, document: Path) -> None:
        """Where the service says what is so, nothing is found; the rest of the document stays."""
        code = run(write_cohort(tmp_path / "cohort"), "--out", str(document))

        text = document.read_text(encoding="utf-8")
        assert 0 == code
        assert text.startswith("# Validation\n\n<!-- study -->\n\n### In short")
        assert text.endswith("<!-- end -->\n\nprose\n")
        assert "2 NET patients, 1 of them candidates; 1 ordinary patients" in text
        assert "| `platelets` | 1 of 1 | 1 of 1 |" in text
        assert all(f"| {kind} | 2 | " in text for kind in KINDS)
        for name in FIGURES:
            ET.fromstring((document.parent / "images" / name).read_text(encoding="utf-8"))  # noqa: S314 - ours

    def test_is_the_same_each_time(self, tmp_path: Path, document: Path) -> None:
        """However many processes work."""
        cohort = write_cohort(tmp_path / "cohort")
        run(cohort, "--out", str(document))
        first = document.read_bytes()

        run(cohort, "--out", str(document), "--processes", "2")

        assert first == document.read_bytes()

    def test_finds_what_is_not_so(
        self, tmp_path: Path, document: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A truth against the chart makes met by evidence, and all met, unsafe."""
        code = run(write_cohort(tmp_path / "cohort", lie=True), "--out", str(document))

        assert 1 == code
        assert "unsafe results" in capsys.readouterr().out
        assert "`platelets` in 1 patients (such as fine)" in document.read_text(encoding="utf-8")
        assert "`overall` in 1 patients (such as fine)" in document.read_text(encoding="utf-8")

    def test_finds_a_status_that_differs(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One status of one patient is enough."""
        cohort = write_cohort(tmp_path / "cohort")
        file = cohort / "truth" / "low.json"
        truth = json.loads(file.read_text(encoding="utf-8"))
        truth["statuses"]["histology"] = "unknown"
        file.write_text(json.dumps(truth), encoding="utf-8")

        assert 1 == run(cohort)
        assert "not passed: 1 disagreements" in capsys.readouterr().out

    def test_finds_crashes_and_cards(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An ordinary patient with a tumour has a card; a file that is no chart is an error."""
        cohort = write_cohort(tmp_path / "cohort")
        (cohort / "ordinary" / "net.json").write_bytes((cohort / "net" / "fine.json").read_bytes())
        (cohort / "ordinary" / "no-chart.json").write_text("{}", encoding="utf-8")

        assert 1 == run(cohort)
        assert "not passed: 2 faults in ordinary patients" in capsys.readouterr().out

    def test_finds_a_code_that_the_tables_lack(
        self, tmp_path: Path, document: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A test of ours by its name, under a LOINC code that is not in the tables."""
        cohort = write_cohort(tmp_path / "cohort")
        file = cohort / "ordinary" / "calm.json"
        text = file.read_text(encoding="utf-8")
        assert '"718-7"' in text
        file.write_text(text.replace('"718-7"', '"4548-4"'), encoding="utf-8")

        assert 1 == run(cohort, "--out", str(document))
        assert "not passed: 1 faults in ordinary patients" in capsys.readouterr().out


@pytest.mark.end_to_end
def test_a_small_cohort_passes(
    cohort_dir: Path, document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clean charts have the expected statuses, and no mess that is told makes a false promise."""
    options = ("--messy", "12", "--dated", "4", "--levels", "20", "--processes", "2")

    code = run(cohort_dir, "--out", str(document), *options)

    assert 0 == code, capsys.readouterr().out
    text = document.read_text(encoding="utf-8")
    assert "40 NET patients" in text
    assert "20 ordinary patients" in text


def test_a_document_without_markers_is_refused() -> None:
    """Nothing is written anywhere else."""
    with pytest.raises(ValueError, match="substring not found"):
        between("# Validation\n", "study", "found")


def test_names_in_a_figure_do_not_cover_one_another() -> None:
    """Lines that end at one point have their names one below the other, inside the figure."""
    lines = {f"line {number}": [(0.0, 1.0), (0.5, 0.0)] for number in range(10)}
    drawn = ET.fromstring(LineChart("t", "x", lines).svg())  # noqa: S314 - ours
    names = [one for one in drawn if (one.text or "").startswith("line ")]
    heights = [float(one.attrib["y"]) for one in names]

    assert 10 == len(heights)
    assert all(below - above >= 15 for above, below in itertools.pairwise(heights))
    assert max(heights) <= float(drawn.attrib["viewBox"].split()[3])
    assert ("none", 0.0) == CLEAN
