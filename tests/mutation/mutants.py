"""Mutation testing of what decides about a patient: the mutants of mutmut, run from one process.

mutmut makes the mutants, tells which is active, and keeps the results, so that ``mutmut results``
and ``mutmut show NAME`` work in the folder of the run. Only the loop is ours (:mod:`loop`): mutmut
starts and collects pytest anew for every mutant, which costs more than most of them need.

    python tests/mutation/mutants.py [--into DIR] [--workers N] [--sample PERCENT] [--again]
        [--tests PATH]... [PATTERN...]

A pattern is the name of a module below ``cds_service`` (``record.units``, ``criteria.rules.*``).
Results stay in the folder: a second run goes on where the first stopped, ``--again`` repeats the
survivors, against the tests as they are then. ``--sample`` draws so many percent of each module's
mutants, and only those are run from then on. ``--tests`` takes other tests than those of criteria,
record and trial.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Which mutants of each module were drawn, kept in the folder of the run.
DRAWN = Path("drawn.json")
CAUGHT = ("killed", "timeout")
sys.path.insert(0, str(Path(__file__).parent))

from loop import KILLED, NO_TESTS, PASSED, PASSES, SEED, SURVIVED, TIMEOUT, Runner, keep  # noqa: E402
from reach import selection  # noqa: E402

COPIED = (
    "cds_service",
    "tests",
    "mappings",
    "validation",
    "pyproject.toml",
    "README.md",
)
# What decides most first, but for what takes longest.
MODULES = (
    "record.units", "record.dates", "criteria.clock", "criteria.latest", "criteria.normal",
    "criteria.derived", "criteria.course", "criteria.view", "criteria.evaluate",
    "criteria.rules.laboratory", "criteria.rules.clearance", "criteria.rules.course",
    "criteria.rules.drugs", "criteria.rules.progression", "criteria.rules.toxicity",
    "criteria.rules.scans", "criteria.rules.person", "criteria.rules.diagnosis",
    "criteria.rules.disease", "criteria.rules.childbearing", "criteria.attest",
    "criteria.relevance", "criteria.finding", "record.codes", "record.model", "record.amounts",
    "record.reads", "record.tables", "record.table_rows", "record.table_files",
    "record.code_tables", "criteria.settle",
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
    reach = Path(__file__).with_name("reach.py")
    subprocess.run([sys.executable, reach, into, *asked.tests], check=True)
    _generate(asked.patterns)
    passed = json.loads(Path(PASSED).read_text()) if Path(PASSED).exists() else {}
    chosen = _chosen(asked.patterns, asked.sample, passed, again=asked.again)
    import pytest  # noqa: PLC0415  only now are the mutants what is imported
    from mutmut.mutation import trampoline  # noqa: PLC0415

    trampoline.wrap_in_trampoline = keep
    os.chdir("mutants")
    runner = Runner(into, chosen, passed, asked.workers)
    quiet = ["-q", "-q", "--rootdir=.", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    code = int(pytest.main([*quiet, *selection(asked.tests)], plugins=[runner]))
    sys.stdout.write(table(into))
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "mutation")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="repeat what survived")
    parser.add_argument("--sample", type=float, help="so many percent of each module's mutants")
    parser.add_argument("--tests", action="append", default=[], help="files or folders of tests")
    parser.add_argument("--table", action="store_true", help="print the results so far")
    parser.add_argument("patterns", nargs="*", default=["*"])
    asked = parser.parse_args()
    for pattern in asked.patterns:
        if not any(fnmatch(name, pattern) for name in MODULES):
            parser.error(f"no module is called {pattern}; known: {', '.join(MODULES)}")
    return asked


def _copy(into: Path) -> None:
    """The tree as it is now."""
    into.mkdir(parents=True, exist_ok=True)
    before = _sources(into)
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
    # mutmut makes mutants anew where the time of a file is later than theirs. A file may have been
    # written before they were made, and copied after.
    for path, content in _sources(into).items():
        if before.get(path) != content:
            path.touch()


def _sources(into: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (into / "cds_service").rglob("*.py")}


def _generate(patterns: Sequence[str]) -> None:
    """Make the mutants of the modules asked for; those that are there already stay up to date."""
    from mutmut import __main__ as mutmut  # noqa: PLC0415  it reads pyproject.toml of the folder
    from mutmut.utils import file_utils  # noqa: PLC0415

    Path("mutants").mkdir(exist_ok=True)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        file_utils.copy_src_dir()
        file_utils.copy_also_copy_files()
        for path in file_utils.walk_source_files():
            place = Path("mutants", path)
            if _matches(path, patterns) or place.with_name(f"{place.name}.meta").exists():
                made = mutmut.create_file_mutants(path)
                if made.error:
                    raise made.error
            else:
                shutil.copy2(path, place)
    file_utils.setup_source_paths()


def _path(module: str) -> Path:
    return Path("cds_service", *module.split(".")).with_suffix(".py")


def _matches(path: Path, patterns: Sequence[str]) -> bool:
    return path in {_path(name) for name in MODULES if _asked(name, patterns)}


def _asked(module: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(module, pattern) for pattern in patterns)


def _data() -> dict[str, Any]:
    """The results that mutmut keeps, by module, in the order in which modules are run."""
    from mutmut.mutation.data import SourceFileMutationData  # noqa: PLC0415

    found = {}
    for name in MODULES:
        held = SourceFileMutationData(path=_path(name))
        held.load()
        found[name] = held
    return found


def _chosen(
    patterns: Sequence[str], sample: float | None, passed: dict[str, int], *, again: bool
) -> dict[str, tuple[Any, list[str]]]:
    """By module, mutmut's results and the mutants that have tests to meet yet."""
    chosen = {}
    drawn = json.loads(DRAWN.read_text()) if DRAWN.exists() else {}
    for name, held in _data().items():
        if not _asked(name, patterns):
            continue
        if sample is not None or name not in drawn:
            drawn[name] = _drawn(held, sample)
        keys = [key for key in drawn[name] if key in held.exit_code_by_key]
        for key in keys:
            if again or held.exit_code_by_key[key] is None:
                passed.pop(key, None)
        chosen[name] = (held, [key for key in keys if _left(held, key, passed, again)])
    DRAWN.write_text(json.dumps(drawn))
    return chosen


