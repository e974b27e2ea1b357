"""Where a command of the study cannot do its job: a line that says why, and no traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.validation.small_cohort import write_cohort
from validation import usual_cohort
from validation.__main__ import main
from validation.needs import lacking

if TYPE_CHECKING:
    from pathlib import Path


def tool(folder: Path, name: str, said: str) -> None:
    """A program that prints this."""
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
    file.chmod(0o755)


@pytest.mark.parametrize("name", ["study", "hapi"])
def test_a_folder_without_a_cohort(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named; no other is made or taken instead."""
    assert 1 == main([name, "--cohort", str(tmp_path / "nowhere")])

    error = capsys.readouterr().err
    assert "nowhere holds no cohort" in error
    assert 1 == error.count("\n")
    assert not (tmp_path / "nowhere").exists()


def test_a_chart_without_a_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The patient would be left out of every table."""
    cohort = write_cohort(tmp_path / "cohort")
    (cohort / "truth" / "low.json").unlink()

    assert 1 == main(["study", "--cohort", str(cohort)])
    assert "no truth for low.json" in capsys.readouterr().err


def test_without_java_there_is_no_hapi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and exit code 1."""
    cohort = write_cohort(tmp_path / "cohort")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert 1 == main(["hapi", "--cohort", str(cohort)])
    error = capsys.readouterr().err
    assert "missing: java, javac, mvn" in error
    assert 1 == error.count("\n")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("javac 17.0.15", None),
        ("javac 25", None),
        ("javac 22-ea", None),
        ("javac 11.0.2", "JDK 17 (javac here is 11)"),
        ("javac 1.8.0_402", "JDK 17 (javac here is 8)"),
        ("a compiler of another name", None),
    ],
)
def test_an_old_jdk_is_told(
    said: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maven would only say that it knows no release 17."""
    for name in ("java", "mvn"):
        tool(tmp_path, name, "")
    tool(tmp_path, "javac", said)
    monkeypatch.setenv("PATH", str(tmp_path))

    reason = lacking()
    assert reason == (found and f"a JDK (17 or later) and Maven are needed; missing: {found}")


@pytest.mark.parametrize("name", ["study", "hapi"])
def test_the_usual_cohort_needs_java(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where none is named it is made; a run that fails leaves nothing that looks like one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(usual_cohort, "FOLDER", tmp_path / "build" / "cohort")

    assert 1 == main([name])
    captured = capsys.readouterr()
    assert "Synthea cannot run" in captured.err
    assert "missing: java, javac, mvn" in captured.err
    assert (0, 1) == (captured.out.count("\n"), captured.err.count("\n"))
    assert [] == list(tmp_path.iterdir())
