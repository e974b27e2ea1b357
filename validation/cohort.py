"""Makes the cohort: runs Synthea, enriches the NET patients, works out what is true of them.

The folder that it fills is described in `fixtures/synthea/README.md`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from validation.decisions import Decisions, read_decisions
from validation.enrich import enrich
from validation.needs import CannotRun, lacking
from validation.truth.patient import truth_of

PROJECT: Final = Path(__file__).resolve().parents[1] / "fixtures" / "synthea"
JAR: Final = PROJECT / "target" / "synthea-cohort.jar"
_MODULES: Final = PROJECT / "modules"
_SYNTHEA: Final = "3.3.0"
# Patients of one run of Synthea. Fixed, not the number of processors: the seeds depend on it.
CHUNK: Final = 250
# A run is too short for the second compiler tier to pay.
_JVM: Final = ("java", "-Xmx2g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(JAR))
# Synthea writes the providers of all charts of a run to files of their own.
_PROVIDERS: Final = ("hospitalInformation", "practitionerInformation")
_DECODE: Final = msgspec.json.Decoder(float_hook=Decimal)
_ENCODE: Final = msgspec.json.Encoder(decimal_format="number")


class CohortFailed(CannotRun):
    """The cohort could not be made; the message says why."""


@dataclass(frozen=True)
class Plan:
    """What to make.

    Args:
        net: how many NET patients.
        ordinary: how many ordinary ones.
        seed: of everything random.
        as_of: the reference date.
    """

    net: int
    ordinary: int
    seed: int
    as_of: date


@dataclass(frozen=True)
class _Run:
    """One run of Synthea."""

    kind: str
    population: int
    seed: int

    def command(self, as_of: date, out: Path) -> list[str]:
        numbers = [str(self.population), str(self.seed)]
        return [*_JVM, self.kind, *numbers, as_of.isoformat(), str(out), str(_MODULES)]


def make_cohort(plan: Plan, out: Path) -> None:
    """Fill the folder, which must be empty or not there. Nothing is in it before all is.

    Raises:
        CohortFailed: the folder is not empty, Java or Maven is missing, or a run of Synthea failed.
    """
    if out.exists() and any(out.iterdir()):
        raise CohortFailed(f"{out} is not empty")
    build()
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    _fill(part, plan)
    if out.exists():
        out.rmdir()
    part.rename(out)


def _fill(out: Path, plan: Plan) -> None:
    for name in ("net", "ordinary", "truth", "providers"):
        (out / name).mkdir(parents=True)
    runs = [*_runs("net", plan.net, plan.seed), *_runs("ordinary", plan.ordinary, plan.seed)]
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        folders = [Path(scratch) / f"{run.kind}-{run.seed}" for run in runs]
        jobs = [
            pool.submit(_run_synthea, run.command(plan.as_of, folder), folder)
            for run, folder in zip(runs, folders, strict=True)
        ]
        try:
            for run, folder, job in zip(runs, folders, jobs, strict=True):
                job.result()
                collect = _collect_net if run.kind == "net" else _collect_ordinary
                collect(folder, plan, out)
                shutil.rmtree(folder)
        finally:
            # After a failure no further run begins.
            pool.shutdown(cancel_futures=True)
    _write(out / "manifest.json", _manifest(plan, out))


def build() -> None:
    """Build the launcher, unless it is newer than its sources.

    Raises:
        CohortFailed: Java or Maven is missing, or the launcher does not build.
    """
    reason = lacking()
    if reason is not None:
        raise CohortFailed(f"Synthea cannot run: {reason}")
    sources = [PROJECT / "pom.xml", *(path for path in PROJECT.glob("src/**/*") if path.is_file())]
    newest = max(path.stat().st_mtime for path in sources)
    if not JAR.exists() or JAR.stat().st_mtime < newest:
        _call(["mvn", "-B", "-q", "package"], PROJECT)


def _runs(kind: str, population: int, seed: int) -> Iterator[_Run]:
    # No run has the seed of another, whatever the cohort's seed. Synthea draws a person's id from
    # it, so no two persons share one.
    first = seed * 1000 + (500 if kind == "ordinary" else 0)
    for number, start in enumerate(range(0, population, CHUNK)):
        yield _Run(kind, min(CHUNK, population - start), first + number)


def _run_synthea(command: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True)
    _call(command, folder)


def _call(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stdout + done.stderr)[-2000:]
        raise CohortFailed(f"{command[0]} ended with {done.returncode}:\n{last}")


def _collect_ordinary(folder: Path, _: Plan, out: Path) -> None:
    for path in sorted((folder / "fhir").glob("*.json")):
        name = next((name for name in _PROVIDERS if path.name.startswith(name)), None)
        target = out / "ordinary" / path.name
        if name is not None:
            target = out / "providers" / f"{name}-{folder.name}.json"
        shutil.move(path, target)


def _collect_net(folder: Path, plan: Plan, out: Path) -> None:
    for path in sorted((folder / "decisions").glob("*.json")):
        decisions = read_decisions(path, plan.as_of)
        exported = _DECODE.decode((folder / "fhir" / path.name).read_bytes())
        bundle = enrich(exported, decisions, plan.seed)
        _write(out / "net" / path.name, bundle)
        _write(out / "truth" / path.name, _checked(decisions))


def _checked(decisions: Decisions) -> dict[str, Any]:
    """The truth; something documented as met that is not so would be the generator's own fault."""
    truth = truth_of(decisions)
    for criterion, status in truth["statuses"].items():
        if status in {"met", "not_applicable"} and not truth["reality"][criterion]:
            raise CohortFailed(
                f"{decisions.patient}: {criterion} is documented as met, and is not so"
            )
    return truth


def _write(path: Path, content: Any) -> None:
    path.write_bytes(_ENCODE.encode(content) + b"\n")


def _manifest(plan: Plan, out: Path) -> dict[str, Any]:
    return {
        "seed": plan.seed,
        "asOf": plan.as_of.isoformat(),
        "syntheaVersion": _SYNTHEA,
        "counts": {"net": plan.net, "ordinary": plan.ordinary},
        "settings": {
            "patientsPerRun": CHUNK,
            "ordinary": "all modules of Synthea; exporter.years_of_history=10; without Claim, "
            "ExplanationOfBenefit, DocumentReference, Provenance",
            "net": "core of Synthea and fixtures/synthea/modules; exporter.years_of_history=0; "
            "without Claim, ExplanationOfBenefit, DocumentReference, Provenance, Immunization, "
            "CareTeam, CarePlan",
            "both": "exporter.pretty_print=false, exporter.use_uuid_filenames=true; UTC; "
            "one thread in a run",
        },
        "digests": {
            name: _digest(out / name) for name in ("net", "ordinary", "truth", "providers")
        },
    }


def _digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"sha256:{digest.hexdigest()}"