def _drawn(held: Any, sample: float | None) -> list[str]:
    keys = sorted(held.exit_code_by_key)
    if sample is None:
        return keys
    return sorted(random.Random(SEED).sample(keys, round(len(keys) * sample / 100)))  # noqa: S311


def _left(held: Any, key: str, passed: dict[str, int], again: bool) -> bool:  # noqa: FBT001
    code = held.exit_code_by_key[key]
    if again:
        return code in {SURVIVED, NO_TESTS, TIMEOUT}
    return code is None or (code == SURVIVED and passed.get(key, 0) < len(PASSES))


def table(into: Path) -> str:
    """The results as a Markdown table, of the mutants that were drawn."""
    os.chdir(into)
    drawn = json.loads(DRAWN.read_text()) if DRAWN.exists() else {}
    lines = ["| module | mutants | run | killed | timeout | survived | score |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    every: list[Counter[str]] = []
    for name, held in _data().items():
        codes = held.exit_code_by_key
        counts = Counter(_word(codes[key]) for key in drawn.get(name, codes) if key in codes)
        counts["mutants"] = len(codes)
        lines.append(_line(f"`{name}`", counts, _score(counts)))
        every.append(counts)
    total = sum(every, Counter())
    return "\n".join([*lines, _line("all", total, _estimate(every)), ""])


def _word(code: int | None) -> str:
    if code is None:
        return "not run"
    words = {SURVIVED: "survived", NO_TESTS: "survived", KILLED: "killed", TIMEOUT: "timeout"}
    return words.get(code, "killed")


def _line(name: str, counts: Counter[str], score: str) -> str:
    cells = [counts["mutants"], _run(counts), *(counts[one] for one in CAUGHT), counts["survived"]]
    return f"| {name} | {' | '.join(f'{one:,}' for one in cells)} | {score} |"


def _run(counts: Counter[str]) -> int:
    return counts["survived"] + sum(counts[one] for one in CAUGHT)


def _score(counts: Counter[str]) -> str:
    run = _run(counts)
    return f"{100 * (run - counts['survived']) / run:.1f} %" if run else "–"


def _estimate(every: Sequence[Counter[str]]) -> str:
    """The score of all mutants of what was run, each module weighing as much as it has mutants.

    Where only some were drawn, with the 95 % confidence interval of a stratified sample.
    """
    strata = [one for one in every if _run(one)]
    size = sum(one["mutants"] for one in strata)
    if not size:
        return "–"
    score = variance = 0.0
    for one in strata:
        run, weight = _run(one), one["mutants"] / size
        rate = 1 - one["survived"] / run
        score += weight * rate
        # A stratum without a survivor is not thereby certain: one is added to either side.
        guarded = (one["survived"] + 1) / (run + 2)
        left = 1 - run / one["mutants"]
        variance += weight**2 * left * guarded * (1 - guarded) / run
    spread = 1.96 * math.sqrt(variance)
    interval = f" ± {100 * spread:.1f}" if spread else ""
    return f"{100 * score:.1f}{interval} %"


if __name__ == "__main__":
    sys.exit(main())
