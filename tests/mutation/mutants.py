"""Mutation testing of what decides about a patient: the mutants of mutmut, run from one process.

mutmut makes the mutants, tells which is active, and keeps the results, so that ``mutmut results``
and ``mutmut show NAME`` work in the folder of the run. Only the loop is ours (:mod:`loop`): mutmut
starts and collects pytest anew for every mutant, which costs more than most of them need.

    python tests/mutation/mutants.py [--into DIR] [--workers N] [--sample N] [--again] [PATTERN...]

A pattern is the name of a module below ``cds_service`` (``record.units``, ``criteria.rules.*``).
Results stay in the folder: a second run goes on where the first stopped, ``--again`` repeats the
survivors, against the tests as they are then. ``--sample`` runs a random choice of so many of each
module.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from loop import KILLED, NO_TESTS, SEED, SURVIVED, TIMEOUT, Runner  # noqa: E402
from reach import selection  # noqa: E402

COPIED = (
    "cds_service",
    "tests",
    "mappings",
    "fixtures",
    "validation",
    "pyproject.toml",
    "README.md",
)
# What decides most first.
MODULES = (
    "record.units", "record.dates", "criteria.clock", "criteria.latest", "criteria.normal",
    "criteria.settle", "criteria.course", "criteria.view", "criteria.evaluate",
    "criteria.rules.laboratory", "criteria.rules.course", "criteria.rules.drugs",
    "criteria.rules.progression", "criteria.rules.toxicity", "criteria.rules.scans",
    "criteria.rules.person", "criteria.rules.diagnosis", "criteria.rules.disease",
    "criteria.rules.childbearing", "criteria.attest", "criteria.relevance", "criteria.finding",
    "record.codes", "record.model", "record.tables",
)  # fmt: skip


def main() -> int:
    """Make the copy and its mutants, run them, print the table."""
    asked = _arguments()
    into: Path = asked.into.resolve()
    if asked.table:
        sys.stdout.write(table(into))
        return 0
    _copy(into)
    os.chdir(into)
    # Hypothesis derandomises, and keeps no database, where it finds itself in CI.
    os.environ |= {"CI": "true", "MUTANT_UNDER_TEST": ""}
    subprocess.run([sys.executable, Path(__file__).with_name("reach.py"), into], check=True)
    _generate()
    chosen = _chosen(asked.patterns, asked.sample, again=asked.again)
    import pytest  # noqa: PLC0415  only now are the mutants what is imported

    os.chdir("mutants")
    runner = Runner(into, chosen, asked.workers)
    quiet = ["-q", "-q", "--rootdir=.", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    code = int(pytest.main([*quiet, *selection()], plugins=[runner]))
    sys.stdout.write(table(into))
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "mutation")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="repeat what survived")
    parser.add_argument("--sample", type=int, help="so many mutants of each module")
    parser.add_argument("--table", action="store_true", help="print the results so far")
    parser.add_argument("patterns", nargs="*", default=["*"])
    return parser.parse_args()


def _copy(into: Path) -> None:
    """The tree as it is now; files that did not change keep their time, and so their results."""
    into.mkdir(parents=True, exist_ok=True)
    left_out = shutil.ignore_patterns("__pycache__", "target", "*.sqlite3")
    # mutmut copies what it does not mutate only once.
    for stale in ("tests", "cds_service/trials"):
        shutil.rmtree(into / "mutants" / stale, ignore_errors=True)
    for name in COPIED:
        source, target = ROOT / name, into / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=left_out)
        elif source.exists():
            shutil.copy2(source, target)


def _generate() -> None:
    from mutmut import __main__ as mutmut  # noqa: PLC0415  it reads pyproject.toml of the folder
    from mutmut.utils import file_utils  # noqa: PLC0415

    Path("mutants").mkdir(exist_ok=True)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        shown, sys.stdout = sys.stdout, nowhere
        try:
            file_utils.copy_src_dir()
            file_utils.copy_also_copy_files()
            mutmut.create_mutants(1)
        finally:
            sys.stdout = shown
    file_utils.setup_source_paths()


def _data() -> dict[str, Any]:
    """The results that mutmut keeps, by module, in the order in which modules are run."""
    from mutmut.mutation.data import SourceFileMutationData  # noqa: PLC0415

    found = {}
    for name in MODULES:
        held = SourceFileMutationData(path=Path("cds_service", *name.split(".")).with_suffix(".py"))
        held.load()
        found[name] = held
    return found


def _chosen(
    patterns: Sequence[str], sample: int | None, *, again: bool
) -> dict[str, tuple[Any, list[str]]]:
    """By module, mutmut's results and the mutants to run."""
    chosen = {}
    for name, held in _data().items():
        if not any(fnmatch(name, pattern) for pattern in patterns):
            continue
        keys = sorted(held.exit_code_by_key)
        if again:
            wanted = {SURVIVED, NO_TESTS, TIMEOUT}
        else:
            wanted = {None}
            if sample is not None:
                keys = random.Random(SEED).sample(keys, min(sample, len(keys)))  # noqa: S311
        chosen[name] = (held, sorted(key for key in keys if held.exit_code_by_key[key] in wanted))
    return chosen


def table(into: Path) -> str:
    """The results as a Markdown table."""
    os.chdir(into)
    lines = ["| module | mutants | run | killed | timeout | survived | score |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    total: Counter[str] = Counter()
    for name, held in _data().items():
        counts = Counter(_word(code) for code in held.exit_code_by_key.values())
        lines.append(_line(f"`{name}`", counts))
        total += counts
    return "\n".join([*lines, _line("all", total), ""])


def _word(code: int | None) -> str:
    if code is None:
        return "not run"
    words = {SURVIVED: "survived", NO_TESTS: "survived", KILLED: "killed", TIMEOUT: "timeout"}
    return words.get(code, "killed")


def _line(name: str, counts: Counter[str]) -> str:
    caught = counts["killed"] + counts["timeout"]
    run = caught + counts["survived"]
    score = f"{100 * caught / run:.1f} %" if run else "–"
    cells = [sum(counts.values()), run, counts["killed"], counts["timeout"], counts["survived"]]
    return f"| {name} | {' | '.join(f'{one:,}' for one in cells)} | {score} |"


if __name__ == "__main__":
    sys.exit(main())
