"""The cohort: made by the real Synthea, the same twice, and as its readers expect it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from validation import cohort
from validation.__main__ import main
from validation.cohort import CohortFailed, Plan, make_cohort
from validation.truth.patient import CRITERIA

PLAN = Plan(net=4, ordinary=2, seed=11, as_of=date(2026, 3, 31))
Json = dict[str, Any]


def made(out: Path) -> Path:
    """A small cohort, or a skip where there is no Java or Maven."""
    try:
        make_cohort(PLAN, out)
    except CohortFailed as failure:
        if "missing" in str(failure):
            pytest.skip(str(failure))
        raise
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cohort."""
    return made(tmp_path_factory.mktemp("cohort") / "first")


def read(path: Path) -> Json:
    """A JSON file."""
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def files(folder: Path) -> dict[str, bytes]:
    """All files, by their names."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.end_to_end
def test_the_same_seed_makes_the_same_cohort(folder: Path, tmp_path: Path) -> None:
    """Byte for byte, charts, truth, providers and manifest."""
    again = files(made(tmp_path / "again"))

    assert files(folder) == again


@pytest.mark.end_to_end
def test_the_folder_has_what_its_readers_expect(folder: Path) -> None:
    """As many patients as asked for, and a truth for each NET patient."""
    manifest = read(folder / "manifest.json")

    assert (11, "2026-03-31", {"net": 4, "ordinary": 2}) == (
        manifest["seed"],
        manifest["asOf"],
        manifest["counts"],
    )
    names = {path.name for path in (folder / "net").iterdir()}
    assert 4 == len(names)
    assert names == {path.name for path in (folder / "truth").iterdir()}
    assert 2 == len(list((folder / "ordinary").iterdir()))
    for path in (folder / "truth").iterdir():
        truth = read(path)
        assert path.stem == truth["patient"]
        assert list(CRITERIA) == list(truth["reality"])
        assert list(truth["statuses"]) in (list(CRITERIA), [])


@pytest.mark.end_to_end
def test_every_resource_of_a_net_chart_has_an_id_and_is_the_patients(folder: Path) -> None:
    """And refers to nothing that is not in the chart."""
    for path in (folder / "net").iterdir():
        resources = [entry["resource"] for entry in read(path)["entry"]]
        known = {f"{resource['resourceType']}/{resource['id']}" for resource in resources}
        assert len(resources) == len(known)
        for resource in resources:
            subject = resource.get("subject") or resource.get("patient") or {}
            assert subject.get("reference") in {None, f"Patient/{path.stem}"}
        assert {
            one for one in references(resources) if one.startswith("urn:") or "?" in one
        } == set()
        assert set(references(resources)) <= known


def references(value: object) -> Iterator[str]:
    """All references in a resource."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


@pytest.mark.end_to_end
def test_the_story_ends_on_the_reference_date(folder: Path) -> None:
    """Nothing is dated later, and every story reaches the last weeks."""
    for path in (folder / "truth").iterdir():
        days = [event["day"] for event in read(path)["decisions"]["events"]]
        assert "2025-12-01" < max(days) <= "2026-03-31"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    """The command says so, and fails."""
    (tmp_path / "mine").write_text("mine", encoding="utf-8")

    assert 1 == main(["cohort", "--net", "1", "--ordinary", "0", "--out", str(tmp_path)])
    assert ["mine"] == [path.name for path in tmp_path.iterdir()]


def test_without_java_the_command_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and exit code 1."""
    monkeypatch.setenv("PATH", str(tmp_path))

    out = tmp_path / "out"
    assert 1 == main(["cohort", "--net", "1", "--ordinary", "0", "--out", str(out)])
    error = capsys.readouterr().err
    assert "missing: java, javac, mvn" in error
    assert 1 == error.count("\n")
    assert [] == list(tmp_path.iterdir())


def test_no_two_runs_share_a_seed() -> None:
    """Else two patients would share an id."""
    runs = [
        run.seed
        for seed in (1, 2)
        for kind in ("net", "ordinary")
        for run in cohort._runs(kind, 1100, seed)
    ]

    assert 20 == len(runs) == len(set(runs))
